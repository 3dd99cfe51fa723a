//! Signers, each with a key and a certificate URL of its own, and calls that they signed.

use p256::SecretKey;
use p256::elliptic_curve::Generate;
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use std::collections::HashMap;
use std::sync::Arc;
use stir::{
    Call, CheckOptions, Checked, Code, Config, Error, Fetch, Fetched, PrivateKey, PublicKey,
    Signer, SystemClock, Verifier,
};

/// Longer than a bench runs, in seconds: its tokens are signed once.
const EXPIRE: u32 = 100_000;

#[derive(Clone)]
pub struct World {
    pub calls: Vec<String>,
    keys: Arc<HashMap<String, String>>,
}

/// Public keys in place of downloads.
struct Keys(Arc<HashMap<String, String>>);

impl Fetch for Keys {
    fn fetch(&self, url: &str) -> stir::Result<Fetched> {
        let key = self.0.get(url).ok_or_else(|| Error::new(Code::HttpStatus, "404"))?;
        Ok(Fetched::new(key.clone().into_bytes(), None))
    }
}

pub fn call(x5u: &str) -> Call<'_> {
    Call { orig: "12155551212", dest: "12155551213", attest: "A", origid: "", x5u, rcd_nam: None }
}

impl World {
    pub fn new(signers: usize) -> Self {
        let signer = Signer::new(&Checked::default());
        let (mut calls, mut keys) = (Vec::new(), HashMap::new());
        for n in 0..signers {
            let url = format!("https://certs.example.org/shaken-{n}.pem");
            let secret = SecretKey::generate();
            let private = secret.to_pkcs8_pem(LineEnding::LF).expect("PKCS#8");
            let public = secret.public_key().to_public_key_pem(LineEnding::LF).expect("SPKI");
            calls.push(signer.identity(&call(&url), PrivateKey::Pem(&private)).expect("a token"));
            keys.insert(url, public);
        }
        Self { calls, keys: Arc::new(keys) }
    }

    /// A verifier that has seen each signer three times, with so many KiB for tables.
    pub fn verifier(&self, key_tables: u32) -> Verifier {
        let cache_size = u32::try_from(2 * self.calls.len()).expect("few signers");
        let config = Config { key_tables, cache_size, expire: Some(EXPIRE), ..Config::default() };
        let verifier = Verifier::with(
            &config.build().expect("settings"),
            Arc::new(SystemClock),
            Box::new(Keys(Arc::clone(&self.keys))),
        );
        for n in 0..3 * self.calls.len() {
            self.check(&verifier, n);
        }
        verifier
    }

    /// Checks the call of a signer.
    pub fn check(&self, verifier: &Verifier, n: usize) {
        let call = self.calls[n % self.calls.len()].as_str();
        let report = verifier.check([call], PublicKey::Info, CheckOptions::default());
        report.result.expect("valid");
    }
}
