//! HTTP servers that behave in every way one can, and count.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How a path answers.
#[derive(Clone, Debug)]
pub enum Answer {
    Ok(Vec<u8>),
    /// 200 with these headers (lines) and this body.
    With(&'static str, Vec<u8>),
    Status(u16),
    Redirect(String),
    /// The same after a while: the server's own pace.
    Slow(Duration, Vec<u8>),
    /// 200 and a body of this many octets.
    Large(usize),
    /// 200 and a body that never ends.
    Endless,
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
    counts: Mutex<HashMap<String, usize>>,
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

    /// The same at this address; at 0.0.0.0 each of 127.0.0.0/8 is another server to clients.
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

    /// Requests for all paths so far.
    pub fn total(&self) -> usize {
        self.shared.counts.lock().unwrap().values().sum()
    }

    /// Requests for a path so far.
    pub fn count(&self, path: &str) -> usize {
        self.shared.counts.lock().unwrap().get(path).copied().unwrap_or_default()
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
        let text = String::from_utf8_lossy(&request);
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        *self.counts.lock().unwrap().entry(path.clone()).or_default() += 1;
        let answers = self.answers.lock().unwrap();
        let answer = answers.get(&path).or_else(|| answers.get("*")).cloned();
        drop(answers);
        let answer = answer.unwrap_or(Answer::Status(404));
        let head = |status: &str, more: &str| {
            format!("HTTP/1.1 {status}\r\nConnection: close\r\n{more}\r\n")
        };
        match answer {
            Answer::Ok(body) => {
                stream.write_all(
                    head("200 OK", &format!("Content-Length: {}\r\n", body.len())).as_bytes(),
                )?;
                stream.write_all(&body)
            }
            Answer::With(headers, body) => {
                let more = format!("Content-Length: {}\r\n{headers}", body.len());
                stream.write_all(head("200 OK", &more).as_bytes())?;
                stream.write_all(&body)
            }
            Answer::Slow(time, body) => {
                std::thread::sleep(time);
                stream.write_all(
                    head("200 OK", &format!("Content-Length: {}\r\n", body.len())).as_bytes(),
                )?;
                stream.write_all(&body)
            }
            Answer::Status(status) => {
                stream.write_all(head(&format!("{status} X"), "Content-Length: 0\r\n").as_bytes())
            }
            Answer::Redirect(to) => stream.write_all(
                head("301 X", &format!("Location: {to}\r\nContent-Length: 0\r\n")).as_bytes(),
            ),
            Answer::Large(len) => {
                stream
                    .write_all(head("200 OK", &format!("Content-Length: {len}\r\n")).as_bytes())?;
                stream.write_all(&vec![b'x'; len])
            }
            Answer::Endless => {
                stream.write_all(head("200 OK", "").as_bytes())?;
                self.forever(&mut stream, &[b'x'; 4096], Duration::ZERO)
            }
            Answer::Drip => {
                stream.write_all(head("200 OK", "").as_bytes())?;
                self.forever(&mut stream, b"x", Duration::from_millis(50))
            }
            Answer::Silent => self.forever(&mut stream, b"", Duration::from_millis(50)),
            Answer::Close => Ok(()),
        }
    }

    fn forever(
        &self,
        stream: &mut TcpStream,
        octets: &[u8],
        pause: Duration,
    ) -> std::io::Result<()> {
        while !self.stopped.load(Ordering::Relaxed) {
            stream.write_all(octets)?;
            // The server's own pace, not a wait for something.
            std::thread::sleep(pause);
        }
        Ok(())
    }
}

/// OpenSSL's HTTPS server, with the files of a folder; it stops with the value.
pub struct Https {
    child: Child,
    pub port: u16,
}

impl Https {
    pub fn start(folder: &Path, certificate: &Path, key: &Path) -> Self {
        Self::start_at("127.0.0.1", super::kamailio::free_port(), folder, certificate, key)
    }

    /// The same at this address.
    pub fn start_at(host: &str, port: u16, folder: &Path, certificate: &Path, key: &Path) -> Self {
        let child = Command::new("openssl")
            .args(["s_server", "-quiet", "-WWW", "-accept", &format!("{host}:{port}"), "-cert"])
            .arg(certificate)
            .arg("-key")
            .arg(key)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        super::wait_for("the HTTPS server", Duration::from_secs(10), || {
            TcpStream::connect((host, port)).ok()
        });
        Self { child, port }
    }
}

impl Https {
    /// nghttp2's server, which speaks HTTP/2 and nothing else.
    pub fn http2(folder: &Path, certificate: &Path, key: &Path) -> Self {
        let port = super::kamailio::free_port();
        let child = Command::new("nghttpd")
            .args(["--address=127.0.0.1", "--htdocs", "."])
            .arg(port.to_string())
            .args([key, certificate])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("nghttpd can't run ({e}): run make deps"));
        super::wait_for("the HTTP/2 server", Duration::from_secs(10), || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { child, port }
    }
}

impl Drop for Https {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
