//! What a restart makes of big zones: the published bases stay in use, if they are what the database had.

use snapshot::dns::name::Name;
use snapshot::dns::zone::ZoneBuilder;
use snapshot::dns::zonefile::{Options, Reader};
use snapshot::handover::{Keep, Publication};
use snapshot::image::{PackFile, Segment};

use super::*;

/// What is published of big.test is what compiling all of it gives.
fn check_whole(bench: &Bench, change: ChangeId) {
    let overlaid = bench.nodes();
    std::fs::remove_dir_all(bench.dir.path().join("snapshots")).unwrap();
    let publisher = bench.publisher();
    published(&publisher, change);
    assert_eq!(publisher.progress().counts.overlays, 0);
    assert_eq!(overlaid, bench.nodes());
    publisher.stop();
}

#[test]
fn the_first_change_of_a_big_zone_after_a_restart_is_an_overlay() {
    let bench = Bench::new();
    let mut publisher = bench.publisher();
    let (domain, _) = bench.create("big.test");
    let mut last = bench.fill(domain, 400);
    published(&publisher, last);
    // Each with a start between: on a bare base, on an overlay, and on that once more.
    for edits in [
        &[("new", Some("192.0.2.2")), ("n3", Some("192.0.2.3"))][..],
        &[("n4", None), ("a.b.c", Some("192.0.2.4")), ("*.w", Some("192.0.2.5"))],
        &[("a.b.c", None), ("n5", None), ("deep.n5", Some("192.0.2.6")), ("n3", Some("192.0.2.1"))],
    ] {
        publisher.stop();
        publisher = bench.publisher();
        last = bench.edit(domain, edits);
        published(&publisher, last);
        let Counts { zones, overlays, .. } = publisher.progress().counts;
        assert_eq!((zones, overlays), (1, 1));
    }
    publisher.stop();
    check_whole(&bench, last);
}

#[test]
fn changes_that_a_crash_left_in_the_outbox_become_an_overlay_too() {
    let bench = Bench::new();
    let publisher = bench.publisher();
    let (domain, _) = bench.create("big.test");
    published(&publisher, bench.fill(domain, 400));
    publisher.stop();
    bench.edit(domain, &[("n7", None)]);
    let last = bench.edit(domain, &[("n8", Some("192.0.2.8"))]);
    let publisher = bench.publisher();
    published(&publisher, last);
    assert_eq!(publisher.progress().counts.overlays, 1);
    publisher.stop();
    check_whole(&bench, last);
}

#[test]
fn a_published_zone_that_is_not_what_the_database_had_is_compiled_whole() {
    let bench = Bench::new();
    let publisher = bench.publisher();
    let (domain, _) = bench.create("big.test");
    published(&publisher, bench.fill(domain, 400));
    publisher.stop();
    // Another state of the zone under the same change, as of one that could not be compiled.
    let mut text = "$ORIGIN big.test.\n@ 60 SOA ns host 1 1 1 1 1\n@ 60 NS ns\n".to_owned();
    (0..300).for_each(|n| text.push_str(&format!("old{n} 60 A 192.0.2.9\n")));
    let mut writer = Directory::create(&bench.dir.path().join("snapshots")).unwrap().lock("test").unwrap();
    let manifest = writer.directory().current().unwrap().unwrap().manifest;
    let mut reader = Reader::new(text.as_bytes(), Options::default());
    let mut zone = ZoneBuilder::new(Name::parse(b"big.test.", None).unwrap());
    while let Some(record) = reader.read().unwrap() {
        zone.push(record).unwrap();
    }
    let packs = vec![PackFile::encode(vec![Segment::build(&zone.finish()).unwrap()]).unwrap()];
    let (change, chain) = (manifest.change, manifest.chain);
    let publication = Publication { change, chain, ..Publication::of(packs, Keep::Others, 1) };
    writer.publish(publication).unwrap();
    drop(writer);
    let publisher = bench.publisher();
    let last = bench.edit(domain, &[("n1", Some("192.0.2.2"))]);
    published(&publisher, last);
    assert_eq!(publisher.progress().counts.overlays, 0);
    assert!(!bench.nodes().contains("old1."));
    publisher.stop();
    check_whole(&bench, last);
}

#[test]
fn a_domain_made_anew_under_the_name_of_a_big_one_has_nothing_of_it() {
    let bench = Bench::new();
    let publisher = bench.publisher();
    let (domain, _) = bench.create("big.test");
    published(&publisher, bench.fill(domain, 400));
    publisher.stop();
    let actor = bench.actor.clone();
    bench.store.write_blocking(move |txn| delete(txn, &actor, "big.test", &[])).unwrap().unwrap();
    let (domain, _) = bench.create("big.test");
    let last = bench.edit(domain, &[("new", Some("192.0.2.2"))]);
    let publisher = bench.publisher();
    published(&publisher, last);
    assert!(!bench.nodes().contains("n1.big.test."));
    publisher.stop();
    check_whole(&bench, last);
}

/// Copies the files of a directory.
fn copy_files(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn an_old_copy_of_the_snapshot_directory_gets_everything_anew() {
    let bench = Bench::new();
    let (snapshots, copy) = (bench.dir.path().join("snapshots"), bench.dir.path().join("copy"));
    let publisher = bench.publisher();
    let (domain, _) = bench.create("big.test");
    bench.fill(domain, 400);
    let (_, change) = bench.create("gone.test");
    published(&publisher, change);
    publisher.stop();
    copy_files(&snapshots, &copy);
    let publisher = bench.publisher();
    bench.edit(domain, &[("n1", None), ("new", Some("192.0.2.2"))]);
    let actor = bench.actor.clone();
    let deleted = bench.store.write_blocking(move |txn| delete(txn, &actor, "gone.test", &[])).unwrap().unwrap();
    published(&publisher, deleted);
    publisher.stop();
    // What was published is forgotten with the next write at the latest.
    bench.store.write_blocking(|txn| txn.set("x", b"")).unwrap();
    assert_eq!(bench.store.read(|reader| reader.outbox(ChangeId(0))).unwrap(), []);

    std::fs::remove_dir_all(&snapshots).unwrap();
    std::fs::rename(&copy, &snapshots).unwrap();
    assert!(bench.served().contains("gone.test."));
    let publisher = bench.publisher();
    let last = bench.edit(domain, &[("n2", Some("192.0.2.3"))]);
    published(&publisher, last);
    let nodes = bench.nodes();
    assert!(nodes.contains("new.big.test.") && !nodes.contains("n1.big.test."), "{nodes}");
    assert!(!bench.served().contains("gone.test."), "{}", bench.served());
    publisher.stop();
    check_whole(&bench, last);
}
