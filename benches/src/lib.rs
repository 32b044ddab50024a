//! What the benchmarks share: a zone of any size in the shapes of a large registry, and questions about it.
//!
//! Everything is a function of its numbers, so that two runs, and two machines, measure the same work.

pub mod data;
pub mod gun;
pub mod live;
pub mod mmsg;
mod signed;
pub mod verdict;

use signed::{Chain, signed};
use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rdata::Text;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, Zone, ZoneBuilder};
use snapshot::image::{BaseFacts, Generation, OverlayBuilder, Pack, PackFile, Segment, Touched, View, ZoneCounts};
use std::io::Write;
use std::sync::Arc;

/// The apex of the zone.
pub const APEX: &str = "big.test.";

/// The kinds of answer that are measured apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An address that exists.
    Hit,
    /// A name that does not.
    NxDomain,
    /// A name that a wildcard covers.
    Wildcard,
    /// A name below a zone cut with glue.
    Referral,
    /// A name that does not exist, with the proof by NSEC.
    Nsec,
    /// A name that does not exist, with the proof by NSEC3.
    Nsec3,
}

/// All kinds.
pub const KINDS: [Kind; 6] = [Kind::Hit, Kind::NxDomain, Kind::Wildcard, Kind::Referral, Kind::Nsec, Kind::Nsec3];

impl Kind {
    /// The zone of `names` owners that questions of this kind are asked about: [`zone`], signed where the answer is.
    #[must_use]
    pub fn zone(self, names: u32) -> Zone {
        let plain = zone(names);
        match self {
            Kind::Nsec => signed(&plain, Chain::Nsec),
            Kind::Nsec3 => signed(&plain, Chain::Nsec3),
            _ => plain,
        }
    }
}

/// The label of owner number `i`: ten letters that can be spoken, different for every `i`.
#[must_use]
pub fn label(i: u32) -> String {
    let consonants = b"bcdfghjklmnpqrstvwz";
    let vowels = b"aeiou";
    // An odd multiplier permutes the 32-bit integers, so neighbours in number are strangers in name.
    let mut left = i.wrapping_mul(2_654_435_761).wrapping_add(12_345) as usize;
    let mut label = String::with_capacity(10);
    for _ in 0..5 {
        let digit = left % 95;
        left /= 95;
        label.push(char::from(consonants[digit % 19]));
        label.push(char::from(vowels[digit / 19]));
    }
    label
}

/// A zone of `count` owners under the apex: of ten, five have A, two A and AAAA, one a delegation to servers elsewhere,
/// one a delegation with glue, one MX, TXT and A; and one wildcard.
///
/// # Panics
/// If a name it makes is no name, which would be a bug here.
#[must_use]
pub fn zone(count: u32) -> Zone {
    let mut maker = Maker { builder: ZoneBuilder::new(name("")) };
    maker.head();
    for i in 0..count {
        maker.owner(i);
    }
    maker.builder.finish()
}

/// An absolute name below the apex.
fn name(relative: &str) -> Name {
    let dot = if relative.is_empty() { "" } else { "." };
    format!("{relative}{dot}{APEX}").parse().expect("the names made here are short and plain")
}

/// Adds records.
struct Maker {
    /// The zone so far.
    builder: ZoneBuilder,
}

impl Maker {
    /// Adds one record.
    fn push(&mut self, owner: &str, rtype: Rtype, rdata: &[u8]) {
        let owner = name(owner);
        let record = Record { owner: owner.as_ref(), rtype, ttl_secs: 3600, rdata, line: 0 };
        self.builder.push(record).expect("a few hundred megabytes fit");
    }

    /// SOA, NS and the wildcard.
    fn head(&mut self) {
        let mut soa = [name("ns1").as_wire(), name("hostmaster").as_wire()].concat();
        for field in [2_026_010_101u32, 7200, 1800, 1_209_600, 300] {
            soa.extend_from_slice(&field.to_be_bytes());
        }
        self.push("", Rtype::SOA, &soa);
        for server in ["ns1", "ns2"] {
            self.push("", Rtype::NS, name(server).as_wire());
            self.push(server, Rtype::A, &[198, 18, 0, 1]);
        }
        self.push("*.wild", Rtype::A, &[198, 18, 9, 9]);
    }

    /// The records of owner number `i`.
    fn owner(&mut self, i: u32) {
        let owner = label(i);
        let [_, high, mid, low] = i.to_be_bytes();
        let address = [198, 18 + (high & 1), mid, low];
        let mut address6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        address6[4..8].copy_from_slice(&i.to_be_bytes());
        match i % 10 {
            0..=4 => self.push(&owner, Rtype::A, &address),
            5 | 6 => {
                self.push(&owner, Rtype::A, &address);
                self.push(&owner, Rtype::AAAA, &address6);
            }
            7 => {
                for server in ["ns1", "ns2"] {
                    let server: Name = format!("{server}.{}.example.", label(i % 5000)).parse().expect("plain name");
                    self.push(&owner, Rtype::NS, server.as_wire());
                }
            }
            8 => {
                for server in ["ns1", "ns2"] {
                    let server = format!("{server}.{owner}");
                    self.push(&owner, Rtype::NS, name(&server).as_wire());
                    self.push(&server, Rtype::A, &address);
                }
                self.push(&format!("ns1.{owner}"), Rtype::AAAA, &address6);
            }
            _ => {
                let mail = [&[0, 10], name(&format!("mail.{owner}")).as_wire()].concat();
                self.push(&owner, Rtype::A, &address);
                self.push(&owner, Rtype::MX, &mail);
                self.push(&owner, Rtype::TXT, b"\x0bv=spf1 -all");
            }
        }
    }
}

