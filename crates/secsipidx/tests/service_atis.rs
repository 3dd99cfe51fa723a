//! The service as an SBC sees it: the interface of ATIS-1000082, and policy shaken over HTTP.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::time::UNIX_EPOCH;
use stir::{Call, Checked, PrivateKey, Signer};
use support::{Folder, Reply, Service};

const JSON: &str = "Content-Type: application/json\r\n";
const SIGN: &str = "/stir/v1/signing";
const VERIFY: &str = "/stir/v1/verification";
const ORIG: &str = "12155550100";
const DEST: &str = "12025550100";

/// A service with policy shaken whose verdicts are on the lab's certificate.
const SHAKEN: &str = "\
[http]\nlisten = \"127.0.0.1:0\"\n\
[sign]\nkey = \"lab/spc-1234-key.pem\"\nx5u = \"https://e.org/c.pem\"\n\
[check]\nkey = \"lab/spc-1234.pem\"\npolicy = \"shaken\"\ntrust_anchors = \"lab/root.pem\"\nreplay = \"off\"\n";

fn now() -> u64 {
    UNIX_EPOCH.elapsed().unwrap().as_secs()
}

fn post(service: &Service, path: &str, body: &Value) -> Reply {
    service.post_with(path, JSON, &body.to_string())
}

fn signing() -> Value {
    json!({"attest": "A", "orig": {"tn": ORIG}, "dest": {"tn": [DEST]}, "iat": now(), "origid": "o-1"})
}

fn signed(service: &Service) -> String {
    let reply = post(service, SIGN, &json!({"signingRequest": signing()}));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["signingResponse"]["identity"].as_str().unwrap().to_owned()
}

fn verification(identities: &[&str]) -> Value {
    json!({"from": {"tn": ORIG}, "to": {"tn": [DEST]}, "time": now(), "identities": identities})
}

fn verify(service: &Service, request: &Value) -> Value {
    let reply = post(service, VERIFY, &json!({"verificationRequest": request}));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["verificationResponse"].clone()
}

/// With one member set to another value.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().unwrap().remove(name);
    object
}

#[test]
fn an_sbc_has_calls_signed_and_verified() {
    let folder = Folder::lab();
    let service = Service::start(&folder, SHAKEN);
    let identity = signed(&service);
    assert!(identity.ends_with(";info=<https://e.org/c.pem>;alg=ES256;ppt=shaken"), "{identity}");
    let one = without(with(verification(&[]), "identity", json!(identity)), "identities");
    assert_eq!(verify(&service, &one), json!({"verstat": "TN-Validation-Passed"}));
    // What the standard has and nobody needs may be missing; what it has not is passed over.
    let short = json!({"attest": "C", "orig": {"tn": ORIG}, "dest": {"tn": [DEST]}, "x": 1});
    assert_eq!(post(&service, SIGN, &json!({"signingRequest": short})).status, 200);
    let plus = with(signing(), "orig", json!({"tn": "+1-215-555-0100"}));
    assert_eq!(post(&service, SIGN, &json!({"signingRequest": plus})).status, 200);
    let several = with(verification(&[&identity]), "to", json!({"tn": ["12025550999", DEST]}));
    assert_eq!(verify(&service, &several)["verstat"], "TN-Validation-Passed");

    let flipped = identity.replacen(";info", "A;info", 1);
    let stale = {
        let x5u = "https://e.org/c.pem";
        let call = Call { orig: ORIG, dest: DEST, attest: "A", x5u, ..Call::default() };
        let iat = i64::try_from(now()).unwrap() - 90;
        let key = folder.read("lab/spc-1234-key.pem");
        Signer::new(&Checked::default()).identity_at(&call, PrivateKey::Pem(&key), iat).unwrap()
    };
    for (request, code, verstat, part) in [
        (verification(&[]), 428, "No-TN-Validation", "no Identity header"),
        (verification(&[&flipped]), 438, "TN-Validation-Failed", "signature"),
        (verification(&["junk"]), 438, "No-TN-Validation", ""),
        (
            with(verification(&[&identity]), "from", json!({"tn": "12155550199"})),
            438,
            "No-TN-Validation",
            "12155550199",
        ),
        (
            with(verification(&[&identity]), "to", json!({"tn": ["12025550199"]})),
            438,
            "No-TN-Validation",
            "12025550199",
        ),
        (
            with(verification(&[&identity]), "from", json!({"uri": "sip:a@example.org"})),
            438,
            "No-TN-Validation",
            "sip:a@example.org",
        ),
        (verification(&[&stale]), 403, "No-TN-Validation", "old"),
    ] {
        let found = verify(&service, &request);
        assert_eq!(found["reasoncode"], code, "{request}: {found}");
        assert_eq!(found["verstat"], verstat, "{request}: {found}");
        assert!(found["reasondesc"].as_str().unwrap().contains(part), "{request}: {found}");
    }
    // The certificate can't be had, or is not trusted.
    let download = SHAKEN.replace("key = \"lab/spc-1234.pem\"\n", "");
    let stranger = SHAKEN.replace("lab/root.pem", "lab/crl-signer.pem");
    for (config, code, text) in
        [(download, 436, "Bad Identity Info"), (stranger, 437, "Unsupported Credential")]
    {
        let service =
            Service::start(&folder, &config.replace("https://e.org", "https://127.0.0.1"));
        let found = verify(&service, &verification(&[&signed(&service)]));
        assert_eq!((&found["reasoncode"], &found["reasontext"]), (&json!(code), &json!(text)));
    }
}

