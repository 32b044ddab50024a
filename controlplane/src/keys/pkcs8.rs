//! PKCS #8 (RFC 5958): how private keys are kept within a seal, and how most programs exchange them.
//!
//! Inside are RFC 5915 (curves), RFC 8017 appendix A.1.2 (RSA) and RFC 8410 (Ed25519). ring reads PKCS #8 too, but not what
//! GnuTLS, and so Knot DNS, writes: scalars with a zero in front. What is written here OpenSSL reads. Invariant: what does
//! not fit is an error, never a guess.

use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::der::{
    BIT_STRING, CONTEXT_0, CONTEXT_1, CONTEXT_1_BITS, NULL, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE, element,
    unsigned,
};
use super::numbers::{Numbers, RSA_SECRET_COUNT, scalar};
use super::{Algorithm, KeyError};

/// rsaEncryption.
const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// id-ecPublicKey.
const OID_CURVE: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// prime256v1, which is P-256.
const OID_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// secp384r1, which is P-384.
const OID_P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
/// id-Ed25519.
const OID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// What an uncompressed point begins with (SEC 1 section 2.3.3); DNSKEY leaves it out.
const UNCOMPRESSED: u8 = 4;
/// The label of PKCS #8 in PEM.
const PEM_LABEL: &str = "PRIVATE KEY";
/// The most characters of a PEM file: a key of 4,096 bits has 3,300.
const PEM_LEN_MAX: usize = 65_536;

/// Reads a private key.
pub(super) fn read(octets: &[u8], algorithm: Algorithm) -> Result<Numbers, KeyError> {
    let mut outer = Reader::new(octets);
    let mut key = outer.enter(SEQUENCE).ok_or(KeyError::Encoding("it is no sequence of the length it claims"))?;
    outer.end().ok_or(KeyError::Encoding("octets follow it"))?;
    if key.peek() == Some(SEQUENCE) {
        return Err(KeyError::Encrypted);
    }
    let version = key.unsigned().ok_or(KeyError::Encoding("it has no version"))?;
    if key.peek() != Some(SEQUENCE) {
        return Err(KeyError::Traditional);
    }
    if !matches!(version, [] | [1]) {
        return Err(KeyError::Encoding("its version is not known"));
    }
    let parameters = key.enter(SEQUENCE).ok_or(KeyError::Encoding("its algorithm ends early"))?;
    if !names(parameters, algorithm) {
        return Err(KeyError::OtherAlgorithm(algorithm));
    }
    let private = key.take(OCTET_STRING).ok_or(KeyError::Encoding("it has no private key in it"))?;
    if key.peek() == Some(CONTEXT_0) {
        // Attributes: comments of other programs.
        key.take(CONTEXT_0).ok_or(KeyError::Encoding("its attributes end early"))?;
    }
    let beside = public_beside(&mut key).ok_or(KeyError::Encoding("what follows the private key is no public key"))?;
    let numbers = match algorithm {
        Algorithm::RsaSha256 => rsa(private),
        Algorithm::EcdsaP256Sha256 | Algorithm::EcdsaP384Sha384 => curve(private, algorithm),
        Algorithm::Ed25519 => seed(private, beside),
    };
    numbers.ok_or(KeyError::Encoding("the private key in it is not of the form its algorithm has"))
}

/// Reads PEM (RFC 7468): what it has between the lines that mark it.
pub(super) fn from_pem(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    if text.len() > PEM_LEN_MAX {
        return Err(KeyError::Encoding("the file is too long for a key"));
    }
    let text = std::str::from_utf8(text).map_err(|_| KeyError::Encoding("the file is no text"))?;
    let (_, rest) = text.split_once("-----BEGIN ").ok_or(KeyError::Encoding("no line begins a PEM block"))?;
    let (label, rest) = rest.split_once("-----").ok_or(KeyError::Encoding("the first line of PEM has no end"))?;
    match label {
        PEM_LABEL => {}
        "ENCRYPTED PRIVATE KEY" => return Err(KeyError::Encrypted),
        "EC PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PARAMETERS" => return Err(KeyError::Traditional),
        _ => return Err(KeyError::Encoding("the PEM block is no private key")),
    }
    let (body, _) =
        rest.split_once("-----END PRIVATE KEY-----").ok_or(KeyError::Encoding("the PEM block has no end"))?;
    let mut digits = Zeroizing::new(String::with_capacity(body.len()));
    digits.extend(body.chars().filter(|c| !c.is_ascii_whitespace()));
    let octets = BASE64.decode(digits.as_bytes()).map_err(|_| KeyError::Encoding("its Base64 is damaged"))?;
    Ok(Zeroizing::new(octets))
}

