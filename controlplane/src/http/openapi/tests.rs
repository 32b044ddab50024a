//! The document of the toy application.

use serde_json::Value;

use super::super::toy::ROUTES;
use super::*;

#[test]
fn every_row_appears_with_its_successes_and_refusals() {
    let rows: Vec<_> = ROUTES.iter().chain(routes()).collect();
    let document: Value = serde_json::from_str(&document(&rows).to_json().unwrap()).unwrap();
    let mut ids = BTreeSet::new();
    for row in rows {
        for operation in row.operations {
            let verb = format!("{:?}", operation.verb).to_lowercase();
            let described = &document["paths"][row.path][&verb];
            let statuses = described["responses"].as_object().unwrap();
            let has = |status: u16| statuses.contains_key(&status.to_string());
            assert!(statuses.keys().any(|status| status.starts_with('2')), "{verb} {}", row.path);
            assert!(has(400) && has(429), "{verb} {}", row.path);
            assert_eq!(has(401), operation.access != Access::Open, "{verb} {}", row.path);
            assert_eq!(has(403), matches!(operation.access, Access::With(_)), "{verb} {}", row.path);
            assert_eq!(has(413), operation.takes != Takes::Nothing, "{verb} {}", row.path);
            assert_eq!(has(415), operation.takes == Takes::Json, "{verb} {}", row.path);
            let is_paged = operation.query.contains(&page::PARAMETER);
            assert_eq!(has(404), row.path.contains('{') || is_paged, "{verb} {}", row.path);
            assert!(operation.refuses.iter().all(|status| has(*status)), "{verb} {}", row.path);
            let names = described["parameters"].as_array().map_or(0, Vec::len);
            assert_eq!(names, row.path.matches('{').count() + operation.query.len(), "{verb} {}", row.path);
            assert!(ids.insert(described["operationId"].as_str().unwrap().to_owned()), "{ids:?}");
        }
    }
    assert_eq!(ids.len(), super::super::route::list(ROUTES).len() + 1);
}

#[test]
fn schemas_and_their_parts_are_components() {
    let rows: Vec<_> = ROUTES.iter().collect();
    let document: Value = serde_json::from_str(&document(&rows).to_json().unwrap()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in ["Thing", "Part", "Refusal"] {
        assert!(schemas.contains_key(name), "{name} of {:?}", schemas.keys());
    }
    let post = &document["paths"]["/api/v1/domains/"]["post"];
    let body = &post["requestBody"]["content"]["application/json"]["schema"]["oneOf"];
    assert_eq!(body[0]["$ref"], "#/components/schemas/Thing");
    assert_eq!(body[1]["items"]["$ref"], "#/components/schemas/Thing");
    let reply = &post["responses"]["201"]["content"]["application/json"]["schema"];
    assert_eq!(reply["items"]["$ref"], "#/components/schemas/Thing");
    // Every reference leads somewhere.
    let text = document.to_string();
    for part in text.split("#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
}
