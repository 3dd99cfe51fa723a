//! PASSporTs for diverted calls (RFC 8946).

use super::parties::{self, Dest, Member};
use super::{PrivateKey, Signer, header_field};
use crate::error::{Code, Error, Result};
use crate::identity::Identity;
use crate::party::Party;
use crate::passport::{Claims, JoseHeader, Ppt};
use crate::verify::MAX_IDENTITIES;

/// A diversion to sign. Parties are written as those of a [`Call`](super::Call).
#[derive(Clone, Copy, Debug, Default)]
pub struct DivCall<'a> {
    /// The caller.
    pub orig: &'a str,
    /// Where the call goes now.
    pub dest: &'a str,
    /// Where it was going: who diverts it.
    pub div: &'a str,
    /// Where verifiers find the certificate; empty for [`Config::x5u`](crate::Config::x5u).
    pub x5u: &'a str,
    /// The Identity header fields that the call came with. Whether they are genuine is not looked
    /// at: check the call first.
    pub identities: &'a [&'a str],
}

/// How old a copied `iat` may be, in seconds. RFC 8946 §3 has it copied, and §4.2 has verifiers ask
/// the last diversion to be fresh: within 60 seconds (RFC 8224 §6.2), of which the way takes some.
const MAX_COPIED_AGE: i64 = 50;

/// What the diversion follows: claims of a token that the call came with.
struct Link {
    orig: String,
    div: String,
    iat: i64,
}

impl Signer {
    /// The Identity header field value of a diversion, `token;info=<x5u>;alg=ES256;ppt=div`, to be
    /// added beside those that are there (RFC 8946 §4).
    ///
    /// # Errors
    /// [`Code::DivChain`] if none of them is a shaken or div PASSporT from `orig` to `div`, or if
    /// the call still goes to `div`; else as [`Signer::identity`].
    pub fn div_identity(&self, call: &DivCall<'_>, key: PrivateKey<'_>) -> Result<String> {
        let orig = parties::read(&self.numbering, call.orig)?;
        let dest = Dest::read(&self.numbering, call.dest)?;
        let div = parties::read(&self.numbering, call.div)?;
        let x5u = self.x5u(call.x5u)?;
        if dest.holds(&div) {
            return Err(Error::new(
                Code::DivChain,
                format!(
                    "the call still goes to {}: a div PASSporT is for a new destination",
                    div.text()
                ),
            ));
        }
        let link = Self::link(&orig, &div, call.identities)?;
        let now = self.clock.now();
        let (x5u, key) = self.with_x5u(x5u, || self.key_for(key, div.text(), now))?;
        let (orig, div, iat) = (Member(&link.orig), Member(&link.div), link.iat);
        let iat = if now.saturating_sub(iat) <= MAX_COPIED_AGE { iat } else { now };
        // Canonical as it stands: see `identity`.
        let payload = format!(r#"{{"dest":{dest},"div":{div},"iat":{iat},"orig":{orig}}}"#);
        header_field(Ppt::Div, &x5u, &payload, &key)
    }

    /// The first token that the diversion can follow. Its parties go into the new one as it has
    /// them, for verifiers compare the two.
    fn link(orig: &Party, div: &Party, identities: &[&str]) -> Result<Link> {
        let mut why = "it has none".to_owned();
        for value in identities.iter().take(MAX_IDENTITIES) {
            match claims(value) {
                Err(error) => why = error.message().to_owned(),
                Ok(claims) if !parties::is_of_token(orig, &claims.orig) => {
                    why = format!("one is from {:?}", claims.orig);
                }
                Ok(claims) => match claims.dest.iter().find(|d| parties::is_of_token(div, d)) {
                    None => why = format!("one goes to {}", claims.dest.join(", ")),
                    Some(dest) => {
                        return Ok(Link { div: dest.clone(), orig: claims.orig, iat: claims.iat });
                    }
                },
            }
        }
        Err(Error::new(
            Code::DivChain,
            format!(
                "the message has no Identity header of a call from {} to {} that a div PASSporT could follow: {why}",
                orig.text(),
                div.text()
            ),
        ))
    }
}

/// The claims of a shaken or div PASSporT.
fn claims(value: &str) -> Result<Claims> {
    let identity = Identity::parse(value)?;
    let header = JoseHeader::parse(identity.header)?;
    match Ppt::named(&header.ppt) {
        Some(ppt @ (Ppt::Shaken | Ppt::Div)) => {
            header.check_as(ppt)?;
            Claims::parse_as(ppt, identity.payload)
        }
        _ => Err(Error::new(Code::HeaderPpt, format!("one is of ppt {:?}", header.ppt))),
    }
}
