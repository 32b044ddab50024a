//! Keys that a device keeps: a hardware security module or the like, reached by its PKCS #11 module.
//!
//! What PKCS #11 calls a token is a device here, since tokens are those of the API. A thread of its own holds the module, so
//! that a device that hangs, or is taken away, holds up nobody for longer than [`PATIENCE`], and only once: from then on
//! whoever asks is refused at once, until the thread has the device again, or it answers in time what it was too late with.
//! That it answers late is no sign that it is well: whoever asked next would wait in vain too. Invariants: a secret key leaves the device never,
//! and what is kept of it here is its number; the PIN is in no log, error and argument; a PIN that was refused is not tried
//! again, for a device that counts would lock itself. OASIS PKCS #11 2.40.

mod crew;
#[cfg(test)]
mod fake;
mod session;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, Sender};
use ring::digest::{SHA256, SHA384, digest};
use tracing::warn;
use uuid::Uuid;

use super::{Algorithm, Dnskey, Role};

#[cfg(test)]
pub(crate) use fake::Fake;

/// For how long an answer of the device is awaited.
const PATIENCE: Duration = Duration::from_secs(3);

/// How a device is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSettings {
    /// The shared library that its maker provides.
    pub module: PathBuf,
    /// The label it was initialised with.
    pub label: String,
    /// The file with its user PIN, in one line.
    pub pin_file: PathBuf,
    /// For how many days it has keys that no domain needs any more.
    pub keep_days: u32,
}

/// Why a device did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// It cannot be used now; it is looked for all the time.
    #[error("the device that keeps the keys cannot be used: {0}")]
    Away(String),
    /// It has no such key.
    #[error("the device has no key {0}: it is another device, or was initialised anew")]
    NoKey(KeyNumber),
    /// It makes no keys of this algorithm.
    #[error("keys of {0} are not made in a device: choose ECDSAP256SHA256 or ECDSAP384SHA384")]
    Algorithm(Algorithm),
    /// What it says of a key makes no sense.
    #[error("the device shows another public key than {0} has")]
    Public(Algorithm),
}

/// The number under which a device has a key, as private and as public key; it is never given again.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyNumber(pub [u8; 16]);

/// What a number begins with where a sealed key could stand, whose version this is not.
pub(super) const HELD: u8 = 2;

impl KeyNumber {
    /// One that no key has.
    #[must_use]
    pub fn fresh() -> KeyNumber {
        KeyNumber(*Uuid::new_v4().as_bytes())
    }

    /// As it is kept in the place of a sealed key.
    #[must_use]
    pub fn kept(self) -> Vec<u8> {
        [&[HELD][..], &self.0].concat()
    }

    /// Reads what is kept; `None` if that is no number but a sealed key.
    #[must_use]
    pub fn from_kept(kept: &[u8]) -> Option<KeyNumber> {
        let (&HELD, number) = kept.split_first()? else { return None };
        number.try_into().ok().map(KeyNumber)
    }
}

/// A device, as whoever signs sees it. Dropping it ends its thread, and waits for that as long as for an answer: a process that
/// ends while the module is at work may crash in what the module does then.
pub struct Device {
    /// What it is to do; `None` once it is to end.
    jobs: Option<Sender<Job>>,
    /// Whether it can be used.
    health: Arc<Health>,
    /// Its thread, which may be within a module that hangs, and what is disconnected when that has nothing to do any more.
    thread: Option<(JoinHandle<()>, Receiver<()>)>,
}

/// A key in a device.
pub struct HeldKey {
    /// Where it is.
    device: Arc<Device>,
    /// Under which number.
    number: KeyNumber,
    /// What it signs with.
    algorithm: Algorithm,
    /// The public key field of DNSKEY.
    public: Vec<u8>,
}

/// What a device is asked for.
#[derive(Debug, Clone)]
enum Task {
    /// A signature over a digest.
    Sign(KeyNumber, Vec<u8>),
    /// The public key of a key, as DNSKEY has it.
    Public(KeyNumber, Algorithm),
    /// A new key with this number and label; the answer is its public key.
    Generate(KeyNumber, String, Algorithm),
    /// The removal of a key that is of no use any more.
    Destroy(KeyNumber),
}

/// A task for a device, and where its answer goes.
struct Job {
    /// The task.
    task: Task,
    /// Since when an answer is awaited.
    asked: Instant,
    /// Where it goes; `None` if it shall only show whether the device answers in time.
    to: Option<Sender<Answer>>,
}

/// What a device gives.
type Answer = Result<Vec<u8>, DeviceError>;

