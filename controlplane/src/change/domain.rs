//! Making and deleting domains, with the delegation a parent of ours needs.

use snapshot::dns::rtype::Rtype;

use super::apply::{apply, node_of};
use super::commit::{Plan, authorise, book, carry_out, exclusivity, living_token, record, structure_of};
use super::quota::{self, Cause, Cost, charge};
use super::{Actor, Committed, NS_LOCKED, Refusal, Target, owned, prove, serial, signal, signing};
use crate::auth;
use crate::naming::{self, Neighbours, Suffixes};
use crate::rrset::canonical::canonical;
use crate::rrset::{Content, Draft};
use crate::store::accounts::Class;
use crate::store::domains::{Denial, Domain, Released, SerialPolicy, Soa, SoaMode};
use crate::store::keys::NewKey;
use crate::store::rrsets::Record;
use crate::store::usage::Delta;
use crate::store::{AccountId, ChangeId, DomainId, Reader, StoreError, Txn};

/// For how long the name of a deleted domain is kept from other tenants, in microseconds: resolvers may still be led here
/// by a delegation that somebody forgot (RFC 9499 "lame delegation").
const RELEASE_TIME_US: i64 = 7 * 24 * 3600 * 1_000_000;
/// For how long a domain may wait for its proof, in microseconds: a delegation takes days to change at some registries,
/// and all that time the name is kept from whoever can prove it.
const UNPROVED_TIME_US: i64 = 7 * 24 * 3600 * 1_000_000;
/// TTL of the apex NS RRset in seconds.
const NS_TTL_SECS: u32 = 3600;

/// A domain that is to be made.
#[derive(Debug, Clone)]
pub struct NewDomain {
    /// Its name, which has passed the rules of [`naming`] that need no database.
    pub name: String,
    /// Our name servers, absolute names in presentation format.
    pub nameservers: Vec<String>,
    /// The SOA record.
    pub soa: Soa,
    /// Who writes that.
    pub soa_mode: SoaMode,
    /// How the serial grows.
    pub serial_policy: SerialPolicy,
    /// The least TTL of its RRsets in seconds.
    pub minimum_ttl_secs: u32,
    /// What it holds from the start, beside SOA and NS.
    pub drafts: Vec<Draft>,
    /// Zones below which anybody may register, of ours.
    pub local_suffixes: Vec<String>,
    /// Whether it is signed, and how.
    pub denial: Denial,
    /// What signs it.
    pub keys: Vec<NewKey>,
}

/// A domain that was made.
#[derive(Debug, Clone)]
pub struct Created {
    /// The domain.
    pub domain: Domain,
    /// The last change-set of it, or of the parent.
    pub change: ChangeId,
}

