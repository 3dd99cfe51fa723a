//! What a service does of itself, and for operators: refreshing, forgetting, prefetching, listing.

use crate::cache::Entry;
use crate::protocol::{Listed, MAX_REPLY};
use crate::service::{Service, Wanted, busy, host};
use crate::settings::limits;
use crate::slots::Kind;
use crate::stats::Stats;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stir::store::{Put, Room, sweep};
use stir::{Clock, Result, SystemClock};

const DAY: i64 = 86_400;
/// Refreshes that one tick starts: the rest follow half a second later.
const MAX_REFRESHES: usize = 256;
/// How often one looks whether there is room for more to prefetch.
const PREFETCH_PAUSE: Duration = Duration::from_millis(50);

impl Service {
    /// Has a URL fetched that nobody waits for.
    pub(crate) fn prefetch(self: &Rc<Self>, url: &str) -> Result<()> {
        let mut state = self.state();
        let fresh = |entry: &Entry| entry.proven && SystemClock.now() < entry.until;
        if state.cache.peek(url).is_some_and(fresh) {
            return Ok(());
        }
        if let Some(flight) = state.flights.get(url) {
            flight.wanted.set(Wanted::ByOperator);
            return Ok(());
        }
        if !self.slots.has_room(Kind::Kept, &host(url)?) {
            state.stats.refused_busy += 1;
            return Err(busy(url));
        }
        self.start(&mut state, url, Wanted::ByOperator).map(drop)
    }

    pub(crate) async fn prefetch_all(self: Rc<Self>, urls: Vec<String>) {
        for url in urls {
            let server = host(&url);
            while server.as_ref().is_ok_and(|host| !self.slots.has_room(Kind::Kept, host)) {
                tokio::time::sleep(PREFETCH_PAUSE).await;
            }
            if let Err(e) = self.prefetch(&url) {
                log::warn!("prefetch_file: {}", e.message());
            }
            // Callers come in between.
            tokio::task::yield_now().await;
        }
    }

    /// What is due by the clock: refreshes, and forgetting.
    pub(crate) fn tick(self: &Rc<Self>) {
        let now = SystemClock.now();
        let mut state = self.state();
        let (mut due, mut gone) = (Vec::new(), Vec::new());
        gone.extend(state.cache.leaving(now).cloned());
        for (url, entry) in state.cache.iter() {
            if now >= entry.until && self.stale(entry, now).is_none() {
                gone.push(Arc::clone(url));
            } else if entry.used && now >= entry.refresh && due.len() < MAX_REFRESHES {
                due.push(Arc::clone(url));
            }
        }
        for url in gone {
            state.cache.remove(&url);
        }
        for url in due {
            let failed = state.negatives.peek(&*url).is_some_and(|n| Instant::now() < n.until);
            if !failed && !state.flights.contains_key(&*url) && self.slots.is_free(Kind::Kept) {
                state.stats.refreshes += 1;
                // It was a URL before.
                let _ = self.start(&mut state, &url, Wanted::Ahead);
            }
        }
    }

    pub(crate) async fn sweep(self: Rc<Self>) {
        let Some(store) = self.store.clone() else { return };
        let seconds = u64::from(self.settings.cache_max) + u64::from(self.settings.stale_if_error);
        let age = Duration::from_secs(seconds);
        loop {
            let store = Arc::clone(&store);
            match crate::resolve::blocking(move || store.sweep(age)).await {
                Ok(count) => log::debug!("cache_dir: {count} old files were removed"),
                Err(e) => log::warn!("cache_dir can't be swept: {e}"),
            }
            // In time, or when there is much that is new.
            let _ = tokio::time::timeout(limits::SWEEP, self.full.notified()).await;
        }
    }

    /// Puts a certificate into the folder.
    pub(crate) fn put(&self, url: &str, body: &[u8], until: i64) {
        if let Some(store) = &self.store
            && store.put(url, body, Some(until)) != Put::Done
        {
            self.full.notify_one();
        }
    }

    /// Forgets one URL, here and where others would find it; or all that were fetched before now.
    pub(crate) async fn flush(&self, url: Option<&str>) {
        let now = SystemClock.now();
        {
            let mut state = self.state();
            match url {
                Some(url) => {
                    state.cache.remove(url);
                    state.negatives.pop(url);
                }
                None => {
                    state.cache.clear();
                    state.negatives.clear();
                    state.hosts.forgive();
                    state.flushed = now;
                }
            }
        }
        self.forget_shared(url, now).await;
        match (&self.store, url) {
            (Some(store), Some(url)) => store.remove(url),
            (Some(_), None) => {
                let folder = self.settings.http.cache_dir.clone();
                let all = move || sweep(&folder, Duration::ZERO, &Room { files: 0, octets: 0 });
                if let Err(e) = crate::resolve::blocking(all).await {
                    log::warn!("cache_dir can't be cleared: {e}");
                }
            }
            (None, _) => {}
        }
    }

    /// The rows of a list, as JSON.
    pub(crate) fn list(&self) -> Vec<u8> {
        let now = SystemClock.now();
        let state = self.state();
        let mut text = vec![b'['];
        for (url, entry) in state.cache.iter().take(limits::MAX_LIST) {
            let row = Listed {
                url: url.to_string(),
                spc: entry.spc.to_string(),
                not_after: entry.not_after,
                until: entry.until,
                age: now.saturating_sub(entry.fetched),
                hits: entry.hits,
                tier: entry.tier.name().into(),
            };
            let row = serde_json::to_vec(&row).unwrap_or_default();
            // Room for the frame's head and the closing bracket.
            if text.len() + row.len() + 64 > MAX_REPLY {
                break;
            }
            if text.len() > 1 {
                text.push(b',');
            }
            text.extend(row);
        }
        text.push(b']');
        text
    }

    pub(crate) fn stats(&self) -> Stats {
        let now = SystemClock.now();
        let state = self.state();
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let (queued, in_flight) = self.slots.count();
        let seconds = |n: i64| u64::try_from(n).unwrap_or_default();
        let soon = |entry: &Entry| (now..now + DAY).contains(&entry.not_after);
        Stats {
            in_flight: number(in_flight),
            queued: number(queued),
            waiting: number(state.waiting),
            entries: number(state.cache.len()),
            protected: number(state.cache.protected()),
            bytes: number(state.cache.bytes()),
            oldest: state.cache.iter().map(|(_, e)| seconds(now - e.fetched)).max().unwrap_or(0),
            expire_in_day: number(state.cache.iter().filter(|(_, e)| soon(e)).count()),
            negatives: number(state.negatives.len()),
            breakers_open: number(state.hosts.open(Instant::now())),
            ..state.stats.clone()
        }
    }
}
