//! Certificates that look after themselves: `enroll`, `renew`, `trust`, `keep`.

mod command;
mod config;
mod files;
mod keep;
mod obtain;
mod pairs;
mod publish;
mod renew;
mod report;
mod token;
mod trust;
mod values;

pub use keep::keep;

use crate::cli::sti::{Enroll, Renew, Sti, TrustArgs};
use crate::doctor::Patient;
use crate::output;
use crate::serve::logging;
use config::Config;
use pairs::wrong;
use renew::Wish;
use report::Report;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use stir::Result;

/// `enroll`
///
/// # Errors
/// What is wrong with the configuration.
pub fn enroll(args: &Enroll) -> Result<ExitCode> {
    run(&args.sti, |config, report| {
        let own = own(config)?;
        // The new certificate is judged by the list.
        if let Some(trust) = &config.trust {
            trust::run(config, trust, report)?;
        }
        renew::run(config, own, Wish { enroll: true, force: args.force, revoke: false }, report)
    })
}

/// `renew`
///
/// # Errors
/// As [`enroll`].
pub fn renew(args: &Renew) -> Result<ExitCode> {
    run(&args.sti, |config, report| {
        let wish = Wish { enroll: false, force: args.force, revoke: args.revoke };
        renew::run(config, own(config)?, wish, report)
    })
}

/// `trust`
///
/// # Errors
/// As [`enroll`].
pub fn trust(args: &TrustArgs) -> Result<ExitCode> {
    run(&args.sti, |config, report| {
        let trust = config.trust.as_ref().ok_or_else(|| {
            wrong("the configuration has no [trust]: set trust.list, trust.crl and trust.folder")
        })?;
        trust::run(config, trust, report)
    })
}

fn own(config: &Config) -> Result<&config::Own> {
    config.own.as_ref().ok_or_else(|| {
        wrong("the configuration has no [acme], [certificate], [publish] and [install]")
    })
}

fn run(args: &Sti, work: impl FnOnce(&Config, &mut Report) -> Result<()>) -> Result<ExitCode> {
    let config = Config::read(&args.config)?;
    if args.check {
        return check(args, &config);
    }
    let level = if args.verbose { log::LevelFilter::Info } else { log::LevelFilter::Warn };
    logging::start_at(level);
    let mut report = Report::default();
    let result = work(&config, &mut report);
    tell(args, &mut report, result)
}

/// Prints what a run did.
fn tell(args: &Sti, report: &mut Report, result: Result<()>) -> Result<ExitCode> {
    report.error = result.as_ref().err().map(|e| e.message().to_owned());
    for warning in &report.warnings {
        output::complain(&format!("secsipidx: warning: {warning}"));
    }
    let written = args.metrics.as_ref().map(|path| report.write_metrics(path));
    let printed = if args.json {
        output::print(&format!("{:#}\n", json!(report)))
    } else {
        output::print(&report.text())
    };
    result?;
    written.transpose()?;
    Ok(printed)
}

fn check(args: &Sti, config: &Config) -> Result<ExitCode> {
    let mistakes = config.files();
    if mistakes.is_empty() {
        return Ok(output::print("the configuration can be used\n"));
    }
    let file = args.config.display();
    Err(wrong(format!("\"{file}\" can't be used:\n  {}", mistakes.join("\n  "))))
}

/// What doctor looks at, by a configuration.
///
/// # Errors
/// What is wrong with the configuration.
pub fn doctored(path: &Path) -> Result<Patient> {
    let config = Config::read(path)?;
    let mut patient = Patient { http_ca: config.http.ca_file.clone(), ..Patient::default() };
    if let Some(own) = &config.own {
        patient.key.clone_from(&own.install.key);
        patient.certificate.clone_from(&own.install.certificate);
        patient.spc.clone_from(&own.certificate.spc);
        let pairs = pairs::Pairs::new(&own.install);
        patient.x5u = format!("file://{}", pairs.root().join("current").join(pairs::X5U).display());
    }
    if let Some(trust) = &config.trust {
        let file =
            |url: &str, name| if url.is_empty() { PathBuf::new() } else { trust.folder.join(name) };
        patient.anchors = file(&trust.list, trust::LIST);
        patient.crl = file(&trust.crl, trust::CRL);
        patient.anchors_signer.clone_from(&trust.list_signer);
    }
    Ok(patient)
}
