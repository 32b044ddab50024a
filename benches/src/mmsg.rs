//! Batches of datagrams through recvmmsg(2), sendmmsg(2) and UDP_SEGMENT, for the generator and the reflector.
//!
//! It is not the engine of the data plane: what measures shares no code with what is measured. It knows no DNS. All
//! buffers exist from the start; pointers to them are made anew for each call, so none outlives a borrow.

#![expect(unsafe_code, reason = "recvmmsg, sendmmsg and UDP_SEGMENT have no safe wrapper")]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{cmsghdr, iovec, mmsghdr, msghdr, sockaddr_storage};

/// The octets of one slot: no reply to a query that announces 1232 octets is longer.
pub const SLOT_LEN: usize = 2048;
/// The most slots of a batch, which is also the most segments that Linux takes in one datagram of UDP_SEGMENT.
pub const SLOTS_MAX: usize = 64;
/// Room for one control message that holds an u16, aligned as a `cmsghdr`.
const CONTROL_WORDS: usize = 4;

/// Whether to wait for a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until there is one, or until the socket's own timeout.
    ForOne,
    /// Not at all.
    Never,
}

/// Where datagrams go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Towards {
    /// Each slot to whom its last datagram came from.
    Senders,
    /// To the peer of a connected socket.
    Peer,
}

/// Slots for datagrams, with what the kernel wants to see of them.
pub struct Batch {
    /// Invariant `parallel`: all boxes have one entry for each slot, `bytes` [`SLOT_LEN`] of them, and keep their length;
    /// an entry of `lens` is at most [`SLOT_LEN`], one of `sender_lens` at most the size of a `sockaddr_storage`.
    bytes: Box<[u8]>,
    /// How many octets of each slot hold a datagram.
    lens: Box<[usize]>,
    /// From whom each datagram came.
    senders: Box<[sockaddr_storage]>,
    /// How long each address is.
    sender_lens: Box<[libc::socklen_t]>,
    /// Where the octets are, written before each call.
    iovecs: Box<[iovec]>,
    /// What the kernel is given, written before each call.
    headers: Box<[mmsghdr]>,
}

impl Batch {
    /// A batch of `slots` slots, at least one and at most [`SLOTS_MAX`].
    #[must_use]
    pub fn new(slots: usize) -> Batch {
        let slots = slots.clamp(1, SLOTS_MAX);
        // SAFETY: a `sockaddr_storage` is integers, for which zeros are a value.
        let nobody: sockaddr_storage = unsafe { mem::zeroed() };
        let header = mmsghdr { msg_hdr: empty(), msg_len: 0 };
        Batch {
            bytes: vec![0; slots * SLOT_LEN].into_boxed_slice(),
            lens: vec![0; slots].into_boxed_slice(),
            senders: vec![nobody; slots].into_boxed_slice(),
            sender_lens: vec![0; slots].into_boxed_slice(),
            iovecs: vec![iovec { iov_base: ptr::null_mut(), iov_len: 0 }; slots].into_boxed_slice(),
            headers: vec![header; slots].into_boxed_slice(),
        }
    }

