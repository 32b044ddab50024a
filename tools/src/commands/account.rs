//! `dnsctl account`: makes, lists, limits and stops accounts.
//!
//! Only the operator on this machine may; the control plane says so to others.

use std::path::Path;

use serde_json::{Value, json};

use crate::args::{Account, AccountVerb, Class, Limit, Quotas};
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
        AccountVerb::Show { email } => Shown::card(remote.json(&Ask::get(&path(email)))?, &details()),
        AccountVerb::Limit { email, quotas } => change(&remote, email, &limits(quotas))?,
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
        ("limit_records", "records at most"),
        ("created", "created"),
    ])
}

/// What is shown of one account.
fn details() -> [Column; 16] {
    columns([
        ("email", "email"),
        ("class", "class"),
        ("active", "active"),
        ("domains", "domains"),
        ("limit_domains", "domains at most"),
        ("rrsets", "RRsets"),
        ("limit_rrsets", "RRsets at most"),
        ("records", "records"),
        ("limit_records", "records at most"),
        ("bytes", "bytes of RDATA and comments"),
        ("limit_bytes", "bytes at most"),
        ("writes_in_hour", "writes in its hour"),
        ("limit_writes_per_hour", "writes an hour at most"),
        ("history_in_day", "bytes of history in its day"),
        ("limit_history_per_day", "bytes of history a day at most"),
        ("created", "created"),
    ])
}

/// The limits that were given, as the API takes them.
fn limits(quotas: &Quotas) -> Value {
    let Quotas { domain_count, domains, rrsets, records, bytes, writes_per_hour, history_per_day } = quotas;
    let given = [
        ("limit_domains", domain_count.or(*domains)),
        ("limit_rrsets", *rrsets),
        ("limit_records", *records),
        ("limit_bytes", *bytes),
        ("limit_writes_per_hour", *writes_per_hour),
        ("limit_history_per_day", *history_per_day),
    ];
    let given = given.into_iter().filter_map(|(key, limit)| limit.map(|Limit(limit)| (key.to_owned(), json!(limit))));
    Value::Object(given.collect())
}

/// The path of an account.
fn path(email: &str) -> String {
    format!("/api/admin/accounts/{}/", segment(email))
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
    Ok(Shown::card(remote.json(&Ask::with(Method::PATCH, &path(email), body))?, &details()))
}
