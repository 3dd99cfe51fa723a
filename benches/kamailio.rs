//! `make bench`: a Kamailio without secsipid calls, one with the stock module and one with ours, in
//! one run and in turn, under the same load. What is compared are ratios of medians.
//!
//! `BENCH_ROUNDS` (5) and `BENCH_REQUESTS` (10000, for each workload and round) set its length.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};
use stir::{Call, Checked, PrivateKey, Signer};
use support::{Answer, Cfg, Http, Kamailio, Lab, Module};

const MODULES: [Module; 3] = [Module::Without, Module::Stock, Module::Ours];
/// Name, and what added CPU may be of the stock module's.
const WORKLOADS: [(&str, f64); 3] = [("sign", 0.55), ("file", 0.60), ("x5u", 0.50)];
/// Requests under way at once where throughput is measured.
const WINDOW: usize = 16;
/// Requests that wait for a worker at once where CPU is measured: they must fit into its socket's
/// buffer, which takes 90.
const BATCH: usize = 60;
/// Calls that a request makes where CPU is measured, beside one that makes one.
const CALLS: usize = 5;

fn main() {
    // `cargo test` runs benches too, to see that they build.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let rounds = setting("BENCH_ROUNDS", 5);
    let requests = setting("BENCH_REQUESTS", 10_000);
    let lab = Lab::new();
    let http = Http::start();
    let x5u = http.on("/cert.pem", Answer::Ok(lab.read("cert.pem").into()));
    let identity = Signer::new(&Checked::default())
        .identity(
            &Call {
                orig: "12155551212",
                dest: "12155551213",
                attest: "A",
                origid: "",
                x5u: &x5u,
                rcd_nam: None,
            },
            PrivateKey::Pem(&lab.read("key.pem")),
        )
        .unwrap();
    let servers = MODULES.map(|module| Kamailio::start(&cfg(module, &lab, &x5u)));

    let mut samples: Vec<Vec<Vec<Sample>>> = vec![vec![Vec::new(); MODULES.len()]; WORKLOADS.len()];
    for round in 0..=rounds {
        for (workload, (name, _)) in WORKLOADS.iter().enumerate() {
            for (module, server) in servers.iter().enumerate() {
                // The first round warms up, and is as short as that takes.
                let count = if round == 0 { 500 } else { requests };
                // What a call adds, of the same server: two servers differ by more than a signature.
                let [one, many] = [1, CALLS].map(|n| cost(server, name, &identity, count / 2, n));
                let cpu = (many - one) / (CALLS - 1) as f64;
                let sample = Sample { cpu, ..drive(server, name, &identity, count) };
                if round > 0 {
                    samples[workload][module].push(sample);
                }
            }
        }
    }

    println!("\n{rounds} rounds of {requests} requests, one worker; medians\n");
    println!(
        "| workload | CPU a call adds, stock, µs | ours, µs | ratio | goal | requests/s without, stock, ours | p50/p99 stock, ms | p50/p99 ours, ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (workload, (name, goal)) in WORKLOADS.iter().enumerate() {
        let of = |module: usize, get: fn(&Sample) -> f64| {
            median(samples[workload][module].iter().map(get))
        };
        let (stock, ours) = (of(1, |s| s.cpu), of(2, |s| s.cpu));
        let ratio = ours / stock;
        println!(
            "| {name} | {stock:.1} | {ours:.1} | {ratio:.2} | {goal:.2} {} | {:.0}, {:.0}, {:.0} | {:.2}/{:.2} | {:.2}/{:.2} |",
            if ratio <= *goal { "reached" } else { "**not reached**" },
            of(0, |s| s.rate),
            of(1, |s| s.rate),
            of(2, |s| s.rate),
            of(1, |s| s.p50),
            of(1, |s| s.p99),
            of(2, |s| s.p50),
            of(2, |s| s.p99),
        );
    }
    memory(&servers, &lab, &x5u, &identity);
}

