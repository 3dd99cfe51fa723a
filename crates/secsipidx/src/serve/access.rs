//! Who may have calls signed.

use super::api;
use super::app::Answer;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use stir::{Code, Error};

/// Where a request came in, and from whom.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Whether the address that was bound is one of loopback.
    pub loopback: bool,
    /// Whether the client showed a certificate of `https.client_ca`; `None` where nothing is asked
    /// of it.
    pub certified: Option<bool>,
    /// Whether the status page is shown here.
    pub status_page: bool,
    /// Whether it came over TLS.
    pub tls: bool,
}

/// Its name has no case (RFC 9110 §11.1).
const SCHEME: &[u8] = b"Bearer ";

/// What signing needs at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing but being on this machine, and no page in a browser.
    Loopback,
    /// The bearer token.
    Token,
    /// A client's certificate.
    Certificate,
    /// One of both.
    Either,
    /// What nobody has: nothing is set that could open it.
    Impossible,
}

/// The rule: the token, or a client's certificate; where neither can be had, an address of loopback.
pub struct Access {
    token: Option<String>,
}

impl Access {
    /// With this token, if any.
    pub fn new(token: Option<String>) -> Self {
        Self { token }
    }

    /// What signing needs here.
    pub fn needs(&self, entry: Entry) -> Needs {
        match (&self.token, entry.certified) {
            (Some(_), Some(_)) => Needs::Either,
            (Some(_), None) => Needs::Token,
            (None, Some(_)) => Needs::Certificate,
            (None, None) if entry.loopback => Needs::Loopback,
            (None, None) => Needs::Impossible,
        }
    }

    /// Why this request may not have a call signed.
    pub fn refuses(&self, entry: Entry, headers: &HeaderMap) -> Option<Answer> {
        if self.has_token(headers) {
            return None;
        }
        let why = match self.needs(entry) {
            // A browser shows its user's certificate, and reaches loopback, for any page that asks.
            needs if needs == Needs::Loopback || entry.certified == Some(true) => {
                let refused = || forbidden("signing is not for pages in a browser");
                return headers.contains_key(header::ORIGIN).then(refused);
            }
            Needs::Either => {
                "signing needs the bearer token (Authorization: Bearer …), or a client certificate of an authority in https.client_ca"
            }
            Needs::Token => "signing needs the bearer token (Authorization: Bearer …)",
            Needs::Certificate => {
                "signing needs a client certificate: show one of an authority in https.client_ca (curl --cert FILE --key FILE)"
            }
            _ => {
                "signing is closed: set sign.token_file or https.client_ca, or listen on an address of loopback"
            }
        };
        if self.token.is_none() {
            return Some(forbidden(why));
        }
        let mut answer = refused(StatusCode::UNAUTHORIZED, why);
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        Some(answer)
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return false };
        let given = headers.get(header::AUTHORIZATION);
        let given = given.and_then(|value| value.as_bytes().split_at_checked(SCHEME.len()));
        given.is_some_and(|(scheme, given)| {
            scheme.eq_ignore_ascii_case(SCHEME) && same(given.trim_ascii_start(), token.as_bytes())
        })
    }
}

fn forbidden(why: &str) -> Answer {
    refused(StatusCode::FORBIDDEN, why)
}

fn refused(status: StatusCode, why: &str) -> Answer {
    api::failed(status, &Error::new(Code::Generic, why))
}

/// Compares in a time that does not tell where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}
