//! What a verifier says it has in memory.
#![allow(clippy::unwrap_used)]

mod pki;

use pki::{DAY, Key, NOW, Spec, certificates};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use stir::{
    Call, CheckOptions, Checked, Clock, Config, Fetch, Fetched, PrivateKey, PublicKey, Signer,
    SipCall, Verifier,
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
        Ok(Fetched::new(self.0.clone().into_bytes(), None))
    }
}

/// A server that has a certificate under every URL, the good one under [`URL`] alone.
struct Many {
    good: String,
    junk: String,
    asked: Arc<AtomicI64>,
}

impl Fetch for Many {
    fn fetch(&self, url: &str) -> stir::Result<Fetched> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let body = if url == URL { &self.good } else { &self.junk };
        Ok(Fetched::new(body.clone().into_bytes(), Some(NOW + DAY)))
    }
}

#[test]
fn certificates_that_nobody_vouches_for_take_no_place_of_others() {
    let (Key::P256(pair), ca, stranger) = (Key::p256(), Key::p256(), Key::p256()) else {
        panic!("P-256 signs")
    };
    let private = pki::pem("PRIVATE KEY", &[pair.to_pkcs8v1().unwrap().as_ref().to_vec()]);
    let key = Key::P256(pair);
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("vouched");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let roots = folder.join("ca.pem");
    std::fs::write(&roots, certificates(&[Spec::ca("CN=CA", "CN=CA").issue(&ca, &ca)])).unwrap();

    let clock = Arc::new(At(NOW.into()));
    let asked = Arc::new(AtomicI64::new(0));
    let config = Config {
        cache_size: 2,
        cache_expire: 3600,
        cache_dir: folder.clone(),
        trust_anchors: roots,
        ..Config::default()
    };
    let server = Many {
        good: certificates(&[Spec::leaf("CN=CA").issue(&key, &ca)]),
        junk: certificates(&[Spec::leaf("CN=CA").issue(&key, &stranger)]),
        asked: Arc::clone(&asked),
    };
    let verifier =
        Verifier::with(&config.clone().build().unwrap(), Arc::clone(&clock) as _, Box::new(server));
    let signer = Signer::with_clock(&config.clone().build().unwrap(), Arc::clone(&clock) as _);
    let check = |x5u: &str| {
        let call = Call { orig: "1", dest: "2", attest: "A", x5u, ..Call::default() };
        let identity = signer.identity(&call, PrivateKey::Pem(&private)).unwrap();
        let before = asked.load(Ordering::Relaxed);
        let report = verifier.check([identity.as_str()], PublicKey::Info, Default::default());
        (report.code(), asked.load(Ordering::Relaxed) - before)
    };
    assert_eq!(check(URL), (1, 1));
    for n in 0..100 {
        assert_eq!(check(&format!("https://evil.example/{n}")), (-101, 1));
    }
    // Asked for again, one of the last of them is not fetched again, nor judged.
    assert_eq!(check("https://evil.example/99"), (-101, 0));
    assert_eq!(check("https://evil.example/0"), (-101, 1));
    assert_eq!(check(URL), (1, 0), "it kept its place");
    assert_eq!(verifier.cached().len(), 1);
    // In the folder there are the root and the one that counts.
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
    verifier.forget(|url| url.ends_with("/99"));
    assert_eq!(check("https://evil.example/99"), (-101, 1));
}

/// A server that has this under every URL, and what it is told.
#[derive(Clone, Default)]
struct Everywhere {
    body: Arc<Mutex<String>>,
    proven: Arc<Mutex<Vec<String>>>,
}

impl Fetch for Everywhere {
    fn fetch(&self, _: &str) -> stir::Result<Fetched> {
        Ok(Fetched::new(self.body.lock().unwrap().clone().into_bytes(), None))
    }

    fn proven(&self, url: &str, body: &stir::fetch::Digest) {
        assert_eq!(*body, stir::fetch::digest(self.body.lock().unwrap().as_bytes()));
        self.proven.lock().unwrap().push(url.into());
    }
}

/// A key that signs, as PEM and as a certificate's.
fn pair() -> (String, Key) {
    let Key::P256(pair) = Key::p256() else { panic!("P-256 signs") };
    let private = pki::pem("PRIVATE KEY", &[pair.to_pkcs8v1().unwrap().as_ref().to_vec()]);
    (private, Key::P256(pair))
}

