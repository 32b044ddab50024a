//! One RRset object: the body of a POST, or of a PATCH or PUT on an RRset.
//!
//! Errors come in the order clients know: fields first, then other RRsets at the name, then the records, then the
//! structure. The second needs the domain, so a [`Creation`] holds what comes after it until it is settled.

use serde_json::{Map, Value, json};
use snapshot::dns::rtype::Rtype;

use super::content::{ContentError, contents};
use super::fields::{self, Fields, Place};
use super::structure::{Origin, Present, cname_conflict, structure};
use super::{Content, Draft, Limits, Method, Rules, full_name, object_error};
use crate::value::type_name;

/// What is said about an RRset that is created twice.
const EXISTS: &str = "Another RRset with the same subdomain and type exists for this domain. (Try modifying it.)";

/// An RRset whose fields are sound, its records perhaps not.
#[derive(Debug)]
pub(super) struct Item {
    /// The owner below the domain.
    pub(super) subname: String,
    /// The type.
    pub(super) rtype: Rtype,
    /// The TTL in seconds.
    ttl: Option<u32>,
    /// The records.
    contents: Result<Option<Vec<Content>>, ContentError>,
    /// How much the name may hold.
    limits: Limits,
}

/// An RRset to create.
#[must_use]
#[derive(Debug)]
pub struct Creation(Item);

/// An RRset to change or, without records, to delete.
#[must_use]
#[derive(Debug)]
pub struct Revision(Item);

/// Reads the body of a POST that is no list.
///
/// # Errors
/// The body of the answer.
pub fn create(body: &Value, rules: &Rules<'_>) -> Result<Creation, Value> {
    let fields = fields::read(object(body)?, Method::Post, Place::Body, rules);
    Item::of(fields, rules).map(Creation).map_err(Value::Object)
}

/// Reads the body of a PATCH or PUT on the RRset of type `rtype` at `subname`, which exists.
///
/// # Errors
/// The body of the answer.
pub fn change(
    body: &Value,
    method: Method,
    (subname, rtype): (&str, Rtype),
    rules: &Rules<'_>,
) -> Result<Revision, Value> {
    let fields = fields::read(object(body)?, method, Place::Detail { subname, rtype }, rules);
    Item::of(fields, rules).map(Revision).map_err(Value::Object)
}

impl Creation {
    /// The owner below the domain, for look-ups and the policies of tokens.
    #[must_use]
    pub fn subname(&self) -> &str {
        &self.0.subname
    }

    /// The type.
    #[must_use]
    pub fn rtype(&self) -> Rtype {
        self.0.rtype
    }

    /// Settles it; `stored` are the types at its name.
    ///
    /// # Errors
    /// The body of the answer.
    pub fn settle(self, stored: &[Rtype]) -> Result<Draft, Value> {
        let Creation(item) = self;
        item.check_new(stored).map_err(object_error)?;
        item.check_type_count(stored.len() + 1).map_err(object_error)?;
        let present: Present = stored.iter().map(|rtype| (rtype.to_string(), [Origin::Database].into())).collect();
        if let Some(message) = cname_conflict(&item.rtype.to_string(), &present) {
            return Err(object_error(message));
        }
        item.settle()
    }
}

impl Revision {
    /// Settles it; the other RRsets at its name do not matter, as none is new.
    ///
    /// # Errors
    /// The body of the answer.
    pub fn settle(self) -> Result<Draft, Value> {
        self.0.settle()
    }
}

/// Takes the body as an object.
fn object(body: &Value) -> Result<&Map<String, Value>, Value> {
    match body {
        Value::Object(object) => Ok(object),
        Value::Null => Err(object_error("No data provided")),
        other => {
            let type_name = type_name(other);
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

    /// Refuses an RRset that is there already.
    pub(super) fn check_new(&self, stored: &[Rtype]) -> Result<(), String> {
        if stored.contains(&self.rtype) {
            return Err(EXISTS.to_owned());
        }
        Ok(())
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

    /// Makes the draft if records and structure are sound.
    fn settle(self) -> Result<Draft, Value> {
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
