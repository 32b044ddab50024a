//! What is sent back: [`Reply`] when it was done, [`Refusal`] when not.
//!
//! The shapes are those that clients of the API tell apart; the dispatcher adds what all replies have in common. Invariant: a
//! refusal holds texts that were written for clients, never the words of an error from below.

use std::borrow::Cow;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LINK, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::route::Style;

/// The media type of all JSON.
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The media type of texts.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// The media type of pages.
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
/// The number of the change that a write made.
const PETREL_CHANGE: HeaderName = HeaderName::from_static("petrel-change");
/// `no` while a change is not served yet.
const PETREL_SERVED: HeaderName = HeaderName::from_static("petrel-served");
/// Why a change is not served, where its zone cannot be published as it is.
const PETREL_REFUSED: HeaderName = HeaderName::from_static("petrel-refused");
/// What is to be said of something that was done.
const PETREL_NOTE: HeaderName = HeaderName::from_static("petrel-note");
/// The most octets of either.
const TEXT_LEN_MAX: usize = 1000;

/// A request that was done.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its own header fields.
    pub headers: HeaderMap,
    /// What follows them.
    pub body: Body,
}

impl Reply {
    /// Compact JSON.
    #[must_use]
    pub fn json<T: Serialize + ?Sized>(status: u16, value: &T) -> Reply {
        match serde_json::to_vec(value) {
            Ok(text) => Reply::whole(status_of(status), JSON, text.into()),
            // Only a map with keys that are no strings gets here, and no type of ours has one.
            Err(_) => Reply::whole(StatusCode::INTERNAL_SERVER_ERROR, JSON, Bytes::new()),
        }
    }

    /// No body, as of 204.
    #[must_use]
    pub fn empty(status: u16) -> Reply {
        Reply { status: status_of(status), headers: HeaderMap::new(), body: Body::empty() }
    }

    /// Plain text.
    #[must_use]
    pub fn text(status: u16, text: impl Into<String>) -> Reply {
        Reply::whole(status_of(status), TEXT, text.into().into())
    }

    /// A body of any media type, whole or streamed.
    #[must_use]
    pub fn media(status: u16, media: &'static str, body: impl Into<Body>) -> Reply {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
        Reply { status: status_of(status), headers, body: body.into() }
    }

    /// A body that is here already.
    fn whole(status: StatusCode, media: HeaderValue, body: Bytes) -> Reply {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, media);
        Reply { status, headers, body: body.into() }
    }

    /// Adds a header field; a value that no header can hold is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Reply {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The entity tag, without its quotes. A GET whose `If-None-Match` has it becomes 304 by itself.
    #[must_use]
    pub fn etag(self, tag: &str) -> Reply {
        self.header(ETAG, &format!("\"{tag}\""))
    }

    /// `Petrel-Change`: the change that this write made.
    #[must_use]
    pub fn change(self, id: impl std::fmt::Display) -> Reply {
        self.header(PETREL_CHANGE, &id.to_string())
    }

    /// `Petrel-Served: no`: the change is durable, but not every data plane serves it yet.
    #[must_use]
    pub fn not_served_yet(self) -> Reply {
        self.header(PETREL_SERVED, "no")
    }

    /// `Petrel-Refused`: why the zone cannot be published as it is, with `?` for what no header can hold.
    #[must_use]
    pub fn refused(self, cause: &str) -> Reply {
        self.header(PETREL_REFUSED, &plain(cause))
    }

    /// `Petrel-Note`, if there is something to be said, with `?` for what no header can hold.
    #[must_use]
    pub fn note(self, note: Option<&str>) -> Reply {
        match note {
            Some(note) => self.header(PETREL_NOTE, &plain(note)),
            None => self,
        }
    }

    /// `Link`, if there is one.
    #[must_use]
    pub fn link(self, link: Option<&str>) -> Reply {
        match link {
            Some(link) => self.header(LINK, link),
            None => self,
        }
    }

    /// As hyper sends it.
    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// A text as a header can hold it.
fn plain(text: &str) -> String {
    let plain = |char: char| if char.is_ascii_graphic() || char == ' ' { char } else { '?' };
    text.chars().take(TEXT_LEN_MAX).map(plain).collect()
}

