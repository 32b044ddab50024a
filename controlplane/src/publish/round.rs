//! What one publication takes: everything that waits, read from one state of the database.

use std::collections::BTreeMap;

use snapshot::dns::name::Name;

use super::big::{BigZones, Pieces};
use super::piece::Piece;
use super::zone::{self, ZoneError};
use crate::store::changes::{Head, Node};
use crate::store::{ChangeId, DomainId, Reader, StoreError};

/// One committed state, compiled as far as it changed.
pub(super) struct Round {
    /// The last change in it.
    pub(super) head: Head,
    /// What is published of zones.
    pub(super) pieces: Vec<Piece>,
    /// Zones that are gone.
    pub(super) removed: Vec<Name>,
    /// Zones that cannot be compiled.
    pub(super) refused: Vec<Refused>,
    /// Zones that are being signed beside this.
    pub(super) held: Vec<Held>,
    /// How many changes it takes.
    pub(super) changes: u64,
}

/// What changed of one zone.
struct Touched {
    /// The owners that changed; `None` for all.
    nodes: Option<Vec<Node>>,
    /// The domain whose owners they are; another one of the same name may have come.
    domain: Option<DomainId>,
    /// The changes.
    changes: Vec<ChangeId>,
}

/// A zone that is being signed.
pub(super) struct Held {
    /// Its name.
    pub(super) zone: String,
    /// The changes of it that this round takes.
    pub(super) changes: Vec<ChangeId>,
    /// The last change of which the round publishes something.
    pub(super) after: ChangeId,
}

/// A zone that cannot be compiled.
pub(super) struct Refused {
    /// Its name.
    pub(super) name: String,
    /// The domain, as far as it is known.
    pub(super) domain: Option<DomainId>,
    /// The changes of it that this round takes.
    pub(super) changes: Vec<ChangeId>,
    /// Why.
    pub(super) cause: String,
    /// Whether that can be over at any moment without a change of the zone, and costs next to nothing to find out.
    pub(super) passes: bool,
}

/// What a publication has to take.
pub(super) struct Due<'d> {
    /// What came after this change.
    pub(super) after: ChangeId,
    /// Every domain.
    pub(super) is_whole: bool,
    /// Besides, the domains that changed after this change, whatever the outbox has: also those that are gone.
    pub(super) behind: Option<ChangeId>,
    /// Domains of which something was compiled beside the publishing.
    pub(super) ready: Vec<DomainId>,
    /// Zones that could not be compiled before, with their domains.
    pub(super) again: &'d BTreeMap<String, Option<DomainId>>,
}

impl Touched {
    /// A zone of which nothing changed yet.
    fn nothing(domain: Option<DomainId>) -> Touched {
        Touched { nodes: Some(Vec::new()), domain, changes: Vec::new() }
    }

    /// Every owner of this domain.
    fn all_of(&mut self, domain: DomainId) {
        (self.nodes, self.domain) = (None, Some(domain));
    }
}

impl Round {
    /// Reads and compiles what is due.
    pub(super) fn collect(reader: &Reader<'_>, due: &Due<'_>, big: &mut BigZones) -> Result<Round, StoreError> {
        let (pieces, removed, refused, held) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut round = Round { head: reader.head()?, pieces, removed, refused, held, changes: 0 };
        for &domain in &due.ready {
            if reader.domain(domain)?.is_none() {
                big.forget_domain(domain);
            }
        }
        for (name, touched) in round.touched(reader, due, big)? {
            let (domain, changes) = (touched.domain, touched.changes.clone());
            if let Err(cause) = round.compile(reader, &name, touched, big) {
                // What this round would have added to an overlay is lost with it: the zone is compiled whole next.
                big.forget(&name, domain);
                let passes = cause.passes();
                round.refused.push(Refused { name, domain, changes, cause: cause.to_string(), passes });
            }
        }
        Ok(round)
    }

    /// Finds the zones that changed, by name.
    fn touched(
        &mut self,
        reader: &Reader<'_>,
        due: &Due<'_>,
        big: &BigZones,
    ) -> Result<BTreeMap<String, Touched>, StoreError> {
        let mut zones: BTreeMap<String, Touched> = BTreeMap::new();
        for waiting in reader.outbox(due.after)? {
            self.changes += 1;
            let domain = Some(waiting.domain);
            let zone = zones.entry(waiting.name).or_insert_with(|| Touched::nothing(domain));
            zone.changes.push(waiting.change);
            match (&mut zone.nodes, waiting.nodes) {
                (Some(all), Some(nodes)) if zone.domain == domain => all.extend(nodes),
                (all, _) => *all = None,
            }
        }
        // What is being signed is tried already.
        let is_tried = |domain: Option<DomainId>| domain.is_some_and(|domain| big.is_signing(domain));
        for (name, &domain) in due.again.iter().filter(|(_, domain)| !is_tried(**domain)) {
            zones.entry(name.clone()).or_insert_with(|| Touched::nothing(domain)).nodes = None;
        }
        for &domain in &due.ready {
            if let Some(row) = reader.domain(domain)? {
                zones.entry(row.name).or_insert_with(|| Touched::nothing(Some(domain)));
            }
        }
        if let Some(change) = due.behind {
            for (domain, name) in reader.changed_after(change)? {
                zones.entry(name).or_insert_with(|| Touched::nothing(Some(domain))).all_of(domain);
            }
        }
        if due.is_whole {
            for id in reader.domain_ids()? {
                if let Some(row) = reader.domain(id)? {
                    zones.entry(row.name).or_insert_with(|| Touched::nothing(Some(id))).all_of(id);
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
                let Pieces { pieces, held_after } = big.compile(reader, &domain, nodes)?;
                self.pieces.extend(pieces);
                if let Some(after) = held_after {
                    self.held.push(Held { zone: name.to_owned(), changes: touched.changes, after });
                }
            }
            gone => {
                big.forget_gone(name, gone.map(|domain| domain.id).or(touched.domain));
                self.removed.push(zone::absolute(name)?);
            }
        }
        Ok(())
    }
}
