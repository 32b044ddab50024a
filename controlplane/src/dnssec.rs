//! A domain's keys, and its zone signed with them: what connects rows, sealed keys, the signer and the gate.
//!
//! How to sign is `sign`'s, what keys are is `keys`'s, what is right is `check::dnssec`'s. Each domain has its own moments,
//! six days apart, from which on nothing older than them is used again, and at which all of it is signed anew, however often it
//! was edited; so signatures hold for 15 days at least. Invariants: secrets are opened here only; nothing leaves
//! signed that the gate has not passed, which verifies with another implementation than the one that signed.

mod effort;
mod kept;
mod objects;
mod opened;
mod packed;
mod remembered;
mod shown;

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use snapshot::dns::name::Name;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::Zone;
use tracing::error;

use crate::check::dnssec::Verifier;
use crate::check::dnssec::gate::{Gate, Passed, REMAINING_SECS_MIN, Refused};
use crate::clock::{Clock, Doubt, Trusted};
use crate::keys::{
    Algorithm, Binding, Device, DeviceError, Dnskey, KeyError, KeyPair, OpenError, Role, Seal, SealError,
    SealFileError, SigningKey,
};
use crate::roll::{self, Duties};
use crate::sign::{self, Announce, Before, Denial as Chain, Key, Plan, Published, SignError, Times};
use crate::store::domains::{Denial, Domain};
use crate::store::keys::{NewKey, State, StoredKey};
use crate::store::{DomainId, Store, StoreError};

pub use effort::Work;
pub use kept::{Kept, digest_of};
pub use shown::{ds_of, faults_of, requests_of, shown_key, shown_keys, wants_removal};

use effort::Measured;
use objects::Objects;
use opened::{InBulk, Opened};
use remembered::{REMEMBERED_ZONE_RECORDS_MAX, SignedZones};

/// For how long a signature holds, in seconds.
const VALIDITY_SECS: u32 = 21 * 86_400;
/// How far back it begins, in seconds: clocks of validators differ.
const INCEPTION_BACK_SECS: u32 = 3 * 3600;
/// How often all signatures of a domain are made anew, in seconds.
pub const PERIOD_SECS: u64 = 6 * 86_400;
/// TTL of DNSKEY, CDS, CDNSKEY and NSEC3PARAM in seconds, if nothing else is said.
const KEYS_TTL_SECS: u32 = 3600;
/// How many keys are made at most until one has a free tag; every other one would do if half of all tags were taken.
const DRAWS_MAX: usize = 64;
/// How many opened keys are remembered before all are forgotten.
const REMEMBERED_MAX: usize = 4096;
/// How long a signature takes to verify is learnt where there are so many.
const MEASURED_MIN: usize = 16;
/// A zone with more records is signed by several threads.
const BULK_RECORDS_MIN: usize = 1000;
/// How many domains lie between two that are signed anew at the same moment, were they made one after the other: a number
/// without a divisor in common with [`PERIOD_SECS`], so that all moments are taken.
pub const PHASE_STEP: u64 = 320_389;

