//! The settings, and what a process signs and verifies with.

use crate::fetchers::{Fetchers, Source, start_clock};
use crate::kamailio::{follow_settings, parse_format, shared};
use crate::shared::{Forget, Seen, digest};
use fetcher::{Address, Handover, Inbox, Shutdown, Waiting};
use std::hash::{BuildHasher, RandomState};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use stir::{
    Checked, Config, Error, HttpFetcher, Policy, Reason, Report, Signer, SystemClock, Verifier,
};

/// All settings of the module.
#[derive(Clone)]
pub(crate) struct Settings {
    /// Those of the core.
    pub(crate) core: Config,
    /// Processes that fetch certificates for all others; 0 lets each fetch its own.
    pub(crate) fetchers: u32,
    /// Processes that go on with calls whose certificates had to be fetched.
    pub(crate) async_workers: u32,
    /// What fetchers keep and for how long; their `http` is `core`.
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
/// Most processes that go on with calls: as many as a large server has workers.
const MAX_ASYNC_WORKERS: u32 = 64;

/// How long a worker waits for room to hand a call over: an async worker takes hundreds in it.
const HANDOVER: Duration = Duration::from_millis(50);

impl Default for Settings {
    fn default() -> Self {
        Self {
            core: Config::default(),
            fetchers: 1,
            async_workers: 1,
            fetcher: fetcher::Settings::default(),
            reason: Reason::default(),
            add_date: None,
            rcd_nam: String::new(),
        }
    }
}

impl Settings {
    /// The fetchers' sockets, in an order that is the same in every process. They have no file:
    /// they are gone with the processes.
    fn addresses(&self) -> impl Iterator<Item = Address> {
        let name = NAME.get().map_or("", String::as_str);
        (0..self.fetchers).map(move |n| Address::new(&format!("{name}-{n}")))
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.core.timeout.into())
    }

    /// What a fetcher is started with.
    fn for_fetcher(&self) -> fetcher::Settings {
        fetcher::Settings { http: self.core.clone(), ..self.fetcher.clone() }
    }
}

/// What the names of the fetchers' sockets begin with: the main process, and a random part that
/// nobody takes before, nor one in another PID namespace.
static NAME: OnceLock<String> = OnceLock::new();
/// Where fetchers will listen: made before the fork, so that nobody asks in vain.
static LISTENERS: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
/// Where calls that wait arrive: made before the fork, closed where nobody takes them.
static INBOX: Mutex<Option<Inbox>> = Mutex::new(None);

/// Set as the cfg is read.
static SETTINGS: Mutex<Option<Settings>> = Mutex::new(None);
/// What Kamailio forks with: neither service opens a socket or starts a thread before it needs one,
/// so every process inherits them, with the trust anchors and CRLs that were good at start.
static READY: OnceLock<Ready> = OnceLock::new();

struct Ready {
    settings: Settings,
    signer: Signer,
    verifier: Verifier,
    fetchers: Option<Arc<Fetchers>>,
    /// Where calls that have to wait go.
    handover: Option<Handover>,
    /// What this process has followed of what all share.
    seen: Seen,
}

impl Ready {
    fn new(settings: Settings, built: &Built, handover: Option<Handover>) -> Self {
        let (source, fetchers) = if settings.fetchers == 0 {
            (Source::Own(Box::new(HttpFetcher::new(&built.signs))), None)
        } else {
            let fetchers = Arc::new(Fetchers::new(settings.addresses(), settings.timeout()));
            (Source::Fetchers(Arc::clone(&fetchers)), Some(fetchers))
        };
        let verifier = Verifier::with(&built.checks, Arc::new(SystemClock), Box::new(source));
        let (signer, seen) = (Signer::new(&built.signs), Seen::default());
        Self { signer, verifier, fetchers, handover, seen, settings }
    }
}

/// What the two services are made of.
#[derive(Default)]
struct Built {
    signs: Checked,
    /// With `fetchers`, `cache_dir` is theirs, but for what is known of lists.
    checks: Checked,
}

