//! The algorithm of RFC 1034 section 4.3.2 over a view: zone, node, and what follows from them.
//!
//! Each step appends whole RRsets to the reply. CNAMEs are followed through every zone of the view, up to
//! [`CNAME_CHAIN_MAX`] of them and never in a circle; the response code is that of the last name (RFC 6604). A reply is
//! truncated when what was asked for, or the in-domain glue of a referral (RFC 9471), does not fit; never for optional
//! addresses.

use snapshot::dns::lookup_name::LookupName;
use snapshot::dns::rtype::Rtype;
use snapshot::image::{Found, NameHashes, Node, RrsetBody, View, Zone, ZoneId};

use super::alias;
use super::place::{Full, Owner, Place, RECORD_HEAD, Sigs, place, place_glue, read_name, set_ttl};
use crate::packet::Transport;
use crate::wire::{HEADER_LEN, Query, Rcode, Section, Writer};

/// How many CNAMEs of one chain are followed.
const CNAME_CHAIN_MAX: usize = 16;
/// Query types that stand for actions or are no data (RFC 6895 section 3.1): OPT, TKEY, TSIG and the rest of the range.
const META_TYPES: std::ops::RangeInclusive<u16> = 128..=255;
/// Obsolete mailbox queries (RFC 1035 section 3.2.3).
const MAILBOX_TYPES: std::ops::RangeInclusive<u16> = 253..=254;

/// What is asked, made ready for lookups.
pub(super) struct Question<'q> {
    /// The parsed query.
    pub(super) query: &'q Query,
    /// Its qname.
    pub(super) name: &'q LookupName,
    /// The zone it falls into.
    pub(super) zone: Option<(ZoneId, NameHashes)>,
    /// How it came.
    pub(super) transport: Transport,
}

/// The name that is being looked up: the qname first, then the targets of CNAMEs.
pub(super) struct Step<'s> {
    /// The name.
    pub(super) name: &'s LookupName,
    /// Where it is in the reply.
    pub(super) place: Place,
    /// Its zone.
    pub(super) zone: Zone<'s>,
}

impl Step<'_> {
    /// Whether the name is the apex of its zone.
    #[inline]
    fn is_apex(&self) -> bool {
        self.name.label_count() == self.zone.apex_labels()
    }
}

/// What a step led to.
pub(super) enum Next {
    /// The reply is complete.
    Done(Rcode),
    /// A CNAME was appended; its RDATA starts here in the reply.
    Follow(usize),
}

/// The zone that answers for a name: the deepest one, but DS belongs to the parent if that is served too (RFC 4035
/// section 3.1.4.1).
#[inline]
pub(super) fn zone_of(view: &View, name: &LookupName, qtype: Rtype) -> Option<ZoneId> {
    let id = view.find_zone(name, name.label_count())?;
    if qtype == Rtype::DS && name.label_count() > 0 && view.get(id)?.apex_labels() == name.label_count() {
        return Some(view.find_zone(name, name.label_count() - 1).unwrap_or(id));
    }
    Some(id)
}

/// Appends the answer to a question of class IN and returns its response code.
#[inline]
pub(super) fn answer(view: &View, question: &Question<'_>, writer: &mut Writer<'_>, extra: &mut LookupName) -> Rcode {
    if let Some(rcode) = refused_type(question.query.qtype) {
        return rcode;
    }
    let Some((id, hashes)) = question.zone else {
        // Before the first generation nothing can be said about any name.
        return if view.generation().is_none() { Rcode::ServFail } else { Rcode::Refused };
    };
    let Some(zone) = view.get(id) else { return Rcode::ServFail };
    let place = Place { at: HEADER_LEN, len: question.query.qname_len };
    let step = Step { name: question.name, place, zone };
    match resolve(&step, hashes, question, writer, extra) {
        Next::Done(rcode) => rcode,
        Next::Follow(target_at) => follow(view, (id, hashes), target_at, question, writer, extra),
    }
}

/// The response code for query types that are no data.
fn refused_type(qtype: Rtype) -> Option<Rcode> {
    match qtype {
        Rtype::ANY => None,
        // Transfers are not served from here.
        Rtype::AXFR | Rtype::IXFR => Some(Rcode::Refused),
        _ if MAILBOX_TYPES.contains(&qtype.0) => Some(Rcode::NotImp),
        _ if qtype == Rtype::OPT || META_TYPES.contains(&qtype.0) => Some(Rcode::FormErr),
        _ => None,
    }
}

