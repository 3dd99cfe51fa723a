//! The profile of a SHAKEN end-entity certificate (ATIS-1000080 §6.4.1), rule by rule. 30.2 % of the
//! field's certificates break one (2025-08: of 15,936; 40.4 % of those that were valid on the 18th), so
//! what a break means is the operator's choice ([`Profile`]); nothing of this takes the place of the
//! checks that are never optional.

use crate::authority::{TN_AUTH_LIST, TnAuthList};
use crate::cert::{COMMON_NAME, COUNTRY, Certificate, ORGANIZATION};
use crate::error::{Code, Error, Result};
use crate::trust::signature_oid;
use der::Decode;
use der::asn1::ObjectIdentifier;
use std::fmt;
use x509_cert::ext::pkix::{CertificatePolicies, CrlDistributionPoints};

/// What is done about a certificate that breaks a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Nothing is checked.
    #[default]
    Off,
    /// One line in the log when the certificate is loaded.
    Warn,
    /// The call fails with [`Code::CertProfile`].
    Enforce,
}

impl Profile {
    /// By its name: off, warn, enforce.
    ///
    /// # Errors
    /// [`Code::Generic`] for any other.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "off" => Ok(Self::Off),
            "warn" => Ok(Self::Warn),
            "enforce" => Ok(Self::Enforce),
            _ => Err(Error::new(
                Code::Generic,
                format!("cert_profile \"{name}\" is none of off, warn, enforce"),
            )),
        }
    }
}

const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");
const CERTIFICATE_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32");
const SUBJECT_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const AUTHORITY_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
/// RFC 5758 §3.2.
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// The SHAKEN certificate policies of ATIS-1000080; below it are their versions.
const SHAKEN_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.114569.1.1");

/// Which certificatePolicies keep the rule: each country has its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policies {
    /// Any single one.
    Any,
    /// The rule is not checked: France's certificates have none.
    None,
    /// One of these, or of those below them.
    Among(Vec<ObjectIdentifier>),
}

impl Default for Policies {
    /// Those of the US.
    fn default() -> Self {
        Self::Among(vec![SHAKEN_POLICIES])
    }
}

impl Policies {
    /// "any", "none", or OIDs with commas between.
    ///
    /// # Errors
    /// [`Code::Generic`] for anything else.
    pub fn named(text: &str) -> Result<Self> {
        let oid = |name: &str| {
            ObjectIdentifier::new(name.trim()).map_err(|_| {
                Error::new(
                    Code::Generic,
                    format!(
                        "cert_policies \"{text}\" is not \"any\", \"none\" or OIDs (1.2.3) with commas between: \"{}\"",
                        name.trim()
                    ),
                )
            })
        };
        match text.trim() {
            "any" => Ok(Self::Any),
            "none" => Ok(Self::None),
            list => list.split(',').map(oid).collect::<Result<_>>().map(Self::Among),
        }
    }

    fn holds(&self, policy: ObjectIdentifier) -> bool {
        match self {
            Self::Any | Self::None => true,
            Self::Among(known) => known.iter().any(|known| {
                // Each arc stands in octets of its own.
                policy.as_bytes().starts_with(known.as_bytes())
            }),
        }
    }
}

/// A rule that a certificate breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name, for statistics.
    pub rule: &'static str,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.message)
    }
}

/// The names of all rules that [`check`] knows, in its order.
pub const RULES: &[&str] = &[
    "version",
    "key",
    "signature",
    "subject-c",
    "subject-o",
    "subject-cn",
    "spc",
    "tn-auth-list",
    "policies",
    "crl-dp",
    "crl-issuer",
    "key-usage",
    "basic-constraints",
    "key-ids",
];

/// The rules that a certificate breaks.
pub fn check(certificate: &Certificate, expected: &Policies) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut rule = |rule: &'static str, result: Result<(), String>| {
        if let Err(message) = result {
            found.push(Finding { rule, message });
        }
    };
    let list = certificate
        .extension(TN_AUTH_LIST)
        .ok_or_else(|| "there is no TNAuthList".to_owned())
        .and_then(|(_, der)| TnAuthList::from_der(der).map_err(|e| e.message().to_owned()));
    let spc = list.as_ref().ok().and_then(|list| list.spcs.first()).map(String::as_str);
    rule("version", expect(certificate.version() == 3, || "it is not of version 3".into()));
    rule("key", certificate.public_key_sec1().map(drop).map_err(|e| e.message().to_owned()));
    rule(
        "signature",
        expect(signature_oid(certificate.signature_algorithm()) == Ok(ECDSA_WITH_SHA256), || {
            "it is not ECDSA with SHA-256".into()
        }),
    );
    rule(
        "subject-c",
        expect(certificate.attribute(COUNTRY).is_some(), || "the subject has no C".into()),
    );
    rule(
        "subject-o",
        expect(certificate.attribute(ORGANIZATION).is_some(), || "the subject has no O".into()),
    );
    rule("subject-cn", common_name(certificate, spc));
    rule("spc", service_provider(list.as_ref()));
    rule("tn-auth-list", list.as_ref().map(drop).map_err(Clone::clone));
    rule("policies", policies(certificate, expected));
    let (points, issuer) = crl_points(certificate);
    rule("crl-dp", points);
    rule("crl-issuer", issuer);
    rule("key-usage", key_usage(certificate));
    rule("basic-constraints", basic_constraints(certificate));
    let ids = [SUBJECT_KEY_ID, AUTHORITY_KEY_ID];
    rule(
        "key-ids",
        expect(ids.iter().all(|id| certificate.extension(*id).is_some()), || {
            "subjectKeyIdentifier or authorityKeyIdentifier is missing".into()
        }),
    );
    found
}

