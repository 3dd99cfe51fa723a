//! What the HTTP service downloads, and opens, because a caller says so.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Read;
use std::path::Path;
use support::{Folder, LIMIT, Service, Silent};

/// A service that may ask hosts of this machine.
const LOOPBACK: &str =
    "[http]\nlisten = \"127.0.0.1:0\"\n[check]\nx5u_permit = \"127.0.0.0/8, ::1\"\n";

fn sign(folder: &Folder, x5u: &str) -> String {
    let line = format!("sign --key lab/spc-1234-key.pem --x5u {x5u} 12155550100 12025550100");
    folder.out(&line).trim().to_owned()
}

/// The rule on the certificate of the header field.
fn inspected(service: &Service, identity: &str) -> (String, String) {
    let body = serde_json::json!({"text": identity}).to_string();
    let shown = service.post("/v1/inspect", &body).json();
    let rules = shown["identities"][0]["rules"].as_array().unwrap();
    let had = rules.iter().find(|rule| rule["rule"] == "certificate can be had").unwrap();
    let text = |name: &str| had[name].as_str().unwrap().to_owned();
    (text("outcome"), text("text"))
}

#[test]
fn a_caller_names_no_file() {
    let folder = Folder::lab();
    assert!(folder.run("mkfifo", "fifo").status.success());
    let service = Service::start(&folder, LOOPBACK);
    let identity = sign(&folder, "https://e.org/c.pem");
    let path = |name: &str| folder.join(name).display().to_string();
    let file = path("lab/spc-1234.pem");
    // None of them is the x5u: the check ends before it would download.
    for info in
        [&file, &format!("file://localhost{file}"), &path("fifo"), "/proc/self/fd/2", "-", ""]
    {
        let (outcome, why) = inspected(&service, &identity.replace("https://e.org/c.pem", info));
        assert!(outcome == "fail" && why.ends_with("(-401)"), "{info}: {outcome} {why}");
    }
    // A URL is asked all the same: there is more to say than that it is another.
    let silent = Silent::new();
    std::thread::scope(|scope| {
        scope.spawn(|| silent.answer(&folder.read("lab/spc-1234.pem")));
        let identity = identity.replace("https://e.org/c.pem", &silent.1);
        assert_eq!(inspected(&service, &identity), ("pass".into(), silent.1.clone()));
    });
}

/// What a check of this header says.
fn checked(service: &Service, identity: &str) -> (i64, String) {
    let body = serde_json::json!({"identity": identity}).to_string();
    let report = service.post("/v1/verify", &body).json();
    let reason = report["reason"].as_str().unwrap_or_default().to_owned();
    (report["code"].as_i64().unwrap(), reason)
}

#[test]
fn strangers_have_public_addresses_asked_and_no_others() {
    let folder = Folder::lab();
    let certificate = folder.read("lab/spc-1234.pem");
    let silent = Silent::new();
    let identity = sign(&folder, &silent.1);
    let by_name = sign(&folder, &silent.1.replace("127.0.0.1", "localhost"));
    let start = |listen: &str, check: &str| {
        let config = format!("[http]\nlisten = \"{listen}:0\"\n[check]\n{check}");
        Service::start(&folder, &config)
    };
    let all = "0.0.0.0";
    let flags = |env: &[(&str, &Path)]| {
        Service::ours(&folder, &["-http-srv", "127.0.0.1:0", "-expire", "60"], env)
    };
    for (service, why) in [
        (start(all, ""), "x5u_permit would allow it"),
        (start(all, "x5u_permit = \"10.0.0.0/8, 127.0.0.2\""), "x5u_permit would allow it"),
        (
            start(all, "x5u_permit = \"127.0.0.0/8, ::1\"\nx5u_deny = \"127.0.0.1, ::1\""),
            "x5u_deny",
        ),
        (start("127.0.0.1", "x5u_deny = \"127.0.0.0/8, ::1\""), "x5u_deny"),
        (start("127.0.0.1", ""), "x5u_permit would allow it"),
        (start("127.0.0.1", "x5u_permit = \"10.0.0.0/8\""), "x5u_permit would allow it"),
        (flags(&[]), "x5u_permit would allow it"),
    ] {
        for (identity, code) in [(&identity, -401), (&by_name, -402)] {
            let (found, reason) = checked(&service, identity);
            assert!(found == code && reason.contains(why), "{why}: {found} {reason}");
        }
        // Its info is another URL than its x5u: the check ends before it would download.
        let (outcome, reason) = inspected(&service, &identity.replace(".pem>", ".pem?>"));
        assert!(outcome == "fail" && reason.contains(why), "{why}: {outcome} {reason}");
        assert_eq!(silent.asked(), 0, "{why}");
    }
    for service in [
        start(all, "x5u_permit = \"127.0.0.0/8\""),
        start("127.0.0.1", "x5u_permit = \"127.0.0.1\""),
        flags(&[("SECSIPIDX_X5U_PERMIT", Path::new("127.0.0.1"))]),
        // The operator's own key may be anywhere.
        start(all, &format!("key = \"{}\"", silent.1)),
    ] {
        std::thread::scope(|scope| {
            scope.spawn(|| silent.answer(&certificate));
            assert_eq!(checked(&service, &identity), (1, String::new()));
        });
    }
    let service = start("127.0.0.1", "x5u_permit = \"certs.example.com\"");
    let (code, reason) = checked(&service, &by_name);
    assert!(code == -401 && reason.contains("x5u_permit does not name its host"), "{reason}");
}

