//! The HTTP(S) service: listeners, their connections, start and stop.

mod access;
mod api;
mod app;
mod downloads;
mod logging;
mod metrics;
mod notify;
mod openapi;
mod page;
mod patience;
mod public;
mod settings;
mod status;
mod tls;
mod workers;

pub use settings::{Check, Http, Https, Limits, Log, Public, Settings, Sign};

use crate::cli;
use crate::output;
use access::{Entry, Needs};
use app::App;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use notify::notify;
use patience::Patience;
use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use stir::{Code, Error, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use workers::Workers;

/// Octets of a request's header: hyper's least.
const MAX_HEADER: usize = 16 * 1024;
/// Between two attempts to accept when there are no file descriptors left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// `serve`
///
/// # Errors
/// What is wrong with the configuration; an address that can't be bound.
pub fn serve(args: &cli::Serve) -> Result<ExitCode> {
    let settings = Settings::read(&args.config)?;
    if args.check {
        settings.https.as_ref().map(tls::Current::new).transpose()?;
        App::new(settings)?;
        return Ok(output::print("the configuration can be used\n"));
    }
    start(settings).map(|()| ExitCode::SUCCESS)
}

/// Serves until SIGTERM or SIGINT, and then until what was begun is done.
///
/// # Errors
/// As [`serve`].
pub fn start(settings: Settings) -> Result<()> {
    settings.validate()?;
    logging::start(&settings.log);
    workers::run(settings.limits.threads, |workers| serve_until_stopped(settings, workers))
}

async fn serve_until_stopped(settings: Settings, workers: Arc<Workers>) -> Result<()> {
    let mut terminate = signals(SignalKind::terminate())?;
    let mut interrupt = signals(SignalKind::interrupt())?;
    let drain = Duration::from_secs(settings.limits.drain);
    let connections = Arc::new(Semaphore::new(settings.limits.connections));
    let app = Arc::new(App::new(settings)?);
    let graceful = Arc::new(GracefulShutdown::new());
    let mut listeners = Vec::new();
    if let Some(http) = &app.settings.http {
        listeners.push((bind(&http.listen).await?, None, "HTTP", http.status_page));
    }
    if let Some(https) = &app.settings.https {
        let current = tls::Current::new(https)?;
        tokio::spawn(Arc::clone(&current).watch());
        listeners.push((bind(&https.listen).await?, Some(current), "HTTPS", https.status_page));
    }
    let mut accepting = Vec::new();
    for (listener, tls, name, status_page) in listeners {
        let address = listener
            .local_addr()
            .map_err(|e| wrong(format!("{name}: the address is not known: {e}")))?;
        log::info!("{name} on {address}");
        let entry = Entry {
            loopback: address.ip().is_loopback(),
            certified: tls.as_ref().filter(|tls| tls.asks_clients()).map(|_| false),
            status_page,
        };
        if app.access.needs(entry) == Needs::Impossible && !app.settings.sign.key.is_empty() {
            log::warn!(
                "{name} on {address} does not sign: neither sign.token_file nor https.client_ca is set"
            );
        }
        app.listens(name, address, entry);
        let server = Server {
            app: Arc::clone(&app),
            entry,
            graceful: Arc::clone(&graceful),
            connections: Arc::clone(&connections),
            workers: Arc::clone(&workers),
            tls,
        };
        accepting.push(tokio::spawn(server.accept(listener)));
    }
    notify("READY=1");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    notify("STOPPING=1");
    log::info!("stopping; connections still open: {}", graceful.count());
    app.drain();
    for task in &accepting {
        task.abort();
    }
    // The last owner but the tasks: they end with the abort.
    for task in accepting {
        let _ = task.await;
    }
    if let Some(graceful) = Arc::into_inner(graceful)
        && tokio::time::timeout(drain, graceful.shutdown()).await.is_err()
    {
        log::warn!("limits.drain ({} s) is over: what is still open is cut off", drain.as_secs());
    }
    log::info!("stopped");
    Ok(())
}

fn signals(kind: SignalKind) -> Result<tokio::signal::unix::Signal> {
    signal(kind).map_err(|e| wrong(format!("signals can't be received: {e}")))
}

async fn bind(listen: &str) -> Result<TcpListener> {
    let address = settings::address(listen)?;
    TcpListener::bind(address)
        .await
        .map_err(|e| wrong(format!("{address} can't be listened on: {e}")))
}

/// One listener.
struct Server {
    app: Arc<App>,
    entry: Entry,
    graceful: Arc<GracefulShutdown>,
    connections: Arc<Semaphore>,
    workers: Arc<Workers>,
    tls: Option<Arc<tls::Current>>,
}

impl Server {
    async fn accept(self, listener: TcpListener) {
        loop {
            let accepted = listener.accept().await.and_then(|(stream, _)| stream.into_std());
            let stream = match accepted {
                Ok(stream) => stream,
                Err(e) => {
                    // One that broke off is nothing; without file descriptors it would spin.
                    log::warn!("a connection can't be accepted: {e}");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
                self.app.metrics.refused_connection();
                continue;
            };
            // Small answers: waiting for more to send would only delay them.
            let _ = stream.set_nodelay(true);
            let watcher = self.graceful.watcher();
            let (app, entry, tls) = (Arc::clone(&self.app), self.entry, self.tls.clone());
            self.workers.spawn(async move {
                let _permit = permit;
                // It was accepted on another worker.
                let Ok(stream) = TcpStream::from_std(stream) else { return };
                let limit = Duration::from_secs(app.settings.limits.header_timeout);
                match tls {
                    None => connection(stream, app, entry, watcher, limit).await,
                    Some(tls) => {
                        if let Some(stream) = handshake(&tls.acceptor(), stream, limit).await {
                            let shown = stream.get_ref().1.peer_certificates().is_some();
                            let entry =
                                Entry { certified: entry.certified.map(|_| shown), ..entry };
                            connection(stream, app, entry, watcher, limit).await;
                        }
                    }
                }
            });
        }
    }
}

async fn handshake(
    tls: &TlsAcceptor,
    stream: TcpStream,
    limit: Duration,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    match tokio::time::timeout(limit, tls.accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(e)) => {
            log::debug!("TLS: {e}");
            None
        }
        Err(_) => None,
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: Arc<App>,
    entry: Entry,
    watcher: hyper_util::server::graceful::Watcher,
    limit: Duration,
) {
    let stream = Patience::new(stream, Duration::from_secs(app.settings.limits.request_timeout));
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, Infallible>(app.handle(entry, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limit)
        .max_buf_size(MAX_HEADER)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(e) = watcher.watch(connection).await {
        log::debug!("connection: {e}");
    }
}

fn wrong(message: String) -> Error {
    Error::new(Code::Generic, message)
}
