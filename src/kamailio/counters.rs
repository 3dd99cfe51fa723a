//! Kamailio's counters of group `secsipid`: `kamcmd stats.fetch secsipid:` (kex), and what exports
//! them (xhttp_prom).

use super::bindings::{
    counter_cbk_f, counter_get_val, counter_handle_t, counter_register, counter_val_t,
    ks_counter_add,
};
use super::guard;
use crate::state;
use std::ffi::{CString, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

const GROUP: &std::ffi::CStr = c"secsipid";

/// Makes the counters and their names.
macro_rules! counters {
    ($($(#[$doc:meta])* $counter:ident $name:literal,)+) => {
        /// What a process counts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Counter {
            $($(#[$doc])* $counter,)+
        }

        const COUNTERS: [(Counter, &str); [$($name),+].len()] = [$((Counter::$counter, $name),)+];
    };
}

counters! {
    Signed "signed",
    /// Neither signed nor checked: a key file, a URL, an argument.
    Errors "errors",
    Verified "verified",
    // By the response that a failure stands for.
    Failed403 "failed_403",
    Failed428 "failed_428",
    Failed436 "failed_436",
    Failed437 "failed_437",
    Failed438 "failed_438",
    Failed500 "failed_500",
    // By the class of its code.
    FailedCertificate "failed_certificate",
    FailedToken "failed_token",
    FailedSignature "failed_signature",
    FailedHeader "failed_header",
    FailedFetch "failed_fetch",
    FailedCall "failed_call",
    /// Waited for certificates outside of any process.
    Suspended "suspended",
    /// Downloaded certificates in the process's own memory: found, and not.
    CacheHits "cache_hits",
    CacheMisses "cache_misses",
}

/// The handles of [`COUNTERS`], in their order.
static HANDLES: OnceLock<Vec<counter_handle_t>> = OnceLock::new();

/// Registers all of them, before Kamailio forks; 0, or negative.
pub(super) fn register() -> c_int {
    let mut handles = Vec::new();
    for (_, name) in COUNTERS {
        match one(name, None, null_mut()) {
            Some(handle) => handles.push(handle),
            None => return -1,
        }
    }
    HANDLES.get_or_init(|| handles);
    if one("lists_ending", Some(lists_ending), null_mut()).is_none() {
        return -1;
    }
    // The fetchers have counters of their own, which are asked for when somebody looks.
    for (number, name) in state::fetcher_counters().into_iter().enumerate() {
        if one(&format!("fetcher_{name}"), Some(read), number as *mut c_void).is_none() {
            return -1;
        }
    }
    0
}

/// Adds to a counter.
pub(crate) fn add(counter: Counter, count: u64) {
    let place = COUNTERS.iter().position(|(known, _)| *known == counter);
    if let Some(handle) = place.and_then(|place| HANDLES.get()?.get(place)) {
        let count = c_int::try_from(count).unwrap_or(c_int::MAX);
        // SAFETY: the handle was registered, and each process adds to its own copy.
        unsafe { ks_counter_add(*handle, count) };
    }
}

/// All counters and what all processes together have counted.
pub(crate) fn counted() -> Vec<(&'static str, u64)> {
    let handles = HANDLES.get().map(Vec::as_slice).unwrap_or_default();
    let value = |handle: &counter_handle_t| {
        // SAFETY: the handle was registered.
        u64::try_from(unsafe { counter_get_val(*handle) }).unwrap_or_default()
    };
    COUNTERS.iter().zip(handles).map(|((_, name), handle)| (*name, value(handle))).collect()
}

fn one(name: &str, read: counter_cbk_f, param: *mut c_void) -> Option<counter_handle_t> {
    let name = CString::new(name).ok()?;
    // SAFETY: all zeros is a handle that Kamailio fills in.
    let mut handle: counter_handle_t = unsafe { std::mem::zeroed() };
    // SAFETY: called from mod_init; Kamailio copies the names.
    let registered = unsafe {
        counter_register(&raw mut handle, GROUP.as_ptr(), name.as_ptr(), 0, read, param, null(), 0)
    };
    (registered >= 0).then_some(handle)
}

/// Signed lists that need a successor.
unsafe extern "C" fn lists_ending(_: counter_handle_t, _: *mut c_void) -> counter_val_t {
    let count = guard::catch(state::lists_ending).unwrap_or_default();
    counter_val_t::try_from(count).unwrap_or(counter_val_t::MAX)
}

/// A fetcher's counter, by its number.
unsafe extern "C" fn read(_: counter_handle_t, number: *mut c_void) -> counter_val_t {
    let value = guard::catch(|| state::fetcher_counter(number as usize)).flatten();
    counter_val_t::try_from(value.unwrap_or_default()).unwrap_or(counter_val_t::MAX)
}
