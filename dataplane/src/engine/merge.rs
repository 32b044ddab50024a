//! Which replies of a turn may leave as one message: those of equal length to the same peer.
//!
//! The kernel cuts such a message into datagrams late (`UDP_SEGMENT`, udp(7)), so that most of what a datagram costs is
//! paid once: about half for clients that ask many questions from one port, as forwarders and load generators do.
//! Resolvers ask from ports at random; finding out costs them a few nanoseconds a reply.

use super::lanes::LANE_COUNT;

/// Most replies in one message: what every kernel with `UDP_SEGMENT` takes.
const GROUP_LEN_MAX: u8 = 64;
/// Most bytes in one message, below what fits an IP packet.
const GROUP_BYTES_MAX: usize = 60_000;
/// Entries of the table that groups are found by, a power of two.
const TABLE_LEN: usize = 256;
/// Entries that are looked at before a reply goes alone.
const PROBES_MAX: usize = 4;
/// No lane, no group.
const NONE: u8 = u8::MAX;

// Lanes and groups are numbered in eight bits.
const _: () = assert!(LANE_COUNT < NONE as usize);

/// Replies that leave together.
#[derive(Clone, Copy)]
struct Group {
    /// The lane of its first reply.
    first: u8,
    /// The lane of its last one.
    last: u8,
    /// How many.
    len: u8,
}

/// The groups of a turn.
pub(super) struct Groups {
    /// Groups by hash.
    table: [u8; TABLE_LEN],
    /// In the order of their first replies.
    groups: Vec<Group>,
    /// The lane of the next reply of the same group.
    next: [u8; LANE_COUNT],
}

impl Groups {
    /// No groups.
    pub(super) fn new() -> Groups {
        Groups { table: [NONE; TABLE_LEN], groups: Vec::with_capacity(LANE_COUNT), next: [NONE; LANE_COUNT] }
    }

    /// Forgets all groups.
    pub(super) fn clear(&mut self) {
        self.table.fill(NONE);
        self.groups.clear();
    }

    /// Adds the reply in `lane`, `reply_len` bytes long, whose peer and length hash to `hash`; `same` tells whether the
    /// reply in another lane has the same peer and length.
    pub(super) fn add(&mut self, lane: usize, reply_len: usize, hash: u32, same: impl Fn(usize) -> bool) {
        let Ok(lane) = u8::try_from(lane) else { return };
        let mut free = None;
        for probe in 0..PROBES_MAX {
            let entry = (hash as usize + probe) % TABLE_LEN;
            let Some(group) = self.groups.get_mut(usize::from(self.table[entry])) else {
                free = Some(entry);
                break;
            };
            let is_full = group.len == GROUP_LEN_MAX || (usize::from(group.len) + 1) * reply_len > GROUP_BYTES_MAX;
            if same(usize::from(group.first)) {
                if is_full {
                    // The next one takes its place.
                    free = Some(entry);
                    break;
                }
                self.next[usize::from(group.last)] = lane;
                self.next[usize::from(lane)] = NONE;
                group.last = lane;
                group.len += 1;
                return;
            }
        }
        self.next[usize::from(lane)] = NONE;
        if let (Some(entry), Ok(number)) = (free, u8::try_from(self.groups.len())) {
            self.table[entry] = number;
        }
        self.groups.push(Group { first: lane, last: lane, len: 1 });
    }

    /// The lanes of each group.
    pub(super) fn iter(&self) -> impl Iterator<Item = impl Iterator<Item = usize>> {
        self.groups.iter().map(move |group| {
            let mut at = group.first;
            std::iter::from_fn(move || {
                let lane = usize::from(at);
                at = *self.next.get(lane)?;
                Some(lane)
            })
        })
    }
}

/// A hash of the peer's address and the reply's length.
pub(super) fn hash(name: &[u8], reply_len: usize) -> u32 {
    // Whoever aims collisions sends his replies one by one, as they would have been anyway.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sum = reply_len as u64;
    for chunk in name.chunks_exact(4) {
        let word = chunk.first_chunk::<4>().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
        sum = (sum ^ u64::from(word)).wrapping_mul(FACTOR).rotate_left(29);
    }
    u32::try_from(sum >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The groups of replies given as (peer, length).
    fn groups(replies: &[(u8, usize)]) -> Vec<Vec<usize>> {
        let mut groups = Groups::new();
        for _ in 0..2 {
            // What an earlier turn left behind does not matter.
            groups.clear();
            for (lane, &(peer, len)) in replies.iter().enumerate() {
                groups.add(lane, len, hash(&[2, 0, peer, peer], len), |other| replies[other] == (peer, len));
            }
        }
        groups.iter().map(Iterator::collect).collect()
    }

    #[test]
    fn replies_of_one_peer_and_length_go_together() {
        assert_eq!(groups(&[]), Vec::<Vec<usize>>::new());
        assert_eq!(groups(&[(1, 50)]), [[0]]);
        assert_eq!(groups(&[(1, 50), (2, 50), (1, 50), (1, 60), (2, 50), (1, 60)]), [[0, 2], [1, 4], [3, 5]]);
    }

    #[test]
    fn a_group_ends_where_the_kernel_takes_no_more() {
        let many = groups(&[(1, 50); 150]);
        assert_eq!(many.iter().map(Vec::len).collect::<Vec<_>>(), [64, 64, 22]);
        assert_eq!(many.concat(), (0..150).collect::<Vec<_>>());
        let long = groups(&[(1, 1_232); 100]);
        assert_eq!(long.iter().map(Vec::len).collect::<Vec<_>>(), [48, 48, 4]);
    }

    #[test]
    fn every_reply_is_in_one_group_whatever_the_hashes_are() {
        let replies: Vec<_> = (0..LANE_COUNT).map(|lane| (u8::try_from(lane).unwrap(), 50)).collect();
        let mut seen = groups(&replies).concat();
        seen.sort_unstable();
        assert_eq!(seen, (0..LANE_COUNT).collect::<Vec<_>>());
        let mut colliding = Groups::new();
        colliding.clear();
        (0..LANE_COUNT).for_each(|lane| colliding.add(lane, 50, 7, |_| false));
        assert_eq!(colliding.iter().count(), LANE_COUNT);
    }
}
