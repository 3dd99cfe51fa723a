//! Whether a token is of the call that it came with: who calls, and who is called (RFC 8224 §6.2).

use super::{SipCall, Verifier, mismatch};
use crate::address::Address;
use crate::error::{Code, Error, Result};
use crate::party::{self, Party};
use crate::passport::Claims;
use crate::policy::{DestSource, OrigSource};
use crate::uri::{Scheme, Uri};

/// Most parties that a message shows: RFC 3325 §9.1 has at most two.
const SHOWN: usize = 4;

impl Verifier {
    /// `orig` must be the caller, as the first header field that names one has it.
    pub(super) fn check_caller(&self, claims: &Claims, call: &SipCall<'_>) -> Result<()> {
        let wrong = |why: String| Err(Error::new(Code::OrigMismatch, why));
        for source in &self.shaken.orig_source {
            let (name, addresses) = match source {
                OrigSource::Pai => ("P-Asserted-Identity", call.asserted.as_slice()),
                OrigSource::From => ("From", std::slice::from_ref(&call.from)),
            };
            let mut callers = Vec::new();
            for address in addresses {
                match self.party(address) {
                    Ok(caller) => callers.extend(caller),
                    Err(why) => return wrong(format!("{name} {why}")),
                }
            }
            if callers.is_empty() {
                continue;
            }
            if let Some(why) = two_parties(&callers) {
                return wrong(format!("{name} names two parties: {why}"));
            }
            // A call may assert a sip: and a tel: URI of one caller, but not two numbers.
            let same = |(_, caller): &&(_, Party)| caller.is(&claims.orig);
            let mut numbers = callers.iter().filter(|(_, caller)| caller.is_number()).peekable();
            let fits = match numbers.peek() {
                Some(_) => numbers.all(|caller| same(&caller)),
                None => callers.iter().any(|caller| same(&caller)),
            };
            if fits {
                return Ok(());
            }
            let orig = std::slice::from_ref(&claims.orig);
            let callers = texts(callers.iter().map(|(_, caller)| caller));
            return wrong(mismatch::message("orig", orig, "the caller", &callers));
        }
        Err(Error::new(Code::OrigMismatch, "the message names no caller to compare orig with"))
    }

    /// The called number, as the sources have it, must be among `dest`.
    pub(super) fn check_called(
        &self,
        claims: &Claims,
        call: &SipCall<'_>,
        source: DestSource,
    ) -> Result<()> {
        let wrong = |why: String| Err(Error::new(Code::DestMismatch, why));
        let (to, ruri) = (("To", &call.to), ("Request-URI", &call.request_uri));
        let sources = match source {
            DestSource::To => vec![to],
            DestSource::Ruri => vec![ruri],
            DestSource::Either => vec![ruri, to],
        };
        let mut called = Vec::new();
        for (name, address) in sources {
            match self.party(address) {
                Ok(party) => called.extend(party.map(|(_, party)| party)),
                Err(why) => return wrong(format!("{name} {why}")),
            }
        }
        if called.iter().any(|called| claims.dest.iter().any(|dest| called.is(dest))) {
            return Ok(());
        }
        wrong(mismatch::message("dest", &claims.dest, "the called number", &texts(called.iter())))
    }

    /// Who an address names, as a text: whatever it says where that is nobody.
    pub(super) fn named(&self, address: &Address<'_>) -> String {
        match self.party(address) {
            Ok(party) => party.map(|(_, party)| party.text().to_owned()).unwrap_or_default(),
            Err(why) => why,
        }
    }

    /// Who an address names; why nobody can be compared with it.
    fn party<'u, 'a>(
        &self,
        address: &'u Address<'a>,
    ) -> std::result::Result<Option<(&'u Uri<'a>, Party)>, String> {
        match address {
            Address::Absent => Ok(None),
            Address::Unreadable(why) => Err(why.clone()),
            Address::Uri(uri) => match Party::of(&self.numbering, uri) {
                Ok(party) => Ok(Some((uri, party))),
                Err(error) => Err(format!("{:?}: {}", uri.text(), error.message())),
            },
        }
    }
}

/// Whether values of one header field name two parties: beside a number there may be one sip URI that
/// is not a number, if the number is a telephone's (RFC 3325 §9.1). One that begins like a number is
/// what a telephone may show instead.
fn two_parties(callers: &[(&Uri<'_>, Party)]) -> Option<String> {
    let (numbers, uris): (Vec<_>, Vec<_>) =
        callers.iter().partition(|(_, caller)| caller.is_number());
    let (_, first) = uris.first()?;
    let all_the_same = || uris.iter().all(|(_, caller)| caller == first);
    let allowed = match numbers.is_empty() {
        true => all_the_same(),
        false => {
            all_the_same()
                && uris.iter().all(|(uri, _)| {
                    uri.scheme() != Scheme::Urn && !party::begins_like_a_number(uri)
                })
                && numbers.iter().all(|(uri, _)| uri.is_telephone())
        }
    };
    (!allowed).then(|| texts(callers.iter().map(|(_, caller)| caller)).join(", "))
}

fn texts<'a>(parties: impl Iterator<Item = &'a Party>) -> Vec<String> {
    parties.map(|party| party.text().to_owned()).take(SHOWN).collect()
}
