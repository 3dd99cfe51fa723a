//! Keys and signatures of ACME and of tokens (RFC 7515, RFC 7517, RFC 7638): ES256 only.

use crate::wrong;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use p256::SecretKey;
use p256::pkcs8::EncodePublicKey;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use stir::key::{SIGNATURE_LEN, SigningKey, VerifyingKey};
use stir::{Code, Error, Result};

/// Bytes of an uncompressed point on P-256.
const POINT_LEN: usize = 65;
/// What stands before the point in a SubjectPublicKeyInfo of P-256 (RFC 5480).
const SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// base64url without padding.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Which digest of an account key a CA compares with an SPC token's `fingerprint` (RFC 9447 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fingerprint {
    /// SHA-256 of the DER SubjectPublicKeyInfo, which the field uses.
    #[default]
    Spki,
    /// The thumbprint of RFC 7638.
    Jwk,
}

/// A public P-256 key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; POINT_LEN]);

impl PublicKey {
    /// From a JWK (RFC 7518 §6.2).
    ///
    /// # Errors
    /// [`Code::KeyFormat`] for one that is not on P-256.
    pub fn from_jwk(jwk: &Value) -> Result<Self> {
        let refused = || Error::new(Code::KeyFormat, "the JWK is not a public key on P-256");
        let text = |name: &str| jwk.get(name).and_then(Value::as_str).ok_or_else(refused);
        if text("kty")? != "EC" || text("crv")? != "P-256" {
            return Err(refused());
        }
        let mut point = vec![4];
        for name in ["x", "y"] {
            let half = URL_SAFE_NO_PAD.decode(text(name)?).map_err(|_| refused())?;
            if half.len() != POINT_LEN / 2 {
                return Err(refused());
            }
            point.extend(half);
        }
        let key = Self(point.try_into().map_err(|_| refused())?);
        key.verifying()?;
        Ok(key)
    }

    /// As a JWK.
    pub fn jwk(&self) -> Value {
        let (x, y) = self.halves();
        json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y })
    }

    /// The DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> Vec<u8> {
        [&SPKI_HEAD[..], &self.0[..]].concat()
    }

    /// The point, uncompressed.
    pub const fn point(&self) -> &[u8] {
        &self.0
    }

    /// RFC 7638, base64url.
    pub fn thumbprint(&self) -> String {
        base64url(self.jwk_digest())
    }

    /// As SPC tokens have it: `SHA256 AB:CD:…`.
    pub fn fingerprint(&self, form: Fingerprint) -> String {
        let digest = match form {
            Fingerprint::Spki => digest(&SHA256, &self.spki()).as_ref().to_vec(),
            Fingerprint::Jwk => self.jwk_digest(),
        };
        let mut text = String::from("SHA256 ");
        for (i, byte) in digest.iter().enumerate() {
            // Writing to a String does not fail.
            let _ = write!(text, "{}{byte:02X}", if i == 0 { "" } else { ":" });
        }
        text
    }

    fn jwk_digest(&self) -> Vec<u8> {
        // The members in this order and nothing else (RFC 7638 §3.2).
        let (x, y) = self.halves();
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        digest(&SHA256, text.as_bytes()).as_ref().to_vec()
    }

    fn halves(&self) -> (String, String) {
        let (x, y) = self.0[1..].split_at(POINT_LEN / 2);
        (base64url(x), base64url(y))
    }

    /// What verifies with it.
    ///
    /// # Errors
    /// A point that is not on the curve.
    pub fn verifying(&self) -> Result<VerifyingKey> {
        VerifyingKey::from_point(&self.0)
    }
}

/// The key of an ACME account.
#[derive(Debug)]
pub struct AccountKey {
    signing: SigningKey,
    /// Its public half.
    pub public: PublicKey,
}

impl AccountKey {
    /// Reads a PEM private key on P-256.
    ///
    /// # Errors
    /// The codes of [`SigningKey::from_pem`]; nothing of the key is in the message.
    pub fn from_pem(text: &str) -> Result<Self> {
        let signing = SigningKey::from_pem(text.as_bytes())?;
        let refused = || Error::new(Code::KeyFormat, "is not a PEM private key on P-256");
        let secret: SecretKey = p256::pkcs8::DecodePrivateKey::from_pkcs8_pem(text)
            .ok()
            .or_else(|| SecretKey::from_sec1_pem(text).ok())
            .ok_or_else(refused)?;
        let spki = secret.public_key().to_public_key_der().map_err(|_| refused())?;
        let point = spki.as_bytes().strip_prefix(&SPKI_HEAD[..]).ok_or_else(refused)?;
        Ok(Self { signing, public: PublicKey(point.try_into().map_err(|_| refused())?) })
    }

    /// A flattened JWS (RFC 7515 §7.2.2), as ACME sends all of them (RFC 8555 §6.2).
    ///
    /// # Errors
    /// The cryptography library refuses.
    pub fn flattened(&self, protected: &Value, payload: &str) -> Result<Value> {
        let (head, body) = (base64url(protected.to_string()), base64url(payload));
        let signature = self.signing.sign(format!("{head}.{body}").as_bytes())?;
        Ok(json!({ "protected": head, "payload": body, "signature": base64url(signature) }))
    }

