//! What one session of PKCS #11 is asked for.
//!
//! Invariant: keys are made such that the device gives their secret to nobody.

use std::collections::HashMap;

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::crew::Work;
use super::{DeviceError, KeyNumber, Task};
use crate::keys::Algorithm;

/// How many handles are remembered before all are forgotten.
const HANDLE_COUNT_MAX: usize = 65_536;
/// What an uncompressed point begins with (SEC 1 section 2.3.3), and, by chance, an OCTET STRING in DER.
const OCTET_STRING_OR_POINT: u8 = 4;

/// Why something failed.
pub(super) enum Failure {
    /// For a reason of what was asked for.
    Job(DeviceError),
    /// For one of the session.
    Session(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Session(error)
    }
}

/// A session, and the keys that were found in it.
pub(super) struct Hands {
    /// The session.
    session: Session,
    /// Handles of keys that have signed.
    handles: HashMap<KeyNumber, ObjectHandle>,
}

impl Hands {
    /// With a session that is logged in.
    pub(super) fn new(session: Session) -> Hands {
        Hands { session, handles: HashMap::new() }
    }
}

impl Work for Hands {
    fn work(&mut self, task: &Task) -> Result<Vec<u8>, Failure> {
        let session = &self.session;
        match task {
            Task::Sign(number, digest) => sign(session, &mut self.handles, *number, digest),
            Task::Public(number, algorithm) => public(session, *number, *algorithm),
            Task::Generate(number, label, algorithm) => generate(session, *number, label, *algorithm),
            Task::Destroy(number) => {
                self.handles.remove(number);
                destroy(session, *number)
            }
        }
    }
}

/// A curve that devices have.
pub(super) struct Curve {
    /// Its object identifier in DER.
    identifier: &'static [u8],
    /// How long a coordinate is.
    coordinate_len: usize,
}

/// The curve of an algorithm; `None` if keys of it are not for devices.
pub(super) fn curve(algorithm: Algorithm) -> Option<Curve> {
    match algorithm {
        Algorithm::EcdsaP256Sha256 => {
            let identifier = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
            Some(Curve { identifier, coordinate_len: 32 })
        }
        Algorithm::EcdsaP384Sha384 => {
            Some(Curve { identifier: &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22], coordinate_len: 48 })
        }
        Algorithm::Ed25519 | Algorithm::RsaSha256 => None,
    }
}

/// A failure of the module in few words: those that it comes with are paragraphs of the standard.
pub(super) fn said(error: &Error) -> String {
    match error {
        Error::Pkcs11(cause, function) => format!("{function:?} ends with {cause:?}"),
        other => other.to_string(),
    }
}

/// Signs a digest; both halves of the signature, one after the other.
fn sign(
    session: &Session,
    handles: &mut HashMap<KeyNumber, ObjectHandle>,
    number: KeyNumber,
    digest: &[u8],
) -> Result<Vec<u8>, Failure> {
    let handle = match handles.get(&number) {
        Some(handle) => *handle,
        None => {
            let handle = find(session, number, ObjectClass::PRIVATE_KEY)?;
            if handles.len() >= HANDLE_COUNT_MAX {
                handles.clear();
            }
            handles.insert(number, handle);
            handle
        }
    };
    Ok(session.sign(&Mechanism::Ecdsa, handle, digest)?)
}

/// The public key of a key, as DNSKEY has it.
fn public(session: &Session, number: KeyNumber, algorithm: Algorithm) -> Result<Vec<u8>, Failure> {
    let handle = find(session, number, ObjectClass::PUBLIC_KEY)?;
    point(session, handle, algorithm)
}

/// Makes a key; its public key, as DNSKEY has it.
fn generate(session: &Session, number: KeyNumber, label: &str, algorithm: Algorithm) -> Result<Vec<u8>, Failure> {
    let curve = curve(algorithm).ok_or(Failure::Job(DeviceError::Algorithm(algorithm)))?;
    let both = [Attribute::Token(true), Attribute::Id(number.0.to_vec()), Attribute::Label(label.as_bytes().to_vec())];
    let public = [Attribute::Verify(true), Attribute::EcParams(curve.identifier.to_vec())];
    let private =
        [Attribute::Private(true), Attribute::Sensitive(true), Attribute::Extractable(false), Attribute::Sign(true)];
    let (public, private) = ([&both[..], &public].concat(), [&both[..], &private].concat());
    let made = session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private);
    let (public, _) = made.map_err(|error| match error {
        // It has the mechanism for other curves only, or not at all.
        Error::Pkcs11(RvError::MechanismInvalid | RvError::CurveNotSupported, _) => {
            Failure::Job(DeviceError::Algorithm(algorithm))
        }
        other => Failure::Session(other),
    })?;
    point(session, public, algorithm)
}

/// Removes a key, or the half of it that is left if that was interrupted.
fn destroy(session: &Session, number: KeyNumber) -> Result<Vec<u8>, Failure> {
    let mut found = Vec::new();
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        found.extend(session.find_objects(&wanted(number, class))?);
    }
    if found.is_empty() {
        return Err(Failure::Job(DeviceError::NoKey(number)));
    }
    for object in found {
        session.destroy_object(object)?;
    }
    Ok(Vec::new())
}

/// The handle of a key.
fn find(session: &Session, number: KeyNumber, class: ObjectClass) -> Result<ObjectHandle, Failure> {
    let found = session.find_objects(&wanted(number, class))?;
    found.first().copied().ok_or(Failure::Job(DeviceError::NoKey(number)))
}

/// What half a key is found by.
fn wanted(number: KeyNumber, class: ObjectClass) -> [Attribute; 3] {
    [Attribute::Class(class), Attribute::Token(true), Attribute::Id(number.0.to_vec())]
}

/// The point of a public key without its first octet, which DNSKEY leaves out (RFC 6605 section 4).
fn point(session: &Session, key: ObjectHandle, algorithm: Algorithm) -> Result<Vec<u8>, Failure> {
    let attributes = session.get_attributes(key, &[AttributeType::EcPoint])?;
    let octets = attributes.into_iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(octets) => Some(octets),
        _ => None,
    });
    let point = octets.as_deref().and_then(|octets| bare(octets, curve(algorithm)?.coordinate_len * 2));
    point.map(<[u8]>::to_vec).ok_or(Failure::Job(DeviceError::Public(algorithm)))
}

/// The coordinates in a point that comes as OCTET STRING, as it should, or bare, as some devices give it.
fn bare(octets: &[u8], len: usize) -> Option<&[u8]> {
    let coordinates = match octets {
        [OCTET_STRING_OR_POINT, string_len, OCTET_STRING_OR_POINT, rest @ ..]
            if usize::from(*string_len) == len + 1 && rest.len() == len =>
        {
            rest
        }
        [OCTET_STRING_OR_POINT, rest @ ..] => rest,
        _ => return None,
    };
    (coordinates.len() == len).then_some(coordinates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_come_wrapped_or_bare_and_whole() {
        let coordinates = [7; 64];
        let plain = [&[4][..], &coordinates].concat();
        let wrapped = [&[4, 65][..], &plain].concat();
        assert_eq!(bare(&plain, 64), Some(&coordinates[..]));
        assert_eq!(bare(&wrapped, 64), Some(&coordinates[..]));
        for wrong in [&plain[..64], &wrapped[..66], &[][..], &[2, 65, 4][..], &[&plain[..], &[0]].concat()] {
            assert_eq!(bare(wrong, 64), None, "{wrong:?}");
        }
        assert_eq!(bare(&wrapped, 96), None);
    }
}
