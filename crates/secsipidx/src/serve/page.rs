//! `GET /`: the status page. It is the same text for everybody and always: its script gets what it
//! shows from `/v1/status`, `/metrics` and `/v1/inspect`, and writes it as text.

use super::app::{Answer, body};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

const HTML: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// The document, and the policy under which a browser shows it.
struct Page {
    html: String,
    policy: String,
}

/// The page.
pub fn answer() -> Answer {
    static PAGE: OnceLock<Page> = OnceLock::new();
    let page = PAGE.get_or_init(Page::new);
    let mut answer = body(StatusCode::OK, "text/html; charset=utf-8", page.html.as_str());
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, page.policy.as_str()),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

impl Page {
    fn new() -> Self {
        let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
        Self {
            html: HTML.replace("{STYLE}", STYLE).replace("{SCRIPT}", SCRIPT),
            // Trusted types: the browser itself refuses text where it would become markup.
            policy: format!(
                "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
                hash(SCRIPT),
                hash(STYLE)
            ),
        }
    }
}
