//! Packs without a disk: zone text in, view out.

use std::fs::File;
use std::io::{Seek, Write};
use std::sync::Arc;

use rustix::fs::{MemfdFlags, memfd_create};
use snapshot::dns::name::Name;
use snapshot::dns::zone::{Zone, ZoneBuilder};
use snapshot::dns::zonefile::{Options, Reader};
use snapshot::image::{Digest, Generation, LoadError, Pack, PackFile, Segment, View};

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
    View::assemble(Generation(1), vec![Arc::new(pack)]).expect("what was loaded can be served")
}

/// Compiles zones that are known to be well-formed.
pub(crate) fn compile(zones: &[(&str, &str)]) -> PackFile {
    let segments = zones.iter().map(|(apex, text)| Segment::build(&parse(apex, text)).expect("the zone is sound"));
    PackFile::encode(segments.collect()).expect("small zones fit")
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
