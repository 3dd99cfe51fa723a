//! Policy shaken in a real Kamailio: cfg-examples/verify-atis.cfg and verify-france.cfg with a real
//! HTTPS server, and the script's side of the result.
#![allow(clippy::unwrap_used)]

mod support;

use stir::{Call, Checked, Clock, DivCall, PrivateKey, Signer};
use support::site::{Ago, Carrier};
use support::{Cfg, Kamailio, Module, Request, Site};

const ORIG: &str = "12155551212";
const DEST: &str = "12155551213";

impl Site {
    /// The serial number of the certificate, in OpenSSL's hexadecimal.
    fn serial(&self) -> String {
        let output = std::process::Command::new("openssl")
            .args(["x509", "-noout", "-serial", "-in"])
            .arg(self.lab.folder.join("cert.pem"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim().strip_prefix("serial=").unwrap().to_owned()
    }
}

fn call(identity: &str) -> Request {
    Request::invite().header("Identity", identity)
}

#[test]
fn atis_calls_go_on_with_their_verstat_and_reason() {
    let site = Site::new();
    let mut carrier = Carrier::new(&site, "cfg-examples/verify-atis.cfg", false);
    let processes = carrier.kamailio.processes();
    let good = site.signed(ORIG, DEST);

    let reply = carrier.send(&call(&good));
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(
        reply
            .header("X-From")
            .starts_with("<sip:+12155551212;verstat=TN-Validation-Passed@example.com>;tag="),
        "{reply:?}"
    );
    assert_eq!(reply.header("Reason"), "");

    // P-Asserted-Identity says who calls, and gets the verstat; what came from outside goes.
    let mut request = call(&good).header(
        "P-Asserted-Identity",
        "\"A\" <sip:(215)555-1212@example.com;user=phone>, <tel:+12155551212>",
    );
    request.from = "<sip:anonymous;verstat=TN-Validation-Passed@anonymous.invalid>".into();
    let reply = carrier.send(&request);
    assert_eq!(
        reply.header("X-Asserted"),
        "\"A\" <sip:(215)555-1212;verstat=TN-Validation-Passed@example.com;user=phone>, <tel:+12155551212;verstat=TN-Validation-Passed>"
    );
    assert!(reply.header("X-From").starts_with("<sip:anonymous@anonymous.invalid>"), "{reply:?}");

    // A number that is not the token's is not marked as verified, in whatever form it comes, and a
    // name in Latin-1 changes nothing.
    for (asserted, expected) in [
        ("\"J\u{f7f6}rg\" <tel:+12155551212>", "<tel:+12155551212;verstat=TN-Validation-Passed>"),
        ("tel:+12155551212;verstat=x", "<tel:+12155551212;verstat=TN-Validation-Passed>"),
    ] {
        let reply = carrier.send(&call(&good).header("P-Asserted-Identity", asserted));
        assert!(reply.header("X-Asserted").ends_with(expected), "{reply:?}");
        assert_eq!(reply.header("Reason"), "", "{reply:?}");
    }
    for (asserted, expected) in [
        (
            "\"J\u{f7f6}rg\" <tel:+12155550000;verstat=TN-Validation-Passed>",
            "<tel:+12155550000;verstat=No-TN-Validation>",
        ),
        (
            "<sip:+12155551212@h>, tel:+12155550000;verstat=TN-Validation-Passed",
            "<sip:+12155551212;verstat=No-TN-Validation@h>, <tel:+12155550000;verstat=No-TN-Validation>",
        ),
        ("\"open <tel:+12155551212;verstat=TN-Validation-Passed;x>", "\"open <tel:+12155551212;x>"),
    ] {
        let reply = carrier.send(&call(&good).header("P-Asserted-Identity", asserted));
        assert!(reply.header("X-Asserted").ends_with(expected), "{reply:?}");
        assert!(reply.header("Reason").starts_with("STIR ;cause=438"), "{reply:?}");
    }
    let mut named = call(&good);
    named.from = "\"Jos\u{f7e9}\" <sip:+12155551212@example.com>".into();
    assert_eq!(carrier.send(&named).header("Reason"), "");

    // One passes, and the answer says what was wrong with the other one.
    let stale = site.signed_ago(ORIG, DEST, &site.x5u, 90);
    let reply = carrier.send(&call(&good).header("Identity", &stale));
    assert!(reply.header("X-From").contains(";verstat=TN-Validation-Passed@"), "{reply:?}");
    assert!(reply.header("Reason").starts_with("STIR ;cause=403"), "{reply:?}");

    // Not verified: it goes on, and the answer says why.
    let flipped = good.replacen(";info", "A;info", 1);
    for (request, reason, verstat) in [
        (Request::invite(), "STIR ;cause=428 ;text=\"Use Identity Header\"", "No-TN-Validation"),
        (
            call(&flipped),
            "STIR ;cause=438 ;text=\"Invalid Identity Header\" ;ppi=\"..",
            "TN-Validation-Failed",
        ),
        (
            call(&site.signed_ago(ORIG, DEST, &site.x5u, 90)),
            "STIR ;cause=403 ;text=\"Stale Date\" ;ppi=\"..",
            "No-TN-Validation",
        ),
    ] {
        let reply = carrier.send(&request);
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(reply.header("Reason").starts_with(reason), "{reply:?}");
        assert!(reply.header("X-From").contains(&format!(";verstat={verstat}@")), "{reply:?}");
    }
    carrier.kamailio.assert_alive(&processes);
}

#[test]
fn what_was_checked_counts_for_its_own_message() {
    let site = Site::new();
    let cfg = site.params(Cfg::new(Module::Ours)).workers(1).route(
        r#"
        if ($hdr(Identity) != $null) secsipid_check_identity("");
        $var(code) = secsipid_set_verstat();
        append_to_reply("X-Code: $var(code)\r\nX-Error: $secsipid(error)\r\n");
        append_to_reply("X-Verstat: $secsipid(verstat)\r\nX-Attest: $secsipid(attest)\r\n");
        sl_send_reply("200", "OK");
        "#,
    );
    let kamailio = Kamailio::start(&cfg);
    let shown = |request| {
        let reply = kamailio.udp().send(&request);
        let header = |name| reply.header(name).to_owned();
        (reply.number("X-Code"), header("X-Verstat"), header("X-Attest"), header("X-Error"))
    };
    let (code, verstat, attest, _) = shown(call(&site.signed(ORIG, DEST)));
    assert_eq!((code, verstat.as_str(), attest.as_str()), (1, "TN-Validation-Passed", "A"));
    // The next one is not signed, and nothing is checked.
    let (code, verstat, attest, error) = shown(Request::invite());
    assert_eq!((code, verstat.as_str(), attest.as_str()), (-1, "<null>", "<null>"));
    assert!(error.contains("nothing of this message was checked"), "{error}");
}

#[test]
fn atis_calls_are_refused_with_their_code() {
    let site = Site::new();
    let mut carrier = Carrier::new(&site, "cfg-examples/verify-atis.cfg", true);
    let processes = carrier.kamailio.processes();
    let good = site.signed(ORIG, DEST);
    assert_eq!(carrier.send(&call(&good)).status, 200);
    let base = site.x5u.replace("/cert.pem", "");
    let other = |x5u: &str| call(&site.signed_ago(ORIG, DEST, x5u, 0));
    let mut another_caller = call(&good);
    another_caller.from = "<sip:+12155559999@example.com>".into();
    let mut another_called = call(&good);
    another_called.uri = "sip:+12155559999@example.org".into();
    another_called.to = "<sip:+12155559999@example.org>".into();
    site.lab.key("stranger-key.pem", "EC:P-256");
    site.lab.openssl("req -x509 -new -key stranger-key.pem -out stranger.pem -days 30 -subj /CN=X");
    for (name, request, status, reason) in [
        ("unsigned", Request::invite(), 428, "Use Identity Header"),
        ("stale", call(&site.signed_ago(ORIG, DEST, &site.x5u, 90)), 403, "Stale Date"),
        ("future", call(&site.signed_ago(ORIG, DEST, &site.x5u, -90)), 403, "Stale Date"),
        ("http", other("http://127.0.0.1/cert.pem"), 436, "Bad Identity Info"),
        ("port", other("https://127.0.0.1:444/cert.pem"), 436, "Bad Identity Info"),
        ("query", other(&format!("{}?a=b", site.x5u)), 436, "Bad Identity Info"),
        ("private", other("https://10.0.0.1/cert.pem"), 436, "Bad Identity Info"),
        ("refused", other(&base.replace(":8443", "/none.pem")), 436, "Bad Identity Info"),
        ("not PEM", other(&format!("{base}/web.cnf")), 437, "Unsupported Credential"),
        ("stranger", other(&format!("{base}/stranger.pem")), 437, "Unsupported Credential"),
        ("caller", another_caller, 438, "Invalid Identity Header"),
        ("called", another_called, 438, "Invalid Identity Header"),
        ("junk", call("a.b.c;info=<x>"), 438, "Invalid Identity Header"),
    ] {
        let reply = carrier.send(&request);
        assert_eq!((reply.status, reply.reason.as_str()), (status, reason), "{name}: {reply:?}");
    }
    // Ten digits are the same caller; one of two headers is enough; another extension is no harm.
    let mut national = call("a.b.c;info=<x>;ppt=other").header("Identity", "junk");
    national.headers.push(("y".into(), good));
    national.from = "<sip:2155551212@example.com>".into();
    assert_eq!(carrier.send(&national).status, 200);

    // Revoked while it runs.
    site.lab.crl("crl.pem", &["1234"]);
    let fresh = call(&site.signed(ORIG, DEST));
    support::wait_for("the revocation", std::time::Duration::from_secs(10), || {
        (carrier.send(&fresh).status == 437).then_some(())
    });
    carrier.kamailio.assert_alive(&processes);
}

#[test]
fn french_calls_have_national_and_long_numbers() {
    let site = Site::new();
    let carrier = Carrier::new(&site, "cfg-examples/verify-france.cfg", true);
    let identity = site.signed("33123456789", "3312345678901234");
    let request = |from: &str, uri: &str| {
        let mut request = call(&identity).header("P-Asserted-Identity", "<tel:+33999999999>");
        request.from = format!("<{from}>");
        request.uri = uri.into();
        request.to = "<sip:anyone@example.org>".into();
        carrier.send(&request)
    };
    // From before P-Asserted-Identity, the called ported and of 16 digits.
    for from in ["sip:+33123456789@example.com", "sip:0123456789@x", "tel:0033123456789"] {
        let reply = request(from, "sip:+3312345678901234;rn=x@example.org");
        assert_eq!(reply.status, 200, "{from}: {reply:?}");
    }
    assert_eq!(request("sip:0123456780@x", "sip:+3312345678901234@x").status, 438);
    assert_eq!(request("sip:0123456789@x", "sip:+331234567890123@x").status, 438);
}

#[test]
fn a_script_gets_one_result() {
    let site = Site::new();
    let names = [
        "ret",
        "code",
        "reason",
        "reason_hdr",
        "verstat",
        "step",
        "error",
        "attest",
        "origid",
        "orig",
        "dest",
        "iat",
        "x5u",
        "ppt",
        "spc",
        "subject",
        "issuer",
        "serial",
        "div",
        "rcd_nam",
        "header",
        "payload",
    ];
    let shown: String = names
        .iter()
        .map(|n| format!("append_to_reply(\"X-{n}: $secsipid({n})\\r\\n\");\n"))
        .collect();
    let cfg = site.params(Cfg::new(Module::Ours)).param("ppi", "full").route(&format!(
        "secsipid_check_identity(\"\");\n{shown}\nsl_send_reply(\"200\", \"OK\");"
    ));
    let kamailio = Kamailio::start(&cfg);
    let diverted = |from: &str, div: &str, to: &str, beside: &[&str]| {
        let call = DivCall { orig: from, dest: to, div, x5u: &site.x5u, identities: beside };
        let key = site.lab.read("key.pem");
        Signer::new(&Checked::default()).div_identity(&call, PrivateKey::Pem(&key)).unwrap()
    };
    let (before, origid) = (Ago(0).now(), "0f8fad5b-d9cb-469f-a165-70867728950e");
    let named = Call {
        orig: ORIG,
        dest: "12155550000",
        attest: "A",
        origid,
        x5u: &site.x5u,
        rcd_nam: None,
    };
    let key = site.lab.read("key.pem");
    let first = Signer::new(&Checked::default()).identity(&named, PrivateKey::Pem(&key)).unwrap();
    let after = Ago(0).now();
    let one = diverted(ORIG, "12155550000", "12155550001", &[&first]);
    let two = diverted(ORIG, "12155550001", DEST, &[&first, &one]);
    let request = Request::invite()
        .header("Identity", &two)
        .header("Identity", &first)
        .header("Identity", &one);
    let reply = kamailio.udp().send(&request);
    let iat = reply.number("X-iat");
    assert!((before..=after).contains(&iat), "{iat} is not from {before} to {after}");
    for (name, value) in [
        ("ret", "1"),
        ("code", "<null>"),
        ("reason", "<null>"),
        ("reason_hdr", "<null>"),
        ("verstat", "TN-Validation-Passed"),
        ("step", "<null>"),
        ("error", "<null>"),
        ("attest", "A"),
        ("origid", origid),
        ("orig", ORIG),
        ("dest", "12155550000"),
        ("x5u", &site.x5u),
        ("ppt", "shaken"),
        ("spc", "1234"),
        ("div", "12155550000,12155550001"),
        ("rcd_nam", "<null>"),
    ] {
        assert_eq!(reply.header(&format!("X-{name}")), value, "{name}: {reply:?}");
    }
    assert!(reply.header("X-subject").contains("CN=SHAKEN 1234"), "{reply:?}");
    assert!(reply.header("X-issuer").contains("CN=SHAKEN lab CA"), "{reply:?}");
    // As OpenSSL shows it.
    assert_eq!(reply.header("X-serial"), site.serial(), "{reply:?}");
    assert!(reply.header("X-header").starts_with("{\"alg\":\"ES256\""), "{reply:?}");
    assert!(reply.header("X-payload").contains("\"attest\":\"A\""), "{reply:?}");

    // A link is missing.
    let reply =
        kamailio.udp().send(&Request::invite().header("Identity", &first).header("Identity", &two));
    for (name, value) in [
        ("ret", "-503"),
        ("code", "438"),
        ("reason", "Invalid Identity Header"),
        ("verstat", "No-TN-Validation"),
        ("step", "div"),
    ] {
        assert_eq!(reply.header(&format!("X-{name}")), value, "{name}: {reply:?}");
    }
    let error = reply.header("X-error");
    assert!(error.contains("diverts from 12155550001"), "{error}");
    let token = first.split(';').next().unwrap();
    assert_eq!(
        reply.header("X-reason_hdr"),
        format!("STIR ;cause=438 ;text=\"Invalid Identity Header\" ;ppi=\"{token}\"")
    );
    // Nothing of it is left behind.
    let reply = kamailio.udp().send(&Request::invite());
    assert_eq!((reply.header("X-ret"), reply.header("X-attest")), ("-304", "<null>"));
}

#[test]
fn a_diverted_call_is_signed_and_verified_behind() {
    let site = Site::new();
    let (key, x5u) = (site.lab.path("key.pem"), &site.x5u);
    let cfg = site.params(Cfg::new(Module::Ours)).param("rcd_nam", "$fn").route(&format!(
        r#"
        $var(sign) = secsipid_add_identity("$fU", "$rU", "A", "", "{x5u}", "{key}");
        msg_apply_changes();
        $rU = "12155550001";
        $var(div) = secsipid_add_div("$fU", "$rU", "$tU", "{x5u}", "{key}");
        $var(same) = secsipid_add_div("$fU", "$tU", "$tU", "{x5u}", "{key}");
        $var(none) = secsipid_add_div("$fU", "12155550003", "12155550002", "{x5u}", "{key}");
        msg_apply_changes();
        $var(check) = secsipid_check_identity("");
        append_to_reply("X-Sign: $var(sign)\r\nX-Div: $var(div)\r\nX-Check: $var(check)\r\n");
        append_to_reply("X-Same: $var(same)\r\nX-None: $var(none)\r\nX-Date: $hdr(Date)\r\n");
        append_to_reply("X-Divs: $secsipid(div)\r\nX-Name: $secsipid(rcd_nam)\r\nX-Error: $secsipid(error)\r\n");
        sl_send_reply("200", "OK");
        "#
    ));
    let kamailio = Kamailio::start(&cfg);
    let mut request = Request::invite();
    request.from = "\"Q Branch\" <sip:+12155551212@example.com>".into();
    let reply = kamailio.udp().send(&request);
    assert_eq!((reply.number("X-Sign"), reply.number("X-Div")), (1, 1), "{reply:?}");
    assert_eq!((reply.number("X-Same"), reply.number("X-None")), (-503, -503), "{reply:?}");
    // The Request-URI of the message as it was received is no longer where the call goes.
    assert_eq!(reply.number("X-Check"), 1, "{reply:?}");
    assert_eq!(reply.header("X-Divs"), DEST);
    assert_eq!(reply.header("X-Name"), "Q Branch");
    assert!(reply.header("X-Date").ends_with(" GMT"), "{reply:?}");
}

#[test]
fn policy_shaken_asks_for_anchors() {
    let log = Kamailio::refused(&Cfg::new(Module::Ours).param("policy", "shaken"));
    assert!(log.contains("set trust_anchors"), "{log}");
    let log = Kamailio::refused(&Cfg::new(Module::Ours).param("policy", "strict"));
    assert!(log.contains("policy \"strict\""), "{log}");
}

#[test]
fn a_script_gets_what_further_tokens_tell() {
    let site = Site::new();
    let names = ["ret", "rcd_nam", "rcd_icn", "rcd_jcl", "rph", "sph", "reason_hdr"];
    let show: String =
        names.iter().map(|name| format!("X-{name}: $secsipid({name})\\r\\n")).collect();
    let kamailio = Kamailio::start(&site.params(Cfg::new(Module::Ours)).route(&format!(
        r#"
        secsipid_check_identity("");
        append_to_reply("{show}");
        sl_send_reply("200", "OK");
        "#
    )));
    let key = site.lab.read("key.pem");
    let beside = |ppt: &str, claims: &str| {
        let (iat, x5u) = (Ago(0).now(), &site.x5u);
        let header = format!(r#"{{"alg":"ES256","ppt":"{ppt}","typ":"passport","x5u":"{x5u}"}}"#);
        let payload = format!(
            r#"{{"dest":{{"tn":["{DEST}"]}},"iat":{iat},"orig":{{"tn":"{ORIG}"}},{claims}}}"#
        );
        let signer = Signer::new(&Checked::default());
        let token = signer.sign_json(&header, &payload, PrivateKey::Pem(&key)).unwrap();
        format!("{token};info=<{x5u}>;alg=ES256;ppt={ppt}")
    };
    let rcd = beside(
        "rcd",
        r#""rcd":{"icn":"https://x.example/i.png","jcl":"https://x.example/c.json","nam":"Q"}"#,
    );
    let rph = beside("rph", r#""rph":{"auth":["ets.0"]},"sph":"psap-callback""#);
    let good = site.signed(ORIG, DEST);
    for (priority, expected) in [("ets.0", "ets.0"), ("ets.1", "<null>")] {
        let request = call(&good)
            .header("Identity", &rcd)
            .header("Identity", &rph)
            .header("Resource-Priority", priority)
            .header("Priority", "psap-callback");
        let reply = kamailio.udp().send(&request);
        for (name, value) in [
            ("ret", "1"),
            ("rcd_nam", "Q"),
            ("rcd_icn", "https://x.example/i.png"),
            ("rcd_jcl", "https://x.example/c.json"),
            ("rph", expected),
            ("sph", "psap-callback"),
            ("reason_hdr", "<null>"),
        ] {
            assert_eq!(reply.header(&format!("X-{name}")), value, "{name}: {reply:?}");
        }
    }
}
