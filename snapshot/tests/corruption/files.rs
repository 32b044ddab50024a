//! The files that are damaged, what damages them, and what is asked of them afterwards.

use std::fs::File;
use std::io::{Seek, Write};
use std::sync::Arc;

use rustix::fs::{MemfdFlags, memfd_create};
use snapshot::dns::lookup_name::LookupName;
use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Zone, ZoneBuilder};
use snapshot::dns::zonefile::{Options, Reader};
use snapshot::image::{
    Denial, Digest, Found, Generation, Hashed, LoadError, OverlayBuilder, Pack, PackFile, Segment, Touched, View,
    ZoneCounts,
};

/// Bytes of the header of every file.
pub(crate) const HEADER_LEN: usize = 128;

/// Where the header has the length of the body, and where its digest.
const LENGTH_OFF: usize = 16;
const DIGEST_OFF: usize = 32;

/// Zones with every kind of node: wildcard, empty non-terminal, alias, cuts with glue of all sorts, signatures.
pub(crate) const ZONES: [(&str, &str); 4] = [
    (
        "example.",
        "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\n@ MX 10 mail\nns A 192.0.2.1\nmail AAAA 2001:db8::1\n*.wild MX 20 mail\n\
         a.b.c.d TXT \"deep\"\nwww CNAME mail\ncut NS ns.cut\ncut NS ns.other\ncut NS ns.elsewhere.\nns.cut A 192.0.2.2\n\
         ns.cut AAAA 2001:db8::2\nother NS ns.other\nother DS 1 13 2 \
         0000000000000000000000000000000000000000000000000000000000000000\nns.other A 192.0.2.3\n*.cut TXT \"occluded\"\n",
    ),
    (
        "signed.test.",
        "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ RRSIG SOA 13 2 60 20300101000000 20200101000000 1 @ AAAA\n@ NS ns\n\
         @ RRSIG NS 13 2 60 20300101000000 20200101000000 1 @ AAAA\n@ DNSKEY 257 3 13 AAAA\nns A 192.0.2.4\n\
         ns RRSIG A 13 3 60 20300101000000 20200101000000 1 @ AAAA\n* A 192.0.2.5\n@ NSEC * NS SOA\n* NSEC ns A\n\
         ns NSEC @ A\n",
    ),
    (
        "hashed.test.",
        "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ RRSIG SOA 13 2 60 20300101000000 20200101000000 1 @ AAAA\n@ NS ns.test.\n\
         @ NSEC3PARAM 1 0 1 AB\n00000000000000000000000000000000 NSEC3 1 1 1 AB 7VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV NS SOA\n\
         7vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv NSEC3 1 1 1 AB G0000000000000000000000000000000 A\n\
         g0000000000000000000000000000000 NSEC3 1 1 1 AB 00000000000000000000000000000000\n",
    ),
    (".", "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns.test.\ntest NS ns.test.\nns.test A 192.0.2.6\n"),
];

/// Random numbers that are the same in every run: SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }
}

/// Compiles zones given as apex and text.
pub(crate) fn pack(zones: &[(&str, &str)]) -> PackFile {
    let segments = zones.iter().map(|(apex, text)| Segment::build(&zone(apex, text)).unwrap());
    PackFile::encode(segments.collect()).unwrap()
}

/// The first of [`ZONES`] after some changes.
const CHANGED: &str = "$TTL 60\n@ SOA ns h 2 2 3 4 5\n@ NS ns\n@ MX 10 mail\nns A 192.0.2.9\nmail AAAA 2001:db8::1\n*.wild TXT new\n\
     b.c.d TXT \"less deep\"\nnew.x.y A 192.0.2.1\ncut NS ns.cut\ncut NS ns.elsewhere.\nns.cut A 192.0.2.8\n\
     other NS ns.other\nns.other A 192.0.2.3\n*.cut TXT \"occluded\"\n";

/// The second one, which has NSEC: a name is gone, one is new, one has other records.
const SIGNED_CHANGED: &str = "$TTL 60\n@ SOA ns h 2 2 3 4 5\n@ RRSIG SOA 13 2 60 20300101000000 20200101000000 2 @ AAAA\n\
     @ NS ns\n@ RRSIG NS 13 2 60 20300101000000 20200101000000 1 @ AAAA\n@ DNSKEY 257 3 13 AAAA\nns A 192.0.2.5\n\
     ns RRSIG A 13 3 60 20300101000000 20200101000000 2 @ AAAA\n@ NSEC ns NS SOA\nns NSEC w A\nw TXT new\n\
     w NSEC @ TXT\n";

/// The third one, which has NSEC3: a record is gone, two are new, that of the apex among them, one has another successor.
const HASHED_CHANGED: &str = "$TTL 60\n@ SOA ns h 2 2 3 4 5\n@ RRSIG SOA 13 2 60 20300101000000 20200101000000 2 @ AAAA\n\
     @ NS ns.test.\n@ NSEC3PARAM 1 0 1 AB\n00000000000000000000000000000000 NSEC3 1 1 1 AB 7VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV NS SOA\n\
     d4t5rlq2pk1oad5rech5r5b5koehsi2n NSEC3 1 1 1 AB G0000000000000000000000000000000 NS SOA\n\
     g0000000000000000000000000000000 NSEC3 1 1 1 AB OOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOO\n\
     oooooooooooooooooooooooooooooooo NSEC3 1 1 1 AB 00000000000000000000000000000000 A\n";

