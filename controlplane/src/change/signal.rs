//! Signals: what signed domains ask their parents for, published a second time where the names of their servers lie, so that a
//! parent that has no DS of a domain yet believes it (RFC 9615).
//!
//! The signals about name server `ns1.example.net` are in the domain `_signal.ns1.example.net`, if there is one, and follow
//! the signed domains that are served by that name in the transaction of each change; [`heal`] is for those that were there
//! before. A name server within the domain itself proves nothing, and gets none. Invariants: signals are ordinary records,
//! changed through [`carry_out`]; they are written only for accounts that may speak for the name server.

use std::collections::{BTreeMap, BTreeSet};

use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rdata::write_text;
use snapshot::dns::rtype::Rtype;

use super::apply::node_of;
use super::commit::{Plan, carry_out};
use super::edits::Edit;
use super::{Actor, Refusal, Target};
use crate::dnssec::requests_of;
use crate::naming::{self, Suffixes};
use crate::rrset::{Limits, lenient};
use crate::sign::Rdatas;
use crate::store::accounts::Class;
use crate::store::domains::{Denial, Domain};
use crate::store::rrsets::{Record, Rrset};
use crate::store::{AccountId, DomainId, Reader, StoreError, Txn};

/// The first label of the domains that have signals (RFC 9615 section 3.2).
const LABEL: &str = "_signal";
/// The first label of a signal about DNSSEC (RFC 9615 section 4.1).
const KIND: &str = "_dsboot";
/// TTL of signals in seconds, which is that of what they repeat.
const TTL_SECS: u32 = 3600;
/// The types of a signal, in the order of [`requests_of`].
const TYPES: [Rtype; 2] = [Rtype::CDS, Rtype::CDNSKEY];
/// The types at an apex that change what its domain signals.
const TOUCHING: [Rtype; 4] = [Rtype::NS, Rtype::DNSKEY, Rtype::CDS, Rtype::CDNSKEY];

/// A signal that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The name that it is about, without a dot at the end.
    pub child: String,
    /// The domain that it is in, or should be.
    pub signal: DomainId,
}

/// A signal about a domain, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// Its name, without a dot at the end.
    pub name: String,
    /// Whether it can be published: some are longer than names can be.
    pub fits: bool,
}

/// Brings the signals about a domain into line with a change of it, in the same transaction.
///
/// # Errors
/// [`Refusal::Store`].
pub(super) fn follow(txn: &Txn<'_>, actor: &Actor, child: &Domain, kind: &str, edits: &[Edit]) -> Result<(), Refusal> {
    let touches = |edit: &Edit| edit.subname.is_empty() && TOUCHING.iter().any(|rtype| rtype.to_string() == edit.rtype);
    // Signing that began, ended or began anew, proofs and suspensions have no edits.
    let is_touched = edits.is_empty() || edits.iter().any(touches);
    let was_signed = child.denial != Denial::Off || kind == "signing";
    if !is_touched || !was_signed || host_of(&child.name).is_some() {
        return Ok(());
    }
    let mut hosts = hosts_of(txn.rrset(child.id, &[], Rtype::NS)?.as_ref());
    hosts.extend(edits.iter().flat_map(hosts_before));
    for host in hosts {
        let Some(signal) = signal_domain(txn, &host, &actor.house.local_suffixes)? else { continue };
        let targets = if kind == "delete" {
            differing(txn, &signal, &child.name, None)?
        } else {
            differing(txn, &signal, &child.name, wanted(txn, child, &host)?)?
        };
        write(txn, actor, signal, targets)?;
    }
    Ok(())
}

/// Signals about up to `count_max` signed domains after `after` that are not as they should be, and the last domain that was
/// looked at, if there are more.
///
/// # Errors
/// [`Refusal::Store`].
pub fn due_children(
    reader: &Reader<'_>,
    local_suffixes: &[String],
    after: DomainId,
    count_max: usize,
) -> Result<(Vec<Due>, Option<DomainId>), Refusal> {
    let children = reader.signed_after(after, count_max)?;
    let mut due = Vec::new();
    for child in children.iter().filter(|child| host_of(&child.name).is_none()) {
        for host in hosts_of(reader.rrset(child.id, &[], Rtype::NS)?.as_ref()) {
            let Some(signal) = signal_domain(reader, &host, local_suffixes)? else { continue };
            if !differing(reader, &signal, &child.name, wanted(reader, child, &host)?)?.is_empty() {
                due.push(Due { child: child.name.clone(), signal: signal.id });
            }
        }
    }
    let last = children.last().filter(|_| children.len() >= count_max).map(|child| child.id);
    Ok((due, last))
}

/// Where an RRset is among those of its domain.
type Place = (i64, i64);

