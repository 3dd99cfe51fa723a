//! Signing and checking over HTTP: as the stock service does, in text, and in JSON.

use super::app::{Answer, App, body, text};
use crate::commands::report_json;
use crate::source::{Message, Source};
use hyper::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stir::{Call, Code, DivCall, Error, Policy, PrivateKey, PublicKey, Report, Result};

/// `POST /v1/sign`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignRequest {
    orig: String,
    dest: String,
    attest: String,
    #[serde(default)]
    origid: String,
    #[serde(default)]
    x5u: String,
}

/// `POST /v1/verify`: one header field's value, or several, and the call that they came with; values of
/// header fields as they were received.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct VerifyRequest {
    identity: Option<String>,
    identities: Vec<String>,
    from: String,
    asserted: Vec<String>,
    to: String,
    request_uri: String,
    call_id: Option<String>,
}

/// `POST /v1/inspect`: a header field, or a SIP message.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InspectRequest {
    text: String,
}

impl App {
    /// `POST /v1/check`: OK or FAILED.
    pub(super) fn check_text(&self, message: &Message) -> Answer {
        let report = self.verify(message);
        self.records.verified(&report);
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
        match self.sign(&Call { orig, dest, attest, origid, x5u, ..Call::default() }, None) {
            Ok(identity) => text(StatusCode::OK, &format!("{identity}\n")),
            Err(e) => text(StatusCode::BAD_REQUEST, &format!("{e}\n")),
        }
    }

    pub(super) fn sign_json(&self, request: &SignRequest) -> Answer {
        let call = Call {
            orig: &request.orig,
            dest: &request.dest,
            attest: &request.attest,
            origid: &request.origid,
            x5u: &request.x5u,
            ..Call::default()
        };
        match self.sign(&call, None) {
            Ok(identity) => json_body(StatusCode::OK, &json!({"identity": identity})),
            Err(e) => failed(status(e.code()), &e),
        }
    }

    pub(super) fn verify_json(&self, message: &Message) -> Answer {
        let report = self.verify(message);
        self.records.verified(&report);
        let mut shown = report_json(&report);
        if let Value::Object(shown) = &mut shown {
            shown.extend(self.call_json(&report));
        }
        json_body(StatusCode::OK, &shown)
    }

    /// What the module's variables say beside the verdict.
    fn call_json(&self, report: &Report) -> serde_json::Map<String, Value> {
        let sip = report.response().map(|response| {
            json!({
                "code": response.code(),
                "reason": response.phrase(),
                "reason_hdr": self.reason.value(report),
            })
        });
        let rcd = report.rcd.as_ref();
        let rcd = rcd.map(|rcd| json!({"nam": rcd.nam, "icn": rcd.icn, "jcl": rcd.jcl}));
        let members = [
            ("sip", json!(sip)),
            ("verstat", json!(report.verstat().value())),
            ("step", json!(report.step().map(stir::Step::name))),
            ("spc", json!(report.spc())),
            ("div", json!(report.div)),
            ("rcd", json!(rcd)),
        ];
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    pub(super) fn inspect_json(&self, request: &InspectRequest) -> Answer {
        let source = Source::parse(&request.text);
        let key = &self.settings.check.key;
        let key = Some(key.as_str()).filter(|key| !key.is_empty());
        let all = self.inspector.inspect(&source, key, stir::MAX_IDENTITIES);
        let left_out = source.identities().count() - all.len();
        json_body(StatusCode::OK, &json!({"identities": all, "left_out": left_out}))
    }

    /// Whether the check of these header fields may have to wait for a certificate.
    pub(super) fn needs_download<'a>(&self, identities: impl Iterator<Item = &'a str>) -> bool {
        self.verifier.needs_download(identities, self.key())
    }

    /// Signs a call, now or at a time that was found to be fresh.
    pub(super) fn sign(&self, call: &Call<'_>, iat: Option<i64>) -> Result<String> {
        let signed = self.signed(|key| match iat {
            Some(iat) => self.signer.identity_at(call, key, iat),
            None => self.signer.identity(call, key),
        });
        self.records.signed(&signed, [call.orig, call.dest, call.attest], &self.numbering);
        signed
    }

    /// Signs a diversion.
    pub(super) fn divert(&self, call: &DivCall<'_>) -> Result<String> {
        let signed = self.signed(|key| self.signer.div_identity(call, key));
        self.records.signed(&signed, [call.orig, call.dest, ""], &self.numbering);
        signed
    }

    fn signed(&self, sign: impl FnOnce(PrivateKey<'_>) -> Result<String>) -> Result<String> {
        let key = &self.settings.sign.key;
        if key.is_empty() {
            return Err(Error::new(Code::FileRead, "no private key is set (sign.key, -fprvkey)"));
        }
        let signed = sign(PrivateKey::Path(key));
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

    /// Judges a call by the settings' policy. What the request says of the call is compared under policy
    /// compat too, which the module's does not: nobody names it for nothing.
    pub(super) fn verify(&self, message: &Message) -> Report {
        let call = message.call();
        let mut report = self.verifier.check_call(&call, self.key());
        if self.verifier.policy() == Policy::Compat
            && report.result.is_ok()
            && let Some(claims) = &report.claims
        {
            let [caller, called] = self.verifier.compare(claims, &call);
            let caller = if message.names_caller() { caller } else { Ok(()) };
            let called = if message.names_called() { called } else { Ok(()) };
            report.result = caller.and(called);
        }
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
pub(super) const fn status(code: Code) -> StatusCode {
    match code {
        Code::PayloadParse | Code::HeaderX5u | Code::DivChain => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The header field's value that is the whole body.
pub(super) fn check_request(octets: &[u8]) -> Message {
    let value = String::from_utf8_lossy(octets);
    let value = crate::input::unmarked(&value).trim().to_owned();
    Message { identities: vec![value], ..Message::default() }
}

/// The call of a body of `/v1/verify`.
///
/// # Errors
/// It is not what is due.
pub(super) fn verify_request(octets: &[u8]) -> Result<Message> {
    let VerifyRequest { identity, identities, from, asserted, to, request_uri, call_id } =
        parse(octets)?;
    let identities = identity.into_iter().chain(identities).collect();
    Ok(Message { identities, asserted, from, to, request_uri, call_id })
}

pub(super) fn parse<T: DeserializeOwned>(octets: &[u8]) -> Result<T> {
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
