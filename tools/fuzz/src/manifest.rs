//! Manifests: raw bytes, bytes under a digest that fits, and a valid one with changes.
//!
//! The first byte selects.

use std::sync::LazyLock;

use snapshot::image::Manifest;

use crate::memory;

/// A manifest of two packs, as bytes that changes are made to.
static VALID: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let pack = memory::compile(&[("a.", "@ 60 SOA ns.a. h.a. 1 2 3 4 5\n@ 60 NS ns.a.\nns 60 A 192.0.2.1\n")]);
    let pack = snapshot::image::PackRef { digest: pack.digest, bytes: pack.bytes.len() as u64, zones: 1 };
    let mut other = pack;
    other.digest.0[0] ^= 1;
    let manifest = memory::manifest(vec![pack, other]);
    manifest.encode().expect("a small manifest can be written").0
});

/// Takes the bytes as a file, or as changes to a valid one.
pub(crate) fn check(bytes: &[u8]) {
    let Some((&how, rest)) = bytes.split_first() else { return };
    match how % 3 {
        0 => read(rest),
        1 => read(&memory::sealed(rest.to_vec())),
        _ => read(&memory::sealed(memory::changed(&VALID, rest))),
    }
}

/// Reads a manifest; what is read can be written again.
fn read(file: &[u8]) {
    if let Ok((manifest, _)) = Manifest::decode(file) {
        let (again, digest) = manifest.encode().expect("what was read can be written");
        assert_eq!(Manifest::decode(&again).expect("what was written can be read"), (manifest, digest));
    }
}
