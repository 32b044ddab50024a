//! The server of these tests answers at all.

use crate::harness::{Bench, Full, Who};

#[test]
fn a_tenant_makes_a_domain_with_its_token_and_the_operator_sees_it() {
    let bench = Bench::start();
    let tenant = bench.account("tenant@example.org");
    let token = bench.token(&tenant, Full);
    assert_eq!(bench.get(Who::Nobody, "/api/v1/domains/").status, 401);
    let made = bench.post(token.who(), "/api/v1/domains/", r#"{"name":"one.example"}"#);
    assert_eq!((made.status, made.json()["name"].as_str()), (201, Some("one.example")), "{}", made.text);
    assert!(made.header("petrel-change").is_some(), "{:?}", made.headers);
    assert_eq!(bench.served(), "one.example.");
    let seen = bench.get(Who::Operator, "/api/v1/domains/?account=tenant@example.org");
    assert_eq!(seen.json()[0]["name"], "one.example", "{}", seen.text);
    assert_eq!(bench.call(token.who(), "DELETE", "/api/v1/domains/one.example/", None).status, 204);
    assert_eq!(bench.served(), "");
}
