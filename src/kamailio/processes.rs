//! The processes that fetch certificates: Kamailio forks them, shows them in `core.psx`, and ends when
//! one of them does, as with any other of its processes.

use super::bindings::{
    PROC_INIT, PROC_MAIN, PROC_NOCHLDINIT, cfg_child_init, cfg_register_child, fork_process,
    register_procs,
};
use super::guard;
use crate::state;
use std::ffi::c_int;

/// The main process's rank.
const MAIN: c_int = PROC_MAIN as c_int;

/// Tells Kamailio, before it forks, how many processes there will be; 0, or negative.
pub(super) fn announce() -> c_int {
    let count = c_int::try_from(state::fetchers()).unwrap_or_default();
    if count == 0 {
        return 0;
    }
    // SAFETY: called from mod_init, where Kamailio counts processes.
    unsafe {
        if register_procs(count) < 0 {
            return -1;
        }
        cfg_register_child(count);
    }
    0
}

/// Kamailio calls this in each process, and in the main one before it forks the TCP workers.
pub(super) unsafe extern "C" fn child_init(rank: c_int) -> c_int {
    if rank == PROC_INIT || state::fetchers() == 0 {
        return 0;
    }
    if rank == MAIN {
        for number in 0..state::fetchers() {
            // SAFETY: the main process may fork here; the name is a C text.
            let pid = unsafe {
                fork_process(PROC_NOCHLDINIT, c"SECSIPID fetcher".as_ptr().cast_mut(), 1)
            };
            match pid {
                0 => fetch(number),
                1.. => {}
                _ => return -1,
            }
        }
    }
    guard::catch(state::close_listeners);
    0
}

/// A fetcher's whole life.
fn fetch(number: u32) -> ! {
    // SAFETY: every forked process has to call it once.
    if unsafe { cfg_child_init() } == 0 {
        guard::catch(|| state::serve(usize::try_from(number).unwrap_or(usize::MAX)));
    }
    // Kamailio takes this for the loss of a process, which it is.
    std::process::exit(1)
}