#[test]
fn all_downloads_of_a_request_share_its_time() {
    let folder = Folder::lab();
    let config = format!("{LOOPBACK}timeout = 1\n[limits]\nrequest_timeout = 25\n");
    let service = Service::start(&folder, &config);
    let silent = Silent::new();
    let identity = sign(&folder, &silent.1);
    // What is the same is looked at once.
    let identities: Vec<_> = (0..10).map(|n| format!("{identity};n={n}")).collect();
    let message: String = identities.iter().map(|one| format!("Identity: {one}\r\n")).collect();
    let body = serde_json::json!({"text": message}).to_string();
    let shown = service.post("/v1/inspect", &body).json();
    let reasons: Vec<_> = shown["identities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["verdict"]["reason"].as_str().unwrap())
        .collect();
    assert!(reasons[0].contains("no answer in 1 s"), "{reasons:?}");
    assert!(reasons.iter().skip(1).all(|why| why.contains("no time left")), "{reasons:?}");
    assert_eq!((reasons.len(), silent.asked()), (10, 1));

    // Another host, since the first is known not to answer.
    let silent = Silent::new();
    let identity = sign(&folder, &silent.1);
    let identities: Vec<_> = (0..10).map(|n| format!("{identity};n={n}")).collect();
    let body = serde_json::json!({"identities": identities}).to_string();
    let report = service.post("/v1/verify", &body).json();
    assert!(report["reason"].as_str().unwrap().contains("no time left"), "{report}");
    assert_eq!(silent.asked(), 1);
}

#[test]
fn a_download_leaves_no_connection_open() {
    let folder = Folder::lab();
    let service = Service::start(&folder, LOOPBACK);
    let silent = Silent::new();
    let identity = sign(&folder, &silent.1);
    let certificate = folder.read("lab/spc-1234.pem");
    std::thread::scope(|scope| {
        let answered = scope.spawn(|| silent.answer(&certificate));
        assert_eq!(checked(&service, &identity), (1, String::new()));
        let mut stream = answered.join().unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        assert_eq!(stream.read(&mut [0]).expect("closed"), 0);
    });
}

#[test]
fn a_host_that_failed_is_left_alone_for_some_time() {
    let folder = Folder::lab();
    let service = Service::start(&folder, &format!("{LOOPBACK}timeout = 5\n"));
    let silent = Silent::new();
    let identity = sign(&folder, &silent.1);
    for asked in [1, 0] {
        let (code, reason) = checked(&service, &identity);
        assert!(code == -402 && reason.contains("no answer in 5 s"), "{code} {reason}");
        assert_eq!(silent.asked(), asked);
    }
    // Another file of it may be there.
    let other = sign(&folder, &format!("{}?2", silent.1));
    std::thread::scope(|scope| {
        scope.spawn(|| silent.answer(&folder.read("lab/spc-1234.pem")));
        assert_eq!(checked(&service, &other), (1, String::new()));
    });
}
