//! Telephone numbers in canonical form (RFC 8224 §8.3).

use crate::error::{Code, Error, Result};

/// Longest number that is taken, in digits: E.164 ends at 15, France's ported numbers have 16,
/// and twice that leaves room for a national prefix without letting a header grow.
pub const MAX_DIGITS: usize = 32;
/// Longest number that stays as it is: emergency and service numbers (911, 112, 3117) belong to no
/// country's plan, so no country code goes before them (RFC 8224 §8.3).
const MAX_SHORT: usize = 6;
/// Digits of a national number of country code 1.
const NANP_DIGITS: usize = 10;
/// Longest country code, in digits (E.164 §6).
const MAX_COUNTRY: usize = 3;

/// How numbers are written where this system stands. The default knows no country: a number is
/// what its digits say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbering {
    /// Country code that goes before national numbers (E.164): "1", "33"; empty for none.
    pub country_code: String,
    /// What a national number begins with and loses: "0" in France; empty for none.
    pub national_prefix: String,
    /// What an international number begins with and loses: "011", "00"; empty for none.
    pub international_prefix: String,
    /// Longest canonical number, in digits.
    pub max_digits: usize,
}

impl Default for Numbering {
    fn default() -> Self {
        Self {
            country_code: String::new(),
            national_prefix: String::new(),
            international_prefix: String::new(),
            max_digits: MAX_DIGITS,
        }
    }
}

impl Numbering {
    /// Refuses settings that no number could be written with.
    ///
    /// # Errors
    /// [`Code::Generic`], naming the parameter.
    pub fn validate(&self) -> Result<()> {
        for (name, value) in [
            ("country_code", &self.country_code),
            ("national_prefix", &self.national_prefix),
            ("international_prefix", &self.international_prefix),
        ] {
            if value.len() > MAX_SHORT || !value.bytes().all(|c| c.is_ascii_digit()) {
                return Err(Error::new(
                    Code::Generic,
                    format!("{name} \"{value}\" is not up to {MAX_SHORT} digits"),
                ));
            }
        }
        if self.max_digits == 0 || self.max_digits > MAX_DIGITS {
            return Err(Error::new(
                Code::Generic,
                format!("tn_max_digits {} is not from 1 to {MAX_DIGITS}", self.max_digits),
            ));
        }
        Ok(())
    }

    /// The canonical form of a number by itself: user parameters are cut at `;` and say nothing, for
    /// where they came from nobody knows.
    ///
    /// # Errors
    /// [`Code::PayloadParse`] for a text that is not a number, or is too long.
    pub fn canonical(&self, number: &str) -> Result<String> {
        self.read(user(number), None).map(|number| number.canonical)
    }

