//! The authentication service (RFC 8224 §6.1): makes PASSporTs and Identity header fields.

mod div;
mod keypair;
mod parties;
pub(crate) mod x5u_file;

pub use div::DivCall;
pub use parties::{MAX_DEST, MAX_URI_LEN};

use crate::clock::{Clock, SystemClock};
use crate::config::Checked;
use crate::error::{Code, Error, Result};
use crate::fetch::is_url;
use crate::file::Files;
use crate::key::SigningKey;
use crate::passport::{self, ALG, Ppt, TYP};
use crate::policy::Policy;
use crate::tn::Numbering;
use crate::{json, rich};
use aws_lc_rs::digest::{SHA256, digest};
use keypair::{KeyFiles, Pair};
use lru::LruCache;
use parties::{Dest, Member, quoted};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Longest `x5u`, in octets: the longest in the field has 106.
pub const MAX_X5U_LEN: usize = 1024;
/// Longest `origid`, in octets: a UUID has 36.
pub const MAX_ORIGID_LEN: usize = 256;
/// Keys given as text that are remembered: as many as a script may hold.
const MAX_PEM_KEYS: usize = 64;

/// Where a private key comes from.
#[derive(Clone, Copy)]
pub enum PrivateKey<'a> {
    /// A path, or a `file://` URL.
    Path(&'a str),
    /// The PEM text itself.
    Pem(&'a str),
}

/// A call to sign.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call<'a> {
    /// The caller: a telephone number in any writing that [`Numbering::canonical`] takes, or a
    /// sip:, sips: or tel: URI, which is a number where its user is one.
    pub orig: &'a str,
    /// The called number or URI, likewise; or `list:` and up to [`MAX_DEST`] of them, separated by commas.
    pub dest: &'a str,
    /// Attestation: A, B or C (RFC 8588 §4).
    pub attest: &'a str,
    /// Origination identifier; empty for a new UUID (RFC 8588 §5).
    pub origid: &'a str,
    /// Where verifiers find the certificate, or `file:///path` of a file that holds the URL; empty for
    /// [`Config::x5u`](crate::Config::x5u).
    pub x5u: &'a str,
    /// The caller's name (`nam` of RFC 9795 §5.1); `None` or empty for none.
    pub rcd_nam: Option<&'a str>,
}

/// Signs calls; keys are read once, and again when their file or their certificate's changes.
///
/// A key must match its certificate ([`Config::cert_path`](crate::Config::cert_path), or under policy shaken the file beside
/// the key, if there is one) and now must be inside that one's validity. A pair that is not so is
/// refused; one that replaced a good pair is logged, and the good one stays in force. Keys given as
/// text are nobody's pair.
pub struct Signer {
    default_x5u: String,
    numbering: Numbering,
    policy: Policy,
    /// Seconds between a request's Date and now (RFC 8224 §4.1).
    window: i64,
    authority: bool,
    clock: Arc<dyn Clock>,
    files: KeyFiles,
    /// URLs by the files that hold them.
    x5us: Files<String>,
    texts: Mutex<LruCache<Vec<u8>, Arc<Pair>>>,
}

impl Signer {
    /// A signer with these settings and the system's clock.
    pub fn new(config: &Checked) -> Self {
        Self::with_clock(config, Arc::new(SystemClock))
    }

    /// A signer with a clock of its own.
    pub fn with_clock(config: &Checked, clock: Arc<dyn Clock>) -> Self {
        Self {
            default_x5u: config.x5u.clone(),
            numbering: config.numbering.clone(),
            policy: config.policy,
            window: config.expire().into(),
            authority: config.policy == Policy::Shaken && config.shaken.tn_authlist_match,
            clock,
            files: KeyFiles::new(config),
            x5us: Files::new(),
            texts: Mutex::new(LruCache::unbounded()),
        }
    }

    /// The Identity header field value of a call: `token;info=<x5u>;alg=ES256;ppt=shaken`.
    ///
    /// # Errors
    /// [`Code::PayloadParse`] for parties, attestation, origid or name, [`Code::HeaderX5u`] for
    /// x5u, and the codes of the key.
    pub fn identity(&self, call: &Call<'_>, key: PrivateKey<'_>) -> Result<String> {
        self.identity_at(call, key, self.clock.now())
    }

