//! ACME (RFC 8555) with authority tokens: the identifier TNAuthList (RFC 9448) and the challenge
//! tkauth-01 (RFC 9447), renewal information (RFC 9773).

mod order;
mod problem;
mod renewal;

pub use order::{Answer as ChallengeAnswer, NewOrder, Order, Status};
pub use problem::Problem;
pub use renewal::{Window, certificate_id};

use crate::http::{Answer, Http, Request};
use crate::jose::{AccountKey, base64url, external_binding};
use crate::wrong;
use problem::Refusal;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};
use stir::{Code, Error, Result};

/// Nonces that a CA may refuse for one request (RFC 8555 §6.5): servers behind a balancer that do not
/// share them refuse one or two.
const MAX_BAD_NONCES: u32 = 5;
/// How long all waiting of a run takes where nothing else is said: validation is a matter of seconds,
/// and the next run goes on where this one stopped.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at what is pending, where the CA does not say.
const POLL: Duration = Duration::from_secs(2);
/// Most contacts of an account.
const MAX_CONTACTS: usize = 16;

/// What a directory names (RFC 8555 §7.1.1).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Directory {
    new_nonce: String,
    new_account: String,
    new_order: String,
    revoke_cert: Option<String>,
    renewal_info: Option<String>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    external_account_required: bool,
    terms_of_service: Option<String>,
}

/// An external account binding (RFC 8555 §7.3.4).
#[derive(Clone, Debug)]
pub struct ExternalAccount<'a> {
    /// The key's name.
    pub kid: &'a str,
    /// The HMAC key, base64url.
    pub key: &'a crate::secret::Secret,
}

/// A CA, and an account there once [`Acme::account`] has found or made it.
pub struct Acme<'a> {
    http: &'a Http,
    key: &'a AccountKey,
    directory: Directory,
    nonce: RefCell<Option<String>>,
    kid: Option<String>,
    /// Waiting ends then.
    deadline: Instant,
}

impl<'a> Acme<'a> {
    /// Reads the CA's directory.
    ///
    /// # Errors
    /// No answer, or one that is not a directory.
    pub fn new(
        http: &'a Http,
        directory: &str,
        key: &'a AccountKey,
        patience: Duration,
    ) -> Result<Self> {
        let answer = http.get(directory, crate::http::MAX_ANSWER)?;
        let directory = serde_json::from_slice(&answer.body).map_err(|e| {
            wrong(format!(
                "\"{directory}\" is not an ACME directory ({e}): {}; check acme.directory",
                answer.shown()
            ))
        })?;
        let nonce = RefCell::new(answer.header("replay-nonce").map(ToOwned::to_owned));
        let deadline = Instant::now() + patience;
        Ok(Self { http, key, directory, nonce, kid: None, deadline })
    }

    /// Whether the CA wants an external account binding.
    pub const fn wants_external_account(&self) -> bool {
        self.directory.meta.external_account_required
    }

    /// The terms of service, which an account accepts.
    pub fn terms(&self) -> Option<&str> {
        self.directory.meta.terms_of_service.as_deref()
    }

    /// The account of the key: the one that is there, or, with `create`, a new one. Its URL is what
    /// the CA remembers, so nothing has to be kept but the key.
    ///
    /// # Errors
    /// What the CA says; an account that was deactivated or revoked.
    pub fn account(
        &mut self,
        create: bool,
        contact: &[String],
        external: Option<&ExternalAccount<'_>>,
    ) -> Result<()> {
        let mut payload = Map::new();
        if create {
            payload.insert("termsOfServiceAgreed".into(), true.into());
            if !contact.is_empty() {
                let contact: Vec<_> = contact.iter().take(MAX_CONTACTS).collect();
                payload.insert("contact".into(), json!(contact));
            }
            if let Some(external) = external {
                let url = &self.directory.new_account;
                let binding =
                    external_binding(external.kid, external.key.expose(), url, &self.key.public)?;
                payload.insert("externalAccountBinding".into(), binding);
            } else if self.wants_external_account() {
                return Err(wrong(
                    "this CA wants an external account binding: set acme.eab_kid and acme.eab_key_file to what it gave you",
                ));
            }
        } else {
            payload.insert("onlyReturnExisting".into(), true.into());
        }
        let url = self.directory.new_account.clone();
        let answer = self.post(&url, Some(&Value::Object(payload)))?;
        let kid = answer
            .header("location")
            .ok_or_else(|| wrong(format!("\"{url}\" gives no Location for the account")))?;
        let status = answer_json(&url, &answer)?.get("status").cloned();
        if status.as_ref().and_then(Value::as_str).is_some_and(|status| status != "valid") {
            return Err(wrong(format!(
                "the account of this key is {} at the CA: make another account key (acme.account_key) and enroll again",
                status.unwrap_or_default()
            )));
        }
        self.kid = Some(kid.to_owned());
        Ok(())
    }

