//! The chains of NSEC3 records: every name of the zone, hashed, has one, unless opt-out lets it be missing.
//!
//! Signatures of NSEC3 are checked by `signatures`. A zone may have several chains while parameters change; each is
//! checked by itself. Invariant: a chain is checked only if the hash algorithm is known and hashing the zone is bounded.
//! RFC 5155, RFC 9276.

use std::collections::BTreeMap;

use data_encoding::BASE32HEX_NOPAD;
use snapshot::dns::name::NameRef;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::Record;

use super::super::place::Place;
use super::super::{Findings, line};
use super::crypto::nsec3_hash;
use super::rdata::{HashParameters, Nsec3};
use super::{Signed, Spot, in_parallel, types_differ};

/// SHA-1, the only hash algorithm (RFC 5155 section 11).
const ALGORITHM_SHA1: u8 = 1;
/// The most iterations: validators take zones with more as insecure or as broken (RFC 9276 section 3.2).
const ITERATIONS_MAX: u16 = 150;

/// A hashed name.
type Hash = [u8; 20];

/// One NSEC3 record of a chain.
struct Link<'z> {
    /// Where it is.
    owner: NameRef<'z>,
    /// The record.
    record: Record<'z>,
    /// Its RDATA.
    nsec3: Nsec3<'z>,
    /// Whether a name of the zone was found to hash to it.
    is_expected: bool,
}

/// One chain, by hash.
struct Chain<'z> {
    /// What its names are hashed with.
    parameters: HashParameters<'z>,
    /// The records.
    links: BTreeMap<Hash, Link<'z>>,
}

/// A name that must be in each chain.
struct Wanted<'z> {
    /// The name.
    name: NameRef<'z>,
    /// A line to show.
    line: u32,
    /// Whether it may be missing behind an NSEC3 with opt-out: an insecure delegation.
    is_insecure_delegation: bool,
    /// Position of the name above it, for all but the apex.
    above: Option<usize>,
    /// Its types; none for an empty non-terminal.
    types: Vec<Rtype>,
}

/// Checks all chains.
pub(super) fn check(signed: &Signed<'_>, findings: &mut Findings) {
    let mut chains = chains(signed, findings);
    check_parameters(signed, &chains, findings);
    let wanted = wanted(signed);
    for chain in &mut chains {
        let HashParameters { algorithm, iterations, salt } = chain.parameters;
        if algorithm != ALGORITHM_SHA1 || iterations > ITERATIONS_MAX {
            continue;
        }
        let hash = |wanted: &Wanted<'_>| {
            let name = wanted.name.as_wire().to_ascii_lowercase();
            nsec3_hash(&name, salt, iterations, &mut Vec::new())
        };
        let hashes = in_parallel(&wanted, signed.jobs, hash);
        chain.visit_all(&wanted, &hashes, findings);
        chain.check_links(findings);
    }
}

/// Sorts the NSEC3 records into chains, with findings about each by itself.
fn chains<'z>(signed: &Signed<'z>, findings: &mut Findings) -> Vec<Chain<'z>> {
    let mut chains: Vec<Chain<'z>> = Vec::new();
    let mut ttls = Vec::new();
    for spot in &signed.spots {
        let Some(rrset) = spot.owner.rrset(Rtype::NSEC3) else { continue };
        let owner = spot.name();
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
            ttls.push((record.ttl_secs, record.line));
            let link = Link { owner, record, nsec3, is_expected: false };
            let known = chains.iter().position(|chain| chain.parameters == nsec3.parameters);
            let idx = known.unwrap_or(chains.len());
            if known.is_none() {
                chains.push(Chain { parameters: nsec3.parameters, links: BTreeMap::new() });
            }
            if chains[idx].links.insert(hash, link).is_some() {
                let message = format!("{owner} has several NSEC3 records of one chain (RFC 5155 section 7.1)");
                findings.insecure("multiple-nsec3", record.line, owner, message);
            }
        }
    }
    signed.check_denial_ttls(Rtype::NSEC3, &ttls, findings);
    chains
}

/// The hash that an NSEC3 owner is; `None` if it is none.
fn hash_of(owner: NameRef<'_>, apex: NameRef<'_>) -> Option<Hash> {
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
        let Some(first) = chain.links.values().next() else { continue };
        let parameters = chain.parameters;
        if !params.iter().any(|(_, param)| param.flags == 0 && param.parameters == parameters) {
            let message = format!(
                "{} NSEC3 records ({parameters}), the first at {}, have no NSEC3PARAM at {apex} (RFC 5155 section 7.3): \
                 servers do not use them; add it or sign again",
                chain.links.len(),
                first.owner
            );
            findings.insecure("nsec3-without-nsec3param", first.record.line, first.owner, message);
        }
        chain.check_cost(first, findings);
    }
}

/// The names that must be in a chain, empty non-terminals included.
fn wanted<'z>(signed: &Signed<'z>) -> Vec<Wanted<'z>> {
    let apex = signed.zone.apex();
    let mut wanted: Vec<Wanted<'z>> = Vec::new();
    // Positions in `wanted` of the names on the way from the apex to the latest one.
    let mut path: Vec<usize> = Vec::new();
    for spot in signed.spots.iter().filter(|spot| spot.is_authoritative()) {
        let name = spot.name();
        while path.last().is_some_and(|&idx| !name.is_at_or_below(wanted[idx].name)) {
            path.pop();
        }
        let top = path.last().map_or(apex, |&idx| wanted[idx].name);
        let mut between = Vec::new();
        let mut ancestor = name.parent();
        while let Some(at) = ancestor.filter(|&at| name != apex && at != top && at.is_at_or_below(apex)) {
            between.push(at);
            ancestor = at.parent();
        }
        let line = spot.line();
        for name in between.into_iter().rev() {
            let above = path.last().copied();
            path.push(wanted.len());
            wanted.push(Wanted { name, line, is_insecure_delegation: false, above, types: Vec::new() });
        }
        let is_insecure_delegation = spot.place == Place::Cut && spot.owner.rrset(Rtype::DS).is_none();
        let above = path.last().copied();
        path.push(wanted.len());
        wanted.push(Wanted { name, line, is_insecure_delegation, above, types: types(spot) });
    }
    wanted
}

