//! An inspection as text: colour for a terminal, none for a file.

use super::cert::CertView;
use super::{Inspection, Outcome, Rule, Verdict};
use serde_json::Value;
use std::ffi::OsStr;
use std::fmt::Write;
use std::io::IsTerminal;

/// Whether to colour.
#[derive(Clone, Copy)]
pub struct Style(bool);

impl Style {
    /// Colour on a terminal that has any, unless NO_COLOR is set (no-color.org).
    pub fn detect() -> Self {
        let is = |name, what: fn(&OsStr) -> bool| std::env::var_os(name).is_some_and(|v| what(&v));
        let refused =
            is("NO_COLOR", |value| !value.is_empty()) || is("TERM", |value| value == "dumb");
        Self(std::io::stdout().is_terminal() && !refused)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn mark(self, outcome: Outcome) -> String {
        match outcome {
            Outcome::Pass => self.paint("32", "pass"),
            Outcome::Fail => self.paint("31", "FAIL"),
            Outcome::Skip => self.paint("33", "skip"),
        }
    }
}

/// What a member means, in a few words.
fn meaning(name: &str, value: &Value) -> &'static str {
    match (name, value.as_str()) {
        ("attest", Some("A")) => "the signer knows the caller, and that the number is theirs",
        ("attest", Some("B")) => "the signer knows the caller, but not whose the number is",
        ("attest", Some("C")) => "the signer knows neither: a gateway",
        ("orig", _) => "calling",
        ("dest", _) => "called",
        ("iat", _) => "when it was signed",
        ("origid", _) => "where the call came from, for tracing back",
        ("x5u", _) => "where the certificate is",
        _ => "",
    }
}

/// The whole text.
pub fn render(inspection: &Inspection, style: Style) -> String {
    let mut out = String::new();
    members(&mut out, "JOSE header", &inspection.header, style);
    members(&mut out, "payload", &inspection.payload, style);
    if let Some(at) = &inspection.signed_at {
        line(&mut out, "signed at", at, "");
    }
    line(&mut out, "signature", &format!("{} octets", inspection.signature_len), "");
    let _ = writeln!(out, "{}", style.bold("parameters"));
    for (name, value) in
        [("info", &inspection.info), ("alg", &inspection.alg), ("ppt", &inspection.ppt)]
    {
        line(&mut out, name, value.as_deref().unwrap_or("(none)"), "");
    }
    certificates(&mut out, &inspection.certificates, style);
    rules(&mut out, &inspection.rules, style);
    out.push_str(&verdict(&inspection.verdict, style));
    out
}

/// Certificates, the signer's first.
pub fn certificates(out: &mut String, certificates: &[CertView], style: Style) {
    for (n, view) in certificates.iter().enumerate() {
        let title = if n == 0 { "certificate".into() } else { format!("certificate {}", n + 1) };
        let _ = writeln!(out, "{}", style.bold(&title));
        line(out, "subject", &view.subject, "");
        line(out, "issuer", &view.issuer, "");
        line(out, "serial", &view.serial, "");
        let time = format!("{} to {}", view.not_before, view.not_after);
        line(out, "valid", &time, if view.in_time { "" } else { "not now" });
        if let Some(list) = &view.tn_auth_list {
            line(out, "for", &list.join(", "), "TNAuthList");
        }
    }
}

/// Rules, one a line.
pub fn rules(out: &mut String, rules: &[Rule], style: Style) {
    let _ = writeln!(out, "{}", style.bold("rules"));
    for rule in rules {
        let colon = if rule.text.is_empty() { "" } else { ": " };
        let text = safe(&rule.text);
        let _ = writeln!(out, "  {} {}{colon}{text}", style.mark(rule.outcome), rule.rule);
    }
}

/// The last line.
pub fn verdict(verdict: &Verdict, style: Style) -> String {
    match &verdict.reason {
        None => format!("{}\n", style.paint("1;32", "valid")),
        Some(reason) => {
            format!("{} ({}): {}\n", style.paint("1;31", "not valid"), verdict.code, safe(reason))
        }
    }
}

fn members(out: &mut String, title: &str, part: &Value, style: Style) {
    let _ = writeln!(out, "{}", style.bold(title));
    match part {
        Value::Object(object) => {
            for (name, value) in object {
                line(out, name, &value.to_string(), meaning(name, value));
            }
        }
        Value::Null => line(out, "(no base64url)", "", ""),
        other => line(out, "(no JSON object)", &other.to_string(), ""),
    }
}

fn line(out: &mut String, name: &str, value: &str, note: &str) {
    let note = if note.is_empty() { String::new() } else { format!("  ({note})") };
    let _ = writeln!(out, "  {:<9} {}{note}", safe(name), safe(value));
}

/// What a stranger wrote must not steer the terminal.
fn safe(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
