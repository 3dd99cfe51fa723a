//! The standard interface of signing and verification servers (ATIS-1000082).

use super::api::{self, json_body};
use super::app::{Answer, App};
use crate::source::Message;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use std::fmt::Display;
use stir::{Call, Code, DivCall, MAX_DEST, MAX_IDENTITIES, Report, Response, Step};
use uuid::Uuid;

/// Longest X-RequestID that is given back, in bytes: a UUID has 36.
const MAX_REQUEST_ID: usize = 128;
/// Its name.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-requestid");
const JSON: &str = "application/json";
/// Latest time in a request: JSON numbers are exact so far (RFC 8259 §6).
const MAX_TIME: i64 = 1 << 53;

/// Why a request is not answered: an exception of the standard.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// SVC4000
    NoBody,
    /// SVC4001, with the parameter.
    Missing(String),
    /// SVC4002, with the Accept header.
    Accept(String),
    /// SVC4003
    NoResource,
    /// SVC4004, with the Content-Type.
    ContentType(String),
    /// SVC4005, with the parameter and what is wrong with it.
    Invalid(String, String),
    /// SVC4006, with what is wrong.
    Unreadable(String),
    /// SVC4007
    NoLength,
    /// POL4050
    Method,
    /// POL5000
    Internal,
}

type Checked<T> = std::result::Result<T, Fault>;

fn invalid<T>(parameter: impl Into<String>, why: impl Display) -> Checked<T> {
    Err(Fault::Invalid(parameter.into(), why.to_string()))
}

impl Fault {
    /// As the client gets it.
    pub fn answer(self) -> Answer {
        let (status, id, text, variables) = match self {
            Self::NoBody => (400, "SVC4000", "The request has no body.", vec![]),
            Self::Missing(name) => (400, "SVC4001", "The parameter '%1' is missing.", vec![name]),
            Self::Accept(accept) => (
                406,
                "SVC4002",
                "The response type '%1' is not supported: application/json is.",
                vec![accept],
            ),
            Self::NoResource => (404, "SVC4003", "There is no such resource.", vec![]),
            Self::ContentType(found) => (
                415,
                "SVC4004",
                "The request type '%1' is not supported: application/json is.",
                vec![found],
            ),
            Self::Invalid(name, why) => {
                (400, "SVC4005", "The value of '%1' is invalid: %2.", vec![name, why])
            }
            Self::Unreadable(why) => (400, "SVC4006", "The body can't be parsed: %1.", vec![why]),
            Self::NoLength => (411, "SVC4007", "The Content-Length header is missing.", vec![]),
            Self::Method => (405, "POL4050", "The method is not allowed: POST is.", vec![]),
            Self::Internal => (500, "POL5000", "The server failed: its log says why.", vec![]),
        };
        let kind = if id.starts_with("SVC") { "serviceException" } else { "policyException" };
        let exception = json!({"messageId": id, "text": text, "variables": variables});
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = json_body(status, &json!({"requestError": {kind: exception}}));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        answer
    }
}

/// The identifier of a request: the client's, or a new one.
///
/// # Errors
/// One that is too long, or not visible ASCII.
pub fn request_id(headers: &HeaderMap) -> Checked<HeaderValue> {
    let mut given = headers.get_all(X_REQUEST_ID).iter();
    match (given.next(), given.next()) {
        (None, _) => {
            let new = HeaderValue::from_str(&Uuid::new_v4().to_string());
            new.map_err(|_| Fault::Internal)
        }
        (Some(one), None)
            if (1..=MAX_REQUEST_ID).contains(&one.len())
                && one.as_bytes().iter().all(u8::is_ascii_graphic) =>
        {
            Ok(one.clone())
        }
        (Some(_), None) => {
            invalid("X-RequestID", format!("it must be 1 to {MAX_REQUEST_ID} visible characters"))
        }
        (Some(_), Some(_)) => invalid("X-RequestID", "there is more than one"),
    }
}

