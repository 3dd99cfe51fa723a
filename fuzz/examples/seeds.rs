//! Writes the seeds that are made, not collected: certificates, CRLs and extensions of tests/pki.
//! `cargo run --example seeds` in fuzz/; keys are new each time, so the files change.

use stir_fuzz::pki::{self, CrlSpec, DAY, Key, NOW, Spec, extension, seq, tlv};

const ROOT: &str = "C=US,O=Test,CN=Root";
const INTER: &str = "C=US,O=Test,CN=Intermediate";

fn write(target: &str, name: &str, kind: u8, octets: &[u8]) {
    let folder = format!("{}/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir_all(&folder).expect("a folder");
    let data = [&[kind], octets].concat();
    std::fs::write(format!("{folder}/{name}"), data).expect("a file");
}

/// What is inside of what a CA signed.
fn tbs(signed: &[u8]) -> &[u8] {
    let length = |der: &[u8]| match der[1] {
        0x81 => (3, usize::from(der[2])),
        0x82 => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
        short => (2, usize::from(short)),
    };
    let inner = &signed[length(signed).0..];
    let (head, len) = length(inner);
    &inner[..head + len]
}

fn main() {
    let (root, inter, leaf) = (Key::p256(), Key::p256(), Key::p256());
    let good = Spec::leaf(ROOT)
        .with(pki::policies(false))
        .with(pki::crl_issuer(INTER))
        .issue(&leaf, &root);
    let list = {
        let ia5 = |text: &str| tlv(0x16, &[text.as_bytes()]);
        let range = seq(&[&ia5("12155550000"), &tlv(2, &[&[0x27, 0x10]])]);
        let one = tlv(0xa2, &[&ia5("12125551212")]);
        seq(&[&tlv(0xa0, &[&ia5("1234")]), &tlv(0xa1, &[&range]), &one])
    };
    let constraints = |exclude: bool| {
        let name = |text: &str| tlv(0x16, &[text.as_bytes()]);
        let include = tlv(0xa0, &[&seq(&[&name("attest")])]);
        let values = seq(&[&tlv(0x0c, &[b"A"]), &tlv(0x0c, &[b"1"])]);
        let permitted =
            tlv(0xa1, &[&seq(&[&seq(&[&name("attest"), &values]), &seq(&[&name("a"), &values])])]);
        let excluded = if exclude { tlv(0xa2, &[&seq(&[&name("rcd")])]) } else { Vec::new() };
        seq(&[&include, &permitted, &excluded])
    };
    write("authority", "list", 0, &list);
    write("authority", "constraints", 1, &constraints(false));
    write("authority", "enhanced", 2, &constraints(true));

    let full = Spec::leaf(ROOT).extensions(&[
        pki::key_usage(&[0]),
        extension("1.3.6.1.5.5.7.1.26", false, &list),
        extension("1.3.6.1.5.5.7.1.33", true, &constraints(true)),
    ]);
    let full = full.issue(&leaf, &root);
    let first = Spec { version: 1, ..Spec::leaf(ROOT) }.issue(&leaf, &root);
    let ca = Spec::ca(INTER, ROOT).issue(&inter, &root);
    for (name, der) in [("good", &good), ("full", &full), ("v1", &first), ("ca", &ca)] {
        write("certificates", &format!("der-{name}"), 0, der);
        write("certificates", &format!("tbs-{name}"), 2, tbs(der));
    }
    for (name, key) in [("p384", Key::p384()), ("rsa", Key::rsa()), ("ed25519", Key::ed25519())] {
        write("certificates", &format!("tbs-{name}"), 2, tbs(&Spec::leaf(ROOT).issue(&key, &root)));
    }
    write("certificates", "pem-chain", 1, pki::certificates(&[good.clone(), ca]).as_bytes());
    let public = pki::pem("PUBLIC KEY", &[leaf.spki()]);
    write("certificates", "pem-public", 1, public.as_bytes());
    write("certificates", "pem-private", 1, stir_fuzz::private(&leaf).as_bytes());

    let named = |issuer: &str| Some(pki::name(issuer));
    let indirect = CrlSpec {
        indirect: true,
        revoked: vec![
            (vec![0x66], named(INTER)),
            (vec![0x11, 0x22, 0x33], named(ROOT)),
            (vec![1], None),
        ],
        ..CrlSpec::new(ROOT)
    };
    let old = CrlSpec { next_update: NOW - DAY, ..CrlSpec::new(ROOT) };
    for (name, crl) in [
        ("good", CrlSpec::new(ROOT).revoke(&[9])),
        ("revoked", CrlSpec::new(ROOT).revoke(&[0x11, 0x22, 0x33])),
        ("indirect", indirect),
        ("old", old),
    ] {
        let der = crl.sign(&root);
        write("certificates", &format!("tbs-crl-{name}"), 3, tbs(&der));
        write("certificates", &format!("crl-{name}"), 4, &der);
        if name == "good" {
            write("certificates", "crl-pem", 4, pki::pem("X509 CRL", &[der]).as_bytes());
        }
    }
    let anchors = [Spec::ca(ROOT, ROOT).issue(&root, &root)];
    let text = pki::certificates(&anchors).replace('\n', "\\n");
    let payload =
        format!(r#"{{"version":1,"sequence":1,"exp":{},"trustList":["{text}"]}}"#, NOW + DAY);
    write("certificates", "list", 5, payload.as_bytes());
}
