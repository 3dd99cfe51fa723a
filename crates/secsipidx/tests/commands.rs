//! The subcommands, as a person runs them.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use stir::cert::Chain;
use stir::trust::Trust;
use stir::{Clock, Config, SystemClock};
use support::{Folder, OURS};

fn sign(folder: &Folder, code: &str) -> String {
    let line = format!(
        "sign --key lab/spc-{code}-key.pem --x5u https://e.org/{code}.pem -a A +12155550100 12025550100"
    );
    folder.out(&line).trim().to_owned()
}

fn mode(folder: &Folder, name: &str) -> u32 {
    std::fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_laboratory_is_what_openssl_and_the_core_take() {
    let folder = Folder::lab();
    for code in ["1234", "5678"] {
        let verify = format!(
            "verify -x509_strict -CAfile lab/root.pem -untrusted lab/intermediate.pem lab/spc-{code}.pem"
        );
        assert!(folder.openssl(&verify).contains("OK"));
        assert_eq!(mode(&folder, &format!("lab/spc-{code}-key.pem")), 0o600);
        let chain =
            Chain::from_pem(folder.read(&format!("lab/spc-{code}.pem")).as_bytes()).unwrap();
        assert_eq!(stir::profile::check(chain.leaf(), &Default::default()), [], "ATIS-1000080");
        folder.write(&format!("id-{code}"), sign(&folder, code));
    }
    for name in ["root-key.pem", "intermediate-key.pem", "crl-signer-key.pem"] {
        assert_eq!(mode(&folder, &format!("lab/{name}")), 0o600, "{name}");
    }
    assert_eq!(mode(&folder, "lab/root.pem"), 0o644);
    for (crl, ca) in [("crl.pem", "intermediate.pem"), ("crl-indirect.pem", "crl-signer.pem")] {
        let text =
            folder.openssl(&format!("crl -in lab/{crl} -noout -text -CAfile lab/{ca} -verify"));
        assert_eq!(text.matches("Serial Number").count(), 1, "{text}");
        assert_eq!(text.contains("Indirect CRL"), crl == "crl-indirect.pem", "{text}");
        let check = |code: &str| {
            let line = format!(
                "check --key lab/spc-{code}.pem --ca lab/root.pem --intermediates lab/intermediates.pem --crl lab/{crl} id-{code}"
            );
            let output = folder.ours(&line);
            (output.status.code(), String::from_utf8(output.stdout).unwrap())
        };
        assert_eq!(check("1234"), (Some(0), "valid\n".into()), "{crl}");
        let (status, text) = check("5678");
        assert!(status == Some(1) && text.contains("(-112)"), "{crl}: {text}");
    }
    for (code, good) in [("1234", true), ("5678", false)] {
        let whole = format!(
            "verify -crl_check_all -CAfile lab/root.pem -untrusted lab/intermediate.pem -CRLfile lab/crl.pem lab/spc-{code}.pem"
        );
        assert_eq!(folder.run("openssl", &whole).status.success(), good, "{code}");
    }
    // Nothing is replaced, and nothing half.
    let key = folder.read("lab/root-key.pem");
    let again = folder.ours("ca lab --spc 9999");
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("--force"));
    assert_eq!(folder.read("lab/root-key.pem"), key);
    assert!(!folder.join("lab/spc-9999.pem").exists());
    folder.out("ca lab --spc 9999 --force");
    assert_ne!(folder.read("lab/root-key.pem"), key);
    assert_eq!(mode(&folder, "lab/root-key.pem"), 0o600);
    for line in ["ca other --revoke 1", "ca other --spc ../x", "ca other --spc 1,2"] {
        assert_eq!(folder.ours(line).status.code(), Some(1), "{line}");
    }
    let twice = folder.ours("ca other --spc 1 --spc 2 --spc 1");
    assert_eq!(twice.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&twice.stderr).contains("--spc 1 is given twice"), "{twice:?}");
    assert!(!folder.join("other").exists());
}

