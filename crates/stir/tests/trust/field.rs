//! Lists and CRLs as administrators serve them: small ones made for this test, and the French
//! administrator's own.

use crate::pki::{At, DAY, NOW};
use crate::{at, chain_of, config, folder, pems};
use base64::Engine;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stir::cert::Chain;
use stir::trust::Trust;
use stir::{Code, Config};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/field").join(name)
}

#[test]
fn lists_as_they_are_served_load() {
    let leaf = chain_of(&fs::read(data("chain-leaf-alone.pem")).unwrap());
    for (list, key, between) in [
        ("list-compact.jws", "pa-1.pem", "ca-certs-flattened.json"),
        ("list-envelope.json", "pa-1.pem", "ca-certs-flattened.json"),
        ("list-flattened.json", "pa-both.pem", "ca-certs-flattened.json"),
        ("list-by-pa-2.jws", "pa-both.pem", "ca-certs-flattened.json"),
        ("root.pem", "pa-1.pem", "ca-certs-flattened.json"),
    ] {
        // By the module's names, and by the stock library's.
        let named = Config {
            trust_anchors: data(list),
            trust_anchors_key: data(key),
            trust_intermediates: data(between),
            ..Config::default()
        };
        let mut stock = Config { trust_anchors_key: data(key), ..Config::default() };
        for (name, value) in [("CertCAFile", list), ("CertCAInter", between)] {
            stock.set_option(&format!("{name}={}", data(value).display())).unwrap();
        }
        stock.set_option("CertVerify=13").unwrap();
        for config in [named, stock] {
            let trust = Trust::with_clock(&config, Arc::new(At(NOW)));
            trust.load().unwrap_or_else(|e| panic!("{list}: {e}"));
            trust.verify(&leaf, NOW).unwrap_or_else(|e| panic!("{list}: {e}"));
        }
    }
    let config = Config {
        trust_anchors: data("list-by-pa-2.jws"),
        trust_anchors_key: data("pa-1.pem"),
        ..Config::default()
    };
    let error = Trust::with_clock(&config, Arc::new(At(NOW))).load().unwrap_err();
    assert!(error.message().contains("did not sign"), "{error}");
}

#[test]
fn the_french_chain_and_crls_validate() {
    let pems = pems(include_str!("../data/apnf_man_certs.txt"));
    let by = |cn: &str, serial: &str| {
        pems.iter()
            .find(|p| at(p).subject().contains(cn) && at(p).serial().starts_with(serial))
            .unwrap_or_else(|| panic!("no {cn}"))
            .clone()
    };
    let (leaf, root) = (by("SHAKEN OPC000", "57AB"), by("BPCO R1", "48"));
    let folder = folder("apnf");
    fs::write(folder.join("roots.pem"), &root).unwrap();
    // The CAs, and the administrator who signs the CRL.
    fs::write(folder.join("inter.pem"), pems.concat()).unwrap();
    // The leaf alone, as it is at x5u.
    let chain = Chain::from_pem(leaf.as_bytes()).unwrap();
    let now = at(&leaf).not_before() + 20 * DAY;
    let crls: Vec<Vec<u8>> = include_str!("../data/apnf_man_crls.txt")
        .lines()
        .filter_map(|line| line.strip_prefix("der-base64: "))
        .map(|text| base64::engine::general_purpose::STANDARD.decode(text).unwrap())
        .collect();
    let verdict = |crls: &[Vec<u8>], required| {
        fs::write(folder.join("crl.pem"), crate::pki::pem("X509 CRL", crls)).unwrap();
        let config = Config { crl_required: Some(required), ..config(28, &folder) };
        Trust::with_clock(&config, Arc::new(At(now))).verify(&chain, now).map_err(|e| e.code())
    };
    assert_eq!(crls.len(), 2);
    verdict(&crls, true).unwrap();
    // Each of them covers another part of the path.
    for crl in &crls {
        assert_eq!(verdict(std::slice::from_ref(crl), true), Err(Code::CertUndetermined));
        verdict(std::slice::from_ref(crl), false).unwrap();
    }
}
