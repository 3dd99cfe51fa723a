//! The configuration of `enroll`, `renew`, `trust` and `keep`: one TOML file.

use super::values::{Mistakes, Section};
use crate::input;
use crate::lab::check_code;
use ::sti::acme::ChallengeAnswer;
use ::sti::http::{HttpSettings, TIMEOUT, checked};
use ::sti::jose::Fingerprint;
use ::sti::pa::TkValue;
use ::sti::secret::Secret;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stir::{Code, Error, Result, X5uRules};

/// What stands before the name of a systemd credential.
const CREDENTIAL: &str = "credential:";
/// For how long an old certificate stays published where nothing is said: a token counts for a
/// minute, of a diverted call for three hours.
const KEEP_OLD: Duration = Duration::from_secs(86_400);
/// Shortest time that an old certificate stays published: the freshness of a token, and some.
const LEAST_KEEP_OLD: Duration = Duration::from_secs(120);

/// All of it.
#[derive(Debug)]
pub struct Config {
    /// `[sti_pa]`, if it is there.
    pub sti_pa: Option<StiPa>,
    /// `[acme]` and what goes with it, if it is there.
    pub own: Option<Own>,
    /// `[trust]`, if it is there.
    pub trust: Option<Trust>,
    /// `[http]`
    pub http: HttpSettings,
}

/// `[sti_pa]`
#[derive(Debug)]
pub struct StiPa {
    /// Base URL.
    pub url: String,
    /// Who logs in.
    pub user: String,
    /// Where the password is.
    pub password_file: SecretFile,
    /// Number of the account.
    pub account: String,
    /// Roots of the administrator, PEM; empty for none.
    pub anchors: PathBuf,
}

/// What an own certificate needs.
#[derive(Debug)]
pub struct Own {
    /// `[acme]`
    pub acme: Acme,
    /// `[certificate]`
    pub certificate: Certificate,
    /// `[publish]`
    pub publish: Publish,
    /// `[install]`
    pub install: Install,
}

/// `[acme]`
#[derive(Debug)]
pub struct Acme {
    /// URL.
    pub directory: String,
    /// Made if it is not there.
    pub account_key: SecretFile,
    /// External account binding: the key's name.
    pub eab_kid: String,
    /// And the file it is in.
    pub eab_key_file: Option<SecretFile>,
    /// mailto: URLs.
    pub contact: Vec<String>,
    /// How the challenge is answered.
    pub answer: ChallengeAnswer,
    /// How the TNAuthList is written.
    pub tkvalue: TkValue,
    /// Which digest of the account key the token has.
    pub fingerprint: Fingerprint,
}

/// `[certificate]`
#[derive(Debug)]
pub struct Certificate {
    /// Service provider code.
    pub spc: String,
    /// RFC 4514.
    pub subject: String,
    /// Which key it is for.
    pub key: KeyChoice,
    /// Wished for; the CA's choice without it.
    pub lifetime: Option<Duration>,
}

/// Which key a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChoice {
    /// Another one for each certificate.
    New,
    /// That of the ACME account.
    Account,
    /// Always the one in this file.
    File(PathBuf),
}

/// `[publish]`
#[derive(Debug)]
pub struct Publish {
    /// What the web server serves.
    pub folder: PathBuf,
    /// Its URL, with a slash at its end.
    pub url: String,
    /// For how long an old certificate stays there.
    pub keep_old: Duration,
}

/// `[install]`
#[derive(Debug)]
pub struct Install {
    /// Where the signer looks for its key.
    pub key: PathBuf,
    /// And for its certificate.
    pub certificate: PathBuf,
    /// Run after a switch, by sh; empty for nothing.
    pub command: String,
}

/// `[trust]`
#[derive(Debug)]
pub struct Trust {
    /// URL of the list of trusted CAs; empty for none.
    pub list: String,
    /// Who signs it: certificates or keys, PEM; `sti_pa.anchors` without it.
    pub list_signer: PathBuf,
    /// URL of the CRL; empty for none.
    pub crl: String,
    /// Where both are kept.
    pub folder: PathBuf,
    /// Run after a change, by sh; empty for nothing.
    pub command: String,
}

/// A file with a secret, or a systemd credential.
#[derive(Clone, Debug, Default)]
pub struct SecretFile(String);

