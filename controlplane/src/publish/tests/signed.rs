//! Signed domains: what is published holds, and what cannot be signed right changes nothing.

use std::num::NonZeroUsize;

use snapshot::dns::class::Class as DnsClass;
use snapshot::dns::message::Message;
use snapshot::dns::name::Name;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, Zone, ZoneBuilder};
use snapshot::handover::{Keep, Publication};
use snapshot::image::{Denial as Chain, Hashed, PackFile, Segment, View};

use super::*;
use crate::check::dnssec::Verifier;
use crate::check::dnssec::gate::Gate;
use crate::store::domains::Denial;
use crate::store::keys::NewKey;

impl Bench {
    /// What signs, with the key in a file of the bench.
    pub(super) fn dnssec(&self, file: &str) -> Arc<Dnssec> {
        Arc::new(Dnssec::open(&self.dir.path().join(file), false).unwrap())
    }

    /// Starts a publisher that signs.
    pub(super) fn signing(&self, dnssec: &Arc<Dnssec>) -> Publisher {
        let dnssec = Some(Arc::clone(dnssec));
        let settings =
            Settings { snapshots: self.dir.path().join("snapshots"), planes: Vec::new(), sign: None, dnssec };
        Publisher::start(Arc::clone(&self.store), &settings).unwrap()
    }

    /// Has a domain signed with a new key, or no longer.
    pub(super) fn sign(&self, dnssec: &Dnssec, domain: DomainId, name: &str, denial: Denial) -> ChangeId {
        let (actor, key) = (self.actor.clone(), dnssec.new_key(name).unwrap());
        let set = move |txn: &crate::store::Txn<'_>| set_signing(txn, &actor, domain, denial, Some(key));
        self.store.write_blocking(set).unwrap().1.unwrap()
    }

    /// A zone in service, with all that signing made, base and overlay together.
    pub(super) fn zone_of(&self, apex: &Name) -> Zone {
        let directory = Directory::open(&self.dir.path().join("snapshots")).unwrap();
        zone_in(&directory.load(None).unwrap().unwrap().view, apex)
    }

    /// Has the gate judge what is in service of the zone big.test.
    pub(super) fn judge(&self) {
        judge_zone(&self.zone_of(&"big.test.".parse().unwrap()));
    }

    /// Serial and number of records of the only zone in service.
    pub(super) fn facts(&self) -> (u32, u64) {
        let directory = Directory::open(&self.dir.path().join("snapshots")).unwrap();
        let view = directory.load(None).unwrap().unwrap().view;
        let facts = view.zones().into_iter().next().unwrap();
        (facts.serial, u64::from(facts.records))
    }
}

/// A zone of a view, with all that signing made, base and overlay together.
pub(super) fn zone_in(view: &View, apex: &Name) -> Zone {
    let zone = view.zone(apex.as_ref()).unwrap();
    let mut builder = ZoneBuilder::new(apex.clone());
    let mut take = |owner: &Name, rtype: Rtype, count: u16, records: &[u8]| {
        // It is read as the answer to a question for it.
        let mut wire = vec![0; 12];
        wire[5] = 1;
        wire[6..8].copy_from_slice(&count.to_be_bytes());
        wire.extend_from_slice(owner.as_wire());
        wire.extend_from_slice(&rtype.0.to_be_bytes());
        wire.extend_from_slice(&DnsClass::IN.0.to_be_bytes());
        wire.extend_from_slice(records);
        for answer in Message::from_wire(&wire).unwrap().answers {
            let (rtype, ttl_secs, rdata) = (answer.rtype, answer.ttl_secs, &answer.rdata[..]);
            builder.push(Record { owner: owner.as_ref(), rtype, ttl_secs, rdata, line: 0 }).unwrap();
        }
    };
    let soa = zone.soa().unwrap();
    take(apex, soa.rtype, soa.record_count, soa.records);
    take(apex, soa.rtype, soa.sig_count.into(), soa.sigs);
    for node in zone.nodes() {
        let owner = Name::from_wire(node.name()).unwrap();
        for body in node.rrsets() {
            take(&owner, body.rtype, body.record_count, body.records);
            take(&owner, body.rtype, body.sig_count.into(), body.sigs);
        }
        // NSEC3 records lie apart from the nodes.
        if let Chain::Nsec3(chain) = zone.denial()
            && let Some(Hashed::Match(hashed)) = chain.find(node.name())
        {
            let owner = Name::from_wire(hashed.name()).unwrap();
            for body in hashed.rrsets() {
                take(&owner, body.rtype, body.record_count, body.records);
                take(&owner, body.rtype, body.sig_count.into(), body.sigs);
            }
        }
    }
    builder.finish()
}

