//! Signatures of snapshot files: Ed25519 (RFC 8032) over the first half of the header, which has the digest of the rest.
//!
//! It knows keys and headers, not where keys are kept (see `handover`). Invariants: a secret key is never shown; whoever
//! trusts some keys accepts no file without a signature of one of them.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use thiserror::Error;

use super::digest::Digest;

/// Where the header has the id of the key.
const KEY_ID_OFF: usize = 24;
/// Octets of that id.
const KEY_ID_LEN: usize = 8;
/// Where the header has the signature, and how much is signed.
const SIGNATURE_OFF: usize = 64;
/// Where the signature ends.
const SIGNATURE_END: usize = 128;

/// The key that a writer signs with.
pub struct SigningKey {
    /// The pair.
    pair: Ed25519KeyPair,
    /// Its public half.
    public: PublicKey,
}

/// The public half of a [`SigningKey`]; text form is 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// The keys whose signatures a reader asks for; with none of them it asks for no signature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust(pub Vec<PublicKey>);

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The text of a public key is malformed.
    #[error("a public key is 64 hexadecimal digits, or 44 of base64")]
    Text,
    /// The file of a secret key is malformed.
    #[error("no Ed25519 key in PKCS#8")]
    Pkcs8,
    /// No random numbers are to be had.
    #[error("the system gives no random numbers")]
    Random,
}

impl SigningKey {
    /// Makes a new key; returns it in PKCS#8 (RFC 8410) as well.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate() -> Result<(SigningKey, Vec<u8>), KeyError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Random)?;
        let key = SigningKey::from_pkcs8(document.as_ref())?;
        Ok((key, document.as_ref().to_vec()))
    }

    /// Reads a key that [`SigningKey::generate`] made.
    ///
    /// # Errors
    /// [`KeyError::Pkcs8`].
    pub fn from_pkcs8(document: &[u8]) -> Result<SigningKey, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(document).map_err(|_| KeyError::Pkcs8)?;
        let public = PublicKey(pair.public_key().as_ref().try_into().map_err(|_| KeyError::Pkcs8)?);
        Ok(SigningKey { pair, public })
    }

    /// The half to tell readers.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs a whole file in place; what is too short to have a header stays as it is. About 20 µs.
    pub fn sign(&self, file: &mut [u8]) {
        if let Some((header, _)) = file.split_at_mut_checked(SIGNATURE_END) {
            header[KEY_ID_OFF..KEY_ID_OFF + KEY_ID_LEN].copy_from_slice(&self.public.id());
            let signature = self.pair.sign(&header[..SIGNATURE_OFF]);
            header[SIGNATURE_OFF..].copy_from_slice(signature.as_ref());
        }
    }
}

impl fmt::Debug for SigningKey {
    /// Shows the public half.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public)
    }
}

impl PublicKey {
    /// What headers call it.
    fn id(&self) -> [u8; KEY_ID_LEN] {
        Digest::of(&self.0).seed().to_le_bytes()
    }

    /// Whether a header has its signature.
    pub(super) fn has_signed(&self, header: &[u8]) -> bool {
        let signature = header.get(SIGNATURE_OFF..SIGNATURE_END);
        signature.is_some_and(|signature| {
            header[KEY_ID_OFF..].starts_with(&self.id())
                && UnparsedPublicKey::new(&ED25519, &self.0).verify(&header[..SIGNATURE_OFF], signature).is_ok()
        })
    }
}

