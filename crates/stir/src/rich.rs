//! Claims about the caller beside the number: rich call data (RFC 9795) and resource priority
//! (RFC 8443).

use crate::error::Result;
use crate::passport::{claim, is_line, text, wrong};
use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

/// Longest name that is handed to a script, in octets: it goes into a SIP header.
const MAX_NAME: usize = 256;

/// Longest URL that is handed to a script, in octets: as long as an x5u that is signed.
const MAX_URL: usize = 1024;

/// What `rcd` says of the caller (RFC 9795 §5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rcd {
    /// The name.
    pub nam: String,
    /// Where a picture is, an https URL. It is not fetched: a digest of it in `rcdi` binds the fetcher.
    pub icn: Option<String>,
    /// Where a jCard is, likewise.
    pub jcl: Option<String>,
}

/// `rcd` (RFC 9795 §5.1), once the digests in `rcdi` (§6) of what is inline hold. What is
/// only named by a URI is not fetched, so its digest binds whoever fetches it.
pub(crate) fn read(claims: &Map<String, Value>) -> Result<Rcd> {
    let rcd = claim(claims, "rcd")?;
    let name = text(rcd, "nam")?;
    check_name(name)?;
    if claims.contains_key("rcdi") {
        let whole = Value::Object(rcd.clone());
        for (pointer, expected) in claim(claims, "rcdi")? {
            check_digest(&whole, pointer, expected)?;
        }
    }
    let url = |member: &str| {
        let url = rcd.get(member)?.as_str()?;
        let good = url.starts_with("https://")
            && url.len() <= MAX_URL
            && url.bytes().all(|c| c.is_ascii_graphic() && !b"<>\"\\".contains(&c));
        good.then(|| url.to_owned())
    };
    Ok(Rcd { nam: name.to_owned(), icn: url("icn"), jcl: url("jcl") })
}

/// Refuses a name that can't go into a SIP header.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.len() > MAX_NAME || !is_line(name) {
        let shown: String = name.chars().take(32).collect();
        return Err(wrong(format!(
            "nam of rcd (rcd_nam), {shown:?}…, has more than {MAX_NAME} octets, or control characters"
        )));
    }
    Ok(())
}

fn check_digest(rcd: &Value, pointer: &str, expected: &Value) -> Result<()> {
    // Below what is only named by a URI.
    let elsewhere = pointer.starts_with("/jcl/") && rcd.get("jcl").is_some_and(Value::is_string);
    let value = match rcd.pointer(pointer) {
        Some(value) => value,
        None if elsewhere => &Value::Null,
        None => return Err(wrong(format!("rcdi names {pointer:?}, which rcd does not have"))),
    };
    let expected = expected.as_str().and_then(|text| text.split_once('-'));
    let Some((algorithm, expected)) =
        expected.and_then(|(name, digest)| Some((algorithm(name)?, DIGEST.decode(digest).ok()?)))
    else {
        return Err(wrong(format!("rcdi of {pointer:?} is no digest like sha256-…")));
    };
    // Any other string is the URI of what was digested.
    let inline = value.is_object() || value.is_array() || matches!(pointer, "/nam" | "/apn");
    if inline && digest(algorithm, value.to_string().as_bytes()).as_ref() != expected {
        return Err(wrong(format!("rcdi of {pointer:?} is not the digest of what is there")));
    }
    Ok(())
}

/// The RFC's own examples have no padding, and others have it.
const DIGEST: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn algorithm(name: &str) -> Option<&'static Algorithm> {
    match name {
        "sha256" => Some(&SHA256),
        "sha384" => Some(&SHA384),
        "sha512" => Some(&SHA512),
        _ => None,
    }
}

