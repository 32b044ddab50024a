//! T-C6: a negative or synthesized answer that does not hold up is a zone that validators call bogus, and one that holds up
//! but is false takes names away. So random signed zones are asked for everything around their names, and each reply is
//! judged twice: by a validator that sees only the reply, and by the zone it came from.

mod judge;
mod zones;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use dataplane::answer::Settings;
use dataplane::packet::{Outcome, Packet, Transport};

use self::judge::{End, Verdict, WILDCARD_POSSIBLE, judge};
use self::zones::rtypes::{A, CNAME, DNSKEY, DS, MX, NS, NSEC, NSEC3, RRSIG, SOA, TXT};
use self::zones::{Chain, Drawn, Path, Truth};
use crate::common;
use crate::message::{Reply, Rr};
use crate::packets::{query, with_opt};
use crate::served::Served;

/// Zones of the short run; `PETREL_SOAK=1` makes it ten thousand.
const ZONES: u64 = 2000;
/// The first seed.
const SEED: u64 = 0x00c6_0000_0000;
/// What is asked for.
const QTYPES: [u16; 9] = [A, TXT, NS, DS, CNAME, SOA, NSEC, DNSKEY, MX];
/// Labels of names that are asked for, below those that the zone has.
const LABELS: [&[u8]; 5] = [b"a", b"b", b"c", b"*", b"zz"];
/// The largest UDP reply, and what clients take.
const UDP_LEN: u16 = 4096;
/// The flag that asks for DNSSEC (RFC 3225).
const DO: u16 = 0x8000;
/// Who asks.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The kind of ends that are true and not to be proved.
const UNPROVABLE: &str = "NXDOMAIN that cannot be proved";

/// How many replies came to which end.
type Tally = BTreeMap<&'static str, u64>;

/// What answers for a zone, with room for all questions about a name.
struct Asker {
    /// The zone in service.
    served: Served,
    /// A buffer for each type.
    bufs: [Vec<u8>; QTYPES.len()],
}

impl Asker {
    /// Puts a zone in service.
    fn new(zone: &Drawn) -> Asker {
        let settings = Settings { udp_len_max: UDP_LEN, ..Settings::default() };
        Asker { served: Served::new(&[zone.signed()], settings), bufs: QTYPES.map(|_| vec![0; 65_535]) }
    }

    /// Answers one query for each type at most; the replies are in their order.
    fn ask(&mut self, transport: Transport, queries: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut packets = Vec::with_capacity(queries.len());
        for (buf, query) in self.bufs.iter_mut().zip(queries) {
            buf[..query.len()].copy_from_slice(query);
            packets.push(Packet::new(buf, query.len(), CLIENT));
        }
        self.served.answer(transport, &mut packets);
        let reply = |packet: &Packet<'_>| match packet.outcome {
            Outcome::Reply { len, truncated: false, .. } => packet.buf[..len].to_vec(),
            outcome => panic!("{outcome:?} over {transport:?}"),
        };
        packets.iter().map(reply).collect()
    }
}

/// The names to ask for: all that the zone has, hidden ones too, and what is one and two labels below them.
fn closure(zone: &Drawn) -> Vec<Path> {
    let mut names = BTreeSet::new();
    for owner in zone.nodes.keys() {
        for base in owner.above(&zone.apex).chain([owner.clone()]) {
            for label in LABELS {
                let child = base.child(label);
                names.extend([child.child(b"zz"), child]);
            }
            names.insert(base);
        }
    }
    names.into_iter().collect()
}

/// A reply that was found good, for the next question about the same name.
struct Accepted {
    /// The reply, from the type of its question on.
    rest: Vec<u8>,
    /// What it came to.
    end: End,
}

/// Asks one zone for everything.
fn check_zone(seed: u64, tally: &mut Tally) -> Result<(), String> {
    let zone = Drawn::draw(seed);
    let mut asker = Asker::new(&zone);
    for qname in closure(&zone) {
        check_name(&zone, &mut asker, &qname, tally).map_err(|text| format!("seed {seed:#x}: {text}"))?;
    }
    Ok(())
}

