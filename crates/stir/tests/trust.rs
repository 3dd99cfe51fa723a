//! Trust anchors, intermediates and CRLs in files; the bits; real certificates; junk.
#![allow(clippy::unwrap_used)]

mod pki;
mod trust {
    pub mod field;
    pub mod replaced;
}

use pki::{At, CrlSpec, DAY, Key, NOW, Spec};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use stir::cert::{Certificate, Chain};
use stir::trust::{Reloaded, Trust};
use stir::{Code, Config};

const ROOT: &str = "CN=Root";
const INTER: &str = "CN=Inter";
const PA: &str = "CN=STI-PA CRL";

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trust").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn config(bits: u32, folder: &Path) -> Config {
    let mut config = Config::default();
    config.set_option(&format!("CertVerify={bits}")).unwrap();
    config.ca_file = folder.join("roots.pem");
    config.inter_file = folder.join("inter.pem");
    config.crl_file = folder.join("crl.pem");
    config
}

/// By a clock that stands still.
fn trust(bits: u32, folder: &Path, now: i64) -> Trust {
    Trust::with_clock(&config(bits, folder), Arc::new(At(now)))
}

fn chain(ders: &[Vec<u8>]) -> Chain {
    chain_of(pki::certificates(ders).as_bytes())
}

fn chain_of(text: &[u8]) -> Chain {
    Chain::from_pem(text).unwrap()
}

/// Root, intermediate and leaf, with the root and intermediate in files.
struct World {
    folder: PathBuf,
    root_key: Key,
    inter_key: Key,
    leaf_key: Key,
    leaf: Vec<u8>,
    inter: Vec<u8>,
    root: Vec<u8>,
}

impl World {
    fn new(name: &str) -> Self {
        let (root_key, inter_key, leaf_key) = (Key::p256(), Key::p256(), Key::p256());
        let root = Spec::ca(ROOT, ROOT).issue(&root_key, &root_key);
        let inter = Spec::ca(INTER, ROOT).serial(&[0x66]).issue(&inter_key, &root_key);
        let leaf = Spec::leaf(INTER).issue(&leaf_key, &inter_key);
        let world = Self { folder: folder(name), root_key, inter_key, leaf_key, leaf, inter, root };
        world.write("roots.pem", pki::certificates(std::slice::from_ref(&world.root)));
        world.write("inter.pem", pki::certificates(std::slice::from_ref(&world.inter)));
        world
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.folder.join(name), text).unwrap();
    }

    fn crls(&self, crls: &[Vec<u8>]) {
        self.write("crl.pem", pki::pem("X509 CRL", crls));
    }

    fn trust(&self, bits: u32) -> Trust {
        trust(bits, &self.folder, NOW)
    }

    fn code(&self, bits: u32) -> Option<Code> {
        let chain = chain(&[self.leaf.clone(), self.inter.clone()]);
        self.trust(bits).verify(&chain, NOW).err().map(|e| e.code())
    }
}

#[test]
fn the_bits_say_what_is_checked() {
    let world = World::new("bits");
    let whole = chain(&[world.leaf.clone(), world.inter.clone()]);
    let alone = chain(std::slice::from_ref(&world.leaf));
    let until = NOW + DAY;
    let code =
        |bits, chain: &Chain, now| world.trust(bits).verify(chain, now).map_err(|e| e.code());
    assert_eq!(code(0, &alone, NOW + 9 * DAY), Ok(until), "nothing is checked");
    assert_eq!(code(32, &alone, NOW), Ok(until));
    assert_eq!(code(32, &alone, until), Ok(until), "the last second");
    assert_eq!(code(32, &alone, until + 1), Err(Code::CertExpired));
    assert_eq!(code(32, &alone, NOW - DAY - 1), Err(Code::CertNotYetValid));
    assert_eq!(code(5, &whole, until + 1), Err(Code::CertExpired));
    assert_eq!(code(5, &whole, NOW - DAY - 1), Err(Code::CertNotYetValid));
    assert_eq!(code(4, &whole, until + 1), Err(Code::CertInvalid), "without bit 1");
    assert_eq!(code(4, &whole, NOW), Ok(until));
    assert_eq!(code(4, &alone, NOW), Err(Code::CertInvalid), "no intermediate");
    assert_eq!(code(12, &alone, NOW), Ok(until), "the intermediate is in a file");
    for bits in [1, 2, 3, 10] {
        assert_eq!(code(bits, &whole, NOW), Err(Code::CertInvalid), "the system's roots");
    }
    assert_eq!(code(6, &whole, NOW), Ok(until), "both");
}

