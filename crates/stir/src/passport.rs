//! The PASSporT (RFC 8225) of SHAKEN (RFC 8588): its JOSE header, its claims, its text.

use crate::error::{Code, Error, Result};
use crate::rich::Rcd;
use crate::{json, rich, tn};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// The only algorithm there is (RFC 8225 §4.2): never taken from a token.
pub(crate) const ALG: &str = "ES256";
/// The only type there is (RFC 8225 §4.1).
pub(crate) const TYP: &str = "passport";
/// The PASSporT extension of a call's own token (RFC 8588).
pub(crate) const PPT: &str = "shaken";

/// Most parties in a token's `dest`: a call has one, and those of diversions are compared with each
/// other before any signature is.
pub(crate) const MAX_DEST: usize = 64;

/// The PASSporT extensions that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ppt {
    /// None: a base PASSporT (RFC 8225), which has neither attestation nor origid.
    Base,
    /// The call itself (RFC 8588).
    Shaken,
    /// A diversion (RFC 8946).
    Div,
    /// What is known of the caller beside the number (RFC 9795).
    Rcd,
    /// Resource priority (RFC 8443).
    Rph,
}

impl Ppt {
    /// By its name; `None` for one that is not supported.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "shaken" => Some(Self::Shaken),
            "div" => Some(Self::Div),
            "rcd" => Some(Self::Rcd),
            "rph" => Some(Self::Rph),
            _ => None,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "",
            Self::Shaken => PPT,
            Self::Div => "div",
            Self::Rcd => "rcd",
            Self::Rph => "rph",
        }
    }
}

/// base64url without padding, as JWS writes it (RFC 7515 §2); refuses padding, whitespace and
/// trailing bits.
pub(crate) fn decode(part: &str, code: Code, what: &str) -> Result<Vec<u8>> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|e| Error::new(code, format!("the {what} is no base64url without padding: {e}")))
}

pub(crate) fn encode(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// What a JOSE header says; a member that is missing is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoseHeader {
    /// Signature algorithm.
    pub alg: String,
    /// PASSporT extension.
    pub ppt: String,
    /// Media type.
    pub typ: String,
    /// Where the certificate is.
    pub x5u: String,
}

impl JoseHeader {
    /// Parses the first part of a token.
    ///
    /// # Errors
    /// [`Code::HeaderParse`], also for a member that is no string, and for a `crit` member
    /// (RFC 7515 §4.1.11), since no extension of it is known here.
    pub fn parse(part: &str) -> Result<Self> {
        let octets = decode(part, Code::HeaderParse, "JOSE header")?;
        let object = json::object(&octets, Code::HeaderParse, "JOSE header")?;
        if object.contains_key("crit") {
            return Err(Error::new(
                Code::HeaderParse,
                "the JOSE header has crit, which asks for extensions that nothing here knows",
            ));
        }
        let member = |name: &str| match object.get(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) if is_line(text) => Ok(text.clone()),
            Some(_) => Err(Error::new(
                Code::HeaderParse,
                format!("{name} in the JOSE header is no string, or has control characters"),
            )),
        };
        Ok(Self {
            alg: member("alg")?,
            ppt: member("ppt")?,
            typ: member("typ")?,
            x5u: member("x5u")?,
        })
    }

    /// Refuses all but `{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":…}`.
    ///
    /// # Errors
    /// The code of the member that is missing or wrong.
    pub fn check(&self) -> Result<()> {
        self.check_as(Ppt::Shaken)
    }

    /// The same for a token of another extension.
    pub fn check_as(&self, ppt: Ppt) -> Result<()> {
        expect("alg", &self.alg, ALG, Code::HeaderAlg)?;
        expect("typ", &self.typ, TYP, Code::HeaderTyp)?;
        expect("ppt", &self.ppt, ppt.name(), Code::HeaderPpt)?;
        if self.x5u.is_empty() {
            return Err(Error::new(Code::HeaderX5u, "x5u is missing in the JOSE header"));
        }
        Ok(())
    }
}

