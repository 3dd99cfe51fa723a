//! The secsipid module of Kamailio: STIR/SHAKEN in place of the stock module.
//!
//! Kamailio → `kamailio` (the only unsafe code) → `functions` → the `stir` crate.
#![deny(unsafe_code)]

#[forbid(unsafe_code)]
mod fetchers;
#[forbid(unsafe_code)]
mod functions;
#[allow(unsafe_code)]
mod kamailio;
#[forbid(unsafe_code)]
mod results;
#[forbid(unsafe_code)]
mod rpc;
#[forbid(unsafe_code)]
mod shared;
#[forbid(unsafe_code)]
mod state;
