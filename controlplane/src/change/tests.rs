//! Changes of RRsets and domains, each on a real database.

mod doors;
mod objects;
mod owned;
mod quota;

use serde_json::json;
use snapshot::dns::rtype::Rtype;
use uuid::Uuid;

use super::*;
use crate::rrset::canonical::canonical;
use crate::rrset::{Method, Rules, bulk};
use crate::store::Store;
use crate::store::accounts::{Class, NewAccount};
use crate::store::rrsets::Filter;

/// A database with one account and one domain `example.test`, whose RRsets are edited by lines.
struct Bench {
    /// Removed at the end.
    _dir: tempfile::TempDir,
    /// The database.
    store: Store,
    /// Who edits.
    actor: Actor,
    /// The domain.
    domain: DomainId,
}

/// A domain to be made by a tenant.
fn new_domain(name: &str) -> NewDomain {
    NewDomain {
        nameservers: vec!["ns1.petrel.test.".into(), "ns2.petrel.test.".into()],
        minimum_ttl_secs: 3600,
        local_suffixes: vec!["dedyn.test".into()],
        ..testing::new_domain(name)
    }
}

/// Adds an account and gives an actor in its name.
fn actor(store: &Store, email: &str, class: Class) -> Actor {
    let new = NewAccount { uuid: Uuid::new_v4(), email: email.into(), class, created_us: 1, limit_domains: Some(2) };
    let account = store.write_blocking(move |txn| txn.add_account(&new)).unwrap().unwrap();
    let limits = crate::rrset::Limits::HOSTING;
    let house = std::sync::Arc::new(House { local_suffixes: vec!["dedyn.test".into()], wants_proof: false });
    Actor { account: account.id, token: None, address: None, via: "test", now_us: 1_000_000, limits, house }
}

impl Bench {
    /// A fresh one.
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let actor = actor(&store, "one@example.test", Class::Hosting);
        let who = actor.clone();
        let created = store.write_blocking(move |txn| create(txn, &who, new_domain("example.test"))).unwrap();
        Bench { _dir: dir, store, actor, domain: created.domain.id }
    }

    /// Commits edits: lines "subname type ttl record, record"; `-` for what is not said, no records after `:`.
    fn edit(&mut self, verb: Verb, lines: &[&str]) -> Result<Committed, Refusal> {
        self.commit(Edits::Drafts(verb, lines.iter().map(|line| draft(line)).collect()))
    }

    /// Commits a list as a client sends it.
    fn list(&mut self, method: Method, body: &serde_json::Value) -> Result<Committed, Refusal> {
        let rules = Rules { domain: "example.test", ttl_secs_min: 60, limits: self.actor.limits };
        self.commit(Edits::List(bulk::read(body, method, &rules).unwrap()))
    }

    /// Commits a second later.
    fn commit(&mut self, edits: Edits) -> Result<Committed, Refusal> {
        self.actor.now_us += 1_000_000;
        let (actor, domain) = (self.actor.clone(), self.domain);
        let change = Change { actor, domain, precondition: None, edits, dry_run: false };
        self.store.write_blocking(move |txn| commit(txn, change))
    }

    /// All RRsets as text, by owner and type.
    fn content(&self) -> String {
        let rrsets = self.store.read(|reader| reader.rrsets_before(self.domain, &Filter::default(), None, 1000));
        let mut lines: Vec<String> = rrsets
            .unwrap()
            .iter()
            .filter(|rrset| !(rrset.subname.is_empty() && rrset.rtype == Rtype::NS))
            .map(|rrset| {
                let records: Vec<&str> = rrset.records.iter().map(|record| record.content.as_str()).collect();
                format!("{} {} {} {}", rrset.subname, rrset.rtype, rrset.ttl_secs, records.join(","))
            })
            .collect();
        lines.sort();
        lines.join("; ")
    }

    /// The domain's serial.
    fn serial(&self) -> u32 {
        self.store.read(|reader| reader.domain(self.domain)).unwrap().unwrap().serial
    }
}

