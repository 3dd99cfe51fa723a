//! Text that no message, log or `Debug` shows.

use p256::elliptic_curve::zeroize::Zeroizing;
use std::fmt;

/// Shorter ones are not looked for in messages: each letter would be replaced.
const SHORTEST_SCRUBBED: usize = 4;

/// A password or token. It is overwritten when it goes.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the one who is to have it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A text that a server sent, without this secret where the server repeats it.
    pub(crate) fn scrub(&self, text: &str) -> String {
        if self.0.len() < SHORTEST_SCRUBBED {
            return text.to_owned();
        }
        text.replace(self.expose(), "(secret)")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
