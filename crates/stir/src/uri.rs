//! URIs that name callers and called numbers: sip: and sips: (RFC 3261 §25.1), tel: (RFC 3966 §3), urn:
//! (RFC 8141). One strict reader: a text that two programs may read in two ways is not a URI here.

/// Longest URI that is read, in bytes: those of the field have some hundred.
const MAX_LEN: usize = 4096;
/// Longest port, in digits: 65535.
const MAX_PORT: usize = 5;

/// A URI's scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`
    Tel,
    /// `urn:`, such as an emergency service (RFC 5031).
    Urn,
}

impl Scheme {
    fn named(name: &str) -> Option<Self> {
        [Self::Sip, Self::Sips, Self::Tel, Self::Urn]
            .into_iter()
            .find(|scheme| name.eq_ignore_ascii_case(scheme.name()))
    }

    /// In lower case, without the colon.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sip => "sip",
            Self::Sips => "sips",
            Self::Tel => "tel",
            Self::Urn => "urn",
        }
    }
}

/// A URI, cut into the parts that name somebody. They are as they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Uri<'a> {
    text: &'a str,
    scheme: Scheme,
    user: &'a str,
    host: &'a str,
    parameters: &'a str,
}

impl<'a> Uri<'a> {
    /// Reads a text that is a URI from its first byte to its last; `None` for any other.
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.len() > MAX_LEN || !text.bytes().all(is_of_uri) {
            return None;
        }
        let (scheme, rest) = text.split_once(':')?;
        let scheme = Scheme::named(scheme)?;
        let (user, host, parameters) = match scheme {
            Scheme::Sip | Scheme::Sips => sip(rest)?,
            Scheme::Tel => tel(rest)?,
            Scheme::Urn => {
                let fits = |c: u8| c.is_ascii_alphanumeric() || b"-._:".contains(&c);
                if rest.is_empty() || !rest.bytes().all(fits) {
                    return None;
                }
                ("", "", "")
            }
        };
        Some(Self { text, scheme, user, host, parameters })
    }

    /// All of it.
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// Its scheme.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The user with the user's own parameters (`+12155551212;tgrp=x`), without a password; of a tel
    /// URI the number without parameters; empty if there is none.
    pub const fn user(&self) -> &'a str {
        self.user
    }

    /// The host without its port; empty for tel and urn URIs.
    pub const fn host(&self) -> &'a str {
        self.host
    }

    /// Whether the user is a telephone number by what the URI says of it: a tel URI, or one with
    /// `user=phone` (RFC 3261 §19.1.1). Kamailio compares the value case by case, so this does, too.
    pub fn is_telephone(&self) -> bool {
        self.scheme == Scheme::Tel || self.parameter("user") == Some("phone")
    }

    /// The parameters of the telephone number: those of a tel URI, or of the user of a sip URI.
    pub(crate) fn number_parameters(&self) -> &'a str {
        match self.scheme {
            Scheme::Tel => self.parameters,
            _ => self.user.split_once(';').map_or("", |(_, parameters)| parameters),
        }
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        parameters(self.parameters)
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// `a=b;c` as names and values.
pub(crate) fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(';').map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
}

/// What stands in URIs, escapes included, and `#`, which telephones send as it is.
const fn is_of_uri(c: u8) -> bool {
    c.is_ascii_graphic()
        && !matches!(c, b'<' | b'>' | b'"' | b'\\' | b'^' | b'`' | b'{' | b'}' | b'|')
}

/// `[user[:password]@]host[:port][;parameters][?headers]`
fn sip(rest: &str) -> Option<(&str, &str, &str)> {
    let (user, rest) = match rest.split_once('@') {
        Some((user, rest)) => {
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            if user.is_empty() || !escapes_are_whole(user) || !is_user(user) || !is_user(password) {
                return None;
            }
            (user, rest)
        }
        None => ("", rest),
    };
    let end = rest.find([';', '?']).unwrap_or(rest.len());
    let (address, behind) = rest.split_at(end);
    let (parameters, headers) = behind.split_once('?').unwrap_or((behind, ""));
    // A second `@` would let others find another host.
    if [address, parameters, headers].iter().any(|part| part.contains('@')) {
        return None;
    }
    let parameters = parameters.strip_prefix(';').unwrap_or(parameters);
    let users = self::parameters(parameters).filter(|(name, _)| name.eq_ignore_ascii_case("user"));
    if users.count() > 1 {
        return None;
    }
    Some((user, host(address)?, parameters))
}

