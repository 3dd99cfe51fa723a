//! Signatures of certificates and CRLs, by the algorithms of rustls over aws-lc-rs.

use crate::cert::Certificate;
use der::asn1::ObjectIdentifier;
use rustls_pki_types::SignatureVerificationAlgorithm;
use webpki::aws_lc_rs as algorithms;

/// What signs certificates in SHAKEN, less SHA-1 and RSA under 2,048 bits: ECDSA, and RSA PKCS #1
/// v1.5 with and without the NULL that some CAs leave out.
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
    algorithms::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
    algorithms::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
    algorithms::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
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
    let mut named =
        ALGORITHMS.iter().filter(|a| a.signature_alg_id().as_ref() == signed.algorithm).peekable();
    if named.peek().is_none() {
        return Err(format!(
            "its signature algorithm ({}) is none of ECDSA or RSA PKCS #1 v1.5 with SHA-256, SHA-384 or SHA-512",
            algorithm_name(signed.algorithm)
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

fn algorithm_name(algorithm: &[u8]) -> String {
    use der::{Decode, SliceReader};
    SliceReader::new(algorithm)
        .and_then(|mut reader| <ObjectIdentifier>::decode(&mut reader))
        .map_or_else(|_| "unreadable".into(), |oid| oid.to_string())
}
