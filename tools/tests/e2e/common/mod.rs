//! What the tests share: the tool, a data plane, clients, load, and zones whose content tells their version.

pub(crate) mod client;
pub(crate) mod control;
pub(crate) mod faked;
pub(crate) mod load;
pub(crate) mod plane;
pub(crate) mod random;
pub(crate) mod reader;
pub(crate) mod tool;
pub(crate) mod versions;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by the one test that puts load on the machine.
static LOAD: Mutex<()> = Mutex::new(());

/// Waits until no other test of this program puts load on the machine.
pub(crate) fn take_turn() -> MutexGuard<'static, ()> {
    // A test that failed has left nothing behind that matters to the next one.
    LOAD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `full` if `PETREL_SOAK` is 1, else `short`.
pub(crate) fn soak<T>(short: T, full: T) -> T {
    if std::env::var("PETREL_SOAK").is_ok_and(|value| value == "1") { full } else { short }
}
