//! Which certificates are trusted (RFC 8226 §7, RFC 5280 §6), by the `CertVerify` bits.

mod budget;
mod crl;
mod list;
mod path;
mod signature;
mod standing;
mod watched;

pub(crate) use budget::Budget;
pub use budget::{MAX_CHAIN_COST, MAX_MESSAGE_COST};
pub use path::MAX_PATH_LEN;
pub use signature::signature_oid;
pub use standing::Standing;

use crate::authority::TnAuthList;
use crate::cert::{self, Certificate, Chain};
use crate::cert_verify::CertVerify;
use crate::clock::{Clock, SystemClock, time};
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crl::Crl;
use path::Search;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use watched::{Anew, Kind, Watched};

/// Largest file of trust anchors or intermediates: a distribution's bundle has 220 KiB.
const MAX_CA_LEN: usize = 4 * 1024 * 1024;
/// Most certificates in one: a distribution's bundle has 140.
const MAX_CA_CERTIFICATES: usize = 2048;
/// Largest file of CRLs: an entry takes 40 octets, with certificateIssuer 200.
const MAX_CRL_LEN: usize = 32 * 1024 * 1024;

static CA_FILE: Kind = CA_KIND;
const CA_KIND: Kind = Kind {
    option: "CertCAFile",
    missing: Code::CaFileMissing,
    unreadable: Code::CaFileRead,
    max_len: MAX_CA_LEN,
    folder: false,
};
static TRUST_ANCHORS: Kind = Kind { option: "trust_anchors", folder: true, ..CA_KIND };
static CRL: Kind = Kind { option: "crl", folder: true, ..CRL_KIND };
static INTER_FILE: Kind = Kind {
    option: "CertCAInter",
    missing: Code::InterFileMissing,
    unreadable: Code::InterFileRead,
    max_len: MAX_CA_LEN,
    folder: false,
};
static CRL_FILE: Kind = CRL_KIND;
const CRL_KIND: Kind = Kind {
    option: "CertCRLFile",
    missing: Code::CrlFileMissing,
    unreadable: Code::CrlFileRead,
    max_len: MAX_CRL_LEN,
    folder: false,
};

/// Judges certificate chains. Files are read on first use, or by [`Trust::load`], and again when
/// they change; it is looked once a second at most.
pub struct Trust {
    bits: CertVerify,
    anchors: Watched<Certificate>,
    intermediates: Watched<Certificate>,
    crls: Watched<Crl>,
    /// The system's roots, read once: they change with a package, and then a service is restarted.
    system: OnceLock<Result<Vec<Certificate>>>,
}

impl Trust {
    /// As the settings say. Reads nothing.
    pub fn new(config: &Config) -> Self {
        let (mut anchors, mut crls) = ((&CA_FILE, &config.ca_file), (&CRL_FILE, &config.crl_file));
        if !config.trust_anchors.as_os_str().is_empty() {
            anchors = (&TRUST_ANCHORS, &config.trust_anchors);
        }
        if !config.crl.as_os_str().is_empty() {
            crls = (&CRL, &config.crl);
        }
        let key = config.trust_anchors_key.clone();
        Self {
            bits: config.checked(),
            anchors: Watched::new(anchors.0, anchors.1, in_time, move |text| {
                read_anchors(text, &key)
            }),
            intermediates: Watched::new(
                &INTER_FILE,
                &config.inter_file,
                |_| Ok(()),
                read_intermediates,
            ),
            crls: Watched::new(crls.0, crls.1, up_to_date, crl::read_file),
            system: OnceLock::new(),
        }
    }

    /// Whether anything at all is checked of a certificate.
    pub fn checks(&self) -> bool {
        self.bits.bits() != 0
    }

    /// Reads all files that the `CertVerify` bits ask for, so that what is wrong with them is said
    /// at start.
    ///
    /// # Errors
    /// [`Code::CaFileMissing`] to [`Code::CrlFileRead`] for files; [`Code::CertProcessing`] for
    /// trust anchors that are none.
    pub fn load(&self) -> Result<()> {
        self.material().map(|_| ())
    }

    /// Reads all files anew, and puts them into force if all of them are good.
    ///
    /// # Errors
    /// As [`Trust::load`]; everything stays as it was then.
    pub fn reload(&self) -> Result<Reloaded> {
        if self.bits.bits() == 0 || self.bits.has(CertVerify::TIME_ONLY) {
            return Ok(Reloaded::default());
        }
        let (mut count, bits) = (Reloaded::default(), self.bits);
        let anchors = anew(bits, CertVerify::CUSTOM_CA, &self.anchors, &mut count.anchors)?;
        let between =
            anew(bits, CertVerify::INTERMEDIATES, &self.intermediates, &mut count.intermediates)?;
        let crls = anew(bits, CertVerify::CRL, &self.crls, &mut count.crls)?;
        // All are good: from here on nothing fails.
        anchors.into_iter().for_each(|anew| self.anchors.replace(anew));
        between.into_iter().for_each(|anew| self.intermediates.replace(anew));
        crls.into_iter().for_each(|anew| self.crls.replace(anew));
        Ok(count)
    }

