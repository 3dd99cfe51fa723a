//! SPC tokens (ATIS-1000080 §6.3.4.4, RFC 9447, RFC 9448): a JWT by which the STI-PA lets the holder
//! of an ACME account get certificates for a TNAuthList.

use crate::jose::{Fingerprint, Jws, PublicKey};
use crate::secret::Secret;
use crate::wrong;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;
use stir::key::VerifyingKey;
use stir::{Code, Error, Result};

/// Largest token, in bytes: one with a chain in x5c has 6 KiB.
pub const MAX_TOKEN: usize = 64 * 1024;
/// Seconds that clocks may differ by.
const SKEW: i64 = 60;
/// The only kind of token here (RFC 9448 §5.4).
pub const TN_AUTH_LIST: &str = "TNAuthList";

/// A token, read but not yet believed.
#[derive(Clone, Debug)]
pub struct SpcToken {
    /// The whole JWT.
    pub jwt: Secret,
    /// Header, payload and signature.
    pub jws: Jws,
    claims: Claims,
}

#[derive(Clone, Debug, Deserialize)]
struct Claims {
    exp: Option<Value>,
    jti: Option<String>,
    atc: Atc,
}

/// The claim that gives authority (RFC 9447 §4).
#[derive(Clone, Debug, Deserialize)]
struct Atc {
    tktype: String,
    tkvalue: String,
    #[serde(default)]
    ca: bool,
    fingerprint: String,
}

/// What a token must say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// DER.
    pub tn_auth_list: &'a [u8],
    /// The account's key.
    pub key: &'a PublicKey,
    /// Unix seconds.
    pub now: i64,
}

impl SpcToken {
    /// Reads a JWT.
    ///
    /// # Errors
    /// [`Code::Generic`], without the token.
    pub fn parse(jwt: &str) -> Result<Self> {
        let bad = |why: &str| wrong(format!("the SPC token can't be used: {why}"));
        if jwt.len() > MAX_TOKEN {
            return Err(bad(&format!("it has more than {MAX_TOKEN} bytes")));
        }
        let jws = Jws::compact(jwt).map_err(|e| bad(e.message()))?;
        let claims = serde_json::from_slice(&jws.payload)
            .map_err(|e| bad(&format!("its claims are not those of an SPC token: {e}")))?;
        Ok(Self { jwt: Secret::new(jwt.trim().to_owned()), jws, claims })
    }

    /// What it is for, DER; base64url or base64.
    ///
    /// # Errors
    /// It is neither.
    pub fn tn_auth_list(&self) -> Result<Vec<u8>> {
        decode_tkvalue(&self.claims.atc.tkvalue)
            .ok_or_else(|| wrong("the SPC token can't be used: its tkvalue is not base64url"))
    }

    /// Unix seconds.
    pub fn exp(&self) -> Option<i64> {
        self.claims.exp.as_ref().and_then(Value::as_i64)
    }

    /// Its identifier, by which a CA takes it only once.
    pub fn jti(&self) -> Option<&str> {
        self.claims.jti.as_deref()
    }

    /// RFC 9448 §6 without signature and jti: kind, value, key, exp, and `ca` false.
    ///
    /// # Errors
    /// [`Code::Generic`], with what it says and what it should say.
    pub fn check(&self, expected: &Expected<'_>) -> Result<()> {
        let bad = |why: String| Err(wrong(format!("the SPC token can't be used: {why}")));
        let atc = &self.claims.atc;
        if !atc.tktype.eq_ignore_ascii_case(TN_AUTH_LIST) {
            return bad(format!("its tktype is \"{}\"", atc.tktype.escape_debug()));
        }
        let list = self.tn_auth_list()?;
        if list != expected.tn_auth_list {
            return bad(format!(
                "it is for {}, not for {}",
                holder(&list),
                holder(expected.tn_auth_list)
            ));
        }
        if atc.ca {
            return bad("it is for a CA certificate (\"ca\": true)".into());
        }
        let known =
            [Fingerprint::Spki, Fingerprint::Jwk].map(|form| expected.key.fingerprint(form));
        let same = |known: &String| known.eq_ignore_ascii_case(atc.fingerprint.trim());
        if !known.iter().any(same) {
            return bad(format!(
                "it is for another account key: its fingerprint is \"{}\", the account's {}",
                atc.fingerprint.escape_debug(),
                known[0]
            ));
        }
        match self.exp() {
            Some(exp) if exp + SKEW >= expected.now => Ok(()),
            Some(exp) => bad(format!(
                "it expired {} s ago: get a new one, and check this machine's clock",
                expected.now.saturating_sub(exp)
            )),
            None => bad("it has no exp".into()),
        }
    }

    /// Whether this key signed it.
    ///
    /// # Errors
    /// [`Code::SignatureInvalid`].
    pub fn check_signature(&self, key: &VerifyingKey) -> Result<()> {
        if self.jws.signed_by(key) {
            return Ok(());
        }
        Err(Error::new(
            Code::SignatureInvalid,
            "the SPC token can't be used: it was not signed by the STI-PA's certificate",
        ))
    }
}

/// A TNAuthList of either encoding.
pub fn decode_tkvalue(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).or_else(|_| STANDARD.decode(text)).ok()
}

/// A TNAuthList for a message.
fn holder(der: &[u8]) -> String {
    match stir::authority::TnAuthList::from_der(der) {
        Ok(list) if !list.spcs.is_empty() => format!("SPC {}", list.spcs.join(", ")),
        Ok(_) => "telephone numbers".into(),
        Err(e) => e.message().to_owned(),
    }
}
