//! Dynamic updates as clients send them, and the pages that tell an address.

use data_encoding::BASE64;

use controlplane::clock::now_us;
use controlplane::store::accounts::{Class, NewAccount};
use controlplane::store::policies::Policy;
use uuid::Uuid;

use crate::harness::{Answer, Bench, Full, Issued, Who};

/// A server with an account of two domains.
struct Home {
    /// The server.
    bench: Bench,
    /// A token of the account.
    token: Issued,
}

impl Home {
    /// With `d.example` and `e.example`.
    fn new() -> Home {
        let (bench, token) = Bench::with_domains(&["d.example", "e.example"]);
        Home { bench, token }
    }

    /// A GET at a host with these header fields.
    fn ask(&self, host: &str, target: &str, fields: &str) -> Answer {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n");
        self.bench.send(request.as_bytes())
    }

    /// An update with Basic credentials of this user.
    fn update(&self, user: &str, query: &str) -> Answer {
        self.ask("localhost", &format!("/nic/update?{query}"), &basic(user, &self.token.secret))
    }

    /// A and AAAA of a name of `d.example`, with their TTLs.
    fn addresses(&self, subname: &str) -> String {
        let path = format!("/api/v1/domains/d.example/rrsets/?subname={subname}");
        let all = self.bench.get(self.token.who(), &path).json();
        let mut shown: Vec<String> = all
            .as_array()
            .unwrap()
            .iter()
            .filter(|rrset| rrset["type"] == "A" || rrset["type"] == "AAAA")
            .map(|rrset| format!("{} {} {}", rrset["type"].as_str().unwrap(), rrset["ttl"], rrset["records"]))
            .collect();
        shown.sort();
        shown.join("; ").replace('"', "")
    }
}

/// The field of Basic credentials.
fn basic(user: &str, secret: &str) -> String {
    format!("Authorization: Basic {}\r\n", BASE64.encode(format!("{user}:{secret}").as_bytes()))
}

