//! The records of one zone, sorted and grouped: what a zone file or a database is read into and a segment is built from.
//!
//! Not a lookup structure and not a policy: any well-formed records may be here, checks are made on it, not by it.
//! Invariant of [`Zone`]: owners in canonical order (RFC 4034 section 6.1), types ascending within an owner, records of
//! an RRset in the order of their RDATA octets as given and without duplicates (RFC 2181 section 5). Signing brings RDATA
//! into its canonical form first (`rdata::canonical`).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::choice::{Alternative, Choice};
use super::name::{Name, NameRef};
use super::rtype::Rtype;

/// Collects records in any order; [`ZoneBuilder::finish`] sorts them. One arena holds all bytes, so that a million
/// records cost two allocations that grow, not millions.
pub struct ZoneBuilder {
    /// The apex.
    apex: Name,
    /// Owners (wire format), RDATA and sort keys, one after the other.
    arena: Vec<u8>,
    /// The records in the order of their arrival.
    records: Vec<Slot>,
    /// The arena range of the latest owner and its key: runs of records with one owner share them.
    latest: Option<Owner>,
    /// The sort key of the apex.
    apex_key: Vec<u8>,
    /// As in [`Zone`].
    choices: Choices,
}

/// What may be answered in place of RRsets, by their owners in canonical form and their types.
type Choices = BTreeMap<(Name, Rtype), Choice>;

/// Where an owner's bytes are in the arena.
#[derive(Clone, Copy)]
struct Owner {
    /// See [`rank`].
    rank: u64,
    /// Offset of the wire format.
    name_off: u32,
    /// Its length.
    name_len: u8,
    /// Offset of the sort key.
    key_off: u32,
    /// Its length: at most 2 x 255.
    key_len: u16,
}

/// One record in the arena.
#[derive(Clone, Copy)]
struct Slot {
    /// Its owner.
    owner: Owner,
    /// Its type.
    rtype: Rtype,
    /// Length of the RDATA in octets.
    rdata_len: u16,
    /// Offset of the RDATA.
    rdata_off: u32,
    /// TTL in seconds.
    ttl_secs: u32,
    /// The line it was read from; 0 if it came from elsewhere.
    line: u32,
}

/// A zone's records, sorted and grouped into RRsets.
#[derive(Clone)]
pub struct Zone {
    /// The apex.
    apex: Name,
    /// As in [`ZoneBuilder`].
    arena: Vec<u8>,
    /// Sorted by owner, type, RDATA.
    records: Vec<Slot>,
    /// How many equal records were dropped.
    duplicate_count: usize,
    /// The sort key of the apex.
    apex_key: Vec<u8>,
    /// What may be answered in place of RRsets.
    choices: Choices,
}

/// One record of a [`Zone`].
#[derive(Clone, Copy, Debug)]
pub struct Record<'z> {
    /// The owner, case as given.
    pub owner: NameRef<'z>,
    /// The type.
    pub rtype: Rtype,
    /// TTL in seconds.
    pub ttl_secs: u32,
    /// RDATA in wire format, names uncompressed, case as given.
    pub rdata: &'z [u8],
    /// Line of the zone file, 0 if unknown.
    pub line: u32,
}

/// The records of one owner: `Zone::owners` yields them in canonical order.
#[derive(Clone, Copy)]
pub struct OwnerRecords<'z> {
    /// The zone.
    zone: &'z Zone,
    /// Its records of this owner, sorted by type.
    slots: &'z [Slot],
}

/// One RRset: the same owner and type. TTLs may still differ; [`Rrset::ttl_secs`] is the least of them (RFC 2181
/// section 5.2).
#[derive(Clone, Copy)]
pub struct Rrset<'z> {
    /// The zone.
    zone: &'z Zone,
    /// The records, at least one.
    slots: &'z [Slot],
}

/// The zone has more bytes than its arena can address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("zone exceeds {} bytes of names and rdata", u32::MAX)]
pub struct ZoneTooLarge;

