//! Calls whose certificates a fetcher gets, and what a fetcher keeps.

use super::{Answer, Cfg, Http, Kamailio, Lab, Module, wait_for};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::time::{Duration, UNIX_EPOCH};
use stir::store::{Stored, name};
use stir::{Call, Checked, PrivateKey, Signer};

/// How a cfg has a call checked: modules and routes. The reply has the code in `X-Code`.
pub type Way = fn(Cfg) -> Cfg;

/// The worker waits for the certificate.
pub fn blocking(cfg: Cfg) -> Cfg {
    cfg.route(
        r#"
        $var(code) = secsipid_check_identity("");
        append_to_reply("X-Code: $var(code)\r\n");
        sl_send_reply("200", "OK");
        "#,
    )
}

/// The call waits for the certificate, no worker does.
pub fn waiting(cfg: Cfg) -> Cfg {
    cfg.tm().routes(
        r#"
        request_route {
            if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
            secsipid_fetch_async("CHECKED");
            route(CHECKED);
        }
        route[CHECKED] {
            $var(code) = secsipid_check_identity("");
            append_to_reply("X-Code: $var(code)\r\n");
            send_reply("200", "OK");
        }
        "#,
    )
}

/// A fetcher, whose downloads take a second at most.
pub fn cfg(way: Way) -> Cfg {
    way(Cfg::new(Module::Ours)).param("fetchers", 1).param("timeout", 1)
}

/// The Identity header of a call that the lab's signer signs, with its certificate there.
pub fn signed(lab: &Lab, x5u: &str) -> String {
    signed_with(&Signer::new(&Checked::default()), lab, x5u)
}

/// The same at another time.
pub fn signed_with(signer: &Signer, lab: &Lab, x5u: &str) -> String {
    let call =
        Call { orig: "12155551212", dest: "12155551213", attest: "A", x5u, ..Call::default() };
    signer.identity(&call, PrivateKey::Pem(&lab.read("key.pem"))).unwrap()
}

/// A header with another certificate's URL in it, and the signature that it had.
pub fn with_x5u(identity: &str, x5u: &str) -> String {
    let (token, rest) = identity.split_once(';').unwrap();
    let mut parts = token.splitn(3, '.');
    let (_, payload, signature) = (parts.next(), parts.next().unwrap(), parts.next().unwrap());
    let header = format!(r#"{{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"{x5u}"}}"#);
    let header = URL_SAFE_NO_PAD.encode(header);
    let rest = rest.split_once('>').unwrap().1;
    format!("{header}.{payload}.{signature};info=<{x5u}>{rest}")
}

/// A certificate on a server of its own, and a call that it vouches for.
pub struct Good {
    pub lab: Lab,
    pub http: Http,
    pub identity: String,
}

impl Good {
    pub fn new() -> Self {
        let (lab, http) = (Lab::new(), Http::start());
        let url = http.on("/good.pem", Answer::Ok(lab.read("cert.pem").into()));
        let identity = signed(&lab, &url);
        Self { lab, http, identity }
    }

    pub fn is(&self, identity: &str) -> bool {
        self.identity == identity
    }
}

pub fn now() -> i64 {
    UNIX_EPOCH.elapsed().unwrap().as_secs().try_into().unwrap()
}

/// The name of a URL's certificate in Redis, less its head; with `.pem` behind it, in `cache_dir`.
pub fn key(x5u: &str) -> String {
    name(x5u)
}

/// A file of `cache_dir` that says of itself that it is this URL's, and counts until then.
pub fn file(x5u: &str, body: &str, until: i64) -> Vec<u8> {
    Stored::encode(x5u, body.as_bytes(), Some(until))
}

impl Kamailio {
    /// The inode of the first fetcher's socket, and what its name has behind the main process's id.
    pub fn socket(&self) -> (String, String) {
        let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
        let name = format!("@secsipid-{}-", self.pid());
        sockets
            .lines()
            .filter_map(|line| line.split_once(&name).filter(|(_, rest)| rest.ends_with("-0")))
            .find_map(|(columns, rest)| Some((columns.split_whitespace().nth(6)?, rest)))
            .map(|(inode, rest)| (inode.to_owned(), rest.to_owned()))
            .unwrap_or_else(|| panic!("nobody listens at {name}…"))
    }

    /// The fetcher's process: the one that listens to nothing but a Unix socket of its own.
    pub fn fetcher(&self) -> u32 {
        let (inode, _) = self.socket();
        let holds = |pid: &u32| {
            std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten().any(|fd| {
                let link = std::fs::read_link(fd.path()).unwrap_or_default();
                link.to_string_lossy() == format!("socket:[{inode}]")
            })
        };
        // Workers answer before the fetcher is there.
        wait_for("one process, the fetcher, with its socket", Duration::from_secs(10), || {
            let holders: Vec<u32> = self.processes().into_iter().filter(holds).collect();
            (holders.len() == 1).then(|| holders[0])
        })
    }
}
