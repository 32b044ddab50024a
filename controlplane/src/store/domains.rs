//! Domains: the zones that accounts own, with what their SOA records are made of.

use rusqlite::{Row, params};

use super::{AccountId, ChangeId, DomainId, Reader, StoreError, Txn};

/// How serials grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SerialPolicy {
    /// max(previous + 1, YYYYMMDD00).
    Date,
    /// previous + 1.
    Increment,
    /// max(previous + 1, seconds since 1970).
    Unixtime,
}

/// Who writes the SOA record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoaMode {
    /// We do.
    Managed,
    /// Its owner may.
    User,
}

/// Whether a domain is signed, and how it proves what does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// It is not signed.
    Off,
    /// NSEC (RFC 4034 section 4).
    Nsec,
    /// NSEC3 without salt and further iterations (RFC 5155, RFC 9276).
    Nsec3,
    /// NSEC3 that leaves out delegations without DS (RFC 5155 section 6).
    OptOut,
}

/// The fields of an SOA record but the serial (RFC 1035 section 3.3.13); times in seconds, names in presentation
/// format with a dot at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soa {
    /// TTL of the record.
    pub ttl_secs: u32,
    /// The primary.
    pub mname: String,
    /// Whom to write to.
    pub rname: String,
    /// See the RFC.
    pub refresh_secs: u32,
    /// See the RFC.
    pub retry_secs: u32,
    /// See the RFC.
    pub expire_secs: u32,
    /// See the RFC.
    pub minimum_secs: u32,
}

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its number here.
    pub id: DomainId,
    /// Whose it is.
    pub account: AccountId,
    /// Its name, lower case, without a dot at the end.
    pub name: String,
    /// When it was made, in microseconds since 1970.
    pub created_us: i64,
    /// When it was last written to, even without effect.
    pub touched_us: i64,
    /// When the content before the latest change was published.
    pub published_us: Option<i64>,
    /// When its content last changed.
    pub changed_us: i64,
    /// The change-set that did it.
    pub change: ChangeId,
    /// The least TTL of its RRsets in seconds.
    pub minimum_ttl_secs: u32,
    /// Its serial.
    pub serial: u32,
    /// How that grows.
    pub serial_policy: SerialPolicy,
    /// Who writes the SOA record.
    pub soa_mode: SoaMode,
    /// The SOA record.
    pub soa: Soa,
    /// How many RRsets it has, the SOA not among them.
    pub rrset_count: u32,
    /// What it has to show to the world before it is published; `None` if nothing.
    pub unproved: Option<String>,
    /// Whether it is signed, and how.
    pub denial: Denial,
    /// When all of it was last to be signed anew, in microseconds since 1970.
    pub signed_us: i64,
}

/// A domain that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// Whose it was.
    pub account: AccountId,
    /// When it was deleted, in microseconds since 1970.
    pub at_us: i64,
    /// Its last serial.
    pub serial: u32,
    /// Whether it was published.
    pub was_proved: bool,
}

impl Domain {
    /// What the row must sum up to: everything that is published, and whose it is.
    fn checksum(&self) -> i64 {
        let mut hash = blake3::Hasher::new();
        for text in [&*self.name, &self.soa.mname, &self.soa.rname, self.serial_policy.as_str(), self.soa_mode.as_str()]
        {
            hash.update(text.as_bytes()).update(&[0]);
        }
        let Soa { ttl_secs, refresh_secs, retry_secs, expire_secs, minimum_secs, .. } = self.soa;
        let times = [ttl_secs, refresh_secs, retry_secs, expire_secs, minimum_secs];
        for number in times.into_iter().chain([self.serial, self.minimum_ttl_secs, self.rrset_count]) {
            hash.update(&number.to_le_bytes());
        }
        if let Some(token) = &self.unproved {
            hash.update(b"unproved").update(token.as_bytes());
        }
        hash.update(self.denial.as_str().as_bytes());
        hash.update(&self.account.0.to_le_bytes()).update(&self.change.0.to_le_bytes());
        let mut octets = [0; 8];
        octets.copy_from_slice(&hash.finalize().as_bytes()[..8]);
        i64::from_le_bytes(octets)
    }
}

impl SerialPolicy {
    /// As it is stored.
    fn as_str(self) -> &'static str {
        match self {
            SerialPolicy::Date => "date",
            SerialPolicy::Increment => "increment",
            SerialPolicy::Unixtime => "unixtime",
        }
    }
}

