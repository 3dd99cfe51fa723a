//! Binds Kamailio's API: headers and defines of the very Kamailio that the module will run in.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    for name in ["KAMAILIO", "KAMAILIO_ROOT", "KAMAILIO_SRC", "MODULES_DIR", "PATH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=kamailio-headers");
    if let Err(why) = build() {
        println!("cargo::error={why}");
    }
}

fn build() -> Result<(), String> {
    let kamailio = Kamailio::installed()?;
    let tree = headers(&kamailio)?;
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
fn headers(kamailio: &Kamailio) -> Result<PathBuf, String> {
    if let Some(source) = env::var_os("KAMAILIO_SRC").filter(|source| !source.is_empty()) {
        kamailio.check_source(Path::new(&source))?;
    }
    script("fetch.sh", &[]).map(PathBuf::from)
}

/// What a script of kamailio-headers prints.
fn script(name: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(format!("kamailio-headers/{name}"))
        .args(args)
        .output()
        .map_err(|e| format!("kamailio-headers/{name} can't run: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr).replace('\n', "; "))
    }
}

/// The version in the build files of a source tree: classic make's, which all series have, else CMake's.
fn source_version(source: &Path) -> Option<String> {
    let read = |path: &str| std::fs::read_to_string(source.join(path)).ok();
    let make = ["src/Makefile.defs", "Makefile.defs"].iter().find_map(|path| read(path));
    if let Some(make) = make {
        let value = |name: &str| {
            make.lines().find_map(|line| {
                Some(line.strip_prefix(name)?.trim_start().strip_prefix('=')?.trim().to_owned())
            })
        };
        let extra = value("EXTRAVERSION").unwrap_or_default();
        let (version, level, sub) = (value("VERSION")?, value("PATCHLEVEL")?, value("SUBLEVEL")?);
        return Some(format!("{version}.{level}.{sub}{extra}"));
    }
    let cmake = read("CMakeLists.txt")?;
    let version = cmake.lines().find_map(|line| line.trim().strip_prefix("VERSION "))?;
    let extra = cmake.lines().find_map(|line| {
        line.trim().strip_prefix("set(EXTRAVERSION")?.split('"').nth(1).map(str::to_owned)
    });
    Some(format!("{version}{}", extra.unwrap_or_default()))
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
        let found = script("find.sh", &["binary"])?;
        let root = env::var("KAMAILIO_ROOT").unwrap_or_default();
        let root = root.trim_end_matches('/');
        let binary = found.strip_prefix(root).unwrap_or(&found);
        let mut command = if root.is_empty() {
            Command::new(binary)
        } else {
            let mut command = Command::new("chroot");
            command.arg(root).arg(binary);
            command
        };
        let output = command.arg("-V").output().map_err(|e| {
            format!("`{binary} -V` can't run ({e}): name Kamailio's binary with KAMAILIO")
        })?;
        let modules = script("find.sh", &["modules"]);
        if let Err(why) = &modules {
            println!("cargo::warning={why}; its flags are taken from `{binary} -V`");
        }
        let pv = modules.ok().map(|dir| Path::new(&dir).join("pv.so")).filter(|pv| pv.exists());
        // An upgrade at the same path makes another module necessary. A package's files keep the
        // time of its build, which may lie before ours: its list has the time of the upgrade.
        let list = format!("{root}/var/lib/dpkg/info/kamailio.list");
        for path in [Some(Path::new(&found)), pv.as_deref(), Some(Path::new(&list))] {
            if let Some(path) = path.filter(|path| path.exists()) {
                println!("cargo::rerun-if-changed={}", path.display());
            }
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Self::parse(&text)
            .map(|kamailio| match pv.as_deref().and_then(module_flags) {
                Some(flags) => Self { flags, ..kamailio },
                None => kamailio,
            })
            .ok_or_else(|| format!("`{binary} -V` says nothing that is known: {text}"))
    }

    /// Headers of another version compile, load and then name the wrong functions.
    fn check_source(&self, source: &Path) -> Result<(), String> {
        let shown = source.display();
        match source_version(source) {
            Some(version) if version == self.version => Ok(()),
            Some(version) => Err(format!(
                "KAMAILIO_SRC={shown} is Kamailio {version}, but the binary is {}: give the source tree of that version, or the binary of this tree in KAMAILIO",
                self.version
            )),
            None => Err(format!(
                "KAMAILIO_SRC={shown} has no src/Makefile.defs and no CMakeLists.txt with a version: give the top folder of Kamailio's source tree"
            )),
        }
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

/// The flags that a module of this Kamailio was built with. Where Kamailio is built with CMake
/// (6.1), `kamailio -V` lists more than the core compares modules with.
fn module_flags(module: &Path) -> Option<String> {
    let bytes = std::fs::read(module).ok()?;
    bytes
        .split(|byte| *byte == 0)
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
        format!("bindgen can't read the headers ({e}); libclang is in Debian's libclang-dev: run make build, which installs it")
    })?;
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|e| e.to_string())?).join("bindings.rs");
    bindings.write_to_file(&out).map_err(|e| format!("{}: {e}", out.display()))
}
