//! Tokens: list, make, show, change, delete.
//!
//! A secret is in the one reply that makes it and nowhere else; the database has its hash. Invariant: whoever changes a
//! token may manage tokens of the same account, and only fields that clients may write are written.

use std::cmp::Reverse;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::account::{may_change, subject};
use super::domains::object;
use super::fields::Fields;
use super::{Api, now_us};
use crate::http::call::Call;
use crate::http::page::{Direction, Paging, Position};
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Access, Count, Operation, Permission, Route, Scope, Success};
use crate::store::accounts::Account;
use crate::store::policies::Policy;
use crate::store::tokens::Token;
use crate::store::{AccountId, Txn};
use crate::value::{self, Period, RANDOM_LEN, Secret, SecretHash, Timestamp};

/// The longest name in characters.
const NAME_CHAR_COUNT_MAX: usize = 64;
/// The networks of a token of which nothing is said: all.
const SUBNETS_DEFAULT: [&str; 2] = ["0.0.0.0/0", "::/0"];

/// A token, as clients see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(super) struct View {
    /// Its number.
    id: String,
    /// When it was made.
    created: String,
    /// When it was last used.
    last_used: Option<String>,
    /// The mail address of its account.
    owner: String,
    /// The mail address of who uses it instead.
    user_override: Option<String>,
    /// Whether a second factor was shown; null for tokens that need none.
    mfa: Option<bool>,
    /// How long after it was made it may be used.
    max_age: Option<String>,
    /// How long it may lie unused.
    max_unused_period: Option<String>,
    /// A name for people.
    name: String,
    /// May make domains.
    perm_create_domain: bool,
    /// May delete domains.
    perm_delete_domain: bool,
    /// May manage tokens.
    perm_manage_tokens: bool,
    /// The networks it may be used from.
    allowed_subnets: Vec<String>,
    /// Domains made with it get a policy that lets it write them.
    auto_policy: bool,
    /// Whether its time has not passed.
    is_valid: bool,
    /// Whether it may change nothing at all; shown to the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    read_only: Option<bool>,
    /// The secret; only in the reply that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// What a client sends of a token.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
pub(super) struct TokenBody {
    /// A name for people.
    name: Option<String>,
    /// How long after it is made it may be used: `[DD] [HH:[MM:]]ss[.uuuuuu]`.
    max_age: Option<String>,
    /// How long it may lie unused.
    max_unused_period: Option<String>,
    /// May make domains.
    perm_create_domain: Option<bool>,
    /// May delete domains.
    perm_delete_domain: Option<bool>,
    /// May manage tokens.
    perm_manage_tokens: Option<bool>,
    /// The networks it may be used from.
    allowed_subnets: Option<Vec<String>>,
    /// Domains made with it get a policy that lets it write them.
    auto_policy: Option<bool>,
}

/// Who may manage tokens.
const ACCESS: Access = Access::With(Permission::ManageTokens);
/// What that counts as.
const SCOPES: &[Scope] = &[Scope::AccountManagementPassive];

/// The rows.
pub(super) static ROUTES: [Route<Api>; 2] = [
    Route::new(
        "/api/v1/auth/tokens/",
        &[
            Operation::get(|app, call| Box::pin(list(app, call)))
                .access(ACCESS)
                .scopes(SCOPES)
                .query(&["cursor"])
                .replies(&[Success::list::<View>(200)])
                .refuses(&[404])
                .summary("The tokens of the account, newest first"),
            Operation::post(|app, call| Box::pin(create(app, call)))
                .access(ACCESS)
                .scopes(SCOPES)
                .body::<TokenBody>(Count::One)
                .replies(&[Success::json::<View>(201)])
                .refuses(&[404])
                .summary("Makes a token; the reply alone has its secret"),
        ],
    ),
    Route::new(
        "/api/v1/auth/tokens/{id}/",
        &[
            Operation::get(|app, call| Box::pin(show(app, call)))
                .access(ACCESS)
                .scopes(SCOPES)
                .replies(&[Success::json::<View>(200)])
                .summary("One token"),
            Operation::patch(|app, call| Box::pin(change(app, call)))
                .access(ACCESS)
                .scopes(SCOPES)
                .body::<TokenBody>(Count::One)
                .replies(&[Success::json::<View>(200)])
                .summary("Changes what is sent of a token"),
            Operation::put(|app, call| Box::pin(change(app, call)))
                .access(ACCESS)
                .scopes(SCOPES)
                .body::<TokenBody>(Count::One)
                .replies(&[Success::json::<View>(200)])
                .summary("Changes what is sent of a token"),
            Operation::delete(|app, call| Box::pin(delete(app, call)))
                .access(ACCESS)
                .scopes(SCOPES)
                .replies(&[Success::empty(204)])
                .summary("Deletes a token"),
        ],
    ),
];