impl SoaMode {
    /// As it is stored.
    fn as_str(self) -> &'static str {
        match self {
            SoaMode::Managed => "managed",
            SoaMode::User => "user",
        }
    }
}

impl Denial {
    /// As it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Denial::Off => "off",
            Denial::Nsec => "nsec",
            Denial::Nsec3 => "nsec3",
            Denial::OptOut => "opt-out",
        }
    }

    /// Reads what [`Denial::as_str`] gives.
    #[must_use]
    pub fn parse(text: &str) -> Option<Denial> {
        [Denial::Off, Denial::Nsec, Denial::Nsec3, Denial::OptOut].into_iter().find(|denial| denial.as_str() == text)
    }
}

/// The columns of a domain, in the order [`domain`] reads them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, account, name, created, touched, published, changed, change, minimum_ttl, serial, ",
            "serial_policy, soa_mode, soa_ttl, soa_mname, soa_rname, soa_refresh, soa_retry, soa_expire, soa_minimum, ",
            "rrset_count, checksum, unproved, denial, signed FROM domains ",
            $rest
        )
    };
}

/// Reads the columns of `select!`; a row that does not sum up was damaged, like a value of a wrong form.
fn domain(row: &Row<'_>) -> rusqlite::Result<Domain> {
    let (domain, checksum) = (unchecked(row)?, row.get::<_, i64>(20)?);
    if domain.checksum() == checksum { Ok(domain) } else { Err(rusqlite::Error::IntegralValueOutOfRange(20, checksum)) }
}

/// Reads the columns of a domain.
fn unchecked(row: &Row<'_>) -> rusqlite::Result<Domain> {
    let serial_policy: String = row.get(10)?;
    let soa_mode: String = row.get(11)?;
    let denial: String = row.get(22)?;
    Ok(Domain {
        id: DomainId(row.get(0)?),
        account: AccountId(row.get(1)?),
        name: row.get(2)?,
        created_us: row.get(3)?,
        touched_us: row.get(4)?,
        published_us: row.get(5)?,
        changed_us: row.get(6)?,
        change: ChangeId(row.get(7)?),
        minimum_ttl_secs: row.get(8)?,
        serial: row.get(9)?,
        serial_policy: match serial_policy.as_str() {
            "date" => SerialPolicy::Date,
            "unixtime" => SerialPolicy::Unixtime,
            _ => SerialPolicy::Increment,
        },
        soa_mode: if soa_mode == "user" { SoaMode::User } else { SoaMode::Managed },
        soa: Soa {
            ttl_secs: row.get(12)?,
            mname: row.get(13)?,
            rname: row.get(14)?,
            refresh_secs: row.get(15)?,
            retry_secs: row.get(16)?,
            expire_secs: row.get(17)?,
            minimum_secs: row.get(18)?,
        },
        rrset_count: row.get(19)?,
        unproved: row.get(21)?,
        denial: Denial::parse(&denial).ok_or(rusqlite::Error::IntegralValueOutOfRange(22, 0))?,
        signed_us: row.get(23)?,
    })
}

/// A name's key in canonical order (RFC 4034 section 6.1): a range of keys is a subtree. For names that are lower case
/// and without escapes, as domains are.
#[must_use]
pub fn name_key(name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 1);
    for label in name.split('.').rev() {
        key.extend_from_slice(label.as_bytes());
        key.push(0);
    }
    key
}

