//! The Identity header field (RFC 8224 §4).

use crate::error::{Code, Error, Result};
use crate::passport::{ALG, PPT, is_line};

/// Longest header field value that is looked at, in octets. A SHAKEN one has about 600; a div-o
/// chain or an rcd with an inline card some thousands. Kamailio takes messages of 64 KiB.
pub const MAX_LEN: usize = 32 * 1024;

/// One Identity header field value, cut into its parts; nothing is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// What the signature is over: `header.payload`, as received.
    pub signed: &'a str,
    /// First part of the token, base64url.
    pub header: &'a str,
    /// Second part of the token, base64url.
    pub payload: &'a str,
    /// Third part of the token, base64url.
    pub signature: &'a str,
    /// The parameters, `None` for a token alone.
    pub params: Option<Params<'a>>,
}

/// The parameters behind the token that mean something here; any other is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params<'a> {
    /// `info`, without the angle brackets.
    pub info: Option<&'a str>,
    /// `alg`, without quotes.
    pub alg: Option<&'a str>,
    /// `ppt`, without quotes.
    pub ppt: Option<&'a str>,
}

impl<'a> Identity<'a> {
    /// Parses `token;info=<URI>;alg=ES256;ppt=shaken`: parameters in any order, white space around
    /// `;` and `=`, names in any case, values quoted or not.
    ///
    /// # Errors
    /// [`Code::IdentityEmpty`] if there is nothing, [`Code::IdentityParse`] if it has another
    /// form, [`Code::IdentityInfo`] for an `info` that is not closed or has control characters.
    pub fn parse(value: &'a str) -> Result<Self> {
        Self::parse_one(value).map_err(|error| {
            if error.code() == Code::IdentityParse && is_joined(value) {
                parse_error(
                    "the Identity header has two values with a comma between: it takes one (RFC 8224 §4), send each in a header field of its own",
                )
            } else {
                error
            }
        })
    }

    fn parse_one(value: &'a str) -> Result<Self> {
        if value.len() > MAX_LEN {
            return Err(parse_error(format!(
                "the Identity header has {} octets: more than {MAX_LEN} are not looked at",
                value.len()
            )));
        }
        let value = value.trim_matches(is_sws);
        if value.is_empty() {
            return Err(Error::new(Code::IdentityEmpty, "the Identity header is empty"));
        }
        let (token, params) = match value.split_once(';') {
            Some((token, rest)) => (token.trim_end_matches(is_sws), Some(Params::parse(rest)?)),
            None => (value, None),
        };
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(parse_error(format!(
                "the token has {} parts, not header.payload.signature",
                token.split('.').count()
            )));
        };
        if header.is_empty() {
            return Err(parse_error(
                "the token has no header: the compact form is not for SHAKEN (RFC 8588)",
            ));
        }
        let signed = &token[..header.len() + 1 + payload.len()];
        Ok(Self { signed, header, payload, signature, params })
    }
}

