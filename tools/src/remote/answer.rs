//! What the control plane answered, and what its refusals mean to people.
//!
//! Invariant: a refusal keeps the server's own words; only shapes of JSON become lines.

use hyper::body::Bytes;
use hyper::header::{ETAG, HeaderName, LINK};
use hyper::http::response::Parts;
use serde_json::Value;

use crate::failure::Failure;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The entity tag of what was asked for.
    pub(crate) etag: Option<String>,
    /// Whether a change is stored but not served yet.
    pub(crate) is_unserved: bool,
    /// Why, where its zone cannot be published as it is.
    pub(crate) refused: Option<String>,
    /// What is to be said of what was done.
    pub(crate) note: Option<String>,
    /// The `Link` header.
    link: Option<String>,
    /// The body.
    body: Bytes,
}

impl Answer {
    /// From the parts of a message.
    pub(super) fn of(head: &Parts, body: Bytes) -> Answer {
        let field = |name: HeaderName| {
            let value = head.headers.get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let served = field(HeaderName::from_static("petrel-served"));
        let is_unserved = served.is_some_and(|word| word == "no");
        let refused = field(HeaderName::from_static("petrel-refused"));
        let note = field(HeaderName::from_static("petrel-note"));
        Answer { status: head.status.as_u16(), etag: field(ETAG), is_unserved, refused, note, link: field(LINK), body }
    }

    /// This answer, if it is a success.
    ///
    /// # Errors
    /// The [`Answer::refusal`].
    pub(crate) fn success(self) -> Result<Answer, Failure> {
        if (200..300).contains(&self.status) { Ok(self) } else { Err(self.refusal()) }
    }

    /// What it is a failure of: 4xx of what was asked, all else of the server; too many requests are neither's fault.
    pub(crate) fn refusal(&self) -> Failure {
        let text = match serde_json::from_slice::<Value>(&self.body) {
            Ok(body) => words(&body),
            Err(_) => format!("the server answered {}", self.status),
        };
        match self.status {
            429 => Failure::Unable(text),
            400..=499 => Failure::Input(text),
            500..=599 => Failure::Unable(text),
            status => Failure::Unable(format!("the server answered {status}, which is unexpected")),
        }
    }

    /// Its JSON; null if it has no body.
    ///
    /// # Errors
    /// [`Failure::Unable`] if the body is something else.
    pub(crate) fn json(&self) -> Result<Value, Failure> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        let unable = |_| Failure::Unable("the server sent something else than JSON: is it a control plane?".into());
        serde_json::from_slice(&self.body).map_err(unable)
    }

    /// Its bytes.
    pub(crate) fn into_body(self) -> Bytes {
        self.body
    }

    /// Path and query of the next page of a list.
    pub(crate) fn next_page(&self) -> Option<String> {
        let next = self.link.as_deref()?.split(',').find(|link| link.contains("rel=\"next\""))?;
        let url = next.split_once('<')?.1.split_once('>')?.0;
        // Where the server thinks it is may differ from how we reach it.
        let path = url.split_once("://").map_or(Some(url), |(_, rest)| rest.find('/').map(|at| &rest[at..]))?;
        // A proxy may have put its prefix in front; the request adds ours again.
        path.find("/api/").map(|at| path[at..].to_owned())
    }
}

/// The words of an error body: `detail`, or a line for each field.
fn words(body: &Value) -> String {
    let Value::Object(fields) = body else { return lines("", body).join("\n") };
    match fields.get("detail") {
        Some(Value::String(detail)) => match fields.get("gate") {
            Some(Value::String(gate)) => format!("{detail} (gate `{gate}`: --force {gate} --reason TEXT passes it)"),
            _ => detail.clone(),
        },
        _ => lines("", body).join("\n"),
    }
}

