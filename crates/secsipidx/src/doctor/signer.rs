//! Key, certificate, and a call that is signed and checked with them.

use super::{Findings, Patient, named};
use crate::input;
use crate::inspect::cert::utc;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use sti::jose::AccountKey;
use stir::cert::Chain;
use stir::trust::Trust;
use stir::{
    Call, CertVerify, CheckOptions, Checked, Clock, Config, PrivateKey, PublicKey, Signer,
    SystemClock, Verifier,
};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Looks at them; the certificate, if it can be read.
pub fn look(patient: &Patient, findings: &mut Findings) -> Option<Chain> {
    let key = named(&patient.key).then(|| key(&patient.key, findings)).flatten();
    if !named(&patient.certificate) {
        if key.is_some() {
            findings.warn("certificate", "no certificate is named", "give --cert");
        }
        return None;
    }
    let path = patient.certificate.display();
    let text = match input::read_regular(&patient.certificate.to_string_lossy()) {
        Ok(text) => text,
        Err(e) => {
            findings.fail("certificate", e.message(), "secsipidx enroll gets one");
            return None;
        }
    };
    let chain = match Chain::from_pem(text.as_bytes()) {
        Ok(chain) => chain,
        Err(e) => {
            let why = format!("\"{path}\": {}", e.message());
            findings.fail("certificate", why, "put the CA's PEM certificate there");
            return None;
        }
    };
    let leaf = chain.leaf();
    findings
        .pass("certificate", format!("\"{path}\": {}, serial {}", leaf.subject(), leaf.serial()));
    if let Some(key) = &key {
        let both = format!("key \"{}\" and certificate \"{path}\"", patient.key.display());
        if leaf.public_key_sec1().is_ok_and(|point| point == key.public.point()) {
            findings.pass("pair", format!("{both} belong together"));
        } else {
            findings.fail(
                "pair",
                format!("{both} do not belong together"),
                "one of the two is another pair's: the ACME account's key is not the certificate's",
            );
        }
    }
    validity(&chain, findings);
    authority(patient, &chain, findings);
    trust(patient, &chain, findings);
    if key.is_some() {
        token(patient, &text, findings);
    }
    Some(chain)
}

fn key(path: &Path, findings: &mut Findings) -> Option<AccountKey> {
    let shown = path.display();
    let read = input::read_regular(&path.to_string_lossy());
    let key = match read.and_then(|text| AccountKey::from_pem(&text)) {
        Ok(key) => key,
        Err(e) => {
            findings.fail(
                "key",
                format!("\"{shown}\": {}", e.message()),
                "give the P-256 key that signs",
            );
            return None;
        }
    };
    match std::fs::metadata(path) {
        Ok(data) if data.mode() & 0o007 != 0 => findings.fail(
            "key",
            format!("\"{shown}\" has mode {:04o}: everybody can sign calls", data.mode() & 0o7777),
            "chmod 600",
        ),
        Ok(data) if data.mode() & 0o020 != 0 => findings.warn(
            "key",
            format!("\"{shown}\" has mode {:04o}", data.mode() & 0o7777),
            "chmod 600, or 640",
        ),
        Ok(data) => findings.pass(
            "key",
            format!("\"{shown}\": P-256, mode {:04o}, user {}", data.mode() & 0o7777, data.uid()),
        ),
        Err(e) => findings.fail("key", format!("\"{shown}\": {e}"), "give the key that signs"),
    }
    Some(key)
}

fn validity(chain: &Chain, findings: &mut Findings) {
    let (leaf, now) = (chain.leaf(), SystemClock.now());
    let left = leaf.not_after().saturating_sub(now);
    let lifetime = leaf.not_after().saturating_sub(leaf.not_before());
    let until = format!("valid until {}, {} days left", utc(leaf.not_after()), left / DAY);
    if now < leaf.not_before() {
        let from = format!("not valid before {}", utc(leaf.not_before()));
        findings.fail("validity", from, "check this machine's clock");
    } else if left < 0 {
        findings.fail("validity", until, "secsipidx renew, and its timer");
    } else if left < lifetime / 5 {
        findings.warn("validity", until, "it should have been renewed: secsipidx renew");
    } else {
        findings.pass("validity", until);
    }
}

fn authority(patient: &Patient, chain: &Chain, findings: &mut Findings) {
    match stir::authority::spc(chain.leaf()) {
        Some(spc) if patient.spc.is_empty() || spc == patient.spc => {
            findings.pass("spc", format!("the TNAuthList is for SPC {spc}"));
        }
        Some(spc) => findings.fail(
            "spc",
            format!("the TNAuthList is for SPC {spc}, not {}", patient.spc),
            "another provider's certificate is installed",
        ),
        None => findings.warn("spc", "the TNAuthList names no SPC", "ask the CA"),
    }
    let broken = stir::profile::check(chain.leaf(), &stir::profile::Policies::default());
    for finding in &broken {
        findings.warn("profile", finding.to_string(), "ask the CA: verifiers may refuse it");
    }
    if broken.is_empty() {
        findings.pass("profile", "as ATIS-1000080 asks");
    }
}

fn trust(patient: &Patient, chain: &Chain, findings: &mut Findings) {
    if !named(&patient.anchors) {
        findings.warn("chain", "not checked: no trust anchors are named", "give --ca");
        return;
    }
    let core = Config {
        trust_anchors: patient.anchors.clone(),
        trust_anchors_key: patient.anchors_signer.clone(),
        ..Config::default()
    };
    let now = SystemClock.now();
    match Trust::new(&core).verify(chain, now) {
        Ok(_) => findings.pass("chain", format!("leads to \"{}\"", patient.anchors.display())),
        Err(e) => findings.fail("chain", e.message(), "secsipidx trust, or ask the CA"),
    }
    if !named(&patient.crl) {
        findings.warn("crl", "no CRL is named", "give --crl: secsipidx trust gets it");
        return;
    }
    let bits = CertVerify::new(CertVerify::CUSTOM_CA | CertVerify::INTERMEDIATES);
    let with = |core: Config| Config { crl: patient.crl.clone(), ..core };
    let mut core = with(core);
    if let Ok(bits) = bits.clone()
        && named(&patient.anchors_signer)
    {
        (core.cert_verify, core.inter_file) = (bits, patient.anchors_signer.clone());
    }
    match Trust::new(&core).check_crls(now) {
        Ok(all) => {
            let end = all.iter().filter_map(|crl| crl.next_update).min();
            let end =
                end.map_or_else(|| "without an end".into(), |end| format!("until {}", utc(end)));
            findings.pass("crl", format!("\"{}\" counts, {end}", patient.crl.display()));
        }
        Err(e) => findings.fail("crl", e.message(), "secsipidx trust"),
    }
}

/// A call, signed with the key and checked with the certificate.
fn token(patient: &Patient, certificate: &str, findings: &mut Findings) {
    let x5u = match &*patient.x5u {
        "" => "https://x5u.invalid/test.pem",
        x5u => x5u,
    };
    let config = Checked::default();
    let call =
        Call { orig: "12155550100", dest: "12025550100", attest: "A", x5u, ..Call::default() };
    let key = patient.key.to_string_lossy();
    let signed = Signer::new(&config).identity(&call, PrivateKey::Path(&key));
    let checked = signed.and_then(|identity| {
        let key = PublicKey::Pem(certificate);
        Verifier::new(&config).check([identity.as_str()], key, CheckOptions::default()).result
    });
    match checked {
        Ok(()) => findings.pass("test call", "signed and checked"),
        Err(e) => findings.fail("test call", e.message(), "see key, certificate and pair"),
    }
}
