//! The service's socket: who may ask, what is answered, and when it ends.

use crate::protocol::{self, MAX_REQUEST, Reply, Request, body_frame};
use crate::service::{Look, Outcome, Service};
use crate::settings::{Settings, limits, wrong};
use nix::unistd::Uid;
use std::io;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use stir::Result;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::spawn_local;

/// Stacks of the threads that resolve names: glibc's resolver needs some 64 KiB.
const STACK: usize = 512 * 1024;
/// How often the clock is looked at for what is due.
const TICK: Duration = Duration::from_millis(500);
/// How long one waits after a connection could not be taken (no file descriptor left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest a caller may wait, whatever it asks for: `timeout` is 60 seconds at most.
const MAX_WAIT: Duration = Duration::from_secs(120);

/// Ends [`run`], from any thread.
#[derive(Clone, Default)]
pub struct Shutdown(Arc<(AtomicBool, Notify)>);

impl Shutdown {
    /// One that was not asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has [`run`] return.
    pub fn stop(&self) {
        self.0.0.store(true, Ordering::Release);
        self.0.1.notify_one();
    }

    async fn asked(&self) {
        while !self.0.0.load(Ordering::Acquire) {
            self.0.1.notified().await;
        }
    }
}

/// Serves until `shutdown`, on the thread that calls it, and calls `idle` there now and then. Further
/// threads only resolve names and sweep the folder, with all signals blocked.
///
/// # Errors
/// Settings that can't work (see [`Settings::validate`]), or a listener that is of no use.
pub fn run(
    settings: &Settings,
    listener: UnixListener,
    shutdown: &Shutdown,
    idle: fn(),
) -> Result<()> {
    settings.validate()?;
    let failed = |e: io::Error| wrong(format!("the fetcher can't start: {e}"));
    listener.set_nonblocking(true).map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        // Both kinds of names, Redis's and the sweep.
        .max_blocking_threads(2 * limits::MAX_RESOLVERS + 4)
        .thread_stack_size(STACK)
        .thread_name("resolver")
        .build()
        .map_err(failed)?;
    let tasks = tokio::task::LocalSet::new();
    let result = tasks.block_on(&runtime, async {
        let listener = tokio::net::UnixListener::from_std(listener).map_err(failed)?;
        let service = Rc::new(Service::new(settings)?);
        spawn_local(Rc::clone(&service).prefetch_all(settings.prefetch()?));
        spawn_local(Rc::clone(&service).sweep());
        spawn_local(Rc::clone(&service).share_all());
        spawn_local(tick(Rc::clone(&service), idle));
        spawn_local(accept(listener, service));
        shutdown.asked().await;
        Ok(())
    });
    drop(tasks);
    // Threads that wait for a name server are not waited for.
    runtime.shutdown_background();
    result
}

async fn tick(service: Rc<Service>, idle: fn()) {
    loop {
        tokio::time::sleep(TICK).await;
        idle();
        service.tick();
    }
}

async fn accept(listener: tokio::net::UnixListener, service: Rc<Service>) {
    let places = Arc::new(Semaphore::new(limits::MAX_CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                log::warn!("the fetcher can't take a connection: {e}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let peer = stream.peer_cred().map(|peer| peer.uid());
        if !peer.as_ref().is_ok_and(|uid| *uid == Uid::effective().as_raw()) {
            log::warn!("the fetcher refuses a connection of user {peer:?}: it serves its own only");
            continue;
        }
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            log::warn!("the fetcher has {} connections: no more", limits::MAX_CONNECTIONS);
            continue;
        };
        let service = Rc::clone(&service);
        spawn_local(async move {
            service.connected(1);
            if let Err(e) = connection(&service, stream).await
                && e.kind() != io::ErrorKind::UnexpectedEof
            {
                log::debug!("a caller's connection ends: {e}");
            }
            service.connected(-1);
            drop(place);
        });
    }
}

/// What is to be written; made into octets only then, so that a caller who does not read costs
/// next to nothing.
struct Answer {
    number: u32,
    content: Content,
    _outstanding: OwnedSemaphorePermit,
}

enum Content {
    Got(Outcome),
    Unknown,
    List,
    Stats,
    Done,
}

async fn connection(service: &Rc<Service>, stream: UnixStream) -> io::Result<()> {
    let (read, write) = stream.into_split();
    let mut read = BufReader::new(read);
    let (answers, queue) = mpsc::unbounded_channel();
    let writer = spawn_local(write_all(Rc::clone(service), write, queue));
    let outstanding = Arc::new(Semaphore::new(limits::MAX_OUTSTANDING));
    let result = loop {
        let place = Arc::clone(&outstanding).acquire_owned().await.map_err(io::Error::other)?;
        let (number, request) = match frame(&mut read).await {
            Ok(request) => request,
            Err(e) => break Err(e),
        };
        let answer = |content| Answer { number, content, _outstanding: place };
        let content = match request {
            Request::Get(millis, url) => {
                let wait = Duration::from_millis(millis.into()).min(MAX_WAIT);
                match service.look(&url) {
                    Look::Ready(outcome) => Content::Got(outcome),
                    Look::Wait(waiter) => {
                        let (service, answers) = (Rc::clone(service), answers.clone());
                        let deadline = Instant::now() + wait;
                        let waiting = answer(Content::Done);
                        spawn_local(async move {
                            let outcome = service.wait(&url, waiter, deadline).await;
                            // The caller may have gone.
                            let _ =
                                answers.send(Answer { content: Content::Got(outcome), ..waiting });
                        });
                        continue;
                    }
                }
            }
            Request::Peek(url) => service.peek(&url).map_or(Content::Unknown, Content::Got),
            Request::Prefetch(url) => match service.prefetch(&url) {
                Ok(()) => Content::Done,
                Err(e) => Content::Got(Err(e)),
            },
            Request::Proven(body, url) => {
                service.proven(&url, &body);
                continue;
            }
            Request::Flush(url) => {
                service.flush((!url.is_empty()).then_some(url.as_str())).await;
                Content::Done
            }
            Request::List => Content::List,
            Request::Stats => Content::Stats,
        };
        if answers.send(answer(content)).is_err() {
            break Ok(());
        }
    };
    // What was asked for before is still answered.
    drop(answers);
    let _ = writer.await;
    result
}

async fn frame(read: &mut BufReader<OwnedReadHalf>) -> io::Result<(u32, Request)> {
    let frame = protocol::read(read, MAX_REQUEST).await?;
    Request::decode(&frame).ok_or_else(protocol::junk)
}

async fn write_all(
    service: Rc<Service>,
    mut write: OwnedWriteHalf,
    mut queue: mpsc::UnboundedReceiver<Answer>,
) -> io::Result<()> {
    while let Some(answer) = queue.recv().await {
        let number = answer.number;
        let frame = match &answer.content {
            Content::Got(Ok(served)) => body_frame(number, served.until, &served.body),
            Content::Got(Err(e)) => {
                Reply::Failed(e.code().value(), e.message().into()).encode(number)
            }
            Content::Unknown => Reply::Unknown.encode(number),
            Content::List => Reply::Text(service.list()).encode(number),
            Content::Stats => {
                let text = serde_json::to_vec(&service.stats()).map_err(io::Error::other)?;
                Reply::Text(text).encode(number)
            }
            Content::Done => Reply::Text(Vec::new()).encode(number),
        };
        write.write_all(&frame).await?;
    }
    Ok(())
}