    /// How many slots there are.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.lens.len()
    }

    /// The datagram of a slot.
    #[must_use]
    pub fn datagram(&self, slot: usize) -> &[u8] {
        let begin = slot * SLOT_LEN;
        &self.bytes[begin..begin + self.lens[slot]]
    }

    /// The datagram of a slot, to be changed in place.
    pub fn datagram_mut(&mut self, slot: usize) -> &mut [u8] {
        let begin = slot * SLOT_LEN;
        &mut self.bytes[begin..begin + self.lens[slot]]
    }

    /// Puts a datagram of at most [`SLOT_LEN`] octets into a slot; what is longer is cut off.
    pub fn put(&mut self, slot: usize, datagram: &[u8]) {
        let len = datagram.len().min(SLOT_LEN);
        self.lens[slot] = len;
        self.datagram_mut(slot).copy_from_slice(&datagram[..len]);
    }

    /// Receives as many datagrams as there are and fit, into the slots from the first; returns how many.
    ///
    /// # Errors
    /// Those of recvmmsg(2); nothing to receive is [`io::ErrorKind::WouldBlock`].
    pub fn receive(&mut self, socket: BorrowedFd<'_>, wait: Wait) -> io::Result<usize> {
        self.lens.fill(SLOT_LEN);
        let address_len = libc::socklen_t::try_from(size_of::<sockaddr_storage>()).unwrap_or(0);
        self.sender_lens.fill(address_len);
        let count = self.slots();
        self.point(count, Towards::Senders);
        let flags = match wait {
            Wait::ForOne => libc::MSG_WAITFORONE,
            Wait::Never => libc::MSG_DONTWAIT,
        };
        let len = libc::c_uint::try_from(count).unwrap_or(0);
        let headers = self.headers.as_mut_ptr();
        // SAFETY: `parallel` and `point`, so each of the `len` headers points to an address and octets of its own that
        // are as long as it says and live while `self` is borrowed.
        let got = unsafe { libc::recvmmsg(socket.as_raw_fd(), headers, len, flags as _, ptr::null_mut()) };
        let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        for (slot, header) in self.headers.iter().enumerate().take(got) {
            self.lens[slot] = usize::try_from(header.msg_len).unwrap_or(0).min(SLOT_LEN);
            self.sender_lens[slot] = header.msg_hdr.msg_namelen.min(address_len);
        }
        Ok(got)
    }

    /// Sends the first `count` slots; returns how many of them, from the first, went out.
    ///
    /// # Errors
    /// Those of sendmmsg(2), if not even the first went out.
    pub fn send(&mut self, socket: BorrowedFd<'_>, count: usize, towards: Towards) -> io::Result<usize> {
        let count = count.min(self.slots());
        self.point(count, towards);
        let len = libc::c_uint::try_from(count).unwrap_or(0);
        let headers = self.headers.as_mut_ptr();
        // SAFETY: `parallel` and `point`, so each of the `len` headers points to an address and octets that are as long
        // as it says and live while `self` is borrowed.
        let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers, len, 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Sends the first `count` slots, all of one length, as one message that the kernel cuts into datagrams.
    ///
    /// # Errors
    /// Those of sendmsg(2).
    pub fn send_merged(&mut self, socket: BorrowedFd<'_>, count: usize) -> io::Result<()> {
        let count = count.min(self.slots());
        self.point(count, Towards::Peer);
        let segment_len = u16::try_from(self.lens[0]).unwrap_or(u16::MAX);
        let mut control = [0u64; CONTROL_WORDS];
        let mut header = empty();
        header.msg_iov = self.iovecs.as_mut_ptr();
        header.msg_iovlen = count as _;
        header.msg_control = control.as_mut_ptr().cast();
        // SAFETY: it only calculates.
        header.msg_controllen = unsafe { libc::CMSG_SPACE(2) } as _;
        // SAFETY: `msg_control` and `msg_controllen` describe `control`, which is longer and aligned.
        let first: *mut cmsghdr = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
        // SAFETY: it only calculates.
        let cmsg_len = unsafe { libc::CMSG_LEN(2) } as _;
        // SAFETY: the message has room for a control message, so `first` is the begin of `control`.
        unsafe { first.write(cmsghdr { cmsg_len, cmsg_level: libc::SOL_UDP, cmsg_type: libc::UDP_SEGMENT }) };
        // SAFETY: as above.
        let value = unsafe { libc::CMSG_DATA(first) };
        // SAFETY: `control` has room for the two octets behind the header that was just written.
        unsafe { value.cast::<u16>().write_unaligned(segment_len) };
        // SAFETY: `parallel` and `point`, so each of the `count` iovecs points to octets that live while `self` is
        // borrowed; `control` outlives the call.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Makes each of the first `count` iovecs point to the octets of its slot, and each header to its iovec and, unless
    /// the peer is known, to its address.
    fn point(&mut self, count: usize, towards: Towards) {
        let slots = self.bytes.chunks_exact_mut(SLOT_LEN).zip(&self.lens);
        for (entry, (bytes, len)) in self.iovecs.iter_mut().zip(slots).take(count) {
            *entry = iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: *len };
        }
        let addresses = self.senders.iter_mut().zip(&self.sender_lens);
        for (header, (entry, (address, address_len))) in
            self.headers.iter_mut().zip(self.iovecs.iter_mut().zip(addresses)).take(count)
        {
            let header = &mut header.msg_hdr;
            header.msg_iov = ptr::from_mut(entry);
            header.msg_iovlen = 1;
            header.msg_flags = 0;
            (header.msg_name, header.msg_namelen) = match towards {
                Towards::Senders => (ptr::from_mut(address).cast(), *address_len),
                Towards::Peer => (ptr::null_mut(), 0),
            };
        }
    }
}

/// A header that points nowhere.
fn empty() -> msghdr {
    // SAFETY: a `msghdr` is integers and pointers, for which zeros are a value.
    unsafe { mem::zeroed() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    /// Two sockets, the second connected to the first.
    fn pair() -> (UdpSocket, UdpSocket) {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(server.local_addr().unwrap()).unwrap();
        (server, client)
    }

    #[test]
    fn batches_go_out_and_come_back_in_order() {
        let (server, client) = pair();
        let (mut out, mut back) = (Batch::new(8), Batch::new(8));
        for slot in 0..5u8 {
            out.put(slot.into(), &vec![slot; usize::from(slot) + 1]);
        }
        assert_eq!(out.send(client.as_fd(), 5, Towards::Peer).unwrap(), 5);
        assert_eq!(back.receive(server.as_fd(), Wait::ForOne).unwrap(), 5);
        back.datagram_mut(2)[0] = 9;
        assert_eq!(back.send(server.as_fd(), 5, Towards::Senders).unwrap(), 5);
        assert_eq!(out.receive(client.as_fd(), Wait::ForOne).unwrap(), 5);
        assert_eq!(out.datagram(0), [0]);
        assert_eq!(out.datagram(2), [9, 2, 2]);
        assert_eq!(out.datagram(4), [4; 5]);
        assert_eq!(out.receive(client.as_fd(), Wait::Never).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn merged_datagrams_arrive_one_by_one() {
        let (server, client) = pair();
        let (mut out, mut back) = (Batch::new(3), Batch::new(8));
        for slot in 0..3u8 {
            out.put(slot.into(), &[slot; 20]);
        }
        out.send_merged(client.as_fd(), 3).unwrap();
        assert_eq!(back.receive(server.as_fd(), Wait::ForOne).unwrap(), 3);
        assert_eq!(back.datagram(2), [2; 20]);
    }
}
