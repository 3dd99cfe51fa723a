//! The lists that a policy administrator signs (ATIS-1000084 §7, France's MAN): a JWS, ES256, whose
//! payload holds certificates. It comes in compact form, as JSON (RFC 7515 §7.2), or inside of the
//! JSON that an administrator's server answers with.

use super::MAX_CA_CERTIFICATES;
use super::signers::Signers;
use crate::cert::{self, Certificate, MAX_CHAIN_CERTIFICATES};
use crate::error::{Code, Error, Result};
use crate::json;
use crate::key::SIGNATURE_LEN;
use crate::passport::{ALG, decode};
use crate::pem::BYTE_ORDER_MARK;
use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

/// Base64 of DER, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a list is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Trust anchors: a `trustList`.
    Anchors,
    /// Intermediates, which are not trusted by themselves: a `certList` or a `trustList`.
    Intermediates,
}

/// A list whose signature was checked. Its dates are not.
pub(super) struct List {
    pub(super) certificates: Vec<Certificate>,
    /// Which version of the list it is; it only grows.
    pub(super) sequence: Option<u64>,
    /// When it runs out, in Unix seconds.
    pub(super) exp: Option<i64>,
}

/// A text without a byte order mark and whitespace around it.
fn trimmed(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii()
}

/// Whether a file looks like one: JSON, or base64url that begins as that of a JSON object does.
pub(super) fn is_list(text: &[u8]) -> bool {
    let text = trimmed(text);
    text.starts_with(b"{") || text.starts_with(b"ey") || text.starts_with(b"ew")
}

/// Reads a list, and checks who signed it.
///
/// # Errors
/// [`Code::CertProcessing`]: it is none of the forms, none of the signers signed it, or it holds no
/// certificate.
pub(super) fn read(text: &[u8], what: Use, signers: &Signers, now: i64) -> Result<List> {
    let jws = Jws::parse(trimmed(text))?;
    signers.check(&jws.signed, &jws.signature, &jws.x5c()?, now)?;
    // Nothing of the payload is looked at before it is known who signed it.
    let payload = decode(&jws.payload, Code::CertProcessing, "list")?;
    let payload = json::object(&payload, Code::CertProcessing, "list")?;
    let entries = entries(&payload, what)?;
    if entries.len() > MAX_CA_CERTIFICATES {
        return Err(wrong(format!("is a list of more than {MAX_CA_CERTIFICATES} entries")));
    }
    let mut certificates = Vec::new();
    for entry in entries {
        let text =
            entry.as_str().ok_or_else(|| wrong("is a list with an entry that is not a string"))?;
        certificates.extend(entry_certificates(text).map_err(|e| {
            wrong(format!("is a list with an entry that is not a certificate: {}", e.message()))
        })?);
        if certificates.len() > MAX_CA_CERTIFICATES {
            return Err(wrong(format!(
                "is a list of more than {MAX_CA_CERTIFICATES} certificates"
            )));
        }
    }
    if certificates.is_empty() {
        return Err(wrong("is an empty list"));
    }
    Ok(List { certificates, sequence: sequence(&payload)?, exp: exp(&payload)? })
}

/// A JWS with one signature (RFC 7515).
struct Jws {
    /// The octets that are signed.
    signed: String,
    payload: String,
    signature: [u8; SIGNATURE_LEN],
    /// The header: what is protected, and what is not.
    header: Map<String, Value>,
}

impl Jws {
    fn parse(text: &[u8]) -> Result<Self> {
        if !text.starts_with(b"{") {
            let text =
                std::str::from_utf8(text).map_err(|e| wrong(format!("is not a JWS: {e}")))?;
            return Self::compact(text);
        }
        let object = json::object(text, Code::CertProcessing, "list")?;
        let Some(inner) = object.get("caList") else { return Self::json(&object) };
        // What a server answers with: the list is inside.
        if let Some(status) = object.get("status").filter(|status| **status != "success") {
            return Err(wrong(format!(
                "is an answer without a list: its status is {status}, its message {}",
                object.get("message").unwrap_or(&Value::Null)
            )));
        }
        match inner {
            Value::String(text) => Self::compact(text.trim()),
            Value::Object(object) => Self::json(object),
            _ => Err(wrong("has a caList that is neither text nor an object")),
        }
    }

    /// RFC 7515 §7.1.
    fn compact(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.splitn(4, '.').collect();
        let [header, payload, signature] = parts[..] else {
            return Err(wrong("is not a JWS: it does not have three parts"));
        };
        Self::new(header, payload, signature, None)
    }

