//! A list of RRset objects: one transaction, one answer with an entry for each position.
//!
//! Order of errors at a position: JSON types, same RRset twice, CNAME beside others, fields, RRset exists, records. All
//! positions are looked at. The structure of names is checked when everything else is fine, and its errors are a list without positions. The
//! list may delete what would be in the way. Bound by [`ITEM_COUNT_MAX`], and messages name few positions, so that time and
//! answer grow with the request only.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use snapshot::dns::rtype::Rtype;

use super::fields::{self, Errors, Place, require};
use super::item::{Item, structured};
use super::kinds::accepted;
use super::structure::{Origin, POSITION_COUNT_MAX, Present, cname_conflict};
use super::{Draft, Method, NON_FIELD_ERRORS, Rules, object_error};
use crate::value::type_name;

/// How many objects a list may have: more than the smallest ones that fit into a body of 1 MiB.
pub const ITEM_COUNT_MAX: usize = 20_000;

/// Subname and type, trimmed but not checked, if they were sent.
type Key = (Option<String>, Option<String>);

/// A list whose objects were read.
#[must_use]
#[derive(Debug)]
pub struct Bulk {
    /// The method.
    method: Method,
    /// One entry for each position.
    entries: Vec<Entry>,
}

/// One object of a list.
#[derive(Debug)]
struct Entry {
    /// Which RRset it is about; `None` if it cannot be told, and `result` says why.
    key: Option<Key>,
    /// Whether it deletes.
    deletes: bool,
    /// Fields that must be there if the RRset is new.
    absent: Vec<&'static str>,
    /// The item, or what is wrong with its fields.
    result: Result<Item, Errors>,
}

/// Reads a list of objects.
///
/// # Errors
/// The body of the answer, if `body` is no list or too long.
pub fn read(body: &Value, method: Method, rules: &Rules<'_>) -> Result<Bulk, Value> {
    let list = match body {
        Value::Array(list) => list,
        Value::Null => return Err(object_error("No data provided")),
        other => {
            let type_name = type_name(other);
            return Err(object_error(format!("Expected a list of items but got {type_name}.")));
        }
    };
    if list.len() > ITEM_COUNT_MAX {
        return Err(object_error(format!("Ensure this list has no more than {ITEM_COUNT_MAX} items.")));
    }
    let entries = list.iter().map(|value| Entry::read(value, method, rules)).collect();
    Ok(Bulk { method, entries })
}

impl Entry {
    /// Reads one object.
    fn read(value: &Value, method: Method, rules: &Rules<'_>) -> Entry {
        let Value::Object(object) = value else {
            let message = format!("Expected a dictionary, but got {}.", type_name(value));
            return Entry::without_key([(NON_FIELD_ERRORS.to_owned(), json!(message))].into_iter().collect());
        };
        let mut errors = Errors::new();
        let mut key_part = |field: &str| match object.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.trim().to_owned()),
            Some(other) => {
                let message = format!("Expected a string, but got {}.", type_name(other));
                errors.insert(field.to_owned(), json!(message));
                None
            }
        };
        let key = (key_part("subname"), key_part("type"));
        if !errors.is_empty() {
            return Entry::without_key(errors);
        }
        let mut fields = fields::read(object, method, Place::List, rules);
        let deletes = matches!(object.get("records"), Some(Value::Array(records)) if records.is_empty());
        let absent = std::mem::take(&mut fields.absent);
        Entry { key: Some(key), deletes, absent, result: Item::of(fields, rules) }
    }

    /// An entry that is about no RRset.
    fn without_key(errors: Errors) -> Entry {
        Entry { key: None, deletes: false, absent: Vec::new(), result: Err(errors) }
    }
}

impl Bulk {
    /// The RRsets that are to be written, as far as their fields are sound; for the policies of tokens.
    pub fn keys(&self) -> impl Iterator<Item = (&str, Rtype)> {
        self.entries
            .iter()
            .filter_map(|entry| entry.result.as_ref().ok())
            .map(|item| (item.subname.as_str(), item.rtype))
    }

    /// Settles the list; `stored` tells the types at a subname of the domain and is asked once for each.
    ///
    /// # Errors
    /// The body of the answer.
    pub fn settle(self, stored: impl FnMut(&str) -> Vec<Rtype>) -> Result<Vec<Draft>, Value> {
        let Bulk { method, entries } = self;
        let domain = Domain::with(&entries, stored);
        let results: Vec<Result<Draft, Errors>> =
            entries.into_iter().enumerate().map(|(idx, entry)| domain.settle(idx, entry, method)).collect();
        if results.iter().any(Result::is_err) {
            return Err(results.into_iter().map(|result| Value::Object(result.err().unwrap_or_default())).collect());
        }
        results.into_iter().flatten().map(structured).collect()
    }
}

