//! What signing adds to the RRsets of the apex: DNSKEY, CDS, CDNSKEY, NSEC3PARAM and the place of ZONEMD.
//!
//! It signs nothing. Invariant: CDS and CDNSKEY ask for the same if the plan announces anything (RFC 7344 section 4), and
//! a removal stands alone (RFC 8078 section 4).

use std::borrow::Cow;
use std::collections::BTreeSet;

use ring::digest;
use snapshot::dns::name::Name;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::OwnerRecords;

use super::signer::NSEC3PARAM;
use super::{Announce, Denial, Plan, Set};
use crate::check::dnssec::rdata::Dnskey;

/// The CDS that asks for the removal of all DS (RFC 8078 section 4).
pub const CDS_REMOVAL: &[u8] = &[0, 0, 0, 0, 0];
/// The CDNSKEY that does.
pub const CDNSKEY_REMOVAL: &[u8] = &[0, 0, 3, 0, 0];
/// The types that are made here; what the zone has of them is merged, or left out for ZONEMD.
const MADE_TYPES: [Rtype; 4] = [Rtype::DNSKEY, Rtype::CDS, Rtype::CDNSKEY, Rtype::ZONEMD];

/// RDATA, sorted and distinct.
pub type Rdatas = BTreeSet<Vec<u8>>;

/// The RRsets of the apex of a signed zone, by ascending type, but for RRSIG and NSEC. That of ZONEMD is empty: it needs the
/// whole zone.
#[must_use]
pub fn apex_sets<'z>(apex: &OwnerRecords<'z>, plan: &Plan<'_>) -> Vec<Set<'z>> {
    let own = apex.rrsets().filter(|rrset| !MADE_TYPES.contains(&rrset.rtype()));
    let mut sets: Vec<Set<'z>> = own.map(|rrset| Set::of(&rrset)).collect();
    let soa_ttl_secs = apex.rrset(Rtype::SOA).map_or(plan.keys_ttl_secs, |soa| soa.ttl_secs());
    let dnskeys = dnskeys(apex, plan);
    let mut add = |rtype: Rtype, ttl_secs: u32, rdatas: Rdatas| {
        if !rdatas.is_empty() {
            sets.push(Set { rtype, ttl_secs, rdatas: rdatas.into_iter().map(Cow::Owned).collect() });
        }
    };
    let (cds, cdnskeys) = requests(apex, plan.announce, &dnskeys);
    add(Rtype::DNSKEY, plan.keys_ttl_secs, dnskeys);
    add(Rtype::CDS, plan.keys_ttl_secs, cds);
    add(Rtype::CDNSKEY, plan.keys_ttl_secs, cdnskeys);
    if plan.denial != Denial::Nsec {
        add(Rtype::NSEC3PARAM, plan.keys_ttl_secs, Rdatas::from([NSEC3PARAM.to_vec()]));
    }
    if plan.zonemd {
        sets.push(Set { rtype: Rtype::ZONEMD, ttl_secs: soa_ttl_secs, rdatas: Vec::new() });
    }
    sets.sort_by_key(|set| set.rtype);
    sets
}

/// All keys: those that sign and are announced, those of the plan that do not sign, those of the zone.
fn dnskeys(apex: &OwnerRecords<'_>, plan: &Plan<'_>) -> Rdatas {
    let mut rdatas = own(apex, Rtype::DNSKEY);
    rdatas.extend(plan.keys.iter().filter(|key| key.is_announced).map(|key| key.dnskey.to_vec()));
    rdatas.extend(plan.extra_dnskeys.iter().cloned());
    rdatas
}

/// RDATA of CDS and of CDNSKEY of a zone with these DNSKEY, those that it has itself among them.
#[must_use]
pub fn requests(apex: &OwnerRecords<'_>, announce: Announce<'_>, dnskeys: &Rdatas) -> (Rdatas, Rdatas) {
    let (mut cds, mut cdnskeys) = (own(apex, Rtype::CDS), own(apex, Rtype::CDNSKEY));
    let wants_removal = cds.contains(CDS_REMOVAL) || cdnskeys.contains(CDNSKEY_REMOVAL);
    if wants_removal || announce == Announce::Removal {
        return (Rdatas::from([CDS_REMOVAL.to_vec()]), Rdatas::from([CDNSKEY_REMOVAL.to_vec()]));
    }
    let Announce::Keys(announced) = announce else { return (cds, cdnskeys) };
    let name = apex.name().to_name().to_canonical();
    cdnskeys.extend(announced.iter().map(|rdata| rdata.to_vec()));
    // Whom the zone asks for with one type is asked for with the other as well.
    let is_wanted = |rdata: &&Vec<u8>| digests(&name, rdata).iter().any(|digest| cds.contains(digest));
    cdnskeys.extend(dnskeys.iter().filter(is_wanted).cloned());
    cds.extend(cdnskeys.iter().flat_map(|rdata| digests(&name, rdata)));
    (cds, cdnskeys)
}

/// RDATA of a type that the zone has itself.
fn own(apex: &OwnerRecords<'_>, rtype: Rtype) -> Rdatas {
    let rrset = apex.rrset(rtype);
    rrset.iter().flat_map(|rrset| rrset.records()).map(|record| record.rdata.to_vec()).collect()
}

/// The CDS of a key with the digests that parents must know and may prefer (RFC 8624 section 3.3).
fn digests(apex: &Name, dnskey: &[u8]) -> Vec<Vec<u8>> {
    let Some(key) = Dnskey::read(dnskey) else { return Vec::new() };
    let data = [apex.as_wire(), dnskey].concat();
    let [high, low] = key.tag().to_be_bytes();
    let of = |(number, algorithm): (u8, &'static digest::Algorithm)| {
        [&[high, low, key.algorithm, number], digest::digest(algorithm, &data).as_ref()].concat()
    };
    [(2, &digest::SHA256), (4, &digest::SHA384)].into_iter().map(of).collect()
}
