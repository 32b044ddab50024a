//! Weighted and regional answers: who gets which, how often, with which subnet option, and that one reply is of one piece.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use dataplane::answer::{Scratch, Settings, Subnets, respond};
use dataplane::packet::{Arrival, Outcome, Packet, Transport};
use snapshot::dns::choice::{Choice, Member};
use snapshot::dns::message::{Message, Resource};
use snapshot::dns::name::Name;
use snapshot::dns::region::{Location, Region};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::ZoneBuilder;
use snapshot::dns::zonefile::{Options, Reader};
use snapshot::image::{Generation, PackFile, PlacesBuilder, Segment, View};

/// The zone: records with ` ; REGION WEIGHT` behind them are chosen from.
const ZONE: &str = "\
@ 60 SOA ns1 host 1 7200 900 1209600 300
@ 60 NS ns1
ns1 60 A 192.0.2.53
plain 60 A 192.0.2.1
plain 60 A 192.0.2.2
ab 60 A 192.0.2.90 ; default 90
ab 60 A 192.0.2.10 ; default 10
ab 60 AAAA 2001:db8::90 ; default 90
ab 60 AAAA 2001:db8::10 ; default 10
geo 60 A 192.0.2.101 ; US 0
geo 60 A 192.0.2.102 ; DE 0
geo 60 A 192.0.2.103 ; EU 0
geo 60 A 192.0.2.104 ; default 0
geo 60 A 192.0.2.105 ; default 0
only 60 A 192.0.2.111 ; US 0
only 60 A 192.0.2.112 ; DE 0
both 60 A 192.0.2.121 ; US 1
both 60 A 192.0.2.122 ; US 3
both 60 A 192.0.2.123 ; default 0
*.wild 60 TXT \"us\" ; US 0
*.wild 60 TXT \"all\" ; default 0
mail 60 MX 10 ab ; US 0
mail 60 MX 20 geo ; default 0
alias 60 CNAME geo
";

/// Where some addresses are.
const PLACES: [(&str, u8, &str, &str); 4] = [
    ("198.18.0.0", 16, "US", "NA"),
    ("198.19.0.0", 17, "DE", "EU"),
    ("198.19.128.0", 17, "FR", "EU"),
    ("2001:db8:de::", 48, "DE", "EU"),
];
/// Clients there, and one that is nowhere.
const US: &str = "198.18.7.7";
const DE: &str = "198.19.7.7";
const FR: &str = "198.19.200.7";
const NOWHERE: &str = "203.0.113.1";

/// What is said of a record: region, weight, RDATA.
type Said = (Region, u32, Vec<u8>);

/// A view of the zone, with or without the table of places.
fn view(with_places: bool) -> View {
    let apex: Name = "c.test.".parse().unwrap();
    let mut builder = ZoneBuilder::new(apex.clone());
    let mut members: BTreeMap<(Name, u16), Vec<Said>> = BTreeMap::new();
    for line in ZONE.lines() {
        let (text, says) = line.split_once(" ; ").unwrap_or((line, ""));
        let options = Options { origin: Some(apex.clone()), ..Options::default() };
        let mut reader = Reader::new(text.as_bytes(), options);
        let record = reader.read().unwrap().unwrap();
        builder.push(record).unwrap();
        if let Some((region, weight)) = says.split_once(' ') {
            let member = (Region::parse(region).unwrap(), weight.parse().unwrap(), record.rdata.to_vec());
            members.entry((record.owner.to_name(), record.rtype.0)).or_default().push(member);
        }
    }
    for ((owner, rtype), members) in &members {
        let members = members.iter().map(|(region, weight, rdata)| Member { region: *region, weight: *weight, rdata });
        let members: Vec<_> = members.collect();
        let choice = Choice::of(apex.as_ref(), owner.as_ref(), Rtype(*rtype), 60, &members).unwrap().unwrap();
        builder.choose(owner.as_ref(), Rtype(*rtype), choice);
    }
    let mut segments = vec![Segment::build(&builder.finish()).unwrap()];
    if with_places {
        let mut places = PlacesBuilder::default();
        for (first, len, country, continent) in PLACES {
            places.push(first.parse().unwrap(), len, Location::new(Some(country), Some(continent))).unwrap();
        }
        segments.push(places.finish().unwrap());
    }
    let pack = PackFile::encode(segments).unwrap().open().unwrap();
    View::assemble(Generation(1), vec![Arc::new(pack)]).unwrap()
}

