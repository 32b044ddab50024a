//! What the signer makes is right by `check::dnssec`, for zones of every shape; by the verifiers of others; and no
//! signature is made twice.

mod apex;
mod keys;
mod others;
mod random;
mod reuse;
mod zones;

use std::num::NonZeroUsize;

use controlplane::sign::{Denial, Key, Plan, SignError, Times, sign};
use keys::TestKey;
use snapshot::dns::rtype::Rtype;
use zones::{APEX_DNAME, BARE, DENIALS, NOW, RICH, check_good, plan, sign_it, text, zone_of};

#[test]
fn zones_of_every_shape_are_signed_right() {
    let ed25519 = [TestKey::ed25519(1, (true, true))];
    let p256 = [TestKey::p256((true, true))];
    let split = [TestKey::p256((true, false)), TestKey::p256((false, true))];
    let both = [TestKey::ed25519(2, (true, true)), TestKey::p256((true, false)), TestKey::p256((false, true))];
    for (apex, records) in [
        ("example.test.", RICH),
        ("example.test.", BARE),
        ("example.test.", APEX_DNAME),
        ("EXAMPLE.Test.", RICH),
        (".", BARE),
        ("\\000.\\.x.test.", BARE),
    ] {
        let zone = zone_of(apex, records);
        for (idx, keys) in [&ed25519[..], &p256, &split, &both].into_iter().enumerate() {
            let keys: Vec<_> = keys.iter().map(TestKey::key).collect();
            for denial in DENIALS {
                for zonemd in [false, true] {
                    let plan = Plan { zonemd, ..plan(&keys, denial, NOW) };
                    let signed = sign_it(&zone, &plan, &()).unwrap();
                    check_good(&zone, &signed.zone, NOW, &format!("{apex} keys {idx} {denial:?}"));
                    assert_eq!(signed.reused, 0);
                    let count = |rtype| text(&signed.zone).matches(&format!(" IN {rtype} ")).count();
                    assert_eq!(signed.made, count(Rtype::RRSIG));
                    assert_eq!(count(Rtype::ZONEMD), usize::from(zonemd));
                }
            }
        }
    }
}

#[test]
fn opt_out_leaves_out_delegations_without_ds_and_what_is_only_for_them() {
    let keys = [TestKey::ed25519(1, (true, true))];
    let keys = [keys[0].key()];
    let zone = zone_of("example.test.", RICH);
    let count = |denial| {
        let signed = sign_it(&zone, &plan(&keys, denial, NOW), &()).unwrap();
        text(&signed.zone).matches(" IN NSEC3 ").count()
    };
    // Four delegations without DS; "ent", "below", "c" and "b" above one of them, "unsigned" and "below" above another.
    assert_eq!(count(DENIALS[1]) - count(DENIALS[2]), 4 + 6);
}

#[test]
fn opt_out_keeps_empty_non_terminals_that_a_wildcard_would_stand_for() {
    let keys = [TestKey::ed25519(1, (true, true))];
    let keys = [keys[0].key()];
    for (records, expected) in [
        ("x.ent NS ns.example.\n", 1),
        ("x.ent NS ns.example.\n* A 192.0.2.1\n", 1 + 1 + 1),
        // The wildcard may be there for what is below it alone.
        ("x.ent NS ns.example.\na.* A 192.0.2.1\n", 1 + 2 + 1),
        ("x.y.ent NS ns.example.\nz.y.ent NS ns.example.\n* A 192.0.2.1\n", 1 + 1 + 1),
        ("x.y.ent NS ns.example.\n*.ent A 192.0.2.1\n", 1 + 2 + 1),
        ("x.y.ent NS ns.example.\n*.other A 192.0.2.1\n", 1 + 2),
        ("x NS ns.example.\n* A 192.0.2.1\n", 1 + 1),
    ] {
        let zone = zone_of("example.test.", &format!("{BARE}{records}"));
        let signed = sign_it(&zone, &plan(&keys, DENIALS[2], NOW), &()).unwrap();
        check_good(&zone, &signed.zone, NOW, records);
        assert_eq!(text(&signed.zone).matches(" IN NSEC3 ").count(), expected, "{records}");
    }
}

#[test]
fn denials_have_the_ttl_of_negative_answers() {
    let keys = [TestKey::ed25519(1, (true, true))];
    let keys = [keys[0].key()];
    for (soa_secs, minimum_secs, expected) in [(3600, 300, "300"), (60, 300, "60")] {
        let soa = format!("@ {soa_secs} SOA ns.example. hm 1 2 3 4 {minimum_secs}\n@ NS ns.example.\n");
        let zone = zone_of("example.test.", &soa);
        let signed = sign_it(&zone, &plan(&keys, Denial::Nsec, NOW), &()).unwrap();
        let text = text(&signed.zone);
        let nsec = text.lines().find(|line| line.contains(" IN NSEC ")).unwrap();
        assert_eq!(nsec.split(' ').nth(1), Some(expected));
    }
}

