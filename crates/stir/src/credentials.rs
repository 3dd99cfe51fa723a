//! Public keys and certificates by URL, path or text: parsed once, and vouched for.

mod downloads;

use crate::body;
use crate::cert::{Certificate, Chain};
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::fetch::{self, Fetch, is_url};
use crate::file::Files;
use crate::key::Credential;
use crate::name::Folded;
use crate::outcome::Step;
use crate::store::Store;
use crate::tables::KeyTables;
use crate::trust::{Budget, Trust};
use aws_lc_rs::digest::{SHA256, digest};
use downloads::{Downloaded, Downloads, Source};
use lru::LruCache;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keys given as text that are remembered: as many as a script may hold.
const MAX_TEXTS: usize = 64;
/// Issuers whose intermediate certificates are kept once for all that they issued: North America
/// has some 20.
const MAX_ISSUERS: usize = 64;
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
        Credential::from_pem(text).map(Self::new)
    }

    fn new(credential: Credential) -> Self {
        Self { credential: Arc::new(credential), verdict: Mutex::new(None) }
    }

    /// Bytes that it takes, less what all have alike.
    fn size(&self) -> usize {
        let of_chain = |chain: &Chain| {
            let rest: usize = chain.rest().iter().map(|certificate| certificate.der().len()).sum();
            chain.leaf().der().len() + rest
        };
        self.credential.chain.as_ref().map_or(0, of_chain)
    }
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
    tables: KeyTables,
    fetcher: Box<dyn Fetch>,
    store: Option<Store>,
    /// Seconds that a download is kept in memory.
    expire: i64,
    downloads: Mutex<Downloads>,
    /// What last followed a certificate of this issuer.
    intermediates: Mutex<LruCache<Folded, Arc<[Certificate]>>>,
    lookups: Lookups,
    files: Files<Vouched>,
    texts: Mutex<LruCache<Vec<u8>, Arc<Vouched>>>,
}

