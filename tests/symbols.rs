//! What the module takes from the process that loads it, and what it gives: all that it wants is
//! there, and nothing but Kamailio's own interface is to be seen from outside.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::kamailio::{binary, our_module};
use support::root;

/// What Kamailio looks up in a module (core/sr_module.c).
const INTERFACE: [&str; 5] =
    ["exports", "mod_register", "module_flags", "module_interface_ver", "module_version"];

/// How the names of libraries start that every Debian has (the dynamic linker's end differs).
const LIBRARIES: [&str; 4] = ["ld-linux", "libc.so.6", "libgcc_s.so.1", "libm.so.6"];

/// A program of binutils, which gcc brings.
fn binutils(program: &str, args: &[&str], file: &Path) -> String {
    let output = Command::new(program)
        .args(args)
        .arg(file)
        .output()
        .unwrap_or_else(|e| panic!("{program} can't run ({e}): run make deps"));
    assert!(
        output.status.success(),
        "{program} {}: {}",
        file.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Names with their versions (`memcpy@GLIBC_2.14`) and nm's letters for their types.
fn symbols(file: &Path, which: &str) -> BTreeMap<String, char> {
    binutils("nm", &["--dynamic", "--with-symbol-versions", which], file)
        .lines()
        .map(|line| {
            let mut words = line.split_whitespace().rev();
            // `@@`: the version that is taken when none is asked for.
            let name = words.next().unwrap().replace("@@", "@");
            (name, words.next().unwrap().chars().next().unwrap())
        })
        .collect()
}

/// The libraries that a file names as needed.
fn needed(file: &Path) -> BTreeSet<String> {
    binutils("readelf", &["--dynamic", "--wide"], file)
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .map(|line| line.split(['[', ']']).nth(1).unwrap().to_owned())
        .collect()
}

/// A library in the system that Kamailio runs in.
fn library(name: &str) -> PathBuf {
    let machine = format!("{}-linux-gnu", std::env::consts::ARCH);
    [format!("usr/lib/{machine}"), format!("lib/{machine}"), "usr/lib64".into(), "lib64".into()]
        .iter()
        .map(|folder| root().join(folder).join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("no {name} under {}", root().display()))
}

#[test]
fn all_that_the_module_wants_is_there() {
    let module = our_module();
    let libraries = needed(&module);
    for name in &libraries {
        let known = LIBRARIES.iter().any(|known| name.starts_with(known));
        assert!(known, "the module needs {name}");
    }
    let mut offered: BTreeSet<String> = symbols(&binary(), "--defined-only").into_keys().collect();
    assert!(offered.contains("sr_kemi_modules_add"), "no Kamailio: {}", binary().display());
    for name in &libraries {
        offered.extend(symbols(&library(name), "--defined-only").into_keys());
    }
    let wanted = symbols(&module, "--undefined-only");
    assert!(wanted.len() > 50, "nm lists no more than {wanted:?}");
    // Weak ones (w, v) may be missing.
    let missing: Vec<&String> = wanted
        .iter()
        .filter(|(name, kind)| **kind == 'U' && !offered.contains(*name))
        .map(|(name, _)| name)
        .collect();
    assert!(missing.is_empty(), "neither Kamailio nor {libraries:?} have {missing:?}");
}

#[test]
fn the_module_shows_its_interface_and_nothing_else() {
    let shown = symbols(&our_module(), "--defined-only");
    assert_eq!(shown.keys().map(String::as_str).collect::<Vec<_>>(), INTERFACE);
}
