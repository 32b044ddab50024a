//! The command line of `dnsctl key`.
//!
//! Invariant: no secret is on it, only files that have one.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Reach;

/// Arguments of `key`.
#[derive(Debug, Args)]
pub(crate) struct Key {
    /// Which control plane.
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// What to do.
    #[command(subcommand)]
    pub(crate) kind: KeyKind,
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyKind {
    /// The key of `compile --sign`: made if FILE is not there. Prints what `dns-dataplane --trust` wants in a file.
    Snapshot {
        /// File of the secret half, for its owner's eyes only.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Show the keys of a domain, where each is in its life, and what happens next.
    Status {
        /// The domain.
        name: String,
    },
    /// Begin a rollover; it goes on by itself, but for the parent's DS records.
    Roll {
        /// The domain.
        name: String,
        /// Keys of this type only [default: all that are in use].
        #[arg(long = "type", value_name = "TYPE", value_enum)]
        keytype: Option<KeyType>,
        /// To this algorithm, all keys together: 13, 14 or 15; 8 with imported keys.
        #[arg(long, value_name = "NUMBER")]
        algorithm: Option<u8>,
    },
    /// End a rollover by going back; possible until the old keys are out of use.
    Stop {
        /// The domain.
        name: String,
    },
    /// Ask the parent by CDS and CDNSKEY to remove all DS records, so that signing can end; `stop` takes that back.
    Withdraw {
        /// The domain.
        name: String,
    },
    /// Say that all servers of the parent have the DS records of a key, and of no other of the domain.
    DsSeen {
        /// The domain.
        name: String,
        /// The tag of the key.
        tag: u16,
        /// The TTL of the DS records in seconds [default: what the server takes it to be].
        #[arg(long, value_name = "SECONDS")]
        ttl: Option<u32>,
        /// Even if the server looks at the parent and does not see them.
        #[arg(long)]
        force: bool,
    },
    /// Say that no server of the parent has a DS record of the domain any more, so that signing can end.
    DsGone {
        /// The domain.
        name: String,
        /// Even if the server looks at the parent and sees one.
        #[arg(long)]
        force: bool,
    },
    /// Say after how many days keys are rolled by themselves: 0 for never, `default` for what the server says.
    Lifetime {
        /// The domain.
        name: String,
        /// For ZSKs.
        #[arg(long, value_name = "DAYS")]
        zsk: Option<String>,
        /// For KSKs and CSKs.
        #[arg(long, value_name = "DAYS")]
        ksk: Option<String>,
    },
    /// Take a key from elsewhere: for a domain that is not signed yet, or for its next rollover. Only over the local socket.
    Import {
        /// The domain.
        name: String,
        /// The `.private` file of BIND, or PKCS #8 in PEM.
        private: PathBuf,
        /// The `.key` file of BIND; not with PEM.
        #[arg(value_name = "KEY")]
        key: Option<PathBuf>,
        /// What it is for; needed with PEM.
        #[arg(long = "type", value_name = "TYPE", value_enum)]
        keytype: Option<KeyType>,
        /// Its algorithm; needed with PEM.
        #[arg(long, value_name = "NUMBER")]
        algorithm: Option<u8>,
    },
    /// Print the public halves of a domain's keys, as DNSKEY records.
    Export {
        /// The domain.
        name: String,
    },
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyType {
    /// Signs everything.
    Csk,
    /// Signs the keys.
    Ksk,
    /// Signs all but the keys.
    Zsk,
}

impl KeyType {
    /// The word of the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            KeyType::Csk => "csk",
            KeyType::Ksk => "ksk",
            KeyType::Zsk => "zsk",
        }
    }
}