#[test]
fn a_laboratory_goes_on() {
    let folder = Folder::lab();
    let key = folder.read("lab/root-key.pem");
    folder.out("ca lab --update --revoke 1234");
    // Who was revoked stays so.
    folder.out("ca lab --update --spc 9999 --revoke 1234");
    assert_eq!(folder.read("lab/root-key.pem"), key);
    for (code, revoked) in [("1234", true), ("5678", true), ("9999", false)] {
        folder.write("id", sign(&folder, code));
        for crl in ["crl.pem", "crl-indirect.pem"] {
            let output = folder.ours(&format!(
                "check --key lab/spc-{code}.pem --ca lab/root.pem --intermediates lab/intermediates.pem --crl lab/{crl} id"
            ));
            assert_eq!(output.status.success(), !revoked, "{code}, {crl}: {output:?}");
        }
    }
    for line in ["ca lab --update --revoke 1", "ca other --update", "ca lab --update --force"] {
        assert!(!folder.ours(line).status.success(), "{line}");
    }
    // Nor does a file that can't be read take anybody off.
    let crl = folder.read("lab/crl.pem");
    for text in ["junk", &crl.replace('M', "N")] {
        folder.write("lab/crl.pem", text);
        let output = folder.ours("ca lab --update");
        assert!(String::from_utf8_lossy(&output.stderr).contains("crl.pem"), "{output:?}");
        assert_eq!(folder.read("lab/crl.pem"), text);
    }
    folder.write("lab/crl.pem", crl);
    folder.write("lab/spc-5678-key.pem", folder.read("lab/spc-1234-key.pem"));
    let output = folder.ours("ca lab --update --revoke 5678");
    assert!(String::from_utf8_lossy(&output.stderr).contains("spc-5678.pem"), "{output:?}");
}

