//! The file of the key that signs snapshots: PKCS#8, readable by its owner only.
//!
//! Invariant: a key that others could have read is not used, and one that is there is never overwritten.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::HandoverError;
use crate::image::SigningKey;

/// The permission bits of all but the owner.
const OTHERS: u32 = 0o077;
/// Bytes of the longest key file; ours have 83.
const KEY_LEN_MAX: u64 = 4096;

impl SigningKey {
    /// Makes a key and writes it to a new file, durable, that only its owner can read.
    ///
    /// # Errors
    /// [`HandoverError::Io`], also if something of this name is there; [`HandoverError::Key`].
    pub fn generate_into(path: &Path) -> Result<SigningKey, HandoverError> {
        let (key, document) =
            SigningKey::generate().map_err(|source| HandoverError::Key { path: path.to_owned(), source })?;
        let io = |source| HandoverError::Io { doing: "write", path: path.to_owned(), source };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path).map_err(io)?;
        file.write_all(&document).and_then(|()| file.sync_all()).map_err(io)?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)?;
        Ok(key)
    }

    /// Reads a key from its file.
    ///
    /// # Errors
    /// [`HandoverError::Io`], [`HandoverError::Exposed`] if others than the owner may read it, [`HandoverError::Key`].
    pub fn read(path: &Path) -> Result<SigningKey, HandoverError> {
        let io = |source| HandoverError::Io { doing: "read", path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.mode() & OTHERS != 0 {
            return Err(HandoverError::Exposed { path: path.to_owned() });
        }
        let mut document = Vec::new();
        file.take(KEY_LEN_MAX).read_to_end(&mut document).map_err(io)?;
        SigningKey::from_pkcs8(&document).map_err(|source| HandoverError::Key { path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = SigningKey::generate_into(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o400);
        assert_eq!(SigningKey::read(&path).unwrap().public(), made.public());
        assert!(matches!(SigningKey::generate_into(&path), Err(HandoverError::Io { .. })), "it is not overwritten");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
        assert!(matches!(SigningKey::read(&path), Err(HandoverError::Exposed { .. })));
        let other = dir.path().join("other");
        std::fs::write(&other, "none").unwrap();
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(SigningKey::read(&other), Err(HandoverError::Key { .. })));
    }
}
