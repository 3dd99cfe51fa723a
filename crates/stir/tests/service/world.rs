//! A call that passes, and all that stands behind it: CAs, two providers, tokens, files, a server
//! for certificates and a clock. Tests change one thing of it and let it be judged.

use super::expected::{Expected, Refused};
use crate::pki::{self, At, CrlSpec, Key, NOW, Spec};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use stir::{
    Address, Code, Config, Error, Fetch, Fetched, Policy, PublicKey, Report, SipCall, Verifier,
};

pub const ROOT: &str = "C=US,O=Test,CN=Root";
pub const INTER: &str = "C=US,O=Test,CN=Intermediate";
/// The policy administrator, who signs lists of CAs and CRLs.
pub const PA: &str = "C=US,O=Test,CN=STI-PA CRL";
/// Serial number of the first provider's certificate.
pub const SERIAL: &[u8] = &[0x11, 0x22, 0x33];

/// The provider that signs the call.
pub const CALLER: usize = 0;
/// The one that signs diversions.
pub const DIVERTER: usize = 1;

/// Someone with a certificate.
pub struct Party {
    pub spec: Spec,
    pub key: Key,
}

/// A PASSporT and the parameters behind it.
pub struct Token {
    pub header: String,
    pub payload: String,
    pub params: String,
    /// Place in [`World::signers`].
    pub signer: usize,
    /// Signs with a key that is in no certificate.
    pub forged: bool,
    pub signature: fn(Vec<u8>) -> Vec<u8>,
}

/// A CRL, and whose key signs it.
pub struct Crl {
    pub spec: CrlSpec,
    pub by: By,
}

pub enum By {
    Root,
    Inter,
    Pa,
    Stranger,
}

/// Where trust anchors come from.
pub enum Anchors {
    None,
    File,
    Folder,
    List(Box<List>),
    Text(Vec<u8>),
    EmptyFolder,
    Missing,
}

/// A list that an administrator signs. In its payload PEM stands for the certificate, as PEM, and DER
/// for its base64.
pub struct List {
    pub header: String,
    pub payload: String,
    /// Signed by a key that is in no file.
    pub forged: bool,
    pub key: Key,
    /// Instead of the public key.
    pub key_file: Option<Vec<u8>>,
    /// What lies beside it.
    pub beside: Option<Vec<u8>>,
    /// What is made of the three parts of the JWS.
    pub form: fn(&[&str; 3]) -> String,
}

type Fields = Box<dyn Fn(&mut Vec<String>)>;

pub struct World {
    pub config: Config,
    pub asserted: Vec<String>,
    pub from: String,
    pub to: String,
    pub request_uri: String,
    pub resource_priority: Vec<&'static str>,
    pub priority: Option<&'static str>,
    pub root: Party,
    pub inter: Party,
    pub pa: Party,
    pub signers: Vec<Party>,
    pub tokens: Vec<Token>,
    /// Changes the finished Identity header fields.
    pub fields: Fields,
    /// What the server sends for the first provider, made of its certificate and the intermediate.
    pub sends: fn(Vec<Vec<u8>>) -> Vec<u8>,
    /// Other answers of the server, by URL.
    pub answers: HashMap<String, stir::Result<Vec<u8>>>,
    pub anchors: Anchors,
    pub intermediates: Anchors,
    pub crls: Vec<Crl>,
    /// Changes the DER of the CRLs.
    pub crl_text: fn(Vec<Vec<u8>>) -> Vec<u8>,
}

pub struct Outcome {
    pub report: Report,
    pub fetched: Vec<String>,
    /// What [`Verifier::missing`] said before, and after.
    pub missing: [Vec<String>; 2],
}

pub fn url(signer: usize) -> String {
    format!("https://certs.example.com/{signer}.pem")
}

pub fn pem(ders: Vec<Vec<u8>>) -> Vec<u8> {
    pki::certificates(&ders).into_bytes()
}

/// Replaces a part that must be there.
pub fn edit(text: &mut String, from: &str, to: &str) {
    assert!(text.contains(from), "{from:?} is not in {text:?}");
    *text = text.replacen(from, to, 1);
}

