//! Opens the sockets that clients talk to, before privileges are dropped.
//!
//! It serves nothing. Invariant: a process alone on its addresses holds them exclusively until the first socket of each
//! is bound, so a second server is refused with a reason instead of silently sharing the port by SO_REUSEPORT; only a
//! successor that was told of its predecessor joins.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

/// Receive queue of a UDP socket in bytes: some ten thousand queries, a burst of 30 ms at full speed.
const RECV_BUFFER_LEN: usize = 8 << 20;
/// Connections that wait for accept(2).
const BACKLOG: i32 = 1024;
/// How long a port may stay busy: the kernel closes the sockets of a ring some milliseconds after its process has ended
/// (2 of 3 restarts at once met that), and a restart must not fail for it.
const BUSY_MAX: Duration = Duration::from_secs(1);
/// Pause between two looks at a busy port.
const BUSY_PAUSE: Duration = Duration::from_millis(10);
/// Ports tried when the kernel may choose one that is free for both UDP and TCP.
const PORT_TRIES: usize = 16;

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listen {
    /// The address; port 0 lets the kernel choose.
    pub(crate) addr: SocketAddr,
    /// Who wants it.
    pub(crate) origin: Origin,
}

/// Who wants an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The operator: it must work.
    Asked,
    /// Nobody: it is left out if the host does not have it.
    Default,
}

/// Whether another process of ours holds the addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tenancy {
    /// Nobody may.
    Alone,
    /// A predecessor does, and will retire.
    Joining,
}

/// Sockets of one address.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The address, with its real port.
    pub(crate) addr: SocketAddr,
    /// One UDP socket for each worker.
    pub(crate) udp: Vec<UdpSocket>,
    /// Bound, but not listening before [`listen`].
    pub(crate) tcp: Socket,
}

/// Why an address cannot be listened on.
#[derive(Debug, Error)]
pub(crate) enum BindError {
    /// EACCES.
    #[error(
        "no permission to listen on {addr}: ports below 1024 need a privilege; use a port above 1023, or run \
         `setcap cap_net_bind_service=+ep` on the binary, or start it by the systemd unit"
    )]
    Denied {
        /// The address.
        addr: SocketAddr,
    },
    /// EADDRINUSE.
    #[error("{addr} is in use by another server; `ss -lnptu 'sport = :{port}'` shows which", port = .addr.port())]
    Busy {
        /// The address.
        addr: SocketAddr,
    },
    /// EADDRNOTAVAIL.
    #[error("{addr} is no address of this host; `ip address` shows those that are")]
    Foreign {
        /// The address.
        addr: SocketAddr,
    },
    /// Anything else.
    #[error("listening on {addr}: {source}")]
    Other {
        /// The address.
        addr: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// No address is left.
    #[error("there is no address to listen on")]
    Nothing,
}

