//! Big zones: a whole segment that stays, and an overlay with what changed since.
//!
//! A change costs the names that it touches. When an overlay has grown, a thread compiles the zone anew beside the
//! publishing, and what changed meanwhile becomes the next overlay. After a start the bases are those of the published
//! generation. A big zone that has to be signed whole is compiled by such a thread too: until that is done it stays as it is
//! published, and what changes of it is held. Invariant: an overlay holds every owner that changed since the state its base
//! was compiled from.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::Receiver;
use snapshot::dns::name::Name;
use snapshot::dns::rtype::Rtype;
use snapshot::handover::{Shelf, Survey};
use snapshot::image::{
    Denial, Laid, OVERLAY_NODES_MAX, OverlayBuilder, OverlayError, ReadError, Segment, Touched, ZoneCounts, ZoneFacts,
    ZoneReader as _,
};
use tracing::{debug, warn};

use super::Settings;
use super::aside::{Aside, Compiled, JobId, Size};
use super::parts::Parts;
use super::piece::{Base, Ground, Piece};
use super::rows::{Rows, name_of};
use super::signed::{SignedRows, Spliced};
use super::zone::{self, ZoneError};
use crate::check::dnssec::gate::{Refused, Splice};
use crate::dnssec::{Dnssec, Signatory, Work};
use crate::sign::{Before, Denial as Chain, Hashes, SignError};
use crate::store::changes::Node;
use crate::store::domains::Domain;
use crate::store::{ChangeId, DomainId, Reader, Store, StoreError};

/// From so many RRsets on a zone is big: reading and compiling fewer costs about a millisecond.
const RRSETS_MIN: u32 = 256;
/// How long everybody's writes may wait for the signatures of one zone: what may take longer is signed by a thread of its own.
const WAIT_MAX: Duration = Duration::from_millis(20);
/// The same for the names in an overlay: signing all of the zone instead takes longer by far, and its own writes wait for that.
const OVERLAY_WAIT_MAX: Duration = Duration::from_millis(250);
/// A zone with so many RRsets takes half a second to read and compile.
const LONG_RRSETS_MIN: u32 = 2048;
/// A cut or DNAME of a signed zone that moves more names has all of it signed whole.
const MOVED_MAX: usize = 64;
/// An overlay with so many nodes is folded: early enough that it stays small until that is done.
const FOLD_NODES_MIN: usize = 1024;
/// How many octets the signed owners of all zones take that are remembered. Nearly all signatures are the base's, so that little
/// is lost when all of them are forgotten.
const PARTS_LEN_MAX: usize = 64 << 20;

/// The big zones.
pub(super) struct BigZones {
    /// Those that were compiled or changed since start, by number of the domain.
    zones: HashMap<DomainId, Big>,
    /// Those that were not, as they are published.
    published: PublishedZones,
    /// Those that were compiled for the generation that is being made.
    fresh: Vec<DomainId>,
    /// Those that are being signed whole.
    signing: HashMap<DomainId, Signing>,
    /// How many octets of signed owners are remembered at most; what goes with a zone is counted until there are too many.
    parts_len_max: usize,
    /// What signs.
    signer: Option<Arc<Dnssec>>,
    /// The threads that fold and sign.
    aside: Aside,
}

/// The big zones of the generation that was found at the start.
#[derive(Default)]
struct PublishedZones {
    /// The change that generation goes up to.
    change: ChangeId,
    /// By name, without a dot at the end, with their chains if names are hashed; those that were published again since are gone.
    zones: HashMap<String, (Laid, Option<Hashes>)>,
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
    folding: Option<(JobId, Vec<Node>)>,
    /// What that fold has made.
    ready: Option<Base>,
    /// What is known of it if it is signed.
    former: Former,
}

/// What changes of a signed zone go on from.
#[derive(Default)]
struct Former {
    /// What was signed since the base was compiled.
    parts: Parts,
    /// The chain, if names are hashed.
    hashes: Option<Hashes>,
}

