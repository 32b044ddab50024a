//! Draws packets that are nearly queries: sound ones with a few things wrong, and some that are noise throughout.
//!
//! What is wrong is what has broken name servers before: header bits, counts, pointers, label types, lengths, options,
//! signatures nobody asked for, and ends that come too early or too late.

use crate::common::random::Random;

/// Bytes of a datagram that the server takes whole in any case.
const SERVED_LEN_MAX: usize = 4096;
/// Bytes of a datagram that it cuts and drops in any case.
const DROPPED_LEN_MIN: usize = 5000;
/// Names that take every way through the zone of this test, and some beside it.
const NAMES: [&str; 14] = [
    "m.test",
    "www.m.test",
    "WWW.M.TEST",
    "no.m.test",
    "x.wild.m.test",
    "alias.m.test",
    "circle.m.test",
    "cut.m.test",
    "below.cut.m.test",
    "a.tree.m.test",
    "big.m.test",
    "ent.m.test",
    "elsewhere.example",
    "",
];
/// Types that take ways of their own.
const TYPES: [u16; 26] =
    [0, 1, 2, 5, 6, 12, 15, 16, 24, 25, 28, 33, 35, 39, 41, 43, 46, 47, 50, 65, 249, 250, 251, 252, 255, 65_535];
/// Classes, those that mean something first.
const CLASSES: [u16; 14] = [1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 4, 254, 255, 0];
/// Option codes: those with a meaning, and some without.
const OPTIONS: [u16; 12] = [0, 1, 3, 5, 8, 9, 10, 11, 12, 15, 19, 65_001];

/// A message in parts, before it becomes bytes.
struct Draft {
    /// The six words of the header.
    header: [u16; 6],
    /// The question in wire format, if there is one.
    question: Vec<u8>,
    /// What follows, record by record.
    records: Vec<Vec<u8>>,
}

/// The next packet.
pub(super) fn draw(random: &mut Random) -> Vec<u8> {
    if random.below(50) == 0 {
        return noise(random);
    }
    let mut draft = sound(random);
    // Some have nothing wrong at all: half of what is sent should come further than the parser.
    for _ in 0..random.below(3) {
        spoil(&mut draft, random);
    }
    let mut packet = draft.bytes();
    if random.below(4) == 0 {
        mangle(&mut packet, random);
    }
    packet
}

/// Whether the server owes this packet a reply: it is a whole message header and no response.
pub(super) fn deserves_reply(packet: &[u8]) -> bool {
    (12..=SERVED_LEN_MAX).contains(&packet.len()) && packet[2] & 0x80 == 0
}

/// Octets that mean nothing, of any length, too long ones included.
fn noise(random: &mut Random) -> Vec<u8> {
    let len = match random.below(8) {
        0 => DROPPED_LEN_MIN + random.below(SERVED_LEN_MAX),
        1 => random.below(SERVED_LEN_MAX + 1),
        2 => random.below(13),
        _ => random.below(200),
    };
    random.octets(len)
}

