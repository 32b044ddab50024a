//! The database: SQLite in one directory, owned by one process. All SQL of Petrel is in this module.
//!
//! One thread writes ([`Store::write`]), a pool of connections reads ([`Store::read`]); what they may ask lies in one
//! module per entity. It decides nothing about DNS or HTTP: rules that span rows are in `change`. Invariants: a write that
//! returned is durable (WAL, `synchronous=FULL`); statements have parameters, never text of others; after the first
//! failed sync nothing more is written until the process starts anew, because what the disk has is not known then.

pub mod accounts;
pub mod changes;
mod checkpoint;
pub mod domains;
pub mod housekeeping;
pub mod keys;
mod lock;
pub mod objects;
pub mod policies;
mod readers;
mod replace;
mod reserve;
pub mod rrsets;
mod schema;
pub mod signatures;
pub mod tokens;
pub mod usage;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

pub use readers::Reader;
pub use replace::{former_domains, replace};
pub use writer::{Txn, WriteCounts};

use checkpoint::Checkpoints;
use lock::Lock;
use readers::Readers;
use reserve::Reserve;
use writer::Writer;

/// The database file in its directory.
const FILE: &str = "petrel.db";
/// How long a connection waits for another's lock: only a checkpoint or a backup can hold one.
const BUSY_TIME: Duration = Duration::from_secs(5);
/// Page cache of one connection in KiB.
const CACHE_KIB: i64 = 16 << 10;

/// An account's number inside the database; the world knows its UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub i64);

/// A domain's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainId(pub i64);

/// A change-set's number; they grow with time over all domains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChangeId(pub u64);

/// Why the database did not do what was asked. Messages are for the log; none contains SQL or data.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the database.
    #[error("{} is in use by {by}", path.display())]
    Held {
        /// The directory.
        path: PathBuf,
        /// Who holds it.
        by: String,
    },
    /// A newer binary has changed its form.
    #[error("{} has form {found}, this binary knows {known}: it belongs to a newer version", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its form.
        found: usize,
        /// The newest form of this binary.
        known: usize,
    },
    /// A binary that was never released has made it, and its tables are others.
    #[error("{} was made by an unreleased version: it has no {lacks}", path.display())]
    Unreleased {
        /// The file.
        path: PathBuf,
        /// The column it lacks, as `table.column`.
        lacks: String,
    },
    /// A file that was to be put in place of the database is none.
    #[error("{} is no backup of a database: {why}", path.display())]
    NoBackup {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file or the directory cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No room on the disk.
    #[error("no room left on the disk of the database")]
    Full,
    /// A write to the disk failed before; only a restart learns what is there.
    #[error("writing failed before, nothing is accepted until a restart")]
    Broken,
    /// A row is not what was written: the disk or the memory has changed it.
    #[error("a stored row is damaged: {0}")]
    Damaged(&'static str),
    /// Another process has become the owner meanwhile.
    #[error("another control plane has taken the database over: its epoch is {found}, ours {own}")]
    Fenced {
        /// The epoch of the other one.
        found: u64,
        /// Ours.
        own: u64,
    },
    /// A key was to be kept that nobody seemed to want any more.
    #[error("the device was told to remove the new key: it took too long")]
    Removed,
    /// SQLite said something else.
    #[error("the database says: {}", describe(.0))]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full,
            Some(_) => StoreError::Sqlite(error),
            None if is_of_value(&error) => StoreError::Damaged("a value"),
            None => StoreError::Sqlite(error),
        }
    }
}

impl StoreError {
    /// Whether the file or the disk below it is the cause, and not what was asked of it.
    #[must_use]
    pub fn is_of_disk(&self) -> bool {
        use rusqlite::ErrorCode as Code;
        match self {
            StoreError::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(
                    // A read that fails with EIO is told as corruption (SQLITE_IOERR_CORRUPTFS).
                    Code::SystemIoFailure
                        | Code::DatabaseCorrupt
                        | Code::NotADatabase
                        | Code::CannotOpen
                        | Code::ReadOnly
                        | Code::DatabaseBusy
                        | Code::DatabaseLocked
                        | Code::FileLockingProtocolFailed
                )
            ),
            StoreError::Io { .. } | StoreError::Full | StoreError::Broken | StoreError::Damaged(_) => true,
            _ => false,
        }
    }
}

/// Whether a value of a row is not of the form that the schema enforces, which only damage can bring about.
fn is_of_value(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;
    matches!(
        error,
        E::FromSqlConversionFailure(..) | E::IntegralValueOutOfRange(..) | E::InvalidColumnType(..) | E::Utf8Error(..)
    )
}

