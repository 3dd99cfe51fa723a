//! Fetcher processes in a real Kamailio: one download for all, no thread in a worker, a dead host
//! that is left alone, and what becomes of Kamailio when a fetcher dies.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};
use support::fetching::{self, signed};
use support::{Answer, Cfg, Http, Kamailio, Lab, Module, Request, Site, wait_for};

fn cfg() -> Cfg {
    fetching::cfg(fetching::blocking)
}

fn threads(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count()
}

#[test]
fn sixteen_workers_cost_one_download_and_have_one_thread() {
    let (lab, http) = (Lab::new(), Http::start());
    let x5u = http.on("/cert.pem", Answer::Ok(lab.read("cert.pem").into()));
    let identity = signed(&lab, &x5u);
    let control = support::Folder::new();
    let socket = control.inside("ctl");
    let cfg = cfg().workers(16).control(&socket).param("timeout", 5);
    let mut kamailio = Kamailio::start(&cfg);
    let processes = kamailio.processes();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let request = Request::invite().header("Identity", &identity);
                    let reply = kamailio.udp().send(&request);
                    assert_eq!(reply.number("X-Code"), 1, "{reply:?}");
                }
            });
        }
    });
    assert_eq!(http.count("/cert.pem"), 1, "downloads for 16 workers and 1,000 calls");
    // The fetcher has threads that resolve names, the control socket's reader may have some.
    let several = processes.iter().filter(|pid| threads(**pid) > 1).count();
    assert!(several <= 1, "{several} processes have more than one thread");
    let shown = kamailio.kamcmd(&socket, &["core.psx"]);
    assert_eq!(shown.matches("SECSIPID fetcher").count(), 1, "{shown}");
    kamailio.assert_alive(&processes);
}

/// 2 workers, 500 calls a second for 6 seconds, one in fifty names a host that takes the request
/// and says nothing: each of the others is answered, and soon.
#[test]
fn a_host_that_never_answers_holds_up_nobody_for_long() {
    const CALLS: usize = 3000;
    let (lab, http) = (Lab::new(), Http::start());
    let good = signed(&lab, &http.on("/cert.pem", Answer::Ok(lab.read("cert.pem").into())));
    let dead = Http::start();
    let silent = signed(&lab, &dead.on("/cert.pem", Answer::Silent));
    let mut kamailio = Kamailio::start(&cfg().workers(2));
    let processes = kamailio.processes();
    let started = Instant::now();
    let mut waits: Vec<Duration> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..CALLS)
            .map(|n| {
                // The load's own pace.
                let due = started + Duration::from_millis(2 * n as u64);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let (identity, good) = if n % 50 == 7 { (&silent, false) } else { (&good, true) };
                let sip = kamailio.udp();
                scope.spawn(move || {
                    let begun = Instant::now();
                    let request = Request::invite().header("Identity", identity);
                    // As a caller does over UDP (RFC 3261 §17.1.1.2).
                    let reply = [500, 1000, 2000, 4000]
                        .iter()
                        .find_map(|wait| sip.try_send(&request, Duration::from_millis(*wait)))
                        .expect("an answer");
                    assert_eq!(reply.number("X-Code"), if good { 1 } else { -402 }, "{reply:?}");
                    good.then(|| begun.elapsed())
                })
            })
            .collect();
        calls.into_iter().filter_map(|call| call.join().unwrap()).collect()
    });
    waits.sort_unstable();
    let of = |share: usize| waits[waits.len() * share / 1000];
    println!("good calls: p50 {:?}, p99 {:?}, longest {:?}", of(500), of(990), of(999));
    assert_eq!(waits.len(), CALLS - CALLS / 50, "good calls answered");
    // Both workers may wait once for the dead host before it is known as dead; if they did each
    // time, that would be 30 seconds.
    assert!(of(500) < Duration::from_secs(1), "p50 {:?}", of(500));
    let asked = dead.count("/cert.pem");
    assert!(asked < 20, "the dead host was asked {asked} times for {} calls", CALLS / 50);
    kamailio.assert_alive(&processes);
}

