//! Accounts: who owns tokens and domains.

use rusqlite::{Row, params};
use uuid::Uuid;

use super::usage::{History, Quotas, Usage, Writes, usage};
use super::{AccountId, Reader, StoreError, Txn};
pub use crate::value::Class;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number here.
    pub id: AccountId,
    /// What the world knows it by.
    pub uuid: Uuid,
    /// Its mail address, as given.
    pub email: String,
    /// Which rules hold for it.
    pub class: Class,
    /// When it was made, in microseconds since 1970.
    pub created_us: i64,
    /// Whether it may do anything.
    pub active: bool,
    /// Whether it wants news.
    pub outreach: bool,
    /// How much it may have.
    pub quotas: Quotas,
    /// How much it has.
    pub usage: Usage,
    /// How often it has written.
    pub writes: Writes,
    /// How much is remembered of what it wrote.
    pub history: History,
}

/// What is known of a new account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// See [`Account`].
    pub uuid: Uuid,
    /// See [`Account`].
    pub email: String,
    /// See [`Account`].
    pub class: Class,
    /// See [`Account`].
    pub created_us: i64,
    /// How many domains it may have; the other quotas are those of its class.
    pub limit_domains: Option<u32>,
}

/// The columns of an account, in the order [`account`] reads them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, uuid, email, class, created, active, outreach, limit_domains, limit_rrsets, limit_records, ",
            "limit_bytes, limit_writes, limit_history, domain_count, rrset_count, record_count, rdata_bytes, hour_began, ",
            "hour_writes, day_began, day_history ",
            "FROM accounts ",
            $rest
        )
    };
}

/// Reads the columns of `select!`.
fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    let class: String = row.get(3)?;
    Ok(Account {
        id: AccountId(row.get(0)?),
        uuid: Uuid::from_bytes(row.get(1)?),
        email: row.get(2)?,
        // The schema allows no third class; should it be damaged, the stricter rules hold.
        class: Class::parse(&class).unwrap_or(Class::Hosting),
        created_us: row.get(4)?,
        active: row.get(5)?,
        outreach: row.get(6)?,
        quotas: Quotas {
            domains: row.get(7)?,
            rrsets: row.get(8)?,
            records: row.get(9)?,
            bytes: row.get(10)?,
            writes_per_hour: row.get(11)?,
            history_per_day: row.get(12)?,
        },
        usage: usage(row, 13)?,
        writes: Writes { since_us: row.get(17)?, count: row.get(18)? },
        history: History { since_us: row.get(19)?, bytes: row.get(20)? },
    })
}

impl Reader<'_> {
    /// The account of a number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.row(select!("WHERE id = ?1"), [id.0], account)
    }

    /// The account of a mail address, whatever its case.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn account_by_email(&self, email: &str) -> Result<Option<Account>, StoreError> {
        self.row(select!("WHERE email = ?1"), [email], account)
    }

    /// All accounts, in the order they were made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.rows(select!("ORDER BY id"), [], account)
    }
}

impl Txn<'_> {
    /// Adds an account; `None` if its address is taken.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_account(&self, new: &NewAccount) -> Result<Option<Account>, StoreError> {
        let NewAccount { uuid, email, class, created_us, limit_domains } = new;
        let Quotas { domains, rrsets, records, bytes, writes_per_hour, history_per_day } = Quotas::of(*class);
        let domains = limit_domains.or(domains);
        self.room()?;
        let added = self.execute(
            "INSERT INTO accounts (uuid, email, class, created, limit_domains, limit_rrsets, limit_records, limit_bytes,
                limit_writes, limit_history)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (email) DO NOTHING",
            params![
                uuid.as_bytes(),
                email,
                class.as_str(),
                created_us,
                domains,
                rrsets,
                records,
                bytes,
                writes_per_hour,
                history_per_day
            ],
        )?;
        if added == 0 { Ok(None) } else { self.account_by_email(email) }
    }

    /// Changes what may be changed of an account; all else in `account`, its counters too, is ignored.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn update_account(&self, account: &Account) -> Result<(), StoreError> {
        let Account { id, class, active, outreach, quotas, .. } = account;
        let Quotas { domains, rrsets, records, bytes, writes_per_hour, history_per_day } = quotas;
        self.execute(
            "UPDATE accounts SET class = ?2, active = ?3, outreach = ?4, limit_domains = ?5, limit_rrsets = ?6,
                limit_records = ?7, limit_bytes = ?8, limit_writes = ?9, limit_history = ?10
             WHERE id = ?1",
            params![
                id.0,
                class.as_str(),
                active,
                outreach,
                domains,
                rrsets,
                records,
                bytes,
                writes_per_hour,
                history_per_day
            ],
        )?;
        Ok(())
    }
}
