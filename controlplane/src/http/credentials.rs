//! Who a request says it comes from.
//!
//! Reads credentials from the head and the query; whether they are right is the application's to say. Invariant: a
//! secret is borrowed from the request and never kept, logged or echoed (RFC 9110 section 11, RFC 7617).

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HeaderName, WWW_AUTHENTICATE};
use data_encoding::BASE64;

use super::reply::Refusal;
use super::route::Style;

/// Where other APIs put their token.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a request presents.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credentials<'c> {
    /// A token: `Authorization: Token`, `Bearer` where that is the way, or `X-API-Key`.
    Token(&'c str),
    /// A user name and a token: `Authorization: Basic`, or `username` and `password` of the query, for dynamic updates only.
    Named {
        /// Empty, the address of an account, or a name in one of its domains.
        user: &'c str,
        /// The token.
        token: &'c str,
    },
    /// A process on this machine, over the local socket, as the kernel vouches for.
    Peer {
        /// Its user id.
        uid: u32,
    },
}

/// Why credentials are not accepted.
#[derive(Debug)]
pub enum AuthFailure {
    /// They are unknown, expired, revoked or may not be used from this address. It counts against the client's address.
    Wrong,
    /// The account is locked.
    Inactive,
    /// It cannot be found out now; this is sent instead.
    Unavailable(Refusal),
}

/// Credentials as they were found, owned where they had to be decoded.
#[derive(PartialEq, Eq)]
pub(super) enum Presented {
    /// None, or none of a kind that the route knows.
    Nothing,
    /// A token.
    Token(String),
    /// A user name and a token.
    Named {
        /// As in [`Credentials::Named`].
        user: String,
        /// As in [`Credentials::Named`].
        token: String,
    },
    /// Something that cannot be credentials, and what is wrong with it.
    Broken(&'static str),
}

impl Presented {
    /// What a request to a route of this style presents.
    pub(super) fn read(style: Style, headers: &HeaderMap, query: &[(String, String)]) -> Presented {
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        if let Some(field) = fields.next() {
            let field = if fields.next().is_some() { None } else { field.to_str().ok() };
            let Some(field) = field else {
                return Presented::Broken("Invalid token header. Token string should not contain invalid characters.");
            };
            let found = Presented::in_field(style, field);
            if found != Presented::Nothing {
                return found;
            }
        }
        match headers.get(X_API_KEY).map(|value| value.to_str()) {
            Some(Ok(token)) if style != Style::DynDns => Presented::Token(token.trim().to_owned()),
            _ if style == Style::DynDns => Presented::in_query(query),
            _ => Presented::Nothing,
        }
    }

    /// What one `Authorization` field presents.
    fn in_field(style: Style, field: &str) -> Presented {
        let mut words = field.split_ascii_whitespace();
        let scheme = words.next().unwrap_or("").to_ascii_lowercase();
        let is_token = scheme == "token" || (scheme == "bearer" && style == Style::Operations);
        match (words.next(), words.next()) {
            (Some(token), None) if is_token => Presented::Token(token.to_owned()),
            (None, _) if is_token => Presented::Broken("Invalid token header. No credentials provided."),
            (Some(_), Some(_)) if is_token => {
                Presented::Broken("Invalid token header. Token string should not contain spaces.")
            }
            (pair, None) if scheme == "basic" && style == Style::DynDns => {
                let plain = BASE64.decode(pair.unwrap_or("").as_bytes()).ok();
                let plain = plain.and_then(|bytes| String::from_utf8(bytes).ok());
                match plain.as_deref().and_then(|plain| plain.split_once(':')) {
                    Some((user, token)) => Presented::Named { user: user.to_owned(), token: token.to_owned() },
                    None => Presented::Broken("badauth"),
                }
            }
            _ => Presented::Nothing,
        }
    }

    /// What the query of a dynamic update presents.
    fn in_query(query: &[(String, String)]) -> Presented {
        let value = |name| query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        match (value("username"), value("password")) {
            (None, _) => Presented::Broken("No username URL parameter provided."),
            (Some(_), None) => Presented::Broken("No password URL parameter provided."),
            (Some(user), Some(token)) => Presented::Named { user, token },
        }
    }

