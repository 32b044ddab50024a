//! RRSIG records: that each fits its RRset, key and time, and that none is missing or out of place.
//!
//! Chains of NSEC and NSEC3 are checked elsewhere, their signatures here. Invariant: an RRSIG has at most one finding, the
//! first that applies, so that one mistake is one line; only signatures that are right but for that are verified. Per
//! signature nothing is allocated unless there is a finding. RFC 4034 sections 3 and 6, RFC 4035 sections 2.2 and 5.3, RFC
//! 6840 section 5.

use std::borrow::Cow;
use std::collections::BTreeMap;

use snapshot::dns::name::NameRef;
use snapshot::dns::rdata::{self, canonical_rdata};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::Rrset;

use super::super::place::Place;
use super::super::{Findings, limits, line};
use super::crypto::Verdict;
use super::rdata::Rrsig;
use super::threads::by_blocks;
use super::{Signed, Spot, Standard, signatures_in};

/// Class IN, which all zones are of.
const CLASS_IN: [u8; 2] = [0, 1];

/// What the signatures came to that are good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// How many were verified now.
    pub(super) count: usize,
    /// How long the first of them to expire is valid yet; none if there are none.
    pub(super) remaining_secs_min: Option<u32>,
}

/// A set of algorithm numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Algorithms([u64; 4]);

/// What is known when signatures are looked at.
struct Context<'s, 'z> {
    /// The zone.
    signed: &'s Signed<'z>,
    /// The algorithms that each RRset must be signed with.
    algorithms: Algorithms,
    /// The canonical form of the apex, which all signers are.
    signer: Vec<u8>,
}

/// The walk over some owners.
struct Walk<'c, 'z> {
    /// What is known.
    context: &'c Context<'c, 'z>,
    /// What was found.
    findings: Findings,
    /// What was good.
    tally: Tally,
    /// Scratch space: what the signatures of one RRset are made over.
    message: Vec<u8>,
    /// Scratch space: the RDATA of one RRset.
    rdata: Vec<Cow<'z, [u8]>>,
}

/// Applies all rules about signatures.
pub(super) fn check(signed: &Signed<'_>, findings: &mut Findings) -> Tally {
    check_entry_points(signed, findings);
    let algorithms = algorithms_in_use(signed, findings);
    let context = Context { signed, algorithms, signer: signed.zone.apex().as_wire().to_ascii_lowercase() };
    let part = findings.part();
    let walks = by_blocks(&signed.spots, signed.measure.jobs, |spots| {
        let mut walk = Walk {
            context: &context,
            findings: part.part(),
            tally: Tally::default(),
            message: Vec::new(),
            rdata: Vec::new(),
        };
        for spot in spots {
            walk.visit(spot);
        }
        (walk.findings, walk.tally)
    });
    let mut tally = Tally::default();
    for (part, of_part) in walks {
        findings.absorb(part);
        tally.add(&of_part);
    }
    tally
}

/// If keys are marked as entry points for validators (RFC 4034 section 2.1.1), one of them must sign the DNSKEY RRset: the
/// DS at the parent are made of them. Of our own, one of each algorithm must, and the same goes for what the parent is
/// asked for (RFC 7344 section 4.1).
fn check_entry_points(signed: &Signed<'_>, findings: &mut Findings) {
    let Some(spot) = signed.spots.iter().find(|spot| spot.place == Place::Apex) else { return };
    let is_own = signed.measure.is_own();
    for rtype in [Rtype::DNSKEY, Rtype::CDS, Rtype::CDNSKEY].into_iter().take(if is_own { 3 } else { 1 }) {
        let by: Vec<(u8, u16)> =
            spot.signatures(rtype).map(|(_, signature)| (signature.algorithm, signature.key_tag)).collect();
        if is_own && by.is_empty() {
            // What is not signed at all is told as that.
            continue;
        }
        let mut groups: BTreeMap<u8, (u32, bool)> = BTreeMap::new();
        for (line, key) in signed.keys.entry_points() {
            let group = if is_own { key.algorithm } else { 0 };
            let (_, is_used) = groups.entry(group).or_insert((*line, false));
            *is_used |= by.contains(&(key.algorithm, key.tag()));
        }
        for (line, _) in groups.into_values().filter(|(_, is_used)| !is_used) {
            let apex = signed.zone.apex();
            let message = format!(
                "no key of {apex} with flag 257 signs the {rtype} records, so a DS of it proves nothing (RFC 4035 section \
                 5.2): sign them with it"
            );
            findings.insecure("entry-point-not-used", line, apex, message);
        }
    }
}

