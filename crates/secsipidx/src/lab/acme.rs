//! The STI-CA: an ACME server (RFC 8555) for TNAuthLists, which believes tokens by RFC 9448 §6.

use super::wire::{Ask, Reply, problem};
use super::world::{MAX_KEPT, World, now, random};
use crate::pki::{self, Role};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::{Decode, Encode};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::str::FromStr;
use std::time::{Duration, SystemTime};
use sti::acme::certificate_id;
use sti::jose::{Jws, PublicKey, external_binding};
use sti::spc_token::{Expected, SpcToken, decode_tkvalue};
use stir::authority::TnAuthList;
use x509_cert::certificate::Certificate;

/// What it has been asked for.
#[derive(Default)]
pub struct State {
    nonces: HashSet<String>,
    /// Tokens that were used (RFC 9447 §3: each once).
    tokens: HashSet<String>,
    accounts: Vec<PublicKey>,
    orders: Vec<Order>,
    /// By RFC 9773's name: the place in `orders`.
    issued: HashMap<String, usize>,
}

/// An order with its only authorization and challenge.
struct Order {
    account: usize,
    tn_auth_list: Vec<u8>,
    /// As the client wrote it.
    value: String,
    lifetime: Duration,
    state: Stage,
    certificate: Option<Certificate>,
}

/// How far an order is.
enum Stage {
    Pending,
    Ready,
    Valid,
    Invalid(Value),
}

impl Stage {
    const fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Valid => "valid",
            Self::Invalid(_) => "invalid",
        }
    }
}

/// A POST that was signed.
struct Signed {
    key: PublicKey,
    /// The account, if it was named.
    account: Option<usize>,
    payload: Value,
    /// POST-as-GET.
    empty: bool,
}

type Outcome = Result<Reply, Reply>;

/// Answers a request.
pub fn answer(world: &mut World, ask: &Ask) -> Reply {
    let path = ask.path.strip_prefix("/acme/").unwrap_or_default().to_owned();
    let reply = match (&*ask.method, &*path) {
        ("GET", "directory") => Ok(directory(world)),
        ("HEAD" | "GET", "new-nonce") => Ok(Reply::new(200, "text/plain", "")),
        ("GET", path) if path.starts_with("renewal-info/") => {
            renewal_info(world, path.trim_start_matches("renewal-info/"))
        }
        ("POST", path) => signed(world, ask).and_then(|signed| post(world, path, &signed)),
        _ => Err(Reply::problem(404, "malformed", "no such resource")),
    };
    let nonce = random();
    if world.ca.nonces.len() >= MAX_KEPT {
        world.ca.nonces.clear();
    }
    world.ca.nonces.insert(nonce.clone());
    reply.unwrap_or_else(|refusal| refusal).with("replay-nonce", nonce)
}

fn directory(world: &World) -> Reply {
    let url = |path: &str| world.url(&format!("/acme/{path}"));
    Reply::json(
        200,
        &json!({
            "newNonce": url("new-nonce"),
            "newAccount": url("new-account"),
            "newOrder": url("new-order"),
            "revokeCert": url("revoke"),
            "renewalInfo": url("renewal-info"),
            "meta": { "externalAccountRequired": world.options.eab.is_some() },
        }),
    )
}

/// RFC 8555 §6.2 to §6.5.
fn signed(world: &mut World, ask: &Ask) -> Result<Signed, Reply> {
    let bad = |kind: &str, why: &str| Reply::problem(400, kind, why);
    let jws = Jws::flattened(&ask.json()).map_err(|e| bad("malformed", e.message()))?;
    if jws.text("url") != Some(&world.url(&ask.path)) {
        return Err(bad("unauthorized", "the JWS is for another URL"));
    }
    if !jws.text("nonce").is_some_and(|nonce| world.ca.nonces.remove(nonce)) {
        return Err(bad("badNonce", "the nonce is not one of mine, or was used before"));
    }
    let (key, account) = match (jws.text("kid"), jws.header.get("jwk")) {
        (Some(kid), None) => {
            let number = kid.strip_prefix(&world.url("/acme/account/"));
            let number: Option<usize> = number.and_then(|number| number.parse().ok());
            let known = number.and_then(|n| Some((n, world.ca.accounts.get(n)?.clone())));
            let (number, key) =
                known.ok_or_else(|| bad("accountDoesNotExist", "no account has this URL"))?;
            (key, Some(number))
        }
        (None, Some(jwk)) => {
            let key = PublicKey::from_jwk(jwk);
            (key.map_err(|e| bad("badPublicKey", e.message()))?, None)
        }
        _ => return Err(bad("malformed", "there must be either kid or jwk")),
    };
    if !key.verifying().is_ok_and(|key| jws.signed_by(&key)) {
        return Err(bad("malformed", "the signature is not that of the account's key"));
    }
    let empty = jws.payload.is_empty();
    let payload = if empty { Ok(Value::Null) } else { serde_json::from_slice(&jws.payload) };
    let payload = payload.map_err(|_| bad("malformed", "the payload is not JSON"))?;
    Ok(Signed { key, account, payload, empty })
}

