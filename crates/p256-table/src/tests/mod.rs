//! Verdicts beside those of aws-lc and of the p256 crate, with all arithmetic that this processor
//! can run.

mod damage;
mod edges;
mod equal_points;
mod random;
mod vectors;

use crate::Verdict;
use crate::numbers::from_bytes;
use crate::sys::Arithmetic;
use crate::verify::Tables;
use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::elliptic_curve::PrimeField;
use p256::elliptic_curve::point::AffineCoordinates;
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{AffinePoint, ProjectivePoint, Scalar};

/// How many random signatures are compared, if it is said; then the other tests take their time, too.
/// By hand: `P256_TABLE_RANDOM=10000000 cargo test --release -p p256-table`.
fn thorough() -> Option<u64> {
    std::env::var("P256_TABLE_RANDOM").ok().map(|count| count.parse().unwrap())
}

/// A public key, as each verifier has it.
struct Key {
    tables: Vec<Tables>,
    aws_lc: ParsedPublicKey,
    p256: VerifyingKey,
}

impl Key {
    fn new(point: &[u8]) -> Self {
        let aws_lc = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).unwrap();
        Self {
            tables: Arithmetic::all().iter().map(|on| tables(on, point).unwrap()).collect(),
            aws_lc,
            p256: VerifyingKey::from_sec1_bytes(point).unwrap(),
        }
    }

    /// The key of a private one.
    fn of(secret: &Scalar) -> Self {
        Self::at(&(ProjectivePoint::GENERATOR * secret).to_affine())
    }

    fn at(point: &AffinePoint) -> Self {
        Self::new(point.to_sec1_point(false).as_bytes())
    }

    fn aws_lc(&self, digest: &[u8; 32], r: &[u8; 32], s: &[u8; 32]) -> bool {
        let digest = Digest::import_less_safe(digest, &SHA256).unwrap();
        self.aws_lc.verify_digest_sig(&digest, &[*r, *s].concat()).is_ok()
    }

    fn p256(&self, digest: &[u8; 32], r: &[u8; 32], s: &[u8; 32]) -> bool {
        Signature::from_scalars(*r, *s)
            .is_ok_and(|signature| self.p256.verify_prehash(digest, &signature).is_ok())
    }

    /// What all say of a signature: they say the same, but that a table may be unsure.
    fn verdict(&self, digest: &[u8; 32], r: &[u8; 32], s: &[u8; 32]) -> Verdict {
        let valid = self.aws_lc(digest, r, s);
        assert_eq!(valid, self.p256(digest, r, s), "{digest:02x?} {r:02x?} {s:02x?}");
        let said = if valid { Verdict::Valid } else { Verdict::Invalid };
        let mut verdicts = self.tables.iter().map(|tables| tables.verify(digest, r, s));
        let verdict = verdicts.next().unwrap();
        for other in verdicts {
            assert_eq!(verdict, other);
        }
        assert!(
            [said, Verdict::Unsure].contains(&verdict),
            "{verdict:?}, but {said:?}: {digest:02x?} {r:02x?} {s:02x?}"
        );
        verdict
    }
}

fn tables(on: &'static Arithmetic, point: &[u8]) -> Option<Tables> {
    let (halves, _) = point.get(1..)?.as_chunks::<32>();
    Tables::new(on, &[from_bytes(&halves[0]), from_bytes(&halves[1])])
}

/// A signature of which u1 and u2 are given: digest, r, s, and its key of this private one.
///
/// The sum must not be infinity.
fn signature(secret: &Scalar, u1: &Scalar, u2: &Scalar) -> [[u8; 32]; 3] {
    let sum = ProjectivePoint::GENERATOR * (*u1 + *u2 * secret);
    let r = scalar(&sum.to_affine().x());
    let s = r * u2.invert().unwrap();
    [*u1 * s, r, s].map(|number| number.to_repr().into())
}

/// A number of 32 bytes mod n.
fn scalar(bytes: &[u8]) -> Scalar {
    let mut sum = Scalar::ZERO;
    for byte in bytes {
        sum = sum * Scalar::from(256_u64) + Scalar::from(u64::from(*byte));
    }
    sum
}

fn random() -> Scalar {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    scalar(&bytes)
}
