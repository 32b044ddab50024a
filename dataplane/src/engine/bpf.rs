//! The calls of bpf(2) that programs at a network interface need, those of `xdp` and those that generate load: maps, programs,
//! links, test runs.
//!
//! It knows no instructions and no addresses. Each call hands over a structure laid out as the member of
//! `union bpf_attr` (linux/bpf.h) that the command reads; the kernel takes a shorter one and reads the rest as zero.

#![expect(unsafe_code, reason = "bpf(2) takes pointers inside of its argument")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `BPF_MAP_CREATE`.
const MAP_CREATE: libc::c_int = 0;
/// `BPF_MAP_LOOKUP_ELEM`.
const MAP_LOOKUP: libc::c_int = 1;
/// `BPF_MAP_UPDATE_ELEM`.
const MAP_UPDATE: libc::c_int = 2;
/// `BPF_MAP_DELETE_ELEM`.
const MAP_DELETE: libc::c_int = 3;
/// `BPF_PROG_LOAD`.
const PROG_LOAD: libc::c_int = 5;
/// `BPF_PROG_TEST_RUN`.
const PROG_TEST_RUN: libc::c_int = 10;
/// `BPF_OBJ_GET_INFO_BY_FD`.
const OBJECT_INFO: libc::c_int = 15;
/// `BPF_LINK_CREATE`.
const LINK_CREATE: libc::c_int = 28;
/// `BPF_PROG_TYPE_XDP`.
const PROG_TYPE_XDP: u32 = 6;
/// The attach type `BPF_XDP`.
const ATTACH_XDP: u32 = 37;
/// `BPF_F_TEST_XDP_LIVE_FRAMES`, of Linux 5.18.
const LIVE_FRAMES: u32 = 2;
/// The most octets of a program's name.
const NAME_LEN_MAX: usize = 15;
/// Room for what the verifier says.
const LOG_LEN: usize = 1 << 18;
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
pub enum MapKind {
    /// `BPF_MAP_TYPE_HASH`.
    Hash = 1,
    /// `BPF_MAP_TYPE_ARRAY`: keys are positions, and all entries are there, of zeros.
    Array = 2,
    /// `BPF_MAP_TYPE_XSKMAP`: queue number to AF_XDP socket.
    Sockets = 17,
}

/// A map with keys of `K` and values of `V` bytes.
#[derive(Debug)]
pub struct Map<const K: usize, const V: usize> {
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
    pub fn create(kind: MapKind, entries_max: u32) -> io::Result<Map<K, V>> {
        let len = |len: usize| u32::try_from(len).map_err(io::Error::other);
        let mut attr = [kind as u32, len(K)?, len(V)?, entries_max, 0];
        // SAFETY: type, key and value length, entries, flags; no addresses.
        Ok(Map { fd: unsafe { make(MAP_CREATE, &mut attr) }? })
    }

    /// Makes or overwrites the entry of `key`.
    ///
    /// # Errors
    /// E2BIG if the map is full; for sockets EBADF and what else makes a socket unfit.
    pub fn put(&self, key: [u8; K], value: [u8; V]) -> io::Result<()> {
        let (key, value) = (address(&raw const key), address(&raw const value));
        let mut entry = Entry { map: number(self.fd.as_fd()), key, value, flags: 0 };
        // SAFETY: `sized`: both addresses are those of arrays of these lengths that outlive the call.
        unsafe { call(MAP_UPDATE, &mut entry) }.map(drop)
    }

    /// Reads the entry of `key`.
    ///
    /// # Errors
    /// ENOENT if there is none.
    pub fn read(&self, key: [u8; K]) -> io::Result<[u8; V]> {
        let mut value = [0; V];
        let (key, room) = (address(&raw const key), address(value.as_mut_ptr()));
        let mut entry = Entry { map: number(self.fd.as_fd()), key, value: room, flags: 0 };
        // SAFETY: `sized`: a key of `K` bytes, and room for `V`, both of which outlive the call.
        unsafe { call(MAP_LOOKUP, &mut entry) }?;
        Ok(value)
    }

    /// Removes the entry of `key`; that there is none is no error.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub fn remove(&self, key: [u8; K]) -> io::Result<()> {
        let mut entry = Entry { map: number(self.fd.as_fd()), key: address(&raw const key), value: 0, flags: 0 };
        // SAFETY: `sized`: the key is an array of this length that outlives the call.
        match unsafe { call(MAP_DELETE, &mut entry) } {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            other => other.map(drop),
        }
    }

    /// The number by which instructions name it.
    #[must_use]
    pub fn number(&self) -> u32 {
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
    name: [u8; NAME_LEN_MAX + 1],
    /// The interface of offloaded programs.
    ifindex: u32,
    /// What it will be attached to.
    attach: u32,
}

