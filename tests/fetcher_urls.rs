//! A hundred thousand calls whose certificates are on servers that nobody has heard of, in a real
//! Kamailio: memory and the other calls stay as they were.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::fetching::{self, Good, blocking};
use support::load::share;
use support::{Answered, Kamailio, Load, private_memory};

/// Answers 404 to everything, over connections that it keeps open for a moment.
struct NotFound {
    port: u16,
    requests: Arc<AtomicUsize>,
}

impl NotFound {
    /// Longer than the next request of the same client's takes, and no longer than necessary.
    const IDLE: Duration = Duration::from_millis(300);

    fn start() -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        // It listens until the test's process ends.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let count = Arc::clone(&count);
                let serve = move || drop(Self::serve(stream, &count));
                std::thread::Builder::new().stack_size(64 * 1024).spawn(serve).unwrap();
            }
        });
        Self { port, requests }
    }

    fn serve(mut stream: TcpStream, count: &AtomicUsize) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Self::IDLE))?;
        stream.set_nodelay(true)?;
        let mut buffer = [0; 4096];
        let mut len = 0;
        loop {
            match stream.read(&mut buffer[len..])? {
                0 => return Ok(()),
                more => len += more,
            }
            if buffer[..len].ends_with(b"\r\n\r\n") {
                count.fetch_add(1, Ordering::Relaxed);
                stream.write_all(b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n")?;
                len = 0;
            }
        }
    }
}

/// `FLOOD_URLS` sets another number.
#[test]
fn a_hundred_thousand_invented_urls_leave_memory_and_good_calls_as_they_were() {
    /// URLs of a server.
    const EACH: usize = 50;
    /// Calls with invented URLs for each good one.
    const SHARE: usize = 20;
    let urls = std::env::var("FLOOD_URLS").map_or(100_000, |text| text.parse().unwrap());
    let (good, server) = (Good::new(), NotFound::start());
    // All tokens are of one second.
    let cfg = fetching::cfg(blocking).workers(16).param("expire", 100_000).param("timeout", 5);
    let mut kamailio = Kamailio::start(&cfg);
    let processes = kamailio.processes();
    // Who invents URLs does not sign either: of a real token only the URL is another.
    let invented = |n: usize| {
        let host = n / EACH;
        let url =
            format!("http://127.{}.{}.1:{}/{n}.pem", 10 + host / 250, host % 250, server.port);
        fetching::with_x5u(&good.identity, &url)
    };
    let calls = |from: usize, to: usize| {
        let identities =
            (from..to).map(|n| if n % SHARE == 0 { good.identity.clone() } else { invented(n) });
        let started = Instant::now();
        let answered = Load { port: kamailio.port, rate: u32::MAX, window: 40 }.run(identities);
        let took = started.elapsed();
        let (mine, theirs): (Vec<_>, Vec<_>) =
            answered.iter().enumerate().partition(|(n, _)| n % SHARE == 0);
        let mine: Vec<Answered> = mine.into_iter().map(|(_, call)| *call).collect();
        assert!(mine.iter().all(|call| call.code == Some(1)), "a good call failed");
        // -403 is what its server answers; -402, what a fetcher with too much to do does.
        let wrong: Vec<_> =
            theirs.iter().filter(|(_, c)| !matches!(c.code, Some(-403 | -402))).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        let p50 = share(&mine, 500);
        println!("{from} to {to}: {took:?}, good calls p50 {p50:?}, p99 {:?}", share(&mine, 990));
        assert!(p50 < Duration::from_millis(500), "p50 {p50:?}");
    };
    let fetcher = kamailio.fetcher();
    let memory = || {
        let most = |pids: &[u32]| pids.iter().map(|pid| private_memory(*pid)).max().unwrap();
        let workers: Vec<u32> = processes.iter().copied().filter(|pid| *pid != fetcher).collect();
        (most(&workers), private_memory(fetcher))
    };
    // What remembers failures is full after these; it must not grow from then on.
    calls(0, urls / 4);
    let (worker, remembers) = memory();
    calls(urls / 4, urls);
    let (worker_after, remembers_after) = memory();
    println!("KiB: worker {worker} to {worker_after}, fetcher {remembers} to {remembers_after}");
    assert!(worker_after < worker + 1024, "worker: {worker} to {worker_after} KiB");
    assert!(remembers_after < remembers + 16 * 1024, "{remembers} to {remembers_after} KiB");
    assert!(remembers_after < 64 * 1024, "fetcher: {remembers_after} KiB");
    let asked = server.requests.load(Ordering::Relaxed);
    assert!(asked > urls / 2, "only {asked} of {urls} URLs were asked for");
    assert_eq!(good.http.total(), 1, "the certificate in use stayed");
    kamailio.assert_alive(&processes);
}