/// Whether the common name is that of the service provider code, as `spc_match` asks.
pub(crate) fn common_name(certificate: &Certificate, spc: Option<&str>) -> Result<(), String> {
    let name = certificate.attribute(COMMON_NAME);
    match (name.as_deref(), spc) {
        (Some(name), Some(spc)) if name.strip_prefix("SHAKEN ") == Some(spc) => Ok(()),
        (Some(name), Some(spc)) => Err(format!("the CN is \"{name}\", not \"SHAKEN {spc}\"")),
        (Some(name), None) => Err(format!("the CN is \"{name}\", and no SPC to compare it with")),
        (None, _) => Err("the subject has no CN".into()),
    }
}

fn service_provider(list: Result<&TnAuthList, &String>) -> Result<(), String> {
    let Ok(list) = list else { return Err("there is no SPC".into()) };
    match list.spcs.as_slice() {
        [spc] if spc.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()) => Ok(()),
        [spc] => Err(format!("SPC \"{spc}\" is not of capital letters and digits")),
        [] => Err("the TNAuthList has no SPC".into()),
        several => Err(format!("the TNAuthList has {} SPCs, not one", several.len())),
    }
}

fn policies(certificate: &Certificate, expected: &Policies) -> Result<(), String> {
    if *expected == Policies::None {
        return Ok(());
    }
    let Some((critical, der)) = certificate.extension(CERTIFICATE_POLICIES) else {
        return Err("there are no certificatePolicies".into());
    };
    let policies = CertificatePolicies::from_der(der)
        .map_err(|e| format!("the certificatePolicies make no sense: {e}"))?;
    match policies.0.as_slice() {
        _ if critical => Err("the certificatePolicies are critical".into()),
        [policy] if expected.holds(policy.policy_identifier) => Ok(()),
        [policy] => Err(format!("policy {} is not among cert_policies", policy.policy_identifier)),
        several => Err(format!("there are {} certificatePolicies, not one", several.len())),
    }
}

fn crl_points(certificate: &Certificate) -> (Result<(), String>, Result<(), String>) {
    let Some((_, der)) = certificate.extension(CRL_DISTRIBUTION_POINTS) else {
        let missing = || Err("there is no CRL distribution point".into());
        return (missing(), missing());
    };
    match CrlDistributionPoints::from_der(der) {
        Ok(points) => {
            let issuer = points.0.iter().all(|point| point.crl_issuer.is_some());
            let named = points.0.iter().all(|point| point.distribution_point.is_some());
            (
                expect(named, || "a CRL distribution point names no place".into()),
                expect(issuer, || "a CRL distribution point names no cRLIssuer".into()),
            )
        }
        Err(e) => {
            let wrong = format!("the CRL distribution points make no sense: {e}");
            (Err(wrong.clone()), Err(wrong))
        }
    }
}

fn key_usage(certificate: &Certificate) -> Result<(), String> {
    let critical = certificate.extension(KEY_USAGE).is_some_and(|(critical, _)| critical);
    match certificate.key_usage() {
        Ok(Some(usage)) if usage.0.into_iter().count() == 1 && usage.digital_signature() => {
            expect(critical, || "the keyUsage is not critical".into())
        }
        Ok(Some(_)) => Err("the keyUsage is not digitalSignature alone".into()),
        Ok(None) => Err("there is no keyUsage".into()),
        Err(e) => Err(format!("the keyUsage makes no sense: {e}")),
    }
}

fn basic_constraints(certificate: &Certificate) -> Result<(), String> {
    match certificate.basic_constraints() {
        Ok(Some(constraints)) => expect(!constraints.ca, || "it is a CA certificate".into()),
        Ok(None) => Err("there are no basicConstraints".into()),
        Err(e) => Err(format!("the basicConstraints make no sense: {e}")),
    }
}

fn expect(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}
