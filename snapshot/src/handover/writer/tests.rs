//! One publication at a time: what is written, and what is left after an error or a crash.

use std::error::Error as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::super::explain;
use super::super::testing::{Fault, Scratch, content, pack, publish};
use super::*;
use crate::image::Trust;

#[test]
fn generations_grow_and_form_a_chain() {
    let scratch = Scratch::new();
    let first = scratch.publish_all(&["a=1"]);
    assert_eq!(scratch.served(), "1: a=1");
    assert_eq!(first.current.manifest.previous, None);
    let second = scratch.publish_all(&["b=2"]);
    assert_eq!(scratch.served(), "2: b=2");
    assert_eq!(second.current.manifest.previous, Some(first.current.digest));
    assert_eq!(scratch.directory().current().unwrap(), Some(second.current));
}

#[test]
fn files_are_readable_by_owner_and_group_only_and_nothing_unfinished_stays() {
    let scratch = Scratch::new();
    scratch.publish_all(&["a=1", "a=2"]);
    let mode = |name: &str| scratch.path.join(name).symlink_metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(""), 0o750);
    let files = scratch.files();
    assert_eq!(files.len(), 5, "{files:?}");
    for name in files {
        assert!(matches!(FileKind::of(&name), FileKind::Pack(_) | FileKind::Manifest(_)) || name == "CURRENT");
        assert_eq!(mode(&name), 0o440, "{name}");
    }
}

#[test]
fn a_pack_that_is_there_is_not_written_again_unless_it_is_damaged() {
    let scratch = Scratch::new();
    let first = scratch.publish_all(&["a=1"]);
    let name = layout::pack_name(first.current.manifest.packs[0].digest);
    let sound = scratch.read(&name);
    let inode = || scratch.path.join(&name).metadata().unwrap().ino();
    let before = inode();
    let again = scratch.publish_all(&["a=1"]);
    assert_eq!(again.current.manifest.packs, first.current.manifest.packs);
    assert_eq!(inode(), before);
    for damaged in [vec![0; sound.len()], Vec::new()] {
        scratch.overwrite(&name, &damaged);
        scratch.publish_all(&["a=1"]);
        assert_eq!(scratch.read(&name), sound);
    }
    assert_eq!(scratch.served(), "4: a=1");
}

#[test]
fn other_zones_are_kept_on_request_and_shadowed_ones_folded_away() {
    let scratch = Scratch::new();
    let mut writer = scratch.writer();
    publish(&mut writer, "a=1 b=1 c=1", Keep::Nothing).unwrap();
    let delta = publish(&mut writer, "d=2", Keep::Others).unwrap();
    assert_eq!((delta.current.manifest.packs.len(), delta.packs_folded), (2, 0));
    assert_eq!(scratch.served(), "2: a=1 b=1 c=1 d=2");
    drop(writer);
    let mut writer = scratch.writer();
    let folded = publish(&mut writer, "A=3", Keep::Others).unwrap();
    assert_eq!((folded.current.manifest.packs.len(), folded.packs_folded), (3, 0));
    assert_eq!(scratch.served().to_lowercase(), "3: a=3 b=1 c=1 d=2");
}

#[test]
fn hundreds_of_deltas_never_pass_the_pack_limit() {
    let scratch = Scratch::new();
    let mut writer = scratch.writer();
    for count in 0..150 {
        let published = publish(&mut writer, &format!("z{count:03}=1"), Keep::Others).unwrap();
        assert!(published.current.manifest.packs.len() <= fold::PACKS_MAX);
        writer.collect(2, &[]).unwrap();
    }
    assert_eq!(scratch.directory().load(None).unwrap().unwrap().view.zone_count(), 150);
}

#[test]
fn the_same_pack_twice_is_listed_once() {
    let scratch = Scratch::new();
    let mut writer = scratch.writer();
    let packs = vec![pack("a=1"), pack("b=1"), pack("a=1")];
    let published = writer.publish(Publication::of(packs, Keep::Nothing, 1)).unwrap();
    assert_eq!(published.current.manifest.packs.len(), 1, "small packs that come together become one");
    let again = publish(&mut writer, "a=1", Keep::Others).unwrap();
    assert_eq!(again.current.manifest.packs.len(), 2);
    assert_eq!(scratch.served(), "2: a=1 b=1");
}

