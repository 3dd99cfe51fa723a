//! Servers: whose certificates verified tokens, and which are left alone for a while.

use crate::settings::limits::{BREAKER_FAILURES, DELIVERED_LATELY, MAX_HOSTS, MAX_NEGATIVE};
use lru::LruCache;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Names of servers whose certificates verified tokens, for the resolver and its threads.
pub(crate) type Names = Arc<Mutex<HashSet<String>>>;

#[derive(Clone, Copy, Default)]
struct Host {
    /// In a row.
    failures: u32,
    /// Until when it is left alone because of them.
    until: Option<Instant>,
    /// Until when it asked to be left alone.
    asked: Option<Instant>,
    /// When it delivered a certificate last, or one of it verified a token.
    delivered: Option<Instant>,
}

/// Why a server is left alone, and for how long still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    Failed(Duration),
    Asked(Duration),
}

impl Pause {
    pub(crate) const fn time(self) -> Duration {
        match self {
            Self::Failed(time) | Self::Asked(time) => time,
        }
    }
}

/// Servers by name and port. Those whose certificates verified tokens are kept apart from the others,
/// so that invented names push out only each other.
pub(crate) struct Hosts {
    known: LruCache<String, Host>,
    others: LruCache<String, Host>,
    names: Names,
    /// How long a server is left alone at first.
    pause: Duration,
    /// How long one request may take.
    timeout: Duration,
}

impl Hosts {
    pub(crate) fn new(pause: Duration, timeout: Duration) -> Self {
        let (known, others) = (LruCache::unbounded(), LruCache::unbounded());
        Self { known, others, names: Names::default(), pause, timeout }
    }

    pub(crate) fn names(&self) -> Names {
        Arc::clone(&self.names)
    }

    pub(crate) fn is_known(&self, host: &str) -> bool {
        self.known.contains(host)
    }

