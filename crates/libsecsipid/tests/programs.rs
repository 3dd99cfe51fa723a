//! C programs that use the library, compared with what they do on the stock library.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::kamailio::built;
use support::{Answer, Folder, Http, Lab, repository};

/// Which library a program runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Library {
    Ours,
    Stock,
}

/// A folder with our library under the names that the linker and the loader look for.
struct Programs {
    folder: Folder,
}

impl Programs {
    fn new() -> Self {
        let folder = Folder::new();
        let library = built("libsecsipid.so");
        for name in ["libsecsipid.so", "libsecsipid.so.1"] {
            std::os::unix::fs::symlink(&library, folder.join(name)).unwrap();
        }
        Self { folder }
    }

    /// Compiles tests/c/NAME.c with our headers against our library.
    fn compile(&self, name: &str) -> PathBuf {
        let program = self.folder.join(name);
        let source = here("tests/c").join(format!("{name}.c"));
        let mut cc = Command::new("cc");
        cc.args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"])
            .arg(here("include"))
            .arg("-o")
            .args([&program, &source])
            .arg("-L")
            .arg(self.folder.path())
            .arg("-lsecsipid");
        succeed(&mut cc);
        program
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>, library: Library) -> Command {
        let mut command = Command::new("timeout");
        command.arg("600").arg(program);
        match library {
            Library::Ours => command.env("LD_LIBRARY_PATH", self.folder.path()),
            Library::Stock => command.env_remove("LD_LIBRARY_PATH"),
        };
        command
    }
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// What it prints, if its exit status is 0.
fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, text(&output));
    text(&output)
}

/// Files and a server for the programs.
fn scene() -> (Lab, Http, String) {
    let lab = Lab::new();
    lab.public("key.pem", "public.pem");
    lab.key("other-key.pem", "EC:P-256");
    lab.public("other-key.pem", "other.pem");
    lab.issue("expired.pem", "key.pem", -1);
    lab.openssl("req -x509 -new -key key.pem -out stranger.pem -days 30 -subj /CN=Stranger");
    lab.folder.write("junk", "junk");
    std::fs::create_dir(lab.folder.join("cache")).unwrap();
    let http = Http::start();
    http.on("/cert.pem", Answer::Ok(lab.read("cert.pem").into()));
    http.on("/junk", Answer::Ok(b"junk".to_vec()));
    http.on("/silent", Answer::Silent);
    let url = format!("http://127.0.0.1:{}", http.port);
    (lab, http, url)
}

#[test]
fn the_headers_compile_as_c_and_as_cpp() {
    let folder = Folder::new();
    for (compiler, standards) in [("cc", ["c90", "c17"]), ("c++", ["c++98", "c++20"])] {
        for (standard, header) in
            standards.iter().flat_map(|s| [(s, "secsipid.h"), (s, "libsecsipid.h")])
        {
            let name = if compiler == "cc" { "use.c" } else { "use.cc" };
            let source = format!(
                "#include <{header}>\n#include <{header}>\nint use(void);\nint use(void) {{ char *o = 0; return SecSIPIDGetIdentity(o, o, o, o, o, o, &o); }}\n"
            );
            folder.write(name, source);
            succeed(
                Command::new(compiler)
                    .args(["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"])
                    .arg(format!("-std={standard}"))
                    .arg("-I")
                    .arg(here("include"))
                    .arg(folder.join(name)),
            );
        }
    }
}

#[test]
fn the_program_in_the_docs_compiles() {
    let docs = repository("docs/libsecsipid.md");
    let (_, rest) = docs.split_once("```c\n").unwrap();
    let folder = Folder::new();
    folder.write("use.c", rest.split_once("```").unwrap().0);
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-I"]);
    succeed(cc.arg(here("include")).arg(folder.join("use.c")));
}