/// See [`Bench::edit`].
fn draft(line: &str) -> Draft {
    let mut words = line.splitn(4, ' ');
    let mut word = || words.next().unwrap();
    let subname = word().trim_start_matches('@').to_owned();
    let rtype = Rtype::parse(word().as_bytes()).unwrap();
    let ttl = word().parse().ok();
    let records = match word() {
        "-" => None,
        ":" => Some(Vec::new()),
        texts => Some(texts.split(", ").map(|text| canonical(rtype, text).unwrap()).collect()),
    };
    Draft { subname, rtype, ttl, records }
}

/// What a refusal says.
fn said(outcome: Result<Committed, Refusal>) -> String {
    outcome.unwrap_err().to_string()
}

#[test]
fn each_verb_does_what_it_says() {
    let mut bench = Bench::new();
    bench.edit(Verb::Put, &["www A 3600 192.0.2.1", "@ TXT 60 \"x\""]).unwrap();
    assert_eq!(bench.content(), " TXT 60 \"x\"; www A 3600 192.0.2.1");
    bench.edit(Verb::Patch, &["www A - 192.0.2.2", "ftp A 300 192.0.2.3", "@ TXT - :"]).unwrap();
    assert_eq!(bench.content(), "ftp A 300 192.0.2.3; www A 3600 192.0.2.2");
    assert_eq!(said(bench.edit(Verb::Patch, &["new A - 192.0.2.2"])), "new A needs a TTL and records.");
    bench.edit(Verb::Put, &["www A 60 192.0.2.4, 192.0.2.5", "ftp A 60 :", "none A 60 :"]).unwrap();
    assert_eq!(bench.content(), "www A 60 192.0.2.4,192.0.2.5");
}

#[test]
fn mistakes_in_a_list_are_told_by_position_and_none_is_applied() {
    let mut bench = Bench::new();
    bench.edit(Verb::Put, &["a A 60 192.0.2.1"]).unwrap();
    let item = |subname: &str, ttl: u32| json!({"subname": subname, "type": "A", "ttl": ttl, "records": ["192.0.2.9"]});
    let list = json!([item("a", 3600), item("b", 1), item("c", 3600)]);
    let Err(Refusal::Body(body)) = bench.list(Method::Post, &list) else { panic!("it was applied") };
    let found = [0, 1, 2].map(|idx| body[idx].as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(","));
    assert_eq!(found, ["non_field_errors", "ttl", ""]);
    assert_eq!(bench.content(), "a A 60 192.0.2.1");
    bench.list(Method::Put, &list.as_array().unwrap()[..1].into()).unwrap();
    assert_eq!(bench.content(), "a A 3600 192.0.2.9");
}

#[test]
fn a_cname_stays_alone_but_may_be_swapped_in_one_change() {
    let mut bench = Bench::new();
    bench.edit(Verb::Put, &["www A 60 192.0.2.1"]).unwrap();
    let refused = said(bench.edit(Verb::Put, &["www CNAME 60 a.test."]));
    assert!(refused.contains("database (A)"), "{refused}");
    bench.edit(Verb::Put, &["www A 60 :", "www CNAME 60 a.test."]).unwrap();
    assert_eq!(bench.content(), "www CNAME 60 a.test.");
    let refused = said(bench.edit(Verb::Put, &["x CNAME 60 a.test.", "x TXT 60 \"t\""]));
    assert_eq!(refused.matches("RRset with conflicting type").count(), 2, "{refused}");
    assert!(said(bench.edit(Verb::Put, &["@ CNAME 60 a.test."])).contains("database (NS)"));
}

