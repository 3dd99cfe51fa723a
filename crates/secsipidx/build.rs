//! How the program is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Each start relocates 14,000 pointers: written as a bitmap they are read in a twentieth of the
    // octets. It needs glibc 2.36 (Debian 12) where the program runs.
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
