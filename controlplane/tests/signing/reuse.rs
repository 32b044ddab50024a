//! Signatures that were published before are used again, if nothing but time has passed, and not too much of it.

use std::num::NonZeroUsize;

use controlplane::check::dnssec::Verifier;
use controlplane::check::dnssec::gate::{Gate, REMAINING_SECS_MIN};
use controlplane::sign::{Before, Denial, Published, Signed};
use snapshot::dns::choice::{Choice, Member};
use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::region::Region;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, Zone, ZoneBuilder};

use super::keys::TestKey;
use super::zones::{BARE, DAY, DENIALS, NOW, RICH, check_good, plan, sign_it, text, times, zone_of};

/// What judges here.
const GATE: Gate<'_> = Gate {
    at_unix_secs: NOW,
    remaining_secs_min: REMAINING_SECS_MIN,
    keys: &[],
    unannounced: &[],
    has_ns: true,
    verifier: Verifier::Ring,
    jobs: NonZeroUsize::MIN,
};

/// Signs a variant of the rich zone.
fn sign_rich(records: &str, key: &TestKey, denial: Denial, now: u64, published: &dyn Published) -> Signed {
    let zone = zone_of("example.test.", records);
    let keys = [key.key()];
    let signed = sign_it(&zone, &plan(&keys, denial, now), published).expect("it can be signed");
    check_good(&zone, &signed.zone, now, &format!("{denial:?}"));
    signed
}

#[test]
fn a_zone_that_did_not_change_is_not_signed_again() {
    let key = TestKey::p256((true, true));
    for denial in DENIALS {
        let first = sign_rich(RICH, &key, denial, NOW, &());
        for passed in [0, 1, u64::from(3 * DAY)] {
            let again = sign_rich(RICH, &key, denial, NOW + passed, &first.zone);
            assert_eq!((again.made, again.reused), (0, first.made), "{denial:?} after {passed} s");
            assert!(text(&again.zone) == text(&first.zone));
            assert_eq!(again.earliest_expiry_unix_secs, first.earliest_expiry_unix_secs);
        }
    }
}

#[test]
fn a_change_costs_what_it_touches() {
    let key = TestKey::p256((true, true));
    for (denial, from, to, made) in [
        (Denial::Nsec, "ns1 A 192.0.2.1", "ns1 A 192.0.2.11", 1),
        // The least TTL is that of all; the other does not matter.
        (Denial::Nsec, "mail 90 A", "mail 91 A", 0),
        (Denial::Nsec, "mail 60 A", "mail 61 A", 1),
        // The RRset, and the NSEC that lists its type.
        (Denial::Nsec, "ns1 A 192.0.2.1", "ns1 A 192.0.2.1\nns1 AAAA ::1", 2),
        // RRset and NSEC, and the NSEC before it.
        (Denial::Nsec, "ns1 A 192.0.2.1", "ns1 A 192.0.2.1\nns11 A 192.0.2.1", 3),
        (DENIALS[1], "ns1 A 192.0.2.1", "ns1 A 192.0.2.1\nns11 A 192.0.2.1", 3),
        // The NSEC before it.
        (Denial::Nsec, "ns2 AAAA 2001:db8::2", "", 1),
        (DENIALS[2], "Insecure2 NS ns2", "", 0),
        (DENIALS[1], "Insecure2 NS ns2", "", 1),
        // Case is nothing that is signed.
        (Denial::Nsec, "@ MX 10 Mail", "@ MX 10 mail", 0),
    ] {
        let first = sign_rich(RICH, &key, denial, NOW, &());
        let changed = RICH.replace(from, to);
        assert_ne!(changed, RICH);
        assert_eq!(sign_rich(&changed, &key, denial, NOW + 1, &first.zone).made, made, "{from} -> {to}");
    }
}

