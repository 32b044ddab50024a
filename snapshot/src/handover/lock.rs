//! The lock that makes a process the one writer of a directory.
//!
//! It is an flock, so it dies with its holder and needs no cleaning up; the text in the file is only for people.
//! Invariant: whoever holds a [`Lock`] is the only one who changes the directory.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::fs::{FlockOperation, flock, ftruncate};
use rustix::io::Errno;

use super::disk::{Disk, io_error};
use super::{HandoverError, layout};

/// How much of the holder's text is read and shown.
const HOLDER_LEN_MAX: usize = 200;

/// The lock, until it is dropped.
pub(super) struct Lock {
    /// The locked file.
    file: File,
}

impl Drop for Lock {
    /// Frees the lock. Closing the file is not enough: a process that is being started meanwhile has it, too, until its
    /// program is in place. If freeing fails, closing frees it a little later.
    fn drop(&mut self) {
        let _freed = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Why this process does not become the writer.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process writes.
    #[error("the directory is in use by {by}")]
    Held {
        /// The holder in its own words, as `pid 123: dnsctl compile`.
        by: String,
    },
    /// The lock file or the directory cannot be used.
    #[error(transparent)]
    Handover(#[from] HandoverError),
}

impl Lock {
    /// Takes the lock without waiting and writes who holds it.
    ///
    /// # Errors
    /// [`LockError::Held`] if another open file has it, else [`LockError::Handover`].
    pub(super) fn take(disk: &Disk, holder: &str) -> Result<Lock, LockError> {
        let mut file = disk.open_lock()?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(LockError::Held { by: holder_of(&mut file) }),
            other => other.map_err(|errno| io_error("lock", &disk.path_of(layout::LOCK), errno))?,
        }
        write_holder(&mut file, holder).map_err(|source| {
            let path = disk.path_of(layout::LOCK);
            HandoverError::Io { doing: "write", path, source }
        })?;
        Ok(Lock { file })
    }
}

/// Writes who holds the lock. Written first and cut afterwards, so that the file is never empty for a reader.
fn write_holder(file: &mut File, holder: &str) -> io::Result<()> {
    let text = format!("pid {}: {}\n", std::process::id(), printable(holder));
    file.write_all(text.as_bytes())?;
    ftruncate(&*file, text.len() as u64)?;
    Ok(())
}

/// Who holds the lock, as far as the file tells.
fn holder_of(file: &mut File) -> String {
    let mut bytes = Vec::new();
    match file.take(HOLDER_LEN_MAX as u64).read_to_end(&mut bytes) {
        Ok(len) if len > 0 => printable(String::from_utf8_lossy(&bytes).trim_end()),
        // Nothing is written yet, or it cannot be read: somebody holds it all the same.
        _ => "another process".to_owned(),
    }
}

/// Shortens a text and replaces what could confuse a terminal.
fn printable(text: &str) -> String {
    text.chars().take(HOLDER_LEN_MAX).map(|char| if char.is_control() { '?' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::testing::{Scratch, publish};
    use super::super::{Keep, layout::temp_name};
    use super::*;

    #[test]
    fn a_second_writer_is_refused_and_told_who_holds_the_lock() {
        let scratch = Scratch::new();
        let writer = scratch.directory().lock("dnsctl \x1b[31mcompile").unwrap();
        let Err(LockError::Held { by }) = scratch.directory().lock("second") else { panic!("two writers") };
        assert_eq!(by, format!("pid {}: dnsctl ?[31mcompile", std::process::id()));
        drop(writer);
        let _writer = scratch.directory().lock("x").unwrap();
        assert_eq!(scratch.read("lock"), format!("pid {}: x\n", std::process::id()).as_bytes());
    }

    #[test]
    fn the_lock_file_may_be_no_link() {
        let scratch = Scratch::new();
        let directory = scratch.directory();
        let victim = scratch.path.join("victim");
        std::fs::write(&victim, b"precious").unwrap();
        symlink(&victim, scratch.path.join("lock")).unwrap();
        let outcome = directory.lock("test");
        assert!(matches!(outcome, Err(LockError::Handover(HandoverError::NotRegular { .. }))));
        assert_eq!(std::fs::read(victim).unwrap(), b"precious");
    }

    #[test]
    fn a_new_writer_removes_what_dead_ones_left_unfinished() {
        let scratch = Scratch::new();
        let directory = scratch.directory();
        let own = temp_name(std::process::id(), 0);
        for name in [own.as_str(), ".tmp-1-7", ".tmp-x-7"] {
            std::fs::write(directory.path().join(name), b"half").unwrap();
        }
        let mut writer = scratch.writer();
        assert_eq!(scratch.files(), [".tmp-x-7"]);
        publish(&mut writer, "a=1", Keep::Nothing).unwrap();
    }
}
