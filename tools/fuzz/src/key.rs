//! Private keys that are imported: PKCS #8 and the key files of BIND.
//!
//! The first byte chooses: PKCS #8 of one of the algorithms, or both key files, a zero between them.

use controlplane::keys::{Algorithm, KeyPair, Role, bind};

/// Takes the bytes as a key: what is read is written and read again as the same.
pub(crate) fn check(bytes: &[u8]) {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    match Algorithm::ALL.get(usize::from(choice) % (Algorithm::ALL.len() + 1)) {
        Some(&algorithm) => check_pkcs8(rest, algorithm),
        None => check_files(rest),
    }
}

/// PKCS #8 of an algorithm.
fn check_pkcs8(bytes: &[u8], algorithm: Algorithm) {
    let Ok(pair) = KeyPair::from_pkcs8(bytes, algorithm) else { return };
    let written = pair.to_pkcs8();
    let read = KeyPair::from_pkcs8(&written, algorithm).expect("what was written is a key");
    assert_eq!((read.public(), read.to_pkcs8()), (pair.public(), written));
}

/// A `.private` and a `.key` file.
fn check_files(bytes: &[u8]) {
    let mut files = bytes.splitn(2, |&byte| byte == 0);
    let (private, key) = (files.next().unwrap_or_default(), files.next().unwrap_or_default());
    let Ok(imported) = bind::read(private, key) else { return };
    let role = if imported.flags == Role::Zsk.flags() { Role::Zsk } else { Role::Csk };
    let written = bind::write(imported.apex.as_ref(), role, &imported.pair);
    let read = bind::read(written.private.as_bytes(), written.key.as_bytes()).expect("what was written is a key");
    assert_eq!((&read.apex, read.flags), (&imported.apex, imported.flags));
    assert_eq!(read.pair.to_pkcs8(), imported.pair.to_pkcs8());
}
