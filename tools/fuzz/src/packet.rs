//! Queries: any datagram, answered from a fixed view, over UDP and TCP.

use crate::exchange;

/// Sends the bytes as they are.
pub(crate) fn check(bytes: &[u8]) {
    exchange::check(bytes);
}
