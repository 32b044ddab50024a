//! Packets that made the answering code panic, kept for whoever has to find out why.
//!
//! It answers nothing and touches no packet that went well: it is entered once per panic, which is a bug of ours.
//! Invariants: what a client repeats costs a comparison and no log line; memory is bounded by [`ENTRIES_MAX`] packets of
//! [`PACKET_LEN_MAX`] bytes; the flood from one bug does not push out the witnesses of another.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use snapshot::handover::frames::Quarantined;

use crate::packet::Transport;

/// Packets kept.
pub(crate) const ENTRIES_MAX: usize = 16;
/// Bytes kept of each: any question with its options; longer messages are cut.
pub(crate) const PACKET_LEN_MAX: usize = 512;
/// Packets kept of one place in the code, so that room is left for those of others.
const SAME_PLACE_MAX: usize = 4;
/// Characters kept of what a panic says.
const MESSAGE_LEN_MAX: usize = 160;
/// Shortest time between two log lines.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// Bytes of a message id: two packets that differ in it alone are the same to us.
const ID_LEN: usize = 2;

/// Why a batch was not answered to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cause {
    /// Where the panic came up, as `file:line:column`; empty if nobody told.
    place: String,
    /// What it said, cut.
    message: String,
}

thread_local! {
    /// Whether this thread is inside [`guard`].
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    /// Where the latest panic inside [`guard`] came up.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Has panics inside [`guard`] noted instead of printed; all others are treated as before. For the start of a process.
pub(crate) fn watch_panics() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |info| if GUARDED.get() { note(info) } else { others(info) }));
}

/// Remembers where a panic came up.
fn note(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    PLACE.with_borrow_mut(|known| *known = place);
}

/// Runs `work` and outlives its panic.
///
/// # Errors
/// What the panic said.
pub(crate) fn guard(work: impl FnOnce()) -> Result<(), Cause> {
    GUARDED.set(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(false);
    done.map_err(|payload| Cause { place: PLACE.take(), message: message(payload.as_ref()) })
}

/// The words of a panic.
fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words");
    text.chars().take(MESSAGE_LEN_MAX).collect()
}

/// One packet and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// How it came.
    transport: Transport,
    /// Its first bytes.
    bytes: Vec<u8>,
    /// Its whole length.
    len: usize,
    /// Why it is here.
    cause: Cause,
    /// When it came first, in seconds since 1970.
    first_unix_secs: u64,
    /// When it came last.
    last_unix_secs: u64,
    /// How often.
    count: u64,
}

impl Entry {
    /// Whether this is the packet that is given, whatever its id.
    fn is(&self, bytes: &[u8], len: usize) -> bool {
        self.len == len && self.bytes.get(ID_LEN..) == bytes.get(ID_LEN..)
    }
}

/// The entries, and when the log was last told.
#[derive(Debug, Default)]
struct Ring {
    /// Oldest first.
    entries: VecDeque<Entry>,
    /// How often an entry was added, since the start.
    changes: u64,
    /// When the last log line was written.
    logged: Option<Instant>,
    /// Changes since then.
    unlogged: u64,
}

impl Ring {
    /// Takes a packet in. Returns how many changes a log line has to speak of, if one is due.
    fn put(&mut self, entry: Entry, now: Instant) -> Option<u64> {
        if let Some(known) = self.entries.iter_mut().find(|known| known.is(&entry.bytes, entry.len)) {
            known.count += 1;
            known.last_unix_secs = entry.last_unix_secs;
            known.cause = entry.cause;
            return None;
        }
        let mut same = (0..self.entries.len()).filter(|&idx| self.entries[idx].cause.place == entry.cause.place);
        let oldest_of_many = same.next().filter(|_| same.count() + 1 >= SAME_PLACE_MAX);
        if let Some(idx) = oldest_of_many.or((self.entries.len() >= ENTRIES_MAX).then_some(0)) {
            self.entries.remove(idx);
        }
        self.entries.push_back(entry);
        self.changes += 1;
        self.unlogged += 1;
        if self.logged.is_some_and(|logged| now.duration_since(logged) < LOG_INTERVAL) {
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

/// The quarantine of a process.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    /// Locked after a panic, and when somebody asks.
    ring: Mutex<Ring>,
}

impl Quarantine {
    /// Takes in a packet of `len` bytes; `query` is what is known of it, from its start.
    pub(crate) fn put(&self, transport: Transport, query: &[u8], len: usize, cause: Cause) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let bytes = query[..query.len().min(PACKET_LEN_MAX)].to_vec();
        let Cause { place, message } = cause.clone();
        let entry = Entry { transport, bytes, len, cause, first_unix_secs: now, last_unix_secs: now, count: 1 };
        let due = self.ring.lock().unwrap_or_else(PoisonError::into_inner).put(entry, Instant::now());
        if let Some(changes) = due {
            // The packet itself is in the status: a log has readers who must not see what clients ask.
            tracing::error!(
                packets = changes,
                "packets made the answering code panic at {place} ({}); they got no reply, `dnsctl status` shows them",
                message.escape_debug()
            );
        }
    }

    /// How often a packet was taken in that was not there yet.
    pub(crate) fn changes(&self) -> u64 {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).changes
    }