/// Publishes under a fault after every possible number of changes, and hands the outcome of each to `check`.
fn for_each_fault(fault: Fault, check: impl Fn(&Scratch, Result<Published, HandoverError>, Vec<String>)) {
    for left in 0.. {
        let scratch = Scratch::new();
        scratch.publish_all(&["a=1 b=1", "a=2 b=2"]);
        let before = scratch.files();
        let mut writer = scratch.writer();
        let disk = Arc::clone(&writer.directory.disk);
        disk.faults.order(fault, left);
        let outcome = publish(&mut writer, "a=3", Keep::Others);
        if !disk.faults.has_struck() {
            assert!(left >= 11, "two packs, manifest and CURRENT: written, renamed, synced; only {left} changes");
            assert!(outcome.is_ok());
            return;
        }
        drop(writer);
        check(&scratch, outcome, before);
    }
}

#[test]
fn a_killed_writer_leaves_a_whole_generation_and_the_next_one_succeeds() {
    for_each_fault(Fault::Kill, |scratch, outcome, _| {
        assert!(outcome.is_err());
        let served = scratch.served();
        assert!(served == "2: a=2 b=2" || served == "3: a=3 b=2", "{served}");
        for entry in scratch.directory().generations().unwrap() {
            assert!(matches!(entry.state, crate::handover::GenerationState::Intact(_)), "{entry:?}");
        }
        let mut writer = scratch.writer();
        let published = publish(&mut writer, "b=4", Keep::Others).unwrap();
        drop(writer);
        assert!(!scratch.files().iter().any(|name| FileKind::of(name) == FileKind::Temp));
        let now = scratch.served();
        let a = if served.starts_with('3') { 3 } else { 2 };
        assert_eq!(now, format!("{}: a={a} b=4", published.current.manifest.generation.0));
        assert!(published.current.manifest.generation > Generation(2));
        scratch.writer().collect(1, &[]).unwrap();
        assert_eq!(scratch.served(), now);
    });
}

#[test]
fn after_an_error_the_directory_is_as_it_was() {
    for_each_fault(Fault::Once, |scratch, outcome, before| {
        let error = outcome.unwrap_err();
        assert!(error.to_string().contains(scratch.path.to_str().unwrap()), "{error}");
        assert!(error.source().is_some());
        if scratch.served() == "2: a=2 b=2" {
            assert_eq!(scratch.files(), before, "{error}");
        } else {
            assert_eq!(scratch.served(), "3: a=3 b=2", "{error}");
            assert!(error.to_string().starts_with("cannot sync"), "{error}");
        }
    });
}

#[test]
fn a_damaged_current_generation_stops_only_who_keeps_zones_of_it() {
    let scratch = Scratch::new();
    let last = scratch.publish_all(&["a=1", "a=2"]);
    scratch.overwrite("CURRENT", b"garbage\n");
    let mut writer = scratch.writer();
    assert!(matches!(publish(&mut writer, "b=3", Keep::Others), Err(HandoverError::Malformed { .. })));
    let published = publish(&mut writer, "b=3", Keep::Nothing).unwrap();
    assert_eq!(published.current.manifest.previous, Some(last.current.digest));
    assert_eq!(scratch.served(), "3: b=3");
}

#[test]
fn what_to_keep_is_not_guessed_when_current_is_missing() {
    let scratch = Scratch::new();
    scratch.publish_all(&["a=1", "a=2"]);
    std::fs::remove_file(scratch.path.join("CURRENT")).unwrap();
    let mut writer = scratch.writer();
    assert!(matches!(publish(&mut writer, "b=1", Keep::Others), Err(HandoverError::CurrentMissing { .. })));
    publish(&mut writer, "b=1", Keep::Nothing).unwrap();
    assert_eq!(scratch.served(), "3: b=1");
}

