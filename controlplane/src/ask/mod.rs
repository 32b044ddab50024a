//! Asks the world: a resolver, and the servers of the parent of a domain, who alone know what is delegated how.
//!
//! A resolver alone cannot tell the delegation: what it answers for NS is the child's own, and what it has of DS may be old.
//! So it is asked who serves the parent, and those servers are asked without recursion. Blocking, for threads that may.
//! Invariants: whatever the answers are, it is over within the time that is given and after a bounded number of questions; what
//! the world says where its servers are leads to no address but public ones, and those that the operator allows.

mod special;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use snapshot::dns::class::Class;
use snapshot::dns::message::{Flags, Message, Query, Rcode, Resource};
use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rtype::Rtype;

/// How long a look may take altogether.
pub const TIME_MAX: Duration = Duration::from_secs(5);
/// How long a look at all servers of a parent may take.
const DS_TIME_MAX: Duration = Duration::from_secs(15);
/// How often a question is sent.
const TRY_COUNT: u32 = 3;
/// How many addresses of a host are asked: it is whoever has the domain that says which.
const ADDRESS_COUNT_MAX: usize = 4;
/// How long an answer is waited for each time.
const TRY_TIME: Duration = Duration::from_millis(1200);
/// How many servers of a parent are asked for DS: the root zone has thirteen.
const HOST_COUNT_MAX: usize = 16;
/// How many addresses a look at a parent asks: thirteen servers have twenty-six.
const ASKED_COUNT_MAX: usize = 32;
/// The longest answer over TCP: DS and NS of one domain are a tenth of it.
const TCP_LEN_MAX: usize = 16 << 10;
/// How many names are tried on the way up to the parent's apex.
const CLIMB_COUNT_MAX: usize = 16;
/// The longest answer over UDP: what crosses every network unfragmented is shorter.
const UDP_LEN_MAX: usize = 4096;

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    /// A resolver; wherever it is, the operator said so.
    pub resolver: SocketAddr,
    /// The port of name servers.
    pub authority_port: u16,
    /// Networks whose addresses are asked although they are for special purposes.
    pub allowed: Vec<IpNet>,
}

impl Servers {
    /// Those addresses of a host that may be asked.
    ///
    /// # Errors
    /// [`LookupError::Special`] if it has addresses, and none of them may.
    pub fn reachable(&self, host: &Name, mut addrs: Vec<IpAddr>) -> Result<Vec<SocketAddr>, LookupError> {
        let first = addrs.first().copied();
        addrs.retain(|addr| special::is_public(*addr) || self.allowed.iter().any(|net| net.contains(addr)));
        match first {
            Some(addr) if addrs.is_empty() => Err(LookupError::Special { host: host.to_string(), addr }),
            _ => Ok(addrs.into_iter().map(|addr| SocketAddr::new(addr, self.authority_port)).collect()),
        }
    }
}

/// Why nothing was found out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No answer that could be read.
    #[error("the resolver does not answer")]
    Resolver,
    /// It has no answer itself.
    #[error("the resolver cannot tell who serves the parent of the domain")]
    Parent,
    /// No answer of theirs.
    #[error("the servers of the parent of the domain do not answer")]
    Authorities,
    /// They are where nobody looks for them.
    #[error(
        "{host}, which serves the parent of the domain, has the address {addr}, which is not public; the operator may allow it \
         with --parent-allow"
    )]
    Special {
        /// The server.
        host: String,
        /// The address.
        addr: IpAddr,
    },
}

/// What the servers of a parent have of a domain's DS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParentDs {
    /// The RDATA of each server that answered, one for each of its addresses.
    pub sets: Vec<Vec<Vec<u8>>>,
    /// The greatest TTL they came with.
    pub ttl_secs: Option<u32>,
    /// Whether all answered that can be reached from here.
    pub is_complete: bool,
}

