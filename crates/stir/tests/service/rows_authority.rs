//! What a certificate lets its holder sign: TNAuthList, spc_match, JWTClaimConstraints.

use super::expected::*;
use super::rows_certificate::TN_LIST;
use super::rows_div::diverted_once;
use super::rows_good::numbering;
use super::world::{DIVERTER, Token, World, edit};
use crate::pki::{self, seq, tlv};
use stir::profile::Profile;

pub fn all() -> Vec<Row> {
    [lists(), codes(), constraints(), enhanced()].into_iter().flatten().collect()
}

fn ia5(text: &str) -> Vec<u8> {
    tlv(0x16, &[text.as_bytes()])
}

fn list_of(der: &[u8]) -> Vec<u8> {
    pki::extension("1.3.6.1.5.5.7.1.26", false, der)
}

fn tn_list(entries: &[Vec<u8>]) -> Vec<u8> {
    list_of(&seq(&[&entries.concat()]))
}

fn spc(code: &str) -> Vec<u8> {
    tlv(0xa0, &[&ia5(code)])
}

/// A range of fewer than 128 numbers.
fn range(start: &str, count: u8) -> Vec<u8> {
    tlv(0xa1, &[&seq(&[&ia5(start), &tlv(2, &[&[count]])])])
}

fn one(number: &str) -> Vec<u8> {
    tlv(0xa2, &[&ia5(number)])
}

/// A certificate for …1210 to …1219.
fn of_numbers() -> World {
    let mut world = World::plain();
    world.leaf().extensions[TN_LIST] = tn_list(&[range("12155551210", 10)]);
    world
}

fn list(name: &'static str, entries: fn() -> Vec<Vec<u8>>) -> Row {
    bad(of_numbers, name, AUTHORITY, move |w| {
        w.leaf().extensions[TN_LIST] = tn_list(&entries());
    })
    .says("12155551212")
}

/// A list that can't be read, whether it is looked at for numbers or not.
fn unread(name: &'static str, extension: fn() -> Vec<u8>) -> Row {
    bad(World::plain, name, AUTHORITY, move |w| {
        w.config.shaken.tn_authlist_match = false;
        w.leaf().extensions[TN_LIST] = extension();
    })
}

fn holds(name: &'static str, entries: fn() -> Vec<Vec<u8>>) -> Row {
    good(of_numbers, name, move |w| w.leaf().extensions[TN_LIST] = tn_list(&entries()))
}

