//! The XDP program of a load: over live frames it asks, and at the interface it counts the replies and drops them.
//!
//! It is one program, so that it is attached while it runs over live frames: the kernel keeps a table of attached programs,
//! and to put one in and out of it for each test run takes some 25 ms. It tells its two places apart by the interface:
//! live frames claim to come from loopback. Invariant: at the interface, whatever is no reply to one of its ports passes.

use std::io;

use super::assembly::Op::{Add, And, Copy, Down, Or, Rest, Sub, Up, Xor};
use super::assembly::Value::{Number, Register};
use super::assembly::When::{Differ, Equal, Greater, NotLess};
use super::assembly::Width::{Byte, Double, Half, Word};
use super::assembly::{Assembly, Op};

/// Octets of Ethernet, IPv4 and UDP before the message.
pub(super) const PAYLOAD_OFF: usize = 42;
/// The most octets of a query.
pub(super) const PAYLOAD_LEN_MAX: usize = 96;
/// Octets of an entry of the questions: the message, filled up; its length; four of nothing.
pub(super) const QUESTION_LEN: usize = PAYLOAD_LEN_MAX + 8;
/// Octets of the counts: queries, replies, replies by rcode.
pub(super) const COUNTS_LEN: usize = 16 + 16 * 8;
/// Octets of the allowance: how many more queries than replies there may be.
pub(super) const ALLOWANCE_LEN: usize = 8;
/// Octets of a label that is written anew for each query.
pub(super) const LABEL_LEN: u8 = 8;
/// Where the first label begins in a message, behind the header and the octet of its length.
const LABEL_OFF: usize = 13;
/// The two highest bits of the ports that queries come from, 16,384 to 32,767: below those that Linux gives to sockets, so
/// that other clients on the same interface keep their replies.
const PORT_BITS: i32 = 0x4000;
/// The loopback interface of every network namespace.
const LOOPBACK: i32 = 1;
/// `XDP_DROP`.
const DROP: i32 = 1;
/// `XDP_PASS`.
const PASS: i32 = 2;
/// `bpf_map_lookup_elem`.
const LOOKUP: i32 = 1;
/// `bpf_get_prandom_u32`.
const RANDOM: i32 = 7;
/// `bpf_redirect`.
const REDIRECT: i32 = 23;
/// `bpf_xdp_adjust_tail`.
const ADJUST_TAIL: i32 = 65;

/// What the program is made of.
pub(super) struct Shape {
    /// Number of the map of counts.
    pub(super) counts: u32,
    /// Number of the map of the allowance.
    pub(super) allowance: u32,
    /// Number of the map of questions.
    pub(super) questions: u32,
    /// How many questions there are.
    pub(super) question_count: i32,
    /// Whether the first label is written anew for each query.
    pub(super) has_random_label: bool,
    /// The bits that all source addresses have.
    pub(super) source: u32,
    /// The bits in which they differ.
    pub(super) source_mask: u32,
    /// The sum of the halves of the IPv4 header that the program does not write, less than 2^20.
    pub(super) header_sum: i32,
    /// The interface to send to.
    pub(super) ifindex: i32,
}

/// Assembles the program. r6 is the context, r7 the frame.
pub(super) fn assemble(shape: &Shape) -> io::Result<Vec<u64>> {
    let mut program = Assembly::default();
    let p = &mut program;
    p.op(Copy, 6, Register(1)).load(Word, 7, 6, 0).load(Word, 8, 6, 4);
    p.load(Word, 1, 6, 12).jump(Differ, 1, Number(LOOPBACK), "sink");
    ask(p, shape);
    p.place("sink");
    sink(p, shape);
    p.place("drop").op(Copy, 0, Number(DROP)).exit();
    p.place("pass").op(Copy, 0, Number(PASS)).exit();
    program.finish()
}

/// r0 becomes the entry of a map by its number in r1; without one it goes to `otherwise`.
fn entry(p: &mut Assembly, map: u32, otherwise: &'static str) {
    p.store(Word, 10, -4, 1).map(1, map);
    p.op(Copy, 2, Register(10)).op(Add, 2, Number(-4)).call(LOOKUP);
    p.jump(Equal, 0, Number(0), otherwise);
}

