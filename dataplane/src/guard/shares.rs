//! Who goes without when there is more than a worker can answer: queries about the zones that take more than their share.
//!
//! Overload is when datagrams were lost before the worker, and batches come full; before that it counts nothing and costs
//! nothing. Then it counts per zone, whatever the names below are, in a decaying sketch of fixed size, and a zone over the
//! bound loses so many of its queries that it stays at the bound (approximate fair dropping). The bound begins low and
//! moves: down while batches stay full, up while they do not. Where that does not help, because receiving alone is too much,
//! it is given up for a while; never behind the rings of AF_XDP, where receiving is a small part of answering, so that to
//! answer all again would lose more. A zone that has the server to itself loses nothing after the first [`GRACE_NS`], because
//! nobody would gain. What a receive queue loses before is not in its hands. Invariant: a zone below [`SHARE_MIN`] of
//! [`WINDOW`] queries never loses any.

use crate::answer::Gate;
use snapshot::image::ZoneId;

/// Queries after which all counts are halved.
const WINDOW: u32 = 1024;
/// The least bound, in queries of a window.
const SHARE_MIN: u32 = WINDOW / 64;
/// Counters of a row.
const WIDTH: usize = 1024;
/// Batches after which the bound moves.
const STEP_TURNS: u32 = 4;
/// Steps at the least bound, all of full batches, after which dropping is seen to be of no use: long enough to work off a
/// queue that had filled up.
const FUTILE_STEPS: u32 = 256;
/// How long it is given up for then.
const PAUSE_NS: u64 = 2_000_000_000;
/// How long overload is believed in after the last sign of it.
const HOLD_NS: u64 = 1_000_000_000;
/// How long a zone counts as asked for after its last query.
const COMPANY_NS: u64 = 1_000_000_000;
/// How long it is taken for granted, when overload begins, that other zones are asked for: a query about one may still lie
/// in the queue that is too long.
const GRACE_NS: u64 = 5_000_000;
/// What stands for queries that fall into no zone.
const NOWHERE: u32 = u32::MAX;

/// What receiving costs beside answering, where datagrams were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receiving {
    /// So little that dropping is always of use: a tenth of it by AF_XDP.
    Cheap,
    /// So much that dropping may be of none: more than half of it by sockets of the kernel.
    Dear,
}

/// Counts of a worker's queries per zone.
pub(super) struct Shares {
    /// Two rows of counters; a zone's count is the lesser of its two, so that a neighbour in one row does not matter.
    rows: [Box<[u32; WIDTH]>; 2],
    /// What zones are spread with; a secret.
    seed: u64,
    /// Queries in this window.
    seen: u32,
    /// How many queries of a window a zone may have.
    bound: u32,
    /// Batches since the bound moved.
    turns: u32,
    /// Full ones among them.
    full: u32,
    /// Steps in vain.
    futile: u32,
    /// Whether datagrams were lost since the last batch.
    has_lost: bool,
    /// Where they were lost last.
    receiving: Receiving,
    /// Until when there is overload.
    until_ns: u64,
    /// From when on overload is believed in again.
    pause_ns: u64,
    /// The time of this batch.
    now_ns: u64,
    /// Two zones that were asked for, and when last.
    company: [(u32, u64); 2],
    /// What decides who goes without.
    dice: u64,
}

impl Shares {
    /// Counts of nothing.
    pub(super) fn new(seed: u64) -> Shares {
        Shares {
            rows: [Box::new([0; WIDTH]), Box::new([0; WIDTH])],
            seed,
            seen: 0,
            bound: WINDOW,
            turns: 0,
            full: 0,
            futile: 0,
            has_lost: false,
            receiving: Receiving::Dear,
            until_ns: 0,
            pause_ns: 0,
            now_ns: 0,
            company: [(NOWHERE, 0); 2],
            dice: seed | 1,
        }
    }

    /// Takes note that datagrams were lost before this worker.
    pub(super) fn lose(&mut self, receiving: Receiving) {
        self.has_lost = true;
        self.receiving = receiving;
    }

    /// Takes note of a batch; says whether there is overload.
    #[inline]
    pub(super) fn turn(&mut self, now_ns: u64, is_full: bool) -> bool {
        (self.has_lost || now_ns < self.until_ns) && self.busy_turn(now_ns, is_full)
    }

