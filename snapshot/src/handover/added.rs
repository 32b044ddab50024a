//! The files that a publication adds: written, made durable together, named, and removed again if it fails.
//!
//! Invariant: dropped before [`Added::publish`] has renamed `CURRENT`, it leaves the directory as it was.

use std::sync::Arc;

use super::disk::{Disk, Temp};
use super::{HandoverError, layout};

/// The files added so far.
pub(super) struct Added {
    /// Where they are.
    disk: Arc<Disk>,
    /// Files that have no final name yet, in the order in which they are to get it.
    staged: Vec<Staged>,
    /// The names to remove after an error.
    names: Vec<String>,
    /// Bytes written.
    pub(super) bytes_written: u64,
}

/// A file on its way.
struct Staged {
    /// The file.
    temp: Temp,
    /// Its final name.
    name: String,
    /// Whether it takes the place of a file.
    replaces: bool,
}

impl Added {
    /// Nothing yet.
    pub(super) fn new(disk: &Arc<Disk>) -> Added {
        Added { disk: Arc::clone(disk), staged: Vec::new(), names: Vec::new(), bytes_written: 0 }
    }

    /// Writes a file that shall have this name, which nothing has.
    ///
    /// # Errors
    /// [`HandoverError::Io`].
    pub(super) fn stage(&mut self, bytes: &[u8], name: String) -> Result<(), HandoverError> {
        let temp = self.disk.write_temp(bytes)?;
        self.take(temp, name, bytes.len() as u64, false);
        Ok(())
    }

    /// Writes a file and makes it durable, to be read back; returns its name for now.
    ///
    /// # Errors
    /// [`HandoverError::Io`].
    pub(super) fn stage_at_once(
        &mut self,
        bytes: &[u8],
        name: String,
        is_missing: bool,
    ) -> Result<String, HandoverError> {
        self.stage(bytes, name)?;
        let Some(staged) = self.staged.last_mut() else { return Ok(String::new()) };
        staged.replaces = !is_missing;
        self.disk.flush(&staged.temp)?;
        Ok(staged.temp.name.clone())
    }

    /// Takes over a file that was written already, to have a name that is free or, if it `replaces` a file, is not.
    pub(super) fn take(&mut self, temp: Temp, name: String, len: u64, replaces: bool) {
        self.names.push(temp.name.clone());
        self.staged.push(Staged { temp, name, replaces });
        self.bytes_written += len;
    }

    /// The name that a file has now which is to have this one, or has it.
    pub(super) fn name_now<'n>(&'n self, name: &'n str) -> &'n str {
        let staged = self.staged.iter().find(|staged| staged.name == name);
        staged.map_or(name, |staged| &staged.temp.name)
    }

    /// Makes everything durable under its final name, then `CURRENT` with this content.
    ///
    /// # Errors
    /// [`HandoverError::Io`].
    pub(super) fn publish(mut self, current: &[u8]) -> Result<(), HandoverError> {
        let current = self.disk.write_temp(current)?;
        self.names.push(current.name.clone());
        for staged in &self.staged {
            self.disk.flush(&staged.temp)?;
        }
        self.disk.flush(&current)?;
        for staged in std::mem::take(&mut self.staged) {
            self.disk.rename(&staged.temp.name, &staged.name)?;
            self.names.retain(|name| *name != staged.temp.name);
            if !staged.replaces {
                self.names.push(staged.name);
            }
        }
        // One sync for all names: until CURRENT names them, in which order they become durable is all the same.
        self.disk.sync()?;
        let is_kept = self.disk.replace(&current.name, layout::CURRENT)?;
        self.names.clear();
        let synced = self.disk.sync();
        match is_kept {
            // Until then the old file may be what a power failure brings back as `CURRENT`.
            true if synced.is_ok() => self.disk.spare(&current.name),
            true => self.disk.discard(&current.name),
            false => {}
        }
        synced
    }
}

impl Drop for Added {
    fn drop(&mut self) {
        // In reverse, so that a manifest goes before the packs it names.
        for name in self.names.iter().rev() {
            self.disk.discard(name);
        }
    }
}