#[test]
fn a_write_without_effect_bumps_nothing_and_all_of_a_change_bumps_once() {
    let mut bench = Bench::new();
    let before = bench.serial();
    let committed = bench.edit(Verb::Put, &["a A 60 192.0.2.1", "b A 60 192.0.2.2"]).unwrap();
    assert!(committed.change.is_some());
    assert_eq!(bench.serial(), before + 1);
    let committed = bench.edit(Verb::Put, &["a A 60 192.0.2.1"]).unwrap();
    assert_eq!((committed.change, bench.serial()), (None, before + 1));
    assert_eq!(committed.rrsets[0].touched_us, bench.actor.now_us);
}

#[test]
fn one_wrong_position_leaves_everything_as_it_was() {
    let mut bench = Bench::new();
    bench.edit(Verb::Put, &["a A 60 192.0.2.1"]).unwrap();
    let head = bench.store.read(|reader| reader.head()).unwrap();
    bench.edit(Verb::Put, &["b A 60 192.0.2.1", "d CNAME 60 a., b."]).unwrap_err();
    assert_eq!(bench.content(), "a A 60 192.0.2.1");
    assert_eq!(bench.store.read(|reader| reader.head()).unwrap(), head);
}

#[test]
fn a_change_can_be_taken_back_unless_it_was_overtaken() {
    let mut bench = Bench::new();
    bench.edit(Verb::Put, &["a A 60 192.0.2.1", "b A 60 192.0.2.1"]).unwrap();
    let second = bench.edit(Verb::Put, &["a A 60 192.0.2.2", "b A 60 :"]).unwrap().change.unwrap();
    let undo = |bench: &Bench, what, dry_run| {
        let (actor, domain) = (bench.actor.clone(), bench.domain);
        bench.store.write_blocking(move |txn| restore(txn, actor, domain, what, dry_run))
    };
    let tried = undo(&bench, Restore::Undo(second), true);
    assert!(matches!(&tried, Err(Refusal::DryRun(would)) if would.edits.len() == 2), "{tried:?}");
    assert_eq!(bench.content(), "a A 60 192.0.2.2");
    undo(&bench, Restore::Undo(second), false).unwrap();
    assert_eq!(bench.content(), "a A 60 192.0.2.1; b A 60 192.0.2.1");
    bench.edit(Verb::Put, &["a A 60 192.0.2.3"]).unwrap();
    let overtaken = undo(&bench, Restore::Undo(second), false).unwrap_err().to_string();
    assert_eq!(overtaken, "a A changed since then");
    undo(&bench, Restore::To(second), false).unwrap();
    assert_eq!(bench.content(), "a A 60 192.0.2.2");
}

#[test]
fn a_domain_is_restored_to_an_earlier_time() {
    let mut bench = Bench::new();
    bench.edit(Verb::Put, &["a A 60 192.0.2.1"]).unwrap();
    let then = bench.actor.now_us;
    bench.edit(Verb::Put, &["a A 60 :", "c TXT 60 \"new\""]).unwrap();
    let (actor, domain) = (bench.actor.clone(), bench.domain);
    bench.store.write_blocking(move |txn| restore(txn, actor, domain, Restore::ToTime(then), false)).unwrap();
    assert_eq!(bench.content(), "a A 60 192.0.2.1");
}

#[test]
fn a_precondition_that_is_not_met_changes_nothing() {
    let mut bench = Bench::new();
    let made = bench.edit(Verb::Put, &["a A 60 192.0.2.1"]).unwrap();
    let seen = etag(&made.rrsets[0]);
    let attempt = |tag: &str| {
        let precondition = Precondition { rrset: Some(("a".into(), Rtype::A)), etags: vec![tag.to_owned()] };
        let edits = Edits::Drafts(Verb::Patch, vec![draft("a A - 192.0.2.7")]);
        let (actor, domain) = (bench.actor.clone(), bench.domain);
        let change = Change { actor, domain, precondition: Some(precondition), edits, dry_run: false };
        bench.store.write_blocking(move |txn| commit(txn, change))
    };
    assert!(matches!(attempt("\"other\""), Err(Refusal::Precondition)));
    assert!(attempt(&seen).is_ok());
    assert!(matches!(attempt(&seen), Err(Refusal::Precondition)));
}

