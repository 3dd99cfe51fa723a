//! docs/grafana-dashboard.json and the alerts of docs/operations.md: each counter that they name is
//! one that a Kamailio exports, and Prometheus takes what they ask.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;
use support::kamailio::free_port;
use support::{Cfg, Folder, Kamailio, Module, repository, skipped};

const PREFIX: &str = "kamailio_secsipid_";

fn dashboard() -> Value {
    serde_json::from_str(&repository("docs/grafana-dashboard.json")).expect("JSON")
}

/// The rules in docs/operations.md.
fn alerts() -> String {
    let text = repository("docs/operations.md");
    let (_, rest) = text.split_once("```yaml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// The panels that ask something.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let all = dashboard["panels"].as_array().unwrap();
    all.iter().filter(|panel| panel["type"] != "row").collect()
}

/// What a panel asks.
fn targets(panel: &Value) -> &Vec<Value> {
    panel["targets"].as_array().unwrap()
}

/// Names of our counters in a text.
fn counters(text: &str) -> BTreeSet<String> {
    let named = text.split(PREFIX).skip(1);
    named
        .map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            rest[..end.unwrap_or(rest.len())].to_owned()
        })
        .collect()
}

/// What a Kamailio exports to Prometheus.
fn exported() -> BTreeSet<String> {
    let port = free_port();
    let cfg = Cfg::new(Module::Ours)
        .tcp()
        .global(&format!("listen=tcp:127.0.0.1:{port}\ntcp_accept_no_cl=yes"))
        .load("xhttp")
        .load("xhttp_prom")
        .line("modparam(\"xhttp_prom\", \"xhttp_prom_stats\", \"secsipid:\")")
        .param("fetchers", 1)
        .routes(
            r#"
            request_route { sl_send_reply("200", "OK"); }
            event_route[xhttp:request] { prom_dispatch(); }
            "#,
        );
    let _kamailio = Kamailio::start(&cfg);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
        .write_all(
            b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        )
        .unwrap();
    let (mut page, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let len = stream.read(&mut buffer).expect("the rest of the page");
        page.extend_from_slice(&buffer[..len]);
        let text = String::from_utf8_lossy(&page).into_owned();
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let length = text.split_once("Content-Length: ").map(|(_, rest)| rest.split_once("\r\n"));
        let whole = length.flatten().is_some_and(|(n, _)| body.len() >= n.parse().unwrap());
        if whole || len == 0 {
            return counters(body);
        }
    }
}

#[test]
fn every_counter_that_is_looked_at_is_there() {
    let exported = exported();
    assert!(exported.len() > 30, "{exported:?}");
    let shown = counters(&repository("docs/grafana-dashboard.json"));
    let watched = counters(&alerts());
    for (place, named) in [("the dashboard", &shown), ("an alert", &watched)] {
        let unknown: Vec<_> = named.difference(&exported).collect();
        assert!(unknown.is_empty(), "{place} names {unknown:?}, of which Kamailio knows nothing");
    }
    assert!(watched.len() >= 5, "{watched:?}");
    let unseen: Vec<_> = exported.difference(&shown).collect();
    assert!(unseen.is_empty(), "no panel shows {unseen:?}");
}

/// As Grafana's documentation has it ("Dashboard JSON model", classic).
#[test]
fn the_dashboard_is_one_that_grafana_imports() {
    let dashboard = dashboard();
    assert!(dashboard["id"].is_null(), "an id is given by the Grafana that imports it");
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 33, "data sources by uid");
    for (name, is) in [
        ("uid", Value::is_string as fn(&Value) -> bool),
        ("title", Value::is_string),
        ("tags", Value::is_array),
        ("timezone", Value::is_string),
        ("editable", Value::is_boolean),
        ("panels", Value::is_array),
        ("time", Value::is_object),
        ("templating", Value::is_object),
        ("annotations", Value::is_object),
    ] {
        assert!(is(&dashboard[name]), "{name}: {}", dashboard[name]);
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let source = &variables[0];
    assert_eq!((&source["type"], &source["query"]), (&"datasource".into(), &"prometheus".into()));
    let source = format!("${{{}}}", source["name"].as_str().unwrap());
    let known: HashSet<&str> = variables.iter().map(|v| v["name"].as_str().unwrap()).collect();

    let (mut ids, mut cells) = (HashSet::new(), HashSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is another's");
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(w > 0 && h > 0 && x + w <= 24, "{title} is too wide");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{title} lies on another");
        }
    }
    for panel in panels(&dashboard) {
        let title = &panel["title"];
        let mut names = HashSet::new();
        assert!(!targets(panel).is_empty(), "{title} asks nothing");
        for target in targets(panel) {
            assert!(names.insert(target["refId"].as_str().unwrap()), "{title}: refId");
            assert_eq!(target["datasource"]["uid"], source.as_str(), "{title}");
            let expr = target["expr"].as_str().unwrap();
            for used in expr.split('$').skip(1) {
                let end = used.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap();
                let used = &used[..end];
                assert!(used.starts_with("__") || known.contains(used), "{title}: ${used}");
            }
        }
    }
}

#[test]
fn prometheus_takes_alerts_and_panels() {
    if Command::new("promtool").arg("--version").output().is_err() {
        skipped("promtool is not there: run make deps");
        return;
    }
    let folder = Folder::under("/".as_ref());
    let check = |name: &str, rules: &str| {
        folder.write(name, rules);
        let path = folder.join(name);
        let output = Command::new("promtool").args(["check", "rules"]).arg(path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{name}: {said}{output:?}\n{rules}");
        said
    };
    let alerts = alerts();
    let count = alerts.matches("- alert:").count();
    assert!(check("alerts.yml", &alerts).contains(&format!("{count} rules found")));
    // What panels ask, with what Grafana would put in.
    let dashboard = dashboard();
    let mut rules = "groups:\n  - name: panels\n    rules:\n".to_owned();
    let mut asked = 0;
    for expr in
        panels(&dashboard).into_iter().flat_map(targets).map(|t| t["expr"].as_str().unwrap())
    {
        asked += 1;
        let expr = expr.replace("$__rate_interval", "1m").replace("$instance", ".*");
        rules += &format!("      - record: panel:{asked}\n        expr: '{expr}'\n");
    }
    assert!(check("panels.yml", &rules).contains(&format!("{asked} rules found")));
    // It tells good from bad.
    folder.write("bad.yml", rules.replacen("rate(", "rat(", 1));
    let path = folder.join("bad.yml");
    let output = Command::new("promtool").args(["check", "rules"]).arg(path).output().unwrap();
    assert!(!output.status.success(), "{output:?}");
}
