//! Downloads from a real HTTP server that behaves in every way one can.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use stir::{Config, Fetch, HttpFetcher, Policy, Shaken};

/// Seconds a download may take in these tests.
const TIMEOUT: u32 = 3;
/// What a loaded machine may add to it.
const SLACK: Duration = Duration::from_secs(10);

/// Serves connections with `answer` for as long as the test process lives.
fn server(answer: fn(&mut TcpStream) -> std::io::Result<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/cert.pem", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                // The client may go at any time: that is what some tests are about.
                let _ = stream.read(&mut request).and_then(|_| answer(&mut stream));
            });
        }
    });
    url
}

fn fetch(url: &str) -> Result<Vec<u8>, (i32, String)> {
    let config = Config { timeout: TIMEOUT, ..Config::default() };
    let started = Instant::now();
    // Its end waits for names that are being resolved.
    let fetcher = HttpFetcher::new(&config);
    let result = fetcher.fetch(url);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(TIMEOUT.into()) + SLACK, "{url} took {took:?}");
    result.map(|fetched| fetched.body).map_err(|e| (e.code().value(), e.message().to_owned()))
}

fn forever(stream: &mut TcpStream, octets: &[u8], pause: Duration) -> std::io::Result<()> {
    loop {
        stream.write_all(octets)?;
        // The server's own pace, not a wait for something.
        std::thread::sleep(pause);
    }
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";

#[test]
fn a_body_comes_whole() {
    let url = server(|s| s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
    assert_eq!(fetch(&url).expect("fetched"), b"hello");
    let url = server(|s| {
        s.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")
    });
    assert_eq!(fetch(&url).expect("fetched"), b"hello");
}

/// Made by gzip and by zlib's compress.
const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcbH\xcd\xc9\xc9\x07\x00\x86\xa6\x106\x05\x00\x00\x00";
const DEFLATE: &[u8] = b"x\x9c\xcbH\xcd\xc9\xc9\x07\x00\x06,\x02\x15";
/// A MiB of x, in gzip.
const BOMB: &[u8] = include_bytes!("data/bomb.gz");

#[test]
fn a_body_may_be_compressed() {
    fn encoded(stream: &mut TcpStream, coding: &str, body: &[u8]) -> std::io::Result<()> {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat())
    }
    assert_eq!(fetch(&server(|s| encoded(s, "gzip", GZIP))).expect("gzip"), b"hello");
    assert_eq!(fetch(&server(|s| encoded(s, "deflate", DEFLATE))).expect("deflate"), b"hello");
    assert_eq!(fetch(&server(|s| encoded(s, "identity", b"hello"))).expect("identity"), b"hello");
    for (url, why) in [
        (server(|s| encoded(s, "gzip", BOMB)), "more than 65536"),
        (server(|s| encoded(s, "gzip", &GZIP[..20])), "breaks off"),
        (server(|s| encoded(s, "gzip", b"hello")), "breaks off"),
        (server(|s| encoded(s, "br", b"hello")), "Content-Encoding \"br\""),
    ] {
        let (code, message) = fetch(&url).expect_err(why);
        assert_eq!(code, -404, "{message}");
        assert!(message.contains(why), "{message}");
    }
}

/// What stands in a request, in lower case.
#[test]
fn a_request_says_what_is_taken() {
    static SEEN: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/cert.pem", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = [0; 4096];
        let len = stream.read(&mut request).expect("a request");
        *SEEN.lock().expect("not poisoned") =
            String::from_utf8_lossy(&request[..len]).to_lowercase();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("written");
    });
    fetch(&url).expect("fetched");
    let seen = SEEN.lock().expect("not poisoned");
    for line in [
        "accept: application/pem-certificate-chain, application/x-pem-file;q=0.9, application/pkix-cert;q=0.8, */*;q=0.5\r\n",
        "accept-encoding: gzip,deflate\r\n",
    ] {
        assert!(seen.contains(line), "{seen}");
    }
}

