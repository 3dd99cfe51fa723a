//! An HTTP server that behaves in every way one can, and counts.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How a path answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200 with these headers (lines) and this body.
    Ok(&'static str, Vec<u8>),
    /// The same after a while: the server's own pace.
    Slow(Duration, Vec<u8>),
    Status(u16),
    /// A status with this Retry-After.
    Busy(u16, &'static str),
    /// 200 and a body of this many octets.
    Large(usize),
    /// 200 and an octet now and then.
    Drip,
    /// Takes the request and says nothing.
    Silent,
    /// Closes at once.
    Close,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<HashMap<String, Answer>>,
    requests: Mutex<HashMap<String, Vec<String>>>,
    total: AtomicUsize,
    stopped: AtomicBool,
}

/// A server that stops with the value. A path nobody set answers 404; `*` sets all of those.
pub struct Http {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Http {
    pub fn start() -> Self {
        Self::start_on("127.0.0.1")
    }

    pub fn start_on(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let server = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if server.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), server) = (stream, Arc::clone(&server)) else { continue };
                // The client may go at any time: that is what some tests are about.
                std::thread::spawn(move || drop(server.serve(stream)));
            }
        });
        Self { port, shared }
    }

    /// Answers a path; its URL.
    pub fn on(&self, path: &str, answer: Answer) -> String {
        self.shared.answers.lock().unwrap().insert(path.into(), answer);
        self.url(path)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Requests for a path so far, with their headers.
    pub fn requests(&self, path: &str) -> Vec<String> {
        self.shared.requests.lock().unwrap().get(path).cloned().unwrap_or_default()
    }

    pub fn count(&self, path: &str) -> usize {
        self.requests(path).len()
    }

    pub fn total(&self) -> usize {
        self.shared.total.load(Ordering::Relaxed)
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !request.windows(4).any(|window| window == b"\r\n\r\n") {
            let len = stream.read(&mut buffer)?;
            if len == 0 {
                return Ok(());
            }
            request.extend_from_slice(&buffer[..len]);
        }
        let text = String::from_utf8_lossy(&request).to_lowercase();
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        self.total.fetch_add(1, Ordering::Relaxed);
        self.requests.lock().unwrap().entry(path.clone()).or_default().push(text.clone());
        let answers = self.answers.lock().unwrap();
        let answer = answers.get(&path).or_else(|| answers.get("*")).cloned();
        drop(answers);
        let head = |status: &str, more: &str| {
            format!("HTTP/1.1 {status}\r\nConnection: close\r\n{more}\r\n")
        };
        let mut ok = |more: &str, body: &[u8]| {
            let more = format!("Content-Length: {}\r\n{more}", body.len());
            stream.write_all(head("200 OK", &more).as_bytes())?;
            stream.write_all(body)
        };
        match answer.unwrap_or(Answer::Status(404)) {
            Answer::Ok(headers, body) => {
                let etag = headers.lines().find_map(|line| line.strip_prefix("ETag: "));
                let same = |etag| text.contains(&format!("if-none-match: {etag}\r\n"));
                if etag.is_some_and(same) {
                    return stream.write_all(head("304 Not Modified", headers).as_bytes());
                }
                ok(headers, &body)
            }
            Answer::Slow(time, body) => {
                std::thread::sleep(time);
                ok("", &body)
            }
            Answer::Status(status) => {
                stream.write_all(head(&format!("{status} X"), "Content-Length: 0\r\n").as_bytes())
            }
            Answer::Busy(status, after) => {
                let more = format!("Retry-After: {after}\r\nContent-Length: 0\r\n");
                stream.write_all(head(&format!("{status} X"), &more).as_bytes())
            }
            Answer::Large(len) => ok("", &vec![b'x'; len]),
            Answer::Drip => {
                stream.write_all(head("200 OK", "").as_bytes())?;
                self.forever(&mut stream, b"x")
            }
            Answer::Silent => self.forever(&mut stream, b""),
            Answer::Close => Ok(()),
        }
    }

    fn forever(&self, stream: &mut TcpStream, octets: &[u8]) -> std::io::Result<()> {
        stream.set_nonblocking(true)?;
        while !self.stopped.load(Ordering::Relaxed) {
            stream.write_all(octets)?;
            if matches!(stream.read(&mut [0]), Ok(0)) {
                return Ok(());
            }
            // The server's own pace, not a wait for something.
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}
