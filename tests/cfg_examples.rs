//! cfg-examples/sign.cfg and verify.cfg, one behind the other as two carriers would be, with a
//! called party behind them that answers with what arrived.
#![allow(clippy::unwrap_used)]

mod support;

use support::kamailio::{free_port, modules_folder, our_module};
use support::{
    Answer, Cfg, Folder, Http, Kamailio, Lab, Module, Reply, Request, define, repository,
};

/// A cfg of the repository, with `more` put into its definitions.
fn run(text: &str, more: &[(&str, &str)]) -> Kamailio {
    let folder = Folder::new();
    std::fs::copy(our_module(), folder.join("secsipid.so")).unwrap();
    let port = free_port();
    let cfg = define(
        text,
        &[
            ("LISTEN", &format!("udp:127.0.0.1:{port}")),
            ("SECSIPID_MODULE", &folder.inside("secsipid.so")),
            ("MODULES_FOLDER", &format!("{}/", modules_folder())),
        ],
    );
    Kamailio::start_text(folder, port, &define(&cfg, more), &[])
}

fn to(kamailio: &Kamailio) -> String {
    format!("sip:127.0.0.1:{}", kamailio.port)
}

/// Answers every call with its headers.
fn called() -> Kamailio {
    Kamailio::start(&Cfg::new(Module::Without).route(
        r#"
        append_to_reply("X-Identity: $hdr(Identity)\r\nX-Verstat: $hdr(X-Verstat)\r\n");
        append_to_reply("X-Attest: $hdr(X-Attest)\r\nX-Route: $hdr(Record-Route)\r\n");
        sl_send_reply("200", "OK");
        "#,
    ))
}

/// The way of a call: signed, verified, answered.
struct Way {
    lab: Lab,
    http: Http,
    sign: Kamailio,
    verify: Kamailio,
    called: Kamailio,
}

impl Way {
    /// With these lines of verify.cfg uncommented.
    fn new(policy: &[&str]) -> Self {
        let (lab, http, called) = (Lab::new(), Http::start(), called());
        let url = http.on("/cert.pem", Answer::Ok(lab.read("cert.pem").into()));
        let mut text = repository("cfg-examples/verify.cfg");
        for name in policy {
            let line = format!("##!define {name}\n");
            assert!(text.contains(&line), "verify.cfg offers no {name}");
            text = text.replace(&line, &line[1..]);
        }
        let verify = run(&text, &[("NEXT_HOP", &to(&called)), ("CA_FILE", &lab.path("ca.pem"))]);
        let sign = run(
            &repository("cfg-examples/sign.cfg"),
            &[("NEXT_HOP", &to(&verify)), ("KEY_FILE", &lab.path("key.pem")), ("CERT_URL", &url)],
        );
        Self { lab, http, sign, verify, called }
    }

    /// The Identity header of a default call, signed by another of our customers.
    fn identity(&self) -> String {
        self.sign.udp().send(&Request::invite()).header("X-Identity").to_owned()
    }
}

/// A header that was signed an hour ago.
fn stale(way: &Way, url: &str) -> String {
    let key = way.lab.path("key.pem");
    let kamailio = Kamailio::start(&Cfg::new(Module::Ours).route(&format!(
        r#"
        $var(iat) = $Ts - 3600;
        secsipid_sign("{{\"alg\":\"ES256\",\"ppt\":\"shaken\",\"typ\":\"passport\",\"x5u\":\"{url}\"}}",
            "{{\"attest\":\"A\",\"dest\":{{\"tn\":[\"12155551213\"]}},\"iat\":$var(iat),\"orig\":{{\"tn\":\"12155551212\"}},\"origid\":\"o\"}}",
            "{key}");
        append_to_reply("X-Token: $secsipid(val)\r\n");
        sl_send_reply("200", "OK");
        "#
    )));
    let reply = kamailio.udp().send(&Request::invite());
    format!("{};info=<{url}>;alg=ES256;ppt=shaken", reply.header("X-Token"))
}

/// That a reply has passed all of it, with this verdict.
fn assert_verdict(reply: &Reply, verdict: &str, attest: &str) {
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(
        (reply.header("X-Verstat"), reply.header("X-Attest")),
        (verdict, attest),
        "{reply:?}"
    );
}

