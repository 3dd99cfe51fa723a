//! Certificates (stub).
use crate::error::{Code, Error, Result};
/// A certificate.
#[derive(Debug)]
pub struct Certificate;
impl Certificate {
    /// The public key's point.
    pub fn public_key_sec1(&self) -> Result<&[u8]> {
        Ok(&[])
    }
    /// End of validity.
    pub fn not_after(&self) -> i64 {
        0
    }
}
/// Certificates.
#[derive(Debug)]
pub struct Chain(Certificate);
impl Chain {
    /// Stub.
    pub fn from_pem(_: &[u8]) -> Result<Self> {
        Err(Error::new(Code::CertFormat, "stub"))
    }
    /// Leaf.
    pub fn leaf(&self) -> &Certificate {
        &self.0
    }
}
