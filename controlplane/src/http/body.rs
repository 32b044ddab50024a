//! Reads the body of a request, within its bounds.
//!
//! Invariant: no more is held than the row allows, a slow peer loses, and only a few bodies longer than usual are held at a time
//! (RFC 9110 sections 8.3 and 15.5).

use std::time::Duration;

use axum::body::{Body as Incoming, Bytes, HttpBody};
use axum::http::header::{CONNECTION, CONTENT_TYPE, EXPECT, HeaderMap};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::call::Body;
use super::reply::Refusal;
use super::route::{BODY_LEN_MAX, Takes};

/// How many bodies longer than [`BODY_LEN_MAX`] are held at a time; others wait for as long as a body may take.
pub(super) const LARGE_BODY_COUNT_MAX: usize = 4;
/// The most JSON values in a body: each costs some 30 to 80 bytes of memory, a comma only one on the wire.
const JSON_VALUE_COUNT_MAX: usize = 1 << 20;

/// Longer JSON is parsed on a thread of its own: some megabytes take tens of milliseconds, and two threads serve everyone.
const PARSED_HERE_LEN_MAX: usize = 64 << 10;
/// How long a body that is of no use may take.
const PASS_TIME_MAX: Duration = Duration::from_secs(10);

/// What bounds a body.
pub(super) struct Bounds<'b> {
    /// What the row takes.
    pub(super) takes: Takes,
    /// Its longest body in bytes.
    pub(super) len_max: usize,
    /// How long it may take to arrive.
    pub(super) time_max: Duration,
    /// Slots for long ones.
    pub(super) large: &'b Semaphore,
}

/// Reads the body and, where the row takes JSON, parses it.
///
/// # Errors
/// 415 and 400 for what it is, 413 for its length, 408 for its pace, 503 if too many long ones are under way. After those of
/// length and pace the connection is to be closed, as what follows on it is still the body.
pub(super) async fn read(incoming: Incoming, headers: &HeaderMap, bounds: Bounds<'_>) -> Result<Body, Refusal> {
    if incoming.is_end_stream() {
        return Ok(Body::Absent);
    }
    let media = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
    if bounds.takes == Takes::Json && !is_json(media) {
        let refusal = Refusal::detail(415, format!("Unsupported media type \"{media}\" in request."));
        let is_over = pass_over(incoming, headers, bounds.time_max.min(PASS_TIME_MAX)).await;
        return Err(if is_over { refusal } else { closing(refusal) });
    }
    if incoming.size_hint().lower() > bounds.len_max as u64 {
        return Err(too_long());
    }
    let long =
        bounds.len_max > BODY_LEN_MAX && incoming.size_hint().upper().is_none_or(|len| len > BODY_LEN_MAX as u64);
    let _slot = match timeout(bounds.time_max, slot(bounds.large, long)).await {
        Ok(slot) => slot,
        Err(_) => return Err(closing(Refusal::detail(503, "Too many long requests at a time. Try again later."))),
    };
    let bytes = match timeout(bounds.time_max, Limited::new(incoming, bounds.len_max).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(cause)) if is_too_long(&*cause) => return Err(too_long()),
        Ok(Err(_)) => return Err(closing(Refusal::detail(400, "The request body is broken."))),
        Err(_) => return Err(closing(Refusal::detail(408, "The request body came too slowly."))),
    };
    match bounds.takes {
        _ if bytes.is_empty() => Ok(Body::Absent),
        Takes::Json => parse_aside(bytes).await,
        Takes::JsonOrText if is_json(media) => parse_aside(bytes).await,
        Takes::Text | Takes::JsonOrText | Takes::Nothing => Ok(Body::Bytes(bytes)),
    }
}

/// A slot for a long body; others need none.
async fn slot(large: &Semaphore, long: bool) -> Option<tokio::sync::SemaphorePermit<'_>> {
    // The semaphore is never closed.
    if long { large.acquire().await.ok() } else { None }
}

