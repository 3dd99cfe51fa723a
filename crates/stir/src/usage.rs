//! Whether a certificate is one that signs calls at all, whatever numbers it is for (RFC 8226,
//! ATIS-1000080 §6.4.1, RFC 5280 §4.2.1). No setting relaxes this: with less, a web server's
//! certificate or a CA's would do.

use crate::cert::Certificate;
use crate::error::{Code, Error, Result};
use der::Decode;
use der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::ExtendedKeyUsage;

/// RFC 5280 §4.2.1.12.
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
/// What an extendedKeyUsage, which SHAKEN's certificates do not need, may hold: anything
/// (RFC 5280 §4.2.1.12), or the signing of JWTs (RFC 9509 §3), which PASSporTs are.
const PURPOSES: [ObjectIdentifier; 2] = [
    ObjectIdentifier::new_unwrap("2.5.29.37.0"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.37"),
];

/// Refuses a certificate that does not sign calls.
///
/// # Errors
/// [`Code::CertProfile`], with the reason.
pub(crate) fn check(certificate: &Certificate) -> Result<()> {
    let why = ca_first(certificate).or_else(|| wrong(certificate));
    why.map_or(Ok(()), |why| Err(Error::new(Code::CertProfile, why)))
}

/// What is to be said of a CA's certificate in the place of the signer's.
pub(crate) fn ca_first(certificate: &Certificate) -> Option<String> {
    let ca = certificate.basic_constraints().is_ok_and(|c| c.is_some_and(|c| c.ca));
    ca.then(|| {
        format!(
            "the first certificate is that of a CA, \"{}\": the signer's must come first, then those of its issuers",
            certificate.subject()
        )
    })
}

fn wrong(certificate: &Certificate) -> Option<String> {
    let constraints = certificate.basic_constraints().map(drop);
    let why = match (constraints, certificate.key_usage(), purpose(certificate)) {
        (Err(e), ..) => format!("its basicConstraints make no sense: {e}"),
        (_, Err(e), _) => format!("its keyUsage makes no sense: {e}"),
        (_, Ok(None), _) => "it has no keyUsage: digitalSignature must be there".into(),
        (_, Ok(Some(usage)), _) if !usage.digital_signature() => {
            "its keyUsage does not let it sign (digitalSignature)".into()
        }
        (.., Err(why)) => why,
        (.., Ok(())) => return None,
    };
    Some(format!("the certificate of \"{}\" does not sign calls: {why}", certificate.subject()))
}

fn purpose(certificate: &Certificate) -> Result<(), String> {
    let Some((_, der)) = certificate.extension(EXTENDED_KEY_USAGE) else { return Ok(()) };
    let purposes = ExtendedKeyUsage::from_der(der)
        .map_err(|e| format!("its extendedKeyUsage makes no sense: {e}"))?
        .0;
    if purposes.iter().any(|purpose| PURPOSES.contains(purpose)) {
        return Ok(());
    }
    let names: Vec<String> = purposes.iter().map(ToString::to_string).collect();
    Err(format!("its extendedKeyUsage is for something else ({})", names.join(", ")))
}
