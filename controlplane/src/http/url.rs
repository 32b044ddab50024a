//! The address under which the server was asked, and absolute URLs made from it.
//!
//! Invariant: scheme and host were checked before they get here, so that what is written into replies cannot break out of a header
//! or of JSON (RFC 3986, RFC 9110 section 4.2).

use form_urlencoded::Serializer;

/// What every path of the API begins with.
pub(super) const V1: &str = "/api/v1/";
/// The same routes under the name of the version that may change.
pub(super) const V2: &str = "/api/v2/";

/// The address of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Host, and port if it was given.
    pub host: String,
    /// The path as it was asked for, slashes merged, still percent-encoded.
    pub path: String,
}

impl Url {
    /// The absolute URL of a path of the table such as `/api/v1/domains/`, in the version of the API that was asked.
    #[must_use]
    pub fn absolute(&self, path: &str) -> String {
        let Url { scheme, host, .. } = self;
        match path.strip_prefix(V1) {
            Some(rest) if self.path.starts_with(V2) => format!("{scheme}://{host}{V2}{rest}"),
            _ => format!("{scheme}://{host}{path}"),
        }
    }

    /// The URL itself with this query; pairs are sorted by name, as clients of the API have them.
    pub(super) fn with_query(&self, pairs: &[(String, String)]) -> String {
        let Url { scheme, host, path } = self;
        let mut sorted: Vec<_> = pairs.iter().collect();
        sorted.sort();
        let query = Serializer::new(String::new()).extend_pairs(sorted).finish();
        format!("{scheme}://{host}{path}?{query}")
    }
}
