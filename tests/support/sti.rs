//! An STI of a test's own: roots, a CA, a policy administrator and a carrier, with lists and CRLs as
//! France's administrator serves them. The carrier's certificate stands alone on the site's server.

use super::pki::{self, CrlSpec, DAY, Key, Spec};
use super::{Request, Site};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::time::UNIX_EPOCH;
use stir::{Call, Checked, PrivateKey, Signer};

pub const ORG: &str = "C=FR,O=Base des Certificats Opérateurs";
pub const SERIAL: &[u8] = &[0x57, 0xab, 0x03];

/// The name of one of the administrator's, in the order of its certificates.
pub fn name(unit: &str, common: &str) -> String {
    format!("{ORG},OU={unit},CN={common}")
}

/// Someone with a key and a certificate.
pub struct Holder {
    pub key: Key,
    pub der: Vec<u8>,
}

pub struct Sti {
    pub site: Site,
    pub root: Holder,
    pub ca: Holder,
    pub pa: Holder,
    leaf: Key,
    pub x5u: String,
    pub now: i64,
}

pub fn now() -> i64 {
    i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap()
}

impl Sti {
    pub fn new() -> Self {
        let (site, now) = (Site::new(), now());
        let (root_name, ca_name, pa_name) = (root_name(), ca_name(), pa_name());
        let [root, ca, pa, leaf] = [(); 4].map(|()| Key::p256());
        let within = |spec: Spec| spec.valid(now - DAY, now + 30 * DAY);
        // France: the root has keyCertSign alone, and the CRLs are named by place and issuer.
        let cert_sign = [pki::basic_constraints(true, None), pki::key_usage(&[5])];
        let of_cas = || pki::crl_place("https://man.example/ca/crl", Some(&root_name));
        let of_signers =
            pki::crl_place("https://man.example/crl", Some(&in_another_order(&pa_name)));
        let root_der =
            within(Spec::ca(&root_name, &root_name).extensions(&cert_sign)).issue(&root, &root);
        let ca_der = within(Spec::ca(&ca_name, &root_name).serial(&[0x28]).extensions(&cert_sign))
            .with(of_cas())
            .issue(&ca, &root);
        let pa_der = within(Spec::ca(&pa_name, &root_name).serial(&[0x13]))
            .extensions(&[pki::basic_constraints(false, None), pki::key_usage(&[0, 6]), of_cas()])
            .issue(&pa, &root);
        let leaf_der = Spec {
            subject: pki::name("C=FR,O=Opérateur,CN=SHAKEN OPC000"),
            ..Spec::leaf(&ca_name)
        };
        let leaf_der = within(leaf_der.serial(SERIAL))
            .extensions(&[
                pki::basic_constraints(false, None),
                pki::key_usage(&[0]),
                pki::tn_auth_list(false, "OPC000"),
                of_signers,
            ])
            .issue(&leaf, &ca);
        // The leaf alone, as it is at x5u.
        site.lab.folder.write("leaf.pem", pki::certificates(&[leaf_der]));
        let x5u = site.x5u.replace("cert.pem", "leaf.pem");
        let holder = |key, der| Holder { key, der };
        Self {
            root: holder(root, root_der),
            ca: holder(ca, ca_der),
            pa: holder(pa, pa_der),
            site,
            leaf,
            x5u,
            now,
        }
    }

    /// Writes a file into the site's folder; its path as Kamailio sees it.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let folder = &self.site.lab.folder;
        if let Some((inside, _)) = name.rsplit_once('/') {
            std::fs::create_dir_all(folder.join(inside)).unwrap();
        }
        // As a careful operator does: never half a file.
        folder.write("new", text);
        std::fs::rename(folder.join("new"), folder.join(name)).unwrap();
        self.site.lab.path(name)
    }

    pub fn path(&self, name: &str) -> String {
        self.site.lab.path(name)
    }

    /// A CRL as the administrator makes it: DER, with neither issuingDistributionPoint nor
    /// certificateIssuer.
    pub fn crl(&self, issuer: &str, by: &Key, revoked: &[&[u8]]) -> Vec<u8> {
        let spec = CrlSpec {
            this_update: self.now - 60,
            next_update: self.now + 7 * DAY,
            ..CrlSpec::new(issuer)
        };
        revoked.iter().fold(spec, |spec, serial| spec.revoke(serial)).sign(by)
    }

    /// The documents of the administrator: /ca, /ca/certs, /pa/certs, /crl and /ca/crl.
    pub fn documents(&self) {
        let der = |holder: &Holder| holder.der.clone();
        let end = self.now + 30 * DAY;
        let signed =
            |what: &str, ders: &[Vec<u8>]| flattened(&list(&self.pa.key, what, 1, end, ders));
        self.write("ca.json", signed("trustList", &[der(&self.root)]));
        self.write("between/ca-certs.json", signed("certList", &[der(&self.ca)]));
        self.write("between/pa-certs.json", signed("certList", &[der(&self.pa)]));
        self.write("crls/crl", self.crl(&pa_name(), &self.pa.key, &[]));
        self.write("crls/ca-crl", self.crl(&root_name(), &self.root.key, &[]));
        self.write("signer.pem", pki::certificates(std::slice::from_ref(&self.pa.der)));
    }

    /// A call of the carrier's.
    pub fn call(&self, orig: &str, dest: &str) -> Request {
        let call = Call { orig, dest, attest: "A", origid: "", x5u: &self.x5u, rcd_nam: None };
        let key = self.leaf.pkcs8_pem();
        let identity =
            Signer::new(&Checked::default()).identity(&call, PrivateKey::Pem(&key)).unwrap();
        Request::invite().header("Identity", identity)
    }
}

pub fn root_name() -> String {
    name("Certificate Authority", "BPCO R1 - SHAKEN Root")
}

pub fn ca_name() -> String {
    name("Certificate Authority", "BPCO CA1 - SHAKEN Intermediate")
}

pub fn pa_name() -> String {
    name("Policy Authority", "BPCO PA1")
}

/// As certificates name the CRL's issuer in France.
fn in_another_order(name: &str) -> String {
    let mut parts: Vec<&str> = name.split(',').collect();
    parts.reverse();
    parts.join(",")
}

/// A list, in the three parts of a JWS.
pub fn list(key: &Key, what: &str, sequence: u64, exp: i64, ders: &[Vec<u8>]) -> [String; 3] {
    let entries: Vec<String> =
        ders.iter().map(|der| pki::certificates(std::slice::from_ref(der))).collect();
    let payload =
        serde_json::json!({"version": "1.0", "sequence": sequence, "exp": exp, what: entries});
    let header = r#"{"alg":"ES256","typ":"JWT","x5u":"https://pa.example.org/pa.pem"}"#;
    let [header, payload] =
        [header.to_owned(), payload.to_string()].map(|text| URL_SAFE_NO_PAD.encode(text));
    let der = key.sign(format!("{header}.{payload}").as_bytes());
    let signature = p256::ecdsa::Signature::from_der(&der).unwrap();
    [header, payload, URL_SAFE_NO_PAD.encode(signature.to_bytes())]
}

/// France's form.
pub fn flattened([header, payload, signature]: &[String; 3]) -> String {
    serde_json::json!({"payload": payload, "protected": header, "signature": signature}).to_string()
}

/// The form of the US administrator's answer.
pub fn envelope(parts: &[String; 3]) -> String {
    serde_json::json!({"status": "success", "message": "", "caList": parts.join(".")}).to_string()
}
