//! X.509 certificates (RFC 5280 §4) and the chains they come in (RFC 8226, ATIS-1000074).
//!
//! A [`Certificate`] is what was sent, octet for octet, and where its parts lie. Nothing here says
//! that it is to be trusted: that is [`Trust`](crate::trust::Trust).

use crate::asn1::{self, Cursor, Extension, Span};
use crate::error::{Code, Error, Result};
use crate::name::{self, Folded};
use crate::pem;
use der::asn1::ObjectIdentifier;
use der::{Decode, Tag};
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
use x509_cert::name::Name;

/// Largest certificate, in octets: one of the field is 1 KiB, an RSA root 2 KiB.
pub const MAX_CERTIFICATE_LEN: usize = 16 * 1024;
/// Most certificates in a PEM text that a signer sent: a chain has three or four.
pub const MAX_CHAIN_CERTIFICATES: usize = 10;
/// Largest PEM text that a signer sent, in octets: one of the field has 3 KiB, at most 8.
pub const MAX_CHAIN_LEN: usize = 64 * 1024;

const ID_EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// Attributes of names (RFC 5280 Appendix A).
pub(crate) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
pub(crate) const COUNTRY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.6");
pub(crate) const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");

/// One X.509 certificate (RFC 5280 §4.1) of version 1, 2 or 3.
#[derive(Clone)]
pub struct Certificate {
    der: Vec<u8>,
    parts: Parts,
}

/// Where the parts lie, and what is compared often. Certificates are kept by the thousand: what is
/// asked for seldom is read again from their DER.
#[derive(Clone)]
struct Parts {
    version: u8,
    signed: Span,
    serial: Span,
    signed_algorithm: Span,
    signature_algorithm: Span,
    signature: Span,
    issuer: Span,
    subject: Span,
    not_before: i64,
    not_after: i64,
    key_algorithm: Span,
    key: Span,
    issuer_name: Folded,
    subject_name: Folded,
    /// The content of Extensions; empty where there are none.
    extensions: Span,
}

