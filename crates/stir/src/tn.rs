//! Telephone numbers in canonical form (RFC 8224 §8.3).

use crate::error::{Code, Error, Result};

/// Longest number that is taken, in digits: E.164 ends at 15, France's ported numbers have 16,
/// and twice that leaves room for a national prefix without letting a header grow.
pub const MAX_DIGITS: usize = 32;

/// The canonical form: user parameters are cut at `;`, a leading `+` and visual separators are
/// dropped; what is left must be digits, `#` and `*`.
///
/// # Errors
/// [`Code::PayloadParse`] if anything else is in it, if nothing is left, or if it is too long.
pub fn canonical(number: &str) -> Result<String> {
    let user = number.split(';').next().unwrap_or_default().trim();
    let digits = user.strip_prefix('+').unwrap_or(user);
    let mut canonical = String::with_capacity(digits.len().min(MAX_DIGITS));
    for c in digits.chars() {
        match c {
            '0'..='9' | '#' | '*' if canonical.len() < MAX_DIGITS => canonical.push(c),
            '0'..='9' | '#' | '*' => {
                return Err(wrong(number, &format!("has more than {MAX_DIGITS} digits")));
            }
            '-' | '.' | '(' | ')' | ' ' => {}
            _ => {
                return Err(wrong(
                    number,
                    &format!("has {c:?} in it: give the user part, digits only"),
                ));
            }
        }
    }
    if canonical.is_empty() {
        return Err(wrong(number, "has no digit"));
    }
    Ok(canonical)
}

fn wrong(number: &str, why: &str) -> Error {
    /// What of a wrong number goes into the message.
    const SHOWN: usize = 64;
    let shown: String = number.chars().take(SHOWN).collect();
    Error::new(Code::PayloadParse, format!("telephone number {shown:?} {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_form() {
        for (number, expected) in [
            ("12155551212", "12155551212"),
            ("+1 (215) 555-1212", "12155551212"),
            ("+33123456789;tgrp=x;trunk-context=y", "33123456789"),
            ("+1.215.555.1212", "12155551212"),
            ("*67#", "*67#"),
            ("911", "911"),
            ("3312345678901234", "3312345678901234"),
        ] {
            assert_eq!(canonical(number).unwrap(), expected, "{number}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let long = "1".repeat(MAX_DIGITS + 1);
        for number in [
            "",
            "+",
            ";x",
            "alice",
            "sip:12155551212@example.com",
            "1+2",
            "\u{663}12",
            "12\r\n34",
            &long,
        ] {
            let error = canonical(number).unwrap_err();
            assert_eq!(error.code(), Code::PayloadParse, "{number}");
        }
        assert!(canonical(&"x".repeat(100_000)).unwrap_err().message().len() < 200);
    }
}
