//! The system calls on a directory of generations: open without following links, write once, rename, sync, remove.
//!
//! It knows names and bytes, not what they mean. Invariants: every file is addressed by one name below a directory that is
//! held open, so that renaming a path component cannot lead us elsewhere; only regular files are read; no file is ever
//! written under its final name; every change passes [`Disk::apply`], where tests let it fail.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    Advice, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, chmodat, fadvise, fchmod, fstat, fsync, ftruncate, open,
    openat, renameat, renameat_with, statat, unlinkat,
};

use rustix::io::Errno;

use super::spares::{SPARE_LEN_MAX, Spares};
use super::{HandoverError, layout};

/// Owner and group may read: the data plane is in the group, and nobody writes after the rename.
const FILE_MODE: Mode = Mode::from_raw_mode(0o440);
/// A longer file is made durable step by step.
const SYNC_STEP: usize = 16 << 20;
/// A file that may be written again, while it has a temporary name.
const SPARE_MODE: Mode = Mode::from_raw_mode(0o640);
/// The same for the directory, which its owner adds to.
const DIR_MODE: u32 = 0o750;

/// A directory of generations, held open.
pub(super) struct Disk {
    /// Where it was found, for messages.
    path: PathBuf,
    /// The directory itself.
    dir: OwnedFd,
    /// How many unfinished files were named so far.
    temp_count: AtomicU64,
    /// Files to write again.
    spares: Spares,
    /// Which change is to fail.
    #[cfg(test)]
    pub(super) faults: super::testing::Faults,
}

/// A file under a temporary name.
pub(super) struct Temp {
    /// The name.
    pub(super) name: String,
    /// The open file.
    file: File,
}

