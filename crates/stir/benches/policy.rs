//! A check under policy shaken beside one under policy compat, both with warm caches.
//!
//! `cargo bench -p stir --bench policy`: `shaken` is to stay within 1.15 of `compat` (medians).
#![allow(clippy::unwrap_used)]

#[path = "../tests/pki/mod.rs"]
mod pki;

use divan::{Bencher, black_box};
use pki::{CrlSpec, Key, NOW, Spec};
use std::path::PathBuf;
use std::sync::Arc;
use stir::{
    Address, Call, CheckOptions, Checked, Clock, Config, Error, Fetch, Fetched, Policy, PrivateKey,
    PublicKey, Signer, SipCall, Verifier,
};

fn main() {
    divan::main();
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> i64 {
        NOW
    }
}

struct One(String);

impl Fetch for One {
    fn fetch(&self, _: &str) -> Result<Fetched, Error> {
        Ok(Fetched::new(self.0.clone().into_bytes(), None))
    }
}

/// A signed call, its certificates and whom to trust.
struct World {
    folder: PathBuf,
    identity: String,
    chain: String,
}

impl World {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("stir-policy-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (root_key, inter_key, leaf_key) = (Key::p256(), Key::p256(), Key::p256());
        let root = Spec::ca("CN=Root", "CN=Root").issue(&root_key, &root_key);
        let inter = Spec::ca("CN=Inter", "CN=Root").issue(&inter_key, &root_key);
        let leaf = Spec::leaf("CN=Inter").issue(&leaf_key, &inter_key);
        let crl = CrlSpec::new("CN=Inter").revoke(&[0x77]).sign(&inter_key);
        std::fs::write(folder.join("roots.pem"), pki::certificates(&[root, inter.clone()]))
            .unwrap();
        std::fs::write(folder.join("crl.pem"), pki::pem("X509 CRL", &[crl])).unwrap();
        let call = Call {
            orig: "12155551212",
            dest: "12155551213",
            attest: "A",
            origid: "",
            x5u: "https://certs.example.org/shaken.pem",
            rcd_nam: None,
        };
        let identity = Signer::with_clock(&Checked::default(), Arc::new(Fixed))
            .identity(&call, PrivateKey::Pem(&leaf_key.pkcs8_pem()))
            .unwrap();
        Self { folder, identity, chain: pki::certificates(&[leaf, inter]) }
    }

    fn verifier(&self, config: &Config) -> Verifier {
        Verifier::with(
            &config.clone().build().unwrap(),
            Arc::new(Fixed),
            Box::new(One(self.chain.clone())),
        )
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[divan::bench(sample_count = 1000)]
fn compat(bencher: Bencher<'_, '_>) {
    let world = World::new("compat");
    let verifier = world.verifier(&Config::default());
    bencher.bench_local(|| {
        let identities = [black_box(world.identity.as_str())];
        verifier.check(identities, PublicKey::Info, CheckOptions::default()).result.unwrap();
    });
}

#[divan::bench(sample_count = 1000)]
fn shaken(bencher: Bencher<'_, '_>) {
    let world = World::new("shaken");
    let config = Config {
        policy: Policy::Shaken,
        trust_anchors: world.folder.join("roots.pem"),
        crl: world.folder.join("crl.pem"),
        ..Config::default()
    };
    let verifier = world.verifier(&config);
    bencher.bench_local(|| {
        let call = SipCall {
            identities: vec![black_box(world.identity.as_str())],
            asserted: Address::of_list("\"A\" <sip:+12155551212@example.com;user=phone>"),
            from: Address::of_header("<sip:+12155551212@example.com>;tag=1"),
            to: Address::of_header("<sip:+12155551213@example.org>"),
            request_uri: Address::of_uri("sip:+12155551213@example.org"),
            call_id: Some("1@example.com"),
            ..SipCall::default()
        };
        verifier.check_call(&call, PublicKey::Info).result.unwrap();
    });
}
