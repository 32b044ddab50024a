//! The hosts of a request: which names it means, and the one domain they are in.

use std::collections::{HashMap, HashSet};

use super::address::{Family, Own};
use super::{DyndnsError, Request};
use crate::naming::owner_candidates;

/// What some clients send for "the usual one".
const USUAL_HOST: &str = "YES";

/// The account that asks.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a, F> {
    /// Its e-mail address.
    pub email: &'a str,
    /// How many domains it has.
    pub domains: Domains<'a>,
    /// Whether it has the domain of exactly this name, in lower case.
    pub owns: F,
}

/// The domains of an account, as far as they name the host of a request that names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domains<'a> {
    /// It has none.
    None,
    /// It has only this one.
    One(&'a str),
    /// It has more than one.
    Several,
}

impl<F: Fn(&str) -> bool> Account<'_, F> {
    /// The domain of the account that holds `name`, the longest if there are several.
    fn domain_of(&self, name: &str) -> Option<String> {
        // Candidates ignore case and a wildcard, names here are in lower case already.
        owner_candidates(name).into_iter().find(|candidate| (self.owns)(candidate))
    }
}

/// The names that a request is about, in lower case, each once: those of `hostname`, `host_id`, the Basic user or
/// `username`, whichever comes first, else the only domain; and those that have addresses of their own.
pub(super) fn names<F>(request: &Request<'_>, account: &Account<'_, F>) -> Result<Vec<String>, DyndnsError> {
    let is_given = |text: &&str| !text.is_empty();
    let is_no_email = |text: &&str| is_given(text) && !text.contains('@');
    let listed = request
        .param("hostname")
        .filter(|&text| is_given(&text) && text != USUAL_HOST)
        .or_else(|| request.param("host_id").filter(is_given))
        .or_else(|| request.basic_user.filter(is_no_email))
        .or_else(|| request.param("username").filter(is_no_email));
    let mut names: Vec<String> = Vec::new();
    let mut seen: HashSet<String> = HashSet::new();
    let of_list = listed.into_iter().flat_map(|text| text.split(',')).map(normal);
    let of_parameters = request.params.iter().filter_map(|(key, _)| named_by(key).map(|(_, name)| name));
    for name in of_list.chain(of_parameters) {
        if seen.insert(name.clone()) {
            names.push(name);
        }
    }
    if names.is_empty() {
        names.push(match account.domains {
            Domains::None => return Err(DyndnsError::NoHost),
            Domains::One(domain) => domain.to_owned(),
            Domains::Several => return Err(DyndnsError::NoDomain),
        });
    }
    Ok(names)
}

/// The family and the host in the name of a parameter such as `myipv4:www.example.com`.
fn named_by(key: &str) -> Option<(Family, String)> {
    let (family, name) = match key.split_once(':')? {
        ("myipv4", name) => (Family::V4, name),
        ("myipv6", name) => (Family::V6, name),
        _ => return None,
    };
    Some((family, normal(name)))
}

/// The parameters that are for one host, by family and host. Of two alike the last counts.
pub(super) fn own_parameters<'a>(request: &Request<'a>) -> HashMap<(Family, String), Own<'a>> {
    let named = |(key, value): &'a (String, String)| Some((named_by(key)?, (key.as_str(), value.as_str())));
    request.params.iter().filter_map(named).collect()
}

/// The domain that holds all `names`.
pub(super) fn common_domain<F: Fn(&str) -> bool>(
    names: &[String],
    account: &Account<'_, F>,
) -> Result<String, DyndnsError> {
    let mut domains = Vec::with_capacity(1);
    for name in names {
        let domain = account.domain_of(name).ok_or(DyndnsError::NoHost)?;
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    if domains.len() > 1 {
        return Err(DyndnsError::SeveralDomains);
    }
    domains.pop().ok_or(DyndnsError::NoHost)
}

/// See [`super::check_user`].
pub(super) fn check_user<F: Fn(&str) -> bool>(user: &str, account: &Account<'_, F>) -> Result<(), DyndnsError> {
    let is_account = user.is_empty() || user.to_lowercase() == account.email.to_lowercase();
    if is_account || account.domain_of(&normal(user)).is_some() { Ok(()) } else { Err(DyndnsError::BadAuth) }
}

/// A name as it is compared.
fn normal(text: &str) -> String {
    text.trim().to_ascii_lowercase()
}
