//! What a caller is told of all header fields (RFC 9410).

use super::world::{DIVERTER, Token, World, url};
use stir::{Code, Error, Reason};

/// Header fields, the code of the call, and the causes of the Reason values, in their order.
struct Row {
    name: &'static str,
    change: fn(&mut World),
    code: i32,
    causes: &'static [u16],
}

fn row(name: &'static str, code: i32, causes: &'static [u16], change: fn(&mut World)) -> Row {
    Row { name, change, code, causes }
}

fn forged() -> Token {
    Token { forged: true, ..Token::shaken() }
}

fn stale() -> Token {
    let mut token = Token::shaken();
    super::world::edit(&mut token.payload, "1800000000", "1799999900");
    token
}

/// A token whose certificate can't be had.
fn unreachable(w: &mut World) -> Token {
    w.answers.insert(url(DIVERTER), Err(Error::new(Code::HttpGet, "no answer")));
    Token::new("shaken", DIVERTER, Token::shaken().payload)
}

fn all() -> Vec<Row> {
    vec![
        row("one that passes", 1, &[], |_| ()),
        row("none", -304, &[428], |w| w.tokens.clear()),
        row("a forged one before a good one", 1, &[438], |w| w.tokens.insert(0, forged())),
        row("a stale one behind a good one", 1, &[403], |w| w.tokens.push(stale())),
        row("a forged one behind a good one is worth no certificate", 1, &[], |w| {
            w.tokens.push(forged());
        }),
        row("junk behind a good one", 1, &[438], |w| {
            w.fields = Box::new(|fields| fields.push("junk".into()));
        }),
        row("one of an unsupported ppt beside a good one", 1, &[], |w| {
            w.tokens.push(Token::new("msec", 0, "{}".into()));
        }),
        row("an rcd without a name beside a good one", 1, &[438], |w| {
            w.tokens.push(Token::beside("rcd", r#""rcd":{}"#));
        }),
        row("a forged rcd beside a good one", 1, &[438], |w| {
            let token = Token::beside("rcd", r#""rcd":{"nam":"Q"}"#);
            w.tokens.push(Token { forged: true, ..token });
        }),
        row("two that fail", -251, &[438, 403], |w| w.tokens = vec![forged(), stale()]),
        row("one that can't be had before a forged one", -251, &[438, 436], |w| {
            w.tokens = vec![unreachable(w), forged()];
        }),
        row("one that can't be had", -402, &[436], |w| w.tokens = vec![unreachable(w)]),
        row("one that can't be had before a good one", 1, &[436], |w| {
            let token = unreachable(w);
            w.tokens.insert(0, token);
        }),
        row("a field that is repeated is told once", -251, &[438], |w| {
            w.tokens = vec![forged()];
            w.fields = Box::new(|fields| fields.push(fields[0].clone()));
        }),
    ]
}

#[test]
fn reasons_of_all_header_fields() {
    for row in all() {
        assert_eq!(found(&row), (row.code, row.causes.to_vec()), "{}", row.name);
    }
}

/// Code and causes as they came.
fn found(row: &Row) -> (i32, Vec<u16>) {
    let mut world = World::plain();
    (row.change)(&mut world);
    let report = world.again(&format!("reason {}", row.name), &[|_| ()]).remove(0);
    let value = Reason::default().value(&report).unwrap_or_default();
    let causes = value.split(";cause=").skip(1).map(|part| part[..3].parse().unwrap()).collect();
    (report.code(), causes)
}