    /// What is kept, oldest first.
    pub(crate) fn list(&self) -> Vec<Quarantined> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.entries.iter().map(shown).collect()
    }
}

/// An entry as the control socket shows it.
fn shown(entry: &Entry) -> Quarantined {
    let mut packet = String::with_capacity(2 * entry.bytes.len());
    for octet in &entry.bytes {
        write!(packet, "{octet:02x}").expect("writing to a String cannot fail");
    }
    Quarantined {
        transport: entry.transport.label().to_owned(),
        packet,
        packet_len: entry.len as u64,
        place: entry.cause.place.clone(),
        message: entry.cause.message.clone(),
        first_unix_secs: entry.first_unix_secs,
        last_unix_secs: entry.last_unix_secs,
        count: entry.count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry for these bytes from a panic at `place`.
    fn entry(bytes: &[u8], place: &str) -> Entry {
        let cause = Cause { place: place.into(), message: "why".into() };
        let bytes = bytes.to_vec();
        let len = bytes.len();
        Entry { transport: Transport::Udp, bytes, len, cause, first_unix_secs: 1, last_unix_secs: 1, count: 1 }
    }

    /// The third byte of each entry with its count.
    fn content(ring: &Ring) -> Vec<(u8, u64)> {
        ring.entries.iter().map(|entry| (entry.bytes[ID_LEN], entry.count)).collect()
    }

    #[test]
    fn repeated_packets_are_counted_and_not_told_again() {
        let (mut ring, now) = (Ring::default(), Instant::now());
        assert_eq!(ring.put(entry(b"aax", "p"), now), Some(1));
        for id in 0..1000_u16 {
            let [high, low] = id.to_be_bytes();
            assert_eq!(ring.put(entry(&[high, low, b'x'], "p"), now + LOG_INTERVAL * id.into()), None);
        }
        assert_eq!(content(&ring), [(b'x', 1001)]);
        assert_eq!(ring.changes, 1);
    }

    #[test]
    fn lines_are_rare_and_tell_of_all_that_came_between() {
        let (mut ring, now) = (Ring::default(), Instant::now());
        let lines: Vec<_> = (0..=200_u8).filter_map(|n| ring.put(entry(&[0, 0, n], "p"), now)).collect();
        assert_eq!(lines, [1]);
        assert_eq!(ring.put(entry(b"aax!", "p"), now + LOG_INTERVAL), Some(201));
    }

    #[test]
    fn one_bug_leaves_room_for_others_and_all_of_them_have_a_bound() {
        let (mut ring, now) = (Ring::default(), Instant::now());
        ring.put(entry(&[0, 0, 255], "other"), now);
        for n in 0..100 {
            ring.put(entry(&[0, 0, n], "p"), now);
        }
        assert_eq!(content(&ring), [(255, 1), (96, 1), (97, 1), (98, 1), (99, 1)]);
        for n in 0..100 {
            ring.put(entry(&[0, 0, n, 0], &n.to_string()), now);
        }
        assert_eq!(ring.entries.len(), ENTRIES_MAX);
        assert_eq!(content(&ring)[0], (84, 1), "the oldest go first");
    }

    #[test]
    fn a_guarded_panic_is_noted_with_its_place_and_a_bounded_message() {
        watch_panics();
        assert_eq!(guard(|| ()), Ok(()));
        let cause = guard(|| panic!("{}", "long ".repeat(1000))).unwrap_err();
        assert_eq!(cause.message.chars().count(), MESSAGE_LEN_MAX);
        assert!(cause.place.starts_with(file!()), "{cause:?}");
        let cause = guard(|| std::panic::panic_any(7)).unwrap_err();
        assert_eq!(cause.message, "no words");
    }

    #[test]
    fn long_packets_are_cut_and_shown_in_hexadecimal() {
        let quarantine = Quarantine::default();
        quarantine.put(Transport::Tcp, &[0xab; 600], 600, Cause::default());
        let [shown] = &quarantine.list()[..] else { panic!("one packet") };
        assert_eq!((shown.packet.len(), shown.packet_len), (2 * PACKET_LEN_MAX, 600));
        assert_eq!((shown.transport.as_str(), shown.count, &shown.packet[..4]), ("tcp", 1, "abab"));
        assert!(shown.first_unix_secs > 0);
        assert_eq!(quarantine.changes(), 1);
    }
}
