//! The calls.

use crate::support::{Answer, Http, Lab};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey;
use std::time::{SystemTime, UNIX_EPOCH};

pub struct Row {
    pub name: String,
    pub function: &'static str,
    /// Names and values.
    pub headers: Vec<(String, String)>,
}

impl Row {
    fn new(name: &str, function: &'static str) -> Self {
        Self { name: name.into(), function, headers: Vec::new() }
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn args(self, args: &[&str]) -> Self {
        args.iter().enumerate().fold(self, |row, (n, arg)| {
            if arg.is_empty() { row } else { row.header(&format!("X-A{}", n + 1), arg) }
        })
    }

    fn pem(self, pem: &str) -> Self {
        self.header("X-Pem", &STANDARD.encode(pem))
    }

    pub fn signs(&self) -> bool {
        self.function.starts_with("build")
            || self.function.starts_with("add")
            || self.function == "sign"
    }
}

/// Rows that run under the same settings.
#[derive(Default)]
pub struct Set {
    pub options: Vec<String>,
    pub rows: Vec<Row>,
}

pub struct Rows {
    pub sets: Vec<Set>,
    key: SigningKey,
    cert: String,
    private: String,
    x5u: String,
    _http: Http,
}

const ORIGID: &str = "123e4567-e89b-12d3-a456-426655440000";

/// A file, compressed.
fn gzip(lab: &Lab, name: &str) -> Vec<u8> {
    let output = std::process::Command::new("gzip").arg("-c").arg(lab.path(name)).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

impl Rows {
    pub fn new(lab: &Lab) -> Self {
        let http = Http::start();
        let x5u = http.on("/cert.pem", Answer::Ok(lab.read("cert.pem").into()));
        let key = SigningKey::from(p256::SecretKey::from_pkcs8_pem(&lab.read("key.pem")).unwrap());
        let (cert, private) = (lab.path("cert.pem"), lab.path("key.pem"));
        let mut rows = Self { sets: Vec::new(), key, cert, private, x5u, _http: http };
        let mut all = rows.headers();
        all.extend(rows.tokens());
        all.extend(rows.keys(lab));
        all.extend(rows.downloads(lab));
        all.extend(rows.signing(lab));
        rows.sets.push(Set { options: Vec::new(), rows: all });
        rows.certificates(lab);
        rows
    }

    fn header_json(&self) -> String {
        format!(r#"{{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"{}"}}"#, self.x5u)
    }

    fn payload_json() -> String {
        format!(
            r#"{{"attest":"A","dest":{{"tn":["12155551213"]}},"iat":{},"orig":{{"tn":"12155551212"}},"origid":"{ORIGID}"}}"#,
            now()
        )
    }

    fn token(&self, header: &str, payload: &str) -> String {
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature: Signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    fn good_token(&self) -> String {
        self.token(&self.header_json(), &Self::payload_json())
    }

    fn params(&self) -> String {
        format!(";info=<{}>;alg=ES256;ppt=shaken", self.x5u)
    }

    fn good(&self) -> String {
        self.good_token() + &self.params()
    }

    fn check(&self, name: &str, identity: &str) -> Row {
        Row::new(name, "check").args(&[identity, &self.cert])
    }

    /// A row that checks what another signed.
    pub fn check_signed(&self, val: &str, function: &str) -> Row {
        // secsipid_sign makes a token without parameters.
        let identity =
            if function == "sign" { val.to_owned() + &self.params() } else { val.to_owned() };
        self.check("signed", &identity)
    }

    pub fn build_identity(&self) -> Row {
        self.build("build", "12155551212", "12155551213", "A", ORIGID, &self.x5u)
    }

    fn build(
        &self,
        name: &str,
        orig: &str,
        dest: &str,
        attest: &str,
        origid: &str,
        x5u: &str,
    ) -> Row {
        Row::new(name, "build_identity").args(&[orig, dest, attest, origid, x5u, &self.private])
    }

    /// The header field: its form and its parameters.
    fn headers(&self) -> Vec<Row> {
        let (token, good, info) = (self.good_token(), self.good(), format!("info=<{}>", self.x5u));
        let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            panic!()
        };
        let other = self.good().replacen("cert.pem>", "other.pem>", 1);
        let with = |name: &str, text: String| self.check(name, &text);
        let mut rows = vec![
            Row::new("message-none", "check_identity").args(&[&self.cert]),
            Row::new("message-good", "check_identity")
                .args(&[&self.cert])
                .header("Identity", &good),
            Row::new("message-good-info", "check_identity").header("Identity", &good),
            Row::new("message-case", "check_identity")
                .args(&[&self.cert])
                .header("IDENTITY", &good),
            Row::new("message-compact", "check_identity").args(&[&self.cert]).header("y", &good),
            Row::new("message-second-good", "check_identity")
                .args(&[&self.cert])
                .header("Identity", "x.y.z;info=<a>")
                .header("Identity", &good),
            Row::new("message-first-good", "check_identity")
                .args(&[&self.cert])
                .header("Identity", &good)
                .header("Identity", "x.y.z;info=<a>"),
            Row::new("message-junk", "check_identity")
                .args(&[&self.cert])
                .header("Identity", "junk"),
            with("form-good", good.clone()),
            with("form-no-params", token.clone()),
            with("form-one-part", format!("{header};{info}")),
            with("form-two-parts", format!("{header}.{payload};{info}")),
            with("form-four-parts", format!("{token}.x;{info}")),
            with("form-compact", format!("..{signature};{info}")),
            with("form-no-header", format!(".{payload}.{signature};{info}")),
            with("form-order", format!("{token};ppt=shaken;alg=ES256;{info}")),
            with("form-unknown-param", format!("{token};x=y;{info};alg=ES256;ppt=shaken")),
            with("form-space-around", format!("{token} ; {info} ; alg = ES256 ; ppt = shaken")),
            with("form-space-in-token", format!("{} {};{info}", &token[..20], &token[20..])),
            with("param-ppt-quoted", format!("{token};{info};alg=ES256;ppt=\"shaken\"")),
            with("param-alg-quoted", format!("{token};{info};alg=\"ES256\";ppt=shaken")),
            with("param-no-alg", format!("{token};{info};ppt=shaken")),
            with("param-no-ppt", format!("{token};{info};alg=ES256")),
            with("param-alg-none", format!("{token};{info};alg=none;ppt=shaken")),
            with("param-alg-rs256", format!("{token};{info};alg=RS256;ppt=shaken")),
            with("param-ppt-div", format!("{token};{info};alg=ES256;ppt=div")),
            with("param-no-info", format!("{token};alg=ES256;ppt=shaken")),
            with("param-empty-info", format!("{token};info=<>;alg=ES256;ppt=shaken")),
            with("param-info-bare", format!("{token};info={};alg=ES256;ppt=shaken", self.x5u)),
            with("param-info-open", format!("{token};info=<{};alg=ES256;ppt=shaken", self.x5u)),
            with("param-info-other", other),
            with(
                "param-info-spaces",
                format!("{token};info=< {} >;alg=ES256;ppt=shaken", self.x5u),
            ),
            with("param-ppt-spaces", format!("{token};{info};alg=ES256;ppt=\" shaken \"")),
            with("param-ppt-case", format!("{token};{info};alg=ES256;ppt=SHAKEN")),
            with("param-alg-case", format!("{token};{info};alg=es256;ppt=shaken")),
            with("param-ppt-open", format!("{token};{info};alg=ES256;ppt=shaken\"")),
            with("param-info-twice", format!("{token};{info};{info};alg=ES256")),
            with("param-name-case", format!("{token};Info=<{}>;ALG=ES256;PPT=shaken", self.x5u)),
        ];
        let odd = self.x5u.clone() + "?a=1;b=2";
        let token = self.token(&self.header_json().replace(&self.x5u, &odd), &Self::payload_json());
        rows.push(with("param-info-odd", format!("{token};info=<{odd}>;alg=ES256;ppt=shaken")));
        rows
    }

    /// The token: JOSE header, payload, signature.
    fn tokens(&self) -> Vec<Row> {
        let (header, payload) = (self.header_json(), Self::payload_json());
        let with = |name: &str, header: &str, payload: &str| {
            self.check(name, &(self.token(header, payload) + &self.params()))
        };
        let mut rows = vec![
            with("header-empty-object", "{}", &payload),
            with("header-array", "[]", &payload),
            with("header-junk", "junk", &payload),
        ];
        for (name, from, to) in [
            ("header-alg-none", "ES256", "none"),
            ("header-alg-hs256", "ES256", "HS256"),
            ("header-alg-es384", "ES256", "ES384"),
            ("header-ppt-div", "shaken", "div"),
            ("header-typ-jwt", "passport", "JWT"),
            ("header-x5u-other", "cert.pem", "other.pem"),
            ("header-no-alg", r#""alg":"ES256","#, ""),
            ("header-no-ppt", r#""ppt":"shaken","#, ""),
            ("header-no-typ", r#""typ":"passport","#, ""),
            ("header-alg-number", r#""ES256""#, "256"),
            ("header-twice", r#""alg":"ES256""#, r#""alg":"none","alg":"ES256""#),
            ("header-case", r#""alg""#, r#""ALG""#),
            ("header-crit", r#"{"alg""#, r#"{"crit":["x"],"alg""#),
            ("header-spaces", r#"{"alg""#, r#"{ "alg""#),
        ] {
            rows.push(with(name, &header.replacen(from, to, 1), &payload));
        }
        let at = now();
        let iat = format!(r#""iat":{at}"#);
        let replaced = |to: String| {
            payload.replacen(
                &payload[payload.find("\"iat\"").unwrap()..payload.find(",\"orig\"").unwrap()],
                &to,
                1,
            )
        };
        rows.extend([
            with("iat-now", &header, &replaced(iat)),
            with("iat-stale", &header, &replaced(format!(r#""iat":{}"#, at - 1000))),
            with("iat-almost-stale", &header, &replaced(format!(r#""iat":{}"#, at - 280))),
            with("iat-a-bit-future", &header, &replaced(format!(r#""iat":{}"#, at + 30))),
            with("iat-future", &header, &replaced(format!(r#""iat":{}"#, at + 1000))),
            with("iat-zero", &header, &replaced(r#""iat":0"#.into())),
            with("iat-negative", &header, &replaced(r#""iat":-5"#.into())),
            with("iat-string", &header, &replaced(format!(r#""iat":"{at}""#))),
            with("iat-float", &header, &replaced(format!(r#""iat":{at}.5"#))),
            with("iat-1e400", &header, &replaced(r#""iat":1e400"#.into())),
            with(
                "iat-missing",
                &header,
                &payload
                    .replacen(&replaced(String::new())[0..0], "", 1)
                    .replacen("\"iat\"", "\"tai\"", 1),
            ),
            with("exp-string", &header, &replaced(format!(r#""exp":"1","iat":{at}"#))),
            with("payload-array", &header, "[]"),
            with("payload-junk", &header, "junk"),
            with("payload-empty-object", &header, "{}"),
            with(
                "payload-dest-string",
                &header,
                &payload.replacen(r#"["12155551213"]"#, r#""12155551213""#, 1),
            ),
            with(
                "payload-orig-number",
                &header,
                &payload.replacen(r#""12155551212""#, "12155551212", 1),
            ),
            with("payload-no-attest", &header, &payload.replacen(r#""attest":"A","#, "", 1)),
            with("payload-attest-z", &header, &payload.replacen(r#""A""#, r#""Z""#, 1)),
            with("payload-no-orig", &header, &payload.replacen(r#""orig":"#, r#""gir":"#, 1)),
            with("payload-no-origid", &header, &payload.replacen(r#""origid":"#, r#""id":"#, 1)),
            with("payload-empty-tn", &header, &payload.replacen("12155551212", "", 1)),
            with(
                "payload-twice",
                &header,
                &payload.replacen(r#""attest":"A""#, r#""attest":"A","attest":"A""#, 1),
            ),
            with("payload-plus", &header, &payload.replacen("12155551212", "+12155551212", 1)),
            with(
                "payload-unordered",
                &header,
                &format!(
                    r#"{{"origid":"x",{}"#,
                    &payload.replacen(&format!(r#","origid":"{ORIGID}""#), "", 1)[1..]
                ),
            ),
        ]);
        let good = self.good_token();
        let [h, p, s] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
        let raw = |name: &str, token: String| self.check(name, &(token + &self.params()));
        let encode = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        rows.extend([
            raw("b64-header-junk", format!("!{}.{p}.{s}", &h[1..])),
            raw("b64-payload-junk", format!("{h}.!{}.{s}", &p[1..])),
            raw("b64-payload-empty", format!("{h}..{s}")),
            raw("b64-signature-junk", format!("{h}.{p}.!{}", &s[1..])),
            raw("b64-signature-padded", format!("{h}.{p}.{s}==")),
            raw("signature-empty", format!("{h}.{p}.")),
            raw("signature-63", format!("{h}.{p}.{}", encode(&[1; 63]))),
            raw("signature-65", format!("{h}.{p}.{}", encode(&[1; 65]))),
            raw("signature-zeros", format!("{h}.{p}.{}", encode(&[0; 64]))),
            raw("signature-other", format!("{h}.{p}.{}", encode(&[1; 64]))),
            raw(
                "payload-changed",
                format!("{h}.{}.{s}", encode(payload.replacen("5551212", "5559999", 1).as_bytes())),
            ),
        ]);
        rows
    }

    /// Where the public key comes from.
    fn keys(&self, lab: &Lab) -> Vec<Row> {
        for (name, kind) in [
            ("p384.pem", "EC:P-384"),
            ("rsa.pem", "RSA"),
            ("ed25519.pem", "ED25519"),
            ("second.pem", "EC:P-256"),
        ] {
            lab.key(name, kind);
            lab.public(name, &format!("{name}.pub"));
        }
        lab.public("key.pem", "public.pem");
        lab.folder.write("empty.pem", "");
        lab.folder.write("junk.pem", "junk");
        lab.folder
            .write("baddata.pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
        lab.folder.write("both.pem", lab.read("cert.pem") + &lab.read("key.pem"));
        lab.folder.write("chain.pem", lab.read("cert.pem") + &lab.read("ca.pem"));
        let good = self.good();
        let check = |name: &str, path: &str| Row::new(name, "check").args(&[&good, path]);
        let mut rows: Vec<Row> = [
            "public.pem",
            "empty.pem",
            "junk.pem",
            "baddata.pem",
            "both.pem",
            "chain.pem",
            "p384.pem.pub",
            "rsa.pem.pub",
            "ed25519.pem.pub",
            "second.pem.pub",
            "key.pem",
            "missing.pem",
        ]
        .iter()
        .map(|file| check(&format!("key-{file}"), &lab.path(file)))
        .collect();
        rows.extend([
            check("key-directory", &lab.path("")),
            check("key-file-url", &format!("file://{}", self.cert)),
            check("key-http-url", &self.x5u),
            Row::new("pubkey-cert", "check_identity_pubkey")
                .pem(&lab.read("cert.pem"))
                .header("Identity", &good),
            Row::new("pubkey-public", "check_identity_pubkey")
                .pem(&lab.read("public.pem"))
                .header("Identity", &good),
            Row::new("pubkey-bare-token", "check_identity_pubkey")
                .pem(&lab.read("public.pem"))
                .header("Identity", &self.good_token()),
            Row::new("pubkey-junk", "check_identity_pubkey").pem("junk").header("Identity", &good),
            Row::new("pubkey-other", "check_identity_pubkey")
                .pem(&lab.read("second.pem.pub"))
                .header("Identity", &good),
            Row::new("pubkey-none", "check_identity_pubkey").pem(&lab.read("public.pem")),
        ]);
        rows
    }

    /// What the network answers. The rows name other URLs, so the tokens do too.
    fn downloads(&self, lab: &Lab) -> Vec<Row> {
        let http = &self._http;
        let at = |name: &str, url: String| {
            let token =
                self.token(&self.header_json().replace(&self.x5u, &url), &Self::payload_json());
            Row::new(name, "check").args(&[&format!("{token};info=<{url}>;alg=ES256;ppt=shaken")])
        };
        vec![
            at("http-404", http.on("/404.pem", Answer::Status(404))),
            at("http-500", http.on("/500.pem", Answer::Status(500))),
            at("http-redirect", http.on("/301.pem", Answer::Redirect(self.x5u.clone()))),
            at("http-empty", http.on("/empty.pem", Answer::Ok(Vec::new()))),
            at("http-junk", http.on("/junk.pem", Answer::Ok(b"junk".to_vec()))),
            at("http-html", http.on("/html.pem", Answer::Ok(b"<html></html>".to_vec()))),
            at(
                "http-gzip",
                http.on(
                    "/gzip.pem",
                    Answer::With("Content-Encoding: gzip\r\n", gzip(lab, "cert.pem")),
                ),
            ),
            at("http-silent", http.on("/silent.pem", Answer::Silent)),
            at("http-closes", http.on("/close.pem", Answer::Close)),
            at("http-large", http.on("/large.pem", Answer::Large(10 << 20))),
            at("http-refused", "http://127.0.0.1:9/x.pem".into()),
            at("http-unresolved", "http://host.invalid/x.pem".into()),
            at("http-ftp", "ftp://127.0.0.1/x.pem".into()),
            at("http-no-url", "x".into()),
            at("http-path", lab.path("cert.pem")),
            Row::new("get-url", "get_url").args(&[&self.x5u]),
            // One only: the stock module crashes when it frees what the one before it fetched.
        ]
    }

    fn signing(&self, lab: &Lab) -> Vec<Row> {
        let call = ["12155551212", "12155551213", "A", ORIGID, self.x5u.as_str()];
        let key = |name: &str, file: &str| {
            Row::new(name, "build_identity").args(&[
                call[0],
                call[1],
                call[2],
                call[3],
                call[4],
                &lab.path(file),
            ])
        };
        let encoded = |text: &str| STANDARD.encode(text);
        let (header, payload) = (self.header_json(), Self::payload_json());
        lab.openssl("ec -in key.pem -out sec1.pem");
        vec![
            self.build("sign-good", call[0], call[1], "A", ORIGID, &self.x5u),
            self.build("sign-b", call[0], call[1], "B", ORIGID, &self.x5u),
            self.build("sign-new-origid", call[0], call[1], "C", "", &self.x5u),
            self.build("sign-origid-quote", call[0], call[1], "A", "a\"b@h", &self.x5u),
            self.build("sign-origid-backslash", call[0], call[1], "A", "a\\b@h", &self.x5u),
            self.build("sign-attest-z", call[0], call[1], "Z", ORIGID, &self.x5u),
            self.build("sign-letters", "alice", call[1], "A", ORIGID, &self.x5u),
            self.build("sign-no-orig", "", call[1], "A", ORIGID, &self.x5u),
            self.build("sign-plus", "+12155551212", call[1], "A", ORIGID, &self.x5u),
            self.build("sign-no-x5u", call[0], call[1], "A", ORIGID, ""),
            self.build("sign-odd-x5u", call[0], call[1], "A", ORIGID, "ftp://x/y"),
            Row::new("sign-add", "add_identity").args(&[
                call[0],
                call[1],
                "A",
                "",
                &self.x5u,
                &self.private,
            ]),
            Row::new("sign-add-no-key", "add_identity").args(&[
                call[0],
                call[1],
                "A",
                "",
                &self.x5u,
                &lab.path("missing.pem"),
            ]),
            key("sign-sec1", "sec1.pem"),
            key("sign-both", "both.pem"),
            key("sign-missing", "missing.pem"),
            key("sign-empty", "empty.pem"),
            key("sign-junk", "junk.pem"),
            key("sign-public", "public.pem"),
            key("sign-rsa", "rsa.pem"),
            key("sign-ed25519", "ed25519.pem"),
            key("sign-p384", "p384.pem"),
            key("sign-directory", ""),
            Row::new("prvkey-good", "build_identity_prvkey").args(&call).pem(&lab.read("key.pem")),
            Row::new("prvkey-junk", "build_identity_prvkey").args(&call).pem("junk"),
            Row::new("json-good", "sign").args(&[
                &encoded(&header),
                &encoded(&payload),
                &self.private,
            ]),
            Row::new("json-header-junk", "sign").args(&[
                &encoded("junk"),
                &encoded(&payload),
                &self.private,
            ]),
            Row::new("json-payload-junk", "sign").args(&[
                &encoded(&header),
                &encoded("junk"),
                &self.private,
            ]),
            Row::new("json-no-key", "sign").args(&[
                &encoded(&header),
                &encoded(&payload),
                &lab.path("missing.pem"),
            ]),
        ]
    }

    /// CertVerify: a set of settings each.
    fn certificates(&mut self, lab: &Lab) {
        lab.issue("expired.pem", "key.pem", -1);
        lab.openssl("req -x509 -new -key second.pem -out stranger.pem -days 30 -subj /CN=Stranger");
        // The stock module reads the first certificate of a chain only.
        let anchors = lab.read("ca.pem") + &lab.read("intermediate.pem");
        lab.folder.write("anchors.pem", anchors);
        let file = |name: &str| format!("CertCAFile={}", lab.path(name));
        let check = |set: &str, name: &str| {
            Row::new(&format!("{set}-{name}"), "check").args(&[&self.good(), &lab.path(name)])
        };
        let mut sets = Vec::new();
        for (set, options) in [
            ("ca", vec!["CertVerify=5".to_owned(), file("anchors.pem")]),
            ("ca-only", vec!["CertVerify=4".to_owned(), file("anchors.pem")]),
            ("time-only", vec!["CertVerify=32".to_owned()]),
            ("system", vec!["CertVerify=3".to_owned()]),
            ("other-ca", vec!["CertVerify=5".to_owned(), file("stranger.pem")]),
        ] {
            let rows = ["cert.pem", "expired.pem", "public.pem", "chain.pem", "junk.pem"]
                .iter()
                .map(|name| check(set, name))
                .collect();
            sets.push(Set { options, rows });
        }
        self.sets.extend(sets);
    }
}