/// Asks for all types of a name. What differs between types is asked for over TCP and with DO clear too.
fn check_name(zone: &Drawn, asker: &mut Asker, qname: &Path, tally: &mut Tally) -> Result<(), String> {
    let wire = qname.wire();
    let message = |qtype: u16, flags: u16| with_opt(query(&wire, qtype, 1), UDP_LEN, flags);
    let queries = QTYPES.map(|qtype| message(qtype, DO));
    let replies = asker.ask(Transport::Udp, &queries);
    let failure =
        |what: &str, qtype: u16, reply: &[u8]| format!("{what}\n{zone}query: {qname} type {qtype}\n{}", shown(reply));
    let mut accepted = None;
    let mut judged = Vec::new();
    for ((at, qtype), reply) in QTYPES.into_iter().enumerate().zip(&replies) {
        let truth = zone.truth(qname, qtype);
        let kind = if truth.is_unprovable { UNPROVABLE } else { kind(&zone.chain, &truth) };
        *tally.entry(kind).or_default() += 1;
        let rest = &reply[12 + wire.len() + 2..];
        if is_accepted(accepted.as_ref(), &truth, rest) {
            continue;
        }
        let decoded = Reply::decode(reply).map_err(|error| failure(&error.to_string(), qtype, reply))?;
        check_reply((qname, qtype), &truth, &decoded).map_err(|what| failure(&what, qtype, reply))?;
        accepted = Some(Accepted { rest: rest.to_vec(), end: truth.end });
        judged.push((at, decoded));
    }
    let again: Vec<Vec<u8>> = judged.iter().map(|(at, _)| queries[*at].clone()).collect();
    let plain: Vec<Vec<u8>> = judged.iter().map(|(at, _)| message(QTYPES[*at], 0)).collect();
    let others = asker.ask(Transport::Tcp, &again).into_iter().zip(asker.ask(Transport::Udp, &plain));
    for ((at, decoded), (over_tcp, plain)) in judged.iter().zip(others) {
        let (qtype, reply) = (QTYPES[*at], &replies[*at]);
        if *reply != over_tcp {
            return Err(failure("UDP and TCP give different replies", qtype, reply));
        }
        check_plain(qtype, decoded, &plain).map_err(|what| failure(&what, qtype, reply))?;
    }
    Ok(())
}

/// Whether the same was found good for another type of the name. What is said of a name that does not exist or is delegated
/// does not depend on the type.
fn is_accepted(accepted: Option<&Accepted>, truth: &Truth, rest: &[u8]) -> bool {
    let is_of_name = truth.names.len() == 1 && matches!(truth.end, End::NxDomain | End::Secure(_) | End::Insecure(_));
    is_of_name && accepted.is_some_and(|accepted| accepted.end == truth.end && accepted.rest == rest)
}

/// Judges a reply to a question with DO set.
fn check_reply((qname, qtype): (&Path, u16), truth: &Truth, reply: &Reply) -> Result<(), String> {
    let expected = || format!("the zone says {:?} of {:?}", truth.end, truth.names);
    let verdict = match judge(qname, qtype, reply) {
        Ok(verdict) => verdict,
        Err(WILDCARD_POSSIBLE) if truth.is_unprovable => return Ok(()),
        Err(fault) => return Err(format!("{fault}; {}", expected())),
    };
    let Verdict { names, end } = &verdict;
    if (names, end) != (&truth.names, &truth.end) {
        return Err(format!("the reply says {end:?} of {names:?}; {}", expected()));
    }
    Ok(())
}

/// Checks that a reply to the same question with DO clear is the same without DNSSEC.
fn check_plain(qtype: u16, reply: &Reply, plain: &[u8]) -> Result<(), String> {
    let plain = Reply::decode(plain).map_err(|error| error.to_string())?;
    let is_dnssec = |record: &&Rr| matches!(record.rtype.0, RRSIG | NSEC | NSEC3 | DS | DNSKEY);
    let asked = |record: &&Rr| record.rtype.0 == qtype && qtype != RRSIG;
    let [answer, authority, additional] = &plain.sections;
    let mut others = authority.iter().chain(additional);
    if others.any(|record| is_dnssec(&record)) || answer.iter().any(|record| is_dnssec(&record) && !asked(&record)) {
        return Err(format!("DNSSEC records with DO clear: {plain:?}"));
    }
    let parts = |record: &Rr| (record.owner.as_wire().to_vec(), record.rtype.0, record.ttl_secs, record.rdata.clone());
    let kept = reply.sections[0].iter().filter(|record| !is_dnssec(record) || asked(record));
    let is_same = kept.map(parts).eq(answer.iter().map(parts))
        && reply.sections[1].iter().filter(|record| !is_dnssec(record)).map(parts).eq(authority.iter().map(parts));
    if !is_same || reply.rcode != plain.rcode {
        return Err(format!("DO changes more than DNSSEC: {plain:?}"));
    }
    Ok(())
}

