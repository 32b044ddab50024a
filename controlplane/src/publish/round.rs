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
    /// Zones that cannot be compiled, by name, and why.
    pub(super) refused: Vec<(String, String)>,
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

impl Round {
    /// Reads what came after the change `done`, all domains if `is_whole`, and those whose new base is `ready`.
    pub(super) fn collect(
        reader: &Reader<'_>,
        done: ChangeId,
        is_whole: bool,
        ready: &[DomainId],
        big: &mut BigZones,
    ) -> Result<Round, StoreError> {
        let mut round =
            Round { head: reader.head()?, segments: Vec::new(), removed: Vec::new(), refused: Vec::new(), changes: 0 };
        for (name, touched) in round.touched(reader, done, is_whole, ready)? {
            if let Err(cause) = round.compile(reader, &name, touched, big) {
                round.refused.push((name, cause.to_string()));
            }
        }
        Ok(round)
    }

    /// Finds the zones that changed, by name.
    fn touched(
        &mut self,
        reader: &Reader<'_>,
        done: ChangeId,
        is_whole: bool,
        ready: &[DomainId],
    ) -> Result<BTreeMap<String, Touched>, StoreError> {
        let mut zones: BTreeMap<String, Touched> = BTreeMap::new();
        for waiting in reader.outbox(done)? {
            self.changes += 1;
            let domain = Some(waiting.domain);
            let zone = zones.entry(waiting.name).or_insert_with(|| Touched { nodes: Some(Vec::new()), domain });
            match (&mut zone.nodes, waiting.nodes) {
                (Some(all), Some(nodes)) if zone.domain == domain => all.extend(nodes),
                (all, _) => *all = None,
            }
        }
        for &domain in ready {
            if let Some(row) = reader.domain(domain)? {
                let touched = || Touched { nodes: Some(Vec::new()), domain: Some(domain) };
                zones.entry(row.name).or_insert_with(touched);
            }
        }
        if is_whole {
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
        let is_active = match &domain {
            Some(domain) => reader.account(domain.account)?.is_some_and(|account| account.active),
            None => false,
        };
        match domain {
            Some(domain) if is_active => {
                let nodes = touched.nodes.filter(|_| touched.domain == Some(domain.id));
                self.segments.extend(big.compile(reader, &domain, nodes)?);
            }
            gone => {
                gone.map(|domain| domain.id).or(touched.domain).into_iter().for_each(|domain| big.forget(domain));
                self.removed.push(zone::absolute(name)?);
            }
        }
        Ok(())
    }
}
