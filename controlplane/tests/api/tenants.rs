//! No sequence of one tenant's requests changes anything of another's, whatever identifiers they use.

use controlplane::store::policies::Policy;
use controlplane::store::rrsets::Filter;
use controlplane::store::{AccountId, StoreError};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use snapshot::handover::Directory;
use uuid::Uuid;

use crate::harness::{Bench, Full, Issued};

/// Two tenants, and what each has.
struct Setting {
    /// The server.
    bench: Bench,
    /// The account that nothing may happen to.
    account: AccountId,
    /// A token of the other.
    other: Issued,
    /// Values for the placeholders of paths and bodies.
    ids: Vec<(&'static str, String)>,
}

impl Setting {
    /// Makes one.
    fn new() -> Setting {
        let bench = Bench::start();
        let mut ids = vec![("{random}", Uuid::new_v4().to_string())];
        let mut owners = Vec::new();
        for (name, domain, token, policy) in
            [("a", "a.example", "{a-token}", "{a-policy}"), ("b", "b.example", "{b-token}", "{b-policy}")]
        {
            let account = bench.account(&format!("{name}@example.org"));
            let full = bench.token(&account, Full);
            let scoped = bench.token(&account, Full);
            let made = bench.post(full.who(), "/api/v1/domains/", &format!(r#"{{"name":"{domain}"}}"#));
            assert_eq!(made.status, 201, "{}", made.text);
            let body = r#"{"subname":"www","type":"A","ttl":3600,"records":["192.0.2.1"]}"#;
            let made = bench.post(full.who(), &format!("/api/v1/domains/{domain}/rrsets/"), body);
            assert_eq!(made.status, 201, "{}", made.text);
            let id = Uuid::new_v4();
            let (owner, target) = (account.id, scoped.id);
            let default = Policy { id, domain: None, subname: None, rtype: None, perm_write: false };
            bench.store.write_blocking(move |txn| txn.add_policy(owner, target, &default)).unwrap();
            ids.extend([(token, scoped.id.to_string()), (policy, id.to_string())]);
            owners.push((account, full));
        }
        let (_, other) = owners.pop().unwrap();
        let (account, _) = owners.pop().unwrap();
        Setting { bench, account: account.id, other, ids }
    }

    /// Everything of the account: rows, history, and what is published.
    fn state(&self) -> String {
        let rows = self.bench.store.read(|reader| {
            let mut text = format!("{:?}", reader.account(self.account)?);
            for mut token in reader.tokens(self.account)? {
                // The account's own requests before the test are noted late.
                token.last_used_us = None;
                text += &format!("{token:?} {:?}", reader.policies(token.id)?);
            }
            for domain in reader.domains_before(self.account, None, usize::MAX)? {
                text += &format!("{domain:?} {:?}", reader.rrsets_before(domain.id, &Filter::default(), None, 1000)?);
            }
            Ok::<_, StoreError>(text)
        });
        let directory = Directory::open(&self.bench.dir().join("snapshots")).unwrap();
        let loaded = directory.load(None).unwrap().unwrap();
        let zones = loaded.view.zones();
        let zone =
            zones.iter().find(|facts| facts.apex.to_string() == "a.example.").map(|facts| (facts.serial, facts.digest));
        format!("{} {zone:?}", rows.unwrap())
    }

    /// One request of the other tenant; never an error of ours.
    fn ask(&self, (method, path, body): &(String, String, Option<String>)) -> Result<(), TestCaseError> {
        let filled = |text: &str| self.ids.iter().fold(text.to_owned(), |text, (key, value)| text.replace(key, value));
        let body = body.as_deref().map(filled);
        let answer = self.bench.call(self.other.who(), method, &filled(path), body.as_deref());
        prop_assert!(answer.status < 500, "{} {}: {} {}", method, path, answer.status, answer.text);
        Ok(())
    }
}

/// Requests on all routes, with identifiers of both tenants and of nobody.
fn request() -> impl Strategy<Value = (String, String, Option<String>)> {
    let domain = prop::sample::select(vec!["a.example", "b.example", "www.a.example", "c.example", "A.example"]);
    let token = prop::sample::select(vec!["{a-token}", "{b-token}", "{random}", "1"]);
    let policy = prop::sample::select(vec!["{a-policy}", "{b-policy}", "{random}", "1"]);
    let pattern = prop::sample::select(vec![
        "/api/v1/domains/",
        "/api/v1/domains/?owns_qname=D",
        "/api/v1/domains/?account=a@example.org",
        "/api/v1/domains/D/",
        "/api/v1/domains/D/zonefile/",
        "/api/v1/domains/D/rrsets/",
        "/api/v1/domains/D/rrsets/www/A/",
        "/api/v1/domains/D/rrsets/@/NS/",
        "/api/v1/auth/account/?account=a@example.org",
        "/api/v1/auth/tokens/?account=a@example.org",
        "/api/v1/auth/tokens/T/",
        "/api/v1/auth/tokens/T/policies/",
        "/api/v1/auth/tokens/T/policies/rrsets/",
        "/api/v1/auth/tokens/T/policies/rrsets/P/",
        "/api/admin/accounts/",
        "/api/admin/accounts/a@example.org/",
        "/api/admin/accounts/a@example.org/tokens/",
        "/api/admin/tokens/T/",
        "/api/admin/tokens/T/rotate/",
        "/api/zones?account=a@example.org",
        "/api/zones/D",
        "/api/zones/D/records",
        "/api/zones/D/import?replace=1",
        "/api/zones/D/export",
        "/api/records/1",
        "/api/records/2",
        "/api/records/3",
        "/api/records/-1",
    ]);
    let body = prop::sample::select(vec![
        "{}",
        r#"{"name":"D"}"#,
        r#"{"name":"x","owner":"a@example.org","account":"a@example.org"}"#,
        r#"{"subname":"www","type":"A","ttl":3600,"records":["203.0.113.66"]}"#,
        r#"[{"subname":"www","type":"A","ttl":3600,"records":["203.0.113.66"]}]"#,
        r#"{"records":[]}"#,
        r#"{"name":"www","type":"A","rdata":"203.0.113.66","ttl":7200,"enabled":0}"#,
        r#"{"domain":"D","subname":null,"type":null,"perm_write":true}"#,
        r#"{"domain":null,"subname":null,"type":null,"perm_write":true}"#,
        r#"{"id":"T","perm_write":true,"auto_policy":true,"max_age":0}"#,
        r#"{"active":false,"limit_domains":0,"outreach_preference":false}"#,
    ]);
    // The other's own full token must live on, or nothing after that tests anything: it is in no path.
    let method = prop::sample::select(vec!["GET", "POST", "PATCH", "PUT", "DELETE"]);
    (method, pattern, domain, token, policy, body).prop_map(|(method, pattern, domain, token, policy, body)| {
        let filled = |text: &str| text.replace('D', domain).replace('T', token).replace('P', policy);
        // Types of RRsets are in the paths and bodies as well, but none has a letter that is replaced.
        let body = (!matches!(method, "GET" | "DELETE")).then(|| filled(body));
        (method.to_owned(), filled(pattern), body)
    })
}

#[test]
fn nothing_of_one_tenant_changes_whatever_the_other_does() {
    let setting = Setting::new();
    let before = setting.state();
    let config = Config { cases: 48, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(request(), 1..24), |requests| {
        for request in &requests {
            setting.ask(request)?;
        }
        prop_assert_eq!(setting.state(), before.clone());
        Ok(())
    });
    outcome.unwrap();
    // The other was able to do things all the time: otherwise this would have tested nothing.
    let made = setting.bench.post(setting.other.who(), "/api/v1/domains/", r#"{"name":"last.example"}"#);
    assert_eq!(made.status, 201, "{}", made.text);
}
