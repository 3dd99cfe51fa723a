//! The threads that serve: one for each processor, each with a runtime of its own. A connection
//! stays on the one it was given to: its requests take microseconds, and to hand them from thread
//! to thread would cost as much as to sign.

use super::wrong;
use std::sync::Arc;
use std::thread::{self, available_parallelism};
use stir::{Error, Result};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// All of them.
pub struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    /// Each of its connections owns a part.
    connections: Arc<()>,
}

/// Runs `main` on this thread, the first worker, with the others beside it until it ends. Tasks
/// that block share the threads of the runtime that it runs on, which are at most `blocking`.
///
/// # Errors
/// What `main` says; threads that can't be started.
pub fn run<F: Future<Output = Result<()>>>(
    blocking: usize,
    main: impl FnOnce(Arc<Workers>) -> F,
) -> Result<()> {
    let first = runtime(blocking)?;
    let mut workers = vec![Worker::new(&first)];
    let mut others = Vec::new();
    for _ in 1..available_parallelism().map_or(1, usize::from) {
        let runtime = runtime(blocking)?;
        workers.push(Worker::new(&runtime));
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new()
            .name("worker".into())
            // Nothing is ever sent: it ends when `stop` goes.
            .spawn(move || drop(runtime.block_on(stopped)))
            .map_err(cant_start)?;
        others.push((stop, thread));
    }
    let result = first.block_on(main(Arc::new(Workers(workers))));
    for (stop, thread) in others {
        drop(stop);
        // A panic of it was printed.
        let _ = thread.join();
    }
    // A download may still be waiting for its host: nobody waits for it any more.
    first.shutdown_background();
    result
}

impl Workers {
    /// Serves a connection on the worker that has the fewest.
    pub fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let Some(worker) =
            self.0.iter().min_by_key(|worker| Arc::strong_count(&worker.connections))
        else {
            return;
        };
        let part = Arc::clone(&worker.connections);
        worker.runtime.spawn(async move {
            connection.await;
            drop(part);
        });
    }
}

impl Worker {
    fn new(runtime: &Runtime) -> Self {
        Self { runtime: runtime.handle().clone(), connections: Arc::default() }
    }
}

fn runtime(blocking: usize) -> Result<Runtime> {
    Builder::new_current_thread()
        .max_blocking_threads(blocking)
        .enable_all()
        .build()
        .map_err(cant_start)
}

fn cant_start(e: std::io::Error) -> Error {
    wrong(format!("the service can't start its threads: {e}"))
}
