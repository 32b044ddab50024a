//! Damaged snapshot files: always an error, never a crash, never a wrong answer; and what is in service stays.
//!
//! Random damage comes from fixed seeds, which the messages name.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "corruption/files.rs"]
mod files;

use std::path::Path;
use std::sync::Arc;

use files::{HEADER_LEN, Random, ZONES, ask_everything, flip, load, overlaid, pack, reseal, view};
use snapshot::handover::{Directory, Keep, Publication};
use snapshot::image::{Digest, Generation, Manifest, PackRef, View};
use tempfile::TempDir;

/// How many single bits are flipped behind the header.
const FLIPS: usize = 10_000;
/// How many files are cut or made longer.
const RESIZES: usize = 1_000;

/// A reader of files of one kind: whether it accepts these bytes.
type Accepts<'a> = &'a dyn Fn(&[u8]) -> bool;

/// A manifest of three packs.
fn manifest() -> Vec<u8> {
    let pack = |n: u8| PackRef { digest: Digest([n; 32]), bytes: 640, zones: 3 };
    let manifest = Manifest {
        epoch: 3,
        generation: Generation(77),
        created_unix_secs: 1_700_000_000,
        previous: Some(Digest([9; 32])),
        change: 17,
        chain: [8; 32],
        packs: vec![pack(1), pack(2), pack(3)],
    };
    manifest.encode().unwrap().0
}

