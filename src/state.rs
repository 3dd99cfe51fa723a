//! The settings, and what a process signs and verifies with.

use fetcher::{Address, RemoteFetcher, Shutdown};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use stir::{Config, Error, Policy, Reason, Report, Signer, SystemClock, Verifier};

/// All settings of the module.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    /// Those of the core.
    pub(crate) core: Config,
    /// Processes that fetch certificates for all others; 0 lets each fetch its own.
    pub(crate) fetchers: u32,
    /// What they keep and for how long; their `http` is `core`.
    pub(crate) fetcher: fetcher::Settings,
    /// How `$secsipid(reason_hdr)` is written.
    pub(crate) reason: Reason,
    /// Whether signing adds a Date header where there is none; `None` for the policy's default.
    pub(crate) add_date: Option<bool>,
    /// The caller's name that goes into tokens: text with pseudo-variables.
    pub(crate) rcd_nam: String,
}

/// Most fetcher processes: one has served 5,000 requests a second.
const MAX_FETCHERS: u32 = 16;

impl Settings {
    /// The fetchers' sockets, in an order that is the same in every process. They have no file:
    /// they are gone with the processes.
    fn addresses(&self) -> impl Iterator<Item = Address> {
        let main = MAIN.get().copied().unwrap_or_default();
        (0..self.fetchers).map(move |n| Address::new(&format!("@secsipid-{main}-{n}")))
    }

    /// What a fetcher is started with.
    fn for_fetcher(&self) -> fetcher::Settings {
        fetcher::Settings { http: self.core.clone(), ..self.fetcher.clone() }
    }
}

/// The process that forks the others.
static MAIN: OnceLock<u32> = OnceLock::new();
/// Where fetchers will listen: made before the fork, so that nobody asks in vain.
static LISTENERS: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

/// Set as the cfg is read.
static SETTINGS: Mutex<Option<Settings>> = Mutex::new(None);
/// What Kamailio forks with: neither service opens a socket or starts a thread before it needs one,
/// so every process inherits them, with the trust anchors and CRLs that were good at start.
static READY: OnceLock<Ready> = OnceLock::new();

struct Ready {
    settings: Settings,
    signer: Signer,
    verifier: Verifier,
    /// To ask the fetchers for more than certificates.
    remote: Option<RemoteFetcher>,
}

impl Ready {
    fn new(settings: Settings) -> Self {
        let remote = || {
            let timeout = Duration::from_secs(settings.core.timeout.into());
            RemoteFetcher::new(settings.addresses(), timeout)
        };
        let (verifier, remote) = if settings.fetchers == 0 {
            (Verifier::new(&settings.core), None)
        } else {
            // The folder is the fetchers' then.
            let core = Config { cache_dir: PathBuf::new(), ..settings.core.clone() };
            let verifier = Verifier::with(&core, Arc::new(SystemClock), Box::new(remote()));
            (verifier, Some(remote()))
        };
        Self { signer: Signer::new(&settings.core), verifier, remote, settings }
    }
}

/// Changes the settings; only while the cfg is read.
pub(crate) fn configure(
    change: impl FnOnce(&mut Settings) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut settings = lock();
    let settings = settings.get_or_insert_default();
    // What is wrong is said once, and not of each parameter behind it.
    let mut changed = settings.clone();
    change(&mut changed)?;
    changed.core.check_values()?;
    *settings = changed;
    Ok(())
}

/// Checks the settings before Kamailio forks, and reads the files that they name.
pub(crate) fn init() -> Result<(), Error> {
    let settings = lock().get_or_insert_default().clone();
    settings.core.check_settings()?;
    if !settings.core.checks_chains() {
        log::warn!(
            "no trust anchors: any certificate is accepted; set trust_anchors to the file or folder of the trusted CAs"
        );
    }
    if settings.fetchers > MAX_FETCHERS {
        return Err(wrong(format!(
            "fetchers {} is not from 0 to {MAX_FETCHERS}",
            settings.fetchers
        )));
    }
    MAIN.get_or_init(std::process::id);
    if settings.fetchers > 0 {
        settings.for_fetcher().validate()?;
    }
    for address in settings.addresses() {
        let listener = address
            .listen()
            .map_err(|e| wrong(format!("a fetcher can't listen at {address}: {e}")))?;
        listeners().push(listener);
    }
    READY.get_or_init(|| Ready::new(settings)).verifier.load()
}

fn wrong(message: String) -> Error {
    Error::new(stir::Code::Generic, message)
}

/// How many fetchers are to be forked.
pub(crate) fn fetchers() -> u32 {
    ready().settings.fetchers
}

/// The names of the fetchers' counters; none without fetchers.
pub(crate) fn fetcher_counters() -> Vec<&'static str> {
    match ready().remote {
        Some(_) => fetcher::Stats::default().named().into_iter().map(|(name, _)| name).collect(),
        None => Vec::new(),
    }
}

/// The counter with this number, of all fetchers together. Asked of them once a second at most:
/// who looks at one looks at all.
pub(crate) fn fetcher_counter(number: usize) -> Option<u64> {
    const FRESH: Duration = Duration::from_secs(1);
    let mut last = STATS.lock().unwrap_or_else(PoisonError::into_inner);
    if last.as_ref().is_none_or(|(asked, _)| asked.elapsed() >= FRESH) {
        let stats = ready().remote.as_ref()?.stats().unwrap_or_default();
        *last = Some((Instant::now(), stats));
    }
    let (_, stats) = last.as_ref()?;
    stats.named().get(number).map(|(_, value)| *value)
}

/// When the fetchers were asked for their counters last, and what they said.
static STATS: Mutex<Option<(Instant, fetcher::Stats)>> = Mutex::new(None);

/// Serves as this fetcher until the process ends.
pub(crate) fn serve(number: usize) {
    let mut all = std::mem::take(&mut *listeners());
    if number >= all.len() {
        return;
    }
    let own = all.swap_remove(number);
    drop(all);
    if let Err(error) = fetcher::run(&ready().settings.for_fetcher(), own, &Shutdown::new()) {
        log::error!("{error}");
    }
}

/// Closes what only fetchers listen at: if one of them dies, nobody shall wait for it.
pub(crate) fn close_listeners() {
    listeners().clear();
}

fn listeners() -> std::sync::MutexGuard<'static, Vec<UnixListener>> {
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
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
