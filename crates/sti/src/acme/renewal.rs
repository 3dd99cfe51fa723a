//! Renewal information (RFC 9773): when the CA would have a certificate renewed.

use super::{Acme, answer_json};
use crate::jose::base64url;
use crate::wrong;
use der::asn1::{GeneralizedTime, ObjectIdentifier};
use der::{DateTime, Decode};
use serde_json::Value;
use std::str::FromStr;
use stir::Result;
use stir::cert::Certificate;
use x509_cert::ext::pkix::AuthorityKeyIdentifier;

const AUTHORITY_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");

/// When to renew, in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From then on.
    pub start: i64,
    /// Until then.
    pub end: i64,
}

/// How RFC 9773 §4.1 names a certificate; `None` where it has no authorityKeyIdentifier.
pub fn certificate_id(certificate: &Certificate) -> Option<String> {
    let (_, der) = certificate.extension(AUTHORITY_KEY_ID)?;
    let issuer = AuthorityKeyIdentifier::from_der(der).ok()?.key_identifier?;
    let hex = certificate.serial();
    let mut serial: Vec<u8> = (0..hex.len() / 2)
        .filter_map(|i| u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok())
        .collect();
    // As DER has it: a first bit of 1 would be a negative number's.
    if serial.first().is_some_and(|first| first & 0x80 != 0) {
        serial.insert(0, 0);
    }
    Some(format!("{}.{}", base64url(issuer.as_bytes()), base64url(serial)))
}

impl Acme<'_> {
    /// When the CA would have this certificate renewed; `None` where it does not say.
    ///
    /// # Errors
    /// No answer, or one that makes no sense.
    pub fn renewal_info(&self, certificate: &Certificate) -> Result<Option<Window>> {
        let (Some(base), Some(id)) = (&self.directory.renewal_info, certificate_id(certificate))
        else {
            return Ok(None);
        };
        let url = format!("{}/{id}", base.trim_end_matches('/'));
        let answer = self.http.get(&url, crate::http::MAX_ANSWER)?;
        let object = answer_json(&url, &answer)?;
        let time = |name: &str| {
            object
                .get("suggestedWindow")
                .and_then(|w| w.get(name))
                .and_then(Value::as_str)
                .and_then(rfc3339)
        };
        match (time("start"), time("end")) {
            (Some(start), Some(end)) if start < end => Ok(Some(Window { start, end })),
            _ => Err(wrong(format!(
                "the CA's renewal information makes no sense: {}",
                answer.shown()
            ))),
        }
    }
}

/// Unix seconds of a UTC time; fractions are cut off.
fn rfc3339(text: &str) -> Option<i64> {
    let whole = match text.split_once('.') {
        Some((head, _)) => format!("{head}Z"),
        None => text.replace("+00:00", "Z"),
    };
    let date = DateTime::from_str(&whole).ok()?;
    i64::try_from(GeneralizedTime::from_date_time(date).to_unix_duration().as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_all_forms_are_read() {
        for text in ["2021-01-03T00:00:00Z", "2021-01-03T00:00:00.5Z", "2021-01-03T00:00:00+00:00"]
        {
            assert_eq!(rfc3339(text), Some(1_609_632_000), "{text}");
        }
        assert_eq!(rfc3339("soon"), None);
    }
}
