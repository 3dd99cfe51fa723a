//! What holds for every input, not only for those that somebody thought of.
#![allow(clippy::unwrap_used)]

mod pki;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pki::{Key, NOW, Spec};
use proptest::prelude::*;
use serde_json::{Map, Value};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use stir::authority::TnAuthList;
use stir::identity::Identity;
use stir::passport::JoseHeader;
use stir::{
    Address, Call, Checked, Clock, Config, Numbering, Policy, PrivateKey, PublicKey, Report,
    Signer, SipCall, Verifier, tn,
};

struct At(i64);

impl Clock for At {
    fn now(&self) -> i64 {
        self.0
    }
}

const X5U: &str = "https://a.example/c.pem";

/// A signer and verifiers at [`NOW`], and a key for all.
struct World {
    signer: Signer,
    compat: Verifier,
    shaken: Verifier,
    private: String,
    /// The certificate.
    public: String,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let key = Key::p256();
    let Key::P256(pair) = &key else { panic!("no key on P-256") };
    let root = Key::p256();
    let anchors = Path::new(env!("CARGO_TARGET_TMPDIR")).join("properties-root.pem");
    let ca = Spec::ca("CN=Root", "CN=Root").issue(&root, &root);
    std::fs::write(&anchors, pki::certificates(&[ca])).unwrap();
    // The certificate is given, so nothing is fetched.
    let verifier = |policy| {
        let trust_anchors = match policy {
            Policy::Compat => Default::default(),
            Policy::Shaken => anchors.clone(),
        };
        let config = Config { policy, trust_anchors, ..Config::default() }.build().unwrap();
        let fetcher = stir::HttpFetcher::new(&config);
        Verifier::with(&config, Arc::new(At(NOW)), Box::new(fetcher))
    };
    World {
        private: pki::pem("PRIVATE KEY", &[pair.to_pkcs8v1().unwrap().as_ref().to_vec()]),
        public: pki::certificates(&[Spec::leaf("CN=Root").issue(&key, &root)]),
        signer: Signer::with_clock(&Checked::default(), Arc::new(At(NOW))),
        compat: verifier(Policy::Compat),
        shaken: verifier(Policy::Shaken),
    }
});

impl World {
    fn sign(&self, call: &Call<'_>) -> String {
        self.signer.identity(call, PrivateKey::Pem(&self.private)).unwrap()
    }

    fn check(&self, identity: &str) -> Report {
        self.compat.check([identity], PublicKey::Pem(&self.public), Default::default())
    }

    /// Under policy shaken, as a call from 12155551212 to 12155551213.
    fn check_call(&self, identity: &str) -> Report {
        let call = SipCall {
            identities: vec![identity],
            asserted: Vec::new(),
            from: Address::of_header("<sip:+12155551212@a.example>"),
            to: Address::of_header("<sip:+12155551213@b.example>"),
            request_uri: Address::of_uri("sip:+12155551213@b.example"),
            call_id: Some("1@a.example"),
            ..SipCall::default()
        };
        self.shaken.check_call(&call, PublicKey::Pem(&self.public))
    }
}

fn encode(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// White space where a header field may have it, folded lines among it.
fn sws() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", " ", "\t", "  ", "\r\n ", " \r\n\t"])
}

/// A parameter as `name = value` in one of the forms that mean the same.
fn param(name: &'static str, value: &'static str) -> impl Strategy<Value = String> {
    let forms = match name {
        "info" => vec![("<", ">"), ("\"", "\"")],
        _ => vec![("", ""), ("\"", "\"")],
    };
    (
        prop::collection::vec(any::<bool>(), name.len()),
        [sws(), sws(), sws(), sws()],
        prop::sample::select(forms),
    )
        .prop_map(move |(upper, [a, b, c, d], (open, close))| {
            let name: String = name
                .chars()
                .zip(upper)
                .map(|(c, upper)| if upper { c.to_ascii_uppercase() } else { c })
                .collect();
            format!("{a}{name}{b}={c}{open}{value}{close}{d}")
        })
}

/// Some of the parameters, in any order, with one that nobody knows.
fn params() -> impl Strategy<Value = (Vec<String>, [bool; 3])> {
    let all = (
        param("info", "https://a.example/c.pem?a=1;b=2,3"),
        param("alg", "ES256"),
        param("ppt", "shaken"),
        prop::sample::select(vec!["x", "x=1", "x=\"a;b\"", "canon=<;>", ""]),
    );
    (all, any::<[bool; 3]>(), any::<prop::sample::Index>()).prop_flat_map(
        |((info, alg, ppt, other), there, at)| {
            let mut list: Vec<String> = [info, alg, ppt]
                .into_iter()
                .zip(there)
                .filter_map(|(param, there)| there.then_some(param))
                .collect();
            list.insert(at.index(list.len() + 1), other.to_owned());
            (Just(list).prop_shuffle(), Just(there))
        },
    )
}

fn number() -> impl Strategy<Value = String> {
    "[0-9*#]{1,32}"
}