#[test]
fn a_diverted_call_is_signed_and_verified() {
    let folder = Folder::lab();
    let service = Service::start(&folder, SHAKEN);
    let (identity, next) = (signed(&service), "12025550111");
    let diversion = json!({
        "orig": {"tn": ORIG}, "dest": {"tn": [next]}, "div": {"tn": DEST}, "identities": [identity],
    });
    let reply = post(&service, SIGN, &json!({"signingRequest": diversion}));
    let div = reply.json()["signingResponse"]["identity"].as_str().unwrap().to_owned();
    assert!(div.ends_with("ppt=div"), "{div}");
    let to = |identities: &[&str]| with(verification(identities), "to", json!({"tn": [next]}));
    assert_eq!(verify(&service, &to(&[&identity, &div]))["verstat"], "TN-Validation-Passed");
    assert_eq!(verify(&service, &to(&[&identity]))["reasoncode"], 438);
    for (request, id) in [
        (without(diversion.clone(), "identities"), "SVC4001"),
        (with(diversion.clone(), "identities", json!([])), "SVC4005"),
        (with(diversion, "div", json!({"tn": "12025550122"})), "SVC4005"),
    ] {
        let reply = post(&service, SIGN, &json!({"signingRequest": request}));
        assert_eq!(exception(&reply), id, "{request}");
    }
}

/// The messageId of an error, whose kind goes with it.
fn exception(reply: &Reply) -> String {
    let error = &reply.json()["requestError"];
    let kind = if error.get("serviceException").is_some() {
        "serviceException"
    } else {
        "policyException"
    };
    let id = error[kind]["messageId"].as_str().unwrap_or_else(|| panic!("{reply:?}")).to_owned();
    assert_eq!(id.starts_with("SVC"), kind == "serviceException", "{reply:?}");
    assert!(error[kind]["variables"].is_array() && error[kind]["text"].is_string(), "{reply:?}");
    id
}

