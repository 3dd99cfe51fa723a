//! GET /v1/pub/: certificates for verifiers. Never a file outside the folder, and only what parses as
//! certificates, CRLs or public keys: a list of what is secret would lack the next form of a key.

use bytes::Bytes;
use der::asn1::AnyRef;
use der::pem::{LineEnding, encode_string};
use der::{Decode, SliceReader, Tag, Tagged};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use stir::cert::Certificate;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::rustls::pki_types::pem::{PemObject, SectionKind};
use x509_cert::spki::SubjectPublicKeyInfoRef;

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
    /// It holds something else than what the public may have.
    NotPublic,
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

    /// The content of a file by its path in a URL, still percent-encoded, and its Content-Type.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn read(&self, path: &str) -> Result<(Bytes, &'static str), Refusal> {
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
        let (octets, content_type) = public(octets).ok_or(Refusal::NotPublic)?;
        Ok((Bytes::from_owner(Content { octets, _part }), content_type))
    }
}

/// What of a file the public may have, and its Content-Type; `None` if anything else is in it. PEM is
/// written anew from what was parsed, so that no text between the blocks is sent.
fn public(content: Vec<u8>) -> Option<(Vec<u8>, &'static str)> {
    /// What some editors put before a text.
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    const BEGIN: &[u8] = b"-----BEGIN";
    if let Some(kind) = Kind::of(&content) {
        return Some((content, kind.media_type()));
    }
    let text = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&content);
    let blocks: Vec<_> =
        <(SectionKind, Vec<u8>)>::pem_slice_iter(text).collect::<Result<_, _>>().ok()?;
    // The iterator passes over labels that it does not know.
    let begun = text.windows(BEGIN.len()).filter(|window| *window == BEGIN).count();
    if blocks.is_empty() || begun != blocks.len() {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut media_type = "application/pem-certificate-chain";
    for (label, der) in blocks {
        let kind = Kind::of(&der)?;
        let (due, label) = match label {
            SectionKind::Certificate => (Kind::Certificate, "CERTIFICATE"),
            SectionKind::Crl => (Kind::Crl, "X509 CRL"),
            SectionKind::PublicKey => (Kind::PublicKey, "PUBLIC KEY"),
            _ => return None,
        };
        if kind != due {
            return None;
        }
        if kind != Kind::Certificate {
            media_type = "application/x-pem-file";
        }
        out.push_str(&encode_string(label, LineEnding::LF, &der).ok()?);
    }
    Some((out.into_bytes(), media_type))
}

/// What the public may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Certificate,
    Crl,
    PublicKey,
}

impl Kind {
    /// Of DER with nothing after it.
    fn of(der: &[u8]) -> Option<Self> {
        if Certificate::from_der(der).is_ok() {
            Some(Self::Certificate)
        } else if is_crl(der).unwrap_or_default() {
            Some(Self::Crl)
        } else if SubjectPublicKeyInfoRef::try_from(der).is_ok() {
            Some(Self::PublicKey)
        } else {
            None
        }
    }

    /// Of its DER.
    const fn media_type(self) -> &'static str {
        match self {
            Self::Certificate => "application/pkix-cert",
            Self::Crl => "application/pkix-crl",
            Self::PublicKey => "application/octet-stream",
        }
    }
}

/// Whether this is a CertificateList (RFC 5280 §5.1), by all but its entries, of which a large one has
/// hundreds of thousands.
fn is_crl(der: &[u8]) -> der::Result<bool> {
    let all = Vec::<AnyRef<'_>>::from_der(der)?;
    let [list, algorithm, signature] = all[..] else { return Ok(false) };
    let tags = [list.tag(), algorithm.tag(), signature.tag()];
    let mut fields = SliceReader::new(list.value())?;
    let mut next = || AnyRef::decode(&mut fields).map(|any| any.tag());
    let mut first = next()?;
    if first == Tag::Integer {
        first = next()?;
    }
    let fields = [first, next()?, next()?];
    Ok(tags == [Tag::Sequence, Tag::Sequence, Tag::BitString]
        && fields[..2] == [Tag::Sequence, Tag::Sequence]
        && matches!(fields[2], Tag::UtcTime | Tag::GeneralizedTime))
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
