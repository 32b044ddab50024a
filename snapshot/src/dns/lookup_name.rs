//! A qname made ready for lookups: canonical, with every label's start known, in memory that is reused.
//!
//! Unlike [`Name`](super::name::Name) it allocates nothing and is filled once per query. It knows no compression.
//! Canonical form: RFC 4034 section 6.2.

use super::name::NAME_LEN_MAX;

/// The most labels a name of 255 octets can have.
const LABELS_MAX: usize = 127;

/// Octets that are lower-cased at a time.
const CHUNK_LEN: usize = 16;

/// A name made ready for lookups: canonical, with the start of every label. Reused from query to query.
#[derive(Clone)]
pub struct LookupName {
    /// Canonical wire format.
    wire: [u8; NAME_LEN_MAX + 1],
    /// Bytes of it.
    len: u8,
    /// Labels, the root label not counted.
    labels: u8,
    /// Where each label starts, then where the root label is.
    starts: [u8; LABELS_MAX + 1],
}

impl Default for LookupName {
    fn default() -> LookupName {
        LookupName { wire: [0; NAME_LEN_MAX + 1], len: 1, labels: 0, starts: [0; LABELS_MAX + 1] }
    }
}

impl LookupName {
    /// Takes the uncompressed name at the start of `bytes`; returns its length in octets.
    ///
    /// `None` if there is no whole name of at most 255 octets, or a label type other than 00; the name is then
    /// undefined. O(labels), no allocation.
    ///
    /// Left to the compiler, it is inlined or not with every change around it, as `answer::resolve::zone_of`: 1,590 instructions
    /// of a hit without both, 1,539 with (`perf/instructions`).
    #[inline(always)]
    pub fn assign(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut off = 0;
        let mut labels = 0;
        loop {
            let label_len = *bytes.get(off)?;
            *self.starts.get_mut(labels)? = u8::try_from(off).ok()?;
            off += usize::from(label_len) + 1;
            if label_len == 0 {
                break;
            }
            if label_len > 63 {
                return None;
            }
            labels += 1;
        }
        let name = bytes.get(..off)?;
        self.wire.get_mut(..off)?.copy_from_slice(name);
        // Length octets are below 'A', so lower-casing every octet changes letters only. Whole chunks take one vector
        // operation each; what lies behind the name is never read.
        for chunk in self.wire.as_chunks_mut::<CHUNK_LEN>().0.iter_mut().take(off.div_ceil(CHUNK_LEN)) {
            chunk.make_ascii_lowercase();
        }
        self.len = u8::try_from(off).ok()?;
        self.labels = u8::try_from(labels).ok()?;
        Some(off)
    }

    /// The canonical wire format.
    #[inline]
    #[must_use]
    pub fn as_wire(&self) -> &[u8] {
        self.wire.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// How many labels, the root label not counted.
    #[inline]
    #[must_use]
    pub fn label_count(&self) -> usize {
        usize::from(self.labels)
    }

    /// The name's last `labels` labels; the whole name if it has fewer.
    #[inline]
    #[must_use]
    pub fn suffix(&self, labels: usize) -> &[u8] {
        let skipped = usize::from(self.labels).saturating_sub(labels);
        let start = self.starts.get(skipped).copied().unwrap_or(0);
        self.wire.get(usize::from(start)..usize::from(self.len)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_cased_and_cut_by_labels() {
        let mut name = LookupName::default();
        assert_eq!(name.assign(b"\x03WwW\x01B\x00rest"), Some(7));
        assert_eq!(name.as_wire(), b"\x03www\x01b\x00");
        assert_eq!(name.label_count(), 2);
        for (labels, suffix) in
            [(0, &b"\x00"[..]), (1, b"\x01b\x00"), (2, b"\x03www\x01b\x00"), (9, b"\x03www\x01b\x00")]
        {
            assert_eq!(name.suffix(labels), suffix, "{labels}");
        }
    }

    #[test]
    fn the_longest_names_fit_and_longer_ones_do_not() {
        let mut name = LookupName::default();
        let many = [b"\x01A".repeat(127), b"\x00".to_vec()].concat();
        assert_eq!(name.assign(&many), Some(255));
        assert_eq!((name.label_count(), name.suffix(1)), (127, &b"\x01a\x00"[..]));
        let too_many = [b"\x01A".repeat(128), b"\x00".to_vec()].concat();
        let too_long = [[63; 64].repeat(4), vec![0]].concat();
        for bad in [&too_many[..], &too_long, b"\x40", b"\xc0\x0c", b"\x01a", b""] {
            assert_eq!(name.assign(bad), None, "{bad:?}");
        }
    }
}