/// Follows a chain of CNAMEs whose first target is at `target_at` in the reply.
fn follow(
    view: &View,
    first: (ZoneId, NameHashes),
    mut target_at: usize,
    question: &Question<'_>,
    writer: &mut Writer<'_>,
    extra: &mut LookupName,
) -> Rcode {
    // Names are told apart by zone and 64 bits of hash: a chance match would end a chain early, not answer wrongly.
    let mut seen = [(first.0, first.1.own()); CNAME_CHAIN_MAX];
    let mut name = LookupName::default();
    let mut buf = [0; 256];
    for hop in 1..=CNAME_CHAIN_MAX {
        let Some(len) = read_name(writer.message(), target_at, &mut buf) else { return Rcode::ServFail };
        if name.assign(&buf[..len]).is_none() {
            return Rcode::ServFail;
        }
        let Some(id) = zone_of(view, &name, question.query.qtype) else { return Rcode::NoError };
        let Some(zone) = view.get(id) else { return Rcode::ServFail };
        let hashes = zone.hint_buckets(&name);
        if seen[..hop].contains(&(id, hashes.own())) {
            return Rcode::NoError;
        }
        if let Some(entry) = seen.get_mut(hop) {
            *entry = (id, hashes.own());
        }
        let step = Step { name: &name, place: Place { at: target_at, len }, zone };
        match resolve(&step, hashes, question, writer, extra) {
            Next::Done(rcode) => return rcode,
            Next::Follow(at) => target_at = at,
        }
    }
    Rcode::NoError
}

/// Looks one name up and appends what it has.
#[inline]
fn resolve(
    step: &Step<'_>,
    hashes: NameHashes,
    question: &Question<'_>,
    writer: &mut Writer<'_>,
    extra: &mut LookupName,
) -> Next {
    let found = match step.zone.find(step.name, hashes) {
        Some(found) => found,
        None => return Next::Done(Rcode::ServFail),
    };
    let node = match found {
        Found::Exact(node) => node,
        Found::Missing(encloser) => encloser.node,
    };
    if let Some(cut) = node.cut_above() {
        return refer(step, &cut, question, writer, extra);
    }
    match found {
        // DS lives on the parent's side of a cut (RFC 4035 section 3.1.4.1); everything else is the child's.
        Found::Exact(_) if node.is_cut() && question.query.qtype != Rtype::DS => {
            refer(step, &node, question, writer, extra)
        }
        Found::Exact(_) => data(step, &node, Owner::Suffix, question, writer),
        Found::Missing(_) if node.is_cut() => refer(step, &node, question, writer, extra),
        Found::Missing(_) => match (node.dname(), node.wildcard_child()) {
            (Some(dname), _) => alias::redirect(step, &dname, question, writer),
            (None, Some(source)) => data(step, &source, Owner::Synthesized, question, writer),
            (None, None) => negative(step, Rcode::NxDomain, question, writer),
        },
    }
}

/// Appends the RRset that is asked for, or the CNAME in its place, or says that there is neither.
#[inline]
fn data(step: &Step<'_>, node: &Node<'_>, owner: Owner, question: &Question<'_>, writer: &mut Writer<'_>) -> Next {
    writer.authoritative = true;
    let qtype = question.query.qtype;
    let sigs = sigs(question.query);
    let body = match qtype {
        Rtype::ANY => return several(step, node, owner, question, writer, Some),
        Rtype::RRSIG if step.zone.is_signed() => {
            return several(step, node, owner, question, writer, |body| body.signatures());
        }
        Rtype::SOA if step.is_apex() => step.zone.soa(),
        _ => node.rrset(qtype),
    };
    if let Some(body) = body {
        if place(writer, Section::Answer, &body, step.place, owner, sigs).is_err() {
            writer.truncated = true;
        }
        return Next::Done(Rcode::NoError);
    }
    match node.rrset(Rtype::CNAME) {
        Some(body) => match place(writer, Section::Answer, &body, step.place, owner, sigs) {
            Ok(at) => Next::Follow(at + RECORD_HEAD),
            Err(Full) => {
                writer.truncated = true;
                Next::Done(Rcode::NoError)
            }
        },
        None => negative(step, Rcode::NoError, question, writer),
    }
}