/// Has the gate judge a zone of a view.
pub(super) fn judge(view: &View, apex: &Name) {
    judge_zone(&zone_in(view, apex));
}

/// Has the gate judge a zone.
fn judge_zone(zone: &Zone) {
    let at_unix_secs = u64::try_from(crate::clock::now_us() / 1_000_000).unwrap();
    let remaining_secs_min = 14 * 86_400;
    let jobs = NonZeroUsize::MIN;
    // Neither who signs nor who has judged.
    let verifier = Verifier::Ring;
    let gate = Gate { at_unix_secs, remaining_secs_min, keys: &[], unannounced: &[], has_ns: true, verifier, jobs };
    gate.pass(zone).map(drop).unwrap_or_else(|refused| panic!("{refused}"));
}

/// Waits until a change is published or refused.
pub(super) fn wait(publisher: &Publisher, change: ChangeId) {
    let is_refused = outcome(publisher, change) == Served::Refused;
    assert_ne!(publisher.has(change), is_refused);
}

#[test]
fn a_domain_is_signed_changed_and_unsigned() {
    let bench = Bench::new();
    let dnssec = bench.dnssec("seal");
    let publisher = bench.signing(&dnssec);
    let (domain, made) = bench.create("s.test");
    wait(&publisher, made);
    assert_eq!(bench.facts().1, 2, "SOA and NS");
    for denial in [Denial::Nsec, Denial::Nsec3, Denial::OptOut] {
        let change = bench.sign(&dnssec, domain, "s.test", denial);
        wait(&publisher, change);
        assert_eq!(publisher.refusal_of("s.test"), None);
        // DNSKEY, and a signature for each RRset; NSEC3 has NSEC3PARAM as well. CDS come when caches have all of that.
        let expected = if denial == Denial::Nsec { 2 + 1 + 1 + 4 } else { 2 + 1 + 2 + 5 };
        assert_eq!(bench.facts().1, expected, "{denial:?}");
        let change = bench.set(domain, denial.as_str(), "192.0.2.1");
        wait(&publisher, change);
        let change = bench.edit(domain, &[(denial.as_str(), None)]);
        wait(&publisher, change);
        assert_eq!(bench.facts().1, expected);
    }
    assert!(dnssec.remembers(domain));
    wait(&publisher, bench.sign(&dnssec, domain, "s.test", Denial::Off));
    assert_eq!(bench.facts().1, 2);
    assert!(!dnssec.remembers(domain), "what is not signed any more");
    wait(&publisher, bench.sign(&dnssec, domain, "s.test", Denial::Nsec));
    assert!(dnssec.remembers(domain));
    let actor = bench.actor.clone();
    let gone = bench.store.write_blocking(move |txn| delete(txn, &actor, "s.test", &[])).unwrap().unwrap();
    wait(&publisher, gone);
    assert!(!dnssec.remembers(domain), "what is gone");
    publisher.stop();
}

