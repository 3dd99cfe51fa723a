//! Callers and called numbers under policy shaken, in a real Kamailio: whatever the header fields of a
//! call with a genuine token of O say, it passes only where Kamailio shows O to the script.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Cfg, Kamailio, Module, Reply, Request, Site};

/// The number that the token is of.
const O: &str = "12155551212";
/// Another number, which the caller wants to be taken for.
const V: &str = "+12155559999";
/// Who is called, by the token.
const D: &str = "12155551213";

/// Changes of the message come before what is shown: Kamailio drops lines for the reply with them.
const SHOW: &str = r#"
    secsipid_check_identity("");
    $var(ret) = $secsipid(ret);
    $var(error) = $secsipid(error);
    secsipid_set_verstat();
    $var(set) = $secsipid(ret);
    msg_apply_changes();
    append_to_reply("X-Ret: $var(ret)\r\nX-Error: $var(error)\r\nX-Set: $var(set)\r\n");
    append_to_reply("X-From: $(hdr(From)[0])\r\nX-Asserted: $(hdr(P-Asserted-Identity)[0])\r\n");
    sl_send_reply("200", "OK");
"#;

struct World {
    site: Site,
    kamailio: Kamailio,
}

impl World {
    fn new(params: impl Fn(Cfg) -> Cfg) -> Self {
        let site = Site::new();
        let kamailio = Kamailio::start(&params(site.params(Cfg::new(Module::Ours))).route(SHOW));
        Self { site, kamailio }
    }

    /// The call of O to D, with one thing changed.
    fn call(&self, change: impl Fn(&mut Request)) -> Reply {
        self.call_of(&self.site.signed(O, D), change)
    }

    fn call_of(&self, identity: &str, change: impl Fn(&mut Request)) -> Reply {
        let mut request = Request::invite().header("Identity", identity);
        change(&mut request);
        self.kamailio.udp().send(&request)
    }

    /// The rows that are answered otherwise than expected.
    fn wrong(&self, rows: &[(&str, i64)], change: impl Fn(&mut Request, &str)) -> Vec<String> {
        let identity = self.site.signed(O, D);
        let judge = |(value, expected): &(&str, i64)| {
            // What a message without its To header is answered, nobody can say.
            let value = value
                .replace("+V", V)
                .replace("+O", &format!("+{O}"))
                .replace("+D", &format!("+{D}"));
            let mut request = Request::invite().header("Identity", &identity);
            change(&mut request, &value);
            let found = self
                .kamailio
                .udp()
                .try_send(&request, std::time::Duration::from_secs(2))
                .map_or((-1, String::new()), |r| {
                    (r.number("X-Ret"), r.header("X-Error").to_owned())
                });
            (found.0 != *expected).then(|| format!("{value}: {found:?}"))
        };
        rows.iter().filter_map(judge).collect()
    }
}

fn asserted(request: &mut Request, value: &str) {
    request.headers.push(("P-Asserted-Identity".into(), value.into()));
}

