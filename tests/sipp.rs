//! SIPp as the other carrier: calls on the wire, each with an Identity header of its own, to
//! cfg-examples/verify-atis.cfg. What an answer must be is in tests/sipp/*.xml.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::kamailio::free_port;
use support::site::{Carrier, Site};
use support::wait_for;

const CALLS: usize = 200;
const CALLS_A_SECOND: usize = 100;

/// Makes the calls of a scenario; what Kamailio says of each: its Call-ID and the rest of the line.
fn calls(scenario: &str, reject: bool, change: impl Fn(String) -> String) -> Vec<String> {
    let site = Site::new();
    let mut carrier = Carrier::new(&site, "cfg-examples/verify-atis.cfg", reject);
    let processes = carrier.kamailio.processes();
    let mut identities = String::from("SEQUENTIAL\n");
    for _ in 0..CALLS {
        // Four parts, each a field of the scenario's.
        let identity = change(site.signed("12155551212", "12155551213"));
        assert_eq!(identity.split(';').count(), 4, "{identity}");
        identities.push_str(&identity);
        identities.push('\n');
    }
    let folder = &site.lab.folder;
    std::fs::write(folder.join("identities.csv"), identities).unwrap();
    let output = Command::new("sipp")
        .arg(format!("127.0.0.1:{}", carrier.kamailio.port))
        .arg("-sf")
        .arg(format!("{}/tests/sipp/{scenario}.xml", env!("CARGO_MANIFEST_DIR")))
        .args(["-inf", "identities.csv"])
        .args(["-i", "127.0.0.1", "-p", &free_port().to_string()])
        .args(["-m", &CALLS.to_string(), "-r", &CALLS_A_SECOND.to_string()])
        // Fails if it is not done by then.
        .args(["-timeout", "60s", "-timeout_error"])
        .args(["-nostdin", "-trace_err", "-error_file", "errors.log"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("sipp can't run ({e}): run make deps"));
    let errors = std::fs::read_to_string(folder.join("errors.log")).unwrap_or_default();
    // 0 is: every call went as the scenario says.
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        errors.lines().take(40).collect::<Vec<_>>().join("\n")
    );
    carrier.kamailio.assert_alive(&processes);
    // The last reply may overtake its line.
    wait_for("a line for every call", Duration::from_secs(10), || {
        let log = carrier.kamailio.log();
        let lines: Vec<String> =
            log.lines().filter_map(|line| Some(line.split_once(": call ")?.1.to_owned())).collect();
        (lines.len() >= CALLS).then_some(lines)
    })
}

/// That there was a line for every call, and that all say this.
fn assert_all(lines: &[String], verdict: &str) {
    let calls: HashSet<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(calls.len(), CALLS);
    let other = lines.iter().find(|line| !line.contains(verdict));
    assert_eq!(other, None, "{verdict}");
}

/// The same with another signature.
fn tampered(identity: String) -> String {
    let end = identity.find(';').unwrap();
    let at = end - 40;
    let other = if &identity[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &identity[..at], &identity[at + 1..])
}

#[test]
fn signed_calls_are_answered_with_their_verstat() {
    let lines = calls("passed", false, |identity| identity);
    assert_all(&lines, ": TN-Validation-Passed, attestation A, SPC 1234");
}

#[test]
fn tampered_calls_are_answered_with_a_reason() {
    let lines = calls("noted", false, tampered);
    assert_all(&lines, ": TN-Validation-Failed, signature: ");
}

#[test]
fn tampered_calls_are_refused_with_438() {
    let lines = calls("refused", true, tampered);
    assert_all(&lines, ": TN-Validation-Failed, signature: ");
}
