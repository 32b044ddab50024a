//! Packs that are in memory before a generation names them, so that nobody waits for a large one when it comes into service.
//!
//! Whoever publishes says where they lie; each is tried by a process of its own first, as generations are. Invariant: what is
//! here was checked as any pack is, and is let go of when it is in service, or when no generation names it for long.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use snapshot::handover::frames::Parcel;
use snapshot::handover::{Directory, explain};
use snapshot::image::{Pack, Trust, View};

use super::taster::{Taster, Verdict};
use crate::slot::Prepare;

/// How long a pack is kept that no generation names.
const KEPT: Duration = Duration::from_secs(60);
/// More packs are not kept: the oldest goes.
const PACKS_MAX: usize = 8;

/// Packs on their way.
pub(super) struct Larder {
    /// The directory.
    path: PathBuf,
    /// The keys whose signatures are asked for.
    trust: Trust,
    /// What packs are tried with, one at a time; `None` loads them untried.
    taster: Mutex<Option<Taster>>,
    /// The packs, the oldest first, each with the time at which it came.
    packs: Mutex<Vec<(Arc<Pack>, Instant)>>,
}

/// A lock whose holder has panicked guards what it guarded.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Larder {
    /// Nothing yet, of the directory at `path`.
    pub(super) fn new(path: &Path, trust: &Trust, taster: Option<Taster>) -> Larder {
        let (path, trust) = (path.to_owned(), trust.clone());
        Larder { path, trust, taster: Mutex::new(taster), packs: Mutex::default() }
    }

    /// What is there.
    pub(super) fn packs(&self) -> Vec<Arc<Pack>> {
        lock(&self.packs).iter().map(|(pack, _)| Arc::clone(pack)).collect()
    }

    /// Lets go of what a view has.
    pub(super) fn served(&self, view: &View) {
        let mut packs = lock(&self.packs);
        if !packs.is_empty() {
            packs.retain(|(pack, _)| view.packs().iter().all(|served| served.digest() != pack.digest()));
        }
    }
}

impl Prepare for Larder {
    fn prepare(&self, parcel: &Parcel) -> Result<(), String> {
        // Held until the end, so that there is one at a time.
        let mut taster = lock(&self.taster);
        if self.packs().iter().any(|pack| pack.digest().to_string() == parcel.digest) {
            return Ok(());
        }
        if let Some(taster) = taster.as_mut()
            && taster.taste_parcel(parcel) == Verdict::Deadly
        {
            return Err(format!("trial loads of {} crashed", parcel.file));
        }
        let directory = Directory::open(&self.path).map_err(|error| explain(&error))?.trusting(self.trust.clone());
        let pack = directory.load_parcel(parcel).map_err(|error| explain(&error))?;
        let mut packs = lock(&self.packs);
        if packs.len() == PACKS_MAX {
            packs.remove(0);
        }
        packs.push((Arc::new(pack), Instant::now()));
        Ok(())
    }

    fn tidy(&self) {
        lock(&self.packs).retain(|(_, since)| since.elapsed() < KEPT);
    }
}

#[cfg(test)]
mod tests {
    use snapshot::dns::name::Name;
    use snapshot::dns::rtype::Rtype;
    use snapshot::dns::zone::{Record, ZoneBuilder};
    use snapshot::handover::{Keep, Publication, Ready, Writer};
    use snapshot::image::Segment;

    use super::super::directory::Following;
    use super::*;
    use crate::slot::Source as _;

    /// A zone with this serial.
    fn segment(serial: u32) -> Segment {
        let apex: Name = "a.test.".parse().unwrap();
        let mut builder = ZoneBuilder::new(apex.clone());
        let soa = [&b"\x02ns\0\x02hm\0"[..], &serial.to_be_bytes(), &[0; 16]].concat();
        for (rtype, rdata) in [(Rtype::SOA, soa.as_slice()), (Rtype::NS, b"\x02ns\0")] {
            builder.push(Record { owner: apex.as_ref(), rtype, ttl_secs: 60, rdata, line: 1 }).unwrap();
        }
        Segment::build(&builder.finish()).unwrap()
    }

    /// Publishes a pack that lies ready.
    fn publish(writer: &mut Writer, ready: Ready) {
        let publication = Publication { ready: vec![ready], ..Publication::of(vec![], Keep::Others, 1) };
        writer.publish(publication).unwrap();
    }

    #[test]
    fn a_pack_that_was_prepared_is_not_loaded_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Directory::create(dir.path()).unwrap().lock("test").unwrap();
        let ready = writer.shelf().put(segment(1)).unwrap();
        publish(&mut writer, ready);
        let mut source = Following::open(dir.path(), &Trust::default()).unwrap();
        let larder = source.larder().unwrap();
        let first = source.load(None).unwrap().unwrap().view;
        let ready = writer.shelf().put(segment(2)).unwrap();
        larder.prepare(&ready.parcel()).unwrap();
        larder.prepare(&ready.parcel()).unwrap();
        publish(&mut writer, ready);
        // What was not in memory yet could not be had any more.
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("pack-") {
                std::fs::remove_file(path).unwrap();
            }
        }
        let second = source.load(Some(&first)).unwrap().unwrap().view;
        assert_eq!(second.zones().iter().map(|zone| zone.serial).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn what_cannot_be_prepared_harms_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Directory::create(dir.path()).unwrap().lock("test").unwrap();
        let larder = Larder::new(dir.path(), &Trust::default(), None);
        let ready = writer.shelf().put(segment(1)).unwrap();
        let parcel = ready.parcel();
        let wrong = [
            Parcel { file: "CURRENT".into(), ..parcel.clone() },
            Parcel { bytes: parcel.bytes + 1, ..parcel.clone() },
            Parcel { digest: "ab".repeat(32), ..parcel.clone() },
        ];
        for parcel in wrong {
            assert!(larder.prepare(&parcel).is_err(), "{parcel:?}");
        }
        drop(ready);
        assert!(larder.prepare(&parcel).is_err(), "it is gone");
        assert!(larder.packs().is_empty());
    }

    #[test]
    fn no_more_packs_are_kept_than_a_few() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Directory::create(dir.path()).unwrap().lock("test").unwrap();
        let larder = Larder::new(dir.path(), &Trust::default(), None);
        for serial in 0..12 {
            let ready = writer.shelf().put(segment(serial)).unwrap();
            larder.prepare(&ready.parcel()).unwrap();
        }
        let serials: Vec<u32> = larder.packs().iter().flat_map(|pack| pack.zones().map(|zone| zone.serial)).collect();
        assert_eq!(serials, (4..12).collect::<Vec<_>>());
        larder.tidy();
        assert_eq!(larder.packs().len(), 8, "they came just now");
    }
}
