//! The subcommands: help, completions and man pages are made from these definitions.

pub mod doctor;
pub mod lab;
pub mod sti;

use crate::names::FLAGS;
use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;
use stir::{CertVerify, Checked, Config, Numbering, Policy, Result, Shaken};

/// STIR/SHAKEN on the command line and over HTTP: sign calls, check and explain Identity headers,
/// make keys and certificates
#[derive(Debug, Parser)]
#[command(
    name = "secsipidx",
    version,
    arg_required_else_help = true,
    after_help = "The flags of the stock secsipidx (-sign-full, -check, -http-srv …) work as ever: secsipidx -h lists them.",
    after_long_help = "\
Examples:
  secsipidx ca lab --spc 1234
  secsipidx sign --key lab/spc-1234-key.pem --x5u https://cr.example.org/1234.pem +12155550100 +12025550100 | tee id
  secsipidx check --key lab/spc-1234.pem --ca lab/root.pem id
  tcpdump -A -r call.pcap | secsipidx inspect

The flags of the stock secsipidx (-sign-full, -check, -http-srv …) work as ever: secsipidx -h lists them.
Exit status: 0 done, or valid; 1 failed, or not valid; 2 wrong arguments."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign a call: prints an Identity header field value
    Sign(Sign),
    /// Check Identity headers: prints the verdict of the first that is valid, or why none is
    Check(Check),
    /// Show an Identity header decoded, its certificates, and each rule with pass or fail
    Inspect(Check),
    /// Make a P-256 key (0600)
    Keygen(Keygen),
    /// Make a certificate signing request with a TNAuthList (RFC 8226)
    Csr(Csr),
    /// Make a laboratory: root, intermediate, SPC certificates, CRL, indirect CRL, trust list
    Ca(Ca),
    /// Serve a laboratory: an STI-PA, an STI-CA and a certificate repository on this machine
    Lab(lab::Lab),
    /// Get the first certificate of a service provider: account, token, order, key; publish it
    Enroll(sti::Enroll),
    /// Renew the certificate if it is time: publish the new one, fetch it back, then switch
    Renew(sti::Renew),
    /// Get the STI-PA's list of trusted CAs and its CRL, and replace those that are there
    Trust(sti::TrustArgs),
    /// Do all of that, for ever: the service
    Keep(sti::Keep),
    /// Go through an installation: key, certificate, URL, list, CRL, clock; say what is wrong
    Doctor(doctor::Doctor),
    /// Download a certificate as a verifier would, and show it
    Fetch(Fetch),
    /// Run the HTTP(S) service
    Serve(Serve),
    /// Measure how many calls this machine signs and checks, or a service that runs
    #[command(after_help = "\
Examples:
  secsipidx bench
  secsipidx bench --url http://127.0.0.1:8090 --seconds 10 --connections 32

What is measured: an ES256 signature and verification as the library does them, a call signed and one \
checked with keys that are in memory; on one thread, and on as many as there are CPUs. With --url, \
/v1/sign-csv and /v1/check, asked from one thread of this machine.")]
    Bench(Bench),
    /// Print completions for a shell
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: Shell,
    },
    /// Print the man page, or write one for each subcommand into a folder
    Man {
        /// Folder for secsipidx.1, secsipidx-sign.1 and so on; made if it is not there
        folder: Option<PathBuf>,
    },
}

/// `sign`
#[derive(Args, Debug)]
pub struct Sign {
    /// Private key, PEM on P-256
    #[arg(short, long, value_name = "FILE")]
    pub key: String,
    /// Where verifiers find the certificate
    #[arg(long, value_name = "URL")]
    pub x5u: String,
    /// What the signer vouches for: A the caller and the number, B the caller, C neither
    #[arg(short, long, value_enum, ignore_case = true, default_value_t = Attest::C)]
    pub attest: Attest,
    /// Origination identifier; a new UUID without it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub origid: String,
    /// Print a whole header field, "Identity: …"
    #[arg(long)]
    pub header: bool,
    /// Calling number
    pub orig: String,
    /// Called number
    pub dest: String,
    #[command(flatten)]
    pub numbers: Numbers,
}