/// Writes a private key; `public` is the public key as DNSKEY has it.
pub(super) fn write(algorithm: Algorithm, numbers: &Numbers, public: &[u8]) -> Zeroizing<Vec<u8>> {
    let (oid, parameters) = match algorithm {
        Algorithm::RsaSha256 => (OID_RSA, element(NULL, &[])),
        Algorithm::EcdsaP256Sha256 => (OID_CURVE, element(OBJECT_IDENTIFIER, &[OID_P256])),
        Algorithm::EcdsaP384Sha384 => (OID_CURVE, element(OBJECT_IDENTIFIER, &[OID_P384])),
        Algorithm::Ed25519 => (OID_ED25519, Zeroizing::new(Vec::new())),
    };
    let private = match numbers {
        Numbers::Rsa { modulus, exponent, secrets } => {
            let [d, p, q, d_p, d_q, q_inverse] = secrets.each_ref().map(|secret| unsigned(secret));
            let (version, modulus, exponent) = (unsigned(&[]), unsigned(modulus), unsigned(exponent));
            element(SEQUENCE, &[&version, &modulus, &exponent, &d, &p, &q, &d_p, &d_q, &q_inverse])
        }
        Numbers::Curve { secret, .. } if algorithm == Algorithm::Ed25519 => element(OCTET_STRING, &[secret]),
        Numbers::Curve { secret, .. } => {
            let point = element(BIT_STRING, &[&[0, UNCOMPRESSED], public]);
            let secret = element(OCTET_STRING, &[secret]);
            element(SEQUENCE, &[&unsigned(&[1]), &secret, &element(CONTEXT_1, &[&point])])
        }
    };
    let named = element(SEQUENCE, &[&element(OBJECT_IDENTIFIER, &[oid]), &parameters]);
    element(SEQUENCE, &[&unsigned(&[]), &named, &element(OCTET_STRING, &[&private])])
}

/// Whether an AlgorithmIdentifier is that of `algorithm`.
fn names(mut identifier: Reader<'_>, algorithm: Algorithm) -> bool {
    let Some(oid) = identifier.take(OBJECT_IDENTIFIER) else { return false };
    let parameters = match algorithm {
        Algorithm::RsaSha256 => oid == OID_RSA && identifier.take(NULL) == Some(&[]),
        Algorithm::EcdsaP256Sha256 => oid == OID_CURVE && identifier.take(OBJECT_IDENTIFIER) == Some(OID_P256),
        Algorithm::EcdsaP384Sha384 => oid == OID_CURVE && identifier.take(OBJECT_IDENTIFIER) == Some(OID_P384),
        Algorithm::Ed25519 => oid == OID_ED25519,
    };
    parameters && identifier.end().is_some()
}

/// The public key behind the private one, which version 2 may have; `Some(None)` if there is nothing.
fn public_beside<'a>(key: &mut Reader<'a>) -> Option<Option<&'a [u8]>> {
    let public = match key.peek() {
        None => return Some(None),
        // ring wrapped the public key once more until its version 0.17.
        Some(CONTEXT_1) => key.enter(CONTEXT_1)?.bits(BIT_STRING)?,
        Some(_) => key.bits(CONTEXT_1_BITS)?,
    };
    key.end()?;
    Some(Some(public))
}

