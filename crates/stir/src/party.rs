//! Who calls and who is called, in canonical form (RFC 8224 §8).

use crate::error::{Code, Error, Result};
use crate::tn::{Number, Numbering};
use crate::uri::{Scheme, Uri, decoded, parameters};
use std::fmt;

/// What telephone numbers hold beside digits and unreserved characters, and URIs may escape.
const IN_NUMBERS: &str = "+#*() ";

/// A party of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// A telephone number (§8.3).
    Number(Number),
    /// A URI that is not one (§8.5): scheme, user and host in lower case, with unreserved characters
    /// decoded.
    Uri(String),
}

impl Party {
    /// Of a URI. A number's `phone-context` counts where the URI says that its user is a number: in a
    /// tel URI, and with `user=phone`.
    ///
    /// # Errors
    /// [`Code::PayloadParse`] for a tel URI whose number cannot be used, and for two `phone-context`
    /// (RFC 3966 §5.1.5).
    pub fn of(numbering: &Numbering, uri: &Uri<'_>) -> Result<Self> {
        let context = if uri.is_telephone() { context(uri)? } else { None };
        match uri.scheme() {
            Scheme::Tel => numbering.read(uri.user(), context).map(Self::Number),
            // An emergency service (RFC 5031, RFC 9027 §3).
            Scheme::Urn => Ok(Self::Uri(uri.text().to_ascii_lowercase())),
            Scheme::Sip | Scheme::Sips => {
                let scheme = uri.scheme().name();
                let host = uri.host().to_ascii_lowercase();
                if uri.user().is_empty() {
                    return Ok(Self::Uri(format!("{scheme}:{host}")));
                }
                Ok(match numbering.read(&number_of(uri), context) {
                    Ok(number) => Self::Number(number),
                    Err(_) => {
                        let user = decoded(&uri.user().to_ascii_lowercase(), "");
                        Self::Uri(format!("{scheme}:{user}@{host}"))
                    }
                })
            }
        }
    }

    /// Whether a token's party, a number or a URI, is this one. A token's number is canonical already
    /// (RFC 8225 §5.2.1.1): [`Number::is`].
    pub fn is(&self, token: &str) -> bool {
        match self {
            Self::Number(number) => number.is(token),
            Self::Uri(uri) => same(token, uri),
        }
    }

    /// The canonical form. A URI has a colon, a number has none.
    pub fn text(&self) -> &str {
        match self {
            Self::Number(number) => number.canonical(),
            Self::Uri(uri) => uri,
        }
    }

