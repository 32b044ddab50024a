//! Random content of zones, and random changes of it.
//!
//! Few labels make names meet: what is put somewhere lies above, below or beside what is there. All of it follows from the
//! seed.

use std::collections::BTreeSet;

use super::super::common::random::Random;
use super::world::{Edit, Labels, SERVER, TOP, World, Zone, text};

/// Labels that every door takes.
const LABELS: [&str; 10] = ["a", "b", "c", "d", "www", "mail", "_sip", "x-y", "0", "zz"];
/// Labels that only zone files can write.
const ODD_LABELS: [&str; 5] = ["\\000", "p\\.q", "\\200", "\\007\\255", "*"];
/// The ways a zone is signed.
const SIGNED: [&str; 3] = ["nsec", "nsec3", "opt-out"];
/// How many labels a name has below its apex at most.
const DEPTH_MAX: usize = 6;

/// How the first labels of zones begin that lie below others but the top one.
pub(crate) const KID: &str = "kid";

/// What is done to the zones at a time.
#[derive(Debug)]
pub(crate) enum Change {
    /// RRsets of a zone become others.
    Rrsets(usize, Vec<Edit>),
    /// A zone denies otherwise, or is not signed any more.
    Denial(usize, &'static str),
    /// The parent of a zone has its DS record, or no longer.
    Ds(usize),
}

/// A new zone at an apex, filled.
pub(crate) fn zone(world: &World, apex: Labels, parent: usize, random: &mut Random) -> Zone {
    let denial =
        random.pick(&["nsec", "nsec", "nsec", "nsec", "nsec3", "nsec3", "opt-out", "opt-out", "opt-out", "off"]);
    let mut zone = Zone::new(apex, denial, Some(parent));
    if random.below(20) == 0 {
        let edit = Edit { name: zone.apex.clone(), rtype: "DNAME", rdatas: vec![target(world, &zone, random)] };
        zone.put(&edit);
        return zone;
    }
    for _ in 0..random.below(16) {
        for edit in feature(world, &zone, random) {
            zone.put(&edit);
        }
    }
    zone
}

/// A zone of so many hosts, with a delegation here and there: what is called big is published in parts.
pub(crate) fn wide_zone(apex: Labels, denial: &'static str, hosts: usize) -> Zone {
    let mut zone = Zone::new(apex, denial, Some(TOP));
    for number in 0..hosts {
        let mut name = [&zone.apex[..], &[format!("n{number}")]].concat();
        if number % 8 == 0 {
            name.push("below".to_owned());
        }
        let (rtype, rdata) = match number % 4 {
            0 => ("NS", SERVER.to_owned()),
            _ => ("A", format!("192.0.2.{}", number % 256)),
        };
        zone.put(&Edit { name, rtype, rdatas: vec![rdata] });
    }
    zone
}

/// Something that can be done to the zones; `wide` is one that is done to more often.
pub(crate) fn change(world: &World, wide: usize, random: &mut Random) -> Change {
    let number = if random.below(4) == 0 { wide } else { 1 + random.below(world.zones.len() - 1) };
    let zone = &world.zones[number];
    let edits = match random.below(20) {
        0..7 => feature(world, zone, random),
        7..11 => removal(world, zone, random),
        11..13 => replacement(zone, random),
        13..15 => wildcard_switch(zone, random),
        15 => ds_switch(zone, random),
        16 => return Change::Denial(if random.below(12) == 0 { TOP } else { number }, random.pick(&SIGNED)),
        17 if !is_ds_given(world, number) => return Change::Denial(number, random.pick(&["off", "nsec", "opt-out"])),
        _ if zone.denial != "off" => return Change::Ds(number),
        _ => feature(world, zone, random),
    };
    Change::Rrsets(number, edits)
}

/// Whether its parent has DS records for a zone.
pub(crate) fn is_ds_given(world: &World, number: usize) -> bool {
    let Zone { apex, parent, .. } = &world.zones[number];
    let types = parent.and_then(|parent| world.zones[parent].rows.get(apex));
    types.is_some_and(|types| types.contains_key("DS"))
}

/// RRsets that belong together.
fn feature(world: &World, zone: &Zone, random: &mut Random) -> Vec<Edit> {
    let edit = |name: &Labels, rtype, rdatas| Edit { name: name.clone(), rtype, rdatas };
    let name = new_name(zone, 1 + random.below(2), random);
    match random.below(18) {
        0..5 => host(&name, random),
        5 | 6 => {
            let name = [&name[..], &["*".to_owned()]].concat();
            if random.below(3) == 0 {
                vec![edit(&name, "CNAME", vec![target(world, zone, random)])]
            } else {
                host(&name, random)
            }
        }
        7 => host(&new_name(zone, 4, random), random),
        8 | 9 => cut(&name, random),
        10 => {
            let mut edits = cut(&name, random);
            edits.push(edit(&name, "DS", vec![some_ds(random)]));
            edits
        }
        11 => vec![edit(&name, "DNAME", vec![target(world, zone, random)])],
        12..15 => vec![edit(&name, "CNAME", vec![target(world, zone, random)])],
        15 => {
            let texts = (0..1 + random.below(9)).map(|_| format!("\"{:0>250}\"", random.below(1_000_000)));
            vec![edit(&name, "TXT", vec![texts.collect::<Vec<_>>().join(" ")])]
        }
        16 => vec![edit(&name, "TYPE65400", vec![format!("\\# 2 {:04x}", random.below(65536))])],
        _ => {
            let mut edits = host(&zone.apex, random);
            edits.push(edit(&zone.apex, "CSYNC", vec![format!("{} 3 A NS AAAA", random.below(100))]));
            edits
        }
    }
}

/// Some RRsets of a host.
fn host(name: &Labels, random: &mut Random) -> Vec<Edit> {
    let types = ["A", "AAAA", "TXT", "MX", "SRV", "CAA"];
    let first = random.below(types.len());
    let count = 1 + random.below(2);
    let of = |random: &mut Random, rtype| Edit { name: name.clone(), rtype, rdatas: rdatas(rtype, random) };
    (first..first + count).map(|idx| of(random, types[idx % types.len()])).collect()
}

/// A delegation, with glue or without.
fn cut(name: &Labels, random: &mut Random) -> Vec<Edit> {
    let glue = [&name[..], &["ns".to_owned()]].concat();
    // Name servers have the names of hosts (RFC 1123 section 2.1).
    if random.below(2) == 0 || text(&glue).contains(['_', '*', '\\']) {
        return vec![Edit { name: name.clone(), rtype: "NS", rdatas: vec![SERVER.to_owned()] }];
    }
    let ns = Edit { name: name.clone(), rtype: "NS", rdatas: vec![text(&glue)] };
    vec![ns, Edit { name: glue, rtype: "A", rdatas: rdatas("A", random) }]
}

/// An RRset goes, or a whole delegation.
fn removal(world: &World, zone: &Zone, random: &mut Random) -> Vec<Edit> {
    let Some((name, rtype)) = some_rrset(zone, random) else { return feature(world, zone, random) };
    if world.at(&name).is_some() {
        return feature(world, zone, random);
    }
    let gone = |rtype: &'static str| Edit { name: name.clone(), rtype, rdatas: Vec::new() };
    if rtype == "NS" { vec![gone("NS"), gone("DS")] } else { vec![gone(rtype)] }
}

/// An RRset gets other records.
fn replacement(zone: &Zone, random: &mut Random) -> Vec<Edit> {
    match some_rrset(zone, random) {
        Some((name, rtype @ ("A" | "AAAA" | "TXT" | "MX" | "SRV" | "CAA"))) => {
            vec![Edit { name, rtype, rdatas: rdatas(rtype, random) }]
        }
        _ => host(&new_name(zone, 1, random), random),
    }
}

/// A wildcard comes or goes.
fn wildcard_switch(zone: &Zone, random: &mut Random) -> Vec<Edit> {
    let mut name = new_name(zone, 0, random);
    name.push("*".to_owned());
    match zone.rows.get(&name) {
        Some(types) => types.keys().map(|rtype| Edit { name: name.clone(), rtype, rdatas: Vec::new() }).collect(),
        None => host(&name, random),
    }
}

/// A delegation that nobody serves gets a DS record, or loses it; a new one if there is none.
fn ds_switch(zone: &Zone, random: &mut Random) -> Vec<Edit> {
    let cuts = zone.rows.iter().filter(|(name, types)| types.contains_key("NS") && !is_kid(name));
    let cuts: Vec<_> = cuts.collect();
    let Some((name, types)) = cuts.get(random.below(cuts.len().max(1))) else {
        return cut(&new_name(zone, 1, random), random);
    };
    let rdatas = if types.contains_key("DS") { Vec::new() } else { vec![some_ds(random)] };
    vec![Edit { name: (*name).clone(), rtype: "DS", rdatas }]
}

/// Whether a name is a zone of ours below another one that is not the top.
fn is_kid(name: &Labels) -> bool {
    name.last().is_some_and(|label| label.starts_with(KID))
}

/// One of the RRsets of a zone.
fn some_rrset(zone: &Zone, random: &mut Random) -> Option<(Labels, &'static str)> {
    let (name, types) = zone.rows.iter().nth(random.below(zone.rows.len().max(1)))?;
    let rtype = types.keys().nth(random.below(types.len()))?;
    Some((name.clone(), *rtype))
}

/// A name with up to so many new labels below the apex or a name that is there.
fn new_name(zone: &Zone, count_max: usize, random: &mut Random) -> Labels {
    let mut name = match some_rrset(zone, random) {
        Some((name, _)) if random.below(2) == 0 => name,
        _ => zone.apex.clone(),
    };
    let count = if count_max > 2 { count_max } else { random.below(count_max + 1) };
    let must_grow = (name == zone.apex && count_max > 0) || is_kid(&name);
    for _ in 0..count.max(usize::from(must_grow)) {
        if name.len() < zone.apex.len() + DEPTH_MAX || is_kid(&name) {
            name.push(label(random));
        }
    }
    name
}

/// A label.
pub(crate) fn label(random: &mut Random) -> String {
    let odd = random.below(16) == 0;
    let label = if odd { random.pick(&ODD_LABELS) } else { random.pick(&LABELS) };
    label.to_owned()
}

/// Where an alias leads: to something in some zone, or to nothing there.
fn target(world: &World, own: &Zone, random: &mut Random) -> String {
    let zone = match random.below(world.zones.len()) {
        TOP => own,
        number => &world.zones[number],
    };
    let target = match some_rrset(zone, random) {
        Some((name, _)) if random.below(4) > 0 => text(&name),
        _ => text(&[&zone.apex[..], &[label(random)]].concat()),
    };
    // The API takes no escapes there.
    if target.contains('\\') { text(&zone.apex) } else { target }
}

/// Records of a type, as the server writes them.
fn rdatas(rtype: &str, random: &mut Random) -> Vec<String> {
    let number = random.below(256);
    let one = |number: usize| match rtype {
        "A" => format!("192.0.2.{number}"),
        "AAAA" => format!("2001:db8::{:x}", number + 1),
        "MX" => format!("{number} {SERVER}"),
        "SRV" => format!("0 {number} 5060 {SERVER}"),
        "CAA" => format!("0 issue \"ca{number}.test\""),
        _ => format!("\"t{number}\""),
    };
    let all: BTreeSet<String> = (0..1 + random.below(3)).map(|step| one((number + step * 7) % 256)).collect();
    all.into_iter().collect()
}

/// A DS record of a key that nobody has.
fn some_ds(random: &mut Random) -> String {
    let digest: String = random.octets(32).iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{} 13 2 {digest}", random.word())
}
