//! Asterisk signs and we verify; we sign and Asterisk verifies; and what was changed on the way is
//! refused by both. Asterisk runs in the Debian that tests/asterisk.sh makes.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::kamailio::{free_port, terminate};
use support::{Cfg, Folder, Kamailio, Module, Request, Site, wait_for};

const INVALID: &str = "438 Invalid Identity Header";
const PASSED: &str = "486 Busy Here";

/// What someone on the way does to a call, as statements of a Kamailio cfg, with our answer and
/// Asterisk's, which looks neither at the called number nor at `info`, but asks for a Date.
const CHANGES: [(&str, &str, &str); 5] = [
    // From {"attest":"B to {"attest":"A, in base64url.
    (r#"subst_hf("Identity", "/eyJhdHRlc3QiOiJC/eyJhdHRlc3QiOiJB/", "a");"#, INVALID, INVALID),
    (r#"subst_hf("From", "/12155551212/12155559999/", "a");"#, INVALID, INVALID),
    (
        r#"$ru = "sip:+12155559999@127.0.0.1"; subst_hf("To", "/12155551213/12155559999/", "a");"#,
        INVALID,
        PASSED,
    ),
    (r#"subst_hf("Identity", "/cert\.pem/other.pem/", "a");"#, "436 Bad Identity Info", PASSED),
    (r#"remove_hf("Date");"#, PASSED, "403 Forbidden"),
];

/// The root of the Debian with Asterisk.
fn asterisk_root() -> Option<PathBuf> {
    let root = std::env::var_os("ASTERISK_ROOT").filter(|root| !root.is_empty());
    if root.is_none() {
        // Not println!, which is not shown for a test that passes.
        let line = b"Asterisk is not here: `make test-asterisk` runs this\n";
        std::io::stderr().write_all(line).unwrap();
    }
    root.map(PathBuf::from)
}

/// An Asterisk of its own on loopback, that stops with the value.
struct Asterisk {
    child: Child,
    port: u16,
    root: PathBuf,
    folder: Folder,
    /// The folder as Asterisk sees it.
    home: String,
}

impl Asterisk {
    /// Starts one that signs for 12155551212 with the site's key, verifies every call that comes
    /// in, and trusts what the site trusts.
    fn start(root: PathBuf, site: &Site) -> Self {
        let folder = Folder::under(&root);
        let port = free_port();
        let home = format!("/{}", folder.path().strip_prefix(&root).unwrap().display());
        for name in ["key.pem", "ca.pem", "crl.pem"] {
            std::fs::copy(site.lab.folder.join(name), folder.join(name)).unwrap();
        }
        std::fs::create_dir(folder.join("cache")).unwrap();
        for (name, text) in CONFIG {
            let text = text
                .replace("HOME", &home)
                .replace("PORT", &port.to_string())
                .replace("CERT_URL", &site.x5u);
            folder.write(name, text);
        }
        let log = std::fs::File::create(folder.join("log")).unwrap();
        // Asterisk has no setting for the roots of HTTPS servers: it gets the site's as those of
        // the system, in namespaces of its own; and a host name that it finds without DNS.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "unshare", "--mount", "--uts", "sh", "-c"])
            .arg(r#"hostname localhost && mount --bind "$1" "$2/etc/ssl/certs/ca-certificates.crt" && exec chroot "$2" asterisk -n -f -C "$3""#)
            .arg("sh")
            .args([folder.join("ca.pem"), root.clone()])
            .arg(format!("{home}/asterisk.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let mut asterisk = Self { child, port, root, folder, home };
        wait_for("Asterisk has started", Duration::from_secs(30), || {
            if let Some(status) = asterisk.child.try_wait().unwrap() {
                panic!("Asterisk stopped at start ({status}):\n{}", asterisk.log());
            }
            asterisk.command("core waitfullybooted").contains("fully booted").then_some(())
        });
        assert!(!asterisk.log().contains("declined to load"), "{}", asterisk.log());
        asterisk
    }

    /// A command on its console; what it says.
    fn command(&self, command: &str) -> String {
        let output = Command::new("chroot")
            .arg(&self.root)
            .args(["asterisk", "-C", &format!("{}/asterisk.conf", self.home), "-rx", command])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Calls +12155551213 by way of a SIP port on loopback; the final answer as Asterisk tells it.
    fn call(&self, port: u16) -> String {
        self.command(&format!("channel originate Local/{port}@out application NoOp"));
        let answer = self.wait_for_log(&format!("call by {port}: "));
        answer.strip_prefix("SIP ").unwrap_or(&answer).to_owned()
    }

    /// What the log has behind this text.
    fn wait_for_log(&self, text: &str) -> String {
        wait_for(&format!("\"{text}\" in Asterisk's log"), Duration::from_secs(15), || {
            Some(self.log().split_once(text)?.1.split_once('\n')?.0.to_owned())
        })
    }

    fn log(&self) -> String {
        ["log", "messages"]
            .map(|name| std::fs::read(self.folder.join(name)).unwrap_or_default())
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .concat()
    }
}

impl Drop for Asterisk {
    fn drop(&mut self) {
        terminate(&mut self.child);
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!(
                "Asterisk's last lines:\n{}",
                lines[lines.len().saturating_sub(40)..].join("\n")
            );
        }
    }
}

const CONFIG: [(&str, &str); 9] = [
    (
        "asterisk.conf",
        "[directories]
astetcdir => HOME
astvarlibdir => /var/lib/asterisk
astdbdir => HOME
astkeydir => HOME
astdatadir => /usr/share/asterisk
astspooldir => HOME
astrundir => HOME
astlogdir => HOME
",
    ),
    (
        "modules.conf",
        "[modules]
autoload=no
load=app_dial.so
load=app_verbose.so
load=bridge_simple.so
load=chan_pjsip.so
load=codec_ulaw.so
load=func_callerid.so
load=func_hangupcause.so
load=pbx_config.so
load=res_clioriginate.so
load=res_curl.so
load=res_pjproject.so
load=res_pjsip.so
load=res_pjsip_caller_id.so
load=res_pjsip_endpoint_identifier_ip.so
load=res_pjsip_pubsub.so
load=res_pjsip_sdp_rtp.so
load=res_pjsip_session.so
load=res_pjsip_stir_shaken.so
load=res_rtp_asterisk.so
load=res_sorcery_astdb.so
load=res_sorcery_config.so
load=res_sorcery_memory.so
load=res_stir_shaken.so
load=res_timing_timerfd.so
",
    ),
    ("logger.conf", "[logfiles]\nmessages => notice,warning,error\n"),
    (
        "pjsip.conf",
        "[loopback]
type=transport
protocol=udp
bind=127.0.0.1:PORT

[peer]
type=endpoint
context=in
disallow=all
allow=ulaw
media_address=127.0.0.1
stir_shaken_profile=both

[peer]
type=identify
endpoint=peer
match=127.0.0.1
",
    ),
    (
        "stir_shaken.conf",
        "[attestation]
private_key_file=HOME/key.pem
public_cert_url=CERT_URL
attest_level=B

[12155551212]
type=tn

[verification]
ca_file=HOME/ca.pem
crl_file=HOME/crl.pem
cert_cache_dir=HOME/cache
x5u_deny=0.0.0.0/0.0.0.0
x5u_permit=127.0.0.0/8

[both]
type=profile
endpoint_behavior=on
failure_action=reject_request
",
    ),
    (
        "extensions.conf",
        "[out]
exten => _X!,1,Set(CALLERID(num)=12155551212)
 same => n,Dial(PJSIP/peer/sip:+12155551213@127.0.0.1:${EXTEN},10)
 same => n,Log(NOTICE,call by ${EXTEN}: ${HANGUPCAUSE(${HANGUPCAUSE_KEYS()},tech)})

[in]
exten => _[+0-9]!,1,Log(NOTICE,verified: ${STIR_SHAKEN(count)} ${STIR_SHAKEN(0,verify_result)} ${STIR_SHAKEN(0,attestation)})
 same => n,Hangup(17)
",
    ),
    // Asterisk asks for these to be there.
    ("rtp.conf", ""),
    ("pjproject.conf", ""),
    ("acl.conf", ""),
];

/// A hop that changes calls with these statements.
fn hop(change: &str, next: u16) -> Kamailio {
    Kamailio::start(
        &Cfg::new(Module::Without)
            .route(&format!("{change}\n$du = \"sip:127.0.0.1:{next}\";\nforward();")),
    )
}

/// Our side: signs calls with attestation B and sends them on.
fn signer(site: &Site, next: u16) -> Kamailio {
    let (key, x5u) = (site.lab.path("key.pem"), &site.x5u);
    Kamailio::start(&site.params(Cfg::new(Module::Ours)).route(&format!(
        r#"
        secsipid_add_identity("$fU", "$rU", "B", "", "{x5u}", "{key}");
        $du = "sip:127.0.0.1:{next}";
        forward();
        "#
    )))
}

/// Our side: verifies calls, and refuses them or is busy.
fn verifier(site: &Site) -> Kamailio {
    Kamailio::start(&site.params(Cfg::new(Module::Ours)).route(
        r#"
        if (secsipid_check_identity("")) {
            xlog("L_NOTICE", "call: $secsipid(verstat) $secsipid(attest) $secsipid(orig) $secsipid(dest) $secsipid(spc)\n");
            sl_send_reply("486", "Busy Here");
        } else {
            sl_send_reply("$secsipid(code)", "$secsipid(reason)");
        }
        "#,
    ))
}

#[test]
fn asterisk_signs_and_we_verify() {
    let Some(root) = asterisk_root() else { return };
    let site = Site::new();
    let asterisk = Asterisk::start(root, &site);
    let verifier = verifier(&site);
    assert_eq!(asterisk.call(verifier.port), PASSED);
    let result = verifier.wait_for_log("call: ");
    assert!(result.ends_with(" TN-Validation-Passed B 12155551212 12155551213 1234"), "{result}");

    // All at once, for ports of their own.
    let hops = CHANGES.map(|(change, ..)| hop(change, verifier.port));
    for ((change, expected, _), hop) in CHANGES.iter().zip(&hops) {
        assert_eq!(asterisk.call(hop.port), *expected, "{change}");
    }
}

#[test]
fn we_sign_and_asterisk_verifies() {
    let Some(root) = asterisk_root() else { return };
    let site = Site::new();
    let asterisk = Asterisk::start(root, &site);
    let send = |next| {
        let reply = signer(&site, next).udp().send(&Request::invite());
        format!("{} {}", reply.status, reply.reason)
    };
    assert_eq!(send(asterisk.port), PASSED);
    assert_eq!(asterisk.wait_for_log("verified: "), "1 success B");

    for (change, _, expected) in CHANGES {
        let hop = hop(change, asterisk.port);
        assert_eq!(send(hop.port), expected, "{change}");
    }
}
