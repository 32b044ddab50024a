//! Signatures over one RRset: made, or taken from what was published.
//!
//! It does not know which RRsets are signed, see `signer`. Invariant: what is taken covers the same octets, by the same
//! key, as what would be made, but for its times, which must be good enough. RFC 4034 sections 3 and 6.

use snapshot::dns::name::NameRef;
use snapshot::dns::rtype::Rtype;

use super::published::Previous;
use super::times::Window;
use super::{Key, Set, SignError};

/// Class IN, which all zones are of.
const CLASS_IN: [u8; 2] = [0, 1];
/// Where RRSIG has the algorithm.
const ALGORITHM_OFF: usize = 2;
/// Where it has the times: expiration, then inception.
const EXPIRATION_OFF: usize = 8;
/// Where it has the second of them.
const INCEPTION_OFF: usize = 12;
/// Where it has the tag of the key.
const TAG_OFF: usize = 16;
/// Where it has the signer.
const SIGNER_OFF: usize = 18;

/// Records that were made, in the order of their making.
#[derive(Debug, Default)]
pub struct Made {
    /// Their RDATA, one after the other.
    octets: Vec<u8>,
    /// Type, TTL, and where the RDATA ends.
    records: Vec<(Rtype, u32, usize)>,
    /// How many signatures are new.
    pub made: usize,
    /// How many were published before.
    pub reused: usize,
    /// When the first signature ends, in seconds since 1970.
    pub earliest_expiry: Option<u32>,
}

/// One record of [`Made`]; who owns it is known to whoever asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeRecord<'m> {
    /// The type.
    pub rtype: Rtype,
    /// TTL in seconds.
    pub ttl_secs: u32,
    /// RDATA.
    pub rdata: &'m [u8],
}

impl Made {
    /// The records.
    pub fn records(&self) -> impl Iterator<Item = MadeRecord<'_>> {
        let mut start = 0;
        self.records.iter().map(move |&(rtype, ttl_secs, end)| {
            let rdata = &self.octets[start..end];
            start = end;
            MadeRecord { rtype, ttl_secs, rdata }
        })
    }

    /// How many records.
    #[must_use]
    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// Counts the signatures of others as well; their records stay apart.
    pub(super) fn count(&mut self, other: &Made) {
        self.made += other.made;
        self.reused += other.reused;
        self.earliest_expiry = self.earliest_expiry.into_iter().chain(other.earliest_expiry).min();
    }

    /// Adds a record whose RDATA comes in parts.
    pub(super) fn push(&mut self, rtype: Rtype, ttl_secs: u32, rdata: &[&[u8]]) {
        rdata.iter().for_each(|part| self.octets.extend_from_slice(part));
        self.records.push((rtype, ttl_secs, self.octets.len()));
    }

    /// Adds a signature.
    fn push_signature(&mut self, ttl_secs: u32, rdata: &[&[u8]], expiration: u32) {
        self.push(Rtype::RRSIG, ttl_secs, rdata);
        self.earliest_expiry = Some(self.earliest_expiry.map_or(expiration, |earliest| earliest.min(expiration)));
    }
}

/// A key that signs, and whether published signatures with its tag can be by it.
#[derive(Clone, Copy)]
pub(super) struct Pen<'p> {
    /// The key.
    pub(super) key: Key<'p>,
    /// Whether the DNSKEY RRset that was published has it, and no other with its tag.
    pub(super) is_known: bool,
}

/// An RRset that is to be signed, with its surroundings.
pub(super) struct Task<'t> {
    /// The apex in canonical form, which is the name of the signer.
    pub(super) apex: NameRef<'t>,
    /// The owner.
    pub(super) owner: NameRef<'t>,
    /// The RRset.
    pub(super) set: &'t Set<'t>,
    /// What was published of the owner.
    pub(super) previous: &'t Previous,
    /// The times of new signatures.
    pub(super) window: &'t Window,
}