/// What a client sent of a token, as far as it was sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// See [`Token`].
    name: Option<String>,
    /// See [`Token`].
    max_age_us: Option<Option<i64>>,
    /// See [`Token`].
    max_unused_us: Option<Option<i64>>,
    /// See [`Token`].
    perm_create_domain: Option<bool>,
    /// See [`Token`].
    perm_delete_domain: Option<bool>,
    /// See [`Token`].
    perm_manage_tokens: Option<bool>,
    /// See [`Token`].
    allowed_subnets: Option<Vec<String>>,
    /// See [`Token`].
    auto_policy: Option<bool>,
    /// See [`Token`].
    read_only: Option<bool>,
}

/// Whether a token is being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is.
    New,
    /// It is there already.
    Known,
}

impl Sent {
    /// Reads a body; fields that clients cannot write are ignored.
    ///
    /// # Errors
    /// 400 by field.
    pub(super) fn read(body: &Map<String, Value>, stage: Stage) -> Result<Sent, Refusal> {
        let mut fields = Fields::of(body);
        let sent = Sent::from(&mut fields, stage);
        fields.done()?;
        Ok(sent)
    }

    /// As [`Sent::read`], with what the operator alone can write; unknown fields are refused.
    ///
    /// # Errors
    /// 400 by field.
    pub(super) fn read_as_operator(body: &Map<String, Value>) -> Result<Sent, Refusal> {
        let mut fields = Fields::of(body).only(&[
            "name",
            "max_age",
            "max_unused_period",
            "perm_create_domain",
            "perm_delete_domain",
            "perm_manage_tokens",
            "allowed_subnets",
            "auto_policy",
            "read_only",
        ]);
        let mut sent = Sent::from(&mut fields, Stage::New);
        sent.read_only = fields.boolean("read_only");
        fields.done()?;
        Ok(sent)
    }

    /// Reads the fields of both.
    fn from(fields: &mut Fields<'_>, stage: Stage) -> Sent {
        if fields.value("user_override").is_some_and(|value| !value.is_null()) {
            // Binding a token to somebody else's account takes an invitation by mail, which is not sent from here.
            fields.refuse(
                "user_override",
                match stage {
                    Stage::New => "Tokens for other users are not available here; only null is accepted.",
                    Stage::Known => "Can only be written on create.",
                },
            );
        }
        let subnets = fields.value("allowed_subnets").map(value::subnets);
        let allowed_subnets = match subnets {
            Some(Ok(networks)) => Some(networks.iter().map(ToString::to_string).collect()),
            Some(Err(error)) => {
                fields.refuse_with("allowed_subnets", error);
                None
            }
            None => None,
        };
        Sent {
            name: fields.text("name", NAME_CHAR_COUNT_MAX),
            max_age_us: fields.period("max_age"),
            max_unused_us: fields.period("max_unused_period"),
            perm_create_domain: fields.boolean("perm_create_domain"),
            perm_delete_domain: fields.boolean("perm_delete_domain"),
            perm_manage_tokens: fields.boolean("perm_manage_tokens"),
            allowed_subnets,
            auto_policy: fields.boolean("auto_policy"),
            read_only: None,
        }
    }

