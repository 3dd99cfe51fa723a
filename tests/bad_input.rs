//! Input that is wrong in every way, through a real Kamailio: the right code, one line that says
//! what is wrong, and every worker alive.
#![allow(clippy::unwrap_used)]

mod support;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use support::{Answer, Cfg, Http, Kamailio, Lab, Module, Reply, Request};

const REPLY: &str = r#"
    append_to_reply("X-Code: $var(code)\r\nX-Error: $secsipid(error)\r\n");
    sl_send_reply("200", "OK");
"#;

/// Sends a request, and looks at code, error and log.
fn expect(kamailio: &Kamailio, name: &str, reply: &Reply, code: i64, part: &str) {
    assert_eq!(reply.number("X-Code"), code, "{name}: {}", reply.header("X-Error"));
    let error = reply.header("X-Error");
    assert!(error.contains(part), "{name}: {error:?} does not say {part:?}");
    // The reply may overtake the log's last line.
    kamailio.wait_for_log(part);
}

#[test]
fn identity_headers() {
    let lab = Lab::new();
    let cert = lab.path("cert.pem");
    let cfg = Cfg::new(Module::Ours)
        .tcp()
        // From 5.7 on Kamailio takes messages of 32 KiB if it is not told otherwise.
        .global("#!ifndef KAMAILIO_5_5\n#!ifndef KAMAILIO_5_6\nmsg_recv_max_size=65535\n#!endif\n#!endif")
        .route(&format!("$var(code) = secsipid_check_identity(\"{cert}\");\n{REPLY}"));
    let mut kamailio = Kamailio::start(&cfg);
    let processes = kamailio.processes();
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = encode(r#"{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"https://a/b"}"#);
    let claims = |iat: &str| {
        encode(&format!(
            r#"{{"attest":"A","dest":{{"tn":["12155551213"]}},"iat":{iat},"orig":{{"tn":"12155551212"}},"origid":"o"}}"#
        ))
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let payload = claims(&now.to_string());
    let zeros = |len| URL_SAFE_NO_PAD.encode(vec![0; len]);
    let signature = zeros(64);
    let params = ";info=<https://a/b>;alg=ES256;ppt=shaken";
    let jose = |json: &str| format!("{}.{payload}.{signature}{params}", encode(json));
    let body = |part: &str| format!("{header}.{part}.{signature}{params}");
    let deep = format!("{}1{}", r#"{"a":"#.repeat(4000), "}".repeat(4000));
    let rows: Vec<(&str, String, i64, &str)> = vec![
        ("empty", String::new(), -304, "is empty"),
        ("no parameters", format!("{header}.{payload}.{signature}"), -301, "no ;info="),
        ("one part", format!("{header}{params}"), -301, "1 parts"),
        ("two parts", format!("{header}.{payload}{params}"), -301, "2 parts"),
        ("four parts", format!("{header}.{payload}.{signature}.x{params}"), -301, "4 parts"),
        ("only a semicolon", ";".into(), -301, "1 parts"),
        (
            "padding in the header",
            format!("{header}=.{payload}.{signature}{params}"),
            -201,
            "base64url",
        ),
        (
            "space in the header",
            format!("{} {}.{payload}.{signature}{params}", &header[..9], &header[9..]),
            -201,
            "base64url",
        ),
        (
            "padding in the payload",
            format!("{header}.{payload}=.{signature}{params}"),
            -231,
            "base64url",
        ),
        (
            "junk in the payload",
            format!("{header}.{payload}!.{signature}{params}"),
            -231,
            "base64url",
        ),
        (
            "padding in the signature",
            format!("{header}.{payload}.{signature}=={params}"),
            -255,
            "base64url",
        ),
        (
            "junk in the signature",
            format!("{header}.{payload}.!{signature}{params}"),
            -255,
            "base64url",
        ),
        (
            "not UTF-8 as such",
            format!("{header}.{payload}.\u{e9}{signature}{params}"),
            -255,
            "base64url",
        ),
        ("header no object", jose("[1]"), -201, "no object"),
        ("header twice", jose(r#"{"alg":"ES256","alg":"ES256"}"#), -201, "stands twice"),
        ("header deep", jose(&deep), -201, "recursion"),
        ("alg number", jose(r#"{"alg":1}"#), -201, "alg in the JOSE header is no string"),
        ("alg none", jose(r#"{"alg":"none"}"#), -202, "\"none\""),
        ("alg HS256", jose(r#"{"alg":"HS256"}"#), -202, "\"HS256\""),
        ("alg RS256", jose(r#"{"alg":"RS256"}"#), -202, "\"RS256\""),
        ("alg ES384", jose(r#"{"alg":"ES384"}"#), -202, "\"ES384\""),
        ("payload no object", body(&encode("1")), -231, "no object"),
        ("payload twice", body(&encode(r#"{"iat":1,"iat":1}"#)), -231, "stands twice"),
        ("payload deep", body(&encode(&deep)), -231, "recursion"),
        ("iat string", body(&claims("\"1\"")), -231, "not a number of seconds"),
        ("iat 1e400", body(&claims("1e400")), -231, "no JSON"),
        ("iat zero", body(&claims("0")), -232, "iat is 0"),
        ("iat negative", body(&claims("-5")), -232, "iat is -5"),
        ("iat past", body(&claims(&(now - 4000).to_string())), -232, "(expire)"),
        ("iat future", body(&claims(&(now + 4000).to_string())), -232, "in the future"),
        ("signature of 63", format!("{header}.{payload}.{}{params}", zeros(63)), -253, "63 octets"),
        ("signature of 65", format!("{header}.{payload}.{}{params}", zeros(65)), -253, "65 octets"),
        (
            "signature of zeros",
            format!("{header}.{payload}.{signature}{params}"),
            -251,
            "does not verify",
        ),
        ("60 KiB", format!("{}{params}", "x".repeat(50_000)), -301, "are not looked at"),
    ];
    for (name, identity, code, part) in rows {
        for sip in [kamailio.udp(), kamailio.tcp()] {
            let reply = sip.send(&Request::invite().header("Identity", identity.as_str()));
            expect(&kamailio, name, &reply, code, part);
        }
    }
    let reply = kamailio.udp().send(&Request::invite());
    expect(&kamailio, "none", &reply, -1, "no Identity header");
    kamailio.assert_alive(&processes);
}

#[test]
fn keys_and_calls_to_sign() {
    let lab = Lab::new();
    for (name, kind) in [("p384.pem", "EC:P-384"), ("rsa.pem", "RSA"), ("ed25519.pem", "ED25519")] {
        lab.key(name, kind);
        lab.public(name, &format!("{name}.pub"));
    }
    lab.folder.write("empty.pem", "");
    lab.folder.write("large.pem", vec![b'x'; 1 << 20]);
    lab.folder.write("bad.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    lab.folder.write("both.pem", lab.read("cert.pem") + &lab.read("key.pem"));
    let fifo = lab.folder.join("fifo.pem");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let route = format!(
        r#"
        if ($hdr(X-Do) == "sign") {{
            $var(code) = secsipid_build_identity("$hdr(X-Orig)", "12155551213", "$hdr(X-Attest)", "", "https://a/b", "$hdr(X-Key)");
        }} else {{
            secsipid_build_identity("12155551212", "12155551213", "A", "", "https://a/b", "{}");
            $var(id) = $secsipid(val);
            $var(code) = secsipid_check("$var(id)", "$hdr(X-Key)");
        }}
        {REPLY}"#,
        lab.path("key.pem")
    );
    let mut kamailio = Kamailio::start(&Cfg::new(Module::Ours).route(&route));
    let processes = kamailio.processes();
    let sign = |orig: &str, attest: &str, key: &str| {
        kamailio.udp().send(
            &Request::invite()
                .header("X-Do", "sign")
                .header("X-Orig", orig)
                .header("X-Attest", attest)
                .header("X-Key", lab.path(key)),
        )
    };
    for (key, code, part) in [
        ("missing.pem", -451, "No such file"),
        ("", -451, "directory"),
        ("fifo.pem", -451, "not a regular file"),
        ("large.pem", -451, "more than"),
        ("empty.pem", -152, "no PEM private key"),
        ("bad.pem", -151, "makes no sense"),
        ("cert.pem", -151, "only CERTIFICATE"),
        ("p384.pem", -152, "P-256"),
        ("rsa.pem", -152, "P-256"),
        ("ed25519.pem", -152, "P-256"),
        ("both.pem", 1, ""),
    ] {
        expect(&kamailio, key, &sign("12155551212", "A", key), code, part);
    }
    for (orig, attest, part) in [
        ("alice", "A", "\"alice\""),
        ("1215555x212", "A", "'x'"),
        ("+", "A", "no digit"),
        ("12155551212", "D", "A, B or C"),
        ("12155551212", "a", "A, B or C"),
    ] {
        expect(&kamailio, orig, &sign(orig, attest, "key.pem"), -231, part);
    }
    for (key, code, part) in [
        ("missing.pem", -451, "No such file"),
        ("empty.pem", -102, "no PEM certificate"),
        ("key.pem", -101, "only PRIVATE KEY"),
        ("p384.pem.pub", -114, "P-256"),
        ("rsa.pem.pub", -114, "P-256"),
        ("ed25519.pem.pub", -114, "P-256"),
        ("fifo.pem", -451, "not a regular file"),
        ("both.pem", 1, ""),
    ] {
        let reply = kamailio
            .udp()
            .send(&Request::invite().header("X-Do", "check").header("X-Key", lab.path(key)));
        expect(&kamailio, key, &reply, code, part);
    }
    kamailio.assert_alive(&processes);
}

#[test]
fn certificate_hosts() {
    let lab = Lab::new();
    let http = Http::start();
    let cfg = Cfg::new(Module::Ours).param("timeout", 1).route(&format!(
        r#"
        secsipid_build_identity("12155551212", "12155551213", "A", "", "$hdr(X-Url)", "{}");
        $var(id) = $secsipid(val);
        if ($hdr(X-Do) == "get") {{
            $var(code) = secsipid_get_url("$hdr(X-Url)", "$var(body)");
        }} else {{
            $var(code) = secsipid_check("$var(id)", "");
        }}
        {REPLY}"#,
        lab.path("key.pem")
    ));
    let mut kamailio = Kamailio::start(&cfg);
    let processes = kamailio.processes();
    let rows = [
        (http.on("/404", Answer::Status(404)), -403, "404"),
        (
            http.on("/301", Answer::Redirect("http://127.0.0.1/".into())),
            -403,
            "redirects are not followed",
        ),
        (http.on("/empty", Answer::Ok(Vec::new())), -102, "no PEM certificate"),
        (http.on("/junk", Answer::Ok(vec![0xff; 100])), -102, "no PEM certificate"),
        (http.on("/html", Answer::Ok(b"<html>".to_vec())), -102, "no PEM certificate"),
        (http.on("/large", Answer::Large(10 << 20)), -404, "more than"),
        (http.on("/endless", Answer::Endless), -404, "more than"),
        (http.on("/drip", Answer::Drip), -404, "octets"),
        (http.on("/silent", Answer::Silent), -402, "no answer in 1 s"),
        (http.on("/close", Answer::Close), -402, "can't be fetched"),
        ("http://127.0.0.1:9/x".into(), -402, "refused"),
        ("http://host.invalid/x".into(), -402, "can't be fetched"),
    ];
    for (url, code, part) in &rows {
        // A worker's time may be over just before the fetcher knows why: that is in its memory then.
        let request = Request::invite().header("X-Url", url.as_str());
        kamailio.udp().send(&request);
        let reply = kamailio.udp().send(&request);
        expect(&kamailio, url, &reply, *code, part);
    }
    for url in ["ftp://127.0.0.1/x", "file:///etc/passwd", "nothing"] {
        let reply =
            kamailio.udp().send(&Request::invite().header("X-Do", "get").header("X-Url", url));
        expect(&kamailio, url, &reply, -401, url);
    }
    // Junk is not kept, but that it was junk: its server is not asked at once again.
    let before = http.count("/junk");
    let reply = kamailio.udp().send(&Request::invite().header("X-Url", rows[3].0.as_str()));
    assert_eq!((reply.number("X-Code"), http.count("/junk")), (-102, before));
    kamailio.assert_alive(&processes);
}

#[test]
fn parameters_that_are_wrong_stop_kamailio() {
    let lab = Lab::new();
    lab.folder.write("empty.pem", "");
    let empty = lab.path("empty.pem");
    let route = "sl_send_reply(\"200\", \"OK\");";
    let ours = || Cfg::new(Module::Ours).route(route);
    for (cfg, part) in [
        (ours().param("libopt", "CertVerfy=4"), "CertVerfy"),
        (ours().param("libopt", "CertVerify"), "name=value"),
        (ours().param("libopt", "CertVerify=yes"), "CertVerify=\"yes\" is no number"),
        (ours().param("libopt", "CertVerify=64"), "CertVerify=64"),
        (ours().param("libopt", "CertVerify=5"), "CertCAFile"),
        (
            ours().param("libopt", "CertVerify=5").param("libopt", "CertCAFile=/nonexistent.pem"),
            "/nonexistent.pem",
        ),
        (
            ours().param("libopt", "CertVerify=5").param("libopt", format!("CertCAFile={empty}")),
            "empty.pem",
        ),
        (
            ours()
                .param("policy", "shaken")
                .param("trust_anchors", lab.path("ca.pem"))
                .param("libopt", "CertVerify=3"),
            "leave 2 out of it under policy shaken",
        ),
        (ours().param("libopt", "CertVerify=24"), "CertCAInter"),
        (ours().param("libopt", "CertVerify=16"), "CertCRLFile"),
        (ours().param("expire", -1), "expire is -1"),
        (ours().param("timeout", 0), "timeout 0"),
        (ours().param("timeout", 1000), "timeout 1000"),
        (ours().param("clock_skew", -5), "clock_skew is -5"),
        (ours().param("cache_size", 0), "cache_size 0"),
        (ours().param("key_tables", 3), "key_tables 3"),
        (ours().param("cache_dir", "/nonexistent/folder"), "/nonexistent/folder"),
        (ours().param("x5u", "ftp://a/b"), "ftp://a/b"),
        (ours().param("http_ca_file", "/nonexistent.pem"), "http_ca_file"),
        (ours().param("http_proxy", "::"), "http_proxy"),
        (ours().param("http_proxy", "htpp://proxy.example:3128"), "give http://host:port"),
        (ours().param("rcd_nam", "$nothing(x"), "rcd_nam \"$nothing(x\" can't be read"),
        (ours().param("no_such_parameter", 1), "no_such_parameter"),
        (
            Cfg::new(Module::Ours).route("xlog(\"$secsipid(nothing)\");"),
            "$secsipid(nothing) is unknown",
        ),
    ] {
        let log = Kamailio::refused(&cfg);
        assert!(log.contains(part), "{part:?} is not in:\n{log}");
    }
}

/// A key that a variable without a value names is none, and not what the header names.
#[test]
fn variables_without_a_value() {
    let lab = Lab::new();
    let http = Http::start();
    let url = http.on("/cert.pem", Answer::Ok(lab.read("cert.pem").into()));
    let cfg = Cfg::new(Module::Ours).route(&format!(
        r#"
        secsipid_build_identity("12155551212", "12155551213", "A", "$avp(none)", "{url}", "{key}");
        $var(id) = $secsipid(val);
        secsipid_check("$var(id)", "{cert}");
        append_to_reply("X-Origid: $secsipid(origid)\r\n");
        $var(code) = secsipid_check("$var(id)", "$avp(none)");
        {REPLY}"#,
        key = lab.path("key.pem"),
        cert = lab.path("cert.pem")
    ));
    let kamailio = Kamailio::start(&cfg);
    let reply = kamailio.udp().send(&Request::invite());
    assert_eq!(reply.header("X-Origid").len(), 36, "a UUID: {reply:?}");
    expect(&kamailio, "no key", &reply, -451, "<null>");
    assert_eq!(http.count("/cert.pem"), 0);
}

/// A PEM text in an argument that is no text at all.
#[test]
fn arguments_that_are_no_text() {
    let lab = Lab::new();
    let cfg = Cfg::new(Module::Ours).route(&format!(
        "$var(code) = secsipid_check(\"$(hdr(X-B){{s.decode.base64}})\", \"{}\");\n{REPLY}",
        lab.path("cert.pem")
    ));
    let mut kamailio = Kamailio::start(&cfg);
    let processes = kamailio.processes();
    for octets in [&b"\xff\xfe\x00\x01"[..], b"a.b.c;info=<\xff>", b"\x00"] {
        let reply = kamailio.udp().send(&Request::invite().header("X-B", STANDARD.encode(octets)));
        assert!(reply.number("X-Code") < 0, "{octets:?}: {reply:?}");
    }
    kamailio.wait_for_log("argument 1 is no UTF-8 text");
    kamailio.assert_alive(&processes);
}
