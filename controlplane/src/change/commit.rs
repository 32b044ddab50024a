//! A change of RRsets: from drafts to rows, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use snapshot::dns::name::Name;
use snapshot::dns::rtype::Rtype;

use super::apply::{Applied, apply, node_of};
use super::quota::{Cause, Cost, charge};
use super::{
    Actor, Change, Committed, Edit, Edits, NS_LOCKED, Precondition, Refusal, Target, Verb, owned, serial, signal,
};
use crate::auth;
use crate::geo;
use crate::rrset::bulk::Bulk;
use crate::rrset::structure::{Origin, Present, StructureError, cname_conflict, structure};
use crate::rrset::{Content, Draft};
use crate::store::changes::{ChangeSet, Node};
use crate::store::domains::{Denial, Domain, Soa};
use crate::store::rrsets::{Record, Rrset};
use crate::store::tokens::Token;
use crate::store::usage::Delta;
use crate::store::{ChangeId, DomainId, Reader, Txn};

/// Makes a change, or says why not. Costs O(edits), whatever the size of the zone.
///
/// # Errors
/// [`Refusal`]; nothing is changed then, which a dry run brings about with [`Refusal::DryRun`].
pub fn commit(txn: &Txn<'_>, change: Change) -> Result<Committed, Refusal> {
    let Change { actor, domain, precondition, edits, dry_run } = change;
    let domain = txn.domain(domain)?.filter(|domain| domain.account == actor.account).ok_or(Refusal::NoDomain)?;
    if let Some(precondition) = precondition {
        compare(txn, &domain, &precondition)?;
    }
    let (plan, targets) = match edits {
        Edits::Targets { kind, undoes, note, targets, soa } => {
            let apex_soa = soa.as_ref().map(|_| ("", Rtype::SOA));
            let keys = targets.iter().map(|target| (&*target.subname, target.rtype));
            authorise(txn, &actor, &domain, keys.chain(apex_soa))?;
            (Plan { kind, undoes, note, soa }, targets)
        }
        Edits::Drafts(verb, drafts) => {
            authorise(txn, &actor, &domain, drafts.iter().map(|draft| (&*draft.subname, draft.rtype)))?;
            (Plan::EDIT, resolve(txn, &domain, verb, drafts)?)
        }
        Edits::New(item) => {
            authorise(txn, &actor, &domain, std::iter::once((item.subname(), item.rtype())))?;
            let stored = txn.types_of(domain.id, &node_of(item.subname())?)?;
            let draft = item.settle(&stored).map_err(Refusal::Body)?;
            (Plan::EDIT, resolve(txn, &domain, Verb::Put, vec![draft])?)
        }
        Edits::Known((subname, rtype), revision) => {
            authorise(txn, &actor, &domain, std::iter::once((&*subname, rtype)))?;
            txn.rrset(domain.id, &node_of(&subname)?, rtype)?.ok_or(Refusal::NoRrset)?;
            let draft = revision.settle().map_err(Refusal::Body)?;
            (Plan::EDIT, resolve(txn, &domain, Verb::Patch, vec![draft])?)
        }
        Edits::List(bulk) => {
            authorise(txn, &actor, &domain, bulk.keys())?;
            let drafts = settle(txn, &domain, bulk)?;
            (Plan::EDIT, resolve(txn, &domain, Verb::Patch, drafts)?)
        }
    };
    ns_lock(txn, &actor, &domain, &targets)?;
    exclusivity(txn, &domain, &targets)?;
    let committed = carry_out(txn, &actor, domain, targets, &plan)?;
    if dry_run { Err(Refusal::DryRun(Box::new(committed))) } else { Ok(committed) }
}

/// What a change-set is, and what else it changes.
pub(super) struct Plan {
    /// Its name.
    pub(super) kind: &'static str,
    /// What it takes back.
    pub(super) undoes: Option<ChangeId>,
    /// What is said about it.
    pub(super) note: Option<String>,
    /// New fields of the SOA record.
    pub(super) soa: Option<Soa>,
}

