//! What a certificate lets its holder sign: TNAuthList (RFC 8226 §9), JWTClaimConstraints (RFC 8226
//! §8) and their enhanced form (RFC 9118 §3).

use crate::asn1::{Cursor, Element, context};
use crate::cert::Certificate;
use crate::error::{Code, Error, Result};
use der::Tag;
use der::asn1::ObjectIdentifier;
use serde_json::{Map, Value};

/// RFC 8226 §9.
pub(crate) const TN_AUTH_LIST: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.26");
/// RFC 8226 §8.
pub(crate) const JWT_CLAIM_CONSTRAINTS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.27");
/// RFC 9118 §3.
pub(crate) const ENHANCED_JWT_CLAIM_CONSTRAINTS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.33");

/// Most entries of a TNAuthList, and most names or values of claim constraints: a certificate has
/// 16 KiB, and each is compared with every call's.
const MAX_ENTRIES: usize = 512;

/// Claims of every PASSporT (RFC 8225 §5).
const BASELINE: [&str; 3] = ["iat", "orig", "dest"];

/// Whom a certificate stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TnAuthList {
    /// Service provider codes.
    pub spcs: Vec<String>,
    /// First number of a range, and how many there are.
    pub ranges: Vec<(String, u64)>,
    /// Single numbers.
    pub numbers: Vec<String>,
}

/// The first service provider code of a certificate's TNAuthList, if it has one that can be read.
pub fn spc(certificate: &Certificate) -> Option<String> {
    let (_, der) = certificate.extension(TN_AUTH_LIST)?;
    TnAuthList::from_der(der).ok()?.spcs.into_iter().next()
}

impl TnAuthList {
    /// Reads the extension's value.
    ///
    /// # Errors
    /// [`Code::CertAuthority`] if it is no TNAuthorizationList, is empty, or has too many entries.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        let list = Self::read(der).map_err(|e| {
            let why = match is_untagged(der) {
                true => "it holds a text without the tag that says what it is (RFC 8226 §9): the CA must issue the certificate anew".into(),
                false => e.to_string(),
            };
            Error::new(Code::CertAuthority, format!("the TNAuthList makes no sense: {why}"))
        })?;
        if list == Self::default() {
            return Err(Error::new(Code::CertAuthority, "the TNAuthList is empty"));
        }
        Ok(list)
    }

    fn read(der: &[u8]) -> der::Result<Self> {
        let mut found = Self::default();
        let mut text = Cursor::new(der)?;
        let sequence = text.expect(Tag::Sequence)?;
        text.finish()?;
        let mut entries = Cursor::inside(&sequence)?;
        let mut count = 0;
        while !entries.is_finished() {
            count += 1;
            if count > MAX_ENTRIES {
                return Err(Tag::Sequence.value_error().into());
            }
            // The module of RFC 8226 has explicit tags.
            let entry = entries.next()?;
            let mut inside = Cursor::inside(&entry)?;
            match entry.tag {
                tag if tag == context(0) => found.spcs.push(ia5(&mut inside)?),
                tag if tag == context(1) => {
                    let mut range = Cursor::inside(&inside.expect(Tag::Sequence)?)?;
                    let start = number(&mut range)?;
                    let count = positive(range.expect(Tag::Integer)?.value)?;
                    found.ranges.push((start, count));
                }
                tag if tag == context(2) => found.numbers.push(number(&mut inside)?),
                tag => return Err(tag.value_error().into()),
            }
            inside.finish()?;
        }
        Ok(found)
    }

    /// That of a certificate, if it has one.
    ///
    /// # Errors
    /// As [`TnAuthList::from_der`]: whom it lets its holder speak for is not known.
    pub fn of(certificate: &Certificate) -> Result<Option<Self>> {
        match certificate.extension(TN_AUTH_LIST) {
            None => Ok(None),
            Some((_, der)) => Self::from_der(der).map(Some),
        }
    }

    /// Whether all that another one holds is in this one (RFC 8226 §9). Which numbers a provider
    /// has, no certificate says: beside a code any number may be.
    pub(crate) fn encompasses(&self, other: &Self) -> bool {
        let range = |(start, count): &(String, u64)| {
            self.ranges.iter().any(|(known, known_count)| {
                let place = |text: &str| text.parse::<u128>().ok();
                known.len() == start.len()
                    && match (place(known), place(start)) {
                        (Some(known), Some(start)) => {
                            start.checked_sub(known).is_some_and(|before| {
                                before + u128::from(*count) <= u128::from(*known_count)
                            })
                        }
                        _ => false,
                    }
            })
        };
        other.spcs.iter().all(|spc| self.spcs.contains(spc))
            && (!self.spcs.is_empty()
                || (other.numbers.iter().all(|number| self.covers(number))
                    && other.ranges.iter().all(range)))
    }

    /// Whether numbers are named at all: a list of service provider codes alone stands for whatever
    /// numbers those providers have, which no certificate says.
    pub const fn has_numbers(&self) -> bool {
        !(self.ranges.is_empty() && self.numbers.is_empty())
    }

    /// Whether it limits its holder to the numbers in it: they are named, and no provider is.
    pub(crate) const fn is_of_numbers(&self) -> bool {
        self.has_numbers() && self.spcs.is_empty()
    }

    /// Whether this canonical number is among them. A range holds numbers as long as its first.
    pub fn covers(&self, number: &str) -> bool {
        let within = |(start, count): &(String, u64)| {
            start.len() == number.len()
                // What parse takes may begin with a plus.
                && number.bytes().all(|c| c.is_ascii_digit())
                && match (start.parse::<u128>(), number.parse::<u128>()) {
                    (Ok(start), Ok(number)) => {
                        number.checked_sub(start).is_some_and(|n| n < u128::from(*count))
                    }
                    _ => false,
                }
        };
        self.numbers.iter().any(|known| known == number) || self.ranges.iter().any(within)
    }
}

