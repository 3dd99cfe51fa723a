//! Many calls at once by one UDP socket, as another carrier's proxy sends them.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// When a request that is not answered is sent again (RFC 3261 §17.1.1.2), from its last sending.
const AGAIN: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
/// How long a caller waits for any answer.
const PATIENCE: Duration = Duration::from_secs(12);
/// How often one looks for what is due.
const TICK: Duration = Duration::from_millis(4);

/// How calls are sent to a port.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub port: u16,
    /// Calls a second at most.
    pub rate: u32,
    /// Calls under way at most.
    pub window: usize,
}

/// What became of a call.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// `X-Code` of the final reply; none if there was no reply.
    pub code: Option<i64>,
    pub wait: Duration,
}

struct Pending {
    number: usize,
    text: String,
    begun: Instant,
    sent: Instant,
    times: usize,
}

impl Load {
    /// Sends a call for each Identity header; what became of them, in their order.
    pub fn run<T: AsRef<str>>(&self, identities: impl IntoIterator<Item = T>) -> Vec<Answered> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(TICK)).unwrap();
        let local = socket.local_addr().unwrap().to_string();
        let mut identities = identities.into_iter();
        let (started, mut looked) = (Instant::now(), Instant::now());
        let (mut answered, mut pending) = (Vec::new(), Vec::<Pending>::new());
        let (mut buffer, mut more) = (vec![0; 65_536], true);
        while more || !pending.is_empty() {
            let due = started.elapsed().as_secs_f64() * f64::from(self.rate);
            while more && pending.len() < self.window && (answered.len() as f64) < due {
                let Some(identity) = identities.next() else {
                    more = false;
                    break;
                };
                let (number, now) = (answered.len(), Instant::now());
                let text = request(number, &local, identity.as_ref());
                socket.send(text.as_bytes()).unwrap();
                pending.push(Pending { number, text, begun: now, sent: now, times: 0 });
                answered.push(Answered { code: None, wait: PATIENCE });
            }
            if looked.elapsed() >= TICK {
                looked = Instant::now();
                pending.retain_mut(|call| {
                    if AGAIN.get(call.times).is_some_and(|wait| call.sent.elapsed() >= *wait) {
                        socket.send(call.text.as_bytes()).unwrap();
                        call.sent = Instant::now();
                        call.times += 1;
                    }
                    call.begun.elapsed() < PATIENCE
                });
            }
            let len = match socket.recv(&mut buffer) {
                Ok(len) => len,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    continue;
                }
                Err(e) => panic!("Kamailio can't be reached: {e}"),
            };
            let Some((number, code)) = read(&buffer[..len]) else { continue };
            // A second reply to a request that was sent twice finds nobody.
            if let Some(place) = pending.iter().position(|call| call.number == number) {
                let call = pending.swap_remove(place);
                answered[number] = Answered { code: Some(code), wait: call.begun.elapsed() };
            }
        }
        answered
    }
}

fn request(number: usize, local: &str, identity: &str) -> String {
    format!(
        "INVITE sip:+12155551213@example.org SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\nFrom: <sip:+12155551212@example.com>;tag={number}\r\nTo: <sip:+12155551213@example.org>\r\nCall-ID: {number}@{local}\r\nCSeq: 1 INVITE\r\nContact: <sip:a@{local}>\r\nIdentity: {identity}\r\nContent-Length: 0\r\n\r\n"
    )
}

/// The number of the call that a final reply answers, and its code.
fn read(reply: &[u8]) -> Option<(usize, i64)> {
    let text = std::str::from_utf8(reply).ok()?;
    let field = |name: &str| text.split_once(name)?.1.split(['@', '\r']).next();
    let status: u16 = text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()?;
    let code = field("\r\nX-Code: ");
    (status >= 200).then_some(())?;
    Some((field("\r\nCall-ID: ")?.parse().ok()?, code?.parse().ok()?))
}

/// What a share of the waits does not exceed, in thousandths.
pub fn share(answered: &[Answered], thousandths: usize) -> Duration {
    let mut waits: Vec<_> = answered.iter().map(|call| call.wait).collect();
    waits.sort_unstable();
    waits[(waits.len() * thousandths / 1000).min(waits.len() - 1)]
}
