//! Keys that a device keeps: a hardware security module or the like, reached by its PKCS #11 module.
//!
//! What PKCS #11 calls a token is a device here, since tokens are those of the API. A thread of its own holds the module, so
//! that a device that hangs, or is taken away, holds up nobody for longer than [`PATIENCE`], and only once: from then on
//! whoever asks is refused at once, until the thread has the device again. Invariants: a secret key leaves the device never,
//! and what is kept of it here is its number; the PIN is in no log, error and argument; a PIN that was refused is not tried
//! again, for a device that counts would lock itself. OASIS PKCS #11 2.40.

mod crew;
mod session;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, Sender};
use ring::digest::{SHA256, SHA384, digest};
use tracing::warn;
use uuid::Uuid;

use super::{Algorithm, Dnskey, Role};

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

/// A device, as whoever signs sees it. Dropping it ends its thread.
pub struct Device {
    /// What it is to do.
    jobs: Sender<Job>,
    /// Whether it can be used.
    health: Arc<Health>,
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

/// What a device is asked for, and where its answer goes.
enum Job {
    /// A signature over a digest.
    Sign(KeyNumber, Vec<u8>, Sender<Answer>),
    /// The public key of a key, as DNSKEY has it.
    Public(KeyNumber, Algorithm, Sender<Answer>),
    /// A new key with this number and label; the answer is its public key.
    Generate(KeyNumber, String, Algorithm, Sender<Answer>),
    /// The removal of a key that was never used.
    Destroy(KeyNumber, Sender<Answer>),
}

/// What a device gives.
type Answer = Result<Vec<u8>, DeviceError>;

/// Whether a device can be used.
#[derive(Debug, Default)]
struct Health {
    /// Why not, if not.
    trouble: Mutex<Option<String>>,
}

impl Health {
    /// Why the device cannot be used, if so.
    fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that it can be used, or why not; whether that is news.
    fn set(&self, trouble: Option<String>) -> bool {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *known != trouble;
        *known = trouble;
        is_news
    }
}

impl Device {
    /// Begins to use a device. That it is away is no error: unsigned zones go on without it, and it may come.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(settings: DeviceSettings) -> std::io::Result<Device> {
        let (jobs, inbox) = channel::unbounded();
        let health = Arc::<Health>::default();
        let known = Arc::clone(&health);
        thread::Builder::new().name("device".into()).spawn(move || crew::keep(&settings, &inbox, &known))?;
        Ok(Device { jobs, health })
    }

    /// Why the device cannot be used, if so.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.health.trouble()
    }

    /// Makes a key in the device; `label` is for people who look into it.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn generate(self: &Arc<Device>, algorithm: Algorithm, label: &str) -> Result<HeldKey, DeviceError> {
        session::curve(algorithm).ok_or(DeviceError::Algorithm(algorithm))?;
        let number = KeyNumber(*Uuid::new_v4().as_bytes());
        let public = self.ask(|answer| Job::Generate(number, label.to_owned(), algorithm, answer))?;
        Ok(HeldKey { device: Arc::clone(self), number, algorithm, public })
    }

    /// The key with a number.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn key(self: &Arc<Device>, number: KeyNumber, algorithm: Algorithm) -> Result<HeldKey, DeviceError> {
        session::curve(algorithm).ok_or(DeviceError::Algorithm(algorithm))?;
        let public = self.ask(|answer| Job::Public(number, algorithm, answer))?;
        Ok(HeldKey { device: Arc::clone(self), number, algorithm, public })
    }

    /// Removes a key that came to no use.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn destroy(&self, number: KeyNumber) -> Result<(), DeviceError> {
        self.ask(|answer| Job::Destroy(number, answer)).map(drop)
    }

    /// Asks, and waits for the answer.
    fn ask(&self, job: impl FnOnce(Sender<Answer>) -> Job) -> Answer {
        if let Some(cause) = self.trouble() {
            return Err(DeviceError::Away(cause));
        }
        let (answer, answered) = channel::bounded(1);
        let gone = |cause: &str| DeviceError::Away(cause.to_owned());
        self.jobs.send(job(answer)).map_err(|_| gone("its thread has ended"))?;
        answered.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let cause = format!("it does not answer within {} seconds", PATIENCE.as_secs());
            if self.health.set(Some(cause.clone())) {
                warn!("signed zones cannot change: the device that keeps their keys cannot be used: {cause}");
            }
            Err(DeviceError::Away(cause))
        })
    }
}

impl Job {
    /// Gives the answer to whoever waits for it; they may have given up.
    fn answer(self, answer: Answer) {
        let (Job::Sign(.., to) | Job::Public(.., to) | Job::Generate(.., to) | Job::Destroy(_, to)) = self;
        to.send(answer).ok();
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
        self.device.ask(|answer| Job::Sign(self.number, digest, answer))
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
    let end = std::time::Instant::now() + pause;
    loop {
        match jobs.recv_deadline(end) {
            Ok(job) => job.answer(Err(DeviceError::Away(cause.to_owned()))),
            Err(channel::RecvTimeoutError::Timeout) => return true,
            Err(channel::RecvTimeoutError::Disconnected) => return false,
        }
    }
}
