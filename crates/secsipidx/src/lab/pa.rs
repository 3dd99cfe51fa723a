//! The STI-PA's interface.

use super::wire::{Ask, Reply};
use super::world::{MAX_KEPT, World, now, random};
use serde_json::{Value, json};
use sti::spc_token::decode_tkvalue;
use stir::authority::TnAuthList;
use stir::{Code, Error, Result};

/// The only account.
pub const USER: &str = "lab";
/// Its password, which is no secret.
pub const PASSWORD: &str = "lab-password";
/// Its number.
pub const ACCOUNT: &str = "1";
/// Seconds that a login counts.
const LOGIN: i64 = 3600;

/// Answers a request.
///
/// # Errors
/// Something can't be encoded.
pub fn answer(world: &mut World, ask: &Ask) -> Result<Reply> {
    let token = format!("/api/v1/account/{ACCOUNT}/token");
    Ok(match (&*ask.method, &*ask.path) {
        ("POST", "/api/v1/auth/login") => login(world, &ask.json()),
        ("POST", path) if path == token => match logged_in(world, ask) {
            Some(refusal) => refusal,
            None => spc_token(world, &ask.json())?,
        },
        ("GET", "/api/v1/ca-list") => match logged_in(world, ask) {
            Some(refusal) => refusal,
            None => list(world)?,
        },
        ("GET", "/download/v1/crl") => {
            let crl = world.crl()?;
            let (_, der) = der::pem::decode_vec(crl.as_bytes())
                .map_err(|e| Error::new(Code::Generic, format!("the CRL is not PEM: {e}")))?;
            Reply::new(200, "application/pkix-crl", der)
        }
        _ => failed(404, "no such resource"),
    })
}

fn failed(status: u16, why: &str) -> Reply {
    Reply::json(status, &json!({ "status": "failed", "message": why }))
}

fn login(world: &mut World, body: &Value) -> Reply {
    if body["userId"] != USER || body["password"] != PASSWORD {
        return failed(401, "invalid user or password");
    }
    let now = now();
    world.logins.retain(|_, until| *until > now);
    if world.logins.len() >= MAX_KEPT {
        return failed(503, "too many logins");
    }
    let (access, refresh) = (random(), random());
    world.logins.insert(access.clone(), now + LOGIN);
    Reply::json(
        200,
        &json!({ "status": "success", "accessToken": access, "refreshToken": refresh }),
    )
}

/// The refusal, if this is nobody's login.
fn logged_in(world: &World, ask: &Ask) -> Option<Reply> {
    let known = world.logins.get(&ask.authorization).is_some_and(|until| *until > now());
    (!known).then(|| failed(401, "no login, or one that has ended"))
}

fn spc_token(world: &World, body: &Value) -> Result<Reply> {
    let atc = &body["atc"];
    let text = |name: &str| atc[name].as_str().unwrap_or_default();
    let list = decode_tkvalue(text("tkvalue")).map(|der| TnAuthList::from_der(&der));
    let fingerprint = text("fingerprint");
    let why = match list {
        _ if !text("tktype").eq_ignore_ascii_case("TNAuthList") => "tktype is not TNAuthList",
        None => "tkvalue is neither base64url nor base64",
        Some(Err(_)) => "tkvalue is not a TNAuthList",
        Some(Ok(list)) if list.spcs.len() != 1 => "tkvalue does not hold one SPC",
        _ if atc["ca"] != false => "ca is not false",
        _ if !fingerprint.starts_with("SHA256 ") || fingerprint.len() != 7 + 32 * 3 - 1 => {
            "fingerprint is not SHA256 and 32 bytes in hexadecimal with colons"
        }
        _ => "",
    };
    if !why.is_empty() {
        return Ok(failed(400, why));
    }
    let lifetime = i64::try_from(world.options.token_lifetime.as_secs()).unwrap_or(i64::MAX);
    let header = json!({ "alg": "ES256", "typ": "JWT", "x5u": world.url("/pa.pem") });
    let claims = json!({
        "iss": "STI-PA of the laboratory",
        "exp": now().saturating_add(lifetime),
        "jti": random(),
        "atc": atc,
    });
    let token = world.signer.compact(&header, &claims)?;
    Ok(Reply::json(
        200,
        &json!({ "status": "success", "token": token, "crl": world.crl_url(), "iss": "lab" }),
    ))
}

fn list(world: &World) -> Result<Reply> {
    let list =
        world.lab.administrator.trust_list(world.options.list_lifetime, &[&world.lab.root])?;
    Ok(Reply::json(200, &json!({ "status": "success", "caList": list.trim() })))
}