#[test]
fn wrong_requests_get_the_exceptions_of_the_standard() {
    let folder = Folder::lab();
    let service = Service::start(&folder, SHAKEN);
    let good = json!({"signingRequest": signing()}).to_string();
    // The header.
    for (headers, body, status, id) in [
        ("", good.as_str(), 415, "SVC4004"),
        ("Content-Type: text/plain\r\n", &good, 415, "SVC4004"),
        ("Content-Type: application/jsonx\r\n", &good, 415, "SVC4004"),
        ("Content-Type: application/json\r\nAccept: text/html\r\n", &good, 406, "SVC4002"),
        (
            "Content-Type: application/json\r\nAccept: application/json;q=0\r\n",
            &good,
            406,
            "SVC4002",
        ),
        (JSON, "", 400, "SVC4000"),
        (JSON, " \n", 400, "SVC4000"),
        (JSON, "{", 400, "SVC4006"),
        (JSON, "[]", 400, "SVC4006"),
        (JSON, "{}", 400, "SVC4001"),
        (JSON, r#"{"signingRequest":[]}"#, 400, "SVC4005"),
    ] {
        for path in [SIGN, VERIFY] {
            let body =
                body.replace("signing", if path == SIGN { "signing" } else { "verification" });
            let reply = service.post_with(path, headers, &body);
            assert_eq!(
                (reply.status, exception(&reply).as_str()),
                (status, id),
                "{headers} {body}"
            );
        }
    }
    for accept in ["application/json", "*/*", "text/html, application/*;q=0.5"] {
        let headers =
            format!("Content-Type: Application/JSON; charset=utf-8\r\nAccept: {accept}\r\n");
        assert_eq!(service.post_with(SIGN, &headers, &good).status, 200, "{accept}");
    }
    let chunked = format!(
        "POST {SIGN} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    let reply = service.send(&chunked);
    assert_eq!((reply.status, exception(&reply).as_str()), (411, "SVC4007"));
    let reply = service.get(SIGN);
    assert_eq!((reply.status, exception(&reply).as_str()), (405, "POL4050"));
    assert!(reply.head.contains("allow: post"), "{reply:?}");
    for path in ["/stir/v1/none", "/stir/", "/stir/v1/signing/"] {
        let reply = service.post_with(path, JSON, &good);
        assert_eq!((reply.status, exception(&reply).as_str()), (404, "SVC4003"), "{path}");
    }
    let large = format!("{good}{}", " ".repeat(64 * 1024 + 1 - good.len()));
    assert_eq!(service.post_with(SIGN, JSON, &large).status, 413);

    // What is to be signed.
    let hundred: Vec<String> = (0..100).map(|n| format!("120255501{n:02}")).collect();
    for (request, id, name) in [
        (without(signing(), "attest"), "SVC4001", "attest"),
        (without(signing(), "orig"), "SVC4001", "orig"),
        (without(signing(), "dest"), "SVC4001", "dest"),
        (with(signing(), "orig", json!({})), "SVC4001", "orig.tn"),
        (with(signing(), "dest", json!({})), "SVC4001", "dest.tn"),
        (with(signing(), "attest", json!("Z")), "SVC4005", "attest"),
        (with(signing(), "attest", json!(1)), "SVC4005", "attest"),
        (with(signing(), "orig", json!(ORIG)), "SVC4005", "orig"),
        (with(signing(), "orig", json!({"tn": [ORIG]})), "SVC4005", "orig.tn"),
        (with(signing(), "orig", json!({"tn": "alice"})), "SVC4005", "orig.tn"),
        (with(signing(), "orig", json!({"tn": "1;x=y"})), "SVC4005", "orig.tn"),
        (with(signing(), "orig", json!({"tn": "1,2"})), "SVC4005", "orig.tn"),
        (with(signing(), "orig", json!({"uri": "http://e.org"})), "SVC4005", "orig.uri"),
        (with(signing(), "orig", json!({"tn": ORIG, "uri": "sip:a@b"})), "SVC4005", "orig"),
        (with(signing(), "dest", json!({"tn": DEST})), "SVC4005", "dest.tn"),
        (with(signing(), "dest", json!({"tn": []})), "SVC4005", "dest"),
        (with(signing(), "dest", json!({"tn": [1]})), "SVC4005", "dest.tn"),
        (with(signing(), "dest", json!({"tn": ["12x"]})), "SVC4005", "dest.tn"),
        (with(signing(), "dest", json!({"tn": hundred})), "SVC4005", "dest"),
        (with(signing(), "iat", json!(now() - 86_400)), "SVC4005", "iat"),
        (with(signing(), "iat", json!(now() + 86_400)), "SVC4005", "iat"),
        (with(signing(), "iat", json!(0)), "SVC4005", "iat"),
        (with(signing(), "iat", json!(1.5)), "SVC4005", "iat"),
        (with(signing(), "iat", json!("1")), "SVC4005", "iat"),
        (with(signing(), "origid", json!("a b")), "SVC4005", "signingRequest"),
    ] {
        let reply = post(&service, SIGN, &json!({"signingRequest": request}));
        assert_eq!((reply.status, exception(&reply).as_str()), (400, id), "{request}: {reply:?}");
        let variables = &reply.json()["requestError"]["serviceException"]["variables"];
        assert_eq!(variables[0], name, "{request}: {reply:?}");
    }
    let identity = signed(&service);
    for (request, id, name) in [
        (without(verification(&[&identity]), "from"), "SVC4001", "from"),
        (without(verification(&[&identity]), "to"), "SVC4001", "to"),
        (without(verification(&[]), "identities"), "SVC4001", "identity"),
        (with(verification(&[&identity]), "identity", json!("x")), "SVC4005", "identities"),
        (with(verification(&[&identity]), "time", json!(-1)), "SVC4005", "time"),
        (with(verification(&[]), "identities", json!("x")), "SVC4005", "identities"),
        (verification(&[identity.as_str(); 11]), "SVC4005", "identities"),
    ] {
        let reply = post(&service, VERIFY, &json!({"verificationRequest": request}));
        assert_eq!((reply.status, exception(&reply).as_str()), (400, id), "{request}: {reply:?}");
        let variables = &reply.json()["requestError"]["serviceException"]["variables"];
        assert_eq!(variables[0], name, "{request}: {reply:?}");
    }
    // A key that can't be used is this side's fault.
    let body = json!({"signingRequest": signing()});
    folder.write("lab/spc-1234-key.pem", "junk");
    let service = Service::start(&folder, SHAKEN);
    let reply = post(&service, SIGN, &body);
    assert_eq!((reply.status, exception(&reply).as_str()), (500, "POL5000"));
}

#[test]
fn a_request_has_its_identifier_back() {
    let folder = Folder::lab();
    let service = Service::start(&folder, SHAKEN);
    let id = |headers: &str| {
        let reply = service.post_with(VERIFY, &format!("{JSON}{headers}"), "{}");
        let line = reply.head.lines().find(|line| line.starts_with("x-requestid: "));
        (exception(&reply), line.unwrap()["x-requestid: ".len()..].to_owned())
    };
    assert_eq!(id("X-RequestID: a-1/b\r\n"), ("SVC4001".into(), "a-1/b".into()));
    let new = |headers: &str, expected: &str| {
        let (exception, id) = id(headers);
        assert!(exception == expected && id.len() == 36, "{headers}: {exception} {id}");
    };
    new("", "SVC4001");
    new(&format!("X-RequestID: {}\r\n", "x".repeat(10_000)), "SVC4005");
    new("X-RequestID: a b\r\n", "SVC4005");
    new("X-RequestID: \u{e9}\r\n", "SVC4005");
    new("X-RequestID: a\r\nX-RequestID: b\r\n", "SVC4005");
    // Control characters are no header at all.
    let reply = service.post_with(VERIFY, &format!("{JSON}X-RequestID: a\u{1}b\r\n"), "{}");
    assert_eq!(reply.status, 400, "{reply:?}");
}

#[test]
fn signing_is_for_those_who_may_sign() {
    let folder = Folder::lab();
    let token = "0123456789abcdef0123456789abcdef";
    folder.write("token", token);
    let config = SHAKEN.replace("[check]", "token_file = \"token\"\n[check]");
    let service = Service::start(&folder, &config);
    let body = json!({"signingRequest": signing()}).to_string();
    for (headers, status) in [
        (JSON.to_owned(), 401),
        (format!("{JSON}Authorization: Bearer {token}\r\n"), 200),
        (format!("{JSON}Authorization: Bearer {token}\r\nOrigin: https://evil.example\r\n"), 403),
    ] {
        assert_eq!(service.post_with(SIGN, &headers, &body).status, status, "{headers}");
    }
    let body = json!({"verificationRequest": verification(&[])}).to_string();
    assert_eq!(service.post_with(VERIFY, JSON, &body).status, 200);
}

#[test]
fn policy_shaken_judges_the_call_that_is_given() {
    let folder = Folder::lab();
    let service = Service::start(&folder, SHAKEN);
    let identity = signed(&service);
    let call = json!({
        "identity": identity,
        "from": "\"A\" <sip:+12155550100@a.example>;tag=1",
        "to": "<sip:+12025550100@b.example>",
        "request_uri": "sip:+12025550100@b.example",
    });
    let shown = service.post("/v1/verify", &call.to_string()).json();
    assert_eq!(shown["valid"], true, "{shown}");
    for (name, value) in [
        ("sip", Value::Null),
        ("verstat", json!("TN-Validation-Passed")),
        ("step", Value::Null),
        ("spc", json!("1234")),
        ("div", json!([])),
        ("rcd", Value::Null),
    ] {
        assert_eq!(shown[name], value, "{name}: {shown}");
    }
    for (request, code, step, sip) in [
        (with(call.clone(), "from", json!("<sip:+12155550199@a.example>")), -501, "orig", 438),
        (with(call.clone(), "asserted", json!(["<tel:+12155550199>"])), -501, "orig", 438),
        (
            with(without(call.clone(), "to"), "request_uri", json!("sip:+12025550199@b")),
            -502,
            "dest",
            438,
        ),
        // A verdict without the call is none.
        (json!({"identity": identity}), -501, "orig", 438),
        (without(call.clone(), "identity"), -304, "missing", 428),
    ] {
        let shown = service.post("/v1/verify", &request.to_string()).json();
        assert_eq!((&shown["code"], &shown["step"]), (&json!(code), &json!(step)), "{shown}");
        assert_eq!(shown["sip"]["code"], sip, "{shown}");
        let reason = shown["sip"]["reason_hdr"].as_str().unwrap();
        assert!(reason.starts_with(&format!("STIR ;cause={sip} ;text=")), "{shown}");
    }
    // Policy compat compares what it is told of the call.
    let compat = SHAKEN.replace("policy = \"shaken\"\n", "");
    let service = Service::start(&folder, &compat);
    for (request, code) in [
        (json!({"identity": identity}), 1),
        (call.clone(), 1),
        (with(call, "from", json!("<sip:+12155550199@a.example>")), -501),
    ] {
        assert_eq!(
            service.post("/v1/verify", &request.to_string()).json()["code"],
            code,
            "{request}"
        );
    }
    // Settings are the module's.
    for (setting, part) in [
        ("policy = \"strict\"\n", "strict"),
        ("orig_source = \"to\"\n", "orig_source \"to\""),
        ("replay = \"maybe\"\n", "replay \"maybe\""),
        ("ppi = \"x\"\n", "ppi \"x\""),
    ] {
        let config = format!("[http]\nlisten = \"127.0.0.1:0\"\n[check]\n{setting}");
        folder.write("service.toml", config);
        let output = folder.ours("serve --config service.toml --check");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(part), "{setting}: {stderr}");
    }
    let config = "[http]\nlisten = \"127.0.0.1:0\"\n[check]\npolicy = \"shaken\"\n";
    folder.write("service.toml", config);
    let output = folder.ours("serve --config service.toml --check");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("set check.trust_anchors to"), "{stderr}");
}
