//! Answers questions of one kind so that callgrind can count instructions: `benches KIND NAMES QUERIES`.
//!
//! The difference between two runs that differ only in QUERIES is the cost of the answers: set-up cancels out.

use std::net::{IpAddr, Ipv4Addr};

use benches::{KINDS, queries, view};
use dataplane::answer::{BATCH_LEN, Scratch, Settings, respond};
use dataplane::packet::{Arrival, Packet, Transport};

/// Reads the arguments, answers, and fails on anything but replies.
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, names, count] = arguments.as_slice() else { std::process::exit(2) };
    let kind = KINDS.into_iter().find(|known| format!("{known:?}").eq_ignore_ascii_case(kind));
    let (Some(kind), Ok(names), Ok(count)) = (kind, names.parse(), count.parse::<u32>()) else { std::process::exit(2) };
    let view = view(&kind.zone(names));
    // The same few thousand questions over and over: building them must not dominate what is counted.
    let asked = queries(kind, names, 4096);
    let settings = Settings::default();
    let arrival = Arrival { transport: Transport::Udp, now_secs: 0 };
    let mut scratch = Scratch::new();
    let mut buffers = vec![[0u8; 2048]; BATCH_LEN];
    let mut replies = 0;
    for batch in asked.chunks(BATCH_LEN).cycle().take(count as usize / BATCH_LEN) {
        let mut packets: Vec<_> = buffers
            .iter_mut()
            .zip(batch)
            .map(|(buf, query)| {
                buf[..query.len()].copy_from_slice(query);
                Packet::new(buf, query.len(), IpAddr::V4(Ipv4Addr::LOCALHOST))
            })
            .collect();
        respond(&settings, &view, arrival, &mut packets, &mut scratch);
        replies += packets.iter().filter(|packet| packet.reply_len() > 0).count();
    }
    if replies != count as usize / BATCH_LEN * BATCH_LEN {
        std::process::exit(1);
    }
}
