//! Trust (stub).
use crate::{Config, Result, cert::Chain};
/// Trust.
pub struct Trust;
impl Trust {
    /// Stub.
    pub fn new(_: &Config) -> Self {
        Self
    }
    /// Stub.
    pub fn load(&self) -> Result<()> {
        Ok(())
    }
    /// Stub.
    pub fn verify(&self, _: &Chain, _: i64) -> Result<i64> {
        Ok(0)
    }
    /// Stub.
    pub fn generation(&self) -> u64 {
        0
    }
}
