//! A fetcher that stands still, and a Redis and a folder that fail or lie, in a real Kamailio: which
//! calls fail, that nothing wrong is accepted, and that all is well again by itself.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::fetching::{self, blocking, file, key, now, signed};
use support::load::share;
use support::{
    Answer, Cfg, Folder, Http, Kamailio, Lab, Load, Redis, Reply, Request, signal, skipped,
    wait_for,
};

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(20);

fn cfg() -> Cfg {
    fetching::cfg(blocking)
}

/// With trust anchors, as an operator has it.
fn trusting(lab: &Lab) -> Cfg {
    cfg().param("trust_anchors", lab.path("ca.pem"))
}

fn call(kamailio: &Kamailio, identity: &str) -> Reply {
    kamailio.udp().send(&Request::invite().header("Identity", identity))
}

fn code(kamailio: &Kamailio, identity: &str) -> i64 {
    call(kamailio, identity).number("X-Code")
}

/// Calls until one is good.
fn wait_for_good(what: &str, kamailio: &Kamailio, identity: &str) {
    wait_for(what, LIMIT, || (code(kamailio, identity) == 1).then_some(()));
}

#[test]
fn a_fetcher_that_stands_still_costs_the_deadline_and_no_more() {
    let (lab, http) = (Lab::new(), Http::start());
    http.on("*", Answer::Ok(lab.read("cert.pem").into()));
    let url = |n: usize| signed(&lab, &http.url(&format!("/{n}.pem")));
    let mut kamailio = Kamailio::start(&cfg());
    let processes = kamailio.processes();
    wait_for_good("the first", &kamailio, &url(0));
    let fetcher = kamailio.fetcher();
    signal(fetcher, "STOP");
    for n in 1..4 {
        let started = Instant::now();
        let reply = call(&kamailio, &url(n));
        let took = started.elapsed();
        assert_eq!(reply.number("X-Code"), -402, "{reply:?}");
        assert!(took > SECOND / 2 && took < 5 * SECOND, "{took:?}");
        // What the worker has is none of the fetcher's business.
        assert_eq!(code(&kamailio, &url(0)), 1);
    }
    signal(fetcher, "CONT");
    for n in 0..5 {
        wait_for_good("the fetcher's return", &kamailio, &url(n));
    }
    kamailio.assert_alive(&processes);
}

