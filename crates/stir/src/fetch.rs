//! Downloads over HTTP(S): one total timeout, no redirects, a bounded body.

use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::file;
pub use crate::file::MAX_LEN;
use crate::x5u::X5uRules;
use nix::sys::signal::{SigSet, SigmaskHow};
use reqwest::blocking::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Certificate, ClientBuilder, Proxy, Url, redirect};
use std::io::Read;
use std::net::ToSocketAddrs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Largest `http_ca_file`, in bytes: a distribution's bundle has 220 KiB.
const MAX_ROOTS_LEN: usize = 4 * 1024 * 1024;

/// What is asked for: chains (ATIS-1000074 §5.3.1), what servers in France call them, one in DER,
/// and whatever else a server takes a certificate for.
const ACCEPTED: &str = "application/pem-certificate-chain, application/x-pem-file;q=0.9, application/pkix-cert;q=0.8, */*;q=0.5";
/// What a server may send over HTTP/2 before it is read: the largest body fits.
const HTTP2_WINDOW: u32 = 128 * 1024;
/// Headers of an answer over HTTP/2, in bytes.
const HTTP2_HEADERS: u32 = 16 * 1024;

/// What a URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The body of a 200 answer.
    pub body: Vec<u8>,
    /// Until when it may be used, in Unix seconds, where the one who fetched it knows (RFC 9111);
    /// `None` leaves it to `cache_expire`.
    pub until: Option<i64>,
    /// Its Content-Type, for messages; empty where it is not known.
    pub content_type: String,
}

impl Fetched {
    /// A body of which nothing else is known.
    pub const fn new(body: Vec<u8>, until: Option<i64>) -> Self {
        Self { body, until, content_type: String::new() }
    }
}

/// Gets what a URL names. Front ends bring their own where downloads go another way.
pub trait Fetch: Send + Sync {
    /// The body of a 200 answer, and until when it counts.
    ///
    /// # Errors
    /// [`Code::HttpUrl`], [`Code::HttpGet`], [`Code::HttpStatus`], [`Code::HttpBody`].
    fn fetch(&self, url: &str) -> Result<Fetched>;

    /// A token has verified with the certificate in this body, which the URL delivered: from now on
    /// it may take a place where it stays. Never waits.
    fn proven(&self, _url: &str, _body: &Digest) {}
}

/// SHA-256 of a body.
pub type Digest = [u8; 32];

/// What names a body.
pub fn digest(body: &[u8]) -> Digest {
    let mut octets = [0; 32];
    octets.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body).as_ref());
    octets
}

/// reqwest's blocking client, made at the first download in the process that downloads.
pub struct HttpFetcher {
    config: Config,
    /// With the process it was made in: a client that lived before a fork hangs for ever.
    client: Mutex<Option<(u32, Client)>>,
}

impl HttpFetcher {
    /// Opens no socket and starts no thread.
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone(), client: Mutex::new(None) }
    }

    fn client(&self) -> Result<Client> {
        let pid = std::process::id();
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((owner, client)) = &*client
            && *owner == pid
        {
            return Ok(client.clone());
        }
        // Dropping one of another process would wait for a thread that is not here.
        std::mem::forget(client.take());
        let built = without_signals(|| {
            reqwest::blocking::ClientBuilder::from(client_builder(&self.config)?).build().map_err(
                |e| {
                    Error::new(
                        Code::HttpGet,
                        format!("the HTTP client can't start: {}", reasons(&e)),
                    )
                },
            )
        })?;
        *client = Some((pid, built.clone()));
        Ok(built)
    }
}

impl Fetch for HttpFetcher {
    fn fetch(&self, url: &str) -> Result<Fetched> {
        self.fetch_within(url, Duration::from_secs(self.config.timeout.into()))
    }
}

impl HttpFetcher {
    /// The same within `limit`.
    ///
    /// # Errors
    /// As [`Fetch::fetch`].
    pub fn fetch_within(&self, url: &str, limit: Duration) -> Result<Fetched> {
        let parsed = parse_url(url)?;
        let client = self.client()?;
        let deadline = Instant::now() + limit;
        let response = client.get(parsed).timeout(limit).send().map_err(|e| {
            let why = if e.is_timeout() {
                // 5 s, or 0.4 s of what is left of them.
                format!("no answer in {} s", (limit.as_secs_f32() * 10.0).round() / 10.0)
            } else {
                reasons(&e)
            };
            Error::new(Code::HttpGet, format!("\"{url}\" can't be fetched: {why}"))
        })?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(Error::new(
                Code::HttpStatus,
                format!(
                    "\"{url}\" answers {}, not 200 (redirects are not followed)",
                    response.status()
                ),
            ));
        }
        let content_type = content_type(response.headers());
        check_encoding(response.headers())
            .and_then(|()| read_body(response, deadline))
            .map(|body| Fetched { content_type, ..Fetched::new(body, None) })
            .map_err(|why| Error::new(Code::HttpBody, format!("\"{url}\" {why}")))
    }
}

