//! Rules that hold whatever front door a change comes through.

use super::*;
use crate::store::policies::Policy;
use crate::store::rrsets::Record;
use crate::store::tokens::Token;

/// What makes a token special.
type Special = fn(&mut Token);

/// Gives an account a token that may do everything but what `special` takes from it.
pub(super) fn token(store: &Store, actor: &Actor, special: impl FnOnce(&mut Token)) -> Actor {
    let mut token = Token {
        id: Uuid::new_v4(),
        account: actor.account,
        name: String::new(),
        created_us: actor.now_us,
        last_used_us: None,
        max_age_us: None,
        max_unused_us: None,
        perm_create_domain: true,
        perm_delete_domain: true,
        perm_manage_tokens: false,
        auto_policy: false,
        read_only: false,
        allowed_subnets: Vec::new(),
    };
    special(&mut token);
    let id = token.id;
    store.write_blocking(move |txn| txn.add_token(&token, id.as_bytes().repeat(2)[..].try_into().unwrap())).unwrap();
    Actor { token: Some(id), ..actor.clone() }
}

/// Makes a domain with these lines of content.
fn make(store: &Store, actor: &Actor, name: &str, lines: &[&str]) -> Result<Created, Refusal> {
    let new = NewDomain { drafts: lines.iter().map(|line| draft(line)).collect(), ..new_domain(name) };
    let actor = actor.clone();
    store.write_blocking(move |txn| create(txn, &actor, new))
}

/// Deletes a domain.
fn unmake(store: &Store, actor: &Actor, name: &'static str) -> Result<Option<ChangeId>, Refusal> {
    let actor = actor.clone();
    store.write_blocking(move |txn| delete(txn, &actor, name, &[]))
}

#[test]
fn t_c7_a_domain_that_is_made_again_goes_on_with_its_serial() {
    let mut bench = Bench::new();
    let owner = bench.actor.clone();
    for last in [1, 7, (1 << 31) - 1, 1 << 31, u32::MAX - 1, u32::MAX] {
        let id = bench.domain;
        bench
            .store
            .write_blocking(move |txn| {
                let row = txn.domain(id)?.unwrap();
                txn.update_domain(&crate::store::domains::Domain { serial: last, ..row })
            })
            .unwrap();
        let deleted = unmake(&bench.store, &owner, "example.test").unwrap().unwrap();
        let made = make(&bench.store, &owner, "example.test", &[]).unwrap().domain;
        assert!(serial::is_ahead(made.serial, last), "{last} -> {}", made.serial);
        unmake(&bench.store, &owner, "example.test").unwrap();
        let who = owner.clone();
        let revived = bench.store.write_blocking(move |txn| revive(txn, &who, deleted, |name| new_domain(&name)));
        let revived = revived.unwrap().domain;
        assert!(serial::is_ahead(revived.serial, made.serial), "{} -> {}", made.serial, revived.serial);
        bench.domain = revived.id;
    }
}

#[test]
fn no_door_leads_to_the_ns_records_below_a_local_suffix() {
    let mut bench = Bench::new();
    bench.domain = make(&bench.store, &bench.actor, "me.dedyn.test", &[]).unwrap().domain.id;
    let elsewhere = |ns: &str| {
        let content = canonical(Rtype::NS, ns).unwrap();
        let state = Some((3600, vec![Record::new(content.text, content.rdata)]));
        let target = Target { subname: String::new(), rtype: Rtype::NS, state };
        Edits::Targets { kind: "import", undoes: None, note: None, targets: vec![target], soa: None }
    };
    let apex = |bench: &Bench| {
        let rrset = bench.store.read(|reader| reader.rrset(bench.domain, b"", Rtype::NS)).unwrap().unwrap();
        rrset.records.iter().map(|record| record.content.clone()).collect::<Vec<_>>().join(" ")
    };
    let ours = "ns1.petrel.test. ns2.petrel.test.";
    assert_eq!(said(bench.commit(elsewhere("ns.evil.test."))), NS_LOCKED);
    let gone = Target { subname: String::new(), rtype: Rtype::NS, state: None };
    let gone = Edits::Targets { kind: "undo", undoes: None, note: None, targets: vec![gone], soa: None };
    assert_eq!(said(bench.commit(gone)), NS_LOCKED);
    for line in ["@ NS 60 ns.evil.test.", "sub NS 60 ns.evil.test.", "@ NS 60 :"] {
        assert_eq!(said(bench.edit(Verb::Put, &[line])), NS_LOCKED, "{line}");
    }
    assert_eq!((apex(&bench).as_str(), bench.content().as_str()), (ours, ""));
    // What changes nothing is none of its business, and neither are other types.
    bench.edit(Verb::Put, &["@ NS 3600 ns1.petrel.test., ns2.petrel.test.", "www A 3600 192.0.2.1"]).unwrap();
    let mut other = actor(&bench.store, "2@example.test", Class::Hosting);
    let refused = make(&bench.store, &other, "you.dedyn.test", &["sub NS 3600 ns.evil.test."]);
    assert_eq!(refused.unwrap_err().to_string(), NS_LOCKED);
    // A domain that is made again gets the name servers of now, whatever its zone said when it was deleted.
    other = bench.actor.clone();
    let deleted = unmake(&bench.store, &other, "me.dedyn.test").unwrap().unwrap();
    let moved = |name: String| NewDomain { nameservers: vec!["ns9.petrel.test.".into()], ..new_domain(&name) };
    let made = bench.store.write_blocking(move |txn| revive(txn, &other, deleted, moved)).unwrap();
    bench.domain = made.domain.id;
    assert_eq!((apex(&bench).as_str(), bench.content().as_str()), ("ns9.petrel.test.", "www A 3600 192.0.2.1"));
}

