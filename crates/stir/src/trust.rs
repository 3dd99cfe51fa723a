//! Which certificates are trusted (RFC 8226 §7, RFC 5280 §6), by the `CertVerify` bits.

mod budget;
mod coverage;
mod crl;
mod document;
mod list;
mod path;
mod sequences;
mod signature;
mod signers;
mod standing;
mod watched;

pub(crate) use budget::Budget;
use budget::CRL_COST;
pub use budget::{MAX_CHAIN_COST, MAX_MESSAGE_COST};
pub use path::MAX_PATH_LEN;
pub use signature::signature_oid;
pub use standing::Standing;

use crate::authority::TnAuthList;
use crate::cert::{Certificate, Chain};
use crate::cert_verify::CertVerify;
use crate::clock::{Clock, SystemClock, time};
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crl::Crl;
use document::{Document, Phase};
use list::Use;
use path::Search;
use sequences::Sequences;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use watched::{Judge, Kind, Refusal, Watched};

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
static INTER_FILE: Kind = INTER_KIND;
const INTER_KIND: Kind = Kind {
    option: "CertCAInter",
    missing: Code::InterFileMissing,
    unreadable: Code::InterFileRead,
    max_len: MAX_CA_LEN,
    folder: false,
};
static TRUST_INTERMEDIATES: Kind =
    Kind { option: "trust_intermediates", folder: true, ..INTER_KIND };
static CRL_FILE: Kind = CRL_KIND;
const CRL_KIND: Kind = Kind {
    option: "CertCRLFile",
    missing: Code::CrlFileMissing,
    unreadable: Code::CrlFileRead,
    max_len: MAX_CRL_LEN,
    folder: false,
};

/// How often an operator is told that a list runs out, in seconds: once a day.
const WARN_EVERY: i64 = 86_400;

/// Judges certificate chains. Files are read on first use, or by [`Trust::load`], and again when
/// they change; it is looked once a second at most.
pub struct Trust {
    bits: CertVerify,
    clock: Arc<dyn Clock>,
    /// Seconds that a list stays in force after it ran out.
    stale: i64,
    /// Whether each certificate of a path must be covered by a CRL.
    crl_required: bool,
    anchors: Watched<Document>,
    intermediates: Watched<Document>,
    crls: Watched<Crl>,
    sequences: Sequences,
    /// Whether this process logs what is wrong with files.
    speaks: Arc<AtomicBool>,
    /// Which lists an operator was told of: their phase, and when.
    warned: Mutex<Vec<(PathBuf, Phase, i64)>>,
    /// The system's roots, read once: they change with a package, and then a service is restarted.
    system: OnceLock<Result<Vec<Certificate>>>,
}

impl Trust {
    /// As the settings say, by the system's clock. Reads nothing.
    pub fn new(config: &Config) -> Self {
        Self::with_clock(config, Arc::new(SystemClock))
    }

