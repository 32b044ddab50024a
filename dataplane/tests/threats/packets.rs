//! Writes query messages byte by byte, sound and broken ones, and draws reproducible numbers.

/// A query of one question: id 0x1234, RD clear.
pub(crate) fn query(qname: &[u8], qtype: u16, qclass: u16) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(qname);
    message.extend_from_slice(&qtype.to_be_bytes());
    message.extend_from_slice(&qclass.to_be_bytes());
    message
}

/// The same with an OPT record (RFC 6891 section 6.1.2); `flags` are its last 16 bits of TTL.
pub(crate) fn with_opt(mut message: Vec<u8>, udp_len: u16, flags: u16) -> Vec<u8> {
    message.extend_from_slice(&[0, 0, 41]);
    message.extend_from_slice(&udp_len.to_be_bytes());
    message.extend_from_slice(&[0, 0]);
    message.extend_from_slice(&flags.to_be_bytes());
    message.extend_from_slice(&[0, 0]);
    message[11] += 1;
    message
}

/// A name in wire format from its labels, parted by dots; the empty text is the root.
pub(crate) fn name(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        wire.push(u8::try_from(label.len()).unwrap());
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// A reproducible sequence (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is small.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % end
    }

    /// An octet.
    pub(crate) fn octet(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}
