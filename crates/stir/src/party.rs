//! Who calls and who is called, as SIP headers and PASSporTs write it (RFC 8224 §8).

use crate::tn::Numbering;

/// Longest URI that is looked at, in octets: those of the field have some hundred.
const MAX_LEN: usize = 4096;

/// The canonical form of a URI: the telephone number where it is one (RFC 8224 §8.3), else scheme,
/// user and host in lower case with unreserved characters decoded (§8.5). `None` for what is no
/// sip:, sips:, tel: or urn: URI.
///
/// The two can't be taken for each other: a URI has a colon, a number has none.
pub fn of_uri(numbering: &Numbering, uri: &str) -> Option<String> {
    if uri.len() > MAX_LEN {
        return None;
    }
    let (scheme, rest) = uri.trim().split_once(':')?;
    let scheme = scheme.to_ascii_lowercase();
    if scheme == "tel" {
        return numbering.canonical(rest).ok();
    }
    if scheme == "urn" {
        // An emergency service (RFC 5031, RFC 9027 §3).
        return Some(uri.trim().to_ascii_lowercase());
    }
    if scheme != "sip" && scheme != "sips" {
        return None;
    }
    // Headers of the URI, then its parameters; a user may hold both characters.
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, rest),
    };
    let host = host.split([';', '?', '>']).next().unwrap_or_default();
    let Some(user) = user else {
        return Some(format!("{scheme}:{}", host.to_ascii_lowercase()));
    };
    // A password is nobody's identity.
    let user = user.split_once(':').map_or(user, |(user, _)| user);
    if let Ok(number) = numbering.canonical(&decoded(user, IN_NUMBERS)) {
        return Some(number);
    }
    let host = without_port(host).to_ascii_lowercase();
    Some(format!("{scheme}:{}@{host}", decoded(&user.to_ascii_lowercase(), "")))
}

/// The same of a From, To or P-Asserted-Identity value: `"name" <uri>;parameters`, or a bare URI,
/// whose parameters then are the header's (RFC 3261 §20.10).
pub fn of_header(numbering: &Numbering, value: &str) -> Option<String> {
    of_uri(numbering, uri_of(value)?)
}

/// The URI of a name-addr or addr-spec.
pub(crate) fn uri_of(value: &str) -> Option<&str> {
    let value = value.trim();
    let mut rest = value;
    if let Some(quoted) = value.strip_prefix('"') {
        // The name may hold anything, `<` and `\"` too.
        let mut escaped = false;
        let end = quoted.find(|c| match c {
            _ if escaped => {
                escaped = false;
                false
            }
            '\\' => {
                escaped = true;
                false
            }
            c => c == '"',
        })?;
        rest = quoted.get(end + 1..)?;
    }
    match rest.find('<') {
        Some(start) => rest.get(start + 1..)?.split('>').next(),
        None => rest.split(';').next(),
    }
    .map(str::trim)
    .filter(|uri| !uri.is_empty())
}

/// The values of a header field that may hold several, separated by commas outside of quotes and
/// angle brackets (RFC 3325 §9.1).
pub(crate) fn values(field: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped, mut angle) = (false, false, false);
    field
        .split(move |c| {
            let outside = !quoted && !angle;
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' if !angle => quoted = !quoted,
                '<' if !quoted => angle = true,
                '>' if !quoted => angle = false,
                _ => {}
            }
            c == ',' && outside
        })
        .map(str::trim)
        .filter(|value| !value.is_empty())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // Not inside an IPv6 address.
        Some((name, port)) if !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    }
}

/// What telephone numbers hold beside digits and unreserved characters, and URIs may escape.
const IN_NUMBERS: &str = "+#*() ";

/// With `%41` for an unreserved character, or one of these others, as that character (RFC 3986
/// §6.2.2.2) in lower case, and other escapes in upper case (§6.2.2.1).
pub(crate) fn decoded(text: &str, others: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let code = rest
            .get(at + 1..at + 3)
            .filter(|code| code.bytes().all(|c| c.is_ascii_hexdigit()))
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        let Some(octet) = code else {
            out.push('%');
            rest = &rest[at + 1..];
            continue;
        };
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(octet.to_ascii_lowercase()));
            }
            _ if others.contains(char::from(octet)) => out.push(char::from(octet)),
            _ => out.push_str(&rest[at..at + 3].to_ascii_uppercase()),
        }
        rest = &rest[at + 3..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parties_have_one_form() {
        let numbering = Numbering::default();
        for (value, expected) in [
            ("<sip:+12155551212@example.com>;tag=1", Some("12155551212")),
            (
                "\"A <sip:1@x> \\\" B\" <sip:+1-215-555-1212@example.com;user=phone>",
                Some("12155551212"),
            ),
            ("sip:+12155551212@example.com;tag=1", Some("12155551212")),
            ("tel:+1-215-555-1212;ext=5", Some("12155551212")),
            ("<sip:+33123456789;tgrp=a;trunk-context=b@example.com>", Some("33123456789")),
            ("Alice <SIP:Alice@Example.COM:5060;transport=tcp>", Some("sip:alice@example.com")),
            ("<sip:%61lice@example.com>", Some("sip:alice@example.com")),
            ("<sip:%41%2fB@Example.com>", Some("sip:a%2Fb@example.com")),
            ("<sip:%2B1%28215%29%205551212@example.com>", Some("12155551212")),
            ("<sip:*67%23@example.com>", Some("*67#")),
            ("<sip:911%3Bx@example.com>", Some("sip:911%3Bx@example.com")),
            ("<tel:215-555-1212;phone-context=+1>", Some("12155551212")),
            ("<sip:123456789;Phone-Context=+33@example.com>", Some("33123456789")),
            ("<tel:555-1212;phone-context=+1-215>", Some("5551212")),
            ("<sip:911;phone-context=+1@example.com>", Some("911")),
            ("<sip:0911;phone-context=+1215555@example.com>", Some("0911")),
            ("<tel:12155551212;phone-context=+1>", Some("12155551212")),
            ("<tel:7042;phone-context=example.com>", Some("7042")),
            ("<sip:a:secret@example.com>", Some("sip:a@example.com")),
            ("<sip:bob@[2001:db8::1]>", Some("sip:bob@[2001:db8::1]")),
            ("<sip:example.com>", Some("sip:example.com")),
            (
                "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
                Some("sip:anonymous@anonymous.invalid"),
            ),
            ("<URN:service:SOS>", Some("urn:service:sos")),
            ("<http://example.com>", None),
            ("<>", None),
            ("", None),
            ("\"open", None),
            ("<sip:é%", Some("sip:é%")),
        ] {
            assert_eq!(of_header(&numbering, value).as_deref(), expected, "{value}");
        }
        assert_eq!(of_header(&numbering, &"é".repeat(MAX_LEN)), None);
        let named = format!("\"{}\" <tel:+12155551212>", "é".repeat(MAX_LEN));
        assert_eq!(of_header(&numbering, &named).as_deref(), Some("12155551212"));
    }

    #[test]
    fn a_field_may_hold_several_values() {
        let field = "\"a, \\\" b\" <sip:1@x;x=1,2>, <tel:+2> ,, sip:3@x";
        let found: Vec<_> = values(field).collect();
        assert_eq!(found, ["\"a, \\\" b\" <sip:1@x;x=1,2>", "<tel:+2>", "sip:3@x"]);
    }
}
