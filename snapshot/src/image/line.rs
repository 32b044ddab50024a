//! The unit of a pack: a 64-byte line that is aligned to a cache line, in memory and in the file.

use rkyv::{Archive, Serialize};

/// Bytes in a line.
pub(super) const LINE_LEN: usize = 64;

/// 64 bytes of a segment. The archived form has the same size and the same alignment, so a bucket is one cache line.
#[derive(Clone, Copy, Archive, Serialize)]
#[rkyv(attr(repr(C, align(64)), doc = "A line as it lies in the file."))]
#[repr(C, align(64))]
pub(super) struct Line {
    /// The bytes.
    pub(super) bytes: [u8; LINE_LEN],
}

/// Cuts `bytes` into lines, padding the last one with zeros.
pub(super) fn push_lines(lines: &mut Vec<Line>, bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<LINE_LEN>();
    lines.extend(whole.iter().map(|&bytes| Line { bytes }));
    if !rest.is_empty() {
        let mut bytes = [0; LINE_LEN];
        bytes[..rest.len()].copy_from_slice(rest);
        lines.push(Line { bytes });
    }
}