impl Token {
    pub fn new(ppt: &str, signer: usize, payload: String) -> Self {
        let url = url(signer);
        Self {
            header: format!(r#"{{"alg":"ES256","ppt":"{ppt}","typ":"passport","x5u":"{url}"}}"#),
            payload,
            params: format!(";info=<{url}>;alg=ES256;ppt={ppt}"),
            signer,
            forged: false,
            signature: |octets| octets,
        }
    }

    pub fn shaken() -> Self {
        Self::new(
            "shaken",
            CALLER,
            format!(
                r#"{{"attest":"A","dest":{{"tn":["12155551213"]}},"iat":{NOW},"orig":{{"tn":"12155551212"}},"origid":"123e4567-e89b-12d3-a456-426655440000"}}"#
            ),
        )
    }

    pub fn div(from: &str, to: &str) -> Self {
        Self::new(
            "div",
            DIVERTER,
            format!(
                r#"{{"dest":{{"tn":["{to}"]}},"div":{{"tn":"{from}"}},"iat":{NOW},"orig":{{"tn":"12155551212"}}}}"#
            ),
        )
    }

    /// A token of another extension, with the claim that it is for.
    pub fn beside(ppt: &str, claim: &str) -> Self {
        Self::new(
            ppt,
            CALLER,
            format!(
                r#"{{"dest":{{"tn":["12155551213"]}},"iat":{NOW},"orig":{{"tn":"12155551212"}},{claim}}}"#
            ),
        )
    }

    fn field(&self, key: &Key) -> String {
        let stranger = self.forged.then(Key::p256);
        let text =
            jws(&self.header, &self.payload, stranger.as_ref().unwrap_or(key), self.signature);
        format!("{text}{}", self.params)
    }
}

fn jws(header: &str, payload: &str, key: &Key, change: fn(Vec<u8>) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = p256::ecdsa::Signature::from_der(&key.sign(signed.as_bytes()));
    // A key of another kind signs with nothing that fits.
    let octets = signature.map_or_else(|_| vec![1; 64], |s| s.to_bytes().to_vec());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(change(octets)))
}

impl World {
    /// A signed call that was not diverted, checked with the default settings.
    pub fn plain() -> Self {
        let provider =
            |serial: &[u8]| Party { spec: Spec::leaf(INTER).serial(serial), key: Key::p256() };
        let crl_only = [pki::basic_constraints(false, None), pki::key_usage(&[6])];
        Self {
            config: Config { policy: Policy::Shaken, ..Config::default() },
            asserted: vec!["\"Alice\" <sip:+12155551212@example.com;user=phone>".into()],
            from: "\"Alice\" <sip:+12155551212@example.com;user=phone>;tag=1".into(),
            to: "<sip:+12155551213@example.com;user=phone>".into(),
            request_uri: "sip:+12155551213@192.0.2.7:5060;user=phone".into(),
            resource_priority: Vec::new(),
            priority: None,
            root: Party { spec: Spec::ca(ROOT, ROOT), key: Key::p256() },
            inter: Party { spec: Spec::ca(INTER, ROOT).serial(&[0x66]), key: Key::p256() },
            pa: Party { spec: Spec::ca(PA, PA).extensions(&crl_only), key: Key::p256() },
            signers: vec![provider(SERIAL), provider(&[0x44])],
            tokens: vec![Token::shaken()],
            fields: Box::new(|_| ()),
            sends: pem,
            answers: HashMap::new(),
            anchors: Anchors::File,
            intermediates: Anchors::None,
            crls: Vec::new(),
            crl_text: |ders| pki::pem("X509 CRL", &ders).into_bytes(),
        }
    }

    /// Changes the JOSE header of the call's token.
    pub fn jose(&mut self, from: &str, to: &str) {
        edit(&mut self.tokens[0].header, from, to);
    }

    /// Changes the claims of the call's token.
    pub fn claims(&mut self, from: &str, to: &str) {
        edit(&mut self.tokens[0].payload, from, to);
    }

    /// Changes the parameters behind the call's token.
    pub fn params(&mut self, from: &str, to: &str) {
        edit(&mut self.tokens[0].params, from, to);
    }

