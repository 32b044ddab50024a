//! Asks a DNS server over UDP by live frames: the kernel makes the queries and counts the replies, in an XDP program.
//!
//! No query and no reply passes a socket, so that one core can ask more than a server answers on another, and the server's
//! core bears nothing of the generator. It does not look into replies but for their rcode: whether they are right is for
//! `gun` to say. Frames leave by one end of a veth pair, or a card whose driver sends redirected frames; on veth the other
//! end must use NAPI, which it does with an XDP program of its own, or with `ethtool -K IFACE gro on`. IPv4 only. Invariant:
//! frames to other ports than its own pass to the kernel, so other clients can use the same interface.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

mod assembly;
mod program;

use dataplane::engine::bpf::{self, Link, Map, MapKind, Mode};
use rustix::net::{AddressFamily, SocketType, netdevice, socket};

use program::{ALLOWANCE_LEN, COUNTS_LEN, LABEL_LEN, PAYLOAD_LEN_MAX, PAYLOAD_OFF, QUESTION_LEN, Shape};

/// Frames that the program runs over before they are sent: a quarter of what a queue of veth holds, and as many as the
/// other end takes at once.
const BATCH_LEN: u32 = 64;
/// The least number of frames that a system call is made for, some tens of microseconds.
const RUN_LEN_MIN: u64 = 256;
/// The greatest: between two system calls the clock is read.
const RUN_LEN_MAX: u64 = 1 << 14;
/// How long nothing may come back before queries in flight are given up.
const TIMEOUT: Duration = Duration::from_millis(20);
/// How long the last replies may take.
const LAST_REPLIES: Duration = Duration::from_millis(100);
/// An allowance that is never used up.
const UNBOUNDED: u64 = i64::MAX as u64;

/// Where queries come from and go to.
#[derive(Debug, Clone)]
pub struct Route {
    /// The interface, in the network namespace of the calling thread.
    pub interface: String,
    /// The link address that queries come from.
    pub from: [u8; 6],
    /// The link address of the server.
    pub to: [u8; 6],
    /// An address that queries come from.
    pub source: Ipv4Addr,
    /// How many of its bits all sources have; the others are random.
    pub source_prefix_len: u8,
    /// The server.
    pub server: SocketAddrV4,
}

/// What becomes of the names that are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// They are asked as they are.
    Kept,
    /// The first label, which must have eight octets, is random in each query.
    Random,
}

/// How many queries are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// As many as are answered, with so many in flight.
    Window(u64),
    /// So many a second, whether replies come or not.
    Rate(f64),
}

/// What happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Queries sent; a full queue on the way may have lost some.
    pub sent: u64,
    /// Replies.
    pub answered: u64,
    /// Replies by rcode.
    pub rcodes: [u64; 16],
    /// How long queries were sent.
    pub elapsed: Duration,
}

impl Tally {
    /// What was counted after `before`, in `elapsed`.
    fn since(&self, before: &Tally, elapsed: Duration) -> Tally {
        Tally {
            sent: self.sent - before.sent,
            answered: self.answered - before.answered,
            rcodes: std::array::from_fn(|rcode| self.rcodes[rcode] - before.rcodes[rcode]),
            elapsed,
        }
    }

