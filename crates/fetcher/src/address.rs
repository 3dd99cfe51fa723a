//! Where a service listens: a path, or a name in the abstract namespace (`@name`).

use nix::sys::socket::{UnixAddr, getsockopt, sockopt};
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;

/// The address of a service's Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A file. Its folder has to be one that only its owner writes to.
    Path(PathBuf),
    /// A name without a file (Linux, unix(7)): gone with the process.
    Abstract(String),
}

impl Address {
    /// `@name` is a name, everything else a path.
    pub fn new(text: &str) -> Self {
        match text.strip_prefix('@') {
            Some(name) => Self::Abstract(name.into()),
            None => Self::Path(text.into()),
        }
    }

    /// A socket that listens here, for its owner alone. A socket file that a process left behind is
    /// replaced.
    ///
    /// # Errors
    /// The system's: no permission, no such folder, a name that is taken or too long (107 octets).
    pub fn listen(&self) -> io::Result<UnixListener> {
        match self {
            Self::Abstract(name) => {
                UnixListener::bind_addr(&SocketAddr::from_abstract_name(name.as_bytes())?)
            }
            Self::Path(path) => {
                let left = std::fs::symlink_metadata(path);
                if left.is_ok_and(|metadata| metadata.file_type().is_socket()) {
                    std::fs::remove_file(path)?;
                }
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
                Ok(listener)
            }
        }
    }

    pub(crate) fn to_unix(&self) -> nix::Result<UnixAddr> {
        match self {
            Self::Path(path) => UnixAddr::new(path),
            Self::Abstract(name) => UnixAddr::new_abstract(name.as_bytes()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

/// The user of the process at the other end (SO_PEERCRED; for a service, of the one that called
/// listen).
pub(crate) fn peer(socket: &impl AsFd) -> io::Result<u32> {
    Ok(getsockopt(socket, sockopt::PeerCredentials)?.uid())
}
