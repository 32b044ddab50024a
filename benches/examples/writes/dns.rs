//! Asks the data plane for addresses over UDP.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

/// A socket towards the data plane.
pub(crate) struct Asker {
    /// The socket.
    socket: UdpSocket,
    /// The id of the next query.
    id: u16,
}

impl Asker {
    /// Asks the server at `address`.
    pub(crate) fn new(address: &str) -> io::Result<Asker> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Asker { socket, id: 0 })
    }

    /// The one address of a name; empty if there is none.
    pub(crate) fn address(&mut self, name: &str) -> io::Result<String> {
        self.id = self.id.wrapping_add(1);
        let mut query = self.id.to_be_bytes().to_vec();
        query.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        for label in name.split('.') {
            query.push(u8::try_from(label.len()).map_err(io::Error::other)?);
            query.extend_from_slice(label.as_bytes());
        }
        query.extend_from_slice(&[0, 0, 1, 0, 1]);
        self.socket.send(&query)?;
        let mut reply = [0; 512];
        let len = loop {
            let len = self.socket.recv(&mut reply)?;
            if reply.get(..2) == Some(&self.id.to_be_bytes()) {
                break len;
            }
        };
        // With one answer and nothing behind it, the address is the end of the message.
        match reply.get(..len) {
            Some([.., a, b, c, d]) if reply[7] == 1 => Ok(format!("{a}.{b}.{c}.{d}")),
            _ => Ok(String::new()),
        }
    }
}
