//! HTTPS with limits: one total timeout, no redirects, a bounded body.

use crate::secret::Secret;
use crate::wrong;
use reqwest::blocking::Client;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Url};
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use stir::fetch::{client_builder, reasons, without_signals};
use stir::{Code, Config, Error, Result};

/// Largest answer that is not a CRL, in bytes: North America's list of CAs has 40 KiB.
pub const MAX_ANSWER: usize = 1024 * 1024;
/// Largest CRL, in bytes: what the core reads (an entry with certificateIssuer takes 200 bytes).
pub const MAX_CRL: usize = 32 * 1024 * 1024;
/// Most characters of a server's text in a message: a problem document with subproblems has 500.
const MAX_SHOWN: usize = 4096;
/// Seconds for a request where the settings name none: a CA may sign with a slow device.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// How servers are reached.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Roots for HTTPS, PEM; empty for the system's.
    pub ca_file: PathBuf,
    /// Proxy URL; empty for none but the environment's.
    pub proxy: String,
    /// For a request as a whole.
    pub timeout: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { ca_file: PathBuf::new(), proxy: String::new(), timeout: TIMEOUT }
    }
}

/// An HTTP client.
pub struct Http {
    client: Client,
    timeout: Duration,
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// GET, HEAD or POST.
    pub method: Method,
    /// https://, or http:// to this machine.
    pub url: &'a str,
    /// Names and values.
    pub headers: &'a [(&'static str, &'a str)],
    /// The value of `Authorization`.
    pub authorization: Option<&'a Secret>,
    /// JSON, or empty.
    pub body: Vec<u8>,
    /// Most bytes of the answer.
    pub limit: usize,
}

impl<'a> Request<'a> {
    /// GET without anything.
    pub const fn get(url: &'a str) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: &[],
            authorization: None,
            body: Vec::new(),
            limit: MAX_ANSWER,
        }
    }
}

/// What a server answered, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 200 and so on.
    pub status: u16,
    /// Its header fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header field, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// How long the server asks to wait (RFC 9110 §10.2.3).
    pub fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let text = self.header(RETRY_AFTER.as_str())?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let then = httpdate::parse_http_date(text).ok()?;
        Some(then.duration_since(now).unwrap_or_default())
    }

    /// The body for a message: JSON as it is, any other text escaped.
    pub fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(json) => cut(&json.to_string()),
            Err(_) if text.trim().is_empty() => "an empty body".into(),
            Err(_) => format!("\"{}\"", cut(&text.trim().escape_debug().to_string())),
        }
    }
}

/// A server's text of bearable length.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

impl Http {
    /// Makes the client; opens no connection.
    ///
    /// # Errors
    /// [`Code::Generic`] for a proxy or roots that can't be used.
    pub fn new(settings: &HttpSettings) -> Result<Self> {
        let config = Config {
            http_ca_file: settings.ca_file.clone(),
            http_proxy: settings.proxy.clone(),
            ..Config::default()
        };
        let client = without_signals(|| {
            reqwest::blocking::ClientBuilder::from(client_builder(&config)?)
                .build()
                .map_err(|e| wrong(format!("the HTTP client can't start: {}", reasons(&e))))
        })?;
        Ok(Self { client, timeout: settings.timeout })
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// [`Code::HttpUrl`], [`Code::HttpGet`] without an answer in time, [`Code::HttpBody`] for one
    /// that is too long or breaks off.
    pub fn send(&self, request: &Request<'_>) -> Result<Answer> {
        let url = checked(request.url)?;
        let shown = request.url;
        let deadline = Instant::now() + self.timeout;
        let mut sent = self.client.request(request.method.clone(), url).timeout(self.timeout);
        for (name, value) in request.headers {
            sent = sent.header(*name, *value);
        }
        if let Some(secret) = request.authorization {
            let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| {
                wrong("the access token that the STI-PA gave is not a header value")
            })?;
            value.set_sensitive(true);
            sent = sent.header(reqwest::header::AUTHORIZATION, value);
        }
        if !request.body.is_empty() {
            sent = sent.body(request.body.clone());
        }
        let response = sent.send().map_err(|e| {
            let why = if e.is_timeout() {
                format!("no answer in {} s", self.timeout.as_secs())
            } else {
                reasons(&e)
            };
            Error::new(Code::HttpGet, format!("\"{shown}\" can't be reached: {why}"))
        })?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = read_body(response, request.limit, deadline)
            .map_err(|why| Error::new(Code::HttpBody, format!("\"{shown}\" {why}")))?;
        Ok(Answer { status, headers, body })
    }

    /// A GET that must be answered 200.
    ///
    /// # Errors
    /// As [`Http::send`], and [`Code::HttpStatus`].
    pub fn get(&self, url: &str, limit: usize) -> Result<Answer> {
        let answer = self.send(&Request { limit, ..Request::get(url) })?;
        if answer.status == 200 {
            return Ok(answer);
        }
        let (status, shown) = (answer.status, answer.shown());
        Err(Error::new(Code::HttpStatus, format!("\"{url}\" answers {status}, not 200: {shown}")))
    }
}

/// Passwords and tokens go to these URLs: https, or nothing but this machine.
///
/// # Errors
/// [`Code::HttpUrl`].
pub fn checked(url: &str) -> Result<Url> {
    let parsed = stir::fetch::parse_url(url)?;
    let refused = |why: &str| {
        Err(Error::new(Code::HttpUrl, format!("\"{}\" is not used: {why}", url.escape_debug())))
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(Error::new(
            Code::HttpUrl,
            "a URL with a user or password in it is not used: secrets belong in files",
        ));
    }
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if parsed.scheme() == "https" || loopback {
        return Ok(parsed);
    }
    refused("give an https:// URL; http:// is for this machine only")
}

fn read_body(mut body: impl Read, limit: usize, deadline: Instant) -> Result<Vec<u8>, String> {
    let mut read = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = body
            .read(&mut buffer)
            .map_err(|e| format!("breaks off after {} bytes: {e}", read.len()))?;
        if count == 0 {
            return Ok(read);
        }
        read.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if read.len() > limit {
            return Err(format!("answers more than {limit} bytes"));
        }
        if Instant::now() > deadline {
            return Err(format!("is not read in time: {} bytes came", read.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_encrypted_urls_are_used_and_no_message_repeats_a_password() {
        for url in
            ["https://ca.example/dir", "http://127.0.0.1:1/x", "http://[::1]/", "http://localhost/"]
        {
            checked(url).unwrap();
        }
        for url in
            ["http://ca.example/dir", "ftp://ca.example/", "ca.example", "https://u:hidden@h/"]
        {
            let error = checked(url).unwrap_err();
            assert!(!error.message().contains("hidden"), "{error}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let answer = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
            Answer { status: 503, headers, body: Vec::new() }.retry_after(at)
        };
        assert_eq!(answer("7"), Some(Duration::from_secs(7)));
        let date = httpdate::fmt_http_date(at + Duration::from_secs(60));
        assert_eq!(answer(&date), Some(Duration::from_secs(60)));
        assert_eq!(
            answer(&httpdate::fmt_http_date(at - Duration::from_secs(60))),
            Some(Duration::ZERO)
        );
        assert_eq!(answer("soon"), None);
    }
}
