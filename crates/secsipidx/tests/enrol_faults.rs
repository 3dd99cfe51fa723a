//! A policy administrator and a CA that misbehave, configurations that are wrong, and machines in
//! trouble: each with one line that says what to do, while what was in force stays in force.
#![allow(clippy::unwrap_used)]

#[path = "support/sti.rs"]
mod sti_lab;
mod support;

use serde_json::{Value, json};
use std::fs::File;
use sti_lab::{CONFIG, Fault, Sti, key, now};
use support::{Folder, wait_for};

const QUICK: &[(&str, &str)] = &[("SECSIPIDX_TEST_PATIENCE", "1")];

/// A path, how often, and what happens.
type At = (&'static str, usize, Fault);

fn problem(kind: &str, more: &Value) -> Vec<u8> {
    let mut problem =
        json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "no" });
    for (name, value) in more.as_object().unwrap() {
        problem[name] = value.clone();
    }
    problem.to_string().into_bytes()
}

/// An answer of the STI-PA with a token of these claims.
fn token(folder: &Folder, signer: &str, change: impl Fn(&mut Value, &mut Value)) -> Vec<u8> {
    let account = key(folder, "lab/account-key.pem").public;
    let proxy = folder.read(CONFIG);
    let base = proxy.lines().find_map(|line| line.strip_prefix("url = ")).unwrap().replace('"', "");
    let mut header = json!({ "alg": "ES256", "typ": "JWT", "x5u": format!("{base}/pa.pem") });
    let mut claims = json!({
        "exp": now() + 3600,
        "jti": "x",
        "atc": {
            "tktype": "TNAuthList",
            "tkvalue": "MAigBhYEMTIzNA",
            "ca": false,
            "fingerprint": account.fingerprint(sti::jose::Fingerprint::Spki),
        },
    });
    change(&mut header, &mut claims);
    let token = key(folder, signer).compact(&header, &claims).unwrap();
    json!({ "status": "success", "token": token, "crl": "x" }).to_string().into_bytes()
}

