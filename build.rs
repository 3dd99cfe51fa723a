//! Binds Kamailio's API: headers and defines of the very Kamailio that the module will run in.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    for name in ["KAMAILIO", "KAMAILIO_ROOT", "KAMAILIO_SRC"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=kamailio-headers");
    if let Err(why) = build() {
        println!("cargo::error={why}");
    }
}

fn build() -> Result<(), String> {
    let tree = headers()?;
    let kamailio = Kamailio::installed()?;
    let defines = kamailio.defines();

    let mut cc = cc::Build::new();
    cc.include(&tree).include("kamailio-headers").warnings(false);
    for (name, value) in &defines {
        cc.define(name, value.as_deref());
    }
    let own = constants(cc.clone())?;
    kamailio.check_flags(&own.flags)?;
    println!("cargo::rustc-env=KAMAILIO_MODULE_VERSION={}", own.version);
    println!("cargo::rustc-env=KAMAILIO_MODULE_FLAGS={}", own.flags);
    cc.file("kamailio-headers/shim.c")
        .try_compile("shim")
        .map_err(|e| format!("the shim does not compile: {e}"))?;
    bindings(&tree, &defines)?;

    // Rust's runtime has thread-local destructors: the module must stay mapped.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    Ok(())
}

/// The folder that holds `core/`.
fn headers() -> Result<PathBuf, String> {
    let output = Command::new("kamailio-headers/fetch.sh")
        .output()
        .map_err(|e| format!("kamailio-headers/fetch.sh can't run: {e}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().into())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; "))
    }
}

/// What `kamailio -V` says.
struct Kamailio {
    version: String,
    arch: String,
    os: String,
    flags: String,
    /// The line after the flags: `ADAPTIVE_WAIT_LOOPS 1024, MAX_URI_SIZE 1024, …`.
    sizes: String,
}

impl Kamailio {
    fn installed() -> Result<Self, String> {
        let binary = env::var("KAMAILIO").unwrap_or_else(|_| "kamailio".into());
        let mut command = match env::var("KAMAILIO_ROOT") {
            Ok(root) if !root.is_empty() => {
                let mut command = Command::new("chroot");
                command.arg(root).arg(&binary);
                command
            }
            _ => Command::new(&binary),
        };
        let output = command.arg("-V").output().map_err(|e| {
            format!(
                "`{binary} -V` can't run ({e}): run make deps, or name the binary with KAMAILIO"
            )
        })?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Self::parse(&text)
            .map(|kamailio| match module_flags() {
                Some(flags) => Self { flags, ..kamailio },
                None => kamailio,
            })
            .ok_or_else(|| format!("`{binary} -V` says nothing that is known: {text}"))
    }

    /// `version: kamailio 5.6.3 (x86_64/linux) …`, `flags: …`, sizes.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let rest = lines.find_map(|line| line.strip_prefix("version: kamailio "))?;
        let (version, rest) = rest.split_once(" (")?;
        let (arch, rest) = rest.split_once('/')?;
        let (os, _) = rest.split_once(')')?;
        let flags = lines.find_map(|line| line.strip_prefix("flags: "))?;
        Some(Self {
            version: version.into(),
            arch: arch.into(),
            os: os.into(),
            flags: flags.trim().into(),
            sizes: lines.next().unwrap_or_default().into(),
        })
    }

    /// What the preprocessor must know for types and macros to be those of this binary.
    fn defines(&self) -> Vec<(String, Option<String>)> {
        let text = |value: &str| Some(format!("\"{value}\""));
        let mut defines = vec![
            ("NAME".to_owned(), text("kamailio")),
            ("VERSION".into(), text(&self.version)),
            ("ARCH".into(), text(&self.arch)),
            ("OS_QUOTED".into(), text(&self.os)),
            (format!("__CPU_{}", self.arch), None),
            (format!("__OS_{}", self.os.to_lowercase()), None),
            ("CC_GCC_LIKE_ASM".into(), None),
        ];
        for flag in self.flags.split(", ") {
            match flag {
                // These are written in another way than they are defined.
                "FAST_LOCK-ADAPTIVE_WAIT" => {
                    defines.push(("FAST_LOCK".into(), None));
                    defines.push(("ADAPTIVE_WAIT".into(), None));
                }
                "FAST_LOCK-BUSY_WAIT" => {
                    defines.push(("FAST_LOCK".into(), None));
                    defines.push(("BUSY_WAIT".into(), None));
                }
                "TLS_PTHREAD_MUTEX_SHARED" => {
                    defines.push(("KSR_PTHREAD_MUTEX_SHARED".into(), None))
                }
                flag => defines.push((flag.into(), None)),
            }
        }
        for size in self.sizes.split(", ") {
            if let Some((name @ "ADAPTIVE_WAIT_LOOPS", value)) = size.split_once(' ') {
                defines.push((name.into(), Some(value.into())));
            }
        }
        defines
    }

    /// Kamailio refuses a module whose flags are not its own: say so now.
    fn check_flags(&self, own: &str) -> Result<(), String> {
        if own == self.flags {
            return Ok(());
        }
        Err(format!(
            "the headers give the flags \"{own}\", those of the installed Kamailio are \"{}\": the source tree is not its own",
            self.flags
        ))
    }
}

