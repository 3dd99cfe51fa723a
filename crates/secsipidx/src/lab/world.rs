//! What the laboratory's STI knows while it runs.

use super::wire::{Ask, Reply};
use super::{Lab, acme, pa};
use crate::input;
use crate::keys;
use crate::pki::{Indirect, pem};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;
use sti::jose::{AccountKey, PublicKey};
use stir::{Clock, Result, SystemClock};
use uuid::Uuid;
use x509_cert::certificate::Certificate;
use x509_cert::crl::RevokedCert;

/// Most of anything that is remembered: a laboratory for days of tests.
pub const MAX_KEPT: usize = 100_000;

/// How it behaves.
pub struct Options {
    /// What its URLs begin with.
    pub base: String,
    /// Of certificates.
    pub lifetime: Duration,
    /// Of CRL and list of CAs.
    pub list_lifetime: Duration,
    /// Of SPC tokens.
    pub token_lifetime: Duration,
    /// The key of an external account binding, if the CA wants one.
    pub eab: Option<String>,
}

/// The whole STI.
pub struct World {
    pub(super) lab: Lab,
    pub(super) folder: PathBuf,
    pub(super) options: Options,
    /// The administrator's key as tokens are signed with it.
    pub(super) signer: AccountKey,
    /// Access tokens of logins, and until when they count.
    pub(super) logins: HashMap<String, i64>,
    pub(super) ca: acme::State,
    revoked: Vec<RevokedCert>,
}

impl World {
    /// The STI of a folder that `secsipidx ca` made.
    ///
    /// # Errors
    /// Files that are not there.
    pub fn new(folder: PathBuf, options: Options) -> Result<Self> {
        let lab = Lab::read(&folder)?;
        let signer = AccountKey::from_pem(&lab.administrator.key.private_pem()?)?;
        let revoked = lab.revoked(&folder)?;
        let (logins, ca) = (HashMap::new(), acme::State::default());
        Ok(Self { lab, folder, options, signer, logins, ca, revoked })
    }

    /// Answers a request.
    pub fn answer(&mut self, ask: &Ask) -> Reply {
        let get = matches!(&*ask.method, "GET" | "HEAD");
        let done = match &*ask.path {
            "/pa.pem" if get => self
                .lab
                .administrator
                .pem()
                .map(|text| Reply::new(200, "application/pem-certificate-chain", text)),
            path if path.starts_with("/api/") || path.starts_with("/download/") => {
                pa::answer(self, ask)
            }
            path if path.starts_with("/acme/") => Ok(acme::answer(self, ask)),
            path if get => Ok(self.repository(path)),
            _ => Ok(Reply::new(404, "text/plain", "not here\n")),
        };
        done.unwrap_or_else(|e| Reply::new(500, "text/plain", format!("{}\n", e.message())))
    }

    /// What is published.
    fn repository(&self, path: &str) -> Reply {
        let name = path.strip_prefix("/cr/").unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let plain = !name.starts_with('.') && name.ends_with(".pem") && name.chars().all(fits);
        let file = self.folder.join("cr").join(name);
        match input::read_regular(&file.to_string_lossy()).ok().filter(|_| plain) {
            Some(text) => Reply::new(200, "application/pem-certificate-chain", text)
                .with("cache-control", "max-age=86400"),
            None => Reply::new(404, "text/plain", "no such certificate\n"),
        }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.options.base)
    }

    /// Where the CRL is.
    pub fn crl_url(&self) -> String {
        self.url("/download/v1/crl")
    }

    /// The indirect CRL, PEM.
    ///
    /// # Errors
    /// It can't be encoded.
    pub fn crl(&self) -> Result<String> {
        let url = self.crl_url();
        let indirect = Indirect { issuer: self.lab.inter.name(), url: &url };
        self.lab.administrator.crl(self.options.list_lifetime, &self.revoked, Some(&indirect))
    }

    /// Whether a certificate is revoked.
    pub fn is_revoked(&self, certificate: &Certificate) -> bool {
        let serial = certificate.tbs_certificate().serial_number();
        self.revoked.iter().any(|entry| entry.serial_number == *serial)
    }

    /// Revokes a certificate, for good: the folder's CRLs have it from now on.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn revoke(&mut self, certificate: &Certificate) -> Result<()> {
        if self.is_revoked(certificate) {
            return Ok(());
        }
        self.revoked.push(crate::pki::revocation(certificate)?);
        let lists = self.lab.lists(&self.crl_url(), self.options.list_lifetime, &self.revoked)?;
        for (name, text, access) in &lists {
            keys::write(&self.folder.join(name), text, *access, true)?;
        }
        Ok(())
    }

    /// A signer's certificate with its chain, PEM.
    ///
    /// # Errors
    /// It can't be encoded.
    pub fn chain(&self, certificate: &Certificate) -> Result<String> {
        Ok(pem(certificate)? + &self.lab.inter.pem()?)
    }

    /// The administrator's public key.
    pub const fn administrator(&self) -> &PublicKey {
        &self.signer.public
    }
}

/// Unix seconds.
pub fn now() -> i64 {
    SystemClock.now()
}

/// What nobody can guess.
pub fn random() -> String {
    Uuid::new_v4().simple().to_string()
}