    /// As the application gets them; `uid` is that of a peer on the local socket.
    pub(super) fn credentials(&self, uid: Option<u32>) -> Option<Credentials<'_>> {
        match self {
            Presented::Token(token) => Some(Credentials::Token(token)),
            Presented::Named { user, token } => Some(Credentials::Named { user, token }),
            Presented::Nothing => uid.map(|uid| Credentials::Peer { uid }),
            Presented::Broken(_) => None,
        }
    }

    /// What is said when they are wrong.
    pub(super) fn wrong(&self) -> &'static str {
        if matches!(self, Presented::Named { .. }) { "badauth" } else { "Invalid token." }
    }
}

/// 401 in the customs of the route.
pub(super) fn unauthorized(style: Style, text: &'static str) -> Refusal {
    let scheme = if style == Style::Operations { "Bearer" } else { "Token" };
    Refusal::detail(401, text).header(WWW_AUTHENTICATE, scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a field presents at a route of this style, in short.
    fn check(style: Style, field: Option<&str>, query: &str, expected: &str) {
        let mut headers = HeaderMap::new();
        if let Some(field) = field {
            headers.insert(AUTHORIZATION, field.parse().unwrap());
        }
        let query: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let found = match Presented::read(style, &headers, &query) {
            Presented::Nothing => "nothing".to_owned(),
            Presented::Token(token) => format!("token {token}"),
            Presented::Named { user, token } => format!("{user} {token}"),
            Presented::Broken(text) => text.to_owned(),
        };
        assert_eq!(found, expected, "{field:?} {query:?}");
    }

    #[test]
    fn each_style_knows_its_own_schemes() {
        let spaces = "Invalid token header. Token string should not contain spaces.";
        for style in [Style::Api, Style::Operations] {
            check(style, None, "username=a&password=b", "nothing");
            check(style, Some("Token abc"), "", "token abc");
            check(style, Some("tOkEn   abc  "), "", "token abc");
            check(style, Some("Token"), "", "Invalid token header. No credentials provided.");
            check(style, Some("Token a b"), "", spaces);
            check(style, Some("Token a b c"), "", spaces);
            check(style, Some("Basic YTpi"), "", "nothing");
            check(style, Some("Tokenabc"), "", "nothing");
            check(style, Some(""), "", "nothing");
        }
        check(Style::Api, Some("Bearer abc"), "", "nothing");
        check(Style::Operations, Some("Bearer abc"), "", "token abc");
        check(Style::Operations, Some("Bearer"), "", "Invalid token header. No credentials provided.");
    }

    #[test]
    fn dynamic_updates_know_three_ways() {
        check(Style::DynDns, Some("Token abc"), "username=a&password=b", "token abc");
        check(Style::DynDns, Some("Basic YTpiOmM="), "", "a b:c");
        check(Style::DynDns, Some("Basic OmI="), "", " b");
        for broken in ["Basic", "Basic YQ==", "Basic !", "Basic /w=="] {
            check(Style::DynDns, Some(broken), "username=a&password=b", "badauth");
        }
        check(Style::DynDns, None, "username=a&password=b", "a b");
        check(Style::DynDns, None, "password=b", "No username URL parameter provided.");
        check(Style::DynDns, None, "username=", "No password URL parameter provided.");
    }

    #[test]
    fn two_authorizations_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, "Token a".parse().unwrap());
        headers.append(AUTHORIZATION, "Token b".parse().unwrap());
        assert!(matches!(Presented::read(Style::Api, &headers, &[]), Presented::Broken(_)));
    }

    #[test]
    fn other_headers_carry_a_token_as_well() {
        let mut headers = HeaderMap::new();
        headers.insert(X_API_KEY, "abc".parse().unwrap());
        assert!(Presented::read(Style::Api, &headers, &[]) == Presented::Token("abc".into()));
        assert!(matches!(Presented::read(Style::DynDns, &headers, &[]), Presented::Broken(_)));
        assert!(Presented::Nothing.credentials(Some(7)) == Some(Credentials::Peer { uid: 7 }));
        assert!(Presented::Broken("").credentials(Some(7)).is_none());
    }
}