    /// Takes note of a batch while there is or may be overload.
    fn busy_turn(&mut self, now_ns: u64, is_full: bool) -> bool {
        self.now_ns = now_ns;
        let has_lost = std::mem::take(&mut self.has_lost);
        let begins = has_lost && is_full && now_ns >= self.pause_ns;
        if now_ns >= self.until_ns {
            if begins {
                self.begin();
            }
            return begins;
        }
        if has_lost {
            // Too much at once: what is lost now is anybody's. From the bottom the way up is short.
            self.bound = SHARE_MIN;
        }
        self.turns += 1;
        self.full += u32::from(is_full);
        if self.turns == STEP_TURNS {
            self.step();
        }
        now_ns < self.until_ns
    }

    /// Overload begins.
    fn begin(&mut self) {
        self.until_ns = self.now_ns.saturating_add(HOLD_NS);
        self.rows.iter_mut().for_each(|row| row.fill(0));
        (self.seen, self.turns, self.full, self.futile) = (0, 0, 0, 0);
        self.bound = SHARE_MIN;
        let presumed_ns = self.now_ns.saturating_sub(COMPANY_NS - GRACE_NS);
        for (_, asked_ns) in &mut self.company {
            *asked_ns = presumed_ns.max(*asked_ns);
        }
    }

    /// Moves the bound: down if all batches were full, up if half of them were not.
    fn step(&mut self) {
        let full = std::mem::take(&mut self.full);
        self.turns = 0;
        if full == STEP_TURNS {
            self.until_ns = self.now_ns.saturating_add(HOLD_NS);
            self.futile = if self.bound == SHARE_MIN { self.futile.saturating_add(1) } else { 0 };
            self.bound = (self.bound - self.bound / 8).max(SHARE_MIN);
            if self.futile >= FUTILE_STEPS && self.receiving == Receiving::Dear {
                self.until_ns = self.now_ns;
                self.pause_ns = self.now_ns.saturating_add(PAUSE_NS);
            }
        } else {
            self.futile = 0;
            if full <= STEP_TURNS / 2 {
                self.bound = (self.bound + self.bound / 16).min(WINDOW);
            }
        }
    }

