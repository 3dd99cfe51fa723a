//! What all processes see: orders of the operator's that each follows at its next call, and the key
//! files that are in use.

use crate::state::guarded;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// Key files that `secsipid.reload` looks at: more are used all the same.
const MAX_KEYS: usize = 64;
/// Longest path of one, in octets.
const MAX_PATH: usize = 252;
/// What [`Key::state`] says while the path is being written.
const BUSY: u32 = 1;
/// … and from then on, added to the path's length.
const WRITTEN: u32 = 2;

/// Lies in memory that processes share; all zeros is what it begins with.
#[repr(C)]
pub(crate) struct Shared {
    /// A count in the upper 16 bits, and in the others which URL is forgotten; 0 for all.
    forgotten: AtomicU64,
    reloads: AtomicU64,
    keys: [Key; MAX_KEYS],
}

#[repr(C)]
struct Key {
    state: AtomicU32,
    path: [AtomicU8; MAX_PATH],
}

/// What a process has followed of it.
#[derive(Default)]
pub(crate) struct Seen {
    forgotten: AtomicU64,
    reloads: AtomicU64,
    keys: Mutex<HashSet<String>>,
}

/// What a process is to forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forget {
    All,
    /// The URL whose [`digest`] is this.
    One(u64),
}

const COUNT: u32 = 48;

/// What stands for a URL; never 0.
pub(crate) fn digest(url: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    url.hash(&mut hasher);
    (hasher.finish() & ((1 << COUNT) - 1)).max(1)
}

impl Shared {
    /// Has all processes forget one URL, or all.
    pub(crate) fn forget(&self, url: Option<&str>) {
        let which = url.map_or(0, digest);
        let next = |word: u64| Some(((word >> COUNT).wrapping_add(1) << COUNT) | which);
        // Never refused.
        let _ = self.forgotten.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
    }

    /// What this process is to forget and has not yet.
    pub(crate) fn to_forget(&self, seen: &Seen) -> Option<Forget> {
        let word = self.forgotten.load(Ordering::Acquire);
        let before = seen.forgotten.load(Ordering::Relaxed);
        if word == before {
            return None;
        }
        seen.forgotten.store(word, Ordering::Relaxed);
        let which = word & ((1 << COUNT) - 1);
        // One that was not seen may have been another URL.
        let next = (word >> COUNT) == ((before >> COUNT) + 1) & 0xffff;
        Some(if next && which != 0 { Forget::One(which) } else { Forget::All })
    }

    /// Has all processes read their files anew.
    pub(crate) fn reload(&self) {
        self.reloads.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether this process is to read its files anew and has not yet.
    pub(crate) fn to_reload(&self, seen: &Seen) -> bool {
        let now = self.reloads.load(Ordering::Acquire);
        seen.reloads.swap(now, Ordering::Relaxed) != now
    }

    /// Notes that a key file is in use.
    pub(crate) fn uses(&self, seen: &Seen, path: &str) {
        let mut known = guarded(&seen.keys);
        if known.contains(path) || known.len() >= MAX_KEYS || path.len() > MAX_PATH {
            return;
        }
        known.insert(path.to_owned());
        if self.keys().iter().any(|key| key == path) {
            return;
        }
        let free = |key: &&Key| {
            key.state.compare_exchange(0, BUSY, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let Some(key) = self.keys.iter().find(free) else { return };
        for (place, octet) in key.path.iter().zip(path.bytes()) {
            place.store(octet, Ordering::Relaxed);
        }
        let length = u32::try_from(path.len()).unwrap_or_default();
        key.state.store(WRITTEN + length, Ordering::Release);
    }

    /// The key files that processes have used, each once.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut all = Vec::new();
        for key in &self.keys {
            let Some(length) = key.state.load(Ordering::Acquire).checked_sub(WRITTEN) else {
                continue;
            };
            let length = usize::try_from(length).unwrap_or_default();
            let octets = key.path.iter().take(length).map(|octet| octet.load(Ordering::Relaxed));
            let path = String::from_utf8_lossy(&octets.collect::<Vec<_>>()).into_owned();
            // Two processes may have noted it at the same time.
            if !all.contains(&path) {
                all.push(path);
            }
        }
        all
    }
}