/// A query, with the content of a subnet option if there is one.
fn query(name: &str, rtype: Rtype, subnet: Option<&[u8]>) -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    query.extend(name.parse::<Name>().unwrap().as_wire());
    query.extend(rtype.0.to_be_bytes());
    query.extend([0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0]);
    let option =
        subnet.map_or_else(Vec::new, |subnet| [&[0, 8, 0, u8::try_from(subnet.len()).unwrap()], subnet].concat());
    query.extend(u16::try_from(option.len()).unwrap().to_be_bytes());
    query.extend(option);
    query
}

/// Answers queries of one batch.
fn ask(view: &View, client: &str, transport: Transport, lot: u64, queries: &[Vec<u8>]) -> Vec<Vec<u8>> {
    // The word of resolvers in one network is taken.
    let settings = Settings { subnets: Subnets::new(["203.0.113.0/24".parse().unwrap()]), ..Settings::default() };
    let client: IpAddr = client.parse().unwrap();
    let mut buffers: Vec<Vec<u8>> = queries.iter().map(|query| [&query[..], &[0; 4096]].concat()).collect();
    let lens = queries.iter().map(Vec::len);
    let mut packets: Vec<_> = buffers.iter_mut().zip(lens).map(|(buf, len)| Packet::new(buf, len, client)).collect();
    let arrival = Arrival { transport, now_secs: 0, lot };
    respond(&settings, view, arrival, &mut packets, &mut Scratch::new());
    let lens: Vec<usize> = packets
        .iter()
        .map(|packet| match packet.outcome {
            Outcome::Reply { len, .. } => len,
            other => panic!("{other:?}"),
        })
        .collect();
    buffers.iter().zip(lens).map(|(buf, len)| buf[..len].to_vec()).collect()
}

/// The records of a section as text, without owner and TTL, in the order of their text.
fn texts(records: &[Resource]) -> String {
    let mut texts: Vec<String> = records.iter().map(text).collect();
    texts.sort();
    texts.join(" ")
}

/// A record as text: the last octet of an address, else its RDATA.
fn text(record: &Resource) -> String {
    match record.rtype {
        Rtype::A | Rtype::AAAA => format!("{}:{:02x}", record.rtype, record.rdata.last().unwrap()),
        rtype => format!("{rtype}:{}", String::from_utf8_lossy(&record.rdata[1..]).escape_debug()),
    }
}

/// Asks once over UDP, and checks the answers.
fn check(view: &View, client: &str, name: &str, rtype: Rtype, expected: &str) {
    let reply = &ask(view, client, Transport::Udp, 7, &[query(name, rtype, None)])[0];
    assert_eq!(texts(&Message::from_wire(reply).unwrap().answers), expected, "{name} {rtype} from {client}");
}

#[test]
fn a_region_gets_its_records_and_others_get_the_default() {
    let view = view(true);
    for (client, expected) in
        [(US, "A:65"), (DE, "A:66"), (FR, "A:67"), (NOWHERE, "A:68 A:69"), ("2001:db8:de::1", "A:66")]
    {
        check(&view, client, "geo.c.test.", Rtype::A, expected);
    }
    check(&view, "::ffff:198.18.7.7", "geo.c.test.", Rtype::A, "A:65");
    check(&view, US, "plain.c.test.", Rtype::A, "A:01 A:02");
    check(&view, US, "only.c.test.", Rtype::A, "A:6f");
    check(&view, FR, "only.c.test.", Rtype::A, "A:6f A:70");
    check(&view, NOWHERE, "both.c.test.", Rtype::A, "A:7b");
    check(&view, US, "x.wild.c.test.", Rtype::TXT, "TXT:us");
    check(&view, DE, "x.wild.c.test.", Rtype::TXT, "TXT:all");
    check(&view, DE, "geo.c.test.", Rtype::AAAA, "");
}