fn lists() -> Vec<Row> {
    vec![
        holds("TNAuthList range begins with orig", || vec![range("12155551212", 1)]),
        holds("TNAuthList range ends with orig", || vec![range("12155551200", 13)]),
        holds("TNAuthList second range holds orig", || {
            vec![range("12125550000", 100), range("12155551200", 100)]
        }),
        holds("TNAuthList one number", || vec![one("12155551212")]),
        holds("TNAuthList numbers and a service provider", || {
            vec![one("12125550000"), spc("1234")]
        }),
        good(of_numbers, "tn_authlist_match off", |w| {
            w.config.shaken.tn_authlist_match = false;
            w.leaf().extensions[TN_LIST] = tn_list(&[one("12155550000")]);
        }),
        // No rule of a country makes one number of the certificate another.
        bad(
            of_numbers,
            "TNAuthList holds orig only with a country code before it",
            AUTHORITY,
            |w| {
                w.config.numbering = numbering("1", "1", "011", 15);
                w.claims("12155551212", "2155551212");
                w.asserted = vec!["<sip:2155551212@example.com>".into()];
            },
        )
        .says("2155551212"),
        bad(of_numbers, "TNAuthList holds orig only without its country code", AUTHORITY, |w| {
            w.config.numbering = numbering("1", "1", "011", 15);
            w.leaf().extensions[TN_LIST] = tn_list(&[one("2155551212")]);
        }),
        list("TNAuthList range ends before orig", || vec![range("12155551202", 10)]),
        list("TNAuthList range begins after orig", || vec![range("12155551213", 10)]),
        list("TNAuthList range of none", || vec![range("12155551212", 0)]),
        list("TNAuthList range of shorter numbers", || vec![range("2155551210", 10)]),
        list("TNAuthList range of longer numbers", || vec![range("012155551210", 10)]),
        list("TNAuthList one other number", || vec![one("12155551213")]),
        list("TNAuthList two ranges beside orig", || {
            vec![range("12155551200", 12), range("12155551213", 12)]
        }),
        good(diverted_once, "TNAuthList of the diverter's number", |w| {
            w.signers[DIVERTER].spec.extensions[TN_LIST] = tn_list(&[one("12155551213")]);
        })
        .div(&["12155551213"]),
        bad(diverted_once, "TNAuthList of the caller's number on a diversion", AUTHORITY, |w| {
            w.signers[DIVERTER].spec.extensions[TN_LIST] = tn_list(&[one("12155551212")]);
        })
        .says("12155551213"),
        unread("TNAuthList that makes no sense", || list_of(&seq(&[&tlv(0x80, &[b"1234"])])))
            .says("makes no sense"),
        unread("TNAuthList that is a bare text", || list_of(&tlv(0x13, &[b"1234"])))
            .says("without the tag"),
        // As six certificates of the field have it.
        unread("TNAuthList of a bare text", || list_of(&seq(&[&tlv(0x13, &[b"1234"])])))
            .says("without the tag"),
        unread("TNAuthList of a bare IA5String", || list_of(&seq(&[&ia5("1234")])))
            .says("without the tag"),
        bad(World::plain, "TNAuthList missing", AUTHORITY, |w| {
            w.leaf().extensions.remove(TN_LIST);
        })
        .says("no TNAuthList"),
        bad(World::plain, "TNAuthList missing, and tn_authlist_match off", AUTHORITY, |w| {
            w.config.shaken.tn_authlist_match = false;
            w.leaf().extensions.remove(TN_LIST);
        })
        .says("no TNAuthList"),
        good(of_numbers, "issuer with a TNAuthList that holds the signer's", |w| {
            w.inter.spec.extensions.push(tn_list(&[range("12155551200", 100)]));
        }),
        bad(of_numbers, "issuer with a TNAuthList that holds less", AUTHORITY, |w| {
            w.inter.spec.extensions.push(tn_list(&[range("12155551210", 9)]));
        })
        .says("its issuer"),
        bad(
            World::plain,
            "issuer with a TNAuthList of numbers, signer with a code",
            AUTHORITY,
            |w| {
                w.inter.spec.extensions.push(tn_list(&[range("12155551210", 9)]));
            },
        )
        .says("its issuer"),
        bad(World::plain, "issuer with a TNAuthList, signer without", AUTHORITY, |w| {
            w.inter.spec.extensions.push(tn_list(&[spc("1234")]));
            w.leaf().extensions.remove(TN_LIST);
        })
        .says("its issuer"),
        bad(of_numbers, "orig beyond the TNAuthList", AUTHORITY, |w| {
            w.claims("12155551212", "12155551220");
            w.asserted = vec!["<sip:+12155551220@example.com>".into()];
        })
        .says("12155551220"),
        bad(of_numbers, "orig is a URI beside the TNAuthList", AUTHORITY, |w| {
            w.claims(r#"{"tn":"12155551212"}"#, r#"{"uri":"sip:alice@example.com"}"#);
            w.asserted = vec!["<sip:alice@example.com>".into()];
        })
        .says("sip:alice@example.com"),
    ]
}

fn matched() -> World {
    let mut world = World::plain();
    world.config.shaken.spc_match = true;
    world
}

fn codes() -> Vec<Row> {
    let subject = |name, subject: &'static str| {
        bad(matched, name, AUTHORITY, move |w| w.leaf().subject = pki::name(subject))
            .says("spc_match")
    };
    vec![
        subject("spc_match of another code", "C=US,O=Test,CN=SHAKEN 5678"),
        subject("spc_match of a longer code", "C=US,O=Test,CN=SHAKEN 12345"),
        subject("spc_match in another case", "C=US,O=Test,CN=Shaken 1234"),
        subject("spc_match without a CN", "C=US,O=Test"),
        bad(matched, "spc_match of a list with another code", AUTHORITY, |w| {
            w.leaf().extensions[TN_LIST] = pki::tn_auth_list(false, "5678");
        })
        .says("spc_match"),
        bad(matched, "spc_match without a list", AUTHORITY, |w| {
            w.leaf().extensions.remove(TN_LIST);
        })
        .says("no TNAuthList"),
        bad(matched, "spc_match of a list that makes no sense", AUTHORITY, |w| {
            w.leaf().extensions[TN_LIST] = list_of(&seq(&[&ia5("1234")]));
        })
        .says("makes no sense"),
        good(matched, "spc_match beside cert_profile warn", |w| {
            w.config.shaken.profile = Profile::Warn;
        }),
    ]
}

fn names(names: &[&str]) -> Vec<u8> {
    let list: Vec<u8> = names.iter().flat_map(|name| ia5(name)).collect();
    seq(&[&list])
}

fn must_include(claims: &[&str]) -> Vec<u8> {
    tlv(0xa0, &[&names(claims)])
}

fn permitted(claim: &str, values: &[&str]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|value| tlv(0x0c, &[value.as_bytes()])).collect();
    tlv(0xa1, &[&seq(&[&seq(&[&ia5(claim), &seq(&[&values])])])])
}