#[test]
fn t_c2_tenants_cannot_fill_a_name_without_end() {
    let mut bench = Bench::new();
    let many: Vec<String> = (0..101).map(|n| format!("192.0.2.{n}")).collect();
    let refused = said(bench.edit(Verb::Put, &[&format!("a A 60 {}", many.join(", "))]));
    assert_eq!(refused, "An RRset may have at most 100 records.");
    bench.edit(Verb::Put, &[&format!("a A 60 {}", many[..100].join(", "))]).unwrap();
}

#[test]
fn t_g1_names_within_a_foreign_domain_are_refused_in_any_order() {
    let bench = Bench::new();
    let other = actor(&bench.store, "other@example.test", Class::Hosting);
    let attempt = |actor: &Actor, name: &str| {
        let (actor, new) = (actor.clone(), new_domain(name));
        bench.store.write_blocking(move |txn| create(txn, &actor, new)).map(|_| ())
    };
    assert!(matches!(attempt(&other, "example.test"), Err(Refusal::Taken)));
    assert!(matches!(attempt(&other, "sub.example.test"), Err(Refusal::Policy)));
    assert!(attempt(&bench.actor, "sub.example.test").is_ok());
    assert!(attempt(&other, "deep.other.test").is_ok());
    assert!(matches!(attempt(&bench.actor, "other.test"), Err(Refusal::Limit(_))));
    assert!(matches!(
        attempt(&actor(&bench.store, "3@example.test", Class::Hosting), "other.test"),
        Err(Refusal::Policy)
    ));
}

#[test]
fn t_g4_a_deleted_name_is_kept_from_others_for_a_while() {
    let bench = Bench::new();
    let owner = bench.actor.clone();
    bench.store.write_blocking(move |txn| delete(txn, &owner, "example.test", &[])).unwrap().unwrap();
    let mut other = actor(&bench.store, "other@example.test", Class::Hosting);
    let attempt = |actor: &Actor| {
        let actor = actor.clone();
        bench.store.write_blocking(move |txn| create(txn, &actor, new_domain("example.test"))).map(|_| ())
    };
    assert!(matches!(attempt(&other), Err(Refusal::Policy)));
    other.now_us += 8 * 24 * 3600 * 1_000_000;
    assert!(attempt(&other).is_ok());
}

#[test]
fn a_domain_below_a_local_suffix_is_delegated_and_the_delegation_goes_with_it() {
    let bench = Bench::new();
    let operator = actor(&bench.store, "op@example.test", Class::Operator);
    let tenant = actor(&bench.store, "tenant@example.test", Class::Hosting);
    let who = operator.clone();
    let suffix = bench.store.write_blocking(move |txn| create(txn, &who, new_domain("dedyn.test"))).unwrap().domain.id;
    let who = tenant.clone();
    bench.store.write_blocking(move |txn| create(txn, &who, new_domain("me.dedyn.test"))).unwrap();
    let delegated = || bench.store.read(|reader| reader.types_of(suffix, b"me\0")).unwrap();
    assert_eq!(delegated(), [Rtype::NS]);
    let suffixes = vec!["dedyn.test".to_owned()];
    bench.store.write_blocking(move |txn| delete(txn, &tenant, "me.dedyn.test", &suffixes)).unwrap();
    assert!(delegated().is_empty());
}

#[test]
fn t_f15_of_many_that_create_one_domain_one_succeeds() {
    let bench = Bench::new();
    let made = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let actor = bench.actor.clone();
                // The account may have two domains and has one.
                let name =
                    format!("quota-{:?}.test", std::thread::current().id()).replace(['(', ')'], "").to_lowercase();
                let outcome = bench.store.write_blocking(move |txn| create(txn, &actor, new_domain(&name)));
                made.fetch_add(usize::from(outcome.is_ok()), std::sync::atomic::Ordering::Relaxed);
            });
        }
    });
    assert_eq!(made.into_inner(), 1);
}
