//! What the HTTP service downloads, and opens, because a caller says so.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Folder, Service, Silent};

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
    let service = Service::start(&folder, "[http]\nlisten = \"127.0.0.1:0\"\n");
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
