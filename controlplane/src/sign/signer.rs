//! Signs one owner at a time: what the whole-zone signer is made of, and what signs the few names that a change touches.
//!
//! It sees no zone: who calls it knows where an owner lies and what follows it in the chain. Invariant: the records of an
//! owner depend on what the caller tells of that owner alone.

use std::borrow::Cow;

use snapshot::dns::name::{NAME_LEN_MAX, Name, NameRef};
use snapshot::dns::nsec3::{HASH_LEN, HASH_TEXT_LEN, Params, text};
use snapshot::dns::rdata::push_bitmap;
use snapshot::dns::rtype::Rtype;

use super::published::{Previous, Published};
use super::rrsig::{Made, Pen, Task};
use super::times::Window;
use super::{Denial, Key, Plan, Set, SignError};
use crate::check::dnssec::rdata::Dnskey;
use crate::check::place::Place;

/// How names are hashed (RFC 9276 section 3.1).
pub(super) const PARAMS: Params<'static> = Params { iterations: 0, salt: &[] };
/// RDATA of NSEC3PARAM: SHA-1, no flags, no iterations, no salt.
pub(super) const NSEC3PARAM: [u8; 5] = [1, 0, 0, 0, 0];
/// The flags of an NSEC3 behind which delegations may be missing.
const FLAG_OPT_OUT: u8 = 1;

/// Where an owner lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In the authoritative data, the apex included.
    Authoritative,
    /// At a zone cut.
    Cut,
    /// Below a zone cut or a DNAME: nothing is signed, no chain names it.
    Hidden,
}

/// An owner.
pub struct Node<'n> {
    /// Its name.
    pub owner: NameRef<'n>,
    /// Where it lies.
    pub standing: Standing,
    /// Its RRsets, without RRSIG and NSEC; those of the apex are made by `apex_sets`.
    pub sets: Vec<Set<'n>>,
    /// In zones with NSEC, the next owner that is not hidden, which of the last one is the apex.
    pub next: NameRef<'n>,
}

/// A place in the chain of an NSEC3 zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The hash of the name, [`ZoneSigner::hash`].
    pub hash: [u8; HASH_LEN],
    /// The next hash, which of the last one is the first.
    pub next: [u8; HASH_LEN],
    /// Its types as the record lists them, [`hashed_types`].
    pub types: Vec<u8>,
}

/// Signs the owners of one zone.
pub struct ZoneSigner<'p> {
    /// The apex in canonical form.
    apex: Name,
    /// The keys.
    pens: Vec<Pen<'p>>,
    /// How the zone denies.
    denial: Denial,
    /// TTL of what denies.
    denial_ttl_secs: u32,
    /// The times of new signatures.
    window: Window,
    /// What was published before.
    published: &'p dyn Published,
}

