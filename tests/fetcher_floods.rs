//! Floods of calls whose certificates can't be had, in a real Kamailio: the others are answered.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::UdpSocket;
use std::time::{Duration, Instant};
use support::fetching::{self, Good, Way, signed, waiting};
use support::load::share;
use support::{Answer, Answered, Cfg, Http, Kamailio, Load, skipped, wait_for};

/// How calls are checked here.
const WAY: Way = waiting;
/// No call holds one of them up.
const WORKERS: u32 = 2;
/// Calls under way at most: what Kamailio's socket takes in when a machine that stood still sends
/// all that is due at once.
const WINDOW: usize = 150;

fn cfg() -> Cfg {
    fetching::cfg(WAY).workers(WORKERS)
}

/// Sends calls and looks at what became of each: the bad ones of this code at the best, of the good
/// ones 999 in a thousand answered with 1.
fn run(
    name: &str,
    good: &Good,
    kamailio: &Kamailio,
    rate: u32,
    identities: &[String],
    bad: &[i64],
) {
    let answered = Load { port: kamailio.port, rate, window: WINDOW }.run(identities);
    let (mine, theirs): (Vec<_>, Vec<_>) =
        answered.iter().zip(identities).partition(|(_, identity)| good.is(identity));
    let mine: Vec<Answered> = mine.into_iter().map(|(call, _)| *call).collect();
    let served = mine.iter().filter(|call| call.code == Some(1)).count();
    let (p50, p99) = (share(&mine, 500), share(&mine, 990));
    println!("{name}: {served} of {} good calls, p50 {p50:?}, p99 {p99:?}", mine.len());
    assert!(served * 1000 >= mine.len() * 999, "{name}: {served} of {} good calls", mine.len());
    assert!(mine.iter().all(|call| matches!(call.code, Some(1) | None)), "{name}");
    // Workers that waited a second for each bad certificate would answer twenty calls a second.
    assert!(p50 < Duration::from_millis(250), "{name}: p50 {p50:?}");
    assert!(p99 < Duration::from_secs(3), "{name}: p99 {p99:?}");
    for (call, identity) in theirs {
        // One whose caller had no patience with it has no code.
        assert!(call.code.is_none_or(|code| bad.contains(&code)), "{name}: {call:?}: {identity}");
    }
}

/// Good calls, each tenth of them another one.
fn mixed(good: &Good, bad: Vec<String>) -> Vec<String> {
    let nine = || std::iter::repeat_n(good.identity.clone(), 9);
    bad.into_iter().flat_map(|bad| nine().chain([bad])).collect()
}

#[test]
fn servers_of_every_bad_kind_hold_up_nobody_else() {
    let good = Good::new();
    // Longer than all of this takes.
    let mut kamailio = Kamailio::start(&cfg().param("negative_ttl", 600));
    let processes = kamailio.processes();
    // A caller's time may be over before that is known: -402.
    for (name, answer, hosts, codes) in [
        ("silent", Answer::Silent, 200, [-402, -402]),
        ("drips", Answer::Drip, 40, [-402, -404]),
        ("closes", Answer::Close, 40, [-402, -402]),
        ("10 MiB", Answer::Large(10 << 20), 40, [-402, -404]),
    ] {
        let server = Http::start_on("0.0.0.0");
        server.on("*", answer);
        let bad = (0..hosts).map(|n| {
            let host = format!("127.8.{}.{}", n / 100, 1 + n % 100);
            signed(&good.lab, &format!("http://{host}:{}/{n}.pem", server.port))
        });
        let bad: Vec<_> = bad.collect();
        run(name, &good, &kamailio, 200, &mixed(&good, bad.clone()), &codes);
        let asked = server.total();
        assert!((1..=hosts).contains(&asked), "{name}: {asked} downloads");
        // Remembered: no download, no wait.
        run(name, &good, &kamailio, 400, &mixed(&good, bad), &codes);
        assert_eq!(server.total(), asked, "{name}");
    }
    assert_eq!(good.http.total(), 1);
    kamailio.assert_alive(&processes);
}

