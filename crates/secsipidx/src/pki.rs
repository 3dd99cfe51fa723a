//! Certificates, requests and CRLs, signed with ES256 (RFC 5280, RFC 8226, ATIS-1000080).

use crate::inspect::cert::{TN_AUTH_LIST, encode_spcs};
use crate::keys::NewKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::asn1::{BitString, ObjectIdentifier, OctetString};
use der::oid::AssociatedOid;
use der::referenced::OwnedToRef;
use der::{Decode, Encode, EncodePem, pem::LineEnding};
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{DerSignature, Signature, SigningKey, VerifyingKey};
use p256::pkcs8::DecodePublicKey;
use p256::pkcs8::spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};
use serde_json::json;
use std::fmt::Display;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};
use stir::{Code, Error, Result};
use tokio_rustls::rustls::pki_types::CertificateRevocationListDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use x509_cert::builder::RequestBuilder;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{self, Builder, CertificateBuilder, CrlBuilder};
use x509_cert::certificate::{Certificate, TbsCertificate};
use x509_cert::crl::{CertificateList, RevokedCert};
use x509_cert::ext::pkix::certpolicy::PolicyInformation;
use x509_cert::ext::pkix::crl::CrlDistributionPoints;
use x509_cert::ext::pkix::crl::dp::{DistributionPoint, IssuingDistributionPoint};
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies, CrlNumber, KeyUsage, KeyUsages,
    SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::request::{CertReq, ExtensionReq};
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};

const ISSUING_DISTRIBUTION_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
const CERTIFICATE_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.29");
/// The certificate policy of ATIS-1000080, version 3.
const SHAKEN_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.114569.1.1.3");

/// A certificate with its private key.
pub struct Holder {
    /// The key.
    pub key: NewKey,
    /// The certificate.
    pub certificate: Certificate,
}

/// What a certificate is for.
pub enum Role<'a> {
    /// May issue certificates and CRLs; `Some(0)` ends with them.
    Ca(Option<u8>),
    /// Signs the indirect CRL and the list of trusted CAs (the STI-PA's role).
    Administrator,
    /// Signs calls of a service provider.
    Signer {
        /// Service provider codes.
        spcs: &'a [String],
        /// Where the indirect CRL can be had, and who signs it.
        crl: (&'a str, &'a Name),
    },
    /// Serves HTTPS on this machine.
    Server,
}

impl Holder {
    /// A new key with a certificate from `issuer`, or from itself.
    ///
    /// # Errors
    /// [`Code::Generic`]: a name or a code that can't be encoded.
    pub fn issue(
        subject: &str,
        role: &Role<'_>,
        lifetime: Duration,
        issuer: Option<&Self>,
    ) -> Result<Self> {
        let key = NewKey::generate();
        let made = || -> builder::Result<Certificate> {
            let subject = Name::from_str(subject)?;
            let issuer_name =
                issuer.map_or_else(|| subject.clone(), |issuer| issuer.name().clone());
            let profile = Profile { subject, issuer: issuer_name, role };
            let spki = SubjectPublicKeyInfoOwned::from_key(&key.secret().public_key())?;
            certify(profile, lifetime, spki, issuer.map_or(&key, |issuer| &issuer.key))
        };
        let certificate =
            made().map_err(|e| wrong(&format!("the certificate of {subject:?}"), e))?;
        Ok(Self { key, certificate })
    }

    /// A certificate for a key whose private half somebody else has.
    ///
    /// # Errors
    /// It can't be encoded.
    pub fn certify(
        &self,
        subject: Name,
        key: SubjectPublicKeyInfoOwned,
        role: &Role<'_>,
        lifetime: Duration,
    ) -> Result<Certificate> {
        let profile = Profile { subject, issuer: self.name().clone(), role };
        certify(profile, lifetime, key, &self.key).map_err(|e| wrong("the certificate", e))
    }

