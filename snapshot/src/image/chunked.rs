//! A long list of which two versions share what they have in common.
//!
//! Items lie in chunks, chunks in pages; both are behind reference counts. A clone copies one pointer a page; the first
//! change of an item copies its page and its chunk, and no other version sees it. So a change of one item among 100,000
//! costs about a microsecond, and reading costs two loads more than an array, of lines that stay in the first caches.
//! Invariant: whoever holds a version may read it while others are made from it.

use std::sync::Arc;

/// Chunks of a page.
const PAGE_LEN: usize = 64;

/// Some items, the unit that is copied.
type Chunk<T, const LEN: usize> = Arc<[T; LEN]>;

/// The list: `LEN` items a chunk, a power of two.
#[derive(Clone)]
pub(super) struct Chunked<T, const LEN: usize> {
    /// Whole pages; what lies behind the last item is blank.
    pages: Vec<Arc<[Chunk<T, LEN>; PAGE_LEN]>>,
    /// A chunk of blank items: those that were never written share it.
    blank: Chunk<T, LEN>,
}

impl<T: Copy, const LEN: usize> Chunked<T, LEN> {
    /// A list of at least `len` items, all of them `blank`.
    pub(super) fn new(blank: T, len: usize) -> Chunked<T, LEN> {
        let mut list = Chunked { pages: Vec::new(), blank: Arc::new([blank; LEN]) };
        list.grow(len);
        list
    }

    /// Makes room for `len` items in all; the new ones are blank.
    pub(super) fn grow(&mut self, len: usize) {
        let page_count = len.div_ceil(LEN * PAGE_LEN);
        if page_count > self.pages.len() {
            let blank = &self.blank;
            self.pages.resize_with(page_count, || Arc::new(std::array::from_fn(|_| Arc::clone(blank))));
        }
    }

    /// The item at a position; `None` far behind the end.
    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<&T> {
        let page = self.pages.get(at / (LEN * PAGE_LEN))?;
        Some(&page[at / LEN % PAGE_LEN][at % LEN])
    }

    /// Writes an item, copying what other versions share. There must be room for it.
    pub(super) fn set(&mut self, at: usize, item: T) {
        if let Some(page) = self.pages.get_mut(at / (LEN * PAGE_LEN)) {
            Arc::make_mut(&mut Arc::make_mut(page)[at / LEN % PAGE_LEN])[at % LEN] = item;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_never_written_is_blank_and_takes_one_chunk() {
        let list: Chunked<u32, 4> = Chunked::new(7, 1_000);
        assert_eq!((list.get(0), list.get(999)), (Some(&7), Some(&7)));
        assert_eq!(list.get(1 << 20), None);
        assert_eq!(Arc::strong_count(&list.blank), 1 + PAGE_LEN * list.pages.len());
    }

    #[test]
    fn a_change_copies_one_chunk() {
        let mut first: Chunked<u32, 4> = Chunked::new(0, 1_024);
        (0..1_024).for_each(|at| first.set(at as usize, at));
        let mut second = first.clone();
        second.set(500, 1);
        assert_eq!((first.get(500), second.get(500)), (Some(&500), Some(&1)));
        let shared = |at: usize| Arc::ptr_eq(&first.pages[at / 256][at / 4 % 64], &second.pages[at / 256][at / 4 % 64]);
        assert_eq!((0..1_024).filter(|&at| !shared(at)).collect::<Vec<_>>(), [500, 501, 502, 503]);
    }

    proptest! {
        /// Every version holds what an array of its own would.
        #[test]
        fn versions_are_like_arrays(writes in prop::collection::vec((0_usize..600, any::<u8>(), any::<bool>()), 0..200)) {
            let mut versions = vec![(Chunked::<u8, 2>::new(0, 600), vec![0_u8; 600])];
            for (at, value, forks) in writes {
                if forks {
                    let last = versions.last().unwrap().clone();
                    versions.push(last);
                }
                let (list, model) = versions.last_mut().unwrap();
                list.set(at, value);
                model[at] = value;
            }
            for (list, model) in versions {
                for (at, value) in model.iter().enumerate() {
                    prop_assert_eq!(list.get(at), Some(value));
                }
            }
        }
    }
}
