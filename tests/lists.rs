//! Trust lists and CRLs as administrators serve them, in a real Kamailio: France's documents with
//! cfg-examples/verify-france.cfg, lists that are replaced and that run out, CRLs that are bad.
#![allow(clippy::unwrap_used)]

#[path = "../crates/stir/tests/pki/mod.rs"]
mod pki;
#[path = "support/sti.rs"]
mod sti;
mod support;

use pki::{CrlSpec, DAY, Key, Spec};
use std::time::Duration;
use sti::{SERIAL, Sti, envelope, flattened, list, pa_name, root_name};
use support::kamailio::rpc_value;
use support::site::Carrier;
use support::{Cfg, Kamailio, Module, Reply, Request, Site, wait_for};

const ORIG: &str = "12155551212";
const DEST: &str = "12155551213";
/// Workers, to see that one process speaks for all.
const WORKERS: u32 = 4;

/// Policy shaken with the administrator's documents, and a route that shows the verdict.
fn cfg(sti: &Sti) -> Cfg {
    Cfg::new(Module::Ours)
        .workers(WORKERS)
        .control(&sti.path("ctl"))
        .param("policy", "shaken")
        .param("trust_anchors", sti.path("ca.json"))
        .param("trust_anchors_key", sti.path("signer.pem"))
        .param("trust_intermediates", sti.path("between"))
        .param("crl", sti.path("crls"))
        .param("http_ca_file", sti.site.lab.path("ca.pem"))
        .param("x5u_permit", "127.0.0.0/8")
        .route(
            r#"
            secsipid_check_identity("");
            append_to_reply("X-Ret: $secsipid(ret)\r\nX-Error: $secsipid(error)\r\n");
            append_to_reply("X-Step: $secsipid(step)\r\nX-Code: $secsipid(code)\r\n");
            sl_send_reply("200", "OK");
            "#,
        )
}

fn check(sti: &Sti, kamailio: &Kamailio) -> Reply {
    kamailio.udp().send(&sti.call(ORIG, DEST))
}

/// Waits until calls are answered with this code: files are looked at once a second.
fn wait_for_code(sti: &Sti, kamailio: &Kamailio, code: i64) -> Reply {
    wait_for(&format!("code {code}"), Duration::from_secs(20), || {
        let reply = check(sti, kamailio);
        (reply.number("X-Ret") == code).then_some(reply)
    })
}

fn ask(sti: &Sti, kamailio: &Kamailio, words: &[&str]) -> String {
    kamailio.kamcmd(&sti.path("ctl"), words)
}

fn lines<'a>(log: &'a str, text: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.contains("ERROR") && line.contains(text)).collect()
}

#[test]
fn a_french_call_verifies_with_the_administrator_s_documents() {
    let sti = Sti::new();
    sti.documents();
    let values = [
        ("TRUST_ANCHORS", sti.path("ca.json")),
        ("LIST_SIGNER", sti.path("signer.pem")),
        ("INTERMEDIATES", sti.path("between")),
        ("CRL_FILE", sti.path("crls")),
    ];
    let carrier = Carrier::with(&sti.site, "cfg-examples/verify-france.cfg", true, &values);
    let send = || {
        let mut request = sti.call("33123456789", "33198765432");
        request.from = "<sip:0123456789@op.example>".into();
        request.uri = "sip:+33198765432@example.org".into();
        request.to = "<sip:+33198765432@example.org>".into();
        carrier.send(&request)
    };
    let reply = send();
    assert_eq!(reply.status, 200, "{reply:?}\n{}", carrier.kamailio.log());
    assert!(reply.header("X-From").contains("verstat=TN-Validation-Passed"), "{reply:?}");
    // On the administrator's CRL of signers.
    sti.write("crls/crl", sti.crl(&pa_name(), &sti.pa.key, &[SERIAL]));
    wait_for("the revocation", Duration::from_secs(20), || (send().status == 437).then_some(()));
    sti.write("crls/crl", sti.crl(&pa_name(), &sti.pa.key, &[]));
    wait_for("the call again", Duration::from_secs(20), || (send().status == 200).then_some(()));
    // And on that of CAs.
    sti.write("crls/ca-crl", sti.crl(&root_name(), &sti.root.key, &[&[0x28]]));
    wait_for("the CA's", Duration::from_secs(20), || (send().status == 437).then_some(()));
}

