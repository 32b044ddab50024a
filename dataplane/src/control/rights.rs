//! Passes listening sockets from one process to the next (SCM_RIGHTS, unix(7)).
//!
//! A listening socket that is passed keeps its queue, so no connection is lost between old and new owner. One byte
//! carries the descriptors; a peer that does not expect it ignores it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

/// Descriptors in one message: one for each address.
const FDS_MAX: usize = 64;

/// Sends `listeners`, at most [`FDS_MAX`], with one byte.
pub(super) fn send(peer: &UnixStream, listeners: &[TcpListener]) -> io::Result<()> {
    let fds: Vec<_> = listeners.iter().take(FDS_MAX).map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::Error::other("too many listeners"));
    }
    sendmsg(peer, &[IoSlice::new(b"L")], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives listeners; none if the peer closes or passes none.
pub(super) fn receive(peer: &UnixStream) -> io::Result<Vec<TcpListener>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(peer, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut listeners = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            listeners.extend(fds.map(TcpListener::from));
        }
    }
    Ok(listeners)
}
