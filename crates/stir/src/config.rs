//! What a front end can set, checked once at start.

use crate::cert_verify::CertVerify;
use crate::error::{Code, Error, Result};
use std::path::PathBuf;

/// Freshness of `iat` that the stock module uses, in seconds.
pub const DEFAULT_EXPIRE: u32 = 300;
/// How far `iat` may lie in the future, in seconds: clocks of two carriers differ, and 60 s is the
/// window that RFC 8224 §6.2 recommends for staleness.
pub const DEFAULT_CLOCK_SKEW: u32 = 60;
/// Time for one download as a whole (name, connection, TLS, answer), in seconds.
pub const DEFAULT_TIMEOUT: u32 = 5;
/// How long a downloaded certificate is kept, in seconds.
pub const DEFAULT_CACHE_EXPIRE: u32 = 3600;
/// Certificates that a process keeps in memory. The field holds some 16,000; a carrier's calls
/// come from a few hundred at a time, and an entry is about 2 KiB.
pub const DEFAULT_CACHE_SIZE: u32 = 1024;
/// More than a day to wait for a call's certificate, or a year to keep one, is a mistake in a cfg.
const MAX_TIMEOUT: u32 = 60;
const MAX_CACHE_SIZE: u32 = 1_000_000;

/// All settings of signing and verifying, with the defaults of the stock module.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How old `iat` may be, in seconds.
    pub expire: u32,
    /// How far in the future `iat` may be, in seconds.
    pub clock_skew: u32,
    /// Seconds that one download may take in all; never 0.
    pub timeout: u32,
    /// Seconds that a downloaded certificate is kept, in memory and in `cache_dir`; 0 keeps none.
    pub cache_expire: u32,
    /// Folder for downloaded certificates; empty for none.
    pub cache_dir: PathBuf,
    /// Certificates kept in memory.
    pub cache_size: u32,
    /// `x5u` for a call that names none.
    pub x5u: String,
    /// What is checked of a certificate.
    pub cert_verify: CertVerify,
    /// Custom trust anchors, PEM.
    pub ca_file: PathBuf,
    /// Intermediate certificates, PEM.
    pub inter_file: PathBuf,
    /// Certificate revocation lists, PEM or DER.
    pub crl_file: PathBuf,
    /// Roots for HTTPS downloads, PEM; empty for the system's.
    pub http_ca_file: PathBuf,
    /// Proxy for downloads, a URL; empty for none but the environment's.
    pub http_proxy: String,
}