#[test]
fn signatures_are_renewed_in_time_and_not_all_at_once() {
    let key = TestKey::ed25519(1, (true, true));
    let first = sign_rich(RICH, &key, Denial::Nsec, NOW, &());
    let (mut zone, mut made) = (first.zone, Vec::new());
    for day in 1..=8 {
        let now = NOW + u64::from(day * DAY);
        let next = sign_rich(RICH, &key, Denial::Nsec, now, &zone);
        assert!(next.earliest_expiry_unix_secs > now + 14 * u64::from(DAY));
        made.push(next.made);
        zone = next.zone;
    }
    // They last for 18 to 21 days, of which 14 must be left: the first are renewed after four.
    // After seven days all are.
    assert_eq!(made[..4], [0, 0, 0, 0]);
    assert_eq!(made.iter().sum::<usize>(), first.made);
    assert!(made[4..].iter().filter(|&&count| count > 10).count() >= 3, "{made:?}");
}

#[test]
fn signatures_of_other_keys_and_clocks_are_not_used() {
    let key = TestKey::ed25519(1, (true, true));
    let first = sign_rich(RICH, &key, Denial::Nsec, NOW, &());
    let other = sign_rich(RICH, &TestKey::ed25519(2, (true, true)), Denial::Nsec, NOW, &first.zone);
    assert_eq!(other.reused, 0);
    let earlier = sign_rich(RICH, &key, Denial::Nsec, NOW - 86_400, &first.zone);
    assert_eq!(earlier.reused, 0);
    // A shorter validity is a wish to be obeyed at once.
    let zone = zone_of("example.test.", RICH);
    let keys = [key.key()];
    let mut shorter = plan(&keys, Denial::Nsec, NOW);
    shorter.times.validity_secs = times(NOW).validity_secs - 3 * DAY - 1;
    shorter.times.refresh_secs = DAY;
    assert_eq!(sign_it(&zone, &shorter, &first.zone).unwrap().reused, 0);
}

/// A zone whose DNSKEY RRset has one more record.
struct WithKey<'z>(&'z Zone, Vec<u8>);

impl Published for WithKey<'_> {
    fn records(&self, owner: NameRef<'_>, each: &mut dyn FnMut(Record<'_>)) {
        Published::records(self.0, owner, each);
        each(Record { owner, rtype: Rtype::DNSKEY, ttl_secs: 3600, rdata: &self.1, line: 0 });
    }
}

#[test]
fn nothing_is_used_if_a_tag_could_be_that_of_another_key() {
    let key = TestKey::ed25519(1, (true, true));
    let first = sign_rich(RICH, &key, Denial::Nsec, NOW, &());
    // Two octets of the sum that a tag is change places with others of their weight.
    let mut alike = key.dnskey.clone();
    alike.swap(6, 8);
    assert_ne!(alike, key.dnskey);
    assert_eq!(super::keys::tag(&alike), key.key().tag);
    let again = sign_rich(RICH, &key, Denial::Nsec, NOW, &WithKey(&first.zone, alike));
    assert_eq!(again.reused, 0);
}

/// The zone with the last octet of one record changed: of the first at www that has this type, and covers A if it is RRSIG.
fn altered(zone: &Zone, rtype: Rtype) -> Zone {
    let mut builder = ZoneBuilder::new(zone.apex().to_name());
    for rrset in zone.owners().flat_map(|owner| owner.rrsets().collect::<Vec<_>>()) {
        for record in rrset.records() {
            let mut rdata = record.rdata.to_vec();
            let is_it = record.owner.to_string().starts_with("www.") && record.rtype == rtype;
            if is_it && (rtype != Rtype::RRSIG || rdata.starts_with(&Rtype::A.0.to_be_bytes())) {
                *rdata.last_mut().expect("it has octets") ^= 1;
            }
            builder.push(Record { rdata: &rdata, ..record }).expect("it is small");
        }
    }
    builder.finish()
}

