//! Who gets an answer when there is too much: access, limits per client, limits on responses, and shares of zones.
//!
//! It stands on both sides of `answer`: before it, whoever may not ask is turned away and clients over their rate are held
//! back; within it, under overload, zones over their share lose queries; behind it, replies over UDP to a prefix over its
//! rate are dropped or truncated (response rate limiting), so that nobody can be flooded through us. Time comes as an
//! argument, state belongs to one worker and its size is fixed. Invariants: nothing is allocated per packet; TCP, clients
//! with a valid cookie and exempt prefixes are never limited; who keeps to the rate is never limited. RFC 5358, RFC 8906,
//! RFC 7873 section 5.2.3.

use std::net::IpAddr;
use std::sync::Arc;

use self::blank::{Holds, Word, blank};
use self::buckets::{Buckets, Leak};
use self::clock::Clock;
use self::shares::{Receiving, Shares};
use crate::answer::Gate;
use crate::packet::{DropReason, Outcome, Packet, Restraint, Transport};

mod blank;
mod buckets;
mod clock;
mod rules;
mod shares;

pub use rules::Rules;

/// Bursts that the meter of a prefix remembers: its own and that of a kind, so that the two never add up twice.
const METER_BURSTS: u64 = 2;
/// What the secrets are mixed with, so that small ones, as tests have them, spread hashes as well.
const SPREAD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03];
/// AA in the third octet of the header.
const AA: u8 = 4;

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// So often a second, at least 1.
    pub per_sec: u32,
    /// So often at once, at least 1.
    pub burst: u32,
}

/// What becomes of a query that is held back before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Nothing is sent.
    Drop,
    /// An empty reply with TC, so that an honest client comes back over TCP.
    Truncate,
    /// REFUSED.
    Refuse,
}

/// Limits on what is sent to a prefix over UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Responses {
    /// Replies of one kind about one zone. A prefix below it is not looked at any closer.
    pub kind: Limit,
    /// All replies to a prefix that is above it.
    pub all: Limit,
    /// Each so manieth reply over the limit is sent empty with TC; 0: none.
    pub slip: u32,
    /// Bits of an IPv4 address that make a prefix, up to 32.
    pub v4_len: u8,
    /// The same for IPv6, up to 64.
    pub v6_len: u8,
}

/// What the operator has set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who is denied and who exempt.
    pub rules: Arc<Rules>,
    /// What becomes of those who are denied.
    pub denied: Over,
    /// Queries of one address over UDP, whatever they ask, and what becomes of those over it.
    pub client: Option<(Limit, Over)>,
    /// Limits on responses.
    pub responses: Option<Responses>,
    /// Whether zones get shares under overload.
    pub fairness: Fairness,
    /// Bytes for the buckets of a worker.
    pub table_len: usize,
    /// What replies without an answer announce to take over UDP.
    pub udp_len: u16,
    /// Secrets, so that nobody can aim collisions.
    pub seed: [u64; 2],
}

/// What happens when a worker cannot keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fairness {
    /// Whoever comes is answered as long as there is time.
    Off,
    /// Zones over their share lose queries first.
    Zones,
}

impl Settings {
    /// The same for one of so many workers, each of which gets its share of the queries of a prefix: resolvers, and those
    /// who pretend to be some, ask from many ports, by which the kernel spreads. A single client asks from few, so what is
    /// limited by client stays as it is.
    #[must_use]
    pub fn shared_by(self, workers: usize) -> Settings {
        let workers = u32::try_from(workers).unwrap_or(u32::MAX).max(1);
        let share = |limit: Limit| Limit {
            per_sec: limit.per_sec.div_ceil(workers).max(1),
            burst: limit.burst.div_ceil(workers).max(1),
        };
        let of_worker = |all: Responses| Responses { kind: share(all.kind), all: share(all.all), ..all };
        Settings { responses: self.responses.map(of_worker), ..self }
    }
}

impl Default for Settings {
    /// No limits; zones get shares.
    fn default() -> Settings {
        Settings {
            rules: Arc::default(),
            denied: Over::Drop,
            client: None,
            responses: None,
            fairness: Fairness::Zones,
            table_len: 1 << 20,
            udp_len: 1232,
            seed: [0, 0],
        }
    }
}

/// Datagrams that were lost before a worker, ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lost {
    /// Because the queue of a socket of the kernel was full.
    pub queues: u64,
    /// Because the rings of an AF_XDP socket were full.
    pub rings: u64,
}

