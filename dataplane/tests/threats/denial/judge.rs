//! A validator's view of a reply: what follows from its records, and whether they prove it.
//!
//! It sees question and reply, never the zone, and takes every signature for good. What counts as a proof is written from
//! RFC 4035 section 5.4, RFC 4592, RFC 5155 section 8, RFC 6672 section 5.3 and RFC 6840 section 4. It is stricter than a
//! validator must be in one thing: a record that no proof needs is an error.

use std::cell::RefCell;

use snapshot::dns::nsec3::{HASH_LEN, Params, hash_of_owner};

use super::zones::Path;
use super::zones::rtypes::{CNAME, DNAME, DS, NS, NSEC, NSEC3, RRSIG, SOA};
use crate::message::{Reply, Rr};

/// How many aliases of one chain are followed.
pub(super) const FOLLOWED_MAX: usize = 16;
/// What is wrong with an NXDOMAIN that leaves a wildcard possible.
pub(super) const WILDCARD_POSSIBLE: &str = "nothing proves that no wildcard stands for the name";
/// NXDOMAIN.
const NAME_ERROR: u16 = 3;
/// The opt-out flag of NSEC3 (RFC 5155 section 3.1.2.1).
const OPT_OUT: u8 = 1;
/// Where the signer's name is in an RRSIG.
const SIGNER_OFF: usize = 18;

/// What is wrong with a reply.
type Fault = &'static str;

/// What comes of the last name of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The data, or the alias that was asked for.
    Answer,
    /// The name lacks the type.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// A referral to a signed zone at this cut.
    Secure(Path),
    /// A referral to an unsigned zone.
    Insecure(Path),
    /// It leads out of the zone, in a circle or too far.
    Nowhere,
}

/// What a reply says.
#[derive(Debug)]
pub(super) struct Verdict {
    /// The qname and the names that aliases lead to.
    pub(super) names: Vec<Path>,
    /// What comes of the last one.
    pub(super) end: End,
}

/// An RRset of a section.
struct Rrset<'r> {
    /// Its owner.
    owner: Path,
    /// Its type.
    rtype: u16,
    /// Its records.
    rdatas: Vec<&'r [u8]>,
    /// The labels field and the signer of its signature.
    sig: Option<(usize, Path)>,
    /// Whether the chain came by it.
    is_used: bool,
}

impl Rrset<'_> {
    /// How many labels the wildcard's parent has that this was made from (RFC 4035 section 5.3.4); `None` if it has its own
    /// name. A wildcard's own name is not expanded.
    fn expanded_from(&self) -> Result<Option<usize>, Fault> {
        let (labels, _) = self.sig.as_ref().ok_or("an RRset without its signature")?;
        match self.owner.labels().checked_sub(*labels).ok_or("a signature with more labels than its owner")? {
            0 => Ok(None),
            _ if self.owner == self.owner.suffix(*labels).wildcard() => Ok(None),
            _ => Ok(Some(*labels)),
        }
    }

    /// Its only record as a name.
    fn target(&self) -> Result<Path, Fault> {
        match self.rdatas.as_slice() {
            [rdata] => Ok(Path::of_wire(rdata)),
            _ => Err("an alias with several targets"),
        }
    }
}

/// The RRsets of a section with their signatures.
fn rrsets(records: &[Rr]) -> Result<Vec<Rrset<'_>>, Fault> {
    let mut sets: Vec<Rrset<'_>> = Vec::new();
    for record in records {
        let owner = Path::of_wire(record.owner.as_wire());
        if record.rtype.0 == RRSIG {
            let covered = u16::from_be_bytes([record.rdata[0], record.rdata[1]]);
            let mut of = sets.iter_mut().filter(|set| set.rtype == covered && set.owner == owner);
            let set = of.next().ok_or("a signature of nothing")?;
            let sig = (record.rdata[3].into(), Path::of_wire(&record.rdata[SIGNER_OFF..]));
            if set.sig.replace(sig).is_some() {
                return Err("two signatures of one RRset");
            }
            continue;
        }
        let found = sets.iter_mut().find(|set| set.rtype == record.rtype.0 && set.owner == owner);
        match found {
            Some(set) if set.rdatas.contains(&record.rdata.as_slice()) => return Err("a record twice in a section"),
            Some(set) => set.rdatas.push(&record.rdata),
            None => sets.push(Rrset {
                owner,
                rtype: record.rtype.0,
                rdatas: vec![&record.rdata],
                sig: None,
                is_used: false,
            }),
        }
    }
    Ok(sets)
}

