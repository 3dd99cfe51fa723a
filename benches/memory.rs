//! `make bench`: what a worker and a fetcher hold with 0, 1,000 and 10,000 certificates.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::process::Command;
use support::fetching::{self, Good, blocking, signed};
use support::{Answer, Kamailio, Load, private_memory};

const CERTIFICATES: [usize; 3] = [0, 1000, 10_000];

fn main() {
    // `cargo test` runs benches too, to see that they build.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let good = Good::new();
    good.http.on("*", Answer::Ok(good.lab.read("cert.pem").into()));
    let cfg = fetching::cfg(blocking)
        .param("cache_size", 20_000)
        .param("trust_anchors", good.lab.path("ca.pem"));
    let kamailio = Kamailio::start(&cfg);
    let fetcher = kamailio.fetcher();
    // The first of two processes: with one worker and one fetcher.
    let worker = kamailio.processes()[0];
    let load = Load { port: kamailio.port, rate: u32::MAX, window: 16 };
    let passed = |identities: Vec<String>| {
        assert!(load.run(identities).iter().all(|call| call.code == Some(1)));
    };
    // What every call needs is there after these, and one certificate.
    passed(vec![good.identity.clone(); 500]);
    // The module was copied beside the cfg: until that is on disk, its code counts as written too.
    assert!(Command::new("sync").status().unwrap().success());
    println!(
        "\n| certificates | private memory of the worker, MiB | of the fetcher, MiB |\n|---|---|---|"
    );
    let mut from = 0;
    for count in CERTIFICATES {
        let url = |n| good.http.url(&format!("/{n}.pem"));
        passed((from..count).map(|n| signed(&good.lab, &url(n))).collect());
        from = count;
        let [worker, fetcher] = [worker, fetcher].map(|pid| private_memory(pid) as f64 / 1024.0);
        println!("| {count} | {worker:.1} | {fetcher:.1} |");
    }
    println!();
}
