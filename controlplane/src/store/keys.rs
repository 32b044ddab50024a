//! DNSSEC keys of domains: the public part in the clear, the secret sealed by whoever made them.

use rusqlite::{Row, params};

use super::domains::{Denial, Domain};
use super::{AccountId, ChangeId, DomainId, Reader, StoreError, Txn};

/// A key that is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// What it is for: `csk`, `ksk` or `zsk`.
    pub role: String,
    /// Its algorithm (RFC 8624).
    pub algorithm: u8,
    /// Its tag (RFC 4034 appendix B).
    pub tag: u16,
    /// The public key as DNSKEY has it.
    pub public: Vec<u8>,
    /// The secret, sealed.
    pub sealed: Vec<u8>,
}

/// A key of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its number here.
    pub id: i64,
    /// What was kept.
    pub key: NewKey,
    /// Whether it signs; else it is only announced.
    pub active: bool,
    /// When it was made, in microseconds since 1970.
    pub created_us: i64,
}

/// Reads a key.
fn key(row: &Row<'_>) -> rusqlite::Result<StoredKey> {
    let key = NewKey {
        role: row.get(1)?,
        algorithm: row.get(2)?,
        tag: row.get(3)?,
        public: row.get(4)?,
        sealed: row.get(5)?,
    };
    Ok(StoredKey { id: row.get(0)?, key, active: row.get(6)?, created_us: row.get(7)? })
}

impl Reader<'_> {
    /// The keys of a domain, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keys(&self, domain: DomainId) -> Result<Vec<StoredKey>, StoreError> {
        let sql = "SELECT id, role, algorithm, tag, public, sealed, active, created FROM keys WHERE domain = ?1
            ORDER BY id";
        self.rows(sql, [domain.0], key)
    }
}

impl Reader<'_> {
    /// Whether any domain has a key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn has_keys(&self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 WHERE EXISTS (SELECT 1 FROM keys) OR EXISTS (SELECT 1 FROM released_keys)";
        Ok(self.row(sql, [], |_| Ok(()))?.is_some())
    }

    /// How the domain denied that this change-set deleted, and its keys; `None` if it was not signed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn released_keys(&self, deletion: ChangeId) -> Result<Option<(Denial, Vec<NewKey>)>, StoreError> {
        let sql =
            "SELECT denial, role, algorithm, tag, public, sealed FROM released_keys WHERE change = ?1 ORDER BY tag";
        let rows = self.rows(sql, [deletion.0], |row| {
            let denial: String = row.get(0)?;
            let (role, algorithm, tag) = (row.get(1)?, row.get(2)?, row.get(3)?);
            Ok((denial, NewKey { role, algorithm, tag, public: row.get(4)?, sealed: row.get(5)? }))
        })?;
        let denial = rows.first().and_then(|(denial, _)| Denial::parse(denial));
        Ok(denial.map(|denial| (denial, rows.into_iter().map(|(_, key)| key).collect())))
    }
}

impl Txn<'_> {
    /// Keeps the keys of a signed domain whose latest change is its deletion.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn release_keys(&self, domain: &Domain) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO released_keys (change, denial, role, algorithm, tag, public, sealed)
             SELECT ?2, ?3, role, algorithm, tag, public, sealed FROM keys WHERE domain = ?1",
            params![domain.id.0, domain.change.0, domain.denial.as_str()],
        )?;
        Ok(())
    }

    /// Adds a key to a domain of an account; false if that has one of this tag, which validators could mix up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_key(&self, account: AccountId, domain: DomainId, key: &NewKey, now_us: i64) -> Result<bool, StoreError> {
        self.room()?;
        let NewKey { role, algorithm, tag, public, sealed } = key;
        let added = self.execute(
            "INSERT INTO keys (domain, account, role, algorithm, tag, public, sealed, created)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (domain, tag) DO NOTHING",
            params![domain.0, account.0, role, algorithm, tag, public, sealed, now_us],
        )?;
        Ok(added > 0)
    }

    /// Removes all keys of a domain; how many it had.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove_keys(&self, domain: DomainId) -> Result<usize, StoreError> {
        self.execute("DELETE FROM keys WHERE domain = ?1", [domain.0])
    }
}
