//! Headers that differ from a passing one in a single thing, and calls that can't be signed: the
//! code of each.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::SecretKey;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::Generate;
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use std::path::PathBuf;
use std::sync::Arc;
use stir::{
    Call, CheckOptions, Checked, Clock, Config, PrivateKey, PublicKey, Report, Signer, Verifier,
};

const NOW: i64 = 1_800_000_000;
const HEADER: &str =
    r#"{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"https://a.example/c.pem"}"#;
const PAYLOAD: &str = r#"{"attest":"A","dest":{"tn":["12155551213"]},"iat":1800000000,"orig":{"tn":"12155551212"},"origid":"o"}"#;
const PARAMS: &str = ";info=<https://a.example/c.pem>;alg=ES256;ppt=shaken";

#[derive(Clone, Copy)]
struct At(i64);

impl Clock for At {
    fn now(&self) -> i64 {
        self.0
    }
}

struct Keys {
    secret: SecretKey,
    private: String,
    public: String,
}

fn keys() -> Keys {
    let secret = SecretKey::generate();
    let private = secret.to_pkcs8_pem(LineEnding::LF).expect("PKCS#8").to_string();
    let public = secret.public_key().to_public_key_pem(LineEnding::LF).expect("SPKI");
    Keys { secret, private, public }
}

impl Keys {
    /// A token signed by the p256 crate: an implementation that is not the one under test.
    fn token(&self, header: &str, payload: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(header), encode(payload));
        let signature: Signature = SigningKey::from(&self.secret).sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    fn check(&self, identity: &str) -> Report {
        self.check_with(&[identity], CheckOptions::default())
    }

    fn check_with(&self, identities: &[&str], options: CheckOptions) -> Report {
        let config = Config::default();
        let fetcher = stir::HttpFetcher::new(&config);
        Verifier::with(
            &config.clone().build().expect("settings"),
            Arc::new(At(NOW)),
            Box::new(fetcher),
        )
        .check(identities.iter().copied(), PublicKey::Pem(&self.public), options)
    }
}

