//! Zone files: read, checked, compiled, loaded, and every name found again.

use snapshot::dns::lookup_name::LookupName;
use snapshot::dns::name::Name;
use snapshot::dns::rdata;
use snapshot::dns::zone::{Zone, ZoneBuilder};
use snapshot::dns::zonefile::{Generate, Options, Reader};
use snapshot::image::{Found, PackFile, Segment, View};

use crate::{ask, memory};

/// How many names a zone may have to be asked for all of them: the rest says nothing new.
const NAMES_MAX: u32 = 64;

/// Takes the bytes as the file of zone `example.`.
pub(crate) fn check(bytes: &[u8]) {
    let apex: Name = "example.".parse().expect("the apex is a name");
    let generate = Generate::AtMost(64);
    let options = Options { origin: Some(apex.clone()), default_ttl: Some(60), generate, ..Options::default() };
    let mut reader = Reader::new(bytes, options);
    let mut builder = ZoneBuilder::new(apex);
    loop {
        match reader.read() {
            Ok(Some(record)) => {
                assert_eq!(rdata::check(record.rtype, record.rdata), Ok(()), "{} {}", record.owner, record.rtype);
                assert!(builder.push(record).is_ok());
            }
            Ok(None) => break,
            // What was read before the error is a zone as well.
            Err(error) => {
                assert!(!error.to_string().is_empty());
                break;
            }
        }
    }
    let zone = builder.finish();
    if let Ok(segment) = Segment::build(&zone) {
        serve(&zone, segment);
    }
}

/// Loads what was built and compares it with the zone.
fn serve(zone: &Zone, segment: Segment) {
    let (names, signed) = (segment.facts.names, segment.facts.signed);
    let pack = PackFile::encode(vec![segment]).expect("a small zone fits");
    let view = memory::view(memory::load(&pack.bytes, pack.digest).expect("what is built can be loaded"));
    if !signed {
        every_rrset_is_there(zone, &view);
    }
    if names <= NAMES_MAX {
        ask::everything(&view);
    }
}

/// Compares the RRsets of an unsigned zone with those of its nodes; the SOA is kept apart.
fn every_rrset_is_there(zone: &Zone, view: &View) {
    let compiled = view.zone(zone.apex()).expect("the zone is there");
    let mut lookup = LookupName::default();
    for owner in zone.owners() {
        lookup.assign(owner.name().as_wire()).expect("owners are names");
        let Some(Found::Exact(node)) = compiled.find_now(&lookup) else { panic!("{} is missing", owner.name()) };
        for rrset in owner.rrsets() {
            let body = match node.rrset(rrset.rtype()) {
                Some(body) => body,
                None => compiled.soa().expect("a zone has a SOA"),
            };
            assert_eq!(body.rtype, rrset.rtype(), "{}", owner.name());
            assert_eq!(usize::from(body.record_count), rrset.record_count(), "{}", owner.name());
        }
    }
}
