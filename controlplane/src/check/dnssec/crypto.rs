//! Cryptography of DNSSEC: which signature fits which key, and digests.
//!
//! It knows no records and no time. Invariant: what cannot be judged is [`Verdict::Unsupported`], never good or bad. RFC
//! 3110, 5702, 6605, 8080, 8624.

use aws_lc_rs::signature as aws;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use ring::digest;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

use super::Verifier;

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

/// A public key that is read once for all signatures by it.
pub(super) enum PublicKey<'z> {
    /// A point of a curve, for ring, which reads it each time it verifies.
    Curve(UnparsedPublicKey<Vec<u8>>),
    /// A point on P-256, for the crate p256. Reading it includes the check that it is on the curve.
    P256(Box<VerifyingKey>),
    /// A key that aws-lc-rs has read and found to be one.
    Aws(Box<aws::ParsedPublicKey>),
    /// RSA with SHA-256, for aws-lc-rs: exponent and modulus without leading zeros.
    AwsRsa(aws::RsaPublicKeyComponents<&'z [u8]>),
    /// RSA.
    Rsa {
        /// What it signs with.
        parameters: &'static RsaParameters,
        /// Exponent without leading zeros.
        exponent: &'z [u8],
        /// Modulus without leading zeros.
        modulus: &'z [u8],
    },
    /// No key at all: no signature fits.
    Malformed,
    /// Nobody here can tell, with the reason.
    Unsupported(&'static str),
}

impl<'z> PublicKey<'z> {
    /// Reads a public key in the format of DNSKEY.
    pub(super) fn read(algorithm: u8, public_key: &'z [u8], verifier: Verifier) -> PublicKey<'z> {
        match (algorithm, verifier) {
            (5 | 7, _) => PublicKey::rsa(&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, public_key),
            (8, Verifier::AwsLc) => match PublicKey::rsa(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, public_key) {
                PublicKey::Rsa { exponent: e, modulus: n, .. } => {
                    PublicKey::AwsRsa(aws::RsaPublicKeyComponents { n, e })
                }
                other => other,
            },
            (8, _) => PublicKey::rsa(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, public_key),
            (10, _) => PublicKey::rsa(&RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, public_key),
            (13, Verifier::Ring) => PublicKey::curve(&ECDSA_P256_SHA256_FIXED, uncompressed(public_key)),
            (13, Verifier::RustCrypto) => match VerifyingKey::from_sec1_bytes(&uncompressed(public_key)) {
                Ok(key) => PublicKey::P256(Box::new(key)),
                Err(_) => PublicKey::Malformed,
            },
            (13, Verifier::AwsLc) => PublicKey::aws(&aws::ECDSA_P256_SHA256_FIXED, &uncompressed(public_key)),
            (14, Verifier::AwsLc) => PublicKey::aws(&aws::ECDSA_P384_SHA384_FIXED, &uncompressed(public_key)),
            (15, Verifier::AwsLc) => PublicKey::aws(&aws::ED25519, public_key),
            (14, _) => PublicKey::curve(&ECDSA_P384_SHA384_FIXED, uncompressed(public_key)),
            (15, _) => PublicKey::curve(&ED25519, public_key.to_vec()),
            (16, _) => PublicKey::Unsupported("Ed448 is not implemented here"),
            (1 | 3 | 6 | 12, _) => {
                PublicKey::Unsupported("the algorithm must not be used any more (RFC 8624 section 3.1)")
            }
            _ => PublicKey::Unsupported("the algorithm is not known"),
        }
    }

    /// A key of an elliptic curve.
    fn curve(algorithm: &'static dyn VerificationAlgorithm, point: Vec<u8>) -> PublicKey<'z> {
        PublicKey::Curve(UnparsedPublicKey::new(algorithm, point))
    }

    /// A key for aws-lc-rs.
    fn aws(algorithm: &'static dyn aws::VerificationAlgorithm, octets: &[u8]) -> PublicKey<'z> {
        match aws::ParsedPublicKey::new(algorithm, octets) {
            Ok(key) => PublicKey::Aws(Box::new(key)),
            Err(_) => PublicKey::Malformed,
        }
    }

    /// A key of RSA: exponent and modulus (RFC 3110 section 2).
    fn rsa(parameters: &'static RsaParameters, public_key: &'z [u8]) -> PublicKey<'z> {
        let Some((exponent, modulus)) = rsa_parts(public_key) else { return PublicKey::Malformed };
        if !RSA_LEN_RANGE.contains(&modulus.len()) {
            return PublicKey::Unsupported("RSA keys below 1024 and above 8192 bits cannot be verified here");
        }
        if exponent.len() > RSA_EXPONENT_LEN_MAX {
            return PublicKey::Unsupported("RSA keys with an exponent above 32 bits cannot be verified here");
        }
        PublicKey::Rsa { parameters, exponent, modulus }
    }

    /// Verifies a signature over `message`.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Verdict {
        let is_good = match self {
            PublicKey::Curve(key) => key.verify(message, signature).is_ok(),
            PublicKey::Aws(key) => key.verify_sig(message, signature).is_ok(),
            PublicKey::AwsRsa(key) => {
                key.verify(&aws::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, message, signature).is_ok()
            }
            PublicKey::P256(key) => {
                Signature::from_slice(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }
            PublicKey::Rsa { parameters, exponent, modulus } => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(parameters, message, signature).is_ok()
            }
            PublicKey::Malformed => false,
            PublicKey::Unsupported(reason) => return Verdict::Unsupported(reason),
        };
        if is_good { Verdict::Good } else { Verdict::Bad }
    }
}

/// The point as X9.62 writes it: DNSKEY leaves the first octet out (RFC 6605 section 4).
fn uncompressed(public_key: &[u8]) -> Vec<u8> {
    let mut point = Vec::with_capacity(public_key.len() + 1);
    point.push(4);
    point.extend_from_slice(public_key);
    point
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
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
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
        let verify = |algorithm, key: &[u8], verifier| {
            PublicKey::read(algorithm, key, verifier).verify(b"message", b"signature")
        };
        for verifier in [Verifier::Ring, Verifier::RustCrypto, Verifier::AwsLc] {
            for algorithm in [0, 1, 3, 6, 12, 16, 17, 200, 253] {
                assert!(matches!(verify(algorithm, b"key", verifier), Verdict::Unsupported(_)));
            }
            // An RSA key of 512 bits.
            let small = [&[1u8, 3][..], &[0xff; 64]].concat();
            assert!(matches!(verify(8, &small, verifier), Verdict::Unsupported(_)));
            for algorithm in [5, 7, 8, 10, 13, 14, 15] {
                assert_eq!(verify(algorithm, b"", verifier), Verdict::Bad, "{algorithm}");
            }
        }
    }

    #[test]
    fn all_verify_p256_and_agree_on_what_is_wrong() {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        let public = &pair.public_key().as_ref()[1..];
        let signature = pair.sign(&random, b"message").unwrap().as_ref().to_vec();
        let mut cases = vec![("", signature.clone(), public.to_vec(), Verdict::Good)];
        for octet in [0, 31, 32, 63] {
            let mut flipped = signature.clone();
            flipped[octet] ^= 1;
            cases.push(("flipped", flipped, public.to_vec(), Verdict::Bad));
        }
        let mut off_curve = public.to_vec();
        off_curve[63] ^= 1;
        cases.extend([
            ("short", signature[..63].to_vec(), public.to_vec(), Verdict::Bad),
            ("long", [&signature[..], &[0]].concat(), public.to_vec(), Verdict::Bad),
            ("zeros", vec![0; 64], public.to_vec(), Verdict::Bad),
            ("above the order", vec![0xff; 64], public.to_vec(), Verdict::Bad),
            ("a point that is none", signature.clone(), off_curve, Verdict::Bad),
            ("a compressed point", signature, [&[2], &public[..32]].concat(), Verdict::Bad),
        ]);
        for (what, signature, public, expected) in cases {
            for verifier in [Verifier::Ring, Verifier::RustCrypto, Verifier::AwsLc] {
                let verdict = PublicKey::read(13, &public, verifier).verify(b"message", &signature);
                assert_eq!(verdict, expected, "{what} {verifier:?}");
            }
        }
    }
}
