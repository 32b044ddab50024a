//! Buckets by hash, in memory that is fixed: when each becomes empty.
//!
//! A bucket is the time at which all that was poured in will have leaked out, so nothing has to be refreshed and an empty one
//! equals none at all. It knows no addresses, only hashes; the caller's secret keeps others from aiming collisions. A set
//! of [`WAYS`] buckets is one cache line; where all of them are in use the emptiest gives way. Invariants: nothing is
//! allocated after [`Buckets::new`]; pouring touches one line.

/// Buckets of a set: as many as a cache line holds with their tags.
const WAYS: usize = 6;
/// Bytes of a set.
const SET_LEN: usize = 64;

/// How fast buckets leak and how much they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leak {
    /// Nanoseconds in which one reply leaks out.
    cost_ns: u64,
    /// The level up to which another reply is poured in: a burst less one.
    slack_ns: u64,
}

impl Leak {
    /// So many in a second, and `burst` at once; both at least 1.
    pub(super) fn new(per_sec: u32, burst: u32) -> Leak {
        // Rounded down, so that who keeps to the rate exactly is within it: too much by one in tens of millions.
        let cost_ns = 1_000_000_000 / u64::from(per_sec.max(1));
        Leak { cost_ns, slack_ns: cost_ns * u64::from(burst.max(1) - 1) }
    }
}

/// Buckets whose hashes name the same set.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
struct Set {
    /// Bits of the hash that did not choose the set; the last two are never used.
    tags: [u16; 8],
    /// When each bucket is empty again, in nanoseconds; 0 was never used.
    empty_ns: [u64; WAYS],
}

/// A table of buckets.
#[derive(Debug)]
pub(super) struct Buckets {
    /// A power of two of them.
    sets: Vec<Set>,
    /// Bits of a hash that choose the set, below those of the tag.
    mask: usize,
}

impl Buckets {
    /// Buckets in `len` bytes, rounded down to a power of two sets.
    pub(super) fn new(len: usize) -> Buckets {
        let count = (len / SET_LEN).max(1);
        let count = 1 << count.ilog2();
        Buckets { sets: vec![Set::default(); count], mask: count - 1 }
    }

    /// Pours one in if it fits; says whether it did.
    pub(super) fn pour(&mut self, hash: u64, now_ns: u64, leak: Leak) -> bool {
        let empty_ns = self.bucket(hash, now_ns);
        let fits = empty_ns.saturating_sub(now_ns) <= leak.slack_ns;
        if fits {
            *empty_ns = (*empty_ns).max(now_ns) + leak.cost_ns;
        }
        fits
    }

    /// Pours one in, whether or not it fits; says whether it did. The level stays at `cap` bursts at most, so that who was
    /// over the limit is not over it for ever.
    #[inline]
    pub(super) fn meter(&mut self, hash: u64, now_ns: u64, leak: Leak, cap: u64) -> bool {
        let empty_ns = self.bucket(hash, now_ns);
        let level_ns = empty_ns.saturating_sub(now_ns);
        let cap_ns = (leak.slack_ns + leak.cost_ns) * cap;
        *empty_ns = now_ns + (level_ns + leak.cost_ns).min(cap_ns);
        level_ns <= leak.slack_ns
    }

    /// The bucket of a hash; one that gave way is empty. Each hash has a place of its own in its set, where it nearly always
    /// is, so that one comparison finds it.
    #[inline]
    fn bucket(&mut self, hash: u64, now_ns: u64) -> &mut u64 {
        let [_, _, _, _, own, _, low, high] = hash.to_le_bytes();
        let tag = u16::from_le_bytes([low, high]) | 1;
        let own = (usize::from(own) * WAYS) >> 8;
        let idx = usize::try_from(hash & u64::from(u32::MAX)).unwrap_or(0) & self.mask;
        let set = &mut self.sets[idx];
        if set.tags[own] != tag {
            settle(set, tag, own, now_ns);
        }
        &mut set.empty_ns[own]
    }
}

/// Brings the bucket of `tag` to its own place. Where that is in use, the other one goes where the bucket was, or in place
/// of the emptiest.
#[cold]
fn settle(set: &mut Set, tag: u16, own: usize, now_ns: u64) {
    let known = set.tags.iter().position(|known| *known == tag);
    let emptiest = (0..WAYS).min_by_key(|way| set.empty_ns[*way]).unwrap_or(own);
    let way = known.unwrap_or(emptiest);
    if known.is_none() {
        set.tags[way] = tag;
        set.empty_ns[way] = now_ns;
    }
    set.tags.swap(way, own);
    set.empty_ns.swap(way, own);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A second.
    const SEC_NS: u64 = 1_000_000_000;

    #[test]
    fn a_burst_passes_at_once_and_then_so_many_in_a_second() {
        let mut buckets = Buckets::new(1 << 16);
        let leak = Leak::new(30, 60);
        let passed = |buckets: &mut Buckets, now_ns| (0..1000).filter(|_| buckets.pour(7, now_ns, leak)).count();
        assert_eq!(passed(&mut buckets, SEC_NS), 60);
        assert_eq!(passed(&mut buckets, SEC_NS), 0);
        assert_eq!(passed(&mut buckets, 2 * SEC_NS), 30);
        assert_eq!(passed(&mut buckets, 100 * SEC_NS), 60, "no more than a burst is saved up");
    }

    #[test]
    fn only_a_set_that_is_full_of_others_forgets() {
        let mut buckets = Buckets::new(SET_LEN);
        let leak = Leak::new(1, 1);
        let key = |number: u64| number << 49;
        assert!(buckets.pour(key(1), SEC_NS, leak));
        // Empty buckets give way first, then those that will be empty soonest.
        for other in 2..7 {
            assert!(buckets.pour(key(other), SEC_NS + other, leak));
            assert!(!buckets.pour(key(1), SEC_NS + other, leak), "{other}");
        }
        assert!(buckets.pour(key(7), SEC_NS + 7, leak));
        assert!(!buckets.pour(key(2), SEC_NS + 7, leak), "the second is kept");
        assert!(buckets.pour(key(1), SEC_NS + 8, leak), "the first gave way");
    }

    proptest! {
        #[test]
        fn no_bucket_passes_more_than_rate_by_time_and_a_burst(
            per_sec in 1_u32..5000,
            burst in 1_u32..500,
            steps in prop::collection::vec((0_u64..SEC_NS / 20, 1_usize..200), 1..60),
        ) {
            let mut buckets = Buckets::new(1 << 12);
            let leak = Leak::new(per_sec, burst);
            let (mut now_ns, mut passed) = (SEC_NS, 0_u64);
            for (step_ns, count) in steps {
                now_ns += step_ns;
                passed += (0..count).filter(|_| buckets.pour(99, now_ns, leak)).count() as u64;
                let most = u128::from(per_sec) * u128::from(now_ns - SEC_NS) / u128::from(SEC_NS) + u128::from(burst);
                prop_assert!(u128::from(passed) <= most, "{passed} of {most}");
            }
        }

        #[test]
        fn who_keeps_to_the_rate_always_passes(
            per_sec in 1_u32..5000,
            burst in 2_u32..100,
            waits in prop::collection::vec(0_u64..1000, 1..300),
        ) {
            let mut buckets = Buckets::new(1 << 12);
            let leak = Leak::new(per_sec, burst);
            let mut now_ns = SEC_NS;
            for wait in waits {
                now_ns += leak.cost_ns + wait;
                prop_assert!(buckets.meter(5, now_ns, leak, 2));
            }
        }
    }
}
