//! What is signed: parties, names, diversions; and the keys that may sign.
#![allow(clippy::unwrap_used)]

#[path = "signing/key_pairs.rs"]
mod key_pairs;
mod pki;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pki::{Key, NOW, Spec};
use proptest::prelude::*;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use stir::{
    Address, Call, Clock, Code, Config, DivCall, HttpFetcher, MAX_DEST, MAX_URI_LEN, Numbering,
    Policy, PrivateKey, PublicKey, Report, Signer, SipCall, Verifier,
};

const X5U: &str = "https://a.example/c.pem";
const CALL: Call<'_> = Call {
    orig: "12155551212",
    dest: "12155551213",
    attest: "A",
    origid: "o",
    x5u: X5U,
    rcd_nam: None,
};

struct At(AtomicI64);

impl Clock for At {
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("signing").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn private_pem(key: &Key) -> String {
    let Key::P256(pair) = key else { panic!("P-256 signs") };
    pki::pem("PRIVATE KEY", &[pair.to_pkcs8v1().unwrap().as_ref().to_vec()])
}

/// A signer, a verifier under policy shaken, and the key and certificate between them.
struct World {
    private: String,
    public: String,
    clock: Arc<At>,
    signer: Signer,
    verifier: Verifier,
}

impl World {
    fn new(name: &str, numbering: Numbering) -> Self {
        let (root_key, leaf_key) = (Key::p256(), Key::p256());
        let root = Spec::ca("CN=Root", "CN=Root").issue(&root_key, &root_key);
        let leaf = Spec::leaf("CN=Root").issue(&leaf_key, &root_key);
        let anchors = folder(name).join("roots.pem");
        fs::write(&anchors, pki::certificates(&[root])).unwrap();
        let mut config = Config {
            policy: Policy::Shaken,
            trust_anchors: anchors,
            numbering,
            ..Config::default()
        };
        config.shaken.max_dest = stir::MAX_DEST;
        let config = config.validate().unwrap();
        let clock = Arc::new(At(NOW.into()));
        let fetcher = Box::new(HttpFetcher::new(&config));
        Self {
            private: private_pem(&leaf_key),
            public: pki::certificates(&[leaf]),
            signer: Signer::with_clock(&config, clock.clone()),
            verifier: Verifier::with(&config, clock.clone(), fetcher),
            clock,
        }
    }

    fn sign(&self, call: &Call<'_>) -> Result<String, Code> {
        self.signer.identity(call, PrivateKey::Pem(&self.private)).map_err(|e| e.code())
    }

    fn divert(&self, call: &DivCall<'_>) -> Result<String, stir::Error> {
        self.signer.div_identity(call, PrivateKey::Pem(&self.private))
    }

