//! Divides work among threads and takes the results in order.
//!
//! It knows no zones. Invariant: results are taken in the order of the work, however threads are scheduled; few wait.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// How many items a thread takes at a time, if each is a few signatures: some milliseconds of signing.
pub(super) const BLOCK_LEN: usize = 256;

/// Runs `work` over the items `0..count` by blocks, on `jobs` threads, while this thread hands what comes out to `take`.
///
/// # Errors
/// The first error that comes; work that was not begun is not done then.
pub(super) fn in_blocks<R: Send, E: Send>(
    count: usize,
    jobs: NonZeroUsize,
    work: impl Fn(Range<usize>) -> Result<R, E> + Sync,
    take: impl FnMut(Range<usize>, R) -> Result<(), E>,
) -> Result<(), E> {
    in_blocks_of(BLOCK_LEN, count, jobs, work, take)
}

/// The same by blocks of so many items, at least one.
///
/// # Errors
/// As those of [`in_blocks`].
pub(super) fn in_blocks_of<R: Send, E: Send>(
    block_len: usize,
    count: usize,
    jobs: NonZeroUsize,
    work: impl Fn(Range<usize>) -> Result<R, E> + Sync,
    mut take: impl FnMut(Range<usize>, R) -> Result<(), E>,
) -> Result<(), E> {
    let block_count = count.div_ceil(block_len);
    let range = |block: usize| block * block_len..count.min((block + 1) * block_len);
    // A zone of a few names is signed sooner than a thread begins.
    if block_count <= 1 || jobs.get() == 1 {
        return (0..block_count).try_for_each(|block| take(range(block), work(range(block))?));
    }
    let next = AtomicUsize::new(0);
    let (next, work) = (&next, &work);
    thread::scope(|scope| {
        let (done, results) = mpsc::sync_channel(jobs.get());
        for _ in 0..jobs.get().min(block_count) {
            let done = done.clone();
            scope.spawn(move || {
                let blocks = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
                for block in blocks.take_while(|&block| block < block_count) {
                    // Nobody takes results any more after an error.
                    if done.send((block, work(range(block)))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(done);
        let (mut waiting, mut due) = (BTreeMap::new(), 0);
        for (block, result) in results {
            waiting.insert(block, result?);
            while let Some(result) = waiting.remove(&due) {
                take(range(due), result)?;
                due += 1;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_an_error_ends_it() {
        for jobs in [1, 2, 5] {
            let jobs = NonZeroUsize::new(jobs).unwrap();
            let mut seen = Vec::new();
            let mut take = |range: Range<usize>, items: Vec<usize>| {
                assert_eq!(items, range.collect::<Vec<_>>());
                seen.extend(items);
                Ok(())
            };
            assert_eq!(in_blocks(1000, jobs, |range| Ok::<_, ()>(range.collect()), &mut take), Ok(()));
            assert_eq!(seen, (0..1000).collect::<Vec<_>>());
            let fails = |range: Range<usize>| if range.contains(&600) { Err("no") } else { Ok(()) };
            assert_eq!(in_blocks(100_000, jobs, fails, |_, ()| Ok(())), Err("no"));
        }
    }
}
