//! A certification authority for trying things out, and requests to a real one.

use crate::cli::{Ca, Csr};
use crate::keys::{self, Access, NewKey};
use crate::pki::{self, Holder, Indirect, Role};
use crate::{input, output};
use std::path::Path;
use std::process::ExitCode;
use stir::{Code, Error, Result};

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
    let pem = pki::request(&key, &args.subject, &args.spc)?;
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
    for code in &args.spc {
        check_code(code)?;
    }
    if let Some(code) = args.revoke.iter().find(|code| !args.spc.contains(code)) {
        return Err(Error::new(
            Code::Generic,
            format!("--revoke {code} is none of the --spc: only what is made can be revoked"),
        ));
    }
    let days = args.days;
    let root = Holder::issue("CN=SHAKEN lab root,O=Lab,C=US", &Role::Ca(None), days, None)?;
    let inter =
        Holder::issue("CN=SHAKEN lab CA,O=Lab,C=US", &Role::Ca(Some(0)), days, Some(&root))?;
    let crl_signer =
        Holder::issue("CN=SHAKEN lab CRL,O=Lab,C=US", &Role::CrlSigner, days, Some(&root))?;
    let crl = (args.crl_url.as_str(), crl_signer.name());
    let mut signers = Vec::new();
    for code in &args.spc {
        let subject = format!("CN=SHAKEN {code},O=Lab,C=US");
        let role = Role::Signer { spcs: std::slice::from_ref(code), crl };
        signers.push((code, Holder::issue(&subject, &role, days, Some(&inter))?));
    }
    let revoked: Vec<_> = signers
        .iter()
        .filter(|(code, _)| args.revoke.contains(code))
        .map(|(_, holder)| holder)
        .collect();

    std::fs::create_dir_all(&args.folder).map_err(|e| {
        Error::new(
            Code::FileRead,
            format!("folder \"{}\" can't be made: {e}", args.folder.display()),
        )
    })?;
    let files = Files { folder: &args.folder, force: args.force };
    let inter_pem = inter.pem()?;
    files.public("root.pem", &root.pem()?)?;
    files.key("root-key.pem", &root)?;
    files.public("intermediate.pem", &inter_pem)?;
    files.key("intermediate-key.pem", &inter)?;
    files.public("crl-signer.pem", &crl_signer.pem()?)?;
    files.key("crl-signer-key.pem", &crl_signer)?;
    files.public("intermediates.pem", &format!("{inter_pem}{}", crl_signer.pem()?))?;
    for (code, holder) in &signers {
        files.public(&format!("spc-{code}.pem"), &format!("{}{inter_pem}", holder.pem()?))?;
        files.key(&format!("spc-{code}-key.pem"), holder)?;
    }
    let indirect = Indirect { issuer: inter.name(), url: &args.crl_url };
    files.public("crl.pem", &inter.crl(days, &revoked, None)?)?;
    files.public("crl-indirect.pem", &crl_signer.crl(days, &revoked, Some(&indirect))?)?;
    let folder = args.folder.display();
    Ok(output::print(&format!(
        "{folder}/root.pem           trust anchor (--ca)
{folder}/intermediates.pem  the CA below it and the signer of the indirect CRL (--intermediates)
{folder}/crl.pem            the CA's CRL (--crl)
{folder}/crl-indirect.pem   the same from another signer, as the STI-PA's is
{folder}/spc-CODE.pem       certificate and chain to serve at x5u; its key: spc-CODE-key.pem
"
    )))
}

/// A service provider code names files and stands in a certificate: North America's have four
/// letters and digits, others a few more.
fn check_code(code: &str) -> Result<()> {
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

struct Files<'a> {
    folder: &'a Path,
    force: bool,
}

impl Files<'_> {
    fn public(&self, name: &str, text: &str) -> Result<()> {
        keys::write(&self.folder.join(name), text, Access::Public, self.force)
    }

    fn key(&self, name: &str, holder: &Holder) -> Result<()> {
        let text = holder.key.private_pem()?;
        keys::write(&self.folder.join(name), &text, Access::Secret, self.force)
    }
}
