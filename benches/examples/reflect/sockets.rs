//! Over a kernel socket: recvmmsg(2) and sendmmsg(2), batch by batch.

use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use benches::mmsg::{Batch, Towards, Wait};
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};

/// Octets of the kernel's buffers; as much as it allows is taken.
const BUFFER_LEN: usize = 4 << 20;
/// How soon a signal is seen while nothing comes.
const SIGNAL_LATENCY: Duration = Duration::from_millis(100);
/// The octet of the header that has the bit QR.
const QR_OFF: usize = 2;

/// Says where it listens, and reflects until `ended`; returns how many datagrams.
pub(crate) fn reflect(listen: SocketAddr, batch: usize, ended: &AtomicBool) -> io::Result<u64> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(BUFFER_LEN)?;
    socket.set_send_buffer_size(BUFFER_LEN)?;
    socket.bind(&listen.into())?;
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(SIGNAL_LATENCY))?;
    writeln!(io::stdout(), "{}", json!({ "listen": socket.local_addr()?.to_string() }))?;
    let mut batch = Batch::new(batch);
    let mut count = 0;
    while !ended.load(Ordering::Relaxed) {
        let got = match batch.receive(socket.as_fd(), Wait::ForOne) {
            Ok(got) => got,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => continue,
            Err(error) => return Err(error),
        };
        for slot in 0..got {
            if let Some(flags) = batch.datagram_mut(slot).get_mut(QR_OFF) {
                *flags |= 0x80;
            }
        }
        // What a full socket does not take is lost, as it is with a server.
        match batch.send(socket.as_fd(), got, Towards::Senders) {
            Ok(sent) => count += sent as u64,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}
