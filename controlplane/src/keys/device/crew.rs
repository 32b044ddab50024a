//! The threads that hold a device: one session each, all of one login.
//!
//! When a session fails in a way that is not the fault of what it was asked for, all end, the module is finalized, and the
//! device is looked for anew: what came back after it was away is another session, with other handles, and some modules
//! notice only then that anything came back. Invariant: a module is loaded once and stays.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, Sender};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::session::{self, Failure, said};
use super::{DeviceError, DeviceSettings, Health, Job, KeyNumber, rest};

/// How many signatures are made at once.
const SESSION_COUNT: usize = 4;
/// How long it takes until a device that is away is looked for again.
const RETRY: Duration = Duration::from_secs(2);
/// A key that is missing is reason to look for the device anew, but not more often than this.
const MISSING_RETRY: Duration = Duration::from_secs(10);
/// The longest PIN file in octets.
const PIN_LEN_MAX: u64 = 4096;

/// Does what is asked for, until nobody can ask any more.
pub(super) fn keep(settings: &DeviceSettings, jobs: &Receiver<Job>, health: &Health) {
    let mut keeper = Keeper { settings, jobs, health, refused_pin: None, module: None };
    loop {
        let begun = Instant::now();
        let Err(cause) = keeper.serve() else { return };
        if begun.elapsed() > RETRY {
            // It worked until now: it may be there again at once, and whoever asks meanwhile waits for that.
            warn!("the device that keeps keys failed, and is looked for anew: {cause}");
            continue;
        }
        if health.set(Some(cause.clone())) {
            warn!("signed zones cannot change: the device that keeps their keys cannot be used: {cause}");
        }
        if !rest(jobs, RETRY, &cause) {
            return;
        }
    }
}

/// Whoever looks for the device.
struct Keeper<'k> {
    /// How it is reached.
    settings: &'k DeviceSettings,
    /// What it is to do.
    jobs: &'k Receiver<Job>,
    /// Where is told whether it can be used.
    health: &'k Health,
    /// The PIN that it refused.
    refused_pin: Option<Zeroizing<String>>,
    /// The module, once it is loaded: libraries that have left handlers for the end of the process crash it when they are
    /// unloaded before.
    module: Option<Pkcs11>,
}

impl Keeper<'_> {
    /// Finds the device and does what is asked for, until nobody can ask; why it failed before.
    fn serve(&mut self) -> Result<(), String> {
        let path = &self.settings.module;
        let module = match &self.module {
            Some(module) => module.clone(),
            None => Pkcs11::new(path).map_err(|error| format!("loading {}: {}", path.display(), said(&error)))?,
        };
        self.module = Some(module.clone());
        let locking = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        module.initialize(locking).map_err(|error| said(&error))?;
        let outcome = self.serve_with(&module);
        if let Err(error) = module.finalize() {
            warn!("the module of the device that keeps keys does not end: {}", said(&error));
        }
        outcome
    }

    /// The same with a module that is ready.
    fn serve_with(&mut self, module: &Pkcs11) -> Result<(), String> {
        let slot = slot_of(module, &self.settings.label)?;
        let open = || module.open_rw_session(slot).map_err(|error| said(&error));
        let first = open()?;
        self.log_in(&first)?;
        let mut sessions = vec![first];
        for _ in 1..SESSION_COUNT {
            sessions.push(open()?);
        }
        if self.health.set(None) {
            info!("the device that keeps keys is there");
        }
        let (over, ending) = channel::bounded(0);
        let crew = Crew { over: Mutex::new(Some(over)), cause: Mutex::default(), begun: Instant::now() };
        let (jobs, health) = (self.jobs, self.health);
        thread::scope(|scope| {
            for session in sessions {
                let (crew, ending) = (&crew, ending.clone());
                scope.spawn(move || crew.work(&session, jobs, &ending, health));
            }
        });
        match crew.cause.into_inner().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(cause) => Err(cause),
        }
    }

    /// Logs in, for all sessions.
    fn log_in(&mut self, session: &Session) -> Result<(), String> {
        let path = &self.settings.pin_file;
        let pin = pin_of(path)?;
        if self.refused_pin.as_ref() == Some(&pin) {
            return Err(format!("it refused the PIN in {}, which is not tried again", path.display()));
        }
        let secret = AuthPin::new(pin.as_str().into());
        match session.login(UserType::User, Some(&secret)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Error::Pkcs11(
                cause @ (RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinExpired
                | RvError::PinLocked),
                _,
            )) => {
                self.refused_pin = Some(pin);
                Err(format!("it refuses the PIN in {} ({cause:?})", path.display()))
            }
            Err(error) => Err(said(&error)),
        }
    }
}

