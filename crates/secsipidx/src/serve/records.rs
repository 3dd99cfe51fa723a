//! Who signed and checked what: one JSON line a call, for tracebacks that must be answered within a day.

use super::settings::Records as Settings;
use crate::inspect::cert::utc;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nix::fcntl::OFlag;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stir::{Numbering, Report, Result};

/// Lines that may wait for the disk: some seconds of a busy service, at about 500 bytes each a few MiB.
const MAX_QUEUE: usize = 8192;
/// Longest text of a record, in characters: a URL of the field has 106. Strangers write what is recorded, and
/// what waits must not grow with what they write.
const MAX_TEXT: usize = 256;
/// Most called numbers of a record; the rest is left out.
const MAX_LIST: usize = 16;
/// For how long the end of the service waits for lines that are not on the disk yet: a dead disk must not
/// hold a restart up.
const FLUSH: Duration = Duration::from_secs(5);
/// Nobody else may read who called whom.
const MODE: u32 = 0o640;
const MIB: u64 = 1024 * 1024;

/// What is counted, by callers and by the writer.
#[derive(Default)]
struct Counts {
    written: AtomicU64,
    lost: AtomicU64,
    /// Whether the full queue has been reported since the queue was last empty.
    full: AtomicBool,
}

/// Where calls leave their lines. Nothing here waits for the disk, but [`Records::close`].
pub struct Records {
    queue: RwLock<Option<SyncSender<String>>>,
    ended: std::sync::Mutex<Option<Receiver<()>>>,
    counts: Arc<Counts>,
}

impl Records {
    /// Starts the writer, if records are set.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn start(settings: Option<&Settings>) -> Result<Self> {
        let counts = Arc::new(Counts::default());
        let Some(settings) = settings else {
            return Ok(Self {
                queue: RwLock::default(),
                ended: std::sync::Mutex::default(),
                counts,
            });
        };
        let (queue, lines) = sync_channel(MAX_QUEUE);
        let (end, ended) = sync_channel(1);
        let writer = Writer {
            settings: settings.clone(),
            counts: Arc::clone(&counts),
            open: None,
            failing: false,
            torn: false,
        };
        let work = move || {
            writer.run(&lines);
            // Nobody may wait any more.
            let _ = end.try_send(());
        };
        std::thread::Builder::new().name("records".into()).spawn(work).map_err(|e| {
            super::wrong(format!("the thread that writes records can't be started: {e}"))
        })?;
        Ok(Self {
            queue: RwLock::new(Some(queue)),
            ended: std::sync::Mutex::new(Some(ended)),
            counts,
        })
    }

    /// A call that was signed, or was to be: `asked` is its caller, its called numbers as [`stir::Call`] has
    /// them, and its attestation.
    pub fn signed(&self, signed: &Result<String>, asked: [&str; 3], numbering: &Numbering) {
        self.put(|| {
            let [orig, dest, attest] = asked;
            let canonical =
                |text: &str| numbering.canonical(text).unwrap_or_else(|_| text.to_owned());
            match signed {
                Ok(identity) => {
                    let (header, claims) = (part(identity, 0), part(identity, 1));
                    let dest = Value::Array(all(&claims["dest"]));
                    json!({
                        "what": "sign", "code": 1, "orig": one(&claims["orig"]), "dest": dest,
                        "attest": claims["attest"], "origid": claims["origid"], "iat": claims["iat"],
                        "x5u": header["x5u"], "ppt": header["ppt"],
                    })
                }
                Err(e) => {
                    let dest = dest.strip_prefix("list:").unwrap_or(dest).split(',');
                    let dest: Vec<_> = dest.map(canonical).collect();
                    json!({
                        "what": "sign", "code": e.code().value(), "orig": canonical(orig),
                        "dest": dest, "attest": attest,
                    })
                }
            }
        });
    }

    /// A call that was checked.
    pub fn verified(&self, report: &Report) {
        self.put(|| {
            let claims = report.claims.as_ref();
            json!({
                "what": "verify",
                "code": report.code(),
                "verstat": report.verstat().value(),
                "sip": report.response().map(|response| response.code()),
                "orig": claims.map(|claims| &claims.orig),
                "dest": claims.map(|claims| &claims.dest),
                "attest": claims.map(|claims| &claims.attest),
                "origid": claims.map(|claims| &claims.origid),
                "iat": claims.map(|claims| claims.iat),
                "x5u": report.x5u,
                "spc": report.spc(),
                "ppt": report.ppt,
            })
        });
    }

    fn put(&self, record: impl FnOnce() -> Value) {
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = queue.as_ref() else { return };
        let mut record = short(record());
        record["time"] = now().into();
        match queue.try_send(format!("{record}\n")) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.counts.lost.fetch_add(1, Ordering::Relaxed);
                if !self.counts.full.swap(true, Ordering::Relaxed) {
                    log::error!(
                        "records are lost: {MAX_QUEUE} lines wait for the disk of records.file, which is too slow"
                    );
                }
            }
        }
    }

    /// Lets the writer write what waits, and no more.
    pub fn close(&self) {
        drop(self.queue.write().unwrap_or_else(PoisonError::into_inner).take());
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended
            && ended.recv_timeout(FLUSH).is_err()
        {
            log::error!("records are lost: not all were written in {} s", FLUSH.as_secs());
        }
    }

    /// Its counters, for Prometheus.
    pub fn metrics(&self) -> String {
        let Counts { written, lost, .. } = &*self.counts;
        let (written, lost) = (written.load(Ordering::Relaxed), lost.load(Ordering::Relaxed));
        format!(
            "# HELP secsipidx_records_total Records of calls written.\n# TYPE secsipidx_records_total counter\nsecsipidx_records_total {written}\n# HELP secsipidx_records_lost_total Records that could not be written.\n# TYPE secsipidx_records_lost_total counter\nsecsipidx_records_lost_total {lost}\n"
        )
    }
}

