//! Tests of the fields of an object: one line per object.

use serde_json::{Value, json};
use snapshot::dns::rtype::Rtype;

use super::super::{Limits, Method, Rules};
use super::*;

/// A domain with the usual least TTL.
const RULES: Rules<'static> = Rules { domain: "example.com", ttl_secs_min: 3600, limits: Limits::HOSTING };

/// The errors of `object` with sound values for the fields that it does not have.
fn errors_of(object: &Value, method: Method, place: Place<'_>) -> Value {
    let mut whole = json!({"subname": "www", "type": "A", "ttl": 3600, "records": ["1.2.3.4"]});
    whole.as_object_mut().unwrap().extend(object.as_object().unwrap().clone());
    Value::Object(read(whole.as_object().unwrap(), method, place, &RULES).errors)
}

/// Checks the errors of the body of a POST.
fn check_post(object: &Value, expected: &Value) {
    assert_eq!(errors_of(object, Method::Post, Place::Body), *expected, "{object}");
}

#[test]
fn subnames() {
    let long = ["a".repeat(59), "b".repeat(59), "c".repeat(58)].join(".");
    for good in ["", "  ", "www", " www ", "*", "*.a", "a.b", "_a", "-a-", "a_b", "1.2.3.4", &long, &"x".repeat(63)] {
        check_post(&json!({ "subname": good }), &json!({}));
    }
    let charset = "Subname can only use (lowercase) a-z, 0-9, ., -, and _, may start with a '*.', or just be '*'. \
                   Components may not exceed 63 characters.";
    for bad in ["@", "a..b", ".a", "a.", "a.*", "**", "a*", "*.*", "*.", "a b", "a/b", "\u{fc}", &"x".repeat(64)] {
        check_post(&json!({ "subname": bad }), &json!({ "subname": [charset] }));
    }
    check_post(&json!({"subname": "WwW"}), &json!({"subname": ["Invalid value (not lowercase): WwW", charset]}));
    check_post(
        &json!({ "subname": format!("{long}.d") }),
        &json!({"subname": ["Ensure this field has no more than 178 characters."]}),
    );
    check_post(&json!({"subname": "a\u{0}b"}), &json!({"subname": [charset, "Null characters are not allowed."]}));
    check_post(&json!({"subname": null}), &json!({"subname": ["This field may not be null."]}));
    for value in [json!([]), json!({}), json!(true)] {
        check_post(&json!({ "subname": value }), &json!({"subname": ["Not a valid string."]}));
    }
    check_post(&json!({"subname": 5}), &json!({}));
}

#[test]
fn full_names_fit_into_a_name() {
    let domain = |len: usize| "d".repeat(len);
    assert_eq!(check_name_len("", &domain(253)), Ok(()));
    assert_eq!(check_name_len("www", &domain(249)), Ok(()));
    let expected = Err("This field combined with the domain name must not exceed 255 characters.");
    assert_eq!(check_name_len("www", &domain(250)), expected);
}

#[test]
fn types() {
    check_post(&json!({"type": " TXT "}), &json!({}));
    let charset = "Type must be uppercase alphanumeric and start with a letter.";
    let not_upper = |text: &str| format!("Invalid value (not uppercase): {text}");
    check_post(&json!({"type": "a"}), &json!({"type": [not_upper("a"), charset]}));
    check_post(&json!({"type": "AAAA4$"}), &json!({ "type": [charset] }));
    check_post(&json!({"type": "4A"}), &json!({ "type": [charset] }));
    check_post(&json!({"type": 5}), &json!({ "type": [charset] }));
    check_post(
        &json!({"type": "ABCDEFGHIJK"}),
        &json!({"type": ["Ensure this field has no more than 10 characters."]}),
    );
    check_post(&json!({"type": ""}), &json!({"type": ["This field may not be blank."]}));
    check_post(&json!({"type": null}), &json!({"type": ["This field may not be null."]}));
    check_post(&json!({"type": ["A"]}), &json!({"type": ["Not a valid string."]}));
    check_post(
        &json!({"type": "SOA"}),
        &json!({"type": ["You cannot tinker with the SOA RR set. It is managed automatically."]}),
    );
    check_post(&json!({"type": "TYPE65534"}), &json!({"type": ["Generic type format is not supported."]}));
    check_post(&json!({"type": "WKS"}), &json!({"type": ["The WKS RR set type is currently unsupported."]}));
}

