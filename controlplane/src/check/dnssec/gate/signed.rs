//! Sound signed zones to be broken, a record at a time, signed by ring.
//!
//! Not the signer: it knows one zone, keeps nothing and takes places from the check itself, whose view of places is tested
//! on what the signers of others make. What is broken can be signed again, so that a test sees the rule it is about and
//! not a bad signature.

use std::collections::BTreeMap;

use data_encoding::{BASE64, HEXUPPER};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::nsec3::{Params, hash_of_owner, text};
use snapshot::dns::rdata::canonical_rdata;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{OwnerRecords, Record, Zone, ZoneBuilder};
use snapshot::dns::zonefile::{Options, Reader};

use crate::check::dnssec::rdata::Dnskey;
use crate::check::place::{Place, Terrain};

/// The time of all tests, in seconds since 1970.
pub(super) const NOW: u32 = 1_800_000_000;
/// When sound signatures begin and end.
pub(super) const SPAN: (u32, u32) = (NOW - 3_600, NOW + 14 * 86_400);

/// The zone before it is signed.
const ZONE: &str = "\
@ SOA ns1 hostmaster 1 7200 900 1209600 300
@ NS ns1
@ NS NS2.Example.Test.
ns1 A 192.0.2.1
ns2 A 192.0.2.2
www A 192.0.2.3
www A 192.0.2.4
*.wild TXT x
deep.empty.non.terminal TXT x
alias CNAME WWW
redirect DNAME elsewhere.example.
hidden.redirect A 192.0.2.5
insecure NS ns.insecure
insecure NS ns1
ns.insecure A 192.0.2.6
below.ent NS ns1
secure NS ns.secure
secure DS 12345 8 2 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
ns.secure AAAA 2001:db8::7
";

/// How non-existence is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chain {
    /// By names.
    Nsec,
    /// By hashes.
    Nsec3,
    /// By hashes, but for delegations without DS.
    OptOut,
}

/// A key.
#[derive(Debug)]
pub(super) enum Pair {
    /// Algorithm 13.
    P256(EcdsaKeyPair),
    /// Algorithm 15.
    Ed25519(Ed25519KeyPair),
}

/// A record.
#[derive(Debug, Clone)]
pub(super) struct Rr {
    /// Its owner.
    pub(super) owner: Name,
    /// Its type.
    pub(super) rtype: Rtype,
    /// Its TTL in seconds.
    pub(super) ttl_secs: u32,
    /// Its RDATA.
    pub(super) rdata: Vec<u8>,
}

/// A signed zone, to be broken.
pub(super) struct Bench {
    /// All records.
    pub(super) records: Vec<Rr>,
    /// What signs.
    pairs: Vec<Pair>,
    /// How the zone denies.
    chain: Chain,
}

/// A name in the zone; `@` is the apex.
pub(super) fn name(text: &str) -> Name {
    let apex: Name = "example.test.".parse().unwrap();
    Name::parse(text.as_bytes(), Some(apex.as_ref())).unwrap()
}

/// Reads records of the zone.
pub(super) fn read(text: &str) -> Vec<Rr> {
    let options = Options { origin: Some(name("@")), default_ttl: Some(3_600), ..Options::default() };
    let mut reader = Reader::new(text.as_bytes(), options);
    let mut records = Vec::new();
    while let Some(Record { owner, rtype, ttl_secs, rdata, .. }) = reader.read().unwrap() {
        records.push(Rr { owner: owner.to_name(), rtype, ttl_secs, rdata: rdata.to_vec() });
    }
    records
}

/// The zone of some records.
fn zone(records: &[Rr]) -> Zone {
    let mut builder = ZoneBuilder::new(name("@"));
    for Rr { owner, rtype, ttl_secs, rdata } in records {
        let record = Record { owner: owner.as_ref(), rtype: *rtype, ttl_secs: *ttl_secs, rdata, line: 0 };
        builder.push(record).unwrap();
    }
    builder.finish()
}

/// The owners of a zone and where each lies.
fn places(zone: &Zone) -> Vec<(OwnerRecords<'_>, Place<'_>)> {
    let mut terrain = Terrain::new(zone.apex());
    zone.owners().map(|owner| (owner, terrain.place(&owner))).collect()
}

