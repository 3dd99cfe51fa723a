//! What the fuzz targets share: a clock that stands still, certificates without a network, and
//! verifiers over them.

#[path = "../../crates/stir/tests/pki/mod.rs"]
pub mod pki;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pki::{Key, NOW, Spec, certificates, extension, seq, tlv};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use stir::{Clock, Code, Config, Error, Fetch, Fetched, Policy, Verifier};

/// The certificate at every URL, but for [`RANGE_URL`].
pub const URL: &str = "https://certs.example/a";
/// A certificate for 1215555xxxx only, whose tokens must have attest A or B.
pub const RANGE_URL: &str = "https://certs.example/range";

struct Still;

impl Clock for Still {
    fn now(&self) -> i64 {
        NOW
    }
}

/// The signer's key, and its certificates as PEM.
pub struct Signers {
    pub key: Key,
    /// A private key, PEM.
    pub private: String,
    root: String,
    spc: String,
    range: String,
}

pub static SIGNERS: LazyLock<Signers> = LazyLock::new(|| {
    let (root, key) = (Key::p256(), Key::p256());
    let ia5 = |text: &str| tlv(0x16, &[text.as_bytes()]);
    let count = tlv(0x02, &[&10_000_u16.to_be_bytes()]);
    let numbers = seq(&[&tlv(0xa1, &[&seq(&[&ia5("12155550000"), &count])])]);
    let levels = seq(&[&tlv(0x0c, &[b"A"]), &tlv(0x0c, &[b"B"])]);
    let permitted = seq(&[&seq(&[&ia5("attest"), &levels])]);
    let range = Spec::leaf("CN=Root").extensions(&[
        extension("1.3.6.1.5.5.7.1.26", false, &numbers),
        extension("1.3.6.1.5.5.7.1.27", false, &seq(&[&tlv(0xa1, &[&permitted])])),
    ]);
    Signers {
        root: certificates(&[Spec::ca("CN=Root", "CN=Root").issue(&root, &root)]),
        spc: certificates(&[Spec::leaf("CN=Root").issue(&key, &root)]),
        range: certificates(&[range.issue(&key, &root)]),
        private: private(&Key::p256()),
        key,
    }
});

impl Signers {
    /// The token of this header and payload, whatever they are.
    pub fn token(&self, header: &[u8], payload: &[u8]) -> String {
        let signed = format!("{}.{}", encode(header), encode(payload));
        let signature = fixed(&self.key.sign(signed.as_bytes()));
        format!("{signed}.{}", encode(&signature))
    }
}

/// PKCS#8, PEM.
pub fn private(key: &Key) -> String {
    let Key::P256(pair) = key else { panic!("a key on P-256") };
    let der = pair.to_pkcs8v1().expect("PKCS#8").as_ref().to_vec();
    pki::pem("PRIVATE KEY", &[der])
}

pub fn encode(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// R‖S of 32 octets each (RFC 7518 §3.4), of a signature in DER.
fn fixed(der: &[u8]) -> [u8; 64] {
    let mut fixed = [0; 64];
    let mut at = 2;
    for half in fixed.chunks_mut(32) {
        let len = usize::from(der[at + 1]);
        let number = &der[at + 2..at + 2 + len];
        let number = &number[number.len().saturating_sub(32)..];
        half[32 - number.len()..].copy_from_slice(number);
        at += 2 + len;
    }
    fixed
}

struct Certificates;

impl Fetch for Certificates {
    fn fetch(&self, url: &str) -> stir::Result<Fetched> {
        let chain = match url {
            RANGE_URL => &SIGNERS.range,
            _ if url.ends_with("404") => return Err(Error::new(Code::HttpStatus, "not there")),
            _ => &SIGNERS.spc,
        };
        Ok(Fetched::new(chain.clone().into_bytes(), None))
    }
}

/// A verifier that remembers nothing from one input to the next.
pub fn verifier(policy: Policy) -> Verifier {
    let trust_anchors = match policy {
        Policy::Compat => PathBuf::new(),
        Policy::Shaken => {
            let path = std::env::temp_dir().join(format!("stir-fuzz-{}.pem", std::process::id()));
            std::fs::write(&path, &SIGNERS.root).expect("a file for the root");
            path
        }
    };
    let config = Config { policy, trust_anchors, cache_expire: 0, ..Config::default() };
    let config = config.build().expect("settings that hold together");
    Verifier::with(&config, Arc::new(Still), Box::new(Certificates))
}

pub static COMPAT: LazyLock<Verifier> = LazyLock::new(|| verifier(Policy::Compat));
pub static SHAKEN: LazyLock<Verifier> = LazyLock::new(|| verifier(Policy::Shaken));
