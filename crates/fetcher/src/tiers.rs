//! Where a certificate is looked for: the folder, Redis, its server.

use crate::cache::{Entry, Tier};
use crate::download::{Answer, Class, Failure};
use crate::freshness::Freshness;
use crate::hosts::Pause;
use crate::redis;
use crate::service::{Flight, Outcome, Service, Wanted, busy, failed, handed};
use crate::settings::limits;
use crate::slots::Kind;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::{Duration, Instant};
use stir::store::{self, Stored};
use stir::{Clock, Code, Error, Result, SystemClock};

/// What was found somewhere; times are Unix seconds.
struct Found<'a> {
    body: &'a [u8],
    content_type: &'a str,
    tier: Tier,
    fetched: i64,
    until: i64,
    freshness: Option<Freshness>,
}

impl<'a> Found<'a> {
    /// Where nothing else is known of it.
    const fn at(tier: Tier, body: &'a [u8], fetched: i64, until: i64) -> Self {
        Self { body, content_type: "", tier, fetched, until, freshness: None }
    }
}

/// First line of a value in Redis; what follows is a file of `cache_dir`.
pub(crate) const FETCHED_LINE: &str = "fetched: ";
/// Where Redis has the time (Unix seconds) of the last flush of all: values from before do not count.
const FLUSHED: &str = "secsipid:flushed";

impl Service {
    /// Fetches a URL, and keeps what is of use.
    pub(crate) async fn fetch(
        &self,
        url: &Rc<str>,
        host: &Rc<str>,
        flight: &Rc<Flight>,
    ) -> Outcome {
        if let Some(entry) = self.stored(url) {
            return Ok(self.take(url, flight, entry));
        }
        let mut marked = false;
        if let Some(redis) = &self.redis {
            if let Some(entry) = self.shared(redis, url).await {
                return Ok(self.take(url, flight, entry));
            }
            match self.mark(redis, url).await {
                Ok(mine) => marked = mine,
                Err(entry) => return Ok(self.take(url, flight, *entry)),
            }
        }
        let outcome = self.download(url, host, flight).await;
        if let (true, Some(redis)) = (marked, &self.redis) {
            // Others that wait find it in Redis once it has verified a token.
            let mark = mark_name(url);
            self.note(match outcome {
                Ok(_) => redis.set(&mark, b"1", limits::PROOF_GRACE).await,
                Err(_) => redis.delete(&mark).await,
            });
        }
        outcome
    }

    /// Keeps what was found, and hands it out.
    fn take(&self, url: &Rc<str>, flight: &Rc<Flight>, mut entry: Entry) -> crate::service::Served {
        let served = handed(&entry, SystemClock.now());
        // Whom the operator names is trusted at once.
        entry.proven |= flight.wanted.get() == Wanted::ByOperator;
        let mut state = self.state();
        match entry.tier {
            Tier::Disk => state.stats.hits_disk += 1,
            Tier::Redis => state.stats.hits_redis += 1,
            Tier::Http => {}
        }
        let displaced = state.keep(url, entry);
        drop(state);
        self.displace(displaced);
        self.publish(url);
        served
    }

    /// Until when what is in memory counts: others are of use only if they count longer.
    fn have(&self, url: &str) -> i64 {
        self.state().cache.peek(url).map_or(i64::MIN, |entry| entry.until)
    }

    /// From `cache_dir`. One past its time goes into memory: it is better than none if its server
    /// can't be had.
    fn stored(&self, url: &Rc<str>) -> Option<Entry> {
        let now = SystemClock.now();
        let (stored, written) = self.store.as_ref()?.read(url, now)?;
        if written <= self.state().flushed {
            return None;
        }
        let until = stored.until.unwrap_or(written.saturating_add(self.settings.cache_min.into()));
        let found = Found::at(Tier::Disk, &stored.body, written, until);
        let entry = self.entry(url, found).ok()?;
        if now < entry.until && entry.until > self.have(url) {
            return Some(entry);
        }
        let mut state = self.state();
        if state.cache.peek(url).is_none() && self.stale(&entry, now).is_some() {
            state.cache.put(url, entry);
        }
        None
    }

