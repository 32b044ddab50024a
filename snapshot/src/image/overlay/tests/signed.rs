//! Overlays of signed zones: the chain of base and overlay is that of the zone compiled whole.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::dns::nsec3::{HASH_LEN, Params, text};
use crate::dns::rtype::Rtype;
use crate::dns::zone::{Record, ZoneBuilder};

/// The signature that makes a zone signed.
const SIGNATURE: &str = "@ RRSIG SOA 13 1 60 20300101000000 20200101000000 1 e. AAAA";

/// How the hashed zones hash.
const PARAMS: Params<'static> = Params { iterations: 1, salt: &[0xab] };
/// The same in RDATA of NSEC3PARAM and NSEC3.
const PARAMS_RDATA: [u8; 6] = [1, 0, 0, 1, 1, 0xab];

/// The label that a name's hash is.
fn label(asked: &str) -> String {
    String::from_utf8(text(&PARAMS.hash(name(asked).to_canonical().as_wire())).to_vec()).unwrap()
}

/// What the owners of drawn zones may have.
fn listed() -> Vec<String> {
    let mut listed: Vec<String> = [
        "A 192.0.2.1",
        "TXT x",
        "NS b.a",
        "NS elsewhere.test.",
        "DNAME b",
        "NSEC a A",
        "NSEC b TXT",
        "RRSIG A 13 1 60 20300101000000 20200101000000 1 e. AAAA",
        "RRSIG NSEC 13 1 60 20300101000000 20200101000000 1 e. AAAA",
        "RRSIG NSEC3 13 1 60 20300101000000 20200101000000 1 e. AAAA",
        // Of another chain.
        "NSEC3 1 0 2 AB 00000000000000000000000000000000 TXT",
    ]
    .map(str::to_owned)
    .to_vec();
    listed.extend(["a.e.", "b.a.e."].map(|next| format!("NSEC3 1 0 1 AB {} A", label(next))));
    listed
}

/// Edits of names and of owners of hashes, those without a record of their own among them.
fn signed_edits(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Edit>> {
    let record = prop_oneof![2 => 0..listed().len(), 1 => 5..7_usize];
    let plain = ("[ab*](\\.[ab*]){0,3}", record);
    let hashed = ("[ab*](\\.[ab*]){0,2}", prop_oneof![1 => 0..listed().len(), 4 => 9..listed().len()]);
    let hashed = hashed.prop_map(|(owner, record)| (label(&format!("{owner}.e.")), record));
    let below = ("[ab]", 0..listed().len())
        .prop_map(|(owner, record)| (format!("x.{}", label(&format!("{owner}.e."))), record));
    let deeper = ("[ab]", 9..listed().len()).prop_map(|(owner, record)| (format!("{}.{owner}", label("a.e.")), record));
    let apex = (Just("@".to_owned()), prop_oneof![0..2_usize, Just(4), Just(7)]);
    prop::collection::vec(prop_oneof![8 => plain, 8 => hashed, 1 => below, 1 => deeper, 1 => apex], count)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Records at random, which form no chain: whatever the compiler makes of a zone, base and overlay make too.
    #[test]
    fn a_signed_base_with_its_overlay_is_the_zone(
        is_hashed in any::<bool>(),
        before in signed_edits(0..14),
        changes in signed_edits(0..8),
        knows_boundaries in any::<bool>(),
        folded_at in 0..16_usize,
    ) {
        let fixed = match is_hashed {
            false => format!("{SIGNATURE}\n@ NSEC a NS SOA"),
            true => format!("{SIGNATURE}\n@ NSEC3PARAM 1 0 1 AB\n{} NSEC3 1 0 1 AB {} NS SOA", label("e."), label("a.e.")),
        };
        let listed = listed();
        let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
        let (fixed, listed) = (fixed.as_str(), &listed[..]);
        check_course(&Course { fixed, listed, before, changes, knows_boundaries, folded_at })?;
    }
}

/// How a zone is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signing {
    /// With NSEC.
    Nsec,
    /// With NSEC3.
    Nsec3,
}