/// Whether the headers are those of a request with a JSON body that takes a JSON answer.
///
/// # Errors
/// The first that is not.
pub fn check_headers(headers: &HeaderMap) -> Checked<()> {
    let text = |name| headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    if !headers.contains_key(header::CONTENT_LENGTH) {
        return Err(Fault::NoLength);
    }
    let found = text(header::CONTENT_TYPE).unwrap_or_default();
    if !media_type(&found).eq_ignore_ascii_case(JSON) {
        return Err(Fault::ContentType(found));
    }
    match text(header::ACCEPT) {
        Some(accept) if !accept.split(',').any(takes_json) => Err(Fault::Accept(accept)),
        _ => Ok(()),
    }
}

/// A type without its parameters.
fn media_type(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

/// Whether a range of Accept holds JSON (RFC 9110 §12.5.1).
fn takes_json(range: &str) -> bool {
    let refused = range.split(';').skip(1).any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("q") && value.trim().parse::<f32>() == Ok(0.0)
    });
    let named = |name: &&str| media_type(range).eq_ignore_ascii_case(name);
    !refused && [JSON, "application/*", "*/*"].iter().any(named)
}

/// A call to sign, or a diversion.
#[derive(Debug)]
pub struct Signing {
    orig: String,
    dest: Vec<String>,
    iat: Option<i64>,
    what: What,
}

#[derive(Debug)]
enum What {
    Call { attest: String, origid: String },
    Diversion { div: String, identities: Vec<String> },
}

/// A call to verify: once for each number that it may have been for.
#[derive(Debug)]
pub struct Verification(Vec<Message>);

impl Verification {
    /// The values of its Identity header fields.
    pub fn identities(&self) -> impl Iterator<Item = &str> {
        self.0.iter().take(1).flat_map(|message| &message.identities).map(String::as_str)
    }
}