/// Opens all sockets for `workers` workers. Addresses left out are reported in the second value, a line each.
///
/// # Errors
/// [`BindError`], with the remedy in its text.
pub(crate) fn bind_all(
    addresses: &[Listen],
    workers: usize,
    tenancy: impl Fn(SocketAddr) -> Tenancy,
) -> Result<(Vec<Bound>, Vec<String>), BindError> {
    let mut bound = Vec::new();
    let mut left_out = Vec::new();
    for listen in addresses {
        match bind(listen.addr, workers, tenancy(listen.addr)) {
            Ok(sockets) => bound.push(sockets),
            Err(error) if listen.origin == Origin::Default && is_absent(&error) => left_out.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    if bound.is_empty() {
        return Err(BindError::Nothing);
    }
    Ok((bound, left_out))
}

/// Starts to accept connections on a socket of [`Bound`].
///
/// # Errors
/// Those of listen(2); EADDRINUSE if another server listens there.
pub(crate) fn listen(tcp: Socket) -> io::Result<TcpListener> {
    tcp.listen(BACKLOG)?;
    Ok(tcp.into())
}

/// Whether the host has no such address, or not even the family.
fn is_absent(error: &BindError) -> bool {
    match error {
        BindError::Foreign { .. } => true,
        BindError::Other { source, .. } => {
            matches!(source.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT))
        }
        _ => false,
    }
}

/// Opens the sockets of one address; with port 0 tries until one number is free for both transports, else waits for a
/// predecessor that has just ended.
fn bind(addr: SocketAddr, workers: usize, tenancy: Tenancy) -> Result<Bound, BindError> {
    let begun = Instant::now();
    for tries in 1.. {
        let bound = bind_once(addr, workers, tenancy);
        let again = if addr.port() == 0 { tries < PORT_TRIES } else { begun.elapsed() < BUSY_MAX };
        if !again || !matches!(bound, Err(BindError::Busy { .. })) {
            return bound;
        }
        if addr.port() != 0 {
            thread::sleep(BUSY_PAUSE);
        }
    }
    Err(BindError::Busy { addr })
}

/// Opens the sockets of one address.
fn bind_once(asked: SocketAddr, workers: usize, tenancy: Tenancy) -> Result<Bound, BindError> {
    let mut addr = asked;
    let mut udp = Vec::with_capacity(workers);
    for number in 0..workers.max(1) {
        // The first socket claims the address for us alone and opens it for its siblings only afterwards.
        let share = if number == 0 && tenancy == Tenancy::Alone { Share::AfterBind } else { Share::BeforeBind };
        let socket = open(addr, Type::DGRAM, share).map_err(|error| explain(addr, error))?;
        addr = local_addr(&socket).map_err(|error| explain(addr, error))?;
        grow_queue(&socket);
        udp.push(socket.into());
    }
    let share = match tenancy {
        Tenancy::Alone => Share::AfterBind,
        Tenancy::Joining => Share::BeforeBind,
    };
    let tcp = open(addr, Type::STREAM, share).map_err(|error| explain(addr, error))?;
    Ok(Bound { addr, udp, tcp })
}

/// When a socket agrees to share its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    /// It joins others.
    BeforeBind,
    /// It must be the first.
    AfterBind,
}

/// Opens and binds one socket.
fn open(addr: SocketAddr, kind: Type, share: Share) -> io::Result<Socket> {
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let socket = Socket::new(Domain::for_address(addr), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if addr.is_ipv6() {
        // Both families can be given; a v6 wildcard must not take the v4 one's place.
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        // Closed connections in TIME_WAIT must not keep a restarted server from its port. A listening one still does.
        socket.set_reuse_address(true)?;
    }
    if share == Share::BeforeBind {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&addr.into())?;
    if share == Share::AfterBind {
        socket.set_reuse_port(true)?;
    }
    Ok(socket)
}

/// The real address of a socket.
fn local_addr(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Makes the receive queue large: beyond the host's limit if we may, else as far as it goes.
fn grow_queue(socket: &Socket) {
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, RECV_BUFFER_LEN).is_err()
        && let Err(error) = socket.set_recv_buffer_size(RECV_BUFFER_LEN)
    {
        tracing::debug!(%error, "receive queue stays at its default size");
    }
}

/// Prefers these sockets, among those that share their addresses, for what the kernel receives on `core`. Where no socket
/// is preferred the kernel chooses by a hash of addresses, as it does without.
///
/// # Errors
/// Those of setsockopt(2).
pub(crate) fn steer(sockets: &[UdpSocket], core: usize) -> io::Result<()> {
    // SO_INCOMING_CPU, and not a program for the group: a successor's sockets join the group, and a program would have
    // to know their positions, which change as old ones leave.
    sockets.iter().try_for_each(|socket| socket2::SockRef::from(socket).set_cpu_affinity(core))
}

/// Turns the kernel's word into a remedy.
fn explain(addr: SocketAddr, error: io::Error) -> BindError {
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => BindError::Denied { addr },
        Some(libc::EADDRINUSE) => BindError::Busy { addr },
        Some(libc::EADDRNOTAVAIL) => BindError::Foreign { addr },
        _ => BindError::Other { addr, source: error },
    }
}

