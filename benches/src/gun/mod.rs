//! One thread that asks a DNS server over UDP as fast as it answers, or as fast as it is told to, and checks every reply.
//!
//! Replies are matched by socket, id and question. It never sleeps: it has a core of its own, and a wake-up would be
//! measured with the server. What it asks, and in which order, is the same in every run.

mod flight;
mod histogram;
mod questions;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use crate::mmsg::{Batch, SLOTS_MAX, Towards, Wait};
use flight::{FLIGHT_MAX, Flight};
use histogram::Histogram;
pub use questions::{Edns, Questions};

/// After how long a query counts as lost.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How often lost queries are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(10);
/// Octets of the kernel's buffers of each socket; as much as it allows is taken.
const BUFFER_LEN: usize = 4 << 20;
/// How long readiness waits for a reply before it asks again.
const PROBE_INTERVAL: Duration = Duration::from_millis(2);
/// How many queries may be in flight over all sockets; rings are cut from this.
const FLIGHT_TOTAL: usize = 1 << 20;

/// How much is sent at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// For how long.
    pub duration: Duration,
    /// At most so many queries in flight, over all sockets; `None` sends whether replies come or not.
    pub window: Option<usize>,
    /// At most so many queries a second.
    pub rate: Option<f64>,
    /// At most so many queries in one system call.
    pub batch: usize,
    /// Whether the queries of a call go to the kernel as one message (UDP_SEGMENT).
    pub sends: Sends,
}

/// How queries get to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sends {
    /// One by one, in one system call.
    Single,
    /// Queries of one length as one message.
    Merged,
}

/// From where to where.
#[derive(Debug, Clone)]
pub struct Path {
    /// The server.
    pub server: SocketAddr,
    /// The address to ask from; the kernel's choice if `None`.
    pub local: Option<IpAddr>,
    /// The interface to ask through.
    pub interface: Option<String>,
    /// How many sockets, and so source ports.
    pub sockets: usize,
}

/// What happened.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Queries sent.
    pub sent: u64,
    /// Replies that belong to a query.
    pub answered: u64,
    /// Queries without a reply in time.
    pub lost: u64,
    /// Replies to a query in flight that repeat another question, or are no replies.
    pub wrong: u64,
    /// Datagrams for no query in flight, as late replies are.
    pub stray: u64,
    /// Replies with the bit TC.
    pub truncated: u64,
    /// Times the kernel did not take queries.
    pub refused_sends: u64,
    /// Replies by RCODE.
    pub rcodes: [u64; 16],
    /// Octets of all replies.
    pub reply_bytes: u64,
    /// How long queries were sent.
    pub elapsed: Duration,
    /// Median time from sending to receiving.
    pub p50: Duration,
    /// 99th percentile of it.
    pub p99: Duration,
    /// 99.9th percentile of it.
    pub p999: Duration,
    /// The longest of it.
    pub max: Duration,
}

/// A socket and its queries.
struct Barrel {
    /// The socket, connected and non-blocking.
    socket: UdpSocket,
    /// Its queries on their way.
    flight: Flight,
}

/// Sockets, ready to ask.
pub struct Gun<'q> {
    /// The sockets.
    barrels: Vec<Barrel>,
    /// What is asked.
    questions: &'q Questions,
    /// What is being sent.
    outgoing: Batch,
    /// What was received.
    incoming: Batch,
    /// How long replies took.
    latencies: Histogram,
    /// What happened so far.
    tally: Tally,
}

