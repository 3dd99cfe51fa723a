//! Downloaded certificates in a folder: shared by processes, kept over a restart.

use crate::file;
use aws_lc_rs::digest::{SHA256, digest};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::UNIX_EPOCH;

/// First line of a file: it says which URL's certificate this is, so that a file that was renamed
/// or copied is not taken for another's.
const URL_LINE: &str = "x5u: ";

/// A folder of certificates by URL. File names are digests: no two URLs share one, none is too
/// long, none leaves the folder.
pub(crate) struct Store {
    folder: PathBuf,
    /// Seconds that a file counts.
    expire: i64,
}

impl Store {
    /// `None` without a folder.
    pub(crate) fn new(folder: &Path, expire: u32) -> Option<Self> {
        (!folder.as_os_str().is_empty() && expire > 0)
            .then(|| Self { folder: folder.to_owned(), expire: expire.into() })
    }

    /// What was stored for this URL, and until when it counts (Unix seconds). A file that is stale,
    /// another's or unreadable is as good as none.
    pub(crate) fn get(&self, url: &str, now: i64) -> Option<(Vec<u8>, i64)> {
        let path = self.path(url);
        let written = fs::metadata(&path).ok()?.modified().ok()?;
        let written = i64::try_from(written.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
        // A file from the future is none of ours, or the clock was set back: it could stay for ever.
        if written > now || now - written >= self.expire {
            return None;
        }
        let (_, text) = file::read_path(&path).ok()?;
        let body = text.strip_prefix(head(url).as_bytes())?;
        Some((body.to_vec(), written + self.expire))
    }

    /// Stores what was downloaded. A failure (full disk, no permission) is logged: the call that
    /// needed the certificate has it already.
    pub(crate) fn put(&self, url: &str, body: &[u8]) {
        let path = self.path(url);
        if let Err(e) = self.write(&path, url, body) {
            log::warn!(
                "cache_dir \"{}\": the certificate of {url} can't be stored: {e}",
                self.folder.display()
            );
        }
    }

    /// Writes to a temporary name and renames, so that a reader never sees half a file.
    fn write(&self, path: &Path, url: &str, body: &[u8]) -> io::Result<()> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!(".{}-{number}.tmp", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)
            .and_then(|mut file| {
                file.write_all(head(url).as_bytes())?;
                file.write_all(body)
            })
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            // Best effort: the error that is reported is the first one.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn path(&self, url: &str) -> PathBuf {
        use std::fmt::Write as _;
        let mut name = String::with_capacity(68);
        for octet in digest(&SHA256, url.as_bytes()).as_ref() {
            // Writing to a String does not fail.
            let _ = write!(name, "{octet:02x}");
        }
        name.push_str(".pem");
        self.folder.join(name)
    }
}

fn head(url: &str) -> String {
    format!("{URL_LINE}{}\n", url.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("stir-store-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn urls_never_collide_and_files_expire() {
        let folder = folder("urls");
        let store = Store::new(&folder, 100).unwrap();
        let now = SystemClock.now();
        let long = format!("https://h/{}", "x".repeat(5000));
        for (n, url) in ["https://h/a/b.pem", "https://h/a_b.pem", "https://h/../../x", &long]
            .iter()
            .enumerate()
        {
            store.put(url, n.to_string().as_bytes());
        }
        for (n, url) in ["https://h/a/b.pem", "https://h/a_b.pem", "https://h/../../x", &long]
            .iter()
            .enumerate()
        {
            let (body, until) = store.get(url, now + 1).unwrap();
            assert_eq!(body, n.to_string().as_bytes());
            assert!((now + 100..now + 103).contains(&until));
            assert_eq!(store.get(url, now + 103), None, "stale");
            assert_eq!(store.get(url, now - 10), None, "from the future");
        }
        // Another URL's file under this URL's name.
        fs::copy(store.path("https://h/a_b.pem"), store.path("https://h/other")).unwrap();
        assert_eq!(store.get("https://h/other", now + 1), None);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 5, "no temporary file stays");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_that_is_gone_costs_nothing_but_the_store() {
        let store = Store::new(Path::new("/nonexistent"), 100).unwrap();
        store.put("https://h/a", b"x");
        assert_eq!(store.get("https://h/a", 0), None);
        assert!(Store::new(Path::new(""), 100).is_none());
    }
}
