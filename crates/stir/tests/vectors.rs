//! PASSporTs that nobody here made: the RFCs' (tests/data, each file names its source) and those
//! in the folder that STIR_VECTORS names.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use stir::identity::Identity;
use stir::key::{Credential, SigningKey, VerifyingKey};
use stir::{CheckOptions, Checked, Clock, Code, Error, Fetch, PublicKey, Verifier};

/// A file of the collection: `name: value` lines, PEM blocks under `key (name):`, and what an
/// independent implementation made of it.
struct Vector {
    name: String,
    token: String,
    identity: Option<String>,
    /// Name and PEM text.
    keys: Vec<(String, String)>,
    /// Name of a key, and whether the signature verifies under it.
    results: Vec<(String, bool)>,
}

impl Vector {
    /// `None` for a file without a token.
    fn read(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).expect("a readable vector");
        let after =
            |label: &str| text.lines().skip_while(|line| *line != label).nth(1).map(str::to_owned);
        let mut keys = Vec::new();
        let mut results = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix("key (").and_then(|l| l.strip_suffix("):")) {
                let mut pem = String::new();
                for line in lines.by_ref() {
                    pem.push_str(line);
                    pem.push('\n');
                    if line.starts_with("-----END") {
                        break;
                    }
                }
                keys.push((name.to_owned(), pem));
            } else if let Some(line) = line.strip_prefix("check-result: ") {
                for result in line.split("; ") {
                    let (name, outcome) = result.split_once(" -> ").expect("name -> outcome");
                    results.push((name.to_owned(), outcome == "VERIFIES"));
                }
            }
        }
        Some(Self {
            name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
            token: after("token:")?,
            identity: after("identity-header-value:"),
            keys,
            results,
        })
    }

    /// The public half of the key with this name (the results cut a remark in brackets off).
    fn key(&self, name: &str) -> VerifyingKey {
        let (_, pem) = self
            .keys
            .iter()
            .find(|(key, _)| name.starts_with(key.as_str()) || key.starts_with(name))
            .unwrap_or_else(|| panic!("{}: no key {name}", self.name));
        public_half(pem)
    }
}

/// A key of any kind that the vectors hold, as one that verifies.
fn public_half(pem: &str) -> VerifyingKey {
    if let Ok(credential) = Credential::from_pem(pem.as_bytes()) {
        return credential.key;
    }
    SigningKey::from_pem(pem.as_bytes())
        .expect("our reader takes the key")
        .verifying_key()
        .expect("its public half")
}

fn vectors(folder: &Path) -> Vec<Vector> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    paths.sort();
    paths.iter().filter_map(|path| Vector::read(path)).collect()
}

/// The project's own, and those of STIR_VECTORS.
fn all() -> Vec<Vector> {
    let mut all = vectors(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data"));
    match std::env::var_os("STIR_VECTORS") {
        Some(folder) => all.extend(vectors(Path::new(&folder))),
        None => println!("STIR_VECTORS names no folder: only the vectors of the RFCs are checked"),
    }
    all
}

#[test]
fn signatures_are_judged_as_elsewhere() {
    let mut judged = 0;
    for vector in all() {
        let identity = Identity::parse(&vector.token).expect("a token");
        let signature = base64::Engine::decode(
            &base64::engine::general_purpose::URL_SAFE_NO_PAD,
            identity.signature,
        )
        .expect("base64url");
        let signature = signature.as_slice().try_into().expect("64 octets");
        for (key, expected) in &vector.results {
            let verifies = vector.key(key).verify(identity.signed.as_bytes(), signature);
            assert_eq!(verifies, *expected, "{} under {key}", vector.name);
            judged += 1;
        }
    }
    assert!(judged >= 7, "only {judged} signatures judged");
}

struct At(i64);

impl Clock for At {
    fn now(&self) -> i64 {
        self.0
    }
}

struct NoNetwork;

impl Fetch for NoNetwork {
    fn fetch(&self, url: &str) -> stir::Result<stir::Fetched> {
        Err(Error::new(Code::HttpGet, format!("{url}: the test has no network")))
    }
}

/// The whole check, at the time of signing, with the vector's own key: what each comes to.
#[test]
fn whole_checks_come_to_the_expected_code() {
    let expected = [
        // No ppt: no SHAKEN PASSporT. The header says so before anything else can.
        ("rfc8224_sec4_1_1_header", -203),
        ("rfc8225_sec7_1_full_and_compact", -301),
        ("rfc8946_div", -303),
        ("rfc8946_div_o", -303),
        ("cgrates_unit", 1),
        // Signed over JSON in another order: what is verified is what was received.
        ("demo_unordered", 1),
        ("demo_valid_A", 1),
        ("demo_info_mismatch", -205),
        ("demo_tampered", -251),
        // Empty telephone numbers are none (RFC 8224 §8.3).
        ("sems_yeti_shaken", -231),
    ];
    let mut judged = 0;
    for vector in all() {
        let Some(identity) = &vector.identity else { continue };
        let Some((_, code)) = expected.iter().find(|(name, _)| *name == vector.name) else {
            // A vector that is new here still must not break anything.
            continue;
        };
        let verifier = Verifier::with(
            &Checked::default(),
            Arc::new(At(iat(&vector.token))),
            Box::new(NoNetwork),
        );
        let key =
            vector.keys.iter().find(|(_, pem)| !pem.contains("PRIVATE")).expect("a public key");
        let report =
            verifier.check([identity.as_str()], PublicKey::Pem(&key.1), CheckOptions::default());
        assert_eq!(report.code(), *code, "{}: {:?}", vector.name, report.result);
        judged += 1;
    }
    let least = if std::env::var_os("STIR_VECTORS").is_some() { expected.len() } else { 4 };
    assert!(judged >= least, "only {judged} headers judged");
}

/// `iat` of a token, also where it is a string.
fn iat(token: &str) -> i64 {
    let payload = token.split('.').nth(1).expect("a payload");
    let json = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload)
        .expect("base64url");
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let iat = &json["iat"];
    iat.as_i64().or_else(|| iat.as_str()?.parse().ok()).expect("iat")
}
