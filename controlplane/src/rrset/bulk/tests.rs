//! Tests of lists: method, body, RRsets of the domain, answer.

use proptest::prelude::*;
use serde_json::{Value, json};
use snapshot::dns::rtype::Rtype;

use super::super::{Limits, Method, Rules};
use super::*;

/// A domain with the usual least TTL.
const RULES: Rules<'static> = Rules { domain: "example.com", ttl_secs_min: 3600, limits: Limits::HOSTING };
/// What is said about absent fields.
const REQUIRED: &str = "This field is required.";

/// The answer to a list: errors, or drafts in one line each.
fn answer(method: Method, body: &Value, stored: &[(&str, Rtype)]) -> Value {
    let types_at = |subname: &str| -> Vec<Rtype> {
        stored.iter().filter(|(name, _)| *name == subname).map(|&(_, rtype)| rtype).collect()
    };
    match read(body, method, &RULES).and_then(|bulk| bulk.settle(types_at)) {
        Err(body) => body,
        Ok(drafts) => drafts
            .into_iter()
            .map(|Draft { subname, rtype, ttl, records }| {
                let records: Option<Vec<String>> =
                    records.map(|contents| contents.into_iter().map(|content| content.text).collect());
                format!("{subname} {rtype} {ttl:?} {}", records.map_or("-".to_owned(), |texts| texts.join("|")))
            })
            .collect(),
    }
}

/// Checks an answer.
fn check(method: Method, body: &Value, stored: &[(&str, Rtype)], expected: &Value) {
    assert_eq!(answer(method, body, stored), *expected, "{method:?} {body}");
}

/// A whole object of the type with one record.
fn object(subname: &str, rtype: &str, record: &str) -> Value {
    json!({"subname": subname, "type": rtype, "ttl": 3600, "records": [record]})
}

/// An object that deletes.
fn delete(subname: &str, rtype: &str) -> Value {
    json!({"subname": subname, "type": rtype, "records": []})
}

/// The errors of a position with one message that belongs to no field.
fn message(text: &str) -> Value {
    json!({"non_field_errors": [text]})
}

/// The message about what is beside a CNAME.
fn conflict(origins: &str) -> Value {
    message(&format!(
        "RRset with conflicting type present at same subname: {origins}. (No other RRsets are allowed alongside CNAME.)"
    ))
}

#[test]
fn bodies_are_lists() {
    for method in [Method::Post, Method::Put, Method::Patch] {
        check(method, &json!([]), &[], &json!([]));
        check(method, &json!({}), &[], &message("Expected a list of items but got dict."));
        check(method, &json!("a"), &[], &message("Expected a list of items but got str."));
        check(method, &json!(null), &[], &message("No data provided"));
        check(
            method,
            &vec![json!({}); ITEM_COUNT_MAX + 1].into(),
            &[],
            &message("Ensure this list has no more than 20000 items."),
        );
    }
}

#[test]
fn json_types_are_checked_first() {
    check(
        Method::Patch,
        &json!(["a", 1, null, [], {"subname": 1, "type": []}, {"type": {}, "subname": null}, delete("a", "A")]),
        &[],
        &json!([
            {"non_field_errors": "Expected a dictionary, but got str."},
            {"non_field_errors": "Expected a dictionary, but got int."},
            {"non_field_errors": "Expected a dictionary, but got NoneType."},
            {"non_field_errors": "Expected a dictionary, but got list."},
            {"subname": "Expected a string, but got int.", "type": "Expected a string, but got list."},
            {"type": "Expected a string, but got dict."},
            {},
        ]),
    );
}

#[test]
fn a_post_creates_and_needs_all_fields() {
    check(
        Method::Post,
        &json!([object("a", "A", "1.2.3.4"), object("", "TXT", "\"x\"")]),
        &[("", Rtype::NS)],
        &json!(["a A Some(3600) 1.2.3.4", " TXT Some(3600) \"x\""]),
    );
    let exists = "Another RRset with the same subdomain and type exists for this domain. (Try modifying it.)";
    check(
        Method::Post,
        &json!([
            object("a", "A", "x"), {"subname": "b", "type": "A", "ttl": 1, "records": ["1.2.3.4"]}, object("c", "A", "1.2.3.4"),
            {"type": "TXT"}, {"subname": "d", "records": ["a"], "ttl": 3600}, object("e", "A", "x"), delete("f", "A"), object("G", "a", ""),
        ]),
        &[("a", Rtype::A)],
        &json!([
            message(exists),
            {"ttl": ["Ensure this value is greater than or equal to 3600."]},
            {},
            {"subname": [REQUIRED], "ttl": [REQUIRED], "records": [REQUIRED]},
            {"type": [REQUIRED]},
            answer(Method::Post, &json!([object("e", "A", "x")]), &[])[0],
            {"ttl": [REQUIRED], "records": ["This field must not be empty when using POST."]},
            answer(Method::Post, &json!([object("G", "a", "")]), &[])[0],
        ]),
    );
}

