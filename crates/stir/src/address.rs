//! Header fields that name callers and called numbers, for programs without a SIP stack: name-addr and
//! addr-spec (RFC 3261 §20.10, §25.1), and nothing else. Kamailio's own parsers do this for the module.

use crate::uri::Uri;
use std::ops::Range;

/// What is shown of a header field that cannot be read, in characters.
const SHOWN: usize = 100;
/// Most values of P-Asserted-Identity that are read. RFC 3325 §9.1 allows two.
pub const MAX_VALUES: usize = 10;

/// What a message says in one place of who calls or is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Address<'a> {
    /// The message does not have it.
    #[default]
    Absent,
    /// It has this URI there, for everyone who reads it.
    Uri(Uri<'a>),
    /// It has something there that cannot be read, or not in one way only: a check that asks for it
    /// fails. Why, with the value.
    Unreadable(String),
}

impl<'a> Address<'a> {
    /// Of a From or To value: `"name" <uri>;parameters`, or a bare URI, whose parameters then are the
    /// header's.
    pub fn of_header(value: &'a str) -> Self {
        match name_addr(value, 0) {
            Some(found) if found.end == value.len() => Self::of_uri(&value[found.uri]),
            _ if value.trim().is_empty() => Self::Absent,
            _ => Self::unreadable(value),
        }
    }

    /// Of a Request-URI; an empty one is absent.
    pub fn of_uri(text: &'a str) -> Self {
        match Uri::parse(text) {
            Some(uri) => Self::Uri(uri),
            None if text.is_empty() => Self::Absent,
            None => Self::unreadable(text),
        }
    }

    /// Of a P-Asserted-Identity field, which may hold several values with commas between (RFC 3325
    /// §9.1). A field without a value names nobody.
    pub fn of_list(field: &'a str) -> Vec<Self> {
        match places(field) {
            Some(places) => places.into_iter().map(|uri| Self::of_uri(&field[uri])).collect(),
            None => vec![Self::unreadable(field)],
        }
    }

    /// With the value that cannot be read.
    pub fn unreadable(value: &str) -> Self {
        let shown: String = value.chars().take(SHOWN).collect();
        Self::Unreadable(format!(
            "{shown:?} cannot be read as one sip:, sips:, tel: or urn: URI (RFC 3261 §20.10)"
        ))
    }

    /// The URI, if it has one that can be read.
    pub const fn uri(&self) -> Option<&Uri<'a>> {
        match self {
            Self::Uri(uri) => Some(uri),
            Self::Absent | Self::Unreadable(_) => None,
        }
    }
}

/// Where the URIs of a list of values stand; `None` for a field that is not such a list.
pub(crate) fn places(field: &str) -> Option<Vec<Range<usize>>> {
    let mut places = Vec::new();
    if field.trim_matches(is_lws).is_empty() {
        return Some(places);
    }
    let mut start = 0;
    loop {
        let found = name_addr(field, start)?;
        // RFC 3325 gives its values no parameters; some write them, but a quoted one could hide a value.
        if places.len() == MAX_VALUES || field[found.uri.end..found.end].contains('"') {
            return None;
        }
        places.push(found.uri);
        match field.as_bytes().get(found.end) {
            None => return Some(places),
            Some(b',') => start = found.end + 1,
            Some(_) => return None,
        }
    }
}

/// One name-addr or addr-spec with its parameters.
struct NameAddr {
    uri: Range<usize>,
    /// Behind it and the white space that follows.
    end: usize,
}

fn is_lws(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// RFC 3261 §25.1.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c)
}