#[test]
fn a_token_that_ended_while_it_waited_makes_and_writes_nothing() {
    let mut bench = Bench::new();
    let (store, owner) = (&bench.store, bench.actor.clone());
    let cases: [(&str, Special); 3] = [
        ("may make no domains", |token| token.perm_create_domain = false),
        ("may change nothing", |token| token.read_only = true),
        ("is past its time", |token| {
            token.max_age_us = Some(5);
            token.created_us = 1;
        }),
    ];
    for (why, special) in cases {
        let refused = make(store, &token(store, &owner, special), "second.test", &[]);
        assert!(matches!(refused, Err(Refusal::Forbidden)), "{why}: {refused:?}");
    }
    let gone = Actor { token: Some(Uuid::new_v4()), ..owner.clone() };
    assert!(matches!(make(store, &gone, "second.test", &[]), Err(Refusal::Forbidden)));
    assert!(matches!(unmake(store, &gone, "example.test"), Err(Refusal::Forbidden)));
    let idle = token(store, &owner, |token| token.max_unused_us = Some(1));
    let idle = Actor { now_us: owner.now_us + 1_000_000, ..idle };
    make(store, &idle, "second.test", &[]).expect("it is in use now");
    let alive = token(store, &owner, |_| {});
    let stop = alive.account;
    store
        .write_blocking(move |txn| {
            let account = txn.account(stop)?.unwrap();
            txn.update_account(&crate::store::accounts::Account { active: false, ..account })
        })
        .unwrap();
    assert!(matches!(unmake(store, &alive, "example.test"), Err(Refusal::Forbidden)));
    bench.actor = alive;
    assert!(matches!(bench.edit(Verb::Put, &["a A 60 192.0.2.1"]), Err(Refusal::Forbidden)));
}

#[test]
fn a_scoped_token_writes_by_zone_file_only_what_it_may_write_by_rrset() {
    let bench = Bench::new();
    let (store, owner) = (&bench.store, bench.actor.clone());
    let policy = |rtype: Option<&str>, perm_write| Policy {
        id: Uuid::new_v4(),
        domain: None,
        subname: None,
        rtype: rtype.map(str::to_owned),
        perm_write,
    };
    let with_policies = |actor: &Actor| {
        let (account, id) = (actor.account, actor.token.unwrap());
        store
            .write_blocking(move |txn| {
                txn.add_policy(account, id, &policy(None, false))?;
                txn.add_policy(account, id, &policy(Some("TXT"), true))
            })
            .unwrap();
    };
    let scoped = token(store, &owner, |_| {});
    with_policies(&scoped);
    let refused = make(store, &scoped, "second.test", &["a TXT 3600 \"t\"", "a A 3600 192.0.2.1"]);
    assert!(matches!(refused, Err(Refusal::Forbidden)), "{refused:?}");
    make(store, &scoped, "second.test", &["a TXT 3600 \"t\""]).unwrap();
    unmake(store, &owner, "second.test").unwrap();
    // A token that gets the right to write what it makes has it from the start.
    let automatic = token(store, &owner, |token| token.auto_policy = true);
    with_policies(&automatic);
    make(store, &automatic, "second.test", &["a A 3600 192.0.2.1"]).unwrap();
}