/// JSON of any form, but for fractions: no RFC says how they are written.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The text of RFC 8225 §9, written by hand: members sorted by code points, no white space.
fn canonical(value: &Value) -> String {
    match value {
        Value::Array(values) => {
            format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        Value::Object(members) => {
            let mut names: Vec<Vec<char>> = members.keys().map(|n| n.chars().collect()).collect();
            names.sort();
            let texts = names.iter().map(|name| {
                let name: String = name.iter().collect();
                format!("{}:{}", Value::from(name.as_str()), canonical(&members[&name]))
            });
            format!("{{{}}}", texts.collect::<Vec<_>>().join(","))
        }
        leaf => leaf.to_string(),
    }
}

/// The same JSON with white space and members in any order: `order` turns them.
fn loose(value: &Value, order: usize) -> String {
    let turned = |mut texts: Vec<String>| {
        let len = texts.len().max(1);
        texts.rotate_left(order % len);
        texts.join(" ,\n")
    };
    match value {
        Value::Array(values) => {
            format!("[ {} ]", values.iter().map(|v| loose(v, order)).collect::<Vec<_>>().join(" ,"))
        }
        Value::Object(members) => {
            let texts = members.iter().map(|(name, value)| {
                format!("{} :\t{}", Value::from(name.as_str()), loose(value, order))
            });
            format!("{{ {} }}", turned(texts.collect()))
        }
        leaf => leaf.to_string(),
    }
}

/// Counts on from a number octet by octet, as long as it keeps its length.
fn next(number: &str) -> Option<String> {
    let mut digits = number.as_bytes().to_vec();
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return String::from_utf8(digits).ok();
        }
        *digit = b'0';
    }
    None
}

