//! What a verifier says it has in memory.
#![allow(clippy::unwrap_used)]

mod pki;

use pki::{DAY, Key, NOW, Spec, certificates};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use stir::{
    Call, CheckOptions, Clock, Config, Fetch, Fetched, PrivateKey, PublicKey, Signer, SipCall,
    Verifier,
};

const URL: &str = "https://a.example/c.pem";

#[derive(Default)]
struct At(AtomicI64);

impl Clock for At {
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A server with one certificate.
struct One(String);

impl Fetch for One {
    fn fetch(&self, _: &str) -> stir::Result<Fetched> {
        Ok(Fetched { body: self.0.clone().into_bytes(), until: None })
    }
}

#[test]
fn certificates_in_memory_are_listed_with_where_they_come_from() {
    let (Key::P256(pair), ca) = (Key::p256(), Key::p256()) else { panic!("P-256 signs") };
    let private = pki::pem("PRIVATE KEY", &[pair.to_pkcs8v1().unwrap().as_ref().to_vec()]);
    let pem = certificates(&[Spec::leaf("CN=CA").issue(&Key::P256(pair), &ca)]);
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("cached.pem");
    std::fs::write(&path, &pem).unwrap();
    let path = path.to_str().unwrap();

    let clock = Arc::new(At(NOW.into()));
    let config = Config { cache_expire: 60, ..Config::default() };
    let verifier = Verifier::with(&config, Arc::clone(&clock) as _, Box::new(One(pem)));
    let call = Call { orig: "1", dest: "2", attest: "A", x5u: URL, ..Call::default() };
    let signer = Signer::with_clock(&config, Arc::clone(&clock) as _);
    let identity = signer.identity(&call, PrivateKey::Pem(&private)).unwrap();
    let check = |key| {
        verifier.check([identity.as_str()], key, CheckOptions::default()).result.unwrap();
    };

    assert!(verifier.cached().is_empty());
    check(PublicKey::Info);
    check(PublicKey::Location(path));
    let all = verifier.cached();
    let found: Vec<_> = all.iter().map(|one| (one.location.as_str(), one.until)).collect();
    assert_eq!(found, [(URL, Some(NOW + 60)), (path, None)]);
    for one in &all {
        let leaf = one.credential.chain.as_ref().unwrap().leaf();
        assert_eq!(leaf.subject(), "CN=SHAKEN 1234,O=Test,C=US");
        assert_eq!(leaf.not_after(), NOW + DAY);
    }
    // What is not used any more is not shown either.
    clock.0.store(NOW + 60, Ordering::Relaxed);
    assert_eq!(verifier.cached().len(), 1);
    // By URL: not there, there, and not there any more in time.
    clock.0.store(NOW, Ordering::Relaxed);
    assert_eq!(verifier.take_lookups(), (0, 1));
    check(PublicKey::Info);
    check(PublicKey::Info);
    assert_eq!(verifier.take_lookups(), (2, 0));
    assert_eq!(verifier.take_lookups(), (0, 0));
    verifier.forget(|url| url == "https://other.example/");
    check(PublicKey::Info);
    assert_eq!(verifier.take_lookups(), (1, 0));
    verifier.forget(|url| url == URL);
    check(PublicKey::Info);
    assert_eq!(verifier.take_lookups(), (0, 1), "it was forgotten");
    // Its header field is good, but to check it nothing has to be had.
    let call = SipCall { identities: vec![&identity], ..SipCall::default() };
    assert!(verifier.missing(&call).is_empty());
    assert_eq!(verifier.needed(&call), [URL]);
}
