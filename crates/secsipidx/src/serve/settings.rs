//! The service's settings: a TOML file, or the stock tool's flags.

mod check;

pub use check::Check;

use crate::names::CONFIGURATION;
use serde::Deserialize;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use stir::{Checked, Code, Config, Error, Numbering, Result};

/// Most octets of a request's body: a SIP message with its headers has a few KiB, 64 over UDP.
const DEFAULT_BODY: usize = 64 * 1024;
/// Seconds for a request's header, and for a TLS handshake: a client on the same network takes
/// milliseconds.
const DEFAULT_HEADER_TIMEOUT: u64 = 5;
/// Seconds for a request as a whole: a download's 5, and some to wait for a thread.
const DEFAULT_REQUEST_TIMEOUT: u64 = 10;
/// Connections at a time, for each listener; each takes about 10 KiB.
const DEFAULT_CONNECTIONS: usize = 1024;
/// Those of one address: a proxy or SBC needs a few for each of its CPUs, and none may take all of them.
const DEFAULT_CONNECTIONS_PER_ADDRESS: usize = 512;
/// Requests at a time that may wait for a download or a file, with a thread or without one yet; more
/// are answered 503.
const DEFAULT_REQUESTS: usize = 256;
/// Threads for what may block: downloads mostly, which wait and take no CPU.
const DEFAULT_THREADS: usize = 64;
/// Seconds that requests have to end after SIGTERM.
const DEFAULT_DRAIN: u64 = 10;
/// Most old files of records: each rotation renames all of them.
const MAX_RECORDS_KEPT: u32 = 1000;
/// Above this a limit is none.
const MAX_LIMIT: usize = 1_000_000;
/// Shortest bearer token: 128 bits in hexadecimal.
const MIN_TOKEN: usize = 32;

/// All of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Plain HTTP.
    pub http: Option<Http>,
    /// HTTP over TLS.
    pub https: Option<Https>,
    /// What a client can't exceed.
    pub limits: Limits,
    /// Signing.
    pub sign: Sign,
    /// Checking.
    pub check: Check,
    /// How telephone numbers are written.
    pub numbers: Numbers,
    /// Files to serve.
    pub public: Option<Public>,
    /// Logs.
    pub log: Log,
    /// Records of calls; none without it.
    pub records: Option<Records>,
}

/// `[http]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// `host:port`; an empty host is all addresses.
    pub listen: String,
    /// Whether there is a page at `/` that says what is served, and how it goes.
    #[serde(default = "yes")]
    pub status_page: bool,
    /// Names that clients ask for, `name` or `name:port`, beside the machine's and its addresses.
    #[serde(default)]
    pub names: Vec<String>,
}

/// `[https]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Https {
    /// `host:port`
    pub listen: String,
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// Authorities whose clients may have calls signed, PEM.
    pub client_ca: Option<PathBuf>,
    /// CRLs of these authorities, and of those between them and the clients, PEM.
    pub client_crl: Option<PathBuf>,
    /// As [`Http::status_page`].
    #[serde(default = "yes")]
    pub status_page: bool,
    /// As [`Http::names`]; those of the certificate are known.
    #[serde(default)]
    pub names: Vec<String>,
}

const fn yes() -> bool {
    true
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Octets of a body.
    pub body: usize,
    /// Seconds for a header.
    pub header_timeout: u64,
    /// Seconds for a request.
    pub request_timeout: u64,
    /// Connections at a time, for each listener.
    pub connections: usize,
    /// Those of one address (IPv6: of its /64).
    pub connections_per_address: usize,
    /// Requests at a time that may wait for a download or a file.
    pub requests: usize,
    /// Threads that may block.
    pub threads: usize,
    /// Seconds for requests to end after SIGTERM.
    pub drain: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: DEFAULT_BODY,
            header_timeout: DEFAULT_HEADER_TIMEOUT,
            request_timeout: DEFAULT_REQUEST_TIMEOUT,
            connections: DEFAULT_CONNECTIONS,
            connections_per_address: DEFAULT_CONNECTIONS_PER_ADDRESS,
            requests: DEFAULT_REQUESTS,
            threads: DEFAULT_THREADS,
            drain: DEFAULT_DRAIN,
        }
    }
}

/// `[sign]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sign {
    /// Private key, PEM; without it nothing is signed.
    pub key: String,
    /// `x5u` for requests that name none.
    pub x5u: String,
    /// File with the bearer token that signing asks for; without one and without a client's
    /// certificate, only an address of loopback signs.
    pub token_file: Option<PathBuf>,
}

/// `[numbers]`, for signing and inspecting: the module's parameters of the same names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Numbers {
    /// Country code that national numbers get.
    pub country_code: String,
    /// What national numbers begin with and lose.
    pub national_prefix: String,
    /// What international numbers begin with and lose.
    pub international_prefix: String,
    /// Longest canonical number, in digits.
    pub tn_max_digits: Option<usize>,
}

/// `[public]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Public {
    /// Folder that GET /v1/pub/ serves.
    pub folder: PathBuf,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`.
    pub format: Format,
    /// `off`, `error`, `warn`, `info`, or `debug`: each request.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: Format::Text, level: "info".into() }
    }
}

/// `[records]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// The file, or `-` for standard output.
    pub file: PathBuf,
    /// MiB that it may have before it becomes an old one.
    #[serde(default = "default_record_size")]
    pub max_size: u64,
    /// Old ones to keep.
    #[serde(default = "default_records_kept")]
    pub keep: u32,
}

