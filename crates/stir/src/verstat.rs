//! The verstat parameter in P-Asserted-Identity or From (3GPP TS 24.229 §7.2A.20).

use crate::outcome::Verstat;
use crate::party;
use crate::tn::Numbering;

/// The parameter's name.
const NAME: &str = "verstat";

/// A header field value in which each telephone number carries this verstat and no other; with
/// `None`, no number carries any. The value itself if there is nothing to change.
///
/// The parameter is one of the telephone number: in a sip: URI it stands before the `@`.
pub fn mark(field: &str, verstat: Option<Verstat>) -> String {
    let mut out = String::with_capacity(field.len() + 40);
    let mut rest = field;
    for value in party::values(field) {
        let Some(uri) = party::uri_of(value) else { continue };
        // Both are parts of `rest`, which begins behind the URI before this one.
        let Some(at) = offset(rest, uri) else { continue };
        out.push_str(&rest[..at]);
        out.push_str(&mark_uri(uri, verstat));
        rest = &rest[at + uri.len()..];
    }
    out.push_str(rest);
    out
}

/// Where a part of a text lies in it.
fn offset(text: &str, part: &str) -> Option<usize> {
    let at = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    (text.get(at..at + part.len())? == part).then_some(at)
}

fn mark_uri(uri: &str, verstat: Option<Verstat>) -> String {
    let Some((scheme, rest)) = uri.split_once(':') else { return uri.to_owned() };
    // The number with its parameters, and what is behind it.
    let (number, host) = if scheme.eq_ignore_ascii_case("tel") {
        (rest, "")
    } else {
        match rest.rfind('@') {
            Some(at) => rest.split_at(at),
            None => ("", rest),
        }
    };
    let parameter =
        |p: &str| p.split('=').next().is_some_and(|n| n.trim().eq_ignore_ascii_case(NAME));
    let without = |text: &str| {
        let mut parts = text.split(';');
        let mut kept = parts.next().unwrap_or_default().to_owned();
        for part in parts.filter(|part| !parameter(part)) {
            kept.push(';');
            kept.push_str(part);
        }
        kept
    };
    let mut marked = format!("{scheme}:{}", without(number));
    let is_number = Numbering::default().canonical(number).is_ok();
    if let Some(verstat) = verstat.filter(|_| is_number) {
        marked.push_str(&format!(";{NAME}={}", verstat.value()));
    }
    // Some write it among the URI's own parameters; headers of the URI stay as they are.
    let (host, headers) = match host.split_once('?') {
        Some((host, headers)) => (host, Some(headers)),
        None => (host, None),
    };
    marked.push_str(&without(host));
    if let Some(headers) = headers {
        marked.push('?');
        marked.push_str(headers);
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_marked_and_uris_stay_whole() {
        let passed = Some(Verstat::Passed);
        for (field, verstat, expected) in [
            (
                "\"A, B\" <sip:+12155551212@example.com;user=phone>;tag=1",
                passed,
                "\"A, B\" <sip:+12155551212;verstat=TN-Validation-Passed@example.com;user=phone>;tag=1",
            ),
            ("<tel:+12155551212>", passed, "<tel:+12155551212;verstat=TN-Validation-Passed>"),
            ("tel:+12155551212", passed, "tel:+12155551212;verstat=TN-Validation-Passed"),
            (
                "<sip:+1;VerStat=TN-Validation-Passed;x=1@h;verstat=x;y?a=b;verstat=c>",
                Some(Verstat::Failed),
                "<sip:+1;x=1;verstat=TN-Validation-Failed@h;y?a=b;verstat=c>",
            ),
            (
                "<sip:+1@h>, <tel:+2;verstat=No-TN-Validation>",
                Some(Verstat::NotValidated),
                "<sip:+1;verstat=No-TN-Validation@h>, <tel:+2;verstat=No-TN-Validation>",
            ),
            ("<sip:alice;verstat=x@h>", passed, "<sip:alice@h>"),
            ("<sip:+1;verstat=x@h>;tag=;verstat=y", None, "<sip:+1@h>;tag=;verstat=y"),
            ("<sip:h;verstat=x>", passed, "<sip:h>"),
            ("nonsense", passed, "nonsense"),
            ("", passed, ""),
        ] {
            assert_eq!(mark(field, verstat), expected, "{field}");
        }
    }
}
