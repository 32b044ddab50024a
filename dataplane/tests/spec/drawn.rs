//! Drawn zones: several at once, one inside the other, with longer names and more types than the small ones.
//!
//! What is drawn is made valid as the zone checker asks for it; everything else may come up. Each set of zones is asked
//! for its own names, for names below them, and for where its records lead.

use proptest::prelude::*;

use crate::compare::{both_text, compare, name_text};
use crate::message::{Dnssec, push_name, read_reply};
use crate::model::{
    self, A, AAAA, ANY, CNAME, DNAME, DS, Label, NAME_LEN_MAX, NS, Name, Over, Question, Rdata, Record, SOA, Zone,
    name_len,
};
use crate::serve::{self, Asker};
use crate::zones;

/// MX, with a name that additional data may be sent for.
const MX: u16 = 15;
/// TXT.
const TXT: u16 = 16;
/// What is asked for.
pub(crate) const QTYPES: [u16; 11] = [A, AAAA, NS, CNAME, DNAME, DS, SOA, MX, TXT, ANY, 99];
/// Types of records below an apex; aliases and cuts, where the difficulties are, come up more often.
const RTYPES: [u16; 12] = [A, A, AAAA, NS, NS, CNAME, CNAME, DNAME, DNAME, DS, MX, TXT];
/// Apexes, each inside the one before or beside it. The root is served as well at times.
pub(crate) const APEXES: [&str; 6] = ["test", "a.test", "b.a.test", "a.b.a.test", "b.test", ""];

/// A record as it is drawn.
#[derive(Debug, Clone)]
pub(crate) struct Drawn {
    /// Which apex its owner is below, counted modulo those that are served.
    zone: usize,
    /// Its labels below that apex.
    labels: Name,
    /// Its type, an index into [`RTYPES`].
    rtype: usize,
    /// Where it leads, if it leads: an apex or a name outside, and labels below it.
    target: (usize, Name),
    /// Its TTL and what else tells it from others.
    number: u8,
}

/// An absolute name.
fn name(text: &str) -> Name {
    text.split('.').filter(|label| !label.is_empty()).map(|label| Label::new(label.as_bytes())).collect()
}

/// Some labels: few different ones, and a long one, so that names can become too long.
pub(crate) fn labels(count: std::ops::Range<usize>) -> impl Strategy<Value = Name> {
    let label = prop_oneof![
        6 => Just(Label::new(b"a")),
        6 => Just(Label::new(b"b")),
        3 => Just(Label::new(b"*")),
        1 => Just(Label::new(b"c")),
        1 => Just(Label::new(&[b'x'; 63])),
    ];
    prop::collection::vec(label, count)
}

/// A record.
pub(crate) fn drawn() -> impl Strategy<Value = Drawn> {
    let target = (0..=APEXES.len(), labels(0..4));
    (0..APEXES.len(), labels(0..4), 0..RTYPES.len(), target, any::<u8>())
        .prop_map(|(zone, labels, rtype, target, number)| Drawn { zone, labels, rtype, target, number })
}

/// The name in a record's RDATA.
fn target(drawn: &Drawn) -> Name {
    let (base, labels) = &drawn.target;
    let base = APEXES.get(*base).copied().unwrap_or("elsewhere");
    [labels.as_slice(), &name(base)].concat()
}

/// Its RDATA.
fn rdata(drawn: &Drawn, rtype: u16) -> Rdata {
    let number = drawn.number;
    match rtype {
        NS | CNAME | DNAME => Rdata::Name(target(drawn)),
        A => Rdata::Octets(vec![192, 0, 2, number]),
        AAAA => Rdata::Octets([[0x20, 1, 0xd, 0xb8].as_slice(), &[number; 12]].concat()),
        DS => Rdata::Octets([[0, 1, 13, 2].as_slice(), &[number; 32]].concat()),
        MX => {
            let mut octets = vec![0, number];
            push_name(&mut octets, &target(drawn));
            Rdata::Octets(octets)
        }
        _ => Rdata::Octets(vec![1, number]),
    }
}

/// Whether a zone may have a record beside those it has, as the zone checker sees it.
fn fits(zone: &Zone, record: &Record) -> bool {
    let is_apex = record.owner == zone.apex;
    let is_wildcard = record.owner.first().is_some_and(|label| *label == Label::new(b"*"));
    let beside = || zone.records.iter().filter(|other| other.owner == record.owner);
    let fits_type = match record.rtype {
        CNAME => !is_apex && beside().next().is_none(),
        DNAME => beside().all(|other| other.rtype != DNAME && other.rtype != CNAME),
        NS => !is_wildcard && beside().all(|other| other.rtype != CNAME),
        DS => !is_apex && beside().all(|other| other.rtype != CNAME),
        _ => beside().all(|other| other.rtype != CNAME),
    };
    let is_new = beside().all(|other| other.rtype != record.rtype || other.rdata != record.rdata);
    let name_fits = |rdata: &Rdata| match rdata {
        Rdata::Name(name) => name_len(name) <= NAME_LEN_MAX,
        Rdata::Octets(octets) => octets.len() < 255,
    };
    fits_type && is_new && name_len(&record.owner) <= NAME_LEN_MAX && name_fits(&record.rdata)
}

