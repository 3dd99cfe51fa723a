//! Diverted calls (RFC 8946).

use super::expected::*;
use super::world::{DIVERTER, Token, World, edit, pem, url};
use crate::pki::{self, Key, NOW, Spec};
use stir::DestSource;

/// A call to …1213 that was diverted to …1214, …1215 and so on; To is as the caller wrote it.
fn diverted(times: usize) -> World {
    let mut world = World::plain();
    let number = |n: usize| format!("1215555121{}", n + 3);
    for n in 0..times {
        world.tokens.push(Token::div(&number(n), &number(n + 1)));
    }
    world.request_uri = format!("sip:+{}@192.0.2.7", number(times));
    world
}

pub fn diverted_once() -> World {
    diverted(1)
}

pub fn diverted_twice() -> World {
    diverted(2)
}

pub fn diverted_thrice() -> World {
    diverted(3)
}

/// Where the Request-URI alone says who is called.
fn by_request_uri() -> World {
    let mut world = diverted(1);
    world.config.shaken.dest_source = DestSource::Ruri;
    world
}

/// Where To was changed with the Request-URI.
fn to_changed() -> World {
    let mut world = diverted(1);
    world.to = "<sip:+12155551214@example.com>".into();
    world
}

fn ten_minutes_old() -> World {
    let mut world = diverted(1);
    edit(&mut world.tokens[0].payload, "1800000000", "1799999400");
    world
}

/// A case that changes the claims of the first diversion.
fn div(
    base: fn() -> World,
    name: &'static str,
    refused: Refused,
    from: &'static str,
    to: &'static str,
) -> Row {
    bad(base, name, refused, move |w| edit(&mut w.tokens[1].payload, from, to))
}

pub fn all() -> Vec<Row> {
    [links(), claims(), signers(), ages()].into_iter().flatten().collect()
}

fn links() -> Vec<Row> {
    vec![
        bad(diverted_twice, "the first diversion is missing", DIV, |w| {
            w.tokens.remove(1);
        })
        .says("never went"),
        bad(diverted_thrice, "the middle diversion is missing", DIV, |w| {
            w.tokens.remove(2);
        })
        .says("never went"),
        bad(diverted_twice, "the last diversion is missing", DIV, |w| {
            w.tokens.remove(2);
        })
        .says("the last diversion"),
        bad(by_request_uri, "the only diversion is missing", DEST, |w| {
            w.tokens.remove(1);
        }),
        bad(diverted_once, "the call's own token is missing", NO_SHAKEN, |w| {
            w.tokens.remove(0);
        }),
        div(
            diverted_once,
            "a diversion to where it came from",
            DIV,
            "[\"12155551214\"]",
            "[\"12155551213\"]",
        )
        .says("leads back"),
        bad(diverted_twice, "diversions in a loop", DIV, |w| {
            edit(&mut w.tokens[2].payload, "12155551215", "12155551213");
        })
        .says("leads back"),
        bad(diverted_once, "a diversion twice", DIV, |w| {
            w.tokens.push(Token::div("12155551213", "12155551214"));
        })
        .says("two div"),
        bad(diverted_once, "a diversion twice, not octet for octet", DIV, |w| {
            let repeated = |fields: &mut Vec<String>| fields.push(format!("{};x", fields[1]));
            w.fields = Box::new(repeated);
        })
        .says("two div"),
        bad(diverted_once, "diversions two ways", DIV, |w| {
            w.tokens.push(Token::div("12155551213", "12155551219"));
        })
        .says("two div"),
        bad(diverted_once, "the call goes elsewhere", DIV, |w| {
            w.request_uri = "sip:+12155551219@192.0.2.7".into();
        })
        .says("the last diversion"),
        bad(to_changed, "the call goes elsewhere than To", DIV, |w| {
            w.request_uri = "sip:+12155551219@192.0.2.7".into();
        })
        .says("the last diversion"),
        bad(diverted_once, "the call goes to whom it was for", DIV, |w| {
            w.request_uri = "sip:+12155551213@192.0.2.7".into();
        })
        .says("the last diversion"),
        div(
            diverted_once,
            "diverted from elsewhere",
            DIV,
            "{\"tn\":\"12155551213\"}",
            "{\"tn\":\"12155551219\"}",
        )
        .says("never went"),
        div(
            by_request_uri,
            "a diversion of another caller's call",
            DEST,
            "12155551212",
            "12155551219",
        ),
        bad(diverted_once, "a diverted call of another caller", ORIG, |w| {
            w.asserted = vec!["<sip:+12155551219@example.com>".into()];
        }),
        bad(diverted_thrice, "diversions beyond max_identity", DIV, |w| {
            w.config.shaken.max_identity = 3;
        })
        .says("the last diversion"),
    ]
}

