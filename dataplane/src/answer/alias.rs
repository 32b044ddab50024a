//! Redirection of whole subtrees: DNAME and the CNAME that is made from it (RFC 6672 section 3).
//!
//! It follows nothing: where the chain goes on is up to `resolve`.

use snapshot::dns::name::NAME_LEN_MAX;
use snapshot::dns::rtype::Rtype;
use snapshot::image::{Node, RrsetBody, ZoneId};

use super::place::{Full, Owner, Place, RECORD_HEAD, place, pointer_to, read_name};
use super::resolve::{CNAME_CHAIN_MAX, Next, Question, Step, sigs};
use crate::wire::{Rcode, Section, Writer};

/// The class of everything in a zone.
const CLASS_IN: [u8; 2] = [0, 1];

/// The DNAMEs of an answer. A chain may come by one several times, but no record is sent twice (RFC 2181 section 5).
#[derive(Default)]
pub(super) struct Redirects {
    /// The first `count` are set: zone, node, and where the records are in the reply.
    placed: [(ZoneId, u32, usize); CNAME_CHAIN_MAX + 1],
    /// How many.
    count: usize,
}

impl Redirects {
    /// Forgets all.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// Where the DNAME of a node is in the reply, if it is there.
    pub(super) fn find(&self, id: ZoneId, node: &Node<'_>) -> Option<usize> {
        let mut placed = self.placed[..self.count].iter();
        placed.find(|(zone, word, _)| (*zone, *word) == (id, node.word())).map(|(_, _, at)| *at)
    }

    /// Notes where the DNAME of a node is.
    fn note(&mut self, id: ZoneId, node: &Node<'_>, at: usize) {
        if self.find(id, node).is_none()
            && let Some(slot) = self.placed.get_mut(self.count)
        {
            *slot = (id, node.word(), at);
            self.count += 1;
        }
    }
}

/// Appends the DNAME above the name of this step and the CNAME that it makes for the name, with the TTL of the DNAME
/// (RFC 6672 section 3.1). A name that gets too long is YXDOMAIN, with the DNAME as the reason (section 2.2).
pub(super) fn redirect(
    step: &Step<'_>,
    (node, dname): (&Node<'_>, &RrsetBody<'_>),
    question: &Question<'_>,
    writer: &mut Writer<'_>,
    redirects: &mut Redirects,
) -> Next {
    writer.authoritative = true;
    let at = match redirects.find(step.id, node) {
        Some(at) => at,
        None => match place(writer, Section::Answer, dname, step.place, Owner::Suffix, sigs(question.query)) {
            Ok(at) => at,
            Err(Full) => {
                writer.truncated = true;
                return Next::Done(Rcode::NoError);
            }
        },
    };
    redirects.note(step.id, node, at);
    let Some((name, len)) = redirected(writer.message(), step.place, dname.owner_len, at + RECORD_HEAD) else {
        return Next::Done(Rcode::YxDomain);
    };
    match put_cname(writer, step.place, at, &name[..len]) {
        Err(Full) => {
            writer.truncated = true;
            Next::Done(Rcode::NoError)
        }
        // The CNAME itself was asked for, and such a question is not restarted (RFC 1034 section 3.6.2). ANY goes on:
        // RFC 6672 section 3.2 step 3c makes no exception.
        Ok(_) if question.query.qtype == Rtype::CNAME => Next::Done(Rcode::NoError),
        Ok(target_at) => Next::Follow(target_at),
    }
}

/// The name with its last `owner_len` octets replaced by the name at `target_at`, and its length; `None` if it is too
/// long.
fn redirected(message: &[u8], name: Place, owner_len: usize, target_at: usize) -> Option<([u8; 256], usize)> {
    let mut result = [0; 256];
    let mut target = [0; 256];
    let kept_len = read_name(message, name.at, &mut result)?.checked_sub(owner_len)?;
    let target_len = read_name(message, target_at, &mut target)?;
    let len = kept_len + target_len;
    if len > NAME_LEN_MAX {
        return None;
    }
    result[kept_len..len].copy_from_slice(&target[..target_len]);
    Some((result, len))
}

/// Appends a CNAME from the name at `owner` to `target`, with the TTL of the record at `dname_at`; returns where its
/// RDATA starts.
fn put_cname(writer: &mut Writer<'_>, owner: Place, dname_at: usize, target: &[u8]) -> Result<usize, Full> {
    let pointer = pointer_to(writer.message(), owner).ok_or(Full)?;
    let ttl: [u8; 4] = *writer.message().get(dname_at + 6..).and_then(|rest| rest.first_chunk()).ok_or(Full)?;
    let rdata_len = u16::try_from(target.len()).map_err(|_| Full)?;
    let mut record = [0; RECORD_HEAD + NAME_LEN_MAX];
    record[..2].copy_from_slice(&pointer.to_be_bytes());
    record[2..4].copy_from_slice(&Rtype::CNAME.0.to_be_bytes());
    record[4..6].copy_from_slice(&CLASS_IN);
    record[6..10].copy_from_slice(&ttl);
    record[10..12].copy_from_slice(&rdata_len.to_be_bytes());
    let record = record.get_mut(..RECORD_HEAD + target.len()).ok_or(Full)?;
    record[RECORD_HEAD..].copy_from_slice(target);
    let at = writer.len();
    writer.put(Section::Answer, record, 1).ok_or(Full)?;
    Ok(at + RECORD_HEAD)
}
