//! What may be answered in place of an RRset: written, checked, and chosen from.
//!
//! Each alternative is a body like that of the RRset itself, with signatures of its own, so whoever answers copies one in
//! place of the other. Where a client is and the number that decides between equals come from the caller. The bytes are in
//! `FORMAT.md` section 4.6. Invariant: which alternative is chosen is a function of body, location and that number.

use super::build::BuildError;
use super::bytes::{u16_at, u32_at};
use super::layout::{BODY_CHOICE, DESCRIPTOR_LEN};
use super::node::{Descriptor, RrsetBody};
use crate::dns::choice::{ALTERNATIVES_MAX, Alternative, Choice, Group, is_choosable};
use crate::dns::name::NameRef;
use crate::dns::region::{Location, Region};
use crate::dns::rtype::Rtype;
use crate::dns::zone::{OwnerRecords, Rrset};

/// Bytes in front of the groups: how many groups, how many alternatives.
const HEAD_LEN: usize = 4;
/// Bytes of a group: its region, and the position behind its last alternative.
const GROUP_LEN: usize = 4;
/// Bytes of an alternative: where its body ends, two that are zero, and the weight of it and those before it in its group.
const ENTRY_LEN: usize = 8;

/// A group that is to be written: its region, and its alternatives as weights and bodies with their descriptors.
type Rendered = (Region, Vec<(u32, Vec<u8>)>);

/// What may be answered in place of an RRset.
#[derive(Clone, Copy)]
pub struct Choices<'s> {
    /// Length of the owner name.
    owner_len: usize,
    /// The groups, by ascending region.
    groups: &'s [[u8; GROUP_LEN]],
    /// The alternatives of all groups.
    entries: &'s [[u8; ENTRY_LEN]],
    /// Their bodies.
    bodies: &'s [u8],
}

/// Renders all alternatives of an RRset by `body`, which makes descriptor and body of one. `None` if one cannot be made, or
/// there are more than an RRset can have.
///
/// # Errors
/// Those of `body`.
pub(super) fn render(
    choice: &Choice,
    owner: NameRef<'_>,
    rtype: Rtype,
    body: impl for<'r> Fn(&OwnerRecords<'r>, &Rrset<'r>) -> Result<Option<Vec<u8>>, BuildError>,
) -> Result<Option<Vec<u8>>, BuildError> {
    let mut groups = Vec::with_capacity(choice.groups().len());
    for Group { region, alternatives } in choice.groups() {
        let mut rendered = Vec::with_capacity(alternatives.len());
        for Alternative { weight, zone } in alternatives {
            let own = zone.owner(owner);
            let rrset = own.and_then(|own| Some((own, own.rrset(rtype)?)));
            let bytes = rrset.map_or(Ok(None), |(own, rrset)| body(&own, &rrset))?;
            let Some(bytes) = bytes else { return Ok(None) };
            rendered.push((*weight, bytes));
        }
        groups.push((*region, rendered));
    }
    Ok(encode(&groups))
}

/// Writes groups that ascend by region; `None` if there are none, or too many or too large alternatives.
fn encode(groups: &[Rendered]) -> Option<Vec<u8>> {
    let count: usize = groups.iter().map(|(_, alternatives)| alternatives.len()).sum();
    if groups.is_empty() || count > ALTERNATIVES_MAX {
        return None;
    }
    let mut out = Vec::new();
    let short = |value: usize, out: &mut Vec<u8>| u16::try_from(value).map(|value| out.extend(value.to_le_bytes()));
    short(groups.len(), &mut out).ok()?;
    short(count, &mut out).ok()?;
    let mut end = 0;
    for (region, alternatives) in groups {
        end += alternatives.len();
        out.extend_from_slice(&region.number().to_le_bytes());
        short(end, &mut out).ok()?;
    }
    let mut body_end = 0;
    for (_, alternatives) in groups {
        let mut weight_sum = 0_u32;
        for (weight, body) in alternatives {
            body_end += body.len();
            weight_sum = weight_sum.checked_add(*weight)?;
            short(body_end, &mut out).ok()?;
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&weight_sum.to_le_bytes());
        }
    }
    groups.iter().flat_map(|(_, alternatives)| alternatives).for_each(|(_, body)| out.extend_from_slice(body));
    (out.len() <= usize::from(u16::MAX)).then_some(out)
}

impl<'s> RrsetBody<'s> {
    /// Whether something else may be answered in its place.
    #[inline]
    #[must_use]
    pub fn has_choices(&self) -> bool {
        self.glue_count & BODY_CHOICE != 0
    }

    /// What may be.
    #[must_use]
    pub fn choices(&self) -> Option<Choices<'s>> {
        if !self.has_choices() {
            return None;
        }
        let (group_count, entry_count) = (u16_at(self.glue, 0)?, u16_at(self.glue, 2)?);
        let rest = self.glue.get(HEAD_LEN..)?;
        let (groups, rest) = rest.split_at_checked(usize::from(group_count) * GROUP_LEN)?;
        let (entries, bodies) = rest.split_at_checked(usize::from(entry_count) * ENTRY_LEN)?;
        let (groups, entries) = (groups.as_chunks().0, entries.as_chunks().0);
        Some(Choices { owner_len: self.owner_len, groups, entries, bodies })
    }
}

