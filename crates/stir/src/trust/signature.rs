//! Signatures of certificates and CRLs, by the algorithms of rustls over aws-lc-rs.

use crate::asn1::Cursor;
use crate::cert::Certificate;
use der::Tag;
use der::asn1::ObjectIdentifier;
use rustls_pki_types::{SignatureVerificationAlgorithm, alg_id};
use webpki::aws_lc_rs as algorithms;

/// What signs certificates in SHAKEN, less SHA-1 and RSA under 2,048 bits: ECDSA, and RSA PKCS #1
/// v1.5.
static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ECDSA_P521_SHA512,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P256_SHA512,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA512,
    algorithms::ECDSA_P521_SHA256,
    algorithms::ECDSA_P521_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
];

/// Something that a certificate's key signed: a certificate or a CRL.
pub(crate) struct Signed<'a> {
    pub(crate) message: &'a [u8],
    /// The content of its signatureAlgorithm.
    pub(crate) algorithm: &'a [u8],
    pub(crate) signature: &'a [u8],
}

/// Whether this certificate's key made this signature; if not, why.
pub(crate) fn check_signature(signed: &Signed<'_>, signer: &Certificate) -> Result<(), String> {
    let oid = signature_oid(signed.algorithm)?;
    let named = |a: &&&dyn SignatureVerificationAlgorithm| {
        signature_oid(&a.signature_alg_id()).is_ok_and(|known| known == oid)
    };
    let mut named = ALGORITHMS.iter().filter(named).peekable();
    if named.peek().is_none() {
        return Err(format!(
            "its signature algorithm ({oid}) is neither ECDSA nor RSA PKCS #1 v1.5 with SHA-256, SHA-384 or SHA-512"
        ));
    }
    let Some(algorithm) = named.find(|a| a.public_key_alg_id().as_ref() == signer.key_algorithm())
    else {
        return Err(format!(
            "its signature algorithm does not fit its issuer's key, which is {}",
            signer.key_kind()
        ));
    };
    algorithm
        .verify_signature(signer.key_octets(), signed.message, signed.signature)
        .map_err(|_| format!("its signature is not that of \"{}\"", signer.subject()))
}

/// The algorithm of a signature, from the content of its AlgorithmIdentifier. Its parameters are
/// absent or NULL: RFC 5758 §3.2 wants none for ECDSA and RFC 4055 §5 NULL for RSA, and CAs of the
/// field write the one as the other.
///
/// # Errors
/// Why it is refused: it can't be read, or has other parameters.
pub fn signature_oid(algorithm: &[u8]) -> Result<ObjectIdentifier, String> {
    let unreadable =
        |e: &dyn std::fmt::Display| format!("its signature algorithm makes no sense: {e}");
    let mut parts = Cursor::new(algorithm).map_err(|e| unreadable(&e))?;
    let oid = parts.expect(Tag::ObjectIdentifier).map_err(|e| unreadable(&e))?.value;
    let oid = ObjectIdentifier::from_bytes(oid).map_err(|e| unreadable(&e))?;
    let null = parts.optional(Tag::Null).map_err(|e| unreadable(&e))?;
    if null.is_some_and(|null| !null.value.is_empty()) || !parts.is_finished() {
        return Err(format!(
            "its signature algorithm ({oid}) has parameters other than NULL, which RFC 5758 and RFC 4055 do not know"
        ));
    }
    Ok(oid)
}

/// What a verification with this key costs, in ES256 verifications, at most: RSA with the largest
/// exponent that the library takes.
pub(super) fn key_cost(signer: &Certificate) -> u32 {
    let algorithm = signer.key_algorithm();
    if algorithm == alg_id::ECDSA_P256.as_ref() {
        1
    } else if algorithm == alg_id::ECDSA_P384.as_ref() {
        4
    } else if algorithm == alg_id::ECDSA_P521.as_ref() {
        7
    } else {
        // RSA: a key of twice the length costs four times as much; those beyond 8,192 bits are refused.
        match signer.key_octets().len() / 256 {
            0 | 1 => 1,
            2 => 4,
            3 => 9,
            _ => 16,
        }
    }
}
