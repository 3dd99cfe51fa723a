//! One download for all who ask, for as long as it counts.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Barrier;
use std::time::{Duration, Instant};
use stir::Fetch;
use support::{Answer, DAY, Folder, Http, Service, certificate, now, use_it, wait_for};

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(30);

fn code(result: stir::Result<stir::Fetched>) -> i32 {
    result.map_or_else(|e| e.code().value(), |_| 0)
}

#[test]
fn many_callers_cost_one_download() {
    const CALLERS: usize = 16;
    const REQUESTS: usize = 60;
    let (http, service) = (Http::start(), Service::start(&[]));
    let body = certificate(30 * DAY);
    let url = http.on("/c.pem", Answer::Slow(2 * SECOND, body.clone()));
    let barrier = Barrier::new(CALLERS);
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let client = service.client(5 * SECOND);
                barrier.wait();
                for _ in 0..REQUESTS {
                    assert_eq!(client.fetch(&url).expect("fetched").body, body);
                }
            });
        }
    });
    assert_eq!(http.count("/c.pem"), 1);
    let stats = service.stats();
    assert_eq!((stats.requests, stats.fetches), (960, 1), "{stats:?}");
    assert_eq!(stats.coalesced, 15, "{stats:?}");
    assert_eq!(stats.hits_memory, 960 - 16, "{stats:?}");
    assert_eq!((stats.fetch_count, stats.fetch_buckets.iter().sum::<u64>()), (1, 1), "{stats:?}");
    assert!(stats.fetch_micros >= 2_000_000 && stats.fetch_buckets[6..].contains(&1), "{stats:?}");
    assert_eq!((stats.in_flight, stats.waiting, stats.entries), (0, 0, 1), "{stats:?}");
}

#[test]
fn the_time_it_counts_is_the_servers_within_the_operators_bounds() {
    let (http, service) =
        (Http::start(), Service::start(&[("cache_min", "60"), ("cache_max", "200")]));
    let client = service.client(5 * SECOND);
    for (headers, seconds, lasts) in [
        ("", DAY, 60),
        ("Cache-Control: no-store\r\n", DAY, 60),
        ("Cache-Control: max-age=100\r\n", DAY, 100),
        ("Cache-Control: max-age=100000\r\n", DAY, 200),
        ("Cache-Control: max-age=100\r\nAge: 18446744073709551615\r\n", DAY, 60),
        ("Cache-Control: max-age=100\r\n", 20, 20),
        ("Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n", DAY, 60),
    ] {
        let url = http.on("/c.pem", Answer::Ok(headers, certificate(seconds)));
        let before = now();
        let until = client.fetch(&url).expect("fetched").until.expect("a time");
        let span = before + lasts - 1..=now() + lasts;
        assert!(span.contains(&until), "{headers:?}: {} not {lasts}", until - before);
        client.flush(Some(&url)).expect("flushed");
    }
    // An expired one is handed out, for who asked decides; but nobody is to keep it.
    let url = http.on("/old.pem", Answer::Ok("", certificate(-10)));
    for _ in 0..10 {
        assert!(client.fetch(&url).expect("fetched").until.expect("a time") < now());
    }
    assert_eq!(http.count("/old.pem"), 1, "its server is spared");
}

