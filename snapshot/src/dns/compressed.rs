//! Compressed names in messages (RFC 1035 section 4.1.4).
//!
//! The packet path has a parser of its own; this one serves tools, tests and transfers in. Invariant: every pointer leads
//! to an offset below all that was read of the name so far, so that reading ends; there is no recursion.

use super::name::{LABEL_LEN_MAX, NAME_LEN_MAX, NameError};

/// How many pointers one name may follow: a name has at most 127 labels, and a pointer to a pointer helps nobody.
const HOP_COUNT_MAX: usize = 127;

/// Appends the name at `off` to `out`, uncompressed; returns the offset just past it in `message`.
///
/// O(labels + pointers), both bounded. What was appended is undefined after an error.
///
/// # Errors
/// [`NameError::Short`] if octets end early, [`NameError::LabelType`] for a reserved label type and for a pointer that
/// does not lead strictly backwards, [`NameError::NameLong`] past 255 octets.
pub(crate) fn push_name(message: &[u8], off: usize, out: &mut Vec<u8>) -> Result<usize, NameError> {
    let base = out.len();
    let mut end = None;
    let mut limit = off;
    let mut at = off;
    let mut hop_count = 0;
    loop {
        let len = *message.get(at).ok_or(NameError::Short)?;
        match len >> 6 {
            0 => {
                let next = at + 1 + usize::from(len);
                out.extend_from_slice(message.get(at..next).ok_or(NameError::Short)?);
                if out.len() - base > NAME_LEN_MAX {
                    return Err(NameError::NameLong);
                }
                at = next;
                if len == 0 {
                    return Ok(end.unwrap_or(at));
                }
            }
            3 => {
                let low = *message.get(at + 1).ok_or(NameError::Short)?;
                let target = (usize::from(len) & LABEL_LEN_MAX) << 8 | usize::from(low);
                end = end.or(Some(at + 2));
                hop_count += 1;
                if target >= limit || hop_count > HOP_COUNT_MAX {
                    return Err(NameError::LabelType(len));
                }
                limit = target;
                at = target;
            }
            _ => return Err(NameError::LabelType(len)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the name at `off`.
    fn read(message: &[u8], off: usize) -> Result<(Vec<u8>, usize), NameError> {
        let mut out = Vec::new();
        push_name(message, off, &mut out).map(|end| (out, end))
    }

    #[test]
    fn pointers_are_followed_backwards() {
        let message = b"\x03com\0\x07example\xc0\x00\x03www\xc0\x05\xc0\x0f";
        assert_eq!(read(message, 0), Ok((b"\x03com\0".to_vec(), 5)));
        assert_eq!(read(message, 5), Ok((b"\x07example\x03com\0".to_vec(), 15)));
        assert_eq!(read(message, 15), Ok((b"\x03www\x07example\x03com\0".to_vec(), 21)));
        assert_eq!(read(message, 21), Ok((b"\x03www\x07example\x03com\0".to_vec(), 23)));
    }

    #[test]
    fn of_all_pointers_at_one_place_only_those_backwards_are_followed() {
        for pointer in 0xc000..=0xffffu16 {
            let mut message = [0u8; 64];
            message[40..42].copy_from_slice(&pointer.to_be_bytes());
            let target = usize::from(pointer & 0x3fff);
            assert_eq!(read(&message, 40).is_ok(), target < 40, "{target}");
        }
    }

    #[test]
    fn loops_and_forward_pointers_are_refused() {
        for (message, off) in [
            (&b"\xc0\x00"[..], 0),
            (b"\xc0\x02\x00", 0),
            (b"\x01a\xc0\x00", 0),
            (b"\x01a\xc0\x01", 0),
            (b"\xc0\x02\xc0\x00", 2),
            (b"\x00\xc0\x01", 1),
        ] {
            assert_eq!(read(message, off), Err(NameError::LabelType(0xc0)), "{message:?}");
        }
        assert_eq!(read(b"\x40", 0), Err(NameError::LabelType(0x40)));
        assert_eq!(read(b"\x80", 0), Err(NameError::LabelType(0x80)));
        for short in [&b""[..], b"\x01", b"\x01a", b"\xc0"] {
            assert_eq!(read(short, 0), Err(NameError::Short), "{short:?}");
        }
    }

    #[test]
    fn hops_and_length_are_bounded() {
        let mut chain = vec![0u8, 0];
        for target in 0..200u16 {
            chain.extend_from_slice(&(0xc000 | (target * 2)).to_be_bytes());
        }
        assert_eq!(read(&chain, 2 * HOP_COUNT_MAX), Ok((vec![0], 2 * HOP_COUNT_MAX + 2)));
        assert_eq!(read(&chain, 2 * HOP_COUNT_MAX + 2), Err(NameError::LabelType(0xc0)));
        let mut long = [b"\x3f".to_vec(), vec![b'x'; 63]].concat().repeat(3);
        long.extend_from_slice(b"\x3c");
        long.extend_from_slice(&[b'y'; 60]);
        long.push(0);
        let tail = u16::try_from(long.len()).unwrap();
        long.extend_from_slice(b"\x01z\xc0\x00");
        assert_eq!(read(&long, 0).map(|(name, _)| name.len()), Ok(254));
        assert_eq!(read(&long, usize::from(tail)), Err(NameError::NameLong));
    }
}
