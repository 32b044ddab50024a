//! Token policies: what a token may write, by domain, subname and type.

use rusqlite::{Row, params};
use uuid::Uuid;

use super::{AccountId, DomainId, Reader, StoreError, Txn};

/// A policy of a token; `None` in a place means any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What the world knows it by.
    pub id: Uuid,
    /// The domain, with its name for people.
    pub domain: Option<(DomainId, String)>,
    /// The subname.
    pub subname: Option<String>,
    /// The type's mnemonic.
    pub rtype: Option<String>,
    /// Whether writing is allowed.
    pub perm_write: bool,
}

impl Policy {
    /// Whether it is the default policy.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.domain.is_none() && self.subname.is_none() && self.rtype.is_none()
    }

    /// Whether two policies speak of the same.
    #[must_use]
    pub fn has_scope_of(&self, other: &Policy) -> bool {
        let domain = |policy: &Policy| policy.domain.as_ref().map(|(id, _)| *id);
        domain(self) == domain(other) && self.subname == other.subname && self.rtype == other.rtype
    }
}

/// Reads a policy with the name of its domain.
fn policy(row: &Row<'_>) -> rusqlite::Result<Policy> {
    let domain: Option<i64> = row.get(1)?;
    let name: Option<String> = row.get(2)?;
    Ok(Policy {
        id: Uuid::from_bytes(row.get(0)?),
        domain: domain.map(DomainId).zip(name),
        subname: row.get(3)?,
        rtype: row.get(4)?,
        perm_write: row.get(5)?,
    })
}

impl Reader<'_> {
    /// The policies of a token, the default one first, then by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn policies(&self, token: Uuid) -> Result<Vec<Policy>, StoreError> {
        self.rows(
            "SELECT p.id, p.domain, d.name, p.subname, p.rtype, p.perm_write
             FROM token_policies p LEFT JOIN domains d ON d.id = p.domain
             WHERE p.token = ?1 ORDER BY p.domain IS NOT NULL, d.name, p.subname, p.rtype",
            [token.as_bytes()],
            policy,
        )
    }
}

impl Txn<'_> {
    /// Adds a policy to a token of an account; false if one for the same is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_policy(&self, account: AccountId, token: Uuid, policy: &Policy) -> Result<bool, StoreError> {
        let domain = policy.domain.as_ref().map(|(id, _)| id.0);
        let Policy { id, subname, rtype, perm_write, .. } = policy;
        self.room()?;
        let added = self.execute(
            "INSERT INTO token_policies (id, token, account, domain, subname, rtype, perm_write)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            params![id.as_bytes(), token.as_bytes(), account.0, domain, subname, rtype, perm_write],
        )?;
        Ok(added > 0)
    }

    /// Changes a policy; its id says which. The caller has made sure that its scope is free.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn update_policy(&self, token: Uuid, policy: &Policy) -> Result<(), StoreError> {
        let domain = policy.domain.as_ref().map(|(id, _)| id.0);
        let Policy { id, subname, rtype, perm_write, .. } = policy;
        self.execute(
            "UPDATE token_policies SET domain = ?3, subname = ?4, rtype = ?5, perm_write = ?6
             WHERE id = ?1 AND token = ?2",
            params![id.as_bytes(), token.as_bytes(), domain, subname, rtype, perm_write],
        )?;
        Ok(())
    }

    /// Removes a policy of a token; whether it was there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove_policy(&self, token: Uuid, id: Uuid) -> Result<bool, StoreError> {
        let sql = "DELETE FROM token_policies WHERE id = ?1 AND token = ?2";
        Ok(self.execute(sql, params![id.as_bytes(), token.as_bytes()])? > 0)
    }
}
