//! `keep`: certificate, list and CRL, for ever.

use super::config::Config;
use super::renew::{self, Wish};
use super::report::Report;
use super::{check, pairs::wrong, trust};
use crate::cli::sti::Keep;
use crate::serve::{logging, notify};
use std::process::ExitCode;
use std::time::Duration;
use stir::{Clock, Result, SystemClock};
use tokio::signal::unix::{SignalKind, signal};

/// Between two runs after one that failed.
const AGAIN: Duration = Duration::from_secs(300);
/// Least time between two runs.
const LEAST: Duration = Duration::from_secs(1);

/// `keep`
///
/// # Errors
/// What is wrong with the configuration; nothing that goes wrong later ends it.
pub fn keep(args: &Keep) -> Result<ExitCode> {
    let config = Config::read(&args.sti.config)?;
    if args.sti.check {
        return check(&args.sti, &config);
    }
    let level = if args.sti.verbose { log::LevelFilter::Debug } else { log::LevelFilter::Info };
    logging::start_at(level);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| wrong(format!("it can't be started: {e}")))?;
    runtime
        .block_on(async {
            let failed = |e: std::io::Error| wrong(format!("signals can't be received: {e}"));
            let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
            let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
            notify::notify("READY=1");
            loop {
                // On a thread of its own: it waits for servers.
                let (again, kept) = (Config::read(&args.sti.config), args.sti.metrics.clone());
                let every = Duration::from_secs(args.every.into());
                let work = tokio::task::spawn_blocking(move || {
                    // A configuration that was changed is used from the next run on.
                    let config = match again {
                        Ok(config) => config,
                        Err(e) => {
                            log::error!("{}; the last one is of no use any more", e.message());
                            return AGAIN;
                        }
                    };
                    let (report, wait) = once(&config, every);
                    if let Some(Err(e)) = kept.map(|path| report.write_metrics(&path)) {
                        log::error!("{}", e.message());
                    }
                    wait
                });
                let wait = tokio::select! {
                    wait = work => wait.unwrap_or(AGAIN),
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                };
                log::debug!("the next look is in {} s", wait.as_secs());
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                }
            }
            notify::notify("STOPPING=1");
            log::info!("stopped");
            Ok(())
        })
        .map(|()| {
            // A run that is waiting for a server is cut off: each of its steps may be the last.
            runtime.shutdown_background();
            ExitCode::SUCCESS
        })
}

/// All of it once, and how long to wait.
fn once(config: &Config, every: Duration) -> (Report, Duration) {
    let mut report = Report::default();
    let mut results = Vec::new();
    if let Some(settings) = &config.trust {
        results.push(trust::run(config, settings, &mut report));
    }
    if let Some(own) = &config.own {
        let wish = Wish { enroll: true, ..Wish::default() };
        results.push(renew::run(config, own, wish, &mut report));
    }
    for line in &report.done {
        if line.starts_with("nothing to do") { log::debug!("{line}") } else { log::info!("{line}") }
    }
    for warning in &report.warnings {
        log::warn!("{warning}");
    }
    let errors: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    for e in &errors {
        log::error!("{}", e.message());
    }
    report.error = errors.first().map(|e| e.message().to_owned());
    let mut wait = if errors.is_empty() { every } else { every.min(AGAIN) };
    if let Some(own) = report.certificate.as_ref().filter(|_| errors.is_empty()) {
        let left = own.renew_from.saturating_sub(SystemClock.now());
        wait = wait.min(Duration::from_secs(u64::try_from(left).unwrap_or_default()));
    }
    (report, wait.max(LEAST))
}
