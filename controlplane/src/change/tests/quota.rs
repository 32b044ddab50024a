//! What accounts may have, and that it is counted right.

use proptest::prelude::*;

use super::doors::token;
use super::*;
use crate::store::rrsets::Record;
use crate::store::usage::{DAY_US, HOUR_US, Quotas, Usage};

/// Gives the account of a bench other quotas.
fn allow(bench: &Bench, quotas: Quotas) {
    let id = bench.actor.account;
    bench
        .store
        .write_blocking(move |txn| {
            let account = txn.account(id)?.unwrap();
            txn.update_account(&crate::store::accounts::Account { quotas, ..account })
        })
        .unwrap();
}

/// What the account of a bench has, as it is counted.
fn usage(bench: &Bench) -> Usage {
    bench.store.read(|reader| reader.account(bench.actor.account)).unwrap().unwrap().usage
}

/// Fails unless all accounts have what is counted.
fn check_counters(bench: &Bench) {
    assert_eq!(bench.store.read(|reader| reader.miscounts()).unwrap(), Vec::<String>::new());
}

#[test]
fn t_g7_each_quota_ends_growth_names_itself_and_lets_shrink() {
    let mut bench = Bench::new();
    bench.edit(Verb::Put, &["a A 60 192.0.2.1, 192.0.2.2", "b TXT 60 \"123456789\""]).unwrap();
    // With its two NS records, whose names have 17 octets each.
    assert_eq!(usage(&bench), Usage { domains: 1, rrsets: 3, records: 5, bytes: 8 + 10 + 34 });
    let none = Quotas::default();
    for (quotas, line, told) in [
        (
            Quotas { rrsets: Some(3), ..none },
            "c A 60 192.0.2.1",
            "RRset limit exceeded: the account has 3 of 3 RRsets, and this adds 1.",
        ),
        (
            Quotas { records: Some(6), ..none },
            "a A 60 192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4",
            "Record limit exceeded: the account has 5 of 6 records, and this adds 2.",
        ),
        (
            Quotas { bytes: Some(60), ..none },
            "b TXT 60 \"1234567890123456789\"",
            "RDATA limit exceeded: the account has 52 of 60 bytes of RDATA and comments, and this adds 10.",
        ),
    ] {
        allow(&bench, quotas);
        let before = (usage(&bench), bench.content());
        let refused = said(bench.edit(Verb::Put, &[line]));
        assert!(refused.starts_with(told), "{refused}");
        assert_eq!((usage(&bench), bench.content()), before);
    }
    // Above limits that were lowered, what shrinks or stays is still done.
    allow(&bench, Quotas { rrsets: Some(0), records: Some(0), bytes: Some(0), ..none });
    bench.edit(Verb::Put, &["a A 60 192.0.2.9, 192.0.2.8"]).unwrap();
    bench.edit(Verb::Put, &["a A 60 :"]).unwrap();
    assert_eq!(usage(&bench), Usage { domains: 1, rrsets: 2, records: 3, bytes: 44 });
    check_counters(&bench);
}

#[test]
fn t_g7_writes_of_an_hour_are_bounded_and_the_wait_is_told() {
    let mut bench = Bench::new();
    bench.actor = token(&bench.store, &bench.actor, |_| ());
    let tenant = bench.actor.token;
    allow(&bench, Quotas { writes_per_hour: Some(2), ..Quotas::default() });
    bench.edit(Verb::Put, &["a A 60 192.0.2.1, 192.0.2.4"]).unwrap();
    bench.edit(Verb::Put, &["a A 60 192.0.2.2"]).unwrap();
    bench.edit(Verb::Put, &["a A 60 192.0.2.2"]).expect("it changes nothing, so it is no write");
    let refused = bench.edit(Verb::Put, &["a A 60 192.0.2.3"]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Write limit exceeded: 2 of 2 writes in this hour. Expected available in 3595 seconds."
    );
    bench.actor.now_us += HOUR_US;
    bench.edit(Verb::Put, &["a A 60 192.0.2.3, 192.0.2.4"]).unwrap();
    bench.edit(Verb::Put, &["b A 60 192.0.2.3"]).unwrap();
    // The rate is spent: what only takes away is done, whoever does it, and the operator does as he likes.
    let adding = ["b A 60 192.0.2.4", "b A 30 192.0.2.3", "c A 60 192.0.2.3"];
    let refused = |bench: &mut Bench, line| matches!(bench.edit(Verb::Put, &[line]), Err(Refusal::Throttled { .. }));
    assert!(adding.iter().all(|line| refused(&mut bench, *line)));
    bench.edit(Verb::Put, &["a A 60 192.0.2.4"]).unwrap();
    bench.edit(Verb::Put, &["a A 60 :"]).unwrap();
    assert!(refused(&mut bench, "c A 60 192.0.2.3"));
    bench.actor.token = None;
    bench.edit(Verb::Put, &["c A 60 192.0.2.3"]).expect("the operator helps a tenant");
    bench.actor.token = tenant;
    let count =
        |bench: &Bench| bench.store.read(|reader| reader.account(bench.actor.account)).unwrap().unwrap().writes.count;
    assert_eq!(count(&bench), 4, "removals are counted, the operator's writes are not");
    check_counters(&bench);
    let owner = bench.actor.clone();
    let gone = bench.store.write_blocking(move |txn| delete(txn, &owner, "example.test", &[]));
    assert!(gone.is_ok_and(|change| change.is_some()));
    check_counters(&bench);
}

