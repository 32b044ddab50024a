//! Records of the owner beside our keys, and rollovers that they stand in the way of.

use super::*;
use crate::keys::key_tag;
use crate::roll::Waits;
use crate::store::domains::Denial;
use crate::store::keys::{DsTimes, NewKey, Rollover, State};
use crate::store::{Store, Txn};

/// A DNSKEY of algorithm 15.
const THEIRS: &str = "@ DNSKEY 3600 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=";
/// No waits.
const WAITS: Waits = Waits { zone_secs: 0, keys_secs: 0, ds_secs: 0, propagation_secs: 0 };

/// A CSK whose secret nobody has.
fn csk(algorithm: u8, len: usize, state: State) -> NewKey {
    let public = vec![algorithm; len];
    let tag = key_tag(&[&[1, 1, 3, algorithm], &*public].concat());
    NewKey { role: "csk".into(), algorithm, tag, public, sealed: Vec::new(), state }
}

/// The states of a domain's keys.
fn states(store: &Store, domain: DomainId) -> Vec<State> {
    store.read(|reader| reader.keys(domain)).unwrap().into_iter().map(|key| key.key.state).collect()
}

/// Notes that what is due may be done.
fn advance(bench: &mut Bench) -> Option<ChangeId> {
    bench.actor.now_us += 1_000_000;
    let (actor, domain) = (bench.actor.clone(), bench.domain);
    bench.store.write_blocking(move |txn| advance_roll(txn, &actor, domain, &[], &WAITS, None)).unwrap()
}

#[test]
fn a_key_leaves_only_when_no_dnskey_of_the_owner_needs_its_algorithm() {
    let mut bench = Bench::new();
    let keys = vec![csk(15, 32, State::Active), csk(13, 64, State::Leaving)];
    let new = NewDomain { denial: Denial::Nsec, keys, ..new_domain("signed.test") };
    let actor = bench.actor.clone();
    bench.domain = bench.store.write_blocking(move |txn| create(txn, &actor, new)).unwrap().domain.id;
    bench.edit(Verb::Put, &[THEIRS]).unwrap();
    // As in a database from before this was refused: the other way round, with a DS of the old key nowhere.
    let domain = bench.domain;
    let turn = move |txn: &Txn<'_>| {
        for key in txn.keys(domain)? {
            let to = if key.key.algorithm == 15 { State::Leaving } else { State::Active };
            txn.move_key(key.id, Some(to), 1)?;
            txn.note_ds(key.id, &DsTimes { gone_us: Some(1), ..DsTimes::default() })?;
        }
        let row = txn.domain(domain)?.unwrap();
        let rollover = txn.rollover(domain)?;
        txn.put_rollover(&row, &Rollover { next_us: Some(1), change: None, ..rollover })
    };
    bench.store.write_blocking(turn).unwrap();
    assert_eq!(advance(&mut bench), None);
    assert_eq!(states(&bench.store, domain), [State::Leaving, State::Active]);
    let next_us = |bench: &Bench| bench.store.read(|reader| reader.rollover(domain)).unwrap().next_us.unwrap();
    assert!(next_us(&bench) > bench.actor.now_us, "it is not looked at each second");
    let held = |bench: &Bench| {
        let moves = [crate::roll::Move { id: key_id(&bench.store, domain), to: Some(State::Withdrawn) }];
        bench.store.read(|reader| held_by(reader, &reader.domain(domain)?.unwrap(), &moves)).unwrap().join(" ")
    };
    assert!(held(&bench).contains("a DNSKEY of algorithm 15"), "{}", held(&bench));
    // What is wrong with it is no hindrance to taking it out, and then it goes on.
    bench.edit(Verb::Put, &["@ DNSKEY 3600 :"]).unwrap();
    assert!(next_us(&bench) <= bench.actor.now_us, "it is looked at again");
    assert!(advance(&mut bench).is_some());
    assert_eq!(states(&bench.store, domain), [State::Withdrawn, State::Active]);
}

/// The number of the first key.
fn key_id(store: &Store, domain: DomainId) -> i64 {
    store.read(|reader| reader.keys(domain)).unwrap()[0].id
}