/// The default addresses: loopback of both families, port 53.
pub(crate) fn default_listen() -> Vec<Listen> {
    let loopback = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
    loopback.map(|ip| Listen { addr: SocketAddr::new(ip, 53), origin: Origin::Default }).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loopback with a port of the kernel's choice.
    fn any() -> Listen {
        Listen { addr: "127.0.0.1:0".parse().unwrap(), origin: Origin::Asked }
    }

    #[test]
    fn workers_and_tcp_share_the_chosen_port() {
        let (bound, left_out) = bind_all(&[any()], 3, |_| Tenancy::Alone).unwrap();
        let [bound] = &bound[..] else { panic!("one address") };
        assert_ne!(bound.addr.port(), 0);
        assert!(bound.udp.iter().all(|socket| socket.local_addr().unwrap() == bound.addr));
        assert_eq!(bound.udp.len(), 3);
        assert_eq!(local_addr(&bound.tcp).unwrap(), bound.addr);
        assert!(left_out.is_empty());
    }

    #[test]
    fn a_second_server_is_refused_but_a_successor_joins() {
        let (first, _) = bind_all(&[any()], 2, |_| Tenancy::Alone).unwrap();
        let [first] = <[Bound; 1]>::try_from(first).unwrap();
        let again = Listen { addr: first.addr, origin: Origin::Asked };
        let _listening = listen(first.tcp).unwrap();
        let error = bind_all(&[again], 2, |_| Tenancy::Alone).unwrap_err();
        assert!(matches!(error, BindError::Busy { .. }), "{error}");
        assert!(error.to_string().contains("another server"));
        let (joined, _) = bind_all(&[again], 2, |_| Tenancy::Joining).unwrap();
        assert_eq!(joined[0].addr, first.addr);
    }

    #[test]
    fn addresses_of_other_hosts_fail_if_asked_for_and_are_left_out_by_default() {
        let addr = "192.0.2.1:0".parse().unwrap();
        let error = bind_all(&[Listen { addr, origin: Origin::Asked }], 1, |_| Tenancy::Alone).unwrap_err();
        assert!(matches!(error, BindError::Foreign { .. }), "{error}");
        let listen = [Listen { addr, origin: Origin::Default }, any()];
        let (bound, left_out) = bind_all(&listen, 1, |_| Tenancy::Alone).unwrap();
        assert_eq!((bound.len(), left_out.len()), (1, 1));
        let nothing = bind_all(&listen[..1], 1, |_| Tenancy::Alone).unwrap_err();
        assert!(matches!(nothing, BindError::Nothing));
    }

    #[test]
    fn a_steered_socket_gets_what_arrives_on_its_core() {
        let cores = core_affinity::get_core_ids().unwrap();
        let (bound, _) = bind_all(&[any()], cores.len(), |_| Tenancy::Alone).unwrap();
        for (socket, core) in bound[0].udp.iter().zip(&cores) {
            steer(std::slice::from_ref(socket), core.id).unwrap();
        }
        for (socket, &core) in bound[0].udp.iter().zip(&cores) {
            let addr = bound[0].addr;
            // Over loopback a datagram is received on the core that sends it.
            std::thread::spawn(move || {
                assert!(core_affinity::set_for_current(core));
                for _ in 0..50 {
                    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", addr).unwrap();
                }
            })
            .join()
            .unwrap();
            socket.set_nonblocking(true).unwrap();
            let got = std::iter::from_fn(|| socket.recv(&mut [0; 8]).ok()).count();
            assert_eq!(got, 50, "core {}", core.id);
        }
    }

    #[test]
    fn a_refused_port_names_the_remedies() {
        let addr = "127.0.0.1:53".parse().unwrap();
        let text = explain(addr, io::Error::from_raw_os_error(libc::EACCES)).to_string();
        for remedy in ["above 1023", "setcap cap_net_bind_service=+ep", "systemd unit"] {
            assert!(text.contains(remedy), "{text}");
        }
    }
}
