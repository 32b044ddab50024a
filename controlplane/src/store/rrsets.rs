//! RRsets and their records.
//!
//! Invariant: the checksum of an RRset is that of its content, and reading believes no row without it:
//! SQLite's pages carry none, and `integrity_check` does not notice a flipped bit in a value.

use rusqlite::{Row, params};
use snapshot::dns::rtype::Rtype;

use super::{AccountId, DomainId, Reader, StoreError, Txn};

/// An RRset of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rrset {
    /// Its number; 0 before it is stored.
    pub id: i64,
    /// The owner's sort key below the apex.
    pub node: Vec<u8>,
    /// The owner below the apex; empty for the apex.
    pub subname: String,
    /// Its type.
    pub rtype: Rtype,
    /// TTL in seconds.
    pub ttl_secs: u32,
    /// When it was made, in microseconds since 1970.
    pub created_us: i64,
    /// When it was last written.
    pub touched_us: i64,
    /// Its records, in the order they were stored.
    pub records: Vec<Record>,
}

/// A record of an RRset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number, stable while its RDATA stays; 0 before it is stored.
    pub id: i64,
    /// Presentation format.
    pub content: String,
    /// Wire format.
    pub rdata: Vec<u8>,
    /// Its share among enabled records, where shares are used.
    pub weight: Option<u32>,
    /// Where it is answered, where places are used.
    pub geo: Option<String>,
    /// Whether it is answered at all.
    pub enabled: bool,
    /// A note for people.
    pub comment: Option<String>,
}

/// Which RRsets are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this subname.
    pub subname: Option<String>,
    /// Only of this type.
    pub rtype: Option<Rtype>,
}

impl Record {
    /// A record that is not stored yet, with nothing beside its content: presentation and wire format.
    #[must_use]
    pub fn new(content: String, rdata: Vec<u8>) -> Record {
        Record { id: 0, content, rdata, weight: None, geo: None, enabled: true, comment: None }
    }

    /// For how many regions it is compiled, at least one: those of `geo`, which commas separate.
    #[must_use]
    pub fn region_count(&self) -> usize {
        self.geo.as_ref().map_or(1, |geo| geo.split(',').count())
    }
}

impl Rrset {
    /// What the row must sum up to.
    fn checksum(&self) -> i64 {
        let mut hash = blake3::Hasher::new();
        hash.update(&u32::try_from(self.node.len()).unwrap_or(u32::MAX).to_le_bytes()).update(&self.node);
        hash.update(self.subname.as_bytes()).update(&[0]);
        hash.update(&self.rtype.0.to_le_bytes()).update(&self.ttl_secs.to_le_bytes());
        for record in &self.records {
            hash.update(&u32::try_from(record.rdata.len()).unwrap_or(u32::MAX).to_le_bytes()).update(&record.rdata);
            hash.update(&[u8::from(record.enabled)]);
            // Rows without either keep the sum that they had before there were such.
            if record.weight.is_some() || record.geo.is_some() {
                let geo = record.geo.as_deref().unwrap_or_default();
                hash.update(&record.weight.unwrap_or(0).to_le_bytes());
                hash.update(&u32::try_from(geo.len()).unwrap_or(u32::MAX).to_le_bytes()).update(geo.as_bytes());
            }
        }
        let mut octets = [0; 8];
        octets.copy_from_slice(&hash.finalize().as_bytes()[..8]);
        i64::from_le_bytes(octets)
    }

    /// The records that are answered.
    pub fn enabled(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| record.enabled)
    }
}

/// The columns of an RRset, in the order [`rrset`] reads them.
macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, node, subname, rtype, ttl, created, touched, checksum FROM rrsets ", $rest)
    };
}

