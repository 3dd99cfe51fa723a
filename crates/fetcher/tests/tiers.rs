//! The folder and Redis: of use while they work, no trouble when they don't.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::sync::Barrier;
use std::time::{Duration, Instant};
use stir::Fetch;
use stir::store::{SWEEP_EVERY, Store, name};
use support::{Answer, DAY, Folder, Http, Redis, Service, certificate, now, use_it, wait_for};

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(30);

fn value(url: &str) -> String {
    format!("secsipid:x5u:{}", name(url))
}

#[test]
fn the_folder_survives_a_restart() {
    let (http, folder) = (Http::start(), Folder::new());
    let body = certificate(30 * DAY);
    let headers = "Cache-Control: max-age=200000\r\n";
    let url = http.on("/c.pem", Answer::Ok(headers, body.clone()));
    let service = Service::start(&[("cache_dir", folder.path().to_str().unwrap())]);
    let client = service.client(5 * SECOND);
    client.fetch(&url).expect("fetched");
    client.fetch(&url).expect("fetched");
    // Asked for twice is not used: that is what strangers can do.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    client.proven(&url, &[0; 32]);
    client.proven("https://other.example/", &stir::fetch::digest(&body));
    let until = client.list().unwrap()[0].until;
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "another's, or another body");
    use_it(&client, &url);
    client.stats().expect("what was told before has been done");
    assert!((now() + 199_970..=now() + 200_000).contains(&until));
    // A worker without a fetcher reads it too, as long as its own cache_expire allows.
    let (stored, _) = Store::new(folder.path(), 3600).unwrap().get(&url, now()).unwrap();
    assert_eq!(stored, body);

    let service = service.again();
    let client = service.client(5 * SECOND);
    assert_eq!(client.fetch(&url).expect("stored").body, body);
    assert_eq!(http.count("/c.pem"), 1);
    assert_eq!(service.stats().hits_disk, 1);
    let row = &client.list().unwrap()[0];
    assert_eq!((row.until, row.tier.as_str()), (until, "disk"), "no longer than before");

    // One that a worker wrote has no date of its own.
    let old = http.on("/old.pem", Answer::Ok("", body.clone()));
    Store::new(folder.path(), 3600).unwrap().put(&old, &body, None);
    client.fetch(&old).expect("stored");
    assert_eq!(http.count("/old.pem"), 0);
    // Flushed means: its server is asked again.
    client.flush(Some(&url)).unwrap();
    client.fetch(&url).expect("fetched");
    assert_eq!(http.count("/c.pem"), 2);
    client.flush(None).unwrap();
    client.fetch(&old).expect("fetched");
    assert_eq!(http.count("/old.pem"), 1);
}

#[test]
fn a_flush_of_all_outlives_a_restart() {
    let (http, folder, redis) = (Http::start(), Folder::new(), Redis::start("x"));
    let url = http.on("/c.pem", Answer::Ok("", certificate(30 * DAY)));
    for tier in
        [("cache_dir", folder.path().to_str().unwrap()), ("cache_url", &redis.patient_url())]
    {
        let before = http.count("/c.pem");
        let service = Service::start(&[tier]);
        use_it(&service.client(5 * SECOND), &url);
        let client = service.client(5 * SECOND);
        wait_for("it to be kept", LIMIT, || {
            let values = || redis.cli(&["KEYS", "secsipid:x5u:*"]);
            let files = fs::read_dir(folder.path()).unwrap().count();
            (files > 0 || !values().is_empty()).then_some(())
        });
        client.flush(None).unwrap();
        let service = service.again();
        use_it(&service.client(5 * SECOND), &url);
        assert_eq!(http.count("/c.pem"), before + 2, "{tier:?}");
    }
}