impl Built {
    fn of(settings: &Settings) -> Result<Self, Error> {
        let signs = settings.core.clone().build()?;
        let mut checks = settings.core.clone();
        if settings.fetchers > 0 {
            checks.lists_dir = std::mem::take(&mut checks.cache_dir);
        }
        Ok(Self { signs, checks: checks.build()? })
    }
}

/// Changes the settings; only while the cfg is read.
pub(crate) fn configure(
    change: impl FnOnce(&mut Settings) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut settings = guarded(&SETTINGS);
    let settings = settings.get_or_insert_default();
    // What is wrong is said once, and not of each parameter behind it.
    let mut changed = settings.clone();
    change(&mut changed)?;
    changed.core.check_values()?;
    *settings = changed;
    Ok(())
}

/// Checks the settings before Kamailio forks, and reads the files that they name. `transactions`
/// says whether a call can be suspended.
pub(crate) fn init(transactions: bool) -> Result<(), Error> {
    let settings = guarded(&SETTINGS).get_or_insert_default().clone();
    let built = Built::of(&settings)?;
    built.signs.check_files()?;
    settings.core.unused().iter().for_each(|why| log::warn!("{why}"));
    if !settings.core.checks_chains() {
        log::warn!(
            "no trust anchors: secsipid_check and its kin accept any certificate; set trust_anchors to the file or folder of the trusted CAs"
        );
    }
    for (name, value, most) in [
        ("fetchers", settings.fetchers, MAX_FETCHERS),
        ("async_workers", settings.async_workers, MAX_ASYNC_WORKERS),
    ] {
        if value > most {
            return Err(wrong(format!("{name} {value} is not from 0 to {most}")));
        }
    }
    NAME.get_or_init(|| {
        let main = std::process::id();
        format!("@secsipid-{main}-{:016x}", RandomState::new().hash_one(main))
    });
    if settings.fetchers > 0 {
        settings.for_fetcher().validate()?;
    }
    for address in settings.addresses() {
        let listener = address
            .listen()
            .map_err(|e| wrong(format!("a fetcher can't listen at {address}: {e}")))?;
        guarded(&LISTENERS).push(listener);
    }
    let handover = if transactions && settings.fetchers > 0 && settings.async_workers > 0 {
        let pair = Handover::pair(HANDOVER);
        let (handover, inbox) =
            pair.map_err(|e| wrong(format!("calls can't be handed over: {e}")))?;
        *guarded(&INBOX) = Some(inbox);
        Some(handover)
    } else {
        None
    };
    let ready = READY.get_or_init(|| Ready::new(settings, &built, handover));
    let name = ready.settings.rcd_nam.as_str();
    if !parse_format(name) {
        return Err(wrong(format!(
            "rcd_nam \"{name}\" can't be read: give a text with variables that there are, like \"$fn\""
        )));
    }
    ready.verifier.load()
}

fn wrong(message: String) -> Error {
    Error::new(stir::Code::Generic, message)
}

/// How many fetchers are to be forked, and how many async workers.
pub(crate) fn processes() -> (u32, u32) {
    let Ready { settings, handover, .. } = ready();
    (settings.fetchers, handover.as_ref().map_or(0, |_| settings.async_workers))
}

/// The fetchers, if there are any.
pub(crate) fn fetchers() -> Option<&'static Fetchers> {
    ready().fetchers.as_deref()
}

/// Whether calls can wait for their certificates.
pub(crate) fn can_wait() -> Result<&'static Handover, Error> {
    let Ready { handover, settings, .. } = ready();
    handover.as_ref().ok_or_else(|| {
        let needs = if settings.fetchers > 0 && settings.async_workers > 0 {
            "the tm module: load tm.so before secsipid.so"
        } else {
            "modparam fetchers and async_workers above 0"
        };
        wrong(format!("secsipid_fetch_async needs {needs}"))
    })
}

/// For a process that goes on with calls that waited.
pub(crate) fn waiting() -> Result<Waiting, Error> {
    let inbox = guarded(&INBOX).take().ok_or_else(|| wrong("no calls can arrive".into()))?;
    let settings = &ready().settings;
    Waiting::new(inbox, settings.addresses(), settings.timeout())
}