impl SecretFile {
    /// Where it is.
    ///
    /// # Errors
    /// A credential where systemd gave none.
    pub fn path(&self) -> Result<PathBuf> {
        let Some(name) = self.0.strip_prefix(CREDENTIAL) else { return Ok(self.0.clone().into()) };
        let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
            wrong(format!(
                "\"{}\" is a systemd credential, and there are none: start it as a service with LoadCredential={name}:/path",
                self.0
            ))
        })?;
        Ok(PathBuf::from(folder).join(name))
    }

    /// The secret, without the line's end.
    ///
    /// # Errors
    /// It can't be read, or is empty.
    pub fn read(&self) -> Result<Secret> {
        let path = self.path()?;
        let text = Secret::new(input::read_regular(&path.to_string_lossy())?);
        let secret = text.expose().trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(wrong(format!("\"{}\" is empty: it should hold a secret", path.display())));
        }
        Ok(Secret::new(secret.to_owned()))
    }
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// All that is wrong with it, a line for each.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = input::read_regular(&path.to_string_lossy())?;
        let file = text.parse().map_err(|e: toml::de::Error| {
            wrong(format!("\"{shown}\" is not TOML: {}", e.to_string().trim_end()))
        })?;
        let mut mistakes = Mistakes::default();
        let config = Self::take(file, &mut mistakes);
        if mistakes.0.is_empty() {
            return Ok(config);
        }
        Err(wrong(format!("\"{shown}\" can't be used:\n  {}", mistakes.0.join("\n  "))))
    }

    fn take(mut file: toml::Table, mistakes: &mut Mistakes) -> Self {
        let mut section = |name, mistakes: &mut Mistakes| Section::take(&mut file, name, mistakes);
        let pa = section("sti_pa", mistakes);
        let acme = section("acme", mistakes);
        let certificate = section("certificate", mistakes);
        let publish = section("publish", mistakes);
        let install = section("install", mistakes);
        let trust = section("trust", mistakes);
        let http = section("http", mistakes);
        for name in file.keys() {
            mistakes.add(name, "is unknown");
        }
        let wants = acme.there || certificate.there || publish.there || install.there;
        let tables = [
            ("[sti_pa]", pa.there),
            ("[acme]", acme.there),
            ("[certificate]", certificate.there),
            ("[publish]", publish.there),
            ("[install]", install.there),
        ];
        for (name, _) in tables.iter().filter(|(_, there)| wants && !there) {
            mistakes.add(name, "is missing: a certificate needs all five tables");
        }
        if !wants && !trust.there {
            mistakes.add("[acme]", "and [trust] are missing: there is nothing to do");
        }
        let sti_pa = pa.there.then_some(());
        let sti_pa = StiPa::take(pa, mistakes).filter(|_| sti_pa.is_some());
        let own = Own {
            acme: Acme::take(acme, mistakes),
            certificate: Certificate::take(certificate, mistakes),
            publish: Publish::take(publish, mistakes),
            install: Install::take(install, mistakes),
        };
        let trust_there = trust.there;
        let trust = Trust::take(trust, sti_pa.as_ref(), mistakes);
        Self {
            own: wants.then_some(own),
            trust: trust_there.then_some(trust),
            http: http_settings(http, mistakes),
            sti_pa,
        }
    }

    /// Looks at all files and folders that it names.
    pub fn files(&self) -> Vec<String> {
        let mut mistakes = Mistakes::default();
        let mut secret = |key: &str, file: &SecretFile| {
            if let Err(e) = file.read() {
                mistakes.add(key, e.message());
            }
        };
        if let Some(pa) = &self.sti_pa {
            secret("sti_pa.password_file", &pa.password_file);
        }
        if let Some(own) = &self.own {
            if let Some(file) = &own.acme.eab_key_file {
                secret("acme.eab_key_file", file);
            }
            if own.acme.account_key.path().is_ok_and(|path| path.exists()) {
                secret("acme.account_key", &own.acme.account_key);
            }
        }
        let mut certificates = |key: &str, path: &Path| {
            let found = input::read_regular(&path.to_string_lossy());
            let found = found.and_then(|text| stir::key::Credential::from_pem(text.as_bytes()));
            if let Err(e) = found {
                mistakes.add(key, format!("\"{}\": {}", path.display(), e.message()));
            }
        };
        let named = |path: &Path| !path.as_os_str().is_empty();
        if let Some(pa) = self.sti_pa.as_ref().filter(|pa| named(&pa.anchors)) {
            certificates("sti_pa.anchors", &pa.anchors);
        }
        if let Some(trust) = self.trust.as_ref().filter(|trust| named(&trust.list_signer)) {
            certificates("trust.list_signer", &trust.list_signer);
        }
        let mut folder = |key: &str, path: &Path| {
            if !path.is_dir() {
                mistakes.add(key, format!("\"{}\" is not a folder: make it", path.display()));
            }
        };
        if let Some(own) = &self.own {
            folder("publish.folder", &own.publish.folder);
        }
        mistakes.0
    }
}