#[test]
fn a_folder_that_fills_up_is_looked_through() {
    let (http, folder) = (Http::start(), Folder::new());
    let old = folder.path().join(format!("{:064x}.pem", 1));
    let write_old = || {
        let file = fs::File::create(&old).unwrap();
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(100 * 86_400);
        file.set_modified(long_ago).unwrap();
    };
    write_old();
    let service = Service::start(&[("cache_dir", folder.path().to_str().unwrap())]);
    let client = service.client(5 * SECOND);
    wait_for("the look at the start", LIMIT, || (!old.exists()).then_some(()));
    let use_next = |n: u32| {
        let url = http.on(&format!("/{n}.pem"), Answer::Ok("", certificate(30 * DAY)));
        use_it(&client, &url);
    };
    use_next(0);
    // The next time in order is an hour away.
    write_old();
    for n in 1..SWEEP_EVERY {
        assert!(old.exists(), "gone after {n}");
        use_next(n);
    }
    wait_for("the old file goes", LIMIT, || (!old.exists()).then_some(()));
}

#[test]
fn files_that_are_not_what_they_seem_are_not_used() {
    let (http, folder) = (Http::start(), Folder::new());
    let service = Service::start(&[("cache_dir", folder.path().to_str().unwrap())]);
    let file = |url: &str| folder.path().join(name(url) + ".pem");
    let make = |path: &str| {
        let body = certificate(30 * DAY);
        (http.on(path, Answer::Ok("", body.clone())), body)
    };
    let (a, a_body) = make("/a.pem");
    let (b, b_body) = make("/b.pem");
    let client = service.client(5 * SECOND);
    use_it(&client, &a);
    use_it(&client, &b);
    client.stats().expect("what was told before has been done");
    let whole = fs::read(file(&a)).unwrap();
    let mut rows: Vec<(String, Vec<u8>)> = vec![
        ("swapped".into(), fs::read(file(&b)).unwrap()),
        ("junk".into(), vec![0xff; 5000]),
        ("empty".into(), Vec::new()),
        ("huge".into(), [&whole[..], &vec![b'\n'; 100_000]].concat()),
        ("no date".into(), String::from_utf8_lossy(&whole).replace("until: ", "until: x").into()),
    ];
    let step = whole.len() / 8;
    rows.extend((1..8).map(|n| (format!("{n}/8"), whole[..n * step].to_vec())));
    for (name, content) in rows {
        fs::write(file(&a), content).unwrap();
        let before = http.count("/a.pem");
        let again = Service::start(&[("cache_dir", folder.path().to_str().unwrap())]);
        let client = again.client(5 * SECOND);
        assert_eq!(use_it(&client, &a).body, a_body, "{name}");
        client.stats().expect("what was told before has been done");
        assert_eq!(http.count("/a.pem"), before + 1, "{name}");
        assert_eq!(fs::read(file(&a)).unwrap().len(), whole.len(), "{name}: it is mended");
    }
    // A date of no end is cut to cache_max.
    let text = String::from_utf8(whole).unwrap();
    let (head, rest) = text.split_once("until: ").unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    fs::write(file(&a), format!("{head}until: {}\n{rest}", i64::MAX)).unwrap();
    let again =
        Service::start(&[("cache_dir", folder.path().to_str().unwrap()), ("cache_max", "100000")]);
    let client = again.client(5 * SECOND);
    client.fetch(&a).expect("stored");
    assert!(client.list().unwrap()[0].until <= now() + 100_000);
    // A folder that is gone costs nothing but itself.
    fs::remove_dir_all(folder.path()).unwrap();
    assert_eq!(client.fetch(&b).expect("fetched").body, b_body);
}

#[test]
fn a_certificate_past_its_time_in_the_folder_is_better_than_none() {
    let (http, folder) = (Http::start(), Folder::new());
    let body = certificate(30 * DAY);
    let dead = http.on("/dead.pem", Answer::Status(503));
    let gone = http.on("/gone.pem", Answer::Status(404));
    let store = Store::new(folder.path(), 1).unwrap();
    for url in [&dead, &gone] {
        store.put(url, &body, Some(now() - 100));
    }
    let service = Service::start(&[("cache_dir", folder.path().to_str().unwrap())]);
    let client = service.client(5 * SECOND);
    assert_eq!(client.fetch(&dead).expect("stale").body, body);
    assert_eq!(http.count("/dead.pem"), 1, "its server was asked first");
    assert_eq!(client.fetch(&gone).unwrap_err().code().value(), -403);
}

