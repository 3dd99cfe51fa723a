//! Certificates and CRLs as CAs of the field make them, against the letter of a standard: made for
//! this project, with nobody's numbers.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use stir::Config;
use stir::cert::Chain;
use stir::trust::Trust;

/// 2027-01-15, when all of them are valid.
const NOW: i64 = 1_800_000_000;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/field").join(name)
}

#[test]
fn ecdsa_with_null_parameters_is_ecdsa() {
    let chains = ["chain-plain.pem", "chain-null-leaf.pem", "chain-null-ca.pem"];
    for crl in ["", "crl-plain.pem", "crl-null.pem"] {
        let mut config = Config::default();
        config.set_option(if crl.is_empty() { "CertVerify=4" } else { "CertVerify=20" }).unwrap();
        config.ca_file = file("root.pem");
        config.crl_file = file(crl);
        let trust = Trust::new(&config);
        for name in chains {
            let chain = Chain::from_pem(&std::fs::read(file(name)).unwrap()).unwrap();
            trust.verify(&chain, NOW).unwrap_or_else(|e| panic!("{name}, {crl:?}: {e}"));
        }
    }
}
