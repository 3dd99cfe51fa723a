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
        ["secsipidx", "stir", "sti::"].iter().any(|ours| target.starts_with(ours))
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let time = utc(SystemClock.now());
        let level = record.level();
        let message = record.args().to_string();
        let line = match self.0 {
            Format::Text => format!("{time} {level} {}\n", one_line(&message)),
            Format::Json => {
                format!("{}\n", json!({"time": time, "level": level.as_str(), "message": message}))
            }
        };
        // Nobody is left to tell.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

/// What a client sent begins no line of its own and moves no cursor; quotes stay as they are.
fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for c in message.chars() {
        match c {
            '"' | '\'' | '\\' => line.push(c),
            _ => line.extend(c.escape_debug()),
        }
    }
    line
}

/// Sets the logger up; once in a process.
pub fn start(settings: &Log) {
    let level = settings.level.parse().unwrap_or(log::LevelFilter::Info);
    if log::set_boxed_logger(Box::new(Logger(settings.format))).is_ok() {
        log::set_max_level(level);
    }
}

/// The same for a command, whose steps are of interest if it says so.
pub fn start_at(level: log::LevelFilter) {
    if log::set_boxed_logger(Box::new(Logger(Format::Text))).is_ok() {
        log::set_max_level(level);
    }
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_message_is_one_line() {
        for (message, line) in [
            ("\"a.pem\" can't be read, ä", "\"a.pem\" can't be read, ä"),
            ("a\r\n2026-01-01 ERROR b\0", "a\\r\\n2026-01-01 ERROR b\\0"),
            ("\u{1b}[2J\u{85}\u{2028}\u{202e}", "\\u{1b}[2J\\u{85}\\u{2028}\\u{202e}"),
        ] {
            assert_eq!(one_line(message), line);
        }
    }
}
