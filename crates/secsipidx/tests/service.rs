//! The HTTP service as its clients see it, and as those see it who mean no good.
#![allow(clippy::unwrap_used)]

mod support;

use support::{CALL, Folder, KEYS, OURS, Service, local};

const CSV: &str = "12155550100,12025550100,A,o-1,https://e.org/c.pem";

#[test]
fn json_signs_verifies_and_inspects() {
    let folder = Folder::lab();
    let service = Service::start(
        &folder,
        &local(
            "ca = \"lab/root.pem\"\nintermediates = \"lab/intermediates.pem\"\ncrl = \"lab/crl-indirect.pem\"\n",
        ),
    );
    let signed = service.post("/v1/sign", CALL);
    assert_eq!(signed.status, 200, "{signed:?}");
    let identity = signed.json()["identity"].as_str().unwrap().to_owned();

    let body = serde_json::json!({"identity": identity}).to_string();
    let report = service.post("/v1/verify", &body).json();
    assert_eq!(report["valid"], true, "{report}");
    assert_eq!(report["claims"]["orig"], "12155550100");
    let changed = serde_json::json!({"identities": [identity.replacen('.', ".e", 1)]}).to_string();
    let report = service.post("/v1/verify", &changed).json();
    assert_eq!(
        (&report["valid"], report["code"].as_i64()),
        (&false.into(), Some(-231)),
        "{report}"
    );

    let message = format!(
        "INVITE sip:x SIP/2.0\r\nFrom: <sip:12155550199@a>\r\nTo: <sip:12025550100@b>\r\nIdentity: {identity}\r\n\r\n"
    );
    let body = serde_json::json!({"text": message}).to_string();
    let shown = service.post("/v1/inspect", &body).json();
    let rules = shown["identities"][0]["rules"].as_array().unwrap();
    let failed: Vec<_> = rules.iter().filter(|rule| rule["outcome"] == "fail").collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0]["rule"], "orig is the caller");
    assert_eq!(shown["identities"][0]["certificates"][0]["tn_auth_list"][0], "SPC 1234");

    let metrics = service.get("/metrics").body;
    for line in [
        "secsipidx_requests_total{path=\"/v1/sign\",status=\"200\"} 1",
        "secsipidx_checks_total{code=\"1\"} 1",
        "secsipidx_checks_total{code=\"-231\"} 1",
        "secsipidx_signed_total 1",
        "secsipidx_requests_busy 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
}

