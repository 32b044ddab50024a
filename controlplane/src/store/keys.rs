//! DNSSEC keys of domains: the public part in the clear, the secret sealed by whoever made them; how far their rollovers are.
//!
//! What a state means is `roll`'s. Invariant: a key's row has the state that it has in what was last to be published.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Row, params};

use super::domains::{Denial, Domain};
use super::{AccountId, ChangeId, DomainId, Reader, StoreError, Txn};

/// Where a key is in its life (RFC 7583 section 3.1, with what an algorithm rollover needs besides). One that is gone has no
/// row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Kept, and not used.
    Generated,
    /// It signs the zone, and nobody was told of it: the first step to another algorithm (RFC 6781 section 4.1.4).
    Signing,
    /// It is announced, and does not sign the zone yet.
    Published,
    /// It is announced and signs the zone, and the parent is not asked for it yet: the second step to another algorithm.
    Ready,
    /// As published, and the parent is asked for its DS.
    Submitted,
    /// In use.
    Active,
    /// Still in use, but the parent is asked for the DS of its successor.
    Leaving,
    /// It is announced, and no longer signs the zone.
    Retired,
    /// It signs the zone, and is no longer announced: the last step of another algorithm.
    Withdrawn,
    /// In use, but the parent is asked to remove all DS, so that signing can end (RFC 8078 section 4).
    Ending,
}

impl State {
    /// All of them, in the order of a life.
    pub const ALL: [State; 10] = [
        State::Generated,
        State::Signing,
        State::Published,
        State::Ready,
        State::Submitted,
        State::Active,
        State::Leaving,
        State::Retired,
        State::Withdrawn,
        State::Ending,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Generated => "generated",
            State::Signing => "signing",
            State::Published => "published",
            State::Ready => "ready",
            State::Submitted => "submitted",
            State::Active => "active",
            State::Leaving => "leaving",
            State::Retired => "retired",
            State::Withdrawn => "withdrawn",
            State::Ending => "ending",
        }
    }
}

impl ToSql for State {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for State {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<State> {
        let text = value.as_str()?;
        State::ALL.into_iter().find(|state| state.as_str() == text).ok_or(FromSqlError::InvalidType)
    }
}

/// What is known of a key's DS at the parent; times in microseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DsTimes {
    /// Since when all servers have it.
    pub seen_us: Option<i64>,
    /// Since when none has it.
    pub gone_us: Option<i64>,
    /// The greatest TTL it was seen with, in seconds.
    pub ttl_secs: Option<u32>,
}

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
    /// Where it begins.
    pub state: State,
}

/// A key of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its number here.
    pub id: i64,
    /// What was kept, with the state of now.
    pub key: NewKey,
    /// Since when it has that state, in microseconds since 1970.
    pub since_us: i64,
    /// Its DS at the parent.
    pub ds: DsTimes,
    /// When it was made, in microseconds since 1970.
    pub created_us: i64,
    /// Whether it was made elsewhere: nobody can make it again.
    pub is_imported: bool,
}

/// How far the rollovers of a domain are, and when they begin by themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rollover {
    /// When the keys are looked at again, in microseconds since 1970; `None` if nothing is under way.
    pub next_us: Option<i64>,
    /// The last step, until it is served.
    pub change: Option<ChangeId>,
    /// After how many seconds a ZSK is rolled; 0 never, `None` as the server says.
    pub zsk_secs: Option<u32>,
    /// The same for a KSK or CSK.
    pub ksk_secs: Option<u32>,
}

/// A domain whose keys are to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueRollover {
    /// The domain.
    pub domain: DomainId,
    /// Since when, in microseconds since 1970.
    pub next_us: i64,
    /// The last step, until it is served, and when it was made, in microseconds since 1970.
    pub step: Option<(ChangeId, i64)>,
}

/// A key in use whose age is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgingKey {
    /// Its number.
    pub id: i64,
    /// Its domain.
    pub domain: DomainId,
    /// Since when it is in use, in microseconds since 1970.
    pub since_us: i64,
    /// Whether the domain is signed.
    pub is_signed: bool,
    /// After how many seconds it is rolled; 0 never, `None` as the server says.
    pub lifetime_secs: Option<u32>,
    /// Whether a rollover of the domain is under way.
    pub is_rolling: bool,
}

