//! Whether a CRL says anything of a certificate (RFC 5280 §6.3.3 b): one that no CRL covers may have
//! been revoked, and nobody here would know.

use super::crl::Crl;
use crate::cert::Certificate;
use crate::error::{Code, Error};
use crate::name::Folded;
use der::Decode;
use der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::CrlDistributionPoints;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::name::Name;

const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");

/// A cRLDistributionPoint of a certificate (RFC 5280 §4.2.1.13).
struct Point {
    /// Where the CRL is.
    names: Vec<GeneralName>,
    /// Who issues it, if that is not the certificate's issuer.
    issuers: Vec<GeneralName>,
}

impl Crl {
    /// Whether it would have this certificate on it, had that been revoked:
    ///
    /// - a CRL of the certificate's issuer, if it is not a part for another place;
    /// - one at a place, or of an issuer, that the certificate names. An indirect one may stand at
    ///   that place under another name, and be named by its place alone: 4,589 of 15,936 US
    ///   certificates name no cRLIssuer, Canada's name two;
    /// - France's, which is not called indirect, if the certificate names its issuer;
    /// - an indirect one that names the issuer of a certificate without any point.
    pub(super) fn covers(&self, certificate: &Certificate) -> bool {
        if !self.is_for_its_kind(certificate) {
            return false;
        }
        let own = self.issuers.first() == Some(&certificate.issuer_name());
        // RFC 5280 §6.3.3: a CRL of the certificate's issuer counts wherever it is.
        if own && self.place.as_ref().is_none_or(|place| self.is_among(place)) {
            return true;
        }
        let points = points(certificate);
        if points.is_empty() {
            let named = self.issuers.iter().skip(1).any(|one| *one == certificate.issuer_name());
            return self.indirect && self.place.is_none() && named;
        }
        points.iter().any(|point| {
            let asked = if point.names.is_empty() { &point.issuers } else { &point.names };
            let here = self
                .place
                .as_ref()
                .map(|place| place.iter().any(|name| asked.iter().any(|one| same(one, name))));
            let issued = match &point.issuers[..] {
                [] => own || self.indirect,
                issuers => self.is_among(issuers) || (self.indirect && here == Some(true)),
            };
            issued && here != Some(false)
        })
    }

    /// Whether a certificate's cRLDistributionPoints name this CRL's issuer.
    pub(super) fn is_named_by(&self, certificate: &Certificate) -> bool {
        points(certificate).iter().any(|point| self.is_among(&point.issuers))
    }

    /// Whether it speaks of CA certificates, or of others, as this one is.
    pub(super) fn is_for_its_kind(&self, certificate: &Certificate) -> bool {
        let ca = certificate.basic_constraints().is_ok_and(|c| c.is_some_and(|c| c.ca));
        !((self.only_users && ca) || (self.only_cas && !ca))
    }

    /// Whether its issuer is one of these. France writes the attributes in another order, so the
    /// order does not count: the CRL's signature says who issued it.
    fn is_among(&self, names: &[GeneralName]) -> bool {
        let issuer = Folded::in_any_order(&self.issuer);
        names.iter().filter_map(directory).any(|name| Folded::in_any_order(name) == issuer)
    }
}

/// The names of a place. One relative to the issuer's is a place that nothing here is compared with.
pub(super) fn full_name(point: DistributionPointName) -> Vec<GeneralName> {
    match point {
        DistributionPointName::FullName(names) => names,
        DistributionPointName::NameRelativeToCRLIssuer(_) => Vec::new(),
    }
}

/// Whether a certificate says where it would be revoked.
pub(super) fn names_a_crl(certificate: &Certificate) -> bool {
    certificate.extension(CRL_DISTRIBUTION_POINTS).is_some()
}

/// What is said of a certificate that no CRL covers.
pub(super) fn undetermined(certificate: &Certificate) -> Error {
    Error::new(
        Code::CertUndetermined,
        format!(
            "nobody knows whether the certificate of \"{}\" (serial {}) was revoked: no CRL here covers what \"{}\" issued; add that CRL, or set crl_required to 0",
            certificate.subject(),
            certificate.serial(),
            certificate.issuer()
        ),
    )
}

/// A certificate's points; those for some reasons only do not say that it is good.
fn points(certificate: &Certificate) -> Vec<Point> {
    let Some((_, value)) = certificate.extension(CRL_DISTRIBUTION_POINTS) else {
        return Vec::new();
    };
    let points = CrlDistributionPoints::from_der(value).map(|points| points.0).unwrap_or_default();
    let whole = points.into_iter().filter(|point| point.reasons.is_none());
    let read = whole.map(|point| Point {
        names: point.distribution_point.map(full_name).unwrap_or_default(),
        issuers: point.crl_issuer.unwrap_or_default(),
    });
    read.collect()
}

fn directory(name: &GeneralName) -> Option<&Name> {
    match name {
        GeneralName::DirectoryName(name) => Some(name),
        _ => None,
    }
}

fn same(one: &GeneralName, other: &GeneralName) -> bool {
    match (directory(one), directory(other)) {
        (Some(one), Some(other)) => Folded::in_any_order(one) == Folded::in_any_order(other),
        _ => one == other,
    }
}
