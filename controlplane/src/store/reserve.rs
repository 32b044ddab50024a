//! Room that is kept for the time when there is no other: on a full disk, deleting must still work.
//!
//! A file takes up some room beside the database and gives it back when the disk is nearly full. From then on only jobs
//! that add nothing are done, until there is enough for the file and as much again. It is no quota: whoever else
//! writes to the disk may take what was given back.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, fstatvfs, ftruncate, open};

use super::StoreError;

/// The file.
const NAME: &str = "reserve";
/// How much is kept in bytes: a few hundred deletions, and their publication if that is on the same disk.
const LEN: u64 = 16 << 20;
/// On a small disk it is this part of what is free.
const SHARE: u64 = 16;

/// The room that is kept.
pub(super) struct Reserve {
    /// The file that takes it.
    file: File,
    /// How much that is.
    len: u64,
    /// Whether it was given back.
    is_low: Arc<AtomicBool>,
}

impl Reserve {
    /// Takes the room, or as much as a small disk can spare.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the file cannot be made. Without room for it, it starts given back.
    pub(super) fn take(directory: &Path) -> Result<Reserve, StoreError> {
        let path = directory.join(NAME);
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = open(&path, flags, Mode::RUSR | Mode::WUSR);
        let file = File::from(file.map_err(|errno| StoreError::Io { path, source: errno.into() })?);
        let held = file.metadata().map_or(0, |metadata| metadata.len());
        let len = LEN.min((free(&file).saturating_add(held)) / SHARE);
        let reserve = Reserve { file, len, is_low: Arc::default() };
        if !reserve.hold() {
            reserve.give_back();
        }
        Ok(reserve)
    }

    /// Whether the room was given back, for others to see.
    pub(super) fn is_low(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_low)
    }

    /// Looks at the disk before a transaction; whether it may add rows. One system call, about a microsecond.
    pub(super) fn look(&self) -> bool {
        let was_low = self.is_low.load(Ordering::Relaxed);
        match (was_low, is_low(free(&self.file), self.len, was_low)) {
            (false, true) => self.give_back(),
            (true, false) if self.hold() => self.is_low.store(false, Ordering::Relaxed),
            _ => {}
        }
        !self.is_low.load(Ordering::Relaxed)
    }

    /// Gives the room back.
    pub(super) fn give_back(&self) {
        // If that fails there is no room to be had; jobs that need some are told so by SQLite.
        ftruncate(&self.file, 0).ok();
        self.is_low.store(true, Ordering::Relaxed);
    }

    /// Takes the room up; whether there was enough.
    fn hold(&self) -> bool {
        self.len == 0 || fallocate(&self.file, FallocateFlags::empty(), 0, self.len).is_ok()
    }
}

/// What is free on the disk of a file, in bytes; all of it where that cannot be known.
fn free(file: &File) -> u64 {
    fstatvfs(file).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Whether so little is free that the room is needed, or, once it was given back, still is. The two bounds are apart, so
/// that what was given back does not count as room that has come.
fn is_low(free: u64, len: u64, was_low: bool) -> bool {
    if was_low { free < len.saturating_mul(2) } else { free < len / 4 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_was_given_back_is_not_taken_for_new_room() {
        for (free, was_low, expected) in [(100, false, false), (24, false, true), (124, true, true), (200, true, false)]
        {
            assert_eq!(is_low(free, 100, was_low), expected, "{free} {was_low}");
        }
    }

    #[test]
    fn the_room_is_really_taken_and_given_back() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::take(dir.path()).unwrap();
        let taken = || reserve.file.metadata().unwrap().blocks() * 512;
        assert!(reserve.look() && taken() >= reserve.len);
        reserve.give_back();
        assert_eq!((taken(), reserve.is_low().load(Ordering::Relaxed)), (0, true));
        assert!(reserve.look() && taken() >= reserve.len);
    }
}