#[test]
fn generations_grow_past_manifests_that_were_never_published() {
    let scratch = Scratch::new();
    scratch.publish_all(&["a=1"]);
    std::fs::write(scratch.path.join("manifest-0000000000000001-0000000000000009"), b"left over").unwrap();
    scratch.publish_all(&["a=2"]);
    assert_eq!(scratch.served(), "10: a=2");
    std::fs::write(scratch.path.join("manifest-0000000000000001-ffffffffffffffff"), b"left over").unwrap();
    let exhausted = publish(&mut scratch.writer(), "a=3", Keep::Nothing);
    assert!(matches!(exhausted, Err(HandoverError::Exhausted)));
}

#[test]
fn the_change_it_goes_up_to_is_in_the_manifest() {
    let scratch = Scratch::new();
    let (change, chain) = (42, [7; 32]);
    let mut writer = scratch.writer();
    let publication = Publication { change, chain, ..Publication::of(vec![pack("a=1")], Keep::Others, 1) };
    writer.publish(publication).unwrap();
    let manifest = scratch.directory().current().unwrap().unwrap().manifest;
    assert_eq!((manifest.change, manifest.chain), (change, chain));
    let compacted = writer.compaction().unwrap().run().unwrap();
    let adopted = writer.adopt(compacted, 2).unwrap().unwrap();
    let manifest = adopted.current.manifest;
    assert_eq!((manifest.change, manifest.chain), (change, chain), "other packs, the same content");
}

#[test]
fn a_writer_of_an_epoch_that_is_over_publishes_nothing() {
    let scratch = Scratch::new();
    let mut writer = scratch.writer();
    publish(&mut writer, "a=1", Keep::Others).unwrap();
    let elsewhere = Scratch::new();
    for name in scratch.files() {
        std::fs::create_dir_all(&elsewhere.path).unwrap();
        std::fs::copy(scratch.path.join(&name), elsewhere.path.join(&name)).unwrap();
    }
    // Another writer, which does not see our lock, takes over.
    let mut other = elsewhere.writer().with_epoch(5).unwrap();
    publish(&mut other, "a=2", Keep::Others).unwrap();
    let serving = elsewhere.directory().load(None).unwrap().unwrap().view;
    assert_eq!(serving.epoch(), 5);
    for name in elsewhere.files() {
        std::fs::remove_file(scratch.path.join(&name)).ok();
        std::fs::copy(elsewhere.path.join(&name), scratch.path.join(&name)).unwrap();
    }
    for keep in [Keep::Others, Keep::Nothing] {
        let outcome = publish(&mut writer, "a=3", keep);
        assert!(matches!(outcome, Err(HandoverError::Fenced { found: 5, own: 1 })), "{keep:?}: {outcome:?}");
    }
    assert_eq!(scratch.served(), "2: a=2");
    drop(writer);
    assert!(matches!(scratch.writer().with_epoch(4), Err(HandoverError::Fenced { found: 5, own: 4 })));
    // Without an epoch of its own a writer goes on with the one there is.
    let published = publish(&mut scratch.writer(), "a=4", Keep::Others).unwrap();
    assert_eq!(published.current.manifest.epoch, 5);
}

#[test]
fn a_generation_of_an_older_epoch_is_not_served() {
    let (old, new) = (Scratch::new(), Scratch::new());
    publish(&mut new.writer().with_epoch(2).unwrap(), "a=1", Keep::Nothing).unwrap();
    let serving = new.directory().load(None).unwrap();
    old.publish_all(&["a=8", "a=9"]);
    let outcome = old.directory().load(serving.as_ref().map(|loaded| &loaded.view));
    assert!(matches!(outcome, Err(HandoverError::StaleEpoch { found: 1, serving: 2 })));
}