    /// The same by another clock, which says what of the files counts when they are read.
    pub fn with_clock(config: &Config, clock: Arc<dyn Clock>) -> Self {
        let named = |path: &Path| !path.as_os_str().is_empty();
        let (mut anchors, mut crls) = ((&CA_FILE, &config.ca_file), (&CRL_FILE, &config.crl_file));
        let mut between = (&INTER_FILE, &config.inter_file);
        if named(&config.trust_anchors) {
            anchors = (&TRUST_ANCHORS, &config.trust_anchors);
        }
        if named(&config.trust_intermediates) {
            between = (&TRUST_INTERMEDIATES, &config.trust_intermediates);
        }
        if named(&config.crl) {
            crls = (&CRL, &config.crl);
        }
        let anchors_key = config.trust_anchors_key.clone();
        let between_key = match named(&config.trust_intermediates_key) {
            true => config.trust_intermediates_key.clone(),
            false => anchors_key.clone(),
        };
        let speaks = Arc::new(AtomicBool::new(true));
        let documents = |(kind, path): (&'static Kind, &PathBuf), what, key: PathBuf| {
            let (beside, clock) = (key.clone(), Arc::clone(&clock));
            Watched::new(kind, path, &beside, &speaks, move |path, text| {
                Ok(vec![Document::read(path, text, what, &key, clock.now())?])
            })
        };
        Self {
            bits: config.checked(),
            stale: config.trust_anchors_stale.into(),
            crl_required: config.crl_required(),
            anchors: documents(anchors, Use::Anchors, anchors_key),
            intermediates: documents(between, Use::Intermediates, between_key),
            crls: Watched::new(crls.0, crls.1, Path::new(""), &speaks, |_, text| {
                crl::read_file(text)
            }),
            sequences: Sequences::new(config.sequences_dir()),
            speaks,
            warned: Mutex::default(),
            system: OnceLock::new(),
            clock,
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
    /// trust anchors that can't be used.
    pub fn load(&self) -> Result<()> {
        self.material()?;
        self.warn_of_lists();
        Ok(())
    }

    /// Reads all files anew, and puts them into force if all of them are good.
    ///
    /// # Errors
    /// As [`Trust::load`]; everything stays as it was then.
    pub fn reload(&self) -> Result<Reloaded> {
        if self.bits.bits() == 0 || self.bits.has(CertVerify::TIME_ONLY) {
            return Ok(Reloaded::default());
        }
        let now = self.clock.now();
        let documents = |bit, file: &Watched<Document>| {
            let judge =
                |new: &[_], old: Option<&[_]>| document::judge(new, old, &self.sequences, now);
            self.bits.has(bit).then(|| file.read_anew(judge)).transpose()
        };
        let anchors = documents(CertVerify::CUSTOM_CA, &self.anchors)?;
        let between = documents(CertVerify::INTERMEDIATES, &self.intermediates)?;
        let crls = if self.bits.has(CertVerify::CRL) {
            let documents =
                [&anchors, &between].map(|anew| anew.as_ref().map_or(&[][..], |anew| &anew.value));
            let judge = |new: &[_], old: Option<&[_]>| self.judge_crls(new, old, documents, now);
            Some(self.crls.read_anew(judge)?)
        } else {
            None
        };
        let count = |documents: &Option<watched::Anew<Document>>| {
            let all = documents.iter().flat_map(|anew| &anew.value);
            all.map(|document| document.certificates.len()).sum()
        };
        let count = Reloaded {
            anchors: count(&anchors),
            intermediates: count(&between),
            crls: crls.as_ref().map_or(0, |anew| anew.value.len()),
        };
        // All are good: from here on nothing fails.
        for (file, anew) in [(&self.anchors, anchors), (&self.intermediates, between)] {
            if let Some(anew) = anew {
                document::remember(&anew.value, &self.sequences);
                file.replace(anew);
            }
        }
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

    /// Whether this process logs what is wrong with the files, as it does from the start. Where many
    /// processes look at the same files, one of them is enough.
    pub fn speak(&self, speaks: bool) {
        self.speaks.store(speaks, Ordering::Relaxed);
    }

    /// Logs which lists run out within a day, ran out, or are no longer in force: once a day, and
    /// when that changes.
    pub fn warn_of_lists(&self) {
        let (now, mut known) =
            (self.clock.now(), self.warned.lock().unwrap_or_else(PoisonError::into_inner));
        let mut still = Vec::new();
        self.ending(|kind, document, phase| {
            let said = known
                .iter()
                .find(|(path, before, _)| *path == document.path && *before == phase)
                .map(|(.., when)| *when)
                .filter(|when| (0..WARN_EVERY).contains(&now.saturating_sub(*when)));
            if said.is_none() {
                log::error!("{}", document.warning(kind, phase, self.stale));
            }
            still.push((document.path.clone(), phase, said.unwrap_or(now)));
        });
        *known = still;
    }

    /// How many lists run out within a day, ran out, or are no longer in force.
    pub fn lists_ending(&self) -> usize {
        let mut count = 0;
        self.ending(|_, _, _| count += 1);
        count
    }

    fn ending(&self, mut each: impl FnMut(&Kind, &Document, Phase)) {
        // What is wrong with files is said where they are needed.
        let Ok(Some(material)) = self.material() else { return };
        let now = self.clock.now();
        for (file, documents) in
            [(&self.anchors, &material.anchors), (&self.intermediates, &material.intermediates)]
        {
            for document in documents.iter() {
                if let Some(phase) = document.phase(now, self.stale) {
                    each(file.kind(), document, phase);
                }
            }
        }
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
        // In a service nobody else does it; among processes, the one that speaks for them.
        if self.speaks.load(Ordering::Relaxed) {
            self.warn_of_lists();
        }
        let leaf = chain.leaf();
        if self.bits.has(CertVerify::TIME | CertVerify::TIME_ONLY) {
            check_time(leaf, now)?;
        }
        let Some(material) = self.material()? else {
            return Ok(Judged { until: leaf.not_after(), used: Arc::default() });
        };
        let mut anchors = self.in_force(&self.anchors, &material.anchors, now)?;
        anchors.push(self.system_roots()?);
        // Ours first: what a signer sends costs nothing where they suffice.
        let mut intermediates = self.in_force(&self.intermediates, &material.intermediates, now)?;
        intermediates.push(chain.rest());
        let search = Search { anchors: &anchors, intermediates: &intermediates, now };
        let path = search.find_within(leaf, budget)?;
        check_scope(&path)?;
        let crls = || {
            let all = material.crls.iter().filter(|crl| crl.concerns(&path));
            all.filter(|crl| !crl.is_replaced(&material.crls, now))
        };
        // Of what the signer sent only the path: a stranger may name any certificate as a CRL's issuer.
        let is_used = |sent: &&Certificate| path.iter().any(|used| std::ptr::eq(*used, *sent));
        let used: Arc<[Certificate]> = chain.rest().iter().filter(is_used).cloned().collect();
        let mut known = intermediates.clone();
        known.pop();
        known.push(&used);
        let search = Search { anchors: &anchors, intermediates: &known, now };
        for crl in crls() {
            budget.add(CRL_COST);
            crl.check(&search)?;
        }
        // An anchor is trusted because it is here: no CRL takes that away.
        let judged = path.iter().take(path.len().saturating_sub(1).max(1));
        for certificate in judged {
            if material.crls.iter().any(|crl| crl.revokes(certificate)) {
                return Err(crl::revoked(certificate));
            }
        }
        if self.crl_required && self.bits.has(CertVerify::CRL) {
            let below = path.iter().take(path.len().saturating_sub(1)).enumerate();
            // A CA that names no CRL has none that anybody could add; the signer must have one.
            for (_, certificate) in below.filter(|(n, one)| *n == 0 || coverage::names_a_crl(one)) {
                if !crls().any(|crl| crl.covers(certificate)) {
                    return Err(coverage::undetermined(certificate));
                }
            }
        }
        let ends = path.iter().map(|certificate| certificate.not_after());
        let updates = crls().map(Crl::next_update);
        let documents = material.anchors.iter().chain(material.intermediates.iter());
        let lists = documents.map(|document| document.end(self.stale)).filter(|end| now < *end);
        let until = ends.chain(updates).chain(lists).fold(i64::MAX, i64::min);
        Ok(Judged { until, used: Arc::clone(&used) })
    }

    /// The certificates of documents that are in force; an error if there are documents and none is.
    fn in_force<'a>(
        &self,
        file: &Watched<Document>,
        documents: &'a [Document],
        now: i64,
    ) -> Result<Vec<&'a [Certificate]>> {
        let all: Vec<_> = documents
            .iter()
            .filter(|document| document.is_in_force(now, self.stale))
            .map(|document| &document.certificates[..])
            .collect();
        match documents.first() {
            Some(document) if all.is_empty() => Err(Error::new(
                match file.kind().unreadable {
                    Code::InterFileRead => Code::InterFileRead,
                    _ => Code::CertProcessing,
                },
                document.warning(file.kind(), Phase::Gone, self.stale),
            )),
            _ => Ok(all),
        }
    }

    /// Judges CRLs before they come into force: each by its signature, its issuer and its dates. A CA
    /// whose certificate only comes with calls can't be asked yet: its CRL is taken at start, or where
    /// one of its own is in force, and judged with the first call.
    fn judge_crls(
        &self,
        new: &[Crl],
        old: Option<&[Crl]>,
        documents: [&[Document]; 2],
        now: i64,
    ) -> Result<(), Refusal> {
        let [anchors, intermediates] = documents;
        let mut roots = self.in_force(&self.anchors, anchors, now).map_err(Refusal::Useless)?;
        roots.push(self.system_roots().map_err(Refusal::Useless)?);
        let mut between =
            self.in_force(&self.intermediates, intermediates, now).map_err(Refusal::Useless)?;
        // Those that came with calls and were found to have signed.
        let met: Vec<Certificate> =
            old.into_iter().flatten().filter_map(Crl::signer).cloned().collect();
        between.push(&met);
        let search = Search { anchors: &roots, intermediates: &between, now };
        let in_use = || new.iter().filter(|crl| !crl.is_replaced(new, now));
        for crl in in_use() {
            crl.check_begin(now).map_err(Refusal::Bad)?;
            let comes_with_calls = || {
                !crl.indirect
                    && old.is_none_or(|old| old.iter().any(|other| other.issuer == crl.issuer))
            };
            if crl.has_issuer_in(&search) || !comes_with_calls() {
                crl.check_signer(&search).map_err(Refusal::Bad)?;
            } else if self.speaks.load(Ordering::Relaxed) {
                log::warn!("{}", crl.unchecked());
            }
        }
        // Every check would fail with it.
        in_use().try_for_each(|crl| crl.check_end(now)).map_err(Refusal::Useless)
    }

    /// The files' contents, for the bits that are set; `None` where no chain is asked for.
    fn material(&self) -> Result<Option<Material>> {
        if self.bits.bits() == 0 || self.bits.has(CertVerify::TIME_ONLY) {
            return Ok(None);
        }
        self.system_roots()?;
        let anchors = self.documents(CertVerify::CUSTOM_CA, &self.anchors)?;
        let intermediates = self.documents(CertVerify::INTERMEDIATES, &self.intermediates)?;
        let mut crls = Arc::default();
        if self.bits.has(CertVerify::CRL) {
            crls = self.crls.get(&Judge {
                judge: &|new, old| {
                    self.judge_crls(new, old, [&anchors, &intermediates], self.clock.now())
                },
                generation: self.anchors.changes() + self.intermediates.changes(),
            })?;
        }
        Ok(Some(Material { anchors, intermediates, crls }))
    }

    fn documents(&self, bit: u32, file: &Watched<Document>) -> Result<Arc<Vec<Document>>> {
        if !self.bits.has(bit) {
            return Ok(Arc::default());
        }
        let before = file.changes();
        let documents = file.get(&Judge {
            judge: &|new, old| document::judge(new, old, &self.sequences, self.clock.now()),
            generation: 0,
        })?;
        if file.changes() != before {
            document::remember(&documents, &self.sequences);
        }
        Ok(documents)
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

struct Material {
    anchors: Arc<Vec<Document>>,
    intermediates: Arc<Vec<Document>>,
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
