//! Who may sign a list: the certificates and keys that an operator names, and those that lead to
//! them.

use super::path::Search;
use super::watched::signer_of;
use crate::authority::TN_AUTH_LIST;
use crate::cert::{self, Certificate, MAX_CHAIN_CERTIFICATES};
use crate::clock::time;
use crate::error::{Code, Error, Result};
use crate::file;
use crate::key::{SIGNATURE_LEN, VerifyingKey};
use crate::pem::{self, SectionKind};
use std::path::{Path, PathBuf};

/// Most certificates and keys in one file: an administrator has one or two at a time.
const MAX_SIGNERS: usize = 64;

/// Who may sign a list.
pub(super) struct Signers {
    /// The file that names them.
    path: PathBuf,
    keys: Vec<VerifyingKey>,
    certificates: Vec<Certificate>,
    /// Certificates beside the list: nobody trusts them by themselves.
    beside: Vec<Certificate>,
}

impl Signers {
    /// All certificates and public keys of a file, and those beside the list.
    ///
    /// # Errors
    /// [`Code::CertProcessing`]: no file is named, it can't be read, or holds neither.
    pub(super) fn read(path: &Path, list: &Path) -> Result<Self> {
        if path.as_os_str().is_empty() {
            return Err(wrong(
                "is a signed list: name the certificate or key of who signed it (trust_anchors_key)",
            ));
        }
        let unreadable =
            |why: &str| wrong(format!("is a signed list, but trust_anchors_key: {why}"));
        let (_, text) = file::read_path(path).map_err(|e| unreadable(e.message()))?;
        let (mut keys, mut certificates) = (Vec::new(), Vec::new());
        for block in pem::blocks(&text) {
            let (kind, der) = block
                .map_err(|why| unreadable(&format!("\"{}\" is not PEM: {why}", path.display())))?;
            let named = |e: Error| unreadable(&format!("\"{}\": {}", path.display(), e.message()));
            match kind {
                SectionKind::Certificate => {
                    certificates.push(Certificate::from_der(&der).map_err(named)?);
                }
                SectionKind::PublicKey => {
                    keys.push(VerifyingKey::from_spki(&der).map_err(named)?);
                }
                _ => {}
            }
            if keys.len() + certificates.len() > MAX_SIGNERS {
                return Err(unreadable(&format!(
                    "\"{}\" holds more than {MAX_SIGNERS} certificates and keys",
                    path.display()
                )));
            }
        }
        if keys.is_empty() && certificates.is_empty() {
            return Err(unreadable(&format!(
                "\"{}\" holds no PEM certificate or public key",
                path.display()
            )));
        }
        let signer = signer_of(list);
        let beside = match signer.try_exists() {
            Ok(false) => Vec::new(),
            _ => file::read_path(&signer)
                .and_then(|(_, text)| cert::all_from_pem(&text, MAX_CHAIN_CERTIFICATES))
                .map_err(|e| {
                    wrong(format!(
                        "is a list, but \"{}\" beside it: {}",
                        signer.display(),
                        e.message()
                    ))
                })?,
        };
        Ok(Self { path: path.to_owned(), keys, certificates, beside })
    }

    /// Whether one of them made this signature: a key or certificate that is named, or one that
    /// leads to a named CA. `chain` came with the list, the signer's certificate first.
    ///
    /// # Errors
    /// [`Code::CertProcessing`] if none did, or none that counts at this time.
    pub(super) fn check(
        &self,
        signed: &str,
        signature: &[u8; SIGNATURE_LEN],
        chain: &[Certificate],
        now: i64,
    ) -> Result<()> {
        let signed_by = |certificate: &&Certificate| {
            let key = certificate.public_key_sec1().and_then(VerifyingKey::from_point);
            key.is_ok_and(|key| key.verify(signed.as_bytes(), signature))
        };
        if self.keys.iter().any(|key| key.verify(signed.as_bytes(), signature)) {
            return Ok(());
        }
        let file = self.path.display();
        let mut why =
            format!("is a list that the certificates and keys in \"{file}\" did not sign");
        for certificate in self.certificates.iter().filter(signed_by) {
            match in_time(certificate, now) {
                Ok(()) => return Ok(()),
                Err(when) => {
                    why = format!(
                        "is a list that the certificate of \"{}\" in \"{file}\" signed, which {when}: put the administrator's present one there",
                        certificate.subject()
                    );
                }
            }
        }
        let anchors: Vec<Certificate> =
            self.certificates.iter().filter(|one| is_ca(one)).cloned().collect();
        let (anchors, between) = ([&anchors[..]], [chain, &self.beside[..]]);
        let search = Search { anchors: &anchors, intermediates: &between, now };
        for certificate in chain.iter().take(1).chain(&self.beside).filter(signed_by) {
            let refused = match search.find(certificate) {
                Ok(path) => match may_sign(&path) {
                    Ok(()) => return Ok(()),
                    Err(why) => format!("\"{}\" {why}", certificate.subject()),
                },
                Err(e) => e.message().to_owned(),
            };
            why = format!("is a list whose signer does not lead to a CA in \"{file}\": {refused}");
        }
        Err(wrong(why))
    }
}

/// Any holder of a certificate below the CA could sign a list with anchors of its own. So one that
/// signs calls may not, nor one that issues certificates, and who got numbers has no part in it.
fn may_sign(path: &[&Certificate]) -> Result<(), &'static str> {
    let below = path.get(..path.len().saturating_sub(1)).unwrap_or_default();
    if below.iter().any(|certificate| certificate.extension(TN_AUTH_LIST).is_some()) {
        return Err("or its issuer has a TNAuthList: it signs calls, not lists");
    }
    let Some(signer) = below.first() else { return Ok(()) };
    if is_ca(signer) {
        return Err("is a CA: it signs certificates, not lists");
    }
    match signer.key_usage() {
        Ok(None) => Ok(()),
        Ok(Some(usage)) if usage.digital_signature() => Ok(()),
        _ => Err("has a keyUsage without digitalSignature"),
    }
}

fn is_ca(certificate: &Certificate) -> bool {
    certificate.basic_constraints().is_ok_and(|found| found.is_some_and(|found| found.ca))
}

fn in_time(certificate: &Certificate, now: i64) -> Result<(), String> {
    if now > certificate.not_after() {
        return Err(format!("expired at {}", time(certificate.not_after())));
    }
    if now < certificate.not_before() {
        return Err(format!("is not valid before {}", time(certificate.not_before())));
    }
    Ok(())
}

fn wrong(why: impl Into<String>) -> Error {
    Error::new(Code::CertProcessing, why)
}
