//! The HTTP service under load and in trouble: limits, a new TLS certificate, SIGTERM.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use support::{CALL, Folder, KEYS, LIMIT, Reply, Service, Silent, local, request, wait_for};

#[test]
fn what_is_too_large_or_too_slow_is_cut_off() {
    let folder = Folder::lab();
    let service = Service::start(
        &folder,
        &local("[limits]\nbody = 1000\nheader_timeout = 4\nrequest_timeout = 4\nconnections = 3\n"),
    );
    assert_eq!(service.post("/v1/check", &"x".repeat(1000)).status, 500);
    assert_eq!(service.post("/v1/check", &"x".repeat(1001)).status, 413);
    let chunk = format!("3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001));
    let chunked = "POST /v1/check HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(service.send(&format!("{chunked}{chunk}")).status, 413);
    let headers = "X: y\r\n".repeat(10_000);
    let status = service.post_with("/v1/check", &headers, "").status;
    assert!(matches!(status, 0 | 431), "{status}");

    // Half a header, and half a body.
    let mut half = service.connect();
    half.write_all(b"POST /v1/check HTTP/1.1\r\n").unwrap();
    assert!(matches!(Reply::read(&mut half).status, 0 | 408));
    let mut half = service.connect();
    half.write_all(b"POST /v1/check HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\nx")
        .unwrap();
    let mut head = [0; 12];
    half.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 408");

    // More connections than are allowed: the fourth is closed, the others stay.
    drop(half);
    let held = wait_for("three connections", || {
        let held: Vec<_> = (0..3).map(|_| service.connect()).collect();
        let mut last = service.connect();
        last.set_read_timeout(Some(LIMIT)).unwrap();
        let closed = last
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        (closed.is_err() || Reply::read(&mut last).status == 0).then_some(held)
    });
    drop(held);
    wait_for("a free connection", || (service.get("/healthz").status == 200).then_some(()));
}

/// Asks for the large file, and reads no more than that there is one.
fn ask(service: &Service) -> TcpStream {
    let mut stream = service.connect();
    stream.write_all(b"GET /v1/pub/large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    stream
}

/// A CRL with an entry of so many octets, which makes no sense itself.
fn crl(len: usize) -> Vec<u8> {
    let der = |tag: u8, content: &[u8]| {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        match content.len() {
            short @ ..128 => [&[tag, u8::try_from(short).unwrap()], content].concat(),
            _ => [&[tag, 0x83], &length[1..], content].concat(),
        }
    };
    let (nothing, time) = (der(0x30, &[]), der(0x17, b"261201000000Z"));
    let list = [nothing.clone(), nothing.clone(), time, der(0x30, &vec![0; len])].concat();
    der(0x30, &[der(0x30, &list), nothing, der(0x03, &[0])].concat())
}

/// A service with a large file, more than the kernel holds for a client.
fn public(limits: &str) -> (Folder, Service) {
    let folder = Folder::lab();
    std::fs::create_dir(folder.join("public")).unwrap();
    // A CRL whose only entry is as large as a file may be.
    folder.write("public/large", crl((16 << 20) - 100));
    std::fs::copy(folder.join("lab/root.pem"), folder.join("public/small")).unwrap();
    let config = local(&format!("[public]\nfolder = \"public\"\n[limits]\n{limits}"));
    let service = Service::start(&folder, &config);
    (folder, service)
}

#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    let (_folder, service) = public("request_timeout = 10\nconnections = 1\n");
    let _held = ask(&service);
    wait_for("its connection", || (service.get("/healthz").status == 200).then_some(()));
}

#[test]
fn files_that_nobody_reads_take_no_more_memory_than_that() {
    let (_folder, service) = public("request_timeout = 60\n");
    let held = [(); 4].map(|()| ask(&service));
    let refused = service.get("/v1/pub/small");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.head.contains("retry-after"), "{refused:?}");
    drop(held);
    wait_for("memory", || (service.get("/v1/pub/small").status == 200).then_some(()));
}

/// A service that downloads, and an Identity header whose certificate is on a silent host.
fn downloads(folder: &Folder, limits: &str) -> (Service, Silent, String) {
    let config = format!(
        "[http]\nlisten = \"127.0.0.1:0\"\n[sign]\nkey = \"lab/spc-1234-key.pem\"\nx5u = \"https://e.org/c.pem\"\n[check]\nx5u_permit = \"127.0.0.1\"\ntimeout = 20\n[limits]\nrequest_timeout = 25\n{limits}"
    );
    let service = Service::start(folder, &config);
    let silent = Silent::new();
    let line =
        format!("sign --key lab/spc-1234-key.pem --x5u {} 12155550100 12025550100", silent.1);
    let identity = folder.out(&line).trim().to_owned();
    (service, silent, identity)
}

