//! enroll, renew, trust and keep against a laboratory that is served, as an operator runs them.
#![allow(clippy::unwrap_used)]

#[path = "support/sti.rs"]
mod sti_lab;
mod support;

use std::process::{Command, Stdio};
use sti_lab::{CERTIFICATE, CONFIG, KEY, Sti};
use stir::cert::Chain;
use support::{OURS, wait_for};

#[test]
fn a_certificate_is_got_renewed_and_replaced() {
    let sti = Sti::start(&[]);
    assert!(sti.done("enroll --check").contains("can be used"));
    let out = sti.done("enroll");
    assert!(out.contains("in force: serial"), "{out}");
    let first = sti.in_force();

    let [_, certificate, x5u] = &first;
    let chain = Chain::from_pem(certificate.as_bytes()).unwrap();
    assert_eq!(stir::profile::check(chain.leaf(), &Default::default()), [], "ATIS-1000080");
    assert_eq!(chain.rest().len(), 1, "its CA, no root");
    let sign = format!("sign --key {KEY} --x5u {x5u} -a A 12155550100 12025550100");
    sti.folder.write("id", sti.folder.out(&sign));
    let check = "check --ca lab/root.pem --http-ca lab/root.pem id";
    assert!(sti.folder.out(check).contains("valid"));

    // openssl agrees.
    sti.folder.write("all.pem", sti.folder.read("lab/root.pem"));
    let verify =
        format!("verify -x509_strict -CAfile lab/root.pem -untrusted {CERTIFICATE} {CERTIFICATE}");
    assert!(sti.folder.openssl(&verify).contains("OK"));
    let crl =
        "crl -inform DER -in lab/trust/crl.der -noout -text -CAfile lab/crl-signer.pem -verify";
    assert!(sti.folder.openssl(crl).contains("Indirect CRL"));

    // There is time: nothing is done.
    let out = sti.done("renew");
    assert!(out.contains("nothing to do"), "{out}");
    assert_eq!(sti.in_force(), first);
    assert!(sti.done("enroll").contains("nothing to do"));

    // Another key, another URL; the old certificate stays published.
    let out = sti.done("renew --force --json");
    let second = sti.in_force();
    assert!(out.contains(&second[2]), "{out}");
    assert_ne!(second[0], first[0]);
    assert_ne!(second[2], first[2]);
    assert!(sti.folder.out(check).contains("valid"), "the call on its way");
    let old = |name: &str| {
        std::fs::read_dir(sti.folder.join("lab/installed/key.pem.d"))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().join(name).is_file())
            .count()
    };
    // In force, and by the link that says so.
    assert_eq!((old("key.pem"), old("replaced")), (2, 1), "the old key is gone");

    // A key that others may have: what is replaced is revoked, and the CRL says so.
    sti.done("renew --force --revoke");
    assert!(sti.done("trust").contains("CRL: replaced, 2 certificates"), "5678 and this one");
    let text = sti.folder.openssl("crl -inform DER -in lab/trust/crl.der -noout -text");
    let serial = second[2].rsplit(['-', '.']).nth(1).unwrap().to_uppercase();
    assert!(text.contains(&serial), "{serial} {text}");
    sti.in_force();
}

#[test]
fn settings_decide_key_encoding_and_answer() {
    let sti = Sti::start(&["--eab"]);
    sti.edit("[certificate]", "contact = \"mailto:noc@example.org\"\nanswer = \"atc\"\ntkvalue = \"base64\"\nfingerprint = \"jwk\"\n\n[certificate]\nkey = \"account\"\nlifetime = \"3h\"\nstate = \"TX\"\nlocality = \"Irving\"");
    let metrics = "lab/sti.prom";
    sti.done(&format!("enroll --metrics {metrics}"));
    let [key, certificate, _] = sti.in_force();
    let own = sti_lab::key(&sti.folder, "lab/account-key.pem");
    assert_eq!(own.public, sti_lab::key(&sti.folder, KEY).public, "{key}");
    let chain = Chain::from_pem(certificate.as_bytes()).unwrap();
    let leaf = chain.leaf();
    let lifetime = leaf.not_after() - leaf.not_before();
    assert!((10_700..=10_800).contains(&lifetime), "{lifetime}");
    assert!(
        leaf.subject().contains("L=Irving") && leaf.subject().contains("ST=TX"),
        "{}",
        leaf.subject()
    );
    let text = sti.folder.read(metrics);
    for line in [
        format!("secsipidx_sti_certificate_not_after_seconds {}", leaf.not_after()),
        "secsipidx_sti_success 1".into(),
        "secsipidx_sti_list_entries 1".into(),
    ] {
        assert!(text.contains(&line), "{line} {text}");
    }
    // A key of the operator's own, and a CA that is told nothing of an account.
    sti.edit("key = \"account\"", "key = \"lab/spc-1234-key.pem\"");
    sti.done("renew --force");
    let key = sti_lab::key(&sti.folder, "lab/spc-1234-key.pem");
    assert_eq!(sti_lab::key(&sti.folder, KEY).public, key.public);
}

