//! STIR/SHAKEN: PASSporTs (RFC 8225, RFC 8588), the Identity header field (RFC 8224), signing,
//! verifying, and the certificates behind them (RFC 8226).
//!
//! [`Signer`] is the authentication service, [`Verifier`] the verification service; [`Config`]
//! sets both up. Neither opens a socket or starts a thread before a certificate has to be
//! downloaded, so a server may make them before or after it forks.
#![forbid(unsafe_code)]

pub mod address;
mod asn1;
pub mod authority;
pub mod body;
pub mod cert;
mod cert_verify;
mod clock;
mod config;
mod credentials;
mod error;
pub mod fetch;
pub mod file;
pub mod identity;
mod json;
pub mod key;
mod name;
mod outcome;
pub mod party;
pub mod passport;
mod pem;
mod policy;
pub mod profile;
mod reason;
mod rich;
pub mod shelf;
mod sign;
pub mod store;
mod tables;
pub mod tn;
pub mod trust;
pub mod uri;
mod usage;
mod verify;
pub mod verstat;
mod x5u;

pub use address::Address;
pub use cert_verify::CertVerify;
pub use clock::{Clock, SystemClock};
pub use config::Config;
pub use credentials::Cached;
pub use error::{Code, Error, Result};
pub use fetch::{Fetch, Fetched, HttpFetcher};
pub use outcome::{Response, Step, Verstat};
pub use party::Party;
pub use passport::{Claims, Ppt};
pub use policy::{DestSource, OrigSource, Policy, Replay, Shaken};
pub use reason::Reason;
pub use rich::Rcd;
pub use sign::{Call, DivCall, MAX_DEST, MAX_URI_LEN, PrivateKey, Signer};
pub use tn::Numbering;
pub use uri::Uri;
pub use verify::{CheckOptions, MAX_IDENTITIES, PublicKey, Report, SipCall, Verifier};
pub use x5u::X5uRules;
