//! A key pair, and signing with it.
//!
//! It signs octets and knows not what they are. Invariants: the public key was computed from the private one, or compared
//! with it, when the pair was made; a pair that exists can sign. RFC 6605 section 4, 8080 section 4, 3110 section 3,
//! 6979.

use std::fmt;

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use zeroize::Zeroizing;

use super::dnskey::{Dnskey, Role};
use super::numbers::{Numbers, rsa_public, secret_len};
use super::{Algorithm, KeyError, pkcs8};

/// The sizes of RSA modulus that ring signs with, in bits.
const RSA_BITS: [usize; 3] = [2048, 3072, 4096];
/// The public exponents that ring signs with.
const RSA_EXPONENTS: std::ops::Range<u64> = 65_537..1 << 33;
/// How often a scalar is drawn before we think the source of randomness broken. A single draw fails once in 2^32.
const DRAWS_MAX: usize = 8;
/// What an uncompressed point begins with (SEC 1 section 2.3.3); DNSKEY leaves it out (RFC 6605 section 4).
const UNCOMPRESSED: u8 = 4;

/// A private key with its public key.
pub struct KeyPair {
    /// What it signs with.
    algorithm: Algorithm,
    /// The public key field of DNSKEY.
    public: Vec<u8>,
    /// What both were made of, for sealing and export.
    numbers: Numbers,
    /// What signs.
    engine: Engine,
}

/// The key as the implementations want it.
enum Engine {
    /// P-256, twice.
    P256 {
        /// Equal messages give equal signatures (RFC 6979), so that two signers agree.
        deterministic: Box<SigningKey>,
        /// Some three times as fast, with random nonces.
        fast: Box<EcdsaKeyPair>,
    },
    /// P-384.
    P384(Box<EcdsaKeyPair>),
    /// Ed25519.
    Ed25519(Box<Ed25519KeyPair>),
    /// RSA.
    Rsa(Box<RsaKeyPair>),
}

impl KeyPair {
    /// Makes a key. It blocks until the system has randomness, which only matters while a machine starts.
    ///
    /// # Errors
    /// [`KeyError::NotGenerated`] for RSA, [`KeyError::Random`].
    pub fn generate(algorithm: Algorithm) -> Result<KeyPair, KeyError> {
        let rng = SystemRandom::new();
        if algorithm == Algorithm::EcdsaP384Sha384 {
            // Only ring computes the public key on this curve, and only while it makes the key.
            let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &rng);
            return KeyPair::from_pkcs8(document.map_err(|_| KeyError::Random)?.as_ref(), algorithm);
        }
        if algorithm == Algorithm::RsaSha256 {
            return Err(KeyError::NotGenerated(algorithm));
        }
        for _ in 0..DRAWS_MAX {
            let mut secret = Zeroizing::new(vec![0; secret_len(algorithm)]);
            rng.fill(&mut secret).map_err(|_| KeyError::Random)?;
            match KeyPair::from_numbers(Numbers::Curve { secret, public: None }, algorithm) {
                // Not every number of that length is a scalar of the curve.
                Err(KeyError::Numbers(_)) => {}
                other => return other,
            }
        }
        Err(KeyError::Random)
    }

    /// Reads a key from PKCS #8 in DER, with or without the public key in it.
    ///
    /// # Errors
    /// [`KeyError`] for what is not a whole key of `algorithm`, or does not belong together.
    pub fn from_pkcs8(octets: &[u8], algorithm: Algorithm) -> Result<KeyPair, KeyError> {
        KeyPair::from_numbers(pkcs8::read(octets, algorithm)?, algorithm)
    }

    /// Reads a key from PKCS #8 in PEM, as OpenSSL and Knot DNS write it; text around it is not looked at.
    ///
    /// # Errors
    /// As [`KeyPair::from_pkcs8`].
    pub fn from_pem(text: &[u8], algorithm: Algorithm) -> Result<KeyPair, KeyError> {
        KeyPair::from_pkcs8(&pkcs8::from_pem(text)?, algorithm)
    }

    /// Makes a pair of numbers, which it proves to belong together.
    pub(super) fn from_numbers(mut numbers: Numbers, algorithm: Algorithm) -> Result<KeyPair, KeyError> {
        let (engine, public) = match &mut numbers {
            Numbers::Curve { secret, public } => on_curve(algorithm, secret, public.take())?,
            Numbers::Rsa { modulus, exponent, secrets } => {
                (rsa(modulus, exponent, secrets)?, rsa_public(modulus, exponent))
            }
        };
        let pair = KeyPair { algorithm, public, numbers, engine };
        if algorithm == Algorithm::RsaSha256 {
            // ring compares the exponents of the primes with the public one only when it signs.
            pair.sign(b"probe").map_err(|_| KeyError::Numbers(algorithm))?;
        }
        Ok(pair)
    }

    /// The private key as PKCS #8 in DER.
    #[must_use]
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        pkcs8::write(self.algorithm, &self.numbers, &self.public)
    }

    /// The numbers, for other formats.
    pub(super) fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// What it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key field of DNSKEY.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// The DNSKEY that announces it.
    #[must_use]
    pub fn dnskey(&self, role: Role) -> Dnskey {
        Dnskey { flags: role.flags(), algorithm: self.algorithm.number(), public: self.public.clone() }
    }

    /// Signs `message`; the signature as RRSIG has it. With P-256, Ed25519 and RSA equal messages give equal signatures.
    ///
    /// # Errors
    /// [`KeyError::Sign`] if the implementation fails, which needs broken randomness or memory.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.engine {
            Engine::P256 { deterministic, .. } => {
                let signature: Result<Signature, _> = deterministic.try_sign(message);
                signature.map(|signature| signature.to_bytes().to_vec()).map_err(|_| KeyError::Sign(self.algorithm))
            }
            _ => self.sign_bulk(message),
        }
    }

    /// As [`KeyPair::sign`], but as fast as it can be: with P-256 equal messages give different signatures.
    ///
    /// # Errors
    /// As [`KeyPair::sign`].
    pub fn sign_bulk(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let rng = SystemRandom::new();
        let signature = match &self.engine {
            Engine::P256 { fast, .. } => fast.sign(&rng, message).map(|signature| signature.as_ref().to_vec()),
            Engine::P384(pair) => pair.sign(&rng, message).map(|signature| signature.as_ref().to_vec()),
            Engine::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Engine::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature).map(|()| signature)
            }
        };
        signature.map_err(|_| KeyError::Sign(self.algorithm))
    }
}

