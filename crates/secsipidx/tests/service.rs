//! The HTTP service as its clients see it, and as those see it who mean no good.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use support::{Folder, LIMIT, OURS, Reply, Service, request, wait_for};

const CALL: &str = r#"{"orig":"+1 215 555 0100","dest":"12025550100","attest":"A"}"#;
const CSV: &str = "12155550100,12025550100,A,o-1,https://e.org/c.pem";
const KEYS: &str = "\
[sign]\nkey = \"lab/spc-1234-key.pem\"\nx5u = \"https://e.org/c.pem\"\n\
[check]\nkey = \"lab/spc-1234.pem\"\n";

fn local(more: &str) -> String {
    format!("[http]\nlisten = \"127.0.0.1:0\"\n{KEYS}{more}")
}

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
    assert_eq!(failed[0]["rule"], "orig is who P-Asserted-Identity or From says");
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
        ("/", "", 404, "openapi.json"),
    ] {
        let reply = service.post(path, body);
        assert_eq!(reply.status, status, "{path} {body}: {reply:?}");
        assert!(reply.body.contains(part), "{path} {body}: {reply:?}");
    }
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
    std::fs::remove_file(folder.join("lab/spc-1234-key.pem")).unwrap();
    assert_eq!(service.get("/readyz").status, 503);
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
        (&format!("Authorization: Bearer {token}\r\n"), 200),
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
    ] {
        folder.openssl(&line.replace("KEY", key));
    }
    let fifo = std::process::Command::new("mkfifo").arg(public.join("fifo")).status().unwrap();
    assert!(fifo.success());

    let service = Service::start(&folder, &local("[public]\nfolder = \"public\"\n"));
    let certificate = folder.read("lab/spc-1234.pem");
    for path in ["cert.pem", "%63ert.pem", "sub/a%20b.pem", "inside.pem"] {
        let reply = service.get(&format!("/v1/pub/{path}"));
        assert_eq!((reply.status, &reply.body), (200, &certificate), "{path}");
        assert!(reply.head.contains("content-type: application/pem-certificate-chain"));
    }
    for path in ["cert.der", "crl.crl"] {
        assert_eq!(service.get(&format!("/v1/pub/{path}")).status, 200, "{path}");
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
    ] {
        let reply = service.get(&format!("/v1/pub/{path}"));
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
    }
}

#[test]
fn what_is_too_large_or_too_slow_is_cut_off() {
    let folder = Folder::lab();
    let service = Service::start(
        &folder,
        &local("[limits]\nbody = 1000\nheader_timeout = 1\nrequest_timeout = 1\nconnections = 3\n"),
    );
    assert_eq!(service.post("/v1/check", &"x".repeat(1000)).status, 500);
    assert_eq!(service.post("/v1/check", &"x".repeat(1001)).status, 413);
    let chunk = format!("3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001));
    let chunked = "POST /v1/check HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(service.send(&format!("{chunked}{chunk}")).status, 413);
    let headers = "X: y\r\n".repeat(10_000);
    let status = service.post_with("/v1/check", &headers, "").status;
    assert!(matches!(status, 0 | 431), "{status}");

    // Half a header, and half a body.
    let mut half = service.connect();
    half.write_all(b"POST /v1/check HTTP/1.1\r\n").unwrap();
    assert!(matches!(Reply::read(&mut half).status, 0 | 408));
    let mut half = service.connect();
    half.write_all(b"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx").unwrap();
    let mut head = [0; 12];
    half.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 408");

    // More connections than are allowed: the fourth is closed, the others stay.
    drop(half);
    let held = wait_for("three connections", || {
        let held: Vec<_> = (0..3).map(|_| service.connect()).collect();
        let mut last = service.connect();
        last.set_read_timeout(Some(LIMIT)).unwrap();
        let closed =
            last.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        (closed.is_err() || Reply::read(&mut last).status == 0).then_some(held)
    });
    drop(held);
    wait_for("a free connection", || (service.get("/healthz").status == 200).then_some(()));
}

/// A host that takes connections and answers when it is told to.
struct Silent(TcpListener, String);

impl Silent {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/c.pem", listener.local_addr().unwrap());
        Self(listener, url)
    }

    fn answer(&self, body: &str) {
        let (mut stream, _) = self.0.accept().unwrap();
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).unwrap() > 0);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).unwrap();
    }
}

/// A service that downloads, and an Identity header whose certificate is on a silent host.
fn downloads(folder: &Folder, limits: &str) -> (Service, Silent, String) {
    let config = format!(
        "[http]\nlisten = \"127.0.0.1:0\"\n[check]\ntimeout = 20\n[limits]\nrequest_timeout = 25\n{limits}"
    );
    let service = Service::start(folder, &config);
    let silent = Silent::new();
    let line =
        format!("sign --key lab/spc-1234-key.pem --x5u {} 12155550100 12025550100", silent.1);
    let identity = folder.out(&line).trim().to_owned();
    (service, silent, identity)
}

