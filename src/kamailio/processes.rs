//! Processes of the module's own: Kamailio forks them, shows them in `core.psx`, and ends when one
//! of them does, as with any other of its processes.

use super::bindings::{
    PROC_INIT, PROC_MAIN, PROC_NOCHLDINIT, PROC_RPC, cfg_child_init, cfg_register_child,
    fork_process, ks_every, ks_follow_settings, register_procs,
};
use super::guard;
use crate::{functions, state};
use std::ffi::{CStr, c_int, c_uint, c_void};

/// How often the files of trust anchors, intermediates and CRLs are looked at where no call does, in
/// seconds; a look at files that did not change takes microseconds.
const WATCH_EVERY: c_int = 2;

/// The main process's rank.
const MAIN: c_int = PROC_MAIN as c_int;

/// Tells Kamailio, before it forks, how many processes there will be; 0, or negative.
pub(super) fn announce() -> c_int {
    // SAFETY: called from mod_init; the function stays.
    if unsafe { ks_every(WATCH_EVERY, Some(watch_files)) } < 0 {
        log::error!("Kamailio has no timer for it");
        return -1;
    }
    let (fetchers, workers) = state::processes();
    let count = c_int::try_from(fetchers + workers).unwrap_or_default();
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

/// Kamailio calls this in its secondary timer, a process that has time.
unsafe extern "C" fn watch_files(_ticks: c_uint, _param: *mut c_void) {
    guard::catch(state::watch_files);
}

/// Kamailio calls this in each process, and in the main one before it forks the TCP workers.
pub(super) unsafe extern "C" fn child_init(rank: c_int) -> c_int {
    let (fetchers, workers) = state::processes();
    if rank == PROC_INIT {
        return 0;
    }
    // A hundred workers see the same files: the timer speaks for all.
    guard::catch(|| state::speak(false));
    if fetchers == 0 {
        return 0;
    }
    if rank == MAIN {
        for number in 0..fetchers {
            // It runs no script, so no module has to get ready for it.
            let serve = || state::serve(usize::try_from(number).unwrap_or(usize::MAX));
            if fork(PROC_NOCHLDINIT, c"SECSIPID fetcher", serve) < 0 {
                return -1;
            }
        }
        for _ in 0..workers {
            // It runs the script, so it has what other processes that do have.
            let failed = fork(PROC_RPC, c"SECSIPID async worker", || {
                if let Err(error) = functions::go_on_with_calls() {
                    log::error!("{}", error.message());
                }
            });
            if failed < 0 {
                return -1;
            }
        }
    }
    // Calls arrive in async workers, which are forked of the main process and have no rank of SIP's.
    guard::catch(|| state::close_listeners(rank >= MAIN));
    0
}

/// Forks a process for this, which is its whole life; 0, or negative.
fn fork(rank: c_int, name: &'static CStr, live: impl FnOnce()) -> c_int {
    // SAFETY: the main process may fork here; the name is a C text that stays.
    match unsafe { fork_process(rank, name.as_ptr().cast_mut(), 1) } {
        0 => {
            // SAFETY: every forked process has to call it once.
            if unsafe { cfg_child_init() } == 0 {
                guard::catch(live);
            }
            // Kamailio takes this for the loss of a process, which it is.
            std::process::exit(1)
        }
        1.. => 0,
        _ => -1,
    }
}

/// Has a fetcher take over what an operator has set (cfg.set); tm does that for async workers.
pub(crate) fn follow_settings() {
    // SAFETY: its only thread that enters Kamailio calls this, between two things that it does.
    unsafe { ks_follow_settings() };
}
