//! The functions of s2n-bignum, and safe names for them. All of the crate's unsafe is here.
//!
//! Numbers are four 64-bit words, the lowest first. Elements of the field are below p and in
//! Montgomery form: x stands as x·2^256 mod p. What each function promises is in its source's
//! comment; s2n-bignum's proofs show that it keeps it.

/// A number below 2^256, the lowest word first.
pub(crate) type Words = [u64; 4];

/// A point by its coordinates x and y. It fills one line of the cache, and stands on one.
///
/// What points are put into is passed to the functions, and not returned: words that were just
/// stored one by one are slow to copy in larger pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Affine {
    pub(crate) x: Words,
    pub(crate) y: Words,
}

/// The point (x/z², y/z³); infinity if z is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Jacobian {
    pub(crate) x: Words,
    pub(crate) y: Words,
    pub(crate) z: Words,
}

/// p = 2^256 − 2^224 + 2^192 + 2^96 − 1 (SP 800-186 §3.2.1.3).
pub(crate) const P: Words =
    [0xffff_ffff_ffff_ffff, 0x0000_0000_ffff_ffff, 0, 0xffff_ffff_0000_0001];
/// n, the number of points (the same).
pub(crate) const N: Words =
    [0xf3b9_cac2_fc63_2551, 0xbce6_faad_a717_9e84, 0xffff_ffff_ffff_ffff, 0xffff_ffff_0000_0000];
/// 1 in Montgomery form: 2^256 − p.
pub(crate) const ONE: Words = [1, 0xffff_ffff_0000_0000, 0xffff_ffff_ffff_ffff, 0xffff_fffe];
const ZERO: Words = [0; 4];

type Unary = unsafe extern "C" fn(*mut u64, *const u64);
type Binary = unsafe extern "C" fn(*mut u64, *const u64, *const u64);
type AddMixed = unsafe extern "C" fn(*mut Jacobian, *const Jacobian, *const Affine);
type Double = unsafe extern "C" fn(*mut Jacobian, *const Jacobian);
type ModOrder = unsafe extern "C" fn(*mut u64, u64, *const u64);

macro_rules! functions {
    ($($name:literal $function:ident($($argument:ty),+);)+) => {
        unsafe extern "C" {
            $(#[link_name = concat!("p256_table_", $name)]
            fn $function($(_: $argument),+);)+
        }
    };
}

functions! {
    "bignum_add_p256" bignum_add_p256(*mut u64, *const u64, *const u64);
    "bignum_sub_p256" bignum_sub_p256(*mut u64, *const u64, *const u64);
    "bignum_neg_p256" bignum_neg_p256(*mut u64, *const u64);
    "bignum_montinv_p256" bignum_montinv_p256(*mut u64, *const u64);
    "bignum_modinv" bignum_modinv(u64, *mut u64, *const u64, *const u64, *mut u64);
    "bignum_montmul_p256" bignum_montmul_p256(*mut u64, *const u64, *const u64);
    "bignum_montsqr_p256" bignum_montsqr_p256(*mut u64, *const u64);
    "bignum_mul_4_8" bignum_mul_4_8(*mut u64, *const u64, *const u64);
    "bignum_mod_n256" bignum_mod_n256(*mut u64, u64, *const u64);
    "p256_montjdouble" p256_montjdouble(*mut Jacobian, *const Jacobian);
    "p256_montjmixadd" p256_montjmixadd(*mut Jacobian, *const Jacobian, *const Affine);
}

#[cfg(target_arch = "x86_64")]
functions! {
    "bignum_montmul_p256_alt" bignum_montmul_p256_alt(*mut u64, *const u64, *const u64);
    "bignum_montsqr_p256_alt" bignum_montsqr_p256_alt(*mut u64, *const u64);
    "bignum_mul_4_8_alt" bignum_mul_4_8_alt(*mut u64, *const u64, *const u64);
    "bignum_mod_n256_alt" bignum_mod_n256_alt(*mut u64, u64, *const u64);
    "p256_montjdouble_alt" p256_montjdouble_alt(*mut Jacobian, *const Jacobian);
    "p256_montjmixadd_alt" p256_montjmixadd_alt(*mut Jacobian, *const Jacobian, *const Affine);
}

/// The functions that there are several of.
///
/// Safety: its functions are those of the names of its fields, and this processor can run them.
#[derive(Debug)]
pub(crate) struct Arithmetic {
    montmul: Binary,
    montsqr: Unary,
    mul_4_8: Binary,
    mod_n256: ModOrder,
    montjdouble: Double,
    montjmixadd: AddMixed,
}

/// For x86-64 with ADX and BMI2, and for every aarch64.
static FIRST: Arithmetic = Arithmetic {
    montmul: bignum_montmul_p256,
    montsqr: bignum_montsqr_p256,
    mul_4_8: bignum_mul_4_8,
    mod_n256: bignum_mod_n256,
    montjdouble: p256_montjdouble,
    montjmixadd: p256_montjmixadd,
};