#[test]
fn a_put_creates_replaces_and_deletes_and_needs_all_fields() {
    let stored = [("a", Rtype::A), ("b", Rtype::A)];
    check(
        Method::Put,
        &json!([object("a", "A", "1.2.3.4"), {"subname": "b", "type": "A", "ttl": 3600, "records": []}, object("c", "A", "::")]),
        &stored,
        &json!([{}, {}, message("Record content for type A malformed: expected an IPv4 address, found `::`")]),
    );
    check(
        Method::Put,
        &json!([delete("a", "A"), {"subname": "x", "type": "A", "ttl": 3600, "records": []}]),
        &stored,
        &json!([{"ttl": [REQUIRED]}, {}]),
    );
    check(
        Method::Put,
        &json!([{"subname": "x", "type": "A", "ttl": 3600, "records": []}]),
        &stored,
        &json!(["x A Some(3600) "]),
    );
}

#[test]
fn a_patch_needs_what_the_domain_does_not_have() {
    let stored = [("a", Rtype::A), ("b", Rtype::A)];
    check(
        Method::Patch,
        &json!([{"subname": "a", "type": "A", "ttl": 4000}, {"subname": "b", "type": "A", "records": ["1.2.3.4"]}, delete("x", "A")]),
        &stored,
        &json!(["a A Some(4000) -", "b A None 1.2.3.4", "x A None "]),
    );
    check(
        Method::Patch,
        &json!([
            {"subname": "c", "type": "A", "ttl": 1}, {"subname": "d", "type": "A", "records": ["1.2.3.4"]},
            {"subname": "a", "ttl": 3600}, {"records": []}, {"type": "A", "records": []}, {"subname": null, "type": null},
        ]),
        &stored,
        &json!([
            {"ttl": ["Ensure this value is greater than or equal to 3600."], "records": [REQUIRED]},
            {"ttl": [REQUIRED]},
            {"type": [REQUIRED], "records": [REQUIRED]},
            message("Same subname and type as in position(s) 5, but must be unique."),
            {"subname": [REQUIRED]},
            message("Same subname and type as in position(s) 3, but must be unique."),
        ]),
    );
    check(
        Method::Patch,
        &json!([{"subname": null, "type": null, "ttl": null, "records": null}]),
        &stored,
        &json!([{
            "subname": ["This field may not be null."], "type": ["This field may not be null."],
            "ttl": ["This field may not be null."], "records": ["This field may not be null."],
        }]),
    );
}

#[test]
fn an_rrset_is_in_a_list_once() {
    let twice =
        |others: &str| message(&format!("Same subname and type as in position(s) {others}, but must be unique."));
    check(
        Method::Post,
        &json!([
            object("a", "A", "x"),
            object("b", "A", "1.2.3.4"),
            object(" a", "A", "1.2.3.4"),
            object("a", "A", "y")
        ]),
        &[("a", Rtype::A)],
        &json!([twice("2, 3"), {}, twice("0, 3"), twice("0, 2")]),
    );
    let many = answer(Method::Put, &vec![object("a", "A", "1.2.3.4"); 500].into(), &[]);
    assert_eq!(many[0], twice(&(1..=20).map(|idx| idx.to_string()).collect::<Vec<String>>().join(", ")));
    assert_eq!(many.as_array().unwrap().len(), 500);
}

#[test]
fn a_cname_is_alone_after_the_list() {
    for method in [Method::Post, Method::Put, Method::Patch] {
        check(
            method,
            &json!([object("a", "A", "1.2.3.4"), object("a", "AAAA", "::1"), object("a", "CNAME", "b.")]),
            &[],
            &json!([conflict("2 (CNAME)"), conflict("2 (CNAME)"), conflict("0 (A), 1 (AAAA)")]),
        );
        check(
            method,
            &json!([object("a", "CNAME", "b."), object("b", "A", "1.2.3.4")]),
            &[("a", Rtype::TXT), ("a", Rtype::A), ("c", Rtype::A)],
            &json!([conflict("database (A, TXT)"), {}]),
        );
        check(
            method,
            &json!([object("", "CNAME", "b."), object("", "A", "x")]),
            &[("", Rtype::NS)],
            &json!([conflict("1 (A), database (NS)"), conflict("0 (CNAME)")]),
        );
    }
    for method in [Method::Put, Method::Patch] {
        let mut gone = delete("a", "A");
        gone["ttl"] = json!(3600);
        check(
            method,
            &json!([gone, object("a", "CNAME", "b.")]),
            &[("a", Rtype::A)],
            &json!(["a A Some(3600) ", "a CNAME Some(3600) b."]),
        );
        let mut gone = delete("a", "CNAME");
        gone["ttl"] = json!(3600);
        check(
            method,
            &json!([object("a", "TXT", "\"x\""), gone]),
            &[("a", Rtype::CNAME)],
            &json!(["a TXT Some(3600) \"x\"", "a CNAME Some(3600) "]),
        );
    }
}

