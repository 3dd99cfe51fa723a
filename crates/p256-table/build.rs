//! Compiles the functions of s2n-bignum that `src/sys.rs` declares.
//!
//! They come out of aws-lc-sys's package, which Cargo has fetched for aws-lc-rs. A file is used only
//! if its digest is the one in `s2n-bignum.sha256`, so it does not matter where it was found.
//! Without them the crate makes no tables, and says so in one line.

use sha2::{Digest, Sha256};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Digest and path of each file, as `sha256sum` writes them.
const DIGESTS: &str = include_str!("s2n-bignum.sha256");
/// Where they are in aws-lc-sys's package.
const IMPORTED: &str = "aws-lc/third_party/s2n-bignum/s2n-bignum-imported";
/// The folder of aws-lc-sys's package, for builds whose package is elsewhere; empty for no tables.
const FOLDER: &str = "P256_TABLE_AWS_LC_SYS";
/// Put before the names of the functions, so that no other copy of them is meant.
const PREFIX: &str = "p256_table_";

fn main() {
    println!("cargo::rustc-check-cfg=cfg(s2n_bignum)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=s2n-bignum.sha256");
    println!("cargo::rerun-if-env-changed={FOLDER}");
    match compile() {
        Ok(()) => println!("cargo::rustc-cfg=s2n_bignum"),
        Err(why) => println!("cargo::warning=no key tables, aws-lc verifies alone: {why}"),
    }
}

fn compile() -> Result<(), String> {
    let arch = match target("ARCH").as_str() {
        "x86_64" => "x86_att",
        "aarch64" => "arm",
        other => return Err(format!("there is no assembly for {other}")),
    };
    if target("FAMILY") != "unix" || target("POINTER_WIDTH") != "64" || target("ENDIAN") != "little"
    {
        return Err("the assembly is for 64-bit little-endian Unix".into());
    }
    if env::var_os(FOLDER).is_some_and(|folder| folder.is_empty()) {
        return Err(format!("{FOLDER} is empty"));
    }
    let header = format!("include/_internal_s2n_bignum_{arch}.h");
    let files: Vec<(&str, &str)> = DIGESTS
        .lines()
        .filter_map(|line| line.split_once("  "))
        .filter(|(_, path)| *path == header || path.starts_with(&format!("{arch}/")))
        .collect();
    let sources = find(&files)?;
    let own = names(&files)?;
    let mut build = cc::Build::new();
    build.include(own).include(sources.join("include")).define("S2N_BN_HIDE_SYMBOLS", None);
    // Warnings are the business of s2n-bignum's own builds.
    build.warnings(false).cargo_warnings(false);
    build.files(
        files.iter().filter(|(_, path)| is_assembly(path)).map(|(_, path)| sources.join(path)),
    );
    build.try_compile("p256_table_s2n_bignum").map_err(|e| format!("s2n-bignum: {e}"))
}

fn target(what: &str) -> String {
    env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default()
}

fn is_assembly(path: &str) -> bool {
    path.ends_with(".S")
}

/// The first folder that has all files with their digests; else what is wrong with the last.
fn find(files: &[(&str, &str)]) -> Result<PathBuf, String> {
    let mut why = "aws-lc-sys's package was not found".into();
    for package in packages() {
        let sources = package.join(IMPORTED);
        match files.iter().try_for_each(|(digest, path)| check(&sources.join(path), digest)) {
            Ok(()) => {
                for (_, path) in files {
                    println!("cargo::rerun-if-changed={}", sources.join(path).display());
                }
                return Ok(sources);
            }
            Err(e) => why = e,
        }
    }
    Err(why)
}

fn check(path: &Path, digest: &str) -> Result<(), String> {
    let text = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let found: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    if found == digest {
        return Ok(());
    }
    Err(format!("{} is not the file that was reviewed: its SHA-256 is {found}", path.display()))
}

/// Folders that may be aws-lc-sys's package.
fn packages() -> Vec<PathBuf> {
    if let Some(folder) = env::var_os(FOLDER) {
        return vec![folder.into()];
    }
    let mut found = resolved();
    // Beside this package, where both come from the registry or from `cargo vendor`.
    let own = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    found.extend(own.parent().map(named).unwrap_or_default());
    // `cargo metadata` fails where other packages, those of tests, were not fetched.
    if let Some(home) = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(default_home) {
        found.extend(folders(&home.join("registry/src")).iter().flat_map(|index| named(index)));
    }
    found
}

fn default_home() -> Option<PathBuf> {
    env::home_dir().map(|home| home.join(".cargo"))
}

/// Where Cargo has what this workspace is built with.
fn resolved() -> Vec<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let asked = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--offline", "--locked", "--filter-platform"])
        .arg(env::var_os("TARGET").unwrap_or_default())
        .output();
    let Ok(answer) = asked else { return Vec::new() };
    // Paths that JSON would escape are found in no other way than by P256_TABLE_AWS_LC_SYS.
    String::from_utf8_lossy(&answer.stdout)
        .split("\"manifest_path\":\"")
        .filter_map(|rest| rest.split('"').next().map(Path::new)?.parent())
        .filter(|folder| is_package(folder))
        .map(Path::to_path_buf)
        .collect()
}

fn named(folder: &Path) -> Vec<PathBuf> {
    folders(folder).into_iter().filter(|folder| is_package(folder)).collect()
}

fn is_package(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("aws-lc-sys"))
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Makes the header by which aws-lc names its functions, so that it names them ours.
fn names(files: &[(&str, &str)]) -> Result<PathBuf, String> {
    let folder = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut text = String::new();
    for (_, path) in files.iter().filter(|(_, path)| is_assembly(path)) {
        let name = Path::new(path).file_stem().unwrap_or_default().to_string_lossy();
        // The second is for macOS, whose symbols begin with an underscore.
        text += &format!("#define {name} {PREFIX}{name}\n#define _{name} _{PREFIX}{name}\n");
    }
    let header = folder.join("openssl/boringssl_prefix_symbols_asm.h");
    fs::create_dir_all(folder.join("openssl"))
        .and_then(|()| fs::write(&header, text))
        .map_err(|e| format!("{}: {e}", header.display()))?;
    Ok(folder)
}
