//! Sound zones pass; with one thing broken they do not, whichever way the zone denies, and the refusal names the rule.

use proptest::prelude::*;
use proptest::sample::Index;

use super::signed::{Bench, Chain, NOW, Pair, SPAN, name, read};
use super::*;

/// All ways to deny.
const CHAINS: [Chain; 3] = [Chain::Nsec, Chain::Nsec3, Chain::OptOut];

/// The gate of all tests.
fn gate() -> Gate<'static> {
    Gate {
        at_unix_secs: NOW.into(),
        remaining_secs_min: REMAINING_SECS_MIN,
        keys: &[],
        unannounced: &[],
        has_ns: true,
        verifier: Verifier::RustCrypto,
        jobs: NonZeroUsize::MIN,
    }
}

/// The rules that a zone breaks, as far as they are shown.
fn rules(bench: &Bench) -> Vec<&'static str> {
    match gate().pass(&bench.zone()) {
        Ok(_) => Vec::new(),
        Err(refused) => refused.faults.iter().map(|fault| fault.code).collect(),
    }
}

/// Asserts that a zone which is broken like this is refused for this reason first, with any chain.
#[track_caller]
fn check_refused(expected: &str, break_it: impl Fn(&mut Bench)) {
    for chain in CHAINS {
        check_refused_with(chain, expected, &break_it);
    }
}

/// Asserts it for one chain.
#[track_caller]
fn check_refused_with(chain: Chain, expected: &str, break_it: impl Fn(&mut Bench)) {
    let mut bench = Bench::new(chain);
    break_it(&mut bench);
    let refused = gate().pass(&bench.zone()).expect_err("it is broken");
    assert_eq!(refused.rule(), expected, "{chain:?}: {refused}");
}

#[test]
fn sound_zones_pass_by_each_implementation() {
    for chain in CHAINS {
        for pairs in [vec![Pair::p256()], vec![Pair::ed25519()], vec![Pair::p256(), Pair::ed25519()]] {
            let bench = Bench::with_keys(chain, pairs);
            let signature_count = bench.records.iter().filter(|rr| rr.rtype == Rtype::RRSIG).count();
            let expected = Passed { earliest_expiry_unix_secs: SPAN.1.into(), signature_count };
            for verifier in [Verifier::Ring, Verifier::RustCrypto, Verifier::AwsLc] {
                let gate = Gate { verifier, keys: &[&bench.dnskey()], ..gate() };
                assert_eq!(gate.pass(&bench.zone()), Ok(expected), "{chain:?} {verifier:?}");
            }
        }
    }
}

#[test]
fn the_earliest_expiry_is_that_of_the_worst_signature() {
    let mut bench = Bench::new(Chain::Nsec);
    bench.sign_for(&name("www"), Rtype::A, (NOW - 1, NOW + REMAINING_SECS_MIN));
    let passed = gate().pass(&bench.zone()).unwrap();
    assert_eq!(passed.earliest_expiry_unix_secs, u64::from(NOW + REMAINING_SECS_MIN));
}

#[test]
fn signatures_that_do_not_fit() {
    let www = name("www");
    check_refused("bad-signature", |bench| *bench.rrsig(&www, Rtype::A).rdata.last_mut().unwrap() ^= 1);
    check_refused("bad-signature", |bench| bench.rr(&www, Rtype::A).rdata[3] ^= 1);
    check_refused("bad-signature", |bench| {
        let (owner, rtype) = (bench.denial_owner(&www), bench.denial());
        bench.rrsig(&owner, rtype).rdata[60] ^= 0x80;
    });
    check_refused("bad-signature", |bench| bench.records.extend(read("www A 192.0.2.99")));
    check_refused("rrsig-labels", |bench| bench.rrsig(&www, Rtype::A).rdata[3] -= 1);
    check_refused("rrsig-signer", |bench| bench.rrsig(&www, Rtype::A).rdata[19] ^= 1);
    check_refused("malformed", |bench| bench.rrsig(&www, Rtype::A).rdata.truncate(20));
}

