//! Small signed zones, drawn, and what they hold, told by going through all their names.
//!
//! Chains are made by plain code from RFC 4034 section 4, RFC 4035 section 2.3 and RFC 5155 section 7.1; signatures have the
//! right shape and nothing in them. A zone's truth is that of RFC 1034 section 4.3.2, RFC 4592 and RFC 6672, found without
//! any index.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use snapshot::dns::name::Name;
use snapshot::dns::nsec3::{HASH_LEN, Params, text};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, Zone, ZoneBuilder};

use super::judge::{End, FOLLOWED_MAX};
use crate::packets::{self, Random};

pub(super) mod rtypes {
    //! The types that zones have, by number, as bitmaps and questions want them.

    /// An IPv4 address.
    pub(crate) const A: u16 = 1;
    /// A name server.
    pub(crate) const NS: u16 = 2;
    /// An alias.
    pub(crate) const CNAME: u16 = 5;
    /// The start of a zone.
    pub(crate) const SOA: u16 = 6;
    /// A mail exchange.
    pub(crate) const MX: u16 = 15;
    /// Text.
    pub(crate) const TXT: u16 = 16;
    /// A redirected subtree.
    pub(crate) const DNAME: u16 = 39;
    /// The digest of a key below a cut.
    pub(crate) const DS: u16 = 43;
    /// A signature.
    pub(crate) const RRSIG: u16 = 46;
    /// The next owner.
    pub(crate) const NSEC: u16 = 47;
    /// A key.
    pub(crate) const DNSKEY: u16 = 48;
    /// The next hash.
    pub(crate) const NSEC3: u16 = 50;
    /// How names are hashed.
    pub(crate) const NSEC3PARAM: u16 = 51;
}
use rtypes::{A, CNAME, DNAME, DNSKEY, DS, MX, NS, NSEC, NSEC3, NSEC3PARAM, RRSIG, SOA, TXT};

/// Apexes; the root is drawn less often.
const APEXES: [&str; 7] = ["test", "z.test", "a.test", "a", "b.a.test", "test", ""];
/// Types as they are drawn: aliases and cuts, where the difficulties are, come up more often.
const RTYPES: [u16; 12] = [A, A, TXT, MX, CNAME, CNAME, DNAME, NS, NS, NS, A, TXT];
/// Labels as they are drawn.
const LABELS: [&[u8]; 9] = [b"a", b"a", b"a", b"b", b"b", b"b", b"*", b"*", b"c"];
/// Depths of owners below the apex.
const DEPTHS: [usize; 12] = [0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4];
/// The TTL of everything, in seconds.
const TTL_SECS: u32 = 300;

/// A name as a key in canonical order (RFC 4034 section 6.1): its labels from the root down, in lower case, each ended by a
/// zero octet, which is in no label here. A name is below another if its key begins with that of the other.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path(Vec<u8>);

impl Path {
    /// The path of a name in wire format.
    pub(super) fn of_wire(wire: &[u8]) -> Path {
        let mut labels = Vec::new();
        let mut rest = wire;
        while let [len, tail @ ..] = rest
            && *len > 0
        {
            let (label, tail) = tail.split_at(usize::from(*len));
            labels.push(label);
            rest = tail;
        }
        let mut key = Vec::with_capacity(wire.len());
        for label in labels.iter().rev() {
            key.extend(label.iter().map(u8::to_ascii_lowercase));
            key.push(0);
        }
        Path(key)
    }

    /// The path of a name in text.
    pub(super) fn of_text(text: &str) -> Path {
        Path::of_wire(&packets::name(text))
    }

    /// The name in wire format.
    pub(super) fn wire(&self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(self.0.len() + 1);
        for label in self.0.split(|octet| *octet == 0).rev().filter(|label| !label.is_empty()) {
            wire.push(u8::try_from(label.len()).unwrap());
            wire.extend_from_slice(label);
        }
        wire.push(0);
        wire
    }

    /// The name as the product has it.
    fn name(&self) -> Name {
        Name::from_wire(&self.wire()).unwrap()
    }

