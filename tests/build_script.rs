//! How the build finds the Kamailio that it builds for, and what it refuses. The build script that
//! `make build` compiled is run by itself.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::kamailio::{built, modules_folder};
use support::{Folder, repository_path};

/// The build script of the module, the latest that was compiled.
fn build_script() -> PathBuf {
    let folder = built("build");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("secsipid-"))
        .map(|path| path.join("build-script-build"))
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .collect();
    found.sort();
    found.pop().expect("make build compiled a build script").1
}

/// What the script prints, with these variables.
fn run(vars: &[(&str, &Path)]) -> String {
    let out = Folder::new();
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = Command::new(build_script());
    command.current_dir(repository_path(".")).env("OUT_DIR", out.path());
    for name in ["KAMAILIO", "KAMAILIO_SRC", "MODULES_DIR", "KAMAILIO_ROOT"] {
        command.env_remove(name);
    }
    command.envs([("TARGET", target.as_str()), ("HOST", &target), ("OPT_LEVEL", "0")]);
    let output = command.envs(vars.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A Kamailio of another make: its binary says `version`, its modules have `flags`.
fn kamailio(folder: &Folder, version: &str, flags: &str) -> PathBuf {
    let modules = folder.join("lib64/kamailio/modules");
    std::fs::create_dir_all(&modules).unwrap();
    std::fs::write(modules.join("pv.so"), format!("\u{7f}ELF\0{flags}\0more")).unwrap();
    std::fs::create_dir(folder.join("sbin")).unwrap();
    let binary = folder.join("sbin/kamailio");
    let says = format!(
        "#!/bin/sh\necho 'version: kamailio {version} (x86_64/linux) 0'\necho 'flags: USE_TCP, OF_THE_BINARY'\n"
    );
    std::fs::write(&binary, says).unwrap();
    std::fs::set_permissions(&binary, PermissionsExt::from_mode(0o755)).unwrap();
    binary
}

/// A source tree that has the headers of the installed Kamailio, and says this version.
fn source(folder: &Folder, file: &str, text: &str) -> PathBuf {
    let fetch = repository_path("kamailio-headers/fetch.sh");
    let Output { status, stdout, .. } = Command::new(fetch).output().unwrap();
    assert!(status.success());
    let tree = folder.join("tree");
    std::fs::create_dir(&tree).unwrap();
    symlink(String::from_utf8(stdout).unwrap().trim(), tree.join("src")).unwrap();
    std::fs::write(tree.join(file), text).unwrap();
    tree
}

const MAKE: &str = "VERSION = 5\nPATCHLEVEL = 9\nSUBLEVEL =  1\nEXTRAVERSION = -dev1\n";
const CMAKE: &str = "cmake_minimum_required(VERSION 3.13)\nproject(\n  kamailio\n  VERSION 5.9.1\n)\nset(EXTRAVERSION \"-dev1\")\n";

#[test]
fn flags_are_those_of_the_modules_beside_the_binary() {
    let folder = Folder::new();
    let flags = "USE_TCP, OF_ITS_MODULES, Q_MALLOC";
    let binary = kamailio(&folder, "5.9.1-dev1", flags);
    for (name, text) in [("Makefile.defs", MAKE), ("CMakeLists.txt", CMAKE)] {
        let folder = Folder::new();
        let tree = source(&folder, name, text);
        let said = run(&[("KAMAILIO", &binary), ("KAMAILIO_SRC", &tree)]);
        assert!(
            said.contains(&format!("those of the installed Kamailio are \"{flags}\"")),
            "{said}"
        );
        for path in [&binary, &folder_of(&binary).join("lib64/kamailio/modules/pv.so")] {
            let watched = format!("cargo::rerun-if-changed={}", path.display());
            assert!(said.contains(&watched), "an upgrade must be noticed: {said}");
        }
    }
    // Named by the operator, where the binary has none beside it.
    let bare = Folder::new();
    let named = kamailio(&bare, "5.9.1-dev1", "");
    std::fs::remove_dir_all(bare.join("lib64")).unwrap();
    let modules = folder.join("lib64/kamailio/modules");
    let trees = Folder::new();
    let tree = source(&trees, "Makefile.defs", MAKE);
    let all = [("KAMAILIO", named.as_path()), ("KAMAILIO_SRC", &tree), ("MODULES_DIR", &modules)];
    assert!(run(&all).contains("OF_ITS_MODULES"), "MODULES_DIR counts");
    let said = run(&all[..2]);
    assert!(said.contains("give the folder of Kamailio's modules in MODULES_DIR"), "{said}");
}

fn folder_of(binary: &Path) -> &Path {
    binary.parent().and_then(Path::parent).unwrap()
}

#[test]
fn a_source_tree_of_another_version_is_refused() {
    let folder = Folder::new();
    let binary = kamailio(&folder, "6.2.0-dev1", "USE_TCP, F_MALLOC");
    for (name, text, expected) in [
        ("Makefile.defs", MAKE, "is Kamailio 5.9.1-dev1, but the binary is 6.2.0-dev1"),
        ("CMakeLists.txt", CMAKE, "is Kamailio 5.9.1-dev1, but the binary is 6.2.0-dev1"),
        ("README", "", "has no src/Makefile.defs and no CMakeLists.txt with a version"),
    ] {
        let folder = Folder::new();
        let tree = source(&folder, name, text);
        let said = run(&[("KAMAILIO", &binary), ("KAMAILIO_SRC", &tree)]);
        assert!(said.contains("cargo::error=") && said.contains(expected), "{said}");
    }
}

#[test]
fn a_kamailio_that_is_not_there_is_named() {
    for (path, part) in [
        ("/nonexistent/kamailio", "KAMAILIO=/nonexistent/kamailio is not a program"),
        ("no-kamailio", "no no-kamailio found in PATH"),
    ] {
        let said = run(&[("KAMAILIO", Path::new(path))]);
        assert!(said.contains("cargo::error=") && said.contains(part), "{said}");
    }
}

/// Runs a script, as root of a folder with a Debian of its own.
fn shell(folder: &Folder, script: &str) -> Output {
    Command::new("sh").args(["-euc", script]).current_dir(folder.path()).output().unwrap()
}

/// Kamailio's own repository has native source packages: one archive, without patches.
#[test]
fn headers_come_from_a_native_source_package_too() {
    let folder = Folder::new();
    let version = "5.9.1+bpo12";
    let tree = repository_path(&format!("kamailio-headers/tree-{version}"));
    let made = shell(
        &folder,
        &format!(
            r#"mkdir -p native/src/core native/src/modules/tm native/src/lib native/debian/source repo
            echo '#define NATIVE 1' >native/src/core/sr_module.h
            echo '3.0 (native)' >native/debian/source/format
            printf 'Source: kamailio\nMaintainer: A <a@b>\n\nPackage: kamailio\nArchitecture: any\nDescription: k\n' >native/debian/control
            printf 'kamailio ({version}) unstable; urgency=low\n\n  * N.\n\n -- A <a@b>  Mon, 01 Jan 2024 00:00:00 +0000\n' >native/debian/changelog
            (cd repo && dpkg-source -b ../native && dpkg-scansources . >Sources 2>/dev/null && : >Packages)
            mkdir -p root/etc/apt/sources.list.d root/var/lib/dpkg/info root/var/lib/dpkg/updates
            echo "deb [trusted=yes] file:$PWD/repo ./" >root/etc/apt/sources.list.d/own.list
            printf 'Package: kamailio\nStatus: install ok installed\nMaintainer: A <a@b>\nArchitecture: amd64\nVersion: {version}\nDescription: k\n' >root/var/lib/dpkg/status"#
        ),
    );
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let fetched = Command::new(repository_path("kamailio-headers/fetch.sh"))
        .env("KAMAILIO_ROOT", folder.join("root"))
        .env_remove("KAMAILIO_SRC")
        .output()
        .unwrap();
    let header = std::fs::read_to_string(tree.join("core/sr_module.h"));
    let _ = std::fs::remove_dir_all(&tree);
    assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    assert_eq!(header.unwrap(), "#define NATIVE 1\n");
}

#[test]
fn building_installs_only_what_building_needs() {
    let output = Command::new("make")
        .args(["--dry-run", "--no-print-directory", "build"])
        .current_dir(repository_path("."))
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let packages: Vec<&str> = shown
        .lines()
        .find(|line| line.contains("tests/deps.sh"))
        .expect("make build looks for packages")
        .split_whitespace()
        .collect();
    assert!(packages.contains(&"libclang-dev"), "{packages:?}");
    // A Kamailio is there, whoever built it: no other one is installed beside it.
    assert!(!modules_folder().is_empty());
    let others = [
        "kamailio",
        "kamailio-secsipid-modules",
        "secsipidx",
        "chromium",
        "redis-server",
        "prometheus",
        "valgrind",
        "wrk",
    ];
    assert!(!others.iter().any(|other| packages.contains(other)), "{packages:?}");
}
