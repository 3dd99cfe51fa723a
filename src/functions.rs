//! What the script functions do.

use crate::kamailio::{Counter, Message, NULL, add, resume};
use crate::results::{self, Outcome};
use crate::state;
use fetcher::{Resumed, Suspended};
use std::time::Instant;
use stir::{Call, CheckOptions, Code, DivCall, Error, PrivateKey, PublicKey, Report, SipCall};

pub(crate) fn check_identity(message: &Message, key_path: &str) -> Outcome {
    match message.call() {
        Ok(call) => checked(message, state::verifier().check_call(&call, location(key_path))),
        Err(error) => failed("not checked", error),
    }
}

pub(crate) fn check_identity_pubkey(message: &Message, key: &str) -> Outcome {
    match message.identities() {
        Ok(identities) => check_values(message, &identities, PublicKey::Pem(key), bare_token(true)),
        Err(error) => failed("not checked", error),
    }
}

pub(crate) fn check(message: &Message, identity: &str, key_path: &str) -> Outcome {
    check_values(message, &[identity], location(key_path), CheckOptions::default())
}

pub(crate) fn verify(message: &Message, identity: &str, key: &str, opts: &str) -> Outcome {
    check_values(message, &[identity], PublicKey::Pem(key), bare_token(!opts.contains('A')))
}

pub(crate) fn add_identity(
    message: &Message,
    orig: &str,
    dest: &str,
    attest: &str,
    origid: &str,
    x5u: &str,
    key_path: &str,
) -> Outcome {
    let call = Call { orig, dest, attest, origid, x5u, rcd_nam: None };
    signed(by_file(key_path, |key| identity(message, call, key)).and_then(|identity| {
        if state::adds_date() {
            message.add_date()?;
        }
        message.add_identity(&identity).map(|()| String::new())
    }))
}

pub(crate) fn build_identity(
    message: &Message,
    orig: &str,
    dest: &str,
    attest: &str,
    origid: &str,
    x5u: &str,
    key_path: &str,
) -> Outcome {
    let call = Call { orig, dest, attest, origid, x5u, rcd_nam: None };
    signed(by_file(key_path, |key| identity(message, call, key)))
}

pub(crate) fn build_identity_prvkey(
    message: &Message,
    orig: &str,
    dest: &str,
    attest: &str,
    origid: &str,
    x5u: &str,
    key: &str,
) -> Outcome {
    let call = Call { orig, dest, attest, origid, x5u, rcd_nam: None };
    signed(identity(message, call, PrivateKey::Pem(key)))
}

/// Signs with the key of a file. Only one that has signed is noted as being in use: a path may be
/// what a caller has sent.
fn by_file(
    path: &str,
    sign: impl FnOnce(PrivateKey<'_>) -> Result<String, Error>,
) -> Result<String, Error> {
    let value = sign(PrivateKey::Path(path))?;
    state::uses_key(path);
    Ok(value)
}

/// Signs a call, with the caller's name if there is one to sign. Without an origid it gets one; no
/// other argument may be without a value: an empty key path would mean what the header names.
fn identity(message: &Message, call: Call<'_>, key: PrivateKey<'_>) -> Result<String, Error> {
    if state::adds_date()
        && let Some(date) = message.date()
    {
        state::signer().check_date(date)?;
    }
    let name = message.formatted().map(unquoted);
    let origid = if call.origid == NULL { "" } else { call.origid };
    state::signer().identity(&Call { rcd_nam: name.as_deref(), origid, ..call }, key)
}

/// A display name as `$fn` has it, without the quotes of SIP (RFC 3261 §25.1).
fn unquoted(name: String) -> String {
    let Some(inside) = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return name;
    };
    let mut escaped = false;
    let keeps = |c: &char| {
        escaped = *c == '\\' && !escaped;
        !escaped
    };
    inside.chars().filter(keeps).collect()
}

pub(crate) fn add_div(
    message: &Message,
    orig: &str,
    dest: &str,
    div: &str,
    x5u: &str,
    key_path: &str,
) -> Outcome {
    signed(message.identities().and_then(|identities| {
        let call = DivCall { orig, dest, div, x5u, identities: &identities };
        let identity = by_file(key_path, |key| state::signer().div_identity(&call, key))?;
        message.add_identity(&identity).map(|()| String::new())
    }))
}

pub(crate) fn sign(_: &Message, headers: &str, payload: &str, key_path: &str) -> Outcome {
    signed(by_file(key_path, |key| sign_json(headers, payload, key)))
}

pub(crate) fn sign_prvkey(_: &Message, headers: &str, payload: &str, key: &str) -> Outcome {
    signed(sign_json(headers, payload, PrivateKey::Pem(key)))
}

