//! A certification authority for trying things out, and requests to a real one.

use crate::cli::{Ca, Csr};
use crate::keys::{self, Access, NewKey};
use crate::pki::{self, Holder, Indirect, Role};
use crate::{input, output};
use p256::elliptic_curve::zeroize::Zeroizing;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use stir::{Code, Error, Result};
use x509_cert::crl::RevokedCert;

mod acme;
mod pa;
mod serve;
mod wire;
mod world;

pub use serve::serve;

/// The CRLs of CA and root.
const CRL: &str = "crl.pem";

/// `csr`
///
/// # Errors
/// A key that can't be read, a name or code that can't be encoded.
pub fn csr(args: &Csr) -> Result<ExitCode> {
    for code in &args.spc {
        check_code(code)?;
    }
    let key = NewKey::from_pem(&input::read(&args.key)?)
        .map_err(|e| Error::new(e.code(), format!("{:?} {}", args.key, e.message())))?;
    let pem = pki::pem(&pki::request(&key, &args.subject, &args.spc)?)?;
    match &args.out {
        Some(out) => keys::write(out, &pem, Access::Public, args.force).map(|()| ExitCode::SUCCESS),
        None => Ok(output::print(&pem)),
    }
}

/// `ca`
///
/// # Errors
/// A code that can't be one, a file that is there.
pub fn ca(args: &Ca) -> Result<ExitCode> {
    if let Some((_, twice)) =
        args.spc.iter().enumerate().find(|(i, code)| args.spc[..*i].contains(code))
    {
        let why = format!("--spc {twice} is given twice: there is one certificate for each code");
        return Err(Error::new(Code::Generic, why));
    }
    let there = |code: &str| args.update && args.folder.join(format!("spc-{code}.pem")).exists();
    let mut codes = args.spc.clone();
    for code in args.spc.iter().chain(&args.revoke) {
        check_code(code)?;
        if !codes.contains(code) {
            if !there(code) {
                return Err(Error::new(
                    Code::Generic,
                    format!(
                        "--revoke {code} is none of the --spc: only what is made can be revoked"
                    ),
                ));
            }
            codes.push(code.clone());
        }
    }
    let lifetime = days(args.days);
    let lab = if args.update { Lab::read(&args.folder)? } else { Lab::make(lifetime)? };
    let crl = (args.crl_url.as_str(), lab.administrator.name());
    let inter_pem = lab.inter.pem()?;
    let mut files = if args.update { Vec::new() } else { lab.files()? };
    let mut revoked = if args.update { lab.revoked(&args.folder)? } else { Vec::new() };
    for code in &codes {
        let (pem, key) = (format!("spc-{code}.pem"), format!("spc-{code}-key.pem"));
        let holder = if there(code) {
            Lab::holder(&args.folder, &pem, &key)?
        } else {
            let subject = format!("CN=SHAKEN {code},O=Lab,C=US");
            let role = Role::Signer { spcs: std::slice::from_ref(code), crl };
            let holder = Holder::issue(&subject, &role, lifetime, Some(&lab.inter))?;
            files.push(public(&pem, format!("{}{inter_pem}", holder.pem()?)));
            files.push(secret(&key, &holder)?);
            holder
        };
        let serial = holder.certificate.tbs_certificate().serial_number();
        if args.revoke.contains(code) && revoked.iter().all(|one| one.serial_number != *serial) {
            revoked.push(holder.revocation()?);
        }
    }
    // Half a new laboratory in an old one would be of no use: all files, or none.
    let lists = lab.lists(&args.crl_url, lifetime, &revoked)?;
    if let Some(there) =
        files.iter().chain(&lists).map(|file| args.folder.join(&file.0)).find(|p| p.exists())
        && !args.force
        && !args.update
    {
        return Err(Error::new(
            Code::FileRead,
            format!("\"{}\" is there already: --force replaces it", there.display()),
        ));
    }
    std::fs::create_dir_all(&args.folder).map_err(|e| {
        Error::new(
            Code::FileRead,
            format!("folder \"{}\" can't be made: {e}", args.folder.display()),
        )
    })?;
    for (name, text, access) in &files {
        keys::write(&args.folder.join(name), text, *access, args.force)?;
    }
    for (name, text, access) in &lists {
        keys::write(&args.folder.join(name), text, *access, args.force || args.update)?;
    }
    let folder = args.folder.display();
    Ok(output::print(&format!(
        "{folder}/root.pem           trust anchor (--ca)
{folder}/intermediates.pem  the CA below it and the signer of the indirect CRL (--intermediates)
{folder}/crl.pem            the CRLs of CA and root (--crl)
{folder}/crl-indirect.pem   the CA's from another signer, as the STI-PA's is
{folder}/trust-list.jws     the trust anchor in a list that crl-signer.pem signed, as the STI-PA's is
{folder}/spc-CODE.pem       certificate and chain to serve at x5u; its key: spc-CODE-key.pem
"
    )))
}