/// Reads one from this place on.
fn name_addr(text: &str, start: usize) -> Option<NameAddr> {
    let mut reader = Reader { text, at: start };
    reader.lws()?;
    let begin = reader.at;
    let named = reader.peek() == Some('"');
    if named {
        reader.quoted()?;
        reader.lws()?;
    } else {
        // The words of a name; a URI has a colon before any `<`.
        while reader.take(is_token) > 0 {
            reader.lws()?;
        }
    }
    let uri = if reader.peek() == Some('<') {
        reader.at += 1;
        let start = reader.at;
        reader.take(|c| !is_lws(c) && c != '<' && c != '>');
        let uri = start..reader.at;
        reader.skip('>')?;
        uri
    } else if named {
        return None;
    } else {
        reader.at = begin;
        reader.take(|c| !is_lws(c) && !matches!(c, ';' | ',' | '?' | '<' | '>' | '"'));
        begin..reader.at
    };
    if uri.is_empty() {
        return None;
    }
    reader.lws()?;
    while reader.peek() == Some(';') {
        reader.parameter()?;
    }
    Some(NameAddr { uri, end: reader.at })
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Goes on behind this character, which must be next.
    fn skip(&mut self, c: char) -> Option<()> {
        (self.peek() == Some(c)).then(|| self.at += c.len_utf8())
    }

    /// Goes on behind characters of a kind; their bytes.
    fn take(&mut self, of: impl Fn(char) -> bool) -> usize {
        let rest = self.rest();
        let len = rest.find(|c| !of(c)).unwrap_or(rest.len());
        self.at += len;
        len
    }

    /// White space, lines folded in it (RFC 3261 §25.1); `None` for a line's end that folds nothing.
    fn lws(&mut self) -> Option<()> {
        loop {
            self.take(|c| c == ' ' || c == '\t');
            let rest = self.rest();
            let end =
                if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
            if end == 0 {
                return (!rest.starts_with('\r')).then_some(());
            }
            if !rest.get(end..)?.starts_with([' ', '\t']) {
                return None;
            }
            self.at += end;
        }
    }

    /// A string in quotes, with escapes, in one line or folded.
    fn quoted(&mut self) -> Option<()> {
        self.skip('"')?;
        loop {
            self.take(|c| c != '"' && c != '\\' && (!c.is_control() || c == '\t'));
            match self.peek()? {
                '"' => return self.skip('"'),
                '\\' => {
                    self.at += 1;
                    let escaped = self.peek().filter(|c| !c.is_control())?;
                    self.at += escaped.len_utf8();
                }
                // A line's end, or another control character.
                '\r' | '\n' => self.lws()?,
                _ => return None,
            }
        }
    }

    /// `;name`, `;name=value`, `;name="value"`. A value with `<` or `>` in it is refused: there are
    /// programs that look for the URI there.
    fn parameter(&mut self) -> Option<()> {
        self.skip(';')?;
        self.lws()?;
        if self.take(is_token) == 0 {
            return None;
        }
        self.lws()?;
        if self.peek() == Some('=') {
            self.at += 1;
            self.lws()?;
            let start = self.at;
            if self.peek() == Some('"') {
                self.quoted()?;
            } else {
                self.take(|c| c.is_ascii_graphic() && !matches!(c, ';' | ',' | '"' | '\\'));
            }
            if self.text.get(start..self.at)?.contains(['<', '>']) {
                return None;
            }
            self.lws()?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(address: &Address<'_>) -> Option<String> {
        address.uri().map(|uri| uri.text().to_owned())
    }

    #[test]
    fn header_fields_name_one_uri() {
        for (value, expected) in [
            ("<sip:a@x>;tag=1", "sip:a@x"),
            (" \"A \\\" <sip:1@x> é\"\t<sip:a@x>", "sip:a@x"),
            ("Alice B. <sip:a@x;p>;tag=1;y=\"a;b\"", "sip:a@x;p"),
            ("sip:a@x;tag=1", "sip:a@x"),
            ("sip:a@x \r\n ; tag = 1 ", "sip:a@x"),
            ("\"A\"\r\n <tel:+1;ext=5>", "tel:+1;ext=5"),
            ("tel:+1;ext=5", "tel:+1"),
            ("<sip:a@x>;tag=a@b", "sip:a@x"),
        ] {
            assert_eq!(uri(&Address::of_header(value)).as_deref(), Some(expected), "{value}");
        }
        assert_eq!(Address::of_header("  "), Address::Absent);
    }

    #[test]
    fn anything_else_is_unreadable() {
        for value in [
            "sip:b@a;tag=1;x=\"<sip:a@a>\"",
            "sip:b@a;tag=1;x=<sip:a@a>",
            "foo \"<sip:a@a>\" <sip:b@a>",
            "<sip:a@a> <sip:b@a>",
            "<sip:a@a>, <sip:b@a>",
            "\"a\\\\\" <sip:a@a>\" <sip:b@a>",
            "\\\"<sip:a@a>\" <sip:b@a>",
            "<sip:a@a>;x=\", <sip:b@a>\"",
            "\"open <sip:a@a>",
            "\"name\"",
            "\"name\" sip:a@a",
            "<sip:a@a",
            "<sip:a@a>>",
            "< sip:a@a>",
            "<sip:a@a> x",
            "<>",
            "<sip:a@a>;",
            "<sip:a@a>;=1",
            "<sip:a@a>\r\nx",
            "<sip:a@a>\rx",
            "<sip:a@a>\u{0}",
            "\"\u{0}\" <sip:a@a>",
            "\"\\\r\n\" <sip:a@a>",
            "sip:a@a, sip:b@a",
            "sip:a@a?x=y",
            "Jos\u{e9} <sip:a@a>",
            "alice",
        ] {
            let found = Address::of_header(value);
            assert!(matches!(found, Address::Unreadable(_)), "{value:?}: {found:?}");
        }
        let long = Address::of_header("\u{e9}<>");
        assert!(matches!(long, Address::Unreadable(why) if why.len() < 200));
    }

    #[test]
    fn a_list_may_hold_several_values() {
        let found = Address::of_list("\"a, \\\" b\" <sip:1@x;x=1,2>, <tel:+2> , sip:3@x;y");
        let found: Vec<_> = found.iter().filter_map(uri).collect();
        assert_eq!(found, ["sip:1@x;x=1,2", "tel:+2", "sip:3@x"]);
        assert!(Address::of_list(" \r\n ").is_empty());
        for field in [
            "<sip:1@x>;x=\", <sip:2@x>\"",
            "<sip:1@x>;x=\"y\", <sip:2@x>",
            "<sip:1@x>,",
            ",<sip:1@x>",
            "<sip:1@x> <sip:2@x>",
            "<sip:1@x>,,<sip:2@x>",
            &"<sip:1@x>, ".repeat(20),
        ] {
            let found = Address::of_list(field);
            assert!(matches!(found.as_slice(), [Address::Unreadable(_)]), "{field:?}: {found:?}");
        }
    }
}