/// Checks an answer: status, body, plain text.
fn check(answer: &Answer, status: u16, text: &str) {
    assert_eq!((answer.status, answer.text.as_str()), (status, text));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn credentials_are_a_token_a_user_or_parameters() {
    let home = Home::new();
    let secret = home.token.secret.clone();
    let token = format!("Authorization: Token {secret}\r\n");
    let path = "/api/v1/dyndns/update?hostname=d.example&myip=192.0.2.1";
    for fields in
        [token.clone(), basic("", &secret), basic("jo@mail.example", &secret), basic("www.d.example", &secret)]
    {
        check(&home.ask("localhost", path, &fields), 200, "good");
    }
    let credentials = format!("&username=d.example&password={secret}");
    check(&home.ask("localhost", &format!("{path}{credentials}"), ""), 200, "good");
    for (query, text) in [
        ("", "No username URL parameter provided."),
        ("&username=d.example", "No password URL parameter provided."),
        ("&username=d.example&password=no", "badauth"),
    ] {
        let answer = home.ask("localhost", &format!("{path}{query}"), "");
        check(&answer, 401, text);
        assert_eq!(answer.header("www-authenticate"), Some("Token"));
    }
    check(&home.ask("localhost", path, &basic("foreign.example", &secret)), 401, "badauth");
    check(&home.ask("localhost", path, &basic("", "no")), 401, "badauth");
    check(&home.ask("localhost", path, "Authorization: Token no\r\n"), 401, "Invalid token.");
    let post = format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n{token}\r\n");
    assert_eq!(home.bench.send(post.as_bytes()).status, 405);
}

#[test]
fn addresses_become_what_is_said() {
    let home = Home::new();
    for (query, expected) in [
        ("myip=192.0.2.1", "A 60 [192.0.2.1]"),
        ("myip=192.0.2.1,2001:db8::1", "A 60 [192.0.2.1]; AAAA 60 [2001:db8::1]"),
        ("myip=192.0.2.2&myipv6=preserve", "A 60 [192.0.2.2]; AAAA 60 [2001:db8::1]"),
        ("myipv4=198.51.100.0/24&myipv6=2001:db8:1::/48", "A 60 [198.51.100.2]; AAAA 60 [2001:db8:1::1]"),
        ("myipv6:www.d.example=::7&myipv4=preserve", "A 60 [198.51.100.2]; AAAA 60 [::7]"),
        ("myip=", ""),
        ("ip=192.0.2.9", "A 60 [192.0.2.9]"),
        ("myipv6=", "A 60 [127.0.0.1]"),
        ("", "A 60 [127.0.0.1]"),
    ] {
        check(&home.update("", &format!("hostname=WWW.d.example&{query}")), 200, "good");
        assert_eq!(home.addresses("www"), expected, "{query}");
    }
}

#[test]
fn hosts_are_those_of_one_domain_of_the_account() {
    let home = Home::new();
    let improper = "Request does not properly specify domain for update.";
    let several = "Cannot update subdomains from more than one domain.";
    for (user, query, status, text) in [
        ("", "myip=192.0.2.1", 400, improper),
        ("jo@mail.example", "hostname=YES&myip=192.0.2.1", 400, improper),
        ("", "hostname=a.d.example,b.e.example", 400, several),
        ("", "hostname=d.example.", 404, "nohost"),
        ("", "hostname=foreign.example", 404, "nohost"),
        ("", "hostname=a%20b.d.example", 404, "nohost"),
        ("", "hostname=a%00b.d.example", 404, "nohost"),
        ("", "hostname=..d.example", 404, "nohost"),
        ("", "host_id=h.d.example&myip=192.0.2.1", 200, "good"),
        ("b.d.example", "myip=192.0.2.2", 200, "good"),
        ("", "hostname=*.d.example,m.d.example&myip=192.0.2.3", 200, "good"),
    ] {
        check(&home.update(user, query), status, text);
    }
    assert_eq!(home.addresses("h"), "A 60 [192.0.2.1]");
    assert_eq!(home.addresses("b"), "A 60 [192.0.2.2]");
    assert_eq!(home.addresses("m"), "A 60 [192.0.2.3]");
    assert_eq!(home.addresses("%2A"), "A 60 [192.0.2.3]");
}

#[test]
fn what_is_no_address_changes_nothing() {
    let home = Home::new();
    for (query, text) in [
        ("myip=foo", "IP parameter \"myip\" has an invalid address: 'foo'"),
        ("myip=192.0.2.256", "IP parameter \"myip\" has an invalid address: '192.0.2.256'"),
        (
            "myip=192.0.2.1/33",
            "IP parameter \"myip\" is an invalid subnet: '192.0.2.1/33' does not appear to be an IPv4 or IPv6 network",
        ),
        (
            "myip=192.0.2.1,preserve",
            "IP parameter \"myip\" cannot have addresses and \"preserve\" or an empty value at the same time.",
        ),
        ("myip=192.0.2.0/24,192.0.2.1", "IP parameter \"myip\" cannot use subnet notation with multiple addresses."),
    ] {
        check(&home.update("", &format!("hostname=www.d.example&{query}")), 400, text);
    }
    assert_eq!(home.addresses("www"), "");
    let cname = r#"{"subname":"c","type":"CNAME","ttl":3600,"records":["d.example."]}"#;
    assert_eq!(home.bench.post(home.token.who(), "/api/v1/domains/d.example/rrsets/", cname).status, 201);
    let answer = home.update("", "hostname=c.d.example&myip=192.0.2.1");
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.text.contains("database (CNAME)"), "{}", answer.text);
}

#[test]
fn hosts_of_the_service_need_no_path() {
    let home = Home::new();
    let fields = basic("www.d.example", &home.token.secret);
    for host in ["update.dyn.petrel.test", "Update6.dyn.petrel.test:80"] {
        check(&home.ask(host, "/any/thing?myip=192.0.2.1", &fields), 200, "good");
        check(&home.ask(host, "/nic/checkip.html", ""), 200, "127.0.0.1");
        check(&home.ask(host, "/favicon.ico", &fields), 401, "badauth");
        check(&home.ask(host, "/favicon.ico", ""), 401, "No username URL parameter provided.");
    }
    assert_eq!(home.ask("other.dyn.petrel.test", "/x", "").status, 404);
}

