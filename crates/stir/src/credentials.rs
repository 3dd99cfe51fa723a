//! Public keys and certificates by URL, path or text: parsed once, and vouched for.

use crate::cert::{Certificate, Chain};
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::fetch::{Fetch, Fetched, is_url};
use crate::file::Files;
use crate::key::Credential;
use crate::name::Folded;
use crate::outcome::Step;
use crate::store::Store;
use crate::trust::{Budget, Trust};
use aws_lc_rs::digest::{SHA256, digest};
use lru::LruCache;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keys given as text that are remembered: as many as a script may hold.
const MAX_TEXTS: usize = 64;
/// Issuers whose intermediate certificates are kept once for all that they issued: North America
/// has some 20.
const MAX_ISSUERS: usize = 64;
/// Downloaded certificates that are remembered though no trust anchor vouches for them. Whoever
/// calls can have any number fetched: they must not take the places of those that sign calls.
const MAX_REFUSED: usize = 64;
/// For how long a chain that leads nowhere is not judged again, in seconds: the search for a path costs
/// up to [`MAX_CHAIN_COST`](crate::trust::MAX_CHAIN_COST).
const REFUSED_FOR: i64 = 60;

/// A credential and what the trust anchors said of it.
struct Vouched {
    credential: Arc<Credential>,
    verdict: Mutex<Option<Verdict>>,
}

struct Verdict {
    /// Until when it holds (Unix seconds), and under which [`Trust::generation`].
    until: i64,
    generation: u64,
    result: Result<()>,
}

impl Vouched {
    fn parse(text: &[u8]) -> Result<Self> {
        let credential = Arc::new(Credential::from_pem(text)?);
        Ok(Self { credential, verdict: Mutex::new(None) })
    }
}

/// A downloaded certificate in memory.
struct Downloaded {
    vouched: Arc<Vouched>,
    /// Until when it may be used (Unix seconds).
    until: i64,
}

/// A public key or certificate that is in memory.
#[derive(Clone, Debug)]
pub struct Cached {
    /// The URL it was downloaded from, or the path of its file.
    pub location: String,
    /// What is there. It was read, which does not say that a trust anchor vouches for it.
    pub credential: Arc<Credential>,
    /// Until when it is used (Unix seconds); `None` for a file, which is used until it changes.
    pub until: Option<i64>,
}

#[derive(Default)]
struct Lookups {
    found: AtomicU64,
    missed: AtomicU64,
}

/// Where verifying keys come from.
pub(crate) struct Credentials {
    trust: Trust,
    fetcher: Box<dyn Fetch>,
    store: Option<Store>,
    /// Seconds that a download is kept in memory.
    expire: i64,
    size: usize,
    downloads: Mutex<LruCache<String, Downloaded>>,
    /// Of those that no trust anchor vouches for.
    refused: Mutex<LruCache<String, Downloaded>>,
    /// What last followed a certificate of this issuer.
    intermediates: Mutex<LruCache<Folded, Arc<[Certificate]>>>,
    lookups: Lookups,
    files: Files<Vouched>,
    texts: Mutex<LruCache<Vec<u8>, Arc<Vouched>>>,
}

impl Credentials {
    pub(crate) fn new(config: &Config, fetcher: Box<dyn Fetch>) -> Self {
        Self {
            trust: Trust::new(config),
            fetcher,
            store: Store::new(&config.cache_dir, config.cache_expire),
            expire: config.cache_expire.into(),
            size: usize::try_from(config.cache_size).unwrap_or(usize::MAX),
            downloads: Mutex::new(LruCache::unbounded()),
            refused: Mutex::new(LruCache::unbounded()),
            intermediates: Mutex::new(LruCache::unbounded()),
            lookups: Lookups::default(),
            files: Files::new(),
            texts: Mutex::new(LruCache::unbounded()),
        }
    }

    /// The key at a path, or at a `file://` or HTTP URL.
    pub(crate) fn by_location(
        &self,
        location: &str,
        now: i64,
        budget: &Budget,
    ) -> Result<Arc<Credential>> {
        if is_url(location) {
            return self.by_url(location, now, budget);
        }
        self.vouch(&*self.files.get(location, Vouched::parse)?, now, budget)
    }