#[test]
fn without_a_table_everybody_is_nowhere() {
    let view = view(false);
    for client in [US, DE, NOWHERE, "2001:db8:de::1"] {
        check(&view, client, "geo.c.test.", Rtype::A, "A:68 A:69");
        check(&view, client, "only.c.test.", Rtype::A, "A:6f A:70");
        check(&view, client, "both.c.test.", Rtype::A, "A:7b");
    }
}

/// How often each answer comes in so many queries of so many batches.
fn shares(view: &View, client: &str, name: &str, batches: u64, batch_len: usize) -> BTreeMap<String, f64> {
    let mut shares = BTreeMap::new();
    for batch in 0..batches {
        // As a worker makes them.
        let lot = batch.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ batch << 40;
        for reply in ask(view, client, Transport::Udp, lot, &vec![query(name, Rtype::A, None); batch_len]) {
            *shares.entry(texts(&Message::from_wire(&reply).unwrap().answers)).or_default() += 1.0;
        }
    }
    shares
}

#[test]
fn weights_are_shares_of_the_queries() {
    let view = view(true);
    for (batches, batch_len) in [(10_000, 1), (100, 100), (1, 10_000)] {
        for (client, name, expected) in [
            (NOWHERE, "ab.c.test.", [("A:5a", 9_000.0), ("A:0a", 1_000.0)]),
            (US, "both.c.test.", [("A:79", 2_500.0), ("A:7a", 7_500.0)]),
        ] {
            let shares = shares(&view, client, name, batches, batch_len);
            assert_eq!(shares.len(), 2, "one record at a time: {shares:?}");
            let chi_squared: f64 = expected.iter().map(|(text, count)| (shares[*text] - count).powi(2) / count).sum();
            // One degree of freedom: beyond 10.83 lies one in a thousand.
            assert!(chi_squared < 10.83, "{name} in {batches} batches: {shares:?}, chi squared {chi_squared:.2}");
        }
    }
}

