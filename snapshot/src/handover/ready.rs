//! Packs that are durable, read back and checked before a generation names them.
//!
//! Whoever publishes waits for none of that, and data planes can have a large pack in memory already when it comes into
//! service: see [`Parcel`]. Invariant: until it is published, such a pack has a temporary name; dropped before, it leaves no
//! file behind.

use std::sync::Arc;

use super::added::Added;
use super::disk::{Disk, Temp};
use super::fold::FOLDED_LEN_MAX;
use super::frames::Parcel;
use super::index::Contents;
use super::layout::{self, FileKind};
use super::{Directory, HandoverError, Writer};
use crate::image::{Digest, Pack, PackFile, PackRef, Segment, SigningKey};

/// Where packs are made ready for a writer, on any thread.
#[derive(Clone)]
pub struct Shelf {
    /// The directory.
    directory: Directory,
    /// What signs them.
    key: Option<Arc<SigningKey>>,
}

/// A pack that is ready.
#[must_use]
pub struct Ready {
    /// What manifests will call it.
    pub(super) pack: PackRef,
    /// Its zones.
    contents: Contents,
    /// The file; `None` once a publication has it.
    temp: Option<Temp>,
    /// Where it is.
    disk: Arc<Disk>,
}

impl Writer {
    /// Where packs are made ready for this writer.
    #[must_use]
    pub fn shelf(&self) -> Shelf {
        Shelf { directory: self.directory.clone(), key: self.key.clone() }
    }
}

impl Shelf {
    /// Whether a segment is so large that a pack of its own should be made ready; smaller ones are folded with others.
    #[must_use]
    pub fn is_worth(&self, segment: &Segment) -> bool {
        segment.facts.base.is_none() && segment.facts.bytes > FOLDED_LEN_MAX
    }

    /// Makes a zone as a whole a pack of its own. O(bytes).
    ///
    /// # Errors
    /// [`HandoverError`]; nothing is left behind then.
    pub fn put(&self, segment: Segment) -> Result<Ready, HandoverError> {
        self.write(PackFile::encode(vec![segment]).map_err(HandoverError::Encode)?)
    }

    /// Writes a pack, makes it durable and reads it back.
    ///
    /// # Errors
    /// As [`Shelf::put`].
    pub(super) fn write(&self, pack: PackFile) -> Result<Ready, HandoverError> {
        let PackFile { digest, zones, mut bytes } = pack;
        if let Some(key) = &self.key {
            key.sign(&mut bytes);
        }
        let pack = PackRef { digest, bytes: bytes.len() as u64, zones };
        let disk = Arc::clone(&self.directory.disk);
        let temp = disk.write_temp(&bytes)?;
        let name = temp.name.clone();
        // From here on the file goes if anything fails.
        let mut ready = Ready { pack, contents: Contents::default(), temp: Some(temp), disk };
        drop(bytes);
        if let Some(temp) = &ready.temp {
            ready.disk.flush(temp)?;
        }
        ready.contents = Contents::of(&self.directory.load_pack_file(&name, digest, pack.bytes)?);
        Ok(ready)
    }
}

impl Ready {
    /// Where data planes find it until it is published.
    #[must_use]
    pub fn parcel(&self) -> Parcel {
        let file = self.temp.as_ref().map_or_else(|| layout::pack_name(self.pack.digest), |temp| temp.name.clone());
        Parcel { file, digest: self.pack.digest.to_string(), bytes: self.pack.bytes }
    }

    /// Gives the file to a publication; the zones in it.
    pub(super) fn hand_over(mut self, added: &mut Added) -> (PackRef, Contents) {
        if let Some(temp) = self.temp.take() {
            let name = layout::pack_name(self.pack.digest);
            // A generation may have the very pack; the bytes are the same then.
            let is_there = self.disk.is_regular(&name);
            added.take(temp, name, self.pack.bytes, is_there);
        }
        (self.pack, std::mem::take(&mut self.contents))
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if let Some(temp) = &self.temp {
            self.disk.discard(&temp.name);
        }
    }
}

impl Directory {
    /// Loads a pack that no generation may name yet, checked as any other.
    ///
    /// # Errors
    /// [`HandoverError`] naming the file that is missing or wrong.
    pub fn load_parcel(&self, parcel: &Parcel) -> Result<Pack, HandoverError> {
        let malformed = |reason| HandoverError::Malformed { path: self.disk.path_of("a parcel"), reason };
        let digest: Digest = parcel.digest.parse().map_err(|_| malformed("its digest is none"))?;
        match FileKind::of(&parcel.file) {
            FileKind::Temp | FileKind::Pack(_) => self.load_slowly(&parcel.file, digest, parcel.bytes),
            FileKind::Manifest(_) | FileKind::Foreign => Err(malformed("its file is none of a pack")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scratch, segment};
    use super::super::{Keep, Publication};
    use super::*;

    #[test]
    fn a_pack_that_is_ready_can_be_had_before_it_is_published_and_after() {
        let scratch = Scratch::new();
        scratch.publish_all(&["a=1 b=1"]);
        let mut writer = scratch.writer();
        let ready = writer.shelf().put(segment("a=2")).unwrap();
        let parcel = ready.parcel();
        let loaded = scratch.directory().load_parcel(&parcel).unwrap();
        assert_eq!(loaded.digest().to_string(), parcel.digest);
        let publication = Publication { ready: vec![ready], ..Publication::of(vec![], Keep::Others, 1) };
        writer.publish(publication).unwrap();
        assert_eq!(scratch.served(), "2: a=2 b=1");
        assert!(scratch.directory().load_parcel(&parcel).is_err(), "it has its final name");
        let after = Parcel { file: layout::pack_name(loaded.digest()), ..parcel };
        assert!(scratch.directory().load_parcel(&after).is_ok());
    }

    #[test]
    fn a_pack_that_is_not_published_leaves_nothing_behind() {
        let scratch = Scratch::new();
        scratch.publish_all(&["a=1"]);
        let before = scratch.files();
        let writer = scratch.writer();
        drop(writer.shelf().put(segment("a=2")).unwrap());
        assert_eq!(scratch.files(), before);
    }

    #[test]
    fn what_is_published_with_it_lies_above_it() {
        let scratch = Scratch::new();
        let mut writer = scratch.writer();
        let ready = writer.shelf().put(segment("a=1")).unwrap();
        let pack = PackFile::encode(vec![segment("a=2")]).unwrap();
        let publication = Publication { ready: vec![ready], ..Publication::of(vec![pack], Keep::Others, 1) };
        writer.publish(publication).unwrap();
        assert_eq!(scratch.served(), "1: a=2");
    }

    #[test]
    fn a_parcel_is_a_pack_of_the_directory_or_nothing() {
        let scratch = Scratch::new();
        scratch.publish_all(&["a=1"]);
        let parcel = scratch.writer().shelf().put(segment("a=2")).map(|ready| ready.parcel()).unwrap();
        for file in ["CURRENT", "lock", "../secret", "/etc/passwd", "pack-12", ".tmp-1-2/../../x", ""] {
            let parcel = Parcel { file: file.to_owned(), ..parcel.clone() };
            assert!(scratch.directory().load_parcel(&parcel).is_err(), "{file}");
        }
        let parcel = Parcel { digest: "12".to_owned(), ..parcel };
        assert!(scratch.directory().load_parcel(&parcel).is_err());
    }
}