#[test]
fn the_same_zone_is_signed_alike_by_any_number_of_threads() {
    let keys = [TestKey::ed25519(1, (true, true))];
    let keys = [keys[0].key()];
    let mut records = RICH.to_owned();
    for number in 0..2000 {
        records.push_str(&format!("n{number} A 192.0.2.1\nn{number}.of NS ns.example.\n"));
    }
    let zone = zone_of("example.test.", &records);
    for denial in DENIALS {
        let plan = Plan { zonemd: true, ..plan(&keys, denial, NOW) };
        let signed = |jobs| text(&sign(&zone, &plan, &(), NonZeroUsize::new(jobs).unwrap()).unwrap().zone);
        let one = signed(1);
        assert!(one == signed(2) && one == signed(7), "{denial:?}");
    }
}

#[test]
fn signatures_begin_earlier_and_end_spread() {
    let keys = [TestKey::ed25519(1, (true, true))];
    let keys = [keys[0].key()];
    let signed = sign_it(&zone_of("example.test.", RICH), &plan(&keys, Denial::Nsec, NOW), &()).unwrap();
    let text = text(&signed.zone);
    let (mut ends, mut begins) = (Vec::new(), Vec::new());
    for line in text.lines().filter(|line| line.contains(" IN RRSIG ")) {
        let fields: Vec<&str> = line.split(' ').collect();
        ends.push(fields[8]);
        begins.push(fields[9]);
    }
    ends.sort_unstable();
    ends.dedup();
    begins.dedup();
    assert!(ends.len() > 40, "{ends:?}");
    // 3 hours before 2027-01-15 08:00; 18 to 21 days after it.
    assert_eq!(begins, ["20270115050000"]);
    assert!(ends[0] > "20270202080000" && ends[ends.len() - 1] <= "20270205080000", "{ends:?}");
    assert!(signed.earliest_expiry_unix_secs > NOW + 18 * 86_400);
}

/// A plan with these keys.
fn with<'p>(keys: &'p [Key<'p>]) -> Plan<'p> {
    plan(keys, Denial::Nsec, NOW)
}

#[test]
fn what_cannot_be_signed_is_refused() {
    let (one, two) = (TestKey::ed25519(1, (true, true)), TestKey::ed25519(2, (true, false)));
    let good = [one.key()];
    let refused = |records: &str, plan: &Plan<'_>| match sign_it(&zone_of("example.test.", records), plan, &()) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    for (records, expected) in [
        ("@ NS ns.example.\n", "example.test. has no SOA record"),
        ("a TXT x\n", "example.test. has no SOA record"),
        (
            &format!("{BARE}a NSEC b A\n")[..],
            "a.example.test. has NSEC, which signing makes: take it out of the zone first",
        ),
        (
            &format!("{BARE}@ NSEC3PARAM 1 0 0 -\n")[..],
            "example.test. has NSEC3PARAM, which signing makes: take it out of the zone first",
        ),
    ] {
        assert_eq!(refused(records, &with(&good)), expected);
    }
    assert_eq!(refused(BARE, &with(&[])), "no key signs the DNSKEY records");
    assert_eq!(refused(BARE, &with(&[two.key()])), "no key signs the zone");
    let tag = one.key().tag;
    let twice = format!("two keys of algorithm 15 have the tag {tag}: make another one");
    assert_eq!(refused(BARE, &with(&[one.key(), one.key()])), twice);
    let mut other = one.key();
    other.tag ^= 1;
    let mismatch = format!(
        "the DNSKEY record of key {}, algorithm 15, is not of a zone's key with that tag and algorithm",
        other.tag
    );
    assert_eq!(refused(BARE, &with(&[other])), mismatch);
    let times = Times { now_unix_secs: u32::MAX.into(), ..zones::times(NOW) };
    let expected = "signatures cannot have these times: they would end after 2106, which RRSIG cannot say";
    assert_eq!(refused(BARE, &Plan { times, ..with(&good) }), expected);
}

#[test]
fn a_long_apex_can_have_nsec_only() {
    let key = TestKey::ed25519(1, (true, true));
    let keys = [key.key()];
    let label = "x".repeat(62);
    let apex = format!("{label}.{label}.{label}.{}.", "y".repeat(40));
    let zone = zone_of(&apex, BARE);
    let signed = sign_it(&zone, &plan(&keys, Denial::Nsec, NOW), &()).unwrap();
    check_good(&zone, &signed.zone, NOW, "a long apex");
    assert!(matches!(sign_it(&zone, &plan(&keys, DENIALS[1], NOW), &()), Err(SignError::ApexTooLong(_))));
}