/// What a stranger can have fetched takes no place of what is in use: a genuine certificate at
/// invented URLs, with calls that its owner did not sign; and its owner has the places of one.
#[test]
fn only_what_a_token_verified_with_is_kept() {
    let ((private, key), (his_private, his_key), ca) = (pair(), pair(), Key::p256());
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("proven");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("cache")).unwrap();
    let roots = folder.join("ca.pem");
    std::fs::write(&roots, certificates(&[Spec::ca("CN=CA", "CN=CA").issue(&ca, &ca)])).unwrap();
    let clock = Arc::new(At(NOW.into()));
    let config = Config {
        cache_size: 64,
        cache_dir: folder.join("cache"),
        trust_anchors: roots,
        ..Config::default()
    };
    let server = Everywhere::default();
    let verifier = Verifier::with(
        &config.clone().build().unwrap(),
        Arc::clone(&clock) as _,
        Box::new(server.clone()),
    );
    let signer = Signer::with_clock(&config.clone().build().unwrap(), Arc::clone(&clock) as _);
    let check = |x5u: &str, private: &str| {
        let call = Call { orig: "1", dest: "2", attest: "A", x5u, ..Call::default() };
        let identity = signer.identity(&call, PrivateKey::Pem(private)).unwrap();
        verifier.check([identity.as_str()], PublicKey::Info, Default::default()).code()
    };
    let files = || std::fs::read_dir(folder.join("cache")).unwrap().count();
    let set = |chain: &[Vec<u8>]| *server.body.lock().unwrap() = certificates(chain);
    let is_cached = |url: &str| verifier.cached().iter().any(|one| one.location == url);

    // Behind the good one are other authorities, which lead nowhere.
    let leaf = Spec::leaf("CN=CA").issue(&key, &ca);
    let other = Spec::ca("CN=Other", "CN=Other").issue(&ca, &ca);
    set(&[leaf, other.clone(), other]);
    assert_eq!(check(URL, &private), 1);
    assert_eq!(verifier.cached()[0].credential.chain.as_ref().unwrap().rest().len(), 0);
    assert_eq!((files(), server.proven.lock().unwrap().clone()), (1, vec![URL.to_owned()]));
    // Once for as long as it is kept.
    assert_eq!(check(URL, &private), 1);
    assert_eq!(server.proven.lock().unwrap().len(), 1);

    for n in 0..1100 {
        assert_eq!(check(&format!("https://{n}.evil.example/"), &his_private), -251);
    }
    assert_eq!((verifier.cached().len(), files()), (1, 1), "nobody signed with it there");
    assert_eq!(server.proven.lock().unwrap().len(), 1);

    set(&[Spec::leaf("CN=CA").issue(&his_key, &ca)]);
    for n in 0..1100 {
        assert_eq!(check(&format!("https://{n}.his.example/"), &his_private), 1);
    }
    let share = stir::shelf::KEY_SHARE;
    assert_eq!((verifier.cached().len(), files()), (1 + share, 1 + share));
    assert!(is_cached(URL) && is_cached("https://1099.his.example/"));
    std::fs::remove_dir_all(&folder).unwrap();
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
    let verifier = Verifier::with(
        &config.clone().build().unwrap(),
        Arc::clone(&clock) as _,
        Box::new(One(pem)),
    );
    let call = Call { orig: "1", dest: "2", attest: "A", x5u: URL, ..Call::default() };
    let signer = Signer::with_clock(&config.clone().build().unwrap(), Arc::clone(&clock) as _);
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

/// Public keys by URL, and how often one was asked for.
struct Bare(std::collections::HashMap<String, String>, Arc<AtomicI64>);

impl Fetch for Bare {
    fn fetch(&self, url: &str) -> stir::Result<Fetched> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(Fetched::new(self.0[url].clone().into_bytes(), None))
    }
}

/// The share of one key is not that of all keys that come without a certificate.
#[test]
fn bare_public_keys_are_told_apart() {
    use p256::elliptic_curve::Generate;
    use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
    const KEYS: usize = 40;
    let signer = Signer::new(&Checked::default());
    let (mut calls, mut keys) = (Vec::new(), std::collections::HashMap::new());
    for n in 0..KEYS {
        let x5u = format!("https://a.example/{n}.pem");
        let secret = p256::SecretKey::generate();
        let private = secret.to_pkcs8_pem(LineEnding::LF).unwrap();
        let call = Call { orig: "1", dest: "2", attest: "A", origid: "", x5u: &x5u, rcd_nam: None };
        calls.push(signer.identity(&call, PrivateKey::Pem(&private)).unwrap());
        keys.insert(x5u, secret.public_key().to_public_key_pem(LineEnding::LF).unwrap());
    }
    let asked = Arc::new(AtomicI64::new(0));
    let fetch = Bare(keys, Arc::clone(&asked));
    let verifier =
        Verifier::with(&Checked::default(), Arc::new(stir::SystemClock), Box::new(fetch));
    for call in calls.iter().chain(&calls) {
        let report = verifier.check([call.as_str()], PublicKey::Info, CheckOptions::default());
        report.result.unwrap();
    }
    assert_eq!(asked.load(Ordering::Relaxed), 40);
}
