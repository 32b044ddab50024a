//! EDNS: any OPT record behind a sound question.
//!
//! The first three bytes choose the question, the version and the flags; the next two are the payload size; the rest is
//! the RDATA. What an OPT record has to look like is written here once more, from RFC 6891 section 6.1.

use crate::exchange;

/// Questions: an address, a referral, a long answer, nothing there.
const NAMES: [&[u8]; 4] =
    [b"\x03www\x07example\0", b"\x03cut\x07example\0", b"\x03big\x07example\0", b"\x02no\x07example\0"];
/// Octets of RDATA that a datagram has room for behind any of the questions.
const RDATA_LEN_MAX: usize = 4000;
/// The option that carries a cookie (RFC 7873 section 4).
const COOKIE: u16 = 10;

/// Sends a query with this OPT record.
pub(crate) fn check(bytes: &[u8]) {
    let Some((&[name, version, flags, high, low], rdata)) = bytes.split_first_chunk() else { return };
    let rdata = &rdata[..rdata.len().min(RDATA_LEN_MAX)];
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    message.extend_from_slice(NAMES[usize::from(name) % NAMES.len()]);
    message.extend_from_slice(&[0, 1, 0, 1]);
    let version = if version < 192 { 0 } else { version - 191 };
    message.extend_from_slice(&[0, 0, 41, high, low, 0, version, flags & 0x80, flags & 0x7f]);
    message.extend_from_slice(&u16::try_from(rdata.len()).unwrap_or(u16::MAX).to_be_bytes());
    message.extend_from_slice(rdata);
    let options = options(rdata);
    for reply in exchange::check(&message) {
        let reply = reply.expect("a query gets a reply");
        let rcode = reply[3] & 0xf;
        match &options {
            // What cannot be read is FORMERR (RFC 6891 section 7), unless another version means to have it so.
            None => assert!(rcode == 1 || (rcode == 0 && version != 0), "{message:?}"),
            // Cookies have rules of their own about their length (RFC 7873 section 5.2.2), so FORMERR may be right.
            Some(codes) if codes.contains(&COOKIE) => assert!(matches!(rcode, 0 | 1 | 3 | 7), "{message:?}"),
            // BADVERS is 16: its lower four bits are those of NOERROR.
            Some(_) => {
                assert!(rcode == 0 || rcode == 3, "RCODE {rcode} for {message:?}");
                assert!(reply[11] > 0, "OPT for OPT: {message:?}");
            }
        }
        let extended = reply.len() >= 11 && version != 0 && options.is_some();
        assert!(!extended || reply[6..8] == [0, 0], "no answer to another version: {message:?}");
    }
}

/// The codes of the options; `None` if they do not fill the RDATA.
fn options(mut rdata: &[u8]) -> Option<Vec<u16>> {
    let mut codes = Vec::new();
    while !rdata.is_empty() {
        let (&[code_high, code_low, len_high, len_low], rest) = rdata.split_first_chunk()?;
        codes.push(u16::from_be_bytes([code_high, code_low]));
        rdata = rest.get(usize::from(u16::from_be_bytes([len_high, len_low]))..)?;
    }
    Some(codes)
}
