//! What can be set, and the limits that can't.

use std::path::PathBuf;
use std::time::Duration;
use stir::{Code, Config, Error, Result};

use crate::redis::Server;

/// ATIS-1000074 §5.3.1: an answer that says nothing of its freshness, or less than 24 hours, is
/// kept for 24 hours.
pub const DEFAULT_CACHE_MIN: u32 = 86_400;
/// A certificate that was revoked and replaced under its old URL is gone after a week, whatever its
/// server once said.
pub const DEFAULT_CACHE_MAX: u32 = 7 * 86_400;
/// A repository that is down over a night does not take its carriers' calls with it.
pub const DEFAULT_STALE_IF_ERROR: u32 = 86_400;
/// Long enough that a flood of calls with one dead URL costs two downloads a minute, short enough
/// that a server's hiccup is over with it.
pub const DEFAULT_NEGATIVE_TTL: u32 = 30;
/// The field has some 16,000 certificates.
pub const DEFAULT_ENTRIES: u32 = 32_768;
/// A certificate with its chain has 3 KiB, and an entry's head about one.
pub const DEFAULT_BYTES: u64 = 128 * 1024 * 1024;

/// Everything that a service is started with. No `Debug`: `cache_url` may hold a password.
#[derive(Clone)]
pub struct Settings {
    /// `timeout`, `http_ca_file`, `http_proxy` and `cache_dir` count here.
    pub http: Config,
    /// Seconds that a certificate is kept at least, whatever its server says.
    pub cache_min: u32,
    /// Seconds that a certificate is kept at most without asking its server again.
    pub cache_max: u32,
    /// Seconds that a certificate is used on when its server can't be had.
    pub stale_if_error: u32,
    /// Seconds that a failure is remembered; doubles with each that follows, up to
    /// [`MAX_NEGATIVE`](crate::limits::MAX_NEGATIVE).
    pub negative_ttl: u32,
    /// Certificates in memory with which tokens have verified; others beside them:
    /// [`PROBATION_ENTRIES`](crate::limits::PROBATION_ENTRIES).
    pub entries: u32,
    /// Octets of those in memory.
    pub bytes: u64,
    /// `redis://[user:password@]host[:port][/db][?timeout=ms]`; empty for none.
    pub cache_url: String,
    /// Text file of URLs to fetch at start, one to a line; `#` starts a comment. Empty for none.
    pub prefetch_file: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            http: Config::default(),
            cache_min: DEFAULT_CACHE_MIN,
            cache_max: DEFAULT_CACHE_MAX,
            stale_if_error: DEFAULT_STALE_IF_ERROR,
            negative_ttl: DEFAULT_NEGATIVE_TTL,
            entries: DEFAULT_ENTRIES,
            bytes: DEFAULT_BYTES,
            cache_url: String::new(),
            prefetch_file: PathBuf::new(),
        }
    }
}

impl Settings {
    /// Checks what can be wrong before the start. Opens no socket.
    ///
    /// # Errors
    /// The first setting that can't work; the message names it.
    pub fn validate(&self) -> Result<()> {
        self.http.clone().build()?.check_files()?;
        if self.cache_max == 0 || self.cache_min > self.cache_max {
            return Err(wrong(format!(
                "cache_max {} is less than cache_min {}, or 0: give at least one second, and no less than cache_min",
                self.cache_max, self.cache_min
            )));
        }
        if self.negative_ttl == 0 || u64::from(self.negative_ttl) > limits::MAX_NEGATIVE.as_secs() {
            return Err(wrong(format!(
                "negative_ttl {} is not from 1 to {} seconds",
                self.negative_ttl,
                limits::MAX_NEGATIVE.as_secs()
            )));
        }
        if self.entries == 0 || self.bytes < limits::MIN_BYTES {
            return Err(wrong(format!(
                "{} certificates in {} octets are too few: give at least one, in {}",
                self.entries,
                self.bytes,
                limits::MIN_BYTES
            )));
        }
        self.redis()?;
        self.prefetch().map(drop)
    }

    pub(crate) fn redis(&self) -> Result<Option<Server>> {
        (!self.cache_url.is_empty()).then(|| Server::parse(&self.cache_url)).transpose()
    }

    /// The URLs of `prefetch_file`.
    pub(crate) fn prefetch(&self) -> Result<Vec<String>> {
        if self.prefetch_file.as_os_str().is_empty() {
            return Ok(Vec::new());
        }
        let path = self.prefetch_file.display();
        let unreadable =
            |why: String| wrong(format!("prefetch_file \"{path}\" can't be read: {why}"));
        let (_, text) = stir::file::read(&self.prefetch_file, limits::MAX_PREFETCH_LEN)
            .map_err(|e| unreadable(e.to_string()))?;
        let text = String::from_utf8(text).map_err(|e| unreadable(e.to_string()))?;
        let mut urls = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let url = line.trim();
            if url.is_empty() || url.starts_with('#') {
                continue;
            }
            let bad =
                |why: &str| wrong(format!("prefetch_file \"{path}\", line {}: {why}", number + 1));
            if url.contains(char::is_whitespace) {
                return Err(bad(
                    "has white space in it: give one URL, comments in lines of their own",
                ));
            }
            stir::fetch::parse_url(url).map_err(|e| bad(e.message()))?;
            urls.push(url.to_owned());
        }
        Ok(urls)
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.http.timeout.into())
    }
}

pub(crate) fn wrong(message: String) -> Error {
    Error::new(Code::Generic, message)
}

