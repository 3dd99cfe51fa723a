//! What the service knows, and how it answers.

use crate::cache::{Cache, Displaced, Entry};
use crate::download::Downloads;
use crate::hosts::{Hosts, backoff};
use crate::redis::Redis;
use crate::settings::{Settings, limits};
use crate::slots::Slots;
use crate::stats::Stats;
use lru::LruCache;
use std::cell::{Cell, RefCell, RefMut};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stir::store::Store;
use stir::{Clock, Code, Error, Result, SystemClock};
use tokio::sync::{Notify, oneshot};

/// A certificate that is handed out, and until when the caller may use it.
#[derive(Clone)]
pub(crate) struct Served {
    pub body: Rc<[u8]>,
    pub until: i64,
}

pub(crate) type Outcome = Result<Served>;

/// What a URL comes to at once.
pub(crate) enum Look {
    Ready(Outcome),
    Wait(oneshot::Receiver<Outcome>),
}

/// For whom a URL is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The callers who wait for it.
    ByCallers,
    /// Calls to come: a certificate in use is about to run out.
    Ahead,
    /// An operator, who named it.
    ByOperator,
}

/// One URL being fetched.
pub(crate) struct Flight {
    pub waiters: RefCell<Vec<oneshot::Sender<Outcome>>>,
    pub wanted: Cell<Wanted>,
}

impl Flight {
    /// Whether there is anybody still who wants it.
    pub(crate) fn wanted(&self) -> bool {
        self.wanted.get() != Wanted::ByCallers
            || self.waiters.borrow().iter().any(|waiter| !waiter.is_closed())
    }
}

/// A failure that is remembered.
pub(crate) struct Negative {
    error: Error,
    pub until: Instant,
    /// Failures in a row.
    count: u32,
}

pub(crate) struct Service {
    pub settings: Settings,
    pub downloads: Downloads,
    pub redis: Option<Redis>,
    pub store: Option<Arc<Store>>,
    pub slots: Rc<Slots>,
    /// URLs for which Redis does not have yet what it is to have.
    pub unshared: RefCell<VecDeque<Arc<str>>>,
    /// Says that there are some.
    pub to_share: Notify,
    /// Says when it is worth looking whether the folder holds too much.
    pub full: Notify,
    state: RefCell<State>,
}

pub(crate) struct State {
    pub cache: Cache,
    pub hosts: Hosts,
    pub stats: Stats,
    /// What was fetched before (Unix seconds) does not count any more.
    pub flushed: i64,
    pub negatives: LruCache<Rc<str>, Negative>,
    pub flights: HashMap<Rc<str>, Rc<Flight>>,
    pub waiting: usize,
}

