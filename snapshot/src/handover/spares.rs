//! Names of files that nothing needs any more, to be written again instead of new ones.
//!
//! A file system may make new files dear for whoever has removed many: ext4 looks at each inode that was freed in the last
//! minute, up to 8,192 of them, before it gives out another, which takes a millisecond. A publication adds three files and
//! frees three, so written again none is created or removed. Readers copy what they read and check its digest, hence a
//! reader who opened a file before it was removed reads a wrong digest at worst, and `CURRENT` has changed by then.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Files longer than this are not kept, and not written into spares: creating them is not what they cost.
pub(super) const SPARE_LEN_MAX: usize = 64 << 10;
/// How many are kept: what a few collections free.
const SPARES_MAX: usize = 256;

/// The names; the file that was freed first is used first, so that its last readers are gone.
#[derive(Default)]
pub(super) struct Spares(Mutex<VecDeque<String>>);

impl Spares {
    /// The name of a spare file, no longer one.
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Keeps a file of this name, unless there are enough.
    pub(super) fn put(&self, name: &str) -> bool {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = names.len() < SPARES_MAX;
        if has_room {
            names.push_back(name.to_owned());
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;

    use super::super::testing::{Scratch, publish};
    use super::super::{Keep, Writer};
    use crate::image::{Pack, Trust};

    /// The inodes in a directory.
    fn inodes(scratch: &Scratch) -> BTreeSet<u64> {
        scratch.files().iter().map(|name| std::fs::metadata(scratch.path.join(name)).unwrap().ino()).collect()
    }

    /// Publishes one generation for each serial, and collects.
    fn publish_and_reuse(writer: &mut Writer, serials: std::ops::Range<u32>) {
        for serial in serials {
            publish(writer, &format!("a={serial}"), Keep::Nothing).unwrap();
        }
        writer.collect_aside(1, &[]).unwrap().1.reuse();
    }

    #[test]
    fn publishing_on_creates_no_file() {
        let scratch = Scratch::new();
        let mut writer = scratch.writer();
        publish_and_reuse(&mut writer, 1..20);
        let before = inodes(&scratch);
        publish_and_reuse(&mut writer, 20..35);
        assert_eq!(inodes(&scratch), before);
        assert_eq!(scratch.served(), "34: a=34");
        drop(writer);
        assert_eq!(scratch.files().len(), 5, "two generations and CURRENT");
    }

    #[test]
    fn a_file_with_another_name_elsewhere_is_not_written_again() {
        let scratch = Scratch::new();
        let mut writer = scratch.writer();
        publish_and_reuse(&mut writer, 1..5);
        let copies = tempfile::TempDir::new().unwrap();
        for name in scratch.files() {
            std::fs::hard_link(scratch.path.join(&name), copies.path().join(&name)).unwrap();
        }
        let content = |name: &str| std::fs::read(copies.path().join(name)).unwrap();
        let before: Vec<_> = scratch.files().into_iter().map(|name| (content(&name), name)).collect();
        publish_and_reuse(&mut writer, 5..20);
        publish_and_reuse(&mut writer, 20..40);
        for (bytes, name) in before {
            assert_eq!(content(&name), bytes, "{name}");
        }
        assert_eq!(scratch.served(), "39: a=39");
    }

    #[test]
    fn who_still_reads_a_removed_pack_notices_that_it_is_another() {
        let scratch = Scratch::new();
        let mut writer = scratch.writer();
        let published = publish(&mut writer, "a=1", Keep::Nothing).unwrap();
        let digest = published.current.manifest.packs[0].digest;
        let open = File::open(scratch.path.join(super::super::layout::pack_name(digest))).unwrap();
        publish_and_reuse(&mut writer, 2..5);
        publish_and_reuse(&mut writer, 5..20);
        assert!(Pack::load_trusted(&open, digest, &Trust::default()).is_err());
    }

    #[test]
    fn files_are_readable_for_the_group_and_writable_for_nobody_once_they_have_their_name() {
        let scratch = Scratch::new();
        let mut writer = scratch.writer();
        publish_and_reuse(&mut writer, 1..10);
        publish_and_reuse(&mut writer, 10..20);
        for name in scratch.files().iter().filter(|name| !name.starts_with(".tmp")) {
            let mode = std::fs::metadata(scratch.path.join(name)).unwrap().mode() & 0o777;
            assert_eq!(mode, 0o440, "{name}");
        }
    }
}