    /// Grows whenever a file of trust anchors, intermediates or CRLs has changed: a verdict from
    /// before says nothing any more.
    pub fn generation(&self) -> u64 {
        // What is wrong is said where the certificates are needed.
        let _ = self.material();
        self.anchors.changes() + self.intermediates.changes() + self.crls.changes()
    }

    /// Judges a chain at this time (Unix seconds), and says until when that holds: the end of the
    /// first certificate of the path, or CRL, that runs out.
    ///
    /// # Errors
    /// [`Code::CertExpired`] and [`Code::CertNotYetValid`] for the signer's certificate where its
    /// time is asked for; [`Code::CertInvalid`] where no path leads to a trust anchor;
    /// [`Code::CertRevoked`]; what [`Trust::load`] says of files; [`Code::CrlFileRead`] for a CRL
    /// that does not count.
    pub fn verify(&self, chain: &Chain, now: i64) -> Result<i64> {
        self.judge(chain, now, &Budget::default()).map(|judged| judged.until)
    }

    /// The same, paid for from a message's budget; and which of the certificates that the signer sent
    /// the path leads over.
    ///
    /// # Errors
    /// As [`Trust::verify`]; [`Code::CertBudget`] if other chains of the message have left too little.
    pub(crate) fn judge(&self, chain: &Chain, now: i64, budget: &Budget) -> Result<Judged> {
        let leaf = chain.leaf();
        if self.bits.has(CertVerify::TIME | CertVerify::TIME_ONLY) {
            check_time(leaf, now)?;
        }
        let Some(material) = self.material()? else {
            return Ok(Judged { until: leaf.not_after(), used: Arc::default() });
        };
        let system = self.system_roots()?;
        let anchors: [&[Certificate]; 2] = [&material.anchors, system];
        // Ours first: what a signer sends costs nothing where they suffice.
        let intermediates: [&[Certificate]; 2] = [&material.intermediates, chain.rest()];
        let search = Search { anchors: &anchors, intermediates: &intermediates, now };
        let path = search.find_within(leaf, budget)?;
        check_scope(&path)?;
        let crls = || material.crls.iter().filter(|crl| !crl.is_replaced(&material.crls, now));
        for crl in crls() {
            crl.check(&search)?;
        }
        // An anchor is trusted because it is here: no CRL takes that away.
        let judged = path.iter().take(path.len().saturating_sub(1).max(1));
        for certificate in judged {
            if material.crls.iter().any(|crl| crl.revokes(certificate)) {
                return Err(crl::revoked(certificate));
            }
        }
        let ends = path.iter().map(|certificate| certificate.not_after());
        let updates = crls().map(Crl::next_update);
        let until = ends.chain(updates).fold(i64::MAX, i64::min);
        let is_used = |sent: &&Certificate| path.iter().any(|used| std::ptr::eq(*used, *sent));
        Ok(Judged { until, used: chain.rest().iter().filter(is_used).cloned().collect() })
    }

    /// The files' contents, for the bits that are set; `None` where no chain is asked for.
    fn material(&self) -> Result<Option<Material>> {
        if self.bits.bits() == 0 || self.bits.has(CertVerify::TIME_ONLY) {
            return Ok(None);
        }
        self.system_roots()?;
        Ok(Some(Material {
            anchors: self.watched(CertVerify::CUSTOM_CA, &self.anchors)?,
            intermediates: self.watched(CertVerify::INTERMEDIATES, &self.intermediates)?,
            crls: self.watched(CertVerify::CRL, &self.crls)?,
        }))
    }

    fn watched<T>(&self, bit: u32, file: &Watched<T>) -> Result<Arc<Vec<T>>> {
        if self.bits.has(bit) { file.get() } else { Ok(Arc::default()) }
    }

    /// The system's roots where they are asked for: by their bit, or by no bit for anchors at all,
    /// as the stock library has it.
    fn system_roots(&self) -> Result<&[Certificate]> {
        if self.bits.has(CertVerify::CUSTOM_CA) && !self.bits.has(CertVerify::SYSTEM_CA) {
            return Ok(&[]);
        }
        match self.system.get_or_init(read_system_roots) {
            Ok(roots) => Ok(roots),
            Err(e) => Err(e.clone()),
        }
    }
}

