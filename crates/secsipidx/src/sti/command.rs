//! Commands of the operator's, after a change.

use super::pairs::wrong;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use stir::Result;

/// How long a command may take: to reload a server is a matter of seconds.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Runs a command by sh, with these variables.
///
/// # Errors
/// It fails, or takes too long.
pub fn run(name: &str, command: &str, environment: &[(&str, String)]) -> Result<()> {
    if command.is_empty() {
        return Ok(());
    }
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        // Standard output is this command's own, which may be JSON.
        .stdout(std::io::stderr())
        .spawn()
        .map_err(|e| wrong(format!("{name} can't be run: {e}")))?;
    let deadline = Instant::now() + LIMIT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => {
                return Err(wrong(format!(
                    "{name} ({command:?}) failed, {status}: the files are in force; it is run again with the next run"
                )));
            }
            Ok(None) if Instant::now() < deadline => sleep(LOOK),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                let seconds = LIMIT.as_secs();
                return Err(wrong(format!(
                    "{name} ({command:?}) was not done in {seconds} s and was ended; it is run again with the next run"
                )));
            }
            Err(e) => return Err(wrong(format!("{name} can't be waited for: {e}"))),
        }
    }
}
