//! The module in a real Kamailio, as a script sees it.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Answer, Cfg, Http, Kamailio, Lab, Module, Request};

/// Signs the call, then checks it by every way there is.
#[test]
fn a_call_is_signed_and_checked() {
    let lab = Lab::new();
    let http = Http::start();
    let x5u = http.on("/cert.pem", Answer::Ok(lab.read("cert.pem").into()));
    let (key, cert) = (lab.path("key.pem"), lab.path("cert.pem"));
    let cfg = Cfg::new(Module::Ours).workers(2).route(&format!(
        r#"
        secsipid_add_identity("$fU", "$rU", "A", "", "{x5u}", "{key}");
        msg_apply_changes();
        $var(file) = secsipid_check_identity("{cert}");
        $var(info) = secsipid_check_identity("");
        append_to_reply("X-File: $var(file)\r\nX-Info: $var(info)\r\nX-Ret: $secsipid(ret)\r\n");
        append_to_reply("X-Attest: $secsipid(attest)\r\nX-Orig: $secsipid(orig)\r\nX-Dest: $secsipid(dest)\r\n");
        append_to_reply("X-Iat: $secsipid(iat)\r\nX-X5u: $secsipid(x5u)\r\nX-Ppt: $secsipid(ppt)\r\nX-Error: $secsipid(error)\r\n");
        sl_send_reply("200", "OK");
        "#
    ));
    let mut kamailio = Kamailio::start(&cfg);
    let processes = kamailio.processes();
    for _ in 0..20 {
        let reply = kamailio.udp().send(&Request::invite());
        assert_eq!(
            (reply.number("X-File"), reply.number("X-Info"), reply.number("X-Ret")),
            (1, 1, 1),
            "{reply:?}"
        );
        assert_eq!(reply.header("X-Attest"), "A");
        assert_eq!(
            (reply.header("X-Orig"), reply.header("X-Dest")),
            ("12155551212", "12155551213")
        );
        assert_eq!((reply.header("X-X5u"), reply.header("X-Ppt")), (x5u.as_str(), "shaken"));
        assert!(reply.number("X-Iat") > 1_700_000_000);
        assert_eq!(reply.header("X-Error"), "<null>");
    }
    let downloads = http.count("/cert.pem");
    assert!((1..=2).contains(&downloads), "{downloads} downloads for two workers");
    kamailio.assert_alive(&processes);
}
