//! Many calls of all kinds: no worker is lost, memory stays where it is, and valgrind's memcheck
//! finds nothing in the module.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::kamailio::{binary, free_port, modules_folder, our_module};
use support::{Answer, Folder, Http, Kamailio, Lab, Reply, Request, Sip, root, wait_for};

const WORKERS: usize = 2;
/// More than `CACHE_SIZE`, so that most of them are downloaded again and again.
const URLS: usize = 300;
const CACHE_SIZE: usize = 100;

/// Kinds of calls, see [`Calls::call`].
const KINDS: usize = 13;

/// What a process may have for itself, in KiB: some 2 MiB are in use with all caches full, and what
/// the C library keeps for later differs between its versions.
const MAX_PRIVATE: u64 = 8 * 1024;
/// How long it may take to stop: under valgrind each process looks for leaks then.
const STOPS: Duration = Duration::from_secs(240);
/// By how much it may differ between the middle and the end of the calls, in KiB.
const MAX_GROWTH: u64 = 1024;

/// Who downloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Each worker for itself, while it waits.
    Own,
    /// A fetcher, which keeps nothing, so that calls wait again and again, and no worker does.
    Fetcher,
}

/// Certificates under as many URLs, and an Identity header for each.
struct Calls {
    lab: Lab,
    http: Http,
    urls: Vec<String>,
    identities: Vec<String>,
}

impl Calls {
    fn new(urls: usize) -> Self {
        let (lab, http) = (Lab::new(), Http::start());
        let urls = (0..urls)
            .map(|n| {
                let name = format!("cert-{n}.pem");
                lab.issue(&name, "key.pem", 30);
                http.on(&format!("/{name}"), Answer::Ok(lab.read(&name).into()))
            })
            .collect();
        Self { lab, http, urls, identities: Vec::new() }
    }

    fn cfg(&self, folder: &Folder, port: u16, how: How) -> String {
        std::fs::copy(our_module(), folder.join("secsipid.so")).unwrap();
        let (tm, param, info) = match how {
            How::Own => ("", "\"fetchers\"", ""),
            How::Fetcher => {
                ("loadmodule \"tm.so\"", "\"cache_min\"", "secsipid_fetch_async(\"CHECKED\");")
            }
        };
        format!(
            r#"#!KAMAILIO
debug=1
log_stderror=yes
log_color=no
children={WORKERS}
tcp_children={WORKERS}
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
tcp_rd_buf_size=65536
exit_timeout={exit_timeout}
mpath="{mpath}/"
{tm}
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "textops.so"
loadmodule "textopsx.so"
loadmodule "{module}"
modparam("secsipid", {param}, 0)
modparam("secsipid", "expire", 3600)
modparam("secsipid", "timeout", 60)
modparam("secsipid", "cache_size", {CACHE_SIZE})
modparam("secsipid", "libopt", "CertVerify=5")
modparam("secsipid", "libopt", "CertCAFile={ca}")
request_route {{
    if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
    switch ($hdr(X-Do)) {{
        case "build":
            $var(code) = secsipid_build_identity("$fU", "$rU", "A", "", "$hdr(X-Arg)", "{key}");
            append_to_reply("X-Identity: $secsipid(val)\r\n");
            break;
        case "add":
            $var(code) = secsipid_add_identity("$fU", "$rU", "$hdr(X-Arg)", "", "https://a/b", "{key}");
            break;
        case "key":
            $var(code) = secsipid_add_identity("$fU", "$rU", "A", "", "https://a/b", "$hdr(X-Arg)");
            break;
        case "check":
            $var(code) = secsipid_check_identity("$hdr(X-Arg)");
            break;
        case "info":
            {info}
            route(CHECKED);
            exit;
    }}
    route(REPLY);
}}
route[CHECKED] {{
    $var(code) = secsipid_check_identity("");
    route(REPLY);
}}
route[REPLY] {{
    append_to_reply("X-Code: $var(code)\r\nX-Error: $secsipid(error)\r\n");
    send_reply("200", "OK");
}}
"#,
            exit_timeout = STOPS.as_secs(),
            mpath = modules_folder(),
            module = folder.inside("secsipid.so"),
            ca = self.lab.path("ca.pem"),
            key = self.lab.path("key.pem"),
        )
    }

