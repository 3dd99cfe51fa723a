//! Calls that wait for certificates while no process waits with them: a worker hands a call over,
//! another process asks the services for all of them at once and says which are to go on.

use crate::address::Address;
use crate::channel::Channel;
use crate::client::spread;
use crate::service::{busy, failed};
use crate::settings::{limits, wrong};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::rc::Rc;
use std::time::{Duration, Instant};
use stir::{Error, Fetched, Result};
use tokio::sync::mpsc;
use tokio::task::spawn_local;

/// Largest message between the two: ten URLs of the longest kind, escaped.
const MAX_MESSAGE: usize = 64 * 1024;

/// A call that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspended {
    /// What its transaction is found by: index and label of the server's table.
    pub transaction: (u32, u32),
    /// Where it is to go on.
    pub route: String,
    /// The certificates that it waits for.
    pub urls: Vec<String>,
}

/// A call that is to go on, and what became of each URL.
pub struct Resumed {
    /// As it was handed over.
    pub call: Suspended,
    /// When that was: what it waited for was asked for since.
    pub since: Instant,
    /// In the order of its URLs.
    pub results: Vec<(String, Result<Fetched>)>,
}

/// The workers' end: all processes share it.
pub struct Handover(UnixDatagram);

/// The end where calls arrive; processes that share it share the calls.
pub struct Inbox(UnixDatagram);

impl Handover {
    /// Both ends: made before the fork, so that nobody else can reach them. `limit` is for how long
    /// [`Handover::send`] waits where too many calls are on their way.
    ///
    /// # Errors
    /// The system's: no file descriptor left.
    pub fn pair(limit: Duration) -> io::Result<(Self, Inbox)> {
        // Whole messages as datagrams are, and room for more of them than a datagram socket has.
        let flags = SockFlag::SOCK_CLOEXEC;
        let (workers, inbox) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        let (workers, inbox) = (UnixDatagram::from(workers), UnixDatagram::from(inbox));
        workers.set_write_timeout(Some(limit))?;
        inbox.set_nonblocking(true)?;
        Ok((Self(workers), Inbox(inbox)))
    }

    /// Hands a call over. From now on its time runs.
    ///
    /// # Errors
    /// No room in time, nobody at the other end, or more than fits into a message.
    pub fn send(&self, call: &Suspended) -> io::Result<()> {
        let message = serde_json::to_vec(&(monotonic()?, call))?;
        if message.len() > MAX_MESSAGE {
            return Err(io::Error::other(format!("a message of {} octets", message.len())));
        }
        while let Err(e) = self.0.send(&message) {
            if e.kind() != io::ErrorKind::Interrupted {
                return Err(e);
            }
        }
        Ok(())
    }
}

/// The process that waits for all of them.
pub struct Waiting {
    runtime: tokio::runtime::Runtime,
    tasks: tokio::task::LocalSet,
    resumed: mpsc::UnboundedReceiver<Resumed>,
}

struct Room {
    services: Vec<Channel>,
    timeout: Duration,
    calls: Cell<usize>,
    resumed: mpsc::UnboundedSender<Resumed>,
}

impl Waiting {
    /// Takes calls in, asks the services at these addresses (in the order that every process has),
    /// and gives each call this time from when it was handed over. Starts no thread.
    ///
    /// # Errors
    /// What the system has none left of.
    pub fn new(
        inbox: Inbox,
        addresses: impl IntoIterator<Item = Address>,
        timeout: Duration,
    ) -> Result<Self> {
        let failed = |e: io::Error| wrong(format!("nobody can wait for certificates: {e}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(failed)?;
        let tasks = tokio::task::LocalSet::new();
        let (sender, resumed) = mpsc::unbounded_channel();
        let services = addresses.into_iter().map(Channel::new).collect();
        let room = Room { services, timeout, calls: Cell::new(0), resumed: sender };
        let entered = runtime.enter();
        let inbox = tokio::net::UnixDatagram::from_std(inbox.0).map_err(failed)?;
        tasks.spawn_local(take_in(inbox, Rc::new(room)));
        drop(entered);
        Ok(Self { runtime, tasks, resumed })
    }
}

impl Iterator for Waiting {
    type Item = Resumed;

    /// The next call that is to go on; `None` if no more can come.
    fn next(&mut self) -> Option<Resumed> {
        self.tasks.block_on(&self.runtime, async {
            // Where calls are ready one after the other, others are taken in and answered all the same.
            tokio::task::yield_now().await;
            self.resumed.recv().await
        })
    }
}

/// A clock that is the same in every process.
fn monotonic() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}

async fn take_in(inbox: tokio::net::UnixDatagram, room: Rc<Room>) {
    let mut message = vec![0; MAX_MESSAGE];
    loop {
        let message = match inbox.recv(&mut message).await {
            // The workers are gone.
            Ok(0) => return,
            Ok(length) => message.get(..length).unwrap_or_default(),
            Err(e) => {
                log::error!("no calls can be taken over any more: {e}");
                return;
            }
        };
        match serde_json::from_slice(message) {
            Ok((since, call)) => {
                let waited = monotonic().map_or(Duration::ZERO, |now| now.saturating_sub(since));
                let now = Instant::now();
                room.take(now.checked_sub(waited).unwrap_or(now), call);
            }
            Err(e) => log::error!("a call was handed over in a form that is unknown: {e}"),
        }
    }
}

impl Room {
    fn take(self: &Rc<Self>, since: Instant, call: Suspended) {
        let room = Rc::clone(self);
        if self.calls.get() >= limits::MAX_WAITING {
            let results = call.urls.iter().map(|url| (url.clone(), Err(busy(url)))).collect();
            return self.go_on(Resumed { call, since, results });
        }
        self.calls.set(self.calls.get() + 1);
        let left = self.timeout.saturating_sub(since.elapsed());
        spawn_local(async move {
            let asked: Vec<_> = call
                .urls
                .iter()
                .map(|url| {
                    let (room, url) = (Rc::clone(&room), url.clone());
                    spawn_local(async move { room.fetch(&url, left).await })
                })
                .collect();
            let mut results = Vec::with_capacity(asked.len());
            for (url, outcome) in call.urls.iter().zip(asked) {
                let outcome = outcome.await.unwrap_or_else(|e| Err(wrong(e.to_string())));
                results.push((url.clone(), outcome));
            }
            room.calls.set(room.calls.get().saturating_sub(1));
            room.go_on(Resumed { call, since, results });
        });
    }

    async fn fetch(&self, url: &str, left: Duration) -> Result<Fetched, Error> {
        let service = spread(url, &self.services)?;
        if left.is_zero() {
            return Err(failed(url, "is not fetched: its call was taken up too late"));
        }
        service.fetch(url, left).await
    }

    fn go_on(&self, call: Resumed) {
        // Its receiver lives as long as the tasks.
        let _ = self.resumed.send(call);
    }
}
