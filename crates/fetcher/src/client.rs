//! The callers' end: blocking, without threads, with one deadline for everything.

use crate::address::{self, Address};
use crate::protocol::{self, LENGTH, Listed, MAX_REPLY, Reply, Request};
use crate::settings::limits::MAX_URL_LEN;
use crate::stats::Stats;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, connect, setsockopt, socket, sockopt::SendTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::Uid;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use stir::fetch::Digest;
use stir::{Code, Error, Fetch, Fetched, Result};

/// The service's answer is due this part of the deadline before the caller's own end, so that it
/// says why there is no certificate.
const MARGIN_SHARE: u32 = 10;
/// … and no more than this.
const MAX_MARGIN: Duration = Duration::from_millis(100);
/// Time to connect for what is told without an answer: a call is waiting for its own.
const TELL: Duration = Duration::from_millis(5);
/// What an operator waits for services that hang, or a counter: the process may be a SIP worker.
const OPERATOR: Duration = Duration::from_secs(1);
/// … and no less for each of them: an order has to reach all.
const LEAST: Duration = Duration::from_millis(50);

/// Asks services for certificates; each URL is one service's. Opens its sockets at the first request
/// of the process that makes it.
pub struct RemoteFetcher {
    services: Vec<Service>,
    timeout: Duration,
}

struct Service {
    address: Address,
    /// With the process that made it: after a fork two would read each other's answers.
    connection: Mutex<Option<(u32, Connection)>>,
}

pub(crate) struct Connection {
    pub(crate) stream: UnixStream,
    next: u32,
}

impl RemoteFetcher {
    /// The services' addresses, in the same order in every process, and the time for one request.
    pub fn new(addresses: impl IntoIterator<Item = Address>, timeout: Duration) -> Self {
        let services = addresses
            .into_iter()
            .map(|address| Service { address, connection: Mutex::new(None) })
            .collect();
        Self { services, timeout }
    }

    /// What there is at hand for a URL, within `limit`: a certificate, or a failure that is
    /// remembered; `None` for what would have to be fetched.
    ///
    /// # Errors
    /// [`Code::HttpGet`] if its service does not answer, [`Code::HttpUrl`] for what is never fetched.
    pub fn peek(&self, url: &str, limit: Duration) -> Result<Option<Result<Fetched>>> {
        match self.of(url)?.exchange(&Request::Peek(url.into()), limit)? {
            Reply::Unknown => Ok(None),
            reply => Ok(Some(fetched(reply))),
        }
    }

    /// The certificate at a URL, within `limit`.
    ///
    /// # Errors
    /// As [`Fetch::fetch`].
    pub fn fetch_within(&self, url: &str, limit: Duration) -> Result<Fetched> {
        fetched(self.of(url)?.exchange(&get(url, limit), limit)?)
    }

    /// Has a URL fetched, and does not wait for it.
    ///
    /// # Errors
    /// [`Code::HttpGet`] if its service can't be had, [`Code::HttpUrl`] for what is never fetched.
    pub fn prefetch(&self, url: &str) -> Result<()> {
        self.of(url)?.ask(&Request::Prefetch(url.into()), self.operator()).map(drop)
    }

    /// Has one URL forgotten, or all: certificates in memory, and remembered failures.
    ///
    /// # Errors
    /// [`Code::HttpGet`] if a service can't be had; the others are asked all the same.
    pub fn flush(&self, url: Option<&str>) -> Result<()> {
        match url {
            Some(url) => self.of(url)?.ask(&Request::Flush(url.into()), self.operator()).map(drop),
            None => self.all(&Request::Flush(String::new())).map(drop),
        }
    }

    /// Certificates in the services' memories, those used last first.
    ///
    /// # Errors
    /// [`Code::HttpGet`] if a service can't be had.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let lists: Vec<Vec<Listed>> = self.parsed(&Request::List)?;
        Ok(lists.concat())
    }

    /// The counters of all services, added up.
    ///
    /// # Errors
    /// [`Code::HttpGet`] if a service can't be had.
    pub fn stats(&self) -> Result<Stats> {
        let all: Vec<Stats> = self.parsed(&Request::Stats)?;
        let mut sum = Stats::default();
        all.iter().for_each(|stats| sum.add(stats));
        Ok(sum)
    }

    fn parsed<T: serde::de::DeserializeOwned>(&self, request: &Request) -> Result<Vec<T>> {
        let mut parsed = Vec::new();
        for reply in self.all(request)? {
            let Reply::Text(text) = reply else { return Err(unexpected()) };
            parsed.push(serde_json::from_slice(&text).map_err(|_| unexpected())?);
        }
        Ok(parsed)
    }

    /// Asks every service, whatever the others answer.
    fn all(&self, request: &Request) -> Result<Vec<Reply>> {
        let deadline = Instant::now() + self.operator();
        let ask = |service: &Service| {
            let left = deadline.saturating_duration_since(Instant::now());
            service.ask(request, left.max(LEAST))
        };
        let replies: Vec<_> = self.services.iter().map(ask).collect();
        replies.into_iter().collect()
    }

    fn operator(&self) -> Duration {
        self.timeout.min(OPERATOR)
    }

    /// The service that a URL is spread to.
    fn of(&self, url: &str) -> Result<&Service> {
        spread(url, &self.services)
    }
}

