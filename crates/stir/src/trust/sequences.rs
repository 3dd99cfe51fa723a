//! The sequence numbers of lists that were in force, kept over a restart where there is a folder:
//! a list that was replaced must not come back.

use crate::file;
use crate::store;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What a file's name ends in, after the digest of the list's path.
const SUFFIX: &str = ".sequence";

/// A folder with a file for each list; none if its path is empty.
pub(super) struct Sequences {
    folder: PathBuf,
}

impl Sequences {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The highest that was in force, if it is known.
    pub(super) fn of(&self, list: &Path) -> Option<u64> {
        if self.folder.as_os_str().is_empty() {
            return None;
        }
        let (_, text) = file::read_path(&self.file(list)).ok()?;
        std::str::from_utf8(&text).ok()?.lines().next()?.parse().ok()
    }

    /// Keeps it, if it is higher than what is known.
    pub(super) fn remember(&self, list: &Path, sequence: u64) {
        if self.folder.as_os_str().is_empty()
            || self.of(list).is_some_and(|known| known >= sequence)
        {
            return;
        }
        let text = format!("{sequence}\n{}\n", list.display());
        if let Err(e) = self.write(&self.file(list), text.as_bytes()) {
            log::warn!(
                "cache_dir \"{}\": the sequence of \"{}\" can't be stored: {e}; after a restart an older list could come back",
                self.folder.display(),
                list.display()
            );
        }
    }

    /// What one does who wants the older list all the same.
    pub(super) fn remedy(&self, list: &Path) -> String {
        if self.of(list).is_none() {
            return "; restart to take it all the same".into();
        }
        format!("; remove \"{}\" and restart to take it all the same", self.file(list).display())
    }

    fn file(&self, list: &Path) -> PathBuf {
        self.folder.join(store::name(&list.to_string_lossy()) + SUFFIX)
    }

    /// By a temporary name, which nobody else made, so that a reader never sees half a file.
    fn write(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!(".{}-sequence-{number}.tmp", std::process::id()));
        // One that a process with this id left when it died.
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        let written = file.write_all(text).and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}
