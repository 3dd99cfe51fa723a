//! A bounded load on a service that runs: signs and checks calls over HTTP.

use crate::cli;
use crate::output;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stir::{Code, Error, Result};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Most requests of a connection: memory for their times is bounded.
const MAX_REQUESTS: usize = 1_000_000;
/// For the answers that are still due when the time is over.
const GRACE: Duration = Duration::from_secs(10);
/// The call that is signed; the service puts its own x5u in.
const CALL: &str = "12155550100,12025550100,A,,";

/// What came of one kind of request.
#[derive(Debug, Serialize)]
struct Measure {
    operation: &'static str,
    connections: u32,
    requests: usize,
    /// Those that were not answered 200.
    failed: usize,
    per_second: f64,
    /// Half of the answers came sooner.
    median_microseconds: u128,
    /// 99 of a hundred did.
    p99_microseconds: u128,
}

/// What a request is made of.
struct Target {
    host: String,
    path: String,
    token: Option<String>,
    body: Bytes,
}

/// `bench --url`
///
/// # Errors
/// A URL that can't be used; a service that can't be reached, or does not do what is asked.
pub fn bench(url: &str, args: &cli::Bench) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| wrong(format!("the load can't start: {e}")))?;
    let measures = runtime.block_on(measure(url, args))?;
    if args.json {
        let json = serde_json::json!({"url": url, "measures": measures});
        return Ok(output::print(&format!("{json}\n")));
    }
    let mut out = format!(
        "{:<14}{:>10}{:>8}{:>12}{:>12}{:>12}\n",
        "", "requests", "failed", "a second", "median µs", "p99 µs"
    );
    for one in &measures {
        out.push_str(&format!(
            "{:<14}{:>10}{:>8}{:>12.0}{:>12}{:>12}\n",
            one.operation,
            one.requests,
            one.failed,
            one.per_second,
            one.median_microseconds,
            one.p99_microseconds
        ));
    }
    Ok(output::print(&out))
}

async fn measure(url: &str, args: &cli::Bench) -> Result<[Measure; 2]> {
    let base: Uri = url.parse().map_err(|e| wrong(format!("{url:?} is no URL: {e}")))?;
    let host = base.authority().map(ToString::to_string).unwrap_or_default();
    if base.scheme_str() != Some("http") || host.is_empty() {
        return Err(wrong(format!("{url:?} is no http://host:port: TLS is not measured")));
    }
    let token = match &args.token_file {
        Some(path) => Some(crate::input::read(&path.display().to_string())?.trim().to_owned()),
        None => None,
    };
    let target = |path: &str, body: Bytes| {
        let path = format!("{}{path}", base.path().trim_end_matches('/'));
        Arc::new(Target { host: host.clone(), path, token: token.clone(), body })
    };
    let length = Duration::from_secs(args.seconds.into()) / 2;

    let sign = target("/v1/sign-csv", Bytes::from_static(CALL.as_bytes()));
    let identity = sign.first("let it sign here, or give --token-file").await?;
    let signed = sign.load("sign-csv", args.connections, length).await?;
    let check = target("/v1/check", identity);
    check.first("its check.key must belong to its sign.key").await?;
    Ok([signed, check.load("check", args.connections, length).await?])
}

impl Target {
    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let address = if self.host.rsplit(']').next().is_some_and(|end| end.contains(':')) {
            self.host.clone()
        } else {
            format!("{}:80", self.host)
        };
        let unreachable = |e: &dyn std::fmt::Display| wrong(format!("{address}: {e}"));
        let stream = TcpStream::connect(&address).await.map_err(|e| unreachable(&e))?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| unreachable(&e))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn send(&self, sender: &mut SendRequest<Full<Bytes>>) -> Result<(StatusCode, Bytes)> {
        let failed = |e: hyper::Error| wrong(format!("{}{}: {e}", self.host, self.path));
        let mut request = Request::post(&self.path).header(header::HOST, &self.host);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request
            .body(Full::new(self.body.clone()))
            .map_err(|e| wrong(format!("the request can't be written: {e}")))?;
        sender.ready().await.map_err(failed)?;
        let answer = sender.send_request(request).await.map_err(failed)?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(failed)?.to_bytes();
        Ok((status, body))
    }

    /// The body of an answer that must be good; what to do if it is not.
    async fn first(&self, hint: &str) -> Result<Bytes> {
        let asked = async { self.send(&mut self.connect().await?).await };
        let (status, body) = in_time(GRACE, asked).await?;
        if status == StatusCode::OK {
            return Ok(body);
        }
        let text = String::from_utf8_lossy(&body);
        let (host, path) = (&self.host, &self.path);
        Err(wrong(format!("{host}{path} answers {status}: {}; {hint}", text.trim())))
    }

    async fn load(
        self: &Arc<Self>,
        operation: &'static str,
        connections: u32,
        length: Duration,
    ) -> Result<Measure> {
        let start = Instant::now();
        let mut running = JoinSet::new();
        for _ in 0..connections {
            let target = Arc::clone(self);
            running.spawn(async move { target.one(start + length).await });
        }
        let all = async {
            let (mut times, mut failed) = (Vec::new(), 0);
            while let Some(done) = running.join_next().await {
                let (some, bad) = done.map_err(|e| wrong(format!("a connection: {e}")))??;
                times.extend(some);
                failed += bad;
            }
            Ok((times, failed))
        };
        let (mut times, failed): (Vec<Duration>, _) = in_time(length + GRACE, all).await?;
        let took = start.elapsed();
        times.sort_unstable();
        let at =
            |percent: usize| times.get(times.len() * percent / 100).map_or(0, Duration::as_micros);
        Ok(Measure {
            operation,
            connections,
            requests: times.len(),
            failed,
            // Exact: there are fewer than 2^52.
            per_second: times.len() as f64 / took.as_secs_f64(),
            median_microseconds: at(50),
            p99_microseconds: at(99),
        })
    }

    /// One connection: the time of each request, and how many failed.
    async fn one(&self, until: Instant) -> Result<(Vec<Duration>, usize)> {
        let mut sender = self.connect().await?;
        let (mut times, mut failed) = (Vec::new(), 0);
        while Instant::now() < until && times.len() < MAX_REQUESTS {
            let start = Instant::now();
            let (status, _) = self.send(&mut sender).await?;
            times.push(start.elapsed());
            failed += usize::from(status != StatusCode::OK);
        }
        Ok((times, failed))
    }
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| wrong(format!("the service does not answer in {} s", limit.as_secs()));
    tokio::time::timeout(limit, work).await.map_err(late)?
}

fn wrong(message: String) -> Error {
    Error::new(Code::Generic, message)
}