    /// Has a header signed for each URL.
    fn sign(&mut self, sip: &Sip) {
        self.identities = self
            .urls
            .iter()
            .map(|url| {
                let request = Request::invite().header("X-Do", "build").header("X-Arg", url);
                send(sip, &request).header("X-Identity").to_owned()
            })
            .collect();
    }

    /// Makes call number `n`; every kind in turn, each over UDP and TCP.
    fn call(&self, port: u16, n: usize) {
        // Where this one is among those of its kind.
        let turn = n / KINDS;
        let good = &self.identities[0];
        // Any of them: what is asked for in turn could fit into a cache by and by.
        let any = (n as u32).wrapping_mul(2_654_435_761) >> 16;
        let cold = &self.identities[any as usize % self.identities.len()];
        let cert = self.lab.path("cert-0.pem");
        // Changed in one place: mostly in the token.
        let mut changed = good.clone().into_bytes();
        let at = turn * 7 % changed.len();
        changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
        let changed = String::from_utf8(changed).unwrap();
        let request = |what: &str, arg: &str, identity: &str| {
            let request = Request::invite().header("X-Do", what).header("X-Arg", arg);
            if identity.is_empty() { request } else { request.header("Identity", identity) }
        };
        let (request, code) = match n % KINDS {
            0 => (request("add", "A", ""), Some(1)),
            1 => (request("add", "Z", ""), Some(-231)),
            2 => (request("key", "/nonexistent.pem", ""), Some(-451)),
            3 => (request("key", &self.lab.path("cert.pem"), ""), Some(-151)),
            4 => (request("check", &cert, good), Some(1)),
            5 => (request("check", &cert, &changed), None),
            6 => (request("check", "/nonexistent.pem", good), Some(-451)),
            7 => (request("info", "", good), Some(1)),
            8..=10 => (request("info", "", cold), Some(1)),
            11 => (request("info", "", &junk(turn)), None),
            _ => (request("check", &cert, &"x".repeat(40_000)), Some(-301)),
        };
        let sip = if turn.is_multiple_of(2) { Sip::udp(port) } else { Sip::tcp(port) };
        let reply = send(&sip, &request);
        match code {
            Some(code) => assert_eq!(reply.number("X-Code"), code, "call {n}: {reply:?}"),
            // A change behind the token (the name of a parameter) may leave it valid.
            None => assert_ne!(reply.number("X-Code"), 0, "call {n}: {reply:?}"),
        }
    }

    /// Makes calls from as many threads as there are workers.
    fn run(&self, port: u16, calls: std::ops::Range<usize>) {
        let next = AtomicUsize::new(calls.start);
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= calls.end {
                            return;
                        }
                        self.call(port, n);
                    }
                });
            }
        });
    }
}

/// Waits longer than any other test does: valgrind is slow at what it meets for the first time.
fn send(sip: &Sip, request: &Request) -> Reply {
    sip.try_send(request, Duration::from_secs(60)).expect("a reply")
}

/// A header that is nothing, of another kind and length each time, and always the same for a number.
fn junk(n: usize) -> String {
    const PARTS: [&str; 8] =
        ["eyJhbGciOiJFUzI1NiJ9", ".", ";info=<", "https://a/b", ">", ";alg=", "\"", "\u{e9}"];
    let mut state = n as u32 + 1;
    (0..n % 97 + 1)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            PARTS[(state >> 24) as usize % PARTS.len()]
        })
        .collect()
}

/// The memory that is a process's own, in KiB.
fn private(pid: u32) -> u64 {
    std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap())
        .sum()
}

#[test]
fn ten_thousand_calls_leave_memory_where_it_is() {
    soak(How::Own);
}

#[test]
fn ten_thousand_calls_of_which_many_wait_leave_memory_where_it_is() {
    soak(How::Fetcher);
}

fn soak(how: How) {
    const CALLS: usize = 10_000;
    let mut calls = Calls::new(URLS);
    let (folder, port) = (Folder::new(), free_port());
    let cfg = calls.cfg(&folder, port, how);
    let mut kamailio = Kamailio::start_text(folder, port, &cfg, &[]);
    let processes = kamailio.processes();
    calls.sign(&kamailio.udp());

    let measure = || processes.iter().map(|pid| private(*pid)).collect::<Vec<_>>();
    let start = measure();
    calls.run(port, 0..CALLS / 2);
    let middle = measure();
    calls.run(port, CALLS / 2..CALLS);
    let end = measure();
    println!("{how:?}: private KiB of each process: {start:?}, {middle:?}, {end:?}");
    kamailio.assert_alive(&processes);
    for (middle, end) in middle.iter().zip(&end) {
        assert!(middle.abs_diff(*end) < MAX_GROWTH, "{middle} KiB became {end}");
        assert!(*end < MAX_PRIVATE, "{end} KiB are more than {MAX_PRIVATE}");
    }
    // The caches were full: kept for good, each would be downloaded once by each process.
    let downloads: usize = (0..URLS).map(|n| calls.http.count(&format!("/cert-{n}.pem"))).sum();
    assert!(downloads > 2 * WORKERS * URLS, "{downloads} downloads");
    assert!(downloads < CALLS, "{downloads} downloads: nothing is kept");
}