/// The one of these that a URL is spread to, in every process the same.
pub(crate) fn spread<'a, T>(url: &str, services: &'a [T]) -> Result<&'a T> {
    if url.len() > MAX_URL_LEN {
        return Err(Error::new(
            Code::HttpUrl,
            format!("a URL of {} octets is not fetched: {MAX_URL_LEN} are the most", url.len()),
        ));
    }
    let mut hasher = DefaultHasher::new();
    url.hash(&mut hasher);
    let count = u64::try_from(services.len()).unwrap_or(u64::MAX).max(1);
    usize::try_from(hasher.finish() % count)
        .ok()
        .and_then(|index| services.get(index))
        .ok_or_else(|| Error::new(Code::HttpGet, "there is no fetcher: name its socket"))
}

/// What of a caller's time its service leaves over.
pub(crate) fn margin(timeout: Duration) -> Duration {
    (timeout / MARGIN_SHARE).min(MAX_MARGIN)
}

/// The request for a certificate within this time, most of which is its service's.
pub(crate) fn get(url: &str, timeout: Duration) -> Request {
    let millis = u32::try_from((timeout - margin(timeout)).as_millis()).unwrap_or(u32::MAX);
    Request::Get(millis, url.into())
}

/// What such a request is answered with.
pub(crate) fn fetched(reply: Reply) -> Result<Fetched> {
    match reply {
        Reply::Body(until, body) => Ok(Fetched::new(body, Some(until))),
        Reply::Failed(code, why) => Err(protocol::error(code, why)),
        _ => Err(unexpected()),
    }
}

/// What can't be done at this address, and why.
pub(crate) fn failed(address: &Address, error: &io::Error, limit: Duration) -> Error {
    let why = match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("does not answer in {} ms", limit.as_micros().div_ceil(1000))
        }
        _ => format!("can't be had: {error}"),
    };
    Error::new(Code::HttpGet, format!("the fetcher at {address} {why}"))
}

impl Fetch for RemoteFetcher {
    fn fetch(&self, url: &str) -> Result<Fetched> {
        self.fetch_within(url, self.timeout)
    }

    fn proven(&self, url: &str, body: &Digest) {
        // A service that can't be told now is told at the next download of this URL.
        if let Ok(service) = self.of(url) {
            service.tell(&Request::Proven(*body, url.into()));
        }
    }
}

impl Service {
    /// One request and its answer; an answer that says that it failed is an error.
    fn ask(&self, request: &Request, limit: Duration) -> Result<Reply> {
        match self.exchange(request, limit)? {
            Reply::Failed(code, why) => Err(protocol::error(code, why)),
            reply => Ok(reply),
        }
    }

    /// Tells it something, without an answer and without waiting for room to write.
    fn tell(&self, request: &Request) {
        let pid = std::process::id();
        let mut kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = kept.take().filter(|(owner, _)| *owner == pid).map(|(_, c)| Ok(c));
        let connection =
            connection.unwrap_or_else(|| Connection::open(&self.address, Instant::now() + TELL));
        // What was told in part closes the connection: the next request opens another.
        match connection.and_then(|connection| connection.tell(request)) {
            Ok(connection) => *kept = Some((pid, connection)),
            Err(e) => log::debug!("the fetcher at {} is not told: {e}", self.address),
        }
    }

    /// One request and its answer, whatever that says.
    fn exchange(&self, request: &Request, limit: Duration) -> Result<Reply> {
        let deadline = Instant::now() + limit;
        let failed = |e: io::Error| failed(&self.address, &e, limit);
        let pid = std::process::id();
        let mut kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out: what fails half-way is closed, for its answer could come later.
        let mut connection = kept.take().filter(|(owner, _)| *owner == pid).map(|(_, c)| c);
        loop {
            let used = connection.is_some();
            let mut current = match connection.take() {
                Some(connection) => connection,
                None => Connection::open(&self.address, deadline).map_err(failed)?,
            };
            match current.ask(request, deadline) {
                Ok(reply) => {
                    *kept = Some((pid, current));
                    return Ok(reply);
                }
                // A connection from before: its service may have been started anew since.
                Err(e) if used && gone(&e) => {}
                Err(e) => return Err(failed(e)),
            }
        }
    }
}

