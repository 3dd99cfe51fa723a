//! What came of a check.

use crate::authority;
use crate::cert::Certificate;
use crate::error::{Code, Error, Result};
use crate::identity::Identity;
use crate::key::Credential;
use crate::outcome::{Response, Step, Verstat};
use crate::passport::Claims;
use crate::rich::Rcd;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;

/// What came of checking a message's Identity header fields.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whether the call is who it says it is.
    pub result: Result<()>,
    /// The claims of the header field that was judged, as far as they could be read. With a
    /// failed result they are what somebody wrote, no more.
    pub claims: Option<Claims>,
    /// Where its certificate is.
    pub x5u: String,
    /// Its PASSporT extension.
    pub ppt: String,
    /// Numbers that the call was diverted from, the first one first (RFC 8946).
    pub div: Vec<String>,
    /// What is known of the caller, from the call's token or an rcd PASSporT that was verified.
    pub rcd: Option<Rcd>,
    /// The call's Resource-Priority values, if an rph PASSporT that was verified allows all of them
    /// (RFC 8443 §4.2); else none.
    pub rph: Vec<String>,
    /// The call's Priority, if such a PASSporT allows it (RFC 9027 §4).
    pub sph: Option<String>,
    /// What the certificates and signatures of all header fields took, in ES256 verifications of some
    /// 40 µs; at most [`MAX_MESSAGE_COST`](crate::trust::MAX_MESSAGE_COST), one a header field, and the
    /// CRLs of one chain.
    pub cost: u32,
    /// Header fields beside it that failed: code and token of each (RFC 9410 §5).
    pub(crate) beside: Vec<(Code, String)>,
    /// What verified it.
    pub(crate) credential: Option<Arc<Credential>>,
    /// The token as it was received.
    pub(crate) token: String,
}

impl Report {
    pub(crate) fn of(identity: &Identity<'_>) -> Self {
        Self {
            result: Ok(()),
            claims: None,
            x5u: String::new(),
            ppt: String::new(),
            div: Vec::new(),
            rcd: None,
            rph: Vec::new(),
            sph: None,
            cost: 0,
            beside: Vec::new(),
            credential: None,
            token: match identity.signed {
                "" => String::new(),
                signed => format!("{signed}.{}", identity.signature),
            },
        }
    }

    pub(crate) fn failed(error: Error) -> Self {
        let nothing = Identity { signed: "", header: "", payload: "", signature: "", params: None };
        Self { result: Err(error), ..Self::of(&nothing) }
    }

    /// 1, or the negative code.
    pub fn code(&self) -> i32 {
        match &self.result {
            Ok(()) => 1,
            Err(error) => error.code().value(),
        }
    }

    /// What failed.
    pub fn step(&self) -> Option<Step> {
        self.cause().map(Code::step)
    }

    /// What the caller would be answered.
    pub fn response(&self) -> Option<Response> {
        self.cause().map(Code::response)
    }

    /// What the called may be told of the call.
    pub fn verstat(&self) -> Verstat {
        self.cause().map_or(Verstat::Passed, Code::verstat)
    }

    /// All header fields that failed, the one that was judged first: what the caller would be answered,
    /// and the token, empty where there is none.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (Response, &str)> {
        let own = self.response().map(|response| (response, self.token()));
        own.into_iter().chain(self.beside.iter().map(|(code, token)| (code.response(), &**token)))
    }

    /// The same report, with what came of other header fields.
    pub(crate) fn with(mut self, others: impl IntoIterator<Item = Self>) -> Self {
        others.into_iter().for_each(|other| self.add(other));
        self
    }

    /// Notes what came of another header field.
    pub(crate) fn add(&mut self, other: Self) {
        if let Some(code) = other.cause()
            && (other.token.is_empty() || other.token != self.token)
        {
            self.beside.push((code, other.token));
        }
    }

    /// Which failure it was. For a message without any header field policy compat has the stock
    /// module's -1, which says nothing else.
    fn cause(&self) -> Option<Code> {
        match self.result.as_ref().err()?.code() {
            Code::Generic if self.token.is_empty() => Some(Code::IdentityEmpty),
            code => Some(code),
        }
    }

    /// The signer's certificate, if there was one and the token verified with it.
    pub fn certificate(&self) -> Option<&Certificate> {
        Some(self.credential.as_ref()?.chain.as_ref()?.leaf())
    }

    /// The certificate's service provider code (RFC 8226 §9).
    pub fn spc(&self) -> Option<String> {
        self.certificate().and_then(authority::spc)
    }

    /// The token that was judged, as it was received; empty if there was none.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The JOSE header, JSON as it was signed.
    pub fn header_json(&self) -> Option<String> {
        json(self.token.split('.').next()?)
    }

    /// The payload, JSON as it was signed.
    pub fn payload_json(&self) -> Option<String> {
        json(self.token.split('.').nth(1)?)
    }
}

fn json(part: &str) -> Option<String> {
    let octets = URL_SAFE_NO_PAD.decode(part).ok().filter(|octets| !octets.is_empty())?;
    String::from_utf8(octets).ok()
}
