//! The same command lines through Debian's secsipidx and ours: exit status, standard output, and
//! whether anything goes to standard error. Differences stand in docs/compatibility-tools.md, each
//! with its two exit statuses; one that is not there fails the test, and so does one that is gone.
#![allow(clippy::unwrap_used)]

#[path = "stock_cli/rows.rs"]
mod rows;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

const STOCK: &str = "/usr/bin/secsipidx";
const OURS: &str = env!("CARGO_BIN_EXE_secsipidx");
/// Command lines that the issue asks for.
const LEAST_ROWS: usize = 60;

/// A folder with keys, certificates and JSON that goes with the value.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!(
            "secsipidx-stock-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::create_dir_all(&path).unwrap();
        let files = Self(path);
        for line in [
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key8.pem",
            "ec -in key8.pem -out key.pem",
            "ec -in key.pem -pubout -out public.pem",
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out other-key.pem",
            "ec -in other-key.pem -pubout -out other.pem",
            "ecparam -name secp384r1 -genkey -noout -out p384.pem",
            "ec -in p384.pem -pubout -out p384-public.pem",
            "genrsa -out rsa.pem 2048",
            "req -x509 -new -key key.pem -subj /CN=lab -days 30 -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature -out cert.pem",
        ] {
            files.openssl(line);
        }
        files.write("index.txt", "");
        files.write("ca.cnf", "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ndefault_md=sha256\n");
        files.openssl(
            "ca -config ca.cnf -gencrl -crldays 30 -keyfile key.pem -cert cert.pem -out crl.pem",
        );
        files.write(
            "header.json",
            "{\"alg\":\"ES256\",\"ppt\":\"shaken\",\"typ\":\"passport\",\"x5u\":\"https://e.org/c.pem\"}\n",
        );
        files.write(
            "payload.json",
            "{\"attest\":\"A\",\"dest\":{\"tn\":[\"1202\"]},\"iat\":1700000000,\"orig\":{\"tn\":\"1215\"},\"origid\":\"x\"}\n",
        );
        files
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn openssl(&self, line: &str) {
        let output =
            Command::new("openssl").args(line.split(' ')).current_dir(&self.0).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn run(&self, tool: &str, args: &[String]) -> Output {
        Command::new(tool)
            .args(args)
            .current_dir(&self.0)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| panic!("{tool}: {e} (make deps installs it)"))
    }

    fn signed(&self, tool: &str, args: &[&str]) -> String {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let output = self.run(tool, &args);
        assert!(output.status.success(), "{tool} {args:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a script sees of a run.
#[derive(Debug, PartialEq)]
struct Seen {
    status: i32,
    stdout: String,
    stderr: bool,
}

fn seen(output: &Output, key: &VerifyingKey) -> Seen {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<_> = stdout.lines().filter_map(|line| plain(line, key)).collect();
    // However many sentences say what is wrong.
    lines.dedup();
    Seen {
        status: output.status.code().unwrap_or(-1),
        stdout: lines.join("\n"),
        stderr: !output.stderr.is_empty(),
    }
}

/// A line without what differs from run to run, and from wording to wording: a token becomes its
/// JSON, its signature whether it verifies.
fn plain(line: &str, key: &VerifyingKey) -> Option<String> {
    if line == "ok" || line == "not-ok" || line.starts_with("run ") {
        return Some(line.to_owned());
    }
    if line.starts_with("secsipidx v") {
        return Some("version".into());
    }
    // Why a check failed: a sentence for people, whose wording is each tool's own.
    if line.starts_with("error message: ") {
        return None;
    }
    let (token, params) = line.split_once(';').unwrap_or((line, ""));
    let parts: Vec<_> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { return Some("message".into()) };
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .ok()
        .and_then(|octets| Signature::from_slice(&octets).ok())
        .is_some_and(|signature| {
            key.verify(format!("{header}.{payload}").as_bytes(), &signature).is_ok()
        });
    let verifies = if signature { "verifies" } else { "does not verify" };
    Some(format!("{} {} {verifies} {params}", json(header)?, json(payload)?))
}

/// A part of a token; a time of now and an UUID lose their value.
fn json(part: &str) -> Option<String> {
    let octets = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
    let Ok(mut value) = serde_json::from_slice::<Value>(&octets) else {
        return Some(String::from_utf8_lossy(&octets).into_owned());
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    if let Some(iat) = value.get_mut("iat")
        && iat.as_u64().is_some_and(|iat| now.abs_diff(iat) < 60)
    {
        *iat = "now".into();
    }
    if let Some(origid) = value.get_mut("origid")
        && origid.as_str().is_some_and(|origid| uuid::Uuid::try_parse(origid).is_ok())
    {
        *origid = "uuid".into();
    }
    Some(value.to_string())
}

/// The differences that are documented: row to (stock's status, ours).
fn documented() -> BTreeMap<String, (i32, i32)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility-tools.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut all = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| T")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        for row in cells[2].split(", ") {
            let statuses = (cells[3].parse().unwrap(), cells[4].parse().unwrap());
            assert!(
                all.insert(row.trim_matches('`').to_owned(), statuses).is_none(),
                "{row} twice"
            );
        }
    }
    all
}

