//! Weighted and regional records on their way into the image: each alternative is there, and of signed zones each validates.

use std::num::NonZeroUsize;

use snapshot::dns::class::Class as DnsClass;
use snapshot::dns::message::Message;
use snapshot::dns::name::Name;
use snapshot::dns::region::Location;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record as ZoneRecord, Zone, ZoneBuilder};
use snapshot::image::{RrsetBody, View};

use super::super::served::ServedZone;
use super::super::zone;
use super::signed::wait;
use super::*;
use crate::check::dnssec::Verifier;
use crate::check::dnssec::gate::{Before as _, Gate};
use crate::geo::testing::mmdb;
use crate::sign::{self, Before};
use crate::store::StoreError;
use crate::store::domains::Denial;
use crate::store::rrsets::Record;

/// Octet, weight, region and whether a record is enabled.
type Row<'r> = (u8, u32, &'r str, bool);

impl Bench {
    /// Sets the addresses of `www`.
    fn set_rows(&self, domain: DomainId, subname: &str, rows: &[Row<'_>]) -> Result<ChangeId, String> {
        let record = |(octet, weight, geo, enabled): &Row<'_>| Record {
            weight: (*weight > 0).then_some(*weight),
            geo: (!geo.is_empty()).then(|| (*geo).to_owned()),
            enabled: *enabled,
            ..Record::new(format!("192.0.2.{octet}"), vec![192, 0, 2, *octet])
        };
        // Written as a whole: what was there before says nothing.
        for records in [Vec::new(), rows.iter().map(record).collect()] {
            let state = (!records.is_empty()).then_some((60, records));
            let target = Target { subname: subname.into(), rtype: Rtype::A, state };
            let edits = Edits::Targets { kind: "edit", undoes: None, note: None, targets: vec![target], soa: None };
            let change = Change { actor: self.actor.clone(), domain, precondition: None, edits, dry_run: false };
            self.store.write_blocking(move |txn| commit(txn, change)).map_err(|refused| format!("{refused:?}"))?;
        }
        Ok(self.store.read(|reader| reader.head()).map(|head: crate::store::changes::Head| head.change).unwrap())
    }

    /// Sets so many RRsets of so many records with weights each: w0, w1 and so on.
    fn set_weighted(&self, domain: DomainId, rrset_count: usize, record_count: u8) {
        let record = |octet: u8| Record {
            weight: Some(u32::from(octet)),
            ..Record::new(format!("192.0.2.{octet}"), vec![192, 0, 2, octet])
        };
        let state = || Some((60, (1..=record_count).map(record).collect()));
        let target = |at: usize| Target { subname: format!("w{at}"), rtype: Rtype::A, state: state() };
        let targets = (0..rrset_count).map(target).collect();
        let edits = Edits::Targets { kind: "edit", undoes: None, note: None, targets, soa: None };
        let change = Change { actor: self.actor.clone(), domain, precondition: None, edits, dry_run: false };
        self.store.write_blocking(move |txn| commit(txn, change)).unwrap();
    }

    /// What is in service.
    fn view(&self) -> Arc<View> {
        let directory = Directory::open(&self.dir.path().join("snapshots")).unwrap();
        directory.load(None).unwrap().unwrap().view
    }
}

/// What may be answered for `www`, by region.
fn shown(view: &View) -> String {
    let apex = view.zones()[0].apex.clone();
    let zone = view.zone(apex.as_ref()).unwrap();
    let node = zone.nodes().find(|node| node.name().starts_with(b"\x03www"));
    let Some(body) = node.and_then(|node| node.rrset(Rtype::A)) else { return "nothing".into() };
    let octets = |body: &RrsetBody<'_>| {
        let octets = body.records.chunks(16).map(|record| record[15].to_string());
        octets.collect::<Vec<_>>().join("+")
    };
    let mut text = octets(&body);
    for (region, alternatives) in body.choices().iter().flat_map(|choices| choices.groups().collect::<Vec<_>>()) {
        let sets = alternatives.iter().map(|(weight, body)| format!("{weight}x{}", octets(body)));
        text.push_str(&format!("; {} {}", region.unwrap(), sets.collect::<Vec<_>>().join(" ")));
    }
    text
}