#[test]
fn signed_generations_are_served_by_those_who_trust_the_key() {
    let scratch = Scratch::new();
    let (key, document) = SigningKey::generate().unwrap();
    let (other, _) = SigningKey::generate().unwrap();
    let trusting = |key: &SigningKey| {
        let loaded = scratch.directory().trusting(Trust(vec![key.public()])).load(None);
        loaded.map(|loaded| content(&loaded.unwrap().view)).map_err(|error| explain(&error))
    };
    publish(&mut scratch.writer(), "a=1 b=1", Keep::Nothing).unwrap();
    assert!(trusting(&key).unwrap_err().contains("not signed"));
    // What is kept is signed as well.
    let mut writer = scratch.writer().with_key(SigningKey::from_pkcs8(&document).unwrap());
    publish(&mut writer, "b=2", Keep::Others).unwrap();
    assert_eq!(trusting(&key), Ok("2: a=1 b=2".into()));
    assert!(trusting(&other).unwrap_err().contains("not trusted"));
    assert_eq!(scratch.served(), "2: a=1 b=2", "who trusts no key in particular asks for no signature");
    let compacted = writer.compaction().unwrap().run().unwrap();
    writer.adopt(compacted, 1).unwrap().unwrap();
    assert_eq!(trusting(&key), Ok("3: a=1 b=2".into()));
    drop(writer);
    // Another key, and the same pack again.
    let mut writer = scratch.writer().with_key(other);
    publish(&mut writer, "b=2", Keep::Others).unwrap();
    let both = scratch.directory().trusting(Trust(vec![key.public(), writer.key.as_ref().unwrap().public()]));
    assert!(both.load(None).unwrap().unwrap().fallback.is_none());
    assert!(trusting(&key).is_err());
}

#[test]
fn zones_are_removed_unless_they_come_in_a_new_pack() {
    let scratch = Scratch::new();
    let mut writer = scratch.writer();
    publish(&mut writer, "a=1 b=1 c=1", Keep::Nothing).unwrap();
    let remove = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>();
    let publication = Publication::of(vec![pack("b=2")], Keep::Others, 1);
    writer.publish(Publication { remove: remove(&["A.", "b.", "x."]), ..publication }).unwrap();
    assert_eq!(scratch.served(), "2: b=2 c=1");
    // What is not there needs no pack.
    let packs = scratch.files().len();
    writer.publish(Publication { remove: remove(&["a."]), ..Publication::of(vec![], Keep::Others, 1) }).unwrap();
    assert_eq!(scratch.files().len(), packs + 1, "a manifest");
    publish(&mut writer, "a=5", Keep::Others).unwrap();
    assert_eq!(scratch.served(), "4: a=5 b=2 c=1");
}

#[test]
fn a_writer_tells_the_zones_without_signing_them() {
    let scratch = Scratch::new();
    assert_eq!(scratch.writer().zones().unwrap(), []);
    scratch.publish_all(&["a=1 b=1", "b=2"]);
    let files = |scratch: &Scratch| scratch.files().iter().map(|name| scratch.read(name)).collect::<Vec<_>>();
    let before = files(&scratch);
    let (key, _) = SigningKey::generate().unwrap();
    let mut writer = scratch.writer().with_key(key);
    let mut zones: Vec<_> = writer.zones().unwrap().iter().map(|(apex, names)| format!("{apex}{names}")).collect();
    zones.sort_unstable();
    assert_eq!(zones, ["b.1"]);
    assert!(files(&scratch) == before);
    // What is kept is signed all the same.
    publish(&mut writer, "c=1", Keep::Others).unwrap();
    let trust = Trust(vec![writer.key.as_ref().unwrap().public()]);
    assert_eq!(content(&scratch.directory().trusting(trust).load(None).unwrap().unwrap().view), "3: b=2 c=1");
    assert_eq!(writer.zones().unwrap().len(), 2);
    scratch.overwrite("CURRENT", b"garbage\n");
    assert!(matches!(writer.zones(), Err(HandoverError::Malformed { .. })));
}

#[test]
fn a_large_part_that_no_longer_counts_is_due_to_be_rewritten() {
    let scratch = Scratch::new();
    let mut writer = scratch.writer();
    let zones = |from: usize, serial: u32| (from..6_000).map(|at| format!("z{at}={serial} ")).collect::<String>();
    publish(&mut writer, &zones(0, 1), Keep::Nothing).unwrap();
    assert!(writer.plan_compaction().unwrap().is_none());
    publish(&mut writer, &zones(3_000, 2), Keep::Others).unwrap();
    let due = writer.plan_compaction().unwrap().unwrap();
    assert!(writer.adopt(due.run().unwrap(), 1).unwrap().is_some());
    assert!(writer.plan_compaction().unwrap().is_none());
    let view = scratch.directory().load(None).unwrap().unwrap().view;
    assert_eq!((view.packs().len(), view.zone_count()), (1, 6_000));
}
