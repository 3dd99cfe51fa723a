//! A lab whose certificates are on an HTTPS server, as policy shaken wants them.

use super::http::Https;
use super::{Cfg, Lab};
use std::sync::atomic::{AtomicU8, Ordering};

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
        lab.crl("crl.pem", &[]);
        lab.key("web-key.pem", "EC:P-256");
        lab.openssl("req -new -key web-key.pem -subj /CN=web -out web.csr");
        lab.folder
            .write("web.cnf", format!("subjectAltName=IP:{host}\nbasicConstraints=CA:FALSE\n"));
        lab.openssl("x509 -req -in web.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 30 -extfile web.cnf -out web.pem");
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
}