#[test]
fn too_many_requests_are_refused_and_the_rest_go_on() {
    let folder = Folder::lab();
    let (service, silent, identity) = downloads(&folder, "requests = 2\n");
    let mut waiting: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = service.connect();
            stream.write_all(request("/v1/check", "", &identity).as_bytes()).unwrap();
            stream
        })
        .collect();
    wait_for("both at work", || {
        service.get("/metrics").body.contains("secsipidx_requests_busy 2").then_some(())
    });
    let refused = service.post("/v1/check", "junk");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.head.contains("retry-after"));
    assert_eq!(service.get("/healthz").status, 200);
    for _ in &waiting {
        silent.answer(&folder.read("lab/spc-1234.pem"));
    }
    for stream in &mut waiting {
        assert_eq!(Reply::read(stream).body, "OK\n");
    }
    assert_eq!(service.post("/v1/check", "junk").status, 500);
}

#[test]
fn sigterm_lets_requests_end() {
    let folder = Folder::lab();
    let notified = UnixDatagram::bind(folder.join("notify")).unwrap();
    notified.set_read_timeout(Some(LIMIT)).unwrap();
    let silent = Silent::new();
    folder.write("service.toml", "[http]\nlisten = \"127.0.0.1:0\"\n[check]\ntimeout = 20\n[limits]\nrequest_timeout = 25\ndrain = 25\n[log]\nformat = \"json\"\n");
    let socket = folder.join("notify");
    let args = ["serve", "--config", "service.toml"];
    let mut service = Service::ours(&folder, &args, &[("NOTIFY_SOCKET", &socket)]);
    let told = || {
        let mut state = [0; 100];
        let len = notified.recv(&mut state).unwrap();
        String::from_utf8(state[..len].to_vec()).unwrap()
    };
    assert_eq!(told(), "READY=1");
    let line =
        format!("sign --key lab/spc-1234-key.pem --x5u {} 12155550100 12025550100", silent.1);
    let identity = folder.out(&line).trim().to_owned();
    let mut stream = service.connect();
    stream.write_all(request("/v1/check", "", &identity).as_bytes()).unwrap();
    wait_for("it at work", || {
        service.get("/metrics").body.contains("secsipidx_requests_busy 1").then_some(())
    });
    service.signal("-TERM");
    assert_eq!(told(), "STOPPING=1");
    let line: serde_json::Value = serde_json::from_str(&service.logged("stopping")).unwrap();
    assert_eq!(line["level"], "INFO");
    wait_for("no new connections", || {
        std::net::TcpStream::connect(("127.0.0.1", service.port)).is_err().then_some(())
    });
    silent.answer(&folder.read("lab/spc-1234.pem"));
    assert_eq!(Reply::read(&mut stream).body, "OK\n");
    assert!(service.wait().success());
}

#[test]
fn a_new_tls_certificate_is_taken_up() {
    let folder = Folder::lab();
    let tls = |name: &str| {
        folder.openssl(&format!("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls-key.new -subj /CN={name} -days 3 -out tls.new"));
        std::fs::rename(folder.join("tls-key.new"), folder.join("tls-key.pem")).unwrap();
        std::fs::rename(folder.join("tls.new"), folder.join("tls.pem")).unwrap();
    };
    tls("first");
    let service = Service::start(
        &folder,
        &format!(
            "[https]\nlisten = \"127.0.0.1:0\"\ncertificate = \"tls.pem\"\nkey = \"tls-key.pem\"\n{KEYS}"
        ),
    );
    let subject = || {
        let output =
            folder.openssl(&format!("s_client -connect 127.0.0.1:{} -alpn http/1.1", service.port));
        output.lines().find(|line| line.starts_with("subject=")).unwrap_or_default().to_owned()
    };
    assert_eq!(subject(), "subject=CN = first");
    // A certificate of another key leaves the first in use.
    std::fs::copy(folder.join("lab/spc-1234.pem"), folder.join("tls.pem")).unwrap();
    service.logged("the certificate in use stays");
    assert_eq!(subject(), "subject=CN = first");
    tls("second");
    service.logged("is read again");
    assert_eq!(subject(), "subject=CN = second");
    // And it serves.
    let mut client = std::process::Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{}", service.port)])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    client.stdin.as_mut().unwrap().write_all(request("/v1/sign", "", CALL).as_bytes()).unwrap();
    assert_eq!(Reply::read(client.stdout.as_mut().unwrap()).status, 200);
    client.wait().unwrap();
}

#[test]
fn a_wrong_configuration_is_refused_by_name() {
    let folder = Folder::lab();
    for (config, part) in [
        ("", "nothing listens"),
        ("[http]\nlisten = \"127.0.0.1:0\"\nport = 1\n", "unknown field `port`"),
        ("[http]\nlisten = \"nowhere\"\n", "nowhere"),
        ("[https]\nlisten = \"127.0.0.1:0\"\n", "missing field `certificate`"),
        (&local("[limits]\nrequests = 0\n"), "limits.requests"),
        (&local("[log]\nformat = \"xml\"\n"), "xml"),
        (&local("[log]\nlevel = \"loud\"\n"), "loud"),
        (&local("timeout = 0\n"), "timeout 0"),
        (&local("ca = \"none.pem\"\n"), "none.pem"),
        (&local("cert_verify = 64\n"), "CertVerify=64"),
        (&local("[public]\nfolder = \"none\"\n"), "public.folder"),
        (&local("").replace("[sign]", "[sign]\ntoken_file = \"service.toml2\""), "service.toml2"),
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
