//! Random zones: whatever is in them, the signed zone has no fault that the zone had not, and one owner signed alone gets
//! what it got with the others.

use std::fmt::Write as _;

use controlplane::sign::{Made, Node, Plan, Set, Standing, ZoneSigner};
use proptest::prelude::*;
use snapshot::dns::rtype::Rtype;

use super::keys::TestKey;
use super::zones::{BARE, DENIALS, NOW, check_good, plan, sign_it, text, zone_of};

/// An owner of up to four labels out of few, so that names meet.
fn owner() -> impl Strategy<Value = String> {
    let label = prop::sample::select(vec!["a", "b", "B", "*", "\\000", "c-d", "\\200", "x\\.y"]);
    prop::collection::vec(label, 1..=4).prop_map(|labels| labels.join("."))
}

/// Type and RDATA.
fn data() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "A 192.0.2.1",
        "A 192.0.2.2",
        "60 A 192.0.2.3",
        "AAAA 2001:db8::1",
        "MX 10 B.a",
        "MX 10 b.A",
        "TXT x",
        "NS a",
        "NS ns.example.",
        "DS 1 13 2 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "DNAME elsewhere.example.",
        "CNAME b",
        "TYPE1000 \\# 1 00",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_zones_are_signed_right(
        records in prop::collection::vec((owner(), data()), 0..20),
        denial in prop::sample::select(DENIALS.to_vec()),
        zonemd in any::<bool>(),
        dropped in any::<prop::sample::Index>(),
    ) {
        let key = TestKey::ed25519(7, (true, true));
        let keys = [key.key()];
        let zone_with = |records: &[(String, &str)]| {
            let mut text = BARE.to_owned();
            for (owner, data) in records {
                writeln!(text, "{owner} {data}").expect("text grows");
            }
            zone_of("Example.test.", &text)
        };
        let zone = zone_with(&records);
        let plan = Plan { zonemd, ..plan(&keys, denial, NOW) };
        let signed = sign_it(&zone, &plan, &()).unwrap();
        check_good(&zone, &signed.zone, NOW, "random");

        // Signed again it stays as it is; with a record less it is right, and what is new was needed.
        let again = sign_it(&zone, &plan, &signed.zone).unwrap();
        prop_assert_eq!(again.made, 0);
        prop_assert!(text(&again.zone) == text(&signed.zone));
        let mut fewer = records.clone();
        if !fewer.is_empty() {
            fewer.remove(dropped.index(fewer.len()));
        }
        let fewer = zone_with(&fewer);
        let after = sign_it(&fewer, &plan, &signed.zone).unwrap();
        check_good(&fewer, &after.zone, NOW, "a record less");
        prop_assert!(text(&after.zone) == text(&sign_it(&fewer, &plan, &()).unwrap().zone));
    }

    #[test]
    fn an_owner_alone_gets_what_it_gets_with_all(
        records in prop::collection::vec((owner(), prop::sample::select(vec!["A 192.0.2.1", "MX 1 B", "TXT x"])), 1..20),
    ) {
        let key = TestKey::ed25519(7, (true, true));
        let keys = [key.key()];
        let mut text = BARE.to_owned();
        for (owner, data) in &records {
            writeln!(text, "{owner} {data}").expect("text grows");
        }
        let zone = zone_of("example.test.", &text);
        let plan = plan(&keys, DENIALS[0], NOW);
        let signed = sign_it(&zone, &plan, &()).unwrap();
        let signer = ZoneSigner::new(zone.apex(), 300, &plan, &()).unwrap();
        let owners: Vec<_> = zone.owners().collect();
        for (idx, owner) in owners.iter().enumerate().skip(1) {
            let next = owners[(idx + 1) % owners.len()].name();
            let sets = owner.rrsets().map(|rrset| Set::of(&rrset)).collect();
            let node = Node { owner: owner.name(), standing: Standing::Authoritative, sets, next };
            let mut made = Made::default();
            signer.owner(&node, &mut made).unwrap();
            let mut alone: Vec<_> = made.records().map(|record| (record.rtype, record.ttl_secs, record.rdata)).collect();
            alone.sort_unstable();
            let with_all = signed.zone.owner(owner.name()).unwrap();
            let with_all = [Rtype::RRSIG, Rtype::NSEC].into_iter().filter_map(|rtype| with_all.rrset(rtype));
            let with_all: Vec<_> = with_all.flat_map(|rrset| rrset.records().collect::<Vec<_>>()).collect();
            let mut with_all: Vec<_> =
                with_all.iter().map(|record| (record.rtype, record.ttl_secs, record.rdata)).collect();
            with_all.sort_unstable();
            prop_assert_eq!(alone, with_all);
        }
    }
}
