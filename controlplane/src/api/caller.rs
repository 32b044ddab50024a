//! Who calls: a token's holder, or the operator on this machine.

use std::net::IpAddr;

use super::{Api, now_us};
use crate::http::credentials::{AuthFailure, Credentials};
use crate::http::route::Permission;
use crate::http::{self, throttle};
use crate::store::accounts::{Account, Class};
use crate::store::domains::Domain;
use crate::store::tokens::Token;
use crate::value::{self, SecretHash};

/// Somebody who was authenticated.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The account.
    pub account: Account,
    /// The token; `None` for the operator on this machine.
    pub token: Option<Token>,
    /// The user that stood beside the token, where a dynamic update had one.
    pub user: Option<String>,
}

impl Caller {
    /// Whether this is the operator on this machine, to whom nothing is closed.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.token.is_none()
    }

    /// Whether the caller may change nothing at all.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.token.as_ref().is_some_and(|token| token.read_only)
    }

    /// Whether a domain is the caller's to see.
    #[must_use]
    pub fn may_see(&self, domain: &Domain) -> bool {
        self.is_admin() || domain.account == self.account.id
    }
}

impl http::Caller for Caller {
    fn identity(&self) -> String {
        self.account.uuid.to_string()
    }

    fn class(&self) -> throttle::Class {
        match self.account.class {
            Class::Operator => throttle::Class::Operator,
            Class::Hosting => throttle::Class::Hosting,
        }
    }

    fn may(&self, permission: Permission) -> bool {
        let Some(token) = &self.token else { return true };
        match permission {
            Permission::ManageTokens => token.perm_manage_tokens,
            Permission::CreateDomain => token.perm_create_domain && !token.read_only,
            Permission::DeleteDomain => token.perm_delete_domain && !token.read_only,
            Permission::Read => true,
            Permission::Write => !token.read_only,
            Permission::Admin => false,
        }
    }
}

/// Finds out who presents credentials.
pub(super) fn authenticate(api: &Api, credentials: Credentials<'_>, client: IpAddr) -> Result<Caller, AuthFailure> {
    let (secret, user) = match credentials {
        Credentials::Peer { uid } => {
            let is_operator = uid == 0 || uid == rustix::process::geteuid().as_raw();
            let caller = || Caller { account: api.operator.clone(), token: None, user: None };
            return if is_operator { Ok(caller()) } else { Err(AuthFailure::Wrong) };
        }
        Credentials::Token(secret) => (secret, None),
        Credentials::Named { user, token } => (token, Some(user)),
    };
    let hash = SecretHash::of(secret);
    let found = api.read(|reader| {
        let Some(mut token) = reader.token_by_hash(&hash.0)? else { return Ok(None) };
        token.last_used_us = api.last_used_us(&token);
        let Some(account) = reader.account(token.account)? else { return Ok(None) };
        let is_named = match user {
            None | Some("") => true,
            Some(user) if user.contains('@') => user.eq_ignore_ascii_case(&account.email),
            Some(user) => is_name_of(reader, &account, user)?,
        };
        Ok(is_named.then_some((token, account)))
    });
    let Some((token, account)) = found.map_err(AuthFailure::Unavailable)? else { return Err(AuthFailure::Wrong) };
    let now_us = now_us();
    let subnets: Vec<ipnet::IpNet> = token.allowed_subnets.iter().filter_map(|subnet| subnet.parse().ok()).collect();
    if !token.is_valid(now_us) || !value::is_allowed(&subnets, client) {
        return Err(AuthFailure::Wrong);
    }
    if !account.active {
        return Err(AuthFailure::Inactive);
    }
    api.note_use(token.id, now_us);
    Ok(Caller { account, token: Some(token), user: user.map(str::to_owned) })
}

/// Whether a user name is a name inside one of the account's domains.
fn is_name_of(
    reader: &crate::store::Reader<'_>,
    account: &Account,
    user: &str,
) -> Result<bool, crate::store::StoreError> {
    for candidate in crate::naming::owner_candidates(user) {
        if let Some(domain) = reader.domain_by_name(&candidate)? {
            return Ok(domain.account == account.id);
        }
    }
    Ok(false)
}
