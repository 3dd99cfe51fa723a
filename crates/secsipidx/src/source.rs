//! Identity header fields out of what people have: a header, a SIP message, the text of a capture.

use crate::input;
use std::collections::HashSet;
use stir::tn::Numbering;
use stir::{Address, Code, Error, Party, Result};

/// An Identity header field, and what the message around it says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Found {
    /// The field's value.
    pub identity: String,
    /// Telephone number in P-Asserted-Identity or else From, if there is a message.
    pub caller: Option<String>,
    /// Telephone number in To.
    pub called: Option<String>,
}

/// What an input holds: one message, or the many of a capture.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Source(pub Vec<Found>);

impl Source {
    /// Reads a file, standard input (`-`), or the text itself, which has a token in it.
    ///
    /// # Errors
    /// [`Code::FileRead`], [`Code::IdentityEmpty`].
    pub fn read(input: &str) -> Result<Self> {
        let is_text = input.contains("eyJ") || input.contains(['\n', ';']);
        let text = if is_text { input.to_owned() } else { input::read(input)? };
        let source = Self::parse(&text);
        if source.0.is_empty() {
            return Err(Error::new(
                Code::IdentityEmpty,
                "there is no Identity header in the input: give its value, or a SIP message",
            ));
        }
        Ok(source)
    }

    /// The values of the header fields.
    pub fn identities(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|found| found.identity.as_str())
    }

    /// Finds the header fields of a text. One without any is taken for a value itself, whose lines
    /// a terminal or a mail has broken.
    pub fn parse(text: &str) -> Self {
        let (mut all, mut seen) = (Vec::new(), HashSet::new());
        let mut addressed = false;
        for fields in messages(text) {
            let (mut from, mut asserted, mut called) = (None, None, None);
            let mut identities = Vec::new();
            for (name, value) in fields {
                match name.as_str() {
                    "identity" | "y" => identities.push(value),
                    "from" | "f" => from = from.or_else(|| party(&value)),
                    "p-asserted-identity" => asserted = asserted.or_else(|| party(&value)),
                    "to" | "t" => called = called.or_else(|| party(&value)),
                    _ => {}
                }
            }
            let caller = asserted.or(from);
            addressed |= called.is_some();
            for identity in identities {
                let found = Found { identity, caller: caller.clone(), called: called.clone() };
                // A capture has a message as often as it was sent, and tcpdump -v shows it twice.
                if seen.insert(found.clone()) {
                    all.push(found);
                }
            }
        }
        let value: String = text.lines().map(str::trim).collect();
        if all.is_empty() && !addressed && value.contains('.') {
            all.push(Found { identity: value, caller: None, called: None });
        }
        Self(all)
    }
}

/// The header fields of each message, with the lines that they are folded over; names in lower
/// case. Captures put their own columns before a line, so a name may follow white space, and a
/// message's first line the octets of other protocols.
fn messages(text: &str) -> Vec<Vec<(String, String)>> {
    let mut messages = vec![Vec::new()];
    for line in text.lines() {
        let bare = line.trim();
        if bare.ends_with(" SIP/2.0") || bare.contains("SIP/2.0 ") {
            messages.push(Vec::new());
            continue;
        }
        let Some(fields) = messages.last_mut() else { continue };
        let field = bare.split_once(':').map(|(name, value)| (name.trim_end(), value.trim_start()));
        match field {
            Some((name, value))
                if !name.is_empty()
                    && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                    && !value.starts_with("//") =>
            {
                fields.push((name.to_ascii_lowercase(), value.to_owned()));
            }
            _ if line.starts_with([' ', '\t']) && !bare.is_empty() => {
                if let Some((_, value)) = fields.last_mut() {
                    value.push(' ');
                    value.push_str(bare);
                }
            }
            // Another line ends a field: what is folded after it is none of its own.
            _ => fields.push((String::new(), String::new())),
        }
    }
    messages
}

/// Who an address names, where no country is known.
fn party(address: &str) -> Option<String> {
    let address = Address::of_header(address);
    let party = Party::of(&Numbering::default(), address.uri()?).ok()?;
    Some(party.text().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identities(text: &str) -> Vec<String> {
        Source::parse(text).identities().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn headers_are_found_in_any_dress() {
        let message = "INVITE sip:+12025550100@b SIP/2.0\r\nFrom: \"x\" <sip:+12155550100@a;user=phone>;tag=1\r\nTo: <tel:+12025550100>\r\nIDENTITY : a.b.c\r\n ;info=<https://x/y>\r\ny: d.e.f;info=<z>\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(identities(message), ["a.b.c ;info=<https://x/y>", "d.e.f;info=<z>"]);
        for found in Source::parse(message).0 {
            assert_eq!(found.caller.as_deref(), Some("12155550100"));
            assert_eq!(found.called.as_deref(), Some("12025550100"));
        }
        // A capture's text: indented, with a line of its own in between.
        let capture =
            "15:00:00.000 IP a > b: SIP\n\t  Identity: a.b.c;info=<https://x/y>\n12:00\n  more";
        assert_eq!(identities(capture), ["a.b.c;info=<https://x/y>"]);
        // A value alone, broken by a terminal.
        let spaced = "a .b.c;info=<https://x/y>";
        assert_eq!(identities(spaced), [spaced]);
        let bare = "eyJ\nhbGc.b.c;info=<https:\n//x/y>;alg=ES256\n";
        assert_eq!(identities(bare), ["eyJhbGc.b.c;info=<https://x/y>;alg=ES256"]);
        assert!(identities("INVITE sip:a SIP/2.0\nTo: <sip:1@a>\n").is_empty());
        assert!(identities("").is_empty());
    }

    #[test]
    fn a_long_capture_takes_time_by_its_length() {
        let took = |count: usize| {
            let token = "x".repeat(100);
            let line = |n: usize| format!("Identity: {token}.{n:06}.c;info=<https://x/y>\n");
            let text: String = (0..count).chain(0..count).map(line).collect();
            let start = std::time::Instant::now();
            assert_eq!(Source::parse(&text).0.len(), count);
            start.elapsed().as_secs_f64()
        };
        // What else the machine does only adds to it.
        let least = |count| [(); 5].map(|()| took(count)).into_iter().fold(f64::MAX, f64::min);
        let (short, long) = (least(1_000), least(16_000));
        // 16 times if it goes by the length, 256 by its square.
        assert!(long < 64.0 * short, "{short} s, {long} s");
    }
}