/// Why a device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    /// It cannot be reached, for this reason. Whoever looks for it says so, and when that is over.
    Away(String),
    /// It did not answer in time. Whoever waited says so, and a task that is answered in time, that it is over.
    Late,
}

/// Whether a device can be used, and what it has done.
#[derive(Debug)]
struct Health {
    /// For how long an answer is awaited.
    patience: Duration,
    /// Dropped when nobody asks any more.
    open: Mutex<Option<Sender<()>>>,
    /// Disconnected then.
    closed: Receiver<()>,
    /// Why not, if not, and since when nothing else was known.
    trouble: Mutex<Option<(Trouble, Instant)>>,
    /// How many tasks it was given.
    operations: AtomicU64,
    /// How many of them failed, or were answered too late.
    failures: AtomicU64,
    /// How long they took, in microseconds.
    busy_us: AtomicU64,
}

/// What a device has done since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceCounts {
    /// How many tasks it was given: signatures, keys that were looked for, made and removed.
    pub operations: u64,
    /// How many of them failed, or were answered too late.
    pub failures: u64,
    /// How long they took, in microseconds.
    pub busy_us: u64,
}

impl Health {
    /// Of a device that nothing is known of yet.
    fn new(patience: Duration) -> Health {
        let count = AtomicU64::default;
        let (open, closed) = channel::bounded(0);
        let (open, trouble) = (Mutex::new(Some(open)), Mutex::default());
        Health { patience, open, closed, trouble, operations: count(), failures: count(), busy_us: count() }
    }

