//! Writes a reply over its query: the header is patched, the question stays, sections follow it.

use super::options::OPTION_HEAD;
use super::{HEADER_LEN, OPT_LEN, Query, Rcode};

/// Where a record belongs; sections are written in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// What was asked for.
    Answer,
    /// SOA of negative answers, NS of referrals.
    Authority,
    /// Addresses of names mentioned before.
    Additional,
}

/// A reply in the buffer of its query.
pub(crate) struct Writer<'b> {
    /// The buffer: header and question in front, as they came.
    buf: &'b mut [u8],
    /// Bytes of the reply so far.
    len: usize,
    /// Bytes the reply may have, the OPT record and the room kept for its options not counted.
    limit: usize,
    /// Bytes the whole reply may have.
    len_max: usize,
    /// Bytes of options so far; they lie where they will be, behind the head of an OPT that follows `len`.
    options_len: u16,
    /// Records per section.
    counts: [u16; 3],
    /// AA is to be set.
    pub(crate) authoritative: bool,
    /// TC is to be set.
    pub(crate) truncated: bool,
}

/// A state to return to when what was appended turns out to be of no use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    /// Bytes of the reply.
    len: usize,
    /// Records per section.
    counts: [u16; 3],
}

impl<'b> Writer<'b> {
    /// Starts a reply of at most `len_max` bytes behind the question of `query`. Room for the OPT record and
    /// `options_len` bytes of options is kept.
    #[inline]
    pub(crate) fn new(buf: &'b mut [u8], query: &Query, len_max: usize, options_len: usize) -> Writer<'b> {
        let opt_len = if query.edns.is_some() { OPT_LEN + options_len } else { 0 };
        let len_max = len_max.min(buf.len());
        let limit = len_max.saturating_sub(opt_len);
        Writer {
            buf,
            len: query.question_end(),
            limit,
            len_max,
            options_len: 0,
            counts: [0; 3],
            authoritative: false,
            truncated: false,
        }
    }

    /// Bytes of the reply so far: where the next record starts.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that still fit.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.len)
    }

    /// The reply so far.
    #[inline]
    pub(crate) fn message(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or_default()
    }

    /// Appends whole records; `None`, and nothing written, if they do not fit.
    #[inline]
    pub(crate) fn put(&mut self, section: Section, records: &[u8], count: u16) -> Option<()> {
        let end = self.len + records.len();
        if end > self.limit {
            return None;
        }
        self.buf.get_mut(self.len..end)?.copy_from_slice(records);
        self.len = end;
        self.counts[section as usize] += count;
        Some(())
    }

    /// Remembers the state.
    #[inline]
    pub(crate) fn mark(&self) -> Mark {
        Mark { len: self.len, counts: self.counts }
    }

    /// Forgets what was appended since `mark`.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.len = mark.len;
        self.counts = mark.counts;
    }

    /// Overwrites two bytes of what was written.
    #[inline]
    pub(crate) fn patch(&mut self, at: usize, value: u16) {
        if let Some(target) = self.buf.get_mut(at..at + 2) {
            target.copy_from_slice(&value.to_be_bytes());
        }
    }

    /// Overwrites four bytes of what was written.
    #[inline]
    pub(crate) fn patch_u32(&mut self, at: usize, value: u32) {
        if let Some(target) = self.buf.get_mut(at..at + 4) {
            target.copy_from_slice(&value.to_be_bytes());
        }
    }

    /// Appends an option to the OPT record, its content in pieces; `None`, and nothing written, if it does not fit. The
    /// body must be complete, and the query must have an OPT record.
    pub(crate) fn put_option(&mut self, code: u16, content: &[&[u8]]) -> Option<()> {
        let content_len = content.iter().map(|piece| piece.len()).sum::<usize>();
        let at = self.len + OPT_LEN + usize::from(self.options_len);
        let end = at + OPTION_HEAD + content_len;
        if end > self.len_max {
            return None;
        }
        let (head, mut rest) = self.buf.get_mut(at..end)?.split_first_chunk_mut::<OPTION_HEAD>()?;
        let [code_high, code_low] = code.to_be_bytes();
        let [len_high, len_low] = u16::try_from(content_len).ok()?.to_be_bytes();
        *head = [code_high, code_low, len_high, len_low];
        for piece in content {
            let (target, left) = rest.split_at_mut_checked(piece.len())?;
            target.copy_from_slice(piece);
            rest = left;
        }
        self.options_len += u16::try_from(OPTION_HEAD + content_len).ok()?;
        Some(())
    }

    /// Writes header and OPT; returns the bytes of the reply. `udp_len` is what we announce to take (RFC 6891 section
    /// 6.2.3).
    #[inline]
    pub(crate) fn finish(mut self, query: &Query, rcode: Rcode, udp_len: u16) -> usize {
        let rcode = rcode as u16;
        let [rcode_high, rcode_low] = (rcode << 4).to_be_bytes();
        let mut additional = self.counts[2];
        if let Some(edns) = query.edns
            && let Some(opt) = self.buf.get_mut(self.len..self.len + OPT_LEN)
        {
            let [udp_high, udp_low] = udp_len.to_be_bytes();
            let [options_high, options_low] = self.options_len.to_be_bytes();
            let flags = if edns.dnssec_ok { 0x80 } else { 0 };
            opt.copy_from_slice(&[0, 0, 41, udp_high, udp_low, rcode_high, 0, flags, 0, options_high, options_low]);
            self.len += OPT_LEN + usize::from(self.options_len);
            additional += 1;
        }
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let questions = u16::from(query.qname_len > 0);
        if let Some([_, _, flags, more_flags, counts @ ..]) = self.buf.first_chunk_mut::<HEADER_LEN>() {
            *flags = 0x80
                | query.opcode << 3
                | bit(self.authoritative, 4)
                | bit(self.truncated, 2)
                | bit(query.recursion_desired, 1);
            // AD and CD are for resolvers; an authoritative server clears them (RFC 4035 section 3.1.6).
            *more_flags = rcode_low >> 4;
            let sections = [questions, self.counts[0], self.counts[1], additional];
            for (field, count) in counts.chunks_exact_mut(2).zip(sections) {
                field.copy_from_slice(&count.to_be_bytes());
            }
        }
        self.len
    }
}
