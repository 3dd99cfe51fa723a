//! `doctor`: goes through an installation, and says pass, warn or fail with the cure.

mod kamailio;
mod place;
mod signer;

use crate::cli::doctor::Doctor;
use crate::output;
use crate::sti::doctored;
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use stir::{Code, Error, Result};

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// An operator should look at it.
    Warn,
    /// Calls fail, or will.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// Its name.
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<&'static str>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// All is well.
    pub fn pass(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, Verdict::Pass, message, None);
    }

    /// Somebody should look.
    pub fn warn(&mut self, check: &'static str, message: impl Into<String>, cure: &'static str) {
        self.add(check, Verdict::Warn, message, Some(cure));
    }

    /// Something is wrong.
    pub fn fail(&mut self, check: &'static str, message: impl Into<String>, cure: &'static str) {
        self.add(check, Verdict::Fail, message, Some(cure));
    }

    fn add(
        &mut self,
        check: &'static str,
        verdict: Verdict,
        message: impl Into<String>,
        cure: Option<&'static str>,
    ) {
        self.0.push(Finding { check, verdict, message: message.into(), cure });
    }
}

/// What there is to look at; what is empty is not there.
#[derive(Debug, Default)]
pub struct Patient {
    /// Private key.
    pub key: PathBuf,
    /// Its certificate.
    pub certificate: PathBuf,
    /// Where it is published.
    pub x5u: String,
    /// Trust anchors.
    pub anchors: PathBuf,
    /// Who signs them, if they are a list.
    pub anchors_signer: PathBuf,
    /// CRLs.
    pub crl: PathBuf,
    /// Roots for HTTPS.
    pub http_ca: PathBuf,
    /// The code that the certificate is to be for.
    pub spc: String,
}

/// `doctor`
///
/// # Errors
/// Arguments that name nothing; a configuration that can't be read.
pub fn doctor(args: &Doctor) -> Result<ExitCode> {
    let mut findings = Findings::default();
    let mut patient = Patient::default();
    if let Some(config) = &args.config {
        patient = doctored(config)?;
    }
    if let Some(config) = &args.kamailio {
        kamailio::read(config, &mut patient, &mut findings)?;
    }
    let take = |place: &mut PathBuf, given: &Option<PathBuf>| {
        if let Some(given) = given {
            place.clone_from(given);
        }
    };
    take(&mut patient.key, &args.key);
    take(&mut patient.certificate, &args.cert);
    take(&mut patient.anchors, &args.ca);
    take(&mut patient.anchors_signer, &args.ca_signer);
    take(&mut patient.crl, &args.crl);
    take(&mut patient.http_ca, &args.http_ca);
    if let Some(x5u) = &args.x5u {
        patient.x5u.clone_from(x5u);
    }
    if patient.key.as_os_str().is_empty() && args.kamailio.is_none() {
        return Err(Error::new(
            Code::Generic,
            "nothing to look at: give --config sti.toml, --kamailio kamailio.cfg, or --key with --cert and --x5u",
        ));
    }
    resolve_x5u(&mut patient, &mut findings);
    let chain = signer::look(&patient, &mut findings);
    place::look(&patient, chain.as_ref(), &mut findings);
    if let Some(hosts) = &args.hosts {
        place::reach(hosts, &mut findings)?;
    }
    Ok(tell(args, &findings))
}

/// The URL in a file that is named instead of it.
fn resolve_x5u(patient: &mut Patient, findings: &mut Findings) {
    let Some(path) = patient.x5u.strip_prefix("file://").map(ToOwned::to_owned) else { return };
    match crate::input::read_regular(&path) {
        Ok(text) => text.trim().clone_into(&mut patient.x5u),
        Err(e) => {
            findings.fail("x5u", e.message(), "secsipidx enroll writes it");
            patient.x5u.clear();
        }
    }
}

fn tell(args: &Doctor, findings: &Findings) -> ExitCode {
    let failed = findings.0.iter().any(|finding| finding.verdict == Verdict::Fail);
    let printed = if args.json {
        output::print(&format!("{:#}\n", json!({ "healthy": !failed, "findings": findings.0 })))
    } else {
        let lines = findings.0.iter().map(|finding| {
            let word = match finding.verdict {
                Verdict::Pass => "pass",
                Verdict::Warn => "warn",
                Verdict::Fail => "FAIL",
            };
            let cure = finding.cure.map(|cure| format!(": {cure}")).unwrap_or_default();
            format!("{word}  {:<12} {}{cure}\n", finding.check, finding.message)
        });
        output::print(&lines.collect::<String>())
    };
    if failed { ExitCode::FAILURE } else { printed }
}

/// Whether a path is set.
fn named(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}