/// Makes a domain.
///
/// # Errors
/// [`Refusal`]; nothing is changed then.
pub fn create(txn: &Txn<'_>, actor: &Actor, new: NewDomain) -> Result<Created, Refusal> {
    let account = txn.account(actor.account)?.filter(|account| account.active).ok_or(Refusal::Forbidden)?;
    // The caller was let in before it waited for its turn.
    if living_token(txn, actor)?.is_some_and(|token| !token.perm_create_domain || token.read_only) {
        return Err(Refusal::Forbidden);
    }
    quota::domain(&account)?;
    let released = txn.released(&new.name)?;
    let kept = released.clone().filter(|it| actor.now_us - it.at_us < RELEASE_TIME_US);
    if account.class == Class::Hosting {
        is_free_for(txn, actor, &new, kept.as_ref())?;
    }
    let unproved = prove::challenge(txn, actor, &account, &new.name, kept.as_ref())?;
    // Secondaries may still hold the zone that was deleted, and take only a serial that is greater.
    let last_serial = released.map_or(0, |released| released.serial);
    let mut domain = Domain {
        id: DomainId(0),
        account: actor.account,
        name: new.name,
        created_us: actor.now_us,
        touched_us: actor.now_us,
        published_us: None,
        changed_us: actor.now_us,
        change: txn.next_change()?,
        minimum_ttl_secs: new.minimum_ttl_secs,
        serial: serial::next(last_serial, new.serial_policy, actor.now_us),
        serial_policy: new.serial_policy,
        soa_mode: new.soa_mode,
        soa: new.soa,
        rrset_count: 0,
        unproved,
        denial: new.denial,
        signed_us: actor.now_us,
    };
    domain.id = txn.add_domain(&domain)?.ok_or(Refusal::Taken)?;
    for key in &new.keys {
        txn.add_key(domain.account, domain.id, key, actor.now_us)?;
    }
    signing::await_served(txn, &domain, actor.now_us)?;
    // A token that may write into what it makes may fill it as well.
    auto_policy(txn, actor, &domain)?;
    authorise(txn, actor, &domain, new.drafts.iter().map(|draft| (&*draft.subname, draft.rtype)))?;
    if actor.house.locks_ns(&domain.name) && new.drafts.iter().any(|draft| draft.rtype == Rtype::NS) {
        return Err(Refusal::Rules(vec![NS_LOCKED.to_owned()]));
    }
    let mut targets = Vec::with_capacity(new.drafts.len() + 1);
    if !new.nameservers.is_empty() {
        targets.push(delegation("", &new.nameservers)?);
    }
    targets.extend(new.drafts.into_iter().filter_map(target_of));
    exclusivity(txn, &domain, &targets)?;
    let plan = Plan::named("create");
    structure_of(&targets, actor, &plan)?;
    let applied = apply(txn, actor, &mut domain, targets, &plan)?;
    // Zone files bring no keys, but whatever else makes domains may.
    owned::fits(txn, &domain, &[])?;
    let delta = Delta { domains: 1, ..applied.delta };
    book(txn, actor, &domain, &plan, &applied.edits, None, &delta)?;
    txn.update_domain(&domain)?;
    let parent = delegate(txn, actor, &domain, &new.local_suffixes, Some(&new.nameservers))?;
    let change = parent.and_then(|committed| committed.change).unwrap_or(domain.change);
    Ok(Created { domain, change })
}

/// Deletes a domain of the actor's account; `None` if there is none.
///
/// # Errors
/// [`Refusal::Forbidden`] if the token may not.
pub fn delete(
    txn: &Txn<'_>,
    actor: &Actor,
    name: &str,
    local_suffixes: &[String],
) -> Result<Option<ChangeId>, Refusal> {
    let domain = txn.domain_by_name(name)?.filter(|domain| domain.account == actor.account);
    let Some(domain) = domain else { return Ok(None) };
    if let Some(token) = living_token(txn, actor)?
        && (!token.perm_delete_domain || token.read_only || !auth::may_delete(&txn.policies(token.id)?, domain.id))
    {
        return Err(Refusal::Forbidden);
    }
    remove(txn, actor, domain, local_suffixes, (&Plan::named("delete"), Cause::Own)).map(Some)
}

/// Deletes a domain that nobody has proved within [`UNPROVED_TIME_US`]; `None` if it is proved or gone. `actor` acts for
/// whatever account has it.
///
/// # Errors
/// [`Refusal::Store`].
pub fn expire(txn: &Txn<'_>, actor: &Actor, domain: DomainId) -> Result<Option<ChangeId>, Refusal> {
    let is_due = |row: &Domain| row.unproved.is_some() && row.created_us < unproved_since(actor.now_us);
    let Some(domain) = txn.domain(domain)?.filter(is_due) else { return Ok(None) };
    let actor = Actor { account: domain.account, ..actor.clone() };
    // As a deletion it can be taken back, into a domain that is to be proved as well.
    let plan = Plan { note: Some("not proved in time".to_owned()), ..Plan::named("delete") };
    let suffixes = actor.house.local_suffixes.clone();
    remove(txn, &actor, domain, &suffixes, (&plan, Cause::Others)).map(Some)
}

/// When a domain must have been made to be kept though it is not proved, both in microseconds since 1970.
#[must_use]
pub fn unproved_since(now_us: i64) -> i64 {
    now_us - UNPROVED_TIME_US
}

