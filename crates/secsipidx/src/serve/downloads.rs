//! Downloads on behalf of callers.

use std::net::IpAddr;
use stir::fetch::parse_url;
use stir::{Code, Config, Error, Fetch, Fetched, HttpFetcher, Policy, Result, X5uRules};

/// Asks no address that the rules refuse.
pub struct Downloads {
    rules: X5uRules,
    http: HttpFetcher,
}

impl Downloads {
    /// With these settings, and from public addresses and those of `check.x5u_permit` alone where
    /// strangers name what is downloaded.
    ///
    /// # Errors
    /// A list's entry that is none.
    pub fn new(config: &Config, for_strangers: bool) -> Result<Self> {
        let mut config = config.clone();
        if for_strangers {
            // For its rules on addresses: those on URLs are a verifier's, whose policy stays.
            config.policy = Policy::Shaken;
        }
        Ok(Self { rules: config.x5u_rules()?, http: HttpFetcher::new(&config) })
    }
}

impl Fetch for Downloads {
    fn fetch(&self, url: &str) -> Result<Fetched> {
        let parsed = parse_url(url)?;
        // The addresses of a name are judged where it is resolved: by the client.
        let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']);
        match host.parse::<IpAddr>().ok().and_then(|address| self.rules.refuses(address)) {
            Some(why) => Err(Error::new(
                Code::HttpUrl,
                format!("x5u \"{}\" is not fetched: {why}", url.escape_debug()),
            )),
            None => self.http.fetch(url),
        }
    }
}
