//! The chains of NSEC3 records: every name of the zone, hashed, has one, unless opt-out lets it be missing.
//!
//! Signatures of NSEC3 are checked by `signatures`. A zone may have several chains while parameters change; each is
//! checked by itself. Invariant: a chain is checked only if the hash algorithm is known and hashing the zone is bounded.
//! RFC 5155, RFC 9276.

use data_encoding::BASE32HEX_NOPAD;
use snapshot::dns::name::NameRef;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::Record;

use super::super::place::Place;
use super::super::{Findings, line};
use super::crypto::nsec3_hash;
use super::rdata::{HashParameters, Nsec3};
use super::threads::by_blocks;
use super::{Signed, Spot, types_differ};

/// SHA-1, the only hash algorithm (RFC 5155 section 11).
const ALGORITHM_SHA1: u8 = 1;
/// The most iterations: validators take zones with more as insecure or as broken (RFC 9276 section 3.2).
const ITERATIONS_MAX: u16 = 150;

/// A hashed name.
pub(super) type Hash = [u8; 20];

/// One NSEC3 record of a chain. Its RDATA is read again where it is needed: a large zone has as many links as names.
struct Link<'z> {
    /// The hash that its owner is.
    hash: Hash,
    /// The record.
    record: Record<'z>,
    /// Whether a name of the zone was found to hash to it.
    is_expected: bool,
}

/// One chain.
struct Chain<'z> {
    /// What its names are hashed with.
    parameters: HashParameters<'z>,
    /// The records, ascending by hash, no hash twice.
    links: Vec<Link<'z>>,
}

/// A name that must be in each chain.
struct Wanted<'s, 'z> {
    /// The name.
    name: NameRef<'z>,
    /// Its records; those of an owner below it if it is an empty non-terminal.
    spot: &'s Spot<'z>,
    /// Whether it is an empty non-terminal.
    is_empty_non_terminal: bool,
    /// Whether it may be missing behind an NSEC3 with opt-out: an insecure delegation.
    is_insecure_delegation: bool,
    /// Position of the name above it, for all but the apex.
    above: Option<usize>,
}

/// Where a hash is in a chain, or where it would be.
type Position = Result<usize, usize>;

/// Checks all chains.
pub(super) fn check(signed: &Signed<'_>, findings: &mut Findings) {
    let mut chains = chains(signed, findings);
    check_parameters(signed, &chains, findings);
    let wanted = wanted(signed);
    for chain in &mut chains {
        let HashParameters { algorithm, iterations, .. } = chain.parameters;
        if algorithm != ALGORITHM_SHA1 || iterations > ITERATIONS_MAX {
            continue;
        }
        let positions = by_blocks(&wanted, signed.measure.jobs, |block| chain.positions(block)).concat();
        chain.visit_all(&wanted, &positions, findings);
        chain.check_links(signed.measure.is_part(), findings);
    }
}

/// Sorts the NSEC3 records into chains, with findings about each by itself.
fn chains<'z>(signed: &Signed<'z>, findings: &mut Findings) -> Vec<Chain<'z>> {
    let mut chains: Vec<Chain<'z>> = Vec::new();
    let mut ttls = signed.denial_ttls();
    for spot in &signed.spots {
        let Some(rrset) = spot.owner.rrset(Rtype::NSEC3) else { continue };
        let owner = spot.name;
        let Some(hash) = hash_of(owner, signed.zone.apex()) else {
            let message = format!(
                "{owner} has NSEC3 but is not a hash of 20 octets in base32hex below the apex (RFC 5155 section 3): \
                 remove it"
            );
            findings.insecure("nsec3-owner", line(&rrset), owner, message);
            continue;
        };
        for record in rrset.records() {
            let Some(nsec3) = Nsec3::read(record.rdata) else { continue };
            if nsec3.has_unknown_flags() {
                let message = format!(
                    "NSEC3 at {owner} has flags {}, only 0 and 1 are known (RFC 5155 section 8.2)",
                    nsec3.flags
                );
                findings.insecure("nsec3-flags", record.line, owner, message);
            }
            ttls.note(&record);
            let link = Link { hash, record, is_expected: false };
            match chains.iter_mut().find(|chain| chain.parameters == nsec3.parameters) {
                Some(chain) => chain.links.push(link),
                None => chains.push(Chain { parameters: nsec3.parameters, links: vec![link] }),
            }
        }
    }
    ttls.check(Rtype::NSEC3, signed.zone.apex(), findings);
    chains.iter_mut().for_each(|chain| chain.sort(findings));
    chains
}

