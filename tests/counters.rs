//! Counters as an operator reads them: kamcmd, and Prometheus over HTTP.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::kamailio::free_port;
use support::{Answer, Cfg, Folder, Http, Kamailio, Lab, Module, Request, signal};

/// The counters that kamcmd shows, by name.
fn counters(shown: &str) -> BTreeMap<&str, u64> {
    shown
        .lines()
        .filter_map(|line| line.trim().strip_prefix("secsipid.")?.split_once(':'))
        .filter_map(|(name, value)| Some((name, value.trim().parse().ok()?)))
        .collect()
}

#[test]
fn what_happens_is_counted() {
    let (lab, http, control) = (Lab::new(), Http::start(), Folder::new());
    let x5u = http.on("/cert.pem", Answer::Ok(lab.read("cert.pem").into()));
    let (key, socket, port) = (lab.path("key.pem"), control.inside("ctl"), free_port());
    let cfg = Cfg::new(Module::Ours)
        .workers(2)
        .tcp()
        .global(&format!("listen=tcp:127.0.0.1:{port}\ntcp_accept_no_cl=yes"))
        .load("kex")
        .load("xhttp")
        .load("xhttp_prom")
        .control(&socket)
        .line("modparam(\"xhttp_prom\", \"xhttp_prom_stats\", \"secsipid:\")")
        .param("fetchers", 1)
        .routes(&format!(
            r#"
            request_route {{
                if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
                secsipid_build_identity("$fU", "$rU", "A", "", "{x5u}", "{key}");
                $var(good) = $secsipid(val);
                secsipid_check("$var(good)", "");
                secsipid_check("$var(good)", "");
                secsipid_check("x$var(good)", "");
                secsipid_check("", "");
                secsipid_check("$var(good)", "/nonexistent");
                secsipid_check("$var(good)", "{key}");
                secsipid_check_identity("");
                secsipid_build_identity("$fU", "$rU", "A", "", "{x5u}", "/nonexistent");
                sl_send_reply("200", "OK");
            }}
            event_route[xhttp:request] {{
                prom_dispatch();
            }}"#
        ));
    let kamailio = Kamailio::start(&cfg);
    for _ in 0..10 {
        assert_eq!(kamailio.udp().send(&Request::invite()).status, 200);
    }
    let fetch = || kamailio.kamcmd(&socket, &["stats.fetch", "secsipid:"]);
    let shown = fetch();
    let counters = counters(&shown);
    for (name, value) in [
        ("signed", 10),
        ("verified", 20),
        ("failed_403", 0),
        ("failed_428", 20),
        ("failed_436", 10),
        ("failed_437", 10),
        ("failed_438", 10),
        ("failed_500", 0),
        ("errors", 10),
        ("fetcher_fetches", 1),
        ("fetcher_entries", 1),
    ] {
        assert_eq!(counters.get(name), Some(&value), "{name}: {shown}");
    }
    // A fetcher that is late: its counters are those of before, and do not fall.
    let fetcher = kamailio.fetcher();
    signal(fetcher, "STOP");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        let shown = fetch();
        assert_eq!(self::counters(&shown).get("fetcher_fetches"), Some(&1), "{shown}");
    }
    signal(fetcher, "CONT");
    let mut prometheus = TcpStream::connect(("127.0.0.1", port)).unwrap();
    prometheus
        .write_all(
            b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        )
        .unwrap();
    prometheus.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let mut page = String::new();
    let mut buffer = [0; 4096];
    while let Ok(len) = prometheus.read(&mut buffer) {
        page.push_str(&String::from_utf8_lossy(&buffer[..len]));
        if len == 0 || page.contains("kamailio_secsipid_verified 20") {
            break;
        }
    }
    assert!(page.contains("kamailio_secsipid_verified 20"), "{page}");
}
