//! How long an answer counts (RFC 9111), and how to ask whether it still does.

use http::header::{
    AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES, HeaderName, HeaderValue, LAST_MODIFIED, PRAGMA,
};
use http::{HeaderMap, Request, Response};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};
use std::time::{Duration, SystemTime};

/// The headers that say how long an answer counts. Vary and Set-Cookie do not: each request is the
/// same, for the same public certificate.
const HEADERS: [HeaderName; 7] = [AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES, LAST_MODIFIED, PRAGMA];
/// Longest value that is kept, in octets: they stay in memory with the certificate.
const MAX_VALUE: usize = 256;
/// Most values of one header.
const MAX_VALUES: usize = 4;
/// Largest Age, in seconds (ten years): more is nonsense, and would overflow in the library.
const MAX_AGE: u64 = 315_360_000;

/// What an answer said of itself: copies of its headers, for as they came they hold on to the buffer
/// that the whole answer was read into. The library's form of them is made when it is needed.
#[derive(Clone)]
pub(crate) struct Freshness {
    headers: Box<[(HeaderName, Box<str>)]>,
    /// When it came.
    at: SystemTime,
}

impl Freshness {
    /// Of a 200 answer that has just come.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let headers = HEADERS.iter().flat_map(|name| {
            let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            values
                .filter(|value| value.len() <= MAX_VALUE)
                .take(MAX_VALUES)
                .map(|value| (name.clone(), value.into()))
        });
        Self { headers: headers.collect(), at: SystemTime::now() }
    }

    /// What it takes, in octets.
    pub(crate) fn size(&self) -> usize {
        self.headers
            .iter()
            .map(|(_, value)| value.len() + size_of::<(HeaderName, Box<str>)>())
            .sum()
    }

    fn policy(&self) -> CachePolicy {
        let options = CacheOptions {
            shared: true,
            // With no directive it is cache_min that counts, not a guess from Last-Modified.
            cache_heuristic: 0.0,
            ..CacheOptions::default()
        };
        CachePolicy::new_options(&request(), &self.response(200), self.at, options)
    }

    fn response(&self, status: u16) -> Response<()> {
        let mut response = Response::new(());
        if let Ok(status) = status.try_into() {
            *response.status_mut() = status;
        }
        for (name, value) in &self.headers {
            let value = if *name == AGE {
                Ok(HeaderValue::from(value.trim().parse().unwrap_or(0).min(MAX_AGE)))
            } else {
                HeaderValue::from_str(value)
            };
            if let Ok(value) = value {
                response.headers_mut().append(name, value);
            }
        }
        response
    }

    /// Seconds that it counts from now on; called when the answer has just come.
    pub(crate) fn seconds(&self) -> i64 {
        // The microseconds since it came are not to cost a second.
        let left = self.policy().time_to_live(SystemTime::now()).as_secs_f64().round();
        // Saturates.
        left as i64
    }

    /// Whether it may be used past its time when the server can't be had (§5.2.2.2).
    pub(crate) fn may_be_stale(&self) -> bool {
        // The library answers that for a request that takes stale answers.
        let mut request = request();
        request.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-stale"));
        let late = SystemTime::now() + Duration::from_secs(MAX_AGE);
        matches!(self.policy().before_request(&request, late), BeforeRequest::Fresh(_))
    }

    /// The headers that ask for it only if it has changed (§4.3.1); none without a validator.
    pub(crate) fn conditions(&self) -> HeaderMap {
        let mut request = request();
        request.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let mut headers = match self.policy().before_request(&request, SystemTime::now()) {
            BeforeRequest::Stale { request, .. } => request.headers,
            BeforeRequest::Fresh(_) => HeaderMap::new(),
        };
        headers.remove(CACHE_CONTROL);
        headers
    }

    /// What a 304 answer makes of it (§4.3.4); `None` if that speaks of another version.
    pub(crate) fn updated(&self, headers: &HeaderMap) -> Option<Self> {
        let answer = Self::of(headers).response(304);
        match self.policy().after_response(&request(), &answer, SystemTime::now()) {
            AfterResponse::NotModified(_, parts) => Some(Self::of(&parts.headers)),
            AfterResponse::Modified(..) => None,
        }
    }
}

/// The request as the library sees it: which one it is plays no part.
fn request() -> Request<()> {
    Request::new(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    #[test]
    fn lifetimes() {
        let most = u64::MAX.to_string();
        for (lines, seconds) in [
            (&[][..], 0),
            (&[("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT")], 0),
            (&[("cache-control", "max-age=100")], 100),
            (&[("cache-control", "max-age=100, s-maxage=50")], 50),
            (&[("cache-control", "max-age=100"), ("age", "30")], 70),
            (&[("cache-control", "max-age=100"), ("age", &most)], 0),
            (&[("cache-control", "max-age=100"), ("age", "x")], 100),
            (&[("cache-control", "no-store, max-age=100")], 0),
            (&[("cache-control", "private, max-age=100")], 0),
            (&[("cache-control", "no-cache")], 0),
            (&[("pragma", "no-cache")], 0),
            (&[("expires", "0")], 0),
            (
                &[
                    ("date", "Wed, 21 Oct 2015 07:28:00 GMT"),
                    ("expires", "Wed, 21 Oct 2015 07:29:00 GMT"),
                ],
                60,
            ),
            (&[("cache-control", "max-age=banana")], 0),
            (&[("cache-control", "max-age=99999999999999999999999")], 0),
        ] {
            let freshness = Freshness::of(&headers(lines));
            assert_eq!(freshness.seconds(), seconds, "{lines:?}");
            // Nothing that a server says may panic later on.
            freshness.conditions();
            freshness.may_be_stale();
            freshness.updated(&headers(lines));
        }
        let most = Freshness::of(&headers(&[("cache-control", &format!("max-age={most}"))]));
        assert!(most.seconds() > 1 << 40);
        most.may_be_stale();
    }

    #[test]
    fn conditions_and_what_becomes_of_them() {
        let first = Freshness::of(&headers(&[("etag", "\"a\""), ("cache-control", "max-age=1")]));
        let conditions = first.conditions();
        assert_eq!(conditions.get("if-none-match").unwrap(), "\"a\"");
        assert_eq!(conditions.len(), 1);
        let next = first
            .updated(&headers(&[("etag", "\"a\""), ("cache-control", "max-age=9")]))
            .expect("the same");
        assert_eq!(next.seconds(), 9);
        assert!(first.updated(&headers(&[("etag", "\"b\"")])).is_none());
        let dated = Freshness::of(&headers(&[("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT")]));
        assert!(dated.conditions().contains_key("if-modified-since"));
        assert!(Freshness::of(&HeaderMap::new()).conditions().is_empty());
    }

    #[test]
    fn must_revalidate_forbids_stale_answers() {
        let may = |value| Freshness::of(&headers(&[("cache-control", value)])).may_be_stale();
        assert!(may("max-age=1"));
        assert!(!may("max-age=1, must-revalidate"));
    }
}
