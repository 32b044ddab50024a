//! The algorithm of RFC 1034 section 4.3.2 over a view: zone, node, and what follows from them.
//!
//! Each step appends whole RRsets to the reply, glue of a referral excepted. CNAMEs are followed through every zone of the view, up to
//! [`CNAME_CHAIN_MAX`] of them and never in a circle; the response code is that of the last name (RFC 6604). A reply is
//! truncated when what was asked for, or the in-domain glue of a referral (RFC 9471), does not fit; never for optional
//! addresses.

use std::net::IpAddr;

use snapshot::dns::lookup_name::LookupName;
use snapshot::dns::rtype::Rtype;
use snapshot::image::{Encloser, Found, NameHashes, Node, RrsetBody, View, Zone, ZoneId};

use super::additional::{self, Reach};
use super::extras::Extras;
use super::place::{Full, Owner, Place, RECORD_HEAD, Sigs, place, place_glue, read_name, set_ttl};
use super::proof::Gap;
use super::{Mentioned, Work, alias};
use crate::packet::Transport;
use crate::wire::{HEADER_LEN, Query, Rcode, Section, Writer};

/// How many CNAMEs of one chain are followed.
pub(super) const CNAME_CHAIN_MAX: usize = 16;
/// Query types that stand for actions or are no data (RFC 6895 section 3.1): OPT, TKEY, TSIG and the rest of the range.
const META_TYPES: std::ops::RangeInclusive<u16> = 128..=255;
/// Obsolete mailbox queries (RFC 1035 section 3.2.3).
const MAILBOX_TYPES: std::ops::RangeInclusive<u16> = 253..=254;

/// What is asked, and of what, made ready for lookups.
pub(super) struct Question<'q> {
    /// What it is answered from.
    pub(super) view: &'q View,
    /// The parsed query.
    pub(super) query: &'q Query,
    /// Its qname.
    pub(super) name: &'q LookupName,
    /// The zone it falls into, and its hashes there.
    pub(super) zone: &'q Option<(ZoneId, NameHashes)>,
    /// How it came.
    pub(super) transport: Transport,
    /// Who sent it.
    pub(super) client: &'q IpAddr,
    /// What its options said, which may be of its own client.
    pub(super) extras: &'q Extras,
}

/// The name that is being looked up: the qname first, then the targets of CNAMEs.
pub(super) struct Step<'s> {
    /// The name.
    pub(super) name: &'s LookupName,
    /// Where it is in the reply.
    pub(super) place: Place,
    /// Its zone.
    pub(super) zone: Zone<'s>,
    /// The zone's id.
    pub(super) id: ZoneId,
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
/// section 3.1.4.1). Inlined whatever the compiler thinks of it, see [`LookupName::assign`].
#[inline(always)]
pub(super) fn zone_of(view: &View, name: &LookupName, qtype: Rtype) -> Option<ZoneId> {
    let id = view.find_zone(name, name.label_count())?;
    if qtype == Rtype::DS && name.label_count() > 0 && view.get(id)?.apex_labels() == name.label_count() {
        let above = view.find_zone(name, name.label_count() - 1);
        return above.filter(|&above| is_parent(view, above, name)).or(Some(id));
    }
    Some(id)
}

/// Whether the zone above an apex is its parent. It is not if it delegates an ancestor of the apex: DS is then the question
/// of a zone that is not served here, and the child can only say that it has none (RFC 4035 section 3.1.4.1).
fn is_parent(view: &View, above: ZoneId, apex: &LookupName) -> bool {
    let Some(zone) = view.get(above) else { return false };
    match zone.find_now(apex) {
        Some(Found::Exact(node)) => node.cut_above().is_none(),
        Some(Found::Missing(Encloser { node, .. })) => !node.is_cut() && node.cut_above().is_none(),
        None => false,
    }
}

