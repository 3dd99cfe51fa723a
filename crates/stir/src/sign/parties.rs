//! Who calls and who is called, as scripts write them and as PASSporTs say it (RFC 8225 §5.2.1).

use crate::error::{Error, Result};
use crate::party;
use crate::passport::wrong;
use crate::tn::Numbering;
use serde_json::Value;
use std::fmt;

/// Longest URI that is signed, in octets: user and host have some hundred at most, and
/// [`MAX_DEST`] of them must fit into a header field that verifiers look at.
pub const MAX_URI_LEN: usize = 1024;
/// Most called parties of one call: several stand for one called person, not for a mailing.
pub const MAX_DEST: usize = 16;

/// A telephone number or a URI, in canonical form.
pub(super) struct Party(String);

impl Party {
    /// A telephone number, or a sip:, sips:, tel: or urn: URI. What has no such scheme is a number,
    /// or wrong.
    pub(super) fn read(numbering: &Numbering, text: &str) -> Result<Self> {
        let scheme = text.split_once(':').map(|(scheme, rest)| (scheme.trim(), rest));
        let is = |name: &str, scheme: &str| scheme.eq_ignore_ascii_case(name);
        match scheme {
            Some((scheme, rest)) if is("tel", scheme) => numbering.canonical(rest).map(Self),
            Some((scheme, _)) if ["sip", "sips", "urn"].iter().any(|name| is(name, scheme)) => {
                uri(numbering, text)
            }
            _ => numbering.canonical(text).map(Self),
        }
    }

    /// One that was read already, such as of a token.
    pub(super) fn known(text: String) -> Self {
        Self(text)
    }

    /// Whether a party of a token is this one.
    pub(super) fn is(&self, numbering: &Numbering, token: &str) -> bool {
        numbering.same(token, &self.0)
            // A number as a URI.
            || party::of_uri(numbering, token).is_some_and(|uri| uri == self.0)
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    fn is_uri(&self) -> bool {
        self.0.contains(':')
    }
}

/// As the only member of `orig` or `div`.
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_uri() {
            write!(f, r#"{{"uri":{}}}"#, quoted(&self.0))
        } else {
            // Digits, `#` and `*`: nothing to escape.
            write!(f, r#"{{"tn":"{}"}}"#, self.0)
        }
    }
}

/// The called, numbers before URIs, each sorted and once (RFC 8225 §9).
pub(super) struct Dest(Vec<Party>);

impl Dest {
    /// Parties separated by commas; a comma in a URI must be escaped (`%2C`).
    pub(super) fn read(numbering: &Numbering, text: &str) -> Result<Self> {
        let mut all = Vec::with_capacity(1);
        for value in text.split(',') {
            if all.len() == MAX_DEST {
                return Err(wrong(format!("dest names more than {MAX_DEST} parties")));
            }
            all.push(Party::read(numbering, value)?);
        }
        if all.len() > 1 {
            all.sort_by(|a, b| (a.is_uri(), &a.0).cmp(&(b.is_uri(), &b.0)));
            all.dedup_by(|a, b| a.0 == b.0);
        }
        Ok(Self(all))
    }

    pub(super) fn holds(&self, party: &Party) -> bool {
        self.0.iter().any(|own| own.0 == party.0)
    }
}

impl fmt::Display for Dest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [Party(number)] = self.0.as_slice()
            && !number.contains(':')
        {
            return write!(f, r#"{{"tn":["{number}"]}}"#);
        }
        let array = |uris| -> Vec<&str> {
            self.0.iter().filter(|p| p.is_uri() == uris).map(|p| p.0.as_str()).collect()
        };
        let members = [("tn", array(false)), ("uri", array(true))];
        let members = members.into_iter().filter(|(_, values)| !values.is_empty());
        let object: serde_json::Map<String, Value> =
            members.map(|(name, values)| (name.to_owned(), values.into())).collect();
        write!(f, "{}", Value::Object(object))
    }
}

/// A JSON string, escaped where JSON needs it.
pub(super) fn quoted(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn uri(numbering: &Numbering, text: &str) -> Result<Party> {
    let canonical = party::of_uri(numbering, text)
        .filter(|uri| uri.len() <= MAX_URI_LEN)
        .ok_or_else(|| refused(text, &format!("has more than {MAX_URI_LEN} octets")))?;
    // RFC 3986 §2 has none of these.
    if let Some(c) =
        canonical.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '<' | '>' | '"' | '\\'))
    {
        return Err(refused(text, &format!("has {c:?} in it, which a URI must escape")));
    }
    if canonical.ends_with([':', '@']) || canonical.contains(":@") {
        return Err(refused(text, "lacks its user or host"));
    }
    Ok(Party(canonical))
}

fn refused(uri: &str, why: &str) -> Error {
    /// What of a wrong URI goes into the message.
    const SHOWN: usize = 64;
    let shown: String = uri.chars().take(SHOWN).collect();
    wrong(format!("URI {shown:?} {why}"))
}
