//! A connection to a service with many requests at once, for a process that waits for many calls.

use crate::address::Address;
use crate::client::{self, Connection};
use crate::protocol::{self, MAX_REPLY, Reply, Request};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};
use stir::{Fetched, Result};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;

/// Time to connect, in which nothing else goes on: a service that runs takes it at once.
const CONNECT: Duration = Duration::from_millis(100);

/// A service's address, and the connection to it while there is one.
pub(crate) struct Channel {
    address: Address,
    open: RefCell<Option<Rc<Open>>>,
}

/// Requests that are not answered yet, by their numbers.
type Pending = Rc<RefCell<HashMap<u32, oneshot::Sender<Reply>>>>;

struct Open {
    requests: mpsc::UnboundedSender<Vec<u8>>,
    pending: Pending,
    next: Cell<u32>,
}

impl Channel {
    pub(crate) fn new(address: Address) -> Self {
        Self { address, open: RefCell::new(None) }
    }

    /// The certificate at a URL, within this time.
    pub(crate) async fn fetch(&self, url: &str, timeout: Duration) -> Result<Fetched> {
        let failed = |e: io::Error| client::failed(&self.address, &e, timeout);
        let deadline = Instant::now() + timeout;
        let open = self.open().map_err(failed)?;
        let (number, answer) = open.ask(&client::get(url, timeout));
        let reply = match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => return Err(failed(io::ErrorKind::ConnectionReset.into())),
            Err(_) => {
                open.pending.borrow_mut().remove(&number);
                return Err(failed(io::ErrorKind::TimedOut.into()));
            }
        };
        client::fetched(reply)
    }

    fn open(&self) -> io::Result<Rc<Open>> {
        let mut open = self.open.borrow_mut();
        match &*open {
            Some(open) if !open.requests.is_closed() => Ok(Rc::clone(open)),
            _ => {
                let connected = Connection::open(&self.address, Instant::now() + CONNECT)?;
                Ok(Rc::clone(open.insert(Rc::new(Open::new(connected)?))))
            }
        }
    }
}

impl Open {
    fn new(connection: Connection) -> io::Result<Self> {
        connection.stream.set_nonblocking(true)?;
        let (read, mut write) = UnixStream::from_std(connection.stream)?.into_split();
        let (requests, mut queue) = mpsc::unbounded_channel::<Vec<u8>>();
        let writer = spawn_local(async move {
            while let Some(request) = queue.recv().await {
                if write.write_all(&request).await.is_err() {
                    return;
                }
            }
        });
        let pending = Pending::default();
        let answers = Rc::clone(&pending);
        spawn_local(async move {
            if let Err(e) = read_all(read, &answers).await {
                log::debug!("a fetcher's connection ends: {e}");
            }
            // With it goes the queue: the next request connects anew. Who waits is told.
            writer.abort();
            answers.borrow_mut().clear();
        });
        Ok(Self { requests, pending, next: Cell::new(0) })
    }

    fn ask(&self, request: &Request) -> (u32, oneshot::Receiver<Reply>) {
        let number = self.next.get().wrapping_add(1);
        self.next.set(number);
        let (sender, answer) = oneshot::channel();
        if self.requests.send(request.encode(number)).is_ok() {
            self.pending.borrow_mut().insert(number, sender);
        }
        (number, answer)
    }
}

async fn read_all(read: OwnedReadHalf, pending: &Pending) -> io::Result<()> {
    let mut read = BufReader::new(read);
    loop {
        let frame = protocol::read(&mut read, MAX_REPLY).await?;
        let (number, reply) = Reply::decode(&frame).ok_or_else(protocol::junk)?;
        if let Some(waiter) = pending.borrow_mut().remove(&number) {
            // Its call may have given up.
            let _ = waiter.send(reply);
        }
    }
}