#[test]
fn without_the_key_the_last_good_zone_stays_and_it_is_said_why() {
    let bench = Bench::new();
    let dnssec = bench.dnssec("seal");
    let publisher = bench.signing(&dnssec);
    let (domain, made) = bench.create("s.test");
    wait(&publisher, made);
    let signed = bench.sign(&dnssec, domain, "s.test", Denial::Nsec);
    wait(&publisher, signed);
    publisher.stop();
    let before = bench.facts();

    let other = bench.dnssec("another");
    let publisher = bench.signing(&other);
    let change = bench.set(domain, "www", "192.0.2.1");
    wait(&publisher, change);
    let refusal = publisher.refusal_of("s.test").unwrap();
    assert!(refusal.contains("cannot be opened"), "{refusal}");
    assert_eq!(bench.facts(), before);
    publisher.stop();

    // The file with the secret is gone: other domains go on.
    let lost = Arc::new(Dnssec::open(&bench.dir.path().join("lost"), true).unwrap());
    let publisher = bench.signing(&lost);
    let (_, change) = bench.create("unsigned.test");
    wait(&publisher, change);
    assert_eq!(publisher.refusal_of("unsigned.test"), None);
    let refusal = publisher.refusal_of("s.test").unwrap();
    assert!(refusal.contains("there is no sealing key") && refusal.contains("lost does not exist"), "{refusal}");
    assert!(bench.served().split(' ').any(|zone| *zone == format!("s.test.{}", before.0)), "{}", bench.served());
    publisher.stop();

    let publisher = bench.publisher();
    let change = bench.set(domain, "www", "192.0.2.2");
    wait(&publisher, change);
    assert!(publisher.refusal_of("s.test").unwrap().contains("no keys"));
    assert_eq!(bench.facts(), before);
    publisher.stop();

    let publisher = bench.signing(&dnssec);
    let change = bench.set(domain, "www", "192.0.2.3");
    wait(&publisher, change);
    assert_eq!(publisher.refusal_of("s.test"), None);
    assert!(bench.facts().0 > before.0);
    publisher.stop();
}

/// Two new keys of a domain that have the same tag.
fn twins(dnssec: &Dnssec, domain: &str) -> [NewKey; 2] {
    let mut known: HashMap<u16, NewKey> = HashMap::new();
    loop {
        let key = dnssec.new_key(domain).unwrap();
        match known.remove(&key.tag) {
            Some(twin) => return [twin, key],
            None => known.insert(key.tag, key),
        };
    }
}

#[test]
fn a_wrong_key_under_the_right_tag_publishes_nothing() {
    let bench = Bench::new();
    let dnssec = bench.dnssec("seal");
    let (domain, _) = bench.create("s.test");
    let [own, twin] = twins(&dnssec, "s.test");
    let (actor, key) = (bench.actor.clone(), own.clone());
    let set = move |txn: &crate::store::Txn<'_>| set_signing(txn, &actor, domain, Denial::Nsec, Some(key));
    let signed = bench.store.write_blocking(set).unwrap().1.unwrap();
    let publisher = bench.signing(&dnssec);
    wait(&publisher, signed);
    publisher.stop();
    let before = bench.facts();

    let behind = rusqlite::Connection::open(bench.store.path()).unwrap();
    let swap = |key: &NewKey| behind.execute("UPDATE keys SET sealed = ?1", [&key.sealed]).unwrap();
    assert_eq!(swap(&twin), 1);
    // A process that had it open already would not see it.
    let publisher = bench.signing(&bench.dnssec("seal"));
    let change = bench.set(domain, "www", "192.0.2.1");
    wait(&publisher, change);
    let refusal = publisher.refusal_of("s.test").unwrap();
    assert!(refusal.contains("that of another key with this tag"), "{refusal}");
    assert_eq!(bench.facts(), before);
    swap(&own);
    let change = bench.set(domain, "www", "192.0.2.2");
    wait(&publisher, change);
    assert_eq!(publisher.refusal_of("s.test"), None);
    assert!(bench.facts().0 > before.0);
    publisher.stop();
}

