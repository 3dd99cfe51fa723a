//! A lab whose certificates are on an HTTPS server, as policy shaken wants them, another carrier's
//! signatures with them, and a carrier that checks them.

use super::http::Https;
use super::kamailio::{free_port, modules_folder, our_module};
use super::{Cfg, Folder, Kamailio, Lab, Module, Reply, Request, define, repository};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::UNIX_EPOCH;
use stir::{Call, Checked, Clock, PrivateKey, Signer};

/// Certificates on an address of loopback that no other test has, at a port that ATIS allows.
pub struct Site {
    pub lab: Lab,
    _https: Https,
    pub x5u: String,
}

impl Site {
    pub fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let host = format!("127.{}.{high}.{low}", 100 + NEXT.fetch_add(1, Ordering::Relaxed));
        let lab = Lab::new();
        lab.web_server(&host);
        let path = |name| lab.folder.join(name);
        let https =
            Https::start_at(&host, 8443, lab.folder.path(), &path("web.pem"), &path("web-key.pem"));
        let x5u = format!("https://{host}:8443/cert.pem");
        Self { lab, _https: https, x5u }
    }

    /// The parameters of policy shaken for this lab.
    pub fn params(&self, cfg: Cfg) -> Cfg {
        cfg.param("policy", "shaken")
            .param("trust_anchors", self.lab.path("ca.pem"))
            .param("crl", self.lab.path("crl.pem"))
            .param("http_ca_file", self.lab.path("ca.pem"))
            .param("x5u_permit", "127.0.0.0/8")
    }

    /// An Identity header as another carrier writes it, this many seconds ago.
    pub fn signed_ago(&self, orig: &str, dest: &str, x5u: &str, ago: i64) -> String {
        let call = Call { orig, dest, attest: "A", origid: "", x5u, rcd_nam: None };
        let key = self.lab.read("key.pem");
        let signer = Signer::with_clock(&Checked::default(), Arc::new(Ago(ago)));
        signer.identity(&call, PrivateKey::Pem(&key)).unwrap()
    }

    pub fn signed(&self, orig: &str, dest: &str) -> String {
        self.signed_ago(orig, dest, &self.x5u, 0)
    }
}

/// A clock that is this many seconds behind.
pub struct Ago(pub i64);

impl Clock for Ago {
    fn now(&self) -> i64 {
        i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap() - self.0
    }
}

/// A cfg of the repository in front of a called party that shows what arrives.
pub struct Carrier {
    pub kamailio: Kamailio,
    _called: Kamailio,
}

impl Carrier {
    pub fn new(site: &Site, cfg: &str, reject: bool) -> Self {
        Self::with(site, cfg, reject, &[])
    }

    /// The same with more definitions of the cfg.
    pub fn with(site: &Site, cfg: &str, reject: bool, values: &[(&str, String)]) -> Self {
        let called = Kamailio::start(&Cfg::new(Module::Without).route(
            r#"
            append_to_reply("Contact: <sip:called@$Ri:$Rp>\r\n");
            append_to_reply("X-From: $hdr(From)\r\nX-Asserted: $hdr(P-Asserted-Identity)\r\n");
            sl_send_reply("200", "OK");
            "#,
        ));
        let mut text = repository(cfg);
        if reject {
            let line = "##!define REJECT_INVALID\n";
            assert!(text.contains(line));
            text = text.replace(line, &line[1..]);
        }
        let folder = Folder::new();
        std::fs::copy(our_module(), folder.join("secsipid.so")).unwrap();
        let port = free_port();
        let cfg = define(
            &text,
            &[
                ("LISTEN", &format!("udp:127.0.0.1:{port}")),
                ("NEXT_HOP", &format!("sip:127.0.0.1:{}", called.port)),
                ("TRUST_ANCHORS", &site.lab.path("ca.pem")),
                ("CRL_FILE", &site.lab.path("crl.pem")),
                ("HTTPS_ROOTS", &site.lab.path("ca.pem")),
                ("PERMIT", "127.0.0.0/8"),
                ("SECSIPID_MODULE", &folder.inside("secsipid.so")),
                ("MODULES_FOLDER", &format!("{}/", modules_folder())),
            ],
        );
        let between = ("INTERMEDIATES", site.lab.path("intermediates.pem"));
        let between = cfg.contains("!INTERMEDIATES!").then_some(&between);
        let more = between.into_iter().chain(values);
        let cfg = more.fold(cfg, |cfg, (name, value)| define(&cfg, &[(name, value.as_str())]));
        Self { kamailio: Kamailio::start_text(folder, port, &cfg, &[]), _called: called }
    }

    pub fn send(&self, request: &Request) -> Reply {
        self.kamailio.udp().send(request)
    }
}