/// Whether the zone answers for what is there.
fn is_authoritative(place: Place<'_>) -> bool {
    matches!(place, Place::Apex | Place::Inside | Place::Cut | Place::Hashed)
}

/// Types as bitmaps are written.
fn types(owner: &OwnerRecords<'_>, place: Place<'_>, further: &str) -> String {
    let is_listed = |rtype: &Rtype| place != Place::Cut || matches!(*rtype, Rtype::NS | Rtype::DS);
    let types = owner.rrsets().map(|rrset| rrset.rtype()).filter(is_listed).map(|rtype| rtype.to_string());
    types.chain([further.to_owned()]).collect::<Vec<_>>().join(" ")
}

/// The chain of NSEC.
fn nsec(zone: &Zone) -> String {
    let links: Vec<_> = places(zone).into_iter().filter(|(_, place)| is_authoritative(*place)).collect();
    let nexts = links.iter().cycle().skip(1);
    let line = |((owner, place), (next, _)): (&(OwnerRecords<'_>, Place<'_>), &(OwnerRecords<'_>, Place<'_>))| {
        format!("{} 300 NSEC {} {}\n", owner.name(), next.name(), types(owner, *place, "RRSIG NSEC"))
    };
    links.iter().zip(nexts).map(line).collect()
}

/// The text of a name's hash.
fn hash(name: NameRef<'_>) -> String {
    let hash = Params { iterations: 0, salt: &[] }.hash(&name.as_wire().to_ascii_lowercase());
    String::from_utf8(text(&hash).to_vec()).unwrap()
}

/// The chain of NSEC3.
fn nsec3(zone: &Zone, chain: Chain) -> String {
    let mut links: BTreeMap<String, String> = BTreeMap::new();
    for (owner, place) in places(zone).into_iter().filter(|(_, place)| is_authoritative(*place)) {
        let is_insecure = place == Place::Cut && owner.rrset(Rtype::DS).is_none();
        if is_insecure && chain == Chain::OptOut {
            continue;
        }
        links.insert(hash(owner.name()), types(&owner, place, if is_insecure { "" } else { "RRSIG" }));
        let mut above = owner.name().parent();
        while let Some(name) = above.filter(|name| name.is_at_or_below(zone.apex())) {
            links.entry(hash(name)).or_default();
            above = name.parent();
        }
    }
    let flags = u8::from(chain == Chain::OptOut);
    let nexts = links.keys().cycle().skip(1);
    let line = |((hash, types), next): ((&String, &String), &String)| {
        format!("{hash} 300 NSEC3 1 {flags} 0 - {next} {types}\n")
    };
    links.iter().zip(nexts).map(line).collect()
}

impl Pair {
    /// A new key for algorithm 13.
    pub(super) fn p256() -> Pair {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Pair::P256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap())
    }

    /// A new key for algorithm 15.
    pub(super) fn ed25519() -> Pair {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Pair::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    /// Its DNSKEY with flag 257.
    pub(super) fn dnskey(&self) -> Vec<u8> {
        match self {
            Pair::P256(pair) => [&[1, 1, 3, 13], &pair.public_key().as_ref()[1..]].concat(),
            Pair::Ed25519(pair) => [&[1, 1, 3, 15], pair.public_key().as_ref()].concat(),
        }
    }

    /// Its DNSKEY and the CDS to it.
    fn records(&self) -> String {
        let rdata = self.dnskey();
        let (algorithm, tag) = (rdata[3], Dnskey::read(&rdata).unwrap().tag());
        let ds = digest(&SHA256, &[name("@").as_wire(), &rdata].concat());
        format!(
            "@ DNSKEY 257 3 {algorithm} {}\n@ CDS {tag} {algorithm} 2 {}\n",
            BASE64.encode(&rdata[4..]),
            HEXUPPER.encode(ds.as_ref())
        )
    }

    /// Signs.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// The RRSIG over an RRset.
    fn rrsig(&self, rrset: &[Rr], (inception, expiration): (u32, u32)) -> Rr {
        let Rr { owner, rtype, ttl_secs, .. } = &rrset[0];
        let dnskey = self.dnskey();
        let labels = owner.as_ref().label_count() - usize::from(owner.as_ref().is_wildcard());
        let mut rdata = rtype.0.to_be_bytes().to_vec();
        rdata.extend_from_slice(&[dnskey[3], u8::try_from(labels).unwrap()]);
        rdata.extend([*ttl_secs, expiration, inception].into_iter().flat_map(u32::to_be_bytes));
        rdata.extend_from_slice(&Dnskey::read(&dnskey).unwrap().tag().to_be_bytes());
        rdata.extend_from_slice(name("@").as_wire());
        let mut all: Vec<Vec<u8>> = rrset.iter().map(|rr| canonical_rdata(*rtype, &rr.rdata).into_owned()).collect();
        all.sort();
        let mut message = rdata.clone();
        for one in all {
            message.extend_from_slice(owner.to_canonical().as_wire());
            message.extend_from_slice(&[rtype.0.to_be_bytes(), [0, 1]].concat());
            message.extend_from_slice(&ttl_secs.to_be_bytes());
            message.extend_from_slice(&u16::try_from(one.len()).unwrap().to_be_bytes());
            message.extend_from_slice(&one);
        }
        rdata.extend_from_slice(&self.sign(&message));
        Rr { owner: owner.clone(), rtype: Rtype::RRSIG, ttl_secs: *ttl_secs, rdata }
    }
}

