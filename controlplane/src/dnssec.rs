//! A domain's keys, and its zone signed with them: what connects rows, sealed keys, the signer and the gate.
//!
//! How to sign is `sign`'s, what keys are is `keys`'s, what is right is `check::dnssec`'s. Each domain has its own moments,
//! six days apart, from which on nothing older than them is used again, and at which all of it is signed anew, however often it
//! was edited; so signatures hold for 15 days at least. Invariants: secrets are opened here only; nothing leaves
//! signed that the gate has not passed, which verifies with another implementation than the one that signed.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use snapshot::dns::name::Name;
use snapshot::dns::zone::Zone;
use tracing::error;

use crate::check::dnssec::Verifier;
use crate::check::dnssec::gate::{Gate, Passed, REMAINING_SECS_MIN, Refused};
use crate::keys::{
    Algorithm, Binding, Dnskey, KeyError, KeyPair, OpenError, Role, Seal, SealError, SealFileError, Shown, shown,
};
use crate::sign::{self, Announce, Denial as Chain, Key, Plan, Published, SignError, Signer, SignerError, Times};
use crate::store::DomainId;
use crate::store::domains::{Denial, Domain};
use crate::store::keys::{NewKey, StoredKey};

/// For how long a signature holds, in seconds.
const VALIDITY_SECS: u32 = 21 * 86_400;
/// How far back it begins, in seconds: clocks of validators differ.
const INCEPTION_BACK_SECS: u32 = 3 * 3600;
/// How often all signatures of a domain are made anew, in seconds.
pub const PERIOD_SECS: u64 = 6 * 86_400;
/// TTL of DNSKEY, CDS, CDNSKEY and NSEC3PARAM in seconds.
const KEYS_TTL_SECS: u32 = 3600;
/// How many opened keys and signed zones are remembered before all are forgotten.
const REMEMBERED_MAX: usize = 4096;
/// A signed zone with more records is not remembered.
const REMEMBERED_RECORDS_MAX: usize = 512;
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
    /// It cannot be signed.
    #[error("it cannot be signed: {0}")]
    Sign(#[from] SignError),
    /// The gate refused it.
    #[error("the gate refuses it: {0}")]
    Gate(#[from] Refused),
}

/// What signs the domains of this installation.
pub struct Dnssec {
    /// What seals and opens keys.
    seal: Seal,
    /// Keys that were opened, by their number in the database.
    opened: Mutex<HashMap<i64, Arc<Opened>>>,
    /// Zones as they were signed last, for the signatures over what stays the same.
    signed: Mutex<HashMap<DomainId, Arc<Zone>>>,
}

impl std::fmt::Debug for Dnssec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dnssec").finish_non_exhaustive()
    }
}

/// A key that can sign.
struct Opened {
    /// The pair.
    pair: KeyPair,
    /// What it is for.
    role: Role,
    /// RDATA of its DNSKEY.
    rdata: Vec<u8>,
    /// The tag of that.
    tag: u16,
}

impl Signer for Opened {
    /// Deterministically, with the crate p256 where it can be: signing and ring's verification together take less than ring's
    /// signing and p256's verification, which is five times as slow.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.pair.sign(message).map_err(|error| SignerError(error.to_string()))
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
        Ok(Dnssec { seal, opened: Mutex::default(), signed: Mutex::default() })
    }

    /// A new key that signs everything of a domain, sealed.
    ///
    /// # Errors
    /// [`DnssecError`].
    pub fn new_key(&self, domain: &str) -> Result<NewKey, DnssecError> {
        let pair = KeyPair::generate(Algorithm::EcdsaP256Sha256)?;
        let (role, binding) = (Role::Csk, Binding::of(apex_of(domain)?, &pair, Role::Csk));
        let sealed = self.seal.seal(&pair, &binding)?;
        let algorithm = pair.algorithm().number();
        Ok(NewKey { role: role.name().to_owned(), algorithm, tag: binding.tag, public: pair.public().to_vec(), sealed })
    }

    /// Signs the zone of a domain with its keys, and has the gate judge it.
    ///
    /// # Errors
    /// [`DnssecError`]; what is published stays as it is then.
    pub fn sign(&self, zone: Zone, signatory: &Signatory) -> Result<Zone, DnssecError> {
        let jobs = if zone.record_count() >= BULK_RECORDS_MIN {
            std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
        } else {
            NonZeroUsize::MIN
        };
        let before = self.signed.lock().unwrap_or_else(PoisonError::into_inner).get(&signatory.domain).cloned();
        let published: &dyn Published = match &before {
            Some(before) => &**before,
            None => &(),
        };
        let signed = signatory.with_plan(|plan| sign::sign(&zone, plan, published, jobs))?;
        drop(zone);
        if let Err(refused) = signatory.gate(jobs, |gate| gate.pass(&signed.zone)) {
            // A signature that was used again may be what is wrong: the next attempt makes all of them anew.
            self.signed.lock().unwrap_or_else(PoisonError::into_inner).remove(&signatory.domain);
            return Err(refused.into());
        }
        Ok(signed.zone)
    }

    /// Opens what signs a domain, as it is at this time.
    ///
    /// # Errors
    /// [`DnssecError`] about its keys.
    pub fn signatory(
        &self,
        domain: &Domain,
        chain: Chain,
        keys: &[StoredKey],
        now_us: i64,
    ) -> Result<Signatory, DnssecError> {
        let opened = keys.iter().filter(|key| key.active).map(|key| self.opened(domain, key));
        let opened = opened.collect::<Result<Vec<_>, _>>()?;
        let others = keys.iter().filter(|key| !key.active).filter_map(dnskey_of).map(|(_, dnskey)| dnskey.rdata());
        let (others, now_unix_secs) = (others.collect(), u64::try_from(now_us / 1_000_000).unwrap_or(0));
        Ok(Signatory { domain: domain.id, chain, opened, others, now_unix_secs })
    }

    /// Remembers a zone that was signed, for the signatures over what stays the same.
    pub fn remember(&self, domain: DomainId, zone: Zone) {
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if zone.record_count() <= REMEMBERED_RECORDS_MAX {
            remember(&mut signed, domain, Arc::new(zone));
        } else {
            signed.remove(&domain);
        }
    }

    /// A key that can sign.
    fn opened(&self, domain: &Domain, stored: &StoredKey) -> Result<Arc<Opened>, DnssecError> {
        if let Some(opened) = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(&stored.id) {
            return Ok(Arc::clone(opened));
        }
        let NewKey { role, algorithm, tag, sealed, .. } = &stored.key;
        let unknown = || {
            let (domain, role) = (domain.name.clone(), role.clone());
            DnssecError::Unknown { domain, tag: *tag, algorithm: *algorithm, role }
        };
        let role = Role::from_name(role).ok_or_else(unknown)?;
        let algorithm = Algorithm::from_number(*algorithm).ok_or_else(unknown)?;
        let binding = Binding { apex: apex_of(&domain.name)?, tag: *tag, algorithm };
        let opened = self.seal.open(sealed, &binding);
        let pair = opened.map_err(|cause| DnssecError::Open { binding: binding.clone(), cause })?;
        // One key in 65,536 has the same tag; parents and validators know the public one.
        if pair.public() != stored.key.public {
            return Err(DnssecError::Other(binding));
        }
        let rdata = pair.dnskey(role).rdata();
        let opened = Arc::new(Opened { pair, role, rdata, tag: *tag });
        remember(&mut self.opened.lock().unwrap_or_else(PoisonError::into_inner), stored.id, Arc::clone(&opened));
        Ok(opened)
    }
}