    /// One that was made before: its certificate, which others may follow, and its key.
    ///
    /// # Errors
    /// [`Code::KeyFormat`], [`Code::Generic`]: not readable, or not a pair.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self> {
        let key = NewKey::from_pem(key)?;
        let read = || -> der::Result<Option<Certificate>> {
            let first = Certificate::load_pem_chain(certificate.as_bytes())?.into_iter().next();
            let own = SubjectPublicKeyInfoOwned::from_key(&key.secret().public_key());
            Ok(first.filter(|first| {
                own.is_ok_and(|own| own == *first.tbs_certificate().subject_public_key_info())
            }))
        };
        let certificate = read()
            .map_err(|e| Error::new(Code::Generic, format!("the certificate can't be read: {e}")))?
            .ok_or_else(|| Error::new(Code::Generic, "the key is not the certificate's"))?;
        Ok(Self { key, certificate })
    }

    /// The subject.
    pub fn name(&self) -> &Name {
        self.certificate.tbs_certificate().subject()
    }

    /// The certificate as PEM.
    ///
    /// # Errors
    /// It can't be encoded.
    pub fn pem(&self) -> Result<String> {
        pem(&self.certificate)
    }

    /// The revocation of this certificate, now.
    ///
    /// # Errors
    /// The time can't be encoded.
    pub fn revocation(&self) -> Result<RevokedCert> {
        revocation(&self.certificate)
    }

    /// What this issuer revoked before: on its own CRL among these, PEM.
    ///
    /// # Errors
    /// [`Code::Generic`]: one can't be read, or none is its own.
    pub fn revoked(&self, crls: &str) -> Result<Vec<RevokedCert>> {
        let unreadable = |e: &dyn Display| Error::new(Code::Generic, format!("is no CRL: {e}"));
        let mut revoked: Option<Vec<_>> = None;
        for crl in CertificateRevocationListDer::pem_slice_iter(crls.as_bytes()) {
            let crl = crl.map_err(|e| unreadable(&e))?;
            let list = CertificateList::from_der(&crl).map_err(|e| unreadable(&e))?.tbs_cert_list;
            if list.issuer == *self.name() {
                let entries = list.revoked_certificates.unwrap_or_default();
                revoked.get_or_insert_default().extend(entries);
            }
        }
        revoked.ok_or_else(|| Error::new(Code::Generic, "holds no CRL of this CA"))
    }

    /// A CRL of this issuer with these certificates on it: its own, or, `indirect`, another's.
    ///
    /// # Errors
    /// It can't be encoded.
    pub fn crl(
        &self,
        lifetime: Duration,
        revoked: &[RevokedCert],
        indirect: Option<&Indirect<'_>>,
    ) -> Result<String> {
        let made = || -> builder::Result<CertificateList> {
            // Higher than the one before (§5.2.3), of which nobody here knows.
            let number = CrlNumber::try_from(now())?;
            let mut list = CrlBuilder::new(&self.certificate, number)?
                .with_next_update(Some(after(lifetime)?));
            let mut entries = revoked.to_vec();
            if let Some(indirect) = indirect {
                let issuer = indirect.certificate_issuer()?;
                entries.iter_mut().for_each(|entry| {
                    entry.crl_entry_extensions = Some(vec![issuer.clone()]);
                });
            }
            if !entries.is_empty() {
                list = list.with_certificates(entries.into_iter());
            }
            let key = signer(&self.key);
            let mut list = list.build::<_, DerSignature>(&key)?;
            // The builder takes no extensions of its caller's, and names the issuer's issuer's key
            // where §5.2.1 wants the issuer's own: signed once more, with these.
            let extensions = list.tbs_cert_list.crl_extensions.get_or_insert_default();
            extensions.retain(|extension| extension.extn_id != AuthorityKeyIdentifier::OID);
            let own = self.certificate.tbs_certificate().subject_public_key_info();
            let authority = key_identifier(own.owned_to_ref())?;
            extensions.push(authority.to_extension(self.name(), extensions)?);
            if let Some(indirect) = indirect {
                extensions.push(indirect.extension()?);
            }
            let signature: DerSignature = key.try_sign(&list.tbs_cert_list.to_der()?)?;
            list.signature = BitString::from_bytes(signature.as_bytes())?;
            Ok(list)
        };
        made().and_then(|list| Ok(list.to_pem(LineEnding::LF)?)).map_err(|e| wrong("the CRL", e))
    }

    /// A list of trusted CAs (ATIS-1000084): a JWS that this one signs.
    ///
    /// # Errors
    /// A certificate can't be encoded.
    pub fn trust_list(&self, lifetime: Duration, trusted: &[&Self]) -> Result<String> {
        let certificates = trusted.iter().map(|holder| holder.pem()).collect::<Result<Vec<_>>>()?;
        let header = json!({ "alg": "ES256", "typ": "JWT" });
        let list = json!({
            "version": "1.0",
            "sequence": now(),
            "exp": now() + lifetime.as_secs(),
            "trustList": certificates,
        });
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(header.to_string()), encode(list.to_string()));
        let signature: Signature = signer(&self.key)
            .try_sign(signed.as_bytes())
            .map_err(|e| wrong("the trust list", e))?;
        Ok(format!("{signed}.{}\n", URL_SAFE_NO_PAD.encode(signature.to_bytes())))
    }
}

