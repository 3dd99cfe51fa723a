//! Text from files and standard input, of bounded size.

use std::fs::File;
use std::io::{self, Read};
use stir::{Code, Error, Result};

/// Most octets of an input: a SIP message over UDP has 64 KiB, a capture pasted as text a few
/// times that.
pub const MAX_INPUT: u64 = 1024 * 1024;

/// How captures begin: pcap in both byte orders, with microseconds and nanoseconds, and pcapng.
const CAPTURES: [&[u8]; 5] = [
    b"\xd4\xc3\xb2\xa1",
    b"\xa1\xb2\xc3\xd4",
    b"\x4d\x3c\xb2\xa1",
    b"\xa1\xb2\x3c\x4d",
    b"\x0a\x0d\x0d\x0a",
];

/// The text of a file; `-` is standard input.
///
/// # Errors
/// [`Code::FileRead`]: no such file, not UTF-8, more than [`MAX_INPUT`] octets.
pub fn read(path: &str) -> Result<String> {
    text(path, octets_of(path)?)
}

/// The text of a message or a capture, as [`read`]. Its lines that are not UTF-8 are read as Latin-1, as the
/// module reads header fields: old telephone systems write names in it.
///
/// # Errors
/// As [`read`]; a capture that is not text.
pub fn read_capture(path: &str) -> Result<String> {
    let octets = octets_of(path)?;
    if CAPTURES.iter().any(|magic| octets.starts_with(magic)) {
        let why =
            "is a packet capture: give its text, as in tcpdump -A -r FILE | secsipidx inspect";
        return Err(Error::new(Code::FileRead, format!("{path:?} {why}")));
    }
    let latin1 = |line: &[u8]| line.iter().copied().map(char::from).collect::<String>();
    let line = |line| std::str::from_utf8(line).map_or_else(|_| latin1(line), ToOwned::to_owned);
    Ok(octets.split_inclusive(|c| *c == b'\n').map(line).collect())
}

/// A text without the byte order mark that some editors put before it.
pub fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
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
    text(path, octets(path, file)?)
}

fn octets_of(path: &str) -> Result<Vec<u8>> {
    if path == "-" {
        return octets(path, io::stdin().lock());
    }
    octets(path, File::open(path).map_err(|e| unreadable(path, &e))?)
}

/// All of an input, of bounded size.
fn octets(path: &str, from: impl Read) -> Result<Vec<u8>> {
    let mut octets = Vec::new();
    from.take(MAX_INPUT + 1).read_to_end(&mut octets).map_err(|e| unreadable(path, &e))?;
    if octets.len() as u64 > MAX_INPUT {
        let why = format!("{path:?} has more than {MAX_INPUT} octets");
        return Err(Error::new(Code::FileRead, why));
    }
    Ok(octets)
}

fn text(path: &str, octets: Vec<u8>) -> Result<String> {
    String::from_utf8(octets)
        .map_err(|e| Error::new(Code::FileRead, format!("{path:?} is no text: {e}")))
}

fn unreadable(path: &str, error: &io::Error) -> Error {
    Error::new(Code::FileRead, format!("{path:?} can't be read: {error}"))
}