    /// The same with this `iat`, which the caller has found to be fresh.
    ///
    /// # Errors
    /// As [`Signer::identity`].
    pub fn identity_at(&self, call: &Call<'_>, key: PrivateKey<'_>, iat: i64) -> Result<String> {
        let orig = parties::read(&self.numbering, call.orig)?;
        let orig = Member(orig.text());
        let dest = Dest::read(&self.numbering, call.dest)?;
        passport::check_attest(call.attest)?;
        let x5u = self.x5u(call.x5u)?;
        let origid = origid(call.origid)?;
        let rcd = rcd(call.rcd_nam)?;
        let now = self.clock.now();
        let (x5u, key) = self.with_x5u(x5u, || self.key_for(key, orig.0, now))?;
        // Canonical (RFC 8225 §9) as it stands: members sorted, and no value that needs escaping
        // beyond what the parts do themselves.
        let attest = call.attest;
        let payload = format!(
            r#"{{"attest":"{attest}","dest":{dest},"iat":{iat},"orig":{orig},"origid":{origid}{rcd}}}"#
        );
        header_field(Ppt::Shaken, &x5u, &payload, &key)
    }

    /// Refuses a request that was not sent just now, by the value of its Date header field: within
    /// [`Config::expire`](crate::Config::expire) seconds of this machine's clock (RFC 8224 §4.1, §6.1).
    ///
    /// # Errors
    /// [`Code::PayloadIat`], also for what is not a date (RFC 3261 §20.17).
    pub fn check_date(&self, date: &str) -> Result<()> {
        let refused = |why: String| {
            Err(Error::new(
                Code::PayloadIat,
                format!("Date {date:?} {why}; set add_date to 0 to sign whatever Date says"),
            ))
        };
        let Some(at) = httpdate::parse_http_date(date.trim()).ok().and_then(seconds) else {
            return refused("is not a date like \"Sat, 13 Nov 2010 23:29:00 GMT\"".into());
        };
        let (off, window) = (self.clock.now().saturating_sub(at), self.window);
        if off.saturating_abs() > window {
            return refused(format!(
                "is {off} s before this machine's clock: more than {window} (expire) are not signed"
            ));
        }
        Ok(())
    }

    /// Reads the key of a file and checks it against its certificate, as signing does.
    ///
    /// # Errors
    /// The codes of the key; [`Code::KeyInvalid`] if it does not match its certificate, or now is
    /// outside its validity: the message names both files.
    pub fn check_key(&self, path: &str) -> Result<()> {
        self.key(PrivateKey::Path(path), self.clock.now()).map(drop)
    }

    /// The token of this JOSE header and this payload, both JSON objects, in canonical form.
    ///
    /// # Errors
    /// [`Code::HeaderParse`], [`Code::PayloadParse`] for what is no JSON object,
    /// [`Code::HeaderAlg`] if `alg` is not ES256, and the codes of the key.
    pub fn sign_json(&self, header: &str, payload: &str, key: PrivateKey<'_>) -> Result<String> {
        let header = json::object(header.as_bytes(), Code::HeaderParse, "JOSE header")?;
        let payload = json::object(payload.as_bytes(), Code::PayloadParse, "payload")?;
        if header.get("alg").and_then(|alg| alg.as_str()) != Some(ALG) {
            return Err(Error::new(Code::HeaderAlg, "alg of the JOSE header must be \"ES256\""));
        }
        let key = self.key(key, self.clock.now())?;
        token(&json::canonical(&header), &json::canonical(&payload), &key)
    }

    /// The `x5u` of a call, or the default.
    fn x5u<'a>(&'a self, x5u: &'a str) -> Result<&'a str> {
        let x5u = if x5u.is_empty() { &self.default_x5u } else { x5u };
        valid_setting(x5u, self.policy).map(|()| x5u)
    }

    /// The key, if its certificate lets it sign for this party.
    fn key_for(&self, key: PrivateKey<'_>, own: &str, now: i64) -> Result<Arc<SigningKey>> {
        let pair = self.pair(key, now)?;
        if self.authority {
            pair.check_authority(own)?;
        }
        Ok(Arc::clone(&pair.key))
    }

    fn key(&self, key: PrivateKey<'_>, now: i64) -> Result<Arc<SigningKey>> {
        self.pair(key, now).map(|pair| Arc::clone(&pair.key))
    }

