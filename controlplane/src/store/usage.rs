//! How much an account has, counted with each change, and how much it may have.
//!
//! The counters lie in the account's row and change in the transaction that changes what they count, so that a write costs
//! the same however much there is. Invariant: they are what [`Reader::recounted`] finds; `doctor` compares the two.

use rusqlite::{Row, params};
use snapshot::dns::rtype::Rtype;

use super::rrsets::{Record, Rrset};
use super::{AccountId, Reader, StoreError, Txn};
use crate::value::Class;

/// Microseconds of the hour in which writes are counted.
pub const HOUR_US: i64 = 3_600_000_000;
/// Microseconds of the day in which the bytes of change-sets are counted.
pub const DAY_US: i64 = 24 * HOUR_US;
/// The most bytes of change-sets that an account of class `hosting` adds in a day, unless something else is said: enough to
/// swap all it may hold once, which is remembered before and after, each half as long again as its RDATA. They are kept, so
/// this is what bounds the growth of the database by a tenant who swaps the same few records all day.
const HISTORY_PER_DAY: u32 = 64 << 20;

/// How much an account may have; `None` for as much as it likes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Domains.
    pub domains: Option<u32>,
    /// RRsets in all its domains together.
    pub rrsets: Option<u32>,
    /// Records in all its domains together, as [`Usage`] counts them.
    pub records: Option<u32>,
    /// Bytes of RDATA and comments in all its domains together, as [`Usage`] counts them.
    pub bytes: Option<u32>,
    /// Changes that are published, in an hour.
    pub writes_per_hour: Option<u32>,
    /// Bytes of change-sets, in a day; one that begins below it may end above.
    pub history_per_day: Option<u32>,
}

impl Quotas {
    /// What a new account of a class may have, unless something else is said.
    ///
    /// | quota | hosting | why |
    /// |---|---|---|
    /// | domains | any | the operator says it per tenant, as version 1 of the API knows it |
    /// | RRsets | any | the records bound them |
    /// | records | 100,000 | ten times the largest zone that people write by hand; some 20 MB of database |
    /// | bytes of RDATA and comments | 16 MiB | 160 a record, where an address has 4 and a long key 400 |
    /// | writes an hour | 2,000 | the requests that its throttle lets through in a day: it bounds the doors that are not throttled |
    /// | bytes of history a day | 64 MiB | all it may hold, swapped once |
    #[must_use]
    pub const fn of(class: Class) -> Quotas {
        let none = Quotas {
            domains: None,
            rrsets: None,
            records: None,
            bytes: None,
            writes_per_hour: None,
            history_per_day: None,
        };
        match class {
            Class::Operator => none,
            Class::Hosting => Quotas {
                records: Some(100_000),
                bytes: Some(16 << 20),
                writes_per_hour: Some(2000),
                history_per_day: Some(HISTORY_PER_DAY),
                ..none
            },
        }
    }
}

/// How much an account has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Domains.
    pub domains: u64,
    /// RRsets, those of SOA and signals of name servers not among them.
    pub rrsets: u64,
    /// Records, disabled ones too. One that is meant for several regions counts once for each: so often it is compiled, and
    /// each time it can be an answer with signatures of its own.
    pub records: u64,
    /// Bytes of their RDATA, as often as they count, and of their comments.
    pub bytes: u64,
}

/// The writes that an account made in its last hour of writing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Writes {
    /// When that hour began, in microseconds since 1970.
    pub since_us: i64,
    /// How many.
    pub count: u32,
}

impl Writes {
    /// Those that count at a time: an hour that is over counts no more, and neither does one that a clock has set ahead.
    #[must_use]
    pub fn at(self, now_us: i64) -> Writes {
        let is_now = (self.since_us..self.since_us.saturating_add(HOUR_US)).contains(&now_us);
        if is_now { self } else { Writes { since_us: now_us, count: 0 } }
    }
}

/// The bytes of change-sets that an account added in its last day of writing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// When that day began, in microseconds since 1970.
    pub since_us: i64,
    /// How many.
    pub bytes: u64,
}

impl History {
    /// Those that count at a time, as with [`Writes::at`].
    #[must_use]
    pub fn at(self, now_us: i64) -> History {
        let is_now = (self.since_us..self.since_us.saturating_add(DAY_US)).contains(&now_us);
        if is_now { self } else { History { since_us: now_us, bytes: 0 } }
    }
}