    /// RFC 7515 §7.2: the flattened form, and the general one with a single signature.
    fn json(object: &Map<String, Value>) -> Result<Self> {
        let payload = text(object, "payload")?;
        let signed = match object.get("signatures") {
            None => object,
            Some(Value::Array(all)) if !object.contains_key("signature") => match &all[..] {
                [Value::Object(one)] => one,
                _ => {
                    return Err(wrong(format!(
                        "is a list with {} signatures: it must have one",
                        all.len()
                    )));
                }
            },
            Some(_) => {
                return Err(wrong("is a list with signatures that can't be told apart"));
            }
        };
        let unprotected = match signed.get("header") {
            None => None,
            Some(Value::Object(header)) => Some(header),
            Some(_) => return Err(wrong("is a list whose header is not an object")),
        };
        Self::new(text(signed, "protected")?, payload, text(signed, "signature")?, unprotected)
    }

    fn new(
        protected: &str,
        payload: &str,
        signature: &str,
        unprotected: Option<&Map<String, Value>>,
    ) -> Result<Self> {
        let octets = decode(protected, Code::CertProcessing, "list's header")?;
        let mut header = json::object(&octets, Code::CertProcessing, "list's header")?;
        // Only what is signed says how it is signed.
        if header.get("alg").and_then(Value::as_str) != Some(ALG) {
            return Err(wrong("is a list whose alg is not ES256"));
        }
        for (name, value) in unprotected.into_iter().flatten() {
            if header.insert(name.clone(), value.clone()).is_some() {
                return Err(wrong(format!("is a list whose header has {name:?} twice")));
            }
        }
        if let Some(name) = ["crit", "b64"].iter().find(|name| header.contains_key(**name)) {
            return Err(wrong(format!(
                "is a list whose header has {name}, which is not supported"
            )));
        }
        let octets = decode(signature, Code::CertProcessing, "list's signature")?;
        let signature = octets.as_slice().try_into().map_err(|_| {
            wrong(format!("is a list with a signature of {} bytes, not 64", octets.len()))
        })?;
        Ok(Self {
            signed: format!("{protected}.{payload}"),
            payload: payload.to_owned(),
            signature,
            header,
        })
    }

    /// The signer's certificate and its chain, if they are in the header (RFC 7515 §4.1.6).
    fn x5c(&self) -> Result<Vec<Certificate>> {
        let entries = match self.header.get("x5c") {
            None => return Ok(Vec::new()),
            Some(Value::Array(entries)) if entries.len() <= MAX_CHAIN_CERTIFICATES => entries,
            Some(_) => {
                return Err(wrong(format!(
                    "is a list whose x5c is not an array of {MAX_CHAIN_CERTIFICATES} at most"
                )));
            }
        };
        let certificate = |entry: &Value| {
            let der = entry.as_str().and_then(|text| BASE64.decode(text).ok());
            Certificate::from_der(&der.ok_or_else(|| wrong("is a list whose x5c is not base64"))?)
                .map_err(|e| wrong(format!("is a list whose x5c makes no sense: {}", e.message())))
        };
        entries.iter().map(certificate).collect()
    }
}

/// The certificates of a payload. What is signed as a list of intermediates is not one of anchors:
/// who can swap two of an administrator's files must not make anchors of intermediates.
fn entries(payload: &Map<String, Value>, what: Use) -> Result<&Vec<Value>> {
    match (payload.get("trustList"), payload.get("certList"), what) {
        (Some(Value::Array(entries)), None, _) => Ok(entries),
        (None, Some(Value::Array(entries)), Use::Intermediates) => Ok(entries),
        (None, Some(Value::Array(_)), Use::Anchors) => Err(wrong(
            "is a list of intermediates (certList), not of trust anchors: name it in trust_intermediates",
        )),
        _ => Err(wrong("is a list without one trustList or certList that is an array")),
    }
}

/// An entry: PEM, or base64 of the DER.
fn entry_certificates(text: &str) -> Result<Vec<Certificate>> {
    if text.contains("-----BEGIN") {
        return cert::all_from_pem(text.as_bytes(), MAX_CA_CERTIFICATES);
    }
    let text: String = text.split_ascii_whitespace().collect();
    let der = BASE64.decode(text).map_err(|e| wrong(format!("neither PEM nor base64: {e}")))?;
    Ok(vec![Certificate::from_der(&der)?])
}

fn exp(payload: &Map<String, Value>) -> Result<Option<i64>> {
    let Some(exp) = payload.get("exp") else { return Ok(None) };
    exp.as_i64().map(Some).ok_or_else(|| wrong("is a list whose exp is not an integer"))
}

/// A number; some write it as text.
fn sequence(payload: &Map<String, Value>) -> Result<Option<u64>> {
    let Some(value) = payload.get("sequence") else { return Ok(None) };
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.map(Some).ok_or_else(|| wrong("is a list whose sequence is not a number from 0 on"))
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a str> {
    object
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| wrong(format!("is JSON, but not a signed list: it has no text {name:?}")))
}

fn wrong(why: impl Into<String>) -> Error {
    Error::new(Code::CertProcessing, why)
}
