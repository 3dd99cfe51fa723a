//! Certificates, chains, keys, trust anchors and CRLs. Input: an octet that says what the rest is:
//! 0 a certificate's DER, 1 a PEM text, 2 a TBSCertificate and 3 a TBSCertList that a trusted CA
//! signs, 4 a file of CRLs, 5 the payload of a policy administrator's list.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use std::sync::LazyLock;
use stir::authority::ClaimConstraints;
use stir::cert::{Certificate, Chain, MAX_CERTIFICATE_LEN, MAX_CHAIN_CERTIFICATES};
use stir::key::{Credential, SigningKey, VerifyingKey};
use stir::trust::Trust;
use stir::{Config, profile};
use stir_fuzz::SIGNERS;
use stir_fuzz::pki::{self, Key, NOW, Spec};

const ROOT: &str = "C=US,O=Test,CN=Root";

struct World {
    root_key: Key,
    /// A good chain.
    chain: Chain,
    folder: PathBuf,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let root_key = Key::p256();
    let folder = std::env::temp_dir().join(format!("stir-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let root = Spec::ca(ROOT, ROOT).issue(&root_key, &root_key);
    std::fs::write(folder.join("root.pem"), pki::certificates(&[root])).expect("a file");
    std::fs::write(folder.join("list.pem"), pki::pem("PUBLIC KEY", &[SIGNERS.key.spki()]))
        .expect("a file");
    let leaf = pki::certificates(&[Spec::leaf(ROOT).issue(&Key::p256(), &root_key)]);
    let chain = Chain::from_pem(leaf.as_bytes()).expect("a chain");
    let world = World { root_key, chain, folder };
    assert!(world.trust(None).verify(&world.chain, NOW).is_ok());
    world
});

impl World {
    fn trust(&self, crl: Option<&[u8]>) -> Trust {
        let mut config =
            Config { trust_anchors: self.folder.join("root.pem"), ..Config::default() };
        if let Some(crl) = crl {
            config.crl = self.file("crl", crl);
        }
        Trust::new(&config)
    }

    fn file(&self, name: &str, text: &[u8]) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    // Lengths of tests/pki end at 16 MiB, and nothing here needs as much.
    match kind % 6 {
        0 => one(rest),
        1 => pem(rest),
        2 => one(&pki::signed(rest, &WORLD.root_key.algorithm(), &WORLD.root_key)),
        3 => {
            let crl = pki::signed(rest, &WORLD.root_key.algorithm(), &WORLD.root_key);
            let _ = WORLD.trust(Some(&crl)).verify(&WORLD.chain, NOW);
        }
        4 => {
            // Nobody here signed it: it is refused, or of nobody in the chain.
            let _ = WORLD.trust(Some(rest)).verify(&WORLD.chain, NOW);
        }
        _ => list(rest),
    }
});

fn one(der: &[u8]) {
    let Ok(certificate) = Certificate::from_der(der) else { return };
    assert!(der.len() <= MAX_CERTIFICATE_LEN && certificate.der() == der);
    (certificate.subject(), certificate.issuer(), certificate.serial());
    if let Ok(point) = certificate.public_key_sec1() {
        let _ = VerifyingKey::from_point(point);
    }
    for finding in profile::check(&certificate, &Default::default()) {
        assert!(profile::RULES.contains(&finding.rule));
    }
    let _ = ClaimConstraints::of(&certificate);
    let text = pki::certificates(&[der.to_vec()]);
    let chain = Chain::from_pem(text.as_bytes()).expect("the same certificate");
    assert_eq!(*chain.leaf(), certificate);
    if let Ok(until) = WORLD.trust(None).verify(&chain, NOW) {
        assert!(certificate.not_before() <= NOW && NOW <= until);
        assert!(until <= certificate.not_after());
    }
}

fn pem(text: &[u8]) {
    if let Ok(chain) = Chain::from_pem(text) {
        assert!(chain.rest().len() < MAX_CHAIN_CERTIFICATES);
        let _ = WORLD.trust(None).verify(&chain, NOW);
    }
    let _ = Credential::from_pem(text);
    if let Ok(key) = SigningKey::from_pem(text) {
        let signature = key.sign(b"x").expect("a signature");
        assert!(key.verifying_key().expect("its public half").verify(b"x", &signature));
    }
}

fn list(payload: &[u8]) {
    let token = SIGNERS.token(br#"{"alg":"ES256","typ":"JWT"}"#, payload);
    let config = Config {
        trust_anchors: WORLD.file("list", token.as_bytes()),
        trust_anchors_key: WORLD.folder.join("list.pem"),
        ..Config::default()
    };
    let _ = Trust::new(&config).verify(&WORLD.chain, NOW);
}