fn expect(name: &str, value: &str, expected: &str, code: Code) -> Result<()> {
    if value == expected {
        Ok(())
    } else if value.is_empty() {
        Err(Error::new(code, format!("{name} is missing in the JOSE header")))
    } else {
        Err(Error::new(code, format!("{name} in the JOSE header is {value:?}, not {expected:?}")))
    }
}

/// The claims of a PASSporT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Attestation: A, B or C; empty where the extension has none.
    pub attest: String,
    /// The caller: a telephone number, or a URI.
    pub orig: String,
    /// The called: telephone numbers, then URIs.
    pub dest: Vec<String>,
    /// When it was signed, seconds since 1970.
    pub iat: i64,
    /// Where the call entered the network: opaque, mostly a UUID; empty where the extension has
    /// none.
    pub origid: String,
    /// Who was called before the diversion (RFC 8946 §3).
    pub div: Option<String>,
    /// What is said of the caller (RFC 9795), in a token of any extension.
    pub rcd: Option<Rcd>,
    /// Resource-Priority values that the caller may use (`rph`, RFC 8443).
    pub rph: Vec<String>,
    /// The Priority value that the caller may use (`sph`, RFC 9027 §4).
    pub sph: Option<String>,
    /// All members, those that nobody here knows among them.
    pub all: Map<String, Value>,
}

impl Claims {
    /// Parses the second part of a SHAKEN token.
    ///
    /// # Errors
    /// [`Code::PayloadParse`]: no JSON object, a claim missing or of the wrong kind.
    pub fn parse(part: &str) -> Result<Self> {
        Self::parse_as(Ppt::Shaken, part)
    }

    /// The same for a token of another extension.
    pub fn parse_as(ppt: Ppt, part: &str) -> Result<Self> {
        if part.is_empty() {
            return Err(wrong("the payload is empty"));
        }
        let octets = decode(part, Code::PayloadParse, "payload")?;
        let all = json::object(&octets, Code::PayloadParse, "payload")?;
        let mut claims = Self::default();
        if ppt == Ppt::Shaken {
            claims.attest = text(&all, "attest")?.to_owned();
            check_attest(&claims.attest)?;
        }
        let iat = all.get("iat").ok_or_else(|| missing("iat"))?;
        claims.iat =
            seconds(iat).ok_or_else(|| wrong(format!("iat is {iat}, not a number of seconds")))?;
        if ppt == Ppt::Shaken {
            claims.origid = text(&all, "origid")?.to_owned();
            if claims.origid.is_empty() || !is_line(&claims.origid) {
                return Err(wrong(format!(
                    "origid {:?} is empty, or has control characters",
                    claims.origid
                )));
            }
        }
        claims.orig = parse_one(claim(&all, "orig")?, "orig")?;
        claims.dest = parse_dest(claim(&all, "dest")?)?;
        match ppt {
            Ppt::Div if all.contains_key("opt") => {
                return Err(wrong("a div PASSporT has no opt: that is for div-o (RFC 8946 §3)"));
            }
            Ppt::Div => claims.div = Some(parse_one(claim(&all, "div")?, "div")?),
            Ppt::Rph => {
                claims.rph = rich::priorities(claim(&all, "rph")?)?;
                let sph = all.get("sph").and_then(Value::as_str).filter(|text| is_line(text));
                claims.sph = sph.map(str::to_owned);
            }
            Ppt::Rcd => claims.rcd = Some(rich::read(&all)?),
            // A name that its digests do not hold for is not handed on; the call is what it is.
            Ppt::Shaken if all.contains_key("rcd") => claims.rcd = rich::read(&all).ok(),
            Ppt::Shaken | Ppt::Base => {}
        }
        claims.all = all;
        Ok(claims)
    }
}