impl Task<'_> {
    /// Adds the signature of each key.
    ///
    /// # Errors
    /// [`SignError::Signer`].
    pub(super) fn sign<'p>(&self, pens: impl Iterator<Item = Pen<'p>>, made: &mut Made) -> Result<(), SignError> {
        let Task { apex, owner, set, previous, window } = *self;
        let canonical = set.canonical();
        let (mut message, head_len) = self.message(apex, &canonical);
        let is_as_before = previous.has(set, &canonical);
        for Pen { key, is_known } in pens {
            message[ALGORITHM_OFF] = key.algorithm;
            message[TAG_OFF..SIGNER_OFF].copy_from_slice(&key.tag.to_be_bytes());
            let head = &message[..head_len];
            if is_as_before
                && is_known
                && let Some((rdata, expiration)) = published(previous, set.ttl_secs, head, window)
            {
                made.push_signature(set.ttl_secs, &[rdata], expiration);
                made.reused += 1;
                continue;
            }
            let lower = &message[head_len..][..owner.as_wire().len()];
            let expiration = window.expiration(lower, set.rtype);
            message[EXPIRATION_OFF..INCEPTION_OFF].copy_from_slice(&expiration.to_be_bytes());
            message[INCEPTION_OFF..TAG_OFF].copy_from_slice(&window.inception.to_be_bytes());
            let signature = key.signer.sign(&message).map_err(|cause| SignError::Signer {
                owner: owner.to_name(),
                rtype: set.rtype,
                tag: key.tag,
                cause,
            })?;
            made.push_signature(set.ttl_secs, &[&message[..head_len], &signature], expiration);
            made.made += 1;
        }
        Ok(())
    }

    /// What is signed (RFC 4034 section 3.1.8.1), without times and key, and the length of its first part, which is RDATA
    /// of the RRSIG up to the signature.
    fn message(&self, apex: NameRef<'_>, rdatas: &[impl AsRef<[u8]>]) -> (Vec<u8>, usize) {
        let Task { owner, set, .. } = self;
        let rdata_len: usize = rdatas.iter().map(|rdata| rdata.as_ref().len() + 10 + owner.as_wire().len()).sum();
        let mut message = Vec::with_capacity(SIGNER_OFF + apex.as_wire().len() + rdata_len);
        let label_count = owner.label_count() - usize::from(owner.is_wildcard());
        message.extend_from_slice(&set.rtype.0.to_be_bytes());
        // A name has at most 127 labels.
        message.extend_from_slice(&[0, u8::try_from(label_count).unwrap_or(u8::MAX)]);
        message.extend_from_slice(&set.ttl_secs.to_be_bytes());
        message.resize(SIGNER_OFF, 0);
        message.extend_from_slice(apex.as_wire());
        let head_len = message.len();
        for rdata in rdatas {
            let (rdata, owner_off) = (rdata.as_ref(), message.len());
            message.extend_from_slice(owner.as_wire());
            message[owner_off..].make_ascii_lowercase();
            message.extend_from_slice(&set.rtype.0.to_be_bytes());
            message.extend_from_slice(&CLASS_IN);
            message.extend_from_slice(&set.ttl_secs.to_be_bytes());
            // RDATA of a zone never exceeds 65,535 octets.
            message.extend_from_slice(&u16::try_from(rdata.len()).unwrap_or(u16::MAX).to_be_bytes());
            message.extend_from_slice(rdata);
        }
        (message, head_len)
    }
}

/// The published signature that begins with `head`, but for its times, and may stay; of several the one that ends last.
fn published<'v>(previous: &'v Previous, ttl_secs: u32, head: &[u8], window: &Window) -> Option<(&'v [u8], u32)> {
    let fits = |(before_secs, rdata): (u32, &'v [u8])| {
        let is_same = before_secs == ttl_secs
            && rdata.len() > head.len()
            && rdata[..EXPIRATION_OFF] == head[..EXPIRATION_OFF]
            && rdata[TAG_OFF..head.len()] == head[TAG_OFF..];
        let time = |off: usize| rdata.get(off..)?.first_chunk::<4>().map(|octets| u32::from_be_bytes(*octets));
        let (expiration, inception) = (time(EXPIRATION_OFF)?, time(INCEPTION_OFF)?);
        (is_same && window.keeps(inception, expiration)).then_some((rdata, expiration))
    };
    previous.of_type(Rtype::RRSIG).filter_map(fits).max_by_key(|(_, expiration)| *expiration)
}
