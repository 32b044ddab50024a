//! Change-sets: who changed what when; the chain that ties them; and what waits to be published.
//!
//! Invariant: the chain value of a change-set depends on all change-sets before it, so a database that lost or changed
//! one has another value from there on.

use rusqlite::{Row, params};
use uuid::Uuid;

use super::{AccountId, ChangeId, DomainId, Reader, StoreError, Txn};

/// A change-set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSet {
    /// Its number.
    pub id: ChangeId,
    /// Whose domain it was.
    pub account: AccountId,
    /// The domain; its number is never given again.
    pub domain: DomainId,
    /// The domain's name.
    pub name: String,
    /// When, in microseconds since 1970.
    pub at_us: i64,
    /// The front door, as `rest`.
    pub via: String,
    /// The token that did it, if one did.
    pub token: Option<Uuid>,
    /// The address it came from.
    pub address: Option<String>,
    /// What it is: `create`, `delete`, `edit`, `undo` and so on.
    pub kind: String,
    /// The change-set it takes back.
    pub undoes: Option<ChangeId>,
    /// The domain's serial after it.
    pub serial: u32,
    /// What whoever did it had to say about it.
    pub note: Option<String>,
    /// What was before and after, as JSON (see `change`).
    pub edits: String,
}

/// A change that waits to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The change-set.
    pub change: ChangeId,
    /// The domain.
    pub domain: DomainId,
    /// Its name, without a dot at the end.
    pub name: String,
    /// The owners that changed; `None` for all, or if the domain is gone.
    pub nodes: Option<Vec<Node>>,
}

/// A deletion of a domain whose name nobody has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The change-set.
    pub change: ChangeId,
    /// Its name.
    pub name: String,
    /// When, in microseconds since 1970.
    pub at_us: i64,
    /// Whether it was signed, so that its keys were kept.
    pub is_signed: bool,
}

/// The end of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The last change-set; 0 before the first.
    pub change: ChangeId,
    /// The chain's value at it.
    pub chain: [u8; 32],
}

/// The columns of a change-set, in the order [`change_set`] reads them.
macro_rules! select {
    ($rest:literal) => {
        select!("edits", $rest)
    };
    ($edits:literal, $rest:literal) => {
        concat!(
            "SELECT id, account, domain, name, at, via, token, address, kind, undoes, serial, note, ",
            $edits,
            " FROM change_sets ",
            $rest
        )
    };
}

/// Reads the columns of `select!`.
fn change_set(row: &Row<'_>) -> rusqlite::Result<ChangeSet> {
    Ok(ChangeSet {
        id: ChangeId(row.get(0)?),
        account: AccountId(row.get(1)?),
        domain: DomainId(row.get(2)?),
        name: row.get(3)?,
        at_us: row.get(4)?,
        via: row.get(5)?,
        token: row.get::<_, Option<[u8; 16]>>(6)?.map(Uuid::from_bytes),
        address: row.get(7)?,
        kind: row.get(8)?,
        undoes: row.get::<_, Option<u64>>(9)?.map(ChangeId),
        serial: row.get(10)?,
        note: row.get(11)?,
        edits: row.get(12)?,
    })
}

/// An owner that a change touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its sort key below the apex.
    pub key: Vec<u8>,
    /// Whether its NS or DNAME records changed, which moves what lies below it.
    pub is_boundary: bool,
    /// Whether it has been there before and still is: what changed is the content of RRsets, and none came or went. Whoever names
    /// it as the next name in a chain goes on doing so.
    pub stays: bool,
}

/// The bit of a key's length that stands for [`Node::is_boundary`]; keys have at most 510 octets.
const BOUNDARY: u16 = 1 << 15;
/// The same for [`Node::stays`]; without it nobody knows.
const STAYS: u16 = 1 << 14;

/// Nodes as one value: each key with its length in two octets before it.
fn join(nodes: &[Node]) -> Vec<u8> {
    let mut joined = Vec::new();
    for Node { key, is_boundary, stays } in nodes {
        let len = u16::try_from(key.len()).unwrap_or(STAYS - 1);
        let head = len | if *is_boundary { BOUNDARY } else { 0 } | if *stays { STAYS } else { 0 };
        joined.extend_from_slice(&head.to_le_bytes());
        joined.extend_from_slice(key);
    }
    joined
}

/// Takes [`join`] apart; `None` if it is damaged, which means the whole zone.
fn split(mut joined: &[u8]) -> Option<Vec<Node>> {
    let mut nodes = Vec::new();
    while let Some((head, rest)) = joined.split_first_chunk::<2>() {
        let head = u16::from_le_bytes(*head);
        let (key, rest) = rest.split_at_checked(usize::from(head & !(BOUNDARY | STAYS)))?;
        nodes.push(Node { key: key.to_vec(), is_boundary: head & BOUNDARY != 0, stays: head & STAYS != 0 });
        joined = rest;
    }
    joined.is_empty().then_some(nodes)
}

/// The change before which a page begins, as SQLite counts.
fn before_of(before: Option<ChangeId>) -> i64 {
    before.map_or(i64::MAX, |change| i64::try_from(change.0).unwrap_or(i64::MAX))
}

