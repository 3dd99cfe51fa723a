//! `doctor`

use clap::Args;
use std::path::PathBuf;

/// `doctor`
#[derive(Args, Debug)]
pub struct Doctor {
    /// Configuration of enroll and renew: its key, certificate, URL, list and CRL
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["kamailio", "cert"])]
    pub config: Option<PathBuf>,
    /// Kamailio's configuration: the parameters of secsipid in it; give --key as well
    #[arg(long, value_name = "FILE")]
    pub kamailio: Option<PathBuf>,
    /// Private key that signs calls, PEM
    #[arg(short, long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Its certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Where verifiers find the certificate: a URL, or file:///path of a file that holds it
    #[arg(long, value_name = "URL")]
    pub x5u: Option<String>,
    /// Trust anchors: PEM, or the STI-PA's list
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Who signs that list, PEM
    #[arg(long, value_name = "FILE")]
    pub ca_signer: Option<PathBuf>,
    /// Revocation lists, PEM or DER
    #[arg(long, value_name = "FILE")]
    pub crl: Option<PathBuf>,
    /// Roots for HTTPS, PEM; the system's without it
    #[arg(long, value_name = "FILE")]
    pub http_ca: Option<PathBuf>,
    /// File with host names of x5u URLs, one a line, which must be reachable from here
    #[arg(long, value_name = "FILE")]
    pub hosts: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