/// Limits that nobody needs to set, each with its reason.
pub mod limits {
    use std::time::Duration;

    /// Longest URL, in octets: of 17,839 in the field the longest has 106.
    pub const MAX_URL_LEN: usize = 2048;
    /// How long a failure is remembered at most: a server that is back is used again ten minutes
    /// later at the latest.
    pub const MAX_NEGATIVE: Duration = Duration::from_secs(600);
    /// Failures remembered: 10 MiB with URLs like the field's, 70 with the longest.
    pub const MAX_NEGATIVES: usize = 16_384;
    /// Servers remembered of each kind: those that delivered a certificate, and the others. The
    /// field has a few hundred.
    pub const MAX_HOSTS: usize = 4096;
    /// Certificates with which no token has verified yet, in memory: each call needs its own for the
    /// moment between download and verification, and 5,000 calls a second have been served.
    pub const PROBATION_ENTRIES: usize = 4096;
    /// … their bytes: each of the usual 3 KiB, or 256 of the largest.
    pub const PROBATION_BYTES: usize = 16 * 1024 * 1024;
    /// … and for how long they stay, in seconds: a carrier whom nobody trusts costs one download in
    /// five minutes.
    pub const PROBATION_TIME: i64 = 300;
    /// How long another service that waits for a download waits on for its certificate to verify a
    /// token, before it downloads itself: a call is checked within milliseconds.
    pub const PROOF_GRACE: Duration = Duration::from_millis(250);
    /// How long a server that delivered a certificate, or whose certificate verified a token, is never
    /// left alone: strangers name URLs at it, and what fails of them must not hit its others.
    pub const DELIVERED_LATELY: Duration = Duration::from_secs(86_400);
    /// Longest that a server is left alone because it asks for it (Retry-After): who makes a server
    /// say so keeps its new certificates from being fetched for no longer.
    pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);
    /// Failures of a server in a row after which it is left alone: one may be chance.
    pub const BREAKER_FAILURES: u32 = 3;
    /// Downloads at once of certificates that are in use or that the operator named.
    pub const SLOTS_KEPT: usize = 32;
    /// Downloads at once from servers that delivered a certificate before.
    pub const SLOTS_KNOWN: usize = 64;
    /// Downloads at once from servers never heard of. Most of a flood's are here, each for a whole
    /// timeout; a connection costs some 50 KiB.
    pub const SLOTS_NEW: usize = 128;
    /// Downloads at once from one server, of each of the three kinds.
    pub const SLOTS_HOST: usize = 8;
    /// Downloads that wait for one of those slots, of each kind.
    pub const MAX_QUEUE: usize = 2048;
    /// Of those, from one server: at 8 at once and 50 ms each they are through in half a second.
    pub const MAX_HOST_QUEUE: usize = 128;
    /// Requests that wait for a download, of all callers: more than calls that a Kamailio has in
    /// the air; 1 KiB each.
    pub const MAX_WAITING: usize = 16_384;
    /// Connections of callers: a Kamailio has tens of processes, seldom more than a hundred.
    pub const MAX_CONNECTIONS: usize = 1024;
    /// Requests of one connection that are not answered yet: one that suspends transactions has
    /// many. More are not read.
    pub const MAX_OUTSTANDING: usize = 4096;
    /// Rows of a list: what an operator's terminal takes.
    pub const MAX_LIST: usize = 1000;
    /// Names that are being resolved, of each kind (known and new servers): each is a thread, and a
    /// name server that never answers holds it for half a minute.
    pub const MAX_RESOLVERS: usize = 48;
    /// Time for name, connection and TLS: half of what is usual for the whole, so that a server that
    /// is off does not take it all.
    pub const CONNECT_SHARE: u32 = 2;
    /// Time for a command of Redis, connection included, where `cache_url` says no other: it is
    /// beside us, or of little use.
    pub const REDIS_TIMEOUT: Duration = Duration::from_millis(100);
    /// More than a Redis on another continent needs; what takes longer is slower than a download.
    pub const MAX_REDIS_TIMEOUT: Duration = Duration::from_secs(5);
    /// Connections to Redis; a command that finds none free does without.
    pub const REDIS_CONNECTIONS: usize = 8;
    /// How long Redis is left alone after its first failure; doubles.
    pub const REDIS_PAUSE: Duration = Duration::from_secs(1);
    /// … up to this.
    pub const MAX_REDIS_PAUSE: Duration = Duration::from_secs(30);
    /// URLs whose certificates wait to be written to Redis, or to be taken out: what is more stays
    /// there until its time is over, or is downloaded by others themselves.
    pub const MAX_UNSHARED: usize = 4096;
    /// How often one looks for what another service is downloading.
    pub const REDIS_POLL: Duration = Duration::from_millis(25);
    /// How often `cache_dir` is swept.
    pub const SWEEP: Duration = Duration::from_secs(3600);
    /// How soon a caller asks again for a certificate that it keeps, or after an eighth of the time
    /// that is left, whichever is longer: so the service knows what is in use.
    pub const RECHECK: Duration = Duration::from_secs(300);
    /// How long a certificate past its time is handed out at a go.
    pub const STALE_STEP: Duration = Duration::from_secs(10);
    /// Least memory: a hundred of the largest chains.
    pub const MIN_BYTES: u64 = 8 * 1024 * 1024;
    /// Largest `prefetch_file`: 20,000 URLs are 2 MiB.
    pub const MAX_PREFETCH_LEN: usize = 8 * 1024 * 1024;
}
