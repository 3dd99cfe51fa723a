//! README.md and docs/module.md: what they show runs, and all that there is stands there.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use support::{Answer, Cfg, Http, Kamailio, Lab, Module, Reply, Request, repository};

const DOCUMENTS: [&str; 2] = ["README.md", "docs/module.md"];

/// The fenced blocks of a document: line, language, text.
fn blocks(document: &str) -> Vec<(String, String, String)> {
    let text = repository(document);
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            blocks.push((format!("{document}:{}", number + 1), language.into(), block.join("\n")));
        }
    }
    blocks
}

/// What the documents' paths and URLs stand for.
struct Parts {
    lab: Lab,
    _http: Http,
    url: String,
}

impl Parts {
    fn new() -> Self {
        let (lab, http) = (Lab::new(), Http::start());
        let url = http.on("/shaken.pem", Answer::Ok(lab.read("cert.pem").into()));
        std::fs::create_dir(lab.folder.join("cache")).unwrap();
        lab.folder.write("prefetch.txt", format!("# certificates\n{url}\n"));
        Self { lab, _http: http, url }
    }

    fn fill_in(&self, block: &str) -> String {
        let mut block = block.replace("https://certs.example.com/shaken.pem", &self.url);
        for (shown, name) in [
            ("/etc/kamailio/shaken-key.pem", "key.pem"),
            ("/etc/kamailio/cert.pem", "cert.pem"),
            ("/etc/kamailio/sti-roots.pem", "ca.pem"),
            ("/etc/kamailio/sti-intermediates.pem", "intermediates.pem"),
            ("/etc/kamailio/http-roots.pem", "ca.pem"),
            ("/etc/kamailio/sti-pa.pem", "cert.pem"),
            ("/etc/kamailio/sti-crl.pem", "crl.pem"),
            ("/etc/kamailio/prefetch.txt", "prefetch.txt"),
            ("/var/cache/kamailio/secsipid", "cache"),
        ] {
            block = block.replace(shown, &self.lab.path(name));
        }
        for path in ["/etc/", "/var/", "certs.example.com"] {
            assert!(!block.contains(path), "what is put in for {path}… in: {block}");
        }
        block
    }

    /// A request route around a route with the block, which finds a key and a token to use.
    fn statements(&self, block: &str) -> Cfg {
        let (url, key) = (&self.url, self.lab.path("key.pem"));
        Cfg::new(Module::Ours)
            .tm()
            .load("htable")
            .load("uuid")
            .line("modparam(\"htable\", \"htable\", \"keys=>size=4;\")")
            .param("x5u", url.as_str())
            .routes(&format!(
                r#"
                request_route {{
                    if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
                    secsipid_get_url("{url}", "$var(pem)");
                    $sht(keys=>$si) = $var(pem);
                    secsipid_build_identity("$fU", "$rU", "A", "", "", "{key}");
                    $var(token) = $secsipid(val);
                    if (is_present_hf("X-Prepare")) {{
                        append_to_reply("X-Identity: $var(token)\r\n");
                        sl_send_reply("200", "OK");
                        exit;
                    }}
                    route(BLOCK);
                    append_to_reply("X-Ret: $secsipid(ret)\r\nX-Error: $secsipid(error)\r\n");
                    sl_send_reply("200", "OK");
                }}
                route[BLOCK] {{
                    {block}
                }}
                route[CHECK] {{ secsipid_check_identity(""); }}"#
            ))
    }
}

/// Stops Kamailio; its log has no complaint.
fn assert_quiet(place: &str, kamailio: Kamailio) {
    let log = kamailio.stop();
    let complaints: Vec<&str> = log
        .lines()
        .filter(|line| ["ERROR", "CRITICAL", "BUG"].iter().any(|level| line.contains(level)))
        .collect();
    assert!(complaints.is_empty(), "{place}: {complaints:#?}");
}

fn signed(kamailio: &Kamailio) -> Request {
    let reply = kamailio.udp().send(&Request::invite().header("X-Prepare", "yes"));
    let identity = reply.header("X-Identity");
    assert!(identity.contains(";info=<"), "{reply:?}");
    Request::invite().header("Identity", identity)
}

fn assert_passed(place: &str, reply: &Reply) {
    assert_eq!((reply.status, reply.header("X-Ret")), (200, "1"), "{place}: {reply:?}");
}