fn claims() -> Vec<Row> {
    let claims = |name, from, to| div(by_request_uri, name, CLAIMS, from, to);
    let jose = |name, refused, from: &'static str, to: &'static str| {
        bad(by_request_uri, name, refused, move |w| edit(&mut w.tokens[1].header, from, to))
    };
    vec![
        claims("div claim missing", "\"div\":{\"tn\":\"12155551213\"},", ""),
        claims("div claim a string", "{\"tn\":\"12155551213\"}", "\"12155551213\""),
        claims("div claim empty", "{\"tn\":\"12155551213\"}", "{}"),
        claims("div claim no number", "{\"tn\":\"12155551213\"}", "{\"tn\":\"bob\"}"),
        claims("div with opt", "\"orig\"", "\"opt\":\"e30.e30.AA\",\"orig\"").says("div-o"),
        claims("div without orig", ",\"orig\":{\"tn\":\"12155551212\"}", ""),
        claims("div without dest", "\"dest\":{\"tn\":[\"12155551214\"]},", ""),
        claims("div without iat", "\"iat\":1800000000,", ""),
        // Though To is who the caller called.
        div(
            diverted_once,
            "div claim empty, called by To",
            CLAIMS,
            "{\"tn\":\"12155551213\"}",
            "{}",
        ),
        bad(diverted_once, "div jose x5u, called by To", JOSE_X5U, |w| {
            edit(&mut w.tokens[1].header, "1.pem", "0.pem");
        }),
        jose("div jose typ", JOSE_TYP, "passport", "JWT"),
        jose("div jose alg", JOSE_ALG, "ES256", "none"),
        jose("div jose ppt shaken", JOSE_PPT, "\"div\"", "\"shaken\""),
        bad(by_request_uri, "an unknown ppt does not hide a diversion", JOSE_PPT, |w| {
            edit(&mut w.tokens[1].params, "ppt=div", "ppt=msec");
        }),
        bad(diverted_once, "ppt rcd does not hide a diversion, called by To", JOSE_PPT, |w| {
            edit(&mut w.tokens[1].params, "ppt=div", "ppt=rcd");
        })
        .says("ppt of the Identity header is \"rcd\""),
        bad(diverted_once, "dest of a diversion has more than max_dest", CLAIMS, |w| {
            w.config.shaken.max_dest = 1;
            edit(
                &mut w.tokens[1].payload,
                "[\"12155551214\"]",
                "[\"12155551214\",\"12155551299\"]",
            );
        })
        .says("max_dest"),
        jose("div jose x5u", JOSE_X5U, "1.pem", "0.pem"),
    ]
}

fn signers() -> Vec<Row> {
    vec![
        bad(diverted_once, "div forged", SIGNATURE, |w| w.tokens[1].forged = true)
            .says("12155551213"),
        bad(diverted_thrice, "second div forged", SIGNATURE, |w| w.tokens[2].forged = true)
            .says("12155551214"),
        bad(diverted_once, "diverted call's own token forged", SIGNATURE, |w| {
            w.tokens[0].forged = true;
        }),
        bad(diverted_once, "div signed by the caller's provider", SIGNATURE, |w| {
            w.tokens[1].signer = 0;
        }),
        bad(by_request_uri, "div signature cut", SIGNATURE_SIZE, |w| {
            w.tokens[1].signature = |s| s[1..].to_vec();
        }),
        bad(diverted_once, "div signer not trusted", NOT_TRUSTED, |w| {
            let key = Key::p256();
            let own = Spec::ca("CN=Nobody", "CN=Nobody").issue(&key, &key);
            let leaf = Spec::leaf("CN=Nobody").issue(&w.signers[DIVERTER].key, &key);
            w.answers.insert(url(DIVERTER), Ok(pem(vec![leaf, own])));
        }),
        bad(diverted_once, "div signer expired", EXPIRED, |w| {
            w.signers[DIVERTER].spec.not_after = pki::time(NOW - 1);
        }),
        bad(diverted_once, "div signer may not sign", PROFILE, |w| {
            w.signers[DIVERTER].spec.extensions[1] = pki::key_usage(&[1]);
        }),
        bad(diverted_once, "div certificate can not be had", HTTP_STATUS, |w| {
            w.answers.insert(
                url(DIVERTER),
                Err(stir::Error::new(stir::Code::HttpStatus, "answers 404")),
            );
        }),
        bad(diverted_once, "div x5u not https", X5U, |w| {
            edit(&mut w.tokens[1].header, "https:", "http:");
            edit(&mut w.tokens[1].params, "https:", "http:");
        }),
    ]
}

fn ages() -> Vec<Row> {
    let first = |name, iat: &'static str| {
        bad(ten_minutes_old, name, IAT, move |w| {
            edit(&mut w.tokens[0].payload, "1799999400", iat);
        })
    };
    vec![
        first("diverted call a second older than ten minutes", "1799999399"),
        first("diverted call a day old", "1799913600"),
        first("diverted call from the future", "1800000061"),
        bad(ten_minutes_old, "diverted call older than div_expire", IAT, |w| {
            w.config.shaken.div_expire = 599;
        })
        .says("600 s old"),
        div(ten_minutes_old, "last div older than a minute", IAT, "1800000000", "1799999939"),
        div(ten_minutes_old, "div from the future", IAT, "1800000000", "1800000061"),
        div(
            ten_minutes_old,
            "an old call with another caller's div",
            IAT,
            "12155551212",
            "12155551219",
        ),
        bad(ten_minutes_old, "an old call without its div", IAT, |w| {
            w.tokens.remove(1);
        }),
    ]
}