/// Whether there is a string instead of the list, or of its first entry, as in six certificates of the
/// field. It is not taken as a service provider code: that stands for any number, and without a tag
/// the text may as well be a single one.
fn is_untagged(der: &[u8]) -> bool {
    let first = |der| Cursor::new(der).and_then(|mut text| text.next());
    let is_text = |tag| matches!(tag, Tag::PrintableString | Tag::Ia5String | Tag::Utf8String);
    first(der).is_ok_and(|outer| {
        is_text(outer.tag)
            || outer.tag == Tag::Sequence
                && first(outer.value).is_ok_and(|inner| is_text(inner.tag))
    })
}

fn ia5(cursor: &mut Cursor<'_>) -> der::Result<String> {
    ascii(cursor.expect(Tag::Ia5String)?.value)
}

fn ascii(value: &[u8]) -> der::Result<String> {
    match std::str::from_utf8(value) {
        Ok(text) if text.is_ascii() && !text.is_empty() => Ok(text.to_owned()),
        _ => Err(Tag::Ia5String.value_error().into()),
    }
}

/// TelephoneNumber (RFC 8226 §9): 1 to 15 of `0123456789#*`; France's have 16.
fn number(cursor: &mut Cursor<'_>) -> der::Result<String> {
    let number = ia5(cursor)?;
    let fits = |c: u8| c.is_ascii_digit() || matches!(c, b'#' | b'*');
    if number.len() > 16 || !number.bytes().all(fits) {
        return Err(Tag::Ia5String.value_error().into());
    }
    Ok(number)
}

fn positive(value: &[u8]) -> der::Result<u64> {
    let wrong = || Tag::Integer.value_error();
    if value.len() > 9 || value.first().is_none_or(|first| *first >= 0x80) {
        return Err(wrong().into());
    }
    let number = value.iter().fold(0_u128, |n, octet| n << 8 | u128::from(*octet));
    u64::try_from(number).map_err(|_| wrong().into())
}

/// What the claims of a token must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimConstraints {
    /// Claims that must be there.
    pub must_include: Vec<String>,
    /// Claims with the values that they may have, if they are there.
    pub permitted: Vec<(String, Vec<String>)>,
    /// Claims that must not be there (RFC 9118).
    pub must_exclude: Vec<String>,
}