/// How telephone numbers are written where the calls come from: the module's parameters.
#[derive(Args, Debug)]
pub struct Numbers {
    /// Country code that national numbers get: 1, 33
    #[arg(long, value_name = "DIGITS", default_value = "")]
    pub country_code: String,
    /// What national numbers begin with and lose: 0 in France
    #[arg(long, value_name = "DIGITS", default_value = "")]
    pub national_prefix: String,
    /// What international numbers begin with and lose: 011, 00
    #[arg(long, value_name = "DIGITS", default_value = "")]
    pub international_prefix: String,
}

impl Numbers {
    /// The settings of the core.
    ///
    /// # Errors
    /// What [`Numbering::validate`] finds.
    pub fn numbering(&self) -> Result<Numbering> {
        let numbering = Numbering {
            country_code: self.country_code.clone(),
            national_prefix: self.national_prefix.clone(),
            international_prefix: self.international_prefix.clone(),
            ..Numbering::default()
        };
        FLAGS.of(numbering.validate())?;
        Ok(numbering)
    }
}

/// Attestation (RFC 8588 §4).
#[derive(Clone, Copy, Debug, ValueEnum)]
#[allow(missing_docs, reason = "explained where it is used")]
pub enum Attest {
    #[value(name = "A")]
    A,
    #[value(name = "B")]
    B,
    #[value(name = "C")]
    C,
}

impl Attest {
    /// As the claim has it.
    pub const fn letter(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        }
    }
}

/// `check` and `inspect`
#[derive(Args, Debug)]
pub struct Check {
    /// File with an Identity header or a SIP message, - for standard input, or the header itself
    #[arg(default_value = "-")]
    pub input: String,
    /// Public key or certificate: a path or URL; without it, what the header's info names is
    /// downloaded
    #[arg(short, long, value_name = "FILE|URL")]
    pub key: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub trust: Trust,
    #[command(flatten)]
    pub numbers: Numbers,
}

impl Check {
    /// The settings of the core.
    ///
    /// # Errors
    /// What [`Config::validate`] finds.
    pub fn config(&self) -> Result<Checked> {
        let config = Config { numbering: self.numbers.numbering()?, ..self.trust.settings()? };
        FLAGS.of(config.validate())
    }
}

/// What is checked, and with what.
#[derive(Args, Debug)]
pub struct Trust {
    /// compat: the token alone, as the stock tool; shaken: the whole message, as the module's policy
    /// shaken, which needs --ca
    #[arg(long, value_name = "POLICY", default_value = "compat", value_parser = ["compat", "shaken"])]
    pub policy: String,
    /// Seconds that a token may be old [default: 300, or 60 under policy shaken]
    #[arg(long, value_name = "SECONDS")]
    pub expire: Option<u32>,
    /// Trust anchors, PEM or a policy administrator's signed list: checks the certificate's chain
    /// and time
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Intermediate certificates, PEM or a signed list
    #[arg(long, value_name = "FILE", requires = "ca")]
    pub intermediates: Option<PathBuf>,
    /// Who signs those lists: certificates and public keys, PEM
    #[arg(long, value_name = "FILE", requires = "ca")]
    pub list_key: Option<PathBuf>,
    /// Revocation lists, PEM or DER
    #[arg(long, value_name = "FILE", requires = "ca")]
    pub crl: Option<PathBuf>,
    /// Seconds for a download
    #[arg(long, value_name = "SECONDS", default_value_t = Config::default().timeout)]
    pub timeout: u32,
    /// Folder for downloaded certificates
    #[arg(long, value_name = "FOLDER")]
    pub cache_dir: Option<PathBuf>,
    /// Roots for HTTPS downloads, PEM; the system's without it
    #[arg(long, value_name = "FILE")]
    pub http_ca: Option<PathBuf>,
    /// Proxy for downloads
    #[arg(long, value_name = "URL", default_value = "")]
    pub http_proxy: String,
    /// Hosts and networks that may be asked for certificates, also if they are not public
    #[arg(long, value_name = "LIST", default_value = "")]
    pub x5u_permit: String,
    /// Those that may not
    #[arg(long, value_name = "LIST", default_value = "")]
    pub x5u_deny: String,
}

impl Trust {
    /// The settings of the core.
    ///
    /// # Errors
    /// What [`Config::validate`] finds.
    pub fn config(&self) -> Result<Checked> {
        FLAGS.of(self.settings()?.validate())
    }