/// Zones of what was drawn; `served` and `delegated` have one bit per apex: whether we have the zone, and whether the
/// zone above has a cut there.
pub(crate) fn zones(served: u8, delegated: u8, drawn: &[Drawn]) -> Vec<Zone> {
    let apexes = (0..).zip(APEXES).filter(|(bit, _)| (served | 1) >> bit & 1 == 1);
    let mut zones: Vec<Zone> = apexes.map(|(number, apex)| zones::zone(&Vec::new(), &name(apex), number)).collect();
    let zone_count = zones.len();
    for (_, apex) in (0..).zip(APEXES).filter(|(bit, _)| delegated >> bit & 1 == 1) {
        let cut = name(apex);
        let above = zones.iter_mut().filter(|zone| zone.apex != cut && model::is_at_or_below(&cut, &zone.apex));
        if let Some(zone) = above.max_by_key(|zone| zone.apex.len()) {
            let server = Rdata::Name(name("ns.elsewhere"));
            zone.records.push(Record { owner: cut, rtype: NS, ttl_secs: 90, rdata: server });
        }
    }
    for record in drawn {
        let zone = &mut zones[record.zone % zone_count];
        let rtype = RTYPES[record.rtype];
        let owner = [record.labels.as_slice(), &zone.apex].concat();
        let ttl_secs = 500 + u32::from(record.number);
        let record = Record { owner, rtype, ttl_secs, rdata: rdata(record, rtype) };
        if fits(zone, &record) {
            zone.records.push(record);
        }
    }
    zones
}

/// The names to ask for.
pub(crate) fn qnames(zones: &[Zone], more: &[Name]) -> Vec<Name> {
    let mut names = vec![name("elsewhere")];
    for zone in zones {
        names.extend(more.iter().map(|labels| [labels.as_slice(), &zone.apex].concat()));
        for record in &zone.records {
            names.push(record.owner.clone());
            names.extend([b"a", b"c"].map(|label: &[u8; 1]| [&[Label::new(label)], record.owner.as_slice()].concat()));
            if let Rdata::Name(target) = &record.rdata {
                names.push(target.clone());
            }
        }
    }
    names.retain(|name| name_len(name) <= NAME_LEN_MAX);
    names.sort();
    names.dedup();
    names
}

/// Asks one question and compares; returns what differs.
fn difference(zones: &[Zone], view: &snapshot::image::View, asker: &mut Asker, question: &Question) -> Option<String> {
    let (query, bytes) = asker.ask_one(view, question, Dnssec::NotWanted);
    let expected = model::answer(zones, question);
    let reply = read_reply(&query, &bytes);
    let result = match &reply {
        // The model knows no sizes: what does not fit into a datagram is asked for over TCP, as resolvers do.
        Ok(reply) if reply.truncated && question.over == Over::Udp => return None,
        Ok(reply) => compare(zones, &expected, reply),
        Err(error) => Err(error.clone()),
    };
    let what = result.err()?;
    let Question { qname, qtype, over } = question;
    let both = both_text(zones, &expected, reply.as_ref().ok());
    Some(format!("{what}\n  {} type {qtype} over {over:?}\n{both}", name_text(qname)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn drawn_zones_are_answered_as_specified(
        served in any::<u8>(),
        delegated in any::<u8>(),
        drawn in prop::collection::vec(drawn(), 1..24),
        more in prop::collection::vec(labels(1..5), 8),
    ) {
        let zones = zones(served, delegated, &drawn);
        let view = serve::view(&zones);
        let mut asker = Asker::new();
        for qname in qnames(&zones, &more) {
            for qtype in QTYPES {
                for over in [Over::Udp, Over::Tcp] {
                    let question = Question { qname: qname.clone(), qtype, over };
                    let difference = difference(&zones, &view, &mut asker, &question);
                    prop_assert!(difference.is_none(), "{}", difference.unwrap_or_default());
                }
            }
        }
    }
}

#[test]
fn ds_at_an_apex_is_the_question_of_its_parent_if_that_is_served() {
    // APEXES: 1 is a.test, 2 is b.a.test, 3 is a.b.a.test; the zone test is always served.
    for (served, delegated, says) in [
        // The child alone, below a cut of its grandparent: RFC 4035 section 3.1.4.1 has the child answer.
        (0b1000, 0b0010, "a.b.a.test"),
        (0b1010, 0b0100, "a.b.a.test"),
        // The parent is there.
        (0b1100, 0b1100, "b.a.test"),
        (0b1000, 0b1000, "test"),
    ] {
        let zones = zones(served, delegated, &[]);
        let question = Question { qname: name("a.b.a.test"), qtype: DS, over: Over::Udp };
        let authority = model::answer(&zones, &question).authority;
        assert_eq!(authority.iter().map(|soa| &soa.owner).collect::<Vec<_>>(), [&name(says)]);
        assert_eq!(difference(&zones, &serve::view(&zones), &mut Asker::new(), &question), None);
    }
}