#[test]
fn signatures_of_the_wrong_time() {
    let www = name("www");
    for (span, expected) in [
        ((NOW - 100, NOW - 1), "rrsig-expired"),
        ((NOW + 1, SPAN.1), "rrsig-not-yet-valid"),
        ((NOW + 100, NOW + 50), "rrsig-times"),
        ((NOW - 100, NOW + REMAINING_SECS_MIN - 1), "rrsig-expires-soon"),
    ] {
        check_refused(expected, |bench| bench.sign_for(&www, Rtype::A, span));
        check_refused(expected, |bench| {
            let (owner, rtype) = (bench.denial_owner(&www), bench.denial());
            bench.sign_for(&owner, rtype, span);
        });
    }
}

#[test]
fn signatures_that_are_missing() {
    for (owner, rtype) in [
        ("www", Rtype::A),
        ("*.wild", Rtype::TXT),
        ("@", Rtype::SOA),
        ("@", Rtype::NS),
        ("@", Rtype::DNSKEY),
        ("@", Rtype::CDS),
        ("secure", Rtype::DS),
        ("redirect", Rtype::DNAME),
    ] {
        check_refused("missing-rrsig", |bench| bench.strip(&name(owner), rtype));
    }
    check_refused("missing-rrsig", |bench| {
        let (owner, rtype) = (bench.denial_owner(&name("www")), bench.denial());
        bench.strip(&owner, rtype);
    });
    check_refused_with(Chain::Nsec3, "missing-rrsig", |bench| bench.strip(&name("@"), Rtype::NSEC3PARAM));
}

#[test]
fn records_that_nobody_signed() {
    for extra in ["www TXT x", "new A 192.0.2.99", "secure DNAME x.", "@ TXT x"] {
        let mut bench = Bench::new(Chain::Nsec);
        bench.records.extend(read(extra));
        // What is at a zone cut belongs to the delegated zone, unless it is about the delegation.
        let expected = if extra.starts_with("secure") { vec![] } else { vec!["missing-rrsig"] };
        assert_eq!(rules(&bench).into_iter().take(1).collect::<Vec<_>>(), expected, "{extra}");
    }
    check_refused("missing-rrsig", |bench| bench.records.extend(read("new TXT x")));
    check_refused("missing-rrsig", |bench| {
        bench.records.extend(read(&format!("insecure DS 1 13 1 {}", "00".repeat(20))));
    });
    // A delegation is unsigned by right, but its name must be denied or listed, unless opt-out leaves it out.
    let delegate = |bench: &mut Bench| bench.records.extend(read("new NS ns1"));
    check_refused_with(Chain::Nsec, "missing-nsec", delegate);
    check_refused_with(Chain::Nsec3, "missing-nsec3", delegate);
    let mut bench = Bench::new(Chain::OptOut);
    delegate(&mut bench);
    assert_eq!(rules(&bench), [""; 0]);
}

#[test]
fn signatures_where_none_may_be() {
    for (owner, rtype) in [
        ("ns.secure", Rtype::AAAA),
        ("ns.insecure", Rtype::A),
        ("secure", Rtype::NS),
        ("insecure", Rtype::NS),
        ("hidden.redirect", Rtype::A),
    ] {
        check_refused("rrsig-on-glue", |bench| bench.sign(&name(owner), rtype));
    }
    check_refused("rrsig-without-rrset", |bench| {
        let mut signature = bench.rrsig(&name("www"), Rtype::A).clone();
        signature.owner = name("ns1");
        signature.rdata[..2].copy_from_slice(&Rtype::TXT.0.to_be_bytes());
        bench.records.push(signature);
    });
    check_refused("many-signatures", |bench| {
        for later in 1..9 {
            bench.sign_more(&name("www"), Rtype::A, (SPAN.0, SPAN.1 + later));
        }
    });
}

#[test]
fn denials_that_are_missing() {
    for owner in ["www", "secure", "*.wild", "@"] {
        let remove = |bench: &mut Bench| {
            let (owner, rtype) = (bench.denial_owner(&name(owner)), bench.denial());
            bench.remove(&owner, rtype);
        };
        check_refused_with(Chain::Nsec, "missing-nsec", remove);
        check_refused_with(Chain::Nsec3, "missing-nsec3", remove);
        check_refused_with(Chain::OptOut, "missing-nsec3", remove);
        // A gap with the chain closed around it.
        let bridge = |bench: &mut Bench| bench.bridge(&name(owner));
        check_refused_with(Chain::Nsec, "missing-nsec", bridge);
        check_refused_with(Chain::Nsec3, "missing-nsec3", bridge);
        check_refused_with(Chain::OptOut, "missing-nsec3", bridge);
    }
    let no_ent = |bench: &mut Bench| bench.bridge(&name("empty.non.terminal"));
    check_refused_with(Chain::Nsec3, "missing-nsec3", no_ent);
    check_refused_with(Chain::OptOut, "missing-nsec3", no_ent);
    check_refused("no-denial", |bench| {
        bench.records.retain(|rr| !rr.covers(Rtype::NSEC) && !rr.covers(Rtype::NSEC3) && !rr.covers(Rtype::NSEC3PARAM));
        bench.records.retain(|rr| !matches!(rr.rtype, Rtype::NSEC | Rtype::NSEC3 | Rtype::NSEC3PARAM));
    });
}

