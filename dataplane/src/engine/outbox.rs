//! Replies on their way to the kernel: one sendmmsg(2) per socket and turn.
//!
//! It renders nothing. Measured: sends in one `sendmmsg` cost 1.01 of a bare reflector, as ring entries 1.06.

#![expect(unsafe_code, reason = "message headers carry raw pointers into the slots")]

use std::io;
use std::os::fd::BorrowedFd;

use super::peer;
use super::slots::{CONTROL_LEN, CONTROL_OFF, NAME_OFF, PAYLOAD_LEN, PAYLOAD_OFF, Slots};
use super::{TURN_LEN, Turn, syscall};

/// Headers for one call of `sendmmsg`, reused.
///
/// Invariant `live`: between [`Outbox::push`] and [`Outbox::flush`] the slots pushed are neither lent nor given back to
/// the kernel, and `parts` never grows past its capacity, so every pointer in `headers` is valid.
pub(super) struct Outbox {
    /// One for each reply.
    headers: Vec<libc::mmsghdr>,
    /// The payload of the header at the same position.
    parts: Vec<libc::iovec>,
}

/// A reply that lies in a slot.
#[derive(Clone, Copy)]
pub(super) struct Reply {
    /// The slot.
    pub(super) slot: usize,
    /// Bytes of the reply.
    pub(super) len: usize,
    /// Bytes of the peer's address.
    pub(super) name_len: usize,
    /// Bytes of control data that came with the query.
    pub(super) control_len: usize,
}

impl Outbox {
    /// Room for a turn.
    pub(super) fn new() -> Outbox {
        Outbox { headers: Vec::with_capacity(TURN_LEN), parts: Vec::with_capacity(TURN_LEN) }
    }

    /// Adds a reply. A turn has at most as many as there is room for.
    pub(super) fn push(&mut self, slots: &mut Slots, reply: Reply) {
        if self.parts.len() == self.parts.capacity() || self.headers.len() == self.headers.capacity() {
            return;
        }
        let bytes = slots.slot_mut(reply.slot);
        let control = &mut bytes[CONTROL_OFF..CONTROL_OFF + reply.control_len.min(CONTROL_LEN)];
        let control_len = peer::turn_around(control);
        let base = bytes.as_mut_ptr();
        let payload = base.wrapping_add(PAYLOAD_OFF).cast();
        self.parts.push(libc::iovec { iov_base: payload, iov_len: reply.len.min(PAYLOAD_LEN) });
        let mut header = empty_header();
        header.msg_hdr.msg_name = base.wrapping_add(NAME_OFF).cast();
        header.msg_hdr.msg_namelen = libc::socklen_t::try_from(reply.name_len).unwrap_or(0);
        header.msg_hdr.msg_iov = self.parts.last_mut().map_or(std::ptr::null_mut(), |part| &raw mut *part);
        header.msg_hdr.msg_iovlen = 1;
        if control_len > 0 {
            header.msg_hdr.msg_control = base.wrapping_add(CONTROL_OFF).cast();
            header.msg_hdr.msg_controllen = control_len as _;
        }
        self.headers.push(header);
    }

    /// Sends all replies and empties the outbox. A refused reply is tried once more, then counted and left out.
    pub(super) fn flush(&mut self, fd: BorrowedFd<'_>, turn: &mut Turn) {
        let mut off = 0;
        let mut tries = 0;
        while let Some(rest) = self.headers.get_mut(off..).filter(|rest| !rest.is_empty()) {
            // SAFETY: `live`.
            match unsafe { syscall::sendmmsg(fd, rest) } {
                Ok(sent) => {
                    turn.sent += u32::try_from(sent).unwrap_or(0);
                    off += sent.max(1);
                    tries = 0;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The first failure may be an old error of the socket and not this reply's; a full send buffer drains
                // within a datagram's time or the reply is lost, as datagrams may be.
                Err(_) if tries == 0 => tries = 1,
                Err(_) => {
                    turn.send_errors += 1;
                    off += 1;
                    tries = 0;
                }
            }
        }
        self.headers.clear();
        self.parts.clear();
    }
}

/// A header that names nothing.
pub(super) fn empty_header() -> libc::mmsghdr {
    // SAFETY: mmsghdr is integers and pointers, for which all zeroes is a value.
    unsafe { std::mem::zeroed() }
}
