//! One RRset object: the body of a POST, or of a PATCH or PUT on an RRset.
//!
//! Errors come in the order clients know: fields first, then other RRsets at the name, then the records, then the
//! structure. The second needs the domain, so an [`Item`] holds what comes after it until [`Item::settle`].

use serde_json::{Map, Value, json};
use snapshot::dns::rtype::Rtype;

use super::content::{ContentError, contents};
use super::fields::{self, Fields, Place};
use super::structure::{Origin, Present, cname_conflict, structure};
use super::{Content, Draft, Limits, Method, Rules, full_name, object_error};

/// What is said about an RRset that is created twice.
const EXISTS: &str = "Another RRset with the same subdomain and type exists for this domain. (Try modifying it.)";

/// An RRset whose fields are sound, its records perhaps not.
#[must_use]
#[derive(Debug)]
pub struct Item {
    /// The owner below the domain.
    subname: String,
    /// The type.
    rtype: Rtype,
    /// The TTL in seconds.
    ttl: Option<u32>,
    /// The records.
    contents: Result<Option<Vec<Content>>, ContentError>,
    /// How much the name may hold.
    limits: Limits,
}

/// Reads the body of a POST that is no list.
///
/// # Errors
/// The body of the answer.
pub fn create(body: &Value, rules: &Rules<'_>) -> Result<Item, Value> {
    let fields = fields::read(object(body)?, Method::Post, Place::Body, rules);
    Item::of(fields, rules).map_err(Value::Object)
}

/// Reads the body of a PATCH or PUT on the RRset of type `rtype` at `subname`, which exists.
///
/// # Errors
/// The body of the answer.
pub fn change(body: &Value, method: Method, (subname, rtype): (&str, Rtype), rules: &Rules<'_>) -> Result<Item, Value> {
    let fields = fields::read(object(body)?, method, Place::Detail { subname, rtype }, rules);
    Item::of(fields, rules).map_err(Value::Object)
}

/// Takes the body as an object.
fn object(body: &Value) -> Result<&Map<String, Value>, Value> {
    match body {
        Value::Object(object) => Ok(object),
        Value::Null => Err(object_error("No data provided")),
        other => {
            let type_name = fields::type_name(other);
            Err(object_error(format!("Invalid data. Expected a dictionary, but got {type_name}.")))
        }
    }
}

impl Item {
    /// Reads the records of sound fields.
    pub(super) fn of(fields: Fields, rules: &Rules<'_>) -> Result<Item, fields::Errors> {
        let Fields { subname: Some(subname), rtype: Some(rtype), ttl, records, errors, .. } = fields else {
            return Err(fields.errors);
        };
        if !errors.is_empty() {
            return Err(errors);
        }
        let name = full_name(&subname, rules.domain);
        let contents = records.map(|texts| contents(rtype, &texts, &name, rules.limits)).transpose();
        Ok(Item { subname, rtype, ttl, contents, limits: rules.limits })
    }

    /// The owner below the domain.
    #[must_use]
    pub fn subname(&self) -> &str {
        &self.subname
    }

    /// The type.
    #[must_use]
    pub fn rtype(&self) -> Rtype {
        self.rtype
    }

    /// Settles an item of [`create`]; `stored` are the types at its name.
    ///
    /// # Errors
    /// The body of the answer.
    pub fn settle_new(self, stored: &[Rtype]) -> Result<Draft, Value> {
        self.check_new(stored).map_err(object_error)?;
        let mut present: Present = stored.iter().map(|rtype| (rtype.to_string(), [Origin::Database].into())).collect();
        present.entry(self.rtype.to_string()).or_default();
        if let Some(message) = cname_conflict(&self.rtype.to_string(), &present) {
            return Err(object_error(message));
        }
        self.settle()
    }

    /// Whether this type may be added to the types at its name, but for the rules of CNAME.
    pub(super) fn check_new(&self, stored: &[Rtype]) -> Result<(), String> {
        if stored.contains(&self.rtype) {
            return Err(EXISTS.to_owned());
        }
        self.check_type_count(stored.len() + 1)
    }

    /// Whether a name may have this many types.
    pub(super) fn check_type_count(&self, type_count: usize) -> Result<(), String> {
        let type_count_max = self.limits.type_count_max;
        if type_count <= type_count_max {
            Ok(())
        } else {
            Err(format!("Ensure this subname has no more than {type_count_max} RRsets."))
        }
    }

    /// Settles an item of [`change`], beside which nothing is new.
    ///
    /// # Errors
    /// The body of the answer.
    pub fn settle(self) -> Result<Draft, Value> {
        self.into_draft().map_err(|error| object_error(error.to_string())).and_then(structured)
    }

    /// Makes the draft if the records are sound.
    pub(super) fn into_draft(self) -> Result<Draft, ContentError> {
        let Item { subname, rtype, ttl, contents, .. } = self;
        Ok(Draft { subname, rtype, ttl, records: contents? })
    }
}

/// Checks the structure of a draft, whose errors are a list without a field.
pub(super) fn structured(draft: Draft) -> Result<Draft, Value> {
    let record_count = draft.records.as_ref().map_or(0, Vec::len);
    if record_count > 0
        && let Err(errors) = structure(&draft.subname, draft.rtype, record_count)
    {
        return Err(json!(errors.iter().map(ToString::to_string).collect::<Vec<String>>()));
    }
    Ok(draft)
}

#[cfg(test)]
mod tests;
