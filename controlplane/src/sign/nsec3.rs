//! The chain of an NSEC3 zone: which names are in it, empty non-terminals too, in the order of their hashes.
//!
//! It makes no records, see `signer`. Invariant: hashes ascend and differ. RFC 5155 section 7.1.

use snapshot::dns::name::NameRef;
use snapshot::dns::nsec3::{HASH_LEN, text};

use super::SignError;

/// A name that can be in the chain, as the caller has it.
pub(super) struct Candidate<'z> {
    /// The name.
    pub(super) name: NameRef<'z>,
    /// The number by which the caller knows it; `None` for an empty non-terminal, which needs no mention if a name below it
    /// is a candidate.
    pub(super) idx: Option<usize>,
}

/// A name in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hashed {
    /// Its hash.
    pub(super) hash: [u8; HASH_LEN],
    /// The number of the candidate; `None` for an empty non-terminal.
    pub(super) idx: Option<usize>,
}

/// Hashes names and those between them and the apex. `names` are in canonical order, the apex first, without those that
/// are opted out: what exists because of such alone is opted out with them, unless it is a candidate itself.
///
/// # Errors
/// [`SignError::HashCollision`].
pub(super) fn chain<'z>(
    apex: NameRef<'z>,
    names: impl Iterator<Item = Candidate<'z>>,
    hash: impl Fn(NameRef<'_>) -> [u8; HASH_LEN],
) -> Result<Vec<Hashed>, SignError> {
    let mut chain = Vec::new();
    let mut before = apex;
    for Candidate { name, idx } in names {
        if idx.is_none() && before.is_at_or_below(name) {
            continue;
        }
        // All names below an ancestor follow it at once. So an ancestor that the name before is not at or below was not
        // seen, and owns nothing.
        let mut ancestor = name.parent().filter(|_| name != apex);
        while let Some(at) = ancestor.filter(|&at| !before.is_at_or_below(at)) {
            chain.push(Hashed { hash: hash(at), idx: None });
            ancestor = at.parent();
        }
        chain.push(Hashed { hash: hash(name), idx });
        before = name;
    }
    chain.sort_unstable();
    match chain.windows(2).find(|pair| pair[0].hash == pair[1].hash) {
        Some(pair) => Err(SignError::HashCollision(String::from_utf8_lossy(&text(&pair[0].hash)).into_owned())),
        None => Ok(chain),
    }
}

#[cfg(test)]
mod tests {
    use snapshot::dns::name::Name;

    use super::*;

    /// The chain over names that are given in canonical order; a name's hash begins with its length,
    /// and one that is given in brackets is an empty non-terminal.
    fn check(names: &[&str]) -> Result<Vec<(u8, Option<usize>)>, SignError> {
        let is_empty: Vec<bool> = names.iter().map(|name| name.starts_with('[')).collect();
        let names: Vec<Name> = names.iter().map(|name| name.trim_matches(['[', ']']).parse().unwrap()).collect();
        let idx = |idx: usize| (!is_empty[idx]).then_some(idx);
        let candidates = names.iter().enumerate().map(|(at, name)| Candidate { name: name.as_ref(), idx: idx(at) });
        let hash = |name: NameRef<'_>| {
            let mut hash = [0; HASH_LEN];
            hash[0] = u8::try_from(name.as_wire().len()).unwrap();
            hash
        };
        let chain = chain(names[0].as_ref(), candidates, hash)?;
        Ok(chain.into_iter().map(|Hashed { hash, idx }| (hash[0], idx)).collect())
    }

    #[test]
    fn names_between_are_in_the_chain_once() {
        let names = ["t.", "aaaaa.bbb.cc.t.", "dddddd.bbb.cc.t."];
        let expected = [(3, Some(0)), (6, None), (10, None), (16, Some(1)), (17, Some(2))];
        assert_eq!(check(&names).unwrap(), expected);
        assert_eq!(check(&["t."]).unwrap(), [(3, Some(0))]);
    }

    #[test]
    fn empty_non_terminals_that_are_candidates_are_in_the_chain_once() {
        let names = ["t.", "[bbb.cc.t.]", "[bbb.cc.t.]", "aaaaa.bbb.cc.t.", "[cc.t.]"];
        assert_eq!(check(&names).unwrap(), [(3, Some(0)), (6, None), (10, None), (16, Some(3))]);
    }

    #[test]
    fn two_names_of_one_hash_are_refused() {
        assert!(matches!(check(&["t.", "a.t.", "b.t."]), Err(SignError::HashCollision(_))));
    }
}
