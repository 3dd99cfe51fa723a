//! Records of calls: what a traceback asks for.

mod support;

use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use support::{CALL, Folder, Service, local, wait_for};

const JSON: &str = "Content-Type: application/json\r\n";

/// The lines of a file, as soon as there are so many.
fn lines(folder: &Folder, name: &str, count: usize) -> Vec<Value> {
    wait_for(name, || {
        let text = std::fs::read_to_string(folder.join(name)).ok()?;
        let whole = text.ends_with('\n') && text.lines().count() >= count;
        let read = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        whole.then(|| text.lines().map(read).collect())
    })
}

#[test]
fn each_call_is_a_line() {
    let folder = Folder::lab();
    let mut service = Service::start(&folder, &local("[records]\nfile = \"calls\"\n"));
    let reply = service.post("/v1/sign", CALL).json();
    let identity = reply["identity"].as_str().unwrap();
    assert_eq!(service.post("/v1/sign", &CALL.replace("+1 215 555 0100", "a b")).status, 400);
    assert_eq!(service.post("/v1/sign-csv", "12155550100,12025550100,B,,").status, 200);
    assert_eq!(service.post("/v1/check", identity).status, 200);
    let call = json!({"identity": identity, "from": "<sip:+12155550199@e.org>"});
    assert_eq!(service.post("/v1/verify", &call.to_string()).status, 200);
    let tn = json!({"tn": ["12025550100"]});
    let body = json!({"signingRequest":
        {"attest": "C", "orig": {"tn": "12155550100"}, "dest": tn, "origid": "abc"}});
    assert_eq!(service.post_with("/stir/v1/signing", JSON, &body.to_string()).status, 200);
    let body = json!({"verificationRequest":
        {"from": {"tn": "12155550100"}, "to": tn, "identity": identity}});
    assert_eq!(service.post_with("/stir/v1/verification", JSON, &body.to_string()).status, 200);
    let found = lines(&folder, "calls", 7);
    assert_eq!(found.len(), 7, "{found:?}");
    for (line, what, good, attest) in [
        (0, "sign", true, "A"),
        (1, "sign", false, "A"),
        (2, "sign", true, "B"),
        (3, "verify", true, "A"),
        (4, "verify", false, "A"),
        (5, "sign", true, "C"),
        (6, "verify", true, "A"),
    ] {
        let record = &found[line];
        assert_eq!(
            (&record["what"], &record["attest"]),
            (&json!(what), &json!(attest)),
            "{record}"
        );
        assert_eq!(record["code"] == 1, good, "{record}");
        assert_eq!(record["dest"], json!(["12025550100"]), "{record}");
        let orig = if line == 1 { "a b" } else { "12155550100" };
        assert_eq!(record["orig"], orig, "{record}");
        let time = record["time"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{record}");
        if line != 1 {
            assert_eq!(
                (&record["x5u"], &record["ppt"]),
                (&json!("https://e.org/c.pem"), &json!("shaken"))
            );
        }
    }
    assert_eq!(found[5]["origid"], "abc");
    assert_eq!(found[4]["sip"], 438, "{}", found[4]);
    let signature = identity.split([';', '.']).nth(2).unwrap();
    assert!(!folder.read("calls").contains(signature));
    let mode = std::fs::metadata(folder.join("calls")).unwrap().permissions().mode();
    assert_eq!(mode & 0o027, 0, "{mode:o}");
    let metrics = service.get("/metrics").body;
    assert!(metrics.contains("\nsecsipidx_records_lost_total 0\n"), "{metrics}");

    // What logrotate renames goes on in a new file, and the end loses nothing.
    std::fs::rename(folder.join("calls"), folder.join("calls.old")).unwrap();
    service.post("/v1/sign", CALL);
    service.signal("-TERM");
    assert!(service.wait().success());
    assert_eq!(lines(&folder, "calls", 1).len(), 1);
}

#[test]
fn a_full_file_becomes_an_old_one() {
    let folder = Folder::lab();
    let filled = |letter: &str| format!("{}\n", letter.repeat(1024 * 1024 - 1));
    folder.write("calls", filled("a"));
    folder.write("calls.1", "b\n");
    folder.write("calls.2", "c\n");
    let config = local("[records]\nfile = \"calls\"\nmax_size = 1\nkeep = 2\n");
    let service = Service::start(&folder, &config);
    service.post("/v1/sign", CALL);
    assert_eq!(lines(&folder, "calls", 1).len(), 1);
    assert!(folder.read("calls.1") == filled("a") && folder.read("calls.2") == "b\n");
    assert!(!folder.join("calls.3").exists());
}

#[test]
fn a_full_disk_costs_lines_and_no_call() {
    let folder = Folder::lab();
    let service = Service::start(&folder, &local("[records]\nfile = \"/dev/full\"\n"));
    for _ in 0..2 {
        assert_eq!(service.post("/v1/sign", CALL).status, 200);
    }
    let line = service.logged("records are lost");
    assert!(line.contains("ERROR") && line.contains("/dev/full"), "{line}");
    wait_for("the count", || {
        service.get("/metrics").body.contains("\nsecsipidx_records_lost_total 2\n").then_some(())
    });
}
