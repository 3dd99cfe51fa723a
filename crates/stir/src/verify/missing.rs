//! Which certificates a check would have to wait for.

use super::service::{DIVERTED_EXPIRE, read};
use super::{CheckOptions, MAX_IDENTITIES, PublicKey, SipCall, Verifier};
use crate::fetch::is_url;
use crate::identity::Identity;
use crate::passport::{Claims, JoseHeader, Ppt};
use crate::policy::Policy;

impl Verifier {
    /// The URLs that [`Verifier::check_call`] would download from for this call, each once: named by
    /// header fields that pass what needs no certificate, allowed by the policy, and not in memory.
    /// Next to nothing for a call whose certificates are in memory.
    pub fn missing(&self, call: &SipCall<'_>) -> Vec<String> {
        let now = self.clock.now();
        self.urls(call, now, |url| self.credentials.has(url, now))
    }

    /// The same, whether they are in memory or not: for another process, that has others in its.
    pub fn needed(&self, call: &SipCall<'_>) -> Vec<String> {
        self.urls(call, self.clock.now(), |_| false)
    }

    /// Whether [`Verifier::check`] may have to wait for a certificate: one of those named is not in
    /// memory, or not for a second more.
    pub fn needs_download<'a>(
        &self,
        identities: impl IntoIterator<Item = &'a str>,
        key: PublicKey<'_>,
    ) -> bool {
        let soon = self.clock.now().saturating_add(1);
        let lacks = |url: &str| !self.credentials.has(url, soon);
        match key {
            PublicKey::Info => identities.into_iter().take(MAX_IDENTITIES).any(|value| {
                let params = Identity::parse(value).ok().and_then(|identity| identity.params);
                params.and_then(|params| params.info).is_some_and(lacks)
            }),
            PublicKey::Location(location) => is_url(location) && lacks(location),
            PublicKey::Pem(_) => false,
        }
    }

    fn urls(&self, call: &SipCall<'_>, now: i64, has: impl Fn(&str) -> bool) -> Vec<String> {
        let limit = match self.policy {
            Policy::Compat => MAX_IDENTITIES,
            Policy::Shaken => self.shaken.max_identity,
        };
        let looked_at = || call.identities.iter().take(limit);
        // Others may be diversions, with which an older token is in order.
        let expire = if call.identities.len() > 1 { DIVERTED_EXPIRE } else { self.expire };
        let mut urls: Vec<String> = Vec::new();
        for value in looked_at() {
            let Ok(identity) = Identity::parse(value) else { continue };
            let Some(info) = identity.params.as_ref().and_then(|params| params.info) else {
                continue;
            };
            if has(info) || urls.iter().any(|url| url == info) || self.x5u.check(info).is_err() {
                continue;
            }
            // Whether a certificate is all that is still to be known of it.
            let in_order = match self.policy {
                Policy::Compat => {
                    let header = JoseHeader::parse(identity.header);
                    let claims = Claims::parse(identity.payload);
                    let options = CheckOptions::default();
                    self.check_text(&identity, header, &claims, options, now).is_ok()
                }
                Policy::Shaken => self.reads(value, now, expire).is_some(),
            };
            if in_order {
                urls.push(info.to_owned());
            }
        }
        // Without a token of the call's own the others are not looked at.
        let own = |value: &&str| self.reads(value, now, expire) == Some(Ppt::Shaken);
        if self.policy == Policy::Shaken && !urls.is_empty() && !looked_at().any(own) {
            urls.clear();
        }
        urls
    }

    /// The extension of a token that is in order and no older than this.
    fn reads(&self, value: &str, now: i64, expire: i64) -> Option<Ppt> {
        let token = read(value)?.ok()?;
        self.check_time(&token.claims, now, expire).ok()?;
        Some(token.ppt)
    }
}