#[test]
fn the_system_s_roots_are_read() {
    // They vouch for themselves, at a time when most are valid.
    let found = rustls_native_certs::load_native_certs().certs;
    assert!(!found.is_empty(), "apt-get install ca-certificates");
    let trust = trust(2, Path::new("/"), NOW);
    trust.load().unwrap();
    for der in found {
        let certificate = Certificate::from_der(&der).unwrap();
        let chain = chain(&[der.to_vec()]);
        trust.verify(&chain, certificate.not_before() + 1).unwrap();
    }
}

#[test]
fn files_that_are_wrong_have_codes_and_names() {
    let world = World::new("wrong");
    world.write("junk", "junk");
    world.write("empty", "");
    let directory = world.folder.to_str().unwrap();
    let junk = world.folder.join("junk");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    world.write("broken", broken);
    let broken = world.folder.join("broken");
    for (option, bits, missing, unreadable, useless) in [
        ("CertCAFile", 4, Code::CaFileMissing, Code::CaFileRead, Code::CertProcessing),
        ("CertCAInter", 12, Code::InterFileMissing, Code::InterFileRead, Code::InterFileRead),
        ("CertCRLFile", 20, Code::CrlFileMissing, Code::CrlFileRead, Code::CrlFileRead),
    ] {
        for (value, code) in [
            ("", missing),
            ("/nonexistent", unreadable),
            (directory, unreadable),
            ("/dev/zero", unreadable),
            (junk.to_str().unwrap(), useless),
            (broken.to_str().unwrap(), useless),
        ] {
            let mut config = config(bits, &world.folder);
            config.set_option(&format!("{option}={value}")).unwrap();
            let trust = Trust::with_clock(&config, Arc::new(At(NOW)));
            let error = trust.load().unwrap_err();
            assert_eq!(error.code(), code, "{option}={value}: {error}");
            assert!(error.message().contains(option), "{error}");
            assert!(error.message().contains(value), "{error}");
            let chain = chain(&[world.leaf.clone(), world.inter.clone()]);
            assert_eq!(trust.verify(&chain, NOW).unwrap_err(), error, "{option}={value}");
        }
    }
    assert_eq!(Trust::new(&config(32, Path::new("/nonexistent"))).load(), Ok(()), "not needed");
}

#[test]
fn a_file_that_changes_is_read_again_and_a_bad_one_is_not_used() {
    let world = World::new("reload");
    let trust = world.trust(4);
    let chain = chain(&[world.leaf.clone(), world.inter.clone()]);
    let wait = || std::thread::sleep(Duration::from_millis(1100));
    trust.verify(&chain, NOW).unwrap();
    let first = trust.generation();
    wait();
    assert_eq!(trust.generation(), first, "nothing has changed");
    let other = Key::p256();
    let stranger = Spec::ca("CN=Other", "CN=Other").issue(&other, &other);
    world.write("roots.pem", pki::certificates(&[stranger]));
    wait();
    let second = trust.generation();
    assert_ne!(second, first);
    assert_eq!(trust.verify(&chain, NOW).unwrap_err().code(), Code::CertInvalid);
    world.write("roots.pem", pki::certificates(std::slice::from_ref(&world.root)));
    wait();
    assert_ne!(trust.generation(), second);
    trust.verify(&chain, NOW).unwrap();
    let third = trust.generation();
    world.write("roots.pem", "no certificate");
    wait();
    assert_eq!(trust.generation(), third, "what was good stays");
    trust.verify(&chain, NOW).unwrap();
    fs::remove_file(world.folder.join("roots.pem")).unwrap();
    wait();
    trust.verify(&chain, NOW).unwrap();
    let past = Key::p256();
    let past = Spec::ca("CN=Past", "CN=Past").valid(0, 1).issue(&past, &past);
    world.write("roots.pem", pki::certificates(&[past]));
    wait();
    trust.verify(&chain, NOW).unwrap();
    assert_eq!(trust.generation(), third);
}