#[test]
fn a_caller_is_whom_kamailio_shows() {
    let mut world = World::new(|cfg| cfg);
    let processes = world.kamailio.processes();
    let long = format!("<sip:+O@a>;x={}", "y".repeat(8000));
    let from = [
        ("<sip:+O@a>", 1),
        ("sip:+O@a", 1),
        ("\"<sip:+V@a>\" <sip:+O@a>", 1),
        ("\"J\u{f7f6}rg\" <sip:+O@a>", 1),
        ("J\u{f7f6}rg, M. <sip:+O@a>", 1),
        ("<SIPS:%2B12155551212@[2001:db8::1]:5061;user=phone>", 1),
        ("<tel:+1-215-555-1212;ext=5>", 1),
        ("<sip:+O;tgrp=x@a;user=phone>", 1),
        ("\"A\"\r\n <sip:+O@a>\r\n\t;x=y", 1),
        (&long, 1),
        ("sip:+V@a;tag=1;x=\"<sip:+O@a>\"", -501),
        ("sip:+V@a;tag=1;x=<sip:+O@a>", -501),
        ("foo \"<sip:+O@a>\" <sip:+V@a>", -501),
        ("<sip:+O@a> <sip:+V@a>", -501),
        ("<sip:+O@a>, <sip:+V@a>", -501),
        ("\"a\\\\\" <sip:+O@a>\" <sip:+V@a>", -501),
        ("\\\"<sip:+O@a>\" <sip:+V@a>", -501),
        ("\"a\\\" <sip:+O@a>\" <sip:+V@a>", -501),
        ("<sip:+O@a>;x=\"<sip:+V@a>\"", -501),
        ("<sip:+O@a>\u{0}, <sip:+V@a>", -501),
        ("\"\u{1}\" <sip:+O@a>", -501),
        ("<sip:+O@a>\rX: <sip:+V@a>", -501),
        ("<tel:+V@12155551212>", -501),
        ("<tel:+O@a>", -501),
        ("<sip:+O@a@b>", -501),
        ("<sip:+O>", -501),
        ("<sip:+V:+O@a>", -501),
        ("<sip:+V;x=@+O>", -501),
        ("<sip:+O%3Bx@a>", -501),
        ("<sip:+O?x@a;user=phone;user=ip>", -501),
        ("<fax:+O>", -501),
        ("<>", -501),
        ("<sip:+V@a;x=+O@a>", -501),
    ];
    assert_eq!(world.wrong(&from, |r, value| r.from = value.into()), Vec::<String>::new());
    let pai = [
        ("<sip:+O@a>", 1),
        ("<sip:+O@a>;cpc=ordinary", 1),
        ("<sip:alice@a>, <tel:+O>", 1),
        ("<sip:+O@a>,\r\n <tel:+O>", 1),
        ("", 1),
        (" \t", 1),
        ("sip:+V@a;x=\"<sip:+O@a>\"", -501),
        ("sip:+V@a;x=<sip:+O@a>", -501),
        ("<sip:+O@a>;x=\", <sip:+V@a>\"", -501),
        ("<sip:+O@a>, <sip:+V@a>", -501),
        ("<sip:+V_@a>, <tel:+O>", -501),
        ("<sip:%2b12155559999_@a>, <tel:+O>", -501),
        ("<sip:a@a>, <sip:b@a>, <tel:+O>", -501),
        ("<tel:2155551212;phone-context=+49;phone-context=+1>", -501),
        ("<sip:2155551212;phone-context=+1@a>", -501),
        ("<sip:+O@a>,", -501),
        (",<sip:+O@a>", -501),
        ("<sip:+O@a>, nonsense", -501),
        ("<sip:+O@a>\u{0}, <sip:+V@a>", -501),
        ("<sip:+O@a> <sip:+V@a>", -501),
    ];
    assert_eq!(world.wrong(&pai, asserted), Vec::<String>::new());
    // More values than Kamailio reads, in one field and in many.
    let eleven = "<sip:+O@a>, ".repeat(10) + "<sip:+V@a>";
    let many = |r: &mut Request, value: &str| (0..11).for_each(|_| asserted(r, value));
    assert_eq!(world.wrong(&[(&eleven, -501)], asserted), Vec::<String>::new());
    assert_eq!(world.wrong(&[("<sip:+O@a>", -501)], many), Vec::<String>::new());
    // In two fields, in each order, and what one field hides of another.
    for (first, second, expected) in [
        ("<sip:alice@a>", "<tel:+O>", 1),
        ("<sip:+O@a>", "<sip:+O@a>", 1),
        ("<sip:+O@a>", "<sip:+V@a>", -501),
        ("<sip:+V@a>", "<sip:+O@a>", -501),
        ("<sip:+O@a>", "nonsense", -501),
        ("nonsense", "<sip:+O@a>", -501),
        ("<sip:+O@a>", "", -501),
        ("", "<sip:+O@a>", -501),
    ] {
        let two = |r: &mut Request, value: &str| {
            asserted(r, value);
            asserted(r, &second.replace("+V", V).replace("+O", &format!("+{O}")));
        };
        let wrong = world.wrong(&[(first, expected)], two);
        assert!(wrong.is_empty(), "{second}: {wrong:?}");
    }
    // Two callers, by compact name or not: Kamailio parses no such message unless it is told to.
    for name in ["From", "f", "FROM"] {
        let two = |r: &mut Request, value: &str| r.headers.push((name.into(), value.into()));
        assert_eq!(
            world.wrong(&[("<sip:+V@a>", -1), ("<sip:+O@a>", -1)], two),
            Vec::<String>::new()
        );
    }
    world.kamailio.assert_alive(&processes);
}

