//! Where a process has certificates from: the fetchers, or its own downloads.

use crate::state::guarded;
use fetcher::{Address, RemoteFetcher};
use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use stir::fetch::Digest;
use stir::{Code, Error, Fetch, Fetched, HttpFetcher, Result};

/// Time for what a fetcher has at hand: one that runs needs a thousandth of it.
const PEEK: Duration = Duration::from_millis(100);
/// How long a fetcher that took longer is not asked for that again: one that hangs costs a worker
/// three hundredths of its time.
const PEEK_PAUSE: Duration = Duration::from_secs(3);
/// How long what was brought for one call is used: a script checks the call at once.
const BROUGHT: Duration = Duration::from_secs(2);

/// Certificates or failures, by URL.
pub(crate) type Results = Vec<(String, Result<Fetched>)>;

/// The fetchers, and what they have brought for the call at hand.
pub(crate) struct Fetchers {
    remote: RemoteFetcher,
    brought: Mutex<Option<(Instant, Results)>>,
    /// When an operator's order to forget was followed last.
    flushed: Mutex<Option<Instant>>,
    /// Until when nothing is peeked at.
    slow: Mutex<Option<Instant>>,
}

/// For the verifier: what the fetchers have brought or answer, or the process's own downloads; all of
/// it within the time that [`start_clock`] gave.
pub(crate) enum Source {
    Fetchers(Arc<Fetchers>),
    Own(Box<HttpFetcher>),
}

thread_local! {
    /// When the check at hand has to be over.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// From now on all fetches together may take so long: a message names ten hosts at its sender's will.
pub(crate) fn start_clock(limit: Duration) {
    DEADLINE.set(Some(Instant::now() + limit));
}

impl Fetchers {
    pub(crate) fn new(addresses: impl IntoIterator<Item = Address>, timeout: Duration) -> Self {
        Self {
            remote: RemoteFetcher::new(addresses, timeout),
            brought: Mutex::new(None),
            flushed: Mutex::new(None),
            slow: Mutex::new(None),
        }
    }

    pub(crate) fn remote(&self) -> &RemoteFetcher {
        &self.remote
    }

    /// What is at hand for a URL, without waiting for anything; `None` for what is to be waited for.
    pub(crate) fn peek(&self, url: &str) -> Option<Result<Fetched>> {
        let mut slow = guarded(&self.slow);
        if slow.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        *slow = None;
        match self.remote.peek(url, PEEK) {
            Ok(at_hand) => at_hand,
            // Not for this URL, whoever is asked.
            Err(e) if e.code() == Code::HttpUrl => Some(Err(e)),
            Err(e) => {
                log::debug!("{}", e.message());
                *slow = Some(Instant::now() + PEEK_PAUSE);
                None
            }
        }
    }

    /// Keeps what was brought for the call that is checked next, unless it was asked for (`since`)
    /// before an order to forget.
    pub(crate) fn keep(&self, results: Results, since: Instant) {
        if guarded(&self.flushed).is_none_or(|flushed| flushed <= since) {
            *guarded(&self.brought) = Some((Instant::now() + BROUGHT, results));
        }
    }

    /// Forgets what was brought, and takes nothing more that was asked for before now.
    pub(crate) fn flush(&self) {
        *guarded(&self.flushed) = Some(Instant::now());
        self.forget();
    }

    pub(crate) fn forget(&self) {
        *guarded(&self.brought) = None;
    }

    fn brought(&self, url: &str) -> Option<Result<Fetched>> {
        let brought = guarded(&self.brought);
        let (until, results) = brought.as_ref()?;
        let (_, result) = results.iter().find(|(known, _)| known == url)?;
        (Instant::now() < *until).then(|| result.clone())
    }
}

impl Fetch for Source {
    fn fetch(&self, url: &str) -> Result<Fetched> {
        if let Self::Fetchers(fetchers) = self
            && let Some(brought) = fetchers.brought(url)
        {
            return brought;
        }
        let now = Instant::now();
        let left = DEADLINE.get().unwrap_or(now).saturating_duration_since(now);
        if left.is_zero() {
            let why = "is not fetched: others of this call took all the time (timeout)";
            return Err(Error::new(Code::HttpGet, format!("\"{url}\" {why}")));
        }
        match self {
            Self::Fetchers(fetchers) => fetchers.remote.fetch_within(url, left),
            Self::Own(downloads) => downloads.fetch_within(url, left),
        }
    }

    fn proven(&self, url: &str, body: &Digest) {
        if let Self::Fetchers(fetchers) = self {
            fetchers.remote.proven(url, body);
        }
    }
}