#[test]
fn the_structure_of_names_is_checked_last() {
    let mut two = object("a", "CNAME", "b.");
    two["records"] = json!(["b.", "c."]);
    check(
        Method::Post,
        &json!([object("x", "A", "1.2.3.4"), two, object("y", "DNSKEY", "257 3 13 AAAA")]),
        &[],
        &json!(["CNAME RRset cannot have multiple records."]),
    );
    check(
        Method::Post,
        &json!([two, object("x", "A", "1.2.3.4"), object("y", "DNSKEY", "0 3 0 0")]),
        &[],
        &json!([{}, {}, message("Record content for type DNSKEY malformed: incorrect padding of base64")]),
    );
    check(Method::Patch, &json!([delete("", "DS")]), &[], &json!([" DS None "]));
}

#[test]
fn keys_are_those_of_sound_items() {
    let bulk = read(&json!([object("a", "A", "x"), object("b", "a", "x"), 5]), Method::Post, &RULES).unwrap();
    assert_eq!(bulk.keys().collect::<Vec<_>>(), [("a", Rtype::A)]);
}

#[test]
fn t_c2_types_of_a_name_are_bound() {
    let rules = Rules { limits: Limits { type_count_max: 2, ..Limits::HOSTING }, ..RULES };
    let settle = |body: Value| {
        read(&body, Method::Patch, &rules).and_then(|bulk| bulk.settle(|_| vec![Rtype::A, Rtype::TXT])).err()
    };
    let many = message("Ensure this subname has no more than 2 RRsets.");
    assert_eq!(settle(json!([object("a", "AAAA", "::1"), object("a", "A", "1.2.3.4")])), Some(json!([many, {}])));
    assert_eq!(settle(json!([object("a", "AAAA", "::1"), delete("a", "A")])), None);
}

/// Any object or worse: fields that are absent, odd or sound.
fn any_object() -> impl Strategy<Value = Value> {
    let field = |values: Vec<Value>| proptest::option::of(proptest::sample::select(values));
    let subnames = vec![json!("a"), json!(""), json!("*"), json!("A"), json!(null), json!(5)];
    let types = vec![json!("A"), json!("CNAME"), json!("TXT"), json!("DS"), json!("SOA"), json!("x"), json!([])];
    let ttls = vec![json!(3600), json!("4000"), json!(1), json!(1.5), json!(null)];
    let records = vec![
        json!([]),
        json!(["1.2.3.4"]),
        json!(["a."]),
        json!(["a.", "b."]),
        json!(["\"x\"", "\"x\""]),
        json!(["", null]),
        json!({}),
        json!(null),
    ];
    (field(subnames), field(types), field(ttls), field(records)).prop_map(|(subname, rtype, ttl, records)| {
        let fields = [("subname", subname), ("type", rtype), ("ttl", ttl), ("records", records)];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_list_is_settled_as_a_whole_or_has_an_answer_for_each_position(
        list in proptest::collection::vec(any_object(), 0..6),
        method in proptest::sample::select(vec![Method::Post, Method::Put, Method::Patch]),
        stored in proptest::sample::subsequence(vec![Rtype::A, Rtype::TXT, Rtype::DS], 0..3),
    ) {
        let count = list.len();
        match read(&list.into(), method, &RULES).unwrap().settle(|_| stored.clone()) {
            Ok(drafts) => {
                prop_assert_eq!(drafts.len(), count);
                for (idx, draft) in drafts.iter().enumerate() {
                    let is_same = |other: &Draft| other.subname == draft.subname && other.rtype == draft.rtype;
                    prop_assert!(!drafts[..idx].iter().any(is_same));
                    let is_whole = draft.ttl.is_some() && draft.records.is_some();
                    let deletes = draft.records.as_ref().is_some_and(Vec::is_empty);
                    prop_assert!(is_whole || deletes || stored.contains(&draft.rtype));
                    let is_gone = |rtype: Rtype| {
                        let mut same = drafts.iter().filter(|other| other.subname == draft.subname && other.rtype == rtype);
                        same.any(|other| other.records.as_ref().is_some_and(Vec::is_empty))
                    };
                    let mut others = drafts.iter().filter(|other| other.subname == draft.subname).map(|other| other.rtype);
                    let is_cname_alone = draft.rtype != Rtype::CNAME || deletes
                        || others.all(|rtype| rtype == Rtype::CNAME || is_gone(rtype)) && stored.iter().all(|&rtype| is_gone(rtype));
                    prop_assert!(is_cname_alone);
                }
            }
            Err(Value::Array(answers)) if answers.iter().all(Value::is_object) => {
                prop_assert_eq!(answers.len(), count);
                let is_refused = answers.iter().any(|answer| *answer != json!({}));
                prop_assert!(is_refused);
            }
            Err(other) => prop_assert!(other.to_string().contains(" RRset "), "{}", other),
        }
    }
}
