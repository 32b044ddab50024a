//! What a validating resolver should answer, from the model: RCODE, answer section, and whether all of it is proved.
//!
//! Plain code from RFC 1034 section 4.3.2, RFC 4592, RFC 6672, RFC 4035 section 3.1.4 and RFC 5155 section 6; it shares
//! nothing with the server. What only a referral could say has no answer here, and is not asked.

use std::collections::BTreeSet;

use snapshot::dns::message::Rcode;

use super::world::{Labels, Types, World, Zone, labels, text};

/// How many aliases in a row are followed: resolvers have limits of their own.
const ALIAS_COUNT_MAX: usize = 6;
/// The types that the server makes at each apex; what is in them is not known here.
pub(crate) const MADE: [&str; 3] = ["SOA", "NS", "DNSKEY"];

/// NODATA from a wildcard that is there for names below it alone.
const EMPTY_WILDCARD: &str = "empty wildcard";

/// What should be answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The RCODE.
    pub(crate) rcode: Rcode,
    /// The answer section: owner, type and RDATA, which is `*` where it is not known.
    pub(crate) answers: BTreeSet<String>,
    /// Whether it is proved: AD.
    pub(crate) secure: bool,
    /// What kinds of answer it is made of.
    pub(crate) kinds: Vec<&'static str>,
}

/// One name on the way to the answer.
struct Step {
    /// What it adds to the answer section.
    lines: Vec<String>,
    /// What kind of answer it is.
    kind: &'static str,
    /// Whether it is proved.
    secure: bool,
    /// Where an alias leads, or the RCODE.
    end: Result<Rcode, Labels>,
}

/// What should be answered; `None` if that cannot be told.
pub(crate) fn expected(world: &World, qname: &[String], qtype: &str) -> Option<Expected> {
    let mut expected = Expected { rcode: Rcode::NOERROR, answers: BTreeSet::new(), secure: true, kinds: Vec::new() };
    let mut name = qname.to_vec();
    for _ in 0..=ALIAS_COUNT_MAX {
        let step = step(world, &name, qtype)?;
        // Behind an alias Unbound 1.17 takes the proof that a wildcard is empty for one that it is not there as well, and of
        // two CNAMEs that come of one DNAME, which a message has only once, it knows the first alone.
        let is_empty_wildcard = step.kind == EMPTY_WILDCARD && !expected.kinds.is_empty();
        if is_empty_wildcard || (step.kind == "DNAME" && expected.answers.contains(&step.lines[0])) {
            return None;
        }
        expected.answers.extend(step.lines);
        expected.secure &= step.secure;
        expected.kinds.push(step.kind);
        match step.end {
            Err(target) => name = target,
            Ok(rcode) => return Some(Expected { rcode, ..expected }),
        }
    }
    None
}

/// What is answered about one name.
fn step(world: &World, name: &[String], qtype: &str) -> Option<Step> {
    let mut number = world.enclosing(name)?;
    // DS is the parent's (RFC 4035 section 3.1.4.1).
    if qtype == "DS" && world.zones[number].apex == name {
        number = world.zones[number].parent?;
    }
    let zone = &world.zones[number];
    let is_secure = world.is_secure(number);
    for len in zone.apex.len()..name.len() {
        let above = &name[..len];
        if zone.is_cut(above) {
            return None;
        }
        // Unbound takes the CNAME that comes with a DNAME for an answer to these, or asks for a DS record there.
        if let Some(target) = zone.rows.get(above).and_then(|types| types.get("DNAME")) {
            if matches!(qtype, "CNAME" | "DNAME") {
                return None;
            }
            let to = [labels(&target[0]), name[len..].to_vec()].concat();
            let lines = vec![line(above, "DNAME", &target[0]), line(name, "CNAME", &text(&to))];
            return Some(Step { lines, kind: "DNAME", secure: is_secure, end: Err(to) });
        }
    }
    if zone.is_cut(name) && qtype != "DS" {
        return None;
    }
    let step = if zone.exists(name) { exact(zone, name, qtype) } else { missing(zone, name, qtype) };
    // Of a name that begins with `*` and comes from a wildcard further up, Unbound 1.17 computes the signed name wrongly.
    if step.kind == "wildcard" && name.last().is_some_and(|label| label == "*") {
        return None;
    }
    // That a wildcard is empty it does not see from the NSEC of another wildcard.
    let is_wildcard = |owner: &Labels| owner.last().is_some_and(|label| label == "*");
    if step.kind == EMPTY_WILDCARD && zone.denial == "nsec" && zone.rows.keys().any(is_wildcard) {
        return None;
    }
    // Where the NSEC3 record with opt-out that covers a delegation happens to be that of the wildcard beside it, Unbound 1.17
    // takes a CNAME of that wildcard for one of the delegation.
    let is_spanned = step.kind == "no DS" && zone.denial == "opt-out" && !step.secure;
    if is_spanned && has_alias_beside(zone, name) {
        return None;
    }
    Some(Step { secure: step.secure && is_secure, ..step })
}