#[test]
fn certificates_in_use_are_fetched_before_their_time_is_over() {
    let (http, service) = (Http::start(), Service::start(&[("cache_min", "0")]));
    let client = service.client(5 * SECOND);
    let headers = "Cache-Control: max-age=6\r\nETag: \"a\"\r\n";
    let used = http.on("/used.pem", Answer::Ok(headers, certificate(DAY)));
    let idle = http.on("/idle.pem", Answer::Ok(headers, certificate(DAY)));
    let deadline = Instant::now() + 20 * SECOND;
    let mut waits = Vec::new();
    use_it(&client, &used);
    while Instant::now() < deadline {
        // Asked for without end, but no token verifies with it.
        client.fetch(&idle).expect("fetched");
        let started = Instant::now();
        use_it(&client, &used);
        waits.push(started.elapsed());
        // The pace of calls.
        std::thread::sleep(Duration::from_millis(20));
    }
    let stats = wait_for("the end of a download", LIMIT, || {
        Some(service.stats()).filter(|stats| stats.in_flight == 0)
    });
    assert!(stats.refreshes >= 3, "{stats:?}");
    assert_eq!(stats.coalesced, 0, "nobody ever waited: {stats:?}");
    let idle = http.count("/idle.pem");
    assert!(idle <= 5, "what is not used is not fetched ahead, {idle} times");
    let requests = http.requests("/used.pem");
    assert!(requests[1..].iter().all(|r| r.contains("if-none-match: \"a\"")), "{requests:?}");
    assert_eq!(stats.not_modified, stats.fetches - 2, "{stats:?}");
    assert_eq!(stats.refreshes, u64::try_from(requests.len()).unwrap() - 1, "{stats:?}");
    waits.sort();
    let p99 = waits[waits.len() * 99 / 100];
    assert!(p99 < SECOND / 2, "{p99:?}");
    // A new certificate at the same URL comes by itself.
    let new = certificate(DAY);
    http.on("/used.pem", Answer::Ok("Cache-Control: max-age=3\r\nETag: \"b\"\r\n", new.clone()));
    wait_for("the new certificate", LIMIT, || (use_it(&client, &used).body == new).then_some(()));
}

#[test]
fn a_server_in_trouble_does_not_take_its_certificates_with_it() {
    let settings = [("cache_min", "0"), ("stale_if_error", "12"), ("negative_ttl", "1")];
    let (http, service) = (Http::start(), Service::start(&settings));
    let client = service.client(5 * SECOND);
    let headers = "Cache-Control: max-age=1\r\n";
    let strict = "Cache-Control: max-age=1, must-revalidate\r\n";
    let body = certificate(DAY);
    let url = http.on("/c.pem", Answer::Ok(headers, body.clone()));
    let strict = http.on("/strict.pem", Answer::Ok(strict, body.clone()));
    let gone = http.on("/gone.pem", Answer::Ok(headers, body.clone()));
    let begun = Instant::now();
    for url in [&url, &strict, &gone] {
        client.fetch(url).expect("fetched");
    }
    http.on("/c.pem", Answer::Status(503));
    http.on("/strict.pem", Answer::Status(503));
    http.on("/gone.pem", Answer::Status(404));
    wait_for("a stale answer", LIMIT, || {
        assert_eq!(client.fetch(&url).expect("stale").body, body);
        (service.stats().hits_stale > 0 || begun.elapsed() > 5 * SECOND).then_some(())
    });
    assert!(http.count("/c.pem") > 1, "its server was asked");
    wait_for("strict is over", LIMIT, || client.fetch(&strict).err());
    wait_for("gone is over", LIMIT, || client.fetch(&gone).err());
    assert!(begun.elapsed() < 12 * SECOND, "the test was too slow to tell");
    assert_eq!(client.fetch(&url).expect("stale still").body, body);
    let error = wait_for("the end of that too", LIMIT, || client.fetch(&url).err());
    assert!(error.message().contains("503"), "{error}");
    assert!(begun.elapsed() > 12 * SECOND, "{:?}", begun.elapsed());
    // And it comes back by itself.
    http.on("/c.pem", Answer::Ok(headers, body));
    wait_for("its return", LIMIT, || client.fetch(&url).ok());
}

