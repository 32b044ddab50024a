//! Tells systemd how the process fares (sd_notify(3)): a datagram to the socket that `NOTIFY_SOCKET` names.
//!
//! Without that variable it does nothing. What systemd does not receive is not worth an error.

use std::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends one assignment, as `READY=1`.
pub(super) fn say(state: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return };
    // A leading @ stands for the abstract namespace.
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(&path),
    };
    // The main process changes with a binary upgrade, and systemd has to be told which it is.
    let message =
        if state == "READY=1" { format!("{state}\nMAINPID={}", std::process::id()) } else { state.to_owned() };
    let sent = address.and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(message.as_bytes(), &address)
    });
    if let Err(error) = sent {
        tracing::debug!(%error, "systemd was not told {state}");
    }
}
