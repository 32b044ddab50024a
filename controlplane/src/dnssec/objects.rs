//! The keys that a device makes for domains, from before they are made until it is told to remove them.
//!
//! Which may be removed is `store::objects`'s. Invariants: a key is noted before the device makes it; the device is told to
//! remove one only after nobody can get it any more.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{info, warn};

use super::{DnssecError, new_key};
use crate::keys::{Algorithm, Device, DeviceError, KeyNumber, Role};
use crate::store::keys::{NewKey, State};
use crate::store::objects::{Due, Object};
use crate::store::{Store, StoreError};

/// Microseconds of an hour.
const HOUR_US: i64 = 3_600_000_000;
/// For how long a key may be made and kept, in microseconds; requests end within minutes.
const MAKING_US: i64 = HOUR_US;
/// When it is tried again to remove a key whose removal failed, in microseconds: it does not keep others from their turn.
const AGAIN_US: i64 = HOUR_US / 6;
/// How many keys are removed at once: each may take seconds.
const BATCH: u32 = 16;

/// A device, and what is known of what it has.
pub(super) struct Objects {
    /// The device.
    pub(super) device: Arc<Device>,
    /// Where that is noted.
    store: Arc<Store>,
    /// What the device did not find when it was told to remove it.
    missing: Mutex<HashSet<KeyNumber>>,
    /// How many removals failed.
    failures: AtomicU64,
}

impl Objects {
    /// Of a device.
    pub(super) fn new(device: Device, store: Arc<Store>) -> Objects {
        Objects { device: Arc::new(device), store, missing: Mutex::default(), failures: AtomicU64::new(0) }
    }

    /// A new key for the database, made in the device at this time, in microseconds since 1970.
    pub(super) fn make(
        &self,
        domain: &str,
        (role, algorithm, state): (Role, Algorithm, State),
        now_us: i64,
    ) -> Result<NewKey, DnssecError> {
        // Each attempt would be noted.
        if let Some(cause) = self.device.trouble() {
            return Err(DeviceError::Away(cause).into());
        }
        let number = KeyNumber::fresh();
        let object = Object { sealed: number.kept(), name: domain.to_owned() };
        self.store.write_blocking(move |txn| txn.intend_object(&object, now_us))?;
        let made = self.device.generate(number, algorithm, &format!("{domain}. {algorithm}"));
        if let Err(DeviceError::Algorithm(_)) = &made {
            // It was not even tried to make it.
            self.store.write_soon(move |txn| txn.forget_object(&number.kept()));
        }
        let held = made?;
        Ok(new_key(&held.dnskey(role), role, held.number().kept(), state))
    }

    /// Has a new key removed unless a domain has it.
    pub(super) fn decline(&self, key: &NewKey) {
        if KeyNumber::from_kept(&key.sealed).is_some() {
            let sealed = key.sealed.clone();
            self.store.write_soon(move |txn| txn.decline_object(&sealed));
        }
    }

    /// How many removals failed since the start.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Removes some keys that are due: those dropped `keep_us` ago, and those that were made and came to no use. How many are
    /// gone now; what cannot be removed is due again later.
    pub(super) fn sweep(&self, now_us: i64, keep_us: i64) -> Result<usize, StoreError> {
        let [made_us, dropped_us] = [MAKING_US, keep_us].map(|age_us| now_us.saturating_sub(age_us));
        let due = Due { made_us, dropped_us, now_us };
        // One that is away keeps what it has, and nothing is given up before that has to be.
        if self.device.trouble().is_some() || self.store.read(|reader| reader.due_objects(due, 1))?.is_empty() {
            return Ok(0);
        }
        let given = self.store.write_blocking(move |txn| {
            let mut given = txn.due_objects(due, BATCH)?;
            let mut failed = None;
            given.retain(|object| {
                let outcome = txn.let_object_go(&object.sealed, now_us);
                outcome.unwrap_or_else(|error| {
                    failed.get_or_insert(error);
                    false
                })
            });
            failed.map_or(Ok(given), Err)
        })?;
        let mut gone = Vec::new();
        for Object { sealed, name } in given {
            match KeyNumber::from_kept(&sealed).map_or(Ok(true), |number| self.remove(number, &name)) {
                Ok(true) => gone.push(sealed),
                Ok(false) => {}
                Err(error) => {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    warn!("a key of {name} that is of no use stays in the device for now: {error}");
                    let until_us = now_us.saturating_add(AGAIN_US);
                    self.store.write_blocking(move |txn| txn.put_off_object(&sealed, until_us))?;
                    break;
                }
            }
        }
        let count = gone.len();
        if count > 0 {
            self.store.write_blocking(move |txn| gone.iter().try_for_each(|sealed| txn.forget_object(sealed)))?;
        }
        Ok(count)
    }

    /// Has the device remove a key; whether it is gone. A device that was just taken away finds nothing and says no more, so
    /// that it has to say so twice: it is looked for anew after the first time.
    fn remove(&self, number: KeyNumber, name: &str) -> Result<bool, DeviceError> {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        match self.device.destroy(number) {
            Ok(()) => {
                info!("key {number} of {name} is removed from the device");
                missing.remove(&number);
                Ok(true)
            }
            Err(DeviceError::NoKey(_)) if missing.insert(number) => Ok(false),
            Err(DeviceError::NoKey(_)) => {
                missing.remove(&number);
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }
}