/// Shows what is public of it, and not much of that.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// What signs on a curve, and the public key; `claimed` is one that came along.
fn on_curve(algorithm: Algorithm, secret: &[u8], claimed: Option<Vec<u8>>) -> Result<(Engine, Vec<u8>), KeyError> {
    let (engine, public) = match algorithm {
        Algorithm::RsaSha256 => return Err(KeyError::OtherAlgorithm(algorithm)),
        Algorithm::EcdsaP256Sha256 => {
            let deterministic = SigningKey::from_slice(secret).map_err(|_| KeyError::Numbers(algorithm))?;
            let point = deterministic.verifying_key().to_sec1_point(false);
            let public = point.as_bytes().get(1..).unwrap_or_default().to_vec();
            // Two implementations computed the point now, and ring compares.
            let fast = ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, secret, &public);
            let fast = fast.ok_or(KeyError::Numbers(algorithm))?;
            (Engine::P256 { deterministic: Box::new(deterministic), fast: Box::new(fast) }, public)
        }
        Algorithm::EcdsaP384Sha384 => {
            let public = claimed.clone().ok_or(KeyError::PublicMissing(algorithm))?;
            let pair = ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, secret, &public).ok_or(KeyError::Mismatch)?;
            (Engine::P384(Box::new(pair)), public)
        }
        Algorithm::Ed25519 => {
            let pair = Ed25519KeyPair::from_seed_unchecked(secret).map_err(|_| KeyError::Numbers(algorithm))?;
            let public = pair.public_key().as_ref().to_vec();
            (Engine::Ed25519(Box::new(pair)), public)
        }
    };
    // What is compared here is public, so the comparison may take as long as it takes.
    if claimed.is_some_and(|claimed| claimed != public) { Err(KeyError::Mismatch) } else { Ok((engine, public)) }
}

/// A key on a curve as ring wants it; `None` if the public key is not that of the private one.
fn ecdsa(
    algorithm: &'static ring::signature::EcdsaSigningAlgorithm,
    secret: &[u8],
    public: &[u8],
) -> Option<EcdsaKeyPair> {
    let point = [&[UNCOMPRESSED][..], public].concat();
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, secret, &point, &SystemRandom::new()).ok()
}

