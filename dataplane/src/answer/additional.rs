//! Addresses of names that an answer mentions: servers, mail exchangers, service hosts (RFC 1034 section 4.3.2 step 6,
//! RFC 2782, RFC 9460 section 4.1).
//!
//! They spare a resolver a query, so they are added as far as they fit and their lack never truncates a reply. The
//! compiler lists at most 13 names for an RRset, so the work is bounded whatever a zone holds.

use snapshot::dns::rtype::Rtype;
use snapshot::image::{Found, RrsetBody, Zone, ZoneId};

use super::Work;
use super::place::{Owner, Place, Sigs, place, read_name};
use super::resolve::Question;
use crate::wire::{Section, Writer};

/// Which addresses may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Those that the zone is authoritative for.
    Authoritative,
    /// Glue as well: for the names of servers.
    Glue,
}

/// Appends addresses of the targets of `body`, whose records are at `at` in the reply.
pub(super) fn add(
    question: &Question<'_>,
    (id, zone): (ZoneId, &Zone<'_>),
    (body, at): (&RrsetBody<'_>, usize),
    reach: Reach,
    sigs: Sigs,
    writer: &mut Writer<'_>,
    work: &mut Work,
) {
    let mut buf = [0; 256];
    for off in RrsetBody::offsets(body.targets) {
        let Some(len) = read_name(writer.message(), at + off, &mut buf) else { continue };
        if work.name.assign(&buf[..len]).is_none() {
            continue;
        }
        let Some(Found::Exact(node)) = zone.find_now(&work.name) else { continue };
        let is_glue = node.is_cut() || node.cut_above().is_some();
        if is_glue && reach == Reach::Authoritative {
            continue;
        }
        for rtype in [Rtype::A, Rtype::AAAA] {
            let Some(mut addresses) = node.rrset(rtype) else { continue };
            if addresses.has_choices() {
                addresses = work.lots.choose(question, (id, &node), addresses);
            }
            let target = Place { at: at + off, len };
            // Glue is not signed. What does not fit is left out; what comes after it may be smaller.
            let sigs = if is_glue { Sigs::LeaveOut } else { sigs };
            let _left_out = place(writer, Section::Additional, &addresses, target, Owner::Suffix, sigs);
        }
    }
}
