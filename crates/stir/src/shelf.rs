//! Things by URL, bounded in every way that a stranger could spend: in number, in bytes, and in
//! what one key or one host takes of that.

use lru::LruCache;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// Places that one key takes at most. A carrier has one or two URLs for a key at a time; who owns
/// one genuine certificate can name any number of URLs for it.
pub const KEY_SHARE: usize = 16;

/// How much fits onto a shelf.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Things in all.
    pub entries: usize,
    /// Bytes in all, as their owner counts them.
    pub bytes: usize,
    /// Things of one key.
    pub per_key: usize,
}

impl Bounds {
    /// What one host takes at most: three quarters, so that others always have the rest. No less,
    /// for all certificates of France come from one host.
    const fn of_host(all: usize) -> usize {
        all - all / 4
    }
}

/// Why something left the shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was not used for longest, and there was no room.
    Full,
    /// Its key or its host took more than its share.
    Share,
}

/// What had to go.
pub type Gone<V> = (Arc<str>, V, Why);

/// Things by URL; the one not used for longest goes first.
pub struct Shelf<V> {
    bounds: Bounds,
    things: LruCache<Arc<str>, Thing<V>>,
    bytes: usize,
    /// The URLs of each key, the oldest first.
    keys: HashMap<u64, VecDeque<Arc<str>>>,
    /// How many things and bytes are each host's.
    hosts: HashMap<u64, (usize, usize)>,
    hasher: RandomState,
}

struct Thing<V> {
    value: V,
    bytes: usize,
    key: u64,
    host: u64,
}

impl<V> Shelf<V> {
    /// An empty one.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            things: LruCache::unbounded(),
            bytes: 0,
            keys: HashMap::new(),
            hosts: HashMap::new(),
            hasher: RandomState::new(),
        }
    }

    /// What is there for a URL; it counts as used.
    pub fn get(&mut self, url: &str) -> Option<&mut V> {
        self.things.get_mut(url).map(|thing| &mut thing.value)
    }

    /// The same, and it does not count as used.
    pub fn peek(&self, url: &str) -> Option<&V> {
        self.things.peek(url).map(|thing| &thing.value)
    }

    /// The same, to be changed.
    pub fn peek_mut(&mut self, url: &str) -> Option<&mut V> {
        self.things.peek_mut(url).map(|thing| &mut thing.value)
    }

    /// Puts something in, in its predecessor's place; `key` is the public key of its certificate.
    /// What has to go for it, which may be itself.
    pub fn put(&mut self, url: &str, key: &[u8], bytes: usize, value: V) -> Vec<Gone<V>> {
        self.remove(url);
        let (key, host) = (self.hasher.hash_one(key), self.hasher.hash_one(host(url)));
        let url: Arc<str> = url.into();
        let of_key = self.keys.entry(key).or_default();
        of_key.push_back(Arc::clone(&url));
        let first = (of_key.len() > self.bounds.per_key).then(|| of_key.front().cloned());
        let of_host = self.hosts.entry(host).or_default();
        *of_host = (of_host.0 + 1, of_host.1 + bytes);
        self.bytes += bytes;
        self.things.put(url, Thing { value, bytes, key, host });

        let mut gone = Vec::new();
        if let Some(url) = first.flatten() {
            self.let_go(&url, Why::Share, &mut gone);
        }
        while self.is_too_much(host)
            && let Some(url) = self.last_of(host)
        {
            self.let_go(&url, Why::Share, &mut gone);
        }
        while (self.len() > self.bounds.entries || self.bytes > self.bounds.bytes)
            && let Some(url) = self.things.peek_lru().map(|(url, _)| Arc::clone(url))
        {
            self.let_go(&url, Why::Full, &mut gone);
        }
        gone
    }

    /// Takes something off.
    pub fn remove(&mut self, url: &str) -> Option<V> {
        let (url, thing) = self.things.pop_entry(url)?;
        self.bytes -= thing.bytes;
        if let Some(urls) = self.keys.get_mut(&thing.key) {
            urls.retain(|known| *known != url);
            if urls.is_empty() {
                self.keys.remove(&thing.key);
            }
        }
        if let Some((count, bytes)) = self.hosts.get_mut(&thing.host) {
            (*count, *bytes) = (*count - 1, *bytes - thing.bytes);
            if *count == 0 {
                self.hosts.remove(&thing.host);
            }
        }
        Some(thing.value)
    }

    /// Takes all off.
    pub fn clear(&mut self) {
        self.things.clear();
        self.keys.clear();
        self.hosts.clear();
        self.bytes = 0;
    }

    /// All, those used last first.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &V)> {
        self.things.iter().map(|(url, thing)| (url, &thing.value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.things.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.things.is_empty()
    }

    /// Their bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn let_go(&mut self, url: &Arc<str>, why: Why, gone: &mut Vec<Gone<V>>) {
        if let Some(value) = self.remove(url) {
            gone.push((Arc::clone(url), value, why));
        }
    }

    fn is_too_much(&self, host: u64) -> bool {
        self.hosts.get(&host).is_some_and(|(count, bytes)| {
            *count > Bounds::of_host(self.bounds.entries)
                || *bytes > Bounds::of_host(self.bounds.bytes)
        })
    }

    /// Of a host that has most of the places, so it is found soon.
    fn last_of(&self, host: u64) -> Option<Arc<str>> {
        let found = self.things.iter().rev().find(|(_, thing)| thing.host == host);
        found.map(|(url, _)| Arc::clone(url))
    }
}

