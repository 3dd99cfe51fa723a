//! Lists that a policy administrator signs: the forms in which they are served, who may sign them,
//! and how long they count.

use super::expected::*;
use super::world::{Anchors, List, World, edit, pem};
use crate::pki::{self, DAY, Key, NOW, Spec};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const HEADER: &str = r#"{"alg":"ES256","typ":"JWT"}"#;
/// Good until 2096.
const PAYLOAD: &str = r#"{"exp":4000000000,"sequence":1,"trustList":["<PEM>"],"version":"1.0"}"#;
/// Who issues the administrator's certificate.
const PA_ROOT: &str = "CN=PA root";

fn signed(key: Key) -> List {
    List {
        header: HEADER.into(),
        payload: PAYLOAD.into(),
        forged: false,
        key,
        key_file: None,
        beside: None,
        form: |parts| parts.join("."),
    }
}

/// Trust anchors as a list.
pub fn list() -> World {
    World { anchors: Anchors::List(Box::new(signed(Key::p256()))), ..World::plain() }
}

/// Intermediates as a list, the leaf alone at x5u.
fn between() -> World {
    let mut list = signed(Key::p256());
    edit(&mut list.payload, "trustList", "certList");
    let intermediates = Anchors::List(Box::new(list));
    World { intermediates, sends: |mut ders| pem(vec![ders.remove(0)]), ..World::plain() }
}

fn anchors(world: &mut World) -> &mut List {
    let Anchors::List(list) = &mut world.anchors else { panic!("no list") };
    list
}

fn intermediates(world: &mut World) -> &mut List {
    let Anchors::List(list) = &mut world.intermediates else { panic!("no list") };
    list
}

/// A case that changes the list's header or payload.
fn listed(name: &'static str, says: &'static str, from: &'static str, to: &'static str) -> Row {
    bad(list, name, NO_ANCHORS, move |w| {
        let List { header, payload, .. } = anchors(w);
        edit(if header.contains(from) { header } else { payload }, from, to);
    })
    .says(says)
}

fn payload(name: &'static str, from: &'static str, to: &'static str) -> Row {
    good(list, name, move |w| edit(&mut anchors(w).payload, from, to))
}

fn form(name: &'static str, form: fn(&[&str; 3]) -> String) -> Row {
    good(list, name, move |w| anchors(w).form = form)
}

fn misformed(name: &'static str, says: &'static str, form: fn(&[&str; 3]) -> String) -> Row {
    bad(list, name, NO_ANCHORS, move |w| anchors(w).form = form).says(says)
}

pub fn all() -> Vec<Row> {
    [forms(), misforms(), contents(), signers(), chains(), ends(), lists_of_intermediates()]
        .into_iter()
        .flatten()
        .collect()
}

