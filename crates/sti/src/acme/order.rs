//! Orders and their authorizations (RFC 8555 §7.4, §7.5).

use super::{Acme, Problem, answer_json};
use crate::jose::base64url;
use crate::pa::TkValue;
use crate::secret::Secret;
use crate::wrong;
use serde_json::{Value, json};
use stir::{Code, Error, Result};

/// Most authorizations of an order: there is one identifier.
const MAX_AUTHORIZATIONS: usize = 8;

/// The member that carries the token in the answer to the challenge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// `tkauth` (RFC 9447 §3).
    #[default]
    TkAuth,
    /// `atc`, as CAs want that follow the drafts.
    Atc,
}

impl Answer {
    const fn name(self) -> &'static str {
        match self {
            Self::TkAuth => "tkauth",
            Self::Atc => "atc",
        }
    }
}

/// What a certificate is ordered for.
#[derive(Clone, Copy, Debug)]
pub struct NewOrder<'a> {
    /// DER.
    pub tn_auth_list: &'a [u8],
    /// How it is written.
    pub tkvalue: TkValue,
    /// End of validity that is wished for, RFC 3339.
    pub not_after: Option<&'a str>,
    /// The certificate that is renewed, by its [`certificate_id`](super::certificate_id); sent only
    /// to CAs that have renewal information (RFC 9773 §5).
    pub replaces: Option<&'a str>,
}

/// State of an order (RFC 8555 §7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Authorizations are missing.
    Pending,
    /// To be finalized.
    Ready,
    /// The CA issues.
    Processing,
    /// There is a certificate.
    Valid,
    /// It came to nothing.
    Invalid,
}

/// An order at a CA.
#[derive(Clone, Debug)]
pub struct Order {
    /// Where it is.
    pub url: String,
    object: Value,
}

impl Order {
    /// Its state.
    pub fn status(&self) -> Status {
        match self.object.get("status").and_then(Value::as_str) {
            Some("pending") => Status::Pending,
            Some("ready") => Status::Ready,
            Some("processing") => Status::Processing,
            Some("valid") => Status::Valid,
            _ => Status::Invalid,
        }
    }

    fn failed(&self) -> Error {
        Error::new(
            Code::HttpStatus,
            format!(
                "the CA gives up the order \"{}\": {}",
                self.url,
                self.object.get("error").map_or_else(
                    || format!(
                        "it says no reason, but {}",
                        crate::http::cut(&self.object.to_string())
                    ),
                    |error| Problem(error.clone()).text()
                )
            ),
        )
    }
}