impl Certificate {
    /// Reads the DER of one certificate, with nothing after it.
    ///
    /// # Errors
    /// [`Code::CertInvalid`] if it is not DER, not a certificate, larger than
    /// [`MAX_CERTIFICATE_LEN`], has an extension twice, or names two signature algorithms.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        if der.len() > MAX_CERTIFICATE_LEN {
            return Err(Error::new(
                Code::CertInvalid,
                format!(
                    "the certificate has {} octets: more than {MAX_CERTIFICATE_LEN} are too many",
                    der.len()
                ),
            ));
        }
        let parts = Parts::read(der).map_err(|e| {
            Error::new(Code::CertInvalid, format!("the certificate makes no sense: {e}"))
        })?;
        let certificate = Self { der: der.to_vec(), parts };
        // RFC 5280 §4.1.1.2: the algorithm that is signed is the one that is named outside.
        if certificate.part(&certificate.parts.signed_algorithm)
            != certificate.signature_algorithm()
        {
            return Err(Error::new(
                Code::CertInvalid,
                format!(
                    "the certificate of \"{}\" names another signature algorithm inside than outside",
                    certificate.subject()
                ),
            ));
        }
        Ok(certificate)
    }

    /// The whole certificate.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Start of validity, in Unix seconds (RFC 5280 §4.1.2.5).
    pub const fn not_before(&self) -> i64 {
        self.parts.not_before
    }

    /// End of validity, in Unix seconds; this second is still part of it.
    pub const fn not_after(&self) -> i64 {
        self.parts.not_after
    }

    /// The subject in the form of RFC 4514.
    pub fn subject(&self) -> String {
        name::text(self.part(&self.parts.subject))
    }

    /// The issuer in the form of RFC 4514.
    pub fn issuer(&self) -> String {
        name::text(self.part(&self.parts.issuer))
    }

    /// The serial number in hexadecimal, as OpenSSL writes it: upper case, whole octets.
    pub fn serial(&self) -> String {
        hex(self.serial_octets())
    }

    /// The public key's point on P-256, uncompressed: 65 octets (SEC1 §2.3.3). SHAKEN knows no
    /// other key (RFC 8225 §7).
    ///
    /// # Errors
    /// [`Code::CertNotEc`] for a key of another kind or curve, which the message names;
    /// [`Code::CertInvalid`] for a compressed point.
    pub fn public_key_sec1(&self) -> Result<&[u8]> {
        let mut found = "a key of an unknown kind".to_owned();
        if let Ok((algorithm, curve)) = self.key_algorithm_oids() {
            if algorithm == ID_EC_PUBLIC_KEY && curve == Some(P256) {
                let point = self.key_octets();
                if point.len() == 65 && point.first() == Some(&4) {
                    return Ok(point);
                }
                return Err(Error::new(
                    Code::CertInvalid,
                    format!(
                        "the key of \"{}\" is no uncompressed point of 65 octets, which RFC 5480 asks for: make the certificate again",
                        self.subject()
                    ),
                ));
            }
            found = key_name(algorithm, curve);
        }
        Err(Error::new(
            Code::CertNotEc,
            format!(
                "the key of \"{}\" is {found}: SHAKEN needs one on P-256 (prime256v1)",
                self.subject()
            ),
        ))
    }

    /// The extension of this type (RFC 5280 §4.2): whether it is critical, and its DER value.
    pub fn extension(&self, oid: ObjectIdentifier) -> Option<(bool, &[u8])> {
        let found = self.extensions().find(|extension| extension.oid == oid)?;
        Some((found.critical, found.value))
    }

    /// The types of the extensions that are critical.
    pub(crate) fn critical_extensions(&self) -> impl Iterator<Item = ObjectIdentifier> + '_ {
        self.extensions().filter(|e| e.critical).map(|e| e.oid)
    }

    fn extensions(&self) -> impl Iterator<Item = Extension<'_>> {
        // They could be read when the certificate was.
        asn1::extensions(self.part(&self.parts.extensions)).unwrap_or_default().into_iter()
    }

    /// The version as people count: 1, 2 or 3.
    pub(crate) const fn version(&self) -> u8 {
        self.parts.version
    }

    /// The octets that are signed (TBSCertificate).
    pub(crate) fn signed(&self) -> &[u8] {
        self.part(&self.parts.signed)
    }

    /// The content of signatureAlgorithm (RFC 5280 §4.1.1.2), DER: an OID, and its parameters.
    pub fn signature_algorithm(&self) -> &[u8] {
        self.part(&self.parts.signature_algorithm)
    }

    pub(crate) fn signature(&self) -> &[u8] {
        self.part(&self.parts.signature)
    }

    /// The content of the public key's AlgorithmIdentifier.
    pub(crate) fn key_algorithm(&self) -> &[u8] {
        self.part(&self.parts.key_algorithm)
    }

    pub(crate) fn key_octets(&self) -> &[u8] {
        self.part(&self.parts.key)
    }

    /// The serial number's content octets.
    pub(crate) fn serial_octets(&self) -> &[u8] {
        self.part(&self.parts.serial)
    }

    pub(crate) const fn subject_name(&self) -> Folded {
        self.parts.subject_name
    }

    pub(crate) const fn issuer_name(&self) -> Folded {
        self.parts.issuer_name
    }

    /// RFC 5280 §4.2.1.9; `None` where the extension is missing.
    pub(crate) fn basic_constraints(&self) -> Result<Option<BasicConstraints>, der::Error> {
        self.extension(BASIC_CONSTRAINTS)
            .map(|(_, value)| BasicConstraints::from_der(value))
            .transpose()
    }

    /// RFC 5280 §4.2.1.3; `None` where the extension is missing.
    pub(crate) fn key_usage(&self) -> Result<Option<KeyUsage>, der::Error> {
        self.extension(KEY_USAGE).map(|(_, value)| KeyUsage::from_der(value)).transpose()
    }

    /// The value of the subject's attribute of this type, the last one if there are several.
    pub(crate) fn attribute(&self, oid: ObjectIdentifier) -> Option<String> {
        let name = Name::from_der(self.part(&self.parts.subject)).ok()?;
        let attributes = name.iter_rdn().flat_map(|rdn| rdn.iter());
        let found = attributes.filter(|attribute| attribute.oid == oid).last()?;
        Some(String::from_utf8_lossy(found.value.value()).into_owned())
    }

    fn key_algorithm_oids(&self) -> der::Result<(ObjectIdentifier, Option<ObjectIdentifier>)> {
        let mut cursor = Cursor::new(self.key_algorithm())?;
        let algorithm = oid(cursor.expect(Tag::ObjectIdentifier)?.value)?;
        let curve = cursor.optional(Tag::ObjectIdentifier)?.map(|e| oid(e.value)).transpose()?;
        Ok((algorithm, curve))
    }

    /// What the key is, for messages: "an EC key on P-256".
    pub fn key_kind(&self) -> String {
        self.key_algorithm_oids()
            .map_or_else(|_| "of an unknown kind".into(), |(a, c)| key_name(a, c))
    }

    fn part(&self, span: &Span) -> &[u8] {
        self.der.get(span.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, serial {})", self.subject(), self.serial())
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

impl Parts {
    fn read(der: &[u8]) -> der::Result<Self> {
        let mut text = Cursor::new(der)?;
        let certificate = text.expect(Tag::Sequence)?;
        text.finish()?;
        let mut outer = Cursor::inside(&certificate)?;
        let signed = outer.expect(Tag::Sequence)?;
        let signature_algorithm = outer.expect(Tag::Sequence)?.content;
        let signature = asn1::bits(&outer.expect(Tag::BitString)?)?;
        outer.finish()?;

        let mut tbs = Cursor::inside(&signed)?;
        let version = match tbs.optional(asn1::context(0))? {
            None => 1,
            Some(version) => match Cursor::inside(&version)?.expect(Tag::Integer)?.value {
                [number @ 0..=2] => number + 1,
                _ => return Err(Tag::Integer.value_error().into()),
            },
        };
        let serial = tbs.expect(Tag::Integer)?.content;
        let signed_algorithm = tbs.expect(Tag::Sequence)?.content;
        let issuer = tbs.expect(Tag::Sequence)?;
        let mut validity = Cursor::inside(&tbs.expect(Tag::Sequence)?)?;
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        validity.finish()?;
        let subject = tbs.expect(Tag::Sequence)?;
        let mut spki = Cursor::inside(&tbs.expect(Tag::Sequence)?)?;
        let key_algorithm = spki.expect(Tag::Sequence)?.content;
        let key = asn1::bits(&spki.expect(Tag::BitString)?)?;
        spki.finish()?;
        // issuerUniqueID and subjectUniqueID: not used (RFC 5280 §4.1.2.8).
        tbs.optional(asn1::context_primitive(1))?;
        tbs.optional(asn1::context_primitive(2))?;
        let extensions = match tbs.optional(asn1::context(3))? {
            None => 0..0,
            Some(tagged) => {
                let mut tagged = Cursor::inside(&tagged)?;
                let list = tagged.expect(Tag::Sequence)?;
                tagged.finish()?;
                asn1::extensions(list.value)?;
                list.content
            }
        };
        tbs.finish()?;
        Ok(Self {
            version,
            signed: signed.whole,
            serial,
            signed_algorithm,
            signature_algorithm,
            signature,
            issuer_name: Folded::read(der.get(issuer.whole.clone()).unwrap_or_default())?,
            subject_name: Folded::read(der.get(subject.whole.clone()).unwrap_or_default())?,
            issuer: issuer.whole,
            subject: subject.whole,
            not_before,
            not_after,
            key_algorithm,
            key,
            extensions,
        })
    }
}

fn oid(value: &[u8]) -> der::Result<ObjectIdentifier> {
    ObjectIdentifier::from_bytes(value).map_err(|_| Tag::ObjectIdentifier.value_error().into())
}

fn key_name(algorithm: ObjectIdentifier, curve: Option<ObjectIdentifier>) -> String {
    match (algorithm.to_string().as_str(), curve.map(|c| c.to_string()).as_deref()) {
        ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7")) => "an EC key on P-256".into(),
        ("1.2.840.10045.2.1", Some("1.3.132.0.34")) => "an EC key on P-384".into(),
        ("1.2.840.10045.2.1", Some("1.3.132.0.35")) => "an EC key on P-521".into(),
        ("1.2.840.10045.2.1", Some("1.3.132.0.10")) => "an EC key on secp256k1".into(),
        ("1.2.840.10045.2.1", curve) => {
            format!("an EC key on curve {}", curve.unwrap_or("unnamed"))
        }
        ("1.2.840.113549.1.1.1", _) => "an RSA key".into(),
        ("1.3.101.112", _) => "an Ed25519 key".into(),
        ("1.3.101.113", _) => "an Ed448 key".into(),
        (other, _) => format!("a key of algorithm {other}"),
    }
}

/// Octets in upper case hexadecimal, less the zero that only says that the number is positive.
pub(crate) fn hex(octets: &[u8]) -> String {
    let octets = match octets {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        // Writing to a String does not fail.
        let _ = write!(text, "{octet:02X}");
        text
    })
}

