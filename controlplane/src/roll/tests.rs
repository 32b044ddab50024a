//! What each state does, the course of each rollover, and a resolver that is let remember anything it may.

use super::*;

/// What a state does in a role, as letters: announced, zone, keys, parent.
fn letters(state: State, role: Role) -> String {
    let Duties { is_announced, signs_zone, signs_keys, is_asked_for } = duties(state, role);
    let letters = [(is_announced, 'a'), (signs_zone, 'z'), (signs_keys, 'k'), (is_asked_for, 'p')];
    letters.into_iter().map(|(does, letter)| if does { letter } else { '-' }).collect()
}

#[test]
fn what_a_key_does_follows_from_its_state_and_role() {
    let table = State::ALL.map(|state| {
        let of = |role| letters(state, role);
        format!("{:9} {} {} {}", state.as_str(), of(Role::Csk), of(Role::Ksk), of(Role::Zsk))
    });
    let expected = [
        "generated ---- ---- ----",
        "signing   -z-- ---- -z--",
        "published a-k- a-k- a---",
        "ready     azk- a-k- az--",
        "submitted a-kp a-kp a---",
        "active    azkp a-kp az--",
        "leaving   azk- a-k- az--",
        "retired   a-k- a-k- a---",
        "withdrawn -z-- ---- -z--",
        "ending    azk- a-k- az--",
    ];
    assert_eq!(table, expected);
}

/// Times of the courses below, in seconds.
const WAITS: Waits = Waits { zone_secs: 100, keys_secs: 30, ds_secs: 50, propagation_secs: 5 };

/// A key with its number for a tag.
fn key(id: i64, role: Role, algorithm: u8, state: State) -> Key {
    let tag = u16::try_from(id).unwrap();
    Key { id, tag, role, algorithm, state, since_us: 0, ds: DsTimes { gone_us: Some(0), ..DsTimes::default() } }
}

/// Makes moves at a time.
fn make(keys: &mut Vec<Key>, moves: &[Move], now_us: i64) {
    for Move { id, to } in moves {
        match to {
            None => keys.retain(|key| key.id != *id),
            Some(to) => {
                let key = keys.iter_mut().find(|key| key.id == *id).unwrap();
                key.ds = ds_after(key, *to);
                (key.state, key.since_us) = (*to, now_us);
            }
        }
    }
}

/// Begins a rollover, with new keys only.
fn begin(keys: &mut Vec<Key>, wanted: Wanted, now_us: i64) -> Result<(), RollError> {
    let successors = start(keys, wanted)?;
    for Successor { role, algorithm, state, kept } in successors {
        assert_eq!(kept, None);
        let id = keys.iter().map(|key| key.id).max().unwrap() + 1;
        let ds = DsTimes { gone_us: Some(now_us), ..DsTimes::default() };
        keys.push(Key { since_us: now_us, ds, ..key(id, role, algorithm, state) });
    }
    Ok(())
}

/// The course of a rollover whose parent does what it is asked for at once: each step with its time in seconds.
fn course(mut keys: Vec<Key>, wanted: Wanted) -> Vec<String> {
    begin(&mut keys, wanted, 0).unwrap();
    let mut lines = Vec::new();
    for now_secs in 0..2000 {
        let now_us = now_secs * US;
        for key in &mut keys {
            let sight = if key.duties().is_asked_for { Sight::Everywhere } else { Sight::Nowhere };
            key.ds = observe(key, sight, None, now_us);
        }
        while let Some(step) = advance(&keys, &WAITS, now_us) {
            make(&mut keys, &step.moves, now_us);
            let states = keys.iter().map(|key| format!("{} {}", key.id, key.state.as_str()));
            lines.push(format!("{now_secs}: {}", states.collect::<Vec<_>>().join(", ")));
        }
    }
    lines
}

/// All keys.
const ALL: Wanted = Wanted { role: None, algorithm: None };

