//! The clock that signing goes by, as the operator sees it.

use serde_json::{Value, json};

use crate::harness::{Bench, Who};

#[test]
fn the_operator_sees_whether_the_clock_is_believed_and_may_say_so() {
    let (bench, token) = Bench::with_domains(&["d.example"]);
    let shown = bench.get(Who::Operator, "/api/admin/clock/").json();
    assert_eq!((&shown["trusted"], &shown["doubt"]), (&json!(true), &Value::Null));
    assert!(shown["mark"].as_str().unwrap() <= shown["time"].as_str().unwrap());
    let accepted = bench.post(Who::Operator, "/api/admin/clock/accept/", "");
    assert_eq!((accepted.status, &accepted.json()["trusted"]), (200, &json!(true)), "{}", accepted.text);
    let kept = bench
        .store
        .read(|reader| reader.clock_mark())
        .unwrap_or_else(|error: controlplane::store::StoreError| panic!("{error}"));
    assert!(kept.unwrap() > 0);
    for (method, path) in [("GET", "/api/admin/clock/"), ("POST", "/api/admin/clock/accept/")] {
        assert_eq!(bench.call(token.who(), method, path, None).status, 403, "{path} is for the operator");
    }
    let page = bench.get(Who::Nobody, "/metrics").text;
    assert!(page.contains("\ndns_clock_suspect 0\n"), "{page}");
}

#[test]
fn metrics_tell_when_the_first_signature_ends() {
    let bench = Bench::start();
    assert!(!bench.get(Who::Nobody, "/metrics").text.contains("dns_signatures_expire_at_seconds"));
    let token = bench.token(&bench.account("jo@mail.example"), crate::harness::Full);
    assert_eq!(bench.post(token.who(), "/api/v1/domains/", r#"{"name":"d.example"}"#).status, 201);
    // The next transaction after the publication has it.
    let figure = |name: &str| {
        let page = bench.get(Who::Nobody, "/metrics").text;
        page.lines().find_map(|line| line.strip_prefix(&format!("{name} "))?.parse::<u64>().ok())
    };
    let now = u64::try_from(controlplane::clock::now_us() / 1_000_000).unwrap();
    let begun = std::time::Instant::now();
    let ends = loop {
        if let Some(ends) = figure("dns_signatures_expire_at_seconds") {
            break ends;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "no signature was noted");
        std::thread::yield_now();
    };
    assert!((now + 20 * 86_400..=now + 22 * 86_400).contains(&ends), "{ends}");
    assert_eq!(figure("dns_signatures_expiring"), Some(0));
}
