//! Files that are whole or not there, a lock, and the places where a test kills.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use stir::{Code, Error, Result};

/// The environment variable that names the step after which a test wants this process dead.
#[cfg(debug_assertions)]
const KILL: &str = "SECSIPIDX_TEST_KILL";

/// A step has been done.
pub fn step(name: &str) {
    log::debug!("step: {name}");
    #[cfg(debug_assertions)]
    if std::env::var(KILL).is_ok_and(|wanted| wanted == name) {
        // As SIGKILL: nothing is cleaned up. A process can always send itself one.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::SIGKILL);
    }
}

/// Who owns a file, and who may read it.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    mode: u32,
    /// User and group; our own without.
    ids: Option<(u32, u32)>,
}

impl Owner {
    /// A private key's: ours alone, or as the one before.
    pub fn secret(before: &Path) -> Self {
        fs::metadata(before).map_or(Self { mode: 0o600, ids: None }, |data| Self {
            // Nobody else gets to read it, whatever the one before was.
            mode: data.mode() & 0o640 | 0o600,
            ids: Some((data.uid(), data.gid())),
        })
    }

    /// Everybody may read it.
    pub const fn public() -> Self {
        Self { mode: 0o644, ids: None }
    }
}

/// Writes a file that is either the old one or the whole new one, also after a power cut.
///
/// # Errors
/// [`Code::FileRead`], with the path: a disk that is full, a folder that can't be written.
pub fn write(path: &Path, bytes: &[u8], owner: Owner) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    // One that a process with this id left when it died.
    let _ = fs::remove_file(&temporary);
    let written = (|| {
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(owner.mode).open(&temporary)?;
        file.write_all(bytes)?;
        // Not by the umask.
        file.set_permissions(fs::Permissions::from_mode(owner.mode))?;
        if let Some((user, group)) = owner.ids {
            // Only root may give files away; others keep their own.
            let _ = std::os::unix::fs::chown(&temporary, Some(user), Some(group));
        }
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync(path.parent().unwrap_or(Path::new(".")))
    })();
    written.map_err(|e| {
        let _ = fs::remove_file(&temporary);
        failed(path, "can't be written", &e)
    })
}

/// What is in a folder is on the disk.
pub fn sync(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// Points a symbolic link somewhere else, in one step; whether it did not point there already.
///
/// # Errors
/// As [`write()`].
pub fn link(path: &Path, target: &Path) -> Result<bool> {
    if fs::read_link(path).is_ok_and(|there| there == target) {
        return Ok(false);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let _ = fs::remove_file(&temporary);
    std::os::unix::fs::symlink(target, &temporary)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| sync(path.parent().unwrap_or(Path::new("."))))
        .map(|()| true)
        .map_err(|e| failed(path, "can't be made a link", &e))
}

/// Makes a folder with those above it; everybody may look into it.
///
/// # Errors
/// As [`write()`].
pub fn folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| failed(path, "can't be made", &e))
}

/// Held as long as it lives: no other run goes on meanwhile.
pub struct Lock(#[expect(dead_code, reason = "the lock goes with the file")] File);

impl Lock {
    /// Takes the lock of a folder.
    ///
    /// # Errors
    /// Another run has it.
    pub fn take(folder: &Path) -> Result<Self> {
        self::folder(folder)?;
        let path = folder.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|e| failed(&path, "can't be opened", &e))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                Code::Generic,
                format!(
                    "another run is at work (it holds \"{}\"): wait until it is done",
                    path.display()
                ),
            )),
            Err(TryLockError::Error(e)) => Err(failed(&path, "can't be locked", &e)),
        }
    }
}

/// A sentence on a file.
pub fn failed(path: &Path, what: &str, e: &io::Error) -> Error {
    let cure = match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "; make room: what was in force stays"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; let the user that this runs as write there"
        }
        _ => "",
    };
    Error::new(Code::FileRead, format!("\"{}\" {what}: {e}{cure}", path.display()))
}

/// The absolute form of a path.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