#[test]
fn a_csk_is_doubled_until_the_parent_has_gone_over() {
    let expected = [
        "35: 1 leaving, 2 submitted",
        "36: 1 retired, 2 active",
        // The zone's TTL after the last signature, which is later than the DS.
        "141: 2 active",
    ];
    assert_eq!(course(vec![key(1, Role::Csk, 13, State::Active)], ALL), expected);
}

#[test]
fn a_zsk_is_published_before_and_a_ksk_does_not_mind() {
    let keys = vec![key(1, Role::Ksk, 13, State::Active), key(2, Role::Zsk, 13, State::Active)];
    let wanted = Wanted { role: Some(Role::Zsk), algorithm: None };
    assert_eq!(course(keys.clone(), wanted), ["35: 1 active, 2 retired, 3 active", "140: 1 active, 3 active"]);
    let wanted = Wanted { role: Some(Role::Ksk), algorithm: None };
    let expected =
        ["35: 1 leaving, 2 active, 3 submitted", "36: 1 retired, 2 active, 3 active", "141: 2 active, 3 active"];
    assert_eq!(course(keys, wanted), expected);
}

#[test]
fn another_algorithm_comes_signatures_first_and_goes_keys_first() {
    let wanted = Wanted { role: None, algorithm: Some(15) };
    let expected =
        ["105: 1 active, 2 ready", "140: 1 leaving, 2 active", "196: 1 withdrawn, 2 active", "231: 2 active"];
    assert_eq!(course(vec![key(1, Role::Csk, 13, State::Active)], wanted), expected);
    let split = vec![key(1, Role::Ksk, 13, State::Active), key(2, Role::Zsk, 13, State::Active)];
    let course = course(split, wanted);
    assert_eq!((course.len(), course.last().unwrap().as_str()), (4, "231: 3 active, 4 active"));
}

#[test]
fn what_cannot_begin_or_stop_is_refused() {
    let csk = || vec![key(1, Role::Csk, 13, State::Active)];
    let other = Wanted { role: None, algorithm: Some(15) };
    let zsk = Wanted { role: Some(Role::Zsk), algorithm: None };
    assert_eq!(start(&csk(), zsk), Err(RollError::NoKey));
    assert_eq!(start(&csk(), Wanted { role: Some(Role::Csk), ..other }), Err(RollError::RoleWithAlgorithm));
    assert_eq!(stop(&csk()), Err(RollError::NothingToStop));
    let mut rolling = csk();
    begin(&mut rolling, ALL, 0).unwrap();
    assert_eq!((start(&rolling, ALL), start(&rolling, other)), (Err(RollError::UnderWay), Err(RollError::UnderWay)));
    // One that was kept is used.
    let kept = [csk(), vec![key(7, Role::Csk, 13, State::Generated), key(8, Role::Csk, 15, State::Generated)]].concat();
    assert_eq!(start(&kept, ALL).unwrap()[0].kept, Some(7));
    assert_eq!(start(&kept, other).unwrap()[0].kept, Some(8));
    // Each role has its own, but an algorithm is for all.
    let mut split = vec![key(1, Role::Ksk, 13, State::Active), key(2, Role::Zsk, 13, State::Active)];
    begin(&mut split, zsk, 0).unwrap();
    assert!(start(&split, Wanted { role: Some(Role::Ksk), algorithm: None }).is_ok());
    assert_eq!(start(&split, other), Err(RollError::UnderWay));
}

