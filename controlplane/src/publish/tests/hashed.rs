//! Random changes of big signed zones: each is an overlay, and the chain is the one that signing all of it makes.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use snapshot::dns::name::Name;
use snapshot::dns::rtype::Rtype;
use snapshot::image::{Denial as Chain, Generation, Pack, PackFile, Segment, View};

use super::*;
use crate::publish::big::BigZones;
use crate::publish::piece::Piece;
use crate::publish::zone;
use crate::sign::{self, Key, Plan, Signer, SignerError};
use crate::store::changes::Node;
use crate::store::domains::Denial;
use crate::store::rrsets::Record;

/// How many changes a zone sees.
const ROUND_COUNT: usize = 25;
/// After so many the gate judges all of what is served.
const JUDGE_EVERY: usize = 12;
/// Zones with so many RRsets are changed name by name.
const NAMES_MIN: usize = 260;

/// Numbers that look random, the same for the same seed (splitmix64).
struct Random(u64);

impl Random {
    /// A number below a bound.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    /// A name of up to five labels out of few, so that names meet.
    fn subname(&mut self) -> String {
        const LABELS: [&str; 8] = ["a", "b", "c", "d", "e", "x-y", "_sip", "zz"];
        let mut labels: Vec<&str> = (0..=self.below(4)).map(|_| LABELS[self.below(LABELS.len())]).collect();
        if self.below(8) == 0 {
            labels.insert(0, "*");
        }
        labels.join(".")
    }

    /// RRsets that come together, or go.
    fn edits(&mut self) -> Vec<Target> {
        let subname = self.subname();
        let record = |rdata: &[u8]| Record::new(String::new(), rdata.to_vec());
        let target = |rtype, rdata: Option<&[u8]>| Target {
            subname: subname.clone(),
            rtype,
            state: rdata.map(|rdata| (60, vec![record(rdata)])),
        };
        let text = [1, b"xyz"[self.below(3)]];
        let server = "ns.elsewhere.test.".parse::<Name>().unwrap();
        let ds = [&[0, 1, 13, 2][..], &[7; 32]].concat();
        let (ns, ds) = (Some(server.as_wire()), Some(&ds[..]));
        match self.below(12) {
            0..3 => vec![target(Rtype::A, Some(&[192, 0, 2, 1])), target(Rtype::NS, None), target(Rtype::DS, None)],
            3..5 => vec![target(Rtype::NS, ns), target(Rtype::DS, None), target(Rtype::A, None)],
            5 => vec![target(Rtype::NS, ns), target(Rtype::DS, ds), target(Rtype::A, None)],
            6 => vec![target(Rtype::TXT, Some(&text))],
            7 => vec![target(Rtype::DNAME, ns), target(Rtype::NS, None), target(Rtype::DS, None)],
            _ => [Rtype::A, Rtype::TXT, Rtype::NS, Rtype::DS, Rtype::DNAME].map(|rtype| target(rtype, None)).to_vec(),
        }
    }
}

/// Signs nothing: it is the chain that is looked at.
struct Blank;

impl Signer for Blank {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(vec![0; 64])
    }
}

/// The zone of the bench without a publisher.
pub(super) struct Zone<'b> {
    /// The bench.
    bench: &'b Bench,
    /// What signs.
    dnssec: &'b Arc<Dnssec>,
    /// The domain.
    domain: DomainId,
    /// What compiles it.
    pub(super) big: BigZones,
    /// What is published, base and overlay.
    packs: Vec<Arc<Pack>>,
    /// The last change in it.
    done: ChangeId,
}

/// A segment as it is loaded.
fn pack(segment: &Segment) -> Arc<Pack> {
    Arc::new(PackFile::encode(vec![segment.clone()]).unwrap().open().unwrap())
}

