//! Which packs are made one when new ones come.
//!
//! Publishing often leaves many small packs. Those at the end of the list are folded as numbers are carried: eight of a
//! size become one of the next, which is eight times as large. So there are at most seven packs of each of four sizes, a
//! zone is copied at most four times, and what is large is never copied. Large packs are `compact`'s.
//! Planning only: no file is read or written here.

/// More packs than this are folded whatever they are: each costs a file, a mapping and a step of every load.
pub(super) const PACKS_MAX: usize = 64;
/// How many packs of a size there may be before they become one.
const PACKS_OF_A_SIZE: usize = 8;
/// Bytes of the largest pack of the smallest size; the next ones are eight times as large each.
const SMALLEST_LEN_MAX: u64 = 32 << 10;
/// Packs of more bytes are not folded: publishing one zone must not wait for so many others to be written.
pub(super) const FOLDED_LEN_MAX: u64 = 4 << 20;

/// The position from which all packs are made one, given how many bytes count in each (the oldest first) and that the
/// last `fresh_count` are to be added now; `None` if they stay as they are.
pub(super) fn fold_from(live_lens: &[u64], fresh_count: usize) -> Option<usize> {
    let is_large = |at: usize| live_lens[at] > FOLDED_LEN_MAX;
    let fresh = live_lens.len().saturating_sub(fresh_count);
    let mut from = fresh;
    if fresh_count > 0 && !(fresh..live_lens.len()).any(is_large) {
        loop {
            let len: u64 = live_lens[from..].iter().sum();
            let mut run = from;
            while run > 0 && !is_large(run - 1) && size(live_lens[run - 1]) <= size(len) {
                run -= 1;
            }
            if from - run + 1 < PACKS_OF_A_SIZE || len > FOLDED_LEN_MAX {
                break;
            }
            from = run;
        }
    } else {
        // Nothing is folded with a large pack.
        from = live_lens.len();
    }
    if from + usize::from(from < live_lens.len()) > PACKS_MAX {
        // Compacting is overdue.
        from = PACKS_MAX / 2;
    }
    (live_lens.len() - from > 1).then_some(from)
}

/// The size of a pack of so many bytes: 0, 1, 2...
fn size(len: u64) -> u32 {
    let mut size = 0;
    let mut len_max = SMALLEST_LEN_MAX;
    while len > len_max {
        len_max *= 8;
        size += 1;
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_of_a_size_become_one() {
        let base = 1 << 30;
        for (lens, fresh, expected) in [
            (&[][..], 0, None),
            (&[1_000], 1, None),
            (&[base, 1_000], 1, None),
            // New packs that come together lie together.
            (&[base, 1_000, 1_000], 2, Some(1)),
            (&[base, 40_000_000, 1_000], 2, None),
            (&[base, 9, 9, 9, 9, 9, 9, 9], 1, None),
            (&[base, 9, 9, 9, 9, 9, 9, 9, 9], 1, Some(1)),
            (&[base, 90_000, 9, 9, 9, 9, 9, 9, 9, 9], 1, Some(2)),
            // What comes out completes eight of the next size.
            (
                &[
                    base, 90_000, 90_000, 90_000, 90_000, 90_000, 90_000, 90_000, 9_000, 9_000, 9_000, 9_000, 9_000,
                    9_000, 9_000, 9_000,
                ],
                1,
                Some(1),
            ),
            // A large pack folds nothing.
            (&[9, 9, 9, 9, 9, 9, 9, 9, base], 1, None),
        ] {
            assert_eq!(fold_from(lens, fresh), expected, "{lens:?}");
        }
    }

    #[test]
    fn there_are_few_packs_and_little_is_copied() {
        // Zones of one to ten kilobytes, as in a random order that is the same in every run.
        let mut lens: Vec<u64> = vec![1 << 30];
        let (mut written, mut copied, mut random) = (0, 0, 1_u64);
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let len = 1_000 + (random >> 33) % 9_000;
            lens.push(len);
            written += len;
            if let Some(from) = fold_from(&lens, 1) {
                let folded = lens.drain(from..).sum();
                copied += folded;
                lens.push(folded);
            }
            let small_count = lens.iter().filter(|len| **len <= FOLDED_LEN_MAX).count();
            assert!(small_count <= 28, "{small_count} packs");
        }
        assert_eq!(lens[0], 1 << 30);
        assert!(copied < 4 * written, "{copied} bytes for {written}");
    }

    #[test]
    fn large_packs_are_folded_only_when_there_are_too_many() {
        let mut lens: Vec<u64> = vec![1 << 26; PACKS_MAX];
        assert_eq!(fold_from(&lens, 1), None);
        lens.push(1 << 26);
        assert_eq!(fold_from(&lens, 1), Some(PACKS_MAX / 2));
        lens.truncate(PACKS_MAX - 1);
        lens.push(9);
        assert_eq!(fold_from(&lens, 1), None);
    }
}
