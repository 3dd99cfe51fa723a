//! Calls that pass.

use super::expected::*;
use super::rows_div::{diverted_once, diverted_thrice, diverted_twice};
use super::world::{Anchors, Token, World};
use crate::pki;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stir::profile::Profile;
use stir::{DestSource, Numbering, OrigSource};

fn plain(name: &'static str, change: impl Fn(&mut World) + 'static) -> Row {
    good(World::plain, name, change)
}

pub fn all() -> Vec<Row> {
    [headers(), parties(), numbers(), diversions(), beside(), trust()]
        .into_iter()
        .flatten()
        .collect()
}

/// A call whose token names no extension, where those count.
pub fn base_passport() -> World {
    let mut world = World::plain();
    world.config.shaken.base_passport = true;
    world.jose(r#""ppt":"shaken","#, "");
    world.params(";ppt=shaken", "");
    world.claims(r#""attest":"A","#, "");
    world.claims(r#","origid":"123e4567-e89b-12d3-a456-426655440000""#, "");
    world
}

fn headers() -> Vec<Row> {
    let params =
        |name, params: &'static str| plain(name, move |w| w.tokens[0].params = params.into());
    vec![
        plain("plain", |_| ()),
        params(
            "parameters in another order",
            ";ppt=shaken;alg=ES256;info=<https://certs.example.com/0.pem>",
        ),
        params(
            "ppt and alg in quotes",
            ";info=<https://certs.example.com/0.pem>;alg=\"ES256\";ppt=\"shaken\"",
        ),
        params(
            "white space and line breaks",
            " ; info = <https://certs.example.com/0.pem> ;\r\n alg\t=\tES256 ; ppt= shaken ",
        ),
        params(
            "names in another case",
            ";INFO=<https://certs.example.com/0.pem>;Alg=ES256;pPt=shaken",
        ),
        params(
            "values of alg and ppt in another case",
            ";info=<https://certs.example.com/0.pem>;alg=es256;ppt=SHAKEN",
        ),
        params("neither alg nor ppt", ";info=<https://certs.example.com/0.pem>"),
        params("info without brackets", ";info=https://certs.example.com/0.pem;alg=ES256"),
        params(
            "parameters that nobody knows",
            ";canon=\"a;b\";x;info=<https://certs.example.com/0.pem>;ppt=shaken;y=<;=,>",
        ),
        plain("info with ; = and ,", |w| w.x5u("https://certs.example.com/a;b=c,d/0.pem")),
        plain("jose in another order and with a member more", |w| {
            w.jose(r#"{"alg":"ES256","#, r#"{ "kid":7, "#);
            w.jose(r#""}"#, r#"", "alg" : "ES256" }"#);
        }),
        plain("a claim that nobody knows", |w| w.claims("{\"attest\"", "{\"x\":{},\"attest\"")),
        plain("iat 60 s old", |w| w.claims("1800000000", "1799999940")),
        plain("iat 60 s ahead", |w| w.claims("1800000000", "1800000060")),
        plain("iat with a fraction", |w| w.claims("1800000000", "1799999940.9")),
        plain("iat with an exponent", |w| w.claims("1800000000", "18e8")),
        good(base_passport, "a base PASSporT", |_| ()),
        good(base_passport, "a shaken one where base ones count", |w| {
            w.tokens = vec![Token::shaken()]
        }),
        plain("attest C", |w| w.claims("\"A\"", "\"C\"")),
        plain("an unsupported ppt beside", |w| {
            w.tokens.insert(0, Token::new("msec", 0, "{}".into()));
        }),
        plain("two shaken of which one is good", |w| {
            w.tokens.insert(0, Token { forged: true, ..Token::shaken() });
        }),
        plain("junk beside", |w| {
            w.fields = Box::new(|fields| fields.insert(0, "junk".into()));
        }),
        plain("the good one is the tenth", |w| {
            for _ in 0..9 {
                w.tokens.insert(0, Token { forged: true, ..Token::shaken() });
            }
        }),
        plain("x5u at port 8443", |w| w.x5u("https://certs.example.com:8443/0.pem")),
        plain("x5u at port 443", |w| w.x5u("https://certs.example.com:443/0.pem")),
        plain("x5u at a public address", |w| w.x5u("https://93.184.216.34/0.pem")),
        plain("x5u_permit names the host", |w| {
            w.config.shaken.x5u_permit = "other.example,*.example.com".into();
        }),
        plain("x5u_permit names the private network", |w| {
            w.x5u("https://10.1.2.3/0.pem");
            w.config.shaken.x5u_permit = "10.0.0.0/8".into();
        }),
        plain("x5u_deny names another", |w| {
            w.config.shaken.x5u_deny = "example.com *.certs.example.com".into();
        }),
    ]
}

fn parties() -> Vec<Row> {
    vec![
        plain("From alone", |w| w.asserted.clear()),
        plain("From is anonymous, PAI is not", |w| {
            w.from = "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1".into();
        }),
        plain("From first", |w| {
            w.config.shaken.orig_source = vec![OrigSource::From, OrigSource::Pai];
            w.asserted = vec!["<sip:+12155550000@example.com>".into()];
        }),
        plain("PAI of two values in one field", |w| {
            w.asserted = vec!["\"A, B\" <sip:alice@example.com>, <tel:+1-215-555-1212>".into()];
        }),
        plain("PAI of two fields", |w| {
            w.asserted.insert(0, "<sip:alice@example.com>".into());
        }),
        plain("PAI that is there twice", |w| w.asserted.push(w.asserted[0].clone())),
        plain("PAI of a sip and a tel URI of one number", |w| {
            w.asserted = vec!["<sip:+12155551212@example.com>, <tel:+1-215-555-1212>".into()];
        }),
        plain("PAI with a plain parameter of the header", |w| {
            w.asserted = vec!["<sip:+12155551212@example.com>;cpc=ordinary".into()];
        }),
        plain("PAI with an escaped plus", |w| {
            w.asserted = vec!["<sip:%2B12155551212@example.com>".into()];
        }),
        plain("PAI with a phone-context and user=phone", |w| {
            w.asserted = vec!["<sip:2155551212;phone-context=+1@example.com;user=phone>".into()];
        }),
        plain("From with another URI in its name", |w| {
            w.asserted.clear();
            w.from = "\"<sip:+12155550000@a>\" <sip:+12155551212@example.com>;tag=1".into();
        }),
        plain("From folded over lines", |w| {
            w.asserted.clear();
            w.from = "\"A\"\r\n <sip:+12155551212@[2001:db8::1]:5060>\r\n\t;tag=1".into();
        }),
        plain("PAI is a tel URI", |w| w.asserted = vec!["<tel:+1(215)555-1212>".into()]),
        plain("PAI with a long name", |w| {
            w.asserted = vec![format!("\"{}\" <tel:+12155551212>", "é".repeat(5000))];
        }),
        plain("PAI is blank", |w| w.asserted = vec![" ".into()]),
        plain("an emergency call", |w| {
            w.claims(r#"{"tn":["12155551213"]}"#, r#"{"uri":["urn:service:sos"]}"#);
            w.request_uri = "urn:service:sos".into();
            w.to = "<urn:service:sos>".into();
        }),
        plain("PAI with user parameters", |w| {
            w.asserted = vec!["<sip:+12155551212;tgrp=x;trunk-context=y@example.com>".into()];
        }),
        plain("PAI without a name or brackets", |w| {
            w.asserted = vec!["sip:12155551212@example.com;user=phone".into()];
        }),
        plain("caller and orig are a URI", |w| {
            w.claims(r#"{"tn":"12155551212"}"#, r#"{"uri":"sip:alice@example.com"}"#);
            w.asserted = vec!["<sip:%61lice@EXAMPLE.com:5060;transport=tcp>".into()];
        }),
        plain("caller with a password", |w| {
            w.claims(r#"{"tn":"12155551212"}"#, r#"{"uri":"sip:alice@example.com"}"#);
            w.asserted = vec!["<sip:alice:secret@example.com>".into()];
        }),
        plain("the Request-URI alone matches", |w| {
            w.to = "<sip:+12155550000@example.com>".into();
        }),
        plain("To alone matches", |w| {
            w.request_uri = "sip:+12155550000@192.0.2.7".into();
        }),
        plain("dest_source to", |w| {
            w.config.shaken.dest_source = DestSource::To;
            w.request_uri = "sip:+12155550000@192.0.2.7".into();
        }),
        plain("caller and orig are a URI in two forms", |w| {
            w.claims(
                r#"{"tn":"12155551212"}"#,
                r#"{"uri":"sip:%41lice%2f@Example.com:5060;transport=tcp"}"#,
            );
            w.asserted = vec!["<sip:alice%2F@example.com>".into()];
        }),
        plain("dest_source ruri", |w| {
            w.config.shaken.dest_source = DestSource::Ruri;
            w.to = "<sip:+12155550000@example.com>".into();
        }),
        plain("the Request-URI is a tel URI", |w| w.request_uri = "tel:+1-215-555-1213".into()),
        plain("dest of several", |w| {
            w.claims(
                "[\"12155551213\"]",
                "[\"12155550000\",\"12155551213\"],\"uri\":[\"sip:a@b\"]",
            );
        }),
        plain("dest of as many as max_dest", |w| {
            let all = ["\"12155551213\""; 8].join(",");
            w.claims(r#""12155551213""#, &all);
        }),
        plain("called and dest are a URI", |w| {
            w.claims(r#"{"tn":["12155551213"]}"#, r#"{"uri":["sip:bob@example.com"]}"#);
            w.request_uri = "sip:bob@example.com:5060;transport=tls".into();
        }),
    ]
}

pub fn numbering(code: &str, national: &str, international: &str, max_digits: usize) -> Numbering {
    Numbering {
        country_code: code.into(),
        national_prefix: national.into(),
        international_prefix: international.into(),
        max_digits,
    }
}

fn numbers() -> Vec<Row> {
    vec![
        plain("national numbers of the US", |w| {
            w.config.numbering = numbering("1", "1", "011", 15);
            w.asserted = vec!["<sip:2155551212@example.com>".into()];
            w.request_uri = "sip:2155551213@192.0.2.7".into();
            w.to = String::new();
        }),
        plain("orig and PAI in national form", |w| {
            w.config.numbering = numbering("1", "1", "011", 15);
            w.claims("12155551212", "2155551212");
            w.asserted = vec!["<sip:2155551212@example.com>".into()];
        }),
        plain("dest and Request-URI in national form", |w| {
            w.config.numbering = numbering("1", "1", "011", 15);
            w.claims("12155551213", "2155551213");
            w.request_uri = "sip:(215)555-1213@192.0.2.7".into();
        }),
        plain("911 is called", |w| {
            w.config.numbering = numbering("1", "1", "011", 15);
            w.claims("12155551213", "911");
            w.request_uri = "sip:911@192.0.2.7".into();
        }),
        plain("national numbers of France", |w| {
            w.config.numbering = numbering("33", "0", "00", 16);
            w.claims("12155551212", "33123456789");
            w.claims("12155551213", "33198765432");
            w.asserted = vec!["<sip:0123456789@example.com;user=phone>".into()];
            w.request_uri = "sip:0033198765432@192.0.2.7".into();
        }),
        plain("a ported number of 16 digits", |w| {
            w.config.numbering = numbering("33", "0", "00", 16);
            w.claims("12155551213", "3312345678901234");
            w.request_uri = "sip:+3312345678901234@192.0.2.7".into();
        }),
    ]
}

fn diversions() -> Vec<Row> {
    let one: &[&str] = &["12155551213"];
    let three: &[&str] = &["12155551213", "12155551214", "12155551215"];
    vec![
        good(diverted_once, "diverted once", |_| ()).div(one),
        good(diverted_twice, "diverted twice", |_| ()).div(&three[..2]),
        good(diverted_thrice, "diverted thrice", |_| ()).div(three),
        good(diverted_thrice, "diversions in reverse order", |w| w.tokens.reverse()).div(three),
        good(diverted_thrice, "diversions in any order", |w| w.tokens.swap(1, 3)).div(three),
        good(diverted_once, "diverted ten minutes after signing", |w| {
            super::world::edit(&mut w.tokens[0].payload, "1800000000", "1799999400");
        })
        .div(one),
        good(diverted_once, "diverted three hours after signing where div_expire says so", |w| {
            w.config.shaken.div_expire = 3 * 3600;
            super::world::edit(&mut w.tokens[0].payload, "1800000000", "1799989200");
        })
        .div(one),
        good(diverted_once, "div_expire is never less than expire", |w| {
            w.config.shaken.div_expire = 0;
            super::world::edit(&mut w.tokens[0].payload, "1800000000", "1799999940");
        })
        .div(one),
        good(diverted_twice, "only the last diversion is fresh", |w| {
            for token in &mut w.tokens[..2] {
                super::world::edit(&mut token.payload, "1800000000", "1799999400");
            }
        })
        .div(&three[..2]),
        good(diverted_once, "a diversion repeated octet for octet", |w| {
            w.fields = Box::new(|fields| fields.push(fields[1].clone()));
        })
        .div(one),
        good(diverted_once, "all header fields repeated twelve times", |w| {
            w.fields = Box::new(|fields| *fields = [fields.as_slice(); 12].concat());
        })
        .div(one),
        good(diverted_once, "To was changed as well", |w| {
            w.to = "<sip:+12155551214@example.com>".into();
        })
        .div(one),
    ]
}

fn beside() -> Vec<Row> {
    let rcd = |name, claim: &'static str| {
        plain(name, move |w| w.tokens.push(Token::beside("rcd", claim)))
    };
    vec![
        rcd("rcd beside", r#""rcd":{"nam":"Q Branch"}"#).rcd_nam("Q Branch"),
        rcd("rcd without a name is passed over", r#""rcd":{}"#),
        plain("rcd in the token", |w| {
            w.claims(r#","origid""#, r#","rcd":{"nam":"Q"},"origid""#);
        })
        .rcd_nam("Q"),
        plain("rcd with a digest that holds", |w| {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"[1]");
            let digest = STANDARD.encode(digest);
            let claim =
                format!(r#""rcd":{{"jcd":[1],"nam":"Q"}},"rcdi":{{"/jcd":"sha256-{digest}"}}"#);
            w.tokens.push(Token::beside("rcd", &claim));
        })
        .rcd_nam("Q"),
        rcd(
            "rcd with a digest that does not hold is passed over",
            r#""rcd":{"jcd":[1],"nam":"Q"},"rcdi":{"/jcd":"sha256-AAAA"}"#,
        ),
        plain("rcd that is forged is passed over", |w| {
            let token = Token::beside("rcd", r#""rcd":{"nam":"Q"}"#);
            w.tokens.push(Token { forged: true, ..token });
        }),
        plain("rcd of another caller is passed over", |w| {
            let mut token = Token::beside("rcd", r#""rcd":{"nam":"Q"}"#);
            super::world::edit(&mut token.payload, "12155551212", "12155550000");
            w.tokens.push(token);
        }),
        plain("rcd for another dest is passed over", |w| {
            let mut token = Token::beside("rcd", r#""rcd":{"nam":"Q"}"#);
            super::world::edit(&mut token.payload, "12155551213", "12155550000");
            w.tokens.push(token);
        }),
        good(diverted_once, "rcd beside a diverted call", |w| {
            w.tokens.push(Token::beside("rcd", r#""rcd":{"nam":"Q"}"#));
        })
        .div(&["12155551213"])
        .rcd_nam("Q"),
        good(diverted_once, "rcd for another dest beside a diverted call is passed over", |w| {
            let mut token = Token::beside("rcd", r#""rcd":{"nam":"Q"}"#);
            super::world::edit(&mut token.payload, "12155551213", "12155551214");
            w.tokens.push(token);
        })
        .div(&["12155551213"]),
        plain("rcd that is stale is passed over", |w| {
            let mut token = Token::beside("rcd", r#""rcd":{"nam":"Q"}"#);
            super::world::edit(&mut token.payload, "1800000000", "1799999900");
            w.tokens.push(token);
        }),
        plain("rph beside", |w| {
            w.tokens.insert(0, Token::beside("rph", r#""rph":{"auth":["ets.0"]}"#));
        }),
        plain("rph that is bad is passed over", |w| {
            w.tokens.insert(0, Token::beside("rph", r#""rph":{"auth":[]}"#));
        }),
    ]
}

fn trust() -> Vec<Row> {
    vec![
        plain("a folder of trust anchors", |w| w.anchors = Anchors::Folder),
        plain("cert_profile warn", |w| {
            w.config.shaken.profile = Profile::Warn;
            w.leaf().subject = pki::name("CN=Anything");
        }),
        plain("spc_match", |w| w.config.shaken.spc_match = true),
        plain("the root is sent too", |w| {
            let mut chain = w.chain_of(0);
            chain.push(w.root.spec.issue(&w.root.key, &w.root.key));
            w.answer(Ok(super::world::pem(chain)));
        }),
        plain("exp is to come, nbf is over", |w| {
            w.claims("1800000000", "1800000000,\"exp\":1800000001,\"nbf\":1799999999");
        }),
        plain("the last second of the certificate", |w| {
            w.leaf().not_after = pki::time(pki::NOW);
        }),
        plain("the first second of the certificate", |w| {
            w.leaf().not_before = pki::time(pki::NOW);
        }),
    ]
}
