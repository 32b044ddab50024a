//! Big zones: a whole segment that stays, and an overlay with what changed since.
//!
//! A change costs the names that it touches. When an overlay has grown, a thread compiles the zone anew beside the
//! publishing, and what changed meanwhile becomes the next overlay. After a start the bases are those of the published
//! generation. Invariant: an overlay holds every owner that changed since the state its base was compiled from.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use crossbeam::channel::{self, Receiver, Sender};
use snapshot::dns::name::Name;
use snapshot::dns::zone::Zone;
use snapshot::handover::Survey;
use snapshot::image::{
    BaseFacts, Laid, OverlayBuilder, OverlayError, ReadError, Segment, Touched, ZoneCounts, ZoneFacts, ZoneReader as _,
};
use tracing::{debug, warn};

use super::rows::{Rows, name_of};
use super::signed::SignedRows;
use super::zone::{self, ZoneError};
use crate::check::dnssec::gate::Refused;
use crate::dnssec::{Dnssec, Signatory};
use crate::sign::{Denial as Chain, Published, SignError};
use crate::store::changes::Node;
use crate::store::domains::Domain;
use crate::store::{ChangeId, DomainId, Reader, Store, StoreError};

/// From so many RRsets on a zone is big: reading and compiling fewer costs about a millisecond.
const RRSETS_MIN: u32 = 256;
/// An overlay with so many nodes is folded: early enough that it stays small until that is done.
const FOLD_NODES_MIN: usize = 1024;

/// The big zones.
pub(super) struct BigZones {
    /// Those that were compiled or changed since start, by number of the domain.
    zones: HashMap<DomainId, Big>,
    /// Those that were not, as they are published.
    published: PublishedZones,
    /// Those that were compiled for the generation that is being made.
    fresh: Vec<DomainId>,
    /// For threads that fold.
    store: Arc<Store>,
    /// What signs.
    signer: Option<Arc<Dnssec>>,
    /// Where they put what they made.
    done: Sender<Folded>,
    /// What they made.
    folded: Receiver<Folded>,
    /// How many were begun.
    fold_count: u64,
    /// Whether one is under way: each reads a whole zone, so there is one at a time.
    is_folding: bool,
}

/// The big zones of the generation that was found at the start.
#[derive(Default)]
struct PublishedZones {
    /// The change that generation goes up to.
    change: ChangeId,
    /// By name, without a dot at the end; those that were published again since are gone.
    zones: HashMap<String, Laid>,
}

/// A big zone.
struct Big {
    /// How much the base has.
    counts: ZoneCounts,
    /// What changed since.
    overlay: OverlayBuilder,
    /// What changed since as well, and is not in that yet: what a former process had published.
    before: Vec<Touched>,
    /// The fold that is under way, if one is, and what changed since it was begun.
    folding: Option<(FoldId, Vec<Node>)>,
    /// What that fold has made.
    ready: Option<Segment>,
    /// The names of the last overlay, signed, if the zone is: signatures over what stays the same are used again.
    part: Option<Arc<Zone>>,
}

/// Tells folds apart: a zone that was compiled whole meanwhile takes nothing from an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FoldId(u64);

/// A zone that was compiled anew.
pub(super) struct Folded {
    /// Which fold.
    id: FoldId,
    /// The domain.
    domain: DomainId,
    /// The new base.
    base: Result<Segment, ZoneError>,
}

impl BigZones {
    /// None yet.
    pub(super) fn new(store: Arc<Store>, signer: Option<Arc<Dnssec>>) -> BigZones {
        let (done, folded) = channel::unbounded();
        let (zones, published, fresh) = (HashMap::new(), PublishedZones::default(), Vec::new());
        BigZones { zones, published, fresh, store, signer, done, folded, fold_count: 0, is_folding: false }
    }

    /// Learns the bases of the published generation, if the database is the one that it was made of.
    pub(super) fn learn(&mut self, reader: &Reader<'_>, survey: &Survey) -> Result<(), StoreError> {
        let change = ChangeId(survey.change);
        // Zones that were compiled from files are none of the database's.
        if survey.change == 0 || reader.chain_at(change)? != Some(survey.chain) {
            return Ok(());
        }
        let zones = survey.view.laid(RRSETS_MIN).into_iter();
        let zones = zones.map(|laid| (laid.facts.apex.to_string().trim_end_matches('.').to_owned(), laid)).collect();
        self.published = PublishedZones { change, zones };
        Ok(())
    }

    /// What threads have folded.
    pub(super) fn folded(&self) -> Receiver<Folded> {
        self.folded.clone()
    }

    /// Takes what a thread has folded; the number of the domain if its next segments are made of it.
    pub(super) fn accept(&mut self, folded: Folded) -> Option<DomainId> {
        let Folded { id, domain, base } = folded;
        self.is_folding = false;
        let big = self.zones.get_mut(&domain).filter(|big| big.is_folding(id))?;
        match base {
            Ok(base) => {
                big.ready = Some(base);
                Some(domain)
            }
            Err(cause) => {
                warn!("an overlay stays as it is: {cause}");
                big.folding = None;
                None
            }
        }
    }

