//! Sealing: private keys encrypted for the database, each to its place there.
//!
//! A sealed key is an octet of version, a nonce of 12 octets, and the PKCS #8 of the key encrypted with ChaCha20-Poly1305
//! (RFC 8439), its tag of 16 octets at the end. What it is bound to, zone, key tag and algorithm, is authenticated with it,
//! so that a sealed key that was moved to another row does not open. Nonces are random: with 2^32 keys sealed by one sealing
//! key the odds that two are alike are 1 in 2^33. Where the sealing key comes from is for `sealfile`. Invariant: what opens
//! is the key that was sealed, and fits what it is bound to.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use snapshot::dns::name::Name;
use thiserror::Error;
use zeroize::Zeroizing;

use super::device::{DeviceError, HELD};
use super::dnskey::Role;
use super::{Algorithm, Dnskey, KeyError, KeyPair};

/// How long a sealing key is.
pub(super) const KEY_LEN: usize = 32;
/// The version of this format.
const VERSION: u8 = 1;
/// How long the tag behind the ciphertext is.
const TAG_LEN: usize = 16;
/// What separates sealed keys from all else that may be encrypted with the same sealing key.
const CONTEXT: &[u8] = b"Petrel sealed DNSSEC key";

/// The sealing key.
pub struct Seal {
    /// Its octets, or why they are not to be had; ring's form of it is made for each use, and gone after it.
    key: Result<Zeroizing<[u8; KEY_LEN]>, String>,
}

/// What a sealed key is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The zone it signs.
    pub apex: Name,
    /// Its key tag.
    pub tag: u16,
    /// Its algorithm.
    pub algorithm: Algorithm,
}

/// A key cannot be sealed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SealError {
    /// It is not the key of the binding.
    #[error("the key is not {0}: its algorithm or key tag is another one")]
    Unfit(Binding),
    /// The system gave no randomness, or the key is too long to be one.
    #[error("the key cannot be encrypted: the system gives no random octets")]
    Encrypt,
    /// There is no sealing key.
    #[error("there is no sealing key: {0}")]
    NoKey(String),
}

/// A sealed key cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpenError {
    /// Nothing, or less than a sealed key is at least.
    #[error("the sealed private key of {0} ends early: restore the database, or this key, from a backup")]
    Short(Binding),
    /// Another version.
    #[error(
        "the sealed private key of {binding} has format version {version}, not {expected}: it was sealed by a newer Petrel, \
         which can open it, or is damaged",
        expected = VERSION
    )]
    Version {
        /// What it was to be bound to.
        binding: Binding,
        /// The version it has.
        version: u8,
    },
    /// It is in a device, and there is none.
    #[error("the private key of {0} is kept by a device, and none is configured: start with --pkcs11")]
    NoDevice(Binding),
    /// It is in a device that does not show it.
    #[error("the private key of {binding} is not to be had: {error}")]
    Device {
        /// What it was to be bound to.
        binding: Binding,
        /// What the device says.
        error: DeviceError,
    },
    /// There is only the number of a key in a device.
    #[error("the private key of {0} is kept by a device, which gives it to nobody")]
    Held(Binding),
    /// There is no sealing key.
    #[error("there is no sealing key: {0}")]
    NoKey(String),
    /// Another sealing key, another binding, or changed octets; which of them cannot be told.
    #[error(
        "the sealed private key of {0} does not open: the sealing key is not the one it was sealed with, or its row was \
         changed or swapped: put the former sealing key back, or restore the database from a backup"
    )]
    Refused(Binding),
    /// It opened, but what was sealed is not a key that works.
    #[error("the sealed private key of {binding} opens but is broken: {error}")]
    Key {
        /// What it was to be bound to.
        binding: Binding,
        /// What is wrong with it.
        error: KeyError,
    },
    /// It opened, but is another key than its binding says.
    #[error("the sealed private key of {0} opens but has another key tag: it was sealed under a wrong one")]
    Unfit(Binding),
}

impl Seal {
    /// Takes the sealing key.
    #[must_use]
    pub fn new(key: Zeroizing<[u8; KEY_LEN]>) -> Seal {
        Seal { key: Ok(key) }
    }

    /// One whose sealing key is missing, for this reason: it seals and opens nothing.
    #[must_use]
    pub fn missing(why: String) -> Seal {
        Seal { key: Err(why) }
    }

