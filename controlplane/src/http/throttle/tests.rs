//! The table of rates against a clock of our own.

use proptest::prelude::*;

use super::*;

/// Somebody of class hosting.
fn stranger(name: &str) -> Identity {
    Identity { name: name.into(), class: Class::Hosting, per_day: None }
}

/// Asks `count` times at once, `at` seconds after the begin; how many are let through, and the wait of the first that is not.
fn ask(log: &mut Log, who: &Identity, scope: Scope, bucket: &str, at: u64, count: usize) -> (usize, u64) {
    for passed in 0..count {
        if let Err(full) = log.admit(&HOSTING, who, &[(scope, bucket)], at * SECOND_US) {
            return (passed, full.wait_secs);
        }
    }
    (count, 0)
}

#[test]
fn waits_are_those_that_were_measured_at_the_reference() {
    let mut log = Log::default();
    let who = stranger("a");
    assert_eq!(ask(&mut log, &who, Scope::DnsApiPerDomainExpensive, "d", 0, 3), (2, 1));
    assert_eq!(ask(&mut log, &who, Scope::AccountManagementActive, "", 0, 4), (3, 60));
    assert_eq!(ask(&mut log, &who, Scope::DynDns, "d", 0, 3), (2, 120));
}

#[test]
fn every_window_of_a_scope_must_have_room() {
    let mut log = Log::default();
    let who = stranger("a");
    let mut passed = 0;
    for second in 0..10 {
        passed += ask(&mut log, &who, Scope::DnsApiPerDomainExpensive, "d", second, 3).0;
    }
    // Two in a second, and fifteen in the minute.
    assert_eq!(passed, 15);
    assert_eq!(ask(&mut log, &who, Scope::DnsApiPerDomainExpensive, "d", 10, 1), (0, 50));
    assert_eq!(ask(&mut log, &who, Scope::DnsApiPerDomainExpensive, "d", 60, 3), (2, 1));
}

#[test]
fn buckets_and_identities_are_counted_apart_and_operators_not_at_all() {
    let mut log = Log::default();
    for (name, bucket) in [("a", "d"), ("a", "e"), ("b", "d")] {
        assert_eq!(ask(&mut log, &stranger(name), Scope::DynDns, bucket, 0, 3).0, 2, "{name} {bucket}");
    }
    // A scope without buckets is one count, whatever bucket is named.
    assert_eq!(ask(&mut log, &stranger("a"), Scope::AccountManagementActive, "x", 0, 2).0, 2);
    assert_eq!(ask(&mut log, &stranger("a"), Scope::AccountManagementActive, "y", 0, 2).0, 1);
    let operator = Identity { class: Class::Operator, ..stranger("o") };
    assert_eq!(ask(&mut log, &operator, Scope::DynDns, "d", 0, 1000).0, 1000);
    assert_eq!(ask(&mut log, &operator, Scope::WrongCredentials, "", 0, 301).0, 300);
}

#[test]
fn what_is_refused_is_logged_nowhere() {
    let mut log = Log::default();
    let who = stranger("a");
    let both = [(Scope::DynDns, "d"), (Scope::User, "")];
    for _ in 0..5 {
        log.admit(&HOSTING, &who, &both, 0).ok();
    }
    let users = log.export(&HOSTING, 0).iter().filter(|entry| entry.scope == Scope::User).count();
    assert_eq!(users, 2);
}

#[test]
fn an_account_may_have_a_bound_of_its_own_per_day() {
    let mut log = Log::default();
    let few = Identity { per_day: Some(3), ..stranger("few") };
    assert_eq!(ask(&mut log, &few, Scope::User, "", 0, 9), (3, 86_400));
    let none = Identity { per_day: Some(0), ..stranger("none") };
    assert_eq!(ask(&mut log, &none, Scope::User, "", 0, 9), (0, 86_400));
    assert_eq!(ask(&mut log, &stranger("usual"), Scope::User, "", 0, 2001), (2000, 86_400));
}