#[test]
fn without_a_word_of_the_parent_nothing_goes_on() {
    let mut keys = vec![key(1, Role::Csk, 13, State::Active)];
    begin(&mut keys, ALL, 0).unwrap();
    let step = advance(&keys, &WAITS, 35 * US).unwrap();
    make(&mut keys, &step.moves, 35 * US);
    assert_eq!(advance(&keys, &WAITS, i64::MAX), None);
    assert_eq!(waits_of(&keys, &WAITS)[0].due, Due::Seen(2));
    // The new one is there, and the old one as well: it stays announced until it is gone.
    keys[0].ds = observe(&keys[0], Sight::Everywhere, Some(70), 40 * US);
    keys[1].ds = observe(&keys[1], Sight::Everywhere, Some(70), 40 * US);
    let step = advance(&keys, &WAITS, 40 * US).unwrap();
    make(&mut keys, &step.moves, 40 * US);
    assert_eq!(advance(&keys, &WAITS, i64::MAX), None);
    assert_eq!(waits_of(&keys, &WAITS)[0].due, Due::Gone(1));
    keys[0].ds = observe(&keys[0], Sight::Mixed, Some(70), 200 * US);
    assert_eq!(keys[0].ds.gone_us, None);
    keys[0].ds = observe(&keys[0], Sight::Nowhere, None, 300 * US);
    assert_eq!(waits_of(&keys, &WAITS)[0].due, Due::At(375 * US), "with the TTL that was seen");
}

#[test]
fn the_end_of_signing_waits_for_the_parent_and_can_be_taken_back() {
    let mut keys = vec![key(1, Role::Csk, 13, State::Active), key(2, Role::Csk, 13, State::Generated)];
    let moves = withdraw(&keys).unwrap();
    make(&mut keys, &moves, 0);
    assert_eq!((keys[0].state, keys[1].state), (State::Ending, State::Generated));
    assert_eq!((withdraw(&keys), start(&keys, ALL)), (Err(RollError::UnderWay), Err(RollError::NoKey)));
    assert_eq!(waits_of(&keys, &WAITS)[0].due, Due::Gone(1));
    keys[0].ds = observe(&keys[0], Sight::Nowhere, None, 10 * US);
    assert_eq!(waits_of(&keys, &WAITS)[0].due, Due::At(65 * US));
    assert_eq!(advance(&keys, &WAITS, i64::MAX), None, "it is for the owner to end it");
    let moves = stop(&keys).unwrap();
    make(&mut keys, &moves, 70 * US);
    assert_eq!((keys[0].state, waits_of(&keys, &WAITS)), (State::Active, Vec::new()));
}

/// Numbers that look random, the same for the same seed (splitmix64).
struct Random(u64);

impl Random {
    /// A number below `end`.
    fn below(&mut self, end: u64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((word ^ (word >> 31)) % end).unwrap()
    }
}

/// The keys that do something, as number and algorithm.
type Set = Vec<(i64, u8)>;

/// What was served from a time on, in seconds, by one server or in all places at once.
type History = Vec<(i64, Set)>;

/// A zone, its parent's two servers, and all that any cache may hold of them. Times in seconds.
struct World {
    /// The keys as the database has them.
    keys: Vec<Key>,
    /// What it waits for.
    waits: Waits,
    /// The DNSKEY RRset: who is in it. All of those that a DS may lead to sign it.
    announced: History,
    /// Who signs the zone.
    zone: History,
    /// What the parent is asked for.
    asked: History,
    /// What each server of the parent has.
    parents: [History; 2],
    /// A step that is committed and not served yet.
    unserved: Option<i64>,
    /// Randomness.
    random: Random,
}

/// The keys that do what `does` says.
fn set(keys: &[Key], does: impl Fn(Duties) -> bool) -> Set {
    keys.iter().filter(|key| does(key.duties())).map(|key| (key.id, key.algorithm)).collect()
}

/// What a cache may hold: all that was served until less than `for_secs` ago.
fn held(history: &History, for_secs: i64, now: i64) -> Vec<&Set> {
    let ends = history.iter().skip(1).map(|(begin, _)| *begin).chain([i64::MAX - for_secs]);
    history.iter().zip(ends).filter(|(_, end)| end + for_secs > now).map(|((_, set), _)| set).collect()
}