/// Two requests that wait for their certificate.
fn two_at_work(service: &Service, identity: &str) -> [TcpStream; 2] {
    let waiting = [(); 2].map(|()| {
        let mut stream = service.connect();
        stream.write_all(request("/v1/check", "", identity).as_bytes()).unwrap();
        stream
    });
    wait_for("both at work", || {
        service.get("/metrics").body.contains("secsipidx_requests_busy 2").then_some(())
    });
    waiting
}

#[test]
fn too_many_requests_are_refused_and_the_rest_go_on() {
    let folder = Folder::lab();
    let (service, silent, identity) = downloads(&folder, "requests = 2\n");
    let mut waiting = two_at_work(&service, &identity);
    let refused = service.post("/v1/check", &identity);
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.head.contains("retry-after"));
    assert_eq!(service.get("/healthz").status, 200);
    // Signing waits for nothing, so it needs no place among them.
    let signed = service.post("/v1/sign", CALL);
    assert_eq!(signed.status, 200, "{signed:?}");
    // Both ask before one of them has an answer for the other.
    let asking = [(); 2].map(|()| silent.take());
    for download in asking {
        Silent::give(download, &folder.read("lab/spc-1234.pem"));
    }
    for stream in &mut waiting {
        assert_eq!(Reply::read(stream).body, "OK\n");
    }
    assert_eq!(service.post("/v1/check", "junk").status, 500);
}

#[test]
fn what_is_in_memory_waits_for_no_download() {
    let folder = Folder::lab();
    let (service, silent, identity) = downloads(&folder, "requests = 2\nthreads = 1\n");
    std::thread::scope(|scope| {
        scope.spawn(|| silent.answer(&folder.read("lab/spc-1234.pem")));
        assert_eq!(service.post("/v1/check", &identity).body, "OK\n");
    });
    let line =
        format!("sign --key lab/spc-1234-key.pem --x5u {}?2 12155550100 12025550100", silent.1);
    let dead = folder.out(&line).trim().to_owned();
    let _waiting = two_at_work(&service, &dead);
    assert_eq!(service.post("/v1/check", &dead).status, 503);
    assert_eq!(service.post("/v1/check", &identity).body, "OK\n");
    let verify = |identities: &[&str]| {
        service.post("/v1/verify", &serde_json::json!({"identities": identities}).to_string())
    };
    assert_eq!(verify(&[&identity]).json()["valid"], true);
    assert_eq!(verify(&[&identity, &dead]).status, 503);
    // Nothing can be downloaded for these.
    assert_eq!(service.post("/v1/check", "junk").status, 500);
    assert_eq!(service.post("/v1/verify", "junk").status, 400);
}

#[test]
fn slow_bodies_hold_up_nobody() {
    let folder = Folder::lab();
    let (service, _silent, _) = downloads(&folder, "requests = 1\n");
    let slow = ["/v1/check", "/v1/inspect", "/v1/sign"].map(|path| {
        let mut stream = service.connect();
        let head = format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n");
        stream.write_all((head + "Expect: 100-continue\r\n\r\n").as_bytes()).unwrap();
        // The service says so when it begins to read the body.
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 100");
        stream
    });
    assert_eq!(service.post("/v1/check", "junk").status, 500);
    assert_eq!(service.post("/v1/sign", CALL).status, 200);
    drop(slow);
}

#[test]
fn one_thread_downloads_for_all_connections() {
    let folder = Folder::lab();
    let (service, silent, identity) = downloads(&folder, "threads = 1\n");
    let mut waiting = two_at_work(&service, &identity);
    // The other one waits for the thread, and then finds the certificate: nobody answers it twice.
    silent.answer(&folder.read("lab/spc-1234.pem"));
    for stream in &mut waiting {
        assert_eq!(Reply::read(stream).body, "OK\n");
    }
}

#[test]
fn sigterm_lets_requests_end() {
    let folder = Folder::lab();
    let notified = UnixDatagram::bind(folder.join("notify")).unwrap();
    notified.set_read_timeout(Some(LIMIT)).unwrap();
    let silent = Silent::new();
    folder.write("service.toml", "[http]\nlisten = \"127.0.0.1:0\"\n[check]\nx5u_permit = \"127.0.0.1\"\ntimeout = 20\n[limits]\nrequest_timeout = 25\ndrain = 25\n[log]\nformat = \"json\"\n");
    let socket = folder.join("notify");
    let args = ["serve", "--config", "service.toml"];
    let mut service = Service::ours(&folder, &args, &[("NOTIFY_SOCKET", &socket)]);
    let told = || {
        let mut state = [0; 100];
        let len = notified.recv(&mut state).unwrap();
        String::from_utf8(state[..len].to_vec()).unwrap()
    };
    assert_eq!(told(), "READY=1");
    // It does not end, neither this one nor the one of the stock flags.
    let stock = Service::ours(&folder, &["-http-srv", "127.0.0.1:0"], &[]);
    for service in [&service, &stock] {
        service.signal("-HUP");
        assert!(service.logged("SIGHUP").contains("INFO"));
        assert_eq!(service.get("/healthz").status, 200);
    }
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
        TcpStream::connect(("127.0.0.1", service.port)).is_err().then_some(())
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
