//! Authoritative answering as the RFCs state it, in the plainest words Rust has: the specification that the product is
//! compared with.
//!
//! It shares no code with the product and is slow on purpose: a zone is a list of records, and every question to it is a
//! scan of that list. It follows RFC 1034 section 4.3.2 as amended by RFC 2308, 4035, 4592, 6672 and 9471. Class IN and
//! unsigned zones only; it knows no message sizes, so nothing is ever truncated. Names are in lower case (RFC 4343).

/// A label: at most 63 octets (RFC 1035 section 2.3.4), held in place because comparing makes very many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Label {
    /// Its octets, then zeros.
    octets: [u8; 63],
    /// How many octets it has.
    len: u8,
}

/// A name: its labels from left to right; the root has none.
pub(crate) type Name = Vec<Label>;

/// The types that answering treats apart (RFC 1035 section 3.2.2, RFC 3596, 4034 and 6672).
pub(crate) const A: u16 = 1;
/// See [`A`].
pub(crate) const NS: u16 = 2;
/// See [`A`].
pub(crate) const CNAME: u16 = 5;
/// See [`A`].
pub(crate) const SOA: u16 = 6;
/// See [`A`].
pub(crate) const AAAA: u16 = 28;
/// See [`A`].
pub(crate) const DNAME: u16 = 39;
/// See [`A`].
pub(crate) const DS: u16 = 43;
/// See [`A`].
pub(crate) const ANY: u16 = 255;

/// Response codes (RFC 1035 section 4.1.1, RFC 2136 section 2.2).
pub(crate) const NOERROR: u16 = 0;
/// See [`NOERROR`].
pub(crate) const NXDOMAIN: u16 = 3;
/// See [`NOERROR`].
pub(crate) const REFUSED: u16 = 5;
/// See [`NOERROR`].
pub(crate) const YXDOMAIN: u16 = 6;

/// How many CNAMEs of one chain are followed: RFC 1034 section 3.6.2 asks for a bound and leaves it to the server.
pub(crate) const FOLLOWED_MAX: usize = 16;
/// A name has at most 255 octets, length octets and root included (RFC 1035 section 2.3.4).
pub(crate) const NAME_LEN_MAX: usize = 255;

/// What follows the TTL of a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rdata {
    /// RDATA that is one name: NS, CNAME, DNAME, PTR.
    Name(Name),
    /// All other RDATA, names in it uncompressed and in lower case.
    Octets(Vec<u8>),
}

/// A record of class IN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    /// Whose it is.
    pub(crate) owner: Name,
    /// Its type.
    pub(crate) rtype: u16,
    /// Its TTL in seconds.
    pub(crate) ttl_secs: u32,
    /// Its RDATA.
    pub(crate) rdata: Rdata,
}

/// A zone that is served.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    /// Its apex.
    pub(crate) apex: Name,
    /// Its records in any order.
    pub(crate) records: Vec<Record>,
}

/// How a question comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// As a datagram.
    Udp,
    /// Over a connection.
    Tcp,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// The qname.
    pub(crate) qname: Name,
    /// The qtype; meta-types other than ANY are not modelled.
    pub(crate) qtype: u16,
    /// How it comes.
    pub(crate) over: Over,
}

/// A place in the answer section: RRsets of which exactly one must be there, each in any order of its records.
pub(crate) type Place = Vec<Vec<Record>>;

/// What must be answered.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The response code.
    pub(crate) rcode: u16,
    /// The AA flag.
    pub(crate) authoritative: bool,
    /// The answer section: chains in the order in which they are followed.
    pub(crate) answer: Vec<Place>,
    /// The authority section.
    pub(crate) authority: Vec<Record>,
    /// What may be in the authority section besides.
    pub(crate) authority_optional: Vec<Record>,
    /// What must be in the additional section: the in-domain glue of a referral.
    pub(crate) glue: Vec<Record>,
}

