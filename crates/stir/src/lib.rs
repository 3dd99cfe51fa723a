//! STIR/SHAKEN: PASSporTs (RFC 8225, RFC 8588), the Identity header field (RFC 8224), signing,
//! verifying, and the certificates behind them (RFC 8226).
#![forbid(unsafe_code)]

mod error;

pub use error::{Code, Error, Result};
