//! What goes wrong costs what it must, and no more.
#![allow(clippy::unwrap_used)]

mod support;

use fetcher::Address;
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use stir::Fetch;
use support::{Answer, DAY, Folder, Http, Service, certificate, signal, use_it, wait_for};

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(30);

fn connect(service: &Service) -> UnixStream {
    let name = service.address.strip_prefix('@').unwrap();
    let address = SocketAddr::from_abstract_name(name).unwrap();
    UnixStream::connect_addr(&address).unwrap()
}

/// A request for a URL, as it goes over the socket.
fn get(number: u32, millis: u32, url: &str) -> Vec<u8> {
    let content = [&number.to_le_bytes()[..], b"g", &millis.to_le_bytes(), url.as_bytes()].concat();
    [&u32::try_from(content.len()).unwrap().to_le_bytes()[..], &content].concat()
}

/// Reads so many answers; how many of them are certificates.
fn answers(stream: &mut UnixStream, count: usize) -> usize {
    let mut good = 0;
    for _ in 0..count {
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut frame = vec![0; u32::from_le_bytes(length).try_into().unwrap()];
        stream.read_exact(&mut frame).unwrap();
        good += usize::from(frame[4] == b'b');
    }
    good
}

/// Ends the threads of a test that fails half-way too.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_flood_of_invented_urls_holds_up_no_good_one() {
    const FLOOD: usize = 20_000;
    const CONNECTIONS: usize = 4;
    // A listener on all addresses: each of 127.0.0.0/8 is another server to the fetcher.
    let (good, bad) = (Http::start(), Http::start_on("0.0.0.0"));
    bad.on("*", Answer::Silent);
    let service = Service::start(&[("timeout", "2")]);
    let client = service.client(5 * SECOND);
    let url = good.on("/good.pem", Answer::Ok("", certificate(DAY)));
    use_it(&client, &url);
    let before = service.memory();
    let done = AtomicBool::new(false);
    let mut times = Vec::new();
    let peak = std::thread::scope(|scope| {
        let stop = Stop(&done);
        let flood: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                let (stream, bad, good) = (connect(&service), &bad, &good);
                scope.spawn(move || {
                    let mut reader = stream.try_clone().unwrap();
                    let share = FLOOD / CONNECTIONS;
                    let read = std::thread::spawn(move || answers(&mut reader, share));
                    let mut stream = stream;
                    for n in connection * share..(connection + 1) * share {
                        let url = match n % 4 {
                            0 => bad.url(&format!("/{n}")),
                            1 => good.url(&format!("/{n}")),
                            _ => {
                                let (high, low) = (n / 250, 1 + n % 250);
                                format!("http://127.9.{high}.{low}:{}/{n}", bad.port)
                            }
                        };
                        stream.write_all(&get(u32::try_from(n).unwrap(), 8000, &url)).unwrap();
                    }
                    read.join().unwrap()
                })
            })
            .collect();
        let prober = scope.spawn(|| {
            let mut peak = 0;
            let client = service.client(5 * SECOND);
            while !done.load(Ordering::Relaxed) {
                let started = Instant::now();
                client.fetch(&url).expect("a certificate in memory is answered");
                times.push(started.elapsed());
                peak = peak.max(service.memory());
                // The pace of calls.
                std::thread::sleep(Duration::from_millis(2));
            }
            peak
        });
        // In the middle of it: another of a server that is known, and one of a server that is not.
        wait_for("the flood", LIMIT, || (service.stats().requests > 5000).then_some(()));
        let patient = service.client(5 * SECOND);
        let known = good.on("/other.pem", Answer::Ok("", certificate(DAY)));
        // One refused for want of room is not remembered as bad: the next call tries again.
        wait_for("a known server's other certificate", LIMIT, || patient.fetch(&known).ok());
        let stranger = Http::start();
        let strange = stranger.on("/c.pem", Answer::Ok("", certificate(DAY)));
        wait_for("a certificate of a server never heard of", LIMIT, || {
            patient.fetch(&strange).ok()
        });
        assert!(service.stats().waiting > 0, "the flood was over too soon to tell");
        let found: usize = flood.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(found, 0);
        drop(stop);
        prober.join().unwrap()
    });
    times.sort();
    let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let growth = peak.saturating_sub(before);
    let stats = service.stats();
    println!(
        "flood: {} good answers, p50 {p50:?}, p99 {p99:?}, memory {before} + {growth} KiB, {stats:?}",
        times.len()
    );
    // One that waited for a download would take two seconds.
    assert!(times.len() > 100 && p99 < SECOND, "p99 {p99:?}");
    assert!(growth < 64 * 1024, "{growth} KiB");
    assert_eq!(stats.entries, 3);
    assert!(stats.negatives <= u64::try_from(fetcher::limits::MAX_NEGATIVES).unwrap());
    assert_eq!(good.count("/good.pem"), 1);
    wait_for("the end of the last downloads", LIMIT, || {
        let stats = service.stats();
        (stats.in_flight + stats.queued + stats.waiting == 0).then_some(())
    });
}