/// A Kamailio under valgrind; it and its processes stop with the value.
struct Valgrind {
    child: Child,
    folder: Folder,
}

impl Valgrind {
    fn start(folder: Folder, cfg: &str) -> Self {
        let path = folder.write("kamailio.cfg", cfg);
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "valgrind", "--trace-children=yes", "--num-callers=50"])
            .arg("--fair-sched=try")
            .arg(concat!("--suppressions=", env!("CARGO_MANIFEST_DIR"), "/tests/valgrind.supp"))
            .args(["--leak-check=full", "--show-leak-kinds=definite"])
            .args(["--xml=yes", &format!("--xml-file={}", folder.inside("valgrind-%p.xml"))])
            .arg(binary())
            .args(["-DD", "-E", "-m", "64", "-M", "16", "-f", &path])
            .args(["-Y", folder.path().to_str().unwrap(), "-P", &folder.inside("pid")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap()
    }

    fn signal(&self, signal: &str, target: &str) {
        let _ = Command::new("kill").args([signal, "--", target]).stderr(Stdio::null()).status();
    }

    /// Stops it as an operator would.
    fn stop(&mut self) {
        self.signal("-TERM", &self.child.id().to_string());
        let status = wait_for("Kamailio stops", STOPS, || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}:\n{}", self.log());
    }

    /// What valgrind wrote, process by process.
    fn reports(&self) -> Vec<String> {
        std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect()
    }
}

impl Drop for Valgrind {
    fn drop(&mut self) {
        self.signal("-KILL", &format!("-{}", self.child.id()));
        let _ = self.child.wait();
    }
}

/// Why valgrind can't run, if so.
fn no_valgrind() -> Option<String> {
    if root() != std::path::Path::new("/") {
        return Some(format!("{} has no valgrind", root().display()));
    }
    match Command::new("valgrind").args(["--quiet", "true"]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(e) => Some(format!("valgrind can't run ({e}): run make deps")),
    }
}

#[test]
fn memcheck_finds_nothing_in_the_module() {
    memcheck(How::Own);
}

#[test]
fn memcheck_finds_nothing_where_calls_wait() {
    memcheck(How::Fetcher);
}

fn memcheck(how: How) {
    const CALLS: usize = 40 * KINDS;
    if let Some(why) = no_valgrind() {
        support::skipped(&format!("memcheck, {how:?}: {why}"));
        return;
    }
    let mut calls = Calls::new(10);
    let (folder, port) = (Folder::new(), free_port());
    let cfg = calls.cfg(&folder, port, how);
    let mut valgrind = Valgrind::start(folder, &cfg);
    let sip = Sip::udp(port);
    wait_for("Kamailio under valgrind answers OPTIONS", Duration::from_secs(60), || {
        if let Some(status) = valgrind.child.try_wait().unwrap() {
            panic!("Kamailio stopped at start ({status}):\n{}", valgrind.log());
        }
        sip.try_send(&Request::options(), Duration::from_millis(500))
    });
    calls.sign(&sip);
    calls.run(port, 0..CALLS);
    valgrind.stop();

    let reports = valgrind.reports();
    let finished =
        reports.iter().filter(|report| report.contains("<state>FINISHED</state>")).count();
    // The main process and its workers, at the least.
    assert!(finished > 2 * WORKERS, "{finished} of {} reports are complete", reports.len());
    let ours: Vec<&str> = reports
        .iter()
        .flat_map(|report| report.split("<error>").skip(1))
        .filter_map(|error| error.split("</error>").next())
        .filter(|error| error.contains("/secsipid.so</obj>"))
        .collect();
    assert!(ours.is_empty(), "{} errors, the first one:\n{}", ours.len(), ours[0]);
}
