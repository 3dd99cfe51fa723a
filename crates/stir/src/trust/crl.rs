//! Certificate revocation lists (RFC 5280 §5).

use super::coverage;
use super::path::Search;
use super::signature::{Signed, check_signature};
use super::standing::Standing;
use crate::asn1::{self, Cursor, Extension};
use crate::cert::Certificate;
use crate::clock::time;
use crate::error::{Code, Error, Result};
use crate::name::Folded;
use crate::pem;
use der::asn1::ObjectIdentifier;
use der::{Decode, Tag};
use std::collections::HashMap;
use std::sync::OnceLock;
use x509_cert::ext::pkix::IssuingDistributionPoint;
use x509_cert::ext::pkix::name::{GeneralName, GeneralNames};
use x509_cert::name::Name;

/// Most CRLs in one file: a country has a few.
const MAX_CRLS: usize = 64;
/// Most certificates on one CRL: about ten times all that are in use in North America.
const MAX_REVOKED: usize = 200_000;
/// Most CAs that an indirect CRL names: North America has some 20. Each entry looks through them.
const MAX_ISSUERS: usize = 256;

const ISSUING_DISTRIBUTION_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
const CERTIFICATE_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.29");

/// One CRL, parsed; whether it counts is asked each time ([`Crl::check`]).
pub(super) struct Crl {
    der: Vec<u8>,
    signed: asn1::Span,
    algorithm: asn1::Span,
    signature: asn1::Span,
    pub(super) issuer: Name,
    this_update: i64,
    next_update: Option<i64>,
    /// Kinds of certificates that it says nothing of.
    pub(super) only_users: bool,
    pub(super) only_cas: bool,
    /// Whether entries may name their certificates' issuers.
    pub(super) indirect: bool,
    /// The place it is for, if it is one part of several (RFC 5280 §5.2.5).
    pub(super) place: Option<Vec<GeneralName>>,
    /// Issuers of the certificates on it; the first is the CRL's own.
    pub(super) issuers: Vec<Folded>,
    /// Serial number → places in `issuers`.
    revoked: HashMap<Vec<u8>, Vec<usize>>,
    /// Whose signature it was found to have, so that megabytes are hashed once and not per verdict.
    signer: OnceLock<Certificate>,
}

/// All CRLs of a file: PEM, any number of them, or the DER of one.
pub(super) fn read_file(text: &[u8]) -> Result<Vec<Crl>> {
    let wrong = |why: String| Error::new(Code::CrlFileRead, why);
    // The tag of a SEQUENCE: PEM begins with a dash, or a comment.
    if text.starts_with(&[0x30]) {
        return Ok(vec![Crl::from_der(text).map_err(|e| wrong(format!("holds no CRL: {e}")))?]);
    }
    let mut found = Vec::new();
    for block in pem::blocks(text) {
        let (kind, der) = block.map_err(|e| wrong(format!("is no PEM: {e}")))?;
        if kind != pem::SectionKind::Crl {
            continue;
        }
        if found.len() >= MAX_CRLS {
            return Err(wrong(format!("holds more than {MAX_CRLS} CRLs")));
        }
        let number = found.len() + 1;
        found.push(Crl::from_der(&der).map_err(|e| {
            wrong(format!("holds a CRL, number {number}, that makes no sense: {e}"))
        })?);
    }
    if found.is_empty() {
        return Err(wrong("holds no CRL, neither PEM (-----BEGIN X509 CRL-----) nor DER".into()));
    }
    Ok(found)
}

impl Crl {
    /// Reads the DER of one CRL, with nothing after it.
    pub(super) fn from_der(der: &[u8]) -> der::Result<Self> {
        let mut text = Cursor::new(der)?;
        let list = text.expect(Tag::Sequence)?;
        text.finish()?;
        let mut outer = Cursor::inside(&list)?;
        let signed = outer.expect(Tag::Sequence)?;
        let algorithm = outer.expect(Tag::Sequence)?;
        let signature = outer.expect(Tag::BitString)?;
        outer.finish()?;

        let mut tbs = Cursor::inside(&signed)?;
        if let Some(version) = tbs.optional(Tag::Integer)?
            && version.value != [1]
        {
            return Err(Tag::Integer.value_error().into());
        }
        // RFC 5280 §5.1.1.2.
        if tbs.expect(Tag::Sequence)?.value != algorithm.value {
            return Err(Tag::Sequence.value_error().into());
        }
        let issuer = tbs.expect(Tag::Sequence)?.whole;
        let issuer = Name::from_der(der.get(issuer).unwrap_or_default())?;
        let this_update = tbs.time()?;
        let next_update = tbs.optional_time()?;
        let mut crl = Self {
            signed: signed.whole.clone(),
            algorithm: algorithm.content.clone(),
            signature: asn1::bits(&signature)?,
            this_update,
            next_update,
            only_users: false,
            only_cas: false,
            indirect: false,
            place: None,
            issuers: vec![Folded::of(&issuer)],
            issuer,
            revoked: HashMap::new(),
            signer: OnceLock::new(),
            der: der.to_vec(),
        };
        let entries = tbs.optional(Tag::Sequence)?;
        let extensions = tbs.optional(asn1::context(0))?;
        tbs.finish()?;
        if let Some(tagged) = extensions {
            let list = Cursor::inside(&tagged)?.expect(Tag::Sequence)?;
            crl.read_extensions(asn1::extensions(list.value)?)?;
        }
        if let Some(entries) = entries {
            crl.read_entries(Cursor::inside(&entries)?)?;
        }
        Ok(crl)
    }

