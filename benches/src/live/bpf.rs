//! The calls of bpf(2) that load by live frames needs: arrays, a program, its attachment, and test runs that send.
//!
//! It knows no instructions and no frames. It is not the loader of the data plane: what measures shares no code with what
//! is measured. Each call hands over a structure laid out as the member of `union bpf_attr` (linux/bpf.h) that the command
//! reads; the kernel takes a shorter one and reads the rest as zero.

#![expect(unsafe_code, reason = "bpf(2) takes pointers inside of its argument")]

use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `BPF_MAP_CREATE`.
const MAP_CREATE: libc::c_int = 0;
/// `BPF_MAP_LOOKUP_ELEM`.
const MAP_LOOKUP: libc::c_int = 1;
/// `BPF_MAP_UPDATE_ELEM`.
const MAP_UPDATE: libc::c_int = 2;
/// `BPF_PROG_LOAD`.
const PROG_LOAD: libc::c_int = 5;
/// `BPF_PROG_TEST_RUN`.
const PROG_TEST_RUN: libc::c_int = 10;
/// `BPF_LINK_CREATE`.
const LINK_CREATE: libc::c_int = 28;
/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
/// `BPF_PROG_TYPE_XDP`.
const PROG_TYPE_XDP: u32 = 6;
/// The attach type `BPF_XDP`.
const ATTACH_XDP: u32 = 37;
/// `XDP_FLAGS_DRV_MODE`.
const IN_DRIVER: u32 = 4;
/// `BPF_F_TEST_XDP_LIVE_FRAMES`, of Linux 5.18.
const LIVE_FRAMES: u32 = 2;
/// The helpers that are called are open to programs under this licence.
const LICENSE: &[u8] = b"Dual MIT/GPL\0";

/// A pointer as the kernel reads it.
fn address<T: ?Sized>(pointer: *const T) -> u64 {
    pointer.cast::<u8>().expose_provenance() as u64
}

