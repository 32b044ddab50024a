//! The signer: takes a zone without DNSSEC records and gives it with keys, a chain of denial and signatures.
//!
//! It knows no SQL, no clock (the time comes with the plan) and no format of keys: it signs through [`Signer`]. What is
//! made depends on zone, plan and what was published before, on nothing else, so that equal input gives equal output if
//! the keys sign deterministically. [`sign`] does a whole zone; it is built on [`ZoneSigner`], which does one owner at a
//! time for whoever changes a few of many. Invariants: names below a zone cut or a DNAME get no signature and no place
//! in the chain; every signature is valid at the given time and ends when the plan says, or was published before and is
//! still as good; TTLs of an RRset are made equal. RFC 4034, 4035, 5155, 6840, 7344, 8078, 8976, 9077, 9276.

mod apex;
mod blocks;
mod choices;
mod hashes;
mod nsec3;
mod published;
mod rrsig;
mod set;
mod signer;
mod times;
mod whole;

use snapshot::dns::name::Name;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Zone, ZoneTooLarge};

pub use apex::{CDNSKEY_REMOVAL, CDS_REMOVAL, Rdatas, apex_sets, requests};
pub use hashes::{Hash, Hashes};
pub use published::{Before, Published};
pub use rrsig::{Made, MadeRecord};
pub use set::Set;
pub use signer::{Link, Node, Standing, ZoneSigner, hashed_types};
pub use times::Times;
pub use whole::sign;

/// Makes signatures with one key of a zone.
pub trait Signer: Send + Sync {
    /// Signs `message`; the signature is as RRSIG has it (RFC 3110 section 3, RFC 6605 section 4, RFC 8080 section 4).
    ///
    /// # Errors
    /// [`SignerError`] if the key cannot be used now.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError>;
}

/// Why a key did not sign, for people; no secret is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SignerError(pub String);

/// A key of the zone that signs.
#[derive(Clone, Copy)]
pub struct Key<'k> {
    /// RDATA of its DNSKEY.
    pub dnskey: &'k [u8],
    /// Whether that is published: while the algorithm changes, some keys sign the zone that are not, not yet or no longer
    /// (RFC 6781 section 4.1.4).
    pub is_announced: bool,
    /// The tag of that (RFC 4034 appendix B).
    pub tag: u16,
    /// The algorithm of that.
    pub algorithm: u8,
    /// Whether it signs the RRsets that the parent zone looks at: DNSKEY, CDS and CDNSKEY.
    pub signs_keys: bool,
    /// Whether it signs all others.
    pub signs_zone: bool,
    /// What makes its signatures.
    pub signer: &'k dyn Signer,
}

/// How the zone proves what does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// By names (RFC 4034).
    Nsec,
    /// By hashes of names, without iterations and salt (RFC 9276 section 3.1).
    Nsec3 {
        /// Whether delegations without DS are left out (RFC 5155 section 6).
        opt_out: bool,
    },
}

/// What the parent zone is asked for, by CDS with digests of type 2 and 4 and by CDNSKEY. Records of either type that the
/// zone has itself are kept beside it; a removal among them stands for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announce<'p> {
    /// For nothing but what the zone has itself.
    Nothing,
    /// For DS of these keys, given as RDATA of DNSKEY (RFC 7344).
    Keys(&'p [&'p [u8]]),
    /// To remove all DS (RFC 8078 section 4).
    Removal,
}

/// How a zone is signed.
#[derive(Clone, Copy)]
pub struct Plan<'p> {
    /// The keys that sign.
    pub keys: &'p [Key<'p>],
    /// RDATA of further DNSKEY: those that do not sign yet or no more, or are of other signers (RFC 8901). DNSKEY records
    /// that the zone has are published as well.
    pub extra_dnskeys: &'p [Vec<u8>],
    /// What the parent zone is asked for.
    pub announce: Announce<'p>,
    /// How non-existence is proven.
    pub denial: Denial,
    /// How long signatures last.
    pub times: Times,
    /// TTL of DNSKEY, CDS, CDNSKEY and NSEC3PARAM.
    pub keys_ttl_secs: u32,
    /// Whether the zone gets a digest of itself (RFC 8976). One that is in the zone already is of the zone without
    /// signatures and is left out either way.
    pub zonemd: bool,
}

/// A zone that is signed.
#[must_use]
pub struct Signed {
    /// All records. Line numbers are gone; records outside of the zone and copies that differ only in the case of names
    /// are, too.
    pub zone: Zone,
    /// How many signatures were made.
    pub made: usize,
    /// How many were published before.
    pub reused: usize,
    /// When the first of them ends, in seconds since 1970.
    pub earliest_expiry_unix_secs: u64,
}

/// Why a zone is not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Negative answers have no TTL.
    #[error("{0} has no SOA record")]
    NoSoa(Name),
    /// The zone was signed before: what it says of itself would be lost without a word.
    #[error("{owner} has {rtype}, which signing makes: take it out of the zone first")]
    AlreadySigned {
        /// Whose record.
        owner: Name,
        /// RRSIG, NSEC, NSEC3 or NSEC3PARAM.
        rtype: Rtype,
    },
    /// Some RRsets would have no signature.
    #[error("no key signs {0}")]
    NoKey(&'static str),
    /// A key is not what the plan says.
    #[error(
        "the DNSKEY record of key {tag}, algorithm {algorithm}, is not of a zone's key with that tag and algorithm"
    )]
    KeyMismatch {
        /// Its tag by the plan.
        tag: u16,
        /// Its algorithm by the plan.
        algorithm: u8,
    },
    /// Nobody could verify what it signs, for it is by no key of the set.
    #[error("key {tag} signs the DNSKEY records without being among them")]
    NotAnnounced {
        /// Its tag.
        tag: u16,
    },
    /// Validators try all keys of a tag and give up early: tags must tell keys apart.
    #[error("two keys of algorithm {algorithm} have the tag {tag}: make another one")]
    TagCollision {
        /// The tag.
        tag: u16,
        /// The algorithm.
        algorithm: u8,
    },
    /// The times cannot be written or contradict each other.
    #[error("signatures cannot have these times: {0}")]
    Times(&'static str),
    /// No NSEC3 proves anything about either name (RFC 5155 section 7.1): use NSEC.
    #[error("two names of the zone have the NSEC3 hash {0}")]
    HashCollision(String),
    /// Hashed owners would be longer than names can be: use NSEC.
    #[error("{0} is too long for NSEC3")]
    ApexTooLong(Name),
    /// A key did not sign.
    #[error("signing {rtype} at {owner} with key {tag}: {cause}")]
    Signer {
        /// Owner of the RRset.
        owner: Name,
        /// Its type.
        rtype: Rtype,
        /// The key.
        tag: u16,
        /// What it says.
        cause: SignerError,
    },
    /// Too many records.
    #[error(transparent)]
    TooLarge(#[from] ZoneTooLarge),
}