#[test]
fn what_is_wrong_is_said_and_what_is_in_force_stays() {
    let sti = Sti::behind_a_proxy(&[]);
    let folder = &sti.folder;
    folder.out("ca other --spc 1234");
    sti.done("enroll");
    let before = sti.in_force();
    let crl_signer = "lab/crl-signer-key.pem";
    let x5c = |name: &str| {
        let text = folder.read(name);
        let der = text.split("-----").nth(2).unwrap().replace('\n', "");
        json!([der])
    };
    let (always, json) = (usize::MAX, "Content-Type: application/json\r\n");
    let html = b"<html>Login</html>".to_vec();
    let token_path = "/account/1/token";
    let reply = |body: Vec<u8>| Fault::Reply(200, json, body);
    let rows: Vec<(&str, At, &[&str])> = vec![
        (
            "401 for every login",
            (
                "/auth/login",
                always,
                Fault::Reply(
                    401,
                    json,
                    b"{\"status\":\"failed\",\"message\":\"lab-password is wrong\"}".to_vec(),
                ),
            ),
            &["check sti_pa.user and sti_pa.password_file", "(secret) is wrong"],
        ),
        (
            "401 for every token",
            (token_path, always, Fault::Reply(401, json, b"{}".to_vec())),
            &["check sti_pa.account"],
        ),
        (
            "failed with 200",
            (
                token_path,
                always,
                reply(
                    b"{\"status\":\"failed\",\"errorCode\":\"E1\",\"message\":\"SPC not yours\"}"
                        .to_vec(),
                ),
            ),
            &["SPC not yours", "E1"],
        ),
        (
            "forbidden",
            ("/auth/login", always, Fault::Reply(403, json, b"{}".to_vec())),
            &["allow this machine's address"],
        ),
        (
            "HTML",
            ("/auth/login", always, Fault::Reply(200, "", html.clone())),
            &["<html>Login</html>", "check sti_pa.url"],
        ),
        ("no answer", ("/auth/login", always, Fault::Silent), &["no answer in 2 s"]),
        ("endless answer", ("/auth/login", always, Fault::Endless), &["more than 1048576 bytes"]),
        (
            "a token for another SPC",
            (
                token_path,
                1,
                Fault::Ask(|mut ask| {
                    ask["atc"]["tkvalue"] = "MAigBhYEOTk5OQ".into();
                    ask
                }),
            ),
            &["for SPC 9999, not for SPC 1234"],
        ),
        (
            "a token for another key",
            (
                token_path,
                1,
                Fault::Ask(|mut ask| {
                    let text = ask["atc"]["fingerprint"]
                        .as_str()
                        .unwrap()
                        .replace(|c: char| c.is_ascii_digit(), "A");
                    ask["atc"]["fingerprint"] = text.replace("SHAAAA", "SHA256").into();
                    ask
                }),
            ),
            &["for another account key"],
        ),
        (
            "an expired token",
            (
                token_path,
                1,
                reply(token(folder, crl_signer, |_, claims| claims["exp"] = (now() - 3600).into())),
            ),
            &["it expired 36", "check this machine's clock"],
        ),
        (
            "a token for a CA",
            (
                token_path,
                1,
                reply(token(folder, crl_signer, |_, claims| claims["atc"]["ca"] = true.into())),
            ),
            &["for a CA certificate"],
        ),
        (
            "another signer",
            (token_path, 1, reply(token(folder, "lab/account-key.pem", |_, _| {}))),
            &["not signed by the STI-PA's certificate"],
        ),
        (
            "a signer of calls",
            (
                token_path,
                1,
                reply(token(folder, "lab/spc-1234-key.pem", |header, _| {
                    header["x5c"] = x5c("lab/spc-1234.pem")
                })),
            ),
            &["it signs calls, not tokens"],
        ),
        (
            "another STI-PA",
            (
                token_path,
                1,
                reply(token(folder, "other/crl-signer-key.pem", |header, _| {
                    header["x5c"] = x5c("other/crl-signer.pem")
                })),
            ),
            &["not one of sti_pa.anchors"],
        ),
        (
            "junk for a token",
            (token_path, 1, reply(b"{\"status\":\"success\",\"token\":\"junk\"}".to_vec())),
            &["the SPC token can't be used"],
        ),
        (
            "no token",
            (token_path, 1, reply(b"{\"status\":\"success\",\"tokens\":[]}".to_vec())),
            &["has no token, but status, tokens"],
        ),
        (
            "a directory of HTML",
            ("/acme/directory", always, Fault::Reply(200, "", html)),
            &["is not an ACME directory", "check acme.directory"],
        ),
        (
            "badNonce for ever",
            ("/acme/new-order", always, Fault::Reply(400, json, problem("badNonce", &json!({})))),
            &["badNonce"],
        ),
        (
            "rateLimited",
            (
                "/acme/new-order",
                always,
                Fault::Reply(429, "Retry-After: 86400\r\n", problem("rateLimited", &json!({}))),
            ),
            &["rateLimited", "try again in 86400 s"],
        ),
        (
            "subproblems",
            (
                "/acme/new-order",
                always,
                Fault::Reply(
                    403,
                    json,
                    problem(
                        "rejectedIdentifier",
                        &json!({ "subproblems": [{ "type": "urn:x", "detail": "SPC 1234 is blocked" }] }),
                    ),
                ),
            ),
            &["SPC 1234 is blocked", "acme.tkvalue"],
        ),
        (
            "no account",
            (
                "/acme/new-account",
                always,
                Fault::Reply(400, json, problem("accountDoesNotExist", &json!({}))),
            ),
            &["secsipidx enroll makes an account"],
        ),
        (
            "an account that was ended",
            (
                "/acme/new-account",
                always,
                Fault::Reply(
                    200,
                    "Location: http://127.0.0.1/a\r\n",
                    b"{\"status\":\"deactivated\"}".to_vec(),
                ),
            ),
            &["\"deactivated\"", "another account key"],
        ),
        (
            "no challenge of ours",
            (
                "/acme/authz",
                always,
                reply(b"{\"status\":\"pending\",\"challenges\":[{\"type\":\"dns-01\"}]}".to_vec()),
            ),
            &["does not offer the challenge tkauth-01", "dns-01"],
        ),
        (
            "an order that fails",
            (
                "/finalize",
                1,
                Fault::Reply(403, json, problem("badCSR", &json!({ "detail": "no such name" }))),
            ),
            &["no such name", "certificate.key"],
        ),
        (
            "another key's certificate",
            ("/acme/cert", always, Fault::Reply(200, "", folder.read("lab/spc-1234.pem").into())),
            &["for another key", "what is in force stays"],
        ),
        (
            "junk for a certificate",
            ("/acme/cert", always, Fault::Reply(200, "", b"junk".to_vec())),
            &["the CA's certificate is not used"],
        ),
        (
            "an endless certificate",
            ("/acme/cert", always, Fault::Endless),
            &["more than 1048576 bytes"],
        ),
    ];
    sti.edit("[http]", "[http]\ntimeout = 2");
    for (name, (path, times, fault), expected) in rows {
        sti.proxy().clear();
        sti.proxy().fault(path, times, fault);
        // Otherwise it would go on with the order of the row before.
        let _ = std::fs::remove_file(folder.join("lab/installed/key.pem.d/next/order"));
        let line = sti.failed("renew --force", QUICK);
        for part in expected {
            assert!(line.contains(part), "{name}: {line}");
        }
        assert_eq!(sti.in_force(), before, "{name}");
    }
    sti.proxy().clear();
    sti.done("renew --force");
    assert_ne!(sti.in_force(), before, "all is well again");
}

