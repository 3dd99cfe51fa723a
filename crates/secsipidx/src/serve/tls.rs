//! TLS, with a certificate that is read again when its file changes.

use super::settings::Https;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use stir::{Code, Error, Result};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

/// Between two looks at the files: a certificate lives for months.
const LOOK: Duration = Duration::from_secs(2);

/// What a file's change is seen by.
type Stamp = [Option<(SystemTime, u64)>; 2];

/// The certificate in use.
#[derive(Debug)]
pub struct Current {
    settings: Https,
    key: RwLock<Arc<CertifiedKey>>,
}

impl Current {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(settings: &Https) -> Result<Arc<Self>> {
        let key = RwLock::new(Arc::new(read(settings)?));
        Ok(Arc::new(Self { settings: settings.clone(), key }))
    }

    /// What takes connections with it.
    ///
    /// # Errors
    /// The library refuses its own defaults.
    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| wrong(format!("TLS can't be set up: {e}")))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Reads the files again whenever they change; never ends. What can't be read leaves the
    /// certificate that is in use.
    pub async fn watch(self: Arc<Self>) {
        let mut seen = self.stamp();
        loop {
            tokio::time::sleep(LOOK).await;
            let stamp = self.stamp();
            if stamp == seen {
                continue;
            }
            match read(&self.settings) {
                Ok(key) => {
                    *self.key.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
                    log::info!("{} is read again", self.settings.certificate.display());
                }
                Err(e) => log::error!("the certificate in use stays: {e}"),
            }
            seen = stamp;
        }
    }

    fn stamp(&self) -> Stamp {
        [&self.settings.certificate, &self.settings.key].map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.key.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn read(settings: &Https) -> Result<CertifiedKey> {
    let bad = |path: &Path, why: String| wrong(format!("\"{}\" {why}", path.display()));
    let chain: Vec<_> = CertificateDer::pem_file_iter(&settings.certificate)
        .and_then(Iterator::collect)
        .map_err(|e| bad(&settings.certificate, format!("is no certificate: {e}")))?;
    if chain.is_empty() {
        return Err(bad(&settings.certificate, "holds no certificate".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&settings.key)
        .map_err(|e| bad(&settings.key, format!("is no private key: {e}")))?;
    // It also compares the two.
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|e| {
        bad(
            &settings.key,
            format!("and \"{}\" don't go together: {e}", settings.certificate.display()),
        )
    })
}

fn wrong(message: String) -> Error {
    Error::new(Code::Generic, message)
}
