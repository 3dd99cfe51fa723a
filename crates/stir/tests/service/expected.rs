//! What comes of a case, in the words that a script sees. Written out, not derived from the code
//! under test.

use super::world::World;

/// A case: what it starts from, which passes, and the one thing that is changed.
pub struct Row {
    pub name: &'static str,
    pub base: fn() -> World,
    pub change: Box<dyn Fn(&mut World)>,
    pub expected: Expected,
    /// A part of the error's sentence.
    pub says: &'static str,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Expected {
    Passed { div: Vec<String>, rcd_nam: Option<String> },
    Refused(Refused),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub code: i32,
    pub response: u16,
    pub phrase: &'static str,
    pub verstat: &'static str,
    pub step: &'static str,
}

/// A case that fails.
pub fn bad(
    base: fn() -> World,
    name: &'static str,
    refused: Refused,
    change: impl Fn(&mut World) + 'static,
) -> Row {
    Row { name, base, change: Box::new(change), expected: Expected::Refused(refused), says: "" }
}

/// A case that passes.
pub fn good(base: fn() -> World, name: &'static str, change: impl Fn(&mut World) + 'static) -> Row {
    let expected = Expected::Passed { div: Vec::new(), rcd_nam: None };
    Row { name, base, change: Box::new(change), expected, says: "" }
}

impl Row {
    /// Numbers that it passes with as diverted from.
    pub fn div(mut self, numbers: &[&str]) -> Self {
        if let Expected::Passed { div, .. } = &mut self.expected {
            *div = numbers.iter().map(|&number| number.to_owned()).collect();
        }
        self
    }

    /// The name that it passes with.
    pub fn rcd_nam(mut self, name: &str) -> Self {
        if let Expected::Passed { rcd_nam, .. } = &mut self.expected {
            *rcd_nam = Some(name.to_owned());
        }
        self
    }

    /// What the error says, beside its code.
    pub fn says(mut self, part: &'static str) -> Self {
        self.says = part;
        self
    }
}

const fn nothing_known(
    code: i32,
    response: u16,
    phrase: &'static str,
    step: &'static str,
) -> Refused {
    Refused { code, response, phrase, verstat: "No-TN-Validation", step }
}

const fn failed(code: i32, response: u16, phrase: &'static str, step: &'static str) -> Refused {
    Refused { code, response, phrase, verstat: "TN-Validation-Failed", step }
}

const STALE: &str = "Stale Date";
const USE_IDENTITY: &str = "Use Identity Header";
const BAD_INFO: &str = "Bad Identity Info";
const UNSUPPORTED: &str = "Unsupported Credential";
const INVALID: &str = "Invalid Identity Header";
const INTERNAL: &str = "Server Internal Error";

/// Steps that come before anything is downloaded.
pub const BEFORE_FETCHING: &[&str] =
    &["missing", "identity", "jose", "claims", "freshness", "x5u", "orig", "dest"];

pub const NO_IDENTITY: Refused = nothing_known(-304, 428, USE_IDENTITY, "missing");
pub const NO_SHAKEN: Refused = nothing_known(-303, 428, USE_IDENTITY, "missing");
pub const SYNTAX: Refused = nothing_known(-301, 438, INVALID, "identity");
pub const PARAM_ALG: Refused = nothing_known(-302, 437, UNSUPPORTED, "identity");
pub const INFO: Refused = nothing_known(-305, 436, BAD_INFO, "identity");
pub const JOSE: Refused = nothing_known(-201, 438, INVALID, "jose");
pub const JOSE_ALG: Refused = nothing_known(-202, 437, UNSUPPORTED, "jose");
pub const JOSE_PPT: Refused = nothing_known(-203, 438, INVALID, "jose");
pub const JOSE_TYP: Refused = nothing_known(-204, 437, UNSUPPORTED, "jose");
pub const JOSE_X5U: Refused = nothing_known(-205, 436, BAD_INFO, "jose");
pub const CLAIMS: Refused = nothing_known(-231, 438, INVALID, "claims");
pub const IAT: Refused = nothing_known(-232, 403, STALE, "freshness");
pub const X5U: Refused = nothing_known(-401, 436, BAD_INFO, "x5u");
pub const HTTP_GET: Refused = nothing_known(-402, 436, BAD_INFO, "fetch");
pub const HTTP_STATUS: Refused = nothing_known(-403, 436, BAD_INFO, "fetch");
pub const HTTP_BODY: Refused = nothing_known(-404, 436, BAD_INFO, "fetch");
pub const NO_CERTIFICATE: Refused = nothing_known(-102, 437, UNSUPPORTED, "certificate");
pub const NOT_P256: Refused = nothing_known(-114, 437, UNSUPPORTED, "certificate");
pub const NOT_TRUSTED: Refused = failed(-101, 437, UNSUPPORTED, "chain");
pub const EXPIRED: Refused = failed(-103, 437, UNSUPPORTED, "chain");
pub const NOT_YET_VALID: Refused = failed(-104, 437, UNSUPPORTED, "chain");
pub const REVOKED: Refused = failed(-112, 437, UNSUPPORTED, "revocation");
pub const NO_ANCHORS: Refused = nothing_known(-105, 500, INTERNAL, "trust");
pub const ANCHORS_UNREADABLE: Refused = nothing_known(-107, 500, INTERNAL, "trust");
pub const CRL_UNUSABLE: Refused = nothing_known(-111, 500, INTERNAL, "trust");
pub const UNDETERMINED: Refused = nothing_known(-119, 437, UNSUPPORTED, "revocation");
pub const INTERMEDIATES_UNUSABLE: Refused = nothing_known(-109, 500, INTERNAL, "trust");
pub const PROFILE: Refused = nothing_known(-115, 437, UNSUPPORTED, "profile");
pub const AUTHORITY: Refused = nothing_known(-116, 437, UNSUPPORTED, "authority");
pub const CONSTRAINTS: Refused = nothing_known(-117, 437, UNSUPPORTED, "authority");
pub const SIGNATURE: Refused = failed(-251, 438, INVALID, "signature");
pub const SIGNATURE_SIZE: Refused = failed(-253, 438, INVALID, "signature");
pub const SIGNATURE_TEXT: Refused = failed(-255, 438, INVALID, "signature");
pub const ORIG: Refused = nothing_known(-501, 438, INVALID, "orig");
pub const DEST: Refused = nothing_known(-502, 438, INVALID, "dest");
pub const DIV: Refused = nothing_known(-503, 438, INVALID, "div");
