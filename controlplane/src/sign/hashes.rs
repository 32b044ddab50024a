//! The chain of an NSEC3 zone by its hashes, as it is in service and as changes make it.
//!
//! Of each name it has the hash and the types that its record lists, and knows neither names nor signatures: to change a name,
//! the record before it is made again with another next hash. Most zones have few lists of types, so that a name costs 24
//! octets. Invariant: what is read from a whole segment stays as it is, changes lie beside it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::slice::SliceIndex;
use std::sync::Arc;

use snapshot::dns::nsec3::{HASH_LEN, Params};

use super::signer::PARAMS;
use crate::check::dnssec::gate::ChainBefore;

/// A hashed name.
pub type Hash = [u8; HASH_LEN];

/// The chain.
#[derive(Clone, Default)]
pub struct Hashes {
    /// As it was read.
    base: Arc<Base>,
    /// What changed since: the types, or that it is gone.
    changed: BTreeMap<Hash, Option<Arc<[u8]>>>,
}

/// A chain that does not change.
#[derive(Default)]
struct Base {
    /// The hashes, ascending, and the position of their types.
    links: Vec<(Hash, u32)>,
    /// Lists of types, each once.
    types: Vec<Arc<[u8]>>,
}

impl Hashes {
    /// The chain that `walk` hands out, as hashes and RDATA of NSEC3 in any order; `None` if there is none, or it is not such
    /// as we make.
    pub fn read(walk: impl FnOnce(&mut dyn FnMut(Hash, &[u8]))) -> Option<Hashes> {
        let mut base = Base::default();
        let mut known: HashMap<Arc<[u8]>, u32> = HashMap::new();
        let mut is_ours = true;
        walk(&mut |hash, rdata| {
            let (Some(types), Ok(position)) = (types_of(rdata), u32::try_from(base.types.len())) else {
                is_ours = false;
                return;
            };
            let position = *known.entry(types.into()).or_insert_with_key(|types| {
                base.types.push(Arc::clone(types));
                position
            });
            base.links.push((hash, position));
        });
        base.links.sort_unstable();
        (is_ours && !base.links.is_empty()).then(|| Hashes { base: Arc::new(base), changed: BTreeMap::new() })
    }

    /// The types that the record of a hash lists; `None` if it has none.
    #[must_use]
    pub fn types(&self, hash: &Hash) -> Option<&[u8]> {
        match self.changed.get(hash) {
            Some(changed) => changed.as_deref(),
            None => {
                let at = self.base.links.binary_search_by(|(other, _)| other.cmp(hash)).ok()?;
                self.base.types.get(self.base.links[at].1 as usize).map(|types| &**types)
            }
        }
    }

    /// Gives a hash a record with these types, or takes it away.
    pub fn set(&mut self, hash: Hash, types: Option<&[u8]>) {
        self.changed.insert(hash, types.map(Arc::from));
    }

    /// The hash behind another one, which need not be there: behind the last one comes the first.
    #[must_use]
    pub fn after(&self, hash: &Hash) -> Hash {
        let at = self.base.links.partition_point(|(other, _)| other <= hash);
        let behind = self.unchanged(at..).next().into_iter().chain(self.there((Excluded(*hash), Unbounded)).next());
        let first = || self.unchanged(..at).next().into_iter().chain(self.there((Unbounded, Included(*hash))).next());
        behind.min().or_else(|| first().min()).unwrap_or(*hash)
    }

    /// The hash before another one, which need not be there: before the first one is the last.
    #[must_use]
    pub fn before(&self, hash: &Hash) -> Hash {
        let at = self.base.links.partition_point(|(other, _)| other < hash);
        let front = self.unchanged(..at).next_back().into_iter();
        let front = front.chain(self.there((Unbounded, Excluded(*hash))).next_back());
        let last = || {
            let base = self.unchanged(at..).next_back().into_iter();
            base.chain(self.there((Included(*hash), Unbounded)).next_back())
        };
        front.max().or_else(|| last().max()).unwrap_or(*hash)
    }

