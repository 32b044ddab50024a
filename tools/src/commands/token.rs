//! `dnsctl token`: makes, lists, rotates, reviews and deletes tokens.
//!
//! Invariant: a secret is shown once, by the command that made it, and nowhere else.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::args::{NewToken, Token, TokenVerb};
use crate::failure::Failure;
use crate::output::Output;
use crate::remote::{Ask, Method, Remote, segment};
use crate::table::{Shown, columns};

/// Tokens of the account of the caller.
const OWN: &str = "/api/v1/auth/tokens/";

/// Runs the command.
///
/// # Errors
/// Those of the control plane.
pub(crate) fn run(args: &Token, dir: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let remote = Remote::of(&args.reach, dir)?;
    let shown = match &args.verb {
        TokenVerb::Add(new) => {
            let path = list_path(&remote)?;
            if new.read_only && path == OWN {
                let text = "only an operator makes tokens that may only read: say for whom, with --account";
                return Err(Failure::Usage(text.into()));
            }
            let made = remote.json(&Ask::with(Method::POST, &path, &body_of(new)))?;
            Shown { text: format!("{}\n", secret_of(&made)?), value: made }
        }
        TokenVerb::List => {
            let fields = columns([
                ("id", "id"),
                ("name", "name"),
                ("created", "created"),
                ("last_used", "last used"),
                ("is_valid", "valid"),
                ("read_only", "only reads"),
                ("allowed_subnets", "from"),
            ]);
            Shown::table(remote.list(&list_path(&remote)?)?, &fields, "no tokens")
        }
        TokenVerb::Rotate { id } => {
            let path = format!("/api/admin/tokens/{}/rotate/", segment(id));
            let made = remote.json(&Ask::with(Method::POST, &path, &json!({})))?;
            Shown { text: format!("{}\n", secret_of(&made)?), value: made }
        }
        TokenVerb::Audit => audit(remote.list(&list_path(&remote)?)?),
        TokenVerb::Rm { id } => {
            let parent = if remote.is_local() { "/api/admin/tokens/" } else { OWN };
            remote.json(&Ask::delete(&format!("{parent}{}/", segment(id))))?;
            Shown { text: String::new(), value: json!({ "deleted": id }) }
        }
    };
    output.report(&shown)
}

/// The list of the account that is meant. An operator's own is asked for as those of others are: it tells more.
///
/// # Errors
/// Those of the control plane.
fn list_path(remote: &Remote) -> Result<String, Failure> {
    let of_account = |email: &str| format!("/api/admin/accounts/{}/tokens/", segment(email));
    if let Some(email) = remote.account() {
        return Ok(of_account(email));
    }
    if !remote.is_local() {
        return Ok(OWN.to_owned());
    }
    let own = remote.json(&Ask::get("/api/v1/auth/account/"))?;
    Ok(own["email"].as_str().map_or_else(|| OWN.to_owned(), of_account))
}

/// What the API is told of a new token.
fn body_of(new: &NewToken) -> Value {
    let mut body = Map::new();
    if !new.name.is_empty() {
        body.insert("name".into(), new.name.as_str().into());
    }
    for (key, is_set) in [
        ("perm_create_domain", new.create_domain),
        ("perm_delete_domain", new.delete_domain),
        ("perm_manage_tokens", new.manage_tokens),
        ("auto_policy", new.auto_policy),
        ("read_only", new.read_only),
    ] {
        if is_set {
            body.insert(key.into(), true.into());
        }
    }
    if !new.allow.is_empty() {
        body.insert("allowed_subnets".into(), json!(new.allow));
    }
    for (key, duration) in [("max_age", &new.max_age), ("max_unused_period", &new.max_unused)] {
        if let Some(duration) = duration {
            body.insert(key.into(), duration.as_str().into());
        }
    }
    Value::Object(body)
}

/// The secret in an answer.
///
/// # Errors
/// [`Failure::Unable`] if there is none.
pub(super) fn secret_of(answer: &Value) -> Result<String, Failure> {
    let secret = answer.get("token").and_then(Value::as_str);
    secret.map(str::to_owned).ok_or_else(|| Failure::Unable("the server did not send the token".into()))
}

/// Tokens with what is worth a look, those with most of it first.
fn audit(tokens: Vec<Value>) -> Shown {
    let mut reviewed: Vec<Value> = tokens
        .into_iter()
        .map(|mut token| {
            token["findings"] = json!(findings(&token));
            token
        })
        .collect();
    reviewed.sort_by_key(|token| std::cmp::Reverse(token["findings"].as_array().map_or(0, Vec::len)));
    let fields = columns([("id", "id"), ("name", "name"), ("last_used", "last used"), ("worth", "worth a look")]);
    let mut rows = reviewed.clone();
    for row in &mut rows {
        let words = row["findings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>();
        row["worth"] = if words.is_empty() { "nothing".into() } else { words.join("; ").into() };
    }
    Shown { text: Shown::table(rows, &fields, "no tokens").text, value: Value::Array(reviewed) }
}

/// What a token can do more than it may need.
fn findings(token: &Value) -> Vec<&'static str> {
    let is_null = |key: &str| token.get(key).is_none_or(Value::is_null);
    let is_true = |key: &str| token.get(key) == Some(&Value::Bool(true));
    let networks = token.get("allowed_subnets").and_then(Value::as_array);
    let is_open = networks.is_none_or(|networks| networks.iter().any(|net| net == "0.0.0.0/0" || net == "::/0"));
    let policies = token.get("policies").and_then(Value::as_array);
    [
        ("is no longer valid: delete it", token.get("is_valid") == Some(&Value::Bool(false))),
        ("never expires", is_null("max_age") && is_null("max_unused_period")),
        ("works from everywhere", is_open),
        ("was never used", is_null("last_used")),
        ("manages tokens", is_true("perm_manage_tokens")),
        ("deletes domains", is_true("perm_delete_domain")),
        ("has no policy: it writes into every domain", policies.is_some_and(Vec::is_empty) && !is_true("read_only")),
    ]
    .into_iter()
    .filter_map(|(finding, applies)| applies.then_some(finding))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_tokens_are_found_and_come_first() {
        let tight = json!({"id": "t", "name": "", "max_age": "30 00:00:00", "allowed_subnets": ["192.0.2.0/24"],
            "last_used": "x", "is_valid": true});
        let wide = json!({"id": "w", "max_age": null, "max_unused_period": null, "allowed_subnets": ["0.0.0.0/0", "::/0"],
            "last_used": null, "is_valid": true, "perm_manage_tokens": true, "policies": []});
        let shown = audit(vec![tight, wide]);
        assert_eq!((&shown.value[0]["id"], &shown.value[1]["findings"]), (&json!("w"), &json!([])));
        assert!(
            shown.text.contains(
                "never expires; works from everywhere; was never used; manages tokens; has no policy: it writes into"
            ),
            "{}",
            shown.text
        );
        assert!(shown.text.contains("nothing\n"));
    }

    #[test]
    fn only_what_was_said_is_sent() {
        let new = NewToken {
            name: "acme".into(),
            create_domain: false,
            delete_domain: false,
            manage_tokens: true,
            auto_policy: false,
            read_only: false,
            allow: vec!["::1".into()],
            max_age: Some("3600".into()),
            max_unused: None,
        };
        let expected =
            json!({"name": "acme", "perm_manage_tokens": true, "allowed_subnets": ["::1"], "max_age": "3600"});
        assert_eq!(body_of(&new), expected);
    }
}