/// The algorithms that each RRset must be signed with. One that does not even sign the SOA is told once and then not
/// asked for.
fn algorithms_in_use(signed: &Signed<'_>, findings: &mut Findings) -> Algorithms {
    let apex = signed.zone.apex();
    let mut of_soa = Algorithms::default();
    if let Some(spot) = signed.spots.iter().find(|spot| spot.place == Place::Apex) {
        spot.signatures(Rtype::SOA).for_each(|(_, signature)| of_soa.insert(signature.algorithm));
    }
    let mut used = Algorithms::default();
    for algorithm in signed.keys.algorithms() {
        if of_soa.contains(algorithm) {
            used.insert(algorithm);
        } else if of_soa != Algorithms::default() {
            // Without any, the SOA is told to be unsigned, and so is all else.
            let line = signed.keys.line_of_algorithm(algorithm);
            let message = format!(
                "a DNSKEY of {apex} has algorithm {algorithm}, but the zone is not signed with it (RFC 4035 section 2.2): \
                 sign it with that too, or remove the key"
            );
            findings.insecure("algorithm-not-used", line, apex, message);
        }
    }
    used
}

impl Tally {
    /// Takes in a good signature, or those of a part.
    fn add(&mut self, other: &Tally) {
        self.count += other.count;
        let ends = self.remaining_secs_min.into_iter().chain(other.remaining_secs_min);
        self.remaining_secs_min = ends.min();
    }
}

impl Algorithms {
    /// Puts one in.
    fn insert(&mut self, algorithm: u8) {
        self.0[usize::from(algorithm >> 6)] |= 1 << (algorithm & 63);
    }

    /// Whether one is in it.
    fn contains(self, algorithm: u8) -> bool {
        self.0[usize::from(algorithm >> 6)] >> (algorithm & 63) & 1 == 1
    }

    /// Those that are not in `other`, ascending.
    fn without(self, other: Algorithms) -> impl Iterator<Item = u8> {
        let rest: [u64; 4] = std::array::from_fn(|idx| self.0[idx] & !other.0[idx]);
        let is_empty = rest == [0; 4];
        (0..=u8::MAX).take_while(move |_| !is_empty).filter(move |&algorithm| Algorithms(rest).contains(algorithm))
    }
}

