//! Keys for tests: Ed25519 from a seed, so that two runs sign alike, and P-256.

use controlplane::sign::{Key, Signer, SignerError};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

/// The flags of a key that signs keys.
pub(crate) const ENTRY_POINT: u16 = 257;
/// The flags of one that does not.
pub(crate) const ZONE: u16 = 256;

/// A pair of either kind.
enum Pair {
    /// Algorithm 15.
    Ed25519(Ed25519KeyPair),
    /// Algorithm 13.
    P256(EcdsaKeyPair),
}

/// A key with its DNSKEY.
pub(crate) struct TestKey {
    /// The pair.
    pair: Pair,
    /// RDATA of its DNSKEY.
    pub(crate) dnskey: Vec<u8>,
    /// What it signs: keys, the zone.
    signs: (bool, bool),
}

impl TestKey {
    /// An Ed25519 key that is a function of `seed`, as one that signs keys, the zone, or both.
    pub(crate) fn ed25519(seed: u8, signs: (bool, bool)) -> TestKey {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("any 32 octets are a seed");
        let dnskey = dnskey(signs.0, 15, pair.public_key().as_ref());
        TestKey { pair: Pair::Ed25519(pair), dnskey, signs }
    }

    /// A new P-256 key.
    pub(crate) fn p256(signs: (bool, bool)) -> TestKey {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("there is randomness");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("it was just made");
        // The first octet says that the point is not compressed, which DNSKEY leaves out.
        let dnskey = dnskey(signs.0, 13, &pair.public_key().as_ref()[1..]);
        TestKey { pair: Pair::P256(pair), dnskey, signs }
    }

    /// As the signer takes it.
    pub(crate) fn key(&self) -> Key<'_> {
        let (signs_keys, signs_zone) = self.signs;
        Key {
            dnskey: &self.dnskey,
            is_announced: true,
            tag: tag(&self.dnskey),
            algorithm: self.dnskey[3],
            signs_keys,
            signs_zone,
            signer: self,
        }
    }
}

impl Signer for TestKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        match &self.pair {
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::P256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message);
                signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| SignerError("no".to_owned()))
            }
        }
    }
}

/// RDATA of a DNSKEY.
fn dnskey(is_entry_point: bool, algorithm: u8, public: &[u8]) -> Vec<u8> {
    let flags = if is_entry_point { ENTRY_POINT } else { ZONE };
    [&flags.to_be_bytes()[..], &[3, algorithm], public].concat()
}

/// The tag of a DNSKEY (RFC 4034 appendix B).
pub(crate) fn tag(rdata: &[u8]) -> u16 {
    let weigh = |(idx, octet): (usize, &u8)| u32::from(*octet) << if idx % 2 == 0 { 8 } else { 0 };
    let sum: u32 = rdata.iter().enumerate().map(weigh).sum();
    u16::try_from((sum + (sum >> 16)) & 0xffff).expect("it is masked")
}
