//! A certification authority for tests. It writes DER octet by octet, because most of what it is
//! asked for is what no library lets one make: wrong versions, flags, names, dates, signatures.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part of it")]

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA384_ASN1_SIGNING,
    ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine;
use der::DateTime;
use der::asn1::ObjectIdentifier;
use stir::Clock;

/// The time at which tests judge: 2027-01-15.
pub const NOW: i64 = 1_800_000_000;
pub const DAY: i64 = 86_400;

/// A clock that stands still.
pub struct At(pub i64);

impl Clock for At {
    fn now(&self) -> i64 {
        self.0
    }
}

// Tags.
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const IA5: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// A DER element.
pub fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        n @ 0..=127 => out.push(n as u8),
        n @ 128..=255 => out.extend([0x81, n as u8]),
        n @ 256..=65_535 => out.extend([0x82, (n >> 8) as u8, n as u8]),
        n => out.extend([0x83, (n >> 16) as u8, (n >> 8) as u8, n as u8]),
    }
    out.extend(content);
    out
}

pub fn seq(parts: &[&[u8]]) -> Vec<u8> {
    tlv(SEQUENCE, parts)
}

pub fn oid(text: &str) -> Vec<u8> {
    tlv(0x06, &[ObjectIdentifier::new(text).unwrap().as_bytes()])
}

fn date(seconds: i64) -> DateTime {
    DateTime::from_unix_duration(std::time::Duration::from_secs(seconds.try_into().unwrap()))
        .unwrap()
}

pub fn time(seconds: i64) -> Vec<u8> {
    let d = date(seconds);
    let rest = format!(
        "{:02}{:02}{:02}{:02}{:02}Z",
        d.month(),
        d.day(),
        d.hour(),
        d.minutes(),
        d.seconds()
    );
    if d.year() < 2050 {
        tlv(UTC_TIME, &[format!("{:02}{rest}", d.year() % 100).as_bytes()])
    } else {
        tlv(GENERALIZED_TIME, &[format!("{}{rest}", d.year()).as_bytes()])
    }
}

/// A GeneralizedTime where RFC 5280 §4.1.2.5 asks for a UTCTime.
pub fn generalized(seconds: i64) -> Vec<u8> {
    let utc = time(seconds);
    tlv(GENERALIZED_TIME, &[b"20", &utc[2..]])
}

/// A name: "CN=x" with `,` between attributes; CN, O and C are known.
pub fn name(text: &str) -> Vec<u8> {
    name_as(UTF8, text)
}

pub fn printable_name(text: &str) -> Vec<u8> {
    name_as(PRINTABLE, text)
}

fn name_as(tag: u8, text: &str) -> Vec<u8> {
    let rdns: Vec<u8> = text
        .split(',')
        .flat_map(|attribute| {
            let (kind, value) = attribute.split_once('=').unwrap();
            let kind = match kind {
                "CN" => "2.5.4.3",
                "O" => "2.5.4.10",
                "OU" => "2.5.4.11",
                "C" => "2.5.4.6",
                other => panic!("{other}"),
            };
            tlv(SET, &[&seq(&[&oid(kind), &tlv(tag, &[value.as_bytes()])])])
        })
        .collect();
    seq(&[&rdns])
}

pub enum Key {
    P256(EcdsaKeyPair),
    /// P-521 that signs with SHA-384.
    P521Sha384(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    P521(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    pub fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }
    pub fn p521_sha384() -> Self {
        Self::P521Sha384(EcdsaKeyPair::generate(&ECDSA_P521_SHA384_ASN1_SIGNING).unwrap())
    }
    pub fn p384() -> Self {
        Self::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap())
    }
    pub fn p521() -> Self {
        Self::P521(EcdsaKeyPair::generate(&ECDSA_P521_SHA512_ASN1_SIGNING).unwrap())
    }
    pub fn rsa() -> Self {
        Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }
    pub fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub fn spki(&self) -> Vec<u8> {
        match self {
            Self::P256(k) | Self::P521Sha384(k) | Self::P384(k) | Self::P521(k) => {
                k.public_key().as_der().unwrap().as_ref().to_vec()
            }
            Self::Rsa(k) => k.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Ed25519(k) => k.public_key().as_der().unwrap().as_ref().to_vec(),
        }
    }

