//! A backup in place of the database, while nobody has it.
//!
//! Invariants: the copy is complete, sound and of the form of this binary before anything is moved; the database before
//! it stays beside it with its log, under a name that says when it was replaced. One rename decides: from then on a copy
//! waits under [`PENDING`], and whoever takes the directory's lock next completes the replacement, so that no crash
//! leaves a database beside the log of another. SQLite would apply that log: it is sound by its own checksums.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{DomainId, FILE, Lock, StoreError, make_directory, make_private, prepare, schema};

/// Between the name of the database and the time at which it was replaced.
const ASIDE: &str = ".replaced-";
/// The same of a copy that is decided to be the database and not yet in its place.
const PENDING: &str = ".pending-";
/// What SQLite keeps beside a database.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// Puts a copy of the backup `from` in place of the database in `directory`; `stamp` names the former one, whose path is
/// returned if there was one.
///
/// # Errors
/// [`StoreError::Held`] while a control plane runs, [`StoreError::NoBackup`] if `from` is none, [`StoreError::Newer`], or what
/// the system says. Nothing is changed then, unless the very moving failed: the next to open the database completes it.
pub fn replace(directory: &Path, from: &Path, stamp: &str) -> Result<Option<PathBuf>, StoreError> {
    // Before a directory is made for nothing.
    File::open(from).map_err(io(from))?;
    make_directory(directory)?;
    let _lock = Lock::take(directory)?;
    complete(directory)?;
    let place = directory.join(FILE);
    let aside = beside(&place, &format!("{ASIDE}{stamp}"));
    if aside.exists() {
        return Err(io(&aside)(std::io::ErrorKind::AlreadyExists.into()));
    }
    let copy = beside(&place, ".restoring");
    let cleared = std::iter::once(copy.clone()).chain(COMPANIONS.map(|end| beside(&copy, end)));
    for path in cleared {
        // What an attempt before this one has left.
        remove(&path)?;
    }
    let copied = copy_backup(from, &copy).and_then(|()| examine(&copy, from));
    if let Err(error) = copied {
        for path in std::iter::once(copy.clone()).chain(COMPANIONS.map(|end| beside(&copy, end))) {
            remove(&path)?;
        }
        return Err(error);
    }
    let had = place.exists();
    let pending = beside(&place, &format!("{PENDING}{stamp}"));
    fs::rename(&copy, &pending).map_err(io(&pending))?;
    sync(directory)?;
    complete(directory)?;
    Ok(had.then_some(aside))
}

/// Completes a replacement that was decided and cut short, if there is one. The caller has the lock.
///
/// # Errors
/// [`StoreError::Io`]; the next attempt goes on where this one ended.
pub(super) fn complete(directory: &Path) -> Result<(), StoreError> {
    let prefix = format!("{FILE}{PENDING}");
    for entry in fs::read_dir(directory).map_err(io(directory))? {
        let name = entry.map_err(io(directory))?.file_name();
        let Some(stamp) = name.to_str().and_then(|name| name.strip_prefix(&prefix)) else { continue };
        for (from, to) in moves(directory, stamp) {
            // What was moved before a crash is not there any more.
            if from.exists() {
                fs::rename(&from, &to).map_err(io(&from))?;
                // In this order on the disk too, whatever the file system makes of renames.
                sync(directory)?;
            }
        }
    }
    Ok(())
}

/// The renames that complete a replacement, in their order: the former log goes before the copy comes. Each can be left
/// out if its source is gone, so the list can be begun anew after a crash at any place.
fn moves(directory: &Path, stamp: &str) -> Vec<(PathBuf, PathBuf)> {
    let place = directory.join(FILE);
    let aside = beside(&place, &format!("{ASIDE}{stamp}"));
    let pending = beside(&place, &format!("{PENDING}{stamp}"));
    let former = ["", "-wal", "-shm"].map(|end| (beside(&place, end), beside(&aside, end)));
    former.into_iter().chain([(pending, place)]).collect()
}

/// Makes the names of a directory durable.
fn sync(directory: &Path) -> Result<(), StoreError> {
    File::open(directory).and_then(|dir| dir.sync_all()).map_err(io(directory))
}

/// The error of a file.
fn io(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { path, source }
}

/// Copies the file, and its log if somebody copied a database in use file by file.
fn copy_backup(from: &Path, copy: &Path) -> Result<(), StoreError> {
    for end in ["", "-wal"] {
        let (from, to) = (beside(from, end), beside(copy, end));
        if end.is_empty() || from.exists() {
            make_private(&to)?;
            let failed = |source| StoreError::Io { path: from.clone(), source };
            let mut source = File::open(&from).map_err(failed)?;
            let mut target = fs::OpenOptions::new().write(true).open(&to).map_err(failed)?;
            std::io::copy(&mut source, &mut target).and_then(|_| target.sync_all()).map_err(failed)?;
        }
    }
    Ok(())
}

/// Makes sure that the copy is a sound database of ours, and brings it to the form of this binary.
fn examine(copy: &Path, from: &Path) -> Result<(), StoreError> {
    let none = |why: &'static str| StoreError::NoBackup { path: from.to_owned(), why };
    let mut connection = Connection::open(copy)?;
    let form = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0));
    match form {
        Ok(0) => return Err(none("it has no tables of ours")),
        Ok(_) => {}
        Err(_) => return Err(none("it is not a database")),
    }
    prepare(&connection)?;
    let verdict: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(none("it is damaged"));
    }
    schema::migrate(&mut connection, copy).map_err(|error| match error {
        StoreError::Unreleased { .. } => none("an unreleased version made it"),
        other => other,
    })?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// The domains of the database that was replaced last, as far as it can be read; none if none was.
