//! Certification paths: from a certificate to a trust anchor (RFC 5280 §6.1, RFC 4158).
//!
//! Of three libraries none fits: over the 70 chains of `tests/chains.rs` rustls-webpki 0.103 is
//! wrong 14 times (critical certificatePolicies refused, a CA without keyCertSign accepted),
//! pkix-path 0.3 nine times (it checks signatures over what it has encoded again), certval
//! 0.2.0-rc.1 seven times (a CA without keyUsage refused, anchors hardly checked); this is wrong
//! twice, by refusing. The figures are in docs/architecture.md.

use super::budget::{Budget, LOOK, MAX_CHAIN_COST, signature_cost};
use super::signature::{Signed, check_signature};
use crate::authority::{ENHANCED_JWT_CLAIM_CONSTRAINTS, JWT_CLAIM_CONSTRAINTS, TN_AUTH_LIST};
use crate::cert::Certificate;
use crate::clock::time;
use crate::error::{Code, Error, Result};
use der::asn1::ObjectIdentifier;

/// Most certificates of a path, the signer's and the anchor's among them. SHAKEN has three or
/// four (ATIS-1000080 §5.3.1), and OpenSSL's own limit is 100.
pub const MAX_PATH_LEN: usize = 8;

/// Extensions that may be critical, because they are checked here, or bind nothing here:
/// keyUsage and basicConstraints are checked; subjectAltName and extKeyUsage say nothing of who
/// may sign calls; certificatePolicies, policyMappings and inhibitAnyPolicy have no effect while
/// every policy is acceptable and none is required (RFC 5280 §6.1.1 c to g), and the extension
/// that could require one, policyConstraints, is not among these; cRLDistributionPoints says where
/// a CRL is. 81 of 15,936 certificates in the field mark certificatePolicies critical.
const UNDERSTOOD: &[ObjectIdentifier] = &[
    ObjectIdentifier::new_unwrap("2.5.29.15"),
    ObjectIdentifier::new_unwrap("2.5.29.17"),
    ObjectIdentifier::new_unwrap("2.5.29.19"),
    ObjectIdentifier::new_unwrap("2.5.29.31"),
    ObjectIdentifier::new_unwrap("2.5.29.32"),
    ObjectIdentifier::new_unwrap("2.5.29.33"),
    ObjectIdentifier::new_unwrap("2.5.29.37"),
    ObjectIdentifier::new_unwrap("2.5.29.54"),
    // Critical or not, they bind the calls that are signed, not the path.
    TN_AUTH_LIST,
    JWT_CLAIM_CONSTRAINTS,
    ENHANCED_JWT_CLAIM_CONSTRAINTS,
];
/// RFC 5280 §4.2.1.10. Not checked, so a CA that has it vouches for nobody here, critical or not.
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");

/// Where a path may go, and when.
#[derive(Clone, Copy)]
pub(crate) struct Search<'a> {
    /// Trusted because they are here; each must be within its validity, and a CA if it issued
    /// anything.
    pub(crate) anchors: &'a [&'a [Certificate]],
    /// Not trusted themselves.
    pub(crate) intermediates: &'a [&'a [Certificate]],
    /// Unix seconds.
    pub(crate) now: i64,
}

impl<'a> Search<'a> {
    /// A path from this certificate (first) to an anchor (last), for [`MAX_CHAIN_COST`] at most.
    ///
    /// # Errors
    /// [`Code::CertInvalid`], with the reason that came nearest to an anchor.
    pub(crate) fn find(&self, leaf: &'a Certificate) -> Result<Vec<&'a Certificate>> {
        self.find_within(leaf, &Budget::default())
    }

    /// The same, paid for from a message's budget.
    ///
    /// # Errors
    /// As [`Search::find`]; [`Code::CertBudget`] if other chains of the message have left too little.
    pub(crate) fn find_within(
        &self,
        leaf: &'a Certificate,
        budget: &Budget,
    ) -> Result<Vec<&'a Certificate>> {
        let limit = budget.left().min(MAX_CHAIN_COST);
        let mut walk =
            Walk { search: *self, path: vec![leaf], left: limit, too_much: false, reason: None };
        if let Err(why) = self.check_certificate(leaf) {
            return Err(invalid(leaf, &why));
        }
        // A certificate that is trusted itself needs nobody else.
        if Self::candidates(self.anchors).any(|anchor| anchor == leaf) {
            return Ok(walk.path);
        }
        let found = walk.climb();
        budget.add(limit - walk.left);
        if found {
            return Ok(walk.path);
        }
        if walk.too_much && limit < MAX_CHAIN_COST {
            return Err(refused(
                Code::CertBudget,
                leaf,
                "was not checked: other certificates of this message took too much work",
            ));
        }
        if walk.too_much {
            return Err(invalid(leaf, "too many certificates may have issued one another"));
        }
        Err(match walk.reason {
            Some((_, certificate, why)) => invalid(certificate, &why),
            None => invalid(leaf, "no path to a trust anchor was found"),
        })
    }

