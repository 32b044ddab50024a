//! Signs zones as far as answering is concerned: closed chains of NSEC or NSEC3, and signatures that tell what they cover.
//!
//! Nobody verifies them here. A signature is a digest of its RRset, so one that belongs to other records is seen.

use std::collections::BTreeMap;

use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::nsec3::{HASH_LEN, Params, text};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{OwnerRecords, Record, Zone, ZoneBuilder};
use snapshot::image::Digest;

/// How a zone is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signing {
    /// It is not.
    Unsigned,
    /// With NSEC.
    Nsec,
    /// With NSEC3.
    Nsec3,
    /// With NSEC3 that leaves delegations without DS out (RFC 5155 section 6).
    OptOut,
}

/// How names are hashed.
const PARAMS: Params<'static> = Params { iterations: 1, salt: &[0xab, 0xcd] };
/// The same as the RDATA of NSEC3PARAM.
const NSEC3PARAM: [u8; 7] = [1, 0, 0, 1, 2, 0xab, 0xcd];
/// Where NSEC3 RDATA has the flags.
const FLAGS_OFF: usize = 1;
/// The TTL of what denies.
const TTL_SECS: u32 = 30;

/// What a name is for those who sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Its records are the zone's.
    Authoritative,
    /// It is a zone cut.
    Cut,
    /// It is below a cut or a DNAME.
    Occluded,
}

/// A zone while it is signed.
struct Signer<'z> {
    /// The zone.
    zone: &'z Zone,
    /// What comes out.
    builder: ZoneBuilder,
}

/// The zone with signatures and a chain.
pub(crate) fn sign(zone: &Zone, signing: Signing) -> Zone {
    let mut signer = Signer { zone, builder: ZoneBuilder::new(zone.apex().to_name()) };
    for owner in zone.owners() {
        for rrset in owner.rrsets() {
            rrset.records().for_each(|record| signer.builder.push(record).expect("small zones fit into memory"));
        }
    }
    match signing {
        Signing::Unsigned => {}
        Signing::Nsec => signer.nsec(),
        Signing::Nsec3 => signer.nsec3(0),
        Signing::OptOut => signer.nsec3(1),
    }
    signer.builder.finish()
}