/// The certificates of one PEM text: the signer's first, intermediates after it in any order.
#[derive(Clone, Debug)]
pub struct Chain {
    leaf: Certificate,
    /// Certificates of one issuer mostly come with the same ones, which are then kept once.
    pub(crate) rest: Arc<[Certificate]>,
}

impl Chain {
    /// Reads a PEM text; blocks of other kinds (a private key in the same file) are passed over.
    ///
    /// # Errors
    /// [`Code::CertFormat`] if it holds no certificate, a broken block, more than
    /// [`MAX_CHAIN_CERTIFICATES`] or more than [`MAX_CHAIN_LEN`] octets; what
    /// [`Certificate::from_der`] says of each.
    pub fn from_pem(text: &[u8]) -> Result<Self> {
        if text.len() > MAX_CHAIN_LEN {
            return Err(Error::new(
                Code::CertFormat,
                format!(
                    "the certificate chain has {} octets: more than {MAX_CHAIN_LEN} are too many",
                    text.len()
                ),
            ));
        }
        let mut certificates = all_from_pem(text, MAX_CHAIN_CERTIFICATES)?.into_iter();
        let Some(leaf) = certificates.next() else {
            return Err(Error::new(
                Code::CertFormat,
                "there is no PEM certificate (-----BEGIN CERTIFICATE-----) in it",
            ));
        };
        Ok(Self { leaf, rest: certificates.collect() })
    }

    /// Of a certificate that came by itself.
    pub(crate) fn alone(leaf: Certificate) -> Self {
        Self { leaf, rest: Arc::default() }
    }

    /// The signer's certificate.
    pub const fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// What followed it.
    pub fn rest(&self) -> &[Certificate] {
        &self.rest
    }
}

/// All certificates of a PEM text, at most `max` of them.
pub(crate) fn all_from_pem(text: &[u8], max: usize) -> Result<Vec<Certificate>> {
    let mut found = Vec::new();
    for block in pem::blocks(text) {
        let (kind, der) = block.map_err(|e| {
            Error::new(Code::CertFormat, format!("the PEM text can't be read: {e}"))
        })?;
        if kind != pem::SectionKind::Certificate {
            continue;
        }
        if found.len() >= max {
            return Err(Error::new(
                Code::CertFormat,
                format!("there are more than {max} certificates in it"),
            ));
        }
        found.push(Certificate::from_der(&der).map_err(|e| {
            Error::new(e.code(), format!("certificate {}: {}", found.len() + 1, e.message()))
        })?);
    }
    Ok(found)
}
