//! What a front end can set, checked once at start.

use crate::cert_verify::CertVerify;
use crate::error::{Code, Error, Result};
use crate::policy::{Policy, Shaken};
use crate::tn::Numbering;
use crate::x5u::X5uRules;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// Freshness of `iat` that the stock module uses, in seconds.
pub const DEFAULT_EXPIRE: u32 = 300;
/// Freshness of `iat` under policy shaken, in seconds: what RFC 8224 §6.2 recommends.
pub const DEFAULT_SHAKEN_EXPIRE: u32 = 60;
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
/// How long a list that ran out stays in force, in seconds: a week to notice and to get a new one.
pub const DEFAULT_TRUST_ANCHORS_STALE: u32 = 7 * 86_400;
/// A list that stays in force for more than a year after its end has no end.
const MAX_TRUST_ANCHORS_STALE: u32 = 366 * 86_400;
/// What tables of keys take in a process, in KiB: 128 tables, with which a worker stays below 1 MiB. Most
/// calls of a day are signed by fewer carriers.
pub const DEFAULT_KEY_TABLES: u32 = 512;
/// Tables for each of the field's 16,000 certificates take this.
const MAX_KEY_TABLES: u32 = 65_536;
/// More than a day to wait for a call's certificate, or a year to keep one, is a mistake in a cfg.
const MAX_TIMEOUT: u32 = 60;
const MAX_CACHE_SIZE: u32 = 1_000_000;

/// All settings of signing and verifying, with the defaults of the stock module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What a check is measured by.
    pub policy: Policy,
    /// The settings of policy shaken.
    pub shaken: Shaken,
    /// How telephone numbers are written.
    pub numbering: Numbering,
    /// How old `iat` may be, in seconds; `None` for the policy's default.
    pub expire: Option<u32>,
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
    /// KiB for tables of the keys that sign calls, 4 each; 0 for none.
    pub key_tables: u32,
    /// `x5u` for a call that names none: a URL, or `file:///path` of a file that holds it.
    pub x5u: String,
    /// What is checked of a certificate.
    pub cert_verify: CertVerify,
    /// Custom trust anchors, PEM.
    pub ca_file: PathBuf,
    /// Intermediate certificates, PEM.
    pub inter_file: PathBuf,
    /// Certificate revocation lists, PEM or DER.
    pub crl_file: PathBuf,
    /// Trust anchors instead of `ca_file`: a PEM file, a folder of them, or a policy
    /// administrator's list (JWS). Asks for the chain, whatever `cert_verify` says.
    pub trust_anchors: PathBuf,
    /// Who may sign lists: certificates and public keys, PEM. Those of a CA vouch for a signer whose
    /// certificate comes with the list, or lies beside it.
    pub trust_anchors_key: PathBuf,
    /// Seconds that a list stays in force after it ran out.
    pub trust_anchors_stale: u32,
    /// Intermediate certificates instead of `inter_file`: a PEM file, a signed list, or a folder of
    /// either.
    pub trust_intermediates: PathBuf,
    /// Who may sign those lists; empty for `trust_anchors_key`.
    pub trust_intermediates_key: PathBuf,
    /// Folder where the sequence numbers of lists are kept over a restart; empty for `cache_dir`.
    pub lists_dir: PathBuf,
    /// Certificate revocation lists instead of `crl_file`: a file or a folder of them. Asks for
    /// revocation, whatever `cert_verify` says.
    pub crl: PathBuf,
    /// Whether a check fails if no CRL covers a certificate of the path; `None` for the policy's
    /// default: it does under shaken.
    pub crl_required: Option<bool>,
    /// Certificate that every key file that signs must match, PEM; empty for the file beside each
    /// key under policy shaken, and for no check under compat.
    pub cert_path: PathBuf,
    /// Roots for HTTPS downloads, PEM; empty for the system's.
    pub http_ca_file: PathBuf,
    /// Proxy for downloads, a URL; empty for none but the environment's.
    pub http_proxy: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            shaken: Shaken::default(),
            numbering: Numbering::default(),
            expire: None,
            clock_skew: DEFAULT_CLOCK_SKEW,
            timeout: DEFAULT_TIMEOUT,
            cache_expire: DEFAULT_CACHE_EXPIRE,
            cache_dir: PathBuf::new(),
            cache_size: DEFAULT_CACHE_SIZE,
            key_tables: DEFAULT_KEY_TABLES,
            x5u: String::new(),
            cert_verify: CertVerify::NONE,
            ca_file: PathBuf::new(),
            inter_file: PathBuf::new(),
            crl_file: PathBuf::new(),
            trust_anchors: PathBuf::new(),
            trust_anchors_key: PathBuf::new(),
            trust_anchors_stale: DEFAULT_TRUST_ANCHORS_STALE,
            trust_intermediates: PathBuf::new(),
            trust_intermediates_key: PathBuf::new(),
            lists_dir: PathBuf::new(),
            crl: PathBuf::new(),
            crl_required: None,
            cert_path: PathBuf::new(),
            http_ca_file: PathBuf::new(),
            http_proxy: String::new(),
        }
    }
}