#[test]
fn t_g7_history_of_a_day_is_bounded_and_neither_removals_nor_the_operator_are() {
    let mut bench = Bench::new();
    bench.actor = token(&bench.store, &bench.actor, |_| ());
    let tenant = bench.actor.token;
    // Swapped again and again, each of these stays within all limits of what there is now.
    let long = |owner: &str, letter: &str| format!("{owner} TXT 60 \"{}\"", letter.repeat(200));
    allow(&bench, Quotas { history_per_day: Some(250), ..Quotas::default() });
    bench.edit(Verb::Put, &[&long("a", "x"), &long("b", "x")]).expect("one change may end above the limit");
    let refused = bench.edit(Verb::Put, &[&long("a", "y")]).unwrap_err();
    let Refusal::Remembered { used, max: 250, secs: 86_397 } = refused else { panic!("{refused}") };
    assert!((400..800).contains(&used), "{used}");
    bench.edit(Verb::Put, &["a TXT 60 :"]).expect("what takes away is never refused");
    bench.actor.token = None;
    bench.edit(Verb::Put, &[&long("a", "z")]).expect("the operator helps a tenant");
    let account = bench.store.read(|reader| reader.account(bench.actor.account)).unwrap().unwrap();
    bench.actor.token = tenant;
    assert!(matches!(bench.edit(Verb::Put, &[&long("b", "y")]), Err(Refusal::Remembered { .. })));
    let removed = account.history.bytes - used;
    assert!((200..400).contains(&removed), "the removal is counted and the operator's write is not: {removed}");
    bench.actor.now_us += DAY_US;
    bench.edit(Verb::Put, &[&long("b", "y")]).unwrap();
    check_counters(&bench);
}

#[test]
fn t_g7_comments_are_bytes_of_the_account() {
    let mut bench = Bench::new();
    bench.edit(Verb::Put, &["a A 60 192.0.2.1"]).unwrap();
    let comment = |text: &str| {
        let content = canonical(Rtype::A, "192.0.2.1").unwrap();
        let record = Record { comment: Some(text.to_owned()), ..Record::new(content.text, content.rdata) };
        let target = Target { subname: "a".into(), rtype: Rtype::A, state: Some((60, vec![record])) };
        Edits::Targets { kind: "comment", undoes: None, note: None, targets: vec![target], soa: None }
    };
    let before = usage(&bench).bytes;
    allow(&bench, Quotas { bytes: Some(u32::try_from(before).unwrap() + 9), ..Quotas::default() });
    bench.commit(comment("12345")).unwrap();
    assert_eq!(usage(&bench).bytes, before + 5);
    let refused = said(bench.commit(comment("1234567890")));
    assert!(refused.starts_with("RDATA limit exceeded:"), "{refused}");
    check_counters(&bench);
    bench.edit(Verb::Put, &["a A 60 :"]).unwrap();
    assert_eq!(usage(&bench).bytes, before - 4);
    check_counters(&bench);
}