    /// A P-256 key as a file holds it.
    pub fn pkcs8_pem(&self) -> String {
        let Self::P256(key) = self else { panic!("no P-256 key") };
        pem("PRIVATE KEY", &[key.to_pkcs8v1().unwrap().as_ref().to_vec()])
    }

    /// An identifier (RFC 5280 §4.2.1.2, RFC 7093 §2).
    fn id(&self) -> Vec<u8> {
        digest(&SHA256, &self.spki()).as_ref()[..20].to_vec()
    }

    /// The AlgorithmIdentifier of what [`sign`](Self::sign) makes.
    pub fn algorithm(&self) -> Vec<u8> {
        match self {
            Self::P256(_) => seq(&[&oid("1.2.840.10045.4.3.2")]),
            Self::P521Sha384(_) | Self::P384(_) => seq(&[&oid("1.2.840.10045.4.3.3")]),
            Self::P521(_) => seq(&[&oid("1.2.840.10045.4.3.4")]),
            Self::Rsa(_) => seq(&[&oid("1.2.840.113549.1.1.11"), &[5, 0]]),
            Self::Ed25519(_) => seq(&[&oid("1.3.101.112")]),
        }
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::P256(k) | Self::P521Sha384(k) | Self::P384(k) | Self::P521(k) => {
                k.sign(&random, message).unwrap().as_ref().to_vec()
            }
            Self::Rsa(k) => {
                let mut signature = vec![0; k.public_modulus_len()];
                k.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ed25519(k) => k.sign(message).as_ref().to_vec(),
        }
    }
}

/// Signs what was built: a certificate or a CRL.
pub fn signed(tbs: &[u8], algorithm: &[u8], key: &Key) -> Vec<u8> {
    seq(&[tbs, algorithm, &tlv(BIT_STRING, &[&[0], &key.sign(tbs)])])
}

/// ecdsa-with-SHA256 with parameters, which it has none of (RFC 5758 §3.2).
pub fn ecdsa_with(parameters: &[u8]) -> Vec<u8> {
    seq(&[&oid("1.2.840.10045.4.3.2"), parameters])
}

/// DER's NULL.
pub const NULL: &[u8] = &[5, 0];

/// An extension.
pub fn extension(id: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let flag = if critical { tlv(BOOLEAN, &[&[0xff]]) } else { Vec::new() };
    seq(&[&oid(id), &flag, &tlv(OCTET_STRING, &[value])])
}

pub fn basic_constraints(ca: bool, longest: Option<u8>) -> Vec<u8> {
    let flag = if ca { tlv(BOOLEAN, &[&[0xff]]) } else { Vec::new() };
    let longest = longest.map(|n| tlv(INTEGER, &[&[n]])).unwrap_or_default();
    extension("2.5.29.19", true, &seq(&[&flag, &longest]))
}

/// keyUsage with these bits, counted from digitalSignature (0); keyCertSign is 5, cRLSign 6.
pub fn key_usage(bits: &[u8]) -> Vec<u8> {
    let octet = bits.iter().fold(0_u8, |octet, bit| octet | 0x80 >> bit);
    let unused = octet.trailing_zeros() as u8;
    extension("2.5.29.15", true, &tlv(BIT_STRING, &[&[unused], &[octet]]))
}

/// certificatePolicies with the US policy of ATIS-1000080.
pub fn policies(critical: bool) -> Vec<u8> {
    extension("2.5.29.32", critical, &seq(&[&seq(&[&oid("2.16.840.1.114569.1.1.4")])]))
}