/// The only zone of a view as clients see it that get the `at`-th alternative of each RRset; `None` if there are fewer.
fn zone_of(view: &View, at: Option<usize>) -> Option<Zone> {
    let apex = view.zones()[0].apex.clone();
    let zone = view.zone(apex.as_ref()).unwrap();
    let mut builder = ZoneBuilder::new(apex.clone());
    let mut is_any = at.is_none();
    let mut take = |owner: &Name, body: &RrsetBody<'_>| {
        for (rtype, count, records) in
            [(body.rtype, body.record_count, body.records), (Rtype::RRSIG, body.sig_count.into(), body.sigs)]
        {
            let counts = [[0, 1], count.to_be_bytes(), [0; 2], [0; 2]].concat();
            let question = [owner.as_wire(), &rtype.0.to_be_bytes(), &DnsClass::IN.0.to_be_bytes()].concat();
            let wire = [&[0; 4], &counts[..], &question, records].concat();
            for answer in Message::from_wire(&wire).unwrap().answers {
                let (rtype, ttl_secs, rdata) = (answer.rtype, answer.ttl_secs, &answer.rdata[..]);
                builder.push(ZoneRecord { owner: owner.as_ref(), rtype, ttl_secs, rdata, line: 0 }).unwrap();
            }
        }
    };
    take(&apex, &zone.soa().unwrap());
    for node in zone.nodes() {
        let owner = Name::from_wire(node.name()).unwrap();
        for body in node.rrsets() {
            let alternatives = body.choices().into_iter().flat_map(|choices| choices.groups().collect::<Vec<_>>());
            let mut alternatives = alternatives.flat_map(|(_, alternatives)| alternatives);
            let chosen = at.and_then(|at| alternatives.nth(at)).map(|(_, body)| body);
            is_any |= chosen.is_some();
            take(&owner, &chosen.unwrap_or(body));
        }
    }
    is_any.then(|| builder.finish())
}

/// How many signatures the alternatives of a view have.
fn signature_count(view: &View) -> usize {
    let zone = view.zone(view.zones()[0].apex.as_ref()).unwrap();
    let rrsets = zone.nodes().flat_map(|node| node.rrsets().collect::<Vec<_>>());
    let groups = rrsets.filter_map(|body| body.choices()).flat_map(|choices| choices.groups().collect::<Vec<_>>());
    groups.flat_map(|(_, alternatives)| alternatives).map(|(_, body)| usize::from(body.sig_count)).sum()
}

/// Has the gate judge all that clients can see; how many ways there are.
fn judge(view: &View) -> usize {
    let at_unix_secs = u64::try_from(crate::clock::now_us() / 1_000_000).unwrap();
    let jobs = NonZeroUsize::MIN;
    let verifier = Verifier::RustCrypto;
    let gate = Gate {
        at_unix_secs,
        remaining_secs_min: 14 * 86_400,
        keys: &[],
        unannounced: &[],
        has_ns: true,
        verifier,
        jobs,
    };
    let zones = std::iter::once(None).chain((0..).map(Some)).map_while(|at| zone_of(view, at));
    zones.map(|zone| gate.pass(&zone).map(drop).unwrap_or_else(|refused| panic!("{refused}"))).count()
}