#[test]
fn the_trust_list_has_the_root_in_it() {
    let folder = Folder::lab();
    let chain = Chain::from_pem(folder.read("lab/spc-1234.pem").as_bytes()).unwrap();
    let now = SystemClock.now();
    let trust = |list: &str, key: &str| {
        let config = Config {
            trust_anchors: folder.join(list),
            trust_anchors_key: folder.join(key),
            ..Config::default()
        };
        Trust::new(&config).verify(&chain, now)
    };
    trust("lab/trust-list.jws", "lab/crl-signer.pem").expect("trusted");
    trust("lab/trust-list.jws", "lab/root.pem").expect_err("another's key");
    // As an administrator's server sends it, to the tool.
    let list = folder.read("lab/trust-list.jws");
    folder.write("list.json", format!("{{\"status\":\"success\",\"caList\":\"{}\"}}", list.trim()));
    folder.write("id", sign(&folder, "1234"));
    for (list, key, good, says) in [
        ("lab/trust-list.jws", " --list-key lab/crl-signer.pem", true, ""),
        ("list.json", " --list-key lab/crl-signer.pem", true, ""),
        ("list.json", " --list-key lab/intermediate.pem", false, "did not sign"),
        ("list.json", "", false, "(--list-key)"),
    ] {
        let output = folder.ours(&format!("check --key lab/spc-1234.pem --ca {list}{key} id"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(says), "{list}{key}: {stderr}");
        assert_eq!(output.status.success(), good, "{list}{key}: {output:?}");
    }
    let stock =
        "-check -fpubkey lab/spc-1234.pem -fidentity id -expire 300 -cert-verify 5 -ca-file";
    for (key, good) in [(" -list-key lab/crl-signer.pem", true), ("", false)] {
        let output = folder.ours(&format!("{stock} list.json{key}"));
        assert_eq!(output.status.success(), good, "{key}: {output:?}");
    }
    folder.out("ca other --days 10");
    folder.out("ca lab --update --days 20");
    trust("other/trust-list.jws", "other/crl-signer.pem").expect_err("another's root");
    trust("lab/trust-list.jws", "lab/crl-signer.pem").expect("trusted");
}

#[test]
fn keys_and_requests() {
    let folder = Folder::new();
    folder.out("keygen key.pem --public public.pem");
    assert_eq!((mode(&folder, "key.pem"), mode(&folder, "public.pem")), (0o600, 0o644));
    let public = folder.openssl("pkey -in key.pem -pubout");
    assert_eq!(public, folder.read("public.pem"));
    let key = folder.read("key.pem");
    let again = folder.ours("keygen key.pem");
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(folder.read("key.pem"), key);
    // A file that all may read becomes the owner's.
    let all = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(folder.join("key.pem"), all).unwrap();
    folder.out("keygen key.pem --force");
    assert_ne!(folder.read("key.pem"), key);
    assert_eq!(mode(&folder, "key.pem"), 0o600);

    // A dash is no file.
    for line in ["keygen -", "keygen new.pem --public -", "csr --key key.pem --spc 1 --out -"] {
        let output = folder.ours(line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("give the path of a new one"), "{line}: {stderr}");
    }
    assert!(!folder.join("-").exists() && !folder.join("new.pem").exists());

    let request = folder.out("csr --key key.pem --spc 1234 --subject CN=SHAKEN,O=Ex,C=US");
    folder.write("request.pem", &request);
    let text = folder.openssl("req -in request.pem -noout -verify -text");
    assert!(text.contains("C = US, O = Ex, CN = SHAKEN"), "{text}");
    assert!(text.contains("1.3.6.1.5.5.7.1.26") && text.contains("1234"), "{text}");
    for line in [
        "csr --key none.pem --spc 1234",
        "csr --key public.pem --spc 1234",
        "csr --key key.pem --spc é",
        "csr --key key.pem --spc 1234 --subject junk",
    ] {
        let output = folder.ours(line);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(!String::from_utf8_lossy(&output.stderr).is_empty(), "{line}");
    }
}

#[test]
fn inspect_explains_what_is_right_and_what_is_wrong() {
    let folder = Folder::lab();
    let identity = sign(&folder, "1234");
    let message = format!(
        "INVITE sip:x SIP/2.0\r\nFrom: <sip:+12155550100@a>;tag=1\r\nTo: <sip:12025550199@b>\r\nIdentity: {identity}\r\n\r\n"
    );
    folder.write("message", &message);
    let output = folder.ours("inspect --key lab/spc-1234.pem --ca lab/root.pem message");
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "\"12155550100\"",
        "the signer knows the caller, and that the number is theirs",
        "https://e.org/1234.pem",
        "CN=SHAKEN lab CA,O=Lab,C=US",
        "SPC 1234",
        "pass signature verifies",
        "pass chain leads to a trust anchor",
        "pass orig is the caller: 12155550100",
        "FAIL dest is the called number: dest 12025550100 is not",
        "\nnot valid (-502): dest 12025550100 is not",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    assert!(!text.contains('\x1b'), "colour in a pipe");
    assert_eq!(output.status.code(), Some(1));
    let right = folder.0.join("right");
    std::fs::write(&right, message.replace("12025550199", "12025550100")).unwrap();
    let text = folder.out("inspect --key lab/spc-1234.pem --ca lab/root.pem right");
    assert!(text.contains("\nvalid\n") && !text.contains("FAIL"), "{text}");

    // As text on the command line, and on standard input; a signature of another.
    let pasted = Command::new(OURS)
        .args(["inspect", "--json", "--key", "lab/spc-5678.pem", &identity])
        .current_dir(&folder.0)
        .output()
        .unwrap();
    assert_eq!(pasted.status.code(), Some(1));
    let shown: serde_json::Value = serde_json::from_slice(&pasted.stdout).unwrap();
    assert_eq!(shown[0]["verdict"]["code"], -251);
    let outcome = |rule: &str| {
        let rules = shown[0]["rules"].as_array().unwrap();
        rules.iter().find(|found| found["rule"] == rule).unwrap()["outcome"].clone()
    };
    assert_eq!(outcome("signature verifies"), "fail");
    assert_eq!(outcome("iat is fresh"), "pass");
    assert_eq!(outcome("chain leads to a trust anchor"), "skip");
    let mut piped = Command::new(OURS)
        .args(["check", "--json", "--key", "lab/spc-1234.pem"])
        .current_dir(&folder.0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    piped.stdin.take().unwrap().write_all(format!("y: {identity}\n").as_bytes()).unwrap();
    let output = piped.wait_with_output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["valid"], &report["claims"]["attest"]), (&true.into(), &"A".into()));

    // What a stranger wrote does not reach the terminal as control characters.
    let evil =
        folder.ours("inspect eyJhIjoiXHUwMDFiWzJKIn0.eyJhIjoiXHUwMDFiWzJKIn0.AA;info=<x\u{1b}[2J>");
    assert!(!evil.stdout.contains(&0x1b));
    for (line, part) in [
        ("inspect none", "none"),
        ("check lab/root.pem", "Identity"),
        ("check --ca none lab/root.pem", "--ca \"none\""),
        ("check --cache-dir none lab/root.pem", "--cache-dir \"none\""),
        ("-H 127.0.0.1:0 -cert-verify 4 -ca-file none", "-ca-file \"none\""),
    ] {
        let output = folder.ours(line);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(part), "{line}");
    }
}