/// A count as SQLite counts.
fn int_of(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Reader<'_> {
    /// The last change-set.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn head(&self) -> Result<Head, StoreError> {
        let sql = "SELECT id, chain FROM change_sets ORDER BY id DESC LIMIT 1";
        let head = self.row(sql, [], |row| Ok(Head { change: ChangeId(row.get(0)?), chain: row.get(1)? }))?;
        Ok(head.unwrap_or(Head { change: ChangeId(0), chain: [0; 32] }))
    }

    /// The chain's value at a change-set; `None` if that is not there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn chain_at(&self, change: ChangeId) -> Result<Option<[u8; 32]>, StoreError> {
        if change.0 == 0 {
            return Ok(Some([0; 32]));
        }
        self.row("SELECT chain FROM change_sets WHERE id = ?1", [change.0], |row| row.get(0))
    }

    /// A change-set.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn change_set(&self, id: ChangeId) -> Result<Option<ChangeSet>, StoreError> {
        self.row(select!("WHERE id = ?1"), [id.0], change_set)
    }

    /// Up to `limit` change-sets of a domain before `before`, newest first. Edits longer than `edits_len_max` bytes are left
    /// out and empty.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn change_sets_of(
        &self,
        domain: DomainId,
        before: Option<ChangeId>,
        limit: usize,
        edits_len_max: usize,
    ) -> Result<Vec<ChangeSet>, StoreError> {
        let sql = select!(
            "CASE WHEN octet_length(edits) <= ?4 THEN edits ELSE '' END",
            "WHERE domain = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"
        );
        self.rows(sql, params![domain.0, before_of(before), int_of(limit), int_of(edits_len_max)], change_set)
    }

    /// Up to `limit` change-sets of an account before `before`, newest first, without their edits; only those of domains of
    /// this name if one is given, also of those that are no longer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn change_sets_by(
        &self,
        account: AccountId,
        name: Option<&str>,
        before: Option<ChangeId>,
        limit: usize,
    ) -> Result<Vec<ChangeSet>, StoreError> {
        let sql =
            select!("''", "WHERE account = ?1 AND id < ?2 AND (?3 IS NULL OR name = ?3) ORDER BY id DESC LIMIT ?4");
        self.rows(sql, params![account.0, before_of(before), name, int_of(limit)], change_set)
    }

    /// Up to `limit` deletions of an account's domains before `before`, newest first, of those whose name nobody has now; only
    /// those of this name if one is given. A name that was made and deleted several times has as many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn deleted_domains(
        &self,
        account: AccountId,
        name: Option<&str>,
        before: Option<ChangeId>,
        limit: usize,
    ) -> Result<Vec<Deleted>, StoreError> {
        let sql = "SELECT c.id, c.name, c.at, EXISTS (SELECT 1 FROM released_keys k WHERE k.change = c.id)
            FROM change_sets c
            WHERE c.account = ?1 AND c.kind = 'delete' AND c.id < ?2 AND (?3 IS NULL OR c.name = ?3)
                AND NOT EXISTS (SELECT 1 FROM domains d WHERE d.name = c.name)
            ORDER BY c.id DESC LIMIT ?4";
        self.rows(sql, params![account.0, before_of(before), name, int_of(limit)], |row| {
            Ok(Deleted { change: ChangeId(row.get(0)?), name: row.get(1)?, at_us: row.get(2)?, is_signed: row.get(3)? })
        })
    }

    /// The change-sets of a domain after `after` and after a time in microseconds since 1970, newest first: what has to be taken back to get there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn change_sets_since(
        &self,
        domain: DomainId,
        after: ChangeId,
        after_us: i64,
    ) -> Result<Vec<ChangeSet>, StoreError> {
        let sql = select!("WHERE domain = ?1 AND id > ?2 AND at > ?3 ORDER BY id DESC");
        self.rows(sql, params![domain.0, after.0, after_us], change_set)
    }

    /// Bytes of all that [`Reader::change_sets_since`] would read.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn change_sets_len(&self, domain: DomainId, after: ChangeId, after_us: i64) -> Result<u64, StoreError> {
        let sql = "SELECT ifnull(sum(length(edits)), 0) FROM change_sets WHERE domain = ?1 AND id > ?2 AND at > ?3";
        Ok(self.row(sql, params![domain.0, after.0, after_us], |row| row.get(0))?.unwrap_or(0))
    }

    /// The last change of which the journal of generations says that it was published; 0 if it says nothing. The outbox
    /// holds nothing up to there but zones that could not be published.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn last_published(&self) -> Result<ChangeId, StoreError> {
        let last = self.row("SELECT ifnull(max(change), 0) FROM generations", [], |row| row.get(0))?;
        Ok(ChangeId(last.unwrap_or(0)))
    }

    /// The domains that changed after a change, each time they did, in the order of the changes; also those that are gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn changed_after(&self, change: ChangeId) -> Result<Vec<(DomainId, String)>, StoreError> {
        let sql = "SELECT domain, name FROM change_sets WHERE id > ?1 ORDER BY id";
        self.rows(sql, [change.0], |row| Ok((DomainId(row.get(0)?), row.get(1)?)))
    }

    /// The changes up to one that wait to be published, also of zones that could not be, with the names of their domains.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn waiting(&self, last: ChangeId) -> Result<Vec<(ChangeId, String)>, StoreError> {
        let sql = "SELECT change, name FROM outbox WHERE change <= ?1";
        self.rows(sql, [last.0], |row| Ok((ChangeId(row.get(0)?), row.get(1)?)))
    }

    /// What was committed after a change, in its order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn outbox(&self, after: ChangeId) -> Result<Vec<Waiting>, StoreError> {
        let sql = "SELECT change, domain, name, nodes FROM outbox WHERE change > ?1 ORDER BY change";
        self.rows(sql, [after.0], |row| {
            Ok(Waiting {
                change: ChangeId(row.get(0)?),
                domain: DomainId(row.get(1)?),
                name: row.get(2)?,
                nodes: row.get::<_, Option<Vec<u8>>>(3)?.and_then(|joined| split(&joined)),
            })
        })
    }
}