    /// Whether it may be asked; else how long it is left alone still. After that time one request
    /// goes through, and the others wait for what becomes of it.
    pub(crate) fn allow(&mut self, host: &str, now: Instant) -> Result<(), Pause> {
        let probe = now + self.timeout + Duration::from_secs(1);
        let found = match self.known.get_mut(host) {
            None => self.others.get_mut(host),
            found => found,
        };
        let Some(found) = found else { return Ok(()) };
        if let Some(until) = found.asked.filter(|until| now < *until) {
            return Err(Pause::Asked(until - now));
        }
        match found.until {
            Some(until) if now < until => Err(Pause::Failed(until - now)),
            Some(_) => {
                found.until = Some(probe);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// It answered.
    pub(crate) fn alive(&mut self, host: &str) {
        let found = match self.known.get_mut(host) {
            None => self.others.get_mut(host),
            found => found,
        };
        if let Some(found) = found {
            (found.failures, found.until) = (0, None);
        }
    }

    /// It delivered a certificate.
    pub(crate) fn delivered(&mut self, host: &str, now: Instant) {
        let found = self.at(host);
        (found.failures, found.until, found.delivered) = (0, None, Some(now));
    }

    /// A token verified with a certificate of it.
    pub(crate) fn proven(&mut self, host: &str, now: Instant) {
        let found = self.others.pop(host);
        if found.is_some() || !self.known.contains(host) {
            self.known.put(host.into(), found.unwrap_or_default());
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            names.insert(name(host).into());
            if self.known.len() > MAX_HOSTS
                && let Some((gone, _)) = self.known.pop_lru()
            {
                names.remove(name(&gone));
            }
        }
        if let Some(found) = self.known.get_mut(host) {
            found.delivered = Some(now);
        }
    }

    /// It did not answer. One that delivered lately is asked all the same: others of its URLs are good.
    pub(crate) fn dead(&mut self, host: &str, now: Instant) {
        let pause = self.pause;
        let found = self.at(host);
        if found.delivered.is_some_and(|at| now.saturating_duration_since(at) < DELIVERED_LATELY) {
            return;
        }
        found.failures = found.failures.saturating_add(1);
        if let Some(times) = found.failures.checked_sub(BREAKER_FAILURES) {
            found.until = Some(now + backoff(pause, times));
        }
    }

    /// It asks to be left alone until then (Retry-After).
    pub(crate) fn asks(&mut self, host: &str, until: Instant) {
        self.at(host).asked = Some(until);
    }

    fn at(&mut self, host: &str) -> &mut Host {
        if self.known.contains(host) {
            return self.known.get_or_insert_mut(host.to_owned(), Host::default);
        }
        if self.others.len() >= MAX_HOSTS && !self.others.contains(host) {
            self.others.pop_lru();
        }
        self.others.get_or_insert_mut(host.to_owned(), Host::default)
    }

    pub(crate) fn forgive(&mut self) {
        self.others.clear();
        self.known.iter_mut().for_each(|(_, host)| *host = Host::default());
    }

    /// How many are left alone.
    pub(crate) fn open(&self, now: Instant) -> usize {
        let open =
            |host: &Host| [host.until, host.asked].iter().flatten().any(|until| now < *until);
        self.known.iter().chain(self.others.iter()).filter(|(_, host)| open(host)).count()
    }
}

/// A server without its port.
fn name(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// `first`, doubled so many times, up to [`MAX_NEGATIVE`].
pub(crate) fn backoff(first: Duration, times: u32) -> Duration {
    // 2¹⁶ seconds are past the most already.
    first.saturating_mul(1 << times.min(16)).min(MAX_NEGATIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_server_is_left_alone_for_longer_and_longer_and_then_probed() {
        let mut hosts = Hosts::new(Duration::from_secs(10), Duration::from_secs(5));
        let mut now = Instant::now();
        for _ in 0..BREAKER_FAILURES {
            assert_eq!(hosts.allow("h", now), Ok(()));
            hosts.dead("h", now);
        }
        assert_eq!(hosts.allow("h", now), Err(Pause::Failed(Duration::from_secs(10))));
        now += Duration::from_secs(10);
        assert_eq!(hosts.allow("h", now), Ok(()), "one probe");
        assert!(hosts.allow("h", now).is_err(), "the next waits for it");
        hosts.dead("h", now);
        assert_eq!(hosts.allow("h", now), Err(Pause::Failed(Duration::from_secs(20))));
        (0..40).for_each(|_| hosts.dead("h", now));
        assert_eq!(hosts.allow("h", now), Err(Pause::Failed(MAX_NEGATIVE)));
        hosts.alive("h");
        assert_eq!(hosts.allow("h", now), Ok(()));
    }

    #[test]
    fn strangers_have_no_server_left_alone_that_delivered_lately() {
        let mut hosts = Hosts::new(Duration::from_secs(10), Duration::from_secs(5));
        let now = Instant::now();
        hosts.delivered("h", now);
        (0..100).for_each(|_| hosts.dead("h", now));
        assert_eq!(hosts.allow("h", now), Ok(()));
        let later = now + DELIVERED_LATELY;
        (0..BREAKER_FAILURES).for_each(|_| hosts.dead("h", later));
        assert!(hosts.allow("h", later).is_err());
        // Until a token verifies with one of its certificates, from wherever that came.
        hosts.proven("h", later);
        hosts.alive("h");
        (0..100).for_each(|_| hosts.dead("h", later));
        assert_eq!(hosts.allow("h", later), Ok(()));
    }

    #[test]
    fn who_asks_to_be_left_alone_is() {
        let mut hosts = Hosts::new(Duration::from_secs(10), Duration::from_secs(5));
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        hosts.proven("h", now);
        hosts.asks("h", now + 3 * second);
        assert_eq!(hosts.allow("h", now), Err(Pause::Asked(3 * second)));
        hosts.delivered("h", now);
        assert_eq!(hosts.allow("h", now + 2 * second), Err(Pause::Asked(second)));
        assert_eq!(hosts.open(now), 1);
        assert_eq!(hosts.allow("h", now + 3 * second), Ok(()));
    }

    #[test]
    fn invented_names_push_out_no_server_whose_certificates_verify() {
        let mut hosts = Hosts::new(Duration::from_secs(10), Duration::from_secs(5));
        let now = Instant::now();
        hosts.delivered("good", now);
        assert!(!hosts.is_known("good"));
        hosts.proven("good", now);
        for n in 0..3 * MAX_HOSTS {
            hosts.dead(&n.to_string(), now);
            hosts.delivered(&format!("delivers {n}"), now);
        }
        assert!(hosts.is_known("good"));
        assert_eq!((hosts.known.len(), hosts.others.len()), (1, MAX_HOSTS));
    }
}
