//! A SIP user agent client: sends a request, takes the final reply.

use super::wait_for;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longer than any timeout that a test sets.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request; a default one is a call from 12155551212 to 12155551213.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub uri: String,
    pub from: String,
    pub to: String,
    /// Names and values of further header fields.
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub fn invite() -> Self {
        Self {
            method: "INVITE".into(),
            uri: "sip:+12155551213@example.org".into(),
            from: "<sip:+12155551212@example.com>".into(),
            to: "<sip:+12155551213@example.org>".into(),
            headers: Vec::new(),
        }
    }

    pub fn options() -> Self {
        Self { method: "OPTIONS".into(), ..Self::invite() }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn text(&self, transport: &str, local: &str) -> (String, String) {
        let id = new_id();
        (self.text_of(&id, transport, local), id)
    }

    /// The text of the request of a call with this identifier.
    fn text_of(&self, id: &str, transport: &str, local: &str) -> String {
        let Self { method, uri, from, to, .. } = self;
        let mut text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} {local};rport;branch=z9hG4bK{id}\r\nMax-Forwards: 70\r\nFrom: {from};tag={id}\r\nTo: {to}\r\nCall-ID: {id}\r\nCSeq: 1 {method}\r\nContact: <sip:test@{local}>\r\n"
        );
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("Content-Length: 0\r\n\r\n");
        text
    }
}

/// What is sent for a text. Characters from U+F700 to U+F7FF stand for single octets.
pub fn octets(text: &str) -> Vec<u8> {
    text.chars()
        .flat_map(|c| match u32::from(c) {
            code @ 0xf700..=0xf7ff => vec![(code & 0xff) as u8],
            _ => c.to_string().into_bytes(),
        })
        .collect()
}

fn new_id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A reply.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub reason: String,
    headers: Vec<(String, String)>,
}

impl Reply {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let mut first = lines.next()?.strip_prefix("SIP/2.0 ")?.splitn(2, ' ');
        let status = first.next()?.parse().ok()?;
        let reason = first.next().unwrap_or_default().to_owned();
        let headers = lines
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        Some(Self { status, reason, headers })
    }

    /// The first header field of this name; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value.as_str())
    }

    /// The number in a header field.
    pub fn number(&self, name: &str) -> i64 {
        let value = self.header(name);
        value.parse().unwrap_or_else(|_| panic!("{name} is {value:?}, no number: {self:?}"))
    }
}

/// A call over UDP, message by message.
pub struct UdpCall {
    socket: UdpSocket,
    port: u16,
    id: String,
    request: Request,
}

impl UdpCall {
    pub fn new(port: u16, request: Request) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        Self { socket, port, id: new_id(), request }
    }

    /// Sends the request, or it once more, or another of the same call (CANCEL).
    pub fn send(&self, method: &str) {
        let request = Request { method: method.into(), ..self.request.clone() };
        let local = self.socket.local_addr().unwrap().to_string();
        let text = request.text_of(&self.id, "UDP", &local);
        self.socket.send_to(text.as_bytes(), ("127.0.0.1", self.port)).unwrap();
    }

    /// The next reply, if there is one in this time.
    pub fn next(&self, limit: Duration) -> Option<Reply> {
        let mut buffer = vec![0; 65_536];
        self.socket.set_read_timeout(Some(limit)).unwrap();
        let len = uninterrupted(|| self.socket.recv(&mut buffer)).ok()?;
        Reply::parse(&String::from_utf8_lossy(&buffer[..len]))
    }

    /// The next final reply to a request of this method.
    pub fn last(&self, method: &str) -> Reply {
        loop {
            let reply = self.next(PATIENCE).unwrap_or_else(|| panic!("no reply to {method}"));
            if reply.status >= 200 && reply.header("CSeq").ends_with(method) {
                return reply;
            }
        }
    }
}

/// Reads again where a signal (of a child that ended) came between: that is not "no reply".
pub fn uninterrupted<T>(mut read: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    loop {
        match read() {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// A way to Kamailio.
pub struct Sip {
    port: u16,
    tcp: bool,
}

impl Sip {
    pub fn udp(port: u16) -> Self {
        Self { port, tcp: false }
    }

    pub fn tcp(port: u16) -> Self {
        Self { port, tcp: true }
    }

    /// Sends a request once; its final reply.
    pub fn send(&self, request: &Request) -> Reply {
        let shown: String = format!("{request:?}").chars().take(500).collect();
        self.try_send(request, PATIENCE).unwrap_or_else(|| panic!("no reply to {shown}…"))
    }

    pub fn try_send(&self, request: &Request, limit: Duration) -> Option<Reply> {
        if self.tcp { self.send_tcp(request, limit) } else { self.send_udp(request, limit) }
    }

    fn send_udp(&self, request: &Request, limit: Duration) -> Option<Reply> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (text, id) = request.text("UDP", &socket.local_addr().unwrap().to_string());
        socket.send_to(&octets(&text), ("127.0.0.1", self.port)).unwrap();
        let deadline = Instant::now() + limit;
        let mut buffer = vec![0; 65_536];
        while let Some(left) =
            deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
        {
            socket.set_read_timeout(Some(left)).unwrap();
            let len = match socket.recv(&mut buffer) {
                Ok(len) => len,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return None,
                Err(e) => panic!("no reply: {e}"),
            };
            let text = String::from_utf8_lossy(&buffer[..len]);
            match Reply::parse(&text) {
                Some(reply) if text.contains(&id) && reply.status >= 200 => return Some(reply),
                _ => {}
            }
        }
        None
    }

    fn send_tcp(&self, request: &Request, limit: Duration) -> Option<Reply> {
        let mut stream = wait_for("a TCP connection", limit, || {
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
        stream.set_read_timeout(Some(limit)).unwrap();
        let (text, _) = request.text("TCP", &stream.local_addr().unwrap().to_string());
        stream.write_all(text.as_bytes()).unwrap();
        let mut received = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let len = uninterrupted(|| stream.read(&mut buffer)).ok().filter(|len| *len > 0)?;
            received.extend_from_slice(&buffer[..len]);
            let text = String::from_utf8_lossy(&received).into_owned();
            let Some(end) = text.find("\r\n\r\n") else { continue };
            let reply = Reply::parse(&text)?;
            if reply.status >= 200 {
                return Some(reply);
            }
            received.drain(..end + 4);
        }
    }
}