    /// Replies a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub fn per_sec(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Entries of `V` octets by their positions.
type Array<const V: usize> = Map<4, V>;

/// The only position of an array with one entry.
const ONLY: [u8; 4] = [0; 4];

/// A program on an interface, ready to ask.
#[derive(Debug)]
pub struct Live {
    /// The program.
    program: OwnedFd,
    /// What has it on the interface.
    _link: Link,
    /// What was sent and answered.
    counts: Array<COUNTS_LEN>,
    /// How many more may be sent than were answered.
    allowance: Array<ALLOWANCE_LEN>,
    /// What is asked; the program has its number.
    _questions: Array<QUESTION_LEN>,
    /// What frames begin as.
    frame: Vec<u8>,
}

impl Live {
    /// Puts the program on the interface. `questions` are messages; their ids are overwritten.
    ///
    /// # Errors
    /// `InvalidInput` if there is no question, or one is too long or has no label to be random; `Unsupported` on hosts of
    /// big-endian byte order; EPERM without CAP_BPF and CAP_NET_ADMIN; EBUSY if the interface has a program.
    pub fn open<'q>(
        route: &Route,
        questions: impl ExactSizeIterator<Item = &'q [u8]>,
        labels: Labels,
    ) -> io::Result<Live> {
        if cfg!(target_endian = "big") {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the program is assembled for little-endian hosts"));
        }
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what);
        let count = u32::try_from(questions.len()).map_err(io::Error::other)?;
        let question_count = i32::try_from(count).ok().filter(|count| *count > 0);
        let question_count = question_count.ok_or_else(|| invalid("there are no questions, or too many"))?;
        let entries = Array::create(MapKind::Array, count)?;
        for (idx, message) in (0_u32..).zip(questions) {
            if message.len() > PAYLOAD_LEN_MAX {
                return Err(invalid(&format!("a query has more than {PAYLOAD_LEN_MAX} octets")));
            }
            if labels == Labels::Random && message.get(12) != Some(&LABEL_LEN) {
                return Err(invalid("a label that is to be random has eight octets"));
            }
            let mut entry = [0; QUESTION_LEN];
            entry[..message.len()].copy_from_slice(message);
            let len = u32::try_from(message.len()).map_err(io::Error::other)?;
            entry[PAYLOAD_LEN_MAX..PAYLOAD_LEN_MAX + 4].copy_from_slice(&len.to_ne_bytes());
            entries.put(idx.to_ne_bytes(), entry)?;
        }
        let (counts, allowance) = (Array::create(MapKind::Array, 1)?, Array::create(MapKind::Array, 1)?);
        let (frame, ifindex) = (template(route), ifindex(&route.interface)?);
        let source_mask = u32::MAX.checked_shr(route.source_prefix_len.into()).unwrap_or(0);
        let shape = Shape {
            counts: counts.number(),
            allowance: allowance.number(),
            questions: entries.number(),
            question_count,
            has_random_label: labels == Labels::Random,
            source: route.source.to_bits() & !source_mask,
            source_mask,
            header_sum: header_sum(&frame),
            ifindex: i32::try_from(ifindex).map_err(io::Error::other)?,
        };
        let program = bpf::load(&program::assemble(&shape)?, "petrel_live")?;
        let link = Link::create(program.as_fd(), ifindex, Mode::Native)?;
        Ok(Live { program, _link: link, counts, allowance, _questions: entries, frame })
    }

    /// Sends for the given time, waits for the last replies, and tells what happened.
    ///
    /// # Errors
    /// Those of bpf(2); EINVAL before Linux 5.18.
    pub fn fire(&self, pace: Pace, duration: Duration) -> io::Result<Tally> {
        let before = self.tally()?;
        let begun = Instant::now();
        match pace {
            Pace::Rate(per_sec) => self.keep_rate(per_sec, &before, begun, duration)?,
            Pace::Window(window) => self.keep_window(window, &before, begun, duration)?,
        }
        let elapsed = begun.elapsed();
        let mut last = self.tally()?;
        if let Pace::Window(_) = pace {
            // What came in time counts, so that a rate is one of this time.
            return Ok(last.since(&before, elapsed));
        }
        let mut since = Instant::now();
        while since.elapsed() < LAST_REPLIES {
            std::thread::yield_now();
            let now = self.tally()?;
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        Ok(last.since(&before, elapsed))
    }

    /// Sends so many queries a second.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates and times are positive and small"
    )]
    fn keep_rate(&self, per_sec: f64, before: &Tally, begun: Instant, duration: Duration) -> io::Result<()> {
        self.allow(UNBOUNDED)?;
        let mut sent = 0;
        while begun.elapsed() < duration {
            let due = ((begun.elapsed().as_secs_f64() * per_sec) as u64).saturating_sub(sent);
            if due >= RUN_LEN_MIN {
                self.run(due.min(RUN_LEN_MAX))?;
                sent = self.tally()?.sent - before.sent;
            } else {
                std::hint::spin_loop();
            }
        }
        Ok(())
    }

    /// Keeps so many queries in flight.
    fn keep_window(&self, window: u64, before: &Tally, begun: Instant, duration: Duration) -> io::Result<()> {
        let mut last = *before;
        let mut moved = begun;
        // Queries that were given up stay in the difference of the two counts.
        let mut lost = before.sent.saturating_sub(before.answered);
        self.allow(window + lost)?;
        while begun.elapsed() < duration {
            self.run(RUN_LEN_MAX)?;
            let now = self.tally()?;
            if now != last {
                (last, moved) = (now, Instant::now());
            } else if moved.elapsed() > TIMEOUT {
                lost = now.sent.saturating_sub(now.answered);
                self.allow(window + lost)?;
                moved = Instant::now();
            }
        }
        Ok(())
    }

    /// Runs the program over so many frames.
    fn run(&self, count: u64) -> io::Result<()> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        match bpf::run_live(self.program.as_fd(), &self.frame, count, BATCH_LEN) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            done => done,
        }
    }

    /// Sets by how much the queries may outnumber the replies.
    fn allow(&self, allowance: u64) -> io::Result<()> {
        self.allowance.put(ONLY, allowance.to_ne_bytes())
    }

    /// What was counted since the program was loaded.
    fn tally(&self) -> io::Result<Tally> {
        let counts = self.counts.read(ONLY)?;
        let mut numbers = counts.as_chunks::<8>().0.iter().map(|bytes| u64::from_ne_bytes(*bytes));
        let mut next = || numbers.next().unwrap_or(0);
        Ok(Tally { sent: next(), answered: next(), rcodes: std::array::from_fn(|_| next()), elapsed: Duration::ZERO })
    }
}

/// The number of an interface in the network namespace of this thread.
fn ifindex(name: &str) -> io::Result<u32> {
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    Ok(netdevice::name_to_index(any, name)?)
}

/// A frame as long as any, without what the program writes.
fn template(route: &Route) -> Vec<u8> {
    let mut frame = [&route.to[..], &route.from[..], &[8, 0]].concat();
    // Version and header length, service, length, id, DF, 64 hops, UDP, checksum, source.
    frame.extend([0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 0, 0, 0, 0]);
    frame.extend(route.server.ip().octets());
    frame.extend([0, 0]);
    frame.extend(route.server.port().to_be_bytes());
    frame.resize(PAYLOAD_OFF + PAYLOAD_LEN_MAX, 0);
    frame
}

/// The sum of the halves of the IPv4 header in a frame.
fn header_sum(frame: &[u8]) -> i32 {
    frame[14..34].as_chunks::<2>().0.iter().map(|half| i32::from(u16::from_be_bytes(*half))).sum()
}