/// What a zone has for a name.
enum Found {
    /// The name is at or below this zone cut.
    Cut(Name),
    /// The name is below this owner of a DNAME.
    Redirected(Name),
    /// The name is there, or a wildcard stands for it; it owns these records, possibly none.
    Node(Vec<Record>),
    /// There is no such name.
    Missing,
}

impl Label {
    /// A label of at most 63 octets, in lower case.
    pub(crate) fn new(text: &[u8]) -> Label {
        let mut octets = [0; 63];
        octets[..text.len()].copy_from_slice(text);
        octets.make_ascii_lowercase();
        Label { octets, len: u8::try_from(text.len()).expect("at most 63") }
    }

    /// Its octets.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

/// Answers a question (RFC 1034 section 4.3.2).
pub(crate) fn answer(zones: &[Zone], question: &Question) -> Answer {
    let mut reply = Answer::default();
    let mut seen = vec![question.qname.clone()];
    loop {
        let sname = seen.last().expect("the qname is always there").clone();
        // Step 2: the zone which is the nearest ancestor. For a qname without one there is nothing to say; a chain that
        // leaves the zones ends there, and what was found so far is the answer (step 3a leads back to step 2).
        let Some(zone) = nearest_zone(zones, &sname, question.qtype) else {
            reply.rcode = if seen.len() == 1 { REFUSED } else { NOERROR };
            return reply;
        };
        let next = match find(zone, &sname, question.qtype) {
            Found::Cut(cut) => {
                refer(zone, &cut, &mut reply);
                return reply;
            }
            Found::Redirected(owner) => redirect(zone, &owner, &sname, question, &mut reply),
            Found::Node(records) => select(zone, &records, question, &mut reply),
            Found::Missing => {
                // RFC 6604 section 3: the code is that of the last name of a chain.
                reply.rcode = NXDOMAIN;
                negative(zone, &mut reply);
                None
            }
        };
        let Some(next) = next else { return reply };
        // A chain that meets itself, or that is too long, is answered as far as it was followed.
        if seen.contains(&next) || seen.len() > FOLLOWED_MAX {
            return reply;
        }
        seen.push(next);
    }
}

/// The zone that a name is looked up in: the nearest ancestor (RFC 1034 section 4.3.2 step 2). DS at an apex belongs to
/// the parent, if we are authoritative for it (RFC 4035 section 3.1.4.1); where the zone above delegates an ancestor of
/// the name it is not the parent, and the child says that it has no DS.
fn nearest_zone<'z>(zones: &'z [Zone], name: &[Label], qtype: u16) -> Option<&'z Zone> {
    let nearest = |name: &[Label]| {
        let above = zones.iter().filter(|zone| is_at_or_below(name, &zone.apex));
        above.max_by_key(|zone| zone.apex.len())
    };
    let zone = nearest(name)?;
    if qtype == DS && zone.apex == name && !name.is_empty() {
        let parent = nearest(&name[1..]);
        return parent.filter(|parent| !matches!(find(parent, name, DS), Found::Cut(_))).or(Some(zone));
    }
    Some(zone)
}

