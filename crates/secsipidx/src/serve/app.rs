//! What each path does.

use super::access::{Access, Entry};
use super::api;
use super::downloads::{self, Downloads};
use super::hosts::Hosts;
use super::metrics::Metrics;
use super::openapi;
use super::page;
use super::public::{Folder, Refusal};
use super::settings::Settings;
use super::status::Status;
use crate::inspect::{self, Inspector};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use stir::{Code, Error, Result, Signer, SystemClock, Verifier};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// An answer.
pub type Answer = Response<Full<Bytes>>;

/// The service.
pub struct App {
    pub(super) settings: Settings,
    pub(super) signer: Signer,
    pub(super) verifier: Arc<Verifier>,
    pub(super) inspector: Inspector,
    pub(super) metrics: Metrics,
    pub(super) access: Access,
    pub(super) hosts: Hosts,
    pub(super) status: Status,
    public: Option<Folder>,
    requests: Arc<Semaphore>,
    /// The runtime whose threads may block, whichever worker asks; none where settings are only
    /// checked.
    blocking: Option<Handle>,
    draining: AtomicBool,
    /// For as long as this a request may begin downloads.
    download_time: Duration,
}

impl App {
    /// With these settings.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(settings: Settings) -> Result<Self> {
        let config = settings.config()?;
        // With a key of the operator's, nothing that a caller names is downloaded.
        let downloads = Box::new(Downloads::new(&config, settings.check.key.is_empty())?);
        let verifier = Arc::new(Verifier::with(&config, Arc::new(SystemClock), downloads));
        let public = settings.public.as_ref().map(|public| {
            Folder::open(&public.folder).map_err(|e| {
                Error::new(
                    Code::FileRead,
                    format!("public.folder \"{}\": {e}", public.folder.display()),
                )
            })
        });
        Ok(Self {
            signer: Signer::new(&config),
            inspector: Inspector::new(&config, Arc::clone(&verifier)),
            verifier,
            metrics: Metrics::default(),
            access: Access::new(settings.token()?),
            hosts: Hosts::new(&settings),
            status: Status::default(),
            public: public.transpose()?,
            requests: Arc::new(Semaphore::new(settings.limits.requests)),
            blocking: Handle::try_current().ok(),
            draining: AtomicBool::new(false),
            download_time: Duration::from_secs(config.timeout.into()),
            settings,
        })
    }

    /// From now on not ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Answers a request.
    pub async fn handle(self: Arc<Self>, entry: Entry, request: Request<Incoming>) -> Answer {
        let start = Instant::now();
        let path = known(request.uri().path(), entry);
        let stranger = || {
            // What anybody may know: certificates, and that the service is there.
            let open = matches!(path, PUB | "/healthz" | "/readyz");
            let refused = || self.hosts.refuses(entry.tls, request.uri(), request.headers());
            if open { None } else { refused() }
        };
        let answer = match wrong_host(&request).or_else(stranger) {
            Some(refused) => refused,
            None => self.route(path, entry, request).await,
        };
        let status = answer.status().as_u16();
        self.metrics.request(path, status, start.elapsed());
        log::debug!("{path} {status} {} µs", start.elapsed().as_micros());
        answer
    }

    async fn route(
        self: &Arc<Self>,
        path: &'static str,
        entry: Entry,
        request: Request<Incoming>,
    ) -> Answer {
        let allowed: &[Method] = match path {
            OTHER => {
                return text(
                    StatusCode::NOT_FOUND,
                    "there is nothing here; /openapi.json says what is where\n",
                );
            }
            "/v1/check" | "/v1/sign-csv" | "/v1/sign" | "/v1/verify" | "/v1/inspect" => {
                &[Method::POST]
            }
            _ => &[Method::GET, Method::HEAD],
        };
        if !allowed.contains(request.method()) {
            let mut answer =
                text(StatusCode::METHOD_NOT_ALLOWED, "another method is due: see Allow\n");
            let allow = if allowed.len() == 1 { "POST" } else { "GET, HEAD" };
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
            return answer;
        }
        match path {
            "/healthz" => return text(StatusCode::OK, "ok\n"),
            "/readyz" => return self.ready(),
            "/metrics" => {
                let busy = self.settings.limits.requests - self.requests.available_permits();
                return body(
                    StatusCode::OK,
                    "text/plain; version=0.0.4; charset=utf-8",
                    self.metrics.render(busy),
                );
            }
            "/" => return page::answer(),
            "/v1/status" => return self.status(),
            "/openapi.json" => {
                return body(StatusCode::OK, "application/json", openapi::document());
            }
            _ => {}
        }
        if matches!(path, "/v1/sign" | "/v1/sign-csv")
            && let Some(refused) = self.access.refuses(entry, request.headers())
        {
            return refused;
        }
        let limit = Duration::from_secs(self.settings.limits.request_timeout);
        let deadline = tokio::time::Instant::now() + limit;
        let file = request.uri().path().strip_prefix(PUB).map(ToOwned::to_owned);
        let read = read_body(request, self.settings.limits.body);
        let octets = match tokio::time::timeout_at(deadline, read).await {
            Ok(Ok(octets)) => octets,
            Ok(Err(refused)) => return refused,
            Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n"),
        };
        if self.is_quick(path, &octets) {
            // What was in memory a moment ago: nobody may wait for a download on this thread.
            downloads::begin_until(Instant::now());
            return self.work(path, None, &octets);
        }
        // Only now: a slow body would hold it, and what is quick must not wait for downloads.
        let Ok(permit) = Arc::clone(&self.requests).try_acquire_owned() else {
            return busy("too many requests wait for downloads or files (limits.requests)");
        };
        let app = Arc::clone(self);
        let runtime = self.blocking.clone().unwrap_or_else(Handle::current);
        let work = blocking(runtime, permit, move || {
            // After the 504 nobody waits for it.
            let until = Instant::now() + app.download_time;
            downloads::begin_until(until.min(deadline.into_std()));
            app.work(path, file.as_deref(), &octets)
        });
        match tokio::time::timeout_at(deadline, work).await {
            Ok(answer) => answer,
            Err(_) => {
                text(StatusCode::GATEWAY_TIMEOUT, "it took longer than limits.request_timeout\n")
            }
        }
    }

    /// Whether it is done in microseconds, with files that are in memory already: the way to
    /// another thread would cost more than the work.
    fn is_quick(&self, path: &str, octets: &[u8]) -> bool {
        match path {
            "/v1/sign" | "/v1/sign-csv" => true,
            "/v1/check" | "/v1/verify" => !self.needs_download(path, octets),
            _ => false,
        }
    }

    /// What may block, unless [`App::is_quick`].
    fn work(&self, path: &str, file: Option<&str>, octets: &[u8]) -> Answer {
        match path {
            "/v1/check" => self.check_text(octets),
            "/v1/sign-csv" => self.sign_csv(octets),
            "/v1/sign" => self.sign_json(octets),
            "/v1/verify" => self.verify_json(octets),
            "/v1/inspect" => self.inspect_json(octets),
            _ => self.public_file(file.unwrap_or_default()),
        }
    }

    /// Whether calls can be signed and checked with the keys that are set. One at a URL is not
    /// asked for: it may be away for a moment.
    ///
    /// # Errors
    /// As [`Signer::check_key`], and what is wrong with `check.key`.
    pub fn check_keys(&self) -> Result<()> {
        let named = |setting: &'static str| {
            move |e: Error| Error::new(e.code(), format!("{setting}: {}", e.message()))
        };
        let key = &self.settings.sign.key;
        if !key.is_empty() {
            self.signer.check_key(key).map_err(named("sign.key"))?;
        }
        let key = &self.settings.check.key;
        if !key.is_empty() && !stir::fetch::is_url(key) {
            inspect::credential_of_file(key).map_err(named("check.key"))?;
        }
        Ok(())
    }

    fn ready(&self) -> Answer {
        if self.draining.load(Ordering::Relaxed) {
            return text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
        }
        match self.check_keys() {
            Ok(()) => text(StatusCode::OK, "ready\n"),
            Err(e) => {
                log::error!("not ready: {e}");
                text(StatusCode::SERVICE_UNAVAILABLE, "a key can't be used: the log says which\n")
            }
        }
    }

    fn public_file(&self, path: &str) -> Answer {
        let Some(folder) = &self.public else {
            return text(StatusCode::NOT_FOUND, "no folder is served (public.folder, -http-dir)\n");
        };
        match folder.read(path) {
            Ok((content, content_type)) => body(StatusCode::OK, content_type, content),
            Err(Refusal::NotFound) => text(StatusCode::NOT_FOUND, "there is no such file\n"),
            Err(Refusal::NotPublic) => {
                log::error!(
                    "{PUB}{path:?} is not served: it holds something else than certificates, CRLs and public keys (PEM or DER); move it away"
                );
                text(StatusCode::NOT_FOUND, "there is no such file\n")
            }
            Err(Refusal::Busy) => busy("too much is being sent to clients that read slowly"),
        }
    }
}