/// Who issues: the same for all certificates of a laboratory.
struct Lab {
    root: Holder,
    inter: Holder,
    /// Signs the indirect CRL and the trust list, as the STI-PA does.
    administrator: Holder,
}

impl Lab {
    fn make(lifetime: Duration) -> Result<Self> {
        let root = Holder::issue("CN=SHAKEN lab root,O=Lab,C=US", &Role::Ca(None), lifetime, None)?;
        let issue = |subject, role| Holder::issue(subject, &role, lifetime, Some(&root));
        let inter = issue("CN=SHAKEN lab CA,O=Lab,C=US", Role::Ca(Some(0)))?;
        let administrator = issue("CN=SHAKEN lab CRL,O=Lab,C=US", Role::Administrator)?;
        Ok(Self { root, inter, administrator })
    }

    fn read(folder: &Path) -> Result<Self> {
        Ok(Self {
            root: Self::holder(folder, "root.pem", "root-key.pem")?,
            inter: Self::holder(folder, "intermediate.pem", "intermediate-key.pem")?,
            administrator: Self::holder(folder, "crl-signer.pem", "crl-signer-key.pem")?,
        })
    }

    /// One whose files are there.
    fn holder(folder: &Path, certificate: &str, key: &str) -> Result<Holder> {
        let read = |name: &str| input::read(&folder.join(name).to_string_lossy());
        Holder::from_pem(&read(certificate)?, &read(key)?).map_err(|e| {
            let folder = folder.display();
            Error::new(e.code(), format!("\"{folder}\": {certificate}, {key}: {}", e.message()))
        })
    }

    /// Who is revoked in a folder.
    fn revoked(&self, folder: &Path) -> Result<Vec<RevokedCert>> {
        let path = folder.join(CRL);
        if !path.exists() {
            return Ok(Vec::new());
        }
        self.inter.revoked(&input::read(&path.to_string_lossy())?).map_err(|e| {
            let (path, why) = (path.display(), e.message());
            let message = format!("\"{path}\" {why}: remove it if nobody is to stay revoked");
            Error::new(e.code(), message)
        })
    }

    fn files(&self) -> Result<Vec<File>> {
        let inter = self.inter.pem()?;
        let administrator = self.administrator.pem()?;
        Ok(vec![
            public("root.pem", self.root.pem()?),
            secret("root-key.pem", &self.root)?,
            public("intermediates.pem", format!("{inter}{administrator}")),
            public("intermediate.pem", inter),
            secret("intermediate-key.pem", &self.inter)?,
            public("crl-signer.pem", administrator),
            secret("crl-signer-key.pem", &self.administrator)?,
        ])
    }

    /// What runs out, or changes with who is revoked.
    fn lists(
        &self,
        crl_url: &str,
        lifetime: Duration,
        revoked: &[RevokedCert],
    ) -> Result<Vec<File>> {
        let indirect = Indirect { issuer: self.inter.name(), url: crl_url };
        Ok(vec![
            // The root's own as well: who checks the whole chain (Asterisk does) asks for both.
            public(
                CRL,
                self.inter.crl(lifetime, revoked, None)? + &self.root.crl(lifetime, &[], None)?,
            ),
            public("crl-indirect.pem", self.administrator.crl(lifetime, revoked, Some(&indirect))?),
            public("trust-list.jws", self.administrator.trust_list(lifetime, &[&self.root])?),
        ])
    }
}

fn days(count: u32) -> Duration {
    const DAY: u64 = 86_400;
    Duration::from_secs(u64::from(count) * DAY)
}

/// A service provider code names files and stands in a certificate: North America's have four
/// letters and digits, others a few more.
pub fn check_code(code: &str) -> Result<()> {
    const LONGEST: usize = 32;
    if code.is_empty() || code.len() > LONGEST || !code.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(Error::new(
            Code::Generic,
            format!(
                "--spc {code:?} is no service provider code: letters and digits, {LONGEST} at most"
            ),
        ));
    }
    Ok(())
}

/// Name, text, and who may read it.
type File = (String, Zeroizing<String>, Access);

fn public(name: &str, text: String) -> File {
    (name.to_owned(), Zeroizing::new(text), Access::Public)
}

fn secret(name: &str, holder: &Holder) -> Result<File> {
    Ok((name.to_owned(), holder.key.private_pem()?, Access::Secret))
}