#[test]
fn every_block_runs() {
    let parts = Parts::new();
    let (mut fragments, mut params, mut statements) = (0, 0, 0);
    for (place, language, block) in DOCUMENTS.iter().flat_map(|document| blocks(document)) {
        match language.as_str() {
            "cfg" => {}
            "sh" => continue,
            _ => panic!("{place}: say what it is: ```cfg or ```sh"),
        }
        let block = parts.fill_in(&block);
        if block.contains("request_route {") {
            fragments += 1;
            fragment(&place, &block);
        } else if block.contains("modparam(") {
            params += 1;
            let cfg = block.lines().fold(Cfg::new(Module::Ours), Cfg::line);
            assert_quiet(&place, Kamailio::start(&cfg.route("sl_send_reply(\"200\", \"OK\");")));
        } else {
            statements += 1;
            let kamailio = Kamailio::start(&parts.statements(&block));
            assert_passed(&place, &kamailio.udp().send(&signed(&kamailio)));
            if block.contains("\"438\"") {
                let reply = kamailio.udp().send(&Request::invite());
                assert_eq!(reply.status, 438, "{place}: an unsigned call: {reply:?}");
            }
            assert_quiet(&place, kamailio);
        }
    }
    assert!(
        fragments >= 1 && params >= 10 && statements >= 8,
        "{fragments} fragments, {params} of parameters, {statements} of statements"
    );
}

/// One that checks and signs: its request route becomes a route, so that there is an answer.
fn fragment(place: &str, block: &str) {
    let load = "loadmodule \"secsipid.so\"\n";
    assert!(block.contains(load), "{place} does not load the module");
    let head = r#"
        request_route {
            if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
            route(BLOCK);
            append_to_reply("X-Ret: $secsipid(ret)\r\nX-Error: $secsipid(error)\r\n");
            sl_send_reply("200", "OK");
        }
        route[BLOCK] {"#;
    // tm stands ahead of ours.
    let tm = "loadmodule \"tm.so\"\n";
    assert!(block.contains(tm), "{place} does not load tm");
    let block = block.replace(load, "").replace(tm, "").replace("request_route {", head);
    // The URL is signed and not fetched; policy shaken signs no other.
    let block = block.replace("\"http://", "\"https://");
    let start = |block: &str| Kamailio::start(&Cfg::new(Module::Ours).tm().routes(block));
    let own = "192.0.2.10";
    assert!(block.contains(own), "{place}: whose calls does it sign?");
    let kamailio = start(&block.replace(own, "127.0.0.1"));
    assert_passed(place, &kamailio.udp().send(&Request::invite()));
    assert_quiet(place, kamailio);
    // What the script says of a call from outside that nobody signed.
    let kamailio = start(&block);
    kamailio.udp().send(&Request::invite());
    let line = kamailio.wait_for_log("<script>: ");
    assert!(line.contains("no Identity header: No-TN-Validation"), "{place}: {line}");
    assert_quiet(place, kamailio);
}

/// What stands between two texts, wherever it does.
fn between<'a>(text: &'a str, before: &str, after: &str) -> BTreeSet<&'a str> {
    text.split(before)
        .skip(1)
        .filter_map(|rest| rest.split_once(after))
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn everything_that_there_is_stands_in_the_reference() {
    let tables = repository("src/kamailio/tables.rs");
    let state = repository("src/results.rs");
    let module = repository("docs/module.md");

    let spaced = tables.replace("(c\"", " c\"");
    let names = between(&spaced, " c\"", "\"");
    let (functions, others): (BTreeSet<&str>, BTreeSet<&str>) =
        names.into_iter().partition(|name| name.starts_with("secsipid_"));
    let parameters = between(&tables, "parameter(c\"", "\"");
    let mut expected = parameters.clone();
    expected.insert("secsipid");
    assert_eq!(others, expected, "names in the tables that are of no known kind");

    let chapter = |title: &str| {
        let rest = module.split_once(&format!("\n## {title}\n")).unwrap().1;
        rest.split("\n## ").next().unwrap().to_owned()
    };
    let headings = chapter("Parameters");
    let headings = between(&headings, "\n### ", " (");
    let headings: BTreeSet<&str> = headings.iter().flat_map(|names| names.split(", ")).collect();
    assert_eq!(headings, parameters);
    let mut of_scripts = functions.clone();
    // In a script it is $secsipid(val).
    assert!(of_scripts.remove("secsipid_get_val"));
    assert_eq!(between(&chapter("Functions"), "\n### ", "("), of_scripts);
    let kemi = chapter("KEMI");
    assert!(kemi.contains("KSR.secsipid.secsipid_get_val()"), "{kemi}");
    for name in &functions {
        let rows = tables
            .split("kemi(")
            .filter(|row| row.trim_start().starts_with(&format!("c\"{name}\"")));
        assert_eq!(rows.count(), 1, "{name} in the KEMI table");
    }

    let variables = between(&state, "    (\"", "\", Variable::");
    let chapter = chapter("Variables");
    let firsts: String = chapter.lines().filter_map(|row| row.split(" | ").next()).collect();
    assert_eq!(between(&firsts, "`$secsipid(", ")`"), variables);
    assert!(parameters.len() > 30 && functions.len() > 12 && variables.len() > 20);
}
