//! One reader for one thing: what the module makes of a message in a real Kamailio, `secsipidx inspect`
//! makes of it too.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;
use stir::{Call, Checked, DivCall, PrivateKey, Signer};
use support::kamailio::built;
use support::site::Ago;
use support::{Cfg, Kamailio, Lab, Module, Request};

/// Messages that are compared.
const MESSAGES: usize = 300;
const SEED: u64 = 0x5eed_0010_0015;
const ORIG: &str = "12155551212";
const DEST: &str = "12155551213";

/// xorshift64*: the same messages in each run.
struct Choice(u64);

impl Choice {
    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        &all[usize::try_from(high).unwrap() % all.len()]
    }

    /// Half of the time what is right, so that not everything fails by its first part.
    fn mostly(&mut self, all: &[&'static str]) -> &'static str {
        let any = *self.of(all);
        if *self.of(&[true, false]) { all[0] } else { any }
    }
}

const FROM: [&str; 12] = [
    "<sip:+12155551212@a.example>",
    "<sip:2155551212@a.example>",
    "<tel:+1-215-555-1212>",
    "\"A <sip:1@x> \\\" B\" <sip:+12155551212@a.example;user=phone>",
    "\"Jos\u{f7e9}\" <sip:+12155551212@a.example>",
    "<sip:%2B12155551212@a.example>",
    "<sip:+12155551212;tgrp=x;trunk-context=y@a.example>",
    "<sips:+12155551212@a.example>",
    "Alice <sip:alice@a.example>",
    "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
    "<sip:+12155559999@a.example>",
    "<tel:5551212;phone-context=+1215>",
];
const ASSERTED: [&str; 9] = [
    "",
    "<tel:+12155551212>",
    "<sip:alice@a.example>, <tel:+12155551212>",
    "<sip:+12155551212@a.example>, <tel:+12155559999>",
    "<tel:+12155559999>",
    "<sip:alice@a.example>",
    "\"A, B\" <sip:+12155551212@a.example;user=phone>",
    "<tel:2155551212>",
    "<sip:+12155551212@a.example>;x=y",
];
const TO: [&str; 6] = [
    "<sip:+12155551213@b.example>",
    "<sip:2155551213@b.example>",
    "<tel:+12155551213>",
    "\"B\" <sip:8005550199@b.example>",
    "<sip:bob@b.example>",
    "<sip:+12155551213;x=y@b.example>",
];
const URI: [&str; 6] = [
    "sip:+12155551213@b.example",
    "sip:2155551213@b.example;user=phone",
    "tel:+12155551213",
    "sip:8005550199@b.example",
    "sip:bob@b.example",
    "sip:+12155550009@c.example",
];

/// Sets of Identity header fields, the good one first.
fn identities(lab: &Lab) -> Vec<Vec<String>> {
    let key = lab.read("key.pem");
    let x5u = "https://certs.example.org/1234.pem";
    let signed = |orig, dest, ago| {
        let call = Call { orig, dest, attest: "A", origid: "", x5u, rcd_nam: None };
        let signer = Signer::with_clock(&Checked::default(), std::sync::Arc::new(Ago(ago)));
        signer.identity(&call, PrivateKey::Pem(&key)).unwrap()
    };
    let good = signed(ORIG, DEST, 0);
    let diverted = |div: &str, dest: &str, identities: &[&str]| {
        let call = DivCall { orig: ORIG, dest, div, x5u, identities };
        Signer::new(&Checked::default()).div_identity(&call, PrivateKey::Pem(&key)).unwrap()
    };
    let div = diverted(DEST, "12155550009", &[&good]);
    let flipped = good.replacen(";info", "A;info", 1);
    let named = |ppt: &str| good.replace("ppt=shaken", ppt);
    vec![
        vec![good.clone()],
        vec![],
        vec![flipped.clone()],
        vec![signed(ORIG, DEST, 90)],
        vec![signed(ORIG, DEST, -90)],
        vec![signed("12155559999", DEST, 0)],
        vec![signed("2155551212", "2155551213", 0)],
        vec![flipped, good.clone()],
        vec!["a.b.c;info=<x>".into()],
        vec!["junk".into(), good.clone()],
        vec![named("ppt=other"), good.clone()],
        vec![named("ppt=other")],
        vec![named("ppt=\"shaken\"")],
        vec![good.split(';').next().unwrap().to_owned()],
        vec![good.clone(), div.clone()],
        vec![div.clone(), good.clone()],
        vec![div],
        vec![signed(ORIG, "list:12155551213,8005550199", 0)],
        vec![good.replace("alg=ES256", "alg=RS256")],
        vec![good.replacen("info=<https", "info=<http", 1)],
    ]
}

/// The octets of a message, as the other side would have it in a capture.
fn message(request: &Request) -> Vec<u8> {
    let Request { method, uri, from, to, headers } = request;
    let mut text = format!("{method} {uri} SIP/2.0\r\nFrom: {from};tag=1\r\nTo: {to}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    support::sip::octets(&text)
}

#[test]
fn inspect_says_of_each_message_what_the_module_says() {
    let lab = Lab::new();
    let cfg = Cfg::new(Module::Ours)
        .param("policy", "shaken")
        .param("trust_anchors", lab.path("ca.pem"))
        .param("country_code", "1")
        .param("replay", "off")
        .route(&format!(
            r#"
            secsipid_check_identity("{}");
            append_to_reply("X-Ret: $secsipid(ret)\r\nX-Error: $secsipid(error)\r\n");
            sl_send_reply("200", "OK");
            "#,
            lab.path("cert.pem")
        ));
    let kamailio = Kamailio::start(&cfg);
    let identities = identities(&lab);
    let mut choice = Choice(SEED);
    let (mut wrong, mut codes) = (Vec::new(), std::collections::BTreeMap::new());
    for number in 0..MESSAGES {
        let set = if *choice.of(&[true, false]) { &identities[0] } else { choice.of(&identities) };
        let mut request = Request::invite();
        request.from = choice.mostly(&FROM).into();
        request.to = choice.mostly(&TO).into();
        request.uri = choice.mostly(&URI).into();
        let asserted = choice.mostly(&ASSERTED);
        if !asserted.is_empty() {
            request = request.header("P-Asserted-Identity", asserted);
        }
        let name = choice.of(&["Identity", "y"]);
        request = set.iter().fold(request, |request, one| request.header(name, one));
        let reply = kamailio.udp().send(&request);
        let module = reply.number("X-Ret");
        *codes.entry(module).or_insert(0) += 1;
        lab.folder.write("message", message(&request));
        let inspect = inspected(&lab);
        if inspect != module {
            wrong.push(format!(
                "{number}: the module {module} ({}), inspect {inspect}: {request:?}",
                reply.header("X-Error")
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {MESSAGES}:\n{}", wrong.len(), wrong.join("\n"));
    // What is compared must be of many kinds.
    assert!(codes.len() >= 8 && codes[&1] >= MESSAGES / 10, "{codes:?}");
}

/// The code of inspect's verdict.
fn inspected(lab: &Lab) -> i64 {
    let output = Command::new(built("secsipidx"))
        .args(["inspect", "--json", "--policy", "shaken", "--country-code", "1"])
        .args(["--ca", "ca.pem", "--key", "cert.pem", "message"])
        .current_dir(lab.folder.path())
        .output()
        .unwrap();
    let shown: serde_json::Value = match serde_json::from_slice(&output.stdout) {
        Ok(shown) => shown,
        // It has no header field to inspect.
        Err(_) => {
            let stderr = String::from_utf8(output.stderr).unwrap();
            let code = stderr.rsplit_once("(-").and_then(|(_, rest)| rest.split(')').next());
            return -code.unwrap_or_else(|| panic!("{stderr}")).parse::<i64>().unwrap();
        }
    };
    shown[0]["verdict"]["code"].as_i64().unwrap()
}
