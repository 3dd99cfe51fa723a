//! Downloaded certificates in a process's memory, in two places. What a stranger's header brought is
//! on probation: few, for a short time. A token that verified with a certificate takes it to where it
//! stays while it is used.

use super::{Cached, Vouched};
use crate::fetch::Digest;
use crate::shelf::{Bounds, KEY_SHARE, Shelf, Why};
use std::sync::Arc;

/// Certificates on probation. Callers can have any number fetched: a call needs its own for the
/// moment between download and verification.
const PROBATION: usize = 64;
/// … their bytes: half a MiB is eight of the largest chains, and each of the usual ones.
const PROBATION_BYTES: usize = 512 * 1024;
/// … and how long they stay, in seconds: one that nobody vouches for is not judged again so soon.
const PROBATION_TIME: i64 = 60;
/// Bytes for each certificate that `cache_size` allows: one of the field has 3 KiB with its chain,
/// the largest 8.
const PLACE: usize = 8 * 1024;
/// … and the least for all: four of the largest chains.
const LEAST: usize = 256 * 1024;
/// What an entry takes beside its certificates, in bytes.
const OVERHEAD: usize = 1024;

/// A downloaded certificate in memory.
pub(super) struct Downloaded {
    pub(super) vouched: Arc<Vouched>,
    /// Until when it may be used (Unix seconds).
    pub(super) until: i64,
    /// Until when it is on probation (Unix seconds).
    pub(super) leaves: i64,
    pub(super) source: Option<Source>,
}

/// What it was downloaded as.
pub(super) struct Source {
    pub(super) digest: Digest,
    /// For the folder, where it is to go there.
    pub(super) body: Option<Vec<u8>>,
    /// Until when it counts, as the fetcher said.
    pub(super) until: Option<i64>,
}

impl Downloaded {
    pub(super) const fn new(vouched: Arc<Vouched>, until: i64, source: Source, now: i64) -> Self {
        Self { vouched, until, leaves: now.saturating_add(PROBATION_TIME), source: Some(source) }
    }

    fn size(&self, url: &str) -> usize {
        let body = self.source.as_ref().and_then(|source| source.body.as_ref()).map_or(0, Vec::len);
        self.vouched.size() + body + 2 * url.len() + OVERHEAD
    }

    /// The same for a certificate and for its bare public key.
    fn key(&self) -> &[u8] {
        self.vouched.credential.key.point()
    }
}

pub(super) struct Downloads {
    proven: Shelf<Downloaded>,
    probation: Shelf<Downloaded>,
}

impl Downloads {
    pub(super) fn new(size: u32) -> Self {
        let entries = usize::try_from(size).unwrap_or(usize::MAX);
        let bytes = entries.saturating_mul(PLACE).max(LEAST);
        let probation = Bounds { entries: PROBATION, bytes: PROBATION_BYTES, per_key: usize::MAX };
        Self {
            proven: Shelf::new(Bounds { entries, bytes, per_key: KEY_SHARE }),
            probation: Shelf::new(probation),
        }
    }

    /// What is there for a URL in its time, and whether a token has verified with it. It counts as
    /// used.
    pub(super) fn get(&mut self, url: &str, now: i64) -> Option<(Arc<Vouched>, bool)> {
        if let Some(found) = self.probation.get(url)
            && now < found.until.min(found.leaves)
        {
            return Some((Arc::clone(&found.vouched), false));
        }
        let found = self.proven.get(url).filter(|found| now < found.until)?;
        Some((Arc::clone(&found.vouched), true))
    }

    /// Takes in what has just come.
    pub(super) fn put(&mut self, url: &str, entry: Downloaded) {
        let (key, size) = (entry.key().to_vec(), entry.size(url));
        self.probation.put(url, &key, size, entry);
    }

    /// A token has verified with it: what it was downloaded as, if that was not known yet, and the
    /// URLs that had to go because they were more than a key's or a host's share.
    pub(super) fn prove(&mut self, url: &str) -> Option<(Source, Vec<Arc<str>>)> {
        let mut entry = self.probation.remove(url)?;
        let source = entry.source.take()?;
        let (key, size) = (entry.key().to_vec(), entry.size(url));
        let gone = self.proven.put(url, &key, size, entry);
        let shares = gone.into_iter().filter(|(.., why)| *why == Why::Share);
        Some((source, shares.map(|(url, ..)| url).collect()))
    }

    pub(super) fn remove(&mut self, url: &str) {
        self.probation.remove(url);
        self.proven.remove(url);
    }

    pub(super) fn forget(&mut self, which: impl Fn(&str) -> bool) {
        for shelf in [&mut self.proven, &mut self.probation] {
            let gone: Vec<_> =
                shelf.iter().map(|(url, _)| Arc::clone(url)).filter(|url| which(url)).collect();
            gone.iter().for_each(|url| drop(shelf.remove(url)));
        }
    }

    /// Those with which tokens have verified, the latest used first.
    pub(super) fn cached(&self, now: i64) -> Vec<Cached> {
        let in_time = self.proven.iter().filter(|(_, found)| now < found.until);
        in_time
            .map(|(url, found)| Cached {
                location: url.to_string(),
                credential: Arc::clone(&found.vouched.credential),
                until: Some(found.until),
            })
            .collect()
    }
}
