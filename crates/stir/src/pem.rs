//! PEM (RFC 7468), as operators and servers have it.

use rustls_pki_types::pem::{Error, PemObject};

pub(crate) use rustls_pki_types::pem::SectionKind;

/// What some editors put before a text: no line begins with it.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The blocks of a text: what they are, and their DER; or why no more can be read.
pub(crate) fn blocks(text: &[u8]) -> impl Iterator<Item = Result<(SectionKind, Vec<u8>), String>> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    <(SectionKind, Vec<u8>)>::pem_slice_iter(text).map(|block| {
        block.map_err(|e| match e {
            Error::MissingSectionEnd { .. } => "a block of it has no -----END line".to_owned(),
            Error::IllegalSectionStart { .. } => "a -----BEGIN line of it has no end".to_owned(),
            e => e.to_string(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_what_is_wrong_with_them() {
        let block = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for text in [block.to_owned(), format!("\u{feff}{block}"), block.replace('\n', "\r\n")] {
            let found: Vec<_> = blocks(text.as_bytes()).collect();
            assert_eq!(found, [Ok((SectionKind::Certificate, vec![0; 3]))], "{text:?}");
        }
        for (text, why) in [(&block[..40], "no -----END line"), (&block[..15], "has no end")] {
            let error = blocks(text.as_bytes()).next().unwrap().unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }
}