    /// Encrypts the private key of `pair` for `binding`.
    ///
    /// # Errors
    /// [`SealError::Unfit`] if it is not the key of the binding, [`SealError::Encrypt`], [`SealError::NoKey`].
    pub fn seal(&self, pair: &KeyPair, binding: &Binding) -> Result<Vec<u8>, SealError> {
        let key = self.key.as_ref().map_err(|why| SealError::NoKey(why.clone()))?;
        if !binding.fits(pair) {
            return Err(SealError::Unfit(binding.clone()));
        }
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealError::Encrypt)?;
        let mut private = pair.to_pkcs8();
        let aad = Aad::from(binding.authenticated());
        let sealed = cipher(key).map(|cipher| {
            cipher.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, private.as_mut_slice())
        });
        let tag = sealed.and_then(Result::ok).ok_or(SealError::Encrypt)?;
        Ok([&[VERSION][..], &nonce, &private, tag.as_ref()].concat())
    }

    /// Decrypts a private key that was sealed for `binding`.
    ///
    /// # Errors
    /// [`OpenError`] for any other binding, sealing key or octets.
    pub fn open(&self, sealed: &[u8], binding: &Binding) -> Result<KeyPair, OpenError> {
        let key = self.key.as_ref().map_err(|why| OpenError::NoKey(why.clone()))?;
        let (&version, rest) = sealed.split_first().ok_or_else(|| OpenError::Short(binding.clone()))?;
        if version == HELD {
            return Err(OpenError::Held(binding.clone()));
        }
        if version != VERSION {
            return Err(OpenError::Version { binding: binding.clone(), version });
        }
        let Some((&nonce, encrypted)) = rest.split_first_chunk::<NONCE_LEN>().filter(|(_, rest)| rest.len() >= TAG_LEN)
        else {
            return Err(OpenError::Short(binding.clone()));
        };
        let mut private = Zeroizing::new(encrypted.to_vec());
        let aad = Aad::from(binding.authenticated());
        let opened = cipher(key).and_then(|cipher| {
            let plain = cipher.open_in_place(Nonce::assume_unique_for_key(nonce), aad, private.as_mut_slice());
            plain.map(|plain| KeyPair::from_pkcs8(plain, binding.algorithm)).ok()
        });
        let pair = opened
            .ok_or_else(|| OpenError::Refused(binding.clone()))?
            .map_err(|error| OpenError::Key { binding: binding.clone(), error })?;
        // What was sealed fitted, but the tag is computed anew, in case that what sealed it was wrong.
        if binding.fits(&pair) { Ok(pair) } else { Err(OpenError::Unfit(binding.clone())) }
    }
}

/// Does not show the key.
impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(..)")
    }
}

/// What encrypts; `None` never happens, since the key has the right length.
fn cipher(key: &Zeroizing<[u8; KEY_LEN]>) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, key.as_slice()).map(LessSafeKey::new).ok()
}

impl Binding {
    /// The binding of a key with this role in the zone at `apex`.
    #[must_use]
    pub fn of(apex: Name, pair: &KeyPair, role: Role) -> Binding {
        Binding { apex, tag: pair.dnskey(role).tag(), algorithm: pair.algorithm() }
    }

    /// Whether `pair` has this algorithm and, in one of the roles a key can have, this tag.
    fn fits(&self, pair: &KeyPair) -> bool {
        self.is_of(pair.algorithm(), pair.public())
    }

    /// Whether a key of this algorithm and public key has, in one of the roles it can have, this tag.
    pub(super) fn is_of(&self, algorithm: Algorithm, public: &[u8]) -> bool {
        let tag =
            |role: Role| Dnskey { flags: role.flags(), algorithm: algorithm.number(), public: public.to_vec() }.tag();
        self.algorithm == algorithm && Role::ALL.into_iter().any(|role| tag(role) == self.tag)
    }

    /// What is authenticated: no two bindings have the same octets, for names end themselves.
    fn authenticated(&self) -> Vec<u8> {
        let apex = self.apex.to_canonical();
        [CONTEXT, &[VERSION], apex.as_wire(), &self.tag.to_be_bytes(), &[self.algorithm.number()]].concat()
    }
}

