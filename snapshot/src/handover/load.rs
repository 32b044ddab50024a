//! From `CURRENT` to a view in memory.
//!
//! Packs that a previous view holds are shared, not read again. Invariant: with a view in service the result is never older
//! than it, and never another generation than `CURRENT` names; only a cold start, where the alternative is to answer
//! nothing, may serve the predecessor instead.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use rustix::process::setpriority_process;

use super::layout::{self, CurrentLine};
use super::{Current, Directory, HandoverError, explain};
use crate::dns::name::{Name, NameRef};
use crate::image::{Copied, Digest, Generation, Manifest, Pack, PackRef, View};

/// How often a load starts anew because the writer published, and collected, under it.
const ATTEMPTS_MAX: usize = 4;
/// A pack of so many octets takes some ten milliseconds of CPU: it is loaded at a lower priority, so that whoever answers
/// questions on the same core is not kept from it for whole time slices. The largest overlays are shorter, and writes wait for those.
const LARGE_LEN: u64 = 4 << 20;
/// How much lower: such a thread gets about a tenth of what another one gets, if both want all.
const NICE: i32 = 10;

/// A generation in memory.
pub struct Loaded {
    /// The view to serve.
    pub view: Arc<View>,
    /// If this is not the generation `CURRENT` names: why, in one line.
    pub fallback: Option<String>,
}

/// Packs that are in memory before a load of the generation that has them.
#[derive(Default)]
pub struct Ahead {
    /// Copied, and not to be looked into yet.
    copied: HashMap<Digest, Copied>,
    /// Checked.
    checked: Vec<Arc<Pack>>,
}

impl Ahead {
    /// Packs that were loaded by [`Directory::load_parcel`].
    #[must_use]
    pub fn of(checked: Vec<Arc<Pack>>) -> Ahead {
        Ahead { checked, ..Ahead::default() }
    }
}

impl Directory {
    /// Copies what the newest generation has, for a load that follows: a part of its work that can be done while somebody
    /// else finds out whether looking into it does harm. What cannot be read is left to the load, which says why.
    #[must_use]
    pub fn read_ahead(&self) -> Ahead {
        let Ok(Some(Current { manifest, .. })) = self.current() else { return Ahead::default() };
        let copied = manifest.packs.iter().filter_map(|pack| {
            let file = self.open_pack(&layout::pack_name(pack.digest), pack.bytes).ok()?;
            Some((pack.digest, Copied::read(&file, &self.trust).ok()?))
        });
        Ahead { copied: copied.collect(), ..Ahead::default() }
    }

    /// Loads the generation that `CURRENT` names, or `None` if nothing was published yet. `previous` is the view in
    /// service: it is returned itself if it is current, and what both generations have is shared. O(bytes and zones of packs
    /// that came or went).
    ///
    /// # Errors
    /// [`HandoverError`] naming the file that is missing or wrong; [`HandoverError::Rollback`] if `CURRENT` names a
    /// generation before the one in service. Without a view in service, only if the predecessor fails as well.
    pub fn load(&self, previous: Option<&Arc<View>>) -> Result<Option<Loaded>, HandoverError> {
        self.load_with(previous, Ahead::default())
    }

    /// [`Directory::load`] with what was read ahead.
    ///
    /// # Errors
    /// As [`Directory::load`].
    pub fn load_with(&self, previous: Option<&Arc<View>>, ahead: Ahead) -> Result<Option<Loaded>, HandoverError> {
        let serving = previous.and_then(|view| view.generation().map(|generation| (view, generation)));
        let held = HeldPacks::of(previous, ahead);
        let mut attempts_left = ATTEMPTS_MAX;
        loop {
            let line = match self.current_line() {
                Ok(None) if serving.is_none() && self.manifest_names()?.is_empty() => return Ok(None),
                Ok(None) if serving.is_none() => {
                    return self.fall_back(None, self.current_is_missing(), &held).map(Some);
                }
                Ok(None) => return Err(self.current_is_missing()),
                Ok(Some(line)) => line,
                Err(error) if serving.is_none() => return self.fall_back(None, error, &held).map(Some),
                Err(error) => return Err(error),
            };
            if let Some((view, _)) = serving
                && line.manifest.epoch < view.epoch()
            {
                return Err(HandoverError::StaleEpoch { found: line.manifest.epoch, serving: view.epoch() });
            }
            if let Some((view, generation)) = serving
                && line.manifest.generation <= generation
            {
                return in_service(view, generation, line.manifest.generation).map(Some);
            }
            let error = match self.load_line(&line, &held) {
                Ok(view) => return Ok(Some(Loaded { view, fallback: None })),
                Err(error) => error,
            };
            attempts_left -= 1;
            if attempts_left > 0 && !matches!(self.current_line(), Ok(Some(now)) if now == line) {
                continue;
            }
            return match serving {
                None => self.fall_back(Some(&line), error, &held).map(Some),
                Some(_) => Err(error),
            };
        }
    }

