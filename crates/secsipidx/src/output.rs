//! Standard output and standard error, without the panic of `println!` and `eprintln!` when nobody
//! reads them any more.

use std::io::Write;
use std::process::ExitCode;
use stir::{Code, Error};

/// Prints; a failure (a full disk; not a reader that has gone, which is its right) is an exit
/// status of 1, so that a script does not take half an answer for a whole one.
pub fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(&format!("standard output can't be written: {e}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Says why nothing came of it; a code only where it tells one failure from another.
pub fn failed(error: &Error) -> ExitCode {
    complain(&match error.code() {
        Code::Generic => format!("secsipidx: {}", error.message()),
        _ => format!("secsipidx: {error}"),
    });
    ExitCode::FAILURE
}

/// A line on standard error. Where that can't be written either, nobody is left to tell; the exit
/// status says what it would have said without.
pub fn complain(line: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}