/// The flags that Kamailio's own modules were built with, read from one of them. Where Kamailio is
/// built with CMake (6.1), `kamailio -V` lists more than the core compares modules with.
fn module_flags() -> Option<String> {
    let root = env::var("KAMAILIO_ROOT").unwrap_or_default();
    let installed = ["usr/lib", "usr/local/lib", "usr/local/lib64"].iter().flat_map(|lib| {
        let lib = Path::new("/").join(root.trim_end_matches('/')).join(lib);
        let triplets = std::fs::read_dir(&lib).into_iter().flatten().flatten();
        triplets.map(|entry| entry.path()).chain([lib.clone()]).collect::<Vec<_>>()
    });
    let module =
        installed.map(|lib| lib.join("kamailio/modules/pv.so")).find(|path| path.exists())?;
    let octets = std::fs::read(module).ok()?;
    octets
        .split(|octet| *octet == 0)
        .filter_map(|text| std::str::from_utf8(text).ok())
        .find(|text| text.starts_with("USE_TCP, ") && text.contains("_MALLOC"))
        .map(str::to_owned)
}

/// What the headers say of themselves.
struct Constants {
    version: String,
    flags: String,
}

/// Lets the preprocessor write out the version and the flags that a C module would carry.
fn constants(mut cc: cc::Build) -> Result<Constants, String> {
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|e| e.to_string())?);
    let file = out.join("constants.c");
    std::fs::write(
        &file,
        "#include \"core/ver_defs.h\"\nks_version SER_FULL_VERSION\nks_flags SER_COMPILE_FLAGS\n",
    )
    .map_err(|e| format!("{}: {e}", file.display()))?;
    let text = cc
        .file(&file)
        .try_expand()
        .map_err(|e| format!("the headers can't be preprocessed: {e}"))?;
    let text = String::from_utf8_lossy(&text);
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        // Literals one after the other are one string: every other part is inside the quotes.
        Some(line.split('"').skip(1).step_by(2).collect::<String>())
    };
    match (value("ks_version "), value("ks_flags ")) {
        (Some(version), Some(flags)) => Ok(Constants { version, flags }),
        _ => Err("the headers have no SER_FULL_VERSION and SER_COMPILE_FLAGS".into()),
    }
}

fn bindings(tree: &Path, defines: &[(String, Option<String>)]) -> Result<(), String> {
    let mut builder = bindgen::Builder::default()
        .header("kamailio-headers/wrapper.h")
        .clang_arg(format!("-I{}", tree.display()))
        .clang_arg("-Ikamailio-headers")
        .allowlist_function("ks_.*|fixup_(free_)?spve_(null|spve|all|pvar)")
        .allowlist_function("sr_hdr_add_zs|sr_kemi_modules_add|pv_get_(null|strval|sintval)")
        .allowlist_function("counter_(register|get_val)|register_procs|cfg_register_child|cfg_child_init|fork_process")
        .allowlist_type("counter_cbk_f|sip_msg|hdr_field|module_exports|rpc_t|rpc_export_t|sr_kemi_t|sr_kemi_xval_t|pv_export_t")
        .allowlist_var("PROC_(INIT|MAIN|NOCHLDINIT|RPC)|KS_.*|MODULE_INTERFACE_VER|PARAM_(INT|STR)|SR_KEMIP_(NONE|INT|STR|XVAL|NULL)|L_(ERR|WARN|NOTICE|INFO|DBG)|PV_NAME_INTSTR")
        .opaque_type("sockaddr.*|in_addr|in6_addr|ip_addr|receive_info|dest_info|lump|sip_uri")
        .default_enum_style(bindgen::EnumVariation::Consts)
        .derive_debug(false)
        .layout_tests(false)
        .generate_comments(false)
        .parse_callbacks(Box::new(bindgen::CargoCallbacks::new()));
    for (name, value) in defines {
        builder = builder.clang_arg(match value {
            Some(value) => format!("-D{name}={value}"),
            None => format!("-D{name}"),
        });
    }
    let bindings = builder.generate().map_err(|e| {
        format!("bindgen can't read the headers ({e}); libclang is in Debian's libclang-dev: run make deps")
    })?;
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|e| e.to_string())?).join("bindings.rs");
    bindings.write_to_file(&out).map_err(|e| format!("{}: {e}", out.display()))
}
