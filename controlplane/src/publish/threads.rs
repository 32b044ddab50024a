//! Threads of the publisher.
//!
//! Invariant: none of them ends by a panic while the process goes on.

use std::io;
use std::thread::{self, JoinHandle};

/// Starts a thread; should it panic, the process ends. Without it changes would be taken that nobody ever publishes.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let guarded = move || {
        let _guard = EndOnPanic;
        run();
    };
    thread::Builder::new().name(name.into()).spawn(guarded)
}

/// Ends the process when it is dropped by a panic; whoever started us does so again.
struct EndOnPanic;

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}