#[test]
fn t_g4_whoever_gets_a_name_after_others_has_to_show_another_token() {
    let bench = Bench::new();
    let house = Arc::new(House { wants_proof: true, ..House::clone(&bench.actor.house) });
    let with = |actor: Actor| Actor { house: Arc::clone(&house), ..actor };
    let (store, owner) = (&bench.store, with(bench.actor.clone()));
    let first = make(store, &owner, "second.test", &[]).unwrap().domain;
    let token = first.unproved.clone().unwrap();
    let grounds = Grounds::Shown { token: token.clone(), how: "by a test" };
    let (who, grounds_too) = (owner.clone(), grounds.clone());
    let (proved, change) = store.write_blocking(move |txn| prove(txn, &who, first.id, grounds_too)).unwrap();
    assert!(proved.unproved.is_none() && change.is_some());
    unmake(store, &owner, "second.test").unwrap();
    let mut other = with(actor(store, "2@example.test", Class::Hosting));
    assert!(matches!(make(store, &other, "second.test", &[]), Err(Refusal::Policy)));
    other.now_us += 8 * 24 * 3600 * 1_000_000;
    let second = make(store, &other, "second.test", &[]).unwrap().domain;
    assert!(second.unproved.as_ref().is_some_and(|wanted| *wanted != token));
    // What the first had shown proves nothing for the second.
    let refused = store.write_blocking(move |txn| prove(txn, &other, second.id, grounds));
    assert!(matches!(refused, Err(Refusal::NoDomain)));
    // And after that time the name is nobody's, so its former owner proves it anew as well.
    let late = Actor { now_us: owner.now_us + 20 * 24 * 3600 * 1_000_000, ..owner.clone() };
    let domain = make(store, &owner, "third.dedyn.test", &[]);
    assert!(matches!(domain, Ok(created) if created.domain.unproved.is_none()), "we make its delegation");
    unmake(store, &owner, "example.test").unwrap();
    assert!(make(store, &late, "example.test", &[]).unwrap().domain.unproved.is_some());
}

#[test]
fn t_g3_a_domain_that_nobody_proved_keeps_nobody_from_its_name_for_long_nor_from_those_around() {
    let bench = Bench::new();
    let house = Arc::new(House { wants_proof: true, ..House::clone(&bench.actor.house) });
    let with = |email| Actor { house: Arc::clone(&house), ..actor(&bench.store, email, Class::Hosting) };
    let (store, squatter, owner, third) =
        (&bench.store, with("s@example.test"), with("o@example.test"), with("t@example.test"));
    let show = |actor: &Actor, domain: &Domain| {
        let grounds = Grounds::Shown { token: domain.unproved.clone().unwrap(), how: "by a test" };
        let (actor, id) = (actor.clone(), domain.id);
        store.write_blocking(move |txn| prove(txn, &actor, id, grounds))
    };
    let claimed = make(store, &squatter, "mid.other.test", &[]).unwrap().domain;
    let above = make(store, &owner, "other.test", &[]).unwrap().domain;
    let below = make(store, &owner, "low.mid.other.test", &[]).unwrap().domain;
    show(&owner, &above).unwrap();
    // Strangers never come to be neighbours, whoever was there first.
    assert!(matches!(show(&squatter, &claimed), Err(Refusal::Policy)));
    show(&owner, &below).unwrap();
    assert!(matches!(make(store, &third, "x.other.test", &[]), Err(Refusal::Policy)));
    // A claim that is given up leaves the name to anybody.
    make(store, &squatter, "free.test", &[]).unwrap();
    unmake(store, &squatter, "free.test").unwrap();
    make(store, &third, "free.test", &[]).unwrap();
    // And one that is not goes in the end, but none that was proved.
    let expire = |after_us: i64, id: DomainId| {
        let actor = Actor { now_us: third.now_us + after_us, ..third.clone() };
        store.write_blocking(move |txn| expire(txn, &actor, id)).unwrap()
    };
    let days = 24 * 3600 * 1_000_000;
    assert!(expire(7 * days, claimed.id).is_none(), "not yet");
    assert!(expire(8 * days, above.id).is_none(), "it is proved");
    let due = store.read(|reader| reader.unproved_before(unproved_since(third.now_us + 8 * days), 10)).unwrap();
    assert_eq!((due.len(), due.contains(&claimed.id)), (2, true));
    let gone = expire(8 * days, claimed.id).unwrap();
    let set = store.read(|reader| reader.change_set(gone)).unwrap().unwrap();
    assert_eq!(
        (&*set.kind, set.account, set.note.as_deref()),
        ("delete", squatter.account, Some("not proved in time"))
    );
    let later = Actor { now_us: third.now_us + 8 * days, ..squatter };
    assert!(matches!(make(store, &later, "mid.other.test", &[]), Err(Refusal::Policy)), "it is within a domain by now");
}
