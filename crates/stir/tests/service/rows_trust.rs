//! Trust anchors in files, and as a policy administrator's signed list.

use super::expected::*;
use super::world::{Anchors, World, edit};
use crate::pki::Key;

const HEADER: &str = r#"{"alg":"ES256","typ":"JWT"}"#;
/// Good until 2096.
const PAYLOAD: &str = r#"{"exp":4000000000,"sequence":1,"trustList":["ROOT"],"version":"1.0"}"#;

fn list() -> World {
    let anchors = Anchors::List {
        header: HEADER.into(),
        payload: PAYLOAD.into(),
        forged: false,
        key: Key::p256(),
        key_file: None,
    };
    World { anchors, ..World::plain() }
}

fn file(name: &'static str, text: &'static str) -> Row {
    bad(World::plain, name, NO_ANCHORS, move |w| w.anchors = Anchors::Text(text.into()))
}

/// A case that changes the list's header or payload.
fn listed(name: &'static str, says: &'static str, from: &'static str, to: &'static str) -> Row {
    bad(list, name, NO_ANCHORS, move |w| {
        let Anchors::List { header, payload, .. } = &mut w.anchors else { panic!("no list") };
        edit(if header.contains(from) { header } else { payload }, from, to);
    })
    .says(says)
}

fn key_file(name: &'static str, text: &'static str) -> Row {
    bad(list, name, NO_ANCHORS, move |w| {
        let Anchors::List { key_file, .. } = &mut w.anchors else { panic!("no list") };
        *key_file = Some(text.into());
    })
    .says("trust_anchors_key")
}

pub fn all() -> Vec<Row> {
    vec![
        good(list, "list", |_| ()),
        good(list, "list without exp", |w| {
            let Anchors::List { payload, .. } = &mut w.anchors else { panic!("no list") };
            edit(payload, "\"exp\":4000000000,", "");
        }),
        bad(list, "list signed by another key", NO_ANCHORS, |w| {
            let Anchors::List { forged, .. } = &mut w.anchors else { panic!("no list") };
            *forged = true;
        })
        .says("did not sign"),
        listed("list that ran out", "ran out", "4000000000", "1000000000"),
        listed("list whose exp is no integer", "exp", "4000000000", "\"never\""),
        listed("list of alg none", "alg", "ES256", "none"),
        listed("list of alg HS256", "alg", "ES256", "HS256"),
        listed("list with crit", "crit", "{\"alg\"", "{\"crit\":[\"exp\"],\"alg\""),
        listed("list that is empty", "empty", "[\"ROOT\"]", "[]"),
        listed("list without trustList", "trustList", "trustList", "list"),
        listed("list of no strings", "no string", "[\"ROOT\"]", "[1]"),
        listed("list of no certificates", "no certificate", "ROOT", "AAAA"),
        listed(
            "list with a member twice",
            "twice",
            "\"sequence\"",
            "\"exp\":4000000000,\"sequence\"",
        ),
        key_file("list whose key file is empty", ""),
        key_file("list whose key file is junk", "junk"),
        file("anchors file empty", ""),
        file("anchors file is a page", "<html>"),
        file("anchors file of broken PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n"),
        file(
            "anchors file of no certificate",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        ),
        bad(World::plain, "anchors folder empty", ANCHORS_UNREADABLE, |w| {
            w.anchors = Anchors::EmptyFolder;
        })
        .says("empty folder"),
        bad(World::plain, "anchors file missing", ANCHORS_UNREADABLE, |w| {
            w.anchors = Anchors::Missing;
        })
        .says("can't be read"),
    ]
}