#[test]
fn one_thing_wrong_one_code() {
    let keys = keys();
    let good = keys.token(HEADER, PAYLOAD);
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
    let rows: Vec<(String, i32)> = vec![
        (format!("{good}{PARAMS}"), 1),
        (format!("{good};ppt=\"shaken\";x=y;info=<https://a.example/c.pem>"), 1),
        (String::new(), -304),
        (good.clone(), -301),
        (format!("{header}{PARAMS}"), -301),
        (format!("{header}.{payload}{PARAMS}"), -301),
        (format!("{good}.x{PARAMS}"), -301),
        (format!("..{signature}{PARAMS}"), -301),
        (format!(".{payload}.{signature}{PARAMS}"), -301),
        (format!("{header}=.{payload}.{signature}{PARAMS}"), -201),
        (format!("{header} .{payload}.{signature}{PARAMS}"), -201),
        (format!("!{header}.{payload}.{signature}{PARAMS}"), -201),
        (format!("{header}..{signature}{PARAMS}"), -231),
        (format!("{header}.{payload}=.{signature}{PARAMS}"), -231),
        (format!("{header}. {payload}.{signature}{PARAMS}"), -231),
        (format!("{header}.{payload}.{signature}=={PARAMS}"), -255),
        (format!("{header}.{payload}.{signature}\u{e9}{PARAMS}"), -255),
        (format!("{header}.{payload}.{PARAMS}"), -253),
        (format!("{header}.{payload}.{}{PARAMS}", &signature[..84]), -253),
        (format!("{header}.{payload}.{zeros}{PARAMS}"), -251),
        (format!("{good};alg=ES256;ppt=shaken"), -305),
        (format!("{good};info=<>;alg=ES256;ppt=shaken"), -305),
        (format!("{good};info=<https://a.example/c.pem>;alg=RS256"), -302),
        (format!("{good};info=<https://a.example/c.pem>;ppt=div"), -303),
        (format!("{good};info=<https://b.example/c.pem>;alg=ES256;ppt=shaken"), -205),
        (format!("{}{PARAMS}", "x".repeat(60 * 1024)), -301),
        (format!("{}{PARAMS}", keys.token("{}", PAYLOAD)), -202),
        (format!("{}{PARAMS}", keys.token("[]", PAYLOAD)), -201),
        (format!("{}{PARAMS}", keys.token(&HEADER.replace("ES256", "none"), PAYLOAD)), -202),
        (format!("{}{PARAMS}", keys.token(&HEADER.replace("ES256", "HS256"), PAYLOAD)), -202),
        (format!("{}{PARAMS}", keys.token(HEADER, "{}")), -231),
        (format!("{}{PARAMS}", keys.token(HEADER, &PAYLOAD.replace("\"A\"", "\"Z\""))), -231),
        (format!("{}{PARAMS}", keys.token(HEADER, &PAYLOAD.replace(":1800000000", ":0"))), -232),
        (format!("{}{PARAMS}", keys.token(HEADER, &PAYLOAD.replace(":1800000000", ":-5"))), -232),
        (
            format!(
                "{}{PARAMS}",
                keys.token(HEADER, &PAYLOAD.replace(":1800000000", ":1799999700"))
            ),
            1,
        ),
        (
            format!(
                "{}{PARAMS}",
                keys.token(HEADER, &PAYLOAD.replace(":1800000000", ":1799999699"))
            ),
            -232,
        ),
        (
            format!(
                "{}{PARAMS}",
                keys.token(HEADER, &PAYLOAD.replace(":1800000000", ":1800000060"))
            ),
            1,
        ),
        (
            format!(
                "{}{PARAMS}",
                keys.token(HEADER, &PAYLOAD.replace(":1800000000", ":1800000061"))
            ),
            -232,
        ),
        (
            format!(
                "{}{PARAMS}",
                keys.token(HEADER, &PAYLOAD.replace(":1800000000", ":9223372036854775807"))
            ),
            -232,
        ),
        (format!("{}{PARAMS}", self::keys().token(HEADER, PAYLOAD)), -251),
    ];
    for (identity, code) in rows {
        let report = keys.check(&identity);
        assert_eq!(report.code(), code, "{identity}: {:?}", report.result);
    }
}

#[test]
fn every_octet_of_a_token_counts() {
    let keys = keys();
    let good = format!("{}{PARAMS}", keys.token(HEADER, PAYLOAD));
    let token_len = good.find(';').expect("parameters");
    for at in 0..token_len {
        let mut changed = good.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).expect("ASCII");
        assert_ne!(keys.check(&changed).code(), 1, "octet {at} changed: {changed}");
    }
}

#[test]
fn one_valid_header_is_enough_and_unsupported_ones_are_passed_over() {
    let keys = keys();
    let good = format!("{}{PARAMS}", keys.token(HEADER, PAYLOAD));
    let bad = format!("{}{PARAMS}", self::keys().token(HEADER, PAYLOAD));
    let div = format!(
        "{};info=<https://a.example/c.pem>;ppt=div",
        keys.token(&HEADER.replace("shaken", "div"), PAYLOAD)
    );
    let options = CheckOptions::default();
    assert_eq!(keys.check_with(&[&bad, &div, &good], options).code(), 1);
    assert_eq!(keys.check_with(&[&good, &bad], options).code(), 1);
    assert_eq!(keys.check_with(&[&bad, &div], options).code(), -251);
    assert_eq!(keys.check_with(&[&div], options).code(), -303);
    assert_eq!(keys.check_with(&[], options).code(), -1);
    // A repeated field counts once, so each is signed with a key of its own.
    let many: Vec<String> =
        (0..10).map(|_| format!("{}{PARAMS}", self::keys().token(HEADER, PAYLOAD))).collect();
    let mut all: Vec<&str> = many.iter().map(String::as_str).collect();
    all.push(&good);
    assert_eq!(keys.check_with(&all, options).code(), -251, "the eleventh");
}