impl<'p> ZoneSigner<'p> {
    /// Makes sure of the plan. `denial_ttl_secs` is the lesser of the SOA's TTL and its last field (RFC 9077 section 3).
    ///
    /// # Errors
    /// [`SignError`] about keys, times, or an apex too long for NSEC3.
    pub fn new(
        apex: NameRef<'_>,
        denial_ttl_secs: u32,
        plan: &Plan<'p>,
        published: &'p dyn Published,
    ) -> Result<ZoneSigner<'p>, SignError> {
        let window = plan.times.window()?;
        check_keys(plan.keys)?;
        let hashed_len = apex.as_wire().len() + HASH_TEXT_LEN + 1;
        if plan.denial != Denial::Nsec && hashed_len > NAME_LEN_MAX {
            return Err(SignError::ApexTooLong(apex.to_name()));
        }
        let before = Previous::read(published, apex);
        let pens = plan.keys.iter().map(|key| Pen { key: *key, is_known: is_known(key, &before) }).collect();
        let apex = apex.to_name().to_canonical();
        Ok(ZoneSigner { apex, pens, denial: plan.denial, denial_ttl_secs, window, published })
    }

    /// Makes the records of an owner: the RRSIG of what is signed, and its NSEC if the zone has such.
    ///
    /// # Errors
    /// [`SignError::Signer`].
    pub fn owner(&self, node: &Node<'_>, made: &mut Made) -> Result<(), SignError> {
        let is_due = |set: &&Set<'_>| is_signed(node.standing, set.rtype) && !set.rdatas.is_empty();
        let has_nsec = self.denial == Denial::Nsec && node.standing != Standing::Hidden;
        if !has_nsec && !node.sets.iter().any(|set| is_due(&set)) {
            return Ok(());
        }
        let previous = self.previous(node.owner);
        for set in node.sets.iter().filter(is_due) {
            self.signatures(node.owner, set, &previous, made)?;
        }
        if has_nsec {
            // Upper case would mean the same, but not to validators older than RFC 6840 section 5.1.
            let mut rdata = node.next.as_wire().to_ascii_lowercase();
            let mut types = listed(node.standing, node.sets.iter().map(|set| set.rtype));
            types.extend([Rtype::NSEC, Rtype::RRSIG]);
            push_bitmap(&mut types, &mut rdata);
            self.denies(node.owner, Rtype::NSEC, &rdata, &previous, made)?;
        }
        Ok(())
    }

    /// Makes the NSEC3 of a name and its RRSIG; their owner is [`ZoneSigner::hashed_owner`].
    ///
    /// # Errors
    /// [`SignError::Signer`].
    pub fn link(&self, link: &Link, made: &mut Made) -> Result<(), SignError> {
        let mut rdata = NSEC3PARAM.to_vec();
        if self.denial == (Denial::Nsec3 { opt_out: true }) {
            rdata[1] |= FLAG_OPT_OUT;
        }
        // The hash has its length in front.
        rdata.push(20);
        rdata.extend_from_slice(&link.next);
        rdata.extend_from_slice(&link.types);
        let owner = self.hashed_owner(&link.hash);
        self.denies(owner.as_ref(), Rtype::NSEC3, &rdata, &self.previous(owner.as_ref()), made)
    }

    /// Makes the signatures of one RRset.
    ///
    /// # Errors
    /// [`SignError::Signer`].
    pub fn set(&self, owner: NameRef<'_>, set: &Set<'_>, made: &mut Made) -> Result<(), SignError> {
        self.signatures(owner, set, &self.previous(owner), made)
    }

    /// The hash of a name of the zone.
    #[must_use]
    pub fn hash(&self, name: NameRef<'_>) -> [u8; HASH_LEN] {
        PARAMS.hash(&name.as_wire().to_ascii_lowercase())
    }

    /// The owner of the NSEC3 with this hash.
    #[must_use]
    pub fn hashed_owner(&self, hash: &[u8; HASH_LEN]) -> Name {
        let wire = [&[32], &text(hash)[..], self.apex.as_wire()].concat();
        // The length of the apex was looked at, for zones that have such owners.
        Name::from_wire(&wire).unwrap_or_else(|_| self.apex.clone())
    }

    /// Adds what denies, and signs it.
    fn denies(
        &self,
        owner: NameRef<'_>,
        rtype: Rtype,
        rdata: &[u8],
        previous: &Previous,
        made: &mut Made,
    ) -> Result<(), SignError> {
        let ttl_secs = self.denial_ttl_secs;
        made.push(rtype, ttl_secs, &[rdata]);
        let set = Set { rtype, ttl_secs, rdatas: vec![Cow::Borrowed(rdata)] };
        self.signatures(owner, &set, previous, made)
    }

    /// Signs an RRset with the keys that sign its type, or takes the signatures of what was published of it.
    ///
    /// # Errors
    /// [`SignError::Signer`].
    pub(super) fn signatures(
        &self,
        owner: NameRef<'_>,
        set: &Set<'_>,
        previous: &Previous,
        made: &mut Made,
    ) -> Result<(), SignError> {
        let is_parents = is_for_parent(set.rtype) && owner == self.apex.as_ref();
        let signs = |pen: &&Pen<'_>| if is_parents { pen.key.signs_keys } else { pen.key.signs_zone };
        let pens = self.pens.iter().filter(signs).copied();
        Task { apex: self.apex.as_ref(), owner, set, previous, window: &self.window }.sign(pens, made)
    }

    /// What was published of an owner; nothing is of use if no key is the same.
    fn previous(&self, owner: NameRef<'_>) -> Previous {
        if self.is_any_known() { Previous::read(self.published, owner) } else { Previous::default() }
    }

    /// What could be answered in place of an RRset, as it was published.
    pub(super) fn previous_alternatives(&self, owner: NameRef<'_>, rtype: Rtype) -> Vec<Previous> {
        if self.is_any_known() { Previous::read_alternatives(self.published, owner, rtype) } else { Vec::new() }
    }

    /// Whether a key signed what was published.
    fn is_any_known(&self) -> bool {
        self.pens.iter().any(|pen| pen.is_known)
    }
}

