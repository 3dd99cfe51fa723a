//! TLS, with certificates that are read again when their files change.

use super::settings::Https;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use stir::{Code, Error, Result};
use tokio::sync::watch;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName,
};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{
    NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier,
};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Between two looks at the files: a certificate lives for months.
const LOOK: Duration = Duration::from_secs(2);

/// Largest file, in bytes: a web authority's CRL may have a few MiB.
const MAX_FILE: usize = 32 * 1024 * 1024;

/// What a file's change is seen by.
type Stamp = [Option<(SystemTime, u64)>; 4];

/// What takes a connection, and the certificate that it shows.
pub struct Loaded {
    /// For the handshake.
    pub config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
}

/// The certificates in use: the service's own, and whose clients may show one.
pub struct Current {
    settings: Https,
    /// Of the files that were read first.
    first: Stamp,
    loaded: watch::Sender<Arc<Loaded>>,
}

impl Current {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(settings: &Https) -> Result<Arc<Self>> {
        // Taken before the files are read: a change in between shows at the first look.
        let first = stamp(settings);
        let loaded = watch::Sender::new(Arc::new(read(settings)?));
        Ok(Arc::new(Self { settings: settings.clone(), first, loaded }))
    }

    /// Whether a client may show a certificate.
    pub const fn asks_clients(&self) -> bool {
        self.settings.client_ca.is_some()
    }

    /// What takes a connection, and tells when it is replaced.
    pub fn loaded(&self) -> watch::Receiver<Arc<Loaded>> {
        self.loaded.subscribe()
    }

    /// Whether the service's certificate is for this host name.
    pub fn is_for(&self, name: &str) -> bool {
        let certificate = &self.loaded.borrow().certificate;
        let Ok(name) = ServerName::try_from(name) else { return false };
        ParsedCertificate::try_from(certificate)
            .is_ok_and(|certificate| verify_server_name(&certificate, &name).is_ok())
    }

    /// Reads the files again whenever they change; never ends. What can't be read leaves what is in
    /// use, and is read again until it can be: what was wrong need not show in the files' times.
    pub async fn watch(self: Arc<Self>) {
        let mut seen = self.first;
        let mut failed = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let stamp = stamp(&self.settings);
            if stamp == seen && failed.is_none() {
                continue;
            }
            match read(&self.settings) {
                Ok(config) => {
                    self.loaded.send_replace(Arc::new(config));
                    log::info!("{} is read again", self.settings.certificate.display());
                    failed = None;
                }
                Err(e) if failed.as_ref() == Some(&e) => {}
                Err(e) => {
                    log::error!("the certificate in use stays: {e}");
                    failed = Some(e);
                }
            }
            seen = stamp;
        }
    }
}

fn stamp(settings: &Https) -> Stamp {
    let Https { certificate, key, client_ca, client_crl, .. } = settings;
    [Some(certificate), Some(key), client_ca.as_ref(), client_crl.as_ref()].map(|path| {
        let metadata = std::fs::metadata(path?).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn read(settings: &Https) -> Result<Loaded> {
    let chain = certificates(&settings.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&text(&settings.key)?)
        .map_err(|e| bad(&settings.key, format!("is no private key: {e}")))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(format!("TLS can't be set up: {e}")))?;
    let builder = match (&settings.client_ca, &settings.client_crl) {
        (Some(ca), crl) => builder.with_client_cert_verifier(clients(ca, crl.as_deref())?),
        (None, None) => builder.with_no_client_auth(),
        (None, Some(crl)) => {
            return Err(bad(crl, "is https.client_crl: set https.client_ca as well".into()));
        }
    };
    let certificate = chain.first().cloned();
    let certificate =
        certificate.ok_or_else(|| bad(&settings.certificate, "holds no certificate".into()))?;
    // It also compares the two.
    let mut config = builder.with_single_cert(chain, key).map_err(|e| {
        let certificate = settings.certificate.display();
        bad(&settings.key, format!("and \"{certificate}\" don't go together: {e}"))
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if settings.client_ca.is_some() {
        // A session that is resumed brings its client's certificate along, and nobody judges it.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Loaded { config: Arc::new(config), certificate })
}

/// Judges clients: one without a certificate may connect, one with a certificate that these
/// authorities did not issue may not. With CRLs, neither may one that is on them, nor one of whose
/// chain they say nothing (RFC 5280 §6.3), nor any once they are out of date.
fn clients(path: &Path, crl: Option<&Path>) -> Result<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|e| bad(path, format!("holds no certificate of an authority: {e}")))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated();
    if let Some(crl) = crl {
        let crls: Vec<CertificateRevocationListDer<'_>> = all(crl, "CRL")?;
        builder = builder.with_crls(crls).enforce_revocation_expiration();
    }
    builder.build().map_err(|e| bad(crl.unwrap_or(path), format!("can't be used: {e}")))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    all(path, "certificate")
}

/// The text of a regular file.
fn text(path: &Path) -> Result<Vec<u8>> {
    let read = stir::file::read(path, MAX_FILE);
    read.map(|(_, text)| text).map_err(|e| bad(path, format!("can't be read: {e}")))
}

/// All PEM blocks of a kind.
fn all<T: PemObject>(path: &Path, kind: &str) -> Result<Vec<T>> {
    let all: Vec<_> = T::pem_slice_iter(&text(path)?)
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| bad(path, format!("is no {kind}: {e}")))?;
    if all.is_empty() { Err(bad(path, format!("holds no {kind}"))) } else { Ok(all) }
}

fn bad(path: &Path, why: String) -> Error {
    wrong(format!("\"{}\" {why}", path.display()))
}

fn wrong(message: String) -> Error {
    Error::new(Code::Generic, message)
}