    /// Notes that what was compiled is published.
    pub(super) fn keep_fresh(&mut self) {
        self.fresh.clear();
    }

    /// Forgets what was compiled for a generation that did not come about: those zones are compiled whole next.
    pub(super) fn forget_fresh(&mut self) {
        for domain in self.fresh.drain(..) {
            self.zones.remove(&domain);
        }
    }

    /// Forgets a zone that is gone; its number may not be known.
    pub(super) fn forget(&mut self, name: &str, domain: Option<DomainId>) {
        if let Some(domain) = domain {
            self.zones.remove(&domain);
        }
        self.published.zones.remove(name);
    }

    /// Compiles what changed of a domain: `nodes`, or all of it.
    ///
    /// # Errors
    /// [`ZoneError`]; the next change compiles the zone whole then, so that none is left out.
    pub(super) fn compile(
        &mut self,
        reader: &Reader<'_>,
        domain: &Domain,
        nodes: Option<Vec<Node>>,
    ) -> Result<Vec<Segment>, ZoneError> {
        self.fresh.push(domain.id);
        let published = self.published.take(reader, domain)?;
        let known = self.zones.remove(&domain.id).or(published);
        if let (Some(nodes), Some(big)) = (nodes, known) {
            match big.follow(reader, domain, nodes, self.signer.as_deref()) {
                Ok((mut big, segments)) => {
                    self.fold_if_due(&mut big, domain.id);
                    self.zones.insert(domain.id, big);
                    return Ok(segments);
                }
                // The zone is compiled whole instead; whatever is really wrong with it shows there.
                Err(cause) => debug!("no overlay for {}: {cause}", domain.name),
            }
        }
        let segment = zone::compile(reader, domain, self.signer.as_deref())?;
        self.remember(domain, &segment);
        Ok(vec![segment])
    }

    /// Keeps the facts of a whole segment, if its zone is big.
    fn remember(&mut self, domain: &Domain, segment: &Segment) {
        if domain.rrset_count < RRSETS_MIN {
            return;
        }
        if let Some(big) = Big::on(segment) {
            self.zones.insert(domain.id, big);
        }
    }

    /// Has a zone compiled anew by a thread if its overlay has grown.
    fn fold_if_due(&mut self, big: &mut Big, domain: DomainId) {
        if self.is_folding || big.folding.is_some() || big.overlay.node_count() < FOLD_NODES_MIN {
            return;
        }
        let (store, done, signer) = (Arc::clone(&self.store), self.done.clone(), self.signer.clone());
        self.fold_count += 1;
        let id = FoldId(self.fold_count);
        let fold = move || {
            let base = store.read(|reader| match reader.domain(domain)? {
                Some(row) => zone::compile(reader, &row, signer.as_deref()),
                None => Err(ZoneError::Gone),
            });
            // Whoever publishes may have ended.
            done.send(Folded { id, domain, base }).ok();
        };
        match thread::Builder::new().name("fold".into()).spawn(fold) {
            // The thread reads a state that is not older than this one, so what changes from here on covers the difference.
            Ok(_) => {
                self.is_folding = true;
                big.folding = Some((id, Vec::new()));
            }
            Err(cause) => warn!("an overlay stays as it is: {cause}"),
        }
    }
}

impl PublishedZones {
    /// A zone to go on from, if what is published is what the domain was at that change: a zone that could not be compiled
    /// keeps older content, and another domain may have had the name. It is given once, as it is published anew with this.
    fn take(&mut self, reader: &Reader<'_>, domain: &Domain) -> Result<Option<Big>, StoreError> {
        let Some(laid) = self.zones.remove(&domain.name) else { return Ok(None) };
        let last = reader.change_sets_of(domain.id, Some(ChangeId(self.change.0 + 1)), 1, 0)?;
        let is_same = last.first().is_some_and(|set| set.serial == laid.facts.serial);
        Ok(if is_same { Big::laid(laid) } else { None })
    }
}

impl Big {
    /// A zone as it was published; `None` if that carries no overlay.
    fn laid(laid: Laid) -> Option<Big> {
        let Laid { facts, base, touched } = laid;
        Big::with(&facts, base, touched)
    }

    /// A zone with a base; `None` if that carries no overlay.
    fn with(facts: &ZoneFacts, base: BaseFacts, before: Vec<Touched>) -> Option<Big> {
        let counts = ZoneCounts { names: facts.names, rrsets: facts.rrsets, records: facts.records };
        let overlay = OverlayBuilder::new(facts.apex.as_ref(), base).ok()?;
        Some(Big { counts, overlay, before, folding: None, ready: None, part: None })
    }

    /// Whether this fold is of the overlay that there is now.
    fn is_folding(&self, id: FoldId) -> bool {
        self.folding.as_ref().is_some_and(|(folding, _)| *folding == id)
    }

