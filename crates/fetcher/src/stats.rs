//! What a service counts.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Upper bounds of the histogram of download times, in milliseconds; one more class has the rest.
pub const FETCH_BUCKETS: [u64; 10] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000];

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters since the service's start, and what there is now; of several services they add
        /// up.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
            /// Seconds since the server of the one in memory that is oldest vouched for it; of several
            /// services the most.
            pub oldest: u64,
            /// Downloads by the time they took: see [`FETCH_BUCKETS`]; each counts once.
            pub fetch_buckets: [u64; FETCH_BUCKETS.len() + 1],
        }

        impl Stats {
            /// Adds another service's.
            pub fn add(&mut self, other: &Self) {
                $(self.$name = self.$name.saturating_add(other.$name);)*
                self.oldest = self.oldest.max(other.oldest);
                for (mine, more) in self.fetch_buckets.iter_mut().zip(other.fetch_buckets) {
                    *mine = mine.saturating_add(more);
                }
            }

            /// Every number by its name, for a list of statistics.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)* ("oldest", self.oldest)]
            }
        }
    };
}

stats! {
    /// Certificates that were asked for.
    requests,
    /// Answered from memory.
    hits_memory,
    /// Answered from `cache_dir`.
    hits_disk,
    /// Answered from Redis.
    hits_redis,
    /// Answered with a certificate past its time, because its server can't be had.
    hits_stale,
    /// Answered with a failure that was remembered.
    hits_negative,
    /// Answered by a download that was under way already.
    coalesced,
    /// Downloads that were started.
    fetches,
    /// … of them ahead of the end of a certificate's time.
    refreshes,
    /// Answers 304: nothing has changed.
    not_modified,
    /// URLs that are never fetched.
    failed_url,
    /// No connection, no TLS, no HTTP.
    failed_connect,
    /// No answer in time.
    failed_timeout,
    /// An answer that is neither 200 nor 304.
    failed_status,
    /// A body that broke off or is too large.
    failed_body,
    /// What came is no certificate.
    failed_certificate,
    /// Not fetched: its server has failed too often of late.
    refused_breaker,
    /// Not fetched: too much is waiting already.
    refused_busy,
    /// Requests whose time was over before there was an answer.
    timed_out,
    /// Commands that Redis failed.
    redis_failed,
    /// Commands that were not sent: Redis is left alone, or all connections are in use.
    redis_skipped,
    /// Microseconds that downloads took, in all.
    fetch_micros,
    /// Downloads that are over.
    fetch_count,
    /// Downloads under way.
    in_flight,
    /// Downloads that wait for their turn.
    queued,
    /// Requests that wait for a download.
    waiting,
    /// Certificates in memory.
    entries,
    /// … of them those with which tokens have verified, or that an operator named.
    protected,
    /// Octets that they take.
    bytes,
    /// Certificates whose notAfter is less than a day away.
    expire_in_day,
    /// Failures that are remembered.
    negatives,
    /// Servers that are left alone at the moment.
    breakers_open,
    /// Callers' connections.
    connections,
}

impl Stats {
    pub(crate) fn took(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.fetch_micros = self.fetch_micros.saturating_add(micros);
        self.fetch_count += 1;
        let class = FETCH_BUCKETS.iter().position(|bound| micros <= bound * 1000);
        if let Some(count) = self.fetch_buckets.get_mut(class.unwrap_or(FETCH_BUCKETS.len())) {
            *count += 1;
        }
    }
}