/// How long no key is old, in microseconds: lifetimes are days.
pub const AGE_US_MIN: i64 = 86_400_000_000;

/// Reads a key.
fn key(row: &Row<'_>) -> rusqlite::Result<StoredKey> {
    let key = NewKey {
        role: row.get(1)?,
        algorithm: row.get(2)?,
        tag: row.get(3)?,
        public: row.get(4)?,
        sealed: row.get(5)?,
        state: row.get(6)?,
    };
    let ds = DsTimes { seen_us: row.get(8)?, gone_us: row.get(9)?, ttl_secs: row.get(10)? };
    let (since_us, created_us, is_imported) = (row.get(7)?, row.get(11)?, row.get(12)?);
    Ok(StoredKey { id: row.get(0)?, key, since_us, ds, created_us, is_imported })
}

/// A limit as SQLite counts.
fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Reader<'_> {
    /// The keys of a domain, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keys(&self, domain: DomainId) -> Result<Vec<StoredKey>, StoreError> {
        let sql = "SELECT id, role, algorithm, tag, public, sealed, state, since, ds_seen, ds_gone, ds_ttl, created,
                imported
            FROM keys WHERE domain = ?1 ORDER BY id";
        self.rows(sql, [domain.0], key)
    }

    /// How far the rollovers of a domain are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rollover(&self, domain: DomainId) -> Result<Rollover, StoreError> {
        let sql = "SELECT next, change, zsk_secs, ksk_secs FROM rollovers WHERE domain = ?1";
        let found = self.row(sql, [domain.0], |row| {
            let change: Option<_> = row.get(1)?;
            Ok(Rollover {
                next_us: row.get(0)?,
                change: change.map(ChangeId),
                zsk_secs: row.get(2)?,
                ksk_secs: row.get(3)?,
            })
        })?;
        Ok(found.unwrap_or_default())
    }

    /// Up to `limit` signed domains whose keys are to be looked at by now, the longest due first. Who looks at one has it due
    /// later, by [`Txn::put_rollover`] or [`Txn::put_off`], so that those behind it have their turn.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn due_rollovers(&self, now_us: i64, limit: usize) -> Result<Vec<DueRollover>, StoreError> {
        let sql = "SELECT r.domain, r.next, r.change, c.at FROM rollovers r
            JOIN domains d ON d.id = r.domain AND d.denial <> 'off'
            LEFT JOIN change_sets c ON c.id = r.change
            WHERE r.next <= ?1 ORDER BY r.next, r.domain LIMIT ?2";
        self.rows(sql, params![now_us, limit_of(limit)], |row| {
            let step: Option<_> = row.get(2)?;
            let stepped_us: Option<i64> = row.get(3)?;
            let next_us = row.get(1)?;
            let step = step.map(|change| (ChangeId(change), stepped_us.unwrap_or(next_us)));
            Ok(DueRollover { domain: DomainId(row.get(0)?), next_us, step })
        })
    }

    /// Up to `limit` keys of this role in use whose age is to be looked at by now, the longest due first. Who looks at one has
    /// it due later by [`Txn::put_off_keys`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn aging_keys(&self, role: &str, now_us: i64, limit: usize) -> Result<Vec<AgingKey>, StoreError> {
        let sql = "SELECT k.id, k.domain, k.since, d.denial <> 'off',
                CASE ?1 WHEN 'zsk' THEN r.zsk_secs ELSE r.ksk_secs END,
                EXISTS (SELECT 1 FROM keys o WHERE o.domain = k.domain AND o.state NOT IN ('active', 'generated'))
            FROM keys k JOIN domains d ON d.id = k.domain LEFT JOIN rollovers r ON r.domain = k.domain
            WHERE k.state = 'active' AND k.role = ?1 AND k.look <= ?2 ORDER BY k.look, k.id LIMIT ?3";
        self.rows(sql, params![role, now_us, limit_of(limit)], |row| {
            Ok(AgingKey {
                id: row.get(0)?,
                domain: DomainId(row.get(1)?),
                since_us: row.get(2)?,
                is_signed: row.get(3)?,
                lifetime_secs: row.get(4)?,
                is_rolling: row.get(5)?,
            })
        })
    }

    /// The greatest TTL that caches may have RRsets of a domain with, 0 if it has none: that of its RRsets, and of those before
    /// that were noted with [`Txn::note_ttl`]. O(RRsets).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn ttl_secs_max(&self, domain: DomainId, now_us: i64) -> Result<u32, StoreError> {
        let sql = "SELECT max(ifnull((SELECT max(ttl) FROM rrsets WHERE domain = ?1), 0),
            ifnull((SELECT ttl_max FROM rollovers
                WHERE domain = ?1 AND (ttl_change IS NOT NULL OR ttl_until > ?2)), 0))";
        Ok(self.row(sql, params![domain.0, now_us], |row| row.get(0))?.unwrap_or(0))
    }

    /// Up to `limit` keys with their domains, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn latest_keys(&self, limit: usize) -> Result<Vec<(Domain, StoredKey)>, StoreError> {
        let sql = "SELECT id, role, algorithm, tag, public, sealed, state, since, ds_seen, ds_gone, ds_ttl, created,
                imported, domain
            FROM keys ORDER BY id DESC LIMIT ?1";
        let found = self.rows(sql, [limit_of(limit)], |row| Ok((DomainId(row.get(13)?), key(row)?)))?;
        let with_domain = |(id, key)| Ok(self.domain(id)?.map(|domain| (domain, key)));
        found.into_iter().filter_map(|found| with_domain(found).transpose()).collect()
    }

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
        let sql = "SELECT denial, role, algorithm, tag, public, sealed, state FROM released_keys WHERE change = ?1
            ORDER BY tag";
        let rows = self.rows(sql, [deletion.0], |row| {
            let denial: String = row.get(0)?;
            let (role, algorithm, tag) = (row.get(1)?, row.get(2)?, row.get(3)?);
            let key = NewKey { role, algorithm, tag, public: row.get(4)?, sealed: row.get(5)?, state: row.get(6)? };
            Ok((denial, key))
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
            "INSERT INTO released_keys (change, denial, role, algorithm, tag, public, sealed, state,
                ds_seen, ds_gone, ds_ttl, imported)
             SELECT ?2, ?3, role, algorithm, tag, public, sealed, state, ds_seen, ds_gone, ds_ttl, imported
             FROM keys WHERE domain = ?1",
            params![domain.id.0, domain.change.0, domain.denial.as_str()],
        )?;
        Ok(())
    }

    /// Has the keys of a domain that is made again be what they were when this change-set deleted it, as to their DS and where
    /// they are from: the parent may have kept what it had.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn recall_keys(&self, domain: DomainId, deletion: ChangeId) -> Result<(), StoreError> {
        let sql = "UPDATE keys SET (ds_seen, ds_gone, ds_ttl, imported) =
                (SELECT r.ds_seen, r.ds_gone, r.ds_ttl, r.imported FROM released_keys r
                    WHERE r.change = ?2 AND r.tag = keys.tag)
            WHERE domain = ?1 AND EXISTS (SELECT 1 FROM released_keys r WHERE r.change = ?2 AND r.tag = keys.tag)";
        self.execute(sql, params![domain.0, deletion.0])?;
        Ok(())
    }

    /// Notes that the key of a domain with this tag was made elsewhere.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn note_imported(&self, domain: DomainId, tag: u16) -> Result<(), StoreError> {
        self.execute("UPDATE keys SET imported = 1 WHERE domain = ?1 AND tag = ?2", params![domain.0, tag])?;
        Ok(())
    }

    /// Adds a key to a domain of an account; false if that has one of this tag, which validators could mix up. Of a key that
    /// the parent was never asked for there is no DS.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Removed`] if the device that made it was told meanwhile to remove it.
    pub fn add_key(&self, account: AccountId, domain: DomainId, key: &NewKey, now_us: i64) -> Result<bool, StoreError> {
        self.room()?;
        let NewKey { role, algorithm, tag, public, sealed, state } = key;
        let gone_us = (*state < State::Submitted).then_some(now_us);
        let added = self.execute(
            "INSERT INTO keys (domain, account, role, algorithm, tag, public, sealed, state, since, ds_gone, created, look)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?9, ?11) ON CONFLICT (domain, tag) DO NOTHING",
            params![
                domain.0,
                account.0,
                role,
                algorithm,
                tag,
                public,
                sealed,
                state,
                now_us,
                gone_us,
                now_us.saturating_add(AGE_US_MIN)
            ],
        )?;
        if added > 0 {
            self.claim_object(sealed)?;
        }
        Ok(added > 0)
    }

    /// Brings a key into a state; `None` removes it for good, and a device that has it may forget it after a while.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn move_key(&self, id: i64, state: Option<State>, now_us: i64) -> Result<(), StoreError> {
        match state {
            Some(state) => {
                let sql = "UPDATE keys SET state = ?2, since = ?3, look = ?4 WHERE id = ?1";
                self.execute(sql, params![id, state, now_us, now_us.saturating_add(AGE_US_MIN)])
            }
            None => {
                self.drop_objects(Some(id), None, now_us)?;
                self.execute("DELETE FROM keys WHERE id = ?1", [id])
            }
        }?;
        Ok(())
    }

    /// Notes what is known of a key's DS.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn note_ds(&self, id: i64, ds: &DsTimes) -> Result<(), StoreError> {
        let sql = "UPDATE keys SET ds_seen = ?2, ds_gone = ?3, ds_ttl = ?4 WHERE id = ?1";
        self.execute(sql, params![id, ds.seen_us, ds.gone_us, ds.ttl_secs])?;
        Ok(())
    }

    /// Has the states that the last step made begin now: it is served by now, and was not before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn begin_states(&self, domain: DomainId, now_us: i64) -> Result<(), StoreError> {
        let sql = "UPDATE keys SET since = ?2
            WHERE domain = ?1 AND state <> 'generated'
                AND since = (SELECT max(since) FROM keys WHERE domain = ?1 AND state <> 'generated')";
        self.execute(sql, params![domain.0, now_us])?;
        Ok(())
    }

    /// Has all states begin anew: nothing of them was served in between.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn begin_all_states(&self, domain: DomainId, now_us: i64) -> Result<(), StoreError> {
        self.execute("UPDATE keys SET since = ?2 WHERE domain = ?1", params![domain.0, now_us])?;
        Ok(())
    }

    /// Has domains looked at later, each at its time in microseconds since 1970, unless that was changed since they were found.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_off(&self, due: &[(DueRollover, i64)]) -> Result<(), StoreError> {
        for (DueRollover { domain, next_us, .. }, later_us) in due {
            let sql = "UPDATE rollovers SET next = ?3 WHERE domain = ?1 AND next = ?2";
            self.execute(sql, params![domain.0, next_us, later_us])?;
        }
        Ok(())
    }

    /// Has the age of keys, by their number, looked at later, each at its time in microseconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_off_keys(&self, keys: &[(i64, i64)]) -> Result<(), StoreError> {
        for (id, later_us) in keys {
            self.execute("UPDATE keys SET look = ?2 WHERE id = ?1", params![id, later_us])?;
        }
        Ok(())
    }

    /// Has the age of a domain's keys looked at now: lifetimes are others.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn look_at_keys(&self, domain: DomainId, now_us: i64) -> Result<(), StoreError> {
        self.execute("UPDATE keys SET look = min(look, ?2) WHERE domain = ?1", params![domain.0, now_us])?;
        Ok(())
    }

    /// Notes that the latest change of a domain lowered this TTL of an RRset, or took that away: from its publication on caches
    /// have the RRset for so long.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn note_ttl(&self, domain: &Domain, ttl_secs: u32, now_us: i64) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO rollovers (domain, account, ttl_max, ttl_change) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (domain) DO UPDATE SET ttl_change = ?4, ttl_max =
                CASE WHEN ttl_change IS NOT NULL OR ttl_until > ?5 THEN max(ttl_max, ?3) ELSE ?3 END",
            params![domain.id.0, domain.account.0, ttl_secs, domain.change.0, now_us],
        )?;
        Ok(())
    }

    /// Writes how far the rollovers of a domain are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_rollover(&self, domain: &Domain, rollover: &Rollover) -> Result<(), StoreError> {
        let Rollover { next_us, change, zsk_secs, ksk_secs } = rollover;
        self.execute(
            "INSERT INTO rollovers (domain, account, next, change, zsk_secs, ksk_secs) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (domain) DO UPDATE SET next = ?3, change = ?4, zsk_secs = ?5, ksk_secs = ?6",
            params![domain.id.0, domain.account.0, next_us, change.map(|change| change.0), zsk_secs, ksk_secs],
        )?;
        Ok(())
    }
}