/// What the threads share.
struct Crew {
    /// Dropped when one of them gives up, so that all do.
    over: Mutex<Option<Sender<()>>>,
    /// Why that one did.
    cause: Mutex<Option<String>>,
    /// Since when they work.
    begun: Instant,
}

impl Crew {
    /// Does what is asked for, with one session.
    fn work(&self, session: &Session, jobs: &Receiver<Job>, ending: &Receiver<()>, health: &Health) {
        let mut handles: HashMap<KeyNumber, ObjectHandle> = HashMap::new();
        loop {
            let job = crossbeam::select! {
                recv(jobs) -> job => job,
                recv(ending) -> _ => return,
            };
            let Ok(job) = job else { return };
            let done = match &job {
                Job::Sign(number, digest, _) => session::sign(session, &mut handles, *number, digest),
                Job::Public(number, algorithm, _) => session::public(session, *number, *algorithm),
                Job::Generate(number, label, algorithm, _) => session::generate(session, *number, label, *algorithm),
                Job::Destroy(number, _) => session::destroy(session, *number),
            };
            match done {
                Ok(octets) => {
                    job.answer(Ok(octets));
                    // It may have taken so long that it was given up.
                    if health.trouble().is_some() && health.set(None) {
                        info!("the device answers again");
                    }
                }
                Err(Failure::Job(error)) => {
                    // A module may not have seen yet that its device is another one.
                    let is_missing = matches!(error, DeviceError::NoKey(_)) && self.begun.elapsed() > MISSING_RETRY;
                    let cause = error.to_string();
                    job.answer(Err(error));
                    if is_missing {
                        return self.give_up(cause);
                    }
                }
                Err(Failure::Session(error)) => {
                    let cause = said(&error);
                    job.answer(Err(DeviceError::Away(cause.clone())));
                    return self.give_up(cause);
                }
            }
        }
    }

    /// Has all threads end.
    fn give_up(&self, cause: String) {
        let mut first = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(cause);
        self.over.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// The slot of the device with this label.
fn slot_of(module: &Pkcs11, label: &str) -> Result<Slot, String> {
    let slots = module.get_slots_with_token().map_err(|error| said(&error))?;
    let mut found = slots.into_iter().filter(|slot| {
        // One that is being taken away has no label.
        module.get_token_info(*slot).is_ok_and(|device| device.label().trim_end() == label)
    });
    match (found.next(), found.next()) {
        (Some(slot), None) => Ok(slot),
        (None, _) => Err(format!("no slot has a device with the label {label:?}")),
        (Some(_), Some(_)) => Err(format!("several slots have a device with the label {label:?}")),
    }
}

/// The PIN in a file, without the end of its line.
fn pin_of(path: &Path) -> Result<Zeroizing<String>, String> {
    let failed = |error: std::io::Error| format!("reading the PIN in {}: {error}", path.display());
    let len = fs::metadata(path).map_err(failed)?.len();
    if len > PIN_LEN_MAX {
        return Err(format!("{} has {len} octets, which is no PIN", path.display()));
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
    let pin = text.trim_end_matches(['\r', '\n']);
    if pin.is_empty() { Err(format!("{} has no PIN", path.display())) } else { Ok(Zeroizing::new(pin.to_owned())) }
}