#[test]
fn t_g7_what_is_compiled_many_times_is_charged_so_often() {
    let mut bench = Bench::new();
    let before = usage(&bench);
    let rows = |rows: &[(u8, &str, bool)]| {
        let record = |(octet, geo, enabled): &(u8, &str, bool)| Record {
            weight: Some(1),
            geo: (!geo.is_empty()).then(|| (*geo).to_owned()),
            enabled: *enabled,
            ..Record::new(format!("192.0.2.{octet}"), vec![192, 0, 2, *octet])
        };
        let records: Vec<Record> = rows.iter().map(record).collect();
        let target = Target { subname: "a".into(), rtype: Rtype::A, state: Some((60, records)) };
        Edits::Targets { kind: "edit", undoes: None, note: None, targets: vec![target], soa: None }
    };
    // Four rows of sixteen countries each are 64 answers that are signed apart.
    let many = "US,DE,FR,GB,IT,ES,PT,NL,BE,LU,CH,AT,PL,CZ,SK,HU";
    let four: Vec<(u8, &str, bool)> = (1..=4).map(|octet| (octet, many, true)).collect();
    let records = u32::try_from(before.records).unwrap();
    allow(&bench, Quotas { records: Some(records + 63), ..Quotas::default() });
    let refused = said(bench.commit(rows(&four)));
    assert!(
        refused.starts_with("Record limit exceeded: the account has 2 of 65 records, and this adds 64."),
        "{refused}"
    );
    check_counters(&bench);
    allow(&bench, Quotas { records: Some(records + 64), ..Quotas::default() });
    bench.commit(rows(&four)).unwrap();
    assert_eq!((usage(&bench).records, usage(&bench).bytes), (before.records + 64, before.bytes + 64 * 4));
    check_counters(&bench);
    let refused = bench.edit(Verb::Put, &["b A 60 192.0.2.1"]);
    assert!(said(refused).starts_with("Record limit exceeded: the account has 66 of 66 records, and this adds 1."));
    // Disabled ones count as well, so that whoever enables one is not refused; without regions one is one.
    bench.commit(rows(&[(1, "US,DE", false), (2, "", true), (5, "EU", true)])).unwrap();
    check_counters(&bench);
    assert_eq!(usage(&bench).records, before.records + 2 + 16 + 1, "places stay where a write names none");
    bench.edit(Verb::Put, &["a A 60 :"]).unwrap();
    assert_eq!(usage(&bench), before);
    check_counters(&bench);
}

#[test]
fn t_g7_tenants_have_quotas_from_the_start_and_the_operator_has_none() {
    let bench = Bench::new();
    let quotas = |class| {
        let id = actor(&bench.store, &format!("{class:?}@example.test"), class).account;
        bench.store.read(|reader| reader.account(id)).unwrap().unwrap().quotas
    };
    let hosting = quotas(Class::Hosting);
    assert!(hosting.records.is_some() && hosting.bytes.is_some() && hosting.writes_per_hour.is_some(), "{hosting:?}");
    assert!(hosting.history_per_day.is_some(), "{hosting:?}");
    assert_eq!(quotas(Class::Operator), Quotas { domains: Some(2), ..Quotas::default() });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn counters_are_what_is_there_after_any_changes(
        steps in proptest::collection::vec((0..9u8, 0..4u8, 0..4u8), 1..40),
    ) {
        let mut bench = Bench::new();
        allow(&bench, Quotas { records: Some(9), bytes: Some(120), ..Quotas::default() });
        let mut last = Vec::new();
        for (kind, owner, count) in steps {
            let addresses: Vec<String> = (0..count).map(|n| format!("192.0.2.{n}")).collect();
            let addresses = if count == 0 { ":".to_owned() } else { addresses.join(", ") };
            let owner_line = format!("n{owner} A 60 {addresses}");
            let text = format!("n{owner} TXT 60 \"{}\"", "x".repeat(usize::from(count) * 9 + 1));
            // Some are refused, by quotas or rules; the counters must not notice.
            match kind {
                0..=3 => last.extend(bench.edit(Verb::Put, &[&owner_line]).ok().and_then(|done| done.change)),
                4 => last.extend(bench.edit(Verb::Put, &[&text, &owner_line]).ok().and_then(|done| done.change)),
                5 => drop(bench.edit(Verb::Patch, &[&format!("n{owner} A 7 -")])),
                6 => {
                    if let Some(change) = last.pop() {
                        let (actor, domain) = (bench.actor.clone(), bench.domain);
                        drop(bench.store.write_blocking(move |txn| restore(txn, actor, domain, Restore::Undo(change), false)));
                    }
                }
                7 => {
                    let (actor, name) = (bench.actor.clone(), format!("me{owner}.dedyn.test"));
                    drop(bench.store.write_blocking(move |txn| create(txn, &actor, new_domain(&name))));
                }
                _ => {
                    let (actor, name) = (bench.actor.clone(), format!("me{owner}.dedyn.test"));
                    let local = actor.house.local_suffixes.clone();
                    drop(bench.store.write_blocking(move |txn| delete(txn, &actor, &name, &local)));
                }
            }
            check_counters(&bench);
        }
    }
}