    /// RFC 5280 §5.2.
    fn read_extensions(&mut self, extensions: Vec<Extension<'_>>) -> der::Result<()> {
        for extension in extensions {
            if extension.oid == ISSUING_DISTRIBUTION_POINT {
                let point = IssuingDistributionPoint::from_der(extension.value)?;
                // A CRL of some reasons or of attribute certificates does not say who is good.
                if point.only_some_reasons.is_some() || point.only_contains_attribute_certs {
                    return Err(Tag::Sequence.value_error().into());
                }
                self.only_users = point.only_contains_user_certs;
                self.only_cas = point.only_contains_ca_certs;
                self.indirect = point.indirect_crl;
                self.place = point.distribution_point.map(coverage::full_name);
            } else if extension.critical {
                // deltaCRLIndicator among them: a delta is no CRL by itself.
                return Err(der::ErrorKind::OidUnknown { oid: extension.oid }.into());
            }
        }
        Ok(())
    }

    /// RFC 5280 §5.3: an entry's certificateIssuer holds for those after it as well.
    fn read_entries(&mut self, mut entries: Cursor<'_>) -> der::Result<()> {
        let mut issuer = 0;
        let mut count = 0_usize;
        while !entries.is_finished() {
            count += 1;
            if count > MAX_REVOKED {
                return Err(Tag::Sequence.length_error().into());
            }
            let mut entry = Cursor::inside(&entries.expect(Tag::Sequence)?)?;
            let serial = entry.expect(Tag::Integer)?.value;
            entry.time()?;
            if let Some(list) = entry.optional(Tag::Sequence)? {
                for extension in asn1::extensions(list.value)? {
                    if extension.oid == CERTIFICATE_ISSUER && self.indirect {
                        issuer = self.issuer_place(extension.value)?;
                    } else if extension.critical {
                        return Err(der::ErrorKind::OidUnknown { oid: extension.oid }.into());
                    }
                }
            }
            entry.finish()?;
            self.revoked.entry(serial.to_vec()).or_default().push(issuer);
        }
        Ok(())
    }