/// [`TnAuthList::covers`] by listing every number.
fn covers(list: &TnAuthList, number: &str) -> bool {
    list.numbers.iter().any(|known| known == number)
        || list.ranges.iter().any(|(start, count)| {
            if !start.bytes().all(|c| c.is_ascii_digit()) {
                return false;
            }
            let all = std::iter::successors(Some(start.clone()), |number| next(number));
            all.take(usize::try_from(*count).unwrap()).any(|known| known == number)
        })
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn parameters_mean_the_same_in_any_order_and_form(
        (params, [info, alg, ppt]) in params(), [before, after, end] in [sws(), sws(), sws()],
    ) {
        let value = format!("{before}aa.bb.cc{after};{}{end}", params.join(";"));
        let identity = Identity::parse(&value).unwrap();
        prop_assert_eq!((identity.signed, identity.signature), ("aa.bb", "cc"), "{:?}", value);
        let found = identity.params.unwrap();
        prop_assert_eq!(found.info, info.then_some("https://a.example/c.pem?a=1;b=2,3"), "{:?}", value);
        prop_assert_eq!(found.alg, alg.then_some("ES256"), "{:?}", value);
        prop_assert_eq!(found.ppt, ppt.then_some("shaken"), "{:?}", value);
    }

    /// One text for each sequence of octets: padding, white space, another alphabet and bits that
    /// are left over are refused.
    #[test]
    fn base64url_has_one_form(
        text in "[ -~]{0,20}", junk in prop::sample::select(vec!["=", "==", " ", "\n", "+", "/", "é", "\0"]),
        at in any::<prop::sample::Index>(), last in any::<prop::sample::Index>(),
    ) {
        let json = format!(r#"{{"typ":{}}}"#, Value::from(text.as_str()));
        let part = encode(&json);
        prop_assert_eq!(JoseHeader::parse(&part).unwrap().typ, text);
        let mut other = part.clone();
        other.insert_str(at.index(part.len() + 1), junk);
        prop_assert!(JoseHeader::parse(&other).is_err(), "{other:?}");
        // Another last character, which changes at most the closing brace.
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let character = &alphabet[last.index(64)..][..1];
        let other = format!("{}{character}", &part[..part.len() - 1]);
        prop_assert_eq!(JoseHeader::parse(&other).is_ok(), other == part, "{}", other);
    }

    #[test]
    fn canonical_numbers_stay_as_they_are(text in "\\PC{0,40}|[+]?[0-9#*(). -]{0,40}(;[a-z=]{0,9})?") {
        let Ok(number) = tn::canonical(&text) else { return Ok(()) };
        prop_assert!(number.bytes().all(|c| c.is_ascii_digit() || matches!(c, b'#' | b'*')));
        prop_assert!(!number.is_empty() && number.len() <= tn::MAX_DIGITS);
        prop_assert_eq!(tn::canonical(&number).unwrap(), number);
    }

    /// With a country they stay as they are behind a `+`: without one, a foreign number may look
    /// like a national one.
    #[test]
    fn canonical_numbers_of_a_country_stay_as_they_are(
        country in "[0-9]{0,3}", national in "[0-9]{0,2}", international in "[0-9]{0,3}",
        max_digits in 1..=tn::MAX_DIGITS, text in "[+]?[0-9#*(). -]{0,40}",
    ) {
        let numbering = Numbering {
            country_code: country, national_prefix: national, international_prefix: international,
            max_digits,
        };
        numbering.validate().unwrap();
        let Ok(number) = numbering.canonical(&text) else { return Ok(()) };
        prop_assert!(number.bytes().all(|c| c.is_ascii_digit() || matches!(c, b'#' | b'*')));
        prop_assert!(!number.is_empty() && number.len() <= max_digits);
        prop_assert_eq!(numbering.canonical(&format!("+{number}")).unwrap(), number);
    }

    #[test]
    fn a_tn_auth_list_covers_what_it_lists(
        ranges in prop::collection::vec(("[0-9]{1,4}|99[0-9]{2}|[0-9*#]{1,3}", 0..300_u64), 0..3),
        numbers in prop::collection::vec(number(), 0..3),
        asked in "[0-9]{1,5}|[+*#][0-9]{1,3}|[0-9*#]{1,3}", near in -2..302_i64,
    ) {
        let list = TnAuthList { spcs: Vec::new(), ranges, numbers };
        prop_assert_eq!(list.covers(&asked), covers(&list, &asked), "{:?} {}", list, asked);
        for (start, _) in &list.ranges {
            let Ok(number) = start.parse::<i64>() else { continue };
            let number = format!("{:0width$}", (number + near).max(0), width = start.len());
            prop_assert_eq!(list.covers(&number), covers(&list, &number), "{:?} {}", list, number);
        }
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn canonical_json_is_sorted_at_every_depth(value in json(), order in 0..6_usize) {
        let payload = Value::Object(Map::from_iter([("x".to_owned(), value)]));
        let key = PrivateKey::Pem(&WORLD.private);
        let token = WORLD.signer.sign_json(r#"{"alg":"ES256"}"#, &loose(&payload, order), key).unwrap();
        let signed = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        prop_assert_eq!(String::from_utf8(signed).unwrap(), canonical(&payload));
    }

    #[test]
    fn what_is_signed_verifies(
        orig in number(), dest in number(), attest in prop::sample::select(vec!["A", "B", "C"]),
        origid in "[!-~]{0,256}", x5u in "https?://[a-z0-9.]{1,20}(/[!#-;=?-\\[\\]-~]{0,40})?",
    ) {
        let call = Call { orig: &orig, dest: &dest, attest, origid: &origid, x5u: &x5u, ..Call::default() };
        let identity = WORLD.sign(&call);
        let report = WORLD.check(&identity);
        prop_assert!(report.result.is_ok(), "{:?}", report.result);
        let claims = report.claims.unwrap();
        prop_assert_eq!((claims.orig, claims.dest, claims.iat), (orig, vec![dest], NOW));
        prop_assert_eq!((claims.attest.as_str(), report.x5u), (attest, x5u));
        let uuid = origid.is_empty() && claims.origid.len() == 36;
        prop_assert!(uuid || claims.origid == origid, "{}", claims.origid);
    }
}

/// What may change in a header field that is signed, one octet at a time, and it still verifies as
/// the same claims:
/// - the case of a letter of `info`: names have none (RFC 3261 §7.3.1);
/// - the case of a letter of the values of `alg` and `ppt`, likewise;
/// - any octet of `alg=` and `ppt=`: what is left is a parameter that nobody knows, and both are
///   optional (RFC 8224 §4.1), for the token says the same and is signed.
///
/// Nothing of the token, of the URL and its brackets, or of what parts them.
#[test]
fn a_changed_octet_never_verifies_as_something_else() {
    let call = Call {
        orig: "12155551212",
        dest: "12155551213",
        attest: "A",
        origid: "o",
        x5u: X5U,
        ..Call::default()
    };
    let good = WORLD.sign(&call);
    let claims = WORLD.check(&good).claims.unwrap();
    assert!(WORLD.check(&good).result.is_ok() && WORLD.check_call(&good).result.is_ok());
    let token = good.find(';').unwrap();
    let at = |text: &str| good.find(text).unwrap()..good.find(text).unwrap() + text.len();
    let (info, alg, ppt) = (at("info"), at("alg="), at("ppt="));
    let caseless = [info, at("ES256"), at("shaken")];
    for place in 0..good.len() {
        let old = good.as_bytes()[place];
        // All octets behind the token; in it, where each costs a signature, one bit or a mark.
        let near = |new: u8| (new ^ old).is_power_of_two() || b";. ".contains(&new);
        for new in (0..128_u8).filter(|new| *new != old && (place >= token || near(*new))) {
            let mut changed = good.clone().into_bytes();
            changed[place] = new;
            let changed = String::from_utf8(changed).unwrap();
            let free = (caseless.iter().any(|part| part.contains(&place))
                && new.eq_ignore_ascii_case(&old))
                || alg.contains(&place)
                || ppt.contains(&place);
            for report in [WORLD.check(&changed), WORLD.check_call(&changed)] {
                assert!(free || report.result.is_err(), "{changed:?}");
                if report.result.is_ok() {
                    assert_eq!(report.claims.unwrap(), claims, "{changed:?}");
                }
            }
        }
    }
}
