//! How long signing will take, told from how long it took: what decides whether others' writes can wait for it.
//!
//! For each algorithm one estimate of single signatures, one of those that are made in bulk, and one where a device has the key.
//! Invariants: no device is asked for an estimate; one long signature, which may be that of a core that was taken away, no more
//! than doubles it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Dnssec, fresh_since};
use crate::keys::{Algorithm, KeyNumber, Role};
use crate::roll;
use crate::store::DomainId;
use crate::store::keys::StoredKey;

/// What share of the difference an estimate rises by.
const RISE_SHARE: u64 = 2;
/// The same when it falls: what was slow may be so again.
const FALL_SHARE: u64 = 16;
/// What a signature of a device takes until it is known, in nanoseconds: some take a fiftieth of that, some ten times as much.
const DEVICE_NS: u64 = 5_000_000;
/// Signatures of a zone without records: SOA, NS, DNSKEY, CDS, CDNSKEY, NSEC or NSEC3, and NSEC3PARAM.
const APEX_COUNT: u64 = 7;
/// Signatures of an RRset, with what denies other types at its owner.
const RRSET_COUNT: u64 = 2;
/// Signatures that change with an owner: its RRset, its denial, and that of the name before it, unless the owner stays.
const OWNER_COUNT: u64 = 3;
/// Signatures of a key that signs nothing but keys: DNSKEY, CDS and CDNSKEY.
const KEYS_COUNT: u64 = 3;

/// What is to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A zone as a whole.
    Zone {
        /// How many RRsets it has, alternatives counted too.
        rrsets: u64,
        /// How many owners changed since it was signed last; `None` if that may be all of them.
        changed: Option<usize>,
    },
    /// These owners, in an overlay.
    Owners(usize),
}

/// A moving estimate in nanoseconds.
#[derive(Debug)]
struct Estimate(AtomicU64);

impl Estimate {
    /// Takes in how long it took this time. Of two threads that do so at once one may be overheard.
    fn learn(&self, taken: Duration) {
        let (taken, before) = (nanoseconds(taken), self.0.load(Ordering::Relaxed));
        let after = if taken > before {
            before.saturating_add((taken - before) / RISE_SHARE).min(before.saturating_mul(2))
        } else {
            before - (before - taken) / FALL_SHARE
        };
        self.0.store(after.max(1), Ordering::Relaxed);
    }

    /// The estimate.
    fn ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Who makes a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hand {
    /// We, one at a time.
    Single,
    /// We, many.
    Bulk,
    /// A device.
    Device,
}

/// How long one algorithm takes.
#[derive(Debug)]
struct Efforts {
    /// A signature with a key in our memory.
    single: Estimate,
    /// The same where there are many.
    bulk: Estimate,
    /// One with a key in a device.
    device: Estimate,
    /// Verifying one.
    verified: Estimate,
}

/// How long all of them take.
#[derive(Debug)]
pub(super) struct Measured([Efforts; Algorithm::ALL.len()]);

impl Default for Measured {
    /// As measured on some machine of 2024, until this one is known.
    fn default() -> Measured {
        Measured(Algorithm::ALL.map(|algorithm| {
            let (single, bulk, verified) = match algorithm {
                Algorithm::RsaSha256 => (1_000_000, 1_000_000, 40_000),
                Algorithm::EcdsaP256Sha256 => (100_000, 30_000, 80_000),
                Algorithm::EcdsaP384Sha384 => (1_000_000, 400_000, 400_000),
                Algorithm::Ed25519 => (50_000, 50_000, 80_000),
            };
            let [single, bulk, device, verified] =
                [single, bulk, DEVICE_NS, verified].map(|ns| Estimate(AtomicU64::new(ns)));
            Efforts { single, bulk, device, verified }
        }))
    }
}

impl Measured {
    /// Notes how long a signature took.
    pub(super) fn signed(&self, algorithm: Algorithm, hand: Hand, taken: Duration) {
        self.signature(algorithm, hand).learn(taken);
    }

    /// Notes how long it took to verify so many signatures.
    pub(super) fn verified(&self, algorithm: Algorithm, count: usize, taken: Duration) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if let Some(each) = taken.checked_div(count) {
            self.of(algorithm).verified.learn(each);
        }
    }

    /// What is known of a signature.
    fn signature(&self, algorithm: Algorithm, hand: Hand) -> &Estimate {
        let efforts = self.of(algorithm);
        match hand {
            Hand::Single => &efforts.single,
            Hand::Bulk => &efforts.bulk,
            Hand::Device => &efforts.device,
        }
    }