#[test]
fn one_reply_is_of_one_piece() {
    let view = view(true);
    let mut seen = BTreeMap::new();
    for lot in 0..200_u64 {
        let lot = lot.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // Addresses of both families fall on the same part, and so does what a mail exchanger brings along.
        let any = &ask(&view, US, Transport::Tcp, lot, &[query("ab.c.test.", Rtype::ANY, None)])[0];
        let any = texts(&Message::from_wire(any).unwrap().answers);
        assert!(any == "A:0a AAAA:10" || any == "A:5a AAAA:90", "{any}");
        let mail = &ask(&view, US, Transport::Udp, lot, &[query("mail.c.test.", Rtype::MX, None)])[0];
        let mail = Message::from_wire(mail).unwrap();
        assert_eq!(mail.answers.len(), 1);
        assert_eq!(texts(&mail.additionals), any);
        *seen.entry(any).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    let alias = &ask(&view, DE, Transport::Udp, 1, &[query("alias.c.test.", Rtype::A, None)])[0];
    assert!(texts(&Message::from_wire(alias).unwrap().answers).starts_with("A:66 CNAME"));
}

/// The response code of a reply and the content of its subnet option.
fn subnet_of(reply: &[u8]) -> (u8, Option<Vec<u8>>) {
    let message = Message::from_wire(reply).unwrap();
    let mut subnets = message.edns.unwrap().options.into_iter().filter(|option| option.code == 8);
    let found = subnets.next().map(|option| option.value);
    assert_eq!(subnets.next(), None);
    (reply[3] & 15, found)
}

#[test]
fn the_subnet_of_a_trusted_resolver_counts_and_the_scope_says_for_whom() {
    let view = view(true);
    // (name, option, answers, scope)
    let cases: [(&str, &[u8], &str, u8); 16] = [
        ("geo.c.test.", &[0, 1, 24, 0, 198, 18, 7], "A:65", 16),
        ("geo.c.test.", &[0, 1, 24, 0, 198, 19, 7], "A:66", 17),
        ("geo.c.test.", &[0, 1, 8, 0, 198], "A:68 A:69", 12),
        ("geo.c.test.", &[0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 0xde, 1], "A:66", 48),
        // Addresses of IPv4 in the other family: the scope is in bits of that.
        ("geo.c.test.", &[0, 2, 120, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 18, 7], "A:65", 96 + 16),
        ("geo.c.test.", &[0, 2, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 19, 7, 9], "A:66", 96 + 17),
        ("geo.c.test.", &[0, 2, 104, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198], "A:68 A:69", 96 + 12),
        ("geo.c.test.", &[0, 2, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff], "A:68 A:69", 96 + 1),
        ("plain.c.test.", &[0, 2, 112, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 18], "A:01 A:02", 0),
        // Beside those: the answer does not hold for them.
        ("geo.c.test.", &[0, 2, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0], "A:68 A:69", 81),
        ("geo.c.test.", &[0, 2, 32, 0, 0x20, 1, 0xd, 0xb9], "A:68 A:69", 32),
        ("geo.c.test.", &[0, 1, 0, 0], "A:68 A:69", 0),
        ("geo.c.test.", &[0, 0, 0, 0], "A:68 A:69", 0),
        ("plain.c.test.", &[0, 1, 24, 0, 198, 18, 7], "A:01 A:02", 0),
        ("alias.c.test.", &[0, 1, 24, 0, 198, 18, 7], "A:65 CNAME:", 16),
        ("missing.c.test.", &[0, 1, 24, 0, 198, 18, 7], "", 0),
    ];
    for (name, option, expected, scope) in cases {
        let reply = &ask(&view, NOWHERE, Transport::Udp, 7, &[query(name, Rtype::A, Some(option))])[0];
        let answers = texts(&Message::from_wire(reply).unwrap().answers);
        assert!(
            answers.starts_with(expected) && answers.is_empty() == expected.is_empty(),
            "{name} {option:?}: {answers}"
        );
        let mut told = option.to_vec();
        told[3] = scope;
        assert_eq!(subnet_of(reply).1, Some(told), "{name}");
    }
    // Weights alone suit everybody.
    let reply =
        &ask(&view, NOWHERE, Transport::Udp, 7, &[query("ab.c.test.", Rtype::A, Some(&[0, 1, 24, 0, 198, 18, 7]))])[0];
    assert_eq!(subnet_of(reply), (0, Some(vec![0, 1, 24, 0, 198, 18, 7])));
}

#[test]
fn malformed_subnets_are_errors_where_subnets_are_looked_at() {
    let view = view(true);
    for option in [&[0, 1, 24, 0, 198, 18][..], &[0, 1, 24, 24, 198, 18, 7], &[0, 3, 8, 0, 1], &[]] {
        let query = [query("geo.c.test.", Rtype::A, Some(option))];
        assert_eq!(subnet_of(&ask(&view, NOWHERE, Transport::Udp, 7, &query)[0]), (1, None), "{option:?}");
        // Elsewhere nobody knows the option.
        let reply = &ask(&view, US, Transport::Udp, 7, &query)[0];
        assert_eq!(subnet_of(reply), (0, None));
        assert_eq!(texts(&Message::from_wire(reply).unwrap().answers), "A:65");
    }
    let reply =
        &ask(&view, US, Transport::Udp, 7, &[query("geo.c.test.", Rtype::A, Some(&[0, 1, 24, 0, 198, 19, 7]))])[0];
    assert_eq!(texts(&Message::from_wire(reply).unwrap().answers), "A:65", "the word of strangers is not taken");
    assert_eq!(subnet_of(reply), (0, None));
    let reply = &ask(&view, NOWHERE, Transport::Udp, 7, &[query("geo.c.test.", Rtype::A, None)])[0];
    assert_eq!(subnet_of(reply), (0, None), "what was not asked for does not come");
}
