//! The verification service (RFC 8224 §6.2).

mod mismatch;
mod missing;
mod parties;
mod plan;
mod replay;
mod report;
mod service;
mod token;

pub use report::Report;
pub use service::SipCall;

use crate::clock::{Clock, SystemClock};
use crate::config::Checked;
use crate::credentials::{Cached, Credentials};
use crate::error::{Code, Error, Result};
use crate::fetch::{Fetch, HttpFetcher};
use crate::identity::Identity;
use crate::key::{Credential, SIGNATURE_LEN};
use crate::outcome::Verstat;
use crate::party::Party;
use crate::passport::{self, Claims, JoseHeader};
use crate::policy::{Policy, Shaken};
use crate::tn::Numbering;
use crate::trust::{Budget, Reloaded};
use crate::uri::Uri;
use crate::x5u::X5uRules;
use std::sync::Arc;

/// Identity header fields of one message that are looked at: a diversion chain adds one a hop,
/// and each that is looked at may cost a download.
pub const MAX_IDENTITIES: usize = 10;

/// Where the public key comes from.
#[derive(Clone, Copy, Debug)]
pub enum PublicKey<'a> {
    /// From the URL that the header field names.
    Info,
    /// From a path, a `file://`, an `http://` or an `https://` URL.
    Location(&'a str),
    /// From this PEM text: a public key, or a certificate with its chain.
    Pem(&'a str),
}

/// How strictly a header field is read.
#[derive(Clone, Copy, Debug)]
pub struct CheckOptions {
    /// Check the members of the JOSE header.
    pub attributes: bool,
    /// Take a token without parameters.
    pub bare_token: bool,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self { attributes: true, bare_token: false }
    }
}

/// Checks calls. Opens no socket and starts no thread before the first download. A clone shares
/// its caches.
#[derive(Clone)]
pub struct Verifier {
    expire: i64,
    clock_skew: i64,
    policy: Policy,
    shaken: Shaken,
    numbering: Numbering,
    x5u: X5uRules,
    clock: Arc<dyn Clock>,
    credentials: Arc<Credentials>,
    tokens: Arc<replay::Tokens>,
}

impl Verifier {
    /// A verifier with these settings, the system's clock and downloads over HTTP.
    pub fn new(config: &Checked) -> Self {
        Self::with(config, Arc::new(SystemClock), Box::new(HttpFetcher::new(config)))
    }

    /// A verifier with a clock and a way to download of its own.
    pub fn with(config: &Checked, clock: Arc<dyn Clock>, fetcher: Box<dyn Fetch>) -> Self {
        Self {
            expire: config.expire().into(),
            clock_skew: config.clock_skew.into(),
            policy: config.policy,
            shaken: config.shaken.clone(),
            numbering: config.numbering.clone(),
            x5u: config.x5u_rules().clone(),
            credentials: Arc::new(Credentials::new(config, fetcher, Arc::clone(&clock))),
            clock,
            tokens: Arc::default(),
        }
    }

    /// The same verifier, its caches shared, with another [`Config::expire`](crate::Config::expire) (seconds; with a
    /// negative one every token is too old).
    pub fn expiring(&self, expire: i64) -> Self {
        Self { expire, ..self.clone() }
    }

    /// Reads the files of trust anchors, intermediates and CRLs, so that what is good in them stays
    /// in force whatever becomes of them; makes what tables of keys share. A server does this before it
    /// forks.
    ///
    /// # Errors
    /// As [`Trust::load`](crate::trust::Trust::load).
    pub fn load(&self) -> Result<()> {
        self.credentials.tables().prepare();
        self.credentials.trust().load()
    }

    /// Reads those files anew, and puts them into force if all of them are good.
    ///
    /// # Errors
    /// As [`Verifier::load`]; everything stays as it was then.
    pub fn reload(&self) -> Result<Reloaded> {
        self.credentials.trust().reload()
    }

    /// Whether this process logs what is wrong with those files, as it does from the start. Where
    /// many processes look at the same files, one of them is enough.
    pub fn speak(&self, speaks: bool) {
        self.credentials.trust().speak(speaks);
    }

    /// Looks at those files, and logs which lists run out within a day, ran out, or are no longer in
    /// force: once a day, and when that changes. A server calls it now and then.
    pub fn warn_of_lists(&self) {
        self.credentials.trust().warn_of_lists();
    }

    /// How many lists run out within a day, ran out, or are no longer in force.
    pub fn lists_ending(&self) -> usize {
        self.credentials.trust().lists_ending()
    }

