//! What one message may cost, however many header fields a stranger writes into it.
#![allow(clippy::unwrap_used)]

mod pki;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pki::{Key, NOW, Spec};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stir::cert::MAX_CHAIN_CERTIFICATES;
use stir::trust::{MAX_CHAIN_COST, MAX_MESSAGE_COST};
use stir::{
    Address, Clock, Code, Config, Error, Fetch, Fetched, Policy, PublicKey, Report, SipCall,
    Verifier,
};

struct At;

impl Clock for At {
    fn now(&self) -> i64 {
        NOW
    }
}

struct Server(HashMap<String, Vec<u8>>);

impl Fetch for Server {
    fn fetch(&self, url: &str) -> stir::Result<Fetched> {
        let body = self.0.get(url).cloned();
        let body =
            body.ok_or_else(|| Error::new(Code::HttpStatus, format!("{url} answers 404")))?;
        Ok(Fetched::new(body, None))
    }
}

/// A verifier, and the Identity header fields of a good call and of ones with chains that lead nowhere.
struct World {
    verifier: Verifier,
    good: String,
    mazes: Vec<String>,
}

fn identity(key: &Key, url: &str) -> String {
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
    let header =
        encode(format!(r#"{{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"{url}"}}"#));
    let payload = encode(format!(
        r#"{{"attest":"A","dest":{{"tn":["12155551213"]}},"iat":{NOW},"orig":{{"tn":"12155551212"}},"origid":"1"}}"#
    ));
    let signed = format!("{header}.{payload}");
    let signature = p256::ecdsa::Signature::from_der(&key.sign(signed.as_bytes())).unwrap();
    let signature = URL_SAFE_NO_PAD.encode(signature.to_bytes());
    format!("{signed}.{signature};info=<{url}>;alg=ES256;ppt=shaken")
}

impl World {
    /// Ten URLs with the same chain: CAs of one name, each of which every other one has certified.
    fn new(name: &str, key: fn() -> Key) -> Self {
        let (root, own) = (Key::p256(), Key::p256());
        let keys: Vec<Key> = (0..3).map(|_| key()).collect();
        let pairs = keys.iter().flat_map(|subject| {
            keys.iter().map(move |issuer| Spec::ca("CN=Maze", "CN=Maze").issue(subject, issuer))
        });
        let leaf = |issuer: &str, key: &Key| Spec::leaf(issuer).issue(&own, key);
        let maze: Vec<_> = [leaf("CN=Maze", &keys[0])].into_iter().chain(pairs).collect();
        assert!(maze.len() <= MAX_CHAIN_CERTIFICATES);
        let (mut mazes, mut answers) = (Vec::new(), HashMap::new());
        for number in 0..10 {
            let url = format!("https://maze.example.com/{number}.pem");
            mazes.push(identity(&own, &url));
            answers.insert(url, pki::certificates(&maze).into_bytes());
        }
        let url = "https://certs.example.com/good.pem";
        answers.insert(url.to_owned(), pki::certificates(&[leaf("CN=Root", &root)]).into_bytes());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("budget");
        std::fs::create_dir_all(&folder).unwrap();
        let trust_anchors = folder.join(format!("{name}.pem"));
        let anchor = Spec::ca("CN=Root", "CN=Root").issue(&root, &root);
        std::fs::write(&trust_anchors, pki::certificates(&[anchor])).unwrap();
        let config = Config { policy: Policy::Shaken, trust_anchors, ..Config::default() };
        let verifier = Verifier::with(
            &config.clone().build().unwrap(),
            Arc::new(At),
            Box::new(Server(answers)),
        );
        verifier.load().unwrap();
        Self { verifier, good: identity(&own, url), mazes }
    }

    fn check(&self, identities: &[&str]) -> Report {
        let number = "<sip:+12155551212@example.com>";
        let call = SipCall {
            identities: identities.to_vec(),
            from: Address::of_header(number),
            to: Address::of_header("<sip:+12155551213@example.com>"),
            request_uri: Address::of_uri("sip:+12155551213@example.com"),
            ..SipCall::default()
        };
        self.verifier.check_call(&call, PublicKey::Info)
    }
}

#[test]
fn ten_header_fields_cost_what_one_message_may() {
    for (name, key) in
        [("p256", Key::p256 as fn() -> Key), ("p384", Key::p384), ("p521", Key::p521)]
    {
        let world = World::new(name, key);
        let all: Vec<&str> = world.mazes.iter().map(String::as_str).collect();
        let start = Instant::now();
        let report = world.check(&all);
        let taken = start.elapsed();
        println!("{name}: {} in {taken:?}: {:?}", report.cost, report.result);
        let error = report.result.unwrap_err();
        assert_eq!(error.code(), Code::CertInvalid, "{name}: {error}");
        assert!(error.message().contains("issued one another"), "{name}: {error}");
        // And one signature for each token at most.
        assert!((MAX_CHAIN_COST..=MAX_MESSAGE_COST + 10).contains(&report.cost), "{}", report.cost);
        // What it takes where nothing is optimised, and the machine is busy.
        assert!(taken < Duration::from_secs(5), "{name}: {taken:?}");
    }
}

#[test]
fn what_others_cost_says_nothing_of_a_good_certificate() {
    // One header field that is good is enough.
    let world = World::new("first", Key::p521);
    let [maze, ..] = world.mazes.as_slice() else { panic!() };
    let report = world.check(&[maze, &world.good]);
    report.result.unwrap();
    assert!(report.cost > MAX_CHAIN_COST / 2, "{}", report.cost);

    // Unless the others take all there is. Nothing of that is remembered of it.
    let world = World::new("last", Key::p521);
    let mut all: Vec<&str> = world.mazes.iter().map(String::as_str).collect();
    *all.last_mut().unwrap() = &world.good;
    let error = world.check(&all).result.unwrap_err();
    assert_eq!(error.code(), Code::CertInvalid, "{error}");
    let report = world.check(&[&world.good]);
    report.result.unwrap();
    assert_eq!(report.cost, 3, "a look, its signature, the token's");
}
