//! Text from files and standard input, of bounded size.

use std::fs::File;
use std::io::{self, Read};
use stir::{Code, Error, Result};

/// Most octets of an input: a SIP message over UDP has 64 KiB, a capture pasted as text a few
/// times that.
pub const MAX_INPUT: u64 = 1024 * 1024;

/// The text of a file; `-` is standard input.
///
/// # Errors
/// [`Code::FileRead`]: no such file, not UTF-8, more than [`MAX_INPUT`] octets.
pub fn read(path: &str) -> Result<String> {
    if path == "-" {
        return text(path, io::stdin().lock());
    }
    text(path, File::open(path).map_err(|e| unreadable(path, &e))?)
}

/// The text of a regular file, or of `-`: a pipe would block, a device might never end.
///
/// # Errors
/// As [`read`].
pub fn read_regular(path: &str) -> Result<String> {
    if path == "-" {
        return read(path);
    }
    let file = stir::file::open(path.as_ref());
    let (file, _) = file.map_err(|e| unreadable(path, &e))?;
    text(path, file)
}

/// A whole text, of bounded size.
fn text(path: &str, from: impl Read) -> Result<String> {
    let wrong = |why: String| Error::new(Code::FileRead, format!("{path:?} {why}"));
    let mut octets = Vec::new();
    from.take(MAX_INPUT + 1).read_to_end(&mut octets).map_err(|e| unreadable(path, &e))?;
    if octets.len() as u64 > MAX_INPUT {
        return Err(wrong(format!("has more than {MAX_INPUT} octets")));
    }
    String::from_utf8(octets).map_err(|e| wrong(format!("is no text: {e}")))
}

fn unreadable(path: &str, error: &io::Error) -> Error {
    Error::new(Code::FileRead, format!("{path:?} can't be read: {error}"))
}