#[test]
fn rows_become_alternatives_and_disabled_ones_vanish() {
    let bench = Bench::new();
    let publisher = bench.publisher();
    let (domain, _) = bench.create("p.test");
    for (rows, expected) in [
        (&[(1, 90, "", true), (2, 10, "", true)][..], "1+2; default 90x1 10x2"),
        (&[(1, 90, "", true), (2, 10, "", false)], "1; default 90x1"),
        (&[(1, 90, "", false), (2, 10, "", false)], "nothing"),
        (&[(1, 0, "US", true), (2, 0, "DE", true), (3, 0, "", true)], "1+2+3; default 1x3; DE 1x2; US 1x1"),
        (&[(1, 0, "US,EU", true), (2, 0, "default", true)], "1+2; default 1x2; US 1x1; EU 1x1"),
        (&[(1, 0, "", true), (2, 0, "", true)], "1+2"),
    ] {
        let change = bench.set_rows(domain, "www", rows).unwrap();
        published(&publisher, change);
        assert_eq!(shown(&bench.view()), expected);
    }
    // What differs only in weight or place is published too.
    published(&publisher, bench.set_rows(domain, "www", &[(1, 1, "", true), (2, 2, "", true)]).unwrap());
    assert_eq!(shown(&bench.view()), "1+2; default 1x1 2x2");
    let refused = bench.set_rows(domain, "www", &[(1, 1, "Atlantis", true)]).unwrap_err();
    assert!(refused.contains("is no region"), "{refused}");
    publisher.stop();
}

#[test]
fn every_alternative_of_a_signed_zone_validates_whole_and_in_overlays() {
    let rows = [(1, 9, "US", true), (2, 1, "US", true), (3, 0, "DE", true), (4, 0, "", true), (5, 0, "", true)];
    for (name, denial, filled) in
        [("a.test", Denial::Nsec, 0), ("b.test", Denial::Nsec3, 0), ("c.test", Denial::Nsec, 300)]
    {
        let bench = Bench::new();
        let dnssec = bench.dnssec("seal");
        let publisher = bench.signing(&dnssec);
        let (domain, _) = bench.create(name);
        if filled > 0 {
            bench.fill(domain, filled);
        }
        let change = bench.sign(&dnssec, domain, name, denial);
        wait(&publisher, change);
        let change = bench.set_rows(domain, "www", &rows).unwrap();
        wait(&publisher, change);
        assert_eq!(publisher.refusal_of(name), None);
        assert_eq!(shown(&bench.view()), "1+2+3+4+5; default 1x4+5; DE 1x3; US 9x1 1x2");
        // Nodes of NSEC3 are not among those of the view, so that only signatures are counted there.
        if denial == Denial::Nsec {
            assert_eq!(judge(&bench.view()), 1 + 4);
        }
        assert_eq!(signature_count(&bench.view()), 4);
        let change = bench.set_rows(domain, "*.w", &rows[..2]).unwrap();
        wait(&publisher, change);
        // Nodes of NSEC3 are not among those of the view, so that only signatures are counted there.
        if denial == Denial::Nsec {
            assert_eq!(judge(&bench.view()), 1 + 4);
        }
        assert_eq!(signature_count(&bench.view()), 4 + 2);
        assert_eq!(bench.view().zones()[0].base.is_some(), filled > 0, "big zones have overlays");
        publisher.stop();
    }
}

