//! What of a domain's keys others see: DNSKEY, DS, and what the parent is asked for; and whether the records that its owner
//! has beside them can be published with them.

use std::collections::BTreeSet;

use snapshot::dns::name::Name;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, ZoneBuilder};

use super::{apex_of, chain_of, dnskey_of};
use crate::check::dnssec::gate;
use crate::keys::{DigestType, Shown, shown};
use crate::roll::{self, Duties};
use crate::sign::{self, Announce};
use crate::store::domains::Domain;
use crate::store::keys::{State, StoredKey};
use crate::store::rrsets::Rrset;

/// The keys of a domain as they are shown: those of ours that are announced, then the DNSKEY records of its owner.
#[must_use]
pub fn shown_keys(domain: &str, ours: &[StoredKey], theirs: &[&[u8]]) -> Vec<Shown> {
    let Ok(apex) = apex_of(domain) else { return Vec::new() };
    let is_announced =
        |key: &&StoredKey| dnskey_of(key).is_some_and(|(role, _)| roll::duties(key.key.state, role).is_announced);
    let ours: Vec<_> = ours.iter().filter(is_announced).filter_map(dnskey_of).collect();
    shown(apex.as_ref(), &ours, theirs)
}

/// One of our keys as it would be shown if it were announced; `None` if we do not know its role.
#[must_use]
pub fn shown_key(domain: &str, key: &StoredKey) -> Option<Shown> {
    let apex = apex_of(domain).ok()?;
    shown(apex.as_ref(), &[dnskey_of(key)?], &[]).pop()
}

/// The RDATA of the DS that the parent may have of a key, one for each digest.
#[must_use]
pub fn ds_of(domain: &str, key: &StoredKey) -> Vec<Vec<u8>> {
    let (Ok(apex), Some((_, dnskey))) = (apex_of(domain), dnskey_of(key)) else { return Vec::new() };
    DigestType::ALL.into_iter().map(|digest| dnskey.ds(apex.as_ref(), digest)).collect()
}

/// What a domain asks its parent for: RDATA of the CDS and of the CDNSKEY at its apex, as they are published. `own` are the
/// RRsets at its apex. `None` if it is not signed, or if all that it asks for is that its DS go.
#[must_use]
pub fn requests_of(domain: &Domain, keys: &[StoredKey], own: &[Rrset]) -> Option<(sign::Rdatas, sign::Rdatas)> {
    let Published { cds, cdnskeys, .. } = Published::of(domain, keys, own)?;
    // A removal has algorithm 0.
    let is_removal = cds.iter().any(|rdata| rdata.get(2) == Some(&0));
    (!is_removal && !cds.is_empty()).then_some((cds, cdnskeys))
}

/// Whether the owner of a domain asks the parent to remove all DS (RFC 8078 section 4); `own` are the RRsets at its apex.
#[must_use]
pub fn wants_removal(own: &[Rrset]) -> bool {
    let is_removal = |rrset: &&Rrset| match rrset.rtype {
        Rtype::CDS => rrset.enabled().any(|record| record.rdata == sign::CDS_REMOVAL),
        Rtype::CDNSKEY => rrset.enabled().any(|record| record.rdata == sign::CDNSKEY_REMOVAL),
        _ => false,
    };
    own.iter().any(|rrset| is_removal(&rrset))
}

