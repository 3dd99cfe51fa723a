//! Log lines by way of Kamailio's log.

use super::bindings::{L_DBG, L_ERR, L_INFO, L_WARN, ks_log, ks_log_enabled};
use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::unistd::{getpid, gettid};
use std::ffi::{c_char, c_int};

/// Longest line, in octets: what a message quotes is bounded, but not by this much.
const MAX_LINE: usize = 2048;

struct KamailioLog;

static LOG: KamailioLog = KamailioLog;

/// Sends the `log` crate's records to Kamailio. Once; a second call changes nothing.
pub(super) fn start() {
    if log::set_logger(&LOG).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}

impl Log for KamailioLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = ["stir", "fetcher", "kamailio_secsipid"]
            .iter()
            .any(|name| metadata.target().starts_with(name));
        // A thread of the HTTP client must not enter Kamailio: its main thread has the process's id.
        ours && gettid() == getpid()
            // SAFETY: takes a number and reads the process's log level.
            && unsafe { ks_log_enabled(level(metadata.level())) } != 0
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = one_line(&record.args().to_string());
        let len = c_int::try_from(line.len()).unwrap_or_default();
        // SAFETY: the text is `len` octets, read before the call returns, and goes in as the
        // argument of "%.*s", not as the format.
        unsafe { ks_log(level(record.level()), line.as_ptr().cast::<c_char>(), len) };
    }

    fn flush(&self) {}
}

fn level(level: Level) -> c_int {
    match level {
        Level::Error => L_ERR,
        Level::Warn => L_WARN as c_int,
        Level::Info => L_INFO as c_int,
        Level::Debug | Level::Trace => L_DBG as c_int,
    }
}

/// What came from outside can't start a line of its own, or end in the middle of a character.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_LINE));
    for c in text.chars() {
        if line.len() >= MAX_LINE {
            line.push('…');
            break;
        }
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}
