//! Telephone numbers. Input: a number, or fields apart by NUL: country code, national prefix,
//! international prefix, longest number, number, number of a token.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stir::Numbering;
use stir::tn::{self, MAX_DIGITS};

fuzz_target!(|text: &str| {
    let fields: Vec<&str> = text.split('\0').collect();
    if let [country, national, international, max, number, token] = fields[..] {
        let numbering = Numbering {
            country_code: country.into(),
            national_prefix: national.into(),
            international_prefix: international.into(),
            max_digits: max.parse().unwrap_or(15),
        };
        if numbering.validate().is_ok() {
            with(&numbering, number, token);
        }
    }
    if let Ok(canonical) = tn::canonical(text) {
        assert!(is_canonical(&canonical, MAX_DIGITS));
        assert_eq!(tn::canonical(&canonical).as_deref(), Ok(canonical.as_str()));
    }
});

fn with(numbering: &Numbering, number: &str, token: &str) {
    let Ok(canonical) = numbering.canonical(number) else { return };
    assert!(is_canonical(&canonical, numbering.max_digits));
    // A canonical number is global, and stays what it is once that is said.
    assert_eq!(numbering.canonical(&format!("+{canonical}")).as_deref(), Ok(canonical.as_str()));
    assert!(numbering.same(&canonical, &canonical));
    if numbering.same(token, &canonical) && token != canonical {
        assert_eq!(numbering.canonical(token).as_deref(), Ok(canonical.as_str()));
    }
}

fn is_canonical(number: &str, max: usize) -> bool {
    !number.is_empty()
        && number.len() <= max
        && number.bytes().all(|c| matches!(c, b'0'..=b'9' | b'#' | b'*'))
}
