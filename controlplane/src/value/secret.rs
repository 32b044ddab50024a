//! Secrets of tokens: 28 characters of the base58 alphabet, 164 bits, and the hash by which the store finds them.
//!
//! A secret is random and long, so a fast hash is enough: nobody can try 2^164 of them. The hash is keyed by a context of
//! its own, so that it equals no other BLAKE3 hash of the same text. Invariant: a secret never shows in `Debug`.

use std::fmt;

/// How many random octets make a secret: 92 bits more than it has, which leaves no bias that could be measured.
pub const RANDOM_LEN: usize = 32;
/// How many characters a secret has.
const SECRET_LEN: usize = 28;
/// Digits and letters without those that look alike (0, O, I, l).
const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// What separates these hashes from all others. Another text makes every stored token unknown.
const HASH_CONTEXT: &str = "Petrel 2026-11-22 secret of an API token, version 1";

/// The secret of a token, shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// What the store keeps of a secret, and finds it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretHash(pub [u8; 32]);

impl Secret {
    /// Makes a secret of random octets, taken as a number in base 256 and written in base 58.
    #[must_use]
    pub fn from_random(mut random: [u8; RANDOM_LEN]) -> Secret {
        let digits = (0..SECRET_LEN).map(|_| char::from(ALPHABET[usize::from(divide_by_58(&mut random))]));
        Secret(digits.collect())
    }

    /// The text, for the one reply that shows it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl SecretHash {
    /// Hashes what a client presents as a secret, of whatever form: tokens that were imported have others.
    #[must_use]
    pub fn of(secret: &str) -> SecretHash {
        SecretHash(blake3::derive_key(HASH_CONTEXT, secret.as_bytes()))
    }
}

/// Divides the number (most significant octet first) by 58 and returns the remainder.
fn divide_by_58(number: &mut [u8]) -> u8 {
    let mut remainder: u16 = 0;
    for octet in number {
        let value = remainder << 8 | u16::from(*octet);
        // The remainder is below 58, so the quotient is below 256.
        *octet = u8::try_from(value / 58).unwrap_or(u8::MAX);
        remainder = value % 58;
    }
    u8::try_from(remainder).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Random octets that are different for each `seed`.
    fn random(seed: u32) -> [u8; RANDOM_LEN] {
        blake3::derive_key("test", &seed.to_le_bytes())
    }

    #[test]
    fn secrets_are_28_characters_of_base58() {
        let mut seen = HashSet::new();
        let mut counts = [0u32; 128];
        for seed in 0..10_000 {
            let secret = Secret::from_random(random(seed));
            assert_eq!(secret.expose().len(), 28);
            assert!(secret.expose().bytes().all(|octet| octet.is_ascii_alphanumeric() && !b"0OIl".contains(&octet)));
            secret.expose().bytes().for_each(|octet| counts[usize::from(octet)] += 1);
            assert!(seen.insert(secret.expose().to_owned()));
        }
        // 280,000 characters over 58 letters: 4,828 each, with a standard deviation of 69.
        assert!(ALPHABET.iter().all(|&letter| (4_400..5_250).contains(&counts[usize::from(letter)])));
        assert_eq!(Secret::from_random([0; RANDOM_LEN]).expose(), "1".repeat(28));
    }

    #[test]
    fn the_number_is_written_from_its_lowest_digit() {
        let mut number = [0; RANDOM_LEN];
        number[RANDOM_LEN - 2..].copy_from_slice(&(58u16 * 57 + 1).to_be_bytes());
        assert_eq!(Secret::from_random(number).expose(), format!("2z{}", "1".repeat(26)));
    }

    #[test]
    fn the_hash_is_its_own_and_stable() {
        let hash = SecretHash::of("i-T3b1h_OI-H9ab8tRS98stGtURe");
        assert_eq!(hash, SecretHash::of("i-T3b1h_OI-H9ab8tRS98stGtURe"));
        assert_ne!(hash, SecretHash::of("i-T3b1h_OI-H9ab8tRS98stGtURf"));
        assert_ne!(hash.0, *blake3::hash(b"i-T3b1h_OI-H9ab8tRS98stGtURe").as_bytes());
        // Written down: a change of the context would lock every client out.
        let hex = data_encoding::HEXLOWER.encode(&SecretHash::of("").0);
        assert_eq!(hex, "d4cd91450706a08da31598cd32313fe5e6ccc8da6ba7402260173b6bd61c1727");
    }

    #[test]
    fn debug_output_does_not_have_it() {
        let secret = Secret::from_random(random(1));
        assert!(!format!("{secret:?}").contains(secret.expose()));
    }
}