impl<'s> Choices<'s> {
    /// Whether it depends on where a client is.
    #[must_use]
    pub fn is_regional(&self) -> bool {
        self.regions().any(|region| region != Region::DEFAULT.number())
    }

    /// What a client at a location gets: of its country, else of its continent, else the default; of several sets the one
    /// that `lot`, a number as good as random, falls on. `None` if there is nothing for such a client, which then gets the
    /// RRset itself. O(alternatives).
    #[must_use]
    pub fn choose(&self, location: Location, lot: u64) -> Option<RrsetBody<'s>> {
        let known = [location.country(), location.continent()].into_iter().filter(|region| *region != Region::DEFAULT);
        let mut wanted = known.chain([Region::DEFAULT]);
        let group = wanted.find_map(|wanted| self.regions().position(|region| region == wanted.number()))?;
        let range = self.range(group)?;
        let entries = self.entries.get(range.clone())?;
        let sum = weight_sum(entries.last()?);
        // The upper half of a product spreads all numbers evenly below the sum.
        let point = u32::try_from((u128::from(lot) * u128::from(sum)) >> 64).ok()?;
        let chosen = entries.partition_point(|entry| weight_sum(entry) <= point);
        self.body(range.start + chosen)
    }

    /// The groups: each region with its alternatives and their weights.
    pub fn groups(&self) -> impl Iterator<Item = (Option<Region>, Vec<(u32, RrsetBody<'s>)>)> {
        self.regions().enumerate().map(|(group, region)| {
            let mut before = 0;
            let alternative = |at| {
                let sum = weight_sum(self.entries.get(at)?);
                // Sums ascend, or the segment is not loaded.
                Some((sum.wrapping_sub(std::mem::replace(&mut before, sum)), self.body(at)?))
            };
            let alternatives = self.range(group).into_iter().flatten().map_while(alternative);
            (Region::from_number(region), alternatives.collect())
        })
    }

    /// The numbers of the regions.
    fn regions(&self) -> impl Iterator<Item = u16> {
        self.groups.iter().map(|[low, high, ..]| u16::from_le_bytes([*low, *high]))
    }

    /// The positions of a group's alternatives.
    fn range(&self, group: usize) -> Option<std::ops::Range<usize>> {
        let end = |group: usize| Some(usize::from(u16_at(self.groups.get(group)?, 2)?));
        let start = group.checked_sub(1).map_or(Some(0), end)?;
        Some(start..end(group)?)
    }

    /// The body of an alternative.
    fn body(&self, at: usize) -> Option<RrsetBody<'s>> {
        let start = at.checked_sub(1).map_or(Some(0), |before| self.body_end(before))?;
        let bytes = self.bodies.get(start..self.body_end(at)?)?;
        Descriptor::read(bytes, 0)?.body(bytes, DESCRIPTOR_LEN, self.owner_len)
    }

    /// Where the body of an alternative ends.
    fn body_end(&self, at: usize) -> Option<usize> {
        Some(usize::from(u16_at(self.entries.get(at)?, 0)?))
    }

    /// Checks the rules of the format but for those of any body.
    pub(super) fn check(&self, of: &RrsetBody<'s>) -> Result<(), &'static str> {
        let mut previous = None;
        let mut next = 0;
        for (group, region) in self.regions().enumerate() {
            if Region::from_number(region).is_none() || previous >= Some(region) {
                return Err("regions are not ascending");
            }
            previous = Some(region);
            let range = self.range(group).filter(|range| range.start == next && !range.is_empty());
            let range = range.ok_or("group without alternatives")?;
            next = range.end;
            let sums = self.entries.get(range).ok_or("alternatives are cut")?.iter().map(weight_sum);
            if !std::iter::once(0).chain(sums).is_sorted_by(|before, sum| before < sum) {
                return Err("alternative without weight");
            }
        }
        if next != self.entries.len() || next == 0 || next > ALTERNATIVES_MAX || !is_choosable(of.rtype) {
            return Err("alternatives are not those of the groups");
        }
        let mut start = 0;
        for (at, entry) in self.entries.iter().enumerate() {
            let body = self.body(at).ok_or("alternative is cut")?;
            let end = self.body_end(at).unwrap_or(0);
            let len = DESCRIPTOR_LEN + body.relocs.len() + body.targets.len() + body.records.len() + body.sigs.len();
            if end != start + len || entry[2..4] != [0, 0] {
                return Err("alternative is not where it should be");
            }
            if body.rtype != of.rtype || body.record_count == 0 || body.glue_count != 0 {
                return Err("alternative is none of its RRset");
            }
            start = end;
        }
        if start == self.bodies.len() { Ok(()) } else { Err("alternatives do not fill their run") }
    }

    /// The bodies of all alternatives.
    pub(super) fn bodies(&self) -> impl Iterator<Item = RrsetBody<'s>> {
        (0..self.entries.len()).map_while(|at| self.body(at))
    }
}

/// The weight of an alternative and those before it in its group.
fn weight_sum(entry: &[u8; ENTRY_LEN]) -> u32 {
    u32_at(entry, 4).unwrap_or(0)
}

#[cfg(test)]
mod tests;
