//! What a device has of keys that no domain needs: those that are being made, and those that are to be removed.
//!
//! What stands for a key is what `keys` has in the place of its secret. Invariants: a key is noted here before a device makes
//! it, and until a domain has it, so that none is lost by a crash; one that is given to be removed belongs to no domain, nor
//! to a deletion that can be taken back, from the same transaction on.

use rusqlite::params;

use super::{DomainId, Reader, StoreError, Txn};

/// What begins with this is in a device; the SQL here, and that of the indexes of held keys, has it too.
const HELD: u8 = 2;

/// Since when what is noted is to be removed, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// What was to be made by then, and no domain has.
    pub made_us: i64,
    /// What a domain dropped by then.
    pub dropped_us: i64,
    /// The time: what was given to be removed is due again.
    pub now_us: i64,
}

/// What a device is to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What stood for its secret.
    pub sealed: Vec<u8>,
    /// The name of the domain it was for.
    pub name: String,
}

impl Reader<'_> {
    /// Up to `limit` keys that are due to be removed, the longest due first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn due_objects(&self, due: Due, limit: u32) -> Result<Vec<Object>, StoreError> {
        let sql = "SELECT sealed, name FROM device_objects
            WHERE at <= CASE stage WHEN 'made' THEN ?1 WHEN 'dropped' THEN ?2 ELSE ?3 END ORDER BY at, sealed LIMIT ?4";
        self.rows(sql, params![due.made_us, due.dropped_us, due.now_us, limit], |row| {
            Ok(Object { sealed: row.get(0)?, name: row.get(1)? })
        })
    }

    /// How many keys wait to be removed from a device.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn count_dropped_objects(&self) -> Result<u64, StoreError> {
        Ok(self.row("SELECT count(*) FROM device_objects WHERE stage <> 'made'", [], |row| row.get(0))?.unwrap_or(0))
    }
}

impl Txn<'_> {
    /// Notes a key that is to be made in a device now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn intend_object(&self, object: &Object, now_us: i64) -> Result<(), StoreError> {
        self.room()?;
        let sql = "INSERT INTO device_objects (sealed, name, at, stage) VALUES (?1, ?2, ?3, 'made')";
        self.execute(sql, params![object.sealed, object.name, now_us])?;
        Ok(())
    }

    /// Has a key removed at the next occasion that no domain took; of one that is not noted nothing changes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn decline_object(&self, sealed: &[u8]) -> Result<(), StoreError> {
        self.execute(
            "UPDATE device_objects SET stage = 'dropped', at = 0 WHERE sealed = ?1 AND stage = 'made'",
            [sealed],
        )?;
        Ok(())
    }

    /// Has a domain have the key that was made for it, or one that it had.
    ///
    /// # Errors
    /// [`StoreError::Removed`] if it is going for good.
    pub(super) fn claim_object(&self, sealed: &[u8]) -> Result<(), StoreError> {
        if sealed.first() != Some(&HELD) {
            return Ok(());
        }
        self.execute("DELETE FROM device_objects WHERE sealed = ?1 AND stage <> 'going'", [sealed])?;
        let going = self.row("SELECT 1 FROM device_objects WHERE sealed = ?1", [sealed], |_| Ok(()))?;
        going.map_or(Ok(()), |()| Err(StoreError::Removed))
    }

    /// Notes that a key by its number, or all of a domain, lose it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn drop_objects(
        &self,
        key: Option<i64>,
        domain: Option<DomainId>,
        at_us: i64,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO device_objects (sealed, name, at, stage)
             SELECT k.sealed, d.name, ?3, 'dropped' FROM keys k JOIN domains d ON d.id = k.domain
             WHERE (k.id = ?1 OR k.domain = ?2) AND substr(k.sealed, 1, 1) = x'02'
             ON CONFLICT (sealed) DO UPDATE SET at = ?3, stage = 'dropped'",
            params![key, domain.map(|domain| domain.0), at_us],
        )?;
        Ok(())
    }

    /// Gives a key to be removed: a deletion that it was kept for is taken back with other keys from now on. False if a domain
    /// has it, and then it is not noted any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn let_object_go(&self, sealed: &[u8], now_us: i64) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM keys WHERE sealed = ?1 AND substr(sealed, 1, 1) = x'02'";
        if self.row(sql, [sealed], |_| Ok(()))?.is_some() {
            self.forget_object(sealed)?;
            return Ok(false);
        }
        // All keys of the deletion: with a part of them the domain would be signed in part.
        self.execute(
            "DELETE FROM released_keys WHERE change IN
                (SELECT change FROM released_keys WHERE sealed = ?1 AND substr(sealed, 1, 1) = x'02')",
            [sealed],
        )?;
        self.put_off_object(sealed, now_us)?;
        Ok(true)
    }

    /// Has the removal of a key that is going tried again from a time on, in microseconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_off_object(&self, sealed: &[u8], until_us: i64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE device_objects SET stage = 'going', at = ?2 WHERE sealed = ?1",
            params![sealed, until_us],
        )?;
        Ok(())
    }

    /// Forgets a key that a device no longer has, or never had.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_object(&self, sealed: &[u8]) -> Result<(), StoreError> {
        self.execute("DELETE FROM device_objects WHERE sealed = ?1", [sealed])?;
        Ok(())
    }
}
