//! Two readers of one text: Kamailio, which shows a script $fu, $fU, $ai, $tu, $tU, $ru and $rU, and the
//! module, which judges. Header fields that are made and changed at random come with a genuine token:
//! a call passes only if the script sees the token's number, and where it does not pass because of
//! another number, it is the one that the script sees. `SECSIPID_BODIES` says how many; 200000 take
//! some minutes.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::net::UdpSocket;
use std::time::{Duration, Instant};
use support::{Cfg, Kamailio, Module, Site};

/// The numbers of the token, without a plus.
const ORIG: &str = "12155551212";
const DEST: &str = "12155551213";
/// Calls whose replies are waited for together: fewer than a socket's buffer holds.
const BATCH: usize = 40;
/// Tokens count for 60 seconds: a new one for so many batches.
const BATCHES_OF_A_TOKEN: usize = 100;
/// How many bodies .ci/run makes.
const DEFAULT: usize = 3_000;

/// Numbers that do not repeat soon (SplitMix64): the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

const PIECES: [&str; 52] = [
    "<",
    ">",
    "\"",
    "\\",
    ";",
    ",",
    ":",
    "@",
    "=",
    "?",
    "&",
    " ",
    "\t",
    "\r\n ",
    "\r",
    "\n",
    "\0",
    "\u{1}",
    "%",
    "%2B",
    "%3B",
    "%40",
    "#",
    "*",
    "[",
    "]",
    "(",
    ")",
    "-",
    ".",
    "/",
    "_",
    "x",
    "+",
    "sip:",
    "sips:",
    "tel:",
    "SIP:",
    "urn:service:sos",
    "a.example",
    "[2001:db8::1]",
    ":5060",
    ";user=phone",
    ";USER=phone",
    ";phone-context=+1",
    ";tag=1",
    ";verstat=x",
    "+12155559999",
    "12155559999",
    "<sip:+NUM@a>",
    "<tel:+NUM>",
    "\"<sip:+NUM@a>\"",
];

/// Bodies of which readers say one thing, with NUM for a number.
const FORMS: [&str; 18] = [
    "<sip:+NUM@a.example>",
    "sip:+NUM@a.example",
    "sip:NUM@a.example;x=y",
    "\"A, B\" <sip:+NUM@a.example:5060;user=phone>;x=y",
    "\"<sip:+12155559999@a>\" <sip:+NUM@a.example>",
    "Alice <sips:%2BNUM@[2001:db8::1]>",
    "<tel:+NUM>",
    "tel:+NUM;x",
    "<tel:+NUM;ext=5>;x=\"y\"",
    "<sip:+NUM;tgrp=a;trunk-context=b@a.example>",
    "<sip:+NUM;phone-context=+1@a.example;user=phone>",
    "<sip:alice@a.example>, <tel:+NUM>",
    "<sip:+NUM@a.example>, <tel:+NUM>",
    "sip:+12155559999@a;x=\"<sip:+NUM@a>\"",
    "<sip:+12155559999@a>",
    "\"a\\\" <sip:+NUM@a>\" <sip:+12155559999@a>",
    "<sip:+12155559999:+NUM@a>",
    "<sip:+12155559999;x=+NUM@a>",
];

fn body(random: &mut Random, number: &str) -> String {
    let mut body = random.of(&FORMS).to_owned();
    if random.below(4) == 0 {
        body = (0..random.below(8)).map(|_| random.of(&PIECES)).collect();
    }
    for _ in 0..random.below(4) {
        let places: Vec<usize> =
            body.char_indices().map(|(at, _)| at).chain([body.len()]).collect();
        let (a, b) = (random.below(places.len()), random.below(places.len()));
        let (start, end) = (places[a.min(b)], places[a.max(b)].min(places[a.min(b)] + 12));
        match random.below(3) {
            0 => body.insert_str(start, random.of(&PIECES)),
            1 if body.is_char_boundary(end) => body.replace_range(start..end, ""),
            _ if body.is_char_boundary(end) => {
                let part = body[start..end].to_owned();
                body.insert_str(places[random.below(places.len())], &part);
            }
            _ => {}
        }
    }
    body.replace("NUM", number)
}

