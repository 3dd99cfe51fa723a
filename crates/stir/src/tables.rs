//! Which keys have a table of their multiples (crate p256-table): those that sign calls.
//!
//! A table only ever says yes. What it says no to, or nothing, aws-lc decides, so that no call fails by
//! a table; and a table begins by agreeing with aws-lc on a signature. Tables are a process's own:
//! who could write one that others use could make forged calls pass.

use crate::key::{SIGNATURE_LEN, VerifyingKey};
use aws_lc_rs::digest::{SHA256, digest};
use p256_table::{Table, Verdict};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

/// The valid signature at which a key gets its table. Making one takes 0.7 to 1.0 of a verification by
/// aws-lc and each use saves 0.7, so it pays from the second use on. A key that signed two calls is
/// likely to sign more; one that a caller made up for a single call gets none.
const FIRST_USE: u32 = 2;
/// What counts the signatures of a key that can't have a table.
const NEVER: u32 = u32::MAX;
/// A table that was not used in so many verifications, times the number of tables, goes to a key that
/// wants one. Where all signers call equally often and are too many, that keeps the time for making
/// tables under a fifteenth of that for verifying.
const IDLE_ROUNDS: u64 = 16;

/// The tables of a verifier.
#[derive(Debug)]
pub(crate) struct KeyTables {
    /// How many there may be.
    room: usize,
    /// Verifications so far, by which idleness is told.
    verified: AtomicU64,
    /// Before so many verifications no table can have become idle.
    full_until: AtomicU64,
    live: Mutex<Vec<Weak<KeyTable>>>,
}

/// The place for a key's table. It goes with the key.
#[derive(Debug, Default)]
pub(crate) struct KeyTable {
    /// Valid signatures until there was a table; [`NEVER`] if there can't be one.
    valid: AtomicU32,
    /// [`KeyTables::verified`] when the table was used last.
    used: AtomicU64,
    table: RwLock<Option<Table>>,
}

impl KeyTables {
    /// Tables that take so many KiB together.
    pub(crate) fn new(kib: u32) -> Self {
        let bytes = usize::try_from(kib).unwrap_or(usize::MAX).saturating_mul(1024);
        Self {
            room: bytes / Table::SIZE,
            verified: AtomicU64::default(),
            full_until: AtomicU64::default(),
            live: Mutex::default(),
        }
    }

    /// Makes what all tables share, if there are to be any.
    pub(crate) fn prepare(&self) {
        if self.room > 0 {
            p256_table::prepare();
        }
    }