/// What is answered about a name that exists.
fn exact(zone: &Zone, name: &[String], qtype: &str) -> Step {
    let is_made = name == zone.apex && MADE.contains(&qtype) && (qtype != "DNSKEY" || zone.denial != "off");
    if is_made {
        return Step { lines: vec![line(name, qtype, "*")], kind: "apex", secure: true, end: Ok(Rcode::NOERROR) };
    }
    let kind = match qtype {
        "DS" => "DS",
        _ if name.last().is_some_and(|label| label == "*") => "wildcard itself",
        _ => "positive",
    };
    let denied = match qtype {
        "DS" if zone.is_cut(name) => "no DS",
        _ if zone.rows.contains_key(name) => "NODATA",
        _ if name == zone.apex => "NODATA",
        _ => "empty non-terminal",
    };
    let found = data(zone, name, name, qtype);
    match found {
        Some((lines, end)) => Step { lines, kind, secure: true, end },
        None => Step { lines: vec![], kind: denied, secure: is_in_chain(zone, name), end: Ok(Rcode::NOERROR) },
    }
}

/// What is answered about a name that does not exist: from a wildcard, or that it does not.
fn missing(zone: &Zone, name: &[String], qtype: &str) -> Step {
    let closest = (zone.apex.len()..name.len()).rev().find(|len| zone.exists(&name[..*len]));
    let closest = &name[..closest.unwrap_or(zone.apex.len())];
    let source = [closest, &["*".to_owned()]].concat();
    // All of these need a proof that the next closer name is not there, which in a span with opt-out nobody can give.
    let secure = zone.denial != "opt-out";
    if !zone.exists(&source) {
        return Step { lines: vec![], kind: "NXDOMAIN", secure, end: Ok(Rcode::NXDOMAIN) };
    }
    match data(zone, &source, name, qtype) {
        Some((lines, end)) => Step { lines, kind: "wildcard", secure, end },
        None if !zone.rows.contains_key(&source) => {
            Step { lines: vec![], kind: EMPTY_WILDCARD, secure, end: Ok(Rcode::NOERROR) }
        }
        None => Step { lines: vec![], kind: "wildcard NODATA", secure, end: Ok(Rcode::NOERROR) },
    }
}

/// Whether a wildcard that is a CNAME would stand for a name that were not in the chain.
fn has_alias_beside(zone: &Zone, name: &[String]) -> bool {
    let is_above = |len: &usize| *len == zone.apex.len() || is_in_chain(zone, &name[..*len]);
    let closest = (zone.apex.len()..name.len()).rev().find(is_above).unwrap_or(zone.apex.len());
    let wildcard = [&name[..closest], &["*".to_owned()]].concat();
    zone.rows.get(&wildcard).is_some_and(|types| types.contains_key("CNAME"))
}

/// The records of a type or the CNAME at a name, for an owner; and how it goes on.
fn data(zone: &Zone, at: &[String], owner: &[String], qtype: &str) -> Option<(Vec<String>, Result<Rcode, Labels>)> {
    let types = zone.rows.get(at)?;
    if let Some(rdatas) = types.get(qtype) {
        return Some((rdatas.iter().map(|rdata| line(owner, qtype, rdata)).collect(), Ok(Rcode::NOERROR)));
    }
    let target = types.get("CNAME")?.first()?;
    Some((vec![line(owner, "CNAME", target)], Err(labels(target))))
}