#[test]
fn a_reload_takes_all_files_at_once_or_none() {
    let world = World::new("reload at once");
    world.crls(&[CrlSpec::new(INTER).sign(&world.inter_key)]);
    // Trust anchors, intermediates and CRLs.
    let trust = world.trust(4 + 8 + 16);
    let chain = chain(&[world.leaf.clone(), world.inter.clone()]);
    trust.verify(&chain, NOW).unwrap();
    let first = trust.generation();
    let other = Key::p256();
    let stranger = Spec::ca("CN=Other", "CN=Other").issue(&other, &other);
    world.write("roots.pem", pki::certificates(&[stranger.clone(), world.root.clone()]));
    world.write("crl.pem", "no CRL");
    let error = trust.reload().unwrap_err();
    assert!(error.message().contains("crl.pem"), "{error}");
    assert_eq!(trust.generation(), first, "the good file counts no more than the bad one");
    // With one of the past every check would fail.
    world.crls(&[CrlSpec { next_update: 1, ..CrlSpec::new(INTER) }.sign(&world.inter_key)]);
    let error = trust.reload().unwrap_err();
    assert!(error.message().contains("is of no use: the CRL of \"CN=Inter\""), "{error}");
    world.crls(&[CrlSpec::new(INTER).sign(&world.inter_key)]);
    let past = Spec::ca("CN=Past", "CN=Past").valid(0, 1).issue(&other, &other);
    world.write("roots.pem", pki::certificates(&[past]));
    let error = trust.reload().unwrap_err();
    assert!(error.message().contains("1970-01-01T00:00:01Z"), "{error}");
    assert_eq!(trust.generation(), first);
    world.write("roots.pem", pki::certificates(&[stranger, world.root.clone()]));
    let revoked = CrlSpec::new(INTER).revoke(&[0x11, 0x22, 0x33]).sign(&world.inter_key);
    world.crls(&[revoked]);
    let reloaded = trust.reload().unwrap();
    assert_eq!(reloaded, Reloaded { anchors: 2, intermediates: 1, crls: 1 });
    assert_ne!(trust.generation(), first);
    assert_eq!(trust.verify(&chain, NOW).unwrap_err().code(), Code::CertRevoked);
    assert_eq!(world.trust(0).reload(), Ok(Reloaded::default()), "nothing is asked for");
}

#[test]
fn crls_count_by_signature_issuer_and_dates() {
    let world = World::new("crl");
    let good = CrlSpec::new(INTER).sign(&world.inter_key);
    world.crls(std::slice::from_ref(&good));
    assert_eq!(world.code(20), None);
    let whole = chain(&[world.leaf.clone(), world.inter.clone()]);
    world.crls(&[CrlSpec { next_update: NOW + 5, ..CrlSpec::new(INTER) }.sign(&world.inter_key)]);
    assert_eq!(world.trust(20).verify(&whole, NOW), Ok(NOW + 5), "the verdict ends with the CRL");
    world.write("crl.pem", &good);
    assert_eq!(world.code(20), None, "DER");
    world.crls(&[
        good.clone(),
        CrlSpec::new(INTER).revoke(&[0x11, 0x22, 0x33]).sign(&world.inter_key),
    ]);
    assert_eq!(world.code(20), Some(Code::CertRevoked), "the second of two");
    assert_eq!(world.code(4), None, "not asked for");
    world.crls(&[CrlSpec::new(ROOT).revoke(&[0x66]).sign(&world.root_key)]);
    assert_eq!(world.code(20), Some(Code::CertRevoked), "the intermediate");
    world.crls(&[CrlSpec::new(ROOT).revoke(&[0x11, 0x22, 0x33]).sign(&world.root_key)]);
    assert_eq!(world.code(20), None, "the serial of another issuer");
    world.crls(&[good, CrlSpec::new(ROOT).sign(&world.inter_key)]);
    assert_eq!(world.code(20), Some(Code::CrlFileRead), "one that does not count");
    world.crls(&[CrlSpec::new(PA).sign(&world.root_key)]);
    assert_eq!(world.code(20), None, "a CRL of nobody in this path");
    let unknown = CrlSpec { indirect: true, ..CrlSpec::new(PA) }.sign(&world.root_key);
    world.crls(&[unknown]);
    assert_eq!(world.code(20), Some(Code::CrlFileRead), "an issuer that nobody knows");
}