/// Signals among up to `count_max` RRsets of a domain that are about nothing any more, and the place of the last RRset that
/// was looked at, if there are more. Places are those of [`Reader::rrsets_after`].
///
/// # Errors
/// [`Refusal::Store`].
pub fn due_records(
    reader: &Reader<'_>,
    local_suffixes: &[String],
    signal: &Domain,
    after: Place,
    count_max: usize,
) -> Result<(Vec<Due>, Option<Place>), Refusal> {
    let rrsets = reader.rrsets_after(signal.id, &crate::store::rrsets::Filter::default(), after, count_max)?;
    let mut due = BTreeSet::new();
    if is_eligible(reader, signal, local_suffixes)? {
        for rrset in rrsets.iter().filter(|rrset| TYPES.contains(&rrset.rtype)) {
            let Some(child) = rrset.subname.strip_prefix(KIND).and_then(|rest| rest.strip_prefix('.')) else {
                continue;
            };
            if !differing(reader, signal, child, wanted_by_name(reader, child, signal)?)?.is_empty() {
                due.insert(child.to_owned());
            }
        }
    }
    let last = rrsets.last().filter(|_| rrsets.len() >= count_max).map(|rrset| (rrset.created_us, rrset.id));
    Ok((due.into_iter().map(|child| Due { child, signal: signal.id }).collect(), last))
}

/// Makes signals what they should be; those of one domain are one change.
///
/// # Errors
/// [`Refusal::Store`].
pub fn heal(txn: &Txn<'_>, actor: &Actor, due: &[Due]) -> Result<(), Refusal> {
    let mut targets: BTreeMap<DomainId, Vec<Target>> = BTreeMap::new();
    for Due { child, signal } in due {
        let Some(row) = txn.domain(*signal)? else { continue };
        let found = differing(txn, &row, child, wanted_by_name(txn, child, &row)?)?;
        targets.entry(*signal).or_default().extend(found);
    }
    for (signal, targets) in targets {
        if let Some(row) = txn.domain(signal)? {
            write(txn, actor, row, targets)?;
        }
    }
    Ok(())
}

/// The signals that there are about a domain, or would be, were their names shorter.
///
/// # Errors
/// [`Refusal::Store`].
pub fn signals_of(reader: &Reader<'_>, local_suffixes: &[String], child: &Domain) -> Result<Vec<Signal>, Refusal> {
    let mut signals = Vec::new();
    for host in hosts_of(reader.rrset(child.id, &[], Rtype::NS)?.as_ref()) {
        let Some(signal) = signal_domain(reader, &host, local_suffixes)? else { continue };
        let name = format!("{KIND}.{}.{}", child.name, signal.name);
        match wanted(reader, child, &host)? {
            None => {}
            Some(_) => signals.push(Signal { fits: is_name(&name), name }),
        }
    }
    Ok(signals)
}