/// Makes the next query of a frame and sends it; drops the frame while the allowance is used up.
fn ask(p: &mut Assembly, shape: &Shape) {
    let frame_len = i32::try_from(PAYLOAD_OFF + PAYLOAD_LEN_MAX).unwrap_or(0);
    p.op(Copy, 1, Register(7)).op(Add, 1, Number(frame_len)).jump(Greater, 1, Register(8), "drop");
    p.op(Copy, 1, Number(0));
    entry(p, shape.allowance, "drop");
    p.load(Double, 8, 0, 0).op(Copy, 1, Number(0));
    entry(p, shape.counts, "drop");
    // Queries less replies may be negative, when those come that were given up.
    p.load(Double, 1, 0, 0).load(Double, 2, 0, 8).op(Copy, 3, Register(1)).op(Sub, 3, Register(2));
    p.jump(NotLess, 3, Register(8), "drop");
    p.op(Copy, 2, Register(1)).op(Add, 2, Number(1)).store(Double, 0, 0, 2);
    p.op(Rest, 1, Number(shape.question_count));
    entry(p, shape.questions, "drop");
    // Frames come back as they were left, so whatever differs between queries is written each time.
    for off in (0..PAYLOAD_LEN_MAX).step_by(8) {
        p.load(Double, 1, 0, offset(off)).store(Double, 7, offset(PAYLOAD_OFF + off), 1);
    }
    // r9: octets of the message.
    p.load(Word, 9, 0, offset(PAYLOAD_LEN_MAX));
    identify(p);
    address(p, shape);
    if shape.has_random_label {
        label(p);
    }
    // Last, because the frame is not to be touched after it.
    p.op(Copy, 1, Register(6)).op(Copy, 2, Register(9));
    p.op(Add, 2, Number(-i32::try_from(PAYLOAD_LEN_MAX).unwrap_or(0))).call(ADJUST_TAIL);
    p.op(Copy, 1, Number(shape.ifindex)).op(Copy, 2, Number(0)).call(REDIRECT).exit();
}

/// Writes id, source port and the length of the datagram. Its checksum stays 0, which over IPv4 means that there is none.
fn identify(p: &mut Assembly) {
    p.call(RANDOM).store(Half, 7, offset(PAYLOAD_OFF), 0);
    p.op(Down, 0, Number(16)).op(And, 0, Number(PORT_BITS - 1)).op(Or, 0, Number(PORT_BITS));
    p.big_endian(0, 16).store(Half, 7, 34, 0);
    p.op(Copy, 1, Register(9)).op(Add, 1, Number(8)).big_endian(1, 16).store(Half, 7, 38, 1);
}

/// Writes source address, length and checksum of the packet (RFC 791 section 3.1).
fn address(p: &mut Assembly, shape: &Shape) {
    p.call(RANDOM).wide(1, shape.source_mask.into()).op(And, 0, Register(1));
    p.wide(1, shape.source.into()).op(Or, 0, Register(1));
    p.op(Copy, 2, Register(9)).op(Add, 2, Number(28));
    p.op(Copy, 1, Register(2)).op(Add, 1, Number(shape.header_sum));
    p.big_endian(2, 16).store(Half, 7, 16, 2);
    p.op(Copy, 2, Register(0)).op(And, 2, Number(0xffff)).op(Add, 1, Register(2));
    p.op(Copy, 2, Register(0)).op(Down, 2, Number(16)).op(Add, 1, Register(2));
    for _ in 0..2 {
        p.op(Copy, 2, Register(1)).op(Down, 2, Number(16)).op(And, 1, Number(0xffff)).op(Add, 1, Register(2));
    }
    p.op(Xor, 1, Number(0xffff)).big_endian(1, 16).store(Half, 7, 24, 1);
    p.big_endian(0, 32).store(Word, 7, 26, 0);
}

/// Writes eight letters from `a` to `p` into the first label, four random bits each.
fn label(p: &mut Assembly) {
    p.call(RANDOM);
    for (by, kept) in [(16, 0x0000_ffff_0000_ffff), (8, 0x00ff_00ff_00ff_00ff), (4, 0x0f0f_0f0f_0f0f_0f0f)] {
        p.op(Copy, 1, Register(0)).op(Up, 1, Number(by)).op(Or, 0, Register(1));
        p.wide(1, kept).op(And, 0, Register(1));
    }
    p.wide(1, u64::from_ne_bytes([b'a'; 8])).op(Add, 0, Register(1)).store(
        Double,
        7,
        offset(PAYLOAD_OFF + LABEL_OFF),
        0,
    );
}

/// Counts a reply to one of our ports and drops it.
fn sink(p: &mut Assembly, shape: &Shape) {
    let read = |p: &mut Assembly, width, off: usize, op: Op, number: i32, expected: i32| {
        p.load(width, 1, 7, offset(off));
        if let Half = width {
            p.big_endian(1, 16);
        }
        p.op(op, 1, Number(number)).jump(Differ, 1, Number(expected), "pass");
    };
    p.op(Copy, 1, Register(7)).op(Add, 1, Number(offset(PAYLOAD_OFF + 12).into()));
    p.jump(Greater, 1, Register(8), "pass");
    read(p, Half, 12, And, 0xffff, 0x0800);
    read(p, Byte, 14, And, 0xff, 0x45);
    read(p, Byte, 23, And, 0xff, 17);
    read(p, Half, 36, Down, PORT_BITS.trailing_zeros().cast_signed(), 1);
    // QR.
    read(p, Byte, PAYLOAD_OFF + 2, Down, 7, 1);
    p.load(Byte, 8, 7, offset(PAYLOAD_OFF + 3)).op(And, 8, Number(15)).op(Up, 8, Number(3));
    p.op(Copy, 1, Number(0));
    entry(p, shape.counts, "pass");
    p.op(Copy, 1, Number(1)).add_shared(0, 8, 1);
    p.op(Add, 0, Register(8)).add_shared(0, 16, 1).op(Copy, 0, Number(DROP)).exit();
}

/// A distance in memory, all of which are short here.
fn offset(off: usize) -> i16 {
    i16::try_from(off).unwrap_or(i16::MAX)
}