/// SQLite's own words without the statement they were about.
fn describe(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, _) => code.to_string(),
        rusqlite::Error::QueryReturnedNoRows => "a row is missing".to_owned(),
        _ => "the row has another form than expected".to_owned(),
    }
}

/// The database, shared by all who read and write it.
pub struct Store {
    /// The file.
    path: PathBuf,
    /// For reading.
    readers: Readers,
    /// The thread that writes.
    writer: Writer,
    /// The thread that keeps the log short.
    _checkpoints: Checkpoints,
    /// Makes us the owner; freed last.
    _lock: Lock,
}

impl Store {
    /// Opens the database in `directory`, making both if they are missing.
    ///
    /// # Errors
    /// [`StoreError::Held`], [`StoreError::Newer`], or what the system says.
    pub fn open(directory: &Path) -> Result<Store, StoreError> {
        make_directory(directory)?;
        let lock = Lock::take(directory)?;
        replace::complete(directory)?;
        let path = directory.join(FILE);
        make_private(&path)?;
        let mut connection = Connection::open(&path)?;
        prepare(&connection)?;
        schema::migrate(&mut connection, &path)?;
        let readers = Readers::open(&path)?;
        connection.pragma_update(None, "wal_autocheckpoint", checkpoint::PAGES_MAX)?;
        let writer = Writer::start(connection, Reserve::take(directory)?)?;
        let checkpoints = Checkpoints::start(&path, writer.broken())?;
        Ok(Store { path, readers, writer, _checkpoints: checkpoints, _lock: lock })
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `ask` on one state of the database.
    ///
    /// # Errors
    /// Those of `ask`, or that no state can be had.
    pub fn read<T, E: From<StoreError>>(&self, ask: impl FnOnce(&Reader<'_>) -> Result<T, E>) -> Result<T, E> {
        self.readers.read(ask)
    }

    /// Runs `job` in a transaction and returns once it is durable. Jobs that wait are committed together; one that
    /// fails leaves nothing behind and harms no other.
    ///
    /// # Errors
    /// Those of `job`, or that it could not be made durable.
    pub async fn write<T, E>(&self, job: impl FnOnce(&Txn<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let Ok(outcome) = self.writer.submit(job).await else { return Err(StoreError::Broken.into()) };
        outcome
    }

    /// As [`Store::write`], for threads that may block.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_blocking<T, E>(&self, job: impl FnOnce(&Txn<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let Ok(outcome) = self.writer.submit(job).blocking_recv() else { return Err(StoreError::Broken.into()) };
        outcome
    }

    /// Has `job` done with the next transaction, at the latest after a second. What it writes may be lost in a crash.
    pub fn write_soon(&self, job: impl FnOnce(&Txn<'_>) -> Result<(), StoreError> + Send + 'static) {
        self.writer.defer(Box::new(job));
    }

    /// Writes from here on only as long as nobody has a greater fencing epoch.
    pub fn fence(&self, epoch: u64) {
        self.writer.fence(epoch);
    }

    /// Whether writing has failed for good.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.writer.is_broken()
    }

    /// Whether the disk is so full that nothing is added.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.writer.is_low()
    }

    /// How much was written so far.
    #[must_use]
    pub fn counts(&self) -> WriteCounts {
        self.writer.counts()
    }

    /// Gets a token after commits that are to be published; what they are is in the outbox.
    #[must_use]
    pub fn wakes(&self) -> crossbeam::channel::Receiver<()> {
        self.writer.wakes()
    }

    /// Copies the whole database into the new file `to` while it stays in use.
    ///
    /// # Errors
    /// As [`StoreError`].
    pub fn back_up(&self, to: &Path) -> Result<(), StoreError> {
        let connection = Connection::open_with_flags(&self.path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(BUSY_TIME)?;
        schema::back_up(&connection, to)
    }
}

/// Makes the directory, for its owner only.
fn make_directory(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt;
    if path.is_dir() {
        return Ok(());
    }
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| StoreError::Io { path: path.to_owned(), source })
}

/// Makes the file, if it is missing, for its owner only; SQLite gives its other files the same mode.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    let made = rustix::fs::open(path, flags, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR);
    made.map(drop).map_err(|errno| StoreError::Io { path: path.to_owned(), source: errno.into() })
}

/// Settings of every connection.
fn prepare(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY_TIME)?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // Changes its mind about nothing: text of others never becomes part of a statement, and no file is attached.
    connection.set_limit(rusqlite::limits::Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    Ok(())
}

#[cfg(test)]
mod tests;