/// An RSA key as ring wants it.
fn rsa(modulus: &[u8], exponent: &[u8], secrets: &[Zeroizing<Vec<u8>>; 6]) -> Result<Engine, KeyError> {
    let zeros = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
    let bits = (modulus.len() * 8).saturating_sub(zeros);
    // Longer exponents saturate, which is out of range as well.
    let value = exponent.iter().fold(0u64, |value, &octet| value.saturating_mul(256).saturating_add(u64::from(octet)));
    if !RSA_BITS.contains(&bits) || !RSA_EXPONENTS.contains(&value) {
        return Err(KeyError::RsaSize { bits });
    }
    let [d, p, q, d_p, d_q, q_inverse] = secrets.each_ref().map(|secret| secret.as_slice());
    let public_key = PublicKeyComponents { n: modulus, e: exponent };
    let components = KeyPairComponents { public_key, d, p, q, dP: d_p, dQ: d_q, qInv: q_inverse };
    let pair = RsaKeyPair::from_components(&components).map_err(|_| KeyError::Numbers(Algorithm::RsaSha256))?;
    Ok(Engine::Rsa(Box::new(pair)))
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64, HEXLOWER};
    use p256::ecdsa::VerifyingKey;
    use p256::ecdsa::signature::Verifier;
    use ring::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
        UnparsedPublicKey,
    };
    use snapshot::dns::name::Name;

    use super::super::testing::{BIND_RSA_KEY, BIND_RSA_PRIVATE, RSA, pairs};
    use super::super::{bind, numbers};
    use super::*;

    /// Octets of hexadecimal digits.
    fn hex(digits: &str) -> Vec<u8> {
        HEXLOWER.decode(digits.as_bytes()).unwrap()
    }

    /// Octets of Base64.
    fn base64(digits: &str) -> Vec<u8> {
        BASE64.decode(digits.as_bytes()).unwrap()
    }

    /// A pair of a scalar or seed in Base64; P-384 needs its public key as well.
    fn pair(algorithm: Algorithm, secret: &str, public: Option<&str>) -> KeyPair {
        let numbers = Numbers::Curve { secret: Zeroizing::new(base64(secret)), public: public.map(base64) };
        KeyPair::from_numbers(numbers, algorithm).unwrap()
    }

    /// Whether the signature is one of the key over the message.
    fn is_good(algorithm: Algorithm, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let point = [&[UNCOMPRESSED][..], public].concat();
        let result = match algorithm {
            Algorithm::RsaSha256 => {
                let (exponent, modulus) = public[1..].split_at(usize::from(public[0]));
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            Algorithm::EcdsaP256Sha256 => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Algorithm::EcdsaP384Sha384 => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature)
            }
            Algorithm::Ed25519 => UnparsedPublicKey::new(&ED25519, public).verify(message, signature),
        };
        result.is_ok()
    }

    /// What a signature over one record is made of (RFC 4034 section 3.1.8.1); expiration and inception in `times`.
    fn signed(header: &str, times: [u32; 2], tag: u16, names: [&str; 2], rdata: &str) -> Vec<u8> {
        let [signer, owner] = names.map(|name| name.parse::<Name>().unwrap());
        let header = hex(header);
        let rdata = hex(rdata);
        let len = u16::try_from(rdata.len()).unwrap().to_be_bytes();
        let (covered, ttl) = (&header[..2], &header[4..8]);
        let times = times.map(u32::to_be_bytes).concat();
        [
            &header,
            &times,
            &tag.to_be_bytes()[..],
            signer.as_wire(),
            owner.as_wire(),
            covered,
            &[0, 1],
            ttl,
            &len,
            &rdata,
        ]
        .concat()
    }

    #[test]
    fn keys_and_signatures_of_rfc_6605_fit() {
        let names = ["example.net.", "www.example.net."];
        let p256 = pair(Algorithm::EcdsaP256Sha256, "GU6SnQ/Ou+xC5RumuIUIuJZteXT2z0O/ok1s38Et6mQ=", None);
        let public = "GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==";
        assert_eq!(BASE64.encode(p256.public()), public);
        assert_eq!(p256.dnskey(Role::Csk).tag(), 55648);
        let message = signed("00010d0300000e10", [1_284_026_679, 1_281_607_479], 55648, names, "c0000201");
        let theirs = "qx6wLYqmh+l9oCKTN6qIc+bw6ya+KJ8oMz0YP107epXAyGmt+3SNruPFKG7tZoLBLlUzGGus7ZwmwWep666VCw==";
        for signature in [base64(theirs), p256.sign(&message).unwrap(), p256.sign_bulk(&message).unwrap()] {
            assert!(is_good(p256.algorithm(), p256.public(), &message, &signature));
        }
        let public = "xKYaNhWdGOfJ+nPrL8/arkwf2EY3MDJ+SErKivBVSum1w/egsXvSADtNJhyem5RCOpgQ6K8X1DRSEkrbYQ+OB+v8\
                      /uX45NBwY8rp65F6Glur8I/mlVNgF6W/qTI37m40";
        let secret = "WURgWHCcYIYUPWgeLmiPY2DJJk02vgrmTfitxgqcL4vwW7BOrbawVmVe0d9V94SR";
        let p384 = pair(Algorithm::EcdsaP384Sha384, secret, Some(public));
        assert_eq!(p384.dnskey(Role::Csk).tag(), 10771);
        let message = signed("00010e0300000e10", [1_284_027_625, 1_281_608_425], 10771, names, "c0000201");
        let theirs = "/L5hDKIvGDyI1fcARX3z65qrmPsVz73QD1Mr5CEqOiLP95hxQouuroGCeZOvzFaxsT8Glr74hbavRKayJNuydCuz\
                      WTSSPdz7wnqXL5bdcJzusdnI0RSMROxxwGipWcJm";
        for signature in [base64(theirs), p384.sign(&message).unwrap(), p384.sign_bulk(&message).unwrap()] {
            assert!(is_good(p384.algorithm(), p384.public(), &message, &signature));
        }
    }

    #[test]
    fn keys_and_signatures_of_rfc_8080_are_ours() {
        // The RFC signed with three labels, which erratum 4935 corrects to the two that the owner has.
        for (secret, public, tag, three_labels, two_labels) in [
            (
                "ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=",
                "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
                3613,
                "Edk+IB9KNNWg0HAjm7FazXyrd5m3Rk8zNZbvNpAcM+eysqcUOMIjWoevFkjH5GaMWeG96GUVZu6ECKOQmemHDg==",
                "oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg==",
            ),
            (
                "DSSF3o0s0f+ElWzj9E/Osxw8hLpk55chkmx0LYN5WiY=",
                "zPnZ/QwEe7S8C5SPz2OfS5RR40ATk2/rYnE9xHIEijs=",
                35217,
                "5LL2obmzdqjWI+Xto5eP5adXt/T5tMhasWvwcyW4L3SzfcRawOle9bodhC+oip9ayUGjY9T/rL4rN3bOuESGDA==",
                "zXQ0bkYgQTEFyfLyi9QoiY6D8ZdYo4wyUhVioYZXFdT410QPRITQSqJSnzQoSm5poJ7gD7AQR0O7KuI5k2pcBg==",
            ),
        ] {
            let pair = pair(Algorithm::Ed25519, secret, None);
            assert_eq!(BASE64.encode(pair.public()), public);
            assert_eq!(pair.dnskey(Role::Csk).tag(), tag);
            let mx = "000a046d61696c076578616d706c6503636f6d00";
            for (header, expected) in [("000f0f0300000e10", three_labels), ("000f0f0200000e10", two_labels)] {
                let names = ["example.com.", "example.com."];
                let message = signed(header, [1_440_021_600, 1_438_207_200], tag, names, mx);
                assert_eq!(BASE64.encode(&pair.sign(&message).unwrap()), expected);
                assert_eq!(BASE64.encode(&pair.sign_bulk(&message).unwrap()), expected);
            }
        }
    }

    #[test]
    fn rsa_signs_as_openssl_does() {
        let pair = bind::read(BIND_RSA_PRIVATE.as_bytes(), BIND_RSA_KEY.as_bytes()).unwrap().pair;
        let message = b"the same octets for everybody";
        // openssl dgst -sha256 -sign
        let expected = "2IF40wtYFheOZQ3mLPKIxlaWWHM0NUZEgCEVdwQn/q7ag42wWA7DnSUZuEcZ2SwNGWHlCi6ShSQ6muwXiX7fNEkUMgG8Kxwf\
                        z++ts4im/wI7cJxvFNaLXxn5GJ5ZeGCzwpxEPSu36tbm9AFzJGRltixp+UyGIRXF3w/zuyKod4RXPFZiX7kgG9pnehudGQdB\
                        t6SpV2cojAghcNyKZS/WIlhZHjZTEBcOtPOWVGEHi6sA/mzykF/hvA4Hp8AhDJR7D69mUv52f9y4Rv1n/1kQ664q/ZVB1gnO\
                        mULvfUAejEskrJssAna7KijbR5S9TfqaPxzQZS9wGKWmcKT6Lu4i6Q==";
        assert_eq!(BASE64.encode(&pair.sign(message).unwrap()), expected);
        assert_eq!(BASE64.encode(&pair.sign_bulk(message).unwrap()), expected);
    }

    #[test]
    fn p256_signs_as_rfc_6979_says() {
        // Appendix A.2.5. Its s is high, which DNSSEC does not mind.
        let secret = hex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
        let pair = pair(Algorithm::EcdsaP256Sha256, &BASE64.encode(&secret), None);
        let expected = hex("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
             f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8");
        assert_eq!(pair.sign(b"sample").unwrap(), expected);
        assert_eq!(pair.sign(b"sample").unwrap(), expected);
        assert_ne!(pair.sign_bulk(b"sample").unwrap(), pair.sign_bulk(b"sample").unwrap());
    }

    #[test]
    fn signatures_are_good_for_their_key_and_message_only() {
        for (pair, other) in pairs().iter().zip(pairs()) {
            for message in [&b""[..], b"a", &[7; 70_000]] {
                for signature in [pair.sign(message).unwrap(), pair.sign_bulk(message).unwrap()] {
                    let algorithm = pair.algorithm();
                    assert!(is_good(algorithm, pair.public(), message, &signature), "{algorithm}");
                    assert!(!is_good(algorithm, pair.public(), b"another", &signature));
                    // The RSA key of the tests is always the same.
                    let same = other.public() == pair.public();
                    assert_eq!(is_good(algorithm, other.public(), message, &signature), same);
                }
            }
        }
    }

    #[test]
    fn p256_verifies_what_ring_signs() {
        let pair = KeyPair::generate(Algorithm::EcdsaP256Sha256).unwrap();
        let key = VerifyingKey::from_sec1_bytes(&[&[UNCOMPRESSED][..], pair.public()].concat()).unwrap();
        let signature = Signature::from_slice(&pair.sign_bulk(b"message").unwrap()).unwrap();
        assert!(key.verify(b"message", &signature).is_ok());
        assert!(key.verify(b"massage", &signature).is_err());
    }

    #[test]
    fn pairs_sign_on_any_thread() {
        fn check<T: Send + Sync>() {}
        check::<KeyPair>();
    }

    #[test]
    fn made_keys_differ_and_rsa_is_not_made() {
        assert_ne!(pairs()[0].public(), pairs()[0].public());
        assert_eq!(KeyPair::generate(Algorithm::RsaSha256).unwrap_err(), KeyError::NotGenerated(Algorithm::RsaSha256));
    }

    #[test]
    fn what_is_no_scalar_makes_no_key() {
        for secret in [[0; 32], [0xff; 32]] {
            let numbers = Numbers::Curve { secret: Zeroizing::new(secret.to_vec()), public: None };
            let algorithm = Algorithm::EcdsaP256Sha256;
            assert_eq!(KeyPair::from_numbers(numbers, algorithm).unwrap_err(), KeyError::Numbers(algorithm));
        }
    }

    /// The numbers of the RSA key of the tests, changed.
    fn changed_rsa(change: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>, &mut [Zeroizing<Vec<u8>>])) -> KeyError {
        let mut numbers = pkcs8::read(&pkcs8::from_pem(RSA.as_bytes()).unwrap(), Algorithm::RsaSha256).unwrap();
        if let Numbers::Rsa { modulus, exponent, secrets } = &mut numbers {
            change(modulus, exponent, secrets);
        }
        KeyPair::from_numbers(numbers, Algorithm::RsaSha256).unwrap_err()
    }

    #[test]
    fn rsa_keys_that_could_not_sign_are_refused() {
        let broken = KeyError::Numbers(Algorithm::RsaSha256);
        assert_eq!(changed_rsa(|modulus, _, _| modulus[9] ^= 4), broken);
        // Primes, their exponents and the coefficient; the private exponent itself is not used.
        for idx in 1..numbers::RSA_SECRET_COUNT {
            assert_eq!(changed_rsa(|_, _, secrets| secrets[idx][9] ^= 4), broken, "{idx}");
        }
        assert_eq!(changed_rsa(|_, exponent, _| exponent[2] ^= 2), broken);
        assert_eq!(changed_rsa(|modulus, _, _| modulus.truncate(128)), KeyError::RsaSize { bits: 1024 });
        assert_eq!(changed_rsa(|_, exponent, _| *exponent = vec![3]), KeyError::RsaSize { bits: 2048 });
        assert_eq!(changed_rsa(|_, exponent, _| *exponent = vec![1; 9]), KeyError::RsaSize { bits: 2048 });
    }
}
