//! Tests of single objects: body, types at the name, answer.

use serde_json::{Value, json};
use snapshot::dns::rtype::Rtype;

use super::super::{Limits, Method, Rules};
use super::*;

/// A domain with the usual least TTL.
const RULES: Rules<'static> = Rules { domain: "example.com", ttl_secs_min: 3600, limits: Limits::HOSTING };

/// A draft in one line, or the body of the answer.
fn show(result: Result<Draft, Value>) -> Value {
    let Draft { subname, rtype, ttl, records } = match result {
        Ok(draft) => draft,
        Err(body) => return body,
    };
    let texts: Option<Vec<String>> = records.map(|contents| contents.into_iter().map(|content| content.text).collect());
    json!(format!("{subname:?} {rtype} {ttl:?} {texts:?}"))
}

/// Creates an RRset beside `stored`.
fn check_create(body: &Value, stored: &[Rtype], expected: &Value) {
    let result = create(body, &RULES).and_then(|creation| creation.settle(stored));
    assert_eq!(show(result), *expected, "{body}");
}

/// Changes the A RRset of www.
fn check_change(method: Method, body: &Value, expected: &Value) {
    let result = change(body, method, ("www", Rtype::A), &RULES).and_then(Revision::settle);
    assert_eq!(show(result), *expected, "{method:?} {body}");
}

#[test]
fn bodies_are_objects() {
    for (body, message) in [
        (json!(null), "No data provided"),
        (json!([]), "Invalid data. Expected a dictionary, but got list."),
        (json!("a"), "Invalid data. Expected a dictionary, but got str."),
        (json!(1), "Invalid data. Expected a dictionary, but got int."),
    ] {
        let expected = json!({"non_field_errors": [message]});
        check_create(&body, &[], &expected);
        check_change(Method::Patch, &body, &expected);
        check_change(Method::Put, &body, &expected);
    }
}

#[test]
fn rrsets_are_created() {
    check_create(
        &json!({"type": "MX", "ttl": "3600", "records": ["010 B.example.", "5 a.example."]}),
        &[Rtype::NS],
        &json!("\"\" MX Some(3600) Some([\"5 a.example.\", \"10 B.example.\"])"),
    );
    check_create(
        &json!({"subname": "a", "type": "A", "ttl": 1, "records": ["x"]}),
        &[Rtype::A],
        &json!({"ttl": ["Ensure this value is greater than or equal to 3600."]}),
    );
}

#[test]
fn errors_of_an_object_come_in_order() {
    let body = |rtype: &str, records: &[&str]| json!({"type": rtype, "ttl": 3600, "records": records});
    let whole = |message: &str| json!({"non_field_errors": [message]});
    let exists = "Another RRset with the same subdomain and type exists for this domain. (Try modifying it.)";
    let conflict = "RRset with conflicting type present at same subname: database (A, TXT). \
                    (No other RRsets are allowed alongside CNAME.)";
    let malformed = "Hostname must be fully qualified (i.e., end in a dot: \"example.com.\")";
    check_create(&body("CNAME", &["a", "b."]), &[Rtype::CNAME], &whole(exists));
    check_create(&body("CNAME", &["a", "b."]), &[Rtype::TXT, Rtype::A], &whole(conflict));
    check_create(&body("CNAME", &["a", "b."]), &[], &whole(malformed));
    check_create(&body("CNAME", &["b.", "B."]), &[], &whole("Duplicate: records must be semantically unique"));
    check_create(
        &body("CNAME", &["a.", "b."]),
        &[],
        &json!(["CNAME RRset cannot have multiple records.", "CNAME RRset cannot have empty subname."]),
    );
    check_create(&body("A", &["1.2.3.4"]), &[Rtype::CNAME], &whole(&conflict.replace("A, TXT", "CNAME")));
    check_create(&body("DNAME", &["a."]), &[Rtype::CNAME], &whole(&conflict.replace("A, TXT", "CNAME")));
    check_create(&body("TXT", &["a"]), &[], &whole("Data for TXT records must be given using quotation marks."));
    check_create(
        &body("MX", &["10 _foo.bar."]),
        &[],
        &whole("Cannot parse record contents: invalid exchange: _foo.bar."),
    );
}

#[test]
fn rrsets_are_changed() {
    for method in [Method::Patch, Method::Put] {
        check_change(
            method,
            &json!({"subname": "www", "type": "A", "ttl": 7200, "records": ["1.2.3.4"], "created": "x"}),
            &json!("\"www\" A Some(7200) Some([\"1.2.3.4\"])"),
        );
        check_change(
            method,
            &json!({"subname": "www", "type": "A", "ttl": 7200, "records": []}),
            &json!("\"www\" A Some(7200) Some([])"),
        );
    }
    check_change(Method::Patch, &json!({}), &json!("\"www\" A None None"));
    check_change(Method::Patch, &json!({"records": ["1.2.3.4"]}), &json!("\"www\" A None Some([\"1.2.3.4\"])"));
    check_change(Method::Patch, &json!({"ttl": 4000}), &json!("\"www\" A Some(4000) None"));
    check_change(
        Method::Put,
        &json!({"records": [], "subname": "www"}),
        &json!({
            "type": ["This field is required."], "ttl": ["This field is required."],
        }),
    );
}

#[test]
fn t_c2_types_of_a_name_are_bound() {
    let rules = Rules { limits: Limits { type_count_max: 2, ..Limits::HOSTING }, ..RULES };
    let body = json!({"type": "A", "ttl": 3600, "records": ["1.2.3.4"]});
    assert!(create(&body, &rules).unwrap().settle(&[Rtype::NS]).is_ok());
    let refused = create(&body, &rules).unwrap().settle(&[Rtype::NS, Rtype::TXT]);
    assert_eq!(refused, Err(json!({"non_field_errors": ["Ensure this subname has no more than 2 RRsets."]})));
}
