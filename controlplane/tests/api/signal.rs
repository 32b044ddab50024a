//! Signals of name servers (RFC 9615): they follow the domains that they are about, and belong to whoever may speak.

use std::thread;
use std::time::{Duration, Instant};

use controlplane::store::accounts::Class;
use serde_json::{Value, json};

use crate::harness::{Bench, Full, Issued, Who};

/// The domain with the signals of the first name server of new domains.
const SIGNAL: &str = "_signal.ns1.petrel.test";

/// A server whose operator has the domain [`SIGNAL`], with a token of the owner of other domains.
struct Home {
    /// The server.
    bench: Bench,
    /// The operator's token.
    operator: Issued,
    /// The other one's.
    token: Issued,
}

impl Home {
    /// A fresh one.
    fn new() -> Home {
        let bench = Bench::start();
        let operator = bench.token(&bench.account("op@mail.example"), Full);
        let token = bench.token(&bench.account("jo@mail.example"), Full);
        let home = Home { bench, operator, token };
        home.make(&home.operator, SIGNAL);
        home
    }

    /// Makes a domain, which is signed.
    fn make(&self, owner: &Issued, name: &str) -> Value {
        let made = self.bench.post(owner.who(), "/api/v1/domains/", &json!({ "name": name }).to_string());
        assert_eq!(made.status, 201, "{name}: {}", made.text);
        made.json()
    }

    /// The signal about a name: the records of a type in the operator's domain.
    fn signal(&self, child: &str, rtype: &str) -> Vec<String> {
        let path = format!("/api/v1/domains/{SIGNAL}/rrsets/_dsboot.{child}/{rtype}/");
        let found = self.bench.get(self.operator.who(), &path).json();
        let records = found["records"].as_array().into_iter().flatten();
        let mut records: Vec<String> = records.map(|record| record.as_str().unwrap().to_owned()).collect();
        records.sort();
        records
    }

    /// Whether there is a signal about a name, which has both of its types then.
    fn has(&self, child: &str) -> bool {
        let [cds, cdnskey] = ["CDS", "CDNSKEY"].map(|rtype| !self.signal(child, rtype).is_empty());
        assert_eq!(cds, cdnskey, "{child}");
        cds
    }

    /// Sets the name servers of a domain.
    fn serve_by(&self, owner: &Issued, child: &str, servers: &[&str]) {
        let body = json!([{ "subname": "", "type": "NS", "ttl": 3600, "records": servers }]).to_string();
        let path = format!("/api/v1/domains/{child}/rrsets/");
        let changed = self.bench.call(owner.who(), "PATCH", &path, Some(&body));
        assert_eq!(changed.status, 200, "{}", changed.text);
    }

    /// Waits until something holds.
    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < end, "{what}");
            thread::park_timeout(Duration::from_millis(50));
        }
    }
}