#[test]
fn a_host_that_fails_is_asked_once() {
    let folder = Folder::lab();
    let host = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/c.pem", host.local_addr().unwrap());
    let line = format!("sign --key lab/spc-1234-key.pem --x5u {url} 12155550100 12025550100");
    folder.write("id", folder.out(&line));
    let asked = std::thread::spawn(move || {
        // The second connection is the test's own.
        for count in 0.. {
            let (mut stream, _) = host.accept().unwrap();
            let mut request = [0; 1024];
            if std::io::Read::read(&mut stream, &mut request).unwrap() == 0 {
                return count;
            }
            stream.write_all(b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
        0
    });
    let output = folder.ours("inspect id");
    assert!(String::from_utf8_lossy(&output.stdout).contains("not valid (-403)"));
    let address = url.trim_start_matches("http://").trim_end_matches("/c.pem");
    drop(std::net::TcpStream::connect(address).unwrap());
    assert_eq!(asked.join().unwrap(), 1);
}

#[test]
fn fetch_says_why_a_certificate_can_not_be_had() {
    let folder = Folder::lab();
    std::fs::create_dir(folder.join("public")).unwrap();
    std::fs::copy(folder.join("lab/spc-1234.pem"), folder.join("public/c.pem")).unwrap();
    let config = "[http]\nlisten = \"127.0.0.1:0\"\n[public]\nfolder = \"public\"\n";
    let service = support::Service::start(&folder, config);
    let url = format!("http://127.0.0.1:{}/v1/pub", service.port);
    let text = folder.out(&format!("fetch {url}/c.pem --ca lab/root.pem --out got.pem"));
    assert!(text.contains("SPC 1234") && text.ends_with("valid\n"), "{text}");
    assert_eq!(folder.read("got.pem"), folder.read("lab/spc-1234.pem"));
    let junk = support::Silent::new();
    std::thread::scope(|scope| {
        scope.spawn(|| junk.answer("junk"));
        let output = folder.ours(&format!("fetch {}", junk.1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("(-102)"), "{output:?}");
    });
    for (line, code) in [
        (format!("fetch {url}/none.pem"), "(-403)"),
        ("fetch http://127.0.0.1:1/x".into(), "(-402)"),
        ("fetch ftp://x/y".into(), "(-401)"),
    ] {
        let output = folder.ours(&line);
        assert_eq!(output.status.code(), Some(1), "{line}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(code), "{line}: {stderr}");
    }
    let output = folder.ours(&format!("fetch {url}/c.pem --ca lab/crl-signer.pem"));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("not valid (-101)"));
}

#[test]
fn help_completions_and_man_pages_name_every_subcommand() {
    let folder = Folder::new();
    let subcommands = [
        "sign",
        "check",
        "inspect",
        "keygen",
        "csr",
        "ca",
        "fetch",
        "serve",
        "bench",
        "completions",
        "man",
    ];
    folder.out("man new/pages");
    folder.write("file", "");
    let output = folder.ours("man file");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("to \"file\""), "{output:?}");
    for text in [
        folder.out("help"),
        folder.out("completions bash"),
        folder.out("completions zsh"),
        folder.out("completions fish"),
        folder.out("man"),
    ] {
        for name in subcommands {
            assert!(text.contains(name), "{name} is not in {text}");
        }
    }
    for name in subcommands {
        assert!(folder.read(&format!("new/pages/secsipidx-{name}.1")).starts_with(".ie"), "{name}");
    }
    assert!(folder.out("help").contains("Examples"));
    folder.write("completion.bash", folder.out("completions bash"));
    let bash = Command::new("bash").arg("-n").arg(folder.join("completion.bash")).status();
    assert!(bash.unwrap().success());
    // Half an answer is no success.
    let mut full = Command::new(OURS);
    full.arg("man").stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    assert_eq!(full.status().unwrap().code(), Some(1));
}

#[test]
fn messages_that_nobody_can_read_change_no_exit_status() {
    for (line, status) in [
        ("csr --key none.pem --spc 1234", 1),
        ("sign", 2),
        ("man", 1),
        ("-h", 1),
        ("-none", 1),
        ("-http-srv junk", 1),
        ("-sign-full -cache-dir none -http-srv junk", 255),
        ("-check -fpubkey x -identity x -cache-dir none", 211),
    ] {
        let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (read, gone) = std::io::pipe().unwrap();
        drop(read);
        for stderr in [Stdio::from(full()), gone.into()] {
            let mut ours = Command::new(OURS);
            ours.args(line.split(' ')).stdout(full()).stderr(stderr);
            assert_eq!(ours.status().unwrap().code(), Some(status), "{line}");
        }
    }
}

#[test]
fn numbers_are_signed_as_the_country_writes_them() {
    let folder = Folder::lab();
    let sign = |flags: &str, orig: &str| {
        let line = format!(
            "sign {flags} --key lab/spc-1234-key.pem --x5u https://e.org/c.pem {orig} 33123456789"
        );
        let identity = folder.out(&line);
        let payload = identity.split('.').nth(1).unwrap();
        let payload = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, payload);
        let payload: serde_json::Value = serde_json::from_slice(&payload.unwrap()).unwrap();
        payload["orig"]["tn"].as_str().unwrap().to_owned()
    };
    let france = "--country-code 33 --national-prefix 0 --international-prefix 00";
    for (flags, orig, signed) in [
        ("-a A", "0123456789", "0123456789"),
        (france, "0123456789", "33123456789"),
        (france, "0012155550100", "12155550100"),
        (france, "+33123456789", "33123456789"),
        ("--country-code 1", "2155550100", "12155550100"),
    ] {
        assert_eq!(sign(flags, orig), signed, "{flags} {orig}");
    }
    let refused = folder
        .ours("sign --country-code +33 --key lab/spc-1234-key.pem --x5u https://e.org/c.pem 1 2");
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains("--country-code \"+33\" is not"), "{stderr}");
    // The service signs the same.
    let config = support::local(
        "[numbers]\ncountry_code = \"33\"\nnational_prefix = \"0\"\ninternational_prefix = \"00\"\n",
    );
    let service = support::Service::start(&folder, &config);
    let call = support::CALL.replace("+1 215 555 0100", "01 23 45 67 89");
    let signed = service.post("/v1/sign", &call).json();
    let verified = serde_json::json!({"identity": signed["identity"]}).to_string();
    let report = service.post("/v1/verify", &verified).json();
    assert_eq!(report["claims"]["orig"], "33123456789", "{report}");
}