#[test]
fn a_key_of_before_is_replaced_in_one_step() {
    let sti = Sti::start(&[]);
    std::fs::create_dir_all(sti.folder.join("lab/installed")).unwrap();
    for (from, to) in [("lab/spc-1234-key.pem", KEY), ("lab/spc-1234.pem", CERTIFICATE)] {
        sti.folder.write(to, sti.folder.read(from));
    }
    sti.edit(
        "[trust]",
        "command = \"cp $SECSIPIDX_KEY seen && echo $SECSIPIDX_X5U >>seen\"\n[trust]",
    );
    sti.done("enroll");
    let [key, _, x5u] = sti.in_force();
    assert_eq!(sti.folder.read("seen"), format!("{key}{x5u}\n"));
    // A command that fails is run again.
    sti.edit("cp $SECSIPIDX_KEY seen", "test -e ready");
    let line = sti.failed("renew --force", &[]);
    assert!(line.contains("install.command") && line.contains("run again"), "{line}");
    let second = sti.in_force();
    assert_ne!(second[0], key);
    sti.folder.write("ready", "");
    assert!(sti.done("renew").contains("install.command was run"));
    assert_eq!(sti.in_force(), second);
}

#[test]
fn it_is_time_by_what_the_ca_suggests_and_old_certificates_go() {
    let sti = Sti::start(&["--lifetime", "4"]);
    sti.edit("keep_old = \"1d\"", "keep_old = \"120s\"");
    sti.done("enroll");
    let first = sti.in_force();
    // From two thirds of four seconds on.
    wait_for("the renewal", || {
        let out = sti.done("renew");
        (!out.contains("nothing to do")).then_some(())
    });
    assert_ne!(sti.in_force()[2], first[2]);
    let place = |x5u: &str| format!("lab/cr/{}", x5u.rsplit('/').next().unwrap());
    assert!(sti.folder.join(&place(&first[2])).exists());
    // As if it had been replaced long ago.
    let old = sti.folder.join("lab/installed/key.pem.d");
    for entry in std::fs::read_dir(old).unwrap() {
        let mark = entry.unwrap().path().join("replaced");
        if mark.exists() {
            std::fs::write(mark, "1000\n").unwrap();
        }
    }
    let out = sti.done("renew --force");
    assert!(out.contains("no longer published"), "{out}");
    assert!(!sti.folder.join(&place(&first[2])).exists());
}

/// All steps that a run reports, in their order.
const STEPS: &[&str] = &[
    "locked",
    "account",
    "key-made",
    "ordered",
    "token",
    "authorized",
    "finalized",
    "certificate-written",
    "pair-ready",
    "published",
    "fetched-back",
    "imported",
    "marked",
    "switched",
    "linked",
    "commanded",
    "cleaned",
];

#[test]
fn killed_at_any_step_the_next_run_ends_well() {
    let sti = Sti::start(&[]);
    sti.edit("[trust]", "command = \"cp $SECSIPIDX_KEY seen\"\n[trust]");
    sti.done("enroll");
    let rounds = std::env::var("STI_KILLS").ok().and_then(|text| text.parse().ok());
    for round in 0..rounds.unwrap_or(STEPS.len()) {
        let step = STEPS[round % STEPS.len()];
        let before = sti.in_force();
        let output = sti.run_with("renew --force", &[("SECSIPIDX_TEST_KILL", step)]);
        assert_eq!(output.status.code(), None, "{step} is not a step: {output:?}");
        // Whatever is in force is a pair, and its certificate can be fetched.
        let killed = sti.in_force();
        sti.done("renew");
        let after = sti.in_force();
        // What was got is used; what was not is got when it is time.
        let got = STEPS.iter().position(|one| *one == step)
            >= STEPS.iter().position(|one| *one == "pair-ready");
        assert_eq!(after != before, got, "{step}");
        assert!(killed == before || killed == after, "{step}");
        let seen = sti.folder.read("seen");
        assert_eq!(seen, after[0], "{step}: the command was run for what is in force");
    }
    // No folder is left over but those of old certificates and the one in force.
    sti.done("renew --force");
    let root = sti.folder.join("lab/installed/key.pem.d");
    let odd: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && !path.join("cert.pem").exists())
        .collect();
    assert_eq!(odd, [""; 0].map(std::path::PathBuf::from));
}

#[test]
fn a_first_enrolment_that_is_killed_goes_on() {
    for step in ["account-key-made", "key-made", "switched", "certificate-linked", "key-linked"] {
        let sti = Sti::start(&[]);
        let output = sti.run_with("enroll", &[("SECSIPIDX_TEST_KILL", step)]);
        assert_eq!(output.status.code(), None, "{step} is not a step: {output:?}");
        sti.done("enroll");
        sti.in_force();
    }
}

#[test]
fn on_a_full_disk_what_was_in_force_stays() {
    let sti = Sti::start(&[]);
    sti.done("enroll");
    let before = sti.in_force();
    for blocks in ["0", "1"] {
        // Files can't grow beyond so many KiB: what a full disk does, without a disk.
        let line = format!(
            "trap '' XFSZ; ulimit -f {blocks}; exec {OURS} renew --force --config {CONFIG}"
        );
        let output = Command::new("bash")
            .args(["-c", &line])
            .current_dir(&sti.folder.0)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("make room: what was in force stays"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert_eq!(sti.in_force(), before);
    }
    sti.done("renew --force");
    assert_ne!(sti.in_force(), before);
}

#[test]
fn keep_does_all_of_it_until_it_is_told_to_stop() {
    let sti = Sti::start(&["--lifetime", "6", "--list-lifetime", "60"]);
    let args = ["keep", "--every", "1", "--config", CONFIG, "--metrics", "m.prom", "--verbose"];
    let mut child = Command::new(OURS)
        .args(args)
        .current_dir(&sti.folder.0)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the first certificate", || sti.folder.join("m.prom").exists().then_some(()));
    let first = sti.folder.read(CERTIFICATE);
    wait_for("the second", || (sti.folder.read(CERTIFICATE) != first).then_some(()));
    sti.in_force();
    assert!(sti.folder.read("m.prom").contains("secsipidx_sti_success 1"));
    let pid = child.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    let status = wait_for("its end", || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
}