    async fn shared(&self, redis: &redis::Redis, url: &Rc<str>) -> Option<Entry> {
        let flushed = self.note(redis.get(FLUSHED).await)?;
        let flushed = flushed.and_then(|text| String::from_utf8(text).ok()?.parse().ok());
        let text = self.note(redis.get(&value_name(url)).await)??;
        let now = SystemClock.now();
        let rest = text.strip_prefix(FETCHED_LINE.as_bytes())?;
        let end = rest.iter().position(|octet| *octet == b'\n')?;
        let (line, rest) = rest.split_at(end);
        let fetched = std::str::from_utf8(line).ok()?.parse().ok()?;
        let stored = Stored::decode(url, rest.get(1..)?)?;
        if fetched > now || fetched <= self.state().flushed.max(flushed.unwrap_or(i64::MIN)) {
            return None;
        }
        let found = Found::at(Tier::Redis, &stored.body, fetched, stored.until?);
        let entry = self.entry(url, found).ok()?;
        if now >= entry.until || entry.until <= self.have(url) {
            return None;
        }
        Some(entry)
    }

    /// Says to the other services that this one downloads; whether it did. If another is at it
    /// already, what that one found.
    async fn mark(&self, redis: &redis::Redis, url: &Rc<str>) -> Result<bool, Box<Entry>> {
        let limit = self.settings.timeout();
        let deadline = Instant::now() + limit;
        loop {
            // A service that died leaves its mark for as long as a download may take.
            let time = limit + Duration::from_secs(1);
            match self.note(redis.mark(&mark_name(url), time).await) {
                Some(true) => {
                    // Another may have found it between the look at Redis and the mark.
                    let Some(entry) = self.shared(redis, url).await else { return Ok(true) };
                    self.note(redis.delete(&mark_name(url)).await);
                    return Err(Box::new(entry));
                }
                Some(false) if Instant::now() < deadline => {}
                _ => return Ok(false),
            }
            tokio::time::sleep(limits::REDIS_POLL).await;
            if let Some(entry) = self.shared(redis, url).await {
                return Err(Box::new(entry));
            }
        }
    }

    /// Has others find a URL no more, or nothing that was fetched before now.
    pub(crate) async fn forget_shared(&self, url: Option<&str>, now: i64) {
        let Some(redis) = &self.redis else { return };
        match url {
            Some(url) => self.note(redis.delete(&value_name(url)).await),
            None => {
                let longest = Duration::from_secs(self.settings.cache_max.into());
                self.note(redis.set(FLUSHED, now.to_string().as_bytes(), longest).await)
            }
        };
    }

    pub(crate) fn note<T>(&self, answer: redis::Answer<T>) -> Option<T> {
        match answer {
            redis::Answer::Done(value) => return Some(value),
            redis::Answer::Failed => self.state().stats.redis_failed += 1,
            redis::Answer::Skipped => self.state().stats.redis_skipped += 1,
        }
        None
    }

    /// From its server, when it is its turn.
    async fn download(&self, url: &Rc<str>, host: &Rc<str>, flight: &Rc<Flight>) -> Outcome {
        let (known, kind) = {
            let state = self.state();
            let known = state.cache.peek(url);
            let known = known.map(|entry| (Rc::clone(&entry.body), entry.freshness.clone()));
            let kept = state.cache.is_protected(url) || flight.wanted.get() != Wanted::ByCallers;
            let kind = if kept {
                Kind::Kept
            } else if state.hosts.is_known(host) {
                Kind::Known
            } else {
                Kind::New
            };
            (known, kind)
        };
        let Some(turn) = self.slots.queue(kind, host, flight) else {
            self.state().stats.refused_busy += 1;
            return Err(busy(url));
        };
        let Ok(permit) = turn.await else {
            self.state().stats.refused_busy += 1;
            return Err(busy(url));
        };
        {
            let mut state = self.state();
            let allowed = state.hosts.allow(host, Instant::now());
            // A certificate in use is asked for in spite of it: what others do with that server's
            // name must not keep it from being fetched anew.
            if let (Err(pause), false) = (allowed, state.cache.is_protected(url)) {
                state.stats.refused_breaker += 1;
                let seconds = pause.time().as_secs() + 1;
                let why = match pause {
                    Pause::Failed(_) => "failed too often and is left alone",
                    Pause::Asked(_) => "asked to be left alone (Retry-After)",
                };
                let why = format!("is not fetched: {host} {why} for {seconds} s");
                let error = failed(url, &why);
                self.remember_refusal(&mut state, url, &error, pause.time());
                return Err(error);
            }
            state.stats.fetches += 1;
        }
        let (body, freshness) = known.unwrap_or_default();
        let started = Instant::now();
        let answer = self.downloads.get(url, freshness.as_ref()).await;
        drop(permit);
        self.state().stats.took(started.elapsed());
        let entry = match answer {
            Ok(Answer::New(body, freshness, content_type)) => {
                self.state().hosts.alive(host);
                self.fresh(url, &body, freshness, &content_type)
            }
            Ok(Answer::NotModified(freshness)) => {
                let mut state = self.state();
                state.hosts.alive(host);
                state.stats.not_modified += 1;
                drop(state);
                self.fresh(url, &body, freshness, "")
            }
            Err(failure) => {
                let retry_after = failure.retry_after;
                let error = self.failure(url, host, failure);
                self.remember_failure(&mut self.state(), url, &error, retry_after);
                return Err(error);
            }
        };
        let entry =
            entry.inspect_err(|e| self.remember_failure(&mut self.state(), url, e, None))?;
        self.state().hosts.delivered(host, Instant::now());
        Ok(self.take(url, flight, entry))
    }