fn must_exclude(claims: &[&str]) -> Vec<u8> {
    tlv(0xa2, &[&names(claims)])
}

const BASIC: &str = "1.3.6.1.5.5.7.1.27";
const ENHANCED: &str = "1.3.6.1.5.5.7.1.33";

fn constrain(world: &mut World, id: &str, parts: &[Vec<u8>]) {
    let value = seq(&[&parts.concat()]);
    world.leaf().extensions.push(pki::extension(id, false, &value));
}

/// A provider whose calls must be of attestation A or B, and have a name.
fn constrained() -> World {
    let mut world = World::plain();
    constrain(
        &mut world,
        BASIC,
        &[must_include(&["rcd", "attest"]), permitted("attest", &["A", "B"])],
    );
    world.claims(r#","origid""#, r#","rcd":{"nam":"Q"},"origid""#);
    world
}

fn constraints() -> Vec<Row> {
    vec![
        good(constrained, "claim constraints met", |_| ()).rcd_nam("Q"),
        good(World::plain, "claim constraints on what is not there", |w| {
            constrain(w, BASIC, &[permitted("rcd", &["{}"])]);
        }),
        bad(constrained, "a claim that must be there is missing", CONSTRAINTS, |w| {
            w.claims(r#","rcd":{"nam":"Q"}"#, "");
        })
        .says("rcd"),
        bad(constrained, "a claim has a value that is not permitted", CONSTRAINTS, |w| {
            w.claims("\"A\"", "\"C\"");
        })
        .says("attest"),
        bad(World::plain, "a certificate permits another value", CONSTRAINTS, |w| {
            constrain(w, BASIC, &[permitted("attest", &["C"])]);
        }),
        bad(World::plain, "a certificate permits another orig", CONSTRAINTS, |w| {
            constrain(w, BASIC, &[permitted("orig", &[r#"{"tn":"12155550000"}"#])]);
        })
        .says("orig"),
        good(World::plain, "a certificate permits this orig", |w| {
            constrain(w, BASIC, &[permitted("orig", &[r#"{"tn":"12155551212"}"#])]);
        }),
        bad(World::plain, "claim constraints that make no sense", CONSTRAINTS, |w| {
            w.leaf().extensions.push(pki::extension(BASIC, false, &[0x04, 0]));
        })
        .says("no sense"),
        bad(World::plain, "basic constraints with an exclusion", CONSTRAINTS, |w| {
            constrain(w, BASIC, &[must_exclude(&["attest"])]);
        }),
    ]
}

fn enhanced() -> Vec<Row> {
    vec![
        bad(World::plain, "a claim that must not be there is", CONSTRAINTS, |w| {
            constrain(w, ENHANCED, &[must_exclude(&["attest"])]);
        })
        .says("attest"),
        good(World::plain, "a claim that must not be there is not", |w| {
            constrain(w, ENHANCED, &[must_exclude(&["rcd"])]);
        }),
        good(World::plain, "enhanced: an exclusion of orig is as good as none", |w| {
            constrain(w, ENHANCED, &[must_include(&["rcd"]), must_exclude(&["attest", "orig"])]);
        }),
        bad(World::plain, "enhanced: a claim is missing", CONSTRAINTS, |w| {
            constrain(w, ENHANCED, &[must_include(&["rcd"])]);
        })
        .says("rcd"),
        bad(World::plain, "enhanced: a value is not permitted", CONSTRAINTS, |w| {
            constrain(w, ENHANCED, &[permitted("attest", &["B", "C"])]);
        })
        .says("attest"),
        bad(
            World::plain,
            "enhanced: an array has an element that is not permitted",
            CONSTRAINTS,
            |w| {
                w.claims("{\"attest\"", "{\"crn\":[\"a\",\"b\"],\"attest\"");
                constrain(w, ENHANCED, &[permitted("crn", &["a"])]);
            },
        )
        .says("crn"),
        good(World::plain, "enhanced: an array of what is permitted", |w| {
            w.claims("{\"attest\"", "{\"crn\":[\"a\",\"b\"],\"attest\"");
            constrain(w, ENHANCED, &[permitted("crn", &["a", "b", "c"])]);
        }),
        good(World::plain, "an rcd whose certificate does not allow it is passed over", |w| {
            let mut token = Token::beside("rcd", r#""rcd":{"nam":"Q"}"#);
            edit(&mut token.header, "0.pem", "1.pem");
            edit(&mut token.params, "0.pem", "1.pem");
            token.signer = 1;
            w.tokens.push(token);
            let value = seq(&[&must_exclude(&["rcd"])]);
            w.signers[1].spec.extensions.push(pki::extension(ENHANCED, false, &value));
        }),
    ]
}
