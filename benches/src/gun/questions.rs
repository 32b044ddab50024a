//! Queries of a file of lines `QNAME QTYPE`, the format of dnsperf, in wire format and ready to be sent.

use std::io::{self, BufRead};

use snapshot::dns::name::Name;
use snapshot::dns::rtype::Rtype;

/// Octets of the header of a message.
pub(super) const HEADER_LEN: usize = 12;
/// The UDP payload size that queries announce, 1232 (RFC 9715), in an OPT record without options.
const OPT: [u8; 11] = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
/// Where the octet of [`OPT`] is that has the bit DO.
const DO_OFF: usize = 7;

/// What queries carry besides the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edns {
    /// Nothing.
    Absent,
    /// An OPT record.
    Plain,
    /// An OPT record that asks for DNSSEC records.
    DnssecOk,
}

/// Queries, one behind the other.
pub struct Questions {
    /// The messages; their ids are 0.
    bytes: Vec<u8>,
    /// Where each message begins; one more entry says where the last one ends.
    offs: Vec<usize>,
    /// Octets of the OPT record behind each question.
    opt_len: usize,
}

impl Questions {
    /// Reads at most `count_max` lines. Empty lines and those that begin with `;` or `#` are left out.
    ///
    /// # Errors
    /// Those of `lines`; `InvalidData` with the line number if a line is no question or there is none at all.
    pub fn read(lines: impl BufRead, edns: Edns, count_max: usize) -> io::Result<Questions> {
        let opt: &[u8] = if edns == Edns::Absent { &[] } else { &OPT };
        let mut questions = Questions { bytes: Vec::new(), offs: vec![0], opt_len: opt.len() };
        for (idx, line) in lines.lines().enumerate() {
            let line = line?;
            if line.is_empty() || line.starts_with([';', '#']) {
                continue;
            }
            if questions.count() == count_max {
                break;
            }
            let (qname, qtype) = parse(&line).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("line {} is no question", idx + 1))
            })?;
            let arcount = u8::from(edns != Edns::Absent);
            questions.bytes.extend_from_slice(&[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, arcount]);
            questions.bytes.extend_from_slice(qname.as_wire());
            questions.bytes.extend_from_slice(&qtype.0.to_be_bytes());
            questions.bytes.extend_from_slice(&[0, 1]);
            let opt_off = questions.bytes.len();
            questions.bytes.extend_from_slice(opt);
            if edns == Edns::DnssecOk {
                questions.bytes[opt_off + DO_OFF] = 0x80;
            }
            questions.offs.push(questions.bytes.len());
        }
        if questions.count() == 0 || u32::try_from(questions.count()).is_err() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "there are no questions, or too many"));
        }
        Ok(questions)
    }

    /// How many there are, at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.offs.len() - 1
    }

    /// A query, with the id 0.
    ///
    /// # Panics
    /// If there are no more than `idx`.
    #[must_use]
    pub fn message(&self, idx: usize) -> &[u8] {
        &self.bytes[self.offs[idx]..self.offs[idx + 1]]
    }

    /// Whether a datagram is a reply to a query: it has the bit QR and repeats the question to the letter.
    pub(super) fn is_answered_by(&self, idx: usize, reply: &[u8]) -> bool {
        let message = self.message(idx);
        let asked = &message[HEADER_LEN..message.len() - self.opt_len];
        let Some(rest) = reply.get(HEADER_LEN..) else { return false };
        reply[2] & 0x80 != 0 && rest.starts_with(asked)
    }

    /// The same queries in runs of `run` of one length, the runs in an order without pattern; what does not fill a run
    /// is left out.
    #[must_use]
    pub fn in_runs(&self, run: usize) -> Vec<u32> {
        let mut by_len: Vec<u32> = (0..).take(self.count()).collect();
        by_len.sort_by_key(|idx| self.message(*idx as usize).len());
        let same_len = |a: &u32, b: &u32| self.message(*a as usize).len() == self.message(*b as usize).len();
        let mut runs: Vec<&[u32]> = by_len.chunk_by(same_len).flat_map(|same| same.chunks_exact(run)).collect();
        let count = runs.len();
        for idx in 1..count {
            // An odd multiplier scatters, and every run of the program sends the same.
            runs.swap(idx, idx.wrapping_mul(2_654_435_761) % (idx + 1));
        }
        runs.concat()
    }
}

/// Reads a line.
fn parse(line: &str) -> Option<(Name, Rtype)> {
    let (qname, qtype) = line.split_once([' ', '\t'])?;
    let absolute = if qname.ends_with('.') { qname.to_owned() } else { format!("{qname}.") };
    Some((absolute.parse().ok()?, qtype.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads questions.
    fn read(text: &str, edns: Edns) -> io::Result<Questions> {
        Questions::read(text.as_bytes(), edns, usize::MAX)
    }

    #[test]
    fn lines_become_queries_with_and_without_edns() {
        let plain = read("a.test A\n", Edns::Absent).unwrap();
        assert_eq!(plain.message(0), b"\0\0\0\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01");
        let secure = read("; comment\n\na.test. TYPE65\n", Edns::DnssecOk).unwrap();
        assert!(secure.message(0).ends_with(b"\x01a\x04test\0\0\x41\0\x01\0\0\x29\x04\xd0\0\0\x80\0\0\0"));
        assert_eq!(secure.message(0)[11], 1);
        assert_eq!(read("a.test A\nnonsense\n", Edns::Plain).err().unwrap().to_string(), "line 2 is no question");
        assert!(read("", Edns::Plain).is_err());
    }

    #[test]
    fn a_reply_has_qr_and_the_question() {
        let questions = read("a.test A\nb.test A\n", Edns::Plain).unwrap();
        let mut reply = questions.message(0).to_vec();
        assert!(!questions.is_answered_by(0, &reply));
        reply[2] |= 0x80;
        assert!(questions.is_answered_by(0, &reply));
        assert!(!questions.is_answered_by(1, &reply));
        assert!(!questions.is_answered_by(0, &reply[..20]));
        assert!(!questions.is_answered_by(0, &[]));
    }

    #[test]
    fn runs_have_one_length() {
        let questions = read("a.test A\nbb.test A\nc.test A\ndd.test A\ne.test A\n", Edns::Plain).unwrap();
        let runs = questions.in_runs(2);
        assert_eq!(runs.len(), 4);
        for run in runs.chunks(2) {
            assert_eq!(questions.message(run[0] as usize).len(), questions.message(run[1] as usize).len());
        }
    }
}