impl Zone<'_> {
    /// A zone of so many names, of which nothing is published.
    pub(super) fn new<'b>(bench: &'b Bench, dnssec: &'b Arc<Dnssec>, denial: Denial, names: usize) -> Zone<'b> {
        let (domain, _) = bench.create("big.test");
        let snapshots = bench.dir.path().join("snapshots");
        let shelf = Directory::create(&snapshots).unwrap().lock("test").unwrap().shelf();
        let settings = Settings { snapshots, planes: Vec::new(), sign: None, dnssec: Some(Arc::clone(dnssec)) };
        let big = BigZones::new(Arc::clone(&bench.store), &settings, shelf);
        bench.fill(domain, names);
        bench.sign(dnssec, domain, "big.test", denial);
        Zone { bench, dnssec, domain, big, packs: Vec::new(), done: ChangeId(0) }
    }

    /// Sets A records, or deletes them, and takes that up, which gives an overlay that is right.
    pub(super) fn edit(&mut self, edits: &[(&str, Option<&str>)]) {
        self.bench.edit(self.domain, edits);
        assert!(self.publish(false), "{edits:?}");
        self.check();
    }

    /// The chain is the one that signing all makes, and the gate lets it pass.
    pub(super) fn check(&self) {
        let [served, whole] = self.chains();
        assert!(served == whole, "{} and {} links", served.len(), whole.len());
        super::signed::judge(&self.view(), &"big.test.".parse().unwrap());
    }

    /// How many octets its packs have: that of the base, and that of the overlay.
    pub(super) fn pack_lens(&self) -> Vec<u64> {
        self.packs.iter().map(|pack| pack.byte_len()).collect()
    }

    /// Commits RRsets if they can be together.
    fn commit(&self, targets: Vec<Target>) {
        let edits = Edits::Targets { kind: "edit", undoes: None, note: None, targets, soa: None };
        let actor = self.bench.actor.clone();
        let change = Change { actor, domain: self.domain, precondition: None, edits, dry_run: false };
        // What cannot be is refused, and changes nothing.
        self.bench.store.write_blocking(move |txn| commit(txn, change)).ok();
    }

    /// Takes up what was committed, or all; whether it was an overlay.
    pub(super) fn publish(&mut self, is_whole: bool) -> bool {
        let store = Arc::clone(&self.bench.store);
        let pieces = store.read(|reader| {
            let row = reader.domain(self.domain)?.unwrap();
            let waiting = reader.outbox(self.done)?;
            self.done = reader.head()?.change;
            let nodes = waiting.into_iter().map(|waiting| waiting.nodes).collect::<Option<Vec<Vec<Node>>>>();
            let nodes = nodes.filter(|_| !is_whole).map(|nodes| nodes.concat());
            let mut pieces = self.big.compile(reader, &row, nodes).unwrap().pieces;
            // Whatever takes long is signed by a thread of its own.
            while pieces.is_empty() {
                let compiled = self.big.compiled().recv_timeout(Duration::from_secs(60)).unwrap();
                self.big.accept(compiled);
                pieces = self.big.compile(reader, &row, Some(Vec::new())).unwrap().pieces;
            }
            Ok::<_, StoreError>(pieces)
        });
        let pieces = pieces.unwrap();
        let mut is_overlay = false;
        for piece in &pieces {
            let Piece::Segment(segment) = piece else { panic!("a small zone has a pack of its own") };
            is_overlay = segment.facts.base.is_some();
            self.packs.truncate(usize::from(is_overlay));
            self.packs.push(pack(segment));
        }
        is_overlay
    }

    /// What is served.
    fn view(&self) -> View {
        View::follow(None, Generation(1), self.packs.clone()).unwrap()
    }

    /// The chain that is served, and the one that signing the zone whole makes: owners or their hashes, and RDATA.
    fn chains(&self) -> [BTreeMap<Vec<u8>, Vec<u8>>; 2] {
        let (view, apex) = (self.view(), "big.test.".parse::<Name>().unwrap());
        let mut served = BTreeMap::new();
        match view.zone(apex.as_ref()).unwrap().denial() {
            Chain::Nsec3(chain) => {
                chain.each(&mut |hash, rdata| assert!(served.insert(hash.to_vec(), rdata.to_vec()).is_none(), "twice"));
            }
            Chain::Nsec(_) => served = links(&super::signed::zone_in(&view, &apex)),
            Chain::None => panic!("no chain"),
        }
        let signed = self.bench.store.read(|reader| {
            let row = reader.domain(self.domain)?.unwrap();
            let signatory = zone::signatory(reader, &row, Some(self.dnssec)).unwrap().unwrap().1;
            let mut plain = zone::read(reader, &row).unwrap();
            crate::check::prune(&mut plain);
            Ok::<_, StoreError>(signatory.with_plan(|plan| {
                let keys: Vec<Key<'_>> = plan.keys.iter().map(|key| Key { signer: &Blank, ..*key }).collect();
                sign::sign(&plain, &Plan { keys: &keys, ..*plan }, &(), NonZeroUsize::MIN).unwrap()
            }))
        });
        [served, links(&signed.unwrap().zone)]
    }
}

/// The chain of a zone: owners of NSEC, hashes of NSEC3, with their RDATA.
fn links(zone: &snapshot::dns::zone::Zone) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut links = BTreeMap::new();
    for owner in zone.owners() {
        let hash = snapshot::dns::nsec3::hash_of_owner(owner.name());
        for (rtype, key) in [(Rtype::NSEC, Some(owner.name().as_wire().to_vec())), (Rtype::NSEC3, hash.map(Vec::from))]
        {
            for record in owner.rrset(rtype).iter().flat_map(|rrset| rrset.records()) {
                links.insert(key.clone().unwrap(), record.rdata.to_vec());
            }
        }
    }
    links
}

/// Changes a zone of so many names at random; how many changes were overlays, and how many changed the chain.
fn check_changes(seed: u64, denial: Denial, names: usize) -> [usize; 2] {
    let mut random = Random(seed);
    let bench = Bench::new();
    let dnssec = bench.dnssec("seal");
    let mut zone = Zone::new(&bench, &dnssec, denial, names);
    (0..40).for_each(|_| zone.commit(random.edits()));
    assert!(!zone.publish(true));
    let ([mut overlays, mut chains], mut before) = ([0, 0], BTreeMap::new());
    for round in 0..ROUND_COUNT {
        for _ in 0..=random.below(3) {
            zone.commit(random.edits());
        }
        overlays += usize::from(zone.publish(false));
        let [served, whole] = zone.chains();
        assert!(served == whole, "seed {seed}, {denial:?}, round {round}: {} and {} links", served.len(), whole.len());
        chains += usize::from(served != before);
        before = served;
        if round % JUDGE_EVERY == 0 {
            super::signed::judge(&zone.view(), &"big.test.".parse().unwrap());
        }
    }
    [overlays, chains]
}

#[test]
fn random_changes_of_signed_zones_are_overlays_with_the_chain_of_the_whole_zone() {
    let [mut overlays, mut chains, mut rounds] = [0; 3];
    for seed in 1..=4 {
        for denial in [Denial::Nsec, Denial::Nsec3, Denial::OptOut] {
            let found = check_changes(seed, denial, NAMES_MIN + 100 * usize::try_from(seed).unwrap());
            [overlays, chains, rounds] = [overlays + found[0], chains + found[1], rounds + ROUND_COUNT];
        }
    }
    assert!(overlays * 20 > rounds * 19 && chains * 2 > rounds, "{overlays} overlays, {chains} chains of {rounds}");
}