/// Adds a closed chain to a zone without cuts and empty names.
fn closed(zone: &Records, signing: Signing) -> Records {
    let mut builder = ZoneBuilder::new(zone.apex().to_name());
    let mut push = |owner: NameRef<'_>, rtype, rdata: &[u8]| {
        builder.push(Record { owner, rtype, ttl_secs: 60, rdata, line: 0 }).unwrap();
    };
    for rrset in zone.owners().flat_map(|owner| owner.rrsets().collect::<Vec<_>>()) {
        rrset.records().for_each(|record| push(record.owner, record.rtype, record.rdata));
    }
    // Covers the SOA, or what a chain consists of.
    let mut sign = |owner: NameRef<'_>, covered: Rtype, rdata: &[u8]| {
        let fields = [&covered.0.to_be_bytes()[..], &[13, 1, 0, 0, 0, 60, 0, 0, 0, 9, 0, 0, 0, 1, 0, 1, 1, b'e', 0]];
        push(owner, Rtype::RRSIG, &[&fields.concat()[..], &crate::image::Digest::of(rdata).0].concat());
        push(owner, covered, rdata);
    };
    let soa = zone.owner(zone.apex()).unwrap().rrset(Rtype::SOA).unwrap().records().next().unwrap();
    sign(zone.apex(), Rtype::SOA, soa.rdata);
    let owners: Vec<Name> = zone.owners().map(|owner| owner.name().to_name()).collect();
    match signing {
        Signing::Nsec => {
            for (owner, next) in owners.iter().zip(owners.iter().cycle().skip(1)) {
                sign(owner.as_ref(), Rtype::NSEC, &[next.as_wire(), &[0, 1, 0x40]].concat());
            }
        }
        Signing::Nsec3 => {
            sign(zone.apex(), Rtype::NSEC3PARAM, &PARAMS_RDATA);
            let hashes: BTreeMap<[u8; HASH_LEN], ()> =
                owners.iter().map(|owner| (PARAMS.hash(owner.as_wire()), ())).collect();
            for (hash, next) in hashes.keys().zip(hashes.keys().cycle().skip(1)) {
                let owner = Name::from_wire(&[&[32][..], &text(hash), zone.apex().as_wire()].concat()).unwrap();
                sign(owner.as_ref(), Rtype::NSEC3, &[&PARAMS_RDATA[..], &[20], next, &[0, 1, 0x40]].concat());
            }
        }
    }
    builder.finish()
}

/// The records of each owner of a zone.
fn by_owner(zone: &Records) -> BTreeMap<Name, Vec<(Rtype, Vec<u8>)>> {
    let records = |owner: &crate::dns::zone::OwnerRecords<'_>| -> Vec<(Rtype, Vec<u8>)> {
        let rrsets = owner.rrsets().collect::<Vec<_>>();
        rrsets.iter().flat_map(|rrset| rrset.records()).map(|record| (record.rtype, record.rdata.to_vec())).collect()
    };
    zone.owners().map(|owner| (owner.name().to_name(), records(&owner))).collect()
}

/// The owners whose records differ.
fn differing(before: &Records, now: &Records) -> Vec<Touched> {
    let (before, now) = (by_owner(before), by_owner(now));
    let owners: BTreeSet<&Name> = before.keys().chain(now.keys()).collect();
    let differing = owners.into_iter().filter(|owner| before.get(*owner) != now.get(*owner));
    differing.map(|owner| Touched::data(owner.clone())).collect()
}

/// A zone of these names, each of one TXT record.
fn hosts(serial: u32, hosts: impl Iterator<Item = u32>) -> Records {
    let text: String = hosts.map(|host| format!("h{host:04} TXT x\n")).collect();
    zone(&text, &[], &Content::new(), serial)
}

/// Checks that base and overlay prove about each host what the zone compiled whole does; returns how many names were
/// touched.
fn check_proofs(before: &Records, now: &Records) -> usize {
    let touched = differing(before, now);
    let base = Segment::build(before).unwrap();
    let changed = pack_of(vec![overlay(now, &base, &touched).unwrap()]);
    let (base, whole) = (pack_of(vec![base]), pack_of(vec![Segment::build(now).unwrap()]));
    let (actual, expected) = (view(&[&base, &changed]), view(&[&whole]));
    let (actual, expected) = (actual.zone(now.apex()).unwrap(), expected.zone(now.apex()).unwrap());
    for host in 0..400 {
        for asked in [format!("h{host:04}.e."), format!("x.h{host:04}.e."), format!("\\000.h{host:04}.e.")] {
            assert_eq!(proof(&actual, &asked), proof(&expected, &asked), "{asked}");
            assert_eq!(found(&actual, &asked), found(&expected, &asked), "{asked}");
        }
    }
    touched.len()
}

