//! What a Kamailio configuration says of the module, and what Kamailio says of that.

use super::{Findings, Patient};
use crate::input;
use std::path::Path;
use std::process::{Command, Stdio};
use stir::Result;

/// Takes the module's parameters, and has Kamailio check the file.
///
/// # Errors
/// The file can't be read.
pub fn read(path: &Path, patient: &mut Patient, findings: &mut Findings) -> Result<()> {
    let text = input::read_regular(&path.to_string_lossy())?;
    for (name, value) in parameters(&text) {
        match name {
            "x5u" => value.clone_into(&mut patient.x5u),
            "trust_anchors" => patient.anchors = value.into(),
            "trust_anchors_key" => patient.anchors_signer = value.into(),
            "crl" => patient.crl = value.into(),
            "cert_path" => patient.certificate = value.into(),
            "http_ca_file" => patient.http_ca = value.into(),
            _ => {}
        }
    }
    // It loads the module, and refuses one that was built for another version.
    let checked =
        Command::new("kamailio").args(["-c", "-f"]).arg(path).stdin(Stdio::null()).output();
    match checked {
        Ok(output) if output.status.success() => {
            findings.pass("kamailio", format!("takes \"{}\" and its modules", path.display()));
        }
        Ok(output) => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let line = stderr
                .lines()
                .find(|line| line.contains("ERROR") || line.contains("CRITICAL"))
                .unwrap_or("it does not say why");
            findings.fail(
                "kamailio",
                line.trim(),
                "kamailio -c says more; a module of another version is built anew by make build",
            );
        }
        Err(e) => {
            findings.warn("kamailio", format!("can't be run: {e}"), "run it where Kamailio is")
        }
    }
    Ok(())
}

/// `modparam("secsipid", "name", "value")`, each on a line of its own.
fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let arguments = line.trim().strip_prefix("modparam(")?;
        let mut quoted = arguments.split('"').skip(1).step_by(2);
        let (module, name) = (quoted.next()?, quoted.next()?);
        (module == "secsipid").then_some((name, quoted.next()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_the_module_are_found() {
        let text = "loadmodule \"secsipid.so\"\n  modparam(\"secsipid\", \"x5u\", \"https://e.org/a,b.pem\")\n# modparam(\"secsipid\", \"crl\", \"/x\")\nmodparam(\"tm\", \"x5u\", \"y\")\nmodparam(\"secsipid\", \"expire\", 5)\n";
        assert_eq!(parameters(text).collect::<Vec<_>>(), [("x5u", "https://e.org/a,b.pem")]);
    }
}