/// A zone that is being signed whole.
struct Signing {
    /// By which job.
    id: JobId,
    /// The last change before that was begun.
    head: ChangeId,
    /// What changed since that was begun; `None` if all of it has to be signed again.
    since: Option<Vec<Node>>,
    /// What came of it.
    outcome: Option<Result<Base, ZoneError>>,
}

/// What is to be published of a zone.
pub(super) struct Pieces {
    /// The pieces, in their order.
    pub(super) pieces: Vec<Piece>,
    /// The change after which they lack those of the zone, which come when it is signed; `None` if they have all.
    pub(super) held_after: Option<ChangeId>,
}

impl BigZones {
    /// None yet.
    pub(super) fn new(store: Arc<Store>, settings: &Settings, shelf: Shelf) -> BigZones {
        let (zones, published, fresh) = (HashMap::new(), PublishedZones::default(), Vec::new());
        let (signer, aside) = (settings.dnssec.clone(), Aside::new(store, settings, shelf));
        BigZones { zones, published, fresh, signing: HashMap::new(), parts_len_max: 0, signer, aside }
    }

    /// Learns the bases of the published generation, if the database is the one that it was made of.
    pub(super) fn learn(&mut self, reader: &Reader<'_>, survey: &Survey) -> Result<(), StoreError> {
        let change = ChangeId(survey.change);
        // Zones that were compiled from files are none of the database's.
        if survey.change == 0 || reader.chain_at(change)? != Some(survey.chain) {
            return Ok(());
        }
        let chain_of = |laid: &Laid| match survey.view.zone(laid.facts.apex.as_ref())?.denial() {
            Denial::Nsec3(chain) => Hashes::read(|each| chain.each(each)),
            Denial::Nsec(_) | Denial::None => None,
        };
        let zones = survey.view.laid(RRSETS_MIN).into_iter().map(|laid| {
            let hashes = chain_of(&laid);
            (laid.facts.apex.to_string().trim_end_matches('.').to_owned(), (laid, hashes))
        });
        let zones = zones.collect();
        self.published = PublishedZones { change, zones };
        Ok(())
    }

    /// What threads have compiled.
    pub(super) fn compiled(&self) -> Receiver<Compiled> {
        self.aside.compiled()
    }

