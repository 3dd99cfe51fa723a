//! Everything about an Identity header field that can be said: its parts, its certificates, and
//! each rule with what came of it. The verdict is [`Verifier`]'s on the token, and whether it is of
//! the call that it came with; the rules show the way there.

pub mod cert;
pub mod text;

use crate::source::{Found, Source};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cert::{CertView, utc};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use stir::fetch::is_url;
use stir::identity::Identity;
use stir::key::{Credential, SIGNATURE_LEN};
use stir::passport::{Claims, JoseHeader};
use stir::trust::Trust;
use stir::{
    CheckOptions, Clock, Code, Config, Error, PublicKey, Result, SystemClock, Verifier, party,
};

/// The codes of downloads ([`stir::Code`]).
const HTTP_CODES: std::ops::RangeInclusive<i32> = -404..=-401;

/// What came of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// It could not, or was not to be, looked at.
    Skip,
}

/// One rule.
#[derive(Clone, Debug, Serialize)]
pub struct Rule {
    /// In a few words.
    pub rule: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// Why, or with which value.
    pub text: String,
}

/// The verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Whether the call is who it says it is.
    pub valid: bool,
    /// 1, or the stock stack's negative code.
    pub code: i32,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Verdict {
    /// Of a check.
    pub fn new(result: &Result<()>) -> Self {
        match result {
            Ok(()) => Self { valid: true, code: 1, reason: None },
            Err(e) => {
                Self { valid: false, code: e.code().value(), reason: Some(e.message().to_owned()) }
            }
        }
    }
}

/// One Identity header field.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The JOSE header, decoded.
    pub header: Value,
    /// The payload, decoded.
    pub payload: Value,
    /// Octets of the signature.
    pub signature_len: usize,
    /// Parameter `info`.
    pub info: Option<String>,
    /// Parameter `alg`.
    pub alg: Option<String>,
    /// Parameter `ppt`.
    pub ppt: Option<String>,
    /// When it was signed, UTC.
    pub signed_at: Option<String>,
    /// The signer's certificate and what came with it.
    pub certificates: Vec<CertView>,
    /// In the order of checking.
    pub rules: Vec<Rule>,
    /// All in all.
    pub verdict: Verdict,
}

/// Looks at Identity header fields with one set of settings.
pub struct Inspector {
    config: Config,
    verifier: Arc<Verifier>,
    trust: Trust,
}

impl Inspector {
    /// With these settings.
    pub fn new(config: &Config, verifier: Arc<Verifier>) -> Self {
        Self { config: config.clone(), verifier, trust: Trust::new(config) }
    }

    /// The header fields of a source, at most so many of them.
    pub fn inspect(&self, source: &Source, key: Option<&str>, most: usize) -> Vec<Inspection> {
        source.0.iter().take(most).map(|found| self.one(found, key)).collect()
    }

    fn one(&self, found: &Found, key: Option<&str>) -> Inspection {
        let value = found.identity.as_str();
        let location = key.map_or(PublicKey::Info, PublicKey::Location);
        let report = self.verifier.check([value], location, CheckOptions::default());
        let mut inspection = Inspection {
            header: Value::Null,
            payload: Value::Null,
            signature_len: 0,
            info: None,
            alg: None,
            ppt: None,
            signed_at: None,
            certificates: Vec::new(),
            rules: Vec::new(),
            verdict: Verdict::new(&report.result),
        };
        let mut rules = Rules(Vec::new());
        match Identity::parse(value) {
            Ok(identity) => self.parts(&identity, found, key, &mut inspection, &mut rules),
            Err(e) => rules.fail("form: token;info=<URL>", &e),
        }
        inspection.rules = rules.0;
        inspection
    }

    fn parts(
        &self,
        identity: &Identity<'_>,
        found: &Found,
        key: Option<&str>,
        inspection: &mut Inspection,
        rules: &mut Rules,
    ) {
        rules.pass("form: token;info=<URL>", "three parts");
        let params = identity.params.as_ref();
        let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
        inspection.header = decoded(identity.header);
        inspection.payload = decoded(identity.payload);
        inspection.info = owned(params.and_then(|p| p.info));
        inspection.alg = owned(params.and_then(|p| p.alg));
        inspection.ppt = owned(params.and_then(|p| p.ppt));
        match params {
            Some(params) => {
                rules.add("parameters: ES256, shaken", params.check().map(|()| String::new()));
                rules.add("parameter info", params.info().map(ToOwned::to_owned));
            }
            None => rules.skip("parameters", "there are none"),
        }
        match JoseHeader::parse(identity.header) {
            Ok(header) => {
                rules.add(
                    "JOSE header: ES256, passport, shaken",
                    header.check().map(|()| String::new()),
                );
                let same = params.and_then(|p| p.info) == Some(header.x5u.as_str());
                rules.is("x5u is info", same, &header.x5u);
            }
            Err(e) => rules.fail("JOSE header", &e),
        }
        match Claims::parse(identity.payload) {
            Ok(claims) => {
                rules.pass("claims: attest, orig, dest, iat, origid", "");
                inspection.signed_at = Some(utc(claims.iat));
                self.freshness(claims.iat, rules);
                let parties = parties(&claims, found, rules);
                if inspection.verdict.valid {
                    inspection.verdict = Verdict::new(&parties);
                }
            }
            Err(e) => rules.fail("claims: attest, orig, dest, iat, origid", &e),
        }
        let signature = URL_SAFE_NO_PAD.decode(identity.signature).unwrap_or_default();
        inspection.signature_len = signature.len();
        rules.is(
            "signature: 64 octets of base64url",
            signature.len() == SIGNATURE_LEN,
            &format!("{} octets", signature.len()),
        );
        // The verdict's download failed already: another would only wait as long again.
        if key.is_none() && HTTP_CODES.contains(&inspection.verdict.code) {
            let why = inspection.verdict.reason.clone().unwrap_or_default();
            rules.is("certificate can be had", false, &why);
            return rules.skip("signature verifies", "there is no key");
        }
        let info = inspection.info.as_deref().unwrap_or_default();
        let location = key.unwrap_or(info).to_owned();
        let credential = match self.credential(key, info) {
            Ok(credential) => credential,
            Err(e) => {
                rules.fail("certificate can be had", &e);
                return rules.skip("signature verifies", "there is no key");
            }
        };
        rules.pass("certificate can be had", &location);
        self.chain(&credential, inspection, rules);
        if let Ok(signature) = <&[u8; SIGNATURE_LEN]>::try_from(signature.as_slice()) {
            let verifies = credential.key.verify(identity.signed.as_bytes(), signature);
            rules.is("signature verifies", verifies, "ES256");
        }
    }