/// Asks all servers of the parent of a domain for its DS, at all addresses that can be reached from here: there may be no
/// IPv6 here, but each server must answer at one at least.
///
/// # Errors
/// [`LookupError`] if it cannot be told who they are.
pub fn parent_ds(servers: &Servers, domain: NameRef<'_>) -> Result<ParentDs, LookupError> {
    let until = Instant::now() + DS_TIME_MAX;
    let resolver = asking(servers.resolver, until);
    let hosts = parent_hosts(domain, &resolver)?;
    let mut found = ParentDs { is_complete: hosts.len() <= HOST_COUNT_MAX, ..ParentDs::default() };
    let mut left = ASKED_COUNT_MAX;
    for host in hosts.iter().take(HOST_COUNT_MAX) {
        let mut addrs = addresses_of(host.as_ref(), Rtype::A, &resolver)?;
        addrs.extend(addresses_of(host.as_ref(), Rtype::AAAA, &resolver)?);
        let mut is_answered = false;
        for addr in servers.reachable(host, addrs)?.into_iter().filter(|addr| is_reachable(*addr)) {
            if left == 0 {
                found.is_complete = false;
                return Ok(found);
            }
            left -= 1;
            let answer = ask(addr, Question { qname: domain, qtype: Rtype::DS, flags: Flags::NONE }, until);
            let is_good = |answer: &Message| {
                let is_authoritative = answer.header.flags.contains(Flags::AA);
                is_authoritative && matches!(answer.rcode(), Rcode::NOERROR | Rcode::NXDOMAIN)
            };
            let Some(answer) = answer.filter(is_good) else {
                found.is_complete = false;
                continue;
            };
            is_answered = true;
            let is_ds = |rr: &&Resource| rr.rtype == Rtype::DS && rr.owner.as_ref() == domain;
            found.ttl_secs = answer.answers.iter().filter(is_ds).map(|rr| rr.ttl_secs).chain(found.ttl_secs).max();
            found.sets.push(answer.answers.iter().filter(is_ds).map(|rr| rr.rdata.clone()).collect());
        }
        found.is_complete &= is_answered;
    }
    Ok(found)
}

/// Questions to a resolver.
pub fn asking(resolver: SocketAddr, until: Instant) -> impl Fn(NameRef<'_>, Rtype) -> Result<Message, LookupError> {
    move |qname, qtype| ask(resolver, Question { qname, qtype, flags: Flags::RD }, until).ok_or(LookupError::Resolver)
}

/// Whether a packet could be sent there at all.
fn is_reachable(addr: SocketAddr) -> bool {
    socket_to(addr).is_ok()
}

