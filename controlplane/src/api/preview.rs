//! What stands in the way of a new domain, and what it would be: asked before it is made, and by whoever plans it.
//!
//! A zone that was compiled from a file gives way to a new domain of its name. Invariant: that happens only if the domain comes
//! with content of its own, which passes the gates, or if it is asked for in as many words; and never for tenants. Every door
//! that makes domains asks [`Api::place`] and comes through [`Api::make`].

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::gates::{Names, Signatures};
use super::{Api, import, refusal};
use crate::change::{self, Actor, Created, Grounds, NewDomain};
use crate::gate::{Force, Gate};
use crate::http::call::Call;
use crate::http::reply::Refusal;
use crate::naming::{self, Suffixes};
use crate::publish::FilesUnknown;
use crate::rrset::Draft;
use crate::store::accounts::{Account, Class};
use crate::store::{StoreError, Txn};
use crate::zonetext::Report;
use crate::zonetext::diff::{Diff, Mode};

/// The query parameter that asks for it in as many words.
pub(super) const REPLACE: &str = "replace_file_zone";
/// The query parameter with which a zone file that is signed makes no domain that is not: without it, signatures are left out
/// silently, as clients of this API expect.
pub(super) const REFUSE_SIGNED: &str = "refuse_signed";

/// What a new domain would be.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NewDomainPreview)]
pub(super) struct Preview {
    /// Its name.
    name: String,
    /// The name servers at its apex: ours, whatever the zone file says.
    nameservers: Vec<String>,
    /// The names of server and mailbox in its SOA record: ours, whatever the zone file says.
    soa: [String; 2],
    /// The least TTL of its RRsets in seconds.
    minimum_ttl: u32,
    /// How many names the zone has that is served from a file under this name now, and would go; none if there is none.
    replaces_names: Option<u32>,
    /// What the zone file would bring.
    #[serde(flatten)]
    outcome: import::View,
}

/// A zone that would give way.
pub(super) struct Replaced {
    /// How many names it has.
    pub(super) before: u32,
    /// How many of them would go.
    names: Names,
    /// Whether that was asked for.
    is_asked: bool,
}

/// Where a domain may be made, which [`Api::place`] found out.
#[must_use]
pub(super) struct Place {
    /// The zone that gives way to it, if there is one.
    pub(super) replaced: Option<Replaced>,
}

/// Why a transaction makes no domain.
enum Attempt {
    /// It could, but was not to; nothing was changed.
    DryRun(Box<Created>),
    /// It cannot.
    Refused(change::Refusal),
}

impl From<StoreError> for Attempt {
    fn from(error: StoreError) -> Attempt {
        Attempt::Refused(error.into())
    }
}

impl Api {
    /// Where a new domain of this name would be. `names_after` is how many names the content has that the domain comes with.
    pub(super) async fn place(
        &self,
        call: &Call<Api>,
        account: &Account,
        name: &str,
        names_after: Option<usize>,
    ) -> Result<Place, Refusal> {
        let is_asked = import::query_flag(call, REPLACE)?;
        self.writable()?;
        let zone = self.publisher.file_zone(name).await.map_err(unknown)?;
        if account.class == Class::Hosting && !call.caller()?.is_admin() {
            // Whoever may not have a domain's name gets no name within it, nor around it.
            let suffixes = Suffixes { local: &self.settings.local_suffixes };
            let ancestors: Vec<&str> = naming::ancestors(name, &suffixes).collect();
            if zone.is_some() || self.publisher.is_near_file_zone(name, &ancestors).await.map_err(unknown)? {
                return Err(Refusal::field("name", change::Refusal::Policy.to_string()));
            }
        }
        let Some(before) = zone else { return Ok(Place { replaced: None }) };
        if names_after.is_none() && !is_asked {
            let detail = format!(
                "{name} is served from a zone file now, with {before} names, and an empty domain would take its place. Import \
                 the file instead (dnsctl domain import FILE), take it out of service first (dnsctl compile without it), or \
                 give it up with ?{REPLACE}=true (dnsctl domain add {name} --replace-file-zone)."
            );
            return Err(Refusal::json(409, json!({ "detail": detail, "names": { "before": before } })));
        }
        let names_before = usize::try_from(before).unwrap_or(usize::MAX);
        let gone = names_before.saturating_sub(names_after.unwrap_or(0));
        let replaced = Replaced { before, names: Names { before: names_before, gone }, is_asked };
        Ok(Place { replaced: Some(replaced) })
    }

