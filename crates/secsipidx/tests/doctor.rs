//! doctor, on an installation that is healthy but for its addresses, and on ones that are not.
#![allow(clippy::unwrap_used)]

#[path = "support/sti.rs"]
mod sti_lab;
mod support;

use serde_json::Value;
use sti_lab::{KEY, Sti};

/// The verdict and message of each check.
fn findings(sti: &Sti, line: &str) -> Vec<(String, String, String)> {
    let output = sti.folder.ours(&format!("doctor --json {line}"));
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (text(&one["check"]), text(&one["verdict"]), text(&one["message"])))
        .collect();
    let failed = all.iter().any(|(_, verdict, _)| verdict == "fail");
    assert_eq!(output.status.code(), Some(i32::from(failed)), "{all:?}");
    assert_eq!(report["healthy"], !failed);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("PRIVATE KEY"));
    all
}

#[test]
fn it_says_what_is_wrong_with_an_installation() {
    let sti = Sti::start(&[]);
    sti.done("enroll");
    let all = findings(&sti, "--config lab/sti.toml");
    // The laboratory's address is none that verifiers elsewhere ask; all else is well.
    for (check, verdict, message) in &all {
        assert_eq!(
            verdict == "pass",
            !message.contains("special-purpose") && !message.contains("port"),
            "{check}: {message}"
        );
    }
    for name in [
        "key",
        "certificate",
        "pair",
        "validity",
        "spc",
        "profile",
        "chain",
        "crl",
        "test call",
        "clock",
        "media type",
        "served",
    ] {
        assert!(
            all.iter().any(|(check, verdict, _)| check == name && verdict == "pass"),
            "{name}: {all:?}"
        );
    }

    let x5u = sti.in_force()[2].clone();
    let args = |key: &str, cert: &str| {
        format!("--key {key} --cert {cert} --x5u {x5u} --http-ca lab/root.pem --ca lab/root.pem")
    };
    let has = |line: &str, check: &str, verdict: &str, part: &str| {
        let all = findings(&sti, line);
        assert!(
            all.iter().any(|(c, v, m)| c == check && v == verdict && m.contains(part)),
            "{check} {verdict} {part}: {all:?}"
        );
    };
    // The account's key, which people take for the certificate's.
    let wrong = args("lab/account-key.pem", "lab/installed/cert.pem");
    has(&wrong, "pair", "fail", "do not belong together");
    has(&wrong, "test call", "fail", "");
    // Another certificate than the one that is published.
    let other = args("lab/spc-1234-key.pem", "lab/spc-1234.pem");
    has(&other, "served", "fail", "another certificate");
    has(&other, "pair", "pass", "");
    // No trust, no URL.
    has("--key lab/spc-1234-key.pem --cert lab/spc-1234.pem", "chain", "warn", "no trust anchors");
    has(&args("lab/nothing.pem", "lab/root-key.pem"), "key", "fail", "nothing.pem");
    has(&args(KEY, "lab/root-key.pem"), "certificate", "fail", "no PEM certificate");
    sti.folder.write("open.pem", sti.folder.read(KEY));
    has("--key open.pem", "key", "fail", "everybody can sign calls");
    sti.folder
        .write("hosts", format!("# x\n127.0.0.1:{}\nno-such-host.invalid\n", sti.service.port));
    has("--key open.pem --hosts hosts", "egress", "pass", "127.0.0.1");
    has("--key open.pem --hosts hosts", "egress", "fail", "no-such-host.invalid:443");
    let output = sti.folder.ours("doctor");
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing to look at"));
}
