//! One download.

use crate::client::margin;
use crate::freshness::Freshness;
use crate::hosts::Names;
use crate::resolve::Resolver;
use crate::settings::{Settings, limits, wrong};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use reqwest::{Client, Response};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use stir::fetch::{self, MAX_LEN, reasons};
use stir::{Code, Error, Result, X5uRules};

pub(crate) struct Downloads {
    client: Client,
    timeout: Duration,
}

/// What a server answered.
pub(crate) enum Answer {
    /// Body, freshness and Content-Type.
    New(Vec<u8>, Freshness, String),
    NotModified(Freshness),
}

/// Why there is nothing.
pub(crate) struct Failure {
    pub error: Error,
    pub class: Class,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// Kinds of failures that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Connect,
    Timeout,
    /// The server's own trouble (5xx), or ours with it (429): it may be over soon.
    Server,
    Status,
    Body,
}

impl Class {
    /// Whether it may be that the server as a whole is gone: it gave no answer at all. What it answers
    /// is one URL's, and a caller may name any.
    pub(crate) const fn is_dead(self) -> bool {
        matches!(self, Self::Connect | Self::Timeout)
    }
}

impl Downloads {
    pub(crate) fn new(settings: &Settings, known: Names) -> Result<Self> {
        let timeout = settings.timeout();
        let rules = settings.http.x5u_rules()?;
        let mut client = fetch::client_builder(&settings.http)?
            // Callers' time less what is needed to tell them why it was not enough.
            .timeout(timeout - 2 * margin(timeout))
            .connect_timeout(timeout / limits::CONNECT_SHARE);
        // With a proxy the names to look up are its own.
        let rules = if settings.http.http_proxy.is_empty() { rules } else { X5uRules::default() };
        client = client.dns_resolver(Arc::new(Resolver::new(known, rules)));
        let client = client
            .build()
            .map_err(|e| wrong(format!("the HTTP client can't start: {}", reasons(&e))))?;
        Ok(Self { client, timeout })
    }

    /// Asks for a URL, only for what is newer if a version of it is known.
    pub(crate) async fn get(
        &self,
        url: &str,
        known: Option<&Freshness>,
    ) -> Result<Answer, Failure> {
        let fail = |class, code, why: String| Failure {
            error: Error::new(code, format!("\"{url}\" {why}")),
            class,
            retry_after: None,
        };
        // From parse_url, so that every refusal is the core's own.
        let parsed = fetch::parse_url(url).map_err(|error| Failure {
            error,
            class: Class::Connect,
            retry_after: None,
        })?;
        let send = async |conditions: HeaderMap| {
            let request = self.client.get(parsed.clone()).headers(conditions);
            request.send().await.map_err(|e| {
                let (class, why) = if e.is_timeout() {
                    (Class::Timeout, format!("no answer in {} s", self.timeout.as_secs()))
                } else {
                    (Class::Connect, reasons(&e))
                };
                fail(class, Code::HttpGet, format!("can't be fetched: {why}"))
            })
        };
        let mut response = send(known.map_or_else(HeaderMap::new, Freshness::conditions)).await?;
        if response.status() == StatusCode::NOT_MODIFIED {
            if let Some(freshness) = known.and_then(|known| known.updated(response.headers())) {
                return Ok(Answer::NotModified(freshness));
            }
            // It speaks of a version that is not here: ask for the whole.
            response = send(HeaderMap::new()).await?;
        }
        let status = response.status();
        if status != StatusCode::OK {
            let busy = status == StatusCode::TOO_MANY_REQUESTS;
            let class =
                if busy || status.is_server_error() { Class::Server } else { Class::Status };
            let why = format!("answers {status}, not 200 (redirects are not followed)");
            let asks = busy || status == StatusCode::SERVICE_UNAVAILABLE;
            let retry_after = asks.then(|| retry_after(response.headers())).flatten();
            return Err(Failure { retry_after, ..fail(class, Code::HttpStatus, why) });
        }
        let headers = response.headers();
        let (freshness, content_type) = (Freshness::of(headers), fetch::content_type(headers));
        let body = match fetch::check_encoding(headers) {
            Ok(()) => read(response).await,
            Err(why) => Err(why),
        };
        let body = body.map_err(|why| fail(Class::Body, Code::HttpBody, why))?;
        Ok(Answer::New(body, freshness, content_type))
    }
}

/// How long a server asks to be left alone (RFC 9110 §10.2.3), at most
/// [`MAX_RETRY_AFTER`](limits::MAX_RETRY_AFTER).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let time = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = httpdate::parse_http_date(value).ok()?;
            // One that is over asks for nothing.
            at.duration_since(SystemTime::now()).unwrap_or_default()
        }
    };
    Some(time.min(limits::MAX_RETRY_AFTER)).filter(|time| !time.is_zero())
}

/// Reads up to [`MAX_LEN`] octets.
async fn read(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_LEN => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => return Err(format!("has more than {MAX_LEN} octets")),
            Ok(None) => return Ok(body),
            Err(e) if e.is_timeout() => {
                return Err(format!("is not read in time: {} octets came", body.len()));
            }
            Err(e) => {
                return Err(format!("breaks off after {} octets: {}", body.len(), reasons(&e)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use limits::MAX_RETRY_AFTER;

    #[test]
    fn servers_say_when_to_come_back() {
        let asked = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers)
        };
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(retry_after(&HeaderMap::new()), None);
        for (value, time) in [
            ("7", seconds(7)),
            (" 7 ", seconds(7)),
            ("0", None),
            ("-1", None),
            ("soon", None),
            ("86400", Some(MAX_RETRY_AFTER)),
            ("99999999999999999999", None),
            ("Wed, 21 Oct 2015 07:28:00 GMT", None),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(MAX_RETRY_AFTER)),
        ] {
            assert_eq!(asked(value), time, "{value:?}");
        }
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
        let time = asked(&date).unwrap();
        assert!(time > Duration::from_secs(50) && time <= Duration::from_secs(60), "{time:?}");
    }
}
