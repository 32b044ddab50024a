//! The numbers that a private key is, whichever format they come in.
//!
//! Nothing here computes with them. Invariants: all are without leading zeros, except for scalars and seeds, which have
//! the length of their curve; what is secret is zeroed when it is dropped.

use zeroize::Zeroizing;

use super::Algorithm;

/// How many secret numbers an RSA key has.
pub(super) const RSA_SECRET_COUNT: usize = 6;
/// The longest exponent whose length DNSKEY has in one octet (RFC 3110 section 2).
const EXPONENT_LEN_SHORT: usize = 255;

/// The numbers of a private key.
pub(super) enum Numbers {
    /// A key on a curve.
    Curve {
        /// The scalar, or the seed of Ed25519.
        secret: Zeroizing<Vec<u8>>,
        /// The public key as DNSKEY has it, if it came along: not compared yet.
        public: Option<Vec<u8>>,
    },
    /// An RSA key (RFC 8017 section 3.2).
    Rsa {
        /// The modulus.
        modulus: Vec<u8>,
        /// The public exponent.
        exponent: Vec<u8>,
        /// Private exponent, both primes, their exponents and the coefficient, in the order of all formats.
        secrets: [Zeroizing<Vec<u8>>; RSA_SECRET_COUNT],
    },
}

/// How long scalar or seed of a curve are; 0 for RSA.
pub(super) fn secret_len(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::RsaSha256 => 0,
        Algorithm::EcdsaP256Sha256 | Algorithm::Ed25519 => 32,
        Algorithm::EcdsaP384Sha384 => 48,
    }
}

/// A scalar brought to the length of its curve; `None` if it is too long.
///
/// Some programs leave leading zeros out, others add one so that no bit looks like a sign. A seed is no number, and has
/// its length already.
pub(super) fn scalar(algorithm: Algorithm, octets: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let len = secret_len(algorithm);
    if algorithm == Algorithm::Ed25519 {
        return (octets.len() == len).then(|| Zeroizing::new(octets.to_vec()));
    }
    let number = stripped(octets);
    let zeros = len.checked_sub(number.len())?;
    let mut secret = Zeroizing::new(vec![0; len]);
    secret[zeros..].copy_from_slice(number);
    Some(secret)
}

/// A number without leading zeros.
pub(super) fn stripped(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&octet| octet == 0).count();
    &number[zeros..]
}

/// The public key of RSA as DNSKEY has it: length of the exponent, exponent, modulus (RFC 3110 section 2).
pub(super) fn rsa_public(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let [.., high, low] = exponent.len().to_be_bytes();
    let len: &[u8] = if exponent.len() <= EXPONENT_LEN_SHORT { &[low] } else { &[0, high, low] };
    [len, exponent, modulus].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_brought_to_length() {
        let p256 = |octets: &[u8]| scalar(Algorithm::EcdsaP256Sha256, octets).map(|secret| secret.to_vec());
        let full = [9; 32];
        assert_eq!(p256(&full), Some(full.to_vec()));
        assert_eq!(p256(&[&[0][..], &full[..]].concat()), Some(full.to_vec()));
        assert_eq!(p256(&full[1..]), Some([&[0][..], &full[1..]].concat()));
        assert_eq!(p256(&[&[1][..], &full[..]].concat()), None);
        assert_eq!(p256(&[]), Some(vec![0; 32]));
        assert_eq!(scalar(Algorithm::EcdsaP384Sha384, &full).map(|secret| secret.len()), Some(48));
        assert!(scalar(Algorithm::Ed25519, &full).is_some());
        assert!(scalar(Algorithm::Ed25519, &full[1..]).is_none());
        assert!(scalar(Algorithm::Ed25519, &[&[0][..], &full[..]].concat()).is_none());
    }

    #[test]
    fn long_exponents_have_three_octets_of_length() {
        assert_eq!(rsa_public(&[5], &[1, 0, 1]), [3, 1, 0, 1, 5]);
        assert_eq!(rsa_public(&[5], &[1; 256])[..4], [0, 1, 0, 1]);
    }
}
