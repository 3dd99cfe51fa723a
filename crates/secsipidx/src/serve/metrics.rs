//! Counters, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What is counted. Labels come from fixed lists, so their number is bounded.
#[derive(Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    checks: Mutex<BTreeMap<i32, u64>>,
    nanoseconds: AtomicU64,
    refused_connections: AtomicU64,
    signed: AtomicU64,
}

impl Metrics {
    /// A request that was answered.
    pub fn request(&self, path: &'static str, status: u16, took: Duration) {
        *lock(&self.requests).entry((path, status)).or_default() += 1;
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(took, Ordering::Relaxed);
    }

    /// A check, with its code.
    pub fn check(&self, code: i32) {
        *lock(&self.checks).entry(code).or_default() += 1;
    }

    /// A call that was signed.
    pub fn signed(&self) {
        self.signed.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection over the limit.
    pub fn refused_connection(&self) {
        self.refused_connections.fetch_add(1, Ordering::Relaxed);
    }

    /// The text; `busy` requests hold a place of limits.requests.
    pub fn render(&self, busy: usize) -> String {
        let mut out = String::new();
        let head = |out: &mut String, name: &str, kind: &str, help: &str| {
            let _ = writeln!(out, "# HELP secsipidx_{name} {help}\n# TYPE secsipidx_{name} {kind}");
        };
        head(&mut out, "requests_total", "counter", "Requests answered.");
        let mut count = 0;
        for ((path, status), n) in lock(&self.requests).iter() {
            let _ = writeln!(
                out,
                "secsipidx_requests_total{{path=\"{path}\",status=\"{status}\"}} {n}"
            );
            count += n;
        }
        head(&mut out, "request_duration_seconds", "summary", "Time from header to answer.");
        let seconds = Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
        let _ = writeln!(out, "secsipidx_request_duration_seconds_sum {seconds}");
        let _ = writeln!(out, "secsipidx_request_duration_seconds_count {count}");
        head(&mut out, "checks_total", "counter", "Identity headers checked, by code; 1 is valid.");
        for (code, n) in lock(&self.checks).iter() {
            let _ = writeln!(out, "secsipidx_checks_total{{code=\"{code}\"}} {n}");
        }
        for (name, kind, help, value) in [
            ("signed_total", "counter", "Calls signed.", self.signed.load(Ordering::Relaxed)),
            (
                "refused_connections_total",
                "counter",
                "Connections closed because there were too many.",
                self.refused_connections.load(Ordering::Relaxed),
            ),
            ("requests_busy", "gauge", "Requests at work that may wait.", busy as u64),
        ] {
            head(&mut out, name, kind, help);
            let _ = writeln!(out, "secsipidx_{name} {value}");
        }
        out
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
