//! The zones as they are meant to be: what was put into them, how they deny, and what their parents say of them.
//!
//! It knows nothing of servers and answers; names and RDATA are text. Invariant: no name has what cannot be beside a CNAME.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

/// Labels of a name in presentation format, that next to the root first: so a name stands before all below it.
pub(crate) type Labels = Vec<String>;
/// The RRsets of a name: RDATA in presentation format, by type.
pub(crate) type Types = BTreeMap<&'static str, Vec<String>>;

/// The zone above all others, whose key the resolver trusts.
pub(crate) const TOP: usize = 0;
/// The name server of all zones; of the model it is only known that it has one.
pub(crate) const SERVER: &str = "ns.zones.test.";

/// A name as text, with the final dot.
pub(crate) fn text(labels: &[String]) -> String {
    labels.iter().rev().flat_map(|label| [label.as_str(), "."]).collect()
}

/// The labels of an absolute name.
pub(crate) fn labels(text: &str) -> Labels {
    let (mut labels, mut label) = (Vec::new(), String::new());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '.' => labels.push(std::mem::take(&mut label)),
            '\\' => label.extend([c].into_iter().chain(chars.next())),
            _ => label.push(c),
        }
    }
    labels.reverse();
    labels
}

/// An RRset that is to take the place of the one of its name and type; without RDATA it goes.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    /// The owner.
    pub(crate) name: Labels,
    /// The type.
    pub(crate) rtype: &'static str,
    /// RDATA.
    pub(crate) rdatas: Vec<String>,
}

/// A zone.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    /// Its name.
    pub(crate) apex: Labels,
    /// How it denies: `nsec`, `nsec3`, `opt-out`, or `off` if it is not signed.
    pub(crate) denial: &'static str,
    /// What it holds but for what the server makes at the apex.
    pub(crate) rows: BTreeMap<Labels, Types>,
    /// The zone that delegates to it.
    pub(crate) parent: Option<usize>,
    /// RDATA of the DS record of its key, once it has one.
    pub(crate) ds: Option<String>,
}

impl Zone {
    /// One that has nothing yet.
    pub(crate) fn new(apex: Labels, denial: &'static str, parent: Option<usize>) -> Zone {
        Zone { apex, denial, rows: BTreeMap::new(), parent, ds: None }
    }

    /// Puts an RRset in place, if it can be there, and tells whether.
    pub(crate) fn put(&mut self, edit: &Edit) -> bool {
        let Edit { name, rtype, rdatas } = edit;
        if rdatas.is_empty() {
            let Some(types) = self.rows.get_mut(name) else { return false };
            let was_there = types.remove(rtype).is_some();
            if types.is_empty() {
                self.rows.remove(name);
            }
            return was_there;
        }
        let has = |rtype| self.rows.get(name).is_some_and(|types| types.contains_key(rtype));
        let is_apex = *name == self.apex;
        let is_wildcard = name.last().is_some_and(|label| label == "*");
        let fits = match *rtype {
            // What these mean at a wildcard no RFC says for sure (RFC 4592 sections 4.2 and 4.4).
            "DNAME" | "NS" if is_wildcard => false,
            "CNAME" => !is_apex && (has("CNAME") || !self.rows.contains_key(name)),
            "DNAME" => !has("CNAME") && !has("NS") && (!is_apex || self.rows.is_empty()),
            "NS" => !is_apex && !has("CNAME") && !has("DNAME"),
            "DS" => has("NS"),
            _ => !has("CNAME"),
        };
        if fits {
            self.rows.entry(name.clone()).or_default().insert(*rtype, rdatas.clone());
        }
        fits
    }

    /// What is at a name and below it.
    pub(crate) fn below<'z>(&'z self, name: &'z [String]) -> impl Iterator<Item = (&'z Labels, &'z Types)> {
        let from = (Bound::Included(name), Bound::Unbounded);
        self.rows.range::<[String], _>(from).take_while(move |(owner, _)| owner.starts_with(name))
    }

    /// Whether there is a name, if only above others.
    pub(crate) fn exists(&self, name: &[String]) -> bool {
        name == self.apex || self.below(name).next().is_some()
    }

    /// Whether it is delegated at a name.
    pub(crate) fn is_cut(&self, name: &[String]) -> bool {
        self.rows.get(name).is_some_and(|types| types.contains_key("NS"))
    }

    /// Whether a name lies below a zone cut or a DNAME, so that nobody sees what is there.
    pub(crate) fn is_occluded(&self, name: &[String]) -> bool {
        (self.apex.len()..name.len()).any(|len| {
            let types = self.rows.get(&name[..len]);
            types.is_some_and(|types| types.contains_key("NS") || types.contains_key("DNAME"))
        })
    }

    /// Its records as a zone file.
    pub(crate) fn file(&self) -> String {
        let mut file = String::from("$TTL 3600\n");
        for (owner, types) in &self.rows {
            for (rtype, rdatas) in types {
                for rdata in rdatas {
                    file.extend([&text(owner), " 3600 IN ", *rtype, " ", rdata, "\n"]);
                }
            }
        }
        file
    }
}

/// All zones.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// The zones; parents come before their children.
    pub(crate) zones: Vec<Zone>,
    /// The number of each, by its apex.
    index: HashMap<Labels, usize>,
}

impl World {
    /// Adds a zone; its parent does not delegate to it yet.
    pub(crate) fn add(&mut self, zone: Zone) {
        self.index.insert(zone.apex.clone(), self.zones.len());
        self.zones.push(zone);
    }

    /// The zone of an apex.
    pub(crate) fn at(&self, apex: &[String]) -> Option<usize> {
        self.index.get(apex).copied()
    }

    /// The zone with the longest apex that encloses a name.
    pub(crate) fn enclosing(&self, name: &[String]) -> Option<usize> {
        (0..=name.len()).rev().find_map(|len| self.at(&name[..len]))
    }

    /// Whether validators have a chain of trust down to a zone.
    pub(crate) fn is_secure(&self, zone: usize) -> bool {
        let Zone { apex, denial, parent, .. } = &self.zones[zone];
        let is_delegated_securely = |parent: usize| {
            let types = self.zones[parent].rows.get(apex);
            types.is_some_and(|types| types.contains_key("DS")) && self.is_secure(parent)
        };
        *denial != "off" && parent.is_none_or(is_delegated_securely)
    }

    /// What its parent says of a zone: that it is delegated to, and with which DS record, if it is signed and `secure`.
    pub(crate) fn delegation(&self, zone: usize, secure: bool) -> Vec<Edit> {
        let Zone { apex, ds, .. } = &self.zones[zone];
        let edit = |rtype, rdatas| Edit { name: apex.clone(), rtype, rdatas };
        let ds = ds.iter().filter(|_| secure).cloned().collect();
        vec![edit("NS", vec![SERVER.to_owned()]), edit("DS", ds)]
    }
}
