//! Requests and answers without a connection.

use serde_json::{Value, json};

/// A request.
pub struct Ask {
    /// GET, HEAD or POST.
    pub method: String,
    /// Without the scheme and host.
    pub path: String,
    /// `Authorization`.
    pub authorization: String,
    /// All of it.
    pub body: Vec<u8>,
}

impl Ask {
    /// The body as JSON; null for anything else.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// An answer.
pub struct Reply {
    /// 200 and so on.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// All of it.
    pub body: Vec<u8>,
}

impl Reply {
    /// Something of a media type.
    pub fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type", kind.to_owned())], body: body.into() }
    }

    /// JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// A problem document of ACME (RFC 8555 §6.7).
    pub fn problem(status: u16, kind: &str, detail: &str) -> Self {
        Self::new(status, "application/problem+json", problem(kind, detail).to_string())
    }

    /// The same with a header field.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A problem document of ACME.
pub fn problem(kind: &str, detail: &str) -> Value {
    json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail })
}