/// The end of a reply and how its zone denies, to be counted.
fn kind(chain: &Chain, truth: &Truth) -> &'static str {
    let place = match chain {
        Chain::Nsec => 0,
        Chain::Nsec3 { opt_out: false, .. } => 1,
        Chain::Nsec3 { opt_out: true, .. } => 2,
    };
    let kinds = match truth.end {
        End::Answer => ["answer, NSEC", "answer, NSEC3", "answer, opt-out"],
        End::NoData => ["NODATA, NSEC", "NODATA, NSEC3", "NODATA, opt-out"],
        End::NxDomain => ["NXDOMAIN, NSEC", "NXDOMAIN, NSEC3", "NXDOMAIN, opt-out"],
        End::Secure(_) => ["secure referral, NSEC", "secure referral, NSEC3", "secure referral, opt-out"],
        End::Insecure(_) => ["insecure referral, NSEC", "insecure referral, NSEC3", "insecure referral, opt-out"],
        End::Nowhere => ["out of the zone, NSEC", "out of the zone, NSEC3", "out of the zone, opt-out"],
    };
    kinds[place]
}

/// A reply as text.
fn shown(reply: &[u8]) -> String {
    let Ok(reply) = Reply::decode(reply) else { return format!("{reply:02x?}") };
    let mut text = format!("reply: rcode {} bits {:04x}\n", reply.rcode, reply.bits);
    for (section, records) in ["answer", "authority", "additional"].iter().zip(&reply.sections) {
        for record in records {
            let rdata = common::rdata_text(record.rtype, &record.rdata);
            text.push_str(&format!("  {section}: {} {} {rdata}\n", record.owner, record.rtype));
        }
    }
    text
}

/// Checks the zones of these seeds; returns the failures and what was counted.
fn check_zones(seeds: impl Iterator<Item = u64>) -> (Vec<String>, Tally) {
    let mut tally = Tally::new();
    let failures = seeds.filter_map(|seed| check_zone(seed, &mut tally).err()).collect();
    (failures, tally)
}

#[test]
fn t_c6_every_answer_of_random_signed_zones_is_proved_and_true() {
    let soak = std::env::var("PETREL_SOAK").is_ok_and(|value| value == "1");
    let end = SEED + if soak { 10_000 } else { ZONES };
    let parts: Vec<(Vec<String>, Tally)> = std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| scope.spawn(move || check_zones((SEED..end).skip(half).step_by(2))));
        halves.into_iter().map(|half| half.join().unwrap()).collect()
    });
    let mut total = Tally::new();
    for (kind, count) in parts.iter().flat_map(|(_, tally)| tally) {
        *total.entry(kind).or_default() += count;
    }
    println!("{} questions: {total:?}", total.values().sum::<u64>());
    let failures: Vec<&String> = parts.iter().flat_map(|(failures, _)| failures).collect();
    let first: Vec<&&String> = failures.iter().take(5).collect();
    assert!(
        failures.is_empty(),
        "{} zones fail:\n{}",
        failures.len(),
        first.iter().map(|text| text.as_str()).collect::<Vec<_>>().join("\n")
    );
    assert_eq!(total.len(), 19, "not every kind of end comes up");
    let asked: u64 = total.values().sum();
    assert!(total[UNPROVABLE] < asked / 200, "too much is let pass");
}

#[test]
fn t_c6_the_judge_refuses_what_is_taken_away_or_renamed() {
    for seed in SEED..SEED + 60 {
        let zone = Drawn::draw(seed);
        let mut asker = Asker::new(&zone);
        for qname in closure(&zone) {
            let message = with_opt(query(&qname.wire(), A, 1), UDP_LEN, DO);
            let [reply] = <[Vec<u8>; 1]>::try_from(asker.ask(Transport::Udp, &[message])).unwrap();
            if !zone.truth(&qname, A).is_unprovable {
                check_spoiled(&zone, &qname, &reply);
            }
        }
    }
}

/// Spoils a good reply to a question of type A in every way, and checks that none passes.
fn check_spoiled(zone: &Drawn, qname: &Path, bytes: &[u8]) {
    let truth = zone.truth(qname, A);
    let decoded = || Reply::decode(bytes).unwrap();
    // With opt-out a NODATA says no more than that there may be an unsigned delegation.
    let is_opt_out = matches!(zone.chain, Chain::Nsec3 { opt_out: true, .. });
    let is_loose = is_opt_out && truth.end == End::NoData;
    for section in [0, 1] {
        for at in 0..decoded().sections[section].len() {
            let mut reply = decoded();
            let Rr { owner, rtype, .. } = reply.sections[section].remove(at);
            let is_refused = check_reply((qname, A), &truth, &reply).is_err();
            assert!(is_refused || is_loose, "{owner} {rtype} can be spared\n{zone}{qname}\n{}", shown(bytes));
        }
    }
    let mut reply = decoded();
    reply.rcode ^= 3;
    let is_refused = judge(qname, A, &reply).is_err();
    assert!(is_refused || is_opt_out, "another response code passes\n{zone}{qname}\n{}", shown(bytes));
}