    fn freshness(&self, iat: i64, rules: &mut Rules) {
        let age = SystemClock.now().saturating_sub(iat);
        let fresh = age <= self.config.expire().into() && age >= -i64::from(self.config.clock_skew);
        let text = format!("{}, {age} s ago; at most {}", utc(iat), self.config.expire());
        rules.is("iat is fresh", fresh, &text);
    }

    /// From the operator's path or URL. What a header names is never a path, and is asked only if
    /// a check would ask it.
    fn credential(&self, key: Option<&str>, info: &str) -> Result<Credential> {
        let text = match key {
            None => {
                self.config.x5u_rules()?.check(info)?;
                self.verifier.get_url(info)?
            }
            Some(url) if is_url(url) => self.verifier.get_url(url)?,
            Some(path) => return credential_of_file(path),
        };
        Credential::from_pem(&text)
    }

    fn chain(&self, credential: &Credential, inspection: &mut Inspection, rules: &mut Rules) {
        let now = SystemClock.now();
        let Some(chain) = &credential.chain else {
            return rules.skip("certificate", "it is a bare public key");
        };
        let all = std::iter::once(chain.leaf()).chain(chain.rest());
        inspection.certificates = all.map(|certificate| CertView::new(certificate, now)).collect();
        let Some(leaf) = inspection.certificates.first() else { return };
        let time = format!("{} to {}", leaf.not_before, leaf.not_after);
        rules.is("certificate is in time", leaf.in_time, &time);
        rules.is(
            "certificate has a TNAuthList",
            leaf.tn_auth_list.is_some(),
            &leaf.tn_auth_list.as_ref().map(|list| list.join(", ")).unwrap_or_default(),
        );
        if self.config.cert_verify.bits() == 0 {
            rules.skip("chain leads to a trust anchor", "no anchors are given");
        } else {
            let until = self.trust.verify(chain, now).map(|until| format!("until {}", utc(until)));
            rules.add("chain leads to a trust anchor", until);
        }
    }
}

/// The key or certificate of a path, or of a `file://` URL.
///
/// # Errors
/// [`Code::FileRead`]; what is in the file is neither.
pub fn credential_of_file(path: &str) -> Result<Credential> {
    let path = path.strip_prefix("file://").unwrap_or(path);
    // Standard input is no key that can be read twice: a check takes it for a file's name, too.
    let file = if path == "-" { "./-" } else { path };
    Credential::from_pem(crate::input::read_regular(file)?.as_bytes())
        .map_err(|e| Error::new(e.code(), format!("file \"{path}\": {}", e.message())))
}

/// Compares the claims with the message they came in.
fn parties(claims: &Claims, found: &Found, rules: &mut Rules) -> Result<()> {
    let mut result = Ok(());
    let mut compare = |rule: &'static str, code, token: &[String], message: &Option<String>| {
        let Some(message) = message else { return };
        let same = token.iter().any(|party| party::same(party, message));
        let text = format!("{} and {message}", token.join(", "));
        rules.is(rule, same, &text);
        if !same && result.is_ok() {
            result = Err(Error::new(code, format!("{rule}: {text}")));
        }
    };
    let orig = std::slice::from_ref(&claims.orig);
    let rule = "orig is who P-Asserted-Identity or From says";
    compare(rule, Code::OrigMismatch, orig, &found.caller);
    compare("dest is who To says", Code::DestMismatch, &claims.dest, &found.called);
    result
}

/// A part of the token as JSON, as text where it is none.
fn decoded(part: &str) -> Value {
    let Ok(octets) = URL_SAFE_NO_PAD.decode(part) else { return Value::Null };
    serde_json::from_slice(&octets)
        .unwrap_or_else(|_| String::from_utf8_lossy(&octets).into_owned().into())
}

struct Rules(Vec<Rule>);

impl Rules {
    fn push(&mut self, rule: &'static str, outcome: Outcome, text: &str) {
        self.0.push(Rule { rule, outcome, text: text.to_owned() });
    }

    fn pass(&mut self, rule: &'static str, text: &str) {
        self.push(rule, Outcome::Pass, text);
    }

    fn skip(&mut self, rule: &'static str, text: &str) {
        self.push(rule, Outcome::Skip, text);
    }

    fn fail(&mut self, rule: &'static str, error: &Error) {
        self.push(rule, Outcome::Fail, &error.to_string());
    }

    fn is(&mut self, rule: &'static str, holds: bool, text: &str) {
        self.push(rule, if holds { Outcome::Pass } else { Outcome::Fail }, text);
    }

    fn add(&mut self, rule: &'static str, result: Result<String>) {
        match result {
            Ok(text) => self.pass(rule, &text),
            Err(e) => self.fail(rule, &e),
        }
    }
}
