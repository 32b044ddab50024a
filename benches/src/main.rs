//! Answers questions of one kind so that callgrind can count instructions: `benches KIND NAMES QUERIES [guard]`.
//!
//! With `guard` they come from thousands of prefixes, none of them over its rate, to a responder that limits responses.
//! The difference between two runs that differ only in QUERIES is the cost of the answers: set-up cancels out.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use benches::{KINDS, queries, view};
use dataplane::answer::{BATCH_LEN, Scratch, Settings, respond};
use dataplane::guard::{self, Limit, Responses};
use dataplane::packet::{Arrival, Packet, Transport};
use dataplane::responder::Responder;

/// How many prefixes ask.
const PREFIXES: u32 = 1 << 11;

/// A responder with the limits of a server that nobody has configured.
fn guarded(settings: Settings) -> Responder {
    let kind = Limit { per_sec: 200, burst: 400 };
    let all = Limit { per_sec: 1000, burst: 1000 };
    let responses = Some(Responses { kind, all, slip: 2, v4_len: 24, v6_len: 56 });
    let seed = [0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321];
    Responder::guarded(settings, guard::Settings { responses, seed, ..guard::Settings::default() })
}

/// Reads the arguments, answers, and fails on anything but replies.
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (arguments, mut responder) = match arguments.as_slice() {
        [arguments @ .., word] if word == "guard" => (arguments, Some(guarded(Settings::default()))),
        arguments => (arguments, None),
    };
    let [kind, names, count] = arguments else { std::process::exit(2) };
    let kind = KINDS.into_iter().find(|known| format!("{known:?}").eq_ignore_ascii_case(kind));
    let (Some(kind), Ok(names), Ok(count)) = (kind, names.parse(), count.parse::<u32>()) else { std::process::exit(2) };
    let view = view(&kind.zone(names));
    // The same few thousand questions over and over: building them must not dominate what is counted.
    let asked = queries(kind, names, 4096);
    let settings = Settings::default();
    let arrival = Arrival { transport: Transport::Udp, now_secs: 0, lot: 0 };
    let mut scratch = Scratch::new();
    let mut buffers = vec![[0u8; 2048]; BATCH_LEN];
    let (mut replies, mut number) = (0, 0_u32);
    for batch in asked.chunks(BATCH_LEN).cycle().take(count as usize / BATCH_LEN) {
        let mut packets: Vec<_> = buffers
            .iter_mut()
            .zip(batch)
            .map(|(buf, query)| {
                buf[..query.len()].copy_from_slice(query);
                number += 1;
                let client = Ipv4Addr::from_bits(0x6400_0001 | ((number % PREFIXES) << 8));
                Packet::new(buf, query.len(), IpAddr::V4(client))
            })
            .collect();
        match &mut responder {
            // A hundred queries a second from each prefix.
            Some(responder) => {
                let now = Duration::from_micros(u64::from(number) * 5);
                responder.answer_at(&view, Transport::Udp, now, &mut packets);
            }
            None => respond(&settings, &view, arrival, &mut packets, &mut scratch),
        }
        replies += packets.iter().filter(|packet| packet.reply_len() > 0).count();
    }
    if replies != count as usize / BATCH_LEN * BATCH_LEN {
        std::process::exit(1);
    }
}