/// A request that was not done.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// 400 to 599.
    pub status: StatusCode,
    /// What the body says.
    shape: Shape,
    /// Header fields beside the usual ones.
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What the body of a refusal says.
#[derive(Debug, Clone)]
enum Shape {
    /// `{"detail": …}`, or that text alone where refusals are plain text.
    Detail(Cow<'static, str>),
    /// This, whatever the style.
    Json(Value),
    /// This text, whatever the style.
    Text(Cow<'static, str>),
    /// A page for people who took a wrong turn.
    Page(&'static str),
}

impl Refusal {
    /// A refusal of this shape.
    fn new(status: u16, shape: Shape) -> Refusal {
        Refusal { status: status_of(status), shape, headers: Vec::new() }
    }

    /// `{"detail": "…"}`.
    #[must_use]
    pub fn detail(status: u16, text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal::new(status, Shape::Detail(text.into()))
    }

    /// 404 with a detail.
    #[must_use]
    pub fn not_found(text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal::detail(404, text)
    }

    /// 403 that does not say more.
    #[must_use]
    pub fn forbidden() -> Refusal {
        Refusal::detail(403, "You do not have permission to perform this action.")
    }

    /// 409 in plain words.
    #[must_use]
    pub fn conflict(text: &str) -> Refusal {
        Refusal::detail(409, format!("Conflict: {text}"))
    }

    /// 412: what `If-Match` names is not what is there.
    #[must_use]
    pub fn precondition_failed() -> Refusal {
        Refusal::detail(412, "Precondition failed.")
    }

    /// 500. The reason belongs into the log, not here.
    #[must_use]
    pub fn internal() -> Refusal {
        Refusal::detail(500, "Internal error.")
    }

    /// 400 `{"field": ["…"]}`.
    #[must_use]
    pub fn field(name: &str, text: impl Into<String>) -> Refusal {
        Refusal::json(400, json!({ name: [text.into()] }))
    }

    /// 400 with messages by field, of whatever shape they have.
    #[must_use]
    pub fn fields(fields: Map<String, Value>) -> Refusal {
        Refusal::json(400, Value::Object(fields))
    }

    /// 400 `{"non_field_errors": ["…"]}`.
    #[must_use]
    pub fn non_field(text: impl Into<String>) -> Refusal {
        Refusal::field("non_field_errors", text)
    }

    /// `["…"]`, as is said at save time.
    #[must_use]
    pub fn list(status: u16, text: impl Into<String>) -> Refusal {
        Refusal::json(status, json!([text.into()]))
    }

    /// Any JSON.
    #[must_use]
    pub fn json(status: u16, body: Value) -> Refusal {
        Refusal::new(status, Shape::Json(body))
    }

    /// Plain text, as dynamic updates get it.
    #[must_use]
    pub fn text(status: u16, text: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal::new(status, Shape::Text(text.into()))
    }

    /// 429: room again in `secs` seconds.
    #[must_use]
    pub fn throttled(secs: u64) -> Refusal {
        let unit = if secs == 1 { "second" } else { "seconds" };
        let text = format!("Request was throttled. Expected available in {secs} {unit}.");
        Refusal::detail(429, text).header(RETRY_AFTER, &secs.to_string())
    }

    /// 404 as a page: no such path.
    #[must_use]
    pub fn no_such_path() -> Refusal {
        let page = "<!doctype html>\n<html lang=\"en\">\n<head>\n  <title>Not Found</title>\n</head>\n<body>\n  \
                    <h1>Not Found</h1>\n  <p>There is nothing at this address.</p>\n</body>\n</html>\n";
        Refusal::new(404, Shape::Page(page))
    }

    /// Adds a header field; a value that no header can hold is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Refusal {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// As hyper sends it, in the customs of the route.
    pub(super) fn into_response(self, style: Style) -> Response<Body> {
        let plain = matches!(style, Style::DynDns | Style::Plain);
        let (media, body) = match self.shape {
            Shape::Detail(text) if plain => (TEXT, text.into_owned().into_bytes()),
            Shape::Detail(text) => (JSON, json!({ "detail": text }).to_string().into_bytes()),
            Shape::Json(value) => (JSON, value.to_string().into_bytes()),
            Shape::Text(text) => (TEXT, text.into_owned().into_bytes()),
            Shape::Page(page) => (HTML, page.as_bytes().to_vec()),
        };
        let mut response = Reply::whole(self.status, media, body.into()).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}

/// The status of this number; what is none would be a bug of ours, so it is told as one.
fn status_of(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    /// What a refusal looks like: `STATUS MEDIA BODY`.
    fn shown(refusal: Refusal, style: Style) -> String {
        let (head, body) = refusal.into_response(style).into_parts();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = runtime.block_on(body.collect()).unwrap().to_bytes();
        let media = head.headers[CONTENT_TYPE].to_str().unwrap();
        format!("{} {media} {}", head.status.as_u16(), std::str::from_utf8(&body).unwrap())
    }

    #[test]
    fn refusals_have_the_shapes_that_clients_know() {
        let cases = [
            (Refusal::detail(409, "a \"b\""), r#"409 application/json {"detail":"a \"b\""}"#),
            (Refusal::not_found("Not found."), r#"404 application/json {"detail":"Not found."}"#),
            (Refusal::conflict("x."), r#"409 application/json {"detail":"Conflict: x."}"#),
            (Refusal::field("ttl", "x"), r#"400 application/json {"ttl":["x"]}"#),
            (Refusal::non_field("x"), r#"400 application/json {"non_field_errors":["x"]}"#),
            (Refusal::list(400, "x"), r#"400 application/json ["x"]"#),
            (Refusal::json(400, json!([{}, {"a": ["b"]}])), r#"400 application/json [{},{"a":["b"]}]"#),
            (Refusal::text(401, "badauth"), "401 text/plain; charset=utf-8 badauth"),
            (
                Refusal::throttled(1),
                r#"429 application/json {"detail":"Request was throttled. Expected available in 1 second."}"#,
            ),
        ];
        for (refusal, expected) in cases {
            assert_eq!(shown(refusal, Style::Api), expected);
        }
        let told = shown(Refusal::throttled(120), Style::DynDns);
        assert!(told.ends_with("utf-8 Request was throttled. Expected available in 120 seconds."), "{told}");
        assert!(shown(Refusal::no_such_path(), Style::Api).starts_with("404 text/html"));
    }
}