    /// Reads a number as calls have it: a leading `+` and visual separators are dropped; what is left
    /// must be digits, `#` and `*`. A national number gets its country code: that of its
    /// `phone-context` (RFC 3966 §5.1.5), else that of the settings.
    ///
    /// # Errors
    /// [`Code::PayloadParse`] if anything else is in it, if nothing is left, or if it is too long.
    pub(crate) fn read(&self, number: &str, context: Option<&str>) -> Result<Number> {
        let user = number.trim_matches([' ', '\t']);
        // Phones usually show only the number, so phone-context must not change short numbers, nor the
        // end of one.
        let is_long = user.bytes().filter(u8::is_ascii_digit).count() > MAX_SHORT;
        let context = context.and_then(country_of).filter(|_| is_long);
        let (global, before, digits) = match (user.strip_prefix('+'), context) {
            (Some(digits), _) => (true, "", digits),
            // No number of country code 1 begins with it: it is there already.
            (None, Some("1")) if user.starts_with('1') => (true, "", user),
            (None, Some(before)) => (true, before, user),
            (None, None) => (false, "", user),
        };
        let mut canonical = String::with_capacity((before.len() + digits.len()).min(MAX_DIGITS));
        for c in before.chars().chain(digits.chars()) {
            match c {
                '0'..='9' | '#' | '*' if canonical.len() < MAX_DIGITS => canonical.push(c),
                '0'..='9' | '#' | '*' => return Err(too_long(number, MAX_DIGITS)),
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
        let number_read = if global {
            Number { canonical, national: None }
        } else {
            self.with_country(canonical)
        };
        if number_read.canonical.len() > self.max_digits {
            return Err(too_long(number, self.max_digits));
        }
        Ok(number_read)
    }

    /// A number that was written without `+`, in E.164 where the settings tell how.
    fn with_country(&self, digits: String) -> Number {
        let code = self.country_code.as_str();
        let plain = |canonical| Number { canonical, national: None };
        if digits.len() <= MAX_SHORT || !digits.bytes().all(|c| c.is_ascii_digit()) {
            return plain(digits);
        }
        let after = |prefix: &str| match prefix {
            "" => None,
            prefix => digits.strip_prefix(prefix),
        };
        if let Some(rest) = after(&self.international_prefix) {
            return plain(rest.to_owned());
        }
        if code.is_empty() {
            return plain(digits);
        }
        if let Some(rest) = after(&self.national_prefix) {
            return plain(format!("{code}{rest}"));
        }
        // In the plan of country code 1 a national number has ten digits, whatever is before it.
        if code == "1" && digits.len() == NANP_DIGITS {
            return Number { canonical: format!("{code}{digits}"), national: Some(digits) };
        }
        plain(digits)
    }
}

/// A telephone number of a call, in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    canonical: String,
    /// The ten digits that were written, where the country code 1 of the settings went before them.
    national: Option<String>,
}

impl Number {
    /// Digits, `#` and `*`, with the country code where it is known.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Whether a token's `tn` is this number, digit for digit: no rule of a country is applied to the
    /// token (RFC 8224 §8.3, RFC 8225 §5.2.1.1). With one tolerance, since signers of country code 1 put
    /// ten digits into tokens: where the call has the number written so, these ten digits are it, too.
    pub fn is(&self, tn: &str) -> bool {
        tn == self.canonical || self.national.as_deref() == Some(tn)
    }
}

/// The country code of a `phone-context`. With any other context, a domain or more digits, the number is
/// what its own digits say.
fn country_of(context: &str) -> Option<&str> {
    let code = context.strip_prefix('+')?;
    (code.len() <= MAX_COUNTRY && code.bytes().all(|c| c.is_ascii_digit())).then_some(code)
}

/// A number without the user parameters behind it.
fn user(number: &str) -> &str {
    number.split(';').next().unwrap_or_default()
}

/// [`Numbering::canonical`] where no country is known.
///
/// # Errors
/// As there.
pub fn canonical(number: &str) -> Result<String> {
    Numbering::default().canonical(number)
}

/// The `tn` of a token without the `+` and the visual separators that some signers leave in it. It has
/// no parameters.
///
/// # Errors
/// [`Code::PayloadParse`] for what is not a number.
pub(crate) fn signed(tn: &str) -> Result<String> {
    if tn.contains(';') {
        return Err(wrong(tn, "has ';' in it: a token's number has no parameters"));
    }
    canonical(tn)
}

fn too_long(number: &str, max: usize) -> Error {
    wrong(number, &format!("has more than {max} digits"))
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

    fn plan(code: &str, national: &str, international: &str, max_digits: usize) -> Numbering {
        Numbering {
            country_code: code.into(),
            national_prefix: national.into(),
            international_prefix: international.into(),
            max_digits,
        }
    }

    #[test]
    fn national_numbers_get_their_country() {
        let us = plan("1", "1", "011", 15);
        let france = plan("33", "0", "00", 16);
        for (numbering, number, expected) in [
            (&us, "2155551212", "12155551212"),
            (&us, "(215) 555-1212", "12155551212"),
            (&us, "12155551212", "12155551212"),
            (&us, "01133123456789", "33123456789"),
            (&us, "+2155551212", "2155551212"),
            (&us, "911", "911"),
            (&us, "*2155551212", "*2155551212"),
            (&france, "0123456789", "33123456789"),
            (&france, "+33123456789", "33123456789"),
            (&france, "33123456789", "33123456789"),
            (&france, "0033123456789", "33123456789"),
            (&france, "0012155551212", "12155551212"),
            (&france, "112", "112"),
            (&france, "3900", "3900"),
            (&france, "+330123456789012345", "no"),
            (&france, "3312345678901234", "3312345678901234"),
        ] {
            match numbering.canonical(number) {
                Ok(canonical) => assert_eq!(canonical, expected, "{number}"),
                Err(error) => assert_eq!(expected, "no", "{number}: {error}"),
            }
        }
    }

    #[test]
    fn a_token_is_compared_digit_for_digit() {
        let us = plan("1", "1", "011", 15);
        let russia = plan("7", "8", "810", 15);
        let france = plan("33", "0", "00", 16);
        for (numbering, written, token, expected) in [
            (&us, "+12155551212", "12155551212", true),
            (&us, "2155551212", "12155551212", true),
            // The tolerance, and where it ends.
            (&us, "2155551212", "2155551212", true),
            (&us, "+12155551212", "2155551212", false),
            (&us, "12155551212", "2155551212", false),
            (&us, "+16463501234", "6463501234", false),
            (&us, "0116463501234", "16463501234", false),
            (&us, "01133123456789", "01133123456789", false),
            (&russia, "+71312345678", "81312345678", false),
            (&russia, "81312345678", "81312345678", false),
            (&russia, "81312345678", "71312345678", true),
            (&france, "0123456789", "0123456789", false),
            (&france, "+33123456789", "0123456789", false),
            (&france, "0123456789", "33123456789", true),
        ] {
            let number = numbering.read(written, None).unwrap();
            assert_eq!(number.is(token), expected, "{written} {token}");
        }
        for tn in ["12155551212;phone-context=+1", "2155551212;x", "sip:1@h", ""] {
            assert!(signed(tn).is_err(), "{tn}");
        }
    }

    #[test]
    fn settings_that_are_no_digits_are_refused() {
        for numbering in [
            plan("+1", "", "", 15),
            plan("1", "x", "", 15),
            plan("1", "", "0110110", 15),
            plan("1", "", "", 0),
            plan("1", "", "", 33),
        ] {
            assert!(numbering.validate().is_err(), "{numbering:?}");
        }
        plan("33", "0", "00", 16).validate().unwrap();
    }
}
