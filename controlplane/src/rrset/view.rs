//! An RRset as the API shows it.
//!
//! Only the shape: who may see it and where it comes from is for callers. The order of the fields is that of version 1 of
//! the API.

use serde::Serialize;
use utoipa::ToSchema;

/// The JSON object of an RRset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct View {
    /// When it was created, as `YYYY-MM-DDTHH:MM:SS.ffffffZ`.
    pub created: String,
    /// The domain's name.
    pub domain: String,
    /// The owner below the domain, empty for the apex.
    pub subname: String,
    /// The full owner name with the final dot, [`super::full_name`].
    pub name: String,
    /// The records in canonical text, in no order that means anything. Disabled ones, which the operations API knows, are not
    /// among them and stay when the RRset is written; so do the weights and regions of records that stay.
    pub records: Vec<String>,
    /// The TTL in seconds.
    pub ttl: u32,
    /// The mnemonic of the type.
    #[serde(rename = "type")]
    pub rtype: String,
    /// When it was written last, changed or not.
    pub touched: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_order_of_the_api() {
        let view = View {
            created: "2026-11-22T10:00:00.000001Z".to_owned(),
            domain: "example.com".to_owned(),
            subname: String::new(),
            name: super::super::full_name("", "example.com"),
            records: vec!["10 mail.example.com.".to_owned()],
            ttl: 3600,
            rtype: "MX".to_owned(),
            touched: "2026-11-22T10:00:01.000000Z".to_owned(),
        };
        let expected = concat!(
            r#"{"created":"2026-11-22T10:00:00.000001Z","domain":"example.com","subname":"","name":"example.com.","#,
            r#""records":["10 mail.example.com."],"ttl":3600,"type":"MX","touched":"2026-11-22T10:00:01.000000Z"}"#
        );
        assert_eq!(serde_json::to_string(&view).unwrap(), expected);
        assert_eq!(super::super::full_name("*.sub", "example.com"), "*.sub.example.com.");
    }
}
