//! Keys of DNSSEC: pairs that sign, the records that announce them, and the forms in which they are kept and exchanged.
//!
//! [`KeyPair`] signs, or a [`Device`] does, [`Dnskey`] is what a zone and its parent publish of it, [`Seal`] encrypts it for the database, and
//! [`bind`] reads and writes the files of other name servers. This module knows no zones, no signatures over RRsets and no
//! SQL. Invariants: what is secret is in no `Debug`, no error and no log; buffers of ours that held it are zeroed when they
//! are dropped. The copies that ring holds within its key types are not, for ring does not offer it: they live as long as
//! the pair. RFC 3110, 4034, 5702, 5958, 6605, 8080.

mod algorithm;
pub mod bind;
mod der;
mod device;
mod dnskey;
mod error;
mod key;
mod numbers;
mod pair;
mod pkcs8;
mod seal;
mod sealfile;
#[cfg(test)]
mod testing;

pub use algorithm::{Algorithm, AlgorithmUnknown};
#[cfg(test)]
pub(crate) use device::Fake;
pub use device::{Device, DeviceCounts, DeviceError, DeviceSettings, HeldKey, KeyNumber};
pub use dnskey::{DigestType, Dnskey, Role, Shown, key_tag, shown};
pub use error::KeyError;
pub use key::SigningKey;
pub use pair::KeyPair;
pub use seal::{Binding, OpenError, Seal, SealError};
pub use sealfile::{SealFileError, credentials_directory};
