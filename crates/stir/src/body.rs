//! What certificate servers send: PEM as it should be, one certificate in DER as some have it
//! (RFC 5280 §4.2.2.1, application/pkix-cert), and what is neither, which is named.

use crate::cert::{Certificate, Chain};
use crate::error::{Code, Error, Result};
use crate::key::Credential;

/// First octet of everything that is DER and could be meant: a SEQUENCE.
const SEQUENCE: u8 = 0x30;
/// signedData (RFC 2315 §14), as it stands near the beginning of PKCS#7.
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// Where it stands at the latest: behind two lengths.
const SIGNED_DATA_BY: usize = 24;
const GZIP: &[u8] = &[0x1f, 0x8b];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Longest Content-Type that a message shows.
const MAX_TYPE: usize = 80;

/// The certificates in a body: PEM, the signer's first, or one in DER.
///
/// # Errors
/// As [`Chain::from_pem`], with what the body seems to be and its Content-Type.
pub fn chain(body: &[u8], content_type: &str) -> Result<Chain> {
    read(body, content_type, Chain::from_pem, Ok)
}

/// The same as a credential; a body may be a public key, too.
pub(crate) fn credential(body: &[u8], content_type: &str) -> Result<Credential> {
    read(body, content_type, Credential::from_pem, Credential::from_chain)
}

fn read<T>(
    body: &[u8],
    content_type: &str,
    pem: fn(&[u8]) -> Result<T>,
    der: fn(Chain) -> Result<T>,
) -> Result<T> {
    let is_der = body.first() == Some(&SEQUENCE) && !is_pkcs7(body);
    let read = if is_der {
        Certificate::from_der(body)
            .map_err(|e| Error::new(Code::CertFormat, e.message()))
            .and_then(|leaf| der(Chain::alone(leaf)))
    } else {
        pem(body)
    };
    read.map_err(|e| {
        let mut message = format!("{}; what came is {}", e.message(), kind(body));
        if !content_type.is_empty() {
            let shown: String = content_type.chars().take(MAX_TYPE).collect();
            message.push_str(&format!(" (Content-Type: {})", shown.escape_debug()));
        }
        Error::new(e.code(), message)
    })
}

/// What a body seems to be, by how it begins.
fn kind(body: &[u8]) -> &'static str {
    let is_in = |part: &[u8]| body.windows(part.len()).any(|window| window == part);
    let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body).trim_ascii_start();
    match (body, text) {
        ([], _) => "an empty body",
        (_, []) => "white space",
        ([0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, 0, _, ..] | [_, 0, _, 0, ..], _) => {
            "UTF-16 text: serve it as ASCII"
        }
        _ if body.starts_with(GZIP) => "gzip data that no Content-Encoding names",
        _ if is_pkcs7(body) => "PKCS#7 in DER: serve its certificates as PEM",
        ([SEQUENCE, ..], _) => "DER",
        _ if is_in(b"-----BEGIN PKCS7-----") || is_in(b"-----BEGIN CMS-----") => {
            "PKCS#7 in PEM: serve its certificates themselves"
        }
        _ if is_in(b"-----BEGIN ") => "PEM",
        (_, [b'<', ..]) => "HTML or XML",
        (_, [b'{' | b'[', ..]) => "JSON",
        _ if std::str::from_utf8(body).is_ok() => "text",
        _ => "binary data",
    }
}

fn is_pkcs7(body: &[u8]) -> bool {
    let head = body.get(..SIGNED_DATA_BY.min(body.len())).unwrap_or_default();
    head.first() == Some(&SEQUENCE) && head.windows(SIGNED_DATA.len()).any(|w| w == SIGNED_DATA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_named() {
        let utf16: Vec<u8> = "-----BEGIN".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let pkcs7 = [&[0x30, 0x82, 1, 0, 6, 9][..], SIGNED_DATA, &[0; 40]].concat();
        for (body, named) in [
            (&b""[..], "an empty body"),
            (b"\r\n ", "white space"),
            (b"\x1f\x8b\x08\x00", "gzip data"),
            (&utf16, "UTF-16"),
            (&[&b"\xff\xfe"[..], &utf16].concat(), "UTF-16"),
            (&pkcs7, "PKCS#7 in DER"),
            (b"-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----\n", "PKCS#7 in PEM"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "PEM"),
            (b"\x30\x03\x02\x01\x01", "DER"),
            (b"\n<!DOCTYPE html>", "HTML or XML"),
            (b"\xef\xbb\xbf{\"error\":1}", "JSON"),
            (b"Not here", "text"),
            (b"\x89PNG\xff", "binary data"),
        ] {
            let content_type = "text/x; a=\"b\"\n";
            let errors = [
                chain(body, content_type).map(drop).unwrap_err(),
                credential(body, content_type).map(drop).unwrap_err(),
            ];
            for error in errors {
                let named = format!("what came is {named}");
                assert!(error.message().contains(&named), "{body:?}: {error}");
                assert!(
                    error.message().ends_with(r#"(Content-Type: text/x; a=\"b\"\n)"#),
                    "{error}"
                );
                assert!(matches!(error.code(), Code::CertFormat | Code::CertInvalid), "{error}");
            }
        }
        let error = chain(b"x", "").unwrap_err();
        assert!(error.message().ends_with("what came is text"), "{error}");
    }
}