    /// How many labels.
    pub(super) fn labels(&self) -> usize {
        self.0.iter().filter(|octet| **octet == 0).count()
    }

    /// The name of its last `labels` labels.
    pub(super) fn suffix(&self, labels: usize) -> Path {
        let ends = self.0.iter().enumerate().filter(|(_, octet)| **octet == 0).map(|(at, _)| at + 1);
        let len = [0].into_iter().chain(ends).nth(labels).unwrap();
        Path(self.0[..len].to_vec())
    }

    /// A name below it.
    pub(super) fn child(&self, label: &[u8]) -> Path {
        Path([&self.0, label, &[0]].concat())
    }

    /// The wildcard below it.
    pub(super) fn wildcard(&self) -> Path {
        self.child(b"*")
    }

    /// Whether its first label is an asterisk.
    pub(super) fn is_wildcard(&self) -> bool {
        self.0.as_slice() == b"*\0" || self.0.ends_with(b"\0*\0")
    }

    /// Whether it is this name or below it.
    pub(super) fn is_within(&self, other: &Path) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Whether it is below this name.
    pub(super) fn is_below(&self, other: &Path) -> bool {
        self.is_within(other) && self != other
    }

    /// Itself with the ancestor `from` replaced by `to` (RFC 6672 section 2.2).
    pub(super) fn moved(&self, from: &Path, to: &Path) -> Path {
        Path([&to.0, &self.0[from.0.len()..]].concat())
    }

