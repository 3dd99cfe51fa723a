//! Who calls and who is called, as scripts write them and as PASSporTs say it (RFC 8225 §5.2.1).

use crate::error::{Error, Result};
use crate::party::Party;
use crate::passport::wrong;
use crate::tn::Numbering;
use crate::uri::Uri;
use serde_json::Value;
use std::fmt;

/// Longest URI that is signed, in bytes: user and host have some hundred at most, and
/// [`MAX_DEST`] of them must fit into a header field that verifiers look at.
pub const MAX_URI_LEN: usize = 1024;
/// Most called parties of one call: several stand for one called person, not for a mailing.
pub const MAX_DEST: usize = 16;

/// What a list of called parties begins with. It says that commas separate parties: a user part from a
/// message (`$rU`) may hold commas, but no colon, so that it never makes a list.
const LIST: &str = "list:";

/// A telephone number, or a sip:, sips:, tel: or urn: URI, as a script writes it. What has no such scheme
/// is a number, or wrong.
pub(super) fn read(numbering: &Numbering, text: &str) -> Result<Party> {
    let text = text.trim();
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let is = |name: &&str| scheme.eq_ignore_ascii_case(name);
    if ["sip", "sips", "tel", "urn"].iter().any(is) {
        return uri(numbering, text);
    }
    let user = text.split(';').next().unwrap_or_default();
    numbering.read(user, None).map(Party::Number)
}

/// Whether a party of a token is this one; also a number that is written as a URI there.
pub(super) fn is_of_token(party: &Party, token: &str) -> bool {
    let number = || {
        let number = Party::of(&Numbering::default(), &Uri::parse(token)?).ok()?;
        Some(party.is(number.text()))
    };
    party.is(token) || (token.contains(':') && number().unwrap_or(false))
}

/// As the only member of `orig` or `div`: the canonical text of a party, or what a token has.
pub(super) struct Member<'a>(pub(super) &'a str);

impl fmt::Display for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') {
            write!(f, r#"{{"uri":{}}}"#, quoted(self.0))
        } else {
            // Digits, `#` and `*`: nothing to escape.
            write!(f, r#"{{"tn":"{}"}}"#, self.0)
        }
    }
}

/// Called parties, numbers before URIs, each sorted and once (RFC 8225 §9).
pub(super) struct Dest(Vec<Party>);

impl Dest {
    /// One party, or with [`LIST`] before them several with commas between; a comma in a URI of a list
    /// must be escaped (`%2C`).
    pub(super) fn read(numbering: &Numbering, text: &str) -> Result<Self> {
        let Some(list) = text.trim().strip_prefix(LIST) else {
            return Ok(Self(vec![read(numbering, text)?]));
        };
        let mut all = Vec::new();
        for value in list.split(',') {
            if all.len() == MAX_DEST {
                return Err(wrong(format!("dest names more than {MAX_DEST} parties")));
            }
            all.push(read(numbering, value)?);
        }
        let place = |party: &Party| (!party.is_number(), party.text().to_owned());
        all.sort_by_cached_key(place);
        all.dedup_by_key(|party| place(party));
        Ok(Self(all))
    }

    pub(super) fn holds(&self, party: &Party) -> bool {
        self.0.iter().any(|own| own.text() == party.text())
    }
}

impl fmt::Display for Dest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [Party::Number(number)] = self.0.as_slice() {
            return write!(f, r#"{{"tn":["{}"]}}"#, number.canonical());
        }
        let array = |numbers| -> Vec<&str> {
            self.0.iter().filter(|p| p.is_number() == numbers).map(Party::text).collect()
        };
        let members = [("tn", array(true)), ("uri", array(false))];
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
    if text.len() > MAX_URI_LEN {
        return Err(refused(text, &format!("has more than {MAX_URI_LEN} bytes")));
    }
    let uri = Uri::parse(text).ok_or_else(|| {
        refused(text, "cannot be read: give scheme:user@host, other characters escaped (%20)")
    })?;
    Party::of(numbering, &uri)
}

fn refused(uri: &str, why: &str) -> Error {
    /// What of a wrong URI goes into the message.
    const SHOWN: usize = 64;
    let shown: String = uri.chars().take(SHOWN).collect();
    wrong(format!("URI {shown:?} {why}"))
}