impl App {
    /// Reads the body of `POST /stir/v1/signing`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn signing_request(&self, octets: &[u8]) -> Checked<Signing> {
        let request = request(octets, "signingRequest")?;
        let text = |name: &str| optional(&request, name, string).map(|text| text.cloned());
        let what = match optional(&request, "div", |value, name| self.party(value, name))? {
            Some(div) => {
                let identities = identities(&request)?;
                if identities.is_empty() {
                    return invalid("identities", "a diversion is signed beside the call's own");
                }
                What::Diversion { div, identities }
            }
            None => What::Call {
                attest: text("attest")?.ok_or_else(|| Fault::Missing("attest".into()))?,
                origid: text("origid")?.unwrap_or_default(),
            },
        };
        if let What::Call { attest, .. } = &what
            && !matches!(attest.as_str(), "A" | "B" | "C")
        {
            return invalid("attest", "it is not A, B or C");
        }
        let orig = self.party(required(&request, "orig")?, "orig")?;
        let dest = self.parties(required(&request, "dest")?, "dest")?;
        let iat = optional(&request, "iat", time)?;
        if let Some(iat) = iat {
            self.verifier.is_fresh(iat).or_else(|e| invalid("iat", e.message()))?;
        }
        Ok(Signing { orig, dest, iat, what })
    }

    pub(super) fn signing(&self, request: &Signing) -> Answer {
        let Signing { orig, dest, iat, what } = request;
        let dest = match dest.as_slice() {
            [one] => one.clone(),
            several => format!("list:{}", several.join(",")),
        };
        let signed = match what {
            What::Call { attest, origid } => {
                self.sign(&Call { orig, dest: &dest, attest, origid, ..Call::default() }, *iat)
            }
            What::Diversion { div, identities } => {
                let identities: Vec<&str> = identities.iter().map(String::as_str).collect();
                let identities = identities.as_slice();
                self.divert(&DivCall { orig, dest: &dest, div, identities, ..DivCall::default() })
            }
        };
        match signed {
            Ok(identity) => {
                json_body(StatusCode::OK, &json!({"signingResponse": {"identity": identity}}))
            }
            Err(e) if api::status(e.code()).is_client_error() && e.code() != Code::HeaderX5u => {
                Fault::Invalid("signingRequest".into(), e.message().to_owned()).answer()
            }
            // The x5u is a setting.
            Err(_) => Fault::Internal.answer(),
        }
    }

    /// Reads the body of `POST /stir/v1/verification`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn verification_request(&self, octets: &[u8]) -> Checked<Verification> {
        let request = request(octets, "verificationRequest")?;
        let from = in_brackets(self.party(required(&request, "from")?, "from")?);
        let to = self.parties(required(&request, "to")?, "to")?;
        // The service's clock says how old a token is: the client's may be off.
        optional(&request, "time", time)?;
        let identities = identities(&request)?;
        let messages = to.into_iter().map(|to| Message {
            identities: identities.clone(),
            asserted: vec![from.clone()],
            from: from.clone(),
            request_uri: uri(&to),
            to: in_brackets(to),
            call_id: None,
        });
        Ok(Verification(messages.collect()))
    }

    pub(super) fn verification(&self, request: &Verification) -> Answer {
        let mut report = None;
        for message in &request.0 {
            let one = report.insert(self.verify(message));
            if !matches!(one.step(), Some(Step::Dest | Step::Div)) {
                break;
            }
        }
        let Some(report) = report else { return Fault::Missing("to".into()).answer() };
        self.records.verified(&report);
        match verified(&report) {
            Some(response) => json_body(StatusCode::OK, &json!({"verificationResponse": response})),
            None => Fault::Internal.answer(),
        }
    }

    /// `{"tn": "…"}` or `{"uri": "…"}`.
    fn party(&self, value: &Value, name: &str) -> Checked<String> {
        let object = object(value, name)?;
        let member = |member: &str| {
            optional(object, member, string).map_err(|fault| fault.inside(name)).map(|v| v.cloned())
        };
        match (member("tn")?, member("uri")?) {
            (Some(tn), None) => self.number(&tn, &format!("{name}.tn")),
            (None, Some(uri)) => checked_uri(uri, &format!("{name}.uri")),
            (None, None) => Err(Fault::Missing(format!("{name}.tn"))),
            (Some(_), Some(_)) => invalid(name, "it has tn and uri"),
        }
    }

    /// `{"tn": ["…"], "uri": ["…"]}`, one of which is enough.
    fn parties(&self, value: &Value, name: &str) -> Checked<Vec<String>> {
        let object = object(value, name)?;
        let member =
            |member: &str| optional(object, member, strings).map_err(|fault| fault.inside(name));
        let (numbers, uris) = (member("tn")?, member("uri")?);
        if numbers.is_none() && uris.is_none() {
            return Err(Fault::Missing(format!("{name}.tn")));
        }
        let (numbers, uris) = (numbers.unwrap_or_default(), uris.unwrap_or_default());
        match numbers.len() + uris.len() {
            0 => return invalid(name, "it names nobody"),
            1..=MAX_DEST => {}
            many => return invalid(name, format!("it names {many} parties, more than {MAX_DEST}")),
        }
        let numbers = numbers.iter().map(|tn| self.number(tn, &format!("{name}.tn")));
        let uris = uris.into_iter().map(|uri| checked_uri(uri, &format!("{name}.uri")));
        numbers.chain(uris).collect()
    }

    /// A number as tokens have it (RFC 8225 §5.2.1.1), with the plus that keeps national rules from it.
    fn number(&self, text: &str, name: &str) -> Checked<String> {
        if text.contains(';') {
            return invalid(name, "it has parameters");
        }
        let global = format!("+{}", text.strip_prefix('+').unwrap_or(text));
        match self.numbering.canonical(&global) {
            Ok(number) => Ok(format!("+{number}")),
            Err(e) => invalid(name, e.message()),
        }
    }
}

impl Fault {
    /// With the object that the parameter stands in.
    fn inside(self, object: &str) -> Self {
        match self {
            Self::Invalid(name, why) => Self::Invalid(format!("{object}.{name}"), why),
            other => other,
        }
    }
}

