//! A file of trust anchors or intermediates: PEM, or a signed list, which runs out and has a
//! sequence number.

use super::MAX_CA_CERTIFICATES;
use super::list::{self, List, Use};
use super::sequences::Sequences;
use super::signers::Signers;
use super::watched::{Kind, Refusal};
use crate::cert::{self, Certificate};
use crate::clock::time;
use crate::error::{Code, Error, Result};
use std::path::{Path, PathBuf};

/// How long before a list runs out an operator is told, and how often: a day.
const DAY: i64 = 86_400;

/// What a file holds.
pub(super) struct Document {
    pub(super) path: PathBuf,
    pub(super) certificates: Vec<Certificate>,
    /// When it runs out (Unix seconds), if it is a list that does.
    exp: Option<i64>,
    sequence: Option<u64>,
}

/// How a list stands to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It runs out within a day.
    Ending,
    /// It ran out and stays in force.
    Stale,
    /// It is no longer in force.
    Gone,
}

impl Document {
    /// Reads a file; `key` names who may have signed a list.
    ///
    /// # Errors
    /// [`Code::CertProcessing`], and [`Code::InterFileRead`] for intermediates.
    pub(super) fn read(path: &Path, text: &[u8], what: Use, key: &Path, now: i64) -> Result<Self> {
        let found = if list::is_list(text) {
            Signers::read(key, path).and_then(|signers| list::read(text, what, &signers, now))
        } else {
            pem(text).map(|certificates| List { certificates, sequence: None, exp: None })
        };
        let List { certificates, sequence, exp } = found.map_err(|e| match what {
            Use::Anchors => e,
            Use::Intermediates => Error::new(Code::InterFileRead, e.message()),
        })?;
        Ok(Self { path: path.to_owned(), certificates, exp, sequence })
    }

    /// Whether it counts: a list that ran out does for `stale` more seconds.
    pub(super) fn is_in_force(&self, now: i64, stale: i64) -> bool {
        now < self.end(stale)
    }

    /// Until when it counts, in Unix seconds.
    pub(super) fn end(&self, stale: i64) -> i64 {
        self.exp.map_or(i64::MAX, |exp| exp.saturating_add(stale))
    }

    /// How it stands to its end; `None` while that is more than a day away.
    pub(super) fn phase(&self, now: i64, stale: i64) -> Option<Phase> {
        let exp = self.exp?;
        match now {
            now if now < exp.saturating_sub(DAY) => None,
            now if now < exp => Some(Phase::Ending),
            now if self.is_in_force(now, stale) => Some(Phase::Stale),
            _ => Some(Phase::Gone),
        }
    }

    /// What an operator is told of that.
    pub(super) fn warning(&self, kind: &Kind, phase: Phase, stale: i64) -> String {
        let (option, path) = (kind.option, self.path.display());
        let exp = time(self.exp.unwrap_or_default());
        let until = time(self.end(stale));
        match phase {
            Phase::Ending => {
                format!("{option} \"{path}\": the list runs out at {exp}: get a new one")
            }
            Phase::Stale => format!(
                "{option} \"{path}\": the list ran out at {exp}; it stays in force until {until} (trust_anchors_stale): get a new one"
            ),
            Phase::Gone => format!(
                "{option} \"{path}\": the list ran out at {exp} and is no longer in force: get a new one"
            ),
        }
    }
}

/// Judges documents before they come into force, beside those that are.
pub(super) fn judge(
    new: &[Document],
    old: Option<&[Document]>,
    sequences: &Sequences,
    now: i64,
) -> Result<(), Refusal> {
    for document in new {
        let before = old.into_iter().flatten().find(|before| before.path == document.path);
        let path = document.path.display();
        let error = |why: String| Error::new(Code::CertProcessing, why);
        let known = before.and_then(|before| before.sequence).max(sequences.of(&document.path));
        if document.sequence < known {
            let known = known.unwrap_or_default();
            let has =
                document.sequence.map_or("no sequence".into(), |own| format!("sequence {own}"));
            return Err(Refusal::Bad(error(format!(
                "the list \"{path}\" has {has}, and {known} was in force: it is an older one{}",
                sequences.remedy(&document.path)
            ))));
        }
        // Nothing is won by a list that ran out, unless what is there ran out before.
        let end = before.map(|before| before.exp.unwrap_or(i64::MAX));
        if let (Some(exp), Some(end)) = (document.exp, end)
            && exp <= now
            && exp < end
        {
            return Err(Refusal::Useless(error(format!(
                "the list \"{path}\" ran out at {}: get a new one",
                time(exp)
            ))));
        }
    }
    let certificates = || new.iter().flat_map(|document| &document.certificates);
    match certificates().map(Certificate::not_after).max() {
        Some(end) if end < now => Err(Refusal::Useless(Error::new(
            Code::CertInvalid,
            format!("all certificates in it have expired, the last at {}", time(end)),
        ))),
        _ => Ok(()),
    }
}

/// Remembers the sequence numbers of lists that came into force.
pub(super) fn remember(documents: &[Document], sequences: &Sequences) {
    for document in documents {
        if let Some(sequence) = document.sequence {
            sequences.remember(&document.path, sequence);
        }
    }
}

fn pem(text: &[u8]) -> Result<Vec<Certificate>> {
    let wrong = |why: String| Error::new(Code::CertProcessing, why);
    let found = cert::all_from_pem(text, MAX_CA_CERTIFICATES)
        .map_err(|e| wrong(format!("is of no use: {}", e.message())))?;
    if found.is_empty() {
        return Err(wrong(
            "holds no PEM certificate (-----BEGIN CERTIFICATE-----) and is not a signed list"
                .into(),
        ));
    }
    Ok(found)
}
