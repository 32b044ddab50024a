//! DNSKEY, CDS and CDNSKEY: what the plan wants and what the zone has itself come together.

use std::num::NonZeroUsize;

use controlplane::check::dnssec::Verifier;
use controlplane::check::dnssec::gate::{Gate, REMAINING_SECS_MIN};
use controlplane::sign::{Announce, Denial, Key, Plan};
use data_encoding::BASE64;
use snapshot::dns::rtype::Rtype;

use super::keys::{TestKey, tag};
use super::zones::{BARE, DENIALS, NOW, check_good, plan, sign_it, text, zone_of};

/// The records of a type in the signed zone, without owner, TTL and class.
fn records(own: &str, plan: &Plan<'_>, rtype: &str) -> Vec<String> {
    let zone = zone_of("example.test.", &format!("{BARE}{own}"));
    let signed = sign_it(&zone, plan, &()).expect("it can be signed");
    // A zone with DNSKEY and no signatures would have faults of its own.
    check_good(&zone_of("example.test.", BARE), &signed.zone, NOW, own);
    let text = text(&signed.zone);
    let infix = format!(" 3600 IN {rtype} ");
    text.lines().filter_map(|line| line.split_once(&infix)).map(|(_, rdata)| rdata.to_owned()).collect()
}

/// The presentation format of a DNSKEY.
fn shown(rdata: &[u8]) -> String {
    let flags = u16::from_be_bytes([rdata[0], rdata[1]]);
    format!("{flags} 3 {} {}", rdata[3], BASE64.encode(&rdata[4..]))
}

#[test]
fn keys_of_plan_and_zone_are_published_together() {
    let key = TestKey::ed25519(1, (true, true));
    let (waiting, others) = (TestKey::ed25519(2, (false, true)), TestKey::ed25519(3, (true, true)));
    let keys = [key.key()];
    let extra = [waiting.dnskey.clone(), key.dnskey.clone()];
    let plan = Plan { extra_dnskeys: &extra, ..plan(&keys, Denial::Nsec, NOW) };
    let own = format!("@ 60 DNSKEY {}\n", shown(&others.dnskey));
    let mut expected = vec![shown(&waiting.dnskey), shown(&key.dnskey), shown(&others.dnskey)];
    let mut found = records(&own, &plan, "DNSKEY");
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(records(&own, &plan, "CDS"), [""; 0]);
}

#[test]
fn announced_keys_have_both_digests_and_a_cdnskey() {
    let (key, others) = (TestKey::ed25519(1, (true, true)), TestKey::ed25519(3, (true, true)));
    let keys = [key.key()];
    let announced = [&key.dnskey[..]];
    let plan = Plan { announce: Announce::Keys(&announced), ..plan(&keys, Denial::Nsec, NOW) };
    let kinds = |records: &[String], tag: u16| {
        let of_tag = records.iter().filter(|text| text.starts_with(&format!("{tag} 15 ")));
        of_tag.map(|text| text.split(' ').nth(2).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let cds = records("", &plan, "CDS");
    assert_eq!(cds.len(), 2);
    assert_eq!(kinds(&cds, key.key().tag), ["2", "4"]);
    assert_eq!(records("", &plan, "CDNSKEY"), [shown(&key.dnskey)]);

    // A key of another signer that the zone wants in DS, by either type, is asked for with both.
    let dnskey = format!("@ DNSKEY {}\n", shown(&others.dnskey));
    let by_cdnskey = format!("{dnskey}@ CDNSKEY {}\n", shown(&others.dnskey));
    let cds = records(&by_cdnskey, &plan, "CDS");
    assert_eq!((cds.len(), kinds(&cds, tag(&others.dnskey)).len()), (4, 2));
    let of_others = cds.iter().find(|text| text.starts_with(&format!("{} 15 2 ", tag(&others.dnskey)))).unwrap();
    let by_cds = format!("{dnskey}@ CDS {of_others}\n");
    assert_eq!(records(&by_cds, &plan, "CDS"), cds);
    assert_eq!(records(&by_cds, &plan, "CDNSKEY").len(), 2);
}

#[test]
fn a_removal_stands_alone() {
    let key = TestKey::ed25519(1, (true, true));
    let keys = [key.key()];
    let announced = [&key.dnskey[..]];
    let asks = Plan { announce: Announce::Keys(&announced), ..plan(&keys, Denial::Nsec, NOW) };
    let removes = Plan { announce: Announce::Removal, ..asks };
    for (own, plan) in [("", &removes), ("@ CDS 0 0 0 00\n", &asks), ("@ CDNSKEY 0 3 0 AA==\n", &asks)] {
        assert_eq!(records(own, plan, "CDS"), ["0 0 0 00"], "{own}");
        assert_eq!(records(own, plan, "CDNSKEY"), ["0 3 0 AA=="], "{own}");
    }
}

#[test]
fn a_key_that_is_not_announced_signs_the_zone_and_only_who_knows_it_takes_that() {
    let (old, new) = (TestKey::p256((true, true)), TestKey::ed25519(1, (false, true)));
    let zone = zone_of("example.test.", BARE);
    for denial in DENIALS {
        let keys = [old.key(), Key { is_announced: false, ..new.key() }];
        let signed = sign_it(&zone, &plan(&keys, denial, NOW), &()).unwrap().zone;
        let apex = signed.owner(signed.apex()).unwrap();
        let dnskeys = apex.rrset(Rtype::DNSKEY).unwrap();
        assert_eq!(dnskeys.records().map(|record| record.rdata.to_vec()).collect::<Vec<_>>(), [keys[0].dnskey]);
        let pass = |unannounced: &[&[u8]]| {
            let gate = Gate {
                at_unix_secs: NOW,
                remaining_secs_min: REMAINING_SECS_MIN,
                keys: &[keys[0].dnskey],
                unannounced,
                has_ns: true,
                verifier: Verifier::Ring,
                jobs: NonZeroUsize::MIN,
            };
            gate.pass(&signed).map(drop).map_err(|refused| refused.rule())
        };
        assert_eq!(pass(&[keys[1].dnskey]), Ok(()), "{denial:?}");
        assert_eq!(pass(&[]), Err("rrsig-without-key"), "{denial:?}");
        // Another key with the same tag would have to verify; one that signed nothing does no harm.
        let other = TestKey::p256((false, true));
        assert_eq!(pass(&[keys[1].dnskey, other.key().dnskey]), Ok(()));
    }
    let keys = [Key { is_announced: false, ..old.key() }];
    let refused = sign_it(&zone, &plan(&keys, DENIALS[0], NOW), &()).map(drop).unwrap_err().to_string();
    assert!(refused.contains("without being among them"), "{refused}");
}