impl Reader<'_> {
    /// The domain of a name, whoever has it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn domain_by_name(&self, name: &str) -> Result<Option<Domain>, StoreError> {
        let found = self.row(select!("WHERE name = ?1"), [name], domain)?;
        // The index may lead to another row, if it is damaged.
        let is_other = found.as_ref().is_some_and(|domain| domain.name != name);
        if is_other { Err(StoreError::Damaged("the index of domains")) } else { Ok(found) }
    }

    /// The domain of a number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn domain(&self, id: DomainId) -> Result<Option<Domain>, StoreError> {
        self.row(select!("WHERE id = ?1"), [id.0], domain)
    }

    /// The names of all domains, in no order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn domain_names(&self) -> Result<Vec<String>, StoreError> {
        self.rows("SELECT name FROM domains", [], |row| row.get(0))
    }

    /// How many domains an account has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn domain_count(&self, account: AccountId) -> Result<u64, StoreError> {
        let count = self.row("SELECT count(*) FROM domains WHERE account = ?1", [account.0], |row| row.get(0))?;
        Ok(count.unwrap_or(0))
    }

    /// Up to `limit` domains of an account, newest first: those before the position (created, number), or from the
    /// newest on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn domains_before(
        &self,
        account: AccountId,
        before: Option<(i64, i64)>,
        limit: usize,
    ) -> Result<Vec<Domain>, StoreError> {
        let (created, id) = before.unwrap_or((i64::MAX, i64::MAX));
        let sql = select!("WHERE account = ?1 AND (created, id) < (?2, ?3) ORDER BY created DESC, id DESC LIMIT ?4");
        self.rows(sql, params![account.0, created, id, limit_of(limit)], domain)
    }

    /// Up to `limit` domains of an account after a position, in ascending order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn domains_after(
        &self,
        account: AccountId,
        after: (i64, i64),
        limit: usize,
    ) -> Result<Vec<Domain>, StoreError> {
        let sql = select!("WHERE account = ?1 AND (created, id) > (?2, ?3) ORDER BY created, id LIMIT ?4");
        self.rows(sql, params![account.0, after.0, after.1, limit_of(limit)], domain)
    }

    /// The numbers of all domains, in the order they were made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn domain_ids(&self) -> Result<Vec<DomainId>, StoreError> {
        self.rows("SELECT id FROM domains ORDER BY id", [], |row| Ok(DomainId(row.get(0)?)))
    }

    /// Whether somebody but `account` has a domain below `name`; what nobody has proved is nobody's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn has_foreign_below(&self, name: &str, account: AccountId) -> Result<bool, StoreError> {
        let low = name_key(name);
        let mut high = low.clone();
        // Keys below `name` begin with its key; no octet is 255.
        high.push(255);
        let sql = "SELECT 1 FROM domains WHERE name_key > ?1 AND name_key < ?2 AND account <> ?3 AND unproved IS NULL
            LIMIT 1";
        Ok(self.row(sql, params![low, high, account.0], |_| Ok(()))?.is_some())
    }

    /// Whether a change-set is about a domain that is not proved yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn is_unproved(&self, change: ChangeId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM change_sets JOIN domains ON domains.id = change_sets.domain
            WHERE change_sets.id = ?1 AND unproved IS NOT NULL";
        Ok(self.row(sql, [change.0], |_| Ok(()))?.is_some())
    }

    /// Up to `limit` domains that were made before a time, in microseconds since 1970, and are not proved yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn unproved_before(&self, time_us: i64, limit: usize) -> Result<Vec<DomainId>, StoreError> {
        let sql = "SELECT id FROM domains WHERE unproved IS NOT NULL AND created < ?1 ORDER BY created LIMIT ?2";
        self.rows(sql, params![time_us, limit_of(limit)], |row| Ok(DomainId(row.get(0)?)))
    }

    /// Up to `limit` signed domains of which not all was signed anew since their last moment, or by a clock that was ahead: moments are `period` seconds apart, for
    /// domain `id` when time and `id` times `step` together are a multiple of it. Times in seconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stale_signed(
        &self,
        now_secs: i64,
        (step, period): (i64, i64),
        limit: usize,
    ) -> Result<Vec<DomainId>, StoreError> {
        let sql = "SELECT id FROM domains WHERE denial <> 'off' AND (signed < (?1 - (?1 + id * ?2) % ?3) * 1000000
            OR signed > (?1 + 300) * 1000000) ORDER BY signed LIMIT ?4";
        self.rows(sql, params![now_secs, step, period, limit_of(limit)], |row| Ok(DomainId(row.get(0)?)))
    }

    /// The domains with the signals of name servers (RFC 9615), by name: those whose first label is `_signal`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn signal_domains(&self) -> Result<Vec<Domain>, StoreError> {
        // A slash comes right after the dot, so the index on names finds them.
        self.rows(select!("WHERE name >= '_signal.' AND name < '_signal/' ORDER BY name"), [], domain)
    }

    /// Up to `limit` signed domains with numbers greater than `after`, ascending.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn signed_after(&self, after: DomainId, limit: usize) -> Result<Vec<Domain>, StoreError> {
        let sql = select!("WHERE id > ?1 AND denial <> 'off' ORDER BY id LIMIT ?2");
        self.rows(sql, params![after.0, limit_of(limit)], domain)
    }

    /// How many RRsets all domains of an account have together.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn account_rrset_count(&self, account: AccountId) -> Result<u64, StoreError> {
        let sql = "SELECT ifnull(sum(rrset_count), 0) FROM domains WHERE account = ?1";
        Ok(self.row(sql, [account.0], |row| row.get(0))?.unwrap_or(0))
    }

    /// What is remembered of the domain of this name that was deleted last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn released(&self, name: &str) -> Result<Option<Released>, StoreError> {
        let sql = "SELECT account, at, serial, proved FROM released_names WHERE name = ?1";
        self.row(sql, [name], |row| {
            let account = AccountId(row.get(0)?);
            Ok(Released { account, at_us: row.get(1)?, serial: row.get(2)?, was_proved: row.get(3)? })
        })
    }

    /// Names and serials of all domains an account may see, `None` for all accounts, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn serials(&self, account: Option<AccountId>) -> Result<Vec<(String, u32)>, StoreError> {
        let account = account.map(|account| account.0);
        let sql = "SELECT name, serial FROM domains WHERE ?1 IS NULL OR account = ?1 ORDER BY name";
        self.rows(sql, [account], |row| Ok((row.get(0)?, row.get(1)?)))
    }
}

