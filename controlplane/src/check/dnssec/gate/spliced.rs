//! Parts of NSEC3 zones pass if the chain in service is closed with them, and not otherwise.

use super::signed::{Bench, Chain, NOW, name};
use super::*;

/// A chain in service.
struct Hashes(BTreeSet<[u8; HASH_LEN]>);

impl ChainBefore for Hashes {
    fn has(&self, hash: &[u8; HASH_LEN]) -> bool {
        self.0.contains(hash)
    }

    fn after(&self, hash: &[u8; HASH_LEN]) -> [u8; HASH_LEN] {
        *self.0.iter().find(|other| *other > hash).or_else(|| self.0.first()).unwrap()
    }

    fn before(&self, hash: &[u8; HASH_LEN]) -> [u8; HASH_LEN] {
        *self.0.iter().rfind(|other| *other < hash).or_else(|| self.0.last()).unwrap()
    }
}

/// The hash of a name.
fn hash(bench: &Bench, owner: &str) -> [u8; HASH_LEN] {
    bench.as_next(&bench.denial_owner(&name(owner))).try_into().unwrap()
}

/// The owner of the record before that of a name.
fn before(bench: &Bench, owner: &str) -> Name {
    let links = bench.links();
    let at = links.iter().position(|link| *link == bench.denial_owner(&name(owner))).unwrap();
    links[(at + links.len() - 1) % links.len()].clone()
}

/// What the gate says of a zone that lost a name: a part with the apex, these names and these links, if these hashes go.
fn judged(
    after: Bench,
    in_service: &Bench,
    owners: &[&str],
    links: &[Name],
    gone: &[&str],
) -> Result<(), &'static str> {
    let hashes = in_service.links().iter().map(|link| in_service.as_next(link).try_into().unwrap()).collect();
    let gone = gone.iter().map(|owner| hash(in_service, owner)).collect();
    let mut names: Vec<Name> = owners.iter().chain(&["@"]).map(|owner| name(owner)).collect();
    names.extend(names.clone().iter().map(|owner| after.denial_owner(owner)));
    names.extend(links.iter().cloned());
    let gate = Gate {
        at_unix_secs: NOW.into(),
        remaining_secs_min: REMAINING_SECS_MIN,
        keys: &[],
        unannounced: &[],
        has_ns: true,
        verifier: Verifier::AwsLc,
        jobs: NonZeroUsize::MIN,
    };
    let splice = Splice { before: &Hashes(hashes), gone: &gone };
    gate.pass_splice(&after.only(&names).zone(), &splice, &()).map(drop).map_err(|refused| refused.rule())
}

#[test]
fn a_name_that_goes_takes_its_record_along_and_the_one_before_it_is_changed() {
    for chain in [Chain::Nsec3, Chain::OptOut] {
        let in_service = Bench::new(chain);
        let bridged = || {
            let mut after = Bench::new(chain);
            after.bridge(&name("www"));
            after.remove(&name("www"), Rtype::A);
            after
        };
        let last = &[before(&in_service, "www")];
        assert_eq!(judged(bridged(), &in_service, &[], last, &["www"]), Ok(()));
        // With a name in the part that stays as it is.
        assert_eq!(judged(bridged(), &in_service, &["alias"], last, &["www"]), Ok(()));
        for (after, links, gone) in [
            // The record before it is not in the part, or still names it, or names what is behind one that stays.
            (bridged(), &[][..], &["www"][..]),
            (Bench::new(chain), last, &["www"]),
            (bridged(), last, &[]),
            // Another one goes that nobody has bridged.
            (bridged(), last, &["www", "alias"]),
        ] {
            let found = judged(after, &in_service, &[], links, gone);
            assert_eq!(found, Err("nsec3-chain"), "{chain:?} {links:?} {gone:?}");
        }
    }
}

#[test]
fn a_name_that_comes_is_named_by_the_record_before_it() {
    for chain in [Chain::Nsec3, Chain::OptOut] {
        let after = || Bench::new(chain);
        let mut in_service = after();
        in_service.bridge(&name("www"));
        let last = &[before(&after(), "www")];
        assert_eq!(judged(after(), &in_service, &["www"], last, &[]), Ok(()));
        assert_eq!(judged(after(), &in_service, &["www"], &[], &[]), Err("nsec3-chain"));
        // The new record leads past another one.
        let mut past = after();
        let behind = in_service.links();
        let at = behind.iter().position(|link| *link == last[0]).unwrap();
        let beyond = past.as_next(&behind[(at + 2) % behind.len()]);
        let owner = past.denial_owner(&name("www"));
        past.set_next(&owner, &beyond);
        assert_eq!(judged(past, &in_service, &["www"], last, &[]), Err("nsec3-chain"));
    }
}

#[test]
fn names_above_owners_do_not_go() {
    for chain in [Chain::Nsec3, Chain::OptOut] {
        let in_service = Bench::new(chain);
        let above = "empty.non.terminal";
        let mut after = Bench::new(chain);
        let last = before(&after, above);
        after.bridge(&name(above));
        assert_eq!(judged(after, &in_service, &["deep.empty.non.terminal"], &[last], &[above]), Err("missing-nsec3"));
    }
}
