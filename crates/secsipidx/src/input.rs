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
    let wrong = |why: String| Error::new(Code::FileRead, format!("{path:?} {why}"));
    let mut octets = Vec::new();
    let read = if path == "-" {
        io::stdin().lock().take(MAX_INPUT + 1).read_to_end(&mut octets)
    } else {
        File::open(path).and_then(|file| file.take(MAX_INPUT + 1).read_to_end(&mut octets))
    };
    read.map_err(|e| wrong(format!("can't be read: {e}")))?;
    if octets.len() as u64 > MAX_INPUT {
        return Err(wrong(format!("has more than {MAX_INPUT} octets")));
    }
    String::from_utf8(octets).map_err(|e| wrong(format!("is no text: {e}")))
}

/// The text of a regular file, or of `-`: a pipe would block, a device might never end.
///
/// # Errors
/// As [`read`].
pub fn read_regular(path: &str) -> Result<String> {
    if path != "-" && std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        let why = format!("{path:?} can't be read: it is no regular file");
        return Err(Error::new(Code::FileRead, why));
    }
    read(path)
}