    /// Takes what a thread has compiled; the number of the domain if its next segments are made of it.
    pub(super) fn accept(&mut self, compiled: Compiled) -> Option<DomainId> {
        let Compiled { id, domain, size, base } = compiled;
        self.aside.ended(size);
        if let Some(signing) = self.signing.get_mut(&domain).filter(|signing| signing.id == id) {
            signing.outcome = Some(base);
            return Some(domain);
        }
        let Some(big) = self.zones.get_mut(&domain).filter(|big| big.is_folding(id)) else {
            // The domain may be gone, and was remembered after that.
            self.forget_signed(domain);
            return None;
        };
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

    /// Whether a domain is being signed whole.
    pub(super) fn is_signing(&self, domain: DomainId) -> bool {
        self.signing.contains_key(&domain)
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

    /// Forgets a zone that cannot be compiled; its number may not be known. How it was signed may be of use again.
    pub(super) fn forget(&mut self, name: &str, domain: Option<DomainId>) {
        if let Some(domain) = domain {
            self.zones.remove(&domain);
            self.signing.remove(&domain);
        }
        self.published.zones.remove(name);
    }

    /// Forgets all of a zone that is gone; its number may not be known.
    pub(super) fn forget_gone(&mut self, name: &str, domain: Option<DomainId>) {
        self.forget(name, domain);
        domain.into_iter().for_each(|domain| self.forget_signed(domain));
    }

    /// Forgets all of a domain that is gone; another one may have its name.
    pub(super) fn forget_domain(&mut self, domain: DomainId) {
        self.zones.remove(&domain);
        self.signing.remove(&domain);
        self.forget_signed(domain);
    }

    /// Forgets how a domain was signed.
    fn forget_signed(&self, domain: DomainId) {
        self.signer.iter().for_each(|signer| signer.forget(domain));
    }

    /// Keeps a zone to go on from, of which so many octets were remembered before.
    fn keep(&mut self, domain: DomainId, big: Big, former_len: usize) {
        self.parts_len_max += big.former.parts.len().saturating_sub(former_len);
        self.zones.insert(domain, big);
        if self.parts_len_max <= PARTS_LEN_MAX {
            return;
        }
        self.parts_len_max = self.zones.values().map(|big| big.former.parts.len()).sum();
        // So that they are not counted again at once.
        if self.parts_len_max > PARTS_LEN_MAX / 2 {
            self.zones.values_mut().for_each(|big| big.former.parts = Parts::default());
            self.parts_len_max = 0;
        }
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
    ) -> Result<Pieces, ZoneError> {
        self.fresh.push(domain.id);
        let published = self.published.take(reader, domain)?;
        if let Some(signing) = self.signing.remove(&domain.id) {
            return self.go_on(reader, domain, nodes, signing);
        }
        let known = self.zones.remove(&domain.id).or(published);
        let changed = nodes.as_ref().map(Vec::len);
        if !zone::is_signed(domain) {
            self.forget_signed(domain.id);
        }
        if let (Some(nodes), Some(big)) = (nodes, known)
            && !self.part_takes_long(reader, domain, nodes.len() + big.before.len())?
        {
            let former_len = big.former.parts.len();
            match big.follow(reader, domain, nodes, self.signer.as_deref()) {
                Ok((mut big, pieces)) => {
                    self.fold_if_due(&mut big, domain.id);
                    self.keep(domain.id, big, former_len);
                    return Ok(Pieces { pieces, held_after: None });
                }
                // The zone is compiled whole instead; whatever is really wrong with it shows there.
                Err(cause) => debug!("no overlay for {}: {cause}", domain.name),
            }
        }
        self.whole(reader, domain, changed, None)
    }

    /// Whether signing so many owners of a domain may take longer than everybody else's writes should wait.
    fn part_takes_long(&self, reader: &Reader<'_>, domain: &Domain, owners: usize) -> Result<bool, StoreError> {
        let Some(signer) = self.signer.as_deref().filter(|_| zone::is_signed(domain)) else { return Ok(false) };
        Ok(signer.effort(domain.id, &reader.keys(domain.id)?, Work::Owners(owners)) > OVERLAY_WAIT_MAX)
    }

    /// The same for all of a domain, of which so many owners `changed` since it was signed last. O(records).
    fn zone_takes_long(
        &self,
        reader: &Reader<'_>,
        domain: &Domain,
        changed: Option<usize>,
    ) -> Result<bool, StoreError> {
        let Some(signer) = self.signer.as_deref().filter(|_| zone::is_signed(domain)) else { return Ok(false) };
        let rrsets = u64::from(domain.rrset_count) + reader.alternative_count(domain.id)?;
        Ok(signer.effort(domain.id, &reader.keys(domain.id)?, Work::Zone { rrsets, changed }) > WAIT_MAX)
    }

    /// Compiles a zone whole, of which so many owners `changed` since it was signed last, or has that done beside the publishing;
    /// until then `meanwhile` is published, if that is there: the zone, and the last change in it.
    fn whole(
        &mut self,
        reader: &Reader<'_>,
        domain: &Domain,
        changed: Option<usize>,
        meanwhile: Option<(Piece, ChangeId)>,
    ) -> Result<Pieces, ZoneError> {
        if self.zone_takes_long(reader, domain, changed)? {
            let size = if domain.rrset_count < LONG_RRSETS_MIN { Size::Small } else { Size::Big };
            let (head, id) = (reader.head()?.change, self.aside.begin(domain.id, size));
            self.signing.insert(domain.id, Signing { id, head, since: Some(Vec::new()), outcome: None });
            let (piece, held_after) = meanwhile.unzip();
            return Ok(Pieces { pieces: Vec::from_iter(piece), held_after: Some(held_after.unwrap_or(ChangeId(0))) });
        }
        let segment = zone::compile(reader, domain, self.signer.as_deref())?;
        self.remember(domain, &segment);
        Ok(Pieces { pieces: vec![Piece::Segment(segment)], held_after: None })
    }

    /// Takes up a change of a zone that is being signed, or was since.
    fn go_on(
        &mut self,
        reader: &Reader<'_>,
        domain: &Domain,
        nodes: Option<Vec<Node>>,
        signing: Signing,
    ) -> Result<Pieces, ZoneError> {
        let since = signing.since.zip(nodes).map(|(mut since, nodes)| {
            since.extend(nodes);
            since
        });
        let changed = since.as_ref().map(Vec::len);
        let Some(base) = signing.outcome.transpose()? else {
            // More would not fit into an overlay.
            let since = since.filter(|since| since.len() <= OVERLAY_NODES_MAX);
            self.signing.insert(domain.id, Signing { since, outcome: None, ..signing });
            return Ok(Pieces { pieces: Vec::new(), held_after: Some(ChangeId(0)) });
        };
        let Base { piece, ground } = base;
        match since.map(|since| (Big::on(piece.facts(), ground), since)) {
            Some((big, since)) if since.is_empty() && piece.facts().serial == domain.serial => {
                self.zones.extend(big.map(|big| (domain.id, big)));
                Ok(Pieces { pieces: vec![piece], held_after: None })
            }
            Some((Some(big), since)) if !self.part_takes_long(reader, domain, since.len())? => {
                match big.change(reader, domain, since, self.signer.as_deref()) {
                    Ok((big, overlay)) => {
                        self.keep(domain.id, big, 0);
                        Ok(Pieces { pieces: vec![piece, Piece::Segment(overlay)], held_after: None })
                    }
                    Err(cause) => {
                        debug!("no overlay for {}: {cause}", domain.name);
                        self.whole(reader, domain, changed, Some((piece, signing.head)))
                    }
                }
            }
            // It was right when it was begun, and signing it again takes less with its signatures.
            _ => self.whole(reader, domain, changed, Some((piece, signing.head))),
        }
    }

    /// Keeps the facts of a whole segment, if its zone is big.
    fn remember(&mut self, domain: &Domain, segment: &Segment) {
        if domain.rrset_count < RRSETS_MIN {
            return;
        }
        if let Some(big) = Big::on(&segment.facts, Ground::of(segment)) {
            self.zones.insert(domain.id, big);
        }
    }

    /// Has a zone compiled anew by a thread if its overlay has grown.
    fn fold_if_due(&mut self, big: &mut Big, domain: DomainId) {
        if big.folding.is_some() || big.overlay.node_count() < FOLD_NODES_MIN || !self.aside.has_room() {
            return;
        }
        // The thread reads a state that is not older than this one, so what changes from here on covers the difference.
        big.folding = Some((self.aside.begin(domain, Size::Big), Vec::new()));
    }
}

impl PublishedZones {
    /// A zone to go on from, if what is published is what the domain was at that change: a zone that could not be compiled
    /// keeps older content, and another domain may have had the name. It is given once, as it is published anew with this.
    fn take(&mut self, reader: &Reader<'_>, domain: &Domain) -> Result<Option<Big>, StoreError> {
        let Some((laid, hashes)) = self.zones.remove(&domain.name) else { return Ok(None) };
        let last = reader.change_sets_of(domain.id, Some(ChangeId(self.change.0 + 1)), 1, 0)?;
        let is_same = last.first().is_some_and(|set| set.serial == laid.facts.serial);
        Ok(if is_same { Big::laid(laid, hashes) } else { None })
    }
}

impl Big {
    /// A zone as it was published; `None` if that carries no overlay.
    fn laid(laid: Laid, hashes: Option<Hashes>) -> Option<Big> {
        let Laid { facts, base, touched } = laid;
        Big::with(&facts, Ground { base, hashes }, touched)
    }

    /// A zone with a base; `None` if that carries no overlay.
    fn with(facts: &ZoneFacts, Ground { base, hashes }: Ground, before: Vec<Touched>) -> Option<Big> {
        let counts = ZoneCounts { names: facts.names, rrsets: facts.rrsets, records: facts.records };
        let overlay = OverlayBuilder::new(facts.apex.as_ref(), base).ok()?;
        let former = Former { parts: Parts::default(), hashes };
        Some(Big { counts, overlay, before, folding: None, ready: None, former })
    }

    /// Whether this fold is of the overlay that there is now.
    fn is_folding(&self, id: JobId) -> bool {
        self.folding.as_ref().is_some_and(|(folding, _)| *folding == id)
    }

    /// A zone on a base of which nothing changed yet; `None` if such a base carries no overlay.
    fn on(facts: &ZoneFacts, ground: Option<Ground>) -> Option<Big> {
        Big::with(facts, ground?, Vec::new())
    }

    /// The zone on what its fold has made, that, and what changed meanwhile; `None` if there is no such thing. The signatures that
    /// were made meanwhile are used again in the next overlay.
    fn folded(&mut self) -> Option<(Big, Piece, Vec<Node>)> {
        let (Base { piece, ground }, (_, since)) = (self.ready.take()?, self.folding.take()?);
        let mut big = Big::on(piece.facts(), ground)?;
        big.former.parts = std::mem::take(&mut self.former.parts).on_new_base();
        Some((big, piece, since))
    }

    /// Takes up a change: the pieces to publish, which are an overlay, and before it a new base if one is ready.
    fn follow(
        mut self,
        reader: &Reader<'_>,
        domain: &Domain,
        nodes: Vec<Node>,
        signer: Option<&Dnssec>,
    ) -> Result<(Big, Vec<Piece>), OverlayFailure> {
        match self.folded() {
            Some((big, base, mut since)) => {
                since.extend(nodes);
                let (big, overlay) = big.change(reader, domain, since, signer)?;
                Ok((big, vec![base, Piece::Segment(overlay)]))
            }
            None => {
                let (big, overlay) = self.change(reader, domain, nodes, signer)?;
                Ok((big, vec![Piece::Segment(overlay)]))
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
        let Big { counts, overlay, before, mut folding, ready, former } = self;
        let apex = zone::absolute(&domain.name)?;
        let since = nodes.iter().map(|node| touched(node, &apex).ok_or(OverlayFailure::Key));
        let touched = before.into_iter().map(Ok).chain(since).collect::<Result<Vec<Touched>, _>>()?;
        let rows = Rows { reader, domain, apex: &apex };
        let (overlay, former) = match zone::signatory(reader, domain, signer)? {
            None => (overlay.change(&rows, &touched)?, Former::default()),
            Some((_, signatory)) => change_signed(overlay, &rows, touched, &nodes, &signatory, former)?,
        };
        let counts = ZoneCounts { rrsets: domain.rrset_count.saturating_add(1), ..counts };
        let segment = overlay.build(counts)?;
        if let Some((_, since)) = &mut folding {
            since.extend(nodes);
        }
        Ok((Big { counts, overlay, before: Vec::new(), folding, ready, former }, segment))
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
    #[error("a signed zone is signed whole if many names move, or the place of one in the chain takes many looks")]
    Whole,
    /// A stored sort key is none.
    #[error("a sort key is damaged")]
    Key,
}

/// Takes up a change of a signed zone, which the gate judges.
fn change_signed(
    overlay: OverlayBuilder,
    rows: &Rows<'_>,
    mut touched: Vec<Touched>,
    nodes: &[Node],
    signatory: &Signatory,
    former: Former,
) -> Result<(OverlayBuilder, Former), OverlayFailure> {
    let Former { mut parts, hashes } = former;
    if hashes.is_some() != (signatory.chain() != Chain::Nsec) {
        return Err(OverlayFailure::Whole);
    }
    let mut keys: Vec<(Vec<u8>, bool)> =
        nodes.iter().map(|node| (node.key.clone(), node.stays && !node.is_boundary)).collect();
    for node in nodes.iter().filter(|node| node.is_boundary) {
        let moved = moved_by(node, rows, &overlay)?;
        keys.extend(moved.iter().filter_map(|owner| Some((rows.node_of(owner.as_ref())?, false))));
        touched.extend(moved.into_iter().map(Touched::data));
    }
    let (overlay, owners, part, chain, has_ns) = signatory.with_plan(|plan| {
        let signed = SignedRows::new(rows, plan, &parts, hashes.clone().unwrap_or_default())?;
        let besides = signed.touched_besides(keys.iter().map(|(key, stays)| (&**key, *stays)));
        touched.extend(besides.map_err(OverlayFailure::Read)?);
        let mut gone = None;
        if hashes.is_some() {
            let spliced = signed.splice(keys.iter().map(|(key, _)| &**key)).map_err(OverlayFailure::Read)?;
            let Spliced { touched: links, gone: hashes } = spliced.ok_or(OverlayFailure::Whole)?;
            touched.extend(links);
            gone = Some(hashes);
        }
        let overlay = overlay.change(&signed, &touched)?;
        let part = signed.part().map_err(OverlayFailure::Read)?;
        let chain = gone.map(|gone| (gone, signed.hashes().clone()));
        let has_ns = signed.has_ns().map_err(OverlayFailure::Read)?;
        Ok::<_, OverlayFailure>((overlay, signed.into_owners(), part, chain, has_ns))
    })?;
    let before = Before::new(&parts, rows.apex.as_ref());
    signatory.gate(NonZeroUsize::MIN, has_ns, |gate| match (&hashes, &chain) {
        (Some(hashes), Some((gone, _))) => gate.pass_splice(&part, &Splice { before: hashes, gone }, &before),
        _ => gate.pass_part(&part, &before),
    })?;
    parts.remember(rows.apex.as_ref(), owners);
    let hashes = chain.map(|(_, hashes)| hashes);
    Ok((overlay, Former { parts, hashes }))
}

/// The names that may have come below a cut or a DNAME with this change of its owner, or from there: each has other
/// signatures then, and another place in the chain.
fn moved_by(node: &Node, rows: &Rows<'_>, overlay: &OverlayBuilder) -> Result<Vec<Name>, OverlayFailure> {
    let name = name_of(&node.key, rows.apex).ok_or(OverlayFailure::Key)?;
    if node.key.is_empty() {
        // NS records of the apex move nothing.
        let mut has_dname = overlay.has_apex_dname();
        rows.records(name.as_ref(), &mut |record| has_dname |= record.rtype == Rtype::DNAME)
            .map_err(OverlayFailure::Read)?;
        return if has_dname { Err(OverlayFailure::Whole) } else { Ok(Vec::new()) };
    }
    let below = rows.below(name.as_ref(), MOVED_MAX + 1).map_err(OverlayFailure::Read)?;
    if below.len() > MOVED_MAX { Err(OverlayFailure::Whole) } else { Ok(below) }
}

/// A changed owner as the builder wants it.
fn touched(node: &Node, apex: &Name) -> Option<Touched> {
    let owner = name_of(&node.key, apex)?;
    // NS at the apex make no cut; whether a DNAME came or went there, the builder knows from the base.
    Some(if node.is_boundary && !node.key.is_empty() { Touched::boundary(owner) } else { Touched::data(owner) })
}
