//! What each path does.

use super::access::{Access, Entry};
use super::api::{self, InspectRequest, SignRequest};
use super::atis::{self, Fault};
use super::downloads::{self, Downloads};
use super::hosts::Hosts;
use super::metrics::Metrics;
use super::openapi;
use super::page;
use super::public::{Folder, Refusal};
use super::records::Records;
use super::routes::{self, Family, Kind, PUB, Route, Row};
use super::settings::Settings;
use super::status::Status;
use crate::inspect::{self, Inspector};
use crate::source::Message;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use stir::{Code, Error, Numbering, Reason, Result, Signer, SystemClock, Verifier};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// An answer.
pub type Answer = Response<Full<Bytes>>;

/// The service.
pub struct App {
    pub(super) settings: Settings,
    pub(super) signer: Signer,
    pub(super) verifier: Arc<Verifier>,
    pub(super) numbering: Numbering,
    pub(super) reason: Reason,
    pub(super) inspector: Inspector,
    pub(super) metrics: Metrics,
    pub(super) access: Access,
    pub(super) hosts: Hosts,
    pub(super) status: Status,
    pub(super) records: Records,
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
            numbering: config.numbering.clone(),
            reason: settings.check.reason()?,
            metrics: Metrics::default(),
            access: Access::new(settings.token()?),
            hosts: Hosts::new(&settings),
            status: Status::default(),
            records: Records::start(settings.records.as_ref())?,
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
        let row = routes::find(request.uri().path(), entry);
        let id = (row.family == Family::Atis).then(|| atis::request_id(request.headers()));
        let stranger = || {
            let refused = || self.hosts.refuses(entry.tls, request.uri(), request.headers());
            if row.kind == Kind::Open { None } else { refused() }
        };
        let mut answer = match wrong_host(&request).or_else(stranger) {
            Some(refused) => refused,
            None => self.route(row, entry, request).await,
        };
        if let Some(id) = id {
            // One that was refused is not given back.
            let id = id.or_else(|_| atis::request_id(&HeaderMap::new()));
            answer.headers_mut().extend(id.ok().map(|id| (atis::X_REQUEST_ID, id)));
        }
        let (path, status) = (row.path, answer.status().as_u16());
        self.metrics.request(path, status, start.elapsed());
        log::debug!("{path} {status} {} µs", start.elapsed().as_micros());
        answer
    }

    async fn route(
        self: &Arc<Self>,
        row: &'static Row,
        entry: Entry,
        request: Request<Incoming>,
    ) -> Answer {
        if let Some(refused) = self.refuses(row, entry, &request) {
            return refused;
        }
        match row.route {
            Route::Health => return text(StatusCode::OK, "ok\n"),
            Route::Ready => return self.ready(),
            Route::Metrics => {
                let busy = self.settings.limits.requests - self.requests.available_permits();
                return body(
                    StatusCode::OK,
                    "text/plain; version=0.0.4; charset=utf-8",
                    self.metrics.render(busy) + &self.records.metrics(),
                );
            }
            Route::Page => return page::answer(),
            Route::Status => return self.status(),
            Route::OpenApi => {
                return body(StatusCode::OK, "application/json", openapi::document());
            }
            _ => {}
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
        let job = match file {
            Some(file) => Job::File(file),
            None => match self.job(row.route, octets) {
                Ok(job) => job,
                Err(refused) => return *refused,
            },
        };
        if self.is_quick(&job) {
            // What was in memory a moment ago: nobody may wait for a download on this thread.
            downloads::begin_until(Instant::now());
            return self.work(&job);
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
            app.work(&job)
        });
        match tokio::time::timeout_at(deadline, work).await {
            Ok(answer) => answer,
            Err(_) => {
                text(StatusCode::GATEWAY_TIMEOUT, "it took longer than limits.request_timeout\n")
            }
        }
    }

    /// Why a request is not answered, by its first line and its header.
    fn refuses(&self, row: &Row, entry: Entry, request: &Request<Incoming>) -> Option<Answer> {
        let allowed: &[Method] =
            if row.posts() { &[Method::POST] } else { &[Method::GET, Method::HEAD] };
        let atis = row.family == Family::Atis;
        if row.route == Route::Unknown {
            let why = "there is nothing here; /openapi.json says what is where\n";
            let own = || text(StatusCode::NOT_FOUND, why);
            return Some(if atis { Fault::NoResource.answer() } else { own() });
        }
        if !allowed.contains(request.method()) {
            if atis {
                return Some(Fault::Method.answer());
            }
            let mut answer =
                text(StatusCode::METHOD_NOT_ALLOWED, "another method is due: see Allow\n");
            let allow = if row.posts() { "POST" } else { "GET, HEAD" };
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
            return Some(answer);
        }
        if row.kind == Kind::Signs
            && let Some(refused) = self.access.refuses(entry, request.headers())
        {
            return Some(refused);
        }
        let headers = request.headers();
        let checked = || atis::request_id(headers).and_then(|_| atis::check_headers(headers));
        if atis { checked().err().map(Fault::answer) } else { None }
    }

    /// What the body asks for.
    fn job(&self, route: Route, octets: Bytes) -> std::result::Result<Job, Box<Answer>> {
        let own = |e: Error| Box::new(api::failed(StatusCode::BAD_REQUEST, &e));
        let atis = |fault: Fault| Box::new(fault.answer());
        Ok(match route {
            Route::Check => Job::Check(api::check_request(&octets)),
            Route::SignCsv => Job::SignCsv(octets),
            Route::Sign => Job::Sign(api::parse(&octets).map_err(own)?),
            Route::Verify => Job::Verify(api::verify_request(&octets).map_err(own)?),
            Route::Inspect => Job::Inspect(api::parse(&octets).map_err(own)?),
            Route::Signing => Job::Signing(self.signing_request(&octets).map_err(atis)?),
            Route::Verification => {
                Job::Verification(self.verification_request(&octets).map_err(atis)?)
            }
            // Answered before, without a body.
            _ => return Err(atis(Fault::NoResource)),
        })
    }

    /// Whether it is done in microseconds, with files that are in memory already: the way to
    /// another thread would cost more than the work.
    fn is_quick(&self, job: &Job) -> bool {
        let all =
            |message: &Message| !self.needs_download(message.identities.iter().map(String::as_str));
        match job {
            Job::Sign(_) | Job::SignCsv(_) | Job::Signing(_) => true,
            Job::Check(message) | Job::Verify(message) => all(message),
            Job::Verification(request) => !self.needs_download(request.identities()),
            Job::Inspect(_) | Job::File(_) => false,
        }
    }

    /// What may block, unless [`App::is_quick`].
    fn work(&self, job: &Job) -> Answer {
        match job {
            Job::Check(message) => self.check_text(message),
            Job::SignCsv(octets) => self.sign_csv(octets),
            Job::Sign(request) => self.sign_json(request),
            Job::Verify(message) => self.verify_json(message),
            Job::Inspect(request) => self.inspect_json(request),
            Job::Signing(request) => self.signing(request),
            Job::Verification(request) => self.verification(request),
            Job::File(path) => self.public_file(path),
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

/// What a request asks for, read once.
enum Job {
    Check(Message),
    SignCsv(Bytes),
    Sign(SignRequest),
    Verify(Message),
    Inspect(InspectRequest),
    Signing(atis::Signing),
    Verification(atis::Verification),
    /// Of the public folder.
    File(String),
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
