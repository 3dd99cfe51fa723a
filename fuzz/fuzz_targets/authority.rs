//! TNAuthList and claim constraints. Input: an octet (0 TNAuthList, 1 JWTClaimConstraints,
//! 2 EnhancedJWTClaimConstraints) and the extension's value in DER.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use std::sync::LazyLock;
use stir::authority::{ClaimConstraints, TnAuthList};
use stir::cert::Certificate;
use stir::profile;
use stir_fuzz::pki::{Key, Spec, extension};

static KEY: LazyLock<Key> = LazyLock::new(Key::p256);
static CLAIMS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let claims = r#"{"attest":"A","dest":{"tn":["12155551213"]},"iat":1,"a":[1,"A"],"x":null}"#;
    serde_json::from_str(claims).expect("JSON")
});

fuzz_target!(|data: &[u8]| {
    let Some((kind, der)) = data.split_first() else { return };
    let oid = match kind % 3 {
        0 => "1.3.6.1.5.5.7.1.26",
        1 => "1.3.6.1.5.5.7.1.27",
        _ => "1.3.6.1.5.5.7.1.33",
    };
    if kind % 3 == 0
        && let Ok(list) = TnAuthList::from_der(der)
    {
        check(&list);
    }
    // Longer ones are no certificate any more; lengths of tests/pki end at 64 KiB.
    if der.len() > 20_000 {
        return;
    }
    let spec = Spec::leaf("CN=Root").extensions(&[extension(oid, false, der)]);
    let Ok(certificate) = Certificate::from_der(&spec.issue(&KEY, &KEY)) else { return };
    profile::check(&certificate, &Default::default());
    let Ok(all) = ClaimConstraints::of(&certificate) else { return };
    // None also where it excludes what every token has (RFC 9118 §3).
    assert!(all.len() <= usize::from(kind % 3 != 0));
    for constraints in all {
        // What must be there, and nothing but what is permitted.
        if constraints.check(&CLAIMS).is_ok() {
            assert!(constraints.must_include.iter().all(|name| CLAIMS.contains_key(name)));
            assert!(!constraints.must_exclude.iter().any(|name| CLAIMS.contains_key(name)));
            for (name, values) in &constraints.permitted {
                assert!(name != "attest" || values.iter().any(|value| value == "A"));
            }
        }
        if constraints.must_include.is_empty() {
            assert!(constraints.check(&Map::new()).is_ok());
        }
    }
});

fn check(list: &TnAuthList) {
    assert_ne!(*list, TnAuthList::default());
    assert!(list.numbers.iter().all(|number| list.covers(number)));
    for (start, count) in &list.ranges {
        let digits = start.bytes().all(|c| c.is_ascii_digit());
        assert_eq!(only(start, *count).covers(start), digits && *count > 0);
        let Some(last) = start.parse::<u128>().ok().map(|n| n + u128::from(*count)) else {
            continue;
        };
        // The one behind the last is not in it, however many digits it has.
        let behind = format!("{last:0width$}", width = start.len());
        assert!(!only(start, *count).covers(&behind), "{start} {count}");
    }
    assert!(!list.covers("") && !list.covers("sip:a@b"));
}

fn only(start: &str, count: u64) -> TnAuthList {
    TnAuthList { ranges: vec![(start.into(), count)], ..TnAuthList::default() }
}