/// cRLDistributionPoints with a cRLIssuer (RFC 5280 §4.2.1.13).
pub fn crl_issuer(issuer: &str) -> Vec<u8> {
    let point = seq(&[&tlv(0xa2, &[&tlv(0xa4, &[&name(issuer)])])]);
    extension("2.5.29.31", false, &seq(&[&point]))
}

/// cRLDistributionPoints with a URL, and a cRLIssuer where one is named.
pub fn crl_place(url: &str, issuer: Option<&str>) -> Vec<u8> {
    let issuer = issuer.map(|issuer| tlv(0xa2, &[&tlv(0xa4, &[&name(issuer)])]));
    let point = seq(&[&place(url), &issuer.unwrap_or_default()]);
    extension("2.5.29.31", false, &seq(&[&point]))
}

/// The place of a CRL: a URL (RFC 5280 §4.2.1.13, §5.2.5).
pub fn place(url: &str) -> Vec<u8> {
    tlv(0xa0, &[&tlv(0xa0, &[&tlv(0x86, &[url.as_bytes()])])])
}

/// TNAuthList with one service provider code (RFC 8226 §9).
pub fn tn_auth_list(critical: bool, spc: &str) -> Vec<u8> {
    let code = tlv(0xa0, &[&tlv(IA5, &[spc.as_bytes()])]);
    extension("1.3.6.1.5.5.7.1.26", critical, &seq(&[&code]))
}

/// A certificate to be made; what is not set is that of a good signer's certificate.
pub struct Spec {
    pub version: u8,
    pub serial: Vec<u8>,
    pub subject: Vec<u8>,
    pub issuer: Vec<u8>,
    pub not_before: Vec<u8>,
    pub not_after: Vec<u8>,
    pub extensions: Vec<Vec<u8>>,
    /// Instead of the algorithm of the key that signs.
    pub inner_algorithm: Option<Vec<u8>>,
    pub outer_algorithm: Option<Vec<u8>>,
    /// Whether to add subjectKeyIdentifier and authorityKeyIdentifier.
    pub key_ids: bool,
}

impl Spec {
    pub fn leaf(issuer: &str) -> Self {
        Self {
            version: 3,
            serial: vec![0x11, 0x22, 0x33],
            subject: name("C=US,O=Test,CN=SHAKEN 1234"),
            issuer: name(issuer),
            not_before: time(NOW - DAY),
            not_after: time(NOW + DAY),
            extensions: vec![
                basic_constraints(false, None),
                key_usage(&[0]),
                tn_auth_list(false, "1234"),
            ],
            inner_algorithm: None,
            outer_algorithm: None,
            key_ids: true,
        }
    }

    pub fn ca(subject: &str, issuer: &str) -> Self {
        Self {
            serial: vec![0x55],
            subject: name(subject),
            not_before: time(NOW - 100 * DAY),
            not_after: time(NOW + 100 * DAY),
            extensions: vec![basic_constraints(true, None), key_usage(&[5, 6])],
            ..Self::leaf(issuer)
        }
    }

    pub fn valid(mut self, not_before: i64, not_after: i64) -> Self {
        (self.not_before, self.not_after) = (time(not_before), time(not_after));
        self
    }

    pub fn serial(mut self, serial: &[u8]) -> Self {
        self.serial = serial.to_vec();
        self
    }

    pub fn extensions(mut self, extensions: &[Vec<u8>]) -> Self {
        self.extensions = extensions.to_vec();
        self
    }

    pub fn with(mut self, extension: Vec<u8>) -> Self {
        self.extensions.push(extension);
        self
    }

    /// Names this signature algorithm, inside and outside.
    pub fn algorithm(mut self, algorithm: &[u8]) -> Self {
        self.inner_algorithm = Some(algorithm.to_vec());
        self.outer_algorithm = Some(algorithm.to_vec());
        self
    }

