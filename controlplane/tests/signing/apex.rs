//! DNSKEY, CDS and CDNSKEY: what the plan wants and what the zone has itself come together.

use controlplane::sign::{Announce, Denial, Plan};
use data_encoding::BASE64;

use super::keys::{TestKey, tag};
use super::zones::{BARE, NOW, check_good, plan, sign_it, text, zone_of};

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