#[test]
fn one_corrupted_signature_byte_publishes_nothing() {
    let bench = Bench::new();
    let dnssec = bench.dnssec("seal");
    let publisher = bench.signing(&dnssec);
    let (domain, _) = bench.create("big.test");
    let signed = bench.sign(&dnssec, domain, "big.test", Denial::Nsec);
    wait(&publisher, signed);
    let before = bench.facts();

    // As memory with a bad bit would: in the signature of the NS records, which no change of other records makes anew.
    let zone = bench.zone_of(&"big.test.".parse().unwrap());
    let mut builder = ZoneBuilder::new(zone.apex().to_name());
    for owner in zone.owners() {
        for rrset in owner.rrsets() {
            for record in rrset.records() {
                let mut rdata = record.rdata.to_vec();
                if record.rtype == Rtype::RRSIG && rdata[..2] == Rtype::NS.0.to_be_bytes() {
                    *rdata.last_mut().unwrap() ^= 1;
                }
                builder.push(Record { rdata: &rdata, ..record }).unwrap();
            }
        }
    }
    dnssec.spoil(domain, builder.finish());
    let change = bench.set(domain, "www", "192.0.2.1");
    wait(&publisher, change);
    let refusal = publisher.refusal_of("big.test").unwrap();
    assert!(refusal.contains("bad-signature") && refusal.contains("NS at big.test."), "{refusal}");
    assert_eq!(bench.facts(), before);
    // What was wrong is not used again.
    let change = bench.set(domain, "www", "192.0.2.2");
    wait(&publisher, change);
    assert_eq!(publisher.refusal_of("big.test"), None);
    bench.judge();
    publisher.stop();
}

#[test]
fn domains_whose_signatures_became_old_are_found_and_signed_anew() {
    let bench = Bench::new();
    let dnssec = bench.dnssec("seal");
    let publisher = bench.signing(&dnssec);
    let (domain, _) = bench.create("s.test");
    // The bench writes at the first second of 1970.
    wait(&publisher, bench.sign(&dnssec, domain, "s.test", Denial::Nsec));
    let before = bench.facts();
    let now_secs = crate::clock::now_us() / 1_000_000;
    let rhythm = (crate::dnssec::PHASE_STEP.cast_signed(), crate::dnssec::PERIOD_SECS.cast_signed());
    let stale = || bench.store.read(|reader| reader.stale_signed(now_secs, rhythm, 10)).unwrap();
    assert_eq!(stale(), [domain]);
    let actor = Actor { now_us: crate::clock::now_us(), ..bench.actor.clone() };
    // A change signs what it touches, and no more.
    let (late, www) =
        (Actor { now_us: crate::clock::now_us(), ..bench.actor.clone() }, testing::rrset("www", "192.0.2.1"));
    let target = Target { subname: "www".into(), rtype: www.rtype, state: Some((60, www.records)) };
    let edits = Edits::Targets { kind: "edit", undoes: None, note: None, targets: vec![target], soa: None };
    let edit = Change { actor: late, domain, precondition: None, edits, dry_run: false };
    bench.store.write_blocking(move |txn| commit(txn, edit)).unwrap();
    assert_eq!(stale(), [domain]);
    let due = stale();
    bench.store.write_blocking(move |txn| resign(txn, &actor, &due)).unwrap();
    assert_eq!(stale(), []);
    wait(&publisher, bench.store.read(|reader| reader.head()).unwrap().change);
    assert!(bench.facts().0 > before.0, "secondaries must see a greater serial");
    publisher.stop();
}