/// MiB: some 200 000 calls, which an editor still opens.
const fn default_record_size() -> u64 {
    100
}

/// With the size above at most about 1 GiB of disk.
const fn default_records_kept() -> u32 {
    10
}

/// How a line of a log looks.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Settings {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`Code::FileRead`], [`Code::Generic`] with the place in the file.
    pub fn read(path: &std::path::Path) -> Result<Self> {
        let text = crate::input::read(&path.display().to_string())?;
        let settings: Self = toml::from_str(&text).map_err(|e| {
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let why = e.message().replace('\n', "; ");
            wrong(format!("\"{}\" line {line}: {why}", path.display()))
        })?;
        settings.validate()?;
        Ok(settings)
    }

    /// Checks what can be checked before a socket is opened.
    ///
    /// # Errors
    /// The first setting that can't work.
    pub fn validate(&self) -> Result<()> {
        if self.http.is_none() && self.https.is_none() {
            return Err(wrong(
                "nothing listens: give [http] or [https] a listen = \"host:port\"".into(),
            ));
        }
        let limits = &self.limits;
        for (name, value) in [
            ("body", limits.body),
            ("header_timeout", usize::try_from(limits.header_timeout).unwrap_or(usize::MAX)),
            ("request_timeout", usize::try_from(limits.request_timeout).unwrap_or(usize::MAX)),
            ("connections", limits.connections),
            ("connections_per_address", limits.connections_per_address),
            ("requests", limits.requests),
            ("threads", limits.threads),
        ] {
            if value == 0 || value > MAX_LIMIT {
                return Err(wrong(format!("limits.{name} {value} is not from 1 to {MAX_LIMIT}")));
            }
        }
        let names = |section, names: &[String]| match names.iter().find(|name| !is_name(name)) {
            Some(name) => Err(wrong(format!(
                "{section}.names {name:?} is not a name or name:port, as in \"stir.example.org\""
            ))),
            None => Ok(()),
        };
        self.http.as_ref().map_or(Ok(()), |http| names("http", &http.names))?;
        self.https.as_ref().map_or(Ok(()), |https| names("https", &https.names))?;
        if self.log.level.parse::<log::LevelFilter>().is_err() {
            return Err(wrong(format!(
                "log.level {:?} is none of off, error, warn, info, debug, trace",
                self.log.level
            )));
        }
        if let Some(records) = &self.records {
            let (size, keep) = (records.max_size, records.keep);
            if size == 0 || size > MAX_LIMIT as u64 {
                return Err(wrong(format!("records.max_size {size} is not from 1 to {MAX_LIMIT}")));
            }
            if keep > MAX_RECORDS_KEPT {
                return Err(wrong(format!("records.keep {keep} is more than {MAX_RECORDS_KEPT}")));
            }
        }
        self.token()?;
        self.config()?;
        Ok(())
    }

    /// The bearer token, from its file.
    ///
    /// # Errors
    /// [`Code::FileRead`]; a token that is short enough to guess.
    pub fn token(&self) -> Result<Option<String>> {
        let Some(path) = &self.sign.token_file else { return Ok(None) };
        let token = crate::input::read(&path.display().to_string())
            .map_err(|e| Error::new(e.code(), format!("sign.token_file {}", e.message())))?
            .trim()
            .to_owned();
        if token.len() < MIN_TOKEN {
            return Err(wrong(format!(
                "sign.token_file \"{}\": the token has {} characters, fewer than {MIN_TOKEN}: make one with openssl rand -hex 32",
                path.display(),
                token.len()
            )));
        }
        Ok(Some(token))
    }

    /// The settings of the core.
    ///
    /// # Errors
    /// What [`Config::validate`] finds.
    pub fn config(&self) -> Result<Checked> {
        let default = Config::default();
        let numbers = &self.numbers;
        let numbering = Numbering {
            country_code: numbers.country_code.clone(),
            national_prefix: numbers.national_prefix.clone(),
            international_prefix: numbers.international_prefix.clone(),
            max_digits: numbers.tn_max_digits.unwrap_or(default.numbering.max_digits),
        };
        let config = Config { numbering, x5u: self.sign.x5u.clone(), ..default };
        let config = CONFIGURATION.of(self.check.config(config))?;
        CONFIGURATION.of(config.validate())
    }
}

/// A host name, with a port or without.
fn is_name(name: &str) -> bool {
    let host = host_of(name);
    let port = name.get(host.len()..).unwrap_or_default().trim_start_matches(['.', ':']);
    !host.is_empty()
        && host.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_'))
        && (port.is_empty() || port.parse::<u16>().is_ok())
}

/// The host of `host:port` or `host`, without the dot that ends a full name.
pub fn host_of(authority: &str) -> &str {
    let host = match authority.rsplit_once(':') {
        // Not inside an IPv6 address.
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host)
}

/// The address of a `host:port`; an empty host is all addresses.
///
/// # Errors
/// [`Code::Generic`] if it is none.
pub fn address(listen: &str) -> Result<SocketAddr> {
    let text = if listen.starts_with(':') { format!("[::]{listen}") } else { listen.to_owned() };
    let found = text.to_socket_addrs().map_err(|e| {
        wrong(format!("listen {listen:?}: {e}: give host:port, as in \"127.0.0.1:8090\""))
    })?;
    found.into_iter().next().ok_or_else(|| wrong(format!("listen {listen:?} names no address")))
}

fn wrong(message: String) -> Error {
    Error::new(Code::Generic, message)
}
