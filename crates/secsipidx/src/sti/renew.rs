//! `enroll` and `renew`: publish, fetch back, switch, clean up; and when.

use super::config::{Config, Own};
use super::files::{Lock, step};
use super::obtain::{Ca, account_key};
use super::pairs::{Pair, Pairs, wrong};
use super::report::{Own as OwnReport, Report};
use super::{command, publish};
use crate::inspect::cert::utc;
use ::sti::acme::Acme;
use ::sti::http::Http;
use stir::cert::Certificate;
use stir::{Clock, Result, SystemClock};

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// An account may be made, and a first certificate.
    pub enroll: bool,
    /// Although there is time.
    pub force: bool,
    /// Revoke what is replaced.
    pub revoke: bool,
}

/// Sees to the own certificate.
///
/// # Errors
/// What went wrong; what was in force is in force still, or the new certificate is.
pub fn run(config: &Config, own: &Own, wish: Wish, report: &mut Report) -> Result<()> {
    let pairs = Pairs::new(&own.install);
    let _lock = Lock::take(pairs.root())?;
    step("locked");
    let http = Http::new(&config.http)?;
    let current = pairs.current()?;
    report.certificate = current.as_ref().map(|pair| state(pair, None));
    if current.is_some() {
        pairs.links()?;
    } else if !wish.enroll && pairs.waiting()?.is_none() {
        return Err(wrong(format!(
            "there is no certificate of ours at \"{}\" yet: secsipidx enroll gets the first",
            own.install.key.display()
        )));
    }
    finish(&pairs, own, report)?;
    if let Some(pair) = pairs.waiting()?
        && pair.chain.leaf().not_after() > SystemClock.now()
    {
        log::info!("going on with the certificate that an earlier run got");
        put_into_force(config, own, &pairs, &pair, report)?;
        return Ok(());
    }
    let now = SystemClock.now();
    if let Some(pair) = current.as_ref().filter(|pair| !pair.x5u.is_empty() && !wish.force) {
        let due = due(config, own, &http, pair, report);
        report.certificate = Some(state(pair, Some(due)));
        if now < due {
            report.done.push(format!(
                "nothing to do: the certificate is valid until {}, and is renewed from {} on",
                utc(pair.chain.leaf().not_after()),
                utc(due)
            ));
            return Ok(());
        }
    }
    let key = account_key(&own.acme.account_key, wish.enroll)?;
    let ca = Ca::open(config, own, &http, &key, wish.enroll)?;
    let pair = ca.certificate(&pairs, current.as_ref(), &mut report.warnings)?;
    put_into_force(config, own, &pairs, &pair, report)?;
    if let Some(old) = current.filter(|_| wish.revoke) {
        ca.acme.revoke(old.chain.leaf())?;
        report.done.push(format!("revoked: serial {}", old.chain.leaf().serial()));
        step("revoked");
    }
    Ok(())
}

fn put_into_force(
    config: &Config,
    own: &Own,
    pairs: &Pairs<'_>,
    pair: &Pair,
    report: &mut Report,
) -> Result<()> {
    publish::publish(own, pair, &config.http)?;
    pairs.switch(pair, SystemClock.now())?;
    let due = by_lifetime(pair.chain.leaf());
    report.certificate = Some(state(pair, Some(due)));
    report.done.push(format!(
        "in force: serial {}, valid until {}, x5u {}",
        pair.chain.leaf().serial(),
        utc(pair.chain.leaf().not_after()),
        pair.x5u
    ));
    finish(pairs, own, report)?;
    step("cleaned");
    Ok(())
}

/// What comes after a switch: the command, and the old certificates.
fn finish(pairs: &Pairs<'_>, own: &Own, report: &mut Report) -> Result<()> {
    if pairs.command_is_due()
        && let Some(pair) = pairs.current()?
    {
        let environment = [
            ("SECSIPIDX_KEY", own.install.key.to_string_lossy().into_owned()),
            ("SECSIPIDX_CERTIFICATE", own.install.certificate.to_string_lossy().into_owned()),
            ("SECSIPIDX_X5U", pair.x5u),
        ];
        command::run("install.command", &own.install.command, &environment)?;
        pairs.command_done();
        report.done.push("install.command was run".into());
        step("commanded");
    }
    let keep = i64::try_from(own.publish.keep_old.as_secs()).unwrap_or(i64::MAX);
    for old in pairs.old()? {
        pairs.forget_key(&old);
        if old.replaced().unwrap_or_default().saturating_add(keep) < SystemClock.now() {
            publish::unpublish(own, &old)?;
            step("unpublished");
            pairs.forget(&old)?;
            report.done.push(format!("no longer published: serial {}", old.id));
        }
    }
    Ok(())
}

/// From when on a certificate is renewed: within what the CA suggests (RFC 9773), or from two thirds
/// of its lifetime on.
fn due(config: &Config, own: &Own, http: &Http, pair: &Pair, report: &mut Report) -> i64 {
    let leaf = pair.chain.leaf();
    let asked = account_key(&own.acme.account_key, false).and_then(|key| {
        // Renewal information is for everybody: no account is needed.
        Acme::new(http, &own.acme.directory, &key, config.http.timeout)?.renewal_info(leaf)
    });
    match asked {
        Ok(Some(window)) => {
            let length = window.end.saturating_sub(window.start);
            // A window that has ended, as of a certificate that was revoked, is due now.
            window.start.saturating_add(part(leaf, length)).min(leaf.not_after())
        }
        Ok(None) => by_lifetime(leaf),
        Err(e) => {
            report.warnings.push(format!(
                "the CA does not say when to renew, so it is at two thirds of the lifetime: {}",
                e.message()
            ));
            by_lifetime(leaf)
        }
    }
}

fn by_lifetime(leaf: &Certificate) -> i64 {
    let lifetime = leaf.not_after().saturating_sub(leaf.not_before());
    leaf.not_before().saturating_add(lifetime / 3 * 2).saturating_add(part(leaf, lifetime / 20))
}

/// Some part of a time, which is another for each certificate and the same at each look: a CA's
/// customers do not come all at once.
fn part(leaf: &Certificate, of: i64) -> i64 {
    let serial = leaf.serial();
    let end = serial.len().saturating_sub(4);
    let number = serial.get(end..).and_then(|hex| i64::from_str_radix(hex, 16).ok());
    of.saturating_mul(number.unwrap_or_default()) / 0x1_0000
}

fn state(pair: &Pair, due: Option<i64>) -> OwnReport {
    let leaf = pair.chain.leaf();
    OwnReport {
        serial: leaf.serial(),
        x5u: pair.x5u.clone(),
        not_after: leaf.not_after(),
        renew_from: due.unwrap_or_else(|| by_lifetime(leaf)),
    }
}
