//! What the tests of this folder share: faults to order, small packs, and a directory with a history.
//!
//! Compiled for tests only.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use super::{Directory, HandoverError, Keep, Publication, Published, Writer};
use crate::dns::name::Name;
use crate::dns::rtype::Rtype;
use crate::dns::zone::{Record, ZoneBuilder};
use crate::image::{OverlayBuilder, PackFile, Segment, View, ZoneCounts};

/// Decides which changes of a directory fail.
pub(super) struct Faults(Mutex<Orders>);

/// What [`Faults`] was told and has seen.
struct Orders {
    /// What happens when the count has run down.
    fault: Fault,
    /// How many changes still succeed.
    left: usize,
    /// Whether the latest change is the one that was struck.
    struck: bool,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing ever fails.
    None,
    /// One change fails for want of space, the next ones work.
    Once,
    /// The process is dead: this change and all later ones do not happen.
    Kill,
}

impl Faults {
    /// Lets everything succeed.
    pub(super) fn none() -> Faults {
        Faults(Mutex::new(Orders { fault: Fault::None, left: 0, struck: false }))
    }

    /// Orders a fault after `left` changes that succeed.
    pub(super) fn order(&self, fault: Fault, left: usize) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Orders { fault, left, struck: false };
    }

    /// Tells whether the next change may happen.
    pub(super) fn next(&self) -> io::Result<()> {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orders.struck = false;
        if orders.fault == Fault::None {
            return Ok(());
        }
        if orders.left == usize::MAX {
            // The fault has struck before.
            return if orders.fault == Fault::Kill { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) };
        }
        if orders.left > 0 {
            orders.left -= 1;
            return Ok(());
        }
        orders.left = usize::MAX;
        orders.struck = true;
        Err(io::ErrorKind::StorageFull.into())
    }

    /// Whether the fault struck the latest change, which then may have happened by half.
    pub(super) fn struck_just_now(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).struck
    }

    /// Whether the fault has struck at all.
    pub(super) fn has_struck(&self) -> bool {
        let orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orders.fault != Fault::None && orders.left == usize::MAX
    }
}

/// A directory below a temporary one.
pub(super) struct Scratch {
    /// Removed at the end of the test.
    _root: TempDir,
    /// The path of the directory of generations.
    pub(super) path: PathBuf,
}

impl Scratch {
    /// A directory that does not exist yet.
    pub(super) fn new() -> Scratch {
        let root = TempDir::new().unwrap();
        let path = root.path().join("snapshots");
        Scratch { _root: root, path }
    }

    /// Opens it.
    pub(super) fn directory(&self) -> Directory {
        Directory::create(&self.path).unwrap()
    }

    /// Becomes its writer.
    pub(super) fn writer(&self) -> Writer {
        self.directory().lock("test").unwrap()
    }

    /// Publishes one generation per content, each replacing the one before, and returns the last.
    pub(super) fn publish_all(&self, contents: &[&str]) -> Published {
        let mut writer = self.writer();
        let published = contents.iter().map(|content| publish(&mut writer, content, Keep::Nothing).unwrap());
        published.last().unwrap()
    }

    /// The names of its files, sorted, without the lock.
    pub(super) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.path).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != "lock").collect();
        names.sort_unstable();
        names
    }

    /// Replaces a file, whatever its mode.
    pub(super) fn overwrite(&self, name: &str, bytes: &[u8]) {
        std::fs::remove_file(self.path.join(name)).unwrap();
        std::fs::write(self.path.join(name), bytes).unwrap();
    }

    /// Reads a file.
    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path.join(name)).unwrap()
    }

    /// What a cold start serves: "generation: content", and " fallback" if it is not the current generation.
    pub(super) fn served(&self) -> String {
        match self.directory().load(None).unwrap() {
            None => "nothing".into(),
            Some(loaded) => {
                let note = if loaded.fallback.is_some() { " fallback" } else { "" };
                format!("{}{note}", content(&loaded.view))
            }
        }
    }
}

/// A pack of zones given as "a=1 b=2", each as [`segment`] has it.
pub(super) fn pack(content: &str) -> PackFile {
    PackFile::encode(content.split_whitespace().map(segment).collect()).unwrap()
}

/// A zone given as "a=1": apex and serial; "c=1+3" is an overlay that makes serial 1 serial 3.
pub(super) fn segment(word: &str) -> Segment {
    let zone = |apex: &str, serial: &str| {
        let apex: Name = apex.parse().unwrap();
        let mut builder = ZoneBuilder::new(apex.clone());
        let mut soa = b"\x02ns\0\x02hm\0".to_vec();
        soa.extend_from_slice(&serial.parse::<u32>().unwrap().to_be_bytes());
        soa.extend_from_slice(&[0; 16]);
        for (rtype, rdata) in [(Rtype::SOA, soa.as_slice()), (Rtype::NS, b"\x02ns\0")] {
            builder.push(Record { owner: apex.as_ref(), rtype, ttl_secs: 60, rdata, line: 1 }).unwrap();
        }
        builder.finish()
    };
    let (apex, serial) = word.split_once('=').unwrap();
    let Some((base, serial)) = serial.split_once('+') else { return Segment::build(&zone(apex, serial)).unwrap() };
    let base = Segment::build(&zone(apex, base)).unwrap().base_facts().unwrap();
    let now = zone(apex, serial);
    let overlay = OverlayBuilder::new(now.apex(), base).unwrap().change(&now, &[]).unwrap();
    overlay.build(ZoneCounts::default()).unwrap()
}

/// Publishes one pack of this content.
pub(super) fn publish(writer: &mut Writer, content: &str, keep: Keep) -> Result<Published, HandoverError> {
    writer.publish(Publication::of(vec![pack(content)], keep, 1_000))
}

/// The content of a view as "generation: a=1 b=2".
pub(super) fn content(view: &View) -> String {
    let mut text = format!("{}:", view.generation().unwrap().0);
    for zone in view.zones() {
        text += &format!(" {}={}", zone.apex.to_string().trim_end_matches('.'), zone.serial);
    }
    text
}
