//! Downloaded certificates in a folder: shared by processes, kept over a restart.

mod sweep;

pub use sweep::{ROOM, Room, sweep};

use crate::file;
use aws_lc_rs::digest::{SHA256, digest};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

/// First line of a file: it says which URL's certificate this is, so that a file that was renamed
/// or copied is not taken for another's.
const URL_LINE: &str = "x5u: ";
/// Second line of a file whose writer knew until when it counts, in Unix seconds.
const UNTIL_LINE: &str = "until: ";

/// What a file's name ends in, after the digest.
const SUFFIX: &str = ".pem";

/// After how many certificates what is too old or too much is looked for: they have 64 MiB at most,
/// and a folder that is full is read in some 100 ms.
pub const SWEEP_EVERY: u32 = 1024;

/// A certificate with the head that names its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What was downloaded.
    pub body: Vec<u8>,
    /// Until when it counts (Unix seconds), if its writer knew.
    pub until: Option<i64>,
}

impl Stored {
    /// The octets to keep: a head, and what was downloaded.
    pub fn encode(url: &str, body: &[u8], until: Option<i64>) -> Vec<u8> {
        let mut text = head(url);
        if let Some(until) = until {
            text.push_str(&format!("{UNTIL_LINE}{until}\n"));
        }
        [text.as_bytes(), body].concat()
    }

    /// What [`Stored::encode`] made, if it is this URL's.
    pub fn decode(url: &str, text: &[u8]) -> Option<Self> {
        let rest = text.strip_prefix(head(url).as_bytes())?;
        let Some(after) = rest.strip_prefix(UNTIL_LINE.as_bytes()) else {
            return Some(Self { body: rest.to_vec(), until: None });
        };
        let end = after.iter().position(|octet| *octet == b'\n')?;
        let (line, body) = after.split_at(end);
        let until = std::str::from_utf8(line).ok()?.parse().ok()?;
        Some(Self { body: body.get(1..)?.to_vec(), until: Some(until) })
    }
}

/// A name for a URL that no other URL has, in hexadecimal.
pub fn name(url: &str) -> String {
    use std::fmt::Write as _;
    let mut name = String::with_capacity(68);
    for octet in digest(&SHA256, url.as_bytes()).as_ref() {
        // Writing to a String does not fail.
        let _ = write!(name, "{octet:02x}");
    }
    name
}

/// A folder of certificates by URL. File names are digests: no two URLs share one, none is too
/// long, none leaves the folder.
pub struct Store {
    folder: PathBuf,
    /// Seconds that a file counts at most.
    expire: u32,
    kept: AtomicU32,
}

impl Store {
    /// `None` without a folder, or where nothing is to be kept.
    pub fn new(folder: &Path, expire: u32) -> Option<Self> {
        (!folder.as_os_str().is_empty() && expire > 0).then(|| Self {
            folder: folder.to_owned(),
            expire,
            kept: AtomicU32::new(0),
        })
    }

    /// What was stored for this URL, and until when it counts (Unix seconds). A file that is stale,
    /// another's or unreadable is as good as none.
    pub fn get(&self, url: &str, now: i64) -> Option<(Vec<u8>, i64)> {
        let (stored, written) = self.read(url, now)?;
        let until =
            written.saturating_add(self.expire.into()).min(stored.until.unwrap_or(i64::MAX));
        (now < until).then_some((stored.body, until))
    }