/// A descriptor as the kernel reads it.
fn number(fd: &OwnedFd) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// A length as the kernel reads it.
fn length(len: usize) -> io::Result<u32> {
    u32::try_from(len).map_err(io::Error::other)
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

/// An array whose entries have `V` octets each.
#[derive(Debug)]
pub(super) struct Array<const V: usize> {
    /// Invariant `sized`: the map was made with this length.
    fd: OwnedFd,
}

impl<const V: usize> Array<V> {
    /// An array of zeros.
    ///
    /// # Errors
    /// EPERM without CAP_BPF, ENOMEM.
    pub(super) fn new(count: u32) -> io::Result<Array<V>> {
        let mut attr = [ARRAY, 4, length(V)?, count, 0];
        // SAFETY: type, key and value length, entries, flags; no addresses.
        Ok(Array { fd: unsafe { make(MAP_CREATE, &mut attr) }? })
    }

    /// Overwrites an entry.
    ///
    /// # Errors
    /// E2BIG if there is no such entry.
    pub(super) fn put(&self, idx: u32, value: &[u8; V]) -> io::Result<()> {
        let (key, value) = (address(&raw const idx), address(value));
        let mut entry = Entry { map: number(&self.fd), key, value, flags: 0 };
        // SAFETY: `sized`: a key of four octets and a value of `V`, both of which outlive the call.
        unsafe { call(MAP_UPDATE, &mut entry) }.map(drop)
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// ENOENT if there is no such entry.
    pub(super) fn read(&self, idx: u32) -> io::Result<[u8; V]> {
        let mut value = [0; V];
        let mut entry =
            Entry { map: number(&self.fd), key: address(&raw const idx), value: address(value.as_mut_ptr()), flags: 0 };
        // SAFETY: `sized`: a key of four octets, and room for `V` octets, both of which outlive the call.
        unsafe { call(MAP_LOOKUP, &mut entry) }?;
        Ok(value)
    }

    /// The number by which instructions name it.
    pub(super) fn number(&self) -> u32 {
        number(&self.fd)
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

/// A program and the interface that it is attached to; it comes off when this is dropped, however the process ends.
#[derive(Debug)]
pub(super) struct Program {
    /// The program.
    fd: OwnedFd,
    /// The attachment.
    _link: OwnedFd,
}

/// The argument of `BPF_PROG_TEST_RUN`.
#[repr(C)]
struct Run {
    /// The program.
    program: u32,
    /// What it returned.
    returned: u32,
    /// Lengths of the frame in and out.
    frame_len: [u32; 2],
    /// Addresses of the frame in and out.
    frame: [u64; 2],
    /// How many frames.
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

impl Program {
    /// Loads `instructions` as an XDP program and attaches it to the driver of an interface.
    ///
    /// # Errors
    /// EPERM without CAP_BPF and CAP_NET_ADMIN; EBUSY if the interface has a program; what the verifier says if it
    /// refuses.
    pub(super) fn attach(instructions: &[u64], ifindex: u32) -> io::Result<Program> {
        let fd = load(instructions)?;
        let mut attr = [number(&fd), ifindex, ATTACH_XDP, IN_DRIVER];
        // SAFETY: program, target, attach type, flags; no addresses.
        let link = unsafe { make(LINK_CREATE, &mut attr) }?;
        Ok(Program { fd, _link: link })
    }

    /// Runs the program `count` times over frames of a pool, which begin as `frame`, `batch_len` at a time, and has the
    /// kernel do with them as it says. A frame that came back keeps what was written to it before, but its length.
    ///
    /// # Errors
    /// EINVAL before Linux 5.18; EINTR when a signal comes.
    pub(super) fn run(&self, frame: &[u8], count: u32, batch_len: u32) -> io::Result<()> {
        let mut run = Run {
            program: number(&self.fd),
            returned: 0,
            frame_len: [length(frame.len())?, 0],
            frame: [address(frame), 0],
            repeat: count,
            duration: 0,
            context_len: [0; 2],
            context: [0; 2],
            flags: LIVE_FRAMES,
            cpu: 0,
            batch_len,
            rest: 0,
        };
        // SAFETY: `Run` has the layout of this command; `frame` is a live slice of that length, and nothing is written to.
        unsafe { call(PROG_TEST_RUN, &mut run) }.map(drop)
    }
}

/// Loads an XDP program.
fn load(instructions: &[u64]) -> io::Result<OwnedFd> {
    let mut load = Load {
        kind: PROG_TYPE_XDP,
        count: length(instructions.len())?,
        instructions: address(instructions),
        license: address(LICENSE),
        log: [0; 2],
        log_buf: 0,
        flags: [0; 2],
        name: *b"petrel_live\0\0\0\0\0",
        ifindex: 0,
        attach: ATTACH_XDP,
    };
    // SAFETY: `Load` has the layout of this command; instructions and licence are live slices of these lengths.
    let error = match unsafe { make(PROG_LOAD, &mut load) } {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EACCES)) => error,
        done => return done,
    };
    let mut log = vec![0; 1 << 18];
    load.log = [1, length(log.len())?];
    load.log_buf = address(log.as_mut_ptr());
    // SAFETY: as above, and the log is a live buffer of this length.
    if let Ok(loaded) = unsafe { make(PROG_LOAD, &mut load) } {
        return Ok(loaded);
    }
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    let log = String::from_utf8_lossy(&log[..end]);
    Err(io::Error::new(error.kind(), format!("{error}: {}", log.trim_end())))
}

/// The number of an interface in the network namespace of this thread.
///
/// # Errors
/// ENODEV if there is none of that name.
pub(super) fn ifindex(name: &str) -> io::Result<u32> {
    let name = CString::new(name)?;
    // SAFETY: a string that ends with a zero and outlives the call.
    let ifindex = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if ifindex == 0 { Err(io::Error::last_os_error()) } else { Ok(ifindex) }
}
