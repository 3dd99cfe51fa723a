//! What goes over the socket: frames of a length (u32, little-endian, octets that follow), a number
//! that the answer repeats (u32), a kind (u8) and its content. Both ends are of one build, so there
//! is no version.

use serde::{Deserialize, Serialize};
use stir::fetch::Digest;
use stir::{Code, Error, Result};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Length of length and head.
pub(crate) const LENGTH: usize = 4;
const HEAD: usize = 5;
/// Largest request: a URL and its deadline.
pub(crate) const MAX_REQUEST: usize = 4096;
/// Largest answer: a list.
pub(crate) const MAX_REPLY: usize = 1024 * 1024;

/// What a caller wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A certificate, within so many milliseconds.
    Get(u32, String),
    /// What is at hand for a URL: nothing is fetched.
    Peek(String),
    /// A certificate later on: it is fetched now, and the answer comes at once.
    Prefetch(String),
    /// A token has verified with the certificate in a body that this URL delivered. Not answered.
    Proven(Digest, String),
    /// Forget one URL, or all of them (empty).
    Flush(String),
    List,
    Stats,
}

/// What the service answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A certificate, and until when it may be used (Unix seconds).
    Body(i64, Vec<u8>),
    /// Code and sentence.
    Failed(i32, String),
    /// JSON.
    Text(Vec<u8>),
    /// It would have to be fetched.
    Unknown,
}

/// A certificate in the service's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Where it comes from.
    pub url: String,
    /// Its service provider code (RFC 8226); empty for none.
    pub spc: String,
    /// End of its validity, in Unix seconds.
    pub not_after: i64,
    /// Until when it is used without asking its server, in Unix seconds.
    pub until: i64,
    /// Seconds since its server vouched for it last.
    pub age: i64,
    /// How often it was asked for.
    pub hits: u64,
    /// Where it was found: `http`, `disk` or `redis`.
    pub tier: String,
}

impl Request {
    pub(crate) fn encode(&self, number: u32) -> Vec<u8> {
        match self {
            Self::Get(millis, url) => frame(number, b'g', &[&millis.to_le_bytes(), url.as_bytes()]),
            Self::Peek(url) => frame(number, b'k', &[url.as_bytes()]),
            Self::Prefetch(url) => frame(number, b'p', &[url.as_bytes()]),
            Self::Proven(body, url) => frame(number, b'v', &[body, url.as_bytes()]),
            Self::Flush(url) => frame(number, b'f', &[url.as_bytes()]),
            Self::List => frame(number, b'l', &[]),
            Self::Stats => frame(number, b's', &[]),
        }
    }

    /// Reads a frame without its length.
    pub(crate) fn decode(frame: &[u8]) -> Option<(u32, Self)> {
        let (number, kind, content) = head(frame)?;
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).ok();
        let request = match (kind, content) {
            (b'g', content) => {
                let (millis, url) = content.split_first_chunk()?;
                Self::Get(u32::from_le_bytes(*millis), text(url)?)
            }
            (b'k', url) => Self::Peek(text(url)?),
            (b'p', url) => Self::Prefetch(text(url)?),
            (b'v', content) => {
                let (body, url) = content.split_first_chunk()?;
                Self::Proven(*body, text(url)?)
            }
            (b'f', url) => Self::Flush(text(url)?),
            (b'l', []) => Self::List,
            (b's', []) => Self::Stats,
            _ => return None,
        };
        Some((number, request))
    }
}

impl Reply {
    pub(crate) fn encode(&self, number: u32) -> Vec<u8> {
        match self {
            Self::Body(until, body) => body_frame(number, *until, body),
            Self::Failed(code, why) => frame(number, b'e', &[&code.to_le_bytes(), why.as_bytes()]),
            Self::Text(text) => frame(number, b't', &[text]),
            Self::Unknown => frame(number, b'n', &[]),
        }
    }