/// A name in wire format from its labels.
fn name(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        wire.push(u8::try_from(label.len()).unwrap());
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// A query with nothing wrong.
fn sound(random: &mut Random) -> Draft {
    let mut question = name(random.pick(&NAMES));
    question.extend_from_slice(&random.pick(&TYPES).to_be_bytes());
    question.extend_from_slice(&random.pick(&CLASSES).to_be_bytes());
    let records = if random.below(2) == 0 { vec![opt(random)] } else { Vec::new() };
    let additional = u16::try_from(records.len()).unwrap();
    Draft { header: [random.word(), 0x0100, 1, 0, 0, additional], question, records }
}

/// One record: owner, type, class, TTL, RDATA.
fn record(owner: &[u8], rtype: u16, class: u16, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    let mut record = owner.to_vec();
    record.extend_from_slice(&rtype.to_be_bytes());
    record.extend_from_slice(&class.to_be_bytes());
    record.extend_from_slice(&ttl.to_be_bytes());
    record.extend_from_slice(&u16::try_from(rdata.len()).unwrap().to_be_bytes());
    record.extend_from_slice(rdata);
    record
}

/// An OPT record with options whose lengths are mostly true.
fn opt(random: &mut Random) -> Vec<u8> {
    let mut rdata = Vec::new();
    for _ in 0..random.below(4) {
        let content_len = random.pick(&[0, 1, 4, 7, 8, 16, 24, 32, 40, 41, 64]);
        rdata.extend_from_slice(&random.pick(&OPTIONS).to_be_bytes());
        let told = if random.below(12) == 0 { random.word() } else { u16::try_from(content_len).unwrap() };
        rdata.extend_from_slice(&told.to_be_bytes());
        rdata.extend(random.octets(content_len));
    }
    let size = random.pick(&[0, 511, 512, 1232, 4096, 65_535]);
    let version = random.pick(&[0_u32, 0, 0, 0, 1, 2, 255]);
    let flags = random.pick(&[0_u32, 0x8000, 0xffff]);
    record(&[0], 41, size, version << 16 | flags, &rdata)
}

/// A record that nobody asked for.
fn stray(random: &mut Random) -> Vec<u8> {
    let owner = match random.below(4) {
        0 => vec![0xc0, 12],
        1 => vec![0xc0 | random.octet() & 0x3f, random.octet()],
        2 => vec![0],
        _ => name(random.pick(&NAMES)),
    };
    let class = random.pick(&CLASSES);
    match random.below(5) {
        // TSIG (RFC 8945) and SIG(0) (RFC 2931) with keys nobody knows.
        0 => {
            let mut rdata = [name("hmac-sha256"), vec![0, 0, 0x65, 0, 0, 0, 1, 44, 0, 32]].concat();
            rdata.extend(random.octets(32));
            rdata.extend_from_slice(&[0x12, 0x34, 0, 0, 0, 0]);
            record(&name("key.m.test"), 250, 255, 0, &rdata)
        }
        1 => {
            let mut rdata = vec![0, 0, 8, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1];
            rdata.extend(name("m.test"));
            rdata.extend(random.octets(64));
            record(&[0], 24, 255, 0, &rdata)
        }
        // A SOA, as in IXFR and NOTIFY.
        2 => record(&owner, 6, class, 0, &[&[0xc0, 12, 0xc0, 12][..], &random.octets(20)].concat()),
        _ => {
            let len = random.below(40);
            record(&owner, random.pick(&TYPES), class, 60, &random.octets(len))
        }
    }
}

/// Makes one thing wrong.
fn spoil(draft: &mut Draft, random: &mut Random) {
    match random.below(12) {
        0 => draft.header[1] = random.word(),
        1 => draft.header[1] = draft.header[1] & 0x87ff | random.word() & 0x7800,
        2 => draft.header[2 + random.below(4)] = random.pick(&[0, 1, 2, 3, 0x7fff, 0xffff]),
        3 => draft.header[1] |= 0x8000,
        4 => draft.question = crooked_question(random),
        5 => draft.question[0] = random.pick(&[0x40, 0x41, 0x80, 0xbf, 0xc0, 0xff, 63, 1]),
        6 => draft.add(opt(random)),
        7 | 8 => draft.add(stray(random)),
        9 => {
            // Told, but in another section than it is.
            let section = 3 + random.below(3);
            draft.records.push(if random.below(2) == 0 { opt(random) } else { stray(random) });
            draft.header[section] = draft.header[section].wrapping_add(1);
        }
        10 => {
            let tail = draft.question.len() - 4;
            draft.question[tail..tail + 2].copy_from_slice(&random.word().to_be_bytes());
        }
        _ => {
            let tail = draft.question.len() - 2;
            draft.question[tail..].copy_from_slice(&random.word().to_be_bytes());
        }
    }
}

/// A question whose name is at a border, or past it, or leads somewhere; at least five bytes.
fn crooked_question(random: &mut Random) -> Vec<u8> {
    let mut question = match random.below(6) {
        0 => vec![0xc0 | random.octet() & 0x3f, random.octet()],
        1 => [b"\x03www", &[0xc0, 12][..]].concat(),
        // As many labels as there can be, one more, one less.
        2 => [b"\x01a".repeat(126 + random.below(3)), vec![0]].concat(),
        // Octets: 255 are allowed.
        3 => {
            let last = 58 + random.below(5);
            let mut name = [&[63][..], &[b'x'; 63]].concat().repeat(3);
            name.push(u8::try_from(last).unwrap());
            name.extend(vec![b'y'; last]);
            name.push(0);
            name
        }
        // Octets that text has to escape.
        4 => {
            let label = random.octets(20);
            [&[20][..], &label, &name("wild.m.test")].concat()
        }
        _ => {
            let len = 1 + random.below(60);
            random.octets(len)
        }
    };
    question.extend_from_slice(&[0, random.pick(&[1, 255]), 0, 1]);
    question
}

/// Changes bytes without regard to what they mean.
fn mangle(packet: &mut Vec<u8>, random: &mut Random) {
    match random.below(4) {
        0 => packet.truncate(random.below(packet.len() + 1)),
        1 => {
            let len = random.below(64);
            packet.extend(random.octets(len));
        }
        _ => {
            for _ in 0..1 + random.below(4) {
                let at = random.below(packet.len());
                packet[at] = if random.below(2) == 0 { random.octet() } else { packet[at] ^ 1 << random.below(8) };
            }
        }
    }
}

impl Draft {
    /// Adds a record to the additional section, and to its count.
    fn add(&mut self, record: Vec<u8>) {
        self.records.push(record);
        self.header[5] = self.header[5].wrapping_add(1);
    }

    /// The message.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.header.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.extend_from_slice(&self.question);
        bytes.extend(self.records.iter().flatten());
        bytes
    }
}
