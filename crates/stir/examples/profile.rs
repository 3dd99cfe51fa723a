//! Counts what the certificates of a folder are like, and which rules of ATIS-1000080 they break:
//! `cargo run -p stir --example profile -- DIR`.
//!
//! Each file is read as a verifier reads what a signer sent. A certificate counts once, however
//! many files hold it, and rules are those of signers' certificates: a CA's are counted alone.

use aws_lc_rs::digest::{SHA256, digest};
use der::asn1::ObjectIdentifier;
use der::{Decode, SliceReader};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use stir::authority::TnAuthList;
use stir::cert::{Certificate, Chain, MAX_CHAIN_LEN};
use stir::profile::{self, Policies, RULES};
use x509_cert::ext::pkix::BasicConstraints;

/// Most files that are read: some hundred times what all carriers have published.
const MAX_FILES: u64 = 1_000_000;
/// Deepest folder that is read: deeper ones are no collection of certificates.
const MAX_DEPTH: usize = 16;
/// Certificates of at most this many seconds are the short-lived ones (ATIS-1000080 §6.4.1).
const SHORT: i64 = 7 * 86_400;

const TN_AUTH_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.26");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const CERTIFICATE_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32");

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: profile DIR (a folder of PEM files)");
        return ExitCode::from(2);
    };
    let mut statistics = Statistics::default();
    let read = statistics.read_folder(Path::new(&folder), 0);
    // Who reads the output may have seen enough.
    match read.and_then(|()| write!(io::stdout(), "{statistics}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", Path::new(&folder).display());
            ExitCode::FAILURE
        }
    }
}

type Counts = BTreeMap<String, u64>;

#[derive(Default)]
struct Statistics {
    files: u64,
    /// Files that are no PEM at all.
    other: u64,
    /// PEM files that no certificates could be had from, by the reason.
    unreadable: Counts,
    authorities: u64,
    /// Signers' certificates: what all that follows is counted of.
    certificates: u64,
    /// Certificates that came before.
    again: u64,
    seen: HashSet<Vec<u8>>,
    rules: Counts,
    sound: u64,
    keys: Counts,
    signatures: Counts,
    lists: Counts,
    short: u64,
    policies_critical: u64,
}

impl Statistics {
    fn read_folder(&mut self, folder: &Path, depth: usize) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, entry.path());
            // Links are not followed: they may lead back.
            if kind.is_dir() && depth < MAX_DEPTH {
                self.read_folder(&path, depth + 1)?;
            } else if kind.is_dir() {
                eprintln!("{}: not read: more than {MAX_DEPTH} folders deep", path.display());
            } else if kind.is_file() {
                if self.files == MAX_FILES {
                    let why = format!("there are more than {MAX_FILES} files: give fewer");
                    return Err(io::Error::other(why));
                }
                self.files += 1;
                match read_file(&path) {
                    Ok(text) => self.read_text(&text),
                    Err(error) => add(&mut self.unreadable, error.to_string()),
                }
            }
        }
        Ok(())
    }

    fn read_text(&mut self, text: &[u8]) {
        if !text.windows(11).any(|part| part == b"-----BEGIN ") {
            self.other += 1;
            return;
        }
        match Chain::from_pem(text) {
            Err(error) => add(&mut self.unreadable, class(error.message())),
            Ok(chain) => [chain.leaf()].into_iter().chain(chain.rest()).for_each(|c| self.count(c)),
        }
    }

    fn count(&mut self, certificate: &Certificate) {
        if !self.seen.insert(digest(&SHA256, certificate.der()).as_ref().to_vec()) {
            self.again += 1;
            return;
        }
        if is_authority(certificate) {
            self.authorities += 1;
            return;
        }
        self.certificates += 1;
        let findings = profile::check(certificate, &Policies::default());
        self.sound += u64::from(findings.is_empty());
        for finding in findings {
            add(&mut self.rules, finding.rule.to_owned());
        }
        add(&mut self.keys, certificate.key_kind());
        add(&mut self.signatures, algorithm(certificate));
        add(&mut self.lists, list_form(certificate));
        let validity = certificate.not_after().saturating_sub(certificate.not_before());
        self.short += u64::from(validity <= SHORT);
        let policies = certificate.extension(CERTIFICATE_POLICIES);
        self.policies_critical += u64::from(policies.is_some_and(|(critical, _)| critical));
    }
}

