//! Files that are read once, and again when they change, with what was good kept in force.

use crate::error::{Code, Error, Result};
use crate::file::Stamp;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often it is looked whether a file has changed.
const INTERVAL: Duration = Duration::from_secs(1);

/// What a file is for: its limits, its codes and its name in messages.
pub(super) struct Kind {
    /// The libopt that names it.
    pub(super) option: &'static str,
    /// No file is named.
    pub(super) missing: Code,
    /// It can't be read.
    pub(super) unreadable: Code,
    /// Largest size in octets.
    pub(super) max_len: usize,
}

/// A file and what it was parsed to.
pub(super) struct Watched<T: 'static> {
    kind: &'static Kind,
    path: PathBuf,
    parse: fn(&[u8]) -> Result<T>,
    state: Mutex<State<T>>,
    /// How often what is in force was replaced.
    changes: AtomicU64,
}

struct State<T> {
    /// When it was looked last.
    looked: Option<Instant>,
    /// The file that was read last; `None` if it could not be found.
    stamp: Option<Stamp>,
    /// What is in force; the error of the last try if there never was any.
    value: Option<Result<Arc<T>>>,
}

impl<T> Watched<T> {
    pub(super) fn new(kind: &'static Kind, path: &Path, parse: fn(&[u8]) -> Result<T>) -> Self {
        Self {
            kind,
            path: path.to_owned(),
            parse,
            state: Mutex::new(State { looked: None, stamp: None, value: None }),
            changes: AtomicU64::new(0),
        }
    }

    /// What the file holds: what was parsed last, if it is the same file still, or if the new one
    /// is bad.
    pub(super) fn get(&self) -> Result<Arc<T>> {
        let mut state = self.lock();
        if state.looked.is_none_or(|looked| looked.elapsed() >= INTERVAL) {
            self.look(&mut state);
        }
        match &state.value {
            Some(value) => value.clone(),
            // `look` has set it.
            None => Err(self.error(self.kind.unreadable, "was not read")),
        }
    }

    /// Grows whenever [`get`](Self::get) begins to answer with something else.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn look(&self, state: &mut State<T>) {
        state.looked = Some(Instant::now());
        let stamp = fs::metadata(&self.path).ok().map(|metadata| Stamp::of(&metadata));
        if state.value.is_some() && state.stamp == stamp {
            return;
        }
        // Taken before the file is read: a change in between shows the next time.
        state.stamp = stamp;
        match (self.read(), &state.value) {
            (Ok(value), _) => {
                state.value = Some(Ok(Arc::new(value)));
                self.changes.fetch_add(1, Ordering::AcqRel);
            }
            (Err(e), Some(Ok(_))) => {
                log::error!("{}; what it held before stays in force", e.message());
            }
            (Err(e), _) => state.value = Some(Err(e)),
        }
    }

    fn read(&self) -> Result<T> {
        if self.path.as_os_str().is_empty() {
            return Err(Error::new(
                self.kind.missing,
                format!("CertVerify asks for {}, which names no file", self.kind.option),
            ));
        }
        let unreadable =
            |why: &str| self.error(self.kind.unreadable, &format!("can't be read: {why}"));
        let metadata = fs::metadata(&self.path).map_err(|e| unreadable(&e.to_string()))?;
        if !metadata.is_file() {
            // A pipe would block the process, a device might never end.
            return Err(unreadable("it is no regular file"));
        }
        let mut text = Vec::new();
        File::open(&self.path)
            .and_then(|file| file.take(self.kind.max_len as u64 + 1).read_to_end(&mut text))
            .map_err(|e| unreadable(&e.to_string()))?;
        if text.len() > self.kind.max_len {
            return Err(unreadable(&format!("it has more than {} octets", self.kind.max_len)));
        }
        (self.parse)(&text).map_err(|e| self.error(e.code(), e.message()))
    }

    fn error(&self, code: Code, why: &str) -> Error {
        Error::new(code, format!("{} \"{}\" {why}", self.kind.option, self.path.display()))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
