//! Tokens that come again for another call (RFC 8225 §10.1, RFC 8224 §12.1).

use super::token::Token;
use super::{SipCall, Verifier};
use crate::error::{Code, Error, Result};
use crate::policy::Replay;
use aws_lc_rs::digest::{SHA256, digest};
use lru::LruCache;
use std::sync::{Mutex, PoisonError};

/// Tokens that are remembered: those of a minute (`expire`) at 270 calls a second in one process, in
/// less than 3 MiB. Only tokens that verified are, so filling it takes a certificate and calls to
/// numbers that are served here; the oldest one goes first.
const MAX_TOKENS: usize = 16_384;

/// The first half of a SHA-256 digest: nobody finds a second text for it.
type Digest = [u8; 16];

/// The call that a token was seen in.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    call_id: Digest,
    called: Digest,
}

struct Seen {
    place: Place,
    /// The last second in which the token is fresh.
    until: i64,
    /// Whether the log has a line of it.
    told: bool,
}

/// What is known of a token.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    /// It is of this call.
    Here,
    /// It was seen in another one, for the first time or again.
    Elsewhere { told: bool },
}

/// The tokens that this process has verified, while they are fresh.
pub(super) struct Tokens(Mutex<LruCache<Digest, Seen>>);

impl Default for Tokens {
    fn default() -> Self {
        Self(Mutex::new(LruCache::unbounded()))
    }
}

impl Tokens {
    /// Notes a token with the call that it came in, unless it is known.
    fn note(&self, token: Digest, place: Place, until: i64, now: i64) -> Known {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match tokens.peek_mut(&token).filter(|seen| seen.until >= now) {
            Some(seen) if seen.place == place => return Known::Here,
            Some(seen) => {
                return Known::Elsewhere { told: std::mem::replace(&mut seen.told, true) };
            }
            None => {}
        }
        let over = |seen: &Seen| seen.until < now;
        while tokens.len() >= MAX_TOKENS || tokens.peek_lru().is_some_and(|(_, seen)| over(seen)) {
            tokens.pop_lru();
        }
        tokens.put(token, Seen { place, until, told: false });
        Known::Here
    }
}

impl Verifier {
    /// Remembers a token that has verified and leads to the called number. Retransmissions and forks
    /// of a call keep its Call-ID and its called number; a copied token that is used for another
    /// number, or in another call, has another of the two.
    ///
    /// # Errors
    /// [`Code::Replayed`] for one that was seen in another call, with [`Replay::Refuse`].
    pub(super) fn check_replay(&self, token: &Token<'_>, call: &SipCall<'_>) -> Result<()> {
        let Some(call_id) = call.call_id.filter(|_| self.shaken.replay != Replay::Off) else {
            return Ok(());
        };
        let called = self.named(&call.request_uri);
        let place = Place { call_id: half(call_id), called: half(&called) };
        let until = token.claims.iat.saturating_add(self.expire);
        // Not with the signature: another one that verifies can be made of it.
        let known = self.tokens.note(half(token.signed()), place, until, self.clock.now());
        let Known::Elsewhere { told } = known else { return Ok(()) };
        let why = format!(
            "the token from {} was used in another call before; this one goes to {called}, Call-ID {call_id:?}",
            token.claims.orig
        );
        if self.shaken.replay == Replay::Refuse {
            return Err(Error::new(Code::Replayed, why));
        }
        // Once a token, however often it comes.
        if !told {
            log::warn!("{why} (replay)");
        }
        Ok(())
    }
}

fn half(text: &str) -> Digest {
    let mut half = Digest::default();
    half.copy_from_slice(&digest(&SHA256, text.as_bytes()).as_ref()[..size_of::<Digest>()]);
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_kept_while_they_are_fresh_within_a_bound() {
        let tokens = Tokens::default();
        let place = |n: u8| Place { call_id: [n; 16], called: [0; 16] };
        let len = || tokens.0.lock().unwrap().len();
        for n in 0..=MAX_TOKENS {
            let name = half(&n.to_string());
            assert_eq!(tokens.note(name, place(1), 100, 100), Known::Here);
        }
        assert_eq!(len(), MAX_TOKENS);
        let last = half(&MAX_TOKENS.to_string());
        for told in [false, true] {
            assert_eq!(tokens.note(last, place(2), 100, 100), Known::Elsewhere { told });
        }
        assert_eq!(tokens.note(last, place(1), 100, 100), Known::Here);
        // The first one made room; this one drops all that are over.
        assert_eq!(tokens.note(half("0"), place(2), 200, 101), Known::Here);
        assert_eq!(len(), 1);
    }
}
