//! Publishing: a file for the web server, then fetched as a verifier does.

use super::config::{Own, Publish};
use super::files::{self, Owner, step};
use super::pairs::{Pair, wrong};
use ::sti::http::HttpSettings;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};
use stir::cert::Chain;
use stir::{Code, Config, Error, Fetch, HttpFetcher, Result};

/// Seconds for one fetch: what verifiers allow.
const TIMEOUT: u32 = 5;
/// How long the web server has until it serves a new file: some are filled by rsync.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const AGAIN: Duration = Duration::from_secs(2);
/// The environment variable by which a test waits less.
#[cfg(debug_assertions)]
const TEST_PATIENCE: &str = "SECSIPIDX_TEST_PATIENCE";

/// The file that a URL names; none if it is not under `publish.url`.
fn file(publish: &Publish, x5u: &str) -> Option<PathBuf> {
    let name = x5u.strip_prefix(&publish.url)?;
    (!name.is_empty() && !name.contains('/')).then(|| publish.folder.join(name))
}

/// Publishes a pair's certificate and fetches it back.
///
/// # Errors
/// The file can't be written; what a verifier would get is not this certificate.
pub fn publish(own: &Own, pair: &Pair, http: &HttpSettings) -> Result<()> {
    let path = file(&own.publish, &pair.x5u).ok_or_else(|| {
        wrong(format!(
            "\"{}\" is not under publish.url \"{}\": it was changed meanwhile; secsipidx renew --force gets a certificate for the new URL",
            pair.x5u, own.publish.url
        ))
    })?;
    files::write(&path, pair.pem()?.as_bytes(), Owner::public())?;
    step("published");
    fetch_back(pair, http)?;
    step("fetched-back");
    Ok(())
}

/// Waits until the URL gives this certificate.
fn fetch_back(pair: &Pair, http: &HttpSettings) -> Result<()> {
    let fetcher = HttpFetcher::new(&Config {
        timeout: TIMEOUT,
        http_ca_file: http.ca_file.clone(),
        http_proxy: http.proxy.clone(),
        ..Config::default()
    });
    let deadline = Instant::now() + patience();
    loop {
        let Err(e) = look(&fetcher, pair) else { return Ok(()) };
        if Instant::now() + AGAIN > deadline {
            return Err(Error::new(
                e.code(),
                format!(
                    "the new certificate is not used, for verifiers would not get it: {}; let the web server serve publish.folder at publish.url; the next run goes on from here",
                    e.message()
                ),
            ));
        }
        log::info!("not there yet: {}", e.message());
        sleep(AGAIN);
    }
}

/// What a verifier gets there.
///
/// # Errors
/// Nothing, or another certificate.
pub fn look(fetcher: &HttpFetcher, pair: &Pair) -> Result<()> {
    let fetched = fetcher.fetch(&pair.x5u)?;
    let wrong = |why: &str| Error::new(Code::CertInvalid, format!("\"{}\" {why}", pair.x5u));
    let chain = Chain::from_pem(&fetched.body).map_err(|e| wrong(e.message()))?;
    if chain.leaf() != pair.chain.leaf() {
        return Err(wrong("serves another certificate"));
    }
    if chain.rest().len() < pair.chain.rest().len() {
        return Err(wrong("serves the certificate without its intermediates"));
    }
    Ok(())
}

/// Takes an old certificate from the web server.
///
/// # Errors
/// The file can't be removed.
pub fn unpublish(own: &Own, pair: &Pair) -> Result<()> {
    let Some(path) = file(&own.publish, &pair.x5u).filter(|path| path.exists()) else {
        return Ok(());
    };
    std::fs::remove_file(&path).map_err(|e| files::failed(&path, "can't be removed", &e))
}

fn patience() -> Duration {
    #[cfg(debug_assertions)]
    if let Some(seconds) = std::env::var(TEST_PATIENCE).ok().and_then(|text| text.parse().ok()) {
        return Duration::from_secs(seconds);
    }
    PATIENCE
}
