//! Keys beside their certificates, and how they are rotated.

use super::pki::{self, DAY, Key, NOW, Spec};
use super::{At, CALL, folder, private_pem};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Once};
use stir::{Call, Code, Config, DivCall, Policy, PrivateKey, Signer};

/// A folder of keys and certificates.
struct Files {
    folder: PathBuf,
    ca: Key,
}

impl Files {
    fn new(name: &str) -> Self {
        Self { folder: folder(name), ca: Key::p256() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// As a tool that rotates keys does it: another file takes the name.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(".new"), text).unwrap();
        fs::rename(self.folder.join(".new"), self.folder.join(name)).unwrap();
    }

    fn certificate(&self, key: &Key, not_before: i64, not_after: i64) -> String {
        let leaf = Spec::leaf("CN=CA").valid(not_before, not_after).issue(key, &self.ca);
        pki::certificates(&[leaf])
    }

    fn good(&self, key: &Key) -> String {
        self.certificate(key, NOW - DAY, NOW + DAY)
    }

    fn signer(&self, policy: Policy, cert_path: &str) -> (Signer, Arc<At>) {
        let cert_path = match cert_path {
            "" => PathBuf::new(),
            name => self.folder.join(name),
        };
        let clock = Arc::new(At(NOW.into()));
        // Policy shaken asks for anchors; a signer does not read them.
        let trust_anchors = self.folder.join("anchors.pem");
        let config = Config { policy, cert_path, trust_anchors, ..Config::default() };
        (Signer::with_clock(&config.build().unwrap(), clock.clone()), clock)
    }
}

#[test]
fn a_key_must_match_its_certificate_and_that_must_count() {
    let files = Files::new("pairs");
    let (key, other) = (Key::p256(), Key::p256());
    let good = files.good(&key);
    let stale = files.certificate(&key, NOW - 2 * DAY, NOW - 1);
    let early = files.certificate(&key, NOW + 1, NOW + DAY);
    let p384 = files.good(&Key::p384());
    for (key_name, certificate_name) in [
        ("key.pem", "cert.pem"),
        ("a.key", "a.crt"),
        ("b.key", "b.pem"),
        ("c-key.pem", "c-cert.pem"),
        ("d-key.pem", "d.pem"),
    ] {
        files.write(key_name, &private_pem(&key));
        let path = files.path(key_name);
        let (shaken, _) = files.signer(Policy::Shaken, "");
        shaken.check_key(&path).expect("no certificate, no check");
        for (text, why) in [
            (good.as_str(), None),
            (&[&good, &files.good(&other)].map(String::as_str).concat(), None),
            (&files.good(&other), Some("the public keys are not the same")),
            (&stale, Some("it was valid until 2027-01-15T07:59:59Z")),
            (&early, Some("it is valid from 2027-01-15T08:00:01Z")),
            (&p384, Some("P-384")),
            ("", Some("no PEM certificate")),
            ("junk", Some("no PEM certificate")),
        ] {
            files.write(certificate_name, text);
            // A signer each: none has seen a good pair.
            let (shaken, _) = files.signer(Policy::Shaken, "");
            let (named, _) = files.signer(Policy::Compat, certificate_name);
            for signer in [&shaken, &named] {
                let checked = signer.check_key(&path);
                let signed = signer.identity(&CALL, PrivateKey::Path(&format!("file://{path}")));
                assert_eq!(checked.as_ref().err(), signed.as_ref().err());
                let Some(why) = why else {
                    checked.unwrap();
                    continue;
                };
                let error = checked.unwrap_err();
                assert_eq!(error.code(), Code::KeyInvalid, "{error}");
                for part in [why, &path, &files.path(certificate_name)] {
                    assert!(error.message().contains(part), "{part}: {error}");
                }
            }
            // The drop-in signs with any key, unless it is told what belongs to it.
            files.signer(Policy::Compat, "").0.check_key(&path).unwrap();
        }
    }
}

#[test]
fn cert_path_must_be_readable_and_goes_before_the_file_beside() {
    let files = Files::new("named");
    let (key, other) = (Key::p256(), Key::p256());
    files.write("key.pem", &private_pem(&key));
    files.write("cert.pem", &files.good(&other));
    let path = files.path("key.pem");
    for policy in [Policy::Compat, Policy::Shaken] {
        let (signer, _) = files.signer(policy, "named.pem");
        let _ = fs::remove_file(files.folder.join("named.pem"));
        let error = signer.check_key(&path).unwrap_err();
        assert_eq!(error.code(), Code::FileRead);
        for part in [&path, &files.path("named.pem")] {
            assert!(error.message().contains(part.as_str()), "{part}: {error}");
        }
        files.write("named.pem", &files.good(&key));
        signer.check_key(&path).unwrap();
    }
}

/// What was logged, all tests together: a test looks for its own files.
static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        if record.level() == log::Level::Error {
            LOGGED.lock().unwrap().push(record.args().to_string());
        }
    }
    fn flush(&self) {}
}

