//! Standard output, without the panic of `println!` when nobody reads it any more.

use std::io::Write;
use std::process::ExitCode;

/// Prints; a failure (a full disk; not a reader that has gone, which is its right) is an exit
/// status of 1, so that a script does not take half an answer for a whole one.
pub fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("standard output can't be written: {e}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
