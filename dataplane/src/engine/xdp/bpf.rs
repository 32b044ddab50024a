//! The calls of bpf(2) that a filter in front of a network interface needs: maps, programs, links, test runs.
//!
//! It knows no instructions and no addresses. Each call hands over a structure laid out as the member of
//! `union bpf_attr` (linux/bpf.h) that the command reads; the kernel takes a shorter one and reads the rest as zero.

#![expect(unsafe_code, reason = "bpf(2) takes pointers inside of its argument")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `BPF_MAP_CREATE`.
const MAP_CREATE: libc::c_int = 0;
/// `BPF_MAP_UPDATE_ELEM`.
const MAP_UPDATE: libc::c_int = 2;
/// `BPF_MAP_DELETE_ELEM`.
const MAP_DELETE: libc::c_int = 3;
/// `BPF_PROG_LOAD`.
const PROG_LOAD: libc::c_int = 5;
/// `BPF_PROG_TEST_RUN`.
#[cfg(test)]
const PROG_TEST_RUN: libc::c_int = 10;
/// `BPF_OBJ_GET_INFO_BY_FD`.
const OBJECT_INFO: libc::c_int = 15;
/// `BPF_LINK_CREATE`.
const LINK_CREATE: libc::c_int = 28;
/// `BPF_PROG_TYPE_XDP`.
const PROG_TYPE_XDP: u32 = 6;
/// The attach type `BPF_XDP`.
const ATTACH_XDP: u32 = 37;
/// The helpers that we call are open to programs under this licence.
const LICENSE: &[u8] = b"Dual MIT/GPL\0";

/// A pointer as the kernel reads it.
fn address<T: ?Sized>(pointer: *const T) -> u64 {
    pointer.cast::<u8>().expose_provenance() as u64
}

/// A descriptor as the kernel reads it.
fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// One call.
///
/// # Safety
/// `attr` is laid out as `command` reads it, and the addresses inside are valid for the lengths that it gives.
unsafe fn call<T>(command: libc::c_int, attr: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: the caller vouches for `attr`, which outlives the call.
    let got = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attr, size_of::<T>()) };
    libc::c_int::try_from(got).ok().filter(|got| *got >= 0).ok_or_else(io::Error::last_os_error)
}

/// One call that makes a descriptor.
///
/// # Safety
/// As for [`call`]; `command` returns a new descriptor.
unsafe fn make<T>(command: libc::c_int, attr: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the caller vouches for `attr`.
    let fd = unsafe { call(command, attr) }?;
    // SAFETY: the kernel made this descriptor for us, close-on-exec, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The kinds of map that we use.
#[derive(Debug, Clone, Copy)]
pub(super) enum MapKind {
    /// `BPF_MAP_TYPE_HASH`.
    Hash = 1,
    /// `BPF_MAP_TYPE_XSKMAP`: queue number to AF_XDP socket.
    Sockets = 17,
}

/// A map with keys of `K` and values of `V` bytes.
#[derive(Debug)]
pub(super) struct Map<const K: usize, const V: usize> {
    /// Invariant `sized`: the map was made with these lengths.
    fd: OwnedFd,
}

/// The argument of the commands about one entry.
#[repr(C)]
struct Entry {
    /// The map.
    map: u32,
    /// Where the key lies.
    key: u64,
    /// Where the value lies.
    value: u64,
    /// 0: make or overwrite.
    flags: u64,
}

impl<const K: usize, const V: usize> Map<K, V> {
    /// Makes a map of up to `entries_max` entries.
    ///
    /// # Errors
    /// EPERM without CAP_BPF.
    pub(super) fn create(kind: MapKind, entries_max: u32) -> io::Result<Map<K, V>> {
        let len = |len: usize| u32::try_from(len).map_err(io::Error::other);
        let mut attr = [kind as u32, len(K)?, len(V)?, entries_max, 0];
        // SAFETY: type, key and value length, entries, flags; no addresses.
        Ok(Map { fd: unsafe { make(MAP_CREATE, &mut attr) }? })
    }

    /// Makes or overwrites the entry of `key`.
    ///
    /// # Errors
    /// E2BIG if the map is full; for sockets EBADF and what else makes a socket unfit.
    pub(super) fn put(&self, key: [u8; K], value: [u8; V]) -> io::Result<()> {
        let (key, value) = (address(&raw const key), address(&raw const value));
        let mut entry = Entry { map: number(self.fd.as_fd()), key, value, flags: 0 };
        // SAFETY: `sized`: both addresses are those of arrays of these lengths that outlive the call.
        unsafe { call(MAP_UPDATE, &mut entry) }.map(drop)
    }

    /// Removes the entry of `key`; that there is none is no error.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub(super) fn remove(&self, key: [u8; K]) -> io::Result<()> {
        let mut entry = Entry { map: number(self.fd.as_fd()), key: address(&raw const key), value: 0, flags: 0 };
        // SAFETY: `sized`: the key is an array of this length that outlives the call.
        match unsafe { call(MAP_DELETE, &mut entry) } {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            other => other.map(drop),
        }
    }

    /// The number by which instructions name it.
    pub(super) fn number(&self) -> u32 {
        number(self.fd.as_fd())
    }
}

