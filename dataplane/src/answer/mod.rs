//! From a query and a view to a reply: authoritative answering (RFC 1034 section 4.3.2, RFC 4592, RFC 2308).
//!
//! A function of its arguments: no socket, no clock, no randomness. [`respond`] serves every transport. It works on
//! batches in stages, each stage asking for the memory that the next one reads; the stages are hints, the answer comes
//! from the last one alone. Invariant: after the call every packet has an outcome, and nothing was allocated.

mod additional;
mod alias;
mod chaos;
mod cookie;
mod extras;
mod lots;
mod place;
mod proof;
mod resolve;
mod subnet;

use std::time::Duration;

use snapshot::dns::class::Class;
use snapshot::dns::lookup_name::LookupName;
use snapshot::dns::rtype::Rtype;
use snapshot::image::{NameHashes, View, ZoneId};

use self::alias::Redirects;
use self::extras::Extras;
use self::lots::Lots;
use self::proof::Proofs;
use crate::packet::{Arrival, DropReason, Outcome, Packet, Transport};
use crate::wire::{self, MESSAGE_LEN_MAX, Parsed, Query, Rcode, UDP_LEN_PLAIN, Writer};

pub use self::cookie::{CookiePolicy, Cookies, SECRET_LEN, Secret};
pub use self::extras::NSID_LEN_MAX;
pub(crate) use self::lots::mixed;
pub use self::subnet::Subnets;

/// How many packets are worked on side by side; longer slices are answered in such pieces. 32 hides the memory latency
/// of a million names; the lanes still fit the first cache level.
pub const BATCH_LEN: usize = 32;

/// What the operator can set about answers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Largest UDP reply in bytes, at least 512; also what we announce to take (RFC 6891 section 6.2.5).
    pub udp_len_max: u16,
    /// The text of `version.bind. CH TXT`, at most 255 octets; `None` refuses the question.
    pub version: Option<String>,
    /// Who answers, for those who ask by NSID (RFC 5001) or for `id.server. CH TXT`: at most [`NSID_LEN_MAX`] octets;
    /// `None` does not tell.
    pub nsid: Option<String>,
    /// About cookies (RFC 7873).
    pub cookies: Cookies,
    /// How long a TCP connection may be idle, for those who ask (RFC 7828); `None` does not tell.
    pub tcp_idle: Option<Duration>,
    /// Whose word about the subnets of clients is taken (RFC 7871).
    pub subnets: Subnets,
}

impl Default for Settings {
    /// 1232 bytes pass every path without fragments; version and name are nobody's business; cookies need a secret.
    fn default() -> Settings {
        Settings {
            udp_len_max: 1232,
            version: None,
            nsid: None,
            cookies: Cookies::default(),
            tcp_idle: None,
            subnets: Subnets::default(),
        }
    }
}

/// What a worker keeps between batches so that nothing is allocated per query.
pub struct Scratch {
    /// One lane per packet of a batch.
    lanes: Vec<Lane>,
    /// What the composing of one answer needs.
    work: Work,
    /// What was asked for by options; empty unless a packet is being answered that has some.
    extras: Extras,
}

/// Memory that composing an answer needs, reused from query to query.
#[derive(Default)]
struct Work {
    /// A name that came up: a server of a delegation, a mail exchanger.
    name: LookupName,
    /// Which denials of existence the answer will have.
    proofs: Proofs,
    /// The DNAMEs that the answer has.
    redirects: Redirects,
    /// The RRset in the answer whose targets' addresses follow.
    mentioned: Option<Mentioned>,
    /// What chooses between answers.
    lots: Lots,
}

/// An RRset of the answer that names hosts.
#[derive(Clone, Copy)]
struct Mentioned {
    /// Its zone.
    id: ZoneId,
    /// Its node there.
    word: u32,
    /// Its type.
    rtype: Rtype,
    /// Where its records are in the reply.
    at: usize,
}

/// A packet between the stages.
struct Lane {
    /// Its qname.
    name: LookupName,
    /// What it asks.
    parsed: Parsed,
    /// The zone it falls into, and its hashes there.
    zone: Option<(ZoneId, NameHashes)>,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch::new()
    }
}

impl Scratch {
    /// Lanes for one worker: about 16 KiB.
    #[must_use]
    pub fn new() -> Scratch {
        let lane = || Lane { name: LookupName::default(), parsed: Parsed::Drop(DropReason::Short), zone: None };
        Scratch {
            lanes: std::iter::repeat_with(lane).take(BATCH_LEN).collect(),
            work: Work::default(),
            extras: Extras::default(),
        }
    }
}

/// What may turn queries away once their zone is known, before they cost more.
pub trait Gate {
    /// Whether a query that falls into this zone, or into none, is to be answered.
    fn admits(&mut self, zone: Option<ZoneId>) -> bool;
}

/// What holds for all packets of a batch.
struct Context<'c> {
    /// What the operator has set.
    settings: &'c Settings,
    /// What is answered from.
    view: &'c View,
    /// How and when the batch came.
    arrival: Arrival,
}

