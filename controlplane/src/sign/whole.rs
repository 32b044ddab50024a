//! Signs a zone from end to end, on several threads.
//!
//! Invariant: what it gives of an owner is what [`ZoneSigner`] gives; here is only the walk, which finds out where owners
//! lie and what follows them. Cost beside the signatures: a few walks, and sorting what is sorted already. Memory: the
//! zone and the signed zone.

use std::borrow::Cow;
use std::num::NonZeroUsize;

use snapshot::dns::choice::Choice;
use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{OwnerRecords, Record, Zone, ZoneBuilder, ZoneTooLarge};

use super::apex::apex_sets;
use super::blocks::BLOCK_LEN;
use super::nsec3::{Candidate, Hashed};
use super::published::Published;
use super::rrsig::{Made, MadeRecord};
use super::signer::{Link, Node, Standing, ZoneSigner, hashed_types};
use super::{Denial, Plan, Set, SignError, Signed, blocks, nsec3};
use crate::check::dnssec::{negative_ttl_secs, zonemd};
use crate::check::place::{Place, Terrain};

/// The one scheme of ZONEMD and its hash, SHA-384 (RFC 8976 section 2.2).
const ZONEMD_SCHEME_AND_HASH: [u8; 2] = [1, 1];

/// An owner of the zone and where it lies.
struct Spot<'z> {
    /// The records.
    owner: OwnerRecords<'z>,
    /// Where it lies.
    standing: Standing,
    /// The next owner that is not hidden.
    next: NameRef<'z>,
}

/// The zone on its way to be signed.
struct Work<'w, 'z, 'p> {
    /// What signs.
    signer: ZoneSigner<'p>,
    /// The owners in canonical order.
    spots: Vec<Spot<'z>>,
    /// The RRsets of the first of them, the apex.
    apex_sets: &'w [Set<'z>],
    /// How many threads sign.
    jobs: NonZeroUsize,
}

/// What came of some owners or links.
#[derive(Default)]
struct Block {
    /// Their records.
    made: Made,
    /// How many of these belong to each.
    counts: Vec<usize>,
    /// How many belong to any of those.
    count: usize,
}

/// The signed zone as far as it is there.
struct Output {
    /// The records.
    builder: ZoneBuilder,
    /// How many signatures are new.
    made: usize,
    /// How many were published before.
    reused: usize,
    /// When the first ends.
    earliest: Option<u32>,
}

/// Signs a zone. Whatever it has of RRSIG, NSEC, NSEC3 and NSEC3PARAM is refused: who signs a signed zone would lose
/// what another signer says without a word. Its DNSKEY, CDS and CDNSKEY are merged with those of the plan.
///
/// # Errors
/// [`SignError`]; nothing is signed by halves.
pub fn sign(zone: &Zone, plan: &Plan<'_>, published: &dyn Published, jobs: NonZeroUsize) -> Result<Signed, SignError> {
    let name = zone.apex();
    let no_soa = || SignError::NoSoa(name.to_name());
    let apex = zone.owner(name).ok_or_else(no_soa)?;
    let denial_ttl_secs = negative_ttl_secs(Some(&apex)).ok_or_else(no_soa)?;
    let signer = ZoneSigner::new(name, denial_ttl_secs, plan, published)?;
    let apex_sets = apex_sets(&apex, plan);
    let work = Work { signer, spots: spots(zone)?, apex_sets: &apex_sets, jobs };
    let mut output = Output { builder: ZoneBuilder::new(name.to_name()), made: 0, reused: 0, earliest: None };
    work.owners(&mut output)?;
    if let Denial::Nsec3 { opt_out } = plan.denial {
        work.links(opt_out, &mut output)?;
    }
    work.choices(zone, &mut output)?;
    let mut zone = output.finish_zone();
    if let Some(set) = apex_sets.iter().find(|set| set.rtype == Rtype::ZONEMD) {
        zone = work.zonemd(zone, set.ttl_secs, &mut output)?;
    }
    let Output { made, reused, earliest, .. } = output;
    Ok(Signed { zone, made, reused, earliest_expiry_unix_secs: earliest.unwrap_or_default().into() })
}

/// Looks where the owners of a zone lie and which follows which.
fn spots(zone: &Zone) -> Result<Vec<Spot<'_>>, SignError> {
    let apex = zone.apex();
    let mut terrain = Terrain::new(apex);
    let mut spots = Vec::new();
    for owner in zone.owners() {
        let place = terrain.place(&owner);
        if place == Place::Outside {
            continue;
        }
        let is_made = |rtype: &Rtype| matches!(*rtype, Rtype::RRSIG | Rtype::NSEC | Rtype::NSEC3 | Rtype::NSEC3PARAM);
        if let Some(rtype) = owner.rrsets().map(|rrset| rrset.rtype()).find(is_made) {
            return Err(SignError::AlreadySigned { owner: owner.name().to_name(), rtype });
        }
        spots.push(Spot { owner, standing: place.into(), next: apex });
    }
    let mut next = apex;
    for spot in spots.iter_mut().rev() {
        spot.next = next;
        if spot.standing != Standing::Hidden {
            next = spot.owner.name();
        }
    }
    Ok(spots)
}