#[test]
fn what_a_ca_asks_for_is_done() {
    let sti = Sti::behind_a_proxy(&[]);
    let json = "Content-Type: application/json\r\n";
    sti.done("enroll");
    let rows: Vec<(&str, At)> = vec![
        ("401 in the middle", ("/account/1/token", 1, Fault::Reply(401, json, b"{}".to_vec()))),
        (
            "badNonce twice",
            ("/acme/new-order", 2, Fault::Reply(400, json, problem("badNonce", &json!({})))),
        ),
        (
            "rateLimited for a moment",
            (
                "/acme/new-order",
                1,
                Fault::Reply(429, "Retry-After: 1\r\n", problem("rateLimited", &json!({}))),
            ),
        ),
        (
            "busy for a moment",
            (
                "/finalize",
                1,
                Fault::Reply(503, "Retry-After: 1\r\n", problem("serverInternal", &json!({}))),
            ),
        ),
        (
            "an order that replaces nothing",
            ("/acme/new-order", 1, Fault::Reply(409, json, problem("alreadyReplaced", &json!({})))),
        ),
    ];
    for (name, (path, times, fault)) in rows {
        let before = sti.in_force();
        sti.proxy().fault(path, times, fault);
        sti.done("renew --force");
        assert_ne!(sti.in_force(), before, "{name}");
        sti.proxy().clear();
    }
    // A CA that takes long is not waited for for ever; the next run goes on from there.
    let before = sti.in_force();
    let pending = b"{\"status\":\"processing\",\"challenges\":[]}".to_vec();
    sti.proxy().fault("/acme/order/", usize::MAX, Fault::Reply(200, "Retry-After: 0\r\n", pending));
    let line = sti.failed("renew --force", QUICK);
    assert!(line.contains("still processing") && line.contains("goes on from here"), "{line}");
    assert_eq!(sti.in_force(), before);
    sti.proxy().clear();
    sti.done("renew --force");
    assert_ne!(sti.in_force(), before);
}