#[test]
fn a_certificate_takes_no_more_memory_than_is_counted() {
    const COUNT: usize = 2000;
    let (http, service) = (Http::start(), Service::start(&[]));
    let headers = "ETag: \"a\"\r\nCache-Control: max-age=100000\r\nServer: x\r\n";
    http.on("*", Answer::Ok(headers, certificate(DAY)));
    let client = service.client(5 * SECOND);
    let fetch = |from: usize, to: usize| {
        for n in from..to {
            client.fetch(&http.url(&format!("/{n}.pem"))).expect("fetched");
        }
        (service.memory() * 1024, service.stats().bytes)
    };
    // The first ones fill the allocator's and the client's own pools.
    let (memory, bytes) = fetch(0, COUNT / 4);
    let (more_memory, more_bytes) = fetch(COUNT / 4, COUNT);
    let (took, counted) = (more_memory.saturating_sub(memory), more_bytes - bytes);
    assert!(took <= counted, "{took} octets, counted as {counted}");
}

#[test]
fn servers_of_every_kind_cost_their_callers_the_timeout_and_others_nothing() {
    let http = Http::start();
    let service = Service::start(&[("timeout", "1")]);
    let good = http.on("/good.pem", Answer::Ok("", certificate(DAY)));
    service.client(5 * SECOND).fetch(&good).expect("fetched");
    let own = |answer| {
        let server = Http::start();
        let url = server.on("/c.pem", answer);
        (server, url)
    };
    let (silent, drips, closes, large) =
        (own(Answer::Silent), own(Answer::Drip), own(Answer::Close), own(Answer::Large(10 << 20)));
    let junk = own(Answer::Ok("", b"<html>404</html>".to_vec()));
    let rows = [
        ("silent", &*silent.1, -402),
        ("drips", &drips.1, -404),
        ("closes", &closes.1, -402),
        ("large", &large.1, -404),
        ("no certificate", &junk.1, -102),
        ("refused", "http://127.0.0.1:1/", -402),
        ("no such name", "http://name.invalid/", -402),
        ("ftp", "ftp://127.0.0.1/", -401),
        ("file", "file:///etc/passwd", -401),
        ("nothing", "", -401),
    ];
    std::thread::scope(|scope| {
        for (name, url, code) in rows {
            let client = service.client(12 * SECOND);
            scope.spawn(move || {
                let started = Instant::now();
                let error = client.fetch(url).expect_err(name);
                assert_eq!(error.code().value(), code, "{name}: {error}");
                assert!(error.message().contains(url), "{name}: {error}");
                assert!(started.elapsed() < 10 * SECOND, "{name}: {:?}", started.elapsed());
            });
        }
        let client = service.client(5 * SECOND);
        let started = Instant::now();
        while started.elapsed() < SECOND {
            client.fetch(&good).expect("a good one meanwhile");
        }
    });
    let long = format!("http://h/{}", "x".repeat(fetcher::limits::MAX_URL_LEN));
    let error = service.client(5 * SECOND).fetch(&long).unwrap_err();
    assert_eq!(error.code().value(), -401, "{error}");
    let stats = service.stats();
    assert_eq!(
        (stats.failed_body, stats.failed_certificate, stats.failed_url),
        (2, 1, 3),
        "{stats:?}"
    );
    // A name server may need longer than the time for a certificate.
    assert!((1..=2).contains(&stats.failed_timeout), "{stats:?}");
    assert!(stats.failed_connect + stats.failed_timeout >= 3, "{stats:?}");
}

