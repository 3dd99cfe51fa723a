//! The `CertVerify` bits.

use crate::error::{Code, Error, Result};

/// What is checked of a certificate: the bits of the stock library's `CertVerify` option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CertVerify(u32);

impl CertVerify {
    /// Nothing is checked.
    pub const NONE: Self = Self(0);
    /// The leaf's validity, with codes of its own.
    pub const TIME: u32 = 1;
    /// Chain to the system's roots.
    pub const SYSTEM_CA: u32 = 2;
    /// Chain to the roots in CertCAFile.
    pub const CUSTOM_CA: u32 = 4;
    /// Use the intermediates in CertCAInter.
    pub const INTERMEDIATES: u32 = 8;
    /// Look the certificate up in CertCRLFile.
    pub const CRL: u32 = 16;
    /// The leaf's validity and nothing else.
    pub const TIME_ONLY: u32 = 32;
    const ALL: u32 = 63;

    /// These bits; an unknown one is an error, not ignored.
    pub fn new(bits: u32) -> Result<Self> {
        if bits & !Self::ALL != 0 {
            return Err(Error::new(
                Code::Generic,
                format!(
                    "CertVerify={bits} has a bit that means nothing: it is a sum of 1 (time), 2 (system CAs), 4 (CertCAFile), 8 (CertCAInter), 16 (CertCRLFile), 32 (time only)"
                ),
            ));
        }
        Ok(Self(bits))
    }

    /// These, and `bits` too; time only is no longer all then.
    pub(crate) const fn with(self, bits: u32) -> Self {
        Self((self.0 | bits) & !Self::TIME_ONLY)
    }

    /// The bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether any of these bits is set.
    pub const fn has(self, bits: u32) -> bool {
        self.0 & bits != 0
    }
}
