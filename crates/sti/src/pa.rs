//! The STI-PA's interface as its users' public tools use it: login, SPC tokens, list of CAs.

use crate::http::{Answer, Http, MAX_ANSWER, Request, cut};
use crate::jose::{PublicKey, base64url};
use crate::secret::Secret;
use crate::spc_token::{SpcToken, TN_AUTH_LIST};
use crate::wrong;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use stir::{Code, Error, Result};

pub use crate::jose::Fingerprint;

/// How a TNAuthList is written in an SPC token, and in the order that goes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TkValue {
    /// Without padding (RFC 9448 §3).
    #[default]
    Base64Url,
    /// With padding, as some CAs want it.
    Base64,
}

impl TkValue {
    /// The DER of a TNAuthList as text.
    pub fn encode(self, der: &[u8]) -> String {
        match self {
            Self::Base64Url => base64url(der),
            Self::Base64 => STANDARD.encode(der),
        }
    }
}

/// An account at a policy administrator.
pub struct StiPa<'a> {
    http: &'a Http,
    url: &'a str,
    user: &'a str,
    password: &'a Secret,
    account: &'a str,
    access: RefCell<Option<Secret>>,
}

impl<'a> StiPa<'a> {
    /// An account at this base URL; asks nothing yet.
    pub fn new(
        http: &'a Http,
        url: &'a str,
        user: &'a str,
        password: &'a Secret,
        account: &'a str,
    ) -> Self {
        let url = url.trim_end_matches('/');
        Self { http, url, user, password, account, access: RefCell::new(None) }
    }

    /// A token for this TNAuthList (DER), bound to the key of an ACME account.
    ///
    /// # Errors
    /// What the STI-PA says; a token that can't be read. Whether it is the right one is
    /// [`SpcToken::check`]'s to say.
    pub fn token(
        &self,
        tn_auth_list: &[u8],
        tkvalue: TkValue,
        key: &PublicKey,
        fingerprint: Fingerprint,
    ) -> Result<SpcToken> {
        let body = json!({
            "atc": {
                "tktype": TN_AUTH_LIST,
                "tkvalue": tkvalue.encode(tn_auth_list),
                "ca": false,
                "fingerprint": key.fingerprint(fingerprint),
            }
        });
        let path = format!("/api/v1/account/{}/token", self.account);
        let answer = self.ask(&Method::POST, &path, "application/json", body.to_string())?;
        let object = self.success(&path, &answer)?;
        SpcToken::parse(self.member(&path, &object, "token")?)
    }

    /// The list of trusted CAs as it is served: JSON around a JWS.
    ///
    /// # Errors
    /// What the STI-PA says.
    pub fn ca_list(&self) -> Result<Vec<u8>> {
        let path = "/api/v1/ca-list";
        let answer = self.ask(&Method::GET, path, "application/jose+json", String::new())?;
        let object = self.success(path, &answer)?;
        self.member(path, &object, "caList")?;
        Ok(answer.body)
    }

    /// One request with a login, and another login where the first one's token has run out.
    fn ask(&self, method: &Method, path: &str, accept: &str, body: String) -> Result<Answer> {
        let known = self.access.borrow().clone();
        let again = known.is_some();
        let mut access = known.map_or_else(|| self.login(), Ok)?;
        let url = format!("{}{path}", self.url);
        let send = |access: &Secret| {
            self.http.send(&Request {
                method: method.clone(),
                url: &url,
                headers: &[("content-type", "application/json"), ("accept", accept)],
                authorization: Some(access),
                body: body.clone().into_bytes(),
                limit: MAX_ANSWER,
            })
        };
        let mut answer = send(&access)?;
        if answer.status == 401 {
            if !again {
                log::debug!("the STI-PA refuses a token of this login: logging in again");
            }
            access = self.login()?;
            answer = send(&access)?;
        }
        self.access.replace(Some(access));
        Ok(answer)
    }

    fn login(&self) -> Result<Secret> {
        let path = "/api/v1/auth/login";
        let body = json!({ "userId": self.user, "password": self.password.expose() });
        let url = format!("{}{path}", self.url);
        let answer = self.http.send(&Request {
            method: Method::POST,
            headers: &[("content-type", "application/json"), ("accept", "application/json")],
            body: body.to_string().into_bytes(),
            ..Request::get(&url)
        })?;
        let object = self.success(path, &answer)?;
        self.member(path, &object, "accessToken").map(|token| Secret::new(token.to_owned()))
    }

    /// A JSON object whose status is success.
    fn success(&self, path: &str, answer: &Answer) -> Result<Map<String, Value>> {
        let object: Option<Map<String, Value>> = serde_json::from_slice(&answer.body).ok();
        let status = object.as_ref().and_then(|object| object.get("status"));
        let good =
            status.and_then(Value::as_str).is_some_and(|s| s.eq_ignore_ascii_case("success"));
        match object {
            Some(object) if answer.status < 300 && good => Ok(object),
            _ => {
                let cure = match (answer.status, path.ends_with("/login")) {
                    (401, true) => ": check sti_pa.user and sti_pa.password_file",
                    (401, false) => ": the login is not accepted for this: check sti_pa.account",
                    (403, _) => ": ask the STI-PA to allow this machine's address",
                    (429 | 500.., _) => ": try again later",
                    _ => ": check sti_pa.url, user and account",
                };
                Err(Error::new(
                    Code::HttpStatus,
                    format!(
                        "the STI-PA refuses {path} ({}): {}{cure}",
                        answer.status,
                        self.scrub(&answer.shown())
                    ),
                ))
            }
        }
    }

    fn member<'o>(
        &self,
        path: &str,
        object: &'o Map<String, Value>,
        name: &str,
    ) -> Result<&'o str> {
        object.get(name).and_then(Value::as_str).ok_or_else(|| {
            let names: Vec<_> = object.keys().map(String::as_str).collect();
            wrong(format!(
                "the STI-PA's answer to {path} has no {name}, but {}",
                cut(&self.scrub(&names.join(", ")).escape_debug().to_string())
            ))
        })
    }

    /// A server may repeat what it was sent.
    fn scrub(&self, text: &str) -> String {
        let text = self.password.scrub(text);
        match &*self.access.borrow() {
            Some(access) => access.scrub(&text),
            None => text,
        }
    }
}