#[test]
fn a_big_signed_zone_is_changed_name_by_name_and_stays_right() {
    for denial in [Denial::Nsec, Denial::Nsec3, Denial::OptOut] {
        let bench = Bench::new();
        let dnssec = bench.dnssec("seal");
        let mut publisher = bench.signing(&dnssec);
        let (domain, _) = bench.create("big.test");
        bench.fill(domain, 300);
        wait(&publisher, bench.sign(&dnssec, domain, "big.test", denial));
        bench.judge();
        let steps: [&[(&str, Option<&str>)]; 9] = [
            &[("n7", Some("192.0.2.9"))],
            &[("n7", None)],
            &[("n70", None), ("n71", None), ("n72", None)],
            &[("a", Some("192.0.2.1")), ("zzz", Some("192.0.2.1"))],
            &[("zzz", Some("192.0.2.2"))],
            &[("deep.below.n5", Some("192.0.2.1")), ("*.w", Some("192.0.2.1"))],
            &[("deep.below.n5", None), ("n299", None), ("n7", Some("192.0.2.7"))],
            &[("zzz", None), ("a", None)],
            &[("\\000.n8", Some("192.0.2.1"))],
        ];
        let mut overlays = 0;
        for (number, step) in steps.iter().enumerate() {
            // Who is started anew goes on from what is published.
            if number == 4 {
                publisher.stop();
                publisher = bench.signing(&dnssec);
                overlays = 0;
            }
            wait(&publisher, bench.edit(domain, step));
            overlays += 1;
            assert_eq!(publisher.refusal_of("big.test"), None);
            assert_eq!(publisher.progress().counts.overlays, overlays, "{denial:?}: {step:?} is an overlay");
            bench.judge();
        }
        publisher.stop();
    }
}

#[test]
fn while_the_clock_is_in_doubt_signed_domains_wait_and_others_do_not() {
    let bench = Bench::new();
    let dnssec = bench.dnssec("seal");
    let publisher = bench.signing(&dnssec);
    let (signed, _) = bench.create("s.test");
    let (plain, _) = bench.create("u.test");
    wait(&publisher, bench.sign(&dnssec, signed, "s.test", Denial::Nsec));
    let served = bench.served();
    dnssec.clock().recall(crate::clock::now_us() + 3_600_000_000, None);
    wait(&publisher, bench.set(signed, "www", "192.0.2.1"));
    let refusal = publisher.refusal_of("s.test").unwrap();
    assert!(refusal.contains("minutes behind") && refusal.contains("dnsctl clock accept"), "{refusal}");
    assert_eq!(bench.served(), served, "the last good one stays");
    wait(&publisher, bench.set(plain, "www", "192.0.2.1"));
    assert!(bench.served().ends_with("u.test.2"), "{}", bench.served());
    dnssec.clock().accept().unwrap();
    wait(&publisher, bench.set(signed, "mail", "192.0.2.1"));
    assert_eq!(publisher.refusal_of("s.test"), None);
    assert_ne!(bench.served(), served);
    publisher.stop();
}

#[test]
fn a_ttl_that_was_lowered_counts_until_caches_have_forgotten_it() {
    let bench = Bench::new();
    let dnssec = bench.dnssec("seal");
    let publisher = bench.signing(&dnssec);
    let (domain, _) = bench.create("s.test");
    let ttl_secs = |at_us| bench.store.read(|reader| reader.ttl_secs_max(domain, at_us)).unwrap();
    wait(&publisher, bench.set(domain, "www", "192.0.2.1"));
    let least = ttl_secs(0);
    // What caches have without a signature they have below the first DS too.
    wait(&publisher, bench.set_for(domain, "www", "192.0.2.1", 50_000));
    wait(&publisher, bench.set(domain, "www", "192.0.2.1"));
    assert!(least < 50_000 && ttl_secs(0) == 50_000);
    wait(&publisher, bench.sign(&dnssec, domain, "s.test", Denial::Nsec));
    wait(&publisher, bench.set_for(domain, "www", "192.0.2.1", 80_000));
    assert_eq!(ttl_secs(i64::MAX), 80_000);
    publisher.stop();
    bench.set(domain, "www", "192.0.2.1");
    bench.edit(domain, &[("www", None)]);
    assert_eq!(ttl_secs(i64::MAX), 80_000, "what is not published yet is still served with it");

    let begun_us = crate::clock::now_us();
    let publisher = bench.signing(&dnssec);
    wait(&publisher, bench.set(domain, "mail", "192.0.2.1"));
    publisher.stop();
    // What it noted goes with the next transaction.
    bench.store.write_blocking(|txn| txn.set("x", b"")).unwrap();
    let (ended_us, ttl_us) = (crate::clock::now_us(), 80_000_000_000);
    assert_eq!((ttl_secs(begun_us + ttl_us), ttl_secs(ended_us + ttl_us)), (80_000, least));
    let publisher = bench.signing(&dnssec);
    wait(&publisher, bench.edit(domain, &[("mail", None)]));
    assert_eq!(ttl_secs(ended_us), 80_000, "one that ends earlier takes nothing from it");
    publisher.stop();
}