/// A NumericDate (RFC 7519 §2) in whole seconds.
#[allow(clippy::cast_possible_truncation, reason = "whole, and smaller than 2^53")]
fn seconds(value: &Value) -> Option<i64> {
    let fraction = || value.as_f64().map(f64::trunc).filter(|whole| whole.abs() < 2_f64.powi(53));
    value.as_i64().or_else(|| fraction().map(|whole| whole as i64))
}

/// Refuses all but the three levels of RFC 8588 §4.
pub(crate) fn check_attest(attest: &str) -> Result<()> {
    match attest {
        "A" | "B" | "C" => Ok(()),
        _ => Err(wrong(format!("attest is {attest:?}: it must be A, B or C"))),
    }
}

fn parse_one(party: &Map<String, Value>, name: &str) -> Result<String> {
    match (party.get("tn"), party.get("uri")) {
        (Some(Value::String(number)), None) => tn::signed(number),
        (None, Some(Value::String(text))) => uri(text, name),
        _ => Err(wrong(format!("{name} must hold one tn or one uri"))),
    }
}

fn parse_dest(dest: &Map<String, Value>) -> Result<Vec<String>> {
    let mut all = Vec::new();
    let in_dest = |text: &str| uri(text, "dest");
    for (name, check) in [("tn", tn::signed as fn(&str) -> Result<String>), ("uri", in_dest)] {
        match dest.get(name) {
            None => {}
            Some(Value::Array(values)) => {
                if all.len() + values.len() > MAX_DEST {
                    return Err(wrong(format!("dest holds more than {MAX_DEST} parties")));
                }
                for value in values {
                    let value = value
                        .as_str()
                        .ok_or_else(|| wrong(format!("dest.{name} must hold strings")))?;
                    all.push(check(value)?);
                }
            }
            Some(_) => return Err(wrong(format!("dest.{name} is no array"))),
        }
    }
    if all.is_empty() {
        return Err(wrong("dest holds neither tn nor uri"));
    }
    Ok(all)
}

/// A URI has a colon behind its scheme (RFC 3986 §3), so that none is taken for a number.
fn uri(value: &str, name: &str) -> Result<String> {
    if value.contains(':') && is_line(value) {
        Ok(value.to_owned())
    } else {
        Err(wrong(format!("uri {value:?} in {name} is no URI: sip:user@host, tel:number")))
    }
}

/// Whether a text fits into one line. Scripts write what a token says into header fields, and a
/// line's end in it would begin another.
pub(crate) fn is_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

pub(crate) fn claim<'a>(
    object: &'a Map<String, Value>,
    name: &str,
) -> Result<&'a Map<String, Value>> {
    object
        .get(name)
        .ok_or_else(|| missing(name))?
        .as_object()
        .ok_or_else(|| wrong(format!("{name} is no object")))
}

pub(crate) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a str> {
    object
        .get(name)
        .ok_or_else(|| missing(name))?
        .as_str()
        .ok_or_else(|| wrong(format!("{name} is no string")))
}

fn missing(name: &str) -> Error {
    wrong(format!("the payload has no {name}"))
}

