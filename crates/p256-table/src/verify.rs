//! Keys with their tables, and the verification (FIPS 186-5 §6.4.2).

use crate::Verdict;
use crate::comb::{Comb, Digits};
use crate::numbers::{difference, from_bytes, is_less, is_zero, sum};
use crate::sys::{self, Affine, Arithmetic, Jacobian, N, ONE, P, Words, invert_mod_order};
use std::sync::OnceLock;

/// 2^512 mod p: a product with it puts a number into Montgomery form.
const SQUARED_RADIX: Words =
    [3, 0xffff_fffb_ffff_ffff, 0xffff_ffff_ffff_fffe, 0x0000_0004_ffff_fffd];
/// The curve's b (SP 800-186 §3.2.1.3).
const B: Words =
    [0x3bce_3c3e_27d2_604b, 0x651d_06b0_cc53_b0f6, 0xb3eb_bd55_7698_86bc, 0x5ac6_35d8_aa3a_93e7];
/// The base point G (the same).
const G: [Words; 2] = [
    [0xf4a1_3945_d898_c296, 0x7703_7d81_2deb_33a0, 0xf8bc_e6e5_63a4_40f2, 0x6b17_d1f2_e12c_4247],
    [0xcbb6_4068_37bf_51f5, 0x2bce_3357_6b31_5ece, 0x8ee7_eb4a_7c0f_9e16, 0x4fe3_42e2_fe1a_7f9b],
];

/// 4 KiB: pays from a key's second signature on.
pub(crate) type KeyComb = Comb<7, 64>;
/// 16 KiB, once in a process.
pub(crate) type BaseComb = Comb<9, 256>;

/// What a verification needs.
#[derive(Debug)]
pub(crate) struct Tables {
    on: &'static Arithmetic,
    pub(crate) key: KeyComb,
    pub(crate) base: &'static BaseComb,
}

impl Tables {
    /// For the key of these coordinates; `None` if they are not those of a point on the curve.
    pub(crate) fn new(on: &'static Arithmetic, [x, y]: &[Words; 2]) -> Option<Self> {
        if !is_less(x, &P) || !is_less(y, &P) {
            return None;
        }
        let key = montgomery(on, [x, y]);
        if !is_on_curve(on, &key.jacobian()) {
            return None;
        }
        Some(Self { on, key: Comb::new(on, &key)?, base: base()? })
    }

    pub(crate) fn verify(&self, digest: &[u8; 32], r: &[u8; 32], s: &[u8; 32]) -> Verdict {
        let (e, r, s) = (from_bytes(digest), from_bytes(r), from_bytes(s));
        if [r, s].iter().any(|number| is_zero(number) || !is_less(number, &N)) {
            return Verdict::Invalid;
        }
        let w = invert_mod_order(&s);
        let (u1, u2) = (self.on.mul_mod_order(&e, &w), self.on.mul_mod_order(&r, &w));
        // Without a multiple of G there is nothing to test here but luck.
        if is_zero(&u1) {
            return Verdict::Unsure;
        }
        match self.sum(&u1, &u2) {
            Some(point) if self.has_x(&point, &r) => Verdict::Valid,
            Some(_) => Verdict::Invalid,
            None => Verdict::Unsure,
        }
    }

    /// u1·G + u2·Q. `None` where points that are equal or opposite were to be added, and where the
    /// sum is not on the curve: a table is damaged.
    fn sum(&self, u1: &Words, u2: &Words) -> Option<Jacobian> {
        let (of_base, of_key) = (Digits::new(u1), Digits::new(u2));
        let top = KeyComb::COLUMNS - 1;
        let room = &mut Affine { x: ONE, y: ONE };
        // Each addition and doubling goes from one to the other.
        let sum = &mut self.key.column(&of_key, top, room).jacobian();
        let mut points = (sum, &mut Jacobian::INFINITY.clone());
        for column in (0..top).rev() {
            let (sum, next) = &mut points;
            self.on.double(next, sum);
            if !self.on.add(sum, next, self.key.column(&of_key, column, room)) {
                return None;
            }
            if column < BaseComb::COLUMNS {
                if !self.on.add(next, sum, self.base.column(&of_base, column, room)) {
                    return None;
                }
                points = (points.1, points.0);
            }
        }
        is_on_curve(self.on, points.0).then_some(*points.0)
    }

    /// Whether the point's x mod n is r. As x is below p, it is r, or r + n where that is below p:
    /// x·z² is compared, which saves an inversion.
    fn has_x(&self, point: &Jacobian, r: &Words) -> bool {
        let z2 = self.on.square(&point.z);
        let is_x = |x: &Words| self.on.mul(&self.on.mul(x, &SQUARED_RADIX), &z2) == point.x;
        is_x(r) || (is_less(r, &difference(&P, &N)) && is_x(&sum(r, &N)))
    }
}

/// Multiples of G, made at their first use.
fn base() -> Option<&'static BaseComb> {
    static BASE: OnceLock<Option<BaseComb>> = OnceLock::new();
    let make = || {
        let on = Arithmetic::fastest();
        Comb::new(on, &montgomery(on, [&G[0], &G[1]]))
    };
    BASE.get_or_init(make).as_ref()
}

fn montgomery(on: &Arithmetic, [x, y]: [&Words; 2]) -> Affine {
    Affine { x: on.mul(x, &SQUARED_RADIX), y: on.mul(y, &SQUARED_RADIX) }
}

/// Whether y² = x³ − 3·x·z⁴ + b·z⁶: the curve's equation (SP 800-186 §3.2.1.3) of x/z² and y/z³.
fn is_on_curve(on: &Arithmetic, point: &Jacobian) -> bool {
    let Jacobian { x, y, z } = point;
    let z2 = on.square(z);
    let z4 = on.square(&z2);
    let three = sys::add(&sys::add(&z4, &z4), &z4);
    let first = on.mul(x, &sys::sub(&on.square(x), &three));
    let b = on.mul(&B, &SQUARED_RADIX);
    on.square(y) == sys::add(&first, &on.mul(&b, &on.mul(&z4, &z2)))
}

/// Makes the multiples of G.
pub(crate) fn prepare() {
    base();
}
