//! What further tokens tell of a call that passes: pictures and cards (RFC 9795), priorities (RFC 8443,
//! RFC 9027).

use super::world::{Token, World};
use stir::Report;

/// What comes of a call with further tokens, in one line: icn, jcl, rph, sph.
struct Row {
    name: &'static str,
    change: fn(&mut World),
    told: &'static str,
}

fn row(name: &'static str, told: &'static str, change: fn(&mut World)) -> Row {
    Row { name, change, told }
}

fn rph(w: &mut World, claims: &str) {
    w.tokens.push(Token::beside("rph", claims));
}

const ETS: &str = r#""rph":{"auth":["ets.0","wps.1"]}"#;

fn all() -> Vec<Row> {
    vec![
        row("icn and jcl of an rcd", "https://x/i.png https://x/c.json", |w| {
            let claim = r#""rcd":{"icn":"https://x/i.png","jcl":"https://x/c.json","nam":"Q"}"#;
            w.tokens.push(Token::beside("rcd", claim));
        }),
        row("icn of the call's own token", "https://x/i.png", |w| {
            w.claims(r#","origid""#, r#","rcd":{"icn":"https://x/i.png","nam":"Q"},"origid""#);
        }),
        row("icn of a forged rcd", "", |w| {
            let token = Token::beside("rcd", r#""rcd":{"icn":"https://x/i.png","nam":"Q"}"#);
            w.tokens.push(Token { forged: true, ..token });
        }),
        row("icn beside a jcd whose digest does not hold", "", |w| {
            let claim = r#""rcd":{"icn":"https://x/i.png","jcd":[1],"nam":"Q"},"rcdi":{"/jcd":"sha256-AAAA"}"#;
            w.tokens.push(Token::beside("rcd", claim));
        }),
        row("Resource-Priority is what rph allows", "ets.0", |w| {
            rph(w, ETS);
            w.resource_priority = vec!["ets.0"];
        }),
        row("Resource-Priority of several, in another case", "WPS.1 ets.0", |w| {
            rph(w, ETS);
            w.resource_priority = vec!["WPS.1, ets.0"];
        }),
        row("one Resource-Priority that rph does not allow", "", |w| {
            rph(w, ETS);
            w.resource_priority = vec!["ets.0", "ets.1"];
        }),
        row("rph without Resource-Priority", "", |w| rph(w, ETS)),
        row("Resource-Priority without rph", "", |w| w.resource_priority = vec!["ets.0"]),
        row("Resource-Priority with a forged rph", "", |w| {
            w.tokens.push(Token { forged: true, ..Token::beside("rph", ETS) });
            w.resource_priority = vec!["ets.0"];
        }),
        row("Priority is what sph allows", "psap-callback", |w| {
            rph(w, r#""rph":{"auth":["esnet.0"]},"sph":"psap-callback""#);
            w.priority = Some("psap-callback");
        }),
        row("another Priority than sph allows", "", |w| {
            rph(w, r#""rph":{"auth":["esnet.0"]},"sph":"psap-callback""#);
            w.priority = Some("emergency");
        }),
    ]
}

fn told(report: &Report) -> String {
    let rcd = report.rcd.clone().unwrap_or_default();
    let parts = rcd.icn.into_iter().chain(rcd.jcl).chain(report.rph.clone());
    parts.chain(report.sph.clone()).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_further_tokens_tell() {
    for row in all() {
        let mut world = World::plain();
        (row.change)(&mut world);
        let report = world.again(&format!("beside {}", row.name), &[|_| ()]).remove(0);
        assert_eq!(report.code(), 1, "{}: {:?}", row.name, report.result);
        assert_eq!(told(&report), row.told, "{}", row.name);
    }
}
