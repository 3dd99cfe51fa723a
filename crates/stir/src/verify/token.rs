//! One Identity header field, read: of which extension it is, and whether its parts agree.

use super::{Report, decode_signature};
use crate::error::{Code, Error, Result};
use crate::identity::Identity;
use crate::key::SIGNATURE_LEN;
use crate::passport::{ALG, Claims, JoseHeader, Ppt};

/// One header field that is understood, read and found to be in order.
pub(super) struct Token<'a> {
    pub(super) identity: Identity<'a>,
    pub(super) ppt: Ppt,
    pub(super) x5u: String,
    pub(super) claims: Claims,
    pub(super) signature: [u8; SIGNATURE_LEN],
}

/// A header field that was judged, or could not be.
pub(super) type Read<'a> = std::result::Result<Token<'a>, Box<Report>>;

/// Whether tokens of this extension only tell more of the caller: a call does not fail by one.
pub(super) fn tells_more(ppt: &str) -> bool {
    matches!(Ppt::named(ppt), Some(Ppt::Rcd | Ppt::Rph))
}

/// Reads a header field; `None` for one of an extension that nobody here knows (RFC 8224 §6.2). One that
/// names no extension is read as `without_ppt`.
pub(super) fn read(value: &str, without_ppt: Ppt) -> Option<Read<'_>> {
    let identity = match Identity::parse(value) {
        Ok(identity) => identity,
        Err(error) => return Some(Err(Box::new(Report::failed(error)))),
    };
    let header = JoseHeader::parse(identity.header);
    let params = identity.params.clone().unwrap_or_default();
    let named = params.ppt();
    // One that can't be a name hides nothing either, and is not one that nobody here knows.
    let parameter = named.as_ref().ok().copied().flatten();
    let ppt = match (parameter, header.as_ref().map_or("", |header| &header.ppt)) {
        (None, "") if named.is_ok() => without_ppt,
        (parameter, jose) => kind(parameter, jose).or(named.is_err().then_some(Ppt::Shaken))?,
    };
    let info = params.info().map(str::to_owned);
    let x5u = info.clone().unwrap_or_default();
    let claims = Claims::parse_as(ppt, identity.payload);
    let checked = || {
        let named = named?;
        let info = info?;
        // RFC 3261 §7.3.1: the values of parameters have no case; members of the JOSE header have.
        if let Some(alg) = params.alg.filter(|alg| !alg.eq_ignore_ascii_case(ALG)) {
            return Err(Error::new(
                Code::IdentityAlg,
                format!("alg of the Identity header is {alg:?}, not ES256"),
            ));
        }
        let header = header?;
        header.check_as(ppt)?;
        if let Some(named) = named.filter(|named| !named.eq_ignore_ascii_case(ppt.name())) {
            return Err(Error::new(
                Code::HeaderPpt,
                format!(
                    "ppt of the Identity header is {named:?}, in the JOSE header {:?}",
                    header.ppt
                ),
            ));
        }
        if header.x5u != info {
            return Err(Error::new(
                Code::HeaderX5u,
                format!("info {info:?} and x5u {:?} are not the same", header.x5u),
            ));
        }
        claims.as_ref().map_err(Error::clone)?;
        decode_signature(identity.signature)
    };
    Some(match (checked(), claims) {
        (Ok(signature), Ok(claims)) => Ok(Token { identity, ppt, x5u, claims, signature }),
        (Ok(_), Err(error)) => Err(Box::new(report(&identity, ppt, x5u, None, Err(error)))),
        (Err(error), claims) => Err(Box::new(report(&identity, ppt, x5u, claims.ok(), Err(error)))),
    })
}

/// Of which extension a token is, by the header field's parameter and by its JOSE header; `None` for
/// one that nobody here knows. The two must agree, so neither hides a diversion, nor what the other
/// one knows.
fn kind(parameter: Option<&str>, jose: &str) -> Option<Ppt> {
    let parameter = parameter.map(str::to_ascii_lowercase);
    let known = [Some(jose), parameter.as_deref()].into_iter().flatten().filter_map(Ppt::named);
    known.clone().find(|ppt| *ppt == Ppt::Div).or_else(|| known.clone().next())
}

/// A report on a header field, as far as it was read.
fn report(
    identity: &Identity<'_>,
    ppt: Ppt,
    x5u: String,
    claims: Option<Claims>,
    result: Result<()>,
) -> Report {
    Report { result, claims, x5u, ppt: ppt.name().to_owned(), ..Report::of(identity) }
}

impl Token<'_> {
    /// What its signature is over.
    pub(super) fn signed(&self) -> &str {
        self.identity.signed
    }

    /// Whether it says more of this caller than the number.
    pub(super) fn tells_more_of(&self, orig: &str) -> bool {
        tells_more(self.ppt.name()) && crate::party::same(&self.claims.orig, orig)
    }

    pub(super) fn failed(&self, error: Error) -> Report {
        Report { result: Err(error), ..self.report() }
    }

    pub(super) fn report(&self) -> Report {
        report(&self.identity, self.ppt, self.x5u.clone(), Some(self.claims.clone()), Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_ppt_is_not_a_missing_one() {
        assert!(read("a.b.c;info=<x>;ppt=msec", Ppt::Shaken).is_none());
        for value in ["a.b.c;info=<x>;ppt=", "a.b.c;info=<x>;ppt=\"\""] {
            let Some(Err(report)) = read(value, Ppt::Shaken) else { panic!("{value}") };
            assert_eq!(report.code(), Code::IdentityParse.value(), "{value}");
        }
        for value in ["a.b.c;info=<x>", "a.b.c;info=<x>;ppt=shaken"] {
            let Some(Err(report)) = read(value, Ppt::Shaken) else { panic!("{value}") };
            assert_eq!(report.ppt, "shaken", "{value}");
        }
    }
}