fn forms() -> Vec<Row> {
    vec![
        form("list in compact form", |p| p.join(".")),
        form("list in compact form, BOM and line ends", |p| {
            format!("\u{feff}\r\n{}\r\n", p.join("."))
        }),
        form("list in an envelope", |p| {
            format!(r#"{{"status":"success","message":"","caList":"{}"}}"#, p.join("."))
        }),
        form("list in an envelope without status", |p| {
            format!(r#"{{"caList":"{}"}}"#, p.join("."))
        }),
        form("list in an envelope, BOM and spaces", |p| {
            format!(
                "\u{feff}{{\n  \"caList\" : \"{}\" ,\n  \"status\" : \"success\"\n}}\n",
                p.join(".")
            )
        }),
        form("list in an envelope, flattened", |[a, b, c]| {
            format!(r#"{{"caList":{{"protected":"{a}","payload":"{b}","signature":"{c}"}}}}"#)
        }),
        form("list flattened", |[a, b, c]| {
            format!(r#"{{"payload":"{b}","protected":"{a}","signature":"{c}"}}"#)
        }),
        form("list flattened, BOM, spaces and an unprotected header", |[a, b, c]| {
            format!(
                "\u{feff} {{ \"payload\" : \"{b}\",\n\t\"header\": {{\"kid\": \"1\"}}, \"protected\": \"{a}\", \"signature\": \"{c}\" }}\n"
            )
        }),
        form("list in general form", |[a, b, c]| {
            format!(r#"{{"payload":"{b}","signatures":[{{"protected":"{a}","signature":"{c}"}}]}}"#)
        }),
    ]
}

fn misforms() -> Vec<Row> {
    vec![
        misformed("list of two parts", "three parts", |[a, b, _]| format!("{a}.{b}")),
        misformed("list of four parts", "three parts", |[a, b, c]| format!("{a}.{b}.{c}.")),
        misformed("list with a short signature", "bytes, not 64", |[a, b, c]| {
            format!("{a}.{b}.{}", &c[..84])
        }),
        misformed("list with padding", "base64url", |[a, b, c]| format!("{a}=.{b}.{c}")),
        misformed("list in an envelope that failed", "its status is \"failed\"", |p| {
            format!(r#"{{"status":"failed","message":"no","caList":"{}"}}"#, p.join("."))
        }),
        misformed("list in an envelope twice", "stands twice", |p| {
            format!(r#"{{"caList":"{0}","caList":"{0}"}}"#, p.join("."))
        }),
        misformed("envelope of a number", "neither text nor an object", |_| {
            r#"{"caList":1}"#.into()
        }),
        misformed("envelope of nothing", "not a signed list", |_| r#"{"status":"success"}"#.into()),
        misformed("list flattened, payload twice", "stands twice", |[a, b, c]| {
            format!(r#"{{"payload":"{b}","protected":"{a}","signature":"{c}","payload":"{b}"}}"#)
        }),
        misformed("list flattened, protected missing", "\"protected\"", |[_, b, c]| {
            format!(r#"{{"payload":"{b}","signature":"{c}"}}"#)
        }),
        misformed("list flattened and general", "can't be told apart", |[a, b, c]| {
            format!(
                r#"{{"payload":"{b}","protected":"{a}","signature":"{c}","signatures":[{{"protected":"{a}","signature":"{c}"}}]}}"#
            )
        }),
        misformed("list with two signatures", "2 signatures", |[a, b, c]| {
            format!(
                r#"{{"payload":"{b}","signatures":[{{"protected":"{a}","signature":"{c}"}},{{"protected":"{a}","signature":"{c}"}}]}}"#
            )
        }),
        misformed("list with no signature", "0 signatures", |[_, b, _]| {
            format!(r#"{{"payload":"{b}","signatures":[]}}"#)
        }),
        misformed("list with alg in two headers", "\"alg\" twice", |[a, b, c]| {
            format!(
                r#"{{"payload":"{b}","header":{{"alg":"none"}},"protected":"{a}","signature":"{c}"}}"#
            )
        }),
        misformed("list with crit unprotected", "crit", |[a, b, c]| {
            format!(
                r#"{{"payload":"{b}","header":{{"crit":["exp"]}},"protected":"{a}","signature":"{c}"}}"#
            )
        }),
        misformed("list whose alg is not protected", "alg", |[_, b, c]| {
            format!(
                r#"{{"payload":"{b}","header":{{"alg":"ES256"}},"protected":"e30","signature":"{c}"}}"#
            )
        }),
        misformed("list that is cut JSON", "no JSON", |[_, b, _]| format!(r#"{{"payload":"{b}""#)),
    ]
}

fn contents() -> Vec<Row> {
    vec![
        payload("list without exp", "\"exp\":4000000000,", ""),
        payload("list without sequence", "\"sequence\":1,", ""),
        payload("list whose sequence is text", "\"sequence\":1", "\"sequence\":\"1\""),
        payload("list of base64", "<PEM>", "<DER>"),
        payload("list of base64 in lines", "<PEM>", "\\n<DER>\\r\\n"),
        payload("list of both", "\"<PEM>\"", "\"<DER>\",\"<PEM>\""),
        bad(list, "list signed by another key", NO_ANCHORS, |w| anchors(w).forged = true)
            .says("did not sign"),
        listed("list whose exp is no integer", "exp", "4000000000", "\"never\""),
        listed("list whose sequence is no number", "sequence", "\"sequence\":1", "\"sequence\":-1"),
        listed("list of alg none", "alg", "ES256", "none"),
        listed("list of alg HS256", "alg", "ES256", "HS256"),
        listed("list with crit", "crit", "{\"alg\"", "{\"crit\":[\"exp\"],\"alg\""),
        listed("list with b64", "b64", "{\"alg\"", "{\"b64\":false,\"alg\""),
        listed("list that is empty", "empty", "[\"<PEM>\"]", "[]"),
        listed("list without trustList", "trustList", "trustList", "list"),
        listed("list of intermediates as anchors", "trust_intermediates", "trustList", "certList"),
        listed("list with both", "trustList", "\"trustList\"", "\"certList\":[],\"trustList\""),
        listed("list that is an object", "trustList", "[\"<PEM>\"]", "{}"),
        listed("list of no strings", "not a string", "[\"<PEM>\"]", "[1]"),
        listed("list of no certificates", "not a certificate", "<PEM>", "AAAA"),
        listed("list of junk", "neither PEM nor base64", "<PEM>", "*"),
        listed(
            "list with a member twice",
            "twice",
            "\"sequence\"",
            "\"exp\":4000000000,\"sequence\"",
        ),
        bad(list, "list of too many", NO_ANCHORS, |w| {
            let many = ["\"AAAA\""; 2049].join(",");
            edit(&mut anchors(w).payload, "\"<PEM>\"", &many);
        })
        .says("more than 2048"),
    ]
}

/// The administrator's certificate, valid for so many days from so many days ago, self-signed.
fn named(list: &List, ago: i64, days: i64) -> Vec<u8> {
    let spec = Spec::ca("CN=PA", "CN=PA")
        .extensions(&[pki::basic_constraints(false, None), pki::key_usage(&[0])])
        .valid(NOW - ago * DAY, NOW + (days - ago) * DAY);
    spec.issue(&list.key, &list.key)
}

fn another() -> Vec<u8> {
    let key = Key::p256();
    Spec::ca("CN=PA 1", "CN=PA 1").issue(&key, &key)
}

fn signers() -> Vec<Row> {
    vec![
        good(list, "list signed by the second certificate of the file", |w| {
            let list = anchors(w);
            list.key_file = Some(pem(vec![another(), named(list, 1, 2)]));
        }),
        good(list, "list signed by the second key of the file", |w| {
            let list = anchors(w);
            let keys = [Key::p256().spki(), list.key.spki()];
            list.key_file = Some(pki::pem("PUBLIC KEY", &keys).into_bytes());
        }),
        good(list, "list signed by a certificate beside one that expired", |w| {
            let list = anchors(w);
            list.key_file = Some(pem(vec![named(list, 300, 299), named(list, 1, 2)]));
        }),
        bad(list, "list signed by a certificate that expired", NO_ANCHORS, |w| {
            let list = anchors(w);
            list.key_file = Some(pem(vec![another(), named(list, 600, 300)]));
        })
        .says("expired at"),
        bad(list, "list signed by a certificate that is not valid yet", NO_ANCHORS, |w| {
            let list = anchors(w);
            list.key_file = Some(pem(vec![named(list, -1, 2)]));
        })
        .says("is not valid before"),
        bad(list, "list signed by none of the file", NO_ANCHORS, |w| {
            anchors(w).key_file = Some(pem(vec![another(), another()]));
        })
        .says("did not sign"),
        bad(list, "list with too many signers", NO_ANCHORS, |w| {
            let key = Key::p256().spki();
            anchors(w).key_file = Some(pki::pem("PUBLIC KEY", &vec![key; 65]).into_bytes());
        })
        .says("more than 64"),
    ]
}

/// Where the administrator's certificate is.
#[derive(Clone, Copy)]
enum Place {
    X5c,
    Payload,
    Beside,
    Nowhere,
}

/// The key file holds a root; the administrator's certificate, below it, lies at this place.
fn below(place: Place, change: impl Fn(&mut Spec) + 'static) -> impl Fn(&mut World) {
    move |w| {
        let list = anchors(w);
        let root = Key::p256();
        let mut spec = Spec { subject: pki::name("CN=PA"), ..Spec::leaf(PA_ROOT) }
            .extensions(&[pki::basic_constraints(false, None), pki::key_usage(&[0])]);
        change(&mut spec);
        let own = spec.issue(&list.key, &root);
        let text = STANDARD.encode(&own);
        match place {
            Place::X5c => {
                edit(&mut list.header, "{", &format!(r#"{{"x5c":["{text}"],"#));
            }
            Place::Payload => {
                edit(&mut list.payload, "{", &format!(r#"{{"x5c":["{text}"],"#));
            }
            Place::Beside => list.beside = Some(pem(vec![own])),
            Place::Nowhere => {}
        }
        list.key_file = Some(pem(vec![Spec::ca(PA_ROOT, PA_ROOT).issue(&root, &root)]));
    }
}

fn chained(name: &'static str, says: &'static str, change: impl Fn(&mut Spec) + 'static) -> Row {
    bad(list, name, NO_ANCHORS, below(Place::X5c, change)).says(says)
}

fn chains() -> Vec<Row> {
    vec![
        good(list, "list whose x5c leads to the root in the file", below(Place::X5c, |_| ())),
        good(list, "list whose signer beside it leads to the root", below(Place::Beside, |_| ())),
        bad(list, "list whose signer is nowhere", NO_ANCHORS, below(Place::Nowhere, |_| ()))
            .says("did not sign"),
        bad(list, "list whose x5c is in the payload", NO_ANCHORS, below(Place::Payload, |_| ()))
            .says("did not sign"),
        bad(list, "list whose signer beside it is junk", NO_ANCHORS, |w| {
            anchors(w).beside = Some(b"-----BEGIN CERTIFICATE-----\n".to_vec());
        })
        .says(".signer"),
        chained("list whose x5c leads elsewhere", "does not lead to a CA", |spec| {
            spec.issuer = pki::name("CN=Another");
        }),
        chained("list whose x5c has expired", "expired at", |spec| {
            spec.not_after = pki::time(NOW - 1);
        }),
        chained("list signed by a signer of calls", "TNAuthList", |spec| {
            spec.extensions.push(pki::tn_auth_list(false, "1234"));
        }),
        chained("list signed by a CA", "is a CA", |spec| {
            spec.extensions = vec![pki::basic_constraints(true, None), pki::key_usage(&[0, 5])];
        }),
        chained("list signed by who signs nothing", "digitalSignature", |spec| {
            spec.extensions[1] = pki::key_usage(&[6]);
        }),
        listed("list whose x5c is a text", "x5c", "{\"alg\"", "{\"x5c\":\"AAAA\",\"alg\""),
        listed("list whose x5c is junk", "x5c", "{\"alg\"", "{\"x5c\":[\"*\"],\"alg\""),
        listed("list whose x5c makes no sense", "x5c", "{\"alg\"", "{\"x5c\":[\"AAAA\"],\"alg\""),
    ]
}

/// A list that ends at this time, and how long it stays in force.
fn ending(exp: i64, stale: Option<u32>) -> impl Fn(&mut World) {
    move |w| {
        edit(&mut anchors(w).payload, "4000000000", &exp.to_string());
        if let Some(stale) = stale {
            w.config.trust_anchors_stale = stale;
        }
    }
}

fn ends() -> Vec<Row> {
    vec![
        good(list, "list in its last second", ending(NOW + 1, Some(0))),
        bad(list, "list that ran out, to be stale for 0", NO_ANCHORS, ending(NOW, Some(0)))
            .says("ran out"),
        good(list, "list that ran out a second ago", ending(NOW, None)),
        good(list, "list that ran out nearly a week ago", ending(NOW - 7 * DAY + 1, None)),
        bad(list, "list that ran out", NO_ANCHORS, ending(NOW - 7 * DAY, None)).says("ran out"),
        bad(list, "list that ran out long ago", NO_ANCHORS, ending(1, None)).says("ran out"),
        bad(list, "list that ran out at the end of time", NO_ANCHORS, ending(i64::MIN, None))
            .says("ran out"),
        good(list, "list that never ends", ending(i64::MAX, None)),
    ]
}

fn lists_of_intermediates() -> Vec<Row> {
    let unusable =
        |name, change: fn(&mut World)| bad(between, name, INTERMEDIATES_UNUSABLE, change);
    vec![
        good(between, "intermediates in a certList, the leaf alone at x5u", |_| ()),
        good(between, "intermediates in a trustList", |w| {
            edit(&mut intermediates(w).payload, "certList", "trustList");
        }),
        good(between, "intermediates flattened", |w| {
            intermediates(w).form =
                |[a, b, c]| format!(r#"{{"payload":"{b}","protected":"{a}","signature":"{c}"}}"#);
        }),
        unusable("intermediates signed by another", |w| intermediates(w).forged = true)
            .says("did not sign"),
        unusable("intermediates without a key", |w| intermediates(w).key_file = Some(Vec::new()))
            .says("trust_anchors_key"),
        unusable("intermediates that ran out", |w| {
            edit(&mut intermediates(w).payload, "4000000000", "1000000000");
        })
        .says("ran out"),
    ]
}