impl Connection {
    pub(crate) fn open(address: &Address, deadline: Instant) -> io::Result<Self> {
        let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        // This bounds connect too, which waits where the service does not accept.
        let left = i64::try_from(left(deadline)?.as_micros()).unwrap_or(i64::MAX);
        setsockopt(&fd, SendTimeout, &TimeVal::microseconds(left))?;
        let to = address.to_unix()?;
        // A signal ends the wait, and does not connect.
        while let Err(e) = connect(fd.as_raw_fd(), &to) {
            if e != Errno::EINTR {
                return Err(e.into());
            }
        }
        let owner = address::peer(&fd)?;
        if owner != Uid::effective().as_raw() && owner != 0 {
            return Err(io::Error::other(format!(
                "its socket is of user {owner}, neither root nor this process's"
            )));
        }
        Ok(Self { stream: UnixStream::from(fd), next: 0 })
    }

    fn tell(mut self, request: &Request) -> io::Result<Self> {
        let frame = request.encode(0);
        self.stream.set_nonblocking(true)?;
        let written = self.stream.write(&frame)?;
        self.stream.set_nonblocking(false)?;
        if written == frame.len() { Ok(self) } else { Err(ErrorKind::WriteZero.into()) }
    }

    fn ask(&mut self, request: &Request, deadline: Instant) -> io::Result<Reply> {
        self.next = self.next.wrapping_add(1);
        self.write(&request.encode(self.next), deadline)?;
        let mut octets = [0; LENGTH];
        self.read(&mut octets, deadline)?;
        let length = protocol::length(octets, MAX_REPLY)
            .map_err(|e| io::Error::new(ErrorKind::InvalidData, e.message()))?;
        let mut frame = vec![0; length];
        self.read(&mut frame, deadline)?;
        match Reply::decode(&frame) {
            Some((number, reply)) if number == self.next => Ok(reply),
            _ => Err(io::Error::new(ErrorKind::InvalidData, "its answer makes no sense")),
        }
    }

    fn write(&mut self, mut octets: &[u8], deadline: Instant) -> io::Result<()> {
        while !octets.is_empty() {
            self.stream.set_write_timeout(Some(left(deadline)?))?;
            match self.stream.write(octets) {
                Ok(written) => octets = octets.get(written..).unwrap_or_default(),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn read(&mut self, mut octets: &mut [u8], deadline: Instant) -> io::Result<()> {
        while !octets.is_empty() {
            self.stream.set_read_timeout(Some(left(deadline)?))?;
            match self.stream.read(octets) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => octets = octets.get_mut(count..).unwrap_or_default(),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// What is left of the time; never zero, which would be no limit.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    // Timeouts of sockets are in microseconds.
    if left < Duration::from_micros(1) { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Whether the other end has closed.
fn gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof
    )
}

pub(crate) fn unexpected() -> Error {
    Error::new(Code::HttpGet, "the fetcher's answer makes no sense: is it of another version?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{Backlog, bind, listen};

    #[test]
    fn a_service_that_does_not_accept_costs_the_deadline() {
        let address = Address::new(&format!("@fetcher-client-{}", std::process::id()));
        let fd =
            socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(fd.as_raw_fd(), &address.to_unix().unwrap()).unwrap();
        listen(&fd, Backlog::new(0).unwrap()).unwrap();
        // The first finds a place in the queue and no answer, those after it not even that.
        let limit = Duration::from_millis(200);
        let clients: Vec<_> =
            (0..3).map(|_| RemoteFetcher::new([address.clone()], limit)).collect();
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(Connection::open(&address, Instant::now() + limit));
        }
        assert!(held[2].is_err(), "the queue is full");
        for client in &clients {
            let started = Instant::now();
            let error = client.fetch("https://h/").unwrap_err();
            let took = started.elapsed();
            assert!(error.message().contains("does not answer in 200 ms"), "{error}");
            assert!(took > limit / 2 && took < limit * 50, "{took:?}");
        }
    }

    #[test]
    fn nobody_there() {
        let client = RemoteFetcher::new([Address::new("/nonexistent/socket")], MAX_MARGIN);
        let error = client.fetch("https://h/").unwrap_err();
        assert_eq!(error.code(), Code::HttpGet);
        assert!(error.message().contains("/nonexistent/socket can't be had"), "{error}");
        let none = RemoteFetcher::new([], MAX_MARGIN);
        assert!(none.fetch("https://h/").unwrap_err().message().contains("no fetcher"));
    }
}
