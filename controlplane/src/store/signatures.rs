//! Until when the signatures in service hold, by domain: what alarms go by, also after a restart.

use rusqlite::params;

use super::{ChangeId, DomainId, Reader, StoreError, Txn};

/// The signatures of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The name of the domain.
    pub name: String,
    /// When the first of them ends, in seconds since 1970.
    pub at_unix_secs: u64,
}

impl Reader<'_> {
    /// Up to `limit` signed domains in service of which a signature ends before a time, in seconds since 1970, the first to end
    /// first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn signatures_ending(&self, before_unix_secs: u64, limit: usize) -> Result<Vec<Ending>, StoreError> {
        // CROSS JOIN keeps the order of the tables: the few that end soon are found by the index of ends.
        let sql = "SELECT d.name, s.ends FROM signatures s CROSS JOIN domains d ON d.id = s.domain
            CROSS JOIN accounts a ON a.id = d.account
            WHERE s.ends < ?1 AND d.denial <> 'off' AND d.unproved IS NULL AND a.active ORDER BY s.ends LIMIT ?2";
        let before = i64::try_from(before_unix_secs).unwrap_or(i64::MAX);
        self.rows(sql, params![before, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            Ok(Ending { name: row.get(0)?, at_unix_secs: row.get(1)? })
        })
    }

    /// Whether a zone with this serial, in a generation that goes up to a change, can be what was published of a signed
    /// domain: a change of it made that serial by then, and it was published signed. Whatever else is served under its name
    /// came from elsewhere.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn has_published(&self, domain: DomainId, serial: u32, by: ChangeId) -> Result<bool, StoreError> {
        // The newest first: what is served is seldom old.
        let sql = "SELECT 1 FROM change_sets WHERE domain = ?1 AND serial = ?2 AND id <= ?3
            AND EXISTS (SELECT 1 FROM signatures WHERE domain = ?1) ORDER BY id DESC LIMIT 1";
        Ok(self.row(sql, params![domain.0, serial, by.0], |_| Ok(()))?.is_some())
    }

    /// How many signed domains in service have a signature that ends before a time, in seconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn count_signatures_ending(&self, before_unix_secs: u64) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM signatures s CROSS JOIN domains d ON d.id = s.domain
            CROSS JOIN accounts a ON a.id = d.account
            WHERE s.ends < ?1 AND d.denial <> 'off' AND d.unproved IS NULL AND a.active";
        let before = i64::try_from(before_unix_secs).unwrap_or(i64::MAX);
        Ok(self.row(sql, [before], |row| row.get(0))?.unwrap_or(0))
    }
}

impl Txn<'_> {
    /// Notes when the first signature of domains ends, in seconds since 1970; those that are gone are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn note_signatures(&self, ends: &[(DomainId, u64)]) -> Result<(), StoreError> {
        for (domain, ends) in ends {
            self.execute(
                "INSERT INTO signatures (domain, ends) SELECT id, ?2 FROM domains WHERE id = ?1
                 ON CONFLICT (domain) DO UPDATE SET ends = ?2 WHERE ends <> ?2",
                params![domain.0, ends],
            )?;
        }
        Ok(())
    }

    /// Forgets the signatures of a domain that is no longer signed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_signatures(&self, domain: DomainId) -> Result<(), StoreError> {
        self.execute("DELETE FROM signatures WHERE domain = ?1", [domain.0])?;
        Ok(())
    }
}