/// Which place of the message is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    From,
    Asserted,
    To,
    RequestUri,
}

const SHOWN: &str = r#"
    secsipid_check_identity("");
    append_to_reply("X-Ret: $secsipid(ret)\r\nX-Error: $(secsipid(error){s.escape.param})\r\n");
    append_to_reply("X-U: $(fu{s.escape.param}) $(ai{s.escape.param}) $(tu{s.escape.param}) $(ru{s.escape.param})\r\n");
    append_to_reply("X-User: $(fU{s.escape.param}) $(ai{uri.user}{s.escape.param}) $(tU{s.escape.param}) $(rU{s.escape.param})\r\n");
    sl_send_reply("200", "OK");
"#;

fn message(part: Part, body: &str, identity: &str, id: &str, local: &str) -> String {
    let of = |wanted: Part, other: String| if part == wanted { body.to_owned() } else { other };
    let uri = of(Part::RequestUri, format!("sip:+{DEST}@b.example"));
    let from = of(Part::From, format!("<sip:+{ORIG}@a.example>"));
    let to = of(Part::To, format!("<sip:+{DEST}@b.example>"));
    let asserted = of(Part::Asserted, format!("<sip:+{ORIG}@a.example>"));
    format!(
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bK{id}\r\nCall-ID: {id}\r\nCSeq: 1 INVITE\r\nX-Id: {id}\r\nP-Asserted-Identity: {asserted}\r\nIdentity: {identity}\r\nFrom: {from}\r\nTo: {to}\r\nContent-Length: 0\r\n\r\n"
    )
}

/// The telephone number that a URI's user is, by rules of this test's own.
fn number(user: &str) -> Option<String> {
    let user = user.split(';').next().unwrap();
    let plain = percent_decoded(user);
    let digits: String = plain
        .strip_prefix('+')
        .unwrap_or(&plain)
        .chars()
        .filter(|c| !"-.() ".contains(*c))
        .collect();
    (!digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || "*#".contains(c)))
        .then_some(digits)
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).and_then(|code| std::str::from_utf8(code).ok());
        match code.filter(|_| bytes[at] == b'%').and_then(|code| u8::from_str_radix(code, 16).ok())
        {
            Some(c) => {
                out.push(c);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out.into_iter().map(char::from).collect()
}

fn header<'a>(reply: &'a str, name: &str) -> &'a str {
    let line = reply.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_default()
}

/// What is wrong with a reply, if anything; whether the call passed.
fn judge(part: Part, reply: &str) -> (Option<String>, bool) {
    let ret = header(reply, "X-Ret");
    let error = percent_decoded(header(reply, "X-Error"));
    let at = match part {
        Part::From => 0,
        Part::Asserted => 1,
        Part::To => 2,
        Part::RequestUri => 3,
    };
    let shown =
        |name: &str| percent_decoded(header(reply, name).split(' ').nth(at).unwrap_or_default());
    let (uri, user) = (shown("X-U"), shown("X-User"));
    let expected = if matches!(part, Part::From | Part::Asserted) { ORIG } else { DEST };
    let passed = ret == "1";
    let sees = number(&user);
    let wrong = if passed {
        // Of a pair the tel URI is the one that was vouched for (RFC 3325 §9.1).
        let pair = part == Part::Asserted
            && sees.is_none()
            && !user.starts_with(|c: char| c.is_ascii_digit() || c == '+');
        (sees.as_deref() != Some(expected) && !pair).then_some("passes")
    } else if let Some((_, seen)) =
        error.split_once(" is not the caller, ").or(error.split_once(" is not the called number, "))
    {
        // A number that was compared is the one that is shown, a URI is one that is shown.
        // What to do about it may follow.
        let seen = seen.split("; ").next().and_then(|seen| seen.split(", ").next()).unwrap();
        let same = match seen.contains(':') {
            false => sees.as_deref() == Some(seen),
            true => {
                uri.get(..3).is_some_and(|scheme| seen.starts_with(&scheme.to_ascii_lowercase()))
            }
        };
        // phone-context is the module's to add.
        (!same && !uri.contains("phone-context") && !seen.is_empty()).then_some("compares another")
    } else {
        None
    };
    (wrong.map(|what| format!("{what}: {ret} {error:?}; shown {uri:?}, {user:?}")), passed)
}