    /// Notes that nobody asks any more.
    fn close(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Why the device cannot be used, if so.
    fn trouble(&self) -> Option<String> {
        self.trouble_since().map(|(cause, _)| cause)
    }

    /// The same, and since when.
    fn trouble_since(&self) -> Option<(String, Instant)> {
        let known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map(|(trouble, since)| match trouble {
            Trouble::Away(cause) => (cause.clone(), *since),
            Trouble::Late => (self.too_late(), *since),
        })
    }

    /// What is said of a device that does not answer in time.
    fn too_late(&self) -> String {
        format!("it does not answer within {:?}", self.patience)
    }

    /// Notes that it cannot be reached; whether that is news.
    fn lost(&self, cause: String) -> bool {
        let after = Trouble::Away(cause);
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = known.as_ref().is_none_or(|(before, _)| *before != after);
        let since = known.as_ref().map_or_else(Instant::now, |(_, since)| *since);
        *known = Some((after, since));
        is_news
    }

    /// Notes that it is there anew; whether that is news.
    fn found(&self) -> bool {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }

    /// Notes that it did not answer in time; whether nothing was known against it.
    fn late(&self) -> bool {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = known.is_none();
        known.get_or_insert_with(|| (Trouble::Late, Instant::now()));
        is_news
    }

    /// Whether it is only late.
    fn is_late(&self) -> bool {
        let known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().is_some_and(|(trouble, _)| *trouble == Trouble::Late)
    }

    /// Notes that it answers in time again; whether that is news. One that cannot be reached has to be found.
    fn in_time(&self) -> bool {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        known.take_if(|(trouble, _)| *trouble == Trouble::Late).is_some()
    }

    /// Counts a task.
    fn count(&self, taken: Duration, is_good: bool) {
        let is_good = is_good && taken <= self.patience;
        self.operations.fetch_add(1, Ordering::Relaxed);
        self.failures.fetch_add(u64::from(!is_good), Ordering::Relaxed);
        self.busy_us.fetch_add(u64::try_from(taken.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Device {
    /// Begins to use a device. That it is away is no error: unsigned zones go on without it, and it may come.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(settings: DeviceSettings) -> std::io::Result<Device> {
        let (jobs, inbox) = channel::unbounded();
        let health = Arc::new(Health::new(PATIENCE));
        let known = Arc::clone(&health);
        let (ending, ended) = channel::bounded(0);
        let thread = thread::Builder::new().name("device".into()).spawn(move || {
            crew::keep(&settings, &inbox, &known);
            drop::<Sender<()>>(ending);
        })?;
        Ok(Device { jobs: Some(jobs), health, thread: Some((thread, ended)) })
    }

    /// Why the device cannot be used, if so.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.health.trouble()
    }

    /// The same, and for how long that is so.
    #[must_use]
    pub fn trouble_for(&self) -> Option<(String, Duration)> {
        self.health.trouble_since().map(|(cause, since)| (cause, since.elapsed()))
    }

    /// What the device has done since the start.
    #[must_use]
    pub fn counts(&self) -> DeviceCounts {
        let [operations, failures, busy_us] = [&self.health.operations, &self.health.failures, &self.health.busy_us]
            .map(|count| count.load(Ordering::Relaxed));
        DeviceCounts { operations, failures, busy_us }
    }

    /// Makes a key in the device, under a fresh number; `label` is for people who look into it.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn generate(
        self: &Arc<Device>,
        number: KeyNumber,
        algorithm: Algorithm,
        label: &str,
    ) -> Result<HeldKey, DeviceError> {
        session::curve(algorithm).ok_or(DeviceError::Algorithm(algorithm))?;
        let public = self.ask(Task::Generate(number, label.to_owned(), algorithm))?;
        Ok(HeldKey { device: Arc::clone(self), number, algorithm, public })
    }

    /// The key with a number.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn key(self: &Arc<Device>, number: KeyNumber, algorithm: Algorithm) -> Result<HeldKey, DeviceError> {
        session::curve(algorithm).ok_or(DeviceError::Algorithm(algorithm))?;
        let public = self.ask(Task::Public(number, algorithm))?;
        Ok(HeldKey { device: Arc::clone(self), number, algorithm, public })
    }

    /// Removes a key that is of no use any more, or what is left of it.
    ///
    /// # Errors
    /// [`DeviceError`]; [`DeviceError::NoKey`] if it finds nothing of it, as one that was just taken away may.
    pub fn destroy(&self, number: KeyNumber) -> Result<(), DeviceError> {
        self.ask(Task::Destroy(number)).map(drop)
    }

    /// Asks, and waits for the answer.
    fn ask(&self, task: Task) -> Answer {
        if let Some(cause) = self.trouble() {
            return Err(DeviceError::Away(cause));
        }
        let (answer, answered) = channel::bounded(1);
        let gone = |cause: &str| DeviceError::Away(cause.to_owned());
        // What is too late shows with the same task when that is over; a key is not made for that, but looked for.
        let probe = match &task {
            Task::Generate(number, _, algorithm) => Task::Public(*number, *algorithm),
            Task::Destroy(number) => Task::Public(*number, Algorithm::EcdsaP256Sha256),
            other => other.clone(),
        };
        let job = |task, to| Job { task, asked: Instant::now(), to };
        let send = |job| {
            let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
            if sent { Ok(()) } else { Err(gone("its thread has ended")) }
        };
        send(job(task, Some(answer)))?;
        answered.recv_timeout(self.health.patience).unwrap_or_else(|_| {
            let cause = self.health.too_late();
            if self.health.late() {
                warn!("signed zones cannot change: the device that keeps their keys cannot be used: {cause}");
                send(job(probe, None))?;
            }
            Err(DeviceError::Away(cause))
        })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.jobs = None;
        self.health.close();
        let Some((thread, ended)) = self.thread.take() else { return };
        if ended.recv_timeout(self.health.patience) == Err(channel::RecvTimeoutError::Timeout) {
            warn!("the device that keeps keys does not let go: nobody waits for it any longer");
        } else {
            // What the module keeps for each thread is cleaned up at its very end. A panic was told where it happened.
            thread.join().ok();
        }
    }
}

impl Job {
    /// Gives the answer to whoever waits for it; whether they still do.
    fn answer(self, answer: Answer) -> bool {
        self.to.is_none_or(|to| to.send(answer).is_ok())
    }
}

impl HeldKey {
    /// Signs a message; the signature as RRSIG has it (RFC 6605 section 4).
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, DeviceError> {
        let hash = if self.algorithm == Algorithm::EcdsaP384Sha384 { &SHA384 } else { &SHA256 };
        // Made here, since not every device does, and so that long messages need not go there.
        let digest = digest(hash, message).as_ref().to_vec();
        self.device.ask(Task::Sign(self.number, digest))
    }

    /// Under which number the device has it.
    #[must_use]
    pub fn number(&self) -> KeyNumber {
        self.number
    }

    /// What it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key field of DNSKEY.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// The DNSKEY that announces it.
    #[must_use]
    pub fn dnskey(&self, role: Role) -> Dnskey {
        Dnskey { flags: role.flags(), algorithm: self.algorithm.number(), public: self.public.clone() }
    }
}

/// Shows the number, which is no secret.
impl fmt::Debug for HeldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldKey").field("algorithm", &self.algorithm).field("number", &self.number).finish()
    }
}

/// As the tools of devices write it.
impl fmt::Display for KeyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// As [`fmt::Display`].
impl fmt::Debug for KeyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Shows nothing.
impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").finish_non_exhaustive()
    }
}

