//! Files that are read once, and again when they change, with what was good kept in force.

use crate::error::{Code, Error, Result};
use crate::file::{self, Stamp};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often it is looked whether a file has changed.
const INTERVAL: Duration = Duration::from_secs(1);
/// Most files of a folder: each is looked at that often.
const MAX_FILES: usize = 256;

/// What a file is for: its limits, its codes and its name in messages.
pub(super) struct Kind {
    /// The parameter or libopt that names it.
    pub(super) option: &'static str,
    /// No file is named.
    pub(super) missing: Code,
    /// It can't be read.
    pub(super) unreadable: Code,
    /// Largest size in octets.
    pub(super) max_len: usize,
    /// Whether it may be a folder of such files.
    pub(super) folder: bool,
}

type Parse<T> = Box<dyn Fn(&[u8]) -> Result<Vec<T>> + Send + Sync>;
/// Whether what was parsed is of use now. If not it takes the place of nothing.
type Check<T> = fn(&[T]) -> Result<()>;

/// A file, or a folder of files, and what it was parsed to.
pub(super) struct Watched<T> {
    kind: &'static Kind,
    path: PathBuf,
    parse: Parse<T>,
    check: Check<T>,
    state: Mutex<State<T>>,
    /// How often what is in force was replaced.
    changes: AtomicU64,
}

/// What a file holds now, and which files that were.
pub(super) struct Anew<T> {
    stamps: Vec<(PathBuf, Stamp)>,
    pub(super) value: Vec<T>,
}

fn stamps(files: &[(PathBuf, Metadata)]) -> Vec<(PathBuf, Stamp)> {
    files.iter().map(|(path, data)| (path.clone(), Stamp::of(data))).collect()
}

struct State<T> {
    /// When it was looked last.
    looked: Option<Instant>,
    /// The files that were read last; none if there were none.
    stamps: Vec<(PathBuf, Stamp)>,
    /// What is in force; the error of the last try if there never was any.
    value: Option<Result<Arc<Vec<T>>>>,
}

impl<T> Watched<T> {
    pub(super) fn new(
        kind: &'static Kind,
        path: &Path,
        check: Check<T>,
        parse: impl Fn(&[u8]) -> Result<Vec<T>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            kind,
            path: path.to_owned(),
            parse: Box::new(parse),
            check,
            state: Mutex::new(State { looked: None, stamps: Vec::new(), value: None }),
            changes: AtomicU64::new(0),
        }
    }

    /// What the file holds: what was parsed last, if it is the same file still, or if the new one
    /// is bad.
    pub(super) fn get(&self) -> Result<Arc<Vec<T>>> {
        let mut state = self.lock();
        if state.looked.is_none_or(|looked| looked.elapsed() >= INTERVAL) {
            self.look(&mut state);
        }
        match &state.value {
            Some(value) => value.clone(),
            // `look` has set it.
            None => Err(self.error(&self.path, self.kind.unreadable, "was not read")),
        }
    }

    /// Grows whenever [`get`](Self::get) begins to answer with something else.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Reads it, changed or not; what is in force stays.
    pub(super) fn read_anew(&self) -> Result<Anew<T>> {
        let files = self.files()?;
        let value = self.read_all(&files)?;
        self.check(&value)?;
        Ok(Anew { stamps: stamps(&files), value })
    }

    /// Puts into force what was read.
    pub(super) fn replace(&self, anew: Anew<T>) {
        let mut state = self.lock();
        state.looked = Some(Instant::now());
        state.stamps = anew.stamps;
        state.value = Some(Ok(Arc::new(anew.value)));
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    fn look(&self, state: &mut State<T>) {
        state.looked = Some(Instant::now());
        let files = self.files();
        let stamps = files.as_deref().map(stamps).unwrap_or_default();
        if state.value.is_some() && state.stamps == stamps {
            return;
        }
        // Taken before the files are read: a change in between shows the next time.
        state.stamps = stamps;
        let read = files.and_then(|files| self.read_all(&files));
        let checked = read.and_then(|value| match (self.check(&value), &state.value) {
            (Err(e), Some(Ok(_))) => Err(e),
            (Err(e), _) => {
                // There is nothing else, and it may be replaced at any time.
                log::error!("{}", e.message());
                Ok(value)
            }
            (Ok(()), _) => Ok(value),
        });
        match (checked, &state.value) {
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

    /// The file, or those of the folder in the order of their names; hidden ones are passed over,
    /// for that is how editors and tools name what is not finished.
    fn files(&self) -> Result<Vec<(PathBuf, Metadata)>> {
        if self.path.as_os_str().is_empty() {
            return Err(Error::new(
                self.kind.missing,
                format!("CertVerify asks for {}, which names no file", self.kind.option),
            ));
        }
        let unreadable = |path: &Path, why: &str| {
            self.error(path, self.kind.unreadable, &format!("can't be read: {why}"))
        };
        let metadata = |path: PathBuf| match fs::metadata(&path) {
            Ok(data) => Ok((path, data)),
            Err(e) => Err(unreadable(&path, &e.to_string())),
        };
        let (path, data) = metadata(self.path.clone())?;
        if !(data.is_dir() && self.kind.folder) {
            return Ok(vec![(path, data)]);
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(&path).map_err(|e| unreadable(&path, &e.to_string()))? {
            let entry = entry.map_err(|e| unreadable(&path, &e.to_string()))?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let (file, data) = metadata(entry.path())?;
            if data.is_dir() {
                continue;
            }
            if found.len() >= MAX_FILES {
                return Err(unreadable(&path, &format!("it has more than {MAX_FILES} files")));
            }
            found.push((file, data));
        }
        if found.is_empty() {
            return Err(unreadable(&path, "it is an empty folder"));
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(found)
    }

    /// All of it or nothing.
    fn read_all(&self, files: &[(PathBuf, Metadata)]) -> Result<Vec<T>> {
        let mut all = Vec::new();
        for (path, _) in files {
            all.extend(self.read(path)?);
        }
        Ok(all)
    }

    fn read(&self, path: &Path) -> Result<Vec<T>> {
        let (_, text) = file::read(path, self.kind.max_len)
            .map_err(|e| self.error(path, self.kind.unreadable, &format!("can't be read: {e}")))?;
        (self.parse)(&text).map_err(|e| self.error(path, e.code(), e.message()))
    }

    fn check(&self, value: &[T]) -> Result<()> {
        (self.check)(value).map_err(|e| {
            self.error(&self.path, e.code(), &format!("is of no use: {}", e.message()))
        })
    }

    fn error(&self, path: &Path, code: Code, why: &str) -> Error {
        Error::new(code, format!("{} \"{}\" {why}", self.kind.option, path.display()))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