/// Writes the zone of `names` owners as a zone file: every record on a line of its own, owners relative as people write
/// them; all TTLs are the same.
///
/// # Errors
/// Those of `out`.
pub fn write_zone(names: u32, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "$ORIGIN {APEX}\n$TTL 3600")?;
    for owner in zone(names).owners() {
        for record in owner.rrsets().flat_map(|rrset| rrset.records().collect::<Vec<_>>()) {
            let owner = record.owner.to_string();
            let owner = owner.strip_suffix(APEX).map_or(owner.as_str(), |relative| relative.trim_end_matches('.'));
            let owner = if owner.is_empty() { "@" } else { owner };
            writeln!(out, "{owner} {} {}", record.rtype, Text { rtype: record.rtype, rdata: record.rdata })?;
        }
    }
    Ok(())
}

/// Compiles a zone and loads it as a data plane would: through a file.
///
/// # Panics
/// If compiling, writing or loading fails.
#[must_use]
pub fn view(zone: &Zone) -> View {
    let segment = Segment::build(zone).expect("the zone is well-formed");
    View::assemble(Generation(1), vec![pack(segment)]).expect("one zone fits")
}

/// [`view`] with an overlay of `count` nodes besides the apex: owners of one address, spread over the zone of `names`
/// owners.
///
/// # Panics
/// As [`view`].
#[must_use]
pub fn overlaid(zone: &Zone, names: u32, count: u32) -> View {
    let base = Segment::build(zone).expect("the zone is well-formed");
    let facts = base.base_facts().expect("whole zones can be bases");
    let overlay = overlay(zone, &touched(names, count), facts);
    View::assemble(Generation(1), vec![pack(base), pack(overlay)]).expect("one zone fits")
}

/// Compiles an overlay.
///
/// # Panics
/// If that fails.
#[must_use]
pub fn overlay(zone: &Zone, touched: &[Touched], base: BaseFacts) -> Segment {
    builder(zone, touched, base).build(ZoneCounts::default()).expect("few names fit")
}

/// What compiles it.
///
/// # Panics
/// If that fails.
pub fn builder(zone: &Zone, touched: &[Touched], base: BaseFacts) -> OverlayBuilder {
    let builder = OverlayBuilder::new(zone.apex(), base).expect("a base may have overlays");
    builder.change(zone, touched).expect("the names are few")
}

/// The numbers of `count` owners of one address, spread over `names`.
fn spread(names: u32, count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(move |i| names / count * i / 10 * 10 + i % 5)
}

/// These owners, as they go into an overlay.
#[must_use]
pub fn touched(names: u32, count: u32) -> Vec<Touched> {
    spread(names, count).map(|i| Touched::data(name(&label(i)))).collect()
}

/// Questions for the owners of an overlay, in an order without pattern.
#[must_use]
pub fn queries_in_overlay(names: u32, count: u32) -> Vec<Vec<u8>> {
    // An odd step visits every owner of a power of two once before it repeats.
    let numbers: Vec<u32> = spread(names, count).collect();
    let at = |i: u32| (i.wrapping_mul(2_654_435_761) % count) as usize;
    (0..1 << 14).map(|i| query(name(&label(numbers[at(i)])).as_ref(), i, false)).collect()
}

/// Writes a segment to a file and loads that.
fn pack(segment: Segment) -> Arc<Pack> {
    let pack = PackFile::encode(vec![segment]).expect("the zone fits a pack");
    let path = std::env::temp_dir().join(format!("petrel-bench-{}", std::process::id()));
    let mut file = std::fs::File::create(&path).expect("the temporary directory can be written");
    file.write_all(&pack.bytes).expect("the temporary directory has room");
    let file = std::fs::File::open(&path).expect("the file was just written");
    let loaded = Pack::load(&file, pack.digest).expect("what was just built is well-formed");
    std::fs::remove_file(&path).expect("the file was just written");
    Arc::new(loaded)
}

/// `count` questions of one kind about the zone of `names` owners, in an order without pattern; each with an OPT record
/// of 1232 bytes.
#[must_use]
pub fn queries(kind: Kind, names: u32, count: u32) -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        // SplitMix64: every run asks the same.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        u32::try_from((mixed ^ (mixed >> 27)) >> 32).unwrap_or(0)
    };
    let mut pick = |last: u32| (random() % (names / 10)) * 10 + last;
    (0..count)
        .map(|i| {
            let owner = match kind {
                Kind::Hit => name(&label(pick(i % 5))),
                Kind::NxDomain | Kind::Nsec | Kind::Nsec3 => name(&format!("x{:x}q", pick(i % 10))),
                Kind::Wildcard => name(&format!("h{}.wild", pick(i % 10))),
                Kind::Referral => name(&format!("www.{}", label(pick(8)))),
            };
            query(owner.as_ref(), i, matches!(kind, Kind::Nsec | Kind::Nsec3))
        })
        .collect()
}

/// One query for A with EDNS(0), with DO if `dnssec_ok`.
fn query(qname: NameRef<'_>, id: u32, dnssec_ok: bool) -> Vec<u8> {
    let [_, _, high, low] = id.to_be_bytes();
    let mut message = vec![high, low, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    message.extend_from_slice(qname.as_wire());
    message.extend_from_slice(&[0, 1, 0, 1]);
    let flags = if dnssec_ok { 0x80 } else { 0 };
    message.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, flags, 0, 0, 0]);
    message
}
