//! Counts durations in buckets whose width grows with them, so that any quantile is known within a thirtieth of itself.

/// Buckets of each power of two.
const STEPS: usize = 32;
/// The power of two of [`STEPS`].
const STEPS_LOG2: u32 = STEPS.trailing_zeros();

/// How often each duration occurred; durations are in nanoseconds.
pub(super) struct Histogram {
    /// Occurrences by bucket.
    counts: Vec<u64>,
    /// Their sum.
    total: u64,
    /// The longest duration.
    max_ns: u64,
}

impl Histogram {
    /// An empty one.
    pub(super) fn new() -> Histogram {
        Histogram { counts: vec![0; bucket(u64::MAX) + 1], total: 0, max_ns: 0 }
    }

    /// Counts one duration.
    pub(super) fn add(&mut self, ns: u64) {
        self.counts[bucket(ns)] += 1;
        self.total += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    /// The longest duration, 0 if there was none.
    pub(super) fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The least duration that `per_mille` thousandths of all do not exceed; 0 if there was none.
    pub(super) fn quantile_ns(&self, per_mille: u64) -> u64 {
        let rank = self.total.saturating_mul(per_mille).div_ceil(1000);
        let mut seen = 0;
        for (idx, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && *count > 0 {
                return most(idx).min(self.max_ns);
            }
        }
        0
    }
}

/// The bucket of a duration.
fn bucket(ns: u64) -> usize {
    let exponent = (ns | 1).ilog2();
    let Some(shift) = exponent.checked_sub(STEPS_LOG2) else { return usize::try_from(ns).unwrap_or(0) };
    // Below the leading bit, the next five bits choose the bucket within the power of two.
    let step = usize::try_from(ns >> shift).unwrap_or(0) - STEPS;
    STEPS + shift as usize * STEPS + step
}

/// The longest duration of a bucket.
fn most(bucket: usize) -> u64 {
    let Some(above) = bucket.checked_sub(STEPS) else { return bucket as u64 };
    let (shift, step) = (above / STEPS, above % STEPS);
    let next = (STEPS + step + 1) as u128;
    u64::try_from((next << shift) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_in_a_bucket_close_above_it() {
        for ns in (0..200).chain([1_000, 12_345, 999_999_999, u64::MAX / 3, u64::MAX]) {
            let upper = most(bucket(ns));
            assert!(upper >= ns && upper - ns <= ns / 30, "{ns} counts as {upper}");
        }
    }

    #[test]
    fn quantiles_are_ranks() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile_ns(999), 0);
        (1..=1000).for_each(|ns| histogram.add(ns));
        assert_eq!(histogram.quantile_ns(1), 1);
        assert!((500..=516).contains(&histogram.quantile_ns(500)));
        assert!((999..=1000).contains(&histogram.quantile_ns(999)));
        assert_eq!(histogram.quantile_ns(1000), 1000);
    }
}
