//! Multiples of a point by a signed comb.
//!
//! Lim and Lee's comb ("More Flexible Exponentiation with Precomputation", CRYPTO 1994, §3) with
//! digits that are all 1 or −1 (Hedabou, Pinel and Bénéteau, "A comb method to render ECC resistant
//! against Side Channel Attacks", ePrint 2004/342; Hamburg, "Fast and compact elliptic-curve
//! cryptography", ePrint 2012/309, §3.3), so that half of the sums are the negatives of the others.
//!
//! An odd k below 2^L is Σ dᵢ·2^i over i below L, where d of L−1 is 1, and every other dᵢ is 1 if bit
//! i+1 of k is set and −1 if not: with bits c of (k−1)/2 + 2^(L−1), Σ (2cᵢ−1)·2^i is
//! (k − 1 + 2^L) − (2^L − 1). An even k is n − (n − k), and n is odd.
//!
//! The L digits stand in rows, one for a tooth, of COLUMNS digits each. A column is the sum of
//! ±2^(t·COLUMNS)·P over the teeth t: one of ENTRIES sums, or its negative.

use crate::numbers::difference;
use crate::sys::{Affine, Arithmetic, Jacobian, N, ONE, Words, invert};

/// Sums of a point P: entry m is 2^(T·COLUMNS)·P ± … ± P, where T is the last tooth, and the sign of
/// tooth t below it is that of bit t of m (set: +).
#[derive(Debug)]
pub(crate) struct Comb<const TEETH: usize, const ENTRIES: usize>(pub(crate) Box<[Affine; ENTRIES]>);

/// An odd multiple's digits, by tooth and column.
pub(crate) struct Digits<const TEETH: usize> {
    /// Bit j: the digit of column j, set for 1.
    pub(crate) teeth: [u64; TEETH],
    /// Whether they are those of n − k.
    pub(crate) negated: bool,
}

impl<const TEETH: usize, const ENTRIES: usize> Comb<TEETH, ENTRIES> {
    /// So many digits has a tooth: together 256 or more.
    pub(crate) const COLUMNS: usize = 256_usize.div_ceil(TEETH);
    /// The last tooth's sign is that of the whole.
    const CHECKED: () =
        assert!(ENTRIES == 1 << (TEETH - 1) && Self::COLUMNS < 64 && TEETH * Self::COLUMNS < 320);

    /// Sums of a point other than infinity.
    ///
    /// No sum is of equal or opposite points: what is added are odd and even multiples k·P with
    /// |k| < 2^(TEETH·COLUMNS − COLUMNS + 2) < n. It is `None` if the arithmetic fails all the same.
    pub(crate) fn new(on: &Arithmetic, point: &Affine) -> Option<Self> {
        let () = Self::CHECKED;
        let mut tooth = point.jacobian();
        let (mut teeth, mut doubled) = (Vec::new(), Vec::new());
        for _ in 0..TEETH {
            teeth.push(tooth);
            tooth = double(on, &tooth);
            doubled.push(tooth);
            for _ in 1..Self::COLUMNS {
                tooth = double(on, &tooth);
            }
        }
        let teeth = affine(on, &teeth)?;
        let doubled = affine(on, &doubled)?;

        let (last, lower) = teeth.split_last()?;
        let (mut first, mut negative) = (last.jacobian(), *last);
        for tooth in lower {
            negative.set_negative(tooth);
            first = add(on, &first, &negative)?;
        }
        let mut sums = vec![first];
        for tooth in &doubled[..TEETH - 1] {
            for m in 0..sums.len() {
                sums.push(add(on, &sums[m], tooth)?);
            }
        }
        affine(on, &sums)?.into_boxed_slice().try_into().ok().map(Self)
    }

    /// The sum of a column; `room` is for one that is not among the entries.
    pub(crate) fn column<'a>(
        &'a self,
        digits: &Digits<TEETH>,
        column: usize,
        room: &'a mut Affine,
    ) -> &'a Affine {
        let bits = digits
            .teeth
            .iter()
            .rev()
            .fold(0, |bits, tooth| bits << 1 | (tooth >> column & 1) as usize);
        let positive = bits >= ENTRIES;
        let entry = &self.0[(if positive { bits } else { !bits }) % ENTRIES];
        if positive != digits.negated {
            return entry;
        }
        room.set_negative(entry);
        room
    }
}

impl<const TEETH: usize> Digits<TEETH> {
    /// The digits of a k below n.
    pub(crate) fn new(k: &Words) -> Self {
        let columns = 256_usize.div_ceil(TEETH);
        let negated = k[0].is_multiple_of(2);
        let odd = if negated { difference(&N, k) } else { *k };
        let mut bits = [0; 5];
        for i in 0..4 {
            bits[i] = odd[i] >> 1 | odd.get(i + 1).map_or(0, |word| word << 63);
        }
        let last = TEETH * columns - 1;
        bits[last / 64] |= 1 << (last % 64);
        let teeth = std::array::from_fn(|tooth| {
            let (word, bit) = (tooth * columns / 64, tooth * columns % 64);
            let high = bits.get(word + 1).map_or(0, |next| next << 1 << (63 - bit));
            (bits[word] >> bit | high) & ((1 << columns) - 1)
        });
        Self { teeth, negated }
    }
}

fn double(on: &Arithmetic, point: &Jacobian) -> Jacobian {
    let mut sum = Jacobian::INFINITY;
    on.double(&mut sum, point);
    sum
}

fn add(on: &Arithmetic, point: &Jacobian, other: &Affine) -> Option<Jacobian> {
    let mut sum = Jacobian::INFINITY;
    on.add(&mut sum, point, other).then_some(sum)
}

/// The points by x and y, with one inversion for all (Montgomery, "Speeding the Pollard and elliptic
/// curve methods of factorization", Math. Comp. 48, 1987, §10.3.1). `None` if one is infinity.
fn affine(on: &Arithmetic, points: &[Jacobian]) -> Option<Vec<Affine>> {
    // What stands before each point: the product of the z before it.
    let mut product = ONE;
    let before: Vec<Words> = points
        .iter()
        .map(|point| {
            let before = product;
            product = on.mul(&before, &point.z);
            before
        })
        .collect();
    if product == [0; 4] {
        return None;
    }
    let mut inverse = invert(&product);
    let mut done: Vec<Affine> = points
        .iter()
        .zip(before)
        .rev()
        .map(|(point, before)| {
            let z = on.mul(&inverse, &before);
            inverse = on.mul(&inverse, &point.z);
            let z2 = on.square(&z);
            Affine { x: on.mul(&point.x, &z2), y: on.mul(&point.y, &on.mul(&z2, &z)) }
        })
        .collect();
    done.reverse();
    Some(done)
}