    pub(crate) fn decode(frame: &[u8]) -> Option<(u32, Self)> {
        let (number, kind, content) = head(frame)?;
        let reply = match kind {
            b'b' => {
                let (until, body) = content.split_first_chunk()?;
                Self::Body(i64::from_le_bytes(*until), body.to_vec())
            }
            b'e' => {
                let (code, why) = content.split_first_chunk()?;
                let why = String::from_utf8_lossy(why).into_owned();
                Self::Failed(i32::from_le_bytes(*code), why)
            }
            b't' => Self::Text(content.to_vec()),
            b'n' if content.is_empty() => Self::Unknown,
            _ => return None,
        };
        Some((number, reply))
    }
}

/// The answer with a certificate, without a copy of it on the way.
pub(crate) fn body_frame(number: u32, until: i64, body: &[u8]) -> Vec<u8> {
    frame(number, b'b', &[&until.to_le_bytes(), body])
}

fn frame(number: u32, kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content: usize = parts.iter().map(|part| part.len()).sum();
    let mut frame = Vec::with_capacity(LENGTH + HEAD + content);
    // Both ends bound what they send far below 4 GiB.
    let length = u32::try_from(HEAD + content).unwrap_or(u32::MAX);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&number.to_le_bytes());
    frame.push(kind);
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    frame
}

fn head(frame: &[u8]) -> Option<(u32, u8, &[u8])> {
    let (number, rest) = frame.split_first_chunk()?;
    let (kind, content) = rest.split_first()?;
    Some((u32::from_le_bytes(*number), *kind, content))
}

/// The error that a [`Reply::Failed`] stands for.
pub(crate) fn error(code: i32, why: String) -> Error {
    let code =
        [Code::HttpUrl, Code::HttpStatus, Code::HttpBody, Code::CertFormat, Code::CertInvalid]
            .into_iter()
            .chain([Code::CertExpired, Code::CertNotEc, Code::Generic])
            .find(|known| known.value() == code)
            .unwrap_or(Code::HttpGet);
    Error::new(code, why)
}

/// What a length stands for, if it is one that is sent at all.
pub(crate) fn length(octets: [u8; LENGTH], max: usize) -> Result<usize> {
    let length = usize::try_from(u32::from_le_bytes(octets)).unwrap_or(usize::MAX);
    if (HEAD..=max).contains(&length) {
        return Ok(length);
    }
    Err(Error::new(
        Code::HttpGet,
        format!("a frame of {length} octets on the fetcher's socket is none of ours"),
    ))
}

/// The next frame without its length, of at most `max` octets.
pub(crate) async fn read(
    from: &mut (impl AsyncRead + Unpin),
    max: usize,
) -> std::io::Result<Vec<u8>> {
    let mut octets = [0; LENGTH];
    from.read_exact(&mut octets).await?;
    let mut frame = vec![0; length(octets, max).map_err(|_| junk())?];
    from.read_exact(&mut frame).await?;
    Ok(frame)
}

/// What came is none of ours.
pub(crate) fn junk() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, "what came makes no sense")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_others_are_refused() {
        let url = || "https://h/ä".to_owned();
        for request in [
            Request::Get(7, url()),
            Request::Peek(url()),
            Request::Prefetch(url()),
            Request::Proven([7; 32], url()),
            Request::Flush(String::new()),
            Request::List,
            Request::Stats,
        ] {
            let frame = request.encode(9);
            let length = length(*frame.first_chunk().unwrap(), MAX_REQUEST).unwrap();
            assert_eq!(length, frame.len() - LENGTH);
            assert_eq!(Request::decode(&frame[LENGTH..]), Some((9, request)));
        }
        for reply in [
            Reply::Body(-1, vec![0, 255]),
            Reply::Failed(-402, "why".into()),
            Reply::Text(b"{}".to_vec()),
            Reply::Unknown,
        ] {
            assert_eq!(Reply::decode(&reply.encode(3)[LENGTH..]), Some((3, reply)));
        }
        for junk in [
            &b""[..],
            b"123",
            b"1234",
            b"1234x",
            b"1234g12",
            b"1234p\xff",
            b"1234v12",
            b"1234lx",
            b"1234nx",
        ] {
            assert_eq!(Request::decode(junk), None, "{junk:?}");
            assert_eq!(Reply::decode(junk), None, "{junk:?}");
        }
        for wrong in [0_u32, 4, 4097, u32::MAX] {
            assert!(length(wrong.to_le_bytes(), MAX_REQUEST).is_err(), "{wrong}");
        }
    }
}
