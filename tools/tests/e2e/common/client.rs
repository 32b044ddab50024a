//! A small DNS client: one question at a time, over UDP or TCP, each with a deadline.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use snapshot::dns::class::Class;
use snapshot::dns::message::{Edns, Flags, Message, Query};
use snapshot::dns::name::Name;
use snapshot::dns::rtype::Rtype;

/// How long a reply may take before it counts as lost.
const TIME_MAX: Duration = Duration::from_secs(5);
/// How many UDP sockets take turns, so that every worker of the server is asked.
const SOCKET_COUNT: usize = 8;
/// The payload size of the queries: replies of this many octets must not be truncated.
const UDP_LEN: u16 = 1232;

/// Asks one server.
pub(crate) struct Client {
    /// The server.
    server: SocketAddr,
    /// UDP sockets, each with a port of its own.
    sockets: Vec<UdpSocket>,
    /// The id of the latest query.
    id: u16,
}

impl Client {
    /// A client of `server`.
    pub(crate) fn new(server: SocketAddr) -> Client {
        let socket = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(server).unwrap();
            socket.set_read_timeout(Some(TIME_MAX)).unwrap();
            socket
        };
        Client { server, sockets: (0..SOCKET_COUNT).map(|_| socket()).collect(), id: 0 }
    }

    /// Asks over UDP.
    pub(crate) fn udp(&mut self, qname: &str, qtype: &str) -> io::Result<Message> {
        let query = self.query(qname, qtype);
        let socket = &self.sockets[usize::from(self.id) % SOCKET_COUNT];
        socket.send(&query)?;
        let mut reply = [0; 4096];
        loop {
            let len = socket.recv(&mut reply)?;
            // A late reply to a query that was given up is not this one's.
            if len > 2 && reply[..2] == query[..2] {
                return parse(&reply[..len]);
            }
        }
    }

    /// Asks over a new TCP connection.
    pub(crate) fn tcp(&mut self, qname: &str, qtype: &str) -> io::Result<Message> {
        let mut stream = self.connect()?;
        self.ask_on(&mut stream, qname, qtype)
    }

    /// Opens a TCP connection.
    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.server, TIME_MAX)?;
        stream.set_read_timeout(Some(TIME_MAX))?;
        stream.set_write_timeout(Some(TIME_MAX))?;
        Ok(stream)
    }

    /// Asks on a TCP connection (RFC 1035 section 4.2.2).
    pub(crate) fn ask_on(&mut self, stream: &mut TcpStream, qname: &str, qtype: &str) -> io::Result<Message> {
        let query = self.query(qname, qtype);
        let len = u16::try_from(query.len()).unwrap();
        stream.write_all(&[&len.to_be_bytes()[..], &query].concat())?;
        let mut len = [0; 2];
        stream.read_exact(&mut len)?;
        let mut reply = vec![0; usize::from(u16::from_be_bytes(len))];
        stream.read_exact(&mut reply)?;
        parse(&reply)
    }

    /// The next query in wire format.
    fn query(&mut self, qname: &str, qtype: &str) -> Vec<u8> {
        self.id = self.id.wrapping_add(1);
        let qname: Name = qname.parse().unwrap();
        let edns = Edns { payload_len: UDP_LEN, rcode_high: 0, version: 0, flags: 0, options: Vec::new() };
        let qtype: Rtype = qtype.parse().unwrap();
        let qname = qname.as_ref();
        let query = Query { id: self.id, flags: Flags::NONE, qname, qtype, qclass: Class::IN, edns: Some(edns) };
        query.to_wire().unwrap()
    }
}

/// Reads a reply strictly: any octet too many or too few is an error.
fn parse(reply: &[u8]) -> io::Result<Message> {
    Message::from_wire(reply).map_err(|cause| io::Error::new(io::ErrorKind::InvalidData, cause))
}