/// One change of the directory.
enum Change<'a> {
    /// Create a file, which must not be there.
    Write(&'a str, &'a [u8]),
    /// Write a file anew that nothing needs.
    Rewrite(&'a str, &'a [u8]),
    /// Make the bytes of a file durable.
    Flush(&'a File),
    /// Give a file its final name, replacing what had it.
    Rename(&'a str, &'a str),
    /// Let two files change their names.
    Exchange(&'a str, &'a str),
    /// Remove a name; a link is removed, not followed.
    Remove(&'a str),
    /// Make renames and removals durable.
    Sync,
}

impl Disk {
    /// Opens the directory at `path`.
    ///
    /// # Errors
    /// [`HandoverError::Io`].
    pub(super) fn open(path: &Path) -> Result<Disk, HandoverError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = open(path, flags, Mode::empty()).map_err(|errno| io_error("open", path, errno))?;
        Ok(Disk {
            path: path.to_owned(),
            dir,
            temp_count: AtomicU64::new(0),
            spares: Spares::default(),
            #[cfg(test)]
            faults: super::testing::Faults::none(),
        })
    }

    /// Opens the directory at `path`, creating it and its parents if they are missing.
    ///
    /// # Errors
    /// [`HandoverError::Io`].
    pub(super) fn create(path: &Path) -> Result<Disk, HandoverError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(DIR_MODE).create(path);
        made.map_err(|source| HandoverError::Io { doing: "create", path: path.to_owned(), source })?;
        Disk::open(path)
    }

    /// The path of the directory, for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file, for messages.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// All names in the directory, sorted; names that are not UTF-8 are none of ours and left out.
    ///
    /// # Errors
    /// [`HandoverError::Io`].
    pub(super) fn names(&self) -> Result<Vec<String>, HandoverError> {
        let failed = |errno| io_error("list", &self.path, errno);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.dir).map_err(failed)? {
            if let Ok(name) = entry.map_err(failed)?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Opens a regular file of at most `len_max` bytes for reading and returns its length.
    ///
    /// # Errors
    /// [`HandoverError::Io`], [`HandoverError::NotRegular`] (also for a link), [`HandoverError::TooLong`].
    pub(super) fn open_file(&self, name: &str, len_max: u64) -> Result<(File, u64), HandoverError> {
        let file = self.open_regular(name, OFlags::RDONLY, Mode::empty())?;
        let stat = fstat(&file).map_err(|errno| io_error("examine", &self.path_of(name), errno))?;
        let found = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
        if found > len_max {
            return Err(HandoverError::TooLong { path: self.path_of(name), found, max: len_max });
        }
        Ok((file, found))
    }

    /// Opens the lock file, creating it if it is missing.
    ///
    /// # Errors
    /// [`HandoverError::Io`], [`HandoverError::NotRegular`].
    pub(super) fn open_lock(&self) -> Result<File, HandoverError> {
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
        self.open_regular(layout::LOCK, OFlags::RDWR | OFlags::CREATE, mode)
    }

    /// Opens a regular file. O_NONBLOCK keeps a pipe put in its place from stopping us.
    fn open_regular(&self, name: &str, flags: OFlags, mode: Mode) -> Result<File, HandoverError> {
        let not_regular = || HandoverError::NotRegular { path: self.path_of(name) };
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.dir, name, flags, mode) {
            Err(rustix::io::Errno::LOOP) => return Err(not_regular()),
            other => other.map_err(|errno| io_error("open", &self.path_of(name), errno))?,
        };
        let stat = fstat(&file).map_err(|errno| io_error("examine", &self.path_of(name), errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(not_regular());
        }
        Ok(File::from(file))
    }

    /// Reads a whole regular file of at most `len_max` bytes.
    ///
    /// # Errors
    /// As [`Disk::open_file`].
    pub(super) fn read(&self, name: &str, len_max: u64) -> Result<Vec<u8>, HandoverError> {
        let (file, len) = self.open_file(name, len_max)?;
        // Room for all of it and for noticing the end, so that a small file is read at once.
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0) + 1);
        // One byte more than allowed tells a file that grew after it was measured.
        let read = file.take(len_max.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|source| HandoverError::Io { doing: "read", path: self.path_of(name), source })?;
        let found = bytes.len() as u64;
        if found > len_max {
            return Err(HandoverError::TooLong { path: self.path_of(name), found, max: len_max });
        }
        Ok(bytes)
    }

    /// Writes a file under a temporary name, into a spare one if there is any. Its bytes are durable after
    /// [`Disk::flush`]; until then the disk may be busy with them, so several files are best written first and flushed
    /// afterwards. After an error the file is gone again, if the disk lets us.
    ///
    /// # Errors
    /// [`HandoverError::Io`].
    pub(super) fn write_temp(&self, bytes: &[u8]) -> Result<Temp, HandoverError> {
        if bytes.len() <= SPARE_LEN_MAX
            && let Some(name) = self.spares.take()
        {
            if let Ok(Some(file)) = self.apply(&Change::Rewrite(&name, bytes)) {
                return Ok(Temp { name, file });
            }
            // Whatever is wrong with it, a new file will tell if it matters.
            self.discard(&name);
        }
        let name = self.next_temp_name();
        match self.apply(&Change::Write(&name, bytes)) {
            Ok(Some(file)) => Ok(Temp { name, file }),
            outcome => {
                self.discard(&name);
                let source = outcome.err().unwrap_or_else(|| io::ErrorKind::Other.into());
                Err(HandoverError::Io { doing: "write", path: self.path_of(&name), source })
            }
        }
    }

    /// Makes the bytes of a file durable.
    ///
    /// # Errors
    /// [`HandoverError::Io`].
    pub(super) fn flush(&self, temp: &Temp) -> Result<(), HandoverError> {
        let flushed = self.apply(&Change::Flush(&temp.file));
        let path = || self.path_of(&temp.name);
        flushed.map(drop).map_err(|source| HandoverError::Io { doing: "write", path: path(), source })
    }

    /// Gives a temporary file its final name. What had that name is replaced, never changed.
    ///
    /// # Errors
    /// [`HandoverError::Io`]; nothing happened then.
    pub(super) fn rename(&self, temp: &str, name: &str) -> Result<(), HandoverError> {
        self.apply(&Change::Rename(temp, name)).map(drop).map_err(|source| self.unnamed(name, source))
    }

    /// As [`Disk::rename`], but if a file had the name, it is not removed: it gets the temporary name, which is told, and may be
    /// made a spare when that is durable.
    ///
    /// # Errors
    /// [`HandoverError::Io`]; nothing happened then.
    pub(super) fn replace(&self, temp: &str, name: &str) -> Result<bool, HandoverError> {
        if self.is_regular(name) {
            match self.apply(&Change::Exchange(temp, name)) {
                // A file system that cannot do this.
                Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::INVAL | Errno::NOSYS)) => {}
                outcome => return outcome.map(|_| true).map_err(|source| self.unnamed(name, source)),
            }
        }
        self.rename(temp, name).map(|()| false)
    }

    /// Makes a file under a temporary name a spare one, if it is a small one of ours and there are not many yet; else it
    /// is removed.
    pub(super) fn spare(&self, temp: &str) {
        let small = statat(&self.dir, temp, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
            let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            is_regular && usize::try_from(stat.st_size).is_ok_and(|len| len <= SPARE_LEN_MAX)
        });
        let taken = small && chmodat(&self.dir, temp, SPARE_MODE, AtFlags::empty()).is_ok() && self.spares.put(temp);
        if !taken {
            self.discard(temp);
        }
    }

    /// A file did not get its final name.
    fn unnamed(&self, name: &str, source: io::Error) -> HandoverError {
        HandoverError::Io { doing: "rename a new file to", path: self.path_of(name), source }
    }

    /// Whether a name is that of a regular file.
    pub(super) fn is_regular(&self, name: &str) -> bool {
        let stat = statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
    }

    /// A temporary name that no file of this process has.
    fn next_temp_name(&self) -> String {
        layout::temp_name(std::process::id(), self.temp_count.fetch_add(1, Ordering::Relaxed))
    }

    /// Removes a name. One that is missing is fine, and so is a directory, which cannot be ours and stays.
    ///
    /// # Errors
    /// [`HandoverError::Io`].
    pub(super) fn remove(&self, name: &str) -> Result<(), HandoverError> {
        match self.apply(&Change::Remove(name)) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => Ok(()),
            other => other.map(drop).map_err(|source| HandoverError::Io {
                doing: "remove",
                path: self.path_of(name),
                source,
            }),
        }
    }

    /// Gives a file that nothing needs a temporary name, which frees its own at once; `None` if there is none of this name,
    /// or a directory, which cannot be ours and stays.
    ///
    /// # Errors
    /// [`HandoverError::Io`].
    pub(super) fn set_aside(&self, name: &str) -> Result<Option<String>, HandoverError> {
        let failed = |source| HandoverError::Io { doing: "set aside", path: self.path_of(name), source };
        match statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(failed(errno.into())),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => return Ok(None),
            Ok(_) => {}
        }
        let temp = self.next_temp_name();
        self.apply(&Change::Rename(name, &temp)).map(|_| Some(temp)).map_err(failed)
    }

    /// Removes a file after an error. A second error changes nothing: the first one is reported, and the next writer
    /// removes what is left.
    pub(super) fn discard(&self, name: &str) {
        drop(self.apply(&Change::Remove(name)));
    }

    /// Makes renames and removals durable.
    ///
    /// # Errors
    /// [`HandoverError::Io`].
    pub(super) fn sync(&self) -> Result<(), HandoverError> {
        let synced = self.apply(&Change::Sync);
        synced.map(drop).map_err(|source| HandoverError::Io { doing: "sync", path: self.path.clone(), source })
    }

    /// Does one change; a file that was written is returned.
    fn apply(&self, change: &Change<'_>) -> io::Result<Option<File>> {
        #[cfg(test)]
        if let Err(error) = self.faults.next() {
            // A process that dies while it writes leaves half a file.
            match (change, self.faults.struck_just_now()) {
                (Change::Write(name, bytes), true) => drop(self.create_file(name, &bytes[..bytes.len() / 2])?),
                (Change::Rewrite(name, bytes), true) => drop(self.rewrite_file(name, &bytes[..bytes.len() / 2])?),
                _ => {}
            }
            return Err(error);
        }
        match *change {
            Change::Write(name, bytes) => return self.create_file(name, bytes).map(Some),
            Change::Rewrite(name, bytes) => return self.rewrite_file(name, bytes).map(Some),
            // The length of a new file is made durable as well; its times are of no interest.
            Change::Flush(file) => file.sync_data()?,
            Change::Rename(from, to) => renameat(&self.dir, from, &self.dir, to)?,
            Change::Exchange(one, other) => {
                renameat_with(&self.dir, one, &self.dir, other, RenameFlags::EXCHANGE)?;
            }
            Change::Remove(name) => unlinkat(&self.dir, name, AtFlags::empty())?,
            Change::Sync => fsync(&self.dir)?,
        }
        Ok(None)
    }

    /// Creates a file of these bytes.
    fn create_file(&self, name: &str, bytes: &[u8]) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.dir, name, flags, FILE_MODE)?);
        // The mode of openat is cut by the umask; the data plane's group must be able to read under any umask.
        fchmod(&file, FILE_MODE)?;
        for step in bytes.chunks(SYNC_STEP) {
            file.write_all(step)?;
            // Whoever makes a small file durable meanwhile waits for a step at most: a file system's journal is one for all.
            if bytes.len() > SYNC_STEP {
                file.sync_data()?;
            }
        }
        // Only a hint: the disk begins to write, so that flushing several files waits for one commit of the file system's
        // journal and not for one each (2.5 ms -> 1.8 ms for pack, manifest and `CURRENT`).
        fadvise(&file, 0, None, Advice::DontNeed).ok();
        Ok(file)
    }

    /// Gives a spare file these bytes. Its blocks stay its own, so that flushing it writes them and little else.
    fn rewrite_file(&self, name: &str, bytes: &[u8]) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.dir, name, flags, Mode::empty())?);
        // A file with a second name is somebody's copy of a published one.
        if fstat(&file)?.st_nlink != 1 {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        file.write_all(bytes)?;
        ftruncate(&file, bytes.len() as u64)?;
        fchmod(&file, FILE_MODE)?;
        fadvise(&file, 0, None, Advice::DontNeed).ok();
        Ok(file)
    }
}

impl Drop for Disk {
    /// Removes the spare files; after a crash the next writer does.
    fn drop(&mut self) {
        while let Some(name) = self.spares.take() {
            self.discard(&name);
        }
    }
}

/// An error of the operating system with what was tried.
pub(super) fn io_error(doing: &'static str, path: &Path, errno: rustix::io::Errno) -> HandoverError {
    HandoverError::Io { doing, path: path.to_owned(), source: errno.into() }
}
