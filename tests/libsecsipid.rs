//! The stock module pair secsipid.so and secsipid_proc.so on our libsecsipid.so.1, in a real
//! Kamailio.
#![allow(clippy::unwrap_used)]

mod support;

use support::kamailio::built;
use support::{Answer, Cfg, Folder, Http, Kamailio, Lab, Module, Request};

/// Signs and checks by file, by text and by URL, with the stock module's parameters set.
#[test]
fn the_stock_module_signs_and_checks_on_our_library() {
    let library = Folder::new();
    std::fs::copy(built("libsecsipid.so"), library.join("libsecsipid.so.1")).unwrap();
    let lab = Lab::new();
    std::fs::create_dir(lab.folder.join("cache")).unwrap();
    let http = Http::start();
    let cert = lab.read("cert.pem");
    let x5u = http.on("/cert.pem", Answer::Ok(cert.clone().into()));
    let gone = http.on("/gone.pem", Answer::Status(404));
    lab.secsipidx("ca . --update --spc 5678");
    lab.openssl("req -x509 -new -key key.pem -out stranger.pem -days 30 -subj /CN=Stranger");
    let path = |name: &str| lab.path(name);
    let cfg = Cfg::new(Module::Stock)
        .workers(2)
        .env("LD_LIBRARY_PATH", &library.inside(""))
        .param("expire", 60)
        .param("timeout", 2)
        .param("cache_dir", path("cache"))
        .param("cache_expire", 600)
        .param("libopt", "CertVerify=4")
        .param("libopt", format!("CertCAFile={}", path("ca.pem")))
        .route(&format!(
            r#"
        secsipid_add_identity("$fU", "$rU", "A", "", "{x5u}", "{key}");
        msg_apply_changes();
        $var(file) = secsipid_check_identity("{cert}");
        $var(info) = secsipid_check_identity("");
        $var(url) = secsipid_check_identity("{x5u}");
        $var(other) = secsipid_check_identity("{other}");
        $var(stranger) = secsipid_check_identity("{stranger}");
        $var(none) = secsipid_check_identity("{none}");
        $var(gone) = secsipid_check_identity("{gone}");
        $var(body) = "";
        $var(get) = secsipid_get_url("{x5u}", "$var(body)");
        append_to_reply("X-File: $var(file)\r\nX-Info: $var(info)\r\nX-Url: $var(url)\r\nX-Other: $var(other)\r\n");
        append_to_reply("X-Stranger: $var(stranger)\r\nX-None: $var(none)\r\nX-Gone: $var(gone)\r\n");
        append_to_reply("X-Get: $var(get)\r\nX-Length: $(var(body){{s.len}})\r\nX-Identity: $hdr(Identity)\r\n");
        sl_send_reply("200", "OK");
        "#,
            key = path("key.pem"),
            cert = path("cert.pem"),
            other = path("spc-5678.pem"),
            stranger = path("stranger.pem"),
            none = path("none.pem"),
        ));
    let mut kamailio = Kamailio::start(&cfg);
    let processes = kamailio.processes();
    for _ in 0..20 {
        let reply = kamailio.udp().send(&Request::invite());
        let codes = ["File", "Info", "Url", "Other", "Stranger", "None", "Gone", "Get"]
            .map(|name| reply.number(&format!("X-{name}")));
        assert_eq!(codes, [1, 1, 1, -251, -101, -451, -403, 1], "{reply:?}");
        assert_eq!(reply.number("X-Length"), i64::try_from(cert.len()).unwrap());
        assert!(
            reply.header("X-Identity").ends_with(&format!(";info=<{x5u}>;alg=ES256;ppt=shaken"))
        );
    }
    let on_ours = processes.iter().filter(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/maps"))
            .is_ok_and(|maps| maps.contains(&library.inside("libsecsipid.so.1")))
    });
    assert!(on_ours.count() >= 2, "the workers run on another library");
    let downloads = http.count("/cert.pem");
    assert!((1..=2).contains(&downloads), "{downloads} downloads for two workers and a folder");
    kamailio.assert_alive(&processes);
}