impl<'q> Gun<'q> {
    /// Opens the sockets.
    ///
    /// # Errors
    /// Those of the sockets.
    pub fn new(path: &Path, questions: &'q Questions) -> io::Result<Gun<'q>> {
        let count = path.sockets.max(1);
        let ring = (FLIGHT_TOTAL / count).min(FLIGHT_MAX);
        let barrels = (0..count)
            .map(|_| Ok(Barrel { socket: open(path)?, flight: Flight::new(ring) }))
            .collect::<io::Result<_>>()?;
        let (outgoing, incoming) = (Batch::new(SLOTS_MAX), Batch::new(SLOTS_MAX));
        Ok(Gun { barrels, questions, outgoing, incoming, latencies: Histogram::new(), tally: Tally::default() })
    }

    /// Asks the first question until it is answered with data or NXDOMAIN; returns how long that took.
    ///
    /// # Errors
    /// `TimedOut` if there was no such reply in time; others of the socket.
    pub fn wait_ready(&mut self, patience: Duration) -> io::Result<Duration> {
        let begun = Instant::now();
        let socket = &self.barrels[0].socket;
        let mut buf = [0; 4096];
        while begun.elapsed() < patience {
            // A closed port refuses by ICMP, at the next call; that is not ready yet.
            if socket.send(self.questions.message(0)).is_err() {
                thread::sleep(PROBE_INTERVAL / 4);
                continue;
            }
            let asked = Instant::now();
            while asked.elapsed() < PROBE_INTERVAL {
                match socket.recv(&mut buf) {
                    Ok(len) if self.questions.is_answered_by(0, &buf[..len]) && matches!(buf[3] & 15, 0 | 3) => {
                        return Ok(begun.elapsed());
                    }
                    Ok(_) => {}
                    Err(_) => thread::sleep(PROBE_INTERVAL / 16),
                }
            }
        }
        Err(io::Error::new(ErrorKind::TimedOut, "the server does not answer"))
    }

    /// Sends for the given time, waits for the last replies, and tells what happened.
    ///
    /// # Errors
    /// Those of the sockets that are neither full nor refused by ICMP.
    pub fn fire(mut self, load: &Load) -> io::Result<Tally> {
        let batch = load.batch.clamp(1, SLOTS_MAX);
        let order = match load.sends {
            Sends::Single => None,
            Sends::Merged => Some(self.questions.in_runs(batch)).filter(|order| !order.is_empty()),
        };
        let order_len = order.as_ref().map_or(self.questions.count(), Vec::len);
        let window = load.window.map_or(usize::MAX, |window| (window / self.barrels.len()).max(1));
        // A merged message is sent whole or not at all.
        let window = if load.sends == Sends::Merged { window.max(batch) } else { window };
        let begun = Instant::now();
        let now_ns = || u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let end_ns = u64::try_from(load.duration.as_nanos()).unwrap_or(u64::MAX);
        let timeout_ns = u64::try_from(TIMEOUT.as_nanos()).unwrap_or(u64::MAX);
        let (mut position, mut expired_ns) = (0, 0);
        loop {
            let now = now_ns();
            let sending = now < end_ns;
            let awaited: usize = self.barrels.iter().map(|barrel| barrel.flight.awaited()).sum();
            if !sending && awaited == 0 {
                break;
            }
            for idx in 0..self.barrels.len() {
                if sending {
                    let free = window.saturating_sub(self.barrels[idx].flight.awaited());
                    let due = load.rate.map_or(u64::MAX, |rate| due(now_ns(), rate)).saturating_sub(self.tally.sent);
                    let count = batch.min(free).min(usize::try_from(due).unwrap_or(batch)).min(order_len);
                    let is_whole = load.sends == Sends::Single || count == batch;
                    if count > 0 && is_whole {
                        if position + count > order_len {
                            position = 0;
                        }
                        let sent = self.send(idx, order.as_deref(), position, count, now_ns())?;
                        position += sent;
                    }
                }
                self.receive(idx, &now_ns)?;
            }
            if now > expired_ns + u64::try_from(EXPIRY_INTERVAL.as_nanos()).unwrap_or(0) {
                expired_ns = now;
                let before = now.saturating_sub(timeout_ns);
                self.tally.lost += self.barrels.iter_mut().map(|barrel| barrel.flight.expire(before)).sum::<u64>();
            }
        }
        Ok(self.finish(begun.elapsed().min(load.duration)))
    }

    /// Sends `count` queries from a position of the order; returns how many went out.
    fn send(
        &mut self,
        idx: usize,
        order: Option<&[u32]>,
        position: usize,
        count: usize,
        now_ns: u64,
    ) -> io::Result<usize> {
        let barrel = &mut self.barrels[idx];
        let question = |slot: usize| match order {
            Some(order) => order[position + slot],
            None => u32::try_from(position + slot).unwrap_or(0),
        };
        for slot in 0..count {
            self.outgoing.put(slot, self.questions.message(question(slot) as usize));
            self.outgoing.datagram_mut(slot)[..2].copy_from_slice(&barrel.flight.id(slot).to_be_bytes());
        }
        let result = match order {
            None => self.outgoing.send(barrel.socket.as_fd(), count, Towards::Peer),
            Some(_) => self.outgoing.send_merged(barrel.socket.as_fd(), count).map(|()| count),
        };
        let sent = match result {
            Ok(sent) => sent,
            Err(error) if is_passing(&error) => {
                self.tally.refused_sends += 1;
                0
            }
            Err(error) => return Err(error),
        };
        for slot in 0..sent {
            self.tally.lost += barrel.flight.launch(question(slot), now_ns);
        }
        self.tally.sent += sent as u64;
        Ok(sent)
    }

    /// Receives what there is on one socket and judges it.
    fn receive(&mut self, idx: usize, now_ns: &impl Fn() -> u64) -> io::Result<()> {
        let barrel = &mut self.barrels[idx];
        // The window may hold more than one batch; what is left waits for the next round.
        let got = match self.incoming.receive(barrel.socket.as_fd(), Wait::Never) {
            Ok(got) => got,
            Err(error) if is_passing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let now = now_ns();
        for slot in 0..got {
            let reply = self.incoming.datagram(slot);
            let landed = match reply {
                [high, low, ..] => barrel.flight.land(u16::from_be_bytes([*high, *low])),
                _ => None,
            };
            let Some((question, sent_ns)) = landed else {
                self.tally.stray += 1;
                continue;
            };
            if !self.questions.is_answered_by(question as usize, reply) {
                self.tally.wrong += 1;
                continue;
            }
            self.tally.answered += 1;
            self.tally.reply_bytes += reply.len() as u64;
            self.tally.truncated += u64::from(reply[2] >> 1 & 1);
            self.tally.rcodes[usize::from(reply[3] & 15)] += 1;
            self.latencies.add(now - sent_ns);
        }
        Ok(())
    }

    /// Sums up.
    fn finish(self, elapsed: Duration) -> Tally {
        let quantile = |per_mille| Duration::from_nanos(self.latencies.quantile_ns(per_mille));
        Tally {
            elapsed,
            p50: quantile(500),
            p99: quantile(990),
            p999: quantile(999),
            max: Duration::from_nanos(self.latencies.max_ns()),
            ..self.tally
        }
    }
}

/// How many queries should have been sent by now.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates and times are positive and small")]
#[expect(clippy::cast_precision_loss, reason = "a nanosecond more or less is none")]
fn due(now_ns: u64, rate: f64) -> u64 {
    (now_ns as f64 / 1e9 * rate) as u64
}

/// Whether an error of a socket passes by itself: it is full or empty, or an ICMP message told of a port without server.
fn is_passing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS)
        || matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused | ErrorKind::Interrupted)
}