    /// Makes a domain in a place, as every door does that makes one. What a dry run came to is a success, and leaves nothing.
    pub(super) async fn make(
        &self,
        place: &Place,
        actor: Actor,
        dry_run: bool,
        make: impl FnOnce(&Txn<'_>, &Actor) -> Result<Created, change::Refusal> + Send + 'static,
    ) -> Result<Created, Refusal> {
        self.writable()?;
        let gives_way = place.replaced.is_some();
        let attempt = move |txn: &Txn<'_>| {
            let mut created = make(txn, &actor).map_err(Attempt::Refused)?;
            if gives_way {
                vouch(txn, &actor, &mut created).map_err(Attempt::Refused)?;
            }
            // An error takes back what the transaction has done.
            if dry_run { Err(Attempt::DryRun(Box::new(created))) } else { Ok(created) }
        };
        match self.store.write(attempt).await {
            Ok(created) => {
                self.publisher.forget_file_zone(&created.domain.name);
                Ok(created)
            }
            Err(Attempt::DryRun(created)) => Ok(*created),
            Err(Attempt::Refused(refused)) => Err(refusal::of_change(refused)),
        }
    }
}

/// 503: to take a name that may be served from a file cannot be taken back.
fn unknown(unknown: FilesUnknown) -> Refusal {
    Refusal::detail(503, format!("No domains can be made at the moment: {unknown}."))
}

/// Has a domain published that took the place of a zone file. Only the operator has it do so for a tenant, and the name was
/// served from here before: to wait for a proof would take it out of service.
fn vouch(txn: &Txn<'_>, actor: &Actor, created: &mut Created) -> Result<(), change::Refusal> {
    let grounds = Grounds::Fiat("the operator put it in the place of a zone file".to_owned());
    let (domain, change) = change::prove(txn, actor, created.domain.id, grounds)?;
    created.domain = domain;
    created.change = change.unwrap_or(created.change);
    Ok(())
}

impl Place {
    /// Refuses what goes through a gate that is not forced.
    pub(super) fn pass(&self, force: Option<&Force>) -> Result<(), Refusal> {
        self.replaced.as_ref().map_or(Ok(()), |replaced| replaced.pass(force))
    }
}

impl Replaced {
    /// The gate that has to be forced, if one has.
    pub(super) fn gate(&self) -> Option<Gate> {
        self.names.gate().filter(|_| !self.is_asked)
    }

    /// See [`Place::pass`].
    fn pass(&self, force: Option<&Force>) -> Result<(), Refusal> {
        if self.is_asked { Ok(()) } else { self.names.pass(force) }
    }
}

impl Preview {
    /// Of a domain that would come with these RRsets.
    pub(super) fn of(
        created: &Created,
        new: &NewDomain,
        report: Report,
        (replaced, signatures): (Option<&Replaced>, Signatures),
    ) -> Preview {
        let gates = [replaced.and_then(Replaced::gate), signatures.gate()];
        let gates = gates.into_iter().flatten().map(Gate::name).collect();
        let diff = Diff::of_import(Vec::new(), &new.drafts, Mode::Create);
        Preview {
            name: created.domain.name.clone(),
            nameservers: new.nameservers.clone(),
            soa: [created.domain.soa.mname.clone(), created.domain.soa.rname.clone()],
            minimum_ttl: created.domain.minimum_ttl_secs,
            replaces_names: replaced.map(|replaced| replaced.before),
            outcome: import::shown(diff, report, (Mode::Create, true), gates, (created.domain.serial, None)),
        }
    }
}

/// How many names a domain has with these RRsets; its own name always has some.
pub(super) fn name_count(drafts: &[Draft]) -> usize {
    let names: std::collections::HashSet<&str> = drafts.iter().map(|draft| &*draft.subname).chain([""]).collect();
    names.len()
}
