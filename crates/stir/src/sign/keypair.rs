//! Private keys in files, beside the certificates that must match them (RFC 8224 §6.1).

use crate::authority::TnAuthList;
use crate::cert::Chain;
use crate::clock::time;
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::file::{self, Stamp};
use crate::key::SigningKey;
use crate::policy::Policy;
use lru::LruCache;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Keys remembered: a provider has one for each of its domains, and an entry is a few KiB.
const MAX_KEYS: usize = 1024;

/// Which certificate belongs to a key.
enum Pairing {
    /// Nobody says: the drop-in signs with any key.
    None,
    /// The file beside the key, if there is one.
    Beside,
    /// The file that `cert_path` names.
    Named(PathBuf),
}

/// Key files, read once, and again when they or their certificates change.
pub(super) struct KeyFiles {
    pairing: Pairing,
    known: Mutex<LruCache<String, Known>>,
}

/// What tells that one of the two files has changed; no certificate, or one that is not there, has
/// no stamp.
#[derive(PartialEq, Eq)]
struct Stamps {
    key: Stamp,
    certificate: Option<(PathBuf, Option<Stamp>)>,
}

struct Known {
    stamps: Stamps,
    /// What was read last.
    last: Result<Arc<Pair>>,
    /// What was good last, where a certificate says so: a key alone has nobody to vouch for it.
    good: Option<Arc<Pair>>,
}

/// A key that matches its certificate, or has none.
pub(super) struct Pair {
    pub(super) key: Arc<SigningKey>,
    validity: Option<Validity>,
    /// What the certificate may sign for.
    list: Result<Option<TnAuthList>>,
}

/// When the certificate counts, in Unix seconds, and what both files are called.
struct Validity {
    not_before: i64,
    not_after: i64,
    names: String,
}

impl KeyFiles {
    pub(super) fn new(config: &Config) -> Self {
        let pairing = match config.policy {
            _ if !config.cert_path.as_os_str().is_empty() => {
                Pairing::Named(config.cert_path.clone())
            }
            Policy::Shaken => Pairing::Beside,
            Policy::Compat => Pairing::None,
        };
        Self { pairing, known: Mutex::new(LruCache::unbounded()) }
    }

    /// The key of this file, or the one that it held before if it is good no more.
    pub(super) fn get(&self, path: &str, now: i64) -> Result<Arc<Pair>> {
        let path = path.strip_prefix("file://").unwrap_or(path);
        // Taken before the files are read: a change in between shows the next time.
        let mut stamps = self.stamps(path)?;
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(path) {
            // A key that had a certificate beside it waits for it: both are replaced, one by one.
            if stamps.certificate.is_none() {
                let missing = |(path, _): &(PathBuf, _)| (path.clone(), None);
                stamps.certificate = known.stamps.certificate.as_ref().map(missing);
            }
            let changed = known.stamps != stamps;
            // What could not be read might be by now, though nobody touched it.
            if changed || matches!(&known.last, Err(e) if e.code() == Code::FileRead) {
                known.last = read(path, &stamps);
                known.stamps = stamps;
            }
            let key = known.key(now);
            if changed && let (Ok(_), Err(error)) = (&key, known.last_at(now)) {
                log::error!("{}; the key that was there before stays in force", error.message());
            }
            return key;
        }
        let mut known = Known { last: read(path, &stamps), stamps, good: None };
        let key = known.key(now)?;
        all.put(path.to_owned(), known);
        if all.len() > MAX_KEYS {
            all.pop_lru();
        }
        Ok(key)
    }

    fn stamps(&self, path: &str) -> Result<Stamps> {
        let key = file::stamp(Path::new(path))?;
        let stamp = |path: &Path| fs::metadata(path).ok().map(|data| Stamp::of(&data));
        let certificate = match &self.pairing {
            Pairing::None => None,
            Pairing::Named(certificate) => Some((certificate.clone(), stamp(certificate))),
            Pairing::Beside => beside(Path::new(path))
                .into_iter()
                .find_map(|path| stamp(&path).map(|stamp| (path, Some(stamp)))),
        };
        Ok(Stamps { key, certificate })
    }
}

impl Known {
    fn last_at(&self, now: i64) -> Result<&Arc<Pair>> {
        let last = self.last.as_ref().map_err(Error::clone)?;
        last.check(now).map(|()| last)
    }