#[test]
fn what_passes_is_what_the_script_sees() {
    let count = std::env::var("SECSIPID_BODIES").map_or(DEFAULT, |n| n.parse().unwrap());
    let site = Site::new();
    let start = |orig: &str, dest: &str| {
        let cfg = site
            .params(Cfg::new(Module::Ours))
            .param("orig_source", orig)
            .param("dest_source", dest)
            .param("replay", "off");
        Kamailio::start(&cfg.workers(1).route(SHOWN))
    };
    // Each looks only at what is changed for it, and at what is as it was.
    let from_and_to = start("from", "to");
    let others = start("pai", "ruri");
    let mut random = Random(20_261_130);
    let (mut done, mut passed, mut unanswered) = (0, 0, 0);
    let mut identity = String::new();
    let mut wrong = Vec::new();
    let mut batches = 0;
    let begun = Instant::now();
    while done < count {
        if batches % BATCHES_OF_A_TOKEN == 0 {
            identity = site.signed(ORIG, DEST);
        }
        let (kamailio, parts) = match batches % 2 {
            0 => (&from_and_to, [Part::From, Part::To]),
            _ => (&others, [Part::Asserted, Part::RequestUri]),
        };
        batches += 1;
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let local = socket.local_addr().unwrap().to_string();
        let mut sent = HashMap::new();
        for number in 0..BATCH {
            let part = parts[usize::from(random.below(5) == 0)];
            let mut body = body(
                &mut random,
                if matches!(part, Part::From | Part::Asserted) { ORIG } else { DEST },
            );
            if part == Part::RequestUri {
                body.retain(|c| !matches!(c, '<' | '>' | ' ' | '\r' | '\n' | '\t' | '"'));
            }
            let id = format!("{done}-{number}-");
            let text = message(part, &body, &identity, &id, &local);
            socket.send_to(text.as_bytes(), ("127.0.0.1", kamailio.port)).unwrap();
            sent.insert(id, (part, body));
        }
        done += BATCH;
        // Behind the last one: there is one worker, and it answers in turn.
        let last = format!(
            "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bKlast\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:a@a>\r\nCall-ID: last\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        socket.send_to(last.as_bytes(), ("127.0.0.1", kamailio.port)).unwrap();
        let mut buffer = vec![0; 65_536];
        loop {
            let len = socket.recv(&mut buffer).expect("the last reply");
            let reply = String::from_utf8_lossy(&buffer[..len]).into_owned();
            if reply.contains("z9hG4bKlast") {
                break;
            }
            let Some(id) = header(&reply, "Via")
                .split("z9hG4bK")
                .nth(1)
                .and_then(|rest| rest.split(';').next())
            else {
                continue;
            };
            let Some((part, body)) = sent.remove(id) else { continue };
            let (what, did) = judge(part, &reply);
            passed += usize::from(did);
            wrong.extend(what.map(|what| format!("{part:?} {body:?} {what}")));
        }
        unanswered += sent.len();
    }
    eprintln!(
        "{done} bodies in {:?}: {passed} passed, {unanswered} were not answered",
        begun.elapsed()
    );
    assert!(
        wrong.is_empty(),
        "{} of {done} wrong:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
    assert!(passed > done / 20, "only {passed} of {done} passed");
}
