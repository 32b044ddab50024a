//! Asking a view: by lookup, and by whole messages.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use dataplane::answer::{CookiePolicy, Cookies, Scratch, Secret, Settings, respond};
use dataplane::packet::{Arrival, Outcome, Packet, Transport};
use snapshot::dns::lookup_name::LookupName;
use snapshot::dns::name::NameRef;
use snapshot::dns::rtype::Rtype;
use snapshot::image::{Found, Node, View, Zone};

/// The types that take different ways through the answer.
const TYPES: [Rtype; 7] = [Rtype::A, Rtype::NS, Rtype::SOA, Rtype::MX, Rtype::DS, Rtype::TXT, Rtype::ANY];

thread_local! {
    /// What answers, used over and over as a worker does.
    static RESPONDER: RefCell<(Settings, Scratch)> =
        RefCell::new((settings(), Scratch::new()));
}

/// Settings that lead through as much code as there is.
fn settings() -> Settings {
    Settings {
        version: Some("petrel".into()),
        nsid: Some("fuzzed".into()),
        cookies: Cookies::new(CookiePolicy::Require, vec![Secret([7; 16]), Secret([8; 16])]),
        tcp_idle: Some(Duration::from_secs(10)),
        ..Settings::default()
    }
}

/// Answers a batch: of each message its buffer and how much of it is the query.
pub(crate) fn answer<const N: usize>(
    view: &View,
    transport: Transport,
    messages: [(&mut [u8], usize); N],
) -> [Outcome; N] {
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut packets = messages.map(|(buf, query_len)| Packet::new(buf, query_len, client));
    // The time is the same for all: cookies tell it.
    let arrival = Arrival { transport, now_secs: 1_800_000_000, lot: 0 };
    RESPONDER.with_borrow_mut(|(settings, scratch)| respond(settings, view, arrival, &mut packets, scratch));
    packets.map(|packet| packet.outcome)
}

/// A query for `qname` with DO set.
pub(crate) fn query(qname: &[u8], qtype: Rtype) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    message.extend_from_slice(qname);
    message.extend_from_slice(&qtype.0.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0]);
    message
}

/// Walks every zone, node and RRset of a view and asks for each name, for one below it and for one beside it.
pub(crate) fn everything(view: &View) {
    let mut buf = vec![0; 65_535];
    for address in ["0.0.0.0", "127.0.0.1", "255.255.255.255", "::", "2001:db8::1", "ffff::"] {
        view.places().map(|places| places.find(address.parse().expect("an address")));
    }
    for facts in view.zones() {
        let zone = view.zone(facts.apex.as_ref()).expect("what is listed is found");
        for node in zone.nodes() {
            walk(&node);
            assert!(found(&zone, node.name()), "a node that is listed is found");
            for name in [node.name().to_vec(), [b"\x01x", node.name()].concat(), [b"\x01*", node.name()].concat()] {
                if NameRef::prefix_of(&name).is_ok() {
                    found(&zone, &name);
                    questions(view, &name, &mut buf);
                }
            }
        }
        zone.soa().expect("a zone has a SOA");
    }
}

/// Whether a lookup finds the name itself.
fn found(zone: &Zone<'_>, name: &[u8]) -> bool {
    let mut lookup = LookupName::default();
    lookup.assign(name).expect("names are names");
    match zone.find_now(&lookup) {
        Some(Found::Exact(node)) => node.name() == name,
        Some(Found::Missing(encloser)) => {
            assert!(encloser.labels < lookup.label_count() && name.ends_with(encloser.node.name()));
            false
        }
        None => false,
    }
}

/// Reads every part of a node.
fn walk(node: &Node<'_>) {
    for rrset in node.rrsets() {
        let body = node.rrset(rrset.rtype).expect("a type that is listed is found");
        assert_eq!(body.records, rrset.records);
        assert_eq!(body.choices().is_some(), body.has_choices(), "alternatives can be read");
        for (_, alternatives) in body.choices().iter().flat_map(|choices| choices.groups().collect::<Vec<_>>()) {
            assert!(alternatives.iter().all(|(weight, body)| *weight > 0 && body.record_count > 0));
        }
    }
    if let Some(cut) = node.cut_above() {
        assert!(cut.is_cut(), "what is above is a cut");
    }
    if let Some(wildcard) = node.wildcard_child() {
        assert!(wildcard.is_wildcard(), "the child is a wildcard");
    }
}

/// Asks for a name over both transports and in several types.
fn questions(view: &View, name: &[u8], buf: &mut [u8]) {
    for (transport, len_max) in [(Transport::Udp, 1232), (Transport::Tcp, 65_535)] {
        for qtype in TYPES {
            let query = query(name, qtype);
            buf[..query.len()].copy_from_slice(&query);
            let [outcome] = answer(view, transport, [(&mut *buf, query.len())]);
            match outcome {
                Outcome::Reply { len, .. } => assert!(len <= len_max, "{len} bytes over {transport:?}"),
                other => panic!("a query is answered, not {other:?}"),
            }
        }
    }
}
