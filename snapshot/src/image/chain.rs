//! Builds a segment's denial index: which names own NSEC or NSEC3 records, in the order of their chain.
//!
//! NSEC records stay with the nodes of their owners. Owners of NSEC3 are no names that can be asked for (RFC 5155 section
//! 7.2.8), so their nodes lie apart, out of the name index. In an overlay only the owners among its names are listed, and
//! what is announced is the chain of its base (see `overlay`).

use super::build::BuildError;
use super::denial::{DenialRef, guide_bits, guide_len, guide_slot};
use super::layout::{DENIAL_NONE, DENIAL_NSEC, DENIAL_NSEC3, words};
use super::order::Labels;
use crate::dns::name::{Name, NameRef};
use crate::dns::nsec3::{HASH_LEN, ITERATIONS_MAX, Params, hash_of_owner};
use crate::dns::rtype::Rtype;
use crate::dns::zone::{OwnerRecords, Zone};

/// A flag of NSEC3PARAM other than zero means that the chain is not whole (RFC 5155 section 4.1.2).
const FLAGS_OFF: usize = 1;

/// What the index is made of, gathered while nodes are written.
#[derive(Default)]
pub(super) struct ChainBuilder<'z> {
    /// Keys and nodes of NSEC owners, in canonical order.
    nsec: Vec<(u64, u32)>,
    /// Owners of NSEC3.
    hashed: Vec<OwnerRecords<'z>>,
    /// Hashes of NSEC3 owners and their nodes, of an overlay.
    rendered: Vec<([u8; HASH_LEN], &'z [u8])>,
}

/// The NSEC3 chain that is served.
pub(super) struct Hashed<'z> {
    /// Its parameters.
    pub(super) params: Params<'z>,
    /// Its owners by ascending hash.
    pub(super) owners: Vec<([u8; HASH_LEN], OwnerRecords<'z>)>,
}

/// The same once its nodes are written.
pub(super) struct Written<'z> {
    /// Its parameters.
    pub(super) params: Params<'z>,
    /// Keys and nodes of its owners, in words.
    pub(super) entries: Vec<(u64, u32)>,
}

/// The parameters of the NSEC3 chains that the apex announces (RFC 5155 section 7.3).
pub(super) fn announced(zone: &Zone) -> impl Iterator<Item = Params<'_>> {
    let announced = zone.owner(zone.apex()).and_then(|owner| owner.rrset(Rtype::NSEC3PARAM));
    let records = announced.into_iter().flat_map(|rrset| rrset.records().collect::<Vec<_>>());
    records.filter_map(|param| Params::of_rdata(param.rdata).filter(|_| param.rdata[FLAGS_OFF] == 0))
}

impl<'z> ChainBuilder<'z> {
    /// Notes an owner of NSEC and where its node is.
    pub(super) fn push_nsec(&mut self, owner: NameRef<'_>, apex_labels: usize, word: u32) {
        let canonical = owner.as_wire().to_ascii_lowercase();
        self.nsec.push((Labels::of(&canonical).sort_prefix(apex_labels), word));
    }

    /// Notes the node of an NSEC3 owner that was rendered, by ascending hash.
    pub(super) fn push_rendered(&mut self, hash: [u8; HASH_LEN], node: &'z [u8]) {
        self.rendered.push((hash, node));
    }

    /// The nodes of NSEC3 owners that were rendered.
    pub(super) fn rendered(&self) -> &[([u8; HASH_LEN], &'z [u8])] {
        &self.rendered
    }

    /// Notes an owner of NSEC3.
    pub(super) fn push_nsec3(&mut self, owner: &OwnerRecords<'z>) {
        self.hashed.push(*owner);
    }

    /// The first NSEC3 chain that the apex announces of which there are records.
    ///
    /// # Errors
    /// [`BuildError::Iterations`] if it wants more hashing than is served.
    pub(super) fn hashed(&self, zone: &'z Zone, apex: &Name) -> Result<Option<Hashed<'z>>, BuildError> {
        for params in announced(zone) {
            let belongs = |owner: &OwnerRecords<'z>| {
                owner
                    .rrset(Rtype::NSEC3)
                    .is_some_and(|rrset| rrset.records().all(|record| Params::of_rdata(record.rdata) == Some(params)))
            };
            let in_zone = |owner: &OwnerRecords<'z>| owner.name().parent() == Some(zone.apex());
            let mut owners: Vec<_> = (self.hashed.iter())
                .filter(|owner| in_zone(owner) && belongs(owner))
                .filter_map(|owner| Some((hash_of_owner(owner.name())?, *owner)))
                .collect();
            if owners.is_empty() {
                continue;
            }
            if params.iterations > ITERATIONS_MAX {
                return Err(BuildError::Iterations { apex: apex.clone(), iterations: params.iterations });
            }
            owners.sort_unstable_by_key(|(hash, _)| *hash);
            return Ok(Some(Hashed { params, owners }));
        }
        Ok(None)
    }

    /// Appends the index of an NSEC3 chain, or of the NSEC records.
    pub(super) fn write(&self, out: &mut Vec<u8>, hashed: Option<&Written<'_>>) -> Result<DenialRef, BuildError> {
        let too_large = |_| BuildError::TooLarge("a zone");
        let pad = |out: &mut Vec<u8>| out.resize(out.len().next_multiple_of(8), 0);
        pad(out);
        let word = u32::try_from(words(out.len())).map_err(too_large)?;
        let (kind, salt, iterations, entries) = match hashed {
            Some(Written { params, entries }) => (DENIAL_NSEC3, params.salt, params.iterations, entries),
            None if self.nsec.is_empty() => return Ok(DenialRef { kind: DENIAL_NONE, ..DenialRef::default() }),
            None => (DENIAL_NSEC, &[][..], 0, &self.nsec),
        };
        let count = u32::try_from(entries.len()).map_err(too_large)?;
        out.extend_from_slice(salt);
        pad(out);
        if kind == DENIAL_NSEC3 {
            for slot in 0..guide_len(count) {
                let first = entries.partition_point(|(key, _)| guide_slot(*key, guide_bits(count)) < slot);
                out.extend_from_slice(&u32::try_from(first).map_err(too_large)?.to_le_bytes());
            }
            pad(out);
        }
        for (key, _) in entries {
            out.extend_from_slice(&key.to_le_bytes());
        }
        for (_, word) in entries {
            out.extend_from_slice(&word.to_le_bytes());
        }
        pad(out);
        let salt_len = u8::try_from(salt.len()).map_err(too_large)?;
        Ok(DenialRef { word, count, iterations, kind, salt_len })
    }
}
