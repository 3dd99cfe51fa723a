//! Everything about an Identity header field that can be said: its parts, its certificates, and
//! each rule with what came of it. The rules and the verdict are the core's, which the module asks too:
//! under policy shaken the verdict is [`Verifier::check_call`]'s on the whole message, under compat
//! [`Verifier::check`]'s on the token, and whether it is of the call that it came with.

pub mod cert;
pub mod text;

use crate::source::{Message, Source};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cert::{CertView, utc};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use stir::authority::TnAuthList;
use stir::fetch::is_url;
use stir::identity::Identity;
use stir::key::{Credential, SIGNATURE_LEN};
use stir::passport::{Claims, JoseHeader};
use stir::trust::Trust;
use stir::{
    CheckOptions, Checked, Clock, Error, Policy, Ppt, PublicKey, Report, Result, SystemClock,
    Verifier,
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
    config: Checked,
    verifier: Arc<Verifier>,
    trust: Trust,
    clock: Arc<dyn Clock>,
}

impl Inspector {
    /// With these settings.
    pub fn new(config: &Checked, verifier: Arc<Verifier>) -> Self {
        let (config, trust) = (config.clone(), Trust::new(config));
        Self { config, verifier, trust, clock: Arc::new(SystemClock) }
    }

    /// The header fields of a source, at most so many of them.
    pub fn inspect(&self, source: &Source, key: Option<&str>, most: usize) -> Vec<Inspection> {
        let mut all = Vec::new();
        for message in &source.0 {
            if all.len() == most {
                break;
            }
            let location = key.map_or(PublicKey::Info, PublicKey::Location);
            let shaken = self.verifier.policy() == Policy::Shaken;
            let whole = shaken.then(|| self.verifier.check_call(&message.call(), location));
            let left = most - all.len();
            all.extend(message.identities.iter().take(left).map(|value| {
                let alone =
                    || self.verifier.check([value.as_str()], location, CheckOptions::default());
                self.one(value, message, key, &whole.clone().unwrap_or_else(alone))
            }));
        }
        all
    }