/// Adds what is served from now on.
fn serve(history: &mut History, now: i64, set: Set) {
    if history.last().is_none_or(|(_, last)| *last != set) {
        history.push((now, set));
    }
}

impl World {
    /// One with a domain that is in service.
    fn new(seed: u64) -> World {
        let mut random = Random(seed);
        let mut secs = |end| u32::try_from(random.below(end)).unwrap();
        let waits =
            Waits { zone_secs: 1 + secs(6), keys_secs: 1 + secs(6), ds_secs: 1 + secs(6), propagation_secs: secs(3) };
        let keys = match random.below(2) {
            0 => vec![key(1, Role::Csk, 13, State::Active)],
            _ => vec![key(1, Role::Ksk, 13, State::Active), key(2, Role::Zsk, 13, State::Active)],
        };
        let first = |does: fn(Duties) -> bool| vec![(i64::MIN / 2, set(&keys, does))];
        let asked = first(|it| it.is_asked_for);
        World {
            announced: first(|it| it.is_announced),
            zone: first(|it| it.signs_zone),
            parents: [asked.clone(), asked.clone()],
            asked,
            keys,
            waits,
            unserved: None,
            random,
        }
    }

    /// One with a domain that was served without signatures until now.
    fn unsigned(seed: u64) -> World {
        let mut world = World::new(seed);
        let nothing = || vec![(i64::MIN / 2, Set::new())];
        (world.announced, world.zone, world.asked) = (nothing(), nothing(), nothing());
        world.parents = [nothing(), nothing()];
        let moves = enable(&world.keys);
        make(&mut world.keys, &moves, 0);
        world.unserved = Some(world.random.below(3));
        world
    }

    /// A second passes.
    fn tick(&mut self, now: i64) {
        // Publishing takes its time; what was committed begins when it is served.
        if self.unserved.is_some_and(|at| at <= now) {
            self.unserved = None;
            let last = self.keys.iter().map(|key| key.since_us).max().unwrap();
            self.keys.iter_mut().filter(|key| key.since_us == last).for_each(|key| key.since_us = now * US);
            serve(&mut self.announced, now, set(&self.keys, |it| it.is_announced));
            serve(&mut self.zone, now, set(&self.keys, |it| it.signs_zone));
            serve(&mut self.asked, now, set(&self.keys, |it| it.is_asked_for));
        }
        // The parent follows sometimes, one server after the other, and may have asked a secondary of ours.
        if self.random.below(4) == 0 {
            let fresh = held(&self.asked, i64::from(self.waits.propagation_secs), now);
            let asked = fresh[usize::try_from(self.random.below(fresh.len() as u64)).unwrap()].clone();
            let parent = usize::try_from(self.random.below(2)).unwrap();
            serve(&mut self.parents[parent], now, asked);
        }
        self.check(now);
        if self.unserved.is_none() {
            self.look(now);
            if let Some(step) = advance(&self.keys, &self.waits, now * US) {
                make(&mut self.keys, &step.moves, now * US);
                self.unserved = Some(now + self.random.below(3));
            }
        }
    }

    /// Looks at the parent.
    fn look(&mut self, now: i64) {
        for key in &mut self.keys {
            let has = |history: &History| history.last().unwrap().1.iter().any(|(id, _)| *id == key.id);
            let sight = match (has(&self.parents[0]), has(&self.parents[1])) {
                (true, true) => Sight::Everywhere,
                (false, false) => Sight::Nowhere,
                _ => Sight::Mixed,
            };
            key.ds = observe(key, sight, Some(self.waits.ds_secs), now * US);
        }
    }

