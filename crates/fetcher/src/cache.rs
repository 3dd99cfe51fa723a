//! Certificates in memory, in two places. What came in is on probation: few, for a short time, and
//! pushed out by the next. A token that verified with a certificate, or an operator who named its
//! URL, takes it to where strangers don't reach it.

use crate::freshness::Freshness;
use crate::settings::limits::{PROBATION_BYTES, PROBATION_ENTRIES, PROBATION_TIME};
use std::rc::Rc;
use std::sync::Arc;
use stir::fetch::{Digest, digest};
use stir::shelf::{Bounds, Gone, KEY_SHARE, Shelf, Why};
use stir::store::MAX_STORED;

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
    /// Its public key.
    pub key: Rc<[u8]>,
    pub not_after: i64,
    /// Its service provider code; empty for none.
    pub spc: Rc<str>,
    /// When its server vouched for it.
    pub fetched: i64,
    /// Until when it is used without asking again.
    pub until: i64,
    /// From when on it is fetched ahead, if it is in use.
    pub refresh: i64,
    /// Until when it is on probation.
    pub leaves: i64,
    /// What the server's answer said; none of what came from elsewhere.
    pub freshness: Option<Freshness>,
    /// Whether that lets it be used past its time when the server can't be had.
    pub may_be_stale: bool,
    pub tier: Tier,
    pub hits: u64,
    /// A token has verified with this very body, or an operator named its URL.
    pub proven: bool,
    /// A token has verified with it since it was fetched.
    pub used: bool,
    /// Its server said since that it is not there (4xx).
    pub refused: bool,
}

impl Entry {
    fn size(&self, url: &str) -> usize {
        let headers = self.freshness.as_ref().map_or(0, Freshness::size);
        self.body.len() + self.key.len() + self.spc.len() + headers + 2 * url.len() + OVERHEAD
    }

    /// Whether others may find it: it has earned that, and has not run out.
    pub(crate) fn is_for_others(&self) -> bool {
        self.proven && self.body.len() <= MAX_STORED && self.until > self.fetched
    }
}

/// URLs that are not protected any more, and why.
pub(crate) type Displaced = Vec<(Arc<str>, Why)>;

pub(crate) struct Cache {
    probation: Shelf<Entry>,
    protected: Shelf<Entry>,
}

impl Cache {
    pub(crate) fn new(entries: u32, bytes: u64) -> Self {
        let entries = usize::try_from(entries).unwrap_or(usize::MAX);
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let probation = Bounds {
            entries: PROBATION_ENTRIES.min(entries),
            bytes: PROBATION_BYTES,
            per_key: usize::MAX,
        };
        Self {
            probation: Shelf::new(probation),
            protected: Shelf::new(Bounds { entries, bytes, per_key: KEY_SHARE }),
        }
    }

    /// An entry that a caller asks for. That alone proves nothing.
    pub(crate) fn get(&mut self, url: &str) -> Option<&mut Entry> {
        let entry = match self.protected.get(url) {
            None => self.probation.get(url),
            found => found,
        }?;
        entry.hits += 1;
        Some(entry)
    }

    pub(crate) fn peek(&self, url: &str) -> Option<&Entry> {
        self.protected.peek(url).or_else(|| self.probation.peek(url))
    }

    /// Whether strangers can't push it out.
    pub(crate) fn is_protected(&self, url: &str) -> bool {
        self.protected.peek(url).is_some()
    }

    /// Takes a certificate in, in its predecessor's place if there is one: a URL whose certificates
    /// verified tokens keeps its place when its certificate is renewed.
    pub(crate) fn put(&mut self, url: &str, mut entry: Entry) -> Displaced {
        let was_protected = self.is_protected(url);
        if let Some(old) = self.remove(url) {
            entry.hits += old.hits;
            entry.proven |= old.proven && old.body == entry.body;
        }
        if entry.proven || (was_protected && entry.body.len() <= MAX_STORED) {
            self.protect(url, entry)
        } else {
            self.on_probation(url, entry);
            Displaced::new()
        }
    }

    /// A token has verified with the certificate of this body: whether it is the first since the
    /// body came, and who had to go. `None` if it is not here any more, or another is.
    pub(crate) fn prove(&mut self, url: &str, body: &Digest) -> Option<(bool, Displaced)> {
        let found = self.peek(url).filter(|entry| digest(&entry.body) == *body)?;
        let (first, large) = (!found.proven, found.body.len() > MAX_STORED);
        if large {
            // Nobody's certificate has so much behind it: it is used, and pushed out by the next.
            return None;
        }
        if let Some(mut entry) = self.probation.remove(url) {
            (entry.proven, entry.used) = (true, true);
            return Some((first, self.protect(url, entry)));
        }
        let entry = self.protected.get(url)?;
        (entry.proven, entry.used) = (true, true);
        Some((first, Displaced::new()))
    }