#[test]
fn options_of_secsipid_verify() {
    let keys = keys();
    let bare = CheckOptions { bare_token: true, ..CheckOptions::default() };
    let lax = CheckOptions { attributes: false, bare_token: true };
    let token = keys.token(HEADER, PAYLOAD);
    assert_eq!(keys.check_with(&[&token], bare).code(), 1);
    let odd = keys.token(r#"{"alg":"none"}"#, PAYLOAD);
    assert_eq!(keys.check_with(&[&odd], bare).code(), -202);
    assert_eq!(keys.check_with(&[&odd], lax).code(), 1);
    let forged = odd.replace(&odd[odd.len() - 10..], "AAAAAAAAAA");
    assert_eq!(keys.check_with(&[&forged], lax).code(), -251);
}

#[test]
fn a_report_tells_what_the_header_said() {
    let keys = keys();
    let report = keys.check(&format!("{}{PARAMS}", keys.token(HEADER, PAYLOAD)));
    let claims = report.claims.expect("claims");
    assert_eq!(
        (claims.attest.as_str(), claims.orig.as_str(), claims.iat),
        ("A", "12155551212", NOW)
    );
    assert_eq!((claims.dest, claims.origid.as_str()), (vec!["12155551213".to_owned()], "o"));
    assert_eq!((report.x5u.as_str(), report.ppt.as_str()), ("https://a.example/c.pem", "shaken"));
    assert_eq!(keys.check("junk").claims, None);
}

const CALL: Call<'_> = Call {
    orig: "+1 (215) 555-1212",
    dest: "12155551213;phone-context=x",
    attest: "B",
    origid: "123e4567-e89b-12d3-a456-426655440000",
    x5u: "https://a.example/c.pem",
    rcd_nam: None,
};

