//! A device that is as slow as a test wants it.
//!
//! It keeps P-256 keys in memory, one session serves it, and it shall sign nothing that is served.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};

use super::crew::{Crew, Work};
use super::session::Failure;
use super::{Device, DeviceError, Health, KeyNumber, Task};

/// What such a device shares with the test.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    /// How long each task takes, in milliseconds.
    delay_ms: Arc<AtomicU64>,
    /// How many are done.
    done: Arc<AtomicU64>,
    /// Its keys.
    keys: Arc<Mutex<HashMap<KeyNumber, SigningKey>>>,
}

impl Fake {
    /// A device whose answers are awaited for so long, and what makes it slow.
    pub(crate) fn start(patience: Duration) -> (Device, Fake) {
        let (jobs, inbox) = channel::unbounded();
        let (fake, health) = (Fake::default(), Arc::new(Health::new(patience)));
        let (mut hands, known) = (fake.clone(), Arc::clone(&health));
        let (gone, ended) = channel::bounded(0);
        let thread = thread::spawn(move || {
            let (crew, ending) = Crew::new();
            crew.work(&mut hands, &inbox, &ending, &known);
            drop::<channel::Sender<()>>(gone);
        });
        (Device { jobs: Some(jobs), health, thread: Some((thread, ended)) }, fake)
    }

    /// Has each task take so long.
    pub(crate) fn delay(&self, delay: Duration) {
        self.delay_ms.store(delay.as_millis().try_into().unwrap(), Ordering::SeqCst);
    }

    /// How many tasks are done.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }

    /// How many keys it has.
    pub(crate) fn keys(&self) -> usize {
        self.keys.lock().unwrap().len()
    }
}

impl Work for Fake {
    fn work(&mut self, task: &Task) -> Result<Vec<u8>, Failure> {
        let end = Instant::now() + Duration::from_millis(self.delay_ms.load(Ordering::SeqCst));
        // Parking may end early.
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            thread::park_timeout(left);
        }
        let mut keys = self.keys.lock().unwrap();
        let missing = |number: &KeyNumber| Failure::Job(DeviceError::NoKey(*number));
        let answer = match task {
            Task::Sign(number, digest) => {
                let key = keys.get(number).ok_or_else(|| missing(number));
                key.map(|key| {
                    let signature: Signature = key.sign_prehash(digest).unwrap();
                    signature.to_bytes().to_vec()
                })
            }
            Task::Public(number, _) => keys.get(number).map(public).ok_or_else(|| missing(number)),
            Task::Generate(number, ..) => {
                let secret = [uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()].concat();
                Ok(public(keys.entry(*number).or_insert(SigningKey::from_slice(&secret).unwrap())))
            }
            Task::Destroy(number) => keys.remove(number).map(|_| Vec::new()).ok_or_else(|| missing(number)),
        };
        self.done.fetch_add(1, Ordering::SeqCst);
        answer
    }
}

/// The public key field of DNSKEY.
fn public(key: &SigningKey) -> Vec<u8> {
    key.verifying_key().to_sec1_point(false).as_bytes()[1..].to_vec()
}