impl<'z> Walk<'_, 'z> {
    /// Looks at one owner.
    fn visit(&mut self, spot: &Spot<'z>) {
        if spot.place == Place::Outside {
            return;
        }
        if self.context.signed.measure.is_own() {
            self.check_form(spot);
        }
        let rrsigs = spot.owner.rrset(Rtype::RRSIG);
        for rrset in spot.owner.rrsets().filter(|rrset| rrset.rtype() != Rtype::RRSIG) {
            if self.context.signed.owns(spot, rrset.rtype()) {
                self.rrset(spot, rrsigs, &rrset);
                self.alternatives(spot, rrset.rtype());
            }
        }
        if let Some(rrsigs) = rrsigs {
            self.check_covered(spot, &rrsigs);
        }
    }

    /// Looks at what may be answered in place of an RRset: each alternative must have what the RRset itself must have.
    fn alternatives(&mut self, spot: &Spot<'z>, rtype: Rtype) {
        let choice = self.context.signed.zone.choice(spot.name, rtype).into_iter();
        for owner in choice.flat_map(|choice| choice.alternatives()).filter_map(|one| one.zone.owner(spot.name)) {
            let spot = Spot { owner, name: spot.name, place: spot.place };
            let rrsigs = owner.rrset(Rtype::RRSIG);
            if let Some(rrset) = owner.rrset(rtype) {
                self.rrset(&spot, rrsigs, &rrset);
            }
            if let Some(rrsigs) = rrsigs {
                self.check_covered(&spot, &rrsigs);
            }
        }
    }

    /// What no zone file could bring in, because its reader refuses it.
    fn check_form(&mut self, spot: &Spot<'z>) {
        for rrset in spot.owner.rrsets().filter(|rrset| is_ours_to_make(rrset.rtype())) {
            let rtype = rrset.rtype();
            for record in rrset.records() {
                if let Err(cause) = rdata::check(rtype, record.rdata) {
                    let message = format!("{rtype} at {} is malformed: {cause}", spot.name);
                    self.findings.insecure("malformed", record.line, spot.name, message);
                }
            }
        }
    }

    /// Each signature covers what is there and may be signed.
    fn check_covered(&mut self, spot: &Spot<'z>, rrsigs: &Rrset<'z>) {
        let name = spot.name;
        // Types ascend, and so do those that signatures cover, with which their RDATA begin.
        let mut types = spot.owner.rrsets().map(|rrset| rrset.rtype()).peekable();
        for record in rrsigs.records() {
            let Some(covered) = Rrsig::read(record.rdata).map(|signature| signature.covered) else { continue };
            while types.next_if(|&rtype| rtype < covered).is_some() {}
            if types.peek() != Some(&covered) || covered == Rtype::RRSIG {
                let message = format!(
                    "RRSIG at {name} covers {covered}, which is not there (RFC 4035 section 2.2): remove the signature"
                );
                self.findings.insecure("rrsig-without-rrset", record.line, name, message);
            } else if !self.context.signed.owns(spot, covered) {
                let message = format!(
                    "RRSIG at {name} covers {covered}, which belongs to the delegated zone, is glue or hidden and must not \
                     be signed (RFC 4035 section 2.2): remove the signature"
                );
                self.findings.insecure("rrsig-on-glue", record.line, name, message);
            }
        }
    }

    /// Looks at the signatures of an RRset that must have them.
    fn rrset(&mut self, spot: &Spot<'z>, rrsigs: Option<Rrset<'z>>, rrset: &Rrset<'z>) {
        let (owner, rtype) = (spot.name, rrset.rtype());
        let mut algorithms = Algorithms::default();
        let mut count = 0;
        self.message.clear();
        for (record, signature) in signatures_in(rrsigs, rtype) {
            count += 1;
            algorithms.insert(signature.algorithm);
            let found = self.context.mistake(&signature, record.ttl_secs, owner, rrset);
            if let Some((code, message)) = found.or_else(|| self.verify(&signature, record.rdata, owner, rrset)) {
                self.findings.insecure(code, record.line, owner, message);
            }
        }
        if self.context.signed.measure.is_own() {
            self.check_amounts(count, owner, rrset);
        }
        let is_hidden = matches!(spot.place, Place::BelowDname(_));
        if count == 0 && !is_hidden {
            let message = format!("{rtype} at {owner} is not signed (RFC 4035 section 2.2): sign the zone again");
            return self.findings.insecure("missing-rrsig", line(rrset), owner, message);
        }
        for algorithm in self.context.algorithms.without(algorithms).filter(|_| !is_hidden) {
            let message = format!(
                "{rtype} at {owner} has no RRSIG of algorithm {algorithm}, which a DNSKEY has (RFC 4035 section 2.2): \
                 sign it with that too, or remove the key"
            );
            self.findings.insecure("missing-algorithm", line(rrset), owner, message);
        }
    }

    /// One TTL, and no more signatures than validators look at.
    fn check_amounts(&mut self, signature_count: usize, owner: NameRef<'_>, rrset: &Rrset<'_>) {
        let (rtype, ttl_secs) = (rrset.rtype(), rrset.ttl_secs());
        if let Some(other) = rrset.records().find(|record| record.ttl_secs != ttl_secs) {
            let message =
                format!("{rtype} at {owner} has TTLs {ttl_secs} and {} (RFC 2181 section 5.2)", other.ttl_secs);
            self.findings.insecure("ttl-mismatch", other.line, owner, message);
        }
        if signature_count > limits::SIGNATURES_MAX {
            let message =
                format!("{rtype} at {owner} has {signature_count} RRSIGs: validators give up on more than a few");
            self.findings.insecure("many-signatures", line(rrset), owner, message);
        }
    }

    /// Verifies one signature with each key that it can be by. A signature over the RRset that was verified before has
    /// left all but its own fields in `message`.
    fn verify(
        &mut self,
        signature: &Rrsig<'_>,
        rdata: &[u8],
        owner: NameRef<'_>,
        rrset: &Rrset<'z>,
    ) -> Option<(&'static str, String)> {
        let keys = self.context.signed.keys.of_signature(signature);
        if keys.is_empty() {
            return None;
        }
        let remaining_secs = signature.expiration.wrapping_sub(self.context.signed.measure.at);
        let good = Tally { count: 1, remaining_secs_min: Some(remaining_secs) };
        if self.context.was_good(signature, rdata, owner, rrset) {
            self.tally.add(&Tally { count: 0, ..good });
            return None;
        }
        if self.message.is_empty() {
            self.fill_message(signature, owner, rrset);
        } else {
            self.message[..signature.fixed.len()].copy_from_slice(signature.fixed);
        }
        let mut is_bad = false;
        // Keys that collide are warned about; here their number is bounded, as validators bound it.
        for key in keys.iter().take(2 * limits::COLLIDING_KEYS_MAX) {
            match key.public.verify(&self.message, signature.signature) {
                Verdict::Good => {
                    self.tally.add(&good);
                    return None;
                }
                Verdict::Bad => is_bad = true,
                Verdict::Unsupported(_) => {}
            }
        }
        is_bad.then(|| {
            let message = format!(
                "the RRSIG of {} at {owner} by key {} does not verify: the records changed after they were signed, or \
                 another key signed them (RFC 4035 section 5.3.3); sign again",
                signature.covered, signature.key_tag
            );
            ("bad-signature", message)
        })
    }

    /// Puts together the octets that a signature is made over (RFC 4034 section 3.1.8.1).
    fn fill_message(&mut self, signature: &Rrsig<'_>, owner: NameRef<'_>, rrset: &Rrset<'z>) {
        let rtype = rrset.rtype();
        self.rdata.clear();
        self.rdata.extend(rrset.records().map(|record| canonical_rdata(rtype, record.rdata)));
        // As they are given they are sorted and without duplicates.
        if self.rdata.iter().any(|rdata| matches!(rdata, Cow::Owned(_))) {
            self.rdata.sort_unstable();
            self.rdata.dedup();
        }
        self.message.extend_from_slice(signature.fixed);
        self.message.extend_from_slice(&self.context.signer);
        for rdata in &self.rdata {
            let owner_off = self.message.len();
            self.message.extend_from_slice(owner.as_wire());
            self.message[owner_off..].make_ascii_lowercase();
            self.message.extend_from_slice(&rtype.0.to_be_bytes());
            self.message.extend_from_slice(&CLASS_IN);
            self.message.extend_from_slice(&signature.original_ttl_secs.to_be_bytes());
            // RDATA of a zone never exceeds 65,535 octets.
            self.message.extend_from_slice(&u16::try_from(rdata.len()).unwrap_or(u16::MAX).to_be_bytes());
            self.message.extend_from_slice(rdata);
        }
    }
}