impl<'a> Params<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let mut params = Self::default();
        let mut rest = text.trim_matches(is_sws);
        while !rest.is_empty() {
            let (name, value, left) = next_param(rest)?;
            let known = match () {
                () if name.eq_ignore_ascii_case("info") => Some(&mut params.info),
                () if name.eq_ignore_ascii_case("alg") => Some(&mut params.alg),
                () if name.eq_ignore_ascii_case("ppt") => Some(&mut params.ppt),
                () => None,
            };
            if known.is_some_and(|known| known.replace(value).is_some()) {
                return Err(parse_error(format!("the Identity header has {name} twice")));
            }
            rest = left;
        }
        // No URI has any (RFC 3986 §2), and scripts write this one into header fields.
        if let Some(info) = params.info.filter(|info| !is_line(info)) {
            return Err(Error::new(
                Code::IdentityInfo,
                format!("info {info:?} of the Identity header has control characters"),
            ));
        }
        Ok(params)
    }

    /// Refuses an `alg` that is not ES256 and a `ppt` that is not shaken; both may be missing
    /// (RFC 8224 §4.1: ES256 is the default; the JOSE header must name its ppt all the same).
    ///
    /// # Errors
    /// [`Code::IdentityAlg`], [`Code::IdentityPpt`].
    pub fn check(&self) -> Result<()> {
        match self.alg {
            Some(alg) if alg != ALG => {
                return Err(Error::new(
                    Code::IdentityAlg,
                    format!("alg of the Identity header is {alg:?}, not ES256"),
                ));
            }
            _ => {}
        }
        match self.ppt {
            Some(ppt) if ppt != PPT => Err(Error::new(
                Code::IdentityPpt,
                format!("ppt of the Identity header is {ppt:?}, not shaken"),
            )),
            _ => Ok(()),
        }
    }

    /// `ppt`, where it can be the name of an extension: a token (RFC 3261 §25.1).
    ///
    /// # Errors
    /// [`Code::IdentityParse`].
    pub fn ppt(&self) -> Result<Option<&'a str>> {
        let is_token = |text: &str| {
            let other = |c: u8| b"-.!%*_+`'~".contains(&c);
            !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || other(c))
        };
        match self.ppt {
            Some(ppt) if !is_token(ppt) => Err(parse_error(format!(
                "ppt of the Identity header is {ppt:?}, which can't be the name of an extension: write ppt=shaken"
            ))),
            ppt => Ok(ppt),
        }
    }

    /// `info`, which must be there.
    ///
    /// # Errors
    /// [`Code::IdentityInfo`].
    pub fn info(&self) -> Result<&'a str> {
        match self.info {
            Some(info) if !info.is_empty() => Ok(info),
            _ => Err(Error::new(
                Code::IdentityInfo,
                "the Identity header has no info=<URI of the certificate>",
            )),
        }
    }
}

/// Cuts `name = value ;` off the front: name, value without its quotes or brackets, rest.
fn next_param(text: &str) -> Result<(&str, &str, &str)> {
    let end = text.find(['=', ';']).unwrap_or(text.len());
    let name = text[..end].trim_matches(is_sws);
    if !text[end..].starts_with('=') {
        // A parameter without a value means nothing here.
        return Ok((name, "", after_semicolon(&text[end..])?));
    }
    let value = text[end + 1..].trim_start_matches(is_sws);
    let closing = match value.chars().next() {
        Some('<') => '>',
        Some('"') => '"',
        _ => {
            let end = value.find(';').unwrap_or(value.len());
            return Ok((name, value[..end].trim_matches(is_sws), after_semicolon(&value[end..])?));
        }
    };
    let inside = &value[1..];
    let mut escaped = false;
    let end = inside.find(|c| {
        // Any character may be quoted within a quoted string (RFC 3261 §25.1).
        let closes = c == closing && !escaped;
        escaped = c == '\\' && !escaped && closing == '"';
        closes
    });
    let Some(end) = end else {
        let code = if closing == '>' { Code::IdentityInfo } else { Code::IdentityParse };
        return Err(Error::new(
            code,
            format!("{name} of the Identity header is not closed by {closing}"),
        ));
    };
    Ok((name, &inside[..end], after_semicolon(&inside[end + 1..])?))
}

/// What follows a parameter: nothing, or `;` and more.
fn after_semicolon(text: &str) -> Result<&str> {
    let text = text.trim_start_matches(is_sws);
    match text.strip_prefix(';') {
        Some(rest) => Ok(rest.trim_start_matches(is_sws)),
        None if text.is_empty() => Ok(text),
        None => {
            Err(parse_error("the Identity header has something between a parameter and the next ;"))
        }
    }
}

/// Whether a second token follows a comma: JOSE headers begin with `{"`.
fn is_joined(value: &str) -> bool {
    value.split(',').skip(1).any(|part| part.trim_start_matches(is_sws).starts_with("eyJ"))
}