/// An ECPrivateKey (RFC 5915 section 3).
fn curve(private: &[u8], algorithm: Algorithm) -> Option<Numbers> {
    let mut outer = Reader::new(private);
    let mut key = outer.enter(SEQUENCE)?;
    outer.end()?;
    if key.unsigned()? != [1] {
        return None;
    }
    let secret = scalar(algorithm, key.take(OCTET_STRING)?)?;
    if key.peek() == Some(CONTEXT_0) {
        let expected = if algorithm == Algorithm::EcdsaP256Sha256 { OID_P256 } else { OID_P384 };
        if key.enter(CONTEXT_0)?.take(OBJECT_IDENTIFIER)? != expected {
            return None;
        }
    }
    let mut public = None;
    if key.peek() == Some(CONTEXT_1) {
        let point = key.enter(CONTEXT_1)?.bits(BIT_STRING)?;
        public = Some(point.strip_prefix(&[UNCOMPRESSED])?.to_vec());
    }
    key.end()?;
    Some(Numbers::Curve { secret, public })
}

/// A CurvePrivateKey (RFC 8410 section 7), with the public key that stands beside it.
fn seed(private: &[u8], beside: Option<&[u8]>) -> Option<Numbers> {
    let mut key = Reader::new(private);
    let secret = scalar(Algorithm::Ed25519, key.take(OCTET_STRING)?)?;
    key.end()?;
    Some(Numbers::Curve { secret, public: beside.map(<[u8]>::to_vec) })
}

