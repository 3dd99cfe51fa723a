//! Certificates in memory: a segmented LRU. What comes in is on probation; what is asked for again
//! is protected. Those on probation go first, so URLs that come once push out only each other.

use crate::freshness::Freshness;
use lru::LruCache;
use std::rc::Rc;

/// Share of the whole that is protected, in tenths: the rest lets new certificates prove that they
/// are in use.
const PROTECTED_TENTHS: usize = 8;
/// What an entry takes beside its texts, in octets: hash tables, links, and what the allocator makes
/// of them all.
const OVERHEAD: usize = 1536;

/// Where a certificate was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    Http,
    Disk,
    Redis,
}

impl Tier {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Disk => "disk",
            Self::Redis => "redis",
        }
    }
}

/// A certificate. Times are Unix seconds.
pub(crate) struct Entry {
    pub body: Rc<[u8]>,
    pub not_after: i64,
    /// Its service provider code; empty for none.
    pub spc: Rc<str>,
    /// When its server vouched for it.
    pub fetched: i64,
    /// Until when it is used without asking again.
    pub until: i64,
    /// From when on it is fetched ahead, if it is in use.
    pub refresh: i64,
    /// What the server's answer said; none of what came from elsewhere.
    pub freshness: Option<Freshness>,
    /// Whether that lets it be used past its time when the server can't be had.
    pub may_be_stale: bool,
    pub tier: Tier,
    pub hits: u64,
    /// Asked for since it was fetched.
    pub used: bool,
    /// Its server said since that it is not there (4xx).
    pub refused: bool,
}

impl Entry {
    fn size(&self, url: &str) -> usize {
        let headers = self.freshness.as_ref().map_or(0, Freshness::size);
        self.body.len() + self.spc.len() + headers + 2 * url.len() + OVERHEAD
    }
}

pub(crate) struct Cache {
    probation: LruCache<Rc<str>, Entry>,
    protected: LruCache<Rc<str>, Entry>,
    bytes: usize,
    protected_bytes: usize,
    max_entries: usize,
    max_bytes: usize,
}

impl Cache {
    pub(crate) fn new(entries: u32, bytes: u64) -> Self {
        Self {
            probation: LruCache::unbounded(),
            protected: LruCache::unbounded(),
            bytes: 0,
            protected_bytes: 0,
            max_entries: usize::try_from(entries).unwrap_or(usize::MAX),
            max_bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        }
    }

    /// An entry that a caller asks for: from now on it is protected.
    pub(crate) fn used(&mut self, url: &str) -> Option<&mut Entry> {
        if let Some((url, entry)) = self.probation.pop_entry(url) {
            self.protected_bytes += entry.size(&url);
            self.protected.put(url, entry);
            self.demote();
        }
        let entry = self.protected.get_mut(url)?;
        entry.hits += 1;
        entry.used = true;
        Some(entry)
    }

    pub(crate) fn peek(&self, url: &str) -> Option<&Entry> {
        self.protected.peek(url).or_else(|| self.probation.peek(url))
    }

    /// Takes a certificate in, in its predecessor's place if there is one.
    pub(crate) fn put(&mut self, url: Rc<str>, mut entry: Entry) {
        let size = entry.size(&url);
        let protected = self.protected.contains(&url);
        if let Some(old) = self.remove(&url) {
            entry.hits += old.hits;
        }
        self.bytes += size;
        if protected {
            self.protected_bytes += size;
            self.protected.put(url, entry);
            self.demote();
        } else {
            self.probation.put(url, entry);
        }
        while self.len() > self.max_entries || self.bytes > self.max_bytes {
            let Some((url, old)) = self.probation.pop_lru().or_else(|| {
                let (url, old) = self.protected.pop_lru()?;
                self.protected_bytes -= old.size(&url);
                Some((url, old))
            }) else {
                return;
            };
            self.bytes -= old.size(&url);
        }
    }

    pub(crate) fn remove(&mut self, url: &str) -> Option<Entry> {
        if let Some(old) = self.protected.pop(url) {
            self.protected_bytes -= old.size(url);
            self.bytes -= old.size(url);
            return Some(old);
        }
        let old = self.probation.pop(url)?;
        self.bytes -= old.size(url);
        Some(old)
    }

    /// Its server refuses it: it is not used past its time.
    pub(crate) fn refused(&mut self, url: &str) {
        let found = match self.protected.peek_mut(url) {
            None => self.probation.peek_mut(url),
            found => found,
        };
        if let Some(entry) = found {
            entry.refused = true;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.probation.clear();
        self.protected.clear();
        (self.bytes, self.protected_bytes) = (0, 0);
    }

    /// All entries, those used last first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Rc<str>, &Entry)> {
        self.protected.iter().chain(self.probation.iter())
    }

    pub(crate) fn len(&self) -> usize {
        self.probation.len() + self.protected.len()
    }

    pub(crate) fn protected(&self) -> usize {
        self.protected.len()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is protected and too much has to prove itself again.
    fn demote(&mut self) {
        while self.protected.len() > self.max_entries / 10 * PROTECTED_TENTHS + 1
            || self.protected_bytes > self.max_bytes / 10 * PROTECTED_TENTHS
        {
            let Some((url, entry)) = self.protected.pop_lru() else { return };
            self.protected_bytes -= entry.size(&url);
            self.probation.put(url, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(octets: usize) -> Entry {
        Entry {
            body: vec![0; octets].into(),
            not_after: 0,
            spc: "".into(),
            fetched: 0,
            until: 0,
            refresh: 0,
            freshness: None,
            may_be_stale: true,
            tier: Tier::Http,
            hits: 0,
            used: false,
            refused: false,
        }
    }

    #[test]
    fn what_comes_once_pushes_out_nothing_in_use() {
        let mut cache = Cache::new(100, 1 << 30);
        for n in 0..50 {
            cache.put(format!("good {n}").into(), entry(10));
            assert!(cache.used(&format!("good {n}")).is_some());
        }
        for n in 0..10_000 {
            cache.put(format!("bad {n}").into(), entry(10));
            assert!(cache.len() <= 100);
        }
        assert!((0..50).all(|n| cache.peek(&format!("good {n}")).is_some()));
        assert!(cache.peek("bad 9999").is_some() && cache.peek("bad 9000").is_none());
    }

    #[test]
    fn octets_are_bounded_and_counted() {
        let mut cache = Cache::new(1000, 100_000);
        for n in 0..500 {
            cache.put(format!("{n}").into(), entry(n * 20));
            if n % 3 != 0 {
                cache.used(&format!("{n}"));
            }
            assert!(cache.bytes() <= 100_000);
            let sum: usize = cache.iter().map(|(url, entry)| entry.size(url)).sum();
            assert_eq!(cache.bytes(), sum);
        }
        cache.put("499".into(), entry(1));
        cache.remove("498");
        let left: Vec<_> = cache.iter().map(|(url, _)| Rc::clone(url)).collect();
        left.iter().for_each(|url| drop(cache.remove(url)));
        assert_eq!((cache.bytes(), cache.protected_bytes, cache.len()), (0, 0, 0));
    }
}