    fn pair(&self, key: PrivateKey<'_>, now: i64) -> Result<Arc<Pair>> {
        match key {
            PrivateKey::Path(path) => self.files.get(path, now),
            PrivateKey::Pem(text) => {
                // The digest stands for the text, so that it is not kept.
                let name = digest(&SHA256, text.as_bytes()).as_ref().to_vec();
                let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(key) = texts.get(&name) {
                    return Ok(Arc::clone(key));
                }
                let key = Arc::new(Pair::alone(Arc::new(SigningKey::from_pem(text.as_bytes())?)));
                texts.put(name, Arc::clone(&key));
                if texts.len() > MAX_PEM_KEYS {
                    texts.pop_lru();
                }
                Ok(key)
            }
        }
    }
}

/// Since 1970; `None` for what comes before.
fn seconds(time: SystemTime) -> Option<i64> {
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// The token of this payload, with the parameters that repeat its header (RFC 8224 §4).
fn header_field(ppt: Ppt, x5u: &str, payload: &str, key: &SigningKey) -> Result<String> {
    let ppt = ppt.name();
    // Canonical as it stands: an x5u has nothing to escape.
    let header = format!(r#"{{"alg":"{ALG}","ppt":"{ppt}","typ":"{TYP}","x5u":"{x5u}"}}"#);
    let mut field = token(&header, payload, key)?;
    for part in [";info=<", x5u, ">;alg=", ALG, ";ppt=", ppt] {
        field.push_str(part);
    }
    Ok(field)
}

fn token(header: &str, payload: &str, key: &SigningKey) -> Result<String> {
    let mut token = passport::encode(header.as_bytes());
    token.push('.');
    token.push_str(&passport::encode(payload.as_bytes()));
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    token.push_str(&passport::encode(&signature));
    Ok(token)
}

/// Refuses an `x5u` that is neither a URL ([`valid_x5u`]) nor a file that holds one.
pub(crate) fn valid_setting(x5u: &str, policy: Policy) -> Result<()> {
    if x5u_file::path(x5u).is_some() { Ok(()) } else { valid_x5u(x5u, policy) }
}

/// Refuses an `x5u` that no verifier could fetch, or that would break the header field it is
/// written into.
fn valid_x5u(x5u: &str, policy: Policy) -> Result<()> {
    let wrong = |why: String| Err(Error::new(Code::HeaderX5u, why));
    if x5u.is_empty() {
        return wrong("no x5u: give the URL of the certificate, or set the parameter x5u".into());
    }
    if x5u.len() > MAX_X5U_LEN {
        return wrong(format!(
            "x5u has {} octets: more than {MAX_X5U_LEN} are not signed",
            x5u.len()
        ));
    }
    let host = x5u.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#', ':']).next());
    if !is_url(x5u) || host.is_none_or(str::is_empty) {
        return wrong(format!("x5u {x5u:?} is no http:// or https:// URL of a host"));
    }
    if policy == Policy::Shaken && !starts_with_https(x5u) {
        return wrong(format!(
            "x5u {x5u:?} is not an https:// URL: with policy shaken it must be, verifiers fetch no other (ATIS-1000074 §5.2.2)"
        ));
    }
    match x5u.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '<' | '>' | '"' | '\\')) {
        Some(c) => wrong(format!("x5u {x5u:?} has {c:?} in it, which a URL must escape")),
        None => Ok(()),
    }
}

fn starts_with_https(url: &str) -> bool {
    url.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("https"))
}

/// The last member of the payload, with the comma before it.
fn rcd(name: Option<&str>) -> Result<String> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(String::new()) };
    rich::check_name(name)?;
    Ok(format!(r#","rcd":{{"nam":{}}}"#, quoted(name)))
}

/// A JSON string. A Call-ID, which scripts take for it, may hold quotes (RFC 3261 §25.1).
fn origid(origid: &str) -> Result<Value> {
    if origid.is_empty() {
        return Ok(quoted(&Uuid::new_v4().to_string()));
    }
    if origid.len() > MAX_ORIGID_LEN || origid.chars().any(|c| !c.is_ascii_graphic()) {
        return Err(Error::new(
            Code::PayloadParse,
            format!(
                "origid {origid:?} must be up to {MAX_ORIGID_LEN} visible ASCII characters, mostly a UUID; leave it empty for a new one"
            ),
        ));
    }
    Ok(quoted(origid))
}