/// Where the folder's files are.
const PUB: &str = "/v1/pub/";
/// The label of paths that are not known.
const OTHER: &str = "other";

/// The path as one of a fixed list.
fn known(path: &str, entry: Entry) -> &'static str {
    const PATHS: [&str; 9] = [
        "/v1/check",
        "/v1/sign-csv",
        "/v1/sign",
        "/v1/verify",
        "/v1/inspect",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
    ];
    if path.starts_with(PUB) {
        return PUB;
    }
    let status = ["/", "/v1/status"].into_iter().filter(|_| entry.status_page);
    PATHS.into_iter().chain(status).find(|known| *known == path).unwrap_or(OTHER)
}

/// One host is due, with HTTP/1.0 none at most (RFC 9112 §3.2): two may be two to those on the way.
fn wrong_host(request: &Request<Incoming>) -> Option<Answer> {
    let why = match request.headers().get_all(header::HOST).iter().count() {
        1 => return None,
        0 if request.version() < Version::HTTP_11 => return None,
        0 => "a Host header is due with HTTP/1.1\n",
        _ => "there is more than one Host header\n",
    };
    Some(text(StatusCode::BAD_REQUEST, why))
}

async fn read_body(request: Request<Incoming>, limit: usize) -> std::result::Result<Bytes, Answer> {
    let too_large =
        || text(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body has more than {limit} octets\n"));
    if request.body().size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match Limited::new(request.into_body(), limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(e) if e.is::<LengthLimitError>() => Err(too_large()),
        Err(e) => Err(text(StatusCode::BAD_REQUEST, &format!("the body breaks off: {e}\n"))),
    }
}

/// Runs on a thread that may block. The permit is held until it ends, whoever still waits for it.
async fn blocking(
    runtime: Handle,
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> Answer + Send + 'static,
) -> Answer {
    let done = runtime.spawn_blocking(move || {
        let answer = work();
        drop(permit);
        answer
    });
    done.await.unwrap_or_else(|e| {
        log::error!("a request failed inside: {e}");
        text(StatusCode::INTERNAL_SERVER_ERROR, "it failed inside: the log says more\n")
    })
}

fn busy(why: &str) -> Answer {
    let error = Error::new(Code::Generic, format!("{why}: try again"));
    let mut answer = api::failed(StatusCode::SERVICE_UNAVAILABLE, &error);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// Plain text.
pub fn text(status: StatusCode, text: &str) -> Answer {
    body(status, "text/plain; charset=utf-8", text.to_owned())
}

/// An answer with a body of this type.
pub fn body(status: StatusCode, content_type: &'static str, content: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(content.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
