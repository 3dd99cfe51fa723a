use super::{Key, random, signature};
use crate::Verdict;
use p256::Scalar;
use p256::elliptic_curve::PrimeField;

/// How much of G and of Q a sum has.
type Share = [Scalar; 2];

/// What a column of a comb adds, by the definition: digits are 1 or −1.
fn column(k: &Scalar, teeth: usize, column: usize) -> Scalar {
    let columns = 256_usize.div_ceil(teeth);
    let odd = bool::from(k.is_odd());
    let bytes: [u8; 32] = (if odd { *k } else { -*k }).to_repr().into();
    let bit = |i: usize| i < 256 && bytes[31 - i / 8] >> (i % 8) & 1 == 1;
    let mut sum = Scalar::ZERO;
    for tooth in (0..teeth).rev() {
        sum = (0..columns).fold(sum, |sum, _| sum.double());
        let i = tooth * columns + column;
        let positive = i == teeth * columns - 1 || bit(i + 1);
        sum = if positive == odd { sum + Scalar::ONE } else { sum - Scalar::ONE };
    }
    sum
}

/// Every addition of a verification: what it adds to what.
fn additions(u1: &Scalar, u2: &Scalar) -> Vec<(Share, Share)> {
    let mut all = Vec::new();
    let mut sum = [Scalar::ZERO, column(u2, 7, 36)];
    for at in (0..36).rev() {
        sum = sum.map(|share| share.double());
        let of_key = [Scalar::ZERO, column(u2, 7, at)];
        let of_base = [column(u1, 9, at % 29), Scalar::ZERO];
        for share in [Some(of_key), (at < 29).then_some(of_base)].into_iter().flatten() {
            all.push((sum, share));
            sum = [sum[0] + share[0], sum[1] + share[1]];
        }
    }
    assert_eq!(sum, [*u1, *u2], "this is how a verification sums up");
    all
}

/// For each addition a key and a signature for which its two points are equal, and for which they are
/// opposite: the table is unsure of them, whatever they are.
#[test]
fn equal_and_opposite_points_at_each_addition() {
    let mut met = 0;
    for addition in 0..65 {
        for sign in [Scalar::ONE, -Scalar::ONE] {
            let (u1, u2) = (random(), random());
            let (sum, share) = additions(&u1, &u2)[addition];
            // sum[0] + sum[1]·d = sign·(share[0] + share[1]·d)
            let of_base = sign * share[0] - sum[0];
            let of_key = sum[1] - sign * share[1];
            let secret = of_base * of_key.invert().unwrap();
            if secret == Scalar::ZERO {
                // There are multiples of Q only so far, which are never equal.
                assert!(addition < 8 && share[0] == Scalar::ZERO && sum[0] == Scalar::ZERO);
                continue;
            }
            met += 1;
            let key = Key::of(&secret);
            let infinity = u1 + u2 * secret == Scalar::ZERO;
            assert_eq!(infinity, addition == 64 && sign != Scalar::ONE);
            let [digest, r, s] = if infinity {
                // There is no x to be r: any r.
                let r = random();
                let s = r * u2.invert().unwrap();
                [u1 * s, r, s].map(|number| number.to_repr().into())
            } else {
                signature(&secret, &u1, &u2)
            };
            assert_eq!(key.verdict(&digest, &r, &s), Verdict::Unsure, "addition {addition}");
            assert_eq!(key.aws_lc(&digest, &r, &s), !infinity);
        }
    }
    assert_eq!(met, 2 * (65 - 8));
}
