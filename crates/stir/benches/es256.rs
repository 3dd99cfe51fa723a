//! A whole signing and a whole check beside the bare ES256 operation of the same library, in turns, so
//! that what else runs disturbs all alike.
//!
//! `cargo bench -p stir --bench es256`: a check of a signer with a table is to take 0.33 of a bare
//! verification or less, of one without a table 1.06; a signing 1.3 of a bare one.

mod world;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    ParsedPublicKey,
};
use p256::SecretKey;
use p256::elliptic_curve::Generate;
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use std::cell::Cell;
use std::hint::black_box;
use std::time::Instant;
use stir::{Checked, Config, PrivateKey, Signer};
use world::World;

/// As many octets as the signed part of a token has.
const MESSAGE: [u8; 360] = [b'x'; 360];
/// Signers, called in an order that no prefetcher guesses.
const SIGNERS: usize = 200;
/// Operations of a kind that are timed together.
const BATCH: u32 = 10;
/// Rounds in which each kind has its turn; medians count.
const ROUNDS: usize = 1_001;

fn main() {
    // `cargo test` runs benches too, to see that they build.
    let rounds = if std::env::args().any(|arg| arg == "--bench") { ROUNDS } else { 1 };
    let secret = SecretKey::generate();
    let der = secret.to_pkcs8_der().expect("PKCS#8");
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_bytes()).expect("a key");
    let random = SystemRandom::new();
    let signature = pair.sign(&random, &MESSAGE).expect("a signature");
    let public =
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref()).expect("a key");
    let pem = secret.to_pkcs8_pem(LineEnding::LF).expect("PKCS#8");
    let signer = Signer::new(&Checked::default());
    let url = "https://certs.example.org/shaken.pem";
    let world = World::new(SIGNERS);
    let config = Config { key_tables: 1_024, ..Config::default() };
    let (known, unknown) = (world.verifier(config.key_tables), world.verifier(0));
    let turn = Cell::new(0_usize);
    // 7,919 is prime: all signers have their turn.
    let next = || {
        turn.set(turn.get() + 1);
        turn.get() * 7_919 * 31 % SIGNERS
    };

    let operations: [(&str, &dyn Fn()); 5] = [
        ("bare sign", &|| {
            pair.sign(&random, black_box(&MESSAGE)).expect("a signature");
        }),
        ("sign", &|| {
            let call = world::call(black_box(url));
            drop(signer.identity(&call, PrivateKey::Pem(&pem)).expect("a token"));
        }),
        ("bare verify", &|| {
            public.verify_sig(black_box(&MESSAGE), signature.as_ref()).expect("valid");
        }),
        ("check, unknown signer", &|| world.check(&unknown, next())),
        ("check, known signer", &|| world.check(&known, next())),
    ];
    let mut times = [const { Vec::new() }; 5];
    for _ in 0..rounds {
        for ((_, run), times) in operations.iter().zip(&mut times) {
            let start = Instant::now();
            (0..BATCH).for_each(|_| run());
            times.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH));
        }
    }
    // A ratio is of two batches that ran one after the other.
    let ratio = |of: usize, to: usize| {
        median(times[of].iter().zip(&times[to]).map(|(of, to)| of / to).collect())
    };
    println!("key tables: {}; medians of {rounds} rounds", config.tables());
    for (i, (name, _)) in operations.iter().enumerate() {
        let bare = if i < 2 { 0 } else { 2 };
        let (time, ratio) = (median(times[i].clone()), ratio(i, bare));
        println!("{name:<24}{time:>8.1} µs{ratio:>8.3} of {}", operations[bare].0);
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
