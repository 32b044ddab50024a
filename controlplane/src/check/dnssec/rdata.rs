//! The RDATA of DNSSEC records, read field by field out of wire format.
//!
//! It judges nothing and verifies nothing. Invariant: readers get RDATA that the codec table accepted, and answer `None`
//! instead of guessing where it is short all the same. RFC 4034, 5155, 8976.

use std::fmt;

use snapshot::dns::name::NameRef;
use snapshot::dns::rtype::Rtype;

/// The DNSKEY flag of keys that sign zones (RFC 4034 section 2.1.1).
const FLAG_ZONE: u16 = 0x0100;
/// The DNSKEY flag of keys that are given up (RFC 5011 section 3).
const FLAG_REVOKED: u16 = 0x0080;
/// The DNSKEY flag of secure entry points (RFC 4034 section 2.1.1).
const FLAG_ENTRY_POINT: u16 = 0x0001;
/// The one protocol of DNSKEY (RFC 4034 section 2.1.2).
const PROTOCOL: u8 = 3;
/// The NSEC3 flag that lets insecure delegations be left out (RFC 5155 section 3.1.2.1).
const FLAG_OPT_OUT: u8 = 1;

/// A DNSKEY or CDNSKEY.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dnskey<'z> {
    /// The whole RDATA.
    pub(super) rdata: &'z [u8],
    /// Flags.
    pub(super) flags: u16,
    /// Protocol.
    pub(super) protocol: u8,
    /// Algorithm.
    pub(crate) algorithm: u8,
    /// Public key in the format of its algorithm.
    pub(super) public_key: &'z [u8],
}

/// An RRSIG.
#[derive(Clone, Copy)]
pub(in crate::check) struct Rrsig<'z> {
    /// The RDATA up to the signer: what is signed begins with it.
    pub(super) fixed: &'z [u8],
    /// The type it covers.
    pub(in crate::check) covered: Rtype,
    /// Algorithm.
    pub(super) algorithm: u8,
    /// Labels of the owner, the asterisk label not counted.
    pub(super) labels: u8,
    /// The TTL that was signed.
    pub(super) original_ttl_secs: u32,
    /// When it ends.
    pub(super) expiration: u32,
    /// When it begins.
    pub(super) inception: u32,
    /// Tag of the key.
    pub(super) key_tag: u16,
    /// Who signed.
    pub(super) signer: NameRef<'z>,
    /// The signature.
    pub(super) signature: &'z [u8],
}

/// A DS or CDS.
#[derive(Clone, Copy)]
pub(super) struct Ds<'z> {
    /// The whole RDATA.
    pub(super) rdata: &'z [u8],
    /// Tag of the key.
    pub(super) key_tag: u16,
    /// Algorithm of the key.
    pub(super) algorithm: u8,
    /// What the digest was made with.
    pub(super) digest_type: u8,
    /// The digest.
    pub(super) digest: &'z [u8],
}

/// An NSEC.
#[derive(Clone, Copy)]
pub(super) struct Nsec<'z> {
    /// The next owner.
    pub(super) next: NameRef<'z>,
    /// The types.
    pub(super) types: Bitmap<'z>,
}

/// What names are hashed with (RFC 5155 section 5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct HashParameters<'z> {
    /// Hash algorithm; 1 is SHA-1 and the only one.
    pub(super) algorithm: u8,
    /// Hashes after the first one.
    pub(super) iterations: u16,
    /// Salt.
    pub(super) salt: &'z [u8],
}

/// An NSEC3, or an NSEC3PARAM, which lacks the last two.
#[derive(Clone, Copy)]
pub(super) struct Nsec3<'z> {
    /// Flags.
    pub(super) flags: u8,
    /// How names are hashed.
    pub(super) parameters: HashParameters<'z>,
    /// The next hash.
    pub(super) next: &'z [u8],
    /// The types.
    pub(super) types: Bitmap<'z>,
}

/// A ZONEMD.
#[derive(Clone, Copy)]
pub(super) struct Zonemd<'z> {
    /// The SOA serial it was made for.
    pub(super) serial: u32,
    /// Scheme.
    pub(super) scheme: u8,
    /// Hash algorithm.
    pub(super) hash_algorithm: u8,
    /// The digest.
    pub(super) digest: &'z [u8],
}

/// A type bitmap (RFC 4034 section 4.1.2).
#[derive(Clone, Copy)]
pub(super) struct Bitmap<'z>(&'z [u8]);

/// Takes octets off the front.
struct Fields<'z>(&'z [u8]);

impl<'z> Fields<'z> {
    /// The next `N` octets.
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (octets, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*octets)
    }

    /// One octet.
    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[octet]| octet)
    }

    /// Two octets as a number.
    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four octets as a number.
    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A name.
    fn name(&mut self) -> Option<NameRef<'z>> {
        let name = NameRef::prefix_of(self.0).ok()?;
        self.0 = self.0.get(name.as_wire().len()..)?;
        Some(name)
    }

    /// Octets after a length octet.
    fn counted(&mut self) -> Option<&'z [u8]> {
        let len = usize::from(self.u8()?);
        let (octets, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(octets)
    }
}