impl ClaimConstraints {
    /// Those of a certificate, from both extensions.
    ///
    /// # Errors
    /// [`Code::CertConstraints`] if one can't be read: what it forbids is not known.
    pub fn of(certificate: &Certificate) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        for oid in [JWT_CLAIM_CONSTRAINTS, ENHANCED_JWT_CLAIM_CONSTRAINTS] {
            if let Some((_, value)) = certificate.extension(oid) {
                let constraints = Self::read(value).map_err(|e| {
                    Error::new(
                        Code::CertConstraints,
                        format!("the JWTClaimConstraints make no sense: {e}"),
                    )
                })?;
                // RFC 9118 §3: one that excludes what every token has is as good as none.
                if !constraints.must_exclude.iter().any(|name| BASELINE.contains(&name.as_str())) {
                    found.push(constraints);
                }
            }
        }
        Ok(found)
    }

    fn read(der: &[u8]) -> der::Result<Self> {
        let mut found = Self::default();
        let mut text = Cursor::new(der)?;
        let sequence = text.expect(Tag::Sequence)?;
        text.finish()?;
        let mut parts = Cursor::inside(&sequence)?;
        if let Some(part) = parts.optional(context(0))? {
            found.must_include = names(&part)?;
        }
        if let Some(part) = parts.optional(context(1))? {
            let mut list = Cursor::inside(&only(&part)?)?;
            while !list.is_finished() {
                let mut entry = Cursor::inside(&list.expect(Tag::Sequence)?)?;
                let name = ia5(&mut entry)?;
                let mut values = Cursor::inside(&entry.expect(Tag::Sequence)?)?;
                entry.finish()?;
                let mut permitted = Vec::new();
                while !values.is_finished() {
                    let value = values.expect(Tag::Utf8String)?.value;
                    let text =
                        std::str::from_utf8(value).map_err(|_| Tag::Utf8String.value_error())?;
                    permitted.push(text.to_owned());
                }
                if found.permitted.len() + permitted.len() > MAX_ENTRIES {
                    return Err(Tag::Sequence.value_error().into());
                }
                found.permitted.push((name, permitted));
            }
        }
        if let Some(part) = parts.optional(context(2))? {
            found.must_exclude = names(&part)?;
        }
        parts.finish()?;
        Ok(found)
    }

    /// Checks a payload's claims.
    ///
    /// # Errors
    /// [`Code::CertConstraints`], naming the claim.
    pub fn check(&self, claims: &Map<String, Value>) -> Result<()> {
        let wrong = |why: String| {
            Err(Error::new(
                Code::CertConstraints,
                format!("the certificate does not allow it: {why}"),
            ))
        };
        if let Some(name) = self.must_include.iter().find(|name| !claims.contains_key(*name)) {
            return wrong(format!("claim {name:?} must be there"));
        }
        if let Some(name) = self.must_exclude.iter().find(|name| claims.contains_key(*name)) {
            return wrong(format!("claim {name:?} must not be there"));
        }
        for (name, permitted) in &self.permitted {
            let Some(value) = claims.get(name) else { continue };
            let allowed = match value {
                // Each element must be one that is permitted (RFC 9118 §3).
                Value::Array(values) => values.iter().all(|value| is_among(value, permitted)),
                value => is_among(value, permitted),
            };
            if !allowed {
                return wrong(format!("claim {name:?} has a value that is not permitted"));
            }
        }
        Ok(())
    }
}

/// A string is compared by what it says, anything else by its canonical JSON text.
fn is_among(value: &Value, permitted: &[String]) -> bool {
    match value {
        Value::String(text) => permitted.contains(text),
        value => permitted.contains(&value.to_string()),
    }
}

/// The SEQUENCE in an explicit tag, with nothing behind it: that might be what forbids a call.
fn only<'a>(tagged: &Element<'a>) -> der::Result<Element<'a>> {
    let mut inside = Cursor::inside(tagged)?;
    let sequence = inside.expect(Tag::Sequence)?;
    inside.finish()?;
    Ok(sequence)
}

