//! The OpenAPI document against the service that serves it: schemathesis (PyPI) sends what the
//! document allows, and what it does not, and looks whether the answers are as it says.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::{Folder, Service};

/// With what makes its random requests, so that each run sends the same.
const VERSIONS: [&str; 2] = ["schemathesis==4.32.5", "hypothesis==6.170.17"];

/// Schemathesis in a virtual environment of the build folder, made at the first run.
fn schemathesis() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let program = folder.join("bin/schemathesis");
    if program.exists() {
        return Ok(program);
    }
    let run = |program: &Path, args: &[&str]| match Command::new(program).args(args).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(e) => Err(format!("{}: {e}", program.display())),
    };
    run(Path::new("python3"), &["-m", "venv", &folder.display().to_string()])?;
    run(
        &folder.join("bin/pip"),
        &["install", "--quiet", "--retries", "10", VERSIONS[0], VERSIONS[1]],
    )?;
    Ok(program)
}

#[test]
fn the_document_says_what_the_service_does() {
    let program = match schemathesis() {
        Ok(program) => program,
        Err(why) => {
            // Not by eprintln!, which the test harness keeps to itself.
            let why = format!("SKIPPED: schemathesis (python3-venv, PyPI): {why}\n");
            std::io::stderr().write_all(why.as_bytes()).unwrap();
            return;
        }
    };
    let folder = Folder::lab();
    let config = "[http]\nlisten = \"127.0.0.1:0\"\n[sign]\nkey = \"lab/spc-1234-key.pem\"\nx5u = \"https://e.org/c.pem\"\n[check]\nkey = \"lab/spc-1234.pem\"\n[public]\nfolder = \"lab\"\n";
    let service = Service::start(&folder, config);
    let url = format!("http://127.0.0.1:{}/openapi.json", service.port);
    let run = |args: &[&str]| -> Output {
        Command::new(&program)
            .args(["run", &url, "--seed", "1", "--max-examples", "30"])
            .args(args)
            .current_dir(&folder.0)
            .output()
            .unwrap()
    };
    for args in [
        &["--exclude-path", "/v1/check", "--exclude-path", "/stir/v1/signing"][..],
        // Which time is now, the document can't say, nor that a diversion needs what it follows.
        &["--include-path", "/stir/v1/signing", "--exclude-checks", "positive_data_acceptance"],
        // 500 is the stock service's word for "not valid".
        &["--include-path", "/v1/check", "--exclude-checks", "not_a_server_error"],
    ] {
        let output = run(args);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(service.get("/healthz").status, 200);
}
