//! Real parts: a service in a process of its own, HTTP servers, a Redis. All of it stops with the
//! test.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part of it")]

pub mod http;
#[path = "../../../../tests/support/ports.rs"]
mod ports;
pub mod service;
#[path = "../../../stir/tests/pki/mod.rs"]
mod stir_pki;

pub use http::{Answer, Http};
pub use service::Service;

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use stir_pki::{Key, Spec, certificates};

pub const DAY: i64 = 86_400;

pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// A certificate, as PEM, that is valid for so many seconds from now; each is another.
pub fn certificate(seconds: i64) -> Vec<u8> {
    let key = Key::p256();
    let spec = Spec::leaf("CN=Test CA").valid(now() - DAY, now() + seconds);
    certificates(&[spec.issue(&key, &key)]).into_bytes()
}

/// Fetches a certificate, and says that a token has verified with it, as a worker does.
pub fn use_it(client: &fetcher::RemoteFetcher, url: &str) -> stir::Fetched {
    use stir::Fetch;
    let fetched = client.fetch(url).expect("fetched");
    client.proven(url, &stir::fetch::digest(&fetched.body));
    fetched
}

/// Asks until there is an answer; panics with `what` when there is none in time.
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: nothing in {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A folder that goes with the value.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("fetcher-{}-{next}", std::process::id()));
        // What an earlier process with this id left when it was killed.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Sends a signal to a process of the test's; after STOP it stands still.
pub fn signal(process: &Child, name: &str) {
    let pid = process.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    if name == "STOP" {
        let stat = format!("/proc/{pid}/stat");
        wait_for("it to stop", Duration::from_secs(5), || {
            std::fs::read_to_string(&stat).unwrap().contains(") T ").then_some(())
        });
    }
}

/// Debian's redis-server, in memory only.
pub struct Redis {
    process: Child,
    pub port: u16,
    password: &'static str,
}

impl Redis {
    pub fn start(password: &'static str) -> Self {
        Self::start_on(ports::free_port(), password)
    }

    pub fn start_on(port: u16, password: &'static str) -> Self {
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "no", "--requirepass", password])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let redis = Self { process, port, password };
        wait_for("redis-server", Duration::from_secs(20), || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}/1", self.password, self.port)
    }

    /// The same, with the patience that tests need where Redis is not to fail.
    pub fn patient_url(&self) -> String {
        self.url() + "?timeout=5000"
    }

    /// What `redis-cli` prints.
    pub fn cli(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string(), "-n", "1", "--no-auth-warning", "-a"])
            .arg(self.password)
            .args(words)
            .output()
            .expect("redis-cli is installed");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub fn signal(&self, name: &str) {
        signal(&self.process, name);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // SIGKILL ends a stopped process too.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