#[test]
fn denials_that_name_the_wrong_next_one_or_type() {
    let www = name("www");
    for (chain, rule) in [(Chain::Nsec, "nsec-chain"), (Chain::Nsec3, "nsec3-chain"), (Chain::OptOut, "nsec3-chain")] {
        check_refused_with(chain, rule, |bench| {
            let (owner, rtype) = (bench.denial_owner(&www), bench.denial());
            let off = if rtype == Rtype::NSEC { 3 } else { 10 };
            bench.rr(&owner, rtype).rdata[off] ^= 1;
            bench.sign(&owner, rtype);
        });
    }
    for (chain, rule) in [(Chain::Nsec, "nsec-types"), (Chain::Nsec3, "nsec3-types"), (Chain::OptOut, "nsec3-types")] {
        for is_signed in [true, false] {
            check_refused_with(chain, if is_signed { rule } else { "bad-signature" }, |bench| {
                let (owner, rtype) = (bench.denial_owner(&www), bench.denial());
                // The bit of A becomes that of NS.
                let rdata = &mut bench.rr(&owner, rtype).rdata;
                let bits = rdata.iter().rposition(|&octet| octet == 0x40).unwrap();
                rdata[bits] = 0x20;
                if is_signed {
                    bench.sign(&owner, rtype);
                }
            });
        }
    }
    check_refused("denial-ttl", |bench| {
        let (owner, rtype) = (bench.denial_owner(&www), bench.denial());
        bench.rr(&owner, rtype).ttl_secs = 3_600;
        bench.sign(&owner, rtype);
    });
    check_refused_with(Chain::Nsec, "nsec-below-cut", |bench| {
        bench.records.extend(read("hidden.redirect 300 NSEC insecure A RRSIG NSEC"));
    });
}

#[test]
fn nsec3_and_nsec3param_belong_together() {
    let apex = name("@");
    for chain in [Chain::Nsec3, Chain::OptOut] {
        check_refused_with(chain, "nsec3-without-nsec3param", |bench| bench.remove(&apex, Rtype::NSEC3PARAM));
        check_refused_with(chain, "nsec3param-without-nsec3", |bench| {
            bench.rr(&apex, Rtype::NSEC3PARAM).rdata[3] = 1;
            bench.sign(&apex, Rtype::NSEC3PARAM);
        });
        check_refused_with(chain, "nsec3param-flags", |bench| {
            bench.rr(&apex, Rtype::NSEC3PARAM).rdata[1] = 1;
            bench.sign(&apex, Rtype::NSEC3PARAM);
        });
        let stray = "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom 300 NSEC3 1 1 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A";
        check_refused_with(chain, "nsec3-chain", |bench| {
            bench.records.extend(read(stray));
            bench.sign(&name("0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"), Rtype::NSEC3);
        });
    }
    check_refused_with(Chain::Nsec, "nsec3-without-nsec3param", |bench| {
        let owner = "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom";
        bench.records.extend(read(&format!("{owner} 300 NSEC3 1 0 0 - {owner} A")));
        bench.sign(&name(owner), Rtype::NSEC3);
    });
}

#[test]
fn ttls_that_differ() {
    let www = name("www");
    check_refused("rrsig-ttl", |bench| bench.rrsig(&www, Rtype::A).ttl_secs = 1_800);
    check_refused("rrsig-original-ttl", |bench| {
        let is_it = |rr: &&mut signed::Rr| rr.owner == www && (rr.rtype == Rtype::A || rr.covers(Rtype::A));
        bench.records.iter_mut().filter(is_it).for_each(|rr| rr.ttl_secs = 1_800);
    });
    check_refused("ttl-mismatch", |bench| bench.rr(&www, Rtype::A).ttl_secs = 7_200);
    check_refused("rrsig-original-ttl", |bench| bench.rr(&www, Rtype::A).ttl_secs = 60);
}