impl<'z> Work<'_, 'z, '_> {
    /// Signs the owners.
    fn owners(&self, output: &mut Output) -> Result<(), SignError> {
        blocks::in_blocks(
            self.spots.len(),
            self.jobs,
            |range| {
                let mut block = Block::default();
                for idx in range {
                    let Spot { owner, standing, next } = &self.spots[idx];
                    if *standing != Standing::Hidden {
                        let node = Node { owner: owner.name(), standing: *standing, sets: self.sets(idx), next: *next };
                        self.signer.owner(&node, &mut block.made)?;
                    }
                    block.close();
                }
                Ok(block)
            },
            |range, block| {
                output.count(&block.made);
                let mut made = block.made.records();
                for (idx, count) in range.zip(&block.counts) {
                    let sets = self.sets(idx);
                    output.push(self.spots[idx].owner.name(), &sets, made.by_ref().take(*count))?;
                }
                Ok(())
            },
        )
    }

    /// Makes the chain of NSEC3.
    fn links(&self, opt_out: bool, output: &mut Output) -> Result<(), SignError> {
        let candidate = |(idx, spot): (usize, &Spot<'z>)| match spot.standing {
            Standing::Hidden => None,
            Standing::Cut if opt_out && spot.owner.rrset(Rtype::DS).is_none() => self.beside_wildcard(spot),
            Standing::Authoritative | Standing::Cut => Some(Candidate { name: spot.owner.name(), idx: Some(idx) }),
        };
        let names = self.spots.iter().enumerate().filter_map(candidate);
        let apex = self.spots[0].owner.name();
        let chain = nsec3::chain(apex, names, |name| self.signer.hash(name))?;
        blocks::in_blocks(
            chain.len(),
            self.jobs,
            |range| {
                let mut block = Block::default();
                for idx in range {
                    let next = chain[(idx + 1) % chain.len()].hash;
                    self.signer.link(&self.link(chain[idx], next), &mut block.made)?;
                    block.close();
                }
                Ok(block)
            },
            |range, block| {
                output.count(&block.made);
                let mut made = block.made.records();
                for (hashed, count) in chain[range].iter().zip(&block.counts) {
                    let owner = self.signer.hashed_owner(&hashed.hash);
                    output.push(owner.as_ref(), &[], made.by_ref().take(*count))?;
                }
                Ok(())
            },
        )
    }

    /// Signs what may be answered in place of RRsets.
    fn choices(&self, zone: &'z Zone, output: &mut Output) -> Result<(), SignError> {
        if zone.choices().next().is_none() {
            return Ok(());
        }
        let spots = self.spots.iter().filter(|spot| spot.standing == Standing::Authoritative);
        let found = |Spot { owner, .. }: &Spot<'z>| {
            let name = owner.name();
            let of_type = move |rtype| Some((name, rtype, zone.choice(name, rtype)?));
            owner.rrsets().map(|rrset| rrset.rtype()).filter_map(of_type).collect::<Vec<_>>()
        };
        let choices: Vec<(NameRef<'z>, Rtype, &Choice)> = spots.flat_map(found).collect();
        // Each alternative is as much work as another owner.
        let count: usize = choices.iter().map(|(.., choice)| choice.alternatives().count()).sum();
        let block_len = (BLOCK_LEN * choices.len()).checked_div(count).unwrap_or(BLOCK_LEN).max(1);
        blocks::in_blocks_of(
            block_len,
            choices.len(),
            self.jobs,
            |range| {
                let mut made = Made::default();
                let sign = |&(owner, rtype, choice): &(NameRef<'z>, Rtype, &Choice)| {
                    self.signer.choice(owner, rtype, choice, &mut made)
                };
                let signed = choices[range].iter().map(sign).collect::<Result<Vec<_>, SignError>>()?;
                Ok((signed, made))
            },
            |range, (signed, made)| {
                output.count(&made);
                for ((owner, rtype, _), choice) in choices[range].iter().zip(signed) {
                    output.builder.choose(*owner, *rtype, choice);
                }
                Ok(())
            },
        )
    }

