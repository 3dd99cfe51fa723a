//! ES256 keys (RFC 7518 §3.4): read from PEM once, then used many times.

use crate::authority::{ClaimConstraints, TnAuthList};
use crate::cert::{Certificate, Chain};
use crate::error::{Code, Error, Result};
use crate::pem::{self, SectionKind};
use crate::profile::{self, Finding, Policies};
use crate::tables::{KeyTable, KeyTables};
use crate::usage;
use aws_lc_rs::digest::Digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    ParsedPublicKey,
};
use p256::SecretKey;
use p256::elliptic_curve::zeroize::Zeroizing;
use p256::pkcs8::spki::SubjectPublicKeyInfoRef;
use p256::pkcs8::{DecodePrivateKey, ObjectIdentifier, PrivateKeyInfoRef};
use std::fmt::Display;
use std::sync::{Arc, OnceLock};

/// Octets of an ES256 signature: R and S of 32 each, never DER.
pub const SIGNATURE_LEN: usize = 64;

/// A private P-256 key that signs.
#[derive(Debug)]
pub struct SigningKey(EcdsaKeyPair);

impl SigningKey {
    /// Reads the first private key of a PEM text: SEC1 (`EC PRIVATE KEY`) or PKCS#8
    /// (`PRIVATE KEY`). Other blocks (EC PARAMETERS, a certificate) are passed over.
    ///
    /// # Errors
    /// [`Code::KeyFormat`] if there is no PEM, or the key is not P-256; [`Code::KeyInvalid`] if the
    /// PEM is of another kind, or its DER makes no sense. Nothing of the key is in the message.
    pub fn from_pem(text: &[u8]) -> Result<Self> {
        let mut others = Vec::new();
        for (kind, der) in blocks(text) {
            let der = Zeroizing::new(der);
            match kind {
                SectionKind::EcPrivateKey => return Self::from_der(&der, wrong_sec1),
                SectionKind::PrivateKey => return Self::from_der(&der, wrong_pkcs8),
                SectionKind::RsaPrivateKey => {
                    return Err(Error::new(
                        Code::KeyFormat,
                        "the private key is RSA: ES256 needs an EC key on P-256",
                    ));
                }
                other => others.push(name(other)),
            }
        }
        let hint = if contains(text, b"ENCRYPTED") {
            "; an encrypted key can't be used: decrypt it (openssl pkey)"
        } else {
            ""
        };
        let code = if others.is_empty() { Code::KeyFormat } else { Code::KeyInvalid };
        Err(Error::new(
            code,
            format!(
                "there is no PEM private key (EC PRIVATE KEY or PRIVATE KEY) in it, {}{hint}",
                found(&others)
            ),
        ))
    }

    /// The library checks that the public half, where the text has it, belongs to the private one.
    fn from_der(der: &[u8], wrong: fn(&[u8]) -> Option<Error>) -> Result<Self> {
        EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Self).map_err(
            |e| {
                wrong(der).unwrap_or_else(|| {
                    Error::new(Code::KeyInvalid, format!("the private key can't be used: {e}"))
                })
            },
        )
    }

    /// The public half.
    ///
    /// # Errors
    /// [`Code::KeyInvalid`] if the library refuses it.
    pub fn verifying_key(&self) -> Result<VerifyingKey> {
        VerifyingKey::from_point(self.public_point())
            .map_err(|e| Error::new(Code::KeyInvalid, e.message()))
    }

    /// The public half as an uncompressed point, as certificates have it.
    pub(crate) fn public_point(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// Signs; the nonce comes from the library's generator, which notices a fork.
    ///
    /// # Errors
    /// [`Code::SignatureFailure`] if the library refuses.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_LEN]> {
        self.0
            .sign(&SystemRandom::new(), message)
            .ok()
            .and_then(|signature| signature.as_ref().try_into().ok())
            .ok_or_else(|| {
                Error::new(Code::SignatureFailure, "signing failed in the cryptography library")
            })
    }
}

/// What is wrong with the DER of an `EC PRIVATE KEY`.
fn wrong_sec1(der: &[u8]) -> Option<Error> {
    let e = SecretKey::from_sec1_der(der).err()?;
    // A named curve that is not P-256 is the likeliest reason.
    Some(if contains(der, &[0xa0]) && !contains(der, P256_OID_DER) {
        not_p256()
    } else {
        Error::new(Code::KeyInvalid, format!("the EC PRIVATE KEY makes no sense: {e}"))
    })
}