    fn issuer_place(&mut self, general_names: &[u8]) -> der::Result<usize> {
        let names = GeneralNames::from_der(general_names)?;
        let Some(name) = names.iter().find_map(|name| match name {
            GeneralName::DirectoryName(name) => Some(Folded::of(name)),
            _ => None,
        }) else {
            return Err(Tag::Sequence.value_error().into());
        };
        // Entries of one issuer mostly follow one another.
        if let Some(place) = self.issuers.iter().rposition(|known| *known == name) {
            return Ok(place);
        }
        if self.issuers.len() >= MAX_ISSUERS {
            return Err(Tag::Sequence.length_error().into());
        }
        self.issuers.push(name);
        Ok(self.issuers.len() - 1)
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            this_update: self.this_update,
            next_update: self.next_update,
            revoked: self.revoked.values().map(Vec::len).sum(),
        }
    }

    /// Whether it is out of date and a newer one of its issuer is among these: then it is no reason
    /// to let calls fail. What it revokes stays revoked as long as it is there.
    pub(super) fn is_replaced(&self, all: &[Self], now: i64) -> bool {
        self.check_end(now).is_err()
            && all.iter().any(|other| {
                self.this_update < other.this_update
                    && other.this_update <= now
                    && other.issuers.first() == self.issuers.first()
            })
    }

    /// Refuses one that is out of date.
    pub(super) fn check_end(&self, now: i64) -> Result<()> {
        match self.next_update.filter(|next| now > *next) {
            Some(next) => {
                Err(self.wrong(&format!("is out of date since {}: get a new one", time(next))))
            }
            None => Ok(()),
        }
    }

    /// Whether it counts at this time: its dates, and its signature by an issuer that is trusted.
    pub(super) fn check<'a>(&'a self, search: &Search<'a>) -> Result<()> {
        self.check_begin(search.now)?;
        self.check_end(search.now)?;
        self.check_signer(search)
    }

    /// Refuses one that is not in force yet.
    pub(super) fn check_begin(&self, now: i64) -> Result<()> {
        if now < self.this_update {
            return Err(self.wrong(&format!("is not in force before {}", time(self.this_update))));
        }
        Ok(())
    }

    /// Whether a certificate here has its issuer's name.
    pub(super) fn has_issuer_in(&self, search: &Search<'_>) -> bool {
        let issuer = Folded::of(&self.issuer);
        search.all().any(|certificate| certificate.subject_name() == issuer)
    }

    /// Who was found to have signed it.
    pub(super) fn signer(&self) -> Option<&Certificate> {
        self.signer.get()
    }

    /// Whether it may say something of a certificate of this path. One of other CAs is looked at
    /// when a call has their certificates.
    pub(super) fn concerns(&self, path: &[&Certificate]) -> bool {
        self.indirect
            || path.iter().any(|certificate| {
                self.issuers.first() == Some(&certificate.issuer_name())
                    || self.is_named_by(certificate)
            })
    }

    /// What is said of one whose issuer is not known yet.
    pub(super) fn unchecked(&self) -> String {
        format!(
            "the CRL of \"{}\" is checked when a call brings its issuer's certificate: name that in trust_intermediates, so that a bad CRL is noticed at once",
            self.issuer
        )
    }

    /// Refuses one that no issuer has signed who is trusted.
    pub(super) fn check_signer<'a>(&'a self, search: &Search<'a>) -> Result<()> {
        if self.signer.get().is_some_and(|signer| search.find(signer).is_ok()) {
            return Ok(());
        }
        let mut why = "has an issuer that is neither a trust anchor nor among the intermediates: add its certificate to the intermediates (trust_intermediates)".to_owned();
        let signed = Signed {
            message: self.part(&self.signed),
            algorithm: self.part(&self.algorithm),
            signature: self.part(&self.signature),
        };
        let issuer = Folded::of(&self.issuer);
        for signer in search.all() {
            if signer.subject_name() != issuer {
                continue;
            }
            // RFC 5280 §6.3.3 f asks for cRLSign. Who may issue certificates may revoke them too:
            // France's root has keyCertSign alone and signs the CRL of its intermediates.
            if signer.key_usage().is_ok_and(|usage| {
                usage.is_some_and(|usage| !usage.crl_sign() && !usage.key_cert_sign())
            }) {
                why = format!(
                    "has an issuer (serial {}) whose keyUsage does not let it sign CRLs",
                    signer.serial()
                );
                continue;
            }
            match check_signature(&signed, signer) {
                Err(e) => why = format!("does not count: {e}"),
                Ok(()) => match search.find(signer) {
                    Err(e) => why = format!("has an issuer that is not trusted: {}", e.message()),
                    Ok(_) => {
                        self.signer.get_or_init(|| signer.clone());
                        return Ok(());
                    }
                },
            }
        }
        Err(self.wrong(&why))
    }

    /// Whether this certificate is on it. The CRL itself is taken as checked.
    pub(super) fn revokes(&self, certificate: &Certificate) -> bool {
        if !self.is_for_its_kind(certificate) {
            return false;
        }
        let Some(places) = self.revoked.get(certificate.serial_octets()) else { return false };
        if places
            .iter()
            .filter_map(|place| self.issuers.get(*place))
            .any(|issuer| *issuer == certificate.issuer_name())
        {
            return true;
        }
        // France: one authority's CRL for all CAs, with neither issuingDistributionPoint nor
        // certificateIssuer. It holds for the certificates that name it as their cRLIssuer.
        !self.indirect && self.is_named_by(certificate)
    }

    /// Until when it is in force, in Unix seconds.
    pub(super) fn next_update(&self) -> i64 {
        self.next_update.unwrap_or(i64::MAX)
    }

    fn wrong(&self, why: &str) -> Error {
        Error::new(Code::CrlFileRead, format!("the CRL of \"{}\" {why}", self.issuer))
    }

    fn part(&self, span: &asn1::Span) -> &[u8] {
        self.der.get(span.clone()).unwrap_or_default()
    }
}

/// What is said of a certificate that is on a CRL.
pub(super) fn revoked(certificate: &Certificate) -> Error {
    Error::new(
        Code::CertRevoked,
        format!(
            "the certificate of \"{}\" (serial {}) was revoked by its CRL",
            certificate.subject(),
            certificate.serial()
        ),
    )
}