/// What signs one domain at one time.
pub struct Signatory {
    /// The domain.
    domain: DomainId,
    /// How it denies.
    chain: Chain,
    /// The keys that sign.
    opened: Vec<Arc<Opened>>,
    /// RDATA of DNSKEY of those that do not.
    others: Vec<Vec<u8>>,
    /// The time, in seconds since 1970.
    now_unix_secs: u64,
}

impl Signatory {
    /// Hands the plan to whoever signs.
    pub fn with_plan<T>(&self, sign: impl FnOnce(&Plan<'_>) -> T) -> T {
        let keys: Vec<_> = self.opened.iter().map(|key| key.plan()).collect();
        sign(&Plan {
            keys: &keys,
            extra_dnskeys: &self.others,
            announce: Announce::Keys(&self.entries()),
            denial: self.chain,
            times: times(self.domain, self.now_unix_secs),
            keys_ttl_secs: KEYS_TTL_SECS,
            zonemd: false,
        })
    }

    /// Asks the gate.
    ///
    /// # Errors
    /// What the gate finds.
    pub fn gate(
        &self,
        jobs: NonZeroUsize,
        pass: impl FnOnce(&Gate<'_>) -> Result<Passed, Refused>,
    ) -> Result<(), Refused> {
        let gate = Gate {
            at_unix_secs: self.now_unix_secs,
            remaining_secs_min: REMAINING_SECS_MIN,
            keys: &self.entries(),
            verifier: Verifier::Ring,
            jobs,
        };
        pass(&gate).map(drop)
    }

    /// How the domain denies.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// RDATA of DNSKEY of the keys that the parent zone knows.
    fn entries(&self) -> Vec<&[u8]> {
        self.opened.iter().filter(|key| key.role != Role::Zsk).map(|key| &*key.rdata).collect()
    }
}

impl Opened {
    /// As the signer wants it.
    fn plan(&self) -> Key<'_> {
        Key {
            dnskey: &self.rdata,
            tag: self.tag,
            algorithm: self.pair.algorithm().number(),
            signs_keys: self.role != Role::Zsk,
            signs_zone: self.role != Role::Ksk,
            signer: self,
        }
    }
}

/// The keys of a domain as they are shown: ours, then the DNSKEY records of its owner.
#[must_use]
pub fn shown_keys(domain: &str, ours: &[StoredKey], theirs: &[&[u8]]) -> Vec<Shown> {
    let Ok(apex) = apex_of(domain) else { return Vec::new() };
    let ours: Vec<_> = ours.iter().filter_map(dnskey_of).collect();
    shown(apex.as_ref(), &ours, theirs)
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

/// The public half of a stored key, and what it is for.
fn dnskey_of(stored: &StoredKey) -> Option<(Role, Dnskey)> {
    let NewKey { role, algorithm, public, .. } = &stored.key;
    let role = Role::from_name(role)?;
    Some((role, Dnskey { flags: role.flags(), algorithm: *algorithm, public: public.clone() }))
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
