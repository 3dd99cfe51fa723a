//! `make bench`: 500 calls a second, of which one in fifty names a certificate host that takes the
//! request and says nothing, to a Kamailio with two workers: with the stock module and with ours, by
//! the function that waits and by the one that doesn't. What counts is what becomes of the good calls.
//!
//! `BENCH_CALLS` (5000) sets its length.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;
use support::fetching::{Good, Way, blocking, signed, waiting};
use support::load::share;
use support::{Answer, Answered, Cfg, Http, Kamailio, Load, Module};

const RATE: u32 = 500;
const ONE_IN: usize = 50;
/// What a caller waits for an answer here.
const PATIENCE: Duration = Duration::from_secs(12);

fn main() {
    // `cargo test` runs benches too, to see that they build.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let calls = std::env::var("BENCH_CALLS").ok().and_then(|n| n.parse().ok()).unwrap_or(5000);
    println!(
        "\n{calls} calls, {RATE} a second, one in {ONE_IN} to a host that never answers, two workers\n"
    );
    println!("| module | good calls answered | p50, ms | p99, ms | longest, ms |");
    println!("|---|---|---|---|---|");
    let rows: [(&str, Module, Way); 3] = [
        ("stock, check_identity", Module::Stock, blocking),
        ("ours, check_identity", Module::Ours, blocking),
        ("ours, fetch_async", Module::Ours, waiting),
    ];
    for (name, module, way) in rows {
        let (good, silent) = (Good::new(), Http::start());
        let bad = signed(&good.lab, &silent.on("/cert.pem", Answer::Silent));
        let mut cfg = way(Cfg::new(module)).workers(2).param("timeout", 5);
        if module == Module::Stock {
            // Its library must not be loaded before the fork.
            cfg = cfg.param("modproc", "secsipid_proc.so").param("cache_expire", 3600);
            cfg = cfg.param("cache_dir", good.lab.folder.path().to_str().unwrap());
        }
        let kamailio = Kamailio::start(&cfg);
        let load = Load { port: kamailio.port, rate: RATE, window: usize::MAX };
        assert_eq!(load.run([&good.identity])[0].code, Some(1), "{name}: the good one");
        let identities = (0..calls).map(|n| if n % ONE_IN == 7 { &bad } else { &good.identity });
        let all = load.run(identities);
        let mine = all.iter().enumerate().filter(|(n, _)| n % ONE_IN != 7);
        let mine: Vec<Answered> = mine.map(|(_, call)| *call).collect();
        let answered = mine.iter().filter(|call| call.code == Some(1)).count();
        let ms = |thousandths| {
            let wait = share(&mine, thousandths);
            if wait >= PATIENCE { "–".into() } else { format!("{:.2}", wait.as_secs_f64() * 1e3) }
        };
        let share = 100.0 * answered as f64 / mine.len() as f64;
        println!("| {name} | {share:.2} % | {} | {} | {} |", ms(500), ms(990), ms(1000));
    }
}