    pub fn issue(&self, key: &Key, signer: &Key) -> Vec<u8> {
        let algorithm = self.inner_algorithm.clone().unwrap_or_else(|| signer.algorithm());
        let version = match self.version {
            1 => Vec::new(),
            n => tlv(0xa0, &[&tlv(INTEGER, &[&[n - 1]])]),
        };
        let mut extensions = self.extensions.concat();
        if self.key_ids {
            let subject = tlv(OCTET_STRING, &[&key.id()]);
            extensions.extend(extension("2.5.29.14", false, &subject));
            let authority = seq(&[&tlv(0x80, &[&signer.id()])]);
            extensions.extend(extension("2.5.29.35", false, &authority));
        }
        let extensions = match self.version {
            3 => tlv(0xa3, &[&seq(&[&extensions])]),
            _ => Vec::new(),
        };
        let tbs = seq(&[
            &version,
            &tlv(INTEGER, &[&self.serial]),
            &algorithm,
            &self.issuer,
            &seq(&[&self.not_before, &self.not_after]),
            &self.subject,
            &key.spki(),
            &extensions,
        ]);
        let algorithm = self.outer_algorithm.clone().unwrap_or_else(|| signer.algorithm());
        signed(&tbs, &algorithm, signer)
    }
}

/// A CRL to be made.
pub struct CrlSpec {
    pub issuer: Vec<u8>,
    pub this_update: i64,
    pub next_update: i64,
    pub indirect: bool,
    /// Instead of the algorithm of the key that signs.
    pub algorithm: Option<Vec<u8>>,
    /// The rest of issuingDistributionPoint (RFC 5280 §5.2.5), up to indirectCRL.
    pub point: Vec<u8>,
    /// Serial numbers, each with a certificateIssuer (RFC 5280 §5.3.3) if it has one.
    pub revoked: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl CrlSpec {
    pub fn new(issuer: &str) -> Self {
        Self {
            issuer: name(issuer),
            this_update: NOW - DAY,
            next_update: NOW + DAY,
            indirect: false,
            algorithm: None,
            point: Vec::new(),
            revoked: Vec::new(),
        }
    }

    pub fn revoke(mut self, serial: &[u8]) -> Self {
        self.revoked.push((serial.to_vec(), None));
        self
    }

    pub fn sign(&self, key: &Key) -> Vec<u8> {
        let entries: Vec<u8> = self
            .revoked
            .iter()
            .flat_map(|(serial, issuer)| {
                let extensions = issuer.as_ref().map(|issuer| {
                    let names = seq(&[&tlv(0xa4, &[issuer])]);
                    seq(&[&extension("2.5.29.29", true, &names)])
                });
                let when = time(NOW - 2 * DAY);
                seq(&[&tlv(INTEGER, &[serial]), &when, &extensions.unwrap_or_default()])
            })
            .collect();
        let entries = if entries.is_empty() { entries } else { seq(&[&entries]) };
        let number = extension("2.5.29.20", false, &tlv(INTEGER, &[&[1]]));
        let indirect = if self.indirect { tlv(0x84, &[&[0xff]]) } else { Vec::new() };
        let point = match self.indirect || !self.point.is_empty() {
            true => extension("2.5.29.28", true, &seq(&[&self.point, &indirect])),
            false => Vec::new(),
        };
        let algorithm = self.algorithm.clone().unwrap_or_else(|| key.algorithm());
        let tbs = seq(&[
            &tlv(INTEGER, &[&[1]]),
            &algorithm,
            &self.issuer,
            &time(self.this_update),
            &time(self.next_update),
            &entries,
            &tlv(0xa0, &[&seq(&[&number, &point])]),
        ]);
        signed(&tbs, &algorithm, key)
    }
}

/// PEM of these.
pub fn pem(label: &str, ders: &[Vec<u8>]) -> String {
    ders.iter()
        .map(|der| {
            let text = base64::engine::general_purpose::STANDARD.encode(der);
            let lines: Vec<_> =
                text.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).unwrap()).collect();
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
        })
        .collect()
}

pub fn certificates(ders: &[Vec<u8>]) -> String {
    pem("CERTIFICATE", ders)
}