    /// Whether it is a telephone number.
    pub const fn is_number(&self) -> bool {
        matches!(self, Self::Number(_))
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Whether two parties of tokens are the same: numbers digit for digit, URIs in canonical form (those
/// who made the tokens may have written them in forms of their own). A URI stays one, also where its
/// user is a number: numbers belong into `tn`.
pub fn same(one: &str, other: &str) -> bool {
    one == other || matches!((form(one), form(other)), (Some(one), Some(other)) if one == other)
}

fn form(party: &str) -> Option<String> {
    match Party::of(&Numbering::default(), &Uri::parse(party)?).ok()? {
        Party::Uri(uri) => Some(uri),
        Party::Number(_) => None,
    }
}

/// Whether the user begins as telephone numbers do.
pub(crate) fn begins_like_a_number(uri: &Uri<'_>) -> bool {
    number_of(uri).starts_with(|c: char| c.is_ascii_digit() || "+#*-.() ".contains(c))
}

/// The user without its parameters, as a telephone would show it.
fn number_of(uri: &Uri<'_>) -> String {
    decoded(uri.user().split(';').next().unwrap_or_default(), IN_NUMBERS)
}

fn context<'a>(uri: &Uri<'a>) -> Result<Option<&'a str>> {
    let mut contexts = parameters(uri.number_parameters())
        .filter(|(name, _)| decoded(name, "").eq_ignore_ascii_case("phone-context"))
        .map(|(_, value)| value);
    let first = contexts.next();
    if contexts.next().is_some() {
        return Err(Error::new(
            Code::PayloadParse,
            format!("{:?} has two phone-context parameters: it may have one", uri.text()),
        ));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;

    fn of_header(value: &str) -> Option<String> {
        let address = Address::of_header(value);
        let party = Party::of(&Numbering::default(), address.uri()?).ok()?;
        Some(party.text().to_owned())
    }

    #[test]
    fn parties_have_one_form() {
        for (value, expected) in [
            ("<sip:+12155551212@example.com>;tag=1", Some("12155551212")),
            (
                "\"A <sip:1@x> \\\" B\" <sip:+1-215-555-1212@example.com;user=phone>",
                Some("12155551212"),
            ),
            ("sip:+12155551212@example.com;tag=1", Some("12155551212")),
            ("tel:+1-215-555-1212;ext=5", Some("12155551212")),
            ("<sip:+33123456789;tgrp=a;trunk-context=b@example.com>", Some("33123456789")),
            ("Alice <SIP:Alice@Example.COM:5060;transport=tcp>", Some("sip:alice@example.com")),
            ("<sip:%61lice@example.com>", Some("sip:alice@example.com")),
            ("<sip:%41%2fB@Example.com>", Some("sip:a%2Fb@example.com")),
            ("<sip:%2B1%28215%29%205551212@example.com>", Some("12155551212")),
            ("<sip:%31215%355512%31%32@example.com>", Some("12155551212")),
            ("<sip:*67%23@example.com>", Some("*67#")),
            ("<sip:911%3Bx@example.com>", Some("sip:911%3Bx@example.com")),
            ("<tel:215-555-1212;phone-context=+1>", Some("12155551212")),
            ("<sip:123456789;Phone-Context=+33@example.com;user=phone>", Some("33123456789")),
            ("<sip:123456789;phone-context=+33@example.com>", Some("123456789")),
            ("<sip:123456789;phone-context=+33@example.com;user=ip>", Some("123456789")),
            ("<tel:123456789;%70hone-context=+33>", Some("33123456789")),
            ("<tel:555-1212;phone-context=+1-215>", Some("5551212")),
            ("<sip:911;phone-context=+1@example.com;user=phone>", Some("911")),
            ("<sip:0911;phone-context=+1215555@example.com;user=phone>", Some("0911")),
            ("<tel:12155551212;phone-context=+1>", Some("12155551212")),
            ("<tel:7042;phone-context=example.com>", Some("7042")),
            ("<tel:2155551212;phone-context=+49;phone-context=+1>", None),
            ("<tel:2155551212;phone-context=+1;phone-context=+1>", None),
            ("<sip:2155551212;phone-context=+1;Phone-context=x@h;user=phone>", None),
            ("<sip:a:secret@example.com>", Some("sip:a@example.com")),
            ("<sip:bob@[2001:db8::1]>", Some("sip:bob@[2001:db8::1]")),
            ("<sip:example.com>", Some("sip:example.com")),
            (
                "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
                Some("sip:anonymous@anonymous.invalid"),
            ),
            ("<URN:service:SOS>", Some("urn:service:sos")),
            ("<http://example.com>", None),
            ("<>", None),
            ("", None),
            ("\"open", None),
            ("<sip:é%", None),
        ] {
            assert_eq!(of_header(value).as_deref(), expected, "{value}");
        }
        let named = format!("\"{}\" <tel:+12155551212>", "é".repeat(5000));
        assert_eq!(of_header(&named).as_deref(), Some("12155551212"));
    }

    #[test]
    fn parties_of_tokens_are_compared_as_they_stand() {
        for (one, other, expected) in [
            ("12155551212", "12155551212", true),
            ("2155551212", "12155551212", false),
            ("sip:%41lice%2f@Example.com:5060;transport=tcp", "sip:alice%2F@example.com", true),
            ("sip:+12155551212@a", "12155551212", false),
            ("sip:+12155551212@a", "sip:+12155551212@b", false),
            ("junk", "12155551212", false),
        ] {
            assert_eq!(same(one, other), expected, "{one} {other}");
            assert_eq!(same(other, one), expected, "{other} {one}");
        }
    }
}
