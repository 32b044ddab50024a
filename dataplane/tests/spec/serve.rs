//! The product: zones of the model compiled into a view in memory, and questions answered from it.
//!
//! It is the only place of these tests that knows the interfaces of `snapshot` and `answer`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use dataplane::answer::{BATCH_LEN, Scratch, Settings, respond};
use dataplane::packet::{Arrival, Outcome, Packet, Transport};
use snapshot::dns::name::{Name as WireName, NameRef};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record as ZoneRecord, Zone as ZoneRecords, ZoneBuilder};
use snapshot::image::{Generation, OverlayBuilder, Pack, PackFile, Segment, Touched, View, ZoneCounts};

use crate::message::{self, Dnssec, PAYLOAD_LEN, push_name};
use crate::model::{DNAME, NS, Over, Question, Rdata, Zone};
use crate::signed::{Signing, sign};

/// Room for a query and its reply: long answers need more than the largest datagram.
const BUF_LEN: usize = 65_535;
/// Who asks.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// What lies in a buffer behind the query, so that a reply that claims bytes nobody wrote is seen.
const POISON: u8 = 0xaa;
/// A time: no option asks for one.
const NOW_SECS: u32 = 0;

/// Compiles zones into a view.
pub(crate) fn view<'z>(zones: impl IntoIterator<Item = &'z Zone>) -> View {
    let segments = zones.into_iter().map(|zone| Segment::build(&records(zone)).expect("the zone can be served"));
    load(segments.collect())
}

/// Whether the compiler takes a zone.
pub(crate) fn can_serve(zone: &Zone) -> bool {
    Segment::build(&records(zone)).is_ok()
}

/// Compiles zones that are signed, each in its way.
pub(crate) fn signed(zones: &[Zone], signings: &[Signing]) -> View {
    let segments = zones
        .iter()
        .zip(signings)
        .map(|(zone, &signing)| Segment::build(&sign(&records(zone), signing)).expect("the zone can be served"));
    load(segments.collect())
}

/// Compiles zones as they were, and overlays that make them what they are now. They are the same zones, in the same order,
/// and signed in the same way.
pub(crate) fn overlaid(before: &[Zone], now: &[Zone], signings: &[Signing]) -> View {
    let (mut bases, mut overlays) = (Vec::new(), Vec::new());
    for ((before, now), &signing) in before.iter().zip(now).zip(signings) {
        let (before, now) = (sign(&records(before), signing), sign(&records(now), signing));
        let base = Segment::build(&before).expect("the zone can be served");
        let facts = base.base_facts().expect("a whole zone may be a base");
        let overlay = OverlayBuilder::new(now.apex(), facts).expect("a base may have overlays");
        let overlay = overlay.change(&now, &touched(&before, &now)).expect("few names differ");
        overlays.push(overlay.build(ZoneCounts::default()).expect("few names fit"));
        bases.push(base);
    }
    View::assemble(Generation(1), vec![pack(bases), pack(overlays)]).expect("bases and overlays make a view")
}

/// What an owner has: type, TTL and RDATA of each record.
type Content = Vec<(Rtype, u32, Vec<u8>)>;

/// What each owner of a zone has.
fn by_owner(zone: &ZoneRecords) -> BTreeMap<WireName, Content> {
    let mut all: BTreeMap<WireName, Content> = BTreeMap::new();
    for rrset in zone.owners().flat_map(|owner| owner.rrsets().collect::<Vec<_>>()) {
        for record in rrset.records() {
            let content = all.entry(record.owner.to_name()).or_default();
            content.push((record.rtype, record.ttl_secs, record.rdata.to_vec()));
        }
    }
    all
}

/// The owners whose records differ.
fn touched(before: &ZoneRecords, now: &ZoneRecords) -> Vec<Touched> {
    let apex = now.apex().to_name();
    let (before, now) = (by_owner(before), by_owner(now));
    let owners: BTreeSet<&WireName> = before.keys().chain(now.keys()).collect();
    let nothing = Content::new();
    let touched = owners.into_iter().filter_map(|owner| {
        let (before, now) = (before.get(owner).unwrap_or(&nothing), now.get(owner).unwrap_or(&nothing));
        let differs = |is_meant: &dyn Fn(Rtype) -> bool| {
            let of =
                |content: &Content| content.iter().filter(|(rtype, ..)| is_meant(*rtype)).cloned().collect::<Content>();
            of(before) != of(now)
        };
        // The NS of an apex make no cut.
        let is_boundary = differs(&|rtype| rtype.0 == DNAME || (rtype.0 == NS && *owner != apex));
        let touch = if is_boundary { Touched::boundary } else { Touched::data };
        differs(&|_| true).then(|| touch(owner.clone()))
    });
    touched.collect()
}

