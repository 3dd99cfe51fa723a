//! Debian's redis-server, in memory only, that stops with the value.

use super::ports::free_port;
use super::{Folder, wait_for};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub struct Redis {
    process: Child,
    _folder: Folder,
    pub port: u16,
}

impl Redis {
    pub fn start() -> Self {
        Self::start_on(free_port())
    }

    pub fn start_on(port: u16) -> Self {
        let folder = Folder::under("/".as_ref());
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "no", "--dir", folder.path().to_str().unwrap()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("redis-server can't run ({e}): run make deps"));
        let redis = Self { process, _folder: folder, port };
        wait_for("redis-server", Duration::from_secs(20), || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        redis
    }

    /// For the parameter `cache_url`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/1", self.port)
    }

    /// The same, with the patience that tests need where Redis is not to fail.
    pub fn patient_url(&self) -> String {
        self.url() + "?timeout=5000"
    }

    /// What `redis-cli` prints.
    pub fn cli(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string(), "-n", "1"])
            .args(words)
            .output()
            .unwrap_or_else(|e| panic!("redis-cli can't run ({e}): run make deps"));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub fn signal(&self, name: &str) {
        super::signal(self.process.id(), name);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // SIGKILL ends a stopped process too.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
