//! Snapshot files: raw bytes, and valid files with changes that the digest does not betray.
//!
//! The first byte selects. With a digest that is made to fit, the rules of the format are all that stands between a
//! careless or hostile writer and the lookups, so they must be enough.

use std::sync::LazyLock;

use snapshot::image::{Digest, Manifest};

use crate::{ask, memory};

/// Bytes of the header of every file.
const HEADER_LEN: usize = 128;

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
pub fn check(bytes: &[u8]) {
    let Some((&how, rest)) = bytes.split_first() else { return };
    match how % 8 {
        0 => open(rest),
        1 => open(&sealed(rest.to_vec())),
        2 => {
            manifest(rest);
            manifest(&sealed(rest.to_vec()));
        }
        _ => open(&sealed(changed(rest))),
    }
}

/// Loads a pack under the digest its header states; if that works, asks it everything.
fn open(file: &[u8]) {
    let Some(digest) = file.get(32..64).and_then(|digest| digest.try_into().ok()) else { return };
    if let Ok(pack) = memory::load(file, Digest(digest)) {
        ask::everything(&memory::view(pack));
    }
}

/// Reads a manifest; what is read can be written again.
fn manifest(file: &[u8]) {
    if let Ok((manifest, _)) = Manifest::decode(file) {
        let (again, digest) = manifest.encode().expect("what was read can be written");
        assert_eq!(Manifest::decode(&again).expect("what was written can be read"), (manifest, digest));
    }
}

/// Puts length and digest of the body into the header.
fn sealed(mut file: Vec<u8>) -> Vec<u8> {
    if let Some((header, body)) = file.split_at_mut_checked(HEADER_LEN) {
        header[16..24].copy_from_slice(&(body.len() as u64).to_le_bytes());
        header[32..64].copy_from_slice(&Digest::of(body).0);
    }
    file
}

/// The valid pack with changes: each is four bytes, an operation, a place and a value.
fn changed(changes: &[u8]) -> Vec<u8> {
    let mut file = PACK.clone();
    let (changes, _) = changes.as_chunks::<4>();
    for &[how, high, low, value] in changes {
        let at = HEADER_LEN + usize::from(u16::from_be_bytes([high, low])) % (file.len() - HEADER_LEN);
        match how % 8 {
            0 => file[at] ^= 1 << (value % 8),
            1 => file[at] = file[at].wrapping_add(value),
            2 => file[at..].iter_mut().take(usize::from(value)).for_each(|octet| *octet = 0),
            3 => {
                // Moves something that looks right to where it is wrong.
                let len = 8.min(file.len() - at);
                let from = HEADER_LEN + usize::from(value) * 8 % (file.len() - HEADER_LEN - 8);
                file.copy_within(from..from + len, at);
            }
            _ => file[at] = value,
        }
    }
    file
}
