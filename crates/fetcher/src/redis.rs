//! Redis, as far as it is needed here: RESP2, GET, SET, DEL. It is not trusted, and never waited
//! for: what does not answer at once is left alone for a while.

use crate::settings::limits::{
    MAX_REDIS_PAUSE, MAX_REDIS_TIMEOUT, REDIS_CONNECTIONS, REDIS_PAUSE, REDIS_TIMEOUT,
};
use crate::settings::wrong;
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};
use stir::Result;
use stir::fetch::MAX_LEN;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Largest value: a certificate and its head with the URL.
const MAX_VALUE: usize = MAX_LEN + 8192;
/// Longest line of an answer: an error message.
const MAX_LINE: u64 = 512;
const DEFAULT_PORT: u16 = 6379;

/// Where Redis is, and as whom to log in.
pub(crate) struct Server {
    host: String,
    port: u16,
    /// The words after AUTH.
    login: Vec<String>,
    db: u32,
    /// For a command, connection included.
    timeout: Duration,
}

impl Server {
    /// Reads `redis://[user:password@]host[:port][/db][?timeout=ms]`. Messages leave out what may be
    /// a password.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            wrong(format!(
                "cache_url {why}: give redis://[user:password@]host[:port][/db][?timeout=ms]"
            ))
        };
        let url = reqwest::Url::parse(text).map_err(|e| bad(&format!("is no URL ({e})")))?;
        if url.scheme() != "redis" {
            return Err(bad(&format!("begins with {}://, not redis://", url.scheme())));
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| bad("names no host"))?;
        let db = match url.path().trim_start_matches('/') {
            "" => 0,
            text => text.parse().map_err(|_| bad(&format!("has \"{text}\" for a db number")))?,
        };
        let mut timeout = REDIS_TIMEOUT;
        for (name, value) in url.query_pairs() {
            if name != "timeout" {
                // It may be a part of a password.
                return Err(bad("has an option that is none"));
            }
            timeout = value
                .parse()
                .ok()
                .map(Duration::from_millis)
                .filter(|time| (Duration::from_millis(1)..=MAX_REDIS_TIMEOUT).contains(time))
                .ok_or_else(|| {
                    let most = MAX_REDIS_TIMEOUT.as_millis();
                    bad(&format!("has timeout \"{value}\", not 1 to {most} milliseconds"))
                })?;
        }
        let decoded = |text: &str| percent_decoded(text).ok_or_else(|| bad("has a broken % in it"));
        let login = [decoded(url.username())?, decoded(url.password().unwrap_or_default())?];
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(DEFAULT_PORT),
            login: login.into_iter().filter(|word| !word.is_empty()).collect(),
            db,
            timeout,
        })
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            octets.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        octets.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(octets).ok()
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
enum Value {
    Nil,
    Status,
    Bulk(Vec<u8>),
}

/// What became of a command.
pub(crate) enum Answer<T> {
    Done(T),
    Failed,
    /// Not sent.
    Skipped,
}

pub(crate) struct Redis {
    server: Server,
    idle: RefCell<Vec<BufReader<TcpStream>>>,
    busy: Cell<usize>,
    failures: Cell<u32>,
    off: Cell<Option<Instant>>,
}

impl Redis {
    pub(crate) fn new(server: Server) -> Self {
        let (busy, failures, off) = (Cell::new(0), Cell::new(0), Cell::new(None));
        Self { server, idle: RefCell::default(), busy, failures, off }
    }

    pub(crate) async fn get(&self, key: &str) -> Answer<Option<Vec<u8>>> {
        match self.command(&[b"GET", key.as_bytes()]).await {
            Answer::Done(Value::Bulk(value)) => Answer::Done(Some(value)),
            Answer::Done(_) => Answer::Done(None),
            Answer::Failed => Answer::Failed,
            Answer::Skipped => Answer::Skipped,
        }
    }

    /// Sets a value that Redis forgets after this time.
    pub(crate) async fn set(&self, key: &str, value: &[u8], time: Duration) -> Answer<()> {
        let millis = time.as_millis().max(1).to_string();
        self.done(&[b"SET", key.as_bytes(), value, b"PX", millis.as_bytes()]).await
    }

    /// Sets a mark that is gone after this time; whether it was not there.
    pub(crate) async fn mark(&self, key: &str, time: Duration) -> Answer<bool> {
        let seconds = time.as_secs().max(1).to_string();
        let command = [b"SET", key.as_bytes(), b"1", b"NX", b"EX", seconds.as_bytes()];
        match self.command(&command).await {
            Answer::Done(value) => Answer::Done(value == Value::Status),
            Answer::Failed => Answer::Failed,
            Answer::Skipped => Answer::Skipped,
        }
    }

    pub(crate) async fn delete(&self, key: &str) -> Answer<()> {
        self.done(&[b"DEL", key.as_bytes()]).await
    }

    async fn done(&self, words: &[&[u8]]) -> Answer<()> {
        match self.command(words).await {
            Answer::Done(_) => Answer::Done(()),
            Answer::Failed => Answer::Failed,
            Answer::Skipped => Answer::Skipped,
        }
    }