/// Looks for a name in a zone (RFC 1034 section 4.3.2 step 3, RFC 6672 section 3.2, RFC 4592 section 3.3).
fn find(zone: &Zone, name: &[Label], qtype: u16) -> Found {
    // "Start matching down, label by label, in the zone": whatever comes first from the top hides what is below.
    for len in zone.apex.len()..=name.len() {
        let ancestor = &name[name.len() - len..];
        let is_apex = len == zone.apex.len();
        let is_whole = len == name.len();
        // Step 3b: a cut, unless the DS is asked for, which is the parent's (RFC 4035 section 3.1.4.1). A cut that has a
        // DNAME as well is a cut: its DNAME would be data of the child (RFC 6672 section 2.3).
        if !is_apex && has(zone, ancestor, NS) && !(is_whole && qtype == DS) {
            return Found::Cut(ancestor.to_vec());
        }
        // Step 3c: names below a DNAME are redirected, the owner is not; records below it do not count (RFC 6672
        // sections 2.3 and 2.4).
        if !is_whole && has(zone, ancestor, DNAME) {
            return Found::Redirected(ancestor.to_vec());
        }
    }
    if exists(zone, name) {
        return Found::Node(at(zone, name));
    }
    // RFC 4592 section 3.3.1: only the wildcard at the closest encloser is a source of synthesis, and it may be an empty
    // non-terminal (section 2.2.2), which synthesizes no data. A DNAME there redirects nothing (RFC 6672 section 3.3).
    let encloser = (1..name.len()).map(|skipped| &name[skipped..]).find(|ancestor| exists(zone, ancestor));
    let source = [&[Label::new(b"*")], encloser.unwrap_or(&zone.apex)].concat();
    if !exists(zone, &source) {
        return Found::Missing;
    }
    let mut records = at(zone, &source);
    for record in &mut records {
        record.owner = name.to_vec();
    }
    Found::Node(records)
}

/// Whether a name exists: it owns records, or a name below it does (RFC 4592 section 2.2.2, RFC 8020 section 2).
fn exists(zone: &Zone, name: &[Label]) -> bool {
    name == zone.apex || zone.records.iter().any(|record| is_at_or_below(&record.owner, name))
}

/// Chooses from the records of a node; returns the name to go on with (RFC 1034 section 4.3.2 step 3a).
fn select(zone: &Zone, records: &[Record], question: &Question, reply: &mut Answer) -> Option<Name> {
    reply.authoritative = true;
    if question.qtype == ANY && !records.is_empty() {
        let rrsets = types(records).into_iter().map(|rtype| rrset(records, rtype));
        // An RRset that a DNAME brought before counts as given.
        let rrsets = rrsets.map(|rrset| if is_placed(&rrset, reply) { Vec::new() } else { rrset });
        let place = match question.over {
            // RFC 8482 section 4.1: some RRset, whole; section 4.4: over TCP nothing needs to be held back.
            Over::Udp => rrsets.collect(),
            Over::Tcp => vec![rrsets.flatten().collect()],
        };
        reply.answer.push(place);
        return None;
    }
    let asked = rrset(records, question.qtype);
    if !asked.is_empty() {
        add(asked, reply);
        return None;
    }
    let alias = rrset(records, CNAME);
    let Some(Record { rdata: Rdata::Name(target), .. }) = alias.first().cloned() else {
        negative(zone, reply);
        return None;
    };
    add(alias, reply);
    Some(target)
}

/// Adds an RRset to the answer section, unless it is there: no record is sent twice (RFC 2181 section 5).
fn add(rrset: Vec<Record>, reply: &mut Answer) {
    if !is_placed(&rrset, reply) {
        reply.answer.push(vec![rrset]);
    }
}

/// Whether the answer section has an RRset already.
fn is_placed(rrset: &[Record], reply: &Answer) -> bool {
    reply.answer.iter().flatten().any(|placed| placed == rrset)
}

/// Redirects a name below a DNAME; returns the new name (RFC 6672 section 3.2 step 3c). A question for CNAME is answered
/// by the CNAME that is made: such questions are not restarted (RFC 1034 section 3.6.2). One for ANY goes on, as step 3c
/// makes no exception and most servers do.
fn redirect(zone: &Zone, owner: &[Label], name: &[Label], question: &Question, reply: &mut Answer) -> Option<Name> {
    reply.authoritative = true;
    let dname = rrset(&at(zone, owner), DNAME);
    let Record { ttl_secs, rdata: Rdata::Name(target), .. } = dname[0].clone() else { return None };
    add(dname, reply);
    let new = [&name[..name.len() - owner.len()], &target].concat();
    if name_len(&new) > NAME_LEN_MAX {
        // RFC 6672 section 2.2.
        reply.rcode = YXDOMAIN;
        return None;
    }
    // RFC 6672 section 3.1: the TTL is that of the DNAME.
    let owner = name.to_vec();
    add(vec![Record { owner, rtype: CNAME, ttl_secs, rdata: Rdata::Name(new.clone()) }], reply);
    (question.qtype != CNAME).then_some(new)
}