#[test]
fn rfc_9615_signals_follow_the_domain_in_the_same_change() {
    let home = Home::new();
    let made = home.make(&home.token, "c.example");
    let mut ds: Vec<String> =
        made["keys"][0]["ds"].as_array().unwrap().iter().map(|ds| ds.as_str().unwrap().to_owned()).collect();
    ds.sort();
    assert_eq!(home.signal("c.example", "CDS"), ds, "CDS have the form of DS");
    assert_eq!(home.signal("c.example", "CDNSKEY"), [made["keys"][0]["dnskey"].as_str().unwrap()]);
    let shown = home.bench.get(home.token.who(), "/api/zones/c.example/dnssec").json();
    assert_eq!(shown["signals"], json!(["_dsboot.c.example._signal.ns1.petrel.test"]));

    let before = home.bench.get(home.operator.who(), &format!("/api/zones/{SIGNAL}")).json()["serial"].clone();
    let body = json!({"subname": "www", "type": "A", "ttl": 3600, "records": ["192.0.2.1"]}).to_string();
    home.bench.post(home.token.who(), "/api/v1/domains/c.example/rrsets/", &body);
    let after = home.bench.get(home.operator.who(), &format!("/api/zones/{SIGNAL}")).json()["serial"].clone();
    assert_eq!(before, after, "other changes are nothing to it");

    home.serve_by(&home.token, "c.example", &["ns2.petrel.test."]);
    assert!(!home.has("c.example"), "another name server");
    home.serve_by(&home.token, "c.example", &["NS1.petrel.test.", "ns.elsewhere.example."]);
    assert!(home.has("c.example"));
    let removal = json!({"subname": "", "type": "CDS", "ttl": 3600, "records": ["0 0 0 00"]}).to_string();
    home.bench.post(home.token.who(), "/api/v1/domains/c.example/rrsets/", &removal);
    assert!(!home.has("c.example"), "what is to go is not to come");
    home.bench.call(home.token.who(), "DELETE", "/api/v1/domains/c.example/rrsets/@/CDS/", None);
    assert!(home.has("c.example"));
    let gone = home.bench.call(home.token.who(), "DELETE", "/api/v1/domains/c.example/", None);
    assert!(!home.has("c.example"), "deleted");
    let change = gone.header("petrel-change").unwrap().to_owned();
    home.bench.post(home.token.who(), &format!("/api/v1/restore/{change}/"), "{}");
    assert_eq!(home.signal("c.example", "CDS"), ds, "made again with its key");
    let dnssec = "/api/zones/c.example/dnssec";
    home.bench.call(home.token.who(), "DELETE", &format!("{dnssec}?force=true"), None);
    assert!(!home.has("c.example"), "no longer signed");
    home.bench.post(home.token.who(), dnssec, "{}");
    assert!(!home.has("c.example"), "caches may hold what was not signed");

    let history = home.bench.get(home.operator.who(), &format!("/api/v1/domains/{SIGNAL}/history/")).json();
    let latest = &history[0];
    assert_eq!((&latest["kind"], &latest["by"]["via"]), (&json!("signal"), &json!("signal")), "{latest}");
    assert_eq!((&latest["by"]["token"], &latest["by"]["address"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_domain_gets_no_signal_within_itself_and_none_that_is_no_name() {
    let home = Home::new();
    home.make(&home.operator, "petrel.test");
    assert!(!home.has("petrel.test"), "ns1.petrel.test proves nothing of petrel.test");
    home.make(&home.operator, "1.petrel.test");
    assert!(home.has("1.petrel.test"), "ns1.petrel.test is not within 1.petrel.test");
    assert!(!home.has(SIGNAL));
    let label = "l".repeat(60);
    let (long, host) = (format!("{label}.{label}.{label}.example"), format!("{label}.petrel.test"));
    home.make(&home.operator, &format!("_signal.{host}"));
    home.make(&home.token, &long);
    home.serve_by(&home.token, &long, &[format!("{host}.").as_str(), "ns3.petrel.test."]);
    let shown = home.bench.get(home.token.who(), &format!("/api/zones/{long}/dnssec")).json();
    assert_eq!(shown["signals_too_long"], json!([format!("_dsboot.{long}._signal.{host}")]));
    assert_eq!((&shown["signals"], &shown["signed"]), (&Value::Null, &json!(true)));
}

#[test]
fn only_whoever_has_a_name_server_has_its_signals() {
    let home = Home::new();
    let tenant = home.bench.token(&home.bench.account_of("tenant@mail.example", Class::Hosting), Full);
    let post =
        |name: &str| home.bench.post(tenant.who(), "/api/v1/domains/", &json!({ "name": name }).to_string()).status;
    for name in ["_signal.ns2.petrel.test", "_signal.ns.own.example", "_dsboot.c.example._signal.ns2.petrel.test"] {
        assert_eq!(post(name), 400, "{name}");
    }
    assert_eq!((post("own.example"), post("_signal.ns.own.example")), (201, 201));
    // They are written for the tenant, and count as no write of theirs.
    home.make(&home.token, "c.example");
    home.serve_by(&home.token, "c.example", &["ns.own.example."]);
    let path = "/api/v1/domains/_signal.ns.own.example/rrsets/_dsboot.c.example/CDS/";
    assert_eq!(home.bench.get(tenant.who(), path).status, 200);
    assert!(!home.has("c.example"));
    // A name server whose signals are a stranger's gets none.
    let path = "/api/v1/domains/own.example/";
    assert_eq!(home.bench.call(tenant.who(), "DELETE", path, None).status, 204);
    home.make(&home.token, "d.example");
    home.serve_by(&home.token, "d.example", &["ns.own.example."]);
    let path = "/api/v1/domains/_signal.ns.own.example/rrsets/_dsboot.d.example/CDS/";
    assert_eq!(home.bench.get(tenant.who(), path).status, 404);
}

#[test]
fn signals_about_domains_that_were_there_before_are_made_and_others_go() {
    let home = Home::new();
    for idx in 0..3 {
        home.make(&home.token, &format!("c{idx}.example"));
    }
    let forged = json!([
        { "subname": "_dsboot.none.example", "type": "CDS", "ttl": 3600, "records": [home.signal("c0.example", "CDS")[0]] },
        { "subname": "_dsboot.c1.example", "type": "CDS", "ttl": 3600, "records": [] },
        { "subname": "_dsboot.c2.example", "type": "CDS", "ttl": 3600, "records": [home.signal("c0.example", "CDS")[0]] },
        { "subname": "other", "type": "TXT", "ttl": 3600, "records": ["\"stays\""] },
    ]);
    let right = home.signal("c2.example", "CDS");
    let path = format!("/api/v1/domains/{SIGNAL}/rrsets/");
    let changed = home.bench.call(home.operator.who(), "PATCH", &path, Some(&forged.to_string()));
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_ne!(home.signal("c2.example", "CDS"), right);
    home.bench.keep_signals();
    home.until("what was taken away is there again", || !home.signal("c1.example", "CDS").is_empty());
    home.until("what was forged is right", || home.signal("c2.example", "CDS") == right);
    home.until("what is about nothing goes", || home.signal("none.example", "CDS").is_empty());
    let other = format!("/api/v1/domains/{SIGNAL}/rrsets/other/TXT/");
    assert_eq!(home.bench.get(home.operator.who(), &other).status, 200);
    home.make(&home.operator, "_signal.ns2.petrel.test");
    let path = "/api/v1/domains/_signal.ns2.petrel.test/rrsets/_dsboot.c0.example/CDNSKEY/";
    home.until("a new one is filled", || home.bench.get(home.operator.who(), path).status == 200);
}

#[test]
fn signals_count_to_nobodys_quota() {
    let home = Home::new();
    let tenant = home.bench.token(&home.bench.account_of("tenant@mail.example", Class::Hosting), Full);
    let account = |email: &str| format!("/api/admin/accounts/{email}/");
    let figures = |email: &str| {
        let shown = home.bench.get(Who::Operator, &account(email)).json();
        ["rrsets", "records", "bytes", "writes_in_hour"].map(|field| shown[field].as_u64().unwrap())
    };
    let before = figures("op@mail.example");
    // Whoever has the signals may have the NS RRset of that domain, one more, and nothing of what follows from others.
    let limit =
        |limits: &str| home.bench.call(Who::Operator, "PATCH", &account("op@mail.example"), Some(limits)).status;
    assert_eq!(limit(r#"{"limit_rrsets":2}"#), 200);
    home.make(&tenant, "c.example");
    let with = figures("tenant@mail.example");
    home.make(&tenant, "d.example");
    assert!(home.has("c.example") && home.has("d.example"));
    assert_eq!(figures("op@mail.example"), before);
    assert_eq!(figures("tenant@mail.example"), with.map(|figure| 2 * figure), "what two domains without signals have");
    let add = |subname: &str| {
        let body = json!({"subname": subname, "type": "TXT", "ttl": 3600, "records": ["\"own\""]}).to_string();
        home.bench.post(home.operator.who(), &format!("/api/v1/domains/{SIGNAL}/rrsets/"), &body).status
    };
    assert_eq!((add("own"), add("more")), (201, 403));
    assert_eq!(limit(r#"{"limit_rrsets":0}"#), 200);
    home.make(&tenant, "e.example");
    assert!(home.has("e.example"), "nor is anybody refused who signs");
    let doctor = home.bench.get(Who::Operator, "/api/admin/doctor/").json();
    assert_eq!(doctor["damages"], json!([]), "counted anew it is the same");
    assert_eq!(home.bench.call(home.operator.who(), "DELETE", &format!("/api/v1/domains/{SIGNAL}/"), None).status, 204);
    assert_eq!(figures("op@mail.example")[..3], [0; 3]);
}