    /// Changes the finished header field of the call's token.
    pub fn field(&mut self, change: impl Fn(&str) -> String + 'static) {
        self.fields = Box::new(move |fields| fields[0] = change(&fields[0]));
    }

    /// Another URL for the certificate, everywhere.
    pub fn x5u(&mut self, other: &str) {
        self.jose(&url(CALLER), other);
        self.params(&url(CALLER), other);
        self.answers.insert(other.into(), Ok(pem(self.chain_of(CALLER))));
    }

    /// Another answer of the server to the call's token's URL.
    pub fn answer(&mut self, answer: stir::Result<Vec<u8>>) {
        self.answers.insert(url(CALLER), answer);
    }

    /// The call's signer.
    pub fn leaf(&mut self) -> &mut Spec {
        &mut self.signers[CALLER].spec
    }

    pub fn chain_of(&self, signer: usize) -> Vec<Vec<u8>> {
        let signer = &self.signers[signer];
        vec![
            signer.spec.issue(&signer.key, &self.inter.key),
            self.inter.spec.issue(&self.inter.key, &self.root.key),
        ]
    }

    fn anchors(&self) -> Vec<Vec<u8>> {
        [&self.root, &self.pa].map(|party| party.spec.issue(&party.key, &party.key)).to_vec()
    }

    pub fn run(&self, name: &str) -> Outcome {
        let (folder, config) = self.set_up(name);
        let identities = self.identities();
        let call = self.call(&identities);
        let (server, fetched) = self.server();
        let verifier =
            Verifier::with(&config.clone().build().unwrap(), Arc::new(At(NOW)), Box::new(server));
        let before = verifier.missing(&call);
        let report = verifier.check_call(&call, PublicKey::Info);
        let missing = [before, verifier.missing(&call)];
        fs::remove_dir_all(&folder).unwrap();
        let fetched = fetched.lock().unwrap().clone();
        Outcome { report, fetched, missing }
    }

