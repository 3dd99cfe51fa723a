//! Files that are replaced while they are in force: what does not count never takes the place of
//! what does.

use crate::pki::{self, At, CrlSpec, DAY, Key, NOW, Spec};
use crate::{INTER, ROOT, World, chain, config};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;
use stir::trust::Trust;
use stir::{Clock, Code, Config};

/// Longer than a file is not looked at.
fn wait() {
    std::thread::sleep(Duration::from_millis(1100));
}

#[test]
fn a_crl_that_does_not_count_never_replaces_one_that_does() {
    let world = World::new("crl replaced");
    let chain = chain(&[world.leaf.clone(), world.inter.clone()]);
    let good = || CrlSpec::new(INTER).sign(&world.inter_key);
    world.crls(&[good()]);
    let trust = world.trust(28);
    trust.load().unwrap();
    let (first, bad) = (trust.generation(), Err(Code::CrlFileRead));
    for (name, crl, says, at_start) in [
        ("another key", CrlSpec::new(INTER).sign(&world.root_key), "does not count", bad),
        (
            "the future",
            CrlSpec { this_update: NOW + 1, ..CrlSpec::new(INTER) }.sign(&world.inter_key),
            "is not in force before",
            bad,
        ),
        (
            "the past",
            CrlSpec { next_update: NOW - 1, ..CrlSpec::new(INTER) }.sign(&world.inter_key),
            "is out of date",
            bad,
        ),
        (
            "an unknown issuer",
            CrlSpec::new("CN=Nobody").sign(&world.root_key),
            "neither a trust anchor nor among the intermediates",
            Ok(()),
        ),
    ] {
        world.crls(&[crl]);
        let error = trust.reload().unwrap_err();
        assert_eq!(error.code(), Code::CrlFileRead, "{name}");
        assert!(error.message().contains(says), "{name}: {error}");
        wait();
        trust.verify(&chain, NOW).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(trust.generation(), first, "{name}");
        // At a start there is nothing else; one of nobody in the call's path changes nothing.
        let error = world.trust(28).verify(&chain, NOW).map(drop);
        assert_eq!(error.map_err(|e| e.code()), at_start, "{name}");
    }
    world.crls(&[CrlSpec::new(INTER).revoke(&[0x11, 0x22, 0x33]).sign(&world.inter_key)]);
    wait();
    assert_eq!(trust.verify(&chain, NOW).unwrap_err().code(), Code::CertRevoked);
}

#[test]
fn a_crl_is_judged_by_the_issuer_that_a_call_brought() {
    let world = World::new("crl of a chain");
    let chain = chain(&[world.leaf.clone(), world.inter.clone()]);
    world.crls(&[CrlSpec::new(INTER).sign(&world.inter_key)]);
    let trust = world.trust(20);
    trust.verify(&chain, NOW).unwrap();
    world.crls(&[CrlSpec::new(INTER).sign(&world.root_key)]);
    let error = trust.reload().unwrap_err();
    assert!(error.message().contains("does not count"), "{error}");
    wait();
    trust.verify(&chain, NOW).unwrap();
}

#[test]
fn a_crl_comes_into_force_when_its_signer_is_known() {
    let world = World::new("crl first");
    let key = Key::p256();
    let signer = Spec { subject: pki::name("CN=PA"), ..Spec::leaf(ROOT) }
        .extensions(&[pki::basic_constraints(false, None), pki::key_usage(&[6])])
        .issue(&key, &world.root_key);
    world.crls(&[CrlSpec::new(INTER).sign(&world.inter_key)]);
    let trust = world.trust(28);
    let chain = chain(std::slice::from_ref(&world.leaf));
    trust.verify(&chain, NOW).unwrap();
    // A CRL of another signer comes before the signer's certificate.
    let revoked = vec![(vec![0x11, 0x22, 0x33], Some(pki::name(INTER)))];
    world.crls(&[CrlSpec { indirect: true, revoked, ..CrlSpec::new("CN=PA") }.sign(&key)]);
    wait();
    trust.verify(&chain, NOW).unwrap();
    world.write("inter.pem", pki::certificates(&[world.inter.clone(), signer]));
    wait();
    assert_eq!(trust.verify(&chain, NOW).unwrap_err().code(), Code::CertRevoked);
}

/// An administrator who signs lists of a root.
struct Administrator {
    world: World,
    key: Key,
}

impl Administrator {
    fn new(name: &str) -> Self {
        let administrator = Self { world: World::new(name), key: Key::p256() };
        let public = pki::pem("PUBLIC KEY", &[administrator.key.spki()]);
        administrator.world.write("key.pem", public);
        administrator
    }

    fn write(&self, sequence: u64, exp: i64) {
        let root = pki::certificates(std::slice::from_ref(&self.world.root)).replace('\n', "\\n");
        let payload = format!(r#"{{"sequence":{sequence},"exp":{exp},"trustList":["{root}"]}}"#);
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#),
            URL_SAFE_NO_PAD.encode(payload)
        );
        let signature =
            p256::ecdsa::Signature::from_der(&self.key.sign(signed.as_bytes())).unwrap();
        let signature = URL_SAFE_NO_PAD.encode(signature.to_bytes());
        self.world.write("list.jws", format!("{signed}.{signature}"));
    }

    fn path(&self) -> PathBuf {
        self.world.folder.join("list.jws")
    }

    fn trust(&self, clock: Arc<dyn Clock>, lists_dir: &Path) -> Trust {
        let config = Config {
            trust_anchors: self.path(),
            trust_anchors_key: self.world.folder.join("key.pem"),
            lists_dir: lists_dir.to_owned(),
            ..config(0, &self.world.folder)
        };
        Trust::with_clock(&config, clock)
    }
}