/// Makes a view of compiled zones.
fn load(segments: Vec<Segment>) -> View {
    View::assemble(Generation(1), vec![pack(segments)]).expect("one pack makes a view")
}

/// Writes compiled zones to a file and loads that.
fn pack(segments: Vec<Segment>) -> Arc<Pack> {
    let encoded = PackFile::encode(segments).expect("small zones fit into a pack");
    let mut file = tempfile::tempfile().expect("temporary files can be made");
    file.write_all(&encoded.bytes).and_then(|()| file.rewind()).expect("temporary files can be written");
    Arc::new(Pack::load(&file, encoded.digest).expect("what was encoded can be loaded"))
}

/// A zone of the model as the compiler takes it.
fn records(zone: &Zone) -> ZoneRecords {
    let mut wire = Vec::new();
    push_name(&mut wire, &zone.apex);
    let mut builder = ZoneBuilder::new(WireName::from_wire(&wire).expect("apexes are names"));
    let mut rdata = Vec::new();
    for record in &zone.records {
        wire.clear();
        push_name(&mut wire, &record.owner);
        rdata.clear();
        match &record.rdata {
            Rdata::Name(name) => push_name(&mut rdata, name),
            Rdata::Octets(octets) => rdata.extend_from_slice(octets),
        }
        let owner = NameRef::prefix_of(&wire).expect("owners are names");
        let rtype = Rtype(record.rtype);
        let record = ZoneRecord { owner, rtype, ttl_secs: record.ttl_secs, rdata: &rdata, line: 0 };
        builder.push(record).expect("small zones fit into memory");
    }
    builder.finish()
}

/// Buffers for one batch of queries, used again and again.
pub(crate) struct Asker {
    /// Datagrams are as long as the queries allow.
    settings: Settings,
    /// What a worker keeps.
    scratch: Scratch,
    /// One buffer per query of a batch.
    bufs: Vec<Vec<u8>>,
}

impl Asker {
    /// An asker for queries over UDP or TCP.
    pub(crate) fn new() -> Asker {
        let settings = Settings { udp_len_max: PAYLOAD_LEN, ..Settings::default() };
        Asker { settings, scratch: Scratch::new(), bufs: vec![vec![POISON; BUF_LEN]; BATCH_LEN] }
    }

    /// Asks at most [`BATCH_LEN`] queries, given by their bytes, over one transport; shows each reply to `look`, with the
    /// position of its query.
    pub(crate) fn ask(&mut self, view: &View, over: Over, queries: &[Vec<u8>], mut look: impl FnMut(usize, &[u8])) {
        let transport = if over == Over::Udp { Transport::Udp } else { Transport::Tcp };
        let mut packets = Vec::with_capacity(queries.len());
        for (buf, query) in self.bufs.iter_mut().zip(queries) {
            buf[..query.len()].copy_from_slice(query);
            packets.push(Packet::new(buf, query.len(), CLIENT));
        }
        assert_eq!(packets.len(), queries.len(), "a batch has at most {BATCH_LEN} queries");
        let arrival = Arrival { transport, now_secs: NOW_SECS, lot: 0 };
        respond(&self.settings, view, arrival, &mut packets, &mut self.scratch);
        for (idx, packet) in packets.iter_mut().enumerate() {
            let Outcome::Reply { len, .. } = packet.outcome else { panic!("no reply: {:?}", packet.outcome) };
            look(idx, &packet.buf[..len]);
            packet.buf[..len].fill(POISON);
        }
    }

    /// Asks one question; returns the query and the reply.
    pub(crate) fn ask_one(&mut self, view: &View, question: &Question, dnssec: Dnssec) -> (Vec<u8>, Vec<u8>) {
        let mut query = Vec::new();
        message::write_query(&mut query, question, dnssec);
        let mut reply = Vec::new();
        self.ask(view, question.over, std::slice::from_ref(&query), |_, bytes| reply = bytes.to_vec());
        (query, reply)
    }
}
