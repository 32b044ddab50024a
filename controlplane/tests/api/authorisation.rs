//! Who may do what, asked of every operation of the route table by every kind of caller.
//!
//! The table below says of each operation what kind it is; what each kind of caller then gets follows. An operation that
//! is in the router and not in the table fails the test, and so does one whose row asks for less than its kind needs.

use std::collections::BTreeSet;

use controlplane::api;
use controlplane::clock::now_us;
use controlplane::http::openapi;
use controlplane::http::route::{Access, Permission, Verb, list};
use controlplane::serve;
use controlplane::store::StoreError;
use controlplane::store::policies::Policy;
use controlplane::store::tokens::Token;
use snapshot::dns::rtype::Rtype;
use uuid::Uuid;

use crate::harness::{Answer, Bench, Full, Issued, Who};

/// What an operation is about, as far as it matters for who may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// For everybody; credentials do not matter.
    Open,
    /// For everybody; bad credentials are refused.
    Optional,
    /// Reads something of the caller's account.
    ReadOwn,
    /// Reads something in the domain of the path.
    ReadDomain,
    /// Writes RRsets that the policies of the scoped token allow.
    WriteAllowed,
    /// Writes RRsets that they do not allow.
    WriteDenied,
    /// Reads something of the caller's account through the operations API.
    ReadZones,
    /// Reads something in the zone or record of the path there.
    ReadZone,
    /// Writes a record there that the policies of the scoped token allow.
    WriteZoneAllowed,
    /// Writes a record there that they do not allow.
    WriteZoneDenied,
    /// Makes a domain.
    CreateDomain,
    /// Deletes the domain of the path.
    DeleteDomain,
    /// Reads tokens or the account.
    SeeTokens,
    /// Changes tokens or the account.
    ManageTokens,
    /// Reads a token of the path or its policies.
    SeeToken,
    /// Changes that.
    ManageToken,
    /// Reads policies of the token of the path.
    SeePolicies,
    /// Ends the caller's token.
    LogOut,
    /// Renews an address that the scoped token may write.
    Update,
    /// Makes a deleted domain again.
    Revive,
    /// For the operator.
    Operate,
}

/// A row of the expectation: path, method, kind, body.
type Row = (&'static str, Verb, Kind, &'static str);

/// A body of an RRset list that the scoped token may write.
const WWW: &str = r#"[{"subname":"www","type":"A","ttl":3600,"records":["192.0.2.9"]}]"#;
/// A body for one such RRset.
const WWW_ONE: &str = r#"{"subname":"www","type":"A","ttl":3600,"records":["192.0.2.9"]}"#;
/// A body of a new RRset that the scoped token may not write.
const NEW: &str = r#"{"subname":"new","type":"A","ttl":3600,"records":["192.0.2.9"]}"#;
/// A body of a new record that the scoped token may not write.
const NEW_RECORD: &str = r#"{"name":"new","type":"A","rdata":"192.0.2.9"}"#;
/// A body of a policy that is like that of the path.
const POLICY: &str = r#"{"domain":null,"subname":null,"type":null,"perm_write":true}"#;

/// A body of comments on an RRset that the scoped token may write.
const COMMENT: &str = r#"{"records":[{"content":"192.0.2.1","comment":"here"}]}"#;
/// A body of an import that adds to such an RRset only.
const IMPORT: &str = r#"{"mode":"merge","zonefile":"www 3600 A 192.0.2.7\n"}"#;
/// A body of a key that no zone has.
const KEY: &str = r#"{"keytype":"csk","algorithm":"15","private":"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIC66bWlPO3AE1oh9AQXZORVuhw0calX8QSDmhA9X7zdo\n-----END PRIVATE KEY-----\n"}"#;
/// What [`Kind::Update`] asks for.
const UPDATE: &str = "?hostname=www.owned.example&myip=192.0.2.8&myipv6=preserve";