/// The errors about this file since the last call.
fn logged(path: &str) -> Vec<String> {
    static SET: Once = Once::new();
    SET.call_once(|| {
        log::set_logger(&Logger).unwrap();
        log::set_max_level(log::LevelFilter::Error);
    });
    LOGGED.lock().unwrap().extract_if(.., |line| line.contains(path)).collect()
}

#[test]
fn a_rotation_to_a_bad_pair_leaves_the_good_one_in_force() {
    let files = Files::new("rotation");
    let keys = [Key::p256(), Key::p256()];
    let certificates = [0, 1].map(|n| files.good(&keys[n]));
    let (signer, clock) = files.signer(Policy::Shaken, "");
    let path = files.path("key.pem");
    logged(&path);
    // Which key signs, three times over: what is logged for a change is logged once.
    let signs = || {
        let results = [(); 3].map(|()| {
            let identity = signer.identity(&CALL, PrivateKey::Path(&path)).map_err(|e| e.code())?;
            let (signed, signature) = identity.split_once(';').unwrap().0.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let by = |key: &Key| {
                stir::key::VerifyingKey::from_spki(&key.spki())
                    .unwrap()
                    .verify(signed.as_bytes(), signature.as_slice().try_into().unwrap())
            };
            Ok(keys.iter().position(by).unwrap())
        });
        assert!(results.iter().all(|r| *r == results[0]), "{results:?}");
        results[0]
    };
    let errors = |parts: &[&str]| {
        let lines = logged(&path);
        assert_eq!(lines.len(), parts.len(), "{lines:?}");
        for (line, part) in lines.iter().zip(parts) {
            assert!(line.contains(part) && line.contains("stays in force"), "{line}");
        }
    };

    // Nothing good was there before: refused, and told to the caller alone.
    files.write("key.pem", &private_pem(&keys[0]));
    files.write("cert.pem", &certificates[1]);
    assert_eq!(signs(), Err(Code::KeyInvalid));
    files.write("cert.pem", &certificates[0]);
    assert_eq!(signs(), Ok(0));
    errors(&[]);

    // The key first, then its certificate.
    files.write("key.pem", &private_pem(&keys[1]));
    assert_eq!(signs(), Ok(0));
    errors(&["the public keys are not the same"]);
    files.write("cert.pem", &certificates[1]);
    assert_eq!(signs(), Ok(1));
    errors(&[]);

    // The certificate goes first, and then the key is another.
    fs::remove_file(files.folder.join("cert.pem")).unwrap();
    assert_eq!(signs(), Ok(1));
    errors(&["cert.pem\" can't be read"]);
    files.write("key.pem", &private_pem(&keys[0]));
    assert_eq!(signs(), Ok(1), "a key that was paired stays paired");
    errors(&["cert.pem\" can't be read"]);
    files.write("cert.pem", &certificates[0]);
    assert_eq!(signs(), Ok(0));
    fs::remove_file(files.folder.join("cert.pem")).unwrap();
    files.write("key.pem", &private_pem(&keys[1]));
    assert_eq!(signs(), Ok(0));
    errors(&["cert.pem\" can't be read"]);
    files.write("cert.pem", &certificates[1]);
    assert_eq!(signs(), Ok(1));
    errors(&[]);

    // Half written, of no use, stale.
    files.write("key.pem", "");
    assert_eq!(signs(), Ok(1));
    errors(&["no PEM private key"]);
    files.write("key.pem", &private_pem(&keys[1]));
    files.write("cert.pem", "");
    assert_eq!(signs(), Ok(1));
    errors(&["no PEM certificate"]);
    files.write("cert.pem", &files.certificate(&keys[1], NOW - 2 * DAY, NOW - DAY));
    assert_eq!(signs(), Ok(1));
    errors(&["it was valid until"]);

    // Made for later: in force from then on, without another change.
    files.write("key.pem", &private_pem(&keys[0]));
    files.write("cert.pem", &files.certificate(&keys[0], NOW + 100, NOW + 9 * DAY));
    assert_eq!(signs(), Ok(1));
    errors(&["it is valid from"]);
    clock.0.store(NOW + 100, Ordering::Relaxed);
    assert_eq!(signs(), Ok(0));

    // A good one that ran out signs no more, and neither does a key that is gone.
    clock.0.store(NOW + 9 * DAY + 1, Ordering::Relaxed);
    assert_eq!(signs(), Err(Code::KeyInvalid));
    clock.0.store(NOW + DAY, Ordering::Relaxed);
    assert_eq!(signs(), Ok(0));
    fs::remove_file(&path).unwrap();
    assert_eq!(signs(), Err(Code::FileRead));
    errors(&[]);
}