/// By how much a change adds to what an account has, or takes from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delta {
    /// See [`Usage`].
    pub domains: i64,
    /// See [`Usage`].
    pub rrsets: i64,
    /// See [`Usage`].
    pub records: i64,
    /// See [`Usage`].
    pub bytes: i64,
}

/// Whether an RRset is a signal of a name server (RFC 9615 section 4.1). How many there are is the doing of those whose
/// domains are served by it, so that they must not use up what the account may have. Nobody hides anything there for long: what is
/// about no domain is taken away, and the bytes of history that an account adds in a day are counted as ever.
fn is_signal(domain: &str, rrset: &Rrset) -> bool {
    let is_place = domain.starts_with("_signal.") && rrset.subname.starts_with("_dsboot.");
    is_place && matches!(rrset.rtype, Rtype::CDS | Rtype::CDNSKEY)
}

impl Delta {
    /// Counts an RRset of a domain that comes (`sign` 1) or goes (-1). Signals count for nothing.
    pub fn count(&mut self, domain: &str, rrset: &Rrset, sign: i64) {
        if is_signal(domain, rrset) {
            return;
        }
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.rrsets += sign;
        self.records += sign * count(rrset.records.iter().map(Record::region_count).sum());
        let len = |record: &Record| {
            record.rdata.len() * record.region_count() + record.comment.as_ref().map_or(0, String::len)
        };
        self.bytes += sign * count(rrset.records.iter().map(len).sum());
    }
}

impl Usage {
    /// After a change; never below nothing, so that counters that are wrong keep nobody from deleting.
    #[must_use]
    pub fn plus(self, delta: &Delta) -> Usage {
        Usage {
            domains: self.domains.saturating_add_signed(delta.domains),
            rrsets: self.rrsets.saturating_add_signed(delta.rrsets),
            records: self.records.saturating_add_signed(delta.records),
            bytes: self.bytes.saturating_add_signed(delta.bytes),
        }
    }
}

/// Reads four counters, from column `first` on.
pub(super) fn usage(row: &Row<'_>, first: usize) -> rusqlite::Result<Usage> {
    Ok(Usage {
        domains: row.get(first)?,
        rrsets: row.get(first + 1)?,
        records: row.get(first + 2)?,
        bytes: row.get(first + 3)?,
    })
}

impl Reader<'_> {
    /// What an account has, counted anew. O(records).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn recounted(&self, account: AccountId) -> Result<Usage, StoreError> {
        // As `is_signal` has it; 59 and 60 are CDS and CDNSKEY. As many regions as there are commas, and one.
        let sql = "WITH own AS (SELECT s.id FROM domains d CROSS JOIN rrsets s ON s.domain = d.id
                       WHERE d.account = ?1 AND NOT (s.rtype IN (59, 60)
                           AND substr(d.name, 1, 8) = '_signal.' AND substr(s.subname, 1, 8) = '_dsboot.')),
                   counted AS (
                       SELECT r.rdata, r.comment,
                              1 + ifnull(octet_length(r.geo) - octet_length(replace(r.geo, ',', '')), 0) AS times
                       FROM own CROSS JOIN records r ON r.rrset = own.id)
                   SELECT (SELECT count(*) FROM domains WHERE account = ?1), (SELECT count(*) FROM own),
                          ifnull(sum(times), 0),
                          ifnull(sum(octet_length(rdata) * times + ifnull(octet_length(comment), 0)), 0)
                   FROM counted";
        Ok(self.row(sql, [account.0], |row| usage(row, 0))?.unwrap_or_default())
    }

    /// Accounts whose counters are wrong, for people. O(records of all).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn miscounts(&self) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        for account in self.accounts()? {
            let recounted = self.recounted(account.id)?;
            if recounted != account.usage {
                found.push(format!("account {} has {recounted:?} and is counted as {:?}", account.uuid, account.usage));
            }
        }
        Ok(found)
    }
}

impl Txn<'_> {
    /// Writes the counters of an account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_usage(
        &self,
        account: AccountId,
        usage: &Usage,
        writes: Writes,
        history: History,
    ) -> Result<(), StoreError> {
        let Usage { domains, rrsets, records, bytes } = usage;
        self.execute(
            "UPDATE accounts SET domain_count = ?2, rrset_count = ?3, record_count = ?4, rdata_bytes = ?5,
                hour_began = ?6, hour_writes = ?7, day_began = ?8, day_history = ?9
             WHERE id = ?1",
            params![
                account.0,
                domains,
                rrsets,
                records,
                bytes,
                writes.since_us,
                writes.count,
                history.since_us,
                history.bytes
            ],
        )?;
        Ok(())
    }
}