impl Config {
    /// How old `iat` may be, in seconds.
    pub fn expire(&self) -> u32 {
        self.expire.unwrap_or(match self.policy {
            Policy::Compat => DEFAULT_EXPIRE,
            Policy::Shaken => DEFAULT_SHAKEN_EXPIRE,
        })
    }

    /// What is checked of certificates: `trust_anchors` and `crl` ask for what they name, and for
    /// the validity of the signer's certificate, whatever `cert_verify` says.
    pub(crate) fn checked(&self) -> CertVerify {
        let mut bits = self.cert_verify;
        if !self.trust_anchors.as_os_str().is_empty() {
            bits = bits.with(CertVerify::CUSTOM_CA | CertVerify::TIME);
        }
        if !self.trust_intermediates.as_os_str().is_empty() {
            bits = bits.with(CertVerify::INTERMEDIATES);
        }
        if !self.crl.as_os_str().is_empty() {
            bits = bits.with(CertVerify::CRL);
        }
        bits
    }

    /// Whether a check fails if no CRL covers a certificate of the path.
    pub(crate) fn crl_required(&self) -> bool {
        self.crl_required.unwrap_or(self.policy == Policy::Shaken)
    }

    /// Where the sequence numbers of lists are kept; empty for nowhere.
    pub(crate) fn sequences_dir(&self) -> &Path {
        if self.lists_dir.as_os_str().is_empty() { &self.cache_dir } else { &self.lists_dir }
    }

    /// Whether certificates must lead to anchors that the settings name.
    fn has_anchors(&self) -> bool {
        self.checks_chains() && self.checked().has(CertVerify::CUSTOM_CA)
    }

    /// Which URLs and addresses certificates are fetched from.
    ///
    /// # Errors
    /// [`Code::Generic`] for an entry of `x5u_permit` or `x5u_deny` that is none.
    pub fn x5u_rules(&self) -> Result<X5uRules> {
        self.shaken.x5u_rules(self.policy)
    }

    /// Sets one of the stock library's options from `name=value` (`libopt`): CacheDirPath,
    /// CacheExpires, CertVerify, CertCAFile, CertCAInter, CertCRLFile.
    ///
    /// # Errors
    /// [`Code::Generic`] for an unknown name, no `=`, or no number where one is due.
    pub fn set_option(&mut self, name_value: &str) -> Result<()> {
        let Some((name, value)) = name_value.split_once('=') else {
            return Err(wrong(format!("libopt \"{name_value}\" is no name=value")));
        };
        match name {
            "CacheDirPath" => self.cache_dir = value.into(),
            "CacheExpires" => self.cache_expire = number(name, value)?,
            "CertVerify" => self.cert_verify = CertVerify::new(number(name, value)?)?,
            "CertCAFile" => self.ca_file = value.into(),
            "CertCAInter" => self.inter_file = value.into(),
            "CertCRLFile" => self.crl_file = value.into(),
            _ => {
                return Err(wrong(format!(
                    "libopt \"{name}\" is unknown: there are CacheDirPath, CacheExpires, CertVerify, CertCAFile, CertCAInter, CertCRLFile"
                )));
            }
        }
        Ok(())
    }

