//! Zones read back out of a snapshot, for a database that lost them.
//!
//! A snapshot has what was answered, no more: no accounts, no comments, no disabled records, no history. Weights and regions are
//! read off what is answered in place of RRsets. Invariant: what is read back and compiled again answers as the snapshot does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use snapshot::dns::class::Class;
use snapshot::dns::message::Message;
use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rdata::write_text;
use snapshot::dns::rtype::Rtype;
use snapshot::image::{RrsetBody, View, Zone};

use crate::change::{self, Change, Edits, House, NewDomain, Refusal, Target};
use crate::geo::{self, Answers};
use crate::store::domains::{Denial, SerialPolicy, Soa, SoaMode};
use crate::store::keys::State;
use crate::store::rrsets::Record;
use crate::store::{AccountId, DomainId, StoreError, Txn};

/// Octets of a message header.
const HEADER_LEN: usize = 12;
/// Octets of the five numbers of an SOA record.
const SOA_NUMBERS_LEN: usize = 20;

/// A zone as the snapshot has it.
pub(super) struct Salvaged {
    /// Its name, without a dot at the end.
    name: String,
    /// Its SOA record.
    soa: Soa,
    /// All else.
    targets: Vec<Target>,
    /// How it denied, if it was signed.
    denial: Denial,
}

/// Reads the zones of a view.
///
/// # Errors
/// [`StoreError::Damaged`] if an RRset cannot be read back.
pub(super) fn read(view: &View) -> Result<Vec<Salvaged>, StoreError> {
    let zones: HashMap<Name, bool> = view.zones().into_iter().map(|facts| (facts.apex.clone(), facts.signed)).collect();
    zones
        .iter()
        .filter_map(|(apex, is_signed)| Some((apex, view.zone(apex.as_ref())?, *is_signed)))
        .map(|(apex, zone, is_signed)| {
            let salvaged = of(apex, &zone)?;
            Ok(Salvaged { denial: if is_signed { salvaged.denial } else { Denial::Off }, ..salvaged })
        })
        .collect()
}

/// Reads one zone.
fn of(apex: &Name, zone: &Zone<'_>) -> Result<Salvaged, StoreError> {
    let damaged = || StoreError::Damaged("a zone of the snapshot");
    let soa = zone.soa().and_then(|body| soa_of(apex, &body)).ok_or_else(damaged)?;
    let mut targets = Vec::new();
    for node in zone.nodes() {
        let owner = Name::from_wire(node.name()).map_err(|_| damaged())?;
        let full = owner.to_string();
        let subname = full.strip_suffix(&apex.to_string()).ok_or_else(damaged)?.trim_end_matches('.').to_owned();
        for body in node.rrsets() {
            let state = rows(&owner, &body).ok_or_else(damaged)?;
            targets.push(Target { subname: subname.clone(), rtype: body.rtype, state: Some(state) });
        }
    }
    let has_hashes = targets.iter().any(|target| target.rtype == Rtype::NSEC3PARAM);
    let denial = if has_hashes { Denial::Nsec3 } else { Denial::Nsec };
    Ok(Salvaged { name: apex.to_string().trim_end_matches('.').to_owned(), soa, targets, denial })
}

