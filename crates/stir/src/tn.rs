//! Telephone numbers in canonical form (RFC 8224 §8.3).

use crate::error::{Code, Error, Result};

/// Longest number that is taken, in digits: E.164 ends at 15, France's ported numbers have 16,
/// and twice that leaves room for a national prefix without letting a header grow.
pub const MAX_DIGITS: usize = 32;
/// Longest number that stays as it is: emergency and service numbers (911, 112, 3117) belong to no
/// country's plan, so no country code goes before them (RFC 8224 §8.3).
const MAX_SHORT: usize = 6;
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

    /// The canonical form: user parameters are cut at `;`, a leading `+` and visual separators are
    /// dropped; what is left must be digits, `#` and `*`. A national number gets its country code:
    /// that of its `phone-context` (RFC 3966 §5.1.5), else that of the settings.
    ///
    /// # Errors
    /// [`Code::PayloadParse`] if anything else is in it, if nothing is left, or if it is too long.
    pub fn canonical(&self, number: &str) -> Result<String> {
        let (user, parameters) = number.split_once(';').unwrap_or((number, ""));
        let user = user.trim_matches([' ', '\t']);
        // What is shown to the called is mostly the number alone: a context makes no other one of a
        // short number, nor of the end of one.
        let is_long = user.bytes().filter(u8::is_ascii_digit).count() > MAX_SHORT;
        let context = context(parameters).filter(|_| is_long);
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
        if !global {
            canonical = self.with_country(canonical);
        }
        if canonical.len() > self.max_digits {
            return Err(too_long(number, self.max_digits));
        }
        Ok(canonical)
    }

    /// Whether a party of a token, a number or a URI, is this canonical one. A token's should be
    /// canonical, but the field signs national numbers too.
    pub fn same(&self, token: &str, canonical: &str) -> bool {
        token == canonical || self.form(token) == canonical
    }

    /// Whether the parties of two tokens are the same.
    pub(crate) fn equal(&self, one: &str, other: &str) -> bool {
        one == other || self.form(one) == self.form(other)
    }

    /// The canonical form of a token's party: who made the token may have written it in a form of
    /// his own. A URI stays one, also where its user is a number: numbers belong into `tn`.
    fn form(&self, party: &str) -> String {
        if party.contains(':') {
            let uri = crate::party::of_uri(self, party).filter(|uri| uri.contains(':'));
            uri.unwrap_or_else(|| party.to_owned())
        } else {
            self.with_country(party.to_owned())
        }
    }

    /// A number that was written without `+`, in E.164 where the settings tell how.
    fn with_country(&self, digits: String) -> String {
        let code = self.country_code.as_str();
        if digits.len() <= MAX_SHORT || !digits.bytes().all(|c| c.is_ascii_digit()) {
            return digits;
        }
        let after = |prefix: &str| match prefix {
            "" => None,
            prefix => digits.strip_prefix(prefix),
        };
        if let Some(rest) = after(&self.international_prefix) {
            return rest.to_owned();
        }
        if code.is_empty() {
            return digits;
        }
        if let Some(rest) = after(&self.national_prefix) {
            return format!("{code}{rest}");
        }
        // In the plan of country code 1 a national number has ten digits, whatever is before it.
        if code == "1" && digits.len() == 10 {
            return format!("{code}{digits}");
        }
        digits
    }
}

/// The country code that goes before a number that is no global one, if its parameters say so. With
/// any other context, a domain or more digits, the number is what its own digits say.
fn context(parameters: &str) -> Option<&str> {
    const NAME: &str = "phone-context=+";
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_at_checked(NAME.len())?;
        let is_country = value.len() <= MAX_COUNTRY && value.bytes().all(|c| c.is_ascii_digit());
        (name.eq_ignore_ascii_case(NAME) && is_country).then_some(value)
    })
}

/// [`Numbering::canonical`] where no country is known.
///
/// # Errors
/// As there.
pub fn canonical(number: &str) -> Result<String> {
    Numbering::default().canonical(number)
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