    /// Forgets certificates that were downloaded, by their URLs, in memory.
    pub fn forget(&self, which: impl Fn(&str) -> bool) {
        self.credentials.forget(which);
    }

    /// Forgets, in the folder ([`Config::cache_dir`](crate::Config::cache_dir)), what is of one URL or of all.
    ///
    /// # Errors
    /// [`Code::FileRead`] for a folder that can't be read or changed.
    pub fn forget_stored(&self, url: Option<&str>) -> Result<()> {
        self.credentials.forget_stored(url)
    }

    /// How often a downloaded certificate was looked for in memory since this was asked last: found,
    /// and not found.
    pub fn take_lookups(&self) -> (u64, u64) {
        self.credentials.take_lookups()
    }

    /// Judges a message's Identity header fields as a set: one that is valid is enough. One with a
    /// `ppt` that is not supported is passed over while there are others.
    pub fn check<'a>(
        &self,
        identities: impl IntoIterator<Item = &'a str>,
        key: PublicKey<'_>,
        options: CheckOptions,
    ) -> Report {
        let budget = Budget::default();
        let (mut judged, mut unsupported) = (None, None);
        for value in distinct(identities, MAX_IDENTITIES) {
            let report = self.check_one(value, key, options, &budget);
            let place = match &report.result {
                Err(e) if matches!(e.code(), Code::IdentityPpt | Code::HeaderPpt) => {
                    &mut unsupported
                }
                _ => &mut judged,
            };
            let passed = report.result.is_ok();
            *place = Some(report);
            if passed {
                break;
            }
        }
        let report = judged.or(unsupported).unwrap_or_else(|| {
            Report::failed(Error::new(Code::Generic, "the message has no Identity header"))
        });
        Report { cost: budget.spent(), ..report }
    }

    /// What the callee may be told of a caller's URI in a call that was judged; `None` for one that is
    /// not a telephone number. A call that passed says nothing of a number that is not its `orig`.
    pub fn verstat(&self, report: &Report, uri: &Uri<'_>) -> Option<Verstat> {
        let caller = Party::of(&self.numbering, uri).ok().filter(Party::is_number)?;
        let is_orig = report.claims.as_ref().is_some_and(|claims| caller.is(&claims.orig));
        Some(match report.verstat() {
            Verstat::Passed if !is_orig => Verstat::NotValidated,
            verstat => verstat,
        })
    }

    /// Whether a token is of a call, as policy shaken compares them: its `orig` with the caller, and its
    /// `dest` with the called number.
    pub fn compare(&self, claims: &Claims, call: &SipCall<'_>) -> [Result<()>; 2] {
        let called = self.check_called(claims, call, self.shaken.dest_source);
        [self.check_caller(claims, call), called]
    }

    /// Whether a token that is not diverted may have this `iat`.
    ///
    /// # Errors
    /// [`Code::PayloadIat`] if it is too old, or in the future.
    pub fn is_fresh(&self, iat: i64) -> Result<()> {
        self.check_freshness(iat, self.clock.now(), self.expire)
    }

    /// What is at a URL, by way of the caches.
    ///
    /// # Errors
    /// The codes of HTTP.
    pub fn get_url(&self, url: &str) -> Result<Vec<u8>> {
        self.x5u.check_address(url)?;
        self.credentials.text(url, self.clock.now())
    }

    /// The public keys and certificates that are in memory by URL and by path, at most
    /// [`Config::cache_size`](crate::Config::cache_size) of the former; for people and programs that watch.
    pub fn cached(&self) -> Vec<Cached> {
        self.credentials.cached(self.clock.now())
    }

    fn check_one(
        &self,
        value: &str,
        key: PublicKey<'_>,
        options: CheckOptions,
        budget: &Budget,
    ) -> Report {
        let identity = match Identity::parse(value) {
            Ok(identity) => identity,
            Err(error) => return Report::failed(error),
        };
        let info = identity.params.as_ref().and_then(|params| params.info).unwrap_or_default();
        let header = JoseHeader::parse(identity.header);
        let claims = Claims::parse(identity.payload);
        let mut report = Report {
            x5u: header.as_ref().map_or(info, |header| &header.x5u).to_owned(),
            ppt: header.as_ref().map_or("", |header| &header.ppt).to_owned(),
            ..Report::of(&identity)
        };
        let judged = self.judge(&identity, header, &claims, key, options, budget);
        report.result = judged.map(|credential| report.credential = Some(credential));
        report.claims = claims.ok();
        report
    }

    /// The checks in the order of their cost: text, certificate, signature.
    fn judge(
        &self,
        identity: &Identity<'_>,
        header: Result<JoseHeader>,
        claims: &Result<Claims>,
        key: PublicKey<'_>,
        options: CheckOptions,
        budget: &Budget,
    ) -> Result<Arc<Credential>> {
        let now = self.clock.now();
        let signature = self.check_text(identity, header, claims, options, now)?;
        let info = identity.params.as_ref().and_then(|params| params.info).unwrap_or_default();
        let credential = self.credential(key, info, now, budget)?;
        self.verify(&credential, identity.signed, &signature, budget)?;
        // Without the attributes nothing says that the signer named this URL.
        if options.attributes {
            self.proven(key, info);
        }
        Ok(credential)
    }

    /// All that needs no certificate; the signature.
    fn check_text(
        &self,
        identity: &Identity<'_>,
        header: Result<JoseHeader>,
        claims: &Result<Claims>,
        options: CheckOptions,
        now: i64,
    ) -> Result<[u8; SIGNATURE_LEN]> {
        match &identity.params {
            Some(params) => {
                params.check()?;
                params.info()?;
            }
            None if options.bare_token => {}
            None => {
                return Err(Error::new(
                    Code::IdentityParse,
                    "the Identity header has no ;info=<…> after the token",
                ));
            }
        }
        if options.attributes {
            let header = header?;
            header.check()?;
            let info = identity.params.as_ref().and_then(|params| params.info);
            if let Some(info) = info
                && info != header.x5u
            {
                return Err(Error::new(
                    Code::HeaderX5u,
                    format!("info {info:?} and x5u {:?} are not the same", header.x5u),
                ));
            }
        }
        let iat = claims.as_ref().map_err(Error::clone)?.iat;
        self.check_freshness(iat, now, self.expire)?;
        decode_signature(identity.signature)
    }

    /// The key, vouched for by the trust anchors where there are any.
    fn credential(
        &self,
        key: PublicKey<'_>,
        info: &str,
        now: i64,
        budget: &Budget,
    ) -> Result<Arc<Credential>> {
        match key {
            PublicKey::Info => {
                self.x5u.check(info)?;
                self.credentials.by_url(info, now, budget)
            }
            PublicKey::Location(location) => {
                self.x5u.check_address(location)?;
                self.credentials.by_location(location, now, budget)
            }
            PublicKey::Pem(text) => self.credentials.by_text(text, now, budget),
        }
    }

    /// A token, whose signer named `info`, has verified with the key.
    fn proven(&self, key: PublicKey<'_>, info: &str) {
        match key {
            PublicKey::Info => self.credentials.proven(info),
            PublicKey::Location(location) => self.credentials.proven(location),
            PublicKey::Pem(_) => {}
        }
    }

    fn verify(
        &self,
        credential: &Credential,
        signed: &str,
        signature: &[u8; SIGNATURE_LEN],
        budget: &Budget,
    ) -> Result<()> {
        budget.add(1);
        if credential.verify(signed.as_bytes(), signature, self.credentials.tables()) {
            Ok(())
        } else {
            Err(Error::new(
                Code::SignatureInvalid,
                "the signature does not verify: the token was changed, or signed by another key",
            ))
        }
    }

    /// `iat` must lie within `expire` seconds before and `clock_skew` after now.
    fn check_freshness(&self, iat: i64, now: i64, expire: i64) -> Result<()> {
        let age = now.saturating_sub(iat);
        let wrong = |why: String| Err(Error::new(Code::PayloadIat, why));
        if iat <= 0 {
            wrong(format!("iat is {iat}, which is no time of signing"))
        } else if age > expire {
            wrong(format!("iat {iat} is {age} s old: more than {expire} (expire) are too many"))
        } else if age < -self.clock_skew {
            wrong(format!(
                "iat {iat} is {} s in the future: more than {} (clock_skew) are too many; check this machine's clock",
                -age, self.clock_skew
            ))
        } else {
            Ok(())
        }
    }
}

/// The first header fields, as many as these. A field that is repeated octet for octet, as middleboxes
/// do, counts once.
fn distinct<'a>(values: impl IntoIterator<Item = &'a str>, limit: usize) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for value in values {
        if found.len() == limit {
            break;
        }
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

fn decode_signature(part: &str) -> Result<[u8; SIGNATURE_LEN]> {
    let octets = passport::decode(part, Code::SignatureEncoding, "signature")?;
    octets.as_slice().try_into().map_err(|_| {
        Error::new(
            Code::SignatureSize,
            format!("the signature has {} octets, not {SIGNATURE_LEN}", octets.len()),
        )
    })
}