/// Opens one socket.
fn open(path: &Path) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(path.server), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(BUFFER_LEN)?;
    socket.set_send_buffer_size(BUFFER_LEN)?;
    if let Some(interface) = &path.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    let any = match path.server {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    socket.bind(&SocketAddr::new(path.local.unwrap_or(any), 0).into())?;
    socket.connect(&path.server.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Asks a server that handles each batch with `serve`, for as many queries as `rate` and 50 ms make.
    fn check_fire(sends: Sends, serve: impl Fn(&mut Batch, usize) -> usize + Sync) -> Tally {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let questions = Questions::read("a.test A\nb.test A\nc.test A\n".as_bytes(), Edns::Plain, usize::MAX).unwrap();
        let path = Path { server: server.local_addr().unwrap(), local: None, interface: None, sockets: 3 };
        let (batch, window) = (3, Some(9));
        let load = Load { duration: Duration::from_millis(50), window, rate: Some(20_000.0), batch, sends };
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut batch = Batch::new(SLOTS_MAX);
                while !done.load(Ordering::Relaxed) {
                    let Ok(got) = batch.receive(server.as_fd(), Wait::ForOne) else { continue };
                    let back = serve(&mut batch, got);
                    batch.send(server.as_fd(), back, Towards::Senders).unwrap_or(0);
                }
            });
            let tally = Gun::new(&path, &questions).unwrap().fire(&load).unwrap();
            done.store(true, Ordering::Relaxed);
            tally
        })
    }

    /// Sets the bit QR of all datagrams.
    fn reflect(batch: &mut Batch, got: usize) -> usize {
        (0..got).for_each(|slot| batch.datagram_mut(slot)[2] |= 0x80);
        got
    }

    #[test]
    fn every_query_is_answered_lost_or_wrong() {
        for sends in [Sends::Single, Sends::Merged] {
            let tally = check_fire(sends, reflect);
            assert!(tally.sent > 0);
            assert_eq!((tally.answered, tally.lost, tally.wrong), (tally.sent, 0, 0));
            assert_eq!(tally.rcodes[0], tally.sent);
        }
    }

    #[test]
    fn replies_to_other_questions_are_wrong() {
        let tally = check_fire(Sends::Single, |batch, got| {
            reflect(batch, got);
            (0..got).for_each(|slot| batch.datagram_mut(slot)[13] = b'x');
            got
        });
        assert_eq!((tally.answered, tally.wrong), (0, tally.sent));
    }

    #[test]
    fn without_replies_the_window_closes_and_queries_are_lost() {
        let tally = check_fire(Sends::Single, |_, _| 0);
        assert_eq!((tally.sent, tally.lost), (9, 9));
    }
}
