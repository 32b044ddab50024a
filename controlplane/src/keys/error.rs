//! What can be wrong with a key.
//!
//! Invariant: no message has anything of a private key in it.

use thiserror::Error;

use super::Algorithm;

/// A key cannot be made, read or used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Keys of this algorithm are only imported.
    #[error("{0} keys are imported, not made: choose ECDSAP256SHA256, ECDSAP384SHA384 or ED25519")]
    NotGenerated(Algorithm),
    /// The octets are no PKCS #8.
    #[error("the private key is not PKCS #8 as RFC 5958 has it: {0}")]
    Encoding(&'static str),
    /// The key is encrypted.
    #[error("the private key is encrypted: decrypt it first, `openssl pkey -in FILE` does")]
    Encrypted,
    /// The key is in a format that was common before PKCS #8.
    #[error(
        "the private key is in its traditional format: `openssl pkcs8 -topk8 -nocrypt -in FILE` makes PKCS #8 of it"
    )]
    Traditional,
    /// The key is one of another algorithm.
    #[error("the private key is none for {0}")]
    OtherAlgorithm(Algorithm),
    /// The public key is missing, and ring cannot compute it.
    #[error("the private key comes without its public key, which {0} needs: `openssl pkey -in FILE` adds it")]
    PublicMissing(Algorithm),
    /// The public key is of another private key.
    #[error("private and public key do not belong together")]
    Mismatch,
    /// A size of RSA key that ring does not sign with.
    #[error(
        "an RSA key of {bits} bits cannot sign here, only 2048, 3072 and 4096 bits with an exponent from 65537 to 2^33 can: \
         roll over to a key of another kind before the move"
    )]
    RsaSize {
        /// Bits of the modulus.
        bits: usize,
    },
    /// The numbers make no key.
    #[error("the numbers in the private key make no key for {0}: the file is damaged, or is of another algorithm")]
    Numbers(Algorithm),
    /// The system gave no randomness.
    #[error("the system gives no random octets")]
    Random,
    /// Signing failed.
    #[error("signing with {0} failed")]
    Sign(Algorithm),
}