impl Plan {
    /// One that is only what its name says.
    pub(super) const fn named(kind: &'static str) -> Plan {
        Plan { kind, undoes: None, note: None, soa: None }
    }

    /// Whose doing it is: that of a domain which came or went below, what follows another domain, and what a recovery brings back, is
    /// nobody's write.
    fn cause(&self) -> Cause {
        if matches!(self.kind, "delegate" | "recover" | "signal") { Cause::Others } else { Cause::Own }
    }

    /// Whether it comes from where only enabled records are shown: RRsets as they are answered, zone files.
    pub(super) fn is_of_answers(&self) -> bool {
        matches!(self.kind, "edit" | "import")
    }

    /// Whether it brings back what was there, which may be from before a rule was made.
    fn brings_back(&self) -> bool {
        matches!(self.kind, "undo" | "restore" | "recover")
    }

    /// What the owner of a signed domain has beside our keys, if targets change that. What comes back with a whole domain is for the
    /// gate to judge: the rest of it must not be lost for that.
    fn owned_before(
        &self,
        txn: &Reader<'_>,
        domain: &Domain,
        targets: &[Target],
    ) -> Result<Option<Vec<Rrset>>, Refusal> {
        // Nothing has changed yet of a domain that was made again in this transaction.
        let is_made_again = self.kind == "recover" || (self.kind == "restore" && domain.published_us.is_none());
        let is_judged = domain.denial != Denial::Off && !is_made_again && owned::is_touched(targets);
        Ok(if is_judged { Some(owned::at_apex(txn, domain.id)?) } else { None })
    }

    /// An edit of RRsets.
    const EDIT: Plan = Plan::named("edit");
}

/// Judges a list with what the domain holds.
fn settle(txn: &Reader<'_>, domain: &Domain, bulk: Bulk) -> Result<Vec<Draft>, Refusal> {
    let mut failed = None;
    let settled = bulk.settle(|subname| {
        let types = node_of(subname).and_then(|node| Ok(txn.types_of(domain.id, &node)?));
        types.unwrap_or_else(|error| {
            failed = Some(error);
            Vec::new()
        })
    });
    match failed {
        Some(error) => Err(error),
        None => settled.map_err(Refusal::Body),
    }
}

/// Applies targets that were found right, and writes what must go with them.
pub(super) fn carry_out(
    txn: &Txn<'_>,
    actor: &Actor,
    mut domain: Domain,
    targets: Vec<Target>,
    plan: &Plan,
) -> Result<Committed, Refusal> {
    let changes_soa = plan.soa.as_ref().is_some_and(|soa| *soa != domain.soa);
    structure_of(&targets, actor, plan)?;
    let own = plan.owned_before(txn, &domain, &targets)?;
    let former = domain.clone();
    let Applied { rrsets, mut edits, nodes, delta } = apply(txn, actor, &mut domain, targets, plan)?;
    domain.touched_us = domain.touched_us.max(actor.now_us);
    if let Some(before) = own {
        owned::fits(txn, &domain, &before)?;
        owned::look_again(txn, &domain, actor.now_us)?;
    }
    let mut change = None;
    if !edits.is_empty() || changes_soa {
        if let Some(soa) = &plan.soa {
            domain.soa = soa.clone();
        }
        // The state before this change was published then, or will have been before this one is.
        domain.published_us = Some(domain.changed_us);
        let is_answered = changes_soa || !nodes.is_empty();
        if is_answered {
            domain.serial = serial::next(domain.serial, domain.serial_policy, actor.now_us);
            domain.changed_us = actor.now_us;
        }
        domain.change = txn.next_change()?;
        change = Some(domain.change);
        if changes_soa {
            edits.push(Edit::of_soa(&former, &domain));
        }
        // Every NSEC of a signed zone has the TTL of denials (RFC 9077).
        let denial_ttl_secs = |soa: &Soa| soa.ttl_secs.min(soa.minimum_secs);
        let is_whole = domain.denial != Denial::Off && denial_ttl_secs(&domain.soa) != denial_ttl_secs(&former.soa);
        book(txn, actor, &domain, plan, &edits, Some(&*nodes).filter(|_| !is_whole), &delta)?;
        // Rollovers wait until caches have forgotten what was signed with the old key, and the first DS until they have what
        // was not signed at all.
        if let Some(ttl_secs) = edits.iter().filter_map(Edit::lowered_ttl_secs).max() {
            txn.note_ttl(&domain, ttl_secs, actor.now_us)?;
        }
    }
    txn.update_domain(&domain)?;
    if change.is_some() {
        limits_of_owners(txn, actor, &domain, &edits)?;
    }
    Ok(Committed { change, domain, rrsets, edits })
}