/// Host and port of a URL, as far as they are needed to count.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    host.rsplit_once('@').map_or(host, |(_, host)| host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { entries: 100, bytes: 10_000, per_key: 4 };

    fn is_consistent<V>(shelf: &Shelf<V>) {
        assert_eq!(shelf.bytes, shelf.things.iter().map(|(_, thing)| thing.bytes).sum::<usize>());
        assert_eq!(shelf.keys.values().map(VecDeque::len).sum::<usize>(), shelf.len());
        assert_eq!(shelf.hosts.values().map(|(count, _)| count).sum::<usize>(), shelf.len());
        assert_eq!(shelf.hosts.values().map(|(_, bytes)| bytes).sum::<usize>(), shelf.bytes);
        assert!(shelf.len() <= shelf.bounds.entries && shelf.bytes <= shelf.bounds.bytes);
    }

    #[test]
    fn a_key_and_a_host_take_no_more_than_their_share() {
        let mut shelf = Shelf::new(BOUNDS);
        for n in 0..25_u8 {
            assert!(shelf.put(&format!("https://good/{n}"), &[n], 10, ()).is_empty());
        }
        // One key at any number of hosts.
        for n in 0..1000 {
            let gone = shelf.put(&format!("https://{n}.example/"), b"his", 10, ());
            assert!(gone.iter().all(|(_, (), why)| *why == Why::Share), "{gone:?}");
            assert!(shelf.len() <= 25 + BOUNDS.per_key);
        }
        // One host with any number of keys.
        for n in 0..1000_u32 {
            shelf.put(&format!("HTTPS://u@His/{n}"), &n.to_le_bytes(), 10, ());
            is_consistent(&shelf);
        }
        let his = |url: &str| host(url) == "his";
        assert_eq!(shelf.iter().filter(|(url, ())| his(url)).count(), 75);
        assert_eq!(
            shelf.iter().filter(|(url, ())| url.starts_with("https://good/")).count(),
            25 - 4
        );
    }

    #[test]
    fn what_is_not_used_for_longest_goes_first() {
        let mut shelf = Shelf::new(Bounds { entries: 2, ..BOUNDS });
        shelf.put("http://a/", b"a", 10, 1);
        shelf.put("http://b/", b"b", 10, 2);
        assert_eq!(shelf.get("http://a/"), Some(&mut 1));
        let gone = shelf.put("http://c/", b"c", 10, 3);
        assert_eq!(gone, [("http://b/".into(), 2, Why::Full)]);
        // Bytes count as well, and the same URL takes one place.
        assert!(shelf.put("http://c/", b"c", 5_000, 4).is_empty());
        assert_eq!(shelf.put("http://d/", b"d", 6_000, 5).len(), 2);
        assert_eq!((shelf.len(), shelf.bytes()), (1, 6_000));
        // What is larger than its host's share goes at once.
        assert_eq!(shelf.put("http://e/", b"e", 8_000, 6).len(), 1);
        is_consistent(&shelf);
        assert_eq!(shelf.remove("http://d/"), Some(5));
        is_consistent(&shelf);
        assert!(shelf.is_empty());
    }
}