/// Why a domain has no key, or its zone is not signed.
#[derive(Debug, thiserror::Error)]
pub enum DnssecError {
    /// Its name is none.
    #[error("{0} is not a name")]
    Name(String),
    /// A key cannot be made.
    #[error("no key can be made: {0}")]
    Make(#[from] KeyError),
    /// Another key has its tag.
    #[error("the zone has a key with tag {0} already: validators could mix them up")]
    TagTaken(u16),
    /// The device makes none.
    #[error("no key can be made: {0}")]
    Device(#[from] DeviceError),
    /// It cannot be noted that the device is to make one.
    #[error("no key can be made: {0}")]
    Store(#[from] StoreError),
    /// A key cannot be sealed.
    #[error("the new key cannot be sealed: {0}")]
    Seal(#[from] SealError),
    /// A key cannot be opened.
    #[error("{binding} cannot be opened: {cause}")]
    Open {
        /// Which one.
        binding: Binding,
        /// Why.
        cause: OpenError,
    },
    /// What is sealed is a key, but not the one that is announced.
    #[error("the sealed private key of {0} is that of another key with this tag: restore the database from a backup")]
    Other(Binding),
    /// A row has a key that we cannot use.
    #[error("key {tag} of {domain} has algorithm {algorithm}, role {role}: this version cannot sign with it")]
    Unknown {
        /// The domain.
        domain: String,
        /// The key.
        tag: u16,
        /// Its algorithm.
        algorithm: u8,
        /// Its role.
        role: String,
    },
    /// Nothing would be signed.
    #[error(
        "the database has no key that signs {0}: import its keys, or have its parent remove the DS records and end signing"
    )]
    NoKey(String),
    /// It cannot be signed.
    #[error("it cannot be signed: {0}")]
    Sign(#[from] SignError),
    /// The gate refused it.
    #[error("the gate refuses it: {0}")]
    Gate(#[from] Refused),
    /// Nobody knows what time it is.
    #[error(transparent)]
    Clock(#[from] Doubt),
}

impl DnssecError {
    /// Whether it can be over at any moment, and shows before anything was signed.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(
            self,
            DnssecError::Clock(_)
                | DnssecError::NoKey(_)
                | DnssecError::Open { .. }
                | DnssecError::Sign(SignError::Signer { .. })
        )
    }
}

/// What signs the domains of this installation.
pub struct Dnssec {
    /// What seals and opens keys.
    seal: Seal,
    /// What keeps new keys instead, if there is one.
    objects: Option<Objects>,
    /// Keys that were opened, by their number in the database.
    opened: Mutex<HashMap<i64, Arc<Opened>>>,
    /// Zones as they were signed last, for the signatures over what stays the same.
    signed: Mutex<SignedZones>,
    /// What tells the time.
    clock: Clock,
    /// When the first signature of zones ends that were signed since this was asked last.
    ends: Mutex<HashMap<DomainId, u64>>,
    /// TTL of DNSKEY and what goes with it.
    keys_ttl_secs: u32,
    /// How long signing takes.
    measured: Arc<Measured>,
}

impl std::fmt::Debug for Dnssec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dnssec").finish_non_exhaustive()
    }
}

impl Dnssec {
    /// With the secret in a file, which is made if it is not there. If keys were sealed with one before, nothing can be signed
    /// without that, but all else goes on.
    ///
    /// # Errors
    /// [`SealFileError`], with the remedy.
    pub fn open(seal: &Path, has_keys: bool) -> Result<Dnssec, SealFileError> {
        let seal = match Seal::from_file(seal) {
            Err(SealFileError::Missing { .. }) if !has_keys => Seal::create(seal)?,
            Err(missing @ SealFileError::Missing { .. }) => {
                error!("signed domains keep what is served, and their changes wait: {missing}");
                Seal::missing(missing.to_string())
            }
            found => found?,
        };
        let (opened, signed, ends) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (objects, clock) = (None, Clock::default());
        let measured = Arc::default();
        Ok(Dnssec { seal, objects, opened, signed, keys_ttl_secs: KEYS_TTL_SECS, clock, ends, measured })
    }

    /// With another TTL of DNSKEY, CDS, CDNSKEY and NSEC3PARAM.
    #[must_use]
    pub fn with_keys_ttl(self, keys_ttl_secs: u32) -> Dnssec {
        Dnssec { keys_ttl_secs, ..self }
    }

    /// The clock that signing goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// When the first signature ends, in seconds since 1970, of the zones that were signed whole since this was called last.
    /// Overlays are left out: what they are signed with was made after the same moment, see [`fresh_since`].
    pub fn take_ends(&self) -> Vec<(DomainId, u64)> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }

    /// The same, with new keys made in a device and kept there, and `store` to note which.
    #[must_use]
    pub fn with_device(self, device: Device, store: Arc<Store>) -> Dnssec {
        Dnssec { objects: Some(Objects::new(device, store)), ..self }
    }

    /// What keeps new keys, if it is a device.
    #[must_use]
    pub fn device(&self) -> Option<&Device> {
        self.objects.as_ref().map(|objects| &*objects.device)
    }

