//! Certificate checks in a running Kamailio: trust anchors, dates, revocation, and files that
//! change under it.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};
use support::{Cfg, Kamailio, Lab, Module, Reply, Request, wait_for};

/// How long a changed file may take to count: it is looked at once a second, on a busy machine.
const NOTICED: Duration = Duration::from_secs(10);

/// Signs with a key and checks with a certificate.
const ROUTE: &str = r#"
    secsipid_build_identity("12155551212", "12155551213", "A", "", "https://a/b", "$hdr(X-Key)");
    $var(id) = $secsipid(val);
    $var(code) = secsipid_check("$var(id)", "$hdr(X-Cert)");
    append_to_reply("X-Code: $var(code)\r\nX-Error: $secsipid(error)\r\n");
    sl_send_reply("200", "OK");
"#;

fn cfg(lab: &Lab, bits: u32, options: &[(&str, &str)]) -> Cfg {
    let cfg =
        Cfg::new(Module::Ours).route(ROUTE).param("libopt", format!("CertVerify={bits}").as_str());
    options
        .iter()
        .fold(cfg, |cfg, (name, file)| cfg.param("libopt", format!("{name}={}", lab.path(file))))
}

fn check(kamailio: &Kamailio, lab: &Lab, cert: &str) -> Reply {
    let request =
        Request::invite().header("X-Key", lab.path("key.pem")).header("X-Cert", lab.path(cert));
    kamailio.udp().send(&request)
}

fn expect(kamailio: &Kamailio, lab: &Lab, cert: &str, code: i64, part: &str) {
    let reply = check(kamailio, lab, cert);
    assert_eq!(reply.number("X-Code"), code, "{cert}: {}", reply.header("X-Error"));
    assert!(reply.header("X-Error").contains(part), "{cert}: {reply:?} does not say {part:?}");
}

/// Calls until this is the code.
fn until(kamailio: &Kamailio, lab: &Lab, cert: &str, code: i64) {
    wait_for(&format!("{code} for {cert}"), NOTICED, || {
        (check(kamailio, lab, cert).number("X-Code") == code).then_some(())
    });
}

fn errors(kamailio: &Kamailio, part: &str) -> usize {
    kamailio.log().lines().filter(|line| line.contains("ERROR") && line.contains(part)).count()
}

/// `cert.pem`'s key in certificates that are not to be trusted.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.issue("expired.pem", "key.pem", -1);
    let other = Lab::new();
    other.folder.write("key.pem", lab.read("key.pem"));
    other.issue("cert.pem", "key.pem", 30);
    lab.folder.write("other.pem", other.read("cert.pem"));
    lab.folder.write("other-ca.pem", other.read("ca.pem"));
    lab.folder.write("chain.pem", lab.read("cert.pem") + &lab.read("ca.pem"));
    lab.public("key.pem", "public.pem");
    lab.folder.write("junk.pem", "no certificate\n");
    lab
}

#[test]
fn only_certificates_of_the_named_authority_pass() {
    let lab = lab();
    let mut kamailio = Kamailio::start(&cfg(&lab, 5, &[("CertCAFile", "ca.pem")]));
    let processes = kamailio.processes();
    // Twice: the second answer is a remembered verdict.
    for _ in 0..2 {
        expect(&kamailio, &lab, "cert.pem", 1, "");
        expect(&kamailio, &lab, "chain.pem", 1, "");
        expect(&kamailio, &lab, "other.pem", -101, "is not trusted");
        expect(&kamailio, &lab, "expired.pem", -103, "expired");
        expect(&kamailio, &lab, "public.pem", -102, "public key");
    }
    assert!(!kamailio.log().contains("no trust anchors"));
    kamailio.assert_alive(&processes);
}

/// What each sum of bits looks at.
#[test]
fn bits_decide_what_is_checked() {
    let lab = lab();
    for (bits, good, other, expired) in [(0, 1, 1, 1), (1 | 4, 1, -101, -103), (32, 1, 1, -103)] {
        let kamailio = Kamailio::start(&cfg(&lab, bits, &[("CertCAFile", "ca.pem")]));
        expect(&kamailio, &lab, "cert.pem", good, "");
        expect(&kamailio, &lab, "other.pem", other, "");
        expect(&kamailio, &lab, "expired.pem", expired, "");
        let warned = kamailio.log().contains("no trust anchors");
        assert_eq!(warned, bits & 4 == 0, "CertVerify={bits}:\n{}", kamailio.log());
    }
    // The system's authorities know nothing of the lab's.
    let kamailio = Kamailio::start(&cfg(&lab, 2, &[]));
    expect(&kamailio, &lab, "cert.pem", -101, "is not trusted");
}