impl Service {
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let pause = Duration::from_secs(settings.negative_ttl.into());
        let hosts = Hosts::new(pause, settings.timeout());
        Ok(Self {
            downloads: Downloads::new(settings, hosts.names())?,
            redis: settings.redis()?.map(Redis::new),
            store: Store::new(&settings.http.cache_dir, settings.cache_max).map(Arc::new),
            slots: Rc::default(),
            unshared: RefCell::default(),
            to_share: Notify::new(),
            full: Notify::new(),
            state: RefCell::new(State {
                cache: Cache::new(settings.entries, settings.bytes),
                hosts,
                stats: Stats::default(),
                flushed: i64::MIN,
                negatives: LruCache::unbounded(),
                flights: HashMap::new(),
                waiting: 0,
            }),
            settings: settings.clone(),
        })
    }

    /// Never held over an await.
    pub(crate) fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// Answers from memory, or has the URL fetched.
    pub(crate) fn look(self: &Rc<Self>, url: &str) -> Look {
        let mut state = self.state();
        let state = &mut *state;
        state.stats.requests += 1;
        let stale = match self.at_hand(state, url) {
            Ok(outcome) => return Look::Ready(outcome),
            Err(stale) => stale,
        };
        if state.waiting >= limits::MAX_WAITING {
            state.stats.refused_busy += 1;
            return Look::Ready(stale.ok_or_else(|| busy(url)));
        }
        let flight = match state.flights.get(url) {
            Some(flight) => {
                state.stats.coalesced += 1;
                self.slots.renew(flight);
                Rc::clone(flight)
            }
            None => match self.start(state, url, Wanted::ByCallers) {
                Ok(flight) => flight,
                Err(e) => return Look::Ready(Err(e)),
            },
        };
        let (waiter, outcome) = oneshot::channel();
        flight.waiters.borrow_mut().push(waiter);
        state.waiting += 1;
        Look::Wait(outcome)
    }

    /// Answers from memory, or not at all.
    pub(crate) fn peek(&self, url: &str) -> Option<Outcome> {
        let mut state = self.state();
        let outcome = self.at_hand(&mut state, url).ok()?;
        state.stats.requests += 1;
        Some(outcome)
    }

    /// What is in memory: a certificate in its time, or a failure that is remembered. Else what is
    /// past its time, if it may be used still.
    fn at_hand(&self, state: &mut State, url: &str) -> Result<Outcome, Option<Served>> {
        let now = SystemClock.now();
        let mut stale = None;
        if let Some(entry) = state.cache.get(url) {
            if now < entry.until {
                state.stats.hits_memory += 1;
                return Ok(Ok(handed(entry, now)));
            }
            stale = self.stale(entry, now);
        }
        let known = state.negatives.get(url).filter(|negative| Instant::now() < negative.until);
        match (known, stale) {
            (None, stale) => Err(stale),
            (Some(_), Some(stale)) => {
                state.stats.hits_stale += 1;
                Ok(Ok(stale))
            }
            (Some(negative), None) => {
                state.stats.hits_negative += 1;
                Ok(Err(negative.error.clone()))
            }
        }
    }

    /// Waits for what [`Service::look`] could not say at once.
    pub(crate) async fn wait(
        &self,
        url: &str,
        waiter: oneshot::Receiver<Outcome>,
        deadline: Instant,
    ) -> Outcome {
        let outcome = tokio::time::timeout_at(deadline.into(), waiter).await;
        let mut state = self.state();
        state.waiting = state.waiting.saturating_sub(1);
        match outcome {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(failed(url, "can't be fetched: the fetcher failed, see its log")),
            Err(_) => {
                state.stats.timed_out += 1;
                let stale = state.cache.peek(url).and_then(|e| self.stale(e, SystemClock.now()));
                if stale.is_some() {
                    state.stats.hits_stale += 1;
                }
                stale.ok_or_else(|| failed(url, "can't be fetched: no answer in time"))
            }
        }
    }

    pub(crate) fn start(
        self: &Rc<Self>,
        state: &mut State,
        url: &str,
        wanted: Wanted,
    ) -> Result<Rc<Flight>> {
        let host = host(url).inspect_err(|_| state.stats.failed_url += 1)?;
        let flight = Rc::new(Flight { waiters: RefCell::default(), wanted: Cell::new(wanted) });
        let url: Rc<str> = url.into();
        state.flights.insert(Rc::clone(&url), Rc::clone(&flight));
        let landing = Landing { service: Rc::clone(self), url };
        tokio::task::spawn_local(landing.fly(host, Rc::clone(&flight)));
        Ok(flight)
    }

    /// Remembers that a URL failed; how often in a row decides for how long, and its server where it
    /// asks for more.
    pub(crate) fn remember_failure(
        &self,
        state: &mut State,
        url: &Rc<str>,
        error: &Error,
        retry_after: Option<Duration>,
    ) {
        let count = state.negatives.peek(url).map_or(0, |negative| negative.count);
        let first = Duration::from_secs(self.settings.negative_ttl.into());
        let pause = backoff(first, count).max(retry_after.unwrap_or_default());
        let until = Instant::now() + pause;
        state.negative(url, Negative { error: error.clone(), until, count: count + 1 });
    }

    /// Remembers that a URL was not even tried; that is no failure of its own.
    pub(crate) fn remember_refusal(
        &self,
        state: &mut State,
        url: &Rc<str>,
        error: &Error,
        pause: Duration,
    ) {
        let first = Duration::from_secs(self.settings.negative_ttl.into());
        let count = state.negatives.peek(url).map_or(0, |negative| negative.count);
        let until = Instant::now() + pause.min(first);
        state.negative(url, Negative { error: error.clone(), until, count });
    }

    /// An entry past its time, if it may still be used because nothing better can be had.
    pub(crate) fn stale(&self, entry: &Entry, now: i64) -> Option<Served> {
        let end = entry.until.saturating_add(self.settings.stale_if_error.into());
        let end = end.min(entry.not_after);
        let may = !entry.refused && entry.may_be_stale;
        let step = i64::try_from(limits::STALE_STEP.as_secs()).unwrap_or(i64::MAX);
        let until = now.saturating_add(step).min(end);
        (now < end && may).then(|| Served { body: Rc::clone(&entry.body), until })
    }

    pub(crate) fn connected(&self, change: i32) {
        let connections = &mut self.state().stats.connections;
        *connections = connections.saturating_add_signed(change.into());
    }
}