/// Answers every packet in place: after the call no outcome is [`Outcome::Pending`].
///
/// Packets whose outcome is already decided (cut by the receive buffer) are left alone.
pub fn respond(settings: &Settings, view: &View, arrival: Arrival, packets: &mut [Packet<'_>], scratch: &mut Scratch) {
    respond_through(None, settings, view, arrival, packets, scratch);
}

/// [`respond`] for those that `gate` admits; the others are dropped as [`DropReason::Unfair`].
pub fn respond_through(
    mut gate: Option<&mut dyn Gate>,
    settings: &Settings,
    view: &View,
    arrival: Arrival,
    packets: &mut [Packet<'_>],
    scratch: &mut Scratch,
) {
    let context = Context { settings, view, arrival };
    scratch.work.lots.begin(arrival.lot);
    for batch in packets.chunks_mut(BATCH_LEN) {
        stage(view, batch, &mut scratch.lanes, &mut gate);
        for (packet, lane) in batch.iter_mut().zip(&scratch.lanes) {
            if packet.outcome == Outcome::Pending {
                // True until the reply is whole: a panic leaves this one half written, and its successors untouched.
                packet.outcome = Outcome::Drop(DropReason::Panic);
                packet.notes.zone = lane.zone.map(|(id, _)| id.number());
                packet.outcome = reply(&context, packet, lane, &mut scratch.work, &mut scratch.extras);
            }
        }
    }
}

/// Parses a batch and fetches the memory that its answers will read.
fn stage(view: &View, batch: &[Packet<'_>], lanes: &mut [Lane], gate: &mut Option<&mut dyn Gate>) {
    for (packet, lane) in batch.iter().zip(&mut *lanes) {
        lane.zone = None;
        if packet.outcome != Outcome::Pending {
            lane.parsed = Parsed::Drop(DropReason::Oversize);
            continue;
        }
        let message = packet.buf.get(..packet.query_len).unwrap_or_default();
        lane.parsed = wire::parse(message, &mut lane.name);
        if let Parsed::Query(_) = lane.parsed {
            view.hint_zone(&lane.name);
        }
    }
    let lanes = &mut lanes[..batch.len()];
    for lane in &*lanes {
        if let Parsed::Query(_) = lane.parsed {
            view.hint_zone_ref(&lane.name);
        }
    }
    for lane in &mut *lanes {
        if let Parsed::Query(query) = lane.parsed {
            let id = resolve::zone_of(view, &lane.name, query.qtype);
            if let Some(gate) = gate
                && !gate.admits(id)
            {
                lane.parsed = Parsed::Drop(DropReason::Unfair);
                continue;
            }
            lane.zone = id.and_then(|id| Some((id, view.get(id)?.hint_buckets(&lane.name))));
        }
    }
    for lane in &*lanes {
        if let Some((id, hashes)) = lane.zone
            && let Some(zone) = view.get(id)
        {
            zone.hint_node(hashes);
        }
    }
}

/// Answers one packet.
fn reply(context: &Context<'_>, packet: &mut Packet<'_>, lane: &Lane, work: &mut Work, extras: &mut Extras) -> Outcome {
    let Context { settings, view, arrival: Arrival { transport, .. } } = *context;
    let (query, mut fixed) = match lane.parsed {
        Parsed::Drop(reason) => return Outcome::Drop(reason),
        Parsed::Error { rcode, query } => (query, Some(rcode)),
        // An error unless cookies are answered.
        Parsed::Bare(query) => (query, Some(Rcode::FormErr)),
        Parsed::Query(query) => (query, None),
    };
    let options_len = match query.has_options() {
        false => 0,
        true => {
            let options_len = extras::grant(context, packet, lane, &query, &mut fixed, extras);
            packet.notes.cookie = extras.proves();
            options_len
        }
    };
    work.lots.clear();
    let client = &packet.client;
    let mut writer = Writer::new(packet.buf, &query, len_max(settings, transport, &query), options_len);
    let rcode = match fixed {
        Some(rcode) => rcode,
        None if query.qclass == Class::IN => {
            let (query, name, zone) = (&query, &lane.name, &lane.zone);
            let question = resolve::Question { view, query, name, zone, transport, client, extras };
            resolve::answer(&question, &mut writer, work)
        }
        None if query.qclass == Class::CH => chaos::answer(settings, &query, &lane.name, &mut writer),
        None => Rcode::Refused,
    };
    if options_len > 0 || (rcode.is_error() && query.edns.is_some()) {
        extras.hold_for(work.lots.scope());
        extras::put(context, lane, rcode, extras, &mut writer);
    }
    let truncated = writer.truncated;
    let len = writer.finish(&query, rcode, settings.udp_len_max);
    Outcome::Reply { len, rcode: rcode as u16, truncated }
}

/// How long the reply to a query may be.
fn len_max(settings: &Settings, transport: Transport, query: &Query) -> usize {
    match (transport, query.edns) {
        (Transport::Tcp, _) => MESSAGE_LEN_MAX,
        (Transport::Udp, None) => UDP_LEN_PLAIN,
        (Transport::Udp, Some(edns)) => usize::from(edns.udp_len.min(settings.udp_len_max)).max(UDP_LEN_PLAIN),
    }
}