/// All operations.
const EXPECTED: &[Row] = &[
    ("/healthz", Verb::Get, Kind::Open, ""),
    ("/readyz", Verb::Get, Kind::Open, ""),
    ("/metrics", Verb::Get, Kind::Open, ""),
    ("/api/openapi.json", Verb::Get, Kind::Open, ""),
    ("/api/v1/", Verb::Get, Kind::Optional, ""),
    ("/api/v1/domains/", Verb::Get, Kind::ReadOwn, ""),
    ("/api/v1/domains/", Verb::Post, Kind::CreateDomain, r#"{"name":"new.example"}"#),
    ("/api/v1/domains/{name}/", Verb::Get, Kind::ReadDomain, ""),
    ("/api/v1/domains/{name}/", Verb::Delete, Kind::DeleteDomain, ""),
    ("/api/v1/domains/{name}/zonefile/", Verb::Get, Kind::ReadDomain, ""),
    ("/api/v1/domains/{name}/verify/", Verb::Post, Kind::WriteZoneAllowed, ""),
    ("/api/v1/domains/{name}/rrsets/", Verb::Get, Kind::ReadDomain, ""),
    ("/api/v1/domains/{name}/rrsets/", Verb::Post, Kind::WriteDenied, NEW),
    ("/api/v1/domains/{name}/rrsets/", Verb::Patch, Kind::WriteAllowed, WWW),
    ("/api/v1/domains/{name}/rrsets/", Verb::Put, Kind::WriteAllowed, WWW),
    ("/api/v1/domains/{name}/rrsets/{subname}/{type}/", Verb::Get, Kind::ReadDomain, ""),
    ("/api/v1/domains/{name}/rrsets/{subname}/{type}/", Verb::Patch, Kind::WriteAllowed, WWW_ONE),
    ("/api/v1/domains/{name}/rrsets/{subname}/{type}/", Verb::Put, Kind::WriteAllowed, WWW_ONE),
    ("/api/v1/domains/{name}/rrsets/{subname}/{type}/", Verb::Delete, Kind::WriteAllowed, ""),
    ("/api/v1/domains/{name}/rrsets/{subname}/{type}/comments/", Verb::Get, Kind::ReadDomain, ""),
    ("/api/v1/domains/{name}/rrsets/{subname}/{type}/comments/", Verb::Put, Kind::WriteAllowed, COMMENT),
    ("/api/v1/domains/{name}/history/", Verb::Get, Kind::ReadDomain, ""),
    ("/api/v1/domains/{name}/history/{id}/undo/", Verb::Post, Kind::WriteAllowed, "{}"),
    ("/api/v1/domains/{name}/restore/", Verb::Post, Kind::WriteAllowed, r#"{"change":1}"#),
    ("/api/v1/domains/{name}/import/", Verb::Post, Kind::WriteAllowed, IMPORT),
    ("/api/v1/restore/{change}/", Verb::Post, Kind::Revive, ""),
    ("/api/v1/changes/", Verb::Get, Kind::ReadOwn, ""),
    ("/api/v1/changes/{id}/", Verb::Get, Kind::ReadDomain, ""),
    ("/api/v1/restore/", Verb::Get, Kind::ReadOwn, ""),
    ("/api/v1/serials/", Verb::Get, Kind::ReadOwn, ""),
    ("/api/v1/dyndns/update", Verb::Get, Kind::Update, ""),
    ("/nic/update", Verb::Get, Kind::Update, ""),
    ("/checkip", Verb::Get, Kind::Open, ""),
    ("/nic/checkip.html", Verb::Get, Kind::Open, ""),
    ("/api/v1/auth/account/", Verb::Get, Kind::SeeTokens, ""),
    ("/api/v1/auth/account/", Verb::Patch, Kind::ManageTokens, "{}"),
    ("/api/v1/auth/account/", Verb::Put, Kind::ManageTokens, "{}"),
    ("/api/v1/auth/logout/", Verb::Post, Kind::LogOut, ""),
    ("/api/v1/auth/tokens/", Verb::Get, Kind::SeeTokens, ""),
    ("/api/v1/auth/tokens/", Verb::Post, Kind::ManageTokens, "{}"),
    ("/api/v1/auth/tokens/{id}/", Verb::Get, Kind::SeeToken, ""),
    ("/api/v1/auth/tokens/{id}/", Verb::Patch, Kind::ManageToken, "{}"),
    ("/api/v1/auth/tokens/{id}/", Verb::Put, Kind::ManageToken, "{}"),
    ("/api/v1/auth/tokens/{id}/", Verb::Delete, Kind::ManageToken, ""),
    ("/api/v1/auth/tokens/{id}/policies/", Verb::Get, Kind::SeePolicies, ""),
    ("/api/v1/auth/tokens/{id}/policies/rrsets/", Verb::Get, Kind::SeePolicies, ""),
    (
        "/api/v1/auth/tokens/{id}/policies/rrsets/",
        Verb::Post,
        Kind::ManageToken,
        r#"{"domain":null,"subname":"x","type":null}"#,
    ),
    ("/api/v1/auth/tokens/{id}/policies/rrsets/{policy}/", Verb::Get, Kind::SeePolicies, ""),
    ("/api/v1/auth/tokens/{id}/policies/rrsets/{policy}/", Verb::Patch, Kind::ManageToken, POLICY),
    ("/api/v1/auth/tokens/{id}/policies/rrsets/{policy}/", Verb::Put, Kind::ManageToken, POLICY),
    ("/api/v1/auth/tokens/{id}/policies/rrsets/{policy}/", Verb::Delete, Kind::ManageToken, ""),
    ("/api/admin/accounts/", Verb::Get, Kind::Operate, ""),
    ("/api/admin/accounts/", Verb::Post, Kind::Operate, r#"{"email":"new@example.org"}"#),
    ("/api/admin/accounts/{email}/", Verb::Get, Kind::Operate, ""),
    ("/api/admin/accounts/{email}/", Verb::Patch, Kind::Operate, r#"{"limit_domains":7}"#),
    ("/api/admin/accounts/{email}/tokens/", Verb::Get, Kind::Operate, ""),
    ("/api/admin/accounts/{email}/tokens/", Verb::Post, Kind::Operate, "{}"),
    ("/api/admin/tokens/{id}/", Verb::Delete, Kind::Operate, ""),
    ("/api/admin/tokens/{id}/rotate/", Verb::Post, Kind::Operate, ""),
    ("/api/admin/domains/{name}/verify/", Verb::Post, Kind::Operate, r#"{"reason":"known"}"#),
    ("/api/admin/domains/{name}/keys/", Verb::Post, Kind::Operate, KEY),
    ("/api/admin/backup/", Verb::Post, Kind::Operate, r#"{"path":"{dir}/copy.db"}"#),
    ("/api/admin/doctor/", Verb::Get, Kind::Operate, ""),
    ("/api/admin/clock/", Verb::Get, Kind::Operate, ""),
    ("/api/admin/clock/accept/", Verb::Post, Kind::Operate, ""),
    ("/api/stats", Verb::Get, Kind::ReadZones, ""),
    ("/api/zones", Verb::Get, Kind::ReadZones, ""),
    ("/api/zones", Verb::Post, Kind::CreateDomain, r#"{"name":"new.example"}"#),
    ("/api/zones/{name}", Verb::Get, Kind::ReadZone, ""),
    ("/api/zones/{name}", Verb::Delete, Kind::DeleteDomain, ""),
    ("/api/zones/{name}/records", Verb::Get, Kind::ReadZone, ""),
    ("/api/zones/{name}/records", Verb::Post, Kind::WriteZoneDenied, NEW_RECORD),
    ("/api/zones/{name}/import", Verb::Post, Kind::WriteZoneAllowed, "www 3600 A 192.0.2.9"),
    ("/api/zones/{name}/dnssec", Verb::Get, Kind::ReadZone, ""),
    ("/api/zones/{name}/dnssec", Verb::Post, Kind::WriteZoneDenied, r#"{"denial":"nsec3"}"#),
    ("/api/zones/{name}/dnssec", Verb::Delete, Kind::WriteZoneDenied, ""),
    ("/api/zones/{name}/keys", Verb::Get, Kind::ReadZone, ""),
    ("/api/zones/{name}/keys", Verb::Patch, Kind::WriteZoneDenied, r#"{"ksk_lifetime":365}"#),
    ("/api/zones/{name}/keys/roll", Verb::Post, Kind::WriteZoneDenied, "{}"),
    ("/api/zones/{name}/keys/roll", Verb::Delete, Kind::WriteZoneDenied, ""),
    ("/api/zones/{name}/keys/withdraw", Verb::Post, Kind::WriteZoneDenied, ""),
    ("/api/zones/{name}/keys/ds-seen", Verb::Post, Kind::WriteZoneDenied, "{}"),
    ("/api/zones/{name}/keys/ds-gone", Verb::Post, Kind::WriteZoneDenied, "{}"),
    ("/api/zones/{name}/export", Verb::Get, Kind::ReadZone, ""),
    ("/api/records/{id}", Verb::Get, Kind::ReadZone, ""),
    ("/api/records/{id}", Verb::Put, Kind::WriteZoneAllowed, r#"{"rdata":"192.0.2.9"}"#),
    ("/api/records/{id}", Verb::Delete, Kind::WriteZoneAllowed, ""),
];

impl Kind {
    /// What the row of such an operation must ask for.
    fn access(self) -> Access {
        match self {
            Kind::Open => Access::Open,
            Kind::Optional => Access::Optional,
            Kind::CreateDomain | Kind::Revive => Access::With(Permission::CreateDomain),
            Kind::DeleteDomain => Access::With(Permission::DeleteDomain),
            Kind::SeeTokens | Kind::ManageTokens | Kind::SeeToken | Kind::ManageToken => {
                Access::With(Permission::ManageTokens)
            }
            Kind::Operate => Access::With(Permission::Admin),
            Kind::ReadZones | Kind::ReadZone => Access::With(Permission::Read),
            Kind::WriteZoneAllowed | Kind::WriteZoneDenied => Access::With(Permission::Write),
            Kind::ReadOwn
            | Kind::ReadDomain
            | Kind::WriteAllowed
            | Kind::WriteDenied
            | Kind::SeePolicies
            | Kind::Update
            | Kind::LogOut => Access::Token,
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    /// Nobody.
    Nobody,
    /// Somebody with a secret of no token.
    Unknown,
    /// A token past its time.
    Expired,
    /// A token for other networks.
    Elsewhere,
    /// A token of an account that was stopped.
    Stopped,
    /// A full token of another account.
    Foreign,
    /// A token with all permissions that may change nothing.
    ReadOnly,
    /// A token without permissions and with policies.
    Scoped,
    /// A full token.
    Full,
    /// The operator.
    Operator,
}

/// All of them.
const ASKERS: [Asker; 10] = [
    Asker::Nobody,
    Asker::Unknown,
    Asker::Expired,
    Asker::Elsewhere,
    Asker::Stopped,
    Asker::Foreign,
    Asker::ReadOnly,
    Asker::Scoped,
    Asker::Full,
    Asker::Operator,
];

/// What an asker gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// 401.
    Unknown,
    /// 403.
    Forbidden,
    /// 404, or 204 of a deletion that found nothing.
    Missing,
    /// 200 to 299.
    Done,
}

/// What an asker should get.
fn expected(kind: Kind, asker: Asker) -> Outcome {
    match (kind, asker) {
        (Kind::Open, _) | (Kind::Optional, Asker::Nobody) => Outcome::Done,
        (_, Asker::Nobody | Asker::Unknown | Asker::Expired | Asker::Elsewhere | Asker::Stopped) => Outcome::Unknown,
        (Kind::Operate, Asker::Operator) => Outcome::Done,
        (Kind::Operate, _) => Outcome::Forbidden,
        // Updates know tokens only.
        (Kind::Update, Asker::Operator) => Outcome::Unknown,
        // The operator on this machine has no token that could end.
        (Kind::LogOut, Asker::Operator) => Outcome::Forbidden,
        (_, Asker::Operator | Asker::Full) => Outcome::Done,
        (
            Kind::ReadDomain
            | Kind::WriteAllowed
            | Kind::WriteDenied
            | Kind::ReadZone
            | Kind::WriteZoneAllowed
            | Kind::WriteZoneDenied
            | Kind::DeleteDomain
            | Kind::SeeToken
            | Kind::ManageToken
            | Kind::SeePolicies
            | Kind::Update
            | Kind::Revive,
            Asker::Foreign,
        ) => Outcome::Missing,
        (_, Asker::Foreign) => Outcome::Done,
        (Kind::Optional | Kind::ReadOwn | Kind::ReadDomain | Kind::LogOut, _) => Outcome::Done,
        (Kind::ReadZones | Kind::ReadZone, _) | (Kind::WriteZoneAllowed, Asker::Scoped) => Outcome::Done,
        (Kind::SeeTokens | Kind::SeeToken | Kind::SeePolicies, Asker::ReadOnly) => Outcome::Done,
        (Kind::WriteAllowed | Kind::Update, Asker::Scoped) => Outcome::Done,
        (_, Asker::ReadOnly | Asker::Scoped) => Outcome::Forbidden,
    }
}

/// A server with everything that is asked for.
struct Setting {
    /// The server.
    bench: Bench,
    /// The token of the paths.
    target: Issued,
    /// A policy of it.
    policy: Uuid,
    /// The record of the paths.
    record: i64,
    /// Tokens of the askers, in the order of [`ASKERS`]; that of nobody and the operator are not used.
    tokens: Vec<Issued>,
}

impl Setting {
    /// Makes one.
    fn new() -> Setting {
        let bench = Bench::start();
        let account = bench.account("owner@example.org");
        let target = bench.token(&account, Full);
        let full = bench.token(&account, Full);
        assert_eq!(bench.post(full.who(), "/api/v1/domains/", r#"{"name":"owned.example"}"#).status, 201);
        let www = WWW_ONE.replace("192.0.2.9", "192.0.2.1");
        let made = bench.post(full.who(), "/api/v1/domains/owned.example/rrsets/", &www);
        assert_eq!(made.status, 201, "{}", made.text);
        // Changes 3 and 4 make a domain and delete it.
        assert_eq!(bench.post(full.who(), "/api/v1/domains/", r#"{"name":"gone.example"}"#).status, 201);
        assert_eq!(bench.call(full.who(), "DELETE", "/api/v1/domains/gone.example/", None).status, 204);
        let record = bench.store.read(|reader| {
            let domain = reader.domain_by_name("owned.example")?.unwrap();
            let node = controlplane::change::node_of("www").unwrap();
            let rrset = reader.rrset(domain.id, &node, Rtype::A)?.unwrap();
            Ok::<_, StoreError>(rrset.records[0].id)
        });
        let record = record.unwrap();
        let foreign = bench.account("foreign@example.org");
        let mut stopped_account = bench.account("stopped@example.org");
        let expired = bench.token(&account, |token: &mut Token| {
            token.created_us = now_us() - 10_000_000;
            token.max_age_us = Some(1_000_000);
        });
        let elsewhere = bench.token(&account, |token: &mut Token| token.allowed_subnets = vec!["10.0.0.0/8".into()]);
        let stopped = bench.token(&stopped_account, Full);
        stopped_account.active = false;
        let read_only = bench.token(&account, |token: &mut Token| token.read_only = true);
        let scoped = bench.token(&account, |token: &mut Token| {
            token.perm_create_domain = false;
            token.perm_delete_domain = false;
            token.perm_manage_tokens = false;
        });
        let foreign = bench.token(&foreign, Full);
        let mut unknown = full.clone();
        unknown.secret = "1111111111111111111111111111".into();
        let (scoped_id, target_id, id) = (scoped.id, target.id, account.id);
        let policy = Uuid::new_v4();
        bench
            .store
            .write_blocking(move |txn| {
                txn.update_account(&stopped_account)?;
                let domain = txn.domain_by_name("owned.example")?.map(|domain| (domain.id, domain.name));
                let default = Policy { id: policy, domain: None, subname: None, rtype: None, perm_write: false };
                txn.add_policy(id, target_id, &default)?;
                txn.add_policy(id, scoped_id, &Policy { id: Uuid::new_v4(), ..default })?;
                let (subname, rtype) = (Some("www".into()), Some("A".into()));
                let www = Policy { id: Uuid::new_v4(), domain, subname, rtype, perm_write: true };
                txn.add_policy(id, scoped_id, &www)
            })
            .unwrap();
        let (nobody, operator) = (unknown.clone(), unknown.clone());
        let tokens = vec![nobody, unknown, expired, elsewhere, stopped, foreign, read_only, scoped, full, operator];
        Setting { bench, target, policy, record, tokens }
    }

    /// Asks for an operation as one of the askers.
    fn ask(&self, asker: Asker, (path, verb, kind, body): Row) -> Answer {
        let index = ASKERS.iter().position(|other| *other == asker).unwrap();
        let who = match asker {
            Asker::Nobody => Who::Nobody,
            Asker::Operator => Who::Operator,
            _ => self.tokens[index].who(),
        };
        let record = self.record.to_string();
        let mut path = path
            .replace("/api/records/{id}", &format!("/api/records/{record}"))
            .replace("{name}", "owned.example")
            .replace("{subname}", "www")
            .replace("{type}", "A")
            .replace("history/{id}", "history/2")
            .replace("changes/{id}", "changes/2")
            .replace("{change}", "4")
            .replace("{id}", &self.target.id.to_string())
            .replace("{policy}", &self.policy.to_string())
            .replace("{email}", "owner@example.org");
        if kind == Kind::Update {
            path.push_str(UPDATE);
        } else if verb == Verb::Delete && path.ends_with("/dnssec") {
            // Nobody knows whether the parent has a DS.
            path.push_str("?force=true");
        } else if asker == Asker::Operator && path.starts_with("/api/v1/") {
            path.push_str("?account=owner@example.org");
        }
        let body = body.replace("{dir}", &self.bench.dir().display().to_string());
        let method = format!("{verb:?}").to_uppercase();
        self.bench.call(who, &method, &path, (!body.is_empty()).then_some(body.as_str()))
    }
}

/// Fails unless the answer is of the outcome.
fn check(row: Row, asker: Asker, answer: &Answer) {
    let outcome = expected(row.2, asker);
    let fits = match outcome {
        Outcome::Unknown => answer.status == 401,
        Outcome::Forbidden => answer.status == 403,
        Outcome::Missing => answer.status == 404 || (row.1 == Verb::Delete && answer.status == 204),
        Outcome::Done if row.2 == Kind::Open => !matches!(answer.status, 401 | 403 | 404),
        Outcome::Done => (200..300).contains(&answer.status),
    };
    let (path, verb, kind, _) = row;
    assert!(fits, "{verb:?} {path} ({kind:?}) by {asker:?}: {} {}, not {outcome:?}", answer.status, answer.text);
}

#[test]
fn every_operation_of_the_router_is_expected_and_asks_for_what_its_kind_needs() {
    let mut found: Vec<_> = list(serve::routes::<api::Api>());
    found.extend(list(openapi::routes::<api::Api>()));
    api::tables().into_iter().for_each(|table| found.extend(list(table)));
    for (path, verb, access) in &found {
        let row = EXPECTED.iter().find(|row| row.0 == *path && row.1 == *verb);
        let row = row.unwrap_or_else(|| panic!("{verb:?} {path} is in no row of the expectation"));
        assert_eq!(row.2.access(), *access, "{verb:?} {path}");
    }
    let found: BTreeSet<_> = found.iter().map(|(path, verb, _)| (*path, *verb)).collect();
    let gone: Vec<_> = EXPECTED.iter().filter(|row| !found.contains(&(row.0, row.1))).collect();
    assert!(gone.is_empty(), "no longer in the router: {gone:?}");
}

#[test]
fn every_kind_of_caller_gets_what_it_may_of_every_operation() {
    let setting = Setting::new();
    let mut asked = 0;
    let refuses = |row: &Row, asker| expected(row.2, asker) != Outcome::Done;
    for row in EXPECTED {
        for asker in ASKERS.into_iter().filter(|asker| refuses(row, *asker)) {
            check(*row, asker, &setting.ask(asker, *row));
            asked += 1;
        }
    }
    // What the refused ones asked for has left no trace, so the others find everything; each begins afresh, because what
    // it is let do it does.
    for row in EXPECTED {
        for asker in ASKERS.into_iter().filter(|asker| !refuses(row, *asker)) {
            let afresh;
            // Clients of dynamic updates know no other method, so these write with GET.
            let is_reading = row.1 == Verb::Get && row.2 != Kind::Update;
            let setting = if is_reading {
                &setting
            } else {
                afresh = Setting::new();
                &afresh
            };
            check(*row, asker, &setting.ask(asker, *row));
            asked += 1;
        }
    }
    println!("{asked} questions about {} operations", EXPECTED.len());
}