    /// Counts a failure, and holds it against its server if it is that one's.
    fn failure(&self, url: &Rc<str>, host: &Rc<str>, failure: Failure) -> Error {
        let mut state = self.state();
        let stats = &mut state.stats;
        match failure.class {
            Class::Connect => stats.failed_connect += 1,
            Class::Timeout => stats.failed_timeout += 1,
            Class::Server | Class::Status => stats.failed_status += 1,
            Class::Body => stats.failed_body += 1,
        }
        let now = Instant::now();
        if failure.class.is_dead() {
            state.hosts.dead(host, now);
        } else {
            state.hosts.alive(host);
        }
        if let Some(time) = failure.retry_after {
            state.hosts.asks(host, now + time);
        }
        if failure.class == Class::Status {
            // It is gone for good, so no reason to use it past its time (RFC 5861 §4).
            state.cache.refused(url);
            let stale = state.cache.peek(url).is_none_or(|e| e.until <= SystemClock.now());
            if let (true, Some(store)) = (stale, &self.store) {
                store.remove(url);
            }
        }
        failure.error
    }

    /// What a server has just sent, or vouched for.
    fn fresh(
        &self,
        url: &str,
        body: &[u8],
        freshness: Freshness,
        content_type: &str,
    ) -> Result<Entry> {
        let now = SystemClock.now();
        let (least, most) = (self.settings.cache_min.into(), self.settings.cache_max.into());
        let until = now.saturating_add(freshness.seconds().max(least).min(most));
        let freshness = Some(freshness);
        let found = Found { body, content_type, tier: Tier::Http, fetched: now, until, freshness };
        self.entry(url, found).inspect_err(|_| self.state().stats.failed_certificate += 1)
    }

    /// An entry, if it is a certificate; it counts no longer than that, and than the operator wants.
    fn entry(&self, url: &str, found: Found<'_>) -> Result<Entry> {
        let Found { body, content_type, tier, fetched, until, freshness } = found;
        let chain = stir::body::chain(body, content_type).map_err(|e| {
            let why = format!("\"{url}\" delivers no certificate: {}", e.message());
            Error::new(Code::CertFormat, why)
        })?;
        let now = SystemClock.now();
        let not_after = chain.leaf().not_after();
        let until = if tier == Tier::Http && not_after <= now {
            // An expired one is not kept by callers, but its server is spared.
            now.saturating_add(self.settings.negative_ttl.into())
        } else {
            until.min(not_after).min(fetched.saturating_add(self.settings.cache_max.into()))
        };
        Ok(Entry {
            body: body.into(),
            key: chain.leaf().public_key_sec1().unwrap_or_default().into(),
            not_after,
            spc: stir::authority::spc(chain.leaf()).unwrap_or_default().into(),
            fetched,
            until,
            refresh: refresh(url, now, until),
            leaves: 0,
            may_be_stale: freshness.as_ref().is_none_or(Freshness::may_be_stale),
            freshness,
            tier,
            hits: 0,
            proven: false,
            used: false,
            refused: false,
        })
    }
}

/// When to fetch ahead: after 80 to 90 hundredths of the time, by the URL, so that certificates that
/// came together are not fetched together again.
fn refresh(url: &str, now: i64, until: i64) -> i64 {
    let mut hasher = DefaultHasher::new();
    url.hash(&mut hasher);
    let part = 80 + i64::try_from(hasher.finish() % 11).unwrap_or_default();
    let ahead = until.saturating_sub(now).max(0).saturating_mul(part) / 100;
    now.saturating_add(ahead.max(1))
}

pub(crate) fn value_name(url: &str) -> String {
    format!("secsipid:x5u:{}", store::name(url))
}

fn mark_name(url: &str) -> String {
    format!("secsipid:mark:{}", store::name(url))
}