/// Whether a name is in the chain of its zone. With opt-out, what is only there for delegations without DS is not, unless it
/// is beside a wildcard: that none stands for what lies below it could not be shown else.
fn is_in_chain(zone: &Zone, name: &[String]) -> bool {
    let is_beside_wildcard = |at: &[String]| {
        let wildcard = [&at[..at.len() - 1], &["*".to_owned()]].concat();
        !zone.rows.contains_key(at) && zone.exists(&wildcard)
    };
    let counts = |(owner, types): (&Labels, &Types)| {
        let is_insecure = types.contains_key("NS") && !types.contains_key("DS");
        let keeps_some = || (name.len()..owner.len()).any(|len| is_beside_wildcard(&owner[..len]));
        !zone.is_occluded(owner) && (!is_insecure || keeps_some())
    };
    zone.denial != "opt-out" || name == zone.apex || zone.below(name).any(counts)
}

/// A line of an answer section.
pub(crate) fn line(owner: &[String], rtype: &str, rdata: &str) -> String {
    format!("{} {rtype} {rdata}", text(owner)).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::world::{Edit, SERVER};
    use super::*;

    /// A world of a top zone and one below it, which denies like this and has DS and these rows.
    fn world(denial: &'static str, rows: &[(&str, &'static str, &str)]) -> World {
        let mut world = World::default();
        world.add(Zone::new(labels("test."), "nsec", None));
        world.add(Zone { ds: Some("1 13 2 00".into()), ..Zone::new(labels("z.test."), denial, Some(0)) });
        for edit in world.delegation(1, true) {
            assert!(world.zones[0].put(&edit));
        }
        for (owner, rtype, rdata) in rows {
            let rdatas = vec![(*rdata).to_owned()];
            assert!(world.zones[1].put(&Edit { name: labels(owner), rtype, rdatas }));
        }
        world
    }

    #[test]
    fn the_model_answers_by_the_book() {
        let rows = [
            ("a.b.z.test.", "A", "192.0.2.1"),
            ("*.w.z.test.", "TXT", "\"x\""),
            ("cut.z.test.", "NS", SERVER),
            ("x.only.z.test.", "NS", SERVER),
            ("x.beside.w.z.test.", "NS", SERVER),
            ("d.z.test.", "DNAME", "b.z.test."),
            ("c.z.test.", "CNAME", "a.d.z.test."),
            ("e\\.f.z.test.", "CNAME", "nx.z.test."),
        ];
        for (qname, qtype, rcode, kinds, [nsec, opt_out]) in [
            ("a.b.z.test.", "A", "NOERROR", &["positive"][..], [true, true]),
            ("a.b.z.test.", "MX", "NOERROR", &["NODATA"], [true, true]),
            ("b.z.test.", "A", "NOERROR", &["empty non-terminal"], [true, true]),
            ("only.z.test.", "A", "NOERROR", &["empty non-terminal"], [true, false]),
            ("beside.w.z.test.", "A", "NOERROR", &["empty non-terminal"], [true, true]),
            ("y.beside.w.z.test.", "A", "NXDOMAIN", &["NXDOMAIN"], [true, false]),
            ("nx.z.test.", "A", "NXDOMAIN", &["NXDOMAIN"], [true, false]),
            ("p.q.w.z.test.", "TXT", "NOERROR", &["wildcard"], [true, false]),
            ("p.q.w.z.test.", "A", "NOERROR", &["wildcard NODATA"], [true, false]),
            ("*.w.z.test.", "TXT", "NOERROR", &["wildcard itself"], [true, true]),
            ("cut.z.test.", "DS", "NOERROR", &["no DS"], [true, false]),
            ("z.test.", "DS", "NOERROR", &["DS"], [true, true]),
            ("z.test.", "DNSKEY", "NOERROR", &["apex"], [true, true]),
            ("c.z.test.", "A", "NOERROR", &["positive", "DNAME", "positive"], [true, true]),
            ("e\\.f.z.test.", "A", "NXDOMAIN", &["positive", "NXDOMAIN"], [true, false]),
        ] {
            for (denial, secure) in [("nsec", nsec), ("nsec3", nsec), ("opt-out", opt_out), ("off", false)] {
                let found = expected(&world(denial, &rows), &labels(qname), qtype);
                if denial == "off" && matches!(qtype, "DS" | "DNSKEY") {
                    continue;
                }
                let found = found.unwrap();
                let seen = (found.rcode.to_string(), &found.kinds[..], found.secure);
                assert_eq!(seen, (rcode.to_owned(), kinds, secure), "{denial} {qname} {qtype}");
            }
        }
        for (qname, qtype) in [("cut.z.test.", "A"), ("below.cut.z.test.", "DS"), ("else.where.", "A")] {
            assert!(expected(&world("nsec", &rows), &labels(qname), qtype).is_none());
        }
    }
}
