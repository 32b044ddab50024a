//! Changes that are not served although later ones are: what is said of them, after a restart and between generation and
//! data plane.

use std::os::unix::net::UnixListener;
use std::sync::{Condvar, Mutex};

use snapshot::handover::frames::{Reply, Request, Serving, read_frame, write_frame};

use super::*;

/// The newest generation that a data plane may load now; it hangs in front of newer ones.
#[derive(Default)]
struct Leash {
    /// The generation.
    newest: Mutex<u64>,
    /// Tells of another one.
    changed: Condvar,
}

impl Leash {
    /// Lets the plane load generations up to this one.
    fn allow(&self, generation: u64) {
        *self.newest.lock().unwrap() = generation;
        self.changed.notify_all();
    }

    /// Plays the plane until nobody asks any more.
    fn play(&self, listener: &UnixListener, snapshots: &std::path::Path) {
        let (mut stream, _) = listener.accept().unwrap();
        while let Ok(Some(request)) = read_frame::<Request>(&mut stream) {
            let current = Directory::open(snapshots).unwrap().current().unwrap();
            let reply =
                match current.map(|current| current.manifest.generation.0).filter(|_| request == Request::Reload) {
                    Some(generation) => {
                        let newest = self.newest.lock().unwrap();
                        drop(self.changed.wait_while(newest, |newest| *newest < generation).unwrap());
                        Reply::Serving(Serving { generation, fresh: true, millis: 0.0 })
                    }
                    None => Reply::Error { message: "nothing yet".into() },
                };
            if write_frame(&mut stream, &reply).is_err() {
                return;
            }
        }
    }
}

impl Bench {
    /// Changes the stored octets of an address behind SQLite's back; what is not 192.0.2.1 is damage.
    fn tamper(&self, octets: &str) {
        let other = rusqlite::Connection::open(self.store.path()).unwrap();
        let sql = format!("UPDATE records SET rdata = x'{octets}' WHERE content = '192.0.2.1'");
        assert_eq!(other.execute(&sql, []).unwrap(), 1);
    }
}

#[test]
fn a_restart_does_not_take_what_was_refused_for_published() {
    let bench = Bench::new();
    let publisher = bench.publisher();
    let (one, _) = bench.create("one.test");
    published(&publisher, bench.set(one, "www", "192.0.2.1"));
    bench.tamper("C0000209");
    let refused = bench.set(one, "ftp", "192.0.2.3");
    assert_eq!(outcome(&publisher, refused), Served::Refused);
    assert!(publisher.refusal_of_change(refused).unwrap().contains("damaged"));
    let (_, other) = bench.create("two.test");
    published(&publisher, other);
    assert!(!publisher.has(refused) && publisher.served(refused) == Served::Refused);
    publisher.stop();

    let publisher = bench.publisher();
    assert!(publisher.has(other) && !publisher.has(refused), "before the first round");
    assert_eq!(outcome(&publisher, refused), Served::Refused);
    assert!(!publisher.has(refused));
    publisher.stop();

    // The page can be read again.
    bench.tamper("C0000201");
    let publisher = bench.publisher();
    assert_eq!(outcome(&publisher, refused), Served::Nobody);
    assert_eq!(bench.served(), "one.test.3 two.test.1", "it is published when that is said");
    publisher.stop();
}

#[test]
fn what_was_refused_is_served_when_the_planes_have_the_generation_that_has_it() {
    let bench = Bench::new();
    let (control, snapshots) = (bench.dir.path().join("control"), bench.dir.path().join("snapshots"));
    let listener = UnixListener::bind(&control).unwrap();
    let leash = Arc::new(Leash::default());
    leash.allow(u64::MAX);
    let (player, place) = (Arc::clone(&leash), snapshots.clone());
    let plane = std::thread::spawn(move || player.play(&listener, &place));
    let settings = Settings { snapshots, planes: vec![control], sign: None, dnssec: None };
    let publisher = Publisher::start(Arc::clone(&bench.store), &settings).unwrap();
    let (one, _) = bench.create("one.test");
    let first = bench.set(one, "www", "192.0.2.1");
    let begun = Instant::now();
    while outcome(&publisher, first) != Served::Yes {
        assert!(begun.elapsed() < Duration::from_secs(30), "the plane is found");
    }
    bench.tamper("C0000209");
    let refused = bench.set(one, "ftp", "192.0.2.3");
    assert_eq!(outcome(&publisher, refused), Served::Refused);
    let (_, other) = bench.create("two.test");
    assert_eq!(outcome(&publisher, other), Served::Yes);
    assert!(publisher.progress().is_served_by_all(other) && !publisher.progress().is_served_by_all(refused));

    leash.allow(publisher.generation().unwrap());
    bench.tamper("C0000201");
    let mended = bench.set(one, "mail", "192.0.2.4");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(publisher.published(mended, Duration::from_secs(30))));
    assert!(publisher.has(refused) && publisher.has(mended));
    assert_eq!(publisher.served(refused), Served::NotYet, "the plane has no generation with it");
    assert!(!publisher.progress().is_served_by_all(refused));
    leash.allow(u64::MAX);
    assert_eq!(outcome(&publisher, refused), Served::Yes);
    assert!(publisher.progress().is_served_by_all(refused));
    publisher.stop();
    plane.join().unwrap();
}