#[test]
fn two_services_on_one_redis_cost_one_download() {
    const URLS: usize = 20;
    let (http, redis) = (Http::start(), Redis::start("se%cret"));
    let url = format!("redis://:se%25cret@127.0.0.1:{}/1?timeout=5000", redis.port);
    let services = [Service::start(&[("cache_url", &url)]), Service::start(&[("cache_url", &url)])];
    let urls: Vec<_> = (0..URLS)
        .map(|n| {
            let answer = Answer::Slow(Duration::from_millis(200), certificate(DAY));
            http.on(&format!("/{n}.pem"), answer)
        })
        .collect();
    // At the same moment, and all at once.
    for url in &urls {
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            let got = services.each_ref().map(|service| {
                let (client, barrier) = (service.client(5 * SECOND), &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    use_it(&client, url).body
                })
            });
            let [one, other] = got.map(|thread| thread.join().unwrap());
            assert_eq!(one, other);
        });
    }
    assert_eq!(http.total(), URLS);
    let hits: u64 = services.iter().map(|s| s.stats().hits_redis).sum();
    assert_eq!(hits, u64::try_from(URLS).unwrap());
    wait_for("the end of all marks", LIMIT, || {
        redis.cli(&["KEYS", "secsipid:mark:*"]).is_empty().then_some(())
    });
    let ttl: i64 = redis.cli(&["TTL", &value(&urls[0])]).parse().unwrap();
    assert!((DAY - 60..=DAY).contains(&ttl), "{ttl}");
    // A third one later on.
    let third = Service::start(&[("cache_url", &url)]);
    third.client(5 * SECOND).fetch(&urls[0]).expect("shared");
    assert_eq!(http.total(), URLS);
    assert_eq!(third.client(5 * SECOND).list().unwrap()[0].tier, "redis");
    // A flush goes to the server again.
    third.client(5 * SECOND).flush(Some(&urls[0])).unwrap();
    third.client(5 * SECOND).fetch(&urls[0]).expect("fetched");
    assert_eq!(http.total(), URLS + 1);
}

#[test]
fn what_redis_holds_is_not_trusted() {
    let (http, redis) = (Http::start(), Redis::start("x"));
    let service = Service::start(&[("cache_url", &redis.patient_url())]);
    let client = service.client(5 * SECOND);
    let body = certificate(30 * DAY);
    let other = http.on("/other.pem", Answer::Ok("", certificate(30 * DAY)));
    let get = |url: &str| {
        wait_for("it to be shared", LIMIT, || {
            Some(redis.cli(&["GET", &value(url)])).filter(|v| v.contains(&format!("x5u: {url}\n")))
        })
    };
    client.fetch(&other).expect("fetched");
    assert_eq!(redis.cli(&["KEYS", "secsipid:x5u:*"]), "", "nothing has verified with it");
    use_it(&client, &other);
    let theirs = get(&other);
    let far = theirs.replace("until: ", "until: 9").replace("/other.pem", "/far.pem");
    let future = theirs.replace("fetched: ", "fetched: 9").replace("/other.pem", "/future.pem");
    let cut = theirs.replace("/other.pem", "/cut.pem");
    let rows = [
        ("another's", "/a.pem", theirs.as_str()),
        ("junk", "/b.pem", "\u{1}\u{2}junk"),
        ("empty", "/c.pem", ""),
        ("from the future", "/future.pem", &future),
        ("cut", "/cut.pem", &cut[..cut.len() / 2]),
    ];
    for (name, path, content) in rows {
        let url = http.on(path, Answer::Ok("", body.clone()));
        redis.cli(&["SET", &value(&url), content]);
        assert_eq!(use_it(&client, &url).body, body, "{name}");
        assert_eq!(http.count(path), 1, "{name}");
        get(&url);
    }
    // A date of no end is cut to cache_max.
    let url = http.url("/far.pem");
    redis.cli(&["SET", &value(&url), &far]);
    client.fetch(&url).expect("shared");
    let list = client.list().unwrap();
    let row = list.iter().find(|row| row.url == url).unwrap();
    assert!(row.until <= now() + 7 * DAY, "{row:?}");
    // What is no text at all, or far too large: Redis is left alone for a while, and that is all.
    let large = http.on("/large.pem", Answer::Ok("", body.clone()));
    redis.cli(&["SETRANGE", &value(&large), "1000000", "x"]);
    assert_eq!(client.fetch(&large).expect("fetched").body, body);
    let list = http.on("/list.pem", Answer::Ok("", body.clone()));
    redis.cli(&["LPUSH", &value(&list), "x"]);
    assert_eq!(client.fetch(&list).expect("fetched").body, body);
    assert!(service.stats().redis_failed >= 1);
    // A mark that nobody takes away costs no more than a download may take.
    let held = http.on("/held.pem", Answer::Ok("", body.clone()));
    let held_service = Service::start(&[("cache_url", &redis.patient_url()), ("timeout", "1")]);
    redis.cli(&["SET", &value(&held).replace("x5u", "mark"), "1"]);
    let started = Instant::now();
    assert_eq!(held_service.client(5 * SECOND).fetch(&held).expect("fetched").body, body);
    assert!(started.elapsed() < 5 * SECOND, "{:?}", started.elapsed());
}