/// White space that a header field may be folded at (RFC 3261 SWS).
fn is_sws(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn parse_error(message: impl Into<String>) -> Error {
    Error::new(Code::IdentityParse, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_in_any_form() {
        for value in [
            "a.b.c;info=<https://x/y>;alg=ES256;ppt=shaken",
            "a.b.c;ppt=\"shaken\";alg=\"ES256\";info=<https://x/y>",
            " a.b.c ;\r\n INFO = <https://x/y> ; Alg=ES256; unknown ;x=\"1;2\";ppt=shaken ",
            "a.b.c;info=https://x/y;alg=ES256;ppt=shaken;",
        ] {
            let identity = Identity::parse(value).unwrap();
            assert_eq!((identity.signed, identity.signature), ("a.b", "c"), "{value}");
            let params = identity.params.unwrap();
            params.check().unwrap();
            assert_eq!(
                (params.info().unwrap(), params.alg, params.ppt),
                ("https://x/y", Some("ES256"), Some("shaken"))
            );
        }
        let odd = Identity::parse("a.b.c;info=<https://x/?a=1;b=2,3>").unwrap();
        assert_eq!(odd.params.unwrap().info().unwrap(), "https://x/?a=1;b=2,3");
        assert_eq!(Identity::parse("a.b.c").unwrap().params, None);
    }

    #[test]
    fn other_forms_are_refused() {
        for (value, code) in [
            ("", Code::IdentityEmpty),
            (" \r\n ", Code::IdentityEmpty),
            ("a;info=<x>", Code::IdentityParse),
            ("a.b;info=<x>", Code::IdentityParse),
            ("a.b.c.d;info=<x>", Code::IdentityParse),
            ("..c;info=<x>", Code::IdentityParse),
            (";", Code::IdentityParse),
            ("a.b.c;info=<x", Code::IdentityInfo),
            ("a.b.c;info=<x\r\n y>", Code::IdentityInfo),
            ("a.b.c;ppt=\"shaken", Code::IdentityParse),
            ("a.b.c;info=<x> y;alg=ES256", Code::IdentityParse),
            ("a.b.c;info=<x>;info=<y>", Code::IdentityParse),
            ("a.b.c;alg=ES256;ALG=ES256;info=<y>", Code::IdentityParse),
        ] {
            assert_eq!(Identity::parse(value).unwrap_err().code(), code, "{value:?}");
        }
        for value in ["a.b.c, eyJ.b.c;info=<x>", "a.b.c;info=<x>,eyJ.b.c;info=<x>"] {
            let error = Identity::parse(value).unwrap_err();
            assert!(error.message().contains("takes one"), "{value}: {error}");
        }
        for value in ["", "\"\"", "\\\"shaken\\\"", "shaken\"", "shaken,", "\" shaken \"", "é"] {
            let field = format!("a.b.c;info=<x>;ppt={value}");
            let error = Identity::parse(&field).unwrap().params.unwrap().ppt().unwrap_err();
            assert_eq!(error.code(), Code::IdentityParse, "{value}");
        }
        assert_eq!(
            Identity::parse(&"a".repeat(MAX_LEN + 1)).unwrap_err().code(),
            Code::IdentityParse
        );
        for (value, code) in [
            ("a.b.c;info=<x>;alg=none", Code::IdentityAlg),
            ("a.b.c;info=<x>;alg=", Code::IdentityAlg),
            ("a.b.c;info=<x>;ppt=div", Code::IdentityPpt),
        ] {
            let params = Identity::parse(value).unwrap().params.unwrap();
            assert_eq!(params.check().unwrap_err().code(), code, "{value}");
        }
        for value in ["a.b.c;alg=ES256", "a.b.c;info=<>", "a.b.c;info", "a.b.c;"] {
            let params = Identity::parse(value).unwrap().params.unwrap();
            assert_eq!(params.info().unwrap_err().code(), Code::IdentityInfo, "{value}");
        }
    }
}