impl Acme<'_> {
    /// Orders a certificate.
    ///
    /// # Errors
    /// What the CA says.
    pub fn order(&self, new: &NewOrder<'_>) -> Result<Order> {
        let identifier =
            json!({ "type": "TNAuthList", "value": new.tkvalue.encode(new.tn_auth_list) });
        let mut payload = json!({ "identifiers": [identifier] });
        if let Some(end) = new.not_after {
            payload["notAfter"] = end.into();
        }
        if let (Some(id), Some(_)) = (new.replaces, &self.directory.renewal_info) {
            payload["replaces"] = id.into();
        }
        let url = self.directory.new_order.clone();
        let mut answer = self.post(&url, Some(&payload));
        // RFC 9773 §5: the old one may have been replaced already, or be unknown. It is no reason to
        // go without a certificate.
        if answer.is_err() && payload.get("replaces").is_some() {
            log::debug!("the CA does not take an order that replaces another: ordering without it");
            if let Some(object) = payload.as_object_mut() {
                object.remove("replaces");
            }
            answer = self.post(&url, Some(&payload));
        }
        let answer = answer?;
        let place = answer.header("location").map(ToOwned::to_owned).ok_or_else(|| {
            wrong(format!("\"{url}\" gives no Location for the order: {}", answer.shown()))
        })?;
        Ok(Order { object: answer_json(&url, &answer)?, url: place })
    }

    /// An order of before.
    ///
    /// # Errors
    /// The CA does not know it any more.
    pub fn resume(&self, url: &str) -> Result<Order> {
        let answer = self.post(url, None)?;
        Ok(Order { object: answer_json(url, &answer)?, url: url.to_owned() })
    }

    /// Answers the challenge of each authorization that is pending with a token, which is asked for
    /// only if there is one, and waits until the order is ready.
    ///
    /// # Errors
    /// What the CA says of the challenge; what `token` says.
    pub fn authorize(
        &self,
        order: &Order,
        answer: Answer,
        token: impl Fn() -> Result<Secret>,
    ) -> Result<Order> {
        let urls = order.object.get("authorizations").and_then(Value::as_array);
        let urls = urls.ok_or_else(|| wrong("the CA's order has no authorizations"))?;
        for url in urls.iter().take(MAX_AUTHORIZATIONS) {
            let url = url
                .as_str()
                .ok_or_else(|| wrong("the CA's order has an authorization that is not a URL"))?;
            self.authorize_one(url, answer, &token)?;
        }
        self.settle(order, Status::Pending)
    }

    fn authorize_one(
        &self,
        url: &str,
        answer: Answer,
        token: &impl Fn() -> Result<Secret>,
    ) -> Result<()> {
        let authorization = answer_json(url, &self.post(url, None)?)?;
        let status = |object: &Value| {
            object.get("status").and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        if status(&authorization) == "valid" {
            return Ok(());
        }
        let challenges = authorization.get("challenges").and_then(Value::as_array);
        let is_ours = |challenge: &&Value| {
            let text = |name| challenge.get(name).and_then(Value::as_str).unwrap_or_default();
            text("type").eq_ignore_ascii_case("tkauth-01")
                && (text("tkauth-type").is_empty()
                    || text("tkauth-type").eq_ignore_ascii_case("atc"))
        };
        let challenge = challenges
            .and_then(|all| all.iter().find(is_ours))
            .and_then(|challenge| challenge.get("url"))
            .and_then(Value::as_str)
            .ok_or_else(|| {
                wrong(format!(
                    "this CA does not offer the challenge tkauth-01 for a TNAuthList: {}",
                    crate::http::cut(&authorization.to_string())
                ))
            })?;
        let token = token()?;
        let mut payload = json!({});
        payload[answer.name()] = token.expose().into();
        self.post(challenge, Some(&payload)).map_err(|e| {
            // A server may repeat what it was sent.
            Error::new(e.code(), token.scrub(e.message()))
        })?;
        let pending = |object: &Value| !matches!(&*status(object), "pending" | "processing");
        let authorization = self.poll(url, pending)?;
        if status(&authorization) == "valid" {
            return Ok(());
        }
        let error = authorization
            .get("challenges")
            .and_then(Value::as_array)
            .and_then(|all| all.iter().find_map(|challenge| challenge.get("error")));
        let why = error.map_or_else(
            || crate::http::cut(&authorization.to_string()),
            |error| Problem(error.clone()).text(),
        );
        Err(Error::new(
            Code::HttpStatus,
            format!("the CA does not accept the SPC token: {}", token.scrub(&why)),
        ))
    }

    /// Sends the request (PKCS#10, DER), and waits for the certificate.
    ///
    /// # Errors
    /// What the CA says.
    pub fn finalize(&self, order: &Order, request: &[u8]) -> Result<Order> {
        let url = order.object.get("finalize").and_then(Value::as_str);
        let url = url.ok_or_else(|| wrong("the CA's order has no finalize"))?;
        self.post(url, Some(&json!({ "csr": base64url(request) })))?;
        self.settle(order, Status::Processing)
    }

    /// Waits until an order has left this state, and those before it.
    ///
    /// # Errors
    /// It is invalid; it takes too long.
    pub fn settle(&self, order: &Order, from: Status) -> Result<Order> {
        let at = |object: &Value| Order { url: String::new(), object: object.clone() }.status();
        let waits = |status| match status {
            Status::Pending => true,
            // The CA may be slow to notice that it was finalized.
            Status::Ready | Status::Processing => from == Status::Processing,
            Status::Valid | Status::Invalid => false,
        };
        let object = self.poll(&order.url, |object| !waits(at(object)))?;
        let order = Order { url: order.url.clone(), object };
        if order.status() == Status::Invalid { Err(order.failed()) } else { Ok(order) }
    }

    /// The certificate of a valid order, PEM, with its chain.
    ///
    /// # Errors
    /// What the CA says; an answer that is not text.
    pub fn certificate(&self, order: &Order) -> Result<String> {
        let url = order.object.get("certificate").and_then(Value::as_str);
        let url = url.ok_or_else(|| wrong("the CA's order is valid, but names no certificate"))?;
        let answer = self.post(url, None)?;
        String::from_utf8(answer.body).map_err(|_| {
            Error::new(
                Code::CertFormat,
                format!("\"{url}\" does not answer with a PEM certificate"),
            )
        })
    }
}
