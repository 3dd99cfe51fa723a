//! What is served and what is in memory, for people who watch. No secret is part of it: neither a
//! token nor where the private key is.

use super::access::{Entry, Needs};
use super::api;
use super::app::{Answer, App};
use crate::inspect::cert::{CertView, utc};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use stir::{Cached, Clock, Config, SystemClock};

/// Most certificates shown: more than a page is read for.
const MAX_CERTIFICATES: usize = 200;
/// A certificate with less than this left (seconds) is marked: time to ask for the next.
const SOON: i64 = 86_400;

/// What only the running service knows.
pub struct Status {
    start: Instant,
    listeners: Mutex<Vec<Value>>,
}

impl Default for Status {
    fn default() -> Self {
        Self { start: Instant::now(), listeners: Mutex::default() }
    }
}

impl Status {
    fn listeners(&self) -> MutexGuard<'_, Vec<Value>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl App {
    /// A listener (`HTTP` or `HTTPS`) is bound to this address.
    pub(super) fn listens(&self, name: &str, address: SocketAddr, entry: Entry) {
        let signing = signing(self.access.needs(entry), self.settings.sign.key.is_empty());
        self.status.listeners().push(json!({
            "name": name,
            "address": address.to_string(),
            "signing": signing,
        }));
    }

    /// `GET /v1/status`
    pub(super) fn status(&self) -> Answer {
        let now = SystemClock.now();
        let (sign, check) = (&self.settings.sign, &self.settings.check);
        let path = |path: &std::path::Path| set(&path.to_string_lossy());
        let cached = self.verifier.cached();
        let certificates: Vec<_> =
            cached.iter().take(MAX_CERTIFICATES).map(|one| certificate(one, now)).collect();
        let status = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "now": utc(now),
            "uptime": self.status.start.elapsed().as_secs(),
            "listeners": *self.status.listeners(),
            "sign": {"on": !sign.key.is_empty(), "x5u": set(&sign.x5u)},
            "check": {
                "key": set(&without_user(&check.key)),
                "expire": check.expire.unwrap_or_else(|| Config::default().expire()),
                "ca": path(&check.ca),
                "intermediates": path(&check.intermediates),
                "crl": path(&check.crl),
            },
            "public": self.settings.public.as_ref().and_then(|public| path(&public.folder)),
            "certificates": certificates,
            "certificates_total": cached.len(),
        });
        api::json_body(StatusCode::OK, &status)
    }
}

/// What may have calls signed at a listener, in words.
const fn signing(needs: Needs, no_key: bool) -> &'static str {
    if no_key {
        return "off: there is no private key";
    }
    match needs {
        Needs::Loopback => "for programs on this machine",
        Needs::Token => "with the bearer token",
        Needs::Certificate => "with a client certificate",
        Needs::Either => "with the bearer token or a client certificate",
        Needs::Impossible => "closed: neither a token nor client certificates are set up",
    }
}

fn certificate(cached: &Cached, now: i64) -> Value {
    let leaf = cached.credential.chain.as_ref().map(stir::cert::Chain::leaf);
    let view = leaf.map(|leaf| CertView::new(leaf, now));
    json!({
        "location": without_user(&cached.location),
        "subject": view.as_ref().map(|view| &view.subject),
        "tn_auth_list": view.as_ref().and_then(|view| view.tn_auth_list.as_ref()),
        "not_after": view.as_ref().map(|view| &view.not_after),
        "state": leaf.map(|leaf| state(leaf.not_after().saturating_sub(now))),
        "until": cached.until.map(utc),
    })
}

/// Of a certificate with so many seconds left.
const fn state(left: i64) -> &'static str {
    match left {
        ..0 => "expired",
        0..SOON => "soon",
        _ => "valid",
    }
}

/// `null` for what is not set.
fn set(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// A URL without the name and password that may stand in it.
fn without_user(location: &str) -> String {
    let Some((scheme, rest)) = location.split_once("://") else { return location.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_marked_on_its_last_day_and_after_it() {
        for (left, expected) in
            [(-1, "expired"), (0, "soon"), (SOON - 1, "soon"), (SOON, "valid"), (i64::MAX, "valid")]
        {
            assert_eq!(state(left), expected, "{left}");
        }
    }

    #[test]
    fn passwords_in_urls_are_left_out() {
        for (location, expected) in [
            ("https://u:p@e.org:8443/c.pem", "https://e.org:8443/c.pem"),
            ("https://u:p@q@e.org?x=@y", "https://e.org?x=@y"),
            ("https://e.org/a@b", "https://e.org/a@b"),
            ("/etc/a@b.pem", "/etc/a@b.pem"),
            ("", ""),
        ] {
            assert_eq!(without_user(location), expected);
        }
    }
}
