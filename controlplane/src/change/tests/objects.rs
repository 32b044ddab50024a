//! Keys of a device, from before they are made until they are removed: it forgets none that is needed, and all others.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::dnssec::Dnssec;
use crate::keys::{Fake, KeyNumber};
use crate::store::domains::Denial;
use crate::store::keys::{NewKey, State};
use crate::store::objects::Object;
use crate::store::{StoreError, Txn};

/// For how long an answer of the device is awaited.
const PATIENCE: Duration = Duration::from_millis(200);
/// For how long keys are kept that no domain needs.
const KEEP_US: i64 = 30 * 86_400_000_000;
/// An hour and a bit.
const HOURS_US: i64 = 2 * 3_600_000_000;

/// A database, and a device with a key for each domain.
struct Held {
    /// Removed at the end.
    _dir: tempfile::TempDir,
    /// The database.
    store: Arc<Store>,
    /// What makes keys.
    dnssec: Dnssec,
    /// The device.
    fake: Fake,
    /// Who edits; the time at the beginning.
    actor: Actor,
}

impl Held {
    /// A new one, without domains.
    fn new() -> Held {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&dir.path().join("state")).unwrap());
        let (device, fake) = Fake::start(PATIENCE);
        let dnssec = Dnssec::open(&dir.path().join("seal"), false).unwrap().with_device(device, Arc::clone(&store));
        let now_us = dnssec.clock().likely_us();
        let actor = Actor { now_us, ..actor(&store, "one@example.test", Class::Hosting) };
        Held { _dir: dir, store, dnssec, fake, actor }
    }

    /// Makes `example.test` with this key.
    fn create(&self, key: NewKey) -> Result<DomainId, Refusal> {
        let (who, keys) = (self.actor.clone(), vec![key]);
        let new = NewDomain { denial: Denial::Nsec, keys, ..new_domain("example.test") };
        self.store.write_blocking(move |txn| create(txn, &who, new)).map(|created| created.domain.id)
    }

    /// Deletes it after a while.
    fn delete(&mut self, after_us: i64) -> ChangeId {
        self.actor.now_us += after_us;
        let who = self.actor.clone();
        self.store.write_blocking(move |txn| delete(txn, &who, "example.test", &[])).unwrap().unwrap()
    }

    /// Takes a deletion back; what stands for the secret of its key.
    fn revive(&self, deletion: ChangeId) -> Vec<u8> {
        let (who, key) = (self.actor.clone(), self.dnssec.new_key("example.test").unwrap());
        let (offered, denial) = (key.clone(), Denial::Nsec);
        let new = move |name: String| NewDomain { denial, keys: vec![key], ..new_domain(&name) };
        let made = self.store.write_blocking(move |txn| revive(txn, &who, deletion, new)).unwrap();
        self.dnssec.discard(&offered);
        self.store.write_blocking(|_| Ok::<_, StoreError>(())).unwrap();
        let keys = self.store.read(|reader| reader.keys(made.domain.id)).unwrap();
        keys.into_iter().next().unwrap().key.sealed
    }

    /// Removes what is to be removed after a while; how many are gone, how many wait, and how many the device has.
    fn sweep(&self, after_us: i64) -> (usize, u64, usize) {
        let gone = self.dnssec.sweep_device(self.actor.now_us + after_us, KEEP_US).unwrap();
        (gone, self.store.read(|reader| reader.count_dropped_objects()).unwrap(), self.fake.keys())
    }
}

