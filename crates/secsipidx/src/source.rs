//! Messages out of what people have: a header field, a SIP message, the text of a capture.

use crate::input;
use std::collections::HashSet;
use stir::{Address, Code, Error, Result, SipCall};

/// What of a message says who calls whom, as it was received. What it means the core says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Message {
    /// Values of the Identity header fields.
    pub identities: Vec<String>,
    /// Those of P-Asserted-Identity.
    pub asserted: Vec<String>,
    /// From; empty if there is none.
    pub from: String,
    /// To, likewise.
    pub to: String,
    /// The Request-URI, likewise.
    pub request_uri: String,
    /// Call-ID of a call that goes on; none of a text: what is looked at after the call is not a token that
    /// comes again.
    pub call_id: Option<String>,
}

impl Message {
    /// As the core takes it.
    pub fn call(&self) -> SipCall<'_> {
        SipCall {
            identities: self.identities.iter().map(String::as_str).collect(),
            asserted: self.asserted.iter().flat_map(|field| Address::of_list(field)).collect(),
            from: Address::of_header(&self.from),
            to: Address::of_header(&self.to),
            request_uri: Address::of_uri(&self.request_uri),
            call_id: self.call_id.as_deref(),
            ..SipCall::default()
        }
    }

    /// Whether it says who calls.
    pub fn names_caller(&self) -> bool {
        !self.asserted.is_empty() || !self.from.is_empty()
    }

    /// Whether it says who is called.
    pub fn names_called(&self) -> bool {
        !self.to.is_empty() || !self.request_uri.is_empty()
    }
}

/// What an input holds: one message, or the many of a capture. Each has an Identity header field.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Source(pub Vec<Message>);

impl Source {
    /// Reads a file, standard input (`-`), or the text itself, which has a token in it.
    ///
    /// # Errors
    /// [`Code::FileRead`], [`Code::IdentityEmpty`].
    pub fn read(input: &str) -> Result<Self> {
        let is_text = input.contains("eyJ") || input.contains(['\n', ';']);
        let text = if is_text { input.to_owned() } else { input::read_capture(input)? };
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
        self.0.iter().flat_map(|message| &message.identities).map(String::as_str)
    }

    /// Finds the messages of a text. One without any Identity header field is taken for a value itself,
    /// whose lines a terminal or a mail has broken.
    pub fn parse(text: &str) -> Self {
        let text = input::unmarked(text);
        let (mut all, mut seen) = (Vec::new(), HashSet::new());
        let mut addressed = false;
        for Found { request_uri, fields, .. } in messages(text) {
            let mut message = Message { request_uri, ..Message::default() };
            for (name, value) in fields {
                match name.as_str() {
                    "identity" | "y" => message.identities.push(value),
                    // As Kamailio does, the first one counts.
                    "from" | "f" if message.from.is_empty() => message.from = value,
                    "to" | "t" if message.to.is_empty() => message.to = value,
                    "p-asserted-identity" => message.asserted.push(value),
                    _ => {}
                }
            }
            addressed |= !message.to.is_empty();
            // A capture has a message as often as it was sent, and tcpdump -v shows it twice.
            if !message.identities.is_empty() && seen.insert(message.clone()) {
                all.push(message);
            }
        }
        let value: String = text.lines().map(str::trim).collect();
        if all.is_empty() && !addressed && value.contains('.') {
            all.push(Message { identities: vec![value], ..Message::default() });
        }
        Self(all)
    }
}

/// A message as it stands in a text.
#[derive(Default)]
struct Found {
    request_uri: String,
    /// Names in lower case, values with the lines that they are folded over.
    fields: Vec<(String, String)>,
    /// Whether each line ends with a dot for its CR, as ngrep -W byline prints it.
    dotted: bool,
}

impl Found {
    /// If a message begins with this line. A capture may have octets of other protocols before it.
    fn begin(line: &str) -> Option<Self> {
        const VERSION: &str = "SIP/2.0";
        let dotted = line.ends_with("SIP/2.0.");
        if let Some(before) =
            line.strip_suffix('.').filter(|_| dotted).unwrap_or(line).strip_suffix(VERSION)
            && before.ends_with(' ')
        {
            let request_uri = before.split_ascii_whitespace().next_back().unwrap_or_default();
            return Some(Self { request_uri: request_uri.to_owned(), dotted, ..Self::default() });
        }
        let (_, status) = line.split_once("SIP/2.0 ")?;
        let is_status = status.len() >= 3 && status.bytes().take(3).all(|c| c.is_ascii_digit());
        is_status.then(|| Self { dotted: status.ends_with('.'), ..Self::default() })
    }
}

/// The messages of a text. Captures put their own columns before a line, so the name of a header field may
/// follow white space.
fn messages(text: &str) -> Vec<Found> {
    let mut messages = vec![Found::default()];
    for line in text.lines() {
        let bare = line.trim();
        if let Some(message) = Found::begin(bare) {
            messages.push(message);
            continue;
        }
        let Some(Found { fields, dotted, .. }) = messages.last_mut() else { continue };
        let bare = bare.strip_suffix('.').filter(|_| *dotted).unwrap_or(bare);
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
        let [found] = &Source::parse(message).0[..] else { panic!("{message}") };
        assert_eq!(found.from, "\"x\" <sip:+12155550100@a;user=phone>;tag=1");
        assert_eq!(
            (found.to.as_str(), found.request_uri.as_str()),
            ("<tel:+12025550100>", "sip:+12025550100@b")
        );
        // What ngrep -W byline and tcpdump print before and behind the lines is none of the message.
        let byline =
            format!("U 127.0.0.1:5060 -> 127.0.0.2:5060 #1\n{}", message.replace("\r\n", ".\n"));
        let dump = format!("E..x@.{message}");
        let marked = format!("\u{feff}{message}");
        for text in [byline, dump, marked] {
            assert_eq!(Source::parse(&text).0, std::slice::from_ref(found), "{text}");
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
            let line = |n: usize| {
                format!("INVITE sip:x SIP/2.0\nIdentity: {token}.{n:06}.c;info=<https://x/y>\n")
            };
            let text: String = (0..count).chain(0..count).map(line).collect();
            let start = std::time::Instant::now();
            assert_eq!(Source::parse(&text).identities().count(), count);
            start.elapsed().as_secs_f64()
        };
        // What else the machine does only adds to it.
        let least = |count| [(); 5].map(|()| took(count)).into_iter().fold(f64::MAX, f64::min);
        let (short, long) = (least(1_000), least(16_000));
        // 16 times if it goes by the length, 256 by its square.
        assert!(long < 64.0 * short, "{short} s, {long} s");
    }
}
