//! Policy compat, for which much of this passes as it does with the stock module.

use super::expected::*;
use super::world::{Anchors, Token, World};
use crate::pki::{self, NOW};
use stir::Policy;

/// The stock module's code for a message without a header field.
const NOTHING: Refused = Refused { code: -1, ..NO_IDENTITY };

fn compat() -> World {
    let mut world = World { anchors: Anchors::None, ..World::plain() };
    world.config.policy = Policy::Compat;
    world
}

pub fn all() -> Vec<Row> {
    let passes = |name, change: fn(&mut World)| good(compat, name, change);
    let fails = |name, refused, change: fn(&mut World)| bad(compat, name, refused, change);
    vec![
        passes("compat: 300 s old", |w| w.claims("1800000000", "1799999700")),
        passes("compat: another caller", |w| {
            w.asserted = vec!["<sip:+12155550000@example.com>".into()];
        }),
        passes("compat: another called", |w| w.claims("12155551213", "12155550000")),
        passes("compat: http, a port, a query", |w| w.x5u("http://10.0.0.1:81/0.pem?a=b")),
        passes("compat: certificate expired", |w| w.leaf().not_after = pki::time(NOW - 1)),
        passes("compat: certificate may not sign", |w| {
            w.leaf().extensions[1] = pki::key_usage(&[1]);
        }),
        passes("compat: a bare public key", |w| {
            let key = pki::pem("PUBLIC KEY", &[w.signers[0].key.spki()]);
            w.answer(Ok(key.into_bytes()));
        }),
        passes("compat: a div that is forged", |w| {
            let token = Token::div("12155551213", "12155551214");
            w.tokens.push(Token { forged: true, ..token });
        }),
        fails("compat: 301 s old", IAT, |w| w.claims("1800000000", "1799999699")),
        fails("compat: no identity", NOTHING, |w| w.tokens.clear()),
        fails("compat: forged", SIGNATURE, |w| w.tokens[0].forged = true),
        fails("compat: attest D", CLAIMS, |w| w.claims("\"A\"", "\"D\"")),
        fails("compat: alg none", JOSE_ALG, |w| w.jose("ES256", "none")),
        fails("compat: info missing", INFO, |w| {
            w.params(";info=<https://certs.example.com/0.pem>", "");
        }),
        fails("compat: info not x5u", JOSE_X5U, |w| w.params("0.pem", "1.pem")),
        fails("compat: no parameters", SYNTAX, |w| w.tokens[0].params.clear()),
        fails("compat: only a div", NO_SHAKEN, |w| {
            w.tokens = vec![Token::div("12155551213", "12155551214")];
        }),
        fails("compat: certificate is a page", NO_CERTIFICATE, |w| {
            w.answer(Ok(b"<html>".to_vec()));
        }),
        fails("compat: x5u_deny", X5U, |w| w.config.shaken.x5u_deny = "certs.example.com".into())
            .says("x5u_deny"),
    ]
}