#[test]
fn a_called_number_is_what_kamailio_shows() {
    let mut world = World::new(|cfg| cfg.param("dest_source", "to"));
    let processes = world.kamailio.processes();
    let to = [
        ("<sip:+D@a>", 1),
        ("<tel:+1-215-555-1213>", 1),
        ("\"B\" <sips:%2B12155551213@a;user=phone>;x=y", 1),
        ("sip:+V@a;x=\"<sip:+D@a>\"", -502),
        ("sip:+V@a;x=<sip:+D@a>", -502),
        // Kamailio cannot parse these, and with them the message.
        ("<sip:+D@a>, <sip:+V@a>", -1),
        ("<sip:+D@a> <sip:+V@a>", -1),
        ("foo \"<sip:+D@a>\" <sip:+V@a>", -1),
        ("<fax:+D>", -502),
        ("<sip:+D@a@b>", -502),
    ];
    assert_eq!(world.wrong(&to, |r, value| r.to = value.into()), Vec::<String>::new());
    for name in ["To", "t"] {
        let two = |r: &mut Request, value: &str| r.headers.push((name.into(), value.into()));
        assert_eq!(world.wrong(&[("<sip:+V@a>", -1)], two), Vec::<String>::new());
    }
    world.kamailio.assert_alive(&processes);
    let world = World::new(|cfg| cfg.param("dest_source", "ruri"));
    let uris = [
        ("sip:+D@a", 1),
        ("SIPS:%2B12155551213@[::1]:5061;user=phone", 1),
        ("tel:+12155551213", 1),
        ("sip:+D;npdi;rn=+V@a;user=phone", 1),
        ("sip:+V@a;x=+D", -502),
        ("tel:+V@12155551213", -502),
        ("sip:+V;x=+D@a", -502),
    ];
    assert_eq!(world.wrong(&uris, |r, value| r.uri = value.into()), Vec::<String>::new());
}

#[test]
fn rules_of_a_country_are_for_calls_and_not_for_tokens() {
    let us = World::new(|cfg| {
        cfg.param("country_code", "1")
            .param("national_prefix", "1")
            .param("international_prefix", "011")
    });
    let russia = World::new(|cfg| {
        cfg.param("country_code", "7")
            .param("national_prefix", "8")
            .param("international_prefix", "810")
    });
    for (world, orig, from, expected) in [
        (&us, "6463501234", "<sip:+16463501234@a>", -501),
        (&us, "6463501234", "<sip:16463501234@a>", -501),
        (&us, "6463501234", "<sip:+6463501234@a>", 1),
        (&us, "6463501234", "<sip:6463501234@a>", 1),
        (&us, "16463501234", "<sip:6463501234@a>", 1),
        (&us, "12155551212", "<sip:2155551212;phone-context=+49@a>", 1),
        (&us, "492155551212", "<sip:2155551212;phone-context=+49@a>", -501),
        (&us, "492155551212", "<sip:2155551212;phone-context=+49@a;user=phone>", 1),
        (&russia, "81312345678", "<sip:+71312345678@a>", -501),
        (&russia, "81312345678", "<sip:81312345678@a>", -501),
        (&russia, "71312345678", "<sip:81312345678@a>", 1),
    ] {
        let reply = world.call_of(&world.site.signed(orig, D), |r| r.from = from.into());
        assert_eq!(reply.number("X-Ret"), expected, "{orig} {from}: {reply:?}");
    }
}

