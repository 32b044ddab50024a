//! Packs of segments: raw bytes, and valid files with changes that the digest does not betray.
//!
//! The first byte selects. With a digest that is made to fit, the rules of the format are all that stands between a
//! careless or hostile writer and the lookups, so they must be enough.

use std::sync::LazyLock;

use snapshot::image::Digest;

use crate::{ask, memory};

/// Zones whose pack is changed: small, so that changes meet something, yet with every kind of node.
const ZONES: [(&str, &str); 2] = [
    ("a.", "@ 60 SOA ns.a. h.a. 1 2 3 4 5\n@ 60 NS ns.a.\nns 60 A 192.0.2.1\n*.w 60 MX 1 ns\nx.y 60 CNAME ns\n"),
    (
        "b.",
        "@ 60 SOA ns.b. h.b. 1 2 3 4 5\n@ 60 NS ns.c.b.\nc 60 NS ns.c\nc 60 NS ns.d\nns.c 60 A 192.0.2.1\nd 60 NS ns.d\nns.d 60 AAAA ::1\n",
    ),
];

/// The first zone as its overlay has it: something new, something else, something gone.
const CHANGED: &str =
    "@ 60 SOA ns.a. h.a. 2 2 3 4 5\n@ 60 NS ns.a.\nns 60 AAAA ::1\n*.w 60 MX 2 ns\nc 60 NS ns.c\nns.c 60 A 192.0.2.1\n";

/// The owners that differ.
const TOUCHED: [&str; 5] = ["ns.a.", "*.w.a.", "x.y.a.", "c.a.", "ns.c.a."];

/// A zone with a chain of NSEC, and what its overlay makes of it.
const SIGNED: [&str; 2] = [
    "@ 60 SOA ns.a. h.a. 1 2 3 4 5\n@ 60 RRSIG SOA 13 1 60 20300101000000 20200101000000 1 a. AAAA\n@ 60 NS ns.a.\n\
     @ 60 NSEC b NS SOA\nb 60 TXT x\nb 60 NSEC c TXT\nc 60 TXT x\nc 60 NSEC a. TXT\n",
    "@ 60 SOA ns.a. h.a. 2 2 3 4 5\n@ 60 RRSIG SOA 13 1 60 20300101000000 20200101000000 2 a. AAAA\n@ 60 NS ns.a.\n\
     @ 60 NSEC c NS SOA\nc 60 TXT x\nc 60 NSEC d TXT\nd 60 TXT x\nd 60 NSEC a. TXT\n",
];

/// The like with NSEC3. The first hash is that of the apex.
const HASHED: [&str; 2] = [
    "@ 60 SOA ns.a. h.a. 1 2 3 4 5\n@ 60 RRSIG SOA 13 1 60 20300101000000 20200101000000 1 a. AAAA\n@ 60 NS ns.a.\n\
     @ 60 NSEC3PARAM 1 0 0 -\nqj2k5gbslc63lg0qour6j95c8s2b6ueh 60 NSEC3 1 0 0 - GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG NS SOA\n\
     gggggggggggggggggggggggggggggggg 60 NSEC3 1 0 0 - qj2k5gbslc63lg0qour6j95c8s2b6ueh TXT\n",
    "@ 60 SOA ns.a. h.a. 2 2 3 4 5\n@ 60 RRSIG SOA 13 1 60 20300101000000 20200101000000 2 a. AAAA\n@ 60 NS ns.a.\n\
     @ 60 NSEC3PARAM 1 0 0 -\nqj2k5gbslc63lg0qour6j95c8s2b6ueh 60 NSEC3 1 0 0 - SSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSS NS SOA\n\
     ssssssssssssssssssssssssssssssss 60 NSEC3 1 0 0 - qj2k5gbslc63lg0qour6j95c8s2b6ueh TXT\n",
];

/// The owners that differ in both.
const TOUCHED_SIGNED: [&str; 5] =
    ["b.a.", "c.a.", "d.a.", "gggggggggggggggggggggggggggggggg.a.", "ssssssssssssssssssssssssssssssss.a."];

/// A zone whose names `p` and `*.w` have alternatives.
const PLACED_ZONE: &str = "@ 60 SOA ns.a. h.a. 1 2 3 4 5\n@ 60 NS ns.a.\nns 60 A 192.0.2.1\np 60 A 192.0.2.1\n\
                           p 60 A 192.0.2.2\np 60 A 192.0.2.3\n*.w 60 MX 1 p\n*.w 60 MX 2 ns\n";

/// The valid pack.
static PACK: LazyLock<Vec<u8>> = LazyLock::new(|| memory::compile(&ZONES).bytes);

/// A valid pack of the first zone and an overlay on it.
static OVERLAID: LazyLock<Vec<u8>> = LazyLock::new(|| memory::overlaid(ZONES[0], CHANGED, &TOUCHED).bytes);

/// Valid packs of a signed zone and an overlay on it.
static SIGNED_OVERLAID: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    [SIGNED, HASHED].map(|[text, changed]| memory::overlaid(("a.", text), changed, &TOUCHED_SIGNED).bytes)
});

/// A valid pack of a zone with alternatives, and the table of places that decides between them.
static PLACED: LazyLock<Vec<u8>> = LazyLock::new(|| memory::placed(("a.", PLACED_ZONE)).bytes);

/// Takes the bytes as a file, or as changes to a valid one.
pub(crate) fn check(bytes: &[u8]) {
    let Some((&how, rest)) = bytes.split_first() else { return };
    match how % 8 {
        0 => open(rest),
        1 => open(&memory::sealed(rest.to_vec())),
        4 => open(&memory::sealed(memory::changed(&PLACED, rest))),
        5 => open(&memory::sealed(memory::changed(&SIGNED_OVERLAID[0], rest))),
        6 => open(&memory::sealed(memory::changed(&SIGNED_OVERLAID[1], rest))),
        7 => open(&memory::sealed(memory::changed(&OVERLAID, rest))),
        _ => open(&memory::sealed(memory::changed(&PACK, rest))),
    }
}

/// Loads a pack under the digest its header states; if that works, asks it everything.
fn open(file: &[u8]) {
    let Some(digest) = file.get(32..64).and_then(|digest| digest.try_into().ok()) else { return };
    if let Ok(view) = memory::load(file, Digest(digest)).and_then(memory::assemble) {
        ask::everything(&view);
    }
}