    /// What is known of an algorithm.
    fn of(&self, algorithm: Algorithm) -> &Efforts {
        let [rsa, p256, p384, ed25519] = &self.0;
        match algorithm {
            Algorithm::RsaSha256 => rsa,
            Algorithm::EcdsaP256Sha256 => p256,
            Algorithm::EcdsaP384Sha384 => p384,
            Algorithm::Ed25519 => ed25519,
        }
    }
}

impl Dnssec {
    /// How long one thread may take to sign this of a domain with its keys, and to have the gate verify that.
    #[must_use]
    pub fn effort(&self, domain: DomainId, keys: &[StoredKey], work: Work) -> Duration {
        let whole = |rrsets: u64| RRSET_COUNT.saturating_mul(rrsets).saturating_add(APEX_COUNT);
        let few = |owners: usize| {
            OWNER_COUNT.saturating_mul(u64::try_from(owners).unwrap_or(u64::MAX)).saturating_add(APEX_COUNT)
        };
        let (count, own) = match work {
            Work::Owners(owners) => (few(owners), Hand::Single),
            // What is remembered is neither signed nor verified again.
            Work::Zone { rrsets, changed: Some(owners) } if self.remembers(domain) => {
                (few(owners).min(whole(rrsets)), Hand::Single)
            }
            Work::Zone { rrsets, .. } => (whole(rrsets), Hand::Bulk),
        };
        let each = keys.iter().filter_map(|key| {
            let duties = roll::duties(key.key.state, Role::from_name(&key.key.role)?);
            let algorithm = Algorithm::from_number(key.key.algorithm)?;
            let hand = KeyNumber::from_kept(&key.key.sealed).map_or(own, |_| Hand::Device);
            let signature = self.measured.signature(algorithm, hand).ns();
            let each = signature.saturating_add(self.measured.of(algorithm).verified.ns());
            if duties.signs_zone {
                Some(each.saturating_mul(count))
            } else {
                duties.signs_keys.then(|| each.saturating_mul(KEYS_COUNT.min(count)))
            }
        });
        Duration::from_nanos(each.fold(0, u64::saturating_add))
    }

    /// Whether signatures of a domain are remembered that may still be used.
    pub fn remembers(&self, domain: DomainId) -> bool {
        let Ok(now) = self.clock.trusted() else { return false };
        self.remembered_since(domain).is_some_and(|since| since >= fresh_since(domain, now.unix_secs()))
    }
}

/// A duration in nanoseconds.
fn nanoseconds(taken: Duration) -> u64 {
    u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_rises_within_a_few_signatures_and_falls_within_some_dozens() {
        let estimate = Estimate(AtomicU64::new(100_000));
        estimate.learn(Duration::from_secs(3));
        assert_eq!(estimate.ns(), 200_000, "once may be chance");
        (0..10).for_each(|_| estimate.learn(Duration::from_millis(50)));
        assert!((40_000_000..=50_000_000).contains(&estimate.ns()), "{}", estimate.ns());
        (0..100).for_each(|_| estimate.learn(Duration::from_micros(100)));
        assert!(estimate.ns() < 250_000, "{}", estimate.ns());
        (0..1000).for_each(|_| estimate.learn(Duration::ZERO));
        estimate.learn(Duration::from_millis(1));
        assert!(estimate.ns() > 0, "it can rise again");
    }

    #[test]
    fn each_kind_is_measured_by_itself() {
        let measured = Measured::default();
        let algorithm = Algorithm::EcdsaP384Sha384;
        let before = [Hand::Single, Hand::Bulk].map(|hand| measured.signature(algorithm, hand).ns());
        (0..20).for_each(|_| measured.signed(algorithm, Hand::Device, Duration::from_millis(80)));
        measured.verified(algorithm, 0, Duration::from_secs(1));
        assert!(measured.signature(algorithm, Hand::Device).ns() > 70_000_000);
        assert_eq!([Hand::Single, Hand::Bulk].map(|hand| measured.signature(algorithm, hand).ns()), before);
        measured.signed(algorithm, Hand::Bulk, Duration::from_secs(1));
        assert_eq!(measured.signature(algorithm, Hand::Single).ns(), before[0]);
        assert_eq!(measured.signature(algorithm, Hand::Bulk).ns(), 2 * before[1]);
        assert_eq!(measured.signature(Algorithm::Ed25519, Hand::Device).ns(), DEVICE_NS);
    }
}