#[test]
fn failures_are_remembered_and_dead_servers_left_alone() {
    let (http, service) = (Http::start(), Service::start(&[("negative_ttl", "5")]));
    let client = service.client(5 * SECOND);
    let missing = http.url("/missing.pem");
    for _ in 0..50 {
        assert_eq!(code(client.fetch(&missing)), -403);
    }
    assert_eq!(http.count("/missing.pem"), 1);
    // It lives, and others of it are fetched.
    let good = http.on("/good.pem", Answer::Ok("", certificate(DAY)));
    client.fetch(&good).expect("fetched");
    // After its time a failure is tried again, and then remembered for twice as long.
    let mut second = Instant::now();
    wait_for("another try", LIMIT, || {
        second = Instant::now();
        client.fetch(&missing).unwrap_err();
        (http.count("/missing.pem") == 2).then_some(())
    });
    wait_for("a third", LIMIT, || {
        client.fetch(&missing).unwrap_err();
        (http.count("/missing.pem") == 3).then_some(())
    });
    assert!(second.elapsed() > Duration::from_millis(9900), "{:?}", second.elapsed());

    let dead = Http::start();
    dead.on("*", Answer::Close);
    for n in 0..100 {
        assert_eq!(code(client.fetch(&dead.url(&format!("/{n}")))), -402);
    }
    assert!(dead.total() <= 6, "hyper may try twice: {}", dead.total());
    let stats = service.stats();
    assert_eq!((stats.failed_connect, stats.refused_breaker), (3, 97), "{stats:?}");
    assert_eq!(stats.breakers_open, 1, "{stats:?}");
    let error = client.fetch(&dead.url("/5000")).unwrap_err();
    assert!(error.message().contains("left alone"), "{error}");
    // It is back: one request finds out.
    dead.on("*", Answer::Ok("", certificate(DAY)));
    let mut n = 0;
    wait_for("its return", LIMIT, || {
        n += 1;
        client.fetch(&dead.url(&format!("/again/{n}"))).ok()
    });
    assert_eq!(service.stats().breakers_open, 0);
}

#[test]
fn operators_see_prefetch_and_flush() {
    let http = Http::start();
    let folder = Folder::new();
    let file = folder.path().join("urls");
    // More of one server than wait for it at once.
    const URLS: usize = 300;
    let urls: Vec<_> = (0..URLS)
        .map(|n| {
            http.on(
                &format!("/{n}.pem"),
                Answer::Ok("", certificate(DAY / 2 + i64::try_from(n).unwrap())),
            )
        })
        .collect();
    std::fs::write(&file, format!("# at start\n\n {}\n", urls.join("\n"))).unwrap();
    let service = Service::start(&[("prefetch_file", file.to_str().unwrap())]);
    let client = service.client(5 * SECOND);
    wait_for("the prefetch", LIMIT, || (service.stats().entries == URLS as u64).then_some(()));
    assert_eq!(http.total(), URLS);
    assert_eq!(service.stats().expire_in_day, URLS as u64);
    let more = http.on("/more.pem", Answer::Ok("", certificate(2 * DAY)));
    client.prefetch(&more).expect("begun");
    wait_for("one more", LIMIT, || (service.stats().entries == URLS as u64 + 1).then_some(()));
    for _ in 0..5 {
        client.fetch(&more).expect("fetched");
    }
    assert_eq!(http.count("/more.pem"), 1);
    let list = client.list().expect("a list");
    assert_eq!(list.len(), URLS + 1);
    let row = &list[0];
    assert_eq!((row.url.as_str(), row.hits, row.tier.as_str()), (more.as_str(), 5, "http"));
    assert!((now() + 2 * DAY - 30..=now() + 2 * DAY).contains(&row.not_after), "{row:?}");
    assert!((0..30).contains(&row.age), "{row:?}");

    client.flush(Some(&more)).expect("flushed");
    client.fetch(&more).expect("fetched");
    assert_eq!(http.count("/more.pem"), 2);
    client.flush(None).expect("flushed");
    assert!(client.list().expect("a list").is_empty());
    assert_eq!(code(client.prefetch("ftp://h/").map(|()| unreachable!())), -401);
    assert_eq!(service.stats().requests, 6);
}

#[test]
fn urls_are_spread_over_services() {
    let http = Http::start();
    http.on("*", Answer::Ok("", certificate(DAY)));
    let services = [Service::start(&[]), Service::start(&[]), Service::start(&[])];
    let addresses = || services.iter().map(|s| fetcher::Address::new(&s.address));
    let client = fetcher::RemoteFetcher::new(addresses(), 5 * SECOND);
    let other = fetcher::RemoteFetcher::new(addresses(), 5 * SECOND);
    for n in 0..90 {
        client.fetch(&http.url(&format!("/{n}"))).expect("fetched");
        other.fetch(&http.url(&format!("/{n}"))).expect("fetched");
    }
    assert_eq!(http.total(), 90, "both find the same service");
    assert!(services.iter().all(|s| s.stats().entries > 5));
    assert_eq!(client.stats().expect("counters").requests, 180);
    assert_eq!(client.list().expect("a list").len(), 90);
    client.flush(None).expect("flushed");
    assert_eq!(client.stats().expect("counters").entries, 0);
}