#[test]
fn proofs_are_right_where_long_runs_of_names_came_or_went() {
    for (signing, touched_by_one) in [(Signing::Nsec, 3), (Signing::Nsec3, 4)] {
        let zone = |serial, ranges: &[(u32, u32)]| {
            closed(&hosts(serial, ranges.iter().flat_map(|&(first, end)| first..end)), signing)
        };
        let base = zone(8, &[(0, 300)]);
        // What changes with one name: the apex, which has the SOA, the name itself, and the record before it; with hashes
        // the owner of its own as well.
        assert_eq!(check_proofs(&base, &zone(9, &[(0, 100), (101, 300)])), touched_by_one, "{signing:?}");
        for ranges in [
            &[(0, 300)][..],
            &[(0, 40), (250, 300)],
            &[],
            &[(0, 1)],
            &[(299, 300)],
            &[(0, 400)],
            &[(0, 10), (20, 30), (150, 160), (290, 310)],
            &[(300, 400)],
        ] {
            check_proofs(&base, &zone(9, ranges));
            check_proofs(&zone(8, ranges), &zone(9, &[(0, 300)]));
        }
    }
}

#[test]
fn owners_of_hashes_are_touched_names() {
    let plain = |serial| hosts(serial, 0..3);
    let (before, now) = (closed(&plain(8), Signing::Nsec3), closed(&hosts(9, 0..4), Signing::Nsec3));
    let base = Segment::build(&before).unwrap();
    let names = names_of(&overlay(&now, &base, &differing(&before, &now)).unwrap());
    let mut expected = vec![format!("[{}]", label("e.")), format!("[{}]", label("h0003.e.")), "h0003".into()];
    // The record before that of the new name.
    let mut hashes = ["e.", "h0000.e.", "h0001.e.", "h0002.e."].map(label).to_vec();
    hashes.sort();
    let before_it = hashes.iter().rfind(|hash| **hash < label("h0003.e.")).unwrap_or(&hashes[3]);
    expected.push(format!("[{before_it}]"));
    expected.sort_by(|a, b| a.trim_start_matches('[').cmp(b.trim_start_matches('[')));
    expected.dedup();
    assert_eq!(names, expected.join(" "));
    // A change that touches no denial brings the apex's alone.
    let now = closed(&plain(9), Signing::Nsec3);
    assert_eq!(names_of(&overlay(&now, &base, &[]).unwrap()), format!("[{}]", label("e.")));
    let in_names = closed(&plain(8), Signing::Nsec);
    let base = Segment::build(&in_names).unwrap();
    assert_eq!(names_of(&overlay(&closed(&plain(9), Signing::Nsec), &base, &[]).unwrap()), "");
}

#[test]
fn another_chain_than_that_of_the_base_is_refused() {
    let apex = |chain: &str| records("e.", &format!("{SIGNATURE}\n{chain}"));
    let own = label("e.");
    let names = apex("@ NSEC e. NS SOA");
    let hashes = apex(&format!("@ NSEC3PARAM 1 0 1 AB\n{own} NSEC3 1 0 1 AB {own} NS SOA"));
    let is_taken = |now: &Records, base: &Records| match overlay(now, &Segment::build(base).unwrap(), &[]) {
        Ok(_) => true,
        Err(OverlayError::Denial { .. }) => false,
        Err(other) => panic!("{other}"),
    };
    assert!(is_taken(&names, &names) && is_taken(&hashes, &hashes));
    assert!(!is_taken(&names, &hashes) && !is_taken(&hashes, &names));
    for chain in [
        // No record at the apex; another chain may be announced first, or has other parameters, or is not whole.
        "".to_owned(),
        "a NSEC e. TXT".to_owned(),
        "@ NSEC e. NS SOA\n@ NSEC3PARAM 1 0 1 AB".to_owned(),
        "@ NSEC3PARAM 1 0 1 AB".to_owned(),
        format!("@ NSEC3PARAM 1 0 0 -\n@ NSEC3PARAM 1 0 1 AB\n{own} NSEC3 1 0 1 AB {own} NS SOA"),
        format!("@ NSEC3PARAM 1 0 2 AB\n{own} NSEC3 1 0 2 AB {own} NS SOA"),
        format!("@ NSEC3PARAM 1 0 1 AC\n{own} NSEC3 1 0 1 AC {own} NS SOA"),
        format!("@ NSEC3PARAM 1 0 1 AB\n{own} NSEC3 1 0 1 AC {own} NS SOA"),
        format!("@ NSEC3PARAM 1 1 1 AB\n{own} NSEC3 1 0 1 AB {own} NS SOA"),
        format!("@ NSEC3PARAM 1 0 1 AB\n{} NSEC3 1 0 1 AB {own} NS SOA", label("a.e.")),
    ] {
        let now = apex(&chain);
        assert!(!is_taken(&now, &names) && !is_taken(&now, &hashes), "{chain}");
    }
}