pub(crate) fn wrong(message: impl Into<String>) -> Error {
    Error::new(Code::PayloadParse, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"https://a/b"}"#;
    const PAYLOAD: &str = r#"{"attest":"A","dest":{"tn":["12155551213"]},"iat":1443208345,"orig":{"tn":"12155551212"},"origid":"123e4567-e89b-12d3-a456-426655440000"}"#;

    fn header(json: &str) -> Result<()> {
        JoseHeader::parse(&encode(json.as_bytes()))?.check()
    }

    fn payload(json: &str) -> Result<Claims> {
        Claims::parse(&encode(json.as_bytes()))
    }

    #[test]
    fn jose_header_members_are_required() {
        header(HEADER).unwrap();
        for (from, to, code) in [
            (r#""alg":"ES256","#, "", Code::HeaderAlg),
            ("ES256", "none", Code::HeaderAlg),
            ("ES256", "es256", Code::HeaderAlg),
            (r#""ES256""#, "1", Code::HeaderParse),
            (r#""ppt":"shaken","#, "", Code::HeaderPpt),
            ("shaken", "div", Code::HeaderPpt),
            (r#""typ":"passport","#, "", Code::HeaderTyp),
            ("passport", "JWT", Code::HeaderTyp),
            (r#","x5u":"https://a/b""#, "", Code::HeaderX5u),
            (r#""typ""#, r#""crit":[],"typ""#, Code::HeaderParse),
            ("https://a", r"https://a\r\nX: y", Code::HeaderParse),
            (r#""alg""#, r#""alg":"ES256","alg""#, Code::HeaderParse),
            (r#""alg""#, r#""Alg""#, Code::HeaderAlg),
        ] {
            let json = HEADER.replacen(from, to, 1);
            assert_eq!(header(&json).unwrap_err().code(), code, "{json}");
        }
        assert_eq!(header("{}").unwrap_err().code(), Code::HeaderAlg);
    }

    #[test]
    fn claims_are_required_and_typed() {
        let claims = payload(PAYLOAD).unwrap();
        assert_eq!((claims.attest.as_str(), claims.orig.as_str()), ("A", "12155551212"));
        assert_eq!((claims.dest, claims.iat), (vec!["12155551213".to_owned()], 1_443_208_345));
        for iat in ["1443208345.5", "1443208345.999999", "14432083455e-1"] {
            let claims = payload(&PAYLOAD.replacen("1443208345", iat, 1)).unwrap();
            assert_eq!(claims.iat, 1_443_208_345, "{iat}");
        }
        for (from, to) in [
            (r#""attest":"A","#, ""),
            (r#""A""#, r#""D""#),
            (r#""A""#, r#""a""#),
            (r#""A""#, "1"),
            ("1443208345", r#""1443208345""#),
            ("1443208345", "1e400"),
            ("1443208345", "99999999999999999999"),
            (r#"["12155551213"]"#, r#""12155551213""#),
            (r#"["12155551213"]"#, "[]"),
            (r#"["12155551213"]"#, r#"[""]"#),
            (r#"["12155551213"]"#, "[1]"),
            (r#"{"tn":["12155551213"]}"#, "[]"),
            (r#"{"tn":"12155551212"}"#, "{}"),
            (r#"{"tn":"12155551212"}"#, r#"{"tn":""}"#),
            (r#"{"tn":"12155551212"}"#, r#"{"tn":"alice"}"#),
            (r#"{"tn":"12155551212"}"#, r#"{"tn":"1","uri":"sip:a@b"}"#),
            (r#"{"tn":"12155551212"}"#, r#"{"uri":"12155551212"}"#),
            (r#"{"tn":"12155551212"}"#, r#"{"uri":""}"#),
            (r#"{"tn":"12155551212"}"#, r#"{"uri":"sip:a@b\r\nX: y"}"#),
            (r#"{"tn":["12155551213"]}"#, r#"{"uri":["sip:a@b\n"]}"#),
            (r#""123e4567"#, r#""\r\n123e4567"#),
            (r#""origid":"123e4567-e89b-12d3-a456-426655440000""#, r#""origid":"""#),
            (r#""origid""#, r#""OrigID""#),
            (r#""iat""#, r#""iat":1,"iat""#),
        ] {
            let json = PAYLOAD.replacen(from, to, 1);
            assert_ne!(json, PAYLOAD, "{from} is not in the payload");
            assert_eq!(payload(&json).unwrap_err().code(), Code::PayloadParse, "{json}");
        }
        assert_eq!(Claims::parse("").unwrap_err().code(), Code::PayloadParse);
    }

    #[test]
    fn base64url_is_strict() {
        let good = encode(HEADER.as_bytes());
        for part in [
            format!("{good}="),
            format!(" {good}"),
            format!("{good}\n"),
            good.replacen('e', "+", 1),
            "é".into(),
        ] {
            assert_eq!(JoseHeader::parse(&part).unwrap_err().code(), Code::HeaderParse, "{part}");
        }
    }
}