/// Whether the body was cut off because of its length; the reason may be wrapped.
fn is_too_long(cause: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(cause);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Parses JSON, aside if it is long.
async fn parse_aside(bytes: Bytes) -> Result<Body, Refusal> {
    if bytes.len() <= PARSED_HERE_LEN_MAX {
        return parse(&bytes);
    }
    let parsed = tokio::task::spawn_blocking(move || parse(&bytes)).await;
    parsed.unwrap_or_else(|_| Err(Refusal::internal()))
}

/// Parses JSON; of repeated keys the last counts.
fn parse(bytes: &Bytes) -> Result<Body, Refusal> {
    if value_count(bytes) > JSON_VALUE_COUNT_MAX {
        return Err(Refusal::detail(413, "Payload too large."));
    }
    // The text names a place and what was expected there; it echoes nothing of the body.
    serde_json::from_slice(bytes)
        .map(Body::Json)
        .map_err(|cause| Refusal::detail(400, format!("JSON parse error - {cause}")))
}

/// How many values there are at most, by the commas and brackets outside of strings.
fn value_count(bytes: &[u8]) -> usize {
    let (mut count, mut in_string, mut escaped) = (0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

/// Whether a media type is that of JSON; parameters such as `charset` are not looked at.
fn is_json(media: &str) -> bool {
    let essence = media.split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Passes over a body that nobody wants, so that the peer can read the answer and send its next request.
///
/// Returns whether it came to its end. If not, the connection must be closed: resetting it while the peer still sends can cost the
/// peer the answer, so a body of usual length is worth the wait.
pub(super) async fn pass_over(mut incoming: Incoming, headers: &HeaderMap, time_max: Duration) -> bool {
    if incoming.is_end_stream() {
        return true;
    }
    // Who waits for 100 has not sent it, and must not be asked to.
    if headers.contains_key(EXPECT) || incoming.size_hint().lower() > BODY_LEN_MAX as u64 {
        return false;
    }
    let to_end = async {
        let mut len = 0;
        while let Some(frame) = incoming.frame().await {
            len += frame.ok()?.data_ref().map_or(0, Bytes::len);
            if len > BODY_LEN_MAX {
                return None;
            }
        }
        Some(())
    };
    matches!(timeout(time_max, to_end).await, Ok(Some(())))
}

/// 413, after which the connection is closed.
fn too_long() -> Refusal {
    closing(Refusal::detail(413, "Payload too large."))
}

/// A refusal after which the connection is closed.
fn closing(refusal: Refusal) -> Refusal {
    refusal.header(CONNECTION, "close")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of a body of this type, in short.
    fn check(media: &str, body: &'static str, expected: &str) {
        let mut headers = HeaderMap::new();
        if !media.is_empty() {
            headers.insert(CONTENT_TYPE, media.parse().unwrap());
        }
        let large = Semaphore::new(1);
        let time_max = Duration::from_secs(10);
        let bounds = Bounds { takes: Takes::Json, len_max: 64, time_max, large: &large };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let shown = match runtime.block_on(read(Incoming::from(body), &headers, bounds)) {
            Ok(Body::Json(value)) => value.to_string(),
            Ok(other) => format!("{other:?}"),
            Err(refusal) => format!("{refusal:?}"),
        };
        assert!(shown.contains(expected), "{media} {body}: {shown}");
    }

    #[test]
    fn json_is_what_says_so_and_is_so() {
        for media in ["application/json", "Application/JSON", "application/json; charset=utf-8"] {
            check(media, r#"{"a":1}"#, r#"{"a":1}"#);
        }
        check("application/json", r#"{"a":1,"a":2}"#, r#"{"a":2}"#);
        check("application/json", "", "Absent");
        check("text/plain", "", "Absent");
        check("text/plain", "{}", r#"Unsupported media type \"text/plain\" in request."#);
        check("", "{}", r#"Unsupported media type \"\" in request."#);
        check("application/jsonx", "{}", "Unsupported media type");
        for broken in ["{", "{]", "nope", "[1,]", "\u{feff}{}", "1 2", "NaN", "\"\\ud800\"", "1e999"] {
            check("application/json", broken, "JSON parse error - ");
        }
        check(
            "application/json",
            &"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["[..65],
            "413",
        );
    }

    #[test]
    fn values_are_counted_outside_of_strings() {
        assert_eq!(value_count(br#"[1,"a,b\",[",{}]"#), 4);
        let bomb = Bytes::from(format!("[{}1]", "1,".repeat(JSON_VALUE_COUNT_MAX)));
        assert_eq!(parse(&bomb).unwrap_err().status, 413);
        assert!(parse(&Bytes::from("[".repeat(100_000))).is_err());
    }
}
