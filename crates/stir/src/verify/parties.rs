//! Whether a token is of the call that it came with: who calls, and who is called (RFC 8224 §6.2).

use super::{SipCall, Verifier, mismatch};
use crate::error::{Code, Error, Result};
use crate::party;
use crate::passport::Claims;
use crate::policy::{DestSource, OrigSource};

/// Of a header field that makes no sense, what is shown, in characters.
const SHOWN: usize = 100;

impl Verifier {
    /// `orig` must be the caller, as the first header field that names one has it.
    pub(super) fn check_caller(&self, claims: &Claims, call: &SipCall<'_>) -> Result<()> {
        let wrong = |why: String| Err(Error::new(Code::OrigMismatch, why));
        for source in &self.shaken.orig_source {
            let (name, values): (_, Vec<&str>) = match source {
                OrigSource::Pai => (
                    "P-Asserted-Identity",
                    call.asserted.iter().flat_map(|v| party::values(v)).collect(),
                ),
                // One value, whatever commas stand in its name.
                OrigSource::From if call.from.trim().is_empty() => ("From", Vec::new()),
                OrigSource::From => ("From", vec![call.from]),
            };
            let mut callers = Vec::new();
            for value in values {
                // Who comes after may read it.
                let Some(caller) = party::of_header(&self.numbering, value) else {
                    let shown: String = value.chars().take(SHOWN).collect();
                    return wrong(format!(
                        "{name} {shown:?} is nobody whom orig can be compared with"
                    ));
                };
                callers.push(caller);
            }
            let same = |caller: &String| self.numbering.same(&claims.orig, caller);
            // A call may assert a sip: and a tel: URI of one caller, but not two numbers.
            let mut numbers = callers.iter().filter(|caller| !caller.contains(':')).peekable();
            let fits = match numbers.peek() {
                Some(_) => numbers.all(same),
                None => callers.iter().any(same),
            };
            if fits {
                return Ok(());
            }
            if !callers.is_empty() {
                let orig = std::slice::from_ref(&claims.orig);
                return wrong(mismatch::message("orig", orig, "the caller", &callers));
            }
        }
        Err(Error::new(Code::OrigMismatch, "the message names no caller to compare orig with"))
    }

    pub(super) fn check_called(
        &self,
        claims: &Claims,
        call: &SipCall<'_>,
        source: DestSource,
    ) -> Result<()> {
        let to = || party::of_header(&self.numbering, call.to);
        let ruri = || party::of_uri(&self.numbering, call.request_uri);
        let called: Vec<String> = match source {
            DestSource::To => to().into_iter().collect(),
            DestSource::Ruri => ruri().into_iter().collect(),
            DestSource::Either => ruri().into_iter().chain(to()).collect(),
        };
        let among = |called: &String| claims.dest.iter().any(|d| self.numbering.same(d, called));
        if called.iter().any(among) {
            return Ok(());
        }
        let why = mismatch::message("dest", &claims.dest, "the called number", &called);
        Err(Error::new(Code::DestMismatch, why))
    }
}
