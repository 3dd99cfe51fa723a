//! The settings, and what a process signs and verifies with.

use std::sync::{Mutex, OnceLock, PoisonError};
use stir::{Config, Error, Policy, Reason, Report, Signer, Verifier};

/// All settings of the module.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    /// Those of the core.
    pub(crate) core: Config,
    /// How `$secsipid(reason_hdr)` is written.
    pub(crate) reason: Reason,
    /// Whether signing adds a Date header where there is none; `None` for the policy's default.
    pub(crate) add_date: Option<bool>,
    /// The caller's name that goes into tokens: text with pseudo-variables.
    pub(crate) rcd_nam: String,
}

/// Set as the cfg is read.
static SETTINGS: Mutex<Option<Settings>> = Mutex::new(None);
/// What Kamailio forks with: neither service opens a socket or starts a thread before it needs one,
/// so every process inherits them, with the trust anchors and CRLs that were good at start.
static READY: OnceLock<Ready> = OnceLock::new();

struct Ready {
    settings: Settings,
    signer: Signer,
    verifier: Verifier,
}

impl Ready {
    fn new(settings: Settings) -> Self {
        Self {
            signer: Signer::new(&settings.core),
            verifier: Verifier::new(&settings.core),
            settings,
        }
    }
}

/// Changes the settings; only while the cfg is read.
pub(crate) fn configure(
    change: impl FnOnce(&mut Settings) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut settings = lock();
    let settings = settings.get_or_insert_default();
    change(settings)?;
    settings.core.check_values()
}

/// Checks the settings before Kamailio forks, and reads the files that they name.
pub(crate) fn init() -> Result<(), Error> {
    let settings = lock().get_or_insert_default().clone();
    settings.core.validate()?;
    if !settings.core.checks_chains() {
        log::warn!(
            "no trust anchors: any certificate is accepted; set trust_anchors to the file or folder of the trusted CAs"
        );
    }
    READY.get_or_init(|| Ready::new(settings)).verifier.load()
}

/// Signs with the process's keys.
pub(crate) fn signer() -> &'static Signer {
    &ready().signer
}

/// Verifies with the process's certificates.
pub(crate) fn verifier() -> &'static Verifier {
    &ready().verifier
}

/// Whether a message that is signed gets a Date header.
pub(crate) fn adds_date() -> bool {
    let settings = &ready().settings;
    settings.add_date.unwrap_or(settings.core.policy == Policy::Shaken)
}

/// The value of a Reason header field for what failed.
pub(crate) fn reason(report: &Report) -> Option<String> {
    ready().settings.reason.value(report)
}

/// The format of the caller's name, empty for none.
pub(crate) fn name_format() -> &'static str {
    &ready().settings.rcd_nam
}

fn ready() -> &'static Ready {
    READY.get_or_init(|| Ready::new(lock().clone().unwrap_or_default()))
}

fn lock() -> std::sync::MutexGuard<'static, Option<Settings>> {
    SETTINGS.lock().unwrap_or_else(PoisonError::into_inner)
}