fn post(world: &mut World, path: &str, signed: &Signed) -> Outcome {
    if path == "new-account" {
        return new_account(world, signed);
    }
    if path == "revoke" {
        return revoke(world, signed);
    }
    let account = signed
        .account
        .ok_or_else(|| Reply::problem(400, "malformed", "this is for accounts: name one (kid)"))?;
    let (kind, rest) = path.split_once('/').unwrap_or((path, ""));
    if kind == "new-order" {
        return new_order(world, account, signed);
    }
    if kind == "account" && rest.parse() == Ok(account) {
        return Ok(Reply::json(200, &json!({ "status": "valid" })));
    }
    let (number, action) = rest.split_once('/').unwrap_or((rest, ""));
    let number = number.parse().ok().filter(|number: &usize| {
        world.ca.orders.get(*number).is_some_and(|order| order.account == account)
    });
    let Some(number) = number else {
        return Err(Reply::problem(404, "malformed", "no such resource of this account"));
    };
    match (kind, action, signed.empty) {
        ("order", "", true) => Ok(order_reply(world, number, 200)),
        ("order", "finalize", false) => finalize(world, number, &signed.payload),
        ("authz", "", true) => Ok(authorization(world, number)),
        ("challenge", "", true) => Ok(Reply::json(200, &challenge(world, number))),
        ("challenge", "", false) => Ok(answer_challenge(world, number, signed)),
        ("cert", "", true) => certificate(world, number),
        _ => Err(Reply::problem(404, "malformed", "no such resource")),
    }
}

/// RFC 8555 §7.3.
fn new_account(world: &mut World, signed: &Signed) -> Outcome {
    let place = world.ca.accounts.iter().position(|known| *known == signed.key);
    let (status, number) = match place {
        Some(number) => (200, number),
        None if signed.payload["onlyReturnExisting"] == true => {
            return Err(Reply::problem(400, "accountDoesNotExist", "this key has no account"));
        }
        None => {
            if let Some(key) = &world.options.eab {
                let url = world.url("/acme/new-account");
                let right = external_binding("lab", key, &url, &signed.key)
                    .map_err(|e| Reply::problem(500, "serverInternal", e.message()))?;
                if signed.payload["externalAccountBinding"] != right {
                    let why = "the external account binding is missing or wrong";
                    return Err(Reply::problem(401, "externalAccountRequired", why));
                }
            }
            if world.ca.accounts.len() >= MAX_KEPT {
                return Err(Reply::problem(503, "rateLimited", "too many accounts"));
            }
            world.ca.accounts.push(signed.key.clone());
            (201, world.ca.accounts.len() - 1)
        }
    };
    Ok(Reply::json(status, &json!({ "status": "valid" }))
        .with("location", world.url(&format!("/acme/account/{number}"))))
}

/// RFC 8555 §7.4.
fn new_order(world: &mut World, account: usize, signed: &Signed) -> Outcome {
    let bad = |kind: &str, why: &str| Err(Reply::problem(400, kind, why));
    let identifiers = signed.payload["identifiers"].as_array().map_or(&[][..], Vec::as_slice);
    let [identifier] = identifiers else {
        return bad("malformed", "an order is for one identifier");
    };
    if identifier["type"] != "TNAuthList" {
        return bad("unsupportedIdentifier", "the identifier's type is not TNAuthList");
    }
    let value = identifier["value"].as_str().unwrap_or_default();
    let Some(der) = decode_tkvalue(value).filter(|der| TnAuthList::from_der(der).is_ok()) else {
        return bad("malformed", "the identifier's value is not a TNAuthList");
    };
    let mut lifetime = world.options.lifetime;
    if let Some(end) = signed.payload["notAfter"].as_str() {
        let end = der::DateTime::from_str(end).ok().map(SystemTime::from);
        match end.and_then(|end| end.duration_since(SystemTime::now()).ok()) {
            Some(wished) => lifetime = lifetime.min(wished),
            None => return bad("malformed", "notAfter is not a time to come"),
        }
    }
    if world.ca.orders.len() >= MAX_KEPT {
        return Err(Reply::problem(503, "rateLimited", "too many orders"));
    }
    world.ca.orders.push(Order {
        account,
        tn_auth_list: der,
        value: value.to_owned(),
        lifetime,
        state: Stage::Pending,
        certificate: None,
    });
    Ok(order_reply(world, world.ca.orders.len() - 1, 201))
}

