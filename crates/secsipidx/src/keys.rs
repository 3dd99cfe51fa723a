//! New keys, and files that hold secrets.

use p256::SecretKey;
use p256::elliptic_curve::Generate;
use p256::elliptic_curve::zeroize::Zeroizing;
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use stir::{Code, Error, Result};

/// A P-256 key that was made here.
pub struct NewKey {
    secret: SecretKey,
}

impl NewKey {
    /// From the system's generator.
    pub fn generate() -> Self {
        Self { secret: SecretKey::generate() }
    }

    /// Reads a PEM private key.
    ///
    /// # Errors
    /// [`Code::KeyFormat`], without anything of the key.
    pub fn from_pem(text: &str) -> Result<Self> {
        let read = p256::pkcs8::DecodePrivateKey::from_pkcs8_pem(text)
            .ok()
            .or_else(|| SecretKey::from_sec1_pem(text).ok());
        read.map(|secret| Self { secret })
            .ok_or_else(|| Error::new(Code::KeyFormat, "is no PEM private key on P-256"))
    }

    /// The key itself.
    pub const fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// PKCS#8, PEM.
    ///
    /// # Errors
    /// [`Code::KeyInvalid`] if it can't be encoded.
    pub fn private_pem(&self) -> Result<Zeroizing<String>> {
        self.secret.to_pkcs8_pem(LineEnding::LF).map_err(encoding)
    }

    /// SubjectPublicKeyInfo, PEM.
    ///
    /// # Errors
    /// As [`NewKey::private_pem`].
    pub fn public_pem(&self) -> Result<String> {
        self.secret.public_key().to_public_key_pem(LineEnding::LF).map_err(encoding)
    }
}

fn encoding(e: impl std::fmt::Display) -> Error {
    Error::new(Code::KeyInvalid, format!("the key can't be encoded: {e}"))
}

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its owner alone (0600).
    Secret,
    /// Everybody (0644).
    Public,
}

/// Writes a new file. One that is there is replaced only with `force`, and only by a whole one: it
/// is written under another name and renamed, which also gives it these permissions.
///
/// # Errors
/// [`Code::FileRead`]: it is there, or can't be written.
pub fn write(path: &Path, text: &str, access: Access, force: bool) -> Result<()> {
    let wrong = |why: String| Error::new(Code::FileRead, format!("\"{}\" {why}", path.display()));
    let mode = if access == Access::Secret { 0o600 } else { 0o644 };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let target = if force {
        Path::new(&format!("{}.{}.tmp", path.display(), std::process::id())).to_owned()
    } else {
        path.to_owned()
    };
    let written = options.open(&target).and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) if force => std::fs::rename(&target, path).map_err(|e| {
            let _ = std::fs::remove_file(&target);
            wrong(format!("can't be replaced: {e}"))
        }),
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(wrong("is there already: --force replaces it".into()))
        }
        Err(e) => Err(wrong(format!("can't be written: {e}"))),
    }
}
