//! The certificate's URL as verifiers see it, this machine's clock, and other carriers' hosts.

use super::{Findings, Patient};
use crate::input;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, SystemTime};
use sti::http::{Http, HttpSettings, MAX_ANSWER};
use stir::cert::Chain;
use stir::{Result, X5uRules};

/// What verifiers wait.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Seconds that clocks may differ by: a token counts for 60.
const SKEW: u64 = 10;
/// Most hosts of a list.
const MAX_HOSTS: usize = 1000;
/// Of ATIS-1000074 §5.3.1.
const MEDIA_TYPE: &str = "application/pem-certificate-chain";

/// Looks at the URL.
pub fn look(patient: &Patient, chain: Option<&Chain>, findings: &mut Findings) {
    let url = &patient.x5u;
    if url.is_empty() {
        findings.warn("x5u", "no URL is named", "give --x5u");
        return;
    }
    match X5uRules::new(true, "", "").and_then(|rules| rules.check(url)) {
        Ok(()) => findings.pass("x5u", format!("\"{url}\" is as ATIS-1000074 asks")),
        Err(e) => {
            findings.fail(
                "x5u",
                e.message(),
                "https, port 443 or 8443, a public address, no query",
            );
        }
    }
    let settings = HttpSettings {
        ca_file: patient.http_ca.clone(),
        timeout: TIMEOUT,
        ..HttpSettings::default()
    };
    let answer = match Http::new(&settings).and_then(|http| http.get(url, MAX_ANSWER)) {
        Ok(answer) => answer,
        Err(e) => {
            let cure = "the web server, its certificate for this name, and no redirect";
            findings.fail("x5u", e.message(), cure);
            return;
        }
    };
    clock(answer.header("date"), findings);
    match answer.header("content-type").and_then(|kind| kind.split(';').next()) {
        Some(kind) if kind.trim().eq_ignore_ascii_case(MEDIA_TYPE) => {
            findings.pass("media type", MEDIA_TYPE);
        }
        other => findings.warn(
            "media type",
            format!("the server says {:?}", other.unwrap_or("nothing")),
            "application/pem-certificate-chain is right; most verifiers take others",
        ),
    }
    let served = match Chain::from_pem(&answer.body) {
        Ok(served) => served,
        Err(e) => {
            findings.fail("served", e.message(), "publish the certificate with its chain, PEM");
            return;
        }
    };
    if chain.is_some_and(|chain| chain.leaf() != served.leaf()) {
        findings.fail(
            "served",
            format!(
                "another certificate than the one that signs, serial {}",
                served.leaf().serial()
            ),
            "publish the new certificate under a URL of its own, and sign with that x5u",
        );
    } else if served.rest().is_empty() {
        findings.warn("served", "the certificate without its chain", "add the CA's certificate");
    } else if served.rest().iter().any(|one| one.subject() == one.issuer()) {
        findings.warn("served", "with a root certificate", "leave the root out");
    } else {
        findings.pass("served", "the certificate and its chain");
    }
}

fn clock(date: Option<&str>, findings: &mut Findings) {
    let Some(date) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else {
        findings.warn("clock", "the server sends no Date to compare with", "look at NTP");
        return;
    };
    let now = SystemTime::now();
    let off = now.duration_since(date).or_else(|_| date.duration_since(now)).unwrap_or_default();
    let message = format!("{} s from the server's", off.as_secs());
    if off.as_secs() > SKEW {
        findings.fail("clock", message, "set this machine's clock by NTP: tokens count for 60 s");
    } else {
        findings.pass("clock", message);
    }
}

/// Whether hosts can be reached.
///
/// # Errors
/// The list can't be read.
pub fn reach(list: &Path, findings: &mut Findings) -> Result<()> {
    let text = input::read_regular(&list.to_string_lossy())?;
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    for host in lines.take(MAX_HOSTS) {
        let name = if host.contains(':') { host.to_owned() } else { format!("{host}:443") };
        let found = name.to_socket_addrs().map(|mut all| all.next());
        let connected = match found {
            Ok(Some(address)) => TcpStream::connect_timeout(&address, TIMEOUT).map(drop),
            Ok(None) => Err(std::io::Error::other("the name has no address")),
            Err(e) => Err(e),
        };
        match connected {
            Ok(()) => findings.pass("egress", name),
            Err(e) => findings.fail(
                "egress",
                format!("{name}: {e}"),
                "DNS, or the firewall's rules for port 443 and 8443",
            ),
        }
    }
    Ok(())
}