/// The argument of `BPF_PROG_LOAD`.
#[repr(C)]
struct Load {
    /// What kind of program.
    kind: u32,
    /// How many instructions.
    count: u32,
    /// Where they lie.
    instructions: u64,
    /// Where the licence lies.
    license: u64,
    /// Log level, log length.
    log: [u32; 2],
    /// Where the log lies.
    log_buf: u64,
    /// Kernel version and flags.
    flags: [u32; 2],
    /// A name for tools.
    name: [u8; 16],
    /// The interface of offloaded programs.
    ifindex: u32,
    /// What it will be attached to.
    attach: u32,
}

/// Loads an XDP program; the verifier reads it first.
///
/// # Errors
/// EPERM without CAP_BPF and CAP_NET_ADMIN; what the verifier says if it refuses.
pub(super) fn load(instructions: &[u64]) -> io::Result<OwnedFd> {
    let mut load = Load {
        kind: PROG_TYPE_XDP,
        count: u32::try_from(instructions.len()).map_err(io::Error::other)?,
        instructions: address(instructions),
        license: address(LICENSE),
        log: [0; 2],
        log_buf: 0,
        flags: [0; 2],
        name: *b"petrel_filter\0\0\0",
        ifindex: 0,
        attach: ATTACH_XDP,
    };
    // SAFETY: `Load` has the layout of this command; instructions and licence are live slices of these lengths.
    let error = match unsafe { make(PROG_LOAD, &mut load) } {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EACCES)) => error,
        done => return done,
    };
    let mut log = vec![0; 1 << 16];
    load.log = [1, u32::try_from(log.len()).map_err(io::Error::other)?];
    load.log_buf = address(log.as_mut_ptr());
    // SAFETY: as above, and the log is a live buffer of this length.
    if let Ok(loaded) = unsafe { make(PROG_LOAD, &mut load) } {
        return Ok(loaded);
    }
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    let log = String::from_utf8_lossy(&log[..end]);
    Err(io::Error::new(error.kind(), format!("{error}: {}", log.trim_end())))
}

/// How a program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// In the driver: `XDP_FLAGS_DRV_MODE`.
    Native = 4,
    /// Behind it, for drivers that cannot: `XDP_FLAGS_SKB_MODE`.
    Generic = 2,
}

/// A program attached to an interface until this is dropped, however the process ends.
#[derive(Debug)]
pub(super) struct Link(OwnedFd);

impl Link {
    /// Attaches `program` to the interface `ifindex`.
    ///
    /// # Errors
    /// EBUSY or EEXIST if another program is attached, EOPNOTSUPP if the driver cannot do it in this mode.
    pub(super) fn create(program: BorrowedFd<'_>, ifindex: u32, mode: Mode) -> io::Result<Link> {
        let mut attr = [number(program), ifindex, ATTACH_XDP, mode as u32];
        // SAFETY: program, target, attach type, flags; no addresses.
        Ok(Link(unsafe { make(LINK_CREATE, &mut attr) }?))
    }

    /// The interface it is attached to; 0 if another tool detached it or the interface is gone.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub(super) fn ifindex(&self) -> io::Result<u32> {
        /// The argument of `BPF_OBJ_GET_INFO_BY_FD`.
        #[repr(C)]
        struct Ask {
            /// The object.
            object: u32,
            /// Room for what is told.
            len: u32,
            /// Where it goes.
            info: u64,
        }
        // `struct bpf_link_info`: type, id, program, a gap, and for XDP the interface.
        let mut info = [0_u32; 16];
        let len = u32::try_from(size_of_val(&info)).map_err(io::Error::other)?;
        let mut ask = Ask { object: number(self.0.as_fd()), len, info: address(info.as_mut_ptr()) };
        // SAFETY: `Ask` has the layout of this command; `info` is valid for writes of `len` bytes.
        unsafe { call(OBJECT_INFO, &mut ask) }?;
        Ok(info[4])
    }
}

/// What `program` returns for `frame`, without any interface.
///
/// # Errors
/// EPERM without privileges; EINVAL for a frame shorter than an Ethernet header.
#[cfg(test)]
pub(super) fn test_run(program: BorrowedFd<'_>, frame: &[u8]) -> io::Result<u32> {
    /// The argument of `BPF_PROG_TEST_RUN`, as far as we use it.
    #[repr(C)]
    struct Run {
        /// The program.
        program: u32,
        /// What it returned.
        returned: u32,
        /// Lengths in and out.
        len: [u32; 2],
        /// Addresses in and out.
        data: [u64; 2],
        /// Repetitions, nanoseconds.
        repeat: [u32; 2],
    }
    let len = u32::try_from(frame.len()).map_err(io::Error::other)?;
    let mut run =
        Run { program: number(program), returned: 0, len: [len, 0], data: [address(frame), 0], repeat: [1, 0] };
    // SAFETY: `Run` has the layout of this command; `frame` is a live slice of `len` bytes, and nothing is written.
    unsafe { call(PROG_TEST_RUN, &mut run) }?;
    Ok(run.returned)
}
