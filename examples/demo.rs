//! `make demo`: a certification authority, a certificate server and a real Kamailio with
//! cfg-examples/demo.cfg on loopback; a call that is signed and verified, and one that was tampered
//! with and is refused. Everything stops with it; it exits 0 only if all of that happened.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a panic is how a demo fails")]

#[path = "../tests/support/mod.rs"]
mod support;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use support::kamailio::{free_port, modules_folder, our_module};
use support::{Answer, Folder, Http, Kamailio, Lab, Reply, Request, Sip, define, repository};

fn main() {
    println!("1. A certification authority, a signer's certificate and key (throw-away)");
    let lab = Lab::new();

    let http = Http::start();
    let url = http.on("/cert.pem", Answer::Ok(lab.read("cert.pem").into()));
    println!("2. A certificate server: {url}");

    let folder = Folder::new();
    std::fs::copy(our_module(), folder.join("secsipid.so")).unwrap();
    let (sign, verify) = (free_port(), free_port());
    let cfg = define(
        &repository("cfg-examples/demo.cfg"),
        &[
            ("SIGN_PORT", &sign.to_string()),
            ("VERIFY_PORT", &verify.to_string()),
            ("SECSIPID_MODULE", &folder.inside("secsipid.so")),
            ("MODULES_FOLDER", &format!("{}/", modules_folder())),
            ("KEY_FILE", &lab.path("key.pem")),
            ("CERT_URL", &url),
            ("CA_FILE", &lab.path("ca.pem")),
        ],
    );
    let kamailio = Kamailio::start_text(folder, verify, &cfg, &[]);
    println!(
        "3. Kamailio with cfg-examples/demo.cfg: signs on port {sign}, verifies on port {verify}\n"
    );

    println!("A call from +1 215 555 1212 to +1 215 555 1213, by way of the signing hop:");
    let reply = Sip::udp(sign).send(&Request::invite());
    let identity = reply.header("X-Identity").to_owned();
    show_identity(&identity);
    show_verdict(&reply);
    assert_eq!((reply.status, reply.number("X-Code")), (200, 1), "the call must pass");
    assert_eq!((reply.header("X-Attest"), reply.header("X-Orig")), ("A", "12155551212"));
    assert_eq!(http.count("/cert.pem"), 1, "the certificate must be downloaded");

    println!("The same header with another caller written into it, straight to the verifying hop:");
    let tampered = tamper(&identity);
    show_payload(&tampered);
    let reply = Sip::udp(verify).send(&Request::invite().header("Identity", tampered));
    show_verdict(&reply);
    assert_eq!((reply.status, reply.number("X-Code")), (438, -251), "the call must be refused");

    println!("And a call with no Identity header at all:");
    let reply = Sip::udp(verify).send(&Request::invite());
    show_verdict(&reply);
    assert_eq!(reply.status, 438, "the call must be refused");

    kamailio.stop();
    println!("All as it should be. Kamailio and the servers are stopped.");
}

fn part(identity: &str, number: usize) -> String {
    let token = identity.split(';').next().unwrap();
    let part = token.split('.').nth(number).unwrap_or_else(|| panic!("no token: {identity:?}"));
    String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn show_identity(identity: &str) {
    println!("   Identity: {identity}");
    println!("     header:    {}", part(identity, 0));
    show_payload(identity);
    println!("     parameters: {}", identity.split_once(';').unwrap().1);
}

fn show_payload(identity: &str) {
    println!("     payload:   {}", part(identity, 1));
}

fn show_verdict(reply: &Reply) {
    let verdict = match reply.number("X-Code") {
        1 => format!(
            "verified, attestation {}, caller {}",
            reply.header("X-Attest"),
            reply.header("X-Orig")
        ),
        code => format!("refused: {} ({code})", reply.header("X-Error")),
    };
    println!("   -> {} {}: {verdict}\n", reply.status, reply.reason);
}

/// Another caller in the payload; the signature stays.
fn tamper(identity: &str) -> String {
    let payload = part(identity, 1).replace("12155551212", "12155559999");
    let mut parts: Vec<&str> = identity.splitn(3, '.').collect();
    let payload = URL_SAFE_NO_PAD.encode(payload);
    parts[1] = &payload;
    parts.join(".")
}
