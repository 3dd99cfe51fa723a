//! Keys with their certificates, one folder each, and the link that says which is in force. To
//! switch is to rename that link: key, certificate and x5u change in one step.
//!
//! ```text
//! key.pem          → key.pem.d/current/key.pem
//! cert.pem         → key.pem.d/current/cert.pem
//! key.pem.d/
//!   current        → 7F3A…
//!   7F3A…/           key.pem, cert.pem, x5u
//!   51B0…/           cert.pem, x5u, replaced: when, until it is published no more
//!   next/            key.pem, order: what is being got
//! ```

use super::config::Install;
use super::files::{self, Owner, absolute, failed, step};
use crate::input;
use std::fs;
use std::path::{Path, PathBuf};
use stir::cert::Chain;
use stir::{Code, Error, Result};

/// Of files in a folder.
pub const KEY: &str = "key.pem";
/// The certificate with its chain.
pub const CERTIFICATE: &str = "cert.pem";
/// Where the certificate is published, one line.
pub const X5U: &str = "x5u";
/// When it was replaced, in Unix seconds.
const REPLACED: &str = "replaced";
/// The command is still to be run.
const COMMAND_DUE: &str = "command-due";
/// What is being got.
const NEXT: &str = "next";
const CURRENT: &str = "current";
/// What was there before the first certificate of ours.
const IMPORTED: &str = "imported";
/// Most folders that are looked at.
const MAX_PAIRS: usize = 1000;

/// The folders beside an installed key.
pub struct Pairs<'a> {
    install: &'a Install,
    root: PathBuf,
}

/// A key with its certificate.
#[derive(Debug)]
pub struct Pair {
    /// Its folder's name.
    pub id: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The certificate with its chain.
    pub chain: Chain,
    /// Where it is published; empty for one that was there before us.
    pub x5u: String,
}

impl Pair {
    /// The certificate's text.
    ///
    /// # Errors
    /// It can't be read.
    pub fn pem(&self) -> Result<String> {
        read(&self.folder.join(CERTIFICATE))
    }

    /// When it was replaced.
    pub fn replaced(&self) -> Option<i64> {
        read(&self.folder.join(REPLACED)).ok()?.trim().parse().ok()
    }
}

impl<'a> Pairs<'a> {
    /// Those of an installation.
    pub fn new(install: &'a Install) -> Self {
        Self { install, root: root(&install.key) }
    }

    /// Their folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The one in force.
    ///
    /// # Errors
    /// It can't be read.
    pub fn current(&self) -> Result<Option<Pair>> {
        match fs::read_link(self.root.join(CURRENT)) {
            // What was there before us may be a key without a certificate.
            Ok(id) if id == Path::new(IMPORTED) => Ok(self.pair(IMPORTED).ok()),
            Ok(id) => self.pair(&id.to_string_lossy()).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// One that is whole, but not in force yet: the run that got it ended too soon.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn waiting(&self) -> Result<Option<Pair>> {
        let current = fs::read_link(self.root.join(CURRENT)).unwrap_or_default();
        let all = self.all()?;
        Ok(all.into_iter().find(|pair| {
            Path::new(&pair.id) != current && pair.id != IMPORTED && pair.replaced().is_none()
        }))
    }

    /// Those that were replaced.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn old(&self) -> Result<Vec<Pair>> {
        let current = fs::read_link(self.root.join(CURRENT)).unwrap_or_default();
        let all = self.all()?;
        Ok(all
            .into_iter()
            .filter(|pair| Path::new(&pair.id) != current && pair.replaced().is_some())
            .collect())
    }

    fn all(&self) -> Result<Vec<Pair>> {
        let Ok(folder) = fs::read_dir(&self.root) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for entry in folder.take(MAX_PAIRS) {
            let entry = entry.map_err(|e| failed(&self.root, "can't be read", &e))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && name != NEXT && !name.ends_with(".tmp") {
                // One whose certificate can't be read is nobody's.
                found.extend(self.pair(&name).ok());
            }
        }
        Ok(found)
    }

    fn pair(&self, id: &str) -> Result<Pair> {
        let folder = self.root.join(id);
        let text = read(&folder.join(CERTIFICATE))?;
        let chain = Chain::from_pem(text.as_bytes()).map_err(|e| {
            Error::new(
                e.code(),
                format!("\"{}\": {}", folder.join(CERTIFICATE).display(), e.message()),
            )
        })?;
        let x5u = read(&folder.join(X5U)).unwrap_or_default().trim().to_owned();
        Ok(Pair { id: id.to_owned(), folder, chain, x5u })
    }