    /// Whether this is the key's signature of the message: by its table, or else by aws-lc, after
    /// which the key may get one.
    ///
    /// The trust anchors, where chains are checked, must have vouched for the key: else a stranger
    /// could have tables made.
    pub(crate) fn verify(
        &self,
        own: &Arc<KeyTable>,
        key: &VerifyingKey,
        message: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> bool {
        let digest = digest(&SHA256, message);
        let Ok(octets) = digest.as_ref().try_into() else {
            return key.verify_digest(&digest, signature);
        };
        let said = own.say(octets, signature);
        if said != Some(Verdict::Valid) {
            let valid = key.verify_digest(&digest, signature);
            if valid && said.is_none() {
                self.grant(own, key, octets, signature);
            } else if valid && said == Some(Verdict::Invalid) {
                own.withdraw();
            }
            return valid;
        }
        own.used.store(self.verified.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        true
    }

    /// Counts a valid signature of a key without a table, and makes one if it is due and there is room.
    fn grant(
        &self,
        own: &Arc<KeyTable>,
        key: &VerifyingKey,
        digest: &[u8; 32],
        signature: &[u8; SIGNATURE_LEN],
    ) {
        let verified = self.verified.fetch_add(1, Ordering::Relaxed);
        let valid = own.valid.load(Ordering::Relaxed);
        if valid == NEVER || self.room == 0 {
            return;
        }
        if valid + 1 < FIRST_USE {
            own.valid.store(valid + 1, Ordering::Relaxed);
            return;
        }
        if verified < self.full_until.load(Ordering::Relaxed) {
            return;
        }
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.make_room(&mut live, verified) {
            return;
        }
        let Some(table) = Table::new(key.point()) else {
            own.valid.store(NEVER, Ordering::Relaxed);
            return;
        };
        match table.verify(digest, signature) {
            Verdict::Valid => {
                own.used.store(verified, Ordering::Relaxed);
                let old = own.put(Some(table));
                // Another thread may have been faster.
                if old.is_none() {
                    live.push(Arc::downgrade(own));
                }
            }
            Verdict::Invalid => own.withdraw(),
            // Of this signature it can't be told: the next one will be.
            Verdict::Unsure => {}
        }
    }

    /// Whether there is room for one more, if need be that of the table that was idle for longest.
    fn make_room(&self, live: &mut Vec<Weak<KeyTable>>, verified: u64) -> bool {
        if live.len() < self.room {
            return true;
        }
        live.retain(|one| one.upgrade().is_some_and(|one| one.has_table()));
        if live.len() < self.room {
            return true;
        }
        let idlest = live
            .iter()
            .enumerate()
            .filter_map(|(i, one)| Some((one.upgrade()?, i)))
            .min_by_key(|(one, _)| one.used.load(Ordering::Relaxed));
        let Some((idlest, place)) = idlest else { return true };
        let span = IDLE_ROUNDS.saturating_mul(self.room as u64);
        let idle_at = idlest.used.load(Ordering::Relaxed).saturating_add(span);
        if verified < idle_at {
            self.full_until.store(idle_at, Ordering::Relaxed);
            return false;
        }
        drop(idlest.put(None));
        live.swap_remove(place);
        true
    }
}

impl KeyTable {
    /// What the table says, if there is one.
    fn say(&self, digest: &[u8; 32], signature: &[u8; SIGNATURE_LEN]) -> Option<Verdict> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.as_ref().map(|table| table.verify(digest, signature))
    }

    fn has_table(&self) -> bool {
        self.table.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn put(&self, table: Option<Table>) -> Option<Table> {
        std::mem::replace(&mut *self.table.write().unwrap_or_else(PoisonError::into_inner), table)
    }

    /// For a table that refused what aws-lc takes: it is damaged, or this program is wrong.
    fn withdraw(&self) {
        self.valid.store(NEVER, Ordering::Relaxed);
        drop(self.put(None));
        log::error!(
            "a key's table refused a signature that is valid: the key has none any more; check this machine's memory, or set key_tables 0"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;
    use p256::SecretKey;
    use p256::elliptic_curve::Generate;
    use p256::pkcs8::{EncodePrivateKey, LineEnding};
    use p256_table::Backend;

    const MESSAGE: &[u8] = b"header.payload";

    struct Signer {
        key: SigningKey,
        public: VerifyingKey,
        own: Arc<KeyTable>,
    }

    impl Signer {
        fn new() -> Self {
            let pem = SecretKey::generate().to_pkcs8_pem(LineEnding::LF).unwrap();
            let key = SigningKey::from_pem(pem.as_bytes()).unwrap();
            let public = key.verifying_key().unwrap();
            Self { key, public, own: Arc::default() }
        }

        /// Whether a new signature is taken, and one of another message is not.
        fn calls(&self, tables: &KeyTables) -> bool {
            let signature = self.key.sign(MESSAGE).unwrap();
            let verify = |message| tables.verify(&self.own, &self.public, message, &signature);
            verify(MESSAGE) && !verify(b"header.other")
        }
    }

    fn live(signers: &[Signer]) -> usize {
        signers.iter().filter(|signer| signer.own.has_table()).count()
    }

    #[test]
    fn a_key_has_a_table_from_its_second_valid_signature_on() {
        let (tables, signer) = (KeyTables::new(4), Signer::new());
        let forged = [1; SIGNATURE_LEN];
        for _ in 0..10 {
            assert!(!tables.verify(&signer.own, &signer.public, MESSAGE, &forged));
        }
        assert!(signer.calls(&tables) && !signer.own.has_table());
        assert!(signer.calls(&tables));
        assert_eq!(signer.own.has_table(), p256_table::backend() == Backend::S2nBignum);
        assert!(signer.calls(&tables));
    }

    #[test]
    fn no_room_makes_no_tables() {
        for kib in [0, 3] {
            let (tables, signer) = (KeyTables::new(kib), Signer::new());
            assert!((0..5).all(|_| signer.calls(&tables)));
            assert!(!signer.own.has_table());
        }
    }

    #[test]
    fn idle_tables_make_room_and_others_do_not() {
        if p256_table::backend() == Backend::AwsLc {
            return;
        }
        let (tables, mut signers) = (KeyTables::new(8), [(); 4].map(|()| Signer::new()));
        for _ in 0..2 {
            assert!(signers.iter().all(|signer| signer.calls(&tables)));
        }
        let has = |signers: &[Signer]| [0, 1, 2, 3].map(|i| signers[i].own.has_table());
        assert_eq!(has(&signers), [true, true, false, false]);
        // The first two are idle for as long as the third alone calls.
        let calls = (0..200).position(|_| {
            assert!(signers[2].calls(&tables));
            signers[2].own.has_table()
        });
        assert_eq!(live(&signers), 2);
        let span = usize::try_from(2 * IDLE_ROUNDS).unwrap();
        assert!(calls.is_some_and(|calls| (span - 8..=span + 1).contains(&calls)), "{calls:?}");
        // A table goes with its key.
        signers[2] = Signer::new();
        assert!((0..200).any(|_| signers[3].calls(&tables) && signers[3].own.has_table()));
        assert_eq!(live(&signers), 2);
    }

    #[test]
    fn a_wrong_table_fails_no_call_and_is_gone() {
        if p256_table::backend() == Backend::AwsLc {
            return;
        }
        let (tables, signer, other) = (KeyTables::new(8), Signer::new(), Signer::new());
        signer.own.put(Table::new(other.public.point()));
        let theirs = other.key.sign(b"header.other").unwrap();
        assert!(signer.own.has_table());
        assert!(signer.calls(&tables));
        assert!(!signer.own.has_table());
        assert!((0..5).all(|_| signer.calls(&tables)) && !signer.own.has_table());
        assert!(!tables.verify(&signer.own, &signer.public, b"header.other", &theirs));
    }

    /// Each of 100,000 keys that strangers made up signs one call; those that sign more have their
    /// tables all the same.
    #[test]
    fn a_flood_of_keys_makes_no_tables() {
        let (tables, signer, flood) = (KeyTables::new(512), Signer::new(), Signer::new());
        let signature = flood.key.sign(MESSAGE).unwrap();
        let mut made = 0;
        for n in 0..100_000 {
            let own = Arc::default();
            if n % 50 == 0 {
                assert!(tables.verify(&own, &flood.public, MESSAGE, &signature));
                assert!(signer.calls(&tables));
            } else {
                // What a verification that passed leaves behind, without its 50 µs.
                let digest = digest(&SHA256, MESSAGE);
                let octets = digest.as_ref().try_into().unwrap();
                tables.grant(&own, &flood.public, octets, &signature);
            }
            made += usize::from(own.has_table());
        }
        assert_eq!(made, 0);
        assert!(tables.live.lock().unwrap().len() <= 1);
    }
}
