//! Signing and checking over HTTP: as the stock service does, in text, and in JSON.

use super::app::{Answer, App, body, text};
use crate::commands::report_json;
use crate::source::Source;
use hyper::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stir::{Call, CheckOptions, Code, Error, PrivateKey, PublicKey, Report, Result};

/// `POST /v1/sign`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignRequest {
    orig: String,
    dest: String,
    attest: String,
    #[serde(default)]
    origid: String,
    #[serde(default)]
    x5u: String,
}

/// `POST /v1/verify`: one header field's value, or several.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VerifyRequest {
    #[serde(default)]
    identity: Option<String>,
    #[serde(default)]
    identities: Vec<String>,
}

impl VerifyRequest {
    fn all(&self) -> impl Iterator<Item = &str> {
        self.identity.iter().chain(&self.identities).map(String::as_str)
    }
}

/// `POST /v1/inspect`: a header field, or a SIP message.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InspectRequest {
    text: String,
}

impl App {
    /// `POST /v1/check`: the body is a header field's value; OK or FAILED.
    pub(super) fn check_text(&self, octets: &[u8]) -> Answer {
        let value = String::from_utf8_lossy(octets);
        let report = self.check([value.trim()]);
        match &report.result {
            Ok(()) => text(StatusCode::OK, "OK\n"),
            // The stock service's status, whatever the reason.
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "FAILED\n"),
        }
    }

    /// `POST /v1/sign-csv`: `OrigTN,DestTN,ATTEST,OrigID,X5U`.
    pub(super) fn sign_csv(&self, octets: &[u8]) -> Answer {
        let line = String::from_utf8_lossy(octets);
        let fields: Vec<_> = line.trim().splitn(5, ',').collect();
        let [orig, dest, attest, origid, x5u] = fields[..] else {
            let why =
                format!("there are {} fields, not OrigTN,DestTN,ATTEST,OrigID,X5U\n", fields.len());
            return text(StatusCode::BAD_REQUEST, &why);
        };
        match self.sign(&Call { orig, dest, attest, origid, x5u, ..Call::default() }) {
            Ok(identity) => text(StatusCode::OK, &format!("{identity}\n")),
            Err(e) => text(StatusCode::BAD_REQUEST, &format!("{e}\n")),
        }
    }

    pub(super) fn sign_json(&self, octets: &[u8]) -> Answer {
        let request: SignRequest = match parse(octets) {
            Ok(request) => request,
            Err(e) => return failed(StatusCode::BAD_REQUEST, &e),
        };
        let call = Call {
            orig: &request.orig,
            dest: &request.dest,
            attest: &request.attest,
            origid: &request.origid,
            x5u: &request.x5u,
            ..Call::default()
        };
        match self.sign(&call) {
            Ok(identity) => json_body(StatusCode::OK, &json!({"identity": identity})),
            Err(e) => failed(status(e.code()), &e),
        }
    }

    pub(super) fn verify_json(&self, octets: &[u8]) -> Answer {
        let request: VerifyRequest = match parse(octets) {
            Ok(request) => request,
            Err(e) => return failed(StatusCode::BAD_REQUEST, &e),
        };
        json_body(StatusCode::OK, &report_json(&self.check(request.all())))
    }

    pub(super) fn inspect_json(&self, octets: &[u8]) -> Answer {
        let request: InspectRequest = match parse(octets) {
            Ok(request) => request,
            Err(e) => return failed(StatusCode::BAD_REQUEST, &e),
        };
        let source = Source::parse(&request.text);
        let key = &self.settings.check.key;
        let key = Some(key.as_str()).filter(|key| !key.is_empty());
        let all = self.inspector.inspect(&source, key, stir::MAX_IDENTITIES);
        let left_out = source.identities().count() - all.len();
        json_body(StatusCode::OK, &json!({"identities": all, "left_out": left_out}))
    }

    /// Whether the check that a request asks for may have to wait for a certificate.
    pub(super) fn needs_download(&self, path: &str, octets: &[u8]) -> bool {
        let key = self.key();
        if path == "/v1/check" || !matches!(key, PublicKey::Info) {
            let value = String::from_utf8_lossy(octets);
            return self.verifier.needs_download([value.trim()], key);
        }
        // What is no request waits for nothing.
        parse::<VerifyRequest>(octets)
            .is_ok_and(|request| self.verifier.needs_download(request.all(), key))
    }

    fn sign(&self, call: &Call<'_>) -> Result<String> {
        let key = &self.settings.sign.key;
        if key.is_empty() {
            return Err(Error::new(Code::FileRead, "no private key is set (sign.key, -fprvkey)"));
        }
        let signed = self.signer.identity(call, PrivateKey::Path(key));
        match &signed {
            Ok(_) => self.metrics.signed(),
            Err(e) if status(e.code()).is_server_error() => log::error!("not signed: {e}"),
            Err(e) => log::info!("not signed: {e}"),
        }
        signed
    }

    fn key(&self) -> PublicKey<'_> {
        match self.settings.check.key.as_str() {
            "" => PublicKey::Info,
            location => PublicKey::Location(location),
        }
    }

    fn check<'a>(&self, identities: impl IntoIterator<Item = &'a str>) -> Report {
        let report = self.verifier.check(identities, self.key(), CheckOptions::default());
        self.metrics.check(report.code());
        match &report.result {
            Err(e) if self.is_ours(e.code()) => log::error!("not valid: {e}"),
            Err(e) => log::info!("not valid: {e}"),
            Ok(()) => {}
        }
        report
    }

    /// Whether the operator has to mend it, and not who signed the call.
    const fn is_ours(&self, code: Code) -> bool {
        match code {
            Code::FileRead
            | Code::CertProcessing
            | Code::CaFileMissing
            | Code::CaFileRead
            | Code::InterFileMissing
            | Code::InterFileRead
            | Code::CrlFileMissing
            | Code::CrlFileRead => true,
            Code::CertFormat | Code::CertNotEc => !self.settings.check.key.is_empty(),
            _ => false,
        }
    }
}

/// What the client can mend is its fault, a key is ours.
const fn status(code: Code) -> StatusCode {
    match code {
        Code::PayloadParse | Code::HeaderX5u => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn parse<T: DeserializeOwned>(octets: &[u8]) -> Result<T> {
    // By way of a map: serde would take an array for a struct.
    serde_json::from_slice::<serde_json::Map<_, _>>(octets)
        .and_then(|object| serde_json::from_value(Value::Object(object)))
        .map_err(|e| {
            Error::new(Code::Generic, format!("the body is not the JSON that is due: {e}"))
        })
}

/// An error as JSON.
pub fn failed(status: StatusCode, error: &Error) -> Answer {
    let error = json!({"code": error.code().value(), "message": error.message()});
    json_body(status, &json!({"error": error}))
}

pub(super) fn json_body(status: StatusCode, value: &Value) -> Answer {
    body(status, "application/json", format!("{value}\n"))
}