fn order_reply(world: &World, number: usize, status: u16) -> Reply {
    let order = &world.ca.orders[number];
    let url = |kind: &str, more: &str| world.url(&format!("/acme/{kind}/{number}{more}"));
    let mut object = json!({
        "status": order.state.name(),
        "identifiers": [{ "type": "TNAuthList", "value": order.value }],
        "authorizations": [url("authz", "")],
        "finalize": url("order", "/finalize"),
    });
    if let Stage::Invalid(error) = &order.state {
        object["error"] = error.clone();
    }
    if order.certificate.is_some() {
        object["certificate"] = url("cert", "").into();
    }
    Reply::json(status, &object).with("location", url("order", ""))
}

fn authorization(world: &World, number: usize) -> Reply {
    let order = &world.ca.orders[number];
    Reply::json(
        200,
        &json!({
            "status": match order.state {
                Stage::Pending => "pending",
                Stage::Ready | Stage::Valid => "valid",
                Stage::Invalid(_) => "invalid",
            },
            "identifier": { "type": "TNAuthList", "value": order.value },
            "challenges": [challenge(world, number)],
        }),
    )
}

fn challenge(world: &World, number: usize) -> Value {
    let order = &world.ca.orders[number];
    let mut object = json!({
        "type": "tkauth-01",
        "tkauth-type": "atc",
        "token-authority": world.options.base,
        "url": world.url(&format!("/acme/challenge/{number}")),
        "status": match order.state {
            Stage::Pending => "pending",
            Stage::Ready | Stage::Valid => "valid",
            Stage::Invalid(_) => "invalid",
        },
    });
    if let Stage::Invalid(error) = &order.state {
        object["error"] = error.clone();
    }
    object
}

/// RFC 9447 §3, RFC 9448 §6.
fn answer_challenge(world: &mut World, number: usize, signed: &Signed) -> Reply {
    let payload = &signed.payload;
    let token = ["tkauth", "atc"].iter().find_map(|name| payload[name].as_str());
    if matches!(world.ca.orders[number].state, Stage::Pending) {
        let state = match believe(world, number, signed, token.unwrap_or_default()) {
            Ok(()) => Stage::Ready,
            Err(why) => Stage::Invalid(problem("unauthorized", &why)),
        };
        world.ca.orders[number].state = state;
    }
    Reply::json(200, &challenge(world, number))
}

fn believe(world: &mut World, number: usize, signed: &Signed, token: &str) -> Result<(), String> {
    let text = |e: stir::Error| e.message().to_owned();
    let token = SpcToken::parse(token).map_err(text)?;
    if token.jws.text("x5u") != Some(&world.url("/pa.pem")) {
        return Err("the SPC token's x5u is not the STI-PA's certificate".into());
    }
    let administrator = world.administrator().verifying().map_err(text)?;
    token.check_signature(&administrator).map_err(text)?;
    let list = &world.ca.orders[number].tn_auth_list;
    token.check(&Expected { tn_auth_list: list, key: &signed.key, now: now() }).map_err(text)?;
    let jti = token.jti().ok_or("the SPC token has no jti")?;
    if world.ca.tokens.len() >= MAX_KEPT {
        return Err("too many SPC tokens".into());
    }
    if !world.ca.tokens.insert(jti.to_owned()) {
        return Err("the SPC token was used before (jti)".into());
    }
    Ok(())
}

