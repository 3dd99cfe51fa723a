//! Clients that show a certificate, over TLS.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use support::{CALL, Folder, KEYS, OURS, Reply, Service, request};

const CSV: &str = "12155550100,12025550100,A,o-1,https://e.org/c.pem";
const ORIGIN: &str = "Origin: https://evil.example\r\n";

/// The lab, a certificate for TLS, and an authority for clients: `clients`.
fn folder() -> Folder {
    let folder = Folder::lab();
    folder.out("ca clients --spc 7 --spc 8");
    folder.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls-key.pem -subj /CN=tls -days 3 -out tls.pem");
    std::fs::copy(folder.join("clients/root.pem"), folder.join("clients.pem")).unwrap();
    folder
}

fn https(more: &str) -> String {
    format!(
        "[https]\nlisten = \"127.0.0.1:0\"\ncertificate = \"tls.pem\"\nkey = \"tls-key.pem\"\nclient_ca = \"clients.pem\"\n{}",
        KEYS.replace("[check]", &format!("{more}[check]"))
    )
}

/// A connection of a client with the certificate of this name.
fn connect(service: &Service, folder: &Folder, client: &str) -> Child {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{}", service.port)]);
    if !client.is_empty() {
        let (certificate, key) = (format!("{client}.pem"), format!("{client}-key.pem"));
        command.args(["-cert", &certificate, "-cert_chain", &certificate, "-key", &key]);
    }
    command.current_dir(&folder.0).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::null()).spawn().unwrap()
}

/// What is answered to a client with the certificate of this name; status 0 if nothing is.
fn post(service: &Service, folder: &Folder, client: &str, request: &str) -> Reply {
    let mut client = connect(service, folder, client);
    // One that was refused has gone.
    let _ = client.stdin.as_mut().unwrap().write_all(request.as_bytes());
    let reply = Reply::read(client.stdout.as_mut().unwrap());
    client.wait().unwrap();
    reply
}

#[test]
fn a_client_certificate_signs_where_there_is_no_token() {
    let folder = folder();
    let service = Service::start(&folder, &https(""));
    let post = |client, path, headers, body| {
        post(&service, &folder, client, &request(path, headers, body))
    };
    for (path, body) in [("/v1/sign", CALL), ("/v1/sign-csv", CSV)] {
        assert_eq!(post("clients/spc-7", path, "", body).status, 200, "{path}");
        // Without one: told what to do, though this is loopback.
        let refused = post("", path, "", body);
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.body.contains("https.client_ca (curl --cert"), "{refused:?}");
        // A browser shows its user's certificate for whichever page asks.
        assert_eq!(post("clients/spc-7", path, ORIGIN, body).status, 403, "{path}");
        // One that another authority issued: no connection.
        assert_eq!(post("lab/spc-1234", path, "", body).status, 0, "{path}");
    }
    // What is not signing needs no certificate, and takes none of another authority.
    assert_eq!(post("", "/v1/verify", "", "{}").status, 200);
    assert_eq!(post("clients/spc-7", "/v1/verify", "", "{}").status, 200);
    assert_eq!(post("lab/spc-1234", "/v1/verify", "", "{}").status, 0);
}

#[test]
fn a_token_goes_on_signing_beside_it() {
    let folder = folder();
    let token = "0123456789abcdef0123456789abcdef";
    folder.write("token", token);
    let service = Service::start(&folder, &https("token_file = \"token\"\n"));
    let bearer = format!("Authorization: Bearer {token}\r\n");
    for (client, headers, status) in [
        ("", bearer.as_str(), 200),
        ("clients/spc-7", "", 200),
        ("clients/spc-7", "Authorization: Bearer wrong\r\n", 200),
        ("", "Authorization: Bearer wrong\r\n", 401),
        ("lab/spc-1234", &bearer, 0),
    ] {
        let reply = post(&service, &folder, client, &request("/v1/sign", headers, CALL));
        assert_eq!(reply.status, status, "{client} {headers}: {reply:?}");
    }
    let refused = post(&service, &folder, "", &request("/v1/sign", "", CALL));
    assert_eq!(refused.status, 401);
    assert!(refused.head.contains("www-authenticate: bearer"), "{refused:?}");
    for part in ["bearer token", "client certificate"] {
        assert!(refused.body.contains(part), "{refused:?}");
    }
    let status = "GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    let status = post(&service, &folder, "", status).json();
    let signing = &status["listeners"][0]["signing"];
    assert_eq!(signing, "with the bearer token or a client certificate");
}