    /// How many times a key of no use could not be removed from the device since the start.
    #[must_use]
    pub fn removal_failures(&self) -> u64 {
        self.objects.as_ref().map_or(0, Objects::failures)
    }

    /// Removes some of the keys from the device that no domain has needed for `keep_us`, and that were made and came to no use
    /// an hour ago; how many are gone. Blocks, for seconds if the device is slow.
    ///
    /// # Errors
    /// [`StoreError`]; trouble with the device is none, and it is tried again.
    pub fn sweep_device(&self, now_us: i64, keep_us: i64) -> Result<usize, StoreError> {
        self.objects.as_ref().map_or(Ok(0), |objects| objects.sweep(now_us, keep_us))
    }

    /// A new key that signs everything of a domain, sealed or in the device. Who does not use it gives it back to [`Dnssec::discard`].
    ///
    /// # Errors
    /// [`DnssecError`].
    pub fn new_key(&self, domain: &str) -> Result<NewKey, DnssecError> {
        self.make_key(domain, Role::Csk, Algorithm::EcdsaP256Sha256, State::Active, &[])
    }

    /// A new key of a domain, sealed or in the device, with a tag that is none of these. Who does not use it gives it back to
    /// [`Dnssec::discard`]. Writes what a device is to make before it does, so that it blocks.
    ///
    /// # Errors
    /// [`DnssecError`].
    pub fn make_key(
        &self,
        domain: &str,
        role: Role,
        algorithm: Algorithm,
        state: State,
        taken: &[u16],
    ) -> Result<NewKey, DnssecError> {
        let mut latest = 0;
        for _ in 0..DRAWS_MAX {
            let key = match &self.objects {
                Some(objects) => objects.make(domain, (role, algorithm, state), self.clock.likely_us())?,
                None => self.sealed_key(domain, role, &KeyPair::generate(algorithm)?, state)?,
            };
            if !taken.contains(&key.tag) {
                return Ok(key);
            }
            latest = key.tag;
            self.discard(&key);
        }
        Err(DnssecError::TagTaken(latest))
    }

    /// A key of a domain that came from elsewhere, sealed.
    ///
    /// # Errors
    /// [`DnssecError::TagTaken`] if its tag is one of these.
    pub fn keep_key(
        &self,
        domain: &str,
        role: Role,
        pair: &KeyPair,
        state: State,
        taken: &[u16],
    ) -> Result<NewKey, DnssecError> {
        let key = self.sealed_key(domain, role, pair, state)?;
        if taken.contains(&key.tag) { Err(DnssecError::TagTaken(key.tag)) } else { Ok(key) }
    }

    /// A key for the database, sealed.
    fn sealed_key(&self, domain: &str, role: Role, pair: &KeyPair, state: State) -> Result<NewKey, DnssecError> {
        let binding = Binding::of(apex_of(domain)?, pair, role);
        let sealed = self.seal.seal(pair, &binding)?;
        Ok(new_key(&pair.dnskey(role), role, sealed, state))
    }

    /// Gives back a key of [`Dnssec::make_key`]: the device that has it removes it soon, unless a domain has it by now.
    pub fn discard(&self, key: &NewKey) {
        if let Some(objects) = &self.objects {
            objects.decline(key);
        }
    }

