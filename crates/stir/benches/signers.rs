//! What a check costs by the number of signers, with and without tables of their keys.
//!
//! `cargo bench -p stir --bench signers` prints the table of docs/operations.md. Signer number n signs a
//! share of calls in proportion to 1/n: a few carriers sign most.

mod world;

use std::time::Instant;
use world::World;

const SIGNERS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
/// No tables, the default, and one for each.
const KEY_TABLES: [u32; 3] = [0, 512, 65_536];
const CALLS: usize = 20_000;

fn main() {
    // `cargo test` runs benches too, to see that they build.
    let bench = std::env::args().any(|arg| arg == "--bench");
    let (most, calls) = if bench { (10_000, CALLS) } else { (10, 10) };
    println!(
        "| signers | no tables: µs a call, calls a second | key_tables 512 | key_tables 65536 |"
    );
    println!("|---|---|---|---|");
    for count in SIGNERS.into_iter().filter(|count| *count <= most) {
        let world = World::new(count);
        let order = order(count, calls);
        let mut line = format!("| {count} |");
        for key_tables in KEY_TABLES {
            let verifier = world.verifier(key_tables);
            order.iter().for_each(|n| world.check(&verifier, *n));
            let start = Instant::now();
            order.iter().for_each(|n| world.check(&verifier, *n));
            let each = start.elapsed().as_secs_f64() / order.len() as f64;
            line += &format!(" {:.1}, {:.0} |", each * 1e6, 1.0 / each);
        }
        println!("{line}");
    }
}

/// Who signs one call after the other.
fn order(signers: usize, calls: usize) -> Vec<usize> {
    let mut sums = vec![0.0];
    for n in 1..=signers {
        sums.push(sums[n - 1] + 1.0 / n as f64);
    }
    // Knuth's linear congruential generator (MMIX): the same calls in every run.
    let mut state = 1_u64;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    std::iter::repeat_with(next)
        .take(calls)
        .map(|point| sums.partition_point(|sum| *sum <= point * sums[signers]) - 1)
        .collect()
}