impl Context<'_, '_> {
    /// Whether a signature was verified before, over the same octets and by the only key that it can be by now.
    fn was_good(&self, signature: &Rrsig<'_>, rdata: &[u8], owner: NameRef<'_>, rrset: &Rrset<'_>) -> bool {
        let Some(before) = self.signed.before else { return false };
        let [key] = self.signed.keys.of_signature(signature) else { return false };
        let is_known = before.has_key(signature.algorithm, signature.key_tag, key.dnskey.rdata);
        is_known && before.has_signature(owner, rrset, rdata)
    }

    /// What is wrong with a signature before any cryptography.
    fn mistake(
        &self,
        signature: &Rrsig<'_>,
        ttl_secs: u32,
        owner: NameRef<'_>,
        rrset: &Rrset<'_>,
    ) -> Option<(&'static str, String)> {
        let Rrsig { covered, algorithm, key_tag, signer, labels, .. } = *signature;
        let subject = || format!("RRSIG of {covered} at {owner} by key {key_tag}");
        let apex = self.signed.zone.apex();
        if signer != apex {
            let message = format!("{} names {signer} as signer, it must be {apex} (RFC 4035 section 5.3.1)", subject());
            return Some(("rrsig-signer", message));
        }
        let label_count = owner.label_count() - usize::from(owner.is_wildcard());
        if usize::from(labels) != label_count {
            let message =
                format!("{} counts {labels} labels, the owner has {label_count} (RFC 4034 section 3.1.3)", subject());
            return Some(("rrsig-labels", message));
        }
        if let Some(found) = ttl_mistake(signature, ttl_secs, rrset, &subject) {
            return Some(found);
        }
        if let Some(found) = self.time_mistake(signature, &subject) {
            return Some(found);
        }
        if self.signed.keys.is_empty() {
            // That there are no keys is said once.
            return None;
        }
        let keys = self.signed.keys.of_signature(signature);
        let may_sign = keys.iter().any(|key| !key.dnskey.is_revoked() || covered == Rtype::DNSKEY);
        (!may_sign).then(|| {
            let message = format!(
                "{}, algorithm {algorithm}, fits no DNSKEY that may sign it (RFC 4035 section 5.3.1): sign with a key of \
                 the zone, or publish that key",
                subject()
            );
            ("rrsig-without-key", message)
        })
    }