fn names(tagged: &Element<'_>) -> der::Result<Vec<String>> {
    let mut list = Cursor::inside(&only(tagged)?)?;
    let mut found = Vec::new();
    while !list.is_finished() {
        found.push(ia5(&mut list)?);
        if found.len() > MAX_ENTRIES {
            return Err(Tag::Sequence.value_error().into());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        [&[tag, u8::try_from(content.len()).unwrap()], content.as_slice()].concat()
    }

    #[test]
    fn the_three_kinds_of_entries() {
        let spc = tlv(0xa0, &[&tlv(0x16, &[b"1234"])]);
        let range = tlv(
            0xa1,
            &[&tlv(0x30, &[&tlv(0x16, &[b"12155550000"]), &tlv(0x02, &[&[0x00, 0xff]])])],
        );
        let one = tlv(0xa2, &[&tlv(0x16, &[b"12125551212"])]);
        let list = TnAuthList::from_der(&tlv(0x30, &[&spc, &range, &one])).unwrap();
        assert_eq!(list.spcs, ["1234"]);
        for (number, covered) in [
            ("12155550000", true),
            ("12155550254", true),
            ("12155550255", false),
            ("12155549999", false),
            ("2155550000", false),
            ("12125551212", true),
            ("12125551213", false),
            ("*2155550001", false),
        ] {
            assert_eq!(list.covers(number), covered, "{number}");
        }
        let zeros = TnAuthList { ranges: vec![("00100".into(), 9)], ..TnAuthList::default() };
        assert!(zeros.covers("00101") && !zeros.covers("+0101"));
    }

    #[test]
    fn other_forms_are_refused() {
        let code = tlv(0x16, &[b"1234"]);
        for der in [
            tlv(0x30, &[]),
            Vec::new(),
            tlv(0x13, &[b"1234"]),
            tlv(0x30, &[&code]),
            // As six certificates in the field have it.
            tlv(0x30, &[&tlv(0x13, &[b"1234"])]),
            tlv(0x30, &[&tlv(0x80, &[b"1234"])]),
            tlv(0x30, &[&tlv(0xa3, &[&code])]),
            tlv(0x30, &[&tlv(0xa0, &[&tlv(0x16, &[])])]),
            tlv(0x30, &[&tlv(0xa2, &[&tlv(0x16, &[b"+1215"])])]),
            tlv(0x30, &[&tlv(0xa2, &[&tlv(0x16, &[b"12345678901234567"])])]),
            tlv(0x30, &[&tlv(0xa1, &[&tlv(0x30, &[&code, &tlv(0x02, &[&[0xff]])])])]),
            [tlv(0x30, &[&tlv(0xa0, &[&code])]), vec![0]].concat(),
        ] {
            let error = TnAuthList::from_der(&der).unwrap_err();
            assert_eq!(error.code(), Code::CertAuthority, "{der:x?}");
        }
    }

    #[test]
    fn a_list_holds_what_is_within_it() {
        let list = |spcs: &[&str], ranges: &[(&str, u64)], numbers: &[&str]| TnAuthList {
            spcs: spcs.iter().map(ToString::to_string).collect(),
            ranges: ranges.iter().map(|(start, count)| (start.to_string(), *count)).collect(),
            numbers: numbers.iter().map(ToString::to_string).collect(),
        };
        let provider = list(&["1234"], &[], &[]);
        let numbers = list(&[], &[("12155550000", 100)], &["12125551212"]);
        for (inner, by_provider, by_numbers) in [
            (list(&["1234"], &[], &[]), true, false),
            (list(&["5678"], &[], &[]), false, false),
            (list(&[], &[], &["12155550099"]), true, true),
            (list(&[], &[], &["12125551212"]), true, true),
            (list(&[], &[], &["12155550100"]), true, false),
            (list(&[], &[("12155550010", 90)], &[]), true, true),
            (list(&[], &[("12155550010", 91)], &[]), true, false),
            (list(&[], &[("1215555001", 1)], &[]), true, false),
            (list(&[], &[("12155550010", u64::MAX)], &[]), true, false),
            (list(&["1234"], &[], &["12155550000"]), true, false),
        ] {
            assert_eq!(provider.encompasses(&inner), by_provider, "{inner:?}");
            assert_eq!(numbers.encompasses(&inner), by_numbers, "{inner:?}");
        }
    }

    #[test]
    fn constraints_bind_the_claims() {
        let names = |tag, name: &[u8]| tlv(tag, &[&tlv(0x30, &[&tlv(0x16, &[name])])]);
        let values = tlv(0x30, &[&tlv(0x0c, &[b"B"]), &tlv(0x0c, &[b"{\"tn\":\"1\"}"])]);
        let permitted = |name: &[u8]| tlv(0x30, &[&tlv(0x16, &[name]), &values]);
        let der = tlv(
            0x30,
            &[
                &names(0xa0, b"rcd"),
                &tlv(0xa1, &[&tlv(0x30, &[&permitted(b"attest"), &permitted(b"orig")])]),
                &names(0xa2, b"crn"),
            ],
        );
        let constraints = ClaimConstraints::read(&der).unwrap();
        let check = |text: &str| {
            let Value::Object(claims) = serde_json::from_str(text).unwrap() else { panic!() };
            constraints.check(&claims).is_ok()
        };
        assert!(check(r#"{"rcd":{},"attest":"B","orig":{"tn":"1"}}"#));
        assert!(check(r#"{"rcd":{}}"#));
        assert!(check(r#"{"rcd":{},"attest":["B","B"]}"#));
        assert!(!check(r#"{"attest":"B"}"#));
        assert!(!check(r#"{"rcd":{},"attest":"A"}"#));
        assert!(!check(r#"{"rcd":{},"attest":["B","A"]}"#));
        assert!(!check(r#"{"rcd":{},"orig":{"tn":"2"}}"#));
        assert!(!check(r#"{"rcd":{},"crn":"x"}"#));
        assert!(ClaimConstraints::read(&tlv(0x30, &[&tlv(0xa3, &[])])).is_err());
    }

    #[test]
    fn constraints_with_something_behind_are_refused() {
        let name = tlv(0x16, &[b"rcd"]);
        let values = tlv(0x30, &[&tlv(0x0c, &[b"B"])]);
        for (name, more) in [(&name, &[][..]), (&name, &name), (&name, &values)] {
            let list = tlv(0x30, &[name]);
            let permitted = tlv(0x30, &[&tlv(0x30, &[name, &values, more])]);
            for part in [
                tlv(0xa0, &[&list, more]),
                tlv(0xa1, &[&permitted]),
                tlv(0xa1, &[&tlv(0x30, &[&tlv(0x30, &[name, &values])]), more]),
                tlv(0xa2, &[&list, more]),
            ] {
                let read = ClaimConstraints::read(&tlv(0x30, &[&part]));
                assert_eq!(read.is_ok(), more.is_empty(), "{part:x?}");
            }
        }
    }
}
