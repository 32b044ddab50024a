//! All small zones: which owners, types and targets they have, made from numbers.
//!
//! A [`Shape`] is a zone without its apex. Shapes that differ only by exchanging the labels `a` and `b` give the same
//! zone with other names, so one of each pair is made. Everything is a function of the level and the seed.

use crate::model::{A, CNAME, DNAME, DS, Label, NS, Name, Rdata, Record, SOA, Zone};

/// The types at an owner, together what a zone may have there: CNAME stands alone (RFC 1034 section 3.6.2), a wildcard
/// is not delegated (RFC 4592 section 4.2).
const TYPE_SETS: [&[u16]; 13] = [
    &[A],
    &[CNAME],
    &[DNAME],
    &[A, DNAME],
    &[NS],
    &[DS],
    &[A, NS],
    &[NS, DS],
    &[A, NS, DS],
    &[NS, DNAME],
    &[A, NS, DNAME],
    &[NS, DS, DNAME],
    &[A, NS, DS, DNAME],
];
/// How many of [`TYPE_SETS`] a wildcard may have.
const WILDCARD_SETS: usize = 4;
/// How many kinds of targets a CNAME or DNAME has, see [`Owner::target`].
const TARGETS: u8 = 5;
/// The labels of owners.
const LABELS: [&[u8]; 3] = [b"a", b"b", b"*"];
/// How deep owners are below the apex.
const DEPTH_MAX: usize = 3;

/// What an owner has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Its labels below the apex.
    pub(crate) labels: Name,
    /// Its types, an index into [`TYPE_SETS`].
    set: usize,
    /// Where its CNAME or DNAME leads.
    target: u8,
}

/// The owners of a zone besides its apex.
pub(crate) type Shape = Vec<Owner>;

/// A small source of numbers that look random (xorshift).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).expect("53 bits fit") % bound
    }
}

/// All names of 1 to `depth` labels.
pub(crate) fn names(labels: &[&[u8]], depth: usize) -> Vec<Name> {
    let mut all: Vec<Name> = Vec::new();
    let mut level: Vec<Name> = vec![Name::new()];
    for _ in 0..depth {
        let longer =
            |name: &Name| labels.iter().map(|label| [&[Label::new(label)], name.as_slice()].concat()).collect();
        level = level.iter().flat_map(|name| -> Vec<Name> { longer(name) }).collect();
        all.extend(level.iter().cloned());
    }
    all
}

/// Whether a name is a wildcard.
fn is_wildcard(name: &[Label]) -> bool {
    name.first().is_some_and(|label| *label == Label::new(b"*"))
}

/// What an owner may have: all sets of types, with all kinds of targets where they have one. `targets` are those that
/// make a difference.
fn choices<'n>(labels: &'n Name, targets: &'n [u8]) -> impl Iterator<Item = Owner> + 'n {
    let sets = if is_wildcard(labels) { WILDCARD_SETS } else { TYPE_SETS.len() };
    (0..sets).flat_map(move |set| {
        let types = TYPE_SETS[set];
        // The DNAME of a cut is the child's, wherever it leads.
        let leads = (types.contains(&CNAME) || types.contains(&DNAME)) && !types.contains(&NS);
        let targets = if leads { targets } else { &targets[..1] };
        targets.iter().map(move |&target| Owner { labels: labels.clone(), set, target })
    })
}

/// Whether this shape stands for itself and the one with `a` and `b` exchanged.
fn is_first_of_pair(shape: &[&Name]) -> bool {
    let swapped = |label: &Label| match label.octets() {
        b"a" => Label::new(b"b"),
        b"b" => Label::new(b"a"),
        _ => *label,
    };
    let mut own: Vec<Name> = shape.iter().map(|name| (*name).clone()).collect();
    let mut other: Vec<Name> = own.iter().map(|name| name.iter().map(swapped).collect()).collect();
    own.sort();
    other.sort();
    own <= other
}

/// All shapes with one owner, anything at it.
pub(crate) fn ones() -> impl Iterator<Item = Shape> {
    let owners = names(&LABELS, DEPTH_MAX);
    owners
        .into_iter()
        .filter(|owner| is_first_of_pair(&[owner]))
        .flat_map(|owner| choices(&owner, &[0, 1, 2, 3, 4]).map(|owner| vec![owner]).collect::<Vec<_>>())
}