#[test]
fn a_deleted_domains_key_stays_while_it_can_come_back_and_goes_then() {
    let mut held = Held::new();
    let key = held.dnssec.new_key("example.test").unwrap();
    held.create(key.clone()).unwrap();
    assert_eq!(held.sweep(2 * KEEP_US), (0, 0, 1), "it is in use");
    let first = held.delete(1);
    assert_eq!(held.sweep(KEEP_US - 1), (0, 1, 1));
    assert_eq!(held.revive(first), key.sealed);
    assert_eq!(held.sweep(0), (1, 0, 1), "the other one that was offered goes at once");
    assert_eq!(held.sweep(2 * KEEP_US), (0, 0, 1), "it is in use again");
    let second = held.delete(1);
    assert_eq!(held.sweep(KEEP_US), (1, 0, 0));
    for deletion in [first, second] {
        assert_eq!(held.store.read(|reader| reader.released_keys(deletion)).unwrap(), None);
    }
    assert_ne!(held.revive(second), key.sealed, "from now on it comes back with another");
    assert_eq!(held.sweep(2 * KEEP_US), (0, 0, 1));
}

#[test]
fn a_key_that_others_replaced_goes_after_a_while() {
    let held = Held::new();
    let domain = held.create(held.dnssec.new_key("example.test").unwrap()).unwrap();
    let (who, other) = (held.actor.clone(), held.dnssec.new_key("example.test").unwrap());
    let replace = move |txn: &Txn<'_>| {
        set_signing(txn, &who, domain, Denial::Off, None)?;
        give_up_keys(txn, &who, domain, &txn.keys(domain)?.iter().map(|key| key.id).collect::<Vec<_>>())?;
        set_signing(txn, &who, domain, Denial::Nsec, [other])
    };
    held.store.write_blocking(replace).unwrap();
    assert_eq!(held.sweep(KEEP_US - 1), (0, 1, 2));
    assert_eq!(held.sweep(KEEP_US), (1, 0, 1));
}

#[test]
fn a_key_that_a_crash_left_in_the_device_goes_and_no_domain_gets_it_then() {
    let held = Held::new();
    let left = held.dnssec.new_key("example.test").unwrap();
    assert_eq!(held.sweep(0), (0, 0, 1), "it may be that it is being kept just now");
    assert_eq!(held.sweep(HOURS_US), (1, 0, 0));
    // What was noted and not made: a device that was taken away would say the same.
    let object = Object { sealed: KeyNumber::fresh().kept(), name: "example.test".to_owned() };
    let (sealed, now_us) = (object.sealed.clone(), held.actor.now_us);
    held.store.write_blocking(move |txn| txn.intend_object(&object, now_us)).unwrap();
    assert_eq!(held.sweep(HOURS_US), (0, 1, 0));
    let late = NewKey { sealed, state: State::Active, ..left };
    assert!(matches!(held.create(late), Err(Refusal::Store(StoreError::Removed))));
    assert_eq!(held.sweep(HOURS_US), (1, 0, 0));
}

#[test]
fn trouble_with_the_device_is_counted_and_what_it_kept_goes_later() {
    let mut held = Held::new();
    held.create(held.dnssec.new_key("example.test").unwrap()).unwrap();
    held.delete(1);
    held.fake.delay(3 * PATIENCE);
    assert_eq!(held.sweep(KEEP_US), (0, 1, 1));
    assert_eq!(held.dnssec.removal_failures(), 1);
    let (cause, _) = held.dnssec.device().unwrap().trouble_for().unwrap();
    assert!(cause.contains("does not answer"), "{cause}");
    assert!(matches!(held.dnssec.new_key("other.test"), Err(crate::dnssec::DnssecError::Device(_))));
    assert_eq!(held.store.read(|reader| reader.count_dropped_objects()).unwrap(), 1);
    held.fake.delay(Duration::ZERO);
    let end = Instant::now() + Duration::from_secs(30);
    while held.dnssec.device().unwrap().trouble().is_some() {
        assert!(Instant::now() < end, "it is well again");
        thread::park_timeout(Duration::from_millis(5));
    }
    // It removed the key after nobody waited for that any more, and says twice that it has none.
    assert_eq!(held.sweep(KEEP_US), (0, 1, 0), "not yet");
    assert_eq!(held.sweep(KEEP_US + HOURS_US), (0, 1, 0));
    assert_eq!(held.sweep(KEEP_US + HOURS_US), (1, 0, 0));
    assert_eq!(held.dnssec.removal_failures(), 1);
}