/// Removes a domain, and its delegation if that is ours.
fn remove(
    txn: &Txn<'_>,
    actor: &Actor,
    mut domain: Domain,
    local_suffixes: &[String],
    (plan, cause): (&Plan, Cause),
) -> Result<ChangeId, Refusal> {
    let (mut edits, mut delta) = (Vec::new(), Delta { domains: -1, ..Delta::default() });
    txn.each_rrset(domain.id, |rrset| {
        delta.count(&domain.name, &rrset, -1);
        let before = Some(super::State::of(&rrset));
        edits.push(super::Edit { subname: rrset.subname, rtype: rrset.rtype.to_string(), before, after: None });
        Ok::<_, Refusal>(())
    })?;
    domain.change = txn.next_change()?;
    match cause {
        Cause::Own => book(txn, actor, &domain, plan, &edits, None, &delta)?,
        Cause::Others => {
            charge(txn, actor, &Cost { delta: &delta, history_len: 0, adds: false }, cause)?;
            record(txn, actor, &domain, plan, &edits, None)?;
        }
    }
    if domain.denial != Denial::Off {
        txn.release_keys(&domain)?;
    }
    txn.remove_domain(&domain, actor.now_us)?;
    let parent = delegate(txn, actor, &domain, local_suffixes, None)?;
    Ok(parent.and_then(|committed| committed.change).unwrap_or(domain.change))
}

/// Has all domains of an account published anew, after it was stopped or let go on: what is stopped is not served.
///
/// # Errors
/// [`Refusal::Store`].
pub fn withdraw(txn: &Txn<'_>, actor: &Actor) -> Result<Option<ChangeId>, Refusal> {
    let mut last = None;
    for mut domain in txn.domains_before(actor.account, None, usize::MAX)? {
        domain.change = txn.next_change()?;
        record(txn, actor, &domain, &Plan::named("withdraw"), &[], None)?;
        txn.update_domain(&domain)?;
        last = Some(domain.change);
    }
    Ok(last)
}

/// Until when the name of a domain that was deleted at this time is kept for its account, both in microseconds since 1970.
#[must_use]
pub fn kept_until(deleted_us: i64) -> i64 {
    deleted_us.saturating_add(RELEASE_TIME_US)
}

/// The domain here that encloses a name most closely, and what it says of the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The domain, which is served.
    pub domain: Domain,
    /// Whether it has a zone cut between itself and the name: then somebody else is the parent.
    pub is_cut_between: bool,
    /// Whether it delegates the name.
    pub has_ns: bool,
    /// Whether it has a DS RRset for it.
    pub has_ds: bool,
}

/// The domain here that encloses a name most closely; `None` if there is none.
///
/// # Errors
/// [`StoreError`].
pub fn parent_of(reader: &Reader<'_>, name: &str) -> Result<Option<Parent>, StoreError> {
    let above = |name: &str| name.split_once('.').map(|(_, above)| above.to_owned());
    let mut ancestors = std::iter::successors(above(name), |ancestor| above(ancestor));
    let found = ancestors.find_map(|ancestor| {
        let domain = reader.domain_by_name(&ancestor).transpose()?;
        Some(domain).filter(|domain| domain.as_ref().map_or(true, |domain| domain.unproved.is_none()))
    });
    let Some(domain) = found.transpose()? else { return Ok(None) };
    let subname = name.strip_suffix(&*domain.name).unwrap_or_default().trim_end_matches('.');
    let has = |owner: &str, rtype| {
        let Ok(node) = node_of(owner) else { return Ok(false) };
        let rrset = reader.rrset(domain.id, &node, rtype)?;
        Ok::<_, StoreError>(rrset.is_some_and(|rrset| rrset.enabled().next().is_some()))
    };
    let mut is_cut_between = false;
    for between in std::iter::successors(above(subname), |between| above(between)) {
        is_cut_between |= has(&between, Rtype::NS)?;
    }
    let (has_ns, has_ds) = (has(subname, Rtype::NS)?, has(subname, Rtype::DS)?);
    Ok(Some(Parent { domain, is_cut_between, has_ns, has_ds }))
}