impl<'z> Dnskey<'z> {
    /// Reads RDATA.
    pub(crate) fn read(rdata: &'z [u8]) -> Option<Dnskey<'z>> {
        let mut fields = Fields(rdata);
        let (flags, protocol, algorithm) = (fields.u16()?, fields.u8()?, fields.u8()?);
        Some(Dnskey { rdata, flags, protocol, algorithm, public_key: fields.0 })
    }

    /// The key tag (RFC 4034 appendix B). That of algorithm 1 differs, and nothing verifies it.
    pub(crate) fn tag(&self) -> u16 {
        let mut sum = 0u32;
        for pair in self.rdata.chunks(2) {
            let [high, low] = [pair[0], pair.get(1).copied().unwrap_or(0)];
            sum += u32::from(u16::from_be_bytes([high, low]));
        }
        let [_, _, high, low] = (sum + (sum >> 16)).to_be_bytes();
        u16::from_be_bytes([high, low])
    }

    /// Whether it may sign records of a zone.
    pub(crate) fn signs_zones(&self) -> bool {
        self.flags & FLAG_ZONE != 0 && self.protocol == PROTOCOL
    }

    /// Whether it is marked as what a DS is made of, and not given up.
    pub(super) fn is_entry_point(&self) -> bool {
        self.signs_zones() && self.flags & FLAG_ENTRY_POINT != 0 && !self.is_revoked()
    }

    /// Whether it was given up; it then signs the DNSKEY RRset only.
    pub(super) fn is_revoked(&self) -> bool {
        self.flags & FLAG_REVOKED != 0
    }
}

impl<'z> Rrsig<'z> {
    /// Reads RDATA.
    pub(in crate::check) fn read(rdata: &'z [u8]) -> Option<Rrsig<'z>> {
        let mut fields = Fields(rdata);
        let covered = Rtype(fields.u16()?);
        let (algorithm, labels) = (fields.u8()?, fields.u8()?);
        let (original_ttl_secs, expiration, inception) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let key_tag = fields.u16()?;
        let fixed = &rdata[..rdata.len() - fields.0.len()];
        let signer = fields.name()?;
        let signature = fields.0;
        Some(Rrsig {
            fixed,
            covered,
            algorithm,
            labels,
            original_ttl_secs,
            expiration,
            inception,
            key_tag,
            signer,
            signature,
        })
    }
}

impl<'z> Ds<'z> {
    /// Reads RDATA.
    pub(super) fn read(rdata: &'z [u8]) -> Option<Ds<'z>> {
        let mut fields = Fields(rdata);
        let (key_tag, algorithm, digest_type) = (fields.u16()?, fields.u8()?, fields.u8()?);
        Some(Ds { rdata, key_tag, algorithm, digest_type, digest: fields.0 })
    }
}

impl<'z> Nsec<'z> {
    /// Reads RDATA.
    pub(super) fn read(rdata: &'z [u8]) -> Option<Nsec<'z>> {
        let mut fields = Fields(rdata);
        Some(Nsec { next: fields.name()?, types: Bitmap(fields.0) })
    }
}

impl<'z> Nsec3<'z> {
    /// Reads RDATA of an NSEC3.
    pub(super) fn read(rdata: &'z [u8]) -> Option<Nsec3<'z>> {
        let mut fields = Fields(rdata);
        let (flags, parameters) = fields.hash_parameters()?;
        Some(Nsec3 { flags, parameters, next: fields.counted()?, types: Bitmap(fields.0) })
    }

    /// Reads RDATA of an NSEC3PARAM.
    pub(super) fn read_param(rdata: &'z [u8]) -> Option<Nsec3<'z>> {
        let (flags, parameters) = Fields(rdata).hash_parameters()?;
        Some(Nsec3 { flags, parameters, next: &[], types: Bitmap(&[]) })
    }

    /// Whether insecure delegations may be missing behind it.
    pub(super) fn is_opt_out(&self) -> bool {
        self.flags & FLAG_OPT_OUT != 0
    }

    /// Whether it has flags that nobody knows; it is ignored then (RFC 5155 section 8.2).
    pub(super) fn has_unknown_flags(&self) -> bool {
        self.flags & !FLAG_OPT_OUT != 0
    }
}

impl<'z> Fields<'z> {
    /// Flags and parameters, with which NSEC3 and NSEC3PARAM begin.
    fn hash_parameters(&mut self) -> Option<(u8, HashParameters<'z>)> {
        let (algorithm, flags, iterations) = (self.u8()?, self.u8()?, self.u16()?);
        Some((flags, HashParameters { algorithm, iterations, salt: self.counted()? }))
    }
}

impl<'z> Zonemd<'z> {
    /// Reads RDATA.
    pub(super) fn read(rdata: &'z [u8]) -> Option<Zonemd<'z>> {
        let mut fields = Fields(rdata);
        Some(Zonemd { serial: fields.u32()?, scheme: fields.u8()?, hash_algorithm: fields.u8()?, digest: fields.0 })
    }
}

impl<'z> Bitmap<'z> {
    /// The types in it, ascending. No allocation: this is asked of each name of a zone.
    pub(super) fn types(self) -> impl Iterator<Item = Rtype> + use<'z> {
        let mut windows = Fields(self.0);
        let mut window = 0;
        // What is left of the window, and of its latest octet, which is the one before `next_idx`.
        let mut octets: &[u8] = &[];
        let mut next_idx = 0u8;
        let mut octet = 0u8;
        std::iter::from_fn(move || {
            while octet == 0 {
                if let Some((&first, rest)) = octets.split_first() {
                    (octet, octets) = (first, rest);
                    next_idx = next_idx.wrapping_add(1);
                } else {
                    (window, octets, next_idx) = (windows.u8()?, windows.counted()?, 0);
                }
            }
            // Below 8, because the octet is not zero.
            let bit = u8::try_from(octet.leading_zeros()).unwrap_or(0);
            octet &= !(0x80 >> bit);
            Some(Rtype(u16::from_be_bytes([window, next_idx.wrapping_sub(1) << 3 | bit])))
        })
    }
}

/// Writes `iterations 5, salt aabb`.
impl fmt::Display for HashParameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "iterations {}, salt ", self.iterations)?;
        if self.salt.is_empty() {
            return f.write_str("-");
        }
        self.salt.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}