    fn key(&mut self, now: i64) -> Result<Arc<Pair>> {
        let error = match self.last_at(now) {
            Ok(pair) => {
                let pair = Arc::clone(pair);
                self.good = pair.validity.is_some().then(|| Arc::clone(&pair));
                return Ok(pair);
            }
            Err(error) => error,
        };
        match &self.good {
            Some(good) if good.check(now).is_ok() => Ok(Arc::clone(good)),
            _ => Err(error),
        }
    }
}

impl Pair {
    /// A key that nobody says anything of.
    pub(super) fn alone(key: Arc<SigningKey>) -> Self {
        Self { key, validity: None, list: Ok(None) }
    }

    /// Refuses a number that the certificate's TNAuthList does not hold, where that names numbers and
    /// no provider (RFC 8226 §9): verifiers would.
    pub(super) fn check_authority(&self, own: &str) -> Result<()> {
        match self.list.as_ref().map_err(Error::clone)? {
            Some(list) if list.is_of_numbers() && !list.covers(own) => {
                let why = format!("the TNAuthList of the key's certificate does not hold {own}");
                Err(Error::new(Code::CertAuthority, why))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a key whose certificate does not count now.
    fn check(&self, now: i64) -> Result<()> {
        let Some(Validity { not_before, not_after, names }) = &self.validity else {
            return Ok(());
        };
        let why = if now < *not_before {
            format!("it is valid from {} on: check this machine's clock", time(*not_before))
        } else if now > *not_after {
            format!("it was valid until {}: renew it", time(*not_after))
        } else {
            return Ok(());
        };
        Err(Error::new(Code::KeyInvalid, format!("{names}: {why}")))
    }
}

fn read(path: &str, stamps: &Stamps) -> Result<Arc<Pair>> {
    let (_, text) = file::read_path(Path::new(path))?;
    let key = SigningKey::from_pem(&text)
        .map(Arc::new)
        .map_err(|e| Error::new(e.code(), format!("file \"{path}\": {}", e.message())))?;
    let Some((certificate, _)) = &stamps.certificate else {
        return Ok(Arc::new(Pair::alone(key)));
    };
    let names = format!(
        "the key of file \"{path}\" can't be used with the certificate of file \"{}\"",
        certificate.display()
    );
    let refused = |code, why: &str| Error::new(code, format!("{names}: {why}"));
    let invalid = |e: Error| refused(Code::KeyInvalid, e.message());
    let (_, text) = file::read_path(certificate).map_err(|e| refused(e.code(), e.message()))?;
    let chain = Chain::from_pem(&text).map_err(invalid)?;
    let leaf = chain.leaf();
    if leaf.public_key_sec1().map_err(invalid)? != key.public_point() {
        return Err(refused(
            Code::KeyInvalid,
            "the public keys are not the same, so it is another key's certificate",
        ));
    }
    let (not_before, not_after) = (leaf.not_before(), leaf.not_after());
    let list = TnAuthList::of(leaf);
    Ok(Arc::new(Pair { key, validity: Some(Validity { not_before, not_after, names }), list }))
}

/// Where the certificate of a key may be, by the names that people give the two.
fn beside(key: &Path) -> Vec<PathBuf> {
    let Some(name) = key.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let stem = |end: &str| name.strip_suffix(end).filter(|stem| !stem.is_empty());
    let names = if name == "key.pem" {
        vec!["cert.pem".to_owned()]
    } else if let Some(stem) = stem("-key.pem") {
        vec![format!("{stem}-cert.pem"), format!("{stem}.pem")]
    } else if let Some(stem) = stem(".key") {
        vec![format!("{stem}.crt"), format!("{stem}.pem")]
    } else {
        Vec::new()
    };
    names.into_iter().map(|name| key.with_file_name(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_looked_for_by_name() {
        for (key, expected) in [
            ("/x/key.pem", &["/x/cert.pem"][..]),
            ("/x/a.key", &["/x/a.crt", "/x/a.pem"]),
            ("a-key.pem", &["a-cert.pem", "a.pem"]),
            ("/x/a.pem", &[]),
            ("/x/.key", &[]),
            ("/x/-key.pem", &[]),
            ("/", &[]),
            ("", &[]),
        ] {
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(beside(Path::new(key)), expected, "{key}");
        }
    }
}