/// Charges the account for what was done, and writes its change-set.
pub(super) fn book(
    txn: &Txn<'_>,
    actor: &Actor,
    domain: &Domain,
    plan: &Plan,
    edits: &[Edit],
    nodes: Option<&[Node]>,
    delta: &Delta,
) -> Result<(), Refusal> {
    let text = text_of(edits)?;
    let history_len = text.len() + plan.note.as_ref().map_or(0, String::len);
    let adds = delta.domains > 0 || !edits.iter().all(Edit::takes_away);
    charge(txn, actor, &Cost { delta, history_len, adds }, plan.cause())?;
    add(txn, actor, domain, plan, text, nodes)?;
    signal::follow(txn, actor, domain, plan.kind, edits)
}

/// Writes the change-set of what was done, which costs the account nothing.
pub(super) fn record(
    txn: &Txn<'_>,
    actor: &Actor,
    domain: &Domain,
    plan: &Plan,
    edits: &[Edit],
    nodes: Option<&[Node]>,
) -> Result<(), Refusal> {
    add(txn, actor, domain, plan, text_of(edits)?, nodes)?;
    signal::follow(txn, actor, domain, plan.kind, edits)
}

/// Edits as they are remembered.
fn text_of(edits: &[Edit]) -> Result<String, Refusal> {
    serde_json::to_string(edits).map_err(|_| Refusal::Rules(vec!["the change cannot be written".into()]))
}

/// Writes a change-set.
fn add(
    txn: &Txn<'_>,
    actor: &Actor,
    domain: &Domain,
    plan: &Plan,
    edits: String,
    nodes: Option<&[Node]>,
) -> Result<(), Refusal> {
    let change = ChangeSet {
        id: domain.change,
        account: domain.account,
        domain: domain.id,
        name: domain.name.clone(),
        at_us: actor.now_us,
        via: actor.via.to_owned(),
        token: actor.token,
        address: actor.address.map(|address| address.to_string()),
        kind: plan.kind.to_owned(),
        undoes: plan.undoes,
        note: plan.note.clone(),
        serial: domain.serial,
        edits,
    };
    Ok(txn.add_change_set(&change, nodes)?)
}

/// The entity tag of an RRset: another one for other content.
#[must_use]
pub fn etag(rrset: &Rrset) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(&rrset.id.to_le_bytes()).update(&rrset.ttl_secs.to_le_bytes());
    for record in &rrset.records {
        hash.update(record.content.as_bytes()).update(&[0, u8::from(record.enabled)]);
        hash.update(&record.weight.map_or([0; 5], |weight| {
            let [a, b, c, d] = weight.to_le_bytes();
            [1, a, b, c, d]
        }));
        for text in [&record.geo, &record.comment] {
            hash.update(text.as_deref().unwrap_or_default().as_bytes()).update(&[u8::from(text.is_some())]);
        }
    }
    format!("\"{}\"", &hash.finalize().to_hex()[..16])
}

/// The entity tag of a domain: another one after each change and each write that touched it.
#[must_use]
pub fn domain_etag(domain: &Domain) -> String {
    format!("\"{}-{:x}\"", domain.change.0, domain.touched_us)
}

/// Makes sure that a domain is what the caller has seen, before something happens to all of it.
///
/// # Errors
/// [`Refusal::Precondition`].
pub fn expect(txn: &Reader<'_>, domain: DomainId, seen: Option<&Precondition>) -> Result<(), Refusal> {
    let Some(seen) = seen else { return Ok(()) };
    let domain = txn.domain(domain)?.ok_or(Refusal::Precondition)?;
    compare(txn, &domain, seen)
}

