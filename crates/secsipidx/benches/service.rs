//! `make bench`: the stock service and ours, started with the same flags, in one run and in turn
//! under the same load of wrk; then both as a command that signs one call. What is compared are
//! ratios of medians.
//!
//! `BENCH_ROUNDS` (5), `BENCH_SECONDS` (3, for each workload and round) and `BENCH_RUNS` (50, of
//! ten commands) set its length.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::process::{Command, Stdio};
use std::time::Instant;
use support::{Folder, OURS, STOCK, Service};

const FLAGS: [&str; 6] =
    ["-fprvkey", "lab/spc-1234-key.pem", "-fpubkey", "lab/spc-1234.pem", "-expire", "300"];
const SIGN: &str = "-sign-full -fprvkey lab/spc-1234-key.pem -orig-tn 12155550100 -dest-tn 12025550100 -attest A -x5u https://e.org/c.pem";
const CSV: &str = "12155550100,12025550100,A,,https://e.org/c.pem";
const PATHS: [&str; 2] = ["/v1/sign-csv", "/v1/check"];
/// Connections that ask at once.
const CONNECTIONS: usize = 32;
/// wrk's threads: one sends more than either service answers on two cores.
const THREADS: usize = 1;
/// Commands of one tool before the other's turn: CPU time is counted in ticks that are longer than
/// one command.
const IN_A_ROW: usize = 10;

fn main() {
    // `cargo test` runs benches too, to see that they build.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let rounds = setting("BENCH_ROUNDS", 5);
    let seconds = setting("BENCH_SECONDS", 3);
    let runs = setting("BENCH_RUNS", 50);
    let folder = Folder::lab();
    let listen = [&["-http-srv", "127.0.0.1:0"][..], &FLAGS].concat();
    let services = [Service::stock(&folder, &FLAGS), Service::ours(&folder, &listen, &[])];

    let mut loads = [(); 2].map(|()| [(); 2].map(|()| Vec::new()));
    for round in 0..=rounds {
        // A new one each round: none may get too old.
        let identity = folder.out(SIGN);
        for (path, loads) in PATHS.iter().zip(&mut loads) {
            let body = if *path == "/v1/check" { identity.trim() } else { CSV };
            for (service, loads) in services.iter().zip(loads) {
                // The first round warms up, and is as short as that takes.
                let load =
                    drive(&folder, service, path, body, if round == 0 { 1 } else { seconds });
                if round > 0 {
                    loads.push(load);
                }
            }
        }
    }
    let memory = [0, 1].map(|who| Memory::of(services[who].child.id()));
    drop(services);
    let mut starts = [STOCK, OURS].map(Start::new);
    for _ in 0..runs {
        for start in &mut starts {
            start.run(&folder);
        }
    }

    println!("\n{rounds} rounds of {seconds} s, {CONNECTIONS} connections; medians\n");
    println!("| | stock | ours | ratio | goal |");
    println!("|---|---|---|---|---|");
    for (path, [stock, ours]) in PATHS.iter().zip(&loads) {
        let row = |name, get: fn(&Load) -> f64, goal| {
            let of = |loads: &[Load]| median(loads.iter().map(get));
            row(&format!("{path}: {name}"), of(stock), of(ours), goal);
        };
        row("requests/s", |load| load.rate, Goal::AtLeast(2.0));
        row("p50, ms", |load| load.p50, Goal::None);
        row("p99, ms", |load| load.p99, Goal::AtMost(0.5));
        row("CPU a request, µs", |load| load.cpu, Goal::None);
    }
    let [stock, ours] = &memory;
    row("memory (RSS), MiB", stock.rss, ours.rss, Goal::AtMost(0.5));
    row("its share of it (PSS), MiB", stock.pss, ours.pss, Goal::AtMost(0.5));
    row("without files (RssAnon), MiB", stock.anonymous, ours.anonymous, Goal::AtMost(0.5));
    row("threads", stock.threads, ours.threads, Goal::None);
    let [stock, ours] = starts;
    row("-sign-full, CPU, ms", stock.cpu(), ours.cpu(), Goal::AtMost(0.5));
    row("-sign-full, start to end, ms", stock.wall(), ours.wall(), Goal::AtMost(0.5));
    println!();
}

/// What the ratio of ours to the stock one's is to be.
enum Goal {
    AtLeast(f64),
    AtMost(f64),
    None,
}