/// A line for each text in an error body, with where it stands.
fn lines(place: &str, value: &Value) -> Vec<String> {
    let labelled = |text: &str| if place.is_empty() { text.to_owned() } else { format!("{place}: {text}") };
    match value {
        Value::String(text) => vec![labelled(text)],
        Value::Array(items) => {
            // One error is told without a position, and so is that of the only RRset of a list that nobody wrote as a list.
            let needs_no_position = items.len() == 1 || items.iter().all(Value::is_string);
            let of_item = |(idx, item)| {
                let place = if needs_no_position { place.to_owned() } else { format!("{place}[{idx}]") };
                lines(&place, item)
            };
            items.iter().enumerate().flat_map(of_item).collect()
        }
        Value::Object(fields) => {
            let of_field = |(key, value): (&String, &Value)| match key.as_str() {
                "non_field_errors" => lines(place, value),
                _ if place.is_empty() => lines(key, value),
                _ => lines(&format!("{place}.{key}"), value),
            };
            fields.iter().flat_map(of_field).collect()
        }
        Value::Null => Vec::new(),
        other => vec![labelled(&other.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// An answer.
    fn answer(status: u16, link: Option<&str>, body: &str) -> Answer {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Answer {
            status,
            etag: None,
            is_unserved: false,
            refused: None,
            note: None,
            link: link.map(str::to_owned),
            body,
        }
    }

    #[test]
    fn refusals_become_lines() {
        for (body, expected) in [
            (json!({"detail": "Not found."}), "Not found."),
            (
                json!({"detail": "Too much goes.", "gate": "shrink"}),
                "Too much goes. (gate `shrink`: --force shrink --reason TEXT passes it)",
            ),
            (json!({"name": ["Too long.", "No."], "ttl": ["Bad."]}), "name: Too long.\nname: No.\nttl: Bad."),
            (json!({"non_field_errors": ["Another RRset."]}), "Another RRset."),
            (json!([{}, {"records": ["Bad."]}]), "[1].records: Bad."),
            (json!([{"records": ["Bad."]}]), "records: Bad."),
            (json!({"records": [{"content": ["Bad."]}]}), "records.content: Bad."),
            (json!(["One.", "Two."]), "One.\nTwo."),
        ] {
            assert_eq!(words(&body), expected);
        }
    }

    #[test]
    fn statuses_tell_whose_fault_it_is() {
        for (status, body, code, text) in [
            (400, r#"{"detail":"x"}"#, 1, "x"),
            (404, "<html>", 1, "the server answered 404"),
            (429, r#"{"detail":"later"}"#, 3, "later"),
            (503, r#"{"detail":"y"}"#, 3, "y"),
            (301, "", 3, "the server answered 301, which is unexpected"),
        ] {
            let failure = answer(status, None, body).success().unwrap_err();
            assert_eq!((failure.exit_code(), failure.to_string().as_str()), (code, text));
        }
        assert_eq!(answer(204, None, "").success().unwrap().json().unwrap(), Value::Null);
        assert_eq!(answer(200, None, "<html>").json().unwrap_err().exit_code(), 3);
    }

    #[test]
    fn a_change_that_cannot_be_published_has_its_reason_with_it() {
        let response = hyper::Response::builder().header("Petrel-Served", "no").header("Petrel-Refused", "no key");
        let (head, ()) = response.body(()).unwrap().into_parts();
        let answer = Answer::of(&head, Bytes::new());
        assert_eq!((answer.is_unserved, answer.refused.as_deref()), (true, Some("no key")));
    }

    #[test]
    fn the_next_page_is_taken_from_the_link() {
        let link = "<http://h/p/api/v1/x/?cursor=>; rel=\"first\", <http://h/p/api/v1/x/?cursor=b>; rel=\"next\"";
        assert_eq!(answer(200, Some(link), "").next_page().as_deref(), Some("/api/v1/x/?cursor=b"));
        assert_eq!(answer(200, Some("<http://h/>; rel=\"first\""), "").next_page(), None);
        assert_eq!(answer(200, None, "").next_page(), None);
    }
}