impl StiPa {
    fn take(mut section: Section, mistakes: &mut Mistakes) -> Option<Self> {
        let pa = Self {
            url: section.need("url", mistakes),
            user: section.need("user", mistakes),
            password_file: SecretFile(section.need("password_file", mistakes)),
            account: account(&mut section, mistakes),
            anchors: section.get("anchors", mistakes).unwrap_or_default(),
        };
        url("sti_pa.url", &pa.url, mistakes);
        section.end(mistakes);
        Some(pa)
    }
}

/// A number for the STI-PA, which people write as one or as text.
fn account(section: &mut Section, mistakes: &mut Mistakes) -> String {
    let value: Option<toml::Value> = section.get("account", mistakes);
    let text = match value {
        None if !section.there => return String::new(),
        Some(toml::Value::Integer(number)) => number.to_string(),
        Some(toml::Value::String(text)) => text,
        _ => String::new(),
    };
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        mistakes.add("sti_pa.account", "must be the number that the STI-PA gave");
    }
    text
}

impl Acme {
    fn take(mut section: Section, mistakes: &mut Mistakes) -> Self {
        let eab: Option<String> = section.get("eab_key_file", mistakes);
        let contact: Option<toml::Value> = section.get("contact", mistakes);
        let contact = match contact {
            None => Vec::new(),
            Some(toml::Value::String(one)) => vec![one],
            Some(several) => several.try_into().unwrap_or_else(|_| {
                mistakes.add("acme.contact", "must be \"mailto:…\" or a list of such");
                Vec::new()
            }),
        };
        let acme = Self {
            directory: section.need("directory", mistakes),
            account_key: SecretFile(section.need("account_key", mistakes)),
            eab_kid: section.get("eab_kid", mistakes).unwrap_or_default(),
            eab_key_file: eab.map(SecretFile),
            contact,
            answer: section.word(
                "answer",
                &[("tkauth", ChallengeAnswer::TkAuth), ("atc", ChallengeAnswer::Atc)],
                mistakes,
            ),
            tkvalue: section.word(
                "tkvalue",
                &[("base64url", TkValue::Base64Url), ("base64", TkValue::Base64)],
                mistakes,
            ),
            fingerprint: section.word(
                "fingerprint",
                &[("spki", Fingerprint::Spki), ("jwk", Fingerprint::Jwk)],
                mistakes,
            ),
        };
        url("acme.directory", &acme.directory, mistakes);
        if acme.eab_kid.is_empty() != acme.eab_key_file.is_none() {
            mistakes.add("acme.eab_kid", "and acme.eab_key_file go together: set both or neither");
        }
        for contact in acme.contact.iter().filter(|contact| !contact.contains(':')) {
            mistakes.add("acme.contact", format!("{contact:?} is not a URL: write mailto:…"));
        }
        section.end(mistakes);
        acme
    }
}

impl Certificate {
    fn take(mut section: Section, mistakes: &mut Mistakes) -> Self {
        let there = section.there;
        let spc: String = section.need("spc", mistakes);
        if !spc.is_empty() && check_code(&spc).is_err() {
            mistakes.add(
                "certificate.spc",
                format!("{spc:?} is not a service provider code: letters and digits"),
            );
        }
        let mut subject = format!("CN=SHAKEN {spc}");
        for (key, attribute, needed) in [
            ("organization", "O", true),
            ("locality", "L", false),
            ("state", "ST", false),
            ("country", "C", true),
        ] {
            let value: String = if needed {
                section.need(key, mistakes)
            } else {
                section.get(key, mistakes).unwrap_or_default()
            };
            if value.chars().any(char::is_control) {
                mistakes.add(&format!("certificate.{key}"), "has a control character in it");
            }
            if !value.is_empty() {
                subject.push_str(&format!(",{attribute}={}", escaped(&value)));
            }
            let letters = value.len() == 2 && value.bytes().all(|c| c.is_ascii_uppercase());
            if key == "country" && there && !value.is_empty() && !letters {
                mistakes.add(
                    "certificate.country",
                    format!("{value:?} is not a country: two capital letters, US"),
                );
            }
        }
        let key = match section.get::<String>("key", mistakes).as_deref() {
            None | Some("new") => KeyChoice::New,
            Some("account") => KeyChoice::Account,
            Some(path) if path.contains('/') => KeyChoice::File(path.into()),
            Some(word) => {
                let why =
                    format!("{word:?} is none of \"new\", \"account\", or a path (with a slash)");
                mistakes.add("certificate.key", why);
                KeyChoice::New
            }
        };
        let lifetime = section.time("lifetime", mistakes);
        section.end(mistakes);
        Self { spc, subject, key, lifetime }
    }
}