/// Each TNAuthList of a path holds those below it (RFC 8226 §9, RFC 9060 §4): who got some numbers
/// from a provider, with a certificate to issue others, passes on no more than these.
fn check_scope(path: &[&Certificate]) -> Result<()> {
    for pair in path.windows(2) {
        let &[certificate, issuer] = pair else { continue };
        let Some(scope) = TnAuthList::of(issuer)? else { continue };
        if !TnAuthList::of(certificate)?.is_some_and(|list| scope.encompasses(&list)) {
            return Err(Error::new(
                Code::CertAuthority,
                format!(
                    "the certificate of \"{}\" (serial {}) has no TNAuthList within that of its issuer",
                    certificate.subject(),
                    certificate.serial()
                ),
            ));
        }
    }
    Ok(())
}

/// What came of a chain.
pub(crate) struct Judged {
    /// Until when that holds (Unix seconds).
    pub(crate) until: i64,
    /// The certificates behind the signer's that its path leads over.
    pub(crate) used: Arc<[Certificate]>,
}

/// What [`Trust::reload`] has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Trust anchors.
    pub anchors: usize,
    /// Intermediate certificates.
    pub intermediates: usize,
    /// CRLs.
    pub crls: usize,
}

fn anew<T>(
    bits: CertVerify,
    bit: u32,
    file: &Watched<T>,
    count: &mut usize,
) -> Result<Option<Anew<T>>> {
    if !bits.has(bit) {
        return Ok(None);
    }
    let anew = file.read_anew()?;
    *count = anew.value.len();
    Ok(Some(anew))
}

/// Refuses trust anchors of which none counts any more.
fn in_time(anchors: &[Certificate]) -> Result<()> {
    let ends = anchors.iter().map(Certificate::not_after).max();
    match ends.filter(|end| *end < SystemClock.now()) {
        Some(end) => Err(Error::new(
            Code::CertInvalid,
            format!("no trust anchor in it is in time, the last expired at {}", time(end)),
        )),
        None => Ok(()),
    }
}

/// Refuses CRLs with which every check would fail.
fn up_to_date(crls: &[Crl]) -> Result<()> {
    let now = SystemClock.now();
    crls.iter().filter(|crl| !crl.is_replaced(crls, now)).try_for_each(|crl| crl.check_end(now))
}

struct Material {
    anchors: Arc<Vec<Certificate>>,
    intermediates: Arc<Vec<Certificate>>,
    crls: Arc<Vec<Crl>>,
}

fn check_time(leaf: &Certificate, now: i64) -> Result<()> {
    if now > leaf.not_after() {
        return Err(Error::new(
            Code::CertExpired,
            format!(
                "the certificate of \"{}\" expired at {}",
                leaf.subject(),
                time(leaf.not_after())
            ),
        ));
    }
    if now < leaf.not_before() {
        return Err(Error::new(
            Code::CertNotYetValid,
            format!(
                "the certificate of \"{}\" is not valid before {}; check this machine's clock",
                leaf.subject(),
                time(leaf.not_before())
            ),
        ));
    }
    Ok(())
}

fn read_anchors(text: &[u8], list_key: &Path) -> Result<Vec<Certificate>> {
    if list::is_list(text) {
        return list::read(text, list_key);
    }
    let found = cert::all_from_pem(text, MAX_CA_CERTIFICATES)
        .map_err(|e| Error::new(Code::CertProcessing, format!("is of no use: {}", e.message())))?;
    if found.is_empty() {
        return Err(Error::new(
            Code::CertProcessing,
            "holds no PEM certificate (-----BEGIN CERTIFICATE-----), so nobody would be trusted",
        ));
    }
    Ok(found)
}

fn read_intermediates(text: &[u8]) -> Result<Vec<Certificate>> {
    let found = cert::all_from_pem(text, MAX_CA_CERTIFICATES)
        .map_err(|e| Error::new(Code::InterFileRead, format!("is of no use: {}", e.message())))?;
    if found.is_empty() {
        return Err(Error::new(
            Code::InterFileRead,
            "holds no PEM certificate (-----BEGIN CERTIFICATE-----)",
        ));
    }
    Ok(found)
}

/// The system's roots; one that can't be read is passed over, for they are not ours to mend.
fn read_system_roots() -> Result<Vec<Certificate>> {
    let found = rustls_native_certs::load_native_certs();
    let roots: Vec<_> =
        found.certs.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
    if roots.is_empty() {
        return Err(Error::new(
            Code::CertProcessing,
            format!(
                "the system has no root certificates ({}): install ca-certificates, or set CertVerify to 4 and name a CertCAFile",
                found.errors.first().map_or_else(|| "none found".into(), ToString::to_string)
            ),
        ));
    }
    Ok(roots)
}
