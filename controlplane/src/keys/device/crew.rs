//! The threads that hold a device: one session each, all of one login.
//!
//! When a session fails in a way that is not the fault of what it was asked for, all end, the module is finalized, and the
//! device is looked for anew: what came back after it was away is another session, with other handles, and some modules
//! notice only then that anything came back. Invariant: a module is loaded once and stays.

use std::fs;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, Sender};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::session::{Failure, Hands, said};
use super::{DeviceError, DeviceSettings, Health, Job, Task, rest};

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
        if health.lost(cause.clone()) {
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
    /// The module, once it is loaded. It is never unloaded: libraries that have left handlers for the end of the process crash it
    /// then.
    module: Option<ManuallyDrop<Pkcs11>>,
}

impl Keeper<'_> {
    /// Finds the device and does what is asked for, until nobody can ask; why it failed before.
    fn serve(&mut self) -> Result<(), String> {
        let path = &self.settings.module;
        let module = match &self.module {
            Some(module) => Pkcs11::clone(module),
            None => Pkcs11::new(path).map_err(|error| format!("loading {}: {}", path.display(), said(&error)))?,
        };
        self.module.get_or_insert_with(|| ManuallyDrop::new(module.clone()));
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
        if self.health.found() {
            info!("the device that keeps keys is there");
        }
        let (crew, ending) = Crew::new();
        let (jobs, health) = (self.jobs, self.health);
        thread::scope(|scope| {
            let work = |session| {
                let (crew, ending) = (&crew, ending.clone());
                scope.spawn(move || crew.work(&mut Hands::new(session), jobs, &ending, health))
            };
            let threads: Vec<_> = sessions.into_iter().map(work).collect();
            // The scope alone would not wait for what the module cleans up at the very end of each.
            let ended = threads.into_iter().map(thread::ScopedJoinHandle::join);
            if let Some(panic) = ended.filter_map(Result::err).last() {
                std::panic::resume_unwind(panic);
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

/// Whoever does what a device is asked for.
pub(super) trait Work {
    /// Does it.
    fn work(&mut self, task: &Task) -> Result<Vec<u8>, Failure>;
}

/// What the threads share.
pub(super) struct Crew {
    /// Dropped when one of them gives up, so that all do.
    over: Mutex<Option<Sender<()>>>,
    /// Why that one did.
    cause: Mutex<Option<String>>,
    /// Since when they work.
    begun: Instant,
}

impl Crew {
    /// A new one, and what tells that it gives up.
    pub(super) fn new() -> (Crew, Receiver<()>) {
        let (over, ending) = channel::bounded(0);
        (Crew { over: Mutex::new(Some(over)), cause: Mutex::default(), begun: Instant::now() }, ending)
    }

    /// Does what is asked for, with one session.
    pub(super) fn work(&self, hands: &mut impl Work, jobs: &Receiver<Job>, ending: &Receiver<()>, health: &Health) {
        loop {
            let job = crossbeam::select! {
                recv(jobs) -> job => job,
                recv(ending) -> _ => return,
            };
            let Ok(job) = job else { return };
            let outcome = if job.to.is_none() {
                self.probe(hands, &job.task, ending, health)
            } else if job.asked.elapsed() > health.patience {
                // Nobody waits for it any more, and a key that nobody waits for must not be made.
                continue;
            } else {
                self.answer(hands, job, health)
            };
            if let Err(cause) = outcome {
                return self.give_up(cause);
            }
        }
    }

    /// Does one task and answers; why the device has to be looked for anew, if so.
    fn answer(&self, hands: &mut impl Work, job: Job, health: &Health) -> Result<(), String> {
        let made = match &job.task {
            Task::Generate(number, ..) => Some(*number),
            _ => None,
        };
        match measured(hands, &job.task, health) {
            Ok(octets) => {
                // Whoever asked has given up, and will never use it.
                if !job.answer(Ok(octets))
                    && let Some(number) = made
                    && let Err(Failure::Session(error)) = measured(hands, &Task::Destroy(number), health)
                {
                    return Err(said(&error));
                }
                Ok(())
            }
            Err(Failure::Job(error)) => {
                // A module may not have seen yet that its device is another one.
                let is_missing = matches!(error, DeviceError::NoKey(_)) && self.begun.elapsed() > MISSING_RETRY;
                let cause = error.to_string();
                job.answer(Err(error));
                if is_missing { Err(cause) } else { Ok(()) }
            }
            Err(Failure::Session(error)) => {
                let cause = said(&error);
                job.answer(Err(DeviceError::Away(cause.clone())));
                Err(cause)
            }
        }
    }

    /// Repeats a task that was answered too late, until it is answered in time; a refusal is an answer.
    fn probe(&self, hands: &mut impl Work, task: &Task, ending: &Receiver<()>, health: &Health) -> Result<(), String> {
        while health.is_late() {
            let begun = Instant::now();
            if let Err(Failure::Session(error)) = measured(hands, task, health) {
                return Err(said(&error));
            }
            if begun.elapsed() <= health.patience {
                if health.in_time() {
                    info!("the device that keeps keys answers in time again");
                }
            } else {
                crossbeam::select! {
                    recv(ending) -> _ => break,
                    recv(health.closed) -> _ => break,
                    default(health.patience) => {}
                }
            }
        }
        Ok(())
    }

    /// Has all threads end.
    fn give_up(&self, cause: String) {
        let mut first = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(cause);
        self.over.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Does a task and counts it.
fn measured(hands: &mut impl Work, task: &Task, health: &Health) -> Result<Vec<u8>, Failure> {
    let begun = Instant::now();
    let done = hands.work(task);
    health.count(begun.elapsed(), done.is_ok());
    done
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
