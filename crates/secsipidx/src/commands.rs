//! The subcommands that are done in a moment.

use crate::cli::{Check, Fetch, Keygen, Sign};
use crate::inspect::cert::CertView;
use crate::inspect::text::{self, Style};
use crate::inspect::{Inspector, Verdict};
use crate::keys::{self, Access, NewKey};
use crate::output;
use crate::source::Source;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use stir::key::Credential;
use stir::trust::Trust;
use stir::{Call, Clock, Config, PrivateKey, PublicKey, Result, Signer, SystemClock, Verifier};

/// `sign`
///
/// # Errors
/// The codes of signing.
pub fn sign(args: &Sign) -> Result<ExitCode> {
    let call = Call {
        orig: &args.orig,
        dest: &args.dest,
        attest: args.attest.letter(),
        origid: &args.origid,
        x5u: &args.x5u,
        ..Call::default()
    };
    let config = Config { numbering: args.numbers.numbering()?, ..Config::default() }.build()?;
    let identity = Signer::new(&config).identity(&call, PrivateKey::Path(&args.key))?;
    let name = if args.header { "Identity: " } else { "" };
    Ok(output::print(&format!("{name}{identity}\n")))
}

/// `check`
///
/// # Errors
/// What is wrong with the input or the settings; a header that is not valid is none.
pub fn check(args: &Check) -> Result<ExitCode> {
    let config = args.config()?;
    let source = Source::read(&args.input)?;
    let key = args.key.as_deref().map_or(PublicKey::Info, PublicKey::Location);
    let verifier = Verifier::new(&config);
    let mut report = None;
    for message in &source.0 {
        let one = report.insert(verifier.check_call(&message.call(), key));
        if one.result.is_ok() {
            break;
        }
    }
    // A source has a message.
    let Some(report) = report else { return Ok(ExitCode::FAILURE) };
    let verdict = Verdict::new(&report.result);
    let printed = if args.json {
        output::print(&format!("{}\n", report_json(&report)))
    } else {
        output::print(&text::verdict(&verdict, Style::detect()))
    };
    Ok(if verdict.valid { printed } else { ExitCode::FAILURE })
}

/// A report as the service and `check --json` write it.
pub fn report_json(report: &stir::Report) -> serde_json::Value {
    let verdict = Verdict::new(&report.result);
    let claims = report.claims.as_ref().map(|claims| {
        json!({
            "attest": claims.attest,
            "orig": claims.orig,
            "dest": claims.dest,
            "iat": claims.iat,
            "origid": claims.origid,
        })
    });
    json!({
        "valid": verdict.valid,
        "code": verdict.code,
        "reason": verdict.reason,
        "claims": claims,
        "x5u": report.x5u,
        "ppt": report.ppt,
    })
}

/// `inspect`
///
/// # Errors
/// As [`check`].
pub fn inspect(args: &Check) -> Result<ExitCode> {
    let config = args.config()?;
    let inspector = Inspector::new(&config, Arc::new(Verifier::new(&config)));
    // All of a capture: who runs this may have so much downloaded.
    let all = inspector.inspect(&Source::read(&args.input)?, args.key.as_deref(), usize::MAX);
    let printed = if args.json {
        output::print(&format!("{:#}\n", json!(all)))
    } else {
        let style = Style::detect();
        let texts: Vec<_> = all.iter().map(|one| text::render(one, style)).collect();
        output::print(&texts.join("\n"))
    };
    // One that is valid is enough, as for a call.
    Ok(if all.iter().any(|one| one.verdict.valid) { printed } else { ExitCode::FAILURE })
}

/// `keygen`
///
/// # Errors
/// A file that is there, or can't be written.
pub fn keygen(args: &Keygen) -> Result<ExitCode> {
    let key = NewKey::generate();
    keys::write(&args.out, &key.private_pem()?, Access::Secret, args.force)?;
    if let Some(public) = &args.public {
        keys::write(public, &key.public_pem()?, Access::Public, args.force)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `fetch`
///
/// # Errors
/// The codes of downloads and certificates.
pub fn fetch(args: &Fetch) -> Result<ExitCode> {
    let config = args.trust.config()?;
    let octets = Verifier::new(&config).get_url(&args.url)?;
    if let Some(out) = &args.out {
        let text = String::from_utf8_lossy(&octets);
        keys::write(out, &text, Access::Public, args.force)?;
    }
    let credential = Credential::from_pem(&octets)?;
    let now = SystemClock.now();
    let mut views = Vec::new();
    let mut result = Ok(());
    if let Some(chain) = &credential.chain {
        let all = std::iter::once(chain.leaf()).chain(chain.rest());
        views = all.map(|certificate| CertView::new(certificate, now)).collect();
        if config.cert_verify.bits() != 0 {
            result = Trust::new(&config).verify(chain, now).map(drop);
        }
    }
    let verdict = Verdict::new(&result);
    let printed = if args.json {
        output::print(&format!("{:#}\n", json!({"certificates": views, "verdict": verdict})))
    } else {
        let mut out = format!("{} octets from {}\n", octets.len(), args.url);
        text::certificates(&mut out, &views, Style::detect());
        if config.cert_verify.bits() == 0 {
            out.push_str("not checked against trust anchors: --ca names them\n");
        } else {
            out.push_str(&text::verdict(&verdict, Style::detect()));
        }
        output::print(&out)
    };
    Ok(if verdict.valid { printed } else { ExitCode::FAILURE })
}

/// `completions`
pub fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command(), "secsipidx", &mut text);
    output::print(&String::from_utf8_lossy(&text))
}

/// `man`
///
/// # Errors
/// A folder that can't be written.
pub fn man(folder: Option<&Path>) -> Result<ExitCode> {
    let wrong = |e: std::io::Error| {
        let place = folder.map(|folder| format!(" to \"{}\"", folder.display()));
        let why = format!("man pages can't be written{}: {e}", place.unwrap_or_default());
        stir::Error::new(stir::Code::FileRead, why)
    };
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(command(), folder))
            .map_err(wrong)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(command()).render(&mut text).map_err(wrong)?;
    Ok(output::print(&String::from_utf8_lossy(&text)))
}

fn command() -> clap::Command {
    <crate::cli::Cli as clap::CommandFactory>::command()
}