/// Runs a check on a pack and on a manifest.
fn on_both_kinds(check: impl Fn(&str, &[u8], Accepts<'_>)) {
    let pack = pack(&ZONES);
    check("pack", &pack.bytes, &|bytes| load(bytes, pack.digest).is_ok());
    check("manifest", &manifest(), &|bytes| Manifest::decode(bytes).is_ok());
}

#[test]
fn sound_files_are_accepted_and_every_name_is_found() {
    on_both_kinds(|kind, bytes, accepts| assert!(accepts(bytes), "{kind}"));
    for pack in [pack(&ZONES), overlaid()] {
        let view = view(load(&pack.bytes, pack.digest).unwrap()).unwrap();
        let names: usize = view.zones().iter().map(|facts| facts.names as usize).sum();
        assert!(ask_everything(&view) >= names);
    }
}

#[test]
fn every_flipped_bit_of_the_header_is_refused() {
    on_both_kinds(|kind, bytes, accepts| {
        for bit in 0..HEADER_LEN * 8 {
            assert!(!accepts(&flip(bytes, bit)), "{kind}, bit {bit}");
        }
    });
}

#[test]
fn random_flipped_bits_of_the_body_are_refused() {
    on_both_kinds(|kind, bytes, accepts| {
        let mut random = Random(1);
        for _ in 0..FLIPS {
            let bit = HEADER_LEN * 8 + random.below((bytes.len() - HEADER_LEN) * 8);
            assert!(!accepts(&flip(bytes, bit)), "{kind}, bit {bit}");
        }
    });
}

#[test]
fn files_that_were_cut_or_made_longer_are_refused() {
    on_both_kinds(|kind, bytes, accepts| {
        let mut random = Random(2);
        for _ in 0..RESIZES {
            let cut = random.below(bytes.len());
            assert!(!accepts(&bytes[..cut]), "{kind}, cut to {cut}");
            let added = 1 + random.below(300);
            let mut longer = bytes.to_vec();
            longer.extend((0..added).map(|_| u8::try_from(random.below(256)).unwrap()));
            assert!(!accepts(&longer), "{kind}, {added} bytes longer");
        }
    });
}

#[test]
fn resized_packs_with_a_fitting_digest_are_refused_or_can_be_asked() {
    let pack = overlaid();
    let mut random = Random(3);
    for _ in 0..RESIZES {
        let mut bytes = pack.bytes.clone();
        bytes.resize(HEADER_LEN + random.below(2 * bytes.len()), 0);
        let digest = reseal(&mut bytes);
        if let Ok(view) = load(&bytes, digest).and_then(view) {
            ask_everything(&view);
        }
    }
}

#[test]
fn flipped_bits_with_a_fitting_digest_are_refused_or_every_lookup_returns() {
    let pack = overlaid();
    let mut random = Random(4);
    let (mut refused, mut accepted) = (0, 0);
    for _ in 0..FLIPS {
        let mut bytes = pack.bytes.clone();
        // One to three flips: some rules hold each other up.
        for _ in 0..=random.below(3) {
            bytes = flip(&bytes, HEADER_LEN * 8 + random.below((bytes.len() - HEADER_LEN) * 8));
        }
        let digest = reseal(&mut bytes);
        match load(&bytes, digest).and_then(view) {
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
            Ok(view) => {
                ask_everything(&view);
                accepted += 1;
            }
        }
    }
    // A flip in the digits of an address breaks no rule; a flip anywhere else does.
    assert!(refused > 0 && accepted > 0, "{refused} refused, {accepted} accepted");
}

#[test]
fn manifests_with_a_fitting_digest_are_refused_or_can_be_written_again() {
    let manifest = manifest();
    let mut random = Random(5);
    for _ in 0..FLIPS {
        let mut bytes = flip(&manifest, HEADER_LEN * 8 + random.below((manifest.len() - HEADER_LEN) * 8));
        reseal(&mut bytes);
        if let Ok((manifest, _)) = Manifest::decode(&bytes) {
            let (again, _) = manifest.encode().unwrap();
            assert_eq!(Manifest::decode(&again).unwrap().0, manifest);
        }
    }
}

/// A directory of two generations, and the view of the first, which is in service.
struct InService {
    /// Removed at the end.
    root: TempDir,
    /// The first generation.
    old: Arc<View>,
    /// The files that only the second generation needs: pack, manifest, `CURRENT`.
    newest: [String; 3],
}

impl InService {
    /// Publishes both generations.
    fn new() -> InService {
        let root = TempDir::new().unwrap();
        let directory = Directory::create(root.path()).unwrap();
        let mut writer = directory.lock("test").unwrap();
        let mut publish = |zones| {
            let publication = Publication::of(vec![pack(zones)], Keep::Nothing, 1);
            writer.publish(publication).unwrap().current
        };
        publish(&ZONES[..1]);
        let old = directory.load(None).unwrap().unwrap().view;
        let current = publish(&ZONES);
        let pack = format!("pack-{}", current.manifest.packs[0].digest);
        InService { root, old, newest: [pack, current.file_name, "CURRENT".into()] }
    }

    /// Puts `bytes` in place of a file and has the directory loaded beside the old view.
    fn reload_with(&self, name: &str, bytes: &[u8]) -> Result<Option<Generation>, String> {
        let path = self.root.path().join(name);
        replace(&path, bytes);
        let directory = Directory::open(self.root.path()).unwrap();
        match directory.load(Some(&self.old)) {
            Ok(loaded) => Ok(loaded.and_then(|loaded| loaded.view.generation())),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Replaces a file, whatever its mode.
fn replace(path: &Path, bytes: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_newest_generation_leaves_the_view_in_service() {
    let service = InService::new();
    let names = ask_everything(&service.old);
    let mut random = Random(6);
    for name in &service.newest {
        let sound = std::fs::read(service.root.path().join(name)).unwrap();
        for round in 0..400 {
            let damaged = match round % 4 {
                0 => sound[..random.below(sound.len())].to_vec(),
                1 => [sound.as_slice(), &[0x5a][..]].concat(),
                _ => flip(&sound, random.below(sound.len() * 8)),
            };
            let outcome = service.reload_with(name, &damaged);
            assert!(outcome.is_err(), "{name}, round {round}: {outcome:?}");
        }
        assert_eq!(service.reload_with(name, &sound), Ok(Some(Generation(2))), "{name} put back");
    }
    assert_eq!(ask_everything(&service.old), names, "the old view answers as before");
}