/// The hash that an NSEC3 owner is; `None` if it is none.
pub(super) fn hash_of(owner: NameRef<'_>, apex: NameRef<'_>) -> Option<Hash> {
    if owner.parent() != Some(apex) {
        return None;
    }
    let label = owner.labels().next()?.to_ascii_uppercase();
    BASE32HEX_NOPAD.decode(&label).ok()?.try_into().ok()
}

/// NSEC3PARAM and NSEC3 belong together, and the parameters are bounded.
fn check_parameters(signed: &Signed<'_>, chains: &[Chain<'_>], findings: &mut Findings) {
    let apex = signed.zone.apex();
    let params = signed.zone.owner(apex).and_then(|apex| apex.rrset(Rtype::NSEC3PARAM));
    let params: Vec<(u32, Nsec3<'_>)> = params
        .into_iter()
        .flat_map(|rrset| rrset.records().collect::<Vec<_>>())
        .filter_map(|record| Some((record.line, Nsec3::read_param(record.rdata)?)))
        .collect();
    for (line, param) in &params {
        let parameters = param.parameters;
        if param.flags != 0 {
            let message =
                format!("NSEC3PARAM of {apex} has flags {}, it must have 0 (RFC 5155 section 4.1.2)", param.flags);
            findings.insecure("nsec3param-flags", *line, apex, message);
        } else if !chains.iter().any(|chain| chain.parameters == parameters) {
            let message = format!(
                "NSEC3PARAM of {apex} ({parameters}) has no NSEC3 records to it (RFC 5155 section 7.3): remove it or sign again"
            );
            findings.insecure("nsec3param-without-nsec3", *line, apex, message);
        }
    }
    for chain in chains {
        let Some(Link { record: first, .. }) = chain.links.first() else { continue };
        let parameters = chain.parameters;
        if !params.iter().any(|(_, param)| param.flags == 0 && param.parameters == parameters) {
            let message = format!(
                "{} NSEC3 records ({parameters}), the first at {}, have no NSEC3PARAM at {apex} (RFC 5155 section 7.3): \
                 servers do not use them; add it or sign again",
                chain.links.len(),
                first.owner
            );
            findings.insecure("nsec3-without-nsec3param", first.line, first.owner, message);
        }
        chain.check_cost(first, findings);
    }
}

/// The names that must be in a chain, empty non-terminals included, in canonical order. In a part of a zone nobody can tell
/// which these are, so they are left out.
fn wanted<'s, 'z>(signed: &'s Signed<'z>) -> Vec<Wanted<'s, 'z>> {
    let apex = signed.zone.apex();
    let mut wanted: Vec<Wanted<'s, 'z>> = Vec::new();
    // Positions in `wanted` of the names on the way from the apex to the latest one.
    let mut path: Vec<usize> = Vec::new();
    let mut between = Vec::new();
    for spot in signed.spots.iter().filter(|spot| spot.is_authoritative()) {
        let name = spot.name;
        while path.last().is_some_and(|&idx| !name.is_at_or_below(wanted[idx].name)) {
            path.pop();
        }
        let top = path.last().map_or(apex, |&idx| wanted[idx].name);
        let mut ancestor = name.parent();
        while let Some(at) = ancestor.filter(|&at| name != apex && at != top && at.is_at_or_below(apex)) {
            between.push(at);
            ancestor = at.parent();
        }
        if signed.measure.is_part() {
            between.clear();
        }
        let is_insecure_delegation = spot.place == Place::Cut && spot.owner.rrset(Rtype::DS).is_none();
        let empty_non_terminals = between.drain(..).rev().map(|name| (name, true, false));
        for (name, is_empty_non_terminal, is_insecure_delegation) in
            empty_non_terminals.chain([(name, false, is_insecure_delegation)])
        {
            let above = path.last().copied();
            path.push(wanted.len());
            wanted.push(Wanted { name, spot, is_empty_non_terminal, is_insecure_delegation, above });
        }
    }
    wanted
}

impl Wanted<'_, '_> {
    /// The types that its NSEC3 lists: none for an empty non-terminal, and an insecure delegation has nothing to sign but
    /// an NSEC of another chain.
    fn types(&self) -> impl Iterator<Item = Rtype> {
        let is_listed = |rtype: Rtype| match rtype {
            Rtype::NSEC | Rtype::NSEC3 => false,
            Rtype::RRSIG => !self.is_insecure_delegation,
            _ => true,
        };
        let spot = (!self.is_empty_non_terminal).then_some(self.spot);
        spot.into_iter().flat_map(Spot::types).filter(move |&rtype| is_listed(rtype))
    }
}

impl Chain<'_> {
    /// Brings the links into order. They are in it already unless their owners' case varies.
    fn sort(&mut self, findings: &mut Findings) {
        self.links.sort_by_key(|link| link.hash);
        self.links.dedup_by(|later, first| {
            let is_same = later.hash == first.hash;
            if is_same {
                let Record { owner, line, .. } = later.record;
                let message = format!("{owner} has several NSEC3 records of one chain (RFC 5155 section 7.1)");
                findings.insecure("multiple-nsec3", line, owner, message);
            }
            is_same
        });
    }

    /// Hashes names and looks them up.
    fn positions(&self, block: &[Wanted<'_, '_>]) -> Vec<Position> {
        let HashParameters { iterations, salt, .. } = self.parameters;
        let (mut name, mut data) = (Vec::new(), Vec::new());
        let mut position = |wanted: &Wanted<'_, '_>| {
            name.clear();
            name.extend(wanted.name.as_wire().iter().map(u8::to_ascii_lowercase));
            let hash = nsec3_hash(&name, salt, iterations, &mut data);
            self.links.binary_search_by(|link| link.hash.cmp(&hash))
        };
        block.iter().map(&mut position).collect()
    }

    /// Notes all names of the zone. An empty non-terminal may be missing only if all that it exists for may and is
    /// (RFC 5155 section 7.1), so names go before those above them.
    fn visit_all(&mut self, wanted: &[Wanted<'_, '_>], positions: &[Position], findings: &mut Findings) {
        let mut is_needed = vec![false; wanted.len()];
        for (idx, (name, position)) in wanted.iter().zip(positions).enumerate().rev() {
            let may_opt_out = name.is_insecure_delegation || (name.is_empty_non_terminal && !is_needed[idx]);
            let is_opted_out = self.visit(name, *position, may_opt_out, findings);
            if let Some(above) = name.above.filter(|_| !is_opted_out) {
                is_needed[above] = true;
            }
        }
    }

    /// Notes a name of the zone: it must have its NSEC3, with its types. Returns whether it is left out by right.
    fn visit(
        &mut self,
        wanted: &Wanted<'_, '_>,
        position: Position,
        may_opt_out: bool,
        findings: &mut Findings,
    ) -> bool {
        let name = wanted.name;
        let follower = match position {
            Ok(idx) => {
                self.links[idx].is_expected = true;
                check_types(wanted, &self.links[idx].record, findings);
                return false;
            }
            Err(idx) => idx,
        };
        let cover = follower.checked_sub(1).map_or(self.links.last(), |idx| self.links.get(idx));
        let cover = cover.and_then(|link| Nsec3::read(link.record.rdata));
        if may_opt_out && cover.is_some_and(|nsec3| nsec3.is_opt_out()) {
            return true;
        }
        let HashParameters { iterations, salt, .. } = self.parameters;
        let hash = nsec3_hash(&name.as_wire().to_ascii_lowercase(), salt, iterations, &mut Vec::new());
        let what = if wanted.is_empty_non_terminal { "the empty non-terminal " } else { "" };
        let why = if may_opt_out { ", and the NSEC3 around it has no opt-out flag" } else { "" };
        let message = format!(
            "{what}{name} has no NSEC3 {}{why} (RFC 5155 section 7.1): its types are not proven; sign again",
            base32hex(&hash)
        );
        findings.insecure("missing-nsec3", wanted.spot.line(), name, message);
        false
    }

    /// Each record names the next one, and each belongs to a name. In a part of a zone the next may be one that is not there,
    /// but only one before the next that is, and so may the name.
    fn check_links(&self, is_part: bool, findings: &mut Findings) {
        let followers = self.links.iter().skip(1).chain(self.links.first());
        for (link, follower) in self.links.iter().zip(followers) {
            let Record { owner, line, rdata, .. } = link.record;
            let Some(next) = Nsec3::read(rdata).map(|nsec3| nsec3.next) else { continue };
            if *next != follower.hash && !(is_part && is_between(&link.hash, next, &follower.hash)) {
                let message = format!(
                    "NSEC3 at {owner} names {} as the next hash, it is {} (RFC 5155 section 7.1): the chain is broken; \
                     sign again",
                    base32hex(next),
                    base32hex(&follower.hash)
                );
                findings.insecure("nsec3-chain", line, owner, message);
            }
            if !link.is_expected && !is_part {
                let message =
                    format!("no name of the zone hashes to the NSEC3 {owner} (RFC 5155 section 7.1): remove it");
                findings.insecure("stray-nsec3", line, owner, message);
            }
        }
    }

    /// Parameters that cost more than they give (RFC 9276 section 3.1).
    fn check_cost(&self, first: &Record<'_>, findings: &mut Findings) {
        let HashParameters { algorithm, iterations, salt } = self.parameters;
        let Record { line, owner, .. } = *first;
        if algorithm != ALGORITHM_SHA1 {
            let message =
                format!("NSEC3 with hash algorithm {algorithm} is not verified: only 1 is known (RFC 5155 section 11)");
            findings.careless("nsec3-algorithm", line, owner, message);
        } else if iterations > ITERATIONS_MAX {
            let message = format!(
                "NSEC3 with {iterations} iterations: validators take the zone as insecure or broken above \
                 {ITERATIONS_MAX} (RFC 9276 section 3.2); sign with 0"
            );
            findings.insecure("nsec3-iterations", line, owner, message);
        } else if iterations > 0 || !salt.is_empty() {
            let message =
                format!("NSEC3 with {}: sign with 0 iterations and no salt (RFC 9276 section 3.1)", self.parameters);
            findings.careless("nsec3-cost", line, owner, message);
        }
    }
}

/// Whether a hash lies between two others that follow each other in the circle of hashes.
pub(super) fn is_between(from: &Hash, hash: &[u8], to: &Hash) -> bool {
    let (is_after, is_before) = (hash > &from[..], hash < &to[..]);
    hash.len() == from.len() && if from < to { is_after && is_before } else { is_after || is_before }
}

/// The bitmap lists the types of its name.
fn check_types(wanted: &Wanted<'_, '_>, record: &Record<'_>, findings: &mut Findings) {
    let Some(nsec3) = Nsec3::read(record.rdata) else { return };
    if let Some(difference) = types_differ(nsec3.types, || wanted.types()) {
        let (name, owner) = (wanted.name, record.owner);
        let message = format!("NSEC3 of {name} at {owner} {difference} (RFC 5155 section 7.1): sign again");
        findings.insecure("nsec3-types", record.line, name, message);
    }
}

/// A hash as NSEC3 owners write it.
pub(super) fn base32hex(hash: &[u8]) -> String {
    BASE32HEX_NOPAD.encode(hash).to_ascii_lowercase()
}