/// Why a domain could not be published with these keys and the DNSKEY, CDS and CDNSKEY records among `own`, the RRsets at its
/// apex: sentences, by the rules of the gate. None if it is not signed.
#[must_use]
pub fn faults_of(domain: &Domain, keys: &[StoredKey], own: &[Rrset]) -> Vec<String> {
    let Some(published) = Published::of(domain, keys, own) else { return Vec::new() };
    let mut faults = Vec::new();
    let does = |algorithm: u8, is_wanted: fn(Duties) -> bool| {
        keys.iter().any(|key| {
            key.key.algorithm == algorithm
                && dnskey_of(key).is_some_and(|(role, _)| is_wanted(roll::duties(key.key.state, role)))
        })
    };
    let theirs = own.iter().filter(|rrset| rrset.rtype == Rtype::DNSKEY).flat_map(Rrset::enabled);
    let theirs: BTreeSet<u8> = theirs.filter_map(|record| record.rdata.get(3).copied()).collect();
    // Where an algorithm is announced, everything must be signed with it (RFC 4035 section 2.2), and with theirs we cannot.
    for algorithm in theirs {
        if !does(algorithm, |duties| duties.signs_zone) || !does(algorithm, |duties| duties.signs_keys) {
            faults.push(format!("a DNSKEY of algorithm {algorithm} needs signatures that this server cannot make."));
        }
    }
    let mut builder = ZoneBuilder::new(published.apex.clone());
    let owner = published.apex.as_ref();
    let Published { dnskeys, cds, cdnskeys, .. } = &published;
    for (rtype, rdatas) in [(Rtype::DNSKEY, dnskeys), (Rtype::CDS, cds), (Rtype::CDNSKEY, cdnskeys)] {
        for rdata in rdatas {
            // The records of one name are far fewer than a zone may have.
            if builder.push(Record { owner, rtype, ttl_secs: 0, rdata, line: 0 }).is_err() {
                return faults;
            }
        }
    }
    let unannounced = rdatas_of(keys, |duties| duties.signs_zone && !duties.is_announced);
    let unannounced: Vec<&[u8]> = unannounced.iter().map(|rdata| &**rdata).collect();
    let found = gate::faults_of_keys(&builder.finish(), &unannounced);
    faults.extend(found.into_iter().map(|fault| format!("{}.", fault.message)));
    faults
}

/// What signing makes of DNSKEY, CDS and CDNSKEY.
struct Published {
    /// The domain.
    apex: Name,
    /// RDATA of DNSKEY: ours and those of the owner.
    dnskeys: sign::Rdatas,
    /// RDATA of CDS.
    cds: sign::Rdatas,
    /// RDATA of CDNSKEY.
    cdnskeys: sign::Rdatas,
}

impl Published {
    /// Of a domain with these keys and these RRsets of its owner at its apex; `None` if it is not signed.
    fn of(domain: &Domain, keys: &[StoredKey], own: &[Rrset]) -> Option<Published> {
        chain_of(domain.denial)?;
        let apex = apex_of(&domain.name).ok()?;
        let mut builder = ZoneBuilder::new(apex.clone());
        for rrset in own {
            let (owner, rtype, ttl_secs) = (apex.as_ref(), rrset.rtype, rrset.ttl_secs);
            let mut records = rrset.enabled().map(|record| &*record.rdata);
            records.try_for_each(|rdata| builder.push(Record { owner, rtype, ttl_secs, rdata, line: 0 })).ok()?;
        }
        let zone = builder.finish();
        let mut dnskeys: sign::Rdatas = rdatas_of(keys, |duties| duties.is_announced).into_iter().collect();
        let records = own.iter().filter(|rrset| rrset.rtype == Rtype::DNSKEY).flat_map(Rrset::enabled);
        dnskeys.extend(records.map(|record| record.rdata.clone()));
        let entries = rdatas_of(keys, |duties| duties.is_asked_for);
        let entries: Vec<&[u8]> = entries.iter().map(|rdata| &**rdata).collect();
        let ends = keys.iter().any(|key| key.key.state == State::Ending);
        let announce = if ends { Announce::Removal } else { Announce::Keys(&entries) };
        // An apex that has nothing yet has no owner in the zone either.
        let (cds, cdnskeys) = sign::requests(&zone.owner(apex.as_ref())?, announce, &dnskeys);
        Some(Published { apex, dnskeys, cds, cdnskeys })
    }
}

/// RDATA of DNSKEY of the keys that do something.
fn rdatas_of(keys: &[StoredKey], is_wanted: fn(Duties) -> bool) -> Vec<Vec<u8>> {
    let of = |key: &StoredKey| {
        let (role, dnskey) = dnskey_of(key)?;
        is_wanted(roll::duties(key.key.state, role)).then(|| dnskey.rdata())
    };
    keys.iter().filter_map(of).collect()
}
