//! Telephone numbers. Input: a number, or fields apart by NUL: country code, national prefix,
//! international prefix, longest number, number, number of a token.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stir::tn::{self, MAX_DIGITS};
use stir::{Numbering, Party, Uri};

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
    // A token's number is compared digit for digit, but for ten digits of country code 1.
    let text = format!("tel:{number}");
    let Some(uri) = Uri::parse(&text) else { return };
    let Ok(party) = Party::of(numbering, &uri) else { return };
    assert!(party.is(party.text()));
    if party.is(token) && token != party.text() {
        assert_eq!((party.text(), token.len()), (format!("1{token}").as_str(), 10));
    }
}

fn is_canonical(number: &str, max: usize) -> bool {
    !number.is_empty()
        && number.len() <= max
        && number.bytes().all(|c| matches!(c, b'0'..=b'9' | b'#' | b'*'))
}