    /// Loads of the current generation the packs that have anything of one zone; `None` if nothing was published yet. The view
    /// has other zones of these packs as well. All packs are read, one after the other.
    ///
    /// # Errors
    /// [`HandoverError`] naming the file that is missing or wrong; also if generations are collected faster than they are read.
    pub fn load_zone(&self, apex: NameRef<'_>) -> Result<Option<View>, HandoverError> {
        let mut attempts_left = ATTEMPTS_MAX;
        loop {
            let Some(line) = self.current_line()? else { return Ok(None) };
            let error = match self.load_zone_of(&line, apex) {
                Ok(view) => return Ok(Some(view)),
                Err(error) => error,
            };
            attempts_left -= 1;
            if attempts_left == 0 || matches!(self.current_line(), Ok(Some(now)) if now == line) {
                return Err(error);
            }
        }
    }

    /// The same of the generation that a line of `CURRENT` names.
    fn load_zone_of(&self, line: &CurrentLine, apex: NameRef<'_>) -> Result<View, HandoverError> {
        let Current { manifest, file_name, .. } = self.resolve(line)?;
        // What is small is soon rewritten and removed, so it is read before what takes long.
        let mut packs: Vec<_> = manifest.packs.iter().enumerate().collect();
        packs.sort_by_key(|(_, pack)| pack.bytes);
        let mut found = Vec::new();
        for (position, pack) in packs {
            let loaded = self.load_pack(pack)?;
            let is_it = |name: &Name| name.as_ref() == apex;
            let has_zone = loaded.deleted().iter().any(is_it) || loaded.zones().any(|zone| is_it(&zone.apex));
            if has_zone {
                found.push((position, Arc::new(loaded)));
            }
        }
        found.sort_by_key(|(position, _)| *position);
        let packs = found.into_iter().map(|(_, pack)| pack).collect();
        let refused = |source| HandoverError::Refused { path: self.disk.path_of(&file_name), source };
        View::follow(None, manifest.generation, packs).map_err(refused)
    }

    /// Loads what a line of `CURRENT` names.
    fn load_line(&self, line: &CurrentLine, held: &HeldPacks<'_>) -> Result<Arc<View>, HandoverError> {
        let Current { manifest, .. } = self.resolve(line)?;
        self.load_manifest(&manifest, &line.manifest.to_string(), held)
    }

    /// Loads the packs of a manifest and makes them a view.
    fn load_manifest(
        &self,
        manifest: &Manifest,
        file_name: &str,
        held: &HeldPacks<'_>,
    ) -> Result<Arc<View>, HandoverError> {
        let mut packs = Vec::with_capacity(manifest.packs.len());
        for pack in &manifest.packs {
            if let Some(held) = held.packs.get(&pack.digest) {
                packs.push(Arc::clone(held));
                continue;
            }
            let copied = held.ahead.borrow_mut().remove(&pack.digest);
            packs.push(Arc::new(match copied.and_then(|copied| copied.check(pack.digest).ok()) {
                Some(checked) => checked,
                None => self.load_pack(pack)?,
            }));
        }
        let refused = |source| HandoverError::Refused { path: self.disk.path_of(file_name), source };
        let view = View::follow(held.view, manifest.generation, packs).map_err(refused)?;
        Ok(Arc::new(view.of_epoch(manifest.epoch)))
    }

    /// Loads one pack that a manifest names.
    ///
    /// # Errors
    /// As [`Directory::open_pack`], and [`HandoverError::Refused`].
    pub(super) fn load_pack(&self, pack: &PackRef) -> Result<Pack, HandoverError> {
        self.load_slowly(&layout::pack_name(pack.digest), pack.digest, pack.bytes)
    }