    fn settings(&self) -> Result<Config> {
        let mut bits = 0;
        for (set, bit) in [
            (self.ca.is_some(), CertVerify::CUSTOM_CA | CertVerify::TIME),
            (self.intermediates.is_some(), CertVerify::INTERMEDIATES),
            (self.crl.is_some(), CertVerify::CRL),
        ] {
            if set {
                bits |= bit;
            }
        }
        let path = |path: &Option<PathBuf>| path.clone().unwrap_or_default();
        Ok(Config {
            policy: Policy::named(&self.policy)?,
            shaken: Shaken {
                x5u_permit: self.x5u_permit.clone(),
                x5u_deny: self.x5u_deny.clone(),
                ..Shaken::default()
            },
            expire: self.expire,
            timeout: self.timeout,
            cache_dir: path(&self.cache_dir),
            cert_verify: CertVerify::new(bits)?,
            ca_file: path(&self.ca),
            inter_file: path(&self.intermediates),
            trust_anchors_key: path(&self.list_key),
            crl_file: path(&self.crl),
            http_ca_file: path(&self.http_ca),
            http_proxy: self.http_proxy.clone(),
            ..Config::default()
        })
    }
}

/// A file to write: `-` would be one of that name.
fn new_file() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match path.to_str() {
        Some("-") => Err("it is no file: give the path of a new one"),
        _ => Ok(path),
    })
}

/// `keygen`
#[derive(Args, Debug)]
pub struct Keygen {
    /// File for the private key
    #[arg(value_name = "FILE", value_parser = new_file())]
    pub out: PathBuf,
    /// File for the public key
    #[arg(short, long, value_name = "FILE", value_parser = new_file())]
    pub public: Option<PathBuf>,
    /// Replace files that are there
    #[arg(long)]
    pub force: bool,
}

/// `csr`
#[derive(Args, Debug)]
pub struct Csr {
    /// Private key, PEM on P-256
    #[arg(short, long, value_name = "FILE")]
    pub key: String,
    /// Service provider code, as the TNAuthList has it; several are allowed
    #[arg(long, value_name = "CODE", required = true)]
    pub spc: Vec<String>,
    /// Name of the holder, RFC 4514
    #[arg(long, value_name = "NAME", default_value = "CN=SHAKEN,C=US")]
    pub subject: String,
    /// File for the request; standard output without it
    #[arg(short, long, value_name = "FILE", value_parser = new_file())]
    pub out: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
}

/// `ca`
#[derive(Args, Debug)]
pub struct Ca {
    /// Folder for the files; made if it is not there
    pub folder: PathBuf,
    /// Service provider code to make a certificate for; several are allowed
    #[arg(
        long,
        value_name = "CODE",
        default_value = "1234",
        default_value_if("update", "true", None)
    )]
    pub spc: Vec<String>,
    /// Code whose certificate both CRLs revoke; it must be among the --spc, or there already
    #[arg(long, value_name = "CODE")]
    pub revoke: Vec<String>,
    /// Days that certificates, CRLs and trust list are valid
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: u32,
    /// Where the indirect CRL can be had, for the certificates' distribution points
    #[arg(long, value_name = "URL", default_value = "https://127.0.0.1/crl-indirect.pem")]
    pub crl_url: String,
    /// Go on with the laboratory in the folder: add certificates, make trust list and CRLs anew, with
    /// what --revoke names on them besides those revoked before
    #[arg(long)]
    pub update: bool,
    /// Replace files that are there
    #[arg(long, conflicts_with = "update")]
    pub force: bool,
}

/// `fetch`
#[derive(Args, Debug)]
pub struct Fetch {
    /// The certificate's URL, an x5u
    pub url: String,
    /// File for what came; nothing is written without it
    #[arg(short, long, value_name = "FILE", value_parser = new_file())]
    pub out: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub trust: Trust,
}

/// `serve`
#[derive(Args, Debug)]
pub struct Serve {
    /// Configuration file, TOML
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Check the configuration and say what is wrong with it; serve nothing
    #[arg(long)]
    pub check: bool,
}

/// `bench`
#[derive(Args, Debug)]
pub struct Bench {
    /// Seconds that it takes
    #[arg(long, value_name = "SECONDS", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=120))]
    pub seconds: u32,
    /// Measure the service at this http:// URL instead
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Connections to the service, each with one request at a time
    #[arg(long, default_value_t = 8, requires = "url", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub connections: u32,
    /// File with the bearer token of the service
    #[arg(long, value_name = "FILE", requires = "url")]
    pub token_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
