//! `lab`

use clap::{Args, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// `lab`
#[derive(Args, Debug)]
pub struct Lab {
    /// What to do.
    #[command(subcommand)]
    pub command: LabCommand,
}

/// What can be done with a laboratory.
#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// Be a whole STI for programs on this machine: STI-PA, STI-CA and certificate repository
    #[command(after_help = "\
Example:
  secsipidx ca lab
  secsipidx lab serve lab &
  secsipidx enroll --config lab/sti.toml

FOLDER/sti.toml is written at start: a configuration for enroll, renew, trust and keep that uses this laboratory.")]
    Serve(LabServe),
}

/// `lab serve`
#[derive(Args, Debug)]
pub struct LabServe {
    /// Folder that secsipidx ca made
    pub folder: PathBuf,
    /// Address for HTTPS, of this machine; verifiers fetch certificates from ports 443 and 8443 only
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// Address for plain HTTP besides
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub http: Option<SocketAddr>,
    /// What the URLs that it hands out begin with, if there is a proxy before it
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Seconds that certificates are valid
    #[arg(long, value_name = "SECONDS", default_value_t = 90 * 86_400, value_parser = clap::value_parser!(u64).range(1..=315_360_000))]
    pub lifetime: u64,
    /// Seconds that CRL and list of CAs are valid
    #[arg(long, value_name = "SECONDS", default_value_t = 30 * 86_400, value_parser = clap::value_parser!(u64).range(1..=315_360_000))]
    pub list_lifetime: u64,
    /// Seconds that SPC tokens are valid
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, value_parser = clap::value_parser!(u64).range(1..=315_360_000))]
    pub token_lifetime: u64,
    /// Want an external account binding: the key is in FOLDER/eab-key, its name is lab
    #[arg(long)]
    pub eab: bool,
    /// Service provider code of the certificate that FOLDER/sti.toml asks for
    #[arg(long, value_name = "CODE", default_value = "1234")]
    pub spc: String,
}