#[test]
fn no_verstat_from_outside_is_left() {
    let mut world = World::new(|cfg| cfg);
    let processes = world.kamailio.processes();
    let forged = "verstat=TN-Validation-Passed";
    // Without an Identity header.
    for (from, pai) in [
        (format!("tel:{V};{forged};tag=1;x=\"<sip:+{O}@a>\""), None),
        (format!("<sip:{V};{forged}@a>;{forged}"), None),
        (format!("sip:{V}@a;{forged}"), None),
        (format!("<sip:{V}@a;VERSTAT = x; %76ERstat=TN-Validation-Passed>"), None),
        (format!("<sip:+1@a>, <tel:{V};{forged}>"), None),
        (format!("\"open <tel:{V};\r\n {forged}>"), None),
        ("<sip:a@a>".into(), Some(format!("tel:{V};{forged};x=\"<sip:+{O}@a>\""))),
        ("<sip:a@a>".into(), Some(format!("sip:{V}@a;{forged}"))),
        ("<sip:a@a>".into(), Some(format!("<sip:{V}@a>;x=\";{forged}\", <tel:{V};{forged}>"))),
        (format!("<tel:{V};{forged}>"), Some(format!("<tel:+{O}>;{forged}, nonsense;{forged}"))),
    ] {
        let mut request = Request::invite();
        request.from.clone_from(&from);
        request.headers.extend(pai.clone().map(|pai| ("P-Asserted-Identity".into(), pai)));
        let reply = world.kamailio.udp().send(&request);
        let shown = format!("{} {}", reply.header("X-From"), reply.header("X-Asserted"));
        assert!(
            !shown.to_ascii_lowercase().replace("%76", "v").contains("passed"),
            "{from} {pai:?}: {reply:?}"
        );
    }
    // A number is marked in the form that its parameter belongs to, an escaped plus or not.
    for (pai, expected) in [
        ("<sip:%2B12155551212@a.lab>", "<sip:%2B12155551212;verstat=TN-Validation-Passed@a.lab>"),
        ("tel:+12155551212", "<tel:+12155551212;verstat=TN-Validation-Passed>"),
        ("sip:+12155551212@a;x", "<sip:+12155551212;verstat=TN-Validation-Passed@a>;x"),
        (
            "<sip:alice;verstat=x@a>, <tel:+12155551212>",
            "<sip:alice@a>, <tel:+12155551212;verstat=TN-Validation-Passed>",
        ),
    ] {
        let reply = world.call(|r| asserted(r, pai));
        assert_eq!((reply.number("X-Ret"), reply.number("X-Set")), (1, 1), "{reply:?}");
        assert_eq!(reply.header("X-Asserted"), expected, "{reply:?}");
    }
    world.kamailio.assert_alive(&processes);
}

#[test]
fn a_user_with_commas_is_one_called_number() {
    let site = Site::new();
    let key = site.lab.path("key.pem");
    let cfg = site.params(Cfg::new(Module::Ours)).param("x5u", site.x5u.as_str()).route(&format!(
        r#"
        $var(user) = secsipid_build_identity("$fU", "$rU", "A", "", "", "{key}");
        append_to_reply("X-User: $var(user)\r\n");
        $var(list) = secsipid_build_identity("$fU", "list:12155551213,12155551214", "A", "", "", "{key}");
        append_to_reply("X-List: $var(list)\r\nX-Token: $secsipid(val)\r\n");
        $var(null) = secsipid_sign("{{\"alg\":\"ES256\"}}", "{{\"orig\":{{\"tn\":\"$avp(none)\"}}}}", "{key}");
        append_to_reply("X-Null: $var(null)\r\nX-Error: $secsipid(error)\r\n");
        sl_send_reply("200", "OK");
        "#
    ));
    let kamailio = Kamailio::start(&cfg);
    let mut request = Request::invite();
    request.uri = "sip:12155551213,12155551214,12155551215@example.org".into();
    let reply = kamailio.udp().send(&request);
    assert_eq!((reply.number("X-User"), reply.number("X-List")), (-231, 1), "{reply:?}");
    assert!(!reply.header("X-Token").is_empty());
    assert_eq!(reply.number("X-Null"), -231, "{reply:?}");
    assert!(reply.header("X-Error").contains("<null>"), "{reply:?}");
}
