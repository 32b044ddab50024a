//! Replies on their way to the kernel: one sendmmsg(2) per socket and turn, equal replies to one peer merged.
//!
//! It renders nothing. Measured: sends in one `sendmmsg` cost 1.01 of a bare reflector, as ring entries 1.06.

#![expect(unsafe_code, reason = "message headers carry raw pointers into the lanes")]

use std::io;
use std::os::fd::BorrowedFd;

use super::buffers::CONTROL_LEN;
use super::lanes::{LANE_COUNT, Lanes, PAYLOAD_LEN};
use super::merge::{Groups, hash};
use super::peer::{MERGE_LEN, put_merged_len};
use super::{Turn, syscall};

/// Longest reply that is merged with others: what passes every link in one piece.
const MERGED_LEN_MAX: usize = 1232;

/// Headers for one call of `sendmmsg`, reused.
///
/// Invariant `live`: headers are made and used inside [`Outbox::flush`], which holds the lanes for itself, and `parts`
/// never grows past its capacity, so every pointer in `headers` is valid.
pub(super) struct Outbox {
    /// What is to be sent.
    replies: Vec<Reply>,
    /// What of that leaves together.
    groups: Groups,
    /// One for each message.
    headers: Vec<libc::mmsghdr>,
    /// The payloads, those of a message behind each other.
    parts: Vec<libc::iovec>,
    /// Whether the kernel takes merged replies; not any more once it refused one.
    merging: bool,
}

/// A reply that lies in a lane.
#[derive(Clone, Copy)]
pub(super) struct Reply {
    /// The lane.
    pub(super) lane: usize,
    /// Bytes of the reply.
    pub(super) len: usize,
}

impl Outbox {
    /// Room for a turn.
    pub(super) fn new() -> Outbox {
        Outbox {
            replies: Vec::with_capacity(LANE_COUNT),
            groups: Groups::new(),
            headers: Vec::with_capacity(LANE_COUNT),
            parts: Vec::with_capacity(LANE_COUNT),
            merging: true,
        }
    }

    /// Adds a reply. A turn has at most as many as there are lanes.
    pub(super) fn push(&mut self, reply: Reply) {
        if self.replies.len() < LANE_COUNT {
            self.replies.push(reply);
        }
    }

    /// Sends all replies and empties the outbox. A refused reply is tried once more, then counted and left out; of
    /// refused merged ones each is sent by itself.
    pub(super) fn flush(&mut self, fd: BorrowedFd<'_>, lanes: &mut Lanes, turn: &mut Turn) {
        if self.replies.is_empty() {
            return;
        }
        self.group(lanes);
        self.mark(lanes);
        self.address(lanes);
        let mut off = 0;
        let mut tries = 0;
        while let Some(rest) = self.headers.get_mut(off..).filter(|rest| !rest.is_empty()) {
            // SAFETY: `live`.
            match unsafe { syscall::sendmmsg(fd, rest) } {
                Ok(sent) => {
                    for count in rest.iter().take(sent).map(part_count) {
                        turn.sent += count;
                        turn.merged += if count > 1 { count } else { 0 };
                    }
                    off += sent.max(1);
                    tries = 0;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The first failure may be an old error of the socket and not this reply's; a full send buffer drains
                // within a datagram's time or the reply is lost, as datagrams may be.
                Err(_) if tries == 0 => tries = 1,
                Err(error) => {
                    match part_count(&rest[0]) {
                        2.. => {
                            tracing::debug!(%error, "merged replies are refused");
                            self.merging = false;
                            self.split(off);
                        }
                        _ => {
                            turn.send_errors += 1;
                            off += 1;
                        }
                    }
                    tries = 0;
                }
            }
        }
        self.replies.clear();
    }

    /// Finds out what leaves together.
    fn group(&mut self, lanes: &Lanes) {
        self.groups.clear();
        let replies = &self.replies;
        for (idx, reply) in replies.iter().enumerate() {
            let Some(envelope) = lanes.envelope(reply.lane) else { continue };
            let same = |other: usize| {
                let other = replies[other];
                let is_same = |with: &super::lanes::Envelope| {
                    with.name() == envelope.name() && with.control() == envelope.control()
                };
                self.merging
                    && other.len == reply.len
                    && reply.len <= MERGED_LEN_MAX
                    && lanes.envelope(other.lane).is_some_and(is_same)
            };
            self.groups.add(idx, reply.len, hash(envelope.name(), reply.len), same);
        }
    }

    /// Says in the envelope of each merged message how long its replies are.
    fn mark(&mut self, lanes: &mut Lanes) {
        for mut group in self.groups.iter() {
            let Some(reply) = group.next().and_then(|idx| self.replies.get(idx)) else { continue };
            let others = group.count();
            let Some((envelope, _)) = lanes.lane_mut(reply.lane).filter(|_| others > 0) else { continue };
            let used = usize::from(envelope.control_len);
            if let Some(room) = envelope.control.get_mut(used..).and_then(|room| room.first_chunk_mut::<MERGE_LEN>()) {
                put_merged_len(room, u16::try_from(reply.len).unwrap_or(0));
                envelope.control_len = u8::try_from(used + MERGE_LEN).unwrap_or(0);
            }
        }
    }

    /// Makes a header for each group.
    fn address(&mut self, lanes: &mut Lanes) {
        self.headers.clear();
        self.parts.clear();
        let parts = self.parts.as_mut_ptr();
        for group in self.groups.iter() {
            let first_part = self.parts.len();
            let mut header = empty_header();
            for reply in group.filter_map(|idx| self.replies.get(idx)) {
                let Some(pointers) = lanes.pointers(reply.lane) else { continue };
                if self.parts.len() == first_part {
                    header.msg_hdr.msg_name = pointers.name.cast();
                    header.msg_hdr.msg_namelen = pointers.name_len.into();
                    header.msg_hdr.msg_control = pointers.control.cast();
                    header.msg_hdr.msg_controllen = pointers.control_len.into();
                }
                self.parts.push(libc::iovec { iov_base: pointers.payload.cast(), iov_len: reply.len.min(PAYLOAD_LEN) });
            }
            header.msg_hdr.msg_iov = parts.wrapping_add(first_part);
            header.msg_hdr.msg_iovlen = (self.parts.len() - first_part) as _;
            self.headers.push(header);
        }
    }

    /// Puts a message for each reply of the merged message at `at` into its place.
    fn split(&mut self, at: usize) {
        let Some(merged) = self.headers.get(at).copied() else { return };
        let parts = merged.msg_hdr.msg_iov;
        let count = part_count(&merged) as usize;
        let singles = (0..count).map(|idx| {
            let mut single = merged;
            // `parts` are `count` entries of `self.parts`, which `live` keeps in place.
            single.msg_hdr.msg_iov = parts.wrapping_add(idx);
            single.msg_hdr.msg_iovlen = 1;
            single.msg_hdr.msg_controllen = merged.msg_hdr.msg_controllen.saturating_sub(MERGE_LEN);
            single
        });
        self.headers.splice(at..=at, singles);
    }
}

// Packet info of either family and the length of merged replies fit side by side.
const _: () = assert!(40 + MERGE_LEN <= CONTROL_LEN);

/// How many datagrams a message becomes.
fn part_count(header: &libc::mmsghdr) -> u32 {
    u32::try_from(header.msg_hdr.msg_iovlen).unwrap_or(0)
}

/// A header that names nothing.
pub(super) fn empty_header() -> libc::mmsghdr {
    // SAFETY: mmsghdr is integers and pointers, for which all zeroes is a value.
    unsafe { std::mem::zeroed() }
}
