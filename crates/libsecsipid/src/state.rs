//! What the functions share: the settings, and the signer and verifiers made of them.

use crate::settings::Settings;
use arc_swap::ArcSwapOption;
use lru::LruCache;
use std::ffi::c_int;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use stir::{CheckOptions, Config, PublicKey, Result, Signer, Verifier};

/// Longest time for one download, in seconds, and what stands for "no limit" (0 or less): whoever
/// waits longer than this for a call's certificate has lost the call.
const MAX_TIMEOUT: u32 = 60;
/// Verifiers kept, one for each timeout: a program has one or two. Each may have an HTTP client with
/// a thread.
const MAX_VERIFIERS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

/// Swapped whole: a lock could be held, at a fork, by a thread that the child does not have.
static STATE: ArcSwapOption<State> = ArcSwapOption::const_empty();

/// The settings, and what works by them.
pub(crate) struct State {
    /// The process that it was made in.
    pid: u32,
    pub(crate) settings: Settings,
    pub(crate) workers: Arc<Workers>,
}

impl State {
    /// The state of this process. A forked child gets one of its own with the settings of its
    /// parent: in the parent's, locks may be held by threads that are not here.
    pub(crate) fn current() -> Result<Arc<Self>> {
        match &*STATE.load() {
            Some(state) if state.pid == std::process::id() => Ok(Arc::clone(state)),
            _ => Self::replace(|_| Ok(())),
        }
    }

    /// Changes the settings, if the change succeeds; other threads see all of it or nothing. 0.
    pub(crate) fn change(change: impl Fn(&mut Settings) -> Result<()>) -> Result<c_int> {
        Self::replace(change).map(|_| 0)
    }

    fn replace(change: impl Fn(&mut Settings) -> Result<()>) -> Result<Arc<Self>> {
        let pid = std::process::id();
        loop {
            let old = STATE.load_full();
            let mut settings = old.as_ref().map_or_else(Settings::default, |s| s.settings.clone());
            change(&mut settings)?;
            let workers = match &old {
                Some(old) if old.pid == pid && old.settings.config == settings.config => {
                    Arc::clone(&old.workers)
                }
                _ => Arc::new(Workers::new(&settings.config)?),
            };
            let new = Arc::new(Self { pid, settings, workers });
            let found = STATE.compare_and_swap(&old, Some(Arc::clone(&new)));
            if found.as_ref().map(Arc::as_ptr) != old.as_ref().map(Arc::as_ptr) {
                continue;
            }
            if let Some(old) = old
                && old.pid != pid
            {
                // Dropping an HTTP client of the parent's would wait for a thread of the parent's.
                std::mem::forget(old);
            }
            return Ok(new);
        }
    }
}

/// A signer and verifiers, with all that they cache.
pub(crate) struct Workers {
    config: Config,
    pub(crate) signer: Signer,
    /// By timeout.
    verifiers: Mutex<LruCache<u32, Arc<Verifier>>>,
}

impl Workers {
    fn new(config: &Config) -> Result<Self> {
        Ok(Self {
            config: config.clone(),
            signer: Signer::new(&config.clone().build()?),
            verifiers: Mutex::new(LruCache::new(MAX_VERIFIERS)),
        })
    }

    /// The verifier whose downloads take so many seconds at most.
    pub(crate) fn verifier(&self, timeout: c_int) -> Result<Arc<Verifier>> {
        let timeout = match u32::try_from(timeout) {
            Ok(timeout) if (1..MAX_TIMEOUT).contains(&timeout) => timeout,
            _ => MAX_TIMEOUT,
        };
        let mut verifiers = self.verifiers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verifier) = verifiers.get(&timeout) {
            return Ok(Arc::clone(verifier));
        }
        let config = Config { timeout, ..self.config.clone() }.build()?;
        let verifier = Arc::new(Verifier::new(&config));
        let oldest = verifiers.push(timeout, Arc::clone(&verifier));
        // Its client's thread is waited for: not with the lock held.
        drop(verifiers);
        drop(oldest);
        Ok(verifier)
    }

    /// Checks one Identity header field value. 0.
    pub(crate) fn check(
        &self,
        identity: &str,
        expire: c_int,
        key: PublicKey<'_>,
        timeout: c_int,
        options: CheckOptions,
    ) -> Result<c_int> {
        let verifier = self.verifier(timeout)?.expiring(expire.into());
        verifier.check([identity], key, options).result.map(|()| 0)
    }
}