    /// All names above it, down from `top`.
    pub(super) fn above(&self, top: &Path) -> impl Iterator<Item = Path> {
        (top.labels()..self.labels()).map(|labels| self.suffix(labels))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// How a zone denies.
pub(super) enum Chain {
    /// By NSEC.
    Nsec,
    /// By NSEC3.
    Nsec3 {
        /// The fields that NSEC3 and NSEC3PARAM share, without flags.
        iterations: u16,
        /// The salt.
        salt: Vec<u8>,
        /// Whether insecure delegations may be left out, and which are: cuts that are not in `hashed`.
        opt_out: bool,
    },
}

/// A zone as it was drawn.
pub(super) struct Drawn {
    /// The apex.
    pub(super) apex: Path,
    /// Its owners; each has one record of a type.
    pub(super) nodes: BTreeMap<Path, BTreeMap<u16, Vec<u8>>>,
    /// How it denies.
    pub(super) chain: Chain,
    /// Names that exist: that have something or are above something, and are not below a cut or a DNAME (RFC 4592 section
    /// 2.2).
    existing: BTreeSet<Path>,
    /// Names with an NSEC3 of their own.
    hashed: BTreeSet<Path>,
}

/// What a zone has to say about a question.
pub(super) struct Truth {
    /// The qname and the names that aliases lead to.
    pub(super) names: Vec<Path>,
    /// What comes of the last one.
    pub(super) end: End,
    /// Whether no record of the zone can prove that. Opt-out leaves out names that lead to unsigned delegations only (RFC
    /// 5155 section 7.1). For a name below such a one a proof starts at a name above, and that one may have a wildcard.
    pub(super) is_unprovable: bool,
}

/// What a name alone comes to.
enum Found {
    /// An alias, to this name.
    Alias(Path),
    /// An end.
    End(End),
}

impl Drawn {
    /// Draws a zone.
    pub(super) fn draw(seed: u64) -> Drawn {
        let mut random = Random(seed);
        let apex = Path::of_text(APEXES[random.below(APEXES.len())]);
        let chain = match random.below(5) {
            0 | 1 => Chain::Nsec,
            kind => Chain::Nsec3 {
                iterations: u16::try_from(random.below(4)).unwrap(),
                salt: (0..random.below(4)).map(|_| random.octet()).collect(),
                opt_out: kind > 2,
            },
        };
        let (existing, hashed) = (BTreeSet::new(), BTreeSet::new());
        let mut drawn = Drawn { nodes: BTreeMap::new(), apex, chain, existing, hashed };
        let server = Path::of_text("ns.elsewhere").wire();
        let top = drawn.nodes.entry(drawn.apex.clone()).or_default();
        top.insert(SOA, [server.as_slice(), &server, &[0, 0, 0, 1].repeat(4), &TTL_SECS.to_be_bytes()].concat());
        top.insert(NS, server);
        top.insert(DNSKEY, vec![1, 1, 3, 8, 0, 0, 0]);
        if let Chain::Nsec3 { iterations, salt, .. } = &drawn.chain {
            top.insert(NSEC3PARAM, hash_fields(0, *iterations, salt));
        }
        for _ in 0..2 + random.below(5) {
            let owner = drawn.name(&mut random);
            let rtype = RTYPES[random.below(RTYPES.len())];
            drawn.add(&owner, rtype, &mut random);
        }
        let visible = drawn.nodes.keys().filter(|owner| drawn.is_visible(owner));
        let with_above = |owner: &Path| owner.above(&drawn.apex).chain([owner.clone()]).collect::<Vec<_>>();
        drawn.existing = visible.flat_map(with_above).collect();
        drawn.choose_hashed(&mut random);
        drawn
    }

    /// Draws a name in the zone.
    fn name(&self, random: &mut Random) -> Path {
        let depth = DEPTHS[random.below(DEPTHS.len())];
        (0..depth).fold(self.apex.clone(), |name, _| name.child(LABELS[random.below(LABELS.len())]))
    }

    /// Adds a record, unless it cannot be beside what is there.
    fn add(&mut self, owner: &Path, rtype: u16, random: &mut Random) {
        let target = match random.below(4) {
            0 => Path::of_text("elsewhere"),
            _ => self.name(random),
        };
        let has = |rtype: u16| self.nodes.get(owner).is_some_and(|types| types.contains_key(&rtype));
        let fits = match rtype {
            CNAME => !self.nodes.contains_key(owner),
            DNAME => !has(CNAME) && !owner.is_wildcard() && (!has(NS) || *owner == self.apex),
            NS => !has(CNAME) && !has(DNAME) && !owner.is_wildcard() && *owner != self.apex,
            _ => !has(CNAME),
        };
        // A redirection into itself would grow without end.
        if !fits || rtype == DNAME && target.is_within(owner) {
            return;
        }
        let types = self.nodes.entry(owner.clone()).or_default();
        match rtype {
            A => types.insert(A, vec![192, 0, 2, random.octet()]),
            TXT => types.insert(TXT, vec![1, b'x']),
            MX => types.insert(MX, [&[0, 1], target.wire().as_slice()].concat()),
            NS => {
                let server = owner.child(b"a");
                types.insert(NS, server.wire());
                if random.below(2) == 0 {
                    types.insert(DS, [&[0, 1, 8, 2][..], &[7; 32]].concat());
                }
                let glue = self.nodes.entry(server).or_default();
                if glue.contains_key(&CNAME) { None } else { glue.insert(A, vec![192, 0, 2, 53]) }
            }
            _ => types.insert(rtype, target.wire()),
        };
    }

    /// Whether a name is a zone cut.
    fn is_cut(&self, name: &Path) -> bool {
        *name != self.apex && self.nodes.get(name).is_some_and(|types| types.contains_key(&NS))
    }

    /// Whether a name has a DNAME.
    fn has_dname(&self, name: &Path) -> bool {
        self.nodes.get(name).is_some_and(|types| types.contains_key(&DNAME))
    }

    /// Whether a name is in the zone: not below a cut or a DNAME.
    fn is_visible(&self, name: &Path) -> bool {
        name.above(&self.apex).all(|above| !self.is_cut(&above) && !self.has_dname(&above))
    }

    /// Chooses the names that get an NSEC3 (RFC 5155 section 7.1).
    fn choose_hashed(&mut self, random: &mut Random) {
        let Chain::Nsec3 { opt_out, .. } = self.chain else { return };
        for (owner, types) in &self.nodes {
            // With opt-out, insecure delegations may be left out and need not be (RFC 5155 section 6).
            let is_insecure = self.is_cut(owner) && !types.contains_key(&DS);
            if !self.is_visible(owner) || opt_out && is_insecure && random.below(4) > 0 {
                continue;
            }
            self.hashed.extend(owner.above(&self.apex));
            self.hashed.insert(owner.clone());
        }
    }

    /// Types of a visible owner that the zone speaks for: at a cut those of the parent (RFC 4035 section 2.3).
    fn own_types(&self, owner: &Path) -> Vec<u16> {
        let Some(types) = self.nodes.get(owner) else { return Vec::new() };
        let is_cut = self.is_cut(owner);
        types.keys().copied().filter(|rtype| !is_cut || matches!(*rtype, NS | DS)).collect()
    }

    /// Types of an owner that are signed.
    fn signed_types(&self, owner: &Path) -> Vec<u16> {
        let is_cut = self.is_cut(owner);
        self.own_types(owner).into_iter().filter(|rtype| !is_cut || *rtype == DS).collect()
    }

    /// The zone with its chain and signatures.
    pub(super) fn signed(&self) -> Zone {
        let mut records: Vec<(Path, u16, Vec<u8>)> = Vec::new();
        for (owner, types) in &self.nodes {
            records.extend(types.iter().map(|(rtype, rdata)| (owner.clone(), *rtype, rdata.clone())));
            if self.is_visible(owner) {
                let signed = self.signed_types(owner).into_iter();
                records.extend(signed.map(|rtype| (owner.clone(), RRSIG, self.signature(owner, rtype))));
            }
        }
        for (owner, rtype, rdata) in self.denials() {
            records.push((owner.clone(), RRSIG, self.signature(&owner, rtype)));
            records.push((owner, rtype, rdata));
        }
        let mut builder = ZoneBuilder::new(self.apex.name());
        for (owner, rtype, rdata) in &records {
            let name = owner.name();
            let (owner, rtype) = (name.as_ref(), Rtype(*rtype));
            builder.push(Record { owner, rtype, ttl_secs: TTL_SECS, rdata, line: 0 }).unwrap();
        }
        builder.finish()
    }

    /// The RDATA of a signature (RFC 4034 section 3.1).
    fn signature(&self, owner: &Path, rtype: u16) -> Vec<u8> {
        let labels = u8::try_from(owner.labels() - usize::from(owner.is_wildcard())).unwrap();
        let times = [0x7f, 0, 0, 0, 0x60, 0, 0, 0];
        let head = [&rtype.to_be_bytes()[..], &[8, labels], &TTL_SECS.to_be_bytes(), &times, &[0, 1]].concat();
        [head.as_slice(), &self.apex.wire(), &[5; 8]].concat()
    }

    /// The chain.
    fn denials(&self) -> Vec<(Path, u16, Vec<u8>)> {
        let (iterations, salt, opt_out) = match &self.chain {
            Chain::Nsec => return self.nsec(),
            Chain::Nsec3 { iterations, salt, opt_out } => (*iterations, salt, *opt_out),
        };
        let params = Params { iterations, salt };
        let hashes: BTreeMap<[u8; HASH_LEN], &Path> =
            self.hashed.iter().map(|name| (params.hash(&name.wire()), name)).collect();
        let following = hashes.keys().cycle().skip(1);
        let record = |((hash, name), next): ((&[u8; HASH_LEN], &&Path), &[u8; HASH_LEN])| {
            let mut types = self.own_types(name);
            if !self.signed_types(name).is_empty() {
                types.push(RRSIG);
            }
            let fields = hash_fields(opt_out.into(), iterations, salt);
            let rdata = [fields.as_slice(), &[20], next, &bitmap(&types)].concat();
            (self.apex.child(&text(hash)), NSEC3, rdata)
        };
        hashes.iter().zip(following).map(record).collect()
    }

    /// The chain of NSEC.
    fn nsec(&self) -> Vec<(Path, u16, Vec<u8>)> {
        let owners: Vec<&Path> = self.nodes.keys().filter(|owner| self.is_visible(owner)).collect();
        let following = owners.iter().cycle().skip(1);
        let record = |(owner, next): (&&Path, &&Path)| {
            let mut types = self.own_types(owner);
            types.extend([RRSIG, NSEC]);
            ((*owner).clone(), NSEC, [next.wire(), bitmap(&types)].concat())
        };
        owners.iter().zip(following).map(record).collect()
    }

    /// What the zone says about a question.
    pub(super) fn truth(&self, qname: &Path, qtype: u16) -> Truth {
        let mut names = vec![qname.clone()];
        let end = loop {
            let name = &names[names.len() - 1];
            if !name.is_within(&self.apex) || names.len() > FOLLOWED_MAX + 1 {
                break End::Nowhere;
            }
            match self.look_up(name, qtype) {
                Found::End(end) => break end,
                Found::Alias(target) if names.contains(&target) => {
                    names.push(target);
                    break End::Nowhere;
                }
                Found::Alias(target) => names.push(target),
            }
        };
        let name = &names[names.len() - 1];
        let provable = name.above(&self.apex).filter(|above| self.hashed.contains(above)).last();
        let has_wildcard = provable.is_some_and(|above| self.hashed.contains(&above.wildcard()));
        let is_unprovable = end == End::NxDomain && has_wildcard;
        Truth { names, end, is_unprovable }
    }

    /// What one name comes to.
    fn look_up(&self, name: &Path, qtype: u16) -> Found {
        for above in name.above(&self.apex) {
            if self.is_cut(&above) {
                return Found::End(self.referral(above));
            }
            if self.has_dname(&above) {
                let target = name.moved(&above, &Path::of_wire(&self.nodes[&above][&DNAME]));
                return if qtype == CNAME { Found::End(End::Answer) } else { Found::Alias(target) };
            }
        }
        if self.is_cut(name) && qtype != DS {
            return Found::End(self.referral(name.clone()));
        }
        let mut source = name.clone();
        if !self.existing.contains(name) {
            let encloser = name.above(&self.apex).filter(|above| self.existing.contains(above)).last().unwrap();
            source = encloser.wildcard();
            if !self.existing.contains(&source) {
                return Found::End(End::NxDomain);
            }
        }
        let types = self.nodes.get(&source);
        let has_nsec = types.is_some() && matches!(self.chain, Chain::Nsec) && qtype == NSEC;
        if has_nsec || types.is_some_and(|types| types.contains_key(&qtype)) {
            return Found::End(End::Answer);
        }
        match types.and_then(|types| types.get(&CNAME)) {
            Some(target) => Found::Alias(Path::of_wire(target)),
            None => Found::End(End::NoData),
        }
    }

    /// The end at a cut.
    fn referral(&self, cut: Path) -> End {
        if self.nodes[&cut].contains_key(&DS) { End::Secure(cut) } else { End::Insecure(cut) }
    }
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.chain {
            Chain::Nsec => writeln!(f, "zone {} with NSEC", self.apex)?,
            Chain::Nsec3 { iterations, salt, opt_out } => {
                writeln!(f, "zone {} with NSEC3 {iterations} {salt:02x?} opt-out {opt_out}", self.apex)?;
                writeln!(f, "  in the chain: {:?}", self.hashed)?;
            }
        }
        for (owner, types) in &self.nodes {
            for (rtype, rdata) in types {
                writeln!(f, "  {owner} {} {}", Rtype(*rtype), crate::common::rdata_text(Rtype(*rtype), rdata))?;
            }
        }
        Ok(())
    }
}

/// The fields that begin NSEC3 and are NSEC3PARAM (RFC 5155 sections 3.2 and 4.2).
fn hash_fields(flags: u8, iterations: u16, salt: &[u8]) -> Vec<u8> {
    [&[1, flags][..], &iterations.to_be_bytes(), &[u8::try_from(salt.len()).unwrap()], salt].concat()
}

/// A type bitmap (RFC 4034 section 4.1.2); all types here are in its first window.
fn bitmap(types: &[u16]) -> Vec<u8> {
    let mut octets = [0; 7];
    for &rtype in types {
        octets[usize::from(rtype / 8)] |= 0x80 >> (rtype % 8);
    }
    let Some(last) = types.iter().max() else { return Vec::new() };
    let len = u8::try_from(last / 8 + 1).unwrap();
    [&[0, len], &octets[..usize::from(len)]].concat()
}
