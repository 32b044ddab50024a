//! Cryptography of DNSSEC: which signature fits which key, and digests.
//!
//! It knows no records and no time. Invariant: what cannot be judged is [`Verdict::Unsupported`], never good or bad. RFC
//! 3110, 5702, 6605, 8080, 8624.

use ring::digest;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

/// The sizes of RSA modulus that can be verified, in octets.
const RSA_LEN_RANGE: std::ops::RangeInclusive<usize> = 128..=1024;
/// The largest RSA exponent that can be verified, in octets.
const RSA_EXPONENT_LEN_MAX: usize = 4;

/// What became of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It fits.
    Good,
    /// It does not fit.
    Bad,
    /// Nobody here can tell, with the reason.
    Unsupported(&'static str),
}

/// Verifies a signature over `message` with a public key in the format of DNSKEY.
pub(super) fn verify(algorithm: u8, public_key: &[u8], message: &[u8], signature: &[u8]) -> Verdict {
    match algorithm {
        5 | 7 => rsa(&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, public_key, message, signature),
        8 => rsa(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, public_key, message, signature),
        10 => rsa(&RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, public_key, message, signature),
        13 => curve(&ECDSA_P256_SHA256_FIXED, &uncompressed(public_key), message, signature),
        14 => curve(&ECDSA_P384_SHA384_FIXED, &uncompressed(public_key), message, signature),
        15 => curve(&ED25519, public_key, message, signature),
        16 => Verdict::Unsupported("Ed448 is not implemented here"),
        1 | 3 | 6 | 12 => Verdict::Unsupported("the algorithm must not be used any more (RFC 8624 section 3.1)"),
        _ => Verdict::Unsupported("the algorithm is not known"),
    }
}

/// The point as X9.62 writes it: DNSKEY leaves the first octet out (RFC 6605 section 4).
fn uncompressed(public_key: &[u8]) -> Vec<u8> {
    let mut point = Vec::with_capacity(public_key.len() + 1);
    point.push(4);
    point.extend_from_slice(public_key);
    point
}

/// Verifies with an elliptic curve.
fn curve(curve: &'static dyn VerificationAlgorithm, public_key: &[u8], message: &[u8], signature: &[u8]) -> Verdict {
    match UnparsedPublicKey::new(curve, public_key).verify(message, signature) {
        Ok(()) => Verdict::Good,
        Err(_) => Verdict::Bad,
    }
}

/// Verifies with RSA; the key is exponent and modulus (RFC 3110 section 2).
fn rsa(parameters: &'static RsaParameters, public_key: &[u8], message: &[u8], signature: &[u8]) -> Verdict {
    let Some((exponent, modulus)) = rsa_parts(public_key) else { return Verdict::Bad };
    if !RSA_LEN_RANGE.contains(&modulus.len()) {
        return Verdict::Unsupported("RSA keys below 1024 and above 8192 bits cannot be verified here");
    }
    if exponent.len() > RSA_EXPONENT_LEN_MAX {
        return Verdict::Unsupported("RSA keys with an exponent above 32 bits cannot be verified here");
    }
    match (RsaPublicKeyComponents { n: modulus, e: exponent }).verify(parameters, message, signature) {
        Ok(()) => Verdict::Good,
        Err(_) => Verdict::Bad,
    }
}

/// Exponent and modulus without leading zeros.
fn rsa_parts(public_key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = match public_key {
        [0, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        [len, rest @ ..] => (usize::from(*len), rest),
        [] => return None,
    };
    let (exponent, modulus) = rest.split_at_checked(len)?;
    Some((stripped(exponent), stripped(modulus)))
}

/// A number without leading zeros.
fn stripped(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&octet| octet == 0).count();
    &number[zeros..]
}

/// The digest of a DS (RFC 4034 section 5.1.4, RFC 4509, RFC 6605); `None` for a type that is not known.
pub(super) fn ds_digest(digest_type: u8, data: &[u8]) -> Option<Vec<u8>> {
    let algorithm = match digest_type {
        1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        2 => &digest::SHA256,
        4 => &digest::SHA384,
        _ => return None,
    };
    Some(digest::digest(algorithm, data).as_ref().to_vec())
}

/// The hash of a ZONEMD, to be fed (RFC 8976 section 5.3); `None` for one that is not known.
pub(super) fn zonemd_hash(hash_algorithm: u8) -> Option<digest::Context> {
    match hash_algorithm {
        1 => Some(digest::Context::new(&digest::SHA384)),
        2 => Some(digest::Context::new(&digest::SHA512)),
        _ => None,
    }
}

/// The NSEC3 hash of a canonical name (RFC 5155 section 5). `data` is scratch space.
pub(super) fn nsec3_hash(name: &[u8], salt: &[u8], iterations: u16, data: &mut Vec<u8>) -> [u8; 20] {
    let mut hash = [0; 20];
    data.clear();
    data.extend_from_slice(name);
    for _ in 0..=iterations {
        data.extend_from_slice(salt);
        hash.copy_from_slice(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, data).as_ref());
        data.clear();
        data.extend_from_slice(&hash);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapshot::dns::name::Name;

    #[test]
    fn nsec3_hashes_are_those_of_rfc_5155_appendix_a() {
        for (name, expected) in [
            ("example.", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"),
            ("a.example.", "35mthgpgcu1qg68fab165klnsnk3dpvl"),
            ("*.w.example.", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"),
        ] {
            let name: Name = name.parse().unwrap();
            let hash = nsec3_hash(name.as_ref().as_wire(), &[0xaa, 0xbb, 0xcc, 0xdd], 12, &mut Vec::new());
            assert_eq!(super::super::nsec3::base32hex(&hash), expected);
        }
    }

    #[test]
    fn what_cannot_be_judged_is_neither_good_nor_bad() {
        for algorithm in [0, 1, 3, 6, 12, 16, 17, 200, 253] {
            assert!(matches!(verify(algorithm, b"key", b"message", b"signature"), Verdict::Unsupported(_)));
        }
        // An RSA key of 512 bits.
        let small = [&[1u8, 3][..], &[0xff; 64]].concat();
        assert!(matches!(verify(8, &small, b"message", &[0; 64]), Verdict::Unsupported(_)));
        for algorithm in [5, 7, 8, 10, 13, 14, 15] {
            assert_eq!(verify(algorithm, b"", b"message", b"signature"), Verdict::Bad, "{algorithm}");
        }
    }
}
