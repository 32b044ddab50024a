//! Where the sealing key is: a file of 32 random octets that nobody else can read, made by us if asked to, or a credential
//! that systemd hands over.
//!
//! It is never written over: without it every sealed key is lost. Invariant: a key that others could read is not used.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use thiserror::Error;
use zeroize::Zeroizing;

use super::Seal;
use super::seal::KEY_LEN;

/// The permissions that a file of ours must not give.
const FORBIDDEN_FILE: u32 = 0o077;
/// The permissions that a credential must not give. The group bits of one show the access list that systemd gives it.
const FORBIDDEN_CREDENTIAL: u32 = 0o007;

/// The sealing key is not to be had.
#[derive(Debug, Error)]
pub enum SealFileError {
    /// There is none.
    #[error("{path} does not exist: put the sealing key back if keys were sealed with it, else have one made")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("{path} cannot be used as sealing key: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is a directory, a device or a pipe.
    #[error("{path} is not a file of 32 octets but something else")]
    Kind {
        /// What it is not.
        path: PathBuf,
    },
    /// Others can read it.
    #[error(
        "{path} can be read or written by others (mode {mode:04o}): `chmod 600 {path}`, and make new keys if somebody did"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It has another length.
    #[error(
        "{path} does not have 32 octets: put the sealing key back if keys were sealed with it; `head -c 32 /dev/urandom` makes one"
    )]
    Length {
        /// The file.
        path: PathBuf,
    },
    /// It is not random.
    #[error("{path} has the same octet 32 times: such a key protects nothing; `head -c 32 /dev/urandom` makes one")]
    Weak {
        /// The file.
        path: PathBuf,
    },
    /// There is a file already.
    #[error("{path} exists already and is not written over: keys may have been sealed with it")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The system gave no randomness.
    #[error("no sealing key can be made: the system gives no random octets")]
    Random,
}

/// The directory in which systemd puts the credentials of this service.
#[must_use]
pub fn credentials_directory() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").filter(|path| !path.is_empty()).map(PathBuf::from)
}

impl Seal {
    /// Reads the sealing key from the file at `path`, which only its owner may read.
    ///
    /// # Errors
    /// [`SealFileError`] if there is none, others can read it, or it is no key.
    pub fn from_file(path: &Path) -> Result<Seal, SealFileError> {
        read(path, FORBIDDEN_FILE)
    }

    /// Reads the sealing key from the credential `name` in `directory`, see [`credentials_directory`].
    ///
    /// # Errors
    /// As [`Seal::from_file`].
    pub fn from_credential(directory: &Path, name: &str) -> Result<Seal, SealFileError> {
        read(&directory.join(name), FORBIDDEN_CREDENTIAL)
    }

    /// Makes a sealing key in a new file at `path`, mode 0600. A crash leaves the whole file or none, and it is on disk
    /// when this returns. One process at a time may do this.
    ///
    /// # Errors
    /// [`SealFileError::Exists`] if there is a file, [`SealFileError::Io`], [`SealFileError::Random`].
    pub fn create(path: &Path) -> Result<Seal, SealFileError> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        SystemRandom::new().fill(key.as_mut_slice()).map_err(|_| SealFileError::Random)?;
        match write(path, key.as_slice()) {
            Ok(()) => Ok(Seal::new(key)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(SealFileError::Exists { path: path.to_owned() })
            }
            Err(error) => Err(SealFileError::Io { path: path.to_owned(), error }),
        }
    }
}

/// Reads a sealing key from a file without any of the permissions `forbidden`.
fn read(path: &Path, forbidden: u32) -> Result<Seal, SealFileError> {
    let path = || path.to_owned();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => SealFileError::Missing { path: path() },
        _ => SealFileError::Io { path: path(), error },
    };
    // Without blocking, for a pipe would wait for its writer.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path()).map_err(failed)?;
    // Of what was opened, so that nobody can put another file there in between.
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(SealFileError::Kind { path: path() });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & forbidden != 0 {
        return Err(SealFileError::Exposed { path: path(), mode });
    }
    if metadata.len() != KEY_LEN as u64 {
        return Err(SealFileError::Length { path: path() });
    }
    let mut key = Zeroizing::new([0; KEY_LEN]);
    file.read_exact(key.as_mut_slice()).map_err(failed)?;
    if key.iter().all(|octet| *octet == key[0]) {
        return Err(SealFileError::Weak { path: path() });
    }
    Ok(Seal::new(key))
}

/// Writes a new file, whole or not at all.
fn write(path: &Path, octets: &[u8]) -> io::Result<()> {
    // Asked for here as well, so that nothing is left beside a file that exists.
    if path.try_exists()? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // What a crash left; it never was the sealing key.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(octets)?;
    file.sync_all()?;
    renameat_with(CWD, &beside, CWD, path, RenameFlags::NOREPLACE)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::testing::pairs;
    use super::super::{Binding, Role};
    use super::*;

    /// Writes a file with these permissions.
    fn file(path: &Path, octets: &[u8], mode: u32) {
        fs::write(path, octets).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Octets that are not all the same.
    fn key() -> Vec<u8> {
        (0..32).collect()
    }

    #[test]
    fn a_made_key_is_private_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seal");
        fs::write(dir.path().join("seal.new"), "what a crash left").unwrap();
        assert!(matches!(Seal::from_file(&path), Err(SealFileError::Missing { .. })));
        let made = Seal::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let pair = pairs().remove(0);
        let binding = Binding::of("example.net.".parse().unwrap(), &pair, Role::Csk);
        let sealed = made.seal(&pair, &binding).unwrap();
        assert!(Seal::from_file(&path).unwrap().open(&sealed, &binding).is_ok());
        let before = fs::read(&path).unwrap();
        assert!(matches!(Seal::create(&path), Err(SealFileError::Exists { .. })));
        assert_eq!(fs::read(&path).unwrap(), before);
        let other = dir.path().join("other");
        Seal::create(&other).unwrap();
        assert_ne!(fs::read(&other).unwrap(), before);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seal");
        for mode in [0o604, 0o602, 0o640, 0o660, 0o644] {
            file(&path, &key(), mode);
            let error = Seal::from_file(&path).unwrap_err();
            assert!(matches!(error, SealFileError::Exposed { mode: shown, .. } if shown == mode));
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        for mode in [0o600, 0o400] {
            file(&dir.path().join(format!("{mode}")), &key(), mode);
            assert!(Seal::from_file(&dir.path().join(format!("{mode}"))).is_ok());
        }
    }

    #[test]
    fn a_credential_may_be_read_by_its_group() {
        let dir = tempfile::tempdir().unwrap();
        for (mode, good) in [(0o440, true), (0o400, true), (0o444, false)] {
            let name = format!("seal-{mode:o}");
            file(&dir.path().join(&name), &key(), mode);
            assert_eq!(Seal::from_credential(dir.path(), &name).is_ok(), good, "{mode:o}");
        }
        assert!(matches!(Seal::from_credential(dir.path(), "none"), Err(SealFileError::Missing { .. })));
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seal");
        for octets in [&b""[..], b"sesame", &[&key()[..], b"\n"].concat()] {
            file(&path, octets, 0o600);
            let error = Seal::from_file(&path).unwrap_err();
            assert!(matches!(error, SealFileError::Length { .. }));
            assert!(!format!("{error} {error:?}").contains("sesame"));
        }
        file(&path, &[0; 32], 0o600);
        assert!(matches!(Seal::from_file(&path), Err(SealFileError::Weak { .. })));
        assert!(matches!(Seal::from_file(dir.path()), Err(SealFileError::Kind { .. })));
    }
}