impl Txn<'_> {
    /// The number of the next change-set.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn next_change(&self) -> Result<ChangeId, StoreError> {
        Ok(ChangeId(self.head()?.change.0 + 1))
    }

    /// Adds a change-set, whose number is that of [`Txn::next_change`], and what it has to have published.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_change_set(&self, change: &ChangeSet, nodes: Option<&[Node]>) -> Result<(), StoreError> {
        let mut hash = blake3::Hasher::new_keyed(&self.head()?.chain);
        hash.update(&change.id.0.to_le_bytes()).update(&change.domain.0.to_le_bytes());
        hash.update(&change.at_us.to_le_bytes()).update(&change.serial.to_le_bytes());
        hash.update(change.kind.as_bytes()).update(b"\0").update(change.edits.as_bytes());
        if let Some(note) = &change.note {
            hash.update(b"\0").update(note.as_bytes());
        }
        let chain = *hash.finalize().as_bytes();
        self.insert(
            "INSERT INTO change_sets (id, account, domain, name, at, via, token, address, kind, undoes, serial, note,
                edits, chain)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            params![
                change.id.0,
                change.account.0,
                change.domain.0,
                change.name,
                change.at_us,
                change.via,
                change.token.as_ref().map(Uuid::as_bytes),
                change.address,
                change.kind,
                change.undoes.map(|undone| undone.0),
                change.serial,
                change.note,
                change.edits,
                chain,
            ],
        )?;
        self.execute(
            "INSERT INTO outbox (change, domain, name, nodes) VALUES (?1, ?2, ?3, ?4)",
            params![change.id.0, change.domain.0, change.name, nodes.map(join)],
        )?;
        self.wake();
        Ok(())
    }

    /// Forgets what is published up to `change`, but not that of the zones `refused`, and notes the generation. What caches have
    /// with a TTL that is gone becomes old from now on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn note_published(&self, generation: &PublishedGeneration, refused: &[String]) -> Result<(), StoreError> {
        let refused = serde_json::to_string(refused).map_err(|_| StoreError::Damaged("a list of names"))?;
        let sql = "UPDATE rollovers SET ttl_until = ?3 + 1000000 * ttl_max, ttl_change = NULL
            WHERE ttl_change <= ?1 AND domain IN (SELECT domain FROM outbox
                WHERE change <= ?1 AND name NOT IN (SELECT value FROM json_each(?2)))";
        self.execute(sql, params![generation.change.0, refused, generation.at_us])?;
        let sql = "DELETE FROM outbox WHERE change <= ?1 AND name NOT IN (SELECT value FROM json_each(?2))";
        self.execute(sql, params![generation.change.0, refused])?;
        let PublishedGeneration { generation, epoch, change, digest, at_us } = generation;
        self.execute(
            "INSERT INTO generations (generation, epoch, change, digest, at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (generation) DO UPDATE SET epoch = ?2, change = ?3, digest = ?4, at = ?5",
            params![generation, epoch, change.0, digest, at_us],
        )?;
        Ok(())
    }
}

/// A row of the journal of generations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedGeneration {
    /// Its number.
    pub generation: u64,
    /// The fencing epoch it was published under.
    pub epoch: u64,
    /// The last change-set in it.
    pub change: ChangeId,
    /// The digest of its manifest.
    pub digest: [u8; 32],
    /// When, in microseconds since 1970.
    pub at_us: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_lists_come_back_as_they_were() {
        let node = |key: &[u8], is_boundary, stays| Node { key: key.to_vec(), is_boundary, stays };
        let several = vec![node(b"a\0", false, true), node(&[0; 300], true, true), node(b"", false, false)];
        for nodes in [vec![], vec![node(b"", true, false)], several] {
            assert_eq!(split(&join(&nodes)), Some(nodes));
        }
        // As it was written before it was noted what stays.
        assert_eq!(split(&[1, 0x80, b'a', 0, 0]), Some(vec![node(b"a", true, false), node(b"", false, false)]));
        assert_eq!(split(&[9, 0, 1]), None);
        assert_eq!(split(&[9]), None);
    }
}
