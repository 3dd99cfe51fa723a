#![doc = include_str!("../README.md")]

#[cfg(s2n_bignum)]
mod comb;
#[cfg(s2n_bignum)]
mod numbers;
#[cfg(s2n_bignum)]
mod sys;
#[cfg(all(test, s2n_bignum))]
#[allow(clippy::unwrap_used, reason = "what they share is outside of test functions")]
mod tests;
#[cfg(s2n_bignum)]
mod verify;

/// What a table says of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It is the signature of this digest by this key.
    Valid,
    /// It is not, if the table is as it was made.
    Invalid,
    /// The table can't say: have it verified in another way. The next signature may be sure again.
    Unsure,
}

/// What the tables of this build run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// s2n-bignum's assembly.
    S2nBignum,
    /// There are no tables: the platform has no assembly, or it was not found at build time.
    AwsLc,
}

impl Backend {
    /// "s2n-bignum", or "aws-lc", which then verifies alone.
    pub const fn name(self) -> &'static str {
        match self {
            Self::S2nBignum => "s2n-bignum",
            Self::AwsLc => "aws-lc",
        }
    }
}

/// What the tables of this build run on.
pub const fn backend() -> Backend {
    if cfg!(s2n_bignum) { Backend::S2nBignum } else { Backend::AwsLc }
}

/// Precomputed multiples of a public key.
#[derive(Debug)]
pub struct Table(
    #[cfg(s2n_bignum)] verify::Tables,
    #[cfg(not(s2n_bignum))] std::convert::Infallible,
);

impl Table {
    /// Bytes that a table takes.
    pub const SIZE: usize = 4096;

    /// A table for a public key: an uncompressed point (65 bytes, SEC 1 §2.3.3).
    ///
    /// `None` if it is not a point on P-256, and in a build without tables ([`backend`]). It takes
    /// three quarters of the time of a verification without a table.
    #[cfg(s2n_bignum)]
    pub fn new(key: &[u8]) -> Option<Self> {
        let (4, key) = key.split_first().map(|(form, key)| (*form, key))? else { return None };
        let ([x, y], []) = key.as_chunks::<32>() else { return None };
        let key = [numbers::from_bytes(x), numbers::from_bytes(y)];
        verify::Tables::new(sys::Arithmetic::fastest(), &key).map(Self)
    }

    /// A table for a public key: an uncompressed point (65 bytes, SEC 1 §2.3.3).
    ///
    /// `None`: this build has no tables ([`backend`]).
    #[cfg(not(s2n_bignum))]
    pub fn new(_key: &[u8]) -> Option<Self> {
        None
    }

    /// What the table says of a signature, R‖S, of a SHA-256 digest (FIPS 186-5 §6.4.2).
    ///
    /// The time it takes tells of the key, the digest and the signature: all must be public.
    #[cfg(s2n_bignum)]
    pub fn verify(&self, digest: &[u8; 32], signature: &[u8; 64]) -> Verdict {
        let ([r, s], _) = signature.as_chunks::<32>() else { return Verdict::Unsure };
        self.0.verify(digest, r, s)
    }

    /// What the table says of a signature, R‖S, of a SHA-256 digest (FIPS 186-5 §6.4.2).
    ///
    /// The time it takes tells of the key, the digest and the signature: all must be public.
    #[cfg(not(s2n_bignum))]
    pub fn verify(&self, _digest: &[u8; 32], _signature: &[u8; 64]) -> Verdict {
        match self.0 {}
    }
}

/// Makes what all tables share, 16 KiB, which the first table would otherwise make: a process that
/// calls it before it forks has it once for all its children.
pub fn prepare() {
    #[cfg(s2n_bignum)]
    verify::prepare();
}
