//! A certification authority for trying things out, and requests to a real one.

use crate::cli::{Ca, Csr};
use crate::keys::{self, Access, NewKey};
use crate::pki::{self, Holder, Indirect, Role};
use crate::{input, output};
use p256::elliptic_curve::zeroize::Zeroizing;
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

    let indirect = Indirect { issuer: inter.name(), url: &args.crl_url };
    let inter_pem = inter.pem()?;
    let intermediates = format!("{inter_pem}{}", crl_signer.pem()?);
    let mut files = vec![
        public("root.pem", root.pem()?),
        secret("root-key.pem", &root)?,
        public("intermediates.pem", intermediates),
        public("intermediate.pem", inter_pem.clone()),
        secret("intermediate-key.pem", &inter)?,
        public("crl-signer.pem", crl_signer.pem()?),
        secret("crl-signer-key.pem", &crl_signer)?,
        public("crl.pem", inter.crl(days, &revoked, None)?),
        public("crl-indirect.pem", crl_signer.crl(days, &revoked, Some(&indirect))?),
    ];
    for (code, holder) in &signers {
        files.push(public(&format!("spc-{code}.pem"), format!("{}{inter_pem}", holder.pem()?)));
        files.push(secret(&format!("spc-{code}-key.pem"), holder)?);
    }
    // Half a new laboratory in an old one would be of no use: all files, or none.
    if let Some(there) = files.iter().map(|file| args.folder.join(&file.0)).find(|p| p.exists())
        && !args.force
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

/// Name, text, and who may read it.
type File = (String, Zeroizing<String>, Access);

fn public(name: &str, text: String) -> File {
    (name.to_owned(), Zeroizing::new(text), Access::Public)
}

fn secret(name: &str, holder: &Holder) -> Result<File> {
    Ok((name.to_owned(), holder.key.private_pem()?, Access::Secret))
}
