//! Has scenarios answered by `answer::respond` itself: one query at a time, all queries of a transport as a batch, and
//! over the memory engine.
//!
//! No socket, clock or thread is involved, so a failure here is a failure of the answer and of nothing else.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use dataplane::answer::{Cookies, Scratch, Secret, Settings, respond};
use dataplane::engine::Engine;
use dataplane::engine::memory::Memory;
use dataplane::packet::{Arrival, Outcome, Packet, Transport};
use snapshot::image::View;

use super::script::Script;

/// The room of a reply, as a TCP worker has it.
const BUF_LEN: usize = 65_535;
/// Who asks.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How many queries are answered by one call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Batch {
    /// One.
    One,
    /// All.
    All,
}

/// What a server has with the configuration of a scenario.
fn settings(script: &Script) -> Settings {
    Settings {
        udp_len_max: script.udp_len_max,
        version: script.version.clone(),
        nsid: script.nsid.clone(),
        cookies: Cookies::new(script.cookies, vec![Secret([7; 16])]),
        tcp_idle: Some(Duration::from_secs(10)),
        ..Settings::default()
    }
}

/// Queries that come in 2027.
fn arrival(transport: Transport) -> Arrival {
    Arrival { transport, now_secs: 1_800_000_000, lot: 0 }
}

/// Answers `queries`, in order; `None` where nothing is to be sent.
pub(crate) fn answer(
    script: &Script,
    view: &View,
    transport: Transport,
    batch: Batch,
    queries: &[Vec<u8>],
) -> Vec<Option<Vec<u8>>> {
    let settings = settings(script);
    let mut scratch = Scratch::new();
    // Poisoned, so that a reply that claims bytes nobody wrote is seen.
    let mut bufs: Vec<Vec<u8>> =
        queries.iter().map(|query| [query.as_slice(), &vec![0xaa; BUF_LEN]].concat()).collect();
    let mut packets: Vec<Packet<'_>> = bufs
        .iter_mut()
        .zip(queries)
        .map(|(buf, query)| Packet::new(&mut buf[..BUF_LEN.max(query.len())], query.len(), CLIENT))
        .collect();
    match batch {
        Batch::All => respond(&settings, view, arrival(transport), &mut packets, &mut scratch),
        Batch::One => {
            for packet in &mut packets {
                respond(&settings, view, arrival(transport), std::slice::from_mut(packet), &mut scratch);
            }
        }
    }
    packets
        .iter()
        .map(|packet| match packet.outcome {
            Outcome::Reply { len, .. } => Some(packet.buf[..len].to_vec()),
            Outcome::Drop(_) => None,
            Outcome::Pending => panic!("respond left a packet pending"),
        })
        .collect()
}

/// Sends `queries` as datagrams through the memory engine, each from a client of its own; `None` where nothing came back.
pub(crate) fn through_memory(script: &Script, view: &View, queries: &[Vec<u8>]) -> Vec<Option<Vec<u8>>> {
    let settings = settings(script);
    let mut scratch = Scratch::new();
    let clients: Vec<IpAddr> = (1..).take(queries.len()).map(|number| Ipv4Addr::from_bits(number).into()).collect();
    let mut engine = Memory::default();
    engine.queries.extend(clients.iter().copied().zip(queries.iter().cloned()));
    while !engine.queries.is_empty() {
        let mut serve =
            |packets: &mut [Packet<'_>]| respond(&settings, view, arrival(Transport::Udp), packets, &mut scratch);
        engine.turn(Duration::ZERO, &mut serve).expect("memory does not fail");
    }
    let reply = |client| engine.replies.iter().find(|(to, _)| to == client).map(|(_, bytes)| bytes.clone());
    clients.iter().map(reply).collect()
}