impl ZoneBuilder {
    /// An empty zone at `apex`.
    #[must_use]
    pub fn new(apex: Name) -> ZoneBuilder {
        let mut apex_key = Vec::new();
        apex.as_ref().push_sort_key(&mut apex_key);
        let choices = Choices::new();
        ZoneBuilder { apex, arena: Vec::new(), records: Vec::new(), latest: None, apex_key, choices }
    }

    /// The apex.
    #[must_use]
    pub fn apex(&self) -> NameRef<'_> {
        self.apex.as_ref()
    }

    /// How many records were added.
    #[must_use]
    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// Adds a record; `rdata` is valid wire format of its type with names uncompressed.
    ///
    /// # Errors
    /// [`ZoneTooLarge`] when the arena passes 4 GiB; nothing is added then.
    pub fn push(&mut self, record: Record<'_>) -> Result<(), ZoneTooLarge> {
        let owner = self.owner(record.owner)?;
        let rdata_off = u32::try_from(self.arena.len()).map_err(|_| ZoneTooLarge)?;
        let rdata_len = u16::try_from(record.rdata.len()).map_err(|_| ZoneTooLarge)?;
        self.arena.extend_from_slice(record.rdata);
        let Record { rtype, ttl_secs, line, .. } = record;
        self.records.push(Slot { owner, rtype, rdata_len, rdata_off, ttl_secs, line });
        Ok(())
    }

    /// Says what may be answered in place of an RRset, whose records are added as those of others are.
    pub fn choose(&mut self, owner: NameRef<'_>, rtype: Rtype, choice: Choice) {
        self.choices.insert((owner.to_name().to_canonical(), rtype), choice);
    }

    /// Stores an owner, or finds that it is the latest one.
    fn owner(&mut self, name: NameRef<'_>) -> Result<Owner, ZoneTooLarge> {
        let wire = name.as_wire();
        if let Some(latest) = self.latest
            && &self.arena[latest.name_off as usize..][..usize::from(latest.name_len)] == wire
        {
            return Ok(latest);
        }
        let name_off = u32::try_from(self.arena.len()).map_err(|_| ZoneTooLarge)?;
        self.arena.extend_from_slice(wire);
        let key_off = u32::try_from(self.arena.len()).map_err(|_| ZoneTooLarge)?;
        name.push_sort_key(&mut self.arena);
        let key_len = u16::try_from(self.arena.len() - key_off as usize).map_err(|_| ZoneTooLarge)?;
        let name_len = u8::try_from(wire.len()).map_err(|_| ZoneTooLarge)?;
        let rank = rank(&self.arena[key_off as usize..], &self.apex_key);
        let owner = Owner { rank, name_off, name_len, key_off, key_len };
        self.latest = Some(owner);
        Ok(owner)
    }

    /// Sorts, groups and drops duplicates. O(n log n), O(n) when the input is nearly sorted.
    #[must_use]
    pub fn finish(self) -> Zone {
        let ZoneBuilder { apex, arena, mut records, apex_key, choices, .. } = self;
        let key = |slot: &Slot| &arena[slot.owner.key_off as usize..][..usize::from(slot.owner.key_len)];
        let rdata = |slot: &Slot| &arena[slot.rdata_off as usize..][..usize::from(slot.rdata_len)];
        records.sort_by(|a, b| {
            let by_key = || match a.owner.key_off == b.owner.key_off {
                true => Ordering::Equal,
                false => key(a).cmp(key(b)),
            };
            let by_owner = a.owner.rank.cmp(&b.owner.rank).then_with(by_key);
            by_owner.then_with(|| a.rtype.cmp(&b.rtype)).then_with(|| rdata(a).cmp(rdata(b)))
        });
        let before = records.len();
        records.dedup_by(|b, a| {
            a.rtype == b.rtype && a.owner.rank == b.owner.rank && rdata(a) == rdata(b) && key(a) == key(b)
        });
        let duplicate_count = before - records.len();
        Zone { apex, arena, records, duplicate_count, apex_key, choices }
    }
}