    /// What comes of the call, and then of it again in one process, each time changed.
    pub fn again(&self, name: &str, changes: &[fn(&mut SipCall<'_>)]) -> Vec<Report> {
        let (folder, config) = self.set_up(name);
        let identities = self.identities();
        let verifier = Verifier::with(
            &config.clone().build().unwrap(),
            Arc::new(At(NOW)),
            Box::new(self.server().0),
        );
        let reports = changes.iter().map(|change| {
            let mut call = self.call(&identities);
            change(&mut call);
            verifier.check_call(&call, PublicKey::Info)
        });
        let reports = reports.collect();
        fs::remove_dir_all(&folder).unwrap();
        reports
    }

    /// A folder of its own, and the settings that name the files in it.
    fn set_up(&self, name: &str) -> (PathBuf, Config) {
        let name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("service").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let mut config = self.config.clone();
        let between = self.inter.spec.issue(&self.inter.key, &self.root.key);
        config.trust_anchors = write(&self.anchors, &self.anchors(), &folder.join("anchors"));
        config.trust_anchors_key = folder.join("anchors-key.pem");
        config.trust_intermediates =
            write(&self.intermediates, &[between], &folder.join("intermediates"));
        let key = folder.join("intermediates-key.pem");
        if key.exists() {
            config.trust_intermediates_key = key;
        }
        if !self.crls.is_empty() {
            let ders = self.crls.iter().map(|crl| self.sign_crl(crl)).collect();
            config.crl = folder.join("crl.pem");
            fs::write(&config.crl, (self.crl_text)(ders)).unwrap();
        }
        config.check_values().unwrap();
        (folder, config)
    }

    fn identities(&self) -> Vec<String> {
        let mut identities: Vec<String> =
            self.tokens.iter().map(|token| token.field(&self.signers[token.signer].key)).collect();
        (self.fields)(&mut identities);
        identities
    }

    fn call<'a>(&'a self, identities: &'a [String]) -> SipCall<'a> {
        SipCall {
            identities: identities.iter().map(String::as_str).collect(),
            asserted: self.asserted.iter().flat_map(|field| Address::of_list(field)).collect(),
            from: Address::of_header(&self.from),
            to: Address::of_header(&self.to),
            request_uri: Address::of_uri(&self.request_uri),
            call_id: Some("1@example.com"),
            resource_priority: self.resource_priority.clone(),
            priority: self.priority,
        }
    }

    fn sign_crl(&self, crl: &Crl) -> Vec<u8> {
        match crl.by {
            By::Root => crl.spec.sign(&self.root.key),
            By::Inter => crl.spec.sign(&self.inter.key),
            By::Pa => crl.spec.sign(&self.pa.key),
            By::Stranger => crl.spec.sign(&Key::p256()),
        }
    }

    fn server(&self) -> (Server, Arc<Mutex<Vec<String>>>) {
        let mut answers = HashMap::new();
        answers.insert(url(CALLER), Ok((self.sends)(self.chain_of(CALLER))));
        answers.insert(url(DIVERTER), Ok(pem(self.chain_of(DIVERTER))));
        answers.extend(self.answers.clone());
        let fetched = Arc::default();
        (Server { answers, fetched: Arc::clone(&fetched) }, fetched)
    }
}

/// Writes what is to be read: its path. A list holds the first of the certificates, and has its key
/// beside it.
fn write(what: &Anchors, certificates: &[Vec<u8>], path: &Path) -> PathBuf {
    let text = match what {
        Anchors::None => return PathBuf::new(),
        Anchors::File => pem(certificates.to_vec()),
        Anchors::Missing => return path.to_owned(),
        Anchors::EmptyFolder => {
            fs::create_dir(path).unwrap();
            return path.to_owned();
        }
        Anchors::Folder => {
            fs::create_dir(path).unwrap();
            for (number, der) in certificates.iter().enumerate() {
                fs::write(path.join(format!("{number}.pem")), pem(vec![der.clone()])).unwrap();
            }
            return path.to_owned();
        }
        Anchors::List(list) => {
            let beside = |end: &str| PathBuf::from(format!("{}{end}", path.display()));
            let public = || pki::pem("PUBLIC KEY", &[list.key.spki()]).into_bytes();
            if list.key_file.as_deref() != Some(&[]) {
                let text = list.key_file.clone().unwrap_or_else(public);
                fs::write(beside("-key.pem"), text).unwrap();
            }
            if let Some(text) = &list.beside {
                fs::write(beside(".signer"), text).unwrap();
            }
            let der = &certificates[0];
            let text = pki::certificates(std::slice::from_ref(der)).replace('\n', "\\n");
            let payload =
                list.payload.replace("<PEM>", &text).replace("<DER>", &STANDARD.encode(der));
            let stranger = list.forged.then(Key::p256);
            let key = stranger.as_ref().unwrap_or(&list.key);
            let text = jws(&list.header, &payload, key, |octets| octets);
            let parts: Vec<&str> = text.split('.').collect();
            (list.form)(&[parts[0], parts[1], parts[2]]).into_bytes()
        }
        Anchors::Text(text) => text.clone(),
    };
    fs::write(path, text).unwrap();
    path.to_owned()
}

impl Outcome {
    pub fn found(&self) -> Expected {
        let report = &self.report;
        let (Some(response), Some(step)) = (report.response(), report.step()) else {
            assert_eq!(report.verstat().value(), "TN-Validation-Passed");
            assert_eq!(report.code(), 1);
            return Expected::Passed {
                div: report.div.clone(),
                rcd_nam: report.rcd.as_ref().map(|rcd| rcd.nam.clone()),
            };
        };
        Expected::Refused(Refused {
            code: report.code(),
            response: response.code(),
            phrase: response.phrase(),
            verstat: report.verstat().value(),
            step: step.name(),
        })
    }
}

struct Server {
    answers: HashMap<String, stir::Result<Vec<u8>>>,
    fetched: Arc<Mutex<Vec<String>>>,
}

impl Fetch for Server {
    fn fetch(&self, url: &str) -> stir::Result<Fetched> {
        self.fetched.lock().unwrap().push(url.into());
        let missing = || Err(Error::new(Code::HttpStatus, format!("{url} answers 404")));
        let body = self.answers.get(url).cloned().unwrap_or_else(missing)?;
        Ok(Fetched::new(body, None))
    }
}
