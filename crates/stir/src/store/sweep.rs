//! Keeps the folder from growing for ever.

use super::is_ours;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A temporary file this old is of a process that died while it wrote.
const TEMPORARY: Duration = Duration::from_secs(3600);

/// How much a folder may hold. The oldest go.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Files.
    pub files: usize,
    /// Octets of them all.
    pub octets: u64,
}

/// Ten times all certificates that are in use in North America. What callers name may be of 64 KiB.
pub const ROOM: Room = Room { files: 65_536, octets: 256 * 1024 * 1024 };

/// Removes files that are older than `age`, the oldest of those for which there is no room, and what
/// writers left behind; how many. Files that are not the store's stay.
///
/// # Errors
/// The system's, if the folder can't be read.
pub fn sweep(folder: &Path, age: Duration, room: &Room) -> io::Result<usize> {
    let now = SystemTime::now();
    let mut kept: Vec<(Duration, u64, PathBuf)> = Vec::new();
    let mut gone = Vec::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name();
        let name = name.to_string_lossy();
        let temporary = name.starts_with('.') && name.ends_with(".tmp");
        if !temporary && !is_ours(&name) {
            continue;
        }
        // Another process may have removed it by now; one from the future is as old as can be.
        let Ok((written, len)) =
            file.metadata().and_then(|data| Ok((data.modified()?, data.len())))
        else {
            continue;
        };
        let old = now.duration_since(written).unwrap_or(Duration::MAX);
        if old > if temporary { TEMPORARY } else { age } {
            gone.push(file.path());
        } else if !temporary {
            kept.push((old, len, file.path()));
        }
    }
    kept.sort_unstable();
    let (mut files, mut octets) = (0, 0_u64);
    for (_, len, path) in kept {
        files += 1;
        octets = octets.saturating_add(len);
        if files > room.files || octets > room.octets {
            gone.push(path);
        }
    }
    for path in &gone {
        // Another process may have been faster.
        let _ = fs::remove_file(path);
    }
    Ok(gone.len())
}

#[cfg(test)]
mod tests {
    use super::super::SUFFIX;
    use super::*;

    #[test]
    fn old_files_go_and_others_stay() {
        let folder = std::env::temp_dir().join(format!("stir-sweep-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let make = |name: &str, age: u64| {
            let file = fs::File::create(folder.join(name)).unwrap();
            file.set_len(10).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        };
        let name = |n: usize| format!("{n:064x}{SUFFIX}");
        (0..10).for_each(|n| make(&name(n), n as u64 * 100));
        make("mine.pem", 1_000_000);
        make(".1-1.tmp", 10_000);
        make(".2-2.tmp", 10);
        let left = || {
            let mut left: Vec<_> = fs::read_dir(&folder)
                .unwrap()
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
            left.sort();
            left
        };
        let sweep = |files, octets| {
            sweep(&folder, Duration::from_secs(750), &Room { files, octets }).unwrap()
        };
        assert_eq!(sweep(100, 1000), 3);
        assert_eq!(left().len(), 10);
        assert_eq!(sweep(100, 55), 3);
        assert_eq!(left().len(), 7);
        assert_eq!(sweep(2, 1000), 3);
        assert_eq!(left(), [".2-2.tmp".into(), name(0), name(1), "mine.pem".into()]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
