//! The DNSKEY RRset: which keys there are and what they can do.
//!
//! Signatures are verified by `signatures`. Invariant: a key that may not sign zones is never found for a signature. RFC
//! 4034 section 2, RFC 5011, RFC 8624.

use std::collections::{BTreeMap, BTreeSet};

use snapshot::dns::name::NameRef;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::OwnerRecords;

use super::super::Findings;
use super::Verifier;
use super::crypto::PublicKey;
use super::rdata::{Dnskey, Rrsig};

/// The keys at the apex.
pub(super) struct Keys<'z> {
    /// All, with their lines.
    all: Vec<(u32, Dnskey<'z>)>,
    /// Those that may sign, by algorithm and tag, and those that do so without being there.
    signing: BTreeMap<(u8, u16), Vec<SigningKey<'z>>>,
}

/// A key that may sign.
pub(super) struct SigningKey<'z> {
    /// As it is published.
    pub(super) dnskey: Dnskey<'z>,
    /// As it verifies.
    pub(super) public: PublicKey<'z>,
}

impl<'z> Keys<'z> {
    /// Collects the keys at the apex.
    pub(super) fn of(apex: Option<&OwnerRecords<'z>>, verifier: Verifier) -> Keys<'z> {
        let records = apex.and_then(|apex| apex.rrset(Rtype::DNSKEY));
        let all: Vec<_> = records
            .into_iter()
            .flat_map(|rrset| rrset.records().collect::<Vec<_>>())
            .filter_map(|record| Some((record.line, Dnskey::read(record.rdata)?)))
            .collect();
        let mut signing: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (_, key) in all.iter().filter(|(_, key)| key.signs_zones()) {
            let public = PublicKey::read(key.algorithm, key.public_key, verifier);
            signing.entry((key.algorithm, key.tag())).or_default().push(SigningKey { dnskey: *key, public });
        }
        Keys { all, signing }
    }

    /// Adds keys that are not at the apex, for what they sign all the same.
    pub(super) fn add_unannounced(&mut self, rdatas: &[&'z [u8]], verifier: Verifier) {
        for dnskey in rdatas.iter().filter_map(|rdata| Dnskey::read(rdata)).filter(Dnskey::signs_zones) {
            let public = PublicKey::read(dnskey.algorithm, dnskey.public_key, verifier);
            self.signing.entry((dnskey.algorithm, dnskey.tag())).or_default().push(SigningKey { dnskey, public });
        }
    }

    /// All keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Dnskey<'z>> {
        self.all.iter().map(|(_, key)| key)
    }

    /// The keys that a DS is made of, with their lines.
    pub(super) fn entry_points(&self) -> impl Iterator<Item = &(u32, Dnskey<'z>)> {
        self.all.iter().filter(|(_, key)| key.is_entry_point())
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The keys that a signature can be by.
    pub(super) fn of_signature(&self, signature: &Rrsig<'_>) -> &[SigningKey<'z>] {
        self.signing.get(&(signature.algorithm, signature.key_tag)).map_or(&[], Vec::as_slice)
    }

    /// The algorithms that each RRset must be signed with (RFC 4035 section 2.2): those of the keys in use.
    pub(super) fn algorithms(&self) -> BTreeSet<u8> {
        let keys = self.iter().filter(|key| key.signs_zones());
        keys.filter(|key| !key.is_revoked()).map(|key| key.algorithm).collect()
    }

    /// The keys that nothing tells apart but trying them, as algorithm and tag.
    pub(super) fn collisions(&self) -> impl Iterator<Item = (u8, u16)> {
        self.signing.iter().filter(|(_, keys)| keys.len() > 1).map(|(by, _)| *by)
    }

    /// The line of the first key of an algorithm.
    pub(super) fn line_of_algorithm(&self, algorithm: u8) -> u32 {
        self.all.iter().find(|(_, key)| key.algorithm == algorithm).map_or(0, |(line, _)| *line)
    }

    /// Applies the rules about keys alone.
    pub(super) fn check(&self, apex: NameRef<'_>, findings: &mut Findings) {
        if self.is_empty() {
            let message = format!(
                "{apex} has signatures but no DNSKEY, so nobody can verify them (RFC 4035 section 2.1): add the keys"
            );
            return findings.insecure("no-dnskey", 0, apex, message);
        }
        if self.signing.is_empty() {
            let message = format!(
                "no DNSKEY of {apex} has flag 256 and protocol 3, so none may sign the zone (RFC 4034 section 2.1)"
            );
            findings.insecure("no-zone-key", self.all[0].0, apex, message);
        }
        for (line, key) in &self.all {
            self.check_key(*line, key, apex, findings);
        }
    }

    /// Applies the rules to one key.
    fn check_key(&self, line: u32, key: &Dnskey<'_>, apex: NameRef<'_>, findings: &mut Findings) {
        let (tag, algorithm) = (key.tag(), key.algorithm);
        if key.protocol != 3 {
            let message = format!(
                "DNSKEY {tag} of {apex} has protocol {}, it must have 3 (RFC 4034 section 2.1.2)",
                key.protocol
            );
            findings.insecure("dnskey-protocol", line, apex, message);
        }
        let len = key.public_key.len();
        let len_expected = match algorithm {
            13 => Some(64),
            14 => Some(96),
            15 => Some(32),
            16 => Some(57),
            _ => None,
        };
        if let Some(expected) = len_expected.filter(|&expected| expected != len) {
            let message = format!(
                "DNSKEY {tag} of {apex} has {len} octets of key, algorithm {algorithm} has {expected} (RFC 6605, RFC 8080)"
            );
            return findings.insecure("dnskey-length", line, apex, message);
        }
        if let PublicKey::Unsupported(reason) = PublicKey::read(algorithm, key.public_key, Verifier::Ring) {
            let message =
                format!("signatures by DNSKEY {tag} of {apex}, algorithm {algorithm}, are not verified: {reason}");
            findings.careless("key-not-verifiable", line, apex, message);
        } else if matches!(algorithm, 5 | 7) {
            let message = format!(
                "DNSKEY {tag} of {apex} signs with SHA-1, which is not recommended (RFC 8624 section 3.1): roll to algorithm 13"
            );
            findings.warning("weak-algorithm", line, apex, message);
        }
    }
}