/// Names the key.
impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.apex, self.algorithm, self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{RSA, pairs};
    use super::*;

    /// A seal of which each octet of the key is `octet`.
    fn seal(octet: u8) -> Seal {
        Seal::new(Zeroizing::new([octet; KEY_LEN]))
    }

    /// A binding to a zone.
    fn binding(apex: &str, pair: &KeyPair) -> Binding {
        Binding::of(apex.parse().unwrap(), pair, Role::Csk)
    }

    #[test]
    fn what_was_sealed_opens() {
        for pair in pairs() {
            let binding = binding("example.net.", &pair);
            let sealed = seal(1).seal(&pair, &binding).unwrap();
            assert_ne!(sealed, seal(1).seal(&pair, &binding).unwrap(), "the nonce is random");
            let opened = seal(1).open(&sealed, &binding).unwrap();
            assert_eq!(opened.public(), pair.public());
            assert_eq!(opened.to_pkcs8(), pair.to_pkcs8());
            // Of the private key nothing shows, not even eight octets.
            let private = pair.to_pkcs8();
            assert!(private.windows(8).all(|part| !sealed.windows(8).any(|window| window == part)));
            let upper = Binding { apex: "EXAMPLE.net.".parse().unwrap(), ..binding };
            assert!(seal(1).open(&sealed, &upper).is_ok());
        }
    }

    #[test]
    fn a_changed_octet_does_not_open() {
        for pair in pairs() {
            let binding = binding("example.net.", &pair);
            let sealed = seal(1).seal(&pair, &binding).unwrap();
            for idx in 0..sealed.len() {
                for bit in 0..8 {
                    let mut changed = sealed.clone();
                    changed[idx] ^= 1 << bit;
                    let error = seal(1).open(&changed, &binding).unwrap_err();
                    match idx {
                        0 => assert!(matches!(error, OpenError::Version { .. }), "{error}"),
                        _ => assert_eq!(error, OpenError::Refused(binding.clone()), "octet {idx}"),
                    }
                }
            }
        }
    }

    #[test]
    fn what_was_cut_or_extended_does_not_open() {
        let pair = KeyPair::generate(Algorithm::EcdsaP256Sha256).unwrap();
        let binding = binding("example.net.", &pair);
        let mut sealed = seal(1).seal(&pair, &binding).unwrap();
        for len in 0..sealed.len() {
            let error = seal(1).open(&sealed[..len], &binding).unwrap_err();
            let expected = if len < 1 + NONCE_LEN + TAG_LEN { OpenError::Short } else { OpenError::Refused };
            assert_eq!(error, expected(binding.clone()), "{len}");
        }
        sealed.push(0);
        assert_eq!(seal(1).open(&sealed, &binding).unwrap_err(), OpenError::Refused(binding));
    }

    #[test]
    fn another_sealing_key_or_binding_does_not_open() {
        let pair = KeyPair::generate(Algorithm::EcdsaP256Sha256).unwrap();
        let right = binding("example.net.", &pair);
        let sealed = seal(1).seal(&pair, &right).unwrap();
        assert_eq!(seal(2).open(&sealed, &right).unwrap_err(), OpenError::Refused(right.clone()));
        let names = ["example.org.", "net.", "a.example.net.", "."];
        let names = names.map(|apex| Binding { apex: apex.parse().unwrap(), ..right.clone() });
        let tags = [right.tag ^ 1, right.tag ^ 0x8000, !right.tag].map(|tag| Binding { tag, ..right.clone() });
        let algorithms = [Algorithm::Ed25519, Algorithm::EcdsaP384Sha384, Algorithm::RsaSha256];
        let algorithms = algorithms.map(|algorithm| Binding { algorithm, ..right.clone() });
        for wrong in names.into_iter().chain(tags).chain(algorithms) {
            let error = seal(1).open(&sealed, &wrong).unwrap_err();
            assert!(error.to_string().contains(&wrong.to_string()), "{error}");
            assert_eq!(error, OpenError::Refused(wrong));
        }
    }

    #[test]
    fn only_the_key_of_the_binding_is_sealed() {
        let pair = KeyPair::from_pem(RSA.as_bytes(), Algorithm::RsaSha256).unwrap();
        let right = binding("example.net.", &pair);
        for wrong in [
            Binding { tag: right.tag ^ 0x4000, ..right.clone() },
            Binding { algorithm: Algorithm::Ed25519, ..right.clone() },
        ] {
            assert_eq!(seal(1).seal(&pair, &wrong), Err(SealError::Unfit(wrong)));
        }
        let zsk = Binding::of(right.apex.clone(), &pair, Role::Zsk);
        assert_ne!(zsk.tag, right.tag);
        let sealed = seal(1).seal(&pair, &zsk).unwrap();
        assert!(seal(1).open(&sealed, &zsk).is_ok());
        assert_eq!(seal(1).open(&sealed, &right).unwrap_err(), OpenError::Refused(right));
    }

    #[test]
    fn what_was_sealed_under_a_wrong_tag_does_not_open() {
        // Another program with the sealing key could do this; we refuse to.
        let pair = KeyPair::generate(Algorithm::Ed25519).unwrap();
        let right = binding("example.net.", &pair);
        let wrong = Binding { tag: right.tag ^ 0x4000, ..right };
        let nonce = [7; NONCE_LEN];
        let mut private = pair.to_pkcs8().to_vec();
        let cipher = cipher(seal(1).key.as_ref().unwrap()).unwrap();
        let aad = Aad::from(wrong.authenticated());
        cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut private).unwrap();
        let sealed = [&[VERSION][..], &nonce, &private].concat();
        assert_eq!(seal(1).open(&sealed, &wrong).unwrap_err(), OpenError::Unfit(wrong));
    }

    #[test]
    fn debug_output_has_no_secret() {
        let pair = KeyPair::generate(Algorithm::EcdsaP256Sha256).unwrap();
        assert_eq!(format!("{pair:?}"), "KeyPair { algorithm: EcdsaP256Sha256, .. }");
        assert_eq!(format!("{:?}", seal(7)), "Seal(..)");
    }
}
