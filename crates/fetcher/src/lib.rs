//! Downloads STIR/SHAKEN certificates in one process for many others.
//!
//! The service ([`run`]) owns every socket to the network: one download for a URL however many wait
//! for it, kept as long as RFC 9111 says, fetched anew before its time is over, and shared through a
//! folder and Redis. Callers ask it with [`RemoteFetcher`], which blocks, has one deadline for
//! everything and starts no thread.
#![forbid(unsafe_code)]

mod address;
mod cache;
mod channel;
mod client;
mod download;
mod freshness;
mod hosts;
mod protocol;
mod redis;
mod resolve;
mod serve;
mod service;
mod settings;
mod sharing;
mod slots;
mod stats;
mod tiers;
mod upkeep;
mod waiting;

pub use address::Address;
pub use client::RemoteFetcher;
pub use protocol::Listed;
pub use serve::{Shutdown, run};
pub use settings::{Settings, limits};
pub use stats::{FETCH_BUCKETS, Stats};
pub use waiting::{Handover, Inbox, Resumed, Suspended, Waiting};
