//! What a run did: for people, as JSON, and as metrics for the node exporter.

use super::files::{self, Owner};
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;
use stir::{Clock, Result, SystemClock};

/// What a run did, and what is in force.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// A sentence each.
    pub done: Vec<String>,
    /// What an operator should look at.
    pub warnings: Vec<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// The own certificate.
    pub certificate: Option<Own>,
    /// The STI-PA's list of trusted CAs.
    pub list: Option<Kept>,
    /// Its CRL.
    pub crl: Option<Kept>,
}

/// An own certificate.
#[derive(Debug, Serialize)]
pub struct Own {
    /// Hexadecimal.
    pub serial: String,
    /// Where it is published.
    pub x5u: String,
    /// Unix seconds.
    pub not_after: i64,
    /// Unix seconds.
    pub renew_from: i64,
}

/// A list or CRL.
#[derive(Debug, Serialize)]
pub struct Kept {
    /// Its end, in Unix seconds, if it has one.
    pub expires: Option<i64>,
    /// Certificates on it.
    pub entries: usize,
}

impl Report {
    /// For people.
    pub fn text(&self) -> String {
        self.done.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    /// In the text format of Prometheus.
    pub fn metrics(&self) -> String {
        let mut out = String::new();
        let mut gauge = |name: &str, help: &str, value: Option<i64>| {
            let Some(value) = value else { return };
            let name = format!("secsipidx_sti_{name}");
            // Writing to a String does not fail.
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
        };
        let own = self.certificate.as_ref();
        gauge(
            "certificate_not_after_seconds",
            "End of the signing certificate.",
            own.map(|own| own.not_after),
        );
        gauge(
            "certificate_renewal_seconds",
            "When the signing certificate is renewed.",
            own.map(|own| own.renew_from),
        );
        for (name, kept) in [("list", &self.list), ("crl", &self.crl)] {
            let what = if name == "list" { "list of trusted CAs" } else { "CRL" };
            gauge(
                &format!("{name}_expires_seconds"),
                &format!("End of the {what}."),
                kept.as_ref().and_then(|kept| kept.expires),
            );
            let entries = kept.as_ref().and_then(|kept| i64::try_from(kept.entries).ok());
            gauge(&format!("{name}_entries"), &format!("Certificates on the {what}."), entries);
        }
        gauge(
            "success",
            "Whether the last run did all it had to.",
            Some(i64::from(self.error.is_none())),
        );
        gauge("run_seconds", "When the last run ended.", Some(SystemClock.now()));
        out
    }

    /// Writes the metrics.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write_metrics(&self, path: &Path) -> Result<()> {
        files::write(path, self.metrics().as_bytes(), Owner::public())
    }
}
