//! GET /v1/pub/: certificates for verifiers. Never a file outside the folder, never a private key.

use bytes::Bytes;
use der::{Decode, Tagged};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Largest file: a chain has 8 KiB, a CRL of a country a few MiB.
const MAX_FILE: u32 = 16 * 1024 * 1024;
/// Octets of all files that are being sent: clients that read slowly must not fill the memory.
const MAX_SENT: usize = 64 * 1024 * 1024;

/// A folder that is open.
pub struct Folder {
    folder: OwnedFd,
    /// Octets that may still be read into memory.
    free: Arc<Semaphore>,
}

/// A file's content, until it is sent.
struct Content {
    octets: Vec<u8>,
    _part: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

/// Why a file is not served.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is none that may be seen: outside, hidden, a folder, or not there at all.
    NotFound,
    /// It holds a private key.
    Secret,
    /// Too much is being sent.
    Busy,
}

impl Folder {
    /// Opens the folder; it stays the same one whatever is renamed.
    ///
    /// # Errors
    /// It is none, or can't be read.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        if !path.is_dir() {
            return Err(std::io::ErrorKind::NotADirectory.into());
        }
        let folder = File::open(path)?.into();
        Ok(Self { folder, free: Arc::new(Semaphore::new(MAX_SENT)) })
    }

    /// The content of a file by its path in a URL, still percent-encoded.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn read(&self, path: &str) -> Result<Bytes, Refusal> {
        let path = decode(path).ok_or(Refusal::NotFound)?;
        // Dot files too: nobody means to publish them.
        if path.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
            return Err(Refusal::NotFound);
        }
        // The kernel sees to it that no part of the way leads out, through links neither, whoever
        // changes the folder meanwhile. NONBLOCK: a FIFO would wait for its writer.
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let file =
            File::from(openat2(&self.folder, path.as_str(), how).map_err(|_| Refusal::NotFound)?);
        let metadata = file.metadata().map_err(|_| Refusal::NotFound)?;
        let size = u32::try_from(metadata.len()).unwrap_or(u32::MAX);
        if !metadata.is_file() || size > MAX_FILE {
            return Err(Refusal::NotFound);
        }
        let part = Arc::clone(&self.free).try_acquire_many_owned(size);
        let _part = part.map_err(|_| Refusal::Busy)?;
        let mut octets = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        file.take(size.into()).read_to_end(&mut octets).map_err(|_| Refusal::NotFound)?;
        if is_secret(&octets) {
            Err(Refusal::Secret)
        } else {
            Ok(Bytes::from_owner(Content { octets, _part }))
        }
    }
}

/// Whether a private key is in it: any PEM kind, PKCS#8, SEC1 and PKCS#1 as DER, PKCS#12.
fn is_secret(content: &[u8]) -> bool {
    let names_key = content.windows(11).any(|window| window.eq_ignore_ascii_case(b"PRIVATE KEY"));
    // All of them are a SEQUENCE that begins with a version, or (PKCS#8 that is encrypted) has an
    // OCTET STRING in it; a certificate and a CRL have neither.
    let key_like = Vec::<der::Any>::from_der(content).is_ok_and(|elements| {
        elements.first().is_some_and(|any| any.tag() == der::Tag::Integer)
            || elements.iter().any(|any| any.tag() == der::Tag::OctetString)
    });
    names_key || key_like
}

/// Percent-decoding, once.
fn decode(path: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(octet) = rest.next() {
        if octet == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            octets.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            octets.push(octet);
        }
    }
    // An encoded NUL or slash is no part of a name.
    let encoded_slash = path.to_ascii_lowercase().contains("%2f");
    (!octets.contains(&0) && !encoded_slash).then(|| String::from_utf8(octets).ok())?
}

/// The Content-Type by a file's name.
pub fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("pem" | "crt") => "application/pem-certificate-chain",
        Some("cer" | "der") => "application/pkix-cert",
        Some("crl") => "application/pkix-crl",
        Some("json") => "application/json",
        Some("jwt") => "application/jose",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
