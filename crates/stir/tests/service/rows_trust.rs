//! Trust anchors and intermediates in files, and as a policy administrator's signed lists.

use super::expected::*;
use super::rows_lists::list;
use super::world::{Anchors, World};

fn file(name: &'static str, text: &'static str) -> Row {
    bad(World::plain, name, NO_ANCHORS, move |w| w.anchors = Anchors::Text(text.into()))
}

fn key_file(name: &'static str, text: &'static str) -> Row {
    bad(list, name, NO_ANCHORS, move |w| {
        let Anchors::List(list) = &mut w.anchors else { panic!("no list") };
        list.key_file = Some(text.into());
    })
    .says("trust_anchors_key")
}

pub fn all() -> Vec<Row> {
    vec![
        key_file("list whose key file is not there", ""),
        key_file("list whose key file has nothing in it", "\n"),
        key_file("list whose key file is junk", "junk"),
        key_file("list whose key file is cut", "-----BEGIN CERTIFICATE-----\nAAAA\n"),
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
        good(World::plain, "intermediates in a folder, the leaf alone at x5u", |w| {
            w.intermediates = Anchors::Folder;
            w.sends = |mut ders| super::world::pem(vec![ders.remove(0)]);
        }),
        bad(World::plain, "intermediates missing", INTERMEDIATES_UNUSABLE, |w| {
            w.intermediates = Anchors::Missing;
        })
        .says("trust_intermediates"),
        bad(World::plain, "intermediates that are a page", INTERMEDIATES_UNUSABLE, |w| {
            w.intermediates = Anchors::Text(b"<html>".to_vec());
        })
        .says("trust_intermediates"),
    ]
}