    /// The hashes at these positions of what was read that did not change since.
    fn unchanged(
        &self,
        range: impl SliceIndex<[(Hash, u32)], Output = [(Hash, u32)]>,
    ) -> impl DoubleEndedIterator<Item = Hash> {
        let hashes = self.base.links[range].iter().map(|(hash, _)| *hash);
        hashes.filter(|hash| !self.changed.contains_key(hash))
    }

    /// The hashes within these bounds that have changed and are there.
    fn there(&self, bounds: (Bound<Hash>, Bound<Hash>)) -> impl DoubleEndedIterator<Item = Hash> {
        self.changed.range(bounds).filter(|(_, types)| types.is_some()).map(|(hash, _)| *hash)
    }
}

impl ChainBefore for Hashes {
    fn has(&self, hash: &Hash) -> bool {
        self.types(hash).is_some()
    }

    fn after(&self, hash: &Hash) -> Hash {
        Hashes::after(self, hash)
    }

    fn before(&self, hash: &Hash) -> Hash {
        Hashes::before(self, hash)
    }
}

/// The list of types in RDATA of NSEC3; `None` if names are hashed otherwise than we do.
fn types_of(rdata: &[u8]) -> Option<&[u8]> {
    // Behind algorithm, flags, iterations and the length of no salt comes the next hash with its length.
    let rest = rdata.get(5..).filter(|_| Params::of_rdata(rdata) == Some(PARAMS))?;
    let (len, rest) = rest.split_first()?;
    rest.get(HASH_LEN..).filter(|_| usize::from(*len) == HASH_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash that begins with this octet.
    fn hash(first: u8) -> Hash {
        let mut hash = [0; HASH_LEN];
        hash[0] = first;
        hash
    }

    /// RDATA of NSEC3 with this list of types.
    fn rdata(types: &[u8]) -> Vec<u8> {
        [&[1, 1, 0, 0, 0, 20][..], &hash(9), types].concat()
    }

    #[test]
    fn a_chain_is_followed_both_ways_through_what_came_and_went() {
        let mut hashes = Hashes::read(|each| {
            for (first, types) in [(30, &b"a"[..]), (10, b"b"), (20, b"a")] {
                each(hash(first), &rdata(types));
            }
        })
        .unwrap();
        let show = |hashes: &Hashes| {
            let mut shown = Vec::new();
            let mut at = hashes.after(&hash(0));
            let first = at;
            loop {
                let next = hashes.after(&at);
                assert_eq!(hashes.before(&next), at);
                shown.push((at[0], hashes.types(&at).unwrap().to_vec()));
                at = next;
                if at == first {
                    return shown;
                }
            }
        };
        let all =
            |expected: &[(u8, &[u8])]| expected.iter().map(|(at, types)| (*at, types.to_vec())).collect::<Vec<_>>();
        assert_eq!(show(&hashes), all(&[(10, b"b"), (20, b"a"), (30, b"a")]));
        hashes.set(hash(20), None);
        hashes.set(hash(5), Some(b"c"));
        hashes.set(hash(40), Some(b""));
        hashes.set(hash(30), Some(b"d"));
        assert_eq!(show(&hashes), all(&[(5, b"c"), (10, b"b"), (30, b"d"), (40, b"")]));
        assert_eq!((hashes.after(&hash(20)), hashes.before(&hash(20))), (hash(30), hash(10)));
        for first in [5, 10, 40] {
            hashes.set(hash(first), None);
        }
        assert_eq!(show(&hashes), all(&[(30, b"d")]));
        assert_eq!((hashes.after(&hash(30)), hashes.before(&hash(30))), (hash(30), hash(30)));
    }

    #[test]
    fn a_chain_that_we_did_not_make_is_not_gone_on_with() {
        assert!(Hashes::read(|_| ()).is_none());
        for rdata in [&b"\x02\0\0\0\0\x14"[..], &[&b"\x01\0\0\x01\0\x14"[..], &[0; 20]].concat(), &rdata(b"")[..20]] {
            assert!(Hashes::read(|each| each(hash(1), rdata)).is_none());
        }
    }
}
