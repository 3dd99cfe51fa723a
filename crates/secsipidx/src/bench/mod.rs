//! `bench`: what this machine can do, and what a service that runs can.

mod load;

use crate::cli;
use crate::keys::NewKey;
use crate::output;
use serde::Serialize;
use serde_json::json;
use std::process::ExitCode;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};
use stir::key::SigningKey;
use stir::{
    Call, CheckOptions, Checked, Code, Config, Error, PrivateKey, PublicKey, Result, Signer,
    Verifier,
};

/// Rounds of which the median counts: one that another process disturbs changes nothing.
const ROUNDS: u32 = 5;
/// Octets that a token's signature is over, mostly.
const SIGNED_LEN: usize = 360;
/// The call that is signed.
const CALL: Call<'_> = Call {
    orig: "12155550100",
    dest: "12025550100",
    attest: "A",
    origid: "",
    x5u: "https://cr.example.org/1234.pem",
    rcd_nam: None,
};

/// What is measured; it fails only if something is wrong.
type Operation<'a> = &'a (dyn Fn() -> Result<()> + Sync);

/// One operation on so many threads.
#[derive(Debug, Serialize)]
struct Measure {
    operation: &'static str,
    #[serde(skip)]
    title: &'static str,
    threads: usize,
    /// What one takes, on its thread.
    microseconds: f64,
    per_second: f64,
}

/// `bench`
///
/// # Errors
/// A service that can't be reached, or does not do what is asked; a failure of the cryptography.
pub fn bench(args: &cli::Bench) -> Result<ExitCode> {
    match &args.url {
        Some(url) => load::bench(url, args),
        None => local(args),
    }
}

fn local(args: &cli::Bench) -> Result<ExitCode> {
    let key = NewKey::generate();
    let (private, public) = (key.private_pem()?, key.public_pem()?);
    let bare = SigningKey::from_pem(private.as_bytes())?;
    let message = [b'x'; SIGNED_LEN];
    let (signature, bare_public) = (bare.sign(&message)?, bare.verifying_key()?);
    let signer = Signer::new(&Checked::default());
    let sign = || signer.identity(&CALL, PrivateKey::Pem(&private));
    let identity = sign()?;
    let config = Checked::default();
    let verifier = Verifier::new(&config);
    // Knows the key, and makes no table of it, as for a signer's first calls.
    let without_tables = Verifier::new(&Config { key_tables: 0, ..Config::default() }.build()?);
    let verify = || {
        let verifies = bare_public.verify(&message, &signature);
        verifies.then_some(()).ok_or_else(|| wrong("a signature does not verify"))
    };
    let check = |verifier: &Verifier| {
        let key = PublicKey::Pem(&public);
        verifier.check([identity.as_str()], key, CheckOptions::default()).result
    };
    let operations: [(_, _, Operation<'_>); 5] = [
        ("es256_sign", "ES256 signature", &|| bare.sign(&message).map(drop)),
        ("es256_verify", "ES256 verification", &verify),
        ("sign_call", "sign a call", &|| sign().map(drop)),
        ("check_known_signer", "check, known signer", &|| check(&verifier)),
        ("check_new_signer", "check, new signer", &|| check(&without_tables)),
    ];
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let threads = if cpus == 1 { vec![1] } else { vec![1, cpus] };
    let measured = u32::try_from(operations.len() * threads.len()).unwrap_or(u32::MAX);
    let round = Duration::from_secs(args.seconds.into()) / measured / ROUNDS;
    let mut measures = Vec::new();
    for (operation, title, run) in operations {
        for &threads in &threads {
            let per_second = median(threads, round, run)?;
            // Exact: there are fewer threads than 2^52.
            let microseconds = threads as f64 * 1e6 / per_second;
            measures.push(Measure { operation, title, threads, microseconds, per_second });
        }
    }
    Ok(output::print(&if args.json {
        let (version, tables) = (env!("CARGO_PKG_VERSION"), config.tables());
        let json =
            json!({"version": version, "cpus": cpus, "tables": tables, "measures": measures});
        format!("{json}\n")
    } else {
        table(&measures, cpus, round, config.tables())
    }))
}

fn table(measures: &[Measure], cpus: usize, round: Duration, tables: &str) -> String {
    let mut out = format!(
        "{cpus} CPUs; key tables: {tables}; medians of {ROUNDS} rounds of {} ms\n\n{:<20}{:>8}{:>12}{:>12}\n",
        round.as_millis(),
        "",
        "threads",
        "µs each",
        "a second"
    );
    for Measure { title, threads, microseconds, per_second, .. } in measures {
        out.push_str(&format!("{title:<20}{threads:>8}{microseconds:>12.1}{per_second:>12.0}\n"));
    }
    out
}

/// Operations a second, on all of these threads together.
fn median(threads: usize, round: Duration, run: Operation<'_>) -> Result<f64> {
    let mut rates =
        (0..ROUNDS).map(|_| one_round(threads, round, run)).collect::<Result<Vec<f64>>>()?;
    rates.sort_by(f64::total_cmp);
    Ok(rates.get(rates.len() / 2).copied().unwrap_or_default())
}

fn one_round(threads: usize, round: Duration, run: Operation<'_>) -> Result<f64> {
    let ready = Barrier::new(threads);
    let worker = || {
        ready.wait();
        let start = Instant::now();
        let mut done = 0u32;
        // A look at the clock is a thousandth of what is measured.
        while start.elapsed() < round {
            run()?;
            done += 1;
        }
        Ok(f64::from(done) / start.elapsed().as_secs_f64())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let panicked = |_| Err(wrong("a thread failed inside"));
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(panicked)).sum()
    })
}

fn wrong(message: &str) -> Error {
    Error::new(Code::Generic, message)
}