    /// All certificates that may be part of a path.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'a Certificate> {
        Self::candidates(self.anchors).chain(Self::candidates(self.intermediates))
    }

    fn candidates(lists: &'a [&'a [Certificate]]) -> impl Iterator<Item = &'a Certificate> {
        lists.iter().flat_map(|list| list.iter())
    }

    /// RFC 5280 §6.1.3 a 2 and §6.1.4 o: what holds for each certificate of a path by itself.
    fn check_certificate(&self, certificate: &Certificate) -> Result<(), String> {
        if self.now < certificate.not_before() {
            return Err(format!("it is not valid before {}", time(certificate.not_before())));
        }
        if self.now > certificate.not_after() {
            return Err(format!("it expired at {}", time(certificate.not_after())));
        }
        let unknown = certificate
            .critical_extensions()
            .find(|oid| !UNDERSTOOD.contains(oid) && *oid != NAME_CONSTRAINTS);
        match unknown {
            Some(oid) => Err(format!("its extension {oid} is critical and not understood")),
            None => Ok(()),
        }
    }

    /// RFC 5280 §6.1.4 k to n: whether it may issue certificates, with this many intermediates
    /// (self-issued ones not counted) between it and the signer's.
    fn check_issuer(
        &self,
        certificate: &Certificate,
        below: usize,
        anchor: bool,
    ) -> Result<(), String> {
        self.check_certificate(certificate)?;
        if certificate.extension(NAME_CONSTRAINTS).is_some() {
            return Err("it has name constraints, which are not supported".into());
        }
        match certificate.basic_constraints() {
            Err(e) => return Err(format!("its basicConstraints make no sense: {e}")),
            Ok(Some(constraints)) if !constraints.ca => {
                return Err("it is no CA (basicConstraints)".into());
            }
            Ok(Some(constraints)) => {
                if let Some(longest) = constraints.path_len_constraint
                    && below > usize::from(longest)
                {
                    return Err(format!(
                        "it allows {longest} CA certificates below it (pathLenConstraint), and there are {below}"
                    ));
                }
            }
            // Before version 3 there was no such extension: an anchor is trusted as it is.
            Ok(None) if anchor && certificate.version() < 3 => {}
            Ok(None) => return Err("it is no CA: it has no basicConstraints".into()),
        }
        match certificate.key_usage() {
            Err(e) => Err(format!("its keyUsage makes no sense: {e}")),
            Ok(Some(usage)) if !usage.key_cert_sign() => {
                Err("its keyUsage does not let it sign certificates".into())
            }
            Ok(_) => Ok(()),
        }
    }
}

struct Walk<'a> {
    search: Search<'a>,
    path: Vec<&'a Certificate>,
    /// What the search may still cost.
    left: u32,
    /// Whether it would have cost more.
    too_much: bool,
    /// Why the longest path that failed did: its length, the certificate, the reason.
    reason: Option<(usize, &'a Certificate, String)>,
}

impl<'a> Walk<'a> {
    /// Extends the path to an anchor. Each step is checked before the next is tried, so that only
    /// issuers that did sign lead on.
    fn climb(&mut self) -> bool {
        let Some(&head) = self.path.last() else { return false };
        if self.path.len() >= MAX_PATH_LEN {
            self.blame(head, format!("the path is longer than {MAX_PATH_LEN} certificates"));
            return false;
        }
        let mut known = false;
        for (anchors, lists) in [(true, self.search.anchors), (false, self.search.intermediates)] {
            for issuer in Search::candidates(lists) {
                if issuer.subject_name() != head.issuer_name() {
                    continue;
                }
                if self.is_in_path(issuer) {
                    if issuer != head {
                        known = true;
                        self.blame(head, "the path comes back to itself".into());
                    }
                    continue;
                }
                known = true;
                if !self.usable(issuer, anchors) || !self.signed(head, issuer) {
                    if self.too_much {
                        return false;
                    }
                    continue;
                }
                self.path.push(issuer);
                if anchors || self.climb() {
                    return true;
                }
                if self.too_much {
                    return false;
                }
                self.path.pop();
            }
        }
        if !known {
            let whose = if head.issuer_name() == head.subject_name() {
                "it is self-signed, and no trust anchor".to_owned()
            } else {
                format!(
                    "its issuer \"{}\" is neither a trust anchor nor among the intermediates",
                    head.issuer()
                )
            };
            self.blame(head, whose);
        }
        false
    }

    /// RFC 4158 §5.2: the same name with the same key twice is a loop.
    fn is_in_path(&self, issuer: &Certificate) -> bool {
        self.path.iter().any(|known| {
            known.key_octets() == issuer.key_octets()
                && known.subject_name() == issuer.subject_name()
        })
    }

    /// Pays for a step of the search.
    const fn pay(&mut self, cost: u32) -> bool {
        match self.left.checked_sub(cost) {
            Some(left) => self.left = left,
            None => self.too_much = true,
        }
        !self.too_much
    }

    fn usable(&mut self, issuer: &'a Certificate, anchor: bool) -> bool {
        if !self.pay(LOOK) {
            return false;
        }
        let below =
            self.path.iter().skip(1).filter(|c| c.issuer_name() != c.subject_name()).count();
        match self.search.check_issuer(issuer, below, anchor) {
            Ok(()) => true,
            Err(why) => {
                self.blame(issuer, why);
                false
            }
        }
    }

    fn signed(&mut self, head: &'a Certificate, issuer: &'a Certificate) -> bool {
        let signed = Signed {
            message: head.signed(),
            algorithm: head.signature_algorithm(),
            signature: head.signature(),
        };
        if !self.pay(signature_cost(&signed, issuer)) {
            return false;
        }
        match check_signature(&signed, issuer) {
            Ok(()) => true,
            Err(why) => {
                self.blame(head, why);
                false
            }
        }
    }

    /// Remembers why a path failed, if it came further than the one remembered.
    fn blame(&mut self, certificate: &'a Certificate, why: String) {
        let length = self.path.len();
        if self.reason.as_ref().is_none_or(|(longest, ..)| length > *longest) {
            self.reason = Some((length, certificate, why));
        }
    }
}

fn invalid(certificate: &Certificate, why: &str) -> Error {
    refused(Code::CertInvalid, certificate, &format!("is not trusted: {why}"))
}

fn refused(code: Code, certificate: &Certificate, why: &str) -> Error {
    let (subject, serial) = (certificate.subject(), certificate.serial());
    Error::new(code, format!("the certificate of \"{subject}\" (serial {serial}) {why}"))
}
