//! The HTTP(S) service: listeners, their connections, start and stop.

mod access;
mod api;
mod app;
mod atis;
mod connections;
mod downloads;
mod hosts;
pub mod logging;
mod metrics;
pub mod notify;
mod openapi;
mod page;
mod patience;
mod public;
mod records;
mod routes;
mod settings;
mod status;
mod tls;
mod workers;

pub use settings::{Check, Http, Https, Limits, Log, Numbers, Public, Settings, Sign};

use crate::cli;
use crate::output;
use access::{Entry, Needs};
use app::App;
use connections::Connections;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use notify::notify;
use patience::Patience;
use std::convert::Infallible;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use stir::{Code, Error, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use workers::Workers;

/// Octets of a request's header: hyper's least.
const MAX_HEADER: usize = 16 * 1024;
/// Between two attempts to accept when there are no file descriptors left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// File descriptors beside those of connections and downloads: runtimes, logs, key and certificate files.
const OTHER_FILES: u64 = 64;
/// For how long a client's certificate counts on the connection that it was shown on: it may expire,
/// and so may the CRL that does not name it.
const CERTIFIED_FOR: Duration = Duration::from_secs(3600);

/// `serve`
///
/// # Errors
/// What is wrong with the configuration; an address that can't be bound.
pub fn serve(args: &cli::Serve) -> Result<ExitCode> {
    let settings = Settings::read(&args.config)?;
    if args.check {
        settings.https.as_ref().map(tls::Current::new).transpose()?;
        App::new(settings)?.check_keys()?;
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
    let mut hangup = signals(SignalKind::hangup())?;
    let drain = Duration::from_secs(settings.limits.drain);
    let app = Arc::new(App::new(settings)?);
    let stop = watch::Sender::new(false);
    let mut listeners = Vec::new();
    if let Some(http) = &app.settings.http {
        listeners.push((bind(&http.listen).await?, None, "HTTP", http.status_page));
    }
    if let Some(https) = &app.settings.https {
        let current = tls::Current::new(https)?;
        app.hosts.show(Arc::clone(&current));
        tokio::spawn(Arc::clone(&current).watch());
        listeners.push((bind(&https.listen).await?, Some(current), "HTTPS", https.status_page));
    }
    let limits = &app.settings.limits;
    allow_descriptors(limits, listeners.len());
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
            tls: tls.is_some(),
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
            stop: stop.subscribe(),
            connections: Connections::new(limits.connections, limits.connections_per_address),
            workers: Arc::clone(&workers),
            tls,
        };
        accepting.push(tokio::spawn(server.accept(listener)));
    }
    if let Err(e) = app.check_keys() {
        log::error!("not ready: {e}");
    }
    notify("READY=1");
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            // Not its end, which it is by default: with other services it means to read files again.
            _ = hangup.recv() => log::info!(
                "SIGHUP: nothing to do: certificates, keys and CRLs are read again when they change, the configuration and the token with a restart"
            ),
        }
    }
    notify("STOPPING=1");
    app.drain();
    for task in &accepting {
        task.abort();
    }
    for task in accepting {
        let _ = task.await;
    }
    // Only connections listen to it now.
    log::info!("stopping; connections still open: {}", stop.receiver_count());
    stop.send_replace(true);
    if tokio::time::timeout(drain, stop.closed()).await.is_err() {
        log::warn!("limits.drain ({} s) is over: what is still open is cut off", drain.as_secs());
    }
    app.records.close();
    log::info!("stopped");
    Ok(())
}

fn signals(kind: SignalKind) -> Result<tokio::signal::unix::Signal> {
    signal(kind).map_err(|e| wrong(format!("signals can't be received: {e}")))
}

/// Lets this process have as many file descriptors as its limits need: a listener that finds none left
/// would hold up the other one too.
fn allow_descriptors(limits: &Limits, listeners: usize) {
    let needed =
        (limits.connections.saturating_mul(listeners) + limits.threads) as u64 + OTHER_FILES;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < needed.min(hard) {
        // What can't be raised is said below.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, needed.min(hard), hard);
    }
    if hard < needed {
        log::warn!(
            "limits.connections ({} for each listener) needs {needed} file descriptors, and this process may have {hard}: raise LimitNOFILE, or lower limits.connections",
            limits.connections
        );
    }
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
    /// Whether the service stops.
    stop: watch::Receiver<bool>,
    connections: Arc<Connections>,
    workers: Arc<Workers>,
    tls: Option<Arc<tls::Current>>,
}

impl Server {
    async fn accept(self, listener: TcpListener) {
        loop {
            let accepted = listener.accept().await;
            let accepted = accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer.ip())));
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    // One that broke off is nothing; without file descriptors it would spin.
                    log::warn!("a connection can't be accepted: {e}");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            let Some(place) = self.connections.take(peer) else {
                self.app.metrics.refused_connection();
                continue;
            };
            // Small answers: waiting for more to send would only delay them.
            let _ = stream.set_nodelay(true);
            let mut stop = self.stop.clone();
            let (app, entry) = (Arc::clone(&self.app), self.entry);
            let loaded = self.tls.as_ref().map(|tls| tls.loaded());
            self.workers.spawn(async move {
                let _place = place;
                // It was accepted on another worker.
                let Ok(stream) = TcpStream::from_std(stream) else { return };
                let limit = Duration::from_secs(app.settings.limits.header_timeout);
                // Who stops the service waits until nobody holds `stop`.
                let stopped = async { drop(stop.wait_for(|stop| *stop).await) };
                let Some(mut loaded) = loaded else {
                    return connection(stream, app, entry, stopped, limit).await;
                };
                let acceptor = TlsAcceptor::from(Arc::clone(&loaded.borrow_and_update().config));
                let Some(stream) = handshake(&acceptor, stream, limit).await else { return };
                let shown = stream.get_ref().1.peer_certificates().is_some();
                let entry = Entry { certified: entry.certified.map(|_| shown), ..entry };
                let ended = async {
                    tokio::select! {
                        () = stopped => {}
                        // The certificate was judged by files that are not in use any more.
                        _ = loaded.changed(), if shown => {}
                        () = tokio::time::sleep(CERTIFIED_FOR), if shown => {}
                    }
                };
                connection(stream, app, entry, ended, limit).await;
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

/// Serves until the client ends it, or `ended` does, and then the request that was begun.
async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: Arc<App>,
    entry: Entry,
    ended: impl Future<Output = ()>,
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
    let mut connection = pin!(connection);
    let result = tokio::select! {
        // First: what comes after the end is not read.
        biased;
        () = ended => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        result = connection.as_mut() => result,
    };
    if let Err(e) = result {
        log::debug!("connection: {e}");
    }
}

fn wrong(message: String) -> Error {
    Error::new(Code::Generic, message)
}
