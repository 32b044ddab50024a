//! Writes little databases of places, for tests: the MaxMind DB format, version 2, with records of 24 bits.

use std::net::IpAddr;

/// A node: where its two branches lead.
type Branches = [Option<Branch>; 2];

/// Where a branch leads.
#[derive(Clone, Copy)]
enum Branch {
    /// To a node.
    Node(usize),
    /// To the data at a position.
    Data(usize),
}

/// A text (type 2).
fn text(value: &str) -> Vec<u8> {
    [&[2 << 5 | u8::try_from(value.len()).unwrap()], value.as_bytes()].concat()
}

/// A number of type 5 (16 bits), 6 (32 bits) or 9 (64 bits).
fn number(kind: u8, value: u64) -> Vec<u8> {
    let octets: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
    let len = u8::try_from(octets.len()).unwrap();
    let head = if kind < 8 { vec![kind << 5 | len] } else { vec![len, kind - 7] };
    [head, octets].concat()
}

/// A map (type 7).
fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let head = vec![7 << 5 | u8::try_from(entries.len()).unwrap()];
    entries.iter().fold(head, |map, (key, value)| [map, text(key), value.clone()].concat())
}

/// A record with the codes of country and continent. `r:` in front of the former makes it that of the registration; `f:` makes
/// the record flat, and so do `t:` with other names of the fields, and `n:` with names of places beside the codes; `a:` makes it
/// one of something else.
fn record(country: &str, continent: &str) -> Vec<u8> {
    let (form, code) = country.split_once(':').unwrap_or(("", country));
    match form {
        "f" => map(&[("country_code", text(code)), ("continent_code", text(continent))]),
        "t" => map(&[("country", text(code)), ("continent", text(continent))]),
        "n" => map(&[
            ("country", text("Some Country")),
            ("country_code", text(code)),
            ("continent", text("Some Continent")),
            ("continent_code", text(continent)),
        ]),
        "a" => map(&[("asn", text(code)), ("as_name", text(continent))]),
        _ => {
            let key = if form == "r" { "registered_country" } else { "country" };
            map(&[
                ("continent", map(&[("code", text(continent))])),
                (key, map(&[("iso_code", text(code)), ("geoname_id", number(6, 7))])),
            ])
        }
    }
}

/// A database of networks with what [`record`] says of them.
pub(crate) fn mmdb(networks: &[(&str, &str, &str)]) -> Vec<u8> {
    let mut nodes: Vec<Branches> = vec![[None; 2]];
    let mut data = Vec::new();
    for (network, country, continent) in networks {
        let (first, len) = network.split_once('/').unwrap();
        let (bits, len) = match (first.parse().unwrap(), len.parse::<usize>().unwrap()) {
            (IpAddr::V4(first), len) => (u128::from(first.to_bits()), len + 96),
            (IpAddr::V6(first), len) => (first.to_bits(), len),
        };
        let place = Branch::Data(data.len());
        data.extend(record(country, continent));
        let mut node = 0;
        for depth in 0..len {
            let bit = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == len {
                nodes[node][bit] = Some(place);
            } else if let Some(Branch::Node(next)) = nodes[node][bit] {
                node = next;
            } else {
                nodes.push([None; 2]);
                let next = nodes.len() - 1;
                nodes[node][bit] = Some(Branch::Node(next));
                node = next;
            }
        }
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for branch in nodes.iter().flatten() {
        let value = match branch {
            None => count,
            Some(Branch::Node(node)) => *node,
            Some(Branch::Data(at)) => count + 16 + at,
        };
        file.extend_from_slice(&u32::try_from(value).unwrap().to_be_bytes()[1..]);
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    file.extend(map(&[
        ("binary_format_major_version", number(5, 2)),
        ("binary_format_minor_version", number(5, 0)),
        ("build_epoch", number(9, 1_800_000_000)),
        ("database_type", text("Test-Country")),
        ("description", map(&[("en", text("of a test"))])),
        ("ip_version", number(5, 6)),
        ("languages", vec![1, 4, 2 << 5 | 2, b'e', b'n']),
        ("node_count", number(6, count as u64)),
        ("record_size", number(5, 24)),
    ]));
    file
}