/// A limit as SQLite counts.
fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Txn<'_> {
    /// Adds a domain; its number in `domain` is ignored. `None` if the name is taken.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_domain(&self, domain: &Domain) -> Result<Option<DomainId>, StoreError> {
        if self.domain_by_name(&domain.name)?.is_some() {
            return Ok(None);
        }
        self.room()?;
        let domain = &Domain { rrset_count: 0, ..domain.clone() };
        let Soa { ttl_secs, mname, rname, refresh_secs, retry_secs, expire_secs, minimum_secs } = &domain.soa;
        let id = self.insert(
            "INSERT INTO domains (account, name, name_key, created, touched, changed, change, minimum_ttl, serial,
                serial_policy, soa_mode, soa_ttl, soa_mname, soa_rname, soa_refresh, soa_retry, soa_expire, soa_minimum,
                checksum, unproved, denial, signed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
            params![
                domain.account.0,
                domain.name,
                name_key(&domain.name),
                domain.created_us,
                domain.touched_us,
                domain.changed_us,
                domain.change.0,
                domain.minimum_ttl_secs,
                domain.serial,
                domain.serial_policy.as_str(),
                domain.soa_mode.as_str(),
                ttl_secs,
                mname,
                rname,
                refresh_secs,
                retry_secs,
                expire_secs,
                minimum_secs,
                domain.checksum(),
                domain.unproved,
                domain.denial.as_str(),
                domain.signed_us,
            ],
        )?;
        Ok(Some(DomainId(id)))
    }

    /// Writes times, change, serial, SOA, proof and denial of a domain.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn update_domain(&self, domain: &Domain) -> Result<(), StoreError> {
        let Soa { ttl_secs, mname, rname, refresh_secs, retry_secs, expire_secs, minimum_secs } = &domain.soa;
        self.execute(
            "UPDATE domains SET touched = ?2, published = ?3, changed = ?4, change = ?5, minimum_ttl = ?6, serial = ?7,
                soa_ttl = ?8, soa_mname = ?9, soa_rname = ?10, soa_refresh = ?11, soa_retry = ?12, soa_expire = ?13,
                soa_minimum = ?14, serial_policy = ?15, rrset_count = ?16, checksum = ?17, unproved = ?18,
                denial = ?19, signed = ?20
             WHERE id = ?1",
            params![
                domain.id.0,
                domain.touched_us,
                domain.published_us,
                domain.changed_us,
                domain.change.0,
                domain.minimum_ttl_secs,
                domain.serial,
                ttl_secs,
                mname,
                rname,
                refresh_secs,
                retry_secs,
                expire_secs,
                minimum_secs,
                domain.serial_policy.as_str(),
                domain.rrset_count,
                domain.checksum(),
                domain.unproved,
                domain.denial.as_str(),
                domain.signed_us,
            ],
        )?;
        Ok(())
    }

    /// Removes a domain with all its rows and notes whose it was and how far its serial had come. One that was never proved
    /// leaves no note: it was nobody's, its serial was not seen, and what is noted of a former owner holds on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove_domain(&self, domain: &Domain, at_us: i64) -> Result<(), StoreError> {
        self.drop_objects(None, Some(domain.id), at_us)?;
        self.execute("DELETE FROM domains WHERE id = ?1", [domain.id.0])?;
        if domain.unproved.is_some() {
            return Ok(());
        }
        self.execute(
            "INSERT INTO released_names (name, account, at, serial, proved) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (name) DO UPDATE SET account = ?2, at = ?3, serial = ?4, proved = ?5",
            params![domain.name, domain.account.0, at_us, domain.serial, domain.unproved.is_none()],
        )?;
        Ok(())
    }
}