/// What RFC 3261 §25.1 lets stand in a user (and `#`).
fn is_user(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/%#".contains(&c))
}

fn escapes_are_whole(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|rest| rest.get(..2).is_some_and(|code| code.bytes().all(|c| c.is_ascii_hexdigit())))
}

/// A name or an address, without its port.
fn host(text: &str) -> Option<&str> {
    let (host, port) = match text.find(']') {
        Some(end) => {
            let (address, port) = text.split_at(end + 1);
            let inside = address.strip_prefix('[')?.strip_suffix(']')?;
            let fits = |c: u8| c.is_ascii_hexdigit() || c == b':' || c == b'.';
            if inside.is_empty() || !inside.bytes().all(fits) {
                return None;
            }
            (address, port)
        }
        None => {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            // Some networks have names with an underscore.
            let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
            if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.bytes().all(fits) {
                return None;
            }
            (name, port)
        }
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => Some(host),
        Some(digits)
            if !digits.is_empty()
                && digits.len() <= MAX_PORT
                && digits.bytes().all(|c| c.is_ascii_digit()) =>
        {
            Some(host)
        }
        _ => None,
    }
}

/// `number[;parameters]`: nothing of a tel URI is a host, a port or a header.
fn tel(rest: &str) -> Option<(&str, &str, &str)> {
    let (number, parameters) = rest.split_once(';').unwrap_or((rest, ""));
    let fits = |c: u8| c.is_ascii_digit() || b"+-.()*#".contains(&c);
    if number.is_empty() || !number.bytes().all(fits) || parameters.contains(['@', '?']) {
        return None;
    }
    Some((number, "", parameters))
}

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
    fn uris_have_one_reading() {
        for (text, scheme, user, host, telephone) in [
            ("sip:+12155551212@example.com", Scheme::Sip, "+12155551212", "example.com", false),
            (
                "SIPS:a;b=c:pw@[2001:db8::1]:5061;x;y=z?h=v",
                Scheme::Sips,
                "a;b=c",
                "[2001:db8::1]",
                false,
            ),
            ("sip:example.com;user=phone", Scheme::Sip, "", "example.com", true),
            ("sip:*67#@192.0.2.1:5060;lr", Scheme::Sip, "*67#", "192.0.2.1", false),
            ("sip:%2B1%28215%29@h;USER=phone", Scheme::Sip, "%2B1%28215%29", "h", true),
            ("sip:1@h;user=PHONE", Scheme::Sip, "1", "h", false),
            ("tel:+1-215-555-1212;ext=5", Scheme::Tel, "+1-215-555-1212", "", true),
            ("urn:service:sos.fire", Scheme::Urn, "", "", false),
        ] {
            let uri = Uri::parse(text).unwrap_or_else(|| panic!("{text}"));
            let found = (uri.scheme(), uri.user(), uri.host(), uri.is_telephone());
            assert_eq!(found, (scheme, user, host, telephone), "{text}");
        }
    }

    #[test]
    fn what_may_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            "alice",
            "sip:",
            "sip:@h",
            "sip:a@",
            "sip:a@b@c",
            "sip:a@b;x=@c",
            "sip:a@b?x=@c",
            "sip:+12155551212",
            "sip:a%4@h",
            "sip:a%zz@h",
            "sip:\u{e9}@h",
            "sip:a b@h",
            "sip:a@h>",
            "sip:a\u{0}@h",
            "sip:a:b:c@h",
            "sip:a@[::1",
            "sip:a@::1",
            "sip:a@h:",
            "sip:a@h:123456",
            "sip:a@h:5x",
            "sip:1@h;user=phone;user=ip",
            "sip :a@h",
            "tel:",
            "tel:;x",
            "tel:+1@h",
            "tel:+1;x=a@h",
            "tel:+1:5060",
            "tel:+1?x",
            "tel:+1%39",
            "tel:alice",
            "urn:",
            "urn:service:sos@h",
            "http://example.com",
        ] {
            assert_eq!(Uri::parse(text), None, "{text}");
        }
        assert_eq!(Uri::parse(&format!("sip:{}@h", "a".repeat(MAX_LEN))), None);
    }
}