/// RFC 8555 §7.4.
fn finalize(world: &mut World, number: usize, payload: &Value) -> Outcome {
    let order = &world.ca.orders[number];
    match order.state {
        Stage::Ready => {}
        Stage::Valid => return Ok(order_reply(world, number, 200)),
        _ => {
            let why = format!("the order is {}", order.state.name());
            return Err(Reply::problem(403, "orderNotReady", &why));
        }
    }
    let bad = |why: &str| Reply::problem(400, "badCSR", why);
    let der = payload["csr"].as_str().and_then(|csr| URL_SAFE_NO_PAD.decode(csr).ok());
    let request = pki::read_request(&der.ok_or_else(|| bad("csr is not base64url"))?)
        .map_err(|e| bad(e.message()))?;
    if request.tn_auth_list.as_ref() != Some(&order.tn_auth_list) {
        return Err(bad("its TNAuthList is not the order's"));
    }
    let spc =
        TnAuthList::from_der(&order.tn_auth_list).ok().and_then(|list| list.spcs.first().cloned());
    let name = format!("CN=SHAKEN {}", spc.unwrap_or_default());
    if !request.subject.to_string().split(',').any(|part| part == name) {
        return Err(bad(&format!("its subject has no {name}")));
    }
    let failed = |e: stir::Error| Reply::problem(500, "serverInternal", e.message());
    let (url, administrator) = (world.crl_url(), world.lab.administrator.name());
    let spcs: Vec<_> = TnAuthList::from_der(&order.tn_auth_list).map_err(failed)?.spcs;
    let role = Role::Signer { spcs: &spcs, crl: (&url, administrator) };
    let certificate = world
        .lab
        .inter
        .certify(request.subject, request.key, &role, order.lifetime)
        .map_err(failed)?;
    let id = read(&certificate).as_ref().and_then(certificate_id);
    let order = &mut world.ca.orders[number];
    order.certificate = Some(certificate);
    order.state = Stage::Valid;
    if let Some(id) = id {
        world.ca.issued.insert(id, number);
    }
    Ok(order_reply(world, number, 200))
}

fn read(certificate: &Certificate) -> Option<stir::cert::Certificate> {
    stir::cert::Certificate::from_der(&certificate.to_der().ok()?).ok()
}

fn certificate(world: &World, number: usize) -> Outcome {
    let certificate = world.ca.orders[number].certificate.as_ref();
    let certificate =
        certificate.ok_or_else(|| Reply::problem(403, "orderNotReady", "there is none yet"))?;
    let chain = world.chain(certificate);
    let chain = chain.map_err(|e| Reply::problem(500, "serverInternal", e.message()))?;
    Ok(Reply::new(200, "application/pem-certificate-chain", chain))
}

/// RFC 8555 §7.6: by the account that ordered it, or the certificate's own key.
fn revoke(world: &mut World, signed: &Signed) -> Outcome {
    let der =
        signed.payload["certificate"].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let certificate = der.and_then(|der| Certificate::from_der(&der).ok());
    let Some(certificate) = certificate else {
        return Err(Reply::problem(400, "malformed", "certificate is not a certificate"));
    };
    let order =
        world.ca.orders.iter().find(|order| order.certificate.as_ref() == Some(&certificate));
    let own = certificate.tbs_certificate().subject_public_key_info().to_der();
    let allowed = match signed.account {
        Some(account) => order.is_some_and(|order| order.account == account),
        None => own.is_ok_and(|own| own == signed.key.spki()),
    };
    if order.is_none() || !allowed {
        return Err(Reply::problem(403, "unauthorized", "it is not a certificate of this account"));
    }
    if world.is_revoked(&certificate) {
        return Err(Reply::problem(400, "alreadyRevoked", "it is revoked already"));
    }
    world.revoke(&certificate).map_err(|e| Reply::problem(500, "serverInternal", e.message()))?;
    Ok(Reply::new(200, "text/plain", ""))
}

/// RFC 9773 §4.2: from two thirds of the lifetime to three quarters, or at once if it is revoked.
fn renewal_info(world: &World, id: &str) -> Outcome {
    let order = world.ca.issued.get(id).and_then(|number| world.ca.orders.get(*number));
    let Some(certificate) = order.and_then(|order| order.certificate.as_ref()) else {
        return Err(Reply::problem(404, "malformed", "no certificate of mine has this name"));
    };
    let Some(read) = read(certificate) else {
        return Err(Reply::problem(500, "serverInternal", "the certificate can't be read"));
    };
    let lifetime = read.not_after() - read.not_before();
    let (start, end) = if world.is_revoked(certificate) {
        (read.not_before(), read.not_before() + 1)
    } else {
        (read.not_before() + lifetime * 2 / 3, read.not_before() + lifetime * 3 / 4 + 1)
    };
    let time = crate::inspect::cert::utc;
    Ok(Reply::json(200, &json!({ "suggestedWindow": { "start": time(start), "end": time(end) } }))
        .with("retry-after", "21600"))
}
