//! The algorithms of the keys that sign our zones (RFC 8624 section 3.1).
//!
//! Verifying knows more of them (`check::dnssec`). Invariant: what is named here can sign.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// An algorithm that we sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// RSA with SHA-256 (RFC 5702), for zones that come from elsewhere: such keys are imported and not made.
    RsaSha256,
    /// ECDSA over P-256 with SHA-256 (RFC 6605): what every validator knows, with short signatures.
    EcdsaP256Sha256,
    /// ECDSA over P-384 with SHA-384 (RFC 6605).
    EcdsaP384Sha384,
    /// Ed25519 (RFC 8080).
    Ed25519,
}

/// A text that names none of our algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected an algorithm: RSASHA256 (8), ECDSAP256SHA256 (13), ECDSAP384SHA384 (14) or ED25519 (15)")]
pub struct AlgorithmUnknown;

impl Algorithm {
    /// All of them, by number.
    pub const ALL: [Algorithm; 4] =
        [Algorithm::RsaSha256, Algorithm::EcdsaP256Sha256, Algorithm::EcdsaP384Sha384, Algorithm::Ed25519];

    /// The number in DNSKEY, DS and RRSIG.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Algorithm::RsaSha256 => 8,
            Algorithm::EcdsaP256Sha256 => 13,
            Algorithm::EcdsaP384Sha384 => 14,
            Algorithm::Ed25519 => 15,
        }
    }

    /// The algorithm of a number; `None` if we do not sign with it.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.number() == number)
    }

    /// The mnemonic in the registry of IANA.
    #[must_use]
    pub fn mnemonic(self) -> &'static str {
        match self {
            Algorithm::RsaSha256 => "RSASHA256",
            Algorithm::EcdsaP256Sha256 => "ECDSAP256SHA256",
            Algorithm::EcdsaP384Sha384 => "ECDSAP384SHA384",
            Algorithm::Ed25519 => "ED25519",
        }
    }
}

/// Writes the mnemonic.
impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mnemonic())
    }
}

/// Reads number or mnemonic, the latter in any case.
impl FromStr for Algorithm {
    type Err = AlgorithmUnknown;

    fn from_str(text: &str) -> Result<Algorithm, AlgorithmUnknown> {
        let named = |algorithm: &Algorithm| {
            text.eq_ignore_ascii_case(algorithm.mnemonic()) || text == algorithm.number().to_string()
        };
        Algorithm::ALL.into_iter().find(named).ok_or(AlgorithmUnknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_mnemonics_name_the_same() {
        for (number, mnemonic) in [(8, "RSASHA256"), (13, "ECDSAP256SHA256"), (14, "ECDSAP384SHA384"), (15, "ED25519")]
        {
            let algorithm = Algorithm::from_number(number).unwrap();
            assert_eq!(algorithm.number(), number);
            assert_eq!(algorithm.to_string(), mnemonic);
            assert_eq!(mnemonic.to_lowercase().parse(), Ok(algorithm));
            assert_eq!(number.to_string().parse(), Ok(algorithm));
        }
    }

    #[test]
    fn what_does_not_sign_is_not_named() {
        for number in (0..=255).filter(|number| ![8, 13, 14, 15].contains(number)) {
            assert_eq!(Algorithm::from_number(number), None);
        }
        for text in ["", "5", "013", "+13", " 13", "RSASHA1", "ED448", "ECDSA"] {
            assert_eq!(text.parse::<Algorithm>(), Err(AlgorithmUnknown), "{text}");
        }
    }
}