#[test]
fn an_indirect_crl_names_the_issuers_of_what_it_revokes() {
    let world = World::new("indirect");
    let key = Key::p256();
    let signer = Spec { subject: pki::name(PA), ..Spec::leaf(ROOT) }
        .extensions(&[pki::basic_constraints(false, None), pki::key_usage(&[6])])
        .issue(&key, &world.root_key);
    world.write("inter.pem", pki::certificates(&[signer]));
    let leaf = vec![0x11, 0x22, 0x33];
    let crl = |indirect, revoked| CrlSpec { indirect, revoked, ..CrlSpec::new(PA) }.sign(&key);
    let (ours, theirs) = (Some(pki::name(INTER)), Some(pki::name("CN=Another CA")));
    world.crls(&[crl(true, vec![(vec![1], theirs.clone()), (leaf.clone(), ours.clone())])]);
    assert_eq!(world.code(28), Some(Code::CertRevoked));
    world.crls(&[crl(true, vec![(vec![1], ours), (leaf.clone(), None)])]);
    assert_eq!(world.code(28), Some(Code::CertRevoked), "the issuer of the entry before");
    world.crls(&[crl(true, vec![(vec![1], theirs), (leaf.clone(), None)])]);
    assert_eq!(world.code(28), None, "another CA's certificate");
    world.crls(&[crl(true, vec![(leaf.clone(), None)])]);
    assert_eq!(world.code(28), None, "the CRL's own issuer's certificate");
    world.crls(&[crl(false, vec![(leaf, Some(pki::name(INTER)))])]);
    assert_eq!(world.code(28), Some(Code::CrlFileRead), "certificateIssuer in a direct CRL");
    // The signer of calls may not sign CRLs.
    world.crls(&[CrlSpec { issuer: pki::name("C=US,O=Test,CN=SHAKEN 1234"), ..CrlSpec::new(PA) }
        .sign(&world.leaf_key)]);
    world.write("inter.pem", pki::certificates(std::slice::from_ref(&world.leaf)));
    assert_eq!(world.code(28), Some(Code::CrlFileRead));
}

#[test]
fn a_french_crl_holds_for_the_certificates_that_name_its_issuer() {
    let mut world = World::new("french");
    let key = Key::p256();
    let signer = Spec { subject: pki::name("CN=PA1,O=BPCO"), ..Spec::leaf(ROOT) }
        .extensions(&[pki::basic_constraints(false, None), pki::key_usage(&[0, 6])])
        .issue(&key, &world.root_key);
    world.write("inter.pem", pki::certificates(&[signer]));
    world.crls(&[CrlSpec::new("CN=PA1,O=BPCO").revoke(&[0x11, 0x22, 0x33]).sign(&key)]);
    assert_eq!(world.code(28), None, "the certificate names no cRLIssuer");
    for (issuer, code) in [("O=BPCO,CN=PA1", Some(Code::CertRevoked)), ("CN=PA2,O=BPCO", None)] {
        let spec = Spec::leaf(INTER).with(pki::crl_issuer(issuer));
        world.leaf = spec.issue(&world.leaf_key, &world.inter_key);
        assert_eq!(world.code(28), code, "{issuer}");
    }
}

/// The PEM certificates of a vector's file.
fn pems(text: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    text.split("-----BEGIN CERTIFICATE-----")
        .skip(1)
        .filter_map(|part| Some(part.split_once(END)?.0))
        .map(|body| format!("-----BEGIN CERTIFICATE-----{body}{END}\n"))
        .collect()
}

fn at(pem: &str) -> Certificate {
    Chain::from_pem(pem.as_bytes()).unwrap().leaf().clone()
}

#[test]
fn the_certificate_of_rfc_9118_is_read() {
    let pems = pems(include_str!("data/rfc9118_cert_eJWTClaimConstraints.txt"));
    let certificate = at(&pems[0]);
    assert_eq!(certificate.serial(), "1FB65DDEB43902CBCE9732E7CD41E1AD58434A5B");
    assert_eq!(certificate.issuer(), "CN=BOGUS SHAKEN ROOT,C=US");
    assert_eq!(certificate.not_before(), 1_626_385_935);
    assert_eq!(certificate.public_key_sec1().unwrap().len(), 65);
    let oid = der::asn1::ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.33");
    let (critical, value) = certificate.extension(oid).unwrap();
    assert!(!critical && value.len() == 66);
}