#[test]
fn lists_are_read_as_they_are_served() {
    let sti = Sti::new();
    sti.documents();
    let anchors =
        |key: &Key| list(key, "trustList", 1, sti.now + DAY, std::slice::from_ref(&sti.root.der));
    let second = Key::p256();
    let own = |key: &Key, ends: i64| {
        let spec = Spec::ca("CN=PA 2", "CN=PA 2");
        let spec = spec.extensions(&[pki::basic_constraints(false, None), pki::key_usage(&[0])]);
        spec.valid(sti.now - 300 * DAY, ends).issue(key, key)
    };
    let good = own(&second, sti.now + DAY);
    let starts = |name: &str, text: String, key: &[Vec<u8>]| {
        sti.write("ca.json", text);
        let key = sti.write("list-signer.pem", pki::certificates(key));
        // The other lists have the administrator's own signer.
        let cfg = cfg(&sti)
            .param("trust_anchors_key", key)
            .param("trust_intermediates_key", sti.path("signer.pem"));
        let kamailio = Kamailio::start(&cfg);
        let reply = check(&sti, &kamailio);
        assert_eq!(reply.number("X-Ret"), 1, "{name}: {reply:?}");
        cfg
    };
    let pa = sti.pa.der.clone();
    let parts = anchors(&sti.pa.key);
    starts("envelope", envelope(&parts), std::slice::from_ref(&pa));
    starts("flattened", format!("\u{feff}{}\n", flattened(&parts)), std::slice::from_ref(&pa));
    // The second of two signers, and one that leads to the root in the file.
    let cfg = starts("two", anchors(&second).join("."), &[pa.clone(), good]);
    sti.write("ca.json.signer", pki::certificates(std::slice::from_ref(&pa)));
    starts("root", parts.join("."), std::slice::from_ref(&sti.root.der));

    // A signer of the past.
    sti.write("ca.json", anchors(&second).join("."));
    let past = own(&second, sti.now - DAY);
    sti.write("list-signer.pem", pki::certificates(&[pa, past]));
    let log = Kamailio::refused(&cfg);
    let [line] = lines(&log, "trust_anchors")[..] else { panic!("{log}") };
    assert!(line.contains("which expired at"), "{line}");
}

#[test]
fn a_list_that_runs_out_stays_in_force_for_a_while() {
    let sti = Sti::new();
    sti.documents();
    let write = |sequence, ends| {
        let parts =
            list(&sti.pa.key, "trustList", sequence, ends, std::slice::from_ref(&sti.root.der));
        sti.write("ca.json", flattened(&parts));
    };
    let start = sti::now();
    write(1, start + 6);
    let cfg = cfg(&sti).param("trust_anchors_stale", 14);
    let kamailio = Kamailio::start(&cfg);
    assert_eq!(check(&sti, &kamailio).number("X-Ret"), 1);
    assert!(kamailio.wait_for_log("the list runs out at").contains("ERROR"));
    assert_eq!(rpc_value(&ask(&sti, &kamailio, &["secsipid.stats"]), "lists_ending"), "1");
    // It ran out, and calls go on; also after a restart.
    kamailio.wait_for_log("it stays in force until");
    for _ in 0..8 {
        assert_eq!(check(&sti, &kamailio).number("X-Ret"), 1);
    }
    let log = kamailio.stop();
    for text in ["the list runs out at", "it stays in force until"] {
        assert_eq!(lines(&log, text).len(), 1, "one line of all processes: {log}");
    }
    let kamailio = Kamailio::start(&cfg);
    let reply = check(&sti, &kamailio);
    assert_eq!(reply.number("X-Ret"), 1, "{reply:?}");
    kamailio.wait_for_log("it stays in force until");
    // Then it is over, until there is a new one.
    let reply = wait_for_code(&sti, &kamailio, -105);
    assert_eq!((reply.header("X-Step"), reply.header("X-Code")), ("trust", "500"), "{reply:?}");
    assert!(reply.header("X-Error").contains("is no longer in force"), "{reply:?}");
    kamailio.wait_for_log("is no longer in force");
    write(2, sti::now() + 30 * DAY);
    wait_for_code(&sti, &kamailio, 1);
    let ending = || rpc_value(&ask(&sti, &kamailio, &["secsipid.stats"]), "lists_ending") == "0";
    wait_for("no list that ends", Duration::from_secs(10), || ending().then_some(()));
}