#[test]
fn a_restart_changes_nothing() {
    let mut log = Log::default();
    let who = stranger("a");
    ask(&mut log, &who, Scope::DynDns, "d", 0, 1);
    ask(&mut log, &who, Scope::DynDns, "d", 30, 1);
    let entries = log.export(&HOSTING, 40 * SECOND_US);
    assert_eq!(entries.len(), 2);
    let mut again = Log::import(&HOSTING, entries, 50 * SECOND_US);
    assert_eq!(ask(&mut again, &who, Scope::DynDns, "d", 50, 1), (0, 70));
    assert_eq!(ask(&mut again, &who, Scope::DynDns, "d", 120, 2), (1, 30));
    assert_eq!(again.export(&HOSTING, 1000 * SECOND_US), []);
}

#[test]
fn a_clock_that_is_set_back_locks_nobody_out() {
    let mut log = Log::default();
    let who = stranger("a");
    ask(&mut log, &who, Scope::DynDns, "d", 1_000_000, 2);
    assert_eq!(ask(&mut log, &who, Scope::DynDns, "d", 10, 1), (0, 120));
    let mut again = Log::import(&HOSTING, log.export(&HOSTING, 10 * SECOND_US), 10 * SECOND_US);
    assert_eq!(ask(&mut again, &who, Scope::DynDns, "d", 131, 1).0, 1);
}

#[test]
fn memory_is_bounded_whoever_asks() {
    let mut log = Log::default();
    for n in 0..3 * KEY_COUNT_MAX as u64 {
        log.admit(&HOSTING, &stranger(&n.to_string()), &[(Scope::User, "")], n).unwrap();
    }
    assert!(log.times.len() <= KEY_COUNT_MAX && log.time_count == log.count_times());
    let newest = (3 * KEY_COUNT_MAX - 1).to_string();
    assert!(log.times.keys().any(|(_, _, identity)| **identity == *newest), "the newest must stay");
    // All at the same time: there is no oldest, and the bound holds all the same.
    for n in 0..2 * KEY_COUNT_MAX as u64 {
        log.admit(&HOSTING, &stranger(&format!("x{n}")), &[(Scope::User, "")], SECOND_US).unwrap();
    }
    assert!(log.times.len() <= KEY_COUNT_MAX);
}

#[test]
fn scopes_keep_their_names() {
    for (scope, name) in SCOPE_NAMES {
        assert_eq!((scope.name(), Scope::of_name(name)), (*name, Some(*scope)));
        assert!(HOSTING.longest_us(*scope) > 0);
    }
    assert_eq!(Scope::of_name("x"), None);
}

proptest! {
    /// In no window of any length lie more than its count.
    #[test]
    fn no_window_ever_holds_more_than_its_count(steps in prop::collection::vec(0_u64..3_000_000, 1..300)) {
        let (mut log, mut now_us, mut passed) = (Log::default(), 0, Vec::new());
        for step in steps {
            now_us += step;
            let admitted = log.admit(&HOSTING, &stranger("a"), &[(Scope::DnsApiPerDomainExpensive, "d")], now_us);
            match admitted {
                Ok(()) => passed.push(now_us),
                Err(full) => {
                    // One second less than the wait is not enough, as the wait is rounded up.
                    let early = now_us + (full.wait_secs - 1) * SECOND_US;
                    let mut copy = Log::import(&HOSTING, log.export(&HOSTING, now_us), now_us);
                    let again = copy.admit(&HOSTING, &stranger("a"), &[(Scope::DnsApiPerDomainExpensive, "d")], early);
                    prop_assert!(again.is_err());
                    let late = now_us + full.wait_secs * SECOND_US;
                    let again = copy.admit(&HOSTING, &stranger("a"), &[(Scope::DnsApiPerDomainExpensive, "d")], late);
                    prop_assert!(again.is_ok());
                }
            }
        }
        for (count, secs) in [(2, 1), (15, 60), (100, 3600)] {
            for window in passed.windows(count + 1) {
                prop_assert!(window[count] - window[0] >= secs * SECOND_US);
            }
        }
    }
}