/// Something that has to be proved.
enum Need {
    /// This name lacks this type, and is no alias (RFC 5155 sections 8.5 to 8.7, RFC 4035 section 3.1.3.1).
    NoData(Path, u16),
    /// This name does not exist, and no wildcard stands for it.
    NxDomain(Path),
    /// This name does not exist, and its closest encloser has so many labels: that of the wildcard that stands for it.
    Expanded(Path, usize),
    /// The zone at this cut is unsigned.
    Insecure(Path),
}

/// Reads a reply and checks its proofs.
pub(super) fn judge(qname: &Path, qtype: u16, reply: &Reply) -> Result<Verdict, Fault> {
    let [answer, authority, additional] = &reply.sections;
    if additional.iter().any(|record| matches!(record.rtype.0, NSEC | NSEC3 | DS)) {
        return Err("denials among the additional records");
    }
    let mut answer = rrsets(answer)?;
    let authority = rrsets(authority)?;
    let is_twice = |set: &Rrset<'_>| answer.iter().any(|other| (other.rtype, &other.owner) == (set.rtype, &set.owner));
    if authority.iter().any(is_twice) {
        return Err("an RRset in two sections");
    }
    let mut needs = Vec::new();
    let mut names = vec![qname.clone()];
    let end = walk(&mut names, qtype, &mut answer, &mut needs)?;
    if answer.iter().any(|set| !set.is_used) {
        return Err("an answer that no name of the chain leads to");
    }
    let end = conclude(end, (&names[names.len() - 1], qtype), reply, &authority, &mut needs)?;
    let denials = Denials::read(&authority)?;
    denials.check(&needs)?;
    Ok(Verdict { names, end })
}

