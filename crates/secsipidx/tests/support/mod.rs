//! A folder with a laboratory, our service as a process, and an HTTP client that sends what it is
//! told, octet for octet.
#![allow(dead_code, missing_docs, clippy::unwrap_used, reason = "each test uses a part of it")]

pub mod browser;
#[path = "../../../../tests/support/ports.rs"]
mod ports;

pub use ports::free_port;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub const OURS: &str = env!("CARGO_BIN_EXE_secsipidx");
pub const STOCK: &str = "/usr/bin/secsipidx";
/// Longer than anything here takes on a machine that is busy.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A folder that goes with the value.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("secsipidx-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// With a laboratory in `lab`: codes 1234 and 5678, of which the second is revoked.
    pub fn lab() -> Self {
        let folder = Self::new();
        let line = "ca lab --spc 1234 --spc 5678 --revoke 5678";
        assert!(folder.ours(line).status.success());
        folder
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.join(name), text).unwrap();
        self.join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.join(name)).unwrap()
    }

    /// Runs our tool in the folder; arguments have no spaces in them.
    pub fn ours(&self, line: &str) -> Output {
        self.run(OURS, line)
    }

    /// What our tool prints, which succeeds.
    pub fn out(&self, line: &str) -> String {
        let output = self.ours(line);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {:?} {stderr}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn openssl(&self, line: &str) -> String {
        let output = self.run("openssl", line);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {line}: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn run(&self, tool: &str, line: &str) -> Output {
        Command::new(tool)
            .args(line.split(' '))
            .current_dir(&self.0)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| panic!("{tool}: {e}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A service that stops with the value.
pub struct Service {
    pub child: Child,
    pub port: u16,
    log: Receiver<String>,
}

impl Service {
    /// Ours with a configuration, whose `listen` should have port 0.
    pub fn start(folder: &Folder, config: &str) -> Self {
        folder.write("service.toml", config);
        Self::ours(folder, &["serve", "--config", "service.toml"], &[])
    }

    /// Ours with these arguments; waits until it listens.
    pub fn ours(folder: &Folder, args: &[&str], env: &[(&str, &Path)]) -> Self {
        let mut command = Command::new(OURS);
        command.args(args).current_dir(&folder.0).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.envs(env.iter().copied()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, log) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // The test may have ended.
                let _ = send.send(line);
            }
        });
        let mut service = Self { child, port: 0, log };
        let line = service.logged(" on ");
        let address = line.split(" on ").nth(1).unwrap();
        let digits: String = address
            .split(['"', ' '])
            .next()
            .and_then(|address| address.rsplit(':').next())
            .unwrap_or_default()
            .to_owned();
        service.port = digits.parse().unwrap_or_else(|_| panic!("{line}"));
        service
    }

    /// The stock service.
    pub fn stock(folder: &Folder, args: &[&str]) -> Self {
        let port = free_port();
        let mut command = Command::new(STOCK);
        command.args(["-http-srv", &format!("127.0.0.1:{port}")]).args(args);
        command.current_dir(&folder.0).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let mut service = Self { child, port, log: channel().1 };
        wait_for("the stock service", || {
            assert!(service.child.try_wait().unwrap().is_none(), "the stock service has ended");
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        service
    }

    /// The next line of the log with this in it.
    pub fn logged(&self, part: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(left).unwrap_or_else(|e| panic!("no {part:?}: {e}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"))
    }

    pub fn post(&self, path: &str, body: &str) -> Reply {
        self.post_with(path, "", body)
    }

    /// `headers` end with CR LF each.
    pub fn post_with(&self, path: &str, headers: &str, body: &str) -> Reply {
        self.send(&request(path, headers, body))
    }

    pub fn send(&self, request: &str) -> Reply {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        Reply::read(&mut stream)
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the service's end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn request(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// An answer; status 0 if the connection was closed without one.
#[derive(Debug, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    /// Until the connection is closed.
    pub fn read(stream: &mut impl Read) -> Self {
        let mut octets = Vec::new();
        // Closed or reset: what came is what there is.
        let _ = stream.read_to_end(&mut octets);
        let text = String::from_utf8_lossy(&octets);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// A host that takes connections and answers when it is told to.
pub struct Silent(pub TcpListener, pub String);

impl Silent {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/c.pem", listener.local_addr().unwrap());
        Self(listener, url)
    }

    /// The connection stays open as long as what is returned.
    pub fn answer(&self, body: &str) -> TcpStream {
        Self::give(self.take(), body)
    }

    /// A client's connection.
    pub fn take(&self) -> TcpStream {
        wait_for("a request", || self.0.accept().ok()).0
    }

    /// Answers what a client asks for.
    pub fn give(mut stream: TcpStream, body: &str) -> TcpStream {
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).unwrap() > 0);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).unwrap();
        stream
    }

    /// How often it was asked, less what it answered.
    pub fn asked(&self) -> usize {
        std::iter::from_fn(|| self.0.accept().ok()).count()
    }
}

/// Asks until there is an answer.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: nothing in {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A call to sign, for /v1/sign.
pub const CALL: &str = r#"{"orig":"+1 215 555 0100","dest":"12025550100","attest":"A"}"#;

/// Keys of the lab, as a configuration names them.
pub const KEYS: &str = "\
[sign]\nkey = \"lab/spc-1234-key.pem\"\nx5u = \"https://e.org/c.pem\"\n\
[check]\nkey = \"lab/spc-1234.pem\"\n";

/// A configuration for a free port of loopback.
pub fn local(more: &str) -> String {
    format!("[http]\nlisten = \"127.0.0.1:0\"\n{KEYS}{more}")
}
