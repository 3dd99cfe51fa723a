//! What the script functions do.

use crate::kamailio::Message;
use crate::state::{self, Outcome};
use stir::{Call, CheckOptions, Error, PrivateKey, PublicKey, Report};

pub(crate) fn check_identity(message: &Message, key_path: &str) -> Outcome {
    check_message(message, location(key_path), CheckOptions::default())
}

pub(crate) fn check_identity_pubkey(message: &Message, key: &str) -> Outcome {
    check_message(message, PublicKey::Pem(key), bare_token(true))
}

pub(crate) fn check(_: &Message, identity: &str, key_path: &str) -> Outcome {
    check_values(&[identity], location(key_path), CheckOptions::default())
}

pub(crate) fn verify(_: &Message, identity: &str, key: &str, opts: &str) -> Outcome {
    check_values(&[identity], PublicKey::Pem(key), bare_token(!opts.contains('A')))
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
    let call = Call { orig, dest, attest, origid, x5u };
    signed(
        state::signer(|signer| signer.identity(&call, PrivateKey::Path(key_path)))
            .and_then(|identity| message.add_identity(&identity).map(|()| String::new())),
    )
}

pub(crate) fn build_identity(
    _: &Message,
    orig: &str,
    dest: &str,
    attest: &str,
    origid: &str,
    x5u: &str,
    key_path: &str,
) -> Outcome {
    let call = Call { orig, dest, attest, origid, x5u };
    signed(state::signer(|signer| signer.identity(&call, PrivateKey::Path(key_path))))
}

pub(crate) fn build_identity_prvkey(
    _: &Message,
    orig: &str,
    dest: &str,
    attest: &str,
    origid: &str,
    x5u: &str,
    key: &str,
) -> Outcome {
    let call = Call { orig, dest, attest, origid, x5u };
    signed(state::signer(|signer| signer.identity(&call, PrivateKey::Pem(key))))
}

pub(crate) fn sign(_: &Message, headers: &str, payload: &str, key_path: &str) -> Outcome {
    signed(state::signer(|signer| signer.sign_json(headers, payload, PrivateKey::Path(key_path))))
}

pub(crate) fn sign_prvkey(_: &Message, headers: &str, payload: &str, key: &str) -> Outcome {
    signed(state::signer(|signer| signer.sign_json(headers, payload, PrivateKey::Pem(key))))
}

/// The body beside the outcome: where it goes differs between script and KEMI.
pub(crate) fn get_url(url: &str) -> (Outcome, Option<Vec<u8>>) {
    match state::verifier(|verifier| verifier.get_url(url)) {
        Ok(body) => (Outcome::Done, Some(body)),
        Err(error) => (failed("not fetched", error), None),
    }
}

/// An empty path: the certificate that the header names.
fn location(key_path: &str) -> PublicKey<'_> {
    if key_path.is_empty() { PublicKey::Info } else { PublicKey::Location(key_path) }
}

/// With the key at hand a token needs no parameters.
fn bare_token(attributes: bool) -> CheckOptions {
    CheckOptions { attributes, bare_token: true }
}

fn check_message(message: &Message, key: PublicKey<'_>, options: CheckOptions) -> Outcome {
    match message.identities() {
        Ok(identities) => check_values(&identities, key, options),
        Err(error) => failed("not checked", error),
    }
}

fn check_values(identities: &[&str], key: PublicKey<'_>, options: CheckOptions) -> Outcome {
    let report: Report =
        state::verifier(|verifier| verifier.check(identities.iter().copied(), key, options));
    if let Err(error) = &report.result {
        // The caller's doing, and there may be many: no reason for an error.
        log::info!("identity not verified: {error}");
    }
    Outcome::Checked(report)
}

fn signed(result: Result<String, Error>) -> Outcome {
    match result {
        Ok(value) => Outcome::Signed(value),
        Err(error) => failed("not signed", error),
    }
}

fn failed(what: &str, error: Error) -> Outcome {
    log::error!("{what}: {error}");
    Outcome::failed(error)
}