    /// Writes what was sent into a token.
    fn apply(self, token: &mut Token) {
        /// Replaces a value if there is another.
        fn set<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        set(&mut token.name, self.name);
        set(&mut token.max_age_us, self.max_age_us);
        set(&mut token.max_unused_us, self.max_unused_us);
        set(&mut token.perm_create_domain, self.perm_create_domain);
        set(&mut token.perm_delete_domain, self.perm_delete_domain);
        set(&mut token.perm_manage_tokens, self.perm_manage_tokens);
        set(&mut token.allowed_subnets, self.allowed_subnets);
        set(&mut token.auto_policy, self.auto_policy);
        set(&mut token.read_only, self.read_only);
    }

    /// All permissions, from everywhere, for ever: what an operator needs first.
    pub(super) fn full() -> Sent {
        let yes = Some(true);
        Sent { perm_create_domain: yes, perm_delete_domain: yes, perm_manage_tokens: yes, ..Sent::default() }
    }

    /// The new token, with its secret.
    ///
    /// # Errors
    /// 500 if the system gives no randomness.
    pub(super) fn into_token(self, account: AccountId) -> Result<(Token, Secret), Refusal> {
        let mut token = Token {
            id: Uuid::new_v4(),
            account,
            name: String::new(),
            created_us: now_us(),
            last_used_us: None,
            max_age_us: None,
            max_unused_us: None,
            perm_create_domain: false,
            perm_delete_domain: false,
            perm_manage_tokens: false,
            auto_policy: false,
            read_only: false,
            allowed_subnets: SUBNETS_DEFAULT.map(str::to_owned).to_vec(),
        };
        self.apply(&mut token);
        Ok((token, new_secret()?))
    }
}

/// A secret that nobody can guess.
pub(super) fn new_secret() -> Result<Secret, Refusal> {
    let mut random = [0; RANDOM_LEN];
    match rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()) {
        Ok(RANDOM_LEN) => Ok(Secret::from_random(random)),
        _ => Err(Refusal::internal()),
    }
}

/// Stores a new token.
pub(super) fn add(txn: &Txn<'_>, token: &Token, hash: SecretHash) -> Result<(), Refusal> {
    txn.add_token(token, &hash.0)?;
    if token.auto_policy { restrict(txn, token) } else { Ok(()) }
}

/// Makes sure that a token with `auto_policy` may write nothing but what it is allowed expressly.
fn restrict(txn: &Txn<'_>, token: &Token) -> Result<(), Refusal> {
    let policies = txn.policies(token.id)?;
    match policies.iter().find(|policy| policy.is_default()) {
        Some(policy) if policy.perm_write => {
            Err(Refusal::field("auto_policy", "Auto policy requires a restrictive default policy."))
        }
        Some(_) => Ok(()),
        None => {
            let id = Uuid::new_v4();
            let policy = Policy { id, domain: None, subname: None, rtype: None, perm_write: false };
            txn.add_policy(token.account, token.id, &policy)?;
            Ok(())
        }
    }
}

impl Api {
    /// How a token is shown.
    pub(super) fn token_view(&self, token: &Token, owner: &str) -> View {
        let time = |us| Timestamp::from_micros(us).to_string();
        let period = |us: i64| u64::try_from(us).ok().and_then(Period::from_micros).map(|period| period.to_string());
        let token = Token { last_used_us: self.last_used_us(token), ..token.clone() };
        View {
            id: token.id.to_string(),
            created: time(token.created_us),
            last_used: token.last_used_us.map(time),
            owner: owner.to_owned(),
            user_override: None,
            mfa: None,
            max_age: token.max_age_us.and_then(period),
            max_unused_period: token.max_unused_us.and_then(period),
            is_valid: token.is_valid(now_us()),
            name: token.name,
            perm_create_domain: token.perm_create_domain,
            perm_delete_domain: token.perm_delete_domain,
            perm_manage_tokens: token.perm_manage_tokens,
            allowed_subnets: token.allowed_subnets,
            auto_policy: token.auto_policy,
            read_only: None,
            token: None,
        }
    }

