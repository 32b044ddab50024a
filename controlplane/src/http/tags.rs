//! Entity tags in `If-Match` and `If-None-Match` (RFC 9110 section 13.1).
//!
//! Invariant: what cannot be read matches nothing, so that a broken `If-Match` never lets a write through.

use axum::http::HeaderMap;
use axum::http::header::HeaderName;

/// The most tags of one header: a list is scanned once.
const TAG_COUNT_MAX: usize = 64;

/// What a conditional header names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tags {
    /// `*`: any version, as long as there is one.
    Any,
    /// These, without their quotes.
    List(Vec<Tag>),
}

/// One entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Whether it is a weak one, `W/"…"`.
    pub weak: bool,
    /// What stands between the quotes.
    pub text: String,
}

impl Tags {
    /// Reads all fields of this name; `None` if there is none.
    pub(super) fn read(headers: &HeaderMap, name: &HeaderName) -> Option<Tags> {
        let mut found = None;
        let mut tags = Vec::new();
        for value in headers.get_all(name) {
            let text = String::from_utf8_lossy(value.as_bytes());
            if text.trim() == "*" {
                return Some(Tags::Any);
            }
            read_list(&text, &mut tags);
            found = Some(());
        }
        found.map(|()| Tags::List(tags))
    }

    /// Whether a resource with this tag (`None`: there is none) is meant by `If-Match`; weak tags never are.
    #[must_use]
    pub fn match_strongly(&self, current: Option<&str>) -> bool {
        match (self, current) {
            (_, None) => false,
            (Tags::Any, Some(_)) => true,
            (Tags::List(tags), Some(current)) => tags.iter().any(|tag| !tag.weak && tag.text == current),
        }
    }

    /// Whether a resource with this tag is meant by `If-None-Match`.
    #[must_use]
    pub fn match_weakly(&self, current: &str) -> bool {
        match self {
            Tags::Any => true,
            Tags::List(tags) => tags.iter().any(|tag| tag.text == current),
        }
    }
}

/// Appends the tags of one field, up to what is none.
fn read_list(mut rest: &str, tags: &mut Vec<Tag>) {
    while tags.len() < TAG_COUNT_MAX {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |strong| (true, strong));
        let Some((text, after)) = quoted.strip_prefix('"').and_then(|begin| begin.split_once('"')) else { return };
        tags.push(Tag { weak, text: text.to_owned() });
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::IF_MATCH;

    use super::*;

    /// Whether `field` as `If-Match` and as `If-None-Match` has the tag `t`.
    fn check(field: &str, strongly: bool, weakly: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(IF_MATCH, field.parse().unwrap());
        let tags = Tags::read(&headers, &IF_MATCH).unwrap();
        assert_eq!((tags.match_strongly(Some("t")), tags.match_weakly("t")), (strongly, weakly), "{field}");
        assert!(!tags.match_strongly(None), "{field}");
    }

    #[test]
    fn lists_stars_and_weak_tags_are_told_apart() {
        check("*", true, true);
        check("\"t\"", true, true);
        check("\"a\" , \"t\"", true, true);
        check("W/\"t\"", false, true);
        check("\"T\"", false, false);
        for broken in ["", "t", "\"t", "'t'", "x, \"t\"", "w/\"t\""] {
            check(broken, false, false);
        }
        assert_eq!(Tags::read(&HeaderMap::new(), &IF_MATCH), None);
    }
}