/// The names that a list is about.
struct Domain {
    /// The types at each subname before the list.
    stored: BTreeMap<String, Vec<Rtype>>,
    /// The types at each subname after the list.
    present: BTreeMap<String, Present>,
    /// The positions of each RRset.
    positions: HashMap<Key, Vec<usize>>,
}

/// The errors of an object with one message that belongs to no field.
fn whole(message: impl Into<String>) -> Errors {
    [(NON_FIELD_ERRORS.to_owned(), json!([message.into()]))].into_iter().collect()
}

impl Domain {
    /// Looks up and counts what `entries` are about.
    fn with(entries: &[Entry], mut lookup: impl FnMut(&str) -> Vec<Rtype>) -> Domain {
        let mut stored: BTreeMap<String, Vec<Rtype>> = BTreeMap::new();
        let mut present: BTreeMap<String, Present> = BTreeMap::new();
        let mut positions: HashMap<Key, Vec<usize>> = HashMap::new();
        let keyed = || entries.iter().enumerate().filter_map(|(idx, entry)| Some((idx, entry, entry.key.as_ref()?)));
        for (idx, entry, key) in keyed() {
            positions.entry(key.clone()).or_default().push(idx);
            let (Some(subname), Some(rtype)) = key else { continue };
            let present = present.entry(subname.clone()).or_insert_with(|| {
                let types = stored.entry(subname.clone()).or_insert_with(|| lookup(subname));
                types.iter().map(|rtype| (rtype.to_string(), [Origin::Database].into())).collect()
            });
            if !entry.deletes {
                present.entry(rtype.clone()).or_default().insert(Origin::Item(idx));
            }
        }
        for (_, _, key) in keyed().filter(|(_, entry, _)| entry.deletes) {
            if let (Some(subname), Some(rtype)) = key
                && let Some(origins) = present.get_mut(subname).and_then(|present| present.get_mut(rtype))
            {
                origins.remove(&Origin::Database);
            }
        }
        Domain { stored, present, positions }
    }

    /// The draft of one entry.
    fn settle(&self, idx: usize, entry: Entry, method: Method) -> Result<Draft, Errors> {
        let Entry { key, deletes, absent, result } = entry;
        let Some(key) = key else { return Err(result.err().unwrap_or_default()) };
        self.check_unique(idx, &key)?;
        let (stored, present) = match &key.0 {
            Some(subname) => (self.stored.get(subname), self.present.get(subname)),
            None => (None, None),
        };
        let stored = stored.map(Vec::as_slice).unwrap_or_default();
        if !deletes
            && let (Some(rtype), Some(present)) = (&key.1, present)
            && let Some(message) = cname_conflict(rtype, present)
        {
            return Err(whole(message));
        }
        let is_known = key.1.as_deref().is_some_and(|rtype| accepted(rtype).is_ok_and(|rtype| stored.contains(&rtype)));
        let mut errors = result.as_ref().err().cloned().unwrap_or_default();
        if !is_known && !deletes {
            absent.iter().for_each(|field| require(&mut errors, field));
        }
        let item = match result {
            Ok(item) if errors.is_empty() => item,
            _ => return Err(errors),
        };
        if method == Method::Post {
            item.check_new(stored).map_err(whole)?;
        }
        if !deletes && !is_known {
            let type_count =
                present.map_or(0, |present| present.values().filter(|origins| !origins.is_empty()).count());
            item.check_type_count(type_count).map_err(whole)?;
        }
        item.into_draft().map_err(|error| whole(error.to_string()))
    }

    /// Refuses an RRset that the list has twice.
    fn check_unique(&self, idx: usize, key: &Key) -> Result<(), Errors> {
        let positions = self.positions.get(key).map(Vec::as_slice).unwrap_or_default();
        if positions.len() < 2 {
            return Ok(());
        }
        let others = positions.iter().filter(|&&other| other != idx).take(POSITION_COUNT_MAX);
        let others = others.map(ToString::to_string).collect::<Vec<String>>().join(", ");
        Err(whole(format!("Same subname and type as in position(s) {others}, but must be unique.")))
    }
}

#[cfg(test)]
mod tests;