/// However many silent hosts a message names, the worker waits `timeout` once.
#[test]
fn many_silent_hosts_in_one_call_cost_the_time_of_one() {
    let timeout = Duration::from_secs(2);
    let site = Site::new();
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let hosts: Vec<_> = (50..59)
        .map(|n| TcpListener::bind((format!("127.{n}.{high}.{low}"), 8443)).unwrap())
        .collect();
    let request = hosts.iter().fold(Request::invite(), |request, host| {
        let x5u = format!("https://{}/cert.pem", host.local_addr().unwrap());
        request.header("Identity", site.signed_ago("12155551212", "12155551213", &x5u, 0))
    });
    for (policy, fetchers) in [("shaken", 1), ("shaken", 0), ("compat", 1), ("compat", 0)] {
        let cfg = site.params(fetching::blocking(Cfg::new(Module::Ours)).param("timeout", 2));
        let cfg = cfg.param("policy", policy).param("fetchers", fetchers);
        let mut kamailio = Kamailio::start(&cfg);
        let processes = kamailio.processes();
        let begun = Instant::now();
        let reply = kamailio.udp().send(&request);
        let took = begun.elapsed();
        assert_eq!(reply.number("X-Code"), -402, "{policy}, {fetchers} fetchers: {reply:?}");
        assert!(took > timeout / 2 && took < timeout * 3, "{policy}, {fetchers}: {took:?}");
        // The time is each call's own.
        let good = Request::invite().header("Identity", site.signed("12155551212", "12155551213"));
        assert_eq!(kamailio.udp().send(&good).number("X-Code"), 1, "{policy}, {fetchers}");
        kamailio.assert_alive(&processes);
    }
}

#[test]
fn kamailio_ends_with_its_fetcher_as_with_any_process() {
    let kamailio = Kamailio::start(&cfg());
    let before = kamailio.processes();
    support::signal(kamailio.fetcher(), "KILL");
    wait_for("Kamailio to end", Duration::from_secs(20), || {
        (!kamailio.processes().iter().any(|pid| before.contains(pid))).then_some(())
    });
    assert!(kamailio.log().contains("child process"), "{}", kamailio.log());
}

/// In another PID namespace a Kamailio may have the same id; others must not take the name before.
#[test]
fn no_two_sockets_have_a_name_that_can_be_known_before() {
    let [one, other] = [(); 2].map(|()| Kamailio::start(&cfg()).socket().1);
    assert!(one.len() > 16 && other.len() > 16 && one != other, "{one}, {other}");
}

#[test]
fn a_fetcher_follows_what_operators_set() {
    let control = support::Folder::new();
    let socket = control.inside("ctl");
    let mut kamailio = Kamailio::start(&cfg().load("cfg_rpc").control(&socket));
    let processes = kamailio.processes();
    let name = format!("secsipid-{}-{}", kamailio.pid(), kamailio.socket().1);
    let address = SocketAddr::from_abstract_name(name).unwrap();
    // Of what makes no sense it speaks at debug level only.
    let junk = || UnixStream::connect_addr(&address).unwrap().write_all(&[0xff; 4]).unwrap();
    junk();
    kamailio.kamcmd(&socket, &["cfg.set_now_int", "core", "debug", "3"]);
    wait_for("a line at debug level", Duration::from_secs(10), || {
        junk();
        kamailio.log().contains("a caller's connection ends").then_some(())
    });
    kamailio.assert_alive(&processes);
}

#[test]
fn wrong_settings_are_named() {
    for (name, value, text) in [
        ("fetchers", 17, "fetchers 17"),
        ("negative_ttl", 0, "negative_ttl 0"),
        ("cache_max", 1, "cache_max 1"),
    ] {
        let log = Kamailio::refused(&cfg().param(name, value));
        assert!(log.contains(text), "{name}: {log}");
    }
    let log = Kamailio::refused(&cfg().param("cache_url", "http://x"));
    assert!(log.contains("cache_url"), "{log}");
    let log = Kamailio::refused(&cfg().param("prefetch_file", "/nonexistent"));
    assert!(log.contains("prefetch_file"), "{log}");
}