#[test]
fn name_servers_that_never_answer_hold_up_no_known_server() {
    const NAMES: usize = 500;
    let folder = Folder::new();
    let resolv = folder.path().join("resolv.conf");
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = format!("127.77.{high}.{}", low.clamp(1, 254));
    std::fs::write(&resolv, format!("nameserver {address}\n")).unwrap();
    let namespace = Command::new("unshare").args(["-m", "true"]).output();
    let silent = std::net::UdpSocket::bind((address.as_str(), 53));
    let (Ok(_silent), true) = (&silent, namespace.is_ok_and(|output| output.status.success()))
    else {
        skipped(&format!("needs a mount namespace and port 53, so root: {silent:?}"));
        return;
    };
    let http = Http::start();
    let service = Service::start(&[("resolv_conf", resolv.to_str().unwrap()), ("timeout", "4")]);
    let threads = service.threads();
    let client = service.client(10 * SECOND);
    let url = |path: &str| {
        http.on(path, Answer::Ok("", certificate(DAY)));
        format!("http://localhost:{}{path}", http.port)
    };
    // By /etc/hosts.
    use_it(&client, &url("/first.pem"));
    let mut flood = connect(&service);
    for n in 0..NAMES {
        let url = format!("http://host-{n}.example/{n}.pem");
        flood.write_all(&get(u32::try_from(n).unwrap(), 8000, &url)).unwrap();
    }
    wait_for("the resolvers", LIMIT, || {
        (service.threads() >= u64::try_from(fetcher::limits::MAX_RESOLVERS).unwrap()).then_some(())
    });
    for n in 0..20 {
        let started = Instant::now();
        client.fetch(&url(&format!("/{n}.pem"))).expect("its name is resolved meanwhile");
        assert!(started.elapsed() < 3 * SECOND, "{:?}", started.elapsed());
    }
    assert_eq!(answers(&mut flood, NAMES), 0, "all are answered, none well");
    let most = u64::try_from(2 * fetcher::limits::MAX_RESOLVERS + 4).unwrap();
    assert!(service.threads() <= threads + most, "{}", service.threads());
}

/// Three invented URLs must not have a carrier's server left alone.
#[test]
fn what_a_server_answers_to_invented_urls_does_not_count_for_its_others() {
    let http = Http::start();
    let service = Service::start(&[("timeout", "1")]);
    let client = service.client(5 * SECOND);
    // It answers, so it is there.
    for n in 0..10 {
        let url = http.on(&format!("/500/{n}"), Answer::Status(500));
        assert_eq!(client.fetch(&url).unwrap_err().code().value(), -403, "{n}");
    }
    let first = http.on("/first.pem", Answer::Ok("", certificate(DAY)));
    client.fetch(&first).expect("fetched");
    // It has delivered, so it is there although these get no answer.
    for n in 0..10 {
        let url = http.on(&format!("/closes/{n}"), Answer::Close);
        assert_eq!(client.fetch(&url).unwrap_err().code().value(), -402, "{n}");
    }
    let second = http.on("/second.pem", Answer::Ok("", certificate(DAY)));
    client.fetch(&second).expect("fetched");
    let stats = service.stats();
    assert_eq!((stats.refused_breaker, stats.breakers_open), (0, 0), "{stats:?}");
    // Each of the URLs is remembered by itself.
    client.fetch(&http.url("/500/1")).unwrap_err();
    assert_eq!(http.count("/500/1"), 1);
}

#[test]
fn a_server_that_asks_to_be_left_alone_is() {
    for status in [429, 503] {
        let http = Http::start();
        let service = Service::start(&[("negative_ttl", "1"), ("cache_min", "0")]);
        let client = service.client(5 * SECOND);
        let used =
            http.on("/used.pem", Answer::Ok("Cache-Control: max-age=1\r\n", certificate(DAY)));
        use_it(&client, &used);
        let busy = http.on("/busy.pem", Answer::Busy(status, "3"));
        let started = Instant::now();
        assert_eq!(client.fetch(&busy).unwrap_err().code().value(), -403);
        // Its others are not asked for either.
        let new = http.on("/new.pem", Answer::Ok("", certificate(DAY)));
        let error = client.fetch(&new).unwrap_err();
        assert!(error.message().contains("Retry-After"), "{status}: {error}");
        assert_eq!(service.stats().breakers_open, 1, "{status}");
        // What is in use is: who else calls must not keep it from being renewed.
        wait_for("its renewal", LIMIT, || {
            use_it(&client, &used);
            (http.count("/used.pem") > 1).then_some(())
        });
        wait_for("the end of it", LIMIT, || client.fetch(&new).ok());
        assert!(started.elapsed() > 2 * SECOND, "{status}: {:?}", started.elapsed());
        assert_eq!(http.count("/busy.pem"), 1, "{status}");
    }
}

#[test]
fn a_caller_with_little_time_is_told_in_time() {
    let http = Http::start();
    let service = Service::start(&[("timeout", "10")]);
    let body = certificate(DAY);
    let url = http.on("/slow.pem", Answer::Slow(4 * SECOND, body.clone()));
    let started = Instant::now();
    let error = service.client(2 * SECOND).fetch(&url).unwrap_err();
    assert!(started.elapsed() < 4 * SECOND, "{:?}", started.elapsed());
    assert!(error.message().contains("no answer in time"), "the fetcher's own words: {error}");
    assert_eq!(service.client(10 * SECOND).fetch(&url).expect("fetched").body, body);
    assert_eq!(http.count("/slow.pem"), 1, "the first one's download");
    assert_eq!(service.stats().timed_out, 1);
}

