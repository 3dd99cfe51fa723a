//! The verstat parameter in P-Asserted-Identity or From (3GPP TS 24.229 §7.2A.20). Phones take it for
//! their network's word, so none from outside may be left, however a header field is written.

use crate::outcome::Verstat;
use std::ops::Range;

/// The parameter's name.
const NAME: &[u8] = b"verstat";

/// A URI of a header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where it stands.
    pub uri: Range<usize>,
    /// What it gets, if it is a telephone number.
    pub verstat: Option<Verstat>,
}

/// A header field value in which these URIs carry the verstat given for them, and nothing carries
/// another. `None` in place of the URIs for a value that cannot be read: whatever looks like a verstat
/// goes then, in quoted strings too.
///
/// The parameter is one of the telephone number: in a sip: URI it stands before the `@`. A URI without
/// angle brackets gets them, for else the parameter would be the header's (RFC 3261 §20).
pub fn mark(field: &[u8], places: Option<&[Place]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len() + 40);
    let mut at = 0;
    for place in places.unwrap_or_default() {
        // In their order, and inside the field.
        let (Some(before), Some(uri)) =
            (field.get(at..place.uri.start), field.get(place.uri.clone()))
        else {
            return mark(field, None);
        };
        strip(before, true, &mut out);
        let mut inside = Vec::with_capacity(uri.len());
        strip(uri, false, &mut inside);
        if let Some(verstat) = place.verstat {
            let end = inside.iter().position(|c| *c == b'@').unwrap_or(inside.len());
            let parameter = format!(";verstat={}", verstat.value());
            inside.splice(end..end, parameter.into_bytes());
            if !out.trim_ascii_end().ends_with(b"<") {
                inside = [b"<", inside.as_slice(), b">"].concat();
            }
        }
        out.extend(inside);
        at = place.uri.end;
    }
    strip(field.get(at..).unwrap_or_default(), places.is_some(), &mut out);
    out
}

/// Copies a text without parameters of this name, however their letters and their semicolon are escaped.
fn strip(text: &[u8], keeps_quoted: bool, out: &mut Vec<u8>) {
    let ends: &[u8] = if keeps_quoted { b";,<>\" \t\r\n" } else { b";,<>\" \t\r\n@?" };
    let begin = out.len();
    let mut at = 0;
    while let Some(&c) = text.get(at) {
        let rest = &text[at..];
        if let Some(len) = quoted(rest).filter(|_| keeps_quoted) {
            out.extend(&rest[..len]);
            at += len;
        } else if let Some(len) = name(rest)
            && let Some(semicolon) = semicolon(&out[begin..])
        {
            out.truncate(begin + semicolon);
            at += len + value(&rest[len..], ends);
        } else {
            out.push(c);
            at += 1;
        }
    }
}

/// The length of a quoted string that begins a text.
fn quoted(text: &[u8]) -> Option<usize> {
    let mut inside = text.strip_prefix(b"\"")?.iter().enumerate();
    while let Some((at, c)) = inside.next() {
        match c {
            b'"' => return Some(at + 2),
            b'\\' => {
                inside.next();
            }
            _ => {}
        }
    }
    None
}

/// The length of the parameter's name where a text begins with it, in any case and with any letters
/// escaped, and no other name goes on there.
fn name(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    for expected in NAME {
        let (c, len) = unescaped(text.get(at..)?)?;
        if !c.eq_ignore_ascii_case(expected) {
            return None;
        }
        at += len;
    }
    let goes_on = |(c, _): (u8, usize)| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    (!unescaped(&text[at..]).is_some_and(goes_on)).then_some(at)
}

/// The first character of a text, and its length there.
fn unescaped(text: &[u8]) -> Option<(u8, usize)> {
    let first = *text.first()?;
    let code = text.get(1..3).and_then(|code| std::str::from_utf8(code).ok());
    let code = code.filter(|code| first == b'%' && code.bytes().all(|c| c.is_ascii_hexdigit()));
    let escaped = code.and_then(|code| u8::from_str_radix(code, 16).ok());
    Some(escaped.map_or((first, 1), |c| (c, 3)))
}