    /// A token as others might have made it.
    fn foreign(&self, ppt: &str, payload: &str) -> String {
        let header = format!(r#"{{"alg":"ES256","ppt":"{ppt}","typ":"passport","x5u":"{X5U}"}}"#);
        let key = PrivateKey::Pem(&self.private);
        let token = self.signer.sign_json(&header, payload, key).unwrap();
        format!("{token};info=<{X5U}>;alg=ES256;ppt=\"{ppt}\"")
    }

    fn check(&self, identities: &[&str], orig: &str, ruri: &str) -> Report {
        let call = SipCall {
            identities: identities.to_vec(),
            from: Address::of_header(orig),
            to: Address::of_uri(ruri),
            request_uri: Address::of_uri(ruri),
            ..SipCall::default()
        };
        self.verifier.check_call(&call, PublicKey::Pem(&self.public))
    }
}

/// A part of the token: 0 is the header, 1 the payload.
fn part(identity: &str, at: usize) -> String {
    let part = identity.split('.').nth(at).unwrap();
    String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn payload(dest: &str, orig: &str) -> String {
    format!(r#"{{"attest":"A","dest":{dest},"iat":{NOW},"orig":{orig},"origid":"o"}}"#)
}

const ORIG: &str = r#"{"tn":"12155551212"}"#;
const DEST: &str = r#"{"tn":["12155551213"]}"#;

#[test]
fn the_called_are_numbers_before_uris_sorted_and_once() {
    let world = World::new("called", Numbering::default());
    for (dest, expected) in [
        ("12155551213", r#"{"tn":["12155551213"]}"#),
        ("list:13, +1 (215) 555-1213;x=y ,12", r#"{"tn":["12","12155551213","13"]}"#),
        ("list:tel:+1-215-555-1213;ext=5,12155551213", r#"{"tn":["12155551213"]}"#),
        ("sip:+12155551213@example.com;user=phone", r#"{"tn":["12155551213"]}"#),
        ("SIP:%42ob@Example.COM:5060;transport=tcp", r#"{"uri":["sip:bob@example.com"]}"#),
        (
            "list:sips:z@x,sip:b@x,911,sip:a@x,sip:B@X:5060,*67#",
            r#"{"tn":["*67#","911"],"uri":["sip:a@x","sip:b@x","sips:z@x"]}"#,
        ),
        ("sip:a%2Cb@[2001:db8::1]", r#"{"uri":["sip:a%2Cb@[2001:db8::1]"]}"#),
        ("sip:example.com", r#"{"uri":["sip:example.com"]}"#),
        ("list:12", r#"{"tn":["12"]}"#),
        // A user part with commas, as a message may have it, is no list.
        ("sip:12,13@x", r#"{"uri":["sip:12,13@x"]}"#),
        // An emergency call (RFC 9027 §3).
        ("URN:service:sos", r#"{"uri":["urn:service:sos"]}"#),
    ] {
        let identity = world.sign(&Call { dest, ..CALL }).unwrap();
        assert_eq!(part(&identity, 1), payload(expected, ORIG), "{dest}");
    }
}

#[test]
fn a_caller_is_a_number_or_a_uri() {
    let world = World::new("caller", Numbering::default());
    for (orig, expected) in [
        ("+1.215.555.1212", r#"{"tn":"12155551212"}"#),
        ("tel:+12155551212", r#"{"tn":"12155551212"}"#),
        ("sip:12155551212@example.com", r#"{"tn":"12155551212"}"#),
        ("sip:Anonymous@anonymous.invalid", r#"{"uri":"sip:anonymous@anonymous.invalid"}"#),
    ] {
        let identity = world.sign(&Call { orig, ..CALL }).unwrap();
        assert_eq!(part(&identity, 1), payload(DEST, expected), "{orig}");
    }
}

#[test]
fn what_is_no_party_is_refused() {
    let world = World::new("no-party", Numbering::default());
    let long = format!("sip:{}@x", "a".repeat(MAX_URI_LEN));
    let huge = format!("sip:{}@x", "a".repeat(100_000));
    for text in [
        "",
        ",",
        "alice",
        "alice@example.com",
        "http://example.com",
        "urn:",
        "urn:service:s os",
        ":",
        "sip:",
        "sip:@",
        "sip:@x",
        "sip:bob@",
        "sip:b ob@x",
        "sip:bøb@x",
        "sip:b\"b@x",
        "sip:b\\b@x",
        "<sip:b@x>",
        "sip:b\r\n@x",
        "tel:alice",
        "tel:",
        &long,
        &huge,
    ] {
        for call in [Call { dest: text, ..CALL }, Call { orig: text, ..CALL }] {
            assert_eq!(world.sign(&call), Err(Code::PayloadParse), "{call:?}");
        }
    }
    assert_eq!(world.sign(&Call { orig: "1,2", ..CALL }), Err(Code::PayloadParse));
    for dest in
        ["1,2", "1,2,3", "list:", "list:1,,2", "list:1,", "list:,1", "list:1,alice", "list:1,sip:"]
    {
        assert_eq!(world.sign(&Call { dest, ..CALL }), Err(Code::PayloadParse), "{dest}");
    }
    let many = |count: usize| {
        let numbers: Vec<_> = (0..count).map(|n| n.to_string()).collect();
        format!("list:{}", numbers.join(","))
    };
    world.sign(&Call { dest: &many(MAX_DEST), ..CALL }).unwrap();
    let more = many(MAX_DEST + 1);
    assert_eq!(world.sign(&Call { dest: &more, ..CALL }), Err(Code::PayloadParse));
}

fn france() -> Numbering {
    Numbering {
        country_code: "33".into(),
        national_prefix: "0".into(),
        international_prefix: "00".into(),
        max_digits: 16,
    }
}

#[test]
fn national_numbers_are_signed_as_the_settings_say() {
    let world = World::new("national", france());
    let call =
        Call { orig: "01 23 45 67 89", dest: "list:112,sip:0987654321@x,0012155551212", ..CALL };
    let identity = world.sign(&call).unwrap();
    assert_eq!(
        part(&identity, 1),
        payload(r#"{"tn":["112","12155551212","33987654321"]}"#, r#"{"tn":"33123456789"}"#)
    );
    let report = world.check(&[&identity], "<sip:0123456789@x>", "sip:+33987654321@y");
    assert_eq!(report.result, Ok(()));
    let call = Call { orig: "12345678901234567", ..CALL };
    assert_eq!(world.sign(&call), Err(Code::PayloadParse), "17 digits");
}

#[test]
fn a_name_is_signed_with_the_call() {
    let world = World::new("name", Numbering::default());
    let longest = "é".repeat(128);
    for (name, member) in [
        ("Q Branch", r#""Q Branch""#),
        (r#"The "A/B" \ Café"#, r#""The \"A/B\" \\ Café""#),
        (longest.as_str(), &format!("\"{longest}\"")),
    ] {
        let identity = world.sign(&Call { rcd_nam: Some(name), ..CALL }).unwrap();
        let expected =
            payload(DEST, ORIG).replace(r#""o"}"#, &format!(r#""o","rcd":{{"nam":{member}}}}}"#));
        assert_eq!(part(&identity, 1), expected);
        let report = world.check(&[&identity], "<sip:12155551212@x>", "sip:12155551213@x");
        let nam = report.rcd.as_ref().map(|rcd| rcd.nam.as_str());
        assert_eq!((&report.result, nam), (&Ok(()), Some(name)));
    }
    let unnamed = world.sign(&Call { rcd_nam: Some(""), ..CALL }).unwrap();
    assert_eq!(part(&unnamed, 1), payload(DEST, ORIG));
    for name in ["a\r\nb", "\u{7f}", "\u{85}", &format!("{longest}x")] {
        let call = Call { rcd_nam: Some(name), ..CALL };
        assert_eq!(world.sign(&call), Err(Code::PayloadParse), "{name:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_call_round_trips(
        orig in PARTY,
        dest in prop::collection::vec(PARTY, 1..=MAX_DEST),
        name in "\\PC{0,60}",
    ) {
        let world = World::new("any-call", Numbering::default());
        let called = format!("list:{}", dest.join(","));
        let identity = world
            .sign(&Call { orig: &orig, dest: &called, rcd_nam: Some(&name), ..CALL })
            .unwrap();
        let text = part(&identity, 1);
        prop_assert_eq!(&text, &serde_json::from_str::<Value>(&text).unwrap().to_string());
        let uri = |party: &str| match party.contains(':') {
            true => party.to_owned(),
            false => format!("sip:{party}@example.com"),
        };
        for dest in &dest {
            let report = world.check(&[&identity], &format!("<{}>", uri(&orig)), &uri(dest));
            prop_assert_eq!(report.result, Ok(()));
            prop_assert_eq!(report.rcd.unwrap_or_default().nam, name.as_str());
        }
    }

    #[test]
    fn any_text_is_signed_canonically_or_refused(
        orig in prop_oneof![PARTY.boxed(), JUNK.boxed()],
        dest in prop_oneof![(PARTY.prop_map(|p| format!("list:{p},")), JUNK).prop_map(|(a, b)| a + &b), JUNK.boxed()],
        name in any::<String>(),
    ) {
        let world = World::new("any-text", Numbering::default());
        let call = Call { orig: &orig, dest: &dest, rcd_nam: Some(&name), ..CALL };
        match world.sign(&call) {
            Err(code) => prop_assert_eq!(code, Code::PayloadParse),
            Ok(identity) => {
                let text = part(&identity, 1);
                prop_assert_eq!(&text, &serde_json::from_str::<Value>(&text).unwrap().to_string());
            }
        }
    }
}

const PARTY: &str = "(tel:)?\\+?[0-9*#]{1,16}|(sip|SIP|sips):[a-zA-Z]([a-zA-Z0-9._+!/?&=$-]|%[2-7][0-9A-F]){0,16}@[a-zA-Z0-9][a-zA-Z0-9.-]{0,16}(:[0-9]{1,5})?(;[a-z]+)?";
const JUNK: &str = "(sip:|tel:)?[ -~\\PC]{0,24}";

const FROM: &str = "<sip:+12155551212@x>;tag=1";
const DIVERTED: DivCall<'_> = DivCall {
    orig: "+12155551212",
    dest: "12155551214",
    div: "12155551213",
    x5u: X5U,
    identities: &[],
};

#[test]
fn diversions_lead_on_from_the_call() {
    let world = World::new("div", Numbering::default());
    let shaken = world.sign(&CALL).unwrap();
    // The first token's time stays while verifiers take it for fresh.
    world.clock.0.store(NOW + 50, Ordering::Relaxed);
    let first = world.divert(&DivCall { identities: &[&shaken], ..DIVERTED }).unwrap();
    assert_eq!(
        part(&first, 0),
        format!(r#"{{"alg":"ES256","ppt":"div","typ":"passport","x5u":"{X5U}"}}"#)
    );
    assert_eq!(
        part(&first, 1),
        format!(
            r#"{{"dest":{{"tn":["12155551214"]}},"div":{{"tn":"12155551213"}},"iat":{NOW},"orig":{ORIG}}}"#
        )
    );
    assert!(first.ends_with(&format!(";info=<{X5U}>;alg=ES256;ppt=div")), "{first}");
    let report = world.check(&[&shaken, &first], FROM, "sip:12155551214@y");
    assert_eq!((report.result, report.div), (Ok(()), vec!["12155551213".to_owned()]));

    // Later it would not do.
    world.clock.0.store(NOW + 600, Ordering::Relaxed);
    let late = world.divert(&DivCall { identities: &[&shaken], ..DIVERTED }).unwrap();
    assert!(part(&late, 1).contains(&format!("\"iat\":{},", NOW + 600)), "{late}");
    assert_eq!(world.check(&[&shaken, &late], FROM, "sip:12155551214@y").result, Ok(()));
    world.clock.0.store(NOW + 50, Ordering::Relaxed);

    // On to two at once, one of them a URI.
    let second = DivCall {
        div: "tel:+1-215-555-1214",
        dest: "list:sip:Bob@Example.com,12155551215",
        identities: &["junk", &first, &shaken],
        ..DIVERTED
    };
    let second = world.divert(&second).unwrap();
    assert_eq!(
        part(&second, 1),
        format!(
            r#"{{"dest":{{"tn":["12155551215"],"uri":["sip:bob@example.com"]}},"div":{{"tn":"12155551214"}},"iat":{NOW},"orig":{ORIG}}}"#
        )
    );
    // And from a URI.
    let third =
        DivCall { div: "sip:bob@example.com", dest: "12", identities: &[&second], ..DIVERTED };
    let third = world.divert(&third).unwrap();
    assert!(part(&third, 1).contains(r#""div":{"uri":"sip:bob@example.com"}"#));
    let all = [shaken.as_str(), &third, &second, &first];
    let report = world.check(&all, FROM, "sip:12@y");
    assert_eq!(report.result, Ok(()));
    assert_eq!(report.div, ["12155551213", "12155551214", "sip:bob@example.com"]);
}

#[test]
fn what_can_not_be_diverted() {
    let world = World::new("no-div", Numbering::default());
    let shaken = world.sign(&CALL).unwrap();
    let rcd = world.foreign(
        "rcd",
        &format!(r#"{{"dest":{DEST},"iat":{NOW},"orig":{ORIG},"rcd":{{"nam":"x"}}}}"#),
    );
    let (token, _) = shaken.split_once(';').unwrap();
    let compact = format!("..{};info=<{X5U}>;ppt=shaken", token.rsplit_once('.').unwrap().1);
    let own = [shaken.as_str()];
    let good = DivCall { identities: &own, ..DIVERTED };
    world.divert(&good).unwrap();
    for (call, code, part) in [
        (DivCall { identities: &[], ..good }, Code::DivChain, "it has none"),
        (DivCall { identities: &[&rcd], ..good }, Code::DivChain, "ppt \"rcd\""),
        (DivCall { identities: &[&compact], ..good }, Code::DivChain, "compact"),
        (DivCall { identities: &["", "junk"], ..good }, Code::DivChain, "1 parts"),
        (DivCall { orig: "12155551219", ..good }, Code::DivChain, "from \"12155551212\""),
        (DivCall { orig: "sip:a@x", ..good }, Code::DivChain, "from \"12155551212\""),
        (DivCall { div: "12155551219", ..good }, Code::DivChain, "goes to 12155551213"),
        (DivCall { dest: "12155551213", ..good }, Code::DivChain, "still goes to 12155551213"),
        (
            DivCall { dest: "list:12,sip:+1-215-555-1213@y", ..good },
            Code::DivChain,
            "still goes to 12155551213",
        ),
        (DivCall { orig: "alice", ..good }, Code::PayloadParse, "alice"),
        (DivCall { dest: "alice", ..good }, Code::PayloadParse, "alice"),
        (DivCall { div: "12155551213,12", ..good }, Code::PayloadParse, "','"),
        (DivCall { x5u: "", ..good }, Code::HeaderX5u, "no x5u"),
    ] {
        let error = world.divert(&call).unwrap_err();
        assert_eq!(error.code(), code, "{call:?}: {error}");
        assert!(error.message().contains(part), "{part}: {error}");
    }
    // No more are looked at than a check looks at.
    let many = [vec!["junk"; 10], vec![shaken.as_str()]].concat();
    let error = world.divert(&DivCall { identities: &many, ..good }).unwrap_err();
    assert_eq!(error.code(), Code::DivChain);
}

#[test]
fn a_diversion_repeats_the_parties_as_the_token_has_them() {
    // A URI that is not canonical: verifiers compare with what was signed. Numbers of tokens are
    // canonical, and no rule of a country is applied to them.
    let world = World::new("foreign-div", france());
    let claims = r#"{"attest":"B","dest":{"tn":["33987654321"],"uri":["sip:Bob@X"]},"iat":NOW,"orig":{"tn":"33123456789"},"origid":"o"}"#;
    let token = world.foreign("shaken", &claims.replace("NOW", &NOW.to_string()));
    for (div, expected) in
        [("0987654321", r#"{"tn":"33987654321"}"#), ("sip:bob@x:5060", r#"{"uri":"sip:Bob@X"}"#)]
    {
        let identities = [token.as_str()];
        let call = DivCall { orig: "+33123456789", div, identities: &identities, ..DIVERTED };
        let diverted = world.divert(&call).unwrap();
        assert_eq!(
            part(&diverted, 1),
            format!(
                r#"{{"dest":{{"tn":["12155551214"]}},"div":{expected},"iat":{NOW},"orig":{{"tn":"33123456789"}}}}"#
            )
        );
        let report =
            world.check(&[&token, &diverted], "<sip:+33123456789@x>", "sip:+12155551214@y");
        assert_eq!(report.result, Ok(()), "{div}");
    }
}

#[test]
fn a_request_of_another_time_is_not_signed() {
    let world = World::new("date", Numbering::default());
    // NOW is 2027-01-15T08:00:00Z.
    for (date, why) in [
        ("Fri, 15 Jan 2027 08:00:00 GMT", ""),
        ("Fri, 15 Jan 2027 07:59:00 GMT", ""),
        ("Fri, 15 Jan 2027 08:01:00 GMT", ""),
        ("Fri, 15 Jan 2027 07:58:59 GMT", "61 s before"),
        ("Fri, 15 Jan 2027 08:01:01 GMT", "-61 s before"),
        ("Thu, 01 Jan 1970 00:00:00 GMT", "before this machine's clock"),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "before this machine's clock"),
        ("", "is not a date"),
        ("1800000000", "is not a date"),
        ("Fri, 15 Jan 2027 08:00:00 +0100", "is not a date"),
    ] {
        match world.signer.check_date(date) {
            Ok(()) => assert_eq!(why, "", "{date}"),
            Err(error) => {
                assert_eq!(error.code(), Code::PayloadIat);
                assert!(!why.is_empty() && error.message().contains(why), "{date}: {error}");
            }
        }
    }
}

#[test]
fn only_https_is_signed_where_verifiers_ask_for_it() {
    let world = World::new("https", Numbering::default());
    for x5u in ["http://a.example/c.pem", "HTTP://a.example/c.pem"] {
        let signed = world.signer.identity(&Call { x5u, ..CALL }, PrivateKey::Pem(&world.private));
        let error = signed.unwrap_err();
        assert_eq!(error.code(), Code::HeaderX5u);
        assert!(error.message().contains("not an https:// URL"), "{error}");
        let config = Config { x5u: x5u.into(), policy: Policy::Shaken, ..Config::default() };
        assert!(config.check_values().is_err());
        let compat = Signer::new(&Config { x5u: x5u.into(), ..Config::default() }.build().unwrap());
        compat.identity(&Call { x5u: "", ..CALL }, PrivateKey::Pem(&world.private)).unwrap();
    }
    world.sign(&Call { x5u: "HTTPS://a.example/c.pem", ..CALL }).unwrap();
}
