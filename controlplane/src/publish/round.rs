//! What one publication takes: everything that waits, read from one state of the database.

use std::collections::BTreeMap;

use snapshot::dns::name::Name;
use snapshot::image::Segment;

use super::big::BigZones;
use super::zone::{self, ZoneError};
use crate::store::changes::{Head, Node};
use crate::store::{ChangeId, DomainId, Reader, StoreError};

/// One committed state, compiled as far as it changed.
pub(super) struct Round {
    /// The last change in it.
    pub(super) head: Head,
    /// Segments to publish.
    pub(super) segments: Vec<Segment>,
    /// Zones that are gone.
    pub(super) removed: Vec<Name>,
    /// Zones that cannot be compiled.
    pub(super) refused: Vec<Refused>,
    /// How many changes it takes.
    pub(super) changes: u64,
}

/// What changed of one zone.
struct Touched {
    /// The owners that changed; `None` for all.
    nodes: Option<Vec<Node>>,
    /// The domain whose owners they are; another one of the same name may have come.
    domain: Option<DomainId>,
}

/// A zone that cannot be compiled.
pub(super) struct Refused {
    /// Its name.
    pub(super) name: String,
    /// The domain, as far as it is known.
    pub(super) domain: Option<DomainId>,
    /// Why.
    pub(super) cause: String,
}

/// What a publication has to take.
pub(super) struct Due<'d> {
    /// What came after this change.
    pub(super) after: ChangeId,
    /// Every domain.
    pub(super) is_whole: bool,
    /// Besides, the domains that changed after this change, whatever the outbox has: also those that are gone.
    pub(super) behind: Option<ChangeId>,
    /// Domains whose new base is ready.
    pub(super) ready: Vec<DomainId>,
    /// Zones that could not be compiled before, with their domains.
    pub(super) again: &'d BTreeMap<String, Option<DomainId>>,
}

impl Round {
    /// Reads and compiles what is due.
    pub(super) fn collect(reader: &Reader<'_>, due: &Due<'_>, big: &mut BigZones) -> Result<Round, StoreError> {
        let mut round =
            Round { head: reader.head()?, segments: Vec::new(), removed: Vec::new(), refused: Vec::new(), changes: 0 };
        for (name, touched) in round.touched(reader, due)? {
            let domain = touched.domain;
            if let Err(cause) = round.compile(reader, &name, touched, big) {
                // What this round would have added to an overlay is lost with it: the zone is compiled whole next.
                big.forget(&name, domain);
                round.refused.push(Refused { name, domain, cause: cause.to_string() });
            }
        }
        Ok(round)
    }

    /// Finds the zones that changed, by name.
    fn touched(&mut self, reader: &Reader<'_>, due: &Due<'_>) -> Result<BTreeMap<String, Touched>, StoreError> {
        let mut zones: BTreeMap<String, Touched> = BTreeMap::new();
        for waiting in reader.outbox(due.after)? {
            self.changes += 1;
            let domain = Some(waiting.domain);
            let zone = zones.entry(waiting.name).or_insert_with(|| Touched { nodes: Some(Vec::new()), domain });
            match (&mut zone.nodes, waiting.nodes) {
                (Some(all), Some(nodes)) if zone.domain == domain => all.extend(nodes),
                (all, _) => *all = None,
            }
        }
        for (name, &domain) in due.again {
            let touched = zones.entry(name.clone()).or_insert(Touched { nodes: None, domain });
            touched.nodes = None;
        }
        for &domain in &due.ready {
            if let Some(row) = reader.domain(domain)? {
                let touched = || Touched { nodes: Some(Vec::new()), domain: Some(domain) };
                zones.entry(row.name).or_insert_with(touched);
            }
        }
        if let Some(change) = due.behind {
            for (domain, name) in reader.changed_after(change)? {
                zones.insert(name, Touched { nodes: None, domain: Some(domain) });
            }
        }
        if due.is_whole {
            for id in reader.domain_ids()? {
                if let Some(row) = reader.domain(id)? {
                    zones.insert(row.name, Touched { nodes: None, domain: Some(id) });
                }
            }
        }
        Ok(zones)
    }

    /// Compiles one zone, or finds that it is gone or must not be served.
    fn compile(
        &mut self,
        reader: &Reader<'_>,
        name: &str,
        touched: Touched,
        big: &mut BigZones,
    ) -> Result<(), ZoneError> {
        let domain = reader.domain_by_name(name)?;
        let is_served = match &domain {
            Some(domain) => {
                let account = reader.account(domain.account)?;
                let account = account.ok_or(StoreError::Damaged("the account of a domain"))?;
                account.active && domain.unproved.is_none()
            }
            None => false,
        };
        // A name that leads to nothing while its row is there is a damaged index, and no reason to delete a zone.
        if domain.is_none()
            && let Some(id) = touched.domain
            && reader.domain(id)?.is_some_and(|row| row.name == name)
        {
            return Err(StoreError::Damaged("the index of domains").into());
        }
        match domain {
            Some(domain) if is_served => {
                let nodes = touched.nodes.filter(|_| touched.domain == Some(domain.id));
                self.segments.extend(big.compile(reader, &domain, nodes)?);
            }
            gone => {
                big.forget(name, gone.map(|domain| domain.id).or(touched.domain));
                self.removed.push(zone::absolute(name)?);
            }
        }
        Ok(())
    }
}
