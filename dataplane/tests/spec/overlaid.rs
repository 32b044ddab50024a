//! Zones that were changed by overlays answer as zones that were compiled whole, to the byte.
//!
//! That whole zones are answered as they should is for the other modules here.

use proptest::prelude::*;

use crate::drawn::{APEXES, Drawn, QTYPES, drawn, labels, qnames, zones};
use crate::message::Dnssec;
use crate::model::{Name, Over, Question, Rdata, SOA, Zone};
use crate::serve::{self, Asker};
use crate::signed::Signing;

/// Changes the last field of each SOA, on which negative answers depend.
fn with_new_soa(mut zones: Vec<Zone>, minimum: u8) -> Vec<Zone> {
    for record in zones.iter_mut().flat_map(|zone| &mut zone.records).filter(|record| record.rtype == SOA) {
        if let Rdata::Octets(octets) = &mut record.rdata
            && let Some(last) = octets.last_mut()
        {
            *last = minimum;
        }
    }
    zones
}

/// When a record is there: before, now, or both.
fn stays() -> impl Strategy<Value = (bool, bool)> {
    prop_oneof![3 => Just((true, true)), 1 => Just((true, false)), 1 => Just((false, true))]
}

/// The records of one of the two times.
fn at(drawn: &[(Drawn, (bool, bool))], is_there: impl Fn(&(bool, bool)) -> bool) -> Vec<Drawn> {
    drawn.iter().filter(|(_, when)| is_there(when)).map(|(record, _)| record.clone()).collect()
}

/// How the zones are signed.
fn signings() -> impl Strategy<Value = Vec<Signing>> {
    let signing = prop_oneof![
        1 => Just(Signing::Unsigned),
        3 => Just(Signing::Nsec),
        3 => Just(Signing::Nsec3),
        3 => Just(Signing::OptOut),
    ];
    prop::collection::vec(signing, APEXES.len())
}

/// All questions about these names, of these types.
fn questions(names: Vec<Name>, qtypes: &[u16]) -> impl Iterator<Item = Question> {
    let types = move |qname: Name| qtypes.iter().map(move |&qtype| (qname.clone(), qtype));
    let over =
        |(qname, qtype): (Name, u16)| [Over::Udp, Over::Tcp].map(|over| Question { qname: qname.clone(), qtype, over });
    names.into_iter().flat_map(types).flat_map(over)
}

/// The types of denials and signatures: NSEC, NSEC3, NSEC3PARAM, RRSIG.
const SIGNED_QTYPES: [u16; 4] = [47, 50, 51, 46];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn overlaid_zones_are_answered_as_whole_ones(
        served in any::<u8>(),
        delegated in (any::<u8>(), any::<u8>(), any::<bool>()),
        drawn in prop::collection::vec((drawn(), stays()), 1..24),
        minimum in any::<u8>(),
        more in prop::collection::vec(labels(1..5), 8),
    ) {
        let (old_cuts, new_cuts, are_same) = delegated;
        let before = zones(served, old_cuts, &at(&drawn, |when| when.0));
        let now = zones(served, if are_same { old_cuts } else { new_cuts }, &at(&drawn, |when| when.1));
        let now = with_new_soa(now, minimum);
        let (whole, overlaid) = (serve::view(&now), serve::overlaid(&before, &now, &[Signing::Unsigned; APEXES.len()]));
        let mut asker = Asker::new();
        let names = [qnames(&before, &more), qnames(&now, &more)].concat();
        for question in questions(names, &QTYPES) {
            let (_, expected) = asker.ask_one(&whole, &question, Dnssec::NotWanted);
            let (_, reply) = asker.ask_one(&overlaid, &question, Dnssec::NotWanted);
            prop_assert_eq!(reply, expected, "{:?}", question);
        }
    }

    #[test]
    fn signed_overlaid_zones_are_answered_as_whole_ones(
        served in any::<u8>(),
        delegated in (any::<u8>(), any::<u8>(), any::<bool>()),
        drawn in prop::collection::vec((drawn(), stays()), 1..24),
        minimum in any::<u8>(),
        more in prop::collection::vec(labels(1..5), 8),
        signings in signings(),
    ) {
        let (old_cuts, new_cuts, are_same) = delegated;
        let before = zones(served, old_cuts, &at(&drawn, |when| when.0));
        let now = zones(served, if are_same { old_cuts } else { new_cuts }, &at(&drawn, |when| when.1));
        let now = with_new_soa(now, minimum);
        let (whole, overlaid) = (serve::signed(&now, &signings), serve::overlaid(&before, &now, &signings));
        let mut asker = Asker::new();
        let names = [qnames(&before, &more), qnames(&now, &more)].concat();
        for question in questions(names, &[&QTYPES[..], &SIGNED_QTYPES].concat()) {
            let (_, expected) = asker.ask_one(&whole, &question, Dnssec::Wanted);
            let (_, reply) = asker.ask_one(&overlaid, &question, Dnssec::Wanted);
            prop_assert_eq!(reply, expected, "{:?} {:?}", question, signings);
        }
    }
}
