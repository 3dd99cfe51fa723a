//! One download.

use crate::client::margin;
use crate::freshness::Freshness;
use crate::hosts::Names;
use crate::resolve::Resolver;
use crate::settings::{Settings, limits, wrong};
use http::{HeaderMap, StatusCode};
use reqwest::{Client, Response};
use std::sync::Arc;
use std::time::Duration;
use stir::fetch::{self, MAX_LEN, reasons};
use stir::{Code, Error, Result, X5uRules};

pub(crate) struct Downloads {
    client: Client,
    timeout: Duration,
}

/// What a server answered.
pub(crate) enum Answer {
    New(Vec<u8>, Freshness),
    NotModified(Freshness),
}

/// Why there is nothing.
pub(crate) struct Failure {
    pub error: Error,
    pub class: Class,
}

/// Kinds of failures that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Connect,
    Timeout,
    /// The server's own trouble (5xx).
    Server,
    Status,
    Body,
}

impl Class {
    /// Whether the server as a whole is in trouble, not just one URL of it: a caller may name any
    /// URL, and must not be able to have a good server left alone.
    pub(crate) const fn is_dead(self) -> bool {
        matches!(self, Self::Connect | Self::Timeout | Self::Server)
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
        };
        // From parse_url, so that every refusal is the core's own.
        let parsed =
            fetch::parse_url(url).map_err(|error| Failure { error, class: Class::Connect })?;
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
            let class = if status.is_server_error() { Class::Server } else { Class::Status };
            let why = format!("answers {status}, not 200 (redirects are not followed)");
            return Err(fail(class, Code::HttpStatus, why));
        }
        let freshness = Freshness::of(response.headers());
        let body = read(response).await.map_err(|why| fail(Class::Body, Code::HttpBody, why))?;
        Ok(Answer::New(body, freshness))
    }
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