    /// Checks that the settings hold together. Looks at no file and opens no socket.
    ///
    /// # Errors
    /// [`Code::Generic`] for the first setting that can't work; the message names it by its Kamailio parameter.
    pub fn build(self) -> Result<Checked> {
        self.check_values()?;
        if self.policy == Policy::Shaken && !self.has_anchors() {
            return Err(wrong(
                "policy shaken needs to know whom to trust: set trust_anchors to a PEM file or folder of the STI root certificates, or to the policy administrator's list".into(),
            ));
        }
        if self.policy == Policy::Shaken && self.cert_verify.has(CertVerify::SYSTEM_CA) {
            return Err(wrong(format!(
                "CertVerify={} also trusts the system's authorities (2), so that the certificate of any web server could sign calls: leave 2 out of it under policy shaken",
                self.cert_verify.bits()
            )));
        }
        let x5u = self.x5u_rules()?;
        Ok(Checked { config: self, x5u })
    }

    /// Checks everything that can be wrong before the first call: [`build`](Self::build), the files that the
    /// settings name, and the trust anchors, intermediates and CRLs in them.
    ///
    /// # Errors
    /// As [`build`](Self::build), [`Checked::check_files`] and [`Verifier::load`](crate::Verifier::load).
    pub fn validate(self) -> Result<Checked> {
        let checked = self.build()?;
        checked.check_files()?;
        crate::trust::Trust::new(&checked).load()?;
        Ok(checked)
    }

    /// What the tables of keys run on: "s2n-bignum"; "aws-lc", which then verifies alone, in a build
    /// that has none; "off" where the settings want none.
    pub const fn tables(&self) -> &'static str {
        if self.key_tables == 0 { "off" } else { p256_table::backend().name() }
    }

    /// What is set and changes nothing as the rest is set, a sentence for each.
    pub fn unused(&self) -> Vec<String> {
        let own = &self.shaken;
        let default = Shaken::default();
        let compat = self.policy == Policy::Compat;
        let shaken = [
            ("orig_source", own.orig_source != default.orig_source),
            ("dest_source", own.dest_source != default.dest_source),
            ("max_identity", own.max_identity != default.max_identity),
            ("max_dest", own.max_dest != default.max_dest),
            ("div_expire", own.div_expire != default.div_expire),
            ("replay", own.replay != default.replay),
            ("base_passport", own.base_passport),
            ("cert_profile", own.profile != default.profile),
            ("cert_policies", own.policies != default.policies),
            ("spc_match", own.spc_match),
            ("tn_authlist_match", !own.tn_authlist_match),
        ];
        let shaken = shaken.into_iter().filter(|(_, set)| compat && *set).map(|(name, _)| {
            format!("{name} is set, but policy compat does not look at it: set policy shaken")
        });
        let bits = self.cert_verify;
        let files = [
            ("CertCAFile", &self.ca_file, CertVerify::CUSTOM_CA),
            ("CertCAInter", &self.inter_file, CertVerify::INTERMEDIATES),
            ("CertCRLFile", &self.crl_file, CertVerify::CRL),
        ];
        let files = files
            .into_iter()
            .filter(|(_, path, bit)| !path.as_os_str().is_empty() && !bits.has(*bit));
        let files = files.map(|(name, _, bit)| {
            format!("{name} is set, but CertVerify={} does not ask for it: add {bit}", bits.bits())
        });
        let named = |path: &PathBuf| !path.as_os_str().is_empty();
        let lists = bits.has(CertVerify::CUSTOM_CA | CertVerify::INTERMEDIATES)
            || named(&self.trust_anchors)
            || named(&self.trust_intermediates);
        let key = (named(&self.trust_anchors_key) && !lists).then(|| {
            "trust_anchors_key is set, but trust_anchors names no list that it has signed"
                .to_owned()
        });
        let between = named(&self.trust_intermediates_key)
            && !named(&self.trust_intermediates)
            && !bits.has(CertVerify::INTERMEDIATES);
        let between = between.then(|| {
            "trust_intermediates_key is set, but trust_intermediates names no list that it has signed"
                .to_owned()
        });
        let required = self.crl_required == Some(true) && !self.checked().has(CertVerify::CRL);
        let required =
            required.then(|| "crl_required is set, but no CRL is named: set crl".to_owned());
        shaken.chain(files).chain(key).chain(between).chain(required).collect()
    }

    /// Checks each value by itself: where settings come one by one, what they need may still follow.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn check_values(&self) -> Result<()> {
        if self.timeout == 0 || self.timeout > MAX_TIMEOUT {
            return Err(wrong(format!(
                "timeout {} is not from 1 to {MAX_TIMEOUT} seconds",
                self.timeout
            )));
        }
        if self.cache_size == 0 || self.cache_size > MAX_CACHE_SIZE {
            return Err(wrong(format!(
                "cache_size {} is not from 1 to {MAX_CACHE_SIZE} certificates",
                self.cache_size
            )));
        }
        if self.trust_anchors_stale > MAX_TRUST_ANCHORS_STALE {
            return Err(wrong(format!(
                "trust_anchors_stale {} is not from 0 to {MAX_TRUST_ANCHORS_STALE} seconds",
                self.trust_anchors_stale
            )));
        }
        if (1..4).contains(&self.key_tables) || self.key_tables > MAX_KEY_TABLES {
            return Err(wrong(format!(
                "key_tables {} is neither 0 nor from 4 to {MAX_KEY_TABLES} KiB: a table takes 4",
                self.key_tables
            )));
        }
        if !self.x5u.is_empty() {
            crate::sign::valid_setting(&self.x5u, self.policy)
                .map_err(|e| wrong(e.message().to_owned()))?;
        }
        self.shaken.validate(self.policy, &self.numbering)
    }

    /// Whether certificates are checked against any trust anchor.
    pub fn checks_chains(&self) -> bool {
        let bits = self.checked();
        bits.bits() != 0 && !bits.has(CertVerify::TIME_ONLY)
    }
}

