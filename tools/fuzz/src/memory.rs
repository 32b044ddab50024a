//! Snapshot files without a disk: zone text in, view out; and files with changes that their digest does not betray.

use std::fs::File;
use std::io::{Seek, Write};
use std::sync::Arc;

use rustix::fs::{MemfdFlags, memfd_create};
use snapshot::dns::choice::{Choice, Member};
use snapshot::dns::name::Name;
use snapshot::dns::region::{Location, Region};
use snapshot::dns::zone::{Zone, ZoneBuilder};
use snapshot::dns::zonefile::{Options, Reader};
use snapshot::image::{
    Digest, Generation, LoadError, Manifest, OverlayBuilder, Pack, PackFile, PackRef, PlacesBuilder, Segment, Touched,
    View, ZoneCounts,
};

/// Bytes of the header of every file.
const HEADER_LEN: usize = 128;

/// Loads a pack from these bytes, as a data plane does from a file.
///
/// # Errors
/// What the loader says.
pub(crate) fn load(bytes: &[u8], digest: Digest) -> Result<Pack, LoadError> {
    let mut file = File::from(memfd_create("pack", MemfdFlags::CLOEXEC).expect("memory files are supported"));
    file.write_all(bytes).expect("there is memory");
    file.rewind().expect("memory files can be rewound");
    Pack::load(&file, digest)
}

/// The view of one loaded pack.
pub(crate) fn view(pack: Pack) -> View {
    assemble(pack).expect("what was loaded can be served")
}

/// The view of one loaded pack, in which overlays may lack their bases.
///
/// # Errors
/// What the view says.
pub(crate) fn assemble(pack: Pack) -> Result<View, LoadError> {
    View::assemble(Generation(1), vec![Arc::new(pack)])
}

/// Compiles zones that are known to be well-formed.
pub(crate) fn compile(zones: &[(&str, &str)]) -> PackFile {
    let segments = zones.iter().map(|(apex, text)| Segment::build(&parse(apex, text)).expect("the zone is sound"));
    PackFile::encode(segments.collect()).expect("small zones fit")
}

/// Compiles a zone, and a table of places. Of each RRset with several records the first is for one region, and the others have
/// weights.
pub(crate) fn placed((apex, text): (&str, &str)) -> PackFile {
    let zone = parse(apex, text);
    let plain = parse(apex, text);
    let mut builder = zone.reopen();
    for owner in plain.owners() {
        for rrset in owner.rrsets() {
            let records = rrset.records().zip(0..);
            let members = records.map(|(record, weight)| {
                let region = if weight == 0 { Region::parse("DE") } else { None };
                Member { region: region.unwrap_or_default(), weight, rdata: record.rdata }
            });
            let members: Vec<_> = members.collect();
            let choice = Choice::of(plain.apex(), owner.name(), rrset.rtype(), rrset.ttl_secs(), &members);
            if let Some(choice) = choice.expect("a small zone fits").filter(|_| members.len() > 1) {
                builder.choose(owner.name(), rrset.rtype(), choice);
            }
        }
    }
    let mut places = PlacesBuilder::default();
    for (first, len) in [("127.0.0.0", 8), ("2001:db8::", 32)] {
        let location = Location::new(Some("DE"), Some("EU"));
        places.push(first.parse().expect("an address"), len, location).expect("the prefixes are in order");
    }
    let segments = vec![Segment::build(&builder.finish()), places.finish()];
    let segments = segments.into_iter().map(|segment| segment.expect("they are sound"));
    PackFile::encode(segments.collect()).expect("small zones fit")
}

/// Compiles a zone and an overlay that makes it another, which differs in the owners that are named.
pub(crate) fn overlaid((apex, text): (&str, &str), changed: &str, touched: &[&str]) -> PackFile {
    let base = Segment::build(&parse(apex, text)).expect("the zone is sound");
    let now = parse(apex, changed);
    let touched: Vec<_> = touched.iter().map(|name| Touched::data(name.parse().expect("a name"))).collect();
    let facts = base.base_facts().expect("whole zones can be bases");
    let builder = OverlayBuilder::new(now.apex(), facts).expect("a base may have overlays");
    let builder = builder.change(&now, &touched).expect("the names are few");
    let overlay = builder.build(ZoneCounts::default()).expect("few names fit");
    PackFile::encode(vec![base, overlay]).expect("small zones fit")
}

/// Reads zone text that is known to be well-formed.
fn parse(apex: &str, text: &str) -> Zone {
    let apex: Name = apex.parse().expect("the apex is a name");
    let options = Options { origin: Some(apex.clone()), ..Options::default() };
    let mut reader = Reader::new(text.as_bytes(), options);
    let mut builder = ZoneBuilder::new(apex);
    while let Some(record) = reader.read().expect("the zone text is sound") {
        builder.push(record).expect("a small zone fits");
    }
    builder.finish()
}

/// A manifest of these packs.
pub(crate) fn manifest(packs: Vec<PackRef>) -> Manifest {
    let previous = packs.first().map(|pack| pack.digest);
    Manifest { epoch: 1, generation: Generation(2), created_unix_secs: 3, previous, change: 4, chain: [5; 32], packs }
}

/// Puts length and digest of the body into the header.
pub(crate) fn sealed(mut file: Vec<u8>) -> Vec<u8> {
    if let Some((header, body)) = file.split_at_mut_checked(HEADER_LEN) {
        header[16..24].copy_from_slice(&(body.len() as u64).to_le_bytes());
        header[32..64].copy_from_slice(&Digest::of(body).0);
    }
    file
}

/// A valid file with changes: each is four bytes, an operation, a place and a value.
pub(crate) fn changed(valid: &[u8], changes: &[u8]) -> Vec<u8> {
    let mut file = valid.to_vec();
    let (changes, _) = changes.as_chunks::<4>();
    for &[how, high, low, value] in changes {
        let at = HEADER_LEN + usize::from(u16::from_be_bytes([high, low])) % (file.len() - HEADER_LEN);
        match how % 8 {
            0 => file[at] ^= 1 << (value % 8),
            1 => file[at] = file[at].wrapping_add(value),
            2 => file[at..].iter_mut().take(usize::from(value)).for_each(|octet| *octet = 0),
            3 => {
                // Moves something that looks right to where it is wrong.
                let len = 8.min(file.len() - at);
                let from = HEADER_LEN + usize::from(value) * 8 % (file.len() - HEADER_LEN - 8);
                file.copy_within(from..from + len, at);
            }
            _ => file[at] = value,
        }
    }
    file
}