impl State {
    fn negative(&mut self, url: &Rc<str>, negative: Negative) {
        self.negatives.put(Rc::clone(url), negative);
        if self.negatives.len() > limits::MAX_NEGATIVES {
            self.negatives.pop_lru();
        }
    }

    /// Takes a certificate in.
    pub(crate) fn keep(&mut self, url: &Rc<str>, entry: Entry) -> Displaced {
        self.negatives.pop(url);
        self.cache.put(url, entry)
    }
}

/// Ends a flight whatever happens in it: one that stayed in the table would block its URL for ever.
pub(crate) struct Landing {
    pub service: Rc<Service>,
    pub url: Rc<str>,
}

impl Landing {
    async fn fly(self, host: Rc<str>, flight: Rc<Flight>) {
        let outcome = self.service.fetch(&self.url, &host, &flight).await;
        let mut state = self.service.state();
        let outcome = outcome.or_else(|e| {
            let stale = state.cache.peek(&self.url);
            stale.and_then(|entry| self.service.stale(entry, SystemClock.now())).ok_or(e)
        });
        drop(state.flights.remove(&self.url));
        for waiter in flight.waiters.take() {
            // Its caller may have gone.
            let _ = waiter.send(outcome.clone());
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        // Borrowed only if a task panicked half-way.
        if let Ok(mut state) = self.service.state.try_borrow_mut() {
            state.flights.remove(&self.url);
        }
    }
}

/// What a caller gets, and until when it may keep it.
pub(crate) fn handed(entry: &Entry, now: i64) -> Served {
    let recheck = i64::try_from(limits::RECHECK.as_secs()).unwrap_or(i64::MAX);
    let kept = recheck.max(entry.until.saturating_sub(now) / 8);
    let until = entry.until.min(entry.not_after).min(now.saturating_add(kept));
    Served { body: Rc::clone(&entry.body), until }
}

pub(crate) fn host(url: &str) -> Result<Rc<str>> {
    if url.len() > limits::MAX_URL_LEN {
        let why = format!("a URL of {} octets is not fetched", url.len());
        return Err(Error::new(Code::HttpUrl, why));
    }
    let parsed = stir::fetch::parse_url(url)?;
    let port = parsed.port_or_known_default().unwrap_or_default();
    Ok(format!("{}:{port}", parsed.host_str().unwrap_or_default()).into())
}

pub(crate) fn failed(url: &str, why: &str) -> Error {
    Error::new(Code::HttpGet, format!("\"{}\" {why}", url.escape_debug()))
}

pub(crate) fn busy(url: &str) -> Error {
    failed(url, "is not fetched: too much is waiting already")
}
