//! Connections for reading, and the view of one state that they give.
//!
//! Invariant: everything inside one [`Readers::read`] sees the same state of the database.

use std::path::Path;

use crossbeam::channel::{Receiver, Sender, bounded};
use rusqlite::{CachedStatement, Connection, OpenFlags, Params, Row};

use super::{StoreError, prepare};

/// How many connections: short reads need as many as there are cores, and some are held for seconds by exports and imports.
const COUNT: usize = 8;

/// The pool.
pub(super) struct Readers {
    /// Connections at rest.
    idle: Receiver<Connection>,
    /// Where they are put back.
    back: Sender<Connection>,
}

/// One state of the database; the entities' modules add what can be asked.
pub struct Reader<'c> {
    /// The connection, in a transaction.
    connection: &'c Connection,
}

impl Readers {
    /// Opens the connections.
    pub(super) fn open(path: &Path) -> Result<Readers, StoreError> {
        let (back, idle) = bounded(COUNT);
        for _ in 0..COUNT {
            let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            prepare(&connection)?;
            back.send(connection).map_err(|_| StoreError::Broken)?;
        }
        Ok(Readers { idle, back })
    }

    /// Runs `ask` on a connection, waiting for one if all are busy.
    pub(super) fn read<T, E: From<StoreError>>(&self, ask: impl FnOnce(&Reader<'_>) -> Result<T, E>) -> Result<T, E> {
        let connection = self.idle.recv().map_err(|_| StoreError::Broken)?;
        // Dropped in this order also when `ask` panics: the transaction ends, the connection goes back.
        let held = Held { connection: Some(connection), back: &self.back };
        let connection = held.connection.as_ref().ok_or(StoreError::Broken)?;
        let transaction = connection.unchecked_transaction().map_err(StoreError::from)?;
        ask(&Reader::of(&transaction))
    }
}

/// A connection in use.
struct Held<'p> {
    /// The connection until it goes back.
    connection: Option<Connection>,
    /// Where to.
    back: &'p Sender<Connection>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // The channel has room for all connections, and its receiver lives beside it.
            self.back.try_send(connection).ok();
        }
    }
}

impl<'c> Reader<'c> {
    /// A reader on a connection that is in a transaction.
    pub(super) fn of(connection: &'c Connection) -> Reader<'c> {
        Reader { connection }
    }

    /// A prepared statement, from the cache if it was used before.
    pub(super) fn statement(&self, sql: &'static str) -> Result<CachedStatement<'c>, StoreError> {
        Ok(self.connection.prepare_cached(sql)?)
    }

    /// The one row of a query, if there is one.
    pub(super) fn row<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        use rusqlite::OptionalExtension;
        Ok(self.statement(sql)?.query_row(params, map).optional()?)
    }

    /// All rows of a query.
    pub(super) fn rows<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.statement(sql)?;
        let rows = statement.query_map(params, map)?;
        Ok(rows.collect::<Result<Vec<T>, _>>()?)
    }
}