#[test]
fn hosts_that_only_tell_addresses_are_for_the_secure_protocol() {
    let home = Home::new();
    for host in ["checkip.dyn.petrel.test", "checkipv4.dyn.petrel.test", "checkipv6.dyn.petrel.test"] {
        let answer = home.ask(host, "/x", "");
        assert_eq!((answer.status, answer.header("location")), (301, Some(&*format!("https://{host}/x"))));
    }
}

#[test]
fn tenants_update_twice_in_two_minutes_and_what_policies_forbid_does_not_count() {
    let mut home = Home::new();
    let (uuid, email) = (Uuid::new_v4(), "tenant@mail.example".to_owned());
    let new = NewAccount { uuid, email, class: Class::Hosting, created_us: now_us(), limit_domains: None };
    let account = home.bench.store.write_blocking(move |txn| txn.add_account(&new)).unwrap().unwrap();
    home.token = home.bench.token(&account, Full);
    for name in ["a.dyn.petrel.test", "b.dyn.petrel.test"] {
        let made = home.bench.post(home.token.who(), "/api/v1/domains/", &format!(r#"{{"name":"{name}"}}"#));
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let (token, id) = (home.token.id, account.id);
    let policy = |rtype: Option<&str>, perm_write| Policy {
        id: Uuid::new_v4(),
        domain: None,
        subname: None,
        rtype: rtype.map(str::to_owned),
        perm_write,
    };
    let (default, only_a) = (policy(None, false), policy(Some("A"), true));
    let added = home.bench.store.write_blocking::<_, controlplane::store::StoreError>(move |txn| {
        Ok(txn.add_policy(id, token, &default)? && txn.add_policy(id, token, &only_a)?)
    });
    assert!(added.unwrap());
    let ask = |query: &str| home.update("", &format!("hostname=a.dyn.petrel.test&{query}"));
    for _ in 0..3 {
        check(&ask("myip=192.0.2.1"), 403, "Insufficient token permissions.");
    }
    for _ in 0..2 {
        check(&ask("myip=192.0.2.1&myipv6=preserve"), 200, "good");
    }
    let refused = ask("myip=192.0.2.2&myipv6=preserve");
    check(&refused, 429, "Request was throttled. Expected available in 120 seconds.");
    assert_eq!(refused.header("retry-after"), Some("120"));
    check(&home.update("", "hostname=b.dyn.petrel.test&myip=192.0.2.1&myipv6=preserve"), 200, "good");
}

#[test]
fn quotas_are_told_in_plain_text() {
    let home = Home::new();
    let limit = |body: &str| {
        let account = "/api/admin/accounts/jo@mail.example/";
        assert_eq!(home.bench.call(Who::Operator, "PATCH", account, Some(body)).status, 200);
    };
    let update = |address: &str| home.update("", &format!("hostname=d.example&myip={address}&myipv6=preserve"));
    check(&update("192.0.2.1"), 200, "good");
    let plain = "text/plain; charset=utf-8";
    for (limits, begin) in [
        (r#"{"limit_writes_per_hour":1}"#, "Write limit exceeded: "),
        (r#"{"limit_writes_per_hour":null,"limit_history_per_day":1}"#, "History limit exceeded: "),
    ] {
        limit(limits);
        let refused = update("192.0.2.2");
        assert_eq!((refused.status, refused.header("content-type")), (429, Some(plain)), "{}", refused.text);
        assert!(refused.text.starts_with(begin), "{}", refused.text);
        assert!(refused.header("retry-after").is_some_and(|secs| secs.parse::<u64>().is_ok()));
    }
    limit(r#"{"limit_history_per_day":null,"limit_records":0}"#);
    let refused = home.update("", "hostname=new.d.example&myip=192.0.2.2&myipv6=preserve");
    assert_eq!((refused.status, refused.header("content-type")), (403, Some(plain)), "{}", refused.text);
    assert!(refused.text.starts_with("Record limit exceeded: "), "{}", refused.text);
}

#[test]
fn an_address_is_told_three_times_a_minute() {
    let home = Home::new();
    for path in ["/checkip", "/nic/checkip.html", "/checkip"] {
        check(&home.ask("localhost", path, ""), 200, "127.0.0.1");
    }
    let answer = home.ask("localhost", "/checkip", "");
    assert_eq!(answer.status, 429);
    assert!(answer.text.starts_with("Request was throttled. Expected available in "), "{}", answer.text);
}