#[test]
fn another_providers_certificate_or_another_cas_is_not_installed() {
    let sti = Sti::behind_a_proxy(&[]);
    sti.folder.out("ca other --spc 1234");
    sti.done("enroll");
    let before = sti.in_force();
    for (key, certificate, expected) in [
        ("lab/spc-5678-key.pem", "lab/spc-5678.pem", "it is for the SPC \"5678\", not \"1234\""),
        ("other/spc-1234-key.pem", "other/spc-1234.pem", "does not lead to the STI-PA's list"),
    ] {
        let text = sti.folder.read(CONFIG);
        sti.edit("[certificate]", &format!("[certificate]\nkey = \"{key}\""));
        let body = sti.folder.read(certificate).into_bytes();
        sti.proxy().fault("/acme/cert", 1, Fault::Reply(200, "", body));
        let line = sti.failed("renew --force", QUICK);
        assert!(line.contains(expected), "{line}");
        assert_eq!(sti.in_force(), before);
        sti.folder.write(CONFIG, text);
    }
}

/// A list of the laboratory's root, signed by a key of this file.
fn list(folder: &Folder, signer: &str, change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut list = json!({
        "version": "1.0",
        "sequence": now() + 100,
        "exp": now() + 3600,
        "trustList": [folder.read("lab/root.pem")],
    });
    change(&mut list);
    let list = key(folder, signer).compact(&json!({ "alg": "ES256" }), &list).unwrap();
    json!({ "status": "success", "caList": list }).to_string().into_bytes()
}

#[test]
fn a_list_or_crl_that_is_not_good_replaces_nothing() {
    let sti = Sti::behind_a_proxy(&[]);
    let folder = &sti.folder;
    folder.out("ca other --spc 1234");
    // Lists and CRLs of the laboratory differ by their times, which have seconds.
    let later = || {
        let since = now();
        wait_for("a later second", || (now() > since).then_some(()));
    };
    later();
    sti.done("trust");
    let files = || {
        ["lab/trust/trust-list.jws", "lab/trust/crl.der"]
            .map(|name| std::fs::read(folder.join(name)).unwrap())
    };
    let before = files();
    let der = |from: &str, to: &str| {
        folder.openssl(&format!("crl -in {from} -outform DER -out {to}"));
        std::fs::read(folder.join(to)).unwrap()
    };
    let own = "lab/crl-signer-key.pem";
    let reply = |body| Fault::Reply(200, "", body);
    let rows: Vec<(&str, &str, Vec<u8>, &[&str])> = vec![
        (
            "another signer",
            "ca-list",
            list(folder, "other/crl-signer-key.pem", |_| {}),
            &["did not sign"],
        ),
        (
            "expired",
            "ca-list",
            list(folder, own, |list| list["exp"] = (now() - 1).into()),
            &["the new list of trusted CAs is not used"],
        ),
        (
            "older",
            "ca-list",
            list(folder, own, |list| list["sequence"] = 7.into()),
            &["older", "stays in force"],
        ),
        (
            "empty",
            "ca-list",
            list(folder, own, |list| list["trustList"] = json!([])),
            &["empty list"],
        ),
        (
            "no list",
            "ca-list",
            list(folder, own, |list| list["trustList"] = Value::Null),
            &["trustList"],
        ),
        ("HTML", "ca-list", b"<html>".to_vec(), &["<html>"]),
        ("failed", "ca-list", b"{\"status\":\"failed\"}".to_vec(), &["failed"]),
        (
            "another signer of a CRL",
            "/crl",
            der("other/crl-indirect.pem", "other.der"),
            &["the new CRL is not used", "stays in force"],
        ),
        (
            "an older CRL",
            "/crl",
            der("lab/crl-indirect.pem", "old.der"),
            &["older", "stays in force"],
        ),
        ("junk for a CRL", "/crl", b"junk".to_vec(), &["no CRL"]),
        ("an endless CRL", "/crl", Vec::new(), &["no CRL"]),
    ];
    for (name, path, body, expected) in rows {
        sti.proxy().clear();
        sti.proxy().fault(path, usize::MAX, reply(body));
        let before = files();
        // The other of the two is a new one, which is good.
        let line = sti.failed("trust --metrics m.prom", &[]);
        for part in expected {
            assert!(line.contains(part), "{name}: {line}");
        }
        let after = files();
        let kept = usize::from(path == "/crl");
        assert!(after[kept] == before[kept], "{name}");
        assert!(folder.read("m.prom").contains("secsipidx_sti_success 0"));
        assert!(folder.read("m.prom").contains("secsipidx_sti_list_entries 1"), "{name}");
    }
    sti.proxy().clear();
    later();
    sti.done("trust");
    assert!(files()[0] != before[0]);
}