    /// Loads a pack from the file of this name, a large one at a lower priority.
    ///
    /// # Errors
    /// As [`Directory::load_pack`].
    pub(super) fn load_slowly(&self, name: &str, digest: Digest, bytes: u64) -> Result<Pack, HandoverError> {
        let load = || self.load_pack_file(name, digest, bytes);
        if bytes < LARGE_LEN {
            return load();
        }
        // A priority cannot be raised again without a privilege, so it is a thread's own that is lowered.
        thread::scope(|scope| {
            let slowly = || {
                setpriority_process(None, NICE).ok();
                load()
            };
            match thread::Builder::new().name("load".into()).spawn_scoped(scope, slowly) {
                Ok(loading) => loading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(_) => load(),
            }
        })
    }

    /// Loads a pack from the file of this name.
    ///
    /// # Errors
    /// As [`Directory::open_pack`], and [`HandoverError::Refused`].
    pub(super) fn load_pack_file(&self, name: &str, digest: Digest, bytes: u64) -> Result<Pack, HandoverError> {
        let file = self.open_pack(name, bytes)?;
        let loaded = Pack::load_trusted(&file, digest, &self.trust);
        loaded.map_err(|source| HandoverError::Refused { path: self.disk.path_of(name), source })
    }

    /// On a cold start: loads the generation before the one that failed with `error`.
    ///
    /// If the manifest of that one can be read, it names its predecessor. If not, it is the newest older generation that
    /// loads; and if even `CURRENT` cannot be read, the newest of all.
    fn fall_back(
        &self,
        failed: Option<&CurrentLine>,
        error: HandoverError,
        held: &HeldPacks<'_>,
    ) -> Result<Loaded, HandoverError> {
        let previous = failed.and_then(|line| self.resolve(line).ok()).map(|current| current.manifest.previous);
        for name in self.manifest_names()? {
            if failed.is_some_and(|line| name.generation >= line.manifest.generation) {
                continue;
            }
            let Ok((manifest, digest)) = self.manifest(name) else { continue };
            if previous.is_some_and(|previous| previous != Some(digest)) {
                continue;
            }
            if let Ok(view) = self.load_manifest(&manifest, &name.to_string(), held) {
                let reason = explain(&error);
                let fallback = format!("{reason}; serving generation {} instead", name.generation.0);
                return Ok(Loaded { view, fallback: Some(fallback) });
            }
        }
        Err(error)
    }
}

/// The outcome when the view in service is not older than what `CURRENT` names.
fn in_service(view: &Arc<View>, serving: Generation, found: Generation) -> Result<Loaded, HandoverError> {
    if found == serving {
        Ok(Loaded { view: Arc::clone(view), fallback: None })
    } else {
        Err(HandoverError::Rollback { found, serving })
    }
}

/// What need not be loaded.
struct HeldPacks<'v> {
    /// The view, if there is one.
    view: Option<&'v View>,
    /// Its packs and those that were loaded ahead, by digest.
    packs: HashMap<Digest, Arc<Pack>>,
    /// Packs that were copied ahead.
    ahead: RefCell<HashMap<Digest, Copied>>,
}