/// Settings that hold together. [`Config::build`] makes them, and services are made from them alone:
///
/// ```compile_fail
/// let verifier = stir::Verifier::new(&stir::Config::default());
/// ```
///
/// ```
/// let verifier = stir::Verifier::new(&stir::Config::default().build()?);
/// # Ok::<(), stir::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Checked {
    config: Config,
    x5u: X5uRules,
}

impl Checked {
    /// Which URLs and addresses certificates are fetched from.
    pub const fn x5u_rules(&self) -> &X5uRules {
        &self.x5u
    }

    /// Checks the files that the settings name, but for trust anchors, intermediates and CRLs, which
    /// [`Verifier::load`](crate::Verifier::load) reads. Opens no socket.
    ///
    /// # Errors
    /// [`Code::Generic`] for the first file that can't be used.
    pub fn check_files(&self) -> Result<()> {
        if !self.cache_dir.as_os_str().is_empty() && !self.cache_dir.is_dir() {
            return Err(wrong(format!(
                "cache_dir \"{}\" is no folder: create it, writable by the user that Kamailio runs as",
                self.cache_dir.display()
            )));
        }
        if !self.cert_path.as_os_str().is_empty() {
            let path = self.cert_path.display();
            crate::file::read_path(&self.cert_path)
                .and_then(|(_, text)| crate::cert::Chain::from_pem(&text))
                .map_err(|e| wrong(format!("cert_path \"{path}\": {}", e.message())))?;
        }
        crate::fetch::check_settings(self)
    }
}

impl Default for Checked {
    /// The defaults, which hold together.
    fn default() -> Self {
        Self { config: Config::default(), x5u: X5uRules::default() }
    }
}

impl Deref for Checked {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}

fn wrong(message: String) -> Error {
    Error::new(Code::Generic, message)
}

