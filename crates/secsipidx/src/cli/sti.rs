//! `enroll`, `renew`, `trust` and `keep`

use clap::Args;
use std::path::PathBuf;

/// What all of them take.
#[derive(Args, Debug)]
pub struct Sti {
    /// Configuration file, TOML
    #[arg(short, long, value_name = "FILE", default_value = "/etc/secsipidx/sti.toml")]
    pub config: PathBuf,
    /// Check the configuration and say all that is wrong with it; do nothing
    #[arg(long)]
    pub check: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Write metrics there for the node exporter's text file collector
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
    /// Say each step
    #[arg(short, long)]
    pub verbose: bool,
}

/// `enroll`
#[derive(Args, Debug)]
pub struct Enroll {
    #[command(flatten)]
    pub sti: Sti,
    /// Get another certificate though there is one
    #[arg(long)]
    pub force: bool,
}

/// `renew`
#[derive(Args, Debug)]
pub struct Renew {
    #[command(flatten)]
    pub sti: Sti,
    /// Renew although there is time
    #[arg(long)]
    pub force: bool,
    /// Revoke the certificate that is replaced, at once: for a key that others may have
    #[arg(long)]
    pub revoke: bool,
}

/// `trust`
#[derive(Args, Debug)]
pub struct TrustArgs {
    #[command(flatten)]
    pub sti: Sti,
}

/// `keep`
#[derive(Args, Debug)]
pub struct Keep {
    #[command(flatten)]
    pub sti: Sti,
    /// Seconds between two looks at certificate, list and CRL
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub every: u32,
}