#[test]
fn an_older_list_never_comes_back() {
    let sti = Sti::new();
    sti.documents();
    let write = |sequence| {
        let ends = sti.now + 30 * DAY;
        let parts =
            list(&sti.pa.key, "trustList", sequence, ends, std::slice::from_ref(&sti.root.der));
        sti.write("ca.json", flattened(&parts));
    };
    write(7);
    std::fs::create_dir(sti.site.lab.folder.join("cache")).unwrap();
    let cfg = cfg(&sti).param("cache_dir", sti.path("cache"));
    let kamailio = Kamailio::start(&cfg);
    assert_eq!(check(&sti, &kamailio).number("X-Ret"), 1);
    write(6);
    let line = kamailio.wait_for_log("has sequence 6, and 7 was in force");
    assert!(line.contains("ERROR") && line.contains("stays in force"), "{line}");
    for _ in 0..8 {
        assert_eq!(check(&sti, &kamailio).number("X-Ret"), 1);
    }
    let shown = ask(&sti, &kamailio, &["secsipid.reload"]);
    assert!(shown.contains("has sequence 6") && shown.contains("nothing was changed"), "{shown}");
    let log = kamailio.stop();
    assert_eq!(lines(&log, "has sequence 6").len(), 1, "one line of all processes: {log}");
    let log = Kamailio::refused(&cfg);
    assert!(log.contains("has sequence 6, and 7 was in force"), "{log}");
    write(8);
    let kamailio = Kamailio::start(&cfg);
    assert_eq!(check(&sti, &kamailio).number("X-Ret"), 1);
}

#[test]
fn a_bad_crl_never_replaces_a_good_one() {
    let sti = Sti::new();
    sti.documents();
    let kamailio = Kamailio::start(&cfg(&sti));
    assert_eq!(check(&sti, &kamailio).number("X-Ret"), 1);
    let future = CrlSpec {
        this_update: sti.now + 3600,
        next_update: sti.now + DAY,
        ..CrlSpec::new(&pa_name())
    };
    for (name, crl, says) in [
        ("another key", sti.crl(&pa_name(), &Key::p256(), &[]), "does not count"),
        ("the future", future.sign(&sti.pa.key), "is not in force before"),
        ("an unknown issuer", sti.crl("CN=Nobody", &sti.pa.key, &[]), "neither a trust anchor"),
    ] {
        sti.write("crls/crl", crl);
        let line = kamailio.wait_for_log(says);
        assert!(line.contains("ERROR") && line.contains("stays in force"), "{name}: {line}");
        let shown = ask(&sti, &kamailio, &["secsipid.reload"]);
        assert!(shown.contains(says) && shown.contains("nothing was changed"), "{name}: {shown}");
        for _ in 0..8 {
            let reply = check(&sti, &kamailio);
            assert_eq!(reply.number("X-Ret"), 1, "{name}: {reply:?}");
        }
        assert_eq!(lines(&kamailio.log(), says).len(), 1, "{name}: one line of all processes");
    }
    drop(kamailio);
    // At start there is nothing else.
    sti.write("crls/crl", sti.crl(&pa_name(), &Key::p256(), &[]));
    let log = Kamailio::refused(&cfg(&sti));
    assert!(log.contains("does not count"), "{log}");
    // A good one counts at once.
    sti.write("crls/crl", sti.crl(&pa_name(), &sti.pa.key, &[]));
    let kamailio = Kamailio::start(&cfg(&sti));
    sti.write("crls/crl", sti.crl(&pa_name(), &sti.pa.key, &[SERIAL]));
    assert_eq!(rpc_value(&ask(&sti, &kamailio, &["secsipid.reload"]), "crls"), "2");
    assert_eq!(check(&sti, &kamailio).number("X-Ret"), -112);
}

#[test]
fn a_certificate_that_no_crl_covers_fails() {
    let sti = Sti::new();
    sti.documents();
    for (name, gone) in [("of signers", "crls/crl"), ("of CAs", "crls/ca-crl")] {
        sti.documents();
        std::fs::remove_file(sti.site.lab.folder.join(gone)).unwrap();
        let kamailio = Kamailio::start(&cfg(&sti));
        let reply = check(&sti, &kamailio);
        assert_eq!(reply.number("X-Ret"), -119, "without the CRL {name}: {reply:?}");
        assert_eq!((reply.header("X-Step"), reply.header("X-Code")), ("revocation", "437"));
        assert!(reply.header("X-Error").contains("no CRL here covers"), "{reply:?}");
        let kamailio = Kamailio::start(&cfg(&sti).param("crl_required", 0));
        assert_eq!(check(&sti, &kamailio).number("X-Ret"), 1, "without the CRL {name}");
    }
}
