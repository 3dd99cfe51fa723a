//! Names to addresses, by the system's resolver. It blocks, so it runs in threads: few, with all
//! signals blocked, and those for servers that delivered before are apart from the others.

use crate::hosts::Names;
use crate::settings::limits::MAX_RESOLVERS;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, PoisonError};
use stir::X5uRules;
use stir::fetch::without_signals;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// For reqwest. A thread whose caller has gone stays until the name server has answered, and its
/// place with it.
pub(crate) struct Resolver {
    /// Names of servers that delivered.
    known: Names,
    places: [Arc<Semaphore>; 2],
    rules: Arc<X5uRules>,
}

impl Resolver {
    pub(crate) fn new(known: Names, rules: X5uRules) -> Self {
        let places = [(); 2].map(|()| Arc::new(Semaphore::new(MAX_RESOLVERS)));
        Self { known, places, rules: Arc::new(rules) }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let [for_known, for_new] = &self.places;
        let places = Arc::clone(if known.contains(name.as_str()) { for_known } else { for_new });
        let rules = Arc::clone(&self.rules);
        Box::pin(async move {
            let place = places.acquire_owned().await?;
            let found = blocking(move || {
                let found = (name.as_str(), 0).to_socket_addrs();
                drop(place);
                found
            })
            .await?;
            let found: Vec<SocketAddr> = found.collect();
            match found.iter().find_map(|address| rules.refuses(address.ip())) {
                Some(why) => Err(why.into()),
                None => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}

/// Connects to the first address that takes it.
pub(crate) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let host = host.to_owned();
    let mut found: Vec<SocketAddr> = match host.parse() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => blocking(move || Ok((host, port).to_socket_addrs()?.collect())).await?,
    };
    let last = found.pop().ok_or(io::ErrorKind::NotFound)?;
    for address in found {
        if let Ok(stream) = TcpStream::connect(address).await {
            return Ok(stream);
        }
    }
    TcpStream::connect(last).await
}

/// Runs in a thread that takes none of the host's signals.
pub(crate) async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    without_signals(|| tokio::task::spawn_blocking(run)).await.map_err(io::Error::other)?
}