#[test]
fn an_overlay_lies_on_a_base_with_its_chain_only() {
    let own = label("e.");
    let hashed = |salt: &str| {
        records("e.", &format!("{SIGNATURE}\n@ NSEC3PARAM 1 0 1 {salt}\n{own} NSEC3 1 0 1 {salt} {own} NS SOA"))
    };
    // A base that says it is another one is what only a broken writer makes.
    let (right, wrong) =
        (Segment::build(&records("e.", &format!("{SIGNATURE}\n@ NSEC e. NS SOA"))).unwrap(), hashed("AB"));
    let mut facts = Segment::build(&wrong).unwrap().base_facts().unwrap();
    facts.digest = right.facts.digest;
    facts.seed = right.base_facts().unwrap().seed;
    let builder = OverlayBuilder::new(wrong.apex(), facts).unwrap().change(&wrong, &[]).unwrap();
    let (base, changed) = (pack_of(vec![right]), pack_of(vec![builder.build(ZoneCounts::default()).unwrap()]));
    let error = View::assemble(Generation(1), vec![base, changed]).err().unwrap();
    assert_eq!(error.to_string(), "the overlay of zone e. lacks its base");
}

/// Which rule a damaged overlay breaks.
fn broken(segment: &Segment, damage: impl Fn(&mut [u8])) -> &'static str {
    let mut bytes: Vec<u8> = segment.lines.iter().flat_map(|line| line.bytes).collect();
    assert!(crate::image::verify::verify_segment(&bytes).is_ok());
    damage(&mut bytes);
    crate::image::verify::verify_segment(&bytes).err().unwrap_or_default()
}

#[test]
fn the_chain_of_an_overlay_is_checked() {
    use crate::image::layout::header;
    let changed = |signing| {
        let (before, now) = (closed(&hosts(8, 0..9), signing), closed(&hosts(9, (0..4).chain(5..9)), signing));
        overlay(&now, &Segment::build(&before).unwrap(), &differing(&before, &now)).unwrap()
    };
    let index_off = |bytes: &[u8]| u32::from_le_bytes(*bytes[header::DENIAL..].first_chunk().unwrap()) as usize * 8;
    let names = changed(Signing::Nsec);
    // Its index has two entries, the apex and the name before the one that went: 16 bytes of keys, 8 of words.
    let without_apex = broken(&names, |bytes| {
        let start = index_off(bytes);
        assert_eq!(bytes[header::DENIAL_COUNT], 2);
        bytes[header::DENIAL_COUNT] = 1;
        bytes.copy_within(start + 8..start + 16, start);
        bytes.copy_within(start + 20..start + 24, start + 8);
    });
    assert_eq!(without_apex, "denial of an overlay lacks the apex");
    let without_index = broken(&names, |bytes| {
        bytes[header::DENIAL..header::DENIAL_COUNT + 4].fill(0);
        bytes[header::DENIAL_KIND] = 0;
    });
    assert_eq!(without_index, "overlay proves nothing");
    assert_eq!(broken(&names, |bytes| bytes[header::FLAGS] = 0), "denial index without a reason");
    let unmarked = broken(&changed(Signing::Nsec3), |bytes| {
        // The last node in front of the index; its name is a hash and the apex, 36 octets.
        let nodes = &bytes[..index_off(bytes)];
        let node = nodes.windows(9).rposition(|head| (head[0], head[1], head[8]) == (36, 32, 32)).unwrap();
        bytes[node + 1] = 0;
    });
    assert_eq!(unmarked, "denial key is wrong");
}
