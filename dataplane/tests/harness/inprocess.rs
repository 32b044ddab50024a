//! Has scenarios answered by `answer::respond` itself: one query at a time, and all queries of a transport as a batch.
//!
//! No socket, clock or thread is involved, so a failure here is a failure of the answer and of nothing else.

use std::net::{IpAddr, Ipv4Addr};

use dataplane::answer::{Scratch, Settings, respond};
use dataplane::packet::{Outcome, Packet, Transport};
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

/// Answers `queries`, in order; `None` where nothing is to be sent.
pub(crate) fn answer(
    script: &Script,
    view: &View,
    transport: Transport,
    batch: Batch,
    queries: &[Vec<u8>],
) -> Vec<Option<Vec<u8>>> {
    let settings = Settings { udp_len_max: script.udp_len_max, version: script.version.clone() };
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
        Batch::All => respond(&settings, view, transport, &mut packets, &mut scratch),
        Batch::One => {
            for packet in &mut packets {
                respond(&settings, view, transport, std::slice::from_mut(packet), &mut scratch);
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