#[test]
fn when_signatures_end_is_known_of_signed_domains_in_service_alone() {
    let bench = Bench::new();
    let dnssec = bench.dnssec("seal");
    let publisher = bench.signing(&dnssec);
    let (domain, _) = bench.create("s.test");
    bench.create("u.test");
    let ending = |before_unix_secs| {
        // Of one state: what is noted may come in between.
        let found = bench.store.read(|reader| {
            let found = reader.signatures_ending(before_unix_secs, 10)?;
            assert_eq!(reader.count_signatures_ending(before_unix_secs)?, found.len() as u64);
            Ok::<_, StoreError>(found)
        });
        let found = found.unwrap();
        found.into_iter().map(|ending| (ending.name, ending.at_unix_secs)).collect::<Vec<_>>()
    };
    assert_eq!(ending(u64::MAX), []);
    wait(&publisher, bench.sign(&dnssec, domain, "s.test", Denial::Nsec));
    // What is noted goes with a later transaction.
    let begun = Instant::now();
    while ending(u64::MAX).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing was noted");
        std::thread::yield_now();
    }
    let found = ending(u64::MAX);
    let now = dnssec.clock().trusted().unwrap().unix_secs();
    let [(name, ends)] = &found[..] else { panic!("{found:?}") };
    assert!(name == "s.test" && (now + 20 * 86_400..=now + 21 * 86_400).contains(ends), "{found:?} at {now}");
    assert_eq!(ending(*ends), []);
    assert_eq!(ending(ends + 1), found);
    wait(&publisher, bench.set(domain, "www", "192.0.2.1"));
    assert_eq!(ending(u64::MAX), found, "the first to end was made before");
    wait(&publisher, bench.sign(&dnssec, domain, "s.test", Denial::Off));
    assert_eq!(ending(u64::MAX), []);
    publisher.stop();
}

#[test]
fn a_big_zone_is_signed_beside_the_publishing_and_its_changes_wait_for_that() {
    let bench = Bench::new();
    let dnssec = bench.dnssec("seal");
    let publisher = bench.signing(&dnssec);
    let (domain, _) = bench.create("big.test");
    let filled = bench.fill(domain, 2100);
    wait(&publisher, filled);
    for (number, denial) in [Denial::Nsec, Denial::Nsec3].into_iter().enumerate() {
        let before = bench.store.read(|reader| reader.head()).unwrap().change;
        // While the thread waits for its turn in the database, or signs, all that comes is held.
        let signed = bench.sign(&dnssec, domain, "big.test", denial);
        let changed = bench.set(domain, "n7", &format!("192.0.2.{}", 10 + number));
        let (_, other) = bench.create(&format!("other{number}.test"));
        assert_eq!((signed.0, changed.0, other.0), (before.0 + 1, before.0 + 2, before.0 + 3));
        wait(&publisher, other);
        wait(&publisher, changed);
        wait(&publisher, signed);
        assert_eq!(publisher.refusal_of("big.test"), None);
        assert!(publisher.progress().held.zones().next().is_none());
        bench.judge();
        let row = bench.store.read(|reader| reader.domain(domain)).unwrap().unwrap();
        assert!(bench.served().contains(&format!("big.test.{}", row.serial)), "{}", bench.served());
    }
    publisher.stop();
}