/// The types that an NSEC3 lists for an owner.
fn types(spot: &Spot<'_>) -> Vec<Rtype> {
    let mut types = spot.types();
    types.retain(|&rtype| !matches!(rtype, Rtype::NSEC | Rtype::NSEC3));
    // An insecure delegation has nothing to sign but an NSEC of another chain.
    if spot.place == Place::Cut && !types.contains(&Rtype::DS) {
        types.retain(|&rtype| rtype != Rtype::RRSIG);
    }
    types
}

impl Chain<'_> {
    /// Notes all names of the zone. An empty non-terminal may be missing only if all that it exists for may and is
    /// (RFC 5155 section 7.1), so names go before those above them.
    fn visit_all(&mut self, wanted: &[Wanted<'_>], hashes: &[Hash], findings: &mut Findings) {
        let mut is_needed = vec![false; wanted.len()];
        for (idx, (name, hash)) in wanted.iter().zip(hashes).enumerate().rev() {
            let is_empty_non_terminal = name.types.is_empty();
            let may_opt_out = name.is_insecure_delegation || (is_empty_non_terminal && !is_needed[idx]);
            let is_opted_out = self.visit(name, hash, may_opt_out, findings);
            if let Some(above) = name.above.filter(|_| !is_opted_out) {
                is_needed[above] = true;
            }
        }
    }

    /// Notes a name of the zone: it must have its NSEC3, with its types. Returns whether it is left out by right.
    fn visit(&mut self, wanted: &Wanted<'_>, hash: &Hash, may_opt_out: bool, findings: &mut Findings) -> bool {
        let Wanted { name, line, .. } = *wanted;
        if let Some(link) = self.links.get_mut(hash) {
            link.is_expected = true;
            if let Some(difference) = types_differ(&link.nsec3.types.types(), &wanted.types) {
                let message =
                    format!("NSEC3 of {name} at {} {difference} (RFC 5155 section 7.1): sign again", link.owner);
                findings.insecure("nsec3-types", link.record.line, name, message);
            }
            return false;
        }
        let cover = self.links.range(..*hash).next_back().or_else(|| self.links.last_key_value());
        if may_opt_out && cover.is_some_and(|(_, link)| link.nsec3.is_opt_out()) {
            return true;
        }
        let what = if wanted.types.is_empty() { "the empty non-terminal " } else { "" };
        let why = if may_opt_out { ", and the NSEC3 around it has no opt-out flag" } else { "" };
        let message = format!(
            "{what}{name} has no NSEC3 {}{why} (RFC 5155 section 7.1): its types are not proven; sign again",
            base32hex(hash)
        );
        findings.insecure("missing-nsec3", line, name, message);
        false
    }

    /// Each record names the next one, and each belongs to a name.
    fn check_links(&self, findings: &mut Findings) {
        let followers = self.links.keys().skip(1).chain(self.links.keys().take(1));
        for (link, next) in self.links.values().zip(followers) {
            let owner = link.owner;
            if link.nsec3.next != next {
                let message = format!(
                    "NSEC3 at {owner} names {} as the next hash, it is {} (RFC 5155 section 7.1): the chain is broken; \
                     sign again",
                    base32hex(link.nsec3.next),
                    base32hex(next)
                );
                findings.insecure("nsec3-chain", link.record.line, owner, message);
            }
            if !link.is_expected {
                let message =
                    format!("no name of the zone hashes to the NSEC3 {owner} (RFC 5155 section 7.1): remove it");
                findings.insecure("stray-nsec3", link.record.line, owner, message);
            }
        }
    }

    /// Parameters that cost more than they give (RFC 9276 section 3.1).
    fn check_cost(&self, first: &Link<'_>, findings: &mut Findings) {
        let HashParameters { algorithm, iterations, salt } = self.parameters;
        let (line, owner) = (first.record.line, first.owner);
        if algorithm != ALGORITHM_SHA1 {
            let message =
                format!("NSEC3 with hash algorithm {algorithm} is not verified: only 1 is known (RFC 5155 section 11)");
            findings.warning("nsec3-algorithm", line, owner, message);
        } else if iterations > ITERATIONS_MAX {
            let message = format!(
                "NSEC3 with {iterations} iterations: validators take the zone as insecure or broken above \
                 {ITERATIONS_MAX} (RFC 9276 section 3.2); sign with 0"
            );
            findings.insecure("nsec3-iterations", line, owner, message);
        } else if iterations > 0 || !salt.is_empty() {
            let message =
                format!("NSEC3 with {}: sign with 0 iterations and no salt (RFC 9276 section 3.1)", self.parameters);
            findings.warning("nsec3-cost", line, owner, message);
        }
    }
}

/// A hash as NSEC3 owners write it.
pub(super) fn base32hex(hash: &[u8]) -> String {
    BASE32HEX_NOPAD.encode(hash).to_ascii_lowercase()
}