#[test]
fn alternatives_in_service_keep_their_signatures() {
    let bench = Bench::new();
    let dnssec = bench.dnssec("seal");
    let publisher = bench.signing(&dnssec);
    let (domain, _) = bench.create("p.test");
    bench.set(domain, "elsewhere", "192.0.2.1");
    bench.set_weighted(domain, 200, 3);
    wait(&publisher, bench.sign(&dnssec, domain, "p.test", Denial::Nsec3));
    assert_eq!(publisher.refusal_of("p.test"), None);
    publisher.stop();

    // Nothing is remembered: what is known is what is in service.
    let apex: Name = "p.test.".parse().unwrap();
    let directory = Directory::open(&bench.dir.path().join("snapshots")).unwrap();
    let served = ServedZone::load(&directory, apex.as_ref()).unwrap().unwrap();
    let sign = || {
        bench.store.read(|reader| {
            let row = reader.domain(domain)?.unwrap();
            let zone = zone::read(reader, &row).unwrap();
            let (_, signatory) = zone::signatory(reader, &row, Some(&dnssec)).unwrap().unwrap();
            let jobs = NonZeroUsize::new(2).unwrap();
            Ok::<_, StoreError>(signatory.with_plan(|plan| sign::sign(&zone, plan, &served, jobs)).unwrap())
        })
    };
    let same = sign().unwrap();
    // Each RRset, its NSEC3, and each alternative; what is at the apex, and elsewhere.
    assert!(same.made == 0 && same.reused > 200 * (1 + 1 + 3), "{} and {}", same.made, same.reused);
    let gate = Before::new(&served, apex.as_ref());
    for (owner, rtype, choice) in same.zone.choices() {
        for one in choice.alternatives() {
            let own = one.zone.owner(owner).unwrap();
            let rrsig = own.rrset(Rtype::RRSIG).unwrap().records().next().unwrap().rdata.to_vec();
            assert!(gate.has_signature(owner, &own.rrset(rtype).unwrap(), &rrsig));
            let other = [&rrsig[..rrsig.len() - 1], &[!rrsig[rrsig.len() - 1]]].concat();
            assert!(!gate.has_signature(owner, &own.rrset(rtype).unwrap(), &other));
        }
    }
    // The SOA and what changed.
    bench.set(domain, "elsewhere", "192.0.2.2");
    assert_eq!(sign().unwrap().made, 2);
    // One of three: the RRset, and its alternative.
    bench.set_rows(domain, "w7", &[(1, 1, "", true), (2, 2, "", true), (9, 3, "", true)]).unwrap();
    assert_eq!(sign().unwrap().made, 2 + 2);
}

#[test]
fn many_alternatives_of_few_rrsets_are_signed_beside_the_publishing() {
    let bench = Bench::new();
    let dnssec = bench.dnssec("seal");
    let publisher = bench.signing(&dnssec);
    let (domain, made) = bench.create("p.test");
    wait(&publisher, made);
    bench.set_weighted(domain, 33, 64);
    assert_eq!(bench.store.read(|reader| reader.alternative_count(domain)).unwrap(), 33 * 64);
    let change = bench.sign(&dnssec, domain, "p.test", Denial::Nsec);
    // It is held until a thread has signed it.
    let deadline = Instant::now() + Duration::from_secs(60);
    while signature_count(&bench.view()) < 33 * 64 {
        assert!(Instant::now() < deadline && publisher.refusal_of("p.test").is_none());
        std::thread::yield_now();
    }
    wait(&publisher, change);
    publisher.stop();
}

#[test]
fn the_table_of_places_follows_its_file_and_goes_with_it() {
    let bench = Bench::new();
    let file = bench.dir.path().join("places.mmdb");
    std::fs::write(&file, mmdb(&[("198.18.0.0/16", "US", "NA")])).unwrap();
    let mut publisher = bench.publisher();
    publisher.follow_places(Some(file.clone())).unwrap();
    let country = |view: &View| {
        let (location, _) = view.places()?.find("198.18.0.1".parse().unwrap());
        (location != Location::default()).then(|| location.country().to_string())
    };
    let wait_for = |publisher: &Publisher, expected: Option<&str>| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while publisher.generation().is_none() || country(&bench.view()).as_deref() != expected {
            assert!(Instant::now() < deadline, "{expected:?}");
            std::thread::yield_now();
        }
    };
    wait_for(&publisher, Some("US"));
    let (domain, _) = bench.create("p.test");
    published(&publisher, bench.set(domain, "www", "192.0.2.1"));
    publisher.stop();

    // After a restart another table takes its place.
    let mut publisher = bench.publisher();
    let other = bench.dir.path().join("other.mmdb");
    std::fs::write(&other, mmdb(&[("198.18.0.0/16", "CA", "NA")])).unwrap();
    publisher.follow_places(Some(file)).unwrap();
    publisher.follow_places(Some(other)).unwrap();
    wait_for(&publisher, Some("CA"));
    assert_eq!(bench.view().zone_count(), 1);
    publisher.follow_places(None).unwrap();
    wait_for(&publisher, None);
    publisher.stop();
}