    /// The longest name above a delegation that is opted out which must not be: one beside a wildcard. That does not stand for
    /// names below it (RFC 4592 section 2.2.2), but whoever cannot see it would have to be shown that there is no wildcard
    /// (RFC 5155 section 8.4).
    fn beside_wildcard(&self, delegation: &Spot<'z>) -> Option<Candidate<'z>> {
        let apex = self.spots[0].owner.name();
        let mut name = delegation.owner.name().parent()?;
        while name != apex {
            let above = name.parent()?;
            if self.has_wildcard(above) {
                return Some(Candidate { name, idx: None });
            }
            name = above;
        }
        None
    }

    /// Whether there is a wildcard one label below a name, if only with names below it.
    fn has_wildcard(&self, name: NameRef<'_>) -> bool {
        let Ok(wildcard) = Name::from_wire(&[&b"\x01*"[..], name.as_wire()].concat()) else { return false };
        let at = self.spots.partition_point(|spot| spot.owner.name() < wildcard.as_ref());
        self.spots.get(at).is_some_and(|spot| spot.owner.name().is_at_or_below(wildcard.as_ref()))
    }

    /// One link of the chain.
    fn link(&self, Hashed { hash, idx }: Hashed, next: [u8; 20]) -> Link {
        let types = match idx {
            None => Vec::new(),
            Some(0) => hashed_types(Standing::Authoritative, self.apex_sets.iter().map(|set| set.rtype)),
            Some(idx) => {
                let Spot { owner, standing, .. } = &self.spots[idx];
                hashed_types(*standing, owner.rrsets().map(|rrset| rrset.rtype()))
            }
        };
        Link { hash, next, types }
    }

    /// The RRsets of an owner.
    fn sets(&self, idx: usize) -> Vec<Set<'z>> {
        match idx {
            0 => self.apex_sets.to_vec(),
            _ => self.spots[idx].owner.rrsets().map(|rrset| Set::of(&rrset)).collect(),
        }
    }

    /// Adds the digest of the zone to it, with its signatures (RFC 8976 section 3.1).
    fn zonemd(&self, zone: Zone, ttl_secs: u32, output: &mut Output) -> Result<Zone, SignError> {
        let apex = zone.apex().to_name();
        let soa = zone.owner(apex.as_ref()).and_then(|owner| owner.rrset(Rtype::SOA));
        let serial = soa.and_then(|soa| zonemd::serial(soa.records().next()?.rdata));
        let serial = serial.ok_or_else(|| SignError::NoSoa(apex.clone()))?;
        let digest = zonemd::digest(&zone, ZONEMD_SCHEME_AND_HASH[1]).unwrap_or_default();
        let rdata = [&serial.to_be_bytes()[..], &ZONEMD_SCHEME_AND_HASH, &digest].concat();
        let sets = [Set { rtype: Rtype::ZONEMD, ttl_secs, rdatas: vec![Cow::Owned(rdata)] }];
        let mut made = Made::default();
        self.signer.set(apex.as_ref(), &sets[0], &mut made)?;
        output.builder = zone.reopen();
        output.count(&made);
        output.push(apex.as_ref(), &sets, made.records())?;
        Ok(output.finish_zone())
    }
}

impl Block {
    /// Ends what belongs to one owner.
    fn close(&mut self) {
        let count = self.made.record_count();
        self.counts.push(count - self.count);
        self.count = count;
    }
}

impl Output {
    /// Counts signatures.
    fn count(&mut self, made: &Made) {
        self.made += made.made;
        self.reused += made.reused;
        self.earliest = match (self.earliest, made.earliest_expiry) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// Adds the records of an owner, in the order that the zone has them in: sorting it is little work then.
    fn push<'s, 'm: 's>(
        &mut self,
        owner: NameRef<'_>,
        sets: &'s [Set<'_>],
        made: impl Iterator<Item = MadeRecord<'m>>,
    ) -> Result<(), ZoneTooLarge> {
        let mut records: Vec<MadeRecord<'s>> = Vec::with_capacity(8);
        for Set { rtype, ttl_secs, rdatas } in sets {
            let record = |rdata: &'s Cow<'_, [u8]>| MadeRecord { rtype: *rtype, ttl_secs: *ttl_secs, rdata };
            records.extend(rdatas.iter().map(record));
        }
        made.for_each(|record| records.push(record));
        records.sort_unstable_by(|a, b| a.rtype.cmp(&b.rtype).then_with(|| a.rdata.cmp(b.rdata)));
        for MadeRecord { rtype, ttl_secs, rdata } in records {
            self.builder.push(Record { owner, rtype, ttl_secs, rdata, line: 0 })?;
        }
        Ok(())
    }

    /// The zone so far; what comes later needs it opened again.
    fn finish_zone(&mut self) -> Zone {
        let apex = self.builder.apex().to_name();
        std::mem::replace(&mut self.builder, ZoneBuilder::new(apex)).finish()
    }
}