    /// A file of what is being got.
    pub fn next(&self, name: &str) -> PathBuf {
        self.root.join(NEXT).join(name)
    }

    /// What is being got is whole: it gets its name.
    ///
    /// # Errors
    /// It can't be renamed.
    pub fn complete(&self, id: &str) -> Result<Pair> {
        let (from, to) = (self.root.join(NEXT), self.root.join(id));
        // The same certificate once more: what is left of it is of no use.
        let _ = fs::remove_dir_all(&to);
        let _ = fs::remove_file(from.join("order"));
        fs::rename(&from, &to)
            .and_then(|()| files::sync(&self.root))
            .map_err(|e| failed(&to, "can't be made", &e))?;
        step("pair-ready");
        self.pair(id)
    }

    /// Puts a pair into force.
    ///
    /// # Errors
    /// A file that can't be written: what was in force stays.
    pub fn switch(&self, pair: &Pair, now: i64) -> Result<()> {
        self.import()?;
        step("imported");
        if let Ok(id) = fs::read_link(self.root.join(CURRENT))
            && Path::new(&pair.id) != id
        {
            // Before the switch: one that is neither in force nor replaced would be put into force.
            let mark = self.root.join(id).join(REPLACED);
            files::write(&mark, format!("{now}\n").as_bytes(), Owner::public())?;
            step("marked");
        }
        if !self.install.command.is_empty() {
            files::write(&pair.folder.join(COMMAND_DUE), b"", Owner::public())?;
        }
        files::link(&self.root.join(CURRENT), Path::new(&pair.id))?;
        step("switched");
        self.links()?;
        step("linked");
        Ok(())
    }

    /// The names that the signer knows lead to the pair in force.
    ///
    /// # Errors
    /// A link that can't be made.
    pub fn links(&self) -> Result<()> {
        for (path, name) in [(&self.install.certificate, CERTIFICATE), (&self.install.key, KEY)] {
            let within = Path::new(CURRENT).join(name);
            let target = match self.root.file_name() {
                Some(root) if path.parent() == self.root.parent() => Path::new(root).join(within),
                _ => absolute(&self.root).join(within),
            };
            if let Some(folder) = path.parent() {
                files::folder(folder)?;
            }
            if files::link(path, &target)? {
                step(if name == KEY { "key-linked" } else { "certificate-linked" });
            }
        }
        Ok(())
    }

    /// A key and certificate of before become the pair in force, under the same names, so that they
    /// too are replaced in one step.
    fn import(&self) -> Result<()> {
        if self.root.join(CURRENT).exists() || !self.install.key.is_file() {
            return Ok(());
        }
        let temporary = self.root.join("imported.tmp");
        let _ = fs::remove_dir_all(&temporary);
        files::folder(&temporary)?;
        let key = read(&self.install.key)?;
        files::write(&temporary.join(KEY), key.as_bytes(), Owner::secret(&self.install.key))?;
        if let Ok(certificate) = read(&self.install.certificate) {
            files::write(&temporary.join(CERTIFICATE), certificate.as_bytes(), Owner::public())?;
        }
        let folder = self.root.join(IMPORTED);
        let _ = fs::remove_dir_all(&folder);
        fs::rename(&temporary, &folder).map_err(|e| failed(&folder, "can't be made", &e))?;
        files::link(&self.root.join(CURRENT), Path::new(IMPORTED))?;
        self.links()
    }

    /// Whether the command is still to be run.
    pub fn command_is_due(&self) -> bool {
        self.root.join(CURRENT).join(COMMAND_DUE).exists()
    }

    /// It was run.
    pub fn command_done(&self) {
        let _ = fs::remove_file(self.root.join(CURRENT).join(COMMAND_DUE));
    }

    /// Forgets the private key of a pair that was replaced.
    pub fn forget_key(&self, pair: &Pair) {
        let _ = fs::remove_file(pair.folder.join(KEY));
    }

    /// Forgets a pair.
    ///
    /// # Errors
    /// Its folder can't be removed.
    pub fn forget(&self, pair: &Pair) -> Result<()> {
        fs::remove_dir_all(&pair.folder).map_err(|e| failed(&pair.folder, "can't be removed", &e))
    }
}

/// Where the pairs of an installed key are.
fn root(key: &Path) -> PathBuf {
    let name = key.file_name().unwrap_or_default().to_string_lossy();
    key.with_file_name(format!("{name}.d"))
}

fn read(path: &Path) -> Result<String> {
    input::read_regular(&path.to_string_lossy())
}

/// Something that can't go on.
pub fn wrong(message: impl Into<String>) -> Error {
    Error::new(Code::Generic, message.into())
}