/// An RSAPrivateKey (RFC 8017 appendix A.1.2) of two primes.
fn rsa(private: &[u8]) -> Option<Numbers> {
    let mut outer = Reader::new(private);
    let mut key = outer.enter(SEQUENCE)?;
    outer.end()?;
    if !key.unsigned()?.is_empty() {
        return None;
    }
    let modulus = key.unsigned()?.to_vec();
    let exponent = key.unsigned()?.to_vec();
    let mut secrets: [Zeroizing<Vec<u8>>; RSA_SECRET_COUNT] = Default::default();
    for secret in &mut secrets {
        *secret = Zeroizing::new(key.unsigned()?.to_vec());
    }
    key.end()?;
    Some(Numbers::Rsa { modulus, exponent, secrets })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::KeyPair;
    use super::super::testing::*;
    use super::*;

    /// Keys of other programs, and the public keys those show for them.
    const FOREIGN: [(&str, Algorithm, &str); 7] = [
        (
            RSA,
            Algorithm::RsaSha256,
            "AwEAAbAdWyMZkFpGHaea8C27VavKLxqZYSzkcbQJcjHmJDZyWz6q40QPNz3oVAfOxBuyQzGVZJtSNu4DOnQH+v28gce7ZHro6RnKd8iNgGvm\
             NisnJcc1Mv2LkpLRdLrqPDX8KfS4DbO7W6JY39Go1RV2o3eunP+Aa/ox6BDMXZF8iZe1YuEn9vsBmedaZFPKDgmzMFIJSJ53lphHvYGBaJDJ\
             CKffshkolP12xJTwQ2PICp44wkz6L5TNs9AZRkDvphJTbXRD30Qjrs7J0dbOIcabCWVYxDHk1zFxsS+XaS+7k9UWorYU00XJsFFM9Rd9sJmg\
             xacLTPwBCF8ipAzj+MX1Mns=",
        ),
        (
            KNOT_P256,
            Algorithm::EcdsaP256Sha256,
            "VEcjdyj0am1CVtmxCXacm29p4uvvtvDV3bd/t9e7Zq4qIKKJlQdpBhLn3WOV75JNYsDJI4JDvdFElWKWJIWGFA==",
        ),
        (
            KNOT_P384,
            Algorithm::EcdsaP384Sha384,
            "P9uk4K0nYevIeh451rTu39JWpZCf/Ov52T4tKOsI+sBWkFJis0pkIqkIO15LmwiSFwMs0DnrIHwxhHTVPNLnRLm3Hf1h+BhU8ghwleuG9u/U\
             kfnWM/iHIPQGdx7dy5Aq",
        ),
        (KNOT_ED25519, Algorithm::Ed25519, "+irqV//tHow6XT3YkDmI6ijZfqVXWCDZ9m77EsAheOE="),
        (
            OPENSSL_P256,
            Algorithm::EcdsaP256Sha256,
            "4tKuQLUMx2YUE8CNvaprCgFUPrhVRdZqG+raCW4t1a9KifvI40GGmYA7eafjXBWS71H/S3K7Cf35jk7LB8sANQ==",
        ),
        (
            OPENSSL_P384,
            Algorithm::EcdsaP384Sha384,
            "5c7xaD+gK0OjJq5Kjgyr2drkesQ3HwFJhWhFgvgdNJ73cYll9/JzfR6Rzo+F/U3v7fH4UgH96UIhk+3syd5YEQ798hI7I1SGdewlGw4H0kDN\
             K8H5Kg03X7DxYASY996d",
        ),
        (OPENSSL_ED25519, Algorithm::Ed25519, "Tql7osT7G+/VyNGruBdMuRpNA47gd4lnwDXKurNoY5o="),
    ];

    #[test]
    fn keys_of_other_programs_are_read() {
        for (pem, algorithm, public) in FOREIGN {
            let pair = KeyPair::from_pem(pem.as_bytes(), algorithm).unwrap();
            assert_eq!(BASE64.encode(pair.public()), public);
            assert_eq!(pair.algorithm(), algorithm);
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for pair in pairs() {
            let written = pair.to_pkcs8();
            let read = KeyPair::from_pkcs8(&written, pair.algorithm()).unwrap();
            assert_eq!(read.public(), pair.public());
            assert_eq!(read.to_pkcs8(), written);
        }
        // OpenSSL writes the same octets as we do.
        for (pem, algorithm, _) in [FOREIGN[0], FOREIGN[4], FOREIGN[5], FOREIGN[6]] {
            let octets = from_pem(pem.as_bytes()).unwrap();
            assert_eq!(KeyPair::from_pkcs8(&octets, algorithm).unwrap().to_pkcs8(), octets);
        }
    }

    #[test]
    fn keys_of_another_algorithm_are_refused() {
        for pair in pairs() {
            for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| *algorithm != pair.algorithm()) {
                let error = KeyPair::from_pkcs8(&pair.to_pkcs8(), algorithm).unwrap_err();
                assert_eq!(error, KeyError::OtherAlgorithm(algorithm));
            }
        }
    }

    #[test]
    fn cut_and_extended_keys_are_refused() {
        for pair in pairs() {
            let written = pair.to_pkcs8();
            for len in 0..written.len() {
                assert!(KeyPair::from_pkcs8(&written[..len], pair.algorithm()).is_err());
            }
            let longer = [&written[..], &[0]].concat();
            let error = KeyPair::from_pkcs8(&longer, pair.algorithm()).unwrap_err();
            assert_eq!(error, KeyError::Encoding("octets follow it"));
        }
    }

    #[test]
    fn a_key_with_the_public_key_of_another_is_refused() {
        for algorithm in [Algorithm::EcdsaP256Sha256, Algorithm::EcdsaP384Sha384] {
            let [ours, theirs] = [(); 2].map(|()| KeyPair::generate(algorithm).unwrap());
            let mixed = write(algorithm, ours.numbers(), theirs.public());
            assert_eq!(KeyPair::from_pkcs8(&mixed, algorithm).unwrap_err(), KeyError::Mismatch);
        }
        // Version 2, as RFC 8410 section 10.3 has it, in both forms that programs wrote.
        let [ours, theirs] = [(); 2].map(|()| KeyPair::generate(Algorithm::Ed25519).unwrap());
        for (public, good) in [(ours.public(), true), (theirs.public(), false)] {
            let bits = [&[0][..], public].concat();
            for beside in [element(CONTEXT_1_BITS, &[&bits]), element(CONTEXT_1, &[&element(BIT_STRING, &[&bits])])] {
                let name = element(SEQUENCE, &[&element(OBJECT_IDENTIFIER, &[OID_ED25519])]);
                let Numbers::Curve { secret, .. } = ours.numbers() else { continue };
                let secret = element(OCTET_STRING, &[&element(OCTET_STRING, &[secret])]);
                let key = element(SEQUENCE, &[&unsigned(&[1]), &name, &secret, &beside]);
                assert_eq!(KeyPair::from_pkcs8(&key, Algorithm::Ed25519).is_ok(), good);
            }
        }
    }

    #[test]
    fn a_key_without_its_public_key_is_computed_where_that_can_be() {
        for (algorithm, oid, good) in
            [(Algorithm::EcdsaP256Sha256, OID_P256, true), (Algorithm::EcdsaP384Sha384, OID_P384, false)]
        {
            let pair = KeyPair::generate(algorithm).unwrap();
            let Numbers::Curve { secret, .. } = pair.numbers() else { continue };
            let inner = element(SEQUENCE, &[&unsigned(&[1]), &element(OCTET_STRING, &[secret])]);
            let name = [OID_CURVE, oid].map(|oid| element(OBJECT_IDENTIFIER, &[oid]));
            let name = element(SEQUENCE, &[&name[0], &name[1]]);
            let key = element(SEQUENCE, &[&unsigned(&[]), &name, &element(OCTET_STRING, &[&inner])]);
            let read = KeyPair::from_pkcs8(&key, algorithm).map(|read| read.public().to_vec());
            let expected = if good { Ok(pair.public().to_vec()) } else { Err(KeyError::PublicMissing(algorithm)) };
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn other_forms_of_keys_are_named() {
        let algorithm = Algorithm::EcdsaP256Sha256;
        let read = |octets: &[u8]| KeyPair::from_pkcs8(octets, algorithm).unwrap_err();
        let empty = element(SEQUENCE, &[]);
        assert_eq!(read(&element(SEQUENCE, &[&empty, &element(OCTET_STRING, &[&[1; 32]])])), KeyError::Encrypted);
        assert_eq!(
            read(&element(SEQUENCE, &[&unsigned(&[1]), &element(OCTET_STRING, &[&[1; 32]])])),
            KeyError::Traditional
        );
        let pem = |label: &str| {
            let text = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
            KeyPair::from_pem(text.as_bytes(), algorithm).unwrap_err()
        };
        assert_eq!(pem("EC PRIVATE KEY"), KeyError::Traditional);
        assert_eq!(pem("ENCRYPTED PRIVATE KEY"), KeyError::Encrypted);
        assert_eq!(pem("CERTIFICATE"), KeyError::Encoding("the PEM block is no private key"));
        for (text, expected) in [
            ("", "no line begins a PEM block"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA", "the PEM block has no end"),
            ("-----BEGIN PRIVATE KEY-----\nA*\n-----END PRIVATE KEY-----", "its Base64 is damaged"),
        ] {
            assert_eq!(KeyPair::from_pem(text.as_bytes(), algorithm).unwrap_err(), KeyError::Encoding(expected));
        }
    }

    proptest! {
        #[test]
        fn damaged_keys_are_read_without_a_panic(which in 0usize..7, damage in any::<Vec<(u16, u8)>>()) {
            let (pem, algorithm, public) = FOREIGN[which];
            let mut octets = from_pem(pem.as_bytes()).unwrap();
            for (at, octet) in damage {
                let len = octets.len();
                octets[usize::from(at) % len] ^= octet;
            }
            if let Ok(pair) = KeyPair::from_pkcs8(&octets, algorithm) {
                // What can still be read is another key, or was not damaged where it matters.
                prop_assert_eq!(pair.public().len(), BASE64.decode(public.as_bytes()).unwrap().len());
            }
        }

        #[test]
        fn any_octets_are_read_without_a_panic(octets in any::<Vec<u8>>(), text in any::<String>()) {
            for algorithm in Algorithm::ALL {
                prop_assert!(KeyPair::from_pkcs8(&octets, algorithm).is_err());
                prop_assert!(KeyPair::from_pem(text.as_bytes(), algorithm).is_err());
            }
        }
    }
}
