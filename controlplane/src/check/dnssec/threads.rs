//! Work on many items, shared by threads.
//!
//! Invariant: results come in the order of the items, however the threads took turns, so that the same zone always has
//! the same findings.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many items a thread takes at a time: some 10 ms of signatures, so that all threads end together, and few enough
/// that a small zone is not worth a second thread, which costs as much as a signature to start.
const BLOCK_LEN: usize = 64;

/// Runs `work` over blocks of the items on at most `jobs` threads and returns what each block came to.
pub(super) fn by_blocks<T: Sync, R: Send>(items: &[T], jobs: NonZeroUsize, work: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    let thread_count = jobs.get().min(items.len().div_ceil(BLOCK_LEN));
    if thread_count <= 1 {
        return items.chunks(BLOCK_LEN).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut results = Vec::new();
        loop {
            let idx = next.fetch_add(1, Ordering::Relaxed);
            let Some(rest) = items.get(idx * BLOCK_LEN..).filter(|rest| !rest.is_empty()) else { return results };
            results.push((idx, work(&rest[..rest.len().min(BLOCK_LEN)])));
        }
    };
    let mut results = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..thread_count).map(|_| scope.spawn(run)).collect();
        let mut results = run();
        for thread in threads {
            results.extend(thread.join().expect("the work does not panic"));
        }
        results
    });
    results.sort_unstable_by_key(|&(idx, _)| idx);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        for len in [0, 1, BLOCK_LEN, BLOCK_LEN + 1, 100 * BLOCK_LEN - 1] {
            let items: Vec<usize> = (0..len).collect();
            for jobs in 1..4 {
                let blocks = by_blocks(&items, NonZeroUsize::new(jobs).unwrap(), <[usize]>::to_vec);
                assert_eq!(blocks.concat(), items, "{jobs}");
            }
        }
    }
}