#[must_use]
pub fn former_domains(directory: &Path) -> Vec<(DomainId, String)> {
    let prefix = format!("{FILE}{ASIDE}");
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_database = |name: &String| name.starts_with(&prefix) && !COMPANIONS.iter().any(|end| name.ends_with(end));
    let Some(newest) = names.filter(is_database).max() else { return Vec::new() };
    let read = || -> rusqlite::Result<Vec<(DomainId, String)>> {
        let connection = Connection::open_with_flags(directory.join(newest), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let mut statement = connection.prepare("SELECT id, name FROM domains")?;
        statement.query_map([], |row| Ok((DomainId(row.get(0)?), row.get(1)?)))?.collect()
    };
    // It may be what is damaged; then nobody knows which zones came from it.
    read().unwrap_or_default()
}

/// A path with something at its end.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Removes a file that may be there.
fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::Io { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    /// Sets `key` in the database of a directory.
    fn set(directory: &Path, key: &'static str) {
        Store::open(directory).unwrap().write_blocking(move |txn| txn.set(key, b"1")).unwrap();
    }

    /// Whether the database of a directory has `key`.
    fn has(directory: &Path, key: &str) -> bool {
        Store::open(directory).unwrap().read(|reader| reader.setting(key)).unwrap().is_some()
    }

    #[test]
    fn a_backup_takes_the_place_and_the_former_database_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (state, backup) = (dir.path().join("state"), dir.path().join("backup"));
        set(&state, "early");
        Store::open(&state).unwrap().back_up(&backup).unwrap();
        set(&state, "late");
        let aside = replace(&state, &backup, "20261122T100000").unwrap().unwrap();
        assert!(has(&state, "early") && !has(&state, "late"));
        // The former one is whole: it can be put back in the same way.
        replace(&state, &aside, "20261122T100001").unwrap();
        assert!(has(&state, "late"));
        assert!(former_domains(&state).is_empty());
    }

    #[test]
    fn a_replacement_that_was_cut_short_is_completed_and_no_log_is_applied_to_another_database() {
        let dir = tempfile::tempdir().unwrap();
        let (backup, former) = (dir.path().join("backup"), dir.path().join("former"));
        set(&dir.path().join("made"), "restored");
        Store::open(&dir.path().join("made")).unwrap().back_up(&backup).unwrap();
        // A database in use, as a crash leaves it: what was written last is in its log only.
        let store = Store::open(&former).unwrap();
        store.write_blocking(|txn| txn.set("late", b"1")).unwrap();
        for done_count in 0..=moves(dir.path(), "x").len() {
            let state = dir.path().join(format!("state-{done_count}"));
            fs::create_dir(&state).unwrap();
            for end in ["", "-wal", "-shm"] {
                fs::copy(beside(&former.join(FILE), end), beside(&state.join(FILE), end)).unwrap();
            }
            assert!(fs::metadata(beside(&state.join(FILE), "-wal")).unwrap().len() > 0);
            fs::copy(&backup, beside(&state.join(FILE), ".pending-x")).unwrap();
            let cut_short = moves(&state, "x").into_iter().take(done_count);
            cut_short.for_each(|(from, to)| fs::rename(from, to).unwrap());
            let opened = Store::open(&state).unwrap();
            let found = |key: &str| opened.read(|reader| reader.setting(key)).unwrap().is_some();
            assert_eq!((found("restored"), found("late")), (true, false), "after {done_count} moves");
            assert!(opened.read(|reader| reader.damages()).unwrap().is_empty(), "after {done_count} moves");
            drop(opened);
            let aside = beside(&state.join(FILE), ".replaced-x");
            replace(&state, &aside, "y").unwrap();
            assert!(has(&state, "late") && !has(&state, "restored"), "after {done_count} moves");
        }
    }

    #[test]
    fn a_log_without_its_database_is_not_taken_for_that_of_the_backup() {
        let dir = tempfile::tempdir().unwrap();
        let (state, backup) = (dir.path().join("state"), dir.path().join("backup"));
        set(&state, "early");
        Store::open(&state).unwrap().back_up(&backup).unwrap();
        let store = Store::open(&dir.path().join("other")).unwrap();
        store.write_blocking(|txn| txn.set("late", b"1")).unwrap();
        fs::remove_file(state.join(FILE)).unwrap();
        fs::copy(dir.path().join("other/petrel.db-wal"), state.join("petrel.db-wal")).unwrap();
        assert_eq!(replace(&state, &backup, "x").unwrap(), None);
        assert!(has(&state, "early") && !has(&state, "late"));
    }

    #[test]
    fn what_is_no_backup_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (state, file) = (dir.path().join("state"), dir.path().join("file"));
        set(&state, "early");
        for (content, why) in
            [(&b""[..], "no tables"), (b"zone file", "not a database"), (&[0; 4096], "not a database")]
        {
            fs::write(&file, content).unwrap();
            let error = replace(&state, &file, "x").unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(matches!(replace(&state, &dir.path().join("none"), "x"), Err(StoreError::Io { .. })));
        let held = Store::open(&state).unwrap();
        held.back_up(&dir.path().join("backup")).unwrap();
        assert!(matches!(replace(&state, &dir.path().join("backup"), "x"), Err(StoreError::Held { .. })));
        drop(held);
        assert!(has(&state, "early"));
        let files = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(files.into_iter().all(|name| name.split('.').count() <= 2), "something was left behind");
    }
}
