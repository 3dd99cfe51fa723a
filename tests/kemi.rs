//! The Lua and Python scripts of cfg-examples/kemi: all thirteen exports.
#![allow(clippy::unwrap_used)]

mod support;

use support::kamailio::{free_port, modules_folder, our_module};
use support::{Answer, Folder, Http, Kamailio, Lab, Request, define, repository};

fn run(cfg: &str, script: &str) {
    let lab = Lab::new();
    let http = Http::start();
    let url = http.on("/cert.pem", Answer::Ok(lab.read("cert.pem").into()));
    let folder = Folder::new();
    std::fs::copy(our_module(), folder.join("secsipid.so")).unwrap();
    let text = repository(&format!("cfg-examples/kemi/{script}"))
        .replace("/etc/kamailio/shaken-key.pem", &lab.path("key.pem"))
        .replace("/etc/kamailio/shaken.pem", &lab.path("cert.pem"))
        .replace("https://certs.example.com/shaken.pem", &url);
    let path = folder.write(script, text);
    let port = free_port();
    let cfg = define(
        &repository(&format!("cfg-examples/kemi/{cfg}")),
        &[
            ("PORT", &port.to_string()),
            ("SECSIPID_MODULE", &folder.inside("secsipid.so")),
            ("MODULES_FOLDER", &format!("{}/", modules_folder())),
            ("SCRIPT", &path),
        ],
    );
    let mut kamailio = Kamailio::start_text(folder, port, &cfg, &[]);
    let processes = kamailio.processes();
    let request = Request::invite().header("P-Asserted-Identity", "<tel:+12155551212>");
    for _ in 0..4 {
        let reply = kamailio.udp().send(&request);
        for name in [
            "Build",
            "Check",
            "Verify",
            "Build-Key",
            "Sign",
            "Sign-Key",
            "Token",
            "Add",
            "Div",
            "Checked",
            "Verstat",
            "Identity",
            "Identity-Key",
        ] {
            assert_eq!(reply.number(&format!("X-{name}")), 1, "{name}: {reply:?}");
        }
        assert_eq!((reply.header("X-Attest"), reply.number("X-Bad")), ("A", -301));
        assert!(reply.header("X-Error").contains("1 parts"), "{reply:?}");
        // The call's header, and beside it the diversion's.
        assert_eq!(reply.number("X-Identities"), 2, "{reply:?}");
        assert!(reply.header("X-Div-Header").ends_with(";ppt=div"), "{reply:?}");
        assert_eq!(
            reply.header("X-Asserted"),
            "<tel:+12155551212;verstat=TN-Validation-Passed>",
            "{reply:?}"
        );
    }
    kamailio.assert_alive(&processes);
}

#[test]
fn lua() {
    run("kamailio-lua.cfg", "stir.lua");
}

#[test]
fn python() {
    run("kamailio-python.cfg", "stir.py");
}