    /// The key in a PEM text.
    pub(crate) fn by_text(&self, text: &str, now: i64, budget: &Budget) -> Result<Arc<Credential>> {
        let name = digest(&SHA256, text.as_bytes()).as_ref().to_vec();
        let known = lock(&self.texts).get(&name).map(Arc::clone);
        let vouched = match known {
            Some(vouched) => vouched,
            None => {
                let vouched = Arc::new(Vouched::parse(text.as_bytes())?);
                put(&mut lock(&self.texts), name, Arc::clone(&vouched), MAX_TEXTS);
                vouched
            }
        };
        self.vouch(&vouched, now, budget)
    }

    /// The key of the certificate at a URL: from memory, the folder, or its server.
    pub(crate) fn by_url(&self, url: &str, now: i64, budget: &Budget) -> Result<Arc<Credential>> {
        let get = |cache: &Mutex<LruCache<String, Downloaded>>| {
            let mut cache = lock(cache);
            cache.get(url).filter(|found| now < found.until).map(|found| Arc::clone(&found.vouched))
        };
        if let Some(vouched) = get(&self.downloads) {
            self.lookups.found.fetch_add(1, Ordering::Relaxed);
            return self.vouch(&vouched, now, budget);
        }
        self.lookups.missed.fetch_add(1, Ordering::Relaxed);
        match get(&self.refused) {
            Some(vouched) => self.vouch(&vouched, now, budget),
            None => self.load(url, now, budget),
        }
    }

    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// How many certificates were looked for in memory since the last time: found, and not.
    pub(crate) fn take_lookups(&self) -> (u64, u64) {
        let Lookups { found, missed } = &self.lookups;
        (found.swap(0, Ordering::Relaxed), missed.swap(0, Ordering::Relaxed))
    }

    /// Forgets downloads in memory.
    pub(crate) fn forget(&self, which: impl Fn(&str) -> bool) {
        for cache in [&self.downloads, &self.refused] {
            let mut cache = lock(cache);
            let gone: Vec<String> =
                cache.iter().map(|(url, _)| url).filter(|url| which(url)).cloned().collect();
            gone.iter().for_each(|url| drop(cache.pop(url)));
        }
    }

    /// Forgets what is in the folder of one URL, or of all.
    pub(crate) fn forget_stored(&self, url: Option<&str>) -> Result<()> {
        match (&self.store, url) {
            (Some(store), Some(url)) => store.remove(url),
            (Some(store), None) => {
                store.clear().map_err(|e| Error::new(Code::FileRead, format!("cache_dir: {e}")))?
            }
            (None, _) => {}
        }
        Ok(())
    }

    /// Whether the certificate at a URL is in memory. It counts as used, so that no other takes its
    /// place before the check that follows.
    pub(crate) fn has(&self, url: &str, now: i64) -> bool {
        [&self.downloads, &self.refused]
            .iter()
            .any(|cache| lock(cache).get(url).is_some_and(|found| now < found.until))
    }

    /// The text at a URL: from the folder, or its server.
    pub(crate) fn text(&self, url: &str, now: i64) -> Result<Vec<u8>> {
        if let Some((text, _)) = self.stored(url, now) {
            return Ok(text);
        }
        let fetched = self.fetcher.fetch(url)?;
        if let Ok(vouched) = Vouched::parse(&fetched.body)
            && let Ok(credential) = self.vouch(&vouched, now, &Budget::default())
        {
            self.keep(url, &fetched, &credential, now);
        }
        Ok(fetched.body)
    }

    /// What is in memory by URL and by path, the latest used first.
    pub(crate) fn cached(&self, now: i64) -> Vec<Cached> {
        let mut all: Vec<_> = lock(&self.downloads)
            .iter()
            .filter(|(_, found)| now < found.until)
            .map(|(url, found)| Cached {
                location: url.clone(),
                credential: Arc::clone(&found.vouched.credential),
                until: Some(found.until),
            })
            .collect();
        all.extend(self.files.all().into_iter().map(|(location, vouched)| Cached {
            location,
            credential: Arc::clone(&vouched.credential),
            until: None,
        }));
        all
    }