    fn one(
        &self,
        value: &str,
        message: &Message,
        key: Option<&str>,
        report: &Report,
    ) -> Inspection {
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
            Ok(identity) => self.parts(&identity, message, key, &mut inspection, &mut rules),
            Err(e) => rules.fail("form: token;info=<URL>", &e),
        }
        inspection.rules = rules.0;
        inspection
    }

    fn parts(
        &self,
        identity: &Identity<'_>,
        message: &Message,
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
        let header = JoseHeader::parse(identity.header);
        // Policy compat knows no other.
        let ppt = match &header {
            Ok(header) if self.verifier.policy() == Policy::Shaken => Ppt::named(&header.ppt),
            _ => None,
        }
        .unwrap_or(Ppt::Shaken);
        match params {
            Some(params) => {
                if ppt == Ppt::Shaken {
                    rules.add("parameters: ES256, shaken", params.check().map(|()| String::new()));
                }
                rules.add("parameter info", params.info().map(ToOwned::to_owned));
            }
            None => rules.skip("parameters", "there are none"),
        }
        match header {
            Ok(header) => {
                rules.add(
                    "JOSE header: ES256, passport, shaken",
                    header.check_as(ppt).map(|()| ppt.name().to_owned()),
                );
                let same = params.and_then(|p| p.info) == Some(header.x5u.as_str());
                rules.is("x5u is info", same, &header.x5u);
            }
            Err(e) => rules.fail("JOSE header", &e),
        }
        match Claims::parse_as(ppt, identity.payload) {
            Ok(claims) => {
                rules.pass("claims: attest, orig, dest, iat, origid", "");
                inspection.signed_at = Some(utc(claims.iat));
                let age = self.clock.now().saturating_sub(claims.iat);
                let fresh = self.verifier.is_fresh(claims.iat);
                let text = || {
                    format!("{}, {age} s ago; at most {}", utc(claims.iat), self.config.expire())
                };
                rules.add("iat is fresh", fresh.map(|()| text()));
                let parties = self.parties(&claims, ppt, message, rules);
                // Policy shaken has compared them.
                if inspection.verdict.valid && self.verifier.policy() == Policy::Compat {
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

    /// Compares the claims with the message they came in, as far as it says something of them.
    fn parties(
        &self,
        claims: &Claims,
        ppt: Ppt,
        message: &Message,
        rules: &mut Rules,
    ) -> Result<()> {
        let [caller, called] = self.verifier.compare(claims, &message.call());
        let (orig, dest) = ("orig is the caller", "dest is the called number");
        let mut result = Ok(());
        if message.names_caller() {
            rules.add(orig, caller.clone().map(|()| claims.orig.clone()));
            result = caller;
        }
        if ppt != Ppt::Shaken || (self.verifier.policy() == Policy::Shaken && is_diverted(message))
        {
            rules.skip(dest, "the call was diverted, or this token is not the call's own");
        } else if message.names_called() {
            rules.add(dest, called.clone().map(|()| claims.dest.join(", ")));
            result = result.and(called);
        }
        result
    }

    /// From the operator's path or URL. What a header names is never a path, and is asked only if
    /// a check would ask it.
    fn credential(&self, key: Option<&str>, info: &str) -> Result<Credential> {
        let text = match key {
            None => {
                self.config.x5u_rules().check(info)?;
                self.verifier.get_url(info)?
            }
            Some(url) if is_url(url) => self.verifier.get_url(url)?,
            Some(path) => return credential_of_file(path),
        };
        Credential::from_pem(&text)
    }

    fn chain(&self, credential: &Credential, inspection: &mut Inspection, rules: &mut Rules) {
        let now = self.clock.now();
        let Some(chain) = &credential.chain else {
            return rules.skip("certificate", "it is a bare public key");
        };
        let all = std::iter::once(chain.leaf()).chain(chain.rest());
        inspection.certificates = all.map(|certificate| CertView::new(certificate, now)).collect();
        let Some(leaf) = inspection.certificates.first() else { return };
        let time = format!("{} to {}", leaf.not_before, leaf.not_after);
        rules.is("certificate is in time", leaf.in_time, &time);
        let list = leaf.tn_auth_list.as_ref().map(|list| list.join(", ")).unwrap_or_default();
        match TnAuthList::of(chain.leaf()) {
            Ok(found) => rules.is("certificate has a TNAuthList", found.is_some(), &list),
            Err(e) => rules.fail("certificate has a TNAuthList", &e),
        }
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
/// The file cannot be read, or holds neither a key nor a certificate.
pub fn credential_of_file(path: &str) -> Result<Credential> {
    let path = path.strip_prefix("file://").unwrap_or(path);
    // Standard input is no key that can be read twice: a check takes it for a file's name, too.
    let file = if path == "-" { "./-" } else { path };
    Credential::from_pem(crate::input::read_regular(file)?.as_bytes())
        .map_err(|e| Error::new(e.code(), format!("file \"{path}\": {}", e.message())))
}

/// Whether a diversion is among its header fields (RFC 8946).
fn is_diverted(message: &Message) -> bool {
    message.identities.iter().any(|value| {
        let header = Identity::parse(value).and_then(|identity| JoseHeader::parse(identity.header));
        header.is_ok_and(|header| header.ppt == Ppt::Div.name())
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use stir::{Fetch, Fetched, Numbering};

    /// When the inputs were signed.
    struct Then;

    impl Clock for Then {
        fn now(&self) -> i64 {
            1_795_806_000
        }
    }

    struct Nowhere;

    impl Fetch for Nowhere {
        fn fetch(&self, url: &str) -> Result<Fetched> {
            panic!("{url} is downloaded")
        }
    }

    fn field(name: &str) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/field");
        folder.join(name).display().to_string()
    }

    fn inspect(input: &str, key: &str, config: &Checked) -> Vec<Inspection> {
        let verifier = Verifier::with(config, Arc::new(Then), Box::new(Nowhere));
        let inspector =
            Inspector { clock: Arc::new(Then), ..Inspector::new(config, verifier.into()) };
        let source = Source::read(&field(input)).unwrap();
        inspector.inspect(&source, Some(&field(key)), usize::MAX)
    }

    fn configs(country_code: &str) -> [Checked; 2] {
        let numbering = Numbering { country_code: country_code.into(), ..Numbering::default() };
        let compat = stir::Config { numbering, ..Default::default() };
        let policy = Policy::Shaken;
        let trust_anchors = field("lab-leaf.pem").into();
        [compat.clone(), stir::Config { policy, trust_anchors, ..compat }]
            .map(|c| c.build().unwrap())
    }

    #[test]
    fn inputs_of_the_field_are_judged_as_the_module_judges_them() {
        for (input, country_code, [compat, shaken]) in [
            ("inspect-to-another.sip", "", [1, 1]),
            ("inspect-pai-two-values.sip", "", [1, 1]),
            ("inspect-to-national.sip", "1", [1, 1]),
            ("inspect-latin1.sip", "", [1, 1]),
            // Without a message there is no caller to compare with.
            ("inspect-bom.txt", "", [1, -501]),
        ] {
            for (config, expected) in configs(country_code).iter().zip([compat, shaken]) {
                let [found] = &inspect(input, "lab-leaf.pem", config)[..] else {
                    panic!("{input}")
                };
                let verdict = &found.verdict;
                assert_eq!(verdict.code, expected, "{input} {:?}: {verdict:?}", config.policy);
                let failed: Vec<_> =
                    found.rules.iter().filter(|rule| rule.outcome == Outcome::Fail).collect();
                assert!(failed.is_empty(), "{input} {:?}: {failed:?}", config.policy);
            }
        }
    }

    #[test]
    fn a_certificate_whose_tn_auth_list_makes_no_sense_fails_its_rule() {
        let [config, _] = configs("");
        let found = inspect("inspect-latin1.sip", "inspect-tnauthlist-truncated.pem", &config);
        let rule = found[0].rules.iter().find(|rule| rule.rule.contains("TNAuthList")).unwrap();
        assert!(rule.outcome == Outcome::Fail && rule.text.contains("(-116)"), "{rule:?}");
    }

    #[test]
    fn a_capture_that_is_not_text_says_what_to_do() {
        for magic in [&b"\xd4\xc3\xb2\xa1\x02\0"[..], b"\x0a\x0d\x0d\x0a\0"] {
            let path = std::env::temp_dir().join(format!("secsipidx-pcap-{}", std::process::id()));
            std::fs::write(&path, magic).unwrap();
            let error = Source::read(&path.display().to_string()).unwrap_err();
            std::fs::remove_file(path).unwrap();
            assert!(error.message().contains("tcpdump -A -r"), "{error}");
        }
    }
}