/// The same name and a head that fits, so that only chain and signature can tell.
#[test]
fn what_redis_and_the_folder_hold_is_believed_as_little_as_a_server() {
    let (lab, other, http, redis) = (Lab::new(), Lab::new(), Http::start(), Redis::start());
    let own = lab.read("cert.pem");
    // Of the same authority, but another carrier's; and of an authority that nobody trusts.
    lab.secsipidx("ca . --update --spc 5678");
    let carrier = lab.read("spc-5678.pem");
    let stranger = other.read("cert.pem");
    http.on("*", Answer::Ok(own.clone().into()));
    let cache = Folder::new();
    let cfg = trusting(&lab).param("timeout", 5);
    let by_folder = Kamailio::start(&cfg.clone().param("cache_dir", cache.inside("")));
    let by_redis = Kamailio::start(&cfg.param("cache_url", redis.patient_url()));
    let value = |n: usize| format!("secsipid:x5u:{}", key(&url(&http, n)));
    let in_redis = |n: usize, body: &str, until: i64| {
        let text = String::from_utf8(file(&url(&http, n), body, until)).unwrap();
        redis.cli(&["SET", &value(n), &format!("fetched: {}\n{text}", now() - 1)]);
    };
    let in_folder = |n: usize, body: &[u8]| {
        fs::write(cache.join(&format!("{}.pem", key(&url(&http, n)))), body).unwrap();
    };
    let until = now() + 12;
    in_redis(0, &carrier, until);
    in_redis(1, &stranger, until);
    in_folder(2, &file(&url(&http, 2), &carrier, until));
    in_folder(3, &file(&url(&http, 3), &stranger, until));
    // What does not say that it is this URL's, or is no certificate: the server is asked.
    redis.cli(&["SET", &value(4), "junk \u{1}"]);
    redis.cli(&["LPUSH", &value(5), "no text"]);
    redis.cli(&["SETRANGE", &value(6), "1000000", "x"]);
    in_folder(7, &file(&url(&http, 0), &own, until));
    in_folder(8, &file(&url(&http, 8), &own, until)[..500]);
    in_folder(9, b"junk");
    in_redis(10, "junk", until);

    let wrong =
        [(&by_redis, 0, -251), (&by_redis, 1, -101), (&by_folder, 2, -251), (&by_folder, 3, -101)];
    for (kamailio, n, expected) in wrong {
        let reply = call(kamailio, &signed(&lab, &url(&http, n)));
        assert_eq!(reply.number("X-Code"), expected, "{n}: {reply:?}");
        assert_eq!(http.count(&format!("/{n}.pem")), 0);
    }
    for n in 4..=10 {
        let kamailio = if (7..10).contains(&n) { &by_folder } else { &by_redis };
        let reply = call(kamailio, &signed(&lab, &url(&http, n)));
        assert_eq!(reply.number("X-Code"), 1, "{n}: {reply:?}");
        assert_eq!(http.count(&format!("/{n}.pem")), 1, "{n}");
    }
    for n in 7..10 {
        let file = cache.join(&format!("{}.pem", key(&url(&http, n))));
        wait_for(&format!("{n} to be mended"), LIMIT, || {
            fs::read_to_string(&file).is_ok_and(|text| text.ends_with(&own)).then_some(())
        });
    }
    // Until the time is over that they claim, and no longer.
    for (kamailio, n, expected) in wrong {
        let identity = signed(&lab, &url(&http, n));
        wait_for("the server's certificate", LIMIT, || {
            let code = code(kamailio, &identity);
            assert!(code == expected || code == 1, "{n}: {code}");
            (code == 1).then_some(())
        });
        assert!(now() >= until);
    }
}

fn url(http: &Http, n: usize) -> String {
    http.url(&format!("/{n}.pem"))
}

#[test]
fn a_redis_that_fails_costs_nothing_but_itself() {
    let (lab, http, redis) = (Lab::new(), Http::start(), Redis::start());
    http.on("*", Answer::Ok(lab.read("cert.pem").into()));
    let cfg = cfg().workers(4).param("timeout", 5).param("cache_url", redis.url());
    let mut kamailio = Kamailio::start(&cfg);
    let processes = kamailio.processes();
    let mut next = 0;
    // Calls with certificates of which nobody has heard; all are good, and soon.
    let mut calls = |name: &str, count: usize| {
        let identities: Vec<_> =
            (next..next + count).map(|n| signed(&lab, &url(&http, n))).collect();
        next += count;
        let load = Load { port: kamailio.port, rate: 100, window: 8 };
        let answered = load.run(identities);
        assert!(answered.iter().all(|call| call.code == Some(1)), "{name}: {answered:?}");
        let (p50, longest) = (share(&answered, 500), share(&answered, 1000));
        assert!(longest < 5 * SECOND, "{name}: {p50:?}, {longest:?}");
        if count > 1 {
            println!("Redis {name}: p50 {p50:?}, longest {longest:?}");
            assert!(p50 < SECOND / 4, "{name}: {p50:?}, {longest:?}");
        }
    };
    calls("at work", 50);
    let port = redis.port;
    used_again(&mut calls, &redis);
    redis.signal("STOP");
    calls("stopped", 100);
    redis.signal("CONT");
    used_again(&mut calls, &redis);
    redis.cli(&["CLIENT", "PAUSE", "2000"]);
    calls("paused", 100);
    used_again(&mut calls, &redis);
    drop(redis);
    calls("gone", 100);
    used_again(&mut calls, &Redis::start_on(port));
    assert_eq!(http.total(), next, "each certificate was downloaded once");
    kamailio.assert_alive(&processes);
}

