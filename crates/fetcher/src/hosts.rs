//! Servers: which have delivered a certificate, and which are left alone for a while.

use crate::settings::limits::{BREAKER_FAILURES, MAX_HOSTS, MAX_NEGATIVE};
use lru::LruCache;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Names of servers that delivered, for the resolver and its threads.
pub(crate) type Names = Arc<Mutex<HashSet<String>>>;

#[derive(Clone, Copy, Default)]
struct Host {
    /// In a row.
    failures: u32,
    /// Until when it is left alone.
    until: Option<Instant>,
}

/// Servers by name and port. Those that delivered are kept apart from the others, so that invented
/// names push out only each other.
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
    pub(crate) fn allow(&mut self, host: &str, now: Instant) -> Result<(), Duration> {
        let probe = now + self.timeout + Duration::from_secs(1);
        let found = match self.known.get_mut(host) {
            None => self.others.get_mut(host),
            found => found,
        };
        let Some(found) = found else { return Ok(()) };
        match found.until {
            Some(until) if now < until => Err(until - now),
            Some(_) => {
                found.until = Some(probe);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// It answered.
    pub(crate) fn alive(&mut self, host: &str) {
        if let Some(found) = self.known.get_mut(host) {
            *found = Host::default();
        } else {
            self.others.pop(host);
        }
    }

    /// It delivered a certificate, now or at some time.
    pub(crate) fn delivered(&mut self, host: &str) {
        if let Some(found) = self.others.pop(host) {
            self.known.put(host.into(), found);
        } else if !self.known.contains(host) {
            self.known.put(host.into(), Host::default());
        } else {
            self.known.promote(host);
            return;
        }
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name(host).into());
        if self.known.len() > MAX_HOSTS
            && let Some((gone, _)) = self.known.pop_lru()
        {
            names.remove(name(&gone));
        }
    }

    /// It did not answer.
    pub(crate) fn dead(&mut self, host: &str, now: Instant) {
        let (pause, hosts) = (self.pause, &mut self.others);
        let found = match self.known.get_mut(host) {
            Some(found) => found,
            None => hosts.get_or_insert_mut(host.to_owned(), Host::default),
        };
        found.failures = found.failures.saturating_add(1);
        if let Some(times) = found.failures.checked_sub(BREAKER_FAILURES) {
            found.until = Some(now + backoff(pause, times));
        }
        if self.others.len() > MAX_HOSTS {
            self.others.pop_lru();
        }
    }

    pub(crate) fn forgive(&mut self) {
        self.others.clear();
        self.known.iter_mut().for_each(|(_, host)| *host = Host::default());
    }

    /// How many are left alone.
    pub(crate) fn open(&self, now: Instant) -> usize {
        let open = |host: &Host| host.until.is_some_and(|until| now < until);
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
        assert_eq!(hosts.allow("h", now), Err(Duration::from_secs(10)));
        now += Duration::from_secs(10);
        assert_eq!(hosts.allow("h", now), Ok(()), "one probe");
        assert!(hosts.allow("h", now).is_err(), "the next waits for it");
        hosts.dead("h", now);
        assert_eq!(hosts.allow("h", now), Err(Duration::from_secs(20)));
        (0..40).for_each(|_| hosts.dead("h", now));
        assert_eq!(hosts.allow("h", now), Err(MAX_NEGATIVE));
        hosts.alive("h");
        assert_eq!(hosts.allow("h", now), Ok(()));
    }

    #[test]
    fn invented_names_push_out_no_server_that_delivered() {
        let mut hosts = Hosts::new(Duration::from_secs(10), Duration::from_secs(5));
        hosts.delivered("good");
        let now = Instant::now();
        (0..3 * MAX_HOSTS).for_each(|n| hosts.dead(&n.to_string(), now));
        assert!(hosts.is_known("good"));
        assert_eq!(hosts.others.len(), MAX_HOSTS);
    }
}