impl Credentials {
    pub(crate) fn new(config: &Config, fetcher: Box<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        Self {
            trust: Trust::with_clock(config, clock),
            tables: KeyTables::new(config.key_tables),
            fetcher,
            store: Store::new(&config.cache_dir, config.cache_expire),
            expire: config.cache_expire.into(),
            downloads: Mutex::new(Downloads::new(config.cache_size)),
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
        let found = lock(&self.downloads).get(url, now);
        let (count, found) = match found {
            Some((vouched, true)) => (&self.lookups.found, Some(vouched)),
            Some((vouched, false)) => (&self.lookups.missed, Some(vouched)),
            None => (&self.lookups.missed, None),
        };
        count.fetch_add(1, Ordering::Relaxed);
        let Some(vouched) = found else { return self.load(url, now, budget) };
        if let Some(verdict) = self.remembered(&vouched, now) {
            return verdict.map(|()| Arc::clone(&vouched.credential));
        }
        match self.vouch(&vouched, now, budget) {
            // Judged by what was kept of its chain: its server may have sent what it needs now.
            Err(e) if is_verdict(&e) => {
                lock(&self.downloads).remove(url);
                self.load(url, now, budget)
            }
            result => result,
        }
    }

    /// A token, whose signer named this URL, has verified with its certificate: it takes a place
    /// where strangers push it out no more, here, in the folder and at the fetcher.
    pub(crate) fn proven(&self, url: &str) {
        let Some((source, gone)) = lock(&self.downloads).prove(url) else { return };
        self.fetcher.proven(url, &source.digest);
        let Some(store) = &self.store else { return };
        gone.iter().for_each(|url| store.remove(url));
        match source.body {
            Some(body) => store.keep(url, &body, source.until),
            None => store.touch(url),
        }
    }

    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    pub(crate) fn tables(&self) -> &KeyTables {
        &self.tables
    }

    /// How many certificates were looked for in memory since the last time: found, and not.
    pub(crate) fn take_lookups(&self) -> (u64, u64) {
        let Lookups { found, missed } = &self.lookups;
        (found.swap(0, Ordering::Relaxed), missed.swap(0, Ordering::Relaxed))
    }

    /// Forgets downloads in memory.
    pub(crate) fn forget(&self, which: impl Fn(&str) -> bool) {
        lock(&self.downloads).forget(which);
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
        lock(&self.downloads).get(url, now).is_some()
    }

    /// The text at a URL: from the folder, or its server.
    pub(crate) fn text(&self, url: &str, now: i64) -> Result<Vec<u8>> {
        if let Some((text, _)) = self.stored(url, now) {
            return Ok(text);
        }
        // Nobody has signed anything with it, so it is kept nowhere.
        self.fetcher.fetch(url).map(|fetched| fetched.body)
    }

    /// What is in memory by URL and by path, the latest used first.
    pub(crate) fn cached(&self, now: i64) -> Vec<Cached> {
        let mut all = lock(&self.downloads).cached(now);
        all.extend(self.files.all().into_iter().map(|(location, vouched)| Cached {
            location,
            credential: Arc::clone(&vouched.credential),
            until: None,
        }));
        all
    }

    fn load(&self, url: &str, now: i64, budget: &Budget) -> Result<Arc<Credential>> {
        if let Some((text, until)) = self.stored(url, now)
            && let Ok(credential) = body::credential(&text, "")
        {
            let vouched = Vouched::new(credential);
            let source = Source { digest: fetch::digest(&text), body: None, until: None };
            return self.remember(url, vouched, source, until, now, budget);
        }
        let fetched = self.fetcher.fetch(url)?;
        let vouched = body::credential(&fetched.body, &fetched.content_type)
            .map(Vouched::new)
            .map_err(|e| Error::new(e.code(), format!("\"{url}\": {}", e.message())))?;
        let until = now.saturating_add(self.expire).min(fetched.until.unwrap_or(i64::MAX));
        let digest = fetch::digest(&fetched.body);
        // Only what the folder takes has to be kept for it.
        let body = self.store.is_some() && now < not_after(&vouched.credential);
        let body = body.then_some(fetched.body);
        let source = Source { digest, body, until: fetched.until };
        self.remember(url, vouched, source, until, now, budget)
    }

    fn stored(&self, url: &str, now: i64) -> Option<(Vec<u8>, i64)> {
        self.store.as_ref()?.get(url, now)
    }

    /// Keeps it in memory for a while, never past its notAfter; of a chain that is vouched for only
    /// what leads to the anchor.
    fn remember(
        &self,
        url: &str,
        mut vouched: Vouched,
        source: Source,
        until: i64,
        now: i64,
        budget: &Budget,
    ) -> Result<Arc<Credential>> {
        let until = until.min(not_after(&vouched.credential));
        let judged = self.judge(&vouched, now, budget);
        if let Ok(used) = &judged
            && let Some(credential) = Arc::get_mut(&mut vouched.credential)
            && let Some(chain) = &mut credential.chain
        {
            chain.rest = Arc::clone(used);
            self.share(chain);
        }
        let credential = Arc::clone(&vouched.credential);
        // What says nothing of this chain leaves all of it there.
        if now < until && judged.as_ref().err().is_none_or(is_verdict) {
            let entry = Downloaded::new(Arc::new(vouched), until, source, now);
            lock(&self.downloads).put(url, entry);
        }
        judged.map(|_| credential)
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
            let remembered = self.remembered(vouched, now);
            remembered.unwrap_or_else(|| self.judge(vouched, now, budget).map(drop))?;
        }
        Ok(Arc::clone(&vouched.credential))
    }

    /// What the trust anchors said, if that still holds.
    fn remembered(&self, vouched: &Vouched, now: i64) -> Option<Result<()>> {
        let generation = self.trust.generation();
        let holds = |v: &&Verdict| now < v.until && v.generation == generation;
        lock(&vouched.verdict).as_ref().filter(holds).map(|verdict| verdict.result.clone())
    }

    /// Has the trust anchors judge it, and remembers what they say: what of its chain leads there.
    fn judge(&self, vouched: &Vouched, now: i64, budget: &Budget) -> Result<Arc<[Certificate]>> {
        if !self.trust.checks() {
            return Ok(Arc::default());
        }
        let Some(chain) = &vouched.credential.chain else {
            return Err(Error::new(
                Code::CertFormat,
                "a bare public key can't be checked against trust anchors: give a certificate, or set CertVerify=0",
            ));
        };
        let generation = self.trust.generation();
        let mut verdict = lock(&vouched.verdict);
        *verdict = None;
        let (until, result) = match self.trust.judge(chain, now, budget) {
            Ok(judged) => (judged.until, Ok(judged.used)),
            Err(e) if !is_verdict(&e) => return Err(e),
            Err(e) => (now.saturating_add(REFUSED_FOR), Err(e)),
        };
        let remembered = result.as_ref().map(|_| ()).map_err(Error::clone);
        *verdict = Some(Verdict { until, generation, result: remembered });
        result
    }
}

/// Whether an error says something of a chain: not if it is of a file here, which may be mended at
/// any time, or of a message whose budget other chains have used up.
fn is_verdict(error: &Error) -> bool {
    error.code().step() != Step::Trust && error.code() != Code::CertBudget
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