    /// A compact JWS.
    ///
    /// # Errors
    /// As [`AccountKey::flattened`].
    pub fn compact(&self, protected: &Value, payload: &Value) -> Result<String> {
        let signed =
            format!("{}.{}", base64url(protected.to_string()), base64url(payload.to_string()));
        let signature = self.signing.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", base64url(signature)))
    }
}

/// An external account binding (RFC 8555 §7.3.4): a JWS over the account's key with the HMAC key
/// that the CA gave.
///
/// # Errors
/// A key that is not base64.
pub fn external_binding(kid: &str, key: &str, url: &str, account: &PublicKey) -> Result<Value> {
    let key = key.trim();
    let key = URL_SAFE_NO_PAD
        .decode(key.trim_end_matches('='))
        .or_else(|_| STANDARD.decode(key))
        .map_err(|_| wrong("the key of the external account binding is not base64url"))?;
    let head = base64url(json!({ "alg": "HS256", "kid": kid, "url": url }).to_string());
    let body = base64url(account.jwk().to_string());
    let tag =
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), format!("{head}.{body}").as_bytes());
    Ok(json!({ "protected": head, "payload": body, "signature": base64url(tag.as_ref()) }))
}

/// A JWS whose signature is still to be checked.
#[derive(Clone, Debug)]
pub struct Jws {
    /// The protected header.
    pub header: Map<String, Value>,
    /// What is signed.
    pub payload: Vec<u8>,
    signed: String,
    signature: [u8; SIGNATURE_LEN],
}

impl Jws {
    /// From `header.payload.signature`.
    ///
    /// # Errors
    /// Not three parts of base64url, a header that is not an object, an alg that is not ES256.
    pub fn compact(text: &str) -> Result<Self> {
        let parts: Vec<_> = text.trim().splitn(4, '.').collect();
        let [head, body, signature] = parts[..] else {
            return Err(wrong("it does not have three parts"));
        };
        Self::parts(head, body, signature)
    }

    /// From the flattened JSON form.
    ///
    /// # Errors
    /// As [`Jws::compact`].
    pub fn flattened(json: &Value) -> Result<Self> {
        let part = |name: &str| {
            json.get(name).and_then(Value::as_str).ok_or_else(|| wrong(format!("it has no {name}")))
        };
        Self::parts(part("protected")?, part("payload")?, part("signature")?)
    }

    fn parts(head: &str, body: &str, signature: &str) -> Result<Self> {
        let decode = |part: &str, what: &str| {
            URL_SAFE_NO_PAD.decode(part).map_err(|_| wrong(format!("its {what} is not base64url")))
        };
        let header = serde_json::from_slice(&decode(head, "header")?)
            .map_err(|e| wrong(format!("its header is not a JSON object: {e}")))?;
        let jws = Self {
            header,
            payload: decode(body, "payload")?,
            signed: format!("{head}.{body}"),
            signature: decode(signature, "signature")?
                .try_into()
                .map_err(|_| wrong(format!("its signature does not have {SIGNATURE_LEN} bytes")))?,
        };
        if jws.text("alg") != Some("ES256") || jws.header.contains_key("crit") {
            return Err(wrong("its alg is not ES256, or it has crit"));
        }
        Ok(jws)
    }

    /// A member of the header that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    /// Whether this key signed it.
    pub fn signed_by(&self, key: &VerifyingKey) -> bool {
        key.verify(self.signed.as_bytes(), &self.signature)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// RFC 7517 Appendix A.1's key on P-256.
    const X: &str = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
    const Y: &str = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";

    #[test]
    fn thumbprints_and_fingerprints_are_those_of_openssl() {
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y });
        let key = PublicKey::from_jwk(&jwk).unwrap();
        assert_eq!(key.jwk(), jwk);
        assert_eq!(key.spki().len(), 91);
        assert_eq!(key.thumbprint().len(), 43);
        let spki = key.fingerprint(Fingerprint::Spki);
        assert!(spki.starts_with("SHA256 ") && spki.len() == 7 + 32 * 3 - 1, "{spki}");
        assert_ne!(spki, key.fingerprint(Fingerprint::Jwk));
        for (name, value) in [("kty", "RSA"), ("crv", "P-384"), ("x", "AA"), ("y", X)] {
            let mut jwk = jwk.clone();
            jwk[name] = value.into();
            assert!(PublicKey::from_jwk(&jwk).is_err(), "{name}");
        }
    }

    #[test]
    fn a_jws_is_signed_and_checked() {
        use p256::elliptic_curve::Generate;
        use p256::pkcs8::EncodePrivateKey;
        let pem = SecretKey::generate().to_pkcs8_pem(p256::pkcs8::LineEnding::LF).unwrap();
        let key = AccountKey::from_pem(&pem).unwrap();
        let text = key.compact(&json!({"alg": "ES256"}), &json!({"a": 1})).unwrap();
        let jws = Jws::compact(&text).unwrap();
        assert!(jws.signed_by(&key.public.verifying().unwrap()));
        let other = PublicKey::from_jwk(&json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y }));
        assert!(!jws.signed_by(&other.unwrap().verifying().unwrap()));
        for bad in ["", "a.b", "a.b.c.d", &text.replace('.', "~"), &format!("{text}A")] {
            assert!(Jws::compact(bad).is_err(), "{bad}");
        }
        let none = key.compact(&json!({"alg": "none"}), &json!({})).unwrap();
        assert!(Jws::compact(&none).is_err());
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }
}