impl Trust {
    /// Checks the signature of a whole header. About 60 µs.
    ///
    /// # Errors
    /// Why the file is not trusted, for people.
    pub(super) fn check(&self, header: &[u8]) -> Result<(), &'static str> {
        let is_zero = |bytes: Option<&[u8]>| bytes.is_none_or(|bytes| bytes.iter().all(|&byte| byte == 0));
        let key_id = header.get(KEY_ID_OFF..KEY_ID_OFF + KEY_ID_LEN);
        match (is_zero(key_id), is_zero(header.get(SIGNATURE_OFF..SIGNATURE_END))) {
            (true, true) if self.0.is_empty() => Ok(()),
            (true, true) => Err("it is not signed, and only signed files are trusted"),
            (true, false) | (false, true) => Err("half of its signature is missing"),
            (false, false) if self.0.is_empty() => Ok(()),
            (false, false) if self.0.iter().any(|key| key.has_signed(header)) => Ok(()),
            (false, false) if self.0.iter().any(|key| key_id == Some(&key.id()[..])) => Err("its signature is wrong"),
            (false, false) => Err("it is signed with a key that is not trusted"),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Reads hexadecimal digits of either case, or base64 with its padding.
    fn from_str(text: &str) -> Result<PublicKey, KeyError> {
        let decoded =
            if text.len() == 64 { HEXLOWER_PERMISSIVE.decode(text.as_bytes()) } else { BASE64.decode(text.as_bytes()) };
        decoded.ok().and_then(|octets| octets.try_into().ok()).map(PublicKey).ok_or(KeyError::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Generation, LoadError, Manifest};
    use super::*;

    /// A signed manifest.
    fn signed(key: &SigningKey) -> Vec<u8> {
        let manifest = Manifest {
            epoch: 1,
            generation: Generation(7),
            created_unix_secs: 0,
            previous: None,
            change: 0,
            chain: [0; 32],
            packs: vec![],
        };
        let (mut bytes, _) = manifest.encode().unwrap();
        key.sign(&mut bytes);
        bytes
    }

    /// Why a file is refused by whoever trusts these keys.
    fn refused(bytes: &[u8], keys: &[&SigningKey]) -> String {
        let trust = Trust(keys.iter().map(|key| key.public()).collect());
        match Manifest::decode_trusted(bytes, &trust) {
            Ok(_) => String::new(),
            Err(LoadError::Signature(reason)) => reason.to_owned(),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_file_is_trusted_with_a_signature_of_one_of_the_keys() {
        let (old, _) = SigningKey::generate().unwrap();
        let (new, document) = SigningKey::generate().unwrap();
        let unsigned = {
            let mut bytes = signed(&old);
            bytes[KEY_ID_OFF..KEY_ID_OFF + KEY_ID_LEN].fill(0);
            bytes[SIGNATURE_OFF..SIGNATURE_END].fill(0);
            bytes
        };
        assert_eq!(refused(&unsigned, &[]), "");
        assert!(refused(&unsigned, &[&old]).contains("not signed"));
        for key in [&old, &SigningKey::from_pkcs8(&document).unwrap()] {
            let bytes = signed(key);
            assert_eq!(refused(&bytes, &[]), "");
            assert_eq!(refused(&bytes, &[&new, &old]), "");
        }
        assert!(refused(&signed(&old), &[&new]).contains("not trusted"));
    }

    #[test]
    fn every_flipped_bit_of_a_signed_file_is_noticed() {
        let (key, _) = SigningKey::generate().unwrap();
        let bytes = signed(&key);
        let trust = Trust(vec![key.public()]);
        assert!(Manifest::decode_trusted(&bytes, &trust).is_ok());
        for bit in 0..bytes.len() * 8 {
            let mut broken = bytes.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode_trusted(&broken, &trust).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn public_keys_are_read_in_hex_and_base64() {
        let (key, _) = SigningKey::generate().unwrap();
        let public = key.public();
        for text in [public.to_string(), public.to_string().to_uppercase(), BASE64.encode(&public.0)] {
            assert_eq!(text.parse(), Ok(public), "{text}");
        }
        for bad in ["", "00", &"g".repeat(64), &"A".repeat(43), &public.to_string()[1..]] {
            assert_eq!(bad.parse::<PublicKey>(), Err(KeyError::Text), "{bad}");
        }
        assert_eq!(SigningKey::from_pkcs8(b"nothing").err(), Some(KeyError::Pkcs8));
    }
}