#[test]
fn a_call_is_signed_by_one_and_verified_by_the_other() {
    let mut way = Way::new(&[]);
    let before = (way.sign.processes(), way.verify.processes());
    let reply = way.sign.udp().send(&Request::invite());
    assert_verdict(&reply, "TN-Validation-Passed", "A");
    assert!(reply.header("X-Identity").contains(";info=<http://127.0.0.1:"), "{reply:?}");
    assert!(reply.header("X-Route").contains("127.0.0.1"), "{reply:?}");
    assert_eq!(way.http.count("/cert.pem"), 1);
    way.verify.wait_for_log("from +12155551212: TN-Validation-Passed, attestation A");

    // Anonymous in From: the caller is in P-Asserted-Identity.
    let mut request = Request::invite()
        .header("P-Asserted-Identity", "<sip:+12155551299;npdi@example.com;user=phone>");
    request.from = "\"Anonymous\" <sip:anonymous@anonymous.invalid>".into();
    let reply = way.sign.udp().send(&request);
    assert_verdict(&reply, "TN-Validation-Passed", "A");

    // What is not to be signed goes out unsigned.
    request.headers.clear();
    let reply = way.sign.udp().send(&request);
    assert_verdict(&reply, "No-TN-Validation", "<null>");
    assert_eq!(reply.header("X-Identity"), "<null>");
    way.sign.wait_for_log("goes out unsigned: ");

    // What is signed already is not signed again.
    let identity = way.identity().replace('A', "B");
    let reply = way.sign.udp().send(&Request::invite().header("Identity", identity.as_str()));
    assert_eq!(reply.header("X-Identity"), identity);
    way.sign.assert_alive(&before.0);
    way.verify.assert_alive(&before.1);
    for log in [way.sign.stop(), way.verify.stop()] {
        let errors: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("ERROR") || line.contains("CRITICAL"))
            .filter(|line| !line.contains("not signed: ") && !line.contains("goes out unsigned"))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

#[test]
fn calls_that_do_not_verify_go_on_with_the_verdict() {
    let way = Way::new(&[]);
    let verify = way.verify.udp();
    let claimed =
        Request::invite().header("X-Verstat", "TN-Validation-Passed").header("X-Attest", "A");
    assert_verdict(&verify.send(&claimed), "No-TN-Validation", "<null>");
    way.verify.wait_for_log("No-TN-Validation, the message has no Identity header (-1)");

    let failed = |request: Request, why: &str| {
        assert_verdict(&verify.send(&request), "No-TN-Validation", "<null>");
        way.verify.wait_for_log(why);
    };
    let identity = way.identity();
    failed(claimed.clone().header("Identity", "junk"), "(-301)");
    failed(claimed.clone().header("y", ""), "(-304)");
    let mut other = Request::invite().header("Identity", identity.as_str());
    other.from = "<sip:+12155559999@example.com>".into();
    failed(other, "the token is of the caller 12155551212 (-1)");
    let mut other = Request::invite().header("Identity", identity.as_str());
    other.to = "<sip:+12155559999@example.com>".into();
    failed(other, "the token is for the called 12155551213 (-1)");
    // Who comes after might read the other one.
    for asserted in [
        &["<sip:+12155551212@a>", "<sip:+12155559999@a>"][..],
        &["<sip:+12155551212@a>, <sip:+12155559999@a>"],
        &["sip:+12155551212@a, tel:+12155559999"],
        &["", "<sip:+12155559999@a>"],
        &["<sip:+12155559999@a"],
    ] {
        let signed = Request::invite().header("Identity", identity.as_str());
        let request = asserted
            .iter()
            .fold(signed, |request, value| request.header("P-Asserted-Identity", *value));
        failed(request, "P-Asserted-Identity names not one caller (-1)");
    }
    for user in ["%312155551212", "+1x2155551212"] {
        let mut other = Request::invite().header("Identity", identity.as_str());
        other.from = format!("<sip:{user}@example.com>");
        failed(other, "the token is of the caller 12155551212 (-1)");
    }
    let named = Request::invite()
        .header("Identity", identity.as_str())
        .header("P-Asserted-Identity", "\"Doe, J.\" <sip:+1-215-555-1212;npdi@example.com>");
    assert_verdict(&verify.send(&named), "TN-Validation-Passed", "A");
    // Its signature is bad, which says more than that nothing is known.
    let forged = Request::invite().header("Identity", identity.replacen(";info", "A;info", 1));
    assert_verdict(&verify.send(&forged), "TN-Validation-Failed", "<null>");
    let good = Request::invite().header("y", identity.as_str());
    assert_verdict(&verify.send(&good), "TN-Validation-Passed", "A");
}

#[test]
fn calls_are_refused_if_the_policy_says_so() {
    let way = Way::new(&["REJECT_UNSIGNED", "REJECT_INVALID"]);
    let verify = way.verify.udp();
    let good = Request::invite().header("Identity", way.identity());
    assert_verdict(&verify.send(&good), "TN-Validation-Passed", "A");
    // Nobody vouches for this one's certificate.
    let stranger = Lab::new();
    let unknown = way.http.on("/unknown.pem", Answer::Ok(stranger.read("cert.pem").into()));
    let known = format!("http://127.0.0.1:{}/cert.pem", way.http.port);
    let (key, strange) = (way.lab.path("key.pem"), stranger.path("key.pem"));
    let missing = way.http.on("/missing.pem", Answer::Status(404));
    let sign = |key: &str, url: &str| {
        let kamailio = run(
            &repository("cfg-examples/sign.cfg"),
            &[("NEXT_HOP", &to(&way.called)), ("KEY_FILE", key), ("CERT_URL", url)],
        );
        kamailio.udp().send(&Request::invite()).header("X-Identity").to_owned()
    };
    for (identity, status, reason) in [
        (None, 428, "Use Identity Header"),
        (Some("junk".into()), 438, "Invalid Identity Header"),
        (Some(sign(&key, &missing)), 436, "Bad Identity Info"),
        (Some(sign(&strange, &unknown)), 437, "Unsupported Credential"),
        // Signed with another key than the certificate's.
        (Some(sign(&strange, &known)), 438, "Invalid Identity Header"),
        (Some(stale(&way, &known)), 403, "Stale Date"),
    ] {
        let mut request = Request::invite();
        if let Some(identity) = identity {
            request = request.header("Identity", identity);
        }
        let reply = verify.send(&request);
        assert_eq!((reply.status, reply.reason.as_str()), (status, reason));
    }
}