    /// Revokes a certificate (RFC 8555 §7.6), reason superseded.
    ///
    /// # Errors
    /// What the CA says.
    pub fn revoke(&self, certificate: &stir::cert::Certificate) -> Result<()> {
        /// superseded (RFC 5280 §5.3.1).
        const SUPERSEDED: u8 = 4;
        let Some(url) = &self.directory.revoke_cert else {
            return Err(wrong("this CA has no revokeCert: ask it to revoke the certificate"));
        };
        let payload = json!({ "certificate": base64url(certificate.der()), "reason": SUPERSEDED });
        self.post(url, Some(&payload)).map(drop)
    }

    /// A signed POST; without a payload a POST-as-GET. A nonce that is refused is replaced, and a CA
    /// that asks to wait is waited for while there is time.
    fn post(&self, url: &str, payload: Option<&Value>) -> Result<Answer> {
        let mut bad_nonces = 0;
        loop {
            let answer = self.post_once(url, payload)?;
            if answer.status < 300 {
                return Ok(answer);
            }
            let refusal = Refusal::new(&answer);
            if refusal.is("badNonce") && bad_nonces < MAX_BAD_NONCES {
                bad_nonces += 1;
                log::debug!("\"{url}\": badNonce, once more");
                continue;
            }
            let asked = answer.retry_after(SystemTime::now());
            let busy = refusal.is("rateLimited") || answer.status == 503;
            match asked {
                Some(wait) if busy && self.has(wait) => {
                    log::info!("the CA asks to wait {} s", wait.as_secs());
                    sleep(wait);
                }
                _ => return Err(refusal.error(url, asked.filter(|_| busy))),
            }
        }
    }

    fn post_once(&self, url: &str, payload: Option<&Value>) -> Result<Answer> {
        let taken = self.nonce.take();
        let nonce = taken.map_or_else(|| self.new_nonce(), Ok)?;
        let mut protected = json!({ "alg": "ES256", "nonce": nonce, "url": url });
        match &self.kid {
            Some(kid) => protected["kid"] = kid.as_str().into(),
            None => protected["jwk"] = self.key.public.jwk(),
        }
        let payload = payload.map(ToString::to_string).unwrap_or_default();
        let answer = self.http.send(&Request {
            method: Method::POST,
            headers: &[("content-type", "application/jose+json")],
            body: self.key.flattened(&protected, &payload)?.to_string().into_bytes(),
            ..Request::get(url)
        })?;
        self.nonce.replace(answer.header("replay-nonce").map(ToOwned::to_owned));
        Ok(answer)
    }

    fn new_nonce(&self) -> Result<String> {
        let url = &self.directory.new_nonce;
        let answer = self.http.send(&Request { method: Method::HEAD, ..Request::get(url) })?;
        answer.header("replay-nonce").map(ToOwned::to_owned).ok_or_else(|| {
            wrong(format!("\"{url}\" answers {} without a Replay-Nonce", answer.status))
        })
    }

    /// Whether there is so much time.
    fn has(&self, wait: Duration) -> bool {
        self.deadline.saturating_duration_since(Instant::now()) > wait
    }

    /// Looks at something until it is as it should be.
    fn poll(&self, url: &str, done: impl Fn(&Value) -> bool) -> Result<Value> {
        loop {
            let answer = self.post(url, None)?;
            let object = answer_json(url, &answer)?;
            if done(&object) {
                return Ok(object);
            }
            let wait = answer.retry_after(SystemTime::now()).unwrap_or(POLL);
            if !self.has(wait) {
                let status = object.get("status").and_then(Value::as_str).unwrap_or("?");
                return Err(wrong(format!(
                    "the CA is not done: \"{url}\" is still {}; run it again later, it goes on from here",
                    status.escape_debug()
                )));
            }
            sleep(wait.max(Duration::from_millis(100)));
        }
    }
}

fn answer_json(url: &str, answer: &Answer) -> Result<Value> {
    let object: Option<Value> = serde_json::from_slice(&answer.body).ok();
    object.filter(Value::is_object).ok_or_else(|| {
        Error::new(
            Code::HttpBody,
            format!("\"{url}\" does not answer with a JSON object: {}", answer.shown()),
        )
    })
}