#[test]
fn a_list_s_sequence_only_grows() {
    let administrator = Administrator::new("sequence");
    let chain = chain(&[administrator.world.leaf.clone(), administrator.world.inter.clone()]);
    let cache = administrator.world.folder.join("cache");
    fs::create_dir(&cache).unwrap();
    let start = |folder: &Path| administrator.trust(Arc::new(At(NOW)), folder);
    administrator.write(7, NOW + 9 * DAY);
    let trust = start(&cache);
    trust.load().unwrap();
    let first = trust.generation();
    // An older list, whenever it ends.
    administrator.write(6, NOW + 20 * DAY);
    let error = trust.reload().unwrap_err();
    assert!(error.message().contains("has sequence 6, and 7 was in force"), "{error}");
    assert!(error.message().contains("remove"), "{error}");
    wait();
    trust.verify(&chain, NOW).unwrap();
    assert_eq!(trust.generation(), first);
    // Nor after a restart, where its number was kept.
    let error = start(&cache).load().unwrap_err();
    assert!(error.message().contains("has sequence 6, and 7 was in force"), "{error}");
    assert_eq!(error.code().value(), -105);
    start(Path::new("")).load().unwrap();
    // The same one again, and newer ones.
    for (sequence, count) in [(7, 1), (9, 1)] {
        administrator.write(sequence, NOW + 9 * DAY);
        assert_eq!(trust.reload().unwrap().anchors, count);
        start(&cache).load().unwrap();
    }
    administrator.write(8, NOW + 9 * DAY);
    start(&cache).load().unwrap_err();
    // What can't be read is as good as none: nobody is locked out by junk.
    for entry in fs::read_dir(&cache).unwrap() {
        fs::write(entry.unwrap().path(), "junk").unwrap();
    }
    start(&cache).load().unwrap();
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 1, "no temporary file stays");
}

/// A clock that is set.
struct Set(AtomicI64);

impl Clock for Set {
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What was logged at ERROR.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        if record.level() == log::Level::Error {
            LINES.lock().unwrap().push(record.args().to_string());
        }
    }
    fn flush(&self) {}
}

/// The lines that name this file, taken.
fn lines_of(path: &Path) -> Vec<String> {
    let mut lines = LINES.lock().unwrap();
    let name = path.display().to_string();
    let (own, others) = std::mem::take(&mut *lines).into_iter().partition(|l| l.contains(&name));
    *lines = others;
    own
}

#[test]
fn a_list_that_runs_out_is_said_once_a_day_and_stays_in_force_for_a_week() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Lines).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
    let mut administrator = Administrator::new("runs out");
    // The leaf outlives it.
    let spec = Spec::leaf(INTER).valid(NOW - DAY, NOW + 90 * DAY);
    let world = &mut administrator.world;
    world.leaf = spec.issue(&world.leaf_key, &world.inter_key);
    let chain = chain(&[administrator.world.leaf.clone(), administrator.world.inter.clone()]);
    let (path, clock) = (administrator.path(), Arc::new(Set(AtomicI64::new(NOW))));
    let end = NOW + 2 * DAY;
    administrator.write(1, end);
    let start = || {
        let trust = administrator.trust(Arc::<Set>::clone(&clock), Path::new(""));
        trust.load().unwrap();
        trust
    };
    let trust = start();
    let look = |trust: &Trust, now: i64| {
        clock.0.store(now, Ordering::Relaxed);
        trust.warn_of_lists();
        let verdict = trust.verify(&chain, now).map_err(|e| e.code());
        (lines_of(&path), trust.lists_ending(), verdict)
    };
    let (lines, ending, verdict) = look(&trust, end - DAY - 1);
    assert_eq!((lines.len(), ending), (0, 0), "{lines:?}");
    assert_eq!(verdict, Ok(end + 7 * DAY), "the verdict ends with the list");
    for (now, says) in [
        (end - DAY, Some("runs out at")),
        (end - 5, None),
        // Another phase, then the same a day later.
        (end, Some("ran out at")),
        (end + 1, None),
        (end + DAY - 1, None),
        (end + DAY, Some("it stays in force until")),
        (end + DAY + 9, None),
    ] {
        let (lines, ending, verdict) = look(&trust, now);
        assert_eq!(lines.len(), usize::from(says.is_some()), "{now}: {lines:?}");
        assert!(says.is_none_or(|says| lines[0].contains(says)), "{now}: {lines:?}");
        assert_eq!((ending, verdict), (1, Ok(end + 7 * DAY)), "{now}");
        trust.reload().unwrap();
    }
    // A restart changes nothing, but that it says so again.
    let again = start();
    let (lines, _, verdict) = look(&again, end + DAY + 10);
    assert_eq!((lines.len(), verdict), (1, Ok(end + 7 * DAY)), "{lines:?}");
    // A list that ran out does not take the place of one that did not.
    administrator.write(2, end + 30 * DAY);
    trust.reload().unwrap();
    assert_eq!(look(&trust, end + DAY + 11).1, 0);
    administrator.write(3, end + 5);
    let error = trust.reload().unwrap_err();
    assert!(error.message().contains("ran out at"), "{error}");
    lines_of(&path);
    // After a week it is over, before and after a restart.
    for trust in [again, start()] {
        let (lines, ending, verdict) = look(&trust, end + 5 + 7 * DAY);
        assert_eq!(verdict, Err(Code::CertProcessing));
        assert_eq!(ending, 1);
        assert!(lines.iter().any(|line| line.contains("is no longer in force")), "{lines:?}");
    }
}
