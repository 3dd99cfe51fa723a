//! How many connections are open, in all at a listener and from one address: idle ones of one listener,
//! or of one client, must leave room for the others.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The bits of an IPv6 address that a client does not choose: it has a network of its own (RFC 4291 §2.5.1).
const CLIENT_BITS: u32 = 64;

/// The connections of one listener.
pub struct Connections {
    most: usize,
    most_each: usize,
    open: Mutex<Open>,
}

/// Never more entries than connections.
#[derive(Default)]
struct Open {
    all: usize,
    each: HashMap<IpAddr, usize>,
}

/// A place among them, until it is dropped.
pub struct Place {
    connections: Arc<Connections>,
    client: IpAddr,
}

impl Connections {
    /// At most so many in all, and of one address.
    pub fn new(most: usize, most_each: usize) -> Arc<Self> {
        Arc::new(Self { most, most_each, open: Mutex::default() })
    }

    /// A place for this address, if there is one.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let client = client(address);
        let mut open = self.open();
        let mine = open.each.get(&client).copied().unwrap_or_default();
        if open.all >= self.most || mine >= self.most_each {
            return None;
        }
        open.all += 1;
        open.each.insert(client, mine + 1);
        Some(Place { connections: Arc::clone(self), client })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.all -= 1;
        if let Some(mine) = open.each.get_mut(&self.client) {
            *mine -= 1;
            if *mine == 0 {
                open.each.remove(&self.client);
            }
        }
    }
}

fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << CLIENT_BITS)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_in_all_and_for_each_client() {
        let connections = Connections::new(3, 2);
        let take = |address: &str| connections.take(address.parse().unwrap());
        let first = take("192.0.2.1").unwrap();
        // The same address in two writings.
        let second = take("::ffff:192.0.2.1").unwrap();
        assert!(take("192.0.2.1").is_none());
        let third = take("2001:db8::1").unwrap();
        assert!(take("192.0.2.2").is_none());
        drop(first);
        // The same network.
        let fourth = take("2001:db8::ffff:1").unwrap();
        drop(second);
        assert!(take("2001:db8::2").is_none());
        let fifth = take("2001:db8:0:1::2").unwrap();
        drop((third, fourth, fifth));
        assert!(connections.open().each.is_empty() && connections.open().all == 0);
    }
}
