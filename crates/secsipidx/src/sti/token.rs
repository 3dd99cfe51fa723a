//! Whether an SPC token is what was asked for, before the CA sees it.

use super::config::StiPa;
use super::pairs::wrong;
use crate::input;
use ::sti::http::{Http, MAX_ANSWER};
use ::sti::jose::PublicKey;
use ::sti::spc_token::{Expected, SpcToken};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use der::pem::LineEnding;
use serde_json::Value;
use stir::cert::Chain;
use stir::key::{Credential, VerifyingKey};
use stir::trust::Trust;
use stir::{CertVerify, Clock, Config, Result, SystemClock};

/// Checks the claims, and, where `sti_pa.anchors` says whom to believe, the signature and whose it
/// is.
///
/// # Errors
/// What is wrong with it.
pub fn check(
    token: &SpcToken,
    list: &[u8],
    key: &PublicKey,
    pa: &StiPa,
    http: &Http,
) -> Result<()> {
    let now = SystemClock.now();
    token.check(&Expected { tn_auth_list: list, key, now })?;
    if pa.anchors.as_os_str().is_empty() {
        return Ok(());
    }
    let refused = |why: &str| {
        wrong(format!(
            "the SPC token can't be used: its signer is not one of sti_pa.anchors \"{}\": {why}",
            pa.anchors.display()
        ))
    };
    let chain = match (token.jws.header.get("x5c"), token.jws.text("x5u")) {
        (Some(Value::Array(x5c)), _) => {
            let text: Option<String> = x5c.iter().map(one_of_x5c).collect();
            text.ok_or_else(|| refused("its x5c is not a list of certificates"))?
        }
        (_, Some(url)) => {
            let answer = http.get(url, MAX_ANSWER)?;
            String::from_utf8_lossy(&answer.body).into_owned()
        }
        _ => input::read_regular(&pa.anchors.to_string_lossy())?,
    };
    let chain = Chain::from_pem(chain.as_bytes()).map_err(|e| refused(e.message()))?;
    let signer = chain.leaf().public_key_sec1().and_then(VerifyingKey::from_point);
    token.check_signature(&signer.map_err(|e| refused(e.message()))?)?;
    // The certificate may itself be what the file names.
    let anchors = input::read_regular(&pa.anchors.to_string_lossy())?;
    let named = Credential::from_pem(anchors.as_bytes()).ok().and_then(|named| named.chain);
    if named.is_some_and(|named| named.leaf() == chain.leaf()) {
        return Ok(());
    }
    let trust = Trust::new(&Config {
        cert_verify: CertVerify::new(CertVerify::CUSTOM_CA | CertVerify::TIME)?,
        ca_file: pa.anchors.clone(),
        ..Config::default()
    });
    if chain.leaf().extension(crate::inspect::cert::TN_AUTH_LIST).is_some() {
        return Err(refused("it has a TNAuthList: it signs calls, not tokens"));
    }
    trust.verify(&chain, now).map(drop).map_err(|e| refused(e.message()))
}

/// DER in base64 (RFC 7515 §4.1.6) as PEM.
fn one_of_x5c(value: &Value) -> Option<String> {
    let der = STANDARD.decode(value.as_str()?).ok()?;
    der::pem::encode_string("CERTIFICATE", LineEnding::LF, &der).ok()
}