/// For every x86-64.
#[cfg(target_arch = "x86_64")]
static ALT: Arithmetic = Arithmetic {
    montmul: bignum_montmul_p256_alt,
    montsqr: bignum_montsqr_p256_alt,
    mul_4_8: bignum_mul_4_8_alt,
    mod_n256: bignum_mod_n256_alt,
    montjdouble: p256_montjdouble_alt,
    montjmixadd: p256_montjmixadd_alt,
};

impl Arithmetic {
    /// All that this processor can run, the fastest first.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn all() -> &'static [&'static Self] {
        static ALL: [&Arithmetic; 2] = [&FIRST, &ALT];
        let adx = is_x86_feature_detected!("adx") && is_x86_feature_detected!("bmi2");
        &ALL[usize::from(!adx)..]
    }

    /// All that this processor can run, the fastest first.
    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn all() -> &'static [&'static Self] {
        static ALL: [&Arithmetic; 1] = [&FIRST];
        &ALL
    }

    /// The fastest that this processor can run.
    pub(crate) fn fastest() -> &'static Self {
        Self::all()[0]
    }

    /// x·y, in the field.
    pub(crate) fn mul(&self, x: &Words, y: &Words) -> Words {
        let mut z = ZERO;
        // SAFETY: reads 4 words each of x and y, writes 4 to z.
        unsafe { (self.montmul)(z.as_mut_ptr(), x.as_ptr(), y.as_ptr()) };
        z
    }

    /// x², in the field.
    pub(crate) fn square(&self, x: &Words) -> Words {
        let mut z = ZERO;
        // SAFETY: reads 4 words of x, writes 4 to z.
        unsafe { (self.montsqr)(z.as_mut_ptr(), x.as_ptr()) };
        z
    }

    /// x·y mod n, for any x and y.
    pub(crate) fn mul_mod_order(&self, x: &Words, y: &Words) -> Words {
        let (mut wide, mut z) = ([0; 8], ZERO);
        // SAFETY: the first reads 4 words each of x and y, and writes 8 to wide; the second reads as
        // many words of wide as it is told, 8, and writes 4 to z.
        unsafe {
            (self.mul_4_8)(wide.as_mut_ptr(), x.as_ptr(), y.as_ptr());
            (self.mod_n256)(z.as_mut_ptr(), 8, wide.as_ptr());
        }
        z
    }

    /// Puts 2·p into `sum`; infinity for infinity.
    pub(crate) fn double(&self, sum: &mut Jacobian, p: &Jacobian) {
        // SAFETY: reads the 12 words of p, writes the 12 of sum; repr(C) has them in their order.
        unsafe { (self.montjdouble)(sum, p) };
    }

    /// Puts p + q into `sum`, if they are neither equal nor opposite; its z is 0 if they are.
    #[must_use = "whether the sum is one"]
    pub(crate) fn add(&self, sum: &mut Jacobian, p: &Jacobian, q: &Affine) -> bool {
        // SAFETY: reads the 12 words of p and the 8 of q, writes the 12 of sum; repr(C) has them in
        // their order.
        unsafe { (self.montjmixadd)(sum, p, q) };
        sum.z != ZERO
    }
}

impl Affine {
    /// The same with z = 1.
    pub(crate) fn jacobian(&self) -> Jacobian {
        Jacobian { x: self.x, y: self.y, z: ONE }
    }

    /// Puts −p into `self`.
    pub(crate) fn set_negative(&mut self, p: &Self) {
        self.x = p.x;
        // SAFETY: reads 4 words of p.y, writes 4 to self.y.
        unsafe { bignum_neg_p256(self.y.as_mut_ptr(), p.y.as_ptr()) };
    }
}

impl Jacobian {
    pub(crate) const INFINITY: Self = Self { x: ZERO, y: ZERO, z: ZERO };
}

/// x + y, in the field.
pub(crate) fn add(x: &Words, y: &Words) -> Words {
    let mut z = ZERO;
    // SAFETY: reads 4 words each of x and y, writes 4 to z.
    unsafe { bignum_add_p256(z.as_mut_ptr(), x.as_ptr(), y.as_ptr()) };
    z
}

/// x − y, in the field.
pub(crate) fn sub(x: &Words, y: &Words) -> Words {
    let mut z = ZERO;
    // SAFETY: reads 4 words each of x and y, writes 4 to z.
    unsafe { bignum_sub_p256(z.as_mut_ptr(), x.as_ptr(), y.as_ptr()) };
    z
}

/// 1/x, in the field; 0 for 0.
pub(crate) fn invert(x: &Words) -> Words {
    let mut z = ZERO;
    // SAFETY: reads 4 words of x, writes 4 to z.
    unsafe { bignum_montinv_p256(z.as_mut_ptr(), x.as_ptr()) };
    z
}

/// 1/x mod n, for an x from 1 to n − 1.
pub(crate) fn invert_mod_order(x: &Words) -> Words {
    let (mut z, mut room) = (ZERO, [0; 12]);
    // SAFETY: reads as many words of x and N as it is told, 4, writes 4 to z, and uses three times as
    // many of room.
    unsafe { bignum_modinv(4, z.as_mut_ptr(), x.as_ptr(), N.as_ptr(), room.as_mut_ptr()) };
    z
}