#[test]
fn keys_that_are_missing_or_strange() {
    let (apex, www) = (name("@"), name("www"));
    check_refused("no-dnskey", |bench| bench.remove(&apex, Rtype::DNSKEY));
    check_refused("rrsig-without-key", |bench| bench.sign_with(&www, Rtype::A, &Pair::p256()));
    check_refused("rrsig-without-key", |bench| bench.sign_with(&apex, Rtype::DNSKEY, &Pair::ed25519()));
    check_refused("algorithm-not-used", |bench| {
        let dnskey = Pair::ed25519().dnskey();
        let mut rr = bench.rr(&apex, Rtype::DNSKEY).clone();
        rr.rdata = [&[1, 0][..], &dnskey[2..]].concat();
        bench.records.push(rr);
        bench.sign(&apex, Rtype::DNSKEY);
    });
    check_refused("key-not-verifiable", |bench| {
        bench.records.extend(read(&format!("@ DNSKEY 256 3 16 {}", "AAAA".repeat(19))));
        bench.sign(&apex, Rtype::DNSKEY);
    });
    for chain in CHAINS {
        let mut bench = Bench::with_keys(chain, vec![Pair::p256(), Pair::ed25519()]);
        let before = bench.records.len();
        // The signature of algorithm 15 alone.
        bench.records.retain(|rr| rr.owner != www || !rr.covers(Rtype::A) || rr.rdata[2] != 15);
        assert_eq!(bench.records.len(), before - 1);
        assert_eq!(rules(&bench), ["missing-algorithm"], "{chain:?}");
    }
}

#[test]
fn the_keys_that_were_told_are_there() {
    let bench = Bench::new(Chain::Nsec);
    let other = Pair::p256().dnskey();
    let gate = Gate { keys: &[&bench.dnskey(), &other], ..gate() };
    assert_eq!(gate.pass(&bench.zone()).unwrap_err().rule(), "key-not-there");
}

#[test]
fn what_the_parent_is_asked_for_fits_the_keys() {
    let apex = name("@");
    check_refused("cds-without-key", |bench| {
        *bench.rr(&apex, Rtype::CDS).rdata.last_mut().unwrap() ^= 1;
        bench.sign(&apex, Rtype::CDS);
    });
    check_refused("cds-breaks-chain", |bench| {
        bench.rr(&apex, Rtype::CDS).rdata[2] = 15;
        bench.sign(&apex, Rtype::CDS);
    });
}

#[test]
fn the_apex_has_what_makes_it_one() {
    let apex = name("@");
    check_refused("no-soa", |bench| bench.remove(&apex, Rtype::SOA));
    check_refused("no-ns", |bench| bench.remove(&apex, Rtype::NS));
    let mut bench = Bench::new(Chain::Nsec);
    bench.remove(&apex, Rtype::NS);
    let refused = Gate { has_ns: false, ..gate() }.pass(&bench.zone()).expect_err("its NSEC has NS still");
    assert_eq!(refused.rule(), "nsec-types");
    check_refused("multiple-soas", |bench| {
        bench.records.extend(read("@ SOA ns1 hostmaster 2 7200 900 1209600 300"));
        bench.sign(&apex, Rtype::SOA);
    });
}

#[test]
fn a_digest_of_another_zone() {
    let mut bench = Bench::new(Chain::Nsec);
    bench.records.extend(read(&format!("@ ZONEMD 1 1 1 {}", "00".repeat(48))));
    bench.sign(&name("@"), Rtype::ZONEMD);
    assert!(rules(&bench).contains(&"zonemd-digest"));
}

#[test]
fn refusals_name_rule_owner_and_type_and_count_the_rest() {
    let mut bench = Bench::new(Chain::Nsec);
    for owner in ["alias", "ns1", "ns2", "www"] {
        let covered = if owner == "alias" { Rtype::CNAME } else { Rtype::A };
        bench.strip(&name(owner), covered);
    }
    let refused = gate().pass(&bench.zone()).unwrap_err();
    assert_eq!((refused.faults.len(), refused.fault_count), (3, 4));
    assert_eq!(
        refused.to_string(),
        "zone example.test. does not pass the gate for signed zones: CNAME at alias.example.test. is not signed (RFC 4035 \
         section 2.2): sign the zone again [missing-rrsig]; A at ns1.example.test. is not signed (RFC 4035 section 2.2): \
         sign the zone again [missing-rrsig]; A at ns2.example.test. is not signed (RFC 4035 section 2.2): sign the zone \
         again [missing-rrsig]; and 1 more"
    );
}

