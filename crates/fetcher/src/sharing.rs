//! What becomes of a certificate once a token has verified with it: others find it in the folder and in
//! Redis.

use crate::cache::{Displaced, Tier};
use crate::service::{Service, host};
use crate::settings::limits;
use crate::tiers::{FETCHED_LINE, value_name};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stir::fetch::Digest;
use stir::shelf::Why;
use stir::store::Stored;

impl Service {
    /// A token has verified with the certificate in this body, which the URL delivered.
    pub(crate) fn proven(&self, url: &str, body: &Digest) {
        let Ok(host) = host(url) else { return };
        let mut state = self.state();
        let Some((first, displaced)) = state.cache.prove(url, body) else { return };
        state.hosts.proven(&host, Instant::now());
        drop(state);
        self.displace(displaced);
        match &self.store {
            _ if first => self.publish(url),
            Some(store) => store.touch(url),
            None => {}
        }
    }

    /// Puts what has earned it where others find it.
    pub(crate) fn publish(&self, url: &str) {
        let state = self.state();
        let Some(entry) = state.cache.peek(url).filter(|entry| entry.is_for_others()) else {
            return;
        };
        let (body, until, tier) = (Rc::clone(&entry.body), entry.until, entry.tier);
        drop(state);
        match tier {
            Tier::Disk => {}
            Tier::Redis => self.put(url, &body, until),
            Tier::Http => {
                self.put(url, &body, until);
                self.share(url.into());
            }
        }
    }

    /// Takes out of Redis what is not protected any more, so that all that is there has the bounds of
    /// the services' memories; out of the folder, which has its own, what was more than a share.
    pub(crate) fn displace(&self, displaced: Displaced) {
        for (url, why) in displaced {
            if let (Some(store), Why::Share) = (&self.store, why) {
                store.remove(&url);
            }
            self.share(url);
        }
    }

    /// Has Redis follow what is in memory for a URL.
    fn share(&self, url: Arc<str>) {
        if self.redis.is_none() {
            return;
        }
        let mut unshared = self.unshared.borrow_mut();
        unshared.push_back(url);
        if unshared.len() > limits::MAX_UNSHARED {
            unshared.pop_front();
        }
        self.to_share.notify_one();
    }

    /// Writes to Redis, one after the other, what has earned that, and takes out what has not any more:
    /// each as it is then, so that nothing that is late undoes what is new.
    pub(crate) async fn share_all(self: Rc<Self>) {
        let Some(redis) = &self.redis else { return };
        loop {
            let next = self.unshared.borrow_mut().pop_front();
            let Some(url) = next else {
                self.to_share.notified().await;
                continue;
            };
            if let Some((value, time)) = self.value(&url) {
                self.note(redis.set(&value_name(&url), &value, time).await);
            } else if self.note(redis.delete(&value_name(&url)).await).is_none() {
                // It would stay until its time is over.
                tokio::time::sleep(limits::REDIS_PAUSE).await;
                self.share(url);
            }
        }
    }

    /// What Redis is to have for a URL, and for how long.
    fn value(&self, url: &str) -> Option<(Vec<u8>, Duration)> {
        let state = self.state();
        let entry = state.cache.peek(url).filter(|entry| entry.is_for_others())?;
        if !state.cache.is_protected(url) {
            return None;
        }
        let mut value = format!("{FETCHED_LINE}{}\n", entry.fetched).into_bytes();
        value.extend(Stored::encode(url, &entry.body, Some(entry.until)));
        let time = u64::try_from(entry.until - entry.fetched).unwrap_or_default();
        Some((value, Duration::from_secs(time)))
    }
}