/// The Resource-Priority values in `rph` (RFC 8443 §3): `auth` must be there.
pub(crate) fn priorities(rph: &Map<String, Value>) -> Result<Vec<String>> {
    let text = |value: &Value| value.as_str().filter(|text| is_line(text)).map(str::to_owned);
    let auth = rph.get("auth").and_then(Value::as_array);
    match auth.and_then(|values| values.iter().map(text).collect::<Option<Vec<_>>>()) {
        Some(values) if !values.is_empty() => Ok(values),
        _ => Err(wrong("rph has no auth with Resource-Priority values in it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    fn name(claims: &Map<String, Value>) -> Result<String> {
        read(claims).map(|rcd| rcd.nam)
    }

    #[test]
    fn urls_are_handed_on_where_they_are_https() {
        for (value, good) in [
            (r#""https://x.example/i.png""#, true),
            (r#""http://x.example/i.png""#, false),
            (r#""https://x/\r\nX: y""#, false),
            (r#""https://x/>""#, false),
            (r#""""#, false),
            ("1", false),
        ] {
            for member in ["icn", "jcl"] {
                let rcd = format!(r#"{{"rcd":{{"{member}":{value},"nam":"Q"}}}}"#);
                let Rcd { nam, icn, jcl } = read(&claims(&rcd)).unwrap();
                let (own, other) = if member == "icn" { (icn, jcl) } else { (jcl, icn) };
                assert_eq!((nam.as_str(), own.is_some(), other), ("Q", good, None), "{rcd}");
            }
        }
    }

    #[test]
    fn names_with_digests_that_hold() {
        let jcd = r#"["vcard",[["fn",{},"text","Q Branch"]]]"#;
        let good = DIGEST.encode(digest(&SHA256, jcd.as_bytes()));
        let of = |rcdi: &str| {
            name(&claims(&format!(
                r#"{{"rcd":{{"icn":"https://x/i.png","jcd":{jcd},"nam":"Q"}},"rcdi":{rcdi}}}"#
            )))
        };
        assert_eq!(of(&format!(r#"{{"/jcd":"sha256-{good}"}}"#)).unwrap(), "Q");
        let bare = good.trim_end_matches('=');
        assert_eq!(of(&format!(r#"{{"/jcd":"sha256-{bare}"}}"#)).unwrap(), "Q");
        let nam = DIGEST.encode(digest(&SHA256, br#""Q""#));
        assert_eq!(of(&format!(r#"{{"/nam":"sha256-{nam}"}}"#)).unwrap(), "Q");
        // Of the name with its quotes (RFC 9795 §6).
        let rcdi = r#"{"/nam":"sha256-sM275lTgzCte+LHOKHtU4SxG8shlOo6OS4ot8IJQImY"}"#;
        let spy = format!(r#"{{"rcd":{{"nam":"Q Branch Spy Gadgets"}},"rcdi":{rcdi}}}"#);
        assert_eq!(name(&claims(&spy)).unwrap(), "Q Branch Spy Gadgets");
        // Of what is elsewhere.
        let jcl = format!(
            r#"{{"rcd":{{"jcl":"https://x/c","nam":"Q"}},"rcdi":{{"/jcl":"sha256-{good}","/jcl/1/3/3":"sha256-{good}"}}}}"#
        );
        assert_eq!(name(&claims(&jcl)).unwrap(), "Q");
        assert_eq!(of(&format!(r#"{{"/icn":"sha256-{good}"}}"#)).unwrap(), "Q");
        for rcdi in [
            format!(r#"{{"/jcd":"sha512-{good}"}}"#),
            format!(r#"{{"/jcd":"md5-{good}"}}"#),
            format!(r#"{{"/jcd/1":"sha256-{good}"}}"#),
            format!(r#"{{"/nam":"sha256-{good}"}}"#),
            format!(r#"{{"/jcl/1":"sha256-{good}"}}"#),
            format!(r#"{{"/apn":"sha256-{good}"}}"#),
            r#"{"/jcd":1}"#.to_owned(),
            r#"{"/jcd":"sha256-!"}"#.to_owned(),
            "[]".to_owned(),
        ] {
            assert!(of(&rcdi).is_err(), "{rcdi}");
        }
        for rcd in ["{}", r#"{"nam":1}"#, r#"{"nam":"a\r\nb"}"#, "[]"] {
            assert!(name(&claims(&format!(r#"{{"rcd":{rcd}}}"#))).is_err(), "{rcd}");
        }
    }

    #[test]
    fn priorities_are_arrays_of_strings() {
        for (rph, good) in [
            (r#"{"auth":["ets.0","wps.0"]}"#, true),
            (r#"{"auth":[]}"#, false),
            (r#"{"auth":"ets.0"}"#, false),
            (r#"{"auth":[1]}"#, false),
            ("{}", false),
        ] {
            assert_eq!(priorities(&claims(rph)).is_ok(), good, "{rph}");
        }
    }
}