/// The part of a zone that a change of these owners touches: they, the apex and what denies them.
fn part(bench: Bench, owners: &[&str]) -> Bench {
    let mut names = vec![name("@")];
    names.extend(owners.iter().map(|owner| name(owner)));
    let denials: Vec<Name> = names.iter().map(|owner| bench.denial_owner(owner)).collect();
    names.extend(denials);
    bench.only(&names)
}

#[test]
fn a_part_passes_without_what_is_not_in_it() {
    for chain in CHAINS {
        for owners in [&["www"][..], &["insecure"], &["secure", "ns.secure"], &["www", "alias", "*.wild"], &[]] {
            let part = part(Bench::new(chain), owners);
            let passed = gate().pass_part(&part.zone(), &());
            assert!(passed.is_ok(), "{chain:?} {owners:?}: {passed:?}");
            assert!(gate().pass(&part.zone()).is_err(), "{chain:?} {owners:?}");
        }
    }
}

#[test]
fn a_part_is_refused_for_what_is_in_it() {
    let www = name("www");
    for chain in CHAINS {
        let check = |expected: &[&str], break_it: &dyn Fn(&mut Bench)| {
            let mut part = part(Bench::new(chain), &["www", "alias", "ns1"]);
            break_it(&mut part);
            let refused = gate().pass_part(&part.zone(), &()).expect_err("it is broken");
            assert!(expected.contains(&refused.rule()), "{chain:?}: {refused}");
        };
        check(&["bad-signature"], &|part| *part.rrsig(&www, Rtype::A).rdata.last_mut().unwrap() ^= 1);
        check(&["missing-rrsig"], &|part| part.strip(&www, Rtype::A));
        check(&["missing-rrsig"], &|part| part.records.extend(read("www TXT x")));
        check(&["missing-nsec", "missing-nsec3"], &|part| {
            let (owner, rtype) = (part.denial_owner(&www), part.denial());
            part.remove(&owner, rtype);
        });
        check(&["nsec-types", "nsec3-types"], &|part| {
            part.records.extend(read("www TXT x"));
            part.sign(&www, Rtype::TXT);
        });
        // The first skips the second, or names what is before itself.
        check(&["nsec-chain", "nsec3-chain"], &|part| {
            let links = part.links();
            part.set_next(&links[0], &part.as_next(&links[2]));
        });
        check(&["nsec-chain", "nsec3-chain"], &|part| {
            let links = part.links();
            part.set_next(&links[2], &part.as_next(&links[1]));
        });
    }
}

/// Whether a change of a record cannot be seen: the zone does not vouch for it.
fn is_unsigned(rr: &signed::Rr) -> bool {
    let is_glue = ["ns.secure", "ns.insecure", "hidden.redirect"].iter().any(|owner| rr.owner == name(owner));
    let is_delegation = ["secure", "insecure", "below.ent"].iter().any(|owner| rr.owner == name(owner));
    is_glue || (is_delegation && rr.rtype == Rtype::NS)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever bit of what is signed changes, the zone is refused; the case of letters in names aside.
    #[test]
    fn no_changed_bit_passes(chain in prop::sample::select(&CHAINS[..]), at in any::<(Index, Index)>(), bit in 0..8u8) {
        let mut bench = Bench::new(chain);
        let signed: Vec<usize> = (0..bench.records.len()).filter(|&idx| !is_unsigned(&bench.records[idx])).collect();
        let rr = &mut bench.records[*at.0.get(&signed)];
        let octet_idx = at.1.index(rr.rdata.len());
        let octet = &mut rr.rdata[octet_idx];
        prop_assume!(bit != 5 || !octet.is_ascii_alphabetic());
        *octet ^= 1 << bit;
        let (owner, rtype) = (rr.owner.clone(), rr.rtype);
        prop_assert!(gate().pass(&bench.zone()).is_err(), "{} at {}, octet {}", rtype, owner, octet_idx);
    }
}
