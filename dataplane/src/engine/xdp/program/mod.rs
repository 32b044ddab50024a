//! The filter that decides which frames come to us, loaded into the kernel with its two maps.
//!
//! `filter.asm` is its source and `filter.hex` its instructions; a test assembles the one and compares it with the
//! other, so that no compiler is needed to build or to run. Invariant: whatever the filter does not know passes to the
//! kernel, as does all else while no socket is admitted.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::engine::bpf::{self, Link, Map, MapKind, Mode};

#[cfg(test)]
mod assembler;
#[cfg(test)]
mod tests;

/// The instructions, one a line, as numbers of little-endian byte order.
const INSTRUCTIONS: &str = include_str!("filter.hex");
/// Opcode of an instruction that names a map.
const LOAD_MAP: u64 = 0x18;
/// Most addresses times ports.
const ADDRESS_COUNT_MAX: u32 = 1024;
/// Most queues of an interface.
pub(super) const QUEUE_COUNT_MAX: u32 = 256;

/// An address and port as the filter looks them up.
type Key = [u8; 20];

/// The MAC address of an interface.
pub(super) type Mac = [u8; 6];

/// Sockets by queue number.
#[derive(Debug)]
pub(super) struct Sockets(Map<4, 4>);

impl Sockets {
    /// From now on frames of `queue` go to `socket`.
    ///
    /// # Errors
    /// If the socket is not bound to that queue.
    pub(super) fn admit(&self, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.0.put(queue.to_ne_bytes(), socket.as_raw_fd().to_ne_bytes())
    }

    /// From now on frames of `queue` pass to the kernel.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub(super) fn dismiss(&self, queue: u32) -> io::Result<()> {
        self.0.remove(queue.to_ne_bytes())
    }
}

/// The filter of one interface, loaded.
#[derive(Debug)]
pub(super) struct Program {
    /// The program.
    fd: OwnedFd,
    /// Which addresses are ours, on which MAC address.
    addresses: Map<20, 8>,
    /// What `addresses` holds.
    known: BTreeMap<Key, Mac>,
    /// Where frames go.
    sockets: Arc<Sockets>,
}

impl Program {
    /// Loads the filter; nothing is attached and no address is known yet.
    ///
    /// # Errors
    /// EPERM without CAP_BPF and CAP_NET_ADMIN, and on hosts of big-endian byte order.
    pub(super) fn load() -> io::Result<Program> {
        Program::load_as(|_| ())
    }

    /// As [`Program::load`], with instructions changed by `edit`.
    fn load_as(edit: impl Fn(&mut Vec<u64>)) -> io::Result<Program> {
        if cfg!(target_endian = "big") {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the filter is assembled for little-endian hosts"));
        }
        let addresses = Map::create(MapKind::Hash, ADDRESS_COUNT_MAX)?;
        let sockets = Map::create(MapKind::Sockets, QUEUE_COUNT_MAX)?;
        let mut instructions = instructions()?;
        for instruction in instructions.iter_mut().filter(|instruction| **instruction & 0xff == LOAD_MAP) {
            let map = if *instruction >> 32 == 1 { addresses.number() } else { sockets.number() };
            *instruction = *instruction & 0xffff_ffff | u64::from(map) << 32;
        }
        edit(&mut instructions);
        let fd = bpf::load(&instructions, "petrel_filter")?;
        Ok(Program { fd, addresses, known: BTreeMap::new(), sockets: Arc::new(Sockets(sockets)) })
    }

    /// Where frames go.
    pub(super) fn sockets(&self) -> &Arc<Sockets> {
        &self.sockets
    }

    /// Attaches it to an interface, in the driver if that can be, else behind it; with the reason for the latter.
    ///
    /// # Errors
    /// If neither can be; EBUSY if another program is attached.
    pub(super) fn attach(&self, ifindex: u32) -> io::Result<(Link, Mode, Option<io::Error>)> {
        match Link::create(self.fd.as_fd(), ifindex, Mode::Native) {
            Ok(link) => Ok((link, Mode::Native, None)),
            // A program is there: to go behind the driver would be to share the interface with it.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST | libc::EPERM)) => Err(error),
            Err(reason) => {
                let link = Link::create(self.fd.as_fd(), ifindex, Mode::Generic)?;
                Ok((link, Mode::Generic, Some(reason)))
            }
        }
    }

    /// Makes `ours` the addresses whose queries come to us, as far as frames are sent to `mac`.
    ///
    /// # Errors
    /// E2BIG if there are more than the map takes; those that fit are known.
    pub(super) fn know(&mut self, ours: &[SocketAddr], mac: Mac) -> io::Result<()> {
        let wanted: BTreeMap<Key, Mac> = ours.iter().map(|addr| (key(*addr), mac)).collect();
        let gone: Vec<Key> = self.known.keys().filter(|key| !wanted.contains_key(*key)).copied().collect();
        for key in gone {
            self.addresses.remove(key)?;
            self.known.remove(&key);
        }
        for (key, mac) in wanted {
            if self.known.get(&key) != Some(&mac) {
                let mut value = [0; 8];
                value[..6].copy_from_slice(&mac);
                self.addresses.put(key, value)?;
                self.known.insert(key, mac);
            }
        }
        Ok(())
    }
}

/// The instructions as they are committed.
fn instructions() -> io::Result<Vec<u64>> {
    INSTRUCTIONS.lines().map(|line| u64::from_str_radix(line, 16).map_err(io::Error::other)).collect()
}

/// The key of an address: see `filter.asm`.
fn key(addr: SocketAddr) -> Key {
    let mut key = [0; 20];
    let family = match addr {
        SocketAddr::V4(v4) => {
            key[12..16].copy_from_slice(&v4.ip().octets());
            4_u16
        }
        SocketAddr::V6(v6) => {
            key[..16].copy_from_slice(&v6.ip().octets());
            6
        }
    };
    key[16..18].copy_from_slice(&addr.port().to_be_bytes());
    // The filter writes the family as a number of its own byte order.
    key[18..].copy_from_slice(&family.to_ne_bytes());
    key
}