/// A file's text, cut where it is too long for a chain in any case.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let longest = u64::try_from(MAX_CHAIN_LEN).unwrap_or(u64::MAX);
    File::open(path)?.take(longest.saturating_add(1)).read_to_end(&mut text)?;
    Ok(text)
}

fn add(counts: &mut Counts, name: String) {
    *counts.entry(name).or_default() += 1;
}

/// An error's kind: its message without what is of one certificate alone, such as names, which
/// stand in quotes, and numbers.
fn class(message: &str) -> String {
    let mut class = String::new();
    for part in message.split('"').step_by(2) {
        let marked = part.split(|c: char| c.is_ascii_digit()).filter(|text| !text.is_empty());
        class.push_str(&marked.collect::<Vec<_>>().join("N"));
    }
    class
}

fn is_authority(certificate: &Certificate) -> bool {
    certificate
        .extension(BASIC_CONSTRAINTS)
        .and_then(|(_, value)| BasicConstraints::from_der(value).ok())
        .is_some_and(|constraints| constraints.ca)
}

fn algorithm(certificate: &Certificate) -> String {
    let oid: Result<ObjectIdentifier, _> = SliceReader::new(certificate.signature_algorithm())
        .and_then(|mut reader| Decode::decode(&mut reader));
    let oid = oid.map_or_else(|_| "unreadable".to_owned(), |oid| oid.to_string());
    match oid.as_str() {
        "1.2.840.10045.4.3.2" => "ECDSA with SHA-256".into(),
        "1.2.840.10045.4.3.3" => "ECDSA with SHA-384".into(),
        "1.2.840.10045.4.3.4" => "ECDSA with SHA-512".into(),
        "1.2.840.113549.1.1.11" => "RSA with SHA-256".into(),
        "1.2.840.113549.1.1.12" => "RSA with SHA-384".into(),
        "1.2.840.113549.1.1.13" => "RSA with SHA-512".into(),
        _ => oid,
    }
}

/// What a TNAuthList is made of.
fn list_form(certificate: &Certificate) -> String {
    let Some((_, value)) = certificate.extension(TN_AUTH_LIST) else { return "missing".into() };
    let Ok(list) = TnAuthList::from_der(value) else { return "unreadable".into() };
    let form = |count, one, several| match count {
        0 => None,
        1 => Some(one),
        _ => Some(several),
    };
    [
        form(list.spcs.len(), "one SPC", "several SPCs"),
        form(list.ranges.len(), "one range", "several ranges"),
        form(list.numbers.len(), "one number", "several numbers"),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join(", ")
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.certificates;
        let unreadable: u64 = self.unreadable.values().sum();
        writeln!(f, "{:>8} files", self.files)?;
        writeln!(f, "{:>8} files that are no PEM", self.other)?;
        writeln!(f, "{unreadable:>8} PEM files unreadable")?;
        counts(f, &self.unreadable, unreadable)?;
        writeln!(f, "{:>8} CA certificates", self.authorities)?;
        writeln!(f, "{all:>8} signers' certificates; {} came again", self.again)?;
        line(f, self.sound, all, "break no rule of ATIS-1000080")?;
        line(f, self.short, all, "are valid for 7 days at most")?;
        line(f, self.policies_critical, all, "mark certificatePolicies critical")?;
        writeln!(f, "rules, and how many break them")?;
        for rule in RULES {
            line(f, self.rules.get(*rule).copied().unwrap_or_default(), all, rule)?;
        }
        for (heading, of) in
            [("keys", &self.keys), ("signed by", &self.signatures), ("TNAuthLists", &self.lists)]
        {
            writeln!(f, "{heading}")?;
            counts(f, of, all)?;
        }
        Ok(())
    }
}

/// The most frequent first.
fn counts(f: &mut fmt::Formatter<'_>, counts: &Counts, all: u64) -> fmt::Result {
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    sorted.into_iter().try_for_each(|(name, count)| line(f, *count, all, name))
}

fn line(f: &mut fmt::Formatter<'_>, count: u64, all: u64, name: &str) -> fmt::Result {
    let percent = count as f64 * 100.0 / all.max(1) as f64;
    writeln!(f, "{count:>8} {percent:>6.2} %  {name}")
}

#[cfg(test)]
#[path = "../tests/pki/mod.rs"]
mod pki;