impl HeldPacks<'_> {
    /// Those of `view`, and what was read ahead.
    fn of(view: Option<&Arc<View>>, Ahead { copied, checked }: Ahead) -> HeldPacks<'_> {
        let packs = view.into_iter().flat_map(|view| view.packs()).cloned().chain(checked);
        let packs = packs.map(|pack| (pack.digest(), pack)).collect();
        HeldPacks { view: view.map(Arc::as_ref), packs, ahead: RefCell::new(copied) }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::testing::{Scratch, content};
    use super::super::{GenerationState, Published, Standing};
    use super::*;

    /// The file name of the newest pack.
    fn newest_pack(published: &Published) -> String {
        layout::pack_name(published.current.manifest.packs[0].digest)
    }

    /// A way to damage the current generation.
    type Damage = fn(&Scratch, &Published);

    /// Each damage with a word from the reason that must be reported.
    const DAMAGES: &[(&str, &str, Damage)] = &[
        ("CURRENT is empty", "CURRENT is malformed", |scratch, _| scratch.overwrite("CURRENT", b"")),
        ("CURRENT is endless", "CURRENT has 300 bytes", |scratch, _| scratch.overwrite("CURRENT", &[b'x'; 300])),
        ("CURRENT leads elsewhere", "CURRENT is malformed", |scratch, _| {
            let line = String::from_utf8(scratch.read("CURRENT")).unwrap();
            scratch.overwrite("CURRENT", format!("../{line}").as_bytes());
        }),
        ("CURRENT is missing", "CURRENT is missing", |scratch, _| {
            std::fs::remove_file(scratch.path.join("CURRENT")).unwrap();
        }),
        ("CURRENT is a link", "CURRENT is not a regular file", |scratch, _| {
            std::fs::rename(scratch.path.join("CURRENT"), scratch.path.join("elsewhere")).unwrap();
            symlink("elsewhere", scratch.path.join("CURRENT")).unwrap();
        }),
        ("CURRENT has another digest", "manifest", |scratch, published| {
            let line = format!("{} {}\n", published.current.file_name, "0".repeat(64));
            scratch.overwrite("CURRENT", line.as_bytes());
        }),
        ("manifest missing", "cannot open", |scratch, published| {
            std::fs::remove_file(scratch.path.join(&published.current.file_name)).unwrap();
        }),
        ("manifest is cut", "manifest", |scratch, published| {
            let bytes = scratch.read(&published.current.file_name);
            scratch.overwrite(&published.current.file_name, &bytes[..bytes.len() / 2]);
        }),
        ("manifest is a directory", "is not a regular file", |scratch, published| {
            std::fs::remove_file(scratch.path.join(&published.current.file_name)).unwrap();
            std::fs::create_dir(scratch.path.join(&published.current.file_name)).unwrap();
        }),
        ("manifest is another's", "manifest", |scratch, published| {
            let other = scratch.directory().generations().unwrap().pop().unwrap();
            scratch.overwrite(&published.current.file_name, &scratch.read(&other.file_name));
        }),
        ("pack missing", "cannot open", |scratch, published| {
            std::fs::remove_file(scratch.path.join(newest_pack(published))).unwrap();
        }),
        ("pack is cut", "bytes, but", |scratch, published| {
            let bytes = scratch.read(&newest_pack(published));
            scratch.overwrite(&newest_pack(published), &bytes[..bytes.len() - 1]);
        }),
        ("pack has a wrong byte", "is refused", |scratch, published| {
            let mut bytes = scratch.read(&newest_pack(published));
            *bytes.last_mut().unwrap() ^= 1;
            scratch.overwrite(&newest_pack(published), &bytes);
        }),
        ("pack is a link", "is not a regular file", |scratch, published| {
            let path = scratch.path.join(newest_pack(published));
            std::fs::rename(&path, scratch.path.join("elsewhere")).unwrap();
            symlink("elsewhere", path).unwrap();
        }),
        ("pack is a pipe", "is not a regular file", |scratch, published| {
            let path = scratch.path.join(newest_pack(published));
            std::fs::remove_file(&path).unwrap();
            let mode = rustix::fs::Mode::RUSR;
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        }),
    ];

    #[test]
    fn what_was_read_ahead_is_checked_and_what_changed_since_is_read_anew() {
        let scratch = Scratch::new();
        scratch.publish_all(&["a=1 b=1"]);
        let directory = scratch.directory();
        let (ahead, newer) = (directory.read_ahead(), scratch.publish_all(&["a=2"]));
        assert_eq!(content(&directory.load_with(None, ahead).unwrap().unwrap().view), "2: a=2");
        // What is gone from the disk was copied before.
        let ahead = directory.read_ahead();
        std::fs::remove_file(scratch.path.join(newest_pack(&newer))).unwrap();
        let loaded = directory.load_with(None, ahead).unwrap().unwrap();
        assert_eq!((content(&loaded.view).as_str(), loaded.fallback), ("2: a=2", None));
        assert!(directory.read_ahead().copied.is_empty());
    }

    #[test]
    fn a_cold_start_falls_back_to_the_predecessor_and_says_why() {
        for (what, reason, damage) in DAMAGES {
            let scratch = Scratch::new();
            let published = scratch.publish_all(&["a=1", "a=2", "a=3"]);
            damage(&scratch, &published);
            let loaded = scratch.directory().load(None).unwrap().unwrap();
            // With CURRENT itself damaged the newest generation is as good as any.
            let expected =
                if what.starts_with("CURRENT is") || what.starts_with("CURRENT leads") { "3: a=3" } else { "2: a=2" };
            assert_eq!(content(&loaded.view), expected, "{what}");
            let fallback = loaded.fallback.unwrap();
            assert!(fallback.contains(reason), "{what}: {fallback}");
            assert!(fallback.contains("instead"), "{what}: {fallback}");
        }
    }

    #[test]
    fn with_a_view_in_service_damage_is_an_error_and_nothing_else_is_served() {
        for (what, reason, damage) in DAMAGES {
            let scratch = Scratch::new();
            scratch.publish_all(&["a=1", "a=2"]);
            let serving = scratch.directory().load(None).unwrap().unwrap().view;
            let published = scratch.publish_all(&["a=3"]);
            damage(&scratch, &published);
            let Err(error) = scratch.directory().load(Some(&serving)) else { panic!("{what} was loaded") };
            assert!(explain(&error).contains(reason), "{what}: {}", explain(&error));
        }
    }

    #[test]
    fn damage_is_listed_and_the_other_generations_stay_intact() {
        for (what, _, damage) in DAMAGES {
            // These are found by digest only, when the pack is loaded.
            let is_hidden = *what == "pack has a wrong byte";
            let scratch = Scratch::new();
            let published = scratch.publish_all(&["a=1", "a=2", "a=3"]);
            damage(&scratch, &published);
            let entries = scratch.directory().generations().unwrap();
            for entry in entries {
                let is_damaged = entry.generation == published.current.manifest.generation
                    && (!what.starts_with("CURRENT") || *what == "CURRENT has another digest");
                let is_broken = matches!(entry.state, GenerationState::Broken(_));
                assert_eq!(is_broken, is_damaged && !is_hidden, "{what}: {entry:?}");
            }
        }
    }

    #[test]
    fn generations_are_listed_newest_first_with_their_standing() {
        let scratch = Scratch::new();
        scratch.publish_all(&["a=1", "a=2", "a=3"]);
        std::fs::write(scratch.path.join("manifest-0000000000000001-0000000000000009"), b"left over").unwrap();
        let entries = scratch.directory().generations().unwrap();
        let standings: Vec<_> = entries.iter().map(|entry| (entry.generation.0, entry.standing)).collect();
        assert_eq!(
            standings,
            [(9, Standing::Unpublished), (3, Standing::Current), (2, Standing::Predecessor), (1, Standing::Past)]
        );
    }

    #[test]
    fn an_empty_directory_has_nothing_to_load() {
        let scratch = Scratch::new();
        assert!(Directory::open(&scratch.path).is_err());
        assert!(scratch.directory().load(None).unwrap().is_none());
        assert!(scratch.directory().generations().unwrap().is_empty());
    }

    #[test]
    fn packs_in_service_are_shared_and_the_current_view_is_returned_itself() {
        let scratch = Scratch::new();
        scratch.publish_all(&["a=1 b=1"]);
        let directory = scratch.directory();
        let first = directory.load(None).unwrap().unwrap().view;
        assert!(Arc::ptr_eq(&first, &directory.load(Some(&first)).unwrap().unwrap().view));
        scratch.publish_all(&["a=1 b=1"]);
        let second = directory.load(Some(&first)).unwrap().unwrap().view;
        assert_eq!(second.generation(), Some(Generation(2)));
        assert!(Arc::ptr_eq(&first.packs()[0], &second.packs()[0]));
    }

    #[test]
    fn a_directory_that_was_put_back_is_refused() {
        let scratch = Scratch::new();
        scratch.publish_all(&["a=1"]);
        let old = scratch.read("CURRENT");
        scratch.publish_all(&["a=2"]);
        let serving = scratch.directory().load(None).unwrap().unwrap().view;
        scratch.overwrite("CURRENT", &old);
        let outcome = scratch.directory().load(Some(&serving));
        assert!(matches!(outcome, Err(HandoverError::Rollback { found: Generation(1), serving: Generation(2) })));
    }

    #[test]
    fn without_any_sound_generation_the_first_error_is_reported() {
        let scratch = Scratch::new();
        let published = scratch.publish_all(&["a=1"]);
        scratch.overwrite(&newest_pack(&published), b"");
        assert!(matches!(scratch.directory().load(None), Err(HandoverError::Length { found: 0, .. })));
    }
}
