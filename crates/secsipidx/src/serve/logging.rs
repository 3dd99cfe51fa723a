//! One line an event on standard error, as text or JSON; the journal adds the time to neither.

use super::settings::{Format, Log};
use crate::inspect::cert::utc;
use serde_json::json;
use std::io::Write;
use stir::{Clock, SystemClock};

struct Logger(Format);

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        // What the libraries below say is of no use to who runs the service.
        let target = metadata.target();
        target.starts_with("secsipidx") || target.starts_with("stir")
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let time = utc(SystemClock.now());
        let level = record.level();
        let message = record.args().to_string();
        let line = match self.0 {
            Format::Text => format!("{time} {level} {}\n", message.escape_debug()),
            Format::Json => {
                format!("{}\n", json!({"time": time, "level": level.as_str(), "message": message}))
            }
        };
        // Nobody is left to tell.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

/// Sets the logger up; once in a process.
pub fn start(settings: &Log) {
    let level = settings.level.parse().unwrap_or(log::LevelFilter::Info);
    if log::set_boxed_logger(Box::new(Logger(settings.format))).is_ok() {
        log::set_max_level(level);
    }
}