/// Compares what the caller has seen with what is there.
fn compare(txn: &Reader<'_>, domain: &Domain, precondition: &Precondition) -> Result<(), Refusal> {
    let found = match &precondition.rrset {
        Some((subname, rtype)) => {
            let rrset = txn.rrset(domain.id, &node_of(subname)?, *rtype)?;
            rrset.as_ref().map(etag)
        }
        None => Some(domain_etag(domain)),
    };
    let is_met = found.is_some_and(|found| precondition.etags.iter().any(|etag| *etag == found || etag == "*"));
    if is_met { Ok(()) } else { Err(Refusal::Precondition) }
}

/// A subname in lower case and without needless escapes; `None` if it is no name.
fn canonical_subname(subname: &str) -> Option<String> {
    if subname.is_empty() {
        return Some(String::new());
    }
    let name = Name::parse(format!("{subname}.").as_bytes(), None).ok()?;
    Some(name.to_canonical().to_string().trim_end_matches('.').to_owned())
}

/// The token that acts, which may have ended since the caller was let in; `None` for the operator on this machine.
///
/// # Errors
/// [`Refusal::Forbidden`] if it is no longer, its time has passed or its account was stopped.
pub(super) fn living_token(txn: &Reader<'_>, actor: &Actor) -> Result<Option<Token>, Refusal> {
    let Some(id) = actor.token else { return Ok(None) };
    let mut token = txn.token(actor.account, id)?.ok_or(Refusal::Forbidden)?;
    // It is in use now, which the row may not say yet.
    token.last_used_us = Some(actor.now_us);
    let is_active = txn.account(actor.account)?.is_some_and(|account| account.active);
    if is_active && token.is_valid(actor.now_us) { Ok(Some(token)) } else { Err(Refusal::Forbidden) }
}

/// Asks the token's policies about every RRset.
pub(super) fn authorise<'e>(
    txn: &Reader<'_>,
    actor: &Actor,
    domain: &Domain,
    mut rrsets: impl Iterator<Item = (&'e str, Rtype)>,
) -> Result<(), Refusal> {
    let Some(token) = living_token(txn, actor)? else { return Ok(()) };
    let policies = txn.policies(token.id)?;
    let may = |(subname, rtype): (&str, Rtype)| {
        // Policies know one spelling of a name, so what is asked is brought into that.
        let spelled = canonical_subname(subname);
        spelled.is_some_and(|subname| auth::may_write(&policies, domain.id, &subname, &rtype.to_string()))
    };
    if token.read_only || !rrsets.all(may) { Err(Refusal::Forbidden) } else { Ok(()) }
}

/// Refuses to change NS records where those are ours to decide; to write what is there already changes nothing.
fn ns_lock(txn: &Reader<'_>, actor: &Actor, domain: &Domain, targets: &[Target]) -> Result<(), Refusal> {
    if !actor.house.locks_ns(&domain.name) {
        return Ok(());
    }
    for Target { subname, state, .. } in targets.iter().filter(|target| target.rtype == Rtype::NS) {
        let rdata = |records: &[Record]| {
            let enabled = records.iter().filter(|record| record.enabled);
            enabled.map(|record| record.rdata.clone()).collect::<BTreeSet<_>>()
        };
        let stored = txn.rrset(domain.id, &node_of(subname)?, Rtype::NS)?;
        let stored = stored.map(|rrset| (rrset.ttl_secs, rdata(&rrset.records)));
        if stored != state.as_ref().map(|(ttl_secs, records)| (*ttl_secs, rdata(records))) {
            return Err(Refusal::Rules(vec![NS_LOCKED.to_owned()]));
        }
    }
    Ok(())
}