#[test]
fn authorities_are_replaced_while_kamailio_runs() {
    let lab = lab();
    lab.replace("live.pem", "ca.pem");
    let mut kamailio = Kamailio::start(&cfg(&lab, 5, &[("CertCAFile", "live.pem")]));
    let processes = kamailio.processes();
    expect(&kamailio, &lab, "cert.pem", 1, "");
    expect(&kamailio, &lab, "other.pem", -101, "");
    lab.replace("live.pem", "other-ca.pem");
    until(&kamailio, &lab, "cert.pem", -101);
    expect(&kamailio, &lab, "other.pem", 1, "");
    lab.replace("live.pem", "ca.pem");
    until(&kamailio, &lab, "cert.pem", 1);
    expect(&kamailio, &lab, "other.pem", -101, "");
    kamailio.assert_alive(&processes);
}

/// Junk, and no file at all, leave in force what was good, and one line says so.
#[test]
fn a_bad_file_of_authorities_changes_nothing() {
    let lab = lab();
    lab.replace("live.pem", "ca.pem");
    let mut kamailio = Kamailio::start(&cfg(&lab, 5, &[("CertCAFile", "live.pem")]));
    let processes = kamailio.processes();
    expect(&kamailio, &lab, "cert.pem", 1, "");
    for (count, spoil) in [true, false].into_iter().enumerate() {
        if spoil {
            lab.replace("live.pem", "junk.pem");
        } else {
            std::fs::remove_file(lab.folder.join("live.pem")).unwrap();
        }
        let said = |count| {
            wait_for("an ERROR line", NOTICED, || {
                expect(&kamailio, &lab, "cert.pem", 1, "");
                expect(&kamailio, &lab, "other.pem", -101, "");
                (errors(&kamailio, "stays in force") == count).then_some(())
            });
        };
        said(count + 1);
        // Two more looks at the same bad file say nothing new.
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(2500) {
            said(count + 1);
        }
    }
    let line = kamailio.wait_for_log("stays in force");
    assert!(line.contains("CertCAFile") && line.contains(&lab.path("live.pem")), "{line}");
    // A good one ends it.
    lab.replace("live.pem", "other-ca.pem");
    until(&kamailio, &lab, "other.pem", 1);
    kamailio.assert_alive(&processes);
}

/// What was read at start counts for a worker's first call as well, however late that is.
#[test]
fn a_file_that_goes_bad_before_the_first_call_changes_nothing() {
    let lab = lab();
    lab.replace("live.pem", "ca.pem");
    let kamailio = Kamailio::start(&cfg(&lab, 5, &[("CertCAFile", "live.pem")]));
    lab.replace("live.pem", "junk.pem");
    expect(&kamailio, &lab, "cert.pem", 1, "");
    expect(&kamailio, &lab, "other.pem", -101, "");
}

#[test]
fn a_revocation_counts_while_kamailio_runs() {
    let lab = lab();
    lab.crl("none.crl", &[]);
    lab.crl("revoked.crl", &["1234"]);
    lab.replace("live.crl", "none.crl");
    let files = [("CertCAFile", "ca.pem"), ("CertCRLFile", "live.crl")];
    let mut kamailio = Kamailio::start(&cfg(&lab, 21, &files));
    let processes = kamailio.processes();
    expect(&kamailio, &lab, "cert.pem", 1, "");
    lab.replace("live.crl", "revoked.crl");
    until(&kamailio, &lab, "cert.pem", -112);
    expect(&kamailio, &lab, "cert.pem", -112, "revoked");
    // Junk does not bring it back.
    lab.replace("live.crl", "junk.pem");
    wait_for("an ERROR line", NOTICED, || {
        expect(&kamailio, &lab, "cert.pem", -112, "revoked");
        (errors(&kamailio, "stays in force") == 1).then_some(())
    });
    lab.replace("live.crl", "none.crl");
    until(&kamailio, &lab, "cert.pem", 1);
    kamailio.assert_alive(&processes);
}

/// A list that the certificate's authority did not sign is none.
#[test]
fn a_foreign_revocation_list_is_refused() {
    let lab = lab();
    let other = Lab::new();
    other.crl("other.crl", &[]);
    lab.folder.write("other.crl", other.read("other.crl"));
    let files = [("CertCAFile", "ca.pem"), ("CertCRLFile", "other.crl")];
    let log = Kamailio::refused(&cfg(&lab, 21, &files));
    assert!(log.contains("other.crl\" is of no use"), "{log}");
    assert!(log.contains("its signature is not that of"), "{log}");
}
