//! A key that signs, wherever its secret is.
//!
//! Invariant: it has the tag and the algorithm of the binding it was opened for.

use std::sync::Arc;

use super::{Algorithm, Binding, Device, DeviceError, Dnskey, HeldKey, KeyNumber, KeyPair, OpenError, Role, Seal};

/// A key that signs.
#[derive(Debug)]
pub enum SigningKey {
    /// Its secret is in our memory.
    Pair(Box<KeyPair>),
    /// A device has it.
    Held(HeldKey),
}

impl SigningKey {
    /// Opens what the database has of a key: the sealed key, or its number in the device.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        kept: &[u8],
        binding: &Binding,
        seal: &Seal,
        device: Option<&Arc<Device>>,
    ) -> Result<SigningKey, OpenError> {
        let Some(number) = KeyNumber::from_kept(kept) else {
            return seal.open(kept, binding).map(|pair| SigningKey::Pair(Box::new(pair)));
        };
        let device = device.ok_or_else(|| OpenError::NoDevice(binding.clone()))?;
        let away = |error: DeviceError| OpenError::Device { binding: binding.clone(), error };
        let held = device.key(number, binding.algorithm).map_err(away)?;
        // A number that was moved to another row leads to another key.
        if binding.is_of(held.algorithm(), held.public()) {
            Ok(SigningKey::Held(held))
        } else {
            Err(OpenError::Unfit(binding.clone()))
        }
    }

    /// Signs a message; the signature as RRSIG has it.
    ///
    /// # Errors
    /// Why not, for people; no secret is in it.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            SigningKey::Pair(pair) => pair.sign(message).map_err(|error| error.to_string()),
            SigningKey::Held(held) => held.sign(message).map_err(|error| error.to_string()),
        }
    }

    /// As [`SigningKey::sign`], but as fast as it can be: equal messages may give different signatures.
    ///
    /// # Errors
    /// As [`SigningKey::sign`].
    pub fn sign_bulk(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            SigningKey::Pair(pair) => pair.sign_bulk(message).map_err(|error| error.to_string()),
            SigningKey::Held(held) => held.sign(message).map_err(|error| error.to_string()),
        }
    }

    /// What it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            SigningKey::Pair(pair) => pair.algorithm(),
            SigningKey::Held(held) => held.algorithm(),
        }
    }

    /// The public key as DNSKEY has it.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        match self {
            SigningKey::Pair(pair) => pair.public(),
            SigningKey::Held(held) => held.public(),
        }
    }

    /// The DNSKEY that announces it.
    #[must_use]
    pub fn dnskey(&self, role: Role) -> Dnskey {
        match self {
            SigningKey::Pair(pair) => pair.dnskey(role),
            SigningKey::Held(held) => held.dnskey(role),
        }
    }
}
