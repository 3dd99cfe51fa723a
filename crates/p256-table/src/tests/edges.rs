use super::{Key, random, scalar, signature, tables, thorough};
use crate::Verdict;
use crate::comb::Digits;
use crate::numbers::{difference, sum};
use crate::sys::{Arithmetic, N, P, Words};
use crate::{Table, backend};
use p256::elliptic_curve::PrimeField;
use p256::elliptic_curve::sec1::FromSec1Point;
use p256::{AffinePoint, ProjectivePoint, Scalar, Sec1Point};

/// Numbers at which something begins or ends, and their neighbours.
fn numbers() -> Vec<[u8; 32]> {
    let between = difference(&P, &N);
    let half = [N[0] >> 1 | N[1] << 63, N[1] >> 1 | N[2] << 63, N[2] >> 1 | N[3] << 63, N[3] >> 1];
    let mut all = vec![[u64::MAX; 4], [0; 4]];
    for edge in [[1, 0, 0, 0], [3, 0, 0, 0], half, between, N, P] {
        all.extend([edge, difference(&edge, &[1, 0, 0, 0]), sum(&edge, &[1, 0, 0, 0])]);
    }
    all.iter().map(bytes).collect()
}

fn bytes(words: &Words) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, word) in bytes.chunks_mut(8).zip(words.iter().rev()) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

/// Private keys whose multiples meet those of G soon.
fn secrets() -> Vec<Scalar> {
    let small = (1..=9_u64).map(Scalar::from).chain((1..8).map(|bit| Scalar::from(1_u64 << bit)));
    // The teeth of both combs.
    let teeth = (1..9).flat_map(|tooth: u64| [29 * tooth, 37 * tooth % 256]);
    let powers = teeth.map(|bit| (0..bit).fold(Scalar::ONE, |power, _| power.double()));
    small.chain(powers).flat_map(|secret| [secret, -secret]).collect()
}

#[test]
fn edges_of_every_number() {
    let numbers = numbers();
    let keys = [Scalar::ONE, -Scalar::ONE, Scalar::from(2_u64), Scalar::from(3_u64), random()];
    let mut unsure = 0;
    for key in keys.map(|secret| Key::of(&secret)) {
        // Each r and s with one digest in turn, or by hand with all.
        let pairs = numbers.iter().flat_map(|r| numbers.iter().map(move |s| (r, s)));
        for (i, (r, s)) in pairs.enumerate() {
            let (from, step) = if thorough().is_some() { (0, 1) } else { (i % 20, 20) };
            for digest in numbers.iter().skip(from).step_by(step) {
                unsure += u32::from(key.verdict(digest, r, s) == Verdict::Unsure);
            }
        }
    }
    assert!(unsure > 0, "a digest of 0 is one to be unsure of");
}

#[test]
fn keys_that_are_small_multiples_of_the_base_point() {
    let (secrets, some) = (secrets(), if thorough().is_some() { 1 } else { 31 });
    for (i, secret) in secrets.iter().enumerate() {
        let key = Key::of(secret);
        let [digest, r, s] = signature(secret, &random(), &random());
        assert_eq!(key.verdict(&digest, &r, &s), Verdict::Valid);
        // Small and large multiples of both points.
        for u1 in secrets.iter().skip(i % some).step_by(some) {
            for u2 in secrets.iter().skip(i % some).step_by(some) {
                if *u1 + *u2 * secret != Scalar::ZERO {
                    let [digest, r, s] = signature(secret, u1, u2);
                    assert_ne!(key.verdict(&digest, &r, &s), Verdict::Invalid);
                }
            }
        }
    }
}

#[test]
fn a_digest_of_zero_is_unsure() {
    let secret = random();
    for digest in [[0; 32], bytes(&N)] {
        let [_, r, s] = signature(&secret, &Scalar::ZERO, &random());
        let key = Key::of(&secret);
        assert!(key.aws_lc(&digest, &r, &s));
        assert_eq!(key.verdict(&digest, &r, &s), Verdict::Unsure);
    }
}

