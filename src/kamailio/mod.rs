//! Everything that touches Kamailio: the only unsafe code of the module.
//!
//! Kamailio runs a process per worker, and each worker runs one script at a time on its main
//! thread. What C calls comes in through [`guard`]; what goes out to C lives in [`tables`] (static)
//! or in the process's state (until the next call).

#[allow(
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unnecessary_transmutes,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    reason = "bindgen wrote it"
)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
mod counters;
mod guard;
mod log;
mod memory;
mod message;
mod params;
mod parties;
mod processes;
mod rpc;
mod tables;
mod transactions;
mod variables;

pub(crate) use counters::{Counter, add, counted};
pub(crate) use memory::shared;
pub(crate) use message::{Message, MessageId, NULL, parse_format};
pub(crate) use processes::follow_settings;
pub(crate) use rpc::{Field, Rpc};
pub(crate) use tables::VERSION;
pub(crate) use transactions::resume;