impl Signer<'_> {
    /// What a name is.
    fn side(&self, name: NameRef<'_>) -> Side {
        let apex = self.zone.apex();
        let has = |name: NameRef<'_>, rtype| self.zone.owner(name).is_some_and(|owner| owner.rrset(rtype).is_some());
        let is_cut = |name: NameRef<'_>| name != apex && has(name, Rtype::NS);
        let mut above = Some(name).filter(|name| *name != apex).and_then(NameRef::parent);
        while let Some(at) = above.filter(|at| at.is_at_or_below(apex)) {
            if is_cut(at) || has(at, Rtype::DNAME) {
                return Side::Occluded;
            }
            above = at.parent();
        }
        if is_cut(name) { Side::Cut } else { Side::Authoritative }
    }

    /// Signs what is to be signed of the records that the zone has; returns the types that each name proves to have.
    fn data(&mut self) -> BTreeMap<Name, Vec<Rtype>> {
        let mut types = BTreeMap::new();
        for owner in self.zone.owners() {
            let side = self.side(owner.name());
            if side == Side::Occluded {
                continue;
            }
            let is_signed = |rtype| side == Side::Authoritative || rtype == Rtype::DS;
            let mut own: Vec<Rtype> = owner.rrsets().map(|rrset| rrset.rtype()).collect();
            own.retain(|&rtype| is_signed(rtype) || rtype == Rtype::NS);
            for &rtype in own.iter().filter(|&&rtype| is_signed(rtype)) {
                self.cover(&owner, rtype);
            }
            types.insert(owner.name().to_name(), own);
        }
        types
    }

    /// Adds the signature of an RRset of the zone.
    fn cover(&mut self, owner: &OwnerRecords<'_>, rtype: Rtype) {
        let Some(rrset) = owner.rrset(rtype) else { return };
        let rdatas: Vec<&[u8]> = rrset.records().map(|record| record.rdata).collect();
        self.signature(owner.name(), rtype, rrset.ttl_secs(), &rdatas.concat());
    }

    /// Adds a signature.
    fn signature(&mut self, owner: NameRef<'_>, covered: Rtype, ttl_secs: u32, content: &[u8]) {
        let digest = Digest::of(&[&ttl_secs.to_be_bytes()[..], content].concat()).0;
        let labels = u8::try_from(owner.label_count()).expect("names have at most 127 labels");
        let mut rdata = [&covered.0.to_be_bytes()[..], &[13, labels], &ttl_secs.to_be_bytes()].concat();
        rdata.extend_from_slice(&[0x71, 0, 0, 0, 0x60, 0, 0, 0, 0, 1]);
        rdata.extend_from_slice(self.zone.apex().as_wire());
        rdata.extend_from_slice(&[digest, digest].concat());
        self.push(owner, Rtype::RRSIG, ttl_secs, &rdata);
    }

    /// Adds a record.
    fn push(&mut self, owner: NameRef<'_>, rtype: Rtype, ttl_secs: u32, rdata: &[u8]) {
        let record = Record { owner, rtype, ttl_secs, rdata, line: 0 };
        self.builder.push(record).expect("small zones fit into memory");
    }

    /// Adds a record of a chain and its signature.
    fn link(&mut self, owner: NameRef<'_>, rtype: Rtype, rdata: &[u8]) {
        self.push(owner, rtype, TTL_SECS, rdata);
        self.signature(owner, rtype, TTL_SECS, rdata);
    }

    /// Signs with NSEC (RFC 4035 section 2.3).
    fn nsec(&mut self) {
        let types = self.data();
        for ((owner, own), next) in types.iter().zip(types.keys().cycle().skip(1)) {
            let own = [&own[..], &[Rtype::NSEC, Rtype::RRSIG]].concat();
            self.link(owner.as_ref(), Rtype::NSEC, &[next.as_wire(), &bitmap(&own)[..]].concat());
        }
    }

    /// Signs with NSEC3 of these flags (RFC 5155 section 7.1).
    fn nsec3(&mut self, flags: u8) {
        let apex = self.zone.apex().to_name();
        self.link(apex.as_ref(), Rtype::NSEC3PARAM, &NSEC3PARAM);
        let mut hashes: BTreeMap<[u8; HASH_LEN], Vec<Rtype>> = BTreeMap::new();
        for (name, mut own) in self.data() {
            let is_delegation = own == [Rtype::NS] && name != apex;
            if is_delegation && flags != 0 {
                continue;
            }
            if !is_delegation {
                own.push(Rtype::RRSIG);
            }
            if name == apex {
                own.push(Rtype::NSEC3PARAM);
            }
            hashes.insert(PARAMS.hash(name.as_wire()), own);
            // Empty names above it have records too.
            let mut above = name.as_ref().parent();
            while let Some(at) = above.filter(|at| at.is_at_or_below(apex.as_ref())) {
                hashes.entry(PARAMS.hash(at.as_wire())).or_default();
                above = at.parent();
            }
        }
        let mut head = NSEC3PARAM;
        head[FLAGS_OFF] = flags;
        for ((hash, own), next) in hashes.iter().zip(hashes.keys().cycle().skip(1)) {
            let owner = [&[32][..], &text(hash), apex.as_wire()].concat();
            let owner = NameRef::prefix_of(&owner).expect("apexes are short");
            self.link(owner, Rtype::NSEC3, &[&head[..], &[20], next, &bitmap(own)[..]].concat());
        }
    }
}

/// A type bitmap (RFC 4034 section 4.1.2) of types below 256.
fn bitmap(types: &[Rtype]) -> Vec<u8> {
    let mut bits = [0_u8; 32];
    for rtype in types {
        bits[usize::from(rtype.0 / 8)] |= 0x80 >> (rtype.0 % 8);
    }
    let len = bits.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
    if len == 0 { Vec::new() } else { [&[0, u8::try_from(len).expect("at most 32")], &bits[..len]].concat() }
}