#[test]
fn scripts_see_the_same() {
    assert!(rows::ROWS.len() >= LEAST_ROWS);
    let files = Files::new();
    let public = std::fs::read_to_string(files.0.join("public.pem")).unwrap();
    let key = VerifyingKey::from_public_key_pem(&public).unwrap();
    let call = [
        "-S",
        "-k",
        "key.pem",
        "-o",
        "12155550100",
        "-d",
        "12025550100",
        "-a",
        "A",
        "-x5u",
        "https://e.org/c.pem",
    ];
    let fresh = files.signed(STOCK, &call);
    let token = fresh.split(';').next().unwrap().to_owned();
    files.write("identity.txt", &format!("{fresh}\n"));
    let old = files.signed(
        STOCK,
        &["-s", "-k", "key.pem", "-fheader", "header.json", "-fpayload", "payload.json"],
    );
    let old = format!("{old};info=<https://e.org/c.pem>;alg=ES256;ppt=shaken");
    let mut documented = documented();
    let mut wrong = Vec::new();
    for (name, args) in rows::ROWS {
        let args: Vec<String> = args
            .iter()
            .map(|arg| {
                arg.replace("{fresh}", &fresh)
                    .replace("{token}", &token)
                    .replace("{old}", &old)
                    .replace("{folder}", &files.0.display().to_string())
            })
            .collect();
        let stock = seen(&files.run(STOCK, &args), &key);
        let ours = seen(&files.run(OURS, &args), &key);
        match documented.remove(*name) {
            None if stock != ours => wrong.push(format!("{name}:\n  {stock:?}\n  {ours:?}")),
            Some(_) if stock == ours => {
                wrong.push(format!("{name}: listed, but the same: {ours:?}"))
            }
            Some(statuses) if statuses != (stock.status, ours.status) => {
                wrong.push(format!("{name}: listed as {statuses:?}:\n  {stock:?}\n  {ours:?}"));
            }
            _ => {}
        }
    }
    wrong.extend(documented.keys().map(|name| format!("{name}: listed, but there is no such row")));
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn each_checks_what_the_other_signs() {
    let files = Files::new();
    let call = [
        "-S",
        "-k",
        "key.pem",
        "-o",
        "12155550100",
        "-d",
        "12025550100",
        "-a",
        "A",
        "-x5u",
        "https://e.org/c.pem",
    ];
    for (signer, checker) in [(STOCK, OURS), (OURS, STOCK)] {
        let identity = files.signed(signer, &call);
        let ok = files
            .signed(checker, &["-c", "-p", "cert.pem", "-expire", "300", "-identity", &identity]);
        assert_eq!(ok, "ok", "{checker} on what {signer} signed");
    }
}