/// The revocation of a certificate, now.
///
/// # Errors
/// The time can't be encoded.
pub fn revocation(certificate: &Certificate) -> Result<RevokedCert> {
    Ok(RevokedCert {
        serial_number: certificate.tbs_certificate().serial_number().clone(),
        revocation_date: Time::now().map_err(|e| wrong("the revocation", e))?,
        crl_entry_extensions: None,
    })
}

/// What makes a CRL an indirect one (RFC 5280 §5.2.5).
pub struct Indirect<'a> {
    /// Who issued the certificates on it.
    pub issuer: &'a Name,
    /// Where it can be had.
    pub url: &'a str,
}

impl Indirect<'_> {
    /// What an entry says of its certificate.
    fn certificate_issuer(&self) -> der::Result<Extension> {
        let names = vec![GeneralName::DirectoryName(self.issuer.clone())];
        extension(CERTIFICATE_ISSUER, true, names.to_der()?)
    }

    fn extension(&self) -> der::Result<Extension> {
        let point = IssuingDistributionPoint {
            distribution_point: Some(full_name(self.url)?),
            only_contains_user_certs: false,
            only_contains_ca_certs: false,
            only_some_reasons: None,
            indirect_crl: true,
            only_contains_attribute_certs: false,
        };
        extension(ISSUING_DISTRIBUTION_POINT, true, point.to_der()?)
    }
}

/// A request for a certificate with these codes.
///
/// # Errors
/// [`Code::Generic`]: a name or a code that can't be encoded.
pub fn request(key: &NewKey, subject: &str, spcs: &[String]) -> Result<CertReq> {
    let made = || -> builder::Result<CertReq> {
        let mut builder = RequestBuilder::new(Name::from_str(subject)?)?;
        builder.add_extension(extension(TN_AUTH_LIST, false, encode_spcs(spcs)?)?)?;
        builder.build::<_, DerSignature>(&signer(key))
    };
    made().map_err(|e| wrong(&format!("the request of {subject:?}"), e))
}

/// Anything of X.509 as PEM.
///
/// # Errors
/// It can't be encoded.
pub fn pem(what: &impl EncodePem) -> Result<String> {
    what.to_pem(LineEnding::LF).map_err(|e| wrong("the PEM text", e))
}

/// What a request asks for, once it is known that its key signed it.
///
/// # Errors
/// [`Code::Generic`]: it is not a request, or its signature is not that of its key on P-256.
pub fn read_request(der: &[u8]) -> Result<Requested> {
    let bad = |why: &str| Error::new(Code::Generic, format!("the request can't be used: {why}"));
    let request = CertReq::from_der(der).map_err(|e| bad(&e.to_string()))?;
    let key = request.info.public_key.clone();
    let spki = key.to_der().map_err(|e| bad(&e.to_string()))?;
    let point =
        p256::PublicKey::from_public_key_der(&spki).map_err(|_| bad("its key is not on P-256"))?;
    let signed = request.info.to_der().map_err(|e| bad(&e.to_string()))?;
    let signature = DerSignature::from_bytes(request.signature.raw_bytes());
    signature
        .and_then(|signature| VerifyingKey::from(point).verify(&signed, &signature))
        .map_err(|_| bad("its signature is not that of its key"))?;
    let mut tn_auth_list = None;
    for attribute in request.info.attributes.iter().filter(|a| a.oid == ExtensionReq::OID) {
        for value in attribute.values.iter() {
            let asked =
                value.decode_as::<ExtensionReq>().map_err(|e: der::Error| bad(&e.to_string()))?;
            let list = asked.0.into_iter().find(|extension| extension.extn_id == TN_AUTH_LIST);
            tn_auth_list = list.map(|list| list.extn_value.into_bytes().to_vec()).or(tn_auth_list);
        }
    }
    Ok(Requested { subject: request.info.subject, key, tn_auth_list })
}

/// What a request asks for.
pub struct Requested {
    /// Who asks.
    pub subject: Name,
    /// For which key.
    pub key: SubjectPublicKeyInfoOwned,
    /// DER.
    pub tn_auth_list: Option<Vec<u8>>,
}