    /// Signs the zone of a domain with its keys, and has the gate judge it. Signatures over what stays the same are those of
    /// the zone as it was remembered, or else as it is `served`.
    ///
    /// # Errors
    /// [`DnssecError`]; what is published stays as it is then.
    pub fn sign(&self, zone: Zone, signatory: &Signatory, served: &dyn Published) -> Result<Signed, DnssecError> {
        let jobs = if zone.record_count_in_all() >= BULK_RECORDS_MIN {
            std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
        } else {
            NonZeroUsize::MIN
        };
        let before = self.recalled(signatory.domain);
        let published: &dyn Published = before.as_ref().map_or(served, |(before, _)| &**before);
        let is_sound = before.as_ref().is_none_or(|(_, is_intact)| *is_intact);
        let has_ns = has_ns(&zone);
        let sign = |plan: &Plan<'_>| sign::sign(&zone, plan, published, jobs);
        // Of a zone that is not remembered most is signed, but for what is read from what is served of a large one.
        let is_much = jobs.get() > 1 || before.is_none();
        let signed = if is_much { signatory.with_plan_in_bulk(sign) } else { signatory.with_plan(sign) }?;
        drop(zone);
        let is_rememberable = signed.zone.record_count_in_all() <= REMEMBERED_ZONE_RECORDS_MAX;
        let digest = is_rememberable.then(|| digest_of(&signed.zone));
        let since = Before::new(if is_sound { published } else { &() }, signed.zone.apex());
        let begun = Instant::now();
        let passed =
            signatory.judged(jobs, has_ns, |gate| gate.pass_since(&signed.zone, &since)).inspect_err(|_| {
                // A signature that was used again may be what is wrong: the next attempt does without.
                self.forget(signatory.domain);
            })?;
        // With several threads the time of one is not known; with several algorithms, nor is that of each; and of few signatures
        // most is the time of what else is looked at.
        if let (1, [(key, _)]) = (jobs.get(), &signatory.pens[..])
            && passed.signature_count >= MEASURED_MIN
        {
            self.measured.verified(key.pair.algorithm(), passed.signature_count, begun.elapsed());
        }
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.insert(signatory.domain, passed.earliest_expiry_unix_secs);
        Ok(Signed { zone: signed.zone, digest })
    }

    /// Opens what signs a domain, as it is now.
    ///
    /// # Errors
    /// [`DnssecError`] about its keys or the clock.
    pub fn signatory(&self, domain: &Domain, chain: Chain, keys: &[StoredKey]) -> Result<Signatory, DnssecError> {
        let now = self.clock.trusted()?;
        let (mut pens, mut others) = (Vec::new(), Vec::new());
        for key in keys {
            let (role, dnskey) = dnskey_of(key).ok_or_else(|| unknown(domain, key))?;
            let duties = roll::duties(key.key.state, role);
            if duties.signs_zone || duties.signs_keys {
                pens.push((self.opened(domain, key)?, duties));
            } else if duties.is_announced {
                others.push(dnskey.rdata());
            }
        }
        if pens.is_empty() {
            return Err(DnssecError::NoKey(domain.name.clone()));
        }
        let (domain, keys_ttl_secs) = (domain.id, self.keys_ttl_secs);
        let ends = keys.iter().any(|key| key.key.state == State::Ending);
        Ok(Signatory { domain, chain, pens, others, keys_ttl_secs, ends, now })
    }

    /// A key that can sign.
    fn opened(&self, domain: &Domain, stored: &StoredKey) -> Result<Arc<Opened>, DnssecError> {
        if let Some(opened) = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(&stored.id) {
            return Ok(Arc::clone(opened));
        }
        let NewKey { role, algorithm, tag, sealed, .. } = &stored.key;
        let role = Role::from_name(role).ok_or_else(|| unknown(domain, stored))?;
        let algorithm = Algorithm::from_number(*algorithm).ok_or_else(|| unknown(domain, stored))?;
        let binding = Binding { apex: apex_of(&domain.name)?, tag: *tag, algorithm };
        let device = self.objects.as_ref().map(|objects| &objects.device);
        let pair = SigningKey::open(sealed, &binding, &self.seal, device);
        let pair = pair.map_err(|cause| DnssecError::Open { binding: binding.clone(), cause })?;
        // One key in 65,536 has the same tag; parents and validators know the public one.
        if pair.public() != stored.key.public {
            return Err(DnssecError::Other(binding));
        }
        let rdata = pair.dnskey(role).rdata();
        let opened = Arc::new(Opened { pair, rdata, tag: *tag, measured: Arc::clone(&self.measured) });
        remember(&mut self.opened.lock().unwrap_or_else(PoisonError::into_inner), stored.id, Arc::clone(&opened));
        Ok(opened)
    }
}

