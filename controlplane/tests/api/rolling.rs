//! Rollovers that go on by themselves, of many domains of which half cannot: those come first and stay, and the others go on.

use std::thread;
use std::time::{Duration, Instant};

use controlplane::clock::now_us;
use controlplane::store::domains::{Denial, Domain, SerialPolicy, Soa, SoaMode};
use controlplane::store::keys::{DsTimes, NewKey, Rollover, State};
use controlplane::store::{AccountId, ChangeId, DomainId, Txn};

use crate::harness::{Bench, Full};

/// How many domains cannot go on, and how many can: more of each than one look takes on.
const HALF: i64 = 300;
/// How long all may take.
const TIME_MAX: Duration = Duration::from_secs(120);
/// Microseconds of ten days.
const LONG_US: i64 = 10 * 86_400_000_000;

/// A signed domain that was not published yet.
fn domain(account: AccountId, name: String) -> Domain {
    let soa = Soa {
        ttl_secs: 300,
        mname: "ns1.petrel.test.".into(),
        rname: "hostmaster.petrel.test.".into(),
        refresh_secs: 86_400,
        retry_secs: 3600,
        expire_secs: 2_419_200,
        minimum_secs: 3600,
    };
    Domain {
        id: DomainId(0),
        account,
        name,
        created_us: 1,
        touched_us: 1,
        published_us: None,
        changed_us: 1,
        change: ChangeId(1),
        minimum_ttl_secs: 3600,
        serial: 1,
        serial_policy: SerialPolicy::Increment,
        soa_mode: SoaMode::Managed,
        soa,
        rrset_count: 0,
        unproved: None,
        denial: Denial::Nsec,
        signed_us: now_us(),
    }
}

/// A CSK. Nothing is published here, so that it need not be one.
fn csk(tag: u16, state: State) -> NewKey {
    NewKey { role: "csk".into(), algorithm: 13, tag, public: vec![1; 64], sealed: vec![1; 64], state }
}

/// Makes `2 * HALF` domains; `fill` gives each its keys, and is told whether it is one that cannot go on. Those are made first.
fn fill(bench: &Bench, fill: impl Fn(&Txn<'_>, &Domain, bool) + Send + 'static) {
    let account = bench.account("rolls@mail.example").id;
    let make = move |txn: &Txn<'_>| {
        for number in 0..2 * HALF {
            let mut domain = domain(account, format!("d{number}.example"));
            domain.id = txn.add_domain(&domain)?.unwrap();
            fill(txn, &domain, number < HALF);
        }
        Ok::<_, controlplane::store::StoreError>(())
    };
    bench.store.write_blocking(make).unwrap();
}

/// Waits until as many domains have a key in a state as can go on; none of the others may have one.
fn until_all_that_can_are(bench: &Bench, state: State) {
    let count = |from: i64| {
        let mut count = 0;
        for number in from..from + HALF {
            let found = bench.store.read(|reader| {
                let domain = reader.domain_by_name(&format!("d{number}.example"))?.unwrap();
                reader.keys(domain.id)
            });
            count += i64::from(found.unwrap().iter().any(|key| key.key.state == state));
        }
        count
    };
    let end = Instant::now() + TIME_MAX;
    while count(HALF) < HALF {
        assert!(Instant::now() < end, "{} of {HALF}", count(HALF));
        thread::park_timeout(Duration::from_millis(200));
    }
    assert_eq!(count(0), 0);
}

#[test]
fn domains_whose_step_nobody_serves_keep_no_others_from_theirs() {
    let bench = Bench::start();
    fill(&bench, |txn, domain, is_stuck| {
        let long_ago_us = now_us() - LONG_US;
        for (tag, state) in [(1, State::Active), (2, State::Published)] {
            assert!(txn.add_key(domain.account, domain.id, &csk(tag, state), long_ago_us).unwrap());
        }
        // A change that nothing serves, as of a zone that the gate refuses.
        let change = is_stuck.then_some(ChangeId(1 << 40));
        let next_us = Some(long_ago_us + i64::from(!is_stuck));
        txn.put_rollover(domain, &Rollover { next_us, change, ..Rollover::default() }).unwrap();
    });
    bench.keep_rolling();
    until_all_that_can_are(&bench, State::Submitted);
}

#[test]
fn no_rollover_takes_the_place_of_a_step_that_nobody_serves_yet() {
    let bench = Bench::start();
    let account = bench.account("rolls@mail.example");
    let (token, account) = (bench.token(&account, Full), account.id);
    let id = bench.store.write_blocking(move |txn: &Txn<'_>| {
        let mut domain = domain(account, "d.example".into());
        domain.id = txn.add_domain(&domain)?.unwrap();
        for (tag, role) in [(1, "ksk"), (2, "zsk")] {
            let key = NewKey { role: role.into(), ..csk(tag, State::Active) };
            assert!(txn.add_key(account, domain.id, &key, now_us() - LONG_US)?);
        }
        Ok::<_, controlplane::store::StoreError>(domain.id)
    });
    let id = id.unwrap();
    let roll = |keytype: &str| {
        let body = format!("{{\"keytype\":\"{keytype}\"}}");
        bench.call(token.who(), "POST", "/api/zones/d.example/keys/roll", Some(&body))
    };
    assert_eq!(roll("ksk").status, 200);
    let early = roll("zsk");
    assert!(early.status == 409 && early.text.contains("not all data planes serve"), "{}", early.text);
    let step = bench.store.read(|reader| reader.rollover(id)).unwrap().change.unwrap();
    bench.store.write_blocking(move |txn| controlplane::change::begin_step(txn, id, step, now_us())).unwrap();
    assert_eq!(roll("zsk").status, 200);
}

#[test]
fn old_keys_whose_ds_nobody_has_seen_keep_no_others_from_being_rolled() {
    let bench = Bench::start();
    fill(&bench, |txn, domain, is_stuck| {
        let since_us = now_us() - LONG_US - i64::from(is_stuck);
        assert!(txn.add_key(domain.account, domain.id, &csk(1, State::Active), since_us).unwrap());
        let key = &txn.keys(domain.id).unwrap()[0];
        let seen_us = (!is_stuck).then_some(since_us);
        txn.note_ds(key.id, &DsTimes { seen_us, ..DsTimes::default() }).unwrap();
        txn.put_rollover(domain, &Rollover { ksk_secs: Some(86_400), ..Rollover::default() }).unwrap();
    });
    bench.keep_rolling();
    until_all_that_can_are(&bench, State::Published);
}