/// After so many failures that they are left alone.
#[test]
fn servers_that_are_back_are_asked_again() {
    let good = Good::new();
    let mut kamailio = Kamailio::start(&cfg().param("negative_ttl", 1));
    let processes = kamailio.processes();
    let load = Load { port: kamailio.port, rate: 1000, window: 10 };
    std::thread::scope(|scope| {
        for answer in [Answer::Silent, Answer::Drip, Answer::Close, Answer::Large(10 << 20)] {
            let good = &good;
            scope.spawn(move || {
                let server = Http::start();
                server.on("*", answer.clone());
                let identities: Vec<_> =
                    (0..5).map(|n| signed(&good.lab, &server.url(&format!("/{n}.pem")))).collect();
                let answered = load.run(&identities);
                let failed = |call: &Answered| matches!(call.code, Some(-402 | -404));
                assert!(answered.iter().all(failed), "{answer:?}: {answered:?}");
                server.on("*", Answer::Ok(good.lab.read("cert.pem").into()));
                for identity in &identities {
                    wait_for(&format!("the end of {answer:?}"), Duration::from_secs(30), || {
                        (load.run([identity])[0].code == Some(1)).then_some(())
                    });
                }
            });
        }
    });
    kamailio.assert_alive(&processes);
}

#[test]
fn certificates_that_expire_in_the_same_second_are_there_in_the_next() {
    const CERTIFICATES: usize = 200;
    const CALLS: usize = 2000;
    let good = Good::new();
    let body: Vec<u8> = good.lab.read("cert.pem").into();
    let server = Http::start();
    server.on("*", Answer::Slow(Duration::from_millis(20), body));
    let cfg = cfg()
        .param("cache_min", 2)
        .param("cache_max", 2)
        .param("negative_ttl", 1)
        .param("timeout", 5);
    let mut kamailio = Kamailio::start(&cfg);
    let processes = kamailio.processes();
    let identities: Vec<_> =
        (0..CERTIFICATES).map(|n| signed(&good.lab, &server.url(&format!("/{n}.pem")))).collect();
    let load = Load { port: kamailio.port, rate: 250, window: WINDOW };
    let started = Instant::now();
    wait_for("all of them", Duration::from_secs(30), || {
        load.run(&identities).iter().all(|call| call.code == Some(1)).then_some(())
    });
    let answered = load.run(identities.iter().cycle().take(CALLS));
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    let served = answered.iter().filter(|call| call.code == Some(1)).count();
    let (p50, p99) = (share(&answered, 500), share(&answered, 990));
    println!(
        "expiring: {served} of {CALLS}, {} downloads, p50 {p50:?}, p99 {p99:?}",
        server.total()
    );
    assert!(served * 1000 >= CALLS * 999, "{served} of {CALLS}");
    assert!(p50 < Duration::from_secs(1), "p50 {p50:?}");
    // Each is fetched anew once for each time that it runs out, or is about to.
    let most = CERTIFICATES * (seconds + 1);
    assert!((2 * CERTIFICATES..=most).contains(&server.total()), "{} downloads", server.total());
    kamailio.assert_alive(&processes);
}

#[test]
fn name_servers_that_never_answer_hold_up_nobody_else() {
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = format!("127.78.{high}.{}", low.clamp(1, 254));
    let namespace = std::process::Command::new("unshare").args(["-m", "true"]).status();
    let silent = UdpSocket::bind((address.as_str(), 53));
    let (Ok(_silent), true) = (&silent, namespace.is_ok_and(|status| status.success())) else {
        skipped(&format!("needs a mount namespace and port 53, so root: {silent:?}"));
        return;
    };
    let good = Good::new();
    let resolv = good.lab.folder.join("resolv.conf");
    std::fs::write(&resolv, format!("nameserver {address}\n")).unwrap();
    let mut kamailio = Kamailio::start(&cfg().resolv_conf(resolv.to_str().unwrap()));
    let processes = kamailio.processes();
    // By a name that needs no name server.
    let local = |path: &str| {
        let url = good.http.on(path, Answer::Ok(good.lab.read("cert.pem").into()));
        signed(&good.lab, &url.replace("127.0.0.1", "localhost"))
    };
    let (first, second) = (local("/first.pem"), local("/second.pem"));
    let load = Load { port: kamailio.port, rate: 200, window: WINDOW };
    assert_eq!(load.run([&first])[0].code, Some(1));
    let bad: Vec<_> =
        (0..60).map(|n| signed(&good.lab, &format!("http://host-{n}.example/{n}.pem"))).collect();
    run("no names", &good, &kamailio, 200, &mixed(&good, bad), &[-402]);
    // All resolvers for names that nobody has heard of are waiting.
    assert_eq!(load.run([&second])[0].code, Some(1));
    kamailio.assert_alive(&processes);
}