/// Follows the aliases of the answer. Returns the end if the answer says it.
fn walk(
    names: &mut Vec<Path>,
    qtype: u16,
    answer: &mut [Rrset<'_>],
    needs: &mut Vec<Need>,
) -> Result<Option<End>, Fault> {
    loop {
        let name = names[names.len() - 1].clone();
        let mut of_name = answer.iter_mut().filter(|set| set.owner == name);
        let is_wanted = |set: &&mut Rrset<'_>| set.rtype == qtype || set.rtype == CNAME;
        let Some(set) = of_name.find(is_wanted) else { return Ok(None) };
        set.is_used = true;
        let is_end = set.rtype == qtype;
        if set.rtype == CNAME && set.sig.is_none() {
            let target = set.target()?;
            let mut dnames = answer.iter_mut().filter(|set| set.rtype == DNAME && name.is_below(&set.owner));
            let dname = dnames.next().ok_or("an unsigned CNAME that no DNAME makes")?;
            dname.is_used = true;
            if dname.expanded_from()?.is_some() || name.moved(&dname.owner, &dname.target()?) != target {
                return Err("a CNAME that its DNAME does not make");
            }
            if !is_end {
                names.push(target);
            }
        } else {
            if let Some(labels) = set.expanded_from()? {
                needs.push(Need::Expanded(name.clone(), labels));
            }
            if !is_end {
                names.push(set.target()?);
            }
        }
        if is_end {
            return Ok(Some(End::Answer));
        }
        let (last, before) = names.split_last().ok_or("no name")?;
        if before.contains(last) {
            return Ok(Some(End::Nowhere));
        }
    }
}

/// Tells the end from the authority section, and what it needs to be proved.
fn conclude(
    end: Option<End>,
    (name, qtype): (&Path, u16),
    reply: &Reply,
    authority: &[Rrset<'_>],
    needs: &mut Vec<Need>,
) -> Result<End, Fault> {
    let of = |rtype: u16| authority.iter().find(|set| set.rtype == rtype);
    let count = authority.iter().filter(|set| !matches!(set.rtype, NSEC | NSEC3)).count();
    let is_error = reply.rcode == NAME_ERROR;
    if !is_error && reply.rcode != 0 {
        return Err("neither NOERROR nor NXDOMAIN");
    }
    let end = match (end, of(SOA), of(NS)) {
        (Some(end), None, None) if count == 0 => end,
        (None, None, None) if count == 0 => End::Nowhere,
        (None, Some(soa), None) if count == 1 => {
            if soa.expanded_from()?.is_some() || !name.is_within(&soa.owner) || soa.rdatas.len() != 1 {
                return Err("an SOA that is not that of the name");
            }
            needs.push(if is_error { Need::NxDomain(name.clone()) } else { Need::NoData(name.clone(), qtype) });
            if is_error { End::NxDomain } else { End::NoData }
        }
        (None, None, Some(ns)) => {
            let cut = &ns.owner;
            if ns.sig.is_some() || !name.is_within(cut) || (name == cut && qtype == DS) {
                return Err("a referral that is none");
            }
            match of(DS) {
                Some(ds) if count == 2 && ds.owner == *cut && ds.expanded_from()?.is_none() => End::Secure(cut.clone()),
                None if count == 1 => {
                    needs.push(Need::Insecure(cut.clone()));
                    End::Insecure(cut.clone())
                }
                _ => return Err("a referral with something else"),
            }
        }
        _ => return Err("an authority section that says two things"),
    };
    let is_referral = matches!(end, End::Secure(_) | End::Insecure(_));
    let is_authoritative = reply.bits & 0x0400 != 0;
    if is_error != (end == End::NxDomain) || (reply.sections[0].is_empty() && is_authoritative == is_referral) {
        return Err("response code or AA do not fit the sections");
    }
    Ok(end)
}

/// A set of types below 64.
struct Types(u64);

impl Types {
    /// Reads a bitmap (RFC 4034 section 4.1.2).
    fn read(octets: &[u8]) -> Result<Types, Fault> {
        let bits = match octets {
            [] => return Ok(Types(0)),
            [0, len @ 1..=8, bits @ ..] if bits.len() == usize::from(*len) => bits,
            _ => return Err("a bitmap that cannot be read"),
        };
        Ok(Types(bits.iter().enumerate().map(|(at, octet)| u64::from(octet.reverse_bits()) << (8 * at)).sum()))
    }

    /// Whether a type is among them.
    fn has(&self, rtype: u16) -> bool {
        self.0 >> rtype & 1 == 1
    }

    /// Whether they are those of a cut seen from above (RFC 6840 section 4.1).
    fn is_cut(&self) -> bool {
        self.has(NS) && !self.has(SOA)
    }

    /// Whether what is below the owner is not for this chain to say (RFC 6840 section 4.1, RFC 6672 section 5.3.4.1).
    fn hides_below(&self) -> bool {
        self.is_cut() || self.has(DNAME)
    }

    /// Whether they show that their owner lacks a type. A cut's parent speaks of DS alone, and its child never, except
    /// at the apex of the zone that denies.
    fn lack(&self, rtype: u16, is_apex: bool) -> bool {
        let speaks = if rtype == DS { !self.has(SOA) || is_apex } else { !self.is_cut() };
        speaks && !self.has(rtype) && !self.has(CNAME)
    }

    /// Whether they are those of a cut without DS (RFC 6840 section 4.4).
    fn are_insecure(&self) -> bool {
        self.is_cut() && !self.has(DS)
    }
}

/// A record of a chain.
enum Denial {
    /// Owner, next owner, types.
    Nsec(Path, Path, Types),
    /// Hash, next hash, flags, types.
    Nsec3([u8; HASH_LEN], [u8; HASH_LEN], u8, Types),
}

/// All denials of a reply.
struct Denials<'r> {
    /// The signer.
    apex: Path,
    /// The records.
    records: Vec<Denial>,
    /// How NSEC3 hashes.
    params: Option<Params<'r>>,
    /// Hashes so far.
    hashes: RefCell<Vec<(Path, [u8; HASH_LEN])>>,
}

impl<'r> Denials<'r> {
    /// Takes the denials out of a section.
    fn read(authority: &[Rrset<'r>]) -> Result<Denials<'r>, Fault> {
        let mut denials =
            Denials { apex: Path::of_wire(&[0]), records: Vec::new(), params: None, hashes: RefCell::default() };
        for set in authority.iter().filter(|set| matches!(set.rtype, NSEC | NSEC3)) {
            if set.expanded_from()?.is_some() {
                return Err("a denial whose owner was made from a wildcard");
            }
            let (_, signer) = set.sig.as_ref().ok_or("a denial without signature")?;
            if !denials.records.is_empty() && denials.apex != *signer {
                return Err("denials of two zones");
            }
            denials.apex = signer.clone();
            let [rdata] = set.rdatas.as_slice() else { return Err("two denials at one owner") };
            denials.push(&set.owner, set.rtype, rdata)?;
        }
        Ok(denials)
    }

    /// Adds a record.
    fn push(&mut self, owner: &Path, rtype: u16, rdata: &'r [u8]) -> Result<(), Fault> {
        let denial = if rtype == NSEC {
            let next_len = name_len(rdata);
            let next = Path::of_wire(&rdata[..next_len]);
            if !next.is_within(&self.apex) || self.params.is_some() {
                return Err("an NSEC that is not of this chain");
            }
            Denial::Nsec(owner.clone(), next, Types::read(&rdata[next_len..])?)
        } else {
            let params = Params::of_rdata(rdata).ok_or("an unknown hash")?;
            let is_mixed = self.params.is_some_and(|other| other != params);
            if is_mixed || (self.params.is_none() && !self.records.is_empty()) {
                return Err("denials of two chains");
            }
            self.params = Some(params);
            let wire = owner.wire();
            let name = snapshot::dns::name::NameRef::prefix_of(&wire).map_err(|_| "no name")?;
            let hash = hash_of_owner(name).ok_or("an NSEC3 whose owner is no hash")?;
            if owner.suffix(owner.labels() - 1) != self.apex {
                return Err("an NSEC3 that is not right below its apex");
            }
            let rest = &rdata[5 + params.salt.len()..];
            let next = rest[1..].first_chunk().ok_or("a short NSEC3")?;
            Denial::Nsec3(hash, *next, rdata[1], Types::read(&rest[1 + HASH_LEN..])?)
        };
        self.records.push(denial);
        Ok(())
    }

    /// Checks that every need is proved, and that no record can be spared.
    fn check(&self, needs: &[Need]) -> Result<(), Fault> {
        let all = Chosen { denials: self, left_out: usize::MAX };
        for need in needs {
            all.proves(need)?;
        }
        for left_out in 0..self.records.len() {
            let others = Chosen { denials: self, left_out };
            if !all.is_opted_out(needs) && needs.iter().all(|need| others.proves(need).is_ok()) {
                return Err("a denial that proves nothing");
            }
        }
        let most = if self.params.is_some() { 3 } else { 2 };
        if self.records.len() > most * needs.len() {
            return Err("more denials than proofs need");
        }
        Ok(())
    }

    /// The hash of a name.
    fn hash(&self, name: &Path) -> [u8; HASH_LEN] {
        let mut hashes = self.hashes.borrow_mut();
        if let Some((_, hash)) = hashes.iter().find(|(hashed, _)| hashed == name) {
            return *hash;
        }
        let hash = self.params.map_or([0; HASH_LEN], |params| params.hash(&name.wire()));
        hashes.push((name.clone(), hash));
        hash
    }
}

/// Some of the denials of a reply.
struct Chosen<'d, 'r> {
    /// All of them.
    denials: &'d Denials<'r>,
    /// The one that is not looked at.
    left_out: usize,
}

impl Chosen<'_, '_> {
    /// The records.
    fn records(&self) -> impl Iterator<Item = &Denial> {
        let records = self.denials.records.iter().enumerate();
        records.filter(|(at, _)| *at != self.left_out).map(|(_, record)| record)
    }

    /// Whether a need is proved.
    fn proves(&self, need: &Need) -> Result<(), Fault> {
        let apex = &self.denials.apex;
        if self.denials.params.is_some() {
            return self.proves_hashed(need);
        }
        match need {
            Need::Insecure(cut) => self.types_of(cut).filter(|types| types.are_insecure()).map(|_| ()),
            Need::Expanded(name, labels) => self.encloser(name).filter(|found| found == labels).map(|_| ()),
            Need::NxDomain(name) => {
                let labels = self.encloser(name).ok_or("nothing proves that the name does not exist")?;
                self.encloser(&name.suffix(labels).wildcard()).ok_or(WILDCARD_POSSIBLE)?;
                Some(())
            }
            Need::NoData(name, qtype) => {
                let lacks = |name: &Path| {
                    let is_apex = name == apex;
                    self.types_of(name).is_some_and(|types| types.lack(*qtype, is_apex)) || self.is_empty(name)
                };
                let by_wildcard = || self.encloser(name).is_some_and(|labels| lacks(&name.suffix(labels).wildcard()));
                (lacks(name) || by_wildcard()).then_some(())
            }
        }
        .ok_or(need.fault())
    }

    /// The types of a name, from its own NSEC or NSEC3.
    fn types_of(&self, name: &Path) -> Option<&Types> {
        self.records().find_map(|record| match record {
            Denial::Nsec(owner, _, types) => (owner == name).then_some(types),
            Denial::Nsec3(hash, _, _, types) => (*hash == self.denials.hash(name)).then_some(types),
        })
    }

    /// The ends of the NSEC that covers a name.
    fn cover(&self, name: &Path) -> Option<(&Path, &Path)> {
        let apex = &self.denials.apex;
        self.records().find_map(|record| match record {
            Denial::Nsec(owner, next, types) => {
                let is_between = owner < name && (name < next || next == apex) && name.is_within(apex);
                let hides = types.hides_below() && name.is_below(owner);
                (is_between && !hides).then_some((owner, next))
            }
            Denial::Nsec3(..) => None,
        })
    }

    /// Whether a name is an empty non-terminal: the next owner is below it.
    fn is_empty(&self, name: &Path) -> bool {
        self.cover(name).is_some_and(|(_, next)| next.is_below(name))
    }

    /// The labels of the closest encloser of a name that does not exist: an NSEC that covers it shows both of its
    /// neighbours.
    fn encloser(&self, name: &Path) -> Option<usize> {
        let (owner, next) = self.cover(name).filter(|(_, next)| !next.is_within(name))?;
        (0..name.labels()).rev().find(|labels| [owner, next].iter().any(|end| end.is_within(&name.suffix(*labels))))
    }

    /// The flags of the NSEC3 that covers a name.
    fn cover_hashed(&self, name: &Path) -> Option<u8> {
        let wanted = self.denials.hash(name);
        self.records().find_map(|record| match record {
            Denial::Nsec3(hash, next, flags, _) => {
                let (after, before) = (wanted > *hash, wanted < *next);
                let is_between = if hash < next { after && before } else { (after || before) && wanted != *hash };
                is_between.then_some(*flags)
            }
            Denial::Nsec(..) => None,
        })
    }

    /// The closest encloser of a name that does not exist, and whether it may all the same, as an unsigned delegation
    /// (RFC 5155 section 8.3).
    fn encloser_hashed(&self, name: &Path) -> Option<(usize, bool)> {
        (self.denials.apex.labels()..name.labels()).rev().find_map(|labels| {
            self.types_of(&name.suffix(labels)).filter(|types| !types.hides_below())?;
            let flags = self.cover_hashed(&name.suffix(labels + 1))?;
            Some((labels, flags & OPT_OUT != 0))
        })
    }

    /// Whether a need is proved by NSEC3.
    fn proves_hashed(&self, need: &Need) -> Result<(), Fault> {
        let is_opted_out = |name: &Path| self.encloser_hashed(name).is_some_and(|(_, opt_out)| opt_out);
        match need {
            Need::Insecure(cut) => match self.types_of(cut) {
                Some(types) => types.are_insecure(),
                None => is_opted_out(cut),
            },
            Need::Expanded(name, labels) => self.cover_hashed(&name.suffix(labels + 1)).is_some(),
            Need::NxDomain(name) => {
                let (labels, _) = self.encloser_hashed(name).ok_or("nothing proves that the name does not exist")?;
                self.cover_hashed(&name.suffix(labels).wildcard()).ok_or(WILDCARD_POSSIBLE)?;
                true
            }
            Need::NoData(name, qtype) => match self.types_of(name) {
                Some(types) => types.lack(*qtype, *name == self.denials.apex),
                // What only leads to unsigned delegations is left out as they are, and then no wildcard stands for it: that
                // its NSEC3 is the one that covers the name is chance.
                None => self.encloser_hashed(name).is_some_and(|(labels, opt_out)| {
                    let wildcard = || self.types_of(&name.suffix(labels).wildcard());
                    opt_out || wildcard().is_some_and(|types| types.lack(*qtype, false))
                }),
            },
        }
        .then_some(())
        .ok_or(need.fault())
    }

    /// Whether opt-out takes part in a NODATA: there the record of the wildcard says nothing, and does not harm either.
    fn is_opted_out(&self, needs: &[Need]) -> bool {
        needs.iter().any(|need| match need {
            Need::NoData(name, _) => self.encloser_hashed(name).is_some_and(|(_, opt_out)| opt_out),
            _ => false,
        })
    }
}

impl Need {
    /// What is wrong if it is not proved.
    fn fault(&self) -> Fault {
        match self {
            Need::NoData(..) => "nothing proves that the name lacks the type",
            Need::NxDomain(_) => "nothing proves that the name does not exist",
            Need::Expanded(..) => "nothing proves that the wildcard stands for the name",
            Need::Insecure(_) => "nothing proves that the cut has no DS",
        }
    }
}

/// The length of the name at the start of these octets.
fn name_len(octets: &[u8]) -> usize {
    let mut len = 0;
    while octets[len] > 0 {
        len += 1 + usize::from(octets[len]);
    }
    len + 1
}