/// Waits for a while, or until a device is of no use any more; what is asked for meanwhile is refused. Whether to go on.
fn rest(jobs: &Receiver<Job>, pause: Duration, cause: &str) -> bool {
    let end = Instant::now() + pause;
    loop {
        match jobs.recv_deadline(end) {
            Ok(job) => drop(job.answer(Err(DeviceError::Away(cause.to_owned())))),
            Err(channel::RecvTimeoutError::Timeout) => return true,
            Err(channel::RecvTimeoutError::Disconnected) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long an answer is awaited here.
    const PATIENCE: Duration = Duration::from_millis(100);

    /// Asks again and again until the answer is good.
    fn until(what: &str, mut ask: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        while !ask() {
            assert!(Instant::now() < end, "{what}");
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_is_late_stays_in_trouble_until_it_answers_in_time() {
        let (device, fake) = Fake::start(PATIENCE);
        let device = Arc::new(device);
        let key = device.generate(KeyNumber::fresh(), Algorithm::EcdsaP256Sha256, "x").unwrap();
        key.sign(b"in time").unwrap();
        fake.delay(3 * PATIENCE);
        assert!(key.sign(b"too late").unwrap_err().to_string().contains("does not answer"));
        let before = fake.done();
        // Late answers come, and each asks for another one.
        for late in 1..4 {
            until("it goes on", || fake.done() >= before + late);
            assert!(device.trouble().is_some(), "a late answer is no good sign");
        }
        let begun = Instant::now();
        key.sign(b"at once").unwrap_err();
        assert!(begun.elapsed() < PATIENCE, "nobody waits any more");
        assert!(device.counts().failures >= 3);
        fake.delay(Duration::ZERO);
        until("it is well again", || device.trouble().is_none());
        key.sign(b"in time").unwrap();
    }

    #[test]
    fn an_answer_in_time_ends_the_trouble_also_if_it_is_a_refusal() {
        let (device, fake) = Fake::start(PATIENCE);
        let (device, number) = (Arc::new(device), KeyNumber([7; 16]));
        fake.delay(3 * PATIENCE);
        assert!(matches!(device.key(number, Algorithm::EcdsaP256Sha256), Err(DeviceError::Away(_))));
        assert!(device.trouble().is_some());
        fake.delay(Duration::ZERO);
        until("it is well again", || device.trouble().is_none());
        assert_eq!(device.key(number, Algorithm::EcdsaP256Sha256).unwrap_err(), DeviceError::NoKey(number));
    }

    #[test]
    fn whoever_drops_a_device_that_is_late_does_not_wait_for_its_next_attempt() {
        let patience = Duration::from_secs(2);
        let (device, fake) = Fake::start(patience);
        let device = Arc::new(device);
        let key = device.generate(KeyNumber::fresh(), Algorithm::EcdsaP256Sha256, "x").unwrap();
        fake.delay(patience + PATIENCE);
        key.sign(b"too late").unwrap_err();
        // The late answer is there, and the next attempt is late too: the thread rests.
        let before = fake.done();
        until("it is asked again", || fake.done() > before + 1);
        let begun = Instant::now();
        drop(key);
        drop(device);
        assert!(begun.elapsed() < patience, "{:?}", begun.elapsed());
    }

    #[test]
    fn a_key_that_nobody_waited_for_does_not_stay() {
        let (device, fake) = Fake::start(PATIENCE);
        let device = Arc::new(device);
        device.generate(KeyNumber::fresh(), Algorithm::EcdsaP256Sha256, "kept").unwrap();
        fake.delay(2 * PATIENCE);
        device.generate(KeyNumber::fresh(), Algorithm::EcdsaP256Sha256, "late").unwrap_err();
        fake.delay(Duration::ZERO);
        until("it is well again", || device.trouble().is_none());
        until("it is destroyed", || fake.done() >= 3 && fake.keys() == 1);
    }

    #[test]
    fn what_is_away_is_not_there_because_something_was_in_time() {
        let health = Health::new(PATIENCE);
        assert!(health.lost("unplugged".into()) && !health.lost("unplugged".into()));
        assert!(!health.late() && !health.in_time());
        assert_eq!(health.trouble().unwrap(), "unplugged");
        assert!(health.found() && health.late() && !health.late());
        assert!(health.is_late() && health.in_time() && !health.in_time());
        assert!(health.late() && health.lost("unplugged".into()) && health.found());
        assert_eq!(health.trouble(), None);
    }
}