/// The names of the fetchers' counters; none without fetchers.
pub(crate) fn fetcher_counters() -> Vec<&'static str> {
    match ready().fetchers {
        Some(_) => fetcher::Stats::default().named().into_iter().map(|(name, _)| name).collect(),
        None => Vec::new(),
    }
}

/// The counter with this number, of all fetchers together. Asked of them once a second at most:
/// who looks at one looks at all.
pub(crate) fn fetcher_counter(number: usize) -> Option<u64> {
    const FRESH: Duration = Duration::from_secs(1);
    let mut last = guarded(&STATS);
    if last.as_ref().is_none_or(|(asked, _)| asked.elapsed() >= FRESH) {
        // Where one is late the last ones stand: counters never fall.
        let before = last.take().map(|(_, stats)| stats).unwrap_or_default();
        let stats = fetchers()?.remote().stats().unwrap_or(before);
        *last = Some((Instant::now(), stats));
    }
    let (_, stats) = last.as_ref()?;
    stats.named().get(number).map(|(_, value)| *value)
}

/// When the fetchers were asked for their counters last, and what they said.
static STATS: Mutex<Option<(Instant, fetcher::Stats)>> = Mutex::new(None);

/// Serves as this fetcher until the process ends.
pub(crate) fn serve(number: usize) {
    let mut all = std::mem::take(&mut *guarded(&LISTENERS));
    if number >= all.len() {
        return;
    }
    let own = all.swap_remove(number);
    drop(all);
    let settings = ready().settings.for_fetcher();
    if let Err(error) = fetcher::run(&settings, own, &Shutdown::new(), follow_settings) {
        log::error!("{error}");
    }
}

/// Closes what only fetchers listen at: if one of them dies, nobody shall wait for it. Likewise,
/// where no calls arrive, their way.
pub(crate) fn close_listeners(inbox: bool) {
    guarded(&LISTENERS).clear();
    if inbox {
        guarded(&INBOX).take();
    }
}

/// Whether this process logs what is wrong with trust anchors, intermediates and CRLs: one of all is
/// enough.
pub(crate) fn speak(speaks: bool) {
    ready().verifier.speak(speaks);
}

/// Looks at the files of trust anchors, intermediates and CRLs, and logs what is wrong with them and
/// which lists run out: for all processes.
pub(crate) fn watch_files() {
    speak(true);
    ready().verifier.warn_of_lists();
}

/// How many signed lists run out within a day, ran out, or are no longer in force.
pub(crate) fn lists_ending() -> u64 {
    u64::try_from(ready().verifier.lists_ending()).unwrap_or(u64::MAX)
}

/// Signs with the process's keys.
pub(crate) fn signer() -> &'static Signer {
    &ready().signer
}

/// Verifies with the process's certificates, less those that an operator had forgotten meanwhile. For
/// one check: what it fetches may take `timeout` in all, from now on.
pub(crate) fn verifier() -> &'static Verifier {
    let Ready { verifier, seen, settings, .. } = ready();
    start_clock(settings.timeout());
    if let Some(shared) = shared() {
        if let Some(which) = shared.to_forget(seen) {
            match which {
                Forget::All => verifier.forget(|_| true),
                Forget::One(which) => verifier.forget(|url| digest(url) == which),
            }
            // What was brought may be from before: it would be remembered again.
            if let Some(fetchers) = fetchers() {
                fetchers.flush();
            }
        }
        if shared.to_reload(seen)
            && let Err(error) = verifier.reload()
        {
            log::error!("{}; what was there before stays in force", error.message());
        }
    }
    verifier
}

/// How often a certificate was found in memory, and was not, since this was asked last.
pub(crate) fn take_lookups() -> (u64, u64) {
    ready().verifier.take_lookups()
}

/// Notes that a key file is in use.
pub(crate) fn uses_key(path: &str) {
    if let Some(shared) = shared() {
        shared.uses(&ready().seen, path);
    }
}

/// The settings that are in force.
pub(crate) fn settings() -> &'static Settings {
    &ready().settings
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

fn ready() -> &'static Ready {
    // Kamailio makes it at start; without that, the defaults stand.
    READY.get_or_init(|| Ready::new(Settings::default(), &Built::default(), None))
}

/// What a mutex guards, also after a panic under it.
pub(crate) fn guarded<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