/// The limits on responses, made ready.
struct Ready {
    /// What was set.
    set: Responses,
    /// For the meter of a prefix: half of the burst is here and half in the kinds.
    meter: Leak,
    /// Of one kind about one zone.
    kind: Leak,
    /// Of all.
    all: Leak,
}

/// The guard of a worker.
pub(crate) struct Guard {
    /// What was set.
    settings: Settings,
    /// What hashes are made with.
    secrets: [u64; 2],
    /// The limits on responses.
    responses: Option<Ready>,
    /// The limit per client.
    client: Option<(Leak, Over)>,
    /// Time.
    clock: Clock,
    /// The time of this batch.
    now_ns: u64,
    /// All buckets, of prefixes, kinds and clients.
    buckets: Buckets,
    /// Under overload.
    shares: Shares,
    /// Whether there is overload.
    is_overloaded: bool,
    /// Replies over the limit.
    limited: u64,
    /// Datagrams that were lost before this worker.
    lost: Lost,
}

impl Guard {
    /// A guard with nothing against anybody yet.
    pub(crate) fn new(settings: Settings) -> Guard {
        let leak = |limit: Limit| Leak::new(limit.per_sec, limit.burst);
        let responses = settings.responses.map(|set| {
            let part = |burst: u32| Leak::new(set.kind.per_sec, burst);
            let (meter, kind) = (part(set.kind.burst.div_ceil(2)), part(set.kind.burst / 2));
            Ready { set, meter, kind, all: leak(set.all) }
        });
        let is_limiting = responses.is_some() || settings.client.is_some();
        Guard {
            secrets: [settings.seed[0] ^ SPREAD[0], settings.seed[1] ^ SPREAD[1]],
            responses,
            client: settings.client.map(|(limit, over)| (leak(limit), over)),
            clock: Clock::default(),
            now_ns: 0,
            buckets: Buckets::new(if is_limiting { settings.table_len } else { 0 }),
            shares: Shares::new(settings.seed[0] ^ settings.seed[1].rotate_left(32)),
            is_overloaded: false,
            limited: 0,
            lost: Lost::default(),
            settings,
        }
    }

    /// Another one with the same settings.
    pub(crate) fn fork(&self) -> Guard {
        Guard::new(self.settings.clone())
    }

