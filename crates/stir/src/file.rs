//! Files that are parsed once, and again when they change.

use crate::error::{Code, Error, Result};
use lru::LruCache;
use nix::fcntl::OFlag;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Largest key or certificate file, and largest download, in octets: a chain of three is about
/// 3 KiB, the largest in the field 8 KiB.
pub const MAX_LEN: usize = 64 * 1024;

/// Files remembered. A provider has a key for each of its domains; an entry is a few KiB.
const MAX_FILES: usize = 1024;

/// What tells that a file has changed. ctime too: a tool that restores mtime can't restore that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What was parsed from files, by path.
pub(crate) struct Files<T> {
    parsed: Mutex<LruCache<String, (Stamp, Arc<T>)>>,
}

impl<T> Files<T> {
    pub(crate) fn new() -> Self {
        Self { parsed: Mutex::new(LruCache::unbounded()) }
    }

    /// What this file holds: as parsed before if it has not changed since.
    pub(crate) fn get(&self, path: &str, parse: fn(&[u8]) -> Result<T>) -> Result<Arc<T>> {
        let path = path.strip_prefix("file://").unwrap_or(path);
        let metadata = fs::metadata(path).map_err(|e| unreadable(path, &e.to_string()))?;
        // Taken before the file is read: a change in between shows the next time.
        let stamp = Stamp::of(&metadata);
        if let Some((known, value)) = self.lock().get(path)
            && *known == stamp
        {
            return Ok(Arc::clone(value));
        }
        let (_, text) = read_path(Path::new(path))?;
        let value = parse(&text)
            .map(Arc::new)
            .map_err(|e| Error::new(e.code(), format!("file \"{path}\": {}", e.message())))?;
        let mut parsed = self.lock();
        parsed.put(path.to_owned(), (stamp, Arc::clone(&value)));
        if parsed.len() > MAX_FILES {
            parsed.pop_lru();
        }
        Ok(value)
    }

    /// What is remembered, the latest used first.
    pub(crate) fn all(&self) -> Vec<(String, Arc<T>)> {
        self.lock().iter().map(|(path, (_, value))| (path.clone(), Arc::clone(value))).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<String, (Stamp, Arc<T>)>> {
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a regular file to read it, and nothing else: a pipe would block the process, a device might
/// never end, and what a path names may be swapped at any time, so the open file is looked at.
///
/// # Errors
/// The system's, or what else is there.
pub fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Without O_NONBLOCK the opening of a pipe waits for a writer.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        return Ok((file, metadata));
    }
    let kind = if metadata.is_dir() { "a directory" } else { "not a regular file" };
    Err(io::Error::other(format!("it is {kind}")))
}

/// Reads a whole regular file of at most `max` bytes.
///
/// # Errors
/// As [`open`], or that it is larger.
pub fn read(path: &Path, max: usize) -> io::Result<(Metadata, Vec<u8>)> {
    let (file, metadata) = open(path)?;
    let mut text = Vec::new();
    file.take(u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1)).read_to_end(&mut text)?;
    if text.len() > max {
        return Err(io::Error::other(format!("it has more than {max} bytes")));
    }
    Ok((metadata, text))
}

/// What tells whether this file has changed.
pub(crate) fn stamp(path: &Path) -> Result<Stamp> {
    fs::metadata(path)
        .map(|metadata| Stamp::of(&metadata))
        .map_err(|e| unreadable(&path.to_string_lossy(), &e.to_string()))
}

/// Reads a whole regular file of at most [`MAX_LEN`] octets.
pub(crate) fn read_path(path: &Path) -> Result<(Stamp, Vec<u8>)> {
    let name = path.to_string_lossy();
    let (metadata, text) = read(path, MAX_LEN).map_err(|e| unreadable(&name, &e.to_string()))?;
    Ok((Stamp::of(&metadata), text))
}

fn unreadable(path: &str, why: &str) -> Error {
    let shown = if path.is_empty() {
        "no file is named".to_owned()
    } else if path.contains("-----BEGIN") || path.contains('\n') {
        // It may be a private key.
        "what should be a path is the text of a key or certificate: give the path of its file, or call the function that takes the text".to_owned()
    } else {
        format!("file \"{path}\" can't be read: {why}")
    };
    Error::new(Code::FileRead, shown)
}