/// Finds out what drafts ask for, given what is there.
fn resolve(txn: &Reader<'_>, domain: &Domain, verb: Verb, drafts: Vec<Draft>) -> Result<Vec<Target>, Refusal> {
    let target = |draft: Draft| {
        let Draft { subname, rtype, ttl, records } = draft;
        let before = match verb {
            Verb::Patch => txn.rrset(domain.id, &node_of(&subname)?, rtype)?,
            Verb::Put => None,
        };
        let records = records.map(|records| {
            records.into_iter().map(|Content { text, rdata }| Record::new(text, rdata)).collect::<Vec<Record>>()
        });
        let (before_ttl, before_records) = before.map(|before| (before.ttl_secs, before.records)).unzip();
        let state = match (ttl.or(before_ttl), records.or(before_records)) {
            (_, Some(records)) if records.is_empty() => None,
            (Some(ttl), Some(records)) => Some((ttl, records)),
            _ => return Err(Refusal::Rules(vec![format!("{} {rtype} needs a TTL and records.", shown(&subname))])),
        };
        Ok(Target { subname, rtype, state })
    };
    drafts.into_iter().map(target).collect()
}

/// A subname for people.
fn shown(subname: &str) -> &str {
    if subname.is_empty() { "@" } else { subname }
}

/// Makes sure that a CNAME stays alone, with all of the change in view.
pub(super) fn exclusivity(txn: &Reader<'_>, domain: &Domain, targets: &[Target]) -> Result<(), Refusal> {
    let mut owners: BTreeMap<&str, Present> = BTreeMap::new();
    for target in targets {
        if !owners.contains_key(&*target.subname) {
            let stored = txn.types_of(domain.id, &node_of(&target.subname)?)?;
            let from_database = |rtype: Rtype| (rtype.to_string(), BTreeSet::from([Origin::Database]));
            owners.insert(&target.subname, stored.into_iter().map(from_database).collect());
        }
    }
    for (idx, target) in targets.iter().enumerate() {
        let Some(present) = owners.get_mut(&*target.subname) else { continue };
        let rtype = target.rtype.to_string();
        if target.state.is_some() {
            present.insert(rtype, BTreeSet::from([Origin::Item(idx)]));
        } else {
            present.remove(&rtype);
        }
    }
    let conflict = |target: &Target| {
        let present = owners.get(&*target.subname).filter(|_| target.state.is_some())?;
        cname_conflict(&target.rtype.to_string(), present)
    };
    let errors: Vec<String> = targets.iter().filter_map(conflict).collect();
    if errors.is_empty() { Ok(()) } else { Err(Refusal::Rules(errors)) }
}

/// The rules of single RRsets.
pub(super) fn structure_of(targets: &[Target], actor: &Actor, plan: &Plan) -> Result<(), Refusal> {
    let is_old = |error: &StructureError| plan.brings_back() && error.is_of_request();
    for Target { subname, rtype, state } in targets {
        let Some((_, records)) = state else { continue };
        if let Err(mut errors) = structure(subname, *rtype, records.len()) {
            errors.retain(|error| !is_old(error));
            if !errors.is_empty() {
                return Err(Refusal::Rules(texts(&errors)));
            }
        }
        if records.len() > actor.limits.record_count_max {
            let max = actor.limits.record_count_max;
            return Err(Refusal::Rules(vec![format!("An RRset may have at most {max} records.")]));
        }
        geo::check(*rtype, records).map_err(|cause| Refusal::Rules(vec![cause]))?;
    }
    Ok(())
}

/// Errors as texts.
fn texts(errors: &[impl ToString]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// No owner may have more types than the account's class allows.
fn limits_of_owners(txn: &Reader<'_>, actor: &Actor, domain: &Domain, edits: &[Edit]) -> Result<(), Refusal> {
    let max = actor.limits.type_count_max;
    if max == usize::MAX {
        return Ok(());
    }
    for edit in edits.iter().filter(|edit| edit.before.is_none()) {
        if txn.types_of(domain.id, &node_of(&edit.subname)?)?.len() > max {
            return Err(Refusal::Rules(vec![format!("A name may have at most {max} types.")]));
        }
    }
    Ok(())
}
