//! An x5u that a file holds, so that it changes with the key: `file:///path`.

use super::{Signer, valid_x5u};
use crate::error::{Code, Error, Result};
use crate::file;
use std::borrow::Cow;
use std::path::Path;

/// What such an x5u begins with.
const FILE: &str = "file://";
/// How often key and x5u are read together: to be replaced twice within one call is no rotation.
const ATTEMPTS: u32 = 4;

/// The path of the file, if it is one.
pub(crate) fn path(x5u: &str) -> Option<&str> {
    x5u.strip_prefix(FILE).filter(|path| path.starts_with('/'))
}

impl Signer {
    /// A URL and the key that goes with it. Of a file the URL counts if it is the same one before
    /// and after the key was read: a tool that switches both at once (a folder behind a symbolic
    /// link) is never seen half way.
    pub(super) fn with_x5u<'a, K>(
        &self,
        x5u: &'a str,
        key: impl Fn() -> Result<K>,
    ) -> Result<(Cow<'a, str>, K)> {
        let Some(path) = path(x5u) else { return Ok((x5u.into(), key()?)) };
        for _ in 0..ATTEMPTS {
            let before = file::stamp(Path::new(path))?;
            let url = self.x5us.get(path, read)?;
            valid_x5u(&url, self.policy)?;
            let key = key()?;
            if file::stamp(Path::new(path))? == before {
                return Ok((url.as_str().to_owned().into(), key));
            }
        }
        Err(Error::new(
            Code::HeaderX5u,
            format!(
                "x5u file \"{path}\" is replaced all the time: is something wrong with the tool that does it?"
            ),
        ))
    }
}

/// One line.
fn read(text: &[u8]) -> Result<String> {
    let line = std::str::from_utf8(text).unwrap_or_default().trim();
    if line.is_empty() || path(line).is_some() {
        return Err(Error::new(Code::HeaderX5u, "does not hold the URL of a certificate"));
    }
    Ok(line.to_owned())
}