fn sign_json(headers: &str, payload: &str, key: PrivateKey<'_>) -> Result<String, Error> {
    for (name, text, code) in
        [("header", headers, Code::HeaderParse), ("payload", payload, Code::PayloadParse)]
    {
        if text.contains(NULL) {
            let why = format!("the {name} has {NULL} in it: a variable of it has no value");
            return Err(Error::new(code, why));
        }
    }
    state::signer().sign_json(headers, payload, key)
}

/// The body beside the outcome: where it goes differs between script and KEMI.
pub(crate) fn get_url(url: &str) -> (Outcome, Option<Vec<u8>>) {
    match state::verifier().get_url(url) {
        Ok(body) => (Outcome::Done, Some(body)),
        Err(error) => (failed("not fetched", error), None),
    }
}

/// Writes the verstat of the last check into the message: into P-Asserted-Identity, or From where
/// there is none. One that came from outside goes from both, whether there was a check or not.
pub(crate) fn set_verstat(message: &Message) -> Outcome {
    let verifier = state::verifier();
    let marked = results::with_report(message.id(), |report| {
        message.change_callers(|uri| verifier.verstat(report?, uri))?;
        report.map(drop).ok_or_else(|| {
            let why = "nothing of this message was checked: call secsipid_check_identity first";
            Error::new(Code::Generic, why)
        })
    });
    match marked {
        Ok(()) => Outcome::Done,
        Err(error) => failed("verstat not set", error),
    }
}

/// Has the certificates fetched that checking this message needs, and the message wait for them
/// outside of any process, to go on in a route; at once if they are at hand.
pub(crate) fn fetch_async(message: &Message, route: &str) -> Outcome {
    let outcome = message.can_wait().and_then(|can| {
        if can {
            wait_for_certificates(message, &message.call()?, route)
        } else {
            Ok(Outcome::Done)
        }
    });
    outcome.unwrap_or_else(|error| failed("not suspended, checking it may wait", error))
}

fn wait_for_certificates(
    message: &Message,
    call: &SipCall<'_>,
    route: &str,
) -> Result<Outcome, Error> {
    let missing = state::verifier().missing(call);
    let Some(fetchers) = state::fetchers().filter(|_| !missing.is_empty()) else {
        return Ok(Outcome::Done);
    };
    let since = Instant::now();
    let at_hand: Option<Vec<_>> =
        missing.into_iter().map(|url| fetchers.peek(&url).map(|result| (url, result))).collect();
    if let Some(results) = at_hand {
        fetchers.keep(results, since);
        return Ok(Outcome::Done);
    }
    let handover = state::can_wait()?;
    let urls = state::verifier().needed(call);
    let Some(transaction) = message.suspend(route)? else { return Ok(Outcome::Over) };
    let suspended = Suspended { transaction, route: route.to_owned(), urls };
    if let Err(e) = handover.send(&suspended) {
        message.unsuspend(transaction);
        let why = format!("too many calls wait already, or async_workers too few: {e}");
        return Err(Error::new(Code::HttpGet, why));
    }
    Ok(Outcome::Suspended)
}

/// An async worker's whole life: goes on with the calls that waited.
pub(crate) fn go_on_with_calls() -> Result<(), Error> {
    for Resumed { call, since, results } in state::waiting()? {
        let Some(fetchers) = state::fetchers() else { break };
        fetchers.keep(results, since);
        if let Err(error) = resume(call.transaction, &call.route) {
            log::info!("{}", error.message());
        }
        fetchers.forget();
    }
    Ok(())
}

/// An empty path: the certificate that the header names.
fn location(key_path: &str) -> PublicKey<'_> {
    if key_path.is_empty() { PublicKey::Info } else { PublicKey::Location(key_path) }
}

/// With the key at hand a token needs no parameters.
fn bare_token(attributes: bool) -> CheckOptions {
    CheckOptions { attributes, bare_token: true }
}

fn check_values(
    message: &Message,
    identities: &[&str],
    key: PublicKey<'_>,
    options: CheckOptions,
) -> Outcome {
    checked(message, state::verifier().check(identities.iter().copied(), key, options))
}

fn checked(message: &Message, report: Report) -> Outcome {
    let (found, missed) = state::take_lookups();
    for (counter, count) in [(Counter::CacheHits, found), (Counter::CacheMisses, missed)] {
        if count > 0 {
            add(counter, count);
        }
    }
    if let Err(error) = &report.result {
        // The caller's doing, and there may be many: no reason for an error.
        let orig = report.claims.as_ref().map_or("", |claims| claims.orig.as_str());
        log::info!("identity not verified: {error}; orig \"{orig}\", x5u \"{}\"", report.x5u);
    }
    Outcome::Checked(message.id(), Box::new(report))
}

fn signed(result: Result<String, Error>) -> Outcome {
    match result {
        Ok(value) => Outcome::Signed(value),
        Err(error) => failed("not signed", error),
    }
}

fn failed(what: &str, error: Error) -> Outcome {
    log::error!("{what}: {error}");
    Outcome::Failed(error)
}
