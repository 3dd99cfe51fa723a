//! Who may reach the HTTP service: its own pages and programs, no foreign page in a browser, and no
//! client that holds all connections.
#![allow(clippy::unwrap_used)]

mod support;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io::Read;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use support::{CALL, Folder, KEYS, Reply, Service, Silent, local, request, wait_for};

const EVIL: &str = "Origin: https://evil.example\r\n";

#[test]
fn a_foreign_page_has_nothing_downloaded_and_is_told_nothing() {
    let folder = Folder::lab();
    let silent = Silent::new();
    let config = "[http]\nlisten = \"127.0.0.1:0\"\n[sign]\nkey = \"lab/spc-1234-key.pem\"\n[check]\nx5u_permit = \"127.0.0.0/8\"\n[public]\nfolder = \"lab\"\n";
    let service = Service::start(&folder, config);
    let line =
        format!("sign --key lab/spc-1234-key.pem --x5u {} 12155550100 12025550100", silent.1);
    let identity = folder.out(&line);
    let json = serde_json::json!({"identity": identity}).to_string();
    let text = serde_json::json!({"text": identity}).to_string();
    for origin in [EVIL, "Origin: null\r\n", "Origin: http://127.0.0.1:1\r\n", "Origin: \r\n"] {
        for (path, body) in [
            ("/v1/check", identity.as_str()),
            ("/v1/verify", &json),
            ("/v1/inspect", &text),
            ("/v1/sign", CALL),
            ("/v1/sign-csv", "1,2,A,,https://e.org/c.pem"),
        ] {
            // As a form sends it, without asking first.
            let headers = format!("{origin}Content-Type: text/plain\r\n");
            let reply = service.post_with(path, &headers, body);
            assert_eq!(reply.status, 403, "{origin} {path}: {reply:?}");
        }
        for path in ["/", "/v1/status", "/metrics", "/openapi.json"] {
            let get = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n");
            assert_eq!(service.send(&format!("{get}{origin}\r\n")).status, 403, "{origin} {path}");
        }
    }
    assert_eq!(silent.asked(), 0);
    // Certificates are for everybody, and so is whether it lives.
    for path in ["/v1/pub/spc-1234.pem", "/healthz", "/readyz"] {
        let get = format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n");
        assert_eq!(service.send(&format!("{get}{EVIL}\r\n")).status, 200, "{path}");
    }
    // Its own page inspects.
    let own = format!(
        "POST /v1/inspect HTTP/1.1\r\nHost: localhost:{0}\r\nOrigin: http://localhost:{0}\r\nConnection: close\r\nContent-Length: 12\r\n\r\n{{\"text\":\"x\"}}",
        service.port
    );
    assert_eq!(service.send(&own).status, 200);
}

#[test]
fn a_name_that_was_made_to_point_here_is_not_the_services() {
    let folder = Folder::lab();
    let get = |service: &Service, path: &str, host: &str| {
        let get = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        service.send(&get)
    };
    let service = Service::start(&folder, &local(""));
    for host in ["evil.example", &format!("evil.example:{}", service.port)] {
        for path in ["/", "/v1/status", "/metrics"] {
            let reply = get(&service, path, host);
            assert_eq!(reply.status, 421, "{path}: {reply:?}");
            assert!(
                reply.body.contains("evil.example") && reply.body.contains("http.names"),
                "{reply:?}"
            );
        }
        let body =
            request("/v1/verify", "", "{}").replace("Host: 127.0.0.1", &format!("Host: {host}"));
        assert_eq!(service.send(&body).status, 421);
    }
    let named = local("").replace("[http]", "[http]\nnames = [\"signer.example.org\"]");
    let service = Service::start(&folder, &named);
    for (host, status) in [("Signer.Example.org:8090", 200), ("evil.example", 421)] {
        assert_eq!(get(&service, "/v1/status", host).status, status, "{host}");
    }
    let env = [("SECSIPIDX_NAMES", std::path::Path::new("a.example.org, b.example.org"))];
    let service = Service::ours(&folder, &["-http-srv", "127.0.0.1:0"], &env);
    for (host, status) in [("b.example.org", 200), ("evil.example", 421)] {
        assert_eq!(get(&service, "/metrics", host).status, status, "{host}");
    }
}

/// A service on HTTP and HTTPS, and the port of the latter.
fn both(folder: &Folder, limits: &str) -> (Service, u16) {
    folder.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls-key.pem -subj /CN=x -addext subjectAltName=DNS:sbc.example.org -days 3 -out tls.pem");
    let config = format!(
        "[http]\nlisten = \"127.0.0.1:0\"\n[https]\nlisten = \"127.0.0.1:0\"\ncertificate = \"tls.pem\"\nkey = \"tls-key.pem\"\n{KEYS}[limits]\n{limits}"
    );
    let service = Service::start(folder, &config);
    let line = service.logged("HTTPS on ");
    let port = line.rsplit(':').next().unwrap().parse().unwrap();
    (service, port)
}

#[test]
fn over_tls_the_certificate_names_the_service() {
    let folder = Folder::lab();
    let (_service, port) = both(&folder, "");
    for (host, status) in
        [("sbc.example.org", 200), ("SBC.example.org:8443", 200), ("evil.example", 421)]
    {
        let mut client = Command::new("openssl")
            .args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{port}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let get = format!("GET /v1/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        std::io::Write::write_all(client.stdin.as_mut().unwrap(), get.as_bytes()).unwrap();
        let reply = Reply::read(client.stdout.as_mut().unwrap());
        client.wait().unwrap();
        assert_eq!(reply.status, status, "{host}: {reply:?}");
    }
}

/// Whether the service closes this connection at once.
fn is_refused(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    match stream.read_exact(&mut [0]) {
        Ok(()) => true,
        Err(e) => !matches!(e.kind(), std::io::ErrorKind::WouldBlock),
    }
}

#[test]
fn idle_connections_to_https_leave_signing_on_loopback_alone() {
    const IDLE: usize = 1200;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(4096).min(hard), hard).unwrap();
    let folder = Folder::lab();
    let (service, port) = both(&folder, "header_timeout = 60\nconnections_per_address = 1024\n");
    let idle: Vec<_> =
        (0..IDLE).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    // All of the listener's are taken: the last one was refused.
    let mut last = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert!(is_refused(&mut last));
    for _ in 0..20 {
        let signed = service.post("/v1/sign", CALL);
        assert_eq!(signed.status, 200, "{signed:?}");
    }
    drop(idle);
}

#[test]
fn one_address_holds_no_more_than_its_share() {
    let folder = Folder::lab();
    let config =
        local("[limits]\nconnections = 8\nconnections_per_address = 3\nheader_timeout = 60\n");
    let service = Service::start(&folder, &config);
    let mut held: Vec<_> = wait_for("three places", || {
        let mut held: Vec<_> = (0..3).map(|_| service.connect()).collect();
        (!held.iter_mut().any(is_refused)).then_some(held)
    });
    assert!(is_refused(&mut service.connect()));
    // Another address of this machine.
    let answer = Command::new("curl")
        .args([
            "-s",
            "--interface",
            "127.0.0.2",
            &format!("http://127.0.0.1:{}/healthz", service.port),
        ])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "ok\n", "{answer:?}");
    held.pop();
    wait_for("a place", || (service.get("/healthz").status == 200).then_some(()));
}
