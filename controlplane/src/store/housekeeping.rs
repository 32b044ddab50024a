//! Settings, throttle logs, and the journal's end: rows that belong to no tenant's data.

use rusqlite::params;

use super::{ChangeId, Reader, StoreError, Txn};

/// A request that counts against a throttle: scope, bucket, identity, time in microseconds since 1970.
pub type Throttled = (String, String, String, i64);

/// The setting that holds the fencing epoch.
const EPOCH: &str = "epoch";
/// The setting that holds the latest time that was believed.
const CLOCK_MARK: &str = "clock-mark";
/// The setting that holds both clocks when a time was first believed since the machine started.
const CLOCK_ANCHOR: &str = "clock-anchor";

/// How many rows of the journal of generations are kept.
const GENERATIONS_KEPT: i64 = 10_000;

impl Reader<'_> {
    /// What is wrong with the pages and rows of the file, in SQLite's words; nothing if it is sound. Reads the whole file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn damages(&self) -> Result<Vec<String>, StoreError> {
        let mut found: Vec<String> = self.rows("PRAGMA quick_check(10)", [], |row| row.get(0))?;
        found.retain(|finding| finding != "ok");
        Ok(found)
    }

    /// A setting.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn setting(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.row("SELECT value FROM settings WHERE key = ?1", [key], |row| row.get(0))
    }

    /// The requests that count against throttles.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn throttled(&self) -> Result<Vec<Throttled>, StoreError> {
        let sql = "SELECT scope, bucket, identity, at FROM throttle ORDER BY at";
        self.rows(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
    }

    /// The first published generation that has a change-set.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn generation_of(&self, change: ChangeId) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT generation FROM generations WHERE change >= ?1 ORDER BY change, generation LIMIT 1";
        self.row(sql, [change.0], |row| row.get(0))
    }
}

impl Txn<'_> {
    /// Writes a setting.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let sql = "INSERT INTO settings (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
        self.execute(sql, params![key, value])?;
        Ok(())
    }

    /// Replaces the requests that count against throttles.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn replace_throttled(&self, requests: &[Throttled]) -> Result<(), StoreError> {
        self.execute("DELETE FROM throttle", [])?;
        for (scope, bucket, identity, at) in requests {
            let sql = "INSERT INTO throttle (scope, bucket, identity, at) VALUES (?1, ?2, ?3, ?4)";
            self.insert(sql, params![scope, bucket, identity, at])?;
        }
        Ok(())
    }

    /// Forgets the oldest rows of the journal of generations.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn trim_generations(&self, newest: u64) -> Result<(), StoreError> {
        let oldest = i64::try_from(newest).unwrap_or(i64::MAX) - GENERATIONS_KEPT;
        self.execute("DELETE FROM generations WHERE generation < ?1", [oldest])?;
        Ok(())
    }
}

impl Reader<'_> {
    /// The fencing epoch of the control plane that opened the database last; 0 before the first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn epoch(&self) -> Result<u64, StoreError> {
        Ok(self.setting(EPOCH)?.and_then(|octets| octets.try_into().ok()).map_or(0, u64::from_le_bytes))
    }

    /// The latest time that a control plane believed, in microseconds since 1970; `None` before the first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn clock_mark(&self) -> Result<Option<i64>, StoreError> {
        Ok(self.setting(CLOCK_MARK)?.and_then(|octets| octets.try_into().ok()).map(i64::from_le_bytes))
    }

    /// Both clocks when a control plane first believed the time since the machine started.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn clock_anchor(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.setting(CLOCK_ANCHOR)
    }
}

impl Txn<'_> {
    /// Keeps the latest time that was believed, in microseconds since 1970, and the clocks of [`Reader::clock_anchor`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_clock(&self, mark_us: i64, anchor: Option<&[u8]>) -> Result<(), StoreError> {
        self.set(CLOCK_MARK, &mark_us.to_le_bytes())?;
        anchor.map_or(Ok(()), |anchor| self.set(CLOCK_ANCHOR, anchor))
    }

    /// Takes back what was done at times that are ahead, in microseconds since 1970: domains that were signed or changed then
    /// are due to be signed anew, and the waits of rollovers that began then begin now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn turn_back(&self, now_us: i64) -> Result<(), StoreError> {
        // A change signs what it touches, and `signed` does not tell of that. Reads the whole history, once an accident.
        let sql = "UPDATE domains SET signed = 0 WHERE denial <> 'off'
            AND (signed > ?1 OR id IN (SELECT domain FROM change_sets WHERE at > ?1))";
        self.execute(sql, [now_us])?;
        let sql = "UPDATE keys SET since = min(since, ?1), ds_seen = min(ds_seen, ?1), ds_gone = min(ds_gone, ?1)
            WHERE max(since, ifnull(ds_seen, 0), ifnull(ds_gone, 0)) > ?1";
        self.execute(sql, [now_us])?;
        self.execute("UPDATE rollovers SET next = ?1 WHERE next > ?1", [now_us])?;
        self.execute("UPDATE device_objects SET at = ?1 WHERE at > ?1", [now_us])?;
        Ok(())
    }

    /// Takes a fencing epoch that no control plane had before, neither with this database nor with the directory of
    /// snapshots, which has seen `of_directory`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn next_epoch(&self, of_directory: u64) -> Result<u64, StoreError> {
        let epoch = self.epoch()?.max(of_directory).saturating_add(1);
        self.set(EPOCH, &epoch.to_le_bytes())?;
        Ok(epoch)
    }
}