/// Where r is below p − n, x may be r or r + n: a signature that is valid by a point of this x, and
/// the key that it is valid for.
#[test]
fn points_whose_x_is_not_below_n() {
    let between = difference(&P, &N);
    let (mut above, mut below) = (0, 0);
    for i in 0..24_u64 {
        let near = [[i, 0, 0, 0], difference(&between, &[i + 1, 0, 0, 0]), sum(&between, &[i; 4])];
        for x in
            near.iter().flat_map(|x| [*x, sum(x, &N)]).filter(|x| crate::numbers::is_less(x, &P))
        {
            let encoded = Sec1Point::from_bytes([&[2][..], &bytes(&x)].concat()).unwrap();
            let Some(point) = Option::<AffinePoint>::from(AffinePoint::from_sec1_point(&encoded))
            else {
                continue;
            };
            let r = scalar(&bytes(&x));
            if r == Scalar::ZERO {
                continue;
            }
            let (e, s) = (random(), random());
            // Q = (s·R − e·G) / r (SEC 1 §4.1.6).
            let key = (ProjectivePoint::from(point) * s - ProjectivePoint::GENERATOR * e)
                * r.invert().unwrap();
            let [digest, r, s] = [e, r, s].map(|number| number.to_repr().into());
            assert_eq!(Key::at(&key.to_affine()).verdict(&digest, &r, &s), Verdict::Valid);
            *(if bytes(&x) >= bytes(&N) { &mut above } else { &mut below }) += 1;
        }
    }
    assert!(above > 8 && below > 8, "{above} and {below}");
}

#[test]
fn keys_that_are_none_have_no_table() {
    let point = |x: &Words, y: &Words| [&[4][..], &bytes(x), &bytes(y)].concat();
    let good = Key::of(&random()).p256.to_sec1_point(false).as_bytes().to_vec();
    assert!(Table::new(&good).is_some());
    assert_eq!(backend().name(), "s2n-bignum");
    let mut off = good.clone();
    off[64] ^= 1;
    let (y, _) = good[33..].as_chunks::<32>();
    let y = crate::numbers::from_bytes(&y[0]);
    // The point of x = 0 is on the curve; its x as p is not an encoding of it.
    let zero = Sec1Point::from_bytes([&[2][..], &[0; 32]].concat()).unwrap();
    let zero = AffinePoint::from_sec1_point(&zero).unwrap();
    let zero = p256::elliptic_curve::sec1::ToSec1Point::to_sec1_point(&zero, false);
    let zero = zero.as_bytes();
    assert!(Table::new(zero).is_some());
    let mut over = zero.to_vec();
    over[1..33].copy_from_slice(&bytes(&P));
    for bad in [
        vec![],
        vec![4],
        vec![0],
        good[1..].to_vec(),
        good[..64].to_vec(),
        [&good[..], &[0]].concat(),
        [&[2], &good[1..]].concat(),
        [&[2], &good[1..33]].concat(),
        off,
        over,
        point(&[0; 4], &[0; 4]),
        point(&P, &P),
        point(&[u64::MAX; 4], &y),
    ] {
        assert!(Table::new(&bad).is_none(), "{bad:02x?}");
    }
    assert!(tables(Arithmetic::fastest(), &good).is_some());
}

/// The digits of a multiple are its sum of ±2^i.
#[test]
fn digits_are_the_number() {
    fn check<const TEETH: usize>(k: &[u8; 32]) {
        let digits = Digits::<TEETH>::new(&crate::numbers::from_bytes(k));
        let columns = 256_usize.div_ceil(TEETH);
        let mut sum = Scalar::ZERO;
        for tooth in digits.teeth.iter().rev() {
            for column in (0..columns).rev() {
                let digit = if tooth >> column & 1 == 1 { Scalar::ONE } else { -Scalar::ONE };
                sum = sum.double() + digit;
            }
        }
        assert_eq!(if digits.negated { -sum } else { sum }, scalar(k));
    }
    let below_n = numbers().into_iter().filter(|k| *k < bytes(&N));
    for k in below_n.chain((0..200).map(|_| random().to_repr().into())) {
        check::<5>(&k);
        check::<7>(&k);
        check::<8>(&k);
        check::<9>(&k);
    }
}