/// Ours declares each function that stock's header declares, in the same way: a file that includes
/// both compiles only then.
#[test]
fn the_header_agrees_with_the_stock_one() {
    let folder = Folder::new();
    folder.write(
        "both.c",
        format!(
            "#include </usr/include/libsecsipid.h>\n#include \"{}\"\n",
            here("include/libsecsipid.h").display()
        ),
    );
    succeed(
        Command::new("cc").args(["-Wall", "-Werror", "-fsyntax-only"]).arg(folder.join("both.c")),
    );
}

#[test]
fn the_library_has_the_stock_name_and_exports_nothing_else() {
    let ours = symbols(&built("libsecsipid.so"));
    let header = repository("crates/libsecsipid/include/libsecsipid.h");
    assert_eq!(ours.len(), 13, "{ours:?}");
    for name in &ours {
        assert!(header.contains(&format!("{name}(")), "{name} is exported, but not declared");
    }
    let stock = succeed(Command::new("cc").arg("-print-file-name=libsecsipid.so.1"));
    for name in symbols(Path::new(stock.trim())) {
        assert!(!name.starts_with("SecSIPID") || ours.contains(&name), "{name} is missing");
    }
    let dynamic = succeed(Command::new("readelf").arg("-d").arg(built("libsecsipid.so")));
    assert!(dynamic.contains("soname: [libsecsipid.so.1]"), "{dynamic}");
}

fn symbols(library: &Path) -> Vec<String> {
    succeed(Command::new("nm").args(["-D", "--defined-only", "-P"]).arg(library))
        .lines()
        .filter_map(|line| line.split(' ').next().map(str::to_owned))
        .collect()
}

/// Programs find it by pkg-config where `make install-lib` put it, shared and static.
#[test]
fn what_is_installed_links() {
    let folder = Folder::new();
    let root = folder.path().to_str().unwrap();
    let release = built("libsecsipid.so");
    succeed(
        Command::new("make")
            .args(["--silent", "install-lib", "PREFIX=/opt/x", &format!("DESTDIR={root}")])
            .env("CARGO_TARGET_DIR", release.ancestors().nth(2).unwrap())
            .current_dir(here("../..")),
    );
    let lab = Lab::new();
    for kind in ["", "--static"] {
        let mut flags = Command::new("pkg-config");
        flags.args(["--cflags", "--libs", "secsipid-1"]).args((!kind.is_empty()).then_some(kind));
        flags.env("PKG_CONFIG_SYSROOT_DIR", root);
        flags.env("PKG_CONFIG_PATH", folder.join("opt/x/lib/pkgconfig"));
        let mut flags = succeed(&mut flags);
        if !kind.is_empty() {
            flags = flags.replace("-lsecsipid", "-l:libsecsipid.a");
        }
        let program = folder.join("exercise");
        let mut cc = Command::new("cc");
        cc.arg(here("tests/c/exercise.c")).arg("-o").arg(&program).args(flags.split_whitespace());
        succeed(&mut cc);
        let mut sign = Command::new(&program);
        sign.args([&lab.path(""), "sign"]).env_remove("LD_LIBRARY_PATH");
        if kind.is_empty() {
            sign.env("LD_LIBRARY_PATH", folder.join("opt/x/lib"));
        }
        assert!(succeed(&mut sign).ends_with(";alg=ES256;ppt=shaken\n"), "{kind}");
        let needed = succeed(Command::new("readelf").arg("-d").arg(&program));
        assert_eq!(needed.contains("libsecsipid.so.1"), kind.is_empty(), "{needed}");
    }
}