impl Bench {
    /// A sound zone.
    pub(super) fn new(chain: Chain) -> Bench {
        Bench::with_keys(chain, vec![Pair::p256()])
    }

    /// A sound zone with these keys, each signing everything.
    pub(super) fn with_keys(chain: Chain, pairs: Vec<Pair>) -> Bench {
        let mut bench = Bench { records: read(ZONE), pairs, chain };
        for pair in &bench.pairs {
            bench.records.extend(read(&pair.records()));
        }
        bench.finish();
        bench
    }

    /// Adds chain and signatures.
    fn finish(&mut self) {
        if self.chain != Chain::Nsec {
            self.records.extend(read("@ 0 NSEC3PARAM 1 0 0 -"));
        }
        let unsigned = zone(&self.records);
        let chain = match self.chain {
            Chain::Nsec => nsec(&unsigned),
            chain => nsec3(&unsigned, chain),
        };
        self.records.extend(read(&chain));
        let with_chain = zone(&self.records);
        for (owner, place) in places(&with_chain).into_iter().filter(|(_, place)| is_authoritative(*place)) {
            for rtype in owner.rrsets().map(|rrset| rrset.rtype()) {
                if place != Place::Cut || matches!(rtype, Rtype::DS | Rtype::NSEC) {
                    self.sign_for(&owner.name().to_name(), rtype, SPAN);
                }
            }
        }
    }

    /// The zone.
    pub(super) fn zone(&self) -> Zone {
        zone(&self.records)
    }

    /// The first key's DNSKEY.
    pub(super) fn dnskey(&self) -> Vec<u8> {
        self.pairs[0].dnskey()
    }

    /// The records of a type at an owner.
    pub(super) fn rrset(&self, owner: &Name, rtype: Rtype) -> Vec<Rr> {
        self.records.iter().filter(|rr| rr.owner == *owner && rr.rtype == rtype).cloned().collect()
    }

    /// The one record of a type at an owner.
    pub(super) fn rr(&mut self, owner: &Name, rtype: Rtype) -> &mut Rr {
        let found = self.records.iter_mut().find(|rr| rr.owner == *owner && rr.rtype == rtype);
        found.unwrap_or_else(|| panic!("there is no {rtype} at {owner}"))
    }

    /// The one signature over a type at an owner.
    pub(super) fn rrsig(&mut self, owner: &Name, covered: Rtype) -> &mut Rr {
        let found = self.records.iter_mut().find(|rr| rr.owner == *owner && rr.covers(covered));
        found.unwrap_or_else(|| panic!("there is no RRSIG of {covered} at {owner}"))
    }

    /// Removes the signatures over a type at an owner.
    pub(super) fn strip(&mut self, owner: &Name, covered: Rtype) {
        let before = self.records.len();
        self.records.retain(|rr| rr.owner != *owner || !rr.covers(covered));
        assert!(self.records.len() < before, "there is no RRSIG of {covered} at {owner}");
    }

