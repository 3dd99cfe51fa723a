//! Problem documents (RFC 7807, RFC 8555 §6.7).

use crate::http::{Answer, cut};
use serde_json::Value;
use std::time::Duration;
use stir::{Code, Error};

/// What all ACME errors begin with.
const PREFIX: &str = "urn:ietf:params:acme:error:";

/// A problem document, whole.
#[derive(Clone, Debug)]
pub struct Problem(pub Value);

impl Problem {
    /// Its type without the prefix of ACME's own.
    pub fn kind(&self) -> &str {
        let kind = self.0.get("type").and_then(Value::as_str).unwrap_or_default();
        kind.strip_prefix(PREFIX).unwrap_or(kind)
    }

    /// What to do about it, where that is known.
    fn cure(&self) -> &'static str {
        match self.kind() {
            "accountDoesNotExist" => "; secsipidx enroll makes an account",
            "externalAccountRequired" => "; set acme.eab_kid and acme.eab_key_file",
            "unauthorized" | "rejectedIdentifier" => {
                "; does the token's account key, SPC and encoding (acme.tkvalue, acme.fingerprint, acme.answer) fit this CA?"
            }
            "badCSR" | "badPublicKey" => {
                "; some CAs want certificate.key = \"account\", some forbid it"
            }
            "userActionRequired" => "; accept the CA's terms where it says",
            _ => "",
        }
    }

    /// The whole document and what to do, for a message.
    pub fn text(&self) -> String {
        format!("{}{}", cut(&self.0.to_string()), self.cure())
    }
}

/// An answer that is not a success.
pub(super) struct Refusal {
    status: u16,
    problem: Option<Problem>,
    shown: String,
}

impl Refusal {
    pub(super) fn new(answer: &Answer) -> Self {
        let problem = serde_json::from_slice(&answer.body).ok().filter(Value::is_object);
        Self { status: answer.status, problem: problem.map(Problem), shown: answer.shown() }
    }

    pub(super) fn is(&self, kind: &str) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.kind() == kind)
    }

    pub(super) fn error(&self, url: &str, retry_after: Option<Duration>) -> Error {
        let what = self.problem.as_ref().map_or_else(|| self.shown.clone(), Problem::text);
        let when = retry_after
            .map(|wait| format!("; it asks to try again in {} s", wait.as_secs()))
            .unwrap_or_default();
        Error::new(
            Code::HttpStatus,
            format!("the CA refuses \"{url}\" ({}): {what}{when}", self.status),
        )
    }
}