fn number(name: &str, value: &str) -> Result<u32> {
    value.trim().parse().map_err(|_| {
        wrong(format!("libopt {name}=\"{value}\" is no number from 0 to {}", u32::MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_set_or_refused_by_name() {
        let mut config = Config::default();
        config.set_option("CertVerify=4").unwrap();
        config.set_option("CertCAFile=/etc/a=b.pem").unwrap();
        assert_eq!(config.cert_verify.bits(), 4);
        assert_eq!(config.ca_file, PathBuf::from("/etc/a=b.pem"));
        for (option, text) in [
            ("CertVerfy=1", "CertVerfy"),
            ("CertVerify", "name=value"),
            ("CertVerify=x", "no number"),
            ("CertVerify=64", "CertVerify=64"),
            ("CacheExpires=-1", "no number"),
        ] {
            let error = config.set_option(option).unwrap_err();
            assert!(error.message().contains(text), "{option}: {error}");
        }
        assert_eq!(config.cert_verify.bits(), 4);
    }

    #[test]
    fn what_changes_nothing_is_named() {
        let mut config = Config::default();
        assert_eq!(config.unused(), [""; 0]);
        config.shaken.spc_match = true;
        config.trust_anchors_key = "/etc/key.pem".into();
        config.trust_intermediates_key = "/etc/key.pem".into();
        config.crl_required = Some(true);
        for option in ["CertVerify=1", "CertCAFile=/etc/ca.pem", "CertCRLFile=/etc/crl.pem"] {
            config.set_option(option).unwrap();
        }
        let unused = config.unused();
        for (found, expected) in unused.iter().zip([
            "spc_match is set, but policy compat",
            "CertCAFile is set, but CertVerify=1 does not ask for it: add 4",
            "CertCRLFile is set, but CertVerify=1 does not ask for it: add 16",
            "trust_anchors_key is set, but",
            "trust_intermediates_key is set, but",
            "crl_required is set, but",
        ]) {
            assert!(found.starts_with(expected), "{found}");
        }
        assert_eq!(unused.len(), 6, "{unused:?}");
        config.policy = Policy::Shaken;
        config.trust_anchors = "/etc/roots".into();
        config.trust_intermediates = "/etc/intermediates".into();
        config.set_option("CertVerify=21").unwrap();
        assert_eq!(config.unused(), [""; 0]);
    }

    #[test]
    fn values_out_of_range_are_named() {
        for (config, text) in [
            (Config { timeout: 0, ..Config::default() }, "timeout 0"),
            (Config { cache_size: 0, ..Config::default() }, "cache_size 0"),
            (Config { key_tables: 3, ..Config::default() }, "key_tables 3"),
            (Config { key_tables: 65_537, ..Config::default() }, "key_tables 65537"),
            (Config { cache_dir: "/nonexistent".into(), ..Config::default() }, "cache_dir"),
            (
                Config { trust_anchors_stale: 40_000_000, ..Config::default() },
                "trust_anchors_stale",
            ),
            (Config { x5u: "ftp://a/b".into(), ..Config::default() }, "x5u"),
            (Config { http_proxy: "::".into(), ..Config::default() }, "http_proxy"),
            (Config { http_ca_file: "/nonexistent".into(), ..Config::default() }, "http_ca_file"),
        ] {
            let error = config.validate().unwrap_err();
            assert!(error.message().contains(text), "{text}: {error}");
        }
        Config::default().validate().unwrap();
    }

    #[test]
    fn the_defaults_are_what_building_them_gives() {
        let built = Config::default().build().unwrap();
        let default = Checked::default();
        assert_eq!(*built, *default);
        assert_eq!(format!("{:?}", built.x5u_rules()), format!("{:?}", default.x5u_rules()));
    }

    #[test]
    fn settings_that_check_less_than_they_say_are_not_built() {
        let shaken = Config { policy: Policy::Shaken, ..Config::default() };
        let error = shaken.build().unwrap_err();
        assert!(error.message().contains("set trust_anchors"), "{error}");
        let mut denied = Config::default();
        denied.shaken.x5u_deny = "10.0.0.0/99".into();
        let error = denied.build().unwrap_err();
        assert!(error.message().contains("10.0.0.0/99"), "{error}");
    }
}
