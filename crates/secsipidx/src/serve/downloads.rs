//! Downloads on behalf of callers.

use lru::LruCache;
use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use stir::fetch::parse_url;
use stir::{Code, Config, Error, Fetch, Fetched, HttpFetcher, Policy, Result, X5uRules};

/// For how long a URL is not asked again after a failure: whoever names one that does not answer
/// would hold a thread for each request.
const FAILED_FOR: Duration = Duration::from_secs(30);
/// URLs that failed of which that is remembered: each with its reason, of a few hundred octets.
const MAX_FAILED: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// Octets of a URL that is remembered: callers may name longer ones, and would fill the memory.
const MAX_URL: usize = 2048;

thread_local! {
    /// Until when the request that this thread works for may begin a download.
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// What this thread works for from now on begins no download after that: each alone may take all
/// of its time, and a request may name ten.
pub fn begin_until(time: Instant) {
    UNTIL.set(Some(time));
}

/// Asks no address that the rules refuse, nobody when a request's time is over, and nobody who has
/// just failed.
pub struct Downloads {
    rules: X5uRules,
    http: HttpFetcher,
    failed: Mutex<LruCache<String, (Instant, Error)>>,
}

impl Downloads {
    /// With these settings, and from public addresses and those of `check.x5u_permit` alone where
    /// callers name what is downloaded: a program on this machine may pass on what a stranger wrote.
    ///
    /// # Errors
    /// A list's entry that is none.
    pub fn new(config: &Config, for_strangers: bool) -> Result<Self> {
        let mut config = config.clone();
        if for_strangers {
            // For its rules on addresses: those on URLs are a verifier's, whose policy stays.
            config.policy = Policy::Shaken;
        }
        Ok(Self {
            rules: config.x5u_rules()?,
            http: HttpFetcher::new(&config),
            failed: Mutex::new(LruCache::new(MAX_FAILED)),
        })
    }
}

impl Fetch for Downloads {
    fn fetch(&self, url: &str) -> Result<Fetched> {
        let refused = |code, why: &str| {
            let message = format!("x5u \"{}\" is not fetched: {why}", url.escape_debug());
            Err(Error::new(code, message))
        };
        let parsed = parse_url(url)?;
        // The addresses of a name are judged where it is resolved: by the client.
        let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']);
        if let Some(why) = host.parse().ok().and_then(|address| self.rules.refuses(address)) {
            return refused(Code::HttpUrl, &why);
        }
        if UNTIL.get().is_some_and(|until| Instant::now() > until) {
            return refused(
                Code::HttpGet,
                "there is no time left (check.timeout): others of this request took it",
            );
        }
        let failed = || self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, e)) = failed().get(url)
            && at.elapsed() < FAILED_FOR
        {
            return Err(e.clone());
        }
        let fetched = self.http.fetch(url);
        if let Err(e) = &fetched
            && url.len() <= MAX_URL
        {
            failed().put(url.to_owned(), (Instant::now(), e.clone()));
        }
        fetched
    }
}
