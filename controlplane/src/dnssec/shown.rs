//! What of a domain's keys others see: DNSKEY, DS, and what the parent is asked for.

use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, ZoneBuilder};

use super::{apex_of, chain_of, dnskey_of};
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
    chain_of(domain.denial)?;
    let apex = apex_of(&domain.name).ok()?;
    let mut builder = ZoneBuilder::new(apex.clone());
    for rrset in own {
        let (owner, rtype, ttl_secs) = (apex.as_ref(), rrset.rtype, rrset.ttl_secs);
        let mut records = rrset.enabled().map(|record| &*record.rdata);
        records.try_for_each(|rdata| builder.push(Record { owner, rtype, ttl_secs, rdata, line: 0 })).ok()?;
    }
    let zone = builder.finish();
    let rdatas = |is_wanted: fn(Duties) -> bool| -> Vec<Vec<u8>> {
        let of = |key: &StoredKey| {
            let (role, dnskey) = dnskey_of(key)?;
            is_wanted(roll::duties(key.key.state, role)).then(|| dnskey.rdata())
        };
        keys.iter().filter_map(of).collect()
    };
    let mut dnskeys: sign::Rdatas = rdatas(|duties| duties.is_announced).into_iter().collect();
    let records = own.iter().filter(|rrset| rrset.rtype == Rtype::DNSKEY).flat_map(Rrset::enabled);
    dnskeys.extend(records.map(|record| record.rdata.clone()));
    let entries = rdatas(|duties| duties.is_asked_for);
    let entries: Vec<&[u8]> = entries.iter().map(|rdata| &**rdata).collect();
    let ends = keys.iter().any(|key| key.key.state == State::Ending);
    let announce = if ends { Announce::Removal } else { Announce::Keys(&entries) };
    let (cds, cdnskeys) = sign::requests(&zone.owner(apex.as_ref())?, announce, &dnskeys);
    // A removal has algorithm 0.
    let is_removal = cds.iter().any(|rdata| rdata.get(2) == Some(&0));
    (!is_removal && !cds.is_empty()).then_some((cds, cdnskeys))
}