    /// A zone on a base of which nothing changed yet; `None` if such a base carries no overlay.
    fn on(segment: &Segment) -> Option<Big> {
        Big::with(&segment.facts, segment.base_facts()?, Vec::new())
    }

    /// Takes up a change: the segments to publish, which are an overlay, and before it a new base if one is ready.
    fn follow(
        mut self,
        reader: &Reader<'_>,
        domain: &Domain,
        nodes: Vec<Node>,
        signer: Option<&Dnssec>,
    ) -> Result<(Big, Vec<Segment>), OverlayFailure> {
        let fresh = self.ready.take().and_then(|base| Some((base, self.folding.take()?.1)));
        match fresh.and_then(|(base, since)| Some((Big::on(&base)?, base, since))) {
            Some((big, base, mut since)) => {
                since.extend(nodes);
                let (big, overlay) = big.change(reader, domain, since, signer)?;
                Ok((big, vec![base, overlay]))
            }
            None => {
                let (big, overlay) = self.change(reader, domain, nodes, signer)?;
                Ok((big, vec![overlay]))
            }
        }
    }

    /// Takes up a change and compiles the overlay.
    fn change(
        self,
        reader: &Reader<'_>,
        domain: &Domain,
        nodes: Vec<Node>,
        signer: Option<&Dnssec>,
    ) -> Result<(Big, Segment), OverlayFailure> {
        let Big { counts, overlay, before, mut folding, ready, part } = self;
        let apex = zone::absolute(&domain.name)?;
        let since = nodes.iter().map(|node| touched(node, &apex).ok_or(OverlayFailure::Key));
        let touched = before.into_iter().map(Ok).chain(since).collect::<Result<Vec<Touched>, _>>()?;
        let rows = Rows { reader, domain, apex: &apex };
        let (overlay, part) = match zone::signatory(reader, domain, signer)? {
            None => (overlay.change(&rows, &touched)?, None),
            Some((_, signatory)) => {
                let (overlay, part) = change_signed(overlay, &rows, touched, &nodes, &signatory, part.as_deref())?;
                (overlay, Some(Arc::new(part)))
            }
        };
        let counts = ZoneCounts { rrsets: domain.rrset_count.saturating_add(1), ..counts };
        let segment = overlay.build(counts)?;
        if let Some((_, since)) = &mut folding {
            since.extend(nodes);
        }
        Ok((Big { counts, overlay, before: Vec::new(), folding, ready, part }, segment))
    }
}

/// Why there is no overlay.
#[derive(Debug, thiserror::Error)]
enum OverlayFailure {
    /// The zone itself.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// The builder.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// It cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// What is signed is not right.
    #[error(transparent)]
    Gate(#[from] Refused),
    /// Reading failed.
    #[error("{0}")]
    Read(ReadError),
    /// More than a few names of a signed zone have other signatures or another place in the chain.
    #[error("a signed zone whose names move below a cut, or are hashed, is signed whole")]
    Whole,
    /// A stored sort key is none.
    #[error("a sort key is damaged")]
    Key,
}

/// Takes up a change of a signed zone, which the gate judges; also returns what was signed.
fn change_signed(
    overlay: OverlayBuilder,
    rows: &Rows<'_>,
    mut touched: Vec<Touched>,
    nodes: &[Node],
    signatory: &Signatory,
    before: Option<&Zone>,
) -> Result<(OverlayBuilder, Zone), OverlayFailure> {
    for node in nodes.iter().filter(|node| node.is_boundary) {
        // Names that a cut or a DNAME hides, or no longer hides, have other records each.
        let name = name_of(&node.key, rows.apex).ok_or(OverlayFailure::Key)?;
        if node.key.is_empty() || rows.has_below(name.as_ref()).map_err(OverlayFailure::Read)? {
            return Err(OverlayFailure::Whole);
        }
    }
    if signatory.chain() != Chain::Nsec {
        return Err(OverlayFailure::Whole);
    }
    let published: &dyn Published = before.map_or(&(), |before| before);
    let (overlay, part) = signatory.with_plan(|plan| {
        let signed = SignedRows::new(rows, plan, published)?;
        let keys = nodes.iter().map(|node| node.key.clone());
        touched.extend(signed.touched_besides(keys).map_err(OverlayFailure::Read)?);
        let overlay = overlay.change(&signed, &touched)?;
        Ok::<_, OverlayFailure>((overlay, signed.part()?))
    })?;
    signatory.gate(NonZeroUsize::MIN, |gate| gate.pass_part(&part))?;
    Ok((overlay, part))
}

/// A changed owner as the builder wants it.
fn touched(node: &Node, apex: &Name) -> Option<Touched> {
    let owner = name_of(&node.key, apex)?;
    // NS at the apex make no cut; whether a DNAME came or went there, the builder knows from the base.
    Some(if node.is_boundary && !node.key.is_empty() { Touched::boundary(owner) } else { Touched::data(owner) })
}
