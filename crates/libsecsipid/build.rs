//! Names the shared library as programs that were linked with the stock one look for it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libsecsipid.so.1");
    // Rust's runtime has thread-local destructors: the library must stay mapped after dlclose.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