#[test]
fn ttls() {
    for (value, secs) in [
        (json!(3600), 3600),
        (json!(86400), 86_400),
        (json!("3600"), 3600),
        (json!(" 3600 "), 3600),
        (json!("+3600"), 3600),
        (json!("03600.00"), 3600),
        (json!(3600.0), 3600),
        (json!(3.6e3), 3600),
    ] {
        assert_eq!(read_ttl(&value, 3600), Ok(secs), "{value}");
    }
    assert_eq!(read_ttl(&json!(0), 0), Ok(0));
    for value in [
        json!(3600.7),
        json!("3600.7"),
        json!(true),
        json!(false),
        json!(""),
        json!("abc"),
        json!("1e4"),
        json!("3600s"),
        json!([3600]),
        json!({}),
        json!("-"),
        json!(".0"),
        json!("36 00"),
    ] {
        check_post(&json!({ "ttl": value }), &json!({"ttl": ["A valid integer is required."]}));
    }
    for value in [json!(3599), json!(0), json!(-1), json!("-1"), json!(i64::MIN), json!(-1e30)] {
        check_post(&json!({ "ttl": value }), &json!({"ttl": ["Ensure this value is greater than or equal to 3600."]}));
    }
    for value in [json!(86401), json!("86401"), json!(u64::MAX), json!(1e30), json!("9".repeat(100))] {
        check_post(&json!({ "ttl": value }), &json!({"ttl": ["Ensure this value is less than or equal to 86400."]}));
    }
    check_post(&json!({"ttl": null}), &json!({"ttl": ["This field may not be null."]}));
}

#[test]
fn lists_of_records() {
    let check =
        |value: &Value, expected: &Value| check_post(&json!({ "records": value }), &json!({ "records": expected }));
    check(&json!(null), &json!(["This field may not be null."]));
    check(&json!([]), &json!(["This field must not be empty when using POST."]));
    for (value, type_name) in [
        (json!("1.2.3.4"), "str"),
        (json!({}), "dict"),
        (json!(5), "int"),
        (json!(0.5), "float"),
        (json!(true), "bool"),
    ] {
        let message = format!("Expected a list of items but got type \"{type_name}\".");
        check(&value, &json!({"non_field_errors": [message]}));
    }
    check(&json!([5, null]), &json!([["Must be a string."], ["This field may not be null."]]));
    check(&json!([["a"], "1.2.3.4", {}]), &json!([["Must be a string."], {}, ["Must be a string."]]));
    check(&json!([""]), &json!([{"content": ["This field may not be blank."]}]));
    check(&json!([" \n"]), &json!([{"content": ["This field may not be blank."]}]));
    check(&json!(["a\u{0}"]), &json!([{"content": ["Null characters are not allowed."]}]));
    for method in [Method::Put, Method::Patch] {
        assert_eq!(errors_of(&json!({"records": []}), method, Place::List), json!({}));
    }
}

#[test]
fn what_is_absent_is_required_where_nothing_can_stand_in() {
    let detail = Place::Detail { subname: "www", rtype: Rtype::A };
    let list = |fields: &[&str]| -> Value {
        Value::Object(fields.iter().map(|&field| (field.to_owned(), json!([REQUIRED]))).collect())
    };
    let empty = serde_json::Map::new();
    for (method, place, expected, absent) in [
        (Method::Post, Place::Body, list(&["type", "ttl", "records"]), vec![]),
        (Method::Post, Place::List, list(&["subname", "type", "ttl", "records"]), vec![]),
        (Method::Put, Place::List, list(&["subname", "type", "ttl", "records"]), vec![]),
        (Method::Put, detail, list(&["subname", "type", "ttl", "records"]), vec![]),
        (Method::Patch, Place::List, list(&["subname", "type"]), vec!["ttl", "records"]),
        (Method::Patch, detail, list(&[]), vec![]),
    ] {
        let fields = read(&empty, method, place, &RULES);
        assert_eq!((Value::Object(fields.errors), fields.absent), (expected, absent), "{method:?} {place:?}");
    }
}

#[test]
fn an_rrset_keeps_its_subname_and_type() {
    let apex = Place::Detail { subname: "", rtype: Rtype::A };
    let www = Place::Detail { subname: "www", rtype: Rtype::A };
    let fixed = "Can only be written on create.";
    for method in [Method::Put, Method::Patch] {
        for (object, place, expected) in [
            (json!({"subname": "www", "type": "A"}), www, json!({})),
            (json!({"subname": ""}), apex, json!({})),
            (json!({"subname": ""}), www, json!({ "subname": [fixed] })),
            (json!({"subname": "w"}), www, json!({ "subname": [fixed] })),
            (json!({"type": "TXT"}), www, json!({ "type": [fixed] })),
            (json!({"type": "SOA"}), www, json!({ "type": [fixed] })),
            (
                json!({"subname": "a", "type": "TXT", "ttl": 1}),
                www,
                json!({
                    "subname": [fixed], "type": [fixed], "ttl": ["Ensure this value is greater than or equal to 3600."],
                }),
            ),
        ] {
            assert_eq!(errors_of(&object, method, place), expected, "{method:?} {object}");
        }
    }
}

#[test]
fn fields_that_clients_may_not_write_are_ignored() {
    check_post(&json!({"created": 5, "domain": [], "name": null, "touched": {}, "x": "y"}), &json!({}));
}
