//! A service in a process of its own: this test binary, started again.

use super::wait_for;
use fetcher::{Address, RemoteFetcher, Settings, Shutdown, Stats};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Lines of `name value`.
const VARIABLE: &str = "FETCHER_SETTINGS";

pub struct Service {
    pub process: Child,
    pub address: String,
    settings: Vec<(String, String)>,
}

impl Service {
    /// Starts one with these settings, by the names of `Settings`, and waits until it answers.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let address = format!("@fetcher-test-{}-{number}", std::process::id());
        let settings = settings.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        Self::start_at(address, settings)
    }

    fn start_at(address: String, settings: Vec<(String, String)>) -> Self {
        let mut lines = format!("address {address}\n");
        settings.iter().for_each(|(name, value)| lines += &format!("{name} {value}\n"));
        let program = std::env::current_exe().unwrap();
        // With a resolv.conf of its own: in a mount namespace of its own.
        let resolv = settings.iter().find(|(name, _)| name == "resolv_conf");
        let mut command = match resolv {
            None => Command::new(program),
            Some((_, path)) => {
                let mut command = Command::new("unshare");
                let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
                command.args(["-m", "sh", "-c", script, path]).arg(program);
                command
            }
        };
        let process = command
            .args(["support::service::process", "--exact", "--ignored", "--nocapture"])
            .env(VARIABLE, lines)
            .env("NO_PROXY", "127.0.0.1,localhost")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let service = Self { process, address, settings };
        let client = service.client(Duration::from_millis(200));
        wait_for("the service", Duration::from_secs(20), || client.stats().ok());
        service
    }

    /// Another in its place, after it died.
    pub fn again(mut self) -> Self {
        self.stop();
        Self::start_at(self.address.clone(), self.settings.clone())
    }

    pub fn stop(&mut self) {
        // SIGKILL ends a stopped process too.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    pub fn client(&self, timeout: Duration) -> RemoteFetcher {
        RemoteFetcher::new([Address::new(&self.address)], timeout)
    }

    pub fn stats(&self) -> Stats {
        self.client(Duration::from_secs(10)).stats().expect("its counters")
    }

    /// Kibibytes that it has in memory.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    pub fn threads(&self) -> u64 {
        self.status("Threads:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

#[test]
#[ignore = "not a test: the process that the tests start"]
fn process() {
    let text = std::env::var(VARIABLE).expect("started by a test");
    let mut settings = Settings::default();
    let mut address = String::new();
    for line in text.lines() {
        let (name, value) = line.split_once(' ').expect("a name and a value");
        let number = || value.parse().expect("a number");
        match name {
            "address" => address = value.into(),
            "timeout" => settings.http.timeout = number(),
            "cache_dir" => settings.http.cache_dir = value.into(),
            "cache_min" => settings.cache_min = number(),
            "cache_max" => settings.cache_max = number(),
            "stale_if_error" => settings.stale_if_error = number(),
            "negative_ttl" => settings.negative_ttl = number(),
            "entries" => settings.entries = number(),
            "cache_url" => settings.cache_url = value.into(),
            "prefetch_file" => settings.prefetch_file = value.into(),
            "resolv_conf" => {}
            _ => panic!("{name}: no such setting"),
        }
    }
    let listener = Address::new(&address).listen().expect("the address is free");
    fetcher::run(&settings, listener, &Shutdown::new(), || ()).expect("it runs");
}