#[test]
fn redis_that_is_down_or_slow_costs_nothing_but_itself() {
    let http = Http::start();
    let redis = Redis::start("x");
    let port = redis.port;
    let service = Service::start(&[("cache_url", &redis.url())]);
    let client = service.client(5 * SECOND);
    // Fetches so many; the median and the longest time.
    let mut next = 0;
    let mut fetch = |count: usize| {
        let mut times: Vec<_> = (0..count)
            .map(|_| {
                next += 1;
                let url = http.on(&format!("/{next}.pem"), Answer::Ok("", certificate(DAY)));
                let started = Instant::now();
                use_it(&client, &url);
                started.elapsed()
            })
            .collect();
        times.sort();
        (times[count / 2], times[count - 1])
    };
    let with = fetch(50);
    assert!(service.stats().redis_failed <= 5);

    redis.signal("STOP");
    let paused = fetch(200);
    println!("Redis: {with:?} with it, {paused:?} while it is stopped");
    assert!(paused.0 < Duration::from_millis(100) && paused.1 < 4 * SECOND, "{paused:?}");
    let stats = service.stats();
    assert!(stats.redis_failed <= 5 && stats.redis_skipped > 100, "{stats:?}");
    redis.signal("CONT");
    let failed = service.stats().redis_failed;
    let hits = |redis: &Redis| redis.cli(&["KEYS", "secsipid:x5u:*"]).lines().count();
    let before = hits(&redis);
    wait_for("Redis to be used again", LIMIT, || {
        fetch(1);
        (hits(&redis) > before).then_some(())
    });
    assert!(service.stats().redis_failed <= failed + 5);

    drop(redis);
    let down = fetch(100);
    assert!(down.0 < Duration::from_millis(100) && down.1 < 4 * SECOND, "{down:?}");
    let redis = Redis::start_on(port, "x");
    wait_for("the new Redis to be used", LIMIT, || {
        fetch(1);
        (hits(&redis) > 0).then_some(())
    });
    // One that knows another password, and one that is none.
    let wrong = format!("redis://:wrong@127.0.0.1:{port}");
    let web = format!("redis://127.0.0.1:{}", http.port);
    http.on("/x.pem", Answer::Ok("", certificate(DAY)));
    for url in [&wrong, &web] {
        let service = Service::start(&[("cache_url", url)]);
        service.client(5 * SECOND).fetch(&http.url("/x.pem")).expect("fetched");
        assert_eq!(service.stats().redis_failed, 1, "{url}");
    }
}
