//! Files that are read once, and again when they change, with what was good kept in force.

use crate::error::{Code, Error, Result};
use crate::file::{self, Stamp};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often it is looked whether a file has changed.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often a file that did not change is judged anew while it is refused: a date comes, or a
/// certificate. Reading the largest file of CRLs takes 0.2 s.
const RETRY: Duration = Duration::from_secs(60);
/// Most files of a folder: each is looked at that often.
const MAX_FILES: usize = 256;
/// A file of this name's end holds the certificates of who signed the list beside it, and is not one
/// of the folder's own.
const SIGNER: &str = ".signer";

/// The file beside a list with the certificates of who signed it.
pub(super) fn signer_of(list: &Path) -> PathBuf {
    let mut name = list.as_os_str().to_owned();
    name.push(SIGNER);
    name.into()
}

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

type Parse<T> = Box<dyn Fn(&Path, &[u8]) -> Result<Vec<T>> + Send + Sync>;

/// Why what was read does not come into force.
pub(super) enum Refusal {
    /// Of no use now. It is taken only where there is nothing else: a newer one may come at any time.
    Useless(Error),
    /// Never taken.
    Bad(Error),
}

impl Refusal {
    fn error(&self) -> &Error {
        let (Self::Useless(error) | Self::Bad(error)) = self;
        error
    }
}

type Rule<'a, T> = dyn Fn(&[T], Option<&[T]>) -> Result<(), Refusal> + 'a;

/// How what was read is judged before it comes into force.
pub(super) struct Judge<'a, T> {
    /// Judges what was read beside what is in force.
    pub(super) judge: &'a Rule<'a, T>,
    /// Grows when what it judges by has changed.
    pub(super) generation: u64,
}

/// A file, or a folder of files, and what it was parsed to.
pub(super) struct Watched<T> {
    kind: &'static Kind,
    path: PathBuf,
    parse: Parse<T>,
    /// Another file that it is read with.
    beside: PathBuf,
    /// Whether this process logs what is refused: one of them is enough.
    speaks: Arc<AtomicBool>,
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
    /// Why these files are not in force, when that was found, and under which [`Judge::generation`].
    refused: Option<(Instant, u64, String)>,
    /// What is in force; the error of the last try if there never was any.
    value: Option<Result<Arc<Vec<T>>>>,
}

impl<T> Watched<T> {
    pub(super) fn new(
        kind: &'static Kind,
        path: &Path,
        beside: &Path,
        speaks: &Arc<AtomicBool>,
        parse: impl Fn(&Path, &[u8]) -> Result<Vec<T>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            kind,
            path: path.to_owned(),
            parse: Box::new(parse),
            beside: beside.to_owned(),
            speaks: Arc::clone(speaks),
            state: Mutex::new(State {
                looked: None,
                stamps: Vec::new(),
                refused: None,
                value: None,
            }),
            changes: AtomicU64::new(0),
        }
    }

    /// What the file holds: what was parsed last, if it is the same file still, or if the new one
    /// is bad.
    pub(super) fn get(&self, judge: &Judge<'_, T>) -> Result<Arc<Vec<T>>> {
        let mut state = self.lock();
        if state.looked.is_none_or(|looked| looked.elapsed() >= INTERVAL) {
            self.look(&mut state, judge);
        }
        match &state.value {
            Some(value) => value.clone(),
            // `look` has set it.
            None => Err(self.error(&self.path, self.kind.unreadable, "was not read")),
        }
    }

    pub(super) const fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// Grows whenever [`get`](Self::get) begins to answer with something else.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Reads it, changed or not; what is in force stays.
    pub(super) fn read_anew(
        &self,
        judge: impl Fn(&[T], Option<&[T]>) -> Result<(), Refusal>,
    ) -> Result<Anew<T>> {
        let files = self.files()?;
        let value = self.read_all(&files)?;
        let now = self.in_force();
        judge(&value, now.as_ref().map(|all| all.as_slice()))
            .map_err(|refusal| self.useless(refusal.error()))?;
        Ok(Anew { stamps: self.stamps(&files), value })
    }

    /// What is in force, without a look at the file.
    pub(super) fn in_force(&self) -> Option<Arc<Vec<T>>> {
        self.lock().value.as_ref()?.as_ref().ok().map(Arc::clone)
    }

    /// Puts into force what was read.
    pub(super) fn replace(&self, anew: Anew<T>) {
        let mut state = self.lock();
        state.looked = Some(Instant::now());
        state.stamps = anew.stamps;
        state.refused = None;
        state.value = Some(Ok(Arc::new(anew.value)));
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    fn look(&self, state: &mut State<T>, judge: &Judge<'_, T>) {
        state.looked = Some(Instant::now());
        let files = self.files();
        let stamps = files.as_deref().map(|files| self.stamps(files)).unwrap_or_default();
        let due = state.refused.as_ref().is_some_and(|(when, generation, _)| {
            when.elapsed() >= RETRY || *generation != judge.generation
        });
        if state.value.is_some() && state.stamps == stamps && !due {
            return;
        }
        let said = if state.stamps == stamps { state.refused.take() } else { None };
        // Taken before the files are read: a change in between shows the next time.
        state.stamps = stamps;
        state.refused = None;
        let good = match &state.value {
            Some(Ok(value)) => Some(Arc::clone(value)),
            _ => None,
        };
        let value = match files.and_then(|files| self.read_all(&files)) {
            Ok(value) => value,
            Err(e) => return self.refuse(state, e, None),
        };
        if let Err(refusal) = (judge.judge)(&value, good.as_ref().map(|all| all.as_slice())) {
            let error = self.useless(refusal.error());
            let known = said.is_some_and(|(.., message)| message == error.message());
            let message = error.message().to_owned();
            state.refused = Some((Instant::now(), judge.generation, message));
            if good.is_some() || matches!(refusal, Refusal::Bad(_)) {
                return self.refuse(state, error, Some(known));
            }
            if !known {
                self.say(error.message());
            }
        }
        state.value = Some(Ok(Arc::new(value)));
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// What is in force stays; if there is nothing, this is what is answered.
    fn refuse(&self, state: &mut State<T>, error: Error, known: Option<bool>) {
        if !matches!(state.value, Some(Ok(_))) {
            state.value = Some(Err(error));
        } else if known != Some(true) {
            self.say(&format!("{}; what it held before stays in force", error.message()));
        }
    }

    fn say(&self, message: &str) {
        if self.speaks.load(Ordering::Relaxed) {
            log::error!("{message}");
        }
    }

    /// What tells that one of the files, or one that it is read with, has changed.
    fn stamps(&self, files: &[(PathBuf, Metadata)]) -> Vec<(PathBuf, Stamp)> {
        let mut all = stamps(files);
        let signers = files.iter().map(|(path, _)| signer_of(path));
        let others = signers.chain([self.beside.clone()]);
        all.extend(others.filter_map(|path| Some((path.clone(), crate::file::stamp(&path).ok()?))));
        all
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
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            if name.starts_with(b".") || name.ends_with(SIGNER.as_bytes()) {
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
        (self.parse)(path, &text).map_err(|e| self.error(path, e.code(), e.message()))
    }

    fn useless(&self, error: &Error) -> Error {
        self.error(&self.path, error.code(), &format!("is of no use: {}", error.message()))
    }

    fn error(&self, path: &Path, code: Code, why: &str) -> Error {
        Error::new(code, format!("{} \"{}\" {why}", self.kind.option, path.display()))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