/// All shapes with two owners, anything at them.
pub(crate) fn twos() -> impl Iterator<Item = Shape> {
    let owners = names(&LABELS, DEPTH_MAX);
    let pairs = (0..owners.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
    let pairs = pairs.map(move |(first, second)| (owners[first].clone(), owners[second].clone()));
    pairs.filter(|(first, second)| is_first_of_pair(&[first, second])).flat_map(|(first, second)| {
        let seconds: Vec<Owner> = choices(&second, &[0, 1, 2, 3, 4]).collect();
        let firsts: Vec<Owner> = choices(&first, &[0, 1, 2, 3, 4]).collect();
        firsts
            .into_iter()
            .flat_map(move |first| seconds.iter().map(|second| vec![first.clone(), second.clone()]).collect::<Vec<_>>())
    })
}

/// All shapes with three owners of one type each; where aliases lead is drawn.
pub(crate) fn threes(seed: u64) -> impl Iterator<Item = Shape> {
    let owners = names(&LABELS, DEPTH_MAX);
    let count = owners.len();
    let triples = (0..count)
        .flat_map(move |third| (0..third).flat_map(move |second| (0..second).map(move |first| [first, second, third])));
    let triples = triples.map(move |triple| triple.map(|idx| owners[idx].clone()));
    let mut numbers = Numbers(seed);
    triples.filter(|triple| is_first_of_pair(&triple.each_ref())).flat_map(move |triple| {
        // A, CNAME, DNAME, NS are the sets of one type; DS goes with NS.
        let sets = |labels: &Name| if is_wildcard(labels) { vec![0, 1, 2] } else { vec![0, 1, 2, 4] };
        let mut shapes = Vec::new();
        for first in sets(&triple[0]) {
            for second in sets(&triple[1]) {
                for third in sets(&triple[2]) {
                    let owners = triple.iter().zip([first, second, third]);
                    let owner = |(labels, set): (&Name, usize)| {
                        let target = u8::try_from(numbers.below(usize::from(TARGETS))).unwrap_or(0);
                        Owner { labels: labels.clone(), set, target }
                    };
                    shapes.push(owners.map(owner).collect());
                }
            }
        }
        shapes
    })
}

/// `count` shapes of four owners, all drawn.
pub(crate) fn fours(seed: u64, count: usize) -> impl Iterator<Item = Shape> {
    let owners = names(&LABELS, DEPTH_MAX);
    let mut numbers = Numbers(seed);
    (0..count).map(move |_| {
        let mut shape = Shape::new();
        while shape.len() < 4 {
            let labels = owners[numbers.below(owners.len())].clone();
            if shape.iter().any(|owner| owner.labels == labels) {
                continue;
            }
            let sets = if is_wildcard(&labels) { WILDCARD_SETS } else { TYPE_SETS.len() };
            let set = numbers.below(sets);
            let target = u8::try_from(numbers.below(usize::from(TARGETS))).unwrap_or(0);
            shape.push(Owner { labels, set, target });
        }
        shape
    })
}

/// Names to ask for, below the apex: all of the owners' labels to depth 4, and names with the label `c`, which no zone
/// has. Below a name that does not exist nothing does, so one and two labels there stand for all.
pub(crate) fn qnames() -> Vec<Name> {
    let mut all = vec![Name::new()];
    all.extend(names(&LABELS, DEPTH_MAX + 1));
    let short: Vec<Name> = all.iter().filter(|name| name.len() <= DEPTH_MAX).cloned().collect();
    for name in short {
        let missing = [&[Label::new(b"c")], name.as_slice()].concat();
        if name.len() < DEPTH_MAX {
            all.extend(LABELS.iter().chain(&[b"c".as_slice()]).map(|label| [&[Label::new(label)], &*missing].concat()));
        }
        all.push(missing);
    }
    all
}

/// The zone `other.test.`, where aliases lead to from the zones of shapes.
pub(crate) fn other_zone() -> Zone {
    let apex = vec![Label::new(b"other"), Label::new(b"test")];
    let mut zone = Zone { records: apex_records(&apex, 0), apex };
    for (owner, last) in [("a", 1), ("*.b", 2)] {
        let owner = [owner.split('.').map(|label| Label::new(label.as_bytes())).collect(), zone.apex.clone()].concat();
        zone.records.push(Record { owner, rtype: A, ttl_secs: 77, rdata: Rdata::Octets(vec![192, 0, 2, last]) });
    }
    zone
}

/// SOA and NS of an apex; either the TTL of the SOA or its MINIMUM is the less.
fn apex_records(apex: &Name, number: usize) -> Vec<Record> {
    let server = vec![Label::new(b"ns"), Label::new(b"elsewhere")];
    let mut soa = Vec::new();
    crate::message::push_name(&mut soa, &server);
    crate::message::push_name(&mut soa, &server);
    let (ttl_secs, minimum) = if number.is_multiple_of(2) { (300, 120) } else { (100, 240) };
    for field in [1u32, 7200, 900, 1_209_600, minimum] {
        soa.extend_from_slice(&field.to_be_bytes());
    }
    vec![
        Record { owner: apex.clone(), rtype: SOA, ttl_secs, rdata: Rdata::Octets(soa) },
        Record { owner: apex.clone(), rtype: NS, ttl_secs: 400, rdata: Rdata::Name(server) },
    ]
}

/// The zone of a shape.
pub(crate) fn zone(shape: &Shape, apex: &Name, number: usize) -> Zone {
    let mut records = apex_records(apex, number);
    for (idx, owner) in shape.iter().enumerate() {
        // The other owner that this one knows of; an only owner knows the apex.
        let other = if shape.len() > 1 { shape[(idx + 1) % shape.len()].labels.as_slice() } else { &[] };
        let own = [owner.labels.as_slice(), apex].concat();
        for &rtype in TYPE_SETS[owner.set] {
            let ttl_secs = 1000 + 100 * u32::try_from(idx).unwrap_or(0) + u32::from(rtype);
            let last = u8::try_from(idx).unwrap_or(0);
            let rdatas = match rtype {
                A => vec![Rdata::Octets(vec![192, 0, 2, 10 + last]), Rdata::Octets(vec![192, 0, 2, 20 + last])],
                DS => vec![Rdata::Octets([[0, 1, 13, 2].as_slice(), &[last; 32]].concat())],
                // In-domain, sibling and foreign servers, with and without addresses.
                NS => vec![
                    Rdata::Name(own.clone()),
                    Rdata::Name([other, apex].concat()),
                    Rdata::Name(vec![Label::new(b"ns"), Label::new(b"elsewhere")]),
                ],
                _ => vec![Rdata::Name(owner.target(rtype, other, apex))],
            };
            for (more, rdata) in (0..).zip(rdatas) {
                // TTLs that differ within an RRset: the least counts.
                records.push(Record { owner: own.clone(), rtype, ttl_secs: ttl_secs + more, rdata });
            }
        }
    }
    records.dedup_by(|b, a| a.owner == b.owner && a.rtype == b.rtype && a.rdata == b.rdata);
    Zone { apex: apex.clone(), records }
}

impl Owner {
    /// Where a CNAME or DNAME of this owner leads.
    fn target(&self, rtype: u16, other: &[Label], apex: &[Label]) -> Name {
        let below = |label: &[u8], name: &[Label]| [&[Label::new(label)], name, apex].concat();
        let elsewhere = [Label::new(b"other"), Label::new(b"test")];
        let parent = other.get(1..).unwrap_or(other);
        match (rtype, self.target) {
            // Another owner.
            (_, 0) => [other, apex].concat(),
            // Below another owner, or what it covers as a wildcard.
            (CNAME, 1) => below(b"c", if is_wildcard(other) { parent } else { other }),
            // Beside another owner: names below this one become names like it.
            (_, 1) => [parent, apex].concat(),
            // Itself.
            (_, 2) => [self.labels.as_slice(), apex].concat(),
            // Another zone that is served.
            (CNAME, 3) => [[Label::new(b"a")].as_slice(), &elsewhere].concat(),
            (_, 3) => elsewhere.to_vec(),
            // Below itself: a name that grows with every step if this is a DNAME.
            _ => below(b"b", &self.labels),
        }
    }
}
