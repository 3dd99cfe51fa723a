//! How a service provider gets and keeps SHAKEN certificates: ACME with authority tokens (RFC 8555,
//! RFC 9447, RFC 9448, RFC 9773), the policy administrator's interface (ATIS-1000080,
//! ATIS-1000084), SPC tokens, and downloads of its list of trusted CAs and its CRL.
//!
//! | module | concern |
//! |---|---|
//! | [`acme`] | accounts, orders, the tkauth-01 challenge, renewal information, revocation |
//! | [`pa`] | login, SPC tokens and list of the STI-PA |
//! | [`spc_token`] | what an SPC token says, and whether it says what it must |
//! | [`jose`] | account keys, JWS, fingerprints |
//! | [`http`] | HTTPS with limits |
//! | [`secret`] | text that no message shows |
//!
//! Nothing here asks a person, writes a file or reads a clock.
#![forbid(unsafe_code)]

pub mod acme;
pub mod http;
pub mod jose;
pub mod pa;
pub mod secret;
pub mod spc_token;

use stir::{Code, Error};

/// A failure without a code of its own.
pub(crate) fn wrong(message: impl Into<String>) -> Error {
    Error::new(Code::Generic, message.into())
}