    fn protect(&mut self, url: &str, entry: Entry) -> Displaced {
        let key = Rc::clone(&entry.key);
        let gone = self.protected.put(url, &key, entry.size(url), entry);
        let demoted = |(url, entry, why): Gone<Entry>| {
            self.on_probation(&url, entry);
            (url, why)
        };
        gone.into_iter().map(demoted).collect()
    }

    fn on_probation(&mut self, url: &str, mut entry: Entry) {
        entry.leaves = now().saturating_add(PROBATION_TIME);
        let key = Rc::clone(&entry.key);
        self.probation.put(url, &key, entry.size(url), entry);
    }

    pub(crate) fn remove(&mut self, url: &str) -> Option<Entry> {
        self.protected.remove(url).or_else(|| self.probation.remove(url))
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
    }

    /// All entries: those that are protected first, of either those used last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Entry)> {
        self.protected.iter().chain(self.probation.iter())
    }

    /// Those whose time on probation is over.
    pub(crate) fn leaving(&self, now: i64) -> impl Iterator<Item = &Arc<str>> {
        self.probation.iter().filter(move |(_, entry)| now >= entry.leaves).map(|(url, _)| url)
    }

    pub(crate) fn len(&self) -> usize {
        self.probation.len() + self.protected.len()
    }

    pub(crate) fn protected(&self) -> usize {
        self.protected.len()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.probation.bytes() + self.protected.bytes()
    }
}

fn now() -> i64 {
    stir::Clock::now(&stir::SystemClock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, octets: usize) -> Entry {
        Entry {
            body: vec![0; octets].into(),
            key: key.as_bytes().into(),
            not_after: 0,
            spc: "".into(),
            fetched: 0,
            until: 1,
            refresh: 0,
            leaves: 0,
            freshness: None,
            may_be_stale: true,
            tier: Tier::Http,
            hits: 0,
            proven: false,
            used: false,
            refused: false,
        }
    }

    #[test]
    fn what_nothing_has_verified_with_pushes_out_nothing_in_use() {
        let mut cache = Cache::new(100, 1 << 30);
        for n in 0..50 {
            let (url, key) = (format!("http://good/{n}"), n.to_string());
            cache.put(&url, entry(&key, 10));
            let (first, displaced) = cache.prove(&url, &digest(&[0; 10])).unwrap();
            assert!(first && displaced.is_empty());
            assert!(!cache.prove(&url, &digest(&[0; 10])).unwrap().0, "once");
        }
        for n in 0..10_000 {
            let url = format!("http://{n}.bad/");
            cache.put(&url, entry("his", 10));
            // However often it is asked for.
            (0..3).for_each(|_| assert!(cache.get(&url).is_some()));
            assert!(cache.prove(&url, &digest(b"another body")).is_none());
        }
        assert!((0..50).all(|n| cache.is_protected(&format!("http://good/{n}"))));
        assert!(
            cache.peek("http://9999.bad/").is_some() && cache.peek("http://9000.bad/").is_none()
        );
        assert_eq!((cache.protected(), cache.len()), (50, 150));
    }

    #[test]
    fn who_has_one_certificate_takes_the_places_of_one() {
        let mut cache = Cache::new(100, 1 << 30);
        let prove = |cache: &mut Cache, url: &str, octets: usize| {
            cache.put(url, entry(url, octets));
            cache.prove(url, &digest(&vec![0; octets]))
        };
        for n in 0..50 {
            prove(&mut cache, &format!("http://good/{n}"), 10);
        }
        let mut displaced = 0;
        for n in 0..1000 {
            let url = format!("http://{n}.his/");
            cache.put(&url, entry("his", 10));
            let (_, gone) = cache.prove(&url, &digest(&[0; 10])).unwrap();
            assert!(gone.iter().all(|(_, why)| *why == Why::Share));
            displaced += gone.len();
        }
        assert_eq!(displaced, 1000 - KEY_SHARE);
        assert_eq!(cache.protected(), 50 + KEY_SHARE);
        // What is much larger than any certificate stays on probation.
        assert!(prove(&mut cache, "http://large/", MAX_STORED + 1).is_none());
        assert!(!cache.is_protected("http://large/"));
    }

    #[test]
    fn a_renewed_certificate_keeps_its_place_and_proves_itself_for_others() {
        let mut cache = Cache::new(100, 1 << 30);
        let url = "http://good/";
        cache.put(url, entry("k", 10));
        assert!(!cache.peek(url).unwrap().is_for_others());
        cache.prove(url, &digest(&[0; 10])).unwrap();
        assert!(cache.peek(url).unwrap().is_for_others());
        // The same again: nothing new has to be proven, but that it is used.
        cache.put(url, entry("k", 10));
        let same = cache.peek(url).unwrap();
        assert!(same.is_for_others() && !same.used);
        cache.put(url, entry("new", 11));
        assert!(cache.is_protected(url) && !cache.peek(url).unwrap().is_for_others());
        assert!(cache.prove(url, &digest(&[0; 10])).is_none(), "that was the one before");
        assert!(cache.prove(url, &digest(&[0; 11])).unwrap().0);
        cache.remove(url);
        assert_eq!((cache.bytes(), cache.len()), (0, 0));
    }
}