/// A zone that was signed, and that the gate let pass.
pub struct Signed {
    /// The zone.
    pub zone: Zone,
    /// See [`digest_of`], as the gate was given it; `None` if the zone is too large to be remembered.
    digest: Option<blake3::Hash>,
}

/// What signs one domain at one time.
pub struct Signatory {
    /// The domain.
    domain: DomainId,
    /// How it denies.
    chain: Chain,
    /// The keys that sign, and what.
    pens: Vec<(Arc<Opened>, Duties)>,
    /// RDATA of DNSKEY of those that are announced and do not.
    others: Vec<Vec<u8>>,
    /// TTL of DNSKEY.
    keys_ttl_secs: u32,
    /// Whether the parent is asked to remove all DS.
    ends: bool,
    /// The time.
    now: Trusted,
}

impl Signatory {
    /// Hands the plan to whoever signs.
    pub fn with_plan<T>(&self, sign: impl FnOnce(&Plan<'_>) -> T) -> T {
        let keys: Vec<_> = self.pens.iter().map(|(key, duties)| key.plan(*duties, &**key)).collect();
        self.with_keys(&keys, sign)
    }

    /// As [`Signatory::with_plan`], for whoever has much to sign.
    fn with_plan_in_bulk<T>(&self, sign: impl FnOnce(&Plan<'_>) -> T) -> T {
        let pens: Vec<_> = self.pens.iter().map(|(key, duties)| (InBulk(key), *duties)).collect();
        let keys: Vec<_> = pens.iter().map(|(pen, duties)| pen.0.plan(*duties, pen)).collect();
        self.with_keys(&keys, sign)
    }

    /// Hands the plan with these keys to whoever signs.
    fn with_keys<T>(&self, keys: &[Key<'_>], sign: impl FnOnce(&Plan<'_>) -> T) -> T {
        let asked = self.dnskeys(|duties| duties.is_asked_for);
        sign(&Plan {
            keys,
            extra_dnskeys: &self.others,
            announce: if self.ends { Announce::Removal } else { Announce::Keys(&asked) },
            denial: self.chain,
            times: times(self.domain, self.now.unix_secs()),
            keys_ttl_secs: self.keys_ttl_secs,
            zonemd: false,
        })
    }

    /// Asks the gate about a zone or a part of one; `has_ns` if it names servers before it is signed.
    ///
    /// # Errors
    /// What the gate finds.
    pub fn gate(
        &self,
        jobs: NonZeroUsize,
        has_ns: bool,
        pass: impl FnOnce(&Gate<'_>) -> Result<Passed, Refused>,
    ) -> Result<(), Refused> {
        self.judged(jobs, has_ns, pass).map(drop)
    }

    /// As [`Signatory::gate`]; what the gate knows.
    fn judged(
        &self,
        jobs: NonZeroUsize,
        has_ns: bool,
        pass: impl FnOnce(&Gate<'_>) -> Result<Passed, Refused>,
    ) -> Result<Passed, Refused> {
        let gate = Gate {
            at_unix_secs: self.now.unix_secs(),
            remaining_secs_min: REMAINING_SECS_MIN,
            keys: &self.dnskeys(|duties| duties.signs_keys),
            unannounced: &self.dnskeys(|duties| !duties.is_announced),
            has_ns,
            verifier: Verifier::AwsLc,
            jobs,
        };
        pass(&gate)
    }

    /// How the domain denies.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// RDATA of DNSKEY of the keys that sign and do this besides.
    fn dnskeys(&self, does: impl Fn(&Duties) -> bool) -> Vec<&[u8]> {
        self.pens.iter().filter(|(_, duties)| does(duties)).map(|(key, _)| &*key.rdata).collect()
    }
}

/// Whether a zone names servers at its apex.
fn has_ns(zone: &Zone) -> bool {
    zone.owner(zone.apex()).is_some_and(|owner| owner.rrset(Rtype::NS).is_some())
}

/// Since when nothing older is used, at this time, both in seconds since 1970.
#[must_use]
pub fn fresh_since(domain: DomainId, now_unix_secs: u64) -> u64 {
    let phase = u64::try_from(domain.0).unwrap_or(0).wrapping_mul(PHASE_STEP) % PERIOD_SECS;
    now_unix_secs - (now_unix_secs + phase) % PERIOD_SECS
}

/// How a domain denies, if it is signed.
#[must_use]
pub fn chain_of(denial: Denial) -> Option<Chain> {
    match denial {
        Denial::Off => None,
        Denial::Nsec => Some(Chain::Nsec),
        Denial::Nsec3 => Some(Chain::Nsec3 { opt_out: false }),
        Denial::OptOut => Some(Chain::Nsec3 { opt_out: true }),
    }
}

/// How long the signatures of a domain last, and which of those before may stay.
fn times(domain: DomainId, now_unix_secs: u64) -> Times {
    let age_secs = now_unix_secs - fresh_since(domain, now_unix_secs);
    Times {
        now_unix_secs,
        validity_secs: VALIDITY_SECS,
        jitter_secs: 0,
        inception_back_secs: INCEPTION_BACK_SECS,
        refresh_secs: VALIDITY_SECS - u32::try_from(age_secs).unwrap_or(u32::MAX).clamp(1, VALIDITY_SECS),
    }
}

/// A key that we cannot use.
fn unknown(domain: &Domain, stored: &StoredKey) -> DnssecError {
    let (domain, role) = (domain.name.clone(), stored.key.role.clone());
    DnssecError::Unknown { domain, tag: stored.key.tag, algorithm: stored.key.algorithm, role }
}

/// The public half of a stored key, and what it is for.
fn dnskey_of(stored: &StoredKey) -> Option<(Role, Dnskey)> {
    let NewKey { role, algorithm, public, .. } = &stored.key;
    let role = Role::from_name(role)?;
    Some((role, Dnskey { flags: role.flags(), algorithm: *algorithm, public: public.clone() }))
}

/// A key for the database, whose secret is kept so.
fn new_key(dnskey: &Dnskey, role: Role, sealed: Vec<u8>, state: State) -> NewKey {
    let Dnskey { algorithm, public, .. } = dnskey;
    let (role, public) = (role.name().to_owned(), public.clone());
    NewKey { role, algorithm: *algorithm, tag: dnskey.tag(), public, sealed, state }
}

/// Keeps a value, and forgets all others if there are too many.
fn remember<K: Eq + Hash, V>(all: &mut HashMap<K, V>, key: K, value: V) {
    if all.len() >= REMEMBERED_MAX {
        all.clear();
    }
    all.insert(key, value);
}

/// The name of a domain.
fn apex_of(domain: &str) -> Result<Name, DnssecError> {
    Name::parse(format!("{domain}.").as_bytes(), None).map_err(|_| DnssecError::Name(domain.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_signed_anew_in_turn_and_nothing_is_older_than_the_period() {
        let now = 1_800_000_000;
        let mut moments: Vec<u64> = (1..=1000).map(|id| fresh_since(DomainId(id), now)).collect();
        assert!(moments.iter().all(|moment| *moment <= now && now - moment < PERIOD_SECS));
        moments.sort_unstable();
        let gaps = moments.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.max().unwrap() < 4 * PERIOD_SECS / 1000);
        let moment = fresh_since(DomainId(7), now);
        assert_eq!(fresh_since(DomainId(7), moment), moment);
        assert_eq!(fresh_since(DomainId(7), moment - 1), moment - PERIOD_SECS);
    }

    #[test]
    fn what_was_signed_since_the_moment_stays_and_lasts_for_fifteen_days() {
        let now = 1_800_000_000;
        for id in 1..100 {
            let since = fresh_since(DomainId(id), now);
            let times = times(DomainId(id), now);
            // Left of a signature that was made a second after the moment, and of one a second before.
            let left = |made: u64| u64::from(VALIDITY_SECS) - (now - made);
            assert!(now == since || left(since + 1) > u64::from(times.refresh_secs));
            assert!(left(since - 1) <= u64::from(times.refresh_secs));
            assert!(left(since) >= 15 * 86_400);
        }
    }
}