#[test]
fn certificates_of_the_field_validate() {
    let Some(vectors) = std::env::var_os("STIR_VECTORS") else {
        println!("STIR_VECTORS is not set: the prod_* certificates are not checked here");
        return;
    };
    let mut count = 0;
    for entry in fs::read_dir(vectors).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("prod_") {
            continue;
        }
        let pems = pems(&fs::read_to_string(&path).unwrap());
        let folder = folder(&name);
        // The last is the root, or the highest that was found.
        fs::write(folder.join("roots.pem"), pems.last().unwrap()).unwrap();
        let leaf = at(&pems[0]);
        leaf.public_key_sec1().unwrap();
        let trust = trust(5, &folder, leaf.not_before() + 60);
        let chain = Chain::from_pem(pems.concat().as_bytes()).unwrap();
        let until =
            trust.verify(&chain, leaf.not_before() + 60).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(until <= leaf.not_after());
        fs::write(folder.join("leaf.pem"), &pems[0]).unwrap();
        fs::write(folder.join("rest.pem"), pems.concat()).unwrap();
        let output = std::process::Command::new("openssl")
            .current_dir(&folder)
            .args(["verify", "-no-CApath", "-no-CAstore", "-partial_chain"])
            .args(["-attime", &(leaf.not_before() + 60).to_string()])
            .args(["-CAfile", "roots.pem", "-untrusted", "rest.pem", "leaf.pem"])
            .output()
            .expect("the openssl tool: apt-get install openssl");
        assert!(output.status.success(), "{name}: OpenSSL refuses what we accept: {output:?}");
        let late = trust.verify(&chain, leaf.not_after() + 1).unwrap_err();
        assert_eq!(late.code(), Code::CertExpired, "{name}");
        count += 1;
    }
    assert!(count >= 6, "{count} files");
}

#[test]
fn keys_of_other_kinds_are_named() {
    let root = Key::p256();
    for (key, kind) in [
        (Key::p384(), "P-384"),
        (Key::p521(), "P-521"),
        (Key::rsa(), "RSA"),
        (Key::ed25519(), "Ed25519"),
    ] {
        let certificate = Certificate::from_der(&Spec::leaf(ROOT).issue(&key, &root)).unwrap();
        let error = certificate.public_key_sec1().unwrap_err();
        assert_eq!(error.code(), Code::CertNotEc);
        assert!(error.message().contains(kind), "{error}");
    }
}

#[test]
fn texts_that_are_no_chain_are_refused() {
    let world = World::new("texts");
    let pem = pki::certificates(std::slice::from_ref(&world.leaf));
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(Chain::from_pem(format!("{key}{pem}").as_bytes()).is_ok(), "a key in the same file");
    for (text, code) in [
        (String::new(), Code::CertFormat),
        ("<html>404</html>".into(), Code::CertFormat),
        (key.into(), Code::CertFormat),
        (pem.replace("-----END CERTIFICATE-----", ""), Code::CertFormat),
        (pem.repeat(11), Code::CertFormat),
        (" ".repeat(65 * 1024), Code::CertFormat),
        (pki::certificates(&[vec![0x30, 0x00]]), Code::CertInvalid),
        (pki::certificates(&[vec![0x30; 20_000]]), Code::CertInvalid),
        (pki::certificates(&[[world.leaf.clone(), vec![0]].concat()]), Code::CertInvalid),
    ] {
        let error = Chain::from_pem(text.as_bytes()).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

static JUNK: LazyLock<World> = LazyLock::new(|| World::new("junk"));

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn a_mutated_chain_never_passes_nor_panics(
        which in 0..2_usize, place in any::<prop::sample::Index>(), octet in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut ders = [JUNK.leaf.clone(), JUNK.inter.clone()];
        let place = place.index(ders[which].len());
        if cut { ders[which].truncate(place) } else { ders[which][place] = octet }
        let same = ders == [JUNK.leaf.clone(), JUNK.inter.clone()];
        if let Ok(chain) = Chain::from_pem(pki::certificates(&ders).as_bytes()) {
            let _ = chain.leaf().public_key_sec1();
            let _ = (chain.leaf().subject(), chain.leaf().issuer(), chain.leaf().serial());
            prop_assert_eq!(JUNK.trust(4).verify(&chain, NOW).is_ok(), same);
        }
    }

    #[test]
    fn a_mutated_crl_never_counts_nor_panics(place in any::<prop::sample::Index>(), octet in any::<u8>()) {
        static CRL: LazyLock<Vec<u8>> = LazyLock::new(|| {
            let revoked = vec![(vec![1], Some(pki::name(ROOT))), (vec![2], None)];
            CrlSpec { indirect: true, revoked, ..CrlSpec::new(INTER) }.sign(&JUNK.inter_key)
        });
        let mut crl = CRL.clone();
        let place = place.index(crl.len());
        crl[place] = octet;
        let same = crl == *CRL;
        JUNK.write("crl.pem", &crl);
        prop_assert_eq!(JUNK.code(28), if same { None } else { Some(Code::CrlFileRead) });
    }

    #[test]
    fn junk_never_panics(junk in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Certificate::from_der(&junk);
        let _ = Chain::from_pem(&junk);
    }
}