/// Whether a name is for whoever speaks for a name server, and this account does not: it has no domain that encloses the
/// name server.
///
/// # Errors
/// [`Refusal::Store`].
pub(super) fn is_reserved(
    reader: &Reader<'_>,
    account: AccountId,
    name: &str,
    local_suffixes: &[String],
) -> Result<bool, Refusal> {
    let Some(at) = name.split('.').position(|label| label == LABEL) else { return Ok(false) };
    let host = name.splitn(at + 2, '.').nth(at + 1).unwrap_or_default();
    let suffixes = Suffixes { local: local_suffixes };
    for ancestor in naming::ancestors(name, &suffixes).filter(|ancestor| ancestor.len() <= host.len()) {
        let above = reader.domain_by_name(ancestor)?;
        if above.is_some_and(|above| above.account == account && above.unproved.is_none()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The name server that a domain has the signals of.
fn host_of(domain: &str) -> Option<&str> {
    domain.strip_prefix(LABEL)?.strip_prefix('.')
}

/// The domain with the signals of a name server, if they are ours to write.
fn signal_domain(reader: &Reader<'_>, host: &str, local_suffixes: &[String]) -> Result<Option<Domain>, Refusal> {
    match reader.domain_by_name(&format!("{LABEL}.{host}"))? {
        Some(signal) if is_eligible(reader, &signal, local_suffixes)? => Ok(Some(signal)),
        _ => Ok(None),
    }
}

/// Whether whoever has a domain with signals may speak for the name server.
fn is_eligible(reader: &Reader<'_>, signal: &Domain, local_suffixes: &[String]) -> Result<bool, Refusal> {
    let account = reader.account(signal.account)?.ok_or(StoreError::Damaged("the account of a domain"))?;
    let is_operator = account.class == Class::Operator;
    Ok(is_operator || !is_reserved(reader, account.id, &signal.name, local_suffixes)?)
}

/// What the signal about a domain at a name server has; `None` if there is none.
fn wanted(reader: &Reader<'_>, child: &Domain, host: &str) -> Result<Option<[Rdatas; 2]>, Refusal> {
    let is_within = host == child.name || host.strip_suffix(&*child.name).is_some_and(|rest| rest.ends_with('.'));
    if is_within || child.unproved.is_some() || child.denial == Denial::Off {
        return Ok(None);
    }
    if !reader.account(child.account)?.is_some_and(|account| account.active) {
        return Ok(None);
    }
    let mut own = reader.rrsets_of(child.id, &[])?;
    own.retain(|rrset| TOUCHING.contains(&rrset.rtype));
    if !hosts_of(own.iter().find(|rrset| rrset.rtype == Rtype::NS)).contains(host) {
        return Ok(None);
    }
    Ok(requests_of(child, &reader.keys(child.id)?, &own).map(<[Rdatas; 2]>::from))
}

/// The same for whatever domain has the name, and the name server of a domain with signals.
fn wanted_by_name(reader: &Reader<'_>, child: &str, signal: &Domain) -> Result<Option<[Rdatas; 2]>, Refusal> {
    match (reader.domain_by_name(child)?, host_of(&signal.name)) {
        (Some(child), Some(host)) => wanted(reader, &child, host),
        _ => Ok(None),
    }
}

/// What has to change of the signal about a name.
fn differing(
    reader: &Reader<'_>,
    signal: &Domain,
    child: &str,
    wanted: Option<[Rdatas; 2]>,
) -> Result<Vec<Target>, Refusal> {
    let subname = format!("{KIND}.{child}");
    if !is_name(&format!("{subname}.{}", signal.name)) {
        return Ok(Vec::new());
    }
    let node = node_of(&subname)?;
    let ttl_secs = TTL_SECS.max(signal.minimum_ttl_secs);
    let [cds, cdnskeys] = wanted.unwrap_or_default();
    let mut targets = Vec::new();
    for (rtype, rdatas) in TYPES.into_iter().zip([cds, cdnskeys]) {
        let stored = reader.rrset(signal.id, &node, rtype)?;
        let found: Rdatas = stored.iter().flat_map(Rrset::enabled).map(|record| record.rdata.clone()).collect();
        if found == rdatas && stored.is_none_or(|stored| stored.ttl_secs == ttl_secs) {
            continue;
        }
        let records = rdatas.into_iter().map(|rdata| record(rtype, rdata)).collect::<Result<Vec<_>, _>>()?;
        let state = (!records.is_empty()).then_some((ttl_secs, records));
        targets.push(Target { subname: subname.clone(), rtype, state });
    }
    Ok(targets)
}

/// Changes a domain with signals.
fn write(txn: &Txn<'_>, actor: &Actor, signal: Domain, targets: Vec<Target>) -> Result<(), Refusal> {
    if targets.is_empty() {
        return Ok(());
    }
    // Whoever changed the other domain has no say here and needs none, and where they did it from is nobody's business.
    let actor = Actor {
        account: signal.account,
        token: None,
        address: None,
        via: "signal",
        limits: Limits::OPERATOR,
        ..actor.clone()
    };
    carry_out(txn, &actor, signal, targets, &Plan::named("signal")).map(drop)
}

/// A record of this RDATA.
fn record(rtype: Rtype, rdata: Vec<u8>) -> Result<Record, Refusal> {
    let unreadable = || Refusal::Rules(vec![format!("a {rtype} record that cannot be written")]);
    let mut text = String::new();
    write_text(rtype, &rdata, &mut text).map_err(|_| unreadable())?;
    let content = lenient::content(rtype, &text).map_err(|_| unreadable())?;
    Ok(Record::new(content.text, rdata))
}

/// The names of an NS RRset, lower case, without a dot at the end.
fn hosts_of(rrset: Option<&Rrset>) -> BTreeSet<String> {
    let records = rrset.into_iter().flat_map(Rrset::enabled);
    let name = |rdata: &[u8]| NameRef::prefix_of(rdata).ok().map(|name| name.to_string().to_ascii_lowercase());
    let names = records.filter_map(|record| name(&record.rdata));
    names.map(|name| name.trim_end_matches('.').to_owned()).collect()
}

/// The name servers that a domain had before an edit.
fn hosts_before(edit: &Edit) -> Vec<String> {
    if !edit.subname.is_empty() || edit.rtype != Rtype::NS.to_string() {
        return Vec::new();
    }
    let records = edit.before.iter().flat_map(|state| &state.records);
    records.map(|record| record.content.to_ascii_lowercase().trim_end_matches('.').to_owned()).collect()
}

/// Whether a text without a dot at the end is a name, and not too long for one.
fn is_name(text: &str) -> bool {
    Name::parse(format!("{text}.").as_bytes(), None).is_ok()
}
