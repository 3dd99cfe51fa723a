//! `[check]`: how calls are verified. Names and values are those of the module's parameters (docs/module.md).

use serde::Deserialize;
use std::path::PathBuf;
use stir::profile::Profile;
use stir::{CertVerify, Config, Policy, Reason, Replay, Result};

/// `[check]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Check {
    /// Public key or certificate, path or URL; without it, what a header's info names is
    /// downloaded.
    pub key: String,
    /// `compat` or `shaken`.
    pub policy: Option<String>,
    /// Seconds that a token may be old.
    pub expire: Option<u32>,
    /// Seconds that a token may be ahead.
    pub clock_skew: Option<u32>,
    /// Seconds for a download, and in which all downloads of a request must begin.
    pub timeout: Option<u32>,
    /// Folder for downloaded certificates.
    pub cache_dir: PathBuf,
    /// Seconds that they are kept.
    pub cache_expire: Option<u32>,
    /// Certificates kept in memory.
    pub cache_size: Option<u32>,
    /// KiB for tables of the keys that sign calls.
    pub key_tables: Option<u32>,
    /// Bits of CertVerify; without them, what the files here ask for.
    pub cert_verify: Option<u32>,
    /// Trust anchors, PEM or a signed list.
    pub ca: PathBuf,
    /// Intermediate certificates, PEM or a signed list.
    pub intermediates: PathBuf,
    /// Who signs those lists: certificates and public keys, PEM.
    #[serde(alias = "trust_anchors_key")]
    pub list_key: PathBuf,
    /// Trust anchors: a PEM file, a folder of them, or a policy administrator's list.
    pub trust_anchors: PathBuf,
    /// Seconds that such a list stays in force after its end.
    pub trust_anchors_stale: Option<u32>,
    /// Intermediate certificates beside those of chains: a file, a folder or a list.
    pub trust_intermediates: PathBuf,
    /// Who signed that list.
    pub trust_intermediates_key: PathBuf,
    /// Whether a CRL must cover each certificate.
    pub crl_required: Option<bool>,
    /// Revocation lists, PEM or DER.
    pub crl: PathBuf,
    /// Roots for HTTPS downloads, PEM.
    pub http_ca: PathBuf,
    /// Proxy for downloads, a URL.
    pub http_proxy: String,
    /// Hosts and networks that may be asked for certificates.
    pub x5u_permit: String,
    /// Those that may not.
    pub x5u_deny: String,
    /// Who calls, policy shaken: `pai,from` and so on.
    pub orig_source: Option<String>,
    /// Who is called: `to`, `ruri` or `either`.
    pub dest_source: Option<String>,
    /// Identity header fields that are looked at.
    pub max_identity: Option<usize>,
    /// Whether a PASSporT without extension counts.
    pub base_passport: Option<bool>,
    /// Parties in the `dest` of a token.
    pub max_dest: Option<usize>,
    /// Seconds that the first token of a diverted call may be old.
    pub div_expire: Option<u32>,
    /// `off`, `log` or `refuse`, for requests that name their `call_id`.
    pub replay: Option<String>,
    /// `off`, `warn` or `enforce`.
    pub cert_profile: Option<String>,
    /// Whether the certificate's CN must be that of its SPC.
    pub spc_match: Option<bool>,
    /// Whether orig must be among the TNAuthList's numbers, where it names any.
    pub tn_authlist_match: Option<bool>,
    /// `stir` or `sip`.
    pub reason_protocol: Option<String>,
    /// `off`, `compact` or `full`.
    pub ppi: Option<String>,
}

impl Check {
    /// These settings in place of the core's.
    ///
    /// # Errors
    /// A value that is not one of the parameter's.
    pub fn config(&self, default: Config) -> Result<Config> {
        let bits = self.cert_verify.unwrap_or_else(|| {
            let has = |path: &PathBuf, bit| if path.as_os_str().is_empty() { 0 } else { bit };
            has(&self.ca, CertVerify::CUSTOM_CA | CertVerify::TIME)
                | has(&self.intermediates, CertVerify::INTERMEDIATES)
                | has(&self.crl, CertVerify::CRL)
        });
        let mut shaken = default.shaken.clone();
        shaken.x5u_permit.clone_from(&self.x5u_permit);
        shaken.x5u_deny.clone_from(&self.x5u_deny);
        if let Some(text) = &self.orig_source {
            shaken.set_orig_source(text)?;
        }
        if let Some(text) = &self.dest_source {
            shaken.set_dest_source(text)?;
        }
        if let Some(name) = &self.replay {
            shaken.replay = Replay::named(name)?;
        }
        if let Some(name) = &self.cert_profile {
            shaken.profile = Profile::named(name)?;
        }
        shaken.max_identity = self.max_identity.unwrap_or(shaken.max_identity);
        shaken.base_passport = self.base_passport.unwrap_or(shaken.base_passport);
        shaken.max_dest = self.max_dest.unwrap_or(shaken.max_dest);
        shaken.div_expire = self.div_expire.unwrap_or(shaken.div_expire);
        shaken.spc_match = self.spc_match.unwrap_or(shaken.spc_match);
        shaken.tn_authlist_match = self.tn_authlist_match.unwrap_or(shaken.tn_authlist_match);
        Ok(Config {
            policy: self.policy.as_deref().map_or(Ok(default.policy), Policy::named)?,
            shaken,
            expire: self.expire.or(default.expire),
            clock_skew: self.clock_skew.unwrap_or(default.clock_skew),
            timeout: self.timeout.unwrap_or(default.timeout),
            cache_expire: self.cache_expire.unwrap_or(default.cache_expire),
            cache_size: self.cache_size.unwrap_or(default.cache_size),
            key_tables: self.key_tables.unwrap_or(default.key_tables),
            cache_dir: self.cache_dir.clone(),
            cert_verify: CertVerify::new(bits)?,
            ca_file: self.ca.clone(),
            inter_file: self.intermediates.clone(),
            crl_file: self.crl.clone(),
            trust_anchors: self.trust_anchors.clone(),
            trust_anchors_key: self.list_key.clone(),
            trust_anchors_stale: self.trust_anchors_stale.unwrap_or(default.trust_anchors_stale),
            trust_intermediates: self.trust_intermediates.clone(),
            trust_intermediates_key: self.trust_intermediates_key.clone(),
            crl_required: self.crl_required.or(default.crl_required),
            http_ca_file: self.http_ca.clone(),
            http_proxy: self.http_proxy.clone(),
            ..default
        })
    }

    /// How the Reason header field is written.
    ///
    /// # Errors
    /// As [`Check::config`].
    pub fn reason(&self) -> Result<Reason> {
        let mut reason = Reason::default();
        if let Some(name) = &self.reason_protocol {
            reason.set_protocol(name)?;
        }
        if let Some(name) = &self.ppi {
            reason.set_ppi(name)?;
        }
        Ok(reason)
    }
}