#[test]
fn what_is_signed_is_canonical_and_verifies_elsewhere() {
    let keys = keys();
    let signer = Signer::with_clock(&Checked::default(), Arc::new(At(NOW)));
    let identity = signer.identity(&CALL, PrivateKey::Pem(&keys.private)).expect("signed");
    let (token, params) = identity.split_once(';').expect("parameters");
    assert_eq!(params, "info=<https://a.example/c.pem>;alg=ES256;ppt=shaken");
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    let (header, payload) = signed.split_once('.').expect("two parts");
    let text =
        |part| String::from_utf8(URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("UTF-8");
    assert_eq!(text(header), HEADER);
    assert_eq!(
        text(payload),
        r#"{"attest":"B","dest":{"tn":["12155551213"]},"iat":1800000000,"orig":{"tn":"12155551212"},"origid":"123e4567-e89b-12d3-a456-426655440000"}"#
    );
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let signature = Signature::from_slice(&signature).expect("R and S");
    let public = p256::ecdsa::VerifyingKey::from(SigningKey::from(&keys.secret));
    public.verify(signed.as_bytes(), &signature).expect("p256 agrees");
    assert_eq!(keys.check(&identity).code(), 1);

    let fresh = signer
        .identity(&Call { origid: "", ..CALL }, PrivateKey::Pem(&keys.private))
        .expect("signed");
    let origid = keys.check(&fresh).claims.expect("claims").origid;
    assert!(uuid::Uuid::parse_str(&origid).is_ok(), "{origid}");

    let token = signer
        .sign_json(
            r#" {"typ":"passport", "alg":"ES256","x5u":"https://a.example/c.pem","ppt":"shaken"} "#,
            PAYLOAD,
            PrivateKey::Pem(&keys.private),
        )
        .expect("signed");
    assert_eq!(text(token.split('.').next().expect("a header")), HEADER);
}

#[test]
fn what_can_not_be_signed() {
    let keys = keys();
    let signer = Signer::new(&Checked::default());
    let long = "1".repeat(100);
    for (call, code) in [
        (Call { attest: "Z", ..CALL }, -231),
        (Call { attest: "", ..CALL }, -231),
        (Call { orig: "alice", ..CALL }, -231),
        (Call { orig: "", ..CALL }, -231),
        (Call { dest: "sip:", ..CALL }, -231),
        (Call { dest: &long, ..CALL }, -231),
        (Call { x5u: "", ..CALL }, -205),
        (Call { x5u: "ftp://a/b", ..CALL }, -205),
        (Call { x5u: "https://a/b>;x=<", ..CALL }, -205),
        (Call { x5u: "https://a/\r\nX: y", ..CALL }, -205),
    ] {
        let error = signer.identity(&call, PrivateKey::Pem(&keys.private)).expect_err("refused");
        assert_eq!(error.code().value(), code, "{call:?}: {error}");
    }
    for (header, payload, code) in
        [("[]", PAYLOAD, -201), (HEADER, "x", -231), ("{}", PAYLOAD, -202)]
    {
        let error =
            signer.sign_json(header, payload, PrivateKey::Pem(&keys.private)).expect_err("refused");
        assert_eq!(error.code().value(), code, "{header} {payload}: {error}");
    }
    let with_default = Config { x5u: "https://a.example/c.pem".into(), ..Config::default() };
    Signer::new(&with_default.build().expect("settings"))
        .identity(&Call { x5u: "", ..CALL }, PrivateKey::Pem(&keys.private))
        .expect("the parameter's x5u");
}

#[test]
fn key_files_are_read_again_when_they_change() {
    let (old, new) = (keys(), keys());
    let folder = std::env::temp_dir().join(format!("stir-codes-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path: PathBuf = folder.join("key.pem");
    let name = path.display().to_string();
    let signer = Signer::with_clock(&Checked::default(), Arc::new(At(NOW)));
    let sign = || signer.identity(&CALL, PrivateKey::Path(&name));
    assert_eq!(sign().expect_err("no file").code().value(), -451);
    std::fs::write(&path, "").expect("written");
    assert_eq!(sign().expect_err("empty").code().value(), -152);
    std::fs::write(&path, &old.private).expect("written");
    assert_eq!(old.check(&sign().expect("signed")).code(), 1);
    std::fs::write(folder.join("next"), &new.private).expect("written");
    std::fs::rename(folder.join("next"), &path).expect("renamed");
    assert_eq!(new.check(&sign().expect("signed")).code(), 1);
    std::fs::remove_file(&path).expect("removed");
    std::fs::create_dir(&path).expect("a folder in its place");
    let error = sign().expect_err("a folder");
    assert!(error.message().contains("directory"), "{error}");
    std::fs::remove_dir_all(&folder).expect("removed");
    // The key itself where its path is due: no part of it may come to a log.
    let error = signer.identity(&CALL, PrivateKey::Path(&old.private)).expect_err("no path");
    assert!(error.message().contains("give the path of its file"), "{error}");
    assert!(old.private.lines().all(|line| !error.message().contains(line)), "{error}");
}

#[test]
fn private_keys_of_other_kinds_say_so() {
    let signer = Signer::new(&Checked::default());
    let keys = keys();
    for (pem, code, part) in [
        ("", -152, "no PEM private key"),
        ("junk", -152, "no PEM private key"),
        (keys.public.as_str(), -151, "only PUBLIC KEY"),
        (P384, -152, "P-256"),
        (RSA, -152, "P-256"),
        (ED25519, -152, "P-256"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", -151, "makes no sense"),
        (
            "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
            -151,
            "makes no sense",
        ),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            -152,
            "decrypt",
        ),
    ] {
        let error = signer.identity(&CALL, PrivateKey::Pem(pem)).expect_err("refused");
        assert_eq!(error.code().value(), code, "{pem}: {error}");
        assert!(error.message().contains(part), "{error}");
    }
    // SEC1 behind its EC PARAMETERS, as openssl ecparam writes it, and beside a certificate.
    let sec1 = keys.secret.to_sec1_pem(LineEnding::LF).expect("SEC1");
    let text = format!(
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}{}",
        keys.public, *sec1
    );
    signer.identity(&CALL, PrivateKey::Pem(&text)).expect("signed");
}

/// Made with openssl for this test; they sign nothing else.
const P384: &str = include_str!("data/p384-key.pem");
const RSA: &str = include_str!("data/rsa-key.pem");
const ED25519: &str = include_str!("data/ed25519-key.pem");
