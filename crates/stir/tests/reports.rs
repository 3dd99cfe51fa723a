//! Calls of the field, as they came: each with what is right. Made for this project; the numbers and
//! the certificate are nobody's.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use stir::{
    Address, Clock, Code, Config, Error, Fetch, Fetched, Policy, PublicKey, SipCall, Verifier,
};

/// When the tokens were signed.
struct Then;

impl Clock for Then {
    fn now(&self) -> i64 {
        1_795_806_000
    }
}

/// The certificate, wherever it is asked for.
struct Leaf;

impl Fetch for Leaf {
    fn fetch(&self, _: &str) -> Result<Fetched, Error> {
        let body = std::fs::read(file("lab-leaf.pem"))
            .map_err(|e| Error::new(Code::FileRead, e.to_string()))?;
        Ok(Fetched::new(body, None))
    }
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports").join(name)
}

fn verifier() -> Verifier {
    let mut config =
        Config { policy: Policy::Shaken, trust_anchors: file("lab-leaf.pem"), ..Config::default() };
    config.shaken.x5u_permit = "127.0.0.0/8".into();
    Verifier::with(&config.clone().build().unwrap(), Arc::new(Then), Box::new(Leaf))
}

#[test]
fn calls_of_the_field() {
    for (name, code, response) in [
        ("div-repeated.sip", 1, None),
        ("iat-fraction.sip", 1, None),
        ("ppt-malformed.sip", -301, Some(438)),
        ("exp-string.sip", -231, Some(438)),
    ] {
        let text = std::fs::read_to_string(file(name)).unwrap();
        let headers: Vec<(&str, &str)> =
            text.lines().skip(1).filter_map(|line| line.split_once(": ")).collect();
        let one = |name: &str| headers.iter().find(|h| h.0 == name).unwrap().1;
        let identities = headers.iter().filter(|h| h.0 == "Identity").map(|h| h.1).collect();
        let call = SipCall {
            identities,
            from: Address::of_header(one("From")),
            to: Address::of_header(one("To")),
            request_uri: Address::of_uri(text.split(' ').nth(1).unwrap()),
            call_id: Some(one("Call-ID")),
            ..SipCall::default()
        };
        let report = verifier().check_call(&call, PublicKey::Info);
        let found = (report.code(), report.response().map(stir::Response::code));
        assert_eq!(found, (code, response), "{name}: {:?}", report.result);
    }
}