/// Where the first of the semicolons stands that a text ends with, white space and control characters
/// between them and behind.
fn semicolon(text: &[u8]) -> Option<usize> {
    let mut found = None;
    let mut end = text.len();
    while end > 0 {
        let escape = text.get(end.saturating_sub(3)..end).unwrap_or_default();
        let (c, len) = unescaped(escape).filter(|(_, len)| *len == 3).unwrap_or((text[end - 1], 1));
        end -= len;
        match c {
            b';' => found = Some(end),
            c if is_blank(c) => {}
            _ => break,
        }
    }
    found
}

const fn is_blank(c: u8) -> bool {
    c.is_ascii_whitespace() || c.is_ascii_control()
}

/// The length of what belongs to a name: white space, `=` and a value, up to what ends a parameter.
fn value(text: &[u8], ends: &[u8]) -> usize {
    let blank = |text: &[u8]| text.iter().take_while(|c| c.is_ascii_whitespace()).count();
    let before = blank(text);
    let until_it_ends = |text: &[u8]| text.iter().take_while(|c| !ends.contains(c)).count();
    let Some(behind) = text[before..].strip_prefix(b"=") else {
        // Behind a URI what stands at the name is the parameter's too; in one it may be the host.
        return if ends.contains(&b'@') { 0 } else { until_it_ends(text) };
    };
    let start = before + 1 + blank(behind);
    let value = &text[start..];
    start + quoted(value).unwrap_or_else(|| until_it_ends(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address;
    use proptest::prelude::*;

    /// As the module does it: each telephone number is marked, by our own reader of the field.
    fn mark_all(field: &str, verstat: Option<Verstat>) -> String {
        let places = address::places(field).map(|places| {
            let is_number = |uri: &str| uri.contains(['+', '1']);
            places
                .into_iter()
                .map(|uri| Place {
                    verstat: verstat.filter(|_| is_number(&field[uri.clone()])),
                    uri,
                })
                .collect::<Vec<_>>()
        });
        String::from_utf8(mark(field.as_bytes(), places.as_deref())).unwrap()
    }

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
            ("tel:+12155551212;x", passed, "<tel:+12155551212;verstat=TN-Validation-Passed>;x"),
            ("sip:+1@h;tag=1", passed, "<sip:+1;verstat=TN-Validation-Passed@h>;tag=1"),
            (
                "<sip:+1;VerStat=TN-Validation-Passed;x=1@h;verstat=x;y?a=b;verstat=c>",
                Some(Verstat::Failed),
                "<sip:+1;x=1;verstat=TN-Validation-Failed@h;y?a=b>",
            ),
            (
                "<sip:+1@h>, <tel:+2;verstat=No-TN-Validation>",
                Some(Verstat::NotValidated),
                "<sip:+1;verstat=No-TN-Validation@h>, <tel:+2;verstat=No-TN-Validation>",
            ),
            ("<sip:alice;verstat=x@h>", passed, "<sip:alice@h>"),
            ("<sip:+1;verstat=x@h>;tag=a;verstat=y", None, "<sip:+1@h>;tag=a"),
            ("tel:+1;verstat=x", None, "tel:+1"),
            ("<sip:h;verstat=x>", passed, "<sip:h>"),
            ("<sip:+1;%76erst%61t=x@h>", passed, "<sip:+1;verstat=TN-Validation-Passed@h>"),
            ("<sip:+1%3Bverstat%3Dx@h>", None, "<sip:+1%3Dx@h>"),
            ("<sip:+1@h>;verstat = \"a;verstat=b\";tag=1", None, "<sip:+1@h>;tag=1"),
            // Inside of quotes it is a name, unless the field cannot be read.
            ("\";verstat=x\" <sip:+1@h>", None, "\";verstat=x\" <sip:+1@h>"),
            ("\"open <tel:+1;verstat=x;y>", passed, "\"open <tel:+1;y>"),
            ("tel:+1;verstat=x;tag=1;x=\"<sip:+1@a>\"", passed, "tel:+1;tag=1;x=\"<sip:+1@a>\""),
            ("<tel:+1>;x=\";verstat=y\" <", passed, "<tel:+1>;x=\"\" <"),
            ("tel:+1; VERSTAT=x;y, <tel:+2>;verstat = y,", None, "tel:+1;y, <tel:+2>,"),
            ("tel:+1;\0verstat=x", None, "tel:+1"),
            ("tel:+1;verstat\0=x", None, "tel:+1\0=x"),
            ("tel:+1;;verstat=a verstat=b", None, "tel:+1 verstat=b"),
            ("tel:+1;verstatus=x;x=verstat", None, "tel:+1;verstatus=x;x=verstat"),
            ("sip:verstat@verstat.example", None, "sip:verstat@verstat.example"),
            ("<sip:+1@h>;verstat%3B;x", None, "<sip:+1@h>;x"),
            ("nonsense", passed, "nonsense"),
            ("", passed, ""),
        ] {
            assert_eq!(mark_all(field, verstat), expected, "{field}");
        }
        let beyond = Place { uri: 3..9, verstat: None };
        assert_eq!(mark(b"x;verstat", Some(&[beyond.clone(), beyond])), b"x");
    }

    /// What reads as a verstat: behind a semicolon and blanks, in any case, escaped or not.
    fn found(text: &str) -> usize {
        let (mut plain, mut rest) = (Vec::new(), text.as_bytes());
        while let Some((c, len)) = unescaped(rest) {
            plain.push(c.to_ascii_lowercase());
            rest = &rest[len..];
        }
        let goes_on = |c: &u8| c.is_ascii_alphanumeric() || b"-_.".contains(c);
        let parameters = plain.split(|c| *c == b';').skip(1);
        parameters
            .filter(|parameter| {
                let name = parameter.iter().skip_while(|c| is_blank(**c)).copied();
                let name: Vec<u8> = name.take(8).collect();
                name.starts_with(NAME) && !name.get(7).is_some_and(goes_on)
            })
            .count()
    }

    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "<",
            ">",
            "\"",
            "\\",
            ";",
            ",",
            "@",
            "=",
            " ",
            "\r\n ",
            "?",
            ":",
            "\0",
            "%3B",
            "%",
            "\t",
            "sip:",
            "tel:",
            "+1",
            "+2",
            "h",
            "verstat",
            "VerStat",
            "ver",
            "stat",
            "%76erstat",
            "v%45rstat",
            "=TN-Validation-Passed",
            ";verstat=TN-Validation-Passed",
            "tag=1",
            "%20",
            "<sip:+1@h>",
            "<tel:+1>",
            "\"A\" ",
            "user=phone",
        ]);
        prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn no_verstat_is_left_but_ours(field in pieces()) {
            let readable = address::places(&field);
            let ours = mark_all(&field, Some(Verstat::Passed));
            let numbers = readable.as_ref().map_or(0, |places| {
                places.iter().filter(|uri| field[(*uri).clone()].contains(['+', '1'])).count()
            });
            // Quoted strings of a field that can be read may hold anything.
            if readable.is_none() || !field.contains('"') {
                prop_assert_eq!(found(&ours), numbers, "{:?} {:?}", field, ours);
            }
            // It can be read as before.
            let is_uri = |uri: &Range<usize>| crate::Uri::parse(&field[uri.clone()]).is_some();
            if readable.is_some_and(|places| places.iter().all(is_uri)) {
                prop_assert!(address::places(&ours).is_some(), "{:?} {:?}", field, ours);
            }
        }
    }
}