/// What is answered of a report; `None` where the fault is on this side.
fn verified(report: &Report) -> Option<Value> {
    let verstat = report.verstat().value();
    let Err(error) = &report.result else { return Some(json!({"verstat": verstat})) };
    let response = report.response().filter(|response| *response != Response::InternalError)?;
    Some(json!({
        "verstat": verstat,
        "reasoncode": response.code(),
        "reasontext": response.phrase(),
        "reasondesc": error.message(),
    }))
}

/// The only member of the body's object.
fn request(octets: &[u8], name: &str) -> Checked<Map<String, Value>> {
    if octets.trim_ascii().is_empty() {
        return Err(Fault::NoBody);
    }
    let mut body: Map<String, Value> =
        serde_json::from_slice(octets).map_err(|e| Fault::Unreadable(e.to_string()))?;
    match body.remove(name) {
        Some(Value::Object(request)) => Ok(request),
        Some(_) => invalid(name, "it is not an object"),
        None => Err(Fault::Missing(name.into())),
    }
}

fn required<'a>(object: &'a Map<String, Value>, name: &str) -> Checked<&'a Value> {
    object.get(name).ok_or_else(|| Fault::Missing(name.into()))
}

fn optional<'a, T>(
    object: &'a Map<String, Value>,
    name: &str,
    read: impl Fn(&'a Value, &str) -> Checked<T>,
) -> Checked<Option<T>> {
    object.get(name).map(|value| read(value, name)).transpose()
}

fn object<'a>(value: &'a Value, name: &str) -> Checked<&'a Map<String, Value>> {
    value.as_object().map_or_else(|| invalid(name, "it is not an object"), Ok)
}

fn string<'a>(value: &'a Value, name: &str) -> Checked<&'a String> {
    match value {
        Value::String(text) => Ok(text),
        _ => invalid(name, "it is not a string"),
    }
}

fn strings(value: &Value, name: &str) -> Checked<Vec<String>> {
    match value {
        Value::Array(all) => all.iter().map(|one| string(one, name).cloned()).collect(),
        _ => invalid(name, "it is not an array of strings"),
    }
}

fn time(value: &Value, name: &str) -> Checked<i64> {
    // A number without a fraction is whole, however it is written.
    let whole = |number: &f64| number.fract() == 0.0 && *number < MAX_TIME as f64;
    #[allow(clippy::cast_possible_truncation, reason = "whole, and below MAX_TIME")]
    let written_with_point = || value.as_f64().filter(whole).map(|number| number as i64);
    match value.as_i64().or_else(written_with_point) {
        Some(time) if (1..=MAX_TIME).contains(&time) => Ok(time),
        _ => invalid(name, "it is not a positive whole number of seconds"),
    }
}

/// `identity`, or `identities` of later versions.
fn identities(request: &Map<String, Value>) -> Checked<Vec<String>> {
    let one = optional(request, "identity", string)?.cloned();
    let more = optional(request, "identities", strings)?;
    let all: Vec<String> = match (one, more) {
        (Some(one), None) => vec![one],
        (None, Some(all)) => all,
        (None, None) => return Err(Fault::Missing("identity".into())),
        (Some(_), Some(_)) => return invalid("identities", "identity is there too"),
    };
    if all.len() > MAX_IDENTITIES {
        return invalid("identities", format!("there are more than {MAX_IDENTITIES}"));
    }
    Ok(all)
}

fn checked_uri(text: String, name: &str) -> Checked<String> {
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | ',' | '\\');
    let known = ["sip:", "sips:", "tel:", "urn:"];
    let scheme = text.split_inclusive(':').next().unwrap_or_default().to_ascii_lowercase();
    if text.chars().all(fits) && known.contains(&scheme.as_str()) {
        Ok(text)
    } else {
        invalid(name, "it is not a sip:, sips:, tel: or urn: URI")
    }
}

/// A number or URI as a URI.
fn uri(party: &str) -> String {
    if party.contains(':') { party.to_owned() } else { format!("tel:{party}") }
}

fn in_brackets(party: String) -> String {
    format!("<{}>", uri(&party))
}