/// Reads up to [`MAX_LEN`] octets until the deadline.
fn read_body(mut body: impl Read, deadline: Instant) -> std::result::Result<Vec<u8>, String> {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = body
            .read(&mut buffer)
            .map_err(|e| format!("breaks off after {} octets: {e}", read.len()))?;
        if count == 0 {
            return Ok(read);
        }
        read.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if read.len() > MAX_LEN {
            return Err(format!("has more than {MAX_LEN} octets"));
        }
        if Instant::now() > deadline {
            return Err(format!("is not read in time: {} octets came", read.len()));
        }
    }
}

/// Content-Type of an answer; empty for none.
pub fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// Refuses a body in a coding that the client does not decode: it has taken away the header of one
/// that it does.
///
/// # Errors
/// What is wrong with the body.
pub fn check_encoding(headers: &HeaderMap) -> std::result::Result<(), String> {
    match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => Ok(()),
        Some(coding) => Err(format!(
            "comes with Content-Encoding {:?}: only gzip and deflate were asked for",
            String::from_utf8_lossy(coding)
        )),
    }
}

/// Whether a location is downloaded from; any other is a file.
pub fn is_url(location: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        location.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme))
    })
}

/// The URL, if it is one that is fetched at all.
///
/// # Errors
/// [`Code::HttpUrl`].
pub fn parse_url(url: &str) -> Result<Url> {
    let wrong = |why: &str| Error::new(Code::HttpUrl, format!("\"{}\" {why}", url.escape_debug()));
    let parsed = Url::parse(url).map_err(|e| wrong(&format!("is no URL: {e}")))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(wrong("is not fetched: only http:// and https:// are"));
    }
    Ok(parsed)
}

/// Refuses settings that the client could not be made with.
pub(crate) fn check_settings(config: &Config) -> Result<()> {
    client_builder(config).map(drop)
}

/// The HTTP client as the settings want it: proxy, roots, no redirects. Whoever builds it sets the
/// timeout of a request.
///
/// # Errors
/// [`Code::Generic`] for a proxy or a file of roots that can't be used.
pub fn client_builder(config: &Config) -> Result<ClientBuilder> {
    let accept = [(ACCEPT, HeaderValue::from_static(ACCEPTED))];
    let mut builder = reqwest::Client::builder()
        .default_headers(accept.into_iter().collect())
        // The library's own windows let a server fill 5 MiB before the body is known to be too large.
        .http2_initial_stream_window_size(HTTP2_WINDOW)
        .http2_initial_connection_window_size(HTTP2_WINDOW)
        .http2_max_header_list_size(HTTP2_HEADERS)
        .user_agent(concat!("secsipid-rs/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        // A certificate is downloaded once in a long time, and callers name the hosts: connections
        // kept for later would take up the file descriptors.
        .pool_max_idle_per_host(0);
    if !config.http_proxy.is_empty() {
        // Downloads would go without one whose scheme is not known, and past x5u_deny.
        if !is_url(&config.http_proxy) {
            return Err(Error::new(
                Code::Generic,
                format!(
                    "http_proxy \"{}\" is no http:// or https:// URL: give http://host:port",
                    config.http_proxy
                ),
            ));
        }
        let proxy = Proxy::all(&config.http_proxy).map_err(|e| {
            Error::new(
                Code::Generic,
                format!("http_proxy \"{}\" is no URL: {}", config.http_proxy, reasons(&e)),
            )
        })?;
        builder = builder.proxy(proxy);
    }
    let rules = config.x5u_rules()?;
    if rules.looks_at_addresses() && config.http_proxy.is_empty() {
        // A proxy looks names up itself, so none that only the environment names.
        builder = builder.no_proxy().dns_resolver(Arc::new(Resolver { rules: Arc::new(rules) }));
    }
    if !config.http_ca_file.as_os_str().is_empty() {
        let wrong = |why: &str| {
            Error::new(
                Code::Generic,
                format!("http_ca_file \"{}\": {why}", config.http_ca_file.display()),
            )
        };
        let text = file::read(&config.http_ca_file, MAX_ROOTS_LEN);
        let (_, text) = text.map_err(|e| wrong(&format!("can't be read: {e}")))?;
        let roots = Certificate::from_pem_bundle(&text).map_err(|e| wrong(&reasons(&e)))?;
        if roots.is_empty() {
            return Err(wrong("there is no PEM certificate in it"));
        }
        builder = builder.tls_certs_only(roots);
    }
    Ok(builder)
}

/// Resolves names to addresses that may be asked. What it answers is what is connected to, so an
/// answer that changes between a look and a connection gets round nothing.
struct Resolver {
    rules: Arc<X5uRules>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = Arc::clone(&self.rules);
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let found = tokio::task::spawn_blocking(move || {
                (name.as_str(), 0).to_socket_addrs().map(Iterator::collect::<Vec<_>>)
            });
            let addresses = found.await??;
            // All of them must do: a name that has both kinds is not to be trusted with either.
            if let Some(why) = addresses.iter().find_map(|address| rules.refuses(address.ip())) {
                return Err(why.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Runs with all signals blocked, so that the threads it starts never take one: they are the
/// host's.
pub fn without_signals<T>(run: impl FnOnce() -> T) -> T {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let result = run();
    if let Ok(before) = before {
        // It was in force before, so it can be again.
        let _ = before.thread_set_mask();
    }
    result
}

/// An error with its causes: the outermost alone says only "error sending request".
pub fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