/// Says that there is no such name or no such type (RFC 2308 sections 2 and 3): the SOA, kept as long as its MINIMUM says.
fn negative(zone: &Zone, reply: &mut Answer) {
    reply.authoritative = true;
    for mut soa in rrset(&at(zone, &zone.apex), SOA) {
        if let Rdata::Octets(octets) = &soa.rdata
            && let Some(minimum) = octets.last_chunk()
        {
            soa.ttl_secs = soa.ttl_secs.min(u32::from_be_bytes(*minimum));
        }
        reply.authority.push(soa);
    }
}

/// Refers to the servers of a zone below (RFC 1034 section 4.3.2 step 3b). AA stays as it is: it speaks of the first
/// owner of the answer section (RFC 1035 section 4.1.1), so after a chain it is set.
fn refer(zone: &Zone, cut: &[Label], reply: &mut Answer) {
    let records = at(zone, cut);
    reply.authority = rrset(&records, NS);
    // RFC 4035 section 3.1.4 asks for the DS in signed zones only; sending it from others does no harm.
    reply.authority_optional = rrset(&records, DS);
    for server in &reply.authority {
        // RFC 9471 section 3.1: all in-domain glue. Below a cut nothing hides anything.
        if let Rdata::Name(target) = &server.rdata
            && is_at_or_below(target, cut)
        {
            let glue = at(zone, target);
            reply.glue.extend([A, AAAA].into_iter().flat_map(|rtype| rrset(&glue, rtype)));
        }
    }
}

/// How many octets a name has in wire format.
pub(crate) fn name_len(name: &[Label]) -> usize {
    name.iter().map(|label| label.octets().len() + 1).sum::<usize>() + 1
}

/// Whether `name` is `ancestor` or below it.
pub(crate) fn is_at_or_below(name: &[Label], ancestor: &[Label]) -> bool {
    name.ends_with(ancestor)
}

/// Whether a name owns an RRset.
fn has(zone: &Zone, name: &[Label], rtype: u16) -> bool {
    zone.records.iter().any(|record| record.rtype == rtype && record.owner == name)
}

/// The records of a name.
fn at(zone: &Zone, name: &[Label]) -> Vec<Record> {
    zone.records.iter().filter(|record| record.owner == name).cloned().collect()
}

/// The types among some records, each once.
fn types(records: &[Record]) -> Vec<u16> {
    let mut types: Vec<u16> = records.iter().map(|record| record.rtype).collect();
    types.sort_unstable();
    types.dedup();
    types
}

/// The records of one type, each once, all with the least of their TTLs (RFC 2181 sections 5 and 5.2).
fn rrset(records: &[Record], rtype: u16) -> Vec<Record> {
    let mut rrset: Vec<Record> = records.iter().filter(|record| record.rtype == rtype).cloned().collect();
    let ttl_secs = rrset.iter().map(|record| record.ttl_secs).min().unwrap_or(0);
    for record in &mut rrset {
        record.ttl_secs = ttl_secs;
    }
    rrset.sort();
    rrset.dedup();
    rrset
}

/// The addresses that `zones` have for a name: what may be in an additional section (RFC 1034 section 4.3.2 step 6).
pub(crate) fn addresses(zones: &[Zone], name: &[Label]) -> Vec<Record> {
    let mut addresses = Vec::new();
    for zone in zones.iter().filter(|zone| is_at_or_below(name, &zone.apex)) {
        let mut sources = vec![at(zone, name)];
        if let Found::Node(synthesized) = find(zone, name, A) {
            sources.push(synthesized);
        }
        addresses.extend(sources.iter().flat_map(|records| [A, AAAA].map(|rtype| rrset(records, rtype))).flatten());
    }
    addresses
}