fn row(name: &str, stock: f64, ours: f64, goal: Goal) {
    let ratio = ours / stock;
    let (goal, reached) = match goal {
        Goal::AtLeast(goal) => (format!("at least {goal:.1} "), ratio >= goal),
        Goal::AtMost(goal) => (format!("at most {goal:.1} "), ratio <= goal),
        Goal::None => (String::new(), true),
    };
    let verdict = match (goal.is_empty(), reached) {
        (true, _) => "",
        (false, true) => "reached",
        (false, false) => "**not reached**",
    };
    let digits = if stock >= 1000.0 { 0 } else { 2 };
    println!("| {name} | {stock:.digits$} | {ours:.digits$} | {ratio:.2} | {goal}{verdict} |");
}

fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

struct Load {
    /// Requests a second.
    rate: f64,
    /// Milliseconds.
    p50: f64,
    p99: f64,
    /// CPU of the service for a request, µs. What shares the machine changes it least.
    cpu: f64,
}

/// Has wrk ask for some seconds, and every request answered 200.
fn drive(folder: &Folder, service: &Service, path: &str, body: &str, seconds: u32) -> Load {
    let before = ticks(service.child.id());
    let output = Command::new("wrk")
        .args([format!("-t{THREADS}"), format!("-c{CONNECTIONS}"), format!("-d{seconds}s")])
        .args(["-s", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/post.lua")])
        .arg(format!("http://127.0.0.1:{}{path}", service.port))
        .env("BODY", body)
        .current_dir(&folder.0)
        .output()
        .unwrap_or_else(|e| panic!("wrk (Debian's package): {e}"));
    let ticks = ticks(service.child.id()) - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text.lines().find_map(|line| line.strip_prefix("result "));
    let numbers: Vec<f64> =
        result.unwrap_or_default().split(' ').filter_map(|number| number.parse().ok()).collect();
    let [requests, microseconds, p50, p99, errors] = numbers[..] else { panic!("wrk: {text}") };
    assert!(requests > 0.0 && errors == 0.0, "{path}: {text}");
    Load {
        rate: requests / microseconds * 1e6,
        p50: p50 / 1000.0,
        p99: p99 / 1000.0,
        cpu: ticks * TICK / requests,
    }
}

/// Microseconds of a tick of /proc, on every architecture (USER_HZ).
const TICK: f64 = 10_000.0;

/// CPU time that a process used so far, threads that ended included, in ticks.
fn ticks(pid: u32) -> f64 {
    // utime and stime of proc(5).
    stat(&pid.to_string(), [14, 15])
}

/// The sum of two fields of a process's stat file, numbered as in proc(5).
fn stat(process: &str, fields: [usize; 2]) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The second field is a name in parentheses, which may have spaces in it.
    let rest: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields.iter().map(|field| rest[field - 3].parse::<f64>().unwrap()).sum()
}

struct Memory {
    rss: f64,
    pss: f64,
    anonymous: f64,
    threads: f64,
}

impl Memory {
    fn of(pid: u32) -> Self {
        let number = |file: &str, name: &str| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse::<f64>().unwrap()
        };
        Self {
            rss: number("status", "VmRSS:") / 1024.0,
            pss: number("smaps_rollup", "Pss:") / 1024.0,
            anonymous: number("status", "RssAnon:") / 1024.0,
            threads: number("status", "Threads:"),
        }
    }
}

/// A tool that signs a call with a process of its own, again and again.
struct Start {
    tool: &'static str,
    /// Milliseconds of each run.
    walls: Vec<f64>,
    /// Ticks of all runs.
    ticks: f64,
}

impl Start {
    const fn new(tool: &'static str) -> Self {
        Self { tool, walls: Vec::new(), ticks: 0.0 }
    }

    fn run(&mut self, folder: &Folder) {
        // CPU time of all children that ended: cutime and cstime.
        let children = || stat("self", [16, 17]);
        let before = children();
        for _ in 0..IN_A_ROW {
            let mut command = Command::new(self.tool);
            command.args(SIGN.split(' ')).current_dir(&folder.0).stdout(Stdio::null());
            let started = Instant::now();
            assert!(command.status().unwrap().success(), "{}", self.tool);
            self.walls.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        self.ticks += children() - before;
    }

    fn wall(&self) -> f64 {
        median(self.walls.iter().copied())
    }

    fn cpu(&self) -> f64 {
        self.ticks * TICK / 1000.0 / self.walls.len() as f64
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
