//! API tokens: hashes of secrets, with what they may do.

use rusqlite::{Row, params};
use uuid::Uuid;

use super::{AccountId, Reader, StoreError, Txn};

/// A token without its secret, which nobody keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What the world knows it by.
    pub id: Uuid,
    /// Whose it is.
    pub account: AccountId,
    /// A name for people.
    pub name: String,
    /// When it was made, in microseconds since 1970.
    pub created_us: i64,
    /// When it was last used.
    pub last_used_us: Option<i64>,
    /// How long after it was made it may be used, in microseconds.
    pub max_age_us: Option<i64>,
    /// How long it may lie unused, in microseconds.
    pub max_unused_us: Option<i64>,
    /// May make domains.
    pub perm_create_domain: bool,
    /// May delete domains.
    pub perm_delete_domain: bool,
    /// May manage tokens and see the account.
    pub perm_manage_tokens: bool,
    /// Domains made with it get a policy that lets it write them.
    pub auto_policy: bool,
    /// May change nothing at all.
    pub read_only: bool,
    /// The networks it may be used from, in canonical text.
    pub allowed_subnets: Vec<String>,
}

impl Token {
    /// Whether its time has not passed at `now_us`.
    #[must_use]
    pub fn is_valid(&self, now_us: i64) -> bool {
        let fits = |since: i64, span: Option<i64>| span.is_none_or(|span| now_us <= since.saturating_add(span));
        let used = self.last_used_us.unwrap_or(self.created_us).max(self.created_us);
        fits(self.created_us, self.max_age_us) && fits(used, self.max_unused_us)
    }
}

/// The columns of a token, in the order [`token`] reads them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, account, name, created, last_used, max_age, max_unused_period, perm_create_domain, ",
            "perm_delete_domain, perm_manage_tokens, auto_policy, read_only, allowed_subnets FROM tokens ",
            $rest
        )
    };
}

/// Reads the columns of `select!`.
fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    let subnets: String = row.get(12)?;
    Ok(Token {
        id: Uuid::from_bytes(row.get(0)?),
        account: AccountId(row.get(1)?),
        name: row.get(2)?,
        created_us: row.get(3)?,
        last_used_us: row.get(4)?,
        max_age_us: row.get(5)?,
        max_unused_us: row.get(6)?,
        perm_create_domain: row.get(7)?,
        perm_delete_domain: row.get(8)?,
        perm_manage_tokens: row.get(9)?,
        auto_policy: row.get(10)?,
        read_only: row.get(11)?,
        allowed_subnets: subnets.split_ascii_whitespace().map(str::to_owned).collect(),
    })
}

impl Reader<'_> {
    /// The token whose secret has this hash.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn token_by_hash(&self, hash: &[u8; 32]) -> Result<Option<Token>, StoreError> {
        self.row(select!("WHERE hash = ?1"), [hash.as_slice()], token)
    }

    /// A token of an account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn token(&self, account: AccountId, id: Uuid) -> Result<Option<Token>, StoreError> {
        self.row(select!("WHERE id = ?1 AND account = ?2"), params![id.as_bytes(), account.0], token)
    }

    /// The token of a number, whoever has it: for the operator.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn any_token(&self, id: Uuid) -> Result<Option<Token>, StoreError> {
        self.row(select!("WHERE id = ?1"), [id.as_bytes()], token)
    }

    /// All tokens of an account, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tokens(&self, account: AccountId) -> Result<Vec<Token>, StoreError> {
        self.rows(select!("WHERE account = ?1 ORDER BY created DESC, id"), [account.0], token)
    }
}

impl Txn<'_> {
    /// Adds a token with the hash of its secret.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_token(&self, token: &Token, hash: &[u8; 32]) -> Result<(), StoreError> {
        self.room()?;
        self.execute(
            "INSERT INTO tokens (id, account, hash, name, created, last_used, max_age, max_unused_period,
                perm_create_domain, perm_delete_domain, perm_manage_tokens, auto_policy, read_only, allowed_subnets)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            params![
                token.id.as_bytes(),
                token.account.0,
                hash.as_slice(),
                token.name,
                token.created_us,
                token.last_used_us,
                token.max_age_us,
                token.max_unused_us,
                token.perm_create_domain,
                token.perm_delete_domain,
                token.perm_manage_tokens,
                token.auto_policy,
                token.read_only,
                token.allowed_subnets.join(" "),
            ],
        )?;
        Ok(())
    }

    /// Changes a token; its id and account say which.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn update_token(&self, token: &Token) -> Result<(), StoreError> {
        self.execute(
            "UPDATE tokens SET name = ?3, max_age = ?4, max_unused_period = ?5, perm_create_domain = ?6,
                perm_delete_domain = ?7, perm_manage_tokens = ?8, auto_policy = ?9, read_only = ?10,
                allowed_subnets = ?11
             WHERE id = ?1 AND account = ?2",
            params![
                token.id.as_bytes(),
                token.account.0,
                token.name,
                token.max_age_us,
                token.max_unused_us,
                token.perm_create_domain,
                token.perm_delete_domain,
                token.perm_manage_tokens,
                token.auto_policy,
                token.read_only,
                token.allowed_subnets.join(" "),
            ],
        )?;
        Ok(())
    }

    /// Gives a token another secret.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rehash_token(&self, account: AccountId, id: Uuid, hash: &[u8; 32]) -> Result<bool, StoreError> {
        let sql = "UPDATE tokens SET hash = ?3 WHERE id = ?1 AND account = ?2";
        Ok(self.execute(sql, params![id.as_bytes(), account.0, hash.as_slice()])? > 0)
    }

    /// Notes when a token was used; never backwards.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn touch_token(&self, id: Uuid, at_us: i64) -> Result<(), StoreError> {
        let sql = "UPDATE tokens SET last_used = max(ifnull(last_used, 0), ?2) WHERE id = ?1";
        self.execute(sql, params![id.as_bytes(), at_us])?;
        Ok(())
    }

    /// Removes a token of an account; whether it was there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove_token(&self, account: AccountId, id: Uuid) -> Result<bool, StoreError> {
        let sql = "DELETE FROM tokens WHERE id = ?1 AND account = ?2";
        Ok(self.execute(sql, params![id.as_bytes(), account.0])? > 0)
    }
}