/// The first eight octets of a sort key behind that of the apex, as a number that sorts alike: most comparisons of owners
/// end with it, without a look into the arena. Keys outside of the zone get the least or the greatest number.
fn rank(key: &[u8], apex_key: &[u8]) -> u64 {
    let Some(below) = key.strip_prefix(apex_key) else {
        return if key < apex_key { 0 } else { u64::MAX };
    };
    let mut octets = [0; 8];
    let len = below.len().min(8);
    octets[..len].copy_from_slice(&below[..len]);
    u64::from_be_bytes(octets)
}

impl Zone {
    /// The apex.
    #[must_use]
    pub fn apex(&self) -> NameRef<'_> {
        self.apex.as_ref()
    }

    /// Opens the zone again, so that records can be added; to finish it costs O(n) then.
    #[must_use]
    pub fn reopen(self) -> ZoneBuilder {
        let Zone { apex, arena, records, apex_key, choices, .. } = self;
        ZoneBuilder { apex, arena, records, latest: None, apex_key, choices }
    }

    /// Keeps only the records that `keep` wants, in their order.
    pub fn retain(&mut self, mut keep: impl FnMut(&Record<'_>) -> bool) {
        let mut records = std::mem::take(&mut self.records);
        records.retain(|slot| keep(&self.record(slot)));
        self.records = records;
    }

    /// What may be answered in place of an RRset, if not always all of it.
    #[must_use]
    pub fn choice(&self, owner: NameRef<'_>, rtype: Rtype) -> Option<&Choice> {
        if self.choices.is_empty() {
            return None;
        }
        self.choices.get(&(owner.to_name().to_canonical(), rtype))
    }

    /// All that may be answered in place of RRsets, with their owners in canonical form and types.
    pub fn choices(&self) -> impl Iterator<Item = (NameRef<'_>, Rtype, &Choice)> {
        self.choices.iter().map(|((owner, rtype), choice)| (owner.as_ref(), *rtype, choice))
    }

    /// How many records.
    #[must_use]
    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// How many records, with those of all that may be answered in place of RRsets.
    #[must_use]
    pub fn record_count_in_all(&self) -> usize {
        let alternatives = self.choices.values().flat_map(Choice::alternatives);
        self.records.len() + alternatives.map(|alternative| alternative.zone.records.len()).sum::<usize>()
    }

    /// How many octets of memory it takes, with all that may be answered in place of RRsets. O(alternatives).
    #[must_use]
    pub fn memory_len(&self) -> usize {
        let alternatives = self.choices.values().flat_map(Choice::alternatives);
        let own = self.arena.capacity() + self.records.capacity() * size_of::<Slot>();
        own + alternatives.map(|alternative| size_of::<Alternative>() + alternative.zone.memory_len()).sum::<usize>()
    }

    /// How many equal records were dropped.
    #[must_use]
    pub fn duplicate_count(&self) -> usize {
        self.duplicate_count
    }

    /// The owners in canonical order, each with its records.
    pub fn owners(&self) -> impl Iterator<Item = OwnerRecords<'_>> {
        self.records
            .chunk_by(|a, b| {
                a.owner.key_off == b.owner.key_off || (a.owner.rank == b.owner.rank && self.key(a) == self.key(b))
            })
            .map(|slots| OwnerRecords { zone: self, slots })
    }

    /// The records at `owner`. O(log n).
    #[must_use]
    pub fn owner(&self, owner: NameRef<'_>) -> Option<OwnerRecords<'_>> {
        let mut key = Vec::with_capacity(2 * owner.as_wire().len());
        owner.push_sort_key(&mut key);
        let rank = rank(&key, &self.apex_key);
        let start = self.records.partition_point(|slot| {
            let by_rank = slot.owner.rank.cmp(&rank);
            by_rank.then_with(|| self.key(slot).cmp(key.as_slice())) == Ordering::Less
        });
        let len = self.records[start..].iter().take_while(|slot| self.key(slot) == key.as_slice()).count();
        (len > 0).then(|| OwnerRecords { zone: self, slots: &self.records[start..start + len] })
    }

    /// The owners strictly below `name`, a name of the zone, in canonical order. O(log n), and what is taken.
    pub fn owners_below(&self, name: NameRef<'_>) -> impl Iterator<Item = OwnerRecords<'_>> + use<'_> {
        let mut prefix = Vec::with_capacity(2 * name.as_wire().len());
        name.push_sort_key(&mut prefix);
        let rank = rank(&prefix, &self.apex_key);
        // What is below a name follows it, and all of it has the name's key in front.
        let mut at = self.records.partition_point(|slot| {
            slot.owner.rank.cmp(&rank).then_with(|| self.key(slot).cmp(prefix.as_slice())) != Ordering::Greater
        });
        std::iter::from_fn(move || {
            let key = self.records.get(at).map(|slot| self.key(slot)).filter(|key| key.starts_with(&prefix))?;
            let len = self.records[at..].iter().take_while(|slot| self.key(slot) == key).count();
            let slots = &self.records[at..at + len];
            at += len;
            Some(OwnerRecords { zone: self, slots })
        })
    }

    /// The sort key of a record's owner.
    fn key(&self, slot: &Slot) -> &[u8] {
        &self.arena[slot.owner.key_off as usize..][..usize::from(slot.owner.key_len)]
    }

    /// Views a slot as a record.
    fn record(&self, slot: &Slot) -> Record<'_> {
        let name = &self.arena[slot.owner.name_off as usize..][..usize::from(slot.owner.name_len)];
        Record {
            owner: NameRef::prefix_of(name).unwrap_or_else(|_| self.apex.as_ref()),
            rtype: slot.rtype,
            ttl_secs: slot.ttl_secs,
            rdata: &self.arena[slot.rdata_off as usize..][..usize::from(slot.rdata_len)],
            line: slot.line,
        }
    }
}