/// The names of the servers of the zone above a domain: of the nearest ancestor that has NS records.
///
/// # Errors
/// [`LookupError`].
pub fn parent_hosts(
    domain: NameRef<'_>,
    resolver: &impl Fn(NameRef<'_>, Rtype) -> Result<Message, LookupError>,
) -> Result<Vec<Name>, LookupError> {
    let ancestors = std::iter::successors(domain.parent(), |name| name.parent());
    for ancestor in ancestors.take(CLIMB_COUNT_MAX) {
        let answer = resolver(ancestor, Rtype::NS)?;
        if !matches!(answer.rcode(), Rcode::NOERROR | Rcode::NXDOMAIN) {
            return Err(LookupError::Parent);
        }
        let of_ancestor = answer.answers.iter().filter(|rr| rr.rtype == Rtype::NS && rr.owner.as_ref() == ancestor);
        let hosts: Vec<Name> = of_ancestor.filter_map(|rr| Name::from_wire(&rr.rdata).ok()).collect();
        if !hosts.is_empty() {
            return Ok(hosts);
        }
    }
    Err(LookupError::Parent)
}

/// The addresses of a host: IPv4, or where it has none IPv6.
///
/// # Errors
/// [`LookupError`].
pub fn addresses(
    host: NameRef<'_>,
    resolver: &impl Fn(NameRef<'_>, Rtype) -> Result<Message, LookupError>,
) -> Result<Vec<IpAddr>, LookupError> {
    let found = addresses_of(host, Rtype::A, resolver)?;
    if found.is_empty() { addresses_of(host, Rtype::AAAA, resolver) } else { Ok(found) }
}

/// The addresses of a host of one type.
fn addresses_of(
    host: NameRef<'_>,
    qtype: Rtype,
    resolver: &impl Fn(NameRef<'_>, Rtype) -> Result<Message, LookupError>,
) -> Result<Vec<IpAddr>, LookupError> {
    let answer = resolver(host, qtype)?;
    let of_type = answer.answers.iter().filter(|rr| rr.rtype == qtype);
    Ok(of_type.filter_map(|rr| address(&rr.rdata)).take(ADDRESS_COUNT_MAX).collect())
}

/// The address in the RDATA of A or AAAA.
fn address(rdata: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(rdata).map(|octets| IpAddr::from(Ipv4Addr::from(octets)));
    v4.or_else(|_| <[u8; 16]>::try_from(rdata).map(|octets| IpAddr::from(Ipv6Addr::from(octets)))).ok()
}

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct Question<'n> {
    /// The name.
    pub qname: NameRef<'n>,
    /// The type.
    pub qtype: Rtype,
    /// RD or not.
    pub flags: Flags,
}

/// Asks one server until it answers; `None` if it does not in time.
#[must_use]
pub fn ask(server: SocketAddr, question: Question<'_>, until: Instant) -> Option<Message> {
    (0..TRY_COUNT).find_map(|_| {
        // Nothing is sent when the time is over.
        left(until).ok()?;
        let until = until.min(Instant::now() + TRY_TIME);
        let answer = over_udp(server, question, until).ok()?;
        if answer.header.flags.contains(Flags::TC) { over_tcp(server, question, until).ok() } else { Some(answer) }
    })
}

/// Asks over UDP, from a random port and with a random identifier (RFC 5452 section 9).
fn over_udp(server: SocketAddr, question: Question<'_>, until: Instant) -> io::Result<Message> {
    let socket = socket_to(server)?;
    let (id, query) = query(question)?;
    socket.send(&query)?;
    let mut buf = [0; UDP_LEN_MAX];
    loop {
        socket.set_read_timeout(Some(left(until)?))?;
        let len = socket.recv(&mut buf)?;
        if let Some(answer) = answer_to(id, question, &buf[..len]) {
            return Ok(answer);
        }
    }
}

/// A socket for one server: the kernel drops what comes from others.
fn socket_to(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    Ok(socket)
}

/// Asks over TCP (RFC 7766).
fn over_tcp(server: SocketAddr, question: Question<'_>, until: Instant) -> io::Result<Message> {
    let mut stream = TcpStream::connect_timeout(&server, left(until)?)?;
    let (id, query) = query(question)?;
    let len = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.set_write_timeout(Some(left(until)?))?;
    stream.write_all(&[&len.to_be_bytes(), query.as_slice()].concat())?;
    let mut len = [0; 2];
    read_exactly(&mut stream, &mut len, until)?;
    let len = usize::from(u16::from_be_bytes(len));
    if len > TCP_LEN_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; len];
    read_exactly(&mut stream, &mut answer, until)?;
    answer_to(id, question, &answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Fills a buffer, however slowly it comes, until the time is over.
fn read_exactly(stream: &mut TcpStream, mut buf: &mut [u8], until: Instant) -> io::Result<()> {
    while !buf.is_empty() {
        stream.set_read_timeout(Some(left(until)?))?;
        let len = stream.read(buf)?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf = &mut buf[len..];
    }
    Ok(())
}

/// How much time is left.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// A query with a random identifier.
fn query(Question { qname, qtype, flags }: Question<'_>) -> io::Result<(u16, Vec<u8>)> {
    let random = uuid::Uuid::new_v4();
    let id = u16::from_be_bytes([random.as_bytes()[0], random.as_bytes()[1]]);
    let query = Query { id, flags, qname, qtype, qclass: Class::IN, edns: None };
    Ok((id, query.to_wire().map_err(io::Error::other)?))
}

/// A message, if it is the answer to this question and no other.
fn answer_to(id: u16, question: Question<'_>, octets: &[u8]) -> Option<Message> {
    let message = Message::from_wire(octets).ok()?;
    let [asked] = message.questions.as_slice() else { return None };
    let is_same = asked.qname.as_ref() == question.qname && asked.qtype == question.qtype && asked.qclass == Class::IN;
    let is_answer = message.header.id == id && message.header.flags.contains(Flags::QR) && is_same;
    is_answer.then_some(message)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What is asked here: example.org NS.
    fn qname() -> Name {
        Name::parse(b"example.org.", None).unwrap()
    }

    /// Asks a server for at most this long.
    fn asked(server: SocketAddr, time: Duration) -> Option<Message> {
        let name = qname();
        let question = Question { qname: name.as_ref(), qtype: Rtype::NS, flags: Flags::RD };
        ask(server, question, Instant::now() + time)
    }

    /// A reply to a query with other flags beside QR, and `change` made to its octets.
    fn reply(query: &[u8], flags: Flags, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        let mut reply = query.to_vec();
        reply[2..4].copy_from_slice(&(Flags::QR | flags).0.to_be_bytes());
        change(&mut reply);
        reply
    }

    #[test]
    fn what_the_world_says_leads_to_no_address_but_public_and_allowed_ones() {
        let servers = |allowed: &[&str]| Servers {
            resolver: "127.0.0.1:53".parse().unwrap(),
            authority_port: 53,
            allowed: allowed.iter().map(|net| net.parse().unwrap()).collect(),
        };
        let check = |allowed: &[&str], addrs: &[&str], expected: &str| {
            let addrs = addrs.iter().map(|addr| addr.parse().unwrap()).collect();
            let found = match servers(allowed).reachable(&qname(), addrs) {
                Ok(found) => found.iter().map(|addr| format!("{addr} ")).collect(),
                Err(error) => error.to_string(),
            };
            assert!(found == expected || !expected.is_empty() && found.contains(expected), "{found}");
        };
        check(&[], &[], "");
        check(
            &[],
            &["192.5.6.30", "10.0.0.1", "::1", "2001:503:a83e::2:30"],
            "192.5.6.30:53 [2001:503:a83e::2:30]:53 ",
        );
        check(
            &[],
            &["169.254.169.254", "::1"],
            "example.org., which serves the parent of the domain, has the address 169",
        );
        check(&["10.0.0.0/8"], &["10.0.0.1", "127.0.0.1"], "10.0.0.1:53 ");
        check(&["10.0.0.0/8"], &["::ffff:10.0.0.1"], "not public");
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_not_taken_for_one() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = server.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let mut buf = [0; 512];
            let (len, from) = server.recv_from(&mut buf).unwrap();
            let query = &buf[..len];
            for wrong in [
                b"short".to_vec(),
                query.to_vec(),
                reply(query, Flags::AA, |octets| octets[0] ^= 1),
                reply(query, Flags::AA, |octets| octets[13] ^= 1),
                reply(query, Flags::AA, |octets| octets[len - 3] ^= 1),
                reply(query, Flags::NONE, |_| {}),
            ] {
                server.send_to(&wrong, from).unwrap();
            }
        });
        let answer = asked(addr, TIME_MAX).unwrap();
        assert!(!answer.header.flags.contains(Flags::AA));
        serving.join().unwrap();
    }

    #[test]
    fn an_answer_that_was_cut_is_asked_for_again_over_tcp() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = tcp.local_addr().unwrap();
        let Ok(udp) = UdpSocket::bind(addr) else { return };
        let serving = std::thread::spawn(move || {
            let mut buf = [0; 512];
            let (len, from) = udp.recv_from(&mut buf).unwrap();
            udp.send_to(&reply(&buf[..len], Flags::TC, |_| {}), from).unwrap();
            let (mut stream, _) = tcp.accept().unwrap();
            stream.read_exact(&mut buf[..len + 2]).unwrap();
            let answer = reply(&buf[2..len + 2], Flags::AA, |_| {});
            // In pieces, as it may come.
            for piece in [&buf[..2], &answer[..5], &answer[5..]] {
                stream.write_all(piece).unwrap();
            }
        });
        assert!(asked(addr, TIME_MAX).unwrap().header.flags.contains(Flags::AA));
        serving.join().unwrap();
    }

    #[test]
    fn a_server_that_is_silent_costs_no_more_than_the_time_there_is() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let begin = Instant::now();
        assert!(asked(silent.local_addr().unwrap(), Duration::from_millis(30)).is_none());
        assert!(begin.elapsed() < TRY_TIME, "{:?}", begin.elapsed());
    }
}