/// What is wrong with the DER of a `PRIVATE KEY`.
fn wrong_pkcs8(der: &[u8]) -> Option<Error> {
    let senseless = |e: &dyn Display| {
        Error::new(Code::KeyInvalid, format!("the PRIVATE KEY makes no sense: {e}"))
    };
    let info = match PrivateKeyInfoRef::try_from(der) {
        Ok(info) => info,
        Err(e) => return Some(senseless(&e)),
    };
    if info.algorithm.oid != ID_EC_PUBLIC_KEY
        || info.algorithm.parameters_oid().ok() != Some(P256_OID)
    {
        return Some(not_p256());
    }
    SecretKey::from_pkcs8_der(der).err().map(|e| senseless(&e))
}

fn not_p256() -> Error {
    Error::new(Code::KeyFormat, "the private key is not on P-256 (prime256v1), which ES256 needs")
}

const ID_EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P256_OID_DER: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// A public P-256 key that verifies.
#[derive(Debug)]
pub struct VerifyingKey(ParsedPublicKey);

impl VerifyingKey {
    /// From an uncompressed point (65 octets, SEC1 §2.3.3).
    ///
    /// # Errors
    /// [`Code::CertInvalid`] if it is not on the curve.
    pub fn from_point(point: &[u8]) -> Result<Self> {
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map(Self).map_err(|e| {
            Error::new(Code::CertInvalid, format!("the public key is no point on P-256: {e}"))
        })
    }

    /// From a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
    ///
    /// # Errors
    /// [`Code::CertInvalid`] if it is not DER, [`Code::CertNotEc`] for another kind of key.
    pub fn from_spki(der: &[u8]) -> Result<Self> {
        let spki = SubjectPublicKeyInfoRef::try_from(der).map_err(|e| {
            Error::new(Code::CertInvalid, format!("the PUBLIC KEY makes no sense: {e}"))
        })?;
        if spki.algorithm.oid != ID_EC_PUBLIC_KEY
            || spki.algorithm.parameters_oid().ok() != Some(P256_OID)
        {
            return Err(Error::new(
                Code::CertNotEc,
                format!(
                    "the public key ({}) is not on P-256 (prime256v1), which ES256 needs",
                    spki.algorithm.oid
                ),
            ));
        }
        Self::from_point(spki.subject_public_key.raw_bytes())
    }

    /// Whether this is the signature of this message; `signature` is 64 octets, R‖S.
    pub fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }

    /// The same of a message's digest.
    pub(crate) fn verify_digest(&self, digest: &Digest, signature: &[u8; SIGNATURE_LEN]) -> bool {
        self.0.verify_digest_sig(digest, signature).is_ok()
    }

    /// The key as it was read, as a rule an uncompressed point.
    pub(crate) fn point(&self) -> &[u8] {
        self.0.as_ref()
    }
}

/// What verifies a token: a key, with the certificates it came in.
#[derive(Debug)]
pub struct Credential {
    /// The key.
    pub key: VerifyingKey,
    /// The signer's certificate and what followed it; `None` for a bare public key.
    pub chain: Option<Chain>,
    /// What the certificate says of whom it may sign for, read once.
    facts: OnceLock<Result<Facts>>,
    /// Whether it was said what the certificate breaks.
    warned: OnceLock<()>,
    /// Multiples of the key, for one that signs calls.
    table: Arc<KeyTable>,
}

/// What a signer's certificate says beside its key.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Whether it is one that signs calls.
    pub(crate) usage: Result<()>,
    /// Its TNAuthList.
    pub(crate) list: Result<TnAuthList>,
    /// What it lets tokens say.
    pub(crate) constraints: Vec<ClaimConstraints>,
    /// The rules of ATIS-1000080 that it breaks.
    pub(crate) findings: Vec<Finding>,
}

impl Facts {
    fn of(certificate: &Certificate, policies: &Policies) -> Result<Self> {
        let list = TnAuthList::of(certificate).and_then(|list| {
            list.ok_or_else(|| {
                Error::new(
                    Code::CertAuthority,
                    format!(
                        "the certificate of \"{}\" has no TNAuthList (RFC 8226 §9), so it signs for no number",
                        certificate.subject()
                    ),
                )
            })
        });
        Ok(Self {
            usage: usage::check(certificate),
            list,
            constraints: ClaimConstraints::of(certificate)?,
            findings: profile::check(certificate, policies),
        })
    }
}