/// How the zones change that have overlays: which, to what, how many names there are then, and those that are touched.
const CHANGES: [(usize, &str, u32, &str); 3] = [
    (0, CHANGED, 9, "ns *.wild a.b.c.d b.c.d www new.x.y cut ns.cut other"),
    (1, SIGNED_CHANGED, 3, "ns * w"),
    (
        2,
        HASHED_CHANGED,
        1,
        "7vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv d4t5rlq2pk1oad5rech5r5b5koehsi2n g0000000000000000000000000000000 \
         oooooooooooooooooooooooooooooooo",
    ),
];

/// Compiles all zones, and overlays on some.
pub(crate) fn overlaid() -> PackFile {
    let build = |(apex, text): &(&str, &str)| Segment::build(&zone(apex, text)).unwrap();
    let mut segments: Vec<Segment> = ZONES.iter().map(build).collect();
    for (position, text, names, touched) in CHANGES {
        let apex = ZONES[position].0;
        let now = zone(apex, text);
        let touched = touched.split(' ').map(|name| Touched::data(format!("{name}.{apex}").parse().unwrap()));
        let builder = OverlayBuilder::new(now.apex(), segments[position].base_facts().unwrap()).unwrap();
        let builder = builder.change(&now, &touched.collect::<Vec<_>>()).unwrap();
        segments.push(builder.build(ZoneCounts { names, rrsets: 14, records: 15 }).unwrap());
    }
    PackFile::encode(segments).unwrap()
}

/// Reads a zone.
fn zone(apex: &str, text: &str) -> Zone {
    let apex: Name = apex.parse().unwrap();
    let mut reader = Reader::new(text.as_bytes(), Options { origin: Some(apex.clone()), ..Options::default() });
    let mut builder = ZoneBuilder::new(apex);
    while let Some(record) = reader.read().unwrap() {
        builder.push(record).unwrap();
    }
    builder.finish()
}

/// Loads a pack from these bytes.
pub(crate) fn load(bytes: &[u8], digest: Digest) -> Result<Pack, LoadError> {
    let mut file = File::from(memfd_create("pack", MemfdFlags::CLOEXEC).unwrap());
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    Pack::load(&file, digest)
}

/// Flips one bit.
pub(crate) fn flip(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut broken = bytes.to_vec();
    broken[bit / 8] ^= 1 << (bit % 8);
    broken
}

/// Puts length and digest of the body into the header, as a writer that breaks the rules would; returns the digest.
pub(crate) fn reseal(bytes: &mut [u8]) -> Digest {
    let (header, body) = bytes.split_at_mut(HEADER_LEN);
    let digest = Digest::of(body);
    header[LENGTH_OFF..][..8].copy_from_slice(&(body.len() as u64).to_le_bytes());
    header[DIGEST_OFF..][..32].copy_from_slice(&digest.0);
    digest
}

/// The view of one pack.
pub(crate) fn view(pack: Pack) -> Result<View, LoadError> {
    View::assemble(Generation(1), vec![Arc::new(pack)])
}

/// Asks every zone for every node it lists, for names below and beside them; returns how many names were found.
pub(crate) fn ask_everything(view: &View) -> usize {
    let mut found = 0;
    for facts in view.zones() {
        let zone = view.zone(facts.apex.as_ref()).expect("a zone that is listed is found");
        assert!(zone.soa().is_some());
        for node in zone.nodes() {
            for rrset in node.rrsets() {
                assert!(node.rrset(rrset.rtype).is_some());
            }
            for name in [node.name().to_vec(), [b"\x01x", node.name()].concat(), [b"\x01*", node.name()].concat()] {
                if NameRef::prefix_of(&name).is_ok() {
                    found += usize::from(ask(view, &name));
                }
            }
        }
    }
    found
}

/// Looks a name up in its zone; what is found has the name asked for, or is above it.
fn ask(view: &View, name: &[u8]) -> bool {
    let mut lookup = LookupName::default();
    lookup.assign(name).unwrap();
    let Some(zone) = view.find_zone(&lookup, lookup.label_count()).and_then(|id| view.get(id)) else { return false };
    // A wrong proof is possible here, a wrong read is not.
    let proof = match zone.denial() {
        Denial::None => None,
        Denial::Nsec(chain) => chain.at_or_before(name).map(|node| (node, Rtype::NSEC)),
        Denial::Nsec3(chain) => {
            chain.find(name).map(|(Hashed::Match(node) | Hashed::Cover(node))| (node, Rtype::NSEC3))
        }
    };
    assert_eq!(proof.is_none(), matches!(zone.denial(), Denial::None));
    assert!(proof.is_none_or(|(node, rtype)| node.rrset(rtype).is_some()));
    let node = match zone.find_now(&lookup) {
        Some(Found::Exact(node)) => {
            assert_eq!(node.name(), name);
            node
        }
        Some(Found::Missing(encloser)) => {
            assert!(name.ends_with(encloser.node.name()));
            encloser.node
        }
        None => return false,
    };
    for other in [node.cut_above(), node.wildcard_child()].into_iter().flatten() {
        assert!(other.rrsets().all(|rrset| !rrset.records.is_empty()));
    }
    node.name() == name
}
