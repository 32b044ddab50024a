//! How a generation gets from the process that compiles it to those that serve it.
//!
//! A directory holds immutable `pack-<digest>` files, one `manifest-<epoch>-<generation>` per generation, `CURRENT`, which
//! names the manifest to serve, and `lock`. [`Directory`] reads it, [`Writer`] is the one process that may add to it, and
//! [`frames`] are the words of the socket over which a data plane is told. Nothing here knows DNS: what is inside a pack
//! is `image`'s. Invariants: a file never changes while it has its final name; whatever `CURRENT` names is durable before `CURRENT`
//! names it; generations only grow; only the holder of `lock` changes anything.

mod added;
mod collect;
mod compact;
mod directory;
mod disk;
mod fold;
pub mod frames;
mod index;
mod key;
mod layout;
mod load;
mod lock;
mod merged;
mod ready;
#[cfg(test)]
mod sequences;
mod spares;
mod taste;
#[cfg(test)]
mod testing;
mod writer;

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

pub use collect::{Collected, GENERATIONS_KEPT, Garbage};
pub use compact::{Compacted, Compaction};
pub use directory::{Current, Directory, GenerationEntry, GenerationState, Standing};
pub use load::{Ahead, Loaded};
pub use lock::LockError;
pub use ready::{Ready, Shelf};
pub use taste::Tasted;
pub use writer::{Keep, Publication, Published, Survey, Writer};

use crate::image::{BuildError, Digest, Generation, KeyError, LoadError};

/// Why the directory could not be read or added to. The source, where there is one, says more: see [`explain`].
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The operating system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// A link, directory, device or pipe where a file belongs; it was not followed or read.
    #[error("{} is not a regular file", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// The file is longer than such a file can be; it was not read.
    #[error("{} has {found} bytes, more than the {max} allowed", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The longest allowed.
        max: u64,
    },
    /// The file is not as long as the manifest says.
    #[error("{} has {found} bytes, but {expected} are expected", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// Its length according to the manifest.
        expected: u64,
    },
    /// The bytes are not those that were published under this name.
    #[error("{} has digest {found}, but {expected} is expected", path.display())]
    WrongDigest {
        /// The file.
        path: PathBuf,
        /// The digest of its bytes.
        found: Digest,
        /// The digest it was published with.
        expected: Digest,
    },
    /// `CURRENT` is no line of manifest name and digest, or the manifest is not the one its file name says.
    #[error("{} is malformed: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, for people.
        reason: &'static str,
    },
    /// `CURRENT` is not there, but manifests are: something was lost.
    #[error("{} is missing although generations are there", path.display())]
    CurrentMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// A pack, a manifest or the view made of them was refused by its own checks.
    #[error("{} is refused", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// The check that failed.
        source: LoadError,
    },
    /// `CURRENT` names an older generation than the one in service: somebody put an old directory back.
    #[error("generation {} is older than generation {}, which is in service", found.0, serving.0)]
    Rollback {
        /// The generation of `CURRENT`.
        found: Generation,
        /// The generation in service.
        serving: Generation,
    },
    /// Processes that loaded it on trial died of it.
    #[error("{} is not loaded: trial loads of it crashed", path.display())]
    Avoided {
        /// Its manifest.
        path: PathBuf,
    },
    /// `CURRENT` names a generation of a writer that another one has taken over from.
    #[error("epoch {found} is older than epoch {serving}, which is in service")]
    StaleEpoch {
        /// The epoch of `CURRENT`.
        found: u64,
        /// The epoch in service.
        serving: u64,
    },
    /// Another writer has taken over: this one must not publish.
    #[error("epoch {own} is over: another writer has taken over with epoch {found}")]
    Fenced {
        /// The epoch of the directory.
        found: u64,
        /// The epoch of this writer.
        own: u64,
    },
    /// A file of a secret key that others than its owner can read.
    #[error("{} holds a secret key and can be read by others: chmod go-rwx", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// A file that holds no key.
    #[error("{} is no key", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// The content cannot be written as packs and a manifest.
    #[error("cannot encode the new generation")]
    Encode(#[source] BuildError),
    /// The generation number or epoch is the last one that fits.
    #[error("no generation number is left")]
    Exhausted,
}

/// An error with all its causes in one line, as `cannot write D/x: no space left on device`.
#[must_use]
pub fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail; the line would only be shorter.
        if write!(text, ": {error}").is_err() {
            break;
        }
        cause = error.source();
    }
    text
}