impl From<Place<'_>> for Standing {
    /// What is outside of the zone is as hidden as what is below a cut.
    fn from(place: Place<'_>) -> Standing {
        match place {
            Place::Apex | Place::Inside => Standing::Authoritative,
            Place::Cut => Standing::Cut,
            Place::Outside | Place::Hashed | Place::BelowCut(_) | Place::BelowDname(_) => Standing::Hidden,
        }
    }
}

/// The bitmap of a name's NSEC3: `types` are its own, without RRSIG, and none for an empty non-terminal.
#[must_use]
pub fn hashed_types(standing: Standing, types: impl Iterator<Item = Rtype>) -> Vec<u8> {
    let mut types = listed(standing, types);
    // A delegation without DS has nothing that is signed, nor has an empty non-terminal.
    if types.contains(&Rtype::DS) || (standing == Standing::Authoritative && !types.is_empty()) {
        types.push(Rtype::RRSIG);
    }
    let mut bitmap = Vec::new();
    push_bitmap(&mut types, &mut bitmap);
    bitmap
}

/// The keys are what the plan says and sign everything between them.
fn check_keys(keys: &[Key<'_>]) -> Result<(), SignError> {
    for (idx, key) in keys.iter().enumerate() {
        let Key { tag, algorithm, .. } = *key;
        let fits = |dnskey: Dnskey<'_>| dnskey.signs_zones() && dnskey.algorithm == algorithm && dnskey.tag() == tag;
        if !Dnskey::read(key.dnskey).is_some_and(fits) {
            return Err(SignError::KeyMismatch { tag, algorithm });
        }
        if key.signs_keys && !key.is_announced {
            return Err(SignError::NotAnnounced { tag });
        }
        if keys[..idx].iter().any(|other| (other.tag, other.algorithm) == (tag, algorithm)) {
            return Err(SignError::TagCollision { tag, algorithm });
        }
    }
    if !keys.iter().any(|key| key.signs_keys) {
        return Err(SignError::NoKey("the DNSKEY records"));
    }
    if !keys.iter().any(|key| key.signs_zone) {
        return Err(SignError::NoKey("the zone"));
    }
    Ok(())
}

/// Whether what was published with the tag of a key is by that key.
fn is_known(key: &Key<'_>, apex: &Previous) -> bool {
    let mut has = false;
    for (_, rdata) in apex.of_type(Rtype::DNSKEY) {
        let is_same = rdata == key.dnskey;
        let is_alike = |other: Dnskey<'_>| other.tag() == key.tag && other.algorithm == key.algorithm;
        if !is_same && Dnskey::read(rdata).is_some_and(is_alike) {
            return false;
        }
        has |= is_same;
    }
    has
}

/// Whether the parent zone looks at a type at the apex, so that a key which the parent knows must sign it (RFC 7344
/// section 4.1).
fn is_for_parent(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::DNSKEY | Rtype::CDS | Rtype::CDNSKEY)
}

/// Whether records of a type are the zone's own (RFC 4035 section 2.2).
fn is_signed(standing: Standing, rtype: Rtype) -> bool {
    match standing {
        Standing::Authoritative => true,
        Standing::Cut => rtype == Rtype::DS,
        Standing::Hidden => false,
    }
}

/// The types that a bitmap lists but for those that signing adds: at a zone cut, those of the delegation (RFC 4035
/// section 2.3, RFC 5155 section 7.1).
fn listed(standing: Standing, types: impl Iterator<Item = Rtype>) -> Vec<Rtype> {
    match standing {
        Standing::Cut => types.filter(|&rtype| matches!(rtype, Rtype::NS | Rtype::DS)).collect(),
        Standing::Authoritative | Standing::Hidden => types.collect(),
    }
}
