//! Downloads that workers do themselves (`fetchers` 0): their caches, HTTPS, a proxy.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use support::http::Https;
use support::{Answer, Cfg, Folder, Http, Kamailio, Lab, Module, Reply, Request, inside, wait_for};

/// Signs for a URL and checks with what is downloaded from it.
fn cfg(lab: &Lab) -> Cfg {
    Cfg::new(Module::Ours).param("fetchers", 0).route(&format!(
        r#"
        if ($hdr(X-Do) == "get") {{
            $var(code) = secsipid_get_url("$hdr(X-Url)", "$var(body)");
        }} else {{
            secsipid_build_identity("12155551212", "12155551213", "A", "", "$hdr(X-Url)", "{}");
            $var(id) = $secsipid(val);
            $var(code) = secsipid_check("$var(id)", "");
        }}
        append_to_reply("X-Code: $var(code)\r\nX-Error: $secsipid(error)\r\nX-Len: $(var(body){{s.len}})\r\n");
        sl_send_reply("200", "OK");
        "#,
        lab.path("key.pem")
    ))
}

fn call(kamailio: &Kamailio, url: &str) -> Reply {
    kamailio.udp().send(&Request::invite().header("X-Do", "check").header("X-Url", url))
}

fn passes(kamailio: &Kamailio, url: &str) {
    let reply = call(kamailio, url);
    assert_eq!(reply.number("X-Code"), 1, "{url}: {}", reply.header("X-Error"));
}

fn fails(kamailio: &Kamailio, url: &str, code: i64, part: &str) {
    let reply = call(kamailio, url);
    let error = reply.header("X-Error");
    assert_eq!(reply.number("X-Code"), code, "{url}: {error}");
    assert!(error.contains(part), "{url}: {error:?} does not say {part:?}");
}

