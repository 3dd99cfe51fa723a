//! Programs of others, unmodified: a client that gets its certificate from our laboratory, a CA that
//! our client gets one from, and Python's cryptography, which reads what was issued.
#![allow(clippy::unwrap_used)]

#[path = "support/sti.rs"]
mod sti_lab;
mod support;

use std::process::{Child, Command, Stdio};
use sti_lab::{CERTIFICATE, Sti, python, skipped};
use support::{Folder, Service, free_port, wait_for};

/// stir-shaken-toolkit's layers acme_core and stir_shaken_acme, with the settings of RFC 8555.
const TOOLKIT: &str = r#"
import sys
from pathlib import Path
from acme_core import AcmeClient, AcmeKeyManager
from stir_shaken_acme import *
from stir_shaken_acme.tnauth import TnAuthList
base = sys.argv[1]
crl = base + "/download/v1/crl"
settings = StipaSettings(base, "lab", "lab-password", "1", expected_crl_url=crl)
subject = ShakenSubject("US", "TX", "Irving", "Foreign Telecom", "SHAKEN 1234")
policy = ShakenCertificatePolicy(subject, TnAuthList("1234").der(), crl, 1)
for encoding in ["base64url", "base64"]:
    client = AcmeClient(base + "/acme/directory", AcmeKeyManager(Path("account.key"), "x"), Path("account.json"))
    issuer = StirShakenIssuer(client, StipaClient(settings), ShakenCertificateManager(policy), 1, 30, encoding)
    Path("foreign.pem").write_text(issuer.issue("1234").chain_pem)
print(StipaClient(settings).request_ca_list().total_cas)
"#;

#[test]
fn a_foreign_client_gets_token_and_certificate_from_the_laboratory() {
    let program = match python("toolkit", &["stir-shaken-toolkit==1.0.2"]) {
        Ok(program) => program,
        Err(why) => return skipped(&format!("stir-shaken-toolkit (python3-venv, PyPI): {why}")),
    };
    let folder = Folder::lab();
    let base = format!("http://127.0.0.1:{}", free_port());
    let http = base.trim_start_matches("http://");
    let args = ["lab", "serve", "lab", "--listen", "127.0.0.1:0", "--http", http, "--url", &base];
    let service = Service::ours(&folder, &args, &[]);
    service.logged("HTTPS on");
    folder.write("client.py", TOOLKIT);
    let output =
        Command::new(program).args(["client.py", &base]).current_dir(&folder.0).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n");
    let verify = "verify -x509_strict -CAfile lab/root.pem -untrusted foreign.pem foreign.pem";
    assert!(folder.openssl(verify).contains("OK"));
}

/// acme2certifier's own WSGI application, on a port of loopback.
const SERVE: &str = r#"
import sys
from wsgiref.simple_server import make_server
from acme2certifier.share.acme2certifier_wsgi import application, get_handler_cls
make_server("127.0.0.1", int(sys.argv[1]), application, handler_class=get_handler_cls()).serve_forever()
"#;

/// What its CA of OpenSSL keys leaves out of the request: handlers are acme2certifier's place for that.
const HANDLER: &str = r#"
from acme2certifier.cahandlers.openssl_ca_handler import CAhandler as Base
class CAhandler(Base):
    def _cert_extension_apply(self, builder, ca_cert, req):
        builder = super()._cert_extension_apply(builder, ca_cert, req)
        for ext in req.extensions:
            if ext.oid.dotted_string == "1.3.6.1.5.5.7.1.26":
                builder = builder.add_extension(ext.value, False)
        return builder
"#;

/// A process that ends with the value.
struct Foreign(Child);

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_foreign_ca_gives_a_certificate() {
    let program = match python("acme2certifier", &["acme2certifier==0.46.3"]) {
        Ok(program) => program,
        Err(why) => return skipped(&format!("acme2certifier (python3-venv, PyPI): {why}")),
    };
    let sti = Sti::start(&[]);
    let port = free_port();
    let here = sti.folder.0.display();
    // It issues with the laboratory's key; it does not check tokens, and says so.
    sti.folder.write(
        "acme_srv.cfg",
        format!(
            "[DEFAULT]\ndebug: False\n[Nonce]\nnonce_check_disable: False\n[CAhandler]\nhandler_module: shaken_handler\nissuing_ca_key: {here}/lab/intermediate-key.pem\nissuing_ca_cert: {here}/lab/intermediate.pem\ncert_validity_days: 30\ncert_save_path: {here}/a2c\nissuing_ca_crl: {here}/lab/crl.pem\nca_cert_chain_list: []\nallowed_domainlist: []\n[DBhandler]\nhandler: wsgi\ndbfile: {here}/a2c.db\n[Certificate]\n[Challenge]\n[Order]\ntnauthlist_support: True\n"
        ),
    );
    std::fs::create_dir(sti.folder.join("a2c")).unwrap();
    sti.folder.write("shaken_handler.py", HANDLER);
    sti.folder.write("serve.py", SERVE);
    let log = std::fs::File::create(sti.folder.join("a2c.log")).unwrap();
    let child = Command::new(program)
        .args(["serve.py", &port.to_string()])
        .current_dir(&sti.folder.0)
        .env("ACME_SRV_CONFIGFILE", sti.folder.join("acme_srv.cfg"))
        .env("ACME2CERTIFIER_BASE_DIR", &sti.folder.0)
        .env("ACME2CERTIFIER_I_KNOW_THE_RISK", "1")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let _foreign = Foreign(child);
    wait_for("acme2certifier", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let text = sti.folder.read(sti_lab::CONFIG);
    let own = text.lines().find(|line| line.starts_with("directory = ")).unwrap();
    sti.edit(own, &format!("directory = \"http://127.0.0.1:{port}/directory\"\nanswer = \"atc\"\ntkvalue = \"base64\"\ncontact = \"mailto:noc@example.org\""));
    let output = sti.run("enroll --verbose");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}\n{}", sti.folder.read("a2c.log"));
    sti.in_force();
    sti.done("renew --force");
    sti.in_force();
}

/// What Python's cryptography makes of what was issued.
const READ: &str = r#"
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
chain = x509.load_pem_x509_certificates(open("lab/installed/cert.pem", "rb").read())
root = x509.load_pem_x509_certificate(open("lab/root.pem", "rb").read())
leaf, issuer = chain
leaf.verify_directly_issued_by(issuer)
issuer.verify_directly_issued_by(root)
print(leaf.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.26")).value.value.hex())
crl = x509.load_der_x509_crl(open("lab/trust/crl.der", "rb").read())
signer = x509.load_pem_x509_certificate(open("lab/crl-signer.pem", "rb").read())
print(crl.is_signature_valid(signer.public_key()), len(list(crl)))
"#;

#[test]
fn pythons_cryptography_agrees_with_what_is_issued() {
    // It is among what the toolkit needs.
    let program = match python("toolkit-reads", &["cryptography==50.0.2"]) {
        Ok(program) => program,
        Err(why) => return skipped(&format!("cryptography (python3-venv, PyPI): {why}")),
    };
    let sti = Sti::start(&[]);
    sti.done("enroll");
    assert!(sti.folder.join(CERTIFICATE).exists());
    sti.folder.write("read.py", READ);
    let output = Command::new(program).arg("read.py").current_dir(&sti.folder.0).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let expected = "3008a006160431323334\nTrue 1\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{stderr}");
}
