//! The form of the database: numbered migrations, forward only.
//!
//! A migration is a file of SQL that is never edited once released. Invariants: `user_version` is the number of the last
//! migration; all migrations of an open are one transaction; a database of a newer binary is refused, and one of an older
//! binary is copied beside itself before it is changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::StoreError;

/// The migrations in their order; number `n` makes version `n`.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001.sql")];

/// Brings an open database to the form of this binary.
///
/// # Errors
/// [`StoreError::Newer`] if a newer binary has migrated it, [`StoreError::Unreleased`] if one between two releases has, else what SQLite says; it is unchanged then.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    migrate_with(connection, path, MIGRATIONS)?;
    compare(connection, path)
}

/// Makes sure that the columns are there which the migrations make: before the first release the files of SQL were edited,
/// and a database of then has the right number all the same.
fn compare(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let mut model = Connection::open_in_memory()?;
    migrate_with(&mut model, path, MIGRATIONS)?;
    let found = columns(connection)?;
    let lacks = columns(&model)?.into_iter().find(|column| !found.contains(column));
    lacks.map_or(Ok(()), |lacks| Err(StoreError::Unreleased { path: path.to_owned(), lacks }))
}

/// All columns as `table.column`.
fn columns(connection: &Connection) -> Result<BTreeSet<String>, StoreError> {
    let sql = "SELECT t.name || '.' || c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'";
    let mut statement = connection.prepare(sql)?;
    let columns = statement.query_map([], |row| row.get(0))?;
    Ok(columns.collect::<Result<_, _>>()?)
}

/// As [`migrate`], with migrations of the caller.
fn migrate_with(connection: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), StoreError> {
    let found: usize = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0))? as usize;
    let known = migrations.len();
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    if found == known {
        return Ok(());
    }
    if found > 0 {
        back_up(connection, &backup_path(path, found))?;
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for migration in &migrations[found..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", u32::try_from(known).unwrap_or(u32::MAX))?;
    transaction.commit()?;
    Ok(())
}

/// Where the copy of version `found` lies: `petrel.db.before-2`.
fn backup_path(path: &Path, found: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".before-{}", found + 1));
    PathBuf::from(name)
}

/// Copies the whole database into a new file, readable by its owner only, while it stays in use.
///
/// # Errors
/// What SQLite says, or that the file is there already.
pub(super) fn back_up(connection: &Connection, to: &Path) -> Result<(), StoreError> {
    // SQLite would make the file with the process's umask; secrets' hashes and all zones are in it.
    let options = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::EXCL | rustix::fs::OFlags::WRONLY;
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let made = rustix::fs::open(to, options, mode);
    made.map_err(|errno| StoreError::Io { path: to.to_owned(), source: errno.into() })?;
    let copied = copy_into(connection, to);
    if copied.is_err() {
        // Half a copy is none; that it cannot be removed changes nothing about the error.
        std::fs::remove_file(to).ok();
    }
    copied
}

/// Copies a whole database in one step: in several, each write of others would make it begin anew.
fn copy_into(connection: &Connection, to: &Path) -> Result<(), StoreError> {
    /// All pages.
    const ALL: i32 = i32::MAX;
    let mut copy = Connection::open(to)?;
    let backup = rusqlite::backup::Backup::new(connection, &mut copy)?;
    backup.run_to_completion(ALL, std::time::Duration::ZERO, None)?;
    drop(backup);
    copy.close().map_err(|(_, error)| error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens the file `t.db` of a directory.
    fn open(dir: &tempfile::TempDir) -> (Connection, PathBuf) {
        let path = dir.path().join("t.db");
        (Connection::open(&path).unwrap(), path)
    }

    #[test]
    fn migrations_are_applied_once_in_order_and_a_copy_is_made_before() {
        let dir = tempfile::tempdir().unwrap();
        let (mut connection, path) = open(&dir);
        let first = "CREATE TABLE a (x INTEGER);";
        let second = "ALTER TABLE a ADD COLUMN y INTEGER;";
        migrate_with(&mut connection, &path, &[first]).unwrap();
        connection.execute("INSERT INTO a VALUES (1)", []).unwrap();
        migrate_with(&mut connection, &path, &[first]).unwrap();
        migrate_with(&mut connection, &path, &[first, second]).unwrap();
        let row = connection.query_row("SELECT x, y FROM a", [], |row| Ok((row.get(0)?, row.get(1)?)));
        assert_eq!(row, Ok((Some(1), None::<i64>)));
        let copy = Connection::open(dir.path().join("t.db.before-2")).unwrap();
        assert_eq!(copy.query_row("SELECT x FROM a", [], |row| row.get(0)), Ok(1));
        assert!(copy.prepare("SELECT y FROM a").is_err());
    }

    #[test]
    fn an_older_binary_refuses_and_a_failed_migration_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (mut connection, path) = open(&dir);
        let first = "CREATE TABLE a (x INTEGER);";
        migrate_with(&mut connection, &path, &[first]).unwrap();
        assert!(migrate_with(&mut connection, &path, &[first, "CREATE TABLE b (x); nonsense;"]).is_err());
        assert!(connection.prepare("SELECT * FROM b").is_err());
        let newer = migrate_with(&mut connection, &path, &[]).unwrap_err();
        assert!(newer.to_string().contains("newer"), "{newer}");
    }

    #[test]
    fn a_database_that_lacks_a_column_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let (mut connection, path) = open(&dir);
        migrate(&mut connection, &path).unwrap();
        connection.execute_batch("DROP INDEX domains_unproved; ALTER TABLE domains DROP COLUMN unproved").unwrap();
        let refused = migrate(&mut connection, &path).unwrap_err().to_string();
        assert!(refused.ends_with("made by an unreleased version: it has no domains.unproved"), "{refused}");
    }

    #[test]
    fn the_schema_of_this_binary_is_sound() {
        let dir = tempfile::tempdir().unwrap();
        let (mut connection, path) = open(&dir);
        migrate(&mut connection, &path).unwrap();
        let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
    }
}