/// The zone with weights for the addresses of `www`: these octets.
fn weighted(octets: &[u8]) -> Zone {
    let lines: String = octets.iter().map(|octet| format!("www A 192.0.2.{octet}\n")).collect();
    let zone = zone_of("example.test.", &format!("{BARE}{lines}"));
    let rdatas: Vec<[u8; 4]> = octets.iter().map(|octet| [192, 0, 2, *octet]).collect();
    let member = |rdata| Member { region: Region::DEFAULT, weight: 7, rdata };
    let members: Vec<Member<'_>> = rdatas.iter().map(|rdata| member(&rdata[..])).collect();
    let (apex, www): (Name, Name) = (zone.apex().to_name(), "www.example.test.".parse().expect("a name"));
    let choice = Choice::of(apex.as_ref(), www.as_ref(), Rtype::A, 3600, &members).expect("it is small");
    let mut builder = zone.reopen();
    builder.choose(www.as_ref(), Rtype::A, choice.expect("there are weights"));
    builder.finish()
}

#[test]
fn alternatives_keep_their_signatures_and_the_gate_knows_them() {
    let key = TestKey::p256((true, true));
    let keys = [key.key()];
    let plan = plan(&keys, Denial::Nsec, NOW);
    let first = sign_it(&weighted(&[1, 2, 3]), &plan, &()).unwrap();
    for (octets, made) in [(&[1, 2, 3][..], 0), (&[3, 1, 2], 0), (&[1, 2], 1), (&[1, 2, 4], 2), (&[3, 2, 1, 4], 2)] {
        let again = sign_it(&weighted(octets), &plan, &first.zone).unwrap();
        assert_eq!(again.made, made, "{octets:?}");
    }
    // A signature that was not in service is verified, of an alternative too.
    let gate = GATE;
    let broken = |zone: &Zone| Ok::<_, ()>(altered(zone, Rtype::RRSIG));
    let www: Name = "www.example.test.".parse().unwrap();
    let choice = first.zone.choice(www.as_ref(), Rtype::A).unwrap().try_map(broken).unwrap();
    let mut builder = sign_it(&weighted(&[1, 2, 3]), &plan, &first.zone).unwrap().zone.reopen();
    builder.choose(www.as_ref(), Rtype::A, choice);
    let bad = builder.finish();
    let judge = |before: &dyn Published| match gate.pass_since(&bad, &Before::new(before, bad.apex())) {
        Ok(_) => "good",
        Err(refused) => refused.rule(),
    };
    assert_eq!((judge(&()), judge(&first.zone), judge(&bad)), ("bad-signature", "bad-signature", "good"));
}

#[test]
fn the_gate_verifies_again_what_is_not_as_it_was() {
    let key = TestKey::p256((true, true));
    let keys = [key.key()];
    let zone = zone_of("example.test.", &format!("{BARE}www A 192.0.2.1\n"));
    let good = sign_it(&zone, &plan(&keys, Denial::Nsec, NOW), &()).unwrap().zone;
    let gate = GATE;
    let judge = |zone: &Zone, before: &dyn Published| match gate.pass_since(zone, &Before::new(before, zone.apex())) {
        Ok(passed) => format!("{} good", passed.signature_count),
        Err(refused) => refused.rule().to_owned(),
    };
    let count = judge(&good, &());
    assert_eq!(count, format!("{} good", text(&good).matches(" IN RRSIG ").count()));
    assert_eq!(judge(&good, &good), "0 good", "nothing has to be verified");
    let (signature, record) = (altered(&good, Rtype::RRSIG), altered(&good, Rtype::A));
    for before in [&() as &dyn Published, &good, &record] {
        assert_eq!(judge(&signature, before), "bad-signature");
    }
    for before in [&() as &dyn Published, &good, &signature] {
        assert_eq!(judge(&record, before), "bad-signature");
    }
    // What was in service, octet by octet, was verified then.
    assert_eq!(judge(&signature, &signature), "0 good");
    // Not so if it could have been by another key.
    let mut alike = key.dnskey.clone();
    alike.swap(6, 8);
    assert_eq!(judge(&signature, &WithKey(&signature, alike)), "bad-signature");
}
