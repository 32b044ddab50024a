//! What a dynDNS update asks for: the parameters of the request to new addresses, host by host.
//!
//! It is pure: query parameters, user name, the account's domains and the client's address come in, an [`Update`] or a text
//! for the client goes out. Who the client is and whether its token may write is decided elsewhere; so is how the update is
//! applied, in one transaction. The client's address is used only where no parameter named one: what
//! a request does never depends on whether it happened to arrive over IPv4 or IPv6 as soon as it names an address itself.

mod address;
mod host;
mod network;
mod place;

use std::net::IpAddr;

use snapshot::dns::rtype::Rtype;
use thiserror::Error;

use crate::rrset::content::{ContentError, contents};
use crate::rrset::{Draft, Limits, full_name};

pub use address::{Action, Family};
pub use host::{Account, Domains};
pub use place::{Place, place};

/// The TTL of addresses that change often, whatever the least TTL of the domain.
pub const TTL_SECS: u32 = 60;
/// What a client that succeeded is told, also if nothing had to change.
pub const GOOD: &str = "good";

/// A request, as far as it says what to update.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The query parameters, decoded. Of those with one name the last counts.
    pub params: &'a [(String, String)],
    /// The user of `Authorization: Basic`, if that was used.
    pub basic_user: Option<&'a str>,
    /// Where the request came from.
    pub client: IpAddr,
}

/// What to change, all of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The domain all hosts are in.
    pub domain: String,
    /// The hosts, each once.
    pub hosts: Vec<Host>,
}

/// What to do at one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The name below the domain, empty for the domain itself.
    pub subname: String,
    /// What becomes of its A records.
    pub a: Action,
    /// What becomes of its AAAA records.
    pub aaaa: Action,
}

/// Why a request cannot be carried out. The messages are what the client is sent, as plain text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DyndnsError {
    /// There are no credentials, and no user in the query.
    #[error("No username URL parameter provided.")]
    NoUsername,
    /// There are no credentials, and a user without a password in the query.
    #[error("No password URL parameter provided.")]
    NoPassword,
    /// The user name is that of someone else.
    #[error("badauth")]
    BadAuth,
    /// A host that is in no domain of the account, or is no name.
    #[error("nohost")]
    NoHost,
    /// No host is named, and the account has several domains.
    #[error("Request does not properly specify domain for update.")]
    NoDomain,
    /// The hosts are in more than one domain.
    #[error("Cannot update subdomains from more than one domain.")]
    SeveralDomains,
    /// A parameter says two things at once.
    #[error("IP parameter \"{0}\" cannot have addresses and \"preserve\" or an empty value at the same time.")]
    Mixed(String),
    /// A network among other values.
    #[error("IP parameter \"{0}\" cannot use subnet notation with multiple addresses.")]
    NetworkInList(String),
    /// What has a slash is no network.
    #[error(
        "IP parameter \"{parameter}\" is an invalid subnet: '{text}' does not appear to be an IPv4 or IPv6 network"
    )]
    Network {
        /// The parameter.
        parameter: String,
        /// Its value, escaped.
        text: String,
    },
    /// The addresses make no RRset, such as too many.
    #[error("{name}/{rtype}: {error}")]
    Rrset {
        /// The host.
        name: String,
        /// A or AAAA.
        rtype: Rtype,
        /// Why.
        error: ContentError,
    },
    /// A value that is neither an address nor a word we know.
    #[error("IP parameter \"{parameter}\" has an invalid address: '{text}'")]
    Address {
        /// The parameter.
        parameter: String,
        /// Its value, escaped.
        text: String,
    },
}

impl DyndnsError {
    /// The HTTP status that goes with it.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            DyndnsError::BadAuth | DyndnsError::NoUsername | DyndnsError::NoPassword => 401,
            DyndnsError::NoHost => 404,
            _ => 400,
        }
    }
}

impl Request<'_> {
    /// The value of a parameter.
    fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The user and the password in the query, for requests without other credentials.
///
/// # Errors
/// [`DyndnsError::NoUsername`] and [`DyndnsError::NoPassword`].
pub fn query_credentials<'a>(request: &'a Request<'_>) -> Result<(&'a str, &'a str), DyndnsError> {
    let user = request.param("username").ok_or(DyndnsError::NoUsername)?;
    Ok((user, request.param("password").ok_or(DyndnsError::NoPassword)?))
}

impl Host {
    /// The RRsets to write where `existing` tells the addresses that are there now. An RRset without records deletes, also one
    /// that is not there: the token needs to be allowed to write it all the same.
    ///
    /// # Errors
    /// [`DyndnsError::Rrset`] if there are more addresses than `limits` allow.
    pub fn drafts(
        &self,
        domain: &str,
        limits: Limits,
        existing: impl Fn(Family) -> Vec<IpAddr>,
    ) -> Result<Vec<Draft>, DyndnsError> {
        let name = full_name(&self.subname, domain);
        let mut drafts = Vec::new();
        for (family, action) in [(Family::V4, &self.a), (Family::V6, &self.aaaa)] {
            // Only networks need to know what is there.
            let existing = if matches!(action, Action::Network(_)) { existing(family) } else { Vec::new() };
            let Some(addresses) = action.apply(&existing) else { continue };
            let texts: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
            let rtype = family.rtype();
            let records = contents(rtype, &texts, &name, limits).map_err(|error| DyndnsError::Rrset {
                name: name.trim_end_matches('.').to_owned(),
                rtype,
                error,
            })?;
            drafts.push(Draft { subname: self.subname.clone(), rtype, ttl: Some(TTL_SECS), records: Some(records) });
        }
        Ok(drafts)
    }
}

/// Reads what a request asks for.
///
/// # Errors
/// [`DyndnsError`]: hosts are looked at before addresses.
pub fn update<F: Fn(&str) -> bool>(request: &Request<'_>, account: &Account<'_, F>) -> Result<Update, DyndnsError> {
    let names = host::names(request, account)?;
    let domain = host::common_domain(&names, account)?;
    let mut hosts = Vec::with_capacity(names.len());
    let own = host::own_parameters(request);
    for name in names {
        let subname = crate::naming::subname_of(&name, &domain).ok_or(DyndnsError::NoHost)?.to_owned();
        let action = |family| address::action(request, own.get(&(family, name.clone())).copied(), family);
        hosts.push(Host { subname, a: action(Family::V4)?, aaaa: action(Family::V6)? });
    }
    Ok(Update { domain, hosts })
}

/// Whether `user`, of Basic or of the parameter `username`, may stand beside a token of the account.
///
/// # Errors
/// [`DyndnsError::BadAuth`] unless it is empty, the account's e-mail address or a name in one of its domains.
pub fn check_user<F: Fn(&str) -> bool>(user: &str, account: &Account<'_, F>) -> Result<(), DyndnsError> {
    host::check_user(user, account)
}

#[cfg(test)]
mod tests;
