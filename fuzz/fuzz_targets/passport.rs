//! JOSE headers and claims. Input: a JSON text, or any octets.
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::sync::LazyLock;
use stir::passport::{Claims, JoseHeader};
use stir::{Checked, PrivateKey, PublicKey, Signer, SipCall};
use stir_fuzz::{SHAKEN, SIGNERS, URL, encode};

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new(&Checked::default()));

fuzz_target!(|data: &[u8]| {
    if let Ok(part) = std::str::from_utf8(data) {
        if let Ok(claims) = Claims::parse(part) {
            // One text for each sequence of octets.
            let octets = URL_SAFE_NO_PAD.decode(part).expect("base64url");
            assert_eq!(encode(&octets), part);
            check(&claims, &octets);
        }
        let _ = JoseHeader::parse(part).map(|header| header.check());
        signed(part);
    }
    let part = encode(data);
    if let Ok(header) = JoseHeader::parse(&part) {
        let Value::Object(object) = serde_json::from_slice(data).expect("JSON") else { panic!() };
        let text = |name| object.get(name).and_then(Value::as_str).unwrap_or_default();
        assert_eq!((header.alg.as_str(), header.x5u.as_str()), (text("alg"), text("x5u")));
        if header.check().is_ok() {
            assert_eq!((text("alg"), text("ppt"), text("typ")), ("ES256", "shaken", "passport"));
        }
    }
    if let Ok(claims) = Claims::parse(&part) {
        check(&claims, data);
    }
    // Claims of every kind are read before the signature is looked at.
    for ppt in ["shaken", "div", "rcd", "rph"] {
        let header = format!(r#"{{"alg":"ES256","ppt":"{ppt}","typ":"passport","x5u":"{URL}"}}"#);
        let header = encode(header.as_bytes());
        let identity = format!("{header}.{part}.{};info=<{URL}>;ppt={ppt}", encode(&[1; 64]));
        let call = SipCall { identities: vec![&identity], ..SipCall::default() };
        let report = SHAKEN.check_call(&call, PublicKey::Info);
        assert!(report.result.is_err());
        if let Some(claims) = &report.claims {
            assert!(!claims.orig.is_empty() && !claims.dest.is_empty());
            assert_eq!(Value::Object(claims.all.clone()), value(data));
        }
    }
});

fn value(json: &[u8]) -> Value {
    serde_json::from_slice(json).expect("JSON")
}

fn check(claims: &Claims, json: &[u8]) {
    assert!(matches!(claims.attest.as_str(), "A" | "B" | "C"));
    assert!(!claims.orig.is_empty() && !claims.dest.is_empty() && !claims.origid.is_empty());
    assert_eq!(Value::Object(claims.all.clone()), value(json));
    let again = Value::Object(claims.all.clone()).to_string();
    assert_eq!(Claims::parse(&encode(again.as_bytes())).expect("the same claims"), *claims);
}

/// A payload that is signed says what was asked for, in one form.
fn signed(payload: &str) {
    let sign = |payload: &str| {
        let token = SIGNER
            .sign_json(r#"{"alg":"ES256"}"#, payload, PrivateKey::Pem(&SIGNERS.private))
            .ok()?;
        let part = token.split('.').nth(1).expect("a payload");
        Some(String::from_utf8(URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("UTF-8"))
    };
    let Some(canonical) = sign(payload) else { return };
    assert_eq!(value(canonical.as_bytes()), value(payload.as_bytes()));
    assert_eq!(sign(&canonical).as_deref(), Some(canonical.as_str()));
}