    fn load(&self, url: &str, now: i64, budget: &Budget) -> Result<Arc<Credential>> {
        if let Some((text, until)) = self.stored(url, now)
            && let Ok(vouched) = Vouched::parse(&text)
        {
            return self.remember(url, vouched, until, now, budget);
        }
        let fetched = self.fetcher.fetch(url)?;
        let vouched = Vouched::parse(&fetched.body)
            .map_err(|e| Error::new(e.code(), format!("\"{url}\": {}", e.message())))?;
        let until = now.saturating_add(self.expire).min(fetched.until.unwrap_or(i64::MAX));
        let credential = self.remember(url, vouched, until, now, budget)?;
        self.keep(url, &fetched, &credential, now);
        Ok(credential)
    }

    fn stored(&self, url: &str, now: i64) -> Option<(Vec<u8>, i64)> {
        self.store.as_ref()?.get(url, now)
    }

    /// Puts what somebody vouches for, and has not expired, into the folder.
    fn keep(&self, url: &str, fetched: &Fetched, credential: &Credential, now: i64) {
        if let Some(store) = &self.store
            && now < not_after(credential)
        {
            store.keep(url, &fetched.body, fetched.until);
        }
    }

    /// Keeps it in memory, never past its notAfter, if the trust anchors vouch for it; else among
    /// the few that they do not.
    fn remember(
        &self,
        url: &str,
        mut vouched: Vouched,
        until: i64,
        now: i64,
        budget: &Budget,
    ) -> Result<Arc<Credential>> {
        let until = until.min(not_after(&vouched.credential));
        let verdict = self.vouch(&vouched, now, budget).map(drop);
        if verdict.is_ok()
            && let Some(credential) = Arc::get_mut(&mut vouched.credential)
            && let Some(chain) = &mut credential.chain
        {
            self.share(chain);
        }
        let credential = Arc::clone(&vouched.credential);
        let (cache, size) = match verdict {
            Ok(()) => (&self.downloads, self.size),
            Err(_) => (&self.refused, MAX_REFUSED),
        };
        if now < until {
            let entry = Downloaded { vouched: Arc::new(vouched), until };
            put(&mut lock(cache), url.to_owned(), entry, size);
        }
        verdict.map(|()| credential)
    }

    /// Lets go of intermediate certificates that are held already.
    fn share(&self, chain: &mut Chain) {
        let issuer = chain.leaf().issuer_name();
        let mut known = lock(&self.intermediates);
        match known.get(&issuer) {
            Some(same) if *same == chain.rest => chain.rest = Arc::clone(same),
            _ => put(&mut known, issuer, Arc::clone(&chain.rest), MAX_ISSUERS),
        }
    }

    /// The credential, if the trust anchors vouch for it, now or by a verdict that still holds.
    fn vouch(&self, vouched: &Vouched, now: i64, budget: &Budget) -> Result<Arc<Credential>> {
        if self.trust.checks() {
            let Some(chain) = &vouched.credential.chain else {
                return Err(Error::new(
                    Code::CertFormat,
                    "a bare public key can't be checked against trust anchors: give a certificate, or set CertVerify=0",
                ));
            };
            let generation = self.trust.generation();
            let mut verdict = lock(&vouched.verdict);
            let holds = |v: &&Verdict| now < v.until && v.generation == generation;
            match verdict.as_ref().filter(holds) {
                Some(verdict) => verdict.result.clone()?,
                None => {
                    *verdict = None;
                    let (until, result) = match self.trust.verify_within(chain, now, budget) {
                        Ok(until) => (until, Ok(())),
                        // What is wrong with a file here may be mended at any time.
                        Err(e) if e.code().step() == Step::Trust => return Err(e),
                        // Says nothing of this chain: the next message may bring it alone.
                        Err(e) if e.code() == Code::CertBudget => return Err(e),
                        Err(e) => (now.saturating_add(REFUSED_FOR), Err(e)),
                    };
                    *verdict = Some(Verdict { until, generation, result: result.clone() });
                    result?;
                }
            }
        }
        Ok(Arc::clone(&vouched.credential))
    }
}

fn not_after(credential: &Credential) -> i64 {
    credential.chain.as_ref().map_or(i64::MAX, |chain| chain.leaf().not_after())
}

fn put<K: std::hash::Hash + Eq, V>(cache: &mut LruCache<K, V>, key: K, value: V, size: usize) {
    cache.put(key, value);
    if cache.len() > size {
        cache.pop_lru();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