    /// Somebody wants something.
    fn disturb(&mut self, now: i64) {
        if self.unserved.is_some() {
            return;
        }
        let algorithm = [None, None, Some(13), Some(15)][usize::try_from(self.random.below(4)).unwrap()];
        let role = [None, None, Some(Role::Ksk), Some(Role::Zsk)][usize::try_from(self.random.below(4)).unwrap()];
        let changed = if self.random.below(3) == 0 {
            stop(&self.keys).map(|moves| make(&mut self.keys, &moves, now * US))
        } else {
            begin(&mut self.keys, Wanted { role, algorithm }, now * US)
        };
        if changed.is_ok() {
            self.unserved = Some(now + self.random.below(3));
        }
    }

    /// Whatever of each RRset a cache holds: every algorithm of the DS signs the keys, by a key of the DS, and every
    /// algorithm of the keys signs the zone, by a key that is among them.
    fn check(&self, now: i64) {
        let Waits { zone_secs, keys_secs, ds_secs, propagation_secs } = self.waits;
        let [zone_secs, keys_secs, ds_secs, lag] = [zone_secs, keys_secs, ds_secs, propagation_secs].map(i64::from);
        let ds_sets = self.parents.iter().flat_map(|parent| held(parent, ds_secs, now));
        let zones = held(&self.zone, zone_secs + lag, now);
        // Without a DS nothing is judged.
        for ds in ds_sets.filter(|ds| !ds.is_empty()) {
            for keys in held(&self.announced, keys_secs + lag, now) {
                let leads = |algorithm: u8| ds.iter().any(|key| key.1 == algorithm && keys.contains(key));
                assert!(ds.iter().all(|key| leads(key.1)), "{now}: DS {ds:?}, keys {keys:?}: {:?}", self.keys);
                for zone in &zones {
                    let signs = |algorithm: u8| zone.iter().any(|key| key.1 == algorithm && keys.contains(key));
                    let is_signed = keys.iter().all(|key| signs(key.1));
                    assert!(is_signed, "{now}: keys {keys:?}, zone {zone:?}: {:?}", self.keys);
                }
            }
        }
    }
}

#[test]
fn no_mixture_of_what_caches_may_hold_is_bogus_whatever_happens_when() {
    let (mut begun, mut ended) = (0, 0);
    for seed in 0..3000 {
        let mut world = World::new(seed);
        for now in 0..150 {
            world.tick(now);
            if world.random.below(12) == 0 {
                let before = world.unserved;
                world.disturb(now);
                begun += u32::from(world.unserved != before);
            }
        }
        // Left alone, all comes to its end.
        for now in 150..600 {
            world.tick(now);
        }
        let states: Vec<State> = world.keys.iter().map(|key| key.state).collect();
        assert!(states.iter().all(|state| *state == State::Active), "seed {seed}: {:?}", world.keys);
        assert!(matches!(states.len(), 1 | 2), "seed {seed}: {:?}", world.keys);
        ended += u32::from(world.keys[0].id > 2);
    }
    assert!(begun > 3000 && ended > 500, "{begun} {ended}");
}

#[test]
fn a_step_too_early_is_noticed_by_the_resolver_that_remembers() {
    // What the test above relies on: half of the waiting is not enough.
    let broken = std::panic::catch_unwind(|| {
        for seed in 0..200 {
            let mut world = World::new(seed);
            for now in 0..150 {
                let whole = world.waits;
                let Waits { zone_secs, keys_secs, ds_secs, .. } = whole;
                world.waits = Waits {
                    zone_secs: zone_secs / 2,
                    keys_secs: keys_secs / 2,
                    ds_secs: ds_secs / 2,
                    propagation_secs: 0,
                };
                if world.unserved.is_none() {
                    world.look(now);
                    if let Some(step) = advance(&world.keys, &world.waits, now * US) {
                        make(&mut world.keys, &step.moves, now * US);
                        world.unserved = Some(now);
                    }
                }
                world.waits = whole;
                world.tick(now);
                world.disturb(now);
            }
        }
    });
    assert!(broken.is_err());
}