    /// Removes an RRset and its signatures.
    pub(super) fn remove(&mut self, owner: &Name, rtype: Rtype) {
        self.strip(owner, rtype);
        self.records.retain(|rr| rr.owner != *owner || rr.rtype != rtype);
    }

    /// Signs an RRset anew.
    pub(super) fn sign(&mut self, owner: &Name, rtype: Rtype) {
        self.sign_for(owner, rtype, SPAN);
    }

    /// Signs an RRset anew, for these times.
    pub(super) fn sign_for(&mut self, owner: &Name, rtype: Rtype, span: (u32, u32)) {
        self.records.retain(|rr| rr.owner != *owner || !rr.covers(rtype));
        self.sign_more(owner, rtype, span);
    }

    /// Signs an RRset once more, for these times.
    pub(super) fn sign_more(&mut self, owner: &Name, rtype: Rtype, span: (u32, u32)) {
        let rrset = self.rrset(owner, rtype);
        let signatures: Vec<Rr> = self.pairs.iter().map(|pair| pair.rrsig(&rrset, span)).collect();
        self.records.extend(signatures);
    }

    /// Adds a signature by another key.
    pub(super) fn sign_with(&mut self, owner: &Name, rtype: Rtype, pair: &Pair) {
        let signature = pair.rrsig(&self.rrset(owner, rtype), SPAN);
        self.records.push(signature);
    }

    /// The type of the records that deny.
    pub(super) fn denial(&self) -> Rtype {
        if self.chain == Chain::Nsec { Rtype::NSEC } else { Rtype::NSEC3 }
    }

    /// The owner of the record that denies types at a name.
    pub(super) fn denial_owner(&self, owner: &Name) -> Name {
        if self.chain == Chain::Nsec { owner.clone() } else { name(&hash(owner.as_ref())) }
    }

    /// Takes a name out of the chain: the record before names the one behind.
    pub(super) fn bridge(&mut self, owner: &Name) {
        let (rtype, at) = (self.denial(), self.denial_owner(owner));
        let next = next_of(&self.rr(&at, rtype).rdata, rtype).to_vec();
        let me = self.as_next(&at);
        let names_me = |rr: &&Rr| rr.rtype == rtype && next_of(&rr.rdata, rtype).eq_ignore_ascii_case(&me);
        let before = self.records.iter().find(names_me).expect("the chain is closed").owner.clone();
        self.remove(&at, rtype);
        self.set_next(&before, &next);
    }

    /// Has a record that denies name another one next.
    pub(super) fn set_next(&mut self, owner: &Name, next: &[u8]) {
        let rtype = self.denial();
        let rdata = &mut self.rr(owner, rtype).rdata;
        let len = next_of(rdata, rtype).len();
        let off = if rtype == Rtype::NSEC { 0 } else { 6 };
        rdata.splice(off..off + len, next.iter().copied());
        self.sign(owner, rtype);
    }

    /// An owner in the chain as it stands in the RDATA of the one before it.
    pub(super) fn as_next(&self, owner: &Name) -> Vec<u8> {
        match self.chain {
            Chain::Nsec => owner.as_wire().to_vec(),
            _ => hash_of_owner(owner.as_ref()).unwrap().to_vec(),
        }
    }

    /// The owners in the chain, in its order.
    pub(super) fn links(&self) -> Vec<Name> {
        let rtype = self.denial();
        let mut owners: Vec<Name> =
            self.records.iter().filter(|rr| rr.rtype == rtype).map(|rr| rr.owner.clone()).collect();
        owners.sort();
        owners
    }

    /// The same with the records of these owners alone.
    pub(super) fn only(mut self, owners: &[Name]) -> Bench {
        self.records.retain(|rr| owners.contains(&rr.owner));
        self
    }
}

impl Rr {
    /// Whether it is a signature over a type.
    pub(super) fn covers(&self, rtype: Rtype) -> bool {
        self.rtype == Rtype::RRSIG && self.rdata[..2] == rtype.0.to_be_bytes()
    }
}

/// The next name or hash of a record that denies.
fn next_of(rdata: &[u8], rtype: Rtype) -> &[u8] {
    if rtype == Rtype::NSEC { NameRef::prefix_of(rdata).unwrap().as_wire() } else { &rdata[6..26] }
}
