//! The engine of recvmmsg(2) and sendmmsg(2): the floor that works everywhere and the reference for the others.
//!
//! It uses no ring. Several sockets are waited for with poll(2) and read in turn, starting from another one each time.

#![expect(unsafe_code, reason = "recvmmsg takes raw headers")]

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::batch::{Batch, Received};
use super::buffers::{Buffers, CONTROL_LEN, CONTROL_OFF, NAME_LEN, NAME_OFF, PAYLOAD_OFF, ROOM_LEN};
use super::{Engine, Serve, TURN_LEN, Turn, outbox, syscall};

/// Failed turns in a row after which the engine gives up.
const FAILURES_MAX: u32 = 1000;

/// Sockets, and memory for one turn.
///
/// Invariants: `buffers` are written by the kernel only inside `recvmmsg`, so they are ours between calls; `aimed` - the
/// pointers of header `i` and part `i` aim into buffer `i` and into `parts`, which are never reallocated.
pub struct Socket {
    /// Where datagrams come from.
    sockets: Vec<UdpSocket>,
    /// Where the kernel writes them.
    buffers: Buffers,
    /// One for each buffer.
    headers: Vec<libc::mmsghdr>,
    /// The payload room of each buffer.
    parts: Vec<libc::iovec>,
    /// The present turn.
    batch: Batch,
    /// The socket to read first.
    first: usize,
    /// Turns in a row that only brought errors.
    failures: u32,
    /// What else ends a wait.
    watched: Vec<OwnedFd>,
}

impl Socket {
    /// An engine over `sockets`.
    ///
    /// # Errors
    /// If memory cannot be had or a socket cannot be made non-blocking.
    pub fn open(sockets: Vec<UdpSocket>) -> io::Result<Socket> {
        for socket in &sockets {
            socket.set_nonblocking(true)?;
        }
        let buffers = Buffers::new(TURN_LEN)?;
        let parts = (0..buffers.count())
            .map(|idx| libc::iovec { iov_base: buffers.ptr(idx).wrapping_add(PAYLOAD_OFF).cast(), iov_len: ROOM_LEN })
            .collect();
        let headers = vec![outbox::empty_header(); buffers.count()];
        Ok(Socket {
            sockets,
            buffers,
            headers,
            parts,
            batch: Batch::new(TURN_LEN),
            first: 0,
            failures: 0,
            watched: Vec::new(),
        })
    }

    /// Aims the first `count` headers at their buffers: the kernel overwrites lengths and flags.
    fn aim(&mut self, count: usize) {
        for (idx, header) in self.headers.iter_mut().enumerate().take(count) {
            let base = self.buffers.ptr(idx);
            let message = &mut header.msg_hdr;
            message.msg_name = base.wrapping_add(NAME_OFF).cast();
            message.msg_namelen = libc::socklen_t::try_from(NAME_LEN).unwrap_or(0);
            message.msg_control = base.wrapping_add(CONTROL_OFF).cast();
            message.msg_controllen = CONTROL_LEN as _;
            self.parts[idx].iov_len = self.batch.room_len();
            message.msg_iov = &raw mut self.parts[idx];
            message.msg_iovlen = 1;
            message.msg_flags = 0;
        }
    }

    /// Takes in what socket `idx` holds, as far as there is room.
    fn receive(&mut self, idx: usize, turn: &mut Turn) {
        let room = self.batch.room();
        self.aim(room);
        // SAFETY: `aimed`, and each room has the length that its header says.
        let got = unsafe { syscall::recvmmsg(self.sockets[idx].as_fd(), &mut self.headers[..room]) };
        let got = match got {
            Ok(got) => got,
            Err(error) => {
                if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
                    turn.recv_errors += 1;
                }
                return;
            }
        };
        for (buffer, header) in self.headers[..got].iter().enumerate() {
            let bytes = self.buffers.bytes(buffer);
            let payload_len = (header.msg_len as usize).min(ROOM_LEN);
            let control_len = header.msg_hdr.msg_controllen.min(CONTROL_LEN);
            let received = Received {
                socket: idx,
                name: &bytes[NAME_OFF..NAME_OFF + NAME_LEN],
                control: &bytes[CONTROL_OFF..CONTROL_OFF + control_len],
                payload: &bytes[PAYLOAD_OFF..PAYLOAD_OFF + payload_len],
                flags: header.msg_hdr.msg_flags,
            };
            self.batch.take(&received, turn);
        }
    }

    /// Waits until a socket has something to read.
    fn wait(&self, wait: Duration) -> io::Result<()> {
        let sockets = self.sockets.iter().map(AsFd::as_fd);
        let all = sockets.chain(self.watched.iter().map(AsFd::as_fd));
        let mut polled: Vec<_> = all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let timeout = Timespec::try_from(wait).map_err(io::Error::other)?;
        match rustix::event::poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads every socket once, as far as there is room.
    fn sweep(&mut self, turn: &mut Turn) {
        for step in 0..self.sockets.len() {
            if self.batch.room() > 0 {
                self.receive((self.first + step) % self.sockets.len(), turn);
            }
        }
        self.first = (self.first + 1) % self.sockets.len().max(1);
    }
}

impl Engine for Socket {
    fn turn(&mut self, wait: Duration, serve: Serve<'_>) -> io::Result<Turn> {
        let mut turn = Turn::default();
        // Under load there is always something to read, and the poll would be a system call for nothing.
        self.sweep(&mut turn);
        if self.batch.is_empty() && turn == Turn::default() {
            self.wait(wait)?;
            self.sweep(&mut turn);
        }
        self.failures = if turn.recv_errors > 0 && turn.received + turn.cut == 0 { self.failures + 1 } else { 0 };
        if self.failures > FAILURES_MAX {
            return Err(io::Error::other("every receive fails"));
        }
        self.batch.work(&self.sockets, serve, &mut turn)?;
        Ok(turn)
    }

    fn name(&self) -> &'static str {
        "socket"
    }

    fn retire(&mut self) -> io::Result<()> {
        super::retire(&self.sockets)
    }

    fn queue_drops(&self) -> u64 {
        self.sockets.iter().map(|socket| syscall::queue_drops(socket.as_fd())).sum()
    }
    fn watch(&mut self, fd: OwnedFd) {
        self.watched.push(fd);
    }
}