#[test]
fn a_certificate_for_numbers_signs_for_those_alone() {
    let files = Files::new("numbers");
    let key = Key::p256();
    // TNAuthList of the one number 12155551212 (RFC 8226 §9).
    let list = [&[0x30, 0x0f, 0xa2, 0x0d, 0x16, 0x0b][..], b"12155551212"].concat();
    let mut leaf = Spec::leaf("CN=CA").valid(NOW - DAY, NOW + DAY);
    leaf.extensions.retain(|extension| !extension.windows(4).any(|part| part == b"1234"));
    leaf.extensions.push(pki::extension("1.3.6.1.5.5.7.1.26", false, &list));
    files.write("key.pem", &private_pem(&key));
    files.write("cert.pem", &pki::certificates(&[leaf.issue(&key, &files.ca)]));
    let path = files.path("key.pem");
    let (shaken, _) = files.signer(Policy::Shaken, "");
    let by_file = PrivateKey::Path(&path);
    let own = shaken.identity(&CALL, by_file).unwrap();
    let other = Call { orig: "12155551219", ..CALL };
    let error = shaken.identity(&other, by_file).unwrap_err();
    assert_eq!(error.code(), Code::CertAuthority);
    assert!(error.message().contains("does not hold 12155551219"), "{error}");
    // A diversion is signed for the number that diverts.
    let identities = [own.as_str()];
    let div = DivCall {
        orig: CALL.orig,
        dest: "12155551214",
        div: CALL.dest,
        x5u: CALL.x5u,
        identities: &identities,
    };
    let error = shaken.div_identity(&div, by_file).unwrap_err();
    assert_eq!(error.code(), Code::CertAuthority);
    assert!(error.message().contains(&format!("does not hold {}", CALL.dest)), "{error}");
    // The drop-in signs whatever it is told to.
    files.signer(Policy::Compat, "cert.pem").0.identity(&other, by_file).unwrap();
}

#[test]
fn an_x5u_in_a_file_changes_with_its_key() {
    let files = Files::new("x5u-file");
    for n in (1..=40).map(|n| n.to_string()) {
        fs::create_dir(files.folder.join(&n)).unwrap();
        let key = Key::p256();
        files.write(&format!("{n}/key.pem"), &private_pem(&key));
        files.write(&format!("{n}/cert.pem"), &files.good(&key));
        files.write(&format!("{n}/x5u"), &format!("https://e.org/{n}.pem\n"));
    }
    let switch = |to: &str| {
        std::os::unix::fs::symlink(to, files.path("new")).unwrap();
        fs::rename(files.path("new"), files.path("current")).unwrap();
    };
    switch("1");
    let (signer, _) = files.signer(Policy::Shaken, "");
    let x5u = format!("file://{}", files.path("current/x5u"));
    let key = files.path("current/key.pem");
    let sign = || signer.identity(&Call { x5u: &x5u, ..CALL }, PrivateKey::Path(&key)).unwrap();
    // Whose key signed, by the certificate beside the URL's number.
    let check = |identity: &str| {
        let n = identity.split("https://e.org/").nth(1).unwrap().split(".pem").next().unwrap();
        let chain = fs::read(files.path(&format!("{n}/cert.pem"))).unwrap();
        let key = stir::key::Credential::from_pem(&chain).unwrap().key;
        let (signed, signature) = identity.split(';').next().unwrap().rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(key.verify(signed.as_bytes(), signature.as_slice().try_into().unwrap()), "{n}");
        n.to_owned()
    };
    assert_eq!(check(&sign()), "1");
    switch("2");
    assert_eq!(check(&sign()), "2");
    // While calls are signed.
    std::thread::scope(|scope| {
        let calls = scope.spawn(|| while check(&sign()) != "40" {});
        for n in 3..=40 {
            switch(&n.to_string());
            // Some calls between two rotations, which never go back.
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        calls.join().unwrap();
    });
    // A file that holds none, or is not there.
    files.write("2/x5u", "file:///etc/passwd\n");
    switch("2");
    let refused = |x5u: &str| signer.identity(&Call { x5u, ..CALL }, PrivateKey::Path(&key));
    assert_eq!(refused(&x5u).unwrap_err().code(), Code::HeaderX5u);
    assert_eq!(refused("file:///nonexistent/x5u").unwrap_err().code(), Code::FileRead);
    assert_eq!(refused("file://relative").unwrap_err().code(), Code::HeaderX5u);
}