impl<'z> OwnerRecords<'z> {
    /// The owner, case as first given.
    #[must_use]
    pub fn name(&self) -> NameRef<'z> {
        self.zone.record(&self.slots[0]).owner
    }

    /// The RRsets by ascending type.
    pub fn rrsets(&self) -> impl Iterator<Item = Rrset<'z>> {
        let zone = self.zone;
        self.slots.chunk_by(|a, b| a.rtype == b.rtype).map(move |slots| Rrset { zone, slots })
    }

    /// The RRset of one type.
    #[must_use]
    pub fn rrset(&self, rtype: Rtype) -> Option<Rrset<'z>> {
        self.rrsets().find(|rrset| rrset.rtype() == rtype)
    }
}

impl<'z> Rrset<'z> {
    /// The type.
    #[must_use]
    pub fn rtype(&self) -> Rtype {
        self.slots[0].rtype
    }

    /// The least TTL of its records, in seconds.
    #[must_use]
    pub fn ttl_secs(&self) -> u32 {
        self.slots.iter().map(|slot| slot.ttl_secs).min().unwrap_or(0)
    }

    /// How many records, at least 1.
    #[must_use]
    pub fn record_count(&self) -> usize {
        self.slots.len()
    }

    /// The records in the order of their RDATA.
    pub fn records(&self) -> impl Iterator<Item = Record<'z>> {
        let zone = self.zone;
        self.slots.iter().map(move |slot| zone.record(slot))
    }

    /// The records whose RDATA begins with `prefix`: signatures of one type, for example. O(log n) and what there is.
    pub fn records_with(&self, prefix: [u8; 2]) -> impl Iterator<Item = Record<'z>> + use<'z> {
        let (zone, slots) = (self.zone, self.slots);
        let first = slots.partition_point(|slot| zone.record(slot).rdata < &prefix[..]);
        let from_first = slots[first..].iter().map(move |slot| zone.record(slot));
        from_first.take_while(move |record| record.rdata.starts_with(&prefix))
    }
}
