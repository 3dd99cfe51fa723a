//! A whole signing and a whole check beside the bare ES256 operation of the same library.
//!
//! `cargo bench -p stir`: `sign` is to stay within 1.3 of `bare_sign`, `check` within 1.15 of
//! `bare_verify` (medians).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    ParsedPublicKey,
};
use divan::{Bencher, black_box};
use p256::SecretKey;
use p256::elliptic_curve::Generate;
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use std::path::PathBuf;
use stir::{Call, CheckOptions, Config, PrivateKey, PublicKey, Signer, Verifier};

const CALL: Call<'_> = Call {
    orig: "12155551212",
    dest: "12155551213",
    attest: "A",
    origid: "",
    x5u: "https://certs.example.org/shaken.pem",
    rcd_nam: None,
};

fn main() {
    divan::main();
}

struct Keys {
    folder: PathBuf,
    secret: SecretKey,
}

impl Keys {
    fn new(name: &str) -> Self {
        let secret = SecretKey::generate();
        let folder = std::env::temp_dir().join(format!("stir-bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let private = secret.to_pkcs8_pem(LineEnding::LF).expect("PKCS#8");
        let public = secret.public_key().to_public_key_pem(LineEnding::LF).expect("SPKI");
        std::fs::write(folder.join("key.pem"), private).expect("key.pem");
        std::fs::write(folder.join("public.pem"), public).expect("public.pem");
        Self { folder, secret }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn pair(&self) -> EcdsaKeyPair {
        let der = self.secret.to_pkcs8_der().expect("PKCS#8");
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_bytes()).expect("a key")
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// As many octets as the signed part of a token has.
const MESSAGE: [u8; 360] = [b'x'; 360];

#[divan::bench]
fn bare_sign(bencher: Bencher<'_, '_>) {
    let pair = Keys::new("bare-sign").pair();
    let random = SystemRandom::new();
    bencher.bench_local(|| pair.sign(&random, black_box(&MESSAGE)).expect("a signature"));
}

#[divan::bench]
fn sign(bencher: Bencher<'_, '_>) {
    let keys = Keys::new("sign");
    let path = keys.path("key.pem");
    let signer = Signer::new(&Config::default());
    bencher.bench_local(|| {
        signer.identity(black_box(&CALL), PrivateKey::Path(&path)).expect("a token")
    });
}

#[divan::bench]
fn bare_verify(bencher: Bencher<'_, '_>) {
    let pair = Keys::new("bare-verify").pair();
    let signature = pair.sign(&SystemRandom::new(), &MESSAGE).expect("a signature");
    let key =
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref()).expect("a key");
    bencher.bench_local(|| key.verify_sig(black_box(&MESSAGE), signature.as_ref()).expect("valid"));
}

#[divan::bench]
fn check(bencher: Bencher<'_, '_>) {
    let keys = Keys::new("check");
    let identity = Signer::new(&Config::default())
        .identity(&CALL, PrivateKey::Path(&keys.path("key.pem")))
        .expect("a token");
    let path = keys.path("public.pem");
    let verifier = Verifier::new(&Config::default());
    bencher.bench_local(|| {
        let report = verifier.check(
            [black_box(identity.as_str())],
            PublicKey::Location(&path),
            CheckOptions::default(),
        );
        report.result.expect("valid");
    });
}