fn certify(
    profile: Profile<'_>,
    lifetime: Duration,
    key: SubjectPublicKeyInfoOwned,
    issuer: &NewKey,
) -> builder::Result<Certificate> {
    let serial = SerialNumber::new(&serial())?;
    let validity = Validity::from_now(lifetime)?;
    CertificateBuilder::new(profile, serial, validity, key)?
        .build::<_, DerSignature>(&signer(issuer))
}

struct Profile<'a> {
    subject: Name,
    issuer: Name,
    role: &'a Role<'a>,
}

impl BuilderProfile for Profile<'_> {
    fn get_issuer(&self, _: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        issuer_key: SubjectPublicKeyInfoRef<'_>,
        _: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        let mut all = Vec::new();
        let identifier = SubjectKeyIdentifier::try_from(key)?;
        all.push(identifier.to_extension(&self.subject, &all)?);
        let authority = key_identifier(issuer_key)?;
        all.push(authority.to_extension(&self.subject, &all)?);
        let (ca, path_len, usage) = match self.role {
            Role::Ca(path_len) => (true, *path_len, KeyUsages::KeyCertSign | KeyUsages::CRLSign),
            Role::Administrator => (false, None, KeyUsages::CRLSign | KeyUsages::DigitalSignature),
            Role::Signer { .. } | Role::Server => (false, None, KeyUsages::DigitalSignature.into()),
        };
        let constraints = BasicConstraints { ca, path_len_constraint: path_len };
        all.push((true, &constraints).to_extension(&self.subject, &all)?);
        all.push((true, &KeyUsage(usage)).to_extension(&self.subject, &all)?);
        if let Role::Signer { spcs, crl: (url, crl_signer) } = self.role {
            all.push(extension(TN_AUTH_LIST, false, encode_spcs(spcs)?)?);
            let point = DistributionPoint {
                distribution_point: Some(full_name(url)?),
                reasons: None,
                crl_issuer: Some(vec![GeneralName::DirectoryName((*crl_signer).clone())]),
            };
            let points = CrlDistributionPoints(vec![point]);
            all.push(points.to_extension(&self.subject, &all)?);
            let policy =
                PolicyInformation { policy_identifier: SHAKEN_POLICY, policy_qualifiers: None };
            let policies = CertificatePolicies(vec![policy]);
            all.push((false, &policies).to_extension(&self.subject, &all)?);
        }
        if matches!(self.role, Role::Server) {
            let names = SubjectAltName(vec![
                GeneralName::DnsName(der::asn1::Ia5String::new("localhost")?),
                GeneralName::IpAddress(OctetString::new(Ipv4Addr::LOCALHOST.octets())?),
                GeneralName::IpAddress(OctetString::new(Ipv6Addr::LOCALHOST.octets())?),
            ]);
            all.push(names.to_extension(&self.subject, &all)?);
        }
        Ok(all)
    }
}

/// Who signed, by the key.
fn key_identifier(key: SubjectPublicKeyInfoRef<'_>) -> builder::Result<AuthorityKeyIdentifier> {
    let key_identifier = Some(SubjectKeyIdentifier::try_from(key)?.0);
    Ok(AuthorityKeyIdentifier { key_identifier, ..Default::default() })
}

fn full_name(url: &str) -> der::Result<DistributionPointName> {
    let name = GeneralName::UniformResourceIdentifier(der::asn1::Ia5String::new(url)?);
    Ok(DistributionPointName::FullName(vec![name]))
}

fn extension(oid: ObjectIdentifier, critical: bool, value: Vec<u8>) -> der::Result<Extension> {
    Ok(Extension { extn_id: oid, critical, extn_value: OctetString::new(value)? })
}

fn now() -> u64 {
    UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

fn after(lifetime: Duration) -> der::Result<Time> {
    Time::try_from(std::time::SystemTime::now() + lifetime)
}

/// Sixteen octets at random, positive: RFC 5280 §4.1.2.2 allows twenty.
fn serial() -> [u8; 16] {
    let mut octets = *uuid::Uuid::new_v4().as_bytes();
    octets[0] = octets[0] & 0x3f | 0x40;
    octets
}

fn signer(key: &NewKey) -> SigningKey {
    SigningKey::from(key.secret())
}

fn wrong(what: &str, e: impl Display) -> Error {
    Error::new(Code::Generic, format!("{what} can't be made: {e}"))
}