    /// Before a batch is answered: turns away who may not ask, and clients over their rate. `shown_ns` is what the clock
    /// shows in nanoseconds, and may do what it likes; `is_full` says that there may be more than this batch took.
    #[inline]
    pub(crate) fn admit(&mut self, transport: Transport, shown_ns: u64, is_full: bool, packets: &mut [Packet<'_>]) {
        self.now_ns = self.clock.read(shown_ns);
        self.is_overloaded = transport == Transport::Udp
            && self.settings.fairness == Fairness::Zones
            && self.shares.turn(self.now_ns, is_full);
        if self.settings.rules.denies() || self.client.is_some() {
            self.turn_away(transport, packets);
        }
    }

    /// Takes note of how many datagrams were lost before this worker, ever.
    pub(crate) fn lose(&mut self, lost: Lost) {
        if lost.rings > self.lost.rings {
            self.shares.lose(Receiving::Cheap);
        } else if lost.queues > self.lost.queues {
            self.shares.lose(Receiving::Dear);
        }
        self.lost = lost;
    }

    /// What decides within the answering of this batch, if there is overload.
    #[inline]
    pub(crate) fn gate(&mut self) -> Option<&mut dyn Gate> {
        if self.is_overloaded { Some(&mut self.shares) } else { None }
    }

    /// Turns away who may not ask, and clients over their rate.
    fn turn_away(&mut self, transport: Transport, packets: &mut [Packet<'_>]) {
        for packet in packets.iter_mut().filter(|packet| packet.outcome == Outcome::Pending) {
            let class = self.settings.rules.class(packet.client);
            if class.is_denied {
                self.hold(packet, self.settings.denied, (DropReason::Denied, Restraint::Denied));
            } else if let Some((leak, over)) = self.client
                && transport == Transport::Udp
                && !self.buckets.pour(self.client_hash(packet.client), self.now_ns, leak)
                && !class.is_exempt
            {
                self.hold(packet, over, (DropReason::Client, Restraint::Client));
            }
        }
    }

    /// Decides the outcome of a query without having it answered.
    fn hold(&self, packet: &mut Packet<'_>, over: Over, (dropped, restraint): (DropReason, Restraint)) {
        let word = match over {
            Over::Drop => None,
            Over::Truncate => Some(Word::Truncated),
            Over::Refuse => Some(Word::Refused),
        };
        let sent = word.and_then(|word| blank(packet, Holds::Query, word, restraint, self.settings.udp_len));
        if sent.is_none() {
            packet.outcome = Outcome::Drop(dropped);
        }
    }

    /// After a batch was answered: holds back what is over the limits on responses.
    #[inline]
    pub(crate) fn judge(&mut self, transport: Transport, packets: &mut [Packet<'_>]) {
        let Some(Ready { set, meter, .. }) = &self.responses else { return };
        if transport != Transport::Udp {
            return;
        }
        let (set, meter) = (*set, *meter);
        for packet in packets {
            let Outcome::Reply { len, rcode, .. } = packet.outcome else { continue };
            if packet.notes.cookie {
                continue;
            }
            let hash = self.prefix_hash(packet.client, set);
            // A prefix that gets less than it may have of one kind is within every limit.
            if !self.buckets.meter(hash, self.now_ns, meter, METER_BURSTS) {
                self.look_closer(packet, hash, len, rcode);
            }
        }
    }

    /// Decides about a reply to a prefix that gets more than one kind may have.
    #[cold]
    fn look_closer(&mut self, packet: &mut Packet<'_>, prefix_hash: u64, len: usize, rcode: u16) {
        let Some(Ready { set, kind, all, .. }) = self.responses else { return };
        if self.settings.rules.class(packet.client).is_exempt {
            return;
        }
        let hash = self.mix(prefix_hash, subject(packet, rcode));
        let all_hash = self.mix(prefix_hash, u64::MAX);
        if self.buckets.pour(hash, self.now_ns, kind) && self.buckets.pour(all_hash, self.now_ns, all) {
            return;
        }
        self.limited += 1;
        let slips = set.slip > 0 && self.limited.is_multiple_of(set.slip.into());
        let sent =
            slips.then(|| blank(packet, Holds::Reply(len), Word::Truncated, Restraint::Slip, self.settings.udp_len));
        if sent.flatten().is_none() {
            packet.outcome = Outcome::Drop(DropReason::Rate);
        }
    }

    /// The hash of a client's prefix.
    #[inline]
    fn prefix_hash(&self, client: IpAddr, set: Responses) -> u64 {
        match client.to_canonical() {
            // The lengths were checked; the wrapping shifts are right for them, and cost no branch.
            IpAddr::V4(addr) => self.mix(u64::from(addr.to_bits()) >> (32 - u32::from(set.v4_len.min(32))), 4),
            IpAddr::V6(addr) => {
                let [high, _] = halves(addr.to_bits());
                self.mix(high >> (64 - u32::from(set.v6_len.clamp(1, 64))), 6)
            }
        }
    }

    /// The hash of a client's address; of IPv6 it is the /64 that a host has to itself.
    fn client_hash(&self, client: IpAddr) -> u64 {
        match client.to_canonical() {
            IpAddr::V4(addr) => self.mix(addr.to_bits().into(), 14),
            IpAddr::V6(addr) => self.mix(halves(addr.to_bits())[0], 16),
        }
    }

    /// A hash of two numbers that nobody can foresee: both halves of the product of what the secrets make of them.
    #[inline]
    fn mix(&self, a: u64, b: u64) -> u64 {
        let [x, y] = self.secrets;
        let [high, low] = halves(u128::from(a ^ x) * u128::from(b ^ y));
        high ^ low
    }
}

/// High and low half.
#[inline]
fn halves(bits: u128) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, low @ ..] = bits.to_be_bytes();
    [u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes(low)]
}

/// What a reply is about: its kind and its zone. Random names below a zone are one subject, and so are all errors.
fn subject(packet: &Packet<'_>, rcode: u16) -> u64 {
    let zone = packet.notes.zone.map_or(0, |zone| u64::from(zone) + 1);
    let (flags, answers) = match packet.buf.first_chunk::<8>() {
        Some([_, _, flags, _, _, _, high, low]) => (*flags, u16::from_be_bytes([*high, *low])),
        None => (0, 0),
    };
    let kind = match rcode {
        0 if answers > 0 => 1,
        // NODATA and referrals.
        0 if flags & AA != 0 => 2,
        0 => 3,
        3 => 4,
        _ => return 5,
    };
    kind | zone << 8
}

#[cfg(test)]
mod tests;