/// The certificates that Redis has: no more than one key's share, but each call has another.
fn shared(redis: &Redis) -> HashSet<String> {
    redis.cli(&["KEYS", "secsipid:x5u:*"]).lines().map(str::to_owned).collect()
}

fn used_again(calls: &mut impl FnMut(&str, usize), redis: &Redis) {
    let before = shared(redis);
    wait_for("Redis to be used again", LIMIT, || {
        calls("at work again", 1);
        (!shared(redis).is_subset(&before)).then_some(())
    });
}

#[test]
fn two_kamailios_on_one_redis_cost_one_download() {
    const URLS: usize = 10;
    let (lab, http, redis) = (Lab::new(), Http::start(), Redis::start());
    http.on("*", Answer::Slow(SECOND / 4, lab.read("cert.pem").into()));
    let both = [(); 2].map(|()| {
        let cfg = cfg().workers(8).param("timeout", 5);
        Kamailio::start(&cfg.param("cache_url", redis.patient_url()))
    });
    let identities: Vec<_> = (0..URLS).map(|n| signed(&lab, &url(&http, n))).collect();
    std::thread::scope(|scope| {
        for kamailio in &both {
            let identities = identities.iter().cycle().take(50 * URLS);
            let load = Load { port: kamailio.port, rate: 500, window: 60 };
            scope.spawn(move || {
                let answered = load.run(identities);
                assert!(answered.iter().all(|call| call.code == Some(1)), "{answered:?}");
            });
        }
    });
    assert_eq!(http.total(), URLS, "downloads for 1,000 calls");
}

/// A file system of its own, for as long as the value lives.
struct Mount(Folder);

impl Mount {
    /// As small as that; none where mounting is not allowed.
    fn new() -> Option<Self> {
        let folder = Folder::new();
        mount(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"], folder.path()).then(|| Self(folder))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: somebody may have a file open.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

fn mount(options: &[&str], folder: &Path) -> bool {
    Command::new("mount").args(options).arg(folder).status().is_ok_and(|status| status.success())
}

#[test]
fn a_folder_that_is_full_or_read_only_costs_nothing_but_itself() {
    let Some(cache) = Mount::new() else {
        skipped("a full folder is a file system of its own, so this needs root");
        return;
    };
    let folder = &cache.0;
    let (lab, http) = (Lab::new(), Http::start());
    http.on("*", Answer::Ok(lab.read("cert.pem").into()));
    let cfg = cfg().param("timeout", 5).param("cache_dir", folder.inside(""));
    let kamailio = Kamailio::start(&cfg);
    let good = |n: usize| {
        let reply = call(&kamailio, &signed(&lab, &url(&http, n)));
        assert_eq!(reply.number("X-Code"), 1, "{n}: {reply:?}");
    };
    let is_stored = |n: usize| {
        fs::read(folder.join(&format!("{}.pem", key(&url(&http, n)))))
            .is_ok_and(|text| text.ends_with(lab.read("cert.pem").as_bytes()))
    };
    let stored = |n: usize| {
        good(n);
        wait_for("it to be stored", LIMIT, || is_stored(n).then_some(()));
    };
    stored(0);
    // As much as there is room for.
    let _ = fs::write(folder.join("filler"), vec![0; 1 << 20]);
    good(1);
    kamailio.wait_for_log("can't be stored");
    assert!(!is_stored(1), "the folder is not full");
    let names = || fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names(), 2, "half a file stays");
    fs::remove_file(folder.join("filler")).unwrap();
    stored(2);
    assert!(mount(&["-o", "remount,ro"], folder.path()));
    good(3);
    wait_for("another line in the log", LIMIT, || {
        (kamailio.log().matches("can't be stored").count() == 2).then_some(())
    });
    assert!(mount(&["-o", "remount,rw"], folder.path()));
    stored(4);
    assert!(!is_stored(3), "the folder is not read-only");
    assert_eq!(http.total(), 5);
}
