use super::{Key, random, signature, thorough};
use crate::Verdict;
use p256::Scalar;
use p256::elliptic_curve::PrimeField;

/// Enough for each kind of corruption with some keys.
const DEFAULT: u64 = 480;
/// Signatures of a key, of which a sixth are valid.
const A_KEY: u64 = 240;

#[test]
fn random_signatures_and_what_is_left_of_them() {
    let count = thorough().unwrap_or(DEFAULT);
    let mut valid = 0;
    for _ in 0..count / A_KEY {
        let secret = random();
        let (key, other) = (Key::of(&secret), random());
        for _ in 0..A_KEY / 12 {
            let [digest, r, s] = signature(&secret, &random(), &random());
            let [noise, more, _] = signature(&other, &random(), &random());
            let bit = usize::from(noise[0]);
            let negative = (-Scalar::from_repr(s.into()).unwrap()).to_repr().into();
            assert_eq!(key.verdict(&digest, &r, &s), Verdict::Valid);
            // Whoever has a signature has this one too.
            assert_eq!(key.verdict(&digest, &r, &negative), Verdict::Valid);
            valid += 2;
            let corrupted = [
                [digest, r, flipped(s, bit)],
                [digest, flipped(r, bit), s],
                [flipped(digest, bit), r, s],
                [digest, s, r],
                [r, digest, s],
                [digest, r, noise],
                [digest, more, s],
                [noise, r, s],
                [digest, r, [0; 32]],
                [digest, noise, more],
            ];
            for [digest, r, s] in corrupted {
                assert_eq!(key.verdict(&digest, &r, &s), Verdict::Invalid);
            }
        }
    }
    println!("{count} signatures, of which {valid} are valid");
}

fn flipped(mut number: [u8; 32], bit: usize) -> [u8; 32] {
    number[bit / 8] ^= 1 << (bit % 8);
    number
}
