//! Who a request says it comes from.
//!
//! Reads credentials from the head and the query; whether they are right is the application's to say. Invariant: a
//! secret is borrowed from the request and never kept, logged or echoed (RFC 9110 section 11, RFC 7617).

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
    Unavailable(crate::http::reply::Refusal),
}