    /// A signature that is not valid at the time in question (RFC 4034 section 3.1.5), or not for long.
    fn time_mistake(&self, signature: &Rrsig<'_>, subject: &dyn Fn() -> String) -> Option<(&'static str, String)> {
        let Rrsig { expiration, inception, .. } = *signature;
        let at = self.signed.measure.at;
        let message =
            |what: &str| format!("{} {what} (RFC 4034 section 3.1.5): sign again, or look at the clock", subject());
        if is_after(inception, expiration) {
            Some(("rrsig-times", message("ends before it begins")))
        } else if is_after(at, expiration) {
            let hours = at.wrapping_sub(expiration) / 3600;
            Some(("rrsig-expired", message(&format!("has expired, {hours} hours ago"))))
        } else if is_after(inception, at) {
            let hours = inception.wrapping_sub(at) / 3600;
            Some(("rrsig-not-yet-valid", message(&format!("is not valid yet, only in {hours} hours"))))
        } else if let Standard::Own { remaining_secs_min } = self.signed.measure.standard
            && expiration.wrapping_sub(at) < remaining_secs_min
        {
            let [hours, hours_min] = [expiration.wrapping_sub(at), remaining_secs_min].map(|secs| secs / 3600);
            let what = format!("expires in {hours} hours, it must not within {hours_min}");
            Some(("rrsig-expires-soon", message(&what)))
        } else {
            None
        }
    }
}

/// A TTL that differs between a signature and what it covers.
fn ttl_mistake(
    signature: &Rrsig<'_>,
    ttl_secs: u32,
    rrset: &Rrset<'_>,
    subject: &dyn Fn() -> String,
) -> Option<(&'static str, String)> {
    let covered_secs = rrset.ttl_secs();
    let original_secs = signature.original_ttl_secs;
    if original_secs != covered_secs {
        let message = format!(
            "{} was made for TTL {original_secs}, the records have {covered_secs} (RFC 4034 section 3.1.4): sign again",
            subject()
        );
        return Some(("rrsig-original-ttl", message));
    }
    (ttl_secs != covered_secs).then(|| {
        let message = format!(
            "{} has TTL {ttl_secs}, the records have {covered_secs} (RFC 4034 section 3): make them equal",
            subject()
        );
        ("rrsig-ttl", message)
    })
}

/// Whether a signer adds records of this type, so that nobody else has looked at their form.
fn is_ours_to_make(rtype: Rtype) -> bool {
    matches!(
        rtype,
        Rtype::DNSKEY | Rtype::RRSIG | Rtype::NSEC | Rtype::NSEC3 | Rtype::NSEC3PARAM | Rtype::CDS | Rtype::CDNSKEY
    )
}

/// Whether `a` is later than `b`, as serial numbers (RFC 1982 section 3.2).
fn is_after(a: u32, b: u32) -> bool {
    let ahead = a.wrapping_sub(b);
    ahead != 0 && ahead < 1 << 31
}