#[test]
fn signatures_of_what_is_served_are_used_again() {
    for denial in [Denial::Nsec, Denial::Nsec3] {
        let bench = Bench::new();
        let dnssec = bench.dnssec("seal");
        let publisher = bench.signing(&dnssec);
        let (domain, _) = bench.create("big.test");
        bench.fill(domain, 300);
        let names = [("alias.n1", Some("192.0.2.1")), ("*.w", Some("192.0.2.2"))];
        wait(&publisher, bench.edit(domain, &names));
        wait(&publisher, bench.sign(&dnssec, domain, "big.test", denial));
        wait(&publisher, bench.edit(domain, &[("n7", None), ("n8", Some("192.0.2.8"))]));
        publisher.stop();
        let zone = bench.zone_of(&"big.test.".parse().unwrap());
        assert!(zone.record_count() > 1200);
        let directory = Directory::open(&bench.dir.path().join("snapshots")).unwrap();
        let served = served::ServedZone::load(&directory, zone.apex()).unwrap().unwrap();
        let mut found = ZoneBuilder::new(zone.apex().to_name());
        for owner in zone.owners() {
            let mut push = |record: Record<'_>| found.push(record).unwrap();
            crate::sign::Published::records(&served, owner.name(), &mut push);
        }
        assert_eq!(records(&found.finish()), records(&zone));
        // A process that remembers nothing makes nothing anew: its signatures would begin later.
        let again = bench.dnssec("seal");
        let signed = bench.store.read(|reader| {
            let (row, keys) = (reader.domain(domain)?.unwrap(), reader.keys(domain)?);
            let chain = crate::dnssec::chain_of(row.denial).unwrap();
            let signatory = again.signatory(&row, chain, &keys).unwrap();
            Ok::<_, StoreError>(again.sign(zone::read(reader, &row).unwrap(), &signatory, &served).unwrap())
        });
        assert_eq!(records(&signed.unwrap().zone), records(&zone));
    }
}

/// All records of a zone: owner, type, TTL and RDATA.
fn records(zone: &Zone) -> Vec<(String, Rtype, u32, Vec<u8>)> {
    let of = |record: Record<'_>| {
        (record.owner.to_string().to_lowercase(), record.rtype, record.ttl_secs, record.rdata.to_vec())
    };
    zone.owners()
        .flat_map(|owner| {
            owner.rrsets().flat_map(|rrset| rrset.records().collect::<Vec<_>>()).map(of).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn signatures_of_a_zone_from_a_file_are_not_taken_for_those_that_were_published() {
    let bench = Bench::new();
    let dnssec = bench.dnssec("seal");
    let publisher = bench.signing(&dnssec);
    let (domain, _) = bench.create("big.test");
    bench.fill(domain, 300);
    wait(&publisher, bench.sign(&dnssec, domain, "big.test", Denial::Nsec));
    publisher.stop();
    // Somebody puts another zone of this name in its place, whose signatures have the right key, and are wrong.
    let zone = bench.zone_of(&"big.test.".parse().unwrap());
    let mut builder = ZoneBuilder::new(zone.apex().to_name());
    for owner in zone.owners() {
        for record in owner.rrsets().flat_map(|rrset| rrset.records().collect::<Vec<_>>()) {
            let mut rdata = record.rdata.to_vec();
            if record.rtype == Rtype::RRSIG {
                *rdata.last_mut().unwrap() ^= 1;
            } else if record.rtype == Rtype::SOA {
                let serial = rdata.len() - 17;
                rdata[serial] ^= 0x40;
            }
            builder.push(Record { rdata: &rdata, ..record }).unwrap();
        }
    }
    let mut writer = Directory::create(&bench.dir.path().join("snapshots")).unwrap().lock("test").unwrap();
    let manifest = writer.directory().current().unwrap().unwrap().manifest;
    let pack = PackFile::encode(vec![Segment::build(&builder.finish()).unwrap()]).unwrap();
    let publication = Publication::of(vec![pack], Keep::Others, 1);
    writer.publish(Publication { change: manifest.change, chain: manifest.chain, ..publication }).unwrap();
    drop(writer);
    let publisher = bench.signing(&bench.dnssec("seal"));
    wait(&publisher, bench.set(domain, "www", "192.0.2.1"));
    bench.judge();
    publisher.stop();
}
