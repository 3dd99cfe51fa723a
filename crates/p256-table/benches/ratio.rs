//! A table beside aws-lc, in turns in one process, so that what else runs disturbs both alike.
//!
//! `cargo bench -p p256-table`

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    ParsedPublicKey,
};
use p256_table::{Backend, Table, Verdict};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Verifications of each kind that are timed together.
const BATCH: usize = 8;
/// Pairs of batches, of which the median counts.
const PAIRS: usize = 2_001;

struct Signer {
    key: ParsedPublicKey,
    table: Table,
    digest: [u8; 32],
    signature: [u8; 64],
}

impl Signer {
    fn new(seed: u8) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let message = [seed; 100];
        let signature = pair.sign(&SystemRandom::new(), &message).expect("a signature");
        let point = pair.public_key().as_ref();
        Self {
            key: ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).expect("a key"),
            table: Table::new(point).expect("a table"),
            digest: aws_lc_rs::digest::digest(&SHA256, &message).as_ref().try_into().expect("32"),
            signature: signature.as_ref().try_into().expect("64"),
        }
    }

    fn by_aws_lc(&self) {
        let digest = Digest::import_less_safe(&self.digest, &SHA256).expect("32");
        self.key.verify_digest_sig(&digest, black_box(&self.signature)).expect("valid");
    }

    fn by_table(&self) {
        assert_eq!(self.table.verify(black_box(&self.digest), &self.signature), Verdict::Valid);
    }

    fn build(&self) {
        black_box(Table::new(self.key.as_ref()).expect("a table"));
    }
}

fn time(work: impl Fn(usize)) -> Duration {
    let start = Instant::now();
    (0..BATCH).for_each(work);
    start.elapsed()
}

fn main() {
    if p256_table::backend() == Backend::AwsLc {
        return println!("there are no tables in this build");
    }
    println!("{}; medians of {PAIRS} pairs", p256_table::backend().name());
    for count in [1, 200, 1_000] {
        let signers: Vec<_> = (0..count).map(|seed| Signer::new(seed as u8)).collect();
        // Visits all in an order that no prefetcher guesses; 7,919 is prime.
        let at = |i: usize| &signers[i * 7_919 * 31 % count];
        let paired = |work: &dyn Fn(&Signer)| {
            let mut pairs: Vec<_> = (0..PAIRS)
                .map(|pair| {
                    let (start, aws_lc) =
                        (pair * BATCH, time(|i| at(pair * BATCH + i).by_aws_lc()));
                    let other = time(|i| work(at(start + i)));
                    (other.as_secs_f64() / aws_lc.as_secs_f64(), aws_lc)
                })
                .collect();
            pairs.sort_by(|one, other| one.0.total_cmp(&other.0));
            pairs[PAIRS / 2]
        };
        let (verify, aws_lc) = paired(&Signer::by_table);
        let (build, _) = paired(&Signer::build);
        println!(
            "{count:>5} keys: verification {verify:.3}, building {build:.3} of aws-lc's verification ({:.1} µs)",
            aws_lc.as_secs_f64() * 1e6 / BATCH as f64
        );
    }
}