#[test]
fn a_fetcher_that_is_killed_or_stopped_costs_the_deadline_and_comes_back() {
    const DEADLINE: Duration = Duration::from_millis(300);
    let http = Http::start();
    let url = http.on("/c.pem", Answer::Ok("", certificate(DAY)));
    let mut service = Service::start(&[]);
    let client = service.client(DEADLINE);
    wait_for("the first", LIMIT, || client.fetch(&url).ok());

    signal(&service.process, "STOP");
    let fresh = service.client(DEADLINE);
    for client in [&client, &client, &fresh] {
        let started = Instant::now();
        let error = client.fetch(&url).unwrap_err();
        let took = started.elapsed();
        // The kernel counts a socket's timeout in ticks, and may end it one early.
        assert!(took > DEADLINE / 2 && took < DEADLINE + 5 * SECOND, "{took:?}");
        assert!(error.message().contains("does not answer in 300 ms"), "{error}");
    }
    signal(&service.process, "CONT");
    wait_for("its return", LIMIT, || client.fetch(&url).ok());

    service.stop();
    for client in [&client, &fresh] {
        let error = client.fetch(&url).unwrap_err();
        assert!(error.message().contains(&service.address), "{error}");
    }
    let service = service.again();
    // The connection from before is made anew without a call that fails.
    let (again, served) = (service.client(5 * SECOND), &service);
    again.stats().expect("counters");
    wait_for("the new one", LIMIT, || client.fetch(&url).ok());
    assert!(served.stats().requests > 0);
}

#[test]
fn a_restart_between_two_calls_is_not_seen() {
    let http = Http::start();
    let url = http.on("/c.pem", Answer::Ok("", certificate(DAY)));
    let service = Service::start(&[]);
    let client = service.client(5 * SECOND);
    client.fetch(&url).expect("fetched");
    let _service = service.again();
    client.fetch(&url).expect("over a new connection, at the first go");
}

#[test]
fn a_caller_that_talks_nonsense_loses_its_connection_only() {
    let http = Http::start();
    let url = http.on("/c.pem", Answer::Ok("", certificate(DAY)));
    let service = Service::start(&[]);
    for junk in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0; 64],
        &[0xff; 64],
        &[5, 0, 0, 0, 1, 0, 0, 0, b'?'],
        &[7, 0, 0, 0, 1, 0, 0, 0, b'p', 0xff, 0xff],
    ] {
        let mut stream = connect(&service);
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        // It may close before all is written.
        let _ = stream.write_all(junk);
        let end = stream.read(&mut [0; 16]);
        assert!(!matches!(end, Ok(1..)), "{junk:?}: {end:?}");
        if let Err(e) = end {
            assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset, "{junk:?}");
        }
    }
    // One that asks and never reads, and half a request that never ends.
    let mut deaf = connect(&service);
    deaf.set_nonblocking(true).unwrap();
    while deaf.write(&get(1, 1000, &url)).is_ok() {}
    let mut half = connect(&service);
    half.write_all(&[100, 0, 0, 0, 1]).unwrap();
    service.client(5 * SECOND).fetch(&url).expect("fetched");
    assert_eq!(http.count("/c.pem"), 1);
    drop((deaf, half));
    wait_for("their end", LIMIT, || (service.stats().connections == 1).then_some(()));
}

#[test]
fn other_users_are_refused() {
    let service = Service::start(&[]);
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["nobody_asks", "--exact", "--ignored", "--nocapture"]);
    child.env("FETCHER_ADDRESS", &service.address).uid(65534).gid(65534);
    match child.output() {
        Err(e) => skipped(&format!("another user's process can't be started here: {e}")),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
            assert_eq!(service.stats().requests, 0);
        }
    }
}

#[test]
#[ignore = "not a test: the process that the tests start"]
fn nobody_asks() {
    let address = std::env::var("FETCHER_ADDRESS").expect("started by a test");
    let client = fetcher::RemoteFetcher::new([Address::new(&address)], 5 * SECOND);
    client.fetch("http://127.0.0.1:1/").expect_err("refused");
    // Whatever user the socket seems to be of: the service hangs up without an answer.
    let name = address.strip_prefix('@').unwrap();
    let address = SocketAddr::from_abstract_name(name).unwrap();
    let mut stream = UnixStream::connect_addr(&address).unwrap();
    let _ = stream.write_all(&get(1, 1000, "http://127.0.0.1:1/"));
    assert!(!matches!(stream.read(&mut [0; 16]), Ok(1..)));
}

/// Not by println!, which the test harness keeps to itself.
fn skipped(why: &str) {
    std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes()).unwrap();
}