/// Whether a tenant may have this name, given everybody's domains.
fn is_free_for(txn: &Reader<'_>, actor: &Actor, new: &NewDomain, kept: Option<&Released>) -> Result<(), Refusal> {
    if kept.is_some_and(|kept| kept.account != actor.account) {
        return Err(Refusal::Policy);
    }
    if txn.domain_by_name(&new.name)?.is_some() {
        return Err(Refusal::Taken);
    }
    if signal::is_reserved(txn, actor.account, &new.name, &new.local_suffixes)? {
        return Err(Refusal::Policy);
    }
    has_no_neighbours(txn, actor.account, &new.name, &new.local_suffixes)
}

/// Makes sure that no other account has a domain above or below a name. Domains that are not proved count for nothing:
/// whoever claims a name that is not theirs keeps nobody from those around it.
pub(super) fn has_no_neighbours(
    txn: &Reader<'_>,
    account: AccountId,
    name: &str,
    local_suffixes: &[String],
) -> Result<(), Refusal> {
    let suffixes = Suffixes { local: local_suffixes };
    let failed = std::cell::Cell::new(None);
    let neighbours = Neighbours {
        owner_of: |ancestor: &str| match txn.domain_by_name(ancestor) {
            Ok(domain) => domain.filter(|domain| domain.unproved.is_none()).map(|domain| domain.account),
            Err(error) => {
                failed.set(Some(error));
                None
            }
        },
        covers_foreign: txn.has_foreign_below(name, account)?,
    };
    let checked = naming::check_neighbours(name, &account, Class::Hosting, &suffixes, &neighbours);
    match failed.take() {
        Some(error) => Err(error.into()),
        None => checked.map_err(|_| Refusal::Policy),
    }
}

/// A draft of a new domain as a target.
fn target_of(draft: Draft) -> Option<Target> {
    let Draft { subname, rtype, ttl, records } = draft;
    let records = records.unwrap_or_default();
    let record = |Content { text, rdata }| Record::new(text, rdata);
    let state = Some((ttl?, records.into_iter().map(record).collect()));
    Some(Target { subname, rtype, state })
}

/// An NS RRset of name servers.
fn delegation(subname: &str, nameservers: &[String]) -> Result<Target, Refusal> {
    let record = |name: &String| {
        let content = canonical(Rtype::NS, name).map_err(|error| Refusal::Rules(vec![error.to_string()]))?;
        Ok(Record::new(content.text, content.rdata))
    };
    let records = nameservers.iter().map(record).collect::<Result<Vec<_>, Refusal>>()?;
    Ok(Target { subname: subname.to_owned(), rtype: Rtype::NS, state: Some((NS_TTL_SECS, records)) })
}

/// Gives the token that made a domain the right to write it, if that is its way.
fn auto_policy(txn: &Txn<'_>, actor: &Actor, domain: &Domain) -> Result<(), Refusal> {
    let Some(token) = actor.token else { return Ok(()) };
    let Some(row) = txn.token(actor.account, token)? else { return Ok(()) };
    if row.auto_policy {
        let domain = Some((domain.id, domain.name.clone()));
        let id = uuid::Uuid::new_v4();
        let policy = crate::store::policies::Policy { id, domain, subname: None, rtype: None, perm_write: true };
        txn.add_policy(actor.account, token, &policy)?;
    }
    Ok(())
}

/// Adds the delegation of a domain to its parent if that is a local public suffix we serve, or removes it.
fn delegate(
    txn: &Txn<'_>,
    actor: &Actor,
    domain: &Domain,
    local_suffixes: &[String],
    nameservers: Option<&[String]>,
) -> Result<Option<Committed>, Refusal> {
    let Some((subname, parent)) = domain.name.split_once('.') else { return Ok(None) };
    if !local_suffixes.iter().any(|suffix| suffix == parent) {
        return Ok(None);
    }
    let Some(parent) = txn.domain_by_name(parent)? else { return Ok(None) };
    let target = match nameservers {
        Some(nameservers) if !nameservers.is_empty() => delegation(subname, nameservers)?,
        _ => Target { subname: subname.to_owned(), rtype: Rtype::NS, state: None },
    };
    // The suffix belongs to the operator; the tenant's token has no say in it and needs none.
    let actor = Actor { account: parent.account, token: None, ..actor.clone() };
    let plan = Plan::named("delegate");
    carry_out(txn, &actor, parent, vec![target], &plan).map(Some)
}
