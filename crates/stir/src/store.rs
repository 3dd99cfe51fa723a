//! Downloaded certificates in a folder: shared by processes, kept over a restart.

mod sweep;

pub use sweep::{ROOM, Room, Swept, sweep};

use crate::file;
use aws_lc_rs::digest::{SHA256, digest};
use nix::fcntl::OFlag;
use std::fs::{self, FileTimes, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// First line of a file: it says which URL's certificate this is, so that a file that was renamed
/// or copied is not taken for another's.
const URL_LINE: &str = "x5u: ";
/// Second line of a file whose writer knew until when it counts, in Unix seconds.
const UNTIL_LINE: &str = "until: ";

/// What a file's name ends in, after the digest.
const SUFFIX: &str = ".pem";

/// Sweep the folder after this many writes: other processes write there too, each at most so many
/// files of [`MAX_STORED`] between two looks.
pub const SWEEP_EVERY: u32 = 1024;
/// Largest certificate with its chain that others find in a folder or in Redis, in bytes: the largest
/// of the field has 8 KiB. Larger ones are used, and downloaded again.
pub const MAX_STORED: usize = 16 * 1024;

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
///
/// What goes in is for its users to decide: only what a token has verified with, or what an operator
/// named. Each write stays within [`ROOM`].
pub struct Store {
    folder: PathBuf,
    /// Seconds that a file counts at most.
    expire: u32,
    level: Mutex<Level>,
}

/// How full the folder is, as far as this process knows.
#[derive(Clone, Copy, Default)]
struct Level {
    files: usize,
    octets: u64,
    /// Writes since the last sweep; `None` before the first one.
    written: Option<u32>,
}

/// What became of a certificate that was to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there, or can't be, which was logged.
    Done,
    /// The same, and a [`Store::sweep`] is due.
    SweepDue,
    /// There is no room before a [`Store::sweep`].
    Full,
}

impl Store {
    /// `None` without a folder, or where nothing is to be kept.
    pub fn new(folder: &Path, expire: u32) -> Option<Self> {
        (!folder.as_os_str().is_empty() && expire > 0).then(|| Self {
            folder: folder.to_owned(),
            expire,
            level: Mutex::default(),
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
        let (metadata, text) = file::read(&self.path(url), file::MAX_LEN).ok()?;
        let written = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let written = i64::try_from(written).ok()?;
        // A file from the future is none of ours, or the clock was set back: it could stay for ever.
        if written > now {
            return None;
        }
        Some((Stored::decode(url, &text)?, written))
    }

    /// Stores what was downloaded, if it is of at most [`MAX_STORED`] and there is room. A failure
    /// (full disk, no permission) is logged: the call that needed the certificate has it already.
    pub fn put(&self, url: &str, body: &[u8], until: Option<i64>) -> Put {
        if body.len() > MAX_STORED {
            return Put::Done;
        }
        let text = Stored::encode(url, body, until);
        let due = {
            let mut level = self.level();
            let octets = level.octets.saturating_add(text.len().try_into().unwrap_or(u64::MAX));
            if level.files >= ROOM.files || octets > ROOM.octets {
                return Put::Full;
            }
            let written = level.written.map_or(SWEEP_EVERY, |written| written + 1);
            *level = Level { files: level.files + 1, octets, written: Some(written) };
            written >= SWEEP_EVERY
        };
        if let Err(e) = self.write(&self.path(url), &text) {
            log::warn!(
                "cache_dir \"{}\": the certificate of {url} can't be stored: {e}",
                self.folder.display()
            );
        }
        if due { Put::SweepDue } else { Put::Done }
    }

    /// Stores it, and sweeps the folder where that is due, for a process that may wait for that.
    pub(crate) fn keep(&self, url: &str, body: &[u8], until: Option<i64>) {
        let age = Duration::from_secs(self.expire.into());
        // Who can't read the folder is told so where it is written to.
        match self.put(url, body, until) {
            Put::Done => {}
            Put::SweepDue => drop(self.sweep(age)),
            Put::Full => {
                if self.sweep(age).is_ok() {
                    self.put(url, body, until);
                }
            }
        }
    }

    /// Notes that a certificate is in use, for all that share the folder: a sweep removes those
    /// first that were not used for longest.
    pub fn touch(&self, url: &str) {
        // There may be none.
        if let Ok((file, _)) = file::open(&self.path(url)) {
            let _ = file.set_times(FileTimes::new().set_accessed(SystemTime::now()));
        }
    }

    /// Removes files older than `age`, and if there are too many those not used for longest; how
    /// many.
    ///
    /// # Errors
    /// The system's, if the folder can't be read.
    pub fn sweep(&self, age: Duration) -> io::Result<usize> {
        let Swept { removed, files, octets } = sweep(&self.folder, age, &ROOM)?;
        *self.level() = Level { files, octets, written: Some(0) };
        Ok(removed)
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

    fn level(&self) -> std::sync::MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes to a temporary name and renames, so that a reader never sees half a file. Nobody who
    /// may write to the folder as well knows the name before, or has it lead elsewhere.
    fn write(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        let temporary = self.folder.join(format!(".{}.tmp", Uuid::new_v4().simple()));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
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
        assert_eq!(store.put("https://h/old", b"x", None), Put::SweepDue, "nobody has looked yet");
        store.sweep(Duration::from_secs(100)).unwrap();
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
    fn each_write_stays_within_the_bounds() {
        let folder = folder("full");
        let store = Store::new(&folder, 100).unwrap();
        assert_eq!(store.put("https://h/large", &[b'x'; MAX_STORED + 1], None), Put::Done);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "too large for others");
        *store.level() = Level { files: ROOM.files, octets: 0, written: Some(0) };
        assert_eq!(store.put("https://h/a", b"x", None), Put::Full);
        *store.level() = Level { files: 0, octets: ROOM.octets - 10, written: Some(0) };
        assert_eq!(store.put("https://h/a", b"x", None), Put::Full);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        // Who sweeps itself does it then.
        store.keep("https://h/a", b"x", None);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_pipe_in_place_of_a_file_blocks_nobody() {
        let folder = folder("pipe");
        let store = Store::new(&folder, 100).unwrap();
        let path = store.path("https://h/a");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(store.get("https://h/a", SystemClock.now()), None);
        store.touch("https://h/a");
        store.put("https://h/a", b"x", None);
        assert_eq!(store.get("https://h/a", SystemClock.now() + 1).unwrap().0, b"x");
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
