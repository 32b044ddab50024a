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

/// The valid pack.
static PACK: LazyLock<Vec<u8>> = LazyLock::new(|| memory::compile(&ZONES).bytes);

/// Takes the bytes as a file, or as changes to a valid one.
pub(crate) fn check(bytes: &[u8]) {
    let Some((&how, rest)) = bytes.split_first() else { return };
    match how % 8 {
        0 => open(rest),
        1 => open(&memory::sealed(rest.to_vec())),
        _ => open(&memory::sealed(memory::changed(&PACK, rest))),
    }
}

/// Loads a pack under the digest its header states; if that works, asks it everything.
fn open(file: &[u8]) {
    let Some(digest) = file.get(32..64).and_then(|digest| digest.try_into().ok()) else { return };
    if let Ok(pack) = memory::load(file, Digest(digest)) {
        ask::everything(&memory::view(pack));
    }
}
