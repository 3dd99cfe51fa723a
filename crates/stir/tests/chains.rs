//! Our verdict on certificate chains against OpenSSL's.
#![allow(clippy::unwrap_used)]

mod pki;
#[path = "pki/rows.rs"]
mod rows;

use pki::{At, NOW, Spec};
use rows::Row;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stir::cert::{Chain, MAX_CHAIN_CERTIFICATES};
use stir::trust::Trust;
use stir::{Code, Config};

/// A folder of its own for a test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chains").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// What OpenSSL's tool says of a chain that lies in a folder.
fn openssl(folder: &Path, now: i64, more: &[&str]) -> Result<(), String> {
    // It refuses an empty file.
    let rest = fs::metadata(folder.join("rest.pem")).is_ok_and(|file| file.len() > 0);
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(["verify", "-no-CApath", "-no-CAstore", "-attime", &now.to_string()])
        .args(["-CAfile", "roots.pem"])
        .args(if rest { &["-untrusted", "rest.pem"][..] } else { &[] })
        .args(more)
        .arg("leaf.pem")
        .output()
        .expect("the openssl tool: apt-get install openssl");
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).replace('\n', " "))
}

fn ours(row: &Row, folder: &Path) -> Result<i64, stir::Error> {
    let mut config = Config::default();
    let bits = if row.crls.is_empty() { 4 } else { 20 };
    config.set_option(&format!("CertVerify={bits}"))?;
    config.ca_file = folder.join("roots.pem");
    config.crl_file = folder.join("crl.pem");
    let chain = [std::slice::from_ref(&row.leaf), &row.rest].concat();
    let trust = Trust::with_clock(&config, Arc::new(At(NOW)));
    trust.verify(&Chain::from_pem(pki::certificates(&chain).as_bytes())?, NOW)
}

/// Where we differ from OpenSSL, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("signer_ed25519", "ATIS-1000080 §5.4 and the field know ECDSA and RSA only"),
    ("tn_auth_list_critical", "OpenSSL 3.0 does not know RFC 8226's extension"),
    ("cross_signed", "OpenSSL does not go back when the first of two issuers leads nowhere"),
    ("name_constraints_met", "not supported: a CA that has them vouches for nobody here"),
    ("ecdsa_with_a_curve", "OpenSSL takes any parameters; RFC 5758 §3.2 has none, the field NULL"),
    ("ecdsa_with_a_sequence", "the same"),
    (
        "explicit_policy_required_and_missing",
        "OpenSSL looks at policies only with -policy_check; RFC 5280 §6.1.5 g fails it",
    ),
];

#[test]
fn verdicts_are_those_of_openssl() {
    let mut wrong = Vec::new();
    let mut table = String::new();
    for row in rows::all() {
        let folder = folder(row.name);
        write(&folder, "good", &row.good.to_string());
        write(&folder, "leaf.pem", &pki::certificates(std::slice::from_ref(&row.leaf)));
        write(&folder, "rest.pem", &pki::certificates(&row.rest));
        write(&folder, "roots.pem", &pki::certificates(&row.roots));
        write(&folder, "crl.pem", &pki::pem("X509 CRL", &row.crls));
        let mut more = Vec::new();
        if !row.crls.is_empty() {
            more.extend(["-crl_check", "-CRLfile", "crl.pem"]);
        }
        if row.name == "intermediate_is_anchor" {
            // RFC 5280 §6.1.1 d and the stock library: an anchor need not be self-signed.
            more.push("-partial_chain");
        }
        let theirs = openssl(&folder, NOW, &more);
        let ours = ours(&row, &folder);
        let reason = DIFFERENCES.iter().find(|(name, _)| *name == row.name);
        table += &format!("{:40} {:?}\n{:40} {:?}\n", row.name, ours, "", theirs);
        let expected = row.good && !["signer_ed25519", "name_constraints_met"].contains(&row.name);
        if ours.is_ok() != expected {
            wrong.push(format!("{}: we say {ours:?}", row.name));
        }
        match reason {
            None if ours.is_ok() != theirs.is_ok() => {
                wrong.push(format!("{}: we say {ours:?}, OpenSSL {theirs:?}", row.name));
            }
            Some((_, why)) if ours.is_ok() == theirs.is_ok() => {
                wrong.push(format!("{}: no difference any more ({why})", row.name));
            }
            _ => {}
        }
        if let Err(e) = ours {
            let code = e.code();
            assert!(
                [Code::CertInvalid, Code::CertRevoked, Code::CrlFileRead].contains(&code),
                "{}: {e}",
                row.name
            );
        }
    }
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("chains.txt"), &table).unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Many CAs of one name that lead nowhere, each signed by the next: a search by name alone would
/// try every order of them.
fn maze(length: usize) -> Row {
    let keys: Vec<_> = (0..=length).map(|_| pki::Key::p256()).collect();
    let rest = keys
        .windows(2)
        .map(|pair| Spec::ca("CN=Maze", "CN=Maze").issue(&pair[0], &pair[1]))
        .collect();
    let key = pki::Key::p256();
    Row {
        name: "maze",
        leaf: Spec::leaf("CN=Maze").issue(&key, &keys[0]),
        rest,
        roots: vec![Spec::ca("CN=Root", "CN=Root").issue(&key, &key)],
        ..Row::default()
    }
}

#[test]
fn the_work_for_a_chain_is_bounded() {
    for length in [MAX_CHAIN_CERTIFICATES - 1, 300] {
        let row = maze(length);
        let folder = folder(&format!("maze-{length}"));
        write(&folder, "leaf.pem", &pki::certificates(std::slice::from_ref(&row.leaf)));
        write(&folder, "rest.pem", &pki::certificates(&row.rest));
        let mut config = Config::default();
        config.set_option("CertVerify=12").unwrap();
        config.ca_file = write(&folder, "roots.pem", &pki::certificates(&row.roots));
        config.inter_file = write(&folder, "inter.pem", &pki::certificates(&row.rest));
        let trust = Trust::with_clock(&config, Arc::new(At(NOW)));
        trust.load().unwrap();
        let chain = Chain::from_pem(pki::certificates(&[row.leaf]).as_bytes()).unwrap();
        let start = Instant::now();
        let error = trust.verify(&chain, NOW).unwrap_err();
        let taken = start.elapsed();
        assert_eq!(error.code(), Code::CertInvalid);
        // An unbounded search takes minutes.
        assert!(taken < Duration::from_secs(20), "{length} CAs took {taken:?}: {error}");
        println!("{length} CAs: {taken:?}: {error}");
    }
}