    /// Counts a query; returns how many the zone had, in a window that decays.
    fn count(&mut self, zone: u32) -> u32 {
        let spread = (u64::from(zone) ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut least = u32::MAX;
        for (row, shift) in self.rows.iter_mut().zip([54, 44]) {
            let idx = usize::try_from(spread >> shift).unwrap_or(0) % WIDTH;
            row[idx] += 1;
            least = least.min(row[idx]);
        }
        self.seen += 1;
        if self.seen == WINDOW {
            self.seen = 0;
            self.rows.iter_mut().flat_map(|row| row.iter_mut()).for_each(|count| *count /= 2);
        }
        least
    }

    /// Whether somebody asks for another zone too. The first of the two is the zone that was asked for last.
    fn has_company(&mut self, zone: u32) -> bool {
        if self.company[0].0 != zone {
            self.company = [(zone, self.now_ns), self.company[0]];
        }
        self.company[0].1 = self.now_ns;
        self.now_ns.saturating_sub(self.company[1].1) < COMPANY_NS
    }

    /// Whether a query about `zone` is to be answered.
    fn admits_zone(&mut self, zone: u32) -> bool {
        let count = self.count(zone);
        // A zone at the bound has `bound` of this window, and as many left of those before.
        let limit = self.bound + self.bound * self.seen / WINDOW;
        if !self.has_company(zone) || count <= limit.max(SHARE_MIN) {
            return true;
        }
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        ((self.dice >> 32) * u64::from(count)) >> 32 < u64::from(limit)
    }
}

impl Gate for Shares {
    fn admits(&mut self, zone: Option<ZoneId>) -> bool {
        self.admits_zone(zone.map_or(NOWHERE, ZoneId::number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second.
    const SEC_NS: u64 = 1_000_000_000;

    /// Has `turns` full batches of 64 come, a microsecond apart and each after a loss; of each query `zones` says the zone by its
    /// number. Returns what was admitted of the first zone and of the others.
    fn run(shares: &mut Shares, begin_ns: u64, turns: u64, zones: impl Fn(u64) -> u32) -> (u32, u32) {
        run_where(Receiving::Dear, shares, begin_ns, turns, zones)
    }

    /// The same where receiving costs so much.
    fn run_where(
        receiving: Receiving,
        shares: &mut Shares,
        begin_ns: u64,
        turns: u64,
        zones: impl Fn(u64) -> u32,
    ) -> (u32, u32) {
        let mut admitted = (0, 0);
        for turn in 0..turns {
            shares.lose(receiving);
            let overloaded = shares.turn(begin_ns + turn * 1000, true);
            for number in 0..64 {
                let zone = zones(turn * 64 + number);
                if !overloaded || shares.admits_zone(zone) {
                    *(if zone == 0 { &mut admitted.0 } else { &mut admitted.1 }) += 1;
                }
            }
        }
        admitted
    }

    #[test]
    fn full_batches_are_no_overload_as_long_as_nothing_is_lost() {
        let mut shares = Shares::new(1);
        assert!((0..1000).all(|turn| !shares.turn(SEC_NS + turn, true)));
        shares.lose(Receiving::Dear);
        assert!(!shares.turn(SEC_NS + 1000, false), "nor is a loss that is made up for");
        shares.lose(Receiving::Dear);
        assert!(shares.turn(SEC_NS + 1001, true));
        assert!(shares.turn(2 * SEC_NS, false));
        assert!(!shares.turn(2 * SEC_NS + 1002, false), "a second later it is over");
    }

    #[test]
    fn a_zone_that_is_alone_soon_loses_nothing() {
        let mut shares = Shares::new(1);
        run(&mut shares, 2 * SEC_NS, 10, |_| 0);
        assert_eq!(run(&mut shares, 2 * SEC_NS + 2 * GRACE_NS, 1000, |_| 0), (64_000, 0));
    }

    #[test]
    fn a_zone_over_its_share_goes_down_to_it_and_others_lose_nothing() {
        let mut shares = Shares::new(2);
        let (flooded, other) = run(&mut shares, 2 * SEC_NS, 1000, |number| u32::from(number % 100 == 0));
        assert_eq!(other, 640);
        // One in 64 of the packets, and what passed before the bound was down.
        assert!((900..4000).contains(&flooded), "{flooded}");
    }

    #[test]
    fn many_zones_that_ask_alike_lose_nothing() {
        let mut shares = Shares::new(3);
        let (first, others) = run(&mut shares, 2 * SEC_NS, 1000, |number| u32::try_from(number * 7 % 1000).unwrap());
        assert_eq!(first + others, 64_000);
    }

    #[test]
    fn dropping_in_vain_is_given_up_for_a_while() {
        let mut shares = Shares::new(4);
        let turns = u64::from(FUTILE_STEPS * STEP_TURNS + 100);
        let half = u32::try_from(turns).unwrap() * 32;
        let two = |number| u32::from(number % 2 == 0);
        run(&mut shares, 2 * SEC_NS, turns, two);
        assert_eq!(run(&mut shares, 2 * SEC_NS + PAUSE_NS / 2, turns, two), (half, half));
        shares.lose(Receiving::Dear);
        assert!(shares.turn(2 * SEC_NS + 2 * PAUSE_NS, true), "then it is tried again");
    }

    #[test]
    fn behind_rings_dropping_is_never_given_up() {
        let mut shares = Shares::new(4);
        let turns = u64::from(FUTILE_STEPS * STEP_TURNS);
        let two = |number| u32::from(number % 100 == 0);
        run_where(Receiving::Cheap, &mut shares, 2 * SEC_NS, turns, two);
        let (flooded, other) = run_where(Receiving::Cheap, &mut shares, 2 * SEC_NS + turns * 1000, 2 * turns, two);
        assert!(other >= u32::try_from(2 * turns * 64 / 100).unwrap() && flooded < 8 * other, "{flooded} {other}");
    }

    #[test]
    fn the_bound_rises_when_batches_are_no_longer_full() {
        let mut shares = Shares::new(4);
        run(&mut shares, 2 * SEC_NS, 100, |number| u32::from(number % 100 == 0));
        assert_eq!(shares.bound, SHARE_MIN);
        for turn in 0..500 {
            shares.turn(2 * SEC_NS + turn, false);
        }
        assert_eq!(shares.bound, WINDOW);
    }
}
