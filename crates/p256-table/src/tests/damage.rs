use super::{Key, random, signature};
use crate::Verdict;
use crate::comb::Comb;
use crate::sys::Affine;
use p256::Scalar;
use p256::elliptic_curve::PrimeField;

/// Every so many bits of a table one is flipped: all columns, words and places in them are met.
const STEP: usize = 41;

fn flip(entries: &mut [Affine], bit: usize) {
    let entry = &mut entries[bit / 512];
    let word = bit / 64 % 8;
    let word = if word < 4 { &mut entry.x[word] } else { &mut entry.y[word - 4] };
    *word ^= 1 << (bit % 64);
}

/// A damaged table says Valid of nothing that is invalid. What is valid it may be unsure of: a sum
/// with the damaged entry is not on the curve.
#[test]
fn a_flipped_bit_makes_a_table_unsure() {
    let secret = random();
    let mut key = Key::of(&secret);
    let good = signature(&secret, &random(), &random());
    let [digest, r, s] = good;
    let negative: [u8; 32] = (-Scalar::from_repr(s.into()).unwrap()).to_repr().into();
    let [noise, other, _] = signature(&random(), &random(), &random());
    let bad = [[digest, r, noise], [digest, other, s], [noise, r, s], [digest, s, r]];
    let sure = key.tables.len();
    let mut unsure = 0;
    for tables in &mut key.tables {
        let base = tables.base;
        let mut check = |tables: &super::Tables| {
            for [digest, r, s] in [good, [digest, r, negative]] {
                let verdict = tables.verify(&digest, &r, &s);
                assert_ne!(verdict, Verdict::Invalid);
                unsure += usize::from(verdict == Verdict::Unsure);
            }
            for [digest, r, s] in &bad {
                assert_ne!(tables.verify(digest, r, s), Verdict::Valid);
            }
        };
        for bit in (0..64 * 512).step_by(STEP) {
            flip(&mut *tables.key.0, bit);
            check(tables);
            flip(&mut *tables.key.0, bit);
        }
        for bit in (0..256 * 512).step_by(STEP * 16) {
            let mut damaged = base.0.clone();
            flip(&mut *damaged, bit);
            tables.base = Box::leak(Box::new(Comb(damaged)));
            check(tables);
        }
        tables.base = base;
    }
    // A verification looks at some 40 % of a key's entries, and at a tenth of those of G.
    assert!(unsure > sure * 400, "{unsure}");
    assert_eq!(key.verdict(&digest, &r, &s), Verdict::Valid);
}