    async fn command(&self, words: &[&[u8]]) -> Answer<Value> {
        let off = self.off.get().is_some_and(|until| Instant::now() < until);
        // After a failure one command tries alone.
        let most = if self.failures.get() > 0 { 1 } else { REDIS_CONNECTIONS };
        if off || self.busy.get() >= most {
            return Answer::Skipped;
        }
        self.busy.set(self.busy.get() + 1);
        let result = tokio::time::timeout(self.server.timeout, self.exchange(words)).await;
        self.busy.set(self.busy.get() - 1);
        let why = match result {
            Ok(Ok(value)) => {
                self.failures.set(0);
                return Answer::Done(value);
            }
            Ok(Err(e)) => e.to_string(),
            Err(_) => format!("no answer in {} ms", self.server.timeout.as_millis()),
        };
        self.idle.borrow_mut().clear();
        let failures = self.failures.get();
        let pause = REDIS_PAUSE.saturating_mul(1 << failures.min(8)).min(MAX_REDIS_PAUSE);
        self.failures.set(failures.saturating_add(1));
        self.off.set(Some(Instant::now() + pause));
        log::warn!(
            "cache_url: Redis at {}:{} fails ({why}); it is left alone for {} s",
            self.server.host,
            self.server.port,
            pause.as_secs()
        );
        Answer::Failed
    }

    async fn exchange(&self, words: &[&[u8]]) -> io::Result<Value> {
        let idle = self.idle.borrow_mut().pop();
        let mut stream = match idle {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        let value = ask(&mut stream, words).await?;
        self.idle.borrow_mut().push(stream);
        Ok(value)
    }

    async fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = crate::resolve::connect(&self.server.host, self.server.port).await?;
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        if !self.server.login.is_empty() {
            let mut words: Vec<&[u8]> = vec![b"AUTH"];
            words.extend(self.server.login.iter().map(String::as_bytes));
            ask(&mut stream, &words).await?;
        }
        if self.server.db != 0 {
            ask(&mut stream, &[b"SELECT", self.server.db.to_string().as_bytes()]).await?;
        }
        Ok(stream)
    }
}

async fn ask(stream: &mut BufReader<TcpStream>, words: &[&[u8]]) -> io::Result<Value> {
    let mut command = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        command.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        command.extend_from_slice(word);
        command.extend_from_slice(b"\r\n");
    }
    stream.get_mut().write_all(&command).await?;
    answer(stream).await
}

async fn answer(stream: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Value> {
    let junk = |why: &str| io::Error::new(ErrorKind::InvalidData, why.to_owned());
    let mut line = Vec::new();
    (&mut *stream).take(MAX_LINE).read_until(b'\n', &mut line).await?;
    let line = line.strip_suffix(b"\r\n").ok_or_else(|| junk("its answer is not Redis's"))?;
    match line.split_first() {
        Some((b'+' | b':', _)) => Ok(Value::Status),
        Some((b'-', why)) => Err(junk(&String::from_utf8_lossy(why))),
        Some((b'$', b"-1")) => Ok(Value::Nil),
        Some((b'$', length)) => {
            let length = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok());
            let Some(length) = length.filter(|length: &usize| *length <= MAX_VALUE) else {
                return Err(junk("it has a value that is too large to be a certificate"));
            };
            let mut value = vec![0; length + 2];
            stream.read_exact(&mut value).await?;
            if !value.ends_with(b"\r\n") {
                return Err(junk("its answer is not Redis's"));
            }
            value.truncate(length);
            Ok(Value::Bulk(value))
        }
        _ => Err(junk("its answer is not Redis's")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let server = Server::parse("redis://u:p%40ss@r.example:7000/3").unwrap();
        assert_eq!((server.host.as_str(), server.port, server.db), ("r.example", 7000, 3));
        assert_eq!(server.login, ["u", "p@ss"]);
        assert_eq!(Server::parse("redis://:pw@r").unwrap().login, ["pw"]);
        assert_eq!(Server::parse("redis://[::1]").unwrap().host, "::1");
        assert_eq!(server.timeout, REDIS_TIMEOUT);
        let far = Server::parse("redis://r/1?timeout=250").unwrap();
        assert_eq!((far.db, far.timeout), (1, Duration::from_millis(250)));
        for bad in [
            "",
            "r:6379",
            "http://r",
            "redis://",
            "redis://r/x",
            "redis://:secret%@r",
            "redis://r?timeout=0",
            "redis://r?timeout=5001",
            "redis://r?timeout=1s",
            "redis://r?tls=1",
            "redis://r?secret@x=1",
        ] {
            let error = Server::parse(bad).err().unwrap_or_else(|| panic!("{bad} passes"));
            assert!(error.message().contains("cache_url"), "{bad}: {error}");
            assert!(!error.message().contains("secret"), "{error}");
        }
    }

    #[test]
    fn answers_and_junk() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = |text: &[u8]| runtime.block_on(answer(&mut BufReader::new(text)));
        assert_eq!(read(b"+OK\r\n").unwrap(), Value::Status);
        assert_eq!(read(b"$-1\r\n").unwrap(), Value::Nil);
        assert_eq!(read(b"$3\r\na\0b\r\n").unwrap(), Value::Bulk(b"a\0b".to_vec()));
        assert_eq!(read(b"-ERR no\r\n").unwrap_err().to_string(), "ERR no");
        let long = [b'+'; 100_000];
        for junk in [
            &b""[..],
            b"\r\n",
            b"+OK",
            b"*1\r\n",
            b"$x\r\n",
            b"$-2\r\n",
            b"$99999999\r\n",
            b"$18446744073709551615\r\n",
            b"$3\r\nab",
            b"$3\r\nabcde",
            b"HTTP/1.1 400\r\n",
            &long,
        ] {
            assert!(read(junk).is_err(), "{:?}", String::from_utf8_lossy(junk));
        }
    }
}