#[test]
fn wrong_requests_are_refused_with_a_reason() {
    let folder = Folder::lab();
    let service = Service::start(&folder, &local(""));
    for (path, body, status, part) in [
        ("/v1/sign", "junk", 400, "JSON"),
        ("/v1/sign", "{}", 400, "orig"),
        ("/v1/sign", r#"{"orig":"1","dest":"2","attest":"A","x":1}"#, 400, "unknown field"),
        ("/v1/sign", r#"{"orig":"alice","dest":"2","attest":"A"}"#, 400, "alice"),
        ("/v1/sign", r#"{"orig":"1","dest":"2","attest":"Z"}"#, 400, "attest"),
        ("/v1/sign-csv", "1,2,A", 400, "3 fields"),
        ("/v1/verify", "[]", 400, "JSON"),
        ("/v1/verify", "{}", 200, "no Identity header"),
        ("/v1/inspect", r#"{"text":1}"#, 400, "string"),
        ("/v1/check", "junk", 500, "FAILED"),
        ("/healthz", "", 405, "method"),
        ("/", "", 405, "method"),
        ("/none", "", 404, "openapi.json"),
    ] {
        let reply = service.post(path, body);
        assert_eq!(reply.status, status, "{path} {body}: {reply:?}");
        assert!(reply.body.contains(part), "{path} {body}: {reply:?}");
    }
    let with_hosts = |version: &str, hosts: &str| {
        let connection = "Connection: close\r\n\r\n";
        service.send(&format!("GET /healthz HTTP/{version}\r\n{hosts}{connection}")).status
    };
    assert_eq!(with_hosts("1.1", "Host: 127.0.0.1\r\nHost: y\r\n"), 400);
    assert_eq!(with_hosts("1.0", "Host: 127.0.0.1\r\nHost: y\r\n"), 400);
    assert_eq!(with_hosts("1.1", ""), 400);
    assert_eq!(with_hosts("1.0", ""), 200);
    assert_eq!(service.get("/v1/sign").status, 405);
    assert!(service.get("/v1/sign").head.contains("allow: post"));
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        assert_eq!(service.get(path).status, 200, "{path}");
    }
    // Every path of the document is there.
    for (path, methods) in service.get("/openapi.json").json()["paths"].as_object().unwrap() {
        let reply = match methods.get("post") {
            Some(_) => service.post(path, ""),
            None => service.get(&path.replace("{file}", "x")),
        };
        let expected = if path.contains("{file}") { 404 } else { reply.status };
        assert!(reply.status != 404 || expected == 404, "{path}: {reply:?}");
        assert_ne!(reply.status, 405, "{path}");
    }
}

#[test]
fn ready_is_who_can_sign() {
    let folder = Folder::lab();
    let path = folder.join("lab/spc-1234-key.pem").display().to_string();
    let key = folder.read("lab/spc-1234-key.pem");
    for name in ["lab/spc-1234-key.pem", &format!("file://{path}")] {
        let config = local("").replace("lab/spc-1234-key.pem", name);
        let service = Service::start(&folder, &config);
        let check = || folder.ours("serve --config service.toml --check");
        assert_eq!(service.get("/readyz").status, 200, "{name}");
        assert!(check().status.success(), "{name}");
        for text in ["junk", "", "-----BEGIN PRIVATE KEY-----\n"] {
            folder.write("lab/spc-1234-key.pem", text);
            assert_eq!(service.get("/readyz").status, 503, "{name}: {text}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(service.get("/readyz").status, 503, "{name}");
        let said = check();
        assert_eq!(said.status.code(), Some(1), "{name}");
        assert!(String::from_utf8_lossy(&said.stderr).contains("sign.key: "), "{said:?}");
        assert!(String::from_utf8_lossy(&said.stderr).contains("spc-1234-key.pem"), "{said:?}");
        folder.write("lab/spc-1234-key.pem", &key);
    }
    // And who can check.
    let certificate = folder.read("lab/spc-1234.pem");
    let service = Service::start(&folder, &local(""));
    assert_eq!(service.get("/readyz").status, 200);
    for text in [Some("junk"), None] {
        match text {
            Some(text) => drop(folder.write("lab/spc-1234.pem", text)),
            None => std::fs::remove_file(folder.join("lab/spc-1234.pem")).unwrap(),
        }
        assert_eq!(service.get("/readyz").status, 503, "{text:?}");
        assert!(service.logged("not ready").contains(" ERROR "), "{text:?}");
        let said = folder.ours("serve --config service.toml --check");
        assert_eq!(said.status.code(), Some(1), "{text:?}");
        let stderr = String::from_utf8_lossy(&said.stderr);
        assert!(stderr.contains("check.key: ") && stderr.contains("spc-1234.pem"), "{stderr}");
    }
    // What the operator has to mend is an error, what the client sent is none.
    let identity = service.post("/v1/sign", CALL).json()["identity"].as_str().unwrap().to_owned();
    service.post("/v1/check", &identity);
    assert!(service.logged("not valid").contains(" ERROR "));
    folder.write("lab/spc-1234.pem", certificate);
    assert_eq!(service.get("/readyz").status, 200);
    service.post("/v1/check", "junk");
    assert!(service.logged("not valid").contains(" INFO "));
    service.post("/v1/sign", &CALL.replace('A', "Z"));
    assert!(service.logged("not signed").contains(" INFO "));
    folder.write("lab/spc-1234-key.pem", "junk");
    service.post("/v1/sign", CALL);
    assert!(service.logged("not signed").contains(" ERROR "));
    // One that starts says so at once.
    let service = Service::start(&folder, &local(""));
    let said = service.logged("not ready: sign.key: ");
    assert!(said.contains(" ERROR ") && said.contains("file \"lab/spc-1234-key.pem\""), "{said}");
}

#[test]
fn signing_is_closed_to_strangers() {
    let folder = Folder::lab();
    // On all addresses without a token: checks, but signs for nobody.
    let open = KEYS.to_owned() + "[http]\nlisten = \"0.0.0.0:0\"\n";
    let service = Service::start(&folder, &open);
    for (path, body) in [("/v1/sign", CALL), ("/v1/sign-csv", CSV)] {
        assert_eq!(service.post(path, body).status, 403, "{path}");
    }
    assert_eq!(service.post("/v1/verify", "{}").status, 200);

    // With a token: only with it.
    let token = "0123456789abcdef0123456789abcdef";
    folder.write("token", format!("{token}\n"));
    let with_token = open.replace("[check]", "token_file = \"token\"\n[check]");
    let service = Service::start(&folder, &with_token);
    for (header, status) in [
        ("", 401),
        ("Authorization: Bearer wrong\r\n", 401),
        ("Authorization: Bearer 0123456789abcdef0123456789abcdeg\r\n", 401),
        (&format!("Authorization: Basic {token}\r\n"), 401),
        (&format!("Authorization: Bearer{token}\r\n"), 401),
        ("Authorization: Bearer\r\n", 401),
        (&format!("Authorization: Bearer {token}\r\n"), 200),
        (&format!("Authorization: bearer {token}\r\n"), 200),
        (&format!("Authorization: BEARER  {token}\r\n"), 200),
    ] {
        for (path, body) in [("/v1/sign", CALL), ("/v1/sign-csv", CSV)] {
            assert_eq!(service.post_with(path, header, body).status, status, "{path} {header}");
        }
    }
    assert!(service.post("/v1/sign", CALL).head.contains("www-authenticate: bearer"));

    // On loopback without a token: to programs, not to pages in a browser.
    let service = Service::start(&folder, &local(""));
    assert_eq!(service.post("/v1/sign", CALL).status, 200);
    let origin = "Origin: https://evil.example\r\n";
    assert_eq!(service.post_with("/v1/sign", origin, CALL).status, 403);

    // The stock flags take a token by way of the environment.
    let args = ["-http-srv", "127.0.0.1:0", "-k", "lab/spc-1234-key.pem"];
    let path = folder.join("token");
    let service = Service::ours(&folder, &args, &[("SECSIPIDX_TOKEN_FILE", &path)]);
    assert_eq!(service.post("/v1/sign-csv", CSV).status, 401);
}

#[test]
fn the_public_folder_shows_nothing_else() {
    let folder = Folder::lab();
    let public = folder.join("public");
    std::fs::create_dir_all(public.join("sub")).unwrap();
    std::fs::copy(folder.join("lab/spc-1234.pem"), public.join("cert.pem")).unwrap();
    std::fs::copy(folder.join("lab/spc-1234.pem"), public.join("sub/a b.pem")).unwrap();
    for (name, to) in [
        ("inside.pem", "sub/a b.pem"),
        ("outside.pem", "../lab/root.pem"),
        ("absolute.pem", "/etc/passwd"),
        ("folder", "../lab"),
    ] {
        std::os::unix::fs::symlink(to, public.join(name)).unwrap();
    }
    let certificate = folder.read("lab/spc-1234.pem");
    // Private keys in every dress.
    let key = "lab/spc-1234-key.pem";
    std::fs::copy(folder.join(key), public.join("pkcs8.pem")).unwrap();
    let both = folder.read("lab/spc-1234.pem") + &folder.read(key);
    folder.write("public/both.pem", both);
    folder.write("public/.hidden", "x");
    for line in [
        "ec -in KEY -out public/sec1.pem",
        "ec -in KEY -outform DER -out public/sec1.der",
        "pkcs8 -topk8 -nocrypt -in KEY -outform DER -out public/pkcs8.der",
        "pkcs8 -topk8 -passout pass:x -in KEY -outform DER -out public/encrypted.der",
        "pkcs8 -topk8 -passout pass:x -in KEY -out public/encrypted.pem",
        "pkcs12 -export -passout pass:x -inkey KEY -in lab/spc-1234.pem -out public/store.p12",
        "genrsa -traditional -out public/rsa.pem 2048",
        "rsa -in public/rsa.pem -traditional -outform DER -out public/rsa.der",
        "x509 -in lab/spc-1234.pem -outform DER -out public/cert.der",
        "crl -in lab/crl.pem -outform DER -out public/crl.crl",
        "ec -in KEY -pubout -out public/public.pem",
        "ec -in KEY -pubout -outform DER -out public/public.der",
        "req -new -key KEY -subj /CN=x -out public/request.pem",
    ] {
        folder.openssl(&line.replace("KEY", key));
    }
    // In dresses that no list of secrets has.
    let pem = folder.read("public/pkcs8.pem");
    let bare: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let utf16: Vec<u8> = pem.encode_utf16().flat_map(u16::to_le_bytes).collect();
    folder.write("public/utf16.pem", [&b"\xff\xfe"[..], &utf16].concat());
    folder.write("public/utf16-no-mark.pem", utf16);
    folder.write("public/jwk.json", r#"{"kty":"EC","crv":"P-256","x":"x","y":"y","d":"d"}"#);
    folder.write("public/label.pem", pem.replace("PRIVATE KEY", "CERTIFICATE"));
    folder.write("public/label-of-nobody.pem", pem.replace("PRIVATE KEY", "SECRET"));
    folder.write("public/cut.pem", format!("{certificate}{}", &pem[..100]));
    let raw = std::fs::read(folder.join("public/cert.der")).unwrap();
    folder.write("public/behind.der", [&raw[..], bare.as_bytes()].concat());
    folder.write("public/notes.txt", "the key is in the safe");
    // What stands between blocks stays here.
    folder.write("public/between.pem", format!("subject=x\n{certificate}{bare}\n{certificate}"));
    folder.write("public/marked.pem", format!("\u{feff}{certificate}").replace('\n', "\r\n"));
    folder.write("public/bare", bare);
    let fifo = std::process::Command::new("mkfifo").arg(public.join("fifo")).status().unwrap();
    assert!(fifo.success());

    let service = Service::start(&folder, &local("[public]\nfolder = \"public\"\n"));
    for path in ["cert.pem", "%63ert.pem", "sub/a%20b.pem", "inside.pem", "marked.pem"] {
        let reply = service.get(&format!("/v1/pub/{path}"));
        assert_eq!((reply.status, &reply.body), (200, &certificate), "{path}");
        assert!(reply.head.contains("content-type: application/pem-certificate-chain"));
    }
    assert_eq!(service.get("/v1/pub/between.pem").body, format!("{certificate}{certificate}"));
    for (path, media_type) in [
        ("cert.der", "pkix-cert"),
        ("crl.crl", "pkix-crl"),
        ("public.pem", "x-pem-file"),
        ("public.der", "octet-stream"),
    ] {
        let reply = service.get(&format!("/v1/pub/{path}"));
        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.head.contains(&format!("content-type: application/{media_type}")), "{path}");
    }
    for path in [
        "",
        "sub",
        "sub/",
        "none",
        "../lab/root.pem",
        "sub/../../lab/root.pem",
        "%2e%2e/lab/root.pem",
        "%2E%2E%2Flab%2Froot.pem",
        "..%2flab/root.pem",
        "%252e%252e/lab/root.pem",
        "./cert.pem",
        "sub/../cert.pem",
        "/etc/passwd",
        "//etc/passwd",
        "..%5clab%5croot.pem",
        "cert.pem%00",
        "%",
        "%4",
        "%zz",
        "%ff",
        ".hidden",
        "%2ehidden",
        "outside.pem",
        "absolute.pem",
        "folder/root.pem",
        "fifo",
        "pkcs8.pem",
        "sec1.pem",
        "both.pem",
        "sec1.der",
        "pkcs8.der",
        "encrypted.der",
        "encrypted.pem",
        "store.p12",
        "rsa.pem",
        "rsa.der",
        "request.pem",
        "bare",
        "utf16.pem",
        "utf16-no-mark.pem",
        "jwk.json",
        "label.pem",
        "label-of-nobody.pem",
        "cut.pem",
        "behind.der",
        "notes.txt",
    ] {
        let reply = service.get(&format!("/v1/pub/{path}"));
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
    }
}

#[test]
fn a_wrong_configuration_is_refused_by_name() {
    let folder = Folder::lab();
    for (config, part) in [
        ("", "nothing listens"),
        (
            "[http]\nlisten = \"127.0.0.1:0\"\nport = 1\n",
            "\"service.toml\" line 3: unknown field `port`",
        ),
        ("[http]\nlisten = \"127.0.0.1:0\"\nlisten = 1\n", "\"service.toml\" line 3: "),
        ("[http]\nlisten\n", "\"service.toml\" line 2: "),
        ("[http]\nlisten = \"nowhere\"\n", "\"nowhere\": invalid socket address: give host:port"),
        ("[https]\nlisten = \"127.0.0.1:0\"\n", "missing field `certificate`"),
        (&local("[limits]\nrequests = 0\n"), "limits.requests"),
        (&local("[log]\nformat = \"xml\"\n"), "xml"),
        (&local("[log]\nlevel = \"loud\"\n"), "loud"),
        (&local("timeout = 0\n"), "timeout 0"),
        (&local("ca = \"none.pem\"\n"), "check.ca \"none.pem\" can't be read"),
        (&local("ca = \"CertCAFile\"\n"), "check.ca \"CertCAFile\" can't be read"),
        (&local("http_ca = \"none.pem\"\n"), "check.http_ca \"none.pem\""),
        (&local("http_proxy = \"http://[\"\n"), "check.http_proxy \"http://[\""),
        (&local("cache_dir = \"none\"\n"), "the user that this runs as"),
        (&local("cert_verify = 4\n"), "check.cert_verify asks for check.ca, which names no file"),
        (&local("cert_verify = 64\n"), "check.cert_verify=64"),
        (&local("x5u_permit = \"10.0.0.0/33\"\n"), "check.x5u_permit \"10.0.0.0/33\" is no host"),
        (&local("x5u_deny = \"*\"\n"), "x5u_deny \"*\" is no host"),
        (&local("[numbers]\ncountry_code = \"+1\"\n"), "numbers.country_code \"+1\""),
        (&local("[numbers]\ntn_max_digits = 0\n"), "numbers.tn_max_digits 0"),
        (
            "[http]\nlisten = \"127.0.0.1:0\"\nnames = [\"https://e.org\"]\n",
            "http.names \"https://e.org\" is not a name",
        ),
        (&local("[public]\nfolder = \"none\"\n"), "public.folder"),
        (&local("").replace("[sign]", "[sign]\ntoken_file = \"none\""), "sign.token_file \"none\""),
        (&local("").replace("[sign]", "[sign]\ntoken_file = \"short\""), "short"),
    ] {
        folder.write("service.toml", config);
        folder.write("short", "secret");
        let output = std::process::Command::new(OURS)
            .args(["serve", "--config", "service.toml"])
            .current_dir(&folder.0)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{config}: {stderr}");
        assert!(stderr.contains(part), "{config}: {stderr}");
        assert!(!stderr.contains("secret"), "{stderr}");
        assert!(stderr.lines().count() == 1 && !stderr.contains("(-1)"), "{config}: {stderr}");
    }
    // The example that is installed, with all that is commented out.
    let text = include_str!("../dist/secsipidx.toml");
    let uncommented = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
        _ => format!("{line}\n"),
    };
    let example: String = text.lines().map(uncommented).collect();
    let files = [
        ("/etc/secsipidx/tls.pem", "lab/spc-1234.pem"),
        ("/etc/secsipidx/tls-key.pem", "lab/spc-1234-key.pem"),
        ("/etc/secsipidx/clients.pem", "lab/root.pem"),
        ("/etc/secsipidx/clients-crl.pem", "lab/crl.pem"),
        ("/etc/secsipidx/key.pem", "lab/spc-1234-key.pem"),
        ("/etc/secsipidx/token", "token"),
        ("/srv/secsipidx", "lab"),
    ];
    let example = files.iter().fold(example, |text, (from, to)| text.replace(from, to));
    folder.write("token", "0123456789abcdef0123456789abcdef");
    folder.write("service.toml", example);
    folder.out("serve --config service.toml --check");
    folder.write("service.toml", local(""));
    assert!(folder.out("serve --config service.toml --check").contains("can be used"));
}