#[test]
fn servers_that_fail_cost_no_more_than_the_timeout() {
    let rows: Vec<(&str, String, i32)> = vec![
        (
            "404",
            server(|s| s.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")),
            -403,
        ),
        (
            "redirect",
            server(|s| {
                s.write_all(b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
            }),
            -403,
        ),
        ("silent", server(|s| forever(s, b"", Duration::from_millis(100))), -402),
        ("closes", server(|_| Ok(())), -402),
        ("no HTTP", server(|s| s.write_all(b"SSH-2.0-x\r\n")), -402),
        ("refused", "http://127.0.0.1:1/".into(), -402),
        ("no such host", "http://host.invalid/".into(), -402),
        (
            "large",
            server(|s| {
                s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n")?;
                s.write_all(&vec![b'x'; 10 * 1024 * 1024])
            }),
            -404,
        ),
        (
            "endless",
            server(|s| {
                s.write_all(HEAD)?;
                forever(s, &[b'x'; 4096], Duration::ZERO)
            }),
            -404,
        ),
        (
            "drips",
            server(|s| {
                s.write_all(HEAD)?;
                forever(s, b"x", Duration::from_millis(50))
            }),
            -404,
        ),
        (
            "drips headers",
            server(|s| {
                s.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
                forever(s, b"x", Duration::from_millis(50))
            }),
            -402,
        ),
        (
            "breaks off",
            server(|s| s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")),
            -404,
        ),
        ("ftp", "ftp://127.0.0.1/x".into(), -401),
        ("file", "file:///etc/passwd".into(), -401),
        ("no URL", "http://".into(), -401),
        ("nothing", String::new(), -401),
        ("a path", "/etc/passwd".into(), -401),
    ];
    for (name, url, code) in rows {
        let (got, message) = fetch(&url).expect_err(name);
        assert_eq!(got, code, "{name}: {message}");
        assert!(message.contains(&url), "{name}: {message}");
    }
}

#[test]
fn nothing_runs_before_the_first_download_and_signals_stay_with_the_host() {
    let url = server(|s| s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let fetcher = HttpFetcher::new(&Config::default());
    let named = |name: &str| {
        std::fs::read_dir("/proc/self/task")
            .expect("/proc")
            .filter_map(|task| {
                let status =
                    std::fs::read_to_string(task.expect("a task").path().join("status")).ok()?;
                status.contains(name).then_some(status)
            })
            .collect::<Vec<_>>()
    };
    assert!(fetcher.fetch(&url).expect("fetched").body.is_empty());
    let threads = named("reqwest-interna");
    assert!(!threads.is_empty(), "the client's thread is known by its name");
    for status in threads {
        let blocked = status.lines().find_map(|l| l.strip_prefix("SigBlk:\t")).expect("SigBlk");
        let blocked = u64::from_str_radix(blocked, 16).expect("a mask");
        let term = 1 << (15 - 1);
        assert_ne!(blocked & term, 0, "SIGTERM is not blocked: {blocked:x}");
    }
}

/// The rules hold for what a name is resolved to: "localhost" says nothing of its addresses.
#[test]
fn addresses_are_judged_after_names_are_resolved() {
    let url = server(|s| s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
    let url = url.replace("127.0.0.1", "localhost");
    let fetched = |policy, permit: &str, deny: &str| {
        let shaken =
            Shaken { x5u_permit: permit.into(), x5u_deny: deny.into(), ..Shaken::default() };
        HttpFetcher::new(&Config { policy, shaken, timeout: TIMEOUT, ..Config::default() })
            .fetch(&url)
            .map(|fetched| fetched.body)
            .map_err(|e| (e.code().value(), e.message().to_owned()))
    };
    for (policy, permit, deny) in
        [(Policy::Compat, "", ""), (Policy::Shaken, "127.0.0.0/8, ::1", "")]
    {
        assert_eq!(fetched(policy, permit, deny).expect("permitted"), b"hello");
    }
    for (policy, permit, deny, why) in [
        (Policy::Shaken, "", "", "special-purpose"),
        (Policy::Shaken, "localhost", "", "special-purpose"),
        (Policy::Shaken, "127.0.0.0/8, ::1", "127.0.0.0/8, ::1", "x5u_deny"),
        (Policy::Compat, "", "127.0.0.0/8, ::1", "x5u_deny"),
    ] {
        let (code, message) = fetched(policy, permit, deny).expect_err("refused");
        assert_eq!(code, -402, "{message}");
        assert!(message.contains(why), "{policy:?} {permit} {deny}: {message}");
    }
}
