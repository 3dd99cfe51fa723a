//! Keeps fork() out of signing. The cryptography library takes locks of its own for random numbers,
//! also to notice a fork: one that another thread holds at that moment would stay locked in the
//! child for ever.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How long a fork waits for threads that sign: a signature takes some µs, the first of a thread
/// some ms. A signal handler that forks may have interrupted one, which never ends in that time.
const PATIENCE: Duration = Duration::from_millis(200);

/// Threads that sign.
static SIGNING: AtomicU32 = AtomicU32::new(0);
/// Threads that fork.
static FORKING: AtomicU32 = AtomicU32::new(0);

/// Signs, while no thread forks.
pub(crate) fn sign<T>(sign: impl FnOnce() -> T) -> T {
    // No Once: a thread that a fork cuts off in it would be waited for in the child.
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if !REGISTERED.swap(true, SeqCst) {
        // SAFETY: the handlers only use atomics and the clock, and stay mapped: the library is
        // linked with nodelete. If there is no memory to register them, a fork just does not wait.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    }
    let _signing = Signing::enter();
    sign()
}

/// Counted as signing until it is dropped, also by a panic.
struct Signing;

impl Signing {
    fn enter() -> Self {
        loop {
            SIGNING.fetch_add(1, SeqCst);
            let signing = Self;
            if FORKING.load(SeqCst) == 0 {
                return signing;
            }
            drop(signing);
            while FORKING.load(SeqCst) != 0 {
                std::thread::yield_now();
            }
        }
    }
}

impl Drop for Signing {
    fn drop(&mut self) {
        // In a child that was forked in the middle of it the count is 0 already.
        let _ = SIGNING.fetch_update(SeqCst, SeqCst, |signing| signing.checked_sub(1));
    }
}

extern "C" fn before() {
    FORKING.fetch_add(1, SeqCst);
    let start = Instant::now();
    while SIGNING.load(SeqCst) != 0 && start.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
}

extern "C" fn in_parent() {
    FORKING.fetch_sub(1, SeqCst);
}

/// The only thread here is the one that forked.
extern "C" fn in_child() {
    FORKING.store(0, SeqCst);
    SIGNING.store(0, SeqCst);
}