/// Each call returns on ours what it returns on the stock library, but for what
/// docs/compatibility.md lists, and that differs as it is listed there.
#[test]
fn every_function_does_what_the_stock_one_does() {
    let programs = Programs::new();
    let program = programs.compile("exercise");
    let run = |library| {
        let (lab, http, url) = scene();
        let printed = succeed(programs.command(&program, library).args([&lab.path(""), &url]));
        let lines: Vec<(String, String)> = printed
            .lines()
            .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{line:?}")))
            .map(|(label, result)| (label.to_owned(), result.to_owned()))
            .collect();
        (lines, http.count("/cert.pem"))
    };
    let (stock, stock_downloads) = run(Library::Stock);
    let (ours, our_downloads) = run(Library::Ours);
    let mut listed = listed();
    for ((label, stock), (our_label, ours)) in stock.iter().zip(&ours) {
        assert_eq!(label, our_label);
        let expected = listed.remove(label).unwrap_or_else(|| (stock.clone(), stock.clone()));
        assert_eq!((stock, ours), (&expected.0, &expected.1), "{label}: stock, ours");
    }
    assert_eq!(stock.len(), ours.len());
    assert!(stock.len() > 100, "{}", stock.len());
    assert!(listed.is_empty(), "listed, but not called: {listed:?}");
    assert!(our_downloads < stock_downloads, "{our_downloads} downloads, stock {stock_downloads}");
}

/// The differences in docs/compatibility.md: stock's and our result by label.
fn listed() -> BTreeMap<String, (String, String)> {
    let docs = repository("docs/compatibility.md");
    let mut listed = BTreeMap::new();
    for row in docs.lines().filter(|line| line.starts_with("| L")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, _, labels, stock, ours, why, _] = cells[..] else { panic!("{row}") };
        assert!(!why.is_empty(), "{row} has no reason");
        for label in labels.split(", ") {
            let label = label.trim_matches('`').to_owned();
            assert!(listed.insert(label, (stock.into(), ours.into())).is_none(), "{row}: twice");
        }
    }
    listed
}

#[test]
fn each_library_verifies_what_the_other_signs() {
    let programs = Programs::new();
    let program = programs.compile("exercise");
    let lab = Lab::new();
    for (signer, verifier) in [(Library::Ours, Library::Stock), (Library::Stock, Library::Ours)] {
        let value = succeed(programs.command(&program, signer).args([&lab.path(""), "sign"]));
        let check = |value: &str| {
            let mut command = programs.command(&program, verifier);
            succeed(command.args([&lab.path(""), "check", value.trim()]))
        };
        assert_eq!(check(&value), "check: 0\n", "{signer:?} signed: {value}");
        let changed = value.replacen("eyJ", "eyK", 1);
        assert_ne!(check(&changed), "check: 0\n", "{verifier:?} takes {changed}");
    }
}

#[test]
fn what_the_stock_library_crashes_of_is_an_error() {
    let programs = Programs::new();
    let program = programs.compile("beyond");
    let lab = Lab::new();
    assert_eq!(succeed(programs.command(program, Library::Ours).arg(lab.path(""))), "");
}

#[test]
fn threads_may_sign_check_and_set_at_once() {
    let programs = Programs::new();
    let program = programs.compile("threads");
    let (lab, _http, url) = scene();
    let printed = succeed(programs.command(program, Library::Ours).args([&lab.path(""), &url]));
    assert_eq!(printed, "wrong: 0\n");
}

#[test]
fn a_child_works_after_its_parent_did() {
    let programs = Programs::new();
    let program = programs.compile("forks");
    let (lab, _http, url) = scene();
    let printed = succeed(programs.command(program, Library::Ours).args([&lab.path(""), &url]));
    assert_eq!(printed, "child: 0\nchild that sets: 0\nparent: 0\namong threads: 0\n");
}

#[test]
fn valgrind_finds_no_error_and_no_leak() {
    let programs = Programs::new();
    for name in ["exercise", "beyond"] {
        let program = programs.compile(name);
        let (lab, _http, url) = scene();
        let mut valgrind = programs.command("valgrind", Library::Ours);
        valgrind
            .args(["--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite"])
            .args([&program, &PathBuf::from(lab.path(""))]);
        if name == "exercise" {
            valgrind.arg(&url);
        }
        let printed = succeed(&mut valgrind);
        assert!(printed.contains("ERROR SUMMARY: 0 errors"), "{printed}");
    }
}