#[test]
fn a_wrong_configuration_is_told_whole() {
    let sti = Sti::start(&[]);
    sti.edit("[sti_pa]", "typo = 1\n[sti_pa]\nurll = \"x\"");
    sti.edit("user = \"lab\"", "user = 7");
    sti.edit("spc = \"1234\"", "spc = \"12 34\"");
    sti.edit("country = \"US\"", "country = \"usa\"");
    sti.edit("keep_old = \"1d\"", "keep_old = \"soon\"");
    sti.edit("https://127.0.0.1", "http://ca.example");
    sti.edit("[http]", "[http]\nproxy = 3");
    let stderr = String::from_utf8(sti.run("renew --check").stderr).unwrap();
    for part in [
        "typo is unknown",
        "sti_pa.urll is unknown",
        "sti_pa.user can't be used",
        "certificate.spc \"12 34\" is not a service provider code",
        "certificate.country \"usa\" is not a country",
        "publish.keep_old \"soon\" is not a time",
        "sti_pa.url \"http://ca.example",
        "acme.directory \"http://ca.example",
        "publish.url can't be an x5u: x5u \"http://ca.example",
        "http.proxy can't be used",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    sti.folder.write(CONFIG, "[acme]\ndirectory = \"https://ca.example/\"\n");
    let stderr = String::from_utf8(sti.run("enroll --check").stderr).unwrap();
    for part in ["[sti_pa] is missing", "[install] is missing", "acme.account_key is missing"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
}

#[test]
fn files_that_are_not_there_are_told_whole() {
    let sti = Sti::start(&[]);
    sti.edit("lab/pa-password", "lab/nothing");
    sti.edit("lab/crl-signer.pem", "lab/crl-signer-key.pem");
    sti.edit("lab/cr\"", "lab/nowhere\"");
    let stderr = String::from_utf8(sti.run("keep --check").stderr).unwrap();
    for part in
        ["sti_pa.password_file", "trust.list_signer", "publish.folder", "is not a folder: make it"]
    {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert!(sti.failed("renew", &[]).contains("secsipidx enroll gets the first"));
}

#[test]
fn two_runs_at_once_and_folders_that_cant_be_written_change_nothing() {
    let sti = Sti::start(&[]);
    sti.done("enroll");
    let before = sti.in_force();
    let held = File::open(sti.folder.join("lab/installed/key.pem.d/lock")).unwrap();
    held.lock().unwrap();
    let line = sti.failed("renew --force", &[]);
    assert!(line.contains("another run is at work"), "{line}");
    drop(held);

    // A URL that serves nothing: no verifier would get it.
    sti.edit("/cr\"", "/elsewhere\"");
    std::fs::create_dir(sti.folder.join("lab/elsewhere")).unwrap();
    let line = sti.failed("renew --force", QUICK);
    assert!(
        line.contains("verifiers would not get it") && line.contains("publish.folder"),
        "{line}"
    );
    assert_eq!(sti.in_force(), before);
    // Where it is put right the certificate that was got is used.
    sti.edit("/elsewhere\"", "/cr\"");
    assert!(sti.done("renew").contains("in force"));
    let after = sti.in_force();
    assert_ne!(after, before);

    // A folder where a file is due.
    let name = sti.folder.join("lab/account-key.pem");
    std::fs::remove_file(&name).unwrap();
    let line = sti.failed("renew --force", &[]);
    assert!(line.contains("account key") && line.contains("secsipidx enroll"), "{line}");
    std::fs::create_dir(&name).unwrap();
    let line = sti.failed("renew --force", &[]);
    assert!(line.contains("can't be read"), "{line}");
    assert_eq!(sti.in_force(), after);
}