#[test]
fn it_ends_when_it_is_told_to() {
    let address = fetcher::Address::new(&format!("@fetcher-end-{}", std::process::id()));
    let listener = address.listen().unwrap();
    let http = Http::start();
    let url = http.on("/silent.pem", Answer::Silent);
    let shutdown = fetcher::Shutdown::new();
    let service = std::thread::spawn({
        let shutdown = shutdown.clone();
        move || fetcher::run(&fetcher::Settings::default(), listener, &shutdown, || ())
    });
    let client = fetcher::RemoteFetcher::new([address.clone()], 5 * SECOND);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.fetch(&url));
        let watcher = fetcher::RemoteFetcher::new([address.clone()], 5 * SECOND);
        wait_for("the download", LIMIT, || (watcher.stats().unwrap().in_flight == 1).then_some(()));
        let started = Instant::now();
        shutdown.stop();
        service.join().unwrap().expect("it ends well");
        waiting.join().unwrap().expect_err("nobody answers any more");
        assert!(started.elapsed() < 4 * SECOND, "{:?}", started.elapsed());
    });
    address.listen().expect("its name is free again");
}

#[test]
fn settings_that_cannot_work_are_named() {
    let default = fetcher::Settings::default;
    let folder = Folder::new();
    let file = folder.path().join("urls");
    std::fs::write(&file, "http://h/\nftp://h/\n").unwrap();
    for (settings, text) in [
        (fetcher::Settings { cache_max: 0, ..default() }, "cache_max 0"),
        (fetcher::Settings { cache_min: 9, cache_max: 8, ..default() }, "cache_min 9"),
        (fetcher::Settings { negative_ttl: 0, ..default() }, "negative_ttl 0"),
        (fetcher::Settings { entries: 0, ..default() }, "0 certificates"),
        (fetcher::Settings { bytes: 1, ..default() }, "1 octets"),
        (fetcher::Settings { cache_url: "http://h".into(), ..default() }, "cache_url"),
        (fetcher::Settings { prefetch_file: "/nonexistent".into(), ..default() }, "/nonexistent"),
        (fetcher::Settings { prefetch_file: file.clone(), ..default() }, "line 2"),
    ] {
        let error = settings.validate().unwrap_err();
        assert!(error.message().contains(text), "{text}: {error}");
    }
    default().validate().unwrap();
}

#[test]
fn certificates_that_end_together_are_not_fetched_together() {
    const COUNT: usize = 200;
    let http = Http::start();
    let headers = "Cache-Control: max-age=20\r\n";
    let urls: Vec<_> = (0..COUNT)
        .map(|n| http.on(&format!("/{n}.pem"), Answer::Ok(headers, certificate(DAY))))
        .collect();
    let service = Service::start(&[("cache_min", "0")]);
    let client = service.client(5 * SECOND);
    let ask = || urls.iter().for_each(|url| drop(use_it(&client, url)));
    ask();
    ask();
    let (mut first, mut last) = (None, Instant::now());
    wait_for("the refreshes", 2 * LIMIT, || {
        let done = service.stats().refreshes;
        if done > 0 {
            first.get_or_insert_with(Instant::now);
        }
        last = Instant::now();
        (done == u64::try_from(COUNT).unwrap()).then_some(())
    });
    let span = last - first.unwrap();
    assert!(span > Duration::from_millis(900), "all in {span:?}");
    ask();
    assert_eq!(service.stats().coalesced, 0, "nobody waited");
    wait_for("the last of them", LIMIT, || (http.total() == 2 * COUNT).then_some(()));
}