fn get(kamailio: &Kamailio, url: &str) -> Reply {
    kamailio.udp().send(&Request::invite().header("X-Do", "get").header("X-Url", url))
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn certificate(lab: &Lab, name: &str) -> Answer {
    Answer::Ok(lab.read(name).into())
}

#[test]
fn a_worker_downloads_once() {
    let (lab, http) = (Lab::new(), Http::start());
    let url = http.on("/cert.pem", certificate(&lab, "cert.pem"));
    let kamailio = Kamailio::start(&cfg(&lab));
    for _ in 0..100 {
        passes(&kamailio, &url);
    }
    assert_eq!(http.count("/cert.pem"), 1);
    // It does not need the server any more.
    drop(http);
    passes(&kamailio, &url);
}

#[test]
fn the_folder_is_shared_and_survives_a_restart() {
    let (lab, http, cache) = (Lab::new(), Http::start(), Folder::new());
    let url = http.on("/cert.pem", certificate(&lab, "cert.pem"));
    let cfg = cfg(&lab).workers(4).param("cache_dir", inside(cache.path()));
    let kamailio = Kamailio::start(&cfg);
    assert!(names(cache.path()).is_empty());
    for _ in 0..40 {
        passes(&kamailio, &url);
    }
    assert_eq!(http.count("/cert.pem"), 1, "downloads for four workers");
    let stored = names(cache.path());
    assert_eq!(stored.len(), 1, "{stored:?}");
    let text = std::fs::read_to_string(cache.join(&stored[0])).unwrap();
    assert!(text.contains(&url) && text.contains(lab.read("cert.pem").trim()), "{text}");
    let folder = kamailio.stop_for_restart();
    http.on("/cert.pem", Answer::Status(503));
    let kamailio = Kamailio::start_in(folder, &cfg);
    for _ in 0..10 {
        passes(&kamailio, &url);
    }
    let fetched = get(&kamailio, &url);
    assert_eq!(fetched.number("X-Code"), 1, "{fetched:?}");
    assert_eq!(fetched.header("X-Len"), lab.read("cert.pem").len().to_string());
    drop(kamailio);
    // A file that was spoilt is as good as none.
    std::fs::write(cache.join(&stored[0]), "spoilt").unwrap();
    let kamailio = Kamailio::start(&cfg);
    assert_eq!(http.count("/cert.pem"), 1, "downloads after the restart");
    fails(&kamailio, &url, -403, "503");
}

#[test]
fn junk_is_never_kept() {
    let (lab, http, cache) = (Lab::new(), Http::start(), Folder::new());
    lab.issue("expired.pem", "key.pem", -1);
    let kamailio = Kamailio::start(&cfg(&lab).param("cache_dir", inside(cache.path())));
    for (path, answer, code, part) in [
        ("/html", Answer::Ok(b"<html>Log in first</html>".to_vec()), -102, "no PEM certificate"),
        ("/empty", Answer::Ok(Vec::new()), -102, "no PEM certificate"),
        ("/large", Answer::Large(1 << 20), -404, "more than"),
        ("/broken", Answer::Ok(lab.read("cert.pem").as_bytes()[..200].to_vec()), -102, ""),
        ("/404", Answer::Status(404), -403, "404"),
    ] {
        let url = http.on(path, answer);
        fails(&kamailio, &url, code, part);
        fails(&kamailio, &url, code, part);
        assert_eq!(http.count(path), 2, "{path} was kept");
        get(&kamailio, &url);
        assert_eq!(names(cache.path()), [""; 0], "{path} was stored");
        // The server is mended: so is the next call.
        http.on(path, certificate(&lab, "cert.pem"));
        passes(&kamailio, &url);
        for name in names(cache.path()) {
            std::fs::remove_file(cache.join(&name)).unwrap();
        }
    }
    // With CertVerify=0 it passes, but it is not kept past its end.
    let url = http.on("/expired", certificate(&lab, "expired.pem"));
    passes(&kamailio, &url);
    passes(&kamailio, &url);
    assert_eq!(http.count("/expired"), 2, "an expired certificate was kept");
    assert_eq!(names(cache.path()), [""; 0], "an expired certificate was stored");
}

#[test]
fn the_cache_forgets_what_is_old() {
    let (lab, http, cache) = (Lab::new(), Http::start(), Folder::new());
    let url = http.on("/cert.pem", certificate(&lab, "cert.pem"));
    for folder in [None, Some(inside(cache.path()))] {
        let before = http.count("/cert.pem");
        let mut cfg = cfg(&lab).param("cache_expire", 2);
        if let Some(folder) = folder {
            cfg = cfg.param("cache_dir", folder);
        }
        let kamailio = Kamailio::start(&cfg);
        let start = Instant::now();
        wait_for("a second download", Duration::from_secs(10), || {
            passes(&kamailio, &url);
            (http.count("/cert.pem") == before + 2).then_some(())
        });
        // Ages are counted in whole seconds.
        assert!(start.elapsed() > Duration::from_secs(1), "forgotten after {:?}", start.elapsed());
    }
    let before = http.count("/cert.pem");
    let empty = Folder::new();
    let kamailio = Kamailio::start(
        &cfg(&lab).param("cache_expire", 0).param("cache_dir", inside(empty.path())),
    );
    for _ in 0..3 {
        passes(&kamailio, &url);
    }
    assert_eq!(http.count("/cert.pem"), before + 3, "cache_expire 0 keeps none");
    assert_eq!(names(empty.path()), [""; 0]);
}

#[test]
fn the_cache_holds_so_many_and_the_least_used_goes() {
    let (lab, http) = (Lab::new(), Http::start());
    let [a, b, c] = ["/a", "/b", "/c"].map(|path| http.on(path, certificate(&lab, "cert.pem")));
    let kamailio = Kamailio::start(&cfg(&lab).param("cache_size", 2));
    for url in [&a, &b, &a, &c, &a, &c] {
        passes(&kamailio, url);
    }
    let counts = || ["/a", "/b", "/c"].map(|path| http.count(path));
    assert_eq!(counts(), [1, 1, 1]);
    passes(&kamailio, &b);
    assert_eq!(counts(), [1, 2, 1], "the third one took the place of /b");
    passes(&kamailio, &c);
    assert_eq!(counts(), [1, 2, 1]);
    passes(&kamailio, &a);
    assert_eq!(counts(), [2, 2, 1], "/b took the place of /a");
}

/// A file system in memory, unmounted with the value.
struct Mount(PathBuf);

impl Mount {
    /// `None`, and a line that says so, where mounting is not allowed.
    fn new(folder: &Folder, options: &str) -> Option<Self> {
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(folder.path())
            .output()
            .unwrap();
        if output.status.success() {
            return Some(Self(folder.path().to_owned()));
        }
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        support::skipped(&format!("a cache_dir on a file system with {options}: {why}"));
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The call that needed the certificate has it: a folder that takes none costs one WARNING.
#[test]
fn a_folder_that_takes_nothing_costs_a_warning() {
    let (lab, http) = (Lab::new(), Http::start());
    let url = http.on("/cert.pem", certificate(&lab, "cert.pem"));
    for (options, why) in [("ro", "Read-only"), ("size=16k", "No space left")] {
        let cache = Folder::new();
        let Some(_mount) = Mount::new(&cache, options) else { continue };
        // Fails as the disk is full, which is what it is for.
        let _ = std::fs::write(cache.join("filler"), vec![0; 1 << 20]);
        let before = names(cache.path());
        let mut kamailio = Kamailio::start(&cfg(&lab).param("cache_dir", inside(cache.path())));
        let processes = kamailio.processes();
        for _ in 0..5 {
            passes(&kamailio, &url);
        }
        let line = kamailio.wait_for_log("can't be stored");
        for part in ["WARNING", "cache_dir", &inside(cache.path()), &url, why] {
            assert!(line.contains(part), "{options}: {part:?} is not in {line:?}");
        }
        let lines = kamailio.log().matches("can't be stored").count();
        assert_eq!(lines, 1, "{options}: lines for one download");
        assert_eq!(names(cache.path()), before, "{options}: half a file was left");
        kamailio.assert_alive(&processes);
        if options == "ro" {
            continue;
        }
        // With room again, the next download is stored.
        std::fs::remove_file(cache.join("filler")).unwrap();
        passes(&kamailio, &http.on("/other", certificate(&lab, "cert.pem")));
        assert_eq!(names(cache.path()).len(), 1);
    }
}

#[test]
fn https_asks_for_the_named_authority() {
    let (lab, other) = (Lab::new(), Lab::new());
    lab.web_server("127.0.0.1");
    let https = Https::start(
        lab.folder.path(),
        &lab.folder.join("web.pem"),
        &lab.folder.join("web-key.pem"),
    );
    let url = format!("https://127.0.0.1:{}/cert.pem", https.port);
    let kamailio = Kamailio::start(&cfg(&lab).param("http_ca_file", lab.path("ca.pem")));
    passes(&kamailio, &url);
    // Another name than the server's certificate has.
    let named = format!("https://localhost:{}/cert.pem", https.port);
    fails(&kamailio, &named, -402, "not valid for name");
    let kamailio = Kamailio::start(&cfg(&lab).param("http_ca_file", other.path("ca.pem")));
    fails(&kamailio, &url, -402, "invalid peer certificate");
    // The system's authorities know nothing of the lab's.
    let kamailio = Kamailio::start(&cfg(&lab));
    fails(&kamailio, &url, -402, "UnknownIssuer");
}

#[test]
fn servers_may_speak_http_2_alone() {
    let lab = Lab::new();
    lab.web_server("127.0.0.1");
    let path = |name| lab.folder.join(name);
    let server = Https::http2(lab.folder.path(), &path("web.pem"), &path("web-key.pem"));
    let url = format!("https://127.0.0.1:{}/cert.pem", server.port);
    // More than may be sent over HTTP/2 before it is read.
    lab.folder.write("large.pem", vec![b'x'; 1 << 20]);
    for fetchers in [0, 1] {
        let cfg = cfg(&lab).param("http_ca_file", lab.path("ca.pem"));
        let kamailio = Kamailio::start(&cfg.param("fetchers", fetchers).param("timeout", 10));
        passes(&kamailio, &url);
        fails(&kamailio, &url.replace("cert", "large"), -404, "more than 65536");
    }
}

/// What servers of the field send instead of PEM: what can be read is, and what can't is named.
#[test]
fn bodies_in_other_forms_are_read_or_named() {
    let (lab, http) = (Lab::new(), Http::start());
    lab.openssl("x509 -in cert.pem -outform DER -out cert.der");
    lab.openssl("crl2pkcs7 -nocrl -certfile cert.pem -out cert.p7");
    lab.openssl("crl2pkcs7 -nocrl -certfile cert.pem -outform DER -out cert.p7c");
    let gzip = Command::new("gzip").arg("--keep").arg(lab.folder.join("cert.pem")).status();
    assert!(gzip.unwrap().success());
    let read = |name: &str| std::fs::read(lab.folder.join(name)).unwrap();
    let utf16 = lab.read("cert.pem").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let gzipped = "Content-Encoding: gzip\r\nContent-Type: application/pem-certificate-chain\r\n";
    let rows = [
        ("/gzip", gzipped, read("cert.pem.gz"), ""),
        ("/der", "Content-Type: application/pkix-cert\r\n", read("cert.der"), ""),
        ("/p7", "Content-Type: text/p7\r\n", read("cert.p7"), "PKCS#7 in PEM"),
        ("/p7c", "Content-Type: text/p7c\r\n", read("cert.p7c"), "PKCS#7 in DER"),
        ("/raw", "Content-Type: text/raw\r\n", read("cert.pem.gz"), "gzip data"),
        ("/utf16", "Content-Type: text/utf16\r\n", utf16, "UTF-16"),
        ("/html", "Content-Type: text/html\r\n", b"<html>Log in".to_vec(), "HTML"),
        ("/json", "Content-Type: text/json\r\n", b"{\"error\":404}".to_vec(), "JSON"),
    ];
    for fetchers in [0, 1] {
        let kamailio = Kamailio::start(&cfg(&lab).param("fetchers", fetchers));
        for (path, headers, body, named) in &rows {
            let url = http.on(path, Answer::With(headers, body.clone()));
            if named.is_empty() {
                passes(&kamailio, &url);
                continue;
            }
            let reply = call(&kamailio, &url);
            let (code, error) = (reply.number("X-Code"), reply.header("X-Error"));
            assert!([-101, -102].contains(&code), "{path}: {code}");
            let content_type = format!("(Content-Type: text{path})");
            assert!(error.contains(named) && error.contains(&content_type), "{path}: {error}");
        }
    }
}

#[test]
fn downloads_go_by_way_of_the_proxy() {
    let (lab, proxy) = (Lab::new(), Http::start());
    let url = "http://certs.invalid/cert.pem";
    // A proxy is asked for the whole URL.
    proxy.on(url, certificate(&lab, "cert.pem"));
    let address = format!("http://127.0.0.1:{}", proxy.port);
    let kamailio = Kamailio::start(&cfg(&lab).param("http_proxy", address));
    passes(&kamailio, url);
    assert_eq!(proxy.count(url), 1);
    drop(kamailio);
    // Without it, nobody knows the name; with a dead one, nothing goes past it.
    fails(&Kamailio::start(&cfg(&lab)), url, -402, url);
    let direct = proxy.on("/cert.pem", certificate(&lab, "cert.pem"));
    let kamailio = Kamailio::start(&cfg(&lab).param("http_proxy", "http://127.0.0.1:9"));
    fails(&kamailio, &direct, -402, "refused");
    assert_eq!(proxy.count("/cert.pem"), 0);
}
