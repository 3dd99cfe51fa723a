//! How much work a message may make. A stranger writes its header fields and serves their chains, so
//! all of them are paid for from one budget.
//!
//! Work is counted and not timed: on a busy machine a clock would fail good calls.

use super::signature::{Signed, key_cost};
use crate::cert::Certificate;
use std::cell::Cell;

/// Most that the search for one path may cost, in ES256 verifications of some 40 µs. The usual path of
/// three certificates on P-256 costs 4, the longest one on P-521 56.
pub const MAX_CHAIN_COST: u32 = 64;
/// Most that all chains of one message may cost together, some 5 ms whatever their keys are. Ten header
/// fields, each with a path of four certificates on P-256 and its token's signature, cost 70.
pub const MAX_MESSAGE_COST: u32 = 128;

/// Whether a certificate may have issued another: to read one with 64 extensions takes as long as to
/// check a signature.
pub(super) const LOOK: u32 = 1;
/// To look whether a CRL's issuer is still trusted: a path of three certificates. Its own signature is
/// checked once.
pub(super) const CRL_COST: u32 = 4;
/// Bytes that are hashed in the time of one verification.
const HASHED: usize = 16 * 1024;

/// What the message that is being checked has cost so far.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    spent: Cell<u32>,
}

impl Budget {
    /// What is left for chains.
    pub(super) fn left(&self) -> u32 {
        MAX_MESSAGE_COST.saturating_sub(self.spent.get())
    }

    /// Adds what was done. What is not a chain is always checked: a header field has one token, and
    /// how many CRLs there are is the operator's choice.
    pub(crate) fn add(&self, cost: u32) {
        self.spent.set(self.spent.get().saturating_add(cost));
    }

    /// What was done, in ES256 verifications.
    pub(crate) fn spent(&self) -> u32 {
        self.spent.get()
    }
}

/// What it costs to check a signature.
pub(super) fn signature_cost(signed: &Signed<'_>, signer: &Certificate) -> u32 {
    let hashed = u32::try_from(signed.message.len() / HASHED).unwrap_or(u32::MAX);
    key_cost(signer).saturating_add(hashed)
}