/// The TTL and the rows of a rendered RRset: its records, with the weights and regions that make what is answered in its place.
fn rows(owner: &Name, body: &RrsetBody<'_>) -> Option<(u32, Vec<Record>)> {
    let (ttl_secs, whole) = records(owner, body)?;
    let Some(choices) = body.choices() else { return Some((ttl_secs, whole)) };
    let mut answers: Vec<Answers> = Vec::new();
    for (region, sets) in choices.groups() {
        let set = |(weight, body): (u32, RrsetBody<'_>)| Some((weight, records(owner, &body)?.1));
        answers.push((region?, sets.into_iter().map(set).collect::<Option<_>>()?));
    }
    Some((ttl_secs, geo::rows(&whole, &answers)?))
}

/// The TTL and the records of a rendered RRset: it is read as the answer to a question for it.
fn records(owner: &Name, body: &RrsetBody<'_>) -> Option<(u32, Vec<Record>)> {
    let mut wire = vec![0; HEADER_LEN];
    wire[5] = 1;
    wire[6..8].copy_from_slice(&body.record_count.to_be_bytes());
    wire.extend_from_slice(owner.as_wire());
    wire.extend_from_slice(&body.rtype.0.to_be_bytes());
    wire.extend_from_slice(&Class::IN.0.to_be_bytes());
    wire.extend_from_slice(body.records);
    let message = Message::from_wire(&wire).ok()?;
    let ttl_secs = message.answers.first()?.ttl_secs;
    let record = |rdata: Vec<u8>| {
        let mut text = String::new();
        write_text(body.rtype, &rdata, &mut text).ok()?;
        Some(Record::new(text, rdata))
    };
    let records = message.answers.into_iter().map(|answer| record(answer.rdata)).collect::<Option<Vec<_>>>()?;
    Some((ttl_secs, records))
}

/// The fields of a rendered SOA record (RFC 1035 section 3.3.13).
fn soa_of(apex: &Name, body: &RrsetBody<'_>) -> Option<Soa> {
    let (ttl_secs, records) = records(apex, body)?;
    let rdata = &records.first()?.rdata;
    let mname = NameRef::prefix_of(rdata).ok()?;
    let rest = rdata.get(mname.as_wire().len()..)?;
    let rname = NameRef::prefix_of(rest).ok()?;
    let numbers = rdata.get(rdata.len().checked_sub(SOA_NUMBERS_LEN)?..)?;
    let number = |idx: usize| Some(u32::from_be_bytes(*numbers.get(idx * 4..)?.first_chunk()?));
    Some(Soa {
        ttl_secs,
        mname: mname.to_string(),
        rname: rname.to_string(),
        refresh_secs: number(1)?,
        retry_secs: number(2)?,
        expire_secs: number(3)?,
        minimum_secs: number(4)?,
    })
}

/// What signing makes, and what it merges with records of the owner: of a signed zone the database has them.
const SIGNING: [Rtype; 7] =
    [Rtype::RRSIG, Rtype::NSEC, Rtype::NSEC3, Rtype::NSEC3PARAM, Rtype::DNSKEY, Rtype::CDS, Rtype::CDNSKEY];

/// A zone that is signed in service.
pub(super) struct SignedZone {
    /// Its name, without a dot at the end.
    name: String,
    /// How it denies.
    denial: Denial,
    /// RDATA of the DNSKEY records that a parent makes DS records of.
    entries: Vec<Vec<u8>>,
}

/// The zones of a view that are signed.
pub(super) fn signed(view: &View) -> Vec<SignedZone> {
    let of = |apex: &Name| {
        let zone = view.zone(apex.as_ref())?;
        let node = zone.nodes().next()?;
        let rdatas = |rtype: Rtype| {
            let body = node.rrsets().find(|body| body.rtype == rtype)?;
            Some(records(apex, &body)?.1.into_iter().map(|record| record.rdata).collect::<Vec<_>>())
        };
        let denial = if rdatas(Rtype::NSEC3PARAM).is_some() { Denial::Nsec3 } else { Denial::Nsec };
        let mut entries = rdatas(Rtype::DNSKEY)?;
        // The bit SEP (RFC 4034 section 2.1.1).
        entries.retain(|rdata| rdata.get(1).is_some_and(|flags| flags & 1 != 0));
        Some(SignedZone { name: apex.to_string().trim_end_matches('.').to_owned(), denial, entries })
    };
    view.zones().iter().filter(|facts| facts.signed).filter_map(|facts| of(&facts.apex)).collect()
}

/// Sees to it that nothing is published of domains that are signed in service with keys that the database lacks: whatever it
/// made of them would be bogus to whoever has the DS of those. No key signs them until their operator has decided, so that
/// what is in service stays. Their names.
///
/// # Errors
/// [`Refusal::Store`].
pub(super) fn protect(txn: &Txn<'_>, zones: Vec<SignedZone>) -> Result<Vec<String>, Refusal> {
    let mut keyless = Vec::new();
    for SignedZone { name, denial, entries } in zones {
        let Some(mut domain) = txn.domain_by_name(&name)? else { continue };
        let keys = txn.keys(domain.id)?;
        let theirs = txn.rrset(domain.id, &[], Rtype::DNSKEY)?;
        let theirs: Vec<_> = theirs.iter().flat_map(|rrset| rrset.enabled()).map(|record| &record.rdata).collect();
        let is_ours = |entry: &Vec<u8>| keys.iter().any(|key| entry.get(4..) == Some(&*key.key.public));
        if entries.iter().all(|entry| is_ours(entry) || theirs.contains(&entry)) {
            continue;
        }
        for key in keys {
            txn.move_key(key.id, Some(State::Generated), domain.changed_us)?;
        }
        if domain.denial == Denial::Off {
            domain.denial = denial;
            txn.update_domain(&domain)?;
        }
        keyless.push(name);
    }
    keyless.sort();
    Ok(keyless)
}

/// What was taken over, by name.
#[derive(Debug, Default)]
pub(super) struct Adopted {
    /// Domains that were made.
    pub(super) made: Vec<String>,
    /// Signed zones of which the database has nothing.
    pub(super) unknown: Vec<String>,
    /// Domains that the snapshot lacks.
    pub(super) returned: Vec<String>,
}

/// Makes the domains of the database what the snapshot has; those that it lacks are made for `operator`, but for signed ones: those
/// stay in service as they are.
///
/// # Errors
/// [`Refusal`]; nothing is changed then.
pub(super) fn adopt(txn: &Txn<'_>, zones: Vec<Salvaged>, operator: AccountId, now_us: i64) -> Result<Adopted, Refusal> {
    let mut adopted = Adopted::default();
    let served: HashSet<String> = zones.iter().map(|zone| zone.name.clone()).collect();
    for id in txn.domain_ids()? {
        let lacking = txn.domain(id)?.filter(|domain| domain.unproved.is_none() && !served.contains(&domain.name));
        adopted.returned.extend(lacking.map(|domain| domain.name));
    }
    for Salvaged { name, soa, mut targets, denial } in zones {
        let is_signed = denial != Denial::Off;
        let house = Arc::<House>::default();
        let actor = |account| super::actor(account, &house, now_us);
        let domain = match txn.domain_by_name(&name)? {
            // Without its keys it would be a domain that its DS records make bogus, at once; as it is, it is so when its
            // signatures end.
            None if is_signed => {
                adopted.unknown.push(name);
                continue;
            }
            Some(domain) => domain,
            None => {
                adopted.made.push(name.clone());
                change::create(txn, &actor(operator), new_domain(name, soa.clone()))?.domain
            }
        };
        targets.retain(|target| !is_signed || !SIGNING.contains(&target.rtype));
        targets.iter_mut().try_for_each(|target| keep_rows(txn, domain.id, target))?;
        let kept: HashSet<(String, Rtype)> =
            targets.iter().map(|target| (target.subname.clone(), target.rtype)).collect();
        txn.each_rrset(domain.id, |rrset| {
            let is_of_signing = is_signed && SIGNING.contains(&rrset.rtype);
            if !is_of_signing && !kept.contains(&(rrset.subname.clone(), rrset.rtype)) {
                targets.push(Target { subname: rrset.subname, rtype: rrset.rtype, state: None });
            }
            Ok::<_, StoreError>(())
        })?;
        let edits = Edits::Targets { kind: "recover", undoes: None, note: None, targets, soa: Some(soa) };
        let actor = actor(domain.account);
        change::commit(txn, Change { actor, domain: domain.id, precondition: None, edits, dry_run: false })?;
    }
    for names in [&mut adopted.made, &mut adopted.unknown, &mut adopted.returned] {
        names.sort();
    }
    Ok(adopted)
}

/// Has rows that are there already written as the snapshot has them, so that no weight or region stays which that does not know.
/// Their comments stay, and so do disabled rows: the snapshot says nothing of either.
fn keep_rows(txn: &Txn<'_>, domain: DomainId, target: &mut Target) -> Result<(), Refusal> {
    let Some((_, records)) = &mut target.state else { return Ok(()) };
    let Some(mut stored) = txn.rrset(domain, &change::node_of(&target.subname)?, target.rtype)? else { return Ok(()) };
    for record in records.iter_mut() {
        if let Some(at) = stored.records.iter().position(|row| row.rdata == record.rdata) {
            let row = stored.records.remove(at);
            (record.id, record.comment) = (row.id, row.comment);
        }
    }
    records.extend(stored.records.into_iter().filter(|row| !row.enabled));
    Ok(())
}

/// A domain with nothing in it yet.
fn new_domain(name: String, soa: Soa) -> NewDomain {
    NewDomain {
        name,
        nameservers: Vec::new(),
        soa,
        soa_mode: SoaMode::Managed,
        serial_policy: SerialPolicy::Date,
        minimum_ttl_secs: 0,
        drafts: Vec::new(),
        local_suffixes: Vec::new(),
        denial: Denial::Off,
        keys: Vec::new(),
    }
}
