//! The list of trusted CAs that a policy administrator signs (ATIS-1000084 §7): a JWS, ES256,
//! whose payload holds certificates.

use super::MAX_CA_CERTIFICATES;
use crate::cert::{self, Certificate};
use crate::clock::{Clock, SystemClock, time};
use crate::error::{Code, Error, Result};
use crate::json;
use crate::key::{Credential, SIGNATURE_LEN};
use crate::passport::{ALG, decode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::path::Path;

/// Whether a file looks like one: compact JWS begin with `{"` in base64url.
pub(super) fn is_list(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"eyJ")
}

/// The certificates of a list that the key of `signer` signed: a public key or certificate, PEM.
///
/// # Errors
/// [`Code::CertProcessing`]: no key is named, the signature is not its own, the list has run out
/// (`exp`), or it holds no certificate.
pub(super) fn read(text: &[u8], signer: &Path) -> Result<Vec<Certificate>> {
    let wrong = |why: String| Error::new(Code::CertProcessing, why);
    if signer.as_os_str().is_empty() {
        return Err(wrong(
            "is a signed list: name the key or certificate of who signed it (trust_anchors_key)"
                .into(),
        ));
    }
    let key = crate::file::read_path(signer)
        .and_then(|(_, text)| Credential::from_pem(&text))
        .map_err(|e| wrong(format!("is a signed list, but trust_anchors_key: {}", e.message())))?;
    let token =
        std::str::from_utf8(text.trim_ascii()).map_err(|e| wrong(format!("is no JWS: {e}")))?;
    let mut parts = token.splitn(3, '.');
    let (Some(head), Some(body), Some(signature)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong("is no JWS: it has not three parts".into()));
    };
    let object = |part: &str, what: &str| {
        let octets = decode(part, Code::CertProcessing, what)?;
        json::object(&octets, Code::CertProcessing, what)
    };
    let header = object(head, "list's header")?;
    if header.get("alg").and_then(Value::as_str) != Some(ALG) || header.contains_key("crit") {
        return Err(wrong("is a list whose alg is not ES256, or that has crit".into()));
    }
    let octets = decode(signature, Code::CertProcessing, "list's signature")?;
    let signed = token.get(..head.len() + 1 + body.len()).unwrap_or_default();
    let genuine = <&[u8; SIGNATURE_LEN]>::try_from(octets.as_slice())
        .is_ok_and(|signature| key.key.verify(signed.as_bytes(), signature));
    if !genuine {
        return Err(wrong(format!(
            "is a list that the key in \"{}\" did not sign",
            signer.display()
        )));
    }
    let payload = object(body, "list")?;
    match payload.get("exp") {
        None => {}
        Some(exp) => match exp.as_i64() {
            Some(exp) if exp > SystemClock.now() => {}
            Some(exp) => {
                return Err(wrong(format!(
                    "is a list that ran out at {}: get a new one",
                    time(exp)
                )));
            }
            None => return Err(wrong("is a list whose exp is no integer".into())),
        },
    }
    let Some(Value::Array(entries)) = payload.get("trustList") else {
        return Err(wrong("is a list without trustList".into()));
    };
    let mut found = Vec::new();
    for entry in entries {
        let text = entry
            .as_str()
            .ok_or_else(|| wrong("is a list with an entry that is no string".into()))?;
        found.extend(entry_certificates(text).map_err(|e| {
            wrong(format!("is a list with an entry that is no certificate: {}", e.message()))
        })?);
        if found.len() > MAX_CA_CERTIFICATES {
            return Err(wrong(format!(
                "is a list of more than {MAX_CA_CERTIFICATES} certificates"
            )));
        }
    }
    if found.is_empty() {
        return Err(wrong("is an empty list, so nobody would be trusted".into()));
    }
    Ok(found)
}

/// An entry: PEM, or base64 of the DER.
fn entry_certificates(text: &str) -> Result<Vec<Certificate>> {
    if text.contains("-----BEGIN") {
        return cert::all_from_pem(text.as_bytes(), MAX_CA_CERTIFICATES);
    }
    let der = STANDARD
        .decode(text.trim())
        .map_err(|e| Error::new(Code::CertProcessing, format!("neither PEM nor base64: {e}")))?;
    Ok(vec![Certificate::from_der(&der)?])
}
