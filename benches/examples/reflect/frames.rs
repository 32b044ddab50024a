//! Over AF_XDP: the engine of the data plane with nothing behind it.

use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dataplane::engine;
use dataplane::packet::{Outcome, Packet};
use serde_json::json;

/// How soon a signal is seen while nothing comes.
const SIGNAL_LATENCY: Duration = Duration::from_millis(100);
/// The octet of the header that has the bit QR.
const QR_OFF: usize = 2;

/// Says where it listens, and reflects until `ended`; returns how many datagrams.
pub(crate) fn reflect(listen: SocketAddr, interface: &str, ended: &AtomicBool) -> io::Result<u64> {
    let socket = UdpSocket::bind(listen)?;
    let addr = socket.local_addr()?;
    let mut attached = engine::attach(interface, socket)?;
    writeln!(io::stdout(), "{}", json!({ "listen": addr.to_string() }))?;
    let mut count = 0;
    while !ended.load(Ordering::Relaxed) {
        count += u64::from(attached.engine.turn(SIGNAL_LATENCY, &mut turn_round)?.sent);
    }
    Ok(count)
}

/// Has every datagram go back with the bit QR set.
fn turn_round(packets: &mut [Packet<'_>]) {
    for packet in packets {
        if let Some(flags) = packet.buf.get_mut(QR_OFF) {
            *flags |= 0x80;
        }
        packet.outcome = Outcome::Reply { len: packet.query_len, rcode: 0, truncated: false };
    }
}
