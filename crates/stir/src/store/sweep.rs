//! Keeps the folder from growing for ever.

use super::is_ours;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A temporary file this old is of a process that died while it wrote.
const TEMPORARY: Duration = Duration::from_secs(3600);

/// What is left of [`Room`] by a sweep that finds it taken, in eighths: the next writes are not to
/// sweep again at once.
const LEFT_EIGHTHS: u64 = 7;

/// How much a folder may hold. What was not used for longest goes.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Files.
    pub files: usize,
    /// Octets of them all.
    pub octets: u64,
}

/// Ten times all certificates that are in use in North America. What callers name may be of 64 KiB.
pub const ROOM: Room = Room { files: 65_536, octets: 256 * 1024 * 1024 };

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files that are gone.
    pub removed: usize,
    /// The store's files that are left.
    pub files: usize,
    /// Their octets.
    pub octets: u64,
}

/// Removes files that are older than `age`, those not used for longest if there are too many, and
/// what writers left behind. Files that are not the store's stay.
///
/// # Errors
/// The system's, if the folder can't be read.
pub fn sweep(folder: &Path, age: Duration, room: &Room) -> io::Result<Swept> {
    let now = SystemTime::now();
    let since = |time: SystemTime| now.duration_since(time).ok();
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
        let Ok((written, used, len)) =
            file.metadata().and_then(|data| Ok((data.modified()?, data.accessed()?, data.len())))
        else {
            continue;
        };
        let old = since(written).unwrap_or(Duration::MAX);
        if old > if temporary { TEMPORARY } else { age } {
            gone.push(file.path());
        } else if !temporary {
            // One that was only read now, by who may not write, is used no less.
            let idle = since(used).map_or(Duration::ZERO, |used| used.min(old));
            kept.push((idle, len, file.path()));
        }
    }
    let octets = kept.iter().fold(0_u64, |sum, (_, len, _)| sum.saturating_add(*len));
    let mut left = Swept { removed: 0, files: kept.len(), octets };
    if left.files > room.files || left.octets > room.octets {
        let files = room.files as u64 * LEFT_EIGHTHS / 8;
        kept.sort_unstable();
        while left.files as u64 > files || left.octets > room.octets / 8 * LEFT_EIGHTHS {
            let Some((_, len, path)) = kept.pop() else { break };
            left.files -= 1;
            left.octets = left.octets.saturating_sub(len);
            gone.push(path);
        }
    }
    for path in &gone {
        // Another process may have been faster.
        let _ = fs::remove_file(path);
    }
    Ok(Swept { removed: gone.len(), ..left })
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
            let time = SystemTime::now() - Duration::from_secs(age);
            file.set_times(fs::FileTimes::new().set_accessed(time).set_modified(time)).unwrap();
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
        let swept = |removed, files| Swept { removed, files, octets: files as u64 * 10 };
        assert_eq!(sweep(100, 1000), swept(3, 8), "those of 800 s and more, and a writer's");
        assert_eq!(left().len(), 10);
        // The oldest but one was used since.
        let used = fs::File::open(folder.join(name(6))).unwrap();
        used.set_times(fs::FileTimes::new().set_accessed(SystemTime::now())).unwrap();
        assert_eq!(sweep(100, 64), swept(3, 5));
        assert_eq!(sweep(3, 1000), swept(3, 2));
        assert_eq!(left(), [".2-2.tmp".into(), name(0), name(6), "mine.pem".into()]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