/// A record within [`MAX_TEXT`] and [`MAX_LIST`].
fn short(value: Value) -> Value {
    match value {
        Value::String(text) => match text.char_indices().nth(MAX_TEXT) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
            None => text.into(),
        },
        Value::Array(list) => list.into_iter().take(MAX_LIST).map(short).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, short(value))).collect()
        }
        other => other,
    }
}

/// A part of a token that was made here.
fn part(identity: &str, number: usize) -> Value {
    let token = identity.split(';').next().unwrap_or_default();
    let part = token.split('.').nth(number).unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Numbers and URIs of `dest`.
fn all(party: &Value) -> Vec<Value> {
    let members = ["tn", "uri"].into_iter().filter_map(|name| party[name].as_array());
    members.flatten().cloned().collect()
}

/// The number or URI of `orig`.
fn one(party: &Value) -> &Value {
    party.get("tn").or_else(|| party.get("uri")).unwrap_or(&Value::Null)
}

/// RFC 3339 in UTC, with milliseconds.
fn now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = utc(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), now.subsec_millis())
}

/// The thread that may wait for the disk.
struct Writer {
    settings: Settings,
    counts: Arc<Counts>,
    open: Option<File>,
    /// Whether the last line was lost.
    failing: bool,
    /// Whether the file may end inside a line.
    torn: bool,
}

impl Writer {
    fn run(mut self, lines: &Receiver<String>) {
        loop {
            let line = match lines.try_recv() {
                Ok(line) => line,
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    self.counts.full.store(false, Ordering::Relaxed);
                    let Ok(line) = lines.recv() else { return };
                    line
                }
            };
            let path = self.settings.file.display().to_string();
            match self.write(&line) {
                Ok(()) => {
                    self.counts.written.fetch_add(1, Ordering::Relaxed);
                    if std::mem::take(&mut self.failing) {
                        let lost = self.counts.lost.load(Ordering::Relaxed);
                        log::info!("records.file \"{path}\" is written again; lost so far: {lost}");
                    }
                }
                Err(e) => {
                    self.open = None;
                    self.counts.lost.fetch_add(1, Ordering::Relaxed);
                    if !std::mem::replace(&mut self.failing, true) {
                        log::error!("records are lost: records.file \"{path}\": {e}");
                    }
                }
            }
        }
    }

    fn write(&mut self, line: &str) -> std::io::Result<()> {
        if self.settings.file.as_os_str() == "-" {
            let mut out = std::io::stdout().lock();
            return out.write_all(line.as_bytes()).and_then(|()| out.flush());
        }
        let mut file = self.current(line.len() as u64)?;
        let whole = if self.torn { format!("\n{line}") } else { line.to_owned() };
        let written = file.write_all(whole.as_bytes());
        self.torn = written.is_err();
        self.open = Some(file);
        written
    }

    /// The file that has the path now, whoever renamed the one before, with room for a line.
    fn current(&mut self, line: u64) -> std::io::Result<File> {
        let path = self.settings.file.clone();
        let mut file = match self.open.take() {
            Some(file) if is_at(&file, &path) => file,
            _ => open(&path)?,
        };
        let metadata = file.metadata()?;
        let limit = self.settings.max_size * MIB;
        if metadata.is_file() && metadata.len() > 0 && metadata.len() + line > limit {
            self.rotate()?;
            self.torn = false;
            file = open(&path)?;
        }
        Ok(file)
    }

    /// `file` becomes `file.1`, that one `file.2`, up to `keep`.
    fn rotate(&self) -> std::io::Result<()> {
        let path = &self.settings.file;
        let old = |number: u32| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        if self.settings.keep == 0 {
            return std::fs::remove_file(path);
        }
        for number in (1..self.settings.keep).rev() {
            match std::fs::rename(old(number), old(number + 1)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        std::fs::rename(path, old(1))
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let (open, there) = (file.metadata().map(identity), std::fs::metadata(path).map(identity));
    matches!((open, there), (Ok(open), Ok(there)) if open == there)
}

/// Follows no symbolic link, and waits for no reader of a FIFO.
fn open(path: &Path) -> std::io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    OpenOptions::new().append(true).create(true).mode(MODE).custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_write_stays_short() {
        let long = "é".repeat(10_000);
        let record = short(json!({"code": -438, "orig": long, "dest": vec![&long; 1000]}));
        assert_eq!(record["code"], -438);
        assert_eq!(record["orig"], format!("{}…", "é".repeat(MAX_TEXT)));
        assert_eq!(record["dest"].as_array().map(Vec::len), Some(MAX_LIST));
        assert!(record.to_string().len() < 20 * 1024);
        assert_eq!(short(json!("12155550100")), "12155550100");
    }
}