#[test]
fn no_ds_comes_while_a_cache_may_hold_something_without_signatures() {
    let mut asked = 0;
    for seed in 0..1000 {
        let mut world = World::unsigned(seed);
        for now in 0..60 {
            world.tick(now);
        }
        assert!(world.keys.iter().all(|key| key.state == State::Active), "seed {seed}: {:?}", world.keys);
        asked += u32::from(world.parents.iter().all(|parent| !parent.last().unwrap().1.is_empty()));
    }
    assert!(asked > 900, "{asked}");
    let too_early = std::panic::catch_unwind(|| {
        for seed in 0..200 {
            let mut world = World::unsigned(seed);
            for now in 0..60 {
                let whole = world.waits;
                if world.unserved.is_none() {
                    let waits = Waits { zone_secs: 0, ..whole };
                    if let Some(step) = advance(&world.keys, &waits, now * US) {
                        make(&mut world.keys, &step.moves, now * US);
                        world.unserved = Some(now);
                    }
                }
                world.tick(now);
            }
        }
    });
    assert!(too_early.is_err(), "what this test relies on");
}

#[test]
fn signing_that_begins_again_goes_back_from_the_rollover_that_was_under_way() {
    let states = |keys: &[Key]| {
        let states: Vec<&str> = keys.iter().map(|key| key.state.as_str()).collect();
        states.join(" ")
    };
    for (before, after) in [
        (vec![State::Active], "ready"),
        (vec![State::Active, State::Generated], "ready generated"),
        (vec![State::Ending], "ready"),
        (vec![State::Ready], "ready"),
        (vec![State::Active, State::Published], "ready generated"),
        (vec![State::Leaving, State::Submitted], "ready retired"),
        (vec![State::Retired, State::Active], "retired ready"),
        (vec![State::Active, State::Signing], "ready generated"),
        (vec![State::Active, State::Ready], "ready generated"),
        (vec![State::Leaving, State::Active], "ready leaving"),
        (vec![State::Withdrawn, State::Active], "withdrawn ready"),
    ] {
        let of = |(id, state): (i64, &State)| key(id, Role::Csk, 13, *state);
        let mut keys: Vec<Key> = (1..).zip(&before).map(of).collect();
        let moves = enable(&keys);
        make(&mut keys, &moves, 0);
        assert_eq!(states(&keys), after, "{before:?}");
        assert!(is_first(&keys) && enable(&keys).is_empty(), "{before:?}");
        assert_eq!(stop(&keys), Err(RollError::NothingToStop));
        assert_eq!((start(&keys, ALL), withdraw(&keys)), (Err(RollError::First), Err(RollError::First)));
        let wait = &waits_of(&keys, &WAITS)[0];
        assert_eq!((wait.due, wait.moves[0].to), (Due::At(105 * US), Some(State::Active)), "the TTL of the zone");
    }
}

#[test]
fn the_ttl_of_the_zone_is_asked_for_only_where_a_step_waits_for_it() {
    for (role, state, gone_us, expected) in [
        (Role::Csk, State::Active, None, false),
        (Role::Csk, State::Ready, None, true),
        (Role::Csk, State::Signing, None, true),
        (Role::Csk, State::Submitted, None, false),
        (Role::Csk, State::Retired, None, false),
        (Role::Csk, State::Retired, Some(1), true),
        (Role::Zsk, State::Retired, None, true),
        (Role::Csk, State::Withdrawn, None, false),
        (Role::Csk, State::Ending, Some(1), false),
    ] {
        let key = Key { ds: DsTimes { gone_us, ..DsTimes::default() }, ..key(1, role, 13, state) };
        assert_eq!(waits_for_zone(std::slice::from_ref(&key)), expected, "{role} {state:?}");
        // Where it is not asked for, it makes no difference.
        let without = Waits { zone_secs: 0, ..WAITS };
        let is_same = waits_of(std::slice::from_ref(&key), &without) == waits_of(&[key], &WAITS);
        assert_eq!(is_same, !expected, "{role} {state:?}");
    }
}
