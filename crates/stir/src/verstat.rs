//! The verstat parameter in P-Asserted-Identity or From (3GPP TS 24.229 §7.2A.20).

use crate::outcome::Verstat;
use crate::party;
use crate::party::decoded;
use crate::tn::Numbering;

/// The parameter's name.
const NAME: &str = "verstat";

/// A header field value in which the telephone number of each URI carries the verstat that is given
/// for this URI, if any, and nothing carries another. The value itself if there is nothing to change.
///
/// The parameter is one of the telephone number: in a sip: URI it stands before the `@`.
pub fn mark(field: &str, verstat: impl Fn(&str) -> Option<Verstat>) -> String {
    let mut out = String::with_capacity(field.len() + 40);
    let mut rest = field;
    for value in party::values(field) {
        // All are parts of `rest`, which begins behind the value before this one.
        let Some(at) = offset(rest, value) else { continue };
        let (before, value_and_rest) = rest.split_at(at);
        out.push_str(before);
        rest = &value_and_rest[value.len()..];
        let uri = party::uri_of(value).and_then(|uri| Some((uri, offset(value, uri)?)));
        let Some((uri, at)) = uri else {
            // Somebody else may make sense of it.
            out.push_str(&without(value));
            continue;
        };
        out.push_str(&value[..at]);
        out.push_str(&mark_uri(uri, verstat(uri)));
        out.push_str(&without(&value[at + uri.len()..]));
    }
    out.push_str(rest);
    out
}

/// Where a part of a text lies in it.
fn offset(text: &str, part: &str) -> Option<usize> {
    let at = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    (text.get(at..at + part.len())? == part).then_some(at)
}

/// A text without parameters of this name, however it is escaped.
fn without(text: &str) -> String {
    let is_ours = |p: &str| {
        p.split('=').next().is_some_and(|n| decoded(n.trim(), "").eq_ignore_ascii_case(NAME))
    };
    let mut parts = text.split(';');
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts.filter(|part| !is_ours(part)) {
        kept.push(';');
        kept.push_str(part);
    }
    kept
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
            ("<sip:+1;verstat=x@h>;tag=a;verstat=y", None, "<sip:+1@h>;tag=a"),
            ("tel:+1;verstat=x", passed, "tel:+1;verstat=TN-Validation-Passed"),
            ("tel:+1; VERSTAT=x;y, <tel:+2>;verstat = y", None, "tel:+1;y, <tel:+2>"),
            ("\"open <tel:+1;verstat=x;y>", passed, "\"open <tel:+1;y>"),
            ("<sip:h;verstat=x>", passed, "<sip:h>"),
            ("<sip:+1;%76erst%61t=x@h>", passed, "<sip:+1;verstat=TN-Validation-Passed@h>"),
            ("nonsense", passed, "nonsense"),
            ("", passed, ""),
        ] {
            assert_eq!(mark(field, |_| verstat), expected, "{field}");
        }
    }
}
