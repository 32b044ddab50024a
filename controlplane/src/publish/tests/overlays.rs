//! Overlays of signed zones: which changes are some, and what of former signatures they go on with.

use snapshot::dns::name::Name;
use snapshot::dns::rtype::Rtype;

use super::hashed::Zone;
use super::signed::wait;
use super::*;
use crate::store::domains::Denial;
use crate::store::rrsets::Record;

impl Bench {
    /// Sets the NS records of an owner, or deletes them.
    fn delegate(&self, domain: DomainId, subname: &str, is_there: bool) -> ChangeId {
        let rtype = Rtype::NS;
        let record = |name: &str| {
            let name: Name = name.parse().unwrap();
            let address = testing::rrset("x", "192.0.2.1").records.remove(0);
            crate::store::rrsets::Record { content: name.to_string(), rdata: name.as_wire().to_vec(), ..address }
        };
        let records = vec![record("ns.n7.big.test."), record("ns.elsewhere.test.")];
        let target = Target { subname: subname.into(), rtype, state: is_there.then_some((60, records)) };
        let edits = Edits::Targets { kind: "edit", undoes: None, note: None, targets: vec![target], soa: None };
        let change = Change { actor: self.actor.clone(), domain, precondition: None, edits, dry_run: false };
        self.store.write_blocking(move |txn| commit(txn, change)).unwrap().change.unwrap()
    }
}

#[test]
fn cuts_that_come_and_go_in_a_big_signed_zone_are_overlays_unless_they_move_many_names() {
    let bench = Bench::new();
    let dnssec = bench.dnssec("seal");
    let publisher = bench.signing(&dnssec);
    let (domain, _) = bench.create("big.test");
    bench.fill(domain, 300);
    wait(&publisher, bench.sign(&dnssec, domain, "big.test", Denial::Nsec));
    let mut overlays = 0;
    for (edits, cut, is_overlay) in [
        (&[("n7", None), ("ns.n7", Some("192.0.2.9"))][..], Some("n7"), true),
        (&[("deep.ns.n7", Some("192.0.2.9")), ("m.n7", Some("192.0.2.9"))], None, true),
        (&[("n7", Some("192.0.2.7"))], None, true),
        (&[], Some(""), true),
    ] {
        if !edits.is_empty() {
            wait(&publisher, bench.edit(domain, edits));
            overlays += 1;
        }
        if let Some(cut) = cut {
            let change = bench.delegate(domain, cut, true);
            wait(&publisher, change);
            overlays += u64::from(is_overlay);
        }
        assert_eq!(publisher.refusal_of("big.test"), None);
        assert_eq!(publisher.progress().counts.overlays, overlays, "{edits:?} {cut:?}");
        bench.judge();
    }
    wait(&publisher, bench.delegate(domain, "n7", false));
    bench.judge();
    assert_eq!(publisher.progress().counts.overlays, overlays + 1);
    publisher.stop();
}

#[test]
fn while_a_fold_is_under_way_and_after_it_owners_that_stay_and_others_are_signed_right() {
    for denial in [Denial::Nsec, Denial::Nsec3] {
        let bench = Bench::new();
        let dnssec = bench.dnssec("seal");
        let mut zone = Zone::new(&bench, &dnssec, denial, 1300);
        assert!(!zone.publish(true));
        let names: Vec<String> = (0..1100).map(|n| format!("n{n}")).collect();
        for some in names.chunks(100) {
            let edits: Vec<_> = some.iter().map(|name| (name.as_str(), Some("192.0.2.2"))).collect();
            zone.edit(&edits);
        }
        // What the thread makes is not taken up yet: it knows of some of this, or of nothing.
        let compiled = zone.big.compiled().recv_timeout(Duration::from_secs(60)).unwrap();
        zone.edit(&[("n5", Some("192.0.2.3"))]);
        zone.edit(&[("n6", None), ("n6a", Some("192.0.2.3"))]);
        zone.edit(&[("n6a", Some("192.0.2.4")), ("n1200", Some("192.0.2.3"))]);
        let [_, before] = zone.pack_lens()[..] else { panic!("an overlay") };
        assert!(zone.big.accept(compiled).is_some());
        // Signatures that were made meanwhile are used again, and their owners have other neighbours by now.
        zone.edit(&[("n5", Some("192.0.2.5"))]);
        let [_, after] = zone.pack_lens()[..] else { panic!("a base and an overlay") };
        assert!(after * 10 < before, "{before} and {after} octets");
        zone.edit(&[("n6a", None), ("n5", Some("192.0.2.6"))]);
        zone.edit(&[("n6", Some("192.0.2.7")), ("n7", Some("192.0.2.7"))]);
    }
}

#[test]
fn of_an_owner_is_known_whether_it_stays() {
    let bench = Bench::new();
    let (domain, _) = bench.create("big.test");
    let publish = |targets: Vec<Target>| {
        let before = bench.store.read(|reader| Ok::<_, StoreError>(reader.head()?.change)).unwrap();
        let edits = Edits::Targets { kind: "edit", undoes: None, note: None, targets, soa: None };
        let change = Change { actor: bench.actor.clone(), domain, precondition: None, edits, dry_run: false };
        bench.store.write_blocking(move |txn| commit(txn, change)).unwrap();
        let waiting = bench.store.read(|reader| reader.outbox(before)).unwrap();
        let nodes = waiting.into_iter().flat_map(|waiting| waiting.nodes.unwrap());
        nodes.map(|node| node.stays).collect::<Vec<_>>()
    };
    let target = |subname: &str, rtype, rdata: Option<&[u8]>, enabled| {
        let record = |rdata: &[u8]| Record { enabled, ..Record::new(format!("{rdata:?}"), rdata.to_vec()) };
        Target { subname: subname.into(), rtype, state: rdata.map(|rdata| (60, vec![record(rdata)])) }
    };
    let address = |subname, octet: u8| target(subname, Rtype::A, Some(&[192, 0, 2, octet]), true);
    let none = |subname, rtype| target(subname, rtype, None, true);
    let text = target("a", Rtype::TXT, Some(b"\x01x"), true);
    assert_eq!(publish(vec![address("a", 1), address("b", 1)]), [false, false]);
    assert_eq!(publish(vec![address("a", 2), none("b", Rtype::A)]), [true, false]);
    assert_eq!(publish(vec![none("a", Rtype::A), text]), [false], "its list of types is another one");
    assert_eq!(publish(vec![address("a", 3), none("a", Rtype::TXT)]), [false]);
    let off = target("a", Rtype::A, Some(&[192, 0, 2, 3]), false);
    assert_eq!(publish(vec![off]), [false], "its last record cannot be answered");
    assert_eq!(publish(vec![address("a", 3)]), [false], "and can be again");
    assert_eq!(publish(vec![address("a", 4)]), [true]);
    assert_eq!(publish(vec![none("a", Rtype::A)]), [false]);
}
