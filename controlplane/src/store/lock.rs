//! The lock that makes a process the owner of the database directory.
//!
//! It is an flock on the file `lock`, so it dies with its holder and keeps no reader, backup or Litestream out: those use
//! SQLite's own locks.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, ftruncate};
use rustix::io::Errno;

use super::StoreError;

/// How much of the holder's line is read.
const HOLDER_LEN_MAX: u64 = 100;

/// The lock, until it is dropped.
pub(super) struct Lock(File);

impl Lock {
    /// Takes the lock without waiting and writes who has it.
    pub(super) fn take(directory: &Path) -> Result<Lock, StoreError> {
        let path = directory.join("lock");
        let fail = |errno: Errno| StoreError::Io { path: path.clone(), source: errno.into() };
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut file = File::from(rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(fail)?);
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // Who holds it is only told to people; not to know is no failure.
                (&mut file).take(HOLDER_LEN_MAX).read_to_string(&mut text).ok();
                let by = text.trim().escape_debug().to_string();
                let by = if by.is_empty() { "another process".to_owned() } else { by };
                return Err(StoreError::Held { path: directory.to_owned(), by });
            }
            other => other.map_err(fail)?,
        }
        let text = format!("pid {}\n", std::process::id());
        file.write_all(text.as_bytes()).map_err(|source| StoreError::Io { path: path.clone(), source })?;
        ftruncate(&file, text.len() as u64).map_err(fail)?;
        Ok(Lock(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A child that is being started holds the file too, so closing alone would free it late.
        flock(&self.0, FlockOperation::Unlock).ok();
    }
}