/// A value of a name (RFC 4514 §2.4).
fn escaped(value: &str) -> String {
    let mut text = String::new();
    for (i, c) in value.char_indices() {
        let edge = c == ' ' && (i == 0 || i + 1 == value.len());
        if edge
            || matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=')
            || (c == '#' && i == 0)
        {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

impl Publish {
    fn take(mut section: Section, mistakes: &mut Mistakes) -> Self {
        let mut publish = Self {
            folder: section.need("folder", mistakes),
            url: section.need("url", mistakes),
            keep_old: section.time("keep_old", mistakes).unwrap_or(KEEP_OLD),
        };
        if section.there {
            if !publish.url.ends_with('/') {
                publish.url.push('/');
            }
            // Only what the URL says: which addresses are asked is the verifiers' affair. One of this
            // machine's own, as a laboratory has it, may have any port.
            let rules = X5uRules::new(true, "0.0.0.0/0, ::/0", "");
            let own = ["https://127.0.0.1:", "https://[::1]:", "https://localhost:"];
            let local = own.iter().any(|own| publish.url.starts_with(own));
            if let Err(e) = rules.and_then(|rules| rules.check(&publish.url))
                && !local
            {
                mistakes.add("publish.url", format!("can't be an x5u: {}", e.message()));
            }
            if publish.keep_old < LEAST_KEEP_OLD {
                mistakes.add(
                    "publish.keep_old",
                    format!(
                        "is less than {} s: calls on their way need the old certificate",
                        LEAST_KEEP_OLD.as_secs()
                    ),
                );
            }
        }
        section.end(mistakes);
        publish
    }
}

impl Install {
    fn take(mut section: Section, mistakes: &mut Mistakes) -> Self {
        let install = Self {
            key: section.need("key", mistakes),
            certificate: section.need("certificate", mistakes),
            command: section.get("command", mistakes).unwrap_or_default(),
        };
        if section.there && install.key == install.certificate {
            mistakes.add("install.key", "and install.certificate are the same file");
        }
        for (key, path) in [("key", &install.key), ("certificate", &install.certificate)] {
            if section.there && !path.is_absolute() {
                mistakes.add(&format!("install.{key}"), "must be an absolute path");
            }
        }
        section.end(mistakes);
        install
    }
}

impl Trust {
    fn take(mut section: Section, pa: Option<&StiPa>, mistakes: &mut Mistakes) -> Self {
        let there = section.there;
        let mut trust = Self {
            list: section.get("list", mistakes).unwrap_or_default(),
            list_signer: section.get("list_signer", mistakes).unwrap_or_default(),
            crl: section.get("crl", mistakes).unwrap_or_default(),
            folder: section.need("folder", mistakes),
            command: section.get("command", mistakes).unwrap_or_default(),
        };
        if there && trust.list.is_empty() && trust.crl.is_empty() {
            mistakes.add("trust.list", "and trust.crl are missing: there is nothing to keep");
        }
        url("trust.list", &trust.list, mistakes);
        url("trust.crl", &trust.crl, mistakes);
        if trust.list_signer.as_os_str().is_empty() {
            trust.list_signer = pa.map(|pa| pa.anchors.clone()).unwrap_or_default();
        }
        if there && !trust.list.is_empty() && trust.list_signer.as_os_str().is_empty() {
            mistakes.add(
                "trust.list_signer",
                "is missing: name the certificate of who signs the list (or sti_pa.anchors)",
            );
        }
        section.end(mistakes);
        trust
    }
}

fn http_settings(mut section: Section, mistakes: &mut Mistakes) -> HttpSettings {
    let settings = HttpSettings {
        ca_file: section.get("ca", mistakes).unwrap_or_default(),
        proxy: section.get("proxy", mistakes).unwrap_or_default(),
        timeout: section.time("timeout", mistakes).unwrap_or(TIMEOUT),
    };
    if settings.timeout.is_zero() || settings.timeout > Duration::from_secs(600) {
        mistakes.add("http.timeout", "is not from 1 s to 600 s");
    }
    section.end(mistakes);
    settings
}

/// A URL, if it is set.
fn url(key: &str, text: &str, mistakes: &mut Mistakes) {
    if let Some(Err(e)) = (!text.is_empty()).then(|| checked(text)) {
        mistakes.add(key, e.message());
    }
}

fn wrong(message: String) -> Error {
    Error::new(Code::Generic, message)
}
