//! Certificates for people: names, dates, and the numbers that they are for (RFC 8226 §9).

use der::Encode;
use der::asn1::{Ia5String, ObjectIdentifier};
use serde::Serialize;
use stir::authority::TnAuthList;
use stir::cert::Certificate;

/// Its type.
pub const TN_AUTH_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.26");
/// Entries of a TNAuthList that are shown: a carrier has one code.
const MAX_SHOWN: usize = 100;

/// What is shown of a certificate.
#[derive(Clone, Debug, Serialize)]
pub struct CertView {
    /// RFC 4514.
    pub subject: String,
    /// RFC 4514.
    pub issuer: String,
    /// Hexadecimal.
    pub serial: String,
    /// UTC.
    pub not_before: String,
    /// UTC.
    pub not_after: String,
    /// Within both at the time of looking.
    pub in_time: bool,
    /// Entries of the TNAuthList; `None` if the certificate has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tn_auth_list: Option<Vec<String>>,
}

impl CertView {
    /// At this time (Unix seconds).
    pub fn new(certificate: &Certificate, now: i64) -> Self {
        Self {
            subject: certificate.subject(),
            issuer: certificate.issuer(),
            serial: certificate.serial(),
            not_before: utc(certificate.not_before()),
            not_after: utc(certificate.not_after()),
            in_time: (certificate.not_before()..=certificate.not_after()).contains(&now),
            tn_auth_list: match TnAuthList::of(certificate) {
                Ok(list) => list.as_ref().map(entries),
                Err(e) => Some(vec![e.message().to_owned()]),
            },
        }
    }
}

/// A time as people write it; the number where it is no date.
pub fn utc(seconds: i64) -> String {
    u64::try_from(seconds)
        .ok()
        .and_then(|s| der::DateTime::from_unix_duration(std::time::Duration::from_secs(s)).ok())
        .map_or_else(|| seconds.to_string(), |time| time.to_string())
}

/// The entries of a TNAuthList.
fn entries(list: &TnAuthList) -> Vec<String> {
    let spcs = list.spcs.iter().map(|code| format!("SPC {code}"));
    let ranges = list.ranges.iter().map(|(start, count)| format!("{count} numbers from {start}"));
    let numbers = list.numbers.iter().map(|number| format!("number {number}"));
    spcs.chain(ranges).chain(numbers).take(MAX_SHOWN).collect()
}

/// One entry of a TNAuthList that is written (RFC 8226 §9; the module has explicit tags).
#[derive(Clone, Debug, der::Choice)]
enum Entry {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", constructed = "true")]
    Spc(Ia5String),
}

/// The value of a TNAuthList extension for these service provider codes.
///
/// # Errors
/// A code that is no IA5String.
pub fn encode_spcs(codes: &[String]) -> der::Result<Vec<u8>> {
    let list: Vec<_> = codes
        .iter()
        .map(|code| Ia5String::new(code).map(Entry::Spc))
        .collect::<der::Result<_>>()?;
    list.to_der()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tn_auth_lists_are_read_and_written() {
        let codes = ["1234".to_owned(), "567A".to_owned()];
        assert_eq!(encode_spcs(&codes[..1]).unwrap(), b"\x30\x08\xa0\x06\x16\x041234");
        let shown = |der: &[u8]| TnAuthList::from_der(der).map(|list| entries(&list));
        assert_eq!(shown(&encode_spcs(&codes).unwrap()).unwrap(), ["SPC 1234", "SPC 567A"]);
        let range = b"\x30\x10\xa1\x09\x30\x07\x16\x0212\x02\x01\x0a\xa2\x03\x16\x013";
        assert_eq!(shown(range).unwrap(), ["10 numbers from 12", "number 3"]);
        assert_eq!(utc(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(utc(-1), "-1");
    }
}