impl Credential {
    fn new(key: VerifyingKey, chain: Option<Chain>) -> Self {
        Self { key, chain, facts: OnceLock::new(), warned: OnceLock::new(), table: Arc::default() }
    }

    /// Whether this is the key's signature of the message. The trust anchors must have vouched for the
    /// certificate, where chains are checked.
    pub(crate) fn verify(
        &self,
        message: &[u8],
        signature: &[u8; SIGNATURE_LEN],
        tables: &KeyTables,
    ) -> bool {
        tables.verify(&self.table, &self.key, message, signature)
    }

    /// Of a certificate and what followed it.
    ///
    /// # Errors
    /// As [`Certificate::public_key_sec1`].
    pub(crate) fn from_chain(chain: Chain) -> Result<Self> {
        let leaf = chain.leaf();
        let point = leaf.public_key_sec1().map_err(|e| match usage::ca_first(leaf) {
            Some(order) => Error::new(e.code(), format!("{}; {order}", e.message())),
            None => e,
        })?;
        Ok(Self::new(VerifyingKey::from_point(point)?, Some(chain)))
    }

    /// What the certificate says, read at the first call.
    ///
    /// # Errors
    /// [`Code::CertFormat`] for a bare public key, [`Code::CertConstraints`] for claim constraints
    /// that can't be read.
    pub(crate) fn facts(&self, policies: &Policies) -> Result<&Facts> {
        let read = || match &self.chain {
            Some(chain) => Facts::of(chain.leaf(), policies),
            None => Err(Error::new(
                Code::CertFormat,
                "a bare public key says nothing of whom it may sign for: give a certificate",
            )),
        };
        self.facts.get_or_init(read).as_ref().map_err(Error::clone)
    }

    /// Says once which rules of ATIS-1000080 the certificate breaks.
    pub(crate) fn warn_of_findings(&self, facts: &Facts, x5u: &str) {
        if !facts.findings.is_empty() && self.warned.set(()).is_ok() {
            let rules: Vec<String> = facts.findings.iter().map(ToString::to_string).collect();
            log::warn!(
                "the certificate of {x5u} breaks ATIS-1000080 (cert_profile): {}",
                rules.join("; ")
            );
        }
    }

    /// Reads a PEM text: a certificate (the signer's first, intermediates may follow), or a
    /// `PUBLIC KEY`. Private keys beside them are passed over.
    ///
    /// # Errors
    /// [`Code::CertFormat`] if there is no PEM, [`Code::CertInvalid`] if it is of another kind; the
    /// codes of what is wrong with it.
    pub fn from_pem(text: &[u8]) -> Result<Self> {
        let mut others = Vec::new();
        for (kind, der) in blocks(text) {
            match kind {
                SectionKind::Certificate => {
                    return Self::from_chain(Chain::from_pem(text)?);
                }
                SectionKind::PublicKey => {
                    return Ok(Self::new(VerifyingKey::from_spki(&der)?, None));
                }
                other => others.push(name(other)),
            }
        }
        let code = if others.is_empty() { Code::CertFormat } else { Code::CertInvalid };
        Err(Error::new(
            code,
            format!("there is no PEM certificate or public key in it, {}", found(&others)),
        ))
    }
}

/// The PEM blocks of a text that can be read.
fn blocks(text: &[u8]) -> impl Iterator<Item = (SectionKind, Vec<u8>)> {
    pem::blocks(text).map_while(std::result::Result::ok)
}

fn found(kinds: &[&str]) -> String {
    if kinds.is_empty() {
        "nor any other PEM block".into()
    } else {
        format!("only {}", kinds.join(", "))
    }
}

fn name(kind: SectionKind) -> &'static str {
    match kind {
        SectionKind::Certificate => "CERTIFICATE",
        SectionKind::PublicKey => "PUBLIC KEY",
        SectionKind::PrivateKey => "PRIVATE KEY",
        SectionKind::EcPrivateKey => "EC PRIVATE KEY",
        SectionKind::RsaPrivateKey => "RSA PRIVATE KEY",
        SectionKind::Crl => "X509 CRL",
        SectionKind::Csr => "CERTIFICATE REQUEST",
        _ => "a block of another kind",
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