/// Appends the answer to a question of class IN and returns its response code.
#[inline]
pub(super) fn answer(question: &Question<'_>, writer: &mut Writer<'_>, work: &mut Work) -> Rcode {
    if let Some(rcode) = refused_type(question.query.qtype) {
        return rcode;
    }
    let view = question.view;
    let Some((id, hashes)) = *question.zone else {
        // Before the first generation nothing can be said about any name.
        return if view.generation().is_none() { Rcode::ServFail } else { Rcode::Refused };
    };
    let Some(zone) = view.get(id) else { return Rcode::ServFail };
    let place = Place { at: HEADER_LEN, len: question.query.qname_len };
    let step = Step { name: question.name, place, zone, id };
    work.proofs.clear();
    work.redirects.clear();
    work.mentioned = None;
    let rcode = match resolve(&step, hashes, question, writer, work) {
        Next::Done(rcode) => rcode,
        Next::Follow(target_at) => follow((id, hashes), target_at, question, writer, work),
    };
    if !writer.truncated && (work.mentioned.is_some() || !work.proofs.is_empty()) {
        conclude(question, writer, work);
    }
    rcode
}

/// Appends what follows the answers: denials of existence, then addresses of names that were mentioned.
#[inline(never)]
fn conclude(question: &Question<'_>, writer: &mut Writer<'_>, work: &mut Work) {
    let view = question.view;
    if work.proofs.place(view, question.name, writer).is_err() {
        writer.truncated = true;
        return;
    }
    let Some(Mentioned { id, word, rtype, at }) = work.mentioned.take() else { return };
    let Some(zone) = view.get(id) else { return };
    let Some((node, mut body)) = zone.node_at(word).and_then(|node| Some((node, node.rrset(rtype)?))) else { return };
    if body.has_choices() {
        body = work.lots.choose(question, (id, &node), body);
    }
    let reach = if rtype == Rtype::NS { Reach::Glue } else { Reach::Authoritative };
    additional::add(question, (id, &zone), (&body, at), reach, sigs(question.query), writer, work);
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

/// Follows a chain of CNAMEs whose first target is at `target_at` in the reply. Apart from the common path, for which its
/// frame would be too large.
#[inline(never)]
fn follow(
    first: (ZoneId, NameHashes),
    mut target_at: usize,
    question: &Question<'_>,
    writer: &mut Writer<'_>,
    work: &mut Work,
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
        let Some(id) = zone_of(question.view, &name, question.query.qtype) else { return Rcode::NoError };
        let Some(zone) = question.view.get(id) else { return Rcode::ServFail };
        let hashes = zone.hint_buckets(&name);
        if seen[..hop].contains(&(id, hashes.own())) {
            return Rcode::NoError;
        }
        if let Some(entry) = seen.get_mut(hop) {
            *entry = (id, hashes.own());
        }
        let step = Step { name: &name, place: Place { at: target_at, len }, zone, id };
        match resolve(&step, hashes, question, writer, work) {
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
    work: &mut Work,
) -> Next {
    let found = match step.zone.find(step.name, hashes) {
        Some(found) => found,
        None => return Next::Done(Rcode::ServFail),
    };
    let (node, enclosing) = match found {
        Found::Exact(node) => (node, None),
        Found::Missing(Encloser { node, labels }) => (node, Some(labels)),
    };
    if let Some(cut) = node.cut_above() {
        return refer(step, &cut, question, writer, work);
    }
    // DS lives on the parent's side of a cut (RFC 4035 section 3.1.4.1); everything else is the child's.
    if node.is_cut() && (enclosing.is_some() || question.query.qtype != Rtype::DS) {
        return refer(step, &node, question, writer, work);
    }
    let mut source = &node;
    let wildcard;
    if let Some(labels) = enclosing {
        if let Some(dname) = node.dname() {
            return alias::redirect(step, (&node, &dname), question, writer, &mut work.redirects);
        }
        let Some(child) = node.wildcard_child() else {
            prove(step, Gap::Name(labels), question, work);
            return negative(step, Rcode::NxDomain, question, writer);
        };
        wildcard = child;
        source = &wildcard;
    }
    data(step, (source, enclosing), question, writer, work)
}

/// The node that has the data of a name, and, if it is a wildcard that stands for the name, the labels of the closest
/// encloser of that.
type Source<'n, 'v> = (&'n Node<'v>, Option<usize>);

/// How the owner of the data relates to the name.
#[inline]
fn owner((_, replaced): Source<'_, '_>) -> Owner {
    if replaced.is_some() { Owner::Synthesized } else { Owner::Suffix }
}

/// Notes the proof of a gap, if the zone is signed and DNSSEC was asked for.
#[inline]
fn prove(step: &Step<'_>, gap: Gap<'_, '_>, question: &Question<'_>, work: &mut Work) {
    if step.zone.is_signed() && question.query.dnssec_ok() {
        work.proofs.add(step, gap);
    }
}

/// Appends the RRset that is asked for, or the CNAME in its place, or says that there is neither.
#[inline]
fn data(
    step: &Step<'_>,
    source: Source<'_, '_>,
    question: &Question<'_>,
    writer: &mut Writer<'_>,
    work: &mut Work,
) -> Next {
    writer.authoritative = true;
    let (node, replaced) = source;
    let owner = owner(source);
    let qtype = question.query.qtype;
    let sigs = sigs(question.query);
    let body = match qtype {
        Rtype::ANY => return several(step, source, question, writer, work, Some),
        Rtype::RRSIG if step.zone.is_signed() => {
            return several(step, source, question, writer, work, |body| body.signatures());
        }
        Rtype::SOA if step.is_apex() => step.zone.soa(),
        Rtype::DNAME if replaced.is_none() && work.redirects.find(step.id, node).is_some() => {
            return Next::Done(Rcode::NoError);
        }
        _ => node.rrset(qtype),
    };
    let Some(mut body) = body else { return alias(step, source, question, writer, work) };
    if body.has_choices() {
        body = work.lots.choose(question, (step.id, node), body);
    }
    let Ok(at) = place(writer, Section::Answer, &body, step.place, owner, sigs) else {
        writer.truncated = true;
        return Next::Done(Rcode::NoError);
    };
    if let Some(labels) = replaced {
        prove(step, Gap::Closer(labels), question, work);
    }
    if !body.targets.is_empty() {
        work.mentioned = Some(Mentioned { id: step.id, word: node.word(), rtype: body.rtype, at });
    }
    Next::Done(Rcode::NoError)
}

/// Appends the CNAME of a name that lacks the type, or says that there is none.
#[inline(never)]
fn alias(
    step: &Step<'_>,
    source: Source<'_, '_>,
    question: &Question<'_>,
    writer: &mut Writer<'_>,
    work: &mut Work,
) -> Next {
    let (node, replaced) = source;
    // These two live beside a CNAME (RFC 4035 section 2.5): in a zone without them a name lacks them, and nothing is
    // followed. A zone with NSEC3 has no NSEC, but could not prove that an alias lacks a type (RFC 5155 section 8.5).
    let is_beside = !step.zone.is_signed() && matches!(question.query.qtype, Rtype::NSEC | Rtype::RRSIG);
    let Some(body) = node.rrset(Rtype::CNAME).filter(|_| !is_beside) else {
        return no_data(step, source, question, writer, work);
    };
    let Ok(at) = place(writer, Section::Answer, &body, step.place, owner(source), sigs(question.query)) else {
        writer.truncated = true;
        return Next::Done(Rcode::NoError);
    };
    if let Some(labels) = replaced {
        prove(step, Gap::Closer(labels), question, work);
    }
    Next::Follow(at + RECORD_HEAD)
}

/// Says that the name lacks the type.
fn no_data(
    step: &Step<'_>,
    source: Source<'_, '_>,
    question: &Question<'_>,
    writer: &mut Writer<'_>,
    work: &mut Work,
) -> Next {
    let gap = match source {
        (node, None) => Gap::Type(node),
        (node, Some(labels)) => Gap::WildcardType(labels, node),
    };
    prove(step, gap, question, work);
    negative(step, Rcode::NoError, question, writer)
}

/// Answers ANY and RRSIG: one RRset over UDP, which is no lever for reflection, all of them over TCP (RFC 8482 section
/// 4.1). `part` is what of each RRset is asked for.
fn several<'v>(
    step: &Step<'v>,
    source: Source<'_, 'v>,
    question: &Question<'_>,
    writer: &mut Writer<'_>,
    work: &mut Work,
    part: impl Fn(RrsetBody<'v>) -> Option<RrsetBody<'v>>,
) -> Next {
    let (node, replaced) = source;
    let owner = owner(source);
    // ANY at an alias is the alias alone, as in the other servers. A wildcard's NSEC speaks of the wildcard, so it is
    // only given to those who ask for it (RFC 4592 section 4.7). A DNAME may be in the answer already.
    let is_alias = node.rrset(Rtype::CNAME).is_some() && question.query.qtype == Rtype::ANY;
    let has_dname = replaced.is_none() && work.redirects.find(step.id, node).is_some();
    let is_wanted = |body: &RrsetBody<'_>| match body.rtype {
        Rtype::NSEC => replaced.is_none() && !is_alias,
        Rtype::DNAME => !has_dname,
        rtype => !is_alias || rtype == Rtype::CNAME,
    };
    let drawn = match node.rrsets().any(|body| body.has_choices()) {
        true => work.lots.draw(question, node.rrsets()),
        false => None,
    };
    let choose = |body| drawn.map_or(body, |drawn| drawn.choose((step.id, node), body));
    let bodies = || {
        let soa = step.zone.soa().filter(|_| step.is_apex());
        node.rrsets().chain(soa).filter(is_wanted).map(choose).filter_map(&part)
    };
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
    if empty && !has_dname {
        return no_data(step, source, question, writer, work);
    }
    if let Some(labels) = replaced {
        prove(step, Gap::Closer(labels), question, work);
    }
    Next::Done(Rcode::NoError)
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

/// Appends a referral: the NS of the cut, its DS or the proof that it has none if signatures are asked for, and
/// addresses of its servers.
fn refer(step: &Step<'_>, cut: &Node<'_>, question: &Question<'_>, writer: &mut Writer<'_>, work: &mut Work) -> Next {
    let Some(ns) = cut.rrset(Rtype::NS) else { return Next::Done(Rcode::ServFail) };
    let Ok(ns_at) = place(writer, Section::Authority, &ns, step.place, Owner::Suffix, Sigs::LeaveOut) else {
        writer.truncated = true;
        return Next::Done(Rcode::NoError);
    };
    // Names before this one may need proofs even where this zone is not signed; addresses come behind them.
    let is_secured = question.query.dnssec_ok() && (step.zone.is_signed() || !work.proofs.is_empty());
    if is_secured && secure(step, cut, question, writer, work).is_err() {
        writer.truncated = true;
        return Next::Done(Rcode::NoError);
    }
    match place_glue(writer, &ns, step.place, ns_at) {
        Ok(()) => {
            let zone = (step.id, &step.zone);
            additional::add(question, zone, (&ns, ns_at), Reach::Glue, Sigs::LeaveOut, writer, work);
        }
        Err(Full) => writer.truncated = true,
    }
    Next::Done(Rcode::NoError)
}

/// Appends the DS of a cut, or the proof that it has none (RFC 4035 section 3.1.4), if its zone is signed, and what the
/// names before it need.
#[cold]
fn secure(
    step: &Step<'_>,
    cut: &Node<'_>,
    question: &Question<'_>,
    writer: &mut Writer<'_>,
    work: &mut Work,
) -> Result<(), Full> {
    match cut.rrset(Rtype::DS) {
        _ if !step.zone.is_signed() => {}
        Some(ds) => {
            place(writer, Section::Authority, &ds, step.place, Owner::Suffix, Sigs::Include)?;
        }
        None => work.proofs.add(step, Gap::Type(cut)),
    }
    work.proofs.place(question.view, question.name, writer)
}

/// Whether signatures go with what is asked.
#[inline]
pub(super) fn sigs(query: &Query) -> Sigs {
    if query.dnssec_ok() { Sigs::Include } else { Sigs::LeaveOut }
}
