//! The key files of BIND, which most signers read and write: `K<zone>+<algorithm>+<tag>.key` and `.private`.
//!
//! Text in, text out: which files they are is for the caller. Times in the files are not taken over, for our rollovers have
//! their own. Invariant: what is read is one whole key, private and public half belong together, and every error says
//! where it is and what to do, but nothing of the private key.

mod private;

use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zonefile::{Options, Reader, ZoneFileError};
use thiserror::Error;
use zeroize::Zeroizing;

use super::dnskey::{Dnskey, Role};
use super::numbers::Numbers;
use super::{Algorithm, KeyError, KeyPair};

pub use private::PrivateProblem;

/// The most octets of either file: those of RSA keys of 4,096 bits have 3,500.
const FILE_LEN_MAX: usize = 65_536;

/// A key that was read.
#[derive(Debug)]
pub struct Imported {
    /// The zone it is of.
    pub apex: Name,
    /// The flags of its DNSKEY: 256, or 257 for an entry point.
    pub flags: u16,
    /// The key.
    pub pair: KeyPair,
}

/// A key as files.
pub struct Exported {
    /// How both files are called, without the ending.
    pub stem: String,
    /// The `.key` file.
    pub key: String,
    /// The `.private` file.
    pub private: Zeroizing<String>,
}

/// Key files cannot be read.
#[derive(Debug, Error)]
pub enum BindError {
    /// A file is longer than any key.
    #[error("the {file} file has more than {max} octets, so it is none", max = FILE_LEN_MAX)]
    Long {
        /// Which: `.key` or `.private`.
        file: &'static str,
    },
    /// The `.key` file is no record.
    #[error(".key file: {0}")]
    KeyFile(#[from] ZoneFileError),
    /// The `.key` file does not have one DNSKEY.
    #[error("the .key file must have one DNSKEY record and nothing else")]
    NotOneKey,
    /// The DNSKEY is for something else.
    #[error(
        "the DNSKEY in the .key file has flags {0}; a key that signs a zone has 256 or 257, and a revoked one is gone"
    )]
    Flags(u16),
    /// The DNSKEY is of another protocol.
    #[error("the DNSKEY in the .key file is not of protocol 3")]
    Protocol,
    /// A line of the `.private` file.
    #[error(".private file, line {line}: {problem}")]
    PrivateFile {
        /// The line, from 1; the last one if something is missing.
        line: usize,
        /// What is wrong.
        problem: PrivateProblem,
    },
    /// The files are of different algorithms.
    #[error(
        "the .private file has a key for {private}, the .key file one of algorithm {key}: they are of different keys"
    )]
    OtherAlgorithm {
        /// Of the `.private` file.
        private: Algorithm,
        /// Of the `.key` file.
        key: u8,
    },
    /// The files are of different keys.
    #[error("the .private file is not that of the key with tag {tag} in the .key file: they are of different keys")]
    Mismatch {
        /// Tag of the key in the `.key` file.
        tag: u16,
    },
    /// The private key does not work.
    #[error(".private file: {0}")]
    Key(KeyError),
}

/// Reads a key from the content of both its files.
///
/// # Errors
/// [`BindError`] if a file is not of this form, or they do not belong together.
pub fn read(private: &[u8], key: &[u8]) -> Result<Imported, BindError> {
    for (file, octets) in [(".private", private), (".key", key)] {
        if octets.len() > FILE_LEN_MAX {
            return Err(BindError::Long { file });
        }
    }
    let (apex, dnskey) = read_key(key)?;
    let (algorithm, mut numbers) = private::read(private)?;
    if algorithm.number() != dnskey.algorithm {
        return Err(BindError::OtherAlgorithm { private: algorithm, key: dnskey.algorithm });
    }
    if let Numbers::Curve { public, .. } = &mut numbers {
        *public = Some(dnskey.public.clone());
    }
    match KeyPair::from_numbers(numbers, algorithm) {
        Ok(pair) if pair.public() == dnskey.public => Ok(Imported { apex, flags: dnskey.flags, pair }),
        Ok(_) | Err(KeyError::Mismatch) => Err(BindError::Mismatch { tag: dnskey.tag() }),
        Err(error) => Err(BindError::Key(error)),
    }
}

/// Writes the key with this role in the zone at `apex` as files.
#[must_use]
pub fn write(apex: NameRef<'_>, role: Role, pair: &KeyPair) -> Exported {
    let dnskey = pair.dnskey(role);
    let tag = dnskey.tag();
    let kind = if dnskey.is_entry_point() { "key" } else { "zone" };
    let stem = format!("K{}+{:03}+{tag:05}", file_name(apex), pair.algorithm().number());
    let key = format!("; This is a {kind}-signing key, keyid {tag}, for {apex}\n{apex} IN DNSKEY {dnskey}\n");
    Exported { stem, key, private: private::write(pair) }
}

/// Reads the `.key` file: comments and one record.
fn read_key(text: &[u8]) -> Result<(Name, Dnskey), BindError> {
    // The TTL that most programs leave out is no concern of ours.
    let options = Options { default_ttl: Some(0), ..Options::default() };
    let mut reader = Reader::new(text, options);
    let record = reader.read()?.ok_or(BindError::NotOneKey)?;
    if record.rtype != Rtype::DNSKEY {
        return Err(BindError::NotOneKey);
    }
    let apex = record.owner.to_name();
    let dnskey = Dnskey::read(record.rdata).ok_or(BindError::Protocol)?;
    if reader.read()?.is_some() {
        return Err(BindError::NotOneKey);
    }
    let signs_zones = Role::ALL.into_iter().any(|role| role.flags() == dnskey.flags);
    if signs_zones { Ok((apex, dnskey)) } else { Err(BindError::Flags(dnskey.flags)) }
}

/// A name as part of a file name: no path comes of any name, for all but letters, digits, hyphen and underscore are hex.
fn file_name(name: NameRef<'_>) -> String {
    let mut text = String::new();
    for label in name.labels() {
        for octet in label.to_ascii_lowercase() {
            match octet {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => text.push(char::from(octet)),
                other => text.push_str(&format!("%{other:02X}")),
            }
        }
        text.push('.');
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

#[cfg(test)]
mod tests;