#[cfg(test)]
mod tests {
    use super::*;
    use pki::{DAY, Key, NOW, Spec};

    const CA: &str = "C=US,O=Test,CN=Root";

    fn counted(folder: &Path) -> (Statistics, String) {
        let mut statistics = Statistics::default();
        statistics.read_folder(folder, 0).expect("the folder is read");
        let text = statistics.to_string();
        (statistics, text)
    }

    fn says(text: &str, line: &str) {
        assert!(text.lines().any(|l| l.trim() == line), "no line {line:?} in\n{text}");
    }

    #[test]
    fn a_folder_is_counted() {
        let folder = std::env::temp_dir().join(format!("stir-profile-{}", std::process::id()));
        let deeper = folder.join("a/b");
        fs::create_dir_all(&deeper).unwrap();
        let (root, key, other) = (Key::p256(), Key::p256(), Key::p384());
        let long = || Spec::leaf(CA).valid(NOW - DAY, NOW + 30 * DAY);
        let first = Spec::leaf(CA).valid(NOW - DAY, NOW + 6 * DAY).issue(&key, &root);
        let critical = long().with(pki::policies(true)).issue(&key, &root);
        let odd = Spec { subject: pki::name("C=US"), ..long() }
            .extensions(&[pki::key_usage(&[0])])
            .issue(&other, &Key::rsa());
        let ca = Spec::ca(CA, CA).issue(&root, &root);
        for (name, text) in [
            ("a.pem", pki::certificates(&[first.clone(), ca])),
            ("again.crt", pki::certificates(&[first])),
            ("a/b/deep.txt", pki::certificates(&[critical])),
            ("odd.pem", pki::certificates(&[odd])),
            ("key.pem", key.pkcs8_pem()),
            ("one.pem", pki::certificates(&[vec![0xff; 300]])),
            ("two.pem", pki::certificates(&[vec![0xff; 200]])),
            ("long.pem", pki::certificates(&[vec![0; 70_000]])),
            ("page.html", "<html>".into()),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        std::os::unix::fs::symlink(&folder, deeper.join("loop")).unwrap();
        let (_, text) = counted(&folder);
        fs::remove_dir_all(&folder).unwrap();
        for line in [
            "9 files",
            "1 files that are no PEM",
            "4 PEM files unreadable",
            "1  25.00 %  there is no PEM certificate (-----BEGIN CERTIFICATE-----) in it",
            "1 CA certificates",
            "3 signers' certificates; 1 came again",
            "1  33.33 %  are valid for 7 days at most",
            "1  33.33 %  mark certificatePolicies critical",
            "0   0.00 %  version",
            "1  33.33 %  key",
            "1  33.33 %  signature",
            "1  33.33 %  subject-o",
            "1  33.33 %  tn-auth-list",
            "3 100.00 %  crl-dp",
            "2  66.67 %  an EC key on P-256",
            "1  33.33 %  an EC key on P-384",
            "2  66.67 %  ECDSA with SHA-256",
            "1  33.33 %  RSA with SHA-256",
            "2  66.67 %  one SPC",
            "1  33.33 %  missing",
        ] {
            says(&text, line);
        }
        // Two certificates that make no sense for one reason are one line.
        assert!(text.lines().any(|l| l.trim().starts_with("2  50.00 %  certificate")), "{text}");
    }

    #[test]
    fn the_certificates_of_the_rfcs_and_of_france_are_counted() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        // Without what is deeper: that was made for this project.
        let mut found = Statistics::default();
        found.read_folder(&folder, MAX_DEPTH).unwrap();
        let text = found.to_string();
        assert_eq!(found.certificates + found.authorities + found.again, 8, "{text}");
        says(&text, "5 signers' certificates; 0 came again");
    }

    #[test]
    fn the_certificates_of_the_field_are_counted() {
        let Some(vectors) = std::env::var_os("STIR_VECTORS") else {
            println!("STIR_VECTORS is not set: certificates of the field are not counted here");
            return;
        };
        let (found, text) = counted(Path::new(&vectors));
        println!("{text}");
        assert!(found.certificates >= 6, "{text}");
        assert!(found.policies_critical >= 1, "{text}");
        assert!(found.rules.contains_key("spc"), "{text}");
        assert!(found.signatures.contains_key("ECDSA with SHA-384"), "{text}");
    }
}