/// What a worker holds, beside one without a module. The last two are new: one that has signed and
/// checked by file, and one that has downloaded by itself.
fn memory(servers: &[Kamailio; 3], lab: &Lab, x5u: &str, identity: &str) {
    let files = Kamailio::start(&cfg(Module::Ours, lab, x5u));
    // Nobody's folder, or it would find the certificate there.
    let own = cfg(Module::Ours, lab, x5u).param("fetchers", 0).param("cache_dir", "");
    let own = Kamailio::start(&own);
    for (server, workloads) in [(&files, &["sign", "file"][..]), (&own, &["sign", "file", "x5u"])] {
        for workload in workloads {
            drive(server, workload, identity, 2000);
        }
    }
    // The module was copied beside each cfg: until that is on disk, its code counts as written too.
    assert!(Command::new("sync").status().unwrap().success());
    println!(
        "\n| worker | private memory, MiB | above without | goal | threads |\n|---|---|---|---|---|"
    );
    let [without, stock, ours] = servers;
    let none = private_memory(without.processes()[0]);
    for (name, server, goal) in [
        ("without", without, None),
        ("stock", stock, None),
        ("ours, sign and file", &files, Some(1.5)),
        ("ours, x5u by a fetcher", ours, Some(1.5)),
        ("ours, x5u by its own download", &own, Some(1.5)),
    ] {
        let worker = server.processes()[0];
        let above = private_memory(worker) - none;
        let reached = match goal {
            None => String::new(),
            Some(goal) if above <= goal => format!("{goal:.2} reached"),
            Some(goal) => format!("{goal:.2} **not reached**"),
        };
        println!("| {name} | {:.2} | {above:.2} | {reached} | {} |", none + above, threads(worker));
    }
    println!();
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// The same cfg for all; the one without a module has no calls in it.
fn cfg(module: Module, lab: &Lab, x5u: &str) -> Cfg {
    let (key, cert) = (lab.path("key.pem"), lab.path("cert.pem"));
    let cache = lab.folder.join(&format!("cache-{module:?}"));
    std::fs::create_dir_all(&cache).unwrap();
    let call =
        |text: String| if module == Module::Without { "$var(x) = 1;".to_owned() } else { text };
    let cfg = Cfg::new(module).workers(1).route(&format!(
        "$var(n) = $(hdr(X-N){{s.int}});
        while ($var(n) > 0) {{
            $var(n) = $var(n) - 1;
            switch ($hdr(X-W)) {{
                case \"sign\": {} break;
                case \"file\": {} break;
                case \"x5u\": {} break;
            }}
        }}
        if ($var(x) < 0) {{ sl_send_reply(\"500\", \"Failed\"); exit; }}
        sl_send_reply(\"200\", \"OK\");",
        call(format!("$var(x) = secsipid_build_identity(\"$fU\", \"$rU\", \"A\", \"\", \"{x5u}\", \"{key}\");")),
        call(format!("$var(x) = secsipid_check_identity(\"{cert}\");")),
        call("$var(x) = secsipid_check_identity(\"\");".into()),
    ));
    if module == Module::Without {
        return cfg;
    }
    cfg.param("expire", 100_000)
        .param("cache_expire", 100_000)
        .param("cache_dir", support::inside(&cache))
}

#[derive(Clone)]
struct Sample {
    /// CPU of all workers for a request, µs.
    cpu: f64,
    /// Requests a second.
    rate: f64,
    /// Milliseconds.
    p50: f64,
    p99: f64,
}

/// CPU that a request costs, µs. The workers are stopped while requests pile up, and nothing else
/// runs while they answer them: where two processors share a core, a client at work slows them
/// down, the more the faster they are; and a worker that sleeps and wakes between two requests pays
/// for that too. Either costs as much as a signature, and would hide what a module adds.
fn cost(server: &Kamailio, workload: &str, identity: &str, count: usize, calls: usize) -> f64 {
    let client = Client::new(server, workload, identity, calls);
    let (mut used, mut asked) = (0.0, 0);
    while asked < count {
        signal(server, Signal::SIGSTOP);
        (0..BATCH).for_each(|n| client.send(asked + n));
        let before = cpu(server);
        signal(server, Signal::SIGCONT);
        // A task that runs is not billed before it sleeps; with requests waiting none does.
        while !(client.has_reply() && asleep(server)) {
            std::thread::sleep(Duration::from_millis(2));
        }
        used += cpu(server) - before;
        for _ in 0..BATCH {
            client.receive();
        }
        asked += BATCH;
    }
    used / asked as f64
}

/// Sends requests with a window of outstanding ones, and waits for every answer.
fn drive(server: &Kamailio, workload: &str, identity: &str, count: usize) -> Sample {
    let client = Client::new(server, workload, identity, 1);
    let mut sent = vec![Instant::now(); count];
    let mut latencies = Vec::with_capacity(count);
    let started = Instant::now();
    let mut next = 0;
    while latencies.len() < count {
        while next < count && next - latencies.len() < WINDOW {
            sent[next] = Instant::now();
            client.send(next);
            next += 1;
        }
        latencies.push(sent[client.receive()].elapsed().as_secs_f64() * 1000.0);
    }
    let rate = count as f64 / started.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    Sample { cpu: 0.0, rate, p50: latencies[count / 2], p99: latencies[count * 99 / 100] }
}

/// Calls by UDP.
struct Client {
    socket: UdpSocket,
    head: String,
    tail: String,
}

impl Client {
    fn new(server: &Kamailio, workload: &str, identity: &str, calls: usize) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", server.port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let local = socket.local_addr().unwrap();
        let head = format!(
            "INVITE sip:+12155551213@example.org SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK"
        );
        let tail = format!(
            "@b\r\nMax-Forwards: 70\r\nFrom: <sip:+12155551212@example.com>;tag=1\r\nTo: <sip:+12155551213@example.org>\r\nCSeq: 1 INVITE\r\nContact: <sip:a@{local}>\r\nX-W: {workload}\r\nX-N: {calls}\r\nIdentity: {identity}\r\nContent-Length: 0\r\n\r\n"
        );
        Self { socket, head, tail }
    }

    fn send(&self, n: usize) {
        let Self { head, tail, .. } = self;
        self.socket.send(format!("{head}{n}\r\nCall-ID: {n}{tail}").as_bytes()).unwrap();
    }

    /// Whether a reply waits.
    fn has_reply(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let found = self.socket.peek(&mut [0]).is_ok();
        self.socket.set_nonblocking(false).unwrap();
        found
    }

    /// Takes a reply; the number of the request that it answers.
    fn receive(&self) -> usize {
        let mut buffer = [0; 8192];
        let len = self.socket.recv(&mut buffer).expect("Kamailio answers every request");
        let text = String::from_utf8_lossy(&buffer[..len]);
        assert!(text.starts_with("SIP/2.0 200"), "{text}");
        let id = text.split("Call-ID: ").nth(1).and_then(|rest| rest.split('@').next()).unwrap();
        id.parse().unwrap()
    }
}

/// Whether no task of a server runs or waits for a processor.
fn asleep(server: &Kamailio) -> bool {
    server.processes().iter().all(|pid| {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        tasks.map(|task| std::fs::read_to_string(task.path().join("stat")).unwrap_or_default()).all(
            // pid (name) state …
            |stat| {
                stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('S'))
            },
        )
    })
}

fn signal(server: &Kamailio, signal: Signal) {
    for pid in server.processes() {
        kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
    }
}

/// CPU time that all of a server's processes used so far, threads included, µs.
fn cpu(server: &Kamailio) -> f64 {
    let mut nanoseconds = 0;
    for pid in server.processes() {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for task in tasks.flatten() {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            nanoseconds +=
                text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or_default();
        }
    }
    nanoseconds as f64 / 1000.0
}

/// What a process alone has written, MiB.
fn private_memory(pid: u32) -> f64 {
    support::private_memory(pid) as f64 / 1024.0
}

fn threads(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
