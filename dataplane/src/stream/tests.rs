//! Streams over loopback, with an answerer that echoes.
//!
//! Timeouts are tested by setting them so short, or so long, that only one outcome is possible.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::*;
use crate::packet::{Outcome, Packet, Transport};

/// How long tests wait for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Repeats the query; one that begins with `L` gets the longest reply, `D` none, `P` panics.
struct Echo;

impl Answer for Echo {
    type View = ();

    fn answer(&mut self, _: &(), transport: Transport, packets: &mut [Packet<'_>]) {
        assert_eq!(transport, Transport::Tcp);
        for packet in packets {
            let len = match packet.buf[0] {
                b'L' => packet.buf.len(),
                b'D' => continue,
                b'P' => panic!("asked to panic"),
                _ => packet.query_len,
            };
            packet.outcome = Outcome::Reply { len, rcode: 0, truncated: false };
        }
    }

    fn fork(&self) -> Echo {
        Echo
    }
}

/// Limits that no test reaches by accident.
const WIDE: Limits = Limits { connections_max: 1000, idle: PATIENCE, write: PATIENCE, drain: PATIENCE };

/// A stream thread, its counters and its address.
fn started(limits: Limits) -> (Stream, Arc<Block>, SocketAddr) {
    let block = Arc::new(Block::default());
    let stream = start(Arc::new(ArcSwap::from_pointee(())), Echo, Arc::clone(&block), limits).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    stream.listen(listener);
    (stream, block, addr)
}

/// A connected client that does not wait for ever.
fn connected(addr: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(addr).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    client.set_nodelay(true).unwrap();
    client
}

/// `text` as a frame.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(text.as_bytes());
    frame
}

/// The next message.
fn read(client: &mut TcpStream) -> String {
    let mut len = [0; 2];
    client.read_exact(&mut len).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
    client.read_exact(&mut message).unwrap();
    String::from_utf8_lossy(&message).into_owned()
}

/// Whether the server closes the connection without another byte.
fn is_closed(client: &mut TcpStream) -> bool {
    match client.read(&mut [0]) {
        Ok(len) => len == 0,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

/// Ends the stream thread.
fn end(stream: &Stream) {
    stream.retire();
    stream.wait();
}

#[test]
fn queries_split_anywhere_and_pipelined_ones_are_answered_in_order() {
    let (stream, block, addr) = started(WIDE);
    let mut client = connected(addr);
    for byte in frame("byte after byte") {
        client.write_all(&[byte]).unwrap();
    }
    assert_eq!(read(&mut client), "byte after byte");
    let pipelined: Vec<u8> = (100..400).flat_map(|number| frame(&format!("query no. {number}"))).collect();
    for part in pipelined.chunks(1001) {
        client.write_all(part).unwrap();
    }
    for number in 100..400 {
        assert_eq!(read(&mut client), format!("query no. {number}"));
    }
    drop(client);
    end(&stream);
    assert_eq!(block.value(Event::QueryTcp), 301);
    assert_eq!(block.value(Event::TcpClosed), 1);
}

#[test]
fn the_longest_messages_pass() {
    let (stream, _, addr) = started(WIDE);
    let mut client = connected(addr);
    client.write_all(&frame(&"q".repeat(65_535))).unwrap();
    assert_eq!(read(&mut client).len(), 65_535);
    client.write_all(&frame("Long reply, please")).unwrap();
    assert_eq!(read(&mut client).len(), 65_535);
    drop(client);
    end(&stream);
}

#[test]
fn what_is_no_query_ends_the_connection() {
    for bad in ["", "11 bytes...", "Drop this query", "Panic at this query"] {
        let (stream, _, addr) = started(WIDE);
        let mut client = connected(addr);
        client.write_all(&frame(bad)).unwrap();
        assert!(is_closed(&mut client), "{bad:?}");
        // The thread lives on.
        let mut other = connected(addr);
        other.write_all(&frame("next client!")).unwrap();
        assert_eq!(read(&mut other), "next client!");
        drop(other);
        end(&stream);
    }
}

#[test]
fn a_half_closed_client_still_gets_its_replies() {
    let (stream, _, addr) = started(WIDE);
    let mut client = connected(addr);
    client.write_all(&[frame("a whole query"), frame("another query")].concat()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read(&mut client), "a whole query");
    assert_eq!(read(&mut client), "another query");
    assert!(is_closed(&mut client));
    end(&stream);
}

#[test]
fn idle_and_half_sent_connections_are_closed_and_counted() {
    let (stream, block, addr) = started(Limits { idle: Duration::from_millis(20), ..WIDE });
    let mut silent = connected(addr);
    let mut half = connected(addr);
    half.write_all(&frame("never complete")[..9]).unwrap();
    assert!(is_closed(&mut silent));
    assert!(is_closed(&mut half));
    end(&stream);
    assert_eq!(block.value(Event::TcpTimeout), 2);
}

#[test]
fn a_client_that_never_reads_is_cut_off_and_holds_up_nobody() {
    let (stream, block, addr) = started(Limits { write: Duration::from_millis(50), ..WIDE });
    let mut deaf = connected(addr);
    let asks: Vec<u8> = (0..2000).flat_map(|_| frame("Long reply, please")).collect();
    // 2000 replies of 64 KiB fit into no socket buffer.
    deaf.write_all(&asks).ok();
    let mut other = connected(addr);
    other.write_all(&frame("meanwhile, here")).unwrap();
    assert_eq!(read(&mut other), "meanwhile, here");
    let begun = std::time::Instant::now();
    while block.value(Event::TcpTimeout) == 0 {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    drop((deaf, other));
    end(&stream);
}

#[test]
fn a_connection_over_the_limit_makes_the_most_silent_one_leave() {
    // One network may have half of them.
    let (stream, block, addr) = started(Limits { connections_max: 100, ..WIDE });
    let mut clients: Vec<_> = (0..50).map(|_| connected(addr)).collect();
    for client in &mut clients {
        client.write_all(&frame("I am connected")).unwrap();
    }
    for client in &mut clients {
        assert_eq!(read(client), "I am connected");
    }
    assert_eq!(block.value(Event::TcpEvicted), 0);
    // The first was the most silent, and is not any more.
    clients[0].write_all(&frame("me once more")).unwrap();
    assert_eq!(read(&mut clients[0]), "me once more");
    let mut client = connected(addr);
    client.write_all(&frame("room for me now")).unwrap();
    assert_eq!(read(&mut client), "room for me now");
    assert!(is_closed(&mut clients[1]));
    assert_eq!(block.value(Event::TcpEvicted), 1);
    drop((clients, client));
    end(&stream);
}

#[test]
fn retiring_closes_idle_connections_and_answers_what_has_come() {
    let (stream, _, addr) = started(WIDE);
    let mut idle = connected(addr);
    idle.write_all(&frame("now I am idle")).unwrap();
    assert_eq!(read(&mut idle), "now I am idle");
    let mut half = connected(addr);
    half.write_all(&frame("asked before")).unwrap();
    assert_eq!(read(&mut half), "asked before");
    let query = frame("half of me was late");
    half.write_all(&query[..5]).unwrap();
    // The half query has reached the server when a query on a later connection is answered after it.
    idle.write_all(&frame("a round trip")).unwrap();
    assert_eq!(read(&mut idle), "a round trip");
    stream.retire();
    assert!(is_closed(&mut idle));
    half.write_all(&query[5..]).unwrap();
    assert_eq!(read(&mut half), "half of me was late");
    assert!(is_closed(&mut half));
    stream.wait();
}
