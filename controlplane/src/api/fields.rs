//! Fields of a JSON object, read one by one so that all that is wrong can be told at once.
//!
//! The messages and the forms that are taken are those that clients of the API know. Nothing here knows what a field is
//! for. Invariant: a value that is returned is sound; what is wrong is in the refusal of [`Fields::done`].

use serde_json::{Map, Value, json};

use crate::http::reply::Refusal;
use crate::value::Period;

/// What a field misses that must be there.
pub(super) const REQUIRED: &str = "This field is required.";
/// What is said of null where it means nothing.
const NOT_NULL: &str = "This field may not be null.";

/// The fields of a body.
pub(super) struct Fields<'b> {
    /// The body.
    body: &'b Map<String, Value>,
    /// What is wrong, by field.
    errors: Map<String, Value>,
}

impl<'b> Fields<'b> {
    /// Begins to read a body.
    pub(super) fn of(body: &'b Map<String, Value>) -> Fields<'b> {
        Fields { body, errors: Map::new() }
    }

    /// Refuses fields that are not known here.
    pub(super) fn only(mut self, known: &[&str]) -> Fields<'b> {
        for name in self.body.keys().filter(|name| !known.contains(&name.as_str())) {
            self.errors.insert(name.clone(), json!(["There is no such field."]));
        }
        self
    }

    /// A field as it is.
    pub(super) fn value(&self, name: &str) -> Option<&'b Value> {
        self.body.get(name)
    }

    /// Notes what is wrong with a field: one message.
    pub(super) fn refuse(&mut self, name: &str, message: impl Into<String>) {
        self.refuse_with(name, json!([message.into()]));
    }

    /// Notes what is wrong with a field, in whatever shape.
    pub(super) fn refuse_with(&mut self, name: &str, error: Value) {
        self.errors.insert(name.to_owned(), error);
    }

    /// A truth value, in the many ways that clients write it.
    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        let value = self.body.get(name)?;
        let word = match value {
            Value::Null => {
                self.refuse(name, NOT_NULL);
                return None;
            }
            Value::Bool(value) => return Some(*value),
            Value::String(text) => text.to_ascii_lowercase(),
            Value::Number(number) if number.as_f64() == Some(0.0) => "0".to_owned(),
            Value::Number(number) if number.as_f64() == Some(1.0) => "1".to_owned(),
            _ => String::new(),
        };
        match word.as_str() {
            "t" | "y" | "yes" | "true" | "on" | "1" => Some(true),
            "f" | "n" | "no" | "false" | "off" | "0" => Some(false),
            _ => {
                self.refuse(name, "Must be a valid boolean.");
                None
            }
        }
    }

    /// Text, trimmed, of at most `char_count_max` characters; a number counts as its digits.
    pub(super) fn text(&mut self, name: &str, char_count_max: usize) -> Option<String> {
        let text = match self.body.get(name)? {
            Value::Null => Err(NOT_NULL.to_owned()),
            Value::String(text) => Ok(text.trim().to_owned()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err("Not a valid string.".to_owned()),
        };
        let sound = text.and_then(|text| {
            if text.contains('\0') {
                Err("Null characters are not allowed.".to_owned())
            } else if text.chars().count() > char_count_max {
                Err(format!("Ensure this field has no more than {char_count_max} characters."))
            } else {
                Ok(text)
            }
        });
        sound.map_err(|message| self.refuse(name, message)).ok()
    }

    /// Text or null, as [`Fields::text`].
    pub(super) fn text_or_null(&mut self, name: &str, char_count_max: usize) -> Option<Option<String>> {
        match self.body.get(name)? {
            Value::Null => Some(None),
            _ => self.text(name, char_count_max).map(Some),
        }
    }

    /// A duration in microseconds, or null.
    pub(super) fn period(&mut self, name: &str) -> Option<Option<i64>> {
        let value = self.body.get(name)?;
        if value.is_null() {
            return Some(None);
        }
        let read = Period::from_json(value).map(|period| i64::try_from(period.as_micros()).ok());
        read.map_err(|error| self.refuse(name, error.to_string())).ok()
    }

    /// A count, or null.
    pub(super) fn count(&mut self, name: &str) -> Option<Option<u32>> {
        let value = self.body.get(name)?;
        if value.is_null() {
            return Some(None);
        }
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
        if count.is_none() {
            self.refuse(name, "A valid integer is required.");
        }
        count.map(Some)
    }

    /// Ends reading.
    ///
    /// # Errors
    /// 400 with everything that is wrong.
    pub(super) fn done(self) -> Result<(), Refusal> {
        if self.errors.is_empty() { Ok(()) } else { Err(Refusal::fields(self.errors)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What [`Fields::boolean`] makes of a value: itself, or the error.
    fn check_boolean(value: &Value, expected: &str) {
        let body = Map::from_iter([("x".to_owned(), value.clone())]);
        let mut fields = Fields::of(&body);
        let read = fields.boolean("x");
        let shown = read.map_or_else(|| fields.errors["x"][0].to_string(), |read| read.to_string());
        assert_eq!(shown.trim_matches('"'), expected, "{value}");
    }

    #[test]
    fn truth_is_written_in_many_ways() {
        for value in [json!(true), json!(1), json!(1.0), json!("1"), json!("Yes"), json!("t"), json!("ON")] {
            check_boolean(&value, "true");
        }
        for value in [json!(false), json!(0), json!("0"), json!("No"), json!("F"), json!("off")] {
            check_boolean(&value, "false");
        }
        for value in [json!("x"), json!(""), json!(2), json!(0.5), json!([]), json!({}), json!("null")] {
            check_boolean(&value, "Must be a valid boolean.");
        }
        check_boolean(&Value::Null, NOT_NULL);
    }

    #[test]
    fn text_is_trimmed_and_bounded() {
        for (value, expected) in [
            (json!(" a "), "a"),
            (json!(5), "5"),
            (json!("äöü"), "äöü"),
            (json!("abcd"), "Ensure this field has no more than 3 characters."),
            (json!("a\0"), "Null characters are not allowed."),
            (json!(null), NOT_NULL),
            (json!(true), "Not a valid string."),
            (json!(["a"]), "Not a valid string."),
        ] {
            let body = Map::from_iter([("x".to_owned(), value)]);
            let mut fields = Fields::of(&body);
            let read = fields.text("x", 3);
            let shown = read.unwrap_or_else(|| fields.errors["x"][0].as_str().unwrap_or("").to_owned());
            assert_eq!(shown, expected);
        }
    }
}
