//! `dnsctl account`: makes, lists, limits and stops accounts.
//!
//! Only the operator on this machine may; the control plane says so to others.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::args::{Account, AccountVerb, Class, Limit};
use crate::failure::Failure;
use crate::output::Output;
use crate::remote::{Ask, Method, Remote, segment};
use crate::table::{Column, Shown, columns};

/// Runs the command.
///
/// # Errors
/// Those of the control plane.
pub(crate) fn run(args: &Account, dir: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let remote = Remote::of(&args.reach, dir)?;
    let shown = match &args.verb {
        AccountVerb::Add { email, class, limit, token } => add(&remote, email, *class, *limit, *token)?,
        AccountVerb::List => {
            let accounts = remote.list("/api/admin/accounts/")?;
            Shown::table(accounts, &fields(), "no accounts")
        }
        AccountVerb::Limit { email, domains, rrsets } => {
            let mut body = Map::new();
            for (key, limit) in [("limit_domains", domains), ("limit_rrsets", rrsets)] {
                if let Some(Limit(limit)) = limit {
                    body.insert(key.into(), json!(limit));
                }
            }
            change(&remote, email, &Value::Object(body))?
        }
        AccountVerb::Suspend { email } => change(&remote, email, &json!({ "active": false }))?,
        AccountVerb::Resume { email } => change(&remote, email, &json!({ "active": true }))?,
    };
    output.report(&shown)
}

/// What is shown of accounts.
fn fields() -> [Column; 6] {
    columns([
        ("email", "email"),
        ("class", "class"),
        ("active", "active"),
        ("limit_domains", "domains at most"),
        ("limit_rrsets", "RRsets at most"),
        ("created", "created"),
    ])
}

/// Makes an account; with `token`, only that is shown.
fn add(remote: &Remote, email: &str, class: Class, limit: Option<u32>, token: bool) -> Result<Shown, Failure> {
    let class = match class {
        Class::Operator => "operator",
        Class::Hosting => "hosting",
    };
    let mut body = json!({ "email": email, "class": class });
    if let Some(limit) = limit {
        body["limit_domains"] = limit.into();
    }
    if token {
        body["token"] = true.into();
    }
    let account = remote.json(&Ask::with(Method::POST, "/api/admin/accounts/", &body))?;
    if !token {
        return Ok(Shown::card(account, &fields()));
    }
    let secret = super::token::secret_of(&account)?;
    Ok(Shown { text: format!("{secret}\n"), value: json!({ "token": secret }) })
}

/// Changes an account.
fn change(remote: &Remote, email: &str, body: &Value) -> Result<Shown, Failure> {
    let path = format!("/api/admin/accounts/{}/", segment(email));
    Ok(Shown::card(remote.json(&Ask::with(Method::PATCH, &path, body))?, &fields()))
}
