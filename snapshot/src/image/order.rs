//! Canonical order of names (RFC 4034 section 6.1) without allocation, for the search of a denial's record.

use std::cmp::Ordering;

/// The most labels a name can have.
const LABELS_MAX: usize = 128;

/// A canonical wire-format name whose labels can be walked from the root.
pub(super) struct Labels<'n> {
    /// The name.
    wire: &'n [u8],
    /// Where each label's length octet is.
    starts: [u8; LABELS_MAX],
    /// How many labels, the root label not counted.
    count: usize,
}

impl<'n> Labels<'n> {
    /// Finds the labels of `wire`; a malformed name has those before the fault.
    pub(super) fn of(wire: &'n [u8]) -> Labels<'n> {
        let mut labels = Labels { wire, starts: [0; LABELS_MAX], count: 0 };
        let mut off = 0;
        while let Some(&len) = wire.get(off)
            && len != 0
            && let (Ok(start), Some(slot)) = (u8::try_from(off), labels.starts.get_mut(labels.count))
        {
            *slot = start;
            labels.count += 1;
            off += usize::from(len) + 1;
        }
        labels
    }

    /// The labels from the root down.
    fn root_first(&self) -> impl Iterator<Item = &'n [u8]> {
        let wire = self.wire;
        self.starts.iter().take(self.count).rev().map(move |&start| {
            let label = wire.get(usize::from(start)..).unwrap_or_default();
            label.split_first().and_then(|(&len, rest)| rest.get(..usize::from(len))).unwrap_or_default()
        })
    }

    /// Compares with another name.
    pub(super) fn cmp(&self, other: &Labels<'_>) -> Ordering {
        self.root_first().cmp(other.root_first())
    }

    /// The start of the name's sort key below its last `skipped` labels, as an integer: if one name's is less than the
    /// other's, so is the name. Equal ones tell nothing.
    pub(super) fn sort_prefix(&self, skipped: usize) -> u64 {
        let mut key = [0; 8];
        let mut len = 0;
        // A label ends with 0; octets 0 and 1 are told apart from that by an escape.
        for label in self.root_first().skip(skipped) {
            for octet in label {
                let octets: &[u8] = match octet {
                    0 => &[1, 1],
                    1 => &[1, 2],
                    _ => std::slice::from_ref(octet),
                };
                for &octet in octets {
                    if len == key.len() {
                        return u64::from_be_bytes(key);
                    }
                    key[len] = octet;
                    len += 1;
                }
            }
            if len == key.len() {
                break;
            }
            len += 1;
        }
        u64::from_be_bytes(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::name::Name;

    #[test]
    fn names_are_ordered_as_in_rfc_4034_and_prefixes_agree() {
        let ordered = [
            "example",
            "a.example",
            "yljkjljk.a.example",
            "Z.a.example",
            "zABC.a.EXAMPLE",
            "z.example",
            "\\000.z.example",
            "\\000\\000.z.example",
            "\\001.z.example",
            "*.z.example",
            "\\200.z.example",
            "zz.example",
            "zzzzzzzzzz.example",
        ];
        let names: Vec<Name> = ordered.iter().map(|name| name.parse::<Name>().unwrap().to_canonical()).collect();
        for (i, a) in names.iter().enumerate() {
            for (j, b) in names.iter().enumerate() {
                let (left, right) = (Labels::of(a.as_wire()), Labels::of(b.as_wire()));
                assert_eq!(left.cmp(&right), i.cmp(&j), "{a} {b}");
                let prefixes = left.sort_prefix(1).cmp(&right.sort_prefix(1));
                assert!(prefixes == Ordering::Equal || prefixes == i.cmp(&j), "{a} {b}");
            }
        }
    }

    #[test]
    fn malformed_names_end_early() {
        for wire in [&b""[..], b"\x05ab", b"\x3f"] {
            let labels = Labels::of(wire);
            assert!(labels.cmp(&Labels::of(b"\x01a\x00")).is_ne());
            labels.sort_prefix(0);
        }
    }
}
