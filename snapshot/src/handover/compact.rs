//! Which packs of the current generation stay when new packs come on top, and when they are worth rewriting.
//!
//! Planning only: [`plan`] reads no file and writes none. Invariant: every zone that no later pack shadows is in exactly one
//! pack of the outcome.

use std::collections::HashSet;
use std::sync::Arc;

use crate::image::{Pack, PackRef};

/// More packs than this are folded: each costs a file, a mapping and a step of every load.
pub(super) const PACKS_MAX: usize = 64;
/// Old packs are folded when shadowed zones take more than one part in so many of their bytes.
const SHADOWED_PART: u64 = 8;
/// Bytes of segments that go into one rewritten pack; the format ends at 1 GiB, and records and headers need room too.
pub(super) const SEGMENTS_LEN_MAX: u64 = 960 << 20;

/// What planning needs to know of a pack: its zones in their order.
pub(super) struct PackIndex {
    /// Apex in canonical wire format and length in bytes, by position in the pack.
    zones: Vec<(Vec<u8>, u64)>,
}

/// A pack with its zones.
pub(super) struct IndexedPack {
    /// As the manifest names it.
    pub(super) pack: PackRef,
    /// Its zones.
    pub(super) index: Arc<PackIndex>,
}

/// What becomes of the packs of the current generation, the oldest first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// These stay as they are; packs without a live zone are left out.
    Keep(Vec<PackRef>),
    /// These are read, and the zones at these positions are copied into fresh packs.
    Rewrite(Vec<(PackRef, Vec<usize>)>),
}

impl PackIndex {
    /// Lists the zones of a pack.
    pub(super) fn of(pack: &Pack) -> PackIndex {
        PackIndex { zones: pack.zones().map(|zone| (zone.apex.as_wire().to_ascii_lowercase(), zone.bytes)).collect() }
    }
}

/// Plans what becomes of `old` packs (the oldest first) under `new` ones. O(zones).
pub(super) fn plan(old: &[IndexedPack], new: &[IndexedPack]) -> Plan {
    let mut seen: HashSet<&[u8]> = new.iter().flat_map(apexes).collect();
    let mut live = Vec::new();
    let mut shadowed_len = 0;
    let mut total_len = 0;
    for pack in old.iter().rev() {
        let mut positions = Vec::new();
        for (position, (apex, len)) in pack.index.zones.iter().enumerate() {
            total_len += len;
            if seen.insert(apex) {
                positions.push(position);
            } else {
                shadowed_len += len;
            }
        }
        if positions.is_empty() {
            // The pack is left out, so its bytes are neither carried along nor in need of a rewrite.
            let pack_len: u64 = pack.index.zones.iter().map(|(_, len)| len).sum();
            shadowed_len -= pack_len;
            total_len -= pack_len;
        } else {
            live.push((pack.pack, positions));
        }
    }
    live.reverse();
    if shadowed_len.saturating_mul(SHADOWED_PART) > total_len || (live.len() > 1 && live.len() + new.len() > PACKS_MAX)
    {
        Plan::Rewrite(live)
    } else {
        Plan::Keep(live.into_iter().map(|(pack, _)| pack).collect())
    }
}

/// The apexes in a pack.
fn apexes(pack: &IndexedPack) -> impl Iterator<Item = &[u8]> {
    pack.index.zones.iter().map(|(apex, _)| apex.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    /// A pack of zones "letter, length"; its digest repeats `id`.
    fn pack(id: u8, zones: &[(&str, u64)]) -> IndexedPack {
        let pack = PackRef { digest: Digest([id; 32]), bytes: 1, zones: 1 };
        let zones = zones.iter().map(|(apex, len)| (apex.as_bytes().to_vec(), *len)).collect();
        IndexedPack { pack, index: Arc::new(PackIndex { zones }) }
    }

    /// Plans and names the outcome by the first octet of the digests.
    fn planned(old: &[IndexedPack], new: &[IndexedPack]) -> String {
        match plan(old, new) {
            Plan::Keep(packs) => format!("keep {:?}", packs.iter().map(|pack| pack.digest.0[0]).collect::<Vec<_>>()),
            Plan::Rewrite(packs) => {
                let packs: Vec<_> = packs.iter().map(|(pack, zones)| (pack.digest.0[0], zones)).collect();
                format!("rewrite {packs:?}")
            }
        }
    }

    #[test]
    fn packs_stay_until_an_eighth_is_shadowed() {
        let base = || pack(1, &[("a", 70), ("b", 10)]);
        assert_eq!(planned(&[base()], &[]), "keep [1]");
        assert_eq!(planned(&[base()], &[pack(2, &[("c", 10)])]), "keep [1]");
        assert_eq!(planned(&[base()], &[pack(2, &[("b", 10)])]), "keep [1]");
        assert_eq!(planned(&[base()], &[pack(2, &[("a", 10)])]), "rewrite [(1, [1])]");
    }

    #[test]
    fn a_pack_without_live_zones_is_left_out() {
        assert_eq!(planned(&[pack(1, &[("a", 70)])], &[pack(2, &[("a", 1)])]), "keep []");
        let old = [pack(1, &[("a", 70), ("b", 1)]), pack(2, &[("b", 1)])];
        assert_eq!(planned(&old, &[pack(3, &[("b", 1)])]), "keep [1]");
    }

    #[test]
    fn a_later_old_pack_shadows_an_earlier_one() {
        let old = [pack(1, &[("a", 50), ("b", 50)]), pack(2, &[("b", 50)])];
        assert_eq!(planned(&old, &[]), "rewrite [(1, [0]), (2, [0])]");
    }

    #[test]
    fn too_many_packs_are_folded() {
        let names: Vec<String> = (0..PACKS_MAX).map(|id| format!("z{id}")).collect();
        let old: Vec<IndexedPack> = names.iter().map(|name| pack(1, &[(name, 1)])).collect();
        assert!(planned(&old, &[]).starts_with("keep"));
        assert!(planned(&old, &[pack(2, &[("new", 1)])]).starts_with("rewrite"));
    }
}
