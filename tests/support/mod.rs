//! Real parts for live tests: a Kamailio, SIP over UDP and TCP, HTTP servers, a certification
//! authority. Each test starts its own on ports of its own, and all of it stops with the test.
#![allow(
    dead_code,
    unused_imports,
    missing_docs,
    clippy::unwrap_used,
    reason = "each test uses a part of it"
)]

pub mod fetching;
pub mod http;
pub mod kamailio;
pub mod lab;
pub mod load;
pub mod ports;
pub mod redis;
pub mod sip;
pub mod site;

pub use http::{Answer, Http};
pub use kamailio::{Cfg, Kamailio, Module};
pub use lab::Lab;
pub use load::{Answered, Load};
pub use redis::Redis;
pub use sip::{Reply, Request, Sip, UdpCall};
pub use site::Site;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The root of the system that Kamailio runs in: `KAMAILIO_ROOT`, a folder with another Debian,
/// or `/`.
pub fn root() -> PathBuf {
    std::env::var_os("KAMAILIO_ROOT")
        .filter(|root| !root.is_empty())
        .map_or_else(|| "/".into(), PathBuf::from)
}

/// A path as Kamailio sees it.
pub fn inside(path: &Path) -> String {
    match path.strip_prefix(root()) {
        Ok(rest) => format!("/{}", rest.display()),
        Err(_) => path.display().to_string(),
    }
}

/// A folder that goes with the value.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        Self::under(&root())
    }

    /// One in the system with this root.
    pub fn under(root: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = root.join(format!("tmp/secsipid-{}-{number}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Self(path),
                // An earlier process with this id left one for a look.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => panic!("{}: {e}", path.display()),
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file; its path as Kamailio sees it.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        std::fs::write(self.join(name), text).unwrap();
        self.inside(name)
    }

    /// The path of a file as Kamailio sees it.
    pub fn inside(&self, name: &str) -> String {
        inside(&self.join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("left for a look: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
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

/// Sends a signal to a process of the test's; after STOP it stands still.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap();
    assert!(sent.success(), "SIG{name} to {pid}");
    if name == "STOP" {
        let stat = format!("/proc/{pid}/stat");
        wait_for("it to stop", Duration::from_secs(5), || {
            std::fs::read_to_string(&stat).unwrap().contains(") T ").then_some(())
        });
    }
}

/// KiB that a process alone has written. Code counts as private too while only one process has run
/// it, and then as shared: that is not what a process costs.
pub fn private_memory(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Private_Dirty")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Hundredths of a second of a processor that a process has used.
pub fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // pid (name) state ppid … utime stime …
    let (_, rest) = stat.rsplit_once(')').unwrap();
    rest.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

/// Says that a test can't run here: `.ci/run` looks for it. Not by println!, which the test harness
/// keeps to itself.
pub fn skipped(why: &str) {
    std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes()).unwrap();
}

/// A path below the crate that is tested, or below the whole repository.
pub fn repository_path(path: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = own.ancestors().map(|folder| folder.join(path)).find(|path| path.exists());
    found.unwrap_or_else(|| own.join(path))
}

/// The text of a file in the repository.
pub fn repository(path: &str) -> String {
    let path = repository_path(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A cfg with the values of its `#!substdef` lines replaced.
pub fn define(cfg: &str, values: &[(&str, &str)]) -> String {
    let mut cfg = cfg.to_owned();
    for (name, value) in values {
        let head = format!("#!substdef \"!{name}!");
        let at = cfg.find(&head).unwrap_or_else(|| panic!("the cfg has no definition of {name}"));
        let end = at + cfg[at..].find('\n').unwrap();
        cfg.replace_range(at..end, &format!("{head}{value}!g\""));
    }
    cfg
}