/// Loads an XDP program, with a name for tools of up to 15 letters; the verifier reads it first.
///
/// # Errors
/// EPERM without CAP_BPF and CAP_NET_ADMIN; what the verifier says if it refuses.
pub fn load(instructions: &[u64], name: &str) -> io::Result<OwnedFd> {
    let mut octets = [0; NAME_LEN_MAX + 1];
    octets.iter_mut().zip(name.bytes().take(NAME_LEN_MAX)).for_each(|(octet, letter)| *octet = letter);
    let mut load = Load {
        kind: PROG_TYPE_XDP,
        count: u32::try_from(instructions.len()).map_err(io::Error::other)?,
        instructions: address(instructions),
        license: address(LICENSE),
        log: [0; 2],
        log_buf: 0,
        flags: [0; 2],
        name: octets,
        ifindex: 0,
        attach: ATTACH_XDP,
    };
    // SAFETY: `Load` has the layout of this command; instructions and licence are live slices of these lengths.
    let error = match unsafe { make(PROG_LOAD, &mut load) } {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EACCES)) => error,
        done => return done,
    };
    let mut log = vec![0; LOG_LEN];
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
pub enum Mode {
    /// In the driver: `XDP_FLAGS_DRV_MODE`.
    Native = 4,
    /// Behind it, for drivers that cannot: `XDP_FLAGS_SKB_MODE`.
    Generic = 2,
}

/// A program attached to an interface until this is dropped, however the process ends.
#[derive(Debug)]
pub struct Link(OwnedFd);

impl Link {
    /// Attaches `program` to the interface `ifindex`.
    ///
    /// # Errors
    /// EBUSY or EEXIST if another program is attached, EOPNOTSUPP if the driver cannot do it in this mode.
    pub fn create(program: BorrowedFd<'_>, ifindex: u32, mode: Mode) -> io::Result<Link> {
        let mut attr = [number(program), ifindex, ATTACH_XDP, mode as u32];
        // SAFETY: program, target, attach type, flags; no addresses.
        Ok(Link(unsafe { make(LINK_CREATE, &mut attr) }?))
    }

    /// The interface it is attached to; 0 if another tool detached it or the interface is gone.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub fn ifindex(&self) -> io::Result<u32> {
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

/// The argument of `BPF_PROG_TEST_RUN`.
#[repr(C)]
#[derive(Default)]
struct Run {
    /// The program.
    program: u32,
    /// What it returned.
    returned: u32,
    /// Lengths of the frame in and out.
    frame_len: [u32; 2],
    /// Addresses of the frame in and out.
    frame: [u64; 2],
    /// How many times.
    repeat: u32,
    /// Nanoseconds for one.
    duration: u32,
    /// Lengths of the context in and out.
    context_len: [u32; 2],
    /// Addresses of the context in and out.
    context: [u64; 2],
    /// Flags.
    flags: u32,
    /// On which processor.
    cpu: u32,
    /// How many frames at once.
    batch_len: u32,
    /// Fills the structure up, so that all of it is zero that the kernel does not know.
    rest: u32,
}

impl Run {
    /// Runs it over `frame`; what the program returned.
    fn over(self, program: BorrowedFd<'_>, frame: &[u8]) -> io::Result<u32> {
        let len = u32::try_from(frame.len()).map_err(io::Error::other)?;
        let mut run = Run { program: number(program), frame_len: [len, 0], frame: [address(frame), 0], ..self };
        // SAFETY: `Run` has the layout of this command; `frame` is a live slice of `len` bytes, and nothing is written.
        unsafe { call(PROG_TEST_RUN, &mut run) }?;
        Ok(run.returned)
    }
}

/// What `program` returns for `frame`, without any interface.
///
/// # Errors
/// EPERM without privileges; EINVAL for a frame shorter than an Ethernet header.
pub fn test_run(program: BorrowedFd<'_>, frame: &[u8]) -> io::Result<u32> {
    Run { repeat: 1, ..Run::default() }.over(program, frame)
}

/// Runs `program` `count` times over frames of a pool, which begin as `frame`, `batch_len` at a time, and has the kernel do with
/// them as it says. A frame that came back keeps what was written to it before, but its length.
///
/// # Errors
/// EPERM without privileges; EINVAL before Linux 5.18; EINTR when a signal comes.
pub fn run_live(program: BorrowedFd<'_>, frame: &[u8], count: u32, batch_len: u32) -> io::Result<()> {
    Run { repeat: count, flags: LIVE_FRAMES, batch_len, ..Run::default() }.over(program, frame).map(drop)
}
