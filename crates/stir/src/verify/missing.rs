//! Which certificates a check would have to wait for.

use super::plan::Fields;
use super::{CheckOptions, MAX_IDENTITIES, PublicKey, SipCall, Verifier, distinct};
use crate::fetch::is_url;
use crate::identity::Identity;
use crate::passport::{Claims, JoseHeader};
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
        let named = match self.policy {
            Policy::Compat => self.urls_of_fields(call, now),
            Policy::Shaken => self.urls_of_call(call, now),
        };
        let mut urls: Vec<String> = Vec::new();
        for url in named {
            if !has(&url) && !urls.contains(&url) {
                urls.push(url);
            }
        }
        urls
    }

    /// Policy compat: each header field is judged by itself.
    fn urls_of_fields(&self, call: &SipCall<'_>, now: i64) -> Vec<String> {
        let url = |value: &str| {
            let identity = Identity::parse(value).ok()?;
            let info = identity.params.as_ref()?.info?;
            self.x5u.check(info).ok()?;
            let header = JoseHeader::parse(identity.header);
            let claims = Claims::parse(identity.payload);
            self.check_text(&identity, header, &claims, CheckOptions::default(), now).ok()?;
            Some(info.to_owned())
        };
        let fields = distinct(call.identities.iter().copied(), MAX_IDENTITIES);
        fields.into_iter().filter_map(url).collect()
    }

    /// Policy shaken: the call's own tokens, their diversions, and what tells more of the caller.
    fn urls_of_call(&self, call: &SipCall<'_>, now: i64) -> Vec<String> {
        let Fields { tokens, unread, .. } = self.read_all(call);
        let mut urls = Vec::new();
        for (token, links) in self.plan(&tokens, call, PublicKey::Info) {
            let Ok(links) = links else { continue };
            if self.unread_diversion(token, &unread).is_some() {
                continue;
            }
            let beside = tokens.iter().filter(|other| {
                other.tells_more_of(&token.claims.orig)
                    && self.check_alone(other, PublicKey::Info, now, self.expire).is_ok()
            });
            let needed = [token].into_iter().chain(links).chain(beside);
            urls.extend(needed.map(|token| token.x5u.clone()));
        }
        urls
    }
}