/// Reads the columns of `select!`; the records come later. The checksum stands beside.
fn rrset(row: &Row<'_>) -> rusqlite::Result<(Rrset, i64)> {
    let rrset = Rrset {
        id: row.get(0)?,
        node: row.get(1)?,
        subname: row.get(2)?,
        rtype: Rtype(row.get(3)?),
        ttl_secs: row.get(4)?,
        created_us: row.get(5)?,
        touched_us: row.get(6)?,
        records: Vec::new(),
    };
    Ok((rrset, row.get(7)?))
}

/// Reads a record.
fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        id: row.get(0)?,
        content: row.get(1)?,
        rdata: row.get(2)?,
        weight: row.get(3)?,
        geo: row.get(4)?,
        enabled: row.get(5)?,
        comment: row.get(6)?,
    })
}

impl Reader<'_> {
    /// One RRset of a domain.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rrset(&self, domain: DomainId, node: &[u8], rtype: Rtype) -> Result<Option<Rrset>, StoreError> {
        let sql = select!("WHERE domain = ?1 AND node = ?2 AND rtype = ?3");
        self.row(sql, params![domain.0, node, rtype.0], rrset)?.map(|found| self.complete(found)).transpose()
    }

    /// The RRset that a record of this number belongs to, with the domain's number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rrset_of_record(&self, record: i64) -> Result<Option<(DomainId, Rrset)>, StoreError> {
        let sql = "SELECT s.domain, s.node, s.rtype FROM records r JOIN rrsets s ON s.id = r.rrset WHERE r.id = ?1";
        let found =
            self.row(sql, [record], |row| Ok((DomainId(row.get(0)?), row.get::<_, Vec<u8>>(1)?, Rtype(row.get(2)?))))?;
        let Some((domain, node, rtype)) = found else { return Ok(None) };
        Ok(self.rrset(domain, &node, rtype)?.map(|rrset| (domain, rrset)))
    }

    /// The RRsets of one owner, by type.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rrsets_of(&self, domain: DomainId, node: &[u8]) -> Result<Vec<Rrset>, StoreError> {
        let sql = select!("WHERE domain = ?1 AND node = ?2 ORDER BY rtype");
        self.complete_all(self.rows(sql, params![domain.0, node], rrset)?)
    }

    /// The types of one owner, ascending.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn types_of(&self, domain: DomainId, node: &[u8]) -> Result<Vec<Rtype>, StoreError> {
        let sql = "SELECT rtype FROM rrsets WHERE domain = ?1 AND node = ?2 ORDER BY rtype";
        self.rows(sql, params![domain.0, node], |row| Ok(Rtype(row.get(0)?)))
    }

    /// How many RRsets a domain has that pass a filter.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rrset_count(&self, domain: DomainId, filter: &Filter) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM rrsets
                   WHERE domain = ?1 AND (?2 IS NULL OR subname = ?2) AND (?3 IS NULL OR rtype = ?3)";
        let params = params![domain.0, filter.subname, filter.rtype.map(|rtype| rtype.0)];
        Ok(self.row(sql, params, |row| row.get(0))?.unwrap_or(0))
    }

    /// How many records all domains of an account have together. O(records).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn account_record_count(&self, account: AccountId) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM domains d CROSS JOIN rrsets s ON s.domain = d.id
                   CROSS JOIN records r ON r.rrset = s.id WHERE d.account = ?1";
        Ok(self.row(sql, [account.0], |row| row.get(0))?.unwrap_or(0))
    }

    /// How many answers a domain can have in place of RRsets, at most: a record with regions or a weight for each of its regions.
    /// O(records).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn alternative_count(&self, domain: DomainId) -> Result<u64, StoreError> {
        let sql = "SELECT ifnull(sum(1 + ifnull(octet_length(r.geo) - octet_length(replace(r.geo, ',', '')), 0)), 0)
                   FROM rrsets s CROSS JOIN records r ON r.rrset = s.id
                   WHERE s.domain = ?1 AND (r.weight IS NOT NULL OR r.geo IS NOT NULL)";
        Ok(self.row(sql, [domain.0], |row| row.get(0))?.unwrap_or(0))
    }

    /// Up to `limit` RRsets, newest first, before the position (created, number) or from the newest on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rrsets_before(
        &self,
        domain: DomainId,
        filter: &Filter,
        before: Option<(i64, i64)>,
        limit: usize,
    ) -> Result<Vec<Rrset>, StoreError> {
        let (created, id) = before.unwrap_or((i64::MAX, i64::MAX));
        let sql = select!(
            "WHERE domain = ?1 AND (?2 IS NULL OR subname = ?2) AND (?3 IS NULL OR rtype = ?3)
               AND (created, id) < (?4, ?5) ORDER BY created DESC, id DESC LIMIT ?6"
        );
        self.page(sql, domain, filter, (created, id), limit)
    }

    /// Up to `limit` RRsets after a position, in ascending order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rrsets_after(
        &self,
        domain: DomainId,
        filter: &Filter,
        after: (i64, i64),
        limit: usize,
    ) -> Result<Vec<Rrset>, StoreError> {
        let sql = select!(
            "WHERE domain = ?1 AND (?2 IS NULL OR subname = ?2) AND (?3 IS NULL OR rtype = ?3)
               AND (created, id) > (?4, ?5) ORDER BY created, id LIMIT ?6"
        );
        self.page(sql, domain, filter, after, limit)
    }

    /// One page of a list.
    fn page(
        &self,
        sql: &'static str,
        domain: DomainId,
        filter: &Filter,
        at: (i64, i64),
        limit: usize,
    ) -> Result<Vec<Rrset>, StoreError> {
        let rtype = filter.rtype.map(|rtype| rtype.0);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.complete_all(self.rows(sql, params![domain.0, filter.subname, rtype, at.0, at.1, limit], rrset)?)
    }

    /// All RRsets of a domain in canonical order of their owners, one by one.
    ///
    /// # Errors
    /// [`StoreError`], [`StoreError::Damaged`] for a row whose checksum is wrong; or what `each` returns.
    pub fn each_rrset<E: From<StoreError>>(
        &self,
        domain: DomainId,
        mut each: impl FnMut(Rrset) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = select!("WHERE domain = ?1 ORDER BY node, rtype");
        let mut statement = self.statement(sql)?;
        let mut rows = statement.query([domain.0]).map_err(StoreError::from)?;
        while let Some(row) = rows.next().map_err(StoreError::from)? {
            let found = rrset(row).map_err(StoreError::from)?;
            each(self.complete(found)?)?;
        }
        Ok(())
    }

    /// Up to `limit` owners strictly below an owner, as (sort key, subname), in canonical order. An owner all of whose
    /// records are disabled is none: it does not exist for those who ask.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn nodes_below(
        &self,
        domain: DomainId,
        node: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, String)>, StoreError> {
        let mut high = node.to_vec();
        // A key below begins with this one, goes on with an octet that is no separator, and 255 is the greatest.
        high.extend([255; 256]);
        let sql = "SELECT DISTINCT node, subname FROM rrsets WHERE domain = ?1 AND node > ?2 AND node < ?3
                   AND EXISTS (SELECT 1 FROM records WHERE records.rrset = rrsets.id AND records.enabled = 1)
                   ORDER BY node LIMIT ?4";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows(sql, params![domain.0, node, high, limit], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// The owner after a sort key in canonical order, as [`Reader::nodes_below`] gives it; `None` after the last one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn node_after(&self, domain: DomainId, node: &[u8]) -> Result<Option<(Vec<u8>, String)>, StoreError> {
        let sql = "SELECT node, subname FROM rrsets WHERE domain = ?1 AND node > ?2
                   AND EXISTS (SELECT 1 FROM records WHERE records.rrset = rrsets.id AND records.enabled = 1)
                   ORDER BY node LIMIT 1";
        self.row(sql, params![domain.0, node], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// The owner before a sort key; `None` before the first one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn node_before(&self, domain: DomainId, node: &[u8]) -> Result<Option<(Vec<u8>, String)>, StoreError> {
        let sql = "SELECT node, subname FROM rrsets WHERE domain = ?1 AND node < ?2
                   AND EXISTS (SELECT 1 FROM records WHERE records.rrset = rrsets.id AND records.enabled = 1)
                   ORDER BY node DESC LIMIT 1";
        self.row(sql, params![domain.0, node], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Adds the records and compares the checksum.
    fn complete(&self, (mut rrset, checksum): (Rrset, i64)) -> Result<Rrset, StoreError> {
        let sql = "SELECT id, content, rdata, weight, geo, enabled, comment FROM records WHERE rrset = ?1 ORDER BY id";
        rrset.records = self.rows(sql, [rrset.id], record)?;
        if rrset.checksum() == checksum { Ok(rrset) } else { Err(StoreError::Damaged("an RRset")) }
    }

    /// Adds the records of many.
    fn complete_all(&self, found: Vec<(Rrset, i64)>) -> Result<Vec<Rrset>, StoreError> {
        found.into_iter().map(|found| self.complete(found)).collect()
    }
}

impl Txn<'_> {
    /// Adds an RRset to a domain of an account and gives it and its records their numbers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_rrset(&self, domain: DomainId, account: AccountId, rrset: &mut Rrset) -> Result<(), StoreError> {
        self.room()?;
        rrset.id = self.insert(
            "INSERT INTO rrsets (domain, account, node, subname, rtype, ttl, created, touched, checksum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                domain.0,
                account.0,
                rrset.node,
                rrset.subname,
                rrset.rtype.0,
                rrset.ttl_secs,
                rrset.created_us,
                rrset.touched_us,
                rrset.checksum(),
            ],
        )?;
        for record in &mut rrset.records {
            self.add_record(rrset.id, record)?;
        }
        Ok(())
    }

    /// Writes TTL, times and records of an RRset; records with a number stay, others are added, missing ones removed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn update_rrset(&self, rrset: &mut Rrset) -> Result<(), StoreError> {
        let stored = self.rows("SELECT id FROM records WHERE rrset = ?1", [rrset.id], |row| row.get::<_, i64>(0))?;
        for id in stored {
            if rrset.records.iter().all(|record| record.id != id) {
                self.execute("DELETE FROM records WHERE id = ?1", [id])?;
            }
        }
        for record in &mut rrset.records {
            if record.id == 0 {
                self.add_record(rrset.id, record)?;
            } else {
                let Record { id, content, rdata, weight, geo, enabled, comment } = &*record;
                self.execute(
                    "UPDATE records SET content = ?2, rdata = ?3, weight = ?4, geo = ?5, enabled = ?6, comment = ?7
                     WHERE id = ?1",
                    params![id, content, rdata, weight, geo, enabled, comment],
                )?;
            }
        }
        // Records are read in the order of their numbers, and the checksum is made in that order.
        rrset.records.sort_by_key(|record| record.id);
        self.execute(
            "UPDATE rrsets SET ttl = ?2, touched = ?3, checksum = ?4 WHERE id = ?1",
            params![rrset.id, rrset.ttl_secs, rrset.touched_us, rrset.checksum()],
        )?;
        Ok(())
    }

    /// Removes an RRset with its records.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove_rrset(&self, id: i64) -> Result<(), StoreError> {
        self.execute("DELETE FROM rrsets WHERE id = ?1", [id])?;
        Ok(())
    }

    /// Adds a record.
    fn add_record(&self, rrset: i64, record: &mut Record) -> Result<(), StoreError> {
        self.room()?;
        let Record { content, rdata, weight, geo, enabled, comment, .. } = &*record;
        record.id = self.insert(
            "INSERT INTO records (rrset, content, rdata, weight, geo, enabled, comment)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![rrset, content, rdata, weight, geo, enabled, comment],
        )?;
        Ok(())
    }
}