    /// How a token is shown to the operator.
    pub(super) fn token_view_for_operator(&self, token: &Token, owner: &str) -> View {
        View { read_only: Some(token.read_only), ..self.token_view(token, owner) }
    }
}

impl View {
    /// The same with the secret.
    pub(super) fn with(self, secret: &Secret) -> View {
        View { token: Some(secret.expose().to_owned()), ..self }
    }
}

/// Where a token stands in the list: the newest first, and those of one moment by their numbers.
fn position(token: &Token) -> Position {
    let id = token.id.as_u64_pair().0;
    Position { created_us: u64::try_from(token.created_us).unwrap_or(0), id }
}

/// The refusal for a token that is not there.
pub(super) fn missing() -> Refusal {
    Refusal::not_found("No Token matches the given query.")
}

/// The number of the token in the path.
pub(super) fn id_of(call: &Call<Api>) -> Result<Uuid, Refusal> {
    call.param("id").parse().map_err(|_| Refusal::not_found("Not found."))
}

/// The token of the path, which must be the account's.
pub(super) fn stored(app: &Api, call: &Call<Api>, account: &Account) -> Result<Token, Refusal> {
    let id = id_of(call)?;
    app.read(|reader| reader.token(account.id, id))?.ok_or_else(missing)
}

/// GET of the list.
async fn list(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let account = subject(&app, &call)?;
    let paging = Paging::of(&call)?;
    let mut tokens = app.read(|reader| reader.tokens(account.id))?;
    let slice = paging.slice(tokens.len() as u64)?;
    tokens.sort_by_key(|token| Reverse(position(token)));
    match slice.cursor.map(|cursor| (cursor.direction, cursor.position)) {
        None => {}
        Some((Direction::Next, at)) => tokens.retain(|token| position(token) < at),
        Some((Direction::Previous, at)) => {
            tokens.retain(|token| position(token) > at);
            tokens.reverse();
        }
    }
    tokens.truncate(slice.item_count_max);
    let (tokens, link) = paging.finish(tokens, position);
    let views: Vec<View> = tokens.iter().map(|token| app.token_view(token, &account.email)).collect();
    Ok(Reply::json(200, &views).link(link.as_deref()))
}

/// POST to the list.
async fn create(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    may_change(&call)?;
    let account = subject(&app, &call)?;
    let (token, secret) = Sent::read(object(call.json())?, Stage::New)?.into_token(account.id)?;
    let view = app.token_view(&token, &account.email).with(&secret);
    let hash = SecretHash::of(secret.expose());
    app.write(move |txn| add(txn, &token, hash)).await?;
    Ok(Reply::json(201, &view))
}

/// GET of one.
async fn show(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let account = subject(&app, &call)?;
    let token = stored(&app, &call, &account)?;
    Ok(Reply::json(200, &app.token_view(&token, &account.email)))
}

/// PATCH and PUT of one; in both every field may be left out.
async fn change(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    may_change(&call)?;
    let account = subject(&app, &call)?;
    let id = stored(&app, &call, &account)?.id;
    let sent = Sent::read(object(call.json())?, Stage::Known)?;
    let owner = account.id;
    let token = app
        .write(move |txn| {
            let mut token = txn.token(owner, id)?.ok_or_else(missing)?;
            sent.apply(&mut token);
            if token.auto_policy {
                restrict(txn, &token)?;
            }
            txn.update_token(&token)?;
            Ok(token)
        })
        .await?;
    Ok(Reply::json(200, &app.token_view(&token, &account.email)))
}

/// DELETE of one; it is no mistake if there is none.
async fn delete(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    may_change(&call)?;
    let account = subject(&app, &call)?;
    if let Ok(id) = id_of(&call) {
        app.write(move |txn| Ok(txn.remove_token(account.id, id)?)).await?;
    }
    Ok(Reply::empty(204))
}
