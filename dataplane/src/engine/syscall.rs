//! The three system calls that std, socket2 and rustix do not wrap.
//!
//! It keeps no state. Callers pass headers whose pointers stay valid for the call.

#![expect(unsafe_code, reason = "recvmmsg, sendmmsg and SO_MEMINFO have no safe wrapper")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Receives up to `headers.len()` datagrams without waiting; returns how many.
///
/// # Safety
/// Every pointer in `headers` is null or valid for writes of the length beside it.
pub(super) unsafe fn recvmmsg(fd: BorrowedFd<'_>, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
    let count = u32::try_from(headers.len()).unwrap_or(u32::MAX);
    // SAFETY: the caller vouches for the pointers; `headers` is a live slice of `count` headers.
    let got = unsafe {
        libc::recvmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT as _, std::ptr::null_mut())
    };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

/// Sends `headers` without waiting; returns how many of them, from the first, went out.
///
/// # Safety
/// Every pointer in `headers` is null or valid for reads of the length beside it.
pub(super) unsafe fn sendmmsg(fd: BorrowedFd<'_>, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
    let count = u32::try_from(headers.len()).unwrap_or(u32::MAX);
    // SAFETY: the caller vouches for the pointers; `headers` is a live slice of `count` headers.
    let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT as _) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Datagrams dropped at this socket since it was opened (`SK_MEMINFO_DROPS` of `SO_MEMINFO`); 0 if unknown.
pub(super) fn queue_drops(fd: BorrowedFd<'_>) -> u64 {
    /// `SO_MEMINFO` of asm-generic/socket.h, which libc lacks.
    const SO_MEMINFO: libc::c_int = 55;
    /// Position of the drop counter in the array.
    const SK_MEMINFO_DROPS: usize = 8;
    let mut info = [0_u32; 9];
    let mut len = libc::socklen_t::try_from(size_of_val(&info)).unwrap_or(0);
    // SAFETY: `info` is valid for writes of `len` bytes and both outlive the call.
    let failed = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, SO_MEMINFO, info.as_mut_ptr().cast(), &raw mut len)
    };
    if failed == 0 { u64::from(info[SK_MEMINFO_DROPS]) } else { 0 }
}

/// Has the kernel say to which of our addresses each datagram was sent.
pub(super) fn ask_for_packet_info(fd: BorrowedFd<'_>, family: Family) -> io::Result<()> {
    let on: libc::c_int = 1;
    let len = libc::socklen_t::try_from(size_of_val(&on)).unwrap_or(0);
    let (level, option) = match family {
        Family::V4 => (libc::IPPROTO_IP, libc::IP_PKTINFO),
        Family::V6 => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
    };
    // SAFETY: `on` is valid for reads of `len` bytes and outlives the call.
    let failed = unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, (&raw const on).cast(), len) };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The two kinds of IP socket.
#[derive(Debug, Clone, Copy)]
pub(super) enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}