/// Answers ANY and RRSIG: one RRset over UDP, which is no lever for reflection, all of them over TCP (RFC 8482 section
/// 4.1). `part` is what of each RRset is asked for.
fn several<'v>(
    step: &Step<'v>,
    node: &Node<'v>,
    owner: Owner,
    question: &Question<'_>,
    writer: &mut Writer<'_>,
    part: impl Fn(RrsetBody<'v>) -> Option<RrsetBody<'v>>,
) -> Next {
    let bodies = || node.rrsets().chain(step.zone.soa().filter(|_| step.is_apex())).filter_map(&part);
    let sigs = sigs(question.query);
    let mut empty = true;
    match question.transport {
        Transport::Udp => {
            if let Some(body) = bodies().next() {
                empty = false;
                writer.truncated = place(writer, Section::Answer, &body, step.place, owner, sigs).is_err();
            }
        }
        Transport::Tcp => {
            // Those with compressed names first: far into a long reply no pointer could reach the names they share.
            let (pointing, plain) =
                (|body: &RrsetBody<'_>| !body.relocs.is_empty(), |body: &RrsetBody<'_>| body.relocs.is_empty());
            for body in bodies().filter(pointing).chain(bodies().filter(plain)) {
                empty = false;
                if place(writer, Section::Answer, &body, step.place, owner, sigs).is_err() {
                    writer.truncated = true;
                    break;
                }
            }
        }
    }
    if empty { negative(step, Rcode::NoError, question, writer) } else { Next::Done(Rcode::NoError) }
}

/// Appends the SOA of NODATA and NXDOMAIN, with the TTL that such an answer may be kept for (RFC 2308 section 3).
#[inline]
fn negative(step: &Step<'_>, rcode: Rcode, question: &Question<'_>, writer: &mut Writer<'_>) -> Next {
    writer.authoritative = true;
    let Some(soa) = step.zone.soa() else { return Next::Done(Rcode::ServFail) };
    let sigs = sigs(question.query);
    match place(writer, Section::Authority, &soa, step.place, Owner::Suffix, sigs) {
        Ok(at) => {
            let ttl_secs = step.zone.negative_ttl_secs();
            set_ttl(writer, at, soa.record_count, ttl_secs);
            if sigs == Sigs::Include {
                set_ttl(writer, at + soa.records.len(), soa.sig_count.into(), ttl_secs);
            }
        }
        Err(Full) => writer.truncated = true,
    }
    Next::Done(rcode)
}

/// Appends a referral: the NS of the cut, its DS if signatures are asked for, and addresses of its servers.
fn refer(
    step: &Step<'_>,
    cut: &Node<'_>,
    question: &Question<'_>,
    writer: &mut Writer<'_>,
    extra: &mut LookupName,
) -> Next {
    let Some(ns) = cut.rrset(Rtype::NS) else { return Next::Done(Rcode::ServFail) };
    let Ok(ns_at) = place(writer, Section::Authority, &ns, step.place, Owner::Suffix, Sigs::LeaveOut) else {
        writer.truncated = true;
        return Next::Done(Rcode::NoError);
    };
    if step.zone.is_signed()
        && question.query.dnssec_ok()
        && let Some(ds) = cut.rrset(Rtype::DS)
        && place(writer, Section::Authority, &ds, step.place, Owner::Suffix, Sigs::Include).is_err()
    {
        writer.truncated = true;
        return Next::Done(Rcode::NoError);
    }
    match place_glue(writer, &ns, step.place, ns_at) {
        Ok(()) => sibling_glue(&step.zone, &ns, ns_at, writer, extra),
        Err(Full) => writer.truncated = true,
    }
    Next::Done(Rcode::NoError)
}

/// Appends addresses of the cut's servers that are elsewhere in the zone, as far as they fit (RFC 9471 section 3.2).
fn sibling_glue(zone: &Zone<'_>, ns: &RrsetBody<'_>, ns_at: usize, writer: &mut Writer<'_>, name: &mut LookupName) {
    let mut buf = [0; 256];
    for off in RrsetBody::offsets(ns.targets) {
        let Some(len) = read_name(writer.message(), ns_at + off, &mut buf) else { continue };
        if name.assign(&buf[..len]).is_none() {
            continue;
        }
        let Some(Found::Exact(node)) = zone.find_now(name) else { continue };
        for rtype in [Rtype::A, Rtype::AAAA] {
            let Some(body) = node.rrset(rtype) else { continue };
            let target = Place { at: ns_at + off, len };
            // What does not fit is left out: a resolver can ask for it.
            if place(writer, Section::Additional, &body, target, Owner::Suffix, Sigs::LeaveOut).is_err() {
                return;
            }
        }
    }
}

/// Whether signatures go with what is asked.
#[inline]
pub(super) fn sigs(query: &Query) -> Sigs {
    if query.dnssec_ok() { Sigs::Include } else { Sigs::LeaveOut }
}