#[test]
fn the_authorities_are_read_again_when_their_file_changes() {
    let folder = folder();
    let service = Service::start(&folder, &https(""));
    let sign = |client| post(&service, &folder, client, &request("/v1/sign", "", CALL)).status;
    // A file that makes no sense leaves what is in use.
    folder.write("clients.pem", "junk");
    let line = service.logged("the certificate in use stays");
    assert!(line.contains("clients.pem"), "{line}");
    assert_eq!((sign("clients/spc-7"), sign("lab/spc-1234")), (200, 0));
    std::fs::copy(folder.join("lab/root.pem"), folder.join("clients.pem")).unwrap();
    service.logged("is read again");
    assert_eq!((sign("clients/spc-7"), sign("lab/spc-1234")), (0, 200));

    // One that failed is tried again, even where the file looks the same.
    let good = folder.read("clients/root.pem");
    folder.write("clients.pem", "-".repeat(good.len()));
    service.logged("the certificate in use stays");
    let bad = std::fs::metadata(folder.join("clients.pem")).unwrap();
    let mended = std::fs::File::open(folder.write("mended", good)).unwrap();
    mended.set_modified(bad.modified().unwrap()).unwrap();
    std::fs::rename(folder.join("mended"), folder.join("clients.pem")).unwrap();
    service.logged("is read again");
    assert_eq!((sign("clients/spc-7"), sign("lab/spc-1234")), (200, 0));

    // At start it is an error that names the file.
    for (text, part) in [("junk", "holds no certificate"), ("", "holds no certificate")] {
        folder.write("clients.pem", text);
        for check in [&["--check"][..], &[]] {
            let output = Command::new(OURS)
                .args(["serve", "--config", "service.toml"])
                .args(check)
                .current_dir(&folder.0)
                .output()
                .unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{stderr}");
            assert!(stderr.contains("\"clients.pem\"") && stderr.contains(part), "{stderr}");
        }
    }
}

#[test]
fn a_client_on_a_crl_is_refused() {
    let folder = folder();
    let crl = |more: &str| folder.out(&format!("ca clients --update {more}"));
    crl("--revoke 8");
    let with =
        |crl: &str| https("").replace("client_ca", &format!("client_crl = \"{crl}\"\nclient_ca"));
    let service = Service::start(&folder, &with("clients/crl.pem"));
    let sign = |client| post(&service, &folder, client, &request("/v1/sign", "", CALL)).status;
    assert_eq!((sign("clients/spc-7"), sign("clients/spc-8")), (200, 0));
    // A list that changes counts within seconds, one that makes no sense leaves what is in use.
    crl("--revoke 7 --revoke 8");
    service.logged("is read again");
    assert_eq!((sign("clients/spc-7"), sign("clients/spc-8")), (0, 0));
    folder.write("clients/crl.pem", "junk");
    let line = service.logged("the certificate in use stays");
    assert!(line.contains("clients/crl.pem") && line.contains("holds no CRL"), "{line}");
    assert_eq!((sign("clients/spc-7"), sign("")), (0, 403));

    // At start it is an error that names the file; so is a list for nobody.
    let check = |config: &str| {
        folder.write("service.toml", config);
        let output = Command::new(OURS)
            .args(["serve", "--check", "--config", "service.toml"])
            .current_dir(&folder.0)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = check(&with("clients/crl.pem"));
    assert!(said.contains("\"clients/crl.pem\" holds no CRL"), "{said}");
    let said = check(&with("clients/crl-indirect.pem"));
    assert!(said.contains("\"clients/crl-indirect.pem\" can't be used"), "{said}");
    let said = check(&with("clients/crl.pem").replace("client_ca = \"clients.pem\"", ""));
    assert!(said.contains("set https.client_ca as well"), "{said}");
}

#[test]
fn a_client_that_is_revoked_signs_no_more_on_an_open_connection() {
    let folder = folder();
    folder.out("ca clients --update --revoke 8");
    let config = https("[limits]\nheader_timeout = 60\n")
        .replace("client_ca", "client_crl = \"clients/crl.pem\"\nclient_ca");
    let service = Service::start(&folder, &config);
    let mut client = connect(&service, &folder, "clients/spc-7");
    let sign = request("/v1/sign", "", CALL).replace("Connection: close\r\n", "");
    client.stdin.as_mut().unwrap().write_all(sign.as_bytes()).unwrap();
    let mut answers = BufReader::new(client.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("{\"identity\"") {
        line.clear();
        assert_ne!(answers.read_line(&mut line).unwrap(), 0);
    }
    folder.out("ca clients --update --revoke 7");
    service.logged("is read again");
    // It may have ended before it is told.
    let sign = request("/v1/sign", "", CALL);
    let _ = client.stdin.as_mut().unwrap().write_all(sign.as_bytes());
    assert_eq!(Reply::read(&mut answers).status, 0);
    client.wait().unwrap();
}

#[test]
fn sessions_of_clients_are_not_resumed() {
    let folder = folder();
    let service = Service::start(&folder, &https(""));
    let line = format!(
        "s_client -connect 127.0.0.1:{} -cert clients/spc-7.pem -cert_chain clients/spc-7.pem -key clients/spc-7-key.pem",
        service.port
    );
    for version in ["-tls1_2", "-tls1_3"] {
        folder.openssl(&format!("{line} {version} -sess_out {version}"));
        // Without a ticket there is no session to keep.
        if folder.join(version).exists() {
            let again = folder.openssl(&format!("{line} {version} -sess_in {version}"));
            assert!(again.contains("\nNew, TLS"), "{again}");
        }
    }
}