    /// What was stored for this URL, stale or not, and when (Unix seconds).
    pub fn read(&self, url: &str, now: i64) -> Option<(Stored, i64)> {
        let path = self.path(url);
        let written = fs::metadata(&path).ok()?.modified().ok()?;
        let written = i64::try_from(written.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
        // A file from the future is none of ours, or the clock was set back: it could stay for ever.
        if written > now {
            return None;
        }
        let (_, text) = file::read_path(&path).ok()?;
        Some((Stored::decode(url, &text)?, written))
    }

    /// Stores what was downloaded. A failure (full disk, no permission) is logged: the call that
    /// needed the certificate has it already.
    pub fn put(&self, url: &str, body: &[u8], until: Option<i64>) {
        let path = self.path(url);
        if let Err(e) = self.write(&path, &Stored::encode(url, body, until)) {
            log::warn!(
                "cache_dir \"{}\": the certificate of {url} can't be stored: {e}",
                self.folder.display()
            );
        }
    }

    /// Stores it, and now and then removes what is too old or too much, for one who does not
    /// [`sweep`] himself.
    pub(crate) fn keep(&self, url: &str, body: &[u8], until: Option<i64>) {
        self.put(url, body, until);
        if self.kept.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            // Whoever can't read the folder was told so when it wrote.
            let _ = sweep(&self.folder, Duration::from_secs(self.expire.into()), &ROOM);
        }
    }

    /// Forgets what was stored for this URL.
    pub fn remove(&self, url: &str) {
        // There may be none.
        let _ = fs::remove_file(self.path(url));
    }

    /// Forgets all certificates. Files of others in the folder stay.
    ///
    /// # Errors
    /// The system's: the folder can't be read, or a file not be removed.
    pub fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            if name.to_str().is_some_and(is_ours) {
                fs::remove_file(self.folder.join(name))?;
            }
        }
        Ok(())
    }

    /// Writes to a temporary name and renames, so that a reader never sees half a file.
    fn write(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!(".{}-{number}.tmp", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)
            .and_then(|mut file| file.write_all(text))
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            // Best effort: the error that is reported is the first one.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn path(&self, url: &str) -> PathBuf {
        self.folder.join(name(url) + SUFFIX)
    }
}

/// Whether a file of this name is a store's.
fn is_ours(name: &str) -> bool {
    name.strip_suffix(SUFFIX).is_some_and(|digest| {
        digest.len() == 64 && digest.bytes().all(|octet| octet.is_ascii_hexdigit())
    })
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
            store.put(url, n.to_string().as_bytes(), None);
        }
        for (n, url) in ["https://h/a/b.pem", "https://h/a_b.pem", "https://h/../../x", &long]
            .iter()
            .enumerate()
        {
            let (body, until) = store.get(url, now + 1).unwrap();
            assert_eq!(body, n.to_string().as_bytes());
            // A file's time is up to 4 ms behind the clock.
            assert!((now + 99..now + 103).contains(&until));
            assert_eq!(store.get(url, now + 103), None, "stale");
            assert_eq!(store.get(url, now - 10), None, "from the future");
        }
        store.put("https://h/dated", b"x", Some(now + 50));
        assert_eq!(store.get("https://h/dated", now + 1), Some((b"x".to_vec(), now + 50)));
        assert_eq!(store.get("https://h/dated", now + 50), None, "stale by its own date");
        store.put("https://h/dated", b"x", Some(i64::MAX));
        assert!(store.get("https://h/dated", now + 1).unwrap().1 <= now + 103, "at most expire");
        // Another URL's file under this URL's name.
        fs::copy(store.path("https://h/a_b.pem"), store.path("https://h/other")).unwrap();
        assert_eq!(store.get("https://h/other", now + 1), None);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 6, "no temporary file stays");
        fs::write(folder.join("other.pem"), "of somebody else").unwrap();
        store.clear().unwrap();
        let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["other.pem"]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_is_looked_through_now_and_then() {
        let folder = folder("swept");
        let store = Store::new(&folder, 100).unwrap();
        store.put("https://h/old", b"x", None);
        let old = fs::File::options().write(true).open(store.path("https://h/old")).unwrap();
        old.set_modified(std::time::SystemTime::now() - Duration::from_secs(200)).unwrap();
        for _ in 1..SWEEP_EVERY {
            store.keep("https://h/new", b"x", None);
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        store.keep("https://h/new", b"x", None);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_that_is_gone_costs_nothing_but_the_store() {
        let store = Store::new(Path::new("/nonexistent"), 100).unwrap();
        store.put("https://h/a", b"x", None);
        assert_eq!(store.get("https://h/a", 0), None);
        assert!(store.clear().is_err());
        assert!(Store::new(Path::new(""), 100).is_none());
    }
}
